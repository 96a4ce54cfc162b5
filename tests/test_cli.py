# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The command: what reaches the modules behind it, and what a user sees when something is wrong."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.main import get_command

from hulk_hf import cli


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    return end.value.code or 0


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list]:
    """Put a stand-in behind a verb, which notes its calls, answers `result` or raises `error`."""

    def place(module: str, function: str, result: object = None, error: Exception | None = None) -> list:
        calls: list = []

        def stand_in(*args: object, **kwargs: object) -> object:
            calls.append((args, kwargs))
            if error is not None:
                raise error
            return result

        monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{function: stand_in}))
        return calls

    return place


def test_help_of_every_verb(capsys: pytest.CaptureFixture) -> None:
    for verb in get_command(cli.app).commands:
        assert run(verb, "--help") == 0
        assert "--help" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("hulk-hf ")


def test_train_hands_everything_on(behind: Callable[..., list]) -> None:
    calls = behind("hulk_hf.training.loop", "train")
    words = ("a.yaml", "steps=3", "batch_size=4", "--output", "out", "--no-resume", "--cache", "drawn")
    assert run("train", *words) == 0
    options = {"resume": False, "overrides": ["steps=3", "batch_size=4"], "cache": Path("drawn"), "builder": None}
    assert calls == [(("a.yaml", Path("out")), options)]
    assert run("train", "tiny") == 0
    usual = {"resume": True, "overrides": [], "cache": Path("runs/data"), "builder": None}
    assert calls[1] == (("tiny", None), usual)
    assert run("train", "tiny", "--builder", "math:floor") == 0
    assert calls[2][1] == {**usual, "builder": math.floor}


def test_own_data_are_made_by_a_function_that_lies_here(behind, tmp_path, monkeypatch) -> None:
    calls = behind("hulk_hf.training.loop", "train")
    (tmp_path / "own_data_here.py").write_text("def examples(*given):\n    return 'mine'\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert run("train", "official-vit-b", "--builder", "own_data_here:examples") == 0
    assert calls[0][1]["builder"]() == "mine"


@pytest.mark.parametrize(
    ("name", "told"), [("no_such_module:f", "no_such_module"), ("math:no_such", "no_such"), ("math:pi", "float")]
)
def test_a_builder_that_is_not_there_is_refused(name, told, capsys) -> None:
    assert run("train", "official-vit-b", "--builder", name) == 2
    error = capsys.readouterr().err
    assert "--builder: expected" in error and told in error


@pytest.mark.parametrize(
    ("verb", "module", "function", "more"),
    [
        ("demo", "hulk_hf.demo", "run_demo", ()),
        ("synthesize", "hulk_hf.synthetic.preview", "contact_sheet", ("train", 24, 0)),
    ],
)
def test_pictures_go_where_one_says(
    behind: Callable[..., list], tmp_path: Path, verb: str, module: str, function: str, more: tuple
) -> None:
    calls = behind(module, function)
    output = tmp_path / "new" / "a.png"
    assert run(verb, "--output", str(output)) == 0
    assert calls == [((output, *more), {})] and output.parent.is_dir()


def test_evaluate_prints_a_table_and_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    joints = {"rendered": {"model": {"n": 2, "OKS": 0.5}}}
    tasks = {"pose-coco": {"no look": {"OKS": 0.2, "n": 2}, "joint": {"OKS": 0.5}}}
    asked: list = []
    monkeypatch.setattr("hulk_hf.figures.compare_poses", lambda *words: asked.append(words) or joints)
    monkeypatch.setattr("hulk_hf.task_figures.compare_tasks", lambda *words: asked.append(words) or tasks)
    assert run("evaluate", "folder", "--samples", "2", "--alone", "single", "--output", str(tmp_path / "a.json")) == 0
    assert asked == [("folder", [Path("single")], 2, 0), ("folder", 2, 0, None)]
    printed = capsys.readouterr().out
    assert "| rendered | model | 2 | 0.500 |" in printed and "| pose-coco | OKS | 2 | 0.200 | 0.500 |" in printed
    assert json.loads((tmp_path / "a.json").read_text()) == {"tasks": tasks, "figures": joints}


def test_benchmark_hands_everything_on(behind: Callable[..., list]) -> None:
    calls = behind("hulk_hf.benchmark", "main")
    assert run("benchmark", "--rounds", "3") == 0
    assert calls == [((3, None), {})]


@pytest.mark.parametrize("code", [0, 1])
def test_verify_ends_with_the_code_of_the_check(behind: Callable[..., list], code: int) -> None:
    calls = behind("hulk_hf.conversion.verify", "main", result=code)
    assert run("verify", "a.safetensors", "b.safetensors") == code
    assert calls == [((["a.safetensors", "b.safetensors"],), {})]


@pytest.mark.parametrize(
    "error", [ValueError("steps: got -3,\nexpected a positive number"), FileNotFoundError(2, "No such file", "a.yaml")]
)
def test_a_users_mistake_is_one_line(
    behind: Callable[..., list], capsys: pytest.CaptureFixture, error: Exception
) -> None:
    behind("hulk_hf.training.loop", "train", error=error)
    assert run("train", "a.yaml") == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("hulk-hf: error: ") and told.err.count("\n") == 1
    with pytest.raises(type(error)):
        cli.main(["--debug", "train", "a.yaml"])


def test_a_missing_extra_is_named(behind: Callable[..., list], capsys: pytest.CaptureFixture) -> None:
    behind("hulk_hf.demo", "run_demo", error=ModuleNotFoundError("No module named 'skimage'", name="skimage.data"))
    assert run("demo") == 2
    assert "pip install 'hulk-hf[demo]'" in capsys.readouterr().err


def test_a_missing_system_library_is_named(behind: Callable[..., list], capsys: pytest.CaptureFixture) -> None:
    behind("hulk_hf.demo", "run_demo", error=ImportError("libGL.so.1: cannot open shared object file"))
    assert run("demo") == 2
    assert "libgl1" in capsys.readouterr().err


def test_a_defect_of_ours_keeps_its_traceback(behind: Callable[..., list]) -> None:
    behind(
        "hulk_hf.demo", "run_demo", error=ModuleNotFoundError("No module named 'hulk_hf.typo'", name="hulk_hf.typo")
    )
    with pytest.raises(ModuleNotFoundError):
        cli.main(["demo"])
    behind("hulk_hf.demo", "run_demo", error=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.main(["demo"])


@pytest.mark.parametrize("words", [["fly"], ["train"], ["demo", "--colour"]])
def test_wrong_use_ends_with_2(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert run(*words) == 2
    assert capsys.readouterr().err
