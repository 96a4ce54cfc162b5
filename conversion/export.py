# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Writing a folder that serves transformers with and without this package.

With the package installed the folder is an ordinary checkpoint. Without it, `trust_remote_code=True` runs the sources
that lie in the folder: `config.json` and `preprocessor_config.json` say which file holds which class.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import transformers

import hulk_hf.modeling

SOURCES = Path(hulk_hf.modeling.__path__[0]).resolve()
"""Where the files that travel with a checkpoint lie."""

_AUTO_MAP = {
    "AutoConfig": "configuration_hulk.HulkConfig",
    "AutoModel": "modeling_hulk.HulkModel",
}
# Family -> Auto class and the class behind it.
_FAMILY_AUTO_MAP = {
    "pose": {"AutoModelForPoseEstimation": "modeling_pose_hulk.HulkForPoseEstimation"},
}
# Family -> pipelines that work on a checkpoint of that family.
_FAMILY_PIPELINES: dict[str, dict[str, dict[str, Any]]] = {
    "pose": {
        "human-pose": {
            "impl": "pipeline_pose_hulk.HumanPosePipeline",
            "pt": ["AutoModelForPoseEstimation"],
            "type": "image",
        }
    },
}

_FRONT_MATTER = """---
license: apache-2.0
library_name: transformers
pipeline_tag: keypoint-detection
tags:
- custom_code
- hulk
- human-pose-estimation
---
"""


def export_folder(
    model: transformers.PreTrainedModel,
    processor: transformers.BaseImageProcessor,
    folder: str | os.PathLike[str],
    card: str | None = None,
    *,
    link_sources: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write model, processor, sources and card into a folder that serves every way of loading.

    `AutoConfig`, `AutoModel`, the Auto classes of the model's families, `AutoImageProcessor` and `pipeline` load it,
    with the package installed, or with `trust_remote_code=True` without. Everything is written beside the folder first
    and then renamed, so that a failure leaves no half-written folder.

    Args:
        model: A Hulk model.
        processor: Its image processor.
        folder: Where to write; it must not exist, or be empty.
        card: Text of the model card; YAML front matter is put before it if it has none. None: a short card that says
            what the folder holds and claims nothing else.
        link_sources: Link to the sources of this installation instead of copying them, relative to the folder. For a
            checkpoint that is kept in the same repository as the sources.
        overwrite: Replace an existing folder, if it holds a checkpoint.

    Returns:
        The folder.

    Raises:
        ValueError: `model` is no Hulk model, or `processor` none of the classes that travel with one.
        FileExistsError: The folder holds something, and `overwrite` does not allow to replace it.
    """
    families = _check_parts(model, processor)
    folder = Path(os.path.abspath(folder))
    _check_target(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        model.save_pretrained(draft)
        processor.save_pretrained(draft)
        _add_remote_code_fields(draft, processor, families)
        for source in source_files():
            _place(source, draft / source.name, link_sources)
        text = default_card(model) if card is None else card
        text = text if text.startswith("---") else _FRONT_MATTER + "\n" + text.lstrip()
        (draft / "README.md").write_text(text.rstrip() + "\n", encoding="utf-8")
        _make_readable(draft)
        _replace(folder, draft)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def source_files() -> list[Path]:
    """The files that travel with a checkpoint."""
    return sorted(SOURCES.glob("*_hulk.py"))


def default_card(model: transformers.PreTrainedModel) -> str:
    """A model card that says what can be read from the model itself.

    Args:
        model: A Hulk model.
    """
    config = model.config
    tasks = [config.task(name) for name in sorted(config.tasks)]
    rows = "\n".join(
        f"| `{task.name}` | {task.family} | {task.image_size[0]}x{task.image_size[1]} | {', '.join(task.labels)} |"
        for task in tasks
    )
    vision, decoder = config.vision_config, config.decoder_config
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    return f"""{_FRONT_MATTER}
# Hulk

A Hulk model for transformers with {parameters:.1f} M parameters: encoder {vision.num_hidden_layers} layers of width
{vision.hidden_size}, decoder {decoder.num_hidden_layers} layers of width {decoder.hidden_size}. This card was written
by the export and says only what the configuration says; it makes no statement on training data or accuracy.

| task | family | input (height x width) | labels |
|---|---|---|---|
{rows}

With the package `hulk-hf` installed:

```python
import hulk_hf

persons = hulk_hf.pipeline("human-pose", model="path/of/this/folder")("photo.jpg", boxes=[[100, 80, 150, 300]])
```

Without it, the sources in this folder are used:

```python
from transformers import pipeline

persons = pipeline("human-pose", model="path/of/this/folder", trust_remote_code=True)("photo.jpg")
```
"""


def _check_parts(model: Any, processor: Any) -> list[str]:
    """The families of the model; refuses what would give a folder that cannot be loaded."""
    config: Any = getattr(model, "config", None)
    if getattr(config, "model_type", None) != "hulk" or not hasattr(model, "save_pretrained"):
        raise ValueError(f"model: expected a Hulk model, got {type(model).__name__}")
    if _home(processor) not in {source.stem for source in source_files()}:
        raise ValueError(f"processor: expected a processor of this package, got {type(processor).__name__}")
    return sorted({task["family"] for task in config.tasks.values()})


def _home(part: Any) -> str:
    """Name of the file that holds the class of `part`."""
    return type(part).__module__.rpartition(".")[2]


def _check_target(folder: Path, overwrite: bool) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not overwrite:
        raise FileExistsError(f"folder: {folder} exists and is not empty; overwrite=True replaces a checkpoint")
    if not (folder / "config.json").is_file():
        raise FileExistsError(f"folder: {folder} holds no checkpoint (config.json), so it is not replaced")


def _add_remote_code_fields(folder: Path, processor: Any, families: list[str]) -> None:
    """Write where the classes lie.

    Into the files and not into the objects: a configuration that comes from the package hides its pipelines from
    transformers, and a model in use should not change by being exported.
    """
    processor_map = {"AutoImageProcessor": f"{_home(processor)}.{type(processor).__name__}"}
    model_map: dict[str, str] = dict(_AUTO_MAP)
    pipelines: dict[str, dict[str, Any]] = {}
    for family in families:
        model_map |= _FAMILY_AUTO_MAP.get(family, {})
        pipelines |= _FAMILY_PIPELINES.get(family, {})
    _update_json(folder / "config.json", {"auto_map": model_map, "custom_pipelines": pipelines})
    _update_json(folder / "preprocessor_config.json", {"auto_map": processor_map})


def _update_json(path: Path, fields: dict[str, Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8")) | fields
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _place(source: Path, target: Path, link: bool) -> None:
    # A class that was loaded as remote code may have copied its own source already.
    target.unlink(missing_ok=True)
    if link:
        target.symlink_to(os.path.relpath(source, target.parent.resolve()))
    else:
        shutil.copyfile(source, target)


def _make_readable(folder: Path) -> None:
    """Temporary folders are private, and so are the files of some writers; a checkpoint is for everybody."""
    folder.chmod(0o755)
    for path in folder.iterdir():
        if not path.is_symlink():
            path.chmod(0o644)


def _replace(folder: Path, draft: Path) -> None:
    """Put the draft in the place of the folder, the old content going last."""
    if not folder.exists():
        draft.rename(folder)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    folder.rename(old / folder.name)
    try:
        draft.rename(folder)
    except BaseException:
        (old / folder.name).rename(folder)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


__all__ = ["SOURCES", "default_card", "export_folder", "source_files"]
