# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Things around a person that are drawn into the background."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from .backgrounds import random_colour
from .body import COCO_KEYPOINTS
from .renderer import Camera

_HIPS = [COCO_KEYPOINTS.index("left_hip"), COCO_KEYPOINTS.index("right_hip")]
# Corners of a unit box, bit by bit x, y, z, and its faces (without the bottom) seen counter-clockwise from outside.
_CORNERS = np.array([[(k >> axis) & 1 for axis in range(3)] for k in range(8)]) - 0.5
_FACES = ((4, 5, 7, 6), (0, 1, 5, 4), (1, 3, 7, 5), (3, 2, 6, 7), (2, 0, 4, 6))


def draw_seat(
    rng: np.random.Generator, picture: np.ndarray, keypoints: np.ndarray, floor: float, height: float, camera: Camera
) -> np.ndarray:
    """Draws a box under a sitting person.

    Args:
        rng: source of randomness.
        picture: the background (H, W, 3) float32.
        keypoints: the person's keypoints in the world (17, 3), in metres.
        floor: height of the ground.
        height: stature of the person.
        camera: the camera.

    Returns:
        The new background; the same one if the hips are too near the ground for a seat.
    """
    hips = keypoints[_HIPS]
    top = hips[:, 2].min() - 0.06 * height
    if top - floor < 0.12 * height:
        return picture
    across = hips[0, :2] - hips[1, :2]
    turn = np.arctan2(across[1], across[0])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    corners = _CORNERS * np.array([rng.uniform(0.25, 0.5), rng.uniform(0.2, 0.3), 1]) * height
    points = np.empty((8, 3))
    points[:, :2] = corners[:, :2] @ rotation.T + hips[:, :2].mean(0)
    points[:, 2] = np.where(_CORNERS[:, 2] > 0, top, floor)
    pixels, depths = camera.project(points)
    if depths.min() < 0.1:
        return picture
    canvas = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(canvas)
    colour, tones = random_colour(rng), (1.2, *rng.uniform(0.5, 1.0, 4))
    for face, tone in zip(_FACES, tones, strict=True):
        corner = pixels[list(face)]
        (ax, ay), (bx, by) = corner[1] - corner[0], corner[2] - corner[0]
        if ax * by - ay * bx < 0:  # faces the camera: counter-clockwise, with y downwards
            draw.polygon([tuple(p) for p in corner.tolist()], fill=tuple(int(min(255, c * tone)) for c in colour))
    return np.asarray(canvas, np.float32)
