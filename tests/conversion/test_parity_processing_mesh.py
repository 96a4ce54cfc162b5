# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`verify` takes recordings of mesh crops, all that is in them, and notices what differs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from hulk_hf.conversion.recordings import RecordingError
from hulk_hf.conversion.verify import main, verify_recording


@pytest.fixture
def change(shared, tmp_path):
    """Makes an altered copy of the recording: `tensors` is changed in place, then `info`."""

    def make(tensors=None, info=None) -> Path:
        path = shared / "golden" / "processing" / "mesh_crop_a.safetensors"
        loaded, described = load_file(path), json.loads(path.with_suffix(".json").read_text())
        if tensors is not None:
            tensors(loaded)
        if info is not None:
            info(described)
        copy = tmp_path / "mesh_crop_b.safetensors"
        save_file(loaded, copy)
        copy.with_suffix(".json").write_text(json.dumps(described))
        return copy

    return make


def failed(path: Path) -> list[str]:
    return [line.stage for line in verify_recording(path).comparisons if not line.passed]


def test_the_recording_agrees(shared, capsys):
    assert main([str(shared / "golden" / "processing" / "mesh_crop_a.json")]) == 0, capsys.readouterr().out


def test_everything_recorded_is_compared(shared):
    report = verify_recording(shared / "golden" / "processing" / "mesh_crop_a.safetensors")
    assert len(report.comparisons) == 8 * 3 + 4
    assert max(line.difference for line in report.comparisons) < 1e-4  # the tolerance of crops is 1e-2


@pytest.mark.parametrize(
    ("name", "place", "step", "stage"),
    [
        ("case0.crop", (0, 100, 100), 0.02, "case0.crop"),
        ("case6.crop_every4", (2, 55, 0), 0.02, "case6.crop, every fourth pixel"),
        ("case3.joints", (5, 1), 1 / 112, "case3.joints"),
        ("case3.joints", (5, 2), 1e-5, "case3.joints"),
        ("train.crop_every4", (2, 30, 20), 0.02, "train.crop, every fourth pixel"),
        ("train.joints", (5, 1), 1 / 112, "train.joints"),
        ("train.joints3d", (5, 1), 1e-5, "train.joints in space"),
        ("train.pose", (2,), 1e-5, "train.angles"),
    ],
)
def test_a_difference_is_noticed(change, name, place, step, stage):
    def alter(tensors):
        tensors[name][place] += step

    assert failed(change(alter)) == [stage]


def test_other_edges_are_noticed(change):
    def alter(info):
        info["cases"][5]["ul"][0] -= 1

    assert failed(change(info=alter)) == ["case5.whole pixels"]


def test_a_turn_the_other_way_is_noticed(change):
    def alter(info):
        info["training"]["rotation"] *= -1

    assert failed(change(info=alter)) == [
        "train.crop, every fourth pixel",
        "train.joints",
        "train.joints in space",
        "train.angles",
    ]


def test_training_without_a_mirror_and_crops_of_other_pictures(change):
    """Recorded with arithmetic of its own: a crop of the size of its square, and a body that is only turned."""
    picture = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")

    def alter(tensors):
        joints = tensors["train.joints3d_in"].clone()
        for name in list(tensors):
            del tensors[name]
        tensors["image_png_1"] = torch.from_numpy(np.frombuffer(buffer.getvalue(), np.uint8).copy())
        tensors["case0.crop"] = torch.from_numpy(picture[38:262, 88:312]).permute(2, 0, 1).float().contiguous()
        turned = joints.clone()  # by a quarter: x becomes y and y becomes -x, upwards
        turned[:, 0], turned[:, 1] = joints[:, 1], -joints[:, 0]
        tensors |= {"train.joints3d_in": joints, "train.joints3d": turned.float()}

    def describe(info):
        info["cases"] = [{"center": [200.2, 150.2], "scale": 1.12, "ul": [88, 38], "br": [312, 262], "image_index": 1}]
        info["training"] = {
            "center": [200.2, 150.2],
            "scale": 1.12,
            "rotation": 90.0,
            "flip": False,
            "gain": [1, 1, 1],
        }
        info["training"]["image_index"] = 1

    report = verify_recording(change(alter, describe))
    assert report.passed and [line.stage for line in report.comparisons] == [
        "case0.whole pixels",
        "case0.crop",
        "train.joints in space",
    ]


def test_without_crops_there_is_nothing_to_compare(change):
    def alter(tensors):
        for name in [name for name in tensors if name.startswith(("case", "train"))]:
            del tensors[name]

    with pytest.raises(RecordingError, match="mesh_crop_b.safetensors holds no crops or joints of a case"):
        verify_recording(change(alter))
