# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Windows onto pictures: what of a picture a network gets to see, for a whole batch at once.

A window is a rectangle, turned and mirrored as training likes it, that is stretched to the input of the network, its
aspect ratio given up as in the official test paths of parsing, attributes and captions. Places are continuous: a
picture reaches from 0 to its width, and the middle of its first pixel is at 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from hulk_hf.training.augmentation import IMAGE_MEAN, IMAGE_STD, Augmentation, _jitter_colour


@dataclass(frozen=True)
class Windows:
    """A window onto each picture of a batch.

    Attributes:
        center: Shape (B, 2), (x, y) in pixels of the picture.
        size: Shape (B, 2), (width, height) in pixels of the picture.
        angle: Shape (B,), radians by which the window is turned clockwise as seen, so that what it shows turns
            counter-clockwise.
        flipped: Shape (B,), bool, whether it shows its mirror image.
    """

    center: torch.Tensor
    size: torch.Tensor
    angle: torch.Tensor
    flipped: torch.Tensor

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.center)

    def _turn(self, inverse: bool = False) -> torch.Tensor:
        """Rotations (B, 2, 2) from the axes of the window to those of the picture, or back."""
        sin, cos = self.angle.sin(), self.angle.cos()
        sin = -sin if inverse else sin
        return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], dim=-2)

    def grid(self, image_size: tuple[int, int], picture_size: tuple[int, int]) -> torch.Tensor:
        """Where the pixels of the input look, as `grid_sample` wants it with `align_corners=False`.

        Args:
            image_size: (height, width) of the input.
            picture_size: (height, width) of the pictures.

        Returns:
            Shape (B, height, width, 2).
        """
        height, width = image_size
        rows = (torch.arange(height) + 0.5) / height - 0.5
        columns = (torch.arange(width) + 0.5) / width - 0.5
        mirror = torch.where(self.flipped, -1.0, 1.0)
        across = columns * (self.size[:, :1] * mirror[:, None])
        down = rows * self.size[:, 1:]
        turn = self._turn()
        # An outer sum: place = center + across * (first column of the rotation) + down * (second column).
        horizontal = self.center[:, None] + across[..., None] * turn[:, None, :, 0]
        place = horizontal[:, None] + (down[..., None] * turn[:, None, :, 1])[:, :, None]
        extent = torch.tensor([picture_size[1], picture_size[0]], dtype=torch.float32)
        return place * (2 / extent) - 1

    def to_window(self, points: torch.Tensor) -> torch.Tensor:
        """Where points (B, N, 2) of the pictures appear: 0..1 from the left and upper edge of the input."""
        mirror = torch.stack([torch.where(self.flipped, -1.0, 1.0), torch.ones(len(self))], dim=-1)
        turned = (points - self.center[:, None]) @ self._turn(inverse=True).transpose(1, 2)
        return turned / self.size[:, None] * mirror[:, None] + 0.5

    def grid_back(self, picture_size: tuple[int, int]) -> torch.Tensor:
        """Where each pixel of the pictures lies in the input, for `grid_sample`: shape (B, height, width, 2)."""
        height, width = picture_size
        rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        points = torch.stack([columns, rows], dim=-1).view(1, -1, 2).expand(len(self), -1, -1)
        return (self.to_window(points) * 2 - 1).view(len(self), height, width, 2)


def windows_on(boxes: torch.Tensor, padding: float = 1.0, square: bool = False) -> Windows:
    """The windows of the test path: boxes, enlarged.

    Args:
        boxes: Shape (B, 4), (x, y, width, height) in pixels.
        padding: Factor that width and height grow by.
        square: Make both sides as long as the longer one.
    """
    boxes = boxes.float()
    size = boxes[:, 2:].clamp(min=1.0) * padding
    if square:
        size = size.amax(dim=1, keepdim=True).expand(-1, 2)
    nothing = torch.zeros(len(boxes))
    return Windows(boxes[:, :2] + boxes[:, 2:] / 2, size, nothing, nothing.bool())


def jitter_windows(
    windows: Windows, augmentation: Augmentation, generator: torch.Generator, stretch: float = 0.1
) -> Windows:
    """Move, scale, stretch, turn and mirror windows at random.

    Args:
        windows: Those of the test path.
        augmentation: How much.
        generator: All randomness comes from here.
        stretch: Sides are scaled apart by up to this share.
    """
    batch = len(windows)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator) * 2 - 1

    low, high = (torch.tensor(side).log() for side in augmentation.scale)
    factor = torch.exp(low + (high - low) * torch.rand(batch, 1, generator=generator))
    apart = torch.exp(uniform(batch, 1) * stretch)
    size = windows.size * factor * torch.cat([apart, 1 / apart], dim=1)
    center = windows.center + uniform(batch, 2) * augmentation.shift * size
    turned = torch.rand(batch, generator=generator) < augmentation.rotation_probability
    angle = uniform(batch) * (augmentation.rotation * torch.pi / 180) * turned
    flipped = torch.rand(batch, generator=generator) < augmentation.flip_probability
    return Windows(center, size, angle, flipped)


def look(pictures: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Read pictures (B, H, W, 3) uint8 at a grid: (B, 3, h, w) in 0..255, black beyond their edge."""
    return F.grid_sample(pictures.permute(0, 3, 1, 2).float(), grid, align_corners=False)


def look_at_labels(maps: torch.Tensor, grid: torch.Tensor, outside: int) -> torch.Tensor:
    """Read label maps (B, H, W) at the nearest pixel of a grid (B, h, w, 2): (B, h, w) int64.

    Args:
        maps: Integers.
        grid: From `Windows.grid`.
        outside: Label of places beyond the edge.
    """
    height, width = maps.shape[1:]
    x = ((grid[..., 0] + 1) * (width / 2)).floor().long()
    y = ((grid[..., 1] + 1) * (height / 2)).floor().long()
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    places = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    labels = maps.flatten(1).gather(1, places.flatten(1)).view_as(places).long()
    return torch.where(inside, labels, outside)


def to_pixel_values(
    pixels: torch.Tensor, augmentation: Augmentation | None = None, generator: torch.Generator | None = None
) -> torch.Tensor:
    """Normalise pixels (B, 3, h, w) in 0..255 as the network wants them, with other colours if asked for."""
    if augmentation is not None and generator is not None:
        pixels = _jitter_colour(pixels, augmentation, generator)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGE_MEAN, IMAGE_STD))
    return (pixels / 255.0 - mean) / std


__all__ = ["Windows", "jitter_windows", "look", "look_at_labels", "to_pixel_values", "windows_on"]
