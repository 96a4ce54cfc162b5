# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Synthetic people as `datasets`, with one schema for each family of tasks: cached, as Parquet files, as a stream.

Schemas follow section 4 of the specification of training (COCO-like boxes and keypoints, index pictures for parts,
objects for detection, flat sequences for actions). Two more hold everything that is known: `persons` and `scenes`.

>>> build_table("detection", "train", 100)  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from .attributes import ATTRIBUTES
from .body import COCO_KEYPOINTS
from .captions import CAPTIONS_PER_PERSON
from .dataset import GENERATOR_VERSION, SCENE_VERSION, SEED_STRIDE, dataset_features, one_thread, sample_seed
from .mesh import mesh_features, mesh_record
from .motion import MOTION_VERSION, clip_features, clip_record, sample_clip
from .person import render_person
from .scenes import render_scene
from .splits import check_split

if TYPE_CHECKING:
    import datasets

PERSON_SIZE, SCENE_SIZE = (256, 192), (192, 256)  # (height, width) unless told otherwise
_SOURCE = "synthetic"


@dataclass(frozen=True)
class Table:
    """A schema and how its rows are made.

    Attributes:
        features: gives the columns; a function, because `datasets` is imported only when it is needed.
        render: gives a sample for number, split and size of the picture.
        record: turns a sample into a row.
        image_size: (height, width) unless told otherwise; what moves has none.
        version: rises whenever the same number gives another sample; part of the key of the cache.
    """

    features: Callable[[], datasets.Features]
    render: Callable[[int, str, tuple[int, int]], dict]
    record: Callable[[dict], dict]
    image_size: tuple[int, int] | None
    version: int


def _picture_id(sample: dict) -> str:
    return f"{sample['split']}-{sample['sample_seed']}"


def _pictures(sample: dict, *keys: str) -> dict:
    return {key: Image.fromarray(sample[key]) for key in keys}


def pose_features() -> datasets.Features:
    """Keypoints of one person (specification 4.2)."""
    from datasets import Array2D, Features, Image, List, Value

    return Features(
        {
            "image": Image(),
            "image_id": Value("int64"),
            "annotation_id": Value("int64"),
            "bbox": List(Value("float32"), length=4),
            "area": Value("float32"),
            "keypoints": Array2D((len(COCO_KEYPOINTS), 3), "float32"),
            "bbox_score": Value("float32"),
        }
    )


def _pose_record(sample: dict) -> dict:
    number = sample["sample_seed"]
    told = {key: sample[key] for key in ("bbox", "area", "keypoints")}
    return _pictures(sample, "image") | told | {"image_id": number, "annotation_id": number, "bbox_score": 1.0}


def parsing_features() -> datasets.Features:
    """Parts of one person as an index picture (specification 4.3), with the labels `wardrobe.LIP_LABELS`."""
    from datasets import Features, Image, Value

    return Features(
        {
            "image": Image(),
            "label": Image(),
            "image_id": Value("string"),
            "height": Value("int32"),
            "width": Value("int32"),
        }
    )


def _parsing_record(sample: dict) -> dict:
    height, width = sample["parts"].shape
    label = Image.fromarray(sample["parts"])
    return _pictures(sample, "image") | {
        "label": label,
        "image_id": _picture_id(sample),
        "height": height,
        "width": width,
    }


def detection_features() -> datasets.Features:
    """People of a scene (specification 4.4).

    `bbox` is the box of the whole person, hidden parts included, which may reach outside the picture; `visible_bbox`
    that of the visible pixels, whose number is `area`. Crowds, and people who are hidden or tiny, have the category
    `ignore`.
    """
    from datasets import ClassLabel, Features, Image, List, Value

    box = List(Value("float32"), length=4)
    return Features(
        {
            "image": Image(),
            "image_id": Value("int64"),
            "width": Value("int32"),
            "height": Value("int32"),
            "objects": {
                "bbox": List(box),
                "visible_bbox": List(box),
                "category": List(ClassLabel(names=["pedestrian", "ignore"])),
                "area": List(Value("float32")),
                "iscrowd": List(Value("bool")),
            },
        }
    )


