# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-mesh`: inputs, outputs, batches, and what it says without a body model."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_mesh_hulk import HulkMeshImageProcessor
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.mesh_geometry_hulk import project_to_image
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.modeling_mesh_hulk import HulkForMeshRecovery
from hulk_hf.modeling.pipeline_mesh_hulk import HumanMeshPipeline
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS
from hulk_hf.synthetic.open_body import open_body

IMAGE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
OTHER = IMAGE[::-1].copy()
BOXES = [[10.0, 5.0, 60.0, 100.0], [-12.0, 20.0, 80.0, 90.0], [70.0, 10.0, 50.0, 100.0]]
NUMBERS = ("joints", "joints_2d", "vertices")


class Counted:
    """Stands in for the network and writes down how many persons each pass had."""

    def __init__(self, model):
        self.model, self.passes = model, []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def __call__(self, pixel_values, **kwargs):
        self.passes.append(len(pixel_values))
        return self.model(pixel_values=pixel_values, **kwargs)


def config_of(*tasks: str) -> HulkConfig:
    return HulkConfig(
        vision_config={"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
        decoder_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16},
        text_feature_size=8,
        tasks=list(tasks),
    )


@pytest.fixture(scope="module")
def model() -> HulkForMeshRecovery:
    torch.manual_seed(0)
    model = HulkForMeshRecovery(config_of("mesh-open", "pose-coco")).eval()
    model.set_body("mesh-open", open_body())
    model.mesh_head.coordinates.weight.data.mul_(10)  # so that persons differ
    return model


@pytest.fixture(scope="module")
def processor() -> HulkMeshImageProcessor:
    return HulkMeshImageProcessor.from_task(KNOWN_TASKS["mesh-open"], padding_factor=1.1)


@pytest.fixture(scope="module")
def pipe(model, processor) -> HumanMeshPipeline:
    return HumanMeshPipeline(model=model, image_processor=processor)


@pytest.fixture
def counted(pipe, monkeypatch) -> Counted:
    stand_in = Counted(pipe.model)
    monkeypatch.setattr(pipe, "model", stand_in)
    return stand_in


def assert_same(ours: list[dict], expected: list[dict]) -> None:
    assert len(ours) == len(expected)
    for one, other in zip(ours, expected, strict=True):
        assert one["box"] == other["box"] and one["labels"] == other["labels"] and one["score"] == other["score"]
        for name in NUMBERS:
            np.testing.assert_allclose(one[name], other[name], atol=1e-3 if name == "joints_2d" else 1e-5)
        assert one["camera"] == pytest.approx(other["camera"], rel=1e-4, abs=1e-3)


def test_result(pipe):
    persons = pipe(IMAGE, boxes=BOXES)
    assert len(persons) == 3
    person = persons[1]
    assert set(person) == {
        *("box", "score", "joints", "joints_2d", "labels", "vertices", "faces", "camera", "body", "license")
    }
    assert person["box"] == {"xmin": -12.0, "ymin": 20.0, "xmax": 68.0, "ymax": 110.0} and person["score"] == 1
    assert person["vertices"].shape == (500, 3) and person["vertices"].dtype == np.float32
    assert np.array_equal(person["faces"], open_body().faces[0].numpy()) and person["faces"].dtype == np.int32
    assert person["body"] == "open body" and person["license"] == "CC0 1.0"
    assert person["labels"] == list(KNOWN_TASKS["mesh-open"].labels)
    assert np.shape(person["joints"]) == (14, 3) and np.shape(person["joints_2d"]) == (14, 2)
    plain = {key: value for key, value in person.items() if key not in ("vertices", "faces")}
    assert json.loads(json.dumps(plain)) == plain
    assert not np.allclose(persons[0]["vertices"], persons[2]["vertices"], atol=1e-4)


def test_changing_a_result_changes_nothing_else(pipe):
    persons = pipe(IMAGE, boxes=BOXES)
    persons[0]["vertices"][:] = 7
    persons[0]["faces"][:] = 7
    assert not (persons[1]["vertices"] == 7).any()
    assert np.array_equal(pipe(IMAGE, boxes=BOXES)[0]["faces"], open_body().faces[0].numpy())


@torch.no_grad()
def test_result_equals_processor_and_model_by_hand(pipe, model, processor):
    outputs = model(**processor(IMAGE, boxes=BOXES, return_tensors="pt"))
    expected = processor.post_process_human_mesh(outputs, [BOXES])[0]
    for ours, other in zip(pipe(IMAGE, boxes=BOXES), expected, strict=True):
        np.testing.assert_allclose(ours["vertices"], other["vertices"], atol=1e-5)
        np.testing.assert_allclose(ours["joints"], other["joints"], atol=1e-5)
        np.testing.assert_allclose(ours["joints_2d"], other["joints_2d"], atol=1e-3)


def test_the_camera_places_joints_and_vertices(pipe):
    for person, box in zip(pipe(IMAGE, boxes=BOXES), BOXES, strict=True):
        camera = person["camera"]
        joints = np.array(person["joints"])
        seen = camera["pixels_per_metre"] * joints[:, :2] + [camera["x"], camera["y"]]
        np.testing.assert_allclose(seen, person["joints_2d"], atol=1e-3)
        crop = [camera["scale"], camera["tx"], camera["ty"]]
        again = project_to_image(torch.from_numpy(joints), crop, box, padding_factor=1.1)
        np.testing.assert_allclose(again, seen, atol=1e-3)


