# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our mesh network against recordings of the official one: forward stages, loss terms and gradients.

The tables of the body model come from the recording, and what it lacks from another recording of the same task; see
`body_tables.recorded_body`.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from hulk_hf.conversion.body_tables import recorded_body
from hulk_hf.conversion.comparison import LOSS_ABSOLUTE, Report
from hulk_hf.conversion.parity import (
    DECODER_CONFIG,
    HEAD_CONFIG,
    Subject,
    build_subject,
    check_fixed,
    check_no_drop_path,
    compare_gradients,
    compare_stages,
    compare_terms,
    loss_report,
    normalise,
    read_task,
    trunk_stages,
)
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.modeling.modeling_mesh_hulk import HulkForMeshRecovery

# Options of decoder and head that the network has no other form of.
_FIXED = {
    f"{DECODER_CONFIG}.use_adapt_pos1d": (True, "depth passes through an MLP"),
    f"{DECODER_CONFIG}.smpl_mae_pe": (True, "templates are placed on the stretched grid"),
    f"{DECODER_CONFIG}.label_pos_mode": ("smpl_xyz", "queries stand where the template has its points"),
    f"{DECODER_CONFIG}.smpl_attention_mask_flag": (True, "vertices see only their neighbours"),
    f"{DECODER_CONFIG}.use_smpl_label_attention_mask": (True, "vertices see only their neighbours"),
    f"{HEAD_CONFIG}.reference_type": ("smpl", "each query gives three numbers"),
}

# Official results, under the prefix that the mode gives them.
_NAMES = {
    "sparse_label_pred": "coordinates",
    "cam_param": "camera",
    "pred_3d_joints": "3-D joints",
    "pred_3d_vertices_coarse": "coarse vertices",
    "pred_3d_vertices_intermediate": "intermediate vertices",
    "pred_3d_vertices_fine": "fine vertices",
    "pred_3d_joints_from_smpl": "3-D joints of the mesh",
    "pred_2d_joints": "2-D joints",
    "pred_2d_joints_from_smpl": "2-D joints of the mesh",
}
_LEFT_OUT = {"pred_logits": "kinds of joints: trained by no loss, read by nobody"}
_TERMS = {
    "loss_3d_joints": "joints_3d",
    "loss_vertices": "vertices",
    "loss_2d_joints": "joints_2d",
    "loss_edge_normal": "edge_normal",
    "loss_joints_classes": "joint classes, switched off: 0",
}
_EVAL_PREFIX = "final.pred."
_TARGETS = {
    "joints_3d": "in.gt_3d_joints",
    "joints_2d": "in.gt_2d_joints",
    "has_3d_joints": "in.has_3d_joints",
    "has_smpl": "in.has_smpl",
}
_LEVELS = ("coarse", "intermediate", "fine")


def build_mesh_subject(recording: Recording) -> Subject:
    """Build our mesh model from a recording's configuration, official weights and tables; errors as those of
    `build_subject` and `recorded_body`."""
    check_fixed(recording, _FIXED)
    body = recorded_body(recording)
    task = read_task(recording)
    task = replace(
        task, body={**(task.body or {}), "vertices": list(body.vertices), "regressed_joints": len(body.regressor)}
    )
    subject = build_subject(recording, HulkForMeshRecovery, task)
    subject.model.set_body(task.name, body)
    return Subject(subject.model, subject.model.hulk.tasks[task.name])


def _labels(recording: Recording) -> dict[str, torch.Tensor]:
    labels = {name: recording.tensor(tensor) for name, tensor in _TARGETS.items()}
    return {**labels, "vertices": [recording.tensor(f"in.gt_3d_vertices_{level}") for level in _LEVELS]}


def run_stages(subject: Subject, pixel_values: torch.Tensor, prefix: str) -> dict[str, torch.Tensor]:
    """Run the network stage by stage and as a whole.

    Args:
        subject: The model.
        pixel_values: Shape (B, 3, H, W), normalised.
        prefix: What the official names of results begin with.

    Returns:
        Official name of the stage -> ours, in the order of the network. Results come from one call of the whole model.
    """
    model = subject.model
    stages = trunk_stages(subject, model.hulk.prepare(subject.task, pixel_values))
    with torch.no_grad():
        outputs = model(pixel_values, task=subject.task.name)
        coordinates = model.mesh_head.coordinates(stages["decoder_label"])
    results = {
        "sparse_label_pred": coordinates.transpose(1, 2)[:, :, None],
        "cam_param": outputs.camera,
        "pred_3d_joints": outputs.joints_3d,
        **{f"pred_3d_vertices_{name}": level for name, level in zip(_LEVELS, outputs.vertices, strict=True)},
        "pred_3d_joints_from_smpl": outputs.mesh_joints_3d,
        "pred_2d_joints": outputs.joints_2d,
        "pred_2d_joints_from_smpl": outputs.mesh_joints_2d,
    }
    return stages | {f"{prefix}{name}": tensor for name, tensor in results.items()}


def _compare(recording: Recording, subject: Subject, report: Report, prefix: str) -> None:
    ours = run_stages(subject, normalise(recording.tensor("in.image")), prefix)
    names, left_out = ({f"{prefix}{name}": text for name, text in table.items()} for table in (_NAMES, _LEFT_OUT))
    compare_stages(recording, ours, report, names, left_out)
    for name in [name for name in report.left_out if name.removeprefix(prefix).startswith("loss")]:
        del report.left_out[name]  # compared elsewhere
    if not any(f"{prefix}{name}" in recording.group("out.") for name in _NAMES):
        raise RecordingError(f"{recording.path.name} holds no bodies (out.{prefix}pred_3d_joints and others)")


def check_forward(recording: Recording) -> Report:
    """Compare every recorded stage of an eval-mode forward, and the loss terms that the official code computes there
    as well."""
    subject = build_mesh_subject(recording)
    subject.model.eval()
    report = Report(f"{subject.task.name}, forward")
    _compare(recording, subject, report, _EVAL_PREFIX)
    recorded = {name: value for name, value in recording.group(f"out.{_EVAL_PREFIX}").items() if name in _TERMS}
    if recorded:
        with torch.no_grad():
            outputs = subject.model(
                normalise(recording.tensor("in.image")), labels=_labels(recording), task=subject.task.name
            )
        terms = _with_absent_term(outputs.loss_dict)
        for name, value in recorded.items():
            report.add(name, terms[_TERMS[name]], value.reshape(()), absolute=LOSS_ABSOLUTE)
    return report


def check_loss(recording: Recording) -> Report:
    """Compare every loss term and the gradient norm of every parameter of one training-mode step."""
    subject = build_mesh_subject(recording)
    check_no_drop_path(recording)
    subject.model.train()
    report = loss_report(subject)
    _compare(recording, subject, report, "")
    outputs = subject.model(normalise(recording.tensor("in.image")), labels=_labels(recording), task=subject.task.name)
    compare_terms(recording, _with_absent_term(outputs.loss_dict), _TERMS, report).backward()
    compare_gradients(recording, subject, report)
    return report


def _with_absent_term(loss_dict: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {**loss_dict, _TERMS["loss_joints_classes"]: next(iter(loss_dict.values())).new_zeros(())}


__all__ = ["build_mesh_subject", "check_forward", "check_loss", "run_stages"]
