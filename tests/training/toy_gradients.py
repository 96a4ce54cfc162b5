# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Prints the gradient that a step of a toy model leaves: `python toy_gradients.py OUTPUT`, in any number of processes.

Three tasks share a trunk, and each has a head of its own that the others do not use.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace

import torch
from accelerate import PartialState
from torch import nn

from hulk_hf.training.gradients import SlotGradients
from hulk_hf.training.loop import make_accelerator
from hulk_hf.training.recipe import Recipe, TaskRecipe
from hulk_hf.training.slots import SlotBatch, StepBatches

# A mean over samples; one over all boxes of the task; one whose sum the release divides by all pairs.
FAMILIES = {"a-toy": "attributes", "b-toy": "detection", "c-toy": "parsing"}
TASKS = [TaskRecipe("a-toy", 3, 1, 5.0), TaskRecipe("b-toy", 2, 3, 0.25), TaskRecipe("c-toy", 4, 2, 40.0)]


class Toy(nn.Module):
    """A linear trunk and a head per task."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Linear(4, 4)
        self.heads = nn.ModuleDict({name: nn.Linear(4, 1) for name in FAMILIES})

    def forward(self, task: str, batch: dict) -> dict[str, torch.Tensor]:
        errors = self.heads[task](torch.tanh(self.trunk(batch["x"])))[:, 0] ** 2
        divisor = batch.get("num_boxes", batch.get("num_pairs"))
        if divisor is None:
            return {"loss": errors.mean()}
        return {"loss": (errors * batch["counts"]).sum() / divisor}


class ToyExamples:
    """Random points; each stands for 0 to 3 boxes or pairs."""

    def __init__(self, name: str):
        self.name = name

    def batch(self, generator: torch.Generator, size: int) -> dict:
        counts = torch.randint(4, (size,), generator=generator).float()
        return {"x": torch.randn(size, 4, generator=generator), "counts": counts}

    def normaliser(self, batch: dict) -> float | None:
        return None if self.name == "a-toy" else float(batch["counts"].sum())


def toy_recipe() -> Recipe:
    return Recipe("toy", TASKS)


def step_gradients(step: int) -> dict[str, torch.Tensor]:
    """The gradients of a step as training takes it."""
    recipe = toy_recipe()
    accelerator = make_accelerator(recipe)
    examples = {name: ToyExamples(name) for name in FAMILIES}
    batches = StepBatches(recipe, [examples], accelerator.process_index, accelerator.num_processes)
    toy = Toy()
    parts = accelerator.prepare(toy)
    described = {name: SimpleNamespace(name=name, family=family) for name, family in FAMILIES.items()}
    SlotGradients(accelerator, parts, TASKS, described)(batches[step])
    return {name: parameter.grad for name, parameter in toy.named_parameters()}


def all_slots(step: int) -> list[SlotBatch]:
    """The slots of all processes."""
    return StepBatches(toy_recipe(), [{name: ToyExamples(name) for name in FAMILIES}])[step]


def main() -> None:
    gradients = step_gradients(3)
    if PartialState().is_main_process:
        torch.save(gradients, sys.argv[1])
    # A process that leaves while the threads of its group still run is aborted now and then.
    PartialState().wait_for_everyone()
    PartialState().destroy_process_group()


if __name__ == "__main__":
    main()
