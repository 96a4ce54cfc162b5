# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of a run: whole or not there at all, and found again after a kill."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from accelerate import Accelerator

_PATTERN = re.compile(r"step-(\d+)$")


def find_checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """All complete checkpoints of a run as (step, folder), oldest first."""
    found = [(int(match[1]), path) for path in folder.glob("step-*") if (match := _PATTERN.match(path.name))]
    return sorted(found)


def save_checkpoint(accelerator: Accelerator, folder: Path, step: int, recipe: dict, keep: int) -> None:
    """Write the state of a run after `step` steps: into a temporary folder first, then renamed.

    Args:
        accelerator: Holds model, optimiser, scheduler and random state.
        folder: Folder of the checkpoints.
        step: Finished steps.
        recipe: The recipe, stored to be compared on resuming.
        keep: How many checkpoints to keep.
    """
    temporary, final = folder / f".step-{step:06d}.partial", folder / f"step-{step:06d}"
    if accelerator.is_main_process and temporary.exists():
        shutil.rmtree(temporary)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(temporary))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        (temporary / "run.json").write_text(json.dumps({"step": step, "recipe": recipe}), encoding="utf-8")
        os.replace(temporary, final)
        for _, old in find_checkpoints(folder)[:-keep]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()


def load_checkpoint(accelerator: Accelerator, folder: Path, recipe: dict) -> int:
    """Load the newest checkpoint of a run, if there is one.

    Returns:
        The number of finished steps, 0 without a checkpoint.

    Raises:
        ValueError: The checkpoint was written with another recipe.
    """
    found = find_checkpoints(folder)
    if not found:
        return 0
    step, newest = found[-1]
    stored = json.loads((newest / "run.json").read_text(encoding="utf-8"))["recipe"]
    given = json.loads(json.dumps(recipe))
    changed = sorted(key for key in set(stored) | set(given) if stored.get(key) != given.get(key))
    if set(changed) - {"description"}:  # what is written for people may be reworded
        raise ValueError(
            f"output: {folder.parent} holds a run with another recipe (different: {changed}); "
            "use another folder, or start over with --no-resume"
        )
    accelerator.load_state(str(newest))
    return step


__all__ = ["find_checkpoints", "load_checkpoint", "save_checkpoint"]
