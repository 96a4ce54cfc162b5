# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Official files: finding them, reading one without running what is in it, and telling what task it is of."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import torch

from hulk_hf.conversion.keymap import KEY_MAPS, official_task, strip_wrappers
from hulk_hf.conversion.state_dict import unwrap_state_dict
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, OFFICIAL_TASK_IDS, HulkTask

SUFFIXES = (".pth.tar", ".pth", ".pt")

_OFFICIAL_NAME = re.compile(r"ckpt_task(?P<id>\d+)_iter_(?P<step>\w+)\.pth\.tar")
_TASK_ID = re.compile(r"(?<![A-Za-z0-9])task[_-]?(?P<id>\d+)(?!\d)", re.IGNORECASE)
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class OfficialFile:
    """One file to convert.

    Attributes:
        path: Where it lies.
        task: Name of its task, where the file name or the caller says so.
    """

    path: Path
    task: str | None = None

    @property
    def name(self) -> str:
        """The name without folders."""
        return self.path.name

    def sha256(self) -> str:
        """The hash of the whole file, in hexadecimal digits."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the name of a file in front of what is wrong with it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path.name}: {error}") from error


def task_name(name: str) -> str:
    """The name of a task of the release that is given by name or by its official number.

    Raises:
        ValueError: There is no such task.
    """
    if name.isdigit() and int(name) in OFFICIAL_TASK_IDS:
        return official_task(int(name))
    if name not in OFFICIAL_TASK_IDS.values():
        raise ValueError(
            f"tasks: no known task {name!r}, expected one of {list(OFFICIAL_TASK_IDS.values())} or an official number "
            f"{min(OFFICIAL_TASK_IDS)} to {max(OFFICIAL_TASK_IDS)}"
        )
    return name


def find_files(sources: Sequence[str | Path]) -> tuple[list[OfficialFile], list[Path]]:
    """Find the files to convert.

    In a folder, files of official names are taken if there are any, and else everything that looks like a checkpoint;
    of several of one task in one folder, the newest.

    Args:
        sources: Files, folders, `TASK=FILE` where the name of a file does not tell its task, or a repository of the
            hub, `organisation/name`, which is downloaded.

    Returns:
        The files, and those that lie in the folders and were passed over.

    Raises:
        ValueError: A source does not exist or holds no checkpoint, or cannot be downloaded.
    """
    files: dict[Path, OfficialFile] = {}
    passed_over: list[Path] = []
    for source in sources:
        task, path = _split_source(str(source))
        if path.is_dir():
            if task is not None:
                raise ValueError(f"sources: expected one file behind {task!r}=, got the folder {str(path)!r}")
            taken, others = _files_of_folder(path)
            passed_over += others
        elif path.is_file():
            taken = [path]
        else:
            taken, others = _files_of_folder(_download(str(source), path))
            passed_over += others
        for file in taken:
            files.setdefault(file.resolve(), OfficialFile(file, task or _task_of_name(file)))
    return list(files.values()), passed_over


def _split_source(source: str) -> tuple[str | None, Path]:
    task, separator, path = source.partition("=")
    if separator and (task.isdigit() or task in OFFICIAL_TASK_IDS.values()):
        return task_name(task), Path(path)
    return None, Path(source)


def _task_of_name(path: Path) -> str | None:
    official = _OFFICIAL_NAME.search(path.name)
    if official:
        with naming(path):
            return official_task(int(official["id"]))
    found = _TASK_ID.search(path.name)
    return OFFICIAL_TASK_IDS.get(int(found["id"])) if found else None


def _files_of_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    every = sorted(path for path in folder.rglob("*") if path.is_file() and path.name.endswith(SUFFIXES))
    if not every:
        raise ValueError(f"sources: no checkpoint in {str(folder)!r}, expected files that end with {list(SUFFIXES)}")
    newest: dict[tuple[Path, int], tuple[float, Path]] = {}
    for path in every:
        found = _OFFICIAL_NAME.fullmatch(path.name)
        if found:
            step = float(found["step"]) if found["step"].isdecimal() else float("inf")
            key = (path.parent, int(found["id"]))
            newest[key] = max(newest.get(key, (-1.0, path)), (step, path))
    taken = sorted(path for _, path in newest.values()) or every
    return taken, [path for path in every if path not in taken]


def _download(source: str, path: Path) -> Path:
    if not _REPOSITORY.fullmatch(source):
        raise ValueError(f"sources: {str(path)!r} does not exist")
    try:
        return Path(huggingface_hub.snapshot_download(source, allow_patterns=[f"*{suffix}" for suffix in SUFFIXES]))
    except (OSError, ValueError) as error:  # which the errors of the hub and of its network all are
        raise ValueError(
            f"sources: {source!r} is no file or folder here, and as a repository of the hub it cannot be downloaded "
            f"({type(error).__name__}: {error})"
        ) from error


def read_official_file(path: Path) -> dict[str, torch.Tensor]:
    """Read the weights of an official file, without wrapper prefixes; see `read_checkpoint`.

    Raises:
        ValueError: It cannot be read, or holds no weights.
    """
    content = read_checkpoint(path, "state_dict")
    with naming(path):
        return unwrap_state_dict(content)


def read_checkpoint(path: Path, entry: str) -> Mapping[str, torch.Tensor]:
    """Read a file of `torch.save`.

    Nothing in the file is executed: it may hold tensors and plain values, and anything else is refused. Tensors are
    mapped, not read: memory is used as they are looked at.

    Args:
        path: The file: a dict with a state dict as its `entry`, or the state dict itself.
        entry: Name of the entry.

    Raises:
        ValueError: It is cut short, damaged, holds other Python objects, or holds no state dict.
    """
    content = _load(path)
    if isinstance(content, Mapping) and isinstance(content.get(entry), Mapping):
        content = content[entry]
    if not isinstance(content, Mapping) or not any(isinstance(value, torch.Tensor) for value in content.values()):
        found = sorted(map(str, content))[:10] if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(f"{path.name}: expected a state dict, or a dict with an entry {entry!r}, got {found}")
    return content


def _load(path: Path) -> Any:
    with path.open("rb") as stream:
        mapped = stream.read(len(_ZIP)) == _ZIP  # older files of torch.save cannot be mapped
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if not mapped and "Unsupported global" not in str(error) and "GLOBAL" not in str(error):
            raise ValueError(f"{path.name}: no file of torch.save, or a damaged one ({_reason(error)})") from error
        raise ValueError(
            f"{path.name}: holds Python objects that are neither tensors nor plain values ({_reason(error)}). They "
            "are not loaded, since that can run any code. If the file is to be trusted, load it elsewhere and save "
            "its 'state_dict' alone"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # of many kinds, as damage comes
        raise ValueError(
            f"{path.name}: cut short or damaged, copy or download it again ({type(error).__name__}: {_reason(error)})"
        ) from error


def _reason(error: Exception) -> str:
    """The sentence of torch's long explanation that says what is wrong."""
    sentences = [part.strip() for line in str(error).splitlines() for part in line.split(". ") if part.strip()]
    marked = [part for part in sentences if "GLOBAL" in part or "nsupported" in part]
    return (marked or sentences or ["end of file"])[0]


