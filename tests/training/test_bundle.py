# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A finished run becomes a checkpoint whose card says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoProcessor

from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.tasks_hulk import FAMILIES
from hulk_hf.training import bundle as module
from hulk_hf.training.building import build_model, known_tokenizer, save_model
from hulk_hf.training.recipe import load_recipe

FIGURES = {"rendered": {"model": {"n": 10, "OKS": 0.5, "AP": 0.25}}}
TASKS = {"pose-coco": {"no look": {"OKS": 0.2, "n": 10}, "alone": {"OKS": 0.4}, "joint": {"OKS": 0.5}}}
MACHINE = {"cores": 2, "threads": 1, "processes": 2}


def finished_run(folder: Path, name: str, *overrides: str) -> Path:
    """A run as `train` leaves it, of a model that has learned nothing."""
    recipe = load_recipe(name, overrides)
    model = build_model(recipe)
    save_model(model, folder / "model", known_tokenizer(recipe, model))
    (folder / "recipe.json").write_text(json.dumps(recipe.to_dict()))
    times = {"time/data": 0.1, "time/forward": 0.7, "time/backward": 1.1, "time/optimizer": 0.1}
    lines = [
        {"step": 600, "steps_per_second": 0.5, "samples_per_second": 40.0, **times},
        {"step": 600, "task": "pose-coco", "validation": {"OKS": 0.4}},
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "machine.json").write_text(json.dumps(MACHINE))
    return folder


def test_runs_after_each_other_become_a_checkpoint(tmp_path, monkeypatch):
    calls = []

    def compare(checkpoint, photographs, cache):
        calls.append((checkpoint, photographs, cache))
        return FIGURES

    def compare_all(checkpoint, alone, samples, cache):
        calls.append((checkpoint, alone, samples, cache))
        return TASKS

    monkeypatch.setattr(module, "compare_poses", compare)
    monkeypatch.setattr(module, "compare_tasks", compare_all)
    first = finished_run(tmp_path / "first", "tiny-single-pose")
    output, drawn = tmp_path / "bundled", tmp_path / "drawn"
    assert len(module.bundle(first, output=output, cache=drawn)["runs"]) == 1
    assert calls == [(output, (), 500, drawn), (output, None, drawn)]

    second = finished_run(tmp_path / "second", "tiny-joint")
    training = module.bundle(second, output=output, cache=drawn, alone=(first,), samples=20)
    assert calls[2] == (output, (first,), 20, drawn)
    assert json.loads((output / "training.json").read_text()) == json.loads(json.dumps(training))
    assert [run["recipe"]["name"] for run in training["runs"]] == ["tiny-single-pose", "tiny-joint"]
    assert [run["seconds"] for run in training["runs"]] == [1200, 1200]
    card = (output / "README.md").read_text()
    assert card.startswith("---\n") and card.count("license: apache-2.0") == 1
    assert "two runs" not in card and "2 runs after each other" in card and "40 minutes of\nwall" in card
    steps = load_recipe("tiny-joint").total_steps
    assert f"* `tiny-joint`: {steps:,} steps" in card and "(processes: 2, cores: 2, threads: 1)" in card
    assert (
        "| rendered | model | 10 | 0.500 | 0.250 |" in card and "tiny-joint, pose-coco, OKS: step 600: 0.400" in card
    )
    assert "| pose-coco | OKS | 10 | 0.200 | 0.400 | 0.500 |" in card
    assert "never seen a photograph of a person" in card
    # It serves all its families, captions with their words.
    model = HulkForHumanAnalysis.from_pretrained(output)
    assert set(model.config.default_tasks) == set(FAMILIES)
    assert len(AutoProcessor.from_pretrained(output).tokenizer) == model.config.vocab_size
    assert (output / "model.safetensors").stat().st_size <= 13e6
    kept = HulkForHumanAnalysis.from_pretrained(second / "model")
    for name, parameter in model.named_parameters():
        assert parameter.dtype == torch.float32 and torch.equal(parameter, kept.get_parameter(name).half().float())


def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path):
    file = tmp_path / "model.safetensors"
    save_file({"small": torch.ones(2), "large": torch.tensor([1e6])}, file)
    with pytest.raises(ValueError, match=r"\['large'\] of .* do not fit into half precision"):
        module.store_in_half(file)
    assert load_file(file)["large"].item() == 1e6, "left as it was"
