# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The figures a pose model is judged by, beside two answers that have seen no picture.

All with ground-truth boxes and the flip test: on rendered persons of the test split, whose bodies, clothes and
backgrounds no training run sees, and on annotated photographs where there are some.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.synthetic.dataset import render_arrays
from hulk_hf.training.evaluation import load_coco_persons, mean_pose, place_mean_pose, pose_figures, predict_poses
from hulk_hf.training.initialization import initialize_from_scratch

# Rendered persons of the training split that the mean pose is taken from.
MEAN_POSE_SAMPLES = 1000

Figures = dict[str, dict[str, dict[str, float]]]


def untrained_like(model: HulkForPoseEstimation, seed: int = 0) -> HulkForPoseEstimation:
    """A model of the same configuration and label features, as training from scratch starts it."""
    torch.manual_seed(seed)
    other = HulkForPoseEstimation(model.config)
    features = {name: model.dense_head.label_features(name) for name in model.hulk.tasks}
    initialize_from_scratch(other, features)
    return other.eval()


def compare_poses(
    checkpoint: str | Path,
    samples: int = 1000,
    seed: int = 0,
    photographs: str | Path | None = None,
    cache: str | Path = "runs/data",
    progress: bool = True,
) -> Figures:
    """Measure a checkpoint, its untrained start and the mean pose on the same persons.

    Args:
        checkpoint: Folder or hub name of a pose model with the 17 joints of COCO.
        samples: Rendered persons of the test split.
        seed: Which rendered persons, and which untrained weights.
        photographs: Folder with pictures and one COCO annotation file.
        cache: Folder where rendered persons are kept.
        progress: Show bars.

    Returns:
        `{"rendered" or "photographs": {"model", "untrained" or "mean pose": {"n", "OKS", "AP", ...}}}`; OKS and the
        precisions are between 0 and 1.

    Raises:
        ValueError: The checkpoint has other joints, or the folder of photographs is no such folder.
    """
    model = HulkForPoseEstimation.from_pretrained(checkpoint).eval()
    task = model.hulk.resolve_task(family="pose")
    if task.num_labels != 17 or task.sigmas is None:
        raise ValueError(f"checkpoint: expected a pose task with the 17 joints of COCO, got {task.name!r}")
    persons: dict[str, Mapping[str, Any]] = {
        "rendered": vars(render_arrays("test", samples, seed, directory=cache, progress=progress))
    }
    if photographs is not None:
        persons["photographs"] = load_coco_persons(photographs)
    training = render_arrays("train", MEAN_POSE_SAMPLES, seed, directory=cache, progress=progress)
    mean = mean_pose(np.asarray(training.keypoints), np.asarray(training.boxes))
    networks = {"model": model, "untrained": untrained_like(model, seed)}

    figures: Figures = {}
    for name, data in persons.items():
        boxes = np.array(data["boxes"])
        answers = {
            answer: predict_poses(network, data["images"], boxes, task.image_size, progress=progress)
            for answer, network in networks.items()
        }
        answers["mean pose"] = (place_mean_pose(mean, boxes), np.ones((len(boxes), task.num_labels)))
        figures[name] = {
            answer: pose_figures(joints, scores, data, task.sigmas) for answer, (joints, scores) in answers.items()
        }
    return figures


def format_figures(figures: Figures) -> str:
    """The figures as a Markdown table, a row for each answer."""
    columns = list(next(iter(next(iter(figures.values())).values())))
    rows = [["persons", "answer", *columns], ["---"] * (2 + len(columns))]
    for persons, answers in figures.items():
        for answer, values in answers.items():
            cells = [f"{values[name]:.3f}" if name != "n" else str(values[name]) for name in columns]
            rows.append([persons, answer, *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


__all__ = ["MEAN_POSE_SAMPLES", "Figures", "compare_poses", "format_figures", "untrained_like"]
