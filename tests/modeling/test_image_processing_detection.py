# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Pictures and annotations before the detection network, boxes after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import supervision as sv
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hulk_hf.modeling.boxes_hulk import centers_to_corners, generalized_iou
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.detection_geometry_hulk import (
    BoxTargets,
    annotation_targets,
    crop_targets,
    flip_targets,
    non_maximum_suppression,
    relative_centers,
    resize_targets,
    resized_size,
)
from hulk_hf.modeling.image_processing_detection_hulk import HulkDetectionImageProcessor
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection
from hulk_hf.modeling.pose_geometry_hulk import xywh_to_xyxy, xyxy_to_xywh
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
SMALL = HulkTask("detection-small", "detection", ("person", "car"), image_size=(24, 32), anchors_per_side=3)


@pytest.fixture(scope="module")
def processor() -> HulkDetectionImageProcessor:
    return HulkDetectionImageProcessor.from_task(SMALL)


# Sizes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image_size", "expected"),
    [
        ((480, 640), (800, 1066)),  # 800 * 640 / 480 = 1066.7 is cut, not rounded
        ((640, 480), (1066, 800)),
        ((800, 1000), (800, 1000)),
        ((800, 800), (800, 800)),
        ((400, 1000), (533, 1332)),  # round(1333 * 400 / 1000) = 533
        ((104, 35), (1334, 449)),  # one more than the limit, as in the official code
        ((1, 1), (800, 800)),
        ((1, 5000), (1, 1333)),
        ((5000, 1), (1333, 1)),
    ],
)
def test_size_rule(image_size, expected):
    assert resized_size(image_size, 800, 1333) == expected


def test_size_rule_rounds_half_to_even():
    assert resized_size((3, 6), 100, 5) == (2, 4)  # round(2.5) = 2
    assert resized_size((7, 10), 100, 5) == (4, 5)  # round(3.5) = 4


def test_without_a_limit_only_the_short_side_counts():
    assert resized_size((100, 1000), 50) == resized_size((100, 1000), 50, 0) == (50, 500)


@pytest.mark.parametrize(
    ("image_size", "edges"),
    [((1344, 1344), (800, 1333)), ((192, 256), (192, 256)), ((256, 192), (192, 256)), ((96, 96), (57, 95))],
)
def test_edges_follow_from_the_task(image_size, edges):
    task = HulkTask("detection-other", "detection", ("person",), image_size=image_size)
    size = HulkDetectionImageProcessor.from_task(task).size
    assert (size["shortest_edge"], size["longest_edge"]) == edges


def test_released_tasks_have_the_default_settings():
    for name in ("detection-crowdhuman", "detection-joint"):
        assert dict(HulkDetectionImageProcessor.from_task(KNOWN_TASKS[name]).size) == dict(
            HulkDetectionImageProcessor().size
        )


# Before the network -------------------------------------------------------------------------------------------------


def test_pixels_are_those_of_pillow_normalised(processor):
    raw = processor(PICTURE, do_rescale=False, do_normalize=False, return_tensors="pt")["pixel_values"]
    expected = np.array(Image.fromarray(PICTURE).resize((32, 24), Image.Resampling.BILINEAR))
    assert raw.dtype == torch.uint8
    np.testing.assert_array_equal(raw[0].permute(1, 2, 0).numpy(), expected)
    inputs = processor(PICTURE, return_tensors="pt")
    assert set(inputs) == {"pixel_values"}
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    np.testing.assert_allclose(inputs["pixel_values"][0].permute(1, 2, 0).numpy(), (expected - mean) / std, atol=1e-6)


def test_different_sizes_are_refused_unless_padding_is_asked_for(processor):
    pictures = [PICTURE, PICTURE[:, :48]]
    with pytest.raises(ValueError, match=r"`images` must have one size .*\(24, 24\), \(24, 32\).*do_pad=True"):
        processor(pictures, return_tensors="pt")
    batch = processor(pictures, do_pad=True, return_tensors="pt")
    assert batch["pixel_values"].shape == (2, 3, 24, 32)
    assert batch["pixel_mask"].sum(dim=(1, 2)).tolist() == [24 * 32, 24 * 24]
    assert (batch["pixel_values"][1, :, :, 24:] == 0).all()
    alone = processor(PICTURE[:, :48], return_tensors="pt")["pixel_values"][0]
    assert torch.equal(batch["pixel_values"][1, :, :, :24], alone)
    arrays = processor(pictures)["pixel_values"]  # without tensors nothing is one batch
    assert [array.shape for array in arrays] == [(3, 24, 32), (3, 24, 24)]
    assert torch.equal(torch.from_numpy(arrays[1]), alone)


