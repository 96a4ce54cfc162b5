# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The mesh of a rendered person: metres from the pelvis, in the camera's axes, where the picture shows it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hulk_hf.modeling.body_hulk import body_cells
from hulk_hf.synthetic.body import COCO_KEYPOINTS, load_body
from hulk_hf.synthetic.dataset import SyntheticPersons, build_dataset, render_arrays
from hulk_hf.synthetic.mesh import MESH_KEYS, camera_axes, mesh_features, mesh_record, mesh_truth
from hulk_hf.synthetic.open_body import OPEN_JOINTS, coarse_vertices, open_body
from hulk_hf.synthetic.renderer import Camera

SIZE = (200, 160)
SAME = ("elbow", "wrist", "knee", "ankle")  # joints that both skeletons have


def fit(joints: np.ndarray, pixels: np.ndarray) -> tuple[float, np.ndarray]:
    """The scale (pixels per metre) and the distances (N,) of the best weak perspective from joints to pixels."""
    count = len(joints)
    matrix = np.zeros((2 * count, 3))
    matrix[:, 0] = joints[:, :2].ravel()
    matrix[::2, 1] = matrix[1::2, 2] = 1
    solution, *_ = np.linalg.lstsq(matrix, pixels.ravel(), rcond=None)
    return solution[0], np.linalg.norm((matrix @ solution - pixels.ravel()).reshape(-1, 2), axis=1)


def standing() -> np.ndarray:
    """The mean body in the world."""
    return load_body().canonical


def test_shapes(people: list[dict]) -> None:
    for sample in people:
        shapes = {key: (sample[key].shape, sample[key].dtype) for key in MESH_KEYS}
        assert shapes == {
            "vertices": ((500, 3), np.float32),
            "joints_3d": ((14, 4), np.float32),
            "joints_2d": ((14, 3), np.float32),
        }
        assert (sample["joints_3d"][:, 3] == 1).all() and set(sample["joints_2d"][:, 2]) <= {0, 1}


def test_joints_are_what_the_regressor_makes_of_the_mesh(people: list[dict]) -> None:
    body = open_body()
    regressor = body.regressor.numpy()
    for sample in people:
        regressed = regressor @ sample["vertices"]
        np.testing.assert_allclose(regressed[list(body.joints)], sample["joints_3d"][:, :3], atol=1e-5)
        np.testing.assert_allclose(regressed[body.pelvis], 0, atol=1e-5)


def test_weak_perspective_brings_the_joints_to_their_pixels(people: list[dict]) -> None:
    errors = []
    for sample in people:
        scale, distances = fit(sample["joints_3d"], sample["joints_2d"][:, :2])
        assert scale > 0
        errors.append(distances / scale)  # metres: what a camera far away would not see
    errors = np.array(errors)
    assert errors.mean() < 0.025 and np.quantile(errors, 0.99) < 0.15


def test_a_camera_far_away_is_a_weak_perspective() -> None:
    camera = Camera(np.array([0.3, 0.0, 0.1]), 4000.0, 0.4, 0.3, 400000.0, (80.0, 100.0))
    truth = mesh_truth(standing(), camera, SIZE)
    scale, distances = fit(truth["joints_3d"], truth["joints_2d"][:, :2])
    assert scale == pytest.approx(100, rel=0.01) and distances.max() < 0.05


def test_left_and_right_and_depth_agree_with_the_keypoints(people: list[dict]) -> None:
    errors = []
    for sample in people:
        scale, _ = fit(sample["joints_3d"], sample["joints_2d"][:, :2])
        for row, name in enumerate(COCO_KEYPOINTS):
            if name.endswith(SAME) and sample["keypoints"][row, 2] > 0:
                joint = sample["joints_2d"][OPEN_JOINTS.index(name.replace("_", " "))]
                assert joint[2] == 1 or np.abs(joint[:2] - sample["keypoints"][row, :2]).max() < 0.05 * scale
                errors.append(np.linalg.norm(joint[:2] - sample["keypoints"][row, :2]) / scale)
    assert len(errors) > 500 and np.mean(errors) < 0.025 and max(errors) < 0.08


