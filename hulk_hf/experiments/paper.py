# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Claims of the paper, tried in small: one trunk for all, modality indicators, attention patterns (Paper, Sec. 4.4).

    python -m hulk_hf.experiments.paper --output runs/paper --seeds 0 1 2

Every arm is the shipped recipe `paper-joint` with a few fields changed, and as many steps and samples of each task. A
run that was stopped goes on where it was; finished runs are not done again, whichever process made them. At the end
`paper.json` holds the figures of every arm and seed, and `paper.md` is a report of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

from scipy import stats

from hulk_hf.experiments.fitting import mean_and_spread
from hulk_hf.task_figures import MAIN_FIGURES
from hulk_hf.training.log import read_log
from hulk_hf.training.loop import train
from hulk_hf.training.recipe import load_recipe

RECIPE = "paper-joint"
# Arm -> fields of the recipe that it changes; `*` stands for every task.
ARMS: dict[str, list[str]] = {
    "joint": [],
    "one query token for all families": ["model.query_tokens=shared"],
    "modality embeddings as well": ["model.decoder.modality_embedding=true"],
    "all attention full": ["tasks.*.attention=full"],
    "all attention diagonal": ["tasks.*.attention=diagonal"],
}
# What the paper claims, which arm is better then, and than which one. `alone`: a model for each task.
CLAIMS: list[tuple[str, str, str]] = [
    ("One model of all tasks does better than a model for each", "joint", "alone"),
    ("A query token for each family does better than one for all", "joint", "one query token for all families"),
    ("Vectors that tell the decoder the modalities help", "modality embeddings as well", "joint"),
    ("Attention that differs by task does better than full attention", "joint", "all attention full"),
    ("Attention that differs by task does better than diagonal attention", "joint", "all attention diagonal"),
]
_CONFIDENCE = 0.95

# Arm -> task -> main validation figure by seed.
Results = dict[str, dict[str, dict[int, float]]]


def runs_of(arm: str) -> dict[str, list[str]]:
    """Runs of an arm: name -> overrides of the recipe. `alone` has one for each task."""
    recipe = load_recipe(RECIPE).to_dict()
    if arm != "alone":
        numbers = [str(index) for index in range(len(recipe["tasks"]))]
        changes = [change.replace("*", number) for change in ARMS[arm] for number in numbers if "*" in change]
        return {arm.replace(" ", "-"): changes or ARMS[arm]}
    return {
        f"alone-{task['name']}": [
            f"tasks=[{json.dumps({key: task[key] for key in ('name', 'batch_size', 'image_size')})}]"
        ]
        for task in recipe["tasks"]
    }


def run_experiment(
    output: Path, seeds: Sequence[int], arms: Sequence[str], cache: Path, overrides: Sequence[str] = ()
) -> Results:
    """Train all arms with all seeds, one after the other.

    Args:
        output: Folder of the runs.
        seeds: Of weights, samples and augmentation.
        arms: Names in `ARMS`, or `alone`.
        cache: Folder of the rendered people.
        overrides: Changes of the recipe for all arms.
    """
    results: Results = {}
    for seed in seeds:
        for arm in arms:
            for name, changes in runs_of(arm).items():
                folder = output / f"{name}-seed{seed}"
                recipe = load_recipe(RECIPE, [*overrides, *changes, f"seed={seed}"])
                if not (folder / "model").is_dir():
                    print(f"{arm}: {name}, seed {seed}", flush=True)
                    train(recipe, folder, cache=cache, progress=False)
                for line in read_log(folder / "log.jsonl"):
                    if "validation" in line and line["step"] == recipe.total_steps:
                        by_seed = results.setdefault(arm, {}).setdefault(line["task"], {})
                        by_seed[seed] = next(iter(line["validation"].values()))
    return results


