# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What people do in synthetic clips: every action as a function that draws a track (see `tracks`).

Sizes, speeds, phases, sides and styles are random. Actions that happen once (sitting down, falling) begin somewhere
in the clip and end in it; the others are repeated as often as the clip is long. Some differ by their movement alone:
sitting down and standing up, jumping and squatting, standing idle and phoning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi

import numpy as np

from .tracks import LEFT, RIGHT, Track


def smooth(u: np.ndarray) -> np.ndarray:
    """From 0 to 1 as `u` does, with soft ends; constant outside."""
    u = np.clip(u, 0, 1)
    return u * u * (3 - 2 * u)


def keys(u: np.ndarray, *frames: tuple) -> np.ndarray:
    """Soft interpolation of key frames (u, value): values are numbers, (T,), or places (3,), (T, 3)."""
    places = np.array([at for at, _ in frames], float)
    values = np.array([value for _, value in frames], float)
    row = np.clip(np.searchsorted(places, u, "right") - 1, 0, len(places) - 2)
    share = smooth((u - places[row]) / (places[row + 1] - places[row]))
    if values.ndim > 1:
        share = share[:, None]
    return values[row] + share * (values[row + 1] - values[row])


def wander(rng: np.random.Generator, t: np.ndarray, slowest: float = 0.1, fastest: float = 0.6) -> np.ndarray:
    """A smooth random curve (T,) of about unit variance, made of some Hertz."""
    rates, phases = rng.uniform(slowest, fastest, 3), rng.uniform(0, 2 * pi, 3)
    return np.sin(2 * pi * t[:, None] * rates + phases).sum(axis=1) * 0.8


def once(rng: np.random.Generator, t: np.ndarray, shortest: float, longest: float) -> np.ndarray:
    """From 0 to 1 (T,) within `shortest` to `longest` seconds somewhere in the clip; faster if the clip is short."""
    length = t[-1] - t[0]
    duration = min(rng.uniform(shortest, longest), 0.85 * length)
    start = rng.uniform(0.05, 0.6) * (length - duration)
    return np.clip((t - t[0] - start) / duration, 0, 1)


def again(rng: np.random.Generator, t: np.ndarray, shortest: float, longest: float, rest: float = 0.3) -> np.ndarray:
    """Phase 0 to 1 (T,) of something repeated, with rests at its end; a clip shows most of it at least once."""
    period = min(rng.uniform(shortest, longest), 0.8 * (t[-1] - t[0]))
    whole = period * (1 + rng.uniform(0, rest))
    return np.minimum((t - t[0] + rng.uniform(0, whole)) % whole / period, 1)


def stand(rng: np.random.Generator, t: np.ndarray) -> Track:
    """A person who stands and breathes: what all actions begin with."""
    track = Track(t)
    track.move(
        bend=rng.normal(0.02, 0.05) + 0.012 * wander(rng, t),
        lean=rng.normal(0, 0.03) + 0.012 * wander(rng, t),
        turn=rng.normal(0, 0.06) + 0.02 * wander(rng, t),
        nod=rng.normal(0, 0.12) + 0.03 * wander(rng, t),
        look=rng.normal(0, 0.2) + rng.uniform(0, 0.12) * wander(rng, t),
        tilt=rng.normal(0, 0.05),
    )
    spread, twist = rng.uniform(0.02, 0.13), rng.uniform(0, 0.25)
    hang = np.array([0.1, 0.08, -0.93]) + rng.normal(0, [0.05, 0.07, 0.03])
    for side in (LEFT, RIGHT):
        track.leg(side, flexion=rng.normal(0.08, 0.04), spread=spread, twist=twist, knee=abs(rng.normal(0, 0.05)))
        sway = 0.012 * np.stack([wander(rng, t) for _ in range(3)], axis=1)
        track.arm(side, hang + rng.normal(0, 0.03, 3) + sway, rng.normal(0, 0.15))
    return track


