# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our crops, targets and decoding against recordings of the official pre- and post-processing of pose.

Where exact interpolation differs from the fixed-point kernel of the image library that was recorded, the recording
says by how much; those figures are the tolerances here.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.keymap import official_task
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.modeling.pose_geometry_hulk import (
    boxes_to_center_scale,
    clip_annotation_boxes,
    crop_matrices,
    decode_heatmaps,
    flip_center,
    flip_heatmaps,
    flip_keypoints,
    heatmap_targets,
    keep_annotation,
    transform_points,
    warp_crops,
)
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

_PIXELS = {"absolute": 1e-3, "relative": 0.0}
_ROUNDING = {"absolute": 0.0, "relative": 1e-6}
# The recorded kernel rounds source coordinates to 1/32 pixel: half a step in x and in y, at an edge of 255 levels.
_FIXED_POINT_MAX = 2 * 255 / 64
_FIXED_POINT_MEAN, _FIXED_POINT_SHARE, _FIXED_POINT_LEVELS = 0.3, 0.03, 1.5


def find_sets(recording: Recording, names: set[str]) -> list[str]:
    """Prefixes (`task8.`, `a.`, or nothing) under which a recording holds all of `names`."""
    prefixes = {name.rpartition(".")[0] for name in recording.tensors}
    dotted = sorted(f"{prefix}." if prefix else "" for prefix in prefixes)
    return [prefix for prefix in dotted if all(prefix + name in recording.tensors for name in names)]


# Crops --------------------------------------------------------------------------------------------------------------


def _picture(recording: Recording, index: int) -> torch.Tensor:
    data = recording.tensor(f"image_png_{index}").numpy().tobytes()
    with Image.open(io.BytesIO(data)) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def _compare_crop(report: Report, prefix: str, ours: torch.Tensor, recorded: torch.Tensor) -> None:
    difference = (ours.float() - recorded.float()).abs()
    share = (difference > _FIXED_POINT_LEVELS).float().mean()
    note = "grey levels, against the fixed-point kernel"
    report.add_bound(f"{prefix}crop, largest", difference.max().item(), _FIXED_POINT_MAX, note)
    report.add_bound(f"{prefix}crop, mean", difference.mean().item(), _FIXED_POINT_MEAN, note)
    report.add_bound(f"{prefix}crop, share above 1.5", share.item(), _FIXED_POINT_SHARE, note)


def check_crops(recording: Recording) -> Report:
    """Boxes -> centre, scale, matrix and crop; with annotations, also which of them are used and their joints."""
    report = Report("pose crops")
    for prefix in find_sets(recording, CROP_SET):
        recorded = recording.group(prefix)
        image_size = recorded["crop"].shape[-2:]
        boxes, pictures = recorded["bbox"], recorded["image_index"].tolist()
        if "annotation_id" in recorded:
            _compare_annotations(recording, prefix, report)
        center, scale = boxes_to_center_scale(boxes, image_size)
        matrices = crop_matrices(center, scale, image_size)
        report.add(f"{prefix}center", center, recorded["center"], **_ROUNDING)
        report.add(f"{prefix}scale", scale, recorded["scale"], **_ROUNDING)
        report.add(f"{prefix}matrix", matrices, recorded["matrix"], **_ROUNDING)
        crops = torch.empty_like(recorded["crop"])
        for picture in sorted(set(pictures)):
            rows = [row for row, index in enumerate(pictures) if index == picture]
            crops[rows] = warp_crops(_picture(recording, picture), matrices[rows], image_size)
        _compare_crop(report, prefix, crops, recorded["crop"])
        if "crop_float" in recorded:
            exact = crops[recorded["crop_float_index"]]
            report.add(f"{prefix}crop, exact kernel", exact, recorded["crop_float"], absolute=1.0, relative=0.0)
    return report


def _compare_annotations(recording: Recording, prefix: str, report: Report) -> None:
    """Which annotations become samples, their clipped boxes, joints and visibility."""
    recorded = recording.group(prefix)
    annotations = recording.field(f"annotations.{_number(prefix)}")
    image_ids = sorted({annotation["image_id"] for annotation in annotations})
    ids, boxes, joints = [], [], []
    for index, image_id in enumerate(image_ids):
        size = _picture(recording, index).shape[-2:]
        for annotation in annotations:
            if annotation["image_id"] == image_id and keep_annotation(annotation, size):
                ids.append(annotation["id"])
                boxes.append(clip_annotation_boxes([annotation["bbox"]], size)[0])
                joints.append(torch.tensor(annotation["keypoints"], dtype=torch.float32).view(-1, 3))
    exact = {"absolute": 0.0, "relative": 0.0}
    report.add(f"{prefix}annotations used", torch.tensor(ids), recorded["annotation_id"], **exact)
    report.add(f"{prefix}clipped boxes", torch.stack(boxes), recorded["bbox"], **_ROUNDING)
    keypoints = torch.stack(joints)
    report.add(f"{prefix}keypoints", keypoints[..., :2], recorded["keypoints"][..., :2], **exact)
    report.add(f"{prefix}visible", keypoints[..., 2].clamp(max=1), recorded["visible"][..., 0], **exact)


