# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-parsing`, and transformers' own `image-segmentation`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_parsing_hulk import HulkParsingImageProcessor
from hulk_hf.modeling.label_schemes_hulk import ATR_LABELS, translate_labels
from hulk_hf.modeling.labels_parsing_hulk import CIHP_LABELS
from hulk_hf.modeling.modeling_parsing_hulk import HulkForHumanParsing
from hulk_hf.modeling.pipeline_parsing_hulk import HumanParsingPipeline
from hulk_hf.modeling.tasks_hulk import HulkTask

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
OTHER = IMAGE[::-1].copy()
BOXES = [[10.0, 5.0, 30.0, 50.0], [-6.5, 20.2, 40.0, 60.0], [35.0, 10.0, 25.0, 30.0]]
PERSON = HulkTask("parsing-person", "parsing", CIHP_LABELS, image_size=(48, 48))
FEW = HulkTask("parsing-few", "parsing", ("background", "left arm", "right arm", "hat"), image_size=(32, 48))


@pytest.fixture(scope="module")
def model() -> HulkForHumanParsing:
    """Random weights so large that every place of a picture shows another part."""
    torch.manual_seed(1)
    side = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    config = HulkConfig(
        vision_config={"hidden_size": 32, **side},
        decoder_config={"hidden_size": 16, **side},
        text_feature_size=8,
        tasks=[PERSON, FEW],
    )
    model = HulkForHumanParsing(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn_like(parameter) * 1.5 / parameter[0].numel() ** 0.5)
            elif "norm" not in name:
                parameter.copy_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture(scope="module")
def processor() -> HulkParsingImageProcessor:
    return HulkParsingImageProcessor.from_task(PERSON)


@pytest.fixture(scope="module")
def pipe(model, processor) -> HumanParsingPipeline:
    return HumanParsingPipeline(model=model, image_processor=processor)


