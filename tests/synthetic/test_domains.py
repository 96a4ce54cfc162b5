# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Other looks of the same people: what changes, what does not, and that it lies outside of what training draws."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from hulk_hf.synthetic.domains import DOMAINS, NIGHT, check_domain
from hulk_hf.synthetic.outfits import garment_colour, sample_outfit
from hulk_hf.synthetic.person import frame, render_person, sample_figure
from hulk_hf.synthetic.splits import generator


def test_a_domain_is_another_look_of_the_same_person():
    usual, dark = render_person(3, "test"), render_person(3, "test", domain="night")
    assert usual["stance"] == dark["stance"] and set(usual) == set(dark)
    assert dark["image"].mean() < 0.7 * usual["image"].mean()
    again = render_person(3, "test", domain="night")
    assert all(np.array_equal(dark[key], again[key]) for key in dark if isinstance(dark[key], np.ndarray))


def test_cameras_look_down_further_than_training_ever_does():
    rng = np.random.default_rng(0)
    figure = sample_figure(rng, "train")
    usual = [frame(rng, figure, (256, 192)).pitch for _ in range(2000)]
    high = [frame(rng, figure, (256, 192), NIGHT.pitch).pitch for _ in range(200)]
    assert max(usual) < NIGHT.pitch[0] <= min(high) and max(high) <= NIGHT.pitch[1]


def test_garments_have_hues_that_training_never_wears():
    rng = np.random.default_rng(0)
    drawn = [colorsys.rgb_to_hsv(*(channel / 255 for channel in garment_colour(rng, "train"))) for _ in range(2000)]
    assert not any(saturation > 0.96 and value > 0.96 for _, saturation, value in drawn)
    outfit = sample_outfit(rng, "train", 0.9, 0.5)
    dressed = NIGHT.dress(rng, "train", outfit)
    worn = {garment.material for garment in outfit.garments.values() if garment.material is not None}
    assert worn
    for index, (before, after) in enumerate(zip(outfit.materials, dressed.materials, strict=True)):
        if index in worn:
            _, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in after.colour))
            assert (saturation, value) == pytest.approx((1.0, 1.0))
            assert (after.pattern, after.period) == (before.pattern, before.period)
        else:
            assert after == before, "skin stays what it is"
    assert dressed.garments == outfit.garments and dressed.cuts == outfit.cuts


def test_a_lamp_leaves_most_in_the_dark():
    lights = [NIGHT.light(generator("train", seed)) for seed in range(50)]
    for light in lights:
        assert np.linalg.norm(light.direction) == pytest.approx(1) and light.direction[2] > 0
        assert light.ambient <= 0.2 < 0.25, "training has at least 0.25"


def test_an_unknown_domain_is_refused():
    assert check_domain(None) is None and check_domain("night") is DOMAINS["night"]
    with pytest.raises(ValueError, match=r"domain must be None or one of night; got 'fog'"):
        render_person(0, domain="fog")
