# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Recipes: everything that decides a training run, in one YAML file."""

from __future__ import annotations

import dataclasses
import math
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

    def __post_init__(self) -> None:
        _check_image_size(self)


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

    def __post_init__(self) -> None:
        _check_positive(self, "samples", "validation_samples", "workers")
        _check_not_negative(self, "seed")


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

    def __post_init__(self) -> None:
        _check_positive(self, "steps", "batch_size")
        _check_image_size(self)


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

    def __post_init__(self) -> None:
        _check_positive(self, "learning_rate", "gradient_clip")
        _check_not_negative(self, "weight_decay", "warmup_steps")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas: expected two numbers in [0, 1), got {self.betas!r}")


@dataclass
class ObjectiveRecipe:
    """Additions to the official loss.

    Attributes:
        emphasis: Extra weight of the pixels near a joint; 0 is the official loss.
        patch_supervision: Weight of the auxiliary loss on the memory; 0 leaves it out.
    """

    emphasis: float = 0.0
    patch_supervision: float = 0.0

    def __post_init__(self) -> None:
        _check_not_negative(self, "emphasis", "patch_supervision")


@dataclass
class Recipe:
    """A training run.

    Attributes:
        name: Also the name of the output folder if none is given.
        description: For people.
        seed: Of weights, sampling and augmentation.
        mixed_precision: `none` or `bf16`, where weights and optimiser stay in float32. (Accelerate says `no`, which is
            a truth value in YAML.)
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
    mixed_precision: str = "none"
    log_every: int = 50
    evaluate_every: int = 1000
    checkpoint_every: int = 500
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        _check_positive(self, "log_every", "evaluate_every", "checkpoint_every", "keep_checkpoints")
        _check_not_negative(self, "seed")
        if self.mixed_precision not in ("none", "bf16"):
            raise ValueError(f"mixed_precision: expected 'none' or 'bf16', got {self.mixed_precision!r}")
        if not self.stages:
            raise ValueError("stages: expected at least one stage, got an empty list")
        _check_augmentation(self.augmentation)

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
    values = _parse(file.read_text(encoding="utf-8"), f"recipe {str(file)!r}")
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            raise ValueError(f"override {override!r}: expected key=value")
        _assign(values, key, _parse(value, f"override {override!r}"))
    return _build(Recipe, values, "recipe")


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: expected YAML; {error}") from error


def _assign(values: Any, key: str, value: Any) -> None:
    """Set the place that a dotted key names; its parents may be missing, but not of another kind."""
    path = key.split(".")
    for depth, part in enumerate(path):
        where = ".".join(["recipe", *path[:depth]])
        place: Any = part
        if isinstance(values, list):
            if not part.isdecimal() or int(part) >= len(values):
                raise ValueError(f"override {key!r}: {where} has {len(values)} items, counted from 0; got {part!r}")
            place = int(part)
        elif not isinstance(values, dict):
            raise ValueError(f"override {key!r}: {where} is the value {values!r} and has nothing named {part!r}")
        if depth == len(path) - 1:
            values[place] = value
        else:
            values = values[place] if isinstance(values, list) else values.setdefault(place, {})


def _check_positive(part: Any, *names: str) -> None:
    for name in names:
        value = getattr(part, name)
        if not 0 < value < math.inf:
            raise ValueError(f"{name}: expected a positive number, got {value!r}")


def _check_not_negative(part: Any, *names: str) -> None:
    for name in names:
        value = getattr(part, name)
        if not 0 <= value < math.inf:
            raise ValueError(f"{name}: expected a number that is not negative, got {value!r}")


def _check_image_size(part: ModelRecipe | Stage) -> None:
    if not all(side > 0 and side % 16 == 0 for side in part.image_size):
        raise ValueError(f"image_size: expected positive multiples of 16, got {part.image_size!r}")


def _check_augmentation(augmentation: Augmentation) -> None:
    smallest, largest = augmentation.scale
    if not 0 < smallest <= largest < math.inf:
        raise ValueError(f"augmentation.scale: expected two positive numbers in order, got {augmentation.scale!r}")
    for name in ("shift", "rotation", "colour"):
        value = getattr(augmentation, name)
        if not 0 <= value < math.inf:
            raise ValueError(f"augmentation.{name}: expected a number that is not negative, got {value!r}")
    for name in ("rotation_probability", "flip_probability", "erase_probability"):
        value = getattr(augmentation, name)
        if not 0 <= value <= 1:
            raise ValueError(f"augmentation.{name}: expected a probability in [0, 1], got {value!r}")


def _build(expected: Any, value: Any, where: str) -> Any:
    """Turn plain YAML values into the annotated type; errors name the place in the file."""
    if dataclasses.is_dataclass(expected):
        if not isinstance(value, dict):
            raise ValueError(f"{where}: expected a mapping, got {value!r}")
        hints = get_type_hints(expected)
        unknown = sorted(set(value) - set(hints), key=str)
        if unknown:
            raise ValueError(f"{where}: unknown keys {unknown}, expected a subset of {sorted(hints)}")
        if "name" in hints and "name" not in value:
            raise ValueError(f"{where}: the key 'name' is missing")
        values = {key: _build(hints[key], item, f"{where}.{key}") for key, item in value.items()}
        try:
            return expected(**values)
        except ValueError as error:
            raise ValueError(f"{where}.{error}") from error
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
