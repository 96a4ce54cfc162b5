# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkBody: the tables of a body model, and the one way by which they come into a network.

Hulk regresses points of a body directly and needs of a body model only what does not move: where its joints and coarse
vertices stand in a template, which vertices are neighbours, how joints and finer vertices follow from coarser ones,
and the triangles between them. The released weights are made for SMPL, whose files have a licence of their own and are
not part of this package: `hulk_hf.conversion.body_tables` builds a `HulkBody` from the user's own files. The open body
of `hulk_hf.synthetic.open_body` may be stored and passed on.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import nn
from transformers import initialization as init

from .queries_hulk import BODY_GRID

# The box that templates are sorted into, (lower, upper) of x, y and z in metres, and its cells per axis.
_BOX = ((-1.0, 1.0), (-1.0, 1.0), (-0.2, 0.2))


def body_cells(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sort template points into cells, rounding towards zero as released (spec 2.7).

    Args:
        points: Shape (N, 3), metres from the pelvis: x to the right of the picture, y down, z away from the camera.

    Returns:
        Column + 100 * row, and depth cell, both (N,), whole numbers.

    Raises:
        ValueError: A point lies outside the box of 2 m by 2 m by 0.4 m around the pelvis.
    """
    cells = []
    for axis, (lower, upper) in enumerate(_BOX):
        along = (BODY_GRID * (points[:, axis] - lower) / (upper - lower)).long()
        if along.min() < 0 or along.max() >= BODY_GRID:
            raise ValueError(
                f"points: {'xyz'[axis]} runs from {points[:, axis].min():.3f} to {points[:, axis].max():.3f} m, "
                f"expected from {lower} to less than {upper}"
            )
        cells.append(along)
    return cells[0] + BODY_GRID * cells[1], cells[2]


def sparse_rows(
    rows: torch.Tensor, columns: torch.Tensor, values: torch.Tensor, num_rows: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring a sparse matrix into the form of `HulkBody.upsampling`.

    Args:
        rows: Shape (E,), row of each entry.
        columns: Shape (E,), column of each entry.
        values: Shape (E,).
        num_rows: Number of rows.

    Returns:
        Columns and values of the entries of each row, (num_rows, k) both; rows with fewer than k entries are filled
        with zeros in column 0.
    """
    order = torch.argsort(rows, stable=True)
    rows, columns, values = rows[order].long(), columns[order].long(), values[order].float()
    counts = torch.bincount(rows, minlength=num_rows)
    place = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
    shape = (num_rows, int(counts.max()))
    indices, weights = torch.zeros(shape, dtype=torch.long), torch.zeros(shape)
    indices[rows, place], weights[rows, place] = columns, values
    return indices, weights


@dataclass(frozen=True, eq=False)
class HulkBody:
    """The tables of a body model; J joints that are queries, V vertices of the coarsest level, W of the finest.

    Attributes:
        name: What the body is called.
        license: The terms of its tables, for whoever finds them in a checkpoint.
        restricted: Whether those terms keep the tables out of checkpoints.
        vertices: Number of vertices of each level, coarse to fine, one to three levels. The second follows from the
            first by a layer that the network learns, the third from the second by `upsampling`.
        flat: Shape (J + V,), the cell column + 100 * row of joints and coarse vertices, see `body_cells`.
        depth: Shape (J + V,), their depth cells.
        adjacency: Shape (V, V), whether two coarse vertices may see each other; symmetric, each sees itself.
        regressor: Shape (R, W), joints as sums of the vertices of the finest level.
        joints: J rows of `regressor`: the joints that are queries, in the order of the labels of the task.
        pelvis: Row of `regressor` that everything is measured from.
        hips: Places of the right and left hip among `joints`; joints that come from no mesh are measured from their
            middle.
        upsampling: For three levels the vertices (W, k) of the second level that each of the third is a sum of, and
            their weights (W, k), see `sparse_rows`.
        faces: For each level the triangles (F, 3) or None. The edge and normal loss needs those of the second level
            (or of the only one), drawing those of the level that is drawn.

    Raises:
        ValueError: Tables that do not fit together; the error names the field.
    """

    name: str
    license: str
    restricted: bool
    vertices: tuple[int, ...]
    flat: torch.Tensor
    depth: torch.Tensor
    adjacency: torch.Tensor
    regressor: torch.Tensor
    joints: tuple[int, ...]
    pelvis: int
    hips: tuple[int, int]
    upsampling: tuple[torch.Tensor, torch.Tensor] | None = None
    faces: tuple[torch.Tensor | None, ...] = field(default=())

    def __post_init__(self):
        if not 1 <= len(self.vertices) <= 3:
            self._refuse("vertices", "counts of one to three levels", f"{self.vertices}")
        coarse, points = self.vertices[0], len(self.joints) + self.vertices[0]
        for name, cells in (("flat", BODY_GRID**2), ("depth", BODY_GRID)):
            self._check_indices(name, getattr(self, name), (points,), cells)
        adjacency = self.adjacency
        if adjacency.shape != (coarse, coarse) or adjacency.dtype != torch.bool:
            self._refuse("adjacency", f"booleans of shape ({coarse}, {coarse})", _form(adjacency))
        if not (adjacency.diagonal().all() and torch.equal(adjacency, adjacency.T)):
            self._refuse("adjacency", "a symmetric matrix with a diagonal of True", "another one")
        regressor = self.regressor
        if regressor.ndim != 2 or regressor.shape[1] != self.vertices[-1] or not regressor.isfinite().all():
            self._refuse("regressor", f"finite numbers of shape (joints, {self.vertices[-1]})", _form(regressor))
        places: list[tuple[str, tuple[int, ...], int]] = [
            ("joints", self.joints, len(regressor)),
            ("pelvis", (self.pelvis,), len(regressor)),
            ("hips", self.hips, len(self.joints)),
        ]
        for name, indices, count in places:
            if not all(0 <= index < count for index in indices) or (name == "hips" and len(indices) != 2):
                kind = "two places" if name == "hips" else "places"
                self._refuse(name, f"{kind} below {count}", f"{getattr(self, name)}")
        self._check_upsampling()
        if len(self.faces) not in (0, len(self.vertices)):
            self._refuse("faces", f"triangles or None for each of {len(self.vertices)} levels", f"{len(self.faces)}")
        for count, faces in zip(self.vertices, self.faces, strict=False):
            if faces is not None:
                self._check_indices("faces", faces, (len(faces), 3), count)

    def _check_upsampling(self) -> None:
        if (self.upsampling is not None) != (len(self.vertices) == 3):
            got = "None" if self.upsampling is None else "a matrix"
            self._refuse("upsampling", f"a matrix for three levels and None for fewer, {self.vertices}", got)
        if self.upsampling is not None:
            indices, values = self.upsampling
            self._check_indices("upsampling", indices, (self.vertices[2], *indices.shape[1:]), self.vertices[1])
            if values.shape != indices.shape or values.ndim != 2 or not values.isfinite().all():
                self._refuse("upsampling", f"finite weights of shape {tuple(indices.shape)}", _form(values))

    def _check_indices(self, name: str, indices: torch.Tensor, shape: tuple[int, ...], count: int) -> None:
        whole = not (indices.is_floating_point() or indices.dtype == torch.bool)
        if indices.shape != shape or not whole:
            self._refuse(name, f"whole numbers of shape {shape}", _form(indices))
        if indices.numel() and not (0 <= int(indices.min()) and int(indices.max()) < count):
            self._refuse(name, f"numbers below {count}", f"{int(indices.min())} to {int(indices.max())}")

    def _refuse(self, name: str, expected: str, got: str) -> None:
        raise ValueError(f"{name}: body {self.name!r} needs {expected}, got {got}")

    def sizes(self) -> dict:
        """What a configuration has to say of this body, so that a checkpoint of it can be read: JSON types."""
        return {
            "vertices": list(self.vertices),
            "regressed_joints": len(self.regressor),
            "restricted": self.restricted,
            "upsampling": 0 if self.upsampling is None else self.upsampling[0].shape[1],
            "faces": [0 if faces is None else len(faces) for faces in self.faces],
            "name": self.name,
            "license": self.license,
        }


def _form(tensor: torch.Tensor) -> str:
    return f"shape {tuple(tensor.shape)}, {tensor.dtype}"


class HulkBodyTables(nn.Module):
    """The tables of one body model that the mesh head and its loss read.

    Buffers: `regressor` (R, W), `joints` (J,), `pelvis` (1,), `hips` (2,), for three levels `upsampling_indices` and
    `upsampling_values` (W, k), and `faces_{level}` (F, 3) where there are any. Those of a restricted body are not part
    of a checkpoint.

    Args:
        body: The field `body` of a mesh task.
        num_joints: J.
    """

    def __init__(self, body: dict, num_joints: int):
        super().__init__()
        stored = not body.get("restricted", False)
        finest, width = body["vertices"][-1], body.get("upsampling", 0)
        self.register_buffer("regressor", torch.zeros(body["regressed_joints"], finest), persistent=stored)
        for name, length in (("joints", num_joints), ("pelvis", 1), ("hips", 2)):
            self.register_buffer(name, torch.zeros(length, dtype=torch.long), persistent=stored)
        if width:
            indices = torch.zeros(finest, width, dtype=torch.long)
            self.register_buffer("upsampling_indices", indices, persistent=stored)
            self.register_buffer("upsampling_values", torch.zeros(finest, width), persistent=stored)
        for level, count in enumerate(body.get("faces", [])):
            if count:
                self.register_buffer(f"faces_{level}", torch.zeros(count, 3, dtype=torch.long), persistent=stored)

    @torch.no_grad()
    def reset_tables(self) -> None:
        """Empty all tables: construction on the meta device leaves arbitrary values in those that are not stored."""
        for table in self.buffers(recurse=False):
            init.zeros_(table)

    def set_tables(self, body: HulkBody, stored: bool) -> None:
        """Take over the tables of a body.

        Args:
            body: Of the sizes this module was made for.
            stored: Whether they become part of checkpoints.
        """
        tables = {
            "regressor": body.regressor.float(),
            "joints": torch.tensor(body.joints),
            "pelvis": torch.tensor([body.pelvis]),
            "hips": torch.tensor(body.hips),
            **{f"faces_{level}": faces.long() for level, faces in enumerate(body.faces) if faces is not None},
        }
        if body.upsampling is not None:
            tables["upsampling_indices"] = body.upsampling[0].long()
            tables["upsampling_values"] = body.upsampling[1].float()
        _register(self, tables, stored)

    def faces(self, level: int) -> torch.Tensor | None:
        """Triangles (F, 3) of a level, counted from the coarsest; None where the body has none."""
        return getattr(self, f"faces_{level}", None)

    def upsample(self, vertices: torch.Tensor) -> torch.Tensor:
        """Map vertices (B, V, 3) of the second level to those of the third, (B, W, 3)."""
        weights = self.upsampling_values.to(vertices.dtype)[..., None]
        return (vertices[:, self.upsampling_indices] * weights).sum(dim=2)

    def regress(self, vertices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Joints of a mesh.

        Args:
            vertices: Shape (B, W, 3).

        Returns:
            Joints (B, J, 3) and pelvis (B, 1, 3), where the mesh has them.
        """
        joints = self.regressor.to(vertices.dtype) @ vertices
        return joints[:, self.joints], joints[:, self.pelvis]


def set_body(model: nn.Module, task_name: str, body: HulkBody, store: bool = False) -> None:
    """Put the tables of a body model into a network; see `HulkForMeshRecovery.set_body`.

    Args:
        model: A model with a trunk `hulk` and a `mesh_head`.
        task_name: Name of one of its mesh tasks.
        body: A body of the sizes of that task.
        store: Make the tables of a restricted body part of checkpoints.

    Raises:
        ValueError: There is no such mesh task, or the body has other sizes.
    """
    task = model.hulk.resolve_task(task_name, family="mesh")
    found = (list(body.vertices), len(body.joints), len(body.regressor))
    expected = (list(task.body["vertices"]), task.num_labels, task.body["regressed_joints"])
    if found != expected:
        forms = ["{} vertices, {} joints and {} regressed joints".format(*counts) for counts in (expected, found)]
        raise ValueError(f"body: task {task.name!r} is for a body of {forms[0]}, but {body.name!r} has {forms[1]}")
    stored = store or not body.restricted
    places = model.hulk.decoder.places.bodies[task.name]
    tables = {"flat": body.flat.long(), "depth": body.depth.long(), "adjacency": body.adjacency}
    _register(places, tables, stored)
    model.mesh_head.bodies[task.name].set_tables(body, stored)
    described = {**body.sizes(), "restricted": not stored}
    model.hulk.tasks[task.name] = replace(task, body=dict(described))
    for config in (model.config, model.hulk.config):
        config.tasks[task.name]["body"] = dict(described)


def _register(module: nn.Module, tables: dict[str, torch.Tensor], stored: bool) -> None:
    """Make tables the only buffers of a module, on the device of those it has."""
    device = next(module.buffers()).device
    for name in [name for name, _ in module.named_buffers(recurse=False)]:
        delattr(module, name)
    for name, table in tables.items():
        # Copies, so that two models, or a model and its body, never share memory.
        module.register_buffer(name, table.detach().clone().to(device), persistent=stored)


__all__ = ["HulkBody", "HulkBodyTables", "body_cells", "set_body", "sparse_rows"]
