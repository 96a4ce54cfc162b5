# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Tracks: how one person moves, frame by frame, and where that brings the points of a body.

A track says what the joints do. Where the person goes follows from it: what touches the ground stays where it is, so
feet neither slide nor float, and walking moves a person on because the standing leg swings back. Axes are those of
`body`: x to the person's left, y to the back, z up from the ground.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numba
import numpy as np

from .body import COCO_KEYPOINTS, Body, forward_kinematics, load_body
from .open_body import coarse_vertices
from .poses import pose_frames
from .splits import body_indices

LEFT, RIGHT = 0, 1

_TRUNK = ("pitch", "roll", "heading", "bend", "lean", "turn", "nod", "tilt", "look")
_LEG = ("flexion", "spread", "twist", "knee", "level", "toes")
_GRIP = 0.008  # metres above the lowest point at which a point holds the body about a third as firmly
_SPREAD = 60  # how many points of the whole skin may touch the ground
_AIRBORNE = 0.01  # metres of lift above which nothing holds it


class Track:
    """What the joints of one person do in T frames; all arrays may be changed in place.

    Args:
        seconds: Shape (T,), times of the frames.

    Attributes:
        seconds: The argument.
        trunk, legs, arms: as `poses.pose_frames` takes them.
        lift: Shape (T,), metres that the lowest point is above the ground.
        momentum: what share of its speed the body keeps in the air.
    """

    def __init__(self, seconds: np.ndarray):
        count = len(seconds)
        self.seconds = seconds
        self.trunk = np.zeros((count, len(_TRUNK)))
        self.legs = np.zeros((count, 2, len(_LEG)))
        self.arms = np.zeros((count, 2, 4))
        self.lift = np.zeros(count)
        self.momentum = 0.0
        self.legs[:, :, 4] = 1

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.seconds)

    def move(self, **angles: np.ndarray | float) -> None:
        """Adds radians to angles of the trunk: pitch, roll, heading, bend, lean, turn, nod, tilt, look."""
        for name, angle in angles.items():
            self.trunk[:, _TRUNK.index(name)] += angle

    def leg(self, side: int, **angles: np.ndarray | float) -> None:
        """Adds to angles of a leg: flexion, spread, twist, knee, toes, or sets level."""
        for name, angle in angles.items():
            if name == "level":
                self.legs[:, side, _LEG.index(name)] = angle
            else:
                self.legs[:, side, _LEG.index(name)] += angle

    def arm(self, side: int, place: np.ndarray, swivel: np.ndarray | float, weight: np.ndarray | float = 1.0) -> None:
        """Brings a wrist to a place (3,) or (T, 3) (see `poses.Gesture`), as far as `weight` (0 to 1) says."""
        weight = np.broadcast_to(weight, len(self))[:, None]
        goal = np.empty((len(self), 4))
        goal[:, :3], goal[:, 3] = place, swivel
        self.arms[:, side] += weight * (goal - self.arms[:, side])


@dataclass(frozen=True)
class _Points:
    """Some points of the body as sums of what its bones make of them.

    Attributes:
        columns: where their vertices lie in the flat shape vector of the asset, (n * 3,).
        sums: Shape (E, n), from vertices to entries: one for each pair of a point and a bone that moves it.
        bones: Shape (E,), the bone of each entry.
        owners: Shape (E,), the point of each entry, in order.
    """

    columns: np.ndarray
    sums: np.ndarray
    bones: np.ndarray
    owners: np.ndarray


