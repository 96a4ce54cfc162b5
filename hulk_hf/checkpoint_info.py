# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint can do, read from its configuration and from the headers of its weights, which are not loaded."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, cached_file

from hulk_hf.modeling.configuration_hulk import HulkConfig

_SHOWN_LABELS = 8


def describe_checkpoint(checkpoint: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe a checkpoint.

    Args:
        checkpoint: Folder or hub name.

    Returns:
        `checkpoint`, `architectures`, `parameters` (numbers in the weights), `bytes`, `dtypes`, sizes of `encoder` and
        `decoder`, and `tasks`: for each its `family`, `default` (whether the family name means it), `input`, `labels`
        or `vocabulary`, and `label_spaces`.

    Raises:
        ValueError: It is no Hulk checkpoint.
        OSError: There is no such checkpoint.
    """
    name = os.fspath(checkpoint)
    config = HulkConfig.from_pretrained(name)
    tasks = {}
    for task_name in config.tasks:
        task = config.task(task_name)
        entry: dict[str, Any] = {
            "family": task.family,
            "default": config.default_tasks.get(task.family) == task_name,
            "input": "skeletons" if task.input == "skeleton" else f"{task.image_size[0]}x{task.image_size[1]}",
        }
        entry |= {"vocabulary": task.vocabulary_size} if task.vocabulary_size else {"labels": list(task.labels)}
        if task.label_spaces:
            entry["label_spaces"] = {space: list(ends) for space, ends in task.label_spaces.items()}
        tasks[task_name] = entry
    vision, decoder = config.vision_config, config.decoder_config
    return {
        "checkpoint": name,
        "architectures": config.architectures,
        **_weights(name),
        "encoder": {"layers": vision.num_hidden_layers, "width": vision.hidden_size},
        "decoder": {"layers": decoder.num_hidden_layers, "width": decoder.hidden_size},
        "tasks": tasks,
    }


def _weights(name: str) -> dict[str, Any]:
    index = cached_file(name, SAFE_WEIGHTS_INDEX_NAME, _raise_exceptions_for_missing_entries=False)
    if index is not None:
        names = sorted(set(json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"].values()))
    else:
        names = [SAFE_WEIGHTS_NAME]
    numbers, size, dtypes = 0, 0, set()
    for file_name in names:
        path = cached_file(name, file_name)
        size += os.path.getsize(path)
        with safe_open(path, framework="numpy") as stored:
            for key in stored.keys():  # noqa: SIM118 - not a dict
                part = stored.get_slice(key)
                numbers += math.prod(part.get_shape())
                dtypes.add(part.get_dtype())
    return {"parameters": numbers, "bytes": size, "dtypes": sorted(dtypes)}


def format_checkpoint(content: dict[str, Any]) -> str:
    """The description as text, one line per task."""
    encoder, decoder = content["encoder"], content["decoder"]
    lines = [
        content["checkpoint"],
        f"  {', '.join(content['architectures'] or ['?'])}, {content['parameters'] / 1e6:.1f} M numbers in "
        f"{content['bytes'] / 1e6:.1f} MB ({', '.join(content['dtypes'])})",
        f"  encoder {encoder['layers']} x {encoder['width']}, decoder {decoder['layers']} x {decoder['width']}",
        "  tasks (* what the name of the family means):",
    ]
    for name, task in content["tasks"].items():
        labels = task.get("labels")
        if labels is None:
            told = f"{task['vocabulary']} words"
        else:
            more = ", ..." if len(labels) > _SHOWN_LABELS else ""
            told = f"{len(labels)} labels: {', '.join(labels[:_SHOWN_LABELS])}{more}"
        lines.append(f"  {'*' if task['default'] else ' '} {name:24s} {task['input']:>9s}  {told}")
    return "\n".join(lines)


__all__ = ["describe_checkpoint", "format_checkpoint"]
