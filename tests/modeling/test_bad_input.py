# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Awkward and broken input: a clear error that names the argument, or a documented answer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import hulk_hf
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.pipeline_pose_hulk import HumanPosePipeline

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
BOX = [10.0, 5.0, 30.0, 50.0]
NAN, INF = float("nan"), float("inf")


@pytest.fixture(scope="module")
def pipe(tiny_pose_model, tiny_pose_processor) -> HumanPosePipeline:
    return HumanPosePipeline(model=tiny_pose_model, image_processor=tiny_pose_processor)


@pytest.fixture(scope="module")
def processor(tiny_pose_processor) -> HulkPoseImageProcessor:
    return tiny_pose_processor


def is_sound(persons: list[dict], count: int) -> bool:
    """Whether there are `count` persons of finite joints."""
    return len(persons) == count and all(
        np.isfinite(person["keypoints"]).all() and np.isfinite(person["keypoint_scores"]).all() for person in persons
    )


# Files --------------------------------------------------------------------------------------------------------------


def write_empty(path):
    path.write_bytes(b"")


def write_text(path):
    path.write_text("not a picture")


def write_truncated(path):
    Image.fromarray(IMAGE).save(path, "PNG")
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_empty, r"`inputs`: '.*picture.png' is a file of 0 bytes that cannot be read as a picture"),
        (write_text, r"`inputs`: '.*picture.png' is a file of 13 bytes that cannot be read as a picture"),
        (write_truncated, r"`inputs`: '.*picture.png' is a file of 2000 bytes that cannot be read as a picture"),
        (lambda path: None, r"`inputs`: '.*picture.png' is neither a picture file nor a URL"),
        (lambda path: path.mkdir(), r"`inputs`: '.*picture.png' is neither a picture file nor a URL"),
    ],
    ids=["empty", "text", "truncated", "absent", "folder"],
)
def test_files_that_are_no_pictures(pipe, tmp_path, write, message):
    write(tmp_path / "picture.png")
    for name in (str(tmp_path / "picture.png"), tmp_path / "picture.png"):
        with pytest.raises(ValueError, match=message):
            pipe(name)


# Pictures: each is answered -----------------------------------------------------------------------------------------

PICTURES: dict[str, Callable[[], Any]] = {
    "1x1": lambda: Image.new("RGB", (1, 1), "red"),
    "1x300": lambda: Image.new("RGB", (300, 1), "red"),
    "8000x6000": lambda: Image.new("RGB", (8000, 6000), "red"),
    "L": lambda: Image.fromarray(IMAGE[..., 0]),
    "RGBA": lambda: Image.fromarray(IMAGE).convert("RGBA"),
    "CMYK": lambda: Image.fromarray(IMAGE).convert("CMYK"),
    "P": lambda: Image.fromarray(IMAGE).convert("P"),
    "1": lambda: Image.fromarray(IMAGE).convert("1"),
    "16-bit": lambda: Image.fromarray(IMAGE[..., 0].astype(np.uint16) * 257),
    "float array": lambda: IMAGE / 255.0,
    "bool array": lambda: IMAGE[..., 0] > 100,
    "grey array": lambda: IMAGE[..., 0],
}


@pytest.mark.parametrize("kind", PICTURES)
def test_unusual_pictures_are_answered(pipe, kind):
    assert is_sound(pipe(PICTURES[kind]()), 1)
    assert is_sound(pipe(PICTURES[kind](), boxes=[BOX, [0, 0, 1, 1]]), 2)


def test_a_turned_photograph_is_answered_upright(pipe, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(IMAGE).save(tmp_path / "turned.png", exif=exif)
    (person,) = pipe(tmp_path / "turned.png")
    assert person["box"] == {"xmin": 0, "ymin": 0, "xmax": 60, "ymax": 80}


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((0, 5, 3), np.uint8), ValueError, r"`inputs`: a picture needs at least one pixel, got .*\(0, 5\)"),
        (np.zeros((6, 5, 2), np.uint8), ValueError, r"`inputs`: an array must be .*got shape \(6, 5, 2\)"),
        (np.zeros(7, np.uint8), ValueError, r"`inputs`: an array must be .*got shape \(7,\)"),
        (np.full((4, 5, 3), NAN), ValueError, r"floats in \[0, 1\] or \[0, 255\], got float64 in \[nan, nan\]"),
        (np.full((4, 5, 3), -1.0), ValueError, r"floats in \[0, 1\] or \[0, 255\], got float64 in \[-1, -1\]"),
        (np.full((4, 5, 3), 70000), ValueError, r"integers in \[0, 255\] or \[0, 65535\].*got int64 in \[70000"),
        (np.full((4, 5, 3), "x"), ValueError, r"`inputs`: an array must hold integers .* got <U1"),
        (7, TypeError, "`inputs` must be a picture .*got int"),
        (None, TypeError, "`inputs` must be a picture .*got NoneType"),
        ([7], TypeError, "`inputs` must be a PIL image, array, tensor, file name or URL, .*got int"),
        ([[IMAGE]], TypeError, "`inputs` must be a PIL image, array, tensor, file name or URL, .*got list"),
        ({"picture": IMAGE}, ValueError, r"`inputs`: a dict must have the key 'image' .*got \['picture'\]"),
        ("", ValueError, "`inputs`: '' is neither a picture file nor a URL"),
    ],
)
def test_things_that_are_no_pictures(pipe, image, error, message):
    with pytest.raises(error, match=message):
        pipe(image)


