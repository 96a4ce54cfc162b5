# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Squares are cut out of pictures, annotations become targets, and bodies go back to where they were."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation
from torch.nn import functional as F

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_mesh_hulk import HulkMeshImageProcessor
from hulk_hf.modeling.mesh_geometry_hulk import (
    MIRRORED_JOINTS,
    SUPERSET_JOINTS,
    TARGET_JOINTS,
    boxes_to_squares,
    cut_rotated,
    cut_squares,
    joints_to_crop,
    joints_to_picture,
    mirror_angles,
    mirror_joints,
    picture_camera,
    project_to_image,
    rotate_angles,
    rotate_joints,
    square_windows,
)
from hulk_hf.modeling.modeling_mesh_hulk import HulkForMeshRecovery
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS
from hulk_hf.synthetic.open_body import open_body

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
PIXELS = torch.from_numpy(IMAGE).permute(2, 0, 1)
BOXES = [[10.0, 5.0, 60.0, 80.0], [-40.0, -30.0, 70.0, 60.0], [80.0, 40.0, 90.0, 30.0]]
OPEN = KNOWN_TASKS["mesh-open"]
centers = st.tuples(st.floats(-60, 180), st.floats(-60, 150))


@pytest.fixture(scope="module")
def processor() -> HulkMeshImageProcessor:
    return HulkMeshImageProcessor.from_task(OPEN, padding_factor=1.0)


def square(center, side) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([center], dtype=torch.float64), torch.tensor([side], dtype=torch.float64)


# Squares and crops --------------------------------------------------------------------------------------------------


def test_squares_of_boxes_by_hand():
    center, side = boxes_to_squares([[10, 20, 30, 80], [0, 0, 100, 50]], 1.25)
    assert center.tolist() == [[25, 60], [50, 25]] and side.tolist() == [100, 125]


@given(centers, st.floats(0.01, 400), st.sampled_from([32, 224]))
def test_windows_are_the_truncated_edges_but_for_rounding(center, side, size):
    left, top, right, bottom = square_windows(*square(center, side), size)[0].tolist()
    for near, far, middle in ((left, right, center[0]), (top, bottom, center[1])):
        assert near in {math.trunc(middle - side / 2 + nudge) for nudge in (-1e-9, 0, 1e-9)}
        expected = {math.trunc(middle + side / 2 + nudge) for nudge in (-1e-9, 0, 1e-9)}
        assert far in expected or (far == near + 1 and max(expected) <= near)
    assert right > left and bottom > top


