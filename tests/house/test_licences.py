# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The licences of everything that `pip install "hulk-hf[all]"` brings, from what is installed here.

Two looks at each distribution of the graph: what it says of itself (licence expression, classifiers, licence field or
licence file), and which shared libraries its wheel carries, since a wheel under BSD may hold an encoder under GPL.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# What we may ship beside: words of an SPDX expression, of a classifier or of a licence field.
PERMISSIVE = re.compile(
    r"apache|\bMIT\b|MIT-CMU|\bBSD\b|\bBSD-|0BSD|\bISC\b|\bPSF|python software foundation|matplotlib"
    r"|\bMPL\b|MPL-2|mozilla public|zlib|unlicense|CC0|CNRI-Python|\bBSL-1\.0|boost software|\bHPND\b|kiwi licensing",
    re.IGNORECASE,
)
FORBIDDEN = re.compile(
    r"\bA?GPL|\bGNU (?:affero )?general public|affero|non-?commercial|\bCC[- ]BY-NC|\bSSPL|business source|"
    r"commons clause|research[- ](?:use )?only|proprietary",
    re.IGNORECASE,
)
COPYLEFT_LIBRARY = re.compile(r"\bLGPL|lesser general public", re.IGNORECASE)

# Shared libraries that wheels carry, by the beginning of their file name.
GPL_LIBRARIES = ("libx264", "libx265", "libxvidcore", "libpostproc", "libreadline", "libgsl", "libfftw3", "libglpk")
LGPL_LIBRARIES = ("libavcodec", "libQt5Core", "libQt6Core", "libmp3lame", "libgnutls", "libgmp", "libsndfile")

# Distributions that bring a library under LGPL, each with the reason why that is in order. LICENCES.md names them too.
LGPL_ACCEPTED = {
    "opencv-python": "comes with supervision (extra viz): FFmpeg (LGPL-2.1) and Qt 5 (LGPL-3.0) as replaceable shared "
    "libraries beside an Apache-2.0 binding; hulk_hf neither imports nor passes them on",
}


def installed_graph(name: str, extras: set[str], search: list[str] | None = None) -> dict[str, metadata.Distribution]:
    """The distributions that `name[extras]` needs here, itself included, by canonical name."""
    found: dict[str, metadata.Distribution] = {}
    visited: dict[str, set[str]] = {}

    def distribution(wanted: str) -> metadata.Distribution:
        for candidate in metadata.distributions(**({"path": search} if search else {})):
            if canonicalize_name(candidate.metadata["Name"]) == wanted:
                return candidate
        raise metadata.PackageNotFoundError(wanted)

    def walk(wanted: str, wanted_extras: set[str]) -> None:
        new = ({""} | wanted_extras) - visited.setdefault(wanted, set())
        if not new:
            return
        visited[wanted] |= new
        found.setdefault(wanted, distribution(wanted))
        for line in found[wanted].requires or []:
            requirement = Requirement(line)
            if any(requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in new):
                walk(canonicalize_name(requirement.name), set(requirement.extras))

    walk(canonicalize_name(name), extras)
    return found


def stated_licence(distribution: metadata.Distribution) -> str:
    """What a distribution says of itself, in the most exact form it has: expression, classifiers, field, file."""
    fields = distribution.metadata
    if expression := fields.get("License-Expression"):
        return expression
    classifiers = [value for value in fields.get_all("Classifier", []) if value.startswith("License ::")]
    if classifiers:
        return "; ".join(value.rpartition(":: ")[2] for value in classifiers)
    if field := (fields.get("License") or "").strip():
        return field.splitlines()[0]
    for file in distribution.files or []:
        if re.fullmatch(r"(?i)(?:licen[sc]e|copying)(?:\.\w+)?", file.name) and ".dist-info" in str(file):
            return " ".join(Path(str(file.locate())).read_text(encoding="utf-8", errors="replace").split())[:200]
    return ""


def carried_libraries(distribution: metadata.Distribution, beginnings: tuple[str, ...]) -> list[str]:
    """Shared libraries of these names among the files of a distribution."""
    return sorted(file.name for file in distribution.files or [] if file.name.startswith(beginnings))


