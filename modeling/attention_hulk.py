# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Multi-head attention and the two-layer MLP, the parts that encoder and decoder share."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from transformers.cache_utils import Cache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention written out, for `output_attentions` and as a reference.

    Args:
        module: The attention module (its `training` flag switches dropout).
        query: Shape (B, heads, Q, head_dim).
        key: Shape (B, heads, N, head_dim).
        value: Shape (B, heads, N, head_dim).
        attention_mask: What may be attended to (True), broadcastable to (B, heads, Q, N), or None: everything.
        scaling: Factor on the scores.
        dropout: Dropout on the weights.

    Returns:
        Output (B, Q, heads, head_dim) and weights (B, heads, Q, N).
    """
    scores = query @ key.transpose(-1, -2) * scaling
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    weights = F.dropout(scores.softmax(dim=-1), p=dropout, training=module.training)
    return (weights @ value).transpose(1, 2).contiguous(), weights


class HulkAttention(nn.Module):
    """Multi-head attention with separate projections (so that adapters can choose among them).

    Args:
        config: Gives width, heads and the implementation.
        layer_index: Place of the keys and values in a cache.
    """

    def __init__(self, config, layer_index: int = 0):
        super().__init__()
        self.config = config
        self.layer_index = layer_index
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        num_diagonal: int = 0,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend.

        Args:
            queries: Shape (B, Q, C), position terms added.
            keys: Shape (B, N, C), position terms added.
            values: Shape (B, N, C).
            num_diagonal: The first `num_diagonal` tokens of `values` see only themselves. Softmax over one score is
                1, so their result is their own value; it is put before the results of `queries`.
            attention_mask: What `queries` may attend to (True), broadcastable to (B, heads, Q, N); None: everything.
            past_key_values: Keys and values of earlier calls, put before those of this one and kept for later ones.

        Returns:
            Shape (B, num_diagonal + Q, C), and the weights (B, heads, Q, N) where the implementation gives them.
        """
        heads = (self.config.num_attention_heads, self.head_dim)
        query = self.q_proj(queries).unflatten(-1, heads).transpose(1, 2)
        key = self.k_proj(keys).unflatten(-1, heads).transpose(1, 2)
        projected_values = self.v_proj(values)
        value = projected_values.unflatten(-1, heads).transpose(1, 2)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_index)
        # Without pictures or queries nothing is computed, but the implementations of transformers cannot reshape it.
        implementation = self.config._attn_implementation if queries.numel() else "eager"
        attend: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(implementation, eager_attention_forward)
        mixed, weights = attend(
            self,
            query,
            key,
            value,
            attention_mask,
            scaling=self.scaling,
            dropout=0.0,
            is_causal=self.is_causal,
            **kwargs,
        )
        mixed = mixed.flatten(2)
        if num_diagonal:
            mixed = torch.cat([projected_values[:, :num_diagonal], mixed], dim=1)
        return self.o_proj(mixed), weights


class HulkMLP(nn.Module):
    """Linear, activation, Linear. Called `mlp` in the layers and `position_mlp` in front of the decoder."""

    def __init__(self, width: int, hidden_width: int, activation: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden_width)
        self.fc2 = nn.Linear(hidden_width, width)
        self.activation = activation

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Map (..., width) to (..., width)."""
        return self.fc2(self.activation(self.fc1(hidden_states)))


__all__ = ["HulkAttention", "HulkMLP", "eager_attention_forward"]
