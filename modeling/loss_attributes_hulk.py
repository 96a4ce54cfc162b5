# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of attribute recognition: binary cross-entropy, weighted by rarity and by how wrong the answer is.

When to use: tasks of family `attributes`. A joint task has the columns of several data sets, and a person is labelled
in those of its own; all others are unknown and teach nothing. Reference: Paper, Sec. 3.4 (semantic loss); the exact
form is the released one: a sum over attributes, not a mean, and a focal factor that carries gradient.
"""

import torch
from torch.nn import functional as F

from .loss_pose_hulk import presence_weights
from .tasks_hulk import HulkTask

DEFAULT_LOSS_WEIGHTS = {"attributes": 1.0}


def attributes_loss(logits: torch.Tensor, labels: torch.Tensor, task: HulkTask) -> dict[str, torch.Tensor]:
    """Compute the loss.

    Every known attribute of every person adds cross-entropy * rarity * (1 - p)^2 * label weight, where p is the
    probability of the right answer and rarity is exp(1 - r) for a true and exp(r) for a false attribute, r its ratio
    in the training set. The sum is divided by the number of persons alone.

    A value outside 0..1 says that nothing is known. RAPv2 and PA-100K write 2 for an unknown gender, which the
    release trains as cross-entropy against the number 2: its code to leave these out looks at labels that are already
    binary. Here they are left out.

    Args:
        logits: Shape (B, A).
        labels: Shape (B, A): 1 true, 0 false, values between them for soft labels; anything else (-1, 2) unknown.
        task: Gives `presence_ratios`, `label_weights` and the weight of the term.

    Returns:
        `attributes`, already weighted.

    Raises:
        ValueError: The shapes differ, or there is no person to learn from.
    """
    if labels.shape != logits.shape:
        raise ValueError(
            f"labels: expected one value per person and attribute, shape {tuple(logits.shape)}, got "
            f"{tuple(labels.shape)}"
        )
    if not len(labels):
        raise ValueError("labels: a loss is a mean over persons, expected at least one, got an empty batch")
    logits, labels = logits.float(), labels.float()
    known = (labels >= 0) & (labels <= 1)
    labels = torch.where(known, labels, 0.0)
    ratios = logits.new_tensor(task.presence_ratios or (0.5,) * task.num_labels)
    label_weights = logits.new_tensor(task.label_weights or (1.0,) * task.num_labels)

    probability = logits.sigmoid()
    right = probability * labels + (1.0 - probability) * (1.0 - labels)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    rarity = presence_weights((labels > 0.5).float(), ratios)
    terms = known * cross_entropy * rarity * (1.0 - right) ** 2 * label_weights
    weight = {**DEFAULT_LOSS_WEIGHTS, **(task.loss_weights or {})}["attributes"]
    return {"attributes": weight * terms.sum() / len(labels)}


__all__ = ["DEFAULT_LOSS_WEIGHTS", "attributes_loss"]
