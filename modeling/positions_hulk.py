# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fixed sin-cos position tables, on a grid of their own size or stretched from 14x14 as in the released weights."""

import torch
from torch import nn
from transformers import initialization as init

STRETCHED_FROM = 14  # side of the MAE pre-training grid (224 px / 16 px)


def sincos_1d(dim: int, positions: torch.Tensor) -> torch.Tensor:
    """Sin-cos features of scalar positions: all sines first, then all cosines.

    Args:
        dim: Even number of features.
        positions: Shape (N,), any float dtype; the products are formed in that dtype.

    Returns:
        Shape (N, dim), dtype of `positions`.
    """
    exponents = torch.arange(dim // 2, dtype=positions.dtype, device=positions.device) / (dim / 2)
    angles = positions[:, None] * (1.0 / 10000**exponents)[None]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def sincos_2d(dim: int, height: int, width: int) -> torch.Tensor:
    """Sin-cos features of a grid, row-major: the first half of the channels codes the column, the second the row.

    Returns:
        Shape (height * width, dim), float32.
    """
    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float32), torch.arange(width, dtype=torch.float32), indexing="ij"
    )
    return torch.cat([sincos_1d(dim // 2, columns.flatten()), sincos_1d(dim // 2, rows.flatten())], dim=1)


def stretched_sincos_2d(dim: int, height: int, width: int) -> torch.Tensor:
    """The 14x14 sin-cos grid resized bicubically (no antialiasing) to (height, width), row-major.

    Returns:
        Shape (height * width, dim), float32.
    """
    table = sincos_2d(dim, STRETCHED_FROM, STRETCHED_FROM).T.reshape(1, dim, STRETCHED_FROM, STRETCHED_FROM)
    table = nn.functional.interpolate(table, size=(height, width), mode="bicubic", align_corners=False)
    return table.flatten(2)[0].T.contiguous()


class HulkGridPositions(nn.Module):
    """Position tables of the grids a model was configured for; other grids are computed when they come.

    The tables are buffers outside the checkpoint: they follow from their formula.
    """

    def __init__(self, dim: int, grids: list[tuple[int, int]], stretched: bool = True):
        super().__init__()
        self.dim = dim
        self.stretched = stretched
        self.grids = sorted(set(grids))
        for height, width in self.grids:
            self.register_buffer(_table_name(height, width), torch.empty(height * width, dim), persistent=False)
        self.reset_tables()

    def compute_table(self, height: int, width: int) -> torch.Tensor:
        """The table of one grid: shape (height * width, dim), float32."""
        formula = stretched_sincos_2d if self.stretched else sincos_2d
        return formula(self.dim, height, width)

    @torch.no_grad()
    def reset_tables(self) -> None:
        """Fill all tables; needed after construction on the meta device, which leaves them without values."""
        for height, width in self.grids:
            table = getattr(self, _table_name(height, width))
            if table.device.type != "meta":
                init.copy_(table, self.compute_table(height, width))

    def forward(self, height: int, width: int) -> torch.Tensor:
        """Look up or compute the table of a grid: shape (height * width, dim)."""
        if (height, width) in self.grids:
            return getattr(self, _table_name(height, width))
        with torch.device("cpu"):
            table = self.compute_table(height, width)
        reference = next(self.buffers(), None)
        return table if reference is None else table.to(reference.device)


def _table_name(height: int, width: int) -> str:
    return f"table_{height}x{width}"


__all__ = ["HulkGridPositions", "sincos_1d", "sincos_2d", "stretched_sincos_2d"]
