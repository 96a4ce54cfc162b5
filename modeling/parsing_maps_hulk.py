# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From the logits of human parsing to the parts of a picture: pure functions on batches of tensors (spec 5.2).

The released test path, in this order: probabilities, mean with the mirrored picture (flip test), bilinear resizing to
the size of the model input and from there to the size of the result, arg-max over parts. Pixels are centred at half
coordinates throughout, so that a mirror and a resize can trade places.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

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
    rows = _resize_weights(maps.shape[-2], input_size[0], output_size[0]).to(maps.device)
    columns = _resize_weights(maps.shape[-1], input_size[1], output_size[1]).to(maps.device)
    values = maps.new_full((maps.shape[0], *output_size), -torch.inf)
    parts = torch.zeros(values.shape, dtype=torch.int16, device=maps.device)
    for picture, value, part in zip(maps, values, parts, strict=True):
        for index, down, across in _candidates(picture, rows, columns):
            window, found = (slice(*down), slice(*across)), picture[index]
            some_rows, some_columns = rows[window[0]], columns[window[1]]
            resized = some_rows @ (found @ some_columns.T)
            best = value[window]
            part[window].masked_fill_(resized > best, index)
            torch.maximum(best, resized, out=best)
    return parts.long(), values


@lru_cache(maxsize=64)
def _resize_weights(source: int, middle: int, target: int) -> torch.Tensor:
    """What bilinear resizing to `middle` and from there to `target` takes of each source pixel: (target, source)."""
    weights = torch.eye(source)[None]
    for size in (middle, target):
        if weights.shape[-1] != size:
            weights = F.interpolate(weights, size=size, mode="linear", align_corners=False)
    return weights[0].T.contiguous()


def _candidates(
    picture: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> list[tuple[int, tuple[int, int], tuple[int, int]]]:
    """For each part that may be the best somewhere its index and the (first, end) rows and columns of the result.

    A resized value lies between the least and the largest of the pixels it is made of. So where the largest value of a
    part is less than the least one of another part, it cannot win.
    """
    everywhere = (0, len(rows)), (0, len(columns))
    if picture.device.type != "cpu":  # finding out would make the device wait, once for every part
        return [(index, *everywhere) for index in range(len(picture))]
    first_rows, tall = _supports(rows)
    first_columns, wide = _supports(columns)
    largest, least = _windows(picture, tall, wide, torch.maximum), _windows(picture, tall, wide, torch.minimum)
    possible = largest >= least.amax(dim=0) - _ROUNDING
    found = []
    for index, (down, across) in enumerate(zip(possible.any(dim=2).numpy(), possible.any(dim=1).numpy(), strict=True)):
        if down.any():
            found.append((index, _span(first_rows, down.nonzero()[0]), _span(first_columns, across.nonzero()[0])))
    return found


def _windows(maps: torch.Tensor, tall: int, wide: int, take: Callable) -> torch.Tensor:
    """The largest or least value in every window of `tall` x `wide` pixels (pooling also finds out where, slowly)."""
    for _ in range(tall - 1):
        maps = take(maps[:, 1:], maps[:, :-1])
    for _ in range(wide - 1):
        maps = take(maps[:, :, 1:], maps[:, :, :-1])
    return maps


def _supports(weights: torch.Tensor) -> tuple[np.ndarray, int]:
    """The first of the source pixels that each target pixel is made of, in ascending order, and how many they are."""
    used = weights.numpy() != 0
    first, end = used.argmax(axis=1), weights.shape[1] - used[:, ::-1].argmax(axis=1)
    length = int((end - first).max())
    return first.clip(max=weights.shape[1] - length), length


def _span(first: np.ndarray, possible: np.ndarray) -> tuple[int, int]:
    """The target pixels whose source pixels begin at one of `possible`, or between two of them."""
    return int(np.searchsorted(first, possible[0])), int(np.searchsorted(first, possible[-1], side="right"))


__all__ = ["average_mirrored", "most_likely_parts", "part_probabilities", "resize_maps"]
