# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What each family learns from and is judged by: batches of synthetic people, and figures on the validation split."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from hulk_hf.modeling.tasks_hulk import HulkTask
from hulk_hf.synthetic.dataset import render_arrays, render_scene_arrays
from hulk_hf.synthetic.motion import sample_clip_arrays
from hulk_hf.synthetic.tasks import SCENE_SIZE
from hulk_hf.training.augmentation import Augmentation
from hulk_hf.training.examples.action import ActionExamples
from hulk_hf.training.examples.attributes import AttributeExamples
from hulk_hf.training.examples.base import Arrays, FamilyExamples
from hulk_hf.training.examples.caption import CaptionExamples
from hulk_hf.training.examples.detection import DetectionExamples
from hulk_hf.training.examples.mesh import MeshExamples
from hulk_hf.training.examples.parsing import ParsingExamples
from hulk_hf.training.examples.pose import PoseExamples
from hulk_hf.training.recipe import DataRecipe

_FAMILIES: dict[str, type[FamilyExamples]] = {
    "pose": PoseExamples,
    "parsing": ParsingExamples,
    "detection": DetectionExamples,
    "attributes": AttributeExamples,
    "action": ActionExamples,
    "mesh": MeshExamples,
    "caption": CaptionExamples,
}
# Family -> field of the recipe that says how many samples of training there are.
_COUNTS = {"detection": "scenes", "action": "clips"}


def build_examples(
    task: HulkTask,
    data: DataRecipe,
    cache: str | Path,
    seed: int = 0,
    augmentation: Augmentation | None = None,
    progress: bool = False,
    validation_split: str = "validation",
) -> FamilyExamples:
    """Render (or find) the data of a task.

    Args:
        task: The task, at the input size that is wanted.
        data: How many samples, of which seed of the generator.
        cache: Folder that all runs share.
        seed: Of the run. All randomness of batches comes from their generator, so that nothing depends on it.
        augmentation: How training pictures are changed; None: the default of the family.
        progress: Show a bar while rendering.
        validation_split: What `evaluate` looks at, `validation` or `test`.
    """
    train, validation = (
        _arrays(task, data, split, count, cache, progress)
        for split, count in (
            ("train", getattr(data, _COUNTS.get(task.family, "samples"))),
            (validation_split, data.validation_samples),
        )
    )
    return _FAMILIES[task.family](task, train, validation, augmentation)


def _arrays(task: HulkTask, data: DataRecipe, split: str, count: int, cache: str | Path, progress: bool) -> Arrays:
    """Columns of a split, memory-mapped."""
    arrays: object
    if task.family == "action":
        arrays = sample_clip_arrays(split, count, data.seed, cache, progress)
    elif task.family == "detection":
        arrays = render_scene_arrays(
            split, count, data.seed, data.workers, cache, image_size=SCENE_SIZE, progress=progress
        )
    else:
        arrays = render_arrays(split, count, data.seed, data.workers, cache, progress=progress)
    return {field.name: getattr(arrays, field.name) for field in fields(arrays)}


__all__ = ["FamilyExamples", "build_examples"]
