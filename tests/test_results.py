# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Results: what is in them comes out again in every form, and files appear as a whole."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from hulk_hf.drawing import part_palette
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS
from hulk_hf.result_files import coco_results, write_whole
from hulk_hf.results import Action, Attributes, Caption, ImageResult, Mesh, Parsing, Person, Pose
from hulk_hf.run_lengths import mask_of, run_lengths

POSE, PARSING = KNOWN_TASKS["pose-coco"], KNOWN_TASKS["parsing-lip"]


def person(left: float = 10.0, number: int | None = None) -> Person:
    ids = np.zeros((40, 30), np.uint8)
    ids[5:20, 8:20] = 5
    ids[20:35, 8:20] = 9
    joints = [[left + index, 12.5 + 2 * index] for index in range(17)]
    return Person(
        box=(left, 10.0, left + 30.0, 50.0),
        score=0.75,
        id=number,
        pose=Pose(joints, [0.9] * 17, list(POSE.labels), 0.6),
        parsing=Parsing(
            Image.fromarray(ids),
            {"xmin": int(left), "ymin": 10, "xmax": int(left) + 30, "ymax": 50},
            ["upper-clothes", "pants"],
            [5, 9],
            [180, 180],
        ),
        attributes=Attributes(["with a hat", "female"], [0.8, 0.9]),
        mesh=Mesh(
            np.array([[0.0, 0.1, 0.2], [0.3, 0.4, 0.5], [0.1, 0.0, 0.9]], np.float32),
            np.array([[0, 1, 2]]),
            [[0.0, 0.1, 0.2]],
            [[20.0, 30.0]],
            ["head"],
            {"scale": 1.0, "tx": 0.0, "ty": 0.0, "pixels_per_metre": 20.0, "x": left + 15.0, "y": 30.0},
            "a body",
            "CC0 1.0",
        ),
        caption=Caption("a woman in a red shirt"),
        action=Action(["waving", "walking"], [0.7, 0.2]),
    )


@pytest.fixture
def result() -> ImageResult:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8))
    tasks = {"pose": POSE, "parsing": PARSING}
    return ImageResult([person(10.0, 1), person(60.0, 2)], picture.size, None, tasks, picture)


def test_json_and_back(result):
    text = result.to_json()
    again = ImageResult.from_dict(json.loads(text))
    assert again.to_json() == text
    assert np.array_equal(np.asarray(again[0].parsing.part_map), np.asarray(result[0].parsing.part_map))
    assert again.tasks["pose"] is POSE and len(again) == 2 and [p.id for p in again] == [1, 2]


def test_what_was_not_asked_is_left_out():
    content = Person((0.0, 0.0, 5.0, 5.0)).to_dict()
    assert set(content) == {"box", "score"}


def test_something_else_is_no_result():
    with pytest.raises(ValueError, match="content: expected a person"):
        Person.from_dict({"box": [1, 2, 3, 4], "score": 1})
    with pytest.raises(ValueError, match="content: expected a result"):
        ImageResult.from_dict({"persons": []})


@settings(max_examples=60, deadline=None)
@given(arrays(bool, st.tuples(st.integers(0, 9), st.integers(0, 9))))
def test_run_lengths_and_back(mask):
    runs = run_lengths(mask)
    assert sum(runs["counts"][1::2]) == mask.sum()
    assert np.array_equal(mask_of(runs), mask)


def test_run_lengths_are_those_of_coco():
    from faster_coco_eval import mask as coco

    mask = np.random.default_rng(1).random((13, 7)) > 0.6
    mask[0, 0] = True
    assert np.array_equal(coco.decode(coco.frPyObjects(run_lengths(mask), 13, 7)), mask)


def test_run_lengths_that_do_not_fit():
    with pytest.raises(ValueError, match="counts add up to 3, expected 2x2 = 4"):
        mask_of({"size": [2, 2], "counts": [1, 2]})


def test_dataframe(result):
    frame = result.to_dataframe()
    assert len(frame) == 2
    row = frame.iloc[1]
    assert row["nose x"] == 60.0 and row["female"] == 0.9 and row["pants area"] == 180
    assert row["caption"] == "a woman in a red shirt" and row["action"] == "waving" and row["id"] == 2


def test_supervision(result):
    detections, joints = result.to_supervision()
    assert detections.xyxy.shape == (2, 4) and detections.mask.shape == (2, 80, 120)
    assert detections.mask[0].sum() == 360 and detections.mask[0, 15, 18] and not detections.mask[0, 15, 80]
    assert detections.tracker_id.tolist() == [1, 2]
    assert joints.xy.shape == (2, 17, 2)
    empty = ImageResult([], (10, 10)).to_supervision()
    assert len(empty[0]) == 0 and empty[1] is None


def test_part_map_lies_where_the_persons_are(result):
    whole = np.asarray(result.part_map())
    assert whole.shape == (80, 120) and whole[16, 20] == 5 and whole[32, 70] == 9 and whole[0, 0] == 0
    assert result.part_map().getpalette()[15:18] == part_palette()[5].tolist()
    with pytest.raises(ValueError, match="add 'parsing' to `task`"):
        ImageResult([Person((0.0, 0.0, 5.0, 5.0))], (10, 10)).part_map()


def test_files(result, tmp_path):
    for name in ("a.png", "a.jpg", "a.json"):
        result.save(tmp_path / name)
    with Image.open(tmp_path / "a.png") as drawn:
        assert drawn.width > 120, "a small picture is enlarged before it is drawn on"
    assert json.loads((tmp_path / "a.json").read_text())["persons"][0]["id"] == 1
    result.save(tmp_path / "parts.png", kind="parts")
    with Image.open(tmp_path / "parts.png") as parts:
        assert parts.mode == "P" and np.array_equal(np.asarray(parts), np.asarray(result.part_map()))
    result.save(tmp_path / "coco.json", kind="coco")
    entries = json.loads((tmp_path / "coco.json").read_text())
    assert entries == coco_results([result]) and entries[1]["bbox"] == [60.0, 10.0, 30.0, 40.0]
    assert len(entries[0]["keypoints"]) == 51 and entries[0]["score"] == 0.6
    assert sorted(os.listdir(tmp_path)) == ["a.jpg", "a.json", "a.png", "coco.json", "parts.png"]


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("a.txt", None, "path: expected an ending among"),
        ("a.json", "xml", "or `kind` among"),
        ("a.jpg", "parts", "needs an ending of .png"),
        ("a.obj", None, "2 persons need one .glb"),
    ],
)
def test_files_that_cannot_be(result, tmp_path, name, kind, message):
    with pytest.raises(ValueError, match=message):
        result.save(tmp_path / name, kind)
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "kept.json"
    path.write_text("old")

    def fail(draft):
        draft.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="output: .*kept.json cannot be written .*No space left"):
        write_whole(path, fail)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_an_output_that_is_a_file(result, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="output: .* cannot be written"):
        result.save(tmp_path / "taken" / "a.json")


def test_a_picture_that_is_gone():
    with pytest.raises(ValueError, match="holds no picture and no source"):
        _ = ImageResult([], (10, 10)).image
