# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Models of one task beside the joint one: they had the same steps, and the report says what it compares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hulk_hf.experiments.single_tasks import check_same_steps, write_report
from hulk_hf.training.recipe import RECIPES_FOLDER, load_recipe

SINGLES = sorted(file.stem for file in RECIPES_FOLDER.glob("tiny-single-*.yaml") if file.stem != "tiny-single-pose")


def stored(folder: Path, name: str, *overrides: str) -> Path:
    """A run as far as its recipe goes."""
    folder.mkdir()
    (folder / "recipe.json").write_text(json.dumps(load_recipe(name, overrides).to_dict()))
    return folder


def test_recipes_of_one_task_are_those_of_the_joint_run():
    joint = load_recipe("tiny-joint-more").to_dict()
    own = {task["name"]: task for task in joint["tasks"]}
    for name in SINGLES:
        recipe = load_recipe(name).to_dict()
        (task,) = recipe["tasks"]
        assert {**task, "weight": None} == {**own.pop(task["name"]), "weight": None}
        for key in ("seed", "stages", "optimizer", "mixed_precision", "augmentation", "ema"):
            assert recipe[key] == joint[key], key
        assert recipe["model"]["start_from"] == "runs/tiny-joint/model"
    assert not own


def test_runs_with_other_steps_are_refused(tmp_path):
    joint = stored(tmp_path / "joint", "tiny-joint-more")
    pose, mesh = (stored(tmp_path / name, f"tiny-single-{name}") for name in ("pose-more", "mesh"))
    check_same_steps(joint, [pose, mesh])
    short = stored(tmp_path / "short", "tiny-single-mesh", "stages.0.steps=900")
    refused = r"alone: .*short has .* \(900, \[12\], \[None\]\) of 'mesh-open', expected \(1000, \[12\], \[None\]\)"
    with pytest.raises(ValueError, match=refused):
        check_same_steps(joint, [pose, short])
    with pytest.raises(ValueError, match="of 'pose-coco', expected None"):
        check_same_steps(mesh, [pose])
    elsewhere = stored(tmp_path / "elsewhere", "tiny-single-mesh", "model.start_from=runs/other/model")
    check_same_steps(joint, [elsewhere])  # "bundled" is whatever was bundled then
    again = stored(tmp_path / "again", "tiny-joint-more", "model.start_from=runs/tiny-joint/model")
    with pytest.raises(ValueError, match="started from 'runs/other/model', expected 'runs/tiny-joint/model' as in"):
        check_same_steps(again, [pose, elsewhere])


def test_the_report_has_all_three_answers():
    answers = {"no look": {"OKS": 0.2, "n": 7}, "alone": {"OKS": 0.45}, "joint": {"OKS": 0.5}}
    report = write_report({"pose-coco": answers}, "together", "runs/start/model", 1000)
    assert (
        "| pose-coco | OKS | 7 | 0.200 | 0.450 | 0.500 |" in report
        and "`runs/start/model`, with one task only: 1,000 steps" in report
    )
