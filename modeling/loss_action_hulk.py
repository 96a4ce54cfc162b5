# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of skeleton-based action recognition: softmax cross-entropy over all classes of the task.

When to use: tasks of family `action`. In a joint task the classes of the other data sets compete too, as in the
release; slicing to one data set happens after the network only. Reference: Paper, Sec. 3.4 (semantic loss).
"""

import torch
from torch.nn import functional as F

from .tasks_hulk import HulkTask

DEFAULT_LOSS_WEIGHTS = {"action": 1.0}


def action_loss(logits: torch.Tensor, labels: torch.Tensor, task: HulkTask) -> dict[str, torch.Tensor]:
    """Compute the loss, a mean over samples.

    Args:
        logits: Shape (B, C).
        labels: The class of every sample: an index, shape (B,), or a row whose largest value marks it, shape (B, C).
            The official data has such rows: 1 at the class, 0 at the other classes of the sample's data set and -1
            elsewhere, a difference that the loss does not look at.
        task: Gives the weight of the term.

    Returns:
        `action`, already weighted.

    Raises:
        ValueError: A shape, dtype or index that does not fit, a row that marks no class (values are not looked at
            while compiling), or no sample to learn from.
    """
    classes = _class_indices(labels, *logits.shape)
    weight = {**DEFAULT_LOSS_WEIGHTS, **(task.loss_weights or {})}["action"]
    return {"action": weight * F.cross_entropy(logits.float(), classes)}


def _class_indices(labels: torch.Tensor, batch: int, num_labels: int) -> torch.Tensor:
    if labels.shape not in ((batch,), (batch, num_labels)):
        raise ValueError(
            f"labels: expected class indices of shape ({batch},) or rows that mark a class, shape ({batch}, "
            f"{num_labels}), got {tuple(labels.shape)}"
        )
    if not batch:
        raise ValueError("labels: a loss is a mean over samples, expected at least one, got an empty batch")
    look = not torch.compiler.is_compiling()
    if labels.ndim == 2:
        labels = labels.float()
        if look and not (labels.amax(dim=1) > 0).all():
            raise ValueError("labels: expected a value above 0 at the class of every sample, got a row without any")
        return labels.argmax(dim=1)
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels: expected class indices of an integer dtype, got {labels.dtype}")
    if look and not ((labels >= 0) & (labels < num_labels)).all():
        raise ValueError(
            f"labels: expected class indices from 0 to {num_labels - 1}, got {labels.min().item()} to "
            f"{labels.max().item()}"
        )
    return labels.long()


__all__ = ["DEFAULT_LOSS_WEIGHTS", "action_loss"]
