# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The open body: a closed, symmetric mesh of the synthetic people, whose joints are where the bones are."""

from __future__ import annotations

import numpy as np
import pytest

from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS
from hulk_hf.synthetic.body import load_body
from hulk_hf.synthetic.build_open_body import Decimation, decimate, fit_joint, largest_part, sample_bodies, to_simplex
from hulk_hf.synthetic.open_body import OPEN_BODY_PATH, OPEN_JOINTS, coarse_vertices, open_body

TASK = KNOWN_TASKS["mesh-open"]


@pytest.fixture(scope="module")
def body():
    return open_body()


def sphere(rounds: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """An octahedron whose triangles are divided into four a few times: points on the unit sphere, and triangles."""
    points = [np.array(p, float) for p in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))]
    faces = [(0, 2, 4), (2, 1, 4), (1, 3, 4), (3, 0, 4), (2, 0, 5), (1, 2, 5), (3, 1, 5), (0, 3, 5)]
    for _ in range(rounds):
        middles: dict[tuple[int, int], int] = {}

        def middle(a, b, middles=middles):
            key = min(a, b), max(a, b)
            if key not in middles:
                middles[key] = len(points)
                points.append((points[a] + points[b]) / np.linalg.norm(points[a] + points[b]))
            return middles[key]

        divided = []
        for a, b, c in faces:
            ab, bc, ca = middle(a, b), middle(b, c), middle(c, a)
            divided += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        faces = divided
    return np.array(points), np.array(faces)


def edges_of(faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    every = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return np.unique(every, axis=0, return_counts=True)


def assert_closed(faces: np.ndarray) -> None:
    edges, counts = edges_of(faces)
    assert (counts == 2).all()
    assert len(np.unique(faces)) - len(edges) + len(faces) == 2  # Euler: a sphere
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    assert len(np.unique(directed, axis=0)) == len(directed)  # all triangles look the same way


def test_it_fits_its_task(body):
    sizes = body.sizes()
    assert {key: sizes[key] for key in TASK.body} == TASK.body
    assert OPEN_JOINTS == TASK.labels and not body.restricted
    assert [TASK.labels[index] for index in body.hips] == ["right hip", "left hip"]


def test_the_mesh_is_closed_and_neighbours_share_an_edge(body):
    faces = body.faces[0].numpy()
    assert_closed(faces)
    edges, _ = edges_of(faces)
    assert body.adjacency.sum() == 500 + 2 * len(edges)
    assert body.adjacency[edges[:, 0], edges[:, 1]].all()


def test_left_and_right_are_mirror_images():
    with np.load(OPEN_BODY_PATH) as stored:
        template, faces = stored["template"], stored["faces"]
    mirrored = template * np.array([-1, 1, 1])
    distance = np.linalg.norm(template[:, None] - mirrored[None], axis=-1)
    assert distance.min(axis=1).max() < 1e-3
    mirror = distance.argmin(axis=1)
    triangles = {tuple(sorted(face)) for face in faces.tolist()}
    assert triangles == {tuple(sorted(face)) for face in mirror[faces].tolist()}


def test_the_person_of_the_template_looks_out_of_the_picture(body):
    column, row = body.flat % 100, body.flat // 100
    places = {name: (int(column[i]), int(row[i]), int(body.depth[i])) for i, name in enumerate(OPEN_JOINTS)}
    assert places["left wrist"][0] > places["neck"][0] > places["right wrist"][0]  # left is on the right
    assert places["head"][1] < places["neck"][1] < places["left hip"][1] < places["left ankle"][1]
    soles = row[14:] > row[14:].max() - 4
    assert body.depth[14:][soles].min() < places["left ankle"][2] - 20  # toes point out of the picture


def test_joints_follow_the_bones_of_other_bodies(body):
    vertices, joints = sample_bodies(load_body(), 12, seed=123)
    regressed = body.regressor.numpy() @ coarse_vertices(vertices)
    error = np.linalg.norm(regressed[:, list(body.joints)] - joints, axis=-1)
    assert error.mean() < 0.01 and error.max() < 0.06
    hips = joints[:, list(body.hips)].mean(axis=1)
    assert np.linalg.norm(regressed[:, body.pelvis] - hips, axis=-1).max() < 0.03
    np.testing.assert_allclose(body.regressor.sum(dim=1), 1, atol=1e-6)


def test_decimation_keeps_a_closed_symmetric_mesh():
    points, faces = sphere()
    coarse = decimate(points, faces, 60)
    kept = np.unique(coarse)
    assert 59 <= len(kept) <= 60  # the last collapse may take a pair
    assert_closed(coarse)
    mirrored = {tuple(np.round(point * np.array([-1, 1, 1]), 6) + 0.0) for point in points[kept]}
    assert mirrored == {tuple(np.round(point, 6) + 0.0) for point in points[kept]}
    middles = points[coarse].mean(axis=1)
    normals = np.cross(*(points[coarse[:, i]] - points[coarse[:, 0]] for i in (1, 2)))
    assert ((middles * normals).sum(axis=1) > 0).all()  # nothing folded over


def test_a_collapse_can_be_taken_back():
    points, faces = sphere(1)
    mesh = Decimation(points, faces)
    before = (dict(mesh.faces), {vertex: set(of) for vertex, of in mesh.of_vertex.items()})
    gone, kept = next((a, b) for a in mesh.of_vertex for b in mesh.neighbours(a) if len(mesh.of_vertex[a]) == 4)
    quadric = mesh.quadrics[kept].copy()
    changed = mesh.collapse(gone, kept)
    assert changed is not None and not mesh.of_vertex[gone] and mesh.faces != before[0]
    mesh.undo(gone, kept, changed)
    assert (mesh.faces, mesh.of_vertex) == before
    np.testing.assert_allclose(mesh.quadrics[kept], quadric, atol=1e-12)


def test_a_mesh_cannot_be_collapsed_to_nothing():
    points, faces = sphere(0)
    with pytest.raises(ValueError, match="target: no edge can be collapsed"):
        decimate(points, faces, 2)


def test_the_largest_part_is_found():
    _, faces = sphere(1)
    small = np.array([[0, 1, 2], [0, 2, 1]]) + faces.max() + 1
    assert np.array_equal(largest_part(np.concatenate([small, faces])), faces)


def test_fitted_weights():
    rng = np.random.default_rng(0)
    vertices = rng.standard_normal((40, 5, 3))
    expected = np.array([0.5, 0.0, 0.3, 0.2, 0.0])
    joint = np.einsum("k,skc->sc", expected, vertices)
    np.testing.assert_allclose(fit_joint(vertices, joint), expected, atol=1e-6)
    weights = to_simplex(np.array([0.9, 0.6, -1.0]))
    np.testing.assert_allclose(weights, [0.65, 0.35, 0.0])
