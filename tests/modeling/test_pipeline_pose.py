# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-pose`: inputs, outputs, batches."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.pipeline_pose_hulk import HumanPosePipeline
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

IMAGE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
OTHER = IMAGE[::-1].copy()
BOXES = [[10.0, 5.0, 60.0, 100.0], [-12.0, 20.0, 80.0, 90.0], [70.0, 10.0, 50.0, 100.0]]
TOLERANCE = 2e-3  # pixels; a row of a matrix product depends a little on how many rows there are


class Counted:
    """Stands in for the network and writes down how many persons each pass had."""

    def __init__(self, model):
        self.model, self.passes = model, []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def __call__(self, pixel_values, **kwargs):
        self.passes.append(len(pixel_values))
        return self.model(pixel_values=pixel_values, **kwargs)


@pytest.fixture(scope="module")
def pipe(tiny_pose_model, tiny_pose_processor) -> HumanPosePipeline:
    return HumanPosePipeline(model=tiny_pose_model, image_processor=tiny_pose_processor)


@pytest.fixture
def counted(pipe, monkeypatch) -> Iterator[Counted]:
    stand_in = Counted(pipe.model)
    monkeypatch.setattr(pipe, "model", stand_in)
    yield stand_in


def assert_same(ours: list[dict], expected: list[dict]) -> None:
    assert len(ours) == len(expected)
    for one, other in zip(ours, expected, strict=True):
        assert one["box"] == other["box"] and one["labels"] == other["labels"]
        np.testing.assert_allclose(one["keypoints"], other["keypoints"], atol=TOLERANCE)
        np.testing.assert_allclose(one["keypoint_scores"], other["keypoint_scores"], atol=1e-5)
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


# Results ------------------------------------------------------------------------------------------------------------


def test_result_is_plain_json(pipe):
    persons = pipe(IMAGE, boxes=BOXES)
    assert json.loads(json.dumps(persons)) == persons
    assert [set(person) for person in persons] == [{"box", "score", "keypoints", "keypoint_scores", "labels"}] * 3
    person = persons[1]
    assert person["box"] == {"xmin": -12.0, "ymin": 20.0, "xmax": 68.0, "ymax": 110.0}
    assert all(type(value) is float for value in person["box"].values())
    assert len(person["keypoints"]) == len(person["keypoint_scores"]) == len(person["labels"]) == 17
    assert person["labels"] == list(KNOWN_TASKS["pose-coco"].labels)
    assert all(type(value) is float for point in person["keypoints"] for value in point)
    above = [score for score in person["keypoint_scores"] if score > 0.2]
    assert person["score"] == pytest.approx(sum(above) / max(len(above), 1), abs=1e-6)


@pytest.mark.parametrize("flip", [False, True])
def test_result_equals_processor_and_model_by_hand(pipe, tiny_pose_model, tiny_pose_processor, flip):
    inputs = tiny_pose_processor(IMAGE, boxes=BOXES, return_tensors="pt")
    with torch.no_grad():
        outputs = tiny_pose_model(**inputs)
        flipped = tiny_pose_model(tiny_pose_processor.flip_pixel_values(inputs["pixel_values"])) if flip else None
    expected = tiny_pose_processor.post_process_pose_estimation(outputs, [BOXES], outputs_flipped=flipped)[0]
    for ours, other in zip(pipe(IMAGE, boxes=BOXES, flip_test=flip), expected, strict=True):
        np.testing.assert_allclose(ours["keypoints"], other["keypoints"].numpy(), atol=TOLERANCE)
        np.testing.assert_allclose(ours["keypoint_scores"], other["scores"].numpy(), atol=1e-5)


