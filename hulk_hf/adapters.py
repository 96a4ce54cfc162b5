# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Adapters: LoRA (peft) around a trunk that stays as it is, for tasks that are there or were added by name.

    model = HulkForHumanAnalysis.from_pretrained("...")
    model.add_task("pose-mine", labels=["nose", "tail"], text_encoder="...")
    adapted = add_adapter(model, ["pose-mine"])          # train it like any model of peft
    save_adapter(adapted, "tail-adapter")                # a few hundred kB, with the task
    ...
    adapted = load_adapter(HulkForHumanAnalysis.from_pretrained("..."), "tail-adapter", name="tail")
    load_adapter(adapted, "other-adapter", name="other")  # on the same trunk
    adapted.set_adapter("tail")                           # which of them is on; `adapted.disable_adapter()`: none
    merged = adapted.merge_and_unload()                   # a plain model again

What a task has of its own (the norm over its labels, the up-sampler of its joints) is trained whole and belongs to the
adapter; the projections of its head get low-rank updates as the trunk does. All that stays small, and with the adapter
off the model says what it said before.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file, save_file

from hulk_hf.modeling.pretrained_hulk import FAMILY_HEADS, LORA_TARGET_MODULES, HulkPreTrainedModel
from hulk_hf.modeling.tasks_hulk import HulkTask

if TYPE_CHECKING:
    from peft import PeftModel

TASKS_FILE = "hulk_tasks.json"
FEATURES_FILE = "hulk_label_features.safetensors"
# Linear layers of the heads, which tasks share.
_PROJECTIONS = r"(query_proj|label_proj|token_proj|coordinates|mlp\.\d+)"


def add_adapter(
    model: HulkPreTrainedModel | PeftModel,
    tasks: Sequence[str] | None = None,
    *,
    name: str = "default",
    rank: int = 8,
    alpha: float = 16.0,
    dropout: float = 0.0,
    target_modules: str | None = None,
) -> PeftModel:
    """Put an adapter into a model, in place; only it is trained from then on.

    Args:
        model: A task class, a `HulkForHumanAnalysis`, or what this function gave for another adapter.
        tasks: Tasks or families that it is for; None: all of the model.
        name: Of the adapter.
        rank: Of the update of each weight.
        alpha: The update is scaled by alpha / rank.
        dropout: In front of the updates.
        target_modules: Regular expression of the modules to update; None: queries and values of every attention.

    Returns:
        The model with the adapter on.

    Raises:
        ValueError: There is an adapter of this name, or no such task or module.
    """
    from peft import LoraConfig, PeftModel, get_peft_model

    base = base_of(model)
    chosen = [base.hulk.resolve_task(task) for task in (base.hulk.tasks if tasks is None else tasks)]
    if not chosen:
        raise ValueError("tasks: expected at least one task or family, or None for all, got none")
    heads = sorted({head for task in chosen for head in FAMILY_HEADS[task.family]})
    pattern = rf"{target_modules or LORA_TARGET_MODULES}|(.*\.)?({'|'.join(heads)})\.{_PROJECTIONS}"
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=pattern,
        modules_to_save=_modules_of(base, chosen) or None,
    )
    if not isinstance(model, PeftModel):
        adapted = get_peft_model(model, config, adapter_name=name)
    else:
        if name in model.peft_config:
            raise ValueError(
                f"name: there is an adapter {name!r} already, expected another name than {[*model.peft_config]}"
            )
        adapted = model
        adapted.add_adapter(name, config)
        adapted.set_adapter(name)
    for path, parameter in adapted.named_parameters():
        # Parts of a task that was added after the first adapter are new, and not frozen with the rest.
        if f".modules_to_save.{name}." not in path and not (".lora_" in path and f".{name}." in path):
            parameter.requires_grad_(False)
    _tasks_by_adapter(base)[name] = [task.name for task in chosen]
    return adapted


