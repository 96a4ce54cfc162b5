# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Noise that costs almost nothing: windows at random places of a few periodic tiles that are made once per process."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

TILE = 256  # period of all tiles, in pixels
_LEVELS = 9  # level k has 2**k cells along a tile; the last is white noise


@cache
def tile(level: int) -> np.ndarray:
    """Smooth periodic noise (TILE, TILE) float32 of zero mean and unit deviation with `2**level` cells per side."""
    cells = 2**level
    grid = np.random.default_rng([20260101, level]).standard_normal((cells, cells), np.float32)
    if cells < TILE:
        pixels = TILE // cells
        padded = Image.fromarray(np.pad(grid, 2, mode="wrap"))
        side = (cells + 4) * pixels
        grid = np.asarray(padded.resize((side, side), Image.Resampling.BICUBIC))
        grid = grid[2 * pixels : -2 * pixels, 2 * pixels : -2 * pixels]
        grid = (grid - grid.mean()) / grid.std()
    return np.ascontiguousarray(grid, np.float32)


@cache
def _paved(level: int, rows: int, columns: int) -> np.ndarray:
    """The tile repeated, so that windows of it are plain slices."""
    return np.tile(tile(level), (rows, columns))


def window(rng: np.random.Generator, level: int, size: tuple[int, int]) -> np.ndarray:
    """A random window (H, W) float32 of `tile(level)`, a read-only view, mirrored at random."""
    height, width = size
    paved = _paved(level, *(-(-length // TILE) + 1 for length in size))
    top, left, mirror = (int(v) for v in rng.integers((TILE, TILE, 2)))
    view = paved[top : top + height, left : left + width]
    return view[:, ::-1] if mirror else view


def texture(
    rng: np.random.Generator, size: tuple[int, int], cells: float = 3, octaves: int = 5, decay: float = 0.55
) -> np.ndarray:
    """Noise of several octaves, (H, W) float32 with zero mean and a deviation of about one.

    Args:
        rng: source of randomness.
        size: (height, width).
        cells: blobs of the coarsest octave along the height, roughly.
        octaves: how many octaves, each twice as fine as the one before.
        decay: strength of an octave relative to the one before.
    """
    first = int(np.clip(round(np.log2(max(cells, 1) * TILE / size[0])), 0, _LEVELS - 1))
    strengths = decay ** np.arange(min(octaves, _LEVELS - first), dtype=np.float32)
    strengths /= np.sqrt((strengths**2).sum())
    total = np.zeros(size, np.float32)
    for octave, strength in enumerate(strengths):
        total += strength * window(rng, first + octave, size)
    return total


def profile(rng: np.random.Generator, length: int, cells: float = 3) -> np.ndarray:
    """A smooth random curve (length,) of zero mean and a deviation of about one, like the line of hills."""
    level = int(np.clip(round(np.log2(max(cells, 1) * TILE / length)), 0, _LEVELS - 1))
    return window(rng, level, (1, length))[0] + 0.3 * window(rng, min(level + 2, _LEVELS - 1), (1, length))[0]


def white_noise(rng: np.random.Generator, size: tuple[int, int], channels: int) -> np.ndarray:
    """White noise (H, W, channels) float32 of unit deviation."""
    return np.stack([window(rng, _LEVELS - 1, size) for _ in range(channels)], -1)


def per_channel(values: np.ndarray, width: int) -> np.ndarray:
    """Three numbers (3,) for each pixel of a row, (1, W, 3): numpy is slow at repeating what is as short as that."""
    return np.tile(values, width).reshape(1, width, 3)


def per_pixel(values: np.ndarray) -> np.ndarray:
    """A number per pixel (H, W) in all three channels, (H, W, 3), for the same reason."""
    return np.repeat(values, 3, axis=1).reshape(*values.shape, 3)