@given(centers, st.floats(2, 300), st.sampled_from([16, 64]))
def test_crops_equal_cutting_and_resizing_at_all_borders(center, side, size):
    windows = square_windows(*square(center, side), size)
    left, top, right, bottom = windows[0].tolist()
    pad = 400
    large = F.pad(PIXELS.double(), (pad, pad, pad, pad))
    cut = large[:, top + pad : bottom + pad, left + pad : right + pad]
    expected = F.interpolate(cut[None], (size, size), mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(cut_squares(PIXELS, windows, size)[0], expected.float(), atol=1e-4, rtol=0)


def test_windows_far_outside_are_black_and_huge_ones_cheap():
    windows = torch.tensor([[500, 500, 600, 600], [-(10**8), -(10**8), 10**8, 10**8], [-300, 10, -200, 110]])
    crops = cut_squares(PIXELS, windows, 32)
    assert not crops[0].any() and not crops[2].any() and crops[1].isfinite().all()


def test_a_crop_of_the_size_of_the_input_is_the_picture(processor):
    image = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    out = processor(image, do_rescale=False, do_normalize=False, return_tensors="pt")["pixel_values"][0]
    assert torch.equal(out, torch.from_numpy(image).permute(2, 0, 1).float())


def test_a_turned_crop_by_an_independent_library():
    """Pillow turns about the same centre; at right angles both are exact."""
    windows = square_windows(*square((60, 45), 64.0), 64)[0]
    plain = cut_squares(PIXELS, windows[None], 64)[0]
    assert torch.equal(cut_rotated(PIXELS, windows, 64, 0.0), plain)
    for quarter in (1, 2, 3, -1):
        ours = cut_rotated(PIXELS, windows, 64, 90.0 * quarter)
        torch.testing.assert_close(ours, torch.rot90(plain, quarter, (1, 2)), atol=1e-4, rtol=0)
    smooth = Image.fromarray(IMAGE[5:15, 5:15]).resize((90, 90), Image.Resampling.BICUBIC)
    large = torch.from_numpy(np.array(smooth)).permute(2, 0, 1)
    ours = cut_rotated(large, (13, 13, 77, 77), 64, 30.0)
    turned = np.array(smooth.rotate(30, Image.Resampling.BILINEAR))[13:77, 13:77]
    difference = (ours - torch.from_numpy(turned).permute(2, 0, 1)).abs()
    assert difference.mean() < 0.6 and difference.max() < 6


def test_joints_turn_with_the_picture():
    dot = torch.zeros(3, 101, 101, dtype=torch.uint8)
    dot[:, 28:33, 68:73] = 255
    center, side = square((50.0, 50.0), 101.0)
    crop = cut_rotated(dot, square_windows(center, side, 202)[0], 202, 25.0)
    row, column = np.unravel_index(int(crop[0].argmax()), (202, 202))
    blob = (crop[0] > 128).nonzero().float().mean(dim=0)
    place = joints_to_crop(torch.tensor([[[70.0, 30.0]]]), center, side, 202, 25.0)[0, 0]
    expected = (place + 1) / 2 * 202
    assert abs(expected[0] - blob[1]) < 2 and abs(expected[1] - blob[0]) < 2 and row < column


# Targets ------------------------------------------------------------------------------------------------------------


def test_joints_by_hand():
    """One pixel more than the place in the crop, which is cut off towards zero."""
    center, side = square((50.0, 40.0), 100.0)
    joints = torch.tensor([[[50.0, 40.0, 0.5], [62.34, 27.66, 1.0], [-60.0, 40.0, 1.0]]])
    ours = joints_to_crop(joints, center, side, 200)[0]
    pixels = [[101, 101], [124 + 1, 75 + 1], [-120 + 1, 101]]
    expected = [[2 * x / 200 - 1, 2 * y / 200 - 1, c] for (x, y), c in zip(pixels, (0.5, 1, 1), strict=True)]
    np.testing.assert_allclose(ours, expected, atol=1e-12)


@given(centers, st.floats(1, 400), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=5))
def test_to_the_crop_and_back(center, side, shares):
    """Within half a pixel of the crop, in which targets are cut off."""
    middle, length = square(center, side)
    joints = (torch.tensor([shares], dtype=torch.float64) - 0.5) * side + middle
    back = joints_to_picture(joints_to_crop(joints, middle, length, 224), middle, length, 224)
    assert ((back - joints).abs() <= (0.5 + 1e-6) * side / 224).all()


@given(st.floats(-180, 180), st.lists(st.floats(-2, 2), min_size=6, max_size=6))
def test_turned_and_back(rotation, numbers):
    joints = torch.tensor(numbers, dtype=torch.float64).view(1, 2, 3)
    torch.testing.assert_close(rotate_joints(rotate_joints(joints, rotation), -rotation), joints, atol=1e-9, rtol=0)


def test_mirrored_and_back():
    joints = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mirror_joints(mirror_joints(joints)), joints)
    angles = torch.randn(72, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mirror_angles(mirror_angles(angles)), angles)
    swapped = [name.replace("left", "*").replace("right", "left").replace("*", "right") for name in SUPERSET_JOINTS]
    assert [SUPERSET_JOINTS[index] for index in MIRRORED_JOINTS] == swapped
    assert [SUPERSET_JOINTS[index] for index in TARGET_JOINTS] == list(OPEN.labels)


@given(st.floats(-180, 180), st.lists(st.floats(-1.8, 1.8), min_size=3, max_size=3))
def test_turned_bodies_by_an_independent_library(rotation, root):
    angles = torch.tensor([*root, *[0.1] * 69], dtype=torch.float64)
    ours = rotate_angles(angles, rotation)
    assert torch.equal(ours[3:], angles[3:]) and ours[:3].norm() <= math.pi + 1e-9
    expected = Rotation.from_euler("z", -rotation, degrees=True) * Rotation.from_rotvec(root)
    np.testing.assert_allclose(Rotation.from_rotvec(ours[:3]).as_matrix(), expected.as_matrix(), atol=1e-9)


