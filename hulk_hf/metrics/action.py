# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Action metrics: how often the true class is among the best ones (spec of evaluation, 5.6)."""

from __future__ import annotations

import numpy as np


def top_k_accuracy(logits: np.ndarray, labels: np.ndarray, k: int = 1) -> float:
    """Share of samples whose class is among the k highest logits.

    Args:
        logits: Shape (N, C). Among equal ones the classes of the lowest index come first.
        labels: Shape (N,), class indices.
        k: At least 1.

    Raises:
        ValueError: The shapes do not fit together, or there is no sample.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise ValueError(f"labels: expected one class per row of logits {logits.shape}, got {labels.shape}")
    best = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def mean_class_accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes that occur of the share of their samples that are right; arguments as above."""
    right = np.asarray(logits).argmax(axis=1) == labels
    return float(np.mean([right[np.asarray(labels) == label].mean() for label in np.unique(labels)]))


__all__ = ["mean_class_accuracy", "top_k_accuracy"]
