# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The shared decoder: query tokens read the context through self-attention (Paper, Sec. 3.2 and 3.3).

There is no cross-attention: queries are appended to the context. What a context token may see is the task's attention
pattern, and it is structure here, not a mask: `full` lets every token attend to all; `diagonal` lets a context token
see only itself, which makes the context stream a per-token map.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention_hulk import HulkAttention, HulkMLP
from .configuration_hulk import HulkDecoderConfig
from .positions_hulk import HulkGridPositions
from .pretrained_hulk import HulkPreTrainedModel
from .tasks_hulk import HulkTask


class HulkDecoderLayer(GradientCheckpointingLayer):
    """Attention and MLP, each inside a residual and before a layer norm."""

    def __init__(self, config):
        super().__init__()
        self.attention = HulkAttention(config)
        self.attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = HulkMLP(config.hidden_size, config.intermediate_size, F.relu)
        self.mlp_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self,
        hidden_states: torch.Tensor,
        positions: torch.Tensor,
        num_context: int,
        attention: str,
        queries_only: bool,
        **kwargs,
    ) -> torch.Tensor:
        """Run one layer.

        Args:
            hidden_states: Context tokens, then query tokens: shape (B, P + Q, d).
            positions: Position terms of the same tokens, shape (P + Q, d); they join queries and keys, not values.
            num_context: P.
            attention: `full` or `diagonal`.
            queries_only: Leave out the context rows of the result: nothing reads them after the last layer.

        Returns:
            Shape (B, P + Q, d), or (B, Q, d) with `queries_only`.
        """
        placed = hidden_states + positions
        residual = hidden_states[:, num_context:] if queries_only else hidden_states
        rows_attending = placed if attention == "full" and not queries_only else placed[:, num_context:]
        num_diagonal = num_context if attention == "diagonal" and not queries_only else 0
        attended, _ = self.attention(rows_attending, placed, hidden_states, num_diagonal=num_diagonal, **kwargs)
        hidden_states = self.attention_layernorm(residual + attended)
        return self.mlp_layernorm(hidden_states + self.mlp(hidden_states))


class HulkDecoder(HulkPreTrainedModel):
    """Context and a query token in, query states out.

    Args:
        config: Sizes of the decoder.
        tasks: The tasks whose families need a query token, and whose grids need a position table.
        patch_size: Side of an image patch in pixels.
    """

    config: HulkDecoderConfig
    config_class = HulkDecoderConfig
    _can_record_outputs = {"decoder_hidden_states": HulkDecoderLayer, "decoder_attentions": HulkAttention}

    def __init__(self, config: HulkDecoderConfig, tasks: list[HulkTask], patch_size: int):
        super().__init__(config)
        width = config.hidden_size
        families = sorted({task.family for task in tasks})
        self.queries = nn.ModuleDict({family: nn.Embedding(1, width) for family in families})
        grids = [(task.image_size[0] // patch_size, task.image_size[1] // patch_size) for task in tasks]
        self.positions = HulkGridPositions(width, grids)
        self.position_mlp_2d = HulkMLP(width, width, F.relu)
        if config.modality_embedding:
            self.modality_indicators = nn.ModuleDict(
                {modality: nn.Embedding(1, width) for modality in ["image", *families]}
            )
        self.layers = nn.ModuleList(HulkDecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.layernorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.post_init()

    def forward(
        self,
        context: torch.Tensor,
        family: str,
        grid: tuple[int, int],
        attention: str,
        auxiliary: bool = False,
        **kwargs,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Decode a dense label: one query per image patch, at the place of that patch.

        Args:
            context: Shape (B, P, d), the output of the neck.
            family: Whose query token to use.
            grid: (rows, columns) of patches, rows * columns = P.
            attention: `full` or `diagonal`, see the module's docstring.
            auxiliary: Also return the normed query states of all layers before the last (deep supervision).

        Returns:
            Query states (B, Q, d) with Q = P, and a tuple of the same for the earlier layers (empty unless asked).
        """
        num_context = context.shape[1]
        queries = self.queries[family].weight.to(context.dtype).expand(context.shape[0], num_context, -1)
        if hasattr(self, "modality_indicators"):
            context = context + self.modality_indicators["image"].weight
            queries = queries + self.modality_indicators[family].weight
        table = self.positions(*grid).to(context.dtype)
        positions = self.position_mlp_2d(table).repeat(2, 1)

        hidden_states = torch.cat([context, queries], dim=1)
        states = []
        for index, layer in enumerate(self.layers):
            last = index == len(self.layers) - 1
            hidden_states = layer(hidden_states, positions, num_context, attention, last, **kwargs)
            if auxiliary and not last:
                states.append(self.layernorm(hidden_states[:, num_context:]))
        return self.layernorm(hidden_states), tuple(states)


__all__ = ["HulkDecoder", "HulkDecoderLayer"]
