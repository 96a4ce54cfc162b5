# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Recipes: shipped ones load, wrong ones say where they are wrong."""

from __future__ import annotations

import pytest

from hulk_hf.training.recipe import RECIPES_FOLDER, load_recipe


@pytest.mark.parametrize("path", sorted(RECIPES_FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_load_by_name(path):
    recipe = load_recipe(path.stem)
    assert recipe.name == path.stem
    assert recipe.total_steps == sum(stage.steps for stage in recipe.stages) > 0
    assert all(side % 16 == 0 for stage in recipe.stages for side in stage.image_size)


def test_overrides_reach_nested_keys_and_list_items():
    recipe = load_recipe("tiny-single-pose", ["data.samples=7", "stages.0.steps=3", "optimizer.learning_rate=2e-4"])
    assert (recipe.data.samples, recipe.stages[0].steps, recipe.optimizer.learning_rate) == (7, 3, 2e-4)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.sample=7", r"recipe\.data: unknown keys \['sample'\]"),
        ("data.samples=many", r"recipe\.data\.samples: expected .*int.*'many'"),
        ("stages=3", r"recipe\.stages: expected a list"),
        ("augmentation.scale=[1]", r"recipe\.augmentation\.scale: expected 2 values"),
        ("seed", r"expected key=value"),
    ],
)
def test_wrong_values_name_their_place(override, message):
    with pytest.raises(ValueError, match=message):
        load_recipe("tiny-single-pose", [override])


def test_unknown_recipe_lists_the_shipped_ones():
    with pytest.raises(ValueError, match="tiny-single-pose"):
        load_recipe("no-such-recipe")


def test_stages_follow_each_other():
    recipe = load_recipe("tiny-single-pose", ["stages=[{steps: 2, batch_size: 4}, {steps: 3, batch_size: 8}]"])
    assert [recipe.stage_at(step).batch_size for step in range(5)] == [4, 4, 8, 8, 8]
    with pytest.raises(ValueError, match="5 steps"):
        recipe.stage_at(5)
