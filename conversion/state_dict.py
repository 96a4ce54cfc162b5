# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From the state dict of one official task file to a configuration and weights of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from hulk_hf.conversion.keymap import KEY_MAPS, KeyMap, KeyRule, strip_wrappers
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.positions_hulk import sincos_2d, stretched_sincos_2d
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

_HEAD_WIDTH = 64  # of the released encoders; the number of heads cannot be read from a tensor
_TABLE_TOLERANCE = 1e-5

# In the order in which they are tried: the released files hold a stretched table where the position table of the
# pre-trained encoder was loaded into the tokenizer, and a native one where it was not.
_IMAGE_POSITIONS: dict[str, Callable[[int, int, int], torch.Tensor]] = {
    "stretched": stretched_sincos_2d,
    "native": sincos_2d,
}


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


def convert_pose_state_dict(
    official: Mapping[str, torch.Tensor],
    task: str | HulkTask,
    *,
    image_size: tuple[int, int] | None = None,
    encoder_heads: int | None = None,
    decoder_heads: int = 8,
    drop_path_rate: float = 0.2,
) -> tuple[HulkConfig, dict[str, torch.Tensor]]:
    """Convert the official weights of one pose task.

    Sizes are read from the tensors. The position table of the image tokens is dropped if it equals one of its two
    formulas and kept in the checkpoint otherwise; the tables of the decoder must equal theirs.

    Args:
        official: Official state dict; prefixes of distributed or compiled wrappers are tolerated.
        task: Name of a known pose task, or a task description.
        image_size: (height, width) of the input in pixels; None means that of the task.
        encoder_heads: Attention heads of the encoder; None means one per 64 channels.
        decoder_heads: Attention heads of the decoder.
        drop_path_rate: Stochastic depth of the encoder, for training on.

    Returns:
        The configuration, and the weights under our names; dtypes stay as they are.

    Raises:
        ValueError: An unknown or missing key, shapes that do not fit together or do not fit the task, a second copy
            that differs from the first, or a decoder table that does not follow from its formula.
    """
    task = _resolve_task(task, image_size)
    tensors = unwrap_state_dict(official)
    keys = KEY_MAPS[task.family]
    sizes = keys.sizes({name: tensor.shape for name, tensor in tensors.items()})
    grid = _check_sizes(sizes, task)
    encoder_heads = encoder_heads or sizes["C"] // _HEAD_WIDTH
    for name, heads, width in (("encoder", encoder_heads, sizes["C"]), ("decoder", decoder_heads, sizes["d"])):
        if not heads or width % heads:
            raise ValueError(f"{name}_heads: {heads} heads do not divide a width of {width}")
    _check_decoder_tables(tensors, sizes["d"], grid)
    image_positions = _recognise_image_positions(tensors["adapter_rgb.pos_embed"], sizes["C"], grid)

    config = HulkConfig(
        vision_config={
            "hidden_size": sizes["C"],
            "num_hidden_layers": sizes["encoder_layers"],
            "num_attention_heads": encoder_heads,
            "intermediate_size": sizes["M"],
            "patch_size": sizes["p"],
            "num_channels": sizes["n"],
            "drop_path_rate": drop_path_rate,
            "image_positions": image_positions,
        },
        decoder_config={
            "hidden_size": sizes["d"],
            "num_hidden_layers": sizes["decoder_layers"],
            "num_attention_heads": decoder_heads,
            "intermediate_size": sizes["F"],
            "upsampler_hidden_size": None if sizes["U"] == sizes["d"] else sizes["U"],
        },
        tasks=[task],
        text_feature_size=sizes["T"],
    )
    keep = {"adapter_rgb.pos_embed"} if image_positions == "stored" else set()
    names = {"task": task.name, "family": task.family, "grid": f"{grid[0]}x{grid[1]}"}
    return config, _rename(tensors, keys, names, keep)


