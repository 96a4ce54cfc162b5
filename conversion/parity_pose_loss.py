# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our pose training step against recordings of the official one: loss terms and gradients."""

from __future__ import annotations

import re

import torch

from hulk_hf.conversion.comparison import GRADIENT_FLOOR, GRADIENT_RELATIVE, LOSS_ABSOLUTE, RELATIVE, Report
from hulk_hf.conversion.keymap import POSE_KEYS, strip_wrappers
from hulk_hf.conversion.parity_pose import LOSS_CONFIG, Subject, build_subject
from hulk_hf.conversion.recordings import Recording, RecordingError

_TERMS = {"loss_mask_pos": "heatmap", "loss_bce_pos": "presence"}
# The reconstruction of the input has nothing to reconstruct where all input tokens are visible.
_ABSENT_TERMS = ("loss_rgb", "loss_rgb_norm")
_STAGES = {"backbone": "encoder", "decoder_label": "decoder"}


def our_term(official: str) -> str | None:
    """The name here of an official loss term; None if it is none of the terms of pose.

    Official terms of the earlier decoder layers end with a number, counted from the first layer.
    """
    match = re.fullmatch(r"(\w+?)(?:_(\d+))?", official)
    if match is None or match[1] not in _TERMS:
        return None
    return _TERMS[match[1]] + ("" if match[2] is None else f"_aux_{match[2]}")


def check_loss(recording: Recording) -> Report:
    """Compare every loss term and the gradient norm of every parameter of one training-mode step."""
    subject = build_subject(recording)
    rate = recording.field("config.backbone.kwargs.drop_path_rate", 0.0)
    if rate:
        raise RecordingError(f"not supported: a loss recorded with drop_path_rate {rate}, expected 0")
    for name in ("sample_weight", "class_weight", "mask_weight"):
        if recording.field(f"{LOSS_CONFIG}.{name}") is None:
            raise RecordingError(f"not supported: a loss recorded with {LOSS_CONFIG}.{name} null, expected numbers")
    subject.model.train()
    tolerance = f"loss terms within {LOSS_ABSOLUTE:g} + {RELATIVE:g} |x|"
    report = Report(f"{subject.task.name}, loss and gradients, {tolerance}")
    recorded = recording.group("out.")
    outputs = subject.model(
        subject.pixel_values,
        labels=recording.tensor("in.label"),
        label_weights=recording.tensor("in.target_weight"),
        task=subject.task.name,
    )
    _compare_stages(subject, recorded, report)
    total = _compare_terms(recording, outputs.loss_dict, report)
    total.backward()
    _compare_gradients(recording, subject, report)
    return report


def _compare_stages(subject: Subject, recorded: dict[str, torch.Tensor], report: Report) -> None:
    """In training mode, with drop path off, the stages are what they are in eval mode."""
    trunk = subject.model.hulk
    with torch.no_grad():
        outputs = trunk(subject.pixel_values, task=subject.task.name)
    ours = {"backbone": outputs.encoder_last_hidden_state, "decoder_label": outputs.last_hidden_state}
    for name, stage in _STAGES.items():
        if name in recorded:
            report.add(stage, ours[name], recorded[name])


def _compare_terms(recording: Recording, loss_dict: dict[str, torch.Tensor], report: Report) -> torch.Tensor:
    """Compare the terms; returns the sum of those that were recorded, which is what the official step minimises."""
    recorded: dict[str, list[float]] = {}
    for name, tensor in recording.group("out.").items():
        if name.startswith("loss") or name.startswith("top"):
            recorded.setdefault(name, []).append(tensor.item())
    for name, value in recording.field("losses", {}).items():
        recorded.setdefault(name, []).append(value)

    terms = []
    for name, values in recorded.items():
        term = our_term(name)
        if "loss" not in name:
            report.left_out[name] = "an accuracy, not part of the loss"
        elif name in _ABSENT_TERMS:
            report.add_bound(name, max(map(abs, values)), 0.0, "reconstruction of the input, not in this model: 0")
        elif term not in loss_dict:
            raise RecordingError(f"{recording.path.name}: loss term {name!r} is unknown, known are {sorted(_TERMS)}")
        else:
            terms.append(term)
            # A value stands in the tensors and in the JSON; both have to agree with ours.
            ours = loss_dict[term].expand(len(values))
            report.add(name, ours, torch.tensor(values), absolute=LOSS_ABSOLUTE)
    if not terms:
        raise RecordingError(f"{recording.path.name} holds no loss terms")
    # A recording with fewer terms than decoder layers trains on fewer.
    total = torch.stack([loss_dict[term] for term in terms]).sum()
    recorded_total = recording.field("total_loss_sum_of_terms_with_loss_in_name")
    report.add("total loss", total, recorded_total, absolute=LOSS_ABSOLUTE)
    return total


def _compare_gradients(recording: Recording, subject: Subject, report: Report) -> None:
    parameters = {name: value for name, value in subject.model.named_parameters() if value.requires_grad}
    untouched = set(parameters)
    dead, dead_norm = 0, 0.0
    absent = dict.fromkeys(recording.field("params_without_grad", []), 0.0)
    for official, recorded in {**absent, **recording.field("grad_norms")}.items():
        rule, layer = POSE_KEYS.find(strip_wrappers(official))
        if rule.status in ("dead", "derived"):
            dead, dead_norm = dead + 1, max(dead_norm, recorded)
            continue
        names = rule.our_names(layer, task=subject.task.name, family=subject.task.family)
        untouched -= set(names)
        gradients = [parameters[name].grad for name in names]
        # The official tensor holds query, key and value: its norm is that of all three together.
        ours = sum((g.double().norm() ** 2 for g in gradients if g is not None), torch.zeros(()).double()).sqrt()
        tolerance = GRADIENT_RELATIVE * recorded if recorded > GRADIENT_FLOOR else GRADIENT_FLOOR
        report.add(f"gradient {official}", ours, recorded, absolute=tolerance, relative=0.0)
    report.add_bound(f"gradients of {dead} unused official tensors", dead_norm, 0.0, "must be 0")
    note = ", ".join(sorted(untouched)[:3])
    report.add_bound("parameters of ours without a recorded gradient", len(untouched), 0, note)


__all__ = ["check_loss", "our_term"]
