# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Settings and fixtures that every test shares."""

from __future__ import annotations

import os
import tempfile

# Before anything imports transformers: no test may reach the network or the user's cache.
_CACHE = tempfile.TemporaryDirectory(prefix="hulk_hf_tests_")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HOME"] = _CACHE.name
os.environ["HF_MODULES_CACHE"] = os.path.join(_CACHE.name, "modules")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
SHARED_ABSENT = "the folder of recordings is not here (set HULK_SHARED, or lay it beside the repository)"


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings of the official code; the test is skipped where there is none."""
    named = os.environ.get("HULK_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    if not (folder / "golden").is_dir():
        if named:
            pytest.fail(f"HULK_SHARED={named} holds no folder 'golden'")
        pytest.skip(SHARED_ABSENT)
    return folder
