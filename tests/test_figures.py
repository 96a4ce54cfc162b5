# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The table of figures: what it compares, and that knowing the answer is worth what it should be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hulk_hf import HulkConfig, HulkForPoseEstimation, figures
from hulk_hf.training.label_features import load_label_features


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small pose model with random weights, for crops of 64x48."""
    task = {**HulkConfig(tasks=["pose-coco"]).tasks["pose-coco"], "image_size": [64, 48]}
    model = HulkForPoseEstimation(HulkConfig.preset("hulk-tiny", tasks={"pose-coco": task}))
    model.dense_head.label_features("pose-coco").copy_(load_label_features("pose-coco"))
    path = tmp_path_factory.mktemp("figures") / "model"
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def measured(checkpoint: Path, monkeypatch_module: pytest.MonkeyPatch) -> figures.Figures:
    monkeypatch_module.setattr(figures, "MEAN_POSE_SAMPLES", 16)
    return figures.compare_poses(checkpoint, samples=12, cache=checkpoint.parent / "data", progress=False)


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_three_answers_for_the_same_persons(measured: figures.Figures) -> None:
    assert set(measured) == {"rendered"}
    assert list(measured["rendered"]) == ["model", "untrained", "mean pose"]
    for values in measured["rendered"].values():
        assert values["n"] == 12 and 0 <= values["OKS"] <= 1


def test_the_mean_pose_knows_more_than_random_weights(measured: figures.Figures) -> None:
    answers = measured["rendered"]
    assert answers["mean pose"]["OKS"] > max(answers["model"]["OKS"], answers["untrained"]["OKS"])


def test_the_same_seed_gives_the_same_figures(
    checkpoint: Path, measured: figures.Figures, monkeypatch_module: pytest.MonkeyPatch
) -> None:
    again = figures.compare_poses(checkpoint, samples=12, cache=checkpoint.parent / "data", progress=False)
    assert again == measured


def test_photographs_are_measured_too(
    checkpoint: Path, shared: Path, measured: figures.Figures, monkeypatch_module: pytest.MonkeyPatch
) -> None:
    found = figures.compare_poses(
        checkpoint, samples=12, photographs=shared / "real" / "coco", cache=checkpoint.parent / "data", progress=False
    )
    assert found["rendered"] == measured["rendered"]
    assert found["photographs"]["model"]["n"] == 12


def test_the_table_has_a_row_for_each_answer() -> None:
    values = {"n": 3, "OKS": 0.5, "AP": float(np.float32(0.25))}
    table = figures.format_figures({"rendered": {"model": values, "mean pose": values}}).splitlines()
    assert table[0] == "| persons | answer | n | OKS | AP |"
    assert table[2] == "| rendered | model | 3 | 0.500 | 0.250 |"
    assert len(table) == 4


def test_other_joints_are_refused(tmp_path: Path) -> None:
    HulkForPoseEstimation(HulkConfig.preset("hulk-tiny", tasks=["pose-aic"])).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="17 joints of COCO"):
        figures.compare_poses(tmp_path, samples=1, cache=tmp_path / "data", progress=False)
