# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our skeleton processing against recordings of the official one: normalisation, frames, persons, variations."""

from __future__ import annotations

import numpy as np
import torch

from hulk_hf.conversion.comparison import Comparison, Report
from hulk_hf.conversion.parity_pose_geometry import find_sets
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.modeling.skeleton_geometry_hulk import (
    normalise_skeletons,
    rotate_skeletons,
    sample_frames,
    scale_skeletons,
)
from hulk_hf.modeling.skeleton_inputs_hulk import read_clip
from hulk_hf.modeling.skeleton_processing_hulk import HulkSkeletonProcessor

_ROUNDING = {"absolute": 1e-6, "relative": 0.0}
_EXACT = {"absolute": 0.0, "relative": 0.0}
_CASE = {"keypoint", "score"}
_DETECTIONS = {"keypoint", "frame_inds", "box_score"}


def check_skeletons(recording: Recording) -> Report:
    """Clips from joints in pixels to what the network reads, sampled in both ways and several times; flat lists of
    detections; rotation and scale of training."""
    report = Report("skeletons")
    for prefix in find_sets(recording, _CASE):
        _check_case(recording, prefix, report)
    for prefix in find_sets(recording, _DETECTIONS):
        _check_detections(recording, prefix, report)
    if "multi.output" in recording.tensors or "multi.frame_inds" in recording.tensors:
        _check_several(recording, report)
    _check_training(recording, report)
    if not report.comparisons:
        raise RecordingError(f"{recording.path.name} holds no skeletons ({sorted(_CASE)} under a name of a case)")
    return report


def _number(prefix: str) -> int:
    digits = prefix.removeprefix("case").removesuffix(".")
    if not digits.isdigit():
        raise RecordingError(f"expected the name of a case, such as 'case0.', got {prefix!r}")
    return int(digits)


def _clip(recording: Recording, prefix: str) -> dict[str, np.ndarray]:
    recorded = recording.group(prefix)
    return {"keypoints": recorded["keypoint"].numpy(), "scores": recorded["score"].numpy()}


def _processor(clip: dict[str, np.ndarray], output: torch.Tensor | None) -> HulkSkeletonProcessor:
    """The processor for skeletons of the recorded sizes."""
    sizes = {"num_joints": clip["keypoints"].shape[2]}
    if output is not None:
        sizes |= {"num_persons": output.shape[1], "num_frames": output.shape[2]}
    return HulkSkeletonProcessor(**sizes)


def _check_case(recording: Recording, prefix: str, report: Report) -> None:
    recorded, clip = recording.group(prefix), _clip(recording, prefix)
    case = recording.field("cases")[_number(prefix)]
    frames = clip["keypoints"].shape[1]
    if "normalised" in recorded:
        ours = normalise_skeletons(clip["keypoints"], clip["scores"])
        report.add(f"{prefix}normalised", ours, recorded["normalised"], **_ROUNDING)
    if "frame_inds" in recorded:
        ours = sample_frames(frames, seed=None, generator=np.random.RandomState(case["seed"]))[0]
        report.add(f"{prefix}frames, drawn", ours, recorded["frame_inds"], **_EXACT)
    if "frame_inds_seeded" in recorded:
        report.add(f"{prefix}frames, seeded", sample_frames(frames)[0], recorded["frame_inds_seeded"], **_EXACT)
    if "output" in recorded:
        generator = np.random.RandomState(case["seed"])
        processor = _processor(clip, recorded["output"])
        sampled = processor.sample(clip, len(recorded["output"]), seed=None, generator=generator)
        report.add(f"{prefix}input of the network", _official(sampled), recorded["output"], **_ROUNDING)


def _official(sampled: np.ndarray) -> np.ndarray:
    """From our order (clips, persons, 3, frames, joints) to the official one, (clips, persons, frames, joints, 3)."""
    return sampled.transpose(0, 1, 3, 4, 2)


def _check_detections(recording: Recording, prefix: str, report: Report) -> None:
    recorded = recording.group(prefix)
    keypoints = recorded["keypoint"].numpy()
    listed = {
        "keypoints": keypoints,
        "frames": recorded["frame_inds"].numpy(),
        "box_scores": recorded["box_score"].numpy(),
    }
    clip = read_clip(listed, keypoints.shape[1])
    if "total_frames" in recorded:
        report.add(f"{prefix}frames with a person", clip.shape[1], recorded["total_frames"].squeeze(), **_EXACT)
    if "normalised" in recorded:
        ours = normalise_skeletons(clip[..., :2], clip[..., 2])
        report.add(f"{prefix}normalised", ours, recorded["normalised"], **_ROUNDING)


def _check_several(recording: Recording, report: Report) -> None:
    """Several samples of one clip from one seed."""
    recorded = recording.group("multi.")
    output = recorded.get("output")
    length = 175 if output is None else output.shape[2]
    count = len(recorded["frame_inds"].flatten()) // length if output is None else len(output)
    tried = []
    for prefix in find_sets(recording, _CASE):
        clip, several = _clip(recording, prefix), Report(prefix)
        if "frame_inds" in recorded:
            ours = sample_frames(clip["keypoints"].shape[1], num_clips=count).reshape(-1)
            stage = f"multi.frames, of {prefix.removesuffix('.')}"
            several.add(stage, ours, recorded["frame_inds"].flatten(), **_EXACT)
        if output is not None and clip["keypoints"].shape[2] == output.shape[3]:
            ours = _official(_processor(clip, output).sample(clip, count))
            several.add(f"multi.input of the network, of {prefix.removesuffix('.')}", ours, output, **_ROUNDING)
        tried.append(several)
    report.comparisons += _nearest(recording, tried, "multi.*")


def _check_training(recording: Recording, report: Report) -> None:
    """Rotation and scale of training, of the input of the network."""
    recorded = recording.group("train.")
    for name, parameter, vary in (
        ("rotated", "angles", rotate_skeletons),
        ("scaled", "scales", scale_skeletons),
    ):
        if not {name, parameter} <= recorded.keys():
            continue
        tried = []
        for prefix in find_sets(recording, {"output"}):
            varied, source = Report(prefix), recording.tensor(f"{prefix}output").numpy()
            ours = vary(source, recorded[parameter].tolist())
            varied.add(f"train.{name}, of {prefix.removesuffix('.')}", ours, recorded[name], **_ROUNDING)
            tried.append(varied)
        report.comparisons += _nearest(recording, tried, f"train.{name}")


def _nearest(recording: Recording, tried: list[Report], name: str) -> list[Comparison]:
    """The comparisons that fit best: of which clip something was made, recordings say in words only."""
    if not tried:
        raise RecordingError(f"{recording.path.name} holds {name}, but no clip that it could be made of")
    return max(tried, key=lambda part: (part.passed, -sum(line.difference for line in part.comparisons))).comparisons


__all__ = ["check_skeletons"]
