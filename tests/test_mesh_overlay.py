# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Bodies drawn over pictures lie where their camera says, and files of them can be read by other programs."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh
from PIL import Image

from hulk_hf.mesh_overlay import (
    MESH_FORMATS,
    mesh_colour,
    mesh_to_trimesh,
    overlay_meshes,
    save_mesh,
    vertex_normals,
)
from hulk_hf.synthetic.open_body import OPEN_BODY_PATH, open_body

SQUARE = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32) / 2
TWO = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
GREY = Image.new("RGB", (60, 40), (90, 90, 90))


def square_at(x: float, y: float, side: float, depth: float = 0.0) -> dict:
    """A record with a square of `side` pixels about the pixel (x, y)."""
    vertices = SQUARE + np.array([0, 0, depth], np.float32)
    return {"vertices": vertices, "faces": TWO, "camera": {"pixels_per_metre": side, "x": x, "y": y}}


def changed(image: Image.Image, before: Image.Image = GREY) -> np.ndarray:
    return (np.asarray(image) != np.asarray(before)).any(axis=-1)


@pytest.fixture(scope="module")
def body() -> tuple[np.ndarray, np.ndarray]:
    """A ball of 20 cm radius 1 m below the pelvis, in the axes of results."""
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.2)
    return (np.asarray(ball.vertices) + [0, 1, 0]).astype(np.float32), np.asarray(ball.faces)


def test_a_square_covers_its_pixels():
    """Pixel 20 is centred at 20, so a square of 10 about 19.5 begins with pixel 15 and ends with pixel 24."""
    drawn = overlay_meshes(GREY, [square_at(19.5, 9.5, 10)])
    expected = np.zeros((40, 60), bool)
    expected[5:15, 15:25] = True
    assert np.array_equal(changed(drawn), expected)
    assert drawn.size == GREY.size and np.asarray(GREY).max() == 90
    inside = np.asarray(drawn)[6:14, 16:24].reshape(-1, 3)
    assert (inside == inside[0]).all()  # flat, so lit alike


def test_a_picture_that_is_enlarged():
    large = GREY.resize((180, 120))
    drawn = changed(overlay_meshes(large, [square_at(19.5, 9.5, 10)], factor=3.0), large)
    expected = np.zeros((120, 180), bool)
    expected[15:45, 45:75] = True
    assert np.array_equal(drawn, expected)


def test_edges_are_smooth_and_opacity_blends():
    solid = np.asarray(overlay_meshes(GREY, [square_at(20, 10, 10)], opacity=1.0), float)
    half = np.asarray(overlay_meshes(GREY, [square_at(20, 10, 10)], opacity=0.5), float)
    assert abs(half - (solid + 90) / 2).max() <= 1
    inner = solid[10, 20]
    assert abs(solid[10, 15] - (inner * 2 / 3 + 30)).max() <= 1  # two of three sub-pixels
    assert np.array_equal(overlay_meshes(GREY, [square_at(20, 10, 10)], opacity=0.0), np.asarray(GREY))


def test_who_is_larger_stands_before_the_others():
    small, large = square_at(20, 10, 10), square_at(20, 10, 16)
    both = np.asarray(overlay_meshes(GREY, [small, large], colours=["#ff0000", "#0000ff"]))
    assert both[10, 20, 2] > both[10, 20, 0]
    near = square_at(20, 10, 10, -0.3)
    both = np.asarray(overlay_meshes(GREY, [near, square_at(20, 10, 10)], colours=["#ff0000", "#0000ff"]))
    assert both[10, 20, 0] > both[10, 20, 2]


def test_light_comes_from_above(body):
    vertices, faces = body
    record = {"vertices": vertices, "faces": faces, "camera": {"pixels_per_metre": 80, "x": 30, "y": -60}}
    drawn = np.asarray(overlay_meshes(Image.new("RGB", (60, 40)), [record], opacity=1.0), float).sum(axis=-1)
    assert drawn[10, 30] > drawn[20, 30] > drawn[30, 30] > 0
    assert drawn[20, 22] > drawn[20, 38]


@pytest.mark.parametrize(("x", "y"), [(-3, 10), (58, 10), (20, -4), (20, 39), (1000, 10), (20, -1000)])
def test_bodies_at_the_border_and_outside(x, y):
    drawn = changed(overlay_meshes(GREY, [square_at(x, y, 10)]))
    rows, columns = np.arange(40)[:, None], np.arange(60)[None]
    assert not (drawn & ((abs(rows - y) > 5.5) | (abs(columns - x) > 5.5))).any()
    assert drawn.any() == (abs(x) < 900 and abs(y) < 900)


def test_records_and_results_are_drawn_alike():
    record = square_at(20, 10, 10)
    assert overlay_meshes(GREY, [SimpleNamespace(**record)]) == overlay_meshes(GREY, [record])
    assert overlay_meshes(GREY, []) == GREY


