# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Recipes: everything that decides a training run, in one YAML file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hulk_hf.modeling.configuration_hulk import HulkDecoderConfig, HulkVisionConfig
from hulk_hf.training.augmentation import Augmentation
from hulk_hf.training.typed_yaml import build, read_yaml

RECIPES_FOLDER = Path(__file__).parent / "recipes"


@dataclass
class ModelRecipe:
    """The model to train; its tasks are those of the recipe.

    Attributes:
        preset: Named size of `HulkConfig.preset`; not read where a checkpoint is given.
        start_from: Folder or hub name of a checkpoint, or `bundled`, that of this package. What it holds is taken
            over, sizes included; parts of tasks that it does not have start new. None starts from random weights.
        start_with: What is taken over from it: `model`; or `encoder`, tokenizers and encoder alone.
        vision: Fields of `HulkVisionConfig` that differ from those of the preset.
        decoder: Fields of `HulkDecoderConfig` that differ from those of the preset, such as `modality_embedding`.
        query_tokens: `family`, a learned token for each family, as in the paper; or `shared`, the same for all,
            which is not learned.
        mae: File of an MAE checkpoint that encoder and image tokenizer start from, as in the release; all else then
            starts as the release has it. None: the start of `hulk_hf.training.initialization`.
        label_features: Folder of `{task}.safetensors`, each with `features` (K, text_feature_size); None: those that
            come with this package.
        smpl: Folder of the files of the SMPL body (`hulk_hf.conversion.body_tables.body_from_files`), which mesh tasks
            of the release need.
    """

    preset: str = "hulk-tiny"
    start_from: str | None = None
    start_with: str = "model"
    vision: dict[str, Any] | None = None
    decoder: dict[str, Any] | None = None
    query_tokens: str = "family"
    mae: str | None = None
    label_features: str | None = None
    smpl: str | None = None

    def __post_init__(self) -> None:
        if self.query_tokens not in ("family", "shared"):
            raise ValueError(f"query_tokens: expected 'family' or 'shared', got {self.query_tokens!r}")
        if self.start_with not in ("model", "encoder"):
            raise ValueError(f"start_with: expected 'model' or 'encoder', got {self.start_with!r}")
        for name, known in (("vision", HulkVisionConfig()), ("decoder", HulkDecoderConfig())):
            if unknown := sorted(set(getattr(self, name) or {}) - set(vars(known))):
                raise ValueError(f"{name}: no field {unknown[0]!r}, expected fields of {type(known).__name__}")
        for name in ("vision",) if self.start_with == "encoder" else ("vision", "decoder"):
            if self.start_from is not None and getattr(self, name) is not None:
                raise ValueError(f"{name}: expected None beside start_from, whose sizes are taken over")
        if self.start_from is not None and self.mae is not None:
            raise ValueError(f"mae: expected None beside start_from {self.start_from!r}, got {self.mae!r}")


@dataclass
class TaskRecipe:
    """A task of a run. An optimiser step has `slots` batches of it, whose mean loss is weighed by `weight`.

    Attributes:
        name: Of a task of `hulk_hf.synthetic.tasks`, or of the release, see `DataRecipe.source`.
        batch_size: Samples per slot.
        slots: Slots per optimiser step, over all processes.
        weight: Of the loss. Only ratios between tasks matter to the optimisers of this package.
        image_size: (height, width) of the input in multiples of 16; None: that of the task.
        attention: What context tokens see in the decoder, `full` or `diagonal`; None: as the task has it.
        loss_weights: Of the terms of the loss that shall weigh otherwise than the task has it.
        drop_path_rate: Stochastic depth of the last encoder layer in this task; None: that of the model.
        augmentation: How its training samples are changed; None: as the recipe says.
    """

    name: str
    batch_size: int = 32
    slots: int = 1
    weight: float = 1.0
    image_size: tuple[int, int] | None = None
    attention: str | None = None
    loss_weights: dict[str, float] | None = None
    drop_path_rate: float | None = None
    augmentation: Augmentation | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "batch_size", "slots", "weight")
        _check_image_size(self)
        _check_augmentation(self.augmentation)
        if self.attention not in (None, "full", "diagonal"):
            raise ValueError(f"attention: expected 'full' or 'diagonal', got {self.attention!r}")
        for term, weight in (self.loss_weights or {}).items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise ValueError(f"loss_weights: expected a number >= 0 for {term!r}, got {weight!r}")
        if self.drop_path_rate is not None and not 0 <= self.drop_path_rate < 1:
            raise ValueError(f"drop_path_rate: expected a number in [0, 1), got {self.drop_path_rate!r}")


