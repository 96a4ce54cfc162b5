# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""De-tokenizers: from query states to what a person reads (Paper, Sec. 3.4)."""

import torch
from torch import nn
from torch.nn import functional as F

from .tasks_hulk import HulkTask

_HEAD_NORM_EPS = 1e-6  # of the norms over labels and inside the up-samplers; the decoder's norms use another


class HulkLabelFeatures(nn.Module):
    """The frozen text features of the labels of each task: buffers `{task}` of shape (K, text_feature_size)."""

    def __init__(self, tasks: list[HulkTask], text_feature_size: int):
        super().__init__()
        for task in tasks:
            self.register_buffer(task.name, torch.randn(task.num_labels, text_feature_size))

    def forward(self, task: str) -> torch.Tensor:
        """Look up the features of a task: shape (K, text_feature_size)."""
        return getattr(self, task)


class HulkPatchExpand(nn.ConvTranspose2d):
    """A transposed convolution of kernel 2 and stride 2, computed channels-last as one matrix product.

    The kernel never overlaps itself, so each cell becomes a 2x2 block on its own.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, kernel_size=2, stride=2)

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        """Map (B, h, w, in_channels) to (B, 2h, 2w, out_channels)."""
        batch, height, width, _ = cells.shape
        blocks = cells @ self.weight.permute(0, 2, 3, 1).flatten(1)
        blocks = blocks.view(batch, height, width, 2, 2, self.out_channels) + self.bias
        return blocks.transpose(2, 3).reshape(batch, 2 * height, 2 * width, self.out_channels)


class HulkUpsampler(nn.Module):
    """Four times finer: patch expansion, layer norm, GELU, patch expansion."""

    def __init__(self, channels: int, hidden_channels: int):
        super().__init__()
        self.deconv1 = HulkPatchExpand(channels, hidden_channels)
        self.layernorm = nn.LayerNorm(hidden_channels, eps=_HEAD_NORM_EPS)
        self.deconv2 = HulkPatchExpand(hidden_channels, channels)

    def forward(self, cells: torch.Tensor) -> torch.Tensor:
        """Map (B, h, w, channels) to (B, 4h, 4w, channels)."""
        return self.deconv2(F.gelu(self.layernorm(self.deconv1(cells))))


class HulkDenseHead(nn.Module):
    """Semantic maps: cosine similarity of every query with the text feature of every label.

    Args:
        config: A `HulkConfig`.
        tasks: The tasks this head serves; norm, up-sampler and label features belong to a task.
    """

    def __init__(self, config, tasks: list[HulkTask]):
        super().__init__()
        width = config.decoder_config.hidden_size
        self.query_proj = nn.Linear(width, width, bias=False)
        self.label_proj = nn.Linear(config.text_feature_size, width, bias=False)
        self.norms = nn.ModuleDict({task.name: nn.LayerNorm(task.num_labels, eps=_HEAD_NORM_EPS) for task in tasks})
        hidden = config.decoder_config.upsampler_hidden_size or width
        self.upsamplers = nn.ModuleDict({task.name: HulkUpsampler(task.num_labels, hidden) for task in tasks})
        self.label_features = HulkLabelFeatures(tasks, config.text_feature_size)

    def forward(
        self, query_states: torch.Tensor, task: str, grid: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read heat maps and label presence from query states.

        Args:
            query_states: Shape (B, h * w, d), row-major over the grid.
            task: Task name.
            grid: (h, w) in patches.

        Returns:
            Heat maps (B, K, 4h, 4w), real values without activation, and presence logits (B, K).
        """
        labels = F.normalize(self.label_proj(self.label_features(task).to(query_states.dtype)), dim=-1, eps=1e-12)
        similarity = F.normalize(self.query_proj(query_states), dim=-1, eps=1e-12) @ labels.T
        cells = self.norms[task](similarity).unflatten(1, grid)
        heatmaps = self.upsamplers[task](cells).permute(0, 3, 1, 2)
        # The mean of the decoder's own output, neither projected nor normalised: that is how it was released.
        presence_logits = query_states.mean(dim=1) @ labels.T
        return heatmaps, presence_logits


__all__ = ["HulkDenseHead", "HulkLabelFeatures", "HulkPatchExpand", "HulkUpsampler"]