def test_kinds_of_one_picture(pipe, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "picture.png")
    expected = pipe(IMAGE, boxes=BOXES)
    for kind in (Image.fromarray(IMAGE), str(tmp_path / "picture.png"), torch.from_numpy(IMAGE).permute(2, 0, 1)):
        assert_same(pipe(kind, boxes=BOXES), expected)
    assert_same(pipe({"image": IMAGE, "boxes": BOXES}), expected)
    corners = [[x, y, x + w, y + h] for x, y, w, h in BOXES]
    assert_same(pipe(IMAGE, boxes=corners, box_format="xyxy"), expected)


def test_without_boxes_the_whole_picture_or_what_a_detector_finds(pipe):
    assert_same(pipe(IMAGE), pipe(IMAGE, boxes=[[0, 0, 160, 120]]))
    found = pipe(IMAGE, detector=lambda picture: np.array([[10, 5, 70, 105]]))
    assert_same(found, pipe(IMAGE, boxes=BOXES[:1]))


def test_no_boxes_give_no_persons_and_cost_no_pass(pipe, counted):
    assert pipe(IMAGE, boxes=[]) == [] and pipe([IMAGE, OTHER], boxes=[[], []]) == [[], []] and pipe([]) == []
    assert counted.passes == []


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_list_of_pictures(pipe, batch_size):
    boxes, images = [BOXES, [], None, BOXES[:1]], [IMAGE, IMAGE, OTHER, OTHER]
    results = pipe(images, boxes=boxes, batch_size=batch_size)
    assert [len(persons) for persons in results] == [3, 0, 1, 1]
    for ours, image, part in zip(results, images, boxes, strict=True):
        assert_same(ours, pipe(image, boxes=part))


class Pictures(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return {"image": IMAGE, "boxes": BOXES[:index]}


def test_generators_and_data_sets_are_lazy(pipe):
    results = pipe(({"image": IMAGE, "boxes": BOXES[:1]} for _ in range(10**6)), batch_size=2)
    assert_same(next(iter(results)), pipe(IMAGE, boxes=BOXES[:1]))
    for ours, count in zip(pipe(Pictures(), batch_size=2), range(3), strict=True):
        assert_same(ours, pipe(IMAGE, boxes=BOXES[:count]))


def test_folders(model, processor, pipe, tmp_path):
    """Tables of an open body come back with the checkpoint; the settings beside it may be those of another family."""
    model.save_pretrained(tmp_path)
    loaded = HulkForMeshRecovery.from_pretrained(tmp_path)
    assert_same(
        HumanMeshPipeline(model=loaded, image_processor=processor)(IMAGE, boxes=BOXES), pipe(IMAGE, boxes=BOXES)
    )
    other = HulkPoseImageProcessor(image_mean=[0.4, 0.5, 0.6])
    made = HumanMeshPipeline(model=loaded, image_processor=other).image_processor
    assert made.family == "mesh" and list(made.image_mean) == [0.4, 0.5, 0.6] and made.padding_factor == 1.25


def test_the_class_with_all_heads(model, processor, pipe):
    torch.manual_seed(0)
    everything = HulkForHumanAnalysis(config_of("mesh-open", "pose-coco")).eval()
    everything.set_body("mesh-open", open_body())
    everything.load_state_dict(model.state_dict(), strict=False)
    ours = HumanMeshPipeline(model=everything, image_processor=processor)(IMAGE, boxes=BOXES)
    assert_same(ours, pipe(IMAGE, boxes=BOXES))
    assert ours[0]["body"] == "open body"


def test_without_a_body_model_the_error_says_what_to_do():
    model = HulkForMeshRecovery(config_of("mesh-smpl")).eval()
    pipe = HumanMeshPipeline(model=model, image_processor=HulkMeshImageProcessor.from_task(KNOWN_TASKS["mesh-smpl"]))
    with pytest.raises(ValueError, match="no body model is set.*set_body.*body_tables"):
        pipe(IMAGE, boxes=BOXES)
    assert pipe(IMAGE, boxes=[]) == []


def test_a_body_without_faces(processor):
    torch.manual_seed(0)
    model = HulkForMeshRecovery(config_of("mesh-open")).eval()
    body = open_body()
    object.__setattr__(body, "faces", ())
    model.set_body("mesh-open", body)
    person = HumanMeshPipeline(model=model, image_processor=processor)(IMAGE)[0]
    assert person["faces"] is None and person["vertices"].shape == (500, 3)


def test_bad_input(pipe):
    with pytest.raises(ValueError, match=r"`boxes\[0\]` must have finite coordinates"):
        pipe(IMAGE, boxes=[[0, 0, -5, 9]])
    with pytest.raises(ValueError, match="no task 'mesh-smpl' in this checkpoint"):
        pipe(IMAGE, task="mesh-smpl")
    with pytest.raises(TypeError, match="`inputs` must be a picture"):
        pipe(3)
    with pytest.raises(ValueError, match="`inputs`: 'nowhere.png' is neither"):
        pipe("nowhere.png")
    with pytest.raises(TypeError):
        pipe(IMAGE, threshold=0.5)
