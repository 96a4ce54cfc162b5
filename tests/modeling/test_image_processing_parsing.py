# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Pictures and label maps before the parsing network, parts after it."""

from __future__ import annotations

import numpy as np
import pytest
import supervision as sv
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_parsing_hulk import HulkParsingImageProcessor
from hulk_hf.modeling.modeling_parsing_hulk import HulkForHumanParsing
from hulk_hf.modeling.parsing_maps_hulk import resize_maps
from hulk_hf.modeling.resizing_hulk import resize_opencv_8bit
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
PIXELS = torch.from_numpy(PICTURE).permute(2, 0, 1)
LABELS = np.random.default_rng(1).integers(0, 5, (40, 60), dtype=np.uint8)
SMALL = HulkTask("parsing-small", "parsing", ("background", "left arm", "right arm", "hat"), image_size=(32, 48))


@pytest.fixture(scope="module")
def processor() -> HulkParsingImageProcessor:
    return HulkParsingImageProcessor.from_task(SMALL)


def raw(processor: HulkParsingImageProcessor, *arguments, **options) -> torch.Tensor:
    return processor(*arguments, do_rescale=False, do_normalize=False, return_tensors="pt", **options)["pixel_values"]


# Before the network -------------------------------------------------------------------------------------------------


def test_whole_picture(processor):
    assert torch.equal(raw(processor, PICTURE), resize_opencv_8bit(PIXELS, (32, 48))[None])
    inputs = processor(PICTURE, return_tensors="pt")
    assert set(inputs) == {"pixel_values"}
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    expected = (resize_opencv_8bit(PIXELS, (32, 48)) - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(inputs["pixel_values"][0], expected, atol=1e-6, rtol=0)


def test_boxes_are_whole_pixels_clipped_to_the_picture(processor):
    boxes = [[10.2, 5.9, 20.0, 10.0], [-5, 30, 20, 30], [100, 100, 5, 5]]
    crops = raw(processor, PICTURE, boxes=boxes)
    assert torch.equal(crops[0], resize_opencv_8bit(PIXELS[:, 5:16, 10:31], (32, 48)))
    assert torch.equal(crops[1], resize_opencv_8bit(PIXELS[:, 30:40, :15], (32, 48)))
    assert (crops[2] == 0).all()  # nothing of it is in the picture
    assert raw(processor, PICTURE, boxes=[]).shape == (0, 3, 32, 48)


def test_ids_of_the_data_set_follow_from_the_task():
    parts = HulkParsingImageProcessor.from_task(KNOWN_TASKS["parsing-h36m"])
    assert parts.label_ids[-1] == 58 and len(parts.label_ids) == 25
    assert parts.encode_segmentation_map(np.array([[46, 4]])).tolist() == [[20, 0]]
    assert HulkParsingImageProcessor.from_task(KNOWN_TASKS["parsing-cihp"]).label_ids is None


def test_label_maps(processor):
    labels = processor(PICTURE, segmentation_maps=LABELS, return_tensors="pt")["labels"]
    rows, columns = np.arange(32) * 40 // 32, np.arange(48) * 60 // 48
    expected = np.where(LABELS == 4, 0, LABELS)[rows[:, None], columns]  # 4 is no label
    assert labels.dtype == torch.int64 and labels.shape == (1, 32, 48)
    np.testing.assert_array_equal(labels[0].numpy(), expected)
    other = processor(PICTURE, segmentation_maps=LABELS, label_ids=[4, 3, 2, 1], return_tensors="pt")["labels"]
    assert torch.equal(
        other[0], torch.tensor([0, 3, 2, 1, 0])[torch.from_numpy(LABELS[rows[:, None], columns]).long()]
    )


def test_label_maps_are_cut_out_as_the_pictures_are(processor):
    boxes = [[10, 5, 24, 16], [-5, 30, 20, 30], [100, 100, 5, 5]]
    labels = processor(PICTURE, boxes, LABELS, return_tensors="pt")["labels"]
    alone = processor(PICTURE[5:21, 10:34], None, LABELS[5:21, 10:34], return_tensors="pt")["labels"]
    assert torch.equal(labels[0], alone[0]) and (labels[2] == 0).all()
    assert torch.equal(
        labels[1], processor(PICTURE[30:, :15], None, LABELS[30:, :15], return_tensors="pt")["labels"][0]
    )


def test_forms_of_label_maps(processor, tmp_path):
    boxes = [[10, 5, 24, 16], [0, 0, 30, 30]]
    Image.fromarray(LABELS).save(tmp_path / "map.png")
    expected = processor(PICTURE, boxes, LABELS, return_tensors="pt")["labels"]
    stack = np.stack([LABELS, LABELS])
    for form in (Image.fromarray(LABELS), [LABELS], stack, list(stack), stack.tolist(), tmp_path / "map.png"):
        assert torch.equal(processor(PICTURE, boxes, form, return_tensors="pt")["labels"], expected)
    other = LABELS[::-1].copy()
    each = processor(PICTURE, boxes, [LABELS, other], return_tensors="pt")["labels"]
    assert torch.equal(each[0], expected[0])
    assert torch.equal(each[1], processor(PICTURE, boxes, other, return_tensors="pt")["labels"][1])
    many = processor(
        [PICTURE] * 3, [boxes, [], None], [LABELS, LABELS, str(tmp_path / "map.png")], return_tensors="pt"
    )
    assert many["labels"].shape == (3, 32, 48) and torch.equal(many["labels"][:2], expected)
    assert torch.equal(many["labels"][2:], processor(PICTURE, None, LABELS, return_tensors="pt")["labels"])


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (LABELS[:20], r"`segmentation_maps` must have the size \(40, 60\) of the upright picture, got \(20, 60\)"),
        (np.stack([LABELS] * 3), "`segmentation_maps` must be one map, or one for each of 2 persons, got 3"),
        (LABELS / 2, "`segmentation_maps` must hold whole numbers"),
        (Image.fromarray(PICTURE), "`segmentation_maps` must be pictures of one channel"),
    ],
)
def test_bad_label_maps_are_named(processor, maps, message):
    with pytest.raises(ValueError, match=message):
        processor(PICTURE, [[0, 0, 9, 9], [1, 1, 9, 9]], maps, return_tensors="pt")


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"label_ids": [1, 2]}, "`label_ids` must be 4 different ids"),
        ({"label_ids": [1, 2, 2, 3]}, "`label_ids` must be 4 different ids"),
        ({"size": {"height": 30, "width": 48}}, "`size` must be multiples of 4"),
        ({"resample": Image.Resampling.NEAREST}, "`resample` must be bilinear"),
        ({"do_resize": False}, "`do_resize` must be True"),
    ],
)
def test_settings_without_meaning_are_refused(processor, settings_, message):
    with pytest.raises(ValueError, match=message):
        processor(PICTURE, return_tensors="pt", **settings_)


