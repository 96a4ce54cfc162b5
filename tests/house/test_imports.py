# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: three rooms and one direction, read from the source."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from transformers.dynamic_module_utils import get_imports, get_relative_imports

ROOMS = ("modeling", "conversion", "hulk_hf")
# Which packages the files of a room may name, longest prefix first.
ROOM_MAY_USE = {
    "modeling": ("hulk_hf.modeling",),
    "conversion": ("hulk_hf.conversion", "hulk_hf.modeling"),
    "hulk_hf": ("hulk_hf",),
}
SHIPPED_WITH_WEIGHTS = {"torch", "numpy", "PIL", "safetensors", "huggingface_hub", "transformers"}
DISTRIBUTION_OF = {"PIL": "pillow", "cv2": "opencv-python", "skimage": "scikit-image", "yaml": "pyyaml"}
# A script that one runs once, by hand, may need what the package does not.
BY_HAND = {
    "hulk_hf/synthetic/build_body.py": {"anny"},
    "hulk_hf/synthetic/build_tokenizer.py": {"tokenizers"},
}
# What the networks and their processors do without.
NOT_AT_RUN_TIME = {"cv2", "scipy"}


class Import(NamedTuple):
    """One imported module: absolute dotted name, imported names, and whether its absence is provided for."""

    module: str
    names: tuple[str, ...]
    optional: bool
    top_level: bool
    relative: bool
    line: int


def room_of(path: str) -> str:
    return path.partition("/")[0]


def module_of(path: str) -> str:
    dotted = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return dotted if dotted.startswith("hulk_hf") else f"hulk_hf.{dotted}"


def imports_of(path: str, source: str) -> Iterator[Import]:
    """All imports of a file; relative ones resolved against the installed name of the file."""
    package = module_of(path) if path.endswith("__init__.py") else module_of(path).rpartition(".")[0]

    def visit(node: ast.AST, optional: bool, top_level: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, (), optional, top_level, False, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            module = ".".join(part for part in ((base if node.level else ""), node.module or "") if part)
            names = tuple(alias.name for alias in node.names)
            yield Import(module, names, optional, top_level, node.level > 0, node.lineno)
        optional = (
            optional or isinstance(node, ast.Try) or (isinstance(node, ast.If) and "available" in ast.dump(node.test))
        )
        top_level = top_level and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, optional, top_level)

    yield from visit(ast.parse(source), False, True)


def direction_faults(path: str, source: str) -> list[str]:
    """Imports against the arrow, or of a second copy of a room."""
    faults = []
    for found in imports_of(path, source):
        if found.module.partition(".")[0] in ("modeling", "conversion", "tests"):
            faults.append(f"{path}:{found.line} imports {found.module}; the installed name is hulk_hf.{found.module}")
        elif found.module.partition(".")[0] == "hulk_hf":
            targets = [f"{found.module}.{name}" for name in found.names] or [found.module]
            for target in targets:
                if not any(f"{target}.".startswith(f"{prefix}.") for prefix in ROOM_MAY_USE[room_of(path)]):
                    faults.append(f"{path}:{found.line} imports {target}, against the direction of the rooms")
    return faults


def private_faults(path: str, source: str) -> list[str]:
    """Names with a leading underscore that come from another room."""
    faults = []
    for found in imports_of(path, source):
        parts = found.module.split(".")
        if parts[0] != "hulk_hf":
            continue
        other = parts[1] if len(parts) > 1 and parts[1] in ROOMS else "hulk_hf"
        private = [name for name in (*parts, *found.names) if re.fullmatch(r"_[^_].*", name)]
        if other != room_of(path) and private:
            faults.append(f"{path}:{found.line} takes {', '.join(private)} out of the room {other}")
    return faults


def modeling_faults(path: str, source: str) -> list[str]:
    """What would keep a file of `modeling/` from working as remote code."""
    faults = []
    for found in imports_of(path, source):
        top = found.module.partition(".")[0]
        if found.relative:
            if not re.fullmatch(r"hulk_hf\.modeling\.\w+_hulk", found.module):
                faults.append(
                    f"{path}:{found.line} imports {found.module}: only `from .x_hulk import A` can be loaded"
                )
        elif top == "hulk_hf":
            faults.append(f"{path}:{found.line} imports {found.module}: siblings are imported relatively")
        elif top not in SHIPPED_WITH_WEIGHTS | sys.stdlib_module_names and not found.optional:
            faults.append(f"{path}:{found.line} imports {top}, which remote code would demand")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            if re.search(r"Hulk\w*Config", ast.dump(node.args[1])):
                faults.append(
                    f"{path}:{node.lineno} tests isinstance of a configuration; there may be two of the class"
                )
    return faults


def declared_faults(path: str, source: str, declared: set[str]) -> list[str]:
    """Third-party modules that no extra installs, and libraries that must not be needed at run time."""
    faults = []
    for found in imports_of(path, source):
        top = found.module.partition(".")[0]
        if top in sys.stdlib_module_names or top == "hulk_hf" or found.relative:
            continue
        distribution = DISTRIBUTION_OF.get(top, top).replace("_", "-").lower()
        if top in NOT_AT_RUN_TIME and not found.optional and room_of(path) != "hulk_hf":
            faults.append(f"{path}:{found.line} imports {top}, which must not be needed at run time")
        elif top not in BY_HAND.get(path, ()) and distribution not in declared:
            faults.append(f"{path}:{found.line} imports {top}, which pyproject.toml does not declare")
    return faults


