# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Mesh metrics: errors of joints and vertices in millimetres (spec of evaluation, 5.7)."""

from __future__ import annotations

import numpy as np

_HIPS = (2, 3)  # right and left hip among the 14 joints


def align_similarity(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Move, turn and scale points to lie as near to others as they can (Procrustes), without mirroring them.

    Args:
        points: Shape (N, P, 3).
        target: Shape (N, P, 3).

    Returns:
        Shape (N, P, 3), float64.
    """
    points, target = np.asarray(points, np.float64), np.asarray(target, np.float64)
    middle, target_middle = points.mean(axis=1, keepdims=True), target.mean(axis=1, keepdims=True)
    points, target = points - middle, target - target_middle
    u, sizes, vt = np.linalg.svd(points.transpose(0, 2, 1) @ target)
    sign = np.sign(np.linalg.det(u @ vt))
    sizes[:, -1] *= sign
    u[:, :, -1] *= sign[:, None]
    spread = (points**2).sum(axis=(1, 2))
    scale = sizes.sum(axis=1) / np.maximum(spread, np.finfo(np.float64).tiny)
    return scale[:, None, None] * points @ (u @ vt) + target_middle


def errors(predicted: np.ndarray, annotated: np.ndarray) -> np.ndarray:
    """Mean distance of the points of each sample: (N, P, 3) twice to (N,), in their unit."""
    difference = np.asarray(predicted, np.float64) - np.asarray(annotated, np.float64)
    return np.linalg.norm(difference, axis=-1).mean(axis=-1)


def mesh_figures(
    joints: np.ndarray,
    annotated_joints: np.ndarray,
    vertices: np.ndarray | None = None,
    annotated_vertices: np.ndarray | None = None,
    has_3d_joints: np.ndarray | None = None,
    has_mesh: np.ndarray | None = None,
    hips: tuple[int, int] = _HIPS,
) -> dict[str, float]:
    """Mean errors in millimetres; NaN where nobody counts.

    Args:
        joints: Shape (N, J, 3), metres from any origin.
        annotated_joints: Shape (N, J, 3).
        vertices: Shape (N, V, 3), metres from the pelvis.
        annotated_vertices: Shape (N, V, 3).
        has_3d_joints: Shape (N,), who counts for `MPJPE`; None: everybody. As released everybody counts for
            `PA-MPJPE`.
        has_mesh: Shape (N,), who counts for `MPVPE`.
        hips: Places of the right and left hip, from whose middle `MPJPE` measures.

    Returns:
        `MPJPE`; `PA-MPJPE`, after alignment of every sample; `MPVPE`, where there are vertices.
    """
    places = [np.asarray(each, np.float64) for each in (joints, annotated_joints)]
    centred = [each - each[:, list(hips)].mean(axis=1, keepdims=True) for each in places]
    figures = {
        "MPJPE": _mean(errors(*centred), has_3d_joints),
        "PA-MPJPE": _mean(errors(align_similarity(*places), places[1]), None),
    }
    if vertices is not None and annotated_vertices is not None:
        figures["MPVPE"] = _mean(errors(vertices, annotated_vertices), has_mesh)
    return figures


def _mean(values: np.ndarray, flags: np.ndarray | None) -> float:
    """Mean over those who count, from metres to millimetres."""
    values = values if flags is None else values[np.asarray(flags) == 1]
    return 1000 * float(values.mean()) if len(values) else float("nan")


__all__ = ["align_similarity", "errors", "mesh_figures"]
