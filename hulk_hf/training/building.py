# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The model of a recipe: tasks, text features, body, weights of an earlier checkpoint."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from hulk_hf.conversion.body_tables import body_from_files
from hulk_hf.conversion.mae import initialize_from_mae
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.processing_hulk import HulkProcessor
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask
from hulk_hf.registration import BUNDLED_CHECKPOINT
from hulk_hf.training.initialization import (
    initialize_from_scratch,
    set_label_features,
    settle_heads,
    spread_labels,
)
from hulk_hf.training.label_features import load_label_features
from hulk_hf.training.recipe import Recipe, TaskRecipe

SMPL_FILE = "basicModel_neutral_lbs_10_207_0_v1.0.0.pkl"
# What `start_with` says -> what the names of tensors begin with that are taken over.
_TAKEN = {"model": ("",), "encoder": ("hulk.tokenizers.", "hulk.encoder.")}
# What a model that goes on from another has of its configuration.
_KEPT_FIELDS = (
    "vision_config",
    "skeleton_config",
    "decoder_config",
    "text_feature_size",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)


def known_tasks(recipe: Recipe) -> dict[str, HulkTask]:
    """The tasks that a recipe can name: those of the synthetic people, or those of the release."""
    if recipe.data.source == "release":
        return dict(KNOWN_TASKS)
    from hulk_hf.synthetic.tasks import SYNTHETIC_TASKS

    return dict(SYNTHETIC_TASKS)


def known_settings(recipe: Recipe) -> dict[str, Any]:
    """Fields of the configuration that these tasks need."""
    if recipe.data.source == "release":
        return {}
    from hulk_hf.synthetic.tasks import SYNTHETIC_SETTINGS

    return dict(SYNTHETIC_SETTINGS)


def resolve_tasks(tasks: list[TaskRecipe], known: Mapping[str, HulkTask]) -> dict[str, HulkTask]:
    """Task descriptions of a recipe, with the input sizes, attention and loss weights it asks for, in its order.

    Args:
        tasks: Of the recipe.
        known: Tasks by name.

    Raises:
        ValueError: A task is unknown, or has no loss of the name that a weight is for.
    """
    resolved = {}
    for index, task in enumerate(tasks):
        if task.name not in known:
            raise ValueError(f"recipe.tasks.{index}.name: no task {task.name!r}, expected one of {sorted(known)}")
        own = {name: getattr(task, name) for name in ("image_size", "attention") if getattr(task, name) is not None}
        if task.loss_weights:
            own["loss_weights"] = {**(known[task.name].loss_weights or {}), **task.loss_weights}
        resolved[task.name] = dataclasses.replace(known[task.name], **own)
    return resolved


def build_model(
    recipe: Recipe, tasks: Mapping[str, HulkTask] | None = None, settings: Mapping[str, Any] | None = None
) -> HulkForHumanAnalysis:
    """Build the model of a recipe, with the weights it starts from.

    Args:
        recipe: The recipe.
        tasks: Task name -> description; None: the known tasks, at the sizes of the recipe.
        settings: Fields of the configuration; None: those that the known tasks need.

    Raises:
        ValueError: There are no features for the labels of a task, or the checkpoint to start from has other sizes.
    """
    tasks = resolve_tasks(recipe.tasks, known_tasks(recipe)) if tasks is None else tasks
    settings = known_settings(recipe) if settings is None else settings
    given = recipe.model
    features = partial(_read_features, folder=given.label_features)
    if given.start_from is not None:
        source = BUNDLED_CHECKPOINT if given.start_from == "bundled" else given.start_from
        if not Path(source).is_dir() and source.count("/") > 1:  # no name of the hub
            raise ValueError(
                f"recipe.model.start_from: no folder {source!r} here; expected the model of a run that this one goes "
                "on from (train that one first), a hub name, or 'bundled'"
            )
        earlier = HulkForHumanAnalysis.from_pretrained(source)
        there = earlier.config.default_tasks if given.start_with == "model" else ()
        families = sorted({task.family for task in tasks.values()} - set(there))
        if recipe.lora is not None and families:
            raise ValueError(
                f"recipe.lora: adapters do not learn the queries of a family, and {source} has none for {families}; "
                f"expected a checkpoint that has, or tasks of its families {sorted(there)}"
            )
        if given.decoder is not None:
            settings = {**settings, "decoder_config": given.decoder}
        model = continue_from(earlier, tasks, settings, features, _TAKEN[given.start_with])
    else:
        sizes = {"vision_config": given.vision, "decoder_config": given.decoder}
        settings = {**settings, **{name: fields for name, fields in sizes.items() if fields is not None}}
        model = HulkForHumanAnalysis(HulkConfig.preset(given.preset, tasks=list(tasks.values()), **settings))
        labels = {name: features(name) for name in _labelled(model)}
        if given.mae is None:
            initialize_from_scratch(model, labels)
        else:
            set_label_features(model, labels)
            initialize_from_mae(model, given.mae)
        _set_bodies(model)
    for name, task in model.hulk.tasks.items():
        if given.smpl is not None and task.family == "mesh" and task.body["restricted"]:
            model.set_body(name, body_from_files(Path(given.smpl) / SMPL_FILE, given.smpl))
    if given.query_tokens == "shared":
        share_queries(model)
    return model


