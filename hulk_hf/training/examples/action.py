# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Examples of skeleton-based action recognition: two people over time, with what they do (spec of data, 4.6)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hulk_hf.metrics.action import mean_class_accuracy, top_k_accuracy
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.skeleton_geometry_hulk import SCORE_FLOOR
from hulk_hf.modeling.tasks_hulk import HulkTask
from hulk_hf.synthetic.tasks import NUM_FRAMES
from hulk_hf.training.augmentation import Augmentation
from hulk_hf.training.examples.base import Arrays, FamilyExamples
from hulk_hf.training.examples.joint_noise import unsettle_joints

_SMALLEST_RANGE = 10.0  # pixels that a clip has to reach over to be scaled
_ROTATION = 0.3  # radians
_SCALE = (0.75, 1.25)
_EVALUATION_SEED = 255


class ActionExamples(FamilyExamples):
    """Columns: `keypoints` (N, 2, T, 17, 3), x and y in pixels and score; `lengths` (N,), frames; `labels` (N,).

    Args:
        task: The task.
        train: Columns of the training split.
        validation: Columns of the validation split.
        augmentation: Only `joint_noise` is looked at.
        num_frames: Frames of a sequence, a multiple of `run`.
        run: Frames that follow each other; a clip is divided into as many segments as there are runs.
    """

    main_column = "labels"

    def __init__(
        self,
        task: HulkTask,
        train: Arrays,
        validation: Arrays,
        augmentation: Augmentation | None = None,
        num_frames: int = NUM_FRAMES,
        run: int = 7,
    ):
        super().__init__(task, train, validation, augmentation)
        self.segments, self.run = num_frames // run, run

    def batch(self, generator: torch.Generator, size: int) -> dict[str, Any]:
        """See `FamilyExamples.batch`; turned in depth, scaled and mirrored at random, as released."""
        keypoints, lengths, labels = self.read(self.draw(generator, size), "keypoints", "lengths", "labels")
        keypoints = keypoints.float()
        if self.augmentation.joint_noise:
            keypoints = unsettle_joints(keypoints, self.augmentation.joint_noise, generator)
        skeletons = self._sequences(keypoints, lengths, generator)
        angles = (torch.rand(size, 3, generator=generator) * 2 - 1) * _ROTATION
        low, high = _SCALE
        factor = low + (high - low) * torch.rand(size, 3, generator=generator)
        sides = torch.where(torch.rand(size, 2, generator=generator) < 0.5, -1.0, 1.0)
        factor = factor * torch.cat([sides, torch.ones(size, 1)], dim=1)
        # The score is turned as if it were depth, as released.
        turned = torch.einsum("bij,bmjtv->bmitv", _rotations(angles), skeletons)
        return {"skeletons": turned * factor[:, None, :, None, None], "labels": labels.long()}

    @torch.no_grad()
    def evaluate(self, model: HulkForHumanAnalysis, limit: int | None = None) -> dict[str, float]:
        """Accuracy; frames are drawn as in training, with a fixed seed."""
        single = model.for_family("action")
        generator = torch.Generator().manual_seed(_EVALUATION_SEED)
        logits = []
        for rows in self.validation_rows(limit):
            keypoints, lengths = self.read_validation(rows, "keypoints", "lengths")
            skeletons = self._sequences(keypoints, lengths, generator)
            logits.append(single(skeletons.to(model.device), task=self.task.name).logits.float().cpu().numpy())
        return self._figures(np.concatenate(logits), limit)

    def baseline(self, limit: int | None = None) -> dict[str, float]:
        """Classes by how frequent they are in training."""
        counts = np.bincount(self.train["labels"], minlength=self.task.num_labels).astype(np.float64)
        return self._figures(np.stack([counts] * len(self.limited("labels", limit))), limit)

    def _figures(self, logits: np.ndarray, limit: int | None) -> dict[str, float]:
        labels = self.limited("labels", limit)
        return {
            "top1": top_k_accuracy(logits, labels, 1),
            "top5": top_k_accuracy(logits, labels, 5),
            "mean_class": mean_class_accuracy(logits, labels),
        }

    def _sequences(self, keypoints: torch.Tensor, lengths: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Normalised sequences (B, 2, 3, frames, 17) of clips (B, 2, T, 17, 3)."""
        frames = sample_frames(lengths.long(), self.segments, self.run, generator)
        index = frames[:, None, :, None, None].expand(-1, keypoints.shape[1], -1, *keypoints.shape[3:])
        normalised = normalise_clips(keypoints.float(), lengths.long())
        return normalised.gather(2, index).permute(0, 1, 4, 2, 3)


def normalise_clips(keypoints: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Bring the joints of clips to -1..1, by the smallest and largest place of all joints that were found.

    Args:
        keypoints: Shape (B, M, T, V, 3): x and y in pixels, and score.
        lengths: Shape (B,), frames of each clip; later ones are not looked at.

    Returns:
        The same shape; joints that were not found are 0. A clip whose joints do not reach over 10 pixels both ways
        keeps its pixels, as released.
    """
    places, scores = keypoints[..., :2], keypoints[..., 2:]
    there = torch.arange(keypoints.shape[2])[None, :] < lengths[:, None]
    found = (scores > SCORE_FLOOR) & there[:, None, :, None, None]
    low = torch.where(found, places, torch.inf).amin(dim=(1, 2, 3), keepdim=True)
    high = torch.where(found, places, -torch.inf).amax(dim=(1, 2, 3), keepdim=True)
    extent = high - low
    large = (extent > _SMALLEST_RANGE).all(dim=-1, keepdim=True)
    scaled = torch.where(large, (places - low) / extent.clamp(min=1e-6) * 2 - 1, places)
    return torch.cat([torch.where(found, scaled, 0.0), scores], dim=-1)


def sample_frames(lengths: torch.Tensor, segments: int, run: int, generator: torch.Generator) -> torch.Tensor:
    """Draw a frame out of each segment of each clip, and the frames that follow it up to the end of the clip.

    Clips that are shorter than twice the number of segments: a random increasing choice of frames; shorter than it:
    frames that follow each other from a random one on, from the start again at the end.

    Args:
        lengths: Shape (B,), frames of each clip.
        segments: How many segments.
        run: Frames per segment.
        generator: All randomness comes from here.

    Returns:
        Frame numbers (B, segments * run).
    """
    batch = len(lengths)
    count = lengths[:, None]
    order = torch.arange(segments)[None]
    # Segment s reaches from s T / S to (s + 1) T / S.
    first, last = order * count // segments, (order + 1) * count // segments
    width = (last - first).clamp(min=1)
    spread = first + (torch.rand(batch, segments, generator=generator) * width).long()
    start = (torch.rand(batch, 1, generator=generator) * count).long()
    wrapped = (start + order) % count
    # A random increasing choice: the frames with the smallest random numbers, in order.
    draws = torch.rand(batch, max(int(lengths.max()), segments), generator=generator)
    draws = draws.masked_fill(torch.arange(draws.shape[1])[None] >= count, 2.0)
    chosen = draws.argsort(dim=1)[:, :segments].sort(dim=1).values
    starts = torch.where(count < segments, wrapped, torch.where(count < 2 * segments, chosen, spread))
    frames = (starts[..., None] + torch.arange(run)).flatten(1)
    return torch.minimum(frames, count - 1)


def _rotations(angles: torch.Tensor) -> torch.Tensor:
    """Rotations (B, 3, 3) about x, then y, then z by angles (B, 3)."""
    sin, cos, zero, one = angles.sin(), angles.cos(), torch.zeros(len(angles)), torch.ones(len(angles))
    x = torch.stack([one, zero, zero, zero, cos[:, 0], -sin[:, 0], zero, sin[:, 0], cos[:, 0]], -1)
    y = torch.stack([cos[:, 1], zero, sin[:, 1], zero, one, zero, -sin[:, 1], zero, cos[:, 1]], -1)
    z = torch.stack([cos[:, 2], -sin[:, 2], zero, sin[:, 2], cos[:, 2], zero, zero, zero, one], -1)
    first, second, third = (each.view(-1, 3, 3) for each in (x, y, z))
    return third @ second @ first


__all__ = ["ActionExamples", "normalise_clips", "sample_frames"]