def _detection_record(sample: dict) -> dict:
    height, width = sample["instances"].shape
    objects = {
        "bbox": sample["boxes"],
        "visible_bbox": sample["visible_boxes"],
        "category": sample["ignore"].astype(int),
        "area": sample["areas"],
        "iscrowd": sample["crowd"],
    }
    return _pictures(sample, "image") | {
        "image_id": sample["sample_seed"],
        "width": width,
        "height": height,
        "objects": objects,
    }


def scene_features() -> datasets.Features:
    """Everything that `scenes.render_scene` tells: the columns of `detection_features`, maps and keypoints."""
    from datasets import Array2D, Features, Image, List, Value

    more = {
        "instances": Image(),
        "parts": Image(),
        "keypoints": List(Array2D((len(COCO_KEYPOINTS), 3), "float32")),
        "scene": Value("string"),
        "split": Value("string"),
    }
    return Features({**detection_features(), **more})


def _scene_record(sample: dict) -> dict:
    told = {key: sample[key] for key in ("keypoints", "scene", "split")}
    return _detection_record(sample) | _pictures(sample, "instances", "parts") | told


def attribute_features() -> datasets.Features:
    """Attributes of one person (specification 4.5), named by `attributes.ATTRIBUTES`."""
    from datasets import ClassLabel, Features, Image, List, Value

    return Features(
        {
            "image": Image(),
            "attributes": List(Value("int8"), length=len(ATTRIBUTES)),
            "image_id": Value("string"),
            "dataset": ClassLabel(names=[_SOURCE]),
        }
    )


def _attribute_record(sample: dict) -> dict:
    told = {"attributes": sample["attributes"], "image_id": _picture_id(sample), "dataset": _SOURCE}
    return _pictures(sample, "image") | told


def caption_features() -> datasets.Features:
    """Captions of one person (specification 4.8): `captions` for evaluation, the first of them for training."""
    from datasets import ClassLabel, Features, Image, List, Value

    return Features(
        {
            "image": Image(),
            "image_id": Value("string"),
            "caption": Value("string"),
            "captions": List(Value("string"), length=CAPTIONS_PER_PERSON),
            "source": ClassLabel(names=[_SOURCE]),
        }
    )


def _caption_record(sample: dict) -> dict:
    captions = sample["captions"]
    told = {"caption": captions[0], "captions": captions, "image_id": _picture_id(sample), "source": _SOURCE}
    return _pictures(sample, "image") | told


def _person_table(features: Callable[[], datasets.Features], record: Callable[[dict], dict]) -> Table:
    return Table(features, render_person, record, PERSON_SIZE, GENERATOR_VERSION)


def _scene_table(features: Callable[[], datasets.Features], record: Callable[[dict], dict]) -> Table:
    return Table(features, render_scene, record, SCENE_SIZE, SCENE_VERSION)


TABLES = {
    "persons": _person_table(dataset_features, lambda sample: sample | _pictures(sample, "image", "parts", "layers")),
    "scenes": _scene_table(scene_features, _scene_record),
    "pose": _person_table(pose_features, _pose_record),
    "parsing": _person_table(parsing_features, _parsing_record),
    "detection": _scene_table(detection_features, _detection_record),
    "attributes": _person_table(attribute_features, _attribute_record),
    "action": Table(
        clip_features, lambda number, split, _: sample_clip(number, split), clip_record, None, MOTION_VERSION
    ),
    "mesh": _person_table(mesh_features, mesh_record),
    "caption": _person_table(caption_features, _caption_record),
}


def find_table(name: str) -> Table:
    """The table of a name; ValueError if there is none."""
    if name not in TABLES:
        raise ValueError(f"table must be one of {', '.join(TABLES)}; got {name!r}")
    return TABLES[name]


def _size(table: Table, image_size: tuple[int, int] | None) -> tuple[int, int] | None:
    """The size of the pictures of a table."""
    if image_size is not None and table.image_size is None:
        raise ValueError(f"image_size: this table has no pictures; got {image_size!r}")
    return table.image_size if image_size is None else tuple(image_size)


