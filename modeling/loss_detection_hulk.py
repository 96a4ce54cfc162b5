# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of pedestrian detection: each person is matched to one query, which learns label and box.

When to use: tasks of family `detection`. Crowds and whatever else is to be ignored are boxes too: queries that lie in
them are no false alarms. Reference: Paper, Sec. 3.4 (semantic and digit losses); the exact form is the released one,
where matching is done anew for every decoder layer, and every layer adds terms of the same weight.

Matching needs scipy.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from transformers.utils import is_scipy_available

from .boxes_hulk import box_area, box_intersection, centers_to_corners, generalized_iou
from .tasks_hulk import HulkTask

if is_scipy_available():
    from scipy.optimize import linear_sum_assignment

DEFAULT_LOSS_WEIGHTS = {"class": 2.0, "box": 5.0, "giou": 2.0}
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
IGNORE_THRESHOLD = 0.7  # the share of a query's box inside one ignored box from which it is no false alarm
_LOG_EPS = 1e-8
# Boxes may reach beyond the picture where nobody clipped them, but not this far.
_LARGEST_COORDINATE = 4.0


class DetectionTargets(NamedTuple):
    """The labels of a batch, filled up to the same number of boxes per picture.

    Attributes:
        boxes: Shape (B, N, 4), float32, center form; rows beyond `counts` mean nothing.
        classes: Shape (B, N).
        counts: Boxes of each picture.
        ignored: Shape (B, M, 4), float32, corners; filled up with boxes of area 0, which ignore nothing.
    """

    boxes: torch.Tensor
    classes: torch.Tensor
    counts: list[int]
    ignored: torch.Tensor


class Matches(NamedTuple):
    """Which target each query of each layer stands for; T pairs per layer.

    Attributes:
        images: Shape (T,), index of the picture.
        queries: Shape (L, T), index of the query.
        targets: Shape (L, T), index of the target in its picture.
    """

    images: torch.Tensor
    queries: torch.Tensor
    targets: torch.Tensor


def read_labels(
    labels: Sequence[Mapping[str, torch.Tensor]], batch: int, task: HulkTask, device: torch.device
) -> DetectionTargets:
    """Check the labels of a batch and bring them into one form.

    Args:
        labels: See `detection_loss`.
        batch: B.
        task: Gives the number of labels.
        device: Where the result goes.

    Raises:
        ValueError: See `detection_loss`.
    """
    if not isinstance(labels, Sequence) or not all(isinstance(label, Mapping) for label in labels):
        raise ValueError(f"labels: expected a list with one dict per picture, got {type(labels).__name__}")
    if len(labels) != batch or not batch:
        raise ValueError(f"labels: expected one dict for each of at least one picture, got {len(labels)} for {batch}")
    read = [_read_label(label, index, task, device) for index, label in enumerate(labels)]
    boxes, classes, ignored = zip(*read, strict=True)
    return DetectionTargets(
        nn.utils.rnn.pad_sequence(list(boxes), batch_first=True, padding_value=0.5),
        nn.utils.rnn.pad_sequence(list(classes), batch_first=True),
        [len(rows) for rows in boxes],
        nn.utils.rnn.pad_sequence(list(ignored), batch_first=True),
    )


