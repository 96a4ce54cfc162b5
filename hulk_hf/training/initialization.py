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

import torch
from torch import nn

from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation


@torch.no_grad()
def initialize_from_scratch(model: HulkForPoseEstimation, label_features: dict[str, torch.Tensor]) -> None:
    """Set label features and the weights named above, in place; all else keeps its random start.

    Args:
        model: A model with random weights.
        label_features: `{task: (K, text_feature_size)}` for every task of the model.

    Raises:
        ValueError: Features are missing for a task or have the wrong shape.
    """
    features = model.dense_head.label_features
    for task in model.hulk.tasks.values():
        given = label_features.get(task.name)
        expected = features(task.name)
        if given is None or given.shape != expected.shape:
            shape = None if given is None else tuple(given.shape)
            raise ValueError(f"label_features[{task.name!r}]: expected shape {tuple(expected.shape)}, got {shape}")
        expected.copy_(given)

    decoder = model.hulk.decoder
    mlp = decoder.position_mlp_2d
    # relu(x + 1) is linear for the sin-cos values in [-1, 1], and 2 relu(x + 1) - 2 = 2 x.
    nn.init.eye_(mlp.fc1.weight)
    nn.init.ones_(mlp.fc1.bias)
    nn.init.eye_(mlp.fc2.weight).mul_(2.0)
    nn.init.constant_(mlp.fc2.bias, -2.0)
    for layer in decoder.layers:
        _attend_nearby(layer, gain=1.0)

    stacked = torch.cat([features(task).double() for task in model.hulk.tasks])
    projection = model.dense_head.label_proj.weight
    directions = nn.init.orthogonal_(torch.empty(projection.shape[0], len(stacked), dtype=torch.float64))
    projection.copy_(directions @ torch.linalg.pinv(stacked.T))

    for layer in model.hulk.encoder.layers:
        _attend_nearby(layer, gain=0.7)
        _spread(layer)
    for layer in decoder.layers:
        _spread(layer)
    nn.init.xavier_uniform_(model.hulk.neck.projection.weight)


@torch.no_grad()
def whiten_patches(model: HulkForPoseEstimation, pixel_values: torch.Tensor, floor: float = 0.01) -> None:
    """Start the patch projection as a whitening of these crops, in a random rotation: in place.

    Args:
        model: A model with random weights.
        pixel_values: Crops (B, 3, H, W), normalised; some hundreds for a good estimate.
        floor: Variance of what counts as noise: directions below it are turned down instead of up.
    """
    projection = model.hulk.tokenizers["image"].projection
    patches = nn.functional.unfold(pixel_values, projection.kernel_size, stride=projection.stride)
    patches = patches.transpose(1, 2).flatten(0, 1).double()
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


__all__ = ["initialize_from_scratch", "whiten_patches"]
