# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A body for the released weights from the user's files, checked on a small body of the same form."""

from __future__ import annotations

import pickle
from dataclasses import fields

import numpy as np
import pytest
import torch

from hulk_hf.conversion.body_tables import DATA_FILES, body_from_checkpoint, body_from_files, smpl_body
from hulk_hf.modeling.body_hulk import HulkBody

FINE, MIDDLE, COARSE = 12, 8, 5
JOINTS = [3, 2, 1, 4, 5, 6, 16, 15, 14, 11, 12, 13, 8, 10]
SMPL = "module.proj_sparse_labeling.loss_fn.smpl."


@pytest.fixture(scope="module")
def parts():
    """Arrays of a small body: an upright template, its regressors, and the levels of its mesh."""
    rng = np.random.default_rng(0)
    template = rng.uniform((-0.7, -0.7, -0.1), (0.7, 0.7, 0.1), (FINE, 3)) + [0.05, 0.3, 0.02]
    regressor, skeleton = (rng.dirichlet(np.ones(FINE), rows) for rows in (17, 24))
    regressor *= 0.9997  # rows of the real one do not sum to 1 either
    middle, coarse = rng.permutation(FINE)[:MIDDLE], rng.permutation(MIDDLE)[:COARSE]
    down = [np.eye(FINE)[middle], np.eye(MIDDLE)[coarse]]
    upsampling = np.where(rng.random((FINE, MIDDLE)) > 0.5, rng.standard_normal((FINE, MIDDLE)), 0)
    adjacency = rng.random((COARSE, COARSE)) > 0.6
    return {
        "template": template,
        "regressor": regressor,
        "skeleton": skeleton,
        "selected": middle[coarse],
        "down": down,
        "up": [upsampling, down[1].T],
        "adjacency": adjacency | adjacency.T | np.eye(COARSE, dtype=bool),
        "faces_middle": rng.integers(0, MIDDLE, (6, 3)),
        "faces": rng.integers(0, FINE, (9, 3)).astype(np.uint32),
    }


@pytest.fixture(scope="module")
def data(parts, tmp_path_factory):
    """A folder of data files as the official repository has them."""
    sparse = pytest.importorskip("scipy.sparse")
    folder = tmp_path_factory.mktemp("data")
    written = {}
    for name, matrices in (("U", parts["up"]), ("D", parts["down"])):
        written[name] = np.empty(2, object)
        written[name][:] = [sparse.csc_matrix(matrix) for matrix in matrices]
    np.savez(folder / "mesh_downsampling.npz", **written)
    np.save(folder / "J_regressor_h36m_correct.npy", parts["regressor"])
    np.save(folder / "smpl_1723_faces.npy", parts["faces_middle"])
    indices = torch.tensor(np.stack(np.nonzero(parts["adjacency"])))
    torch.save(indices, folder / "smpl_431_adjmat_indices.pt")
    torch.save(torch.full((indices.shape[1],), 0.2), folder / "smpl_431_adjmat_values.pt")
    return folder


