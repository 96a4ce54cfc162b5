# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Pre- and post-processing of parsing and detection against the recordings of the official code."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hulk_hf.conversion import parity_processing_detection, parity_processing_parsing
from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.recordings import RecordingError, read_recording
from hulk_hf.conversion.verify import find_check, verify_recording

# Recording -> its check, and how many lines its table has at least.
KINDS = {
    "parsing_input_a": (parity_processing_parsing.check_input, 22),
    "parsing_output_a": (parity_processing_parsing.check_output, 8),
    "detection_input_a": (parity_processing_detection.check_input, 5),
    "detection_batch_a": (parity_processing_detection.check_batch, 5),
    "detection_target_a": (parity_processing_detection.check_targets, 15),
}


@pytest.mark.parametrize("name", KINDS)
def test_recordings_are_reproduced(shared, name):
    check, lines = KINDS[name]
    path = shared / "golden" / "processing" / f"{name}.json"
    assert find_check(read_recording(path)) is check
    report = verify_recording(path)
    wrong = [comparison for comparison in report.comparisons if not comparison.passed]
    assert not wrong and len(report.comparisons) >= lines


def failed(report: Report) -> list[str]:
    return [comparison.stage for comparison in report.comparisons if not comparison.passed]


def changed(values: torch.Tensor) -> torch.Tensor:
    """The tensor with the first value that is not zero altered."""
    values = values.clone()
    row = int(values.flatten().ne(0).nonzero()[0])
    values.view(-1)[row] = 0 if values.dtype == torch.bool else values.flatten()[row] + 1
    return values


# Recording -> tensor of it that is altered -> the line of the table that has to notice, the only ones that do.
NOTICED = {
    "detection_input_a": {"size_table": "sizes", "size_table_train": "sizes in training"},
    "detection_batch_a": {
        "batch": "batch",
        "mask": "mask",
        "normalised_padded": "normalised and padded",
        "token_mask": "mask of tokens",
    },
    "detection_target_a": {
        "prepared.boxes": "prepared: boxes",
        "hflip.boxes": "mirrored: boxes",
        "crop.area": "cropped: area",
        "test.boxes": "test: boxes",
        "test.boxes_cxcywh": "test: boxes as the loss takes them",
    },
    "parsing_input_a": {
        "image_1": "image_1",
        "encode.task19": "parsing-h36m: labels of raw values",
        "lip.label_0": "lip.label_0",
        "h36m.eval_label_every8": "h36m.eval_label",
        "train.label_flipped": "train.label_flipped",
        "train.label_480": "train.label_480",
    },
    "parsing_output_a": {
        "lip.argmax_1": "lip.argmax_1",
        "h36m.argmax_every3": "h36m.argmax_every3",
        "h36m.sem_seg_every50": "h36m.sem_seg_every50",
    },
}


@pytest.mark.parametrize("name", NOTICED)
def test_other_values_are_noticed(shared, name):
    recording = read_recording(shared / "golden" / "processing" / f"{name}.json")
    tensors = {key: changed(value) if key in NOTICED[name] else value for key, value in recording.tensors.items()}
    assert sorted(failed(KINDS[name][0](replace(recording, tensors=tensors)))) == sorted(NOTICED[name].values())


def test_other_pairs_of_left_and_right_are_noticed(shared):
    recording = read_recording(shared / "golden" / "processing" / "parsing_input_a.json")
    info = {**recording.info, "left_right_pairs_encoded": {"17": [[14, 15], [16, 17], [18, 12]], "20": None}}
    assert failed(parity_processing_parsing.check_input(replace(recording, info=info))) == [
        "parsing-lip: pairs of left and right"
    ]


def test_a_recording_without_results_proves_nothing(shared):
    recording = read_recording(shared / "golden" / "processing" / "parsing_output_a.json")
    maps = {name: value for name, value in recording.tensors.items() if "argmax" not in name and "sem_seg" not in name}
    with pytest.raises(RecordingError, match="no result of lip_0"):
        parity_processing_parsing.check_output(replace(recording, tensors=maps))
    assert not parity_processing_parsing.check_output(replace(recording, tensors={})).passed