# Boxes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([BOX, [NAN, 0, 9, 9]], r"`boxes\[1\]` must have finite coordinates and a positive width .*got \[nan, 0"),
        ([[0, INF, 9, 9]], r"`boxes\[0\]` must have finite coordinates .*got \[0.0, inf, 9"),
        ([[0, 0, 1e12, 9]], r"`boxes\[0\]` must have finite coordinates"),
        (
            [[0, 0, -5, 9]],
            r"`boxes\[0\]` must have .*\(box_format='xywh'\), got \[0.0, 0.0, -5",
        ),
        ([[0, 0, 0, 9]], r"`boxes\[0\]` must have .*positive width and height .*got \[0.0, 0.0, 0.0, 9"),
        ([[3, 3, 9, 0]], r"`boxes\[0\]` must have .*positive width and height"),
        ([BOX, [1, 2, 3]], r"`boxes` must be a list of persons with 4 numbers each .*got \[\[10.0"),
        ([[1, 2, 3]], r"`boxes` must be a list of persons with 4 numbers each .*got shape \(1, 3\)"),
        (BOX, r"`boxes` must be a list of persons .*got shape \(4,\); put the box into a list of its own"),
        ([[BOX], [BOX]], "`boxes` must be the boxes of one picture, got 2 lists of them"),
        ([["a", "b", "c", "d"]], "`boxes` must be a list of persons with 4 numbers each .*got .*'a'"),
        ([[None, 0, 9, 9]], "`boxes"),
        ("boxes", "`boxes` must be a list of persons with 4 numbers each"),
        (5, r"`boxes` must be a list of persons with 4 numbers each"),
    ],
)
def test_boxes_that_cannot_be_cut_out(pipe, processor, boxes, message):
    with pytest.raises(ValueError, match=message):
        pipe(IMAGE, boxes=boxes)
    with pytest.raises(ValueError, match=message):
        processor(IMAGE, boxes=boxes, return_tensors="pt")


@pytest.mark.parametrize("key", ["box", "bbox", "bboxes", "image_id"])
def test_boxes_under_another_name_are_not_ignored(pipe, key):
    message = rf"`inputs`: a dict may have .*got \['{key}'\] too; boxes of persons belong under 'boxes'"
    with pytest.raises(ValueError, match=message):
        pipe({"image": IMAGE, key: [BOX]})
    with pytest.raises(ValueError, match=message):
        list(pipe(iter([{"image": IMAGE, "boxes": [BOX], key: 7}])))


def test_xyxy_boxes_need_their_corners_in_order(pipe):
    with pytest.raises(
        ValueError, match=r"`boxes\[0\]` must have .*\(box_format='xyxy'\), got \[30.0, 5.0, 10.0, 50.0"
    ):
        pipe(IMAGE, boxes=[[30, 5, 10, 50]], box_format="xyxy")


@pytest.mark.parametrize(
    ("images", "boxes", "message"),
    [
        ([IMAGE] * 3, [[BOX]] * 2, "`boxes` must be a list with one entry per picture, got 2 for 3 pictures"),
        ([IMAGE] * 2, [BOX, BOX], r"`boxes.*` must be a list of persons .*put the box into a list of its own"),
        ([IMAGE] * 2, [[BOX], [BOX, [1, 2]]], r"`boxes.*` must be a list of persons with 4 numbers each"),
        ([IMAGE] * 2, 5, "`boxes` must be a list with one entry per picture, got 5 for 2 pictures"),
    ],
)
def test_ragged_lists_of_boxes(pipe, processor, images, boxes, message):
    with pytest.raises(ValueError, match=message):
        pipe(images, boxes=boxes)
    with pytest.raises(ValueError, match=message):
        processor(images, boxes=boxes, return_tensors="pt")