@dataclass
class DataRecipe:
    """Where samples come from; synthetic people are rendered once into a cache.

    Attributes:
        source: `synthetic`; or `release`, the tasks and data sets of the release. This package does not read those:
            `train` has to be given a builder of their examples.
        samples: Training pictures of one person, which all tasks that look at one person share.
        scenes: Training pictures of several people.
        clips: Training sequences of moving people.
        validation_samples: Samples of the validation split, per task.
        seed: Of the generator.
        workers: Processes that render.
    """

    source: str = "synthetic"
    samples: int = 24000
    scenes: int = 4000
    clips: int = 20000
    validation_samples: int = 400
    seed: int = 0
    workers: int = 2

    def __post_init__(self) -> None:
        if self.source not in ("synthetic", "release"):
            raise ValueError(f"source: expected 'synthetic' or 'release', got {self.source!r}")
        _check_positive(self, "samples", "scenes", "clips", "validation_samples", "workers")
        _check_not_negative(self, "seed")


@dataclass
class Stage:
    """A part of the run; a schedule from coarse to fine is a list of these.

    Attributes:
        steps: Optimiser steps.
        image_size: In place of that of the task, for recipes of one task.
        batch_size: In place of that of the task, for recipes of one task.
    """

    steps: int = 1000
    image_size: tuple[int, int] | None = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "steps")
        if self.batch_size is not None:
            _check_positive(self, "batch_size")
        _check_image_size(self)


@dataclass
class OptimizerRecipe:
    """Optimiser, with linear warm-up and cosine decay to zero over the whole run.

    Attributes:
        name: `adamw`; `muon`, which needs PyTorch 2.9; or `adafactor` as released (`hulk_hf.training.optimizer`).
        learning_rate: At the peak.
        initial_learning_rate: At step 0; None: the peak divided by `warmup_steps`.
        warmup_steps: Steps of linear growth.
        weight_decay: Not applied to biases, norms and modality embeddings.
        layer_decay: The rate of each encoder layer is this times that of the next one; None: all have the same.
        betas: Decay rates of the moments; `adafactor` reads the first, `muon` both where it is AdamW.
        gradient_clip: Largest norm of the gradient; None: no limit.
    """

    name: str = "adamw"
    learning_rate: float = 1e-3
    initial_learning_rate: float | None = None
    warmup_steps: int = 300
    weight_decay: float = 0.05
    layer_decay: float | None = None
    betas: tuple[float, float] = (0.9, 0.98)
    gradient_clip: float | None = 1.0

    def __post_init__(self) -> None:
        if self.name not in ("adamw", "muon", "adafactor"):
            raise ValueError(f"name: expected 'adamw', 'muon' or 'adafactor', got {self.name!r}")
        _check_positive(self, "learning_rate")
        _check_not_negative(self, "weight_decay", "warmup_steps")
        for name in ("initial_learning_rate", "layer_decay", "gradient_clip"):
            if getattr(self, name) is not None:
                _check_positive(self, name)
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas: expected two numbers in [0, 1), got {self.betas!r}")


@dataclass
class ObjectiveRecipe:
    """Additions to the official losses.

    Attributes:
        emphasis: Extra weight of the pixels near a joint, for pose tasks; 0 is the official loss.
        patch_supervision: Weight of an auxiliary loss on the memory of pose tasks; 0 leaves it out.
        pixel_supervision: Weight of the cross-entropy of the part of every cell, for parsing tasks; 0 leaves it out.
            The official loss looks only at masks of parts that are in a picture.
        loss_scale: Constant that all losses are divided by: official weights reach 56,000.
    """

    emphasis: float = 0.0
    patch_supervision: float = 0.0
    pixel_supervision: float = 0.0
    loss_scale: float = 1.0

    def __post_init__(self) -> None:
        _check_not_negative(self, "emphasis", "patch_supervision", "pixel_supervision")
        _check_positive(self, "loss_scale")


