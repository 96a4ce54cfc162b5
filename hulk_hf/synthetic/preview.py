# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of synthetic people, to look at.

`python -m hulk_hf.synthetic.preview sheet.png --split train --count 24`
"""

from __future__ import annotations

import argparse
import colorsys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from .dataset import SyntheticPersons
from .wardrobe import LIP_LABELS

_ZOOM = 2
# Edges of the drawn skeleton, as pairs of COCO keypoints.
_EDGES = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16), (5, 6), (11, 12), (5, 11), (6, 12))


def part_palette() -> np.ndarray:
    """A colour for every part label, (20, 3) uint8, black for the background."""
    colours = [colorsys.hsv_to_rgb(0.381966 * k % 1, 0.45 + 0.5 * (k % 2), 0.95) for k in range(len(LIP_LABELS))]
    palette = np.array(colours) * 255
    palette[0] = 0
    return palette.astype(np.uint8)


def draw_sample(sample: dict) -> Image.Image:
    """One sample: enlarged with box and skeleton, beside it the plain picture and the part map.

    The person's left is drawn in green, the right in red; hidden keypoints are hollow.
    """
    picture = Image.fromarray(sample["image"])
    height, width = sample["parts"].shape
    tile = Image.new("RGB", (width * (_ZOOM + 1), height * _ZOOM))
    tile.paste(picture.resize((width * _ZOOM, height * _ZOOM)), (0, 0))
    tile.paste(picture, (width * _ZOOM, 0))
    tile.paste(Image.fromarray(part_palette()[sample["parts"]]), (width * _ZOOM, height))
    draw = ImageDraw.Draw(tile)
    x, y, w, h = sample["bbox"] * _ZOOM
    draw.rectangle([x, y, x + w, y + h], outline=(255, 255, 255))
    points = (sample["keypoints"][:, :2] + 0.5) * _ZOOM
    seen = sample["keypoints"][:, 2]
    sides = [(60, 160, 255)] + [((60, 255, 60) if k % 2 else (255, 60, 60)) for k in range(1, len(points))]
    for a, b in _EDGES:
        if seen[a] and seen[b]:
            draw.line([*points[a], *points[b]], fill=sides[a] if a % 2 == b % 2 else (200, 200, 60))
    for k, (px, py) in enumerate(points):
        if seen[k]:
            draw.ellipse([px - 3, py - 3, px + 3, py + 3], outline=sides[k], fill=sides[k] if seen[k] == 2 else None)
    return tile


def contact_sheet(path: str | Path, split: str = "train", n: int = 24, seed: int = 0, columns: int = 4) -> None:
    """Writes a picture of `n` samples of a split to `path`."""
    tiles = [draw_sample(sample) for sample in (SyntheticPersons(split, n, seed)[i] for i in range(n))]
    width, height = tiles[0].size
    sheet = Image.new("RGB", (columns * width, -(-n // columns) * height))
    for k, tile in enumerate(tiles):
        sheet.paste(tile, (k % columns * width, k // columns * height))
    sheet.save(path)


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    contact_sheet(arguments.path, arguments.split, arguments.count, arguments.seed)


if __name__ == "__main__":
    main()
