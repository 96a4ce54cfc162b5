# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The experiments on claims of the paper: which runs an arm has, and what the report says of their figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hulk_hf.experiments import paper
from hulk_hf.training.building import build_model, share_queries
from hulk_hf.training.recipe import Recipe, TaskRecipe, load_recipe

RESULTS: paper.Results = {
    "joint": {"pose-coco": {0: 0.5, 1: 0.6, 2: 0.7}, "parsing-lip": {0: 0.2, 1: 0.2, 2: 0.2}},
    "alone": {"pose-coco": {0: 0.4, 1: 0.5, 2: 0.6001}, "parsing-lip": {0: 0.1, 1: 0.3, 2: 0.2}},
}


def test_arms_differ_in_what_they_say_and_in_nothing_else():
    base = load_recipe(paper.RECIPE).to_dict()
    for arm in paper.ARMS:
        ((_, overrides),) = paper.runs_of(arm).items()
        changed = load_recipe(paper.RECIPE, overrides).to_dict()
        different = {key for key in base if base[key] != changed[key]}
        assert different == ({"tasks"} if "attention" in arm else set() if arm == "joint" else {"model"})
    alone = [load_recipe(paper.RECIPE, overrides) for overrides in paper.runs_of("alone").values()]
    assert [recipe.tasks[0].name for recipe in alone] == [task["name"] for task in base["tasks"]]
    for recipe, task in zip(alone, base["tasks"], strict=True):
        assert len(recipe.tasks) == 1 and recipe.total_steps == load_recipe(paper.RECIPE).total_steps
        own = recipe.to_dict()["tasks"][0]
        assert {key: own[key] for key in own if key != "weight"} == {key: task[key] for key in task if key != "weight"}


def test_the_arms_build_what_they_name():
    models = {
        arm: build_model(load_recipe(paper.RECIPE, overrides))
        for arm in paper.ARMS
        for overrides in paper.runs_of(arm).values()
    }
    decoders = {arm: model.hulk.decoder for arm, model in models.items()}
    shared = [embedding.weight for embedding in decoders["one query token for all families"].queries.values()]
    assert len(shared) == 4 and all((weight == shared[0]).all() and not weight.requires_grad for weight in shared)
    own = [embedding.weight for embedding in decoders["joint"].queries.values()]
    assert all(weight.requires_grad for weight in own) and (own[0] != own[1]).any()
    assert not hasattr(decoders["joint"], "modality_indicators")
    assert set(decoders["modality embeddings as well"].modality_indicators) >= {"image", "skeleton", "pose"}
    patterns = {
        arm: {task.family: task.attention for task in model.hulk.tasks.values()} for arm, model in models.items()
    }
    assert patterns["joint"] == {"pose": "full", "parsing": "diagonal", "attributes": "diagonal", "action": "diagonal"}
    assert set(patterns["all attention full"].values()) == {"full"}
    assert set(patterns["all attention diagonal"].values()) == {"diagonal"}


def test_patterns_of_anchors_cannot_share_a_token():
    model = build_model(Recipe("x", [TaskRecipe("pose-coco")]))
    model.hulk.decoder.queries["pose"].num_embeddings = 3
    with pytest.raises(ValueError, match=r"'shared' needs one query token per family, \['pose'\] have more"):
        share_queries(model)


def test_finished_arms_are_not_trained_again(tmp_path, monkeypatch):
    trained = []

    def train(recipe, folder, cache, progress):
        trained.append((folder.name, recipe.seed, recipe.total_steps))
        (folder / "model").mkdir(parents=True)
        lines = [
            {"step": step, "task": task.name, "validation": {"main": recipe.seed + step / 100, "other": -1.0}}
            for step in (2, 4)
            for task in recipe.tasks
        ]
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    monkeypatch.setattr(paper, "train", train)
    again = [
        paper.run_experiment(tmp_path, [0, 1], ["joint", "alone"], Path("cache"), ["stages.0.steps=4"])
        for _ in range(2)
    ]
    assert again[0] == again[1] and len(trained) == 2 * (1 + 4)
    assert trained[0] == ("joint-seed0", 0, 4) and ("alone-parsing-lip-seed1", 1, 4) in trained
    assert again[0]["alone"]["action-synthetic"] == {0: 0.04, 1: 1.04}


def test_differences_are_taken_by_seed():
    gaps = paper.differences(RESULTS, "joint", "alone")
    # Student's t of two degrees of freedom: 4.303.
    assert gaps["pose-coco"] == (pytest.approx(0.2999 / 3), pytest.approx(4.3027 * 1e-4 / 3, rel=1e-4))
    assert gaps["parsing-lip"] == (pytest.approx(0.0), pytest.approx(4.3027 * 0.1 / 3**0.5, rel=1e-4))
    other = paper.differences(RESULTS, "alone", "joint")
    assert other["pose-coco"][0] < -other["pose-coco"][1]


def test_the_report_says_which_claims_show_up():
    report = paper.write_report(RESULTS)
    assert "| task | figure | joint | alone |" in report
    assert "| pose-coco | OKS | 0.600 ± 0.100 | 0.500 ± 0.100 |" in report
    assert "(`joint` minus `alone`): pose-coco +0.100 ± 0.000, parsing-lip +0.000 ± 0.248. It shows up" in report
    assert "It shows up in pose-coco. Nothing is told apart in parsing-lip." in report
    assert "query token" not in report, "there is no such arm"
    assert "Of 1 claims, 1 show up in some task here, and of 0 the opposite does." in report
    swapped = paper.write_report({"joint": RESULTS["alone"], "alone": RESULTS["joint"]})
    assert "The opposite shows up in pose-coco." in swapped
    assert "Of 1 claims, 0 show up in some task here, and of 1 the opposite does." in swapped
    single = {arm: {"pose-coco": {0: 0.5}} for arm in ("joint", "alone")}
    assert "pose-coco +0.000 ± inf. Nothing is told apart in pose-coco." in paper.write_report(single)


def test_claims_are_about_arms():
    assert {arm for _, better, other in paper.CLAIMS for arm in (better, other)} == {*paper.ARMS, "alone"}
