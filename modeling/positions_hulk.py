# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fixed sin-cos position tables: of grids (of patches, or of frames and joints) and of sequences."""

import math
from collections.abc import Callable

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


def joints_sincos(dim: int, frames: int, joints: int) -> torch.Tensor:
    """Sin-cos features of the joint alone, sines and cosines interleaved, the same for every frame.

    Returns:
        Shape (frames * joints, dim), float32, row-major (frame slow, joint fast).
    """
    exponents = torch.arange(0, dim, 2, dtype=torch.float32) / dim
    angles = torch.arange(joints, dtype=torch.float32)[:, None] * torch.exp(-exponents * math.log(10000.0))
    features = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
    return features.repeat(frames, 1)


def sequence_sincos(dim: int, length: int) -> torch.Tensor:
    """Sin-cos features of the positions 0, 1, ... of a sequence; products in float64, as in the release.

    Returns:
        Shape (length, dim), float32.
    """
    return sincos_1d(dim, torch.arange(length, dtype=torch.float64)).float()


def resize_table(table: torch.Tensor, grid: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    """Resize a position table bicubically, without antialiasing.

    Args:
        table: Shape (rows * columns, dim), row-major.
        grid: Its (rows, columns).
        size: The wanted (rows, columns).

    Returns:
        Shape (size[0] * size[1], dim), row-major.
    """
    image = table.T.reshape(1, -1, *grid).float()
    return nn.functional.interpolate(image, size=size, mode="bicubic", align_corners=False).flatten(2)[0].T


# How a table is computed where it is not stored. `stretched` is what the released weights have.
GRID_FORMULAS: dict[str, Callable[[int, int, int], torch.Tensor]] = {
    "stretched": stretched_sincos_2d,
    "native": sincos_2d,
    "joints": joints_sincos,
}


class HulkGridPositions(nn.Module):
    """Position tables of the grids a model was configured for.

    Tables with a formula are buffers outside the checkpoint, and other grids are computed when they come. Tables that
    follow no formula are `stored` in the checkpoint as `{rows}x{columns}.weight`; other grids are then resized from
    the stored one that is nearest in size.

    Args:
        dim: Width of the tokens.
        grids: (rows, columns) of each table.
        kind: A name in `GRID_FORMULAS`, or `stored`.
    """

    def __init__(self, dim: int, grids: list[tuple[int, int]], kind: str = "stretched"):
        super().__init__()
        self.dim = dim
        self.kind = kind
        self.grids = sorted(set(grids))
        for rows, columns in self.grids:
            if kind == "stored":
                self.add_module(f"{rows}x{columns}", nn.Embedding(rows * columns, dim).requires_grad_(False))
            else:
                self.register_buffer(f"{rows}x{columns}", torch.empty(rows * columns, dim), persistent=False)
        self.reset_tables()

    @torch.no_grad()
    def reset_tables(self) -> None:
        """Fill all computed tables; construction on the meta device leaves them without values."""
        for rows, columns in [] if self.kind == "stored" else self.grids:
            table = getattr(self, f"{rows}x{columns}")
            if table.device.type != "meta":
                init.copy_(table, GRID_FORMULAS[self.kind](self.dim, rows, columns))

    def forward(self, rows: int, columns: int) -> torch.Tensor:
        """Look up, compute or resize the table of a grid: shape (rows * columns, dim)."""
        if (rows, columns) in self.grids:
            table = getattr(self, f"{rows}x{columns}")
            return table.weight if self.kind == "stored" else table
        if self.kind == "stored":
            nearest = min(self.grids, key=lambda grid: abs(grid[0] * grid[1] - rows * columns))
            return resize_table(self(*nearest), nearest, (rows, columns))
        with torch.device("cpu"):
            table = GRID_FORMULAS[self.kind](self.dim, rows, columns)
        reference = next(self.buffers(), None)
        return table if reference is None else table.to(reference.device)

    def resized(
        self,
        base: tuple[int, int],
        grid: tuple[int, int],
        valid: list[tuple[int, int]] | None = None,
        twice: bool = True,
    ) -> torch.Tensor:
        """The table of a base grid resized to the grid of a batch, and to the part of it that each picture fills.

        This is how the release places pictures of different sizes in one padded batch (spec 2.2).

        Args:
            base: Grid of the table to start from.
            grid: (rows, columns) of the padded batch.
            valid: (rows, columns) that each picture fills, from the top left; None if all fill the grid.
            twice: Resize the table of the batch once more for each picture, as released; otherwise straight from the
                base table, which makes the result independent of the padding.

        Returns:
            Shape (rows * columns, dim), or (B, rows * columns, dim) where `valid` is given.
        """
        table = self(*base) if base == grid else resize_table(self(*base), base, grid)
        if valid is None:
            return table
        batch = table.reshape(1, *grid, -1).repeat(len(valid), 1, 1, 1)
        source, source_grid = (table, grid) if twice else (self(*base), base)
        for size in sorted(set(valid)):
            rows, columns = size
            part = (source if size == source_grid else resize_table(source, source_grid, size)).view(rows, columns, -1)
            for index in [index for index, other in enumerate(valid) if other == size]:
                batch[index, :rows, :columns] = part
        return batch.flatten(1, 2)


class HulkSequencePositions(nn.Module):
    """Position tables of sequences, computed or stored, under their length; see `HulkGridPositions`.

    Args:
        dim: Width of the tokens.
        lengths: Length of each table.
        kind: `sincos` or `stored`.
    """

    def __init__(self, dim: int, lengths: list[int], kind: str = "sincos"):
        super().__init__()
        self.dim = dim
        self.kind = kind
        self.lengths = sorted(set(lengths))
        for length in self.lengths:
            if kind == "stored":
                self.add_module(f"{length}", nn.Embedding(length, dim).requires_grad_(False))
            else:
                self.register_buffer(f"{length}", torch.empty(length, dim), persistent=False)
        self.reset_tables()

    @torch.no_grad()
    def reset_tables(self) -> None:
        """Fill all computed tables; construction on the meta device leaves them without values."""
        for length in [] if self.kind == "stored" else self.lengths:
            table = getattr(self, f"{length}")
            if table.device.type != "meta":
                init.copy_(table, sequence_sincos(self.dim, length))

    def forward(self, length: int) -> torch.Tensor:
        """Look up the table of a length the model was configured for: shape (length, dim)."""
        table = getattr(self, f"{length}")
        return table.weight if self.kind == "stored" else table


__all__ = [
    "GRID_FORMULAS",
    "HulkGridPositions",
    "HulkSequencePositions",
    "joints_sincos",
    "resize_table",
    "sequence_sincos",
    "sincos_1d",
    "sincos_2d",
    "stretched_sincos_2d",
]
