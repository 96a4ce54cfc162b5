# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The shared encoder: a plain pre-norm ViT without class token (Paper, Sec. 3.2)."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention_hulk import HulkAttention, HulkMLP
from .configuration_hulk import HulkVisionConfig
from .pretrained_hulk import HulkPreTrainedModel


class HulkDropPath(nn.Module):
    """Stochastic depth: in training, drops a residual branch for a whole sample with probability `rate`."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, branch: torch.Tensor) -> torch.Tensor:
        """Scale the surviving samples of a branch (B, ...) by 1 / (1 - rate)."""
        if not self.training or self.rate == 0.0:
            return branch
        keep = 1.0 - self.rate
        survives = torch.rand(branch.shape[0], *[1] * (branch.ndim - 1), device=branch.device) < keep
        return branch * survives.to(branch.dtype) / keep


class HulkEncoderLayer(GradientCheckpointingLayer):
    """Attention and MLP, each after a layer norm and around a residual."""

    def __init__(self, config, drop_path_rate: float):
        super().__init__()
        self.layernorm_before = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = HulkAttention(config)
        self.layernorm_after = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = HulkMLP(config.hidden_size, config.intermediate_size, F.gelu)
        self.drop_path = HulkDropPath(drop_path_rate)

    def forward(self, hidden_states: torch.Tensor, **kwargs) -> torch.Tensor:
        """Map (B, P, C) to (B, P, C)."""
        normed = self.layernorm_before(hidden_states)
        hidden_states = hidden_states + self.drop_path(self.attention(normed, normed, normed, **kwargs)[0])
        return hidden_states + self.drop_path(self.mlp(self.layernorm_after(hidden_states)))


class HulkEncoder(HulkPreTrainedModel):
    """Turns the tokens of any input modality into memory."""

    config: HulkVisionConfig
    config_class = HulkVisionConfig
    _can_record_outputs = {"hidden_states": HulkEncoderLayer, "attentions": HulkAttention}

    def __init__(self, config: HulkVisionConfig):
        super().__init__(config)
        last = max(config.num_hidden_layers - 1, 1)
        self.layers = nn.ModuleList(
            HulkEncoderLayer(config, config.drop_path_rate * index / last) for index in range(config.num_hidden_layers)
        )
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.post_init()

    def forward(self, tokens: torch.Tensor, **kwargs) -> torch.Tensor:
        """Encode tokens (B, P, C) to memory (B, P, C)."""
        for layer in self.layers:
            tokens = layer(tokens, **kwargs)
        return self.layernorm(tokens)


class HulkNeck(nn.Module):
    """Projects memory to the width of the decoder; the result is called context."""

    def __init__(self, config):
        super().__init__()
        self.projection = nn.Linear(config.vision_config.hidden_size, config.decoder_config.hidden_size)

    def forward(self, memory: torch.Tensor) -> torch.Tensor:
        """Map memory (B, P, C) to context (B, P, d)."""
        return self.projection(memory)


__all__ = ["HulkDropPath", "HulkEncoder", "HulkEncoderLayer", "HulkNeck"]
