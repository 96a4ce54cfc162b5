# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The demo leaves a picture with joints where they were found, and drawing says what it cannot draw."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hulk_hf.demo import run_demo
from hulk_hf.drawing import draw_persons
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

TASK = KNOWN_TASKS["pose-coco"]


def person(scores: float = 1.0) -> dict:
    # Left joints in a column on the right, right joints in a column on the left, as in a person who faces us.
    columns = {"left": 90.0, "right": 30.0}
    joints = [[columns.get(label.split()[0], 60.0), 20.0 + 5 * index] for index, label in enumerate(TASK.labels)]
    box = {"xmin": 5.0, "ymin": 5.0, "xmax": 110.0, "ymax": 110.0}
    return {"box": box, "score": 1.0, "keypoints": joints, "keypoint_scores": [scores] * 17, "labels": TASK.labels}


def test_demo_draws_a_photograph_and_a_rendered_person(tmp_path):
    found = run_demo(tmp_path / "demo.png")
    with Image.open(tmp_path / "demo.png") as picture:
        assert picture.height > 700 and picture.width > picture.height
    assert [len(persons) for persons in found] == [1, 1]
    assert all(len(persons[0]["keypoints"]) == 17 for persons in found)


def test_joints_are_drawn_where_they_are_and_weak_ones_are_not():
    black = Image.new("RGB", (120, 120))
    strong = np.asarray(draw_persons(black, [person()], TASK))
    for x, y in person()["keypoints"]:
        assert strong[round(y), round(x)].any()
    weak = np.asarray(draw_persons(black, [person(scores=0.1)], TASK))
    assert not weak[20:100, 28:33].any()
    assert np.asarray(draw_persons(black, [], TASK)).max() == 0
    assert not np.asarray(black).any(), "the picture given is left alone"


def test_sides_have_their_colours():
    drawn = np.asarray(draw_persons(Image.new("RGB", (120, 120)), [person()], TASK)).astype(int)
    (left_x, left_y), (right_x, right_y) = person()["keypoints"][15], person()["keypoints"][16]
    left, right = drawn[round(left_y), round(left_x)], drawn[round(right_y), round(right_x)]
    assert left[1] > left[0], "left is green"
    assert right[0] > right[1], "right is orange"


def test_another_number_of_joints_is_an_error():
    with pytest.raises(ValueError, match=r"persons: expected 14 joints each, got shape \(1, 17, 2\)"):
        draw_persons(Image.new("RGB", (9, 9)), [person()], KNOWN_TASKS["pose-aic"])
