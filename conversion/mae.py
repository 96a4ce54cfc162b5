# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Weights of a pre-trained MAE (ViT-B/16 or ViT-L/16) as a start of the encoder and the image tokenizer.

This is how the release was initialised: everything else, from the modality embedding to the heads, starts from random
values (spec of the training, 3.6).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import PreTrainedModel

from hulk_hf.conversion.keymap import KEY_MAPS, strip_wrappers
from hulk_hf.conversion.official_files import naming, read_checkpoint
from hulk_hf.modeling.positions_hulk import STRETCHED_FROM, resize_table, sincos_2d

# What an MAE calls otherwise than an official file, where it has a prefix.
_ENCODER, _PATCHES = "backbone_module.", {"patch_embed.proj.": "adapter_rgb.proj."}
# The class token, and the decoder that paints the masked patches.
_DROPPED = re.compile(r"cls_token|mask_token|decoder_.*")
_POSITIONS = "pos_embed"
_TOLERANCE = 1e-5


def mae_weights(path: str | Path) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Read an MAE checkpoint.

    Args:
        path: A file of `torch.save` with an entry `model`, or the state dict itself.

    Returns:
        Weights of encoder and image tokenizer under the names of `HulkModel`, and the position table (P, C) of the
        patches, without that of the class token.

    Raises:
        ValueError: The file cannot be read, or a tensor is not known or missing.
    """
    path = Path(path)
    official = {strip_wrappers(name): tensor for name, tensor in read_checkpoint(path, "model").items()}
    with naming(path):
        return _rename(official)


def _rename(official: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    if _POSITIONS not in official:
        raise ValueError(f"expected a tensor {_POSITIONS!r} of an MAE, got {sorted(official)[:10]}")
    keys = KEY_MAPS["pose"]
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in official.items():
        if name == _POSITIONS or _DROPPED.fullmatch(name):
            continue
        hulk = next((ours + name.removeprefix(mae) for mae, ours in _PATCHES.items() if name.startswith(mae)), None)
        rule, layer = keys.find(hulk or _ENCODER + name)
        names = [name.removeprefix("hulk.") for name in rule.our_names(layer)]
        weights |= {ours: piece.clone() for ours, piece in zip(names, tensor.chunk(len(names)), strict=True)}
    return weights, official[_POSITIONS][0, 1:].clone()


@torch.no_grad()
def initialize_from_mae(model: PreTrainedModel, path: str | Path) -> None:
    """Start encoder and image tokenizer of a model from an MAE checkpoint.

    Args:
        model: `HulkModel` or a task class. Where its position tables are stored, they are filled too; where they are
            computed, the table of the MAE has to follow the same formula, which that of a released MAE does. A model
            that reads no pictures takes the encoder alone.
        path: See `mae_weights`.

    Raises:
        ValueError: The file is no MAE, or one of another size than the model, or with other positions.

    Example:
        >>> config = HulkConfig.preset("hulk-base", tasks=["pose-coco"])
        >>> model = HulkForPoseEstimation(config)
        >>> initialize_from_mae(model, "mae_pretrain_vit_base.pth")  # doctest: +SKIP
    """
    path = Path(path)
    weights, positions = mae_weights(path)
    trunk = getattr(model, model.base_model_prefix, model)
    starts = ("encoder.", "tokenizers.image.projection.")
    if "image" not in trunk.tokenizers:
        weights = {name: tensor for name, tensor in weights.items() if name.startswith("encoder.")}
    parameters = {name: tensor for name, tensor in trunk.named_parameters() if name.startswith(starts)}
    with naming(path):
        shapes = [{name: tuple(tensor.shape) for name, tensor in part.items()} for part in (weights, parameters)]
        different = [
            name for name in sorted(shapes[0].keys() | shapes[1]) if shapes[0].get(name) != shapes[1].get(name)
        ]
        if different:
            shown = ", ".join(f"{name} {shapes[0].get(name)} and {shapes[1].get(name)}" for name in different[:5])
            raise ValueError(f"{len(different)} tensors are not alike in this file and in the model: {shown}")
        for tokenizer in trunk.tokenizers.values():
            _place_positions(tokenizer.position_tables, positions)
    for name, parameter in parameters.items():
        parameter.copy_(weights[name])


def _place_positions(tables: torch.nn.Module, positions: torch.Tensor) -> None:
    side = math.isqrt(len(positions))
    if side * side != len(positions):
        raise ValueError(f"{_POSITIONS!r}: {len(positions)} patches are no square")
    if tables.kind == "stored":
        for task, grid in tables.grids.items():
            getattr(tables, task).weight.copy_(resize_table(positions, (side, side), grid))
        return
    formula = sincos_2d(positions.shape[1], side, side)
    difference = (positions.float() - formula).abs().max().item()
    if tables.kind != "stretched" or side != STRETCHED_FROM or not difference <= _TOLERANCE:
        raise ValueError(
            f"{_POSITIONS!r}: {side}x{side} patches, which differ by {difference:.2g} from a sin-cos table, and the "
            f"tables of the model are {tables.kind!r}; expected 'stretched' for a sin-cos table of "
            f"{STRETCHED_FROM}x{STRETCHED_FROM}, 'stored' for any other"
        )


__all__ = ["initialize_from_mae", "mae_weights"]
