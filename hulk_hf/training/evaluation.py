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
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.images_hulk import read_image
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pose_geometry_hulk import clip_annotation_boxes, keep_annotation


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
    """Run the test path on one person per picture, through the image processor that users run.

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
    processor = HulkPoseImageProcessor.from_task(task, size={"height": image_size[0], "width": image_size[1]})
    places = torch.as_tensor(np.array(boxes), dtype=torch.float64)
    joints, scores = [], []
    for start in tqdm(range(0, len(boxes), batch_size), disable=not progress, desc="evaluate"):
        rows = range(start, min(start + batch_size, len(boxes)))
        inputs = processor(
            [np.asarray(images[row]) for row in rows],
            boxes=[places[row, None] for row in rows],
            input_data_format="channels_last",
            return_tensors="pt",
        )
        pixel_values = inputs["pixel_values"].to(model.device, model.dtype)
        heatmaps = model(pixel_values, task=task.name).heatmaps
        flipped = None
        if flip_test:
            flipped = model(processor.flip_pixel_values(pixel_values), task=task.name).heatmaps
        decoded = processor.decode(heatmaps, places[rows.start : rows.stop], heatmaps_flipped=flipped)
        joints.append(decoded[0].cpu().numpy())
        scores.append(decoded[1].cpu().numpy())
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

    Pictures are upright, as their EXIF orientation says. Persons are those that the official data sets keep, with
    boxes clipped as theirs (official data path, step 1).

    Args:
        folder: Holds one `.json` file and the pictures it names.

    Returns:
        `images`, (H, W, 3) uint8 each; `boxes` (N, 4) as (x, y, width, height), `keypoints` (N, K, 3), `areas` (N,)
        and `image_ids` (N,): one entry per person.

    Raises:
        ValueError: There is not one `.json` file, a picture cannot be read, or no person is left.
    """
    folder = Path(folder)
    files = sorted(folder.glob("*.json"))
    if len(files) != 1:
        raise ValueError(f"folder: expected one .json file with COCO annotations in {folder}, got {len(files)}")
    annotations = json.loads(files[0].read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in annotations["images"]}
    pictures = {i: read_image(folder / Path(names[i]).name).permute(1, 2, 0).numpy() for i in names}
    persons = [a for a in annotations["annotations"] if keep_annotation(a, pictures[a["image_id"]].shape[:2])]
    if not persons:
        raise ValueError(f"folder: expected persons with labelled keypoints in {files[0]}, got none")
    boxes = [clip_annotation_boxes([a["bbox"]], pictures[a["image_id"]].shape[:2]) for a in persons]
    return {
        "images": [pictures[person["image_id"]] for person in persons],
        "boxes": torch.cat(boxes).numpy(),
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
