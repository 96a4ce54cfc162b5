# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Stratified slots: how the tasks of a recipe share the processes and micro-steps of an optimiser step.

A slot is one batch of one task. A step runs all slots of the recipe, `slots` of each task, spread over W processes and
A micro-steps (A * W slots). DDP averages gradients over processes and Accelerate over micro-steps, so the loss of a
slot of task t gets the coefficient A * W * w_t / n_t, and the gradient of the step is the official one,

    sum over t of (w_t / n_t) * sum over the slots of t of the gradient of its loss,

however many processes share the work. What a slot holds depends on the seed of the recipe, the step and the number of
the slot, and on nothing else: runs can be resumed, on another number of processes too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import Dataset

from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.tasks_hulk import HulkTask
from hulk_hf.training.recipe import Recipe, TaskRecipe


class Examples(Protocol):
    """The data of one task."""

    task: HulkTask

    def batch(self, generator: torch.Generator, size: int) -> dict[str, Any]:
        """Keyword arguments of the class of the family, labels included: a pure function of the generator."""
        ...

    def normaliser(self, batch: Mapping[str, Any]) -> float | None:
        """What a mean over all slots of the task divides by: boxes to find, pairs of picture and part; or None."""
        ...

    def evaluate(self, model: HulkForHumanAnalysis, limit: int | None = None) -> dict[str, float]:
        """Figures on the validation split, the main one first."""
        ...


@dataclass
class SlotBatch:
    """A slot with its data.

    Attributes:
        task: Name of the task.
        seed: Of the randomness inside the model.
        batch: Keyword arguments of the class of the family.
        normaliser: Of this slot alone.
    """

    task: str
    seed: int
    batch: dict[str, Any]
    normaliser: float | None


class StepBatches(Dataset):
    """Item `step` is the list of slots that one process runs in that optimiser step, one per micro-step.

    Slots of one task are neighbours, so that processes have similar work in a micro-step.

    Args:
        recipe: Gives tasks, stages and seed.
        examples: For every stage, task name -> its data.
        rank: Index of this process.
        world_size: Number of processes.

    Raises:
        ValueError: The slots cannot be shared equally.
    """

    def __init__(self, recipe: Recipe, examples: Sequence[Mapping[str, Examples]], rank: int = 0, world_size: int = 1):
        self.recipe = recipe
        self.examples = examples
        self.micro_steps = micro_steps(recipe.tasks, world_size)
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        return self.recipe.total_steps

    def __getitem__(self, step: int) -> list[SlotBatch]:
        return [self.slot(step, micro * self.world_size + self.rank) for micro in range(self.micro_steps)]

    def slot(self, step: int, number: int) -> SlotBatch:
        """Make slot `number` (counted over all processes) of a step."""
        stage = self.recipe.stage_at(step)
        task = [task for task in self.recipe.tasks_at(stage) for _ in range(task.slots)][number]
        data_seed, model_seed = np.random.SeedSequence([self.recipe.seed, step, number]).generate_state(2, np.uint64)
        examples = self.examples[stage][task.name]
        batch = examples.batch(torch.Generator().manual_seed(int(data_seed)), task.batch_size)
        return SlotBatch(task.name, int(model_seed) % 2**32, batch, examples.normaliser(batch))


def micro_steps(tasks: Sequence[TaskRecipe], world_size: int) -> int:
    """Micro-steps per optimiser step.

    Raises:
        ValueError: The processes would not all have the same number.
    """
    slots = sum(task.slots for task in tasks)
    if slots % world_size:
        raise ValueError(
            f"recipe.tasks: {slots} slots cannot be shared equally by {world_size} processes, expected a multiple; "
            "change `slots` or the number of processes"
        )
    return slots // world_size


def coefficients(tasks: Sequence[TaskRecipe], scale: float = 1.0) -> dict[str, float]:
    """What the loss of a slot is multiplied by, by task: A * W * w_t / n_t, over a common constant."""
    slots = sum(task.slots for task in tasks)
    return {task.name: slots * task.weight / task.slots / scale for task in tasks}


def sum_normalisers(slots: Iterable[SlotBatch]) -> dict[str, float]:
    """The normalisers of some slots by task, for tasks that have one."""
    sums: dict[str, float] = {}
    for slot in slots:
        if slot.normaliser is not None:
            sums[slot.task] = sums.get(slot.task, 0.0) + slot.normaliser
    return sums


def normaliser_arguments(task: HulkTask, total: float, slots: int) -> dict[str, float]:
    """The argument of the model's forward that makes a loss exact over all slots of a task.

    Detection divides by the mean number of boxes per slot, which makes the mean over slots the mean over all boxes.
    Parsing divides by all pairs, as released: after the mean over slots, mask and dice weigh 1 / n_t of what their
    weight says. For the 80 slots of the official recipe that is the official gradient; recipes of one slot see nothing
    of it.

    Args:
        task: The task.
        total: Sum of the normalisers of all its slots of this step.
        slots: Number of its slots.
    """
    if task.family == "detection":
        return {"num_boxes": total / slots}
    if task.family == "parsing":
        return {"num_pairs": total}
    raise ValueError(f"normaliser: family {task.family!r} of task {task.name!r} has none, expected None")


__all__ = [
    "Examples",
    "SlotBatch",
    "StepBatches",
    "coefficients",
    "micro_steps",
    "normaliser_arguments",
    "sum_normalisers",
]
