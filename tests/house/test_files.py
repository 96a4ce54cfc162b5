# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What every file has to look like: its length, its first lines, its docstrings, and no trace of one machine."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

LONGEST = 600
HEADER = ["# Copyright 2026 The hulk_hf authors.", "# SPDX-License-Identifier: Apache-2.0"]
ALLOWED_AT_THE_TOP = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "MANIFEST.in",
    "Makefile",
    "NOTICE",
    "PARITY.json",
    "PARITY.md",
    "README.md",
    "constraints.txt",
    "conversion",
    "examples",
    "hulk_hf",
    "modeling",
    "pyproject.toml",
    "tests",
}
# Written so that this file does not hold what it looks for.
ONE_MACHINE = re.compile(
    r"""(?:^|["'`\s=(])/(?:home|root|work|tmp|opt|usr|etc|farm|mnt|Users)/[A-Za-z]"""
    r"|index-ur[l]|find-link[s]|pypi\.or[g]|pythonhosted\.or[g]|registry\.npmj[s]",
    re.MULTILINE,
)
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X|NotImplemented[E]rror)\b|pragma: no cove[r]|mark\.xfai[l]")
SWALLOWED = re.compile(r"^\s*(?:assert Tru[e]|except Exceptio[n]:|except\s*:)", re.MULTILINE)


def docstring_faults(path: str, source: str) -> list[str]:
    """Public modules, classes, functions and methods without a docstring.

    Methods that a framework calls under a name of its own (dunders, `forward`) may leave theirs to the class.
    """
    tree = ast.parse(source)
    faults = [] if ast.get_docstring(tree) else [f"{path}: module"]

    def visit(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith(
                "_"
            ):
                continue
            if not ast.get_docstring(node) and not (prefix and node.name == "forward"):
                yield f"{path}:{node.lineno} {prefix}{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from visit(node.body, f"{node.name}.")

    return faults + list(visit(tree.body, ""))


def all_faults(path: str, source: str, required: bool) -> list[str]:
    """Differences between `__all__` and the public classes and functions of a module; `main` may be left out."""
    tree = ast.parse(source)
    public = {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    }
    assigned = {
        name.id: node
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    }
    if "__all__" not in assigned:
        return [f"{path}: no __all__"] if required and public else []
    exported = ast.literal_eval(assigned["__all__"].value)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    annotated = {
        node.target.id for node in tree.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    faults = [f"{path}: {name} is public but not in __all__" for name in sorted(public - {*exported, "main"})]
    unknown = set(exported) - public - set(assigned) - annotated - imported
    if any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in tree.body):
        unknown = set()
    return faults + [f"{path}: __all__ names {name}, which is not there" for name in sorted(unknown)]


@pytest.fixture(scope="module")
def texts(root: Path, tracked_files: list[str]) -> dict[str, str]:
    """Every tracked text file, links left out."""
    found = {}
    for path in tracked_files:
        file = root / path
        if file.is_symlink() or file.suffix in {".safetensors", ".npz", ".npy", ".png", ".jpg"}:
            continue
        found[path] = file.read_text(encoding="utf-8")
    return found


def test_only_known_entries_at_the_top(tracked_files: list[str]) -> None:
    tops = {path.partition("/")[0] for path in tracked_files}
    assert not {top for top in tops if not top.startswith(".")} - ALLOWED_AT_THE_TOP


def test_files_are_short(texts: dict[str, str]) -> None:
    lengths = {path: text.count("\n") for path, text in texts.items() if path.endswith(".py")}
    assert not {path: lines for path, lines in lengths.items() if lines > LONGEST}


def test_python_files_begin_with_their_licence(texts: dict[str, str]) -> None:
    assert not [path for path, text in texts.items() if path.endswith(".py") and text.splitlines()[:2] != HEADER]


def test_public_names_have_docstrings(room_files: dict[str, Path]) -> None:
    assert not [
        fault
        for path, file in room_files.items()
        for fault in docstring_faults(path, file.read_text(encoding="utf-8"))
    ]


def test_all_lists_what_is_public(room_files: dict[str, Path]) -> None:
    """`__all__` is complete wherever it stands, and stands in every file that travels with a checkpoint."""
    assert not [
        fault
        for path, file in room_files.items()
        for fault in all_faults(path, file.read_text(encoding="utf-8"), required=path.startswith("modeling/"))
    ]


def test_tests_mirror_the_tree(root: Path, tracked_files: list[str]) -> None:
    tests = [path for path in tracked_files if path.startswith("tests/")]
    assert not [path for path in tests if path.endswith("__init__.py")]
    folders = {path.split("/")[1] for path in tests if path.count("/") > 1} - {
        "house",
        "data",
        "examples",
        "transformers_common",
    }
    assert not [name for name in folders if not (root / name).is_dir() and not (root / "hulk_hf" / name).is_dir()]


@pytest.mark.parametrize(
    "pattern", [ONE_MACHINE, UNFINISHED, SWALLOWED], ids=["one machine", "unfinished", "swallowed"]
)
def test_no_line_of_this_kind(texts: dict[str, str], pattern: re.Pattern) -> None:
    found = []
    for path, text in texts.items():
        code_only = pattern is SWALLOWED and not path.endswith(".py")
        found += [] if code_only else [f"{path}: {match.group(0).strip()}" for match in pattern.finditer(text)]
    assert not found


def test_links_are_relative_and_lead_somewhere(root: Path, tracked_files: list[str]) -> None:
    links = [root / path for path in tracked_files if (root / path).is_symlink()]
    assert {link.name for link in links} >= {"modeling", "conversion"}
    for link in links:
        assert not os.path.isabs(os.readlink(link)), link
        assert link.resolve().is_relative_to(root) and link.resolve().exists(), link


def test_planted_faults_are_found() -> None:
    slash = "/"
    assert ONE_MACHINE.search(f'open("{slash}home{slash}me")') and ONE_MACHINE.search(f"x={slash}tmp{slash}a")
    assert not ONE_MACHINE.search("#!" + slash + "usr" + slash + "bin" + slash + "env bash")
    assert UNFINISHED.search("# TO" + "DO later") and SWALLOWED.search("    except Exceptio" + "n:")
    assert docstring_faults("a.py", '"""M."""\ndef f(): ...') and docstring_faults("a.py", "x = 1")
    assert docstring_faults("a.py", '"""M."""\nclass C:\n    """C."""\n    def m(self): ...')
    assert not docstring_faults("a.py", '"""M."""\nclass C:\n    """C."""\n    def forward(self): ...\ndef _f(): ...')
    assert all_faults("a.py", "def f(): ...", required=True)
    assert all_faults("a.py", "__all__ = []\ndef f(): ...", required=False)
    assert all_faults("a.py", '__all__ = ["g"]', required=False)
    assert not all_faults("a.py", 'from b import g\n__all__ = ["f", "g"]\ndef f(): ...', required=True)
