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


def seat_of(rng: np.random.Generator, keypoints: np.ndarray, floor: float, height: float) -> np.ndarray | None:
    """Corners (8, 3) of a box under a sitting person; None if the hips are too near the ground for a seat.

    The arguments are those of `draw_seat`.
    """
    hips = keypoints[_HIPS]
    top = hips[:, 2].min() - 0.06 * height
    if top - floor < 0.12 * height:
        return None
    across = hips[0, :2] - hips[1, :2]
    sides = (rng.uniform(0.25, 0.5) * height, rng.uniform(0.2, 0.3) * height)
    return box_corners(hips[:, :2].mean(0), sides, np.arctan2(across[1], across[0]), floor, top)


def box_corners(middle: np.ndarray, sides: tuple[float, float], turn: float, bottom: float, top: float) -> np.ndarray:
    """Corners (8, 3) of an upright box: its middle (x, y), its sides and how far they are turned, bottom and top."""
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = np.empty((8, 3))
    points[:, :2] = (_CORNERS[:, :2] * sides) @ rotation.T + middle
    points[:, 2] = np.where(_CORNERS[:, 2] > 0, top, bottom)
    return points


def box_triangles() -> np.ndarray:
    """Triangles (10, 3) over `box_corners`, two for each side but the bottom."""
    return np.array([three for a, b, c, d in _FACES for three in ((a, b, c), (a, c, d))], np.int32)


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
    points = seat_of(rng, keypoints, floor, height)
    if points is None:
        return picture
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