def _rows(name: str, version: int, split: str, numbers: Iterable[int], size: tuple[int, int] | None) -> Iterator[dict]:
    """Rows of some samples; `datasets` deals the list out to its processes. `version` is there for its cache."""
    table = TABLES[name]
    for number in numbers:
        with one_thread():
            row = table.record(table.render(number, split, size))
        yield row


def build_table(
    name: str,
    split: str,
    num_samples: int,
    seed: int = 0,
    num_proc: int = 2,
    image_size: tuple[int, int] | None = None,
    cache_dir: str | None = None,
) -> datasets.Dataset:
    """Renders a `datasets.Dataset`, cached by `datasets` as usual.

    Args:
        name: one of `TABLES`.
        split: "train", "validation" or "test".
        num_samples: how many.
        seed: which samples; different seeds share none.
        num_proc: processes that render.
        image_size: (height, width); `PERSON_SIZE` or `SCENE_SIZE` by default.
        cache_dir: where `datasets` puts its files.
    """
    from datasets import Dataset

    table = find_table(name)
    numbers = [sample_seed(index, seed) for index in range(num_samples)]
    size = _size(table, image_size)
    return Dataset.from_generator(
        _rows,
        features=table.features(),
        gen_kwargs={
            "name": name,
            "version": table.version,
            "split": check_split(split),
            "numbers": numbers,
            "size": size,
        },
        num_proc=min(num_proc, num_samples) if num_proc > 1 else None,
        cache_dir=cache_dir,
    )


def write_shards(dataset: datasets.Dataset, directory: str | Path, split: str, num_shards: int = 1) -> list[Path]:
    """Writes a data set as Parquet files, which `datasets.load_dataset("parquet", data_files=...)` reads.

    Args:
        dataset: what `build_table` made.
        directory: where the files go.
        split: how their names begin: `train-00000-of-00004.parquet`.
        num_shards: how many files.

    Returns:
        The files. Each appears when it is complete.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{split}-{index:05d}-of-{num_shards:05d}.parquet" for index in range(num_shards)]
    for index, path in enumerate(paths):
        working = path.with_suffix(".part")
        dataset.shard(num_shards, index, contiguous=True).to_parquet(working)
        os.replace(working, path)
    return paths


def _stream_rows(
    name: str, split: str, seed: int, size: tuple[int, int] | None, last: int, shards: list[tuple[int, int]]
) -> Iterator[dict]:
    """Rows of a stream: of each shard (first, step) the samples first, first + step, ... before `last`."""
    for first, step in shards:
        numbers = (sample_seed(index, seed) for index in range(first, last, step))
        yield from _rows(name, TABLES[name].version, split, numbers, size)


def stream_table(
    name: str,
    split: str,
    num_samples: int | None = None,
    seed: int = 0,
    num_shards: int = 1,
    image_size: tuple[int, int] | None = None,
) -> datasets.IterableDataset:
    """A `datasets.IterableDataset` whose samples are rendered when they come up, the same as those of `build_table`.

    Args:
        name: one of `TABLES`.
        split: "train", "validation" or "test".
        num_samples: how many; without it, as many as a seed has (`SEED_STRIDE`, ten million).
        seed: which samples.
        num_shards: in how many parts the samples are dealt out in turn; a `DataLoader` with n workers needs n.
        image_size: (height, width); `PERSON_SIZE` or `SCENE_SIZE` by default.
    """
    from datasets import IterableDataset

    table = find_table(name)
    return IterableDataset.from_generator(
        _stream_rows,
        features=table.features(),
        gen_kwargs={
            "name": name,
            "split": check_split(split),
            "seed": seed,
            "size": _size(table, image_size),
            "last": SEED_STRIDE if num_samples is None else num_samples,
            "shards": [(first, num_shards) for first in range(num_shards)],
        },
    )


__all__ = [
    "PERSON_SIZE",
    "SCENE_SIZE",
    "TABLES",
    "Table",
    "attribute_features",
    "build_table",
    "caption_features",
    "detection_features",
    "find_table",
    "parsing_features",
    "pose_features",
    "scene_features",
    "stream_table",
    "write_shards",
]