def test_a_mirrored_body_by_an_independent_library():
    """The mirror image of a rotation R about the plane x = 0 is M R M."""
    angles = torch.zeros(72, dtype=torch.float64)
    angles[3:6] = torch.tensor([0.4, -0.8, 0.3])  # of the left hip
    ours = mirror_angles(angles).view(24, 3)
    mirror = np.diag([-1, 1, 1])
    expected = mirror @ Rotation.from_rotvec(angles[3:6]).as_matrix() @ mirror
    np.testing.assert_allclose(Rotation.from_rotvec(ours[2]).as_matrix(), expected, atol=1e-12)
    assert not ours[[0, 1, *range(3, 24)]].any()


# The processor: before ----------------------------------------------------------------------------------------------


def test_shapes_and_normalisation(processor):
    plain = processor(IMAGE, boxes=BOXES, do_rescale=False, do_normalize=False, return_tensors="pt")["pixel_values"]
    assert plain.shape == (3, 3, 224, 224) and plain.dtype == torch.float32
    ours = processor(IMAGE, boxes=BOXES, return_tensors="pt")["pixel_values"]
    mean, std = (torch.tensor(value)[:, None, None] for value in (processor.image_mean, processor.image_std))
    torch.testing.assert_close(ours, (plain / 255 - mean) / std, atol=1e-5, rtol=0)
    square = cut_squares(PIXELS, square_windows(*boxes_to_squares(BOXES), 224), 224)
    assert torch.equal(plain, square)
    padded = processor(
        IMAGE, boxes=BOXES, padding_factor=1.2, do_rescale=False, do_normalize=False, return_tensors="pt"
    )
    assert torch.equal(
        padded["pixel_values"], cut_squares(PIXELS, square_windows(*boxes_to_squares(BOXES, 1.2), 224), 224)
    )


def test_pictures_and_persons_in_any_number(processor):
    together = processor([IMAGE, IMAGE, IMAGE], boxes=[BOXES, [], None], return_tensors="pt")["pixel_values"]
    apart = processor(IMAGE, boxes=BOXES, return_tensors="pt")["pixel_values"]
    whole = processor(IMAGE, boxes=[[0, 0, 120, 90]], return_tensors="pt")["pixel_values"]
    assert torch.equal(together, torch.cat([apart, whole]))
    assert processor(IMAGE, boxes=[], return_tensors="pt")["pixel_values"].shape == (0, 3, 224, 224)


def person_annotation() -> dict:
    random = np.random.default_rng(3)
    joints_2d = np.concatenate([random.uniform(10, 80, (14, 2)), np.ones((14, 1))], axis=1)
    joints_2d[2] = [np.nan, np.nan, 0]
    return {
        "joints_2d": joints_2d,
        "joints_3d": random.normal(size=(14, 3)),
        "vertices": random.normal(size=(500, 3)).astype(np.float32),
    }


def test_targets(processor):
    person = person_annotation()
    meshes = [[person, {}, {"joints_2d": np.full((14, 2), 45.0)}]]
    labels = processor([IMAGE], boxes=[BOXES], meshes=meshes, return_tensors="pt")["labels"]
    assert {name: value.shape for name, value in labels.items() if name != "vertices"} == {
        "joints_2d": (3, 14, 3),
        "joints_3d": (3, 14, 4),
        "has_3d_joints": (3,),
        "has_smpl": (3,),
    }
    assert labels["has_3d_joints"].tolist() == labels["has_smpl"].tolist() == [1, 0, 0]
    center, side = boxes_to_squares(BOXES)
    expected = joints_to_crop(torch.from_numpy(person["joints_2d"])[None], center[:1], side[:1], 224)[0]
    expected[2] = 0
    torch.testing.assert_close(labels["joints_2d"][0], expected.float())
    assert not labels["joints_2d"][1].any() and (labels["joints_2d"][2, :, 2] == 1).all()
    np.testing.assert_allclose(labels["joints_3d"][0, :, :3], person["joints_3d"], atol=1e-6)
    assert labels["joints_3d"][0, :, 3].eq(1).all() and not labels["joints_3d"][1:].any()
    assert [tuple(level.shape) for level in labels["vertices"]] == [(3, 500, 3)]
    assert np.array_equal(labels["vertices"][0][0], person["vertices"])
    only = processor(IMAGE, boxes=BOXES[:1], meshes=[{"joints_3d": person["joints_3d"]}], return_tensors="pt")
    assert set(only["labels"]) == {"joints_3d", "has_3d_joints"}


