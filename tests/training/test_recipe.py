# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Recipes: shipped ones load, wrong ones say where they are wrong."""

from __future__ import annotations

import pytest

from hulk_hf.training.building import known_tasks, resolve_tasks
from hulk_hf.training.recipe import RECIPES_FOLDER, Recipe, Stage, TaskRecipe, load_recipe


@pytest.mark.parametrize("path", sorted(RECIPES_FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_load_by_name(path):
    recipe = load_recipe(path.stem)
    assert recipe.name == path.stem
    assert recipe.total_steps == sum(stage.steps for stage in recipe.stages) > 0
    tasks = resolve_tasks(recipe.tasks, known_tasks(recipe))
    assert all(side % 16 == 0 for task in tasks.values() for side in task.image_size)
    assert load_recipe(path).to_dict() == recipe.to_dict()


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
        ("tasks.0.image_size=[-16, 16]", r"recipe\.tasks\.0\.image_size: expected positive multiples"),
        ("tasks.0.slots=0", r"recipe\.tasks\.0\.slots: expected a positive number, got 0"),
        ("tasks.0.weight=0", r"recipe\.tasks\.0\.weight: expected a positive"),
        ("tasks.0.loss_weights={heatmap: -1}", r"recipe\.tasks\.0\.loss_weights: expected a number >= 0 .*, got -1"),
        ("tasks.0.loss_weights={heatmap: .nan}", r"recipe\.tasks\.0\.loss_weights: .* for 'heatmap', got nan"),
        ("tasks.0.loss_weights={heatmap: true}", r"recipe\.tasks\.0\.loss_weights: .* for 'heatmap', got True"),
        ("tasks.0.batch=3", r"recipe\.tasks\.0: unknown keys \['batch'\], expected a subset of \['attention'"),
        ("tasks.0.drop_path_rate=1", r"recipe\.tasks\.0\.drop_path_rate: expected a number in \[0, 1\), got 1"),
        ("tasks.0.augmentation={shift: -1}", r"recipe\.tasks\.0\.augmentation\.shift: expected"),
        ("tasks=[{slots: 2}]", r"recipe\.tasks\.0: the key 'name' is missing"),
        ("tasks=[]", r"recipe\.tasks: expected at least one task, each once, got \[\]"),
        ("tasks=[{name: a-b}, {name: a-b}]", r"recipe\.tasks: expected .* each once, got \['a-b', 'a-b'\]"),
        ("data.source=web", r"recipe\.data\.source: expected 'synthetic' or 'release', got 'web'"),
        ("optimizer.name=sgd", r"recipe\.optimizer\.name: expected 'adamw', 'muon' or 'adafactor', got 'sgd'"),
        ("optimizer.layer_decay=0", r"recipe\.optimizer\.layer_decay: expected a positive"),
        ("objective.loss_scale=0", r"recipe\.objective\.loss_scale: expected a positive"),
        ("ema=1", r"recipe\.ema: expected a decay between 0 and 1, got 1"),
        ("lora={rank: 0}", r"recipe\.lora\.rank: expected a positive"),
        ("lora={dropout: 1}", r"recipe\.lora\.dropout: expected a number in \[0, 1\)"),
        ("mixed_precision=fp8", r"recipe\.mixed_precision: expected 'none' or 'bf16', got 'fp8'"),
        ("data_workers=-1", r"recipe\.data_workers: expected .* not negative"),
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
    recipe = load_recipe("tiny-single-pose", ["stages=[{steps: 2, batch_size: 4}, {steps: 3, image_size: [64, 48]}]"])
    assert [recipe.stage_at(step) for step in range(5)] == [0, 0, 1, 1, 1]
    first, second = (recipe.tasks_at(stage)[0] for stage in range(2))
    assert (first.batch_size, first.image_size) == (4, (128, 96))
    assert (second.batch_size, second.image_size) == (32, (64, 48))
    with pytest.raises(ValueError, match="5 steps"):
        recipe.stage_at(5)


def test_a_recipe_made_in_python_is_checked_too():
    with pytest.raises(ValueError, match=r"^steps: expected a positive number, got 0"):
        Stage(steps=0)
    with pytest.raises(ValueError, match=r"^stages: expected at least one"):
        Recipe("x", [TaskRecipe("pose-coco")], stages=[])
    with pytest.raises(ValueError, match=r"^stages: image_size and batch_size .* recipes of one task, .*'b-x'"):
        Recipe("x", [TaskRecipe("a-x"), TaskRecipe("b-x")], stages=[Stage(3, batch_size=4)])


def test_unknown_tasks_are_named_with_the_known_ones():
    recipe = load_recipe("tiny-single-pose", ["tasks.0.name=pose-aic"])
    with pytest.raises(ValueError, match=r"recipe\.tasks\.0\.name: no task 'pose-aic', expected one of .*pose-coco"):
        resolve_tasks(recipe.tasks, known_tasks(recipe))
    released = load_recipe("tiny-single-pose", ["tasks.0.name=pose-aic", "data.source=release"])
    assert resolve_tasks(released.tasks, known_tasks(released))["pose-aic"].image_size == (128, 96)


def test_a_file_that_is_no_mapping_is_named(tmp_path):
    file = tmp_path / "list.yaml"
    file.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(ValueError, match=r"recipe: expected a mapping, got \[1, 2\]"):
        load_recipe(file)
    file.write_text("name: [", encoding="utf-8")
    with pytest.raises(ValueError, match=r"recipe '.*list\.yaml': expected YAML"):
        load_recipe(file)


@pytest.mark.parametrize("part", ["vision", "decoder"])
def test_fields_that_a_part_of_the_model_does_not_have_are_refused(part):
    with pytest.raises(ValueError, match=rf"{part}: no field 'hiden_size', expected fields of Hulk\w+Config"):
        load_recipe("paper-joint", [f"model={{{part}: {{hiden_size: 8}}}}"])
