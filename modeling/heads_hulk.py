# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""De-tokenizers of semantic outputs: from query states to words and semantic maps (Paper, Sec. 3.4)."""

import torch
from torch import nn
from torch.nn import functional as F

from .tasks_hulk import HulkTask

_UNIT_EPS = 1e-12
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


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return F.normalize(vectors, dim=-1, eps=_UNIT_EPS)


class HulkSemanticHead(nn.Module):
    """What the semantic heads share: queries and label features are projected to a common space and compared there.

    Args:
        config: A `HulkConfig`.
        tasks: The tasks the head serves; norms and label features belong to a task.
    """

    def __init__(self, config, tasks: list[HulkTask]):
        super().__init__()
        width = config.decoder_config.hidden_size
        self.query_proj = nn.Linear(width, width, bias=False)
        self.label_proj = nn.Linear(config.text_feature_size, width, bias=False)
        self.norms = nn.ModuleDict({task.name: nn.LayerNorm(task.num_labels, eps=_HEAD_NORM_EPS) for task in tasks})
        self.label_features = HulkLabelFeatures(tasks, config.text_feature_size)

    def labels(self, task: str) -> torch.Tensor:
        """The projected label features of a task, of unit length: shape (K, d)."""
        return _unit(self.label_proj(self.label_features(task).to(self.label_proj.weight.dtype)))


class HulkTextHead(HulkSemanticHead):
    """Words: cosine similarity with text features, normed over all labels of the task."""

    def forward(self, query_states: torch.Tensor, task: str) -> torch.Tensor:
        """Score labels that have a query each.

        Args:
            query_states: Shape (B, K, d).
            task: Task name.

        Returns:
            Logits (B, K).
        """
        similarity = (_unit(self.query_proj(query_states)) * self.labels(task)).sum(dim=-1)
        return self.norms[task](similarity)

    def score_words(self, query_states: torch.Tensor, task: str, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Score every label at every query.

        Args:
            query_states: Shape (B, Q, d).
            task: Task name.
            labels: What `labels(task)` gives, if it is at hand: it does not depend on the queries.

        Returns:
            Logits (B, Q, K).
        """
        labels = self.labels(task) if labels is None else labels
        return self.norms[task](_unit(self.query_proj(query_states)) @ labels.T)


class HulkDenseHead(HulkSemanticHead):
    """Semantic maps: cosine similarity of every place of the picture with the text feature of every label.

    Joints are compared on the grid of the queries and their similarities made finer, with an up-sampler per task;
    body parts are compared on a finer grid, to which one up-sampler for all tasks brings the queries.

    Args:
        config: A `HulkConfig`.
        tasks: The tasks this head serves.
    """

    def __init__(self, config, tasks: list[HulkTask]):
        super().__init__(config, tasks)
        width = config.decoder_config.hidden_size
        hidden = config.decoder_config.upsampler_hidden_size or width
        self.upsamplers = nn.ModuleDict()
        for task in tasks:
            if task.upsampled == "similarity":
                self.upsamplers[task.name] = HulkUpsampler(task.num_labels, hidden)
        for family in sorted({task.family for task in tasks if task.upsampled == "queries"}):
            self.upsamplers[family] = HulkUpsampler(width, hidden)

    def forward(
        self, query_states: torch.Tensor, task: HulkTask, grid: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read maps and label presence from query states.

        Args:
            query_states: Shape (B, h * w, d), row-major over the grid.
            task: The task.
            grid: (h, w) in patches.

        Returns:
            Maps (B, K, 4h, 4w), real values without activation, and presence logits (B, K).
        """
        labels, norm = self.labels(task.name), self.norms[task.name]
        cells = self.query_proj(query_states)
        if task.upsampled == "similarity":
            maps = self.upsamplers[task.name](norm(_unit(cells) @ labels.T).unflatten(1, grid))
        else:
            maps = norm(_unit(self.upsamplers[task.family](cells.unflatten(1, grid))) @ labels.T)
        # The mean of the decoder's own output, neither projected nor normalised: that is how it was released.
        presence_logits = query_states.mean(dim=1) @ labels.T
        return maps.permute(0, 3, 1, 2), presence_logits


__all__ = [
    "HulkDenseHead",
    "HulkLabelFeatures",
    "HulkPatchExpand",
    "HulkSemanticHead",
    "HulkTextHead",
    "HulkUpsampler",
]
