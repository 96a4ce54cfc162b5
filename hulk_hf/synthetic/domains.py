# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Other looks of the same people, to learn from a few examples: other clothes, light and viewpoints than in training.

A domain changes what a person wears, how the picture is lit and where it is taken from, and nothing else: bodies,
poses, backgrounds and splits are those of `render_person`. What `night` shows lies outside of what training can draw:
cameras look down from above by 43 to 66 degrees (training: at most 40), garments and hair have full and bright hues
(saturation and brightness are at most 0.95 in training, mostly far less), and a coloured lamp lights a scene that is
otherwise nearly dark.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from .renderer import Light
from .splits import banded
from .wardrobe import Outfit

_LAMPS = np.array([(1.0, 0.72, 0.35), (0.45, 0.65, 1.0), (0.6, 1.0, 0.75)])  # sodium, moon, mercury


@dataclass(frozen=True)
class Domain:
    """A look.

    Attributes:
        name: of the domain.
        pitch: smallest and largest angle by which the camera looks down, radians.
        ambient: smallest and largest strength of the light that comes from everywhere.
        exposure: what the background is multiplied by.
    """

    name: str
    pitch: tuple[float, float]
    ambient: tuple[float, float]
    exposure: float

    def light(self, rng: np.random.Generator) -> Light:
        """Draws one lamp, from above and any side."""
        direction = np.array([rng.normal(), rng.normal(), abs(rng.normal()) + 0.8])
        lamp = _LAMPS[rng.integers(len(_LAMPS))] * rng.uniform(0.9, 1.1, 3)
        return Light(
            direction=direction / np.linalg.norm(direction),
            key=rng.uniform(0.5, 0.9),
            ambient=rng.uniform(*self.ambient),
            colour=lamp,
            ambient_colour=lamp[::-1].copy(),
        )

    def dress(self, rng: np.random.Generator, split: str, outfit: Outfit) -> Outfit:
        """Gives every garment, and hair, full and bright hues from the bands of the split."""
        worn = {garment.material for garment in outfit.garments.values() if garment.material is not None}
        materials = list(outfit.materials)
        for index in sorted(worn):
            first, second = (
                tuple(255.0 * channel for channel in colorsys.hsv_to_rgb(banded(rng, split, 64), 1.0, 1.0))
                for _ in range(2)
            )
            materials[index] = replace(materials[index], colour=first, second=second)
        return replace(outfit, materials=materials)


NIGHT = Domain("night", pitch=(0.75, 1.15), ambient=(0.05, 0.2), exposure=0.3)
DOMAINS = {domain.name: domain for domain in (NIGHT,)}


def check_domain(name: str | None) -> Domain | None:
    """The domain of a name; None is the usual one.

    Raises:
        ValueError: There is none.
    """
    if name is not None and name not in DOMAINS:
        raise ValueError(f"domain must be None or one of {', '.join(DOMAINS)}; got {name!r}")
    return None if name is None else DOMAINS[name]


__all__ = ["DOMAINS", "NIGHT", "Domain", "check_domain"]
