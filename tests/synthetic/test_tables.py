# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Schemas of the families, and the same rows from the cache, from Parquet files and from a stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hulk_hf.synthetic.dataset import SEED_STRIDE
from hulk_hf.synthetic.scenes import render_scene
from hulk_hf.synthetic.tables import TABLES, build_table, stream_table, write_shards

SIZE = (96, 128)


def plain(value: object) -> object:
    """A value of a row with pictures and lists as nested lists, and numbers in the precision of the columns."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, str):
        return value
    array = np.asarray(value)
    return (array.astype(np.float32) if array.dtype.kind == "f" else array).tolist()


@pytest.mark.parametrize("name", TABLES)
def test_cache_files_and_stream_hold_the_same(name: str, tmp_path: Path) -> None:
    from datasets import load_dataset

    size = None if TABLES[name].image_size is None else SIZE
    built = build_table(name, "validation", 3, 1, 1, size, str(tmp_path / "cache"))
    assert built.features == TABLES[name].features() and len(built) == 3
    paths = write_shards(built, tmp_path / "files", "validation", 2)
    assert [path.name for path in paths] == [f"validation-0000{k}-of-00002.parquet" for k in (0, 1)]
    assert sorted(tmp_path.joinpath("files").iterdir()) == paths
    files = [str(path) for path in paths]
    read = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "read"))
    assert read.features == built.features
    streamed = list(stream_table(name, "validation", 3, 1, image_size=size))
    for rows in zip(built, read, streamed, strict=True):
        first, *others = (plain(row) for row in rows)
        assert all(other == first for other in others)


def test_detection_rows(tmp_path: Path) -> None:
    built = build_table("detection", "train", 4, 0, 2, SIZE, str(tmp_path))
    names = built.features["objects"]["category"].feature.names
    assert names == ["pedestrian", "ignore"]
    for number, row in enumerate(built):
        scene, objects = render_scene(number, "train", SIZE), row["objects"]
        assert (row["image_id"], row["width"], row["height"]) == (number, 128, 96)
        np.testing.assert_array_equal(np.float32(objects["bbox"]), scene["boxes"])
        np.testing.assert_array_equal(np.float32(objects["visible_bbox"]), scene["visible_boxes"])
        assert [names[category] == "ignore" for category in objects["category"]] == scene["ignore"].tolist()
        assert objects["iscrowd"] == scene["crowd"].tolist() and objects["area"] == scene["areas"].tolist()


def test_stream_is_dealt_out_and_never_ends() -> None:
    stream = stream_table("pose", "train", seed=2, num_shards=3, image_size=(64, 48))
    assert stream.num_shards == 3
    ids = [[row["image_id"] - 2 * SEED_STRIDE for row in stream.shard(3, k).take(2)] for k in range(3)]
    assert ids == [[0, 3], [1, 4], [2, 5]]


def test_bad_names_and_sizes() -> None:
    with pytest.raises(ValueError, match="table must be one of persons, scenes"):
        build_table("poses", "train", 1)
    with pytest.raises(ValueError, match="train, validation, test"):
        stream_table("pose", "dev")
    with pytest.raises(ValueError, match="no pictures"):
        build_table("action", "train", 1, image_size=(64, 48))
