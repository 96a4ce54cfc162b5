# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Batches of training crops, each a pure function of (recipe, step, process): that is what makes runs resumable."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch.utils.data import Dataset

from hulk_hf.modeling.tasks_hulk import HulkTask
from hulk_hf.training.augmentation import make_crops
from hulk_hf.training.recipe import Recipe


class PoseBatches(Dataset):
    """Item `step` is the whole batch of optimiser step `step` for one process.

    Samples are drawn without replacement within an epoch, in an order that depends on the seed and the epoch only.

    Args:
        arrays: `images` (N, H, W, 3) uint8, `boxes` (N, 4), `keypoints` (N, K, 3), `parts` (N, H, W) uint8; may be
            memory-mapped.
        task: Gives the flip pairs.
        recipe: Gives stages, augmentation and seed.
        rank: Index of this process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        task: HulkTask,
        recipe: Recipe,
        rank: int = 0,
        world_size: int = 1,
    ):
        self.arrays = arrays
        self.task = task
        self.recipe = recipe
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return self.recipe.total_steps

    def indices(self, step: int) -> np.ndarray:
        """Which samples this process sees at a step: shape (batch_size,)."""
        before, left = 0, step
        for stage in self.recipe.stages:
            taken = min(left, stage.steps)
            before += taken * stage.batch_size * self.world_size
            left -= taken
        size = self.recipe.stage_at(step).batch_size
        positions = before + self.rank * size + np.arange(size)
        total = len(self.arrays["images"])
        epochs = positions // total
        order = {
            epoch: np.random.default_rng([self.recipe.seed, 1, epoch]).permutation(total)
            for epoch in set(epochs.tolist())
        }
        return np.array([order[epoch][position % total] for epoch, position in zip(epochs, positions, strict=True)])

    def __getitem__(self, step: int) -> dict[str, torch.Tensor]:
        rows = self.indices(step)
        seed = np.random.SeedSequence([self.recipe.seed, 2, step, self.rank]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(seed))
        columns = ("images", "boxes", "keypoints", "parts")
        batch = {name: torch.from_numpy(np.stack([self.arrays[name][row] for row in rows])) for name in columns}
        return make_crops(
            batch["images"],
            batch["boxes"],
            batch["keypoints"],
            batch["parts"],
            self.recipe.stage_at(step).image_size,
            self.task.flip_pairs,
            self.recipe.augmentation,
            generator,
        )


__all__ = ["PoseBatches"]
