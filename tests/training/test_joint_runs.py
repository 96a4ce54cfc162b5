# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Short joint runs on made-up data: resumed, killed, on two processes, with adapters, and ended by what goes wrong."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import made_up_examples
import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from made_up_examples import TASKS, make_examples, small_model
from safetensors.torch import load_file

from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.processing_hulk import HulkProcessor
from hulk_hf.training import loop
from hulk_hf.training.building import save_model
from hulk_hf.training.checkpoints import find_checkpoints, write_whole
from hulk_hf.training.log import read_log
from hulk_hf.training.loop import train
from hulk_hf.training.recipe import Recipe, load_recipe

PROGRAM = Path(made_up_examples.__file__)
LAUNCHERS = Path(loop.__file__).parent / "launchers"
RECIPE = """
name: made-up
model: {{start_from: {start}}}
tasks:
  - {{name: pose-small, batch_size: 3, slots: 2, weight: 5.0}}
  - {{name: parsing-small, batch_size: 2, slots: 2, weight: 0.5}}
  - {{name: detection-small, batch_size: 2, slots: 2, weight: 2.0}}
  - {{name: attributes-small, batch_size: 4, weight: 1.0, drop_path_rate: 0.5}}
  - {{name: action-small, batch_size: 2, weight: 1.0, drop_path_rate: 0.1}}
  - {{name: caption-small, batch_size: 2, slots: 2, weight: 1.0}}
stages: [{{steps: 5}}]
optimizer: {{name: adafactor, learning_rate: 1.0e-3, warmup_steps: 2, layer_decay: 0.75, gradient_clip: null}}
objective: {{emphasis: 5.0, patch_supervision: 0.1, loss_scale: 10.0}}
ema: 0.9
log_every: 2
evaluate_every: 3
checkpoint_every: 2
"""


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    small_model().save_pretrained(folder / "start")
    file = folder / "made-up.yaml"
    file.write_text(RECIPE.format(start=folder / "start"), encoding="utf-8")
    return file


def run_here(recipe: Path | Recipe, output: Path, *overrides: str, builder=make_examples, **options) -> Path:
    return train(recipe, output, overrides=overrides, progress=False, builder=builder, tasks=TASKS, **options)


