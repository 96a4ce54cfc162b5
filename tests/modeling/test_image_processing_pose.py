# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pose image processor: kinds of pictures, boxes, targets, and the way back."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.images_hulk import read_image
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

BOXES = [[10.0, 5.0, 30.0, 50.0], [-12.0, 20.0, 40.0, 40.0]]
RGB = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def processor() -> HulkPoseImageProcessor:
    return HulkPoseImageProcessor(size={"height": 64, "width": 48})


def crops(processor, image, boxes=None, **kwargs) -> torch.Tensor:
    return processor(image, boxes=boxes, return_tensors="pt", **kwargs)["pixel_values"]


# Pictures -----------------------------------------------------------------------------------------------------------


def test_every_kind_of_the_same_picture_gives_the_same_crops(processor, tmp_path):
    image = Image.fromarray(RGB)
    image.save(tmp_path / "picture.png")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    expected = crops(processor, RGB, BOXES)
    assert expected.shape == (2, 3, 64, 48) and expected.dtype == torch.float32
    kinds = [
        image,
        str(tmp_path / "picture.png"),
        tmp_path / "picture.png",
        np.moveaxis(RGB, 2, 0),
        RGB[:, ::-1][:, ::-1],
        RGB.astype(np.int64),
        RGB.astype(np.float32),
        RGB / 255.0,
        RGB.astype(np.uint16) * 257,
        torch.from_numpy(RGB).permute(2, 0, 1),
        torch.from_numpy(RGB),
        torch.from_numpy(RGB).permute(2, 0, 1) / 255,
        [image],
        RGB[None],
    ]
    for kind in kinds:
        boxes = [BOXES] if isinstance(kind, list) or getattr(kind, "ndim", 3) == 4 else BOXES
        assert torch.equal(crops(processor, kind, boxes), expected), type(kind)


def test_layout_of_an_array_is_guessed_by_its_kind_and_can_be_said():
    both = np.random.default_rng(1).integers(0, 256, (3, 7, 3), dtype=np.uint8)
    assert torch.equal(read_image(both), torch.from_numpy(both).permute(2, 0, 1))
    assert torch.equal(read_image(torch.from_numpy(both)), torch.from_numpy(both))
    assert torch.equal(read_image(both, "channels_first"), torch.from_numpy(both))


def test_grey_becomes_three_equal_channels():
    grey = RGB[..., 0]
    for source in (grey, grey[..., None], grey[None], Image.fromarray(grey), torch.from_numpy(grey)):
        assert torch.equal(read_image(source), torch.from_numpy(grey).expand(3, -1, -1))


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    deep = np.array([[0, 256, 257, 30000, 65535]], dtype=np.uint16)
    expected = torch.tensor([[0, 1, 1, 117, 255]], dtype=torch.uint8).expand(3, 1, 5)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(deep).save(tmp_path / "deep.tif")
    for source in (deep, deep.astype(np.int32), Image.fromarray(deep), tmp_path / "deep.png", tmp_path / "deep.tif"):
        assert torch.equal(read_image(source), expected), source


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La", "P"])
def test_transparency_lies_over_white(mode):
    image = Image.new("RGBA", (3, 2), (200, 100, 0, 0))
    image.putpixel((1, 1), (40, 40, 40, 255))
    if mode == "P":
        image = Image.new("P", (3, 2), 0)
        image.putpalette([10, 10, 10, 40, 40, 40])
        image.putpixel((1, 1), 1)
        image.info["transparency"] = 0
    elif mode == "PA":
        image = image.convert("P").convert("PA")
        image.putalpha(Image.fromarray(np.array([[0, 0, 0], [0, 255, 0]], dtype=np.uint8)))
    elif mode == "La":
        image = image.convert("LA").convert("La")
    else:
        image = image.convert(mode)
    pixels = read_image(image)
    assert pixels[:, 0, 0].tolist() == [255, 255, 255]
    assert (pixels[:, 1, 1].float() - 40).abs().max() <= 12  # palettes are coarse


