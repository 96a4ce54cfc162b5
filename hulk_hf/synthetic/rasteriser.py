# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The renderer's kernels, compiled by numba: z-buffer, cuts of garments, shading and averaging.

They stand in one file because numba's cache notices a change of the file that a kernel stands in, but not of others.
Pixels: the centre of the top left pixel is (0.5, 0.5).
"""

from __future__ import annotations

import numba
import numpy as np

from .body import REGIONS

# Hair and skirt are sheets, seen from both sides; the other regions are closed surfaces.
FIRST_SHEET, LAST_SHEET = REGIONS.index("hair"), REGIONS.index("skirt")


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
        ax, ay, bx, by, cx, cy = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1], pixels[c, 0], pixels[c, 1]
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9 or (cull[f] and area > 0):
            continue
        # Pixels whose centres lie in the triangle's bounding box: mostly none, as meshes are fine.
        left, right = int(np.ceil(min(ax, bx, cx) - 0.5)), int(np.floor(max(ax, bx, cx) - 0.5))
        top, bottom = int(np.ceil(min(ay, by, cy) - 0.5)), int(np.floor(max(ay, by, cy) - 0.5))
        left, right, top, bottom = max(left, 0), min(right, width - 1), max(top, 0), min(bottom, height - 1)
        if left > right or top > bottom or min(depths[a], depths[b], depths[c]) < 0.05:
            continue
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


@numba.njit(cache=True, inline="always")
def find_cut(bounds, starts, region, along, depth, width):
    """Index of the outermost cut at a canonical place, or -1."""
    for c in range(starts[region], starts[region + 1]):
        if bounds[c, 0] <= along <= bounds[c, 1] and bounds[c, 2] <= depth <= bounds[c, 3]:
            if bounds[c, 4] <= width <= bounds[c, 5]:
                return c
    return -1


@numba.njit(cache=True)
def vertex_thickness(canonical, regions, along, bounds, starts, thickness):
    """How far each vertex (V,) is lifted off the body by what is worn there, in metres."""
    lifted = np.zeros(len(canonical), np.float32)
    for v in range(len(canonical)):
        cut = find_cut(bounds, starts, regions[v], along[v], canonical[v, 1], abs(canonical[v, 0]))
        if cut >= 0:
            lifted[v] = thickness[cut]
    return lifted


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
            if FIRST_SHEET <= region <= LAST_SHEET and ny > 0.35:  # the inside of a sheet
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
def downsample(fine_colour, fine_labels, fine_nearness, factor, colour, alpha, labels, depth):
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
