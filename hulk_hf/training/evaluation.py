# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of pose models with ground-truth boxes, and the trivial answer to compare with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from hulk_hf.metrics.keypoints import coco_average_precision, object_keypoint_similarity
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pose_geometry_hulk import (
    average_flipped,
    boxes_to_center_scale,
    crop_matrices,
    decode_heatmaps,
    warp_crops,
)
from hulk_hf.training.augmentation import IMAGE_MEAN, IMAGE_STD


@torch.no_grad()
def predict_poses(
    model: HulkForPoseEstimation,
    images: Any,
    boxes: np.ndarray,
    image_size: tuple[int, int],
    flip_test: bool = True,
    batch_size: int = 32,
    progress: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Run the test path on one person per picture.

    Args:
        model: In evaluation mode.
        images: N pictures, each (H, W, 3) uint8 RGB; sizes may differ.
        boxes: Shape (N, 4), (x, y, width, height) in pixels.
        image_size: (height, width) of the crops.
        flip_test: Average with the mirrored pass.
        batch_size: Crops per forward pass.
        progress: Show a bar.

    Returns:
        Joints (N, K, 2) in pixels of the pictures, and their scores (N, K).
    """
    task = model.hulk.resolve_task(family="pose")
    mean, std = (torch.tensor(values).view(3, 1, 1) * 255 for values in (IMAGE_MEAN, IMAGE_STD))
    center, scale = boxes_to_center_scale(boxes, image_size)
    matrices = crop_matrices(center, scale, image_size)
    joints, scores = [], []
    for start in tqdm(range(0, len(boxes), batch_size), disable=not progress, desc="evaluate"):
        rows = range(start, min(start + batch_size, len(boxes)))
        crops = [
            warp_crops(torch.from_numpy(np.array(images[row])).permute(2, 0, 1), matrices[row, None], image_size)
            for row in rows
        ]
        pixel_values = (torch.cat(crops).float() - mean) / std
        heatmaps = model(pixel_values).heatmaps
        if flip_test:
            heatmaps = average_flipped(heatmaps, model(pixel_values.flip(-1)).heatmaps, task.flip_pairs)
        decoded = decode_heatmaps(heatmaps, center[rows.start : rows.stop], scale[rows.start : rows.stop])
        joints.append(decoded[0].numpy())
        scores.append(decoded[1].numpy())
    return np.concatenate(joints), np.concatenate(scores)


def pose_figures(
    predicted: np.ndarray, scores: np.ndarray, data: Mapping[str, np.ndarray], sigmas: tuple[float, ...]
) -> dict[str, float]:
    """Mean OKS and COCO's average precision of predicted poses.

    Args:
        predicted: Shape (N, K, 2).
        scores: Shape (N, K); their mean is the confidence of a pose.
        data: `keypoints` (N, K, 3), `areas` (N,) and `boxes` (N, 4); `image_ids` (N,) if pictures are shared.
        sigmas: OKS constants.
    """
    oks = object_keypoint_similarity(predicted, data["keypoints"], data["areas"], sigmas)
    precision = coco_average_precision(
        predicted,
        scores.mean(axis=1),
        data["keypoints"],
        data["areas"],
        data["boxes"],
        sigmas,
        data.get("image_ids"),
    )
    return {"n": int(np.isfinite(oks).sum()), "OKS": float(np.nanmean(oks)), **precision}


def mean_pose(keypoints: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The average place of every joint inside its box, shape (K, 2): 0 is the near edge, 1 the far edge."""
    relative = (keypoints[..., :2] - boxes[:, None, :2]) / boxes[:, None, 2:]
    labelled = keypoints[..., 2:] > 0
    return (relative * labelled).sum(0) / np.maximum(labelled.sum(0), 1)


def place_mean_pose(mean: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Put the mean pose into each box: shape (N, K, 2) in pixels."""
    return boxes[:, None, :2] + mean[None] * boxes[:, None, 2:]


def load_coco_persons(folder: str | Path) -> dict[str, Any]:
    """Read annotated persons from a folder with pictures and one annotation file in COCO format.

    Args:
        folder: Holds one `.json` file and the pictures it names.

    Returns:
        `images`, `boxes`, `keypoints`, `areas` and `image_ids`, one entry per person with labelled keypoints.
    """
    from PIL import Image

    folder = Path(folder)
    files = sorted(folder.glob("*.json"))
    if len(files) != 1:
        raise ValueError(f"folder: expected one .json file with COCO annotations in {folder}, got {len(files)}")
    annotations = json.loads(files[0].read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in annotations["images"]}
    persons = [a for a in annotations["annotations"] if a.get("num_keypoints", 0) > 0 and not a.get("iscrowd", 0)]
    pictures = {i: np.asarray(Image.open(folder / Path(names[i]).name).convert("RGB")) for i in names}
    return {
        "images": [pictures[person["image_id"]] for person in persons],
        "boxes": np.array([person["bbox"] for person in persons], np.float32),
        "keypoints": np.array([person["keypoints"] for person in persons], np.float32).reshape(len(persons), -1, 3),
        "areas": np.array([person["area"] for person in persons], np.float32),
        "image_ids": np.array([person["image_id"] for person in persons]),
    }


__all__ = [
    "load_coco_persons",
    "mean_pose",
    "place_mean_pose",
    "pose_figures",
    "predict_poses",
]
