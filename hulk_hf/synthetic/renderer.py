# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A small software renderer: camera, z-buffer rasteriser and shading, in numba.

Pixels: the centre of the top left pixel is (0.5, 0.5) inside this module. World axes are those of `body`; the camera
looks along +y, so a person in the rest orientation faces it and has the left side on the right of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from PIL import Image, ImageFilter

from .body import REGIONS, Body
from .wardrobe import CutTable, find_cut

_FIRST_THIN_REGION = REGIONS.index("hair")  # hair and skirt are sheets, seen from both sides; bodies are closed
_LAST_THIN_REGION = REGIONS.index("skirt")


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
    inf where empty.
    """

    colour: np.ndarray
    alpha: np.ndarray
    labels: np.ndarray
    depth: np.ndarray


@numba.njit(cache=True)
def extent(points):
    """Smallest and largest coordinates, two arrays (D,), of points (N, D); numpy is slow at this shape."""
    low, high = points[0].copy(), points[0].copy()
    for n in range(1, len(points)):
        for k in range(points.shape[1]):
            low[k], high[k] = min(low[k], points[n, k]), max(high[k], points[n, k])
    return low, high


@numba.njit(cache=True, fastmath=True)
def rasterise(pixels, depths, faces, cull, clip, nearness, face_ids, weights):
    """Draws triangles into a z-buffer, in place.

    A pixel belongs to a triangle if its centre does; the nearest wins. Triangles that reach behind the camera
    are skipped.

    Args:
        pixels: vertices (V, 2).
        depths: their depths (V,).
        faces: (F, 3).
        cull: (F,) whether the triangle is drawn only if it faces the camera.
        clip: (V,) interpolated over the triangle; pixels where it is negative are not drawn.
        nearness: (H, W) inverse depth, 0 where empty.
        face_ids: (H, W) index of the triangle, -1 where empty.
        weights: (H, W, 2) perspective-correct barycentric weights of the first two corners.
    """
    height, width = nearness.shape
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        if clip[a] < 0 and clip[b] < 0 and clip[c] < 0:
            continue
        ax, ay, bx, by, cx, cy = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9 or (cull[f] and area > 0):
            continue
        if min(depths[a], depths[b], depths[c]) < 0.05:
            continue
        left, right = max(0, int(np.ceil(min(ax, bx, cx) - 0.5))), min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        top, bottom = (
            max(0, int(np.ceil(min(ay, by, cy) - 0.5))),
            min(height - 1, int(np.floor(max(ay, by, cy) - 0.5))),
        )
        near_a, near_b, near_c = 1 / depths[a], 1 / depths[b], 1 / depths[c]
        inverse = 1 / area
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                wa = ((bx - px) * (cy - py) - (cx - px) * (by - py)) * inverse
                wb = ((cx - px) * (ay - py) - (ax - px) * (cy - py)) * inverse
                wc = 1 - wa - wb
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                near = wa * near_a + wb * near_b + wc * near_c
                if near <= nearness[y, x]:
                    continue
                wa, wb = wa * near_a / near, wb * near_b / near
                if wa * clip[a] + wb * clip[b] + (1 - wa - wb) * clip[c] < 0:
                    continue
                nearness[y, x] = near
                face_ids[y, x] = f
                weights[y, x, 0], weights[y, x, 1] = wa, wb


@numba.njit(cache=True, fastmath=True, inline="always")
def _pattern(kind, u, v, period, noise):
    """How much of the second colour a pattern shows at surface place (u, v) in metres: 0 to 1."""
    a, b = u / period, v / period
    if kind == 1:  # rings about the limb
        return 1.0 if a - np.floor(a) < 0.5 else 0.0
    if kind == 2:  # stripes along the limb
        return 1.0 if b - np.floor(b) < 0.5 else 0.0
    if kind == 3:  # checks
        return 1.0 if (a - np.floor(a) < 0.5) != (b - np.floor(b) < 0.5) else 0.0
    if kind == 4:  # dots
        da, db = a - np.floor(a) - 0.5, b - np.floor(b) - 0.5
        return 1.0 if da * da + db * db < 0.07 else 0.0
    if kind == 5:  # plaid
        return (0.5 if a - np.floor(a) < 0.35 else 0.0) + (0.5 if b - np.floor(b) < 0.35 else 0.0)
    if kind == 6:  # mottled
        size = noise.shape[0]
        i, j = int(np.floor(a * 16)) % size, int(np.floor(b * 16)) % size
        return min(max(0.5 + 0.5 * noise[i, j], 0.0), 1.0)
    return 0.0


@numba.njit(cache=True, fastmath=True)
def shade(
    face_ids,
    weights,
    faces,
    face_regions,
    normals,
    canonical,
    axes,
    bounds,
    starts,
    cut_labels,
    cut_materials,
    colours,
    patterns,
    noise,
    direction,
    halfway,
    key,
    ambient,
    key_colour,
    ambient_colour,
    colour,
    labels,
):
    """Colours and labels every covered pixel, in place: `colour` (H, W, 3) float32 0-255, `labels` (H, W) uint8.

    The canonical place of a pixel decides its garment (`find_cut`) and the pattern on it; light is ambient, brighter
    from above, plus a wrapped diffuse and a specular part of one key light, on normals ruffled by `noise`.
    """
    height, width = face_ids.shape
    size = noise.shape[0]
    for y in range(height):
        for x in range(width):
            f = face_ids[y, x]
            if f < 0:
                continue
            a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
            wa, wb = weights[y, x, 0], weights[y, x, 1]
            wc = 1 - wa - wb
            px = wa * canonical[a, 0] + wb * canonical[b, 0] + wc * canonical[c, 0]
            py = wa * canonical[a, 1] + wb * canonical[b, 1] + wc * canonical[c, 1]
            pz = wa * canonical[a, 2] + wb * canonical[b, 2] + wc * canonical[c, 2]
            region = face_regions[f]
            fx, fy, fz = axes[region, 0], axes[region, 1], axes[region, 2]
            along = fx * px + fy * py + fz * pz + axes[region, 3]
            cut = find_cut(bounds, starts, region, along, py, abs(px))
            if cut < 0:  # nothing is worn here and there is no skin, as on a helper mesh
                continue
            material = cut_materials[cut]
            labels[y, x] = cut_labels[cut]

            nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
            ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
            nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
            if _FIRST_THIN_REGION <= region <= _LAST_THIN_REGION and ny > 0.35:  # the inside of a sheet
                nx, ny, nz = -nx, -ny, -nz
            i, j = int(np.floor(pz * 60)) % size, int(np.floor((px + py) * 60)) % size
            fold = noise[i, j] * 0.12
            nx, nz = nx + fold, nz + fold * 0.5
            scale = 1 / np.sqrt(nx * nx + ny * ny + nz * nz + 1e-9)
            nx, ny, nz = nx * scale, ny * scale, nz * scale
            facing = nx * direction[0] + ny * direction[1] + nz * direction[2]
            diffuse = key * max(0.0, (facing + 0.2) / 1.2)
            sky = ambient * (0.8 + 0.2 * nz)
            shine = max(0.0, nx * halfway[0] + ny * halfway[1] + nz * halfway[2]) ** 24 * patterns[material, 2] * key

            length = 1 / np.sqrt(fx * fx + fy * fy + fz * fz)
            mix = _pattern(patterns[material, 0], along * length, px + 0.6 * py, patterns[material, 1], noise)
            for k in range(3):
                albedo = colours[material, 0, k] * (1 - mix) + colours[material, 1, k] * mix
                value = albedo * (diffuse * key_colour[k] + sky * ambient_colour[k]) + 255 * shine * key_colour[k]
                colour[y, x, k] = min(255.0, max(0.0, value))


@numba.njit(cache=True, fastmath=True)
def _downsample(fine_colour, fine_labels, fine_nearness, factor, colour, alpha, labels, depth):
    """Averages blocks of factor x factor pixels; the label is the block's most frequent, the depth its nearest."""
    height, width = labels.shape
    share = 1.0 / (factor * factor)
    counts = np.zeros(32, np.int64)
    for y in range(height):
        for x in range(width):
            covered, nearest = 0, 0.0
            for i in range(y * factor, (y + 1) * factor):
                for j in range(x * factor, (x + 1) * factor):
                    label = fine_labels[i, j]
                    counts[label] += 1
                    if label == 0:
                        continue
                    covered += 1
                    nearest = max(nearest, fine_nearness[i, j])
                    for k in range(3):
                        colour[y, x, k] += fine_colour[i, j, k] * share
            if covered:
                alpha[y, x] = covered * share
                if 2 * covered >= factor * factor:
                    best = 0
                    for i in range(y * factor, (y + 1) * factor):
                        for j in range(x * factor, (x + 1) * factor):
                            label = fine_labels[i, j]
                            if label and (best == 0 or counts[label] > counts[best]):
                                best = label
                    labels[y, x] = best
                depth[y, x] = 1 / nearest
            for i in range(y * factor, (y + 1) * factor):
                for j in range(x * factor, (x + 1) * factor):
                    counts[fine_labels[i, j]] = 0


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
    cull = (face_regions < _FIRST_THIN_REGION) | (face_regions > _LAST_THIN_REGION)
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
    _downsample(
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
