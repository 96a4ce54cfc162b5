# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Where context and query tokens of the decoder stand, and what the vertices of a body may see (spec 2.7)."""

import torch
from torch import nn
from transformers import initialization as init

from .positions_hulk import HulkGridPositions, HulkSequencePositions, resize_table
from .tasks_hulk import HulkTask

BODY_GRID = 100  # cells per axis of the box that body templates are sorted into
_DEPTH_FROM = 14  # positions of the sequence that the depth table is stretched from


class HulkBodyPlaces(nn.Module):
    """The places of the joints and coarse vertices of one body model, and which vertices are neighbours.

    Buffers: `flat` (J + V,), the cell column + 100 * row of each point; `depth` (J + V,), its depth cell; `adjacency`
    (V, V), whether two vertices may see each other. They belong to the body model and not to Hulk: those of a
    restricted body are not part of a checkpoint, and have to be set (`HulkForMeshRecovery.set_body`).

    Args:
        body: The field `body` of a mesh task.
        num_joints: J.
    """

    def __init__(self, body: dict, num_joints: int):
        super().__init__()
        vertices = body["vertices"][0]
        stored = not body.get("restricted", False)
        self.register_buffer("flat", torch.zeros(num_joints + vertices, dtype=torch.long), persistent=stored)
        self.register_buffer("depth", torch.zeros(num_joints + vertices, dtype=torch.long), persistent=stored)
        self.register_buffer("adjacency", torch.zeros(vertices, vertices, dtype=torch.bool), persistent=stored)
        self._filled = False

    @torch.no_grad()
    def reset_tables(self) -> None:
        """Empty all tables: construction on the meta device leaves arbitrary values in those that are not stored."""
        for table in self.buffers(recurse=False):
            init.zeros_(table)

    def check(self, task: HulkTask) -> None:
        """Refuse to go on with empty tables (not while compiling, which must not look at values).

        Raises:
            ValueError: No body model was set.
        """
        if self._filled or torch.compiler.is_compiling() or self.adjacency.is_meta:
            return
        # Every vertex of a body sees itself.
        self._filled = bool(self.adjacency.diagonal().all())
        if not self._filled:
            raise ValueError(
                f"task {task.name!r}: no body model is set. Places and neighbours of its vertices, joint regressor "
                "and triangles belong to the body model; those under a licence of their own (SMPL) are not part of a "
                "checkpoint. Put them in with set_body(task, body): hulk_hf.conversion.body_tables builds a body from "
                "your SMPL files, hulk_hf.synthetic.open_body holds an open one"
            )


class HulkQueryPlaces(nn.Module):
    """Position tables of context and queries, as far as the tasks of a model need them.

    Args:
        config: A `HulkDecoderConfig`.
        tasks: The tasks.
        patch_size: Side of an image patch in pixels.
        skeleton_grid: (rows, columns) of the tokens of a skeleton sequence.
        twice: See `HulkGridPositions.resized`.
    """

    def __init__(
        self, config, tasks: list[HulkTask], patch_size: int, skeleton_grid: tuple[int, int], twice: bool = True
    ):
        super().__init__()
        width = config.hidden_size
        self.patch_size = patch_size
        self.twice = twice
        grids = {task.name: self.base_grid(task) if task.input == "image" else skeleton_grid for task in tasks}
        self.grids = HulkGridPositions(width, grids, config.grid_positions)
        lengths = {"label": lambda task: task.num_labels, "token": lambda task: task.max_length}
        if config.query_positions == "stored":
            # Where they follow from the rule, queries of dense tasks stand where the patches are.
            lengths["patch"] = lambda task: grids[task.name][0] * grids[task.name][1]
        places = {task.name: lengths[task.queries](task) for task in tasks if task.queries in lengths}
        self.queries = HulkSequencePositions(width, places, config.query_positions)
        bodies = [task for task in tasks if task.queries == "body"]
        if bodies:
            # Bodies are placed by formula, whatever the tables of pictures are.
            self.body_grid = HulkGridPositions(width, {"body": (BODY_GRID, BODY_GRID)})
            self.body_depth = HulkSequencePositions(width, {"body": _DEPTH_FROM})
            self.bodies = nn.ModuleDict({task.name: HulkBodyPlaces(task.body, task.num_labels) for task in bodies})

    def base_grid(self, task: HulkTask) -> tuple[int, int]:
        """(rows, columns) of patches of a picture of the task's size."""
        return task.image_size[0] // self.patch_size, task.image_size[1] // self.patch_size

    def num_queries(self, task: HulkTask, grid: tuple[int, int]) -> int:
        """How many queries a task has; for words this is not known beforehand."""
        counts = {
            "patch": lambda: grid[0] * grid[1],
            "label": lambda: task.num_labels,
            "anchor": lambda: task.anchor_patterns * task.anchors_per_side**2,
            "body": lambda: 1 + task.num_labels + task.body["vertices"][0],
        }
        return counts[task.queries]()

    def forward(
        self,
        task: HulkTask,
        grid: tuple[int, int] | None,
        num_queries: int,
        query_positions: torch.Tensor | None = None,
        valid: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor | None, torch.Tensor | tuple[torch.Tensor, torch.Tensor] | None]:
        """Look up the places.

        Args:
            task: The task.
            grid: (rows, columns) of the context tokens; None where there are only words.
            num_queries: Q.
            query_positions: Shape (Q,) or (B, Q), which place of its sequence each word has; None: 0, 1, ...
            valid: Shape (B, 2), (rows, columns) of tokens that each picture fills, where pictures of different sizes
                are padded.

        Returns:
            Context places (P, d) or (B, P, d), None without a grid; and query places: (Q, d), or (B, Q, d) for words
            with places of their own; None for queries at the places of the patches; for a body two of shape
            (J + V, d), flat and depth.
        """
        if task.queries == "anchor":
            base, side = self.base_grid(task), task.anchors_per_side
            anchors = resize_table(self.grids(*base, task.name), base, (side, side)).repeat(task.anchor_patterns, 1)
            return self.grids.resized(base, grid, task.name, valid, self.twice), anchors
        context = None if grid is None else self.grids(*grid, task.name)
        if task.queries == "patch":
            return context, self._patch_places(task, grid)
        if task.queries == "body":
            return context, self._body_places(task)
        table = self.queries(task.name)
        return context, table[:num_queries] if query_positions is None else table[query_positions]

    def _patch_places(self, task: HulkTask, grid: tuple[int, int]) -> torch.Tensor | None:
        """Places of dense queries where they are not those of the patches."""
        if self.queries.kind != "stored":
            return None
        base, table = self.base_grid(task), self.queries(task.name)
        return table if base == grid else resize_table(table, base, grid)

    def _body_places(self, task: HulkTask) -> tuple[torch.Tensor, torch.Tensor]:
        body = self.bodies[task.name]
        body.check(task)
        depth = self.body_depth("body").T[None]
        depth = nn.functional.interpolate(depth, size=BODY_GRID, mode="linear", align_corners=False)[0].T
        return self.body_grid(BODY_GRID, BODY_GRID, "body")[body.flat], depth[body.depth]

    def body_mask(self, task: HulkTask, num_context: int) -> torch.Tensor:
        """What every token may see where the queries are a body, shape (1, 1, P + Q, P + Q).

        Everything, except that a vertex sees only vertices next to it (and context, camera and joints).
        """
        adjacency = self.bodies[task.name].adjacency
        before = num_context + 1 + task.num_labels
        return nn.functional.pad(adjacency, (before, 0, before, 0), value=True)[None, None]


__all__ = ["BODY_GRID", "HulkBodyPlaces", "HulkQueryPlaces"]
