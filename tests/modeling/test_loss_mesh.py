# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of 3-D pose and mesh against a plain computation in numpy, and what it does with missing targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hulk_hf.modeling.body_hulk import HulkBodyTables
from hulk_hf.modeling.head_mesh_hulk import HulkMeshPrediction
from hulk_hf.modeling.loss_mesh_hulk import edge_normal_loss, mesh_loss
from hulk_hf.modeling.tasks_hulk import HulkTask

TASK = HulkTask("mesh-toy", "mesh", ("a", "b", "c"), body={"vertices": [7, 9, 12], "regressed_joints": 5})
COUNTS = (7, 9, 12)


def tables_of(body) -> HulkBodyTables:
    tables = HulkBodyTables(body.sizes(), len(body.joints))
    tables.set_tables(body, stored=False)
    return tables


@pytest.fixture
def tables(toy_body):
    return tables_of(toy_body())


@pytest.fixture
def prediction():
    generator = torch.Generator().manual_seed(3)

    def numbers(*shape):
        return torch.randn(shape, generator=generator).requires_grad_()

    return HulkMeshPrediction(
        camera=numbers(3, 3),
        joints_3d=numbers(3, 3, 3),
        vertices=tuple(numbers(3, count, 3) for count in COUNTS),
        mesh_joints_3d=numbers(3, 3, 3),
        joints_2d=numbers(3, 3, 2),
        mesh_joints_2d=numbers(3, 3, 2),
    )


@pytest.fixture
def labels():
    generator = torch.Generator().manual_seed(4)
    return {
        "joints_3d": torch.rand(3, 3, 4, generator=generator),
        "joints_2d": torch.rand(3, 3, 3, generator=generator),
        "vertices": [torch.randn(3, count, 3, generator=generator) for count in COUNTS],
        "has_3d_joints": torch.tensor([1.0, 0.0, 1.0]),
        "has_smpl": torch.tensor([0, 1, 1]),
    }


def plain_edge_normal(vertices, target, faces):
    """Of one person, loop by loop."""
    edges = {tuple(sorted((int(a), int(b)))) for f in faces for a, b in ((f[0], f[1]), (f[0], f[2]), (f[1], f[2]))}

    def length(points, a, b):
        return np.sqrt(((points[a] - points[b]) ** 2).sum() + 1e-8)

    apart = np.mean([abs(length(vertices, *edge) - length(target, *edge)) for edge in edges])
    short = np.mean([length(vertices, *edge) for edge in edges])
    cosines = []
    for a, b, c in faces:
        normal = np.cross(target[b] - target[a], target[c] - target[a])
        for start, end in ((a, b), (a, c), (b, c)):
            edge = vertices[end] - vertices[start]
            cosines.append(abs(edge @ normal) / np.linalg.norm(edge) / np.linalg.norm(normal))
    return 5 * apart + 1e-4 * short + 0.1 * np.mean(cosines)


def test_every_term(prediction, labels, tables):
    terms = mesh_loss(prediction, labels, tables, TASK)
    n = {name: value.detach().numpy() for name, value in prediction._asdict().items() if name != "vertices"}
    gt = {name: value.numpy() for name, value in labels.items() if name != "vertices"}
    levels = [(p.detach().numpy(), t.numpy()) for p, t in zip(prediction.vertices, labels["vertices"], strict=True)]

    def joints(points):
        errors = []
        for person in (0, 2):
            ours, theirs = points[person], gt["joints_3d"][person, :, :3]
            ours, theirs = ours - (ours[1] + ours[2]) / 2, theirs - (theirs[1] + theirs[2]) / 2
            errors.append(gt["joints_3d"][person, :, 3:] * abs(ours - theirs))
        return np.mean(errors)

    def seen(points):
        return (gt["joints_2d"][..., 2:] * abs(points - gt["joints_2d"][..., :2])).mean()

    shares = zip((0.25, 0.5, 0.25), levels, strict=True)
    faces = tables.faces(1).numpy()
    expected = {
        "joints_3d": 1000 * (joints(n["joints_3d"]) + joints(n["mesh_joints_3d"])),
        "vertices": 100 * sum(share * abs(ours[1:] - theirs[1:]).mean() for share, (ours, theirs) in shares),
        "joints_2d": 100 * (seen(n["joints_2d"]) + seen(n["mesh_joints_2d"])),
        "edge_normal": 100 * np.mean([plain_edge_normal(levels[1][0][i], levels[1][1][i], faces) for i in (1, 2)]),
    }
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, rel=1e-5), name


def test_an_edge_of_two_triangles_counts_once():
    vertices = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]])
    target = 2 * vertices
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    loss = edge_normal_loss(vertices, target, faces, torch.tensor([True]))
    mean = (4 * 1 + 2**0.5) / 5
    assert loss.item() == pytest.approx(5 * mean + 1e-4 * mean, rel=1e-5)  # all edges lie in the plane


def test_terms_without_anybody_are_zero_and_teach_nothing(prediction, labels, tables):
    labels |= {"has_3d_joints": torch.zeros(3), "has_smpl": torch.zeros(3)}
    labels["joints_3d"], labels["vertices"] = (
        torch.full((3, 3, 4), torch.nan),
        [torch.full((3, count, 3), torch.nan) for count in COUNTS],
    )
    terms = mesh_loss(prediction, labels, tables, TASK)
    assert [terms[name].item() for name in ("joints_3d", "vertices", "edge_normal")] == [0, 0, 0]
    sum(terms.values()).backward()
    assert not prediction.joints_3d.grad.any() and not prediction.vertices[1].grad.any()
    assert prediction.joints_2d.grad.any()