def _resolve_task(task: str | HulkTask, image_size: tuple[int, int] | None) -> HulkTask:
    if isinstance(task, str):
        if task not in KNOWN_TASKS:
            raise ValueError(f"task: no known task {task!r}, expected one of {sorted(KNOWN_TASKS)}")
        task = KNOWN_TASKS[task]
    if task.family != "pose":
        raise ValueError(f"task: {task.name!r} is a task of family {task.family!r}, expected one of 'pose'")
    return task if image_size is None else replace(task, image_size=image_size)


def _check_sizes(sizes: Mapping[str, int], task: HulkTask) -> tuple[int, int]:
    """Check what the tensors cannot know of each other; returns the grid of patches."""
    if sizes["p"] != 16:
        raise ValueError(
            f"official: the weights are for patches of {sizes['p']} pixels, expected 16; heat maps are a quarter of "
            "the input for no other size"
        )
    if sizes["K"] != task.num_labels:
        raise ValueError(
            f"task: {task.name!r} has {task.num_labels} labels, but the weights are for {sizes['K']}; give the task "
            "these weights were trained for"
        )
    height, width = task.image_size
    grid = height // sizes["p"], width // sizes["p"]
    if grid[0] * grid[1] != sizes["P"]:
        raise ValueError(
            f"image_size: a picture of {height}x{width} has {grid[0]}x{grid[1]} patches, but the weights hold a "
            f"position table of {sizes['P']}"
        )
    return grid


def _table_tolerance(table: torch.Tensor) -> float:
    """Rounding of a table that was stored in half precision; its values lie within about 1."""
    return max(_TABLE_TOLERANCE, torch.finfo(table.dtype).eps)


def _difference(table: torch.Tensor, formula: torch.Tensor) -> float:
    difference = (table.float().reshape(formula.shape) - formula).abs().max().item()
    return float("inf") if difference != difference else difference


def _check_decoder_tables(tensors: Mapping[str, torch.Tensor], width: int, grid: tuple[int, int]) -> None:
    expected = stretched_sincos_2d(width, *grid)
    for name in ("decoder_module.predictor.query_embed_patch", "decoder_module.predictor.query_embed_label"):
        if name not in tensors:
            continue
        difference = _difference(tensors[name], expected)
        if difference > _table_tolerance(tensors[name]):
            raise ValueError(
                f"official key {name!r}: differs by up to {difference:.2g} from the 14x14 sin-cos table stretched to "
                f"{grid[0]}x{grid[1]}, and the decoder has no place to keep another one"
            )


def _recognise_image_positions(table: torch.Tensor, width: int, grid: tuple[int, int]) -> str:
    for name, formula in _IMAGE_POSITIONS.items():
        if _difference(table, formula(width, *grid)) <= _table_tolerance(table):
            return name
    return "stored"


def _rename(
    tensors: Mapping[str, torch.Tensor], keys: KeyMap, names: Mapping[str, str], keep: set[str]
) -> dict[str, torch.Tensor]:
    """Give every live tensor its name here; `keep` names derived tensors that are kept too."""
    ours: dict[str, torch.Tensor] = {}
    found = keys.sort(tensors)
    for name, (rule, layer) in found.items():
        if rule.status == "live" or name in keep:
            our_names = rule.our_names(layer, **names)
            ours.update(zip(our_names, _pieces(tensors[name], rule), strict=True))
    for name, (rule, layer) in found.items():
        if rule.status == "duplicate":
            (original,) = rule.our_names(layer, **names)
            if not torch.equal(ours[original], tensors[name]):
                raise ValueError(f"official key {name!r}: should equal the tensor it is a second name of, but differs")
    return ours


def _pieces(tensor: torch.Tensor, rule: KeyRule) -> list[torch.Tensor]:
    if len(rule.ours) > 1:
        # Copies, because pieces of one storage cannot be written to a safetensors file.
        return [piece.clone() for piece in tensor.chunk(len(rule.ours))]
    if rule.our_shape is not None:
        return [tensor.reshape(tensor.shape[-len(rule.our_shape) :])]
    return [tensor]


__all__ = ["convert_pose_state_dict", "unwrap_state_dict"]
