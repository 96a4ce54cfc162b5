# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Keypoint metrics: object keypoint similarity (OKS) and COCO's average precision."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np


def object_keypoint_similarity(
    predicted: np.ndarray, annotated: np.ndarray, areas: np.ndarray, sigmas: Sequence[float]
) -> np.ndarray:
    """OKS of each person, as COCO defines it: the mean over annotated joints of exp(-d^2 / (2 area (2 sigma)^2)).

    Args:
        predicted: Shape (N, K, 2), (x, y) in pixels of the image.
        annotated: Shape (N, K, 3), (x, y, v); joints with v = 0 don't count.
        areas: Shape (N,), area of each person in square pixels.
        sigmas: K constants of the joint set.

    Returns:
        Shape (N,), 0..1; NaN for a person without any annotated joint.
    """
    distance = ((np.asarray(predicted, np.float64)[..., :2] - annotated[..., :2]) ** 2).sum(-1)
    spread = 2 * np.asarray(areas, np.float64)[:, None] * (2 * np.asarray(sigmas)[None]) ** 2
    similarity = np.exp(-distance / np.maximum(spread, np.finfo(np.float64).tiny))
    labelled = annotated[..., 2] > 0
    count = labelled.sum(-1)
    mean = np.where(labelled, similarity, 0).sum(-1) / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan)


def coco_average_precision(
    predicted: np.ndarray,
    scores: np.ndarray,
    annotated: np.ndarray,
    areas: np.ndarray,
    boxes: np.ndarray,
    sigmas: Sequence[float],
    image_ids: Sequence[int] | None = None,
) -> dict[str, float]:
    """Average precision and recall of keypoints, computed by `faster-coco-eval`.

    Args:
        predicted: Shape (N, K, 2), one pose for each annotated person.
        scores: Shape (N,), the confidence of each pose.
        annotated: Shape (N, K, 3), (x, y, v).
        areas: Shape (N,), square pixels.
        boxes: Shape (N, 4), (x, y, width, height) in pixels.
        sigmas: K constants of the joint set.
        image_ids: The picture of each person; every person in a picture of its own when None.

    Returns:
        `AP`, `AP50`, `AP75` and `AR`, each 0..1.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    image_ids = list(range(1, len(predicted) + 1)) if image_ids is None else [int(i) for i in image_ids]
    annotations, detections = [], []
    for row, image_id in enumerate(image_ids):
        flat = np.asarray(annotated[row], np.float64).reshape(-1).tolist()
        annotations.append(
            {
                "id": row + 1,
                "image_id": image_id,
                "category_id": 1,
                "iscrowd": 0,
                "area": float(areas[row]),
                "bbox": [float(side) for side in boxes[row]],
                "keypoints": flat,
                "num_keypoints": int((annotated[row][:, 2] > 0).sum()),
            }
        )
        pose = np.concatenate([predicted[row], np.ones((len(predicted[row]), 1))], axis=1)
        detections.append(
            {
                "image_id": image_id,
                "category_id": 1,
                "keypoints": np.asarray(pose, np.float64).reshape(-1).tolist(),
                "score": float(scores[row]),
            }
        )
    dataset = {
        "info": {},
        "licenses": [],
        "images": [{"id": image_id} for image_id in sorted(set(image_ids))],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": [str(k) for k in range(len(sigmas))], "skeleton": []}],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # the library reports on standard output
        truth = COCO(dataset)
        evaluation = COCOeval_faster(
            truth, truth.loadRes(detections), iouType="keypoints", kpt_oks_sigmas=np.asarray(sigmas, np.float64)
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = np.asarray(evaluation.stats, np.float64)
    return {"AP": float(figures[0]), "AP50": float(figures[1]), "AP75": float(figures[2]), "AR": float(figures[5])}


__all__ = ["coco_average_precision", "object_keypoint_similarity"]
