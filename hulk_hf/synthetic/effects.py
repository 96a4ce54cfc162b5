# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What lies between a clean render and a photograph: light, occluders, lens, sensor and compression."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .backgrounds import clouds, gradient, random_colour
from .renderer import Light
from .textures import per_channel, per_pixel, texture, white_noise


def sample_light(rng: np.random.Generator) -> Light:
    """Draws a light from above and from the camera's side, from soft to hard, warm to cold."""
    direction = rng.normal(0, 1, 3)
    direction[1] = -abs(direction[1]) - 0.2 if rng.random() < 0.85 else abs(direction[1])
    direction[2] = abs(direction[2]) + 0.4
    ambient = rng.uniform(0.25, 0.75)
    warmth = rng.normal(0, 0.06)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    return Light(
        direction=direction / np.linalg.norm(direction),
        key=rng.uniform(1.0, 1.4) - ambient * 0.7,
        ambient=ambient,
        colour=tint,
        ambient_colour=(2 - tint) * rng.uniform(0.95, 1.05, 3),
    )


def _occluder_shape(
    rng: np.random.Generator, draw: ImageDraw.ImageDraw, box: np.ndarray, size: tuple[int, int]
) -> None:
    """Draws one shape in white near the person's `box` (x, y, w, h): a slab, a pole, a disc or a polygon."""
    height, width = size
    x, y, w, h = box
    kind = rng.choice(["slab", "pole", "disc", "polygon"], p=[0.3, 0.2, 0.15, 0.35])
    if kind == "slab":  # a table, a car, a hedge
        top = y + h * rng.uniform(0.45, 0.95)
        left = x + w * rng.uniform(-1.0, 0.5)
        draw.rectangle(
            [
                left,
                top,
                left + w * rng.uniform(0.8, 3),
                height if rng.random() < 0.6 else top + h * rng.uniform(0.05, 0.4),
            ],
            fill=255,
        )
    elif kind == "pole":
        left, thick, slope = x + w * rng.uniform(0, 1), rng.uniform(0.02, 0.12) * width, rng.normal(0, 0.1) * width
        draw.polygon(
            [(left, -1), (left + thick, -1), (left + thick + slope, height), (left + slope, height)], fill=255
        )
    elif kind == "disc":
        cx, cy, r = x + w * rng.uniform(-0.1, 1.1), y + h * rng.uniform(0, 1), rng.uniform(0.05, 0.2) * h
        draw.ellipse([cx - r, cy - r * rng.uniform(0.5, 1.2), cx + r, cy + r], fill=255)
    else:
        cx, cy, r = x + w * rng.uniform(-0.2, 1.2), y + h * rng.uniform(0.1, 1.1), rng.uniform(0.08, 0.28) * h
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
        radii = r * rng.uniform(0.4, 1.3, len(angles))
        draw.polygon([(cx + q * np.cos(a), cy + q * np.sin(a)) for a, q in zip(angles, radii, strict=True)], fill=255)


def sample_occluders(
    rng: np.random.Generator, box: tuple[float, float, float, float], person: np.ndarray, largest_share: float = 0.45
) -> tuple[np.ndarray, np.ndarray] | None:
    """Draws things in front of a person.

    Args:
        rng: source of randomness.
        box: the person's box [x, y, w, h] in pixels.
        person: the person's mask (H, W) bool.
        largest_share: the largest share of the person that may be hidden.

    Returns:
        Colour (H, W, 3) float32 and mask (H, W) float32 in 0-1; or None if what was drawn hides too much.
    """
    size = person.shape
    canvas = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(1, 4)):
        _occluder_shape(rng, draw, box, size)
    mask = np.asarray(canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2))), np.float32) / 255
    colour = (clouds if rng.random() < 0.5 else gradient)(rng, size)
    if rng.random() < 0.3:
        period = rng.uniform(4, 30)
        stripes = ((np.arange(size[0])[:, None] + rng.uniform(-1, 1) * np.arange(size[1])) % period < period / 2)[
            ..., None
        ]
        colour = np.where(stripes, colour, np.array(random_colour(rng), np.float32))
    hidden = (mask > 0.5)[person].mean() if person.any() else 0.0
    return None if hidden > largest_share else (colour, mask)


def _blur(rng: np.random.Generator, picture: Image.Image) -> Image.Image:
    """Defocus, low resolution or motion blur, or none."""
    kind = rng.choice(["none", "focus", "resolution", "motion"], p=[0.45, 0.25, 0.22, 0.08])
    if kind == "focus":
        return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.6)))
    if kind == "resolution":
        factor = rng.uniform(0.35, 0.85)
        small = picture.resize((int(picture.width * factor), int(picture.height * factor)), Image.Resampling.BOX)
        return small.resize(
            picture.size, Image.Resampling.BILINEAR if rng.random() < 0.5 else Image.Resampling.BICUBIC
        )
    if kind == "motion":
        values, (dx, dy) = np.asarray(picture, np.float32), rng.normal(0, 2.5, 2)
        steps = [np.roll(values, (round(t * dy), round(t * dx)), (0, 1)) for t in (-0.5, -0.25, 0, 0.25, 0.5)]
        return Image.fromarray((sum(steps) / len(steps)).astype(np.uint8))
    return picture


def _expose(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Exposure, contrast, white balance and uneven light, on a copy."""
    height, width = picture.shape[:2]
    middle, contrast = 118.0, rng.uniform(0.7, 1.25)
    tone = contrast * rng.normal(1, 0.06, 3) * rng.uniform(0.8, 1.3)
    picture = picture * per_channel(tone.astype(np.float32), width)
    picture += np.float32(middle * (1 - contrast))
    if rng.random() < 0.5:
        across = 1 + rng.normal(0, 0.15) * np.linspace(-1, 1, width)
        down = 1 + rng.normal(0, 0.12) * np.linspace(-1, 1, height)
        picture *= per_pixel((down[:, None] * across).astype(np.float32))
    if rng.random() < 0.08:  # little or no colour
        grey = picture.mean(2, keepdims=True)
        picture = grey + np.float32(rng.choice([0.0, 0.3])) * (picture - grey)
    return picture


def photograph(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Turns a clean render (H, W, 3) float32 into a plausible photograph, uint8 of the same size."""
    size = picture.shape[:2]
    result = _blur(rng, Image.fromarray(_to_bytes(_expose(rng, picture))))
    grain = rng.uniform(0, 8) if rng.random() < 0.6 else 0.0
    stains = rng.uniform(4, 20) if rng.random() < 0.1 else 0.0
    if grain > 0.5 or stains:
        values = np.asarray(result, np.float32)
        values = values + np.float32(grain) * white_noise(rng, size, 1 if rng.random() < 0.5 else 3)
        values += per_pixel(np.float32(stains) * texture(rng, size, cells=2, octaves=2))
        result = Image.fromarray(_to_bytes(values))
    if rng.random() < 0.7:
        buffer = io.BytesIO()
        result.save(buffer, "JPEG", quality=int(rng.integers(30, 96)))
        result = Image.open(buffer)
    return np.array(result.convert("RGB"))


def _to_bytes(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8)
