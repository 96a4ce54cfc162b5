# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Clothes, hair, skin and accessories, cut out of the canonical body.

A garment is a list of cuts. A cut names regions of the body and bounds on three coordinates of the canonical body:
`along` the limb (see `Body.region_axes`), `depth` (y: front is negative) and `width` (distance from the middle). What
lies inside gets the cut's label and material; later cuts lie on top of earlier ones. Cuts are evaluated per pixel, so
hems are clean lines however coarse the mesh is, and the part map is exact by construction.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, field
from math import inf

import numba
import numpy as np

from .body import REGIONS, Body
from .splits import banded

LIP_LABELS = (
    "background",
    "hat",
    "hair",
    "glove",
    "sunglasses",
    "upper-clothes",
    "dress",
    "coat",
    "socks",
    "pants",
    "jumpsuits",
    "scarf",
    "skirt",
    "face",
    "left-arm",
    "right-arm",
    "left-leg",
    "right-leg",
    "left-shoe",
    "right-shoe",
)
PATTERNS = ("plain", "rings", "stripes", "checks", "dots", "plaid", "mottled")
SIDES = ("left", "right")

_SKIN_TONES = np.array([(58, 36, 28), (95, 60, 42), (141, 92, 64), (190, 138, 104), (222, 174, 142), (240, 205, 180)])
_HAIR_TONES = np.array([(18, 15, 14), (45, 30, 22), (85, 55, 35), (150, 110, 65), (205, 170, 115), (140, 60, 30),
                        (150, 150, 150), (225, 225, 220)])  # fmt: skip


@dataclass(frozen=True)
class Material:
    """How a surface looks: two colours (0-255), a pattern of `PATTERNS`, its period in metres, and its gloss (0-1)."""

    colour: tuple[float, float, float]
    second: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pattern: str = "plain"
    period: float = 0.05
    gloss: float = 0.05


@dataclass(frozen=True)
class Cut:
    """One cut: see the module's docstring. `thickness` (metres) lifts the surface off the body."""

    regions: tuple[str, ...]
    label: str
    material: int
    along: tuple[float, float] = (-inf, inf)
    depth: tuple[float, float] = (-inf, inf)
    width: tuple[float, float] = (-inf, inf)
    thickness: float = 0.0


@dataclass
class Outfit:
    """Everything a person wears.

    Attributes:
        cuts: from skin outwards.
        materials: what the cuts refer to.
        hair_length: how far hair hangs below the eyes, in metres; None without hanging hair.
        skirt_hem: where the skirt ends, as `along` of the skirt region (0 at the ankles, 1 at the waist); None without.
        description: names of the garments, for captions and attributes.
    """

    cuts: list[Cut] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    hair_length: float | None = None
    skirt_hem: float | None = None
    description: dict[str, str] = field(default_factory=dict)

    def material(self, *args, **kwargs) -> int:
        """Adds a material and returns its index."""
        self.materials.append(Material(*args, **kwargs))
        return len(self.materials) - 1

    def cut(self, regions: str | tuple[str, ...], label: str, material: int, **bounds) -> None:
        """Adds a cut; `left_*`/`right_*` in regions and label are expanded when `regions` starts with `both_`."""
        if isinstance(regions, str) and regions.startswith("both_"):
            for side in SIDES:
                self.cuts.append(
                    Cut((regions.replace("both", side),), label.replace("both", side), material, **bounds)
                )
            return
        self.cuts.append(Cut((regions,) if isinstance(regions, str) else regions, label, material, **bounds))


def garment_colour(rng: np.random.Generator, split: str) -> tuple[float, float, float]:
    """A garment's colour (0-255) from the bands of hue and lightness that belong to the split."""
    if rng.random() < 0.4:  # black, white, grey and their like
        light = banded(rng, split, 32)
        return tuple(255 * np.clip((0.06 + 0.88 * light) + rng.normal(0, 0.015, 3), 0, 1))
    hue, saturation, value = banded(rng, split, 64), rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.95)
    return tuple(255 * c for c in colorsys.hsv_to_rgb(hue, saturation, value))


def _cloth(outfit: Outfit, rng, split: str, plain: float = 0.55) -> int:
    """Adds a random cloth, plain with the given probability."""
    pattern = "plain" if rng.random() < plain else PATTERNS[rng.integers(1, len(PATTERNS))]
    colours = garment_colour(rng, split), garment_colour(rng, split)
    return outfit.material(
        *colours, pattern, float(np.exp(rng.uniform(np.log(0.02), np.log(0.16)))), rng.uniform(0, 0.12)
    )


