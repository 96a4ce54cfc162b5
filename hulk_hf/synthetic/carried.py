# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Things that people carry: drawn for sure, in front of, behind or between the limbs that they belong to.

A thing is a small mesh in the world. It is rasterised on its own and merged with the person's layer by depth; where it
is seen, the part map shows no part, as in LIP.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import pi

import numba
import numpy as np

from .body import REGIONS, Body, load_body
from .outfits import garment_colour
from .poses import Pose
from .rasteriser import extent, rasterise
from .renderer import Camera, Layer, Light
from .wardrobe import Outfit

CARRIED = ("backpack", "shoulder bag", "handbag", "umbrella", "phone")

# Gestures (see `poses`) of a hand that may hold the thing, and how often one does that may.
_HELD = {
    "umbrella": (("bent_low", "chest", "face", "raised", "forward"), 0.42),
    "phone": (("face", "chest", "forward", "bent_low", "across", "salute"), 0.8),
    "handbag": (("hang", "bent_low", "swing", "side", "forward"), 0.5),
}
_LABEL_OF_TOP = {"dress": "dress", "jumpsuit": "jumpsuits"}
_MOST = 2  # things
_SUPERSAMPLE = 2
_STRAP_POINTS = 28


@dataclass(frozen=True)
class Carrying:
    """That a thing of a kind and colour (0-255) is carried, by the hand or on the shoulder of a side ("L" or "R")."""

    kind: str
    side: str
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Thing:
    """A thing in the world: vertices (V, 3) in metres, triangles (F, 3) and their colours (F, 3) in 0-255."""

    kind: str
    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray


def choose_carried(rng: np.random.Generator, split: str, pose: Pose, outfit: Outfit) -> list[Carrying]:
    """Draws what somebody in a pose carries; the straps of a backpack become part of the outfit."""
    chosen, free = [], dict(zip("LR", pose.gestures, strict=True))
    position = rng.random() if pose.stance != "lie" else 1.0
    if position < 0.26:
        chosen.append(Carrying("backpack", "L", garment_colour(rng, split)))
        _add_straps(outfit, outfit.material(tuple(0.7 * c for c in chosen[0].colour)))
    elif position < 0.5:
        chosen.append(Carrying("shoulder bag", str(rng.choice(["L", "R"])), garment_colour(rng, split)))
    for kind, (gestures, share) in _HELD.items():
        able = [side for side, gesture in free.items() if gesture in gestures]
        if able and len(chosen) < _MOST and pose.stance != "lie" and rng.random() < share:
            side = str(rng.choice(able))
            del free[side]
            chosen.append(Carrying(kind, side, garment_colour(rng, split)))
    return chosen


def _add_straps(outfit: Outfit, material: int) -> None:
    """Two straps over the chest, labelled as the garment below."""
    if "coat" in outfit.garments:
        label = "coat"
    elif "upper" in outfit.garments:
        label = _LABEL_OF_TOP.get(outfit.garments["upper"].kind, "upper-clothes")
    else:
        label = "face"
    outfit.cut(
        "torso", label, material, along=(0.42, 1.02), depth=(-np.inf, 0.03), width=(0.08, 0.115), thickness=0.02
    )


@cache
def _pillow() -> tuple[np.ndarray, np.ndarray]:
    """A box with round edges in [-1, 1]: vertices (V, 3) and triangles (F, 3), seen counter-clockwise from outside."""
    rows, columns = 9, 14
    up, turn = np.meshgrid(np.linspace(-pi / 2, pi / 2, rows), np.arange(columns) * 2 * pi / columns, indexing="ij")
    points = np.stack([np.cos(up) * np.cos(turn), np.cos(up) * np.sin(turn), np.sin(up)], -1).reshape(-1, 3)
    points = np.sign(points) * np.abs(points) ** 0.45
    faces = []
    for i in range(rows - 1):
        for j in range(columns):
            a, b = i * columns + j, i * columns + (j + 1) % columns
            c, d = a + columns, b + columns
            faces += [(a, b, d), (a, d, c)]
    return points, np.array(faces, np.int32)


