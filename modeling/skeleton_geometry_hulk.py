# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Geometry of skeleton clips: pixels -> the unit square, frames -> segments, persons -> a fixed number of them.

Everything here is a plain function on NumPy arrays, so that the processor, the training loop and the parity check run
the very same code. A clip is (M, T, V, 3): persons, frames, joints, and (x, y, score).

Randomness comes from generators of NumPy's older kind (`np.random.RandomState`, or the module `np.random` itself for
the global one), since that is what the official samples were drawn with; the order of the draws is the official one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

SCORE_FLOOR = 0.01
"""Joints with a score at or below it are not seen."""

LEAST_RANGE = 10.0
"""Clips that are not wider and higher than that many pixels are left as they are."""

OFFICIAL_SEED = 255
"""What the official code starts the generator from where sampling is to be repeatable."""


def normalise_skeletons(keypoints: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Brings a clip to [-1, 1] by the extent of all its seen joints (official test path, 5.5 step 1).

    Width and height are scaled apart, over all persons and frames together. A clip in which nothing is seen, or whose
    seen joints span 10 pixels or less in either direction, keeps its pixels. Joints that are not seen get
    x = y = 0, whatever they held, and keep their score.

    Args:
        keypoints: (M, T, V, 2) as (x, y) in pixels.
        scores: (M, T, V).

    Returns:
        float32 (M, T, V, 3) as (x, y, score).
    """
    clip = np.concatenate([keypoints, scores[..., None]], axis=-1).astype(np.float32)
    seen = clip[..., 2] > SCORE_FLOOR
    places = clip[..., :2]
    if seen.any():
        low, high = places[seen].min(axis=0), places[seen].max(axis=0)
        if (high - low > LEAST_RANGE).all():
            # In float32 and in this order, which the recordings hold to the last bit.
            places[...] = (places - (high + low) / 2) / (high - low) * 2
    places[~seen] = 0
    return clip


def clip_from_detections(keypoints: np.ndarray, frames: np.ndarray, box_scores: np.ndarray) -> np.ndarray:
    """A clip of two persons from a flat list of detections, as Kinetics-400 is distributed (official, 5.5 step 1).

    In each frame the two boxes with the highest scores count, the better one first; a person who is alone counts
    twice. Frames without a detection are left out, so that the clip has no gaps.

    Args:
        keypoints: (N, V, 3), one row per detection.
        frames: (N,), the number of the frame of each.
        box_scores: (N,).

    Returns:
        (2, T, V, 3), T the number of frames with a detection.
    """
    numbers = np.unique(frames)
    clip = np.zeros((2, len(numbers), *keypoints.shape[1:]), np.float32)
    for row, number in enumerate(numbers):
        found = np.flatnonzero(frames == number)
        # Which of two equal scores comes first is left to NumPy, as it is officially.
        best = found[np.argsort(box_scores[found])[::-1][:2]]
        clip[:, row] = keypoints[best]
    return clip


def sample_frames(
    num_frames: int,
    segments: int = 25,
    frames_per_segment: int = 7,
    num_clips: int = 1,
    seed: int | None = OFFICIAL_SEED,
    generator: Any = None,
) -> np.ndarray:
    """Which frames the network sees: one start in each of equal segments, and the frames after it (5.5 step 2).

    Clips shorter than the number of segments are taken as they are, from a start on and round again; those shorter
    than twice that number lose some of the frames between the starts by chance. Where the last frames of a segment
    would lie behind the end of the clip, its last frame stands for them.

    Args:
        num_frames: T, at least 1.
        segments: number of starts.
        frames_per_segment: how many consecutive frames there are from each start.
        num_clips: how often this is done, one after the other from the same generator.
        seed: where a generator begins that is made for this call, so that the result is always the same; short clips
            then start at 0 (clip i of n at i * T // n). None: as the official configuration, which draws from a
            generator that goes on, also where short clips start.
        generator: that one, a `np.random.RandomState`; None is NumPy's global one. Only with `seed=None`.

    Returns:
        int64 (num_clips, segments * frames_per_segment), each in [0, T - 1].

    Raises:
        ValueError: no frames, no segments, or both a seed and a generator.
    """
    for name, value in (
        ("num_frames", num_frames),
        ("segments", segments),
        ("frames_per_segment", frames_per_segment),
        ("num_clips", num_clips),
    ):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, got {value}")
    if seed is not None and generator is not None:
        raise ValueError(f"`generator` must be None unless `seed` is None, got `seed` {seed} beside it")
    repeatable = seed is not None
    draw: Any = np.random.RandomState(seed) if repeatable else (np.random if generator is None else generator)
    starts = []
    for clip in range(num_clips):
        # Officially a part of the clip is chosen first, which is always the whole: two draws without effect.
        draw.rand()
        draw.randint(1)
        if num_frames < segments:
            first = clip * num_frames // num_clips if repeatable else draw.randint(0, num_frames)
            starts.append((first + np.arange(segments)) % num_frames)
        elif num_frames < 2 * segments:
            skipped = np.zeros(segments + 1, np.int64)
            skipped[draw.choice(segments + 1, num_frames - segments, replace=False)] = 1
            starts.append(np.arange(segments) + skipped.cumsum()[:-1])
        else:
            borders = np.arange(segments + 1) * num_frames // segments
            starts.append(borders[:-1] + draw.randint(np.diff(borders)))
    frames = np.stack(starts)[:, :, None] + np.arange(frames_per_segment)
    return np.minimum(frames, num_frames - 1).reshape(num_clips, -1).astype(np.int64)


def choose_persons(clip: np.ndarray, count: int = 2) -> np.ndarray:
    """Makes the number of persons the one that the network knows (official test path, 5.5 step 3).

    Args:
        clip: (M, T, V, 3), the frames that are used and no others.
        count: how many persons there have to be.

    Returns:
        (count, T, V, 3). Fewer persons are followed by zeros; of more, those with the largest sums of scores remain,
        the best one last.
    """
    if len(clip) > count:
        totals = clip[..., 2].sum(axis=(1, 2))
        return clip[np.argsort(totals)[len(clip) - count :]]
    return np.concatenate([clip, np.zeros((count - len(clip), *clip.shape[1:]), clip.dtype)])


# Training -----------------------------------------------------------------------------------------------------------


def rotate_skeletons(clip: np.ndarray, angles: Sequence[float]) -> np.ndarray:
    """Rotates the triples (x, y, score) as if they were places in space (training.md 4.6 step 4).

    The released weights were trained with scores that a rotation mixes with x and y; with only the last angle
    different from 0 this is the true rotation of a flat skeleton.

    Args:
        clip: (..., 3).
        angles: about the axes x, y and z, in radians; x is applied first.

    Returns:
        float32, of the same shape.
    """
    (sx, sy, sz), (cx, cy, cz) = np.sin(np.asarray(angles, np.float64)), np.cos(np.asarray(angles, np.float64))
    about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
    return (clip @ (about_z @ about_y @ about_x).T).astype(np.float32)


def augment_skeletons(
    clip: np.ndarray,
    rotation: float = 0.3,
    scaling: float = 0.25,
    flipping: float = 0.5,
    planar: bool = False,
    generator: Any = None,
) -> np.ndarray:
    """Varies a normalised clip for training (training.md 4.6 steps 4 and 5): rotation, scale, mirror images.

    All persons and frames of a clip are treated alike. Left and right joints keep their places when x changes its
    sign, as officially.

    Args:
        clip: (..., 3) as (x, y, score), normalised.
        rotation: the largest of three angles in radians, each uniform between minus and plus this.
        scaling: each channel, the score among them, is multiplied by a factor uniform in 1 - scaling to 1 + scaling.
        flipping: how likely x, and likewise y, changes its sign.
        planar: only rotate within the picture, and leave the scores alone; officially both are touched.
        generator: a `np.random.RandomState`; None is NumPy's global one.

    Returns:
        float32, of the same shape.
    """
    draw: Any = np.random if generator is None else generator
    varied = np.asarray(clip, np.float32)
    if rotation:
        angles = draw.uniform(-rotation, rotation, size=3)
        varied = rotate_skeletons(varied, [0, 0, angles[2]] if planar else angles)
    if scaling:
        factors = draw.uniform(1 - scaling, 1 + scaling, size=3)
        varied = scale_skeletons(varied, [*factors[:2], 1.0] if planar else factors)
    if flipping:
        signs = np.where(draw.uniform(size=2) < flipping, -1.0, 1.0)
        varied = scale_skeletons(varied, [*signs, 1.0])
    return varied


def scale_skeletons(clip: np.ndarray, factors: Sequence[float]) -> np.ndarray:
    """Multiplies the channels (x, y, score) of a clip (..., 3) by three factors, to float32; -1 mirrors."""
    return (clip * np.asarray(factors, np.float64)).astype(np.float32)


__all__ = [
    "LEAST_RANGE",
    "OFFICIAL_SEED",
    "SCORE_FLOOR",
    "augment_skeletons",
    "choose_persons",
    "clip_from_detections",
    "normalise_skeletons",
    "rotate_skeletons",
    "sample_frames",
    "scale_skeletons",
]
