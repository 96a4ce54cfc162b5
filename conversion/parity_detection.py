# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our detection network against recordings of the official one: forward stages, loss terms and gradients."""

from __future__ import annotations

import torch

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.parity import (
    DECODER_CONFIG,
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
from hulk_hf.modeling.boxes_hulk import centers_to_corners, corners_to_centers
from hulk_hf.modeling.loss_detection_hulk import FOCAL_ALPHA, IGNORE_THRESHOLD
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection

# Options that the network has no other form of.
_FIXED = {
    f"{DECODER_CONFIG}.patch_pos_mode": ("interpolate_with_nomask", "positions fit the part each picture fills"),
    f"{DECODER_CONFIG}.label_pos_mode": ("simple_interpolate", "queries stand on a regular grid"),
    "config.patch_adapter.kwargs.test_pos_mode": ("interpolate_with_nomask", "positions fit each picture"),
    f"{HEAD_CONFIG}.reference_type": ("four_points", "a box is two points beside its anchor"),
    f"{HEAD_CONFIG}.box_mlp": (True, "boxes come from an MLP"),
    f"{HEAD_CONFIG}.replace_post_mul_norm": (True, "logits are scaled and shifted, not normed"),
    f"{LOSS_CONFIG}.predict3d": (True, "the points of a box have a third coordinate, which nothing reads"),
    f"{LOSS_CONFIG}.xyxy": (True, "targets are corners"),
    f"{LOSS_CONFIG}.focal_alpha": (FOCAL_ALPHA, "a constant of the loss"),
    f"{LOSS_CONFIG}.ign_thr": (IGNORE_THRESHOLD, "a constant of the loss"),
}

_NAMES = {
    "adapter_patch_padmask": "padding of tokens",
    "decoder_reference_logit": "anchors",
    "det_pred_logits": "logits",
    "det_pred_points": "corners of boxes",
}
_TERMS = {
    "loss_sparse_labeling_ce": "class",
    "loss_sparse_labeling_bbox": "box",
    "loss_sparse_labeling_giou": "giou",
}
_LOSS_WEIGHTS = {"class": "class_weight", "box": "bbox_weight", "giou": "giou_weight"}
# In training mode, with drop path off, the stages are what they are in eval mode.
_TRAINING_STAGES = {"backbone": "encoder", "decoder_label": "decoder"}


def build_detection_subject(recording: Recording) -> Subject:
    """Build our detection model from a recording's configuration and weights; errors as in `build_subject`."""
    check_fixed(recording, _FIXED)
    features = recording.tensors.get("sd.proj_sparse_labeling.text_features")
    # An eval-mode recording needs none of these; `check_loss` asks for all of them.
    loss = recording.field(LOSS_CONFIG, {})
    weights = {ours: loss[official] for ours, official in _LOSS_WEIGHTS.items() if loss.get(official) is not None}
    task = read_task(recording, None if features is None else len(features), loss_weights=weights or None)
    return build_subject(recording, HulkForPedestrianDetection, task)


def _pictures(recording: Recording) -> dict[str, torch.Tensor]:
    """The recorded pictures, normalised, and their mask, which is true for padding in the official code."""
    pictures = {"pixel_values": normalise(recording.tensor("in.image"))}
    if "in.image_mask" in recording.tensors:
        pictures["pixel_mask"] = ~recording.tensor("in.image_mask").bool()
    return pictures


@torch.no_grad()
def run_stages(subject: Subject, pictures: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Run the network stage by stage and as a whole.

    Args:
        subject: The model.
        pictures: `pixel_values` (B, 3, H, W), normalised, and `pixel_mask` (B, H, W), if there is one.

    Returns:
        Official name of the stage -> ours, in the order of the network. Logits and boxes come from one call of the
        whole model, so that the stages are known to be what it really runs; depth, which the model does not give, from
        its head.
    """
    model, task = subject.model, subject.task
    inputs = model.hulk.prepare(task, **pictures)
    stages = trunk_stages(subject, inputs)
    outputs = model(**pictures, task=task.name)
    head, states = model.box_head, stages["decoder_label"]
    seen = torch.ones(stages["backbone"].shape[:2]) if inputs.token_mask is None else inputs.token_mask
    return {
        "adapter_patch_padmask": seen == 0,
        **stages,
        "decoder_reference_logit": head.references(task.name, states.shape[1]).expand(len(states), -1, -1),
        "det_pred_logits": outputs.logits,
        "det_pred_points": head.points(states, task.name).flatten(-2),
        "boxes": outputs.pred_boxes,
    }


def _compare_final(recording: Recording, stages: dict[str, torch.Tensor], report: Report) -> None:
    """What the official test step reports for each picture, sorted by score; boxes are corners in its pixels.

    Queries of almost the same score may trade places, so each box is compared with ours that is most like it; which
    query has which box is known from the unsorted points.
    """
    recorded = recording.group("out.final.pred.")
    sizes = recording.tensors.get("in.orig_size")
    for index, (logits, boxes) in enumerate(zip(stages["det_pred_logits"], stages["boxes"], strict=True)):
        scores = logits.sigmoid().amax(dim=-1)
        if f"{index}.scores" in recorded:
            expected = recorded[f"{index}.scores"]
            report.add(f"picture {index}: scores", scores.sort(descending=True).values, expected)
        if f"{index}.boxes" in recorded and f"{index}.scores" in recorded and sizes is not None:
            # Distances are shares of the picture, whatever its size.
            unit = sizes[index].flip(0).repeat(2)
            ours = torch.cat([centers_to_corners(boxes), scores[:, None]], dim=1)
            theirs = torch.cat([recorded[f"{index}.boxes"] / unit, recorded[f"{index}.scores"][:, None]], dim=1)
            nearest = torch.cdist(theirs.double(), ours.double(), p=float("inf")).argmin(dim=1)
            report.add(f"picture {index}: boxes", ours[nearest, :4], theirs[:, :4])


def check_forward(recording: Recording) -> Report:
    """Compare every recorded stage of an eval-mode forward."""
    subject = build_detection_subject(recording)
    subject.model.eval()
    ours = run_stages(subject, _pictures(recording))
    report = Report(f"{subject.task.name}, forward")
    recorded = recording.group("out.")
    compare_stages(recording, ours, report, _NAMES, {})
    _compare_final(recording, ours, report)
    for name in [name for name in report.left_out if name.startswith("final.pred.")]:
        if name.endswith(".labels"):
            report.left_out[name] = "there is one label"
        elif name.endswith((".boxes", ".scores")):
            del report.left_out[name]
    if "det_pred_points" not in recorded or "det_pred_logits" not in recorded:
        raise RecordingError(f"{recording.path.name} holds no boxes (out.det_pred_points and out.det_pred_logits)")
    return report


def _labels(recording: Recording, batch: int) -> list[dict[str, torch.Tensor]]:
    """The recorded targets: corners as shares of the picture, filled up with boxes of area 0."""
    labels = []
    for index in range(batch):
        boxes, classes, crowd, area = (
            recording.tensor(f"in.instances.{index}.{name}") for name in ("boxes", "labels", "iscrowd", "area")
        )
        labels.append({"boxes": corners_to_centers(boxes), "class_labels": classes, "iscrowd": crowd, "area": area})
    return labels


def check_loss(recording: Recording) -> Report:
    """Compare every loss term and the gradient norm of every parameter of one training-mode step."""
    subject = build_detection_subject(recording)
    check_no_drop_path(recording)
    for name in _LOSS_WEIGHTS.values():
        if recording.field(f"{LOSS_CONFIG}.{name}") is None:
            raise RecordingError(f"not supported: a loss recorded with {LOSS_CONFIG}.{name} null, expected numbers")
    subject.model.train()
    report = loss_report(subject)
    pictures = _pictures(recording)
    labels = _labels(recording, len(pictures["pixel_values"]))
    outputs = subject.model(**pictures, labels=labels, task=subject.task.name)
    stages = trunk_stages(subject, subject.model.hulk.prepare(subject.task, **pictures))
    recorded = recording.group("out.")
    for name, stage in _TRAINING_STAGES.items():
        if name in recorded:
            report.add(stage, stages[name], recorded[name])
    compare_terms(recording, outputs.loss_dict, _TERMS, report).backward()
    compare_gradients(recording, subject, report)
    return report


__all__ = ["build_detection_subject", "check_forward", "check_loss", "run_stages"]
