# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Files around SMPL are read without the packages that wrote them and without running what is in them."""

from __future__ import annotations

import io
import os
import pickle
import sys
import types

import numpy as np
import pytest
import torch

from hulk_hf.conversion.smpl_files import read_adjacency, read_mesh_matrices, read_smpl_model

TEMPLATE = np.arange(12.0).reshape(4, 3)
REGRESSOR = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75]])
FACES = np.array([[0, 1, 2], [1, 2, 3]], np.uint32)


class Sparse:
    """What a pickled matrix of scipy looks like; the kind is the name of its class."""

    def __init__(self, state):
        self.__dict__.update(state)


def compressed(matrix, by):
    rows, columns = np.nonzero(matrix if by == "rows" else matrix.T)
    dense = matrix if by == "rows" else matrix.T
    indptr = np.searchsorted(rows, np.arange(len(dense) + 1)).astype(np.int32)
    return {
        "_shape": matrix.shape,
        "data": dense[rows, columns],
        "indices": columns.astype(np.int32),
        "indptr": indptr,
    }


def coordinates(matrix):
    rows, columns = np.nonzero(matrix)
    return {"_shape": matrix.shape, "data": matrix[rows, columns], "row": rows, "col": columns}


@pytest.fixture
def foreign(monkeypatch):
    """Classes under the names of other packages, which exist only while pickles are written."""

    def make(module, name):
        cls = type(name, (Sparse,), {"__module__": module})
        holder = types.ModuleType(module)
        setattr(holder, name, cls)
        for parent in (module.partition(".")[0], module.rpartition(".")[0]):
            if parent not in sys.modules:
                monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
        monkeypatch.setitem(sys.modules, module, holder)
        return cls

    return make