@pytest.fixture(scope="module")
def model_file(parts, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "neutral.pkl"
    model = {"v_template": parts["template"], "J_regressor": parts["skeleton"], "f": parts["faces"]}
    path.write_bytes(pickle.dumps(model, 2))
    return path


@pytest.fixture(scope="module")
def checkpoint(parts):
    return {
        f"{SMPL}v_template": torch.tensor(parts["template"], dtype=torch.float32),
        f"{SMPL}J_regressor": torch.tensor(parts["skeleton"], dtype=torch.float32),
        f"{SMPL}J_regressor_h36m_correct": torch.tensor(parts["regressor"], dtype=torch.float32),
        f"{SMPL}faces": torch.tensor(parts["faces"].astype(np.int64)),
    }


def expected_cells(parts):
    """In float64: the template turned by 3.1416 about the x axis through its root, measured from its pelvis."""
    template, angle = parts["template"], 3.1416
    root = parts["skeleton"][0] @ template
    turned = template - root
    y, z = turned[:, 1].copy(), turned[:, 2].copy()
    turned[:, 1], turned[:, 2] = np.cos(angle) * y - np.sin(angle) * z, np.sin(angle) * y + np.cos(angle) * z
    turned += root
    joints = parts["regressor"] @ turned
    points = np.concatenate([joints[JOINTS], turned[parts["selected"]]]) - joints[0]
    x, y, z = 50 * (points[:, 0] + 1), 50 * (points[:, 1] + 1), 250 * (points[:, 2] + 0.2)
    assert min(abs(v - np.round(v)).min() for v in (x, y, z)) > 1e-4  # no point on the border of a cell
    return x.astype(int) + 100 * y.astype(int), z.astype(int)


def assert_same(first: HulkBody, second: HulkBody) -> None:
    for field in fields(HulkBody):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(one, other, msg=field.name)
        elif field.name in ("upsampling", "faces"):
            for a, b in zip(one, other, strict=True):
                assert (a is None) == (b is None) and (a is None or torch.equal(a, b))
        else:
            assert one == other, field.name


def test_from_files(parts, data, model_file):
    body = body_from_files(model_file, data)
    flat, depth = expected_cells(parts)
    assert body.flat.tolist() == flat.tolist() and body.depth.tolist() == depth.tolist()
    assert body.vertices == (COARSE, MIDDLE, FINE) and body.restricted and "SMPL" in body.license
    assert (body.joints, body.pelvis, body.hips) == (tuple(JOINTS), 0, (2, 3))
    np.testing.assert_array_equal(body.adjacency.numpy(), parts["adjacency"])
    np.testing.assert_allclose(body.regressor.numpy(), parts["regressor"], rtol=1e-6)
    dense = torch.zeros(FINE, MIDDLE)
    rows = torch.arange(FINE)[:, None].expand_as(body.upsampling[0])
    dense.index_put_((rows, body.upsampling[0]), body.upsampling[1], accumulate=True)
    np.testing.assert_allclose(dense.numpy(), parts["up"][0], rtol=1e-6)
    assert body.faces[0] is None
    np.testing.assert_array_equal(body.faces[1].numpy(), parts["faces_middle"])
    np.testing.assert_array_equal(body.faces[2].numpy(), parts["faces"])


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_from_a_checkpoint(data, model_file, checkpoint, prefix):
    renamed = {prefix + name.removeprefix("module."): tensor for name, tensor in checkpoint.items()}
    assert_same(body_from_checkpoint(renamed, data), body_from_files(model_file, data))


def test_a_checkpoint_brings_its_own_regressor(data, checkpoint, tmp_path):
    for path in data.iterdir():
        if path.suffix != ".npy":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    body = body_from_checkpoint(checkpoint, tmp_path)
    assert body.faces[1] is None  # nor does one need the triangles, unless one trains
    assert_same(body_from_checkpoint(checkpoint, data), smpl_with_faces(body, data))


def smpl_with_faces(body, data):
    faces = torch.from_numpy(np.load(data / "smpl_1723_faces.npy"))
    values = {field.name: getattr(body, field.name) for field in fields(HulkBody)}
    return HulkBody(**{**values, "faces": (None, faces, body.faces[2])})


@pytest.mark.parametrize("absent", [name for name in DATA_FILES if "faces" not in name])
def test_a_missing_file_is_named(data, model_file, tmp_path, absent):
    for path in data.iterdir():
        if path.name != absent:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match=f"lacks files of the official repository: {absent} \\("):
        body_from_files(model_file, tmp_path)


def test_a_checkpoint_of_another_task(data):
    with pytest.raises(ValueError, match="v_template, expected a checkpoint of task 2"):
        body_from_checkpoint({"module.backbone_module.norm.weight": torch.ones(3)}, data)


def test_tables_that_do_not_fit(parts):
    def tables(**changes):
        values = {
            "template": torch.tensor(parts["template"]),
            "root_regressor": torch.tensor(parts["skeleton"][0]),
            "regressor": torch.tensor(parts["regressor"]),
            "upsampling": torch.tensor(parts["up"][0]).float().to_sparse(),
            "downsampling": [torch.tensor(matrix).float().to_sparse() for matrix in parts["down"]],
            "adjacency": torch.tensor(parts["adjacency"]),
        }
        return smpl_body(**{**values, **changes})

    assert tables().faces == (None, None, None)
    with pytest.raises(ValueError, match=r"upsampling: expected shape \(12, 8\), got \(3, 8\)"):
        tables(upsampling=torch.ones(3, 8).to_sparse())
    with pytest.raises(ValueError, match=r"downsampling\[1\]: expected shape \(4, 8\), got \(5, 8\)"):
        tables(adjacency=torch.eye(4, dtype=torch.bool))
    with pytest.raises(ValueError, match="points: x runs from"):
        tables(template=3 * torch.tensor(parts["template"]))
