# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""AP of COCO and the figures of CrowdHuman, against hand-made scenes and the recorded figures of the release."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hulk_hf.metrics.detection import crowd_figures, detection_average_precision

PERSON = np.array([[20.0, 20.0, 40.0, 80.0]])
NOBODY = np.zeros((0, 5))


def test_perfect_boxes_have_full_precision_and_far_ones_none():
    found = np.array([[20.0, 20.0, 40.0, 80.0, 0.9]])
    assert detection_average_precision([found], [PERSON], [np.array([False])])["AP"] == pytest.approx(1.0)
    far = found + [100.0, 0, 0, 0, 0]
    assert detection_average_precision([far], [PERSON], [np.array([False])])["AP50"] == pytest.approx(0.0)


def test_detections_of_people_to_ignore_are_no_false_alarms():
    boxes = np.concatenate([PERSON, PERSON + [80.0, 0, 0, 0]])
    found = np.concatenate([boxes, [[0.8], [0.9]]], axis=1)
    ignored = [np.array([False, True])]
    assert detection_average_precision([found], [boxes], ignored)["AP50"] == pytest.approx(1.0)
    assert crowd_figures([found], [boxes], ignored, [(200, 200)])["recall"] == 1.0


def test_without_detections_nobody_is_found():
    figures = crowd_figures([NOBODY], [PERSON], [np.array([False])], [(200, 200)])
    assert figures == {"AP": 0.0, "MR": 1.0, "recall": 0.0, "JI": 0.0}
    assert detection_average_precision([NOBODY], [PERSON], [np.array([False])])["AP50"] == 0.0


@pytest.fixture(scope="module")
def recording(shared):
    path = shared / "golden" / "metrics" / "pedestrian_detection_a.json"
    return json.loads(path.read_text(encoding="utf-8"))


def read(case: dict, missing: tuple = (), tags: bool = True) -> tuple:
    """Arguments of `crowd_figures`; with `tags`, what is tagged as anything but a person is to be ignored."""
    found, boxes, ignored, sizes = [], [], [], []
    for index, image in enumerate(case["gt"]):
        rows = [] if index in missing else case["detections"][index]
        rows = np.array(rows, np.float64).reshape(-1, 5)
        found.append(np.concatenate([rows[:, :2], rows[:, 2:4] - rows[:, :2], rows[:, 4:]], axis=1))
        boxes.append(np.array([box["fbox"] for box in image["gtboxes"]]).reshape(-1, 4))
        flags = [box["extra"].get("ignore", 0) != 0 or (tags and box["tag"] != "person") for box in image["gtboxes"]]
        ignored.append(flags)
        sizes.append((image["width"], image["height"]))
    return found, boxes, [np.array(flags, bool) for flags in ignored], sizes


def test_figures_are_those_of_the_release(recording):
    inputs, official = recording["inputs"], recording["official"]
    arguments = read(inputs, tuple(inputs["missing"]))
    # A box of the tag "background" is not to be found there, and yet counted.
    people = official["iou_0.5"]["gt_count"] - official["iou_0.5"]["ignored_gt_count"]
    for threshold, theirs in ((0.5, official["iou_0.5"]), (0.7, official["iou_0.7_short"])):
        figures = crowd_figures(*arguments, iou_threshold=threshold, num_people=people)
        assert figures["AP"] == pytest.approx(theirs["AP"], abs=1e-10)
        assert figures["MR"] == pytest.approx(theirs["MR_-2"], abs=1e-10)
        assert figures["recall"] == pytest.approx(theirs["recall"], abs=1e-10)
    own = recording["independent"]["background_box_not_counted_as_gt"]
    figures = crowd_figures(*arguments)
    assert figures["AP"] == pytest.approx(own["AP_same_rule"], abs=1e-10)
    assert figures["MR"] == pytest.approx(own["MR_same_rule"], abs=1e-10)


def test_jaccard_index_is_that_of_the_release_over_the_pictures_at_hand(recording):
    arguments = read(recording["inputs"], tuple(recording["inputs"]["missing"]), tags=False)
    expected = recording["official_jaccard_path"]["best_over_thresholds_divided_by_number_of_gt_images"]
    assert crowd_figures(*arguments)["JI"] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    "name",
    [
        "perfect",
        "false_positive_above_all_then_perfect",
        "few_false_positives",
        "ignored_gt_without_detections",
        "ignored_gt_prefers_real_match",
    ],
)
def test_awkward_scenes_are_as_released(recording, name):
    case = recording["extra_cases"][name]
    figures, official = crowd_figures(*read(case)), case["official"]["value"]
    assert figures["AP"] == pytest.approx(official["AP"], abs=1e-10)
    assert figures["MR"] == pytest.approx(official["MR_-2"], abs=1e-10)
    assert figures["recall"] == pytest.approx(official["recall"], abs=1e-10)