def _pillow_at(centre: np.ndarray, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pillow at a place; the rows of `axes` (3, 3) are its half sides."""
    points, faces = _pillow()
    return centre + points @ axes, faces


def _ribbon(line: np.ndarray, across: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A ribbon along points (N, 3), `across` (N, 3) to both sides of them."""
    count = len(line)
    below = np.arange(count - 1)
    faces = np.concatenate(
        [np.stack([below, below + 1, below + count], 1), np.stack([below + 1, below + count + 1, below + count], 1)]
    )
    return np.concatenate([line - across, line + across]), faces.astype(np.int32)


def _join(kind: str, *pieces: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Thing:
    """One thing of pieces: vertices, triangles, and one colour (3,) or one per triangle."""
    starts = np.cumsum([0] + [len(vertices) for vertices, _, _ in pieces])
    return Thing(
        kind=kind,
        vertices=np.concatenate([vertices for vertices, _, _ in pieces]),
        faces=np.concatenate([faces + start for (_, faces, _), start in zip(pieces, starts, strict=False)]),
        colours=np.concatenate([np.broadcast_to(colour, (len(faces), 3)) for _, faces, colour in pieces]),
    )


@cache
def _rows_of_back() -> np.ndarray:
    body = load_body()
    torso = body.regions == REGIONS.index("torso")
    x, y, _ = body.canonical.T
    return np.nonzero(torso & (np.abs(x) < 0.1) & (y > 0.02) & (body.along > 0.35) & (body.along < 0.9))[0]


@cache
def _rows_of_hips() -> np.ndarray:
    body = load_body()
    low = np.isin(body.regions, [REGIONS.index(name) for name in ("torso", "left_leg", "right_leg")])
    return np.nonzero(low & (body.canonical[:, 2] < 0.04) & (body.canonical[:, 2] > -0.16))[0]


@cache
def _rows_of_strap(side: str) -> np.ndarray:
    """Vertices of a closed line about the trunk, from the hip of a side over the shoulder of the other."""
    body, sign = load_body(), 1.0 if side == "L" else -1.0
    hip, shoulder = np.array([sign * 0.17, 0.0, -0.03]), np.array([-sign * 0.075, 0.0, 0.5])
    along = (shoulder - hip) / np.linalg.norm(shoulder - hip)
    normal, middle = np.cross(along, [0.0, 1.0, 0.0]), (hip + shoulder) / 2
    trunk = np.isin(body.regions, [REGIONS.index("torso"), REGIONS.index(f"{'left' if side == 'L' else 'right'}_leg")])
    rows = np.nonzero(trunk & (np.abs((body.canonical - middle) @ normal) < 0.02))[0]
    angles = np.arctan2(body.canonical[rows, 1] / 0.11, (body.canonical[rows] - middle) @ along / 0.3)
    bins = np.floor((angles + pi) / (2 * pi) * _STRAP_POINTS).astype(int) % _STRAP_POINTS
    distance = np.abs((body.canonical[rows] - middle) @ normal)
    nearest = [rows[bins == k][distance[bins == k].argmin()] for k in range(_STRAP_POINTS) if (bins == k).any()]
    return np.array(nearest + nearest[:1])


@dataclass(frozen=True)
class Carrier:
    """A posed person as far as things hang on it.

    `rest` (V, 3) and `vertices` (V, 3), with unit `normals`, are the body before and after posing, the latter dressed;
    `rotations` (B, 3, 3), `translations` (B, 3) and `heads` (B, 3) what `forward_kinematics` returned; `height` is the
    stature in metres.
    """

    body: Body
    rest: np.ndarray
    vertices: np.ndarray
    normals: np.ndarray
    rotations: np.ndarray
    translations: np.ndarray
    heads: np.ndarray
    height: float
    flared: bool

    @property
    def scale(self) -> float:
        """Stature relative to that of an adult."""
        return self.height / 1.7

    def head(self, bone: str) -> np.ndarray:
        """Where a bone starts, (3,)."""
        return self.heads[self.body.bone_index[bone]]

    def to_world(self, bone: str, points: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Moves points and directions of the rest pose with a bone."""
        index = self.body.bone_index[bone]
        rotation = self.rotations[index]
        return points @ rotation.T + self.translations[index], directions @ rotation.T


def _backpack(rng: np.random.Generator, carrier: Carrier, item: Carrying) -> Thing:
    rest, scale = carrier.rest, carrier.scale
    back = rest[_rows_of_back()]
    half = np.array([rng.uniform(0.12, 0.17), rng.uniform(0.055, 0.1), rng.uniform(0.17, 0.25)]) * scale
    top = back[:, 2].max() + 0.02 * scale
    centre = np.array([0.0, back[:, 1].max() + half[1] * 0.9, top - half[2]])
    bag, pocket = np.diag(half), np.diag(half * [0.75, 0.5, 0.4])
    below = centre + np.array([0.0, half[1] * 0.9, -half[2] * 0.45])
    colour = np.array(item.colour)
    pieces = []
    for place, axes, tone in ((centre, bag, 1.0), (below, pocket, 0.8)):
        pieces.append((*_pillow_at(*carrier.to_world("spine02", place, axes)), colour * tone))
    return _join(item.kind, *pieces)


@numba.njit(cache=True)
def _crosswise(line, normals):
    """Unit vectors (N, 3) across a line of points (N, 3) on a surface with `normals` (N, 3)."""
    across = np.empty((len(line), 3))
    for n in range(len(line)):
        t = line[min(n + 1, len(line) - 1)] - line[max(n - 1, 0)]
        m = normals[n]
        x, y, z = t[1] * m[2] - t[2] * m[1], t[2] * m[0] - t[0] * m[2], t[0] * m[1] - t[1] * m[0]
        length = np.sqrt(x * x + y * y + z * z) + 1e-12
        across[n, 0], across[n, 1], across[n, 2] = x / length, y / length, z / length
    return across


def _shoulder_bag(rng: np.random.Generator, carrier: Carrier, item: Carrying) -> Thing:
    scale, sign = carrier.scale, 1.0 if item.side == "L" else -1.0
    hips = carrier.rest[_rows_of_hips()]
    half = np.array([rng.uniform(0.035, 0.06), rng.uniform(0.1, 0.17), rng.uniform(0.08, 0.13)]) * scale
    out = np.abs(hips[:, 0]).max() + half[0] + (0.05 if carrier.flared else 0.015)
    centre = np.array([sign * out, rng.uniform(-0.04, 0.08), rng.uniform(-0.12, -0.04) * scale])
    colour = np.array(item.colour)
    bag = (*_pillow_at(*carrier.to_world("root", centre, np.diag(half))), colour)
    flap_half = np.diag(half * [0.6, 0.95, 0.45])
    flap = centre + np.array([sign * half[0] * 0.5, 0.0, half[2] * 0.6])
    flap_piece = (*_pillow_at(*carrier.to_world("root", flap, flap_half)), colour * 0.75)
    rows = _rows_of_strap(item.side)
    normals = carrier.normals[rows]
    line = carrier.vertices[rows] + normals * 0.008
    across = _crosswise(line, normals)
    across *= rng.uniform(0.014, 0.022) * scale
    return _join(item.kind, bag, flap_piece, (*_ribbon(line, across), colour * 0.65))


def _grip(carrier: Carrier, side: str) -> np.ndarray:
    """The middle of the fist."""
    return (carrier.head(f"finger3-1.{side}") + carrier.head(f"finger3-2.{side}")) / 2


def _handbag(rng: np.random.Generator, carrier: Carrier, item: Carrying) -> Thing:
    scale, grip = carrier.scale, _grip(carrier, item.side)
    half = np.array([rng.uniform(0.11, 0.19), rng.uniform(0.04, 0.075), rng.uniform(0.09, 0.16)]) * scale
    drop = rng.uniform(0.07, 0.15) * scale
    forward = carrier.rotations[0] @ np.array([0.0, -1.0, 0.0])
    turn = np.arctan2(forward[1], forward[0]) + rng.normal(0, 0.3)
    axes = half[:, None] * np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    floor = carrier.heads[:, 2].min()
    centre = grip - np.array([0.0, 0.0, drop + half[2]])
    centre[2] = max(centre[2], floor + half[2])  # what would go into the ground stands on it
    colour = np.array(item.colour)
    pieces = [(*_pillow_at(centre, axes), colour)]
    for face in (-0.7, 0.7):
        corners = [centre + axes[2] * 0.9 + axes[0] * end + axes[1] * face for end in (-0.55, 0.55)]
        arch = np.stack([corners[0], grip - axes[0] * 0.12, grip + axes[0] * 0.12, corners[1]])
        wide = np.broadcast_to(axes[0] / np.linalg.norm(axes[0]) * 0.009, arch.shape).copy()
        wide[1:3] = [0.0, 0.0, 0.009]
        pieces.append((*_ribbon(arch, wide), colour * 0.6))
    return _join(item.kind, *pieces)


def _phone(rng: np.random.Generator, carrier: Carrier, item: Carrying) -> Thing:
    grip, eyes = _grip(carrier, item.side), carrier.head("eye.L") / 2 + carrier.head("eye.R") / 2
    towards = (eyes - grip) / (np.linalg.norm(eyes - grip) + 1e-9)
    up = np.array([0.0, 0.0, 1.0]) + rng.normal(0, 0.25, 3)
    up -= towards * (up @ towards)
    up /= np.linalg.norm(up) + 1e-9
    size = rng.uniform(0.9, 1.15)
    axes = np.stack([np.cross(up, towards) * 0.042 * size, up * 0.085 * size, towards * 0.007])
    centre = grip + towards * 0.03 + up * 0.02
    body = (*_pillow_at(centre, axes), np.array(item.colour) * 0.5)
    screen = (*_pillow_at(centre + axes[2] * 0.8, axes * [[0.88], [0.9], [0.4]]), np.array([170.0, 190, 215]))
    return _join(item.kind, body, screen)


@cache
def _canopy(ribs: int) -> np.ndarray:
    """Triangles (5 * ribs, 3) of a canopy: an apex and three rings of `ribs` points."""
    faces = []
    for j in range(ribs):
        a, b = 1 + j, 1 + (j + 1) % ribs
        faces.append((0, a, b))
        for ring in range(2):
            p, q = a + ring * ribs, b + ring * ribs
            faces += [(p, p + ribs, q + ribs), (p, q + ribs, q)]
    return np.array(faces, np.int32)


def _umbrella(rng: np.random.Generator, carrier: Carrier, item: Carrying) -> Thing:
    grip = _grip(carrier, item.side)
    lean = (carrier.head("head") - grip) * [1.0, 1.0, 0.0]
    up = np.array([0.0, 0.0, 1.0]) + 0.5 * lean + rng.normal(0, 0.1, 3)
    up /= np.linalg.norm(up)
    shaft, radius, ribs = rng.uniform(0.62, 0.78), rng.uniform(0.42, 0.56), 8
    side = np.cross(up, [0.3, 1.0, 0.1])
    side /= np.linalg.norm(side)
    other = np.cross(up, side)
    apex = grip + up * shaft
    turns = np.arange(ribs) * 2 * pi / ribs
    circle = np.cos(turns)[:, None] * side + np.sin(turns)[:, None] * other
    rings = [apex + circle * radius * r - up * radius * d for r, d in ((0.55, 0.1), (0.85, 0.26), (1.0, 0.42))]
    vertices = np.concatenate([apex[None], *rings])
    colour = np.array(item.colour)
    tones = np.where(np.arange(ribs) % 2, rng.choice([1.0, 0.75]), 1.0).repeat(5)[:, None] * colour
    stick = np.stack([grip - up * 0.12, grip + up * (shaft + 0.05)])
    thin = np.full((2, 3), 0.009)
    pieces = [(*_ribbon(stick, thin * direction), np.array([70.0, 65, 60])) for direction in (side, other)]
    return _join(item.kind, (vertices, _canopy(ribs), tones), *pieces)


_MAKERS = {
    "backpack": _backpack,
    "shoulder bag": _shoulder_bag,
    "handbag": _handbag,
    "umbrella": _umbrella,
    "phone": _phone,
}


def make_things(rng: np.random.Generator, carrier: Carrier, chosen: list[Carrying]) -> tuple[Thing, ...]:
    """Hangs what was chosen on a posed person."""
    return tuple(_MAKERS[item.kind](rng, carrier, item) for item in chosen)


@numba.njit(cache=True, fastmath=True)
def _merge(face_ids, nearness, face_colours, face_things, factor, colour, alpha, labels, depth, things):
    """Merges rasterised things into a layer, in place; at equal depth (within 1 cm) the thing is in front."""
    height, width = labels.shape
    share = 1.0 / (factor * factor)
    for y in range(height):
        for x in range(width):
            covered, nearest, seen = 0, 0.0, 0
            red, green, blue = 0.0, 0.0, 0.0
            for i in range(y * factor, (y + 1) * factor):
                for j in range(x * factor, (x + 1) * factor):
                    f = face_ids[i, j]
                    if f < 0:
                        continue
                    covered += 1
                    red += face_colours[f, 0]
                    green += face_colours[f, 1]
                    blue += face_colours[f, 2]
                    if nearness[i, j] > nearest:
                        nearest, seen = nearness[i, j], face_things[f]
            if covered == 0:
                continue
            cover, place = covered * share, 1 / nearest
            front = place - 0.01 < depth[y, x]
            under = 1 - cover if front else 1.0  # how much of the layer stays
            over = share if front else share * (1 - alpha[y, x])
            colour[y, x, 0] = colour[y, x, 0] * under + red * over
            colour[y, x, 1] = colour[y, x, 1] * under + green * over
            colour[y, x, 2] = colour[y, x, 2] * under + blue * over
            alpha[y, x] = alpha[y, x] + cover * (1 - alpha[y, x])
            if 2 * covered >= factor * factor and (front or labels[y, x] == 0):
                labels[y, x] = 0
                things[y, x] = seen
                depth[y, x] = min(depth[y, x], place)


def draw_things(things: tuple[Thing, ...], layer: Layer, camera: Camera, light: Light) -> None:
    """Draws things into a person's layer, in place; `layer.things` becomes 1 + the index of the thing seen there."""
    if not things:
        return
    counts = [len(thing.vertices) for thing in things]
    starts = np.cumsum([0, *counts])
    vertices = np.concatenate([thing.vertices for thing in things])
    faces = np.concatenate([thing.faces + start for thing, start in zip(things, starts, strict=False)]).astype(
        np.int32
    )
    pixels, depths = camera.project(vertices)
    low, high = extent(pixels)
    height, width = layer.labels.shape
    left, top = (max(int(np.floor(v)), 0) for v in low)
    right, bottom = min(int(np.ceil(high[0])), width), min(int(np.ceil(high[1])), height)
    if left >= right or top >= bottom:
        return
    fine = ((bottom - top) * _SUPERSAMPLE, (right - left) * _SUPERSAMPLE)
    nearness, face_ids = np.zeros(fine, np.float32), np.full(fine, -1, np.int32)
    pixels = (pixels - np.array([left, top], np.float32)) * np.float32(_SUPERSAMPLE)
    both_sides, everything = np.zeros(len(faces), bool), np.ones(len(vertices), np.float32)
    rasterise(pixels, depths, faces, both_sides, everything, nearness, face_ids, np.empty((*fine, 2), np.float32))
    backwards = np.array([0.0, -np.cos(camera.pitch), np.sin(camera.pitch)])  # from the target to the camera
    shades = _shade(
        vertices,
        faces,
        np.concatenate([thing.colours for thing in things]),
        np.asarray(camera.target) + camera.distance * backwards,
        light.direction,
        float(light.key),
        float(light.ambient),
        light.colour,
        light.ambient_colour,
    )
    owners = np.repeat(np.arange(1, len(things) + 1, dtype=np.uint8), [len(thing.faces) for thing in things])
    area = (slice(top, bottom), slice(left, right))
    _merge(
        face_ids,
        nearness,
        shades,
        owners,
        _SUPERSAMPLE,
        layer.colour[area],
        layer.alpha[area],
        layer.labels[area],
        layer.depth[area],
        layer.things[area],
    )


@numba.njit(cache=True)
def _shade(vertices, faces, colours, eye, direction, key, ambient, key_colour, ambient_colour):
    """Lit colours of triangles (F, 3) float32, each on the side that faces the `eye`."""
    lit = np.empty((len(faces), 3), np.float32)
    for f in range(len(faces)):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
        vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        length = np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
        if (eye[0] - a[0]) * nx + (eye[1] - a[1]) * ny + (eye[2] - a[2]) * nz < 0:
            length = -length
        nx, ny, nz = nx / length, ny / length, nz / length
        facing = nx * direction[0] + ny * direction[1] + nz * direction[2]
        diffuse, sky = key * max(0.0, (facing + 0.2) / 1.2), ambient * (0.8 + 0.2 * nz)
        for k in range(3):
            light = diffuse * key_colour[k] + sky * ambient_colour[k]
            lit[f, k] = min(255.0, max(0.0, colours[f, k] * light))
    return lit


__all__ = ["CARRIED", "Carrier", "Carrying", "Thing", "choose_carried", "draw_things", "make_things"]
