# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Examples of 2-D pose: one person per crop, with a heat map for every joint."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.training.augmentation import Augmentation, make_crops
from hulk_hf.training.evaluation import mean_pose, place_mean_pose, pose_figures, predict_poses
from hulk_hf.training.examples.base import FamilyExamples


class PoseExamples(FamilyExamples):
    """Columns: `images` (N, H, W, 3) uint8, `boxes` (N, 4) xywh, `keypoints` (N, K, 3), `parts` (N, H, W), `areas`."""

    default_augmentation = Augmentation((0.85, 1.2), 0.05, 20.0, 0.4, 0.5, 0.2, 0.1)

    def batch(self, generator: torch.Generator, size: int) -> dict[str, Any]:
        """See `FamilyExamples.batch`; also `part_shares` (B, patches, 20), see `make_crops`."""
        rows = self.draw(generator, size)
        columns = ("images", "boxes", "keypoints", "parts")
        images, boxes, keypoints, parts = self.read_people(rows, *columns, generator=generator)
        image_size, pairs = self.task.image_size, self.task.flip_pairs
        return make_crops(images, boxes, keypoints, parts, image_size, pairs, self.augmentation, generator)

    def evaluate(self, model: HulkForHumanAnalysis, limit: int | None = None) -> dict[str, float]:
        """OKS and COCO's average precision, with ground-truth boxes and flip test."""
        data = {name: self.limited(name, limit) for name in ("keypoints", "areas", "boxes")}
        images = self.validation["images"][:limit]
        joints, scores = predict_poses(model.for_family("pose"), images, data["boxes"], self.task.image_size)
        return self._figures(joints, scores, data)

    def baseline(self, limit: int | None = None) -> dict[str, float]:
        """The mean pose of training, put into each box."""
        data = {name: self.limited(name, limit) for name in ("keypoints", "areas", "boxes")}
        mean = mean_pose(self.some_training_rows("keypoints"), self.some_training_rows("boxes"))
        joints = place_mean_pose(mean, data["boxes"])
        return self._figures(joints, np.ones(joints.shape[:2]), data)

    def _figures(self, joints: np.ndarray, scores: np.ndarray, data: dict[str, np.ndarray]) -> dict[str, float]:
        figures = pose_figures(joints, scores, data, self.task.sigmas)
        return {"OKS": figures.pop("OKS"), **figures}


__all__ = ["PoseExamples"]
