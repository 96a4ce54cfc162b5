# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The same samples as a map dataset, as `datasets`, and as memory-mapped arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hulk_hf.synthetic import dataset
from hulk_hf.synthetic.dataset import SEED_STRIDE, SyntheticPersons, build_dataset, render_arrays, sample_seed
from hulk_hf.synthetic.preview import PREVIEWS, contact_sheet

SIZE = (64, 48)


@pytest.fixture(scope="module")
def persons() -> SyntheticPersons:
    return SyntheticPersons("validation", 5, seed=2, image_size=SIZE)


def test_map_dataset(persons: SyntheticPersons) -> None:
    assert len(persons) == 5
    sample = persons[4]
    assert sample["sample_seed"] == 2 * SEED_STRIDE + 4 and sample["split"] == "validation"
    np.testing.assert_array_equal(persons[-1]["image"], sample["image"])
    with pytest.raises(IndexError, match="5 samples"):
        persons[5]
    with pytest.raises(ValueError, match="train, validation, test"):
        SyntheticPersons("dev", 5)


def test_seeds_share_no_samples() -> None:
    assert sample_seed(SEED_STRIDE - 1, 0) < sample_seed(0, 1)
    with pytest.raises(ValueError, match="index"):
        sample_seed(SEED_STRIDE, 0)
    with pytest.raises(ValueError, match="seed"):
        sample_seed(0, -1)


def test_datasets_source(persons: SyntheticPersons, tmp_path: Path) -> None:
    built = build_dataset("validation", 5, seed=2, num_proc=2, image_size=SIZE, cache_dir=str(tmp_path))
    assert built.features == dataset.dataset_features()
    assert len(built) == 5
    for row, sample in zip(built, persons, strict=True):
        np.testing.assert_array_equal(np.asarray(row["image"]), sample["image"])
        np.testing.assert_array_equal(np.asarray(row["parts"]), sample["parts"])
        np.testing.assert_array_equal(np.float32(row["keypoints"]), sample["keypoints"])
        np.testing.assert_array_equal(np.float32(row["bbox"]), sample["bbox"])
        assert [row[key] for key in ("area", "stance", "split", "sample_seed")] == [
            sample[key] for key in ("area", "stance", "split", "sample_seed")
        ]


@pytest.mark.parametrize("num_proc", [1, 2])
def test_arrays(persons: SyntheticPersons, tmp_path: Path, num_proc: int) -> None:
    arrays = render_arrays("validation", 5, 2, num_proc, tmp_path, SIZE, progress=False)
    assert len(arrays) == 5
    for index, sample in enumerate(persons):
        np.testing.assert_array_equal(arrays.images[index], sample["image"])
        np.testing.assert_array_equal(arrays.parts[index], sample["parts"])
        np.testing.assert_array_equal(arrays.boxes[index], sample["bbox"])
        np.testing.assert_array_equal(arrays.keypoints[index], sample["keypoints"])
        assert arrays.areas[index] == sample["area"]
    assert [path.name[0] for path in tmp_path.iterdir()] == ["p"]  # one finished folder, no working one


def test_finished_arrays_are_opened_and_unfinished_ones_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = render_arrays("train", 2, 0, 1, tmp_path, SIZE, progress=False)

    def fail(*_: object) -> dict:
        raise RuntimeError("no rendering now")

    monkeypatch.setattr(dataset, "render_person", fail)
    again = render_arrays("train", 2, 0, 1, tmp_path, SIZE, progress=False)
    np.testing.assert_array_equal(first.images, again.images)
    with pytest.raises(RuntimeError, match="no rendering now"):
        render_arrays("train", 3, 0, 1, tmp_path, SIZE, progress=False)
    assert len(list(tmp_path.iterdir())) == 1


def test_contact_sheet(tmp_path: Path) -> None:
    contact_sheet(tmp_path / "sheet.png", "test", n=3, columns=2)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (2 * 3 * 192, 2 * 2 * 256)
    with pytest.raises(ValueError, match="task must be one of pose, parsing"):
        contact_sheet(tmp_path / "none.png", task="poses")
    with pytest.raises(ValueError, match="n and columns"):
        contact_sheet(tmp_path / "none.png", n=0)


@pytest.mark.parametrize("task", PREVIEWS)
def test_every_family_can_be_looked_at(tmp_path: Path, task: str) -> None:
    """The sheet of two samples holds two different pictures."""
    contact_sheet(tmp_path / "sheet.png", "validation", n=2, columns=2, task=task)
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet, np.int16)
    left, right = np.split(pixels, 2, axis=1)
    assert left.std() > 10 and np.abs(left - right).mean() > 3
