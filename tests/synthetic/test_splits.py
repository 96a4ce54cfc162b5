# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Splits have no bodies, colours, directions, poses or held-out backgrounds in common."""

from __future__ import annotations

import colorsys
from itertools import combinations

import numpy as np
import pytest

from hulk_hf.synthetic import backgrounds
from hulk_hf.synthetic.body import load_body
from hulk_hf.synthetic.outfits import garment_colour, sample_outfit
from hulk_hf.synthetic.poses import GESTURES, HELD_OUT_GESTURES, sample_pose
from hulk_hf.synthetic.splits import SPLITS, banded, body_indices, generator, split_of_band
from hulk_hf.synthetic.stances import HELD_OUT_STANCES, STANCES
from hulk_hf.synthetic.wardrobe import LIP_LABELS, compile_outfit


def test_every_body_belongs_to_one_split() -> None:
    count = len(load_body().coefficients)
    owned = [set(body_indices(split, count).tolist()) for split in SPLITS]
    assert set.union(*owned) == set(range(count))
    assert all(not a & b for a, b in combinations(owned, 2))
    assert all(len(bodies) > 100 for bodies in owned)


@pytest.mark.parametrize("bands", [32, 64])
@pytest.mark.parametrize("split", SPLITS)
def test_bands_belong_to_their_split(split: str, bands: int) -> None:
    rng = np.random.default_rng(0)
    positions = [banded(rng, split, bands) for _ in range(500)]
    assert {split_of_band(p, bands) for p in positions} == {split}
    assert min(positions) < 0.2 and max(positions) > 0.8


def test_held_out_colours_are_not_worn_in_training() -> None:
    rng = np.random.default_rng(0)
    hues = {split: [] for split in SPLITS}
    for split in SPLITS:
        for _ in range(400):
            colour = garment_colour(rng, split)
            if max(colour) - min(colour) > 25:  # not a tinted grey
                hues[split].append(colorsys.rgb_to_hsv(*colour)[0])
        assert len(hues[split]) > 100
        assert {split_of_band(hue, 64) for hue in hues[split]} == {split}


def test_held_out_poses_are_not_seen_in_training() -> None:
    body = load_body()
    _, heads = body.shape(body.coefficients[0])
    seen = {}
    for held_out in (False, True):
        rng = np.random.default_rng(0)
        poses = [sample_pose(rng, body, heads, held_out) for _ in range(250)]
        seen[held_out] = {pose.stance for pose in poses} | {name for pose in poses for name in pose.gestures}
    special = set(HELD_OUT_STANCES) | set(HELD_OUT_GESTURES)
    assert special <= set(STANCES) | set(GESTURES)
    assert not special & seen[False]
    assert special <= seen[True]


def test_held_out_backgrounds() -> None:
    pictures = backgrounds.PHOTOGRAPHS
    assert not set(pictures["train"]) & set(pictures["test"])
    assert not set(backgrounds.HELD_OUT_KINDS) & set(backgrounds.SHARES)
    rng = np.random.default_rng(0)
    for kind in [*backgrounds.HELD_OUT_KINDS, *backgrounds.SHARES]:
        names = (pictures["train"],) if kind is backgrounds.photograph else ()
        picture = kind(rng, (64, 48), *names)
        assert picture.shape == (64, 48, 3) and np.isfinite(picture).all()


def test_streams_differ_by_split_and_seed() -> None:
    draws = {generator(split, seed).integers(2**62) for split in SPLITS for seed in range(50)}
    assert len(draws) == 50 * len(SPLITS)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "1"])
def test_bad_seed(seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be an integer"):
        generator("train", seed)


def test_bad_split() -> None:
    with pytest.raises(ValueError, match="train, validation, test"):
        generator("training", 0)


def test_outfits_cover_the_body_with_known_labels() -> None:
    rng, worn = np.random.default_rng(0), set()
    for number in range(150):
        outfit = sample_outfit(rng, "train", gender=number % 2, age=rng.uniform(0.3, 1))
        table = compile_outfit(outfit)
        assert table.materials.max() < len(table.colours)
        assert np.isfinite(table.bounds).all() and (table.colours >= 0).all() and (table.colours <= 255).all()
        worn |= {LIP_LABELS[label] for label in table.labels}
    assert worn == set(LIP_LABELS) - {"background"}
