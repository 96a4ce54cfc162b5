# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Prove networks and processors equal to recordings of the release: `python -m hulk_hf.conversion.verify FILE...`.

A recording is a safetensors file with a JSON of the same name beside it; either may be named. What it holds is
recognised by its tensors, or by its name. One table per recording shows the largest difference of every stage, the
tolerance of the element that comes closest to its limit, and whether all elements are within theirs; loss terms, of
which some are tiny, are held to a tighter one, which the head of their table names. Exit code 0 if everything agrees,
1 if anything does not or cannot be compared; the last line is a summary.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from hulk_hf.conversion import (
    parity_caption,
    parity_detection,
    parity_mesh,
    parity_parsing,
    parity_pose,
    parity_pose_geometry,
    parity_processing_detection,
    parity_processing_mesh,
    parity_processing_parsing,
    parity_processing_pictures,
    parity_processing_skeleton,
    parity_processing_text,
    parity_text,
)
from hulk_hf.conversion.comparison import Comparison, Report
from hulk_hf.conversion.keymap import official_task
from hulk_hf.conversion.recordings import Recording, RecordingError, read_recording, recording_path
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

Check = Callable[[Recording], Report]

# Family -> checks of a recorded forward and of a recorded training step.
_NETWORK_CHECKS: dict[str, tuple[Check, Check]] = {
    "pose": (parity_pose.check_forward, parity_pose.check_loss),
    "parsing": (parity_parsing.check_forward, parity_parsing.check_loss),
    "attributes": (parity_text.check_forward, parity_text.check_loss),
    "action": (parity_text.check_forward, parity_text.check_loss),
    "caption": (parity_caption.check_forward, parity_caption.check_loss),
    "detection": (parity_detection.check_forward, parity_detection.check_loss),
    "mesh": (parity_mesh.check_forward, parity_mesh.check_loss),
}
# What recordings of pre- and post-processing are called (up to "_a") -> check; the longest name that fits counts.
_PROCESSING_CHECKS: dict[str, Check] = {
    "attributes": parity_processing_pictures.check_attributes,
    "caption_image": parity_processing_pictures.check_caption_images,
    "caption_text": parity_processing_text.check_caption_text,
    "detection_batch": parity_processing_detection.check_batch,
    "detection_input": parity_processing_detection.check_input,
    "detection_target": parity_processing_detection.check_targets,
    "mesh_crop": parity_processing_mesh.check_mesh_crops,
    "parsing_input": parity_processing_parsing.check_input,
    "parsing_output": parity_processing_parsing.check_output,
    "pose_crop": parity_pose_geometry.check_crops,
    "pose_crop_gt": parity_pose_geometry.check_crops,
    "pose_decode": parity_pose_geometry.check_decoding,
    "pose_target": parity_pose_geometry.check_targets,
    "pose_train_affine": parity_pose_geometry.check_train_affine,
    "skeleton": parity_processing_skeleton.check_skeletons,
}


def find_check(recording: Recording) -> Check:
    """What to do with a recording: of a network by its tensors, of processing by its name or by that in its JSON.

    Raises:
        RecordingError: It holds nothing that can be compared yet, or its JSON is missing.
        ValueError: It was made with a task that is not supported.
    """
    if any(name.startswith("sd.") for name in recording.tensors):
        family = KNOWN_TASKS[official_task(recording.field("task"))].family
        if family not in _NETWORK_CHECKS:
            raise RecordingError(f"{recording.path.name}: family {family!r} cannot be compared yet")
        forward, loss = _NETWORK_CHECKS[family]
        return loss if any(name.startswith("out.loss") for name in recording.tensors) else forward
    for name in (recording.name, Path(str((recording.info or {}).get("file", ""))).stem):
        fitting = [kind for kind in _PROCESSING_CHECKS if name == kind or name.startswith(f"{kind}_")]
        if fitting:
            return _PROCESSING_CHECKS[max(fitting, key=len)]
    for names, check in parity_pose_geometry.CHECKS:
        if parity_pose_geometry.find_sets(recording, names):
            return check
    raise RecordingError(f"{recording.path.name}: no check recognises its name or its tensors")


@contextmanager
def _deterministic() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            yield
    finally:
        torch.use_deterministic_algorithms(before)


def verify_recording(path: str | Path) -> Report:
    """Compare one recording.

    Args:
        path: Its safetensors file, or the JSON beside it.

    Raises:
        ValueError: It cannot be read or compared.
    """
    recording = read_recording(path)
    with _deterministic():
        return find_check(recording)(recording)


def _print_report(report: Report) -> None:
    width = max((len(comparison.stage) for comparison in report.comparisons), default=0)
    print(f"  {'stage':<{width}}  {'difference':>10}  {'tolerance':>9}  result")
    for comparison in report.comparisons:
        print(f"  {_line(comparison, width)}")
    for name, reason in sorted(report.left_out.items()):
        print(f"  left out: {name} ({reason})")


def _line(comparison: Comparison, width: int) -> str:
    result = "ok" if comparison.passed else "FAILED"
    note = f"  ({comparison.note})" if comparison.note else ""
    return f"{comparison.stage:<{width}}  {comparison.difference:>10.2e}  {comparison.tolerance:>9.2e}  {result}{note}"


def verify(paths: Sequence[str | Path]) -> bool:
    """Compare recordings and print a table for each and a summary.

    Args:
        paths: Recordings; the two files of one recording count once.

    Returns:
        Whether everything agrees.
    """
    compared, failures = 0, []
    unique = list(dict.fromkeys(recording_path(path) for path in paths))
    for path in unique:
        try:
            report = verify_recording(path)
        except Exception as error:  # whatever a strange file leads to, the reader gets a reason and the other tables
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            print(f"{path.stem}\n  FAILED: {reason}\n")
            failures.append(path.stem)
            continue
        print(f"{path.stem} ({report.kind})")
        _print_report(report)
        print()
        compared += len(report.comparisons)
        wrong = [comparison.stage for comparison in report.comparisons if not comparison.passed]
        if not report.passed:
            failures.append(f"{path.stem} ({', '.join(wrong[:3])}{', ...' if len(wrong) > 3 else ''})")
    if failures:
        print(f"verify: FAILED, {len(failures)} of {len(unique)} recordings: {'; '.join(failures)}")
    else:
        print(f"verify: ok, {compared} comparisons in {len(unique)} recordings")
    return not failures


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m hulk_hf.conversion.verify", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("files", nargs="+", metavar="FILE", help="a recording: its .safetensors or its .json")
    return 0 if verify(parser.parse_args(arguments).files) else 1


if __name__ == "__main__":
    sys.exit(main())

__all__ = ["find_check", "main", "verify", "verify_recording"]
