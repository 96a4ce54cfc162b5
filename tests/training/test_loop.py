# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs in real processes: seeded, resumed after SIGKILL, and on two processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.training.building import build_model
from hulk_hf.training.checkpoints import find_checkpoints
from hulk_hf.training.initialization import initialize_from_scratch, whiten_patches
from hulk_hf.training.label_features import load_label_features
from hulk_hf.training.log import read_log
from hulk_hf.training.loop import check_is_run, train
from hulk_hf.training.recipe import load_recipe

SMALL = [
    "data.samples=24",
    "data.validation_samples=6",
    "stages=[{steps: 6, image_size: [64, 48], batch_size: 4}, {steps: 4, image_size: [96, 64], batch_size: 4}]",
    "log_every=3",  # no divisor of the steps between checkpoints
    "evaluate_every=5",
    "checkpoint_every=2",
    "optimizer.warmup_steps=2",
]


def start(output: Path, cache: Path, *overrides: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen:
    program = (
        "import sys; from hulk_hf.training.loop import train; "
        "train(sys.argv[1], sys.argv[2], overrides=sys.argv[4:], cache=sys.argv[3])"
    )
    script = output.parent / "run.py"
    script.write_text(program, encoding="utf-8")
    words = ("tiny-single-pose", str(output), str(cache), *SMALL, *overrides)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, *launcher, str(script), *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-3000:]
    return output


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def losses(run: Path) -> list[dict]:
    """The lines of the log with what the clock says left out."""
    lines = read_log(run / "log.jsonl")
    clock = ("seconds", "steps_per_second", "samples_per_second")
    return [
        {name: value for name, value in line.items() if name not in clock and not name.startswith("time/")}
        for line in lines
    ]


