# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""De-tokenizer of bodies: from query states to camera, joints and vertices (Paper, Sec. 3.4; spec 2.10 and 5.6)."""

from typing import NamedTuple

import torch
from torch import nn
from transformers.utils.generic import maybe_autocast

from .body_hulk import HulkBodyTables
from .tasks_hulk import HulkTask


class HulkMeshPrediction(NamedTuple):
    """Bodies in metres (x to the right of the picture, y down, z away from the camera), in float32.

    Attributes:
        camera: Shape (B, 3): scale s and translation (tx, ty); a point (x, y) is seen at s * (x + tx, y + ty), in
            coordinates of the crop that run from -1 to 1.
        joints_3d: Shape (B, J, 3), from the queries of the joints, measured from the middle of their hips.
        vertices: For each level, coarse to fine, shape (B, V, 3), measured from the pelvis of the mesh.
        mesh_joints_3d: Shape (B, J, 3), joints of the finest mesh, measured from its pelvis.
        joints_2d: Shape (B, J, 2), `joints_3d` as the camera sees them.
        mesh_joints_2d: Shape (B, J, 2), `mesh_joints_3d` as the camera sees them.
    """

    camera: torch.Tensor
    joints_3d: torch.Tensor
    vertices: tuple[torch.Tensor, ...]
    mesh_joints_3d: torch.Tensor
    joints_2d: torch.Tensor
    mesh_joints_2d: torch.Tensor


class HulkMeshHead(nn.Module):
    """Three numbers per query, and finer meshes from the coarse one.

    Args:
        config: A `HulkConfig`.
        tasks: The mesh tasks. The body of each has tables of its own, `bodies.{task}`; the layers are shared.

    Raises:
        ValueError: Two tasks need learned up-sampling of different sizes; there is one such layer.
    """

    def __init__(self, config, tasks: list[HulkTask]):
        super().__init__()
        self.coordinates = nn.Linear(config.decoder_config.hidden_size, 3)
        steps = {tuple(task.body["vertices"][:2]) for task in tasks if len(task.body["vertices"]) > 1}
        if len(steps) > 1:
            raise ValueError(f"tasks: expected mesh tasks with one learned up-sampling, got {sorted(steps)}")
        for coarse, finer in steps:
            self.upsample = nn.Linear(coarse, finer)  # over the axis of vertices, the same for x, y and z
        self.bodies = nn.ModuleDict({task.name: HulkBodyTables(task.body, task.num_labels) for task in tasks})

    def forward(self, query_states: torch.Tensor, task: HulkTask) -> HulkMeshPrediction:
        """Read bodies from query states.

        Args:
            query_states: Shape (B, 1 + J + V, d): camera, joints, coarse vertices.
            task: The task.
        """
        body = self.bodies[task.name]
        camera, joints, coarse = self.coordinates(query_states).split(
            [1, task.num_labels, task.body["vertices"][0]], dim=1
        )
        levels = [coarse.float()]
        if len(task.body["vertices"]) > 1:
            levels.append(self.upsample(coarse.transpose(1, 2)).transpose(1, 2).float())
        # What follows is geometry, which half precision would round to centimetres.
        with maybe_autocast(query_states.device.type, enabled=False):
            if len(task.body["vertices"]) > 2:
                levels.append(body.upsample(levels[-1]))
            camera, joints = camera.squeeze(1).float(), joints.float()
            joints = joints - joints[:, body.hips].mean(dim=1, keepdim=True)
            mesh_joints, pelvis = body.regress(levels[-1])
            mesh_joints = mesh_joints - pelvis
        return HulkMeshPrediction(
            camera=camera,
            joints_3d=joints,
            vertices=tuple(level - pelvis for level in levels),
            mesh_joints_3d=mesh_joints,
            joints_2d=project(joints, camera),
            mesh_joints_2d=project(mesh_joints, camera),
        )


def project(points: torch.Tensor, camera: torch.Tensor) -> torch.Tensor:
    """Where a weak-perspective camera sees points.

    Args:
        points: Shape (B, N, 3).
        camera: Shape (B, 3), see `HulkMeshPrediction`.

    Returns:
        Shape (B, N, 2), coordinates of the crop from -1 to 1.
    """
    return camera[:, None, :1] * (points[..., :2] + camera[:, None, 1:])


__all__ = ["HulkMeshHead", "HulkMeshPrediction", "project"]
