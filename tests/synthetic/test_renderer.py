# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The rasteriser against a brute-force one, and the camera."""

from __future__ import annotations

import numpy as np
import pytest

from hulk_hf.synthetic.body import COCO_KEYPOINTS, load_body
from hulk_hf.synthetic.effects import sample_light
from hulk_hf.synthetic.rasteriser import extent, rasterise
from hulk_hf.synthetic.renderer import Camera, cast_shadow

SIZE = (24, 20)


def draw(pixels, depths, faces, cull=None, clip=None):
    """Calls the rasteriser on fresh buffers and returns them."""
    nearness, ids = np.zeros(SIZE, np.float32), np.full(SIZE, -1, np.int32)
    weights = np.zeros((*SIZE, 2), np.float32)
    cull = np.zeros(len(faces), bool) if cull is None else cull
    clip = np.ones(len(pixels), np.float32) if clip is None else clip
    rasterise(pixels, depths, faces, cull, clip, nearness, ids, weights)
    return nearness, ids, weights


def brute_force(pixels, depths, faces):
    """Nearest triangle at every pixel centre, by solving for barycentric coordinates."""
    nearness, ids = np.zeros(SIZE), np.full(SIZE, -1)
    margin = np.full(SIZE, np.inf)  # how far the pixel is from any edge, in barycentric units
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            for f, face in enumerate(faces):
                matrix = np.vstack([pixels[face].T.astype(float), np.ones(3)])
                w = np.linalg.solve(matrix, [x + 0.5, y + 0.5, 1])
                margin[y, x] = min(margin[y, x], abs(w).min())
                near = w @ (1 / depths[face])
                if (w >= 0).all() and near > nearness[y, x]:
                    nearness[y, x], ids[y, x] = near, f
    return nearness, ids, margin > 1e-4


@pytest.fixture
def triangles():
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-4, 26, (24, 2)).astype(np.float32)
    return pixels, rng.uniform(1, 5, 24).astype(np.float32), np.arange(24, dtype=np.int32).reshape(8, 3)


def test_rasteriser_equals_brute_force(triangles) -> None:
    nearness, ids, _ = draw(*triangles)
    expected_nearness, expected_ids, clear = brute_force(*triangles)
    assert clear.mean() > 0.9 and len(np.unique(ids)) > 4
    np.testing.assert_array_equal(ids[clear], expected_ids[clear])
    np.testing.assert_allclose(nearness[clear], expected_nearness[clear], atol=1e-5)


def test_weights_are_perspective_correct(triangles) -> None:
    """The point that the weights give on the triangle in space projects to the centre of its pixel."""
    pixels, depths, faces = triangles
    _, ids, weights = draw(pixels, depths, faces)
    space = np.column_stack([pixels * depths[:, None], depths])
    for y, x in np.argwhere(ids >= 0):
        wa, wb = weights[y, x]
        point = np.array([wa, wb, 1 - wa - wb]) @ space[faces[ids[y, x]]]
        np.testing.assert_allclose(point[:2] / point[2], [x + 0.5, y + 0.5], atol=1e-2)


def test_clip_and_cull(triangles) -> None:
    pixels, depths, faces = triangles
    assert (draw(pixels, depths, faces, clip=np.full(len(pixels), -1, np.float32))[1] == -1).all()
    one = np.array([[0, 1, 2]], np.int32)
    square = np.array([[1, 1], [1, 15], [15, 1]], np.float32)
    half = np.array([1, -1, 1], np.float32)  # cut along the middle of the triangle
    whole, clipped = (draw(square, np.ones(3, np.float32), one, clip=c)[1] for c in (None, half))
    assert (clipped >= 0).sum() < 0.85 * (whole >= 0).sum()
    assert clipped[1, 8] == 0 and clipped[12, 1] == -1
    front, back = (
        draw(square, np.ones(3, np.float32), face, cull=np.array([True]))[1] for face in (one, one[:, ::-1])
    )
    assert (front >= 0).any() and not (back >= 0).any()


def test_nothing_behind_the_camera_is_drawn(triangles) -> None:
    pixels, depths, faces = triangles
    assert (draw(pixels, -depths, faces)[1] == -1).all()


def test_a_person_facing_the_camera_has_its_left_on_the_right_of_the_picture() -> None:
    body = load_body()
    camera = Camera(np.zeros(3), 4.0, pitch=0.1, focal=300.0, centre=(96.0, 128.0))
    pixels, depths = camera.project(body.keypoints(body.canonical))
    place = dict(zip(COCO_KEYPOINTS, pixels, strict=True))
    for joint in ("shoulder", "hip", "ankle", "eye", "wrist"):
        assert place[f"left_{joint}"][0] > 96 > place[f"right_{joint}"][0]
    assert place["nose"][1] < place["left_hip"][1] < place["left_ankle"][1]
    nearest = COCO_KEYPOINTS[int(depths.argmin())]
    assert nearest in ("nose", "left_wrist", "right_wrist")


def test_camera_pitch_looks_down_and_roll_turns() -> None:
    ahead, above = np.array([[0, 1.0, 0]]), np.array([[0, 0, 1.0]])
    level = Camera(np.zeros(3), 4.0, focal=100.0)
    down = Camera(np.zeros(3), 4.0, pitch=0.3, focal=100.0)
    assert level.project(ahead)[0][0, 1] == pytest.approx(0)
    assert down.project(ahead)[0][0, 1] < 0  # what is behind the target lies higher in the picture
    assert down.project(above)[1] < level.project(above)[1]
    rolled = Camera(np.zeros(3), 4.0, roll=np.pi / 2, focal=100.0).project(above)[0][0]
    np.testing.assert_allclose(rolled, [25, 0], atol=1e-3)


def test_extent() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    low, high = extent(points)
    np.testing.assert_array_equal(low, points.min(0))
    np.testing.assert_array_equal(high, points.max(0))


def test_shadow_lies_at_the_feet() -> None:
    body = load_body()
    faces = body.faces[body.mesh_slices["body"]]
    floor = float(body.canonical[body.mesh_vertices["body"], 2].min())
    camera = Camera(np.zeros(3), 5.0, pitch=0.4, focal=400.0, centre=(96.0, 128.0))
    shadow = cast_shadow(body.canonical, faces, floor, camera, sample_light(np.random.default_rng(0)), (256, 192), 1.0)
    assert shadow.shape == (256, 192) and shadow.max() <= 1
    feet, _ = camera.project(body.keypoints(body.canonical)[[15, 16]])
    for x, y in feet.astype(int):
        assert shadow[y : y + 12, x - 6 : x + 6].max() > 0.5
    assert shadow[:40].max() == 0
