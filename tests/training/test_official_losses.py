# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Recorded training steps of the official code, taken by the training path: losses and the norms of all gradients."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from torch import nn

from hulk_hf.conversion.parity import Subject, compare_gradients, loss_report
from hulk_hf.conversion.recordings import read_recording
from hulk_hf.conversion.verify import verify_recording
from hulk_hf.modeling.modeling_action_hulk import HulkForActionRecognition
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.modeling_attributes_hulk import HulkForAttributeRecognition
from hulk_hf.modeling.modeling_caption_hulk import HulkForCaptioning
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection
from hulk_hf.modeling.modeling_mesh_hulk import HulkForMeshRecovery
from hulk_hf.modeling.modeling_parsing_hulk import HulkForHumanParsing
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.tasks_hulk import OFFICIAL_TASK_IDS
from hulk_hf.training.gradients import SlotGradients
from hulk_hf.training.loop import make_accelerator
from hulk_hf.training.objective import JointTraining
from hulk_hf.training.recipe import ObjectiveRecipe, Recipe, TaskRecipe
from hulk_hf.training.slots import SlotBatch

CLASSES = (
    HulkForActionRecognition,
    HulkForAttributeRecognition,
    HulkForCaptioning,
    HulkForPedestrianDetection,
    HulkForMeshRecovery,
    HulkForHumanParsing,
    HulkForPoseEstimation,
)


def recorded_step(path, monkeypatch) -> SimpleNamespace:
    """The model and the batch that a recording is compared with elsewhere."""
    seen = []
    for kind in CLASSES:

        def spy(self, *args, _forward=kind.forward, **kwargs):
            names = ("pixel_values",) if args else ()
            seen.append((self, {**dict(zip(names, args, strict=True)), **kwargs}))
            return _forward(self, *args, **kwargs)

        monkeypatch.setattr(kind, "forward", spy)
    report = verify_recording(path)
    assert report.passed
    monkeypatch.undo()
    model, batch = next(call for call in seen if call[1].get("labels") is not None)
    return SimpleNamespace(model=model, task=model.hulk.resolve_task(batch.pop("task")), batch=batch)


def normaliser(family: str, batch: dict) -> float | None:
    if family == "parsing":
        return float(batch["points"].shape[1])
    if family == "detection":
        return float(sum((~row["iscrowd"].bool() & (row["area"] > 0)).sum() for row in batch["labels"]))
    return None


@pytest.mark.parametrize("number", [0, 2, 3, 4, 5, 7, 8, 9, 17, 18, 19], ids=OFFICIAL_TASK_IDS.get)
def test_a_recorded_step_through_the_training_path(number, shared, monkeypatch):
    path = shared / "golden" / f"golden_tiny_task{number}_a_loss.safetensors"
    step, recording = recorded_step(path, monkeypatch), read_recording(path)
    name = step.task.name
    universal = HulkForHumanAnalysis(step.model.config)
    adopt(universal, step.model)
    universal.zero_grad()
    recipe = Recipe("recorded", [TaskRecipe(name, weight=56.0)], objective=ObjectiveRecipe(loss_scale=56.0))
    accelerator = make_accelerator(recipe)
    parts = accelerator.prepare(JointTraining(universal, recipe)).train()
    gradients = SlotGradients(accelerator, parts, recipe.tasks, {name: step.task}, recipe.objective.loss_scale)
    terms = gradients([SlotBatch(name, 0, step.batch, normaliser(step.task.family, step.batch))])

    expected = recording.field("total_loss_sum_of_terms_with_loss_in_name")
    assert terms["loss"] == pytest.approx(expected, rel=1e-5, abs=1e-4)
    report = loss_report(Subject(universal, step.task))
    compare_gradients(recording, Subject(universal, step.task), report)
    assert report.passed, [comparison for comparison in report.comparisons if not comparison.passed]
    assert len(report.comparisons) > 20


def adopt(universal: HulkForHumanAnalysis, single: nn.Module) -> None:
    """Take over the modules of a class of one family, with the tables that a body put there."""
    for name, module in single.named_children():
        assert hasattr(universal, name)
        setattr(universal, name, module)
    assert {name for name, _ in universal.named_parameters()} == {name for name, _ in single.named_parameters()}
