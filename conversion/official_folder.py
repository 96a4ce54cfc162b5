# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Writing merged official weights as a checkpoint: configuration, weights, processors, provenance and a card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import huggingface_hub
import torch
from safetensors.torch import save_file
from transformers import BertTokenizer

from hulk_hf.conversion.merging import TOLERANCE, Merge
from hulk_hf.conversion.published_families import ALL_FAMILIES, PUBLISHED_FAMILIES, leading_family
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.processing_hulk import HulkProcessor, processor_of
from hulk_hf.modeling.tasks_hulk import HulkTask

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
VOCABULARY = "bert-base-uncased"
"""Repository of the hub whose vocabulary the released captions are written in."""

BODY_FILE = "body_model.safetensors"
"""Where the tensors of a restricted body model go, if they were asked for."""

REPORT_FILE = "conversion.json"
"""Where all hashes and differences are written."""

# Ids that the released captions begin and end with and are filled up with (spec 2.11).
_CAPTION_TOKENS = {"pad_token": 0, "cls_token": 101, "sep_token": 102}


def write_folder(
    merge: Merge, folder: Path, dtype: str | None = None, vocabulary: str | Path | None = None
) -> list[str]:
    """Write a checkpoint.

    Args:
        merge: The weights; they are taken out, so that a cast costs no second copy.
        folder: An empty folder.
        dtype: Of the weights on disk, a name in `DTYPES`; None: the finest of the official files. The configuration
            says float32 in any case, which is what models are loaded in unless told otherwise.
        vocabulary: For caption tasks: a `vocab.txt`, or a folder or repository that has one. None: `VOCABULARY`.

    Returns:
        Remarks for the user.

    Raises:
        ValueError: `dtype` cannot hold a value, or `vocabulary` is not the one of the weights.
    """
    config = merge.finish()
    report = _report(merge)
    families = sorted({file.task.family for file in merge.files})
    model = PUBLISHED_FAMILIES[families[0]].model if len(families) == 1 else ALL_FAMILIES
    config.architectures = [model.partition(".")[2]]
    config.dtype = torch.float32
    remarks = []
    tokenizer = None
    if "caption" in families:
        tokenizer, told = caption_tokenizer(config.task("caption"), vocabulary)
        remarks += told
    processor_of(config.task(leading_family(families)), config).save_pretrained(folder)
    HulkProcessor.from_config(config, tokenizer).save_pretrained(folder)
    parameters = sum(tensor.numel() for tensor in merge.weights.values()) / 1e6
    written = _write_weights(merge.weights, folder / "model.safetensors", dtype)
    config.save_pretrained(folder)
    if merge.body:
        save_file(merge.body, folder / BODY_FILE)
        remarks.append(
            f"the file {BODY_FILE} holds data of a body model that has a licence of its own and must not be passed "
            "on; `hulk_hf.conversion.body_tables.body_from_checkpoint` takes it"
        )
    elif "mesh" in families:
        remarks.append(
            "the body model of the mesh task has a licence of its own and is not part of the weights; "
            "`hulk_hf.conversion.body_tables` builds one from your files for `set_body`"
        )
    (folder / REPORT_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    card = card_text(merge, config, f"{parameters:.1f} M values, {written}", remarks)
    (folder / "README.md").write_text(card, encoding="utf-8")
    return remarks


def _write_weights(weights: dict[str, torch.Tensor], path: Path, dtype: str | None) -> str:
    """Cast and write; returns the name of the dtype."""
    if dtype is None:
        finest = min((tensor.dtype for tensor in weights.values()), key=lambda dtype: torch.finfo(dtype).eps)
        wanted = torch.float32 if finest == torch.float64 else finest
    else:
        wanted = DTYPES[dtype]
    cast = {}
    for name in sorted(weights):
        tensor = weights.pop(name)
        cast[name] = tensor.to(wanted)
        if torch.finfo(wanted).max < torch.finfo(tensor.dtype).max and not bool(cast[name].isfinite().all()):
            raise ValueError(f"dtype: {name} holds {tensor.abs().max().item():.4g}, which {wanted} cannot hold")
    save_file(cast, path, metadata={"format": "pt"})
    return str(wanted).removeprefix("torch.")


def caption_tokenizer(task: HulkTask, vocabulary: str | Path | None) -> tuple[BertTokenizer | None, list[str]]:
    """The tokenizer of the captions, if it can be had, and remarks for the user."""
    try:
        tokenizer = _read_vocabulary(VOCABULARY if vocabulary is None else vocabulary)
    except Exception as error:  # of the hub, of the network, of the reader of a strange file
        reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
        if vocabulary is not None:
            raise ValueError(
                f"vocab: {str(vocabulary)!r} cannot be read ({reason}); expected a vocab.txt with one word per line, "
                "or a folder or repository of the hub with such a file"
            ) from error
        return None, [
            f"captions can be made but not read: the vocabulary of {VOCABULARY} could not be fetched from the hub "
            f"({reason}); convert again with --vocab, or save that tokenizer into this folder"
        ]
    ids = {name: tokenizer.convert_tokens_to_ids(getattr(tokenizer, name)) for name in _CAPTION_TOKENS}
    if len(tokenizer) != task.num_labels or ids != _CAPTION_TOKENS:
        raise ValueError(
            f"vocab: got {len(tokenizer)} words with {ids}, expected the {task.num_labels} words of the weights with "
            f"{_CAPTION_TOKENS} ({VOCABULARY})"
        )
    return tokenizer, []


def _read_vocabulary(vocabulary: str | Path) -> BertTokenizer:
    # Not by `from_pretrained`, which makes up a vocabulary where it finds none.
    path = Path(vocabulary)
    if path.is_dir():
        path = path / "vocab.txt"
    elif not path.is_file():
        path = Path(huggingface_hub.hf_hub_download(str(vocabulary), "vocab.txt"))
    return BertTokenizer(vocab=str(path))


def _report(merge: Merge) -> dict[str, object]:
    """Everything that was found out, as JSON."""
    return {
        "sources": [
            {
                "file": file.file.name,
                "sha256": file.sha256,
                "task": file.task.name,
                "tensors": dict(sorted(file.counts.items())),
            }
            for file in merge.files
        ],
        "tolerance": TOLERANCE,
        "shared": {
            name: {
                "official": result.official,
                "files": result.files,
                "largest_difference": result.difference,
                "sha256": result.sha256,
            }
            for name, result in sorted(merge.share_report().items())
        },
    }


def shared_summary(merge: Merge) -> str:
    """One sentence on the comparison of the copies."""
    if not merge.shared:
        return "no tensor is in more than one file"
    different = {name: result for name, result in merge.shared.items() if result.difference > 0}
    text = f"{len(merge.shared)} tensors are in more than one file, {len(merge.shared) - len(different)} of them equal"
    if different:
        name, result = max(different.items(), key=lambda item: item[1].difference)
        text += f" in every bit; the largest difference is {result.difference:.2g} ({name})"
    else:
        text += " in every bit"
    return text


_CARD = """---
library_name: transformers
tags:
- hulk
---

# Hulk, converted from official files

Weights of the official release of Hulk (arXiv 2312.01697), converted by the package `hulk-hf` and not changed
otherwise: {size}. They keep the terms of the files they come from.

| task | family | input (height x width) | labels | official file | sha256 |
|---|---|---|---|---|---|
{rows}

Of the official tensors, those that change an output are kept; weights that never do are left out, and so are position
tables that follow from a formula. {shared}. The copies may differ by {tolerance:g}, of which the first is kept;
`{report}` holds every hash and difference.

```python
from hulk_hf import {architecture}

model = {architecture}.from_pretrained("path/of/this/folder")
```
{remarks}"""


def card_text(merge: Merge, config: HulkConfig, size: str, remarks: Sequence[str]) -> str:
    """The model card.

    Args:
        merge: Where the weights came from.
        config: The configuration.
        size: Size of the weights in words.
        remarks: What the user should know.
    """
    rows = []
    for file in merge.files:
        task = config.task(file.task.name)
        height, width = task.image_size
        shape = f"{height}x{width}" if task.input == "image" else "skeletons"
        count = f"{task.num_labels}" + (" words" if task.queries == "token" else "")
        rows.append(f"| `{task.name}` | {task.family} | {shape} | {count} | {file.file.name} | `{file.sha256}` |")
    (architecture,) = config.architectures
    return _CARD.format(
        size=f"{merge.files[0].size}, {size}",
        rows="\n".join(rows),
        shared=_sentence(shared_summary(merge)),
        tolerance=TOLERANCE,
        report=REPORT_FILE,
        architecture=architecture,
        remarks="".join(f"\n{_sentence(remark)}.\n" for remark in remarks),
    )


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


__all__ = [
    "BODY_FILE",
    "DTYPES",
    "REPORT_FILE",
    "VOCABULARY",
    "caption_tokenizer",
    "card_text",
    "shared_summary",
    "write_folder",
]
