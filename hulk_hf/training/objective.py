# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What is minimised: the losses of the model, and what a recipe may add when a small model starts at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from hulk_hf.modeling.loss_parsing_hulk import IGNORED
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.training.augmentation import NUM_PARTS
from hulk_hf.training.recipe import Recipe


def emphasise_positives(labels: torch.Tensor, label_weights: torch.Tensor, emphasis: float) -> torch.Tensor:
    """Weigh the pixels near a joint up: w (1 + emphasis * target), shape (B, K, h, w).

    Nearly all pixels of a heat map are background, and a flat map is a tempting answer to a plain mean.

    Args:
        labels: Target heat maps, shape (B, K, h, w).
        label_weights: Shape (B, K).
        emphasis: Extra weight at the peak; 0 is the official loss.
    """
    return label_weights[..., None, None] * (1.0 + emphasis * labels)


def pixel_loss(maps: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the part of every cell of semantic maps; a scalar.

    Args:
        maps: Shape (B, K, h, w), real values.
        labels: Parts of the pixels, shape (B, H, W) with H and W whole multiples of h and w; 255 is left out.
    """
    stride = labels.shape[1] // maps.shape[2]
    # Of the pixels of a cell, one that lies next to its middle.
    middle = labels[:, (stride - 1) // 2 :: stride, (stride - 1) // 2 :: stride]
    return F.cross_entropy(maps.float(), middle, ignore_index=IGNORED)


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


class JointTraining(nn.Module):
    """A model with its objective: one forward from a batch of one task to the terms of its loss.

    Args:
        model: The model to train, with all tasks of the recipe.
        recipe: Gives additions to the losses, and the drop-path rate of each task.
        touch_all: Give heads and tokenizers a gradient of zero where a batch does not use them. Sharded training needs
            it, where processes that run different tasks exchange the gradients of the same parameters.
    """

    def __init__(self, model: HulkForHumanAnalysis, recipe: Recipe, touch_all: bool = False):
        super().__init__()
        self.model = model
        self.objective = recipe.objective
        tasks = {task.name: model.hulk.resolve_task(task.name) for task in recipe.tasks}
        # They share the modules of `model`; in a plain dict, torch does not count these twice.
        self._classes = {task.family: model.for_family(task.family) for task in tasks.values()}
        self._families = {name: task.family for name, task in tasks.items()}
        layers = list(model.hulk.encoder.layers)
        own = [layer.drop_path.rate for layer in layers]
        self._drop_path = {
            task.name: own
            if task.drop_path_rate is None
            else [task.drop_path_rate * index / max(len(layers) - 1, 1) for index in range(len(layers))]
            for task in recipe.tasks
        }
        self.probes = nn.ModuleDict()
        if recipe.objective.patch_supervision:
            width = model.config.vision_config.hidden_size
            for name, task in tasks.items():
                if task.family == "pose":
                    self.probes[name] = PatchSupervision(width, task.num_labels)
        # All tasks pass all layers, which are shards of their own.
        self._touched = [name for name, _ in self.named_parameters() if ".layers." not in name] if touch_all else []

    def forward(self, task: str, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """Compute the loss of a batch.

        Args:
            task: Name of the task.
            batch: Keyword arguments of the class of its family. A batch of pose may also hold `part_shares` (B,
                patches, 20), see `make_crops`, which supervision of patches reads.

        Returns:
            `loss`, the sum that is minimised, and the terms of the last decoder layer, to watch.
        """
        for layer, rate in zip(self.model.hulk.encoder.layers, self._drop_path[task], strict=True):
            layer.drop_path.rate = rate
        arguments = dict(batch)
        part_shares = arguments.pop("part_shares", None)
        pose = self._families[task] == "pose"
        if pose and self.objective.emphasis:
            arguments["label_weights"] = emphasise_positives(
                batch["labels"], batch["label_weights"], self.objective.emphasis
            )
        model = self._classes[self._families[task]]
        model.training = self.training
        outputs = model(task=task, **arguments)
        terms = {"loss": outputs.loss}
        terms |= {name: value for name, value in (outputs.loss_dict or {}).items() if "_aux_" not in name}
        if task in self.probes and part_shares is not None:
            patches = self.probes[task](
                outputs.encoder_last_hidden_state, part_shares, batch["labels"], batch["label_weights"]
            )
            terms |= {"loss": terms["loss"] + self.objective.patch_supervision * patches, "patches": patches}
        if self._families[task] == "parsing" and self.objective.pixel_supervision:
            pixels = pixel_loss(outputs.logits, batch["labels"])
            terms |= {"loss": terms["loss"] + self.objective.pixel_supervision * pixels, "pixels": pixels}
        if self._touched:
            parameters = dict(self.named_parameters())
            terms["loss"] = terms["loss"] + 0.0 * sum(parameters[name].sum() for name in self._touched)
        return terms


__all__ = ["JointTraining", "PatchSupervision", "emphasise_positives", "pixel_loss"]
