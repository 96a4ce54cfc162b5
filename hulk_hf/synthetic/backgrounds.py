# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Backgrounds, procedural and a few photographs, each an (H, W, 3) float32 picture in 0-255 without any people.

Training and validation draw from the same kinds; those in `HELD_OUT_KINDS` are for test, which draws from all.
"""

from __future__ import annotations

import colorsys
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from .textures import per_channel, per_pixel, profile, texture

PHOTOGRAPHS_PATH = Path(__file__).parent / "data" / "photographs"
# Photographs without people, CC0 or public domain (data/NOTICE.md), by the split that may show them.
PHOTOGRAPHS = {
    "train": ("coffee", "rocket", "grass", "gravel"),
    "validation": ("coffee", "rocket", "grass", "gravel"),
    "test": ("chelsea", "brick"),
}


def random_colour(rng: np.random.Generator, saturation: float = 0.5) -> tuple[int, int, int]:
    """A colour (0-255), rarely more saturated than `saturation`."""
    hue, strength, value = rng.random(), saturation * rng.beta(1.2, 1.8), rng.uniform(0.1, 0.98)
    return tuple(int(255 * c) for c in colorsys.hsv_to_rgb(hue, strength, value))


def gradient(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Four corner colours, blended."""
    corners = np.array([[random_colour(rng) for _ in range(2)] for _ in range(2)], np.float32)
    v = np.linspace(0, 1, size[0], dtype=np.float32)[:, None, None]
    u = np.linspace(0, 1, size[1], dtype=np.float32)[None, :, None]
    return (corners[0, 0] * (1 - u) + corners[0, 1] * u) * (1 - v) + (corners[1, 0] * (1 - u) + corners[1, 1] * u) * v


