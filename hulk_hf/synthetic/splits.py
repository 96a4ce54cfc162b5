# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What keeps `train`, `validation` and `test` apart.

* **Seeds.** The random stream of a sample is keyed by (split, seed); no two splits share one.
* **Bodies.** The calibrated bodies of the asset are dealt out: each is used (and blended with others of its split) in
  one split only.
* **Bands.** Hue of garments, lightness of grey ones, skin tone and the direction a person faces are continuous. Each
  range is cut into narrow bands, of which six of eight belong to training, one to validation and one to test: held-out
  people wear colours and face directions that training never shows, and are otherwise no strangers.
* **Poses.** The stances and gestures named in `poses.HELD_OUT_STANCES` and `poses.HELD_OUT_GESTURES` occur in
  validation and test only.
* **Backgrounds.** The kinds named in `backgrounds.HELD_OUT_KINDS` occur in test only; validation and training share
  kinds but no seeds.
"""

from __future__ import annotations

import numpy as np

SPLITS = ("train", "validation", "test")
KINDS = ("persons", "scenes")  # what is numbered on its own: scene 5 does not begin with person 5
_BANDS_OF_SPLIT = {"train": (0, 1, 2, 4, 5, 7), "validation": (3,), "test": (6,)}
_PERIOD = 8


def check_split(split: str) -> str:
    """Returns `split`, or raises ValueError if it is not one of `SPLITS`."""
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}; got {split!r}")
    return split


def generator(split: str, seed: int, kind: str = "persons") -> np.random.Generator:
    """The random stream of sample `seed` (any integer >= 0) of a split and a kind of samples, one of `KINDS`."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be an integer >= 0; got {seed!r}")
    stream = SPLITS.index(check_split(split)) + len(SPLITS) * KINDS.index(kind)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([stream, int(seed)])))


def split_of_band(position: float, bands: int) -> str:
    """Which split owns a `position` in [0, 1) of a range that is cut into `bands` bands."""
    band = int(position * bands) % _PERIOD
    return next(split for split, owned in _BANDS_OF_SPLIT.items() if band in owned)


def banded(rng: np.random.Generator, split: str, bands: int) -> float:
    """Draws a position in [0, 1) uniformly from the bands that belong to `split`; `bands` is a multiple of eight."""
    owned = _BANDS_OF_SPLIT[split]
    band = _PERIOD * rng.integers(bands // _PERIOD) + owned[rng.integers(len(owned))]
    return float((band + rng.uniform(0.02, 0.98)) / bands)


def body_indices(split: str, count: int) -> np.ndarray:
    """Which of `count` stored bodies belong to `split`."""
    return np.nonzero(np.isin(np.arange(count) % _PERIOD, _BANDS_OF_SPLIT[check_split(split)]))[0]
