# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers: from a modality to the tokens of the shared encoder (Paper, Sec. 3.2)."""

import torch
from torch import nn
from torch.nn import functional as F

from .positions_hulk import HulkGridPositions


class HulkImageTokenizer(nn.Module):
    """Cuts a picture into patches: convolution, fixed position table, learned modality embedding.

    Args:
        config: A `HulkVisionConfig`.
        image_sizes: Name of a task -> (height, width) in pixels of the inputs whose position table is kept ready.
    """

    def __init__(self, config, image_sizes: dict[str, tuple[int, int]]):
        super().__init__()
        self.patch_size = config.patch_size
        self.mask_padding = config.mask_padding
        self.projection = nn.Conv2d(
            config.num_channels, config.hidden_size, kernel_size=config.patch_size, stride=config.patch_size
        )
        self.modality_embedding = nn.Embedding(1, config.hidden_size)
        grids = {task: (h // config.patch_size, w // config.patch_size) for task, (h, w) in image_sizes.items()}
        self.position_tables = HulkGridPositions(config.hidden_size, grids, config.image_positions)

    def grid(self, pixel_values: torch.Tensor) -> tuple[int, int]:
        """The (rows, columns) of patches of a batch of pictures (B, 3, H, W).

        Raises:
            ValueError: The shape is not (B, channels, H, W), a side is no multiple of the patch size, or the values
                are whole numbers, which normalised pictures never are.
        """
        if not pixel_values.is_floating_point():
            raise ValueError(
                f"pixel_values: expected normalised pictures of a floating dtype, got {pixel_values.dtype}; the image "
                "processor scales and normalises pictures"
            )
        channels = self.projection.in_channels
        if pixel_values.ndim != 4 or pixel_values.shape[1] != channels:
            raise ValueError(
                f"pixel_values: expected shape (batch, {channels}, height, width), got {tuple(pixel_values.shape)}"
            )
        height, width = pixel_values.shape[-2:]
        if height % self.patch_size or width % self.patch_size or not height or not width:
            raise ValueError(
                f"pixel_values: height and width must be multiples of the patch size {self.patch_size}, "
                f"got {height}x{width}"
            )
        return height // self.patch_size, width // self.patch_size

    def forward(
        self,
        pixel_values: torch.Tensor,
        task: str,
        base: tuple[int, int] | None = None,
        valid: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Tokenize normalised pictures.

        Args:
            pixel_values: Shape (B, 3, H, W), RGB, ImageNet mean and standard deviation; padding is 0.
            task: Name of the task; matters only where position tables are stored.
            base: Grid whose position table is resized to that of the pictures; None: they have a table of their own.
            valid: Shape (B, 2), (rows, columns) of tokens that each picture fills, where pictures of different sizes
                are padded.

        Returns:
            Shape (B, H/16 * W/16, C), row-major.
        """
        grid = self.grid(pixel_values)
        tokens = self.projection(pixel_values.to(self.projection.weight.dtype)).flatten(2).transpose(1, 2)
        if base is None:
            table = self.position_tables(*grid, task)
        else:
            table = self.position_tables.resized(base, grid, task, valid, twice=not self.mask_padding)
        return tokens + (table + self.modality_embedding.weight).to(tokens.dtype)


class HulkJointFeatures(nn.Module):
    """Frozen features of the names of the joints: buffers `{task}` of shape (V, C).

    Each task has its own, as in the release, where they are likely to be the same. Without a checkpoint they are zero.
    """

    def __init__(self, tasks: list[str], num_joints: int, hidden_size: int):
        super().__init__()
        for task in tasks:
            self.register_buffer(task, torch.zeros(num_joints, hidden_size))

    def forward(self, task: str) -> torch.Tensor:
        """Look up the features of a task: shape (V, C)."""
        return getattr(self, task)


class HulkSkeletonTokenizer(nn.Module):
    """Cuts sequences of 2-D joints into patches of frames and joints, and adds what the joints are called.

    The kernel has a channel for depth, which 2-D skeletons do not use; it is kept as it was released.

    Args:
        config: A `HulkSkeletonConfig`.
        hidden_size: Width C of the tokens.
        tasks: Names of the tasks that read skeletons.
    """

    def __init__(self, config, hidden_size: int, tasks: list[str]):
        super().__init__()
        self.config = config
        frames, joints = config.patch_size
        self.projection = nn.Conv2d(4, hidden_size, kernel_size=(frames, joints), stride=(frames, joints))
        self.layernorm = nn.LayerNorm(hidden_size, eps=config.layer_norm_eps)
        if config.joint_text:
            self.joint_text_mixing = nn.Conv1d(1, 1, kernel_size=joints, stride=joints)
            self.joint_text_features = HulkJointFeatures(tasks, config.num_joints, hidden_size)
        self.position_tables = HulkGridPositions(hidden_size, dict.fromkeys(tasks, config.grid), config.positions)

    def check(self, skeletons: torch.Tensor) -> None:
        """Raises ValueError unless `skeletons` has the shape (B, 3, T, V) of the configuration."""
        expected = (3, self.config.num_frames, self.config.num_joints)
        if skeletons.ndim != 4 or tuple(skeletons.shape[1:]) != expected:
            raise ValueError(
                f"skeletons: expected (x, y, score), frames and joints of one person per row, shape (batch, "
                f"{', '.join(map(str, expected))}), got {tuple(skeletons.shape)}"
            )
        if not skeletons.is_floating_point():
            raise ValueError(f"skeletons: expected a floating dtype, got {skeletons.dtype}")

    def forward(self, skeletons: torch.Tensor, task: str) -> torch.Tensor:
        """Tokenize sequences.

        Args:
            skeletons: Shape (B, 3, T, V): channels x, y (normalised to about -1..1) and score; one person each.
            task: Name of the task, which has its own features of the joints' names, and may have its own positions.

        Returns:
            Shape (B, frame patches * joint patches, C), frames slow.
        """
        self.check(skeletons)
        kernel = self.projection.weight[:, [0, 1, 3]]
        stride = tuple(self.config.patch_size)
        features = F.conv2d(skeletons.to(kernel.dtype), kernel, self.projection.bias, stride=stride)
        tokens = self.layernorm(features.flatten(2).transpose(1, 2))
        tokens = F.leaky_relu(tokens, negative_slope=0.1)
        rows, columns = self.config.grid
        if self.config.joint_text:
            # One channel per feature: each is mixed over the joints of a patch with the same two weights.
            mixed = self.joint_text_mixing(self.joint_text_features(task).T[:, None].to(kernel.dtype))[:, 0].T
            tokens = tokens + mixed.repeat(rows, 1)
        return tokens + self.position_tables(rows, columns, task).to(tokens.dtype)


__all__ = ["HulkImageTokenizer", "HulkJointFeatures", "HulkSkeletonTokenizer"]
