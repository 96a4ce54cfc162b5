# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the distribution declares: extras, the pinned set, and the names the command tells users to install."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hulk_hf.cli import MODULE_EXTRAS

DISTRIBUTION_OF = {"cv2": "opencv-python", "skimage": "scikit-image", "yaml": "pyyaml"}


@pytest.fixture(scope="module")
def pins(root: Path) -> dict[str, str]:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in found}


def requirements(project: dict, extra: str) -> list[Requirement]:
    """The requirements of an extra, extras of this distribution within it followed."""
    found = []
    for line in project["optional-dependencies"][extra]:
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) == "hulk-hf":
            found += [inner for name in requirement.extras for inner in requirements(project, name)]
        else:
            found.append(requirement)
    return found


def test_constraints_are_exact_and_portable(root: Path, pins: dict[str, str]) -> None:
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    bad = [line for line in lines if not line.startswith("#") and not re.fullmatch(r"[\w.-]+==[\w.]+", line)]
    assert not bad
    assert pins["torch"] == "2.13.0"


def test_the_pinned_set_satisfies_the_declaration(project: dict, pins: dict[str, str]) -> None:
    everything = [Requirement(line) for line in project["dependencies"]] + requirements(project, "all")
    unmet = [
        str(requirement)
        for requirement in everything
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"))
    ]
    assert not unmet


def test_all_is_all(project: dict) -> None:
    everything = {requirement.name for requirement in requirements(project, "all")}
    for extra in project["optional-dependencies"]:
        assert {requirement.name for requirement in requirements(project, extra)} <= everything, extra


def test_the_command_names_the_right_extra(project: dict) -> None:
    for module, extra in MODULE_EXTRAS.items():
        wanted = canonicalize_name(DISTRIBUTION_OF.get(module, module))
        assert wanted in {canonicalize_name(requirement.name) for requirement in requirements(project, extra)}, module