def licence_faults(distributions: dict[str, metadata.Distribution]) -> Iterator[str]:
    """Why these distributions could not be shipped beside, one line for each reason."""
    for name, distribution in distributions.items():
        licence = stated_licence(distribution)
        lesser = bool(COPYLEFT_LIBRARY.search(licence)) or carried_libraries(distribution, LGPL_LIBRARIES)
        strict = COPYLEFT_LIBRARY.sub("", licence)
        if not licence:
            yield f"{name} states no licence"
        elif FORBIDDEN.search(strict) and not re.search(r"\bOR\b", licence):
            yield f"{name}: {licence}"
        elif not PERMISSIVE.search(strict) and not lesser:
            yield f"{name}: {licence!r} is not among the licences we know"
        if gpl := carried_libraries(distribution, GPL_LIBRARIES):
            yield f"{name} carries {', '.join(gpl)}, under GPL"
        if lesser and name not in LGPL_ACCEPTED:
            yield f"{name}: LGPL without a reason in LGPL_ACCEPTED ({licence}; {lesser})"


@pytest.fixture(scope="module")
def graph() -> dict[str, metadata.Distribution]:
    try:
        return installed_graph("hulk-hf", {"all"})
    except metadata.PackageNotFoundError as absent:
        told = f"hulk-hf[all] is not installed here: {absent}"
        if "CI" in os.environ:
            pytest.fail(told)
        pytest.skip(told)


def test_the_graph_is_walked(graph: dict[str, metadata.Distribution]) -> None:
    assert {"hulk-hf", "torch", "transformers", "peft", "sympy"} <= set(graph)


def test_everything_can_be_shipped_beside(graph: dict[str, metadata.Distribution]) -> None:
    assert not list(licence_faults(graph))


def test_exceptions_are_needed_and_told(graph: dict[str, metadata.Distribution], root: Path) -> None:
    page = (root / "hulk_hf" / "LICENCES.md").read_text(encoding="utf-8")
    for name in LGPL_ACCEPTED:
        assert name in graph and f"| {name} |" in page, name


def plant(folder: Path, name: str, headers: str, files: tuple[str, ...] = (), text: str = "") -> None:
    """Lay down the metadata of a distribution as an installer would."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{headers}\n", encoding="utf-8")
    (info / "LICENSE").write_text(text, encoding="utf-8")
    listed = [*files, f"{name}-1.0.dist-info/METADATA", f"{name}-1.0.dist-info/LICENSE"]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in listed), encoding="utf-8")


@pytest.mark.parametrize(
    ("headers", "files", "text", "reason"),
    [
        ("License-Expression: GPL-3.0-or-later", (), "", "GPL-3.0"),
        ("License-Expression: AGPL-3.0-only", (), "", "AGPL"),
        ("Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)", (), "", "GPLv3"),
        ("License: CC-BY-NC-4.0", (), "", "CC-BY-NC"),
        ("License: Free for non-commercial use", (), "", "non-commercial"),
        ("", (), "GNU AFFERO GENERAL PUBLIC LICENSE Version 3", "AFFERO"),
        ("", (), "", "states no licence"),
        ("License: see the website", (), "", "not among"),
        ("License-Expression: LGPL-3.0-or-later", (), "", "LGPL without a reason"),
        ("License-Expression: BSD-3-Clause", ("bad.libs/libx264-1234.so.165",), "", "under GPL"),
        ("License-Expression: MIT", ("bad.libs/libavcodec-1234.so.62",), "", "LGPL without a reason"),
    ],
)
def test_a_planted_bad_package_is_found(tmp_path: Path, headers: str, files: tuple, text: str, reason: str) -> None:
    """The bad one hangs two steps below the top, behind an extra."""
    plant(tmp_path, "good", "License-Expression: Apache-2.0\nProvides-Extra: x\nRequires-Dist: middle; extra == 'x'")
    plant(tmp_path, "middle", "License-Expression: MIT\nRequires-Dist: bad>=1")
    plant(tmp_path, "bad", headers, files, text)
    graph = installed_graph("good", {"x"}, search=[str(tmp_path)])
    faults = list(licence_faults(graph))
    assert len(faults) == 1 and faults[0].startswith("bad") and reason in faults[0]
    assert not list(licence_faults(installed_graph("good", set(), search=[str(tmp_path)])))


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ("License-Expression: Apache-2.0 OR GPL-2.0-only", ""),
        ("License: BSD 3-Clause License", ""),
        ("Classifier: License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)", ""),
        ("", "Apache License Version 2.0, January 2004"),
    ],
)
def test_a_good_package_is_not(tmp_path: Path, headers: str, text: str) -> None:
    plant(tmp_path, "good", headers, text=text)
    assert not list(licence_faults(installed_graph("good", set(), search=[str(tmp_path)])))
