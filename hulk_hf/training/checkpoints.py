# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a run: whole or not there at all, and found again after a kill."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import DistributedType
from safetensors import SafetensorError

# What a full disk ends in: torch and safetensors have errors of their own for it.
_WRITING_ERRORS = (OSError, RuntimeError, SafetensorError)
_PATTERN = re.compile(r"step-(\d+)$")
# What a run may change on its way, since no weight depends on it.
_FREE_KEYS = {
    "description",
    "log_every",
    "evaluate_every",
    "checkpoint_every",
    "keep_checkpoints",
    "data_workers",
    "data.workers",
    "data.validation_samples",
}


def find_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """All complete checkpoints of a run as (step, folder), oldest first."""
    found = [(int(match[1]), path) for path in folder.glob("step-*") if (match := _PATTERN.match(path.name))]
    return sorted(found)


def save_checkpoint(accelerator: Accelerator, folder: Path, step: int, recipe: dict, keep: int, log: dict) -> None:
    """Write the state of a run after `step` steps: into a temporary folder first, then renamed.

    Args:
        accelerator: Holds model, optimiser, scheduler and random state.
        folder: Folder of the checkpoints.
        step: Finished steps.
        recipe: The recipe, stored to be compared on resuming.
        keep: How many checkpoints to keep.
        log: State of the log.

    Raises:
        OSError: It cannot be written, because the disk is full for example; earlier checkpoints are as they were.
    """
    temporary, final = folder / f".step-{step:06d}.partial", folder / f"step-{step:06d}"
    if accelerator.is_main_process and temporary.exists():
        shutil.rmtree(temporary)
    accelerator.wait_for_everyone()
    try:
        accelerator.save_state(str(temporary))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            run = {"step": step, "sharded": _is_sharded(accelerator), "recipe": recipe, "log": log}
            (temporary / "run.json").write_text(json.dumps(run), encoding="utf-8")
            _flush(temporary)
            os.replace(temporary, final)
    except _WRITING_ERRORS as error:
        shutil.rmtree(temporary, ignore_errors=True)
        earlier = find_checkpoints(folder)
        raise OSError(
            f"step {step}: its checkpoint cannot be written to {folder} ({error}); "
            + (f"the last one, {earlier[-1][1].name}, is whole: " if earlier else "there is none yet: ")
            + "make room and start the run again"
        ) from error
    if accelerator.is_main_process:
        for _, old in find_checkpoints(folder)[:-keep]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()


def _is_sharded(accelerator: Accelerator) -> bool:
    return bool(accelerator.distributed_type == DistributedType.FSDP)


def write_whole(folder: Path, write: Callable[[Path], object]) -> None:
    """Write a folder whole or not at all, in place of an earlier one.

    Args:
        folder: The folder.
        write: Writes the files of a folder that it is given.

    Raises:
        OSError: It cannot be written, because the disk is full for example; what was there is as it was.
    """
    temporary = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        write(temporary)
        _flush(temporary)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    except _WRITING_ERRORS as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise OSError(
            f"{folder} cannot be written ({error}): make room and start the run again, which goes on from its last "
            "checkpoint"
        ) from error


def _flush(folder: Path) -> None:
    """Have everything below a folder on the disk, so that a power cut after the renaming leaves no empty files."""
    for path in [*folder.rglob("*"), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def load_checkpoint(accelerator: Accelerator, folder: Path, recipe: dict) -> tuple[int, dict[str, Any]]:
    """Load the newest checkpoint of a run, if there is one.

    The number of processes may be another one than before: what the slots hold does not depend on it. The sums of
    gradients are then rounded in another order.

    Returns:
        The number of finished steps and the state of the log; 0 and an empty state without a checkpoint.

    Raises:
        ValueError: The checkpoint was written with a recipe that leads to other weights, or in another way: sharded,
            or whole.
    """
    found = find_checkpoints(folder)
    if not found:
        return 0, {}
    step, newest = found[-1]
    run = json.loads((newest / "run.json").read_text(encoding="utf-8"))
    stored, given = _decisive(run["recipe"]), _decisive(json.loads(json.dumps(recipe)))
    changed = sorted(key for key in set(stored) | set(given) if stored.get(key) != given.get(key))
    if changed:
        raise ValueError(
            f"output: {folder.parent} holds a run with another recipe (different: {changed}); "
            "use another folder, or start over with --no-resume"
        )
    sharded = run.get("sharded", False)
    if sharded != _is_sharded(accelerator):
        ways = {False: "whole (one process or DDP)", True: "sharded (FSDP)"}
        raise ValueError(
            f"output: the model of {newest} is stored {ways[sharded]}, and this run has it {ways[not sharded]}; go on "
            "with the launcher it began with, or start over with --no-resume"
        )
    accelerator.load_state(str(newest))
    return step, run.get("log", {})


def _decisive(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a recipe that decide the weights, by dotted key."""
    values: dict[str, Any] = {}
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            values |= _decisive(value, f"{prefix}{key}.")
        elif prefix + key not in _FREE_KEYS:
            values[prefix + key] = value
    return values


__all__ = ["find_checkpoints", "load_checkpoint", "save_checkpoint", "write_whole"]
