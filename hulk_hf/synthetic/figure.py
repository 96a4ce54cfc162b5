# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What is known of one person before a camera looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .body import Body
from .carried import Thing
from .poses import Pose
from .wardrobe import CutTable, Outfit


@dataclass(frozen=True)
class Figure:
    """A posed and dressed person in the world, feet wherever the pose puts them; arrays as in `render_layer`.

    `keypoints` (17, 3) and `coarse` (500, 3), the mesh of the open body, are in the world, `outline` lists enough of
    the drawn vertices to frame the figure, `height` is the stature in metres, `gender` and `age` are those of `Body`,
    and `things` is what the person carries.
    """

    body: Body
    vertices: np.ndarray
    normals: np.ndarray
    keypoints: np.ndarray
    coarse: np.ndarray
    faces: np.ndarray
    face_regions: np.ndarray
    clip: np.ndarray
    outline: np.ndarray
    table: CutTable
    outfit: Outfit
    pose: Pose
    height: float
    gender: float
    age: float
    things: tuple[Thing, ...]


__all__ = ["Figure"]
