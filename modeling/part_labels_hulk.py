# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Annotated label maps of human parsing: reading, encoding, resizing, mirroring (training.md 4.3).

A data set has ids of its own; encoded, a label is its place in the list of labels, and whatever the list does not
hold is background, also the 255 by which other data sets mark pixels to ignore. Maps are (height, width) tensors.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from .labels_parsing_hulk import H36M_PARTS_LABELS
from .pose_geometry_hulk import flip_permutation

# fmt: off
_H36M_IDS = (
    0, 1, 2, 3, 6, 7, 8, 17, 18, 19, 25, 26, 27, 32, 33, 34, 38, 39, 43, 44, 46, 49, 50, 56, 58,
)
# fmt: on
LABEL_IDS: dict[tuple[str, ...], tuple[int, ...]] = {H36M_PARTS_LABELS: _H36M_IDS}
"""Labels -> their ids in the files of the data set, where these are not 0, 1, 2, ..."""

H36M_EVALUATION_SIZE = (1000, 1000)
"""(height, width) at which the official evaluation compares the parts of Human3.6M."""

_EXACT_ONE = 1 << 8  # weights of OpenCV's exact bilinear filter have 8 bits


def label_ids_of(labels: Sequence[str]) -> tuple[int, ...]:
    """The ids of these labels in the files of their data set."""
    return LABEL_IDS.get(tuple(labels), tuple(range(len(labels))))


def read_label_map(source: Any, name: str = "segmentation_maps") -> torch.Tensor:
    """One label map as it is stored.

    Args:
        source: file name, PIL image of one channel (of a palette, its indices), or array or tensor of integers.
        name: of the argument, for error messages.

    Returns:
        int64 (height, width).

    Raises:
        ValueError: no map, or of more than one channel.
    """
    if isinstance(source, str | os.PathLike):
        try:
            with Image.open(source) as opened:
                opened.load()
                source = opened
        except (OSError, SyntaxError) as error:
            raise ValueError(f"`{name}`: {str(source)!r} cannot be read as a picture ({error})") from error
    if isinstance(source, Image.Image):
        if source.mode not in ("L", "P", "1", "I") and not source.mode.startswith("I;16"):
            raise ValueError(f"`{name}` must be pictures of one channel that hold label ids, got mode {source.mode!r}")
        source = np.array(source)
    values = source.detach().cpu() if isinstance(source, torch.Tensor) else None
    if values is None:
        array = np.asarray(source)
        if array.dtype.kind not in "biu":
            raise ValueError(f"`{name}` must hold whole numbers, got {array.dtype}")
        values = torch.from_numpy(np.ascontiguousarray(array.astype(np.int64)))
    if values.is_floating_point() or values.is_complex():
        raise ValueError(f"`{name}` must hold whole numbers, got {values.dtype}")
    if values.ndim != 2:
        raise ValueError(f"`{name}` must be maps of shape (height, width), got {tuple(values.shape)}")
    return values.long()


def encode_labels(label_map: torch.Tensor, label_ids: Sequence[int]) -> torch.Tensor:
    """Ids of a data set -> places in its list of labels; ids that are not in the list become 0, the background.

    Args:
        label_map: integers of any shape.
        label_ids: the id of each label, in order.

    Returns:
        int64 tensor of the same shape.
    """
    ids, order = torch.tensor(list(label_ids), device=label_map.device).sort()
    place = torch.searchsorted(ids, label_map.long().contiguous()).clamp(max=len(ids) - 1)
    return torch.where(ids[place] == label_map, order[place], 0)


def resize_labels(label_map: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Nearest neighbour as released: row i comes from row floor(i * source / target), likewise columns.

    Computed in the steps of OpenCV's `INTER_NEAREST`: for some sizes, where i * source / target is a whole number, its
    rounding falls short of it, and the row before is taken.

    Args:
        label_map: (..., height, width), at least one pixel.
        size: (height, width) of the result.
    """
    rows, columns = (
        (torch.arange(target, dtype=torch.float64) * (1 / (target / source))).long().clamp(max=source - 1)
        for source, target in zip(label_map.shape[-2:], size, strict=True)
    )
    return label_map[..., rows[:, None].to(label_map.device), columns.to(label_map.device)]


def flip_labels(label_map: torch.Tensor, flip_pairs: Sequence[Sequence[int]]) -> torch.Tensor:
    """A map (..., height, width) mirrored left to right; labels of `flip_pairs` trade places, any others stay."""
    mirrored = label_map.flip(-1)
    if not flip_pairs or not mirrored.numel():
        return mirrored
    size = max(int(mirrored.max()), *(max(pair) for pair in flip_pairs)) + 1
    order = torch.tensor(flip_permutation(flip_pairs, size), device=mirrored.device, dtype=mirrored.dtype)
    return order[mirrored.long()]


def evaluation_labels(
    label_map: torch.Tensor, label_ids: Sequence[int], size: Sequence[int] | None = None
) -> torch.Tensor:
    """What a result is compared with in the official evaluation: the encoded map, at its own size.

    Args:
        label_map: integers (height, width), ids of the data set.
        label_ids: the id of each label, in order.
        size: (height, width), for Human3.6M `H36M_EVALUATION_SIZE`: the encoded map is resized as released, through a
            bilinear filter, which for a map of any other size makes labels up where two parts meet.

    Returns:
        int64 (height, width).
    """
    encoded = encode_labels(label_map, label_ids)
    return encoded if size is None else _resize_exact(encoded, size)


def _resize_exact(values: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """OpenCV's `INTER_LINEAR_EXACT` on 8 bits: weights of 8 bits, rounded once at the end, borders repeated."""
    (top, bottom, down), (left, right, across) = (
        _exact_taps(source, target) for source, target in zip(values.shape, size, strict=True)
    )
    lines = values[:, left] * (_EXACT_ONE - across) + values[:, right] * across
    mixed = lines[top] * (_EXACT_ONE - down)[:, None] + lines[bottom] * down[:, None]
    return (mixed + _EXACT_ONE**2 // 2) // _EXACT_ONE**2


def _exact_taps(source: int, target: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For each target pixel the two source pixels that it is made of, and the weight of the second."""
    place = (torch.arange(target, dtype=torch.float64) + 0.5) * source / target - 0.5
    first = place.floor()
    weight = ((place - first) * _EXACT_ONE).round().long()
    return first.long().clamp(0, source - 1), (first.long() + 1).clamp(0, source - 1), weight


__all__ = [
    "H36M_EVALUATION_SIZE",
    "LABEL_IDS",
    "encode_labels",
    "evaluation_labels",
    "flip_labels",
    "label_ids_of",
    "read_label_map",
    "resize_labels",
]
