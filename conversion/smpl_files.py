# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Reading the files around SMPL that a user brings: plain numbers out of pickles, without running what is in them.

The body model comes as a pickle of Python 2 with arrays of chumpy and sparse matrices of scipy; the meshes of several
levels as a numpy archive of sparse matrices. Unpickling them as usual would run any code a file names, and would need
both packages. Here only arrays, sparse matrices and chumpy's wrapper around an array mean anything; every other name
in a pickle becomes an object that does nothing.
"""

from __future__ import annotations

import codecs
import copyreg
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

_RECONSTRUCT = np.empty(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]


class _Stub:
    """Stands in for an object of another package: takes any arguments, items and state, and keeps the last."""

    state: dict[str, Any] = {}

    def __new__(cls, *arguments: Any) -> _Stub:
        """Take whatever arguments the other class takes."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Keep the state of a pickled object."""
        self.state = state if isinstance(state, dict) else {}

    def __setitem__(self, key: Any, value: Any) -> None:
        """Take an item of a dictionary."""

    def append(self, item: Any) -> None:
        """Take an item of a list."""


class _Wrapped(_Stub):
    """An array of chumpy."""

    def dense(self) -> np.ndarray:
        """The array inside."""
        if not isinstance(self.state.get("x"), np.ndarray):
            raise ValueError("a chumpy expression other than a plain array")
        return self.state["x"]


