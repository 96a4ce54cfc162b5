# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Somebody else beside a person: what crops of pictures with several people show, and those of one person do not.

Rendered people have company in a quarter of the pictures, mostly small or at the border; a network that learns from
these follows whoever is most visible. Here another person of the batch is cut out, with what it carries, and put next
to a person, mostly behind it, sometimes in front.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

_IN_FRONT = 0.25  # share of those who stand in front
_COVERED = 0.35  # share of a person that somebody in front may cover; more than that, and it goes behind
_NEAREST, _FARTHEST = 0.35, 1.1  # between the middles of two people, in means of their widths
_HEIGHTS = (0.8, 1.15)  # of the other person, in those of the one it is put beside
_LIFT = 0.08  # of its feet, up or down, in heights


def add_bystanders(
    images: torch.Tensor, boxes: torch.Tensor, layers: torch.Tensor, probability: float, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Put the person of another picture of the batch beside some.

    Args:
        images: Shape (B, H, W, 3), uint8.
        boxes: Shape (B, 4), xywh of the person of each picture, in pixels.
        layers: Shape (B, H, W), uint8: 0 behind the person, 1 the person with what it carries, 2 in front of it.
        probability: Share of the pictures that somebody is added to; a picture alone in its batch gets nobody.
        generator: All randomness comes from here.

    Returns:
        Pictures of the same shape, and where somebody was added: (B, H, W), bool. Boxes and whatever else is known of
        a person stay as they are.
    """
    batch = len(images)
    draws = torch.rand(6, batch, generator=generator)
    chosen = torch.nonzero(draws[0] < probability)[:, 0]
    if batch < 2 or not len(chosen):
        return images, torch.zeros_like(layers, dtype=torch.bool)
    _, front, side, near, height, lift = draws[:, chosen]
    # Rows are drawn at random: the one before is anybody.
    other = (chosen - 1) % batch
    own, theirs = boxes[chosen].float(), boxes[other].float()
    scale = own[:, 3] / theirs[:, 3] * (_HEIGHTS[0] + (_HEIGHTS[1] - _HEIGHTS[0]) * height)
    distance = (_NEAREST + (_FARTHEST - _NEAREST) * near) * (own[:, 2] + scale * theirs[:, 2]) / 2
    across = own[:, 0] + own[:, 2] / 2 + torch.where(side < 0.5, -1.0, 1.0) * distance
    # Boxes end where a person does or, if it is cut off there, at the border: then this is not where its feet are.
    feet = own[:, 1] + own[:, 3] * (1 + _LIFT * (2 * lift - 1))

    rows, columns = torch.arange(images.shape[1]) + 0.5, torch.arange(images.shape[2]) + 0.5
    x = (columns - across[:, None]) / scale[:, None] + (theirs[:, :1] + theirs[:, 2:3] / 2)
    y = (rows - feet[:, None]) / scale[:, None] + (theirs[:, 1:2] + theirs[:, 3:])
    x, y = x / images.shape[2] * 2 - 1, y / images.shape[1] * 2 - 1
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    cut = torch.cat([images[other].permute(0, 3, 1, 2).float(), (layers[other, None] == 1).float()], dim=1)
    cut = F.grid_sample(cut, grid, align_corners=False)

    mask, person = cut[:, 3] > 0.5, layers[chosen] == 1
    hidden = (mask & person).sum(dim=(1, 2)) / person.sum(dim=(1, 2)).clamp(min=1)
    before = (front < _IN_FRONT) & (hidden < _COVERED)
    covered = mask & (before[:, None, None] | (layers[chosen] == 0))
    images, added = images.clone(), torch.zeros_like(layers, dtype=torch.bool)
    pixels = cut[:, :3].permute(0, 2, 3, 1).round().to(images.dtype)
    images[chosen] = torch.where(covered[..., None], pixels, images[chosen])
    added[chosen] = covered
    return images, added


__all__ = ["add_bystanders"]