def test_an_error_in_a_list_names_the_picture(processor):
    with pytest.raises(ValueError, match=r"`boxes\[1\]\[2\]` must have finite coordinates"):
        processor([IMAGE, IMAGE], boxes=[[BOX], [BOX, BOX, [0, 0, NAN, 1]]], return_tensors="pt")


def test_boxes_may_lie_outside_and_are_black_there(pipe, processor):
    outside = [[-500, -500, 40, 60], [1000, 20, 40, 60], [1e8, 1e8, 10, 10]]
    assert is_sound(pipe(IMAGE, boxes=outside), 3)
    raw = processor(IMAGE, boxes=outside, do_rescale=False, do_normalize=False, return_tensors="pt")["pixel_values"]
    assert raw.max() == 0


def test_zero_boxes_give_nobody(pipe, processor):
    assert pipe(IMAGE, boxes=[]) == []
    assert pipe([IMAGE, IMAGE], boxes=[[], [BOX]])[0] == []
    assert processor(IMAGE, boxes=[], return_tensors="pt")["pixel_values"].shape == (0, 3, 256, 192)


def test_two_hundred_boxes_are_answered_in_order(pipe):
    boxes = [[index % 40, index % 7, 20 + index % 5, 40] for index in range(200)]
    persons = pipe(IMAGE, boxes=boxes, batch_size=64)
    assert is_sound(persons, 200)
    assert [person["box"]["xmin"] for person in persons] == [float(box[0]) for box in boxes]


def test_very_thin_and_very_large_boxes_are_answered(pipe):
    assert is_sound(pipe(IMAGE, boxes=[[5, 5, 0.01, 40], [5, 5, 40, 0.01], [-1e6, -1e6, 2e6, 2e6]]), 3)


# Options ------------------------------------------------------------------------------------------------------------


def two_heatmaps(**changes) -> SimpleNamespace:
    return SimpleNamespace(heatmaps=torch.rand(2, 17, 64, 48), **changes)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda pipe, _: pipe(IMAGE, task="pose-mars"),
            ValueError,
            r"task: no task 'pose-mars' in this checkpoint, expected one of \['pose-aic', 'pose-coco'\]",
        ),
        (lambda pipe, _: pipe(IMAGE, box_format="cxcywh"), ValueError, r"`box_format` must be one of .*got 'cxcywh'"),
        (lambda pipe, _: pipe(IMAGE, thresh=3), TypeError, "unexpected keyword argument 'thresh'"),
        (
            lambda pipe, _: pipe(iter([IMAGE]), boxes=[[BOX]]),
            ValueError,
            "`boxes` must be inside the items",
        ),
        (
            lambda pipe, _: pipe({"image": IMAGE, "boxes": [BOX]}, boxes=[BOX]),
            ValueError,
            "`boxes` must be given inside the dict or beside it",
        ),
        (lambda _, p: p(IMAGE, box_format="cxcywh"), ValueError, r"`box_format` must be one of .*got 'cxcywh'"),
        (lambda _, p: p(IMAGE, do_resize=False), ValueError, "`do_resize` must be True.*got False"),
        (lambda _, p: p(IMAGE, do_pad=True), ValueError, "`do_pad` must be False.*got True"),
        (lambda _, p: p(IMAGE, do_convert_rgb=False), ValueError, "`do_convert_rgb` must be True"),
        (lambda _, p: p(IMAGE, resample=0), ValueError, "`resample` must be bilinear.*got 0"),
        (lambda _, p: p(IMAGE, data_format="channels_last"), ValueError, "`data_format` must be 'channels_first'"),
        (lambda _, p: p(IMAGE, size={"shortest_edge": 9}), ValueError, "`size` must have height and width"),
        (
            lambda _, p: p(IMAGE, size={"height": 64, "width": 50}),
            ValueError,
            "`size` must be multiples of 4.*width 50",
        ),
        (lambda _, p: p(IMAGE, padding_factor=0), ValueError, "`padding_factor` must be positive, got 0"),
        (lambda _, p: p([[IMAGE]]), TypeError, r"`images` must be .*got list of \['list'\]"),
        (lambda _, p: p(None), TypeError, "`images` must be .*got NoneType"),
        (
            lambda _, p: HulkPoseImageProcessor(padding_factor=0),
            ValueError,
            "`padding_factor` must be positive",
        ),
        (lambda _, p: HulkPoseImageProcessor(flip_pairs=[[0, 17]]), ValueError, r"`flip_pairs` holds \(0, 17\)"),
        (lambda _, p: HulkPoseImageProcessor(box_format="xx"), ValueError, "`box_format` must be one of"),
    ],
)
def test_options(pipe, processor, call, error, message):
    with pytest.raises(error, match=message):
        call(pipe, processor)


