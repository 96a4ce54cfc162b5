# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The training loop: Accelerate around the slots of a recipe, for one task or many.

A run is a folder: `recipe.json`, `machine.json`, `log.jsonl` (one line per log entry or evaluation), `checkpoints/`
and, at the end, `model/`. Started again, it continues from its last checkpoint and ends with the same weights, bit by
bit, as a run that was never interrupted (on AMD processors only where the process has computed nothing before, as with
`hulk-hf train`: MKL is told once to give the same bits wherever matrices lie).
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, DistributedType, set_seed
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from hulk_hf.adapters import add_adapter, save_adapter
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.tasks_hulk import HulkTask
from hulk_hf.training.building import (
    build_model,
    known_tasks,
    known_tokenizer,
    resolve_tasks,
    save_model,
)
from hulk_hf.training.checkpoints import find_checkpoints, load_checkpoint, save_checkpoint, write_whole
from hulk_hf.training.gradients import Clock, SlotGradients
from hulk_hf.training.initialization import whiten_patches
from hulk_hf.training.log import RunLog, describe_machine
from hulk_hf.training.objective import JointTraining
from hulk_hf.training.optimizer import build_optimizer, check_available, schedule_factor
from hulk_hf.training.recipe import Recipe, load_recipe
from hulk_hf.training.slots import Examples, SlotBatch, StepBatches, micro_steps

# Task name -> its data, for the tasks of one stage of a recipe.
Builder = Callable[[Mapping[str, HulkTask], Recipe, Path, bool], Mapping[str, Examples]]

# Pictures that whitening is estimated from.
_WHITENED_PICTURES = 960


