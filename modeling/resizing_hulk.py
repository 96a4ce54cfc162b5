# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Resizing pictures exactly as the image libraries that the official code reads them with.

Two libraries, and none of their filters agrees with another one's: OpenCV looks at two by two pixels however much a
picture shrinks, Pillow widens its filter (antialiasing). A network that was trained behind the one is measurably worse
behind the other, so both are here bit for bit: Pillow through itself, OpenCV as arithmetic on tensors, since it is no
dependency of this package.

Boxes of this file are whole pixels, (left, top, right, bottom), right and bottom not included; they may reach outside
the picture, where it is black. Sizes are (height, width).
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from transformers.image_utils import PILImageResampling

# OpenCV's fixed-point bilinear filter: weights of 11 bits; four bits fall away between the two passes.
_WEIGHT_ONE = 1 << 11
_BETWEEN_PASSES, _AFTER_WEIGHT, _LAST = 4, 16, 2

# Box edges closer than this to a whole pixel lie on it: (x, y, width, height) does not keep x + width to the last bit.
_EDGE_SLACK = 1e-6


def whole_pixel_boxes(boxes: torch.Tensor, image_size: Sequence[int]) -> torch.Tensor:
    """The pixels that boxes touch: rounded outwards and clipped to the picture.

    Args:
        boxes: (N, 4) as (x, y, width, height) in pixels, where pixel i covers [i, i + 1).
        image_size: (height, width) of the picture.

    Returns:
        int64 (N, 4) as (left, top, right, bottom). A box that lies outside the picture has no width or no height.
    """
    boxes = torch.as_tensor(boxes, dtype=torch.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"`boxes` must have shape (persons, 4), got {tuple(boxes.shape)}")
    height, width = (int(side) for side in image_size)
    near = (boxes[:, :2] + _EDGE_SLACK).floor()
    far = (boxes[:, :2] + boxes[:, 2:] - _EDGE_SLACK).ceil()
    limit = boxes.new_tensor([width, height])
    near, far = (edge.clamp(min=0).minimum(limit) for edge in (near, far))
    return torch.cat([near, far.maximum(near)], dim=1).long()


def cut_box(image: torch.Tensor, box: Sequence[int]) -> torch.Tensor:
    """The pixels of a box, black where it reaches outside the picture.

    Args:
        image: (C, H, W), any dtype.
        box: whole pixels, (left, top, right, bottom).

    Returns:
        (C, bottom - top, right - left); a view of the picture if the box lies inside.

    Raises:
        ValueError: the picture has not three axes, or an edge is no whole number or on the wrong side.
    """
    _check_image(image)
    edges = [int(edge) for edge in box]
    if len(edges) != 4 or any(edge != given for edge, given in zip(edges, box, strict=True)):
        raise ValueError(f"`box` must be four whole numbers (left, top, right, bottom), got {box}")
    left, top, right, bottom = edges
    if right < left or bottom < top:
        raise ValueError(f"`box` must have right >= left and bottom >= top, got {edges}")
    height, width = image.shape[1:]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return image[:, top:bottom, left:right]
    cut = image.new_zeros(len(image), bottom - top, right - left)
    seen = image[:, max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if seen.numel():
        row, column = max(-top, 0), max(-left, 0)
        cut[:, row : row + seen.shape[1], column : column + seen.shape[2]] = seen
    return cut


def resize_opencv_8bit(image: torch.Tensor, size: Sequence[int], box: Sequence[int] | None = None) -> torch.Tensor:
    """OpenCV's `INTER_LINEAR` on 8 bits, bit for bit: bilinear, pixel centres at one half, no antialiasing.

    Args:
        image: uint8 (C, H, W).
        size: (height, width) of the result.
        box: what is resized, see `cut_box`; None is the whole picture. A box without pixels gives black.

    Returns:
        uint8 (C, height, width).

    Raises:
        ValueError: not an 8-bit picture, or a size without pixels.
    """
    image, (height, width) = _source(image, size, box)
    if 0 in image.shape:
        return image.new_zeros(len(image), height, width)
    top, bottom, down = _rows(image.shape[1], height, image.device)
    left, right, across = _columns(image.shape[2], width, image.device)
    rows, position = torch.cat([top, bottom]).unique(return_inverse=True)  # what is shrunk away is never filtered
    lines = image.index_select(1, rows)
    near, far = _fixed_point(across)
    mixed = lines.index_select(2, left).int().mul_(near)
    mixed.add_(lines.index_select(2, right).int().mul_(far))
    mixed >>= _BETWEEN_PASSES
    upper, lower = (
        (mixed.index_select(1, position[part]) * weight[:, None]) >> _AFTER_WEIGHT
        for part, weight in zip((slice(0, height), slice(height, None)), _fixed_point(down), strict=True)
    )
    return (upper.add_(lower).add_(1 << (_LAST - 1)) >> _LAST).to(torch.uint8)


def resize_bilinear(image: torch.Tensor, size: Sequence[int], box: Sequence[int] | None = None) -> torch.Tensor:
    """The same filter without rounding, computed in float64: what mesh recovery is fed with (spec 5.6).

    Args:
        image: (C, H, W), 8-bit or floating point.
        size: (height, width) of the result.
        box: what is resized, see `cut_box`; None is the whole picture. A box without pixels gives black.

    Returns:
        float32 (C, height, width), in the range of the picture's values.

    Raises:
        ValueError: not a picture, or a size without pixels.
    """
    image, size = _source(image, size, box, dtype=None)
    if 0 in image.shape:
        return torch.zeros(len(image), *size, device=image.device)
    wide = torch.float32 if image.device.type == "mps" else torch.float64
    return functional.interpolate(image[None].to(wide), size=size, mode="bilinear", align_corners=False)[0].float()


def resize_pillow(
    image: torch.Tensor, size: Sequence[int], resample: PILImageResampling | int, box: Sequence[int] | None = None
) -> torch.Tensor:
    """Pillow's own resize: antialiased, rounded to 8 bits after each of its two passes.

    Args:
        image: uint8 (3, H, W), or (1, H, W) for a grey picture.
        size: (height, width) of the result.
        resample: one of Pillow's filters, for example `PILImageResampling.BICUBIC`.
        box: what is resized, see `cut_box`; None is the whole picture. It is cut out first: pixels beside it have no
            influence. A box without pixels gives black.

    Returns:
        uint8 (C, height, width).

    Raises:
        ValueError: not an 8-bit picture of one or three channels, or a size without pixels.
    """
    image, (height, width) = _source(image, size, box)
    if len(image) not in (1, 3):
        raise ValueError(f"`image` must have one or three channels, got {len(image)}")
    if 0 in image.shape:
        return image.new_zeros(len(image), height, width)
    pixels = image.cpu().permute(1, 2, 0).numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels if len(image) == 3 else pixels[..., 0]))
    resized = np.array(picture.resize((width, height), Image.Resampling(int(resample))))
    return torch.from_numpy(resized).view(height, width, -1).permute(2, 0, 1).contiguous().to(image.device)


