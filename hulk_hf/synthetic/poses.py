# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Poses: a stance for the legs and the trunk, a gesture for each arm, and a check that limbs do not intersect.

Angles are radians. Legs are posed by joint angles, arms by where the wrist is and how far the elbow swivels about the
line from shoulder to wrist, which keeps elbows natural wherever the hand goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from .body import Body, forward_kinematics
from .stances import HELD_OUT_STANCES, STANCES, Leg, Stance


@numba.njit(cache=True)
def rotation(axis, angle):
    """Rotation matrix (3, 3) by `angle` about `axis` (3,), which need not have unit length."""
    x, y, z = axis / (np.sqrt(axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2) + 1e-12)
    c, s = np.cos(angle), np.sin(angle)
    t = 1 - c
    return np.array(
        [
            [t * x * x + c, t * x * y - s * z, t * x * z + s * y],
            [t * x * y + s * z, t * y * y + c, t * y * z - s * x],
            [t * x * z - s * y, t * y * z + s * x, t * z * z + c],
        ]
    )


X, Y, Z = np.eye(3)


def about(pitch: float = 0.0, roll: float = 0.0, turn: float = 0.0) -> np.ndarray:
    """Rotation that bows forward by `pitch`, leans to the person's left by `roll`, turns to the left by `turn`."""
    return rotation(Z, turn) @ rotation(Y, roll) @ rotation(X, pitch)


@numba.njit(cache=True)
def _unit(vector):
    return vector / (np.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2) + 1e-12)


@numba.njit(cache=True)
def _cross(a, b):
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


@numba.njit(cache=True)
def _shortest_arc(source, target):
    """The smallest rotation that takes direction `source` to direction `target`."""
    axis = _cross(source, target)
    sine = np.sqrt(axis[0] ** 2 + axis[1] ** 2 + axis[2] ** 2)
    cosine = source[0] * target[0] + source[1] * target[1] + source[2] * target[2]
    if sine < 1e-9:
        axis = np.array([1.0, 0.0, 0.0])
    return rotation(axis, np.arctan2(sine, cosine))


@numba.njit(cache=True)
def _reach(upper, lower, target, hint, swivel):
    """Two-bone inverse kinematics from the rest directions of upper and lower arm.

    Returns the rotation of the upper arm (in the chest's frame) and that of the lower arm (relative to the upper).
    """
    a, b = np.sqrt((upper**2).sum()), np.sqrt((lower**2).sum())
    distance = np.sqrt((target**2).sum())
    line = target / (distance + 1e-12)
    distance = min(max(distance, abs(a - b) * 1.05 + 0.12 * (a + b)), (a + b) * 0.998)
    side = _unit(hint - line * (hint * line).sum())
    side = rotation(line, swivel) @ side
    along = (a * a - b * b + distance * distance) / (2 * distance)
    elbow = line * along + side * np.sqrt(max(a * a - along * along, 0.0))
    hinge = _cross(side, line)
    rest_hinge = _unit(_cross(upper, lower))
    rest, goal = np.empty((3, 3)), np.empty((3, 3))
    rest[:, 0], rest[:, 1], rest[:, 2] = upper / a, rest_hinge, _cross(upper / a, rest_hinge)
    goal[:, 0], goal[:, 1], goal[:, 2] = elbow / a, hinge, _cross(elbow / a, hinge)
    bend = np.arccos(min(max(((line * distance - elbow) * elbow).sum() / (a * b), -1.0), 1.0))
    rest_bend = np.arccos(min(max((upper * lower).sum() / (a * b), -1.0), 1.0))
    return goal @ rest.T, rotation(rest_hinge, bend - rest_bend)


@numba.njit(cache=True)
def leg_rotation(thigh, outward, flexion, spread, twist):
    """Rotation of the upper leg whose rest direction is `thigh` (3,); `outward` is 1 for the left leg, else -1."""
    flat = np.cos(spread)
    goal = np.array([outward * np.sin(spread), -np.sin(flexion) * flat, -np.cos(flexion) * flat])
    # Flex first about the body's x axis, so that the knee keeps pointing forward, then spread and twist.
    flexed = rotation(np.array([1.0, 0.0, 0.0]), -flexion)
    arc = _shortest_arc(flexed @ thigh, goal * np.sqrt((thigh**2).sum()))
    return rotation(goal, -outward * twist) @ arc @ flexed


