# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Made-up data of tiny tasks for short joint runs, and a program that trains on them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.tasks_hulk import HulkTask

SIZE = (64, 48)
TASKS = {
    task.name: task
    for task in (
        HulkTask("pose-small", "pose", ("head", "left hand", "right hand"), image_size=SIZE),
        HulkTask("parsing-small", "parsing", ("background", "left arm", "right arm", "hat"), image_size=(64, 64)),
        HulkTask("detection-small", "detection", ("person",), image_size=(96, 96), anchors_per_side=3),
        HulkTask("attributes-small", "attributes", ("hat", "bag", "dress"), image_size=SIZE),
        HulkTask("action-small", "action", ("run", "sit", "wave", "fall")),
        HulkTask("caption-small", "caption", vocabulary_size=120, max_length=8, image_size=SIZE),
    )
}


class MadeUp:
    """Random samples of a task; scores are a loss on some that never change."""

    def __init__(self, task: HulkTask):
        self.task = task

    def batch(self, generator: torch.Generator, size: int) -> dict[str, Any]:
        task = self.task

        def numbers(*shape: int) -> torch.Tensor:
            return torch.rand(size, *shape, generator=generator)

        def whole(high: int, *shape: int) -> torch.Tensor:
            return torch.randint(0, high, (size, *shape), generator=generator)

        if task.family == "action":
            return {"skeletons": numbers(2, 3, 14, 5) - 0.5, "labels": whole(task.num_labels)}
        height, width = task.image_size
        inputs = {"pixel_values": numbers(3, height, width) * 2 - 1}
        if task.family == "pose":
            heat = numbers(task.num_labels, height // 4, width // 4)
            shares = numbers(height * width // 256, 20).softmax(-1)
            return {**inputs, "labels": heat, "label_weights": numbers(task.num_labels).round(), "part_shares": shares}
        if task.family == "parsing":
            return {
                **inputs,
                "labels": whole(task.num_labels, height, width) * (numbers(1, 1) > 0.3),
                "num_points": 32,
            }
        if task.family == "attributes":
            return {**inputs, "labels": whole(3, task.num_labels) - 1}
        if task.family == "caption":
            words = whole(100, 7) + 3
            words[:, 0] = 101
            return {**inputs, "labels": words}
        counts = whole(4).tolist()
        rows = [
            {"boxes": torch.rand(count, 4, generator=generator) * 0.2 + 0.3, "class_labels": torch.zeros(count).long()}
            for count in counts
        ]
        return {**inputs, "labels": rows}

    def normaliser(self, batch: Mapping[str, Any]) -> float | None:
        if self.task.family == "detection":
            return float(sum(len(row["boxes"]) for row in batch["labels"]))
        if self.task.family == "parsing":
            return float(sum(len(labels.unique()) for labels in batch["labels"]))
        return None

    @torch.no_grad()
    def evaluate(self, model: HulkForHumanAnalysis, limit: int | None = None) -> dict[str, float]:
        batch = self.batch(torch.Generator().manual_seed(5), 2)
        batch.pop("part_shares", None)
        assert not model.training
        torch.manual_seed(6)
        return {"error": float(model.for_family(self.task.family)(task=self.task.name, **batch).loss), "n": 2}


class Broken(MadeUp):
    """Gives pictures that are no numbers from some batch on."""

    def batch(self, generator: torch.Generator, size: int) -> dict[str, Any]:
        batch = super().batch(generator, size)
        if self.task.family == "attributes" and generator.initial_seed() % 3 == 0:
            batch["pixel_values"].fill_(float("nan"))
        return batch


def make_examples(tasks: Mapping[str, HulkTask], *_: Any) -> dict[str, MadeUp]:
    return {name: MadeUp(task) for name, task in tasks.items()}


def small_model(**fields: Any) -> HulkForHumanAnalysis:
    """A model of all tasks with random weights."""
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    settings = {
        "vision_config": {"hidden_size": 32, "drop_path_rate": 0.2, **sizes},
        "decoder_config": {"hidden_size": 16, **sizes},
        "skeleton_config": {"num_frames": 14, "num_joints": 5},
        "text_feature_size": 24,
        "tasks": list(TASKS.values()),
    }
    torch.manual_seed(0)
    return HulkForHumanAnalysis(HulkConfig(**(settings | fields)))


def main() -> None:
    """`python made_up_examples.py RECIPE OUTPUT [KEY=VALUE]...`."""
    from hulk_hf.training.loop import train

    recipe, output, *overrides = sys.argv[1:]
    torch.set_num_threads(1)
    train(recipe, output, overrides=overrides, progress=False, cache=Path("-"), builder=make_examples, tasks=TASKS)


if __name__ == "__main__":
    main()
