# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our pre-processing of pedestrian detection against recordings of the official one: sizes, batches, targets."""

from __future__ import annotations

import io
import re

import numpy as np
import torch
from PIL import Image

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.keymap import official_task
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.detection_geometry_hulk import (
    BoxTargets,
    annotation_targets,
    crop_targets,
    flip_targets,
    resize_targets,
    resized_size,
)
from hulk_hf.modeling.image_processing_detection_hulk import HulkDetectionImageProcessor
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

_EXACT = {"absolute": 0.0, "relative": 0.0}
_ROUNDING = {"absolute": 0.0, "relative": 1e-6}
_TASK = KNOWN_TASKS[official_task(3)]  # both detection tasks read pictures alike
_TRAIN_TABLE = "size_table_train"


def _numbered(recording: Recording, stem: str) -> list[str]:
    """Tensors called `stem` and a number, in the order of the numbers."""
    names = [name for name in recording.tensors if re.fullmatch(rf"{re.escape(stem)}\d+", name)]
    return sorted(names, key=lambda name: int(name.removeprefix(stem)))


def _picture(data: torch.Tensor) -> torch.Tensor:
    """uint8 (3, H, W) from the bytes of a PNG."""
    with Image.open(io.BytesIO(data.numpy().tobytes())) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def check_input(recording: Recording) -> Report:
    """The rule of sizes, and the resized pictures."""
    report = Report("detection input")
    processor = HulkDetectionImageProcessor.from_task(_TASK)
    edges = processor.size["shortest_edge"], processor.size["longest_edge"]
    table = recording.tensor("size_table")
    ours = [resized_size((height, width), *edges) for width, height in table[:, :2].tolist()]
    report.add("sizes", torch.tensor(ours).reshape(-1, 2), table[:, 2:], **_EXACT)
    if _TRAIN_TABLE in recording.tensors:
        table = recording.tensor(_TRAIN_TABLE)
        ours = [
            resized_size((height, width), short, long or None) for width, height, short, long in table[:, :4].tolist()
        ]
        report.add("sizes in training", torch.tensor(ours).reshape(-1, 2), table[:, 4:], **_EXACT)
    for name in _numbered(recording, "resized_png_"):
        source = recording.tensor(name.replace("resized_png_", "image_png_"))
        resized = processor(_picture(source), do_rescale=False, do_normalize=False, return_tensors="pt")
        report.add(name, resized["pixel_values"][0], _picture(recording.tensor(name)), **_EXACT)
    return report


def check_batch(recording: Recording) -> Report:
    """Pictures of different sizes in one batch, and what the network makes of it before its first layer."""
    report = Report("detection batch")
    pictures = [recording.tensor(name) for name in _numbered(recording, "image_")]
    if not pictures:
        raise RecordingError(f"{recording.path.name} holds no pictures (image_0, ...)")
    processor = HulkDetectionImageProcessor.from_task(_TASK, do_pad=True, do_resize=False)
    raw = processor(pictures, do_rescale=False, do_normalize=False, return_tensors="pt")
    report.add("batch", raw["pixel_values"], recording.tensor("batch"), **_EXACT)
    report.add("mask", raw["pixel_mask"] == 0, recording.tensor("mask"), **_EXACT)
    side = {"num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    config = HulkConfig(
        vision_config={"hidden_size": 8, **side}, decoder_config={"hidden_size": 8, **side}, tasks=[_TASK]
    )
    trunk = HulkForPedestrianDetection(config).hulk
    inputs = trunk.prepare(_TASK, **processor(pictures, return_tensors="pt"))
    report.add(
        "normalised and padded", inputs.values, recording.tensor("normalised_padded"), absolute=1e-6, relative=0.0
    )
    tokens = torch.ones(len(pictures), inputs.grid[0] * inputs.grid[1])
    if inputs.token_mask is not None:  # None where nothing is padded
        tokens = inputs.token_mask
    report.add("mask of tokens", tokens == 0, recording.tensor("token_mask"), **_EXACT)
    report.add("grid of tokens", torch.tensor(inputs.grid), recording.tensor("grid"), **_EXACT)
    if "mask_padded" in recording.tensors:
        report.left_out["mask_padded"] = "the network has no such mask, only that of tokens"
    return report


def _compare_targets(report: Report, ours: BoxTargets, recorded: dict[str, torch.Tensor], stage: str) -> None:
    for name, values, tolerance in (
        ("boxes", ours.boxes, _ROUNDING),
        ("labels", ours.classes, _EXACT),
        ("area", ours.areas, _ROUNDING),
        ("iscrowd", ours.ignored, _EXACT),
    ):
        if name in recorded:
            report.add(f"{stage}: {name}", values, recorded[name], **tolerance)


def check_targets(recording: Recording) -> Report:
    """Annotations -> boxes, labels and ignored boxes; resized, mirrored, cropped, and as the network gets them."""
    report = Report("detection targets")
    width, height = recording.field("image_size_wh")
    image_size = (height, width)
    given = {name: recording.tensor(name) for name in ("bbox", "category", "iscrowd_in", "area_in")}
    targets = annotation_targets(given["bbox"], given["category"], given["area_in"], given["iscrowd_in"], image_size)
    prepared = recording.group("prepared.")
    _compare_targets(report, targets, prepared, "prepared")
    if "orig_size" in prepared:
        report.add("prepared: size", torch.tensor(image_size), prepared["orig_size"], **_EXACT)
    _compare_targets(report, flip_targets(targets, width), recording.group("hflip."), "mirrored")
    if "crop.boxes" in recording.tensors:
        region = [recording.field(f"crop_region.{name}") for name in ("top", "left", "height", "width")]
        _compare_targets(report, crop_targets(targets, region), recording.group("crop."), "cropped")
    _compare_test(report, recording, targets, image_size)
    return report


def _compare_test(report: Report, recording: Recording, targets: BoxTargets, image_size: tuple[int, int]) -> None:
    """The test path: by the pure functions, and from annotations to labels through the processor."""
    recorded = recording.group("test.")
    processor = HulkDetectionImageProcessor.from_task(_TASK)
    columns = zip(
        *(recording.tensor(name).tolist() for name in ("bbox", "category", "iscrowd_in", "area_in")), strict=True
    )
    annotations = [
        {"bbox": box, "category_id": category, "iscrowd": crowd, "area": area}
        for box, category, crowd, area in columns
    ]
    picture = torch.zeros(3, *image_size, dtype=torch.uint8)
    labels = processor(picture, annotations=annotations, return_tensors="pt")["labels"][0]
    if "size" in recorded:
        report.add("test: size", labels["size"], recorded["size"], **_EXACT)
    resized = resize_targets(targets, image_size, labels["size"].tolist())
    if "boxes" in recorded:
        shares = resized.boxes / labels["size"].flip(0).repeat(2)
        report.add("test: boxes", shares, recorded["boxes"], **_ROUNDING)
    if "area" in recorded:
        report.add("test: area", labels["area"], recorded["area"], **_ROUNDING)
    if "boxes_cxcywh" in recorded:
        report.add("test: boxes as the loss takes them", labels["boxes"], recorded["boxes_cxcywh"], **_ROUNDING)
    report.add("test: ignored boxes", labels["iscrowd"], recording.tensor("prepared.iscrowd"), **_EXACT)


__all__ = ["check_batch", "check_input", "check_targets"]
