# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the comparisons of all families with recordings of the official network share.

A family adds how its task is read from a recording, what its head gives, and how its loss terms are called.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from hulk_hf.conversion.comparison import GRADIENT_FLOOR, GRADIENT_RELATIVE, LOSS_ABSOLUTE, RELATIVE, Report
from hulk_hf.conversion.keymap import KEY_MAPS, official_task, strip_wrappers
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.conversion.state_dict import convert_state_dict
from hulk_hf.modeling.modeling_hulk import HulkInputs
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

DECODER_CONFIG = "config.decoder.kwargs.transformer_predictor_cfg"
HEAD_CONFIG = "config.label_proj.kwargs"
LOSS_CONFIG = f"{HEAD_CONFIG}.loss_cfg.kwargs.cfg"

# Official names of attention masks -> the structure they describe. Where nothing but images goes in, the variant with
# text tokens adds an empty clause; padding and the order of words come from the inputs.
_ATTENTION = {
    "full": "full",
    "patch_diag_label_row": "diagonal",
    "patch_diag_label_row_textlabelfull": "diagonal",
    "patch_diag_label_row_nested": "diagonal",
    "caption_mask": "diagonal",
}

# What the network has no other form of, and why. Recordings that lack a field used the value the release has.
_FIXED = {
    f"{DECODER_CONFIG}.pre_norm": (False, "the decoder normalises after each residual"),
    "config.backbone.kwargs.vis_patch_token_ratio": (1, "the encoder sees all input tokens"),
    "config.backbone.kwargs.vis_label_token_ratio": (0, "label tokens never enter the encoder"),
}
_EVERY_LAYER = {
    f"{DECODER_CONFIG}.adding_per_layer_pe": (True, "positions are added in every decoder layer"),
    f"{DECODER_CONFIG}.use_adapt_pos2d": (True, "positions pass through an MLP"),
}
_ONCE = {f"{DECODER_CONFIG}.adding_per_layer_pe": (False, "positions are added once, before the decoder")}

TRUNK_LEFT_OUT = {
    "grid": "the shape of the other tensors says the same",
    "adapter_label": "label tokens never enter the encoder",
    "neck_label_of_visible_patch_tokens": "replaced by query tokens before anything reads it",
    # Nothing reads the context rows of the last layer, so ours does not compute them.
    "decoder_patch": "context after the last layer: nobody reads it, ours does not compute it",
    "proj_patch.rgb_pred": "reconstruction of the input: computed by the official code, read by nobody",
    "proj_patch.loss_sparse_labeling_fake": "reconstruction of the input, which has nothing to reconstruct",
}
"""Recorded tensors that no family compares, and why."""

_TRUNK_STAGES = {
    "adapter_patch": "tokenizer",
    "backbone": "encoder",
    "neck_patch": "neck",
    "decoder_label": "decoder",
}

# The reconstruction of the input has nothing to reconstruct where all input tokens are visible.
_ABSENT_TERMS = ("loss_rgb", "loss_rgb_norm", "loss_sparse_labeling_fake")


_DTYPE: ContextVar[torch.dtype] = ContextVar("dtype", default=torch.float32)


@contextmanager
def evaluated_in(dtype: torch.dtype) -> Iterator[None]:
    """Within this block, models are built in another precision: what differs from the recordings then is its drift."""
    token = _DTYPE.set(dtype)
    try:
        yield
    finally:
        _DTYPE.reset(token)


@dataclass(frozen=True)
class Subject:
    """Our model with the weights of a recording.

    Attributes:
        model: In float32, or the precision of `evaluated_in`.
        task: The recorded task, which need not be as large as the known one of that name.
    """

    model: nn.Module
    task: HulkTask


def check_fixed(recording: Recording, fixed: Mapping[str, tuple[Any, str]]) -> None:
    """Refuse a recording with an option that the network has no other form of.

    Args:
        recording: The recording.
        fixed: Path in the JSON -> (the value that is supported, why).

    Raises:
        RecordingError: A field has another value.
    """
    for path, (expected, reason) in fixed.items():
        value = recording.field(path, expected)
        if value != expected:
            raise RecordingError(f"not supported: {path} is {value!r}, expected {expected!r}: {reason}")


def read_task(recording: Recording, num_labels: int | None = None, **fields: Any) -> HulkTask:
    """The known task that was recorded, with what the recording says otherwise.

    Args:
        recording: The recording.
        num_labels: How many labels its weights are for; other than known, they are numbered. None: as known.
        fields: Fields of `HulkTask` that the family read from the recording.

    Raises:
        RecordingError: The recording has an attention mask that is not known.
    """
    task = KNOWN_TASKS[official_task(recording.field("task"))]
    if num_labels is not None and num_labels != task.num_labels:
        # What is known of the labels holds for the known ones only.
        labels = tuple(f"label {index}" for index in range(num_labels))
        unknown: dict[str, Any] = dict.fromkeys(("sigmas", "presence_ratios", "label_weights", "label_spaces"))
        task = replace(task, labels=labels, flip_pairs=(), skeleton=(), **unknown)
    mask = recording.field(f"{DECODER_CONFIG}.self_attn_mask_type", None)
    if mask is not None and mask not in _ATTENTION:
        raise RecordingError(f"not supported: attention mask {mask!r}, expected one of {sorted(_ATTENTION)}")
    if mask is not None:
        fields.setdefault("attention", _ATTENTION[mask])
    if task.input == "image" and "image_size" not in fields:
        size = recording.field("config.patch_adapter.kwargs.img_size", None)
        if size is None and task.queries == "anchor":
            # Pictures are of any size; the table of positions is that of a square one.
            size = 16 * round(recording.tensor("sd.adapter_rgb.pos_embed").shape[1] ** 0.5)
        elif size is None:
            size = recording.tensor("in.image").shape[-2:]
        fields["image_size"] = (size, size) if isinstance(size, int) else tuple(size)
    return replace(task, **fields)


