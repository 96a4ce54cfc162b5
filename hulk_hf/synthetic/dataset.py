# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Synthetic people and scenes as data: a map dataset, a `datasets.Dataset`, memory-mapped arrays for fast training.

All hold the same samples: number `i` of a data set with seed `s` is `render_person(s * SEED_STRIDE + i, split)`, for
scenes `render_scene` with the same number. `tables` has the `datasets` of scenes, shards and streams.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import ThreadpoolController
from tqdm.auto import tqdm

from .attributes import ATTRIBUTES
from .captions import CAPTIONS_PER_PERSON, LONGEST_CAPTION
from .mesh import MESH_KEYS, NUM_VERTICES
from .open_body import OPEN_JOINTS
from .person import render_person
from .scenes import MOST_PEOPLE, render_scene
from .splits import check_split

if TYPE_CHECKING:
    import datasets

SEED_STRIDE = 10_000_000  # samples per seed of a data set; different seeds never share a sample
# Rises whenever the same seed gives another picture, or more is told of it, so that old caches are not reused.
GENERATOR_VERSION = 5
SCENE_VERSION = GENERATOR_VERSION - 3  # the same for scenes, where people stand: it rises with the former


def sample_seed(index: int, seed: int) -> int:
    """The number of sample `index` of the data set with seed `seed`, for `render_person`."""
    if not 0 <= index < SEED_STRIDE:
        raise ValueError(f"index must lie in [0, {SEED_STRIDE}); got {index}")
    if seed < 0:
        raise ValueError(f"seed must be >= 0; got {seed}")
    return seed * SEED_STRIDE + index


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def one_thread() -> AbstractContextManager:
    """A context in which NumPy's libraries use one thread.

    The matrices of rendering are small: more threads would only spin, beside as many processes as there are cores.
    """
    return _controller().limit(limits=1)


class SyntheticPersons:
    """A map-style dataset (as `torch.utils.data.DataLoader` takes) that renders its samples when asked for them.

    Args:
        split: "train", "validation" or "test".
        num_samples: how many.
        seed: which samples; data sets with different seeds share none.
        image_size: (height, width).
    """

    def __init__(self, split: str, num_samples: int, seed: int = 0, image_size: tuple[int, int] = (256, 192)):
        self.split = check_split(split)
        self.num_samples = num_samples
        self.seed = seed
        self.image_size = image_size
        sample_seed(max(num_samples - 1, 0), seed)

    def __len__(self) -> int:
        """Number of samples."""
        return self.num_samples

    def __getitem__(self, index: int) -> dict:
        """Renders sample `index`; the dict is that of `render_person`."""
        if not -self.num_samples <= index < self.num_samples:
            raise IndexError(f"index {index} is outside a data set of {self.num_samples} samples")
        with one_thread():
            return render_person(sample_seed(index % self.num_samples, self.seed), self.split, self.image_size)


def dataset_features() -> datasets.Features:
    """The columns of `build_dataset`."""
    from datasets import Array2D, Features, Image, List, Value

    return Features(
        {
            "image": Image(),
            "bbox": List(Value("float32"), length=4),
            "keypoints": Array2D((17, 3), "float32"),
            "parts": Image(),
            "layers": Image(),
            "area": Value("int32"),
            "stance": Value("string"),
            "attributes": List(Value("int8"), length=len(ATTRIBUTES)),
            "captions": List(Value("string"), length=CAPTIONS_PER_PERSON),
            "vertices": Array2D((NUM_VERTICES, 3), "float32"),
            "joints_3d": Array2D((len(OPEN_JOINTS), 4), "float32"),
            "joints_2d": Array2D((len(OPEN_JOINTS), 3), "float32"),
            "sample_seed": Value("int64"),
            "split": Value("string"),
        }
    )


def build_dataset(
    split: str,
    num_samples: int,
    seed: int = 0,
    num_proc: int = 2,
    image_size: tuple[int, int] = (256, 192),
    cache_dir: str | None = None,
) -> datasets.Dataset:
    """Renders a `datasets.Dataset` with the columns of `dataset_features`, cached by `datasets` as usual.

    Pictures are stored as PNG, so they are the same pixels as those of `render_person`.
    """
    from .tables import build_table

    return build_table("persons", split, num_samples, seed, num_proc, image_size, cache_dir)


