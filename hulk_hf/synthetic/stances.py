# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Stances: what the legs and the trunk do, drawn at random around things that people do. Angles are radians."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import pi

import numpy as np


@dataclass
class Leg:
    """Angles of one leg: hip `flexion` (forward), `spread` (outward), `twist` (toes outward) and `knee` flexion."""

    flexion: float = 0.0
    spread: float = 0.05
    twist: float = 0.0
    knee: float = 0.05


@dataclass
class Stance:
    """What legs and trunk do.

    `pitch`, `roll` turn the whole body; `bend`, `lean`, `turn` the spine. `flat_feet` keeps soles on the ground.
    `swing` is the phase of walking and running, that arms may follow (-1 to 1, positive: left leg forward).
    """

    name: str
    left: Leg = field(default_factory=Leg)
    right: Leg = field(default_factory=Leg)
    pitch: float = 0.0
    roll: float = 0.0
    bend: float = 0.0
    lean: float = 0.0
    turn: float = 0.0
    flat_feet: bool = True
    swing: float = 0.0


def _stand(rng: np.random.Generator) -> Stance:
    spread = rng.uniform(0.0, 0.22)
    legs = [Leg(rng.normal(0, 0.06), spread, rng.uniform(-0.05, 0.3), abs(rng.normal(0, 0.06))) for _ in range(2)]
    if rng.random() < 0.4:  # the weight on one leg
        free = legs[rng.integers(2)]
        free.flexion += rng.uniform(0.05, 0.3)
        free.knee += rng.uniform(0.1, 0.5)
        free.twist += rng.uniform(0, 0.4)
    return Stance("stand", *legs, bend=rng.normal(0, 0.08), lean=rng.normal(0, 0.06), turn=rng.normal(0, 0.15))


def _walk(rng: np.random.Generator) -> Stance:
    phase, size = rng.uniform(0, 2 * pi), rng.uniform(0.25, 0.6)
    s, c = np.sin(phase), np.cos(phase)
    left = Leg(size * s + 0.05, 0.03, 0.05, 0.1 + 0.9 * max(c, 0))
    right = Leg(-size * s + 0.05, 0.03, 0.05, 0.1 + 0.9 * max(-c, 0))
    return Stance("walk", left, right, bend=rng.normal(0.05, 0.06), turn=-0.25 * s, flat_feet=False, swing=s * size)


def _run(rng: np.random.Generator) -> Stance:
    phase, size = rng.uniform(0, 2 * pi), rng.uniform(0.6, 1.1)
    s, c = np.sin(phase), np.cos(phase)
    left = Leg(size * s + 0.25, 0.04, 0.0, 0.5 + 1.3 * max(c, 0) - 0.3 * max(-c, 0))
    right = Leg(-size * s + 0.25, 0.04, 0.0, 0.5 + 1.3 * max(-c, 0) - 0.3 * max(c, 0))
    pitch = rng.uniform(0.0, 0.3)
    return Stance("run", left, right, pitch=pitch, bend=0.1, turn=-0.3 * s, flat_feet=False, swing=1.3 * s * size)


def _sit(rng: np.random.Generator) -> Stance:
    legs = [
        Leg(rng.uniform(1.15, 1.65), rng.uniform(0.0, 0.45), rng.normal(0, 0.15), rng.uniform(0.6, 1.8)) for _ in "LR"
    ]
    if rng.random() < 0.6:  # mostly both legs alike
        legs[1] = replace(legs[0], knee=legs[0].knee + rng.normal(0, 0.1), spread=legs[0].spread + rng.normal(0, 0.05))
    return Stance(
        "sit",
        *legs,
        pitch=rng.normal(0, 0.15),
        bend=rng.normal(0.1, 0.25),
        lean=rng.normal(0, 0.12),
        turn=rng.normal(0, 0.25),
    )


def _sit_floor(rng: np.random.Generator) -> Stance:
    if rng.random() < 0.5:  # cross-legged
        legs = [
            Leg(rng.uniform(1.3, 1.7), rng.uniform(0.6, 0.95), rng.uniform(0.6, 1.0), rng.uniform(1.7, 2.3))
            for _ in "LR"
        ]
    else:
        legs = [
            Leg(rng.uniform(1.4, 2.2), rng.uniform(0.0, 0.4), rng.normal(0, 0.2), rng.uniform(0.1, 2.2)) for _ in "LR"
        ]
    return Stance(
        "sit_floor",
        *legs,
        pitch=rng.normal(-0.1, 0.15),
        bend=rng.normal(0.2, 0.25),
        turn=rng.normal(0, 0.2),
        flat_feet=False,
    )


def _squat(rng: np.random.Generator) -> Stance:
    depth = rng.uniform(0.4, 1.0)
    flexion, knee = 2.0 * depth, 2.3 * depth
    legs = [Leg(flexion + rng.normal(0, 0.1), rng.uniform(0.1, 0.45), 0.2, knee + rng.normal(0, 0.1)) for _ in "LR"]
    return Stance(
        "squat", *legs, pitch=rng.uniform(0.1, 0.5) * depth, bend=rng.uniform(0, 0.5), turn=rng.normal(0, 0.15)
    )


def _kneel(rng: np.random.Generator) -> Stance:
    down = Leg(rng.uniform(-0.2, 0.4), rng.uniform(0, 0.25), 0.0, rng.uniform(1.5, 2.3))
    up = Leg(rng.uniform(1.2, 1.7), rng.uniform(0, 0.3), 0.1, rng.uniform(1.3, 1.8))
    legs = [down, up if rng.random() < 0.6 else replace(down, spread=down.spread + 0.05)]
    if rng.random() < 0.5:
        legs.reverse()
    return Stance(
        "kneel", *legs, bend=rng.normal(0.1, 0.2), lean=rng.normal(0, 0.1), turn=rng.normal(0, 0.2), flat_feet=False
    )