@numba.njit(cache=True)
def arm_rotations(upper, lower, outward, place, swivel):
    """Rotations of clavicle, upper and lower arm, each relative to its parent, that bring the wrist to `place`.

    `upper` and `lower` (3,) are the rest directions, `outward` is 1 for the left arm, else -1, `place` (3,) and
    `swivel` as in `Gesture`.
    """
    length = np.sqrt((upper**2).sum()) + np.sqrt((lower**2).sum())
    goal = np.array([outward * place[0], -place[1], place[2]])
    # A raised arm lifts the collar bone too.
    lift = 0.45 * min(max(goal[2] / (np.sqrt((goal**2).sum()) + 1e-9) + 0.2, 0.0), 1.0)
    clavicle = rotation(np.array([0.0, 1.0, 0.0]), -outward * lift)
    hint = np.array([outward * 0.35, 0.45, -1.0])
    arm, forearm = _reach(upper, lower, goal * length, hint, outward * swivel)
    return clavicle, clavicle.T @ arm, forearm


_TRUNK_BONES = ("root", "spine04", "spine03", "spine02", "spine01", "neck01", "head")
_LEG_BONES = tuple((f"upperleg01.{side}", f"lowerleg01.{side}", f"foot.{side}") for side in "LR")
_ARM_BONES = tuple((f"clavicle.{s}", f"upperarm01.{s}", f"lowerarm01.{s}", f"wrist.{s}") for s in "LR")


def pose_frames(body: Body, heads: np.ndarray, trunk: np.ndarray, legs: np.ndarray, arms: np.ndarray) -> np.ndarray:
    """Rotations of all bones relative to their parents in every frame of a movement, (T, B, 3, 3).

    Args:
        body: the body asset.
        heads: where the bones of this body start at rest, (B, 3).
        trunk: (T, 9), radians: pitch, roll and turn of the whole body, bend, lean and turn of the spine, nod (down),
            tilt and turn of the head, signs as in `about`.
        legs: (T, 2, 6), left and right: flexion, spread, twist and knee as in `Leg`, then how far (0 to 1) the sole is
            kept level, and how much the toes point down.
        arms: (T, 2, 4), left and right: place of the wrist and swivel of the elbow as in `Gesture`.
    """
    index = body.bone_index
    bones = [np.array([[index[bone] for bone in side] for side in sides]) for sides in (_LEG_BONES, _ARM_BONES)]
    spine = np.array([index[bone] for bone in _TRUNK_BONES])
    return _pose_frames(trunk, legs, arms, np.asarray(heads, np.float64), spine, *bones)


@numba.njit(cache=True)
def _about(pitch, roll, turn):
    cp, sp, cr, sr, ct, st = np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll), np.cos(turn), np.sin(turn)
    return np.array(
        [
            [ct * cr, ct * sr * sp - st * cp, ct * sr * cp + st * sp],
            [st * cr, st * sr * sp + ct * cp, st * sr * cp - ct * sp],
            [-sr, cr * sp, cr * cp],
        ]
    )


@numba.njit(cache=True)
def _pose_frames(trunk, legs, arms, heads, trunk_bones, leg_bones, arm_bones):
    local = np.zeros((len(trunk), len(heads), 3, 3))
    for i in range(3):
        local[:, :, i, i] = 1.0
    x = np.array([1.0, 0.0, 0.0])
    for t in range(len(trunk)):
        pitch = trunk[t, 0]
        local[t, trunk_bones[0]] = _about(pitch, trunk[t, 1], trunk[t, 2])
        spine = _about(trunk[t, 3] / 4, trunk[t, 4] / 4, trunk[t, 5] / 4)
        for k in range(1, 5):
            local[t, trunk_bones[k]] = spine
        head = _about(trunk[t, 6] / 2, trunk[t, 7] / 2, trunk[t, 8] / 2)
        local[t, trunk_bones[5]], local[t, trunk_bones[6]] = head, head
        for side in range(2):
            outward = 1.0 - 2.0 * side
            flexion, spread, twist, knee, level, toes = legs[t, side]
            hip, shin, foot = leg_bones[side]
            local[t, hip] = leg_rotation(heads[shin] - heads[hip], outward, flexion, spread, twist)
            local[t, shin] = rotation(x, max(knee, 0.0))
            rest = np.arctan2(heads[hip, 1] - heads[shin, 1], heads[hip, 2] - heads[shin, 2])
            local[t, foot] = rotation(x, level * min(max(flexion - rest - knee - pitch, -0.7), 0.5) + toes)
            clavicle, upper, lower, wrist = arm_bones[side]
            local[t, clavicle], local[t, upper], local[t, lower] = arm_rotations(
                heads[lower] - heads[upper], heads[wrist] - heads[lower], outward, arms[t, side, :3], arms[t, side, 3]
            )
    return local


