# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Element-wise comparison: what passes, what fails, and what the line shows."""

from __future__ import annotations

import math

import pytest
import torch

from hulk_hf.conversion.comparison import Report, compare


@pytest.mark.parametrize(
    ("ours", "recorded", "passed"),
    [
        ([0.0, 1.0], [0.0, 1.0], True),
        ([0.00009], [0.0], True),
        ([0.00011], [0.0], False),
        ([1000.009], [1000.0], True),  # 1e-4 + 1e-5 * 1000
        ([1000.011], [1000.0], False),
        ([float("nan")], [float("nan")], False),
        ([float("inf")], [float("inf")], False),
        ([1.0, 2.0], [1.0], False),
        ([[1.0]], [1.0], False),
    ],
)
def test_every_element_has_its_tolerance(ours, recorded, passed):
    result = compare("x", torch.tensor(ours, dtype=torch.float64), torch.tensor(recorded, dtype=torch.float64))
    assert result.passed is passed


def test_the_line_shows_the_tolerance_of_the_element_that_uses_most_of_its_own():
    result = compare("x", torch.tensor([1e-4 / 2, 1e4 + 0.01], dtype=torch.float64), torch.tensor([0.0, 1e4]))
    assert result.passed
    assert result.difference == pytest.approx(0.01)
    assert result.tolerance == pytest.approx(1e-4), "half of the small one is used, a tenth of the large one"


def test_exact_comparison_allows_nothing():
    assert compare("x", 1.0, 1.0, absolute=0.0, relative=0.0).passed
    assert not compare("x", 1.0, math.nextafter(1.0, 2.0), absolute=0.0, relative=0.0).passed


def test_a_report_without_comparisons_does_not_pass():
    report = Report("nothing")
    assert not report.passed
    report.add("x", 1.0, 1.0)
    assert report.passed
    report.add_bound("y", 2.0, 1.0)
    assert not report.passed
    assert not Report("z", [compare("x", float("nan"), 1.0)]).passed
