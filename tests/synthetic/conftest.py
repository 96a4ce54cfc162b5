# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""A few rendered people that several tests look at."""

from __future__ import annotations

import pytest

from hulk_hf.synthetic.person import render_person


@pytest.fixture(scope="session")
def people() -> list[dict]:
    """120 samples, most of them of training."""
    splits = ["train"] * 90 + ["validation"] * 15 + ["test"] * 15
    return [render_person(seed, split) for seed, split in enumerate(splits)]