@pytest.fixture(autouse=True)
def one_thread():
    """Runs of this interpreter are compared bit by bit with runs of others, which have one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("rendered")


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, cache) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    finish(start(run, cache))
    return run


def test_a_run_leaves_a_usable_model_and_a_log(finished_run, cache):
    model = HulkForPoseEstimation.from_pretrained(finished_run / "model")
    assert torch.isfinite(model.eval()(torch.zeros(1, 3, 192, 144)).heatmaps).all()
    lines = read_log(finished_run / "log.jsonl")
    assert [line["step"] for line in lines if "loss" in line] == [3, 6, 9, 10]
    assert [line["step"] for line in lines if "validation" in line] == [5, 10]
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds) and seconds[0] > 0
    machine = json.loads((finished_run / "machine.json").read_text())
    assert machine["cores"] >= 1 and machine["threads"] == 1 and machine["processes"] == 1
    assert not list((finished_run / "checkpoints").glob(".*")), "no half checkpoint is left"
    assert {path.name for path in finished_run.parent.iterdir()} == {"run.py", "whole"}
    assert len(list(cache.iterdir())) == 2, "the people are rendered where one says"


def test_mkl_is_asked_for_the_same_bits_everywhere(monkeypatch, tmp_path):
    monkeypatch.delenv("MKL_CBWR", raising=False)
    with pytest.raises(ValueError, match="no-such-recipe"):
        train("no-such-recipe", tmp_path)
    assert os.environ["MKL_CBWR"] == "AUTO,STRICT"


@pytest.mark.distributed
def test_runs_of_other_precision_follow_each_other_in_one_interpreter(cache, tmp_path):
    stage = "stages=[{steps: 1, image_size: [64, 48], batch_size: 2}]"
    for precision in ("none", "bf16"):
        overrides = [*SMALL, stage, f"mixed_precision={precision}"]
        train("tiny-single-pose", tmp_path / precision, overrides=overrides, progress=False, cache=cache)
    plain, mixed = weights(tmp_path / "none"), weights(tmp_path / "bf16")
    assert {tensor.dtype for tensor in mixed.values()} == {torch.float32}
    assert not all(torch.equal(plain[name], mixed[name]) for name in plain)


def test_a_killed_run_resumes_to_the_same_bits(finished_run, cache, tmp_path):
    run = tmp_path / "killed"
    process = start(run, cache)
    deadline = time.monotonic() + 200
    while not list((run / "checkpoints").glob("step-000004")) and time.monotonic() < deadline:
        assert process.poll() is None, process.stdout.read()[-3000:]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (run / "model").exists(), "the run was killed before its end"
    with (run / "log.jsonl").open("a") as log:
        log.write('{"loss": 0.1, "st')  # as a kill in the middle of writing leaves it
    finish(start(run, cache))
    whole, resumed = weights(finished_run), weights(run)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert losses(run) == losses(finished_run)
    seconds = [line["seconds"] for line in read_log(run / "log.jsonl")]
    assert seconds == sorted(seconds), "time goes on over a kill"


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(finished_run, cache, tmp_path):
    for name, seed in (("same", 0), ("other", 1)):
        overrides = [*SMALL, f"seed={seed}"]
        train("tiny-single-pose", tmp_path / name, overrides=overrides, progress=False, cache=cache)
    whole, same, other = weights(finished_run), weights(tmp_path / "same"), weights(tmp_path / "other")
    assert all(torch.equal(whole[name], same[name]) for name in whole)
    assert not all(torch.equal(whole[name], other[name]) for name in whole)


@pytest.mark.slow
def test_two_hundred_steps_give_the_same_losses_twice(cache, tmp_path):
    stage = "stages=[{steps: 200, image_size: [64, 48], batch_size: 4}]"
    more = (stage, "log_every=10", "evaluate_every=200", "checkpoint_every=200")
    for name in ("first", "second"):
        finish(start(tmp_path / name, cache, *more))
    first, second = losses(tmp_path / "first"), losses(tmp_path / "second")
    assert len(first) == 21 and first == second
    assert first[-2]["loss"] < first[0]["loss"], "it is training that is repeated"


def copy_before_the_end(run: Path, copy: Path) -> Path:
    """A copy of a run as it was two steps before its end."""
    shutil.copytree(run, copy)
    newest = find_checkpoints(copy / "checkpoints")[-1][1]
    shutil.rmtree(newest)
    shutil.rmtree(copy / "model")
    return copy


def test_random_layers_go_on_where_they_stopped(finished_run, cache, tmp_path):
    config = HulkForPoseEstimation.from_pretrained(finished_run / "model").config
    config.vision_config.drop_path_rate = 0.5
    torch.manual_seed(0)
    HulkForPoseEstimation(config).save_pretrained(tmp_path / "start")
    stage = "stages=[{steps: 4, image_size: [64, 48], batch_size: 4}]"
    overrides = [*SMALL, stage, f"model.start_from={tmp_path / 'start'}", "evaluate_every=4"]
    train("tiny-single-pose", tmp_path / "whole", overrides=overrides, progress=False, cache=cache)
    resumed = copy_before_the_end(tmp_path / "whole", tmp_path / "resumed")
    train("tiny-single-pose", resumed, overrides=overrides, progress=False, cache=cache)
    whole, again = weights(tmp_path / "whole"), weights(resumed)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_another_recipe_does_not_continue_a_run(finished_run, cache):
    before = (finished_run / "recipe.json").read_bytes()
    overrides = [*SMALL, "optimizer.learning_rate=1"]
    with pytest.raises(ValueError, match=r"\(different: \['optimizer\.learning_rate'\]\).*--no-resume"):
        train("tiny-single-pose", finished_run, overrides=overrides, progress=False, cache=cache)
    assert (finished_run / "recipe.json").read_bytes() == before


def test_what_no_weight_depends_on_may_change_on_the_way(finished_run, cache, tmp_path):
    run = copy_before_the_end(finished_run, tmp_path / "run")
    free = ["data.workers=1", "data.validation_samples=5", "log_every=1", "evaluate_every=1", "checkpoint_every=1"]
    free += ["keep_checkpoints=1", "description=reworded"]
    train("tiny-single-pose", run, overrides=[*SMALL, *free], progress=False, cache=cache)
    whole, resumed = weights(finished_run), weights(run)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert json.loads((run / "recipe.json").read_text())["description"] == "reworded"


def test_a_run_of_the_first_version_goes_on(finished_run, cache, tmp_path):
    """Its checkpoints know nothing of the log, and its log nothing of seconds."""
    run = copy_before_the_end(finished_run, tmp_path / "run")
    file = find_checkpoints(run / "checkpoints")[-1][1] / "run.json"
    stored = json.loads(file.read_text())
    del stored["log"]
    file.write_text(json.dumps(stored))
    lines = [{name: line[name] for name in line.keys() - {"seconds"}} for line in read_log(run / "log.jsonl")]
    (run / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    train("tiny-single-pose", run, overrides=SMALL, progress=False, cache=cache)
    whole, resumed = weights(finished_run), weights(run)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    log = read_log(run / "log.jsonl")
    derived = 3 / lines[0]["steps_per_second"] + 3 / lines[2]["steps_per_second"]
    assert log[-1]["step"] == 10 and log[-1]["seconds"] > derived


def test_starting_over_deletes_runs_and_nothing_else(finished_run, tmp_path):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mother.txt").write_text("Dear")
    with pytest.raises(ValueError, match=r"output: .*letters holds something, but no run"):
        train("tiny-single-pose", tmp_path / "letters", resume=False, overrides=SMALL, progress=False)
    assert (tmp_path / "letters" / "mother.txt").read_text() == "Dear"
    with pytest.raises(ValueError, match=r"output: .*mother\.txt is no folder"):
        check_is_run(tmp_path / "letters" / "mother.txt")
    (tmp_path / "empty").mkdir()
    check_is_run(tmp_path / "empty")
    check_is_run(finished_run)


def test_starting_over_leaves_nothing_of_the_earlier_run(finished_run, cache, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished_run, run)
    overrides = [*SMALL, "stages=[{steps: 1, image_size: [64, 48], batch_size: 2}]"]
    train("tiny-single-pose", run, resume=False, overrides=overrides, progress=False, cache=cache)
    assert [line["step"] for line in read_log(run / "log.jsonl")] == [1, 1]
    assert [step for step, _ in find_checkpoints(run / "checkpoints")] == [1]


@pytest.mark.distributed
def test_two_processes_take_the_steps_of_one_with_twice_the_micro_steps(finished_run, cache, tmp_path):
    stage = "stages=[{steps: 3, image_size: [64, 48], batch_size: 4}]"
    # A small rate: AdamW turns rounding errors of tiny gradients into whole steps.
    # In bfloat16, sums in another order would differ by more.
    shared = [stage, "tasks.0.slots=2", "evaluate_every=3", "optimizer.learning_rate=1e-5", "mixed_precision=none"]
    launcher = ("-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1", "--nproc_per_node", "2")
    finish(start(tmp_path / "two", cache, *shared, launcher=launcher))
    finish(start(tmp_path / "one", cache, *shared))
    two, one = weights(tmp_path / "two"), weights(tmp_path / "one")
    far = {name: (two[name] - one[name]).abs().max().item() for name in one}
    assert max(far.values()) < 1e-5, sorted(far.items(), key=lambda item: -item[1])[:5]
    log = read_log(tmp_path / "two" / "log.jsonl")
    assert log[-1]["step"] == 3 and "validation" in log[-1]


def test_a_loss_that_is_no_number_stops_with_its_batch(finished_run, cache, tmp_path):
    overrides = [*SMALL, "optimizer.learning_rate=1e30", "optimizer.gradient_clip=1e30", "optimizer.warmup_steps=0"]
    with pytest.raises(FloatingPointError, match=r"step \d+: .*bad_batch"):
        train("tiny-single-pose", tmp_path / "nan", overrides=overrides, progress=False, cache=cache)
    saved = torch.load(tmp_path / "nan" / "bad_batch.pt", weights_only=True)
    assert saved["slots"][0]["batch"]["pixel_values"].shape[0] == 4


def test_start_from_scratch_lets_queries_attend_near_their_place():
    model = build_model(load_recipe("tiny-single-pose")).eval()
    decoder = model.hulk.decoder
    table = decoder.places.grids(12, 9, "pose-coco")
    # Stretching overshoots the range of sines here and there; there the MLP cuts it off.
    assert (table < -1).float().mean() < 0.01
    assert torch.allclose(decoder.position_mlp_2d(table), 2 * table.clamp(min=-1), atol=1e-5)
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
