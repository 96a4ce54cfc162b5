# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A start for models trained from scratch, without which heat maps stay flat for a long time.

A query has to find its own place in the picture before anything else can be learned. Released weights got there from
MAE pre-training and 60,000 steps on a cluster; here the place is put in by hand:

* the position MLP starts as (twice) the identity, so that positions reach the decoder unchanged;
* queries and keys of every layer start with one orthogonal map, so that a token attends to what is near or like it
  (weaker in the encoder, which has more to do than to find its place);
* the label projection sends the label features to orthonormal directions, so that "left eye" and "right eye", whose
  features are almost parallel, start apart;
* the patch projection starts by whitening the patches of the training crops: most of a patch's variance is its mean
  colour, and edges, which tell what a patch shows, would take thousands of steps to be heard beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from hulk_hf.modeling.head_box_hulk import anchor_grid
from hulk_hf.modeling.pretrained_hulk import HulkPreTrainedModel
from hulk_hf.training.label_features import load_joint_features

_NAMED_JOINTS = 17  # those of COCO, whose names have features here
_NORM_GAIN = 2.0
_NOBODY = -2.0  # the logit of a query that has found nobody
_HALF_SIZE = (0.3, 0.8, 0.0)  # of a person's box, as logits: a tenth of the picture wide and a third high


@torch.no_grad()
def initialize_from_scratch(model: HulkPreTrainedModel, label_features: dict[str, torch.Tensor]) -> None:
    """Set label features and the weights named above, in place; all else keeps its random start.

    Args:
        model: A model with random weights.
        label_features: `{task: (K, text_feature_size)}` for every task whose head compares with labels.

    Raises:
        ValueError: Features are missing for a task or have the wrong shape.
    """
    set_label_features(model, label_features)
    decoder = model.hulk.decoder
    for name in ("position_mlp_2d", "position_mlp_1d"):
        if hasattr(decoder, name):
            _pass_through(getattr(decoder, name))
    for layer in decoder.layers:
        _attend_nearby(layer, gain=1.0)
    spread_labels(model, model.hulk.tasks)
    settle_heads(model, model.hulk.tasks)
    for layer in model.hulk.encoder.layers:
        _attend_nearby(layer, gain=0.7)
        _spread(layer)
    for layer in decoder.layers:
        _spread(layer)
    nn.init.xavier_uniform_(model.hulk.neck.projection.weight)


@torch.no_grad()
def set_label_features(model: HulkPreTrainedModel, label_features: dict[str, torch.Tensor]) -> None:
    """Put text features of labels into all heads that compare with them, in place.

    Args:
        model: Any model of a task class.
        label_features: `{task: (K, text_feature_size)}` for every task of these heads.

    Raises:
        ValueError: Features are missing for a task or have the wrong shape.
    """
    for head, tasks in _label_heads(model):
        for task in tasks:
            given, expected = label_features.get(task), head.label_features(task)
            if given is None or given.shape != expected.shape:
                shape = None if given is None else tuple(given.shape)
                raise ValueError(f"label_features[{task!r}]: expected shape {tuple(expected.shape)}, got {shape}")
            expected.copy_(given)


@torch.no_grad()
def spread_labels(model: HulkPreTrainedModel, new_tasks: Iterable[str]) -> None:
    """Start the label projections so that the labels of tasks stand apart, in place.

    Labels of other tasks keep the directions they have: those of new tasks get directions orthogonal to them and to
    each other. Where a head has more labels than the decoder is wide, that cannot be, and the features are whitened
    and turned at random instead, the more so for the words of a caption, which are many more than these.

    Args:
        model: A model with its label features set.
        new_tasks: Names of the tasks.
    """
    new = set(new_tasks)
    for head, tasks in _label_heads(model):
        if not new.intersection(tasks):
            continue
        weight = head.label_proj.weight
        kept = [head.label_features(task).double() for task in tasks if task not in new]
        added = [head.label_features(task).double() for task in tasks if task in new]
        labels = torch.cat([*kept, *added])
        if len(labels) > weight.shape[0]:
            if not kept:
                weight.copy_(_whitening(labels, weight.shape[0]))
            continue
        old = (
            weight.double() @ torch.cat(kept).T if kept else weight.new_zeros(weight.shape[0], 0, dtype=torch.float64)
        )
        count = len(labels) - old.shape[1]
        # Of random directions, the part that is orthogonal to those in use.
        basis, _ = torch.linalg.qr(torch.cat([old, torch.randn(weight.shape[0], count, dtype=torch.float64)], dim=1))
        wanted = torch.cat([old, basis[:, old.shape[1] :]], dim=1)
        change = wanted - weight.double() @ labels.T if kept else wanted
        weight.copy_((weight.double() if kept else 0.0) + change @ torch.linalg.pinv(labels.T))


