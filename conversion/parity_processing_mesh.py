# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our crops and targets of mesh recovery against recordings of the official ones."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.parity_pose_geometry import find_sets
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.modeling.mesh_geometry_hulk import (
    PIXELS_PER_SCALE,
    cut_rotated,
    cut_squares,
    joints_to_crop,
    mirror_angles,
    mirror_joints,
    rotate_angles,
    rotate_joints,
    square_windows,
)

_EXACT = {"absolute": 0.0, "relative": 0.0}
_ROUNDING = {"absolute": 1e-6, "relative": 0.0}
_PIXELS = {"absolute": 1e-2, "relative": 0.0}
_CASE = ({"joints_in"}, {"crop"}, {"crop_every4"})
_SIZE = 224


def check_mesh_crops(recording: Recording) -> Report:
    """Centre and scale -> whole pixels, crop and joints; one crop with the variations of training."""
    report = Report("mesh crops")
    cases = recording.field("cases", [])
    prefixes = {prefix for names in _CASE for prefix in find_sets(recording, names) if prefix.startswith("case")}
    for prefix in sorted(prefixes, key=_number):
        _check_case(recording, prefix, cases[_number(prefix)], report)
    if recording.group("train."):
        _check_training(recording, report)
    if not report.comparisons:
        raise RecordingError(f"{recording.path.name} holds no crops or joints of a case ('case0.crop')")
    return report


def _number(prefix: str) -> int:
    digits = re.search(r"\d+", prefix)
    if digits is None:
        raise RecordingError(f"expected the name of a case, such as 'case0.', got {prefix!r}")
    return int(digits[0])


def _picture(recording: Recording, case: Mapping[str, Any]) -> torch.Tensor:
    data = recording.tensor(f"image_png_{case.get('image_index', 0)}").numpy().tobytes()
    with Image.open(io.BytesIO(data)) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)


def _square(case: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    center = torch.tensor([case["center"]], dtype=torch.float64)
    return center, torch.tensor([case["scale"]], dtype=torch.float64) * PIXELS_PER_SCALE


def _compare_crop(report: Report, prefix: str, crop: torch.Tensor, recorded: Mapping[str, torch.Tensor]) -> None:
    if "crop" in recorded:
        report.add(f"{prefix}crop", crop, recorded["crop"], **_PIXELS)
    if "crop_every4" in recorded:
        report.add(f"{prefix}crop, every fourth pixel", crop[:, ::4, ::4], recorded["crop_every4"], **_PIXELS)


def _check_case(recording: Recording, prefix: str, case: Mapping[str, Any], report: Report) -> None:
    recorded, (center, side) = recording.group(prefix), _square(case)
    size = recorded["crop"].shape[-1] if "crop" in recorded else _SIZE
    windows = square_windows(center, side, size)
    if {"ul", "br"} <= set(case):
        report.add(f"{prefix}whole pixels", windows[0], torch.tensor([*case["ul"], *case["br"]]), **_EXACT)
    _compare_crop(report, prefix, cut_squares(_picture(recording, case), windows, size)[0], recorded)
    if "joints" in recorded:
        joints = joints_to_crop(recorded["joints_in"][None], center, side, size)[0]
        report.add(f"{prefix}joints", joints, recorded["joints"], **_ROUNDING)


def _check_training(recording: Recording, report: Report) -> None:
    """The crop, joints and angles of one person, turned, mirrored and with other colours."""
    recorded, case = recording.group("train."), recording.field("training")
    center, side = _square(case)
    rotation, mirrored = case["rotation"], case["flip"]
    crop = cut_rotated(_picture(recording, case), square_windows(center, side, _SIZE)[0], _SIZE, rotation)
    crop = crop.flip(-1) if mirrored else crop
    gain = torch.tensor(case["gain"], dtype=torch.float64)[:, None, None]
    _compare_crop(report, "train.", (crop * gain).clamp(0, 255), recorded)
    if "joints" in recorded:
        joints = recorded["joints_in"] if "joints_in" in recorded else recording.tensor("case0.joints_in")
        joints = joints_to_crop(joints[None], center, side, _SIZE, rotation)[0]
        joints = mirror_joints(joints) if mirrored else joints
        report.add("train.joints", joints, recorded["joints"], **_ROUNDING)
    if {"joints3d", "joints3d_in"} <= recorded.keys():
        joints = rotate_joints(recorded["joints3d_in"][None], rotation)[0]
        joints = mirror_joints(joints) if mirrored else joints
        report.add("train.joints in space", joints, recorded["joints3d"], **_ROUNDING)
    if {"pose", "pose_in"} <= recorded.keys():
        angles = rotate_angles(recorded["pose_in"], rotation)
        angles = mirror_angles(angles) if mirrored else angles
        report.add("train.angles", angles, recorded["pose"], **_ROUNDING)


__all__ = ["check_mesh_crops"]
