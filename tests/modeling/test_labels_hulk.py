# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The label vocabularies: how many, in which order, and what the released text features say of that order."""

from __future__ import annotations

import math

import pytest

from hulk_hf.modeling import labels_action_hulk as action
from hulk_hf.modeling import labels_attributes_hulk as attributes
from hulk_hf.modeling import labels_parsing_hulk as parsing
from hulk_hf.modeling.tasks_hulk import mirror_pairs

COUNTS = {
    parsing: {
        "LIP_LABELS": 20,
        "CIHP_LABELS": 20,
        "H36M_PARTS_LABELS": 25,
        "MODANET_LABELS": 14,
        "DEEPFASHION2_LABELS": 14,
    },
    attributes: {
        "RAPV2_LABELS": 54,
        "PA100K_LABELS": 26,
        "PARSE27K_LABELS": 44,
        "MARKET_LABELS": 30,
        "HARDHC_LABELS": 14,
        "LUPERSON_LABELS": 52,
        "ATTRIBUTES_JOINT_LABELS": 168,
        "ATTRIBUTES_LUPERSON_LABELS": 104,
    },
    action: {
        "NTU60_LABELS": 60,
        "NTU120_LABELS": 120,
        "GYM99_LABELS": 99,
        "DIVING48_LABELS": 48,
        "UCF101_LABELS": 101,
        "KINETICS400_LABELS": 400,
        "ACTION_NTU_GYM_LABELS": 279,
        "ACTION_KINETICS_LABELS": 549,
    },
}
VOCABULARIES = [(module, name, count) for module, counts in COUNTS.items() for name, count in counts.items()]
# Whose labels a tuple of ratios belongs to, where it isn't the same name.
LABELS_OF_RATIOS = {"VIP_RATIOS": "CIHP_LABELS", "PAPERDOLL_RATIOS": "CIHP_LABELS"}
JOINT = [
    (attributes, "ATTRIBUTES_JOINT"),
    (attributes, "ATTRIBUTES_LUPERSON"),
    (action, "ACTION_NTU_GYM"),
    (action, "ACTION_KINETICS"),
]
SPACE_LABELS = {
    "market": attributes.MARKET_LABELS,
    "luperson_a": attributes.LUPERSON_LABELS,
    "luperson_b": attributes.LUPERSON_LABELS,
} | {
    name.removesuffix("_LABELS").lower(): getattr(module, name)
    for module, name, _ in VOCABULARIES
    if not name.startswith(("ATTRIBUTES", "ACTION"))
}


@pytest.mark.parametrize("module, name, count", VOCABULARIES, ids=[name for _, name, _ in VOCABULARIES])
def test_vocabularies_are_distinct_names(module, name, count):
    labels = getattr(module, name)
    assert isinstance(labels, tuple) and len(labels) == len(set(labels)) == count
    assert all(label == label.strip() and label.isascii() and "  " not in label for label in labels)