@cache
def _points() -> _Points:
    """The 17 keypoints, then what may touch the ground: soles, and some of the rest of the skin."""
    body = load_body()
    coarse = coarse_vertices(np.arange(body.num_vertices)[:, None])[:, 0]
    heights = body.canonical[coarse, 2]
    soles = coarse[heights < heights.min() + 0.03]
    distance, spread = np.linalg.norm(body.canonical[coarse], axis=1), []
    for _ in range(_SPREAD):  # always what is farthest from those before: fingertips, crown, elbows, ...
        spread.append(coarse[distance.argmax()])
        distance = np.minimum(distance, np.linalg.norm(body.canonical[coarse] - body.canonical[spread[-1]], axis=1))
    touching = np.union1d(soles, spread)
    rows = np.concatenate(
        [
            np.repeat(np.arange(17), np.diff([*body.keypoint_starts, len(body.keypoint_vertices)])),
            17 + np.arange(len(touching)),
        ]
    )
    vertices = np.concatenate([body.keypoint_vertices, touching])
    weights = np.concatenate([body.keypoint_weights, np.ones(len(touching))])
    pairs = rows[:, None] * len(body.bone_names) + body.skin_bones[vertices]
    shares = weights[:, None] * body.skin_weights[vertices]
    kept = np.unique(pairs[shares > 1e-6])
    sums = np.zeros((len(kept), len(vertices)), np.float32)
    entry = np.searchsorted(kept, pairs)
    for vertex, slot in zip(*np.nonzero(shares > 1e-6), strict=True):
        sums[entry[vertex, slot], vertex] += shares[vertex, slot]
    columns = (vertices[:, None] * 3 + np.arange(3)).ravel()
    return _Points(columns, sums, kept % len(body.bone_names), kept // len(body.bone_names))


@dataclass(frozen=True)
class Actor:
    """A body that can move: the heads of its bones (B, 3) and its points, as `_Points` has them, (E, 4).

    `coefficients` (K,) are those of its shape, `gender` and `age` as in `Body`.
    """

    body: Body
    coefficients: np.ndarray
    heads: np.ndarray
    entries: np.ndarray
    gender: float
    age: float


def sample_actor(rng: np.random.Generator, split: str, suits: Callable[[float], bool] | None = None) -> Actor:
    """Draws a body from those that belong to `split`; `suits` may refuse its age (see `Body`)."""
    body, points = load_body(), _points()
    bank = body_indices(split, len(body.coefficients))
    while True:
        first, second = rng.choice(bank, 2)
        blend = rng.uniform(0, 0.5)
        if suits is None or suits(float(body.age[first])):
            break
    coefficients = (1 - blend) * body.coefficients[first] + blend * body.coefficients[second]
    columns, count = points.columns, len(body.bone_names) * 3
    mean, basis = _shape_tables()
    flat = mean + coefficients.astype(np.float32) @ basis
    vertices = np.ones((len(columns) // 3, 4), np.float32)
    vertices[:, :3] = flat[:-count].reshape(-1, 3)
    heads = flat[-count:].reshape(-1, 3).astype(np.float64)
    return Actor(body, coefficients, heads, points.sums @ vertices, float(body.gender[first]), float(body.age[first]))


@cache
def _shape_tables() -> tuple[np.ndarray, np.ndarray]:
    """Mean and basis of the vertices of `_points`, then of the heads of all bones."""
    body, columns = load_body(), _points().columns
    columns = np.concatenate([columns, np.arange(3 * body.num_vertices, body.mean.size)])
    return body.mean.reshape(-1)[columns], np.ascontiguousarray(body.basis[:, columns])


@dataclass(frozen=True)
class Motion:
    """A track on a body: keypoints (T, 17, 3), and for drawing the place of the pelvis (T, 3) and the bones' local
    rotations (T, B, 3, 3); metres."""

    actor: Actor
    keypoints: np.ndarray
    root: np.ndarray
    local: np.ndarray


def perform(actor: Actor, track: Track) -> Motion:
    """Moves a body along a track; it begins above the origin and looks along -y where its heading is 0."""
    points = _points()
    local = pose_frames(actor.body, actor.heads, track.trunk, track.legs, track.arms)
    placed = np.zeros((len(track), points.owners[-1] + 1, 3), np.float32)
    for t, frame in enumerate(local):
        rotations, translations, _ = forward_kinematics(frame, actor.heads, actor.body.bone_parents)
        _place(rotations, translations, actor.entries, points.bones, points.owners, placed[t])
    root = _roots(placed[:, len(COCO_KEYPOINTS) :], track.lift, track.momentum)
    return Motion(actor, placed[:, : len(COCO_KEYPOINTS)] + root[:, None].astype(np.float32), root, local)


@numba.njit(cache=True)
def _place(rotations, translations, entries, bones, owners, placed):
    """Adds up the entries (E, 4) of all points in `placed` (P, 3)."""
    for e in range(len(entries)):
        bone = bones[e]
        for i in range(3):
            moved = translations[bone, i] * entries[e, 3]
            for k in range(3):
                moved += rotations[bone, i, k] * entries[e, k]
            placed[owners[e], i] += moved


def _roots(touching: np.ndarray, lift: np.ndarray, momentum: float) -> np.ndarray:
    """Where the pelvis is, (T, 3), so that what touches the ground stays there.

    Args:
        touching: Shape (T, C, 3), points relative to the pelvis.
        lift: Shape (T,), metres of the lowest above the ground.
        momentum: see `Track`.
    """
    height = touching[..., 2]
    lowest = height.min(axis=1)
    root = np.zeros((len(touching), 3))
    root[:, 2] = lift - lowest
    weights = np.exp((lowest[:, None] - height) / _GRIP)
    weights = weights[:-1] + weights[1:]
    weights /= weights.sum(axis=1, keepdims=True)
    steps = -np.einsum("tc,tcd->td", weights, np.diff(touching[..., :2], axis=0))
    airborne = np.minimum(lift[:-1], lift[1:]) > _AIRBORNE
    for t in range(len(steps)):
        if airborne[t]:  # in the air things go on as they went
            landed = t == 0 or not airborne[t - 1]
            steps[t] = (momentum if landed else 1.0) * steps[max(t - 1, 0)]
    root[1:, :2] = np.cumsum(steps, axis=0)
    return root


__all__ = ["LEFT", "RIGHT", "Actor", "Motion", "Track", "perform", "sample_actor"]
