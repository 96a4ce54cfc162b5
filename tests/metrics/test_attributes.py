# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Mean accuracy and the figures of instances, against a small table and the recorded figures of the release."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hulk_hf.metrics.attributes import attribute_figures, mean_accuracy, recalls

LABELS = np.array([[1, 0, 1, -1], [0, 0, 1, 1], [1, 1, 0, 0]])
SCORES = np.array([[0.9, 0.1, 0.2, 0.9], [0.8, 0.1, 0.7, 0.9], [0.9, 0.9, 0.1, 0.1]])


def test_a_table_of_three_people_and_four_attributes():
    positive, negative = recalls(LABELS, SCORES, 0.5)
    assert positive.tolist() == [1.0, 1.0, 0.5, 1.0]
    assert negative.tolist() == [0.0, 1.0, 1.0, 0.5]  # the unknown one counts as absent
    assert attribute_figures(LABELS, SCORES, 0.5)["mA"] == pytest.approx((0.5 + 1 + 0.75 + 0.75) / 4)
    assert mean_accuracy(LABELS, SCORES, 0.5, leave_out_unknown=True) == pytest.approx((0.5 + 1 + 0.75 + 1) / 4)


def test_scores_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="scores: expected"):
        attribute_figures(LABELS, SCORES[:2])


@pytest.fixture(scope="module")
def recording(shared):
    return json.loads((shared / "golden" / "metrics" / "attributes_a.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_figures_are_those_of_the_release(recording, threshold):
    labels, scores = np.array(recording["inputs"]["label"]), np.array(recording["inputs"]["prob"], np.float32)
    official = recording["official"][f"threshold_{threshold}"]
    figures = attribute_figures(labels, scores, threshold)
    names = {
        "mA": "ma",
        "accuracy": "instance_acc",
        "precision": "instance_prec",
        "recall": "instance_recall",
        "F1": "instance_f1",
        "positive_recall": "pos_recall",
        "negative_recall": "neg_recall",
    }
    for name, theirs in names.items():
        assert figures[name] == pytest.approx(official[theirs], abs=1e-12), name
    independent = recording["independent"][f"threshold_{threshold}"]
    left_out = independent["mA_undefined_side_left_out"]
    assert mean_accuracy(labels, scores, threshold) == pytest.approx(left_out, abs=1e-12)
    known = independent["mA_with_minus_one_left_out_and_undefined_side_left_out"]
    assert mean_accuracy(labels, scores, threshold, leave_out_unknown=True) == pytest.approx(known, abs=1e-12)


def test_an_attribute_that_everybody_has_is_capped_as_released(recording):
    labels = np.array(recording["inputs"]["label"])
    labels[:, 2] = 1
    official = recording["official"]["threshold_0.3_column_2_all_positive"]
    figures = attribute_figures(labels, np.array(recording["inputs"]["prob"], np.float32), 0.3)
    assert figures["mA"] == pytest.approx(official["ma"], abs=1e-12)
