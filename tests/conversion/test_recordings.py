# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Reading recordings, and what is said when one cannot be read."""

from __future__ import annotations

import pytest
import torch

from hulk_hf.conversion.recordings import RecordingError, read_recording, recording_path


@pytest.fixture
def path(recorder, tmp_path):
    tensors = {"sd.a.b": torch.ones(2), "in.x": torch.zeros(1)}
    return recorder.write(tmp_path / "r.safetensors", tensors, {"task": 8, "config": {"depth": None}})


def test_either_file_may_be_named(path):
    assert recording_path(path.with_suffix(".json")) == path
    for name in (path, str(path), path.with_suffix(".json")):
        recording = read_recording(name)
        assert recording.name == "r" and set(recording.tensors) == {"sd.a.b", "in.x"}


def test_groups_tensors_and_fields(path):
    recording = read_recording(path)
    assert list(recording.group("sd.")) == ["a.b"]
    assert recording.tensor("in.x").shape == (1,)
    assert recording.field("task") == 8
    assert recording.field("config.depth") is None
    assert recording.field("config.width", 3) == 3
    assert recording.field("task.inner", None) is None


def test_what_is_missing_is_named(path):
    recording = read_recording(path)
    with pytest.raises(RecordingError, match=r"r.safetensors holds no tensor 'out.y'"):
        recording.tensor("out.y")
    with pytest.raises(RecordingError, match=r"r.json has no field 'config.width'"):
        recording.field("config.width")


def test_a_recording_without_json_can_be_read_but_has_no_fields(path):
    path.with_suffix(".json").unlink()
    recording = read_recording(path)
    assert recording.info is None
    with pytest.raises(RecordingError, match="r.json is missing beside r.safetensors"):
        recording.field("task", 8)


@pytest.mark.parametrize(("name", "message"), [("r.pth", "expected a .safetensors"), ("none.json", "does not exist")])
def test_files_of_another_kind_or_place_are_refused(path, name, message):
    with pytest.raises(RecordingError, match=message):
        read_recording(path.parent / name)


@pytest.mark.parametrize(("text", "message"), [("[1]", "expected an object, got list"), ("{", "not a readable JSON")])
def test_a_json_of_another_form_is_refused(path, text, message):
    path.with_suffix(".json").write_text(text)
    with pytest.raises(RecordingError, match=message):
        read_recording(path)