@dataclass(frozen=True)
class Gesture:
    """Where a wrist goes and where the elbow points.

    Attributes:
        share: how often the gesture is drawn, relative to the others.
        wrist: mean place (outward, forward, up) relative to the shoulder, in lengths of the arm.
        spread: standard deviations of that place.
        swivel: mean turn of the elbow about the line from shoulder to wrist, from pointing down, outward and back;
            positive turns it outward when the hand is below the shoulder.
        swivel_spread: its standard deviation.
    """

    share: float
    wrist: tuple[float, float, float]
    spread: tuple[float, float, float]
    swivel: float = 0.1
    swivel_spread: float = 0.3


GESTURES = {
    "hang": Gesture(0.28, (0.10, 0.08, -0.93), (0.08, 0.12, 0.04), 0.0),
    "bent_low": Gesture(0.10, (0.12, 0.45, -0.50), (0.15, 0.15, 0.15)),
    "hip": Gesture(0.05, (0.10, 0.02, -0.60), (0.04, 0.06, 0.06), 1.0, 0.2),
    "forward": Gesture(0.08, (0.05, 0.85, 0.00), (0.20, 0.15, 0.25), 0.2, 0.4),
    "side": Gesture(0.08, (0.85, 0.10, 0.05), (0.12, 0.25, 0.25), 0.0, 0.4),
    "overhead": Gesture(0.08, (0.15, 0.15, 0.85), (0.20, 0.20, 0.12), -0.3, 0.5),
    "raised": Gesture(0.08, (0.45, 0.30, 0.50), (0.20, 0.25, 0.20), 0.0, 0.4),
    "face": Gesture(0.06, (-0.15, 0.32, 0.22), (0.06, 0.06, 0.08)),
    "chest": Gesture(0.08, (-0.30, 0.42, -0.28), (0.15, 0.08, 0.15), 0.3),
    "behind": Gesture(0.03, (-0.15, -0.35, -0.65), (0.15, 0.08, 0.10)),
    "across": Gesture(0.03, (-0.45, 0.45, 0.00), (0.10, 0.10, 0.20), 0.3),
    "salute": Gesture(0.02, (0.02, 0.25, 0.38), (0.04, 0.05, 0.05), -0.2, 0.15),
    "behind_head": Gesture(0.02, (-0.10, -0.08, 0.32), (0.05, 0.04, 0.05), -1.2, 0.2),
}
# What only held-out people do (see `splits`).
HELD_OUT_GESTURES = ("salute", "behind_head")
_FREE_SHARE = 0.2  # how often a wrist goes anywhere it can reach
_ALIKE_SHARE = 0.35  # how often both arms do the same


def _draw(rng: np.random.Generator, shares: dict[str, float], special: tuple[str, ...], allow_special: bool) -> str:
    """Draws a name; the `special` ones only if allowed, and then three times as often."""
    factor = 3.0 if allow_special else 0.0
    weights = np.array([share * factor if name in special else share for name, share in shares.items()])
    return list(shares)[rng.choice(len(shares), p=weights / weights.sum())]


def _free_wrist(rng: np.random.Generator) -> np.ndarray:
    """Anywhere within reach, but not too near the shoulder, in the trunk or far behind the back."""
    while True:
        place = rng.uniform(-1, 1, 3)
        outward, forward, up = place
        in_trunk = outward < 0.05 and up < 0.1 and forward < 0.3
        if 0.35 < np.linalg.norm(place) < 1 and outward > -0.55 and forward > -0.5 and not in_trunk:
            return place


