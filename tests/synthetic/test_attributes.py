# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Attributes and carried things agree with the outfit, the pose and the picture."""

from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest

from hulk_hf.synthetic.attributes import ATTRIBUTES, COLOURS, FACTS, attributes_of, colour_name, facts_of
from hulk_hf.synthetic.carried import CARRIED
from hulk_hf.synthetic.effects import sample_light
from hulk_hf.synthetic.person import _visible_keypoints, draw_figure, render_person, sample_figure
from hulk_hf.synthetic.renderer import Camera
from hulk_hf.synthetic.splits import generator
from hulk_hf.synthetic.wardrobe import LIP_LABELS

SIZE = (200, 150)


def portrait(seed: int, shift: float = 0.0, height: float = 2.6, things: bool = True) -> tuple:
    """Somebody alone before nothing: figure, facts, layer and keypoints; the picture is `height` metres high."""
    rng = generator("train", seed)
    figure = sample_figure(rng, "train")
    figure = figure if things else replace(figure, things=())
    middle = (figure.vertices[figure.outline].max(0) + figure.vertices[figure.outline].min(0)) / 2
    camera = Camera(middle, 5.0, focal=5.0 * SIZE[0] / height, centre=(SIZE[1] / 2, SIZE[0] / 2 + shift))
    layer = draw_figure(figure, camera, sample_light(rng), SIZE)
    keypoints = _visible_keypoints(figure, camera, layer, np.zeros(SIZE, bool))
    return figure, facts_of(figure, camera, keypoints, layer.labels, layer.things), layer, keypoints


@pytest.fixture(scope="module")
def portraits() -> list[tuple]:
    return [portrait(seed) for seed in range(80)]


def test_format(people: list[dict]) -> None:
    assert len(ATTRIBUTES) >= 20 and len(set(ATTRIBUTES)) == len(ATTRIBUTES)
    for sample in people:
        assert sample["attributes"].shape == (len(ATTRIBUTES),) and sample["attributes"].dtype == np.int8
        assert set(np.unique(sample["attributes"])) <= {-1, 0, 1}


def test_both_answers_are_common(people: list[dict]) -> None:
    values = np.stack([sample["attributes"] for sample in people])
    for name, column in zip(ATTRIBUTES, values.T, strict=True):
        seen = column[column >= 0]
        assert len(seen) > 50, name
        assert 0.02 < seen.mean() < 0.85, name


def test_facts_are_words_of_their_place(portraits: list[tuple]) -> None:
    for _, facts, _, _ in portraits:
        assert set(facts) == set(FACTS)
        for place, fact in facts.items():
            assert fact is None or set(fact) <= set(FACTS[place]), (place, fact)


def test_what_is_seen_is_worn(portraits: list[tuple]) -> None:
    told = 0
    for figure, facts, layer, _ in portraits:
        worn, kinds = figure.outfit.garments, {thing.kind for thing in figure.things}
        labels = {LIP_LABELS[k] for k in np.unique(layer.labels)}
        for place, label in (("hat", "hat"), ("glasses", "sunglasses"), ("scarf", "scarf")):
            if facts[place] is not None:
                assert (facts[place] != ()) == (place in worn)
                assert (facts[place] == ()) or label in labels
                told += 1
        for kind in CARRIED:
            assert facts[kind] is None or (facts[kind] != ()) == (kind in kinds)
        if facts["gender"]:
            assert (facts["gender"] == ("female",)) == (figure.gender > 0.5)
        if facts["sleeves"]:
            assert facts["sleeves"] == (worn["sleeves"].kind,)
        if facts["upper_colour"]:
            material = figure.outfit.materials[worn.get("coat", worn.get("upper")).material]
            assert material.pattern == "mottled" or colour_name(material.colour) in facts["upper_colour"]
    assert told > 150


def test_most_is_seen_of_a_whole_person(portraits: list[tuple]) -> None:
    for place in ("gender", "upper_colour", "view", "pose", "arms", "handbag"):
        assert np.mean([facts[place] is not None for _, facts, _, _ in portraits]) > 0.75, place


def test_nothing_is_said_of_what_is_out_of_the_picture() -> None:
    """Of people who stand below or above the picture, hats or shoes are unknown."""
    heads = [portrait(seed, shift=0.85 * SIZE[0]) for seed in range(12)]  # only what is high up is left
    legs = [portrait(seed, shift=-0.85 * SIZE[0]) for seed in range(12)]
    for _, facts, _, keypoints in heads:
        assert keypoints[15:, 2].any() or facts["feet_kind"] is None
    for _, facts, _, keypoints in legs:
        assert keypoints[0, 2] or facts["glasses"] is None
    assert all(facts["pose"] is None for _, facts, _, _ in heads[:3])


def test_raised_arms_are_above_the_shoulders(portraits: list[tuple]) -> None:
    seen = {True: 0, False: 0}
    for figure, facts, _, _ in portraits:
        if facts["arms"] is not None:
            raised = (figure.keypoints[9:11, 2] - figure.keypoints[5:7, 2]).max() > 0.06 * figure.height / 1.7
            assert raised == (facts["arms"] == ("raised",))
            seen[bool(raised)] += 1
    assert min(seen.values()) > 10


