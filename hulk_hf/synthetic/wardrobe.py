# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Clothes, hair, skin and accessories, cut out of the canonical body.

A garment is a list of cuts. A cut names regions of the body and bounds on three coordinates of the canonical body:
`along` the limb (see `Body.region_axes`), `depth` (y: front is negative) and `width` (distance from the middle). What
lies inside gets the cut's label and material; later cuts lie on top of earlier ones. Cuts are evaluated per pixel, so
hems are clean lines however coarse the mesh is, and the part map is exact by construction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

import numpy as np

from .body import REGIONS, Body

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


@dataclass(frozen=True)
class Material:
    """How a surface looks: two colours (0-255), a pattern of `PATTERNS`, its period in metres, and its gloss (0-1)."""

    colour: tuple[float, float, float]
    second: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pattern: str = "plain"
    period: float = 0.05
    gloss: float = 0.05


@dataclass(frozen=True)
class Garment:
    """What something worn is called, and the index of its material among those of the outfit, if it has one."""

    kind: str
    material: int | None = None


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
        skirt_hem: where the skirt ends, as `along` of the skirt region (0 at the ankles, 1 at the waist), or None.
        garments: what is worn where, for attributes and captions: `hair` (bald, short, long), `upper` (vest, t-shirt,
            shirt, sweater, dress, jumpsuit), `sleeves` (none, short, long), `lower` (trousers, shorts, skirt), `coat`
            (jacket, coat), `feet` (bare, socks, shoes, boots), `hat`, `glasses`, `scarf`, `gloves`; what is missing
            isn't worn.
    """

    cuts: list[Cut] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    hair_length: float | None = None
    skirt_hem: float | None = None
    garments: dict[str, Garment] = field(default_factory=dict)

    def material(
        self,
        colour: tuple[float, float, float],
        second: tuple[float, float, float] = (0.0, 0.0, 0.0),
        pattern: str = "plain",
        period: float = 0.05,
        gloss: float = 0.05,
    ) -> int:
        """Adds a `Material` and returns its index."""
        self.materials.append(Material(colour, second, pattern, period, gloss))
        return len(self.materials) - 1

    def wear(self, place: str, kind: str, material: int | None = None) -> None:
        """Notes a garment (see `garments`)."""
        self.garments[place] = Garment(kind, material)

    def cut(self, regions: str | tuple[str, ...], label: str, material: int, **bounds) -> None:
        """Adds a `Cut`; `both_leg` means left and right leg, and `both-shoe` the label of the same side."""
        names = (regions,) if isinstance(regions, str) else regions
        if not names[0].startswith("both_"):
            self.cuts.append(Cut(names, label, material, **bounds))
            return
        for side in SIDES:
            own = tuple(name.replace("both", side) for name in names)
            self.cuts.append(Cut(own, label.replace("both", side), material, **bounds))


@dataclass(frozen=True)
class CutTable:
    """An outfit as arrays for the renderer.

    `bounds` (C, 6) are low and high of along, depth and width; `labels`, `materials`, `thickness` are (C,); the cuts
    of region r are `starts[r]:starts[r + 1]`, outermost first. `colours` is (M, 2, 3); `patterns` (M, 3) holds kind,
    period and gloss.
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
        # Finite bounds, because the kernels are compiled with fast mathematics.
        bounds=np.clip(np.array([(*c.along, *c.depth, *c.width) for c in rows], np.float32), -1e6, 1e6),
        labels=np.array([LIP_LABELS.index(c.label) for c in rows], np.uint8),
        materials=np.array([c.material for c in rows], np.int64),
        thickness=np.array([c.thickness for c in rows], np.float32),
        starts=np.array(starts),
        colours=np.array([(m.colour, m.second) for m in outfit.materials], np.float32),
        patterns=np.array([(PATTERNS.index(m.pattern), m.period, m.gloss) for m in outfit.materials], np.float32),
    )


def vertex_clip(outfit: Outfit, body: Body) -> np.ndarray:
    """A number per vertex (V,) that is interpolated over faces; where it is negative the surface is cut away.

    Only hair and skirt are cut: hair below its length and over the face, the skirt below its hem.
    """
    clip = np.ones(body.num_vertices, np.float32)
    hair, skirt = body.mesh_vertices["hair"], body.mesh_vertices["skirt"]
    if outfit.hair_length is None:
        clip[hair] = -1
    else:
        _, behind, above = (body.canonical[hair] - body.canonical_head("eye.L")).T
        clip[hair] = np.minimum(above + outfit.hair_length, np.maximum(behind - 0.045, above - 0.07))
    clip[skirt] = -1 if outfit.skirt_hem is None else body.along[skirt] - outfit.skirt_hem
    return clip
