# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Tracks, smoothing and skeleton windows, against values known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from hulk_hf.tracks import OneEuroFilter, SkeletonWindows, Tracker, between


def test_persons_who_pass_each_other_keep_their_numbers():
    tracker = Tracker(rate=10, threshold=0.5)
    numbers = []
    for step in range(30):
        left = np.array([10.0 + 4 * step, 20, 50 + 4 * step, 140])
        right = np.array([300.0 - 4 * step, 150, 340 - 4 * step, 290])
        order = [left, right] if step % 2 else [right, left]
        found = tracker.update(np.stack(order), np.array([0.9, 0.8]))
        assert len(found) == 2
        numbers.append(min(found, key=lambda number: np.abs(found[number][:4] - left).sum()))
    assert len(set(numbers)) == 1


def test_somebody_out_of_sight_for_a_moment_keeps_the_number():
    tracker = Tracker(rate=5, threshold=0.5, patience=1.0)
    box = np.array([[10.0, 20, 60, 140]])
    first = next(iter(tracker.update(box, np.array([0.9]))))
    for _ in range(2):
        assert tracker.update(np.zeros((0, 4)), np.zeros(0)) == {}
    assert list(tracker.update(box + 1, np.array([0.9]))) == [first]


def test_between_two_detections():
    before = {1: np.array([0.0, 0, 10, 10]), 2: np.array([50.0, 0, 60, 10])}
    after = {1: np.array([10.0, 20, 20, 30]), 3: np.array([90.0, 0, 99, 10])}
    middle = between(before, after, 0.5)
    assert set(middle) == {1, 2}
    assert middle[1].tolist() == [5, 10, 15, 20] and middle[2].tolist() == [50, 0, 60, 10]


def test_one_euro_filter_by_hand():
    smooth = OneEuroFilter(rate=30, min_cutoff=1.0, beta=0.0, derivative_cutoff=1.0)
    assert smooth(np.array([[0.0, 0.0]]), 100).tolist() == [[0.0, 0.0]]
    share = 1 / (1 + 30 / (2 * np.pi))
    np.testing.assert_allclose(smooth(np.array([[10.0, 0.0]]), 100), [[10 * share, 0]])
    np.testing.assert_allclose(smooth(np.array([[10.0, 0.0]]), 100), [[10 * share + (1 - share) * share * 10, 0]])


def test_one_euro_filter_calms_rest_and_follows_movement():
    noise = np.random.default_rng(0).normal(0, 2, (200, 5, 2))
    rest, fast = OneEuroFilter(30), OneEuroFilter(30)
    still = np.stack([rest(part + 100, 200) for part in noise])[50:]
    assert still.std(0).mean() < 0.6 * noise.std(0).mean()
    path = np.arange(200)[:, None, None] * 12.0 + np.zeros((1, 5, 2))
    lag = path[50:] - np.stack([fast(part, 200) for part in path])[50:]
    assert np.abs(lag).max() < 24, "less than two frames behind"


def test_windows():
    windows = SkeletonWindows(length=4, shortest=2, joints=3)
    joints = np.ones((3, 3))
    windows.add({7: joints})
    assert windows.clips() == {}
    for step in range(5):
        windows.add({7: joints * (step + 2), 8: joints})
    clips = windows.clips()
    assert clips[7].shape == (1, 4, 3, 3) and clips[7][0, :, 0, 0].tolist() == [3, 4, 5, 6]
    windows.add({8: joints})
    assert set(windows.clips()) == {8}, "who is out of sight is not asked about"
    for _ in range(4):
        windows.add({8: joints})
    assert set(windows._held) == {8}, "and is forgotten after a window"


@pytest.mark.parametrize("boxes", [np.zeros((0, 4)), np.array([])])
def test_nobody(boxes):
    assert Tracker(5, 0.5).update(boxes, np.zeros(0)) == {}
