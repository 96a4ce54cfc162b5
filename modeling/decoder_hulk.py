# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The shared decoder: query tokens read the context through self-attention (Paper, Sec. 3.2 and 3.3).

There is no cross-attention: queries are appended to the context. What a context token may see is the task's attention
pattern, and it is structure here, not a mask: `full` lets every token attend to all; `diagonal` lets a context token
see only itself, which makes the context stream a per-token map that does not depend on the queries. A mask exists
only where queries may not see everything: padding, later words, vertices that are not next to each other.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention_hulk import HulkAttention, HulkMLP
from .configuration_hulk import HulkDecoderConfig
from .pretrained_hulk import HulkPreTrainedModel
from .queries_hulk import HulkQueryPlaces
from .tasks_hulk import HulkTask


class HulkDecoderLayer(GradientCheckpointingLayer):
    """Attention and MLP, each inside a residual and before a layer norm."""

    def __init__(self, config, layer_index: int):
        super().__init__()
        self.attention = HulkAttention(config, layer_index)
        self.attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = HulkMLP(config.hidden_size, config.intermediate_size, F.relu)
        self.mlp_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self,
        hidden_states: torch.Tensor,
        positions: torch.Tensor | None,
        num_context: int,
        attention: str,
        queries_only: bool,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        **kwargs,
    ) -> torch.Tensor:
        """Run one layer.

        Args:
            hidden_states: Context tokens, then query tokens: shape (B, P + Q, d).
            positions: Position terms of the same tokens, shape (P + Q, d) or (B, P + Q, d); they join queries and
                keys, not values. None: positions are part of the tokens already.
            num_context: P.
            attention: `full` or `diagonal`.
            queries_only: Leave out the context rows of the result: nothing reads them after the last layer.
            attention_mask: What the rows that attend may see (True), broadcastable to (B, heads, rows, P + Q).
            past_key_values: Keys and values of tokens that were decoded before.

        Returns:
            Shape (B, P + Q, d), or (B, Q, d) with `queries_only`.
        """
        placed = hidden_states if positions is None else hidden_states + positions
        residual = hidden_states[:, num_context:] if queries_only else hidden_states
        everything_attends = attention == "full" and not queries_only
        rows_attending = placed if everything_attends else placed[:, num_context:]
        num_diagonal = num_context if attention == "diagonal" and not queries_only else 0
        if attention_mask is not None and attention_mask.shape[-2] > rows_attending.shape[1]:
            attention_mask = attention_mask[..., -rows_attending.shape[1] :, :]
        attended, _ = self.attention(
            rows_attending,
            placed,
            hidden_states,
            num_diagonal=num_diagonal,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            **kwargs,
        )
        hidden_states = self.attention_layernorm(residual + attended)
        return self.mlp_layernorm(hidden_states + self.mlp(hidden_states))


