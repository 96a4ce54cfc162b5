# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our attribute and action networks against recordings of the official ones: stages, loss terms and gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.parity import (
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
from hulk_hf.modeling.loss_pose_hulk import presence_weights
from hulk_hf.modeling.modeling_action_hulk import HulkForActionRecognition, fold_persons
from hulk_hf.modeling.modeling_attributes_hulk import HulkForAttributeRecognition
from hulk_hf.modeling.modeling_hulk import HulkInputs
from hulk_hf.modeling.tasks_hulk import HulkTask

_TOKENIZER_CONFIG = "config.patch_adapter.kwargs"
_LOSS_CONFIG = f"{HEAD_CONFIG}.loss_cfg.kwargs"

# Options that the networks have no other form of.
_FIXED = {
    f"{HEAD_CONFIG}.post_mul_norm": (True, "the head normalises over labels"),
    f"{HEAD_CONFIG}.replace_post_mul_norm": (False, "the head has no scale and offset in place of its norm"),
}
_FIXED_ATTRIBUTES = {
    **_FIXED,
    f"{HEAD_CONFIG}.one_way_semantics": (True, "attributes are compared with their positive phrase"),
    f"{HEAD_CONFIG}.pre_proj_type": ("", "every picture is scored on its own"),
}
_FIXED_ACTION = {
    **_FIXED,
    f"{HEAD_CONFIG}.pre_proj_type": ("pool", "query states are averaged over persons"),
    f"{_TOKENIZER_CONFIG}.is_2d_dataset": (True, "skeletons have two coordinates and a score"),
    f"{_TOKENIZER_CONFIG}.joint_with_text_embedding": (True, "tokens are told what their joints are called"),
    f"{_TOKENIZER_CONFIG}.stride_text_embedding": (True, "names are mixed over the joints of a token"),
    f"{_TOKENIZER_CONFIG}.proj_norm": ("LN", "tokens are normalised"),
    f"{_TOKENIZER_CONFIG}.type_embed": (False, "skeleton tokens have no modality embedding"),
}
_FOCAL = {f"{_LOSS_CONFIG}.use_focal_weight": (True, "the loss of attributes always has its focal factor")}

_NAMES = {"proj_label.logit": "logits", "final.pred.logit": "logits (test output)"}
_LEFT_OUT = {
    f"final.pred_patch.{name}": "reconstruction of the input, read by nobody"
    for name in ("rgb_pred", "loss_sparse_labeling_fake")
}
_TERMS = {
    "attributes": {"loss_text_OSBCE": "attributes"},
    "action": {"loss_text_CE": "action"},
}
# In training mode, with drop path off, the stages are what they are in eval mode.
_TRAINING_STAGES = ("backbone", "decoder_label")


@dataclass(frozen=True)
class TextSubject:
    """Our model with the weights of a recording, and what was recorded going in.

    Attributes:
        subject: Model and task.
        inputs: What the trunk reads, rows in the order of the recording.
        arguments: What the whole model is called with.
    """

    subject: Subject
    inputs: HulkInputs
    arguments: Mapping[str, torch.Tensor]


def build_text_subject(recording: Recording) -> TextSubject:
    """Build our model of the recorded family from a recording's configuration and official weights.

    Raises:
        RecordingError: A field or tensor is missing, or the recorded configuration has no counterpart here.
        ValueError: The official weights cannot be converted.
    """
    if read_task(recording).family == "attributes":
        return _build_attributes(recording)
    return _build_action(recording)


def _read_task(recording: Recording, **fields: Any) -> HulkTask:
    features = recording.tensors.get("sd.proj_text.text_vectors")
    return read_task(recording, None if features is None else len(features), **fields)


def _build_attributes(recording: Recording) -> TextSubject:
    check_fixed(recording, _FIXED_ATTRIBUTES)
    # An eval-mode recording needs none of these; `check_loss` asks for all of them.
    loss = recording.field(_LOSS_CONFIG, {})
    fields: dict[str, Any] = {"loss_weights": {"attributes": loss.get("loss_weight", 1.0)}}
    if loss.get("sample_weight"):
        fields["presence_ratios"] = loss["sample_weight"]
    if "dataset_weight" in loss:
        fields["label_weights"] = loss["dataset_weight"] or None
    subject = build_subject(recording, HulkForAttributeRecognition, _read_task(recording, **fields))
    pixel_values = normalise(recording.tensor("in.image"))
    inputs = subject.model.hulk.prepare(subject.task, pixel_values)
    return TextSubject(subject, inputs, {"pixel_values": pixel_values})


