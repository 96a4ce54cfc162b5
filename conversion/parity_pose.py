# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our pose network against recordings of the official one: forward stages, and in `parity_pose_loss` the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.keymap import official_task
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.conversion.state_dict import convert_pose_state_dict
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pose_geometry_hulk import average_flipped
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

# Official names of attention masks -> the structure they describe. Where nothing but images goes in, the variant
# with text tokens adds an empty clause.
_ATTENTION = {
    "full": "full",
    "patch_diag_label_row": "diagonal",
    "patch_diag_label_row_textlabelfull": "diagonal",
}

_DECODER_CONFIG = "config.decoder.kwargs.transformer_predictor_cfg"
LOSS_CONFIG = "config.label_proj.kwargs.loss_cfg.kwargs.cfg"

_HEAD_CONFIG = "config.label_proj.kwargs"

# What the network has no other form of, and why. Recordings that lack a field used the value the release has.
_FIXED = {
    f"{_DECODER_CONFIG}.pre_norm": (False, "the decoder normalises after each residual"),
    f"{_DECODER_CONFIG}.adding_per_layer_pe": (True, "positions are added in every decoder layer"),
    f"{_DECODER_CONFIG}.use_adapt_pos2d": (True, "positions pass through an MLP"),
    "config.backbone.kwargs.vis_patch_token_ratio": (1, "the encoder sees all image tokens"),
    "config.backbone.kwargs.vis_label_token_ratio": (0, "label tokens never enter the encoder"),
    f"{_HEAD_CONFIG}.cls_loss_branch": (True, "the head always gives presence, and its loss"),
    f"{_HEAD_CONFIG}.post_mul_norm": (True, "the head normalises over labels"),
    f"{_HEAD_CONFIG}.replace_post_mul_norm": (False, "the head has no scale and offset in place of its norm"),
}

_LEFT_OUT = {
    "grid": "the shape of the other tensors says the same",
    "adapter_label": "label tokens never enter the encoder",
    "neck_label_of_visible_patch_tokens": "replaced by query tokens before anything reads it",
    # Nothing reads the context rows of the last layer, so ours does not compute them.
    "decoder_patch": "context after the last layer: nobody reads it, ours does not compute it",
    "proj_patch.rgb_pred": "reconstruction of the input: computed by the official code, read by nobody",
    "final.preds": "x and y are ill-conditioned (arg-max of random heat maps); the scores are compared",
}


@dataclass(frozen=True)
class Subject:
    """Our model with the weights of a recording.

    Attributes:
        model: In float32.
        task: The recorded task, which need not be as large as the known one of that name.
        pixel_values: The recorded pictures, normalised.
    """

    model: HulkForPoseEstimation
    task: HulkTask
    pixel_values: torch.Tensor


def build_subject(recording: Recording) -> Subject:
    """Build our model from a recording's configuration and official weights.

    Raises:
        RecordingError: A field or tensor is missing, or the recorded configuration has no counterpart here.
        ValueError: The official weights cannot be converted.
    """
    for path, (expected, reason) in _FIXED.items():
        value = recording.field(path, expected)
        if value != expected:
            raise RecordingError(f"not supported: {path} is {value!r}, expected {expected!r}: {reason}")
    weights = {name: tensor.float() for name, tensor in recording.group("sd.").items()}
    task = _read_task(recording, weights)
    config, state_dict = convert_pose_state_dict(
        weights,
        task,
        encoder_heads=recording.field("config.backbone.kwargs.num_heads", None),
        decoder_heads=recording.field(f"{_DECODER_CONFIG}.nheads"),
        drop_path_rate=recording.field("config.backbone.kwargs.drop_path_rate", 0.0),
    )
    model = HulkForPoseEstimation(config)
    model.load_state_dict(state_dict)
    pixel_values = normalise(recording.tensor("in.image").float())
    return Subject(model, model.hulk.tasks[task.name], pixel_values)


