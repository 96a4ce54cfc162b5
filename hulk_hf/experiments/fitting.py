# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the experiments with few examples share: a short training on one task, rendered people, means over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import get_cosine_schedule_with_warmup

from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.synthetic.dataset import one_thread, sample_seed
from hulk_hf.synthetic.person import render_person
from hulk_hf.training.examples import FamilyExamples

_COLUMNS = {"image": "images", "bbox": "boxes", "area": "areas"}
_KEPT = ("images", "boxes", "keypoints", "parts", "areas", "attributes", "joints_2d")


def render_people(
    split: str, count: int, seed: int = 0, domain: str | None = None, cache: Path | None = None
) -> dict[str, np.ndarray]:
    """Columns of rendered people, as examples of the families take them.

    Args:
        split: `train`, `validation` or `test`.
        count: How many.
        seed: Which ones, see `sample_seed`.
        domain: See `render_person`.
        cache: Folder where they are kept for the next time; None: nowhere.
    """
    file = None if cache is None else cache / f"{domain or 'usual'}-{split}-{count}-seed{seed}.npz"
    if file is not None and file.is_file():
        with np.load(file) as stored:
            return dict(stored)
    numbers = [sample_seed(index, seed) for index in range(count)]
    with ProcessPoolExecutor(2) as pool:
        people = list(pool.map(_render, numbers, [split] * count, [domain] * count, chunksize=16))
    columns = {key: np.stack([person[key] for person in people]) for key in people[0]}
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, allow_pickle=False, **columns)
    return columns


def _render(number: int, split: str, domain: str | None) -> dict[str, Any]:
    with one_thread():
        person = render_person(number, split, domain=domain)
    named = {_COLUMNS.get(key, key): np.asarray(value) for key, value in person.items() if not isinstance(value, str)}
    return {key: named[key] for key in _KEPT}


def fit(
    model: HulkForHumanAnalysis,
    parameters: Sequence[nn.Parameter],
    examples: FamilyExamples,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int = 0,
    vector_rate: float = 1.0,
) -> None:
    """Train some parameters on one task, with AdamW, a tenth of warm-up and half a cosine to zero.

    Args:
        model: Trained in place; ends in evaluation mode.
        parameters: What is trained.
        examples: Of the task.
        steps: Optimiser steps.
        batch_size: Samples of each.
        learning_rate: At the peak.
        seed: Of the samples and their augmentation.
        vector_rate: Factor of the rate of parameters with one axis, such as the norm over the labels of a task.
    """
    single = model.for_family(examples.task.family)
    vectors = [parameter for parameter in parameters if parameter.ndim == 1]
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim != 1]},
        {"params": vectors, "lr": learning_rate * vector_rate},
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, weight_decay=0.0, betas=(0.9, 0.98))
    schedule = get_cosine_schedule_with_warmup(optimizer, steps // 10, steps)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(steps):
        batch = examples.batch(generator, batch_size)
        batch.pop("part_shares", None)
        single.training = True
        with torch.autocast(model.device.type, torch.bfloat16):
            loss = single(task=examples.task.name, **batch).loss
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.eval()


def mean_and_spread(values: Sequence[float]) -> str:
    """`mean ± standard deviation` of some numbers."""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


__all__ = ["fit", "mean_and_spread", "render_people"]
