# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs in real processes: seeded, resumed after SIGKILL, and on two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.training.initialization import initialize_from_scratch, whiten_patches
from hulk_hf.training.label_features import load_label_features
from hulk_hf.training.loop import build_model, parameter_groups, schedule_factor, train
from hulk_hf.training.recipe import load_recipe

SMALL = [
    "data.samples=24",
    "data.validation_samples=6",
    "stages=[{steps: 6, image_size: [64, 48], batch_size: 4}, {steps: 4, image_size: [96, 64], batch_size: 4}]",
    "log_every=2",
    "evaluate_every=5",
    "checkpoint_every=2",
    "optimizer.warmup_steps=2",
]


def start(output: Path, *overrides: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    program = (
        "import sys; from hulk_hf.training.loop import train; train(sys.argv[1], sys.argv[2], True, sys.argv[3:])"
    )
    script = output.parent / "run.py"
    script.write_text(program, encoding="utf-8")
    command = [sys.executable, *launcher, str(script), "tiny-single-pose", str(output), *SMALL, *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-3000:]
    return output


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    finish(start(run))
    return run


def test_a_run_leaves_a_usable_model_and_a_log(finished_run):
    model = HulkForPoseEstimation.from_pretrained(finished_run / "model")
    assert torch.isfinite(model.eval()(torch.zeros(1, 3, 192, 144)).heatmaps).all()
    lines = [json.loads(line) for line in (finished_run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [2, 4, 6, 8, 10]
    assert [line["step"] for line in lines if "validation" in line] == [5, 10]
    assert not list((finished_run / "checkpoints").glob(".*")), "no half checkpoint is left"


@pytest.mark.distributed
def test_a_killed_run_resumes_to_the_same_bits(finished_run, tmp_path):
    run = tmp_path / "killed"
    (tmp_path / "data").symlink_to(finished_run.parent / "data")
    process = start(run)
    deadline = time.monotonic() + 200
    while not list((run / "checkpoints").glob("step-000004")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stdout.read()[-3000:]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (run / "model").exists(), "the run was killed before its end"
    finish(start(run))
    whole, resumed = weights(finished_run), weights(run)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert steps == sorted(steps), "no step is logged twice"


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(finished_run, tmp_path):
    (tmp_path / "data").symlink_to(finished_run.parent / "data")
    finish(start(tmp_path / "same"))
    finish(start(tmp_path / "other", "seed=1"))
    whole, same, other = weights(finished_run), weights(tmp_path / "same"), weights(tmp_path / "other")
    assert all(torch.equal(whole[name], same[name]) for name in whole)
    assert not all(torch.equal(whole[name], other[name]) for name in whole)


def test_another_recipe_does_not_continue_a_run(finished_run):
    with pytest.raises(ValueError, match=r"another recipe \(different: \['optimizer'\]\).*--no-resume"):
        train("tiny-single-pose", finished_run, overrides=[*SMALL, "optimizer.learning_rate=1"], progress=False)


@pytest.mark.distributed
def test_two_processes_take_the_steps_of_one_with_twice_the_batch(finished_run, tmp_path):
    (tmp_path / "data").symlink_to(finished_run.parent / "data")
    still = "augmentation={scale: [1, 1], shift: 0, rotation: 0, rotation_probability: 0, flip_probability: 0, "
    still += "colour: 0, erase_probability: 0}"
    stage = "stages=[{{steps: 3, image_size: [64, 48], batch_size: {}}}]"
    # A small rate: AdamW turns rounding errors of tiny gradients into whole steps.
    shared = [still, "evaluate_every=3", "optimizer.learning_rate=1e-5"]
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0")
    finish(start(tmp_path / "two", stage.format(4), *shared, launcher=launcher))
    finish(start(tmp_path / "one", stage.format(8), *shared))
    two, one = weights(tmp_path / "two"), weights(tmp_path / "one")
    assert all(torch.allclose(two[name], one[name], atol=1e-5) for name in one)
    log = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 3 and "validation" in log[-1]


def test_a_loss_that_is_no_number_stops_with_its_batch(finished_run, tmp_path):
    (tmp_path / "data").symlink_to(finished_run.parent / "data")
    overrides = [*SMALL, "optimizer.learning_rate=1e30", "optimizer.gradient_clip=1e30", "optimizer.warmup_steps=0"]
    with pytest.raises(FloatingPointError, match=r"step \d+: .*bad_batch"):
        train("tiny-single-pose", tmp_path / "nan", overrides=overrides, progress=False)
    saved = torch.load(tmp_path / "nan" / "bad_batch.pt", weights_only=True)
    assert saved["batch"]["pixel_values"].shape[0] == 4


def test_start_from_scratch_lets_queries_attend_near_their_place():
    model = build_model(load_recipe("tiny-single-pose")).eval()
    decoder = model.hulk.decoder
    table = decoder.positions(12, 9)
    assert torch.allclose(decoder.position_mlp_2d(table), 2 * table, atol=1e-5)
    attention = decoder.layers[0].attention
    placed = 2 * table
    scores = attention.q_proj(placed) @ attention.k_proj(placed).T
    assert (scores.argmax(-1) == torch.arange(len(table))).float().mean() > 0.9
    labels = torch.nn.functional.normalize(model.dense_head.label_proj(model.dense_head.label_features("pose-coco")))
    assert torch.allclose(labels @ labels.T, torch.eye(17), atol=1e-3)


def test_whitened_patches_are_uncorrelated_and_of_one_size():
    model = build_model(load_recipe("tiny-single-pose"))
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(200, 3, 8, 6, generator=random)
    fine = torch.rand(200, 3, 128, 96, generator=random)
    crops = torch.nn.functional.interpolate(coarse, size=(128, 96), mode="bicubic") * 4 + fine
    tokenizer = model.hulk.tokenizers["image"]
    before = torch.cov(tokenizer.projection(crops).flatten(2).transpose(1, 2).flatten(0, 1).T.double())
    whiten_patches(model, crops)
    tokens = tokenizer.projection(crops).flatten(2).transpose(1, 2).flatten(0, 1)
    after = torch.cov(tokens.T.double())
    assert tokens.mean(0).abs().max() < 1e-3
    spread = lambda covariance: covariance.diagonal().sum() / torch.linalg.matrix_norm(covariance)  # noqa: E731
    assert spread(before) < 4, "a few directions hold all of the variance"
    assert spread(after) > 0.9 * 256**0.5, "all directions hold about the same"


def test_whitening_a_handful_of_crops_stays_finite():
    model = build_model(load_recipe("tiny-single-pose"))
    whiten_patches(model, torch.zeros(1, 3, 32, 32))
    assert torch.isfinite(model.hulk.tokenizers["image"].projection.weight).all()


def test_start_from_scratch_wants_features_of_the_right_shape():
    model = build_model(load_recipe("tiny-single-pose"))
    with pytest.raises(ValueError, match=r"label_features\['pose-coco'\]: expected shape \(17, 384\), got \(3, 4\)"):
        initialize_from_scratch(model, {"pose-coco": torch.zeros(3, 4)})
    with pytest.raises(ValueError, match="pose-aic"):
        load_label_features("pose-aic")


def test_schedule_and_decay_groups():
    recipe = load_recipe("tiny-single-pose", ["stages=[{steps: 110}]", "optimizer.warmup_steps=10"])
    assert schedule_factor(0, recipe) == pytest.approx(0.1)
    assert schedule_factor(10, recipe) == pytest.approx(1.0)
    assert schedule_factor(60, recipe) == pytest.approx(0.5)
    assert schedule_factor(110, recipe) == pytest.approx(0.0, abs=1e-12)
    model = build_model(recipe)
    decayed, free = parameter_groups(model, recipe)
    assert all(parameter.ndim >= 2 for parameter in decayed["params"])
    total = sum(parameter.numel() for parameter in model.parameters())
    assert sum(p.numel() for group in (decayed, free) for p in group["params"]) == total
    assert any(p is model.hulk.decoder.queries["pose"].weight for p in free["params"])