@pytest.fixture(scope="module")
def whole_run(recipe_file, tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    run = tmp_path_factory.mktemp("runs") / "whole"
    run_here(recipe_file, run)
    return run


def start(
    recipe: Path,
    output: Path,
    *overrides: str,
    processes: int = 1,
    program: Path = PROGRAM,
    launcher: Sequence[str] | None = None,
) -> subprocess.Popen:
    if launcher is None:
        launcher = ["torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
        launcher += ["--nproc_per_node", str(processes)]
    command = [sys.executable, *(["-m", *launcher] if processes > 1 else []), str(program), str(recipe), str(output)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    return subprocess.Popen(
        [*command, *overrides],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen) -> str:
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output[-3000:]
    return output


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


def largest_difference(one: Path, other: Path) -> float:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return max((first[name].float() - second[name].float()).abs().max().item() for name in first)


def is_timing(name: str) -> bool:
    return name.startswith("time/") or name in ("seconds", "steps_per_second", "samples_per_second")


def without_times(run: Path) -> list[dict]:
    return [{k: v for k, v in line.items() if not is_timing(k)} for line in read_log(run / "log.jsonl")]


def copy_before(run: Path, copy: Path, step: int) -> Path:
    """A copy of a run as a kill behind the checkpoint of a step leaves it."""
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "model", ignore_errors=True)
    for found, folder in find_checkpoints(copy / "checkpoints"):
        if found > step:
            shutil.rmtree(folder)
    return copy


def test_a_joint_run_learns_logs_and_saves_all_tasks(whole_run):
    model = HulkForHumanAnalysis.from_pretrained(whole_run / "model").eval()
    assert set(model.hulk.tasks) == set(TASKS)
    assert set(HulkProcessor.from_pretrained(whole_run / "model").processors) == set(TASKS)
    before, after = small_model().state_dict(), model.state_dict()
    for name in ("hulk.encoder.layers.0.mlp.fc1.weight", "box_head.mlp.0.weight", "text_head.query_proj.weight"):
        assert not torch.equal(before[name], after[name])
    lines = read_log(whole_run / "log.jsonl")
    losses = [line for line in lines if "loss" in line]
    assert [line["step"] for line in losses] == [2, 4, 5]
    shares = {"pose-small": 0.5, "parsing-small": 0.05, "detection-small": 0.2}
    shares |= dict.fromkeys(("attributes-small", "action-small", "caption-small"), 0.1)
    for line in losses:
        assert line["loss"] == pytest.approx(sum(line[f"{task}/loss"] * share for task, share in shares.items()))
        assert line["samples_per_second"] == pytest.approx(24 * line["steps_per_second"])
        parts = [line[f"time/{name}"] for name in ("data", "forward", "backward", "optimizer")]
        assert min(parts) > 0 and sum(parts) <= 1.01 / line["steps_per_second"]
        assert line["pose-small/patches"] > 0 and line["detection-small/giou"] > 0
    validation = [line for line in lines if "validation" in line]
    assert [(line["step"], line["task"]) for line in validation] == [(step, task) for step in (3, 5) for task in TASKS]
    assert all(line["validation"]["error"] > 0 for line in validation)
    assert json.loads((whole_run / "recipe.json").read_text())["tasks"][0]["name"] == "pose-small"


def test_the_average_is_what_is_evaluated_and_saved(recipe_file, whole_run, tmp_path):
    run_here(recipe_file, tmp_path / "plain", "ema=null")
    assert largest_difference(tmp_path / "plain", whole_run) > 1e-6
    model = HulkForHumanAnalysis.from_pretrained(whole_run / "model").eval()
    expected = make_examples(TASKS)["pose-small"].evaluate(model)["error"]
    assert [line for line in without_times(whole_run) if line.get("task") == "pose-small"][-1]["validation"][
        "error"
    ] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("step", [2, 4])
def test_a_resumed_joint_run_ends_with_the_same_bits(recipe_file, whole_run, tmp_path, step):
    run_here(recipe_file, tmp_path / "all", "keep_checkpoints=5")
    assert largest_difference(tmp_path / "all", whole_run) == 0.0
    resumed = copy_before(tmp_path / "all", tmp_path / "resumed", step)
    run_here(recipe_file, resumed, "keep_checkpoints=5")
    assert largest_difference(resumed, whole_run) == 0.0
    assert without_times(resumed) == without_times(whole_run)


def test_two_optimisers_in_one_resume_with_the_same_bits(recipe_file, tmp_path):
    muon = ["optimizer={name: muon, learning_rate: 1.0e-3, warmup_steps: 2}", "keep_checkpoints=5"]
    run_here(recipe_file, tmp_path / "all", *muon)
    resumed = copy_before(tmp_path / "all", tmp_path / "resumed", 4)
    run_here(recipe_file, resumed, *muon)
    assert largest_difference(resumed, tmp_path / "all") == 0.0
    assert without_times(resumed) == without_times(tmp_path / "all")


def test_workers_that_make_batches_ahead_change_nothing(recipe_file, whole_run, tmp_path):
    resumed = copy_before(whole_run, tmp_path / "resumed", 4)
    run_here(recipe_file, resumed, "data_workers=1")
    assert largest_difference(resumed, whole_run) == 0.0


def test_gradient_checkpointing_changes_only_memory(recipe_file, whole_run, tmp_path):
    run_here(recipe_file, tmp_path / "frugal", "gradient_checkpointing=true")
    assert largest_difference(tmp_path / "frugal", whole_run) < 1e-5


def test_mixed_precision_keeps_the_weights_in_float32(recipe_file, whole_run, tmp_path):
    run_here(recipe_file, tmp_path / "mixed", "mixed_precision=bf16")
    assert {tensor.dtype for tensor in weights(tmp_path / "mixed").values() if tensor.is_floating_point()} == {
        torch.float32
    }
    assert 0 < largest_difference(tmp_path / "mixed", whole_run) < 0.01


def test_drop_path_is_that_of_the_task(recipe_file, whole_run, tmp_path):
    run_here(recipe_file, tmp_path / "other", "tasks.3.drop_path_rate=0.0")
    first = [next(line for line in without_times(run)) for run in (tmp_path / "other", whole_run)]
    assert (
        first[0]["action-small/loss"] != 0 and first[0]["attributes-small/loss"] != first[1]["attributes-small/loss"]
    )


def test_adapters_leave_the_trunk_as_it_was(recipe_file, tmp_path):
    peft = pytest.importorskip("peft")
    run = tmp_path / "lora"
    run_here(recipe_file, run, "lora={rank: 2, alpha: 4.0}", "ema=null")
    start_model = small_model()
    adapted = peft.PeftModel.from_pretrained(small_model(), run / "adapter").merge_and_unload().state_dict()
    merged, before = weights(run), start_model.state_dict()
    assert all(torch.allclose(merged[name], adapted[name], atol=1e-6) for name in merged)
    trunk = {name for name in merged if name.startswith("hulk.")}
    changed = {name for name in trunk if not torch.equal(merged[name], before[name])}
    assert changed == {
        name for name in trunk if "attention.q_proj.weight" in name or "attention.v_proj.weight" in name
    }
    assert not torch.equal(merged["text_head.query_proj.weight"], before["text_head.query_proj.weight"])
    size = sum(file.stat().st_size for file in (run / "adapter").iterdir())
    assert size < sum(file.stat().st_size for file in (run / "model").iterdir())


def test_a_batch_that_is_no_number_is_named_and_saved(recipe_file, tmp_path):
    def builder(tasks, *_):
        return {name: made_up_examples.Broken(task) for name, task in tasks.items()}

    with pytest.raises(FloatingPointError, match=r"step \d+: .* of attributes-small is not a number; .*bad_batch\.pt"):
        run_here(recipe_file, tmp_path / "run", "stages.0.steps=30", builder=builder)
    saved = torch.load(tmp_path / "run" / "bad_batch.pt", weights_only=True)
    assert [slot["task"] for slot in saved["slots"]] == ["attributes-small"]
    assert torch.isnan(saved["slots"][0]["batch"]["pixel_values"]).all()


def test_a_gradient_that_is_no_number_is_traced_to_its_task(recipe_file, tmp_path, monkeypatch):
    from hulk_hf.training.objective import JointTraining

    forward = JointTraining.forward

    def poisoned(self, task, batch):
        terms = forward(self, task, batch)
        if task == "action-small":  # finite, with a slope that is not
            terms["loss"] = terms["loss"] + (terms["loss"] * 0).clamp(min=0).sqrt()
        return terms

    monkeypatch.setattr(JointTraining, "forward", poisoned)
    with pytest.raises(FloatingPointError, match=r"step 0: loss or gradient of action-small is not a number"):
        run_here(recipe_file, tmp_path / "run")
    saved = torch.load(tmp_path / "run" / "bad_batch.pt", weights_only=True)
    assert [slot["task"] for slot in saved["slots"]] == ["action-small"] and saved["step"] == 0


def test_a_full_disk_ends_with_the_last_checkpoint_usable(recipe_file, whole_run, tmp_path):
    """Files may not grow beyond 50 kB from step 3 on: what the system says is what a full disk says to a writer."""
    run, limits = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)

    class Filling(made_up_examples.MadeUp):
        def batch(self, generator, size):
            if find_checkpoints(run / "checkpoints"):
                resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
            return super().batch(generator, size)

    try:
        with pytest.raises(OSError, match=r"step 4: its checkpoint cannot be written .* step-000002, is whole"):
            run_here(recipe_file, run, builder=lambda tasks, *_: {name: Filling(task) for name, task in tasks.items()})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["step-000002"]
    run_here(recipe_file, run)
    assert largest_difference(run, whole_run) == 0.0


def test_a_disk_that_fills_up_at_the_end_leaves_the_last_checkpoint(recipe_file, whole_run, tmp_path, monkeypatch):
    run, limits = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)

    def save(*given):
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
        save_model(*given)

    monkeypatch.setattr(loop, "save_model", save)
    try:
        with pytest.raises(OSError, match=r"run/model cannot be written .*: make room and start the run again"):
            run_here(recipe_file, run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (run / "model").exists() and not list(run.glob(".*"))
    monkeypatch.undo()
    run_here(recipe_file, run)
    assert largest_difference(run, whole_run) == 0.0


def test_a_folder_is_written_whole_or_stays_as_it_was(tmp_path):
    folder = tmp_path / "model"

    def write(words):
        def fill(path):
            path.mkdir()
            (path / "a.txt").write_text(words)
            if words == "half":
                raise OSError("no space left")

        return fill

    write_whole(folder, write("first"))
    with pytest.raises(OSError, match="no space left"):
        write_whole(folder, write("half"))
    assert (folder / "a.txt").read_text() == "first"
    write_whole(folder, write("second"))
    assert (folder / "a.txt").read_text() == "second" and [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_whole_model_does_not_go_on_from_shards(recipe_file, whole_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole_run, run)
    _, newest = find_checkpoints(run / "checkpoints")[-1]
    told = json.loads((newest / "run.json").read_text())
    assert told["sharded"] is False
    (newest / "run.json").write_text(json.dumps({**told, "sharded": True}))
    with pytest.raises(ValueError, match=r"is stored sharded \(FSDP\), and this run has it whole"):
        run_here(recipe_file, run)


def test_a_dead_data_worker_ends_with_a_clear_error(recipe_file, whole_run, tmp_path):
    run, here = tmp_path / "run", os.getpid()

    class Dying(made_up_examples.MadeUp):
        def batch(self, generator, size):
            if find_checkpoints(run / "checkpoints") and os.getpid() != here:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().batch(generator, size)

    def builder(tasks, *_):
        return {name: Dying(task) for name, task in tasks.items()}

    with pytest.raises(ChildProcessError, match=r"data_workers: a process that makes batches died .*step-000002"):
        run_here(recipe_file, run, "data_workers=1", "stages.0.steps=40", builder=builder)
    assert [step for step, _ in find_checkpoints(run / "checkpoints")][-1:] == [2]
    run_here(recipe_file, run, "stages.0.steps=40")
    run_here(recipe_file, tmp_path / "undisturbed", "stages.0.steps=40")
    assert largest_difference(run, tmp_path / "undisturbed") == 0.0


def test_another_recipe_does_not_continue_a_joint_run(recipe_file, whole_run):
    with pytest.raises(ValueError, match=r"another recipe \(different: \['tasks'\]\)"):
        run_here(recipe_file, whole_run, "tasks.0.weight=6.0")


def test_unknown_tasks_and_processes_that_do_not_fit_are_refused(recipe_file, tmp_path):
    with pytest.raises(ValueError, match=r"recipe\.tasks\.0\.name: no task 'pose-smal', expected one of"):
        run_here(recipe_file, tmp_path / "run", "tasks.0.name=pose-smal")
    wide = small_model(text_feature_size=12)
    wide.save_pretrained(tmp_path / "wide")
    recipe = load_recipe(recipe_file, [f"model.start_from={tmp_path / 'wide'}"])
    other = {**TASKS, "pose-small": made_up_examples.HulkTask("pose-small", "pose", ("head",), image_size=(64, 48))}
    with pytest.raises(ValueError, match=r"label_features\['pose-small'\]: expected shape \(1, 12\), got \(3, 12\)"):
        train(recipe, tmp_path / "run", progress=False, builder=make_examples, tasks=other)


@pytest.mark.distributed
def test_two_processes_end_as_one_with_twice_the_micro_steps(recipe_file, whole_run, tmp_path):
    # AdamW's epsilon swallows what is zero but for rounding, such as gradients of key biases; Adafactor has none.
    adam = "optimizer={name: adamw, learning_rate: 1.0e-3, warmup_steps: 2, gradient_clip: 1.0}"
    run_here(recipe_file, tmp_path / "one", adam)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shipped = ["accelerate.commands.launch", "--config_file", str(LAUNCHERS / "cpu.yaml"), "--main_process_port", port]
    finish(start(recipe_file, tmp_path / "two", adam, processes=2, launcher=shipped))
    assert largest_difference(tmp_path / "two", tmp_path / "one") < 1e-6
    assert largest_difference(tmp_path / "two", whole_run) > 1e-4
    assert json.loads((tmp_path / "two" / "machine.json").read_text())["processes"] == 2
    one, two = without_times(tmp_path / "one"), without_times(tmp_path / "two")
    assert [line.keys() for line in one] == [line.keys() for line in two]
    assert [line["loss"] for line in two if "loss" in line] == pytest.approx(
        [line["loss"] for line in one if "loss" in line], rel=1e-5
    )
    # Resumed on another number of processes, it ends the same within rounding.
    resumed = copy_before(tmp_path / "two", tmp_path / "resumed", 4)
    run_here(recipe_file, resumed, adam)
    assert largest_difference(resumed, tmp_path / "one") < 1e-6


@pytest.mark.distributed
def test_a_sharded_model_ends_as_a_whole_one(recipe_file, tmp_path):
    """FSDP2; other tasks in the two processes, evaluation, checkpoint and resumption."""
    plain = ["ema=null", "optimizer={name: adamw, learning_rate: 1.0e-3, warmup_steps: 2}"]
    run_here(recipe_file, tmp_path / "whole", *plain)
    program = PROGRAM.with_name("sharded_on_cpu.py")
    finish(start(recipe_file, tmp_path / "shards", *plain, processes=2, program=program))
    assert largest_difference(tmp_path / "shards", tmp_path / "whole") < 1e-6
    figures = [
        [line["validation"]["error"] for line in read_log(run / "log.jsonl") if "validation" in line]
        for run in (tmp_path / "whole", tmp_path / "shards")
    ]
    assert figures[0] == pytest.approx(figures[1], rel=1e-5) and len(figures[0]) == 2 * len(TASKS)
    resumed = copy_before(tmp_path / "shards", tmp_path / "resumed", 4)
    finish(start(recipe_file, resumed, *plain, processes=2, program=program))
    assert largest_difference(resumed, tmp_path / "shards") == 0.0


@pytest.mark.parametrize("name", ["cpu", "ddp", "fsdp2"])
def test_launchers_are_what_accelerate_reads(name):
    config = load_config_from_file(str(LAUNCHERS / f"{name}.yaml"))
    assert config.distributed_type == ("FSDP" if name == "fsdp2" else "MULTI_GPU")
    assert config.mixed_precision is None, "the recipe says it"
    slots = sum(task.slots for task in load_recipe("tiny-joint" if name == "cpu" else "official-vit-b").tasks)
    assert slots % config.num_processes == 0
    if name == "fsdp2":
        wrapped = set(config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"].split(","))
        assert wrapped == {type(layer).__name__ for layer in small_model().modules()} & wrapped
        assert wrapped == set(HulkForHumanAnalysis._no_split_modules)


def kill_and_resume(recipe: Path, run: Path, delay: float, *overrides: str, processes: int) -> bool:
    """Kill a run some time after it began to train, and let it end. Returns whether the kill came in time."""
    process = start(recipe, run, *overrides, processes=processes)
    while not (run / "log.jsonl").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(delay)
    in_time = process.poll() is None
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.communicate()
    finish(start(recipe, run, *overrides, processes=processes))
    return in_time


@pytest.mark.distributed
def test_a_joint_run_killed_on_two_processes_ends_with_the_same_bits(recipe_file, tmp_path):
    more = ("stages.0.steps=8", "evaluate_every=4")
    finish(start(recipe_file, tmp_path / "whole", *more, processes=2))
    assert kill_and_resume(recipe_file, tmp_path / "killed", 0.7, *more, processes=2)
    assert largest_difference(tmp_path / "killed", tmp_path / "whole") == 0.0
    assert without_times(tmp_path / "killed") == without_times(tmp_path / "whole")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.distributed
def test_kills_at_twenty_moments_on_two_processes_cost_no_bit(recipe_file, tmp_path):
    more = ("stages.0.steps=30", "evaluate_every=10", "checkpoint_every=3")
    begin = time.monotonic()
    finish(start(recipe_file, tmp_path / "whole", *more, processes=2))
    seconds = read_log(tmp_path / "whole" / "log.jsonl")[-1]["seconds"]
    moments = random.Random(0)
    in_time = 0
    for number in range(20):
        run = tmp_path / f"killed-{number}"
        in_time += kill_and_resume(recipe_file, run, moments.uniform(0, seconds), *more, processes=2)
        assert largest_difference(run, tmp_path / "whole") == 0.0
        assert without_times(run) == without_times(tmp_path / "whole")
        shutil.rmtree(run)
    assert in_time >= 15
    print(f"{in_time} of 20 runs were killed before their end, all ended alike; {time.monotonic() - begin:.0f} s")
