# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our parsing network against recordings of the official one: forward stages, loss terms and gradients."""

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
from hulk_hf.modeling.loss_parsing_hulk import IGNORED
from hulk_hf.modeling.modeling_parsing_hulk import HulkForHumanParsing
from hulk_hf.modeling.parsing_maps_hulk import average_mirrored, part_probabilities, resize_maps

# Options that the network, the test path and the loss have no other form of.
_FIXED = {
    f"{HEAD_CONFIG}.cls_loss_branch": (True, "the head always gives presence, and its loss"),
    f"{HEAD_CONFIG}.post_mul_norm": (True, "the head normalises over labels"),
    f"{HEAD_CONFIG}.replace_post_mul_norm": (False, "the head has no scale and offset in place of its norm"),
    f"{HEAD_CONFIG}.upsample_before_product": (True, "queries are made finer, not their similarities"),
}
_FIXED_TEST = {f"{HEAD_CONFIG}.mask_times_cls": (True, "probabilities are those of mask and presence together")}
_FIXED_LOSS = {
    f"{LOSS_CONFIG}.loss_per_class": (True, "masks are compared part by part"),
    f"{LOSS_CONFIG}.cls_weight_sample": (True, "presence is balanced by how often a part occurs"),
    f"{LOSS_CONFIG}.loss_weight": (1.0, "each term has a weight of its own, and there is no other"),
}
_FLIP_CONFIG = "config.model_entry_kwargs"

_NAMES = {"dense_masks": "part probabilities", "dense_pred_classes": "presence probabilities"}
_TERMS = {
    "loss_dense_labeling_mask": "mask",
    "loss_dense_labeling_dice": "dice",
    "loss_dense_labeling_bce": "presence",
}
_WEIGHTS = {"mask": "mask_weight", "dice": "dice_weight", "presence": "class_weight"}
# In training mode, with drop path off, the stages are what they are in eval mode.
_TRAINING_STAGES = {"backbone": "encoder", "decoder_label": "decoder"}


def build_parsing_subject(recording: Recording) -> Subject:
    """Build our parsing model from a recording's configuration and official weights; errors as in `build_subject`."""
    check_fixed(recording, _FIXED)
    features = recording.tensors.get("sd.proj_dense_labeling.text_features")
    # An eval-mode recording needs none of these; `check_loss` asks for all of them.
    loss = recording.field(LOSS_CONFIG, {})
    weights = {term: loss[name] for term, name in _WEIGHTS.items() if loss.get(name) is not None}
    fields: dict[str, Any] = {"loss_weights": weights} if weights else {}
    if loss.get("sample_weight"):
        fields["presence_ratios"] = loss["sample_weight"]
    pairs = recording.field(f"{_FLIP_CONFIG}.flip_channels", None)
    if pairs is not None:
        fields["flip_pairs"] = tuple(map(tuple, pairs))
    task = read_task(recording, None if features is None else len(features), **fields)
    return build_subject(recording, HulkForHumanParsing, task)


