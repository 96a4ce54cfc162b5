# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-attributes`: inputs, outputs, batches, loading."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_attributes_hulk import HulkAttributesImageProcessor
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.modeling_attributes_hulk import HulkForAttributeRecognition
from hulk_hf.modeling.pipeline_attributes_hulk import HumanAttributesPipeline
from hulk_hf.modeling.tasks_hulk import HulkTask

IMAGE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
OTHER = IMAGE[::-1].copy()
BOXES = [[10.0, 5.0, 60.0, 100.0], [-12.0, 20.0, 80.0, 90.0], [170.0, 10.0, 50.0, 100.0]]
TASKS = [
    HulkTask(
        "attributes-two",
        "attributes",
        ("one: hat", "one: bag", "two: hat", "two: coat", "two: boots"),
        image_size=(64, 48),
        label_spaces={"one": (0, 2), "two": (2, 5)},
    ),
    HulkTask("attributes-plain", "attributes", ("standing", "sitting"), image_size=(32, 32)),
]


@pytest.fixture(scope="module")
def config() -> HulkConfig:
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    return HulkConfig(
        vision_config={"hidden_size": 32, "drop_path_rate": 0.0, **sizes},
        decoder_config={"hidden_size": 16, **sizes},
        text_feature_size=24,
        tasks=TASKS,
    )


@pytest.fixture(scope="module")
def model(config) -> HulkForAttributeRecognition:
    """Random weights, made to look at the picture."""
    torch.manual_seed(1)
    model = HulkForAttributeRecognition(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=2.0 / parameter.shape[-1] ** 0.5)
    return model


@pytest.fixture(scope="module")
def processor(config) -> HulkAttributesImageProcessor:
    return HulkAttributesImageProcessor.from_task(config.task())


@pytest.fixture(scope="module")
def pipe(model, processor) -> HumanAttributesPipeline:
    return HumanAttributesPipeline(model=model, image_processor=processor)


def assert_same(ours: list[dict], expected: list[dict]) -> None:
    assert len(ours) == len(expected)
    for one, other in zip(ours, expected, strict=True):
        assert one["box"] == other["box"] and one["labels"] == other["labels"] and one["score"] == other["score"]
        np.testing.assert_allclose(one["scores"], other["scores"], atol=1e-5)


# Results ------------------------------------------------------------------------------------------------------------


def test_result_is_plain_json(pipe):
    persons = pipe(IMAGE, boxes=BOXES, threshold=None)
    assert json.loads(json.dumps(persons)) == persons
    assert [set(person) for person in persons] == [{"box", "score", "labels", "scores"}] * 3
    assert persons[1]["box"] == {"xmin": -12.0, "ymin": 20.0, "xmax": 68.0, "ymax": 110.0}
    assert persons[1]["labels"] == list(TASKS[0].labels) and persons[1]["score"] == 1.0
    assert persons[0]["scores"] != persons[1]["scores"]


def test_result_equals_processor_and_model_by_hand(pipe, model, processor):
    with torch.no_grad():
        outputs = model(**processor(IMAGE, boxes=BOXES, return_tensors="pt"))
    expected = processor.post_process_human_attributes(outputs)
    persons = pipe(IMAGE, boxes=BOXES)
    assert any(0 < len(person["labels"]) < 5 for person in persons)
    for ours, other in zip(persons, expected, strict=True):
        assert ours["labels"] == [TASKS[0].labels[index] for index in other["labels"]]
        np.testing.assert_allclose(ours["scores"], other["scores"], atol=1e-5)


def test_threshold_is_the_official_one_unless_given(pipe):
    everything = pipe(IMAGE, boxes=BOXES, threshold=None)
    for threshold, options in ((0.3, {}), (0.6, {"threshold": 0.6}), (1, {"threshold": 1})):
        for full, cut in zip(everything, pipe(IMAGE, boxes=BOXES, **options), strict=True):
            pairs = zip(full["labels"], full["scores"], strict=True)
            assert cut["labels"] == [label for label, score in pairs if score > threshold]


def test_label_space_takes_the_labels_of_one_data_set(pipe):
    full, cut = (pipe(IMAGE, threshold=None, label_space=space)[0] for space in (None, "two"))
    assert cut["labels"] == ["hat", "coat", "boots"]
    np.testing.assert_allclose(cut["scores"], full["scores"][2:], atol=1e-6)