def _number(prefix: str) -> int:
    digits = re.search(r"\d+", prefix)
    if digits is None:
        raise RecordingError(f"expected a number in the name of the set {prefix!r}")
    return int(digits[0])


def check_train_affine(recording: Recording) -> Report:
    """Mirrored and rotated crops and joints, as in training."""
    report = Report("pose training crops")
    picture = _picture(recording, 0)
    cases = recording.field("cases")
    for prefix in find_sets(recording, AFFINE_SET):
        recorded, case = recording.group(prefix), cases[_number(prefix)]
        image_size = recorded["crop"].shape[-2:]
        points, visible = recorded["joints_in"][None, :, :2], recorded["visible_in"][None, :, 0]
        center, image = recorded["center_in"][None], picture
        if case["flip"]:
            pairs = case.get("flip_pairs") or KNOWN_TASKS[official_task(8)].flip_pairs or ()
            points, visible = flip_keypoints(points, visible, picture.shape[-1], pairs)
            center, image = flip_center(center, picture.shape[-1]), picture.flip(-1)
        matrices = crop_matrices(center, recorded["scale"][None], image_size, [case["rotation"]])
        report.add(f"{prefix}center", center[0], recorded["center"], **_ROUNDING)
        report.add(f"{prefix}matrix", matrices[0], recorded["matrix"], absolute=1e-6, relative=1e-6)
        report.add(f"{prefix}joints", transform_points(points, matrices)[0], recorded["joints"][:, :2], **_PIXELS)
        report.add(f"{prefix}visible", visible[0], recorded["visible"][:, 0], absolute=0.0, relative=0.0)
        _compare_crop(report, prefix, warp_crops(image, matrices, image_size)[0], recorded["crop"])
    return report


# Heat maps ----------------------------------------------------------------------------------------------------------


def check_targets(recording: Recording) -> Report:
    """Gaussian targets and their weights."""
    report = Report("pose targets")
    for prefix in find_sets(recording, TARGET_SET):
        recorded = recording.group(prefix)
        width, height = recording.field(f"details.{prefix.removesuffix('.')}.image_size_wh")
        maps, weights = heatmap_targets(
            recorded["joints"][..., :2], recorded["visible"][..., 0], (height, width), recorded["heatmap"].shape[-2:]
        )
        report.add(f"{prefix}heat maps", maps, recorded["heatmap"], absolute=1e-6, relative=0.0)
        report.add(f"{prefix}weights", weights, recorded["weight"][..., 0], absolute=0.0, relative=0.0)
    return report


def check_decoding(recording: Recording) -> Report:
    """Heat maps -> joints in the picture, and turning mirrored maps back."""
    report = Report("pose decoding")
    for prefix in find_sets(recording, DECODE_SET):
        recorded = recording.group(prefix)
        heatmaps, center, scale = (recorded[name] for name in ("heatmap", "center", "scale"))
        joints, scores = decode_heatmaps(heatmaps, center, scale)
        # Without a positive value in the map the official coordinates come from the neighbouring joint's map: they
        # mean nothing, and ours are others. The score counts, and is compared.
        peaked = heatmaps.amax(dim=(2, 3)) > 0
        report.add(f"{prefix}joints", joints[peaked], recorded["preds"][..., :2][peaked], **_PIXELS)
        recorded_scores = recorded["maxvals"][..., 0] if "maxvals" in recorded else recorded["preds"][..., 2]
        report.add(f"{prefix}scores", scores, recorded_scores, **_ROUNDING)
        if not peaked.all():
            report.left_out[f"{prefix}joints without a positive value"] = f"{int((~peaked).sum())}: only the scores"
        if {"boxes", "score"} <= recorded.keys():
            area = (200 * scale).prod(dim=1, keepdim=True)
            boxes = torch.cat([center, scale, area, recorded["score"][:, None].float()], dim=1)
            report.add(f"{prefix}box information", boxes, recorded["boxes"], **_ROUNDING)
        if "flip_back" in recorded:
            back = flip_heatmaps(heatmaps, recorded["flip_pairs"].tolist())
            report.add(f"{prefix}mirrored back", back, recorded["flip_back"], absolute=0.0, relative=0.0)
    return report


CROP_SET = {"bbox", "center", "scale", "matrix", "crop", "image_index"}
AFFINE_SET = {"joints_in", "visible_in", "center_in", "center", "scale", "matrix", "joints", "visible", "crop"}
TARGET_SET = {"joints", "visible", "heatmap", "weight"}
DECODE_SET = {"heatmap", "center", "scale", "preds"}

CHECKS: tuple[tuple[set[str], Callable[[Recording], Report]], ...] = (
    (CROP_SET, check_crops),
    (AFFINE_SET, check_train_affine),
    (TARGET_SET, check_targets),
    (DECODE_SET, check_decoding),
)
"""Tensors by which a recording is recognised -> what to do with it."""

__all__ = ["CHECKS", "check_crops", "check_decoding", "check_targets", "check_train_affine", "find_sets"]
