# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Attribute metrics: mean accuracy (mA) and the figures of instances (spec of evaluation, 5.5)."""

from __future__ import annotations

import warnings

import numpy as np

THRESHOLD = 0.3  # as released
_EPS = 1e-20


def recalls(
    labels: np.ndarray, scores: np.ndarray, threshold: float = THRESHOLD, leave_out_unknown: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Recall of the people who have each attribute, and of those who have not.

    Args:
        labels: Shape (N, A): 1, 0, and -1 where nothing is known.
        scores: Shape (N, A), probabilities; what exceeds the threshold, both in float32, is said to be true.
        threshold: 0..1.
        leave_out_unknown: Leave -1 out; as released it counts as 0.

    Returns:
        Two arrays (A,), NaN where there is nobody.

    Raises:
        ValueError: The shapes differ.
    """
    labels, predicted = _compare(labels, scores, threshold)
    known = labels >= 0 if leave_out_unknown else np.ones_like(labels, bool)
    true, false = labels == 1, known & (labels != 1)
    with np.errstate(invalid="ignore"):
        return (true & predicted).sum(0) / true.sum(0), (false & ~predicted).sum(0) / false.sum(0)


def mean_accuracy(
    labels: np.ndarray, scores: np.ndarray, threshold: float = THRESHOLD, leave_out_unknown: bool = False
) -> float:
    """mA with the sides that nobody is on left out: the mean over attributes of the mean of their recalls.

    The released figure, where such a side counts as 0, is that of `attribute_figures`. Arguments are those of
    `recalls`.
    """
    sides = np.stack(recalls(labels, scores, threshold, leave_out_unknown))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an attribute that nothing is known of
        return float(np.nanmean(np.nanmean(sides, axis=0)))


def attribute_figures(labels: np.ndarray, scores: np.ndarray, threshold: float = THRESHOLD) -> dict[str, float]:
    """The released figures, 0..1.

    Unknown counts as absent, an attribute that nobody has, or everybody, has at most half of its accuracy, somebody
    without true and predicted attributes scores 0, and `F1` is the mean of the values of each person.

    Args:
        labels: Shape (N, A): 1, 0, -1.
        scores: Shape (N, A), probabilities.
        threshold: What a score has to exceed, both in float32.

    Returns:
        `mA`; `accuracy`, `precision`, `recall` and `F1` of instances; `positive_recall` and `negative_recall`, means
        over attributes.

    Raises:
        ValueError: The shapes differ.
    """
    labels, predicted = _compare(labels, scores, threshold)
    true = labels == 1
    false = ~true & (labels <= 1)  # 2, an unknown gender, is neither
    positive = (true & predicted).sum(0) / (true.sum(0) + _EPS)
    negative = (false & ~predicted).sum(0) / (false.sum(0) + _EPS)
    hits, either = (true & predicted).sum(1), (true | predicted).sum(1)
    precision, recall = hits / (predicted.sum(1) + _EPS), hits / (true.sum(1) + _EPS)
    return {
        "mA": float(((positive + negative) / 2).mean()),
        "accuracy": float((hits / (either + _EPS)).mean()),
        "precision": float(precision.mean()),
        "recall": float(recall.mean()),
        "F1": float((2 * precision * recall / (precision + recall + _EPS)).mean()),
        "positive_recall": float(positive.mean()),
        "negative_recall": float(negative.mean()),
    }


def _compare(labels: np.ndarray, scores: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    labels = np.asarray(labels)
    if labels.ndim != 2 or np.shape(scores) != labels.shape:
        raise ValueError(
            f"scores: expected one per person and attribute, shape {labels.shape}, got {np.shape(scores)}"
        )
    return labels, np.asarray(scores, np.float32) > np.float32(threshold)


__all__ = ["THRESHOLD", "attribute_figures", "mean_accuracy", "recalls"]