def _sides(rng: np.random.Generator) -> tuple[int, int]:
    """The side that acts, right in two of three people, and the other."""
    return (RIGHT, LEFT) if rng.random() < 0.67 else (LEFT, RIGHT)


def plant(track: Track) -> None:
    """Spreads the thighs as the knees bend, so that the feet stay as far apart as they were."""
    spread, twist, knee = (track.legs[:, :, k] for k in (1, 2, 3))
    # An ankle is as far out as thigh and shin, taken as equally long, bring it.
    along, across = 1 + np.cos(knee), np.sin(knee) * np.sin(twist)
    reach = np.minimum(2 * np.sin(spread) / np.hypot(along, across), 0.95)
    track.legs[:, :, 1] = np.arcsin(reach) + np.arctan2(across, along)


def stride(track: Track, phase: np.ndarray, size: np.ndarray | float, swing: float = 0.8) -> None:
    """Adds walking: `phase` in radians, `size` the amplitude of the thighs in radians."""
    s, c = np.sin(phase), np.cos(phase)
    for side, sign in ((LEFT, 1), (RIGHT, -1)):
        ahead, lifted = sign * s, np.maximum(sign * c, 0)
        track.leg(side, flexion=size * (ahead + 0.35 * lifted), knee=size * (0.1 + 1.9 * lifted**1.5))
        # The heel comes first, the toes go last.
        track.leg(side, level=0.7, toes=size * (0.9 * np.maximum(-ahead, 0) ** 3 - 0.3 * np.maximum(ahead, 0) ** 3))
        track.arms[:, side, 1] -= swing * size * ahead
        track.arms[:, side, 2] += 0.25 * swing * size * np.abs(ahead)
    track.move(turn=-0.25 * size * s, lean=0.06 * size * c)


def gallop(track: Track, phase: np.ndarray, size: float, lift: float) -> None:
    """Adds running: as `stride`, with `lift` metres of flight between steps."""
    s, c = np.sin(phase), np.cos(phase)
    track.move(turn=-0.3 * s * size)
    for side, sign in ((LEFT, 1), (RIGHT, -1)):
        ahead, lifted = sign * s, np.maximum(sign * c, 0)
        track.leg(side, flexion=0.25 + size * (ahead + 0.2 * lifted), level=0.5, toes=0.35 * np.maximum(-ahead, 0))
        track.leg(side, knee=0.35 + 1.6 * size * lifted - 0.15 * np.maximum(-sign * c, 0))
        track.arm(side, np.stack([0.05 + 0 * s, 0.22 - 0.55 * ahead, -0.52 + 0.18 * s * s], axis=1), 0.1)
    track.lift = lift * np.maximum(np.abs(s) - 0.6, 0) / 0.4
    track.momentum = 1.0


def to_and_fro(since: np.ndarray, period: float, turn: float) -> np.ndarray:
    """Headings (T,) of somebody who turns round every `period` seconds, one way, then the other, so that the way stays
    the same.

    Args:
        since: Shape (T,), seconds since the first way began.
        period: Seconds of a way, with the turn at its end.
        turn: Seconds that a turn takes.
    """
    ways = np.floor(since / period)
    back = ways % 2
    return pi * (back + (1 - 2 * back) * smooth((since % period - period + turn) / turn))


def _paces(rng: np.random.Generator, track: Track) -> None:
    """Turns a track that moves on round every few seconds."""
    period = rng.uniform(1.6, 5.0)
    since = track.seconds - track.seconds[0] + period * rng.random()
    track.move(heading=to_and_fro(since, period, rng.uniform(0.6, 1.1)))