def test_the_view_follows_the_face(portraits: list[tuple]) -> None:
    """Both shoulders' order in the picture tells front from back: the left one is on the right of who faces us."""
    for _, facts, _, keypoints in portraits:
        if facts["view"] in (("front",), ("back",)) and facts["pose"] == ("standing",):
            facing = keypoints[5, 0] > keypoints[6, 0]
            assert facing == (facts["view"] == ("front",))


def test_carried_things_are_drawn_where_they_belong(portraits: list[tuple]) -> None:
    """All kinds occur; things hide parts, and those in a hand are near a wrist."""
    seen = dict.fromkeys(CARRIED, 0)
    for figure, _, layer, keypoints in portraits:
        assert (layer.labels[layer.things > 0] == 0).all()
        assert (layer.alpha[layer.things > 0] >= 0.5).all()
        for index, thing in enumerate(figure.things):
            mask = layer.things == index + 1
            if not mask.any():
                continue
            seen[thing.kind] += 1
            if thing.kind in ("phone", "handbag", "umbrella"):
                wrists = keypoints[9:11][keypoints[9:11, 2] > 0, :2]
                if len(wrists) == 2:
                    places = np.argwhere(mask)[:, ::-1]
                    gap = np.linalg.norm(places[:, None] - wrists[None], axis=-1).min()
                    longest = {"umbrella": 0.7, "handbag": 0.45, "phone": 0.25}[
                        thing.kind
                    ]  # metres; sticks are too thin to count
                    assert gap < longest * SIZE[0] / 2.6, thing.kind
    assert min(seen.values()) >= 3, seen


def test_things_hide_what_is_behind_them_and_nothing_else(portraits: list[tuple]) -> None:
    hiding = 0
    for seed, (figure, _, layer, _) in enumerate(portraits[:40]):
        bare = portrait(seed, things=False)[2]
        seen = layer.things > 0
        assert seen.any() <= bool(figure.things)
        np.testing.assert_array_equal(layer.labels[~seen], bare.labels[~seen])
        assert (layer.depth[seen] <= bare.depth[seen] + 0.011).all()
        hiding += (bare.labels[seen] > 0).sum()
    assert hiding > 1000


def test_backpacks_are_on_the_back(portraits: list[tuple]) -> None:
    shares = {"front": [], "back": []}
    for figure, facts, layer, _ in portraits:
        for index, thing in enumerate(figure.things):
            if thing.kind == "backpack" and facts["view"] in (("front",), ("back",)):
                shares[facts["view"][0]].append((layer.things == index + 1).sum() / (layer.labels > 0).sum())
    assert np.mean(shares["back"]) > 3 * np.mean(shares["front"])


def test_colours_have_their_names() -> None:
    named = {
        (10, 10, 12): "black",
        (128, 128, 130): "gray",
        (245, 245, 240): "white",
        (200, 20, 30): "red",
        (30, 60, 200): "blue",
        (20, 140, 50): "green",
        (240, 220, 40): "yellow",
        (245, 140, 20): "orange",
        (110, 70, 40): "brown",
        (130, 40, 170): "purple",
        (250, 150, 170): "pink",
    }
    assert set(named.values()) == set(COLOURS)
    assert {colour: colour_name(colour) for colour in named} == named
    wheel = {colour_name(tuple(255 * c for c in colorsys.hsv_to_rgb(h / 360, 0.9, 0.9))) for h in range(360)}
    assert wheel == set(COLOURS) - {"black", "gray", "white", "brown"}


def test_unseen_is_minus_one() -> None:
    facts = dict.fromkeys(FACTS) | {"hat": (), "gender": ("female",), "upper_colour": ("white", "red")}
    answers = dict(zip(ATTRIBUTES, attributes_of(facts).tolist(), strict=True))
    assert answers["female"] == 1 and answers["with a hat"] == 0 and answers["with boots"] == -1
    assert answers["with white upper-clothes"] == answers["with red upper-clothes"] == 1
    assert answers["with blue upper-clothes"] == 0


def test_black_and_white_pictures_have_no_colours() -> None:
    rng = generator("train", 0)
    figure = sample_figure(rng, "train")
    camera = Camera(figure.vertices[figure.outline].mean(0), 5.0, focal=380.0, centre=(75.0, 100.0))
    layer = draw_figure(figure, camera, sample_light(rng), SIZE)
    keypoints = _visible_keypoints(figure, camera, layer, np.zeros(SIZE, bool))
    grey = np.full((*SIZE, 3), 90, np.uint8)
    colourful = grey + np.array([60, 0, 20], np.uint8)
    for image, known in ((grey, False), (colourful, True)):
        facts = facts_of(figure, camera, keypoints, layer.labels, layer.things, image)
        assert (facts["upper_colour"] is not None) == known
        assert facts["upper_kind"] is not None


def test_same_seed_same_attributes() -> None:
    first, again = (render_person(11, "test", (96, 72)) for _ in range(2))
    np.testing.assert_array_equal(first["attributes"], again["attributes"])
    assert first["captions"] == again["captions"]
