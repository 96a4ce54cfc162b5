# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Segmentation metrics: confusion matrix, intersection over union, accuracies."""

from __future__ import annotations

import numpy as np

IGNORED = 255


def confusion_matrix(annotated: np.ndarray, predicted: np.ndarray, num_labels: int) -> np.ndarray:
    """Count pixels by annotated (row) and predicted (column) label.

    Args:
        annotated: Label of every pixel, any shape; 255 is left out, and so is what is no label.
        predicted: The same shape.
        num_labels: K.

    Returns:
        Shape (K, K), int64.

    Raises:
        ValueError: The shapes differ.
    """
    annotated, predicted = np.asarray(annotated), np.asarray(predicted)
    if annotated.shape != predicted.shape:
        raise ValueError(f"predicted: expected the shape {annotated.shape} of annotated, got {predicted.shape}")
    annotated, predicted = annotated.ravel().astype(np.int64), predicted.ravel().astype(np.int64)
    # As released, pairs are numbers, which fall outside the matrix where a label is none.
    pairs = (annotated * num_labels + predicted)[annotated != IGNORED]
    pairs = pairs[(pairs >= 0) & (pairs < num_labels**2)]
    return np.bincount(pairs, minlength=num_labels**2).reshape(num_labels, num_labels)


def iou_per_label(matrix: np.ndarray) -> np.ndarray:
    """Intersection over union of each label: shape (K,); NaN where a label is neither annotated nor predicted."""
    hits = np.diag(matrix).astype(np.float64)
    union = matrix.sum(0) + matrix.sum(1) - hits
    return np.where(union > 0, hits / np.maximum(union, 1), np.nan)


def segmentation_figures(matrix: np.ndarray) -> dict[str, float]:
    """Figures of a confusion matrix, 0..1 (Spec of evaluation, 5.3).

    Returns:
        `mIoU`, the mean over labels that are annotated or predicted; `mACC`, the mean recall over labels that are
        annotated (the release divides by the predicted pixels instead, see `mean_precision`); `pACC`, the share of
        pixels that are right; NaN without any pixel.
    """
    hits, rows = np.diag(matrix).astype(np.float64), matrix.sum(1)
    total = rows.sum()
    if not total:
        return {"mIoU": np.nan, "mACC": np.nan, "pACC": np.nan}
    return {
        "mIoU": float(np.nanmean(iou_per_label(matrix))),
        "mACC": float((hits[rows > 0] / rows[rows > 0]).mean()),
        "pACC": float(hits.sum() / total),
    }


def mean_precision(matrix: np.ndarray) -> float:
    """What the release reports as mean accuracy: the mean precision over labels that are predicted."""
    columns = matrix.sum(0)
    return float((np.diag(matrix)[columns > 0] / columns[columns > 0]).mean()) if columns.any() else float("nan")


__all__ = ["confusion_matrix", "iou_per_label", "mean_precision", "segmentation_figures"]