@torch.no_grad()
def settle_heads(model: HulkPreTrainedModel, new_tasks: Iterable[str]) -> None:
    """Start the parts of heads that belong to tasks where training soon brings them, in place.

    * Skeleton tokens are told the names of COCO's joints.
    * The norm over parts tells one part from all others: its output goes to a sigmoid, and most parts of a place are
      wrong.
    * The anchors of detection are put in the order of the places of their queries. (Released weights have learned to
      live with the transposed one, which they store.) Before anything is learned a query says that nobody is there,
      and its box is as large as a person in a scene.

    Args:
        model: Any model of a task class.
        new_tasks: Names of the tasks.
    """
    new = set(new_tasks)
    for name in new:
        task = model.hulk.tasks[name]
        if task.input == "skeleton" and model.config.skeleton_config.joint_text:
            features = model.hulk.tokenizers["skeleton"].joint_text_features(name)
            if len(features) == _NAMED_JOINTS:
                features.copy_(load_joint_features(features.shape[1]))
        if task.upsampled == "queries":
            norm = model.dense_head.norms[name]
            nn.init.constant_(norm.weight, _NORM_GAIN)
            nn.init.constant_(norm.bias, -_NORM_GAIN)
        if task.queries == "anchor":
            head = model.box_head
            side = task.anchors_per_side
            # Queries stand row by row, released anchors column by column.
            anchors = anchor_grid(side).view(side, side, 3).transpose(0, 1).flatten(0, 1)
            head.anchors(name).copy_(anchors)
            if any(other not in new for other in head.anchors.sides):
                continue  # what all tasks share has been learned
            nn.init.constant_(head.logit_bias, _NOBODY)
            corner = head.mlp[-1].bias.new_tensor(_HALF_SIZE)
            head.mlp[-1].bias.copy_(torch.cat([-corner, corner]))


def _label_heads(model: HulkPreTrainedModel) -> list[tuple[nn.Module, list[str]]]:
    """The heads that compare with label features, and the tasks whose features each has."""
    heads = [head for head in model.children() if hasattr(head, "label_features")]
    return [(head, [name for name, _ in head.label_features.named_buffers()]) for head in heads]


def _whitening(labels: torch.Tensor, width: int) -> torch.Tensor:
    """A random map to `width` numbers that gives the features (K, F) about the same spread in all directions."""
    variances, directions = torch.linalg.eigh(labels.T @ labels / len(labels))
    variances, directions = variances[-width:].clamp(min=1e-12), directions[:, -width:]
    floor = variances.mean() / 100  # below it, differences of features are noise
    rotation = nn.init.orthogonal_(torch.empty(width, directions.shape[1], dtype=labels.dtype))
    return rotation @ (directions / (variances + floor).sqrt()).T


def _pass_through(mlp: nn.Module) -> None:
    """Make a position MLP twice the identity: relu(x + 1) is linear for sines, and 2 relu(x + 1) - 2 = 2 x."""
    nn.init.eye_(mlp.fc1.weight)
    nn.init.ones_(mlp.fc1.bias)
    nn.init.eye_(mlp.fc2.weight).mul_(2.0)
    nn.init.constant_(mlp.fc2.bias, -2.0)


@torch.no_grad()
def whiten_patches(
    model: HulkPreTrainedModel, pixel_values: torch.Tensor | Sequence[torch.Tensor], floor: float = 0.01
) -> None:
    """Start the patch projection as a whitening of these crops, in a random rotation: in place.

    Args:
        model: A model with random weights.
        pixel_values: Crops (B, 3, H, W), normalised, or a list of such batches of any sizes; some hundreds for a
            good estimate.
        floor: Variance of what counts as noise: directions below it are turned down instead of up.
    """
    projection = model.hulk.tokenizers["image"].projection
    batches = [pixel_values] if isinstance(pixel_values, torch.Tensor) else pixel_values
    unfolded = [nn.functional.unfold(each, projection.kernel_size, stride=projection.stride) for each in batches]
    patches = torch.cat([each.transpose(1, 2).flatten(0, 1) for each in unfolded]).double()
    mean = patches.mean(dim=0)
    centred = patches - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(patches))
    width = min(projection.out_channels, patches.shape[1])
    variances = variances[-width:].clamp(min=0)
    whitening = (directions[:, -width:] * variances.sqrt() / (variances + floor)).T
    rotation = nn.init.orthogonal_(torch.empty(projection.out_channels, width, dtype=torch.float64))
    weight = rotation @ whitening
    projection.weight.copy_(weight.view_as(projection.weight))
    projection.bias.copy_(-(weight @ mean))


def _attend_nearby(layer: nn.Module, gain: float) -> None:
    """Give queries and keys of a layer one orthogonal map of this gain."""
    attention = layer.attention
    nn.init.orthogonal_(attention.q_proj.weight, gain=gain)
    attention.k_proj.weight.copy_(attention.q_proj.weight)
    nn.init.zeros_(attention.q_proj.bias)
    nn.init.zeros_(attention.k_proj.bias)


def _spread(layer: nn.Module) -> None:
    """Draw the other weights of a layer Xavier-uniformly: at this width a deviation of 0.02 is a slow start."""
    for linear in (layer.attention.v_proj, layer.attention.o_proj, layer.mlp.fc1, layer.mlp.fc2):
        nn.init.xavier_uniform_(linear.weight)


__all__ = ["initialize_from_scratch", "set_label_features", "settle_heads", "spread_labels", "whiten_patches"]
