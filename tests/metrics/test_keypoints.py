# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""OKS and COCO's average precision."""

from __future__ import annotations

import numpy as np
import pytest

from hulk_hf.metrics.keypoints import coco_average_precision, object_keypoint_similarity
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

SIGMAS = KNOWN_TASKS["pose-coco"].sigmas


def persons(count: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    keypoints = np.concatenate([random.uniform(0, 200, (count, 17, 2)), np.full((count, 17, 1), 2.0)], axis=2)
    return keypoints, np.full(count, 9000.0), np.tile([0.0, 0.0, 200.0, 200.0], (count, 1))


def test_oks_of_one_joint_by_hand():
    keypoints = np.zeros((1, 1, 3))
    keypoints[..., 2] = 1
    # d^2 = 25, area 100, sigma 0.25: exp(-25 / (2 * 100 * 0.25)) = exp(-0.5)
    oks = object_keypoint_similarity(np.array([[[3.0, 4.0]]]), keypoints, np.array([100.0]), [0.25])
    assert oks[0] == pytest.approx(np.exp(-0.5), abs=1e-12)


def test_oks_ignores_joints_without_annotation():
    keypoints, areas, _ = persons(2)
    predicted = keypoints[..., :2].copy()
    keypoints[0, 3, 2] = 0
    predicted[0, 3] += 1000
    keypoints[1, :, 2] = 0
    oks = object_keypoint_similarity(predicted, keypoints, areas, SIGMAS)
    assert oks[0] == 1.0
    assert np.isnan(oks[1])


def test_perfect_poses_have_full_precision_and_far_ones_none():
    keypoints, areas, boxes = persons()
    scores = np.linspace(0.5, 1, len(keypoints))
    perfect = coco_average_precision(keypoints[..., :2], scores, keypoints, areas, boxes, SIGMAS)
    assert perfect["AP"] == pytest.approx(1.0)
    far = coco_average_precision(keypoints[..., :2] + 500, scores, keypoints, areas, boxes, SIGMAS)
    assert far["AP"] == pytest.approx(0.0)


def test_precision_counts_the_thresholds_passed():
    """One person, OKS about 0.72: five of the ten thresholds 0.50, 0.55 ... 0.95 are passed."""
    keypoints, areas, boxes = persons(1)
    spread = 2 * areas[0] * (2 * np.asarray(SIGMAS)) ** 2
    predicted = keypoints[..., :2].copy()
    predicted[0, :, 0] += np.sqrt(-np.log(0.72) * spread)
    assert object_keypoint_similarity(predicted, keypoints, areas, SIGMAS)[0] == pytest.approx(0.72, abs=1e-9)
    figures = coco_average_precision(predicted, np.array([1.0]), keypoints, areas, boxes, SIGMAS)
    assert figures["AP"] == pytest.approx(0.5, abs=1e-6)
    assert figures["AP50"] == pytest.approx(1.0, abs=1e-6)
    assert figures["AP75"] == pytest.approx(0.0, abs=1e-6)
