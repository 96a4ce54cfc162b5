# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of 2-D pose: mean squared error of heat maps, and a weak loss on the presence of each joint.

When to use: tasks of family `pose`. Targets are sub-pixel Gaussians of sigma 2 on the map (UDP). Reference: Paper,
Sec. 3.4 (digit and semantic losses); the exact form is the released one, where joints without a target count as
zeros in the mean and every decoder layer adds a term of the same weight.
"""

import torch
from torch.nn import functional as F

from .tasks_hulk import HulkTask

DEFAULT_LOSS_WEIGHTS = {"heatmap": 1.0, "presence": 0.001}


def presence_weights(present: torch.Tensor, ratios: torch.Tensor) -> torch.Tensor:
    """Weight rare outcomes up: exp(1 - r) where the joint is present, exp(r) where it is not.

    Args:
        present: Shape (..., K), 0 or 1.
        ratios: Shape (K,), how often each joint is present in the training set.
    """
    return torch.exp(present * (1.0 - ratios) + (1.0 - present) * ratios)


def pose_loss(
    heatmaps: torch.Tensor,
    presence_logits: torch.Tensor,
    labels: torch.Tensor,
    label_weights: torch.Tensor | None,
    task: HulkTask,
) -> dict[str, torch.Tensor]:
    """Compute the loss terms of all decoder layers; their sum is the loss.

    Args:
        heatmaps: Shape (L, B, K, h, w): the last layer first, then the auxiliary outputs of layers 1, 2, ...
        presence_logits: Shape (L, B, K).
        labels: Target heat maps, shape (B, K, h', w'); resized bilinearly if the size differs.
        label_weights: Shape (B, K) or (B, K, 1): 1 where a joint has a target, else 0; or (B, K, h', w'): a weight
            per pixel, where a joint is present if any of its weights is positive. None: all joints count.
        task: Gives the weights of the terms and the presence ratios.

    Returns:
        `heatmap` and `presence`, then `heatmap_aux_{i}` and `presence_aux_{i}`, each already weighted.

    Raises:
        ValueError: The shapes do not fit together, there is no person to learn from, or weights per joint lie outside
            0..1 (not checked while compiling, which must not look at values).
    """
    num_layers, batch, num_joints, height, width = heatmaps.shape
    if labels.ndim != 4 or labels.shape[:2] != (batch, num_joints):
        raise ValueError(
            f"labels: expected heat maps of shape ({batch}, {num_joints}, height, width), got {tuple(labels.shape)}"
        )
    if not batch:
        raise ValueError("labels: a loss is a mean over persons, expected at least one, got an empty batch")
    if label_weights is None:
        label_weights = labels.new_ones(batch, num_joints)
    elif label_weights.ndim == 3 and label_weights.shape[-1] == 1:
        label_weights = label_weights.squeeze(-1)
    if label_weights.shape not in (labels.shape[:2], labels.shape):
        raise ValueError(
            f"label_weights: expected shape {tuple(labels.shape[:2])} or {tuple(labels.shape)}, "
            f"got {tuple(label_weights.shape)}"
        )
    if label_weights.ndim == 2 and not torch.compiler.is_compiling():
        _check_joint_weights(label_weights)
    labels, label_weights = labels.float(), label_weights.float()
    per_pixel = label_weights.ndim == 4
    present = (label_weights.amax(dim=(2, 3)) > 0).float() if per_pixel else label_weights
    if labels.shape[2:] != (height, width):
        labels = F.interpolate(labels, size=(height, width), mode="bilinear", align_corners=False)
        if per_pixel:
            label_weights = F.interpolate(label_weights, size=(height, width), mode="bilinear", align_corners=False)

    pixel_weights = label_weights if per_pixel else label_weights[..., None, None]
    heatmap = ((heatmaps.float() - labels) ** 2 * pixel_weights).mean(dim=(1, 2, 3, 4))

    ratios = labels.new_tensor(task.presence_ratios or (0.5,) * num_joints)
    presence = F.binary_cross_entropy_with_logits(
        presence_logits.float(), present.expand_as(presence_logits), reduction="none"
    )
    presence = (presence * presence_weights(present, ratios)).mean(dim=(1, 2))

    weights = {**DEFAULT_LOSS_WEIGHTS, **(task.loss_weights or {})}
    suffixes = ["", *(f"_aux_{index}" for index in range(num_layers - 1))]
    terms = {}
    for layer, suffix in enumerate(suffixes):
        terms[f"heatmap{suffix}"] = weights["heatmap"] * heatmap[layer]
        terms[f"presence{suffix}"] = weights["presence"] * presence[layer]
    return terms


def _check_joint_weights(label_weights: torch.Tensor) -> None:
    """They are also the targets of the presence loss, which knows nothing beyond present (1) and absent (0)."""
    outside = ~((label_weights >= 0) & (label_weights <= 1))
    if outside.any():
        raise ValueError(
            f"label_weights: expected values between 0 and 1, got {label_weights[outside][0].item():g}; visibility as "
            "COCO counts it (0, 1, 2) becomes a weight by `visibility > 0`"
        )


__all__ = ["DEFAULT_LOSS_WEIGHTS", "pose_loss", "presence_weights"]
