# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our pre- and post-processing of human parsing against recordings of the official one."""

from __future__ import annotations

import io
import re

import torch
from PIL import Image

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.keymap import official_task
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.modeling.image_processing_parsing_hulk import HulkParsingImageProcessor
from hulk_hf.modeling.part_labels_hulk import (
    H36M_EVALUATION_SIZE,
    evaluation_labels,
    flip_labels,
    label_ids_of,
    resize_labels,
)
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

_EXACT = {"absolute": 0.0, "relative": 0.0}
_NEAR_TIE = 1e-5
_LIP_ID, _H36M_ID = 17, 19
_SETS = {"lip": _LIP_ID, "h36m": _H36M_ID}  # what the recordings call their parts


def _task(official_id: int) -> HulkTask:
    return KNOWN_TASKS[official_task(official_id)]


def _numbered(recording: Recording, stem: str) -> list[int]:
    """The numbers of the tensors called `stem` and a number."""
    found = (re.fullmatch(rf"{re.escape(stem)}(\d+)", name) for name in recording.tensors)
    return sorted(int(match[1]) for match in found if match)


def _step(recording: Recording, stem: str) -> int:
    """Every how many rows and columns a tensor called `stem` and a number holds; 1 if there is none."""
    steps = _numbered(recording, stem)
    if len(steps) > 1:
        raise RecordingError(f"{recording.path.name}: expected one tensor {stem}..., got {len(steps)}")
    return steps[0] if steps else 1


def _decoded(data: torch.Tensor) -> Image.Image:
    image = Image.open(io.BytesIO(data.numpy().tobytes()))
    image.load()
    return image


# Before the network -------------------------------------------------------------------------------------------------


def check_input(recording: Recording) -> Report:
    """Resized pictures, label tables, labels of evaluation, and the steps of labels in training."""
    report = Report("parsing input")
    processor = HulkParsingImageProcessor.from_task(_task(_LIP_ID))
    for index in _numbered(recording, "image_"):
        picture = _decoded(recording.tensor(f"image_png_{index}")).convert("RGB")
        resized = processor(picture, do_rescale=False, do_normalize=False, return_tensors="pt")["pixel_values"][0]
        report.add(f"image_{index}", resized, recording.tensor(f"image_{index}"), **_EXACT)
    _compare_tables(report, recording)
    for index in _numbered(recording, "lip.label_"):
        encoded = processor.encode_segmentation_map(_decoded(recording.tensor(f"lip.label_raw_{index}")))
        report.add(f"lip.label_{index}", encoded, recording.tensor(f"lip.label_{index}"), **_EXACT)
    if "h36m.label_raw" in recording.tensors:
        _compare_h36m(report, recording)
    _compare_training(report, recording)
    return report


def _compare_tables(report: Report, recording: Recording) -> None:
    pairs = recording.field("left_right_pairs_encoded", {})
    for official_id in _numbered(recording, "encode.task"):
        task = _task(official_id)
        table = evaluation_labels(torch.arange(256)[None], label_ids_of(task.labels))[0]
        report.add(
            f"{task.name}: labels of raw values", table, recording.tensor(f"encode.task{official_id}"), **_EXACT
        )
        if str(official_id) in pairs:
            recorded = sorted(sorted(pair) for pair in pairs[str(official_id)] or [])
            ours = sorted(sorted(pair) for pair in task.flip_pairs or ())
            report.add_bound(f"{task.name}: pairs of left and right", float(ours != recorded), 0.0)


def _compare_h36m(report: Report, recording: Recording) -> None:
    raw, ids = recording.tensor("h36m.label_raw"), label_ids_of(_task(_H36M_ID).labels)
    if "h36m.label_encoded" in recording.tensors:
        report.add("h36m.label_encoded", evaluation_labels(raw, ids), recording.tensor("h36m.label_encoded"), **_EXACT)
    step = _step(recording, stem := "h36m.eval_label_every")
    if f"{stem}{step}" in recording.tensors:
        ours = evaluation_labels(raw, ids, H36M_EVALUATION_SIZE)[::step, ::step]
        report.add("h36m.eval_label", ours, recording.tensor(f"{stem}{step}"), **_EXACT)


