# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Captions of synthetic people, made from facts, and read back into slots.

Captions are lower-case and without punctuation, as training sees captions (`training.md` 4.8). All captions of a
person say the same slots in other words and another order, so that a written caption can be compared slot by slot.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .attributes import COLOURS, FACTS, Facts
from .carried import CARRIED

CAPTIONS_PER_PERSON = 3
MOST_WORDS = 38  # of a caption: with start and end it fits the 40 that Hulk reads and writes
LONGEST_CAPTION = 320  # characters
TOKENIZER_PATH = Path(__file__).parent / "data" / "tokenizer"

# What a caption may say, and the values of each slot. Several colours or things are joined by " and ", in the order of
# `attributes.COLOURS` and `carried.CARRIED`.
SLOTS: dict[str, tuple[str, ...]] = {
    "person": ("man", "woman", "boy", "girl", "person"),
    "hair_length": FACTS["hair_length"],
    "hair_colour": FACTS["hair_colour"],
    "hat": FACTS["hat"],
    "glasses": FACTS["glasses"],
    "upper_kind": (*FACTS["upper_kind"], "top"),
    "upper_colour": COLOURS,
    "upper_pattern": FACTS["upper_pattern"][1:],
    "lower_kind": ("trousers", "shorts", "skirt"),
    "lower_colour": COLOURS,
    "feet_kind": FACTS["feet_kind"],
    "feet_colour": COLOURS,
    "carried": CARRIED,
    "pose": FACTS["pose"][:-1],
    "view": FACTS["view"],
}

# Value -> words that say it. The first word is read back to the value like every other.
_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "person": {
        "man": ("man", "man", "guy", "gentleman"),
        "woman": ("woman", "woman", "lady"),
        "boy": ("boy",),
        "girl": ("girl",),
        "person": ("person", "pedestrian"),
    },
    "hat": {"hat": ("hat", "hat", "cap")},
    "glasses": {"sunglasses": ("sunglasses", "sunglasses", "glasses")},
    "upper_kind": {
        "vest": ("vest", "singlet"),
        "t-shirt": ("t-shirt", "tee"),
        "shirt": ("shirt", "shirt", "blouse"),
        "sweater": ("sweater", "pullover"),
        "jacket": ("jacket",),
        "coat": ("coat", "coat", "overcoat"),
        "dress": ("dress", "dress", "gown"),
        "jumpsuit": ("jumpsuit", "overall"),
        "top": ("top",),
    },
    "upper_pattern": {
        "striped": ("striped", "striped", "stripy"),
        "checked": ("checked", "plaid"),
        "dotted": ("dotted", "spotted"),
        "mottled": ("mottled", "patterned"),
    },
    "lower_kind": {"trousers": ("trousers", "pants"), "shorts": ("shorts",), "skirt": ("skirt",)},
    "feet_kind": {"bare": ("barefoot",), "socks": ("socks",), "shoes": ("shoes", "sneakers"), "boots": ("boots",)},
    "colour": {name: (name,) for name in COLOURS} | {"gray": ("gray", "grey")},
    "hair_colour": {name: (name,) for name in FACTS["hair_colour"]}
    | {"gray": ("gray", "grey"), "blond": ("blond", "blonde")},
    "hair_length": {"bald": ("bald",), "short": ("short",), "long": ("long",)},
    "carried": {
        "backpack": ("a backpack", "a backpack", "a rucksack"),
        "shoulder bag": ("a shoulder bag", "a sling bag"),
        "handbag": ("a handbag", "a handbag", "a purse"),
        "umbrella": ("an umbrella", "an umbrella", "a parasol"),
        "phone": ("a phone", "a phone", "a smartphone"),
    },
    "pose": {
        "standing": ("standing",),
        "walking": ("walking", "strolling"),
        "running": ("running", "jogging"),
        "sitting": ("sitting", "seated"),
        "crouching": ("crouching", "squatting"),
        "kneeling": ("kneeling",),
        "lunging": ("lunging",),
        "jumping": ("jumping", "leaping"),
        "kicking": ("kicking",),
        "bending": ("bending", "stooping"),
        "lying": ("lying",),
    },
    "view": {
        "front": ("seen from the front", "facing the camera"),
        "side": ("seen from the side", "in profile"),
        "back": ("seen from behind", "facing away"),
    },
}
# Words by which a text is read; `bag` and `facing` depend on their neighbours.
_NOUNS = {
    word: (slot, value)
    for slot in ("person", "hat", "glasses", "upper_kind", "lower_kind", "feet_kind", "pose")
    for value, words in _WORDS[slot].items()
    for word in words
}
_NOUNS |= {
    words.split()[-1]: ("carried", value)
    for value, choices in _WORDS["carried"].items()
    for words in choices
    if value != "shoulder bag"
}
_NOUNS |= {"bag": ("carried", "shoulder bag"), "bald": ("hair_length", "bald"), "hair": ("hair", "hair")}
_NOUNS |= {"front": ("view", "front"), "camera": ("view", "front"), "side": ("view", "side")}
_NOUNS |= {"profile": ("view", "side"), "behind": ("view", "back"), "away": ("view", "back")}
_COLOUR_WORDS = {word: value for value, words in _WORDS["colour"].items() for word in words}
_HAIR_COLOUR_WORDS = {word: value for value, words in _WORDS["hair_colour"].items() for word in words}
_PATTERN_WORDS = {word: value for value, words in _WORDS["upper_pattern"].items() for word in words}
_PRONOUNS = {"man": "he", "boy": "he", "woman": "she", "girl": "she", "person": "this person"}


