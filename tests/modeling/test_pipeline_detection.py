# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-detection`, transformers' own `object-detection`, and detectors of the other pipelines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
import torch
import transformers
from PIL import Image
from torch.utils.data import Dataset

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_detection_hulk import HulkDetectionImageProcessor
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.person_detectors_hulk import HulkPersonDetector
from hulk_hf.modeling.pipeline_detection_hulk import HumanDetectionPipeline
from hulk_hf.modeling.pipeline_pose_hulk import HumanPosePipeline
from hulk_hf.modeling.processing_hulk import HulkProcessor
from hulk_hf.modeling.tasks_hulk import HulkTask

WIDE = np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)
TALL = WIDE.transpose(1, 0, 2).copy()
SQUARE = WIDE[:, :60]
SIDE = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
PERSONS = HulkTask("detection-persons", "detection", ("pedestrian",), image_size=(64, 96), anchors_per_side=4)
THINGS = HulkTask("detection-things", "detection", ("person", "car"), image_size=(64, 64), anchors_per_side=3)
POSE = HulkTask("pose-small", "pose", ("head", "left hand", "right hand"), image_size=(64, 48))


def config(*tasks: HulkTask) -> HulkConfig:
    vision, decoder = ({"hidden_size": size, **SIDE} for size in (32, 16))
    return HulkConfig(vision_config=vision, decoder_config=decoder, text_feature_size=8, tasks=list(tasks))


