# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From the state dict of one official task file to a configuration and weights of ours."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from hulk_hf.conversion.keymap import KEY_MAPS, KeyMap, KeyRule, strip_wrappers
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.positions_hulk import GRID_FORMULAS, sequence_sincos
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

_HEAD_WIDTH = 64  # of the released encoders; the number of heads cannot be read from a tensor
_PATCH_SIZE = 16
_TABLE_TOLERANCE = 1e-5

# Modality -> formulas of its position table, in the order in which they are tried: the released files hold a stretched
# table where that of the pre-trained encoder was loaded into the tokenizer, and another one where it was not.
_FORMULAS = {"image": ("stretched", "native"), "skeleton": ("stretched", "joints")}

_DECODER = "decoder_module.predictor"
_TABLES = {"image": "adapter_rgb.pos_embed", "skeleton": "adapter_sparse_labeling.pos_embed"}


def unwrap_state_dict(official: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Remove wrapper prefixes from all keys.

    Raises:
        ValueError: Two keys become the same.
        TypeError: A value is not a tensor.
    """
    plain: dict[str, torch.Tensor] = {}
    for key, tensor in official.items():
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"official[{key!r}]: expected a tensor, got {type(tensor).__name__}")
        name = strip_wrappers(key)
        if name in plain:
            raise ValueError(f"official: two keys mean {name!r}, one with and one without a wrapper prefix")
        plain[name] = tensor
    return plain


def convert_state_dict(
    official: Mapping[str, torch.Tensor],
    task: str | HulkTask,
    *,
    image_size: tuple[int, int] | None = None,
    encoder_heads: int | None = None,
    decoder_heads: int = 8,
    drop_path_rate: float = 0.2,
) -> tuple[HulkConfig, dict[str, torch.Tensor]]:
    """Convert the official weights of one task.

    Sizes are read from the tensors. Position tables are dropped if they equal their formulas and kept otherwise. Data
    of a restricted body model is left out.

    Args:
        official: Official state dict; prefixes of distributed or compiled wrappers are tolerated.
        task: Name of a known task, or a task description.
        image_size: (height, width) of the input in pixels; None means that of the task.
        encoder_heads: Attention heads of the encoder; None means one per 64 channels.
        decoder_heads: Attention heads of the decoder.
        drop_path_rate: Stochastic depth of the encoder, for training on.

    Returns:
        The configuration, and the weights under our names; dtypes stay as they are.

    Raises:
        ValueError: An unknown or missing key, or shapes that do not fit together or do not fit the task.

    Warns:
        UserWarning: A second name of a tensor has other values; it is left out.
    """
    tensors = unwrap_state_dict(official)
    task = _resolve_task(task, image_size)
    keys = KEY_MAPS[task.family]
    sizes = keys.sizes({name: tensor.shape for name, tensor in tensors.items()})
    task = _fit_task(task, sizes, tensors)
    grid = _check_grid(task, sizes)
    encoder_heads = encoder_heads or sizes["C"] // _HEAD_WIDTH
    for name, heads, width in (("encoder", encoder_heads, sizes["C"]), ("decoder", decoder_heads, sizes["d"])):
        if not heads or width % heads:
            raise ValueError(f"{name}_heads: {heads} heads do not divide a width of {width}")

    input_table = tensors[_TABLES[task.input]]
    kind = _recognise(input_table, _FORMULAS[task.input], sizes["C"], grid)
    grids = _recognise(tensors.get(f"{_DECODER}.query_embed_patch"), ("stretched",), sizes["d"], grid)
    queries = _recognise_query_table(tensors, task, sizes)
    upsampler = sizes.get("U", sizes["d"])
    config = HulkConfig(
        vision_config={
            "hidden_size": sizes["C"],
            "num_hidden_layers": sizes["encoder_layers"],
            "num_attention_heads": encoder_heads,
            "intermediate_size": sizes["M"],
            "patch_size": sizes.get("p", _PATCH_SIZE),
            "num_channels": sizes.get("n", 3),
            "drop_path_rate": drop_path_rate,
            "image_positions": kind if task.input == "image" else "stretched",
        },
        skeleton_config=_skeleton_config(sizes, kind) if task.input == "skeleton" else None,
        decoder_config={
            "hidden_size": sizes["d"],
            "num_hidden_layers": sizes["decoder_layers"],
            "num_attention_heads": decoder_heads,
            "intermediate_size": sizes["F"],
            "upsampler_hidden_size": None if upsampler == sizes["d"] else upsampler,
            "grid_positions": grids,
            "query_positions": queries,
        },
        tasks=[task],
        **({"text_feature_size": sizes["T"]} if "T" in sizes else {}),
    )
    kinds = {
        _TABLES[task.input]: kind,
        f"{_DECODER}.query_embed_patch": grids,
        f"{_DECODER}.query_embed_label": queries,
    }
    names = {"task": task.name, "family": task.family}
    return config, _rename(tensors, keys, names, {name for name, kind in kinds.items() if kind == "stored"}, sizes)


def _resolve_task(task: str | HulkTask, image_size: tuple[int, int] | None) -> HulkTask:
    if isinstance(task, str):
        if task not in KNOWN_TASKS:
            raise ValueError(f"task: no known task {task!r}, expected one of {sorted(KNOWN_TASKS)}")
        task = KNOWN_TASKS[task]
    return task if image_size is None else replace(task, image_size=image_size)


def _own_token_features(tensors: Mapping[str, torch.Tensor]) -> bool:
    """Whether words are embedded from other features than those they are compared with."""
    embedded, compared = tensors.get(f"{_DECODER}.mask_token_buffer"), tensors["proj_text.text_vectors"]
    return embedded is not None and not torch.equal(embedded.reshape(-1), compared.reshape(-1))


def _fit_task(task: HulkTask, sizes: Mapping[str, int], tensors: Mapping[str, torch.Tensor]) -> HulkTask:
    """Take counts that no name depends on from the tensors; refuse labels that do not fit."""
    if sizes.get("p", _PATCH_SIZE) != _PATCH_SIZE:
        raise ValueError(
            f"official: the weights are for patches of {sizes['p']} pixels, expected {_PATCH_SIZE}; maps are a "
            "quarter of the input for no other size"
        )
    if task.queries == "token":
        own = _own_token_features(tensors)
        task = replace(task, vocabulary_size=sizes["K"], max_length=sizes["L"], own_token_features=own)
    if task.queries == "anchor":
        side = round(sizes["A"] ** 0.5)
        if side * side != sizes["A"]:
            raise ValueError(f"official: {sizes['A']} anchors do not form a square grid")
        task = replace(task, anchors_per_side=side, anchor_patterns=sizes["a"])
    if task.queries == "body":
        body: dict[str, Any] = dict(task.body or {})
        task = replace(task, body=body | {"vertices": [sizes["V"], sizes["W"], *body["vertices"][2:]]})
    if "K" in sizes and sizes["K"] != task.num_labels:
        raise ValueError(
            f"task: {task.name!r} has {task.num_labels} labels, but the weights are for {sizes['K']}; give the task "
            "these weights were trained for"
        )
    return task


def _check_grid(task: HulkTask, sizes: Mapping[str, int]) -> tuple[int, int]:
    """The grid of input tokens; refuses a picture of another size than that of the position table."""
    if task.input == "skeleton":
        return sizes["P"] // (sizes["J"] // sizes["j"]), sizes["J"] // sizes["j"]
    height, width = task.image_size
    grid = height // _PATCH_SIZE, width // _PATCH_SIZE
    if grid[0] * grid[1] != sizes["P"]:
        raise ValueError(
            f"image_size: a picture of {height}x{width} has {grid[0]}x{grid[1]} patches, but the weights hold a "
            f"position table of {sizes['P']}"
        )
    return grid


def _skeleton_config(sizes: Mapping[str, int], kind: str) -> dict[str, Any]:
    rows = sizes["P"] // (sizes["J"] // sizes["j"])
    return {
        "num_joints": sizes["J"],
        "num_frames": rows * sizes["f"],
        "patch_size": (sizes["f"], sizes["j"]),
        "positions": kind,
    }


def _table_tolerance(table: torch.Tensor) -> float:
    """Rounding of a table that was stored in half precision; its values lie within about 1."""
    return max(_TABLE_TOLERANCE, torch.finfo(table.dtype).eps)


def _difference(table: torch.Tensor, formula: torch.Tensor) -> float:
    difference = (table.float().reshape(formula.shape) - formula).abs().max().item()
    return float("inf") if difference != difference else difference


def _recognise(table: torch.Tensor | None, formulas: tuple[str, ...], width: int, grid: tuple[int, int]) -> str:
    """The formula that a table of a grid follows, or `stored`; a table that is not there follows the first."""
    if table is None:
        return formulas[0]
    for name in formulas:
        if _difference(table, GRID_FORMULAS[name](width, *grid)) <= _table_tolerance(table):
            return name
    return "stored"


def _recognise_query_table(tensors: Mapping[str, torch.Tensor], task: HulkTask, sizes: Mapping[str, int]) -> str:
    """Whether the places of the queries follow from their rule: `derived` or `stored`."""
    table = tensors.get(f"{_DECODER}.query_embed_label")
    if table is None or task.queries not in ("patch", "label", "token"):
        return "derived"
    if task.queries == "patch":
        # Queries stand where the patches are.
        expected = tensors.get(f"{_DECODER}.query_embed_patch")
        if expected is None:
            height, width = task.image_size
            expected = GRID_FORMULAS["stretched"](sizes["d"], height // _PATCH_SIZE, width // _PATCH_SIZE)
    else:
        expected = sequence_sincos(sizes["d"], table.shape[1])
    tolerance = max(_table_tolerance(table), _table_tolerance(expected))
    return "derived" if _difference(table, expected.float()) <= tolerance else "stored"


def _rename(
    tensors: Mapping[str, torch.Tensor],
    keys: KeyMap,
    names: Mapping[str, str],
    keep: set[str],
    sizes: Mapping[str, int],
) -> dict[str, torch.Tensor]:
    """Give every live tensor its name here; `keep` names derived tensors that are kept too."""
    ours: dict[str, torch.Tensor] = {}
    found = keys.sort(tensors)
    for name, (rule, layer) in found.items():
        if rule.status == "live" or (name in keep and rule.ours):
            our_names = rule.our_names(layer, **names)
            ours.update(zip(our_names, _pieces(tensors[name], rule, sizes), strict=True))
    for name, (rule, layer) in found.items():
        if rule.status == "duplicate":
            (original,) = rule.our_names(layer, **names)
            if torch.equal(ours[original].reshape(-1), tensors[name].reshape(-1)):
                continue
            if rule.otherwise is not None:
                ours[rule.otherwise.format(**names)] = _pieces(tensors[name], rule, sizes)[0]
            else:
                # In files of the official code both are one tensor. The weights are usable all the same.
                warnings.warn(
                    f"official key {name!r}: should equal the tensor it is a second name of, but differs; it is left "
                    "out",
                    stacklevel=2,
                )
    return ours


def _pieces(tensor: torch.Tensor, rule: KeyRule, sizes: Mapping[str, int]) -> list[torch.Tensor]:
    if len(rule.ours) > 1:
        # Copies, because pieces of one storage cannot be written to a safetensors file.
        return [piece.clone() for piece in tensor.chunk(len(rule.ours))]
    if rule.our_shape is not None:
        return [tensor.reshape([int(symbol) if symbol.isdigit() else sizes[symbol] for symbol in rule.our_shape])]
    return [tensor]


__all__ = ["convert_state_dict", "unwrap_state_dict"]