def _tone(tones: np.ndarray, position: float) -> np.ndarray:
    """Interpolates a row of tones at a position in [0, 1]."""
    scaled = position * (len(tones) - 1)
    low = min(int(scaled), len(tones) - 2)
    return tones[low] + (scaled - low) * (tones[low + 1] - tones[low])


def _dress_skin(outfit: Outfit, rng, split: str) -> None:
    """Skin, eyes, brows and lips."""
    tone = np.clip(_tone(_SKIN_TONES, banded(rng, split, 32)) * rng.normal(1, 0.04, 3), 5, 255)
    skin = outfit.material(tuple(tone), tuple(tone * 0.93), "mottled", 0.09, gloss=rng.uniform(0.05, 0.25))
    outfit.cut(("torso", "neck", "head"), "face", skin)
    for limb, label in (("arm", "arm"), ("hand", "arm"), ("leg", "leg"), ("foot", "leg")):
        outfit.cut(f"both_{limb}", f"both-{label}", skin)
    lips = outfit.material(tuple(tone * np.array([0.88, 0.6, 0.6])))
    outfit.cut("head", "face", lips, along=(-0.68, -0.50), depth=(-inf, -0.115), width=(-inf, 0.024))
    outfit.cut("eyes", "face", outfit.material((225.0, 225.0, 220.0), gloss=0.5))
    iris = outfit.material(tuple(rng.uniform(10, 90, 3)), gloss=0.5)
    outfit.cut("eyes", "face", iris, width=(0.022, 0.037))


def _dress_hair(outfit: Outfit, rng, female: float, old: float) -> None:
    """Hair: bald, short, or hanging; grey is likelier for the old."""
    grey = rng.random() < 0.7 * max(0.0, old - 0.75) / 0.25
    tone = _HAIR_TONES[rng.integers(6, 8) if grey else rng.integers(0, 6)] * rng.uniform(0.8, 1.2)
    tone = np.clip(tone, 0, 255)
    hair = outfit.material(tuple(tone), tuple(tone * 0.75), "mottled", 0.03, gloss=0.25)
    outfit.cut("head", "face", hair, along=(0.10, 0.20), depth=(-inf, -0.10), width=(0.013, 0.045))  # brows
    kind = rng.choice(["bald", "short", "long"], p=[0.08, 0.77, 0.15] if female < 0.5 else [0.01, 0.32, 0.67])
    outfit.description["hair"] = str(kind)
    if kind == "bald":
        return
    thick = rng.uniform(0.004, 0.02)
    line = rng.uniform(0.5, 0.75)
    outfit.cut("head", "hair", hair, along=(line, inf), thickness=thick)
    outfit.cut(
        "head",
        "hair",
        hair,
        along=(rng.uniform(-0.75, -0.2), inf),
        depth=(rng.uniform(-0.06, -0.03), inf),
        thickness=thick,
    )
    if kind == "long":
        outfit.hair_length = rng.uniform(0.08, 0.45)
        outfit.cut("hair", "hair", hair)
    elif rng.random() < 0.15 and female < 0.5:
        outfit.cut("head", "face", hair, along=(-1.3, -0.45), depth=(-inf, -0.05), thickness=0.004)  # beard
        lips = outfit.material(tuple(tone * 0.5 + np.array([90, 40, 40])))
        outfit.cut(
            "head", "face", lips, along=(-0.66, -0.54), depth=(-inf, -0.115), width=(-inf, 0.02), thickness=0.004
        )


def _leg_under(hem: float) -> float:
    """How far `along` the leg a skirt with this hem reaches; legs that poke through it there are drawn as skirt."""
    return 0.92 - 1.1 * hem


