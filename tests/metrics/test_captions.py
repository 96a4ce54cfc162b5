# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""BLEU, ROUGE-L, CIDEr and slots, against hand counts and the recorded figures of the release."""

from __future__ import annotations

import json

import pytest

from hulk_hf.metrics.captions import bleu, cider, rouge_l, slot_figures


def test_slots_count_those_of_the_reference():
    written = [{"hat": "hat", "view": "front"}, {"pose": "sitting"}]
    truth = [{"hat": "hat", "view": "back"}, {"pose": "sitting", "person": "man"}]
    figures = slot_figures(written, truth)
    assert figures == {"slots": 0.5, "slots_precision": pytest.approx(2 / 3)}


def test_bleu_of_a_short_sentence_by_hand():
    values = bleu([["a", "red", "hat"]], [[["a", "red", "hat", "there"]]], order=2)
    assert values == pytest.approx([2.718281828 ** (1 - 4 / 3)] * 2, rel=1e-6)


@pytest.fixture(scope="module")
def recording(shared):
    return json.loads((shared / "golden" / "metrics" / "captions_a.json").read_text(encoding="utf-8"))


def split(tokenized: dict, key: str) -> list:
    return [[text.split() for text in texts] for texts in tokenized[key].values()]


def test_figures_of_the_corpus_are_those_of_the_release(recording):
    tokenized = recording["tokenized"]
    assert list(tokenized["references"]) == list(tokenized["hypotheses"])
    written = [sentences[0] for sentences in split(tokenized, "hypotheses")]
    references, official = split(tokenized, "references"), recording["official"]["corpus"]
    assert bleu(written, references) == pytest.approx([official[f"Bleu_{n}"] for n in (1, 2, 3, 4)], abs=1e-9)
    assert rouge_l(written, references) == pytest.approx(official["ROUGE_L"], abs=1e-9)
    assert cider(written, references) == pytest.approx(official["CIDEr"], abs=1e-9)


@pytest.mark.parametrize(
    "name",
    [
        "single_image_corpus",
        "two_images_one_empty_hypothesis",
        "no_common_words",
        "hypothesis_shorter_than_4_words",
        "brevity_tie",
    ],
)
def test_awkward_corpora_are_as_released(recording, name):
    case = recording["scorer_cases_on_already_tokenized_text"][name]
    written = [case["tokenized_hypotheses"][key][0].split() for key in case["tokenized_references"]]
    references = split(case, "tokenized_references")
    official = {metric: case["official"][metric]["value"][0] for metric in ("Bleu", "ROUGE_L", "CIDEr")}
    assert bleu(written, references) == pytest.approx(official["Bleu"], abs=1e-9)
    assert rouge_l(written, references) == pytest.approx(official["ROUGE_L"], abs=1e-9)
    assert cider(written, references) == pytest.approx(official["CIDEr"], abs=1e-9)