def test_equal_sizes_share_a_batch(processor):
    both = processor([PICTURE, PICTURE[::-1].copy()], return_tensors="pt")["pixel_values"]
    assert both.shape == (2, 3, 24, 32)
    assert torch.equal(both[:1], processor(PICTURE, return_tensors="pt")["pixel_values"])


def test_settings_of_a_call(processor):
    assert processor(PICTURE, do_resize=False, return_tensors="pt")["pixel_values"].shape == (1, 3, 48, 64)
    assert processor(PICTURE, size={"shortest_edge": 12}, return_tensors="pt")["pixel_values"].shape == (1, 3, 12, 16)
    for wrong, message in (
        ({"size": {"height": 24, "width": 32}}, "`size` must be {'shortest_edge', 'longest_edge'}"),
        ({"resample": Image.Resampling.BICUBIC}, "`resample` must be bilinear"),
        ({"data_format": "channels_last"}, "`data_format` must be .channels_first."),
        ({"pad_size": {"height": 99, "width": 99}}, "`pad_size` must be None"),
    ):
        with pytest.raises(ValueError, match=message):
            processor(PICTURE, return_tensors="pt", **wrong)
    with pytest.raises(ValueError, match="`images` must hold at least one picture"):
        processor([], return_tensors="pt")


def test_survives_saving(processor, tmp_path):
    HulkDetectionImageProcessor.from_task(SMALL, first_category_id=1, do_pad=True).save_pretrained(tmp_path)
    loaded = HulkDetectionImageProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict()["image_processor_type"] == "HulkDetectionImageProcessor"
    assert (loaded.first_category_id, loaded.do_pad, loaded.task, loaded.label_names) == (
        1,
        True,
        SMALL.name,
        ["person", "car"],
    )
    assert (loaded.size["shortest_edge"], loaded.size["longest_edge"]) == (24, 32)


# Annotations --------------------------------------------------------------------------------------------------------


def annotation(bbox, category_id=0, **fields) -> dict:
    return {"bbox": bbox, "category_id": category_id, **fields}


def test_annotations_become_labels(processor):
    given = {
        "image_id": 7,
        "annotations": [
            annotation([8, 6, 16, 12], area=100.0),
            annotation([-10, 40, 20, 20], 1, iscrowd=1),  # clipped to x 0..10, y 40..48
            annotation([70, 0, 10, 10]),  # outside
            annotation([5, 5, 0, 10]),  # no width
            annotation([0, 0, 64, 48], 2),  # no label of the task
        ],
    }
    labels = processor(PICTURE, annotations=given, return_tensors="pt")["labels"]
    assert len(labels) == 1
    labels = labels[0]
    expected = [[0.25, 0.25, 0.25, 0.25], [5 / 64, 44 / 48, 10 / 64, 8 / 48], [0.5, 0.5, 1, 1]]
    torch.testing.assert_close(labels["boxes"], torch.tensor(expected))
    assert labels["class_labels"].tolist() == [0, 1, 2]
    assert labels["iscrowd"].tolist() == [False, True, True]
    assert labels["area"].tolist() == [25.0, 100.0, 768.0]  # a quarter; width times height where none is given
    assert labels["orig_size"].tolist() == [48, 64] and labels["size"].tolist() == [24, 32]
    assert labels["image_id"].tolist() == [7]