def _dress_lower(outfit: Outfit, rng, split: str, kind: str) -> None:
    """Trousers, shorts, leggings or a skirt."""
    cloth = _cloth(outfit, rng, split, plain=0.75)
    waist = rng.uniform(0.1, 0.28)
    if kind == "skirt":
        outfit.skirt_hem = rng.uniform(0.05, 0.75)
        outfit.cut("skirt", "skirt", cloth)
        outfit.cut("torso", "skirt", cloth, along=(-inf, waist), thickness=0.006)
        outfit.cut("both_leg", "skirt", cloth, along=(-inf, _leg_under(outfit.skirt_hem)))
        return
    length = rng.uniform(0.25, 0.55) if kind == "shorts" else rng.choice([0.98, 0.95, 0.8], p=[0.6, 0.25, 0.15])
    loose = rng.uniform(0.004, 0.022)
    outfit.cut("both_leg", "pants", cloth, along=(-inf, length), thickness=loose)
    outfit.cut("torso", "pants", cloth, along=(-inf, waist), thickness=min(loose, 0.012))
    if kind == "trousers" and length > 0.97:
        outfit.cut("both_foot", "pants", cloth, along=(-inf, 1.0), thickness=loose)
    if rng.random() < 0.15:  # a stripe down the side
        stripe = outfit.material(garment_colour(rng, split))
        outfit.cut(
            "both_leg", "pants", stripe, along=(0.0, length), depth=(-0.025, 0.015), width=(0.16, inf), thickness=loose
        )
    if rng.random() < 0.3:
        belt = outfit.material(garment_colour(rng, split), gloss=0.3)
        outfit.cut("torso", "pants", belt, along=(waist - 0.06, waist), thickness=0.012)


def _dress_upper(outfit: Outfit, rng, split: str, label: str, hem: float) -> None:
    """A top that hangs down to `hem` (`along` of the torso; below 0 it covers the hips)."""
    cloth = _cloth(outfit, rng, split, plain=0.5)
    loose = rng.uniform(0.003, 0.018)
    sleeve = float(
        rng.choice([-0.05, rng.uniform(0.15, 0.5), rng.uniform(0.6, 0.85), 0.97], p=[0.12, 0.43, 0.1, 0.35])
    )
    outfit.cut("torso", label, cloth, along=(hem, rng.uniform(0.92, 1.0) if sleeve > 0 else 0.9), thickness=loose)
    if hem < 0:
        outfit.cut("both_leg", label, cloth, along=(-inf, -hem * 0.6), thickness=max(loose, 0.014))
    sleeve_cloth = outfit.material(garment_colour(rng, split)) if rng.random() < 0.15 else cloth
    outfit.cut("both_arm", label, sleeve_cloth, along=(-inf, sleeve), thickness=loose)
    if sleeve > 0.9 and rng.random() < 0.3:
        outfit.cut(
            "both_arm", label, outfit.material(garment_colour(rng, split)), along=(0.9, sleeve), thickness=loose
        )
    if rng.random() < 0.35:  # neckline
        skin = outfit.cuts[0].material
        outfit.cut(
            "torso",
            "face",
            skin,
            along=(rng.uniform(0.72, 0.88), inf),
            depth=(-inf, -0.02),
            width=(-inf, rng.uniform(0.03, 0.08)),
        )
    elif rng.random() < 0.4:  # collar
        outfit.cut("neck", label, sleeve_cloth, along=(-inf, rng.uniform(0.98, 1.08)), thickness=loose)
    if rng.random() < 0.3:  # a print on the chest
        low, high = sorted(rng.uniform(0.35, 0.85, 2))
        motif = _cloth(outfit, rng, split, plain=0.4)
        outfit.cut(
            "torso",
            label,
            motif,
            along=(low, high),
            depth=(-inf, 0.0),
            width=(-inf, rng.uniform(0.02, 0.12)),
            thickness=loose,
        )
    elif rng.random() < 0.15:  # buttons or a zip
        outfit.cut(
            "torso",
            label,
            outfit.material(garment_colour(rng, split)),
            along=(hem, 0.95),
            depth=(-inf, 0.0),
            width=(-inf, 0.006),
            thickness=loose,
        )
    outfit.description["sleeves"] = "none" if sleeve < 0 else "short" if sleeve < 0.55 else "long"


def _dress_coat(outfit: Outfit, rng, split: str) -> None:
    """A coat or jacket over everything, open or closed in front."""
    cloth = _cloth(outfit, rng, split, plain=0.8)
    loose = rng.uniform(0.012, 0.03)
    opening = rng.choice([0.0, rng.uniform(0.01, 0.06)])
    long = rng.random() < 0.4 and outfit.skirt_hem is None
    for depth, width in (((-inf, 0.0), (opening, inf)), ((0.0, inf), (-inf, inf))):
        outfit.cut(
            "torso", "coat", cloth, along=(rng.uniform(-0.1, 0.1), 1.0), depth=depth, width=width, thickness=loose
        )
    outfit.cut("both_arm", "coat", cloth, along=(-inf, 0.97), thickness=loose)
    outfit.cut("neck", "coat", cloth, along=(-inf, 1.02), depth=(-0.04, inf), thickness=loose)
    if long:
        outfit.skirt_hem = rng.uniform(0.35, 0.75)
        outfit.cut("skirt", "coat", cloth)
        outfit.cut("torso", "coat", cloth, along=(-inf, 0.25), thickness=loose)
        outfit.cut("both_leg", "coat", cloth, along=(-inf, _leg_under(outfit.skirt_hem)))


