# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""`verify` takes recordings of skeleton processing, all that is in them, and notices what differs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hulk_hf.conversion.recordings import RecordingError
from hulk_hf.conversion.verify import main, verify_recording


@pytest.fixture
def change(shared, tmp_path):
    """Makes an altered copy of the recording: `tensors` is changed in place, then `info`."""

    def make(tensors=None, info=None, name: str = "skeleton_b") -> Path:
        path = shared / "golden" / "processing" / "skeleton_a.safetensors"
        loaded, described = load_file(path), json.loads(path.with_suffix(".json").read_text())
        if tensors is not None:
            tensors(loaded)
        if info is not None:
            info(described)
        copy = tmp_path / f"{name}.safetensors"
        save_file(loaded, copy)
        copy.with_suffix(".json").write_text(json.dumps(described))
        return copy

    return make


def failed(path: Path) -> list[str]:
    return [line.stage for line in verify_recording(path).comparisons if not line.passed]


def test_the_recording_agrees(shared, capsys):
    assert main([str(shared / "golden" / "processing" / "skeleton_a.json")]) == 0, capsys.readouterr().out


def test_everything_recorded_is_compared(shared):
    report = verify_recording(shared / "golden" / "processing" / "skeleton_a.safetensors")
    stages = [line.stage for line in report.comparisons]
    assert len(stages) == 7 * 4 + 2 + 2 + 2
    assert stages[-6:] == [
        "list.frames with a person",
        "list.normalised",
        "multi.frames, of case5",
        "multi.input of the network, of case5",
        "train.rotated, of case2",
        "train.scaled, of case2",
    ]


@pytest.mark.parametrize(
    ("name", "place", "step", "stage"),
    [
        ("case3.normalised", (0, 0, 0, 0), 1e-5, "case3.normalised"),
        ("case1.frame_inds", (30,), 1, "case1.frames, drawn"),
        ("case1.frame_inds_seeded", (0,), 1, "case1.frames, seeded"),
        ("case5.output", (0, 1, 100, 3, 2), 1e-5, "case5.input of the network"),
        ("list.normalised", (1, 9, 2, 0), 1e-5, "list.normalised"),
        ("list.total_frames", (0,), 1, "list.frames with a person"),
        ("multi.frame_inds", (300,), 1, "multi.frames, of case5"),
        ("multi.output", (3, 1, 100, 3, 2), 1e-5, "multi.input of the network, of case5"),
        ("train.rotated", (0, 1, 100, 3, 2), 1e-5, "train.rotated, of case2"),
        ("train.scaled", (0, 1, 100, 3, 2), 1e-5, "train.scaled, of case2"),
    ],
)
def test_a_difference_is_noticed(change, name, place, step, stage):
    def alter(tensors):
        tensors[name][place] += step

    assert failed(change(alter)) == [stage]


def test_another_seed_gives_other_frames(change):
    def alter(info):
        info["cases"][4]["seed"] += 1

    assert failed(change(info=alter)) == ["case4.frames, drawn", "case4.input of the network"]


def test_parts_of_it_will_do(change):
    def alter(tensors):
        for name in [name for name in tensors if not name.startswith("case6.")]:
            del tensors[name]
        del tensors["case6.frame_inds"]

    report = verify_recording(change(alter))
    assert report.passed and [line.stage for line in report.comparisons] == [
        "case6.normalised",
        "case6.frames, seeded",
        "case6.input of the network",
    ]


def test_a_recording_under_another_name_is_known_by_its_json(change):
    assert verify_recording(change(name="other")).passed


def test_without_skeletons_there_is_nothing_to_compare(change):
    def alter(tensors):
        for name in [name for name in tensors if name != "case0.output"]:
            del tensors[name]

    with pytest.raises(RecordingError, match="skeleton_b.safetensors holds no skeletons"):
        verify_recording(change(alter))


def test_frames_of_other_numbers_of_joints(change):
    """Half the joints, recorded by arithmetic of its own."""

    def alter(tensors):
        keypoint, score = tensors["case0.keypoint"][:, :, :8].clone(), tensors["case0.score"][:, :, :8].clone()
        frames = tensors["case0.frame_inds"]
        for name in list(tensors):
            del tensors[name]
        clip = np.concatenate([keypoint.numpy(), score.numpy()[..., None]], axis=-1).astype(np.float64)
        seen = clip[..., 2] > 0.01
        for axis in (0, 1):
            low, high = clip[..., axis][seen].min(), clip[..., axis][seen].max()
            clip[..., axis] = np.where(seen, (clip[..., axis] - (low + high) / 2) / (high - low) * 2, 0)
        output = np.zeros((1, 2, 175, 8, 3))
        output[0, 0] = clip[0, frames.numpy()]
        tensors |= {"case0.keypoint": keypoint, "case0.score": score, "case0.frame_inds": frames}
        tensors["case0.normalised"] = torch.from_numpy(clip).float()
        tensors["case0.output"] = torch.from_numpy(output).float()

    report = verify_recording(change(alter))
    assert report.passed and len(report.comparisons) == 3