def test_threshold_leaves_out_joints(pipe):
    full, cut = pipe(IMAGE, boxes=BOXES), pipe(IMAGE, boxes=BOXES, threshold=0.15)
    for before, after in zip(full, cut, strict=True):
        keep = [joint for joint, score in enumerate(before["keypoint_scores"]) if score > 0.15]
        assert 0 < len(keep) < 17
        assert after["labels"] == [before["labels"][joint] for joint in keep]
        assert len(after["keypoints"]) == len(after["keypoint_scores"]) == len(keep)
        assert after["score"] == before["score"]


def test_task_chooses_among_the_tasks_of_the_checkpoint(pipe, tiny_pose_model):
    persons = pipe(IMAGE, boxes=BOXES, task="pose-aic")
    assert persons[0]["labels"] == list(KNOWN_TASKS["pose-aic"].labels)
    processor = HulkPoseImageProcessor.from_task(KNOWN_TASKS["pose-aic"])
    with torch.no_grad():
        outputs = tiny_pose_model(**processor(IMAGE, boxes=BOXES, return_tensors="pt"), task="pose-aic")
    expected = processor.post_process_pose_estimation(outputs, [BOXES])[0]
    np.testing.assert_allclose(persons[2]["keypoints"], expected[2]["keypoints"].numpy(), atol=TOLERANCE)
    assert pipe(IMAGE, boxes=BOXES, task="pose")[0]["labels"] == list(KNOWN_TASKS["pose-coco"].labels)


def test_box_formats(pipe):
    corners = [[x, y, x + w, y + h] for x, y, w, h in BOXES]
    assert_same(pipe(IMAGE, boxes=corners, box_format="xyxy"), pipe(IMAGE, boxes=BOXES))


def test_options_can_be_given_to_the_constructor(tiny_pose_model, tiny_pose_processor):
    strict = HumanPosePipeline(
        model=tiny_pose_model, image_processor=tiny_pose_processor, threshold=9.0, box_format="xyxy", batch_size=2
    )
    assert strict(IMAGE, boxes=[[0, 0, 50, 90]])[0]["labels"] == []
    assert len(strict(IMAGE, boxes=[[0, 0, 50, 90]], threshold=-9.0)[0]["labels"]) == 17


# Inputs -------------------------------------------------------------------------------------------------------------


def test_kinds_of_one_picture(pipe, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "picture.png")
    expected = pipe(IMAGE, boxes=BOXES)
    for kind in (
        Image.fromarray(IMAGE),
        str(tmp_path / "picture.png"),
        tmp_path / "picture.png",
        torch.from_numpy(IMAGE).permute(2, 0, 1),
    ):
        assert_same(pipe(kind, boxes=BOXES), expected)
    assert_same(pipe({"image": IMAGE, "boxes": BOXES}), expected)
    assert_same(pipe(IMAGE, boxes=np.array(BOXES)), expected)
    assert_same(pipe(IMAGE, boxes=[BOXES]), expected)


def test_url(pipe, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "picture.png")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        assert_same(pipe(f"{url}/picture.png", boxes=BOXES, timeout=10), pipe(IMAGE, boxes=BOXES))
        with pytest.raises(ValueError, match="`inputs`: 'http.*absent.png' did not answer with a picture"):
            pipe(f"{url}/absent.png", boxes=BOXES)
        server.shutdown()
        thread.join()


def test_without_boxes_the_whole_picture_is_one_person(pipe):
    persons = pipe(IMAGE)
    assert_same(persons, pipe(IMAGE, boxes=[[0, 0, 160, 120]]))
    assert persons[0]["box"] == {"xmin": 0.0, "ymin": 0.0, "xmax": 160.0, "ymax": 120.0}


def test_no_boxes_give_no_persons_and_cost_no_pass(pipe, counted):
    assert pipe(IMAGE, boxes=[]) == []
    assert pipe(IMAGE, boxes=np.zeros((0, 4)), batch_size=1) == []
    assert pipe([IMAGE, OTHER], boxes=[[], []]) == [[], []]
    assert pipe([]) == []
    assert counted.passes == []


