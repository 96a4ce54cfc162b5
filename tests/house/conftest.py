# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the house read: the tree, and pyproject.toml."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tracked_files(root: Path) -> list[str]:
    """Paths of the files under version control, relative to the top; skipped outside a clone."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip(f"not a git clone: {listing.stderr.strip()}")
    return sorted(path for path in listing.stdout.split("\0") if path and (root / path).exists())


@pytest.fixture(scope="session")
def room_files(root: Path) -> dict[str, Path]:
    """The Python files of the three rooms by their path in the repository; links are not followed."""
    rooms = [root / name for name in ("modeling", "conversion", "hulk_hf")]
    linked = {file for room in rooms for file in room.rglob("*") if file.is_symlink()}
    return {
        file.relative_to(root).as_posix(): file
        for room in rooms
        for file in sorted(room.rglob("*.py"))
        if not linked & {file, *file.parents}
    }


@pytest.fixture(scope="session")
def project(root: Path) -> dict:
    """The table `project` of pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