def test_labels_train_the_network(processor):
    torch.manual_seed(0)
    side = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = HulkConfig(
        vision_config={"hidden_size": 16, **side},
        decoder_config={"hidden_size": 16, **side},
        tasks=[replace(SMALL, image_size=(32, 48))],  # whole patches for the position table
    )
    model = HulkForPedestrianDetection(config)
    pictures, boxes = [PICTURE, PICTURE[:, :48]], [[annotation([8, 6, 16, 12])], []]
    batch = processor(pictures, annotations=boxes, do_pad=True, return_tensors="pt")
    outputs = model(**batch)
    outputs.loss.backward()
    assert torch.isfinite(outputs.loss)


def test_categories_may_begin_at_one(processor):
    given = [annotation([8, 6, 16, 12], 1), annotation([8, 6, 16, 12], 0)]
    labels = processor(PICTURE, annotations=given, first_category_id=1, return_tensors="pt")["labels"][0]
    assert labels["class_labels"].tolist() == [0, -1] and labels["iscrowd"].tolist() == [False, True]


def test_forms_of_annotations(processor):
    one = [annotation([8, 6, 16, 12])]
    expected = processor(PICTURE, annotations=one, return_tensors="pt")["labels"][0]["boxes"]
    for form in ([one], {"annotations": one}, [{"annotations": one}]):
        found = processor(PICTURE, annotations=form, return_tensors="pt")["labels"]
        assert len(found) == 1 and torch.equal(found[0]["boxes"], expected)
    corners = [annotation([8, 6, 24, 18])]
    found = processor(PICTURE, annotations=corners, box_format="xyxy", return_tensors="pt")["labels"][0]
    assert torch.equal(found["boxes"], expected) and found["area"].tolist() == [48.0]
    nobody = processor([PICTURE, PICTURE], annotations=[[], one], return_tensors="pt")["labels"]
    assert [len(part["boxes"]) for part in nobody] == [0, 1] and nobody[0]["boxes"].shape == (0, 4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([{"bbox": [0, 0, 1, 1]}], r"`annotations\[0\]` must have 'bbox' and 'category_id', got \['bbox'\]"),
        ([annotation([0, 0, 1])], r"`annotations\[0\]\['bbox'\]` must be 4 finite numbers"),
        ([annotation([0, 0, 1, float("nan")])], r"`annotations\[0\]\['bbox'\]` must be 4 finite numbers"),
        (3, "`annotations` must be"),
        ([[], []], "`annotations` must be"),
    ],
)
def test_bad_annotations_are_named(processor, given, message):
    with pytest.raises(ValueError, match=message):
        processor(PICTURE, annotations=given, return_tensors="pt")


def test_one_entry_per_picture(processor):
    with pytest.raises(ValueError, match="`annotations` must be a list with one entry per picture, got 1 for 2"):
        processor([PICTURE, PICTURE], annotations=[[]], return_tensors="pt")


# Geometry -----------------------------------------------------------------------------------------------------------

sides = st.integers(1, 3000)
numbers = st.floats(0, 1, width=32)


@st.composite
def pictures_with_boxes(draw) -> tuple[tuple[int, int], BoxTargets]:
    """A picture of any size and boxes in it, also at its borders and along its whole sides."""
    height, width = draw(sides), draw(sides)
    ends = draw(st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=5))
    boxes = torch.tensor(ends, dtype=torch.float32).reshape(-1, 2, 2).sort(dim=1).values
    boxes = (boxes * boxes.new_tensor([width, height])).reshape(-1, 4)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    classes = torch.zeros(len(boxes), dtype=torch.long)
    return (height, width), BoxTargets(boxes, classes, areas, classes.bool())


def close(ours: torch.Tensor, expected: torch.Tensor, scale: float) -> None:
    torch.testing.assert_close(ours, expected, atol=4e-7 * max(scale, 1.0), rtol=4e-6)


@settings(deadline=None, max_examples=60)
@given(pictures_with_boxes(), sides, sides)
def test_resize_and_back(given, height, width):
    image_size, targets = given
    there = resize_targets(targets, image_size, (height, width))
    assert (there.boxes <= torch.tensor([width, height, width, height]) * (1 + 1e-6)).all()
    back = resize_targets(there, (height, width), image_size)
    close(back.boxes, targets.boxes, max(image_size))
    close(back.areas, targets.areas, max(image_size) ** 2)
    close(relative_centers(there.boxes, (height, width)), relative_centers(targets.boxes, image_size), 1.0)