@dataclass(frozen=True)
class PersonArrays:
    """Samples as memory-mapped arrays, opened by `render_arrays`.

    `images` (N, H, W, 3) uint8, `parts` and `layers` (N, H, W) uint8, `boxes` (N, 4) float32 xywh, `keypoints`
    (N, 17, 3) float32, `areas` (N,) int64, `attributes` (N, A) int8, `captions` (N, 3) of ASCII bytes, padded with
    zeros, `vertices` (N, 500, 3) float32, `joints_3d` (N, 14, 4) and `joints_2d` (N, 14, 3) float32; values as in
    `render_person`.
    """

    images: np.ndarray
    parts: np.ndarray
    layers: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    areas: np.ndarray
    attributes: np.ndarray
    captions: np.ndarray
    vertices: np.ndarray
    joints_3d: np.ndarray
    joints_2d: np.ndarray

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.images)


@dataclass(frozen=True)
class SceneArrays:
    """Scenes as memory-mapped arrays, opened by `render_scene_arrays`; values as in `render_scene`.

    `images` (S, H, W, 3) uint8; `counts` (S,) int64 says how many of the 15 rows of the others are used: `boxes` and
    `visible_boxes` (S, 15, 4) float32 xywh, `ignore` and `crowd` (S, 15) bool, `areas` (S, 15) int64. Rows that aren't
    used are zero and to be ignored.
    """

    images: np.ndarray
    counts: np.ndarray
    boxes: np.ndarray
    visible_boxes: np.ndarray
    ignore: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.images)


@dataclass(frozen=True)
class _Kind:
    """How samples of a kind are stored as arrays, of which version.

    `columns` maps the name of an array to the key of its sample, `shapes` gives shape and type of a sample's entry for
    a size of pictures, and `render` takes number, split and size.
    """

    noun: str
    version: int
    arrays: type
    columns: dict[str, str]
    shapes: Callable[[tuple[int, int]], dict[str, tuple[tuple[int, ...], Any]]]
    render: Callable[[int, str, tuple[int, int]], dict]


def _person_shapes(size: tuple[int, int]) -> dict[str, tuple[tuple[int, ...], Any]]:
    return {
        "images": ((*size, 3), np.uint8),
        "parts": (size, np.uint8),
        "layers": (size, np.uint8),
        "boxes": ((4,), np.float32),
        "keypoints": ((17, 3), np.float32),
        "areas": ((), np.int64),
        "attributes": ((len(ATTRIBUTES),), np.int8),
        "captions": ((CAPTIONS_PER_PERSON,), f"S{LONGEST_CAPTION}"),
        "vertices": ((NUM_VERTICES, 3), np.float32),
        "joints_3d": ((len(OPEN_JOINTS), 4), np.float32),
        "joints_2d": ((len(OPEN_JOINTS), 3), np.float32),
    }


def _scene_shapes(size: tuple[int, int]) -> dict[str, tuple[tuple[int, ...], Any]]:
    return {
        "images": ((*size, 3), np.uint8),
        "counts": ((), np.int64),
        "boxes": ((MOST_PEOPLE, 4), np.float32),
        "visible_boxes": ((MOST_PEOPLE, 4), np.float32),
        "ignore": ((MOST_PEOPLE,), bool),
        "crowd": ((MOST_PEOPLE,), bool),
        "areas": ((MOST_PEOPLE,), np.int64),
    }


def _padded_scene(number: int, split: str, size: tuple[int, int]) -> dict:
    """A scene whose rows are filled up to `MOST_PEOPLE`, with their number as `counts`."""
    scene = render_scene(number, split, size)
    count = len(scene["boxes"])
    empty = {"boxes": 0, "visible_boxes": 0, "ignore": True, "crowd": False, "areas": 0}
    for key, value in empty.items():
        rows = scene[key]
        scene[key] = np.full((MOST_PEOPLE, *rows.shape[1:]), value, rows.dtype)
        scene[key][:count] = rows
    return scene | {"counts": count}


_KINDS = {
    "persons": _Kind(
        noun="person",
        version=GENERATOR_VERSION,
        arrays=PersonArrays,
        columns={
            "images": "image",
            "parts": "parts",
            "layers": "layers",
            "boxes": "bbox",
            "keypoints": "keypoints",
            "areas": "area",
            "attributes": "attributes",
            "captions": "captions",
            **{key: key for key in MESH_KEYS},
        },
        shapes=_person_shapes,
        render=lambda number, split, size: render_person(number, split, size),
    ),
    "scenes": _Kind(
        noun="scene",
        version=SCENE_VERSION,
        arrays=SceneArrays,
        columns={"images": "image"}
        | {name: name for name in ("counts", "boxes", "visible_boxes", "ignore", "crowd", "areas")},
        shapes=_scene_shapes,
        render=_padded_scene,
    ),
}


def _open_arrays(kind: str, directory: Path, mode: str = "r") -> Any:
    columns = _KINDS[kind].columns
    return _KINDS[kind].arrays(**{name: np.load(directory / f"{name}.npy", mmap_mode=mode) for name in columns})


