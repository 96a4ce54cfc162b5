# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The tables of a body: cells, sparse rows, and clear errors for tables that do not fit together."""

from __future__ import annotations

import pytest
import torch

from hulk_hf.modeling.body_hulk import HulkBodyTables, body_cells, sparse_rows


def test_cells_are_rounded_towards_zero():
    points = torch.tensor([[-1.0, -1.0, -0.2], [-0.9801, 0.0, 0.0], [0.9999, 0.5, 0.1999], [-1.01, -1.019, -0.2039]])
    flat, depth = body_cells(points)
    assert flat.tolist() == [0, 0 + 100 * 50, 99 + 100 * 75, 0]  # a little outside is rounded to 0 as well
    assert depth.tolist() == [0, 50, 99, 0]


@pytest.mark.parametrize(("point", "axis"), [((1.0, 0, 0), "x"), ((0, -1.03, 0), "y"), ((0, 0, 0.21), "z")])
def test_points_outside_the_box_are_refused(point, axis):
    with pytest.raises(ValueError, match=f"points: {axis} runs from"):
        body_cells(torch.tensor([point, (0, 0, 0)], dtype=torch.float32))


def test_sparse_rows_are_the_matrix():
    torch.manual_seed(0)
    matrix = torch.randn(6, 5) * (torch.rand(6, 5) > 0.6)
    matrix[3] = 0  # a row without entries
    rows, columns = matrix.nonzero(as_tuple=True)
    order = torch.randperm(len(rows))
    indices, values = sparse_rows(rows[order], columns[order], matrix[rows, columns][order], 6)
    vectors = torch.randn(5, 3)
    torch.testing.assert_close((vectors[indices] * values[..., None]).sum(1), matrix @ vectors)
    assert indices.shape[1] == (matrix != 0).sum(1).max()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("vertices", (), "vertices: body 'toy' needs counts of one to three levels"),
        ("flat", torch.zeros(9, dtype=torch.long), r"flat: .* shape \(10,\), got shape \(9,\)"),
        ("flat", torch.full((10,), 10_000), "flat: .* numbers below 10000"),
        ("depth", torch.full((10,), -1), "depth: .* numbers below 100, got -1"),
        ("depth", torch.zeros(10), "depth: .* whole numbers"),
        ("adjacency", torch.eye(6, dtype=torch.bool), r"adjacency: .* shape \(7, 7\)"),
        ("adjacency", torch.ones(7, 7, dtype=torch.bool).tril(), "adjacency: .* symmetric"),
        ("adjacency", ~torch.eye(7, dtype=torch.bool), "adjacency: .* diagonal of True"),
        ("regressor", torch.ones(5, 11), "regressor: .* 12"),
        ("regressor", torch.full((5, 12), torch.nan), "regressor: .* finite"),
        ("joints", (0, 1, 5), "joints: .* below 5"),
        ("pelvis", 5, "pelvis: .* below 5"),
        ("hips", (0, 3), "hips: .* below 3"),
        ("hips", (0, 1, 2), "hips: .* two places below 3"),
        ("upsampling", None, "upsampling: .* three levels"),
        ("upsampling", (torch.full((12, 3), 9), torch.ones(12, 3)), "upsampling: .* below 9"),
        ("upsampling", (torch.zeros(12, 3, dtype=torch.long), torch.ones(12, 2)), r"upsampling: .* \(12, 3\)"),
        ("faces", (None,), "faces: .* each of 3 levels"),
        ("faces", (torch.tensor([[0, 1, 7]]), None, None), "faces: .* below 7"),
    ],
)
def test_tables_that_do_not_fit_are_refused(toy_body, field, value, message):
    with pytest.raises(ValueError, match=message):
        toy_body(**{field: value})


def test_two_levels_need_no_fixed_matrix(toy_body):
    with pytest.raises(ValueError, match="upsampling: .* None for fewer"):
        toy_body(2, upsampling=(torch.zeros(9, 1, dtype=torch.long), torch.ones(9, 1)))
    assert toy_body(2).sizes()["upsampling"] == 0


def test_sizes_are_enough_to_hold_the_tables(toy_body):
    body = toy_body(faces=(None, torch.tensor([[0, 1, 2]]), None))
    tables = HulkBodyTables(body.sizes(), len(body.joints))
    shapes = {name: tuple(table.shape) for name, table in tables.named_buffers()}
    tables.set_tables(body, stored=True)
    assert shapes == {name: tuple(table.shape) for name, table in tables.named_buffers()}
    assert tables.faces(0) is None and tables.faces(1).tolist() == [[0, 1, 2]]


def test_tables_are_copies(toy_body):
    body = toy_body()
    tables = HulkBodyTables(body.sizes(), len(body.joints))
    tables.set_tables(body, stored=False)
    before = body.regressor.clone()
    tables.regressor.zero_()
    assert torch.equal(body.regressor, before)
    assert not tables.state_dict()


def test_up_sampling_and_joints(toy_body):
    body = toy_body()
    tables = HulkBodyTables(body.sizes(), len(body.joints))
    tables.set_tables(body, stored=False)
    vertices = torch.randn(2, 9, 3)
    matrix = torch.zeros(12, 9)
    for row in range(12):
        for column, value in zip(body.upsampling[0][row], body.upsampling[1][row], strict=True):
            matrix[row, column] += value
    fine = tables.upsample(vertices)
    torch.testing.assert_close(fine, torch.einsum("wv,bvc->bwc", matrix, vertices))
    joints, pelvis = tables.regress(fine)
    every = torch.einsum("rw,bwc->brc", body.regressor, fine)
    torch.testing.assert_close(joints, every[:, [4, 1, 2]])
    torch.testing.assert_close(pelvis, every[:, [3]])
