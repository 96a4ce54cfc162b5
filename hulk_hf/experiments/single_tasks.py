# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Models of one task beside the joint one, with as many steps of each task and from the same start.

    ALONE="pose-more parsing detection attributes caption action mesh"
    hulk-hf train tiny-joint-more model.start_from=runs/tiny-joint/model
    for name in $ALONE; do hulk-hf train tiny-single-$name; done
    python -m hulk_hf.experiments.single_tasks runs/tiny-joint-more $(printf 'runs/tiny-single-%s ' $ALONE)

The runs of the recipes `tiny-single-*` are those of `tiny-joint-more` with one task each. All of them start from the
model that `tiny-joint` leaves, which has learned all tasks together already: what is compared is how to go on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hulk_hf.task_figures import TaskFigures, compare_tasks, format_tasks
from hulk_hf.training.recipe import Recipe, load_recipe


def steps_of_tasks(recipe: Recipe) -> dict[str, tuple[int, list[int], list[tuple[int, int] | None]]]:
    """Task name -> steps of a recipe, and samples per step and size of the input in each of its stages."""
    stages = [recipe.tasks_at(index) for index in range(len(recipe.stages))]
    return {
        tasks[0].name: (
            recipe.total_steps,
            [task.slots * task.batch_size for task in tasks],
            [task.image_size for task in tasks],
        )
        for tasks in zip(*stages, strict=True)
    }


def check_same_steps(joint: Path, alone: list[Path]) -> None:
    """Check that runs of one task can be compared with a joint one.

    Args:
        joint: Folder of the joint run.
        alone: Folders of the runs of one task.

    Raises:
        ValueError: A run had not as many steps and samples of its task, or samples of another size, or it started
            elsewhere. A joint run that started from `bundled` is believed: which model that was, nobody can tell.
    """
    recipe = load_recipe(joint / "recipe.json")
    expected, start = steps_of_tasks(recipe), recipe.model.start_from
    for run in alone:
        other = load_recipe(run / "recipe.json")
        if start not in ("bundled", other.model.start_from):
            raise ValueError(f"alone: {run} started from {other.model.start_from!r}, expected {start!r} as in {joint}")
        for task, own in steps_of_tasks(other).items():
            if own != expected.get(task):
                raise ValueError(
                    f"alone: {run} has (steps, samples per step, image_size) {own} of {task!r}, expected "
                    f"{expected.get(task)} as in {joint}"
                )


def write_report(figures: TaskFigures, joint: str, start: str, steps: int) -> str:
    """The table, and what it is a table of.

    Args:
        figures: From `compare_tasks`.
        joint: Name of the joint recipe.
        start: What the runs of one task started from.
        steps: Of each run.
    """
    lines = [
        "# One task alone, or all together",
        "",
        f"Synthetic people of the test split. `joint` is the model of `{joint}`; `alone` are models that went on from",
        f"the same start, `{start}`, with one task only: {steps:,} steps, and in them as many samples of",
        "this task. `no look` is the most frequent or mean answer of training. One run each: how far runs lie",
        "apart by chance is not known.",
        "",
        format_tasks(figures),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure the models of some runs and write a report."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("joint", type=Path, help="folder of the joint run")
    parser.add_argument("alone", type=Path, nargs="+", help="folders of runs of one task each")
    parser.add_argument("--output", type=Path, default=Path("runs/single-tasks"))
    parser.add_argument("--cache", type=Path, default=Path("runs/data"), help="folder of the rendered people")
    parser.add_argument("--samples", type=int, default=500, help="people, scenes and clips per task")
    given = parser.parse_args()
    check_same_steps(given.joint, given.alone)
    models = [run / "model" for run in given.alone]
    figures = compare_tasks(given.joint / "model", models, given.samples, cache=given.cache)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "single_tasks.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    recipe, other = (load_recipe(run / "recipe.json") for run in (given.joint, given.alone[0]))
    report = write_report(figures, recipe.name, str(other.model.start_from), recipe.total_steps)
    (given.output / "single_tasks.md").write_text(report, encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()

__all__ = ["check_same_steps", "steps_of_tasks", "write_report"]
