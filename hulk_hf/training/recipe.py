# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Recipes: everything that decides a training run, in one YAML file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from hulk_hf.training.augmentation import Augmentation

RECIPES_FOLDER = Path(__file__).parent / "recipes"


@dataclass
class ModelRecipe:
    """The model to train.

    Attributes:
        preset: Named size of `HulkConfig.preset`.
        task: Task to train.
        image_size: (height, width) the finished model is meant for.
        start_from: Folder or hub name of a checkpoint to continue from; None starts from random weights.
    """

    preset: str = "hulk-tiny"
    task: str = "pose-coco"
    image_size: tuple[int, int] = (256, 192)
    start_from: str | None = None


@dataclass
class DataRecipe:
    """Synthetic people, rendered once into a cache.

    Attributes:
        samples: Training pictures.
        validation_samples: Pictures of the validation split.
        seed: Of the generator.
        workers: Processes that render.
    """

    samples: int = 24000
    validation_samples: int = 400
    seed: int = 0
    workers: int = 2


@dataclass
class Stage:
    """A part of the run at one input size; a schedule from coarse to fine is a list of these.

    Attributes:
        steps: Optimiser steps.
        image_size: (height, width) of the crops, multiples of 16.
        batch_size: Crops per step and process.
    """

    steps: int = 1000
    image_size: tuple[int, int] = (256, 192)
    batch_size: int = 32


@dataclass
class OptimizerRecipe:
    """AdamW with linear warm-up and cosine decay to zero over the whole run.

    Attributes:
        learning_rate: At the peak.
        weight_decay: Not applied to biases, norms and embeddings.
        betas: Decay rates of the moments.
        warmup_steps: Steps of linear growth.
        gradient_clip: Largest norm of the gradient.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    warmup_steps: int = 300
    gradient_clip: float = 1.0


@dataclass
class ObjectiveRecipe:
    """Additions to the official loss.

    Attributes:
        emphasis: Extra weight of the pixels near a joint; 0 is the official loss.
        patch_supervision: Weight of the auxiliary loss on the memory; 0 leaves it out.
    """

    emphasis: float = 0.0
    patch_supervision: float = 0.0


@dataclass
class Recipe:
    """A training run.

    Attributes:
        name: Also the name of the output folder if none is given.
        description: For people.
        seed: Of weights, sampling and augmentation.
        log_every: Steps between lines of the log.
        evaluate_every: Steps between evaluations on the validation split.
        checkpoint_every: Steps between checkpoints.
        keep_checkpoints: How many checkpoints to keep.
    """

    name: str
    description: str = ""
    seed: int = 0
    model: ModelRecipe = field(default_factory=ModelRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    augmentation: Augmentation = field(default_factory=Augmentation)
    stages: list[Stage] = field(default_factory=lambda: [Stage()])
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    objective: ObjectiveRecipe = field(default_factory=ObjectiveRecipe)
    log_every: int = 50
    evaluate_every: int = 1000
    checkpoint_every: int = 500
    keep_checkpoints: int = 2

    @property
    def total_steps(self) -> int:
        """Optimiser steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> Stage:
        """The stage that step number `step` (from 0) belongs to."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        raise ValueError(f"step: the run has {self.total_steps} steps, there is no later one")

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain values, equal for equal runs."""
        return dataclasses.asdict(self)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        path: A YAML file, or the name of a shipped recipe such as `tiny-single-pose`.
        overrides: `key=value` with dotted keys (`data.samples=500`, `stages.0.steps=10`) and YAML values.

    Raises:
        ValueError: The file is missing, or a key or value does not fit.
    """
    file = Path(path)
    if not file.is_file():
        file = RECIPES_FOLDER / f"{path}.yaml"
    if not file.is_file():
        shipped = sorted(recipe.stem for recipe in RECIPES_FOLDER.glob("*.yaml"))
        raise ValueError(
            f"recipe: no file {str(path)!r} and no shipped recipe of that name, expected one of {shipped}"
        )
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            raise ValueError(f"override {override!r}: expected key=value")
        _assign(values, key, yaml.safe_load(value))
    return _build(Recipe, values, "recipe")


def _assign(values: Any, key: str, value: Any) -> None:
    *path, last = key.split(".")
    for part in path:
        values = values[int(part)] if isinstance(values, list) else values.setdefault(part, {})
    if isinstance(values, list):
        values[int(last)] = value
    else:
        values[last] = value


def _build(expected: Any, value: Any, where: str) -> Any:
    """Turn plain YAML values into the annotated type; errors name the place in the file."""
    if dataclasses.is_dataclass(expected):
        if not isinstance(value, dict):
            raise ValueError(f"{where}: expected a mapping, got {value!r}")
        hints = get_type_hints(expected)
        unknown = sorted(set(value) - set(hints))
        if unknown:
            raise ValueError(f"{where}: unknown keys {unknown}, expected a subset of {sorted(hints)}")
        if "name" in hints and "name" not in value:
            raise ValueError(f"{where}: the key 'name' is missing")
        return expected(**{key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()})
    if get_origin(expected) in (list, tuple):
        if not isinstance(value, list):
            raise ValueError(f"{where}: expected a list, got {value!r}")
        kinds = get_args(expected)
        if get_origin(expected) is tuple:
            if len(value) != len(kinds):
                raise ValueError(f"{where}: expected {len(kinds)} values, got {value!r}")
            return tuple(_build(kind, item, where) for kind, item in zip(kinds, value, strict=True))
        return [_build(kinds[0], item, f"{where}.{index}") for index, item in enumerate(value)]
    options = get_args(expected) or (expected,)
    if float in options and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-3 as a string
        except ValueError:
            pass
    if isinstance(value, bool) and bool not in options or not isinstance(value, options):
        raise ValueError(f"{where}: expected {expected}, got {value!r}")
    return value


__all__ = [
    "DataRecipe",
    "ModelRecipe",
    "ObjectiveRecipe",
    "OptimizerRecipe",
    "Recipe",
    "Stage",
    "load_recipe",
]