class _Sparse(_Stub):
    """A sparse matrix of scipy: compressed by rows or columns, or coordinates."""

    compressed = ""

    def coo(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
        """Rows, columns and values of the entries, and the shape."""
        state = self.state
        height, width = state["_shape"] if "_shape" in state else state["shape"]
        if self.compressed:
            slow = np.repeat(np.arange(len(state["indptr"]) - 1), np.diff(state["indptr"]))
            rows, columns = (slow, state["indices"]) if self.compressed == "rows" else (state["indices"], slow)
        elif "coords" in state:
            rows, columns = state["coords"]
        else:
            rows, columns = state["row"], state["col"]
        return (
            np.asarray(rows, np.int64),
            np.asarray(columns, np.int64),
            np.asarray(state["data"]),
            (int(height), int(width)),
        )

    def dense(self) -> np.ndarray:
        """The matrix written out."""
        rows, columns, values, shape = self.coo()
        matrix = np.zeros(shape)
        np.add.at(matrix, (rows, columns), values)
        return matrix


class _ByRows(_Sparse):
    compressed = "rows"


class _ByColumns(_Sparse):
    compressed = "columns"


_SPARSE_KINDS = {"coo": _Sparse, "csr": _ByRows, "csc": _ByColumns}
_KNOWN = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
    ("copyreg", "_reconstructor"): copyreg._reconstructor,  # type: ignore[attr-defined]
    ("builtins", "object"): object,
    ("builtins", "set"): set,
}
_OLD_MODULES = {"numpy._core.multiarray": "numpy.core.multiarray", "copy_reg": "copyreg", "__builtin__": "builtins"}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Map a name in the pickle to something harmless."""
        if module.partition(".")[0] == "chumpy":
            return _Wrapped
        kind, _, form = name.partition("_")
        if module.startswith("scipy.sparse") and kind in _SPARSE_KINDS and form in ("matrix", "array"):
            return _SPARSE_KINDS[kind]
        known = _KNOWN.get((_OLD_MODULES.get(module, module), name))
        return type(f"{module}.{name}", (_Stub,), {}) if known is None else known


def _unpickle(file: IO[bytes], path: Path) -> Any:
    try:
        return _Unpickler(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, TypeError) as error:
        raise ValueError(f"{path}: not a pickle of arrays and sparse matrices: {error}") from error


def _existing(path: str | Path, what: str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist, expected {what}")
    return path


def read_smpl_model(path: str | Path) -> dict[str, np.ndarray]:
    """Read the parts of an SMPL model file that Hulk needs.

    Args:
        path: `basicModel_neutral_lbs_10_207_0_v1.0.0.pkl` or another release of the neutral model, as `.pkl` or
            `.npz`.

    Returns:
        `v_template` (6890, 3), `J_regressor` (24, 6890) and `f` (13776, 3).

    Raises:
        ValueError: It does not exist, holds something else, or a part is missing.
    """
    path = _existing(path, "a file of the neutral SMPL model")
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as stored:
            content: Any = {name: stored[name] for name in ("v_template", "J_regressor", "f") if name in stored}
    else:
        with path.open("rb") as file:
            content = _unpickle(file, path)
    parts = {}
    for name in ("v_template", "J_regressor", "f"):
        part = content.get(name) if isinstance(content, Mapping) else None
        try:
            part = part.dense() if isinstance(part, _Wrapped | _Sparse) else part
        except ValueError as error:
            raise ValueError(f"{path}: {name} is {error}") from error
        if not isinstance(part, np.ndarray):
            raise ValueError(f"{path}: expected an SMPL model with an array {name!r}, got {type(part).__name__}")
        parts[name] = part
    return parts


def read_mesh_matrices(path: str | Path) -> dict[str, list[torch.Tensor]]:
    """Read the matrices between the levels of the SMPL mesh.

    Args:
        path: `mesh_downsampling.npz`.

    Returns:
        `U` (up-sampling, finest first) and `D` (down-sampling, finest first), sparse COO tensors in float32.

    Raises:
        ValueError: It does not exist or holds something else.
    """
    path = _existing(path, "the matrices between the levels of the SMPL mesh")
    matrices = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in ("U", "D"):
                with archive.open(f"{name}.npy") as member:
                    matrices[name] = _object_array(member, path)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{path}: expected a numpy archive with U and D: {error}") from error
    return {name: [_as_tensor(matrix, path) for matrix in found] for name, found in matrices.items()}


def _object_array(member: IO[bytes], path: Path) -> list[Any]:
    """Read an array of Python objects, which numpy would unpickle as usual."""
    version = np.lib.format.read_magic(member)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, dtype = read_header(member)
    if not dtype.hasobject:
        raise ValueError(f"{path}: expected sparse matrices, got an array of {dtype}")
    return list(np.asarray(_unpickle(member, path), dtype=object).ravel())


def _as_tensor(matrix: Any, path: Path) -> torch.Tensor:
    if not isinstance(matrix, _Sparse):
        raise ValueError(f"{path}: expected sparse matrices, got {type(matrix).__name__}")
    try:
        rows, columns, values, shape = matrix.coo()
    except KeyError as error:
        raise ValueError(f"{path}: a sparse matrix without {error}") from error
    indices, entries = torch.from_numpy(np.stack([rows, columns])), torch.from_numpy(values.astype(np.float32))
    try:
        return torch.sparse_coo_tensor(indices, entries, shape, check_invariants=True).coalesce()
    except RuntimeError as error:
        raise ValueError(f"{path}: a sparse matrix that is none: {error}") from error


def read_adjacency(folder: str | Path, prefix: str) -> torch.Tensor:
    """Read which coarse vertices are neighbours.

    Args:
        folder: Where `{prefix}_indices.pt` and `{prefix}_values.pt` lie, the parts of a sparse matrix.
        prefix: `smpl_431_adjmat` for the released task.

    Returns:
        Entries other than 0, as booleans (V, V).

    Raises:
        ValueError: A file does not exist or holds something else.
    """
    parts = []
    for part in ("indices", "values"):
        path = _existing(Path(folder) / f"{prefix}_{part}.pt", "a part of the adjacency matrix of the coarse vertices")
        try:
            parts.append(torch.load(path, map_location="cpu", weights_only=True))
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise ValueError(f"{path}: not a tensor: {error}") from error
    indices, values = parts
    if indices.ndim != 2 or len(indices) != 2 or values.shape != indices.shape[1:]:
        raise ValueError(
            f"{Path(folder) / prefix}: expected indices (2, N) and values (N,), got {tuple(indices.shape)} and "
            f"{tuple(values.shape)}"
        )
    size = int(indices.max()) + 1
    adjacency = torch.zeros(size, size, dtype=torch.bool)
    adjacency[indices[0], indices[1]] = values != 0
    return adjacency


__all__ = ["read_adjacency", "read_mesh_matrices", "read_smpl_model"]
