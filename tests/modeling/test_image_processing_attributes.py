# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The processor of attribute tasks: crops, labels, results, settings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from hulk_hf.modeling.attribute_labels_hulk import attribute_rows
from hulk_hf.modeling.image_processing_attributes_hulk import HulkAttributesImageProcessor
from hulk_hf.modeling.loss_attributes_hulk import attributes_loss
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
BOXES = [[10.3, 5.0, 20.4, 50.9], [-12.0, 20.0, 30.0, 90.0], [200.0, 10.0, 50.0, 100.0]]
PIXELS = {"do_rescale": False, "do_normalize": False, "return_tensors": "pt"}
TINY = HulkTask(
    "attributes-tiny",
    "attributes",
    ("one: hat", "one: bag", "two: hat"),
    image_size=(32, 16),
    label_spaces={"one": (0, 2), "two": (2, 3)},
)


@pytest.fixture
def processor() -> HulkAttributesImageProcessor:
    return HulkAttributesImageProcessor.from_task(TINY)


def resized(crop: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(crop).resize((16, 32), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


# Pictures -----------------------------------------------------------------------------------------------------------


def test_the_whole_picture_is_resized_by_pillow(processor):
    pixels = processor(IMAGE, **PIXELS)["pixel_values"]
    assert pixels.dtype == torch.uint8 and np.array_equal(pixels[0].numpy(), resized(IMAGE))


def test_boxes_are_cut_in_whole_pixels_and_a_box_outside_is_black(processor):
    pixels = processor(IMAGE, boxes=BOXES, **PIXELS)["pixel_values"].numpy()
    assert np.array_equal(pixels[0], resized(IMAGE[5:56, 10:31].copy()))
    assert np.array_equal(pixels[1], resized(IMAGE[20:60, 0:18].copy()))
    assert pixels[2].max() == 0


def test_normalisation_is_that_of_imagenet(processor):
    pixels = processor(np.full((9, 9, 3), 128, dtype=np.uint8), return_tensors="pt")["pixel_values"]
    expected = (128 / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(pixels[0, :, 3, 4], expected, atol=1e-6)


def test_lists_ragged_and_empty(processor):
    pictures = [IMAGE, Image.fromarray(IMAGE[:, ::-1].copy()), torch.from_numpy(IMAGE).permute(2, 0, 1)]
    pixels = processor(pictures, boxes=[BOXES[:2], [], None], **PIXELS)["pixel_values"]
    assert pixels.shape == (3, 3, 32, 16) and np.array_equal(pixels[2].numpy(), resized(IMAGE))
    assert processor(IMAGE, boxes=[], return_tensors="pt")["pixel_values"].shape == (0, 3, 32, 16)


# Labels -------------------------------------------------------------------------------------------------------------


def test_labels_by_name_by_value_and_unknown(processor):
    batch = processor(
        [IMAGE, IMAGE],
        boxes=[BOXES, BOXES[:1]],
        attributes=[[{"one: bag": 1, "two: hat": False}, [1, 0, 2], None], None],
        return_tensors="pt",
    )
    assert batch["labels"].tolist() == [[-1, 1, 0], [1, 0, -1], [-1, -1, -1], [-1, -1, -1]]
    assert batch["labels"].dtype == torch.float32


def test_labels_of_one_label_space_lie_in_its_columns(processor):
    one = processor(IMAGE, attributes={"hat": 1, "one: bag": -1}, label_space="one", return_tensors="pt")
    assert one["labels"].tolist() == [[1, -1, -1]]
    each = processor(
        [IMAGE, IMAGE], attributes=[[[0, 1]], [np.array([0.25])]], label_space=["one", "two"], return_tensors="pt"
    )
    assert each["labels"].tolist() == [[0, 1, -1], [-1, -1, 0.25]]


def test_merged_rows_of_the_joint_task():
    """168 columns, of which PA-100K has 54 to 79 (spec 5.4)."""
    task = KNOWN_TASKS["attributes-joint"]
    values = torch.arange(26) % 2
    row = attribute_rows(values, 1, task.labels, task.label_spaces, "pa100k")
    assert row.shape == (1, 168) and torch.equal(row[0, 54:80], values.float())
    assert (row[0, :54] == -1).all() and (row[0, 80:] == -1).all()
    named = attribute_rows({"pa100k: with a hat": 1}, 1, task.labels, task.label_spaces)
    assert named[0, 54] == 1 and named.sum() == 1 - 167


def test_labels_are_what_the_loss_takes(processor):
    labels = processor(IMAGE, attributes={"one: hat": 1}, return_tensors="pt")["labels"]
    logits = torch.tensor([[0.0, 5.0, -5.0]])
    loss = attributes_loss(logits, labels, TINY)["attributes"]
    # ln 2 * exp(1 - 0.5) * (1 - 0.5)^2, from the one label that is known
    assert loss == pytest.approx(0.6931472 * 1.6487213 * 0.25, rel=1e-5)


# Results ------------------------------------------------------------------------------------------------------------

LOGITS = torch.tensor([[0.0, -2.0, 3.0], [-0.8, -0.9, -3.0]])  # scores .5 .12 .95 and .31 .29 .05


def test_results_by_hand(processor):
    first, second = processor.post_process_human_attributes({"logits": LOGITS})
    assert first["labels"].tolist() == [0, 2] and second["labels"].tolist() == [0]
    np.testing.assert_allclose(first["scores"], [0.5, 0.9525741], atol=1e-6)
    everything = processor.post_process_human_attributes({"logits": LOGITS}, threshold=None)
    assert everything[1]["labels"].tolist() == [0, 1, 2] and everything[1]["scores"].shape == (3,)
    space = processor.post_process_human_attributes({"logits": LOGITS}, None, label_space="two")
    assert space[0]["labels"].tolist() == [2] and space[1]["scores"][0] == pytest.approx(0.0474259, abs=1e-6)


def test_results_with_boxes_are_grouped_by_picture(processor):
    groups = processor.post_process_human_attributes({"logits": LOGITS}, boxes=[[], [[1, 2, 3, 4]], [[0, 0, 9, 9]]])
    assert [len(group) for group in groups] == [0, 1, 1]
    assert groups[1][0]["bbox"].tolist() == [1, 2, 4, 6] and groups[2][0]["labels"].tolist() == [0]
    scaled = processor.post_process_human_attributes(
        {"logits": LOGITS}, boxes=[[[0, 0, 0.5, 0.5]], [[0.5, 0, 0.5, 1]]], target_sizes=[[60, 80], [10, 20]]
    )
    assert [group[0]["bbox"].tolist() for group in scaled] == [[0, 0, 40, 30], [10, 0, 20, 10]]
    assert processor.post_process_human_attributes({"logits": LOGITS[:0]}, boxes=[[]]) == [[]]
    assert processor.post_process_human_attributes({"logits": LOGITS[:0]}) == []


# Settings and bad input ---------------------------------------------------------------------------------------------


def test_settings_come_from_the_task_and_survive_saving(processor, tmp_path):
    assert processor.size == {"height": 32, "width": 16} and processor.task == "attributes-tiny"
    processor.save_pretrained(tmp_path)
    loaded = HulkAttributesImageProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict() == processor.to_dict()
    labels = {"attributes": [0], "label_space": "two"}
    ours, theirs = (each(IMAGE, return_tensors="pt", **labels) for each in (processor, loaded))
    assert torch.equal(ours["pixel_values"], theirs["pixel_values"]) and torch.equal(ours["labels"], theirs["labels"])
    assert HulkAttributesImageProcessor().label_spaces["hardhc"] == [154, 168]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: p(IMAGE, attributes={"one: tie": 1}), ValueError, "`attributes\\[0\\]`: no label 'one: tie'"),
        (lambda p: p(IMAGE, attributes={"hat": 1}), ValueError, "no label 'hat'"),
        (lambda p: p(IMAGE, attributes=[[1, 0]]), ValueError, "3 of them, got shape \\(2,\\); `label_space` may name"),
        (lambda p: p(IMAGE, attributes=[[1, 0, 0]], label_space="one"), ValueError, "label of 'one', 2 of them"),
        (lambda p: p(IMAGE, attributes=[[1, 0, 3]]), ValueError, "got 3 for label 2"),
        (lambda p: p(IMAGE, attributes=[[1, 0, float("nan")]]), ValueError, "got nan for label 2"),
        (lambda p: p(IMAGE, attributes={"one: hat": "yes"}), ValueError, "`attributes\\[0\\]\\['one: hat'\\]`"),
        (lambda p: p(IMAGE, boxes=BOXES, attributes=[{}]), ValueError, "one entry per person, 3 of them, got 1"),
        (lambda p: p([IMAGE], attributes=[]), ValueError, "`attributes` must be a list with one entry per picture"),
        (lambda p: p(IMAGE, attributes={}, label_space="three"), ValueError, "`label_space` must be one of"),
        (lambda p: p(IMAGE, attributes={}, label_space=["one", "two"]), ValueError, "got 2 for 1 pictures"),
        (lambda p: p(IMAGE, boxes=[[0, 0, 0, 5]]), ValueError, "`boxes\\[0\\]` must have finite"),
        (lambda p: p("nowhere.png"), ValueError, "`images`"),
        (lambda p: p(3), TypeError, "`images`"),
        (lambda p: p(IMAGE, resample=3), ValueError, "`resample` must be bilinear"),
        (lambda p: p.post_process_human_attributes({"logits": LOGITS[:, :2]}), ValueError, "`logits` must have shape"),
        (lambda p: p.post_process_human_attributes({"logits": LOGITS / 0}), ValueError, "`logits` must be finite"),
        (lambda p: p.post_process_human_attributes({}), ValueError, "`outputs`"),
        (lambda p: p.post_process_human_attributes({"logits": LOGITS}, label_space="x"), ValueError, "`label_space`"),
        (
            lambda p: p.post_process_human_attributes({"logits": LOGITS}, boxes=[[1, 2, 3, 4]]),
            ValueError,
            "for 2 rows",
        ),
        (lambda p: p.post_process_human_attributes({"logits": LOGITS}, target_sizes=[[4, 4]]), ValueError, "`boxes`"),
        (lambda p: p.from_task(KNOWN_TASKS["pose-coco"]), ValueError, "`task` must be of family 'attributes'"),
    ],
)
def test_bad_input_is_named(processor, call, error, message):
    with pytest.raises(error, match=message):
        call(processor)