@settings(deadline=None, max_examples=60)
@given(pictures_with_boxes())
def test_flip_and_back(given):
    (height, width), targets = given
    there = flip_targets(targets, width)
    assert (there.boxes[:, 2:] >= there.boxes[:, :2]).all()
    close(there.boxes[:, 2] - there.boxes[:, 0], targets.boxes[:, 2] - targets.boxes[:, 0], width)
    close(flip_targets(there, width).boxes, targets.boxes, width)


@settings(deadline=None, max_examples=60)
@given(pictures_with_boxes())
def test_xywh_and_xyxy_and_centers(given):
    (height, width), targets = given
    close(xywh_to_xyxy(xyxy_to_xywh(targets.boxes)), targets.boxes, max(height, width))
    units = torch.tensor([width, height, width, height])
    close(centers_to_corners(relative_centers(targets.boxes, (height, width))) * units, targets.boxes, max(units))
    xywh = xyxy_to_xywh(targets.boxes.double())
    again = annotation_targets(xywh, targets.classes, targets.areas, targets.ignored, (height, width))
    there = (targets.boxes[:, 2:] > targets.boxes[:, :2]).all(dim=1)
    close(again.boxes, targets.boxes[there], max(height, width))


@settings(deadline=None, max_examples=60)
@given(pictures_with_boxes(), numbers, numbers, st.integers(1, 3000), st.integers(1, 3000))
def test_crop_and_back(given, down, across, height, width):
    image_size, targets = given
    top, left = int(down * image_size[0]), int(across * image_size[1])
    part = crop_targets(targets, (top, left, height, width))
    assert (part.boxes >= 0).all() and (part.boxes <= torch.tensor([width, height, width, height])).all()
    assert (part.areas > 0).all()
    # Back in the whole picture a box is what it was, but for what the crop cut off.
    back = part.boxes + torch.tensor([left, top, left, top])
    low, high = torch.tensor([left, top]), torch.tensor([left + width, top + height])
    corners = torch.cat([targets.boxes[:, :2].maximum(low), targets.boxes[:, 2:].minimum(high)], dim=1)
    inside = corners[(corners[:, 2:] - corners[:, :2] > 1e-3).all(dim=1)]
    thick = part.boxes[:, 2:] - part.boxes[:, :2] > 1e-3
    close(back[thick.all(dim=1)], inside, max(image_size) + 3000)


def test_crop_leaves_out_what_is_outside_and_measures_anew():
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 20, 40, 30], [30, 0, 50, 60]])
    targets = BoxTargets(boxes, torch.arange(3), torch.full((3,), 7.0), torch.tensor([False, True, False]))
    part = crop_targets(targets, (5, 10, 20, 25))  # x 10..35, y 5..25
    assert part.boxes.tolist() == [[10.0, 15.0, 25.0, 20.0], [20.0, 0.0, 25.0, 20.0]]
    assert part.areas.tolist() == [75.0, 100.0]
    assert part.classes.tolist() == [1, 2] and part.ignored.tolist() == [True, False]


# After the network --------------------------------------------------------------------------------------------------


def outputs(scores, boxes) -> dict[str, torch.Tensor]:
    """What the network would say: one row per query; `boxes` as (center x, center y, width, height) shares."""
    return {"logits": torch.tensor(scores).logit()[None], "pred_boxes": torch.tensor(boxes)[None]}


def test_post_processing_by_hand(processor):
    given = outputs(
        [[0.2, 0.1], [0.3, 0.9], [0.7, 0.6], [0.5, 0.4]],
        [[0.5, 0.5, 1, 1], [0.25, 0.5, 0.5, 1.2], [0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1]],
    )
    found = processor.post_process_object_detection(given, target_sizes=[(100, 200)])
    assert len(found) == 1
    found = found[0]
    torch.testing.assert_close(found["scores"], torch.tensor([0.9, 0.7]))
    assert found["labels"].tolist() == [1, 0]
    torch.testing.assert_close(found["boxes"], torch.tensor([[0.0, -10, 100, 110], [50, 25, 150, 75]]))
    everything = processor.post_process_object_detection(given, threshold=None)[0]
    torch.testing.assert_close(everything["scores"], torch.tensor([0.9, 0.7, 0.5, 0.2]))
    torch.testing.assert_close(everything["boxes"][1], torch.tensor([0.25, 0.25, 0.75, 0.75]))
    tensor_sizes = processor.post_process_object_detection(given, 0.5, torch.tensor([[100, 200]]))[0]
    assert torch.equal(tensor_sizes["boxes"], found["boxes"])
    assert len(processor.post_process_object_detection(given, 0.95)[0]["scores"]) == 0


