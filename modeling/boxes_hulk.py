# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Boxes as plain functions: forms, areas, overlaps. A box is four numbers in the last axis, in any unit."""

import torch


def corners_to_centers(boxes: torch.Tensor) -> torch.Tensor:
    """Turn (x1, y1, x2, y2) into (center x, center y, width, height): shape (..., 4) to (..., 4)."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def centers_to_corners(boxes: torch.Tensor) -> torch.Tensor:
    """Turn (center x, center y, width, height) into (x1, y1, x2, y2): shape (..., 4) to (..., 4)."""
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([center - half, center + half], dim=-1)


def box_area(boxes: torch.Tensor) -> torch.Tensor:
    """Areas of boxes (x1, y1, x2, y2): shape (..., 4) to (...)."""
    return (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)


def box_intersection(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """The area that two boxes (x1, y1, x2, y2) share.

    Args:
        boxes: Shape (..., 4).
        others: Shape (..., 4), broadcast against `boxes`; (..., N, 1, 4) and (..., 1, M, 4) compare all pairs.

    Returns:
        Shape (...).
    """
    low = torch.maximum(boxes[..., :2], others[..., :2])
    high = torch.minimum(boxes[..., 2:], others[..., 2:])
    return (high - low).clamp(min=0).prod(dim=-1)


def generalized_iou(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Intersection over union, less the share of the smallest box around both that belongs to neither.

    Args:
        boxes: Shape (..., 4), (x1, y1, x2, y2).
        others: Shape (..., 4), broadcast against `boxes`; of an area above 0.

    Returns:
        Shape (...), from -1 (far apart) to 1 (equal).
    """
    shared = box_intersection(boxes, others)
    union = box_area(boxes) + box_area(others) - shared
    low = torch.minimum(boxes[..., :2], others[..., :2])
    high = torch.maximum(boxes[..., 2:], others[..., 2:])
    around = (high - low).prod(dim=-1)
    return shared / union - (around - union) / around


__all__ = ["box_area", "box_intersection", "centers_to_corners", "corners_to_centers", "generalized_iou"]
