# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Persons over time: who is who (ByteTrack), where they are between detections, smooth joints, skeleton windows."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

import numpy as np

Boxes = dict[int, np.ndarray]
"""Number of the track -> (xmin, ymin, xmax, ymax, score), shape (5,); pixels, and the score of its detection."""


class Tracker:
    """Gives detections the numbers of persons; ByteTrack of the package `trackers` (Apache-2.0).

    Who comes later gets a number when seen for the second time, so that a single false detection gets none.

    Args:
        rate: Calls per second of the video.
        threshold: Least score that starts a track.
        patience: Seconds that a person may be out of sight and keeps the number.
    """

    def __init__(self, rate: float, threshold: float, patience: float = 2.0):
        from trackers import ByteTrackTracker, DIoU

        self._tracker = ByteTrackTracker(
            # It counts in thirtieths of a second.
            lost_track_buffer=max(round(30 * patience), 1),
            frame_rate=rate,
            track_activation_threshold=threshold,
            high_conf_det_threshold=threshold,
            minimum_consecutive_frames=1,
            # Boxes are far apart in time, and a runner's need not overlap: their distance counts too.
            iou=DIoU(),
            minimum_iou_threshold=-0.5,
        )
        self._first = True

    def update(self, boxes: np.ndarray, scores: np.ndarray) -> Boxes:
        """The numbered persons of the next call.

        Args:
            boxes: Shape (N, 4), xyxy in pixels.
            scores: Shape (N,).
        """
        import supervision as sv

        found = sv.Detections(
            xyxy=np.asarray(boxes, np.float64).reshape(-1, 4),
            confidence=np.asarray(scores, np.float64).reshape(-1),
            class_id=np.zeros(len(boxes), int),
        )
        if self._first and len(found):  # those of the first call are there from the start
            self._first = False
            self._tracker.update(found)
        tracked = self._tracker.update(found)
        if tracked.tracker_id is None:
            return {}
        rows = np.column_stack([tracked.xyxy, tracked.confidence])
        return {number + 1: row for number, row in zip(tracked.tracker_id.tolist(), rows, strict=True) if number >= 0}


def between(before: Boxes, after: Boxes, share: float) -> Boxes:
    """Boxes between two detections: those of persons in both move evenly, those that vanish stay.

    Args:
        before: At share 0.
        after: At share 1.
        share: In [0, 1).
    """
    return {
        number: box if number not in after else (1 - share) * box + share * after[number]
        for number, box in before.items()
    }


class OneEuroFilter:
    """Smooths joints little when they are fast and much when they are slow (Casiez et al., CHI 2012).

    Args:
        rate: Calls per second.
        min_cutoff: Cut-off of a joint at rest, in Hz.
        beta: How much the cut-off grows with speed; speed counts in body heights per second, so that the size of a
            person in the picture does not matter.
        derivative_cutoff: Cut-off of the speed, in Hz.
    """

    def __init__(self, rate: float, min_cutoff: float = 1.5, beta: float = 3.0, derivative_cutoff: float = 1.0):
        self.rate, self.min_cutoff, self.beta, self.derivative_cutoff = rate, min_cutoff, beta, derivative_cutoff
        self._value: np.ndarray | None = None
        self._speed: np.ndarray | None = None

    def __call__(self, joints: np.ndarray, height: float) -> np.ndarray:
        """The smoothed joints.

        Args:
            joints: Shape (K, 2), pixels.
            height: Of the person, pixels.
        """
        if self._value is None or self._speed is None:
            self._value, self._speed = joints, np.zeros_like(joints)
            return joints
        share = _share(self.derivative_cutoff, self.rate)
        self._speed = share * (joints - self._value) * self.rate + (1 - share) * self._speed
        pace = np.linalg.norm(self._speed, axis=-1, keepdims=True) / max(height, 1.0)
        share = _share(self.min_cutoff + self.beta * pace, self.rate)
        self._value = share * joints + (1 - share) * self._value
        return self._value


def _share(cutoff: float | np.ndarray, rate: float) -> float | np.ndarray:
    """Weight of the newest value in a low-pass filter."""
    return 1 / (1 + rate / (2 * math.pi * cutoff))


class SkeletonWindows:
    """The last skeletons of every track, as clips for `human-action`.

    Args:
        length: Frames of a clip.
        shortest: Frames that a track must have before it is asked about.
        joints: Joints of a skeleton.
    """

    def __init__(self, length: int, shortest: int, joints: int):
        self.length, self.shortest, self.joints = length, shortest, joints
        self._held: dict[int, deque[np.ndarray]] = {}

    def add(self, skeletons: Mapping[int, np.ndarray]) -> None:
        """Add a frame: number -> joints (K, 3) as (x, y, score); who is not in it is forgotten after a window."""
        for number, skeleton in skeletons.items():
            self._held.setdefault(number, deque(maxlen=self.length)).append(np.asarray(skeleton, np.float32))
        for number in [number for number in self._held if number not in skeletons]:
            held = self._held[number]
            held.append(np.zeros((self.joints, 3), np.float32))
            if not any(frame.any() for frame in held):
                del self._held[number]

    def clips(self) -> dict[int, np.ndarray]:
        """Number -> clip (1, T, K, 3) of every track that is long enough and still in sight."""
        return {
            number: np.stack(held)[None]
            for number, held in self._held.items()
            if len(held) >= self.shortest and held[-1].any()
        }


__all__ = ["Boxes", "OneEuroFilter", "SkeletonWindows", "Tracker", "between"]
