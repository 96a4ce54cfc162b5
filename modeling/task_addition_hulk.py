# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A new label set for a model that is trained: `add_task`.

A label is known to Hulk by the text feature of its name, so a task of other joints, parts, attributes or actions needs
no head of its own. What does depend on the number of labels (the norm over labels, and for joints the up-sampler of
their similarities) starts from the nearest labels of a task that is there. The model is changed in place, adapters
around its layers stay where they are.
"""

from dataclasses import replace

import torch
from torch import nn

from .label_text_hulk import TextEncoder, encode_names
from .pose_geometry_hulk import flip_permutation
from .positions_hulk import HulkGridPositions, HulkSequencePositions, resize_table, sequence_sincos
from .task_description_hulk import FAMILIES, HulkTask
from .tokenizers_hulk import HulkJointFeatures

# Fields that say something about each label of the task they come from, or about its body or words.
_OF_LABELS = ("labels", "flip_pairs", "sigmas", "presence_ratios", "label_weights", "label_spaces", "skeleton")
# Attributes of modules that are tables by task.
_TABLES = ("tasks", "grids", "lengths", "sides")
# Of the feature of a new label, the part that comes from the nearest known one.
_SHARE_OF_NEAREST = 0.9
_NAMED = [name for name, family in FAMILIES.items() if family.queries not in ("token", "body")]


def describe_task(like: HulkTask, name: str, labels: list[str], **fields) -> HulkTask:
    """A task like another one with other labels.

    Args:
        like: What it takes size, attention and the like from; what that says of single labels is not taken over.
        name: `family-labelspace`.
        labels: The new names.
        fields: Other fields of `HulkTask`.

    Raises:
        ValueError: Labels of this family are not told apart by name, or a field does not fit.
    """
    if isinstance(labels, str):
        raise ValueError(f"labels: expected a list of names, got one string {labels!r}")
    if like.family not in _NAMED:
        raise ValueError(f"like: tasks of family {like.family!r} have no label names, expected a family of {_NAMED}")
    unknown = sorted(set(fields) - set(HulkTask.__dataclass_fields__))
    if unknown:
        raise ValueError(f"add_task: unknown fields {unknown}, expected fields of HulkTask")
    cleared = {field: HulkTask.__dataclass_fields__[field].default for field in _OF_LABELS}
    return replace(like, **{**cleared, "name": name, "labels": tuple(labels), **fields})


def features_of(
    task: HulkTask, width: int, text_encoder: TextEncoder | None, text_features: torch.Tensor | None, pooling: str
) -> torch.Tensor:
    """The text features (K, width) of a new task, given or encoded.

    Raises:
        ValueError: Neither or both are given, or they have another shape.
    """
    if (text_encoder is None) == (text_features is None):
        got = "neither" if text_encoder is None else "both"
        raise ValueError(f"text_encoder, text_features: expected one of the two, got {got}")
    if text_features is None:
        text_features = encode_names(task.labels, text_encoder, pooling)
    features = torch.as_tensor(text_features, dtype=torch.float32)
    if tuple(features.shape) != (task.num_labels, width):
        raise ValueError(
            f"text_features: expected shape {(task.num_labels, width)}, one row of this checkpoint's width for each "
            f"label of {task.name!r}, got {tuple(features.shape)}; take the encoder that its labels were encoded with"
        )
    return features


def graft(module: nn.Module, grown: nn.Module) -> None:
    """Take what a module lacks from another one of the same kind that has more tasks, in place."""
    for table in _TABLES:
        if table in vars(module):
            setattr(module, table, getattr(grown, table))
    for name, buffer in grown.named_buffers(recurse=False):
        if not hasattr(module, name):
            module.register_buffer(name, buffer, persistent=name not in grown._non_persistent_buffers_set)
    for name, child in grown.named_children():
        own = dict(module.named_children()).get(name)
        if own is None:
            module.add_module(name, child)
        elif type(own) is type(child):  # otherwise an adapter is around it
            graft(own, child)


@torch.no_grad()
def start_from_nearest(
    head: nn.Module, task: HulkTask, like: HulkTask, features: torch.Tensor, blend: bool = True
) -> None:
    """Set what a head has of a new task from the labels of another one whose names mean nearly the same.

    A head that has learned from a few dozen names knows what to do with these, and not what lies between them: the
    projection of "left hand" is nowhere near that of "left wrist", though the names are. So features are moved most of
    the way to those of the nearest label; what is left keeps labels apart that have the same one. Of two labels
    that trade places in a mirror, one goes to the mirror image of what the other goes to.

    Args:
        head: A head with `label_features`; of its parts by task those that it has are set.
        task: The new task.
        like: The task whose labels are looked through.
        features: Shape (K, F), of the new labels.
        blend: Move the features; otherwise they are taken as they are.
    """
    known = head.label_features(like.name)
    features = features.to(known)
    ours, theirs = nn.functional.normalize(features, dim=-1), nn.functional.normalize(known, dim=-1)
    similarity = ours @ theirs.T
    mirrored = flip_permutation(like.flip_pairs, like.num_labels)
    for first, second in task.flip_pairs:
        similarity[first] += similarity[second, mirrored]
    nearest = similarity.argmax(dim=1)
    for first, second in task.flip_pairs:
        nearest[second] = mirrored[nearest[first]]
    if blend:
        features = _SHARE_OF_NEAREST * theirs[nearest] + (1.0 - _SHARE_OF_NEAREST) * ours
    head.label_features(task.name).copy_(features)
    norms = getattr(head, "norms", {})
    if task.name in norms:
        norms[task.name].weight.copy_(norms[like.name].weight[nearest])
        norms[task.name].bias.copy_(norms[like.name].bias[nearest])
    upsamplers = getattr(head, "upsamplers", {})
    if task.name in upsamplers:
        new, old = upsamplers[task.name], upsamplers[like.name]
        new.load_state_dict({**old.state_dict(), **_of_labels(old, nearest)})
    if task.queries == "anchor" and task.anchors_per_side == like.anchors_per_side:
        head.anchors(task.name).copy_(head.anchors(like.name))


@torch.no_grad()
def take_inputs_over(trunk: nn.Module, task: HulkTask, like: HulkTask) -> None:
    """Set what tokenizers and positions store for a new task as it is for another one.

    Places of labels that are stored, but are not as many as those of the other task, follow their formula.

    Args:
        trunk: A `HulkModel`.
        task: The new task.
        like: A task of the same family.
    """
    for module in trunk.modules():
        if isinstance(module, HulkGridPositions) and module.kind == "stored" and task.name in module.grids:
            table, grid = getattr(module, like.name).weight, module.grids[like.name]
            getattr(module, task.name).weight.copy_(resize_table(table, grid, module.grids[task.name]))
        elif isinstance(module, HulkSequencePositions) and module.kind == "stored" and task.name in module.lengths:
            table, length = getattr(module, like.name).weight, module.lengths[task.name]
            same = length == len(table)
            getattr(module, task.name).weight.copy_(table if same else sequence_sincos(module.dim, length))
        elif isinstance(module, HulkJointFeatures) and hasattr(module, task.name):
            module(task.name).copy_(module(like.name))


def _of_labels(upsampler: nn.Module, nearest: torch.Tensor) -> dict[str, torch.Tensor]:
    """The weights of an up-sampler of similarities that belong to single labels, for other labels."""
    # Labels that share a nearest one share its voice.
    share = 1.0 / torch.bincount(nearest, minlength=upsampler.deconv1.weight.shape[0])[nearest]
    first = upsampler.deconv1.weight[nearest] * share.to(upsampler.deconv1.weight)[:, None, None, None]
    second, bias = upsampler.deconv2.weight[:, nearest], upsampler.deconv2.bias[nearest]
    return {"deconv1.weight": first, "deconv2.weight": second, "deconv2.bias": bias}


__all__ = ["describe_task", "features_of", "graft", "start_from_nearest", "take_inputs_over"]
