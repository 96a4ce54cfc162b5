# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The log of a run: lines of JSON that read the same whether the run was interrupted or not, except for timings."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch


class RunLog:
    """Means of the loss terms, written every few steps, and whatever else belongs to a step.

    On resuming, lines of steps that will be done again are dropped. Every line carries `seconds`: wall time spent in
    the loop so far, evaluations and checkpoints included, over all starts of the run.

    Args:
        path: The file, a JSON object per line.
        first: Finished steps of the run.
        enabled: Whether this process writes.
        state: What `state()` gave when the checkpoint of step `first` was written; empty at the start of a run.
    """

    def __init__(self, path: Path, first: int, enabled: bool = True, state: Mapping[str, Any] | None = None):
        self.path = path
        self.enabled = enabled
        kept = [entry for entry in read_log(path) if entry["step"] <= first] if enabled else []
        if enabled:
            # A second kill in the middle of this must not cost the lines that are there.
            draft = path.with_name(f".{path.name}.partial")
            draft.write_text("".join(json.dumps(entry) + "\n" for entry in kept), encoding="utf-8")
            os.replace(draft, path)
        state = state or {}
        self._pending: list[dict[str, float]] = list(state.get("pending", []))
        self._before = float(state.get("seconds", elapsed_seconds(kept)))
        self._flushed = float(state.get("flushed", self._before))
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall seconds of the run so far, over all its starts."""
        return self._before + time.perf_counter() - self._start

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, so that the log goes on as if the run had never stopped."""
        return {"pending": self._pending, "seconds": self.seconds, "flushed": self._flushed}

    def add(self, terms: dict[str, float]) -> None:
        """Remember the terms of one step."""
        self._pending.append(terms)

    def flush(self, step: int, learning_rate: float, samples: int | None = None) -> dict[str, Any]:
        """Write the mean of the remembered terms and return it.

        Args:
            step: Finished steps.
            learning_rate: Of the next step.
            samples: Per step, over all processes and tasks; with it, the line says how many there were per second.
        """
        count, now = len(self._pending), self.seconds
        entry: dict[str, Any] = {
            name: sum(terms[name] for terms in self._pending) / count for name in self._pending[0]
        }
        entry |= {
            "step": step,
            "learning_rate": learning_rate,
            "steps_per_second": count / (now - self._flushed),
        }
        if samples is not None:
            entry["samples_per_second"] = samples * entry["steps_per_second"]
        self._flushed, self._pending = now, []
        self.write(entry)
        return entry

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one line."""
        if self.enabled:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**entry, "seconds": round(self.seconds, 3)}) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The entries of a log; none if there is no file.

    A last line that was cut short, by a kill while it was written, is left out.

    Raises:
        ValueError: Another line is no JSON.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise ValueError(f"{path}, line {number}: expected JSON, got {line[:80]!r}") from error
    return entries


def elapsed_seconds(entries: Iterable[Mapping[str, Any]]) -> float:
    """Wall seconds of a run up to its last entry; where they are not noted, from the steps per second."""
    seconds, step = 0.0, 0
    for entry in entries:
        if "seconds" in entry:
            seconds, step = entry["seconds"], entry["step"]
        elif "steps_per_second" in entry:
            seconds += (entry["step"] - step) / entry["steps_per_second"]
            step = entry["step"]
    return seconds


def describe_machine() -> dict[str, Any]:
    """What the speed of a run depends on: cores this process may use, threads of torch, kind of processor, torch."""
    available = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return {
        "cores": len(available),
        "threads": torch.get_num_threads(),
        "platform": platform.machine(),
        "torch": torch.__version__,
    }


__all__ = ["RunLog", "describe_machine", "elapsed_seconds", "read_log"]