def test_targets_train_the_network(processor):
    torch.manual_seed(0)
    model = HulkForMeshRecovery(HulkConfig.preset("hulk-tiny", tasks=["mesh-open"])).eval()
    model.set_body("mesh-open", open_body())
    inputs = processor(IMAGE, boxes=BOXES[:2], meshes=[person_annotation(), {}], return_tensors="pt")
    outputs = model(**inputs)
    assert outputs.loss.isfinite() and set(outputs.loss_dict) == {"joints_3d", "vertices", "joints_2d", "edge_normal"}


def test_settings_are_stored(processor, tmp_path):
    other = HulkMeshImageProcessor.from_task(OPEN, padding_factor=1.15)
    other.save_pretrained(tmp_path)
    loaded = HulkMeshImageProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict() == other.to_dict() and loaded.padding_factor == 1.15
    stored = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert stored["image_processor_type"] == "HulkMeshImageProcessor" and stored["body_vertices"] == [500]
    assert processor.padding_factor == 1.0 and HulkMeshImageProcessor().padding_factor == 1.25
    assert HulkMeshImageProcessor().body_vertices == [431, 1723, 6890]


# The processor: after -----------------------------------------------------------------------------------------------


def outputs_of(count: int) -> dict:
    generator = torch.Generator().manual_seed(count)
    return {
        "camera": torch.tensor([0.9, 0.05, -0.1]) + 0.01 * torch.randn(count, 3, generator=generator),
        "mesh_joints_3d": 0.3 * torch.randn(count, 14, 3, generator=generator),
        "vertices": (torch.zeros(count, 7, 3), 0.3 * torch.randn(count, 500, 3, generator=generator)),
    }


def test_a_body_in_the_picture_by_hand(processor):
    """A square of 100 pixels about (50, 60): the crop's middle, less half a pixel of the crop."""
    outputs = {
        "camera": torch.tensor([[0.8, 0.1, -0.2]]),
        "mesh_joints_3d": torch.zeros(1, 14, 3),
        "vertices": (torch.tensor([[[0.5, 0.25, 3.0]]]),),
    }
    person = processor.post_process_human_mesh(outputs, [[20, 10, 60, 100]])[0][0]
    half = 0.5 * 100 / 224
    expected = [50 + 0.8 * 0.1 * 50 - half, 60 - 0.8 * 0.2 * 50 - half]
    np.testing.assert_allclose(person["joints_2d"], [expected] * 14, atol=1e-4)
    np.testing.assert_allclose(person["picture_camera"], [40, *expected], atol=1e-4)
    assert person["bbox"].tolist() == [20, 10, 80, 110]
    seen = project_to_image(person["vertices"], person["camera"], [20, 10, 60, 100])
    np.testing.assert_allclose(seen, [[expected[0] + 20, expected[1] + 10]], atol=1e-4)


def test_bodies_of_pictures(processor):
    outputs = outputs_of(4)
    found = processor.post_process_human_mesh(outputs, [BOXES[:1], [], BOXES])
    assert [len(persons) for persons in found] == [1, 0, 3]
    person = found[2][1]
    assert {name: tuple(value.shape) for name, value in person.items()} == {
        "vertices": (500, 3),
        "joints": (14, 3),
        "joints_2d": (14, 2),
        "camera": (3,),
        "picture_camera": (3,),
        "labels": (14,),
        "bbox": (4,),
    }
    assert torch.equal(person["vertices"], outputs["vertices"][1][2])
    seen = project_to_image(person["joints"], person["camera"], BOXES[1])
    torch.testing.assert_close(person["joints_2d"].double(), seen, atol=1e-4, rtol=0)
    corners = [[x, y, x + w, y + h] for x, y, w, h in BOXES]
    again = processor.post_process_human_mesh(outputs, [corners[:1], [], corners], box_format="xyxy")
    torch.testing.assert_close(again[2][1]["joints_2d"], person["joints_2d"])
    shares = [[[x / 120, y / 90, w / 120, h / 90] for x, y, w, h in part] for part in (BOXES[:1], [], BOXES)]
    scaled = processor.post_process_human_mesh(outputs, shares, target_sizes=[(90, 120)] * 3)
    torch.testing.assert_close(scaled[2][1]["joints_2d"], person["joints_2d"], atol=1e-3, rtol=0)
    assert processor.post_process_human_mesh(outputs_of(0), [[], []]) == [[], []]


