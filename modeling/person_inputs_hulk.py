# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What users say about the persons in a picture, boxes and joints: nested lists in, checked tensors out.

Every error names the argument, down to the picture and the person, and says what came and what was expected.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .pose_geometry_hulk import xyxy_to_xywh

BOX_FORMATS = ("xywh", "xyxy")
_LARGEST_COORDINATE = 1e9
_LARGEST_FRACTION = 10.0


def nesting_depth(value: Any) -> int:
    """How many levels of lists (or axes of an array) `value` has; 0 for a number, 1 for an empty list."""
    if isinstance(value, np.ndarray | torch.Tensor):
        return value.ndim
    if isinstance(value, list | tuple):
        return 1 + max((nesting_depth(item) for item in value), default=0)
    return 0


def as_numbers(value: Any, name: str, expected: str) -> torch.Tensor:
    """Float64 tensor from lists, arrays or tensors; ValueError for ragged or non-numeric ones."""
    try:
        if isinstance(value, torch.Tensor):
            return value.detach().to("cpu", torch.float64)
        if isinstance(value, list | tuple):  # may hold tensors, which NumPy would take apart
            value = [item.detach().cpu().numpy() if isinstance(item, torch.Tensor) else item for item in value]
        return torch.from_numpy(np.array(value, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be {expected}, got {shortened(value)} ({error})") from error


def shortened(value: Any) -> str:
    """`value` as text for an error message, at most 100 characters."""
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 100 else text[:97] + "..."


def check_box_format(box_format: str) -> None:
    """Raises ValueError for an unknown format of boxes."""
    if box_format not in BOX_FORMATS:
        raise ValueError(f"`box_format` must be one of {BOX_FORMATS}, got {box_format!r}")


def check_boxes(
    boxes: Any, box_format: str = "xywh", name: str = "boxes", smallest_side: float = 1e-3
) -> torch.Tensor:
    """The boxes of one picture as numbers that a crop can be made of.

    Boxes may reach beyond the picture or lie outside it altogether: as in the official test path they are not clipped,
    and what is outside is black.

    Args:
        boxes: (persons, 4) in pixels; no persons at all is fine.
        box_format: `xywh` or `xyxy`.
        name: of the argument, for error messages.
        smallest_side: what width and height must exceed.

    Returns:
        Float64 tensor (persons, 4) as (x, y, width, height).

    Raises:
        ValueError: not four numbers per person, NaN or infinite, or without width or height.
    """
    check_box_format(box_format)
    expected = f"a list of persons with 4 numbers each ({box_format}, pixels)"
    numbers = as_numbers(boxes, name, expected)
    if numbers.numel() == 0:
        return numbers.new_zeros(0, 4)
    if numbers.ndim != 2 or numbers.shape[1] != 4:
        hint = "; put the box into a list of its own" if numbers.shape == (4,) else ""
        raise ValueError(f"`{name}` must be {expected}, got shape {tuple(numbers.shape)}{hint}")
    xywh = numbers if box_format == "xywh" else xyxy_to_xywh(numbers)
    usable = (numbers.abs() < _LARGEST_COORDINATE).all(dim=1) & (xywh[:, 2:] > smallest_side).all(dim=1)
    if not usable.all():
        row = int(usable.logical_not().nonzero()[0])
        raise ValueError(
            f"`{name}[{row}]` must have finite coordinates and a positive width and height "
            f"(box_format={box_format!r}), got {numbers[row].tolist()}"
        )
    return xywh


def split_per_image(value: Any, count: int, single: bool, name: str, depth: int) -> list:
    """Splits an argument into one part per picture.

    Args:
        value: for a single picture its part, or a list that holds just that; for a list of pictures a list of parts.
            None stands for None everywhere.
        count: number of pictures.
        single: whether one picture was given, not a list.
        name: of the argument, for error messages.
        depth: how deeply the part of one picture is nested: 2 for boxes, 3 for joints.
    """
    if value is None:
        return [None] * count
    if single:
        deeper = nesting_depth(value) > depth
        if deeper and len(value) != 1:
            raise ValueError(f"`{name}` must be the {name} of one picture, got {len(value)} lists of them")
        return [value[0]] if deeper else [value]
    if not hasattr(value, "__len__") or len(value) != count:
        got = len(value) if hasattr(value, "__len__") else shortened(value)
        raise ValueError(f"`{name}` must be a list with one entry per picture, got {got} for {count} pictures")
    return list(value)


def indexed_name(name: str, index: int, single: bool) -> str:
    """How an error calls the part of an argument that belongs to one picture."""
    return name if single else f"{name}[{index}]"


def check_result_boxes(boxes: Any, target_sizes: Any, box_format: str) -> list[torch.Tensor]:
    """The boxes that results belong to, in pixels of the result.

    Args:
        boxes: for each picture a list of boxes; or the boxes of a single picture; or None for whole pictures of the
            size `target_sizes`.
        target_sizes: None, or (height, width) for each picture; boxes are then fractions of the picture.
        box_format: `xywh` or `xyxy`.

    Returns:
        For each picture a float64 tensor (persons, 4) as (x, y, width, height).

    Raises:
        ValueError: an argument has the wrong form.
    """
    check_box_format(box_format)
    sizes = None if target_sizes is None else as_numbers(target_sizes, "target_sizes", "a list of (height, width)")
    if sizes is not None and (sizes.ndim != 2 or sizes.shape[1] != 2 or not (sizes > 0).all()):
        raise ValueError(f"`target_sizes` must be a list of (height, width), got {shortened(target_sizes)}")
    if boxes is None:
        if sizes is None:
            raise ValueError("`boxes` must be given, got None; for whole pictures give `target_sizes` instead")
        return [sizes.new_tensor([[0, 0, width, height]]) for height, width in sizes.tolist()]
    # [[], []] is two pictures without persons, [[0, 0, 9, 9]] is one picture with a person.
    nobody = isinstance(boxes, list | tuple) and all(isinstance(part, list | tuple) and not part for part in boxes)
    alone = nesting_depth(boxes) <= 2 and not nobody
    groups = [boxes] if alone else list(boxes)
    names = [indexed_name("boxes", index, alone) for index in range(len(groups))]
    if sizes is None:
        return [check_boxes(group, box_format, name) for group, name in zip(groups, names, strict=True)]
    if len(sizes) != len(groups):
        raise ValueError(
            f"`target_sizes` must hold one (height, width) per picture, got {len(sizes)} for {len(groups)} pictures"
        )
    scaled = []
    for group, name, (height, width) in zip(groups, names, sizes.tolist(), strict=True):
        fractions = check_boxes(group, box_format, name, smallest_side=0.0)
        if fractions.numel() and fractions.abs().max() > _LARGEST_FRACTION:
            raise ValueError(
                f"`{name}` must be fractions of the picture when `target_sizes` is given, got {shortened(group)}"
            )
        scaled.append(fractions * fractions.new_tensor([width, height, width, height]))
    return scaled


def check_keypoints(keypoints: Any, persons: int, label_names: Sequence[str], name: str) -> torch.Tensor:
    """The annotated joints of one picture.

    Args:
        keypoints: (persons, K, 3) as (x, y, v) in pixels.
        persons: number of boxes of the picture.
        label_names: names of the K joints.
        name: of the argument, for error messages.

    Returns:
        Float64 tensor (persons, K, 3).

    Raises:
        ValueError: another shape, or an annotated joint (v > 0) that is not finite.
    """
    shape = (persons, len(label_names), 3)
    expected = f"(persons, joints, 3) = {shape}, one row per box, as (x, y, v)"
    joints = as_numbers([] if keypoints is None else keypoints, name, expected)
    if joints.numel() == 0 and persons == 0:
        return joints.new_zeros(shape)
    if joints.shape != shape:
        raise ValueError(f"`{name}` must have shape {expected}, got shape {tuple(joints.shape)}")
    if not torch.isfinite(joints[..., 2]).all() or not torch.isfinite(joints[joints[..., 2] > 0]).all():
        raise ValueError(f"`{name}` must be finite where a joint is annotated (v > 0), got NaN or infinity")
    return joints


__all__ = [
    "BOX_FORMATS",
    "as_numbers",
    "check_box_format",
    "check_boxes",
    "check_keypoints",
    "check_result_boxes",
    "indexed_name",
    "nesting_depth",
    "shortened",
    "split_per_image",
]
