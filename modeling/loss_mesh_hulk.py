# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of 3-D pose and mesh: distances of joints and vertices, and of edges and normals of the mesh.

When to use: tasks of family `mesh`. Persons may have some of the targets and not others, which flags say. Reference:
Paper, Sec. 3.4 (digit loss); the exact form is the released one: absolute differences, every level of the mesh, joints
from their queries and from the mesh alike, and only the last decoder layer.
"""

from collections.abc import Mapping

import torch
from torch.nn import functional as F

from .body_hulk import HulkBodyTables
from .head_mesh_hulk import HulkMeshPrediction
from .tasks_hulk import HulkTask

DEFAULT_LOSS_WEIGHTS = {"joints_3d": 1000.0, "vertices": 100.0, "joints_2d": 100.0, "edge_normal": 100.0}

# Released shares, from coarse to fine; with fewer levels they are scaled to a sum of 1.
_LEVEL_SHARES = (0.25, 0.5, 0.25)
_EDGE_SHARE, _SHORT_EDGE_SHARE, _NORMAL_SHARE = 5.0, 1e-4, 0.1
_LENGTH_EPS = 1e-8

_LABELS = ("joints_3d", "joints_2d", "vertices", "has_3d_joints", "has_smpl")


def mesh_loss(
    prediction: HulkMeshPrediction, labels: Mapping[str, torch.Tensor], tables: HulkBodyTables, task: HulkTask
) -> dict[str, torch.Tensor]:
    """Compute the loss terms; their sum is the loss.

    Args:
        prediction: From `HulkMeshHead`.
        labels: What is known of the persons; a term whose targets are missing is left out.
            `joints_3d` (B, J, 4): (x, y, z) in metres, from any origin, and confidence.
            `joints_2d` (B, J, 3): (x, y) in coordinates of the crop from -1 to 1, and confidence.
            `vertices`: for each level, coarse to fine, (B, V, 3) in metres from the pelvis that the regressor of the
            body gives.
            `has_3d_joints` (B,): 1 where `joints_3d` counts; missing: everywhere.
            `has_smpl` (B,): 1 where `vertices` count, whatever the body is; missing: everywhere.
        tables: The tables of the body.
        task: Gives the weights of the terms.

    Returns:
        `joints_3d`, `vertices`, `joints_2d` and `edge_normal`, as far as there are targets, each already weighted. A
        term that counts for nobody is 0.

    Raises:
        ValueError: Unknown or no targets, a wrong shape, no person to learn from, or a body without the triangles
            that edges and normals need.
    """
    _check(prediction, labels)
    weights = {**DEFAULT_LOSS_WEIGHTS, **(task.loss_weights or {})}
    everybody = torch.ones_like(prediction.camera[:, 0])
    terms = {}
    if "joints_3d" in labels:
        has_joints = labels.get("has_3d_joints", everybody) == 1
        target = _where(has_joints, labels["joints_3d"].float())
        terms["joints_3d"] = sum(
            _joint_distance(joints, target, tables.hips, has_joints)
            for joints in (prediction.joints_3d, prediction.mesh_joints_3d)
        )
    if "vertices" in labels:
        has_mesh = labels.get("has_smpl", everybody) == 1
        targets = [_where(has_mesh, level.float()) for level in labels["vertices"]]
        shares = _LEVEL_SHARES[: len(targets)]
        terms["vertices"] = sum(
            share / sum(shares) * _mean((level - target).abs(), has_mesh)
            for share, level, target in zip(shares, prediction.vertices, targets, strict=True)
        )
    if "joints_2d" in labels:
        places, confidence = labels["joints_2d"].float().split([2, 1], dim=-1)
        terms["joints_2d"] = sum(
            (confidence * (joints - places).abs()).mean()
            for joints in (prediction.joints_2d, prediction.mesh_joints_2d)
        )
    if "vertices" in labels and weights["edge_normal"]:
        level = min(1, len(targets) - 1)
        faces = tables.faces(level)
        if faces is None:
            raise ValueError(
                f"body: the loss of edges and normals needs the triangles of level {level} (`HulkBody.faces`), task "
                f"{task.name!r} has none; give them, or weigh `edge_normal` with 0"
            )
        terms["edge_normal"] = edge_normal_loss(prediction.vertices[level], targets[level], faces, has_mesh)
    return {name: weights[name] * term for name, term in terms.items()}


def _check(prediction: HulkMeshPrediction, labels: Mapping[str, torch.Tensor]) -> None:
    if not isinstance(labels, Mapping):
        raise ValueError(f"labels: expected targets by name, among {list(_LABELS)}, got {type(labels).__name__}")
    unknown = sorted(set(labels) - set(_LABELS))
    if unknown or not set(labels) & {"joints_3d", "joints_2d", "vertices"}:
        raise ValueError(
            f"labels: expected one of joints_3d, joints_2d and vertices at least, and no other than {list(_LABELS)}, "
            f"got {sorted(labels)}"
        )
    batch, joints = prediction.joints_2d.shape[:2]
    if not batch:
        raise ValueError("labels: a loss is a mean over persons, expected at least one, got an empty batch")
    expected = {
        "joints_3d": (batch, joints, 4),
        "joints_2d": (batch, joints, 3),
        "has_3d_joints": (batch,),
        "has_smpl": (batch,),
    }
    for name, shape in expected.items():
        if name in labels and labels[name].shape != shape:
            raise ValueError(f"labels[{name!r}]: expected shape {shape}, got {tuple(labels[name].shape)}")
    if "vertices" in labels:
        levels = [tuple(level.shape) for level in prediction.vertices]
        given = labels["vertices"]
        found = [tuple(level.shape) for level in given] if isinstance(given, list | tuple) else type(given).__name__
        if found != levels:
            raise ValueError(f"labels['vertices']: expected one tensor per level, of shapes {levels}, got {found}")


def _where(flags: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Targets of flagged persons, zeros for others: where there is no target there may be anything, even NaN."""
    return torch.where(flags.view(-1, *[1] * (values.ndim - 1)), values, 0.0)


