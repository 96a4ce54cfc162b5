# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Drawing with Pillow alone, for machines without `supervision`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_LINE_LENGTH = 34


class PlainCanvas:
    """Draws with Pillow; see `hulk_hf.drawing.Canvas`."""

    def __init__(self, image: Image.Image):
        self.image = image.convert("RGB").copy()
        self.pen = ImageDraw.Draw(self.image)

    def boxes(self, boxes: np.ndarray, colours: Sequence[str], thickness: int) -> None:
        """See `Canvas.boxes`."""
        for box, colour in zip(boxes.tolist(), colours, strict=True):
            self.pen.rectangle(box, outline=colour, width=thickness)

    def limbs(self, joints: np.ndarray, edges: Sequence[tuple[int, int]], colour: str, thickness: int) -> None:
        """See `Canvas.limbs`."""
        for person in joints:
            for a, b in edges:
                line = person[[a, b]]
                if np.isfinite(line).all():
                    self.pen.line([tuple(end) for end in line.tolist()], fill=colour, width=thickness)

    def dots(self, joints: np.ndarray, colour: str, radius: int) -> None:
        """See `Canvas.dots`."""
        for x, y in joints.reshape(-1, 2)[np.isfinite(joints).all(-1).ravel()].tolist():
            self.pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)

    def words(self, boxes: np.ndarray, texts: Sequence[str], colours: Sequence[str], height: int) -> None:
        """See `Canvas.words`."""
        font = ImageFont.load_default(size=height)
        for (left, top, *_), text, colour in zip(boxes.tolist(), texts, colours, strict=True):
            wrapped = "\n".join(part for line in text.split("\n") for part in textwrap.wrap(line, _LINE_LENGTH))
            x0, y0, x1, y1 = self.pen.multiline_textbbox((0, 0), wrapped, font=font)
            padding = max(height // 3, 2)
            width, tall = x1 - x0 + 2 * padding, y1 - y0 + 2 * padding
            x = min(max(left, 0), max(self.image.width - width, 0))
            y = min(max(top - tall, 0), max(self.image.height - tall, 0))
            self.pen.rectangle([x, y, x + width, y + tall], fill=colour)
            self.pen.multiline_text((x + padding - x0, y + padding - y0), wrapped, fill="black", font=font)

    def picture(self) -> Image.Image:
        """See `Canvas.picture`."""
        return self.image.copy()


__all__ = ["PlainCanvas"]
