# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The training loop: Accelerate around a recipe.

A run is a folder: `recipe.json`, `machine.json`, `log.jsonl` (one line per log entry or evaluation), `checkpoints/`
and, at the end, `model/`. Started again, it continues from its last checkpoint and ends with the same weights, bit by
bit, as a run that was never interrupted.
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask
from hulk_hf.training.checkpoints import load_checkpoint, save_checkpoint
from hulk_hf.training.data import PoseBatches
from hulk_hf.training.evaluation import pose_figures, predict_poses
from hulk_hf.training.initialization import initialize_from_scratch, whiten_patches
from hulk_hf.training.label_features import load_label_features
from hulk_hf.training.log import RunLog, describe_machine
from hulk_hf.training.objective import PoseTraining
from hulk_hf.training.recipe import Recipe, load_recipe


def train(
    recipe: str | Path | Recipe,
    output: str | Path | None = None,
    resume: bool = True,
    overrides: Sequence[str] = (),
    progress: bool = True,
    cache: str | Path = "runs/data",
) -> Path:
    """Train a model from a recipe.

    Args:
        recipe: A YAML file, the name of a shipped recipe, or a `Recipe`.
        output: Folder of the run; default `runs/{name of the recipe}`.
        resume: Continue from the newest checkpoint in `output`; otherwise an earlier run there is deleted.
        overrides: `key=value` changes to the recipe.
        progress: Show a bar.
        cache: Folder of the rendered people, which all runs share wherever they are; what is missing is rendered.

    Returns:
        The folder of the finished model, with its processor.

    Raises:
        ValueError: The recipe does not fit, `output` holds a run of another recipe, or it is to be started over and
            holds something that is no run.
        FloatingPointError: The loss is no longer a number.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    folder = Path(output or Path("runs") / recipe.name)
    if AcceleratorState._shared_state:
        # The precision of an earlier run in this interpreter, or of somebody else's, is not that of this one.
        AcceleratorState._reset_state()
    accelerator = Accelerator(mixed_precision="no" if recipe.mixed_precision == "none" else recipe.mixed_precision)
    if not resume and folder.exists():
        check_is_run(folder)  # in every process, before any of them deletes something
        accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if not resume and folder.exists():
            shutil.rmtree(folder)
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    accelerator.wait_for_everyone()

    set_seed(recipe.seed)
    model = build_model(recipe)
    if accelerator.device.type == "cpu":
        # For the few tokens of a crop the fused kernel's backward pass costs a CPU more than all matrix products.
        model.set_attn_implementation("eager")
    task = model.hulk.resolve_task(family="pose")
    parts: nn.Module = PoseTraining(model, recipe.objective)
    optimizer = torch.optim.AdamW(parameter_groups(parts, recipe), lr=recipe.optimizer.learning_rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule_factor(step, recipe))
    parts, optimizer = accelerator.prepare(parts, optimizer)
    accelerator.register_for_checkpointing(scheduler)

    with accelerator.main_process_first():
        train_arrays, validation_arrays = load_arrays(recipe, Path(cache), progress)
    first, log_state = load_checkpoint(accelerator, folder / "checkpoints", recipe.to_dict())
    if accelerator.is_main_process:  # not before the checkpoint was found to be of this recipe
        machine = {**describe_machine(), "processes": accelerator.num_processes, "device": accelerator.device.type}
        for name, content in (("recipe", recipe.to_dict()), ("machine", machine)):
            (folder / f"{name}.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
    if first == 0 and recipe.model.start_from is None:
        whiten_patches(model, first_crops(train_arrays, task, recipe, accelerator.num_processes))
    batches = PoseBatches(train_arrays, task, recipe, accelerator.process_index, accelerator.num_processes)
    loader = DataLoader(batches, batch_size=None, sampler=range(first, recipe.total_steps), num_workers=0)
    log = RunLog(folder / "log.jsonl", first, accelerator.is_main_process, log_state)
    bar = tqdm(total=recipe.total_steps, initial=first, disable=not (progress and accelerator.is_main_process))
    random_state = torch.get_rng_state()
    steps = iter(loader)  # draws a number, which a run that is resumed has drawn already
    if first > 0:
        torch.set_rng_state(random_state)
    for step, batch in enumerate(steps, start=first):
        parts.train()
        terms = parts(**{name: value.to(accelerator.device) for name, value in batch.items()})
        accelerator.backward(terms["loss"])
        norm = accelerator.clip_grad_norm_(parts.parameters(), recipe.optimizer.gradient_clip)
        if not torch.isfinite(norm):
            torch.save({"step": step, "batch": batch}, folder / "bad_batch.pt")
            raise FloatingPointError(f"step {step}: loss or gradient is not a number; its batch is in bad_batch.pt")
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        done = step + 1
        bar.update()
        log.add({name: float(value.detach()) for name, value in terms.items()})
        if done % recipe.log_every == 0 or done == recipe.total_steps:
            entry = log.flush(done, scheduler.get_last_lr()[0])
            bar.set_postfix(loss=f"{entry['loss']:.4f}")
        if done % recipe.evaluate_every == 0 or done == recipe.total_steps:
            if accelerator.is_main_process:
                figures = evaluate(model, validation_arrays, recipe.stage_at(step))
                log.write({"step": done, "validation": figures})
                bar.write(f"step {done}: validation OKS {figures['OKS']:.3f} AP {figures['AP']:.3f}")
            accelerator.wait_for_everyone()
        if done % recipe.checkpoint_every == 0 or done == recipe.total_steps:
            keep, state = recipe.keep_checkpoints, log.state()
            save_checkpoint(accelerator, folder / "checkpoints", done, recipe.to_dict(), keep, state)
    bar.close()
    if accelerator.is_main_process:
        save_model(model, folder / "model")
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return folder / "model"


def check_is_run(folder: Path) -> None:
    """Raises ValueError unless a folder is a run, or empty: nothing else is deleted to start over."""
    if not folder.is_dir():
        raise ValueError(f"output: {folder} is no folder")
    if any(folder.iterdir()) and not ((folder / "recipe.json").is_file() or (folder / "checkpoints").is_dir()):
        raise ValueError(
            f"output: {folder} holds something, but no run (recipe.json, checkpoints/), so it is not deleted; "
            "use another folder"
        )


def build_model(recipe: Recipe) -> HulkForPoseEstimation:
    """Build the model of a recipe: a preset with the shipped label features, or an earlier checkpoint."""
    if recipe.model.start_from is not None:
        return HulkForPoseEstimation.from_pretrained(recipe.model.start_from)
    known = sorted(name for name, task in KNOWN_TASKS.items() if task.family == "pose")
    if recipe.model.task not in known:
        raise ValueError(f"recipe.model.task: expected a pose task, one of {known}, got {recipe.model.task!r}")
    task = dataclasses.replace(KNOWN_TASKS[recipe.model.task], image_size=recipe.model.image_size)
    model = HulkForPoseEstimation(HulkConfig.preset(recipe.model.preset, tasks=[task]))
    initialize_from_scratch(model, {task.name: load_label_features(task.name)})
    return model


def parameter_groups(module: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Split parameters by weight decay: vectors (biases, norms) and embeddings have none."""
    embeddings = {id(p) for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    decayed, free = [], []
    for parameter in module.parameters():
        if parameter.requires_grad:
            (free if parameter.ndim < 2 or id(parameter) in embeddings else decayed).append(parameter)
    settings = {"betas": recipe.optimizer.betas}
    return [
        {"params": decayed, "weight_decay": recipe.optimizer.weight_decay, **settings},
        {"params": free, "weight_decay": 0.0, **settings},
    ]


def schedule_factor(step: int, recipe: Recipe) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then half a cosine to zero."""
    warmup = recipe.optimizer.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * min((step - warmup) / max(recipe.total_steps - warmup, 1), 1.0)))


def load_arrays(
    recipe: Recipe, cache: Path, progress: bool
) -> tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]:
    """Render (or find) the synthetic people of a recipe: training and validation arrays."""
    from hulk_hf.synthetic.dataset import render_arrays

    data = recipe.data
    train_arrays, validation_arrays = (
        vars(render_arrays(split, count, data.seed, data.workers, cache, progress=progress))
        for split, count in (("train", data.samples), ("validation", data.validation_samples))
    )
    return train_arrays, validation_arrays


def first_crops(
    arrays: Mapping[str, np.ndarray], task: HulkTask, recipe: Recipe, world_size: int = 1, count: int = 960
) -> torch.Tensor:
    """The crops of the first steps of all processes, at least `count` if there are so many: shape (N, 3, H, W)."""
    batches = [PoseBatches(arrays, task, recipe, rank, world_size) for rank in range(world_size)]
    size = recipe.stage_at(0).batch_size * world_size
    steps = min(-(-count // size), recipe.stages[0].steps)
    return torch.cat([each[step]["pixel_values"] for step in range(steps) for each in batches])


def evaluate(model: HulkForPoseEstimation, arrays: Mapping[str, np.ndarray], stage: Any) -> dict[str, float]:
    """Figures of a model on arrays of single persons, at the input size of a stage."""
    training = model.training
    model.eval()
    joints, scores = predict_poses(model, arrays["images"], np.asarray(arrays["boxes"]), stage.image_size)
    model.train(training)
    return pose_figures(joints, scores, arrays, model.hulk.resolve_task(family="pose").sigmas)


def save_model(model: HulkForPoseEstimation, folder: Path) -> None:
    """Write model and processor as one folder."""
    model.save_pretrained(folder)
    HulkPoseImageProcessor.from_task(model.hulk.resolve_task(family="pose")).save_pretrained(folder)


__all__ = [
    "build_model",
    "check_is_run",
    "evaluate",
    "first_crops",
    "load_arrays",
    "parameter_groups",
    "save_model",
    "schedule_factor",
    "train",
]