def write_model(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_model_with_arrays_of_chumpy_and_a_sparse_regressor(foreign, tmp_path, protocol):
    wrapped = foreign("chumpy.ch", "Ch")({"x": TEMPLATE, "_dirty_vars": {"x"}})
    regressor = foreign("scipy.sparse.csc", "csc_matrix")(compressed(REGRESSOR, "columns"))
    content = {"v_template": wrapped, "J_regressor": regressor, "f": FACES, "bs_style": "lbs"}
    model = read_smpl_model(write_model(tmp_path / "model.pkl", content, protocol))
    np.testing.assert_array_equal(model["v_template"], TEMPLATE)
    np.testing.assert_array_equal(model["J_regressor"], REGRESSOR)
    np.testing.assert_array_equal(model["f"], FACES)


def test_a_model_as_an_archive(tmp_path):
    np.savez(tmp_path / "model.npz", v_template=TEMPLATE, J_regressor=REGRESSOR, f=FACES, weights=np.zeros(3))
    model = read_smpl_model(tmp_path / "model.npz")
    assert sorted(model) == ["J_regressor", "f", "v_template"]
    np.testing.assert_array_equal(model["v_template"], TEMPLATE)


def test_other_things_in_a_model_do_no_harm(foreign, tmp_path):
    other = foreign("chumpy.logic", "Cache")({})
    listed = foreign("strange.kinds", "List")({"items": [1, 2]})
    content = {"v_template": TEMPLATE, "J_regressor": REGRESSOR, "f": FACES, "cache": other, "more": {listed: listed}}
    assert read_smpl_model(write_model(tmp_path / "model.pkl", content))["f"].dtype == np.uint32


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmed",)


def test_code_in_a_pickle_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_model(tmp_path / "model.pkl", {"v_template": Harmful()})
    with pytest.raises(ValueError, match="model.pkl: expected an SMPL model with an array 'v_template', got .*mkdir"):
        read_smpl_model(path)
    matrices = np.empty(1, object)
    matrices[0] = Harmful()
    np.savez(tmp_path / "mesh.npz", U=matrices, D=matrices)
    with pytest.raises(ValueError, match="mesh.npz: expected sparse matrices, got .*mkdir"):
        read_mesh_matrices(tmp_path / "mesh.npz")
    assert not (tmp_path / "harmed").exists()


def test_models_that_are_none(foreign, tmp_path):
    with pytest.raises(ValueError, match="does not exist, expected a file of the neutral SMPL model"):
        read_smpl_model(tmp_path / "absent.pkl")
    (tmp_path / "cut.pkl").write_bytes(pickle.dumps({"v_template": TEMPLATE})[:-20])
    with pytest.raises(ValueError, match="cut.pkl: not a pickle"):
        read_smpl_model(tmp_path / "cut.pkl")
    with pytest.raises(ValueError, match="'J_regressor', got NoneType"):
        read_smpl_model(write_model(tmp_path / "part.pkl", {"v_template": TEMPLATE}))
    expression = foreign("chumpy.reordering", "Select")({"a": 1, "idxs": 2})
    with pytest.raises(ValueError, match="v_template is a chumpy expression"):
        read_smpl_model(write_model(tmp_path / "expression.pkl", {"v_template": expression}))


@pytest.mark.parametrize(
    ("module", "name", "state"),
    [
        ("scipy.sparse._coo", "coo_matrix", coordinates),
        ("scipy.sparse.csr", "csr_matrix", lambda matrix: compressed(matrix, "rows")),
        ("scipy.sparse._csc", "csc_matrix", lambda matrix: compressed(matrix, "columns")),
    ],
)
def test_matrices_of_every_kind(foreign, tmp_path, module, name, state):
    torch.manual_seed(0)
    dense = [np.random.default_rng(seed).random((5 - seed, 4)) for seed in range(2)]
    for matrix in dense:
        matrix[matrix < 0.5] = 0
    kind = foreign(module, name)
    written = np.empty(2, object)
    written[:] = [kind(state(matrix)) for matrix in dense]
    np.savez(tmp_path / "mesh.npz", U=written, D=written[::-1], A=written)
    matrices = read_mesh_matrices(tmp_path / "mesh.npz")
    for found, expected in zip(matrices["U"] + matrices["D"], dense + dense[::-1], strict=True):
        np.testing.assert_allclose(found.to_dense().numpy(), expected, rtol=1e-6)


def test_matrices_as_scipy_writes_them(tmp_path):
    sparse = pytest.importorskip("scipy.sparse")
    dense = np.array([[0, 1.5, 0], [2, 0, 0]])
    written = np.empty(3, object)
    written[:] = [sparse.coo_matrix(dense), sparse.csr_matrix(dense), sparse.csc_matrix(dense)]
    np.savez(tmp_path / "mesh.npz", U=written, D=written)
    for found in read_mesh_matrices(tmp_path / "mesh.npz")["U"]:
        np.testing.assert_array_equal(found.to_dense().numpy(), dense)


def test_matrices_that_are_none(tmp_path):
    np.savez(tmp_path / "mesh.npz", U=np.zeros(3), D=np.zeros(3))
    with pytest.raises(ValueError, match="expected sparse matrices, got an array of float64"):
        read_mesh_matrices(tmp_path / "mesh.npz")
    np.savez(tmp_path / "other.npz", A=np.zeros(3))
    with pytest.raises(ValueError, match="expected a numpy archive with U and D"):
        read_mesh_matrices(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(ValueError, match="expected a numpy archive with U and D"):
        read_mesh_matrices(tmp_path / "text.npz")
    objects = np.empty(1, object)
    objects[0] = np.zeros(2)
    np.savez(tmp_path / "dense.npz", U=objects, D=objects)
    with pytest.raises(ValueError, match="expected sparse matrices, got ndarray"):
        read_mesh_matrices(tmp_path / "dense.npz")


def test_a_matrix_with_entries_outside_is_refused(foreign, tmp_path):
    kind = foreign("scipy.sparse._coo", "coo_matrix")
    written = np.empty(1, object)
    written[0] = kind({"_shape": (2, 2), "data": np.ones(1), "row": np.array([2]), "col": np.array([0])})
    np.savez(tmp_path / "mesh.npz", U=written, D=written)
    with pytest.raises(ValueError, match="mesh.npz: a sparse matrix that is none"):
        read_mesh_matrices(tmp_path / "mesh.npz")


def test_neighbours(tmp_path):
    torch.save(torch.tensor([[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 0, 0]]), tmp_path / "toy_indices.pt")
    torch.save(torch.tensor([0.5, 0.5, 1, 0.5, 0.5, 0]), tmp_path / "toy_values.pt")
    expected = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)  # an entry of 0 is none
    assert torch.equal(read_adjacency(tmp_path, "toy"), expected)
    with pytest.raises(ValueError, match="other_indices.pt does not exist"):
        read_adjacency(tmp_path, "other")
    torch.save(torch.ones(5), tmp_path / "toy_values.pt")
    with pytest.raises(ValueError, match=r"expected indices \(2, N\) and values \(N,\)"):
        read_adjacency(tmp_path, "toy")
    buffer = io.BytesIO(b"no tensor")
    (tmp_path / "toy_values.pt").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match="toy_values.pt: not a tensor"):
        read_adjacency(tmp_path, "toy")