def _wrist(rng: np.random.Generator, held_out: bool) -> tuple[str, np.ndarray, float]:
    """Draws a gesture: its name, the place of the wrist and the swivel of the elbow."""
    if rng.random() < _FREE_SHARE:
        return "free", _free_wrist(rng), rng.normal(0.1, 0.5)
    name = _draw(rng, {name: gesture.share for name, gesture in GESTURES.items()}, HELD_OUT_GESTURES, held_out)
    gesture = GESTURES[name]
    return name, rng.normal(gesture.wrist, gesture.spread), rng.normal(gesture.swivel, gesture.swivel_spread)


@dataclass(frozen=True)
class Pose:
    """A pose: rotations relative to the parent bone (B, 3, 3) and the names of what it was made from."""

    local: np.ndarray
    stance: str
    gestures: tuple[str, str]


def _pose_leg(local: np.ndarray, body: Body, heads: np.ndarray, letter: str, leg: Leg, stance: Stance) -> None:
    """Writes the rotations of one leg ("L" or "R") into `local`."""
    index = body.bone_index
    outward = 1.0 if letter == "L" else -1.0
    thigh = heads[index[f"lowerleg01.{letter}"]] - heads[index[f"upperleg01.{letter}"]]
    hip = leg_rotation(thigh.astype(np.float64), outward, leg.flexion, leg.spread, leg.twist)
    local[index[f"upperleg01.{letter}"]] = hip
    local[index[f"lowerleg01.{letter}"]] = rotation(X, max(leg.knee, 0.0))
    if stance.flat_feet:
        ankle = np.clip(leg.flexion - leg.knee - stance.pitch, -0.7, 0.5)
        local[index[f"foot.{letter}"]] = rotation(X, ankle)


def _pose_arm(
    local: np.ndarray,
    body: Body,
    heads: np.ndarray,
    letter: str,
    place: np.ndarray,
    swivel: float,
    rng: np.random.Generator,
) -> None:
    """Writes the rotations of one arm ("L" or "R") into `local`: wrist at `place` (see `Gesture`), fingers curled."""
    index = body.bone_index
    outward = 1.0 if letter == "L" else -1.0
    shoulder, elbow, wrist = (heads[index[f"{b}.{letter}"]] for b in ("upperarm01", "lowerarm01", "wrist"))
    upper, lower = (elbow - shoulder).astype(np.float64), (wrist - elbow).astype(np.float64)
    clavicle, arm, forearm = arm_rotations(upper, lower, outward, np.asarray(place, np.float64), swivel)
    local[index[f"clavicle.{letter}"]] = clavicle
    local[index[f"upperarm01.{letter}"]] = arm
    local[index[f"lowerarm01.{letter}"]] = forearm
    direction = _unit(lower)
    local[index[f"lowerarm02.{letter}"]] = rotation(direction, rng.normal(0, 0.5))
    knuckles = heads[index[f"finger2-1.{letter}"]] - heads[index[f"finger5-1.{letter}"]]
    hinge = _unit(knuckles.astype(np.float64)) * outward
    local[index[f"wrist.{letter}"]] = rotation(direction, rng.normal(0, 0.2)) @ rotation(hinge, rng.normal(0, 0.3))
    curl = rng.choice([0.1, 0.4, 1.0]) * rng.uniform(0.3, 1.3)
    for finger in range(2, 6):
        for joint in range(1, 4):
            local[index[f"finger{finger}-{joint}.{letter}"]] = rotation(hinge, curl * rng.uniform(0.8, 1.2))


@numba.njit(cache=True)
def _segment_distance(p, q, r, s):
    """Smallest distance of two segments p-q and r-s, sampled finely enough for a collision check."""
    best = 1e9
    for i in range(7):
        a = p + (q - p) * (i / 6)
        d = s - r
        t = min(max(((a - r) * d).sum() / ((d * d).sum() + 1e-12), 0.0), 1.0)
        gap = a - r - t * d
        best = min(best, np.sqrt((gap * gap).sum()))
    return best


@numba.njit(cache=True)
def _intersects(joints, capsules, radii, pairs, scale):
    """Whether any listed pair of capsules (bone pairs with radii) intersects."""
    for k in range(len(pairs)):
        a, b = pairs[k, 0], pairs[k, 1]
        gap = _segment_distance(
            joints[capsules[a, 0]], joints[capsules[a, 1]], joints[capsules[b, 0]], joints[capsules[b, 1]]
        )
        if gap < (radii[a] + radii[b]) * scale:
            return True
    return False


