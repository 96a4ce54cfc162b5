# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Where context and query tokens of the decoder stand, and what the vertices of a body may see (spec 2.7)."""

import torch
from torch import nn

from .positions_hulk import HulkGridPositions, HulkSequencePositions, resize_table, sincos_1d
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
        images = [self.base_grid(task) for task in tasks if task.input == "image"]
        skeletons = [skeleton_grid for task in tasks if task.input == "skeleton"]
        self.grids = HulkGridPositions(width, [*images, *skeletons], config.grid_positions)
        lengths = {"label": "num_labels", "token": "max_length"}
        self.sequences = HulkSequencePositions(
            width,
            [getattr(task, lengths[task.queries]) for task in tasks if task.queries in lengths],
            config.sequence_positions,
        )
        bodies = [task for task in tasks if task.queries == "body"]
        if bodies:
            # Bodies are placed by formula, whatever the tables of pictures are.
            self.body_grid = HulkGridPositions(width, [(BODY_GRID, BODY_GRID)])
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
        grid: tuple[int, int],
        num_queries: int,
        first_query: int = 0,
        valid: list[tuple[int, int]] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | tuple[torch.Tensor, torch.Tensor] | None]:
        """Look up the places.

        Args:
            task: The task.
            grid: (rows, columns) of the context tokens.
            num_queries: Q.
            first_query: Place of the first query, for words.
            valid: (rows, columns) of tokens that each picture fills, where pictures of different sizes are padded.

        Returns:
            Context places (P, d) or (B, P, d), and query places: (Q, d); None for queries at the places of the
            patches; for a body two of shape (J + V, d), flat and depth.
        """
        if task.queries == "anchor":
            base, side = self.base_grid(task), task.anchors_per_side
            anchors = resize_table(self.grids(*base), base, (side, side)).repeat(task.anchor_patterns, 1)
            return self.grids.resized(base, grid, valid, self.twice), anchors
        context = self.grids(*grid)
        if task.queries == "patch":
            return context, None
        if task.queries == "body":
            return context, self._body_places(task)
        length = task.num_labels if task.queries == "label" else task.max_length
        return context, self.sequences(length)[first_query : first_query + num_queries]

    def _body_places(self, task: HulkTask) -> tuple[torch.Tensor, torch.Tensor]:
        body, width = self.bodies[task.name], self.body_grid.dim
        depth = sincos_1d(width, torch.arange(_DEPTH_FROM, dtype=torch.float64, device=body.flat.device)).float()
        depth = nn.functional.interpolate(depth.T[None], size=BODY_GRID, mode="linear", align_corners=False)[0].T
        return self.body_grid(BODY_GRID, BODY_GRID)[body.flat], depth[body.depth]

    def body_mask(self, task: HulkTask, num_context: int) -> torch.Tensor:
        """What every token may see where the queries are a body, shape (1, 1, P + Q, P + Q).

        Everything, except that a vertex sees only vertices next to it (and context, camera and joints).
        """
        adjacency = self.bodies[task.name].adjacency
        before = num_context + 1 + task.num_labels
        return nn.functional.pad(adjacency, (before, 0, before, 0), value=True)[None, None]


__all__ = ["BODY_GRID", "HulkBodyPlaces", "HulkQueryPlaces"]