def test_an_array_with_alpha_lies_over_white_too():
    array = np.concatenate([RGB, np.zeros((60, 80, 1), dtype=np.uint8)], axis=2)
    array[0, 0, 3] = 255
    pixels = read_image(array)
    assert pixels[:, 0, 0].tolist() == RGB[0, 0].tolist() and pixels[:, 5, 5].tolist() == [255] * 3


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB", "1", "L", "F", "I"])
def test_other_colour_spaces_become_rgb(mode):
    image = Image.new("RGB", (4, 3), "white")
    image = Image.new("LAB", (4, 3), (255, 128, 128)) if mode == "LAB" else image.convert(mode)
    assert read_image(image).shape == (3, 3, 4)
    assert read_image(image).min() >= 253


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(orientation, tmp_path):
    upright = Image.fromarray(RGB)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "turned.png", exif=exif)
    for source in (tmp_path / "turned.png", Image.open(tmp_path / "turned.png")):
        assert torch.equal(read_image(source), torch.from_numpy(RGB).permute(2, 0, 1))


# Crops --------------------------------------------------------------------------------------------------------------


@pytest.mark.parity
def test_inputs_of_the_official_test_path(shared):
    """Detector box -> network input, through the whole processor, against the recorded crops."""
    file = load_file(shared / "golden" / "processing" / "pose_crop_a.safetensors")
    processor = HulkPoseImageProcessor()
    images = [Image.open(io.BytesIO(file[f"image_png_{index}"].numpy().tobytes())) for index in range(2)]
    index, boxes = file["task8.image_index"], file["task8.bbox"]
    ours = crops(processor, images, [boxes[index == 0], boxes[index == 1]])
    recorded = torch.cat([file["task8.crop"][index == 0], file["task8.crop"][index == 1]])
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    levels = (ours * std[:, None, None] + mean[:, None, None]) - recorded
    assert levels.abs().max() < 7.1 and levels.abs().mean() < 0.3


def test_normalisation_uses_the_official_constants(processor):
    flat = np.full((10, 10, 3), 77, dtype=np.uint8)
    values = crops(processor, flat, [[3, 3, 2, 2]], padding_factor=1.0)[0, :, 32, 24]
    expected = (77 - torch.tensor([123.675, 116.28, 103.53])) / torch.tensor([58.395, 57.12, 57.375])
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-6)
    raw = crops(processor, flat, [[3, 3, 2, 2]], do_rescale=False, do_normalize=False)
    assert raw.dtype == torch.uint8 and raw.max() == 77
    scaled = crops(processor, flat, [[3, 3, 2, 2]], do_normalize=False)
    assert scaled.max().item() == pytest.approx(77 / 255)
    shifted = crops(processor, flat, [[3, 3, 2, 2]], do_rescale=False, image_mean=[70.0] * 3, image_std=[2.0] * 3)
    assert shifted.max().item() == pytest.approx(3.5)


def test_rows_follow_pictures_and_an_empty_list_gives_no_row(processor):
    images = [RGB, RGB[::-1].copy(), RGB[:, ::-1].copy()]
    together = crops(processor, images, [BOXES, [], BOXES[:1]])
    apart = torch.cat([crops(processor, images[0], BOXES), crops(processor, images[2], BOXES[:1])])
    assert torch.equal(together, apart)
    nobody = processor(images, boxes=[[], [], []], keypoints=[[], [], []], return_tensors="pt")
    assert nobody["pixel_values"].shape == (0, 3, 64, 48) and nobody["pixel_values"].dtype == torch.float32
    assert nobody["labels"].shape == (0, 17, 16, 12) and nobody["label_weights"].shape == (0, 17)
    assert crops(processor, RGB, []).shape == crops(processor, RGB, np.zeros((0, 4))).shape == (0, 3, 64, 48)
    assert crops(processor, [], []).shape == (0, 3, 64, 48)


def test_without_boxes_the_whole_picture_is_one_person(processor):
    whole = crops(processor, RGB, [[0, 0, 80, 60]])
    assert torch.equal(crops(processor, RGB), whole)
    mixed = crops(processor, [RGB, RGB], [None, BOXES])
    assert torch.equal(mixed, torch.cat([whole, crops(processor, RGB, BOXES)]))


@pytest.mark.parametrize(
    "form", [np.array, torch.tensor, tuple, lambda b: [b], lambda b: np.array([b]), lambda b: [np.array(b)]]
)
def test_boxes_may_be_lists_arrays_or_tensors(processor, form):
    assert torch.equal(crops(processor, RGB, form(BOXES)), crops(processor, RGB, BOXES))


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.tuples(st.floats(-90, 90), st.floats(-90, 90), st.floats(0.5, 200), st.floats(0.5, 200)),
        min_size=1,
        max_size=3,
    )
)
def test_xyxy_and_xywh_mean_the_same(rows):
    processor = HulkPoseImageProcessor(size={"height": 32, "width": 32})
    corners = [[x, y, x + w, y + h] for x, y, w, h in rows]
    options = {"do_rescale": False, "do_normalize": False}
    difference = crops(processor, RGB, rows, **options).int() - crops(
        processor, RGB, corners, box_format="xyxy", **options
    )
    assert difference.abs().max() <= 1  # x + w - x is not always w