def test_supervision_takes_the_result(processor):
    given = outputs([[0.3, 0.9], [0.7, 0.6]], [[0.25, 0.5, 0.5, 1.0], [0.5, 0.5, 0.5, 0.5]])
    found = processor.post_process_object_detection(given, target_sizes=[(100, 200)])[0]
    detections = sv.Detections.from_transformers(found, id2label={0: "person", 1: "car"})
    np.testing.assert_allclose(detections.xyxy, [[0, 0, 100, 100], [50, 25, 150, 75]], atol=1e-4)
    assert detections.class_id.tolist() == [1, 0] and detections.data["class_name"].tolist() == ["car", "person"]
    nobody = processor.post_process_object_detection(given, 0.99, [(100, 200)])[0]
    assert len(sv.Detections.from_transformers(nobody)) == 0


def test_suppression_keeps_the_better_box_of_a_label(processor):
    boxes = [[0.5, 0.5, 0.4, 0.4], [0.52, 0.5, 0.4, 0.4], [0.5, 0.5, 0.4, 0.4], [0.1, 0.1, 0.1, 0.1]]
    given = outputs([[0.6, 0.1], [0.8, 0.1], [0.1, 0.7], [0.9, 0.1]], boxes)
    assert len(processor.post_process_object_detection(given)[0]["scores"]) == 4
    kept = processor.post_process_object_detection(given, nms=0.5)[0]
    torch.testing.assert_close(kept["scores"], torch.tensor([0.9, 0.8, 0.7]))
    assert kept["labels"].tolist() == [0, 0, 1]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(*[st.floats(0, 50)] * 4, st.floats(0, 1)), max_size=12), st.floats(0.05, 0.95))
def test_suppression_against_the_definition(rows, threshold):
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
    boxes = torch.cat([table[:, :2], table[:, :2] + table[:, 2:4] + 1], dim=1)
    kept = non_maximum_suppression(boxes, table[:, 4], threshold).tolist()
    expected: list[int] = []
    for row in table[:, 4].argsort(descending=True, stable=True).tolist():
        overlaps = [_iou(boxes[row], boxes[other]) > threshold for other in expected]
        if not any(overlaps):
            expected.append(row)
    assert kept == expected


def _iou(one: torch.Tensor, other: torch.Tensor) -> float:
    low, high = torch.maximum(one[:2], other[:2]), torch.minimum(one[2:], other[2:])
    shared = (high - low).clamp(min=0).prod()
    union = (one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared
    assert generalized_iou(one, other) <= shared / union + 1e-6
    return float(shared / union)


@pytest.mark.parametrize(
    ("given", "arguments", "message"),
    [
        ({"logits": torch.zeros(1, 3, 1), "pred_boxes": torch.zeros(1, 3, 4)}, {}, r"logits \(pictures, queries, 2\)"),
        ({"logits": torch.zeros(1, 3, 2)}, {}, "`outputs` must be a model output with `pred_boxes`"),
        (
            {"logits": torch.zeros(1, 3, 2) / 0, "pred_boxes": torch.zeros(1, 3, 4)},
            {},
            "`outputs` must be finite, got NaN",
        ),
        (outputs([[0.5, 0.5]], [[0.5] * 4]), {"target_sizes": [(1, 2), (3, 4)]}, "`target_sizes` must be one"),
        (outputs([[0.5, 0.5]], [[0.5] * 4]), {"nms": 3}, "`nms` must be an intersection over union"),
    ],
)
def test_bad_outputs_are_named(processor, given, arguments, message):
    with pytest.raises(ValueError, match=message):
        processor.post_process_object_detection(given, **arguments)