def _build_action(recording: Recording) -> TextSubject:
    check_fixed(recording, _FIXED_ACTION)
    weight = recording.field(f"{_LOSS_CONFIG}.loss_weight", 1.0)
    task = _read_task(recording, loss_weights={"action": weight})
    subject = build_subject(recording, HulkForActionRecognition, task)
    config = subject.model.config.skeleton_config
    skeletons = _read_skeletons(recording.tensor("in.sparse_labeling").float())
    # Frames behind the last whole patch are never read, and our configuration does not count them.
    skeletons = skeletons[..., : config.num_frames, :]
    # Official rows: persons slow, clips fast. Ours are the other way round, and no result depends on it.
    official_order = skeletons.transpose(1, 2) if skeletons.ndim == 6 else skeletons
    sequences, _ = fold_persons(official_order, config)
    inputs = subject.model.hulk.prepare(subject.task, skeletons=sequences)
    return TextSubject(subject, inputs, {"skeletons": skeletons})


def _read_skeletons(skeletons: torch.Tensor) -> torch.Tensor:
    """Bring official skeletons into our form.

    Args:
        skeletons: Shape (B, clips, persons, frames, joints, 3), or in older training (B, 3, frames, joints, persons).

    Raises:
        RecordingError: They have another shape.
    """
    if skeletons.ndim == 6 and skeletons.shape[-1] == 3:
        return skeletons.permute(0, 1, 2, 5, 3, 4)
    if skeletons.ndim == 5 and skeletons.shape[1] == 3:
        return skeletons.permute(0, 4, 1, 2, 3)
    raise RecordingError(
        "in.sparse_labeling: expected shape (batch, clips, persons, frames, joints, 3) or (batch, 3, frames, joints, "
        f"persons), got {tuple(skeletons.shape)}"
    )


def check_forward(recording: Recording) -> Report:
    """Compare every recorded stage of an eval-mode forward."""
    built = build_text_subject(recording)
    subject = built.subject
    subject.model.eval()
    ours = trunk_stages(subject, built.inputs)
    with torch.no_grad():
        logits = subject.model(**built.arguments, task=subject.task.name).logits
    ours |= dict.fromkeys(_NAMES, logits)
    report = Report(f"{subject.task.name}, forward")
    compare_stages(recording, ours, report, _NAMES, _LEFT_OUT)
    if not _NAMES.keys() & recording.group("out.").keys():
        raise RecordingError(f"{recording.path.name} holds no logits (out.final.pred.logit)")
    return report


def check_loss(recording: Recording) -> Report:
    """Compare every loss term and the gradient norm of every parameter of one training-mode step."""
    check_no_drop_path(recording)
    built = build_text_subject(recording)
    subject, task = built.subject, built.subject.task
    labels = recording.tensor("in.label")
    if task.family == "attributes":
        check_fixed(recording, _FOCAL)
        if recording.field(f"{_LOSS_CONFIG}.sample_weight") is None:
            raise RecordingError(f"not supported: a loss recorded with {_LOSS_CONFIG}.sample_weight null")
    subject.model.train()
    report = loss_report(subject)
    outputs = subject.model(**built.arguments, labels=labels, task=task.name)
    terms = dict(outputs.loss_dict)
    if task.family == "attributes" and (labels > 1).any():
        terms["attributes"] = terms["attributes"] + unknown_as_targets(outputs.logits, labels, task)
        report.left_out["that labels above 1 are ignored"] = "the official code trains them; added for this comparison"
    stages = trunk_stages(subject, built.inputs)
    recorded = recording.group("out.")
    for name in _TRAINING_STAGES:
        if name in recorded:
            report.add({"backbone": "encoder", "decoder_label": "decoder"}[name], stages[name], recorded[name])
    compare_terms(recording, terms, _TERMS[task.family], report).backward()
    compare_gradients(recording, subject, report)
    return report


def unknown_as_targets(logits: torch.Tensor, labels: torch.Tensor, task: HulkTask) -> torch.Tensor:
    """What the official loss adds for labels above 1, which mean that the attribute is unknown.

    It takes the number for the target of its cross-entropy and of its focal factor. Ours leaves such labels out.

    Args:
        logits: Shape (B, A).
        labels: Shape (B, A).
        task: The recorded task.
    """
    labels = labels.float()
    probability = logits.sigmoid()
    right = probability * labels + (1.0 - probability) * (1.0 - labels)
    cross_entropy = F.softplus(logits) - logits * labels
    ratios = logits.new_tensor(task.presence_ratios)
    rarity = presence_weights(torch.ones_like(labels), ratios)
    weights = logits.new_tensor(task.label_weights or (1.0,) * task.num_labels)
    terms = (labels > 1) * cross_entropy * rarity * (1.0 - right) ** 2 * weights
    return (task.loss_weights or {}).get("attributes", 1.0) * terms.sum() / len(labels)


__all__ = ["TextSubject", "build_text_subject", "check_forward", "check_loss", "unknown_as_targets"]