@torch.no_grad()
def share_queries(model: HulkForHumanAnalysis) -> None:
    """Give all families the same query token, in place: what is asked for follows from places and labels alone.

    It stays as it is drawn. A token that all learn together could say no more: biases of the decoder can add to it.

    Raises:
        ValueError: A family has several patterns of queries.
    """
    tokens = model.hulk.decoder.queries
    several = [family for family, embedding in tokens.items() if embedding.num_embeddings != 1]
    if several:
        raise ValueError(f"recipe.model.query_tokens: 'shared' needs one query token per family, {several} have more")
    first = next(iter(tokens.values())).weight.clone()
    for embedding in tokens.values():
        embedding.weight.copy_(first)
        embedding.weight.requires_grad_(False)


@torch.no_grad()
def continue_from(
    earlier: HulkForHumanAnalysis,
    tasks: Mapping[str, HulkTask],
    settings: Mapping[str, Any] | None = None,
    features: Callable[[str], torch.Tensor] = load_label_features,
    parts: tuple[str, ...] = ("",),
) -> HulkForHumanAnalysis:
    """A model with other tasks that goes on from an earlier one: what they share is taken over.

    Args:
        earlier: The earlier model.
        tasks: Task name -> description, of the new model.
        settings: Fields of the configuration in which the new model differs.
        features: From the name of a new task to the features of its labels.
        parts: What the names of tensors begin with that are taken over; the default is all of them.

    Raises:
        ValueError: A tensor has another shape in the two, or there are no features for the labels of a new task.
    """
    config = earlier.config
    fields = {name: getattr(config, name) for name in _KEPT_FIELDS}
    for name, value in (settings or {}).items():
        fields[name] = {**fields[name].to_dict(), **value} if isinstance(value, Mapping) else value
    model = HulkForHumanAnalysis(HulkConfig(tasks=list(tasks.values()), **copy.deepcopy(fields)))
    new = list(tasks) if parts != ("",) else [name for name in tasks if name not in earlier.hulk.tasks]
    labels = {}
    for name, head in _labelled(model).items():
        known = getattr(earlier, head, None)
        labels[name] = features(name) if name in new or known is None else known.label_features(name)
    initialize_from_scratch(model, labels)
    _set_bodies(model)
    own = model.state_dict()
    for name, tensor in earlier.state_dict().items():
        if name not in own or not name.startswith(parts):
            continue
        if own[name].shape != tensor.shape:
            raise ValueError(
                f"recipe.model.start_from: tensor {name!r} has shape {tuple(tensor.shape)} there, expected "
                f"{tuple(own[name].shape)}"
            )
        own[name].copy_(tensor)
    set_label_features(model, labels)
    spread_labels(model, new)
    settle_heads(model, new)
    return model


def _read_features(task: str, folder: str | None) -> torch.Tensor:
    """Features of the labels of a task, from a folder or from this package."""
    if folder is None:
        return load_label_features(task)
    path = Path(folder) / f"{task}.safetensors"
    if not path.is_file():
        raise ValueError(f"recipe.model.label_features: expected a file {path} with the features of {task!r}")
    return load_file(path)["features"].float()


def _labelled(model: HulkForHumanAnalysis) -> dict[str, str]:
    """Task name -> the head that has features of its labels."""
    return {
        name: head
        for head, module in model.named_children()
        if hasattr(module, "label_features")
        for name, _ in module.label_features.named_buffers()
    }


def _set_bodies(model: HulkForHumanAnalysis) -> None:
    """Give mesh tasks of a free body its tables; those of a restricted one come from its owner."""
    from hulk_hf.synthetic.open_body import open_body

    for name, task in model.hulk.tasks.items():
        if task.family == "mesh" and not task.body["restricted"]:
            model.set_body(name, open_body())


def save_model(model: HulkForHumanAnalysis, folder: Path, tokenizer: Any = None) -> None:
    """Write a model as one folder, with the processor of its tasks.

    Args:
        model: The model.
        folder: Where to.
        tokenizer: Of its captions, if it writes some.
    """
    model.save_pretrained(folder)
    processor: Any = HulkProcessor.from_config(model.config, tokenizer)
    if set(model.config.default_tasks) == {"pose"}:  # what the stock classes of transformers find
        processor = HulkPoseImageProcessor.from_task(model.hulk.resolve_task(family="pose"))
    processor.save_pretrained(folder)


def known_tokenizer(recipe: Recipe, model: HulkForHumanAnalysis) -> Any:
    """The tokenizer of the captions of the known tasks; None where there are no captions, or those of the release."""
    if recipe.data.source == "release" or "caption" not in model.config.default_tasks:
        return None
    from hulk_hf.synthetic.captions import TOKENIZER_PATH

    return AutoTokenizer.from_pretrained(TOKENIZER_PATH)


__all__ = [
    "build_model",
    "continue_from",
    "known_settings",
    "known_tasks",
    "known_tokenizer",
    "resolve_tasks",
    "save_model",
    "share_queries",
]
