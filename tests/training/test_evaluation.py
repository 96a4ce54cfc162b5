# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Evaluation: figures come from the path that users run, and from the persons that the official data sets keep."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pipeline_pose_hulk import HumanPosePipeline
from hulk_hf.training.evaluation import load_coco_persons, predict_poses

SIZE = (64, 48)
PICTURES = [np.random.default_rng(seed).integers(0, 256, (60 + 20 * seed, 80, 3), dtype=np.uint8) for seed in range(3)]
BOXES = np.array([[10, 5, 30, 50], [-12, 20, 40, 70], [30, 8, 45.5, 60]], np.float32)


@pytest.fixture(scope="module")
def model(made_uneven) -> HulkForPoseEstimation:
    """Random weights of two tasks, so that a wrong task would show."""
    torch.manual_seed(0)
    config = HulkConfig(
        vision_config={"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 96},
        decoder_config={"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64},
        text_feature_size=16,
        tasks=["pose-aic", "pose-coco"],
        default_tasks={"pose": "pose-coco"},
    )
    return made_uneven(HulkForPoseEstimation(config).eval())


@pytest.mark.parametrize("flip_test", [True, False])
def test_predictions_are_those_of_the_pipeline(model, flip_test):
    joints, scores = predict_poses(model, PICTURES, BOXES, SIZE, flip_test, batch_size=2)
    assert joints.shape == (3, 17, 2) and scores.shape == (3, 17)
    size = {"height": SIZE[0], "width": SIZE[1]}
    processor = HulkPoseImageProcessor.from_task(model.config.task("pose"), size=size)
    pipe = HumanPosePipeline(model=model, image_processor=processor)
    for row, (picture, box) in enumerate(zip(PICTURES, BOXES, strict=True)):
        (person,) = pipe(picture, boxes=[box.tolist()], flip_test=flip_test)
        np.testing.assert_allclose(joints[row], person["keypoints"], atol=2e-3)
        np.testing.assert_allclose(scores[row], person["keypoint_scores"], atol=1e-5)


def annotation(image_id: int, bbox: list[float], **changes) -> dict:
    """A person with one labelled joint."""
    keypoints = [20, 30, 2] + [0, 0, 0] * 16
    person = {"image_id": image_id, "bbox": bbox, "area": 50.0, "keypoints": keypoints, "num_keypoints": 1}
    return {**person, "iscrowd": 0, **changes}


def write(folder: Path, annotations: list[dict]) -> None:
    """A picture of 60x80 (height, width) and one stored lying, which is 80x60 when upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PICTURES[0]).save(folder / "a.png")
    Image.fromarray(PICTURES[0]).save(folder / "b.png", exif=exif)
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "val/b.png"}]
    (folder / "people.json").write_text(json.dumps({"images": images, "annotations": annotations}))


def test_annotations_are_kept_and_clipped_as_by_the_official_data_sets(tmp_path):
    kept = [annotation(1, [-5, 10, 30, 20]), annotation(2, [40, 50, 100, 100])]
    dropped = [
        annotation(1, [5, 5, 20, 20], iscrowd=1),
        annotation(1, [5, 5, 20, 20], num_keypoints=0),
        annotation(1, [5, 5, 20, 20], keypoints=[0] * 51),
        annotation(1, [5, 5, 20, 20], area=0),
        annotation(1, [5, 5, 1, 20]),
        annotation(1, [200, 5, 20, 20]),
    ]
    write(tmp_path, [*dropped[:3], *kept, *dropped[3:]])
    persons = load_coco_persons(tmp_path)
    assert persons["image_ids"].tolist() == [1, 2]
    assert persons["boxes"].tolist() == [[0, 10, 29, 19], [40, 50, 19, 29]]
    assert persons["keypoints"].shape == (2, 17, 3) and persons["areas"].tolist() == [50, 50]


def test_pictures_are_upright(tmp_path):
    write(tmp_path, [annotation(1, [5, 5, 20, 20]), annotation(2, [5, 5, 20, 20])])
    lying, upright = load_coco_persons(tmp_path)["images"]
    np.testing.assert_array_equal(lying, PICTURES[0])
    np.testing.assert_array_equal(upright, np.rot90(PICTURES[0], -1))


def test_folders_that_hold_no_persons(tmp_path):
    with pytest.raises(ValueError, match="expected one .json file .*got 0"):
        load_coco_persons(tmp_path)
    write(tmp_path, [annotation(1, [5, 5, 20, 20], iscrowd=1)])
    with pytest.raises(ValueError, match="expected persons with labelled keypoints in .*people.json, got none"):
        load_coco_persons(tmp_path)