def test_axes() -> None:
    """Who faces the camera has the left side on the right, the head up and the toes towards the camera."""
    truth = mesh_truth(standing(), Camera(np.zeros(3), 5.0, 0.0, 0.0, 100.0, (80.0, 100.0)), SIZE)
    joints = dict(zip(OPEN_JOINTS, truth["joints_3d"], strict=True))
    assert joints["left shoulder"][0] > 0.1 > -0.1 > joints["right shoulder"][0]
    assert joints["head"][1] < -0.4 and joints["left ankle"][1] > 0.6
    toes = truth["vertices"][truth["vertices"][:, 1] > 0.8]
    assert toes[:, 2].min() < joints["left ankle"][2] - 0.1
    # As in the template of the body, whose arms hang in another way.
    flat, depth = body_cells(torch.from_numpy(truth["vertices"][truth["vertices"][:, 1] > 0]))
    body = open_body()
    legs = torch.from_numpy(truth["vertices"][:, 1] > 0)
    assert (flat // 100 - body.flat[14:][legs] // 100).abs().max() <= 2
    assert (depth - body.depth[14:][legs]).abs().max() <= 2


def test_a_camera_that_rolls_and_looks_down_turns_the_mesh() -> None:
    level = mesh_truth(standing(), Camera(np.zeros(3), 5.0), SIZE)["vertices"]
    camera = Camera(np.zeros(3), 5.0, 0.5, 0.2)
    axes = camera_axes(camera)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    turned = mesh_truth(standing(), camera, SIZE)["vertices"]
    np.testing.assert_allclose(turned, level @ camera_axes(Camera(np.zeros(3), 5.0)) @ axes.T, atol=1e-5)
    head, feet = level[:, 1].argmin(), level[:, 1].argmax()
    assert turned[head, 2] < turned[feet, 2] - 0.5  # from above the head is nearer


def test_coarse_and_fine_vertices_give_the_same() -> None:
    camera = Camera(np.zeros(3), 3.0, 0.1, 0.1, 100.0, (80.0, 100.0))
    fine, coarse = (mesh_truth(v, camera, SIZE) for v in (standing(), coarse_vertices(standing())))
    for key in MESH_KEYS:
        np.testing.assert_array_equal(fine[key], coarse[key])


def test_confidence_ends_at_the_border() -> None:
    truth = mesh_truth(standing(), Camera(np.zeros(3), 5.0, 0.0, 0.0, 500.0, (80.0, 20.0)), SIZE)
    x, y, confidence = truth["joints_2d"].T
    inside = (x >= -0.5) & (x < 159.5) & (y >= -0.5) & (y < 199.5)
    assert 0 < inside.sum() < 14
    np.testing.assert_array_equal(confidence, inside)


def test_datasets_hold_the_mesh(tmp_path) -> None:
    sample = SyntheticPersons("validation", 2, seed=4, image_size=(64, 48))[1]
    arrays = render_arrays("validation", 2, 4, 1, tmp_path, (64, 48), progress=False)
    row = build_dataset("validation", 2, seed=4, num_proc=1, image_size=(64, 48), cache_dir=str(tmp_path))[1]
    for key in MESH_KEYS:
        np.testing.assert_array_equal(getattr(arrays, key)[1], sample[key])
        np.testing.assert_array_equal(np.float32(row[key]), sample[key])


def test_records_follow_their_schema(people: list[dict]) -> None:
    from datasets import Dataset

    features = mesh_features()
    stored = Dataset.from_list([mesh_record(sample) for sample in people[:2]], features=features)
    assert stored.features == features
    x, y, w, h = people[1]["bbox"]
    np.testing.assert_allclose(stored[1]["center"], [x + (w - 1) / 2, y + (h - 1) / 2])
    assert stored[1]["scale"] == pytest.approx(1.25 * max(w, h) / 200)
    np.testing.assert_array_equal(np.float32(stored[1]["vertices"]), people[1]["vertices"])