@dataclass
class LoraRecipe:
    """An adapter in a frozen model, see `hulk_hf.adapters.add_adapter`.

    Attributes:
        rank: Of the update of each weight.
        alpha: The update is scaled by alpha / rank.
        dropout: In front of the adapters.
        target_modules: Regular expression of the modules to adapt; None: queries and values of every attention.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    target_modules: str | None = None

    def __post_init__(self) -> None:
        _check_positive(self, "rank", "alpha")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: expected a number in [0, 1), got {self.dropout!r}")


@dataclass
class Recipe:
    """A training run.

    Attributes:
        name: Also the name of the output folder if none is given.
        tasks: What is learned together.
        description: For people.
        seed: Of weights, sampling and augmentation.
        augmentation: How training samples are changed, whatever the task; None: as is usual for its family.
        lora: Train adapters instead of the trunk.
        ema: Decay of a moving average of the weights, which is what is evaluated and saved; None: no average.
        gradient_checkpointing: Compute the layers of the encoder again in the backward pass instead of keeping them.
        mixed_precision: `none` or `bf16`, where weights and optimiser stay in float32. (Accelerate says `no`, which is
            a truth value in YAML.)
        data_workers: Processes that make batches ahead; 0: the training process makes them.
        log_every: Steps between lines of the log.
        evaluate_every: Steps between evaluations on the validation split; None: only at the end.
        checkpoint_every: Steps between checkpoints.
        keep_checkpoints: How many checkpoints to keep.
    """

    name: str
    tasks: list[TaskRecipe]
    description: str = ""
    seed: int = 0
    model: ModelRecipe = field(default_factory=ModelRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    augmentation: Augmentation | None = None
    stages: list[Stage] = field(default_factory=lambda: [Stage()])
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    objective: ObjectiveRecipe = field(default_factory=ObjectiveRecipe)
    lora: LoraRecipe | None = None
    ema: float | None = None
    gradient_checkpointing: bool = False
    mixed_precision: str = "none"
    data_workers: int = 0
    log_every: int = 50
    evaluate_every: int | None = 1000
    checkpoint_every: int = 500
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        _check_positive(self, "log_every", "checkpoint_every", "keep_checkpoints")
        if self.evaluate_every is not None:
            _check_positive(self, "evaluate_every")
        _check_not_negative(self, "seed", "data_workers")
        if self.mixed_precision not in ("none", "bf16"):
            raise ValueError(f"mixed_precision: expected 'none' or 'bf16', got {self.mixed_precision!r}")
        if self.lora is not None and self.model.start_from is None:
            raise ValueError("lora: adapters need a trained trunk, expected a checkpoint as model.start_from")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema: expected a decay between 0 and 1, got {self.ema!r}")
        names = [task.name for task in self.tasks]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"tasks: expected at least one task, each once, got {names}")
        if not self.stages:
            raise ValueError("stages: expected at least one stage, got an empty list")
        if len(names) > 1 and any(stage.image_size or stage.batch_size for stage in self.stages):
            raise ValueError(
                "stages: image_size and batch_size of a stage are for recipes of one task, expected them with the "
                f"tasks; this recipe has {names}"
            )
        _check_augmentation(self.augmentation)

    @property
    def total_steps(self) -> int:
        """Optimiser steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage_at(self, step: int) -> int:
        """Index of the stage that step number `step` (from 0) belongs to."""
        for index, stage in enumerate(self.stages):
            if step < stage.steps:
                return index
            step -= stage.steps
        raise ValueError(f"step: the run has {self.total_steps} steps, there is no later one")

    def tasks_at(self, stage: int) -> list[TaskRecipe]:
        """The tasks with the sizes that a stage gives them."""
        own = {"image_size": self.stages[stage].image_size, "batch_size": self.stages[stage].batch_size}
        changes = {name: value for name, value in own.items() if value is not None}
        return [dataclasses.replace(task, **changes) for task in self.tasks]

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
    return build(Recipe, read_yaml(file.read_text(encoding="utf-8"), overrides, f"recipe {str(file)!r}"), "recipe")


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


def _check_image_size(part: TaskRecipe | Stage) -> None:
    if part.image_size is not None and not all(side > 0 and side % 16 == 0 for side in part.image_size):
        raise ValueError(f"image_size: expected positive multiples of 16, got {part.image_size!r}")


def _check_augmentation(augmentation: Augmentation | None) -> None:
    if augmentation is None:
        return
    smallest, largest = augmentation.scale
    if not 0 < smallest <= largest < math.inf:
        raise ValueError(f"augmentation.scale: expected two positive numbers in order, got {augmentation.scale!r}")
    for name in ("shift", "rotation", "colour", "joint_noise"):
        value = getattr(augmentation, name)
        if not 0 <= value < math.inf:
            raise ValueError(f"augmentation.{name}: expected a number that is not negative, got {value!r}")
    for name in ("rotation_probability", "flip_probability", "erase_probability", "bystander_probability"):
        value = getattr(augmentation, name)
        if not 0 <= value <= 1:
            raise ValueError(f"augmentation.{name}: expected a probability in [0, 1], got {value!r}")


__all__ = [
    "DataRecipe",
    "LoraRecipe",
    "ModelRecipe",
    "ObjectiveRecipe",
    "OptimizerRecipe",
    "Recipe",
    "Stage",
    "TaskRecipe",
    "load_recipe",
]
