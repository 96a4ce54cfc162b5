# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Synthetic people as data: a map dataset, a `datasets.Dataset`, and memory-mapped arrays for fast training.

All three hold the same samples: number `i` of a data set with seed `s` is `render_person(s * SEED_STRIDE + i, split)`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from .person import render_person
from .splits import check_split

if TYPE_CHECKING:
    import datasets

SEED_STRIDE = 10_000_000  # samples per seed of a data set; different seeds never share a sample
GENERATOR_VERSION = 3  # rises whenever the same seed gives another picture, so that old caches are not reused


def sample_seed(index: int, seed: int) -> int:
    """The number of sample `index` of the data set with seed `seed`, for `render_person`."""
    if not 0 <= index < SEED_STRIDE:
        raise ValueError(f"index must lie in [0, {SEED_STRIDE}); got {index}")
    if seed < 0:
        raise ValueError(f"seed must be >= 0; got {seed}")
    return seed * SEED_STRIDE + index


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
            "area": Value("int32"),
            "stance": Value("string"),
            "sample_seed": Value("int64"),
            "split": Value("string"),
        }
    )


def _rows(split: str, numbers: list[int], image_size: tuple[int, int]) -> Iterator[dict]:
    """Rows for `datasets`; `numbers` are sample seeds, split up among processes."""
    for number in numbers:
        sample = render_person(number, split, tuple(image_size))
        yield sample | {"image": Image.fromarray(sample["image"]), "parts": Image.fromarray(sample["parts"])}


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
    from datasets import Dataset

    numbers = [sample_seed(index, seed) for index in range(num_samples)]
    return Dataset.from_generator(
        _rows,
        features=dataset_features(),
        gen_kwargs={"split": check_split(split), "numbers": numbers, "image_size": tuple(image_size)},
        num_proc=min(num_proc, num_samples) if num_proc > 1 else None,
        cache_dir=cache_dir,
        fingerprint=None,
    )


@dataclass(frozen=True)
class PersonArrays:
    """Samples as memory-mapped arrays, opened by `render_arrays`.

    `images` (N, H, W, 3) uint8, `parts` (N, H, W) uint8, `boxes` (N, 4) float32 xywh, `keypoints` (N, 17, 3) float32,
    `areas` (N,) int64; values as in `render_person`.
    """

    images: np.ndarray
    parts: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    areas: np.ndarray

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.images)


_COLUMNS = {"images": "image", "parts": "parts", "boxes": "bbox", "keypoints": "keypoints", "areas": "area"}


def _open_arrays(directory: Path, mode: str = "r") -> PersonArrays:
    return PersonArrays(**{name: np.load(directory / f"{name}.npy", mmap_mode=mode) for name in _COLUMNS})


def _fill(directory: str, split: str, start: int, stop: int, seed: int, image_size: tuple[int, int]) -> int:
    """Renders samples `start` to `stop` into the arrays of a directory; returns how many."""
    arrays = _open_arrays(Path(directory), "r+")
    for index in range(start, stop):
        sample = render_person(sample_seed(index, seed), split, image_size)
        for name, key in _COLUMNS.items():
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
    """Renders samples into plain `.npy` files and opens them memory-mapped.

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
    height, width = image_size
    check_split(split)
    sample_seed(max(num_samples - 1, 0), seed)
    name = f"persons-v{GENERATOR_VERSION}-{split}-{num_samples}-seed{seed}-{height}x{width}"
    final = Path(directory) / name
    if not final.exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        working = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=final.parent))
        try:
            _render_into(working, split, num_samples, seed, num_proc, (height, width), progress)
            os.replace(working, final)
        except OSError:
            if not final.exists():  # otherwise another process was faster, with the same content
                raise
        finally:
            shutil.rmtree(working, ignore_errors=True)
    return _open_arrays(final)


def _render_into(
    working: Path, split: str, num_samples: int, seed: int, num_proc: int, size: tuple[int, int], progress: bool
) -> None:
    """Creates the files in `working` and fills them with `num_proc` processes."""
    shapes = {
        "images": ((*size, 3), np.uint8),
        "parts": (size, np.uint8),
        "boxes": ((4,), np.float32),
        "keypoints": ((17, 3), np.float32),
        "areas": ((), np.int64),
    }
    for name, (shape, dtype) in shapes.items():
        np.lib.format.open_memmap(working / f"{name}.npy", "w+", dtype, (num_samples, *shape)).flush()
    about = {"split": split, "num_samples": num_samples, "seed": seed, "size": size, "version": GENERATOR_VERSION}
    (working / "about.json").write_text(json.dumps(about))
    chunk = 64
    tasks = [
        (str(working), split, start, min(start + chunk, num_samples), seed, size)
        for start in range(0, num_samples, chunk)
    ]
    with tqdm(total=num_samples, unit="person", desc=f"render {split}", disable=not progress) as bar:
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
