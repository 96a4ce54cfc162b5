# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Attention patterns: structure here, compared with one explicit mask over all tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from hulk_hf.modeling.configuration_hulk import HulkDecoderConfig
from hulk_hf.modeling.decoder_hulk import HulkDecoder
from hulk_hf.modeling.positions_hulk import stretched_sincos_2d
from hulk_hf.modeling.tasks_hulk import HulkTask

TASK = HulkTask("pose-x", "pose", ("a", "b"), image_size=(64, 48))


def build(implementation: str = "sdpa") -> HulkDecoder:
    torch.manual_seed(0)
    config = HulkDecoderConfig(hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=40)
    decoder = HulkDecoder(config, [TASK], patch_size=16, skeleton_grid=(25, 8)).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    decoder.set_attn_implementation(implementation)
    return decoder


def masked_decoder(decoder: HulkDecoder, context: torch.Tensor, grid: tuple[int, int], diagonal: bool) -> torch.Tensor:
    """The decoder written with one explicit mask over all tokens: query states of every layer, (layers, B, Q, d)."""
    batch, tokens, width = context.shape
    forbidden = torch.zeros(2 * tokens, 2 * tokens)
    if diagonal:
        forbidden[:tokens] = float("-inf")
        forbidden.fill_diagonal_(0.0)
    places = decoder.position_mlp_2d(stretched_sincos_2d(width, *grid)).repeat(2, 1)
    x = torch.cat([context, decoder.queries["pose"].weight.expand(batch, tokens, width)], dim=1)
    states = []
    for layer in decoder.layers:
        split = (batch, 2 * tokens, decoder.config.num_attention_heads, -1)
        attention = layer.attention
        projected = (attention.q_proj(x + places), attention.k_proj(x + places), attention.v_proj(x))
        q, k, v = (part.view(split).transpose(1, 2) for part in projected)
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5 + forbidden).softmax(-1)
        x = layer.attention_layernorm(x + attention.o_proj((weights @ v).transpose(1, 2).flatten(2)))
        x = layer.mlp_layernorm(x + layer.mlp.fc2(F.relu(layer.mlp.fc1(x))))
        states.append(decoder.layernorm(x)[:, tokens:])
    return torch.stack(states)


@pytest.mark.parametrize("attention", ["full", "diagonal"])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@torch.no_grad()
def test_attention_as_structure_equals_an_explicit_mask(attention, implementation):
    decoder = build(implementation)
    context = torch.randn(2, 12, 32)
    last, auxiliary = decoder(context, replace(TASK, attention=attention), (4, 3), auxiliary=True)
    expected = masked_decoder(decoder, context, (4, 3), attention == "diagonal")
    torch.testing.assert_close(torch.stack([*auxiliary, last]), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_diagonal_context_does_not_depend_on_other_tokens():
    decoder = build()
    context = torch.randn(1, 12, 32)
    changed = context.clone()
    changed[0, 5] += 1
    places = torch.zeros(24, 32)
    queries = torch.randn(1, 12, 32)

    def run(attention, context):
        return decoder.layers[0](torch.cat([context, queries], 1), places, 12, attention, False)[0, :12]

    moved = (run("diagonal", context) - run("diagonal", changed)).abs().amax(-1) > 1e-6
    assert moved.nonzero().flatten().tolist() == [5]
    assert ((run("full", context) - run("full", changed)).abs().amax(-1) > 1e-6).all()
