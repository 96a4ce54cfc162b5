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

import huggingface_hub
import transformers
from transformers import BaseImageProcessor

import hulk_hf.modeling
from hulk_hf.conversion.model_card import default_card, front_matter
from hulk_hf.conversion.published_families import (
    ALL_FAMILIES,
    ALL_FAMILIES_AUTO_CLASS,
    ANALYSIS_PIPELINE,
    PUBLISHED_FAMILIES,
    leading_family,
    published_families,
)
from hulk_hf.modeling.processing_hulk import HulkProcessor, processor_of
from hulk_hf.modeling.tasks_hulk import FAMILIES

SOURCES = Path(hulk_hf.modeling.__path__[0]).resolve()
"""Where the files that travel with a checkpoint lie."""

_AUTO_MAP = {
    "AutoConfig": "configuration_hulk.HulkConfig",
    "AutoModel": "modeling_hulk.HulkModel",
}
# What transformers' own pipelines do, with processors of transformers too.
_STOCK_TASKS = ("image-segmentation", "object-detection", "image-classification")
# Files of a repository that an upload replaces as a whole: what is not written again would be left over.
_REPLACED = ["*_hulk.py", "*.safetensors", "*.safetensors.index.json"]


def export_folder(
    model: transformers.PreTrainedModel,
    processor: transformers.BaseImageProcessor | None,
    folder: str | os.PathLike[str],
    card: str | None = None,
    *,
    tokenizer: transformers.PreTrainedTokenizerBase | None = None,
    link_sources: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write model, processor, sources and card into a folder that serves every way of loading.

    `AutoConfig`, `AutoModel`, the Auto classes of the model's families, `AutoImageProcessor` and `pipeline` load it,
    with the package installed, or with `trust_remote_code=True` without. Only the tasks whose weights the model holds
    are in its configuration. Everything is written beside the folder first and then renamed, so that a failure leaves
    no half-written folder.

    Args:
        model: A Hulk model.
        processor: The processor that `AutoImageProcessor` (for skeletons `AutoFeatureExtractor`) loads. None: that of
            the default task of its first family. One of transformers may be given for a family that a pipeline of
            transformers serves; this package's pipelines are then not offered. `AutoProcessor` loads a
            `HulkProcessor` of all tasks.
        folder: Where to write; it must not exist, or be empty.
        card: Text of the model card; YAML front matter is put before it if it has none. None: a short card that says
            what the folder holds and claims nothing else.
        tokenizer: The tokenizer of its captions.
        link_sources: Link to the sources of this installation instead of copying them, relative to the folder. For a
            checkpoint that is kept in the same repository as the sources.
        overwrite: Replace an existing folder, if it holds a checkpoint.

    Returns:
        The folder.

    Raises:
        ValueError: `model` is no Hulk model, or holds adapters beside its weights, or `processor` makes no inputs of
            its families.
        FileExistsError: The folder holds something, and `overwrite` does not allow to replace it.
    """
    _check_model(model)
    families = published_families(model)
    processor = _own_processor(model, families) if processor is None else processor
    _check_processor(processor, families)
    folder = Path(os.path.abspath(folder))
    _check_target(folder, overwrite)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for part in (model, processor, tokenizer):
            if part is not None:
                part.save_pretrained(draft)
        if families and _is_own(processor):
            config = model.config.with_tasks(list(getattr(model, "hulk", model).tasks))
            HulkProcessor.from_config(config, tokenizer).save_pretrained(draft)
        _write_fields(draft, model, processor, families)
        for source in source_files():
            _place(source, draft / source.name, link_sources)
        text = default_card(model) if card is None else card
        text = text if text.startswith("---") else front_matter(model) + "\n" + text.lstrip()
        (draft / "README.md").write_text(text.rstrip() + "\n", encoding="utf-8")
        _make_readable(draft)
        _replace(folder, draft)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder


def push_to_hub(
    model: transformers.PreTrainedModel,
    repo_id: str,
    processor: transformers.BaseImageProcessor | None = None,
    card: str | None = None,
    *,
    tokenizer: transformers.PreTrainedTokenizerBase | None = None,
    private: bool | None = None,
    commit_message: str = "Upload a Hulk checkpoint",
    token: str | None = None,
) -> str:
    """Write a folder as `export_folder` does, and upload it in one commit.

    Args:
        model: A Hulk model.
        repo_id: `name` or `organisation/name`; the repository is made if there is none.
        processor: See `export_folder`.
        card: See there. None: a card that is in the repository already stays.
        tokenizer: See there.
        private: Whether a new repository is private; None: what the account says.
        commit_message: Title of the commit.
        token: Access token; None: that of `hf auth login`.

    Returns:
        Address of the commit.

    Raises:
        ValueError: As `export_folder`.
        huggingface_hub.errors.HfHubHTTPError: The hub refuses.
    """
    api = huggingface_hub.HfApi(token=token)
    with tempfile.TemporaryDirectory(prefix="hulk_hf_") as parent:
        folder = export_folder(model, processor, Path(parent) / "checkpoint", card, tokenizer=tokenizer)
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        keep_card = card is None and api.file_exists(repo_id, "README.md")
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message=commit_message,
            ignore_patterns=["README.md"] if keep_card else None,
            delete_patterns=_REPLACED,
        )
    return commit.commit_url


def source_files() -> list[Path]:
    """The files that travel with a checkpoint."""
    return sorted(SOURCES.glob("*_hulk.py"))


def _check_model(model: Any) -> None:
    """Refuse what would give a folder that cannot be loaded."""
    config: Any = getattr(model, "config", None)
    if getattr(config, "model_type", None) != "hulk" or not isinstance(model, transformers.PreTrainedModel):
        told = "; merge its adapters first (`merge_and_unload`)" if hasattr(model, "merge_and_unload") else ""
        raise ValueError(f"model: expected a Hulk model, got {type(model).__name__}{told}")
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ValueError(
            f"model: expected a {type(model).__name__} without adapters, got one with some, which would be all that "
            "is written; load them by `peft.PeftModel` and merge them first (`merge_and_unload`)"
        )


def _own_processor(model: transformers.PreTrainedModel, families: list[str]) -> Any:
    """The processor of the family that leads."""
    return processor_of(model.config.task(leading_family(families)), model.config) if families else None


def _is_own(processor: Any) -> bool:
    """Whether a processor is one of this package."""
    return processor is not None and _home(processor) in {source.stem for source in source_files()}


def _check_processor(processor: Any, families: list[str]) -> None:
    """Refuse a processor that makes other inputs than those of the families."""
    if processor is None:
        return
    names = [PUBLISHED_FAMILIES[family].processor.__name__ for family in families]
    stock = len(families) == 1 and PUBLISHED_FAMILIES[families[0]].pipeline_tag in _STOCK_TASKS
    if type(processor).__name__ in names:
        return
    if _is_own(processor) or not (stock and isinstance(processor, BaseImageProcessor)):
        wanted = " or ".join(names) + (", or an image processor of transformers" if stock else "")
        raise ValueError(
            f"processor: expected {wanted} for a model of {families or 'no family'}, got {type(processor).__name__}"
        )


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


def _write_fields(folder: Path, model: transformers.PreTrainedModel, processor: Any, families: list[str]) -> None:
    """Write where the classes lie, and leave out of the configuration what the model does not hold.

    Into the files and not into the objects: a configuration that comes from the package hides its pipelines from
    transformers, and a model in use should not change by being exported.
    """
    trunk: Any = getattr(model, "hulk", model)
    published = [PUBLISHED_FAMILIES[family] for family in families]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["tasks"] = {name: fields for name, fields in config["tasks"].items() if name in trunk.tasks}
    config["default_tasks"] = {
        family: name for family, name in config["default_tasks"].items() if name in config["tasks"]
    }
    if config.get("label_family") not in config["default_tasks"]:
        config.pop("label_family", None)
    config["auto_map"] = _AUTO_MAP | {entry.auto_class: entry.model for entry in published}
    pipelines: dict[str, dict[str, Any]] = {}
    for entry in published:
        pipelines |= entry.custom_pipelines
    if type(model).__name__ == ALL_FAMILIES.partition(".")[2]:
        config["auto_map"][ALL_FAMILIES_AUTO_CLASS] = ALL_FAMILIES
        pipelines |= ANALYSIS_PIPELINE
    config.pop("custom_pipelines", None)
    if pipelines and _is_own(processor):
        config["custom_pipelines"] = pipelines
    _write_json(folder / "config.json", config)
    if _is_own(processor):
        kind = "AutoFeatureExtractor" if FAMILIES[processor.family].input == "skeleton" else "AutoImageProcessor"
        home = f"{_home(processor)}.{type(processor).__name__}"
        for name, auto_map in (
            ("preprocessor_config.json", {kind: home}),
            ("processor_config.json", {"AutoProcessor": "processing_hulk.HulkProcessor"}),
        ):
            settings = json.loads((folder / name).read_text(encoding="utf-8"))
            _write_json(folder / name, settings | {"auto_map": auto_map})


def _write_json(path: Path, content: dict[str, Any]) -> None:
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


__all__ = ["SOURCES", "export_folder", "push_to_hub", "source_files"]
