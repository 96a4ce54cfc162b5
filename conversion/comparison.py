# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Comparing a tensor of ours with a recorded one, and what a table of comparisons is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

ABSOLUTE, RELATIVE = 1e-4, 1e-5
# The presence terms are weighted by 0.001: with the tolerance of activations they could be anything.
LOSS_ABSOLUTE = 1e-5
GRADIENT_RELATIVE, GRADIENT_FLOOR = 1e-3, 1e-6


@dataclass(frozen=True)
class Comparison:
    """One line of the table.

    Attributes:
        stage: What was compared.
        difference: Largest difference; NaN if one side is not a number or the shapes differ.
        tolerance: What is allowed at the element that comes closest to its limit.
        passed: Whether every element is within its tolerance.
        note: Anything a reader should know.
    """

    stage: str
    difference: float
    tolerance: float
    passed: bool
    note: str = ""


@dataclass
class Report:
    """What came out for one recording.

    Attributes:
        kind: What the recording holds.
        comparisons: In the order of the network.
        left_out: Recorded tensors that were not compared -> why.
    """

    kind: str
    comparisons: list[Comparison] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(self, stage: str, ours: Any, recorded: Any, **tolerances: float) -> None:
        """Compare and note the result; see `compare`."""
        self.comparisons.append(compare(stage, ours, recorded, **tolerances))

    def add_bound(self, stage: str, difference: float, bound: float, note: str = "") -> None:
        """Note a figure that must not exceed a bound."""
        self.comparisons.append(Comparison(stage, float(difference), float(bound), difference <= bound, note))

    @property
    def passed(self) -> bool:
        """Whether something was compared and everything agreed."""
        return bool(self.comparisons) and all(comparison.passed for comparison in self.comparisons)


def compare(
    stage: str, ours: Any, recorded: Any, absolute: float = ABSOLUTE, relative: float = RELATIVE
) -> Comparison:
    """Compare element by element: |ours - recorded| <= absolute + relative * |recorded|.

    Args:
        stage: Name of the line.
        ours: Tensor or number.
        recorded: Tensor or number of the same shape.
        absolute: Part of the tolerance that does not depend on the value.
        relative: Part of the tolerance in proportion to the recorded value.
    """
    ours = torch.as_tensor(ours, dtype=torch.float64).detach()
    recorded = torch.as_tensor(recorded, dtype=torch.float64).detach()
    if ours.shape != recorded.shape:
        note = f"shape {tuple(ours.shape)}, recorded {tuple(recorded.shape)}"
        return Comparison(stage, float("nan"), absolute, False, note)
    if not recorded.numel():
        return Comparison(stage, 0.0, absolute, True, "empty")
    difference, allowed = (ours - recorded).abs(), absolute + relative * recorded.abs()
    if not difference.isfinite().all():
        return Comparison(stage, float("nan"), absolute, False, "not finite")
    # The line shows the tolerance of the element that uses up most of its own; exact comparisons allow nothing.
    worst = (difference / allowed.clamp(min=torch.finfo(torch.float64).tiny)).argmax()
    passed = bool((difference <= allowed).all())
    return Comparison(stage, difference.max().item(), allowed.flatten()[worst].item(), passed)


__all__ = [
    "ABSOLUTE",
    "GRADIENT_FLOOR",
    "GRADIENT_RELATIVE",
    "LOSS_ABSOLUTE",
    "RELATIVE",
    "Comparison",
    "Report",
    "compare",
]