def differences(results: Results, arm: str, other: str) -> dict[str, tuple[float, float]]:
    """Task -> mean, over seeds that both have, of what an arm has more than another, and what it is known to.

    Arms of one seed see the same samples, which is why differences are taken by seed. The second number is half the
    width of Student's interval of 95 %: infinite for one seed.
    """
    found = {}
    for task, first in results[arm].items():
        second = results[other].get(task, {})
        gaps = [first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())]
        if gaps:
            known = float("inf")
            if len(gaps) > 1:
                width = stats.t.ppf((1 + _CONFIDENCE) / 2, len(gaps) - 1)
                known = float(width) * statistics.stdev(gaps) / len(gaps) ** 0.5
            found[task] = (statistics.mean(gaps), known)
    return found


def _told(gaps: dict[str, tuple[float, float]]) -> str:
    """Where a claim shows up, where its opposite does, and where chance alone may be at work."""
    groups = {
        "It shows up in": [task for task, (mean, known) in gaps.items() if mean > known],
        "The opposite shows up in": [task for task, (mean, known) in gaps.items() if mean < -known],
        "Nothing is told apart in": [task for task, (mean, known) in gaps.items() if abs(mean) <= known],
    }
    return " ".join(f"{words} {', '.join(tasks)}." for words, tasks in groups.items() if tasks)


def write_report(results: Results, recipe_name: str = RECIPE) -> str:
    """A table of all arms, and for each claim the differences and where they are larger than chance explains."""
    recipe = load_recipe(recipe_name)
    seeds = sorted({seed for by_task in results.values() for by_seed in by_task.values() for seed in by_seed})
    tasks = list(dict.fromkeys(task for by_task in results.values() for task in by_task))
    lines = [
        "# Claims of the paper, in small",
        "",
        f"Arms of `{recipe_name}`, {recipe.total_steps:,} steps each, seeds {', '.join(map(str, seeds))}. The encoder",
        "is that of hulk-tiny, which had learned with the choices of the paper; neck, decoder and heads start from",
        f"random weights. Figures are of {recipe.data.validation_samples} people or clips of the validation split,",
        "all synthetic: mean ± deviation over seeds.",
        "",
        f"| task | figure | {' | '.join(results)} |",
        "|---" * (2 + len(results)) + "|",
    ]
    for task in tasks:
        cells = [mean_and_spread([*by_task[task].values()]) if task in by_task else "" for by_task in results.values()]
        lines.append(f"| {task} | {MAIN_FIGURES[task.partition('-')[0]]} | {' | '.join(cells)} |")
    lines += [
        "",
        "Differences below are taken by seed, ± half of Student's interval of 95 %: with three seeds only large ones",
        "stand out, and of twenty that are none, one is told by chance.",
        "",
    ]
    compared = [(claim, better, other) for claim, better, other in CLAIMS if {better, other} <= results.keys()]
    all_gaps = [differences(results, better, other) for _, better, other in compared]
    shown = sum(any(mean > known for mean, known in gaps.values()) for gaps in all_gaps)
    opposed = sum(any(mean < -known for mean, known in gaps.values()) for gaps in all_gaps)
    lines += [f"Of {len(compared)} claims, {shown} show up in some task here, and of {opposed} the opposite does.", ""]
    for (claim, better, other), gaps in zip(compared, all_gaps, strict=True):
        numbers = ", ".join(f"{task} {mean:+.3f} ± {known:.3f}" for task, (mean, known) in gaps.items())
        lines += [f"* **{claim}** (`{better}` minus `{other}`): {numbers}. {_told(gaps)}"]
    return "\n".join([*lines, ""])


def main() -> None:
    """Run the experiment and write its report."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, default=Path("runs/paper"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=[*ARMS, "alone"], choices=[*ARMS, "alone"])
    parser.add_argument("--cache", type=Path, default=Path("runs/data"), help="folder of the rendered people")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes of the recipe, for all arms")
    given = parser.parse_args()
    results = run_experiment(given.output, given.seeds, given.arms, given.cache, given.overrides)
    (given.output / "paper.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    report = write_report(results)
    (given.output / "paper.md").write_text(report, encoding="utf-8")
    print(report)


if __name__ == "__main__":
    main()

__all__ = ["ARMS", "CLAIMS", "differences", "run_experiment", "runs_of", "write_report"]
