# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Fixed sin-cos position tables: of grids (of patches, or of frames and joints) and of sequences."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn
from transformers import initialization as init

STRETCHED_FROM = 14  # side of the MAE pre-training grid (224 px / 16 px)
_BICUBIC = -0.75  # the coefficient of torch's bicubic interpolation


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


def bicubic_weights(source: int, sizes: torch.Tensor, length: int) -> torch.Tensor:
    """What `resize_table` does along one axis, as matrices: to a size of its own for each picture of a batch.

    Sizes are data here and not shapes, so that a batch of any sizes is one graph.

    Args:
        source: Rows (or columns) of the table.
        sizes: Shape (B,), how many each picture wants.
        length: How many each picture gets; those beyond its size mean nothing.

    Returns:
        Shape (B, length, source), float32.
    """
    # Row i of n lies at (2i + 1) * source / 2n - 1/2. In whole numbers: the places of a large table leave a float few
    # digits behind the point.
    whole = 2 * sizes.clamp(min=1)[:, None]
    places = (2 * torch.arange(length, device=sizes.device) + 1) * source - whole // 2
    first = torch.div(places, whole, rounding_mode="floor")
    offset = (places - first * whole).float() / whole
    taps = first[..., None] + torch.arange(-1, 3, device=sizes.device)
    distance = torch.stack([offset + 1, offset, 1 - offset, 2 - offset], dim=-1)
    near = ((_BICUBIC + 2) * distance - (_BICUBIC + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * _BICUBIC - 4 * _BICUBIC
    weights = torch.where(distance <= 1, near, far)
    # Beyond the borders the outermost row is repeated.
    hits = taps.clamp(0, source - 1)[..., None] == torch.arange(source, device=sizes.device)
    return (weights[..., None] * hits).sum(dim=-2)


# How a table is computed where it is not stored. `stretched` is what the released weights have.
GRID_FORMULAS: dict[str, Callable[[int, int, int], torch.Tensor]] = {
    "stretched": stretched_sincos_2d,
    "native": sincos_2d,
    "joints": joints_sincos,
}


class HulkGridPositions(nn.Module):
    """Position tables of the grids a model was configured for.

    Tables with a formula are buffers outside the checkpoint, one per grid, and other grids are computed when they
    come. Tables that follow no formula are `stored` in the checkpoint as `{task}.weight`: tasks of one grid may have
    different ones. Other grids are then resized from the table of the task.

    Args:
        dim: Width of the tokens.
        grids: Name of a task -> (rows, columns) of its table.
        kind: A name in `GRID_FORMULAS`, or `stored`.
    """

    def __init__(self, dim: int, grids: Mapping[str, tuple[int, int]], kind: str = "stretched"):
        super().__init__()
        self.dim = dim
        self.kind = kind
        self.grids = dict(grids)
        if kind == "stored":
            for task, (rows, columns) in self.grids.items():
                self.add_module(task, nn.Embedding(rows * columns, dim).requires_grad_(False))
        else:
            for rows, columns in sorted(set(self.grids.values())):
                self.register_buffer(f"{rows}x{columns}", torch.empty(rows * columns, dim), persistent=False)
        self.reset_tables()

    @torch.no_grad()
    def reset_tables(self) -> None:
        """Fill all computed tables; construction on the meta device leaves them without values."""
        for rows, columns in [] if self.kind == "stored" else set(self.grids.values()):
            table = getattr(self, f"{rows}x{columns}")
            if table.device.type != "meta":
                init.copy_(table, GRID_FORMULAS[self.kind](self.dim, rows, columns))

    def forward(self, rows: int, columns: int, task: str) -> torch.Tensor:
        """Look up, compute or resize the table of a grid: shape (rows * columns, dim).

        Args:
            rows: Rows of the grid.
            columns: Its columns.
            task: Name of the task; where tables follow from a formula they are the same for all.
        """
        grid = (rows, columns)
        if self.kind == "stored":
            table = getattr(self, task).weight
            return table if self.grids[task] == grid else resize_table(table, self.grids[task], grid)
        if grid in self.grids.values():
            return getattr(self, f"{rows}x{columns}")
        with torch.device("cpu"):
            table = GRID_FORMULAS[self.kind](self.dim, rows, columns)
        reference = next(self.buffers(), None)
        return table if reference is None else table.to(reference.device)

    def resized(
        self,
        base: tuple[int, int],
        grid: tuple[int, int],
        task: str,
        valid: torch.Tensor | None = None,
        twice: bool = True,
    ) -> torch.Tensor:
        """The table of a base grid resized to the grid of a batch, and to the part of it that each picture fills.

        This is how the release places pictures of different sizes in one padded batch (spec 2.2).

        Args:
            base: Grid of the table to start from.
            grid: (rows, columns) of the padded batch.
            task: Name of the task.
            valid: Shape (B, 2), (rows, columns) that each picture fills, from the top left; None if all fill the grid.
            twice: Resize the table of the batch once more for each picture, as released; otherwise straight from the
                base table, which makes the result independent of the padding.

        Returns:
            Shape (rows * columns, dim), or (B, rows * columns, dim) where `valid` is given.
        """
        table = self(*base, task) if base == grid else resize_table(self(*base, task), base, grid)
        if valid is None:
            return table
        source, source_grid = (table, grid) if twice else (self(*base, task), base)
        rows, columns = (bicubic_weights(source_grid[axis], valid[:, axis], grid[axis]) for axis in (0, 1))
        parts = torch.einsum("bcj,ijd->bicd", columns, source.float().reshape(*source_grid, -1))
        parts = torch.einsum("bri,bicd->brcd", rows, parts)
        steps = [torch.arange(length, device=valid.device) for length in grid]
        filled = (steps[0][:, None] < valid[:, 0, None, None]) & (steps[1] < valid[:, 1, None, None])
        return torch.where(filled[..., None], parts, table.reshape(*grid, -1)).flatten(1, 2)


class HulkSequencePositions(nn.Module):
    """Position tables of sequences, derived from their formula or stored; see `HulkGridPositions`.

    Args:
        dim: Width of the tokens.
        lengths: Name of a task -> length of its table.
        kind: `derived` or `stored`.
    """

    def __init__(self, dim: int, lengths: Mapping[str, int], kind: str = "derived"):
        super().__init__()
        self.dim = dim
        self.kind = kind
        self.lengths = dict(lengths)
        if kind == "stored":
            for task, length in self.lengths.items():
                self.add_module(task, nn.Embedding(length, dim).requires_grad_(False))
        else:
            for length in sorted(set(self.lengths.values())):
                self.register_buffer(f"{length}", torch.empty(length, dim), persistent=False)
        self.reset_tables()

    @torch.no_grad()
    def reset_tables(self) -> None:
        """Fill all computed tables; construction on the meta device leaves them without values."""
        for length in [] if self.kind == "stored" else set(self.lengths.values()):
            table = getattr(self, f"{length}")
            if table.device.type != "meta":
                init.copy_(table, sequence_sincos(self.dim, length))

    def forward(self, task: str) -> torch.Tensor:
        """Look up the table of a task: shape (length, dim)."""
        return getattr(self, task).weight if self.kind == "stored" else getattr(self, f"{self.lengths[task]}")


__all__ = [
    "GRID_FORMULAS",
    "HulkGridPositions",
    "HulkSequencePositions",
    "bicubic_weights",
    "joints_sincos",
    "resize_table",
    "sequence_sincos",
    "sincos_1d",
    "sincos_2d",
    "stretched_sincos_2d",
]
