# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Where scenes take place: a camera above a ground plane, the ground, what is behind it, and things that stand there.

The ground is `z = 0`; the camera stands above the origin and looks along +y, more or less downwards.
"""

from __future__ import annotations

from math import atan, cos, pi, sin

import numba
import numpy as np

from .backgrounds import random_colour, sample_background
from .carried import Thing
from .props import box_corners, box_triangles
from .renderer import Camera
from .textures import tile

_LOOK_AT = 4.0  # metres from the camera to the target of a scene's camera; no picture depends on it


def stand_camera(size: tuple[int, int], focal: float, height: float, horizon: float, roll: float = 0.0) -> Camera:
    """A camera `height` metres above the origin that sees the horizon in row `horizon` in the middle of the picture.

    Args:
        size: (height, width) of the picture, whose middle is the principal point.
        focal: focal length in pixels.
        height: metres above the ground.
        horizon: row of the horizon, may lie outside the picture.
        roll: radians that the camera is turned about its axis.
    """
    pitch = atan((size[0] / 2 - horizon) / focal)
    target = np.array([0.0, _LOOK_AT * cos(pitch), height - _LOOK_AT * sin(pitch)])
    return Camera(target, _LOOK_AT, pitch, roll, focal, (size[1] / 2, size[0] / 2))


@numba.njit(cache=True, fastmath=True)
def _paint(picture, ground, eye, pitch, roll, focal, wall, kind, period, turn, colours, noise, grain, falloff):
    """Draws the ground over `picture` (H, W, 3), in place, and marks it in `ground` (H, W).

    `kind` is the number of a pattern of `PATTERNS`, `period` its size in metres; patterns fade where a pixel covers
    more than that. `noise` is a square periodic array.
    """
    height, width = ground.shape
    side = noise.shape[0]
    cp, sp, cr, sr, ct, st = np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll), np.cos(turn), np.sin(turn)
    for row in range(height):
        for column in range(width):
            x, y = (column + 0.5 - width / 2) / focal, (row + 0.5 - height / 2) / focal
            u, v = cr * x + sr * y, cr * y - sr * x
            falling = sp + v * cp
            if falling * wall <= eye:  # the ray reaches the wall before the ground, or never comes down
                continue
            depth = eye / falling
            ground[row, column] = True
            x, y = u * depth, (cp - v * sp) * depth
            p, q = (ct * x + st * y) / period, (ct * y - st * x) / period
            a, b = p - np.floor(p), q - np.floor(q)
            share, mean = 0.0, 0.5
            if kind == 0:  # rough
                i, j = int(np.floor(p * 16)) % side, int(np.floor(q * 16)) % side
                share = min(max(0.5 + 0.35 * noise[i, j], 0.0), 1.0)
            elif kind == 1:  # tiles of two colours
                share = 1.0 if (a < 0.5) != (b < 0.5) else 0.0
            elif kind == 2:  # tiles and their joints
                share, mean = 1.0 if a < 0.04 or b < 0.04 else 0.0, 0.08
            elif kind == 3:  # planks
                share = 0.5 + 0.5 * np.sin(np.floor(p) * 12.9898)
            else:  # markings of a road
                share, mean = 1.0 if a < 0.08 and q / 3 - np.floor(q / 3) < 0.6 else 0.0, 0.05
            blur = depth * depth / (focal * eye) / (0.5 * period)
            share = mean + (share - mean) / (1 + blur * blur)
            light = 1 - falloff * min(depth / 20.0, 1.0)
            speck = grain * noise[row % side, column % side]
            for k in range(3):
                value = (colours[0, k] * (1 - share) + colours[1, k] * share + speck) * light
                picture[row, column, k] = min(255.0, max(0.0, value))


PATTERNS = {"rough": 0.4, "tiles": 0.15, "joints": 0.2, "planks": 0.15, "markings": 0.1}  # and how often


def draw_ground(
    rng: np.random.Generator, split: str, camera: Camera, size: tuple[int, int], wall: float
) -> tuple[np.ndarray, np.ndarray]:
    """Draws the ground up to `wall` metres away, and what is behind it.

    Args:
        rng: source of randomness.
        split: whose backgrounds are seen behind.
        camera: a camera of `stand_camera`.
        size: (height, width) of the picture.
        wall: depth in metres where the ground ends; inf for a ground up to the horizon.

    Returns:
        The picture (H, W, 3) float32 in 0-255, and the mask (H, W) bool of the ground.
    """
    height, width = size
    kind = int(rng.choice(len(PATTERNS), p=list(PATTERNS.values())))
    smallest, largest = (0.1, 0.3) if kind == 3 else (0.4, 2.5)
    first, second = (np.array(random_colour(rng, 0.45), np.float32) for _ in range(2))
    colours = np.stack([first, first + np.float32(rng.uniform(0.1, 0.8)) * (second - first)])
    picture, ground = np.zeros((height, width, 3), np.float32), np.zeros(size, bool)
    _paint(
        picture,
        ground,
        float(camera.target[2] + camera.distance * sin(camera.pitch)),
        camera.pitch,
        camera.roll,
        camera.focal,
        min(wall, 1e6),
        kind,
        rng.uniform(smallest, largest),
        rng.normal(0, 0.6) if rng.random() < 0.5 else 0.0,
        colours,
        tile(int(rng.integers(5, 9))),
        rng.uniform(0, 6),
        rng.uniform(-0.15, 0.3),
    )
    rows = int(np.nonzero(~ground.all(1))[0].max(initial=-1)) + 1
    if rows:  # only the upper part of a background, whose own ground lies lower
        behind = sample_background(rng, split, (max(int(rows * rng.uniform(1.0, 1.7)), 32), width))
        np.copyto(picture[:rows], behind[:rows], where=~ground[:rows, :, None])
    return picture, ground


def box_thing(rng: np.random.Generator, corners: np.ndarray) -> Thing:
    """A box with the given corners (see `props.box_corners`) in a colour of its own."""
    faces = box_triangles()
    colour = np.array(random_colour(rng, 0.6), np.float32)
    tones = np.repeat(rng.uniform(0.8, 1.1, len(faces) // 2), 2)[:, None]
    return Thing("box", corners, faces, np.clip(colour * tones, 0, 255))


def sample_thing(rng: np.random.Generator, place: np.ndarray) -> Thing:
    """Something to stand at a place (x, y) of the ground and to hide people: furniture, a post, a wall, a bin."""
    kind = rng.choice(["table", "post", "wall", "bin"], p=[0.35, 0.3, 0.15, 0.2])
    if kind == "post":
        sides, top = (rng.uniform(0.06, 0.3),) * 2, rng.uniform(1.0, 4.0)
    elif kind == "wall":
        sides, top = (rng.uniform(1.0, 3.0), rng.uniform(0.1, 0.3)), rng.uniform(0.5, 1.2)
    elif kind == "bin":
        sides, top = tuple(rng.uniform(0.35, 0.7, 2)), rng.uniform(0.6, 1.2)
    else:
        sides, top = tuple(rng.uniform(0.5, 1.8, 2)), rng.uniform(0.4, 0.95)
    return box_thing(rng, box_corners(place, sides, rng.uniform(0, pi), 0.0, top))


__all__ = ["PATTERNS", "box_thing", "draw_ground", "sample_thing", "stand_camera"]