def base_of(model: HulkPreTrainedModel | PeftModel) -> HulkPreTrainedModel:
    """The model that adapters are around, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def save_adapter(adapted: PeftModel, folder: str | Path, name: str | None = None) -> Path:
    """Write an adapter with the description of its tasks, so that it can be loaded on the trunk alone.

    Args:
        adapted: From `add_adapter` or `load_adapter`.
        folder: Where to.
        name: Which adapter; None: the one that is on.

    Raises:
        ValueError: There is no such adapter.
    """
    folder, base = Path(folder), base_of(adapted)
    name = adapted.active_adapter if name is None else name
    by_adapter = _tasks_by_adapter(base)
    if name not in by_adapter:
        raise ValueError(f"name: no adapter {name!r}, expected one of {sorted(by_adapter)}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as draft:
        adapted.save_pretrained(draft, selected_adapters=[name])
        inner = Path(draft) / name
        for file in (inner if inner.is_dir() else Path(draft)).iterdir():
            if file.is_file():
                file.replace(folder / file.name)
    tasks = {task: base.config.task(task).to_dict() for task in by_adapter[name]}
    (folder / TASKS_FILE).write_text(json.dumps({"tasks": tasks}, indent=2), encoding="utf-8")
    features = {task: _features(base, task) for task in tasks}
    save_file(
        {task: value.contiguous() for task, value in features.items() if value is not None}, folder / FEATURES_FILE
    )
    return folder


def load_adapter(model: HulkPreTrainedModel | PeftModel, folder: str | Path, name: str = "default") -> PeftModel:
    """Load an adapter onto a model, in place, and switch it on; tasks that the model does not have are added.

    Args:
        model: The model, or what this function gave for another adapter.
        folder: Folder, or hub name, of what `save_adapter` wrote.
        name: What to call it here.

    Raises:
        ValueError: There is an adapter of this name, or it is for tasks that the model describes otherwise.
        RuntimeError: It is for a trunk of other sizes.
        OSError: There is no such adapter.
    """
    from peft import PeftModel

    path = _local(folder)
    base = base_of(model)
    described = json.loads((path / TASKS_FILE).read_text(encoding="utf-8"))["tasks"]
    features = load_file(path / FEATURES_FILE)
    for task, fields in described.items():
        if task in list(base.config.tasks or ()):
            if base.config.task(task).to_dict() != fields:
                raise ValueError(f"folder: {folder} is for a task {task!r} that this model describes otherwise")
            continue
        own = {key: value for key, value in fields.items() if key not in ("family", "labels")}
        given = features[task].float()
        base.add_task(task, fields["labels"], like=fields["family"], text_features=given, blend=False, **own)
    if isinstance(model, PeftModel):
        if name in model.peft_config:
            raise ValueError(f"name: there is an adapter {name!r} already, expected another name")
        model.load_adapter(path, adapter_name=name)
        adapted = model
        adapted.set_adapter(name)
    else:
        adapted = PeftModel.from_pretrained(model, path, adapter_name=name)
    _tasks_by_adapter(base)[name] = list(described)
    return adapted


def push_adapter(adapted: PeftModel, repository: str, name: str | None = None, private: bool | None = None) -> str:
    """Put an adapter on the hub, with the description of its tasks.

    Args:
        adapted: From `add_adapter` or `load_adapter`.
        repository: `owner/name`; made if it is not there.
        name: Which adapter; None: the one that is on.
        private: Whether a new repository is private; None: as the owner's settings say.

    Returns:
        The address of the commit.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with tempfile.TemporaryDirectory() as folder:
        save_adapter(adapted, folder, name)
        api.create_repo(repository, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Adapter with its tasks"))


def _local(folder: str | Path) -> Path:
    """The folder of an adapter, fetched from the hub if it is not here.

    Raises:
        OSError: There is none.
    """
    path = Path(folder)
    if not path.is_dir():
        from huggingface_hub import snapshot_download

        path = Path(snapshot_download(str(folder)))
    missing = [file for file in (TASKS_FILE, FEATURES_FILE, "adapter_config.json") if not (path / file).is_file()]
    if missing:
        raise OSError(f"folder: {folder} lacks {missing}, expected what save_adapter wrote")
    return path


def _tasks_by_adapter(base: HulkPreTrainedModel) -> dict[str, list[str]]:
    """Adapter -> names of its tasks, kept with the model."""
    return base.__dict__.setdefault("adapter_tasks", {})


def _modules_of(base: HulkPreTrainedModel, tasks: Sequence[HulkTask]) -> list[str]:
    """Names of what belongs to single tasks in the heads, and is trained."""
    found = []
    for task in tasks:
        for head in FAMILY_HEADS[task.family]:
            for kind in ("norms", "upsamplers"):
                if task.name in getattr(getattr(base, head), kind, {}):
                    found.append(f"{head}.{kind}.{task.name}")
    return found


def _features(base: HulkPreTrainedModel, task: str) -> torch.Tensor | None:
    """Text features of the labels of a task."""
    for head in base.lora_modules_to_save:
        module = getattr(base, head)
        if hasattr(module, "label_features") and hasattr(module.label_features, task):
            return module.label_features(task)
    return None


__all__ = ["add_adapter", "base_of", "load_adapter", "push_adapter", "save_adapter"]