def test_survives_saving(tmp_path):
    task = KNOWN_TASKS["parsing-h36m"]
    HulkParsingImageProcessor.from_task(task).save_pretrained(tmp_path)
    loaded = HulkParsingImageProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict()["image_processor_type"] == "HulkParsingImageProcessor"
    assert loaded.task == task.name and loaded.label_names == list(task.labels) and loaded.label_ids[-1] == 58
    assert [tuple(pair) for pair in loaded.flip_pairs] == list(task.flip_pairs)


def test_labels_train_the_network(processor):
    side = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = HulkConfig(
        vision_config={"hidden_size": 16, **side},
        decoder_config={"hidden_size": 16, **side},
        text_feature_size=8,
        tasks=[SMALL],
    )
    batch = processor([PICTURE, PICTURE], segmentation_maps=[LABELS, LABELS], return_tensors="pt")
    loss = HulkForHumanParsing(config)(**batch, num_points=16).loss
    loss.backward()
    assert torch.isfinite(loss)


# After the network --------------------------------------------------------------------------------------------------


def made_outputs(seed: int = 0, count: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "logits": torch.randn(count, 4, 8, 12, generator=generator) * 3,
        "presence_logits": torch.randn(count, 4, generator=generator) * 2,
    }


def test_presence_decides_too(processor):
    outputs = {"logits": torch.zeros(1, 4, 8, 12), "presence_logits": torch.tensor([[-9.0, 0.0, 1.0, -9.0]])}
    outputs["logits"][:, 3] = 5.0  # its mask is everywhere, but the part cannot be seen
    assert (processor.post_process_semantic_segmentation(outputs)[0] == 2).all()
    outputs["presence_logits"][0, 3] = 9.0
    assert (processor.post_process_semantic_segmentation(outputs)[0] == 3).all()