def _read_label(
    label: Mapping[str, torch.Tensor], index: int, task: HulkTask, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes (N, 4) and classes (N,) to find, and boxes to ignore (M, 4) as corners."""
    missing = [name for name in ("boxes", "class_labels") if name not in label]
    if missing:
        raise ValueError(f"labels[{index}]: expected 'boxes' and 'class_labels', {missing} not among {sorted(label)}")
    boxes = torch.as_tensor(label["boxes"], device=device).float()
    boxes = boxes.reshape(-1, 4) if not boxes.numel() else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"labels[{index}]['boxes']: expected shape (boxes, 4), got {tuple(boxes.shape)}")
    if not boxes.isfinite().all() or (boxes.abs() > _LARGEST_COORDINATE).any():
        raise ValueError(
            f"labels[{index}]['boxes']: expected center x, center y, width and height as shares of the picture (0 to "
            f"1), got values from {boxes.min().item():g} to {boxes.max().item():g}; pixels are divided by its size"
        )
    classes = torch.as_tensor(label["class_labels"], device=device).long()
    crowd = torch.as_tensor(label.get("iscrowd", torch.zeros(len(boxes))), device=device).bool()
    area = torch.as_tensor(label.get("area", torch.ones(len(boxes))), device=device)
    for name, values in (("class_labels", classes), ("iscrowd", crowd), ("area", area)):
        if values.shape != boxes.shape[:1]:
            raise ValueError(
                f"labels[{index}][{name!r}]: expected one value per box, shape ({len(boxes)},), got "
                f"{tuple(values.shape)}"
            )
    there = (area > 0) & (boxes[:, 2:] > 0).all(dim=1)
    found = there & ~crowd
    outside = (classes[found] < 0) | (classes[found] >= task.num_labels)
    if outside.any():
        raise ValueError(
            f"labels[{index}]['class_labels']: expected values from 0 to {task.num_labels - 1}, got "
            f"{classes[found][outside][0].item()}; boxes of other things are left out or marked by 'iscrowd'"
        )
    return boxes[found], classes[found], centers_to_corners(boxes[there & crowd])


def matching_cost(
    logits: torch.Tensor,
    boxes: torch.Tensor,
    target_boxes: torch.Tensor,
    target_classes: torch.Tensor,
    weights: Mapping[str, float],
) -> torch.Tensor:
    """What it costs to let a query stand for a target.

    Args:
        logits: Shape (L, B, Q, K).
        boxes: Shape (L, B, Q, 4), center form.
        target_boxes: Shape (B, N, 4), center form.
        target_classes: Shape (B, N).
        weights: Of `class`, `box` and `giou`.

    Returns:
        Shape (L, B, Q, N).
    """
    probability = logits.sigmoid()
    hit = FOCAL_ALPHA * (1 - probability) ** FOCAL_GAMMA * -(probability + _LOG_EPS).log()
    false_alarm = (1 - FOCAL_ALPHA) * probability**FOCAL_GAMMA * -(1 - probability + _LOG_EPS).log()
    classes = target_classes[None, :, None].expand(*logits.shape[:3], -1)
    label = (hit - false_alarm).gather(-1, classes)
    distance = torch.cdist(boxes.flatten(0, 1), target_boxes.repeat(len(boxes), 1, 1), p=1).view_as(label)
    corners, target_corners = centers_to_corners(boxes), centers_to_corners(target_boxes)
    overlap = generalized_iou(corners[..., None, :], target_corners[:, None])
    return weights["class"] * label + weights["box"] * distance - weights["giou"] * overlap


@torch.no_grad()
def match(
    logits: torch.Tensor, boxes: torch.Tensor, targets: DetectionTargets, weights: Mapping[str, float]
) -> Matches:
    """Give every target a query of its own, at the least total cost, for each layer and picture.

    Args:
        logits: Shape (L, B, Q, K), float32.
        boxes: Shape (L, B, Q, 4), float32, center form.
        targets: From `read_labels`. Where there are more of them than queries, some stay alone.
        weights: Of `class`, `box` and `giou`.

    Raises:
        ImportError: scipy is not installed.
    """
    if not is_scipy_available():
        raise ImportError("the detection loss matches queries to people with scipy: pip install scipy")
    layers, device = len(logits), logits.device
    cost = matching_cost(logits, boxes, targets.boxes, targets.classes, weights)
    # Where a network overflowed its loss says so; the matching has no say in it.
    cost = cost.nan_to_num(nan=1e8, posinf=1e8, neginf=-1e8).cpu().numpy()
    pairs = [
        [linear_sum_assignment(cost[layer, image, :, :count]) for image, count in enumerate(targets.counts)]
        for layer in range(layers)
    ]
    images = [image for image, (queries, _) in enumerate(pairs[0]) for _ in queries]
    queries, chosen = (
        torch.stack([torch.cat([torch.from_numpy(pair[side]) for pair in layer]) for layer in pairs]).to(device)
        for side in (0, 1)
    )
    return Matches(torch.tensor(images, dtype=torch.long, device=device), queries, chosen)


def focal_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Sigmoid focal loss of each logit, same shape; targets are 0 or 1."""
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    probability = logits.sigmoid()
    wrong = probability * (1 - targets) + (1 - probability) * targets
    balance = FOCAL_ALPHA * targets + (1 - FOCAL_ALPHA) * (1 - targets)
    return balance * wrong**FOCAL_GAMMA * cross_entropy


def detection_loss(
    logits: torch.Tensor,
    boxes: torch.Tensor,
    labels: Sequence[Mapping[str, torch.Tensor]],
    task: HulkTask,
    num_boxes: float | torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """Compute the loss terms of all decoder layers; their sum is the loss.

    Every query adds a focal loss that tells its label from nothing, unless it has no target and at least
    `IGNORE_THRESHOLD` of its box lies in one ignored box. Every target adds the L1 distance and 1 - GIoU of the box of
    its query. All sums are divided by the number of boxes.

    Args:
        logits: Shape (L, B, Q, K): the last layer first, then the auxiliary outputs of layers 1, 2, ...
        boxes: Shape (L, B, Q, 4): center x, center y, width, height, 0..1 of the picture without its padding.
        labels: For each picture a dict of `boxes` (N, 4), in the form of `boxes`; `class_labels` (N,); and if wanted
            `iscrowd` (N,), true for boxes to ignore, whatever their class, and `area` (N,) in any unit. Boxes of area
            0, and those whose `area` is 0, are left out.
        task: Gives the number of labels and the weights of the terms, which also weigh the cost of matching.
        num_boxes: What to divide by, at least 1: in training on several processes the mean number of boxes to find per
            process, so that their mean is that of all boxes. None: the number in this batch.

    Returns:
        `class`, `box` and `giou`, then `class_aux_{i}`, ... of the earlier layers, each already weighted.

    Raises:
        ValueError: The labels do not fit together, or not to the task; or boxes are in pixels.
        ImportError: scipy is not installed.
    """
    weights = {**DEFAULT_LOSS_WEIGHTS, **(task.loss_weights or {})}
    logits, boxes = logits.float(), boxes.float()
    num_layers, batch = logits.shape[:2]
    targets = read_labels(labels, batch, task, logits.device)
    matches = match(logits, boxes, targets, weights)
    layers = torch.arange(num_layers, device=logits.device)[:, None]
    matched = (layers, matches.images, matches.queries)

    wanted = torch.zeros_like(logits)
    wanted[(*matched, targets.classes[matches.images, matches.targets])] = 1.0
    valid = ~_inside_ignored(boxes.detach(), targets.ignored)
    valid[matched] = True
    label = (focal_loss(logits, wanted) * valid[..., None]).sum(dim=(1, 2, 3))

    found, expected = boxes[matched], targets.boxes[matches.images, matches.targets]
    distance = (found - expected).abs().sum(dim=(1, 2))
    overlap = generalized_iou(centers_to_corners(found), centers_to_corners(expected))

    num_boxes = sum(targets.counts) if num_boxes is None else num_boxes
    num_boxes = torch.as_tensor(num_boxes, dtype=torch.float32, device=logits.device).clamp(min=1.0)
    terms = {"class": label, "box": distance, "giou": (1.0 - overlap).sum(dim=1)}
    suffixes = ["", *(f"_aux_{index}" for index in range(num_layers - 1))]
    return {
        f"{name}{suffix}": weights[name] * per_layer[layer] / num_boxes
        for layer, suffix in enumerate(suffixes)
        for name, per_layer in terms.items()
    }


def _inside_ignored(boxes: torch.Tensor, ignored: torch.Tensor) -> torch.Tensor:
    """Which boxes (L, B, Q, 4) lie in one of the ignored (B, M, 4): shape (L, B, Q)."""
    corners = centers_to_corners(boxes)[..., None, :]
    area = box_area(corners).clamp(min=torch.finfo(boxes.dtype).tiny)
    return (box_intersection(corners, ignored[:, None]) / area >= IGNORE_THRESHOLD).any(dim=-1)


__all__ = [
    "DEFAULT_LOSS_WEIGHTS",
    "FOCAL_ALPHA",
    "FOCAL_GAMMA",
    "IGNORE_THRESHOLD",
    "DetectionTargets",
    "Matches",
    "detection_loss",
    "focal_loss",
    "match",
    "matching_cost",
    "read_labels",
]
