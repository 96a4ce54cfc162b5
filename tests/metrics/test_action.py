# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Top-k accuracy, against hand counts and the recorded figures of the release."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hulk_hf.metrics.action import mean_class_accuracy, top_k_accuracy

LOGITS = np.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
LABELS = np.array([0, 1, 2, 0])


def test_accuracies_by_hand():
    assert top_k_accuracy(LOGITS, LABELS) == 0.5
    assert top_k_accuracy(LOGITS, LABELS, 2) == 0.75
    assert mean_class_accuracy(LOGITS, LABELS) == pytest.approx(1 / 3)


def test_labels_of_another_length_are_refused():
    with pytest.raises(ValueError, match="labels: expected one class per row"):
        top_k_accuracy(LOGITS, LABELS[:3])


def test_figures_are_those_of_the_release(shared):
    recording = json.loads((shared / "golden" / "metrics" / "skeleton_action_a.json").read_text(encoding="utf-8"))
    inputs, official = recording["inputs"], recording["official"]
    logits, labels = np.array(inputs["logit"], np.float32), np.array(inputs["label"])
    assert 100 * top_k_accuracy(logits, labels) == pytest.approx(official["top1_top5"]["prec1"], abs=1e-4)
    assert 100 * top_k_accuracy(logits, labels, 5) == pytest.approx(official["top1_top5"]["prec5"], abs=1e-4)
    mean = recording["independent"]["mean_class_accuracy"]
    assert 100 * mean_class_accuracy(logits, labels) == pytest.approx(mean, abs=1e-10)
    clips, repeated = np.array(inputs["logit_clips"], np.float32), np.repeat(labels, inputs["clips"])
    each = official["several_clips_per_label"]
    assert 100 * top_k_accuracy(clips, repeated) == pytest.approx(each["prec1"], abs=1e-4)
    assert 100 * top_k_accuracy(clips, repeated, 5) == pytest.approx(each["prec5"], abs=1e-4)