@pytest.fixture(scope="module")
def folder(model, processor, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("parsing")
    model.save_pretrained(place)
    processor.save_pretrained(place)
    return place


def assert_same(ours: list[dict], expected: list[dict]) -> None:
    assert len(ours) == len(expected)
    for one, other in zip(ours, expected, strict=True):
        assert (one["box"], one["score"], one["part_box"]) == (other["box"], other["score"], other["part_box"])
        differ = np.array(one["part_map"]) != np.array(other["part_map"])
        assert differ.mean() < 0.005  # two parts that are equally likely but for rounding


# Results ------------------------------------------------------------------------------------------------------------


def test_result(pipe):
    persons = pipe(IMAGE, boxes=BOXES)
    keys = {"box", "score", "part_map", "part_box", "labels", "label_ids", "areas"}
    assert [set(person) for person in persons] == [keys] * 3
    person = persons[1]
    assert person["box"] == {"xmin": -6.5, "ymin": 20.2, "xmax": 33.5, "ymax": 80.2} and person["score"] == 1.0
    assert person["part_box"] == {"xmin": 0, "ymin": 20, "xmax": 34, "ymax": 60}
    assert person["part_map"].mode == "L" and person["part_map"].size == (34, 40)
    parts = np.array(person["part_map"])
    assert person["label_ids"] == [label for label in np.unique(parts).tolist() if label]
    assert person["labels"] == [CIHP_LABELS[label] for label in person["label_ids"]] and len(person["labels"]) > 2
    assert person["areas"] == [int((parts == label).sum()) for label in person["label_ids"]]
    assert all(type(value) is int for value in [*person["areas"], *person["label_ids"], *person["part_box"].values()])


@pytest.mark.parametrize("flip", [False, True])
def test_result_equals_processor_and_model_by_hand(pipe, model, processor, flip):
    inputs = processor(IMAGE, boxes=BOXES, return_tensors="pt")
    with torch.no_grad():
        outputs = model(**inputs)
        flipped = model(processor.flip_pixel_values(inputs["pixel_values"])) if flip else None
    sizes = [(50, 30), (40, 34), (30, 25)]
    expected = processor.post_process_semantic_segmentation(outputs, sizes, outputs_flipped=flipped)
    for person, parts in zip(pipe(IMAGE, boxes=BOXES, flip_test=flip), expected, strict=True):
        assert (np.array(person["part_map"]) != parts.numpy()).mean() < 0.005
    if flip:
        plain = pipe(IMAGE, boxes=BOXES)
        assert any(
            one["areas"] != other["areas"]
            for one, other in zip(plain, pipe(IMAGE, boxes=BOXES, flip_test=True), strict=True)
        )


def test_whole_picture_and_boxes_without_pixels(pipe):
    person = pipe(IMAGE)[0]
    assert person["part_box"] == {"xmin": 0, "ymin": 0, "xmax": 80, "ymax": 60}
    assert person["part_map"].size == (80, 60)
    outside = pipe(IMAGE, boxes=[[200, 10, 30, 40], [0, 0, 80, 60]])
    assert outside[0]["part_box"] == {"xmin": 80, "ymin": 10, "xmax": 80, "ymax": 50}
    assert outside[0]["part_map"].size == (0, 40) and outside[0]["labels"] == outside[0]["areas"] == []
    assert_same(outside[1:], [person])


def test_other_label_schemes(pipe):
    persons, translated = pipe(IMAGE, boxes=BOXES), pipe(IMAGE, boxes=BOXES, label_scheme="atr")
    for one, other in zip(persons, translated, strict=True):
        expected = translate_labels(np.array(one["part_map"]), "cihp", "atr")
        np.testing.assert_array_equal(np.array(other["part_map"]), expected)
        assert other["labels"] == [ATR_LABELS[label] for label in other["label_ids"]]
        assert "background" not in other["labels"] and sum(other["areas"]) == (expected > 0).sum()
    assert_same(pipe(IMAGE, boxes=BOXES, label_scheme="cihp"), persons)
    with pytest.raises(ValueError, match=r"`label_scheme` must be one of \['lip', 'cihp', 'atr'\], got 'coco'"):
        pipe(IMAGE, label_scheme="coco")
    with pytest.raises(ValueError, match="`label_scheme` must be None for task 'parsing-few'"):
        pipe(IMAGE, label_scheme="atr", task="parsing-few")


def test_task_chooses_among_the_tasks_of_the_checkpoint(pipe):
    person = pipe(IMAGE, task="parsing-few")[0]
    assert set(person["labels"]) <= {"left arm", "right arm", "hat"} and max(person["label_ids"]) < 4


# Inputs and batches -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 8])
def test_lists_generators_and_ragged_batches(pipe, batch_size):
    images, boxes = [IMAGE, IMAGE, OTHER, OTHER], [BOXES, [], None, BOXES[:1]]
    expected = [pipe(image, boxes=part, batch_size=2) for image, part in zip(images, boxes, strict=True)]
    results = pipe(images, boxes=boxes, batch_size=batch_size)
    assert [len(persons) for persons in results] == [3, 0, 1, 1]
    items = ({"image": image, "boxes": part} for image, part in zip(images, boxes, strict=True))
    lazy = pipe(items, batch_size=batch_size)
    assert not isinstance(lazy, list)
    for found in (results, list(lazy)):
        for ours, other in zip(found, expected, strict=True):
            assert_same(ours, other)


def test_kinds_of_one_picture(pipe, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "picture.png")
    expected = pipe(IMAGE, boxes=BOXES)
    for kind in (Image.fromarray(IMAGE), str(tmp_path / "picture.png"), torch.from_numpy(IMAGE).permute(2, 0, 1)):
        assert_same(pipe(kind, boxes=BOXES), expected)
    corners = [[x, y, x + width, y + height] for x, y, width, height in BOXES]
    assert_same(pipe(IMAGE, boxes=corners, box_format="xyxy"), expected)


def test_nobody(pipe):
    assert pipe(IMAGE, boxes=[]) == [] and pipe([]) == []
    assert pipe(IMAGE, detector=lambda image: []) == []


def test_detector_finds_the_persons(pipe):
    found = [{"box": {"xmin": 10, "ymin": 5, "xmax": 40, "ymax": 55}, "score": 0.8, "label": "person"}]
    persons = pipe(IMAGE, detector=lambda image: found)
    assert len(persons) == 1 and persons[0]["score"] == 0.8
    assert persons[0]["part_box"] == {"xmin": 10, "ymin": 5, "xmax": 40, "ymax": 55}


def test_bad_inputs_are_named(pipe):
    with pytest.raises(ValueError, match=r"`boxes\[0\]` must have finite coordinates and a positive width"):
        pipe(IMAGE, boxes=[[0, 0, -5, 5]])
    with pytest.raises(TypeError, match="`inputs` must be a picture"):
        pipe(3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models(folder, processor, dtype):
    model = HulkForHumanParsing.from_pretrained(folder, dtype=dtype).eval()
    persons = HumanParsingPipeline(model=model, image_processor=processor)(IMAGE, boxes=BOXES)
    assert all(person["part_map"].size > (0, 0) for person in persons)


# transformers' own pipeline -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2])
def test_stock_image_segmentation_gives_the_same_parts(folder, batch_size):
    pytest.importorskip("hulk_hf")
    model = HulkForHumanParsing.from_pretrained(folder)
    processor = HulkParsingImageProcessor.from_pretrained(folder)
    stock = transformers.pipeline("image-segmentation", model=str(folder))
    assert type(stock.model) is HulkForHumanParsing
    own = HumanParsingPipeline(model=model, image_processor=processor)
    pictures = [Image.fromarray(IMAGE), Image.fromarray(OTHER)]
    for ours, theirs in zip(own(pictures), stock(pictures, batch_size=batch_size), strict=True):
        parts = np.array(ours[0]["part_map"])
        assert {part["label"] for part in theirs} - {"background"} == set(ours[0]["labels"])
        for part in theirs:
            mask = np.array(part["mask"]) > 0
            assert ((parts == CIHP_LABELS.index(part["label"])) != mask).mean() < 0.005