def train(
    recipe: str | Path | Recipe,
    output: str | Path | None = None,
    resume: bool = True,
    overrides: Sequence[str] = (),
    progress: bool = True,
    cache: str | Path = "runs/data",
    builder: Builder | None = None,
    tasks: Mapping[str, HulkTask] | None = None,
) -> Path:
    """Train a model from a recipe.

    Args:
        recipe: A YAML file, the name of a shipped recipe, or a `Recipe`.
        output: Folder of the run; default `runs/{name of the recipe}`.
        resume: Continue from the newest checkpoint in `output`; otherwise an earlier run there is deleted.
        overrides: `key=value` changes to the recipe.
        progress: Show a bar.
        cache: Folder of the rendered people, which all runs share wherever they are; what is missing is rendered.
        builder: Makes the examples of the tasks of a stage; None: synthetic people.
        tasks: Tasks that the recipe may name; None: those of `recipe.data.source`.

    Returns:
        The folder of the finished model, with its processor. A run with adapters also has a folder `adapter`.

    Raises:
        ValueError: The recipe does not fit, the processes do not share its slots equally, `output` holds a run of
            another recipe, or it is to be started over and holds something that is no run.
        FloatingPointError: A loss or gradient is no longer a number; the message names the task.
        ImportError: The optimiser needs a newer PyTorch.
        OSError: The disk is full, or cannot be written to.
        ChildProcessError: A process that makes batches died.
    """
    # Read when MKL is first used. Without it the last bit of a matrix product depends, on some processors, on where
    # the matrices lie in memory, which is not the same after a restart.
    os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    folder = Path(output or Path("runs") / recipe.name)
    accelerator = make_accelerator(recipe)
    if not resume and folder.exists():
        check_is_run(folder)  # in every process, before any of them deletes something
        accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        if not resume and folder.exists():
            shutil.rmtree(folder)
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    accelerator.wait_for_everyone()
    run = _Run(accelerator, recipe, folder, Path(cache), builder or synthetic_examples, tasks, progress)
    try:
        return run.go()
    except RuntimeError as error:
        # torch raises it from a signal handler: wherever the training process just is.
        if not recipe.data_workers or "DataLoader worker" not in str(error):
            raise
        saved = find_checkpoints(folder / "checkpoints")
        raise ChildProcessError(
            f"data_workers: a process that makes batches died ({error}); the last checkpoint is "
            f"{saved[-1][1] if saved else 'none yet'}, start the run again to go on from there"
        ) from error


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Accelerate with the precision and micro-steps of a recipe, for however many processes there are.

    Raises:
        ValueError: The processes do not share the slots equally.
    """
    if AcceleratorState._shared_state:
        # The precision of an earlier run in this interpreter, or of somebody else's, is not that of this one.
        AcceleratorState._reset_state()
    # A slot uses the head of its own task only.
    ddp = DistributedDataParallelKwargs(find_unused_parameters=True)
    precision = "no" if recipe.mixed_precision == "none" else recipe.mixed_precision
    accelerator = Accelerator(mixed_precision=precision, kwargs_handlers=[ddp])
    accelerator.gradient_accumulation_steps = micro_steps(recipe.tasks, accelerator.num_processes)
    return accelerator


def synthetic_examples(
    tasks: Mapping[str, HulkTask], recipe: Recipe, cache: Path, progress: bool
) -> dict[str, Examples]:
    """The synthetic people of a recipe, rendered or found in the cache.

    Raises:
        ValueError: The recipe is for other data.
    """
    if recipe.data.source != "synthetic":
        raise ValueError(
            f"recipe.data.source: {recipe.data.source!r} needs a builder (see `train`), expected 'synthetic'"
        )
    from hulk_hf.training.examples import build_examples

    own = {task.name: task.augmentation or recipe.augmentation for task in recipe.tasks}
    return {
        name: build_examples(task, recipe.data, cache, recipe.seed, augmentation=own[name], progress=progress)
        for name, task in tasks.items()
    }


class _Run:
    """One start of a run."""

    def __init__(
        self,
        accelerator: Accelerator,
        recipe: Recipe,
        folder: Path,
        cache: Path,
        builder: Builder,
        known: Mapping[str, HulkTask] | None,
        progress: bool,
    ):
        check_available(recipe.optimizer.name)  # before people are rendered
        self.accelerator, self.recipe, self.folder = accelerator, recipe, folder
        self.progress = progress and accelerator.is_main_process
        self.tasks = resolve_tasks(recipe.tasks, known_tasks(recipe) if known is None else known)
        set_seed(recipe.seed)
        self.model = build_model(recipe, self.tasks, None if known is None else {})
        self.tokenizer = known_tokenizer(recipe, self.model) if known is None else None
        if accelerator.device.type == "cpu":
            # For the few tokens of a crop the fused kernel's backward pass costs a CPU more than all matrix products.
            self.model.set_attn_implementation("eager")
        if recipe.gradient_checkpointing:
            self.model.hulk.encoder.activation_checkpointing_enable({"use_reentrant": False})
        with accelerator.main_process_first():
            self.examples = [
                builder(resolve_tasks(recipe.tasks_at(stage), self.tasks), recipe, cache, self.progress)
                for stage in range(len(recipe.stages))
            ]
        self.sharded = accelerator.distributed_type == DistributedType.FSDP
        if self.sharded and (recipe.ema is not None or recipe.lora is not None or recipe.optimizer.name != "adamw"):
            raise ValueError("recipe: a sharded model needs 'adamw' as optimizer.name, and None for ema and lora")
        # What the weights of a sharded model are gathered into, to be evaluated and saved.
        self.gathered = copy.deepcopy(self.model) if self.sharded and accelerator.is_main_process else None
        self.batches = StepBatches(recipe, self.examples, accelerator.process_index, accelerator.num_processes)

    def go(self) -> Path:
        """Train to the end."""
        accelerator, recipe, folder = self.accelerator, self.recipe, self.folder
        checkpoints = folder / "checkpoints"
        if not find_checkpoints(checkpoints) and recipe.model.start_from is None:
            self._whiten()
        adapters = None
        if recipe.lora is not None:
            adapters = add_adapter(self.model, list(self.tasks), **dataclasses.asdict(recipe.lora))
        module = JointTraining(self.model, recipe, touch_all=self.sharded)
        layers = self.model.config.vision_config.num_hidden_layers
        optimizer = build_optimizer(module, recipe.optimizer, layers)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule_factor(step, recipe))
        self.parts, self.optimizer = accelerator.prepare(module, optimizer)
        if isinstance(self.parts, DistributedDataParallel):
            self.parts.broadcast_buffers = False  # features of labels and words are large, and never change
        scale = recipe.objective.loss_scale
        self.gradients = SlotGradients(accelerator, self.parts, recipe.tasks, self.tasks, scale)
        accelerator.register_for_checkpointing(scheduler)
        average = None
        if recipe.ema is not None:
            average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema))
            accelerator.register_for_checkpointing(average)
        first, log_state = load_checkpoint(accelerator, checkpoints, recipe.to_dict())
        if accelerator.is_main_process:  # not before the checkpoint was found to be of this recipe
            machine = {**describe_machine(), "processes": accelerator.num_processes}
            machine["device"] = accelerator.device.type
            for name, content in (("recipe", recipe.to_dict()), ("machine", machine)):
                (folder / f"{name}.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
        log = RunLog(folder / "log.jsonl", first, accelerator.is_main_process, log_state)
        bar = tqdm(total=recipe.total_steps, initial=first, disable=not self.progress)
        for step, slots, waited in self._batches(first):
            terms = {**self._step(step, slots), "time/data": waited}
            scheduler.step()
            if average is not None:
                average.update_parameters(self.model)
            done, last = step + 1, step + 1 == recipe.total_steps
            bar.update()
            log.add(terms)
            if done % recipe.log_every == 0 or last:
                entry = log.flush(done, scheduler.get_last_lr()[0], self._samples(step))
                bar.set_postfix(loss=f"{entry['loss']:.4f}")
            if last or recipe.evaluate_every is not None and done % recipe.evaluate_every == 0:
                evaluated = self._whole_model() if average is None else average.module
                for name, figures in self._evaluate(evaluated, step).items():
                    log.write({"step": done, "task": name, "validation": figures})
                    if self.progress:
                        bar.write(f"step {done}, {name}: {_brief(figures)}")
            if done % recipe.checkpoint_every == 0 or last:
                keep, state = recipe.keep_checkpoints, log.state()
                save_checkpoint(accelerator, checkpoints, done, recipe.to_dict(), keep, state)
        bar.close()
        self._save(adapters, average)
        accelerator.end_training()
        return folder / "model"

    def _samples(self, step: int) -> int:
        return sum(task.slots * task.batch_size for task in self.recipe.tasks_at(self.recipe.stage_at(step)))

    def _batches(self, first: int) -> Iterator[tuple[int, list[SlotBatch], float]]:
        """Steps with their slots, and how long they were waited for."""
        loader = DataLoader(
            self.batches,
            batch_size=None,
            sampler=range(first, self.recipe.total_steps),
            num_workers=self.recipe.data_workers,
            collate_fn=_as_it_is,
        )
        steps = iter(loader)
        for step in range(first, self.recipe.total_steps):
            start = time.perf_counter()
            slots = next(steps)
            yield step, slots, time.perf_counter() - start

    def _step(self, step: int, slots: list[SlotBatch]) -> dict[str, float]:
        """One optimiser step: the gradient of all slots, then the update. Gives means of the terms, by task."""
        self.parts.train()
        terms = self.gradients(slots)
        clock = Clock(self.accelerator.device)
        limit = self.recipe.optimizer.gradient_clip
        norm = self.accelerator.clip_grad_norm_(self.parts.parameters(), math.inf if limit is None else limit)
        self.gradients.stop_unless_finite(step, slots, terms, norm, self.folder)
        self.optimizer.step()
        self.optimizer.zero_grad()
        clock.stop("optimizer")
        return {**terms, **clock.times}

    def _whiten(self) -> None:
        """Start the patch projection from the first pictures of all processes, at most `_WHITENED_PICTURES` or so."""
        tasks = [task for task in self.recipe.tasks if self.tasks[task.name].input == "image"]
        numbers = [i for i, task in enumerate(t for t in self.recipe.tasks for _ in range(t.slots)) if task in tasks]
        pictures: list[torch.Tensor] = []
        for step in range(self.recipe.stages[0].steps):
            if not numbers or sum(map(len, pictures)) >= _WHITENED_PICTURES:
                break
            for number in numbers:
                pictures.append(self.batches.slot(step, number).batch["pixel_values"])
        if pictures:
            whiten_patches(self.model, pictures)

    def _whole_model(self) -> HulkForHumanAnalysis | None:
        """The model with all its weights; where it is sharded, in the main process only."""
        if not self.sharded:
            return self.model
        weights = self.accelerator.get_state_dict(self.parts)
        if self.gathered is not None:
            own = {name.removeprefix("model."): tensor for name, tensor in weights.items()}
            self.gathered.load_state_dict({name: own[name] for name in self.gathered.state_dict()})
        return self.gathered

    def _evaluate(self, model: HulkForHumanAnalysis | None, step: int) -> dict[str, dict[str, float]]:
        """Figures of all tasks, which processes share. Random numbers of the run are left as they are."""
        accelerator = self.accelerator
        figures = {}
        if model is not None:
            training, state = model.training, torch.get_rng_state()
            model.eval()
            examples = self.examples[self.recipe.stage_at(step)]
            own = list(self.tasks)
            if not self.sharded:
                own = own[accelerator.process_index :: accelerator.num_processes]
            figures = {name: examples[name].evaluate(model) for name in own}
            model.train(training)
            torch.set_rng_state(state)
        merged = {name: values for part in self.gradients.gather(figures) for name, values in part.items()}
        return {name: merged[name] for name in self.tasks}

    def _save(self, adapters: Any, average: AveragedModel | None) -> None:
        """Write the finished model; what was averaged is what is saved."""
        accelerator = self.accelerator
        if average is not None:
            with torch.no_grad():
                for own, mean in zip(self.model.parameters(), average.module.parameters(), strict=True):
                    own.copy_(mean)
        model = self._whole_model()
        if accelerator.is_main_process:
            if adapters is not None:
                write_whole(self.folder / "adapter", lambda folder: save_adapter(adapters, folder))
                adapters.merge_and_unload()
            write_whole(self.folder / "model", lambda folder: save_model(model, folder, self.tokenizer))
        accelerator.wait_for_everyone()


def check_is_run(folder: Path) -> None:
    """Raises ValueError unless a folder is a run, or empty: nothing else is deleted to start over."""
    if not folder.is_dir():
        raise ValueError(f"output: {folder} is no folder")
    if any(folder.iterdir()) and not ((folder / "recipe.json").is_file() or (folder / "checkpoints").is_dir()):
        raise ValueError(
            f"output: {folder} holds something, but no run (recipe.json, checkpoints/), so it is not deleted; "
            "use another folder"
        )


def _as_it_is(item: Any) -> Any:
    return item


def _brief(figures: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in list(figures.items())[:3])


__all__ = ["Builder", "check_is_run", "make_accelerator", "synthetic_examples", "train"]
