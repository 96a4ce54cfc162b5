# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""One line per task: a model of several tasks, models of one task each, and an answer that does not look.

On synthetic people of the test split, whose bodies, clothes and backgrounds no training run sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.synthetic.tasks import SYNTHETIC_TASKS
from hulk_hf.training.examples import build_examples
from hulk_hf.training.recipe import DataRecipe

# Samples of the training split that answers which do not look are taken from.
BASELINE_DATA = DataRecipe(samples=1000, scenes=400, clips=1000)

# Of each family: what the main figure is called, and whether it is better the smaller it is.
MAIN_FIGURES = {
    "pose": "OKS",
    "parsing": "mIoU",
    "detection": "AP50",
    "attributes": "mean accuracy",
    "caption": "slots right",
    "action": "top-1 accuracy",
    "mesh": "PA-MPJPE in mm, less is better",
}

# Task -> answer (`no look`, `alone`, `joint`) -> figure -> value.
TaskFigures = dict[str, dict[str, dict[str, float]]]


def compare_tasks(
    checkpoint: str | Path,
    alone: Sequence[str | Path] = (),
    samples: int = 500,
    seed: int = 0,
    cache: str | Path = "runs/data",
    progress: bool = True,
) -> TaskFigures:
    """Measure the tasks of a checkpoint that synthetic people have the truth of.

    Args:
        checkpoint: Folder or hub name.
        alone: Folders of models of one task each, to be put beside it.
        samples: Persons, scenes and clips of the test split.
        seed: Which ones.
        cache: Folder where rendered people are kept.
        progress: Show bars while rendering.

    Raises:
        ValueError: No task of the checkpoint is one of the synthetic people's.
    """
    joint = HulkForHumanAnalysis.from_pretrained(checkpoint).eval()
    singles: dict[str, HulkForHumanAnalysis] = {}
    for folder in alone:
        single = HulkForHumanAnalysis.from_pretrained(folder).eval()
        singles |= dict.fromkeys(single.hulk.tasks, single)
    data = replace(BASELINE_DATA, validation_samples=samples, seed=seed)
    tasks = [task for name, task in joint.hulk.tasks.items() if name in SYNTHETIC_TASKS]
    if not tasks:
        raise ValueError(f"checkpoint: expected a task of {sorted(SYNTHETIC_TASKS)}, got {[*joint.hulk.tasks]}")
    figures: TaskFigures = {}
    for task in tasks:
        examples = build_examples(task, data, cache, seed, progress=progress, validation_split="test")
        answers = {"no look": {**examples.baseline(), "n": samples}}
        if task.name in singles:
            own = singles[task.name].hulk.tasks[task.name]
            other = build_examples(own, data, cache, seed, progress=progress, validation_split="test")
            answers["alone"] = other.evaluate(singles[task.name])
        answers["joint"] = examples.evaluate(joint)
        figures[task.name] = answers
    return figures


def format_tasks(figures: TaskFigures) -> str:
    """The main figures as a Markdown table, a row for each task."""
    answers = [name for name in ("no look", "alone", "joint") if any(name in row for row in figures.values())]
    rows = [["task", "figure", "n", *answers], ["---"] * (3 + len(answers))]
    for task, row in figures.items():
        family = task.partition("-")[0]
        digits = 1 if family == "mesh" else 3
        # The main figure is the first of those that examples give.
        values = [next(iter(row[name].values())) if name in row else None for name in answers]
        cells = ["" if value is None else f"{value:.{digits}f}" for value in values]
        rows.append([task, MAIN_FIGURES[family], str(row["no look"]["n"]), *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


__all__ = ["MAIN_FIGURES", "TaskFigures", "compare_tasks", "format_tasks"]
