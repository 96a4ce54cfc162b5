# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our pose network against recordings of the official one: forward stages, loss terms and gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.parity import (
    HEAD_CONFIG,
    LOSS_CONFIG,
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
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pose_geometry_hulk import average_flipped

# Options of the dense head that the network has no other form of.
_FIXED = {
    f"{HEAD_CONFIG}.cls_loss_branch": (True, "the head always gives presence, and its loss"),
    f"{HEAD_CONFIG}.post_mul_norm": (True, "the head normalises over labels"),
    f"{HEAD_CONFIG}.replace_post_mul_norm": (False, "the head has no scale and offset in place of its norm"),
}

_NAMES = {
    "proj_label.output_heatmap": "heat maps",
    "proj_label.pred_logits": "presence",
    "dense_masks": "heat maps (test output)",
    "dense_pred_classes": "presence (test output)",
    "final.pred_logits": "presence probabilities",
    "final.boxes": "box information",
    "final.preds": "joint scores",
}
_LEFT_OUT = {"final.preds": "x and y are ill-conditioned (arg-max of random heat maps); the scores are compared"}
_TERMS = {"loss_mask_pos": "heatmap", "loss_bce_pos": "presence"}
# In training mode, with drop path off, the stages are what they are in eval mode.
_TRAINING_STAGES = ("backbone", "decoder_label")


def build_pose_subject(recording: Recording) -> Subject:
    """Build our pose model from a recording's configuration and official weights; errors as in `build_subject`."""
    check_fixed(recording, _FIXED)
    features = recording.tensors.get("sd.proj_dense_labeling.text_features")
    pairs = recording.tensors.get("in.flip_pairs")
    # An eval-mode recording needs none of these; `check_loss` asks for all of them.
    loss = recording.field(LOSS_CONFIG, {})
    weights = {"heatmap": loss.get("mask_weight", 1.0), "presence": loss.get("class_weight", 1.0)}
    fields: dict[str, Any] = {"loss_weights": {term: value for term, value in weights.items() if value is not None}}
    if pairs is not None:
        fields["flip_pairs"] = tuple(map(tuple, pairs.reshape(-1, 2).tolist()))
    if loss.get("sample_weight"):
        fields["presence_ratios"] = loss["sample_weight"]
    task = read_task(recording, None if features is None else len(features), **fields)
    return build_subject(recording, HulkForPoseEstimation, task)


@torch.no_grad()
def run_stages(subject: Subject, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
    """Run the network stage by stage and as a whole.

    Args:
        subject: The model.
        pixel_values: Shape (B, 3, H, W), normalised.

    Returns:
        Official name of the stage -> ours, in the order of the network. Heat maps and presence come from one call of
        the whole model, so that the stages are known to be what it really runs.
    """
    stages = trunk_stages(subject, subject.model.hulk.prepare(subject.task, pixel_values))
    outputs = subject.model(pixel_values, task=subject.task.name)
    return {
        **stages,
        "proj_label.output_heatmap": outputs.heatmaps,
        "proj_label.pred_logits": outputs.presence_logits,
        "dense_masks": outputs.heatmaps,
        "dense_pred_classes": outputs.presence_logits,
    }


def _final_results(
    recording: Recording, subject: Subject, stages: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """What the official test step reports: probabilities, boxes, and joint scores of the flip test."""
    results = {"final.pred_logits": stages["dense_pred_classes"].sigmoid()}
    inputs = recording.group("in.")
    if {"center", "scale", "bbox_score"} <= inputs.keys():
        center, scale, score = (inputs[name].float() for name in ("center", "scale", "bbox_score"))
        area = (200 * scale).prod(dim=1, keepdim=True)
        results["final.boxes"] = torch.cat([center, scale, area, score[:, None]], dim=1)
    heatmaps = stages["dense_masks"]
    if "flip.dense_masks" in stages:
        heatmaps = average_flipped(heatmaps, stages["flip.dense_masks"], subject.task.flip_pairs or ())
    results["final.preds"] = heatmaps.amax(dim=(2, 3))
    return results


def _align(name: str, ours: torch.Tensor, recorded: torch.Tensor) -> torch.Tensor:
    if name == "final.preds":
        return recorded[..., 2]
    # Official code squeezes the batch axis out of the class scores of a single picture.
    return recorded[None] if len(ours) == 1 and recorded.ndim == ours.ndim - 1 else recorded


def check_forward(recording: Recording) -> Report:
    """Compare every recorded stage of an eval-mode forward."""
    subject = build_pose_subject(recording)
    subject.model.eval()
    recorded = recording.group("out.")
    pixel_values = normalise(recording.tensor("in.image"))
    ours = run_stages(subject, pixel_values)
    if any(name.startswith("flip.") for name in recorded):
        # The input of the second pass is mirrored; its recorded heat maps are as the network gave them, before left
        # and right joints and the x axis are turned back.
        ours |= {f"flip.{name}": tensor for name, tensor in run_stages(subject, pixel_values.flip(-1)).items()}
    ours |= _final_results(recording, subject, ours)
    report = Report(f"{subject.task.name}, forward")
    compare_stages(recording, ours, report, _NAMES, _LEFT_OUT, _align)
    report.left_out |= {name: reason for name, reason in _LEFT_OUT.items() if name in recorded}
    if not {"proj_label.output_heatmap", "dense_masks"} & recorded.keys():
        raise RecordingError(f"{recording.path.name} holds no heat maps (out.proj_label.output_heatmap)")
    return report


def check_loss(recording: Recording) -> Report:
    """Compare every loss term and the gradient norm of every parameter of one training-mode step."""
    subject = build_pose_subject(recording)
    check_no_drop_path(recording)
    for name in ("sample_weight", "class_weight", "mask_weight"):
        if recording.field(f"{LOSS_CONFIG}.{name}") is None:
            raise RecordingError(f"not supported: a loss recorded with {LOSS_CONFIG}.{name} null, expected numbers")
    subject.model.train()
    report = loss_report(subject)
    pixel_values = normalise(recording.tensor("in.image"))
    outputs = subject.model(
        pixel_values,
        labels=recording.tensor("in.label"),
        label_weights=recording.tensor("in.target_weight"),
        task=subject.task.name,
    )
    stages = trunk_stages(subject, subject.model.hulk.prepare(subject.task, pixel_values))
    recorded = recording.group("out.")
    for name in _TRAINING_STAGES:
        if name in recorded:
            report.add({"backbone": "encoder", "decoder_label": "decoder"}[name], stages[name], recorded[name])
    compare_terms(recording, outputs.loss_dict, _TERMS, report).backward()
    compare_gradients(recording, subject, report)
    return report


__all__ = ["build_pose_subject", "check_forward", "check_loss", "run_stages"]
