# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Tokenizers: from a modality to the tokens of the shared encoder (Paper, Sec. 3.2)."""

import torch
from torch import nn

from .positions_hulk import HulkGridPositions


class HulkImageTokenizer(nn.Module):
    """Cuts a picture into patches: convolution, fixed position table, learned modality embedding.

    Args:
        config: A `HulkVisionConfig`.
        image_sizes: (height, width) in pixels of the inputs whose position tables are kept ready.
    """

    def __init__(self, config, image_sizes: list[tuple[int, int]]):
        super().__init__()
        self.patch_size = config.patch_size
        self.projection = nn.Conv2d(
            config.num_channels, config.hidden_size, kernel_size=config.patch_size, stride=config.patch_size
        )
        self.modality_embedding = nn.Embedding(1, config.hidden_size)
        grids = [(height // config.patch_size, width // config.patch_size) for height, width in image_sizes]
        if config.image_positions == "stored":
            self.position_tables = nn.ModuleDict(
                {f"{h}x{w}": nn.Embedding(h * w, config.hidden_size) for h, w in sorted(set(grids))}
            ).requires_grad_(False)
        else:
            self.positions = HulkGridPositions(
                config.hidden_size, grids, stretched=config.image_positions == "stretched"
            )

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

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Tokenize normalised pictures.

        Args:
            pixel_values: Shape (B, 3, H, W), RGB, ImageNet mean and standard deviation.

        Returns:
            Shape (B, H/16 * W/16, C), row-major.
        """
        grid = self.grid(pixel_values)
        tokens = self.projection(pixel_values.to(self.projection.weight.dtype)).flatten(2).transpose(1, 2)
        return tokens + (self._table(*grid) + self.modality_embedding.weight).to(tokens.dtype)

    def _table(self, rows: int, columns: int) -> torch.Tensor:
        if hasattr(self, "positions"):
            return self.positions(rows, columns)
        if f"{rows}x{columns}" not in self.position_tables:
            raise ValueError(
                f"pixel_values: this checkpoint stores position tables for the grids {list(self.position_tables)}, "
                f"got a grid of {rows}x{columns} patches"
            )
        return self.position_tables[f"{rows}x{columns}"].weight


__all__ = ["HulkImageTokenizer"]
