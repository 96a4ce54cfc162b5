# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The gradient of an optimiser step: all slots of all processes, weighed and normalised as the release does it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from hulk_hf.modeling.tasks_hulk import HulkTask
from hulk_hf.training.recipe import TaskRecipe
from hulk_hf.training.slots import SlotBatch, coefficients, normaliser_arguments, sum_normalisers


class SlotGradients:
    """Runs the slots of a step and leaves the sum of their gradients with the parameters.

    Args:
        accelerator: With as many micro-steps as each process has slots.
        parts: The prepared module: `parts(task, batch)` gives the terms of a loss, `loss` among them.
        recipe: The tasks with their weights and slots.
        tasks: Their descriptions.
        scale: Constant that all losses are divided by.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        parts: nn.Module,
        recipe: Sequence[TaskRecipe],
        tasks: Mapping[str, HulkTask],
        scale: float = 1.0,
    ):
        self.accelerator = accelerator
        self.parts = parts
        self.tasks = tasks
        self.slots = {task.name: task.slots for task in recipe}
        self.weights = {task.name: task.weight / scale for task in recipe}
        self.coefficients = coefficients(recipe, scale)

    def __call__(self, slots: Sequence[SlotBatch]) -> dict[str, float]:
        """Run the slots of this process.

        Returns:
            `loss`, the weighted sum over tasks; `{task}/{term}`, means over all slots of a task; and the seconds
            `time/forward` and `time/backward` of this process.
        """
        totals = self.totals(slots)
        clock = Clock(self.accelerator.device)
        seen: list[tuple[str, dict[str, torch.Tensor]]] = []
        for slot in slots:
            with self.accelerator.accumulate(self.parts):
                clock.start()
                terms = self.forward(slot, totals)
                clock.stop("forward")
                self.accelerator.backward(terms["loss"] * self.coefficients[slot.task])
                clock.stop("backward")
            seen.append((slot.task, {name: value.detach() for name, value in terms.items()}))
        own: dict[str, float] = {}
        for task, values in seen:
            for name, value in values.items():
                own[f"{task}/{name}"] = own.get(f"{task}/{name}", 0.0) + float(value) / self.slots[task]
        means = _sum(self.gather(own))
        loss = sum(weight * means.get(f"{task}/loss", 0.0) for task, weight in self.weights.items())
        return {"loss": loss, **means, **clock.times}

    def totals(self, slots: Sequence[SlotBatch]) -> dict[str, float]:
        """Normalisers of all slots of all processes, by task."""
        return _sum(self.gather(sum_normalisers(slots)))

    def forward(self, slot: SlotBatch, totals: Mapping[str, float]) -> dict[str, torch.Tensor]:
        """The terms of the loss of a slot, with the normalisers of the whole step."""
        batch = _to(slot.batch, self.accelerator.device)
        if slot.task in totals:
            batch |= normaliser_arguments(self.tasks[slot.task], totals[slot.task], self.slots[slot.task])
        # The model's own randomness is that of the slot too, wherever and whenever it runs.
        torch.manual_seed(slot.seed)
        return self.parts(slot.task, batch)

    def gather(self, values: Any) -> list[Any]:
        """The values of all processes."""
        return gather_object([values]) if self.accelerator.num_processes > 1 else [values]

    def stop_unless_finite(
        self, step: int, slots: Sequence[SlotBatch], terms: Mapping[str, float], norm: torch.Tensor, folder: Path
    ) -> None:
        """End the run if a loss or the gradient is no number; the batches are saved first.

        Args:
            step: Number of the step.
            slots: Of this process.
            terms: What the call gave for them.
            norm: Of the gradient.
            folder: Gets `bad_batch.pt` (`bad_batch-{rank}.pt` of other processes than the first), which holds `step`
                and `slots`, a list of `task`, `seed` and `batch`.

        Raises:
            FloatingPointError: With the names of the tasks.
        """
        wrong = {task for task in self.tasks if not _is_finite(terms.get(f"{task}/loss", 0.0))}
        if not wrong and torch.isfinite(norm):
            return
        bad = [slot for slot in slots if slot.task in wrong] if wrong else self._bad_gradients(slots)
        wrong |= {name for names in self.gather([slot.task for slot in bad]) for name in names}
        rank = self.accelerator.process_index
        file = folder / (f"bad_batch-{rank}.pt" if rank else "bad_batch.pt")
        if bad:
            content = [{"task": slot.task, "seed": slot.seed, "batch": slot.batch} for slot in bad]
            torch.save({"step": step, "slots": content}, file)
        names = ", ".join(sorted(wrong)) or "no task alone, but of their sum,"
        where = f"its batch is in {file.name}" if bad else "its batch, if any, is with another process"
        raise FloatingPointError(f"step {step}: loss or gradient of {names} is not a number; {where}")

    def _bad_gradients(self, slots: Sequence[SlotBatch]) -> list[SlotBatch]:
        """The slots whose gradient alone is not finite, found by running each of them once more."""
        totals, bad = self.totals(slots), []
        for slot in slots:
            self.parts.zero_grad()
            with self.accelerator.no_sync(self.parts):
                self.forward(slot, totals)["loss"].backward()
            gradients = [p.grad for p in self.parts.parameters() if p.grad is not None]
            if not all(torch.isfinite(gradient).all() for gradient in gradients):
                bad.append(slot)
        return bad


class Clock:
    """Seconds by what they were spent on, as `time/{name}`."""

    def __init__(self, device: torch.device):
        self.device = device
        self.times: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        """Begin to measure."""
        self._since = time.perf_counter()

    def stop(self, name: str) -> None:
        """Count the time since `start`, or the last `stop`, for a name."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.times[f"time/{name}"] = self.times.get(f"time/{name}", 0.0) + now - self._since
        self._since = now


def _to(value: Any, device: torch.device) -> Any:
    """Nested tensors on a device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: _to(item, device) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to(item, device) for item in value]
    return value


def _sum(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Sums by name, in the order of first mention."""
    sums: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums


def _is_finite(value: float) -> bool:
    return value - value == 0.0


__all__ = ["Clock", "SlotGradients"]