class HulkDecoder(HulkPreTrainedModel):
    """Context and query tokens in, query states out.

    Args:
        config: Sizes of the decoder.
        tasks: The tasks whose families need query tokens, and whose inputs and labels need position tables.
        patch_size: Side of an image patch in pixels.
        skeleton_grid: (rows, columns) of the tokens of a skeleton sequence.
        mask_padding: See `HulkVisionConfig`.
    """

    config: HulkDecoderConfig
    config_class = HulkDecoderConfig
    _can_record_outputs = {"decoder_hidden_states": HulkDecoderLayer, "decoder_attentions": HulkAttention}

    def __init__(
        self,
        config: HulkDecoderConfig,
        tasks: list[HulkTask],
        patch_size: int,
        skeleton_grid: tuple[int, int],
        mask_padding: bool = False,
    ):
        super().__init__(config)
        width = config.hidden_size
        # The words of a caption are queries with an embedding of their own, in the caption head.
        patterns = {
            task.family: task.anchor_patterns if task.queries == "anchor" else 1
            for task in sorted(tasks, key=lambda task: task.family)
            if task.queries != "token"
        }
        self.queries = nn.ModuleDict({family: nn.Embedding(count, width) for family, count in patterns.items()})
        self.places = HulkQueryPlaces(config, tasks, patch_size, skeleton_grid, twice=not mask_padding)
        if any(task.positions == "every_layer" for task in tasks):
            self.position_mlp_2d = HulkMLP(width, width, F.relu)
        if any(task.queries == "body" for task in tasks):
            self.position_mlp_1d = HulkMLP(width, width, F.relu)
        if config.modality_embedding:
            modalities = sorted({task.input for task in tasks}) + sorted({task.family for task in tasks})
            self.modality_indicators = nn.ModuleDict({modality: nn.Embedding(1, width) for modality in modalities})
        self.layers = nn.ModuleList(HulkDecoderLayer(config, index) for index in range(config.num_hidden_layers))
        self.layernorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.post_init()

    def forward(
        self,
        context: torch.Tensor | None,
        task: HulkTask,
        grid: tuple[int, int] | None,
        *,
        query_tokens: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
        auxiliary: bool = False,
        past_key_values: Cache | None = None,
        query_positions: torch.Tensor | None = None,
        **kwargs,
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Decode one task.

        Args:
            context: Shape (B, P, d), the output of the neck; None when all of it is in `past_key_values`.
            task: What to decode.
            grid: (rows, columns) of the context tokens, rows * columns = P; None if `context` is None.
            query_tokens: Shape (B, Q, d), for tasks whose queries are words; others have learned ones.
            attention_mask: What queries may see (True), broadcastable to (B, heads, Q, P + Q). None: everything.
            valid: Shape (B, 2), (rows, columns) of tokens that each picture fills, where pictures of different sizes
                are padded.
            auxiliary: Also return the normed query states of all layers before the last (deep supervision).
            past_key_values: Cache of context and words; only for tasks whose queries are words.
            query_positions: Shape (Q,) or (B, Q), the place of each word in its sequence; None: 0, 1, ...

        Returns:
            Query states (B, Q, d), and a tuple of the same for the earlier layers (empty unless asked).
        """
        if query_tokens is None:
            query_tokens = self._learned_queries(task, context, grid)
        if hasattr(self, "modality_indicators"):
            query_tokens = query_tokens + self.modality_indicators[task.family].weight
            context = None if context is None else context + self.modality_indicators[task.input].weight
        context_places, query_places = self.places(task, grid, query_tokens.shape[1], query_positions, valid)
        positions = None
        if task.positions == "once":
            query_tokens = query_tokens + query_places.to(query_tokens.dtype)
            context = None if context is None else context + context_places.to(context.dtype)
        else:
            positions = self._every_layer(task, context_places, query_places, query_tokens.dtype)
        if task.queries == "body":
            attention_mask = self.places.body_mask(task, context.shape[1])

        num_context = 0 if context is None else context.shape[1]
        hidden_states = query_tokens if context is None else torch.cat([context, query_tokens], dim=1)
        states = []
        for index, layer in enumerate(self.layers):
            last = index == len(self.layers) - 1
            hidden_states = layer(
                hidden_states,
                positions,
                num_context,
                task.attention,
                last,
                attention_mask=attention_mask,
                past_key_values=past_key_values,
                **kwargs,
            )
            if auxiliary and not last:
                states.append(self.layernorm(hidden_states[:, num_context:]))
        return self.layernorm(hidden_states), tuple(states)

    def _learned_queries(self, task: HulkTask, context: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """The learned query tokens of a family, (B, Q, d): patterns slow, places fast."""
        tokens = self.queries[task.family].weight.to(context.dtype)
        per_token = self.places.num_queries(task, grid) // len(tokens)
        return tokens.repeat_interleave(per_token, dim=0).expand(context.shape[0], -1, -1)

    def _every_layer(
        self, task: HulkTask, context_places: torch.Tensor, query_places: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        """Position terms of context and queries through their MLP: (P + Q, d) or (B, P + Q, d)."""
        if task.queries == "patch" and query_places is None:
            # One query per patch, at the place of the patch.
            return self.position_mlp_2d(context_places.to(dtype)).repeat(2, 1)
        if task.queries == "body":
            # As released: the query part passes the 2-D MLP twice; the camera stands at the origin of both.
            flat, depth = (places.to(dtype) for places in query_places)
            body = self.position_mlp_2d(flat) + self.position_mlp_1d(depth)
            query_terms = self.position_mlp_2d(torch.cat([torch.zeros_like(body[:1]), body]))
        else:
            query_terms = self.position_mlp_2d(query_places.to(dtype))
        context_terms = self.position_mlp_2d(context_places.to(dtype))
        if context_terms.ndim == 3:
            query_terms = query_terms.expand(len(context_terms), -1, -1)
        return torch.cat([context_terms, query_terms], dim=-2)


__all__ = ["HulkDecoder", "HulkDecoderLayer"]