def shaken(model):
    """The model with random weights so large that answers depend on what it sees."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.copy_(torch.randn_like(parameter) * 1.5 / parameter[0].numel() ** 0.5)
    return model.eval()


def made(kind, *tasks: HulkTask):
    return shaken(kind(config(*tasks)))


@pytest.fixture(scope="module")
def model() -> HulkForPedestrianDetection:
    return made(HulkForPedestrianDetection, PERSONS, THINGS)


@pytest.fixture(scope="module")
def processor() -> HulkDetectionImageProcessor:
    return HulkDetectionImageProcessor.from_task(PERSONS)


@pytest.fixture(scope="module")
def pipe(model, processor) -> HumanDetectionPipeline:
    return HumanDetectionPipeline(model=model, image_processor=processor, threshold=0.0)


@pytest.fixture(scope="module")
def folder(model, processor, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("detection")
    made(HulkForPedestrianDetection, PERSONS).save_pretrained(place)
    processor.save_pretrained(place)
    return place


def assert_same(ours: list[dict], expected: list[dict]) -> None:
    assert [found["label"] for found in ours] == [found["label"] for found in expected]
    scores = [[found["score"] for found in part] for part in (ours, expected)]
    np.testing.assert_allclose(*scores, atol=1e-5)
    places = [np.array([list(found["box"].values()) for found in part]) for part in (ours, expected)]
    # Queries of almost the same score may trade places.
    for score, box in zip(scores[0], places[0], strict=True):
        near = np.abs(np.array(scores[1]) - score) < 2e-5
        assert np.abs(places[1][near] - box).max(axis=1).min() < 1e-2


# Results ------------------------------------------------------------------------------------------------------------


def test_result_is_plain_json(pipe):
    found = pipe(WIDE)
    assert json.loads(json.dumps(found)) == found
    assert len(found) == 48 and all(set(one) == {"score", "label", "box"} for one in found)
    assert all(list(one["box"]) == ["xmin", "ymin", "xmax", "ymax"] for one in found)
    scores = [one["score"] for one in found]
    assert scores == sorted(scores, reverse=True) and {one["label"] for one in found} == {"pedestrian"}
    assert max(scores) - min(scores) > 1e-3 and pipe(WIDE) != pipe(TALL)


def test_result_equals_processor_and_model_by_hand(pipe, model, processor):
    with torch.no_grad():
        outputs = model(**processor(WIDE, return_tensors="pt"))
    expected = processor.post_process_object_detection(outputs, 0.0, [(60, 100)])[0]
    found = pipe(WIDE)
    np.testing.assert_allclose([one["score"] for one in found], expected["scores"].numpy(), atol=1e-6)
    boxes = [list(one["box"].values()) for one in found]
    np.testing.assert_allclose(boxes, expected["boxes"].numpy(), atol=1e-4)


def test_options(pipe):
    everything = pipe(WIDE)
    middle = everything[len(everything) // 2]["score"]
    assert pipe(WIDE, threshold=middle) == [one for one in everything if one["score"] > middle]
    fewer = pipe(WIDE, nms=0.1)
    assert 0 < len(fewer) < len(everything) and fewer[0] == everything[0]
    things = pipe(WIDE, task="detection-things")
    assert len(things) == 27 and {one["label"] for one in things} <= {"person", "car"}
    with pytest.raises(ValueError, match=r"`nms` must be in \[0, 1\], got 2"):
        pipe(WIDE, nms=2)
    with pytest.raises(ValueError, match="detection-unknown"):
        pipe(WIDE, task="detection-unknown")


# Inputs -------------------------------------------------------------------------------------------------------------


def test_kinds_of_one_picture(pipe, tmp_path):
    Image.fromarray(WIDE).save(tmp_path / "picture.png")
    expected = pipe(WIDE)
    for kind in (
        Image.fromarray(WIDE),
        str(tmp_path / "picture.png"),
        tmp_path / "picture.png",
        torch.from_numpy(WIDE).permute(2, 0, 1),
        {"image": WIDE},
    ):
        assert pipe(kind) == expected


class Pictures(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return [WIDE, TALL, SQUARE][index]


@pytest.mark.parametrize("batch_size", [1, 8])
def test_many_pictures(pipe, batch_size):
    pictures = [WIDE, TALL, SQUARE, WIDE[::-1].copy(), TALL]
    expected = [pipe(picture) for picture in pictures]
    for ours, other in zip(pipe(pictures, batch_size=batch_size), expected, strict=True):
        assert_same(ours, other)
    lazy = pipe((picture for picture in pictures), batch_size=batch_size)
    assert not isinstance(lazy, list)
    for ours, other in zip(lazy, expected, strict=True):
        assert_same(ours, other)
    for inputs in (Pictures(), iter([WIDE, TALL, SQUARE]), map(Pictures().__getitem__, range(3))):
        for ours, other in zip(pipe(inputs, batch_size=batch_size), expected[:3], strict=True):
            assert_same(ours, other)
    assert pipe([]) == []
    assert len(pipe(np.stack([WIDE, WIDE]), batch_size=batch_size)) == 2


def test_no_padding_ever(pipe, monkeypatch):
    shapes, forward = [], pipe.model.forward
    monkeypatch.setattr(
        pipe.model,
        "forward",
        lambda **inputs: shapes.append((len(inputs), inputs["pixel_values"].shape)) or forward(**inputs),
    )
    pipe([WIDE, TALL, WIDE, TALL, SQUARE], batch_size=8)
    assert shapes == [(2, (2, 3, 58, 96)), (2, (2, 3, 96, 58)), (2, (1, 3, 64, 64))]


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ({"picture": WIDE}, ValueError, r"`inputs`: a dict must have the key 'image' and no other, got \['picture'\]"),
        ({"image": WIDE, "boxes": []}, ValueError, "`inputs`: a dict must have the key 'image' and no other"),
        (3, TypeError, "`inputs` must be a picture"),
        ("no/such/file.jpg", ValueError, "`inputs`: 'no/such/file.jpg' is neither a picture file"),
        ([WIDE, None], TypeError, "`inputs` must be a PIL image"),
    ],
)
def test_bad_inputs_are_named(pipe, inputs, error, message):
    with pytest.raises(error, match=message):
        pipe(inputs)


def test_model_of_another_family_is_refused():
    pose = made(HulkForPoseEstimation, POSE)
    with pytest.raises(ValueError, match="detection"):
        HumanDetectionPipeline(model=pose, image_processor=HulkPoseImageProcessor.from_task(POSE))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models(folder, processor, dtype):
    model = HulkForPedestrianDetection.from_pretrained(folder, dtype=dtype).eval()
    found = HumanDetectionPipeline(model=model, image_processor=processor, threshold=0.0)(WIDE)
    assert np.isfinite([list(one["box"].values()) for one in found]).all() and len(found) == 48


# transformers' own pipeline -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 2])
def test_stock_object_detection_gives_the_same(folder, batch_size):
    pytest.importorskip("hulk_hf")
    model = HulkForPedestrianDetection.from_pretrained(folder)
    processor = HulkDetectionImageProcessor.from_pretrained(folder)
    stock = transformers.pipeline("object-detection", model=str(folder))
    assert type(stock.model) is HulkForPedestrianDetection
    own = HumanDetectionPipeline(model=model, image_processor=processor, threshold=0.0)
    pictures = [Image.fromarray(WIDE), Image.fromarray(WIDE[::-1].copy())]
    for ours, theirs in zip(own(pictures), stock(pictures, threshold=0.0, batch_size=batch_size), strict=True):
        assert [one["label"] for one in theirs] == ["pedestrian"] * len(ours)
        np.testing.assert_allclose([one["score"] for one in ours], [one["score"] for one in theirs], atol=1e-5)
        for one, other in zip(ours[:5], theirs[:5], strict=True):
            assert {side: int(value) for side, value in one["box"].items()} == other["box"]


# Detectors of the other pipelines -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pose() -> HumanPosePipeline:
    return HumanPosePipeline(
        model=made(HulkForPoseEstimation, POSE), image_processor=HulkPoseImageProcessor.from_task(POSE)
    )


# Of RT-DETR and D-FINE.
SMALL_DETR = {
    "encoder_in_channels": [8, 16, 16],
    "encoder_hidden_dim": 16,
    "encoder_ffn_dim": 16,
    "encoder_attention_heads": 2,
    "decoder_in_channels": [16, 16, 16],
    "d_model": 16,
    "decoder_ffn_dim": 16,
    "decoder_attention_heads": 2,
    "num_queries": 20,
    "num_denoising": 0,
}


def rt_detr_folder(place: Path, names: dict[int, str]) -> Path:
    """A small RT-DETR of random weights, as a folder that `transformers.pipeline` loads."""
    torch.manual_seed(0)
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], out_features=["stage2", "stage3", "stage4"]
    )
    settings = transformers.RTDetrConfig(
        backbone_config=backbone,
        **SMALL_DETR,
        decoder_layers=1,
        id2label=names,
        label2id={name: index for index, name in names.items()},
    )
    shaken(transformers.RTDetrForObjectDetection(settings)).save_pretrained(place)
    settings = {"image_processor_type": "RTDetrImageProcessor", "size": {"height": 64, "width": 64}}
    (place / "preprocessor_config.json").write_text(json.dumps({**settings, "do_normalize": False}))
    return place


@pytest.fixture(scope="module")
def rt_detr(tmp_path_factory) -> Path:
    return rt_detr_folder(tmp_path_factory.mktemp("rt_detr"), {0: "person", 1: "dog"})


@pytest.fixture(scope="module")
def d_fine(tmp_path_factory) -> Path:
    """A small D-FINE of random weights that calls everything a person."""
    place = tmp_path_factory.mktemp("d_fine")
    torch.manual_seed(0)
    backbone = transformers.HGNetV2Config(
        embedding_size=8,
        stem_channels=[3, 8, 8],
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        stage_in_channels=[8, 8, 8, 16],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[8, 8, 16, 16],
        stage_num_blocks=[1, 1, 1, 1],
        stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, True, True],
        stage_kernel_size=[3, 3, 3, 3],
        stage_numb_of_layers=[1, 1, 1, 1],
        out_features=["stage2", "stage3", "stage4"],
    )
    settings = transformers.DFineConfig(
        backbone_config=backbone,
        **SMALL_DETR,
        decoder_layers=2,
        id2label={0: "person"},
        label2id={"person": 0},
    )
    shaken(transformers.DFineForObjectDetection(settings)).save_pretrained(place)
    settings = {"image_processor_type": "RTDetrImageProcessor", "size": {"height": 64, "width": 64}}
    (place / "preprocessor_config.json").write_text(json.dumps({**settings, "do_normalize": False}))
    return place


@pytest.mark.parametrize("kind", ["rt_detr", "d_fine"])
def test_detector_from_transformers_by_folder(pose, kind, request):
    place = request.getfixturevalue(kind)
    found = HulkPersonDetector(str(place), threshold=0.0)
    boxes, scores = found(torch.from_numpy(WIDE).permute(2, 0, 1))
    assert len(boxes) > 0 and scores.tolist() == sorted(scores.tolist(), reverse=True)
    corners = boxes.clone()
    corners[:, 2:] += corners[:, :2]
    assert (corners >= 0).all() and (corners <= torch.tensor([100, 60, 100, 60])).all()
    raw = transformers.pipeline("object-detection", model=str(place))(Image.fromarray(WIDE), threshold=0.0)
    assert {one["label"] for one in raw} == {"person"}  # what the random weights happen to say
    persons = pose(WIDE, detector=str(place), detector_threshold=0.0)
    inside = [
        np.clip([one["box"][side] for side in ("xmin", "ymin", "xmax", "ymax")], 0, [100, 60] * 2) for one in raw
    ]
    assert len(persons) == len(boxes) == sum(min(box[2:] - box[:2]) > 1 for box in inside), "all but those of a pixel"
    np.testing.assert_allclose([list(person["box"].values()) for person in persons], corners.numpy())
    assert pose(WIDE, detector=str(place), detector_threshold=1.0) == []
    given = pose(WIDE, boxes=boxes.tolist())
    np.testing.assert_allclose(given[0]["keypoints"], persons[0]["keypoints"], atol=1e-3)


def test_detector_that_finds_other_classes(pose, tmp_path):
    place = rt_detr_folder(tmp_path, {0: "dog", 1: "person"})
    raw = transformers.pipeline("object-detection", model=str(place))(Image.fromarray(WIDE), threshold=0.0)
    assert {one["label"] for one in raw} == {"dog"}
    assert pose(WIDE, detector=str(place), detector_threshold=0.0) == []


def test_detector_without_a_class_of_persons(pose, tmp_path):
    place = rt_detr_folder(tmp_path, {0: "cat", 1: "dog"})
    with pytest.raises(ValueError, match=r"`detector` must know a class named one of .*'cat', 'dog'"):
        pose(WIDE, detector=str(place))


def box(xmin, ymin, xmax, ymax, label="person", score=0.9) -> dict:
    sides = dict(zip(("xmin", "ymin", "xmax", "ymax"), (xmin, ymin, xmax, ymax), strict=True))
    return {"box": sides, "score": score, "label": label}


@pytest.mark.parametrize(
    "answer",
    [
        [box(10, 5, 40, 50), box(0, 0, 90, 50, label="car"), box(50, 5, 80, 50, score=0.2)],
        [box(50, 5, 80, 50, label="dog"), box(10, 5, 40, 50, label="Pedestrian")],
        np.array([[10, 5, 40, 50]]),
        sv.Detections(xyxy=np.array([[10.0, 5, 40, 50]]), confidence=np.array([0.9])),
        sv.Detections(
            xyxy=np.array([[0.0, 0, 90, 50], [10, 5, 40, 50]]),
            confidence=np.array([0.95, 0.9]),
            data={"class_name": np.array(["car", "person"])},
        ),
    ],
)
def test_only_persons_are_looked_at(pose, answer):
    persons = pose([WIDE, TALL], detector=lambda image: answer)
    assert [len(part) for part in persons] == [1, 1]
    assert persons[0][0]["box"] == {"xmin": 10.0, "ymin": 5.0, "xmax": 40.0, "ymax": 50.0}


@pytest.mark.parametrize(
    "answer", [[], [box(0, 0, 9, 9, label="car")], np.zeros((0, 4)), sv.Detections.empty(), [box(200, 5, 240, 50)]]
)
def test_nobody_found(pose, answer):
    assert pose(WIDE, detector=lambda image: answer) == []
    assert pose([WIDE, TALL], detector=lambda image: answer, batch_size=8) == [[], []]


def test_pipeline_as_detector_of_another(pipe, pose):
    clipped = []
    for one in pipe(WIDE):
        xmin, ymin, xmax, ymax = one["box"].values()
        box = [max(xmin, 0), max(ymin, 0), min(xmax, 100), min(ymax, 60)]
        if box[2] - box[0] > 1 and box[3] - box[1] > 1:
            clipped.append((one["score"], box))
    persons = pose(WIDE, detector=pipe, detector_threshold=clipped[3][0] - 1e-6)
    assert len(persons) == 4
    for person, (score, box) in zip(persons, clipped, strict=False):
        np.testing.assert_allclose(list(person["box"].values()), box, atol=1e-4)
        joints = np.mean([value for value in person["keypoint_scores"] if value > 0.2] or [0])
        assert person["score"] == pytest.approx(score * joints, abs=1e-6)


def test_hulk_as_its_own_detector(tmp_path):
    made(HulkForHumanAnalysis, POSE, PERSONS).save_pretrained(tmp_path)
    HulkPoseImageProcessor.from_task(POSE).save_pretrained(tmp_path)
    pose = HumanPosePipeline(
        model=HulkForPoseEstimation.from_pretrained(tmp_path),
        image_processor=HulkPoseImageProcessor.from_pretrained(tmp_path),
    )
    detector = HumanDetectionPipeline(
        model=HulkForPedestrianDetection.from_pretrained(tmp_path),
        image_processor=HulkDetectionImageProcessor.from_task(PERSONS),
    )
    expected = pose(WIDE, detector=detector, detector_threshold=0.01)
    assert expected and pose(WIDE, detector="hulk", detector_threshold=0.01) == expected


def test_hulk_as_detector_obeys_the_settings_of_its_folder(tmp_path):
    made(HulkForHumanAnalysis, POSE, PERSONS).save_pretrained(tmp_path)
    size = {"shortest_edge": 32, "longest_edge": 48}
    smaller = HulkDetectionImageProcessor.from_task(PERSONS, size=size)
    HulkProcessor(
        processors={POSE.name: HulkPoseImageProcessor.from_task(POSE), PERSONS.name: smaller}
    ).save_pretrained(tmp_path)
    model = HulkForPoseEstimation.from_pretrained(tmp_path)
    found = HulkPersonDetector("hulk", 0.0, model=model)
    assert dict(found.detector.task_processor(None).size)["shortest_edge"] == 32


def test_hulk_without_detection_task_or_folder(pose, tmp_path):
    with pytest.raises(ValueError, match="`detector`: 'hulk' is the detection task of a checkpoint"):
        pose(WIDE, detector="hulk")
    HulkForPoseEstimation(config(POSE)).save_pretrained(tmp_path)
    HulkPoseImageProcessor.from_task(POSE).save_pretrained(tmp_path)
    loaded = HumanPosePipeline(
        model=HulkForPoseEstimation.from_pretrained(tmp_path),
        image_processor=HulkPoseImageProcessor.from_pretrained(tmp_path),
    )
    with pytest.raises(ValueError, match=r"`detector`: 'hulk' needs a checkpoint with a detection task.*pose-small"):
        loaded(WIDE, detector="hulk")