def normalise(images: torch.Tensor) -> torch.Tensor:
    """ImageNet-normalise pictures (B, 3, H, W) of range 0 to 255, which the official network does inside.

    Raises:
        RecordingError: They have another shape.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise RecordingError(f"in.image: expected shape (batch, 3, height, width), got {tuple(images.shape)}")
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    return (images - mean) / std


def _read_task(recording: Recording, weights: Mapping[str, torch.Tensor]) -> HulkTask:
    known = KNOWN_TASKS[official_task(recording.field("task"))]
    features = weights.get("proj_dense_labeling.text_features")
    num_labels = known.num_labels if features is None else len(features)
    if num_labels != known.num_labels:
        labels = tuple(f"joint {index}" for index in range(num_labels))
        known = HulkTask(known.name, known.family, labels, attention=known.attention)
    mask = recording.field(f"{_DECODER_CONFIG}.self_attn_mask_type", "full")
    if mask not in _ATTENTION:
        raise RecordingError(f"not supported: attention mask {mask!r}, expected one of {sorted(_ATTENTION)}")
    size = recording.field("config.patch_adapter.kwargs.img_size", None) or recording.tensor("in.image").shape[-2:]
    pairs = recording.tensors.get("in.flip_pairs")
    # An eval-mode recording needs none of these; `check_loss` asks for all of them.
    loss = recording.field(LOSS_CONFIG, {})
    return replace(
        known,
        image_size=(size, size) if isinstance(size, int) else tuple(size),
        attention=_ATTENTION[mask],
        flip_pairs=known.flip_pairs if pairs is None else tuple(map(tuple, pairs.reshape(-1, 2).tolist())),
        presence_ratios=loss.get("sample_weight") or known.presence_ratios,
        loss_weights={"heatmap": loss.get("mask_weight", 1.0), "presence": loss.get("class_weight", 1.0)},
    )


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
    model, task = subject.model, subject.task
    trunk = model.hulk
    inputs = trunk.prepare(task, pixel_values)
    tokens = trunk.tokenize(inputs)
    memory = trunk.encoder(tokens)
    states, auxiliary = trunk.decode(memory, task, inputs, auxiliary=True)
    outputs = model(pixel_values, task=task.name)
    return {
        "adapter_patch": tokens,
        "backbone": memory,
        "neck_patch": trunk.neck(memory),
        **{f"decoder_label_aux{index}": state for index, state in enumerate(auxiliary)},
        "decoder_label": states,
        "proj_label.output_heatmap": outputs.heatmaps,
        "proj_label.pred_logits": outputs.presence_logits,
        "dense_masks": outputs.heatmaps,
        "dense_pred_classes": outputs.presence_logits,
    }


_STAGES = {
    "adapter_patch": "tokenizer",
    "backbone": "encoder",
    "neck_patch": "neck",
    "decoder_label": "decoder",
    "proj_label.output_heatmap": "heat maps",
    "proj_label.pred_logits": "presence",
    "dense_masks": "heat maps (test output)",
    "dense_pred_classes": "presence (test output)",
    "final.pred_logits": "presence probabilities",
    "final.boxes": "box information",
    "final.preds": "joint scores",
}


def _stage_name(official: str) -> str:
    mirrored, official = official.startswith("flip."), official.removeprefix("flip.")
    name = _STAGES.get(official) or official.replace("decoder_label_aux", "decoder auxiliary ")
    return f"mirrored pass: {name}" if mirrored else name


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


def _with_batch(ours: torch.Tensor, recorded: torch.Tensor) -> torch.Tensor:
    """Official code squeezes the batch axis out of the class scores of a single picture."""
    return recorded[None] if len(ours) == 1 and recorded.ndim == ours.ndim - 1 else recorded


def check_forward(recording: Recording) -> Report:
    """Compare every recorded stage of an eval-mode forward."""
    subject = build_subject(recording)
    subject.model.eval()
    recorded = recording.group("out.")
    ours = run_stages(subject, subject.pixel_values)
    if any(name.startswith("flip.") for name in recorded):
        # The input of the second pass is mirrored; its recorded heat maps are as the network gave them, before left
        # and right joints and the x axis are turned back.
        mirrored = run_stages(subject, subject.pixel_values.flip(-1))
        ours |= {f"flip.{name}": tensor for name, tensor in mirrored.items()}
    ours |= _final_results(recording, subject, ours)

    report = Report(f"{subject.task.name}, forward")
    for name, tensor in ours.items():
        if name == "final.preds" and name in recorded:
            report.add(_stage_name(name), tensor, recorded[name][..., 2])
        elif name in recorded:
            report.add(_stage_name(name), tensor, _with_batch(tensor, recorded[name]))
    for name in recorded.keys() - (ours.keys() - _LEFT_OUT.keys()):
        report.left_out[name] = _LEFT_OUT.get(name.removeprefix("flip."), "has no counterpart here")
    if not {"proj_label.output_heatmap", "dense_masks"} & recorded.keys():
        raise RecordingError(f"{recording.path.name} holds no heat maps (out.proj_label.output_heatmap)")
    return report


__all__ = ["LOSS_CONFIG", "Subject", "build_subject", "check_forward", "normalise", "run_stages"]
