# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a recipe may add to the losses of the model: each addition by hand, and nothing where it is not asked for."""

from __future__ import annotations

import math

import pytest
import torch
from made_up_examples import TASKS, MadeUp, small_model

from hulk_hf.training.objective import JointTraining, emphasise_positives, pixel_loss
from hulk_hf.training.recipe import ObjectiveRecipe, Recipe, TaskRecipe


def test_emphasis_weighs_pixels_near_a_joint():
    labels = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3)
    weights = emphasise_positives(labels, torch.tensor([[2.0]]), 5.0)
    assert weights.flatten().tolist() == [2.0, 7.0, 12.0]


def test_the_part_of_a_cell_is_that_next_to_its_middle():
    labels = torch.full((1, 8, 4), 255)
    labels[0, 1, 1], labels[0, 5, 1] = 2, 255
    maps = torch.zeros(1, 3, 2, 1)
    maps[0, 2, 0, 0] = math.log(8)
    # One cell counts: three logits 0, 0, log 8 with the last right.
    assert pixel_loss(maps, labels).item() == pytest.approx(-math.log(8 / 10))
    labels[0, 5, 1] = 0
    assert pixel_loss(maps, labels).item() == pytest.approx((-math.log(8 / 10) + math.log(3)) / 2)


@pytest.mark.parametrize(
    ("task", "field", "term"),
    [("pose-small", "patch_supervision", "patches"), ("parsing-small", "pixel_supervision", "pixels")],
)
def test_additions_come_on_top_of_the_official_loss(task, field, term):
    batch = MadeUp(TASKS[task]).batch(torch.Generator().manual_seed(0), 3)
    if task == "parsing-small":
        batch["generator"] = torch.Generator().manual_seed(1)
    terms = []
    for objective in (ObjectiveRecipe(), ObjectiveRecipe(**{field: 0.25})):
        torch.manual_seed(0)
        module = JointTraining(small_model(), Recipe("x", [TaskRecipe(task)], objective=objective)).eval()
        if "generator" in batch:
            batch["generator"].manual_seed(1)
        terms.append(module(task, batch))
    plain, added = terms
    assert term not in plain and added[term] > 0
    torch.testing.assert_close(added["loss"], plain["loss"] + 0.25 * added[term])
    added["loss"].backward()
