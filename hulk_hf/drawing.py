# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Pictures of results: what the pipeline found, drawn with `supervision`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from hulk_hf.modeling.tasks_hulk import HulkTask


def draw_persons(
    image: Image.Image, persons: Sequence[dict[str, Any]], task: HulkTask, threshold: float = 0.2
) -> Image.Image:
    """Draw boxes, limbs and joints onto a copy of a picture; left limbs green, right limbs orange, the rest white.

    Args:
        image: The picture the persons were found in.
        persons: What the pipeline `human-pose` returned for it, with all joints (`threshold=None`).
        task: Gives the limbs and the sides of the joints.
        threshold: Joints with a lower score, and their limbs, are left out.

    Raises:
        ValueError: A person has another number of joints than the task.
    """
    import supervision as sv

    scene = np.array(image.convert("RGB"))[..., ::-1].copy()  # supervision draws in BGR
    if not persons:
        return Image.fromarray(scene[..., ::-1].copy())
    scores = np.array([person["keypoint_scores"] for person in persons], dtype=np.float32)
    joints = np.array([person["keypoints"] for person in persons], dtype=np.float32)
    if joints.shape[1:] != (task.num_labels, 2):
        raise ValueError(f"persons: expected {task.num_labels} joints each, got shape {joints.shape}")
    # Joints at (0, 0) are what supervision does not draw.
    joints = np.where((scores >= threshold)[..., None], joints, 0)
    size = max(image.size) / 400
    boxes = np.array([list(person["box"].values()) for person in persons], dtype=np.float32)
    frame = sv.BoxAnnotator(color=sv.Color.WHITE, thickness=max(round(size), 1))
    scene = frame.annotate(scene, sv.Detections(xyxy=boxes, class_id=np.zeros(len(boxes), int)))
    colours = {"left": sv.Color.from_hex("#2ecc71"), "right": sv.Color.from_hex("#ff8c1a"), "": sv.Color.WHITE}
    sides = [next((side for side in ("left", "right") if side in label.split()), "") for label in task.labels]
    for side, colour in colours.items():
        limbs = [(a + 1, b + 1) for a, b in task.skeleton if _side_of(sides[a], sides[b]) == side]
        if limbs:
            lines = sv.EdgeAnnotator(color=colour, thickness=max(round(size * 1.5), 1), edges=limbs)
            scene = lines.annotate(scene, sv.KeyPoints(xy=joints))
        own = np.array([joint_side == side for joint_side in sides])
        dots = sv.VertexAnnotator(color=colour, radius=max(round(size * 2), 2))
        scene = dots.annotate(scene, sv.KeyPoints(xy=np.where(own[None, :, None], joints, 0)))
    return Image.fromarray(scene[..., ::-1].copy())


def _side_of(first: str, second: str) -> str:
    """The side of a limb: that of its ends if they agree or if one end lies in the middle."""
    return first if first == second else (first or second if not (first and second) else "")


__all__ = ["draw_persons"]
