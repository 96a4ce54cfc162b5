# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A small software renderer: camera, light, and pictures of dressed people (the kernels are in `rasteriser`).

Pixels: the centre of the top left pixel is (0.5, 0.5) inside this module. World axes are those of `body`; the camera
looks along +y, so a person in the rest orientation faces it and has the left side on the right of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from PIL import Image, ImageFilter

from .body import Body
from .rasteriser import FIRST_SHEET, LAST_SHEET, downsample, extent, rasterise, shade
from .wardrobe import CutTable


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that circles a target.

    Attributes:
        target: the point it looks at, (3,).
        distance: metres to the target.
        pitch: radians it looks down.
        roll: radians it is turned about its axis.
        focal: pixels.
        centre: pixel (x, y) of the target.
    """

    target: np.ndarray
    distance: float
    pitch: float = 0.0
    roll: float = 0.0
    focal: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (N, 2) and depths (N,) in metres, float32, of world points (N, 3)."""
        x, y = self.centre
        return _project(points, self.target, self.distance, self.pitch, self.roll, self.focal, float(x), float(y))


@numba.njit(cache=True, fastmath=True)
def _project(points, target, distance, pitch, roll, focal, centre_x, centre_y):
    cp, sp, cr, sr = np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    pixels, depths = np.empty((len(points), 2), np.float32), np.empty(len(points), np.float32)
    for n in range(len(points)):
        x, y, z = points[n, 0] - target[0], points[n, 1] - target[1], points[n, 2] - target[2]
        depth = distance + y * cp - z * sp
        u, v = focal * x / depth, -focal * (y * sp + z * cp) / depth
        pixels[n, 0], pixels[n, 1] = cr * u - sr * v + centre_x, sr * u + cr * v + centre_y
        depths[n] = depth
    return pixels, depths


@dataclass(frozen=True)
class Light:
    """Light on a scene: direction to the key light (3,), its strength, ambient strength and colours (3,)."""

    direction: np.ndarray
    key: float
    ambient: float
    colour: np.ndarray
    ambient_colour: np.ndarray


@dataclass(frozen=True)
class Layer:
    """A rendered person.

    `colour` (H, W, 3) float32 premultiplied by `alpha` (H, W); `labels` (H, W) uint8; `depth` (H, W) float32 metres,
    inf where empty; `things` (H, W) uint8 is 1 + the index of the carried thing that is seen there, else 0.
    """

    colour: np.ndarray
    alpha: np.ndarray
    labels: np.ndarray
    depth: np.ndarray
    things: np.ndarray


def render_layer(
    body: Body,
    faces: np.ndarray,
    face_regions: np.ndarray,
    vertices: np.ndarray,
    normals: np.ndarray,
    clip: np.ndarray,
    table: CutTable,
    camera: Camera,
    light: Light,
    noise: np.ndarray,
    size: tuple[int, int],
    supersample: int = 2,
) -> Layer:
    """Renders one dressed person.

    Args:
        body: the body asset; `faces` (F, 3) and `face_regions` (F,) are what is drawn of it.
        vertices: posed and dressed vertices (V, 3); `normals` (V, 3); `clip` (V,) as in `wardrobe.vertex_clip`.
        table: what is worn.
        camera: where it is seen from, in pixels of `size`.
        light: the light.
        noise: square array of normal noise (N, N), for folds and mottles.
        size: (height, width) of the picture.
        supersample: samples per pixel and axis.
    """
    layer = Layer(
        colour=np.zeros((*size, 3), np.float32),
        alpha=np.zeros(size, np.float32),
        labels=np.zeros(size, np.uint8),
        depth=np.full(size, np.inf, np.float32),
        things=np.zeros(size, np.uint8),
    )
    pixels, depths = camera.project(vertices)
    # Only the window that the figure covers is rasterised.
    low, high = extent(pixels)
    left, top = (max(int(np.floor(v)), 0) for v in low)
    right, bottom = min(int(np.ceil(high[0])), size[1]), min(int(np.ceil(high[1])), size[0])
    if left >= right or top >= bottom:
        return layer
    fine = ((bottom - top) * supersample, (right - left) * supersample)
    nearness, face_ids = np.zeros(fine, np.float32), np.full(fine, -1, np.int32)
    weights, colour, labels = (
        np.empty((*fine, 2), np.float32),
        np.empty((*fine, 3), np.float32),
        np.zeros(fine, np.uint8),
    )
    cull = (face_regions < FIRST_SHEET) | (face_regions > LAST_SHEET)
    pixels = (pixels - np.array([left, top], np.float32)) * np.float32(supersample)
    rasterise(pixels, depths, faces, cull, clip, nearness, face_ids, weights)
    halfway = light.direction + np.array([0.0, -np.cos(camera.pitch), np.sin(camera.pitch)])
    halfway /= np.linalg.norm(halfway)
    shade(
        face_ids,
        weights,
        faces,
        face_regions,
        normals,
        body.canonical,
        body.region_axes,
        table.bounds,
        table.starts,
        table.labels,
        table.materials,
        table.colours,
        table.patterns,
        noise,
        light.direction,
        halfway,
        light.key,
        light.ambient,
        light.colour,
        light.ambient_colour,
        colour,
        labels,
    )
    area = (slice(top, bottom), slice(left, right))
    downsample(
        colour,
        labels,
        nearness,
        supersample,
        layer.colour[area],
        layer.alpha[area],
        layer.labels[area],
        layer.depth[area],
    )
    return layer


def cast_shadow(
    vertices: np.ndarray,
    faces: np.ndarray,
    floor: float,
    camera: Camera,
    light: Light,
    size: tuple[int, int],
    softness: float,
) -> np.ndarray:
    """Mask (H, W) float32 in 0-1 of the shadow that a body throws on the ground `z = floor`.

    It is drawn at half the resolution and blurred by `softness` pixels.
    """
    drop = (vertices[:, 2] - floor) / max(light.direction[2], 0.2)
    pixels, depths = camera.project(vertices - drop[:, None] * light.direction)
    half = (-(-size[0] // 2), -(-size[1] // 2))
    nearness, face_ids = np.zeros(half, np.float32), np.full(half, -1, np.int32)
    everything, both_sides = np.ones(len(vertices), np.float32), np.zeros(len(faces), bool)
    rasterise(pixels / 2, depths, faces, both_sides, everything, nearness, face_ids, np.empty((*half, 2), np.float32))
    mask = Image.fromarray(((face_ids >= 0) * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(softness / 2))
    return np.asarray(mask.resize((half[1] * 2, half[0] * 2), Image.Resampling.BILINEAR), np.float32)[
        : size[0], : size[1]
    ] / np.float32(255)
