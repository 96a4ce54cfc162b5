# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Draws what people look like: skin, hair, garments and accessories, as cuts of the canonical body."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from math import inf

import numpy as np

from .splits import banded
from .wardrobe import PATTERNS, Outfit

_SKIN_TONES = np.array([(58, 36, 28), (95, 60, 42), (141, 92, 64), (190, 138, 104), (222, 174, 142), (240, 205, 180)])
_HAIR_TONES = np.array([(18, 15, 14), (45, 30, 22), (85, 55, 35), (150, 110, 65), (205, 170, 115), (140, 60, 30)])
_GREY_TONES = np.array([(150, 150, 150), (225, 225, 220)])

_FRONT, _BACK = (-inf, 0.0), (0.0, inf)  # of the trunk, as bounds on depth
_FACE = (-inf, -0.1)  # the front of the head


def _often(rng: np.random.Generator, split: str, bands: int, share: Callable[[float], float]) -> float:
    """Draws a position as `banded` does, but up to four times as often where `share` (0 to 1) is high."""
    while True:
        position = banded(rng, split, bands)
        if rng.random() < 0.25 + 0.75 * share(position):
            return position


def garment_colour(rng: np.random.Generator, split: str) -> tuple[float, float, float]:
    """A garment's colour (0-255) from the bands of hue and lightness that belong to the split."""
    if rng.random() < 0.45:  # black, white, grey and their like, rather dark or light than in between
        lightness = _often(rng, split, 32, lambda position: abs(2 * position - 1))
        red, green, blue = np.clip(0.06 + 0.88 * lightness + rng.normal(0, 0.015, 3), 0, 1)
    else:  # more often near red, green or blue than between them
        hue = _often(rng, split, 64, lambda position: 0.5 + 0.5 * np.cos(6 * np.pi * position))
        red, green, blue = colorsys.hsv_to_rgb(hue, rng.uniform(0.35, 0.95), rng.uniform(0.3, 0.95))
    return 255 * float(red), 255 * float(green), 255 * float(blue)


def _blend(tones: np.ndarray, position: float) -> np.ndarray:
    """Interpolates rows of tones at a position in [0, 1]."""
    return np.array([np.interp(position * (len(tones) - 1), np.arange(len(tones)), tones[:, k]) for k in range(3)])


_PATTERN_SHARES = [0.19, 0.19, 0.22, 0.22, 0.09, 0.09]  # of PATTERNS[1:]