@torch.no_grad()
def run_stages(subject: Subject, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
    """Run the network stage by stage and as a whole.

    Args:
        subject: The model.
        pixel_values: Shape (B, 3, H, W), normalised.

    Returns:
        Official name of the stage -> ours, in the order of the network. Maps and presence come from one call of the
        whole model, so that the stages are known to be what it really runs.
    """
    stages = trunk_stages(subject, subject.model.hulk.prepare(subject.task, pixel_values))
    outputs = subject.model(pixel_values, task=subject.task.name)
    return {
        **stages,
        "dense_masks": part_probabilities(outputs.logits, outputs.presence_logits),
        "dense_pred_classes": outputs.presence_logits.sigmoid(),
    }


def _output_sizes(recording: Recording) -> list[tuple[int, int]]:
    """(height, width) of the result for each picture: that of the ground truth where there is one."""
    if "in.gt" in recording.tensors:
        truth = recording.tensor("in.gt")
        return [tuple(truth.shape[-2:])] * len(truth)
    heights, widths = (recording.tensor(f"in.{side}").flatten().tolist() for side in ("height", "width"))
    return list(zip(heights, widths, strict=True))


def _final_results(
    recording: Recording, subject: Subject, stages: Mapping[str, torch.Tensor], input_size: tuple[int, int]
) -> dict[str, torch.Tensor]:
    """Probabilities at the size of the result, of the plain pass and of what the official test step reports."""
    plain = averaged = stages["dense_masks"]
    if "flip.dense_masks" in stages:
        averaged = average_mirrored(plain, stages["flip.dense_masks"], subject.task.flip_pairs or ())
    results = {}
    for name, maps in {"proj_label": plain, "final.pred": averaged}.items():
        for index, size in enumerate(_output_sizes(recording)):
            results[f"{name}.{index}.sem_seg"] = resize_maps(maps[index : index + 1], input_size, size)[0]
    return results


def _result_name(name: str) -> str:
    kind, index, _ = name.rsplit(".", 2)
    return f"{'flip test' if kind.startswith('final') else 'plain pass'}, picture {index}"


def _align(name: str, ours: torch.Tensor, recorded: torch.Tensor) -> torch.Tensor:
    # Official code squeezes the batch axis out of the class scores of a single picture.
    return recorded[None] if len(ours) == 1 and recorded.ndim == ours.ndim - 1 else recorded


def check_forward(recording: Recording) -> Report:
    """Compare every recorded stage of an eval-mode forward."""
    check_fixed(recording, _FIXED_TEST)
    subject = build_parsing_subject(recording)
    subject.model.eval()
    recorded = recording.group("out.")
    pixel_values = normalise(recording.tensor("in.image"))
    ours = run_stages(subject, pixel_values)
    flip_test = recording.field(f"{_FLIP_CONFIG}.test_flag", None) == "par_flip"
    if flip_test or any(name.startswith("flip.") for name in recorded):
        # The input of the second pass is mirrored; its recorded maps are as the network gave them, before left and
        # right parts and the x axis are turned back.
        ours |= {f"flip.{name}": tensor for name, tensor in run_stages(subject, pixel_values.flip(-1)).items()}
    if "dense_masks" not in recorded:
        raise RecordingError(f"{recording.path.name} holds no maps (out.dense_masks)")
    results = {}
    if any(name.endswith(".sem_seg") for name in recorded):
        results = _final_results(recording, subject, ours, tuple(pixel_values.shape[-2:]))
    names = {**_NAMES, **{name: _result_name(name) for name in results}}
    report = Report(f"{subject.task.name}, forward")
    compare_stages(recording, ours | results, report, names, {}, _align)
    return report


def _targets(recording: Recording, num_parts: int, num_layers: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What the official loss is given: a mask for each part of each picture, and the points to compare masks at.

    Returns:
        Labels (B, H, W), and points (L, N, P, 2) in the order of our loss. Where a loss was recorded for fewer layers,
        those of the last layer stand in for the others, whose terms nobody compares.

    Raises:
        RecordingError: Parts overlap, or are listed without a pixel, which a map of labels cannot say.
    """
    ignored = recording.field(f"{LOSS_CONFIG}.ignore_index", num_parts)
    labels, pairs = [], []
    for index in range(len(recording.tensor("in.image"))):
        parts = recording.tensor(f"in.instances.{index}.gt_classes").long()
        masks = recording.tensor(f"in.instances.{index}.gt_masks").bool()
        parts, masks = parts[parts != ignored], masks[parts != ignored]
        if (masks.sum(dim=0) > 1).any() or not masks.flatten(1).any(dim=1).all() or len(parts.unique()) < len(parts):
            raise RecordingError(f"not supported: in.instances.{index}: parts that overlap, repeat or have no pixel")
        labels.append(torch.where(masks.any(dim=0), (masks * parts[:, None, None]).sum(dim=0), IGNORED))
        pairs += [(index, part) for part in parts.tolist()]

    layers = [name for name in recording.tensors if name.startswith("in.point_coords_")]
    points = [recording.tensor(f"in.point_coords_{layer}").float() for layer in range(len(layers))]
    if not points or any(len(layer) != len(pairs) for layer in points):
        raise RecordingError(
            f"in.point_coords_*: expected points for {len(pairs)} pairs of a picture and a part, got "
            f"{[len(layer) for layer in points]}"
        )
    points += [points[0]] * (num_layers - len(points))
    order = sorted(range(len(pairs)), key=pairs.__getitem__)
    return torch.stack(labels), torch.stack(points)[:num_layers, order]


def check_loss(recording: Recording) -> Report:
    """Compare every loss term and the gradient norm of every parameter of one training-mode step."""
    check_fixed(recording, _FIXED_LOSS)
    subject = build_parsing_subject(recording)
    check_no_drop_path(recording)
    for name in ("sample_weight", *_WEIGHTS.values()):
        if recording.field(f"{LOSS_CONFIG}.{name}") is None:
            raise RecordingError(f"not supported: a loss recorded with {LOSS_CONFIG}.{name} null, expected numbers")
    subject.model.train()
    report = loss_report(subject)
    pixel_values = normalise(recording.tensor("in.image"))
    num_layers = len(subject.model.hulk.decoder.layers)
    labels, points = _targets(recording, subject.task.num_labels, num_layers)
    outputs = subject.model(pixel_values, labels=labels, points=points, task=subject.task.name)
    stages = trunk_stages(subject, subject.model.hulk.prepare(subject.task, pixel_values))
    recorded = recording.group("out.")
    for name, stage in _TRAINING_STAGES.items():
        if name in recorded:
            report.add(stage, stages[name], recorded[name])
    compare_terms(recording, outputs.loss_dict, _TERMS, report).backward()
    compare_gradients(recording, subject, report)
    return report


__all__ = ["build_parsing_subject", "check_forward", "check_loss", "run_stages"]
