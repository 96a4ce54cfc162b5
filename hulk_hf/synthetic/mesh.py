# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the task `mesh-open` is to find: the coarse mesh and the joints of a rendered person.

Vertices are those of the skin, under the clothes, as seen by the camera: metres from the pelvis that the body's
regressor gives, x to the right of the picture, y down, z away from the camera. Only the camera's direction is taken
out, not its place: a person at the border of a picture looks a little turned in it, which a camera that scales and
shifts (as the network's does) can't say; it costs a few pixels.
"""

from __future__ import annotations

from functools import cache
from math import cos, sin
from typing import TYPE_CHECKING

import numpy as np

from .open_body import OPEN_JOINTS, coarse_vertices, open_body
from .renderer import Camera

if TYPE_CHECKING:
    import datasets

NUM_VERTICES = 500
MESH_KEYS = ("vertices", "joints_3d", "joints_2d")


@cache
def _regressor() -> tuple[np.ndarray, np.ndarray]:
    """Joints (14, 500) and pelvis (500,) as sums of coarse vertices."""
    body = open_body()
    regressor = body.regressor.numpy()
    return np.ascontiguousarray(regressor[list(body.joints)]), regressor[body.pelvis]


def camera_axes(camera: Camera) -> np.ndarray:
    """Rows: the picture's right, its down and the direction of view, (3, 3), in the axes of the world."""
    cp, sp, cr, sr = cos(camera.pitch), sin(camera.pitch), cos(camera.roll), sin(camera.roll)
    right, down = np.array([1.0, 0.0, 0.0]), np.array([0.0, -sp, -cp])
    return np.stack([cr * right - sr * down, sr * right + cr * down, np.array([0.0, cp, -sp])])


def mesh_truth(vertices: np.ndarray, camera: Camera, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """The mesh of a person as a camera sees it.

    Args:
        vertices: Shape (V, 3), posed vertices of the compact body in the world, without clothes; or (500, 3), those of
            its coarse mesh.
        camera: What it is seen by.
        size: (height, width) of the picture.

    Returns:
        A dict of float32 arrays:

        * `vertices` (500, 3): metres from the pelvis, in the axes of the camera (see above);
        * `joints_3d` (14, 4): the joints that the regressor makes of them, and 1, in the order of `OPEN_JOINTS`;
        * `joints_2d` (14, 3): (x, y) in pixels of the picture (integers are pixel centres) where the joints are, also
          where they are outside or hidden, and 1 inside the picture, 0 outside.
    """
    coarse = vertices if len(vertices) == NUM_VERTICES else coarse_vertices(vertices)
    regressor, pelvis = _regressor()
    axes = camera_axes(camera)
    seen = ((coarse - pelvis @ coarse) @ axes.T).astype(np.float32)
    pixels, depths = camera.project(np.ascontiguousarray(regressor @ coarse))
    height, width = size
    inside = (pixels >= 0).all(axis=1) & (pixels < np.array([width, height])).all(axis=1) & (depths > 0.05)
    confidence = np.ones((len(OPEN_JOINTS), 1), np.float32)
    return {
        "vertices": seen,
        "joints_3d": np.concatenate([regressor @ seen, confidence], axis=1).astype(np.float32),
        "joints_2d": np.concatenate([pixels - 0.5, inside[:, None]], axis=1).astype(np.float32),
    }


def mesh_features() -> datasets.Features:
    """The columns of a `datasets.Dataset` of persons with meshes (spec training 4.7, for the open body).

    There are no body parameters: vertices stand in their place. `center` and `scale` (side of the square crop / 200)
    say where the person is, `vertices`, `joints_3d` and `joints_2d` are those of `mesh_truth`, the flags say which of
    them count.
    """
    from datasets import Array2D, ClassLabel, Features, Image, List, Value

    return Features(
        {
            "image": Image(),
            "image_id": Value("string"),
            "center": List(Value("float32"), length=2),
            "scale": Value("float32"),
            "joints_2d": Array2D((len(OPEN_JOINTS), 3), "float32"),
            "joints_3d": Array2D((len(OPEN_JOINTS), 4), "float32"),
            "vertices": Array2D((NUM_VERTICES, 3), "float32"),
            "has_2d_joints": Value("bool"),
            "has_3d_joints": Value("bool"),
            "has_smpl": Value("bool"),
            "dataset": ClassLabel(names=["synthetic"]),
        }
    )


def mesh_record(sample: dict) -> dict:
    """A row with the columns of `mesh_features` from a sample of `person.render_person`.

    The crop is the square around the box of the visible person, a quarter larger than its longer side.
    """
    from PIL import Image

    x, y, width, height = (float(value) for value in sample["bbox"])
    return {
        "image": Image.fromarray(sample["image"]),
        "image_id": f"{sample['split']}-{sample['sample_seed']}",
        "center": [x + (width - 1) / 2, y + (height - 1) / 2],
        "scale": 1.25 * max(width, height) / 200,
        **{key: sample[key] for key in MESH_KEYS},
        "has_2d_joints": True,
        "has_3d_joints": True,
        "has_smpl": True,
        "dataset": "synthetic",
    }


__all__ = ["MESH_KEYS", "NUM_VERTICES", "camera_axes", "mesh_features", "mesh_record", "mesh_truth"]
