# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The verbs `predict` and `info`: results, exit codes, and one line for a user's mistake."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from hulk_hf import BUNDLED_CHECKPOINT, HulkConfig, HulkForPoseEstimation
from hulk_hf.checkpoint_info import describe_checkpoint, format_checkpoint
from hulk_hf.cli import main


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


@pytest.fixture
def folder(tmp_path):
    for index in range(2):
        pixels = np.random.default_rng(index).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"p{index}.png")
    return tmp_path


def test_pictures(folder, capsys):
    boxes = folder / "boxes.json"
    boxes.write_text(json.dumps({"p0.png": [[5, 5, 40, 50], [30, 5, 45, 50]]}))
    assert run("predict", str(folder), "--boxes", str(boxes), "-o", str(folder / "out"), "--save", "--json") == 0
    streams = capsys.readouterr()
    lines = [json.loads(line) for line in streams.out.splitlines()]
    assert [len(line["persons"]) for line in lines] == [2, 0]
    assert "2 done, 0 done before, 0 not read" in streams.err
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["p0.json", "p0.png", "p1.json", "p1.png"]
    assert json.loads((folder / "out" / "p0.json").read_text()) == lines[0]


def test_an_unreadable_picture_is_named_and_the_code_is_1(folder, capsys):
    (folder / "p1.png").write_bytes(b"broken")
    assert run("predict", str(folder), "-o", str(folder / "out")) == 1
    told = capsys.readouterr().err
    assert "1 done, 0 done before, 1 not read" in told and f"not read: {folder / 'p1.png'}" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.png"], "neither a file nor a folder nor a URL"),
        (["nothing.mp4"], "source: no file 'nothing.mp4'"),
        (["p0.png", "--task", "speech"], "task: no task 'speech' in this checkpoint"),
        (["p0.png", "--detector", "no/such/detector"], "`detector` must be a hub name or folder"),
        (["p0.png", "--detector", "hulk", "--model", "pose"], "task: no task 'detection' in this checkpoint"),
        (["p0.png", "--boxes", "p0.png"], "boxes: p0.png cannot be read as JSON"),
        (["p0.png", "--output", "p1.png/inside"], "output: p1.png/inside"),
    ],
)
def test_mistakes(folder, monkeypatch, capsys, words, message):
    monkeypatch.chdir(folder)
    if "pose" in words:  # a model that cannot find people
        HulkForPoseEstimation(HulkConfig.preset("hulk-tiny")).save_pretrained("pose")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert run("predict", *words) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith("hulk-hf: error: ") and message in told


def test_info(capsys):
    assert run("info") == 0
    told = capsys.readouterr().out
    assert "* pose-coco" in told and "17 labels: nose" in told
    assert run("info", "--json") == 0
    content = json.loads(capsys.readouterr().out)
    assert content == describe_checkpoint(BUNDLED_CHECKPOINT)
    assert content["tasks"]["pose-coco"]["default"] and 5e6 < content["parameters"] < 7e6
    assert format_checkpoint(content) in told


def test_info_of_something_else(tmp_path, capsys):
    assert run("info", str(tmp_path / "nothing")) == 2
    assert "hulk-hf: error:" in capsys.readouterr().err