def _dress_feet(outfit: Outfit, rng, split: str, trousers: bool) -> None:
    """Bare feet, socks, shoes or boots."""
    kind = rng.choice(["bare", "socks", "shoes", "boots"], p=[0.08, 0.05, 0.75, 0.12])
    outfit.description["feet"] = str(kind)
    if kind == "bare":
        return
    sock = outfit.material(garment_colour(rng, split))
    if not trousers and rng.random() < 0.7:
        outfit.cut("both_leg", "socks", sock, along=(rng.uniform(0.55, 0.92), inf), thickness=0.003)
    outfit.cut("both_foot", "socks", sock, thickness=0.003)
    if kind == "socks":
        return
    leather = outfit.material(garment_colour(rng, split), gloss=rng.uniform(0, 0.5))
    if kind == "boots" and not trousers:
        outfit.cut("both_leg", "both-shoe", leather, along=(rng.uniform(0.6, 0.9), inf), thickness=0.012)
    outfit.cut("both_foot", "both-shoe", leather, along=(0.99 if kind == "shoes" else -inf, inf), thickness=0.008)
    sole = outfit.material(garment_colour(rng, split))
    outfit.cut("both_foot", "both-shoe", sole, along=(1.075, inf), thickness=0.01)


def _dress_accessories(outfit: Outfit, rng, split: str) -> None:
    """Hat, glasses, gloves and scarf."""
    if rng.random() < 0.18:
        cloth = _cloth(outfit, rng, split, plain=0.7)
        line, thick = rng.uniform(0.35, 0.6), rng.uniform(0.012, 0.03)
        outfit.cut("head", "hat", cloth, along=(line, inf), thickness=thick)
        outfit.cut("head", "hat", cloth, along=(line - rng.uniform(0, 0.4), inf), depth=(-0.02, inf), thickness=thick)
        outfit.cut("hair", "hat", cloth, along=(line, inf), thickness=thick)
        outfit.description["hat"] = "hat"
    if rng.random() < 0.15:
        glass = outfit.material(tuple(rng.uniform(5, 60, 3)), gloss=0.8)
        outfit.cut(
            ("head", "eyes"),
            "sunglasses",
            glass,
            along=(-0.16, 0.16),
            depth=(-inf, -0.085),
            width=(0.008, 0.062),
            thickness=0.006,
        )
        outfit.cut("head", "sunglasses", glass, along=(0.04, 0.12), depth=(-inf, -0.03), thickness=0.006)
        outfit.description["glasses"] = "sunglasses"
    if rng.random() < 0.06:
        outfit.cut("both_hand", "glove", outfit.material(garment_colour(rng, split)), thickness=0.005)
        outfit.description["gloves"] = "gloves"
    if rng.random() < 0.08:
        scarf = _cloth(outfit, rng, split)
        outfit.cut("neck", "scarf", scarf, along=(-inf, 1.08), thickness=0.03)
        outfit.cut("torso", "scarf", scarf, along=(0.93, inf), thickness=0.03)
        outfit.description["scarf"] = "scarf"


def sample_outfit(rng: np.random.Generator, split: str, gender: float, age: float) -> Outfit:
    """Draws an outfit for a person of the given gender (0 male, 1 female) and age parameter (see `Body`)."""
    outfit = Outfit()
    _dress_skin(outfit, rng, split)
    _dress_hair(outfit, rng, gender, age)
    female = gender > 0.5
    kind = str(rng.choice(["trousers", "shorts", "skirt", "dress", "jumpsuit"],
                          p=[0.5, 0.2, 0.13, 0.13, 0.04] if female else [0.69, 0.27, 0.0, 0.0, 0.04]))  # fmt: skip
    outfit.description["lower"] = kind
    _dress_feet(outfit, rng, split, trousers=kind in ("trousers", "jumpsuit"))
    if kind in ("dress", "jumpsuit"):
        label = "dress" if kind == "dress" else "jumpsuits"
        first = len(outfit.materials)
        _dress_lower(outfit, rng, split, "skirt" if kind == "dress" else "trousers")
        start = len(outfit.cuts)
        outfit.cuts = [
            Cut(
                c.regions,
                label if c.label in ("skirt", "pants") else c.label,
                c.material,
                c.along,
                c.depth,
                c.width,
                c.thickness,
            )
            for c in outfit.cuts
        ]
        _dress_upper(outfit, rng, split, label, hem=0.2)
        if rng.random() < 0.8:  # one cloth for the whole
            outfit.materials[start and outfit.cuts[start].material] = outfit.materials[first]
    else:
        _dress_lower(outfit, rng, split, kind)
        if female or rng.random() < 0.97:
            _dress_upper(
                outfit,
                rng,
                split,
                "upper-clothes",
                hem=rng.choice([0.22, rng.uniform(-0.15, 0.2), 0.35], p=[0.3, 0.65, 0.05]),
            )
    if rng.random() < 0.18:
        _dress_coat(outfit, rng, split)
    _dress_accessories(outfit, rng, split)
    return outfit