# Capsules of the collision check: from bone, to bone, radius in metres on a body of 1.7 m; and what must stay apart.
_CAPSULES = (
    ("spine05", "spine01", 0.11),
    ("neck03", "head", 0.07),
    ("lowerarm01.L", "finger3-2.L", 0.035),
    ("lowerarm01.R", "finger3-2.R", 0.035),
    ("upperleg02.L", "lowerleg01.L", 0.06),
    ("upperleg02.R", "lowerleg01.R", 0.06),
    ("lowerleg02.L", "foot.L", 0.045),
    ("lowerleg02.R", "foot.R", 0.045),
)
_APART = np.array(
    [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (2, 4), (2, 5), (3, 4), (3, 5), (4, 7), (5, 6), (6, 7), (2, 6), (3, 7)]
)


def sample_pose(rng: np.random.Generator, body: Body, heads: np.ndarray, held_out: bool = False) -> Pose:
    """Draws a pose for a body.

    Args:
        rng: source of randomness.
        body: the body asset.
        heads: where the bones of this body start at rest, (B, 3).
        held_out: whether held-out stances and gestures may be drawn.

    Returns:
        The pose; limbs do not intersect unless ten attempts all failed, in which case the last is returned.
    """
    index = body.bone_index
    capsules = np.array([(index[a], index[b]) for a, b, _ in _CAPSULES])
    radii = np.array([radius for *_, radius in _CAPSULES])
    scale = float(heads[index["head"], 2] - heads[index["foot.L"], 2]) / 1.45
    name = _draw(rng, {name: share for name, (share, _) in STANCES.items()}, HELD_OUT_STANCES, held_out)
    for _ in range(10):
        stance = STANCES[name][1](rng)
        local = np.tile(np.eye(3), (len(heads), 1, 1))
        local[0] = about(stance.pitch, stance.roll)
        for bone in ("spine04", "spine03", "spine02", "spine01"):
            local[index[bone]] = about(stance.bend / 4, stance.lean / 4, stance.turn / 4)
        look = about(rng.normal(0, 0.2) - 0.3 * stance.pitch, rng.normal(0, 0.1), rng.normal(0, 0.35))
        local[index["neck01"]] = local[index["head"]] = rotation(*_half(look))
        _pose_leg(local, body, heads, "L", stance.left, stance)
        _pose_leg(local, body, heads, "R", stance.right, stance)
        gestures = _pose_arms(local, body, heads, stance, rng, held_out)
        if not _intersects(forward_kinematics(local, heads, body.bone_parents)[2], capsules, radii, _APART, scale):
            break
    return Pose(local, name, gestures)


def _half(matrix: np.ndarray) -> tuple[np.ndarray, float]:
    """Axis and half the angle of a rotation matrix."""
    axis = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    return axis, 0.5 * np.arctan2(np.linalg.norm(axis), np.trace(matrix) - 1)


def _pose_arms(
    local: np.ndarray, body: Body, heads: np.ndarray, stance: Stance, rng: np.random.Generator, held_out: bool
) -> tuple[str, str]:
    """Poses both arms and returns the names of their gestures."""
    if stance.name in ("walk", "run") and rng.random() < 0.6:
        running = stance.name == "run"
        for letter, sign in (("L", -1), ("R", 1)):
            ahead = sign * stance.swing * 0.8
            place = np.array([0.1, ahead + 0.25, -0.45] if running else [0.12, 0.1 + ahead, -0.85])
            _pose_arm(local, body, heads, letter, place + rng.normal(0, 0.06, 3), rng.normal(0, 0.2), rng)
        return "swing", "swing"
    names = []
    name, place, swivel = _wrist(rng, held_out)
    for letter in "LR":
        if letter == "R" and rng.random() < _ALIKE_SHARE:
            place, swivel = place + rng.normal(0, 0.05, 3), swivel + rng.normal(0, 0.1)
        elif letter == "R":
            name, place, swivel = _wrist(rng, held_out)
        names.append(name)
        _pose_arm(local, body, heads, letter, place, swivel, rng)
    return names[0], names[1]