@pytest.mark.parametrize(
    ("keypoints", "message"),
    [
        (np.ones((1, 14, 3)), r"`keypoints` must have shape .*= \(1, 17, 3\).*got shape \(1, 14, 3\)"),
        (np.ones((2, 17, 3)), r"`keypoints` must have shape .*= \(1, 17, 3\).*got shape \(2, 17, 3\)"),
        (np.ones((1, 17, 2)), r"`keypoints` must have shape .*got shape \(1, 17, 2\)"),
        (np.full((1, 17, 3), NAN), "`keypoints` must be finite where a joint is annotated"),
        ([[[1, 2, 1], [1, 2]]], "`keypoints` must be .*got"),
    ],
)
def test_keypoints(processor, keypoints, message):
    with pytest.raises(ValueError, match=message):
        processor(IMAGE, boxes=[BOX], keypoints=keypoints, return_tensors="pt")


@pytest.mark.parametrize(
    ("outputs", "boxes", "options", "message"),
    [
        (two_heatmaps(), [[BOX]], {}, "`boxes` must hold the box of each person.*got 1 boxes in 1 pictures for 2"),
        (two_heatmaps(), None, {}, "`boxes` must be given, got None"),
        (two_heatmaps(), [[BOX, [1, 2, NAN, 4]]], {}, r"`boxes\[0\]\[1\]` must have finite coordinates"),
        (SimpleNamespace(), [[BOX]], {}, "`outputs` must be a model output with `heatmaps`"),
        ({"logits": 1}, [[BOX]], {}, "`outputs` must be a model output with `heatmaps`"),
        (SimpleNamespace(heatmaps=torch.rand(1, 14, 8, 8)), [[BOX]], {}, r"`heatmaps` must have shape \(persons, 17"),
        (SimpleNamespace(heatmaps=torch.full((1, 17, 8, 8), NAN)), [[BOX]], {}, "`heatmaps` must be finite, got NaN"),
        (two_heatmaps(), [[BOX, BOX]], {"kernel_size": 4}, "`kernel_size` must be odd and positive, got 4"),
        (two_heatmaps(), [[BOX, BOX]], {"padding_factor": -1.0}, "`padding_factor` must be positive, got -1.0"),
        (two_heatmaps(), [[BOX, BOX]], {"box_format": "cxcywh"}, "`box_format` must be one of"),
        (two_heatmaps(), [[BOX, BOX]], {"target_sizes": [(9, 9)]}, r"`boxes\[0\]` must be fractions of the picture"),
        (two_heatmaps(), [[[0, 0, 1, 1]] * 2], {"target_sizes": [(9, 9)] * 3}, "one .* per picture, got 3 for 1"),
        (two_heatmaps(), [[[0, 0, 1, 1]] * 2], {"target_sizes": [9, 9]}, r"`target_sizes` must be a list of \(height"),
        (
            two_heatmaps(),
            [[BOX, BOX]],
            {"outputs_flipped": SimpleNamespace(heatmaps=torch.rand(1, 17, 64, 48))},
            "`heatmaps_flipped` must have the shape of `heatmaps`",
        ),
    ],
)
def test_post_processing(processor, outputs, boxes, options, message):
    with pytest.raises(ValueError, match=message):
        processor.post_process_pose_estimation(outputs, boxes, **options)


# Checkpoints --------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tiny_pose_folder, tmp_path):
    """A checkpoint folder of one's own, to be damaged."""
    return shutil.copytree(tiny_pose_folder, tmp_path / "checkpoint")


def cut_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def make_bert(folder):
    (folder / "config.json").write_text('{"model_type": "bert"}')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        # What safetensors itself says of half a file.
        (cut_weights, "incomplete metadata, file not fully covered"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no file named model.safetensors.*checkpoint"),
        (lambda folder: (folder / "config.json").unlink(), "checkpoint.*config.json"),
        (make_bert, "(?s)BertConfig.*HulkConfig"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "checkpoint.*preprocessor_config.json"),
    ],
    ids=["truncated weights", "no weights", "no configuration", "another model", "no processor"],
)
def test_folders_that_are_no_checkpoint(folder, damage, message):
    damage(folder)
    with pytest.raises(Exception, match=message):
        hulk_hf.pipeline("human-pose", model=str(folder))


def test_a_model_or_processor_of_another_kind(tiny_pose_model):
    from transformers import ViTImageProcessorPil

    with pytest.raises(ValueError, match="`model` must be a Hulk model for pose .* with ViTImage"):
        HumanPosePipeline(model=tiny_pose_model, image_processor=ViTImageProcessorPil())