def clouds(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Noise between a few colours, from soft to rough."""
    noise = texture(rng, size, cells=rng.uniform(1.5, 9), decay=rng.uniform(0.4, 0.85))
    first, second = (np.array(random_colour(rng), np.float32) for _ in range(2))
    noise *= rng.uniform(0.3, 2.0)
    mix = per_pixel(0.5 + 0.5 * noise / (1 + np.abs(noise)))
    return per_channel(first, size[1]) + per_channel(second - first, size[1]) * mix


def blobs(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Out-of-focus discs and boxes on a gradient."""
    height, width = size
    picture = Image.fromarray(gradient(rng, size).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(5, 40)):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(3, width / 3)
        shape = draw.ellipse if rng.random() < 0.6 else draw.rectangle
        shape([x - r, y - r * 0.8, x + r, y + r * 0.8], fill=random_colour(rng, 0.8))
    return _soften(picture, rng.choice([1, 4, 10]))


def _soften(picture: Image.Image, factor: float) -> np.ndarray:
    """Blurs cheaply by shrinking and enlarging; returns float32."""
    if factor > 1:
        small = picture.resize(
            (max(2, int(picture.width / factor)), max(2, int(picture.height / factor))), Image.Resampling.BOX
        )
        picture = small.resize(picture.size, Image.Resampling.BICUBIC)
    return np.asarray(picture, np.float32)


def _shade(colour, factor: float) -> tuple[int, ...]:
    return tuple(int(min(255, c * factor)) for c in colour)


def _box(draw: ImageDraw.ImageDraw, rng, x: float, base: float, w: float, h: float) -> None:
    """A box with a lighter top and a darker side, like furniture."""
    colour = random_colour(rng)
    dx, dy = w * rng.uniform(0.05, 0.3) * rng.choice([-1, 1]), h * rng.uniform(0.05, 0.2)
    side = [(x + (w if dx > 0 else 0), base), (x + (w if dx > 0 else 0), base - h)]
    draw.polygon([*side, (side[1][0] + dx, base - h - dy), (side[0][0] + dx, base - dy)], fill=_shade(colour, 0.6))
    draw.polygon(
        [(x, base - h), (x + w, base - h), (x + w + dx, base - h - dy), (x + dx, base - h - dy)],
        fill=_shade(colour, 1.25),
    )
    draw.rectangle([x, base - h, x + w, base], fill=colour)
    for _ in range(rng.integers(0, 4)):  # drawers, shelves
        level = base - h * rng.uniform(0.05, 0.95)
        draw.line([x, level, x + w, level], fill=_shade(colour, rng.uniform(0.5, 1.4)), width=int(rng.integers(1, 4)))


def room(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A wall and a floor in perspective, with a window or pictures, and furniture."""
    height, width = size
    wall, ground = random_colour(rng, 0.4), random_colour(rng, 0.6)
    picture = Image.new("RGB", (width, height), wall)
    draw = ImageDraw.Draw(picture)
    horizon, vanish = height * rng.uniform(0.35, 0.85), width * rng.uniform(-0.2, 1.2)
    corner = width * rng.uniform(-0.5, 1.5)
    draw.polygon(
        [(corner, -1), (corner, horizon), (width * 2, horizon + height * 0.2), (width * 2, -1)],
        fill=_shade(wall, rng.uniform(0.75, 1.1)),
    )
    draw.rectangle([0, horizon, width, height], fill=ground)
    line = _shade(ground, rng.uniform(0.6, 1.3))
    eye = horizon - height * rng.uniform(0.1, 0.6)  # where parallel floor lines meet
    if rng.random() < 0.7:
        for x in np.arange(-3 * width, 4 * width, width * rng.uniform(0.08, 0.4)):
            t = (horizon - eye) / (height - eye)
            draw.line([vanish + (x - vanish) * t, horizon, x, height], fill=line, width=1)
    if rng.random() < 0.5:
        for k in range(1, 12):
            y = horizon + (height - horizon) * (k / 12) ** 1.8
            draw.line([0, y, width, y], fill=line, width=1)
    draw.line([0, horizon, width, horizon], fill=_shade(wall, 0.7), width=int(rng.integers(1, 6)))
    for _ in range(rng.integers(0, 5)):  # windows, doors, pictures
        x, y, w, h = (
            rng.uniform(-0.2, 1) * width,
            rng.uniform(0, 0.6) * horizon,
            rng.uniform(0.1, 0.5) * width,
            rng.uniform(0.1, 0.5) * height,
        )
        frame = random_colour(rng, 0.3)
        draw.rectangle(
            [x, y, x + w, min(y + h, horizon)],
            fill=random_colour(rng, 0.5),
            outline=frame,
            width=int(rng.integers(1, 6)),
        )
        if rng.random() < 0.5:
            draw.line([x + w / 2, y, x + w / 2, min(y + h, horizon)], fill=frame, width=2)
    for _ in range(rng.integers(0, 5)):
        base = rng.uniform(horizon, height * 1.05)
        _box(
            draw,
            rng,
            rng.uniform(-0.2, 0.9) * width,
            base,
            rng.uniform(0.1, 0.5) * width,
            rng.uniform(0.08, 0.4) * height,
        )
    return _soften(picture, rng.choice([1, 1, 2, 4]))


def street(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Sky, buildings with windows, a road and poles."""
    height, width = size
    picture = Image.new("RGB", (width, height), random_colour(rng, 0.5))
    draw = ImageDraw.Draw(picture)
    horizon = height * rng.uniform(0.3, 0.7)
    x = -width * 0.2
    while x < width:
        w, top = width * rng.uniform(0.15, 0.6), horizon - height * rng.uniform(0.05, 0.7)
        wall = random_colour(rng, 0.4)
        draw.rectangle([x, top, x + w, horizon], fill=wall)
        pane, sx, sy = random_colour(rng, 0.4), rng.uniform(7, 24), rng.uniform(9, 30)
        for wy in np.arange(top + 4, horizon - sy * 0.5, sy):
            for wx in np.arange(x + 3, x + w - sx * 0.5, sx):
                draw.rectangle([wx, wy, wx + sx * 0.55, wy + sy * 0.6], fill=pane)
        x += w * rng.uniform(0.8, 1.3)
    road = random_colour(rng, 0.25)
    draw.rectangle([0, horizon, width, height], fill=road)
    vanish = width * rng.uniform(-0.3, 1.3)
    for _ in range(rng.integers(1, 6)):
        near, broad = width * rng.uniform(-1, 2), width * rng.uniform(0.02, 0.5)
        draw.polygon(
            [(vanish, horizon), (near, height), (near + broad, height)], fill=_shade(road, rng.uniform(0.6, 1.5))
        )
    for _ in range(rng.integers(0, 5)):  # poles, trunks, people-free clutter
        px, pw = rng.uniform(0, width), rng.uniform(1, 10)
        draw.rectangle(
            [px, rng.uniform(0, horizon), px + pw, horizon + rng.uniform(0, 0.4) * height],
            fill=random_colour(rng, 0.4),
        )
    for _ in range(rng.integers(0, 4)):
        _box(
            draw,
            rng,
            rng.uniform(-0.2, 0.9) * width,
            horizon + rng.uniform(0, 0.4) * height,
            rng.uniform(0.15, 0.6) * width,
            rng.uniform(0.05, 0.25) * height,
        )
    return _soften(picture, rng.choice([1, 1, 2, 4]))


def greenery(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Rough foliage-like noise above, ground below."""
    height, width = size
    upper, lower = clouds(rng, size), clouds(rng, size)
    edge = height * rng.uniform(0.2, 0.8) + height * 0.06 * profile(rng, width, cells=4)
    mask = (np.arange(height)[:, None] > edge[None])[..., None]
    return np.where(mask, lower, upper)


def hills(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Rows of hills that pale into the distance (held out for test)."""
    height, width = size
    picture = gradient(rng, size)
    near, far = (np.array(random_colour(rng, 0.7), np.float32) for _ in range(2))
    rows = int(rng.integers(2, 6))
    for row in range(rows):
        t = (row + 1) / rows
        edge = height * (0.25 + 0.5 * t) + height * 0.08 * profile(rng, width)
        mask = (np.arange(height)[:, None] > edge[None])[..., None]
        picture = np.where(mask, far * (1 - t) + near * t + 6 * texture(rng, size)[..., None], picture)
    return picture


def bricks(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A wall of bricks or tiles over a plain floor (held out for test)."""
    height, width = size
    brick = np.array(random_colour(rng, 0.7))
    picture = Image.new("RGB", (width, height), random_colour(rng, 0.2))
    draw = ImageDraw.Draw(picture)
    bw, bh = rng.uniform(14, 50), rng.uniform(7, 24)
    for row, y in enumerate(np.arange(0, height, bh)):
        for x in np.arange(-bw * (row % 2) / 2, width, bw):
            draw.rectangle([x, y, x + bw - 2, y + bh - 2], fill=_shade(brick, rng.uniform(0.8, 1.2)))
    draw.rectangle([0, height * rng.uniform(0.6, 1.0), width, height], fill=random_colour(rng))
    return _soften(picture, rng.choice([1, 2]))


@cache
def _photograph(name: str) -> Image.Image:
    """A photograph of the package, in memory."""
    with Image.open(PHOTOGRAPHS_PATH / f"{name}.jpg") as picture:
        return picture.convert("RGB")


def photograph(rng: np.random.Generator, size: tuple[int, int], names: tuple[str, ...]) -> np.ndarray:
    """A piece of one of the named photographs, mirrored, tinted and enlarged at random."""
    height, width = size
    source = _photograph(names[rng.integers(len(names))])
    scale = rng.uniform(0.35, 1.0) * min(source.width / width, source.height / height)
    x, y = rng.uniform(0, source.width - scale * width), rng.uniform(0, source.height - scale * height)
    box = (x, y, x + scale * width, y + scale * height)
    picture = np.asarray(source.resize((width, height), Image.Resampling.BILINEAR, box=box), np.float32)
    tint = 1.4 * (0.45 + 0.55 * np.array(random_colour(rng, 0.8), np.float32) / 255)
    return (picture[:, ::-1] if rng.random() < 0.5 else picture) * per_channel(tint, width)


# What only test shows, and how often the other kinds come up.
HELD_OUT_KINDS = (hills, bricks)
SHARES = {
    gradient: 0.07,
    clouds: 0.11,
    blobs: 0.09,
    room: 0.27,
    street: 0.23,
    greenery: 0.13,
    photograph: 0.10,
}


def sample_background(rng: np.random.Generator, split: str, size: tuple[int, int]) -> np.ndarray:
    """Draws a background (H, W, 3) float32 for a split: in test, half of them are of a held-out kind."""
    if split == "test" and rng.random() < 0.5:
        kind = HELD_OUT_KINDS[rng.integers(len(HELD_OUT_KINDS))]
    else:
        kinds, weights = list(SHARES), np.array(list(SHARES.values()))
        kind = kinds[rng.choice(len(kinds), p=weights / weights.sum())]
    picture = kind(rng, size, PHOTOGRAPHS[split]) if kind is photograph else kind(rng, size)
    grain = np.float32(rng.uniform(0, 14))
    return np.clip(picture + per_pixel(grain * texture(rng, size, cells=rng.uniform(3, 24))), 0, 255)