def _lunge(rng: np.random.Generator) -> Stance:
    legs = [
        Leg(rng.uniform(0.7, 1.3), 0.05, 0.05, rng.uniform(0.8, 1.5)),
        Leg(rng.uniform(-0.6, -0.2), 0.05, 0.1, rng.uniform(0.1, 0.7)),
    ]
    if rng.random() < 0.5:
        legs.reverse()
    return Stance("lunge", *legs, bend=rng.normal(0.05, 0.15), turn=rng.normal(0, 0.3), flat_feet=False)


def _jump(rng: np.random.Generator) -> Stance:
    if rng.random() < 0.5:
        spread = rng.uniform(0.2, 0.7)
        legs = [Leg(rng.normal(0, 0.2), spread, 0.1, rng.uniform(0, 0.6)) for _ in "LR"]
    else:
        legs = [Leg(rng.uniform(0.2, 1.5), rng.uniform(0, 0.3), 0.1, rng.uniform(0.3, 2.0)) for _ in "LR"]
    return Stance("jump", *legs, pitch=rng.normal(0, 0.15), bend=rng.normal(0, 0.15), flat_feet=False)


def _kick(rng: np.random.Generator) -> Stance:
    legs = [
        Leg(rng.uniform(0.5, 1.7), rng.uniform(-0.05, 0.5), 0.1, rng.uniform(0, 1.2)),
        Leg(rng.normal(0, 0.15), 0.1, 0.2, rng.uniform(0, 0.4)),
    ]
    if rng.random() < 0.5:
        legs.reverse()
    return Stance("kick", *legs, pitch=rng.normal(-0.1, 0.15), lean=rng.normal(0, 0.2), flat_feet=False)


def _bend(rng: np.random.Generator) -> Stance:
    pitch = rng.uniform(0.3, 1.3)
    knee = rng.uniform(0, 0.6)
    legs = [Leg(pitch + 0.5 * knee + rng.normal(0, 0.08), rng.uniform(0, 0.3), 0.1, knee) for _ in "LR"]
    return Stance("bend", *legs, pitch=pitch, bend=rng.uniform(0, 0.6), turn=rng.normal(0, 0.25))


def _lean(rng: np.random.Generator) -> Stance:
    roll = rng.choice([-1, 1]) * rng.uniform(0.1, 0.4)
    legs = [
        Leg(rng.normal(0, 0.1), max(0.0, 0.1 + roll), 0.1, rng.uniform(0, 0.4)),
        Leg(rng.normal(0, 0.1), max(0.0, 0.1 - roll), 0.1, rng.uniform(0, 0.4)),
    ]
    return Stance("lean", *legs, roll=0.5 * roll, lean=roll, bend=rng.normal(0, 0.15), turn=rng.normal(0, 0.25))


def _one_leg(rng: np.random.Generator) -> Stance:
    legs = [
        Leg(rng.uniform(0.8, 1.7), rng.uniform(0, 0.8), rng.uniform(0, 0.8), rng.uniform(1.0, 2.3)),
        Leg(0.0, 0.03, 0.1, 0.05),
    ]
    if rng.random() < 0.5:
        legs.reverse()
    return Stance("one_leg", *legs, bend=rng.normal(0, 0.1), lean=rng.normal(0, 0.1), turn=rng.normal(0, 0.15))


def _lie(rng: np.random.Generator) -> Stance:
    legs = [Leg(rng.uniform(-0.1, 1.0), rng.uniform(0, 0.4), rng.normal(0, 0.2), rng.uniform(0, 1.3)) for _ in "LR"]
    pitch = rng.choice([-1, 1]) * rng.uniform(1.2, 1.6)
    return Stance(
        "lie",
        *legs,
        pitch=pitch,
        bend=rng.normal(0, 0.15),
        lean=rng.normal(0, 0.15),
        turn=rng.normal(0, 0.2),
        flat_feet=False,
    )


def _free(rng: np.random.Generator) -> Stance:
    legs = []
    for _ in "LR":
        flexion = rng.uniform(-0.5, 1.8)
        legs.append(
            Leg(
                flexion,
                rng.uniform(-0.05, 0.8),
                rng.normal(0.1, 0.25),
                rng.uniform(0, 0.6) + abs(flexion) * rng.uniform(0, 1.2),
            )
        )
    return Stance(
        "free",
        *legs,
        pitch=rng.normal(0, 0.3),
        roll=rng.normal(0, 0.2),
        bend=rng.normal(0.1, 0.35),
        lean=rng.normal(0, 0.25),
        turn=rng.normal(0, 0.35),
        flat_feet=False,
    )


# What only held-out people do (see `splits`).
HELD_OUT_STANCES = ("lunge", "one_leg")

# Name -> (how often, how it is drawn).
STANCES: dict[str, tuple[float, Callable[[np.random.Generator], Stance]]] = {
    "stand": (0.30, _stand),
    "walk": (0.13, _walk),
    "run": (0.07, _run),
    "sit": (0.12, _sit),
    "sit_floor": (0.03, _sit_floor),
    "squat": (0.05, _squat),
    "kneel": (0.04, _kneel),
    "lunge": (0.04, _lunge),
    "jump": (0.04, _jump),
    "kick": (0.03, _kick),
    "bend": (0.06, _bend),
    "lean": (0.03, _lean),
    "one_leg": (0.02, _one_leg),
    "lie": (0.03, _lie),
    "free": (0.10, _free),
}
