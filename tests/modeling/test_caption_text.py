# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The text side of captions: normalisation by hand and as recorded, words, vocabularies."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer

from hulk_hf.modeling.caption_text_hulk import (
    check_tokenizer,
    decode_captions,
    encode_captions,
    load_caption_tokenizer,
    normalize_caption,
)

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "man", "'", "s", "t", "-", "shirt", "##s", ",", "red"]


@pytest.fixture
def vocabulary(tmp_path):
    """A small vocabulary of BERT's form."""
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return tmp_path / "vocab.txt"


@pytest.fixture
def tokenizer(vocabulary) -> BertTokenizer:
    return load_caption_tokenizer(vocabulary, len(WORDS))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A man, in RED.", "a man, in red"),
        ('."!()*#:;~', ""),
        ("", ""),
        ("one.two", "one two"),
        ("a\tb\nc", "a\tb\nc"),  # single blanks that are no space stay
        ("a \t b\n\nc", "a b c"),
        ("  a b\n", "a b"),
        ("a b \n", "a b"),  # two blanks are one space, and that goes
        ("\na", "\na"),  # a newline at the front stays
        ("T-shirt? it's/that", "t-shirt? it's/that"),
        ("word " * 60, " ".join(["word"] * 41)),
    ],
)
def test_normalisation_by_hand(text, expected):
    assert normalize_caption(text) == expected


@given(st.text())
def test_normalised_captions_are_short_and_stay_as_they_are(text):
    once = normalize_caption(text)
    assert len(once.split(" ")) <= 41
    assert not set('.!"()*#:;~') & set(once) and "  " not in once
    if once == once.lower():  # of a few letters, lower case has an upper case of its own
        assert normalize_caption(once) == once.rstrip("\n").strip(" ")


def test_words_by_hand(tokenizer):
    rows = encode_captions(["A man's red T-shirts.", "", "man " * 99], tokenizer, 12)
    assert rows["input_ids"].tolist() == [
        [2, 1, 5, 6, 7, 13, 8, 9, 10, 11, 3, 0],
        [2, 3] + [0] * 10,
        [2] + [5] * 10 + [3],
    ]
    assert torch.equal(rows["attention_mask"], (rows["input_ids"] != 0).long())
    assert encode_captions([], tokenizer)["input_ids"].shape == (0, 41)


def test_words_are_those_of_the_tokenizer_itself(tokenizer):
    texts = ["man", "red man, red man, red man", "s t s t s t s t s t s t"]
    expected = tokenizer(texts, padding="max_length", truncation=True, max_length=9, return_tensors="pt")
    rows = encode_captions(texts, tokenizer, 9)
    assert torch.equal(rows["input_ids"], expected["input_ids"])
    assert torch.equal(rows["attention_mask"], expected["attention_mask"])


def test_text_by_hand(tokenizer):
    rows = torch.tensor([[2, 5, 6, 7, 13, 12, 10, 11, 3, 0], [2, 3, 0, 0, 0, 0, 0, 0, 0, 0]])
    assert decode_captions(rows, tokenizer) == ["man's red, shirts", ""]
    assert decode_captions(rows, tokenizer, clean_up=False)[0] == "man ' s red, shirts"
    assert decode_captions(SimpleNamespace(sequences=rows), tokenizer)[1] == ""
    assert decode_captions(rows[:0], tokenizer) == []


def test_vocabularies_from_files_and_folders(vocabulary, tokenizer, tmp_path):
    for source in (vocabulary, str(vocabulary.parent)):
        assert load_caption_tokenizer(source).get_vocab() == tokenizer.get_vocab()
    tokenizer.save_pretrained(tmp_path / "saved")
    assert load_caption_tokenizer(tmp_path / "saved", len(WORDS)).get_vocab() == tokenizer.get_vocab()


def test_a_missing_vocabulary_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for source in (tmp_path, "nobody/nothing"):
        with pytest.raises(ValueError, match="`source` must be a vocab.txt"):
            load_caption_tokenizer(source)


def test_tokenizers_that_do_not_belong_to_the_network(tokenizer, vocabulary):
    with pytest.raises(ValueError, match="`tokenizer` must have the 30522 words .* got 5 "):
        check_tokenizer(BertTokenizer(), 30522)  # what transformers makes of no vocabulary
    with pytest.raises(ValueError, match="30522 words .* got 14"):
        load_caption_tokenizer(vocabulary, 30522)
    fitting = SimpleNamespace(bos_token_id=2, eos_token_id=3, pad_token_id=None)
    check_tokenizer(tokenizer, None, fitting)
    with pytest.raises(ValueError, match=r"words of the configuration, \(101, 3, None\), got \(2, 3, 0\)"):
        check_tokenizer(tokenizer, None, SimpleNamespace(**{**vars(fitting), "bos_token_id": 101}))
    tokenizer.sep_token = None
    with pytest.raises(ValueError, match="`tokenizer` must have sep_token_id or eos_token_id"):
        encode_captions(["man"], tokenizer)