class Dresser:
    """Dresses one person; every method adds cuts on top of the earlier ones.

    Args:
        rng: source of randomness.
        split: whose colours are used.
        female: whether the person is likelier to wear skirts and long hair.
        age: the body's age parameter; hair greys towards 1.
    """

    def __init__(self, rng: np.random.Generator, split: str, female: bool, age: float):
        self.rng, self.split, self.female, self.age = rng, split, female, age
        self.outfit = Outfit()
        self.tucked = inf  # where boots end, as `along` of the leg
        self.skin = self._skin()

    def _chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def _plain(self, gloss: float = 0.05) -> int:
        """Adds a material of one colour."""
        return self.outfit.material(garment_colour(self.rng, self.split), gloss=gloss)

    def _cloth(self, plain: float) -> int:
        """Adds a cloth, of one colour with probability `plain`, else with a pattern."""
        pattern = "plain" if self._chance(plain) else str(self.rng.choice(PATTERNS[1:], p=_PATTERN_SHARES))
        first, second = garment_colour(self.rng, self.split), garment_colour(self.rng, self.split)
        period = float(np.exp(self.rng.uniform(np.log(0.02), np.log(0.16))))
        return self.outfit.material(first, second, pattern, period, gloss=self.rng.uniform(0, 0.12))

    def _skin(self) -> int:
        rng, cut = self.rng, self.outfit.cut
        tone = np.clip(_blend(_SKIN_TONES, banded(rng, self.split, 32)) * rng.normal(1, 0.04, 3), 5, 255)
        skin = self.outfit.material(tuple(tone), tuple(tone * 0.93), "mottled", 0.09, gloss=rng.uniform(0.05, 0.25))
        cut(("torso", "neck", "head"), "face", skin)
        for limb, label in (("arm", "arm"), ("hand", "arm"), ("leg", "leg"), ("foot", "leg")):
            cut(f"both_{limb}", f"both-{label}", skin)
        lips = self.outfit.material(tuple(tone * np.array([0.88, 0.6, 0.6])))
        cut("head", "face", lips, along=(-0.68, -0.50), depth=_FACE, width=(0, 0.024))
        cut("eyes", "face", self.outfit.material((225.0, 225.0, 220.0), gloss=0.5))
        cut("eyes", "face", self.outfit.material(tuple(rng.uniform(10, 90, 3)), gloss=0.5), width=(0.022, 0.037))
        return skin

    def hair(self) -> None:
        """Hair and brows: bald, short or hanging; sometimes a beard."""
        rng, cut = self.rng, self.outfit.cut
        tones = _GREY_TONES if self._chance(2.8 * max(0.0, self.age - 0.75)) else _HAIR_TONES
        tone = np.clip(tones[rng.integers(len(tones))] * rng.uniform(0.8, 1.2), 0, 255)
        hair = self.outfit.material(tuple(tone), tuple(tone * 0.75), "mottled", 0.03, gloss=0.25)
        cut("head", "face", hair, along=(0.10, 0.20), depth=_FACE, width=(0.013, 0.045))
        kind = rng.choice(["bald", "short", "long"], p=[0.01, 0.32, 0.67] if self.female else [0.08, 0.77, 0.15])
        self.outfit.wear("hair", str(kind), hair)
        if not self.female and self._chance(0.15):
            cut("head", "face", hair, along=(-1.3, -0.45), depth=(-inf, -0.05), thickness=0.004)
            lips = self.outfit.material((150.0, 85.0, 80.0))
            cut("head", "face", lips, along=(-0.66, -0.54), depth=_FACE, width=(0, 0.02), thickness=0.004)
        if kind == "bald":
            return
        thick, nape = rng.uniform(0.004, 0.02), rng.uniform(-0.75, -0.2)
        cut("head", "hair", hair, along=(rng.uniform(0.5, 0.75), inf), thickness=thick)
        cut("head", "hair", hair, along=(nape, inf), depth=(rng.uniform(-0.06, -0.03), inf), thickness=thick)
        if kind == "long":
            self.outfit.hair_length = rng.uniform(0.08, 0.45)
            cut("hair", "hair", hair, thickness=0.015)

    def feet(self, covered: bool) -> None:
        """Bare feet, socks, shoes or boots; `covered` if trousers hide the ankles."""
        rng, cut = self.rng, self.outfit.cut
        kind = str(rng.choice(["bare", "socks", "shoes", "boots"], p=[0.03, 0.04, 0.65, 0.28]))
        if kind == "bare":
            self.outfit.wear("feet", kind)
            return
        socks = self._plain()
        if not covered and self._chance(0.7):
            cut("both_leg", "socks", socks, along=(rng.uniform(0.55, 0.92), inf), thickness=0.003)
        cut("both_foot", "socks", socks, thickness=0.003)
        if kind == "socks":
            self.outfit.wear("feet", kind, socks)
            return
        shoe, sole = self._plain(gloss=rng.uniform(0, 0.5)), self._plain()
        self.outfit.wear("feet", kind, shoe)
        if kind == "boots":  # trousers are tucked in or end above
            self.tucked = rng.uniform(0.62, 0.85)
            cut("both_leg", "both-shoe", shoe, along=(self.tucked, inf), thickness=0.014)
        cut("both_foot", "both-shoe", shoe, along=(0.99 if kind == "shoes" else -inf, inf), thickness=0.008)
        cut("both_foot", "both-shoe", sole, along=(1.075, inf), thickness=0.01)

    def trousers(self, label: str = "pants", shorts: bool = False) -> int:
        """Trousers or shorts from tight to loose, with or without belt and stripes; returns the cloth."""
        rng, cut = self.rng, self.outfit.cut
        cloth, waist, loose = self._cloth(plain=0.75), rng.uniform(0.1, 0.28), rng.uniform(0.004, 0.022)
        length = rng.uniform(0.25, 0.55) if shorts else rng.choice([0.98, 0.95, 0.8], p=[0.6, 0.25, 0.15])
        length = min(length, self.tucked)
        self.outfit.wear("lower", "shorts" if shorts else "trousers", cloth)
        cut("both_leg", label, cloth, along=(-inf, length), thickness=loose)
        cut("torso", label, cloth, along=(-inf, waist), thickness=min(loose, 0.012))
        if length > 0.97:
            cut("both_foot", label, cloth, along=(-inf, 1.0), thickness=loose)
        if self._chance(0.15):
            side = {"depth": (-0.025, 0.015), "width": (0.16, inf)}
            cut("both_leg", label, self._plain(), along=(0.0, length), thickness=loose, **side)
        if self._chance(0.3):
            cut("torso", label, self._plain(gloss=0.3), along=(waist - 0.06, waist), thickness=0.012)
        return cloth

    def skirt(self, label: str = "skirt", hems: tuple[float, float] = (0.05, 0.75)) -> int:
        """A skirt from ankle length to mini; returns the cloth."""
        cloth = self._cloth(plain=0.75)
        self.outfit.wear("lower", "skirt", cloth)
        self._flare(label, cloth, self.rng.uniform(*hems))
        self.outfit.cut("torso", label, cloth, along=(-inf, self.rng.uniform(0.1, 0.28)), thickness=0.006)
        return cloth

    def _flare(self, label: str, cloth: int, hem: float) -> None:
        """Hangs the skirt mesh; legs that poke through it above the hem are drawn as skirt."""
        self.outfit.skirt_hem = hem
        self.outfit.cut("skirt", label, cloth)
        self.outfit.cut("both_leg", label, cloth, along=(-inf, 0.92 - 1.1 * hem))

    def top(self, label: str, hem: float, cloth: int | None = None) -> None:
        """A top that hangs to `hem` (`along` of the torso; below 0 it covers the hips), with sleeves of any length."""
        rng, cut = self.rng, self.outfit.cut
        cloth = self._cloth(plain=0.45) if cloth is None else cloth
        loose = rng.uniform(0.003, 0.018)
        lengths = [-0.05, rng.uniform(0.15, 0.5), rng.uniform(0.6, 0.85), 0.97]
        sleeve = float(rng.choice(lengths, p=[0.12, 0.43, 0.1, 0.35]))
        sleeves = "none" if sleeve < 0 else "short" if sleeve < 0.55 else "long"
        self.outfit.wear("sleeves", sleeves)
        cut("torso", label, cloth, along=(hem, rng.uniform(0.92, 1.0) if sleeve > 0 else 0.9), thickness=loose)
        if hem < 0:
            cut("both_leg", label, cloth, along=(-inf, -hem * 0.6), thickness=max(loose, 0.014))
        sleeve_cloth = self._plain() if self._chance(0.15) else cloth
        kind = {"none": "vest", "short": "t-shirt", "long": "shirt"}[sleeves]
        cut("both_arm", label, sleeve_cloth, along=(-inf, sleeve), thickness=loose)
        if sleeve > 0.9 and self._chance(0.3):
            cut("both_arm", label, self._plain(), along=(0.9, sleeve), thickness=loose)
        if self._chance(0.35):
            scoop = {"along": (rng.uniform(0.72, 0.88), inf), "width": (0, rng.uniform(0.03, 0.08))}
            cut("torso", "face", self.skin, depth=(-inf, -0.02), **scoop)
        elif self._chance(0.4):
            cut("neck", label, sleeve_cloth, along=(-inf, rng.uniform(0.98, 1.08)), thickness=loose)
            kind = "sweater" if sleeves == "long" else kind
        self.outfit.wear("upper", kind, cloth)
        if self._chance(0.3):
            low, high = sorted(rng.uniform(max(hem, 0.35), 0.85, 2))
            motif = {"along": (low, high), "width": (0, rng.uniform(0.02, 0.12))}
            cut("torso", label, self._cloth(plain=0.4), depth=_FRONT, thickness=loose, **motif)
        elif self._chance(0.15):
            cut("torso", label, self._plain(), along=(hem, 0.95), depth=_FRONT, width=(0, 0.006), thickness=loose)

    def coat(self) -> None:
        """A coat or jacket over everything, open or closed in front, short or flaring over the legs."""
        rng, cut = self.rng, self.outfit.cut
        cloth, loose = self._cloth(plain=0.65), rng.uniform(0.012, 0.03)
        opening, hem = rng.choice([0.0, rng.uniform(0.01, 0.06)]), rng.uniform(-0.1, 0.1)
        cut("torso", "coat", cloth, along=(hem, 1.0), depth=_FRONT, width=(opening, inf), thickness=loose)
        cut("torso", "coat", cloth, along=(hem, 1.0), depth=_BACK, thickness=loose)
        cut("both_arm", "coat", cloth, along=(-inf, 0.97), thickness=loose)
        cut("neck", "coat", cloth, along=(-inf, 1.02), depth=(-0.04, inf), thickness=loose)
        self.outfit.wear("coat", "jacket", cloth)
        self.outfit.wear("sleeves", "long")
        if self.outfit.skirt_hem is None and self._chance(0.4):
            self.outfit.wear("coat", "coat", cloth)
            cut("torso", "coat", cloth, along=(-inf, 0.25), thickness=loose)
            self._flare("coat", cloth, rng.uniform(0.35, 0.75))

    def accessories(self) -> None:
        """Hat, sunglasses, gloves and scarf, each now and then."""
        rng, cut, wear = self.rng, self.outfit.cut, self.outfit.wear
        if self._chance(0.3):
            cloth, line, thick = self._cloth(plain=0.7), rng.uniform(0.35, 0.6), rng.uniform(0.012, 0.03)
            cut(("head", "hair"), "hat", cloth, along=(line, inf), thickness=thick)
            cut("head", "hat", cloth, along=(line - rng.uniform(0, 0.4), inf), depth=(-0.02, inf), thickness=thick)
            wear("hat", "hat", cloth)
        if self._chance(0.27):
            glass = self.outfit.material(tuple(rng.uniform(5, 60, 3)), gloss=0.8)
            lens = {"along": (-0.16, 0.16), "depth": (-inf, -0.085), "width": (0.008, 0.062)}
            cut(("head", "eyes"), "sunglasses", glass, thickness=0.006, **lens)
            cut("head", "sunglasses", glass, along=(0.04, 0.12), depth=(-inf, -0.03), thickness=0.006)
            wear("glasses", "sunglasses", glass)
        if self._chance(0.12):
            gloves = self._plain()
            cut("both_hand", "glove", gloves, thickness=0.005)
            wear("gloves", "gloves", gloves)
        if self._chance(0.2):
            scarf = self._cloth(plain=0.5)
            cut("neck", "scarf", scarf, along=(-inf, 1.08), thickness=0.03)
            cut("torso", "scarf", scarf, along=(0.93, inf), thickness=0.03)
            wear("scarf", "scarf", scarf)