@pytest.mark.parametrize("batch_size", [1, 2, 5, 16])
def test_list_of_pictures(pipe, batch_size):
    boxes = [BOXES, [], None, BOXES[:1]]
    images = [IMAGE, IMAGE, OTHER, OTHER]
    expected = [pipe(image, boxes=part) for image, part in zip(images, boxes, strict=True)]
    for inputs in (images, tuple(images), np.stack(images)):
        results = pipe(inputs, boxes=boxes, batch_size=batch_size)
        assert [len(persons) for persons in results] == [3, 0, 1, 1]
        for ours, other in zip(results, expected, strict=True):
            assert_same(ours, other)
    mixed = pipe([{"image": IMAGE, "boxes": BOXES}, OTHER], batch_size=batch_size)
    assert_same(mixed[0], expected[0])
    assert_same(mixed[1], expected[2])


class Pictures(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return {"image": IMAGE, "boxes": BOXES[:index]}


def test_generators_and_data_sets_are_lazy(pipe):
    taken = []

    def pictures():
        for index in range(100):
            taken.append(index)
            yield {"image": IMAGE, "boxes": BOXES[:1]}

    results = pipe(pictures(), batch_size=2)
    assert not isinstance(results, list)
    first = next(iter(results))
    assert len(first) == 1 and len(taken) < 10
    assert [len(persons) for persons in pipe(Pictures(), batch_size=4)] == [0, 1, 2]
    assert [len(persons) for persons in pipe(map(Pictures().__getitem__, range(3)))] == [0, 1, 2]
    assert [len(persons) for persons in pipe(iter([IMAGE, OTHER]))] == [1, 1]


# Batches ------------------------------------------------------------------------------------------------------------


def test_sixteen_boxes_are_one_pass(pipe, counted):
    boxes = [[index, index, 60 + index, 90] for index in range(16)]
    assert len(pipe(IMAGE, boxes=boxes)) == 16
    assert counted.passes == [16]
    counted.passes.clear()
    pipe(IMAGE, boxes=boxes, flip_test=True, batch_size=10)
    assert counted.passes == [10, 10, 6, 6]


def test_batch_size_counts_persons_across_pictures(pipe, counted):
    pipe([IMAGE, OTHER, IMAGE], boxes=[BOXES, [], BOXES[:2]], batch_size=3)
    # The picture without persons takes a place in a batch, but is not computed.
    assert counted.passes == [3, 2] and sum(counted.passes) == 5
    counted.passes.clear()
    pipe([IMAGE] * 4, boxes=[BOXES[:1]] * 4, batch_size=4)
    assert counted.passes == [4]


def test_all_persons_of_a_picture_are_cut_out_in_one_call(pipe, monkeypatch):
    calls = []
    monkeypatch.setattr(
        HulkPoseImageProcessor,
        "preprocess",
        lambda self, images, boxes=None, *args, _inner=HulkPoseImageProcessor.preprocess, **kwargs: (
            calls.append(len(boxes)) or _inner(self, images, boxes, *args, **kwargs)
        ),
    )
    pipe(IMAGE, boxes=BOXES, batch_size=1)
    assert calls == [3]


# Loading ------------------------------------------------------------------------------------------------------------


def test_loads_from_a_folder_by_name(tiny_pose_folder, pipe):
    hulk_hf = pytest.importorskip("hulk_hf")
    found = hulk_hf.pipeline("human-pose", model=str(tiny_pose_folder))
    assert isinstance(found, HumanPosePipeline)
    assert_same(found(IMAGE, boxes=BOXES), pipe(IMAGE, boxes=BOXES))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models(tiny_pose_folder, tiny_pose_model, tiny_pose_processor, dtype):
    model = type(tiny_pose_model).from_pretrained(tiny_pose_folder, dtype=dtype).eval()
    persons = HumanPosePipeline(model=model, image_processor=tiny_pose_processor)(IMAGE, boxes=BOXES)
    assert np.isfinite([person["keypoints"] for person in persons]).all()
