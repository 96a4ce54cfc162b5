# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the examples of all families share: where their data comes from, and how rows of it are drawn."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.tasks_hulk import HulkTask
from hulk_hf.training.augmentation import Augmentation
from hulk_hf.training.examples.bystanders import add_bystanders

Arrays = Mapping[str, np.ndarray]


class FamilyExamples:
    """Training batches and validation figures of one task.

    Args:
        task: The task, with the input size that is wanted.
        train: Columns of the training split, may be memory-mapped; which ones says the family.
        validation: The same of the validation split.
        augmentation: How training samples are changed; None: the default of the family.
    """

    default_augmentation = Augmentation()
    main_column = "images"

    def __init__(self, task: HulkTask, train: Arrays, validation: Arrays, augmentation: Augmentation | None = None):
        self.task = task
        self.train = train
        self.validation = validation
        self.augmentation = augmentation or self.default_augmentation

    @abstractmethod
    def batch(self, generator: torch.Generator, size: int) -> dict[str, Any]:
        """Make a training batch, a pure function of the generator.

        Args:
            generator: All randomness comes from here.
            size: Samples.

        Returns:
            Keyword arguments of the class of the family, labels included.
        """

    def normaliser(self, batch: Mapping[str, Any]) -> float | None:
        """What the loss of a batch is divided by, where that is not the number of samples; otherwise None."""
        return None

    @abstractmethod
    def evaluate(self, model: HulkForHumanAnalysis, limit: int | None = None) -> dict[str, float]:
        """Figures on the validation split, the main one first.

        Args:
            model: In evaluation mode, on any device.
            limit: Look at that many samples only.
        """

    @abstractmethod
    def baseline(self, limit: int | None = None) -> dict[str, float]:
        """The same figures of an answer that does not look: the most frequent or the mean one of training."""

    def draw(self, generator: torch.Generator, size: int) -> np.ndarray:
        """Draw rows of the training split: shape (size,)."""
        return torch.randint(len(self.train[self.main_column]), (size,), generator=generator).numpy()

    def read(self, rows: np.ndarray, *columns: str) -> list[torch.Tensor]:
        """Rows of some columns of the training split as tensors."""
        return [torch.from_numpy(np.stack([self.train[column][row] for row in rows])) for column in columns]

    def read_people(self, rows: np.ndarray, *columns: str, generator: torch.Generator) -> list[torch.Tensor]:
        """As `read`, of pictures of one person: with somebody else beside some, if the augmentation says so.

        Args:
            rows: Rows of the training split.
            columns: Which ones, `images` and `boxes` among them; `parts` loses what is covered.
            generator: All randomness comes from here.
        """
        probability = self.augmentation.bystander_probability
        if not probability:
            return self.read(rows, *columns)
        found = dict(zip(columns, self.read(rows, *columns), strict=True))
        layers = self.read(rows, "layers")[0]
        found["images"], hidden = add_bystanders(found["images"], found["boxes"], layers, probability, generator)
        if "parts" in found:
            found["parts"] = found["parts"].masked_fill(hidden, 0)
        return list(found.values())

    def validation_rows(self, limit: int | None, batch_size: int = 32) -> Iterator[slice]:
        """Slices of the validation split, `batch_size` rows each."""
        total = len(self.validation[self.main_column])
        total = total if limit is None else min(limit, total)
        for start in range(0, total, batch_size):
            yield slice(start, min(start + batch_size, total))

    def read_validation(self, rows: slice, *columns: str) -> list[torch.Tensor]:
        """Rows of some columns of the validation split as tensors."""
        return [torch.from_numpy(np.array(self.validation[column][rows])) for column in columns]

    def limited(self, column: str, limit: int | None) -> np.ndarray:
        """The first rows of a column of the validation split."""
        return np.asarray(self.validation[column][:limit])

    def some_training_rows(self, column: str, count: int = 2000) -> np.ndarray:
        """Up to `count` rows of a column of the training split, spread over all of it."""
        values = self.train[column]
        return np.stack([values[row] for row in range(0, len(values), max(len(values) // count, 1))])


__all__ = ["Arrays", "FamilyExamples"]
