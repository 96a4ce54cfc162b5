# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a recipe may add to the official loss when a small model starts from random weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.training.augmentation import NUM_PARTS
from hulk_hf.training.recipe import ObjectiveRecipe


def emphasise_positives(labels: torch.Tensor, label_weights: torch.Tensor, emphasis: float) -> torch.Tensor:
    """Weigh the pixels near a joint up: w (1 + emphasis * target), shape (B, K, h, w).

    Nearly all pixels of a heat map are background, and a flat map is a tempting answer to a plain mean.

    Args:
        labels: Target heat maps, shape (B, K, h, w).
        label_weights: Shape (B, K).
        emphasis: Extra weight at the peak; 0 is the official loss.
    """
    return label_weights[..., None, None] * (1.0 + emphasis * labels)


class PatchSupervision(nn.Module):
    """A linear layer on the memory that guesses body parts and joints of every patch; thrown away after training.

    It hands the encoder a gradient that does not have to pass through the decoder first.

    Args:
        hidden_size: Width of the memory.
        num_joints: Joints of the pose task.
    """

    def __init__(self, hidden_size: int, num_joints: int):
        super().__init__()
        self.classifier = nn.Linear(hidden_size, NUM_PARTS + num_joints)
        nn.init.zeros_(self.classifier.bias)

    def forward(
        self, memory: torch.Tensor, part_shares: torch.Tensor, labels: torch.Tensor, label_weights: torch.Tensor
    ) -> torch.Tensor:
        """Compute cross-entropy of the parts plus binary cross-entropy of the joints.

        Args:
            memory: Shape (B, P, C).
            part_shares: Shape (B, P, 20).
            labels: Heat maps (B, K, h, w) whose maxima over each patch are the joint targets.
            label_weights: Shape (B, K).

        Returns:
            A scalar.
        """
        logits = self.classifier(memory)
        parts = F.cross_entropy(logits[..., :NUM_PARTS].transpose(1, 2), part_shares.transpose(1, 2))
        joints = F.max_pool2d(labels, 4).flatten(2).transpose(1, 2)
        error = F.binary_cross_entropy_with_logits(logits[..., NUM_PARTS:], joints, reduction="none")
        return parts + (error * label_weights[:, None]).mean() * joints.shape[-1] / 2


class PoseTraining(nn.Module):
    """A model with its objective: one forward from a batch to the terms of the loss.

    Args:
        model: The model to train.
        objective: Additions to the official loss.
    """

    def __init__(self, model: HulkForPoseEstimation, objective: ObjectiveRecipe):
        super().__init__()
        self.model = model
        self.objective = objective
        if objective.patch_supervision:
            num_joints = model.hulk.resolve_task(family="pose").num_labels
            self.probe = PatchSupervision(model.config.vision_config.hidden_size, num_joints)

    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor,
        label_weights: torch.Tensor,
        part_shares: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Compute `loss`, the sum that is minimised, and the terms to watch; shapes as `make_crops` returns them."""
        weights = label_weights
        if self.objective.emphasis:
            weights = emphasise_positives(labels, label_weights, self.objective.emphasis)
        outputs = self.model(pixel_values, labels=labels, label_weights=weights)
        terms = {"loss": outputs.loss, "heatmap": outputs.loss_dict["heatmap"]}
        if self.objective.patch_supervision:
            memory = outputs.encoder_last_hidden_state
            terms["patches"] = self.probe(memory, part_shares, labels, label_weights)
            terms["loss"] = terms["loss"] + self.objective.patch_supervision * terms["patches"]
        return terms


__all__ = ["PatchSupervision", "PoseTraining", "emphasise_positives"]
