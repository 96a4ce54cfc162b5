# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""De-tokenizer of boxes: from query states to where something is, and what (Paper, Sec. 3.4; spec 2.10)."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init

from .boxes_hulk import corners_to_centers
from .heads_hulk import HulkLabelFeatures
from .tasks_hulk import HulkTask

_LOGIT_SCALE = 4.0  # what a new head multiplies its cosine similarities by
_LOGIT_CLAMP = 1e-5  # how near to 0 and 1 a place may come before its logit is taken


def anchor_grid(side: int) -> torch.Tensor:
    """Reference points in the middle of the cells of a regular grid.

    Args:
        side: Points along either side of the picture.

    Returns:
        Shape (side * side, 3), float32: x, y (0..1 of the picture) and z = 0, x slow and y fast. That is the transpose
        of the order in which the decoder places these queries, and how it was released.
    """
    centers = (torch.arange(side, dtype=torch.float32) + 0.5) / side
    x, y = torch.meshgrid(centers, centers, indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)], dim=-1).flatten(0, 1)


class HulkAnchors(nn.Module):
    """The reference points of each task: buffers `{task}` of shape (A, 3), fixed, part of the checkpoint."""

    def __init__(self, tasks: list[HulkTask]):
        super().__init__()
        self.sides = {task.name: task.anchors_per_side for task in tasks}
        for task in tasks:
            self.register_buffer(task.name, torch.empty(task.anchors_per_side**2, 3))
        self.reset_anchors()

    @torch.no_grad()
    def reset_anchors(self) -> None:
        """Put all points on their grid; construction on the meta device leaves them without values."""
        for name, side in self.sides.items():
            points = getattr(self, name)
            if points.device.type != "meta":
                init.copy_(points, anchor_grid(side))

    def forward(self, task: str) -> torch.Tensor:
        """Look up the points of a task: shape (A, 3)."""
        return getattr(self, task)


class HulkBoxHead(nn.Module):
    """Boxes as two points each, relative to the reference point of their query, and how like each label they are.

    Args:
        config: A `HulkConfig`.
        tasks: The tasks the head serves; label features and anchors belong to a task.
    """

    # Rounded to bfloat16, a place would be off by several pixels.
    _keep_in_fp32_modules_strict = ("anchors",)

    def __init__(self, config, tasks: list[HulkTask]):
        super().__init__()
        width = config.decoder_config.hidden_size
        self.query_proj = nn.Linear(width, width, bias=False)
        self.label_proj = nn.Linear(config.text_feature_size, width, bias=False)
        self.label_features = HulkLabelFeatures(tasks, config.text_feature_size)
        self.logit_scale = nn.Parameter(torch.full((1,), _LOGIT_SCALE))
        self.logit_bias = nn.Parameter(torch.zeros(1))
        self.mlp = nn.ModuleList([nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 6)])
        self.anchors = HulkAnchors(tasks)

    @torch.no_grad()
    def reset_logit_parameters(self) -> None:
        """Give scale and bias of the logits their initial values."""
        init.constant_(self.logit_scale, _LOGIT_SCALE)
        init.zeros_(self.logit_bias)

    def score(self, query_states: torch.Tensor, task: str) -> torch.Tensor:
        """Compare every query with every label.

        Args:
            query_states: Shape (..., Q, d).
            task: Task name.

        Returns:
            Logits (..., Q, K), scaled and shifted cosine similarities.
        """
        features = self.label_features(task).to(self.label_proj.weight.dtype)
        labels = F.normalize(self.label_proj(features), dim=-1)
        return self.logit_scale * (F.normalize(self.query_proj(query_states), dim=-1) @ labels.T) + self.logit_bias

    def references(self, task: str, num_queries: int) -> torch.Tensor:
        """Where each query looks from: the logits of its anchor, shape (Q, 3), float32.

        Args:
            task: Task name.
            num_queries: Q; query q belongs to anchor q modulo A.
        """
        anchors = self.anchors(task).float()
        places = torch.log(anchors.clamp(min=_LOGIT_CLAMP) / (1.0 - anchors).clamp(min=_LOGIT_CLAMP))
        return places.repeat(num_queries // len(anchors), 1)

    def points(self, query_states: torch.Tensor, task: str) -> torch.Tensor:
        """The lower and the upper corner of the box of each query.

        Args:
            query_states: Shape (..., Q, d).
            task: Task name.

        Returns:
            Shape (..., Q, 2, 3), float32: lower and upper x, y (0..1 of the picture without its padding) and z, which
            means nothing for boxes in a picture.
        """
        first, second, third = self.mlp
        offsets = third(F.relu(second(F.relu(first(query_states))))).float().unflatten(-1, (2, 3))
        points = (offsets + self.references(task, query_states.shape[-2])[:, None]).sigmoid()
        # Which of the two is lower is decided for each axis.
        return torch.stack([points.amin(dim=-2), points.amax(dim=-2)], dim=-2)

    def forward(self, query_states: torch.Tensor, task: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Read labels and boxes from query states.

        Args:
            query_states: Shape (..., Q, d).
            task: Task name.

        Returns:
            Logits (..., Q, K), and boxes (..., Q, 4): center x, center y, width and height, 0..1 of the picture
            without its padding, float32.
        """
        corners = self.points(query_states, task)[..., :2].flatten(-2)
        return self.score(query_states, task), corners_to_centers(corners)


__all__ = ["HulkAnchors", "HulkBoxHead", "anchor_grid"]