def _fill(kind: str, directory: str, split: str, start: int, stop: int, seed: int, size: tuple[int, int]) -> int:
    """Renders samples `start` to `stop` into the arrays of a directory; returns how many."""
    arrays = _open_arrays(kind, Path(directory), "r+")
    for index in range(start, stop):
        with one_thread():
            sample = _KINDS[kind].render(sample_seed(index, seed), split, size)
        for name, key in _KINDS[kind].columns.items():
            getattr(arrays, name)[index] = sample[key]
    return stop - start


def render_arrays(
    split: str,
    num_samples: int,
    seed: int = 0,
    num_proc: int = 2,
    directory: str | Path = "synthetic",
    image_size: tuple[int, int] = (256, 192),
    progress: bool = True,
) -> PersonArrays:
    """Renders people into plain `.npy` files and opens them memory-mapped.

    The files appear under `directory` in a folder named after the arguments, all at once when all is done; if that
    folder is there already, it is opened and nothing is rendered.

    Args:
        split: "train", "validation" or "test".
        num_samples: how many; 256x192 needs 0.2 MB each.
        seed: which samples; different seeds share none.
        num_proc: processes that render.
        directory: where the folder goes.
        image_size: (height, width).
        progress: whether to show a progress bar.
    """
    return _render("persons", split, num_samples, seed, num_proc, directory, image_size, progress)


def render_scene_arrays(
    split: str,
    num_samples: int,
    seed: int = 0,
    num_proc: int = 2,
    directory: str | Path = "synthetic",
    image_size: tuple[int, int] = (192, 256),
    progress: bool = True,
) -> SceneArrays:
    """Renders scenes into plain `.npy` files and opens them memory-mapped; arguments as in `render_arrays`."""
    return _render("scenes", split, num_samples, seed, num_proc, directory, image_size, progress)


def _render(
    kind: str,
    split: str,
    num_samples: int,
    seed: int,
    num_proc: int,
    directory: str | Path,
    image_size: tuple[int, int],
    progress: bool,
) -> Any:
    """Opens the arrays of a kind of samples, rendered if they aren't there."""
    height, width = image_size
    check_split(split)
    sample_seed(max(num_samples - 1, 0), seed)
    name = f"{kind}-v{_KINDS[kind].version}-{split}-{num_samples}-seed{seed}-{height}x{width}"
    final = Path(directory) / name
    if not final.exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=final.parent))
        try:
            _render_into(working, kind, split, num_samples, seed, num_proc, (height, width), progress)
            os.replace(working, final)
        except OSError:
            if not final.exists():  # otherwise another process was faster, with the same content
                raise
        finally:
            shutil.rmtree(working, ignore_errors=True)
    return _open_arrays(kind, final)


def _render_into(
    working: Path,
    kind: str,
    split: str,
    num_samples: int,
    seed: int,
    num_proc: int,
    size: tuple[int, int],
    progress: bool,
) -> None:
    """Creates the files in `working` and fills them with `num_proc` processes."""
    for name, (shape, dtype) in _KINDS[kind].shapes(size).items():
        np.lib.format.open_memmap(working / f"{name}.npy", "w+", dtype, (num_samples, *shape)).flush()
    version = _KINDS[kind].version
    about = {"split": split, "num_samples": num_samples, "seed": seed, "size": size, "version": version}
    (working / "about.json").write_text(json.dumps(about))
    chunk = 64 if kind == "persons" else 8
    tasks = [
        (kind, str(working), split, start, min(start + chunk, num_samples), seed, size)
        for start in range(0, num_samples, chunk)
    ]
    with tqdm(total=num_samples, unit=_KINDS[kind].noun, desc=f"render {split}", disable=not progress) as bar:
        if num_proc <= 1:
            for task in tasks:
                bar.update(_fill(*task))
            return
        start_method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        # An executor rather than a pool: it raises when a worker is killed, where a pool would wait for ever.
        with ProcessPoolExecutor(num_proc, mp_context=multiprocessing.get_context(start_method)) as executor:
            try:
                for done in as_completed([executor.submit(_fill, *task) for task in tasks]):
                    bar.update(done.result())
            except BaseException:  # also an interrupt: do not render the rest first
                executor.shutdown(cancel_futures=True)
                raise


__all__ = [
    "GENERATOR_VERSION",
    "SCENE_VERSION",
    "SEED_STRIDE",
    "PersonArrays",
    "SceneArrays",
    "SyntheticPersons",
    "build_dataset",
    "dataset_features",
    "one_thread",
    "render_arrays",
    "render_scene_arrays",
    "sample_seed",
]