def _mean(values: torch.Tensor, flags: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Mean of values (B, N, ...) over flagged persons, weighted along the second axis; 0 if nobody is flagged."""
    weights = values.new_ones(values.shape[1]) if weights is None else weights
    per_place = values.flatten(2).mean(dim=2) if values.ndim > 2 else values
    per_person = (per_place * weights).sum(dim=1) / weights.sum()
    return (per_person * flags).sum() / flags.sum().clamp(min=1)


def _joint_distance(
    joints: torch.Tensor, target: torch.Tensor, hips: torch.Tensor, flags: torch.Tensor
) -> torch.Tensor:
    places, confidence = target.split([3, 1], dim=-1)
    joints, places = (points - points[:, hips].mean(dim=1, keepdim=True) for points in (joints, places))
    return _mean(confidence * (joints - places).abs(), flags)


def edge_normal_loss(
    vertices: torch.Tensor, target: torch.Tensor, faces: torch.Tensor, flags: torch.Tensor
) -> torch.Tensor:
    """Edges of the right length, short ones, and at right angles to the normals of the target.

    Lengths are means over the edges of the mesh, each counted once; angles over the three edges of every triangle.

    Args:
        vertices: Shape (B, V, 3).
        target: Shape (B, V, 3).
        faces: Shape (F, 3).
        flags: Shape (B,), which persons count.
    """
    starts, ends = faces[:, [0, 0, 1]].flatten(), faces[:, [1, 2, 2]].flatten()
    edges, target_edges = (points[:, ends] - points[:, starts] for points in (vertices, target))
    length, target_length = ((e.square().sum(dim=-1) + _LENGTH_EPS).sqrt() for e in (edges, target_edges))
    once = _shares_of_edges(starts, ends, vertices.shape[1]).to(length.dtype)
    first, second, _ = F.normalize(target_edges, dim=-1).unflatten(1, (-1, 3)).unbind(dim=2)
    normals = F.normalize(torch.linalg.cross(first, second), dim=-1)[:, :, None]
    cosines = (F.normalize(edges, dim=-1).unflatten(1, (-1, 3)) * normals).sum(dim=-1)
    return (
        _EDGE_SHARE * _mean((length - target_length).abs(), flags, once)
        + _SHORT_EDGE_SHARE * _mean(length, flags, once)
        + _NORMAL_SHARE * _mean(cosines.abs(), flags)
    )


def _shares_of_edges(starts: torch.Tensor, ends: torch.Tensor, num_vertices: int) -> torch.Tensor:
    """One over the number of triangles that share each edge (E,), so that an edge counts once in a weighted mean."""
    keys = torch.minimum(starts, ends) * num_vertices + torch.maximum(starts, ends)
    ordered = keys.sort().values
    return 1.0 / (torch.searchsorted(ordered, keys, right=True) - torch.searchsorted(ordered, keys))


__all__ = ["DEFAULT_LOSS_WEIGHTS", "edge_normal_loss", "mesh_loss"]
