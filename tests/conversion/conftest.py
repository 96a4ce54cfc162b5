# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Official weights of any size, and a second, plain implementation of the official pose network to record from.

The second implementation works on official names with fused projections, tables from the weights, and one explicit
mask over all tokens. It shares no code with the network it is compared with, so recordings made with it show that
conversion, network and `verify` are right at sizes of which no official recording lies here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

PREDICTOR = "decoder_module.predictor"
DENSE = "proj_dense_labeling"
FROZEN = ("pos_embed", "query_embed_patch", "query_embed_label", "text_features")


@dataclass(frozen=True)
class Sizes:
    """Sizes of an official pose model."""

    width: int = 32
    mlp: int = 64
    encoder_heads: int = 4
    encoder_layers: int = 2
    decoder_width: int = 16
    decoder_mlp: int = 24
    decoder_heads: int = 2
    decoder_layers: int = 3
    joints: int = 5
    text: int = 12
    image_size: tuple[int, int] = (64, 48)
    batch: int = 2
    mask: str = "full"
    flip_pairs: tuple[tuple[int, int], ...] = ((1, 2),)
    task: int = 8
    loss_layers: int = 9
    upsampler: int | None = None
    whole_size: bool = True
    intermediate_output: bool = True
    deep_supervision: bool = True
    own_positions: bool = False
    mask_weight: float = 1.0
    class_weight: float = 0.001

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of patches."""
        return self.image_size[0] // 16, self.image_size[1] // 16


def own_grid_table(dim: int, rows: int, columns: int) -> np.ndarray:
    """Sin-cos of a grid, (rows * columns, dim) in float64: sin and cos of the column, then sin and cos of the row."""
    frequencies = 10000.0 ** (-np.arange(dim // 4) / (dim / 4))
    table = np.zeros((rows, columns, dim))
    for y in range(rows):
        for x in range(columns):
            parts = [wave(place * frequencies) for place in (x, y) for wave in (np.sin, np.cos)]
            table[y, x] = np.concatenate(parts)
    return table.reshape(rows * columns, dim)


def bicubic_matrix(old: int, new: int) -> np.ndarray:
    """Weights (new, old) of bicubic resizing with a = -0.75, half-pixel centres and repeated borders."""
    a, weights = -0.75, np.zeros((new, old))
    for row in range(new):
        place = (row + 0.5) * old / new - 0.5
        for tap in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            t = abs(place - tap)
            near, far = (a + 2) * t**3 - (a + 3) * t**2 + 1, a * (t**3 - 5 * t**2 + 8 * t - 4)
            weights[row, min(max(tap, 0), old - 1)] += near if t <= 1 else far
    return weights


def stretched_table(dim: int, rows: int, columns: int) -> np.ndarray:
    """The table of a 14x14 grid resized bicubically, (rows * columns, dim) in float64."""
    table = own_grid_table(dim, 14, 14).reshape(14, 14, dim)
    resized = np.einsum("yi,xj,ijc->yxc", bicubic_matrix(14, rows), bicubic_matrix(14, columns), table)
    return resized.reshape(rows * columns, dim)


def official_shapes(s: Sizes) -> dict[str, tuple[int, ...]]:
    """Names and shapes of an official pose checkpoint, without wrapper prefix."""
    c, d, k, tokens = s.width, s.decoder_width, s.joints, s.grid[0] * s.grid[1]
    u = s.upsampler or d

    def linear(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}

    def norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": (size,), f"{name}.bias": (size,)}

    shapes = {"backbone_module.global_tokens": (1, 0, c), **norm("backbone_module.norm", c)}
    for i in range(s.encoder_layers):
        block = f"backbone_module.blocks.{i}"
        shapes |= norm(f"{block}.norm1", c) | norm(f"{block}.norm2", c)
        shapes |= linear(f"{block}.attn.qkv", 3 * c, c) | linear(f"{block}.attn.proj", c, c)
        shapes |= linear(f"{block}.mlp.fc1", s.mlp, c) | linear(f"{block}.mlp.fc2", c, s.mlp)
    for j in range(s.decoder_layers):
        attention = f"{PREDICTOR}.transformer_self_attention_layers.{j}"
        ffn = f"{PREDICTOR}.transformer_ffn_layers.{j}"
        shapes |= {
            f"{attention}.self_attn.in_proj_weight": (3 * d, d),
            f"{attention}.self_attn.in_proj_bias": (3 * d,),
        }
        shapes |= linear(f"{attention}.self_attn.out_proj", d, d) | norm(f"{attention}.norm", d)
        shapes |= linear(f"{ffn}.linear1", s.decoder_mlp, d) | linear(f"{ffn}.linear2", d, s.decoder_mlp)
        shapes |= norm(f"{ffn}.norm", d)
    shapes |= {
        f"{PREDICTOR}.mask_token": (1, 1, d),
        f"{PREDICTOR}.query_embed_patch": (1, tokens, d),
        f"{PREDICTOR}.query_embed_label": (1, tokens, d),
        f"{PREDICTOR}.level_embed.weight": (1, d),
        **norm(f"{PREDICTOR}.decoder_norm", d),
        **linear(f"{PREDICTOR}.class_embed", 1, d),
    }
    for i in range(3):
        shapes |= linear(f"{PREDICTOR}.mask_embed.layers.{i}", d, d)
    for name in ("adapt_pos2d.0", "adapt_pos2d.2", "adapt_pos1d.0", "adapt_pos1d.2"):
        shapes |= linear(f"{PREDICTOR}.{name}", d, d)
    shapes |= {
        "adapter_rgb.pos_embed": (1, tokens, c),
        "adapter_rgb.proj.weight": (c, 3, 16, 16),
        "adapter_rgb.proj.bias": (c,),
        "adapter_rgb.type_embed.weight": (1, c),
        "adapter_dense_labeling.pos_embed": (1, tokens, c),
        "adapter_dense_labeling.proj.weight": (c, 8, 16, 16),
        "adapter_dense_labeling.proj.bias": (c,),
        "adapter_dense_labeling.type_embed.weight": (1, c),
        "adapter_dense_labeling.class_embed.weight": (k + 1, 8),
        **linear("neck_patch.mask_map.0", d, c),
        **linear("neck_label.mask_map.0", d, c),
        **linear("proj_rgb.output_proj", 768, d),
        f"{DENSE}.text_features": (k, s.text),
        f"{DENSE}.class_proj.weight": (d, s.text),
        f"{DENSE}.patch_proj.weight": (d, d),
        **norm(f"{DENSE}.post_mul_norm", k),
        f"{DENSE}.upsample_network.0.weight": (k, u, 2, 2),
        f"{DENSE}.upsample_network.0.bias": (u,),
        **norm(f"{DENSE}.upsample_network.1", u),
        f"{DENSE}.upsample_network.3.weight": (u, k, 2, 2),
        f"{DENSE}.upsample_network.3.bias": (k,),
    }
    return shapes


def official_weights(s: Sizes, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random official weights with the tables the official constructor makes."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in official_shapes(s).items():
        weights[name] = torch.randn(shape, generator=generator) * 0.2
        if "norm" in name and name.endswith("weight"):
            weights[name] += 1
    if not s.own_positions:
        weights["adapter_rgb.pos_embed"] = torch.tensor(own_grid_table(s.width, *s.grid)[None], dtype=torch.float32)
    for name in ("query_embed_patch", "query_embed_label"):
        table = stretched_table(s.decoder_width, *s.grid)[None]
        weights[f"{PREDICTOR}.{name}"] = torch.tensor(table, dtype=torch.float32)
    for part in ("weight", "bias"):
        original = f"{DENSE}.upsample_network.1.{part}"
        weights[f"{DENSE}.upsample_network.1.ln.{part}"] = weights[original].clone()
    return weights


def official_forward(w: dict[str, torch.Tensor], images: torch.Tensor, s: Sizes) -> dict[str, torch.Tensor]:
    """All stages of the official network for pictures (B, 3, H, W) of range 0 to 255."""

    def linear(x, name):
        return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def norm(x, name, eps):
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)

    def attend(q, k, v, heads, forbidden=None):
        q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        if forbidden is not None:
            scores = scores.masked_fill(forbidden, float("-inf"))
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)

    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    x = (images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    x = F.conv2d(x, w["adapter_rgb.proj.weight"], w["adapter_rgb.proj.bias"], stride=16).flatten(2).transpose(1, 2)
    out = {"adapter_patch": x + w["adapter_rgb.pos_embed"] + w["adapter_rgb.type_embed.weight"]}
    x = out["adapter_patch"]
    for i in range(s.encoder_layers):
        block = f"backbone_module.blocks.{i}"
        q, k, v = linear(norm(x, f"{block}.norm1", 1e-6), f"{block}.attn.qkv").chunk(3, -1)
        x = x + linear(attend(q, k, v, s.encoder_heads), f"{block}.attn.proj")
        hidden = F.gelu(linear(norm(x, f"{block}.norm2", 1e-6), f"{block}.mlp.fc1"))
        x = x + linear(hidden, f"{block}.mlp.fc2")
    out["backbone"] = norm(x, "backbone_module.norm", 1e-6)
    out["neck_patch"] = linear(out["backbone"], "neck_patch.mask_map.0")

    def place(table):
        return linear(
            linear(w[f"{PREDICTOR}.{table}"], f"{PREDICTOR}.adapt_pos2d.0").relu(), f"{PREDICTOR}.adapt_pos2d.2"
        )

    tokens = out["neck_patch"].shape[1]
    places = torch.cat([place("query_embed_patch"), place("query_embed_label")], 1)
    x = torch.cat([out["neck_patch"], w[f"{PREDICTOR}.mask_token"].expand(len(images), tokens, -1)], 1)
    forbidden = torch.zeros(2 * tokens, 2 * tokens, dtype=torch.bool)
    if s.mask != "full":  # an input token sees only itself
        forbidden[:tokens] = ~torch.eye(2 * tokens, dtype=torch.bool)[:tokens]
    states = []
    for j in range(s.decoder_layers):
        attention = f"{PREDICTOR}.transformer_self_attention_layers.{j}"
        ffn = f"{PREDICTOR}.transformer_ffn_layers.{j}"
        rows = w[f"{attention}.self_attn.in_proj_weight"].chunk(3)
        biases = w[f"{attention}.self_attn.in_proj_bias"].chunk(3)
        inputs = (x + places, x + places, x)
        q, k, v = (F.linear(value, row, bias) for value, row, bias in zip(inputs, rows, biases, strict=True))
        mixed = attend(q, k, v, s.decoder_heads, forbidden)
        x = norm(x + linear(mixed, f"{attention}.self_attn.out_proj"), f"{attention}.norm", 1e-5)
        x = norm(x + linear(linear(x, f"{ffn}.linear1").relu(), f"{ffn}.linear2"), f"{ffn}.norm", 1e-5)
        states.append(norm(x, f"{PREDICTOR}.decoder_norm", 1e-5)[:, tokens:])
    states = states if s.intermediate_output else states[-1:]
    out["decoder_label"] = states[-1]
    out |= {f"decoder_label_aux{j}": state for j, state in enumerate(states[:-1])}

    labels = F.normalize(linear(w[f"{DENSE}.text_features"], f"{DENSE}.class_proj"), dim=-1)
    up = f"{DENSE}.upsample_network"
    for j, state in enumerate(states):
        suffix = "" if j == len(states) - 1 else f"_{j}"
        maps = norm(
            F.normalize(linear(state, f"{DENSE}.patch_proj"), dim=-1) @ labels.T, f"{DENSE}.post_mul_norm", 1e-6
        )
        maps = maps.transpose(1, 2).unflatten(2, s.grid)
        maps = F.conv_transpose2d(maps, w[f"{up}.0.weight"], w[f"{up}.0.bias"], stride=2)
        maps = F.gelu(norm(maps.permute(0, 2, 3, 1), f"{up}.1", 1e-6)).permute(0, 3, 1, 2)
        out[f"heatmap{suffix}"] = F.conv_transpose2d(maps, w[f"{up}.3.weight"], w[f"{up}.3.bias"], stride=2)
        out[f"presence{suffix}"] = state.mean(1) @ labels.T
    return out


def _losses(out: dict, label: torch.Tensor, weight: torch.Tensor, s: Sizes, ratios: list[float]) -> dict:
    """Official loss terms.

    A criterion configured for fewer layers drops the terms of the later ones, one without deep supervision those of
    all but the last.
    """
    u, r = weight[..., 0], torch.tensor(ratios)
    balance = torch.exp(u * (1 - r) + (1 - u) * r)
    terms = {}
    supervised = min(s.decoder_layers, s.loss_layers) if s.deep_supervision and s.intermediate_output else 1
    for j in [None, *range(supervised - 1)]:
        suffix = "" if j is None else f"_{j}"
        error = ((out[f"heatmap{suffix}"] - label) ** 2 * weight[..., None]).mean()
        logits = out[f"presence{suffix}"]
        cross = F.softplus(logits) - logits * u
        terms[f"loss_mask_pos{suffix}"] = s.mask_weight * error
        terms[f"loss_bce_pos{suffix}"] = s.class_weight * (cross * balance).mean()
    return terms


def _info(s: Sizes, ratios: list[float]) -> dict:
    predictor = {
        "hidden_dim": s.decoder_width,
        "nheads": s.decoder_heads,
        "dim_feedforward": s.decoder_mlp,
        "dec_layers": s.decoder_layers,
        "pre_norm": False,
        "intermediate_output": s.intermediate_output,
        "self_attn_mask_type": s.mask,
        "adding_per_layer_pe": True,
        "use_adapt_pos2d": True,
    }
    loss = {
        "num_classes": s.joints,
        "deep_supervision": s.deep_supervision,
        "class_weight": s.class_weight,
        "mask_weight": s.mask_weight,
        "dec_layers": s.loss_layers,
        "sample_weight": ratios,
    }
    return {
        "task": s.task,
        "config": {
            "backbone": {"kwargs": {"drop_path_rate": 0.0, "embed_dim": s.width, "num_heads": s.encoder_heads}},
            "patch_adapter": {"kwargs": {"img_size": list(s.image_size) if s.whole_size else s.image_size[0]}},
            "decoder": {"kwargs": {"transformer_predictor_cfg": predictor}},
            "label_proj": {"kwargs": {"loss_cfg": {"kwargs": {"cfg": loss}}}},
        },
    }


def write_recording(path: Path, tensors: dict[str, torch.Tensor], info: dict | None) -> Path:
    """Write the two files of a recording; returns the path of the first."""
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}, path)
    if info is not None:
        path.with_suffix(".json").write_text(json.dumps(info))
    return path


def record_forward(path: Path, s: Sizes, weights: dict[str, torch.Tensor] | None = None) -> Path:
    """Record an eval-mode forward with a flip test, laid out as the official recordings are."""
    weights = official_weights(s) if weights is None else weights
    images = 255 * torch.rand(s.batch, 3, *s.image_size, generator=torch.Generator().manual_seed(1))
    order = list(range(s.joints))
    for first, second in s.flip_pairs:
        order[first], order[second] = second, first
    out = official_forward(weights, images, s)
    mirrored = official_forward(weights, images.flip(-1), s)
    averaged = (out["heatmap"] + mirrored["heatmap"][:, order].flip(-1)) / 2
    scores = averaged.amax((2, 3))
    # The official head squeezes a batch of one away.
    squeezed = out["presence"][0] if s.batch == 1 else out["presence"]
    center, scale = torch.full((s.batch, 2), 100.0), torch.tensor([[0.9, 1.2]]).expand(s.batch, 2)
    score = torch.linspace(0.5, 0.9, s.batch)
    area = (200 * scale).prod(1, keepdim=True)
    stages = ("adapter_patch", "backbone", "neck_patch", "decoder_label")
    auxiliary = [name for name in out if name.startswith("decoder_label_aux")]
    tensors = {
        **{f"sd.{name}": tensor for name, tensor in weights.items()},
        "in.image": images,
        "in.center": center,
        "in.scale": scale,
        "in.bbox_score": score,
        "in.flip_pairs": torch.tensor(s.flip_pairs, dtype=torch.int64).reshape(-1, 2),
        **{f"out.{name}": out[name] for name in (*stages, *auxiliary)},
        "out.grid": torch.tensor(s.grid),
        "out.proj_label.output_heatmap": out["heatmap"],
        "out.proj_label.pred_logits": squeezed,
        "out.dense_masks": out["heatmap"],
        "out.dense_pred_classes": squeezed,
        "out.flip.adapter_patch": mirrored["adapter_patch"],
        "out.flip.decoder_label": mirrored["decoder_label"],
        "out.flip.dense_masks": mirrored["heatmap"],
        "out.final.preds": torch.cat([torch.zeros(s.batch, s.joints, 2), scores[..., None]], -1),
        "out.final.boxes": torch.cat([center, scale, area, score[:, None]], 1),
        "out.final.pred_logits": squeezed.sigmoid(),
    }
    return write_recording(path, tensors, _info(s, [0.5] * s.joints))


def record_loss(path: Path, s: Sizes) -> Path:
    """Record a training-mode step: loss terms, and the gradient norm of every official parameter."""
    generator = torch.Generator().manual_seed(2)
    weights = official_weights(s)
    trained = {name: tensor for name, tensor in weights.items() if not name.endswith(FROZEN) and ".ln." not in name}
    for tensor in trained.values():
        tensor.requires_grad_()
    images = 255 * torch.rand(s.batch, 3, *s.image_size, generator=generator)
    label = torch.rand(s.batch, s.joints, *(4 * side for side in s.grid), generator=generator)
    weight = (torch.rand(s.batch, s.joints, 1, generator=generator) > 0.3).float()
    ratios = torch.rand(s.joints, generator=generator).tolist()
    out = official_forward(weights, images, s)
    terms = _losses(out, label, weight, s, ratios)
    total = torch.stack(list(terms.values())).sum()
    total.backward()
    info = _info(s, ratios)
    info["losses"] = {"loss_rgb": 0.0, "top1": 0.5, **{name: term.item() for name, term in terms.items()}}
    info["total_loss_sum_of_terms_with_loss_in_name"] = total.item()
    info["grad_norms"] = {
        name: 0.0 if tensor.grad is None else tensor.grad.norm().item() for name, tensor in trained.items()
    }
    info["params_without_grad"] = [name for name, norm in info["grad_norms"].items() if norm == 0]
    tensors = {
        **{f"sd.{name}": tensor for name, tensor in weights.items()},
        "in.image": images,
        "in.label": label,
        "in.target_weight": weight,
        "out.backbone": out["backbone"],
        "out.decoder_label": out["decoder_label"],
        "out.loss_rgb": torch.zeros(()),
        **{f"out.{name}": term for name, term in terms.items()},
    }
    return write_recording(path, tensors, info)


@dataclass(frozen=True)
class Recorder:
    """What the tests of this folder need from this file, which they cannot import."""

    sizes: Callable[..., Sizes] = Sizes
    shapes: Callable[..., dict] = official_shapes
    weights: Callable[..., dict] = official_weights
    run: Callable[..., dict] = official_forward
    forward: Callable[..., Path] = record_forward
    loss: Callable[..., Path] = record_loss
    write: Callable[..., Path] = write_recording


@pytest.fixture(scope="session")
def recorder() -> Recorder:
    """The second implementation of the official network, and what writes recordings with it."""
    return Recorder()
