# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Model cards that say what can be read from a model, how it is loaded, and nothing else."""

from __future__ import annotations

from typing import Any

import transformers

from hulk_hf.conversion.published_families import ALL_FAMILIES, PUBLISHED_FAMILIES, published_families
from hulk_hf.modeling.tasks_hulk import HulkTask

_FOLDER = "path/of/this/folder"
_MANY_LABELS = 40


def front_matter(model: transformers.PreTrainedModel) -> str:
    """The YAML that the hub reads: licence, library, task and tags of a card.

    Args:
        model: A Hulk model.
    """
    families = published_families(model)
    tags = ["custom_code", "hulk", *(PUBLISHED_FAMILIES[family].tag for family in families)]
    # A card has room for one task: that of the labels which transformers' own pipelines would give.
    first = "image-feature-extraction"
    if families:
        first = PUBLISHED_FAMILIES["pose" if "pose" in families else families[0]].pipeline_tag
    lines = ["---", "license: apache-2.0", "library_name: transformers", f"pipeline_tag: {first}", "tags:"]
    return "\n".join([*lines, *(f"- {tag}" for tag in tags), "---", ""])


def default_card(model: transformers.PreTrainedModel) -> str:
    """A model card that says what can be read from the model itself.

    Args:
        model: A Hulk model.
    """
    trunk: Any = getattr(model, "hulk", model)
    vision, decoder = model.config.vision_config, model.config.decoder_config
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    rows = "\n".join(_row(model, task) for _, task in sorted(trunk.tasks.items()))
    return f"""{front_matter(model)}
# Hulk

A Hulk model for transformers with {parameters:.1f} M parameters: encoder {vision.num_hidden_layers} layers of width
{vision.hidden_size}, decoder {decoder.num_hidden_layers} layers of width {decoder.hidden_size}. This card was written
by the export and says only what the configuration says; it makes no statement on training data or accuracy.

| task | family | input | labels |
|---|---|---|---|
{rows}
{_bodies(trunk.tasks.values())}
With the package `hulk-hf` installed:

```python
{_snippet(model, installed=True)}
```

Without it, the sources in this folder are used:

```python
{_snippet(model, installed=False)}
```
"""


def _row(model: transformers.PreTrainedModel, task: HulkTask) -> str:
    skeleton: Any = model.config.skeleton_config
    size = f"{task.image_size[0]}x{task.image_size[1]} pixels"
    if task.input == "skeleton":
        size = f"{skeleton.num_frames} frames of {skeleton.num_joints} joints"
    elif task.queries == "anchor":
        size = f"up to {size}"
    labels = ", ".join(task.labels)
    if task.queries == "token":
        labels = f"vocabulary of {task.num_labels} words"
    elif task.num_labels > _MANY_LABELS:
        labels = f"{task.num_labels}, see `tasks` in config.json"
    return f"| `{task.name}` | {task.family} | {size} | {labels} |"


def _bodies(tasks: Any) -> str:
    """What has to be said of the body models of mesh tasks, a paragraph for each."""
    told = ""
    for task in tasks:
        if task.body is not None:
            name = task.body.get("name", "its own")
            terms = task.body.get("license")
            if task.body.get("restricted"):
                told += (
                    f"\nThe tables of the body model of `{task.name}` have a licence of their own and are not part of "
                    "this folder: `model.set_body` puts them in.\n"
                )
            else:
                told += f"\nThe tables of the body model of `{task.name}` ({name}"
                told += f", {terms}) are part of this folder.\n" if terms else ") are part of this folder.\n"
    return told


def _snippet(model: transformers.PreTrainedModel, installed: bool) -> str:
    """Code that loads the model, and runs it once where nothing else is needed for that."""
    families = published_families(model)
    if families == ["pose"]:
        return _pose_snippet(installed)
    if not families:
        return _load("modeling_hulk.HulkModel", "AutoModel", installed)
    if len(families) > 1:
        code, tasks = _load(ALL_FAMILIES, None, installed), _shared_size(model)
        if not tasks:
            return code
        names, given = ", ".join(f'"{task.name}"' for task in tasks), _call(model, tasks[0])
        return f"{code}\noutputs = model({given}, tasks=[{names}]).outputs  # task name -> output of its family"
    published = PUBLISHED_FAMILIES[families[0]]
    code = _load(published.model, published.auto_class, installed)
    task = model.config.task(families[0])
    if task.body is not None and task.body.get("restricted"):
        return code
    return f"{code}\nprint(model({_call(model, task)}).{published.result}.shape)"


def _pose_snippet(installed: bool) -> str:
    if installed:
        call = f'hulk_hf.pipeline("human-pose", model="{_FOLDER}")("photo.jpg", boxes=[[100, 80, 150, 300]])'
        return f"import hulk_hf\n\npersons = {call}"
    call = f'pipeline("human-pose", model="{_FOLDER}", trust_remote_code=True)("photo.jpg")'
    return f"from transformers import pipeline\n\npersons = {call}"


def _load(model: str, auto_class: str | None, installed: bool) -> str:
    """Code that imports what a model needs, and loads it."""
    name = model.partition(".")[2]
    lines = ["import torch"]
    if auto_class is None and installed:
        lines += [f"from hulk_hf import {name}", "", f'model = {name}.from_pretrained("{_FOLDER}").eval()']
    elif auto_class is None:
        lines += ["from transformers.dynamic_module_utils import get_class_from_dynamic_module", ""]
        lines += [f'{name} = get_class_from_dynamic_module("{model}", "{_FOLDER}")']
        lines += [f'model = {name}.from_pretrained("{_FOLDER}").eval()']
    else:
        lines += ["import hulk_hf"] if installed else []
        trust = "" if installed else ", trust_remote_code=True"
        lines += [f"from transformers import {auto_class}", ""]
        lines += [f'model = {auto_class}.from_pretrained("{_FOLDER}"{trust}).eval()']
    return "\n".join(lines)


def _shared_size(model: transformers.PreTrainedModel) -> list[HulkTask]:
    """Default tasks that one call of a model with several families can do, of the size that most of them take."""
    tasks = [model.config.task(family) for family in published_families(model)]
    tasks = [task for task in tasks if task.queries != "anchor" and not (task.body or {}).get("restricted")]
    groups: dict[tuple, list[HulkTask]] = {}
    for task in tasks:
        groups.setdefault(task.image_size if task.input == "image" else (task.input,), []).append(task)
    return max(groups.values(), key=len, default=[])


def _call(model: transformers.PreTrainedModel, task: HulkTask) -> str:
    skeleton: Any = model.config.skeleton_config
    if task.input == "skeleton":
        return f"skeletons=torch.zeros(1, 2, 3, {skeleton.num_frames}, {skeleton.num_joints})"
    return f"pixel_values=torch.zeros(1, 3, {task.image_size[0]}, {task.image_size[1]})"


__all__ = ["default_card", "front_matter"]
