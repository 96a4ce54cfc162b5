# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Recipes: shipped ones load, wrong ones say where they are wrong."""

from __future__ import annotations

import pytest

from hulk_hf.training.recipe import RECIPES_FOLDER, Recipe, Stage, load_recipe


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
        ("stages=[{", r"override 'stages=\[\{': expected YAML"),
        ("stages.5.steps=3", r"override 'stages\.5\.steps': recipe\.stages has 1 items, counted from 0; got '5'"),
        ("stages.x.steps=3", r"override 'stages\.x\.steps': recipe\.stages has 1 items, .* got 'x'"),
        ("stages.-1.steps=3", r"override 'stages\.-1\.steps': recipe\.stages"),
        ("stages.5={}", r"override 'stages\.5': recipe\.stages"),
        ("name.foo=3", r"override 'name\.foo': recipe\.name is the value 'tiny-single-pose' .* named 'foo'"),
        ("model.preset.a.b=3", r"override 'model\.preset\.a\.b': recipe\.model\.preset is the value"),
        ("log_every=0", r"recipe\.log_every: expected a positive number, got 0"),
        ("evaluate_every=-1", r"recipe\.evaluate_every: expected a positive"),
        ("checkpoint_every=0", r"recipe\.checkpoint_every: expected a positive"),
        ("keep_checkpoints=0", r"recipe\.keep_checkpoints: expected a positive"),
        ("seed=-1", r"recipe\.seed: expected .* not negative, got -1"),
        ("stages=[]", r"recipe\.stages: expected at least one stage"),
        ("stages.0.steps=0", r"recipe\.stages\.0\.steps: expected a positive"),
        ("stages.0.batch_size=0", r"recipe\.stages\.0\.batch_size: expected a positive"),
        ("stages.0.image_size=[128, 90]", r"recipe\.stages\.0\.image_size: expected .*16, got \(128, 90\)"),
        ("stages.0.image_size=[0, 96]", r"recipe\.stages\.0\.image_size: expected positive multiples"),
        ("model.image_size=[-16, 16]", r"recipe\.model\.image_size: expected positive multiples"),
        ("data.samples=0", r"recipe\.data\.samples: expected a positive"),
        ("data.validation_samples=0", r"recipe\.data\.validation_samples: expected a positive"),
        ("data.workers=0", r"recipe\.data\.workers: expected a positive"),
        ("augmentation.scale=[1.1, 0.9]", r"recipe\.augmentation\.scale: .* in order, got \(1\.1, 0\.9\)"),
        ("augmentation.scale=[0, 1]", r"recipe\.augmentation\.scale: expected two positive"),
        ("augmentation.rotation_probability=1.5", r"recipe\.augmentation\.rotation_probability: .* \[0, 1\]"),
        ("augmentation.flip_probability=-0.1", r"recipe\.augmentation\.flip_probability: .* \[0, 1\]"),
        ("augmentation.erase_probability=.nan", r"recipe\.augmentation\.erase_probability: .* \[0, 1\]"),
        ("augmentation.shift=-1", r"recipe\.augmentation\.shift: expected"),
        ("optimizer.betas=[0.9, 1]", r"recipe\.optimizer\.betas: .* \[0, 1\), got \(0\.9, 1\.0\)"),
        ("optimizer.learning_rate=.inf", r"recipe\.optimizer\.learning_rate: expected a positive"),
        ("optimizer.warmup_steps=-1", r"recipe\.optimizer\.warmup_steps: expected .* not negative"),
        ("objective.emphasis=-1", r"recipe\.objective\.emphasis: expected .* not negative"),
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


def test_a_recipe_made_in_python_is_checked_too():
    with pytest.raises(ValueError, match=r"^steps: expected a positive number, got 0"):
        Stage(steps=0)
    with pytest.raises(ValueError, match=r"^stages: expected at least one"):
        Recipe("x", stages=[])


def test_a_file_that_is_no_mapping_is_named(tmp_path):
    file = tmp_path / "list.yaml"
    file.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"recipe: expected a mapping, got \[1, 2\]"):
        load_recipe(file)
    file.write_text("name: [", encoding="utf-8")
    with pytest.raises(ValueError, match=r"recipe '.*list\.yaml': expected YAML"):
        load_recipe(file)