def normalise(text: str) -> str:
    """Text as training sees it: lower-case, `. ! " ( ) * # : ; ~` and repeated spaces gone (spec: model.md 5.7)."""
    return " ".join(re.sub(r"[.!\"()*#:;~]", " ", text.lower()).split())


def _person(facts: Facts) -> str:
    if facts["gender"] is None or facts["age"] is None:
        return "person"
    female, child = facts["gender"] == ("female",), facts["age"] == ("child",)
    return ("girl" if female else "boy") if child else ("woman" if female else "man")


def slots_of(facts: Facts) -> dict[str, str]:
    """What a caption of somebody with these facts says: a value for each slot that can be spoken of (see `SLOTS`)."""
    slots = {"person": _person(facts)}
    for slot in ("hair_length", "hair_colour", "hat", "glasses", "feet_kind", "feet_colour", "upper_kind", "view"):
        if facts[slot]:
            slots[slot] = facts[slot][0]
    if facts["upper_pattern"]:
        slots.setdefault("upper_kind", "top")
        if facts["upper_pattern"] != ("plain",):
            slots["upper_pattern"] = facts["upper_pattern"][0]
    if facts["lower_kind"] and facts["lower_kind"][0] in SLOTS["lower_kind"]:
        slots["lower_kind"] = facts["lower_kind"][0]
    for place in ("upper", "lower"):
        if f"{place}_kind" in slots and facts[f"{place}_colour"]:
            slots[f"{place}_colour"] = " and ".join(facts[f"{place}_colour"])
    if carried := [kind for kind in CARRIED if facts[kind]]:
        slots["carried"] = " and ".join(carried)
    if facts["pose"] and facts["pose"] != ("other",):
        slots["pose"] = facts["pose"][0]
    return slots


def _with_article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