def test_a_body_without_faces_is_dots():
    drawn = changed(overlay_meshes(GREY, [square_at(20, 10, 10) | {"faces": None}]))
    assert sorted(zip(*drawn.nonzero(), strict=True)) == [(5, 15), (5, 25), (15, 15), (15, 25)]


def test_normals_point_outwards_whatever_the_order_of_corners(body):
    vertices, faces = body
    expected = (vertices - [0, 1, 0]) / 0.2
    for turned in (faces, faces[:, ::-1]):
        np.testing.assert_allclose(vertex_normals(vertices, turned), expected, atol=0.03)
    assert not vertex_normals(np.zeros((4, 3)), TWO).any()


def test_colours_differ():
    assert len({mesh_colour(index) for index in range(12)}) == 12


@pytest.mark.parametrize(
    ("meshes", "options", "match"),
    [
        ([square_at(1, 1, 1)], {"opacity": 1.5}, "opacity: expected 0 to 1, got 1.5"),
        ([square_at(1, 1, 1)], {"factor": 0}, "factor: expected a positive number, got 0"),
        ([square_at(1, 1, 1)], {"colours": []}, "colours: expected one per mesh, 1, got 0"),
        ([square_at(1, 1, 1)], {"colours": ["red"]}, "colours: expected colours as '#rrggbb', got 'red'"),
        ([{"faces": TWO}], {}, "meshes: expected records of human-mesh with 'camera', got dict without"),
        ([square_at(1, 1, 1) | {"camera": {"scale": 1}}], {}, "one without .'pixels_per_metre', 'x', 'y'."),
        ([square_at(1, 1, 1) | {"vertices": SQUARE[:3]}], {}, r"faces: expected whole numbers .* below 3"),
        ([square_at(1, 1, 1) | {"vertices": SQUARE * np.nan}], {}, "vertices: expected finite numbers"),
    ],
)
def test_overlays_refuse(meshes, options, match):
    with pytest.raises(ValueError, match=match):
        overlay_meshes(GREY, meshes, **options)


@pytest.mark.parametrize(
    ("module", "call"),
    [
        ("hulk_hf.synthetic.rasteriser", lambda: overlay_meshes(GREY, [square_at(1, 1, 1)])),
        ("trimesh", lambda: mesh_to_trimesh(SQUARE, TWO)),
    ],
)
def test_what_is_missing_is_named(monkeypatch, module, call):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"needs \w+: pip install 'hulk-hf\[viz\]'"):
        call()


# Files --------------------------------------------------------------------------------------------------------------


def test_axes_of_files():
    mesh = mesh_to_trimesh(
        np.array([[0.1, 0.2, 0.3], [1, 0, 0], [0, 1, 0]], np.float32), np.array([[0, 1, 2]]), "#010203"
    )
    np.testing.assert_allclose(mesh.vertices[0], [0.1, -0.2, -0.3], atol=1e-7)
    assert mesh.visual.vertex_colors[0].tolist() == [1, 2, 3, 255]


def test_the_open_body_is_closed_enough_and_the_right_side_out():
    body = open_body()
    stand = np.load(OPEN_BODY_PATH)["template"]  # left, back, up
    vertices = np.stack([stand[:, 0], -stand[:, 2], stand[:, 1]], axis=1)
    mesh = mesh_to_trimesh(vertices, body.faces[0].numpy())
    assert mesh.volume > 0.03 and np.ptp(mesh.vertices[:, 1]) > 1.4


@pytest.mark.parametrize("ending", MESH_FORMATS)
def test_files_can_be_read_again(body, tmp_path, ending):
    vertices, faces = body
    path = save_mesh(tmp_path / f"body{ending}", vertices, faces)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    read = trimesh.load(path, force="mesh", process=False)
    expected = vertices * [1, -1, -1]
    np.testing.assert_allclose(read.triangles, expected[faces], atol=1e-5)
    assert read.volume > 0


def test_several_bodies_stand_side_by_side(body, tmp_path):
    vertices, faces = body
    scene = trimesh.load(save_mesh(tmp_path / "two.glb", [vertices, vertices], [faces, faces]))
    middles = sorted(mesh.bounds.mean(axis=0)[0] for mesh in scene.dump())
    np.testing.assert_allclose(middles, [-0.6, 0.6], atol=0.01)
    joined = trimesh.load(save_mesh(tmp_path / "two.ply", [vertices] * 2, [faces] * 2), process=False)
    assert len(joined.vertices) == 2 * len(vertices)


def test_files_refuse(tmp_path):
    with pytest.raises(
        ValueError, match=r"path: expected an ending among \['.glb', '.obj', '.ply', '.stl'\], got 'a.fbx'"
    ):
        save_mesh(tmp_path / "a.fbx", SQUARE, TWO)
    with pytest.raises(ValueError, match="faces: expected triangles, got None"):
        save_mesh(tmp_path / "a.glb", SQUARE, None)
    with pytest.raises(ValueError, match="faces: expected whole numbers"):
        save_mesh(tmp_path / "a.glb", SQUARE, TWO.astype(float))
    assert not list(tmp_path.iterdir())