def test_post_processing_by_the_steps_of_the_release(processor):
    outputs, sizes = made_outputs(), [(70, 33), (20, 45)]
    found = processor.post_process_semantic_segmentation(outputs, target_sizes=sizes)
    scored = processor.post_process_semantic_segmentation(outputs, sizes, return_segmentation_scores=True)
    likely = outputs["logits"].sigmoid() * outputs["presence_logits"].sigmoid()[..., None, None]
    for index, size in enumerate(sizes):
        expected = resize_maps(likely[index : index + 1], (32, 48), size)[0]
        assert found[index].shape == size and found[index].dtype == torch.int64
        assert torch.equal(found[index], expected.argmax(dim=0))
        assert torch.equal(scored[index].segmentation, expected.argmax(dim=0))
        torch.testing.assert_close(scored[index].segmentation_scores, expected)
    unsized = processor.post_process_semantic_segmentation(outputs)
    assert [tuple(one.shape) for one in unsized] == [(32, 48), (32, 48)]
    same = processor.post_process_semantic_segmentation(outputs, torch.tensor(sizes))
    assert all(torch.equal(one, other) for one, other in zip(same, found, strict=True))


def test_flip_test(processor):
    outputs, mirrored = made_outputs(), made_outputs(1)
    found = processor.post_process_semantic_segmentation(outputs, [(32, 48)] * 2, outputs_flipped=mirrored)
    likely, other = (
        part["logits"].sigmoid() * part["presence_logits"].sigmoid()[..., None, None] for part in (outputs, mirrored)
    )
    mean = (likely + other.flip(-1)[:, [0, 2, 1, 3]]) / 2
    assert torch.equal(torch.stack(found), resize_maps(mean, (32, 48), (32, 48)).argmax(dim=1))
    turned = {
        "logits": outputs["logits"].flip(-1)[:, [0, 2, 1, 3]],
        "presence_logits": outputs["presence_logits"][:, [0, 2, 1, 3]],
    }
    plain = processor.post_process_semantic_segmentation(outputs)
    again = processor.post_process_semantic_segmentation(outputs, outputs_flipped=turned)
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 99))
def test_flip_and_back_at_any_size(height, width, seed):
    processor, outputs = HulkParsingImageProcessor.from_task(SMALL), made_outputs(seed, 1)
    mirrored = {
        "logits": outputs["logits"].flip(-1)[:, [0, 2, 1, 3]],
        "presence_logits": outputs["presence_logits"][:, [0, 2, 1, 3]],
    }
    sizes = [(height, width)]
    one = processor.post_process_semantic_segmentation(outputs, sizes, True)[0].segmentation_scores
    other = processor.post_process_semantic_segmentation(mirrored, sizes, True)[0].segmentation_scores
    # Places between pixels are rounded to float32, differently from either side: the tolerance of the recordings.
    torch.testing.assert_close(other.flip(-1)[[0, 2, 1, 3]], one, atol=1e-5, rtol=0)


def test_supervision_takes_the_result(processor):
    outputs = {"logits": torch.full((1, 4, 8, 12), -9.0), "presence_logits": torch.full((1, 4), 9.0)}
    outputs["logits"][0, 0, :, 6:], outputs["logits"][0, 3, :, :6] = 9.0, 9.0
    found = processor.post_process_semantic_segmentation(outputs, [(40, 60)])[0]
    detections = sv.Detections.from_transformers(found, id2label=dict(enumerate(SMALL.labels)))
    assert detections.data["class_name"].tolist() == ["background", "hat"]
    assert detections.mask[1].sum() == 40 * 30 and detections.xyxy[1].tolist() == [0, 0, 29, 39]


@pytest.mark.parametrize(
    ("outputs", "arguments", "message"),
    [
        ({**made_outputs(), "logits": torch.zeros(2, 5, 8, 12)}, {}, r"logits \(persons, 4, height, width\)"),
        ({"logits": torch.zeros(2, 4, 8, 12)}, {}, "`outputs` must be a model output with `presence_logits`"),
        ({**made_outputs(), "presence_logits": torch.zeros(2, 4) / 0}, {}, "`outputs` must be finite, got NaN"),
        (made_outputs(), {"target_sizes": [(3, 4)]}, "`target_sizes` must be one .* of 2 persons"),
        (made_outputs(), {"outputs_flipped": made_outputs(count=1)}, "mirrored: expected the shape of maps"),
    ],
)
def test_bad_outputs_are_named(processor, outputs, arguments, message):
    with pytest.raises(ValueError, match=message):
        processor.post_process_semantic_segmentation(outputs, **arguments)
