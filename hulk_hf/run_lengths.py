# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Masks as run lengths, in the uncompressed form that COCO files have."""

from __future__ import annotations

from typing import Any

import numpy as np


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """Encode a mask.

    Args:
        mask: Shape (H, W), bool.

    Returns:
        `size` [H, W] and `counts`: lengths of runs of 0 and 1 in turn, beginning with 0, down the columns one by one.
    """
    flat = np.asarray(mask, bool).T.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    starts_inside = bool(flat.size and flat[0])
    return {"size": list(np.shape(mask)), "counts": [0, *counts] if starts_inside else counts}


def mask_of(runs: dict[str, Any]) -> np.ndarray:
    """The mask (H, W) that `run_lengths` encoded.

    Raises:
        ValueError: The lengths do not add up to the size.
    """
    height, width = runs["size"]
    counts = np.asarray(runs["counts"], int)
    if counts.sum() != height * width:
        raise ValueError(f"runs: counts add up to {counts.sum()}, expected {height}x{width} = {height * width}")
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(width, height).T


__all__ = ["mask_of", "run_lengths"]
