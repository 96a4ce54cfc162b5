# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Examples of mesh recovery: one person per square crop, with joints and coarse surface in three dimensions."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from hulk_hf.metrics.mesh import mesh_figures
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.pose_geometry_hulk import flip_permutation
from hulk_hf.synthetic.open_body import OPEN_BODY_PATH
from hulk_hf.training.augmentation import Augmentation
from hulk_hf.training.examples.base import FamilyExamples
from hulk_hf.training.examples.windows import Windows, jitter_windows, look, to_pixel_values, windows_on

PADDING = 1.25  # of the longer side of the box


class MeshExamples(FamilyExamples):
    """Columns: `images`, `boxes` (N, 4) xywh, `vertices` (N, 500, 3), `joints_3d` (N, 14, 4), `joints_2d` (N, 14, 3).

    Metres from the pelvis in the axes of the camera (x right, y down, z away), pixels with integers at their centres.
    A turn of the picture turns the body about the line of sight, a mirror swaps its sides.
    """

    default_augmentation = Augmentation(
        scale=(0.85, 1.2), shift=0.05, rotation=30.0, rotation_probability=0.4, colour=0.2, erase_probability=0.1
    )

    def batch(self, generator: torch.Generator, size: int) -> dict[str, Any]:
        """See `FamilyExamples.batch`; labels as `mesh_loss` takes them."""
        rows = self.draw(generator, size)
        columns = ("images", "boxes", "vertices", "joints_3d", "joints_2d")
        pictures, boxes, vertices, joints, places = self.read_people(rows, *columns, generator=generator)
        windows = jitter_windows(windows_on(boxes, PADDING, square=True), self.augmentation, generator, stretch=0.0)
        pixels = look(pictures, windows.grid(self.task.image_size, pictures.shape[1:3]))
        vertex_order = _mirrored_vertices()
        joint_order = torch.tensor(flip_permutation(self.task.flip_pairs, self.task.num_labels))
        flipped = windows.flipped[:, None, None]
        vertices = torch.where(flipped, vertices[:, vertex_order], vertices)
        joints, places = (torch.where(flipped, each[:, joint_order], each) for each in (joints, places))
        seen = windows.to_window(places[..., :2] + 0.5) * 2 - 1
        return {
            "pixel_values": to_pixel_values(pixels, self.augmentation, generator),
            "labels": {
                "vertices": [_turn(vertices, windows)],
                "joints_3d": torch.cat([_turn(joints[..., :3], windows), joints[..., 3:]], dim=-1),
                "joints_2d": torch.cat([seen, places[..., 2:]], dim=-1),
                "has_3d_joints": torch.ones(size),
                "has_smpl": torch.ones(size),
            },
        }

    @torch.no_grad()
    def evaluate(self, model: HulkForHumanAnalysis, limit: int | None = None) -> dict[str, float]:
        """Errors of joints and surface in millimetres, those of joints after alignment first."""
        single = model.for_family("mesh")
        joints, vertices = [], []
        for rows in self.validation_rows(limit):
            pictures, boxes = self.read_validation(rows, "images", "boxes")
            windows = windows_on(boxes, PADDING, square=True)
            pixels = look(pictures, windows.grid(self.task.image_size, pictures.shape[1:3]))
            outputs = single(to_pixel_values(pixels).to(model.device), task=self.task.name)
            joints.append(outputs.mesh_joints_3d.float().cpu().numpy())
            vertices.append(outputs.vertices[-1].float().cpu().numpy())
        return self._figures(np.concatenate(joints), np.concatenate(vertices), limit)

    def baseline(self, limit: int | None = None) -> dict[str, float]:
        """The mean body of training."""
        count = len(self.limited("joints_3d", limit))
        joints = self.some_training_rows("joints_3d")[..., :3].mean(axis=0)
        vertices = self.some_training_rows("vertices").mean(axis=0)
        return self._figures(np.stack([joints] * count), np.stack([vertices] * count), limit)

    def _figures(self, joints: np.ndarray, vertices: np.ndarray, limit: int | None) -> dict[str, float]:
        figures = mesh_figures(
            joints, self.limited("joints_3d", limit)[..., :3], vertices, self.limited("vertices", limit)
        )
        return {name: figures[name] for name in ("PA-MPJPE", "MPJPE", "MPVPE")}


def _turn(points: torch.Tensor, windows: Windows) -> torch.Tensor:
    """Points (B, N, 3) of a body as it stands in its window: mirrored, and turned about the line of sight."""
    sin, cos = windows.angle.sin()[:, None], windows.angle.cos()[:, None]
    x, y, z = points.unbind(dim=-1)
    # The window is turned in the picture, so that the body turns the other way in the window.
    across, down = cos * x + sin * y, cos * y - sin * x
    return torch.stack([torch.where(windows.flipped[:, None], -across, across), down, z], dim=-1)


@cache
def _mirrored_vertices() -> torch.Tensor:
    """For each vertex of the open body the one on its other side: shape (500,)."""
    with np.load(OPEN_BODY_PATH) as tables:
        rest = torch.from_numpy(tables["template"]).float()  # x to the left of the body
    other = torch.cdist(rest * rest.new_tensor([-1.0, 1.0, 1.0]), rest).argmin(dim=1)
    if not torch.equal(other[other], torch.arange(len(other))):
        raise ValueError("body: expected a symmetric mesh, got one without a mirror image")
    return other


__all__ = ["PADDING", "MeshExamples"]
