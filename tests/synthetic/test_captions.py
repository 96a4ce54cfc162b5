# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Captions say what the facts say, can be read back, and are made of words of their tokenizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer

from hulk_hf.synthetic.attributes import ATTRIBUTES, FACTS
from hulk_hf.synthetic.build_tokenizer import MAX_LENGTH, build_tokenizer
from hulk_hf.synthetic.captions import (
    CAPTIONS_PER_PERSON,
    LONGEST_CAPTION,
    MOST_WORDS,
    SLOTS,
    TOKENIZER_PATH,
    captions_of,
    normalise,
    read_slots,
    slots_of,
    vocabulary,
)
from hulk_hf.synthetic.dataset import render_arrays


def random_facts(rng: np.random.Generator) -> dict:
    """Facts at random: unseen, missing, or one word or two."""
    facts = {}
    for place, words in FACTS.items():
        several = 2 if place in ("upper_colour", "lower_colour") and rng.random() < 0.3 else 1
        words_drawn = tuple(words[k] for k in sorted(rng.choice(len(words), several, replace=False)))
        facts[place] = None if rng.random() < 0.2 else words_drawn
    for place in ("hat", "glasses", "scarf", "arms", "backpack", "shoulder bag", "handbag", "umbrella", "phone"):
        if facts[place] and rng.random() < 0.6:
            facts[place] = ()
    for place in ("upper", "lower", "feet"):  # a colour is that of something
        if facts[f"{place}_kind"] is None:
            facts[f"{place}_colour"] = None
    if facts["upper_kind"] is None:
        facts["upper_pattern"] = None
    elif facts["upper_pattern"] is None:
        facts["upper_pattern"] = ("plain",)
    if facts["hair_length"] in (None, ("bald",)):
        facts["hair_colour"] = None
    if facts["feet_kind"] == ("bare",):
        facts["feet_colour"] = None
    return facts


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(TOKENIZER_PATH)


def test_captions_are_read_back_to_their_facts() -> None:
    rng = np.random.default_rng(0)
    whole, differing = 0, set()
    for _ in range(400):
        facts = random_facts(rng)
        slots, captions = slots_of(facts), captions_of(facts, rng)
        assert len(captions) == CAPTIONS_PER_PERSON
        read = [read_slots(caption) for caption in captions]
        assert read[0] == read[1] == read[2], captions
        assert read[0].items() <= slots.items(), (captions, slots)
        whole += read[0] == slots
        differing |= {len(set(captions))}
    assert whole > 300  # the others left something out because they got too long
    assert 3 in differing


def test_captions_of_people_are_read_back(people: list[dict]) -> None:
    for sample in people:
        read = [read_slots(caption) for caption in sample["captions"]]
        assert read[0] == read[1] == read[2], sample["captions"]
        answers = dict(zip(ATTRIBUTES, sample["attributes"].tolist(), strict=True))
        assert (read[0].get("hat") == "hat") <= (answers["with a hat"] == 1)
        assert ("backpack" in read[0].get("carried", "")) <= (answers["with a backpack"] == 1)
        assert (read[0]["person"] in ("woman", "girl")) == (answers["female"] == 1)
        assert (read[0].get("view") == "front") == (answers["in the front position"] == 1)
    assert len({caption for sample in people for caption in sample["captions"]}) > 2.5 * len(people)


def test_values_of_slots_are_known(people: list[dict]) -> None:
    said = {slot: set() for slot in SLOTS}
    for sample in people:
        for slot, value in read_slots(sample["captions"][0]).items():
            said[slot] |= set(value.split(" and "))
    for slot, values in said.items():
        assert values <= set(SLOTS[slot]), slot
        assert values, slot


def test_reading_goes_by_meaning() -> None:
    text = "A lady, with LONG blonde hair; wears a white and grey plaid blouse (red pants) and carries a purse!"
    assert read_slots(text) == {
        "person": "woman",
        "hair_length": "long",
        "hair_colour": "blond",
        "upper_kind": "shirt",
        "upper_colour": "gray and white",
        "upper_pattern": "checked",
        "lower_kind": "trousers",
        "lower_colour": "red",
        "carried": "handbag",
    }
    assert read_slots("a red balloon over a shirt") == {"upper_kind": "shirt"}
    assert read_slots("") == {}
    assert read_slots("a man with a purse and a shoulder bag and a purse")["carried"] == "shoulder bag and handbag"
    assert read_slots("a man in a red shirt and a blue shirt")["upper_colour"] == "red"


def test_captions_are_normalised_and_short(people: list[dict]) -> None:
    for sample in people:
        for caption in sample["captions"]:
            assert normalise(caption) == caption and "," not in caption
            assert len(caption.split()) <= MOST_WORDS and len(caption) <= LONGEST_CAPTION
    assert normalise('A "Man".  (tall)  #1: * ; ~ t-shirt!') == "a man tall 1 t-shirt"


def test_special_tokens(tokenizer) -> None:
    assert len(tokenizer) <= 400
    names = ("pad_token_id", "unk_token_id", "cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id")
    assert [getattr(tokenizer, name) for name in names] == [0, 1, 2, 3, 2, 3]
    assert tokenizer("a man")["input_ids"][0] == 2 and tokenizer("a man")["input_ids"][-1] == 3
    assert tokenizer.convert_tokens_to_ids("zebra") == 1


def test_round_trip(tokenizer, people: list[dict]) -> None:
    for sample in people:
        batch = tokenizer(sample["captions"], padding="max_length", max_length=MAX_LENGTH)["input_ids"]
        assert {len(ids) for ids in batch} == {MAX_LENGTH}
        assert not any(tokenizer.unk_token_id in ids for ids in batch)
        assert tokenizer.batch_decode(batch, skip_special_tokens=True) == sample["captions"]


def test_every_word_of_a_slot_has_a_token(tokenizer) -> None:
    words = set(vocabulary()) | {word for values in SLOTS.values() for value in values for word in value.split()}
    assert all(tokenizer.convert_tokens_to_ids(word) != tokenizer.unk_token_id for word in words)
    assert tokenizer.decode(tokenizer("A Man, SITTING!")["input_ids"], skip_special_tokens=True) == "a man sitting"


def test_the_stored_tokenizer_is_the_built_one(tmp_path: Path) -> None:
    build_tokenizer(tmp_path)
    for path in TOKENIZER_PATH.iterdir():
        assert path.read_text() == (tmp_path / path.name).read_text()


def test_arrays_hold_attributes_and_captions(tmp_path: Path) -> None:
    from hulk_hf.synthetic.person import render_person

    arrays = render_arrays("test", 3, num_proc=1, directory=tmp_path, image_size=(64, 48), progress=False)
    assert arrays.attributes.shape == (3, len(ATTRIBUTES)) and arrays.attributes.dtype == np.int8
    for index in range(3):
        sample = render_person(index, "test", (64, 48))
        np.testing.assert_array_equal(arrays.attributes[index], sample["attributes"])
        assert [caption.decode() for caption in arrays.captions[index]] == sample["captions"]
