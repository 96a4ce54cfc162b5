# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The table of all tasks: which models it compares, on the same samples."""

from __future__ import annotations

import pytest

from hulk_hf import HulkConfig, HulkForPoseEstimation, task_figures
from hulk_hf.training.building import build_model, save_model
from hulk_hf.training.recipe import DataRecipe, Recipe, TaskRecipe


@pytest.fixture
def few(monkeypatch) -> None:
    monkeypatch.setattr(task_figures, "BASELINE_DATA", DataRecipe(samples=8, scenes=4, clips=12))


def test_a_joint_model_is_put_beside_models_of_one_task(tmp_path, few):
    pose, action = TaskRecipe("pose-coco", image_size=(64, 48)), TaskRecipe("action-synthetic")
    for name, tasks in (("joint", [pose, action]), ("alone", [action])):
        save_model(build_model(Recipe(name, tasks)), tmp_path / name)
    figures = task_figures.compare_tasks(tmp_path / "joint", [tmp_path / "alone"], 6, cache=tmp_path, progress=False)
    assert {task: list(row) for task, row in figures.items()} == {
        "pose-coco": ["no look", "joint"],
        "action-synthetic": ["no look", "alone", "joint"],
    }
    assert all(row["no look"]["n"] == 6 for row in figures.values())
    for row in figures.values():
        assert all(0 <= value <= 1 for answer in row.values() for name, value in answer.items() if name != "n")
    # An answer that does not look is beaten by random weights in nothing but luck.
    assert figures["pose-coco"]["no look"]["OKS"] > figures["pose-coco"]["joint"]["OKS"]
    lines = task_figures.format_tasks(figures).splitlines()
    assert lines[0] == "| task | figure | n | no look | alone | joint |"
    (joints,) = (line for line in lines if line.startswith("| pose-coco | OKS | 6 | "))
    assert joints.count("|  |") == 1, "no model of pose alone"
    again = task_figures.compare_tasks(tmp_path / "alone", samples=6, cache=tmp_path, progress=False)
    assert again["action-synthetic"]["joint"] == figures["action-synthetic"]["alone"]
    assert "alone" not in task_figures.format_tasks(again)


def test_a_model_of_other_tasks_is_refused(tmp_path, few):
    HulkForPoseEstimation(HulkConfig.preset("hulk-tiny", tasks=["pose-aic"])).save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match=r"checkpoint: expected a task of \['action-synthetic'.* got \['pose-aic'\]"):
        task_figures.compare_tasks(tmp_path / "other", cache=tmp_path)