@given(centers, st.floats(5, 300), st.floats(5, 300), st.floats(0.5, 2), st.floats(0.3, 2))
def test_targets_are_what_the_way_back_takes_them_for(corner, width, height, padding, scale):
    """A body that is seen where the targets are lies where the annotations were."""
    box = [*corner, width, height]
    camera = torch.tensor([scale, 0.1, -0.2], dtype=torch.float64)
    points = torch.rand(1, 9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 0.5
    seen = project_to_image(points[0], camera, box, padding_factor=padding)
    target = joints_to_crop(seen[None], *boxes_to_squares([box], padding), 224)[0]
    in_crop = camera[0] * (points[0, :, :2] + camera[1:])
    assert ((target - in_crop).abs() <= 2 / 224 * (1.5 + 1e-6)).all()
    assert ((target - in_crop).abs() <= 2 / 224 * (0.5 + 1e-6))[(in_crop > -0.99).all(dim=1)].all()


def test_the_camera_of_the_picture_is_that_of_the_crop():
    cameras = torch.tensor([[0.9, 0.0, 0.0], [1.1, 0.2, -0.3]])
    seen = picture_camera(cameras, BOXES[:2], 224, 1.3)
    for camera, box, (scale, u, v) in zip(cameras, BOXES, seen.tolist(), strict=False):
        points = torch.tensor([[0.0, 0, 0], [0.3, -0.7, 2]])
        expected = points[:, :2].double() * scale + torch.tensor([u, v], dtype=torch.float64)
        torch.testing.assert_close(project_to_image(points, camera, box, 224, 1.3), expected)


# Bad input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meshes", "match"),
    [
        ([{}], "`meshes` must be a list of one dict per box, 2, got 1"),
        ({"joints_2d": 1}, "`meshes` must be a list of one dict per box, 2, got"),
        ([{}, {"pose": [0] * 72}], r"`meshes\[1\]` must be a dict with some of the keys .* got \['pose'\]"),
        ([{}, 3], r"`meshes\[1\]` must be a dict"),
        ([{"joints_2d": [[1, 2]]}, {}], r"`meshes\[0\]\['joints_2d'\]` must have shape \(14, 2\) or, with"),
        ([{"joints_3d": np.full((14, 3), np.nan)}, {}], r"`meshes\[0\]\['joints_3d'\]` must be finite where"),
        ([{"vertices": np.zeros((499, 3))}, {}], r"`meshes\[0\]\['vertices'\]` must be finite, of shapes"),
        ([{"vertices": [np.zeros((500, 3))] * 2}, {}], "'vertices'"),
    ],
)
def test_bad_annotations(processor, meshes, match):
    with pytest.raises(ValueError, match=match):
        processor(IMAGE, boxes=BOXES[:2], meshes=meshes)


def test_bad_settings(processor):
    for settings, match in (
        ({"size": {"height": 224, "width": 192}}, "`size` must be a square, as the camera sees it, got height 224"),
        ({"size": {"height": 100, "width": 100}}, "`size` must be multiples of 16"),
        ({"padding_factor": 0}, "`padding_factor` must be positive, got 0"),
        ({"resample": Image.Resampling.BICUBIC}, "`resample` must be bilinear"),
    ):
        with pytest.raises(ValueError, match=match):
            processor(IMAGE, boxes=BOXES, **settings)
    with pytest.raises(ValueError, match="`padding_factor` must be positive"):
        HulkMeshImageProcessor(padding_factor=-1)
    with pytest.raises(ValueError, match="family 'mesh' for HulkMeshImageProcessor, got 'pose-coco'"):
        HulkMeshImageProcessor.from_task(KNOWN_TASKS["pose-coco"])


def test_bad_outputs(processor):
    for change, boxes, match in (
        ({}, BOXES[:1], "`boxes` must hold one box per person of `outputs`, 2, got 1"),
        ({"camera": torch.full((2, 3), torch.nan)}, BOXES[:2], "`outputs` must be finite"),
        ({"mesh_joints_3d": torch.zeros(2, 13, 3)}, BOXES[:2], r"shape \(persons, 14, 3\) for task 'mesh-open'"),
        ({"vertices": None}, BOXES[:2], "must be a model output with `vertices`"),
        ({"camera": None}, BOXES[:2], "must be a model output with `camera`"),
    ):
        with pytest.raises(ValueError, match=match):
            processor.post_process_human_mesh({**outputs_of(2), **change}, boxes)
    with pytest.raises(ValueError, match="`padding_factor` must be positive"):
        processor.post_process_human_mesh(outputs_of(2), BOXES[:2], padding_factor=0)