def _standing(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    track.move(look=rng.uniform(0, 0.5) * wander(rng, t, 0.05, 0.3), lean=0.04 * wander(rng, t, 0.05, 0.2))
    kind = rng.choice(["hang", "hips", "crossed", "behind"], p=[0.55, 0.15, 0.15, 0.15])
    place, swivel = {
        "hips": ((0.1, 0.02, -0.6), 1.0),
        "crossed": ((-0.4, 0.42, -0.3), 0.2),
        "behind": ((-0.25, -0.25, -0.7), 0.0),
    }.get(kind, ((0, 0, 0), 0))
    if kind != "hang":
        for side in (LEFT, RIGHT):
            track.arm(side, np.array(place) + rng.normal(0, 0.03, 3), swivel, 0.97)
    if rng.random() < 0.4:  # the weight on one leg
        side = int(rng.integers(2))
        track.leg(side, flexion=rng.uniform(0.1, 0.25), knee=rng.uniform(0.2, 0.4), spread=0.05)
    return track


def _walking(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    rate, size = rng.uniform(0.7, 1.15), rng.uniform(0.3, 0.52)
    track.move(bend=rng.uniform(0, 0.12), heading=rng.uniform(-0.35, 0.35) * (t - t[len(t) // 2]))
    stride(track, 2 * pi * rate * t + rng.uniform(0, 2 * pi), size, rng.uniform(0.4, 1.1))
    if rng.random() < 0.5:
        _paces(rng, track)
    return track


def _running(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    track.move(pitch=rng.uniform(0.05, 0.25), bend=0.06)
    phase = 2 * pi * rng.uniform(1.25, 1.7) * t + rng.uniform(0, 2 * pi)
    gallop(track, phase, rng.uniform(0.6, 0.95), rng.uniform(0.05, 0.11))
    if rng.random() < 0.3:
        _paces(rng, track)
    return track


def _jumping(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    u = again(rng, t, 1.2, 1.9, 0.5)
    depth, high, forward = rng.uniform(0.6, 1.1), rng.uniform(0.18, 0.5), rng.uniform(0, 0.15)
    crouch = keys(u, (0, 0), (0.3, 1), (0.42, 0), (0.68, 0.1), (0.8, 0.7), (1, 0)) * depth
    air = np.clip((u - 0.42) / 0.28, 0, 1)
    track.lift = high * 4 * air * (1 - air)
    tuck = 4 * air * (1 - air) * rng.choice([0.0, 0.3, 1.0])
    track.momentum = rng.choice([0.0, 0.8])
    track.move(pitch=0.4 * crouch + forward * keys(u, (0, 0), (0.42, 1), (0.7, -0.3), (1, 0)), bend=0.3 * crouch)
    for side in (LEFT, RIGHT):
        track.leg(side, flexion=1.15 * crouch + tuck, knee=1.6 * crouch + 1.3 * tuck)
        track.leg(side, toes=0.7 * keys(u, (0, 0), (0.34, 0), (0.43, 1), (0.68, 0.4), (0.74, 0), (1, 0)))
        back, up = np.array([0.15, -0.5, -0.7]), np.array([0.2, 0.5, 0.6 + 0.3 * rng.random()])
        low = track.arms[0, side, :3].copy()
        track.arm(side, keys(u, (0, low), (0.25, back), (0.5, up), (0.85, (0.2, 0.4, -0.6)), (1, low)), 0.1)
    return track


def _jumping_jacks(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    phase = 2 * pi * rng.uniform(0.7, 1.25) * t + rng.uniform(0, 2 * pi)
    opened = smooth((1 - np.cos(phase)) / 2)
    angle = -1.45 + opened * rng.uniform(2.3, 2.8)
    wide = rng.uniform(0.3, 0.5)
    for side in (LEFT, RIGHT):
        track.arm(side, 0.94 * np.stack([np.cos(angle), 0.08 + 0 * angle, np.sin(angle)], axis=1), 0.0)
        track.leg(side, spread=wide * opened, flexion=0.08, knee=0.15 + 0.1 * np.cos(2 * phase))
    track.lift = rng.uniform(0.05, 0.12) * np.abs(np.sin(phase))
    return track


def _waving(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    main, _ = _sides(rng)
    raised = smooth((t - t[0] + rng.uniform(-0.4, 0.4)) / 0.5)
    swing = np.sin(2 * pi * rng.uniform(1.1, 2.4) * t + rng.uniform(0, 2 * pi)) * rng.uniform(0.14, 0.26)
    place = np.array([rng.uniform(0.2, 0.4), rng.uniform(0.15, 0.4), rng.uniform(0.45, 0.75)])
    place = place + swing[:, None] * [1, 0, -0.25]
    track.arm(main, place, rng.normal(0.1, 0.15), raised)
    if rng.random() < 0.15:  # with both
        track.arm(1 - main, place * [1, 1, 0.97], 0.1, raised)
    return track


def _clapping(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    together = (1 + np.cos(2 * pi * rng.uniform(1.3, 3.0) * t + rng.uniform(0, 2 * pi))) / 2
    high = rng.uniform(-0.35, 0.2)
    apart = rng.uniform(0.18, 0.5) * (1 - together)
    for side in (LEFT, RIGHT):
        ahead = np.full_like(t, rng.uniform(0.55, 0.68))
        track.arm(side, np.stack([-0.28 + apart, ahead, high + 0.02 * together], axis=1), 0.35)
    track.move(nod=0.03 * together)
    return track


def _seat(track: Track, rng: np.random.Generator, down: np.ndarray) -> None:
    """Sits down as far as `down` (0 to 1) says, bowing on the way."""
    way = 4 * down * (1 - down)
    depth, knee = rng.uniform(1.35, 1.55), rng.uniform(1.3, 1.6)
    track.move(pitch=0.55 * way + rng.uniform(-0.1, 0.1) * down, bend=0.35 * way + rng.uniform(0, 0.2) * down)
    kind = rng.choice(["thighs", "swing", "seat"], p=[0.6, 0.2, 0.2])
    place = {"thighs": (0.0, 0.6, -0.55), "swing": (0.1, 0.35, -0.75), "seat": (0.2, -0.1, -0.85)}[kind]
    for side in (LEFT, RIGHT):
        track.leg(side, flexion=(depth + 0.3 * way) * down + 0.25 * way, knee=knee * down + 0.35 * way)
        track.arm(side, np.array(place) + rng.normal(0, 0.04, 3), 0.1, smooth(down * 1.2))
    plant(track)


def _sitting_down(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    _seat(track, rng, smooth(once(rng, t, 0.9, 2.0)))
    return track


def _standing_up(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    _seat(track, rng, 1 - smooth(once(rng, t, 0.8, 1.8)))
    return track


def _squatting(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    u = again(rng, t, 1.4, 2.8, 0.3)
    down = keys(u, (0, 0), (0.42, 1), (0.55, 1), (1, 0)) * rng.uniform(0.7, 1.0)
    track.move(pitch=0.5 * down, bend=0.15 * down, nod=-0.3 * down)
    kind = rng.choice(["ahead", "hips", "head"], p=[0.6, 0.2, 0.2])
    place, swivel = {
        "ahead": ((-0.05, 0.9, -0.05), 0.2),
        "hips": ((0.1, 0.02, -0.6), 1.0),
        "head": ((0.0, -0.02, 0.4), -1.0),
    }[kind]
    wide = rng.uniform(0, 0.05)
    for side in (LEFT, RIGHT):
        track.leg(side, flexion=1.95 * down, knee=2.1 * down, spread=wide)
        track.arm(side, place, swivel, np.clip(2 * down, 0, 1) if kind == "ahead" else 0.98)
    plant(track)
    return track


def _kicking(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    main, other = _sides(rng)
    u = again(rng, t, 1.0, 1.8, 0.5)
    high = rng.uniform(0.8, 1.6)
    track.leg(main, flexion=keys(u, (0, 0), (0.28, -0.45), (0.48, high), (0.62, 0.7 * high), (1, 0)))
    track.leg(main, knee=keys(u, (0, 0), (0.28, 1.1), (0.47, 0.1), (0.65, 0.9), (1, 0)))
    track.leg(main, level=keys(u, (0, 1), (0.15, 0), (0.9, 0), (1, 1)), toes=0.5 * keys(u, (0, 0), (0.4, 1), (1, 0)))
    track.leg(other, knee=0.15 + 0.1 * keys(u, (0, 0), (0.4, 1), (1, 0)), flexion=0.08)
    kick = keys(u, (0, 0), (0.48, 1), (1, 0))
    track.move(pitch=-0.22 * high * kick, bend=0.15 * kick, turn=(1 if main == RIGHT else -1) * 0.3 * kick)
    track.arm(other, (0.5, 0.6, -0.2), 0.2, 0.9 * kick)
    track.arm(main, (0.5, -0.4, -0.6), 0.1, 0.9 * kick)
    return track


def _punching(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    main, other = _sides(rng)
    both = rng.random() < 0.5
    period = rng.uniform(0.7, 1.3)
    phase = (t / period + rng.random()) % 1
    guard, out = np.array([-0.12, 0.45, 0.0]), np.array([-0.3, 0.95, rng.uniform(-0.1, 0.25)])
    for side, shift, active in ((main, 0.0, True), (other, 0.5, both)):
        hit = keys((phase + shift) % 1, (0, 0), (0.18, 1), (0.26, 1), (0.48, 0), (1, 0)) if active else 0 * t
        track.arm(side, guard + hit[:, None] * (out - guard), 0.25)
        track.move(turn=(0.5 if side == RIGHT else -0.5) * hit)
    track.move(turn=0.2 if main == LEFT else -0.2, bend=0.12)
    bounce = 0.06 * np.sin(4 * pi * t / period)
    track.leg(other, flexion=0.3, knee=0.3 + bounce)
    track.leg(main, flexion=-0.2, knee=0.3 + bounce)
    return track


def _throwing(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    main, other = _sides(rng)
    u = again(rng, t, 1.5, 2.4, 0.4)
    low = track.arms[0, main, :3].copy()
    wound = (0.45, -0.3, 0.4)
    track.arm(
        main, keys(u, (0, low), (0.38, wound), (0.5, (0.25, 0.75, 0.6)), (0.64, (-0.4, 0.6, -0.5)), (1, low)), 0.1
    )
    twist = keys(u, (0, 0), (0.38, -0.75), (0.58, 0.55), (1, 0)) * (1 if main == RIGHT else -1)
    step = keys(u, (0, 0), (0.2, 0.1), (0.42, 1), (0.7, 1), (1, 0))
    track.move(turn=twist, bend=keys(u, (0, 0), (0.38, -0.15), (0.6, 0.45), (1, 0)))
    track.leg(other, flexion=0.55 * step, knee=0.35 * step + keys(u, (0, 0), (0.3, 0.6), (0.45, 0), (1, 0)))
    track.leg(main, flexion=-0.25 * step, knee=0.15 + 0.25 * step)
    track.arm(other, (0.3, 0.65, 0.1), 0.2, keys(u, (0, 0), (0.35, 0.9), (0.6, 0.2), (1, 0)))
    return track


def _bowing(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    u = again(rng, t, 1.8, 3.2, 0.4)
    bow = keys(u, (0, 0), (0.35, 1), (0.6, 1), (1, 0)) * rng.uniform(0.6, 1.0)
    track.move(pitch=0.75 * bow, bend=0.5 * bow, nod=0.2 * bow)
    for side in (LEFT, RIGHT):
        track.leg(side, flexion=0.75 * bow)
    if rng.random() < 0.4:  # a hand to the chest
        track.arm(_sides(rng)[0], (-0.45, 0.35, -0.25), 0.3, np.clip(2 * bow, 0, 1))
    elif rng.random() < 0.5:  # hands slide down the thighs
        for side in (LEFT, RIGHT):
            track.arm(side, (0.0, 0.4, -0.85), 0.0, 0.9 * bow)
    return track


def _picking_up(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    main, other = _sides(rng)
    u = once(rng, t, 1.6, 2.8)
    down = keys(u, (0, 0), (0.42, 1), (0.55, 1), (1, 0))
    knees = rng.uniform(0.5, 1.5)
    track.move(pitch=(1.25 - 0.4 * knees) * down, bend=0.5 * down)
    held = (-0.15, 0.5, -0.35)
    low = track.arms[0, main, :3].copy()
    for side in (main, other) if rng.random() < 0.4 else (main,):
        track.arm(side, keys(u, (0, low), (0.42, (0.0, 0.35, -0.9)), (0.55, (0.0, 0.35, -0.9)), (1, held)), 0.0)
    for side in (LEFT, RIGHT):
        track.leg(side, flexion=(1.25 - 0.4 * knees + 0.6 * knees) * down, knee=1.1 * knees * down)
    plant(track)
    return track


def _drinking(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    main, _ = _sides(rng)
    u = again(rng, t, 1.8, 3.2, 0.5)
    mouth = np.array([-0.25, 0.42, 0.2]) + rng.normal(0, 0.02, 3)
    held = np.array([-0.05, 0.55, -0.4]) + rng.normal(0, 0.04, 3)
    sip = keys(u, (0, 0), (0.32, 1), (0.65, 1), (1, 0))
    track.arm(main, held + sip[:, None] * (mouth - held), 0.35 + 0.2 * sip)
    track.move(nod=-0.35 * keys(u, (0, 0), (0.3, 0), (0.42, 1), (0.6, 1), (0.72, 0), (1, 0)))
    return track


def _phoning(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    main, other = _sides(rng)
    place = np.array([0.0, 0.13, 0.25]) + rng.normal(0, 0.025, 3)
    sign = 1 if main == LEFT else -1
    track.arm(main, place + 0.01 * wander(rng, t)[:, None], rng.uniform(0.0, 0.3))
    track.move(tilt=sign * rng.uniform(0, 0.2), nod=0.08 * wander(rng, t, 0.3, 1.2), look=0.2 * wander(rng, t))
    if rng.random() < 0.5:  # talks with the other hand
        talk = np.array([0.1, 0.5, -0.45]) + 0.08 * np.stack([wander(rng, t, 0.4, 1.2) for _ in range(3)], axis=1)
        track.arm(other, talk, 0.1, 0.95)
    if rng.random() < 0.35:  # strolls
        stride(track, 2 * pi * rng.uniform(0.5, 0.75) * t, rng.uniform(0.15, 0.28), 0.0)
    return track


def _stretching(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    u = again(rng, t, 2.8, 4.5, 0.2)
    up = keys(u, (0, 0), (0.35, 1), (0.7, 1), (1, 0))
    side_bend = rng.choice([0.0, 0.45]) * np.sin(2 * pi * np.clip((u - 0.35) / 0.35, 0, 1))
    track.move(lean=side_bend, bend=-0.2 * up, nod=-0.25 * up)
    for side in (LEFT, RIGHT):
        angle = -1.5 + 3.2 * up  # along the sides
        place = 0.94 * np.stack([np.cos(angle), 0.1 + 0 * u, np.sin(angle)], axis=1)
        track.arm(side, place, 0.0)
        track.leg(side, level=1, toes=0.3 * up * rng.choice([0, 1]))
    return track


def _falling(rng: np.random.Generator, t: np.ndarray) -> Track:
    track = stand(rng, t)
    u = once(rng, t, 0.7, 1.3)
    way = rng.choice(["forward", "backward", "aside"], p=[0.4, 0.35, 0.25])
    down = keys(u**1.5, (0, 0), (0.9, 1), (1, 1))
    buckle = keys(u, (0, 0), (0.5, 1), (1, 0.35))
    if way == "aside":
        track.move(roll=rng.choice([-1.4, 1.4]) * down, pitch=0.2 * down)
    else:
        track.move(
            pitch=(1.45 if way == "forward" else -1.45) * down, bend=(0.1 if way == "forward" else 0.35) * buckle
        )
    flail = keys(u, (0, 0), (0.3, 1), (1, 0.8))
    for side in (LEFT, RIGHT):
        bent = rng.uniform(0.5, 1.1)
        track.leg(side, flexion=(0.6 if way != "forward" else 0.25) * bent * buckle, knee=bent * buckle)
        track.leg(side, level=keys(u, (0, 1), (0.4, 0), (1, 0)), toes=0.4 * down)
        place = {"forward": (0.3, 0.75, 0.35), "backward": (0.7, -0.1, -0.2), "aside": (0.5, 0.5, 0.2)}[way]
        track.arm(side, np.array(place) + rng.normal(0, 0.12, 3), 0.2, flail)
    return track


SINGLE_ACTIONS: dict[str, Callable[[np.random.Generator, np.ndarray], Track]] = {
    "standing": _standing,
    "walking": _walking,
    "running": _running,
    "jumping": _jumping,
    "doing jumping jacks": _jumping_jacks,
    "waving": _waving,
    "clapping": _clapping,
    "sitting down": _sitting_down,
    "standing up": _standing_up,
    "squatting": _squatting,
    "kicking": _kicking,
    "punching": _punching,
    "throwing": _throwing,
    "bowing": _bowing,
    "picking something up": _picking_up,
    "drinking": _drinking,
    "phoning": _phoning,
    "stretching": _stretching,
    "falling down": _falling,
}


@dataclass(frozen=True)
class Meeting:
    """How two tracks belong together: at `frame`, point `ends[1]` of the second person is where `ends[0]` of the first
    is, `gap` metres further on (in front of the first); points are "chest" or "hand_left", "hand_right", "hands"."""

    tracks: tuple[Track, Track]
    frame: int
    ends: tuple[str, str]
    gap: float


def _approach(rng: np.random.Generator, track: Track, until: np.ndarray) -> None:
    """Walks up before `until` (T,), which runs from 0 to 1, does."""
    if rng.random() < 0.7:
        rate = rng.uniform(0.7, 1.0)
        stride(track, 2 * pi * rate * track.seconds, rng.uniform(0.2, 0.4) * (1 - smooth(until)), 0.5)


def _middle(rng: np.random.Generator, t: np.ndarray, early: float = 0.3, late: float = 0.5) -> tuple[int, float]:
    """A frame in the middle of the clip, and its time."""
    frame = int(len(t) * rng.uniform(early, late))
    return frame, float(t[frame])


def _hugging(rng: np.random.Generator, t: np.ndarray) -> Meeting:
    frame, moment = _middle(rng, t)
    tracks = stand(rng, t), stand(rng, t)
    hold = rng.uniform(0.8, 2.5)
    for track in tracks:
        _approach(rng, track, (t - moment + 0.7) / 0.6)
        closed = smooth((t - moment + 0.5) / 0.5) * (1 - smooth((t - moment - hold) / 0.6))
        opened = smooth((t - moment + 1.1) / 0.5) * (1 - smooth((t - moment - hold - 0.4) / 0.6))
        high = rng.uniform(-0.4, 0.05)
        for side in (LEFT, RIGHT):
            track.arm(side, (0.4, 0.6, high), 0.3, opened)
            track.arm(side, (-0.2, 0.68, high + rng.uniform(-0.1, 0.1)), 0.6, closed)
        track.move(pitch=0.1 * closed, bend=0.08 * closed, tilt=0.15 * closed, look=0.2 * closed)
    return Meeting(tracks, frame, ("chest", "chest"), rng.uniform(0.27, 0.36))


def _shaking_hands(rng: np.random.Generator, t: np.ndarray) -> Meeting:
    frame, moment = _middle(rng, t, 0.25, 0.45)
    tracks = stand(rng, t), stand(rng, t)
    hold, rate = rng.uniform(1.0, 2.5), rng.uniform(1.5, 3.0)
    reached = smooth((t - moment + 0.6) / 0.5) * (1 - smooth((t - moment - hold) / 0.5))
    pump = 0.1 * np.sin(2 * pi * rate * (t - moment)) * reached
    for track in tracks:
        _approach(rng, track, (t - moment + 0.7) / 0.6)
        place = np.array([-0.1, 0.72, -0.35]) + rng.normal(0, 0.03, 3)
        track.arm(RIGHT, place + pump[:, None] * [0, 0, 1], 0.1, reached)
        track.move(bend=rng.uniform(0.02, 0.15) * reached, nod=0.1 * reached)
    return Meeting(tracks, frame, ("hand_right", "hand_right"), rng.uniform(0.1, 0.16))


def _pushing(rng: np.random.Generator, t: np.ndarray) -> Meeting:
    frame, moment = _middle(rng, t)
    tracks = stand(rng, t), stand(rng, t)
    hit = keys((t - moment) / 0.6, (-1.2, 0), (-0.6, 0), (0.0, 0.8), (0.3, 1), (1.3, 0), (9, 0))
    ready = keys((t - moment) / 0.6, (-1.6, 0), (-0.6, 1), (0.3, 1), (1.3, 0), (9, 0))
    pusher, pushed = tracks
    for side in (LEFT, RIGHT):
        pusher.arm(side, np.array([-0.1, 0.4, -0.1]) + hit[:, None] * [0, 0.52, 0.1], 0.3, ready)
    pusher.move(pitch=0.2 * hit, bend=0.2 * hit)
    front = int(rng.integers(2))
    pusher.leg(front, flexion=0.5 * hit, knee=0.4 * hit)
    pusher.leg(1 - front, flexion=-0.2 * hit, knee=0.1 * hit)
    reel = smooth((t - moment) / 0.3) * (1 - smooth((t - moment - 0.7) / 0.6))
    pushed.move(pitch=-0.25 * reel, bend=0.3 * reel)
    back = np.clip((t - moment) * rng.uniform(0.9, 1.3), 0, rng.choice([0.5, 1.0]))
    stride(pushed, -2 * pi * back, 0.35 * smooth((t - moment) / 0.2) * (1 - smooth((t - moment - 1.2) / 0.4)), 0.2)
    for side in (LEFT, RIGHT):
        pushed.arm(side, (0.45, 0.5, -0.1), 0.3, reel)
    return Meeting(tracks, frame, ("hands", "chest"), rng.uniform(0.2, 0.26))


def _high_five(rng: np.random.Generator, t: np.ndarray) -> Meeting:
    frame, moment = _middle(rng, t)
    tracks = stand(rng, t), stand(rng, t)
    main, _ = _sides(rng)
    raised = keys(t - moment, (-9, 0), (-0.9, 0), (-0.3, 0.8), (0, 1), (0.25, 0.85), (0.9, 0), (9, 0))
    swung = keys(t - moment, (-9, 0), (-0.35, 0), (0, 1), (0.3, 0.4), (9, 0))
    for track in tracks:
        _approach(rng, track, (t - moment + 0.7) / 0.6)
        track.arm(main, np.array([0.05, 0.3, 0.5]) + swung[:, None] * [-0.15, 0.4, 0.05], 0.2, raised)
        track.move(bend=0.08 * swung)
    hand = "hand_right" if main == RIGHT else "hand_left"
    return Meeting(tracks, frame, (hand, hand), rng.uniform(0.05, 0.1))


PAIR_ACTIONS: dict[str, Callable[[np.random.Generator, np.ndarray], Meeting]] = {
    "hugging": _hugging,
    "shaking hands": _shaking_hands,
    "pushing": _pushing,
    "giving a high five": _high_five,
}

ACTIONS: tuple[str, ...] = (*SINGLE_ACTIONS, *PAIR_ACTIONS)

__all__ = [
    "ACTIONS",
    "PAIR_ACTIONS",
    "SINGLE_ACTIONS",
    "Meeting",
    "again",
    "gallop",
    "keys",
    "once",
    "plant",
    "smooth",
    "stand",
    "stride",
    "to_and_fro",
    "wander",
]