def import_cycles(sources: dict[str, str]) -> list[list[str]]:
    """Cycles among the imports at module level, each as the list of its modules."""
    modules = {module_of(path): path for path in sources}
    edges: dict[str, set[str]] = {module: set() for module in modules}
    for module, path in modules.items():
        for found in imports_of(path, sources[path]):
            if found.top_level:
                targets = {found.module, *(f"{found.module}.{name}" for name in found.names)}
                edges[module] |= {target for target in targets if target in modules and target != module}
    done: set[str] = set()
    cycles: list[list[str]] = []

    def walk(module: str, trail: list[str]) -> None:
        if module in trail:
            cycles.append(trail[trail.index(module) :])
        elif module not in done:
            for target in sorted(edges[module]):
                walk(target, [*trail, module])
            done.add(module)

    for module in edges:
        walk(module, [])
    return cycles


@pytest.fixture(scope="module")
def sources(room_files: dict[str, Path]) -> dict[str, str]:
    return {path: file.read_text(encoding="utf-8") for path, file in room_files.items()}


@pytest.fixture(scope="module")
def declared(project: dict) -> set[str]:
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return {Requirement(line).name.replace("_", "-").lower() for group in groups for line in group}


def test_rooms_are_read(sources: dict[str, str]) -> None:
    assert {room_of(path) for path in sources} == set(ROOMS)


def test_imports_point_one_way(sources: dict[str, str]) -> None:
    assert not [fault for path, source in sources.items() for fault in direction_faults(path, source)]


def test_private_names_stay_in_their_room(sources: dict[str, str]) -> None:
    assert not [fault for path, source in sources.items() for fault in private_faults(path, source)]


def test_no_circles(sources: dict[str, str]) -> None:
    assert not import_cycles(sources)


def test_third_party_imports_are_declared(sources: dict[str, str], declared: set[str]) -> None:
    assert not [fault for path, source in sources.items() for fault in declared_faults(path, source, declared)]


def test_modeling_can_be_remote_code(sources: dict[str, str]) -> None:
    shipped = {path: source for path, source in sources.items() if room_of(path) == "modeling"}
    assert not [fault for path, source in shipped.items() for fault in modeling_faults(path, source)]


def test_the_loader_of_remote_code_reads_the_same_imports(
    room_files: dict[str, Path], sources: dict[str, str]
) -> None:
    """The loader of transformers searches the text; what it finds has to be what Python would import."""
    for path, file in room_files.items():
        if room_of(path) != "modeling":
            continue
        siblings = {found.module.rpartition(".")[2] for found in imports_of(path, sources[path]) if found.relative}
        assert set(get_relative_imports(file)) == siblings, path
        assert all((file.parent / f"{name}.py").is_file() for name in siblings), path
        assert set(get_imports(file)) <= SHIPPED_WITH_WEIGHTS | sys.stdlib_module_names, path


@pytest.mark.parametrize(
    ("path", "line", "finder"),
    [
        ("modeling/a_hulk.py", "import hulk_hf", direction_faults),
        ("modeling/a_hulk.py", "from hulk_hf.conversion import verify", direction_faults),
        ("conversion/a.py", "from hulk_hf import cli", direction_faults),
        ("conversion/a.py", "from ..training import loop", direction_faults),
        ("hulk_hf/a.py", "from modeling.tasks_hulk import HulkTask", direction_faults),
        ("conversion/a.py", "from hulk_hf.modeling.a_hulk import _b", private_faults),
        ("hulk_hf/a.py", "from hulk_hf.conversion._b import c", private_faults),
        ("modeling/a_hulk.py", "from . import b_hulk", modeling_faults),
        ("modeling/a_hulk.py", "from .b import c", modeling_faults),
        ("modeling/a_hulk.py", "from ..cli import app", modeling_faults),
        ("modeling/a_hulk.py", "from hulk_hf.modeling.b_hulk import c", modeling_faults),
        ("modeling/a_hulk.py", "import scipy.optimize", modeling_faults),
        ("modeling/a_hulk.py", "isinstance(x, (int, HulkConfig))", modeling_faults),
    ],
)
def test_a_planted_fault_is_found(path: str, line: str, finder) -> None:
    assert finder(path, line)


@pytest.mark.parametrize(
    ("path", "line", "finder"),
    [
        ("modeling/a_hulk.py", "from .b_hulk import c", direction_faults),
        ("modeling/a_hulk.py", "from .b_hulk import c", modeling_faults),
        ("modeling/a_hulk.py", "if is_scipy_available():\n    import scipy", modeling_faults),
        ("modeling/a_hulk.py", "try:\n    import scipy\nexcept ImportError:\n    scipy = None", modeling_faults),
        ("conversion/a.py", "from .b import _c", private_faults),
        ("conversion/a.py", "from hulk_hf.modeling.b_hulk import c", direction_faults),
        ("hulk_hf/a.py", "from hulk_hf.conversion.b import c", direction_faults),
    ],
)
def test_what_is_allowed_is_not_a_fault(path: str, line: str, finder) -> None:
    assert not finder(path, line)


def test_a_planted_circle_is_found() -> None:
    circle = {"modeling/a_hulk.py": "from .b_hulk import x", "modeling/b_hulk.py": "from .a_hulk import y"}
    assert import_cycles(circle)
    assert not import_cycles({**circle, "modeling/b_hulk.py": "def f():\n    from .a_hulk import y"})


def test_planted_undeclared_imports_are_found() -> None:
    assert declared_faults("hulk_hf/a.py", "import ultralytics", {"torch"})
    assert declared_faults("modeling/a_hulk.py", "import scipy", {"scipy"})
    assert not declared_faults("hulk_hf/a.py", "import scipy", {"scipy"})
    assert not declared_faults("hulk_hf/a.py", "import PIL.Image, os, torch", {"torch", "pillow"})
