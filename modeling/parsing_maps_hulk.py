# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From the logits of human parsing to the parts of a picture: pure functions on batches of tensors (spec 5.2).

The released test path, in this order: probabilities, mean with the mirrored picture (flip test), bilinear resizing to
the size of the model input and from there to the size of the result, arg-max over parts. Pixels are centred at half
coordinates throughout, so that a mirror and a resize can trade places.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from .pose_geometry_hulk import flip_heatmaps

_PARTS_AT_ONCE = 4  # of a picture that are resized together before only the best of them are kept


def part_probabilities(mask_logits: torch.Tensor, presence_logits: torch.Tensor) -> torch.Tensor:
    """How likely each place shows each part: the part is in the picture, and the place belongs to it.

    Args:
        mask_logits: Shape (B, K, h, w).
        presence_logits: Shape (B, K).

    Returns:
        Shape (B, K, h, w), 0 to 1 in float32. Parts are judged one by one: over K they need not sum up to 1.

    Raises:
        ValueError: The shapes do not fit together.
    """
    if mask_logits.ndim != 4 or presence_logits.shape != mask_logits.shape[:2]:
        raise ValueError(
            "presence_logits: expected shape (batch, parts) for mask logits of shape (batch, parts, height, width), "
            f"got {tuple(presence_logits.shape)} for {tuple(mask_logits.shape)}"
        )
    return mask_logits.float().sigmoid() * presence_logits.float().sigmoid()[..., None, None]


def average_mirrored(maps: torch.Tensor, mirrored: torch.Tensor, flip_pairs: Sequence[Sequence[int]]) -> torch.Tensor:
    """Mean of the maps of pictures and of their mirror images (flip test).

    The release averages after resizing; up to rounding that is the same, and it takes twice the memory.

    Args:
        maps: Shape (B, K, h, w).
        mirrored: The same of the mirrored pictures, as the model gave them.
        flip_pairs: Parts that trade places in a mirror.

    Returns:
        Shape (B, K, h, w), float32.

    Raises:
        ValueError: The shapes differ, or `flip_pairs` does not fit them.
    """
    if maps.shape != mirrored.shape:
        raise ValueError(f"mirrored: expected the shape of maps {tuple(maps.shape)}, got {tuple(mirrored.shape)}")
    return (maps.float() + flip_heatmaps(mirrored.float(), flip_pairs)) / 2


def resize_maps(maps: torch.Tensor, input_size: tuple[int, int], output_size: tuple[int, int]) -> torch.Tensor:
    """Bring maps to the size of a result, by way of the size of the model input as in the release.

    Args:
        maps: Shape (B, K, h, w).
        input_size: (height, width) of the model input.
        output_size: (height, width) of the result, for example that of the original picture.

    Returns:
        Shape (B, K, *output_size), float32.
    """
    maps = maps.float()
    for size in (tuple(input_size), tuple(output_size)):
        if maps.shape[-2:] != size:
            maps = F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    return maps


def most_likely_parts(
    maps: torch.Tensor, input_size: tuple[int, int], output_size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The part of the highest value at every pixel, without ever holding all maps at the size of the result.

    Args:
        maps: Shape (B, K, h, w).
        input_size: (height, width) of the model input.
        output_size: (height, width) of the result.

    Returns:
        Index of the part, shape (B, *output_size), int64 (of equals the first), and its value, float32.
    """
    values = maps.new_full((maps.shape[0], *output_size), -torch.inf, dtype=torch.float32)
    parts = torch.zeros_like(values, dtype=torch.long)
    for first in range(0, maps.shape[1], _PARTS_AT_ONCE):
        some = resize_maps(maps[:, first : first + _PARTS_AT_ONCE], input_size, output_size)
        best, index = some.max(dim=1)
        parts = torch.where(best > values, first + index, parts)
        values = torch.maximum(values, best)
    return parts, values


__all__ = ["average_mirrored", "most_likely_parts", "part_probabilities", "resize_maps"]
