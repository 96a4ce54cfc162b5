# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The body asset: its size, notices, shapes, bones and skin."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from hulk_hf.synthetic import body as body_module
from hulk_hf.synthetic.body import (
    ASSET_PATH,
    COCO_KEYPOINTS,
    Body,
    forward_kinematics,
    load_body,
    skin,
    vertex_normals,
)
from hulk_hf.synthetic.poses import Z, rotation, sample_pose


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


def test_asset_is_small_and_has_its_notices() -> None:
    notice = (ASSET_PATH.parent / "NOTICE.md").read_text()
    assert ASSET_PATH.stat().st_size <= 3_000_000
    for needed in ("CC0", "Apache", "NAVER", "MakeHuman", "not SMPL"):
        assert needed in " ".join(notice.split())
    for picture in (ASSET_PATH.parent / "photographs").iterdir():
        assert picture.name in notice


def test_only_the_build_script_needs_anny() -> None:
    for path in Path(body_module.__file__).parent.glob("*.py"):
        imported = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
        assert "anny" not in imported or path.name == "build_body.py"


def test_stored_bodies_are_plausible(body: Body) -> None:
    rest, _ = body.shape(body.coefficients[::5])
    heights = np.ptp(rest[:, body.mesh_vertices["body"], 2], axis=1)
    assert heights.min() > 1.0 and heights.max() < 2.1
    adults = heights[body.age[::5] > 0.6]
    assert 1.55 < np.median(adults) < 1.8
    assert len(adults) > 0.6 * len(heights)


def test_left_is_left(body: Body) -> None:
    keypoints = dict(zip(COCO_KEYPOINTS, body.keypoints(body.canonical), strict=True))
    for name, point in keypoints.items():
        if name.startswith("left_"):
            other = keypoints[name.replace("left", "right")]
            assert point[0] > 0.02
            np.testing.assert_allclose(point * [-1, 1, 1], other, atol=0.01)
    assert keypoints["nose"][1] < keypoints["left_ear"][1]  # people look along -y
    assert keypoints["nose"][2] > keypoints["left_hip"][2] > keypoints["left_ankle"][2]


def test_surface_is_closed_and_points_outwards(body: Body) -> None:
    faces = body.faces[body.mesh_slices["body"]]
    a, b, c = (body.canonical[faces[:, k]] for k in range(3))
    litres = 1000 * np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6
    assert 35 < litres < 110
    normals = vertex_normals(body.canonical, faces)
    used = body.mesh_vertices["body"]
    np.testing.assert_allclose(np.linalg.norm(normals[used], axis=1), 1, atol=1e-4)


def test_rest_pose_moves_nothing_and_the_root_moves_all(body: Body) -> None:
    rest, heads = body.shape(body.coefficients[3])
    local = np.tile(np.eye(3), (len(heads), 1, 1))
    posed = skin(rest, body.skin_weights, body.skin_bones, *forward_kinematics(local, heads, body.bone_parents)[:2])
    np.testing.assert_allclose(posed, rest, atol=1e-5)
    local[0] = turn = rotation(Z, 0.7)
    posed = skin(rest, body.skin_weights, body.skin_bones, *forward_kinematics(local, heads, body.bone_parents)[:2])
    np.testing.assert_allclose(posed, (rest - heads[0]) @ turn.T + heads[0], atol=1e-4)


def test_poses_keep_the_length_of_bones(body: Body) -> None:
    rng = np.random.default_rng(0)
    _, heads = body.shape(body.coefficients[0])
    parents = body.bone_parents
    for _ in range(20):
        pose = sample_pose(rng, body, heads)
        np.testing.assert_allclose(
            pose.local @ pose.local.transpose(0, 2, 1), np.tile(np.eye(3), (len(heads), 1, 1)), atol=1e-9
        )
        posed = forward_kinematics(pose.local, heads, parents)[2]
        lengths = [np.linalg.norm(points[1:] - points[parents[1:]], axis=1) for points in (heads, posed)]
        np.testing.assert_allclose(*lengths, atol=1e-5)


def test_joints_bend_the_way_they_can(body: Body) -> None:
    """Shins fold backwards from the thigh, forearms towards the front of the upper arm's rest plane."""
    rng = np.random.default_rng(1)
    _, heads = body.shape(body.coefficients[0])
    index = body.bone_index
    for _ in range(60):
        pose = sample_pose(rng, body, heads)
        rotations, _, posed = forward_kinematics(pose.local, heads, body.bone_parents)
        for side in "LR":
            hip, knee, ankle = (posed[index[f"{bone}.{side}"]] for bone in ("upperleg01", "lowerleg01", "foot"))
            forward = rotations[index[f"upperleg02.{side}"]] @ np.array([0, -1.0, 0])
            bend = (ankle - knee) / np.linalg.norm(ankle - knee) - (knee - hip) / np.linalg.norm(knee - hip)
            assert bend @ forward < 0.2
