# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The bundled checkpoint: small, complete, with the figures that README and card show."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import hulk_hf
from hulk_hf.figures import format_figures
from hulk_hf.modeling.tasks_hulk import FAMILIES, KNOWN_TASKS
from hulk_hf.synthetic.dataset import SyntheticPersons
from hulk_hf.task_figures import format_tasks
from hulk_hf.training.bundle import file_hash
from hulk_hf.training.evaluation import mean_pose, place_mean_pose, pose_figures, predict_poses
from hulk_hf.training.recipe import Recipe, load_recipe
from hulk_hf.training.typed_yaml import build

BUNDLE = Path(hulk_hf.BUNDLED_CHECKPOINT)


@pytest.fixture(scope="module")
def training() -> dict:
    return json.loads((BUNDLE / "training.json").read_text(encoding="utf-8"))


def test_it_is_small_and_links_to_every_source_that_travels(root):
    assert (BUNDLE / "model.safetensors").stat().st_size <= 25e6
    sources = {path.name for path in (root / "modeling").glob("*_hulk.py")}
    linked = {path.name for path in BUNDLE.glob("*.py")}
    assert linked == sources
    for name in linked:
        assert os.readlink(BUNDLE / name) == f"../../../modeling/{name}"


def test_readme_and_card_show_the_measured_figures(root, training):
    for table in (format_tasks(training["tasks"]), format_figures(training["figures"])):
        assert table in (root / "README.md").read_text(encoding="utf-8")
        assert table in (BUNDLE / "README.md").read_text(encoding="utf-8")


def test_the_figures_are_of_these_weights(training):
    assert file_hash(BUNDLE / "model.safetensors") == training["sha256"]


def test_it_knows_every_family():
    assert set(hulk_hf.HulkConfig.from_pretrained(BUNDLE).default_tasks) == set(FAMILIES)
    model = hulk_hf.HulkForHumanAnalysis.from_pretrained(BUNDLE)
    assert sum(parameter.numel() for parameter in model.parameters()) <= 12e6
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_it_was_trained_with_the_shipped_recipes(training):
    """One after the other, each from what the one before left."""
    first, *others = training["runs"]
    assert first["recipe"]["model"]["start_from"] is None
    assert all(run["recipe"]["model"]["start_from"] == "bundled" for run in others)
    for run in training["runs"]:
        # Fields that recipes have got since then have the values that mean what they did before; words may change.
        shipped = load_recipe(run["recipe"]["name"])
        assert build(Recipe, {**run["recipe"], "description": shipped.description}, "recipe") == shipped
        assert run["seconds"] * run["machine"]["processes"] <= 2.5 * 3600 * 2, "two and a half hours of two cores"


def test_the_pipeline_without_a_model_is_the_bundled_one():
    pipe = transformers.pipeline("human-pose")
    assert pipe.model.config.task("pose").labels == KNOWN_TASKS["pose-coco"].labels
    persons = pipe(np.zeros((64, 48, 3), np.uint8))
    assert len(persons) == 1 and len(persons[0]["keypoints"]) == 17


def test_it_finds_rendered_people_better_than_the_mean_pose():
    """Thirty people of the test split; the margin is what the committed table shows for a thousand, less noise."""
    people = SyntheticPersons("test", 30, seed=7)
    samples = [people[index] for index in range(len(people))]
    data = {
        "boxes": np.stack([sample["bbox"] for sample in samples]).astype(np.float32),
        "keypoints": np.stack([sample["keypoints"] for sample in samples]),
        "areas": np.array([sample["area"] for sample in samples]),
    }
    model = hulk_hf.HulkForPoseEstimation.from_pretrained(BUNDLE).eval()
    task = model.config.task("pose")
    joints, scores = predict_poses(model, [sample["image"] for sample in samples], data["boxes"], task.image_size)
    found = pose_figures(joints, scores, data, task.sigmas)["OKS"]
    placed = place_mean_pose(mean_pose(data["keypoints"], data["boxes"]), data["boxes"])
    trivial = pose_figures(placed, np.ones(placed.shape[:2]), data, task.sigmas)["OKS"]
    assert found > trivial + 0.05
