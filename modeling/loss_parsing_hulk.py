# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of human parsing: cross-entropy and dice of masks at sampled points, and the presence of each part.

When to use: tasks of family `parsing`. Targets are maps of part indices; there is no matching, channel k is part k.
Masks are compared only for the parts that a picture shows, at points of which most lie where the mask is undecided
(Cheng et al., Masked-attention Mask Transformer, CVPR 2022). Reference: Paper, Sec. 3.4 (semantic losses); the exact
form is the released one, where every decoder layer draws points of its own and adds terms of the same weight.

Nothing here is a mask per part: labels are read from the map of indices at the points alone.
"""

import torch
from torch.nn import functional as F

from .loss_pose_hulk import presence_weights
from .tasks_hulk import HulkTask

DEFAULT_LOSS_WEIGHTS = {"mask": 50.0, "dice": 50.0, "presence": 0.1}

IGNORED = 255  # label of pixels that belong to no part; there they count as "not this part" for every part
NUM_POINTS = 12544  # 112 x 112, as in the release
_CANDIDATES = 3.0  # for each point, of which the most undecided are taken
_UNDECIDED = 0.75  # share of the points that are chosen this way; the others are drawn anywhere


def present_parts(labels: torch.Tensor, num_parts: int) -> torch.Tensor:
    """Which parts each picture shows. Its sum is the number of pairs (picture, part) that the loss is a mean over.

    Args:
        labels: Shape (B, H, W), part indices or `IGNORED`.
        num_parts: K.

    Returns:
        Shape (B, K), bool.
    """
    labels = labels.long().flatten(1)
    places = torch.where(labels == IGNORED, num_parts, labels)
    present = torch.zeros(len(labels), num_parts + 1, dtype=torch.bool, device=labels.device)
    return present.scatter_(1, places, True)[:, :num_parts]


def sample_maps(maps: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Read maps (N, h, w) bilinearly at points (N, P, 2), (x, y) from 0 to 1; beyond its edge a map is 0.

    Returns:
        Shape (N, P).
    """
    grid = (2 * points - 1).unsqueeze(2)
    sampled = F.grid_sample(maps.unsqueeze(1), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled[:, 0, :, 0]


def sample_labels(
    labels: torch.Tensor, pictures: torch.Tensor, parts: torch.Tensor, points: torch.Tensor
) -> torch.Tensor:
    """What `sample_maps` would read from the masks of parts, without making these masks.

    Args:
        labels: Shape (B, H, W).
        pictures: Shape (N,), the picture of each pair.
        parts: Shape (N,), the part of each pair.
        points: Shape (N, P, 2), (x, y) from 0 to 1.

    Returns:
        Shape (N, P): 1 inside the part, 0 outside, in between at its edge.
    """
    height, width = labels.shape[1:]
    place = points * points.new_tensor([width, height]) - 0.5
    corner = place.floor()
    far = place - corner
    x, y = corner.long().unbind(-1)
    share_x, share_y = (torch.stack([1 - share, share]) for share in far.unbind(-1))
    first = pictures[:, None] * (height * width)
    flat, parts = labels.flatten(), parts[:, None].to(labels.dtype)
    sampled = torch.zeros_like(far[..., 0])
    for right in (0, 1):
        for below in (0, 1):
            column, row = x + right, y + below
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            pixel = first + row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            hit = (flat.index_select(0, pixel.flatten()).view_as(pixel) == parts) & inside
            sampled += share_x[right] * share_y[below] * hit
    return sampled


@torch.no_grad()
def draw_points(maps: torch.Tensor, num_points: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """Draw points, three quarters of them the most undecided (logit next to 0) of many, the others anywhere.

    Args:
        maps: Mask logits, shape (N, h, w).
        num_points: P.
        generator: Source of randomness on the device of `maps`; None means that of torch.

    Returns:
        Shape (N, P, 2), (x, y) from 0 to 1.
    """

    def anywhere(count: int) -> torch.Tensor:
        return torch.rand(len(maps), count, 2, device=maps.device, generator=generator)

    candidates = anywhere(int(num_points * _CANDIDATES))
    num_undecided = int(num_points * _UNDECIDED)
    undecided = sample_maps(maps, candidates).abs().topk(num_undecided, dim=1, largest=False, sorted=False).indices
    chosen = candidates.gather(1, undecided.unsqueeze(-1).expand(-1, -1, 2))
    return torch.cat([chosen, anywhere(num_points - num_undecided)], dim=1)


def parsing_loss(
    mask_logits: torch.Tensor,
    presence_logits: torch.Tensor,
    labels: torch.Tensor,
    task: HulkTask,
    points: torch.Tensor | None = None,
    num_pairs: int | float | torch.Tensor | None = None,
    num_points: int = NUM_POINTS,
    generator: torch.Generator | None = None,
) -> dict[str, torch.Tensor]:
    """Compute the loss terms of all decoder layers; their sum is the loss.

    Args:
        mask_logits: Shape (L, B, K, h, w): the last layer first, then the auxiliary outputs of layers 1, 2, ...
        presence_logits: Shape (L, B, K).
        labels: Shape (B, H, W), integers: 0 to K - 1, or 255 for ignored pixels, which count as negative for every
            part, as released. The size is any; the release uses that of the input.
        task: Gives the weights of the terms and the presence ratios.
        points: Where masks are compared, shape (L, N, P, 2), (x, y) from 0 to 1, for each of the N pairs (picture,
            part it shows) in ascending order. None: they are drawn, anew for each layer.
        num_pairs: What mask and dice terms are divided by. None: the N of this call. A trainer of several processes
            gives the sum over all of them, see `present_parts`.
        num_points: P, where points are drawn.
        generator: Source of their randomness; None means that of torch.

    Returns:
        `mask`, `dice` and `presence`, then `mask_aux_{i}` and so on, each already weighted. Mask and dice are 0 where
        no picture shows any part.

    Raises:
        ValueError: The shapes do not fit together, there is no picture to learn from, or labels are no integers of the
            task (their values are not checked while compiling, which must not look at them).
    """
    num_layers, batch, num_parts = mask_logits.shape[:3]
    _check_labels(labels, batch, num_parts)
    labels = labels.to(torch.uint8)  # which holds them all, and is read at random places
    present = present_parts(labels, num_parts)
    pictures, parts = present.nonzero(as_tuple=True)
    if points is not None:
        num_points = points.shape[2] if points.ndim == 4 else 0
        if points.shape != (num_layers, len(parts), num_points, 2):
            raise ValueError(
                f"points: expected shape ({num_layers}, {len(parts)}, points, 2), one row per layer and one per part "
                f"that a picture shows, got {tuple(points.shape)}"
            )
    if num_points < 1:
        raise ValueError(f"num_points: expected at least 1, got {num_points}")
    divisor = torch.as_tensor(len(parts) if num_pairs is None else num_pairs, device=mask_logits.device).clamp(min=1)

    target = present.float()
    ratios = target.new_tensor(task.presence_ratios or (0.5,) * num_parts)
    balance = presence_weights(target, ratios)
    weights = {**DEFAULT_LOSS_WEIGHTS, **(task.loss_weights or {})}
    terms = {}
    for layer, suffix in enumerate(["", *(f"_aux_{index}" for index in range(num_layers - 1))]):
        maps = mask_logits[layer][pictures, parts].float()
        places = draw_points(maps, num_points, generator) if points is None else points[layer].to(maps.dtype)
        predicted = sample_maps(maps, places)
        wanted = sample_labels(labels, pictures, parts, places)
        mask = F.binary_cross_entropy_with_logits(predicted, wanted, reduction="none").mean(dim=1)
        presence = F.binary_cross_entropy_with_logits(presence_logits[layer].float(), target, weight=balance)
        terms[f"mask{suffix}"] = weights["mask"] * mask.sum() / divisor
        terms[f"dice{suffix}"] = weights["dice"] * _dice(predicted.sigmoid(), wanted).sum() / divisor
        terms[f"presence{suffix}"] = weights["presence"] * presence
    return terms


def _dice(predicted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """One minus the overlap of two sets of points (N, P) -> (N,); the ones keep empty sets from dividing by 0."""
    overlap = (predicted * wanted).sum(dim=1)
    return 1 - (2 * overlap + 1) / (predicted.sum(dim=1) + wanted.sum(dim=1) + 1)


def _check_labels(labels: torch.Tensor, batch: int, num_parts: int) -> None:
    if labels.ndim != 3 or len(labels) != batch:
        raise ValueError(f"labels: expected part indices of shape ({batch}, height, width), got {tuple(labels.shape)}")
    if not batch:
        raise ValueError("labels: a loss is a mean over pictures, expected at least one, got an empty batch")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels: expected part indices of an integer type, got {labels.dtype}")
    if num_parts > IGNORED:
        raise ValueError(f"task: {IGNORED} means an ignored pixel, expected at most {IGNORED} parts, got {num_parts}")
    if not torch.compiler.is_compiling():
        labels = labels.long()
        unknown = ((labels < 0) | (labels >= num_parts)) & (labels != IGNORED)
        if unknown.any():
            raise ValueError(
                f"labels: expected part indices from 0 to {num_parts - 1}, or {IGNORED} for ignored pixels, got "
                f"{labels[unknown][0].item()}"
            )


__all__ = [
    "DEFAULT_LOSS_WEIGHTS",
    "IGNORED",
    "NUM_POINTS",
    "draw_points",
    "parsing_loss",
    "present_parts",
    "sample_labels",
    "sample_maps",
]
