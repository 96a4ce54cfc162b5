# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From the logits of human parsing to the parts of a picture: pure functions on batches of tensors (spec 5.2).

The released test path, in this order: probabilities, mean with the mirrored picture (flip test), bilinear resizing to
the size of the model input and from there to the size of the result, arg-max over parts. Pixels are centred at half
coordinates throughout, so that a mirror and a resize can trade places.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from .pose_geometry_hulk import flip_heatmaps

_ROUNDING = 1e-5  # by which a resized value may leave the range of what it is made of


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


@torch.no_grad()
def most_likely_parts(
    maps: torch.Tensor, input_size: tuple[int, int], output_size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The part of the highest value at every pixel, without ever holding all maps at the size of the result.

    The two steps of `resize_maps` are one linear map of rows and one of columns. Each part is brought to the size of
    the result only in the rectangle in which it may be the best one at all, which for most parts is small.

    Args:
        maps: Shape (B, K, h, w).
        input_size: (height, width) of the model input.
        output_size: (height, width) of the result.

    Returns:
        Index of the part, shape (B, *output_size), int64 (of equals the first), and its value, float32.
    """
    maps = maps.float()
    down = _resize_plan(maps.shape[-2], input_size[0], output_size[0])
    across = _resize_plan(maps.shape[-1], input_size[1], output_size[1])
    rows, columns = down.weights.to(maps.device), across.weights.to(maps.device)
    values = maps.new_full((maps.shape[0], *output_size), -torch.inf)
    parts = torch.zeros(values.shape, dtype=torch.int16, device=maps.device)
    for picture, value, part in zip(maps, values, parts, strict=True):
        for index, window in _candidates(picture, down, across):
            resized = rows[window[0]] @ (picture[index] @ columns[window[1]].T)
            best = value[window]
            part[window].masked_fill_(resized > best, index)
            torch.maximum(best, resized, out=best)
    return parts.long(), values


class _Plan(NamedTuple):
    """How bilinear resizing by way of another size makes the pixels of one axis of the result.

    Attributes:
        weights: Of each source pixel in each target pixel, shape (target, source), float32.
        first: The first source pixel that each target pixel is made of, in ascending order, shape (target,).
        length: How many source pixels a target pixel is made of at most.
    """

    weights: torch.Tensor
    first: np.ndarray
    length: int


@lru_cache(maxsize=64)
def _resize_plan(source: int, middle: int, target: int) -> _Plan:
    """The plan of resizing `source` pixels to `middle` and these to `target`."""
    weights = torch.eye(source)[None]
    for size in (middle, target):
        if weights.shape[-1] != size:
            weights = F.interpolate(weights, size=size, mode="linear", align_corners=False)
    weights = weights[0].T.contiguous()
    used = weights.numpy() != 0
    first, end = used.argmax(axis=1), source - used[:, ::-1].argmax(axis=1)
    length = int((end - first).max())
    return _Plan(weights, first.clip(max=source - length), length)


def _candidates(picture: torch.Tensor, down: _Plan, across: _Plan) -> list[tuple[int, tuple[slice, slice]]]:
    """For each part that may be the best somewhere its index, and the rows and columns of the result where it may.

    A resized value lies between the least and the largest of the pixels it is made of. So where the largest value of a
    part is less than the least one of another part, it cannot win.
    """
    if picture.device.type != "cpu":  # finding out would make the device wait, once for every part
        return [(index, (slice(None), slice(None))) for index in range(len(picture))]
    largest = _windows(picture, down.length, across.length, torch.maximum)
    least = _windows(picture, down.length, across.length, torch.minimum)
    possible = largest >= least.amax(dim=0) - _ROUNDING
    found = []
    for index, (rows, columns) in enumerate(
        zip(possible.any(dim=2).numpy(), possible.any(dim=1).numpy(), strict=True)
    ):
        if rows.any():
            found.append((index, (_span(down.first, rows.nonzero()[0]), _span(across.first, columns.nonzero()[0]))))
    return found


def _windows(maps: torch.Tensor, tall: int, wide: int, take: Callable) -> torch.Tensor:
    """The largest or least value in every window of `tall` x `wide` pixels (pooling also finds out where, slowly)."""
    for _ in range(tall - 1):
        maps = take(maps[:, 1:], maps[:, :-1])
    for _ in range(wide - 1):
        maps = take(maps[:, :, 1:], maps[:, :, :-1])
    return maps


def _span(first: np.ndarray, possible: np.ndarray) -> slice:
    """The target pixels whose source pixels begin at one of `possible`, or between two of them."""
    return slice(int(np.searchsorted(first, possible[0])), int(np.searchsorted(first, possible[-1], side="right")))


__all__ = ["average_mirrored", "most_likely_parts", "part_probabilities", "resize_maps"]