def test_task_chooses_among_the_tasks_of_the_checkpoint(pipe, model):
    other = HulkAttributesImageProcessor.from_task(TASKS[1])
    with torch.no_grad():
        outputs = model(**other(IMAGE, boxes=BOXES, return_tensors="pt"), task="attributes-plain")
    persons = pipe(IMAGE, boxes=BOXES, task="attributes-plain", threshold=None)
    assert persons[0]["labels"] == ["standing", "sitting"]
    np.testing.assert_allclose([person["scores"] for person in persons], outputs.logits.sigmoid(), atol=1e-5)


def test_score_is_that_of_the_detector(pipe):
    def detector(image):
        box = {"xmin": 10, "ymin": 5, "xmax": 70, "ymax": 105}
        return [{"box": box, "score": 0.75, "label": "person"}, {"box": box, "score": 0.9, "label": "dog"}]

    persons = pipe(IMAGE, detector=detector, threshold=None)
    assert [person["score"] for person in persons] == [0.75]
    np.testing.assert_allclose(persons[0]["scores"], pipe(IMAGE, boxes=BOXES[:1], threshold=None)[0]["scores"])
    assert pipe(IMAGE, detector=lambda image: []) == []


# Inputs and batches -------------------------------------------------------------------------------------------------


def test_kinds_of_one_picture(pipe, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "picture.png")
    expected = pipe(IMAGE, boxes=BOXES)
    for kind in (Image.fromarray(IMAGE), str(tmp_path / "picture.png"), torch.from_numpy(IMAGE).permute(2, 0, 1)):
        assert_same(pipe(kind, boxes=BOXES), expected)
    corners = [[x, y, x + w, y + h] for x, y, w, h in BOXES]
    assert_same(pipe({"image": IMAGE, "boxes": corners}, box_format="xyxy"), expected)
    assert_same(pipe(IMAGE), pipe(IMAGE, boxes=[[0, 0, 160, 120]]))


def test_nobody(pipe):
    assert pipe(IMAGE, boxes=[]) == [] and pipe([]) == []
    assert pipe([IMAGE, OTHER], boxes=[[], []]) == [[], []]


@pytest.mark.parametrize("batch_size", [1, 8])
def test_lists_and_generators_whatever_the_batch(pipe, batch_size):
    boxes = [BOXES, [], None, BOXES[:1]]
    images = [IMAGE, IMAGE, OTHER, OTHER]
    expected = [pipe(image, boxes=part) for image, part in zip(images, boxes, strict=True)]
    items = [{"image": image, "boxes": part} for image, part in zip(images, boxes, strict=True)]
    for results in (pipe(images, boxes=boxes, batch_size=batch_size), pipe(iter(items), batch_size=batch_size)):
        results = list(results)
        assert [len(persons) for persons in results] == [3, 0, 1, 1]
        for ours, other in zip(results, expected, strict=True):
            assert_same(ours, other)


# Loading and bad input ----------------------------------------------------------------------------------------------


def test_options_can_be_given_to_the_constructor(model, processor, pipe):
    one = HumanAttributesPipeline(model=model, image_processor=processor, label_space="one", threshold=None)
    assert_same(one(IMAGE), pipe(IMAGE, label_space="one", threshold=None))
    assert len(one(IMAGE, threshold=9.0)[0]["labels"]) == 0


def test_a_model_of_all_families_serves_too(config, pipe):
    torch.manual_seed(1)
    everything = HulkForHumanAnalysis(config).eval()
    other = HumanAttributesPipeline(model=everything, image_processor=pipe.image_processor)
    other.model.load_state_dict(pipe.model.state_dict())
    assert_same(other(IMAGE, boxes=BOXES), pipe(IMAGE, boxes=BOXES))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: p(IMAGE, label_space="three"), ValueError, r"`label_space` must be one of \['one', 'two'\]"),
        (lambda p: p(IMAGE, label_space="one", task="attributes-plain"), ValueError, "`label_space`"),
        (lambda p: p(IMAGE, boxes=[1, 2, 3, 4]), ValueError, "`boxes`"),
        (lambda p: p({"picture": IMAGE}), ValueError, "'image'"),
        (lambda p: p("nowhere.png"), ValueError, "`inputs`"),
        (lambda p: p(3), TypeError, "`inputs`"),
        (lambda p: p(IMAGE, task="attributes-none"), ValueError, "attributes-none"),
        (lambda p: p(IMAGE, treshold=0.3), TypeError, "treshold"),
    ],
)
def test_bad_input_is_named(pipe, call, error, message):
    with pytest.raises(error, match=message):
        call(pipe)
