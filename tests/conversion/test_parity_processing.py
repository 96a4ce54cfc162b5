# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Recordings of official pre- and post-processing: those at hand agree, altered ones do not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hulk_hf.conversion import parity_processing_text
from hulk_hf.conversion.parity_processing_text import VOCABULARY_VARIABLE, bert_vocabulary, check_caption_text
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.conversion.verify import main, verify_recording

# Those of pose are in test_verify.py.
NAMES = (
    "attributes_a",
    "caption_image_a",
    "caption_text_a",
    "detection_batch_a",
    "detection_input_a",
    "detection_target_a",
    "mesh_crop_a",
    "parsing_input_a",
    "parsing_output_a",
    "skeleton_a",
)


@pytest.fixture
def processing(shared) -> Path:
    """The folder of these recordings."""
    return shared / "golden" / "processing"


@pytest.fixture
def altered(processing, tmp_path):
    """Makes copies of a recording: `tensors` changes the tensors in place, `info` the JSON."""

    def make(name: str, tensors=None, info=None) -> Path:
        copy = tmp_path / f"altered_{name}.safetensors"
        loaded = load_file(processing / f"{name}.safetensors")
        if tensors is not None:
            tensors(loaded)
        save_file(loaded, copy)
        described = json.loads((processing / f"{name}.json").read_text())
        if info is not None:
            info(described)
        copy.with_suffix(".json").write_text(json.dumps(described))
        return copy

    return make


def failed_stages(path: Path) -> list[str]:
    return [comparison.stage for comparison in verify_recording(path).comparisons if not comparison.passed]


@pytest.mark.parametrize("name", NAMES)
def test_recordings_of_the_official_code_agree(processing, name, capsys):
    assert main([str(processing / f"{name}.json")]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.splitlines()[-1].startswith("verify: ok")


def test_every_recording_of_processing_is_tested(processing):
    found = {path.stem for path in processing.glob("*.json")}
    assert found == set(NAMES) | {name for name in found if name.startswith("pose_")}


def test_a_recording_is_known_by_its_name_or_by_that_in_its_json(processing, tmp_path, altered):
    assert verify_recording(altered("caption_image_a")).passed
    for suffix in (".json", ".safetensors"):
        shutil.copy(processing / f"attributes_a{suffix}", tmp_path / f"attributes_other_pictures{suffix}")
    assert verify_recording(tmp_path / "attributes_other_pictures.json").kind == "attribute inputs"


def test_differences_in_attributes_are_found(altered):
    def other_pixel(tensors):
        tensors["image_1"][2, 200, 100] ^= 1

    def other_label(tensors):
        tensors["train.label"][3, 60] += 1

    assert failed_stages(altered("attributes_a", other_pixel)) == ["picture 1"]
    assert failed_stages(altered("attributes_a", other_label)) == ["train labels"]
    moved = altered("attributes_a", lambda tensors: tensors["test.begin"].add_(1))
    with pytest.raises(RecordingError, match="no label space in the columns 55 to 80"):
        verify_recording(moved)


def test_an_unknown_gender_is_unknown(altered):
    """The release would learn the number 2; here it is no label."""

    def write_two(tensors):
        for name in ("label_raw.rap2", "train.label"):
            tensors[name][0, 39] = 2

    assert failed_stages(altered("attributes_a", write_two)) == []


def test_differences_in_captions_are_found(altered, monkeypatch):
    monkeypatch.setattr(parity_processing_text, "bert_vocabulary", lambda: None)

    def other_text(info):
        info["normalised"][0] += " "

    assert failed_stages(altered("caption_image_a", lambda tensors: tensors["image_0"].add_(1))) == [
        "picture 0",
    ]
    report = verify_recording(altered("caption_text_a", info=other_text))
    assert [comparison.difference for comparison in report.comparisons] == [1]
    assert "blue jeans' instead of" in report.comparisons[0].note
    assert set(report.left_out) == {"input_ids", "attention_mask", "decoded"}


# Words need a vocabulary of 30,522, of which a test can make one -----------------------------------------------------


@pytest.fixture
def vocabulary(tmp_path, monkeypatch) -> Path:
    words = [f"[unused{index}]" for index in range(30522)]
    words[0], words[100:104] = "[PAD]", ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words[1037], words[2158], words[1005], words[1055] = "a", "man", "'", "s"
    (tmp_path / "words.txt").write_text("\n".join(words), encoding="utf-8")
    monkeypatch.setenv(VOCABULARY_VARIABLE, str(tmp_path / "words.txt"))
    return tmp_path / "words.txt"


def recorded_text(**changes) -> Recording:
    info = {
        "captions": ["A man's  MAN.", "what man"],
        "normalised": ["a man's man", "what man"],
        "decoded": ["a man's man", "man"],
    }
    ids = torch.zeros(2, 41, dtype=torch.long)
    ids[0, :7] = torch.tensor([101, 1037, 2158, 1005, 1055, 2158, 102])
    ids[1, :4] = torch.tensor([101, 100, 2158, 102])
    tensors = {"input_ids": ids, "attention_mask": (ids > 0).long(), "token_type_ids": ids * 0}
    for name, value in changes.items():
        (tensors if name in tensors else info)[name] = value
    return Recording(Path("caption_text_test.safetensors"), tensors, info)


def test_words_are_compared_where_there_is_a_vocabulary(vocabulary):
    report = check_caption_text(recorded_text())
    assert report.passed and [line.stage for line in report.comparisons] == [
        "normalised",
        "input_ids",
        "attention_mask",
        "decoded",
    ]
    other = recorded_text().tensors["input_ids"] + torch.eye(2, 41, dtype=torch.long).flip(0)
    wrong = check_caption_text(recorded_text(input_ids=other))
    assert [line.stage for line in wrong.comparisons if not line.passed][0] == "input_ids"
    wrong = check_caption_text(recorded_text(decoded=["a man ' s man", "man"]))
    assert [line.stage for line in wrong.comparisons if not line.passed] == ["decoded"]


def test_a_vocabulary_of_another_size_is_refused(vocabulary):
    vocabulary.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", encoding="utf-8")
    with pytest.raises(ValueError, match="30522 words .* got 5"):
        check_caption_text(recorded_text())


def test_the_vocabulary_of_an_installed_package_is_found(tmp_path, monkeypatch):
    monkeypatch.delenv(VOCABULARY_VARIABLE, raising=False)
    monkeypatch.setattr(parity_processing_text, "_VOCABULARY_PACKAGE", "made_up_vocabulary")
    assert bert_vocabulary() is None
    (tmp_path / "made_up_vocabulary" / "model").mkdir(parents=True)
    (tmp_path / "made_up_vocabulary" / "__init__.py").touch()
    (tmp_path / "made_up_vocabulary" / "model" / "vocab.txt").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert bert_vocabulary() == tmp_path / "made_up_vocabulary" / "model" / "vocab.txt"


def test_texts_must_be_as_many_as_recorded(vocabulary):
    with pytest.raises(RecordingError, match="decoded: 1 texts are recorded, expected 2"):
        check_caption_text(recorded_text(decoded=["a"]))
