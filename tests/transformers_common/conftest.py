# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Lays out the common model tests of the installed transformers; they are in its source archive, not in its wheel.

The folder is passed over unless it is asked for by name, since the archive has to be fetched (10 MB, once) and the
tests change with every release of transformers:

    python -m pytest tests/transformers_common
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import pytest
import transformers

HERE = Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache" / "transformers_common"
# Imported as a package of this name, so that it does not get in the way of our own `tests`.
PACKAGE = "transformers_tests"
# Markers that the common tests use, which pytest wants to be declared.
MARKERS = (
    "accelerate_tests",
    "flash_attn_test",
    "flash_attn_3_test",
    "flash_attn_4_test",
    "order",
    "torch_compile_test",
)
# What `test_modeling_common.py` imports and the archive does not hold.
STUBS = {
    "exporters/test_export.py": "class ExportTesterMixin:\n    pass\n",
    "generation/test_utils.py": "class GenerationTesterMixin:\n    pass\n",
    "utils/test_configuration_utils.py": "config_common_kwargs = {}\n",
}


def asked_for(config: pytest.Config) -> bool:
    """Whether the command line names this folder, or something in it."""
    named = [config.invocation_params.dir / argument.partition("::")[0] for argument in config.args]
    return any(path.resolve().is_relative_to(HERE) for path in named)


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    return None if asked_for(config) else True


def pytest_configure(config: pytest.Config) -> None:
    if asked_for(config):
        sys.path.insert(0, str(lay_out()))
        for marker in MARKERS:
            config.addinivalue_line("markers", f"{marker}: a kind of transformers' common tests")


def fetch(folder: Path) -> Path:
    """The source archive of the installed transformers, from wherever pip finds it."""
    wanted = f"transformers=={transformers.__version__}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "transformers"]
    # Without build isolation, or pip would install a build environment to read the name it was given.
    command += ["--no-build-isolation", "--dest", str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.exit(f"cannot fetch the source archive of {wanted}:\n{done.stderr}", returncode=2)
    return next(folder.glob("transformers-*.tar.gz"))


def lay_out() -> Path:
    """The folder that holds the package of common tests, made if it is not there yet."""
    made = CACHE / transformers.__version__
    if made.is_dir():
        return made
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as draft:
        package = Path(draft) / "made" / PACKAGE
        package.mkdir(parents=True)
        with tarfile.open(fetch(Path(draft))) as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                if member.isfile() and path.parts[1:-1] == ("tests",) and path.suffix == ".py":
                    (package / path.name).write_bytes(archive.extractfile(member).read())
        for name, text in STUBS.items():
            (package / name).parent.mkdir()
            (package / name).write_text(text, encoding="utf-8")
            (package / name).with_name("__init__.py").touch()
        (package / "__init__.py").touch()
        package.parent.rename(made)
    return made