def _compare_training(report: Report, recording: Recording) -> None:
    if "train.label_encoded" not in recording.tensors:
        return
    encoded = recording.tensor("train.label_encoded")
    if "train.label_flipped" in recording.tensors:
        flipped = flip_labels(encoded, _task(_LIP_ID).flip_pairs or ())
        report.add("train.label_flipped", flipped, recording.tensor("train.label_flipped"), **_EXACT)
    for size in _numbered(recording, "train.label_"):
        resized = resize_labels(encoded, (size, size))
        report.add(f"train.label_{size}", resized, recording.tensor(f"train.label_{size}"), **_EXACT)


# After the network --------------------------------------------------------------------------------------------------


def check_output(recording: Recording) -> Report:
    """Probabilities of two passes -> averaged maps and parts at the size of the result."""
    report = Report("parsing output")
    for name in (name for name in _SETS if f"{name}.maps" in recording.tensors):
        processor = HulkParsingImageProcessor.from_task(_task(_SETS[name]))
        pairs = recording.field(f"flip_channels.{name}", None)
        if pairs is not None:
            ours = sorted(sorted(pair) for pair in processor.flip_pairs)
            report.add_bound(f"{name}: channels swapped", float(ours != sorted(sorted(pair) for pair in pairs)), 0.0)
        passes = {kind: _as_outputs(recording.tensor(f"{name}.{kind}")) for kind in ("maps", "maps_flipped_pass")}
        count = len(passes["maps"]["logits"])
        sizes = [H36M_EVALUATION_SIZE] * count
        if f"{name}.size" in recording.tensors:
            sizes = recording.tensor(f"{name}.size").tolist()
        arguments = {"target_sizes": sizes, "outputs_flipped": passes["maps_flipped_pass"]}
        scored = processor.post_process_semantic_segmentation(
            passes["maps"], return_segmentation_scores=True, **arguments
        )
        parts = processor.post_process_semantic_segmentation(passes["maps"], **arguments)
        for index in range(count):
            suffix = f"_{index}" if f"{name}.size" in recording.tensors else ""
            _compare_result(report, recording, name, suffix, scored[index].segmentation_scores, parts[index])
    return report


def _as_outputs(maps: torch.Tensor) -> dict[str, torch.Tensor]:
    """Recorded probabilities, in units of 1/256, as what the network would have said: every part is there."""
    return {"logits": (maps.float() / 256).logit(), "presence_logits": torch.full(maps.shape[:2], torch.inf)}


def _compare_result(
    report: Report, recording: Recording, name: str, suffix: str, scores: torch.Tensor, parts: torch.Tensor
) -> None:
    compared = 0
    for tensor in sorted(recording.tensors):
        kind = re.fullmatch(rf"{name}\.(sem_seg|argmax)(?:_every(\d+))?{suffix}", tensor)
        if kind is None:
            continue
        compared += 1
        step, recorded = int(kind[2] or 1), recording.tensor(tensor)
        if kind[1] == "sem_seg":
            report.add(tensor, scores[:, ::step, ::step], recorded, absolute=_NEAR_TIE, relative=0.0)
            continue
        ours, seen = parts[::step, ::step], scores[:, ::step, ::step]
        if ours.shape != recorded.shape:
            report.add(tensor, ours, recorded, **_EXACT)  # says both shapes
            continue
        # Where two parts are all but equally likely, rounding decides.
        margin = seen.amax(dim=0) - seen.gather(0, recorded[None].long())[0]
        differs = ours != recorded
        worst = margin[differs].max().item() if differs.any() else 0.0
        note = f"of likelihood where parts differ, {int(differs.sum())} of {differs.numel()} pixels"
        report.add_bound(tensor, worst, _NEAR_TIE, note)
    if not compared:
        raise RecordingError(f"{recording.path.name}: no result of {name}{suffix} among its tensors")


__all__ = ["check_input", "check_output"]