def test_without_return_tensors_there_are_lists_of_arrays(processor):
    values = processor(RGB, boxes=BOXES)["pixel_values"]
    assert len(values) == 2 and isinstance(values[0], np.ndarray) and values[0].shape == (3, 64, 48)
    assert isinstance(processor(RGB, boxes=BOXES, return_tensors="np")["pixel_values"], np.ndarray)


# Targets ------------------------------------------------------------------------------------------------------------


def joints_in(box: list[float], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x, y, w, h = box
    places = np.stack([rng.uniform(x, x + w, 17), rng.uniform(y, y + h, 17)], axis=1)
    return np.concatenate([places, rng.integers(1, 3, (17, 1))], axis=1)


def test_targets_decode_back_to_the_annotated_joints():
    processor = HulkPoseImageProcessor()
    joints = np.stack([joints_in(box, seed) for seed, box in enumerate(BOXES)])
    joints[0, 3] = 0
    batch = processor(RGB, boxes=BOXES, keypoints=joints, return_tensors="pt")
    assert batch["labels"].shape == (2, 17, 64, 48) and batch["label_weights"].shape == (2, 17)
    assert batch["label_weights"].sum() == 33 and batch["labels"][0, 3].abs().sum() == 0
    persons = processor.post_process_pose_estimation({"heatmaps": batch["labels"]}, BOXES)[0]
    for person, truth, seen in zip(persons, joints, batch["label_weights"].bool(), strict=True):
        found = person["keypoints"].numpy()[seen]
        # A heat-map cell is more than an image pixel here; the target is exact to a small part of a cell.
        assert np.abs(found - truth[seen.numpy(), :2]).max() < 0.1


@pytest.mark.parametrize(
    "options",
    [
        {"size": {"height": 128, "width": 128}},
        {"size": {"height": 96, "width": 160}},
        {"padding_factor": 1.0},
        {"padding_factor": 2.5, "size": {"height": 320, "width": 192}},
    ],
    ids=str,
)
def test_a_size_or_padding_of_one_call_finds_its_way_back(options):
    """The window, and so every joint, depends on the aspect ratio and the padding that the crops were cut with."""
    processor = HulkPoseImageProcessor()
    # Away from the edges of the crop, where the blur of the decoding sees no mirror.
    inner = [[x + 0.2 * w, y + 0.2 * h, 0.6 * w, 0.6 * h] for x, y, w, h in BOXES]
    joints = np.stack([joints_in(box, seed) for seed, box in enumerate(inner)])
    batch = processor(RGB, boxes=BOXES, keypoints=joints, return_tensors="pt", **options)
    assert batch["label_weights"].all()
    back = {"padding_factor": options["padding_factor"]} if "padding_factor" in options else {}
    persons = processor.post_process_pose_estimation({"heatmaps": batch["labels"]}, BOXES, **back)[0]
    found = np.stack([person["keypoints"].numpy() for person in persons])
    assert np.abs(found - joints[..., :2]).max() < 0.1


def test_joints_beyond_the_crop_have_no_weight(processor):
    joints = joints_in(BOXES[0])
    joints[5, :2] = [500, 500]
    weights = processor(RGB, boxes=BOXES[:1], keypoints=[joints], return_tensors="pt")["label_weights"]
    assert weights[0].tolist() == [float(joint != 5) for joint in range(17)]


def test_targets_of_several_pictures(processor):
    joints = [[joints_in(BOXES[0])], [], [joints_in(BOXES[1])]]
    batch = processor([RGB] * 3, boxes=[BOXES[:1], [], BOXES[1:]], keypoints=joints, return_tensors="pt")
    alone = processor(RGB, boxes=BOXES[1:], keypoints=joints[2], return_tensors="pt")
    assert batch["labels"].shape[0] == 2 and torch.equal(batch["labels"][1:], alone["labels"])


# The way back -------------------------------------------------------------------------------------------------------


def random_outputs(persons: int, joints: int = 17, seed: int = 0) -> SimpleNamespace:
    maps = torch.rand(persons, joints, 16, 12, generator=torch.Generator().manual_seed(seed))
    return SimpleNamespace(heatmaps=maps)


@pytest.mark.parity
def test_decoding_equals_the_recording(shared):
    """The recorded windows are square; boxes that a square input enlarges to just these windows stand for them."""
    file = load_file(shared / "golden" / "processing" / "pose_decode_square_a.safetensors")
    side = file["scale"].double() * 200 / 1.25
    boxes = torch.cat([file["center"] - side / 2, side], dim=1)
    names = [str(joint) for joint in range(10)]
    processor = HulkPoseImageProcessor(size={"height": 256, "width": 256}, label_names=names, flip_pairs=[])
    persons = processor.post_process_pose_estimation(SimpleNamespace(heatmaps=file["heatmap"]), [boxes])[0]
    found = torch.stack([person["keypoints"] for person in persons])
    peaked = torch.stack([person["scores"] for person in persons]) > 0
    peaked[0, 5] = peaked[1, 6] = False  # upstream reads memory of another joint there
    torch.testing.assert_close(found[peaked], file["preds"][..., :2][peaked], rtol=0, atol=1e-3)


def test_results_are_grouped_by_picture_with_true_boxes(processor):
    results = processor.post_process_pose_estimation(random_outputs(3), [BOXES, [], BOXES[:1]])
    assert [len(persons) for persons in results] == [2, 0, 1]
    person = results[0][1]
    assert set(person) == {"keypoints", "scores", "labels", "bbox"}
    assert person["keypoints"].shape == (17, 2) and person["scores"].shape == (17,)
    assert person["labels"].tolist() == list(range(17))
    assert person["bbox"].tolist() == [-12, 20, 28, 60]
    xyxy = [[[x, y, x + w, y + h] for x, y, w, h in part] for part in (BOXES, [], BOXES[:1])]
    again = processor.post_process_pose_estimation(random_outputs(3), xyxy, box_format="xyxy")
    torch.testing.assert_close(again[2][0]["keypoints"], results[2][0]["keypoints"])
    assert processor.post_process_pose_estimation(random_outputs(0), [[], []]) == [[], []]
    assert processor.post_process_pose_estimation(random_outputs(0), []) == []
    alone = processor.post_process_pose_estimation(random_outputs(2), np.array(BOXES))
    assert [len(persons) for persons in alone] == [2]


def test_threshold_drops_joints(processor):
    outputs = random_outputs(2)
    outputs.heatmaps[0, 4:] *= 0.5
    full = processor.post_process_pose_estimation(outputs, BOXES)[0]
    cut = processor.post_process_pose_estimation(outputs, BOXES, threshold=0.6)[0]
    for before, after in zip(full, cut, strict=True):
        keep = before["scores"] > 0.6
        for name in ("keypoints", "scores", "labels"):
            assert torch.equal(after[name], before[name][keep])
    assert len(cut[0]["labels"]) == 4 and len(cut[1]["labels"]) == 17


def test_target_sizes_mean_that_boxes_are_fractions(processor):
    outputs = random_outputs(2)
    pixels = processor.post_process_pose_estimation(outputs, [BOXES[:1], BOXES[1:]])
    relative = [[[x / 80, y / 60, w / 80, h / 60]] for x, y, w, h in BOXES]
    for sizes in ([(60, 80), (60, 80)], torch.tensor([[60, 80], [60, 80]])):
        scaled = processor.post_process_pose_estimation(outputs, relative, target_sizes=sizes)
        for one, other in zip(pixels, scaled, strict=True):
            torch.testing.assert_close(one[0], other[0])
    double = processor.post_process_pose_estimation(outputs, relative, target_sizes=[(120, 160), (120, 160)])
    torch.testing.assert_close(double[0][0]["keypoints"], pixels[0][0]["keypoints"] * 2)
    whole = processor.post_process_pose_estimation(outputs, None, target_sizes=[(60, 80), (30, 20)])
    assert whole[1][0]["bbox"].tolist() == [0, 0, 20, 30]
    empty = processor.post_process_pose_estimation(
        random_outputs(1), [[], relative[0]], target_sizes=[(9, 9), (60, 80)]
    )
    assert [len(persons) for persons in empty] == [0, 1]


def test_flip_test_averages_with_the_pairs_of_the_task():
    processor = HulkPoseImageProcessor.from_task(KNOWN_TASKS["pose-aic"])
    maps = random_outputs(1, joints=14).heatmaps
    order = list(range(14))
    for left, right in KNOWN_TASKS["pose-aic"].flip_pairs:
        order[left], order[right] = right, left
    mirrored = SimpleNamespace(heatmaps=maps[:, order].flip(-1))
    plain = processor.post_process_pose_estimation(SimpleNamespace(heatmaps=maps), BOXES[:1])[0][0]
    both = processor.post_process_pose_estimation(SimpleNamespace(heatmaps=maps), BOXES[:1], outputs_flipped=mirrored)[
        0
    ][0]
    torch.testing.assert_close(both["keypoints"], plain["keypoints"])
    values = torch.arange(24.0).view(1, 1, 4, 6)
    assert torch.equal(processor.flip_pixel_values(values)[..., 0], values[..., 5])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_decoded_in_float32(processor, dtype):
    outputs = SimpleNamespace(heatmaps=random_outputs(2).heatmaps.to(dtype))
    wide = SimpleNamespace(heatmaps=outputs.heatmaps.float())
    halves, whole = (processor.post_process_pose_estimation(maps, BOXES)[0][0] for maps in (outputs, wide))
    assert halves["keypoints"].dtype == torch.float32 and torch.equal(halves["keypoints"], whole["keypoints"])


def test_supervision_takes_the_results_unchanged(processor):
    supervision = pytest.importorskip("supervision")
    results = processor.post_process_pose_estimation(random_outputs(3), [BOXES, BOXES[:1]])
    points = supervision.KeyPoints.from_transformers(results[0])
    assert points.xy.shape == (2, 17, 2)
    np.testing.assert_array_equal(points.xy[1], results[0][1]["keypoints"].numpy())


def test_a_whole_round_through_the_network(tiny_pose_model, tiny_pose_processor):
    inputs = tiny_pose_processor(RGB, boxes=BOXES, keypoints=[joints_in(b) for b in BOXES], return_tensors="pt")
    with torch.no_grad():
        outputs = tiny_pose_model(**inputs)
    assert torch.isfinite(outputs.loss)
    persons = tiny_pose_processor.post_process_pose_estimation(outputs, [BOXES])[0]
    assert len(persons) == 2 and torch.isfinite(persons[0]["keypoints"]).all()


# Settings -----------------------------------------------------------------------------------------------------------


def test_settings_survive_saving(tmp_path):
    processor = HulkPoseImageProcessor.from_task(KNOWN_TASKS["pose-aic"], padding_factor=1.1, box_format="xyxy")
    processor.save_pretrained(tmp_path)
    loaded = HulkPoseImageProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict() == processor.to_dict()
    stored = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert stored["label_names"] == list(KNOWN_TASKS["pose-aic"].labels) and stored["task"] == "pose-aic"
    assert stored["flip_pairs"] == [list(pair) for pair in KNOWN_TASKS["pose-aic"].flip_pairs]
    assert stored["size"] == {"height": 256, "width": 192} and stored["padding_factor"] == 1.1
    box = [[5, 5, 40, 45]]
    assert torch.equal(crops(loaded, RGB, box), crops(processor, RGB, box))
    assert HulkPoseImageProcessor.from_pretrained(tmp_path, padding_factor=1.5).padding_factor == 1.5


def test_every_setting_is_declared_and_can_be_given_in_a_call(processor):
    declared = set(HulkPoseImageProcessor.valid_kwargs.__annotations__)
    assert {"task", "label_names", "flip_pairs", "padding_factor", "heatmap_sigma", "box_format"} <= declared
    options = {"size": {"height": 32, "width": 32}, "padding_factor": 2.0}
    inside = crops(processor, RGB, BOXES, **options)
    assert torch.equal(inside, crops(HulkPoseImageProcessor(**options), RGB, BOXES)) and inside.shape[2:] == (32, 32)
    joints = [joints_in(box) for box in BOXES]
    narrow = processor(RGB, boxes=BOXES, keypoints=joints, heatmap_sigma=1.0, return_tensors="pt")["labels"]
    assert narrow.sum() < processor(RGB, boxes=BOXES, keypoints=joints, return_tensors="pt")["labels"].sum()


@pytest.mark.parametrize("name", [name for name, task in KNOWN_TASKS.items() if task.family == "pose"])
def test_every_pose_task_has_a_processor(name):
    task = KNOWN_TASKS[name]
    processor = HulkPoseImageProcessor.from_task(task)
    assert crops(processor, RGB, BOXES).shape[2:] == task.image_size
    assert tuple(processor.label_names) == task.labels