def resize_pillow_boxes(
    image: torch.Tensor, boxes: torch.Tensor, size: Sequence[int], resample: PILImageResampling | int
) -> torch.Tensor:
    """Persons cut out in whole pixels and resized by Pillow: the input of tasks that know no other rule for boxes.

    Args:
        image: uint8 (3, H, W).
        boxes: (N, 4) as (x, y, width, height) in pixels, see `whole_pixel_boxes`.
        size: (height, width) of the results.
        resample: one of Pillow's filters.

    Returns:
        uint8 (N, 3, height, width).
    """
    crops = image.new_empty(len(boxes), len(image), *size)
    for crop, box in zip(crops, whole_pixel_boxes(boxes, image.shape[1:]).tolist(), strict=True):
        crop.copy_(resize_pillow(image, size, resample, box))
    return crops


def _check_image(image: torch.Tensor) -> None:
    if not isinstance(image, torch.Tensor) or image.ndim != 3:
        got = tuple(image.shape) if isinstance(image, torch.Tensor) else type(image).__name__
        raise ValueError(f"`image` must be a tensor (channels, height, width), got {got}")


def _source(
    image: torch.Tensor, size: Sequence[int], box: Sequence[int] | None, dtype: torch.dtype | None = torch.uint8
) -> tuple[torch.Tensor, tuple[int, int]]:
    """The part of the picture that is resized, and the checked size."""
    _check_image(image)
    if dtype is not None and image.dtype != dtype:
        raise ValueError(f"`image` must be of type {dtype}, got {image.dtype}")
    height, width = (int(side) for side in size)
    if height < 1 or width < 1:
        raise ValueError(f"`size` must be positive (height, width), got {(height, width)}")
    return image if box is None else cut_box(image, box), (height, width)


def _taps(source: int, target: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """For each target pixel the source pixel left of it (may be -1) and how far it lies beyond, float32 in [0, 1)."""
    place = ((torch.arange(target, dtype=torch.float64) + 0.5) * (source / target) - 0.5).float()
    first = place.floor()
    return first.long().to(device), (place - first).to(device)


def _columns(source: int, target: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Left and right source column and the weight of the right one; beyond the last centre one column counts alone."""
    first, fraction = _taps(source, target, device)
    fraction[(first < 0) | (first >= source - 1)] = 0
    return first.clamp(0, source - 1), (first.clamp(min=0) + 1).clamp(max=source - 1), fraction


def _rows(source: int, target: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Upper and lower source row and the weight of the lower one; both are the same row beyond the last centre."""
    first, fraction = _taps(source, target, device)
    return first.clamp(0, source - 1), (first + 1).clamp(0, source - 1), fraction


def _fixed_point(fraction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of the near and of the far pixel in units of 1 / 2048, each rounded for itself."""
    return ((1 - fraction) * _WEIGHT_ONE).round().int(), (fraction * _WEIGHT_ONE).round().int()


__all__ = [
    "cut_box",
    "resize_bilinear",
    "resize_opencv_8bit",
    "resize_pillow",
    "resize_pillow_boxes",
    "whole_pixel_boxes",
]
