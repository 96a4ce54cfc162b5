# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A `HulkBody` for the released mesh weights, from what a user has of SMPL.

Two ways: `body_from_files` takes the neutral SMPL model and a folder of data files of the official repository;
`body_from_checkpoint` takes an official checkpoint of task 2, which holds the model, and the same folder. The result
is for `HulkForMeshRecovery.set_body`. SMPL has a licence of its own (https://smpl.is.tue.mpg.de/modellicense): these
tables are restricted, and nothing of them is part of this package.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from hulk_hf.conversion.keymap import strip_wrappers
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.conversion.smpl_files import read_adjacency, read_mesh_matrices, read_smpl_model
from hulk_hf.modeling.body_hulk import HulkBody, body_cells, sparse_rows

SMPL_LICENSE = "SMPL body model licence, https://smpl.is.tue.mpg.de/modellicense"

DATA_FILES = {
    "mesh_downsampling.npz": "matrices between the levels of the mesh",
    "J_regressor_h36m_correct.npy": "the joint regressor (17 joints of Human3.6M)",
    "smpl_431_adjmat_indices.pt": "which coarse vertices are neighbours",
    "smpl_431_adjmat_values.pt": "which coarse vertices are neighbours",
    "smpl_1723_faces.npy": "triangles of the intermediate mesh; only training needs them",
}
"""Files of the official repository that are needed beside the body model, and what is in them."""

# Joints of the regressor that are queries, in the order of the labels of `mesh-smpl`; row 0 is the pelvis.
_JOINTS = (3, 2, 1, 4, 5, 6, 16, 15, 14, 11, 12, 13, 8, 10)
_HIPS = (2, 3)
_PELVIS = 0
_TURN = 3.1416  # about x, as released: the template stands upright in a picture, whose y axis points down

_BUFFERS = "proj_sparse_labeling.loss_fn.smpl."
_REGRESSOR = f"sd.{_BUFFERS}J_regressor_h36m_correct"
_TEMPLATE = f"sd.{_BUFFERS}v_template"
_LENDABLE = ("in.mesh_U0_indices", "in.mesh_U0_values", "in.mesh_faces_1723", "in.smpl_attention_mask", _REGRESSOR)
_CELLS = ("in.smpl_pe_xy_index", "in.smpl_pe_z_index")
_POINTS = "in.smpl_ref_vertices"


def smpl_body(
    template: torch.Tensor,
    root_regressor: torch.Tensor,
    regressor: torch.Tensor,
    upsampling: torch.Tensor,
    downsampling: Sequence[torch.Tensor],
    adjacency: torch.Tensor,
    faces: tuple[torch.Tensor | None, torch.Tensor | None] = (None, None),
) -> HulkBody:
    """Build the tables of a body of the SMPL kind (spec 2.7); W vertices, M of the intermediate level, V coarse ones.

    With a pose of zeros but for a turn of the whole body, every vertex of an SMPL body moves with the root joint: the
    template is turned about it, in float32 as released, and measured from its pelvis.

    Args:
        template: Shape (W, 3), vertices of the neutral body.
        root_regressor: Shape (W,), the root joint as a sum of vertices.
        regressor: Shape (R, W), joints as sums of vertices, of which row 0 is the pelvis.
        upsampling: Sparse, shape (W, M).
        downsampling: Sparse, shapes (M, W) and (V, M); they select vertices.
        adjacency: Shape (V, V), which coarse vertices are neighbours.
        faces: Triangles of the intermediate and of the finest level, as far as there are any.

    Raises:
        ValueError: Tables that do not fit together.
    """
    expected = {
        "upsampling": (len(template), downsampling[0].shape[0]),
        "downsampling[0]": (downsampling[0].shape[0], len(template)),
        "downsampling[1]": (len(adjacency), downsampling[0].shape[0]),
        "root_regressor": (len(template),),
        "regressor": (regressor.shape[0], len(template)),
    }
    given = [upsampling, *downsampling[:2], root_regressor, regressor]
    for (name, shape), table in zip(expected.items(), given, strict=True):
        if tuple(table.shape) != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {tuple(table.shape)}")
    template, regressor = template.float(), regressor.float()
    cosine, sine = math.cos(_TURN), math.sin(_TURN)
    turn = torch.tensor([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
    root = root_regressor.float() @ template
    turned = template @ turn.T + (root - turn @ root)
    joints = regressor @ turned
    coarse = downsampling[1].float() @ (downsampling[0].float() @ turned)
    flat, depth = body_cells(torch.cat([joints[list(_JOINTS)], coarse]) - joints[_PELVIS])
    upsampling = upsampling.coalesce()
    return _restricted(
        "SMPL",
        flat,
        depth,
        adjacency,
        regressor,
        (*upsampling.indices(), upsampling.values()),
        upsampling.shape,
        faces,
    )


def _restricted(
    name: str,
    flat: torch.Tensor,
    depth: torch.Tensor,
    adjacency: torch.Tensor,
    regressor: torch.Tensor,
    upsampling: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    shape: Sequence[int],
    faces: tuple[torch.Tensor | None, torch.Tensor | None],
) -> HulkBody:
    return HulkBody(
        name=name,
        license=SMPL_LICENSE,
        restricted=True,
        vertices=(len(adjacency), int(shape[1]), int(shape[0])),
        flat=flat,
        depth=depth,
        adjacency=adjacency,
        regressor=regressor.float(),
        joints=_JOINTS,
        pelvis=_PELVIS,
        hips=_HIPS,
        upsampling=sparse_rows(*upsampling, num_rows=int(shape[0])),
        faces=(None, *faces),
    )


def body_from_files(model: str | Path, data: str | Path) -> HulkBody:
    """Build the body of `mesh-smpl` from SMPL's own file and the data files of the official repository.

    Args:
        model: File of the neutral SMPL model, `.pkl` or `.npz`.
        data: Folder that holds `DATA_FILES`.

    Raises:
        ValueError: A file is missing or holds something else.
    """
    parts = {name: torch.from_numpy(np.asarray(part)) for name, part in _numbers(read_smpl_model(model)).items()}
    return _with_data(parts["v_template"], parts["J_regressor"], None, parts["f"], Path(data))


def body_from_checkpoint(official: Mapping[str, torch.Tensor], data: str | Path) -> HulkBody:
    """Build the body of `mesh-smpl` from an official checkpoint of task 2 and the data files of the repository.

    Args:
        official: Its state dict; prefixes of distributed or compiled wrappers are tolerated.
        data: Folder that holds `DATA_FILES`; the joint regressor is taken from the checkpoint.

    Raises:
        ValueError: A tensor or file is missing or holds something else.
    """
    tensors = {strip_wrappers(name): tensor for name, tensor in official.items()}
    parts = {}
    for name in ("v_template", "J_regressor", "J_regressor_h36m_correct", "faces"):
        if f"{_BUFFERS}{name}" not in tensors:
            raise ValueError(f"official: no tensor {_BUFFERS}{name}, expected a checkpoint of task 2")
        parts[name] = tensors[f"{_BUFFERS}{name}"]
    return _with_data(
        parts["v_template"], parts["J_regressor"], parts["J_regressor_h36m_correct"], parts["faces"], Path(data)
    )


def _numbers(parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays in types that torch knows: triangles come as unsigned numbers."""
    return {name: part.astype(np.int64 if part.dtype.kind in "ui" else np.float32) for name, part in parts.items()}


def _with_data(
    template: torch.Tensor,
    skeleton_regressor: torch.Tensor,
    regressor: torch.Tensor | None,
    faces: torch.Tensor,
    data: Path,
) -> HulkBody:
    needed = [name for name in DATA_FILES if name.endswith((".npz", ".pt")) or (regressor is None and "J_r" in name)]
    missing = [name for name in needed if not (data / name).is_file()]
    if missing:
        described = "; ".join(f"{name} ({DATA_FILES[name]})" for name in missing)
        raise ValueError(f"data: folder {data} lacks files of the official repository: {described}")
    if regressor is None:
        regressor = torch.from_numpy(np.load(data / "J_regressor_h36m_correct.npy").astype(np.float32))
    matrices = read_mesh_matrices(data / "mesh_downsampling.npz")
    triangles = data / "smpl_1723_faces.npy"
    intermediate = torch.from_numpy(np.load(triangles).astype(np.int64)) if triangles.is_file() else None
    return smpl_body(
        template,
        skeleton_regressor[0],
        regressor,
        matrices["U"][0],
        matrices["D"],
        read_adjacency(data, "smpl_431_adjmat"),
        (intermediate, faces.long()),
    )


def recorded_body(recording: Recording, folders: Sequence[Path] | None = None) -> HulkBody:
    """The body that a recording of task 2 was made with.

    Recordings may lack the tables that are the same in all of them (up-sampling, triangles, neighbours, joint
    regressor). Those are taken from another recording that holds them, whose name becomes part of the body's name. The
    places of its points belong to the template, which differs between recordings: they are taken from another one
    only if that has the same template.

    Args:
        recording: The recording.
        folders: Where to look for another recording, in this order. None: the folder of the recording, and `golden` in
            the folder of recordings (environment variable `HULK_SHARED`, or `shared` beside the repository).

    Raises:
        RecordingError: A table is missing and no other recording has it.
        ValueError: The tables do not fit together.
    """
    tensors, name = dict(recording.tensors), "SMPL stand-in"
    lacking = [table for table in _LENDABLE if table not in tensors]
    if not (set(_CELLS) <= tensors.keys() or _POINTS in tensors):
        lacking += _CELLS
    if lacking:
        folders = _usual_folders(recording.path) if folders is None else folders
        lender = _find_lender(lacking, tensors.get(_TEMPLATE), folders)
        if lender is None:
            raise RecordingError(
                f"{recording.path.name} lacks tables of the body model ({', '.join(lacking)}), and no other recording "
                f"in {[str(folder) for folder in folders]} has them"
            )
        with safe_open(lender, framework="pt") as file:
            tensors |= {table: file.get_tensor(table) for table in lacking}
        name = f"SMPL stand-in, tables of {lender.stem}"
    free = tensors["in.smpl_attention_mask"].logical_not()
    num_joints = len(_JOINTS)
    regressor = tensors[_REGRESSOR]
    weight = recording.tensor("sd.proj_sparse_labeling.loss_fn.coarse2intermediate_upsample.weight")
    if set(_CELLS) <= tensors.keys():
        flat, depth = (tensors[cells].flatten() for cells in _CELLS)
    else:
        flat, depth = body_cells(tensors[_POINTS].float().reshape(-1, 3))
    return _restricted(
        name,
        flat,
        depth,
        free[num_joints:, num_joints:],
        regressor,
        (*tensors["in.mesh_U0_indices"].long(), tensors["in.mesh_U0_values"]),
        (regressor.shape[1], weight.shape[0]),
        (tensors["in.mesh_faces_1723"].long(), tensors.get(f"sd.{_BUFFERS}faces")),
    )


def _usual_folders(path: Path) -> list[Path]:
    shared = os.environ.get("HULK_SHARED") or Path(__file__).resolve().parents[2] / "shared"
    return list(dict.fromkeys([path.resolve().parent, Path(shared) / "golden"]))


def _find_lender(names: Sequence[str], template: torch.Tensor | None, folders: Sequence[Path]) -> Path | None:
    """The first file that holds all tensors of these names, and the same template if places are among them."""
    for path in (path for folder in folders for path in sorted(folder.glob("*.safetensors"))):
        try:
            with safe_open(path, framework="pt") as file:
                held = set(file.keys())
                fits = set(names) <= held
                if fits and _CELLS[0] in names and template is not None:
                    fits = _TEMPLATE in held and torch.equal(file.get_tensor(_TEMPLATE), template)
        except (SafetensorError, OSError):
            continue  # whatever lies beside recordings
        if fits:
            return path
    return None


__all__ = ["DATA_FILES", "SMPL_LICENSE", "body_from_checkpoint", "body_from_files", "recorded_body", "smpl_body"]