def recognise_task(tensors: Mapping[str, torch.Tensor]) -> str:
    """Tell from keys and shapes which task an official file is of.

    Args:
        tensors: State dict with official names.

    Raises:
        ValueError: It is of no known task, or could be of several: tasks of one family, size and number of labels
            differ only in what their labels mean, which is written in no file.
    """
    shapes = {strip_wrappers(name): tuple(tensor.shape) for name, tensor in tensors.items()}
    family = _recognise_family(shapes)
    sizes = KEY_MAPS[family].sizes(shapes)
    known = [KNOWN_TASKS[name] for name in OFFICIAL_TASK_IDS.values()]
    fitting = [task.name for task in known if task.family == family and _fits(task, sizes)]
    if not fitting:
        raise ValueError(
            f"a {family} checkpoint of {sizes.get('K', 'no')} labels and {sizes['P']} input tokens is of no known task"
        )
    if len(fitting) > 1:
        raise ValueError(
            f"a {family} checkpoint that could be of any of {fitting}, which nothing in it tells apart; name the task "
            "with the file, as TASK=FILE"
        )
    return fitting[0]


def _recognise_family(shapes: Mapping[str, tuple[int, ...]]) -> str:
    if "adapter_sparse_labeling.merge_kernel_weight" in shapes:
        return "action"
    if "decoder_module.predictor.captiontoken_ln.weight" in shapes:
        return "caption"
    if "proj_text.text_vectors" in shapes:
        return "attributes"
    if "proj_sparse_labeling.loss_fn.coarse2intermediate_upsample.weight" in shapes:
        return "mesh"
    if "decoder_module.predictor.anchor" in shapes:
        return "detection"
    last = shapes.get("proj_dense_labeling.upsample_network.3.weight", ())
    if len(last) == 4:
        labels = shapes.get("proj_dense_labeling.post_mul_norm.weight", (0,))[0]
        width = shapes.get("proj_dense_labeling.patch_proj.weight", (0,))[0]
        if last[1] == labels != width:
            return "pose"
        if last[1] == width != labels:
            return "parsing"
    raise ValueError(
        f"its {len(shapes)} keys are those of no task, such as {sorted(shapes)[:5]}; expected weights of the official "
        "release"
    )


def _fits(task: HulkTask, sizes: Mapping[str, int]) -> bool:
    """Whether the numbers of labels and of input tokens are those of a task."""
    if "K" in sizes and sizes["K"] != task.num_labels and task.queries != "token":
        return False
    side = sizes.get("p")
    return side is None or sizes["P"] == (task.image_size[0] // side) * (task.image_size[1] // side)


__all__ = [
    "SUFFIXES",
    "OfficialFile",
    "find_files",
    "naming",
    "read_checkpoint",
    "read_official_file",
    "recognise_task",
    "task_name",
]