def test_targets_that_do_not_count_are_not_looked_at(prediction, labels, tables):
    terms = mesh_loss(prediction, labels, tables, TASK)
    for tensor in [labels["joints_3d"][1], *(level[0] for level in labels["vertices"])]:
        tensor.fill_(torch.nan)
    again = mesh_loss(prediction, labels, tables, TASK)
    sum(again.values()).backward()
    for name, term in terms.items():
        assert again[name].item() == term.item()
    gradients = [prediction.joints_3d.grad, *(level.grad for level in prediction.vertices)]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not prediction.joints_3d.grad[1].any() and not prediction.vertices[0].grad[0].any()


def test_missing_flags_mean_everybody(prediction, labels, tables):
    everybody = {**labels, "has_3d_joints": torch.ones(3), "has_smpl": torch.ones(3)}
    expected = mesh_loss(prediction, everybody, tables, TASK)
    del labels["has_3d_joints"], labels["has_smpl"]
    terms = mesh_loss(prediction, labels, tables, TASK)
    assert {name: term.item() for name, term in terms.items()} == {
        name: term.item() for name, term in expected.items()
    }


def test_only_the_targets_that_are_given(prediction, labels, tables):
    assert mesh_loss(prediction, {"joints_2d": labels["joints_2d"]}, tables, TASK).keys() == {"joints_2d"}
    given = {"joints_3d": labels["joints_3d"], "has_3d_joints": labels["has_3d_joints"]}
    assert mesh_loss(prediction, given, tables, TASK).keys() == {"joints_3d"}


def test_weights_of_the_task(prediction, labels, tables):
    terms = mesh_loss(prediction, labels, tables, TASK)
    weighted = mesh_loss(
        prediction, labels, tables, replace(TASK, loss_weights={"joints_3d": 1.0, "edge_normal": 0.0})
    )
    assert weighted["joints_3d"].item() == pytest.approx(terms["joints_3d"].item() / 1000)
    assert weighted["vertices"].item() == terms["vertices"].item()
    assert "edge_normal" not in weighted


@pytest.mark.parametrize(("levels", "shares"), [(1, (1.0,)), (2, (1 / 3, 2 / 3))])
def test_fewer_levels(toy_body, prediction, labels, levels, shares):
    prediction = prediction._replace(vertices=prediction.vertices[:levels])
    labels["vertices"] = labels["vertices"][:levels]
    terms = mesh_loss(prediction, labels, tables_of(toy_body(levels)), TASK)
    pairs = zip(shares, prediction.vertices, labels["vertices"], strict=True)
    expected = 100 * sum(share * (ours[1:] - theirs[1:]).abs().mean().item() for share, ours, theirs in pairs)
    assert terms["vertices"].item() == pytest.approx(expected, rel=1e-5)
    assert terms["edge_normal"].item() > 0


def test_a_body_without_triangles(toy_body, prediction, labels):
    tables = tables_of(toy_body(faces=(torch.tensor([[0, 1, 2]]), None, None)))
    with pytest.raises(ValueError, match="triangles of level 1.*'mesh-toy' has none"):
        mesh_loss(prediction, labels, tables, TASK)
    assert mesh_loss(prediction, labels, tables, replace(TASK, loss_weights={"edge_normal": 0.0}))["vertices"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joint_3d": torch.ones(3, 3, 4)}, "labels: expected .* no other than"),
        ({"joints_3d": torch.ones(3, 3, 3)}, r"labels\['joints_3d'\]: expected shape \(3, 3, 4\), got \(3, 3, 3\)"),
        ({"joints_2d": torch.ones(2, 3, 3)}, r"labels\['joints_2d'\]: expected shape \(3, 3, 3\)"),
        ({"has_smpl": torch.ones(3, 1)}, r"labels\['has_smpl'\]: expected shape \(3,\)"),
        ({"vertices": torch.ones(3, 12, 3)}, r"labels\['vertices'\]: expected one tensor per level.*got Tensor"),
        ({"vertices": [torch.ones(3, 12, 3)]}, r"labels\['vertices'\]: expected .*\(3, 7, 3\).*got \[\(3, 12, 3\)\]"),
    ],
)
def test_labels_that_do_not_fit(prediction, labels, tables, change, message):
    with pytest.raises(ValueError, match=message):
        mesh_loss(prediction, {**labels, **change}, tables, TASK)


def test_nothing_to_learn_from(prediction, tables):
    with pytest.raises(ValueError, match="at least"):
        mesh_loss(prediction, {"has_smpl": torch.ones(3)}, tables, TASK)
    with pytest.raises(ValueError, match="targets by name, among .*, got Tensor"):
        mesh_loss(prediction, torch.ones(3), tables, TASK)
    nobody = HulkMeshPrediction(*(value if isinstance(value, tuple) else value[:0] for value in prediction))
    with pytest.raises(ValueError, match="empty batch"):
        mesh_loss(nobody, {"joints_2d": torch.ones(0, 3, 3)}, tables, TASK)