def sample_outfit(rng: np.random.Generator, split: str, gender: float, age: float) -> Outfit:
    """Draws an outfit for a person of the given gender (0 male to 1 female) and age parameter (see `Body`)."""
    female = gender > 0.5
    dresser = Dresser(rng, split, female, age)
    dresser.hair()
    shares = [0.36, 0.2, 0.2, 0.2, 0.04] if female else [0.61, 0.35, 0.0, 0.0, 0.04]
    kind = str(rng.choice(["trousers", "shorts", "skirt", "dress", "jumpsuit"], p=shares))
    dresser.feet(covered=kind in ("trousers", "jumpsuit"))
    if kind in ("dress", "jumpsuit"):
        cloth = dresser.skirt("dress") if kind == "dress" else dresser.trousers("jumpsuits")
        dresser.top("dress" if kind == "dress" else "jumpsuits", hem=0.2, cloth=cloth)
        dresser.outfit.wear("upper", kind, cloth)
        del dresser.outfit.garments["lower"]
    else:
        if kind == "skirt":
            dresser.skirt()
        else:
            dresser.trousers(shorts=kind == "shorts")
        if female or rng.random() < 0.99:
            dresser.top("upper-clothes", rng.choice([0.22, rng.uniform(-0.15, 0.2), 0.35], p=[0.3, 0.65, 0.05]))
    if rng.random() < 0.27:
        dresser.coat()
    dresser.accessories()
    return dresser.outfit