class _Writer:
    """Says slots in words, each time in words drawn anew."""

    def __init__(self, slots: dict[str, str], rng: np.random.Generator):
        self.slots, self.rng = slots, rng

    def _say(self, slot: str, value: str | None = None) -> str:
        words = _WORDS[slot][value or self.slots[slot]]
        return words[int(self.rng.integers(len(words)))]

    def _colours(self, slot: str) -> str:
        """The colours of a slot, with a space behind them, or nothing if they can't be seen."""
        names = self.slots[slot].split(" and ") if slot in self.slots else []
        return self._listed([self._say("colour", name) for name in names]) + " " * bool(names)

    def _listed(self, phrases: list[str]) -> str:
        return " and ".join(phrases)

    def person(self) -> str:
        return f"a {self._say('person')}"

    def hair(self) -> str:
        """E.g. "long black hair", "a bald head", or nothing."""
        if self.slots.get("hair_length") == "bald":
            return "a bald head"
        if "hair_length" not in self.slots:
            return ""
        colour = f"{self._say('hair_colour')} " if "hair_colour" in self.slots else ""
        return f"{self.slots['hair_length']} {colour}hair"

    def head(self) -> list[str]:
        """Hat and glasses."""
        hat = [f"a {self._say('hat')}"] if "hat" in self.slots else []
        return hat + ([self._say("glasses")] if "glasses" in self.slots else [])

    def clothes(self) -> str:
        """What is worn from neck to feet, e.g. "a red and blue striped shirt black trousers and white shoes"."""
        slots, phrases = self.slots, []
        if "upper_kind" in slots:
            pattern = f"{self._say('upper_pattern')} " if "upper_pattern" in slots else ""
            look = f"{self._colours('upper_colour')}{pattern}{self._say('upper_kind')}"
            phrases.append(_with_article(look))
        if "lower_kind" in slots:
            look = f"{self._colours('lower_colour')}{self._say('lower_kind')}"
            phrases.append(_with_article(look) if slots["lower_kind"] == "skirt" else look)
        if slots.get("feet_kind") not in (None, "bare"):
            phrases.append(f"{self._colours('feet_colour')}{self._say('feet_kind')}")
        return self._listed([" ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 2 else phrases)

    def carried(self) -> str:
        """Carried things."""
        kinds = self.slots["carried"].split(" and ") if "carried" in self.slots else []
        order = self.rng.permutation(len(kinds))
        return self._listed([self._say("carried", kinds[k]) for k in order])

    def pose(self) -> str:
        """E.g. "walking", or nothing."""
        return self._say("pose") if "pose" in self.slots else ""

    def view(self) -> str:
        """E.g. "seen from behind", or nothing."""
        return self._say("view") if "view" in self.slots else ""

    def barefoot(self) -> str:
        """The word "barefoot", or nothing."""
        return "barefoot" if self.slots.get("feet_kind") == "bare" else ""

    def _wearing(self, verb: str, *things: str) -> str:
        said = [thing for thing in things if thing]
        return f"{verb} {self._listed(said)}" if said else ""

    def plainly(self) -> str:
        """Somebody with hair wearing clothes is doing something seen from somewhere."""
        hair, pose, carried = self.hair(), self.pose(), self.carried()
        return " ".join(
            [
                self.person(),
                hair and f"with {hair}",
                self._wearing(str(self.rng.choice(["wearing", "in"])), self.clothes(), *self.head()),
                pose and f"is {pose}",
                self.barefoot(),
                carried and f"{self.rng.choice(['carrying', 'with'])} {carried}",
                self.view(),
            ]
        )

    def in_two_sentences(self) -> str:
        """What somebody is doing; what the person wears."""
        pose, carried, hair = self.pose(), self.carried(), self.hair()
        pronoun = _PRONOUNS[self.slots["person"]]
        rest = self._wearing("wears", *self.head(), self.clothes())
        return " ".join(
            [
                self.person(),
                pose,
                self.barefoot(),
                self.view(),
                hair and f"{pronoun} has {hair}",
                rest and (f"and {rest}" if hair else f"{pronoun} {rest}"),
                carried and f"and carries {carried}" if hair or rest else carried and f"with {carried}",
            ]
        )

    def from_the_view(self) -> str:
        """Seen from somewhere, somebody who does something."""
        pose, hair, carried = self.pose(), self.hair(), self.carried()
        things = self._listed([thing for thing in (hair, *self.head(), carried) if thing])
        return " ".join(
            [
                self.view(),
                f"a {pose} {self._say('person')}" if pose else self.person(),
                self.barefoot(),
                self._wearing("dressed in", self.clothes()),
                things and f"with {things}",
            ]
        )


# What a caption that gets too long leaves out, first to last.
_LEAST_SAID = ("feet_kind", "upper_pattern", "glasses", "hat", "hair_length", "lower_kind", "carried")


def captions_of(facts: Facts, rng: np.random.Generator) -> list[str]:
    """`CAPTIONS_PER_PERSON` captions that say the same, `slots_of(facts)`, in other words.

    Args:
        facts: what `attributes.facts_of` returned.
        rng: source of randomness.

    Returns:
        Captions of at most `MOST_WORDS` words and `LONGEST_CAPTION` characters.
    """
    slots = slots_of(facts)
    while True:
        writer = _Writer(slots, rng)
        templates = writer.plainly, writer.in_two_sentences, writer.from_the_view
        captions = [" ".join(template().split()) for template in templates]
        if max(len(caption.split()) for caption in captions) <= MOST_WORDS:
            return captions
        drop = next(slot for slot in _LEAST_SAID if slot in slots)
        gone = drop.removesuffix("kind") + "colour" if drop.endswith("_kind") else drop.replace("length", "colour")
        slots = {slot: value for slot, value in slots.items() if slot not in (drop, gone)}


def read_slots(text: str) -> dict[str, str]:
    """Reads a caption back: the slots that it says, as in `slots_of`; unknown words are passed over.

    Colours and a pattern count for the next garment or hair. If a slot is said twice, the first time counts, except
    for carried things, which add up.
    """
    slots: dict[str, str] = {}
    carried: set[str] = set()
    colours: list[str] = []
    lengths: list[str] = []
    patterns: list[str] = []
    for word in normalise(text).replace(",", " ").split():
        if word in _COLOUR_WORDS or word in _HAIR_COLOUR_WORDS:
            colours.append(word)
        elif word in _PATTERN_WORDS:
            patterns.append(_PATTERN_WORDS[word])
        elif word in ("long", "short"):
            lengths.append(word)
        elif word in _NOUNS:
            slot, value = _NOUNS[word]
            if slot == "carried":
                carried.add(value)
            elif slot == "hair":
                _fill(slots, "hair_length", lengths[-1:])
                _fill(slots, "hair_colour", [_HAIR_COLOUR_WORDS[c] for c in colours if c in _HAIR_COLOUR_WORDS][-1:])
            else:
                if slot.endswith("_kind") and slot not in slots:
                    names = {_COLOUR_WORDS[colour] for colour in colours if colour in _COLOUR_WORDS}
                    _fill(slots, slot.replace("kind", "colour"), [name for name in COLOURS if name in names])
                    if slot == "upper_kind":
                        _fill(slots, "upper_pattern", patterns[-1:])
                _fill(slots, slot, [value])
            colours, lengths, patterns = [], [], []
        elif word != "and":
            colours, lengths, patterns = [], [], []
    _fill(slots, "carried", [kind for kind in CARRIED if kind in carried])
    return slots


def _fill(slots: dict[str, str], slot: str, values: list[str]) -> None:
    """Notes what a slot says, if it says anything and didn't before."""
    if values:
        slots.setdefault(slot, " and ".join(values))


def vocabulary() -> list[str]:
    """All words that captions and slot values are made of, sorted."""
    said = {word for slot in _WORDS.values() for words in slot.values() for phrase in words for word in phrase.split()}
    said |= {word for values in SLOTS.values() for value in values for word in value.split()}
    glue = "a an and with wearing in is has wears carries carrying dressed he she this head hair seen from the"
    return sorted(said | set(glue.split()) | set(_NOUNS))


__all__ = [
    "CAPTIONS_PER_PERSON",
    "LONGEST_CAPTION",
    "MOST_WORDS",
    "SLOTS",
    "TOKENIZER_PATH",
    "captions_of",
    "normalise",
    "read_slots",
    "slots_of",
    "vocabulary",
]
