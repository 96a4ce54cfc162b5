# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Examples of human parsing: one person per window, with the part of every pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from hulk_hf.metrics.segmentation import confusion_matrix, segmentation_figures
from hulk_hf.modeling.loss_parsing_hulk import IGNORED, present_parts
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.parsing_maps_hulk import part_probabilities
from hulk_hf.modeling.pose_geometry_hulk import flip_permutation
from hulk_hf.training.augmentation import Augmentation
from hulk_hf.training.examples.base import FamilyExamples
from hulk_hf.training.examples.windows import (
    jitter_windows,
    look,
    look_at_labels,
    to_pixel_values,
    windows_on,
)

PADDING = 1.1  # of the box of a person
_POINTS_PER_CELL = 0.75  # points of the loss for each cell of a mask; 12,544 for 14,400 cells in the release


class ParsingExamples(FamilyExamples):
    """Columns: `images` (N, H, W, 3) uint8, `boxes` (N, 4) xywh, `parts` (N, H, W) uint8."""

    default_augmentation = Augmentation(
        scale=(0.8, 1.25), shift=0.06, rotation=25.0, rotation_probability=0.4, colour=0.2, erase_probability=0.1
    )

    def batch(self, generator: torch.Generator, size: int) -> dict[str, Any]:
        """See `FamilyExamples.batch`; beyond the edge of a picture labels are 255, as released."""
        rows = self.draw(generator, size)
        pictures, boxes, parts = self.read_people(rows, "images", "boxes", "parts", generator=generator)
        windows = jitter_windows(windows_on(boxes, PADDING), self.augmentation, generator)
        grid = windows.grid(self.task.image_size, pictures.shape[1:3])
        labels = look_at_labels(parts, grid, outside=IGNORED)
        order = torch.arange(IGNORED + 1)
        order[: self.task.num_labels] = torch.tensor(flip_permutation(self.task.flip_pairs, self.task.num_labels))
        height, width = self.task.image_size
        return {
            "pixel_values": to_pixel_values(look(pictures, grid), self.augmentation, generator),
            "labels": torch.where(windows.flipped[:, None, None], order[labels], labels),
            "num_points": int(_POINTS_PER_CELL * height * width / 16),
            "generator": torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=generator))),
        }

    def normaliser(self, batch: Mapping[str, Any]) -> float:
        """Number of pairs of a picture and a part it shows."""
        return float(present_parts(batch["labels"], self.task.num_labels).sum())

    @torch.no_grad()
    def evaluate(self, model: HulkForHumanAnalysis, limit: int | None = None) -> dict[str, float]:
        """Mean IoU over whole pictures at their own size; beyond the window everything is background."""
        single = model.for_family("parsing")
        matrix = np.zeros((self.task.num_labels, self.task.num_labels), np.int64)
        for rows in self.validation_rows(limit):
            pictures, boxes, parts = self.read_validation(rows, "images", "boxes", "parts")
            windows = windows_on(boxes, PADDING)
            pixels = look(pictures, windows.grid(self.task.image_size, pictures.shape[1:3]))
            outputs = single(to_pixel_values(pixels).to(model.device), task=self.task.name)
            scores = part_probabilities(outputs.logits.float(), outputs.presence_logits.float()).cpu()
            back = windows.grid_back(pictures.shape[1:3])
            scores = F.grid_sample(scores, back, padding_mode="border", align_corners=False)
            outside = (back.abs() > 1).any(dim=-1)
            predicted = torch.where(outside, 0, scores.argmax(dim=1))
            matrix += confusion_matrix(parts.numpy(), predicted.numpy(), self.task.num_labels)
        return segmentation_figures(matrix)

    def baseline(self, limit: int | None = None) -> dict[str, float]:
        """The most frequent part, which is the background, everywhere."""
        parts = self.limited("parts", limit)
        counts = np.bincount(self.some_training_rows("parts", 500).ravel(), minlength=self.task.num_labels)
        predicted = np.full_like(parts, counts.argmax())
        return segmentation_figures(confusion_matrix(parts, predicted, self.task.num_labels))


__all__ = ["PADDING", "ParsingExamples"]