def build_subject(recording: Recording, model_class: type, task: HulkTask) -> Subject:
    """Build our model from a recording's configuration and official weights.

    Args:
        recording: The recording.
        model_class: The class of the task's family.
        task: From `read_task`.

    Raises:
        RecordingError: A field or tensor is missing, or the recorded configuration has no counterpart here.
        ValueError: The official weights cannot be converted.
    """
    check_fixed(recording, _FIXED | (_EVERY_LAYER if task.positions == "every_layer" else _ONCE))
    weights = {name: t.float() if t.is_floating_point() else t for name, t in recording.group("sd.").items()}
    config, state_dict = convert_state_dict(
        weights,
        task,
        encoder_heads=recording.field("config.backbone.kwargs.num_heads", None),
        decoder_heads=recording.field(f"{DECODER_CONFIG}.nheads"),
        drop_path_rate=recording.field("config.backbone.kwargs.drop_path_rate", 0.0),
    )
    model = model_class(config)
    model.load_state_dict(state_dict)
    return Subject(model.to(_DTYPE.get()), model.hulk.tasks[task.name])


def normalise(images: torch.Tensor) -> torch.Tensor:
    """ImageNet-normalise pictures (B, 3, H, W) of range 0 to 255, which the official network does inside.

    Raises:
        RecordingError: They have another shape.
    """
    if images.ndim != 4 or images.shape[1] != 3:
        raise RecordingError(f"in.image: expected shape (batch, 3, height, width), got {tuple(images.shape)}")
    mean, std = (255 * torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    return (images.float() - mean) / std


@torch.no_grad()
def trunk_stages(subject: Subject, inputs: HulkInputs, **decode: Any) -> dict[str, torch.Tensor]:
    """Run the trunk stage by stage.

    Args:
        subject: The model.
        inputs: From `HulkModel.prepare`.
        decode: More arguments of `HulkModel.decode`.

    Returns:
        Official name of the stage -> ours, in the order of the network.
    """
    trunk = subject.model.hulk
    memory = trunk.encode(inputs)
    states, auxiliary = trunk.decode(memory, subject.task, inputs, auxiliary=True, **decode)
    return {
        "adapter_patch": trunk.tokenize(inputs),
        "backbone": memory,
        "neck_patch": trunk.neck(memory),
        **{f"decoder_label_aux{index}": state for index, state in enumerate(auxiliary)},
        "decoder_label": states,
    }


def stage_name(official: str, names: Mapping[str, str] = {}) -> str:  # noqa: B006 - never changed
    """What a stage is called in a table; `names` are those of the family's head."""
    mirrored, official = official.startswith("flip."), official.removeprefix("flip.")
    known = {**_TRUNK_STAGES, **names}
    name = known.get(official) or official.replace("decoder_label_aux", "decoder auxiliary ")
    return f"mirrored pass: {name}" if mirrored else name


def compare_stages(
    recording: Recording,
    ours: Mapping[str, torch.Tensor],
    report: Report,
    names: Mapping[str, str],
    left_out: Mapping[str, str],
    align: Callable[[str, torch.Tensor, torch.Tensor], torch.Tensor] = lambda name, ours, recorded: recorded,
) -> None:
    """Compare every recorded stage that we have, and say of every other one why not.

    Args:
        recording: The recording; its stages are the tensors `out.`.
        ours: Official name -> our tensor.
        report: Where the results go.
        names: Official name -> name in the table, for what the family adds to the trunk.
        left_out: Official name -> why it is not compared, beside `TRUNK_LEFT_OUT`.
        align: Brings a recorded tensor into the form of ours: called with name, ours and recorded.
    """
    recorded = recording.group("out.")
    reasons = {**TRUNK_LEFT_OUT, **left_out}
    for name, tensor in ours.items():
        if name in recorded:
            report.add(stage_name(name, names), tensor, align(name, tensor, recorded[name]))
    for name in recorded.keys() - (ours.keys() - reasons.keys()):
        if name not in ours:
            report.left_out[name] = reasons.get(name.removeprefix("flip."), "has no counterpart here")


def check_no_drop_path(recording: Recording) -> None:
    """Refuse a recorded training step with randomness in it.

    Raises:
        RecordingError: Its drop path rate is not 0.
    """
    rate = recording.field("config.backbone.kwargs.drop_path_rate", 0.0)
    if rate:
        raise RecordingError(f"not supported: a loss recorded with drop_path_rate {rate}, expected 0")


def loss_report(subject: Subject) -> Report:
    """An empty report of a training step."""
    tolerance = f"loss terms within {LOSS_ABSOLUTE:g} + {RELATIVE:g} |x|"
    return Report(f"{subject.task.name}, loss and gradients, {tolerance}")


def our_term(official: str, terms: Mapping[str, str]) -> str | None:
    """The name here of an official loss term; None if it is none of the family's.

    Official terms of the earlier decoder layers end with a number, counted from the first layer.

    Args:
        official: Official name.
        terms: Official name of a term of the last layer -> ours.
    """
    if official in terms:
        return terms[official]
    match = re.fullmatch(r"(\w+?)_(\d+)", official)
    return f"{terms[match[1]]}_aux_{match[2]}" if match and match[1] in terms else None


def compare_terms(
    recording: Recording, loss_dict: Mapping[str, torch.Tensor], terms: Mapping[str, str], report: Report
) -> torch.Tensor:
    """Compare the loss terms.

    Args:
        recording: The recording.
        loss_dict: Our terms.
        terms: Official name of a term of the last layer -> ours.
        report: Where the results go.

    Returns:
        The sum of the terms that were recorded, which is what the official step minimises.

    Raises:
        RecordingError: There are no terms, or one that is not known.
    """
    recorded: dict[str, list[float]] = {}
    for name, tensor in recording.group("out.").items():
        if name.startswith(("loss", "top", "valid_ratio")):
            recorded.setdefault(name, []).append(tensor.item())
    for name, value in recording.field("losses", {}).items():
        recorded.setdefault(name, []).append(value)

    found = []
    for name, values in recorded.items():
        term = our_term(name, terms) or ""
        if "loss" not in name:
            report.left_out[name] = "a figure to watch, not part of the loss"
        elif name in _ABSENT_TERMS:
            report.add_bound(name, max(map(abs, values)), 0.0, "reconstruction of the input, not in this model: 0")
        elif term not in loss_dict:
            raise RecordingError(f"{recording.path.name}: loss term {name!r} is unknown, known are {sorted(terms)}")
        else:
            found.append(term)
            # A value stands in the tensors and in the JSON; both have to agree with ours.
            ours = loss_dict[term].expand(len(values))
            report.add(name, ours, torch.tensor(values), absolute=LOSS_ABSOLUTE)
    if not found:
        raise RecordingError(f"{recording.path.name} holds no loss terms")
    # A recording with fewer terms than decoder layers trains on fewer.
    total = torch.stack([loss_dict[term] for term in found]).sum()
    recorded_total = recording.field("total_loss_sum_of_terms_with_loss_in_name", None)
    if recorded_total is not None:
        report.add("total loss", total, recorded_total, absolute=LOSS_ABSOLUTE)
    return total


def compare_gradients(recording: Recording, subject: Subject, report: Report, unused: Sequence[str] = ()) -> None:
    """Compare the gradient norm of every parameter.

    Args:
        recording: The recording.
        subject: Our model after the backward pass.
        report: Where the results go.
        unused: Names of parameters of ours that have no counterpart with a gradient.
    """
    keys = KEY_MAPS[subject.task.family]
    parameters = {name: value for name, value in subject.model.named_parameters() if value.requires_grad}
    untouched = set(parameters) - set(unused)
    dead, dead_norm = 0, 0.0
    absent = dict.fromkeys(recording.field("params_without_grad", []), 0.0)
    for official, recorded in {**absent, **recording.field("grad_norms")}.items():
        rule, layer = keys.find(strip_wrappers(official))
        names = rule.our_names(layer, task=subject.task.name, family=subject.task.family)
        if rule.status != "live" or not parameters.keys() & set(names):
            dead, dead_norm = dead + 1, max(dead_norm, recorded)
            continue
        untouched -= set(names)
        gradients = [parameters[name].grad for name in names]
        # The official tensor holds query, key and value: its norm is that of all three together.
        ours = sum((g.double().norm() ** 2 for g in gradients if g is not None), torch.zeros(()).double()).sqrt()
        tolerance = GRADIENT_RELATIVE * recorded if recorded > GRADIENT_FLOOR else GRADIENT_FLOOR
        report.add(f"gradient {official}", ours, recorded, absolute=tolerance, relative=0.0)
    report.add_bound(f"gradients of {dead} unused official tensors", dead_norm, 0.0, "must be 0")
    note = ", ".join(sorted(untouched)[:3])
    report.add_bound("parameters of ours without a recorded gradient", len(untouched), 0, note)


__all__ = [
    "DECODER_CONFIG",
    "HEAD_CONFIG",
    "LOSS_CONFIG",
    "TRUNK_LEFT_OUT",
    "Subject",
    "build_subject",
    "check_fixed",
    "check_no_drop_path",
    "compare_gradients",
    "compare_stages",
    "compare_terms",
    "evaluated_in",
    "loss_report",
    "normalise",
    "our_term",
    "read_task",
    "stage_name",
    "trunk_stages",
]
