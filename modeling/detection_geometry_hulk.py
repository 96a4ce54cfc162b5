# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Sizes and boxes of pedestrian detection: pure functions (spec 5.3, training.md 4.4).

Boxes of this file are (x1, y1, x2, y2) in pixels, where pixel i covers [i, i + 1); sizes are (height, width). Numbers
are float32 and operations come in the order of the official code, so that its targets are met to the last bit or so.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from .boxes_hulk import box_area, box_intersection, corners_to_centers


class BoxTargets(NamedTuple):
    """The annotated boxes of one picture.

    Attributes:
        boxes: (N, 4) float32, (x1, y1, x2, y2) in pixels.
        classes: (N,) int64, as annotated; those that are no label of the task are among the ignored.
        areas: (N,) float32, as annotated, scaled with the picture.
        ignored: (N,) bool, boxes in which nothing is a false alarm: crowds, and other things than persons.
    """

    boxes: torch.Tensor
    classes: torch.Tensor
    areas: torch.Tensor
    ignored: torch.Tensor


def resized_size(image_size: Sequence[int], shortest_edge: int, longest_edge: int | None = None) -> tuple[int, int]:
    """The size that a picture is resized to, its aspect ratio kept as well as whole pixels allow.

    The short side becomes `shortest_edge`, or as much less as keeps the long side within `longest_edge`; by rounding
    the long side may still end one pixel above it (35x104 becomes 449x1334).

    Args:
        image_size: (height, width).
        shortest_edge: 800 in the released test path.
        longest_edge: 1333 there; None or 0: no limit.

    Returns:
        (height, width), at least one pixel each.
    """
    height, width = image_size
    short, long = min(height, width), max(height, width)
    if longest_edge and long / short * shortest_edge > longest_edge:
        shortest_edge = round(longest_edge * short / long)  # half to even
        if shortest_edge < 1:  # thinner than one pixel: the official code has no answer
            return (1, longest_edge) if height < width else (longest_edge, 1)
    if short == shortest_edge:
        return height, width
    other = int(shortest_edge * long / short)
    return (other, shortest_edge) if width < height else (shortest_edge, other)


def annotation_targets(
    xywh: torch.Tensor,
    classes: torch.Tensor,
    areas: torch.Tensor,
    crowd: torch.Tensor,
    image_size: Sequence[int],
    num_labels: int = 1,
) -> BoxTargets:
    """Annotations as targets: boxes clipped to the picture, degenerate ones left out.

    Args:
        xywh: (N, 4) as (x, y, width, height) in pixels.
        classes: (N,), 0 for the first label.
        areas: (N,), kept as they are.
        crowd: (N,), true for boxes to ignore.
        image_size: (height, width); far edges are clipped to it, not to the last pixel.
        num_labels: boxes of any other class are ignored too.
    """
    height, width = image_size
    boxes = xywh.to(torch.float32, copy=True).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes = boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
    classes = classes.long().reshape(-1)
    ignored = crowd.bool().reshape(-1) | (classes < 0) | (classes >= num_labels)
    kept = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    return BoxTargets(boxes[kept], classes[kept], areas.float().reshape(-1)[kept], ignored[kept])


def resize_targets(targets: BoxTargets, image_size: Sequence[int], size: Sequence[int]) -> BoxTargets:
    """Targets of a picture that is resized from `image_size` to `size`, both (height, width)."""
    down, across = size[0] / image_size[0], size[1] / image_size[1]
    scale = targets.boxes.new_tensor([across, down, across, down])
    return targets._replace(boxes=targets.boxes * scale, areas=targets.areas * (across * down))


def flip_targets(targets: BoxTargets, width: int) -> BoxTargets:
    """Targets of a picture of this width in pixels that is mirrored left to right."""
    mirrored = targets.boxes[:, [2, 1, 0, 3]] * targets.boxes.new_tensor([-1, 1, -1, 1])
    return targets._replace(boxes=mirrored + mirrored.new_tensor([width, 0, width, 0]))


def crop_targets(targets: BoxTargets, region: Sequence[int]) -> BoxTargets:
    """Targets of a part of a picture.

    Args:
        targets: of the whole picture.
        region: (top, left, height, width) of the part, in pixels.

    Returns:
        Boxes in pixels of the part, clipped to it, with their areas computed anew, without those that lie outside.
    """
    top, left, height, width = region
    boxes = targets.boxes - targets.boxes.new_tensor([left, top, left, top])
    boxes = boxes.minimum(boxes.new_tensor([width, height, width, height])).clamp(min=0)
    kept = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    return BoxTargets(boxes[kept], targets.classes[kept], box_area(boxes)[kept], targets.ignored[kept])


def relative_centers(boxes: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Boxes (N, 4) in pixels of a picture of `size` -> (center x, center y, width, height), 0 to 1 of it."""
    height, width = size
    return corners_to_centers(boxes / boxes.new_tensor([width, height, width, height]))


def non_maximum_suppression(
    boxes: torch.Tensor, scores: torch.Tensor, threshold: float, labels: torch.Tensor | None = None
) -> torch.Tensor:
    """Leave out boxes that overlap a better one of the same label.

    Args:
        boxes: (N, 4), (x1, y1, x2, y2) in any unit.
        scores: (N,).
        threshold: intersection over union above which the box of the lower score is left out.
        labels: (N,); None: all of one label.

    Returns:
        Indices of the boxes that stay, the best first.
    """
    order = scores.argsort(descending=True, stable=True)
    ranked = boxes[order].float()
    shared = box_intersection(ranked[:, None], ranked[None])
    areas = box_area(ranked)
    overlaps = shared > threshold * (areas[:, None] + areas - shared)
    if labels is not None:
        overlaps &= labels[order][:, None] == labels[order]
    overlaps = overlaps.cpu().numpy()  # a loop over hundreds of rows: not one call of the device for each
    kept, gone = [], torch.zeros(len(order), dtype=torch.bool).numpy()
    for row in range(len(order)):
        if not gone[row]:
            kept.append(row)
            gone |= overlaps[row]
    return order[torch.tensor(kept, dtype=torch.long, device=order.device)]


__all__ = [
    "BoxTargets",
    "annotation_targets",
    "crop_targets",
    "flip_targets",
    "non_maximum_suppression",
    "relative_centers",
    "resize_targets",
    "resized_size",
]
