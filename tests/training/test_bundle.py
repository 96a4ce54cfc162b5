# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A finished run becomes a checkpoint whose card says what was measured."""

from __future__ import annotations

import json

import pytest

from hulk_hf.training import bundle as module
from hulk_hf.training.building import build_model, save_model
from hulk_hf.training.recipe import load_recipe

FIGURES = {"rendered": {"model": {"n": 10, "OKS": 0.5, "AP": 0.25}}}


@pytest.mark.parametrize("machine", [None, {"cores": 2, "threads": 1, "processes": 1}])
def test_a_run_becomes_a_checkpoint(tmp_path, monkeypatch, machine):
    calls = []

    def compare(checkpoint, photographs, cache):
        calls.append((checkpoint, photographs, cache))
        return FIGURES

    monkeypatch.setattr(module, "compare_poses", compare)
    run = tmp_path / "run"
    recipe = load_recipe("tiny-single-pose")
    save_model(build_model(recipe), run / "model")
    (run / "recipe.json").write_text(json.dumps(recipe.to_dict()))
    lines = [{"step": 600, "steps_per_second": 0.5}, {"step": 600, "task": "pose-coco", "validation": {"OKS": 0.4}}]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if machine is not None:
        (run / "machine.json").write_text(json.dumps(machine))

    output = tmp_path / "bundled"
    assert module.bundle(run, output=output, cache=tmp_path / "drawn") == FIGURES
    assert calls == [(run / "model", None, tmp_path / "drawn")]
    training = json.loads((output / "training.json").read_text())
    assert training["seconds"] == 1200 and training["machine"] == machine
    card = (output / "README.md").read_text()
    assert card.startswith("---\n") and card.count("license: apache-2.0") == 1
    assert "20 minutes of wall time" in card and f"{recipe.total_steps:,} steps" in card
    assert ("(processes: 1, cores: 2, threads: 1)" in card) == (machine is not None)
    assert "| rendered | model | 10 | 0.500 | 0.250 |" in card and "step 600: OKS 0.400" in card
    assert "never seen a photograph of a person" in card
