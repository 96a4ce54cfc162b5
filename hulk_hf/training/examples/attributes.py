# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Examples of attribute recognition: one person per crop, with what can be said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hulk_hf.metrics.attributes import attribute_figures, mean_accuracy
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.pose_geometry_hulk import flip_permutation
from hulk_hf.training.augmentation import Augmentation
from hulk_hf.training.examples.base import FamilyExamples
from hulk_hf.training.examples.windows import jitter_windows, look, to_pixel_values, windows_on


class AttributeExamples(FamilyExamples):
    """Columns: `images` (N, H, W, 3) uint8, `boxes` (N, 4) xywh, `attributes` (N, A) int8, -1 where unknown."""

    default_augmentation = Augmentation(
        scale=(0.9, 1.2), shift=0.05, rotation=10.0, rotation_probability=0.3, colour=0.1, erase_probability=0.0
    )

    def batch(self, generator: torch.Generator, size: int) -> dict[str, Any]:
        """See `FamilyExamples.batch`; what is left of a person is right in a mirror, if the task names both."""
        rows = self.draw(generator, size)
        pictures, boxes, attributes = self.read_people(rows, "images", "boxes", "attributes", generator=generator)
        windows = jitter_windows(windows_on(boxes), self.augmentation, generator)
        pixels = look(pictures, windows.grid(self.task.image_size, pictures.shape[1:3]))
        swapped = attributes[:, flip_permutation(self.task.flip_pairs, self.task.num_labels)]
        return {
            "pixel_values": to_pixel_values(pixels, self.augmentation, generator),
            "labels": torch.where(windows.flipped[:, None], swapped, attributes),
        }

    @torch.no_grad()
    def evaluate(self, model: HulkForHumanAnalysis, limit: int | None = None) -> dict[str, float]:
        """Mean accuracy, unknown attributes left out, and the released figures, which count them as absent."""
        single = model.for_family("attributes")
        scores = []
        for rows in self.validation_rows(limit):
            pictures, boxes = self.read_validation(rows, "images", "boxes")
            pixels = look(pictures, windows_on(boxes).grid(self.task.image_size, pictures.shape[1:3]))
            outputs = single(to_pixel_values(pixels).to(model.device), task=self.task.name)
            scores.append(outputs.logits.float().sigmoid().cpu().numpy())
        return _figures(self.limited("attributes", limit), np.concatenate(scores))

    def baseline(self, limit: int | None = None) -> dict[str, float]:
        """What is true of most people in training."""
        known = self.some_training_rows("attributes")
        share = (known == 1).sum(axis=0) / np.maximum((known >= 0).sum(axis=0), 1)
        labels = self.limited("attributes", limit)
        return _figures(labels, np.broadcast_to((share > 0.5).astype(np.float32), labels.shape))


def _figures(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """`mA` at the threshold 0.5 that balanced labels are made for, and at the released one of 0.3."""
    official = attribute_figures(labels, scores)
    return {
        "mA": mean_accuracy(labels, scores, threshold=0.5, leave_out_unknown=True),
        "mA_0.3": mean_accuracy(labels, scores, threshold=0.3, leave_out_unknown=True),
        "official_mA": official["mA"],
        "F1": official["F1"],
    }


__all__ = ["AttributeExamples"]
