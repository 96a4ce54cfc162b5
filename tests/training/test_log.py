# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The log of a run: whole lines, means over restarts, and time that goes on."""

from __future__ import annotations

import json

import pytest

from hulk_hf.training.log import RunLog, describe_machine, elapsed_seconds, read_log


def test_a_line_cut_short_is_dropped_and_later_steps_too(tmp_path):
    path = tmp_path / "log.jsonl"
    whole = [{"step": 2, "loss": 0.5}, {"step": 4, "loss": 0.25}]
    path.write_text("".join(json.dumps(line) + "\n" for line in whole) + '{"step": 6, "lo', encoding="utf-8")
    assert read_log(path) == whole
    RunLog(path, 2)
    assert path.read_text(encoding="utf-8") == '{"step": 2, "loss": 0.5}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_broken_line_in_the_middle_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\nnonsense\n{"step": 2}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"log\.jsonl, line 2: expected JSON, got 'nonsense'"):
        read_log(path)


def test_a_log_continued_from_its_state_has_the_means_of_a_whole_one(tmp_path):
    terms = [{"loss": value} for value in (0.1, 0.7, 0.3, 0.9)]
    whole = RunLog(tmp_path / "whole.jsonl", 0)
    for term in terms:
        whole.add(term)
    expected = whole.flush(4, 0.1)["loss"]
    first = RunLog(tmp_path / "log.jsonl", 0)
    for term in terms[:2]:
        first.add(term)
    state = json.loads(json.dumps(first.state()))
    second = RunLog(tmp_path / "log.jsonl", 2, state=state)
    assert second.seconds >= state["seconds"] > 0
    for term in terms[2:]:
        second.add(term)
    assert second.flush(4, 0.1)["loss"] == expected
    assert read_log(tmp_path / "log.jsonl")[-1]["seconds"] == pytest.approx(second.seconds, abs=0.5)


def test_a_process_that_does_not_write_leaves_no_file(tmp_path):
    log = RunLog(tmp_path / "log.jsonl", 0, enabled=False)
    log.add({"loss": 1.0})
    assert log.flush(1, 0.1)["loss"] == 1.0
    assert not list(tmp_path.iterdir())


def test_seconds_are_those_noted_or_follow_from_the_speed():
    noted = [{"step": 10, "seconds": 4.0}, {"step": 20, "seconds": 9.0, "steps_per_second": 2.0}]
    old = [
        {"step": 100, "steps_per_second": 2.0},
        {"step": 100, "validation": {}},
        {"step": 130, "steps_per_second": 3},
    ]
    assert elapsed_seconds([]) == 0
    assert elapsed_seconds(noted) == 9
    assert elapsed_seconds(old) == 60
    assert elapsed_seconds([*old, {"step": 140, "seconds": 61.5, "steps_per_second": 1.0}]) == 61.5


def test_the_machine_is_described_with_counts():
    machine = describe_machine()
    assert machine["cores"] >= 1 and machine["threads"] >= 1
    assert json.loads(json.dumps(machine)) == machine