@pytest.mark.parametrize("module", COUNTS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_vocabulary_is_counted_here(module):
    assert {name for name in module.__all__ if name.endswith("_LABELS")} == set(COUNTS[module])


@pytest.mark.parametrize("module", [parsing, attributes])
def test_ratios_are_one_share_per_label(module):
    names = [name for name in module.__all__ if name.endswith("_RATIOS")]
    assert len(names) >= 7
    for name in names:
        ratios = getattr(module, name)
        labels = getattr(module, LABELS_OF_RATIOS.get(name, name.replace("_RATIOS", "_LABELS")))
        assert len(ratios) == len(labels), name
        assert all(isinstance(ratio, float) and 0 <= ratio <= 1 for ratio in ratios), name


@pytest.mark.parametrize("module, prefix", JOINT, ids=[prefix for _, prefix in JOINT])
def test_label_spaces_tile_the_joint_labels(module, prefix):
    labels = getattr(module, f"{prefix}_LABELS")
    spaces = getattr(module, f"{prefix}_LABEL_SPACES")
    position = 0
    for space, (begin, end) in spaces.items():
        assert begin == position
        assert labels[begin:end] == tuple(f"{space}: {label}" for label in SPACE_LABELS[space])
        position = end
    assert position == len(labels)


# Parsing


def test_mirrored_parts_are_the_official_pairs():
    assert mirror_pairs(parsing.H36M_PARTS_LABELS) == parsing.H36M_PARTS_FLIP_PAIRS
    assert mirror_pairs(parsing.LIP_LABELS) == mirror_pairs(parsing.CIHP_LABELS) == ((14, 15), (16, 17), (18, 19))
    assert mirror_pairs(parsing.MODANET_LABELS) == mirror_pairs(parsing.DEEPFASHION2_LABELS) == ()


def test_parts_are_where_the_release_has_them():
    differing = [pair for pair in zip(parsing.LIP_LABELS, parsing.CIHP_LABELS, strict=True) if len(set(pair)) == 2]
    assert differing == [("jumpsuits", "torso skin")] and parsing.CIHP_LABELS[10] == "torso skin"
    human36m = parsing.H36M_PARTS_LABELS
    assert (human36m[3], human36m[6], human36m[13], human36m[20]) == ("right foot", "left foot", "crotch", "head")
    fashion = parsing.DEEPFASHION2_LABELS
    assert (fashion[0], fashion[7], fashion[9]) == ("background", "shorts", "skirt")


@pytest.mark.parametrize("name", [name for name in parsing.__all__ if name.endswith("_RATIOS")])
def test_background_is_always_there(name):
    assert getattr(parsing, name)[0] == 1


@pytest.mark.parametrize("name", ["LIP_RATIOS", "CIHP_RATIOS", "VIP_RATIOS", "PAPERDOLL_RATIOS", "H36M_PARTS_RATIOS"])
def test_both_sides_of_a_part_are_equally_frequent(name):
    """The flip of the training pictures makes them so."""
    ratios = getattr(parsing, name)
    labels = getattr(parsing, LABELS_OF_RATIOS.get(name, name.replace("_RATIOS", "_LABELS")))
    assert all(ratios[left] == ratios[right] for left, right in mirror_pairs(labels))


# Attributes


def test_attributes_are_where_the_release_has_them():
    labels, spaces = attributes.ATTRIBUTES_JOINT_LABELS, attributes.ATTRIBUTES_JOINT_LABEL_SPACES
    begin = spaces["pa100k"][0]
    assert labels[begin + 1] == "pa100k: with glasses"
    # The rows for which the release has a third phrase, "gender unknown".
    assert [labels[row] for row in (39, 76, 119)] == ["rapv2: female", "pa100k: female", "parse27k: female"]
    assert attributes.PARSE27K_LABELS == attributes.RAPV2_LABELS[:44]
    assert attributes.LUPERSON_LABELS[46] == "bag" and attributes.HARDHC_LABELS[0] == "male"


def test_joint_ratios_follow_the_joint_labels():
    ratio = dict(zip(attributes.ATTRIBUTES_JOINT_LABELS, attributes.ATTRIBUTES_JOINT_RATIOS, strict=True))
    assert ratio["rapv2: with a bald head"] == 0.00172477 and ratio["hardhc: with stripe clothes"] == 0.00677998
    assert ratio["pa100k: with glasses"] == 0.0714522 and ratio["market: an adult"] == 0.01074562
    # Each of these is a choice of exactly one, so the shares of PA-100K's pictures in all pictures agree.
    views = sum(ratio[f"pa100k: in the {side} position"] for side in ("front", "side", "back"))
    sleeves = sum(ratio[f"pa100k: with {length} sleeves"] for length in ("short", "long"))
    ages = sum(ratio[f"pa100k: age {years}"] for years in ("greater than 60", "between 18 and 60", "less than 18"))
    share = 90_000 / (67_943 + 90_000 + 27_482 + 12_936 + 28_336)
    assert all(math.isclose(total, share, abs_tol=1e-3) for total in (views, sleeves, ages))
    assert attributes.ATTRIBUTES_LUPERSON_RATIOS[:52] == attributes.ATTRIBUTES_LUPERSON_RATIOS[52:]


def test_each_set_of_the_joint_task_has_a_weight():
    assert list(attributes.ATTRIBUTES_JOINT_WEIGHTS) == list(attributes.ATTRIBUTES_JOINT_LABEL_SPACES)
    assert list(attributes.ATTRIBUTES_JOINT_WEIGHTS.values()) == [0.5, 0.25, 1, 1, 1]


# Actions


def test_the_same_names_are_the_same_rows_of_the_release():
    """Equal rows of the released text features (NTU120, Kinetics-400) are all the names that the two sets share."""
    ntu, kinetics = action.NTU120_LABELS, action.KINETICS400_LABELS
    shared = {(ntu.index(name), kinetics.index(name)) for name in set(ntu) & set(kinetics)}
    assert shared == {(2, 37), (3, 36), (9, 57), (11, 396), (73, 74), (74, 81), (101, 302)}
    assert set(ntu) & set(action.UCF101_LABELS) == {"brushing teeth"}
    assert ntu[2] == action.UCF101_LABELS[19] == kinetics[37] == "brushing teeth"


def test_action_classes_are_in_their_official_order():
    assert action.NTU60_LABELS == action.NTU120_LABELS[:60]
    ntu = {number: action.NTU120_LABELS[number - 1] for number in (1, 60, 61, 102, 120)}
    assert ntu[1] == "drink water" and ntu[60] == "walking apart from each other"
    assert ntu[61] == "put on headphone" and ntu[102] == "side kick" and ntu[120].startswith("finger-guessing game")
    assert list(action.KINETICS400_LABELS) == sorted(action.KINETICS400_LABELS)
    assert list(action.UCF101_LABELS) == sorted(action.UCF101_LABELS, key=lambda name: name.replace(" ", ""))
    take_offs = [label.partition(",")[0] for label in action.DIVING48_LABELS]
    assert [take_offs.count(name) for name in ("back", "forward", "inward", "reverse")] == [17, 14, 6, 11]
    assert take_offs == sorted(take_offs)


def test_gymnastics_goes_by_event():
    events = [label[:4] for label in action.GYM99_LABELS]
    order = ["(VT)", "(FX)", "(BB)", "(UB)"]
    assert [events.count(event) for event in order] == [6, 35, 33, 25]
    assert events == sorted(events, key=order.index)
