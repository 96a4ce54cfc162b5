# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Slots: the gradient of a step is the official one, whoever computes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from toy_gradients import FAMILIES, TASKS, Toy, ToyExamples, all_slots, step_gradients, toy_recipe

from hulk_hf.training.recipe import TaskRecipe
from hulk_hf.training.slots import StepBatches, coefficients, micro_steps, normaliser_arguments

FOLDER = Path(__file__).parent


def official_gradients(step: int) -> dict[str, torch.Tensor]:
    """The sum of training.md 2.4, written down: each rank has a slot, backward of w_t / n_t times its loss, sums.

    Detection divides by the boxes of the task over its ranks, parsing by the pairs of the task.
    """
    toy = Toy()
    slots = all_slots(step)
    total = 0.0
    for task in TASKS:
        own = [slot for slot in slots if slot.task == task.name]
        assert len(own) == task.slots
        everything = sum(float(slot.batch["counts"].sum()) for slot in own)
        for slot in own:
            outputs = toy.heads[task.name](torch.tanh(toy.trunk(slot.batch["x"])))[:, 0] ** 2
            if FAMILIES[task.name] == "attributes":
                loss = outputs.sum() / len(outputs)
            elif FAMILIES[task.name] == "detection":
                loss = (outputs * slot.batch["counts"]).sum() / (everything / task.slots)
            else:
                loss = (outputs * slot.batch["counts"]).sum() / everything
            total = total + task.weight / task.slots * loss
    total.backward()
    return {name: parameter.grad for name, parameter in toy.named_parameters()}


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert gradient.abs().max() > 1e-3
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6)


def test_one_process_with_six_micro_steps_has_the_official_gradient():
    assert_same(step_gradients(3), official_gradients(3))


@pytest.mark.distributed
@pytest.mark.parametrize("processes", [2, 3])
def test_more_processes_have_the_official_gradient(processes, tmp_path):
    """In the last micro-step of two processes only the last task runs: what earlier ones used must count as used."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    command += ["--nproc_per_node", str(processes), str(FOLDER / "toy_gradients.py"), str(tmp_path / "gradients.pt")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same(torch.load(tmp_path / "gradients.pt"), official_gradients(3))


def test_what_a_slot_holds_does_not_depend_on_the_processes():
    examples = {name: ToyExamples(name) for name in FAMILIES}
    whole = all_slots(5)
    for world_size in (2, 3):
        shares = [StepBatches(toy_recipe(), [examples], rank, world_size)[5] for rank in range(world_size)]
        joined = [shares[number % world_size][number // world_size] for number in range(len(whole))]
        for one, other in zip(whole, joined, strict=True):
            assert one.task == other.task and one.seed == other.seed
            assert torch.equal(one.batch["x"], other.batch["x"])
    seeds = {slot.seed for step in range(20) for slot in all_slots(step)}
    assert len(seeds) == 20 * len(whole)
    assert not torch.equal(whole[1].batch["x"], whole[2].batch["x"]), "slots of one task differ"


def test_processes_that_cannot_share_the_slots_are_refused():
    assert micro_steps(TASKS, 3) == 2
    with pytest.raises(ValueError, match=r"recipe\.tasks: 6 slots cannot be shared equally by 4 processes"):
        micro_steps(TASKS, 4)


def test_coefficients_are_those_of_the_release():
    tasks = [TaskRecipe("a-x", slots=78), TaskRecipe("pose-coco", slots=2, weight=28000.0)]
    assert coefficients(tasks, 1e4)["pose-coco"] == pytest.approx(80 * 28000 / 2 / 1e4)


def test_only_families_that_divide_by_something_take_a_normaliser():
    assert normaliser_arguments(SimpleNamespace(name="d", family="detection"), 12.0, 4) == {"num_boxes": 3.0}
    assert normaliser_arguments(SimpleNamespace(name="p", family="parsing"), 12.0, 4) == {"num_pairs": 12.0}
    with pytest.raises(ValueError, match=r"family 'pose' of task 'pose-x' has none"):
        normaliser_arguments(SimpleNamespace(name="pose-x", family="pose"), 12.0, 4)
