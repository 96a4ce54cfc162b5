# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What is installed is what is in the tree: nothing less, nothing more, and links have become files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

MAX_WHEEL_BYTES = 60 * 2**20
NOT_SHIPPED = {"hulk_hf/modeling", "hulk_hf/conversion"}


def build(kind: str, source: Path, output: Path) -> Path:
    """Run the build backend in a process of its own, without a network, and return the archive."""
    output.mkdir()
    code = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(output)], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return next(output.iterdir())


@pytest.fixture(scope="module")
def clone(root: Path, tracked_files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files alone, in a folder of their own, links kept."""
    folder = tmp_path_factory.mktemp("house") / "clone"
    for path in tracked_files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / path, target, follow_symlinks=False)
    return folder


@pytest.fixture(scope="module")
def wheel(clone: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(build("wheel", clone, clone.parent / "wheel"))


@pytest.fixture(scope="module")
def expected(clone: Path, tracked_files: list[str]) -> dict[str, Path]:
    """Installed path -> file in the tree."""
    found = {}
    for path in tracked_files:
        room, _, rest = path.partition("/")
        if path in NOT_SHIPPED or not rest:
            continue
        if room == "hulk_hf":
            found[path] = clone / path
        elif room in ("modeling", "conversion"):
            found[f"hulk_hf/{path}"] = clone / path
    return found


def test_the_wheel_holds_the_tree(wheel: zipfile.ZipFile, expected: dict[str, Path]) -> None:
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert shipped == set(expected)


def test_the_wheel_holds_the_same_bytes(wheel: zipfile.ZipFile, expected: dict[str, Path]) -> None:
    assert not [name for name, file in expected.items() if wheel.read(name) != file.read_bytes()]


def test_the_wheel_has_no_links_and_a_size_one_can_download(wheel: zipfile.ZipFile) -> None:
    assert not [item.filename for item in wheel.infolist() if (item.external_attr >> 16) & 0o170000 == 0o120000]
    assert os.path.getsize(wheel.filename) < MAX_WHEEL_BYTES


def test_the_wheel_carries_its_licence(wheel: zipfile.ZipFile, clone: Path) -> None:
    for name in ("LICENSE", "NOTICE"):
        inside = next(item for item in wheel.namelist() if item.endswith(f".dist-info/licenses/{name}"))
        assert wheel.read(inside) == (clone / name).read_bytes()


def test_the_sdist_builds_the_same_wheel(wheel: zipfile.ZipFile, clone: Path) -> None:
    archive = build("sdist", clone, clone.parent / "sdist")
    with tarfile.open(archive) as tar:
        tar.extractall(clone.parent / "unpacked", filter="tar")
    source = next((clone.parent / "unpacked").iterdir())
    assert (source / "modeling").is_dir() and (source / "tests" / "conftest.py").is_file()
    again = zipfile.ZipFile(build("wheel", source, clone.parent / "wheel_again"))
    names = [name for name in wheel.namelist() if ".dist-info/" not in name]
    assert names == [name for name in again.namelist() if ".dist-info/" not in name]
    assert not [name for name in names if wheel.read(name) != again.read(name)]
