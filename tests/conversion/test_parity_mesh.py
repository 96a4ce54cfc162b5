# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our mesh network against the official one, and recordings that lack the tables of the body."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hulk_hf.conversion.body_tables import recorded_body
from hulk_hf.conversion.parity_mesh import build_mesh_subject, check_forward, check_loss
from hulk_hf.conversion.recordings import Recording, RecordingError, read_recording

REGRESSOR = "sd.proj_sparse_labeling.loss_fn.smpl.J_regressor_h36m_correct"
TEMPLATE = "sd.proj_sparse_labeling.loss_fn.smpl.v_template"
TABLES = ("in.mesh_U0_indices", "in.mesh_U0_values", "in.mesh_faces_1723", "in.smpl_attention_mask", REGRESSOR)
CELLS = ("in.smpl_pe_xy_index", "in.smpl_pe_z_index")


@pytest.fixture(scope="module")
def forward(shared) -> Recording:
    return read_recording(shared / "golden" / "golden_tiny_task2_a.safetensors")


@pytest.fixture(scope="module")
def loss(shared) -> Recording:
    return read_recording(shared / "golden" / "golden_tiny_task2_a_loss.safetensors")


def without(recording: Recording, *names: str, **changes) -> Recording:
    tensors = {name: tensor for name, tensor in recording.tensors.items() if name not in names}
    return replace(recording, tensors={**tensors, **changes})


def failed(report) -> list[str]:
    return [comparison.stage for comparison in report.comparisons if not comparison.passed]


def test_every_stage_of_the_forward(forward):
    report = check_forward(forward)
    assert report.passed, failed(report)
    stages = {comparison.stage for comparison in report.comparisons}
    assert {"tokenizer", "encoder", "neck", "decoder", "coordinates", "camera", "fine vertices"} <= stages
    assert {"3-D joints", "3-D joints of the mesh", "2-D joints", "2-D joints of the mesh", "loss_vertices"} <= stages


def test_every_loss_term_and_gradient(loss):
    report = check_loss(loss)
    assert report.passed, failed(report)
    stages = {comparison.stage for comparison in report.comparisons}
    assert {"loss_3d_joints", "loss_vertices", "loss_2d_joints", "loss_edge_normal", "total loss"} <= stages
    assert sum(stage.startswith("gradient ") for stage in stages) > 60


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("sd.decoder_module.predictor.adapt_pos1d.2.bias", "decoder"),
        ("sd.proj_sparse_labeling.loss_fn.coarse2intermediate_upsample.bias", "intermediate vertices"),
        ("in.mesh_U0_values", "fine vertices"),
        (REGRESSOR, "3-D joints of the mesh"),
        ("in.gt_2d_joints", "loss_2d_joints"),
    ],
)
def test_differences_are_found(forward, name, stage):
    tensor = forward.tensor(name)
    noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0))
    report = check_forward(without(forward, **{name: tensor + 0.01 * noise}))
    assert stage in failed(report)


@pytest.mark.parametrize("name", ["in.smpl_attention_mask", *CELLS])
def test_wrong_places_and_neighbours_are_found(forward, name):
    tensor = forward.tensor(name)
    wrong = torch.zeros_like(tensor) if tensor.dtype == torch.bool else tensor.roll(1)
    assert "decoder" in failed(check_forward(without(forward, **{name: wrong})))


def test_missing_tables_come_from_another_recording(forward, shared):
    report = check_forward(without(forward, *TABLES))
    assert report.passed, failed(report)
    name = build_mesh_subject(without(forward, *TABLES)).task.body["name"]
    assert name == "SMPL stand-in, tables of golden_tiny_task2_a"
    assert build_mesh_subject(forward).task.body["name"] == "SMPL stand-in"


def test_missing_places_follow_from_the_template_points(forward):
    expected, body = recorded_body(forward), recorded_body(without(forward, *CELLS))
    assert torch.equal(body.flat, expected.flat) and torch.equal(body.depth, expected.depth)
    lent = recorded_body(without(forward, *CELLS, "in.smpl_ref_vertices"))
    assert torch.equal(lent.flat, expected.flat) and "tables of" in lent.name


def test_places_of_another_template_are_not_borrowed(forward):
    other = without(forward, *CELLS, "in.smpl_ref_vertices", **{TEMPLATE: forward.tensor(TEMPLATE) + 0.1})
    with pytest.raises(RecordingError, match="lacks tables .*smpl_pe_xy_index.*, and no other recording"):
        recorded_body(other)


def test_missing_tables_that_nobody_has(forward, tmp_path):
    (tmp_path / "other.safetensors").write_bytes(b"no tensors")
    with pytest.raises(RecordingError, match=r"lacks tables of the body model \(in.mesh_faces_1723\), and no other"):
        recorded_body(without(forward, "in.mesh_faces_1723"), [tmp_path])


def test_recordings_with_other_options_are_refused(forward):
    config = forward.info["config"]
    predictor = config["decoder"]["kwargs"]["transformer_predictor_cfg"]
    changed = {**predictor, "label_pos_mode": "simple"}
    decoder = {"kwargs": {**config["decoder"]["kwargs"], "transformer_predictor_cfg": changed}}
    other = replace(forward, info={**forward.info, "config": {**config, "decoder": decoder}})
    with pytest.raises(RecordingError, match="label_pos_mode is 'simple', expected 'smpl_xyz'"):
        check_forward(other)


def test_a_recording_without_results_is_refused(forward):
    results = [name for name in forward.tensors if name.startswith("out.final.pred.")]
    with pytest.raises(RecordingError, match="holds no bodies"):
        check_forward(without(forward, *results))