@dataclass(frozen=True)
class CutTable:
    """An outfit as arrays for the renderer.

    `bounds` (C, 6) are low and high of along, depth and width; `labels`, `materials`, `thickness` are (C,); the cuts of
    region r are `starts[r]:starts[r + 1]`, outermost first. `colours` (M, 2, 3), `patterns` (M, 3): kind, period, gloss.
    """

    bounds: np.ndarray
    labels: np.ndarray
    materials: np.ndarray
    thickness: np.ndarray
    starts: np.ndarray
    colours: np.ndarray
    patterns: np.ndarray


def compile_outfit(outfit: Outfit) -> CutTable:
    """Turns an outfit into the renderer's arrays."""
    rows, starts = [], [0]
    for region in REGIONS:
        rows += [cut for cut in reversed(outfit.cuts) if region in cut.regions]
        starts.append(len(rows))
    return CutTable(
        bounds=np.array([(*c.along, *c.depth, *c.width) for c in rows], np.float32),
        labels=np.array([LIP_LABELS.index(c.label) for c in rows], np.uint8),
        materials=np.array([c.material for c in rows], np.int64),
        thickness=np.array([c.thickness for c in rows], np.float32),
        starts=np.array(starts),
        colours=np.array([(m.colour, m.second) for m in outfit.materials], np.float32),
        patterns=np.array([(PATTERNS.index(m.pattern), m.period, m.gloss) for m in outfit.materials], np.float32),
    )


@numba.njit(cache=True, fastmath=False, inline="always")
def find_cut(bounds, starts, region, along, depth, width):
    """Index of the outermost cut at a canonical place, or -1."""
    for c in range(starts[region], starts[region + 1]):
        if bounds[c, 0] <= along <= bounds[c, 1] and bounds[c, 2] <= depth <= bounds[c, 3]:
            if bounds[c, 4] <= width <= bounds[c, 5]:
                return c
    return -1


@numba.njit(cache=True)
def vertex_thickness(canonical, regions, axes, bounds, starts, thickness):
    """How far each vertex (V,) is lifted off the body by what is worn there, in metres."""
    lifted = np.zeros(len(canonical), np.float32)
    for v in range(len(canonical)):
        region = regions[v]
        along = axes[region, 3]
        for i in range(3):
            along += axes[region, i] * canonical[v, i]
        cut = find_cut(bounds, starts, region, along, canonical[v, 1], abs(canonical[v, 0]))
        if cut >= 0:
            lifted[v] = thickness[cut]
    return lifted


def vertex_clip(outfit: Outfit, body: Body) -> np.ndarray:
    """A number per vertex (V,) that is interpolated over faces; where it is negative the surface is cut away.

    Only hair and skirt are cut: hair below its length and over the face, the skirt below its hem.
    """
    clip = np.ones(body.num_vertices, np.float32)
    along = body.canonical @ body.region_axes[:, :3].T + body.region_axes[:, 3]
    hair, skirt = body.regions == REGIONS.index("hair"), body.regions == REGIONS.index("skirt")
    eye = body.canonical_head("eye.L")
    x, y, z = body.canonical[hair].T
    if outfit.hair_length is None:
        clip[hair] = -1
    else:
        clip[hair] = np.minimum(z - eye[2] + outfit.hair_length, np.maximum(y - eye[1] - 0.045, z - eye[2] - 0.07))
    clip[skirt] = -1 if outfit.skirt_hem is None else along[skirt, REGIONS.index("skirt")] - outfit.skirt_hem
    return clip
