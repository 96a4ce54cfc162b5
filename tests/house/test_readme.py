# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The README is true: its Python runs, and its commands exist with the options it shows."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from hulk_hf import cli

LONGEST = 200
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"""["']([\w./-]+\.(?:jpg|jpeg|png))["']""")


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language, in order."""
    return [body for found, body in FENCE.findall(text) if found == language]


def command_faults(line: str, targets: set[str], extras: set[str]) -> list[str]:
    """Why a line of shell in the README could not be typed as it stands."""
    words = shlex.split(line, comments=True)
    if not words:
        return []
    if words[0] == "make":
        return [f"no such target: {word}" for word in words[1:] if "=" not in word and word not in targets]
    if words[0] == "hulk-hf":
        return verb_faults(words[1:])
    if words[:2] == ["python", "-m"]:
        found = words[2].startswith("hulk_hf.") and importlib.util.find_spec(words[2]) is not None
        return [] if found else [f"no such module: {words[2]}"]
    if words[:2] == ["pip", "install"]:
        named = re.findall(r"\[([\w,]+)\]", line)
        return [f"no such extra: {name}" for group in named for name in group.split(",") if name not in extras]
    return [] if words[:2] == ["git", "clone"] or words[0] == "cd" else [f"unknown command: {words[0]}"]


def verb_faults(words: list[str]) -> list[str]:
    group = get_command(cli.app)
    verb = next((word for word in words if not word.startswith("-")), None)
    if verb is None:
        known, verb = group, "hulk-hf"
    elif verb not in group.commands:
        return [f"hulk-hf has no verb {verb}"]
    else:
        known = group.commands[verb]
    options = {
        name for each in (group, known) for option in each.params for name in option.opts + option.secondary_opts
    }
    used = {word.partition("=")[0] for word in words if word.startswith("-")} - {"--help"}
    return [f"hulk-hf {verb} has no option {option}" for option in sorted(used - options)]


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def targets(root: Path) -> set[str]:
    return set(re.findall(r"^([a-z]+):.*##", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_the_four_targets_exist(targets: set[str]) -> None:
    assert {"demo", "test", "check", "bench"} <= targets


def test_the_ci_script_runs_the_readmes_commands(root: Path) -> None:
    script = root / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True).returncode == 0
    lines = script.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make test")] and "make demo" in lines


def test_the_readme_is_short_and_shows_both_commands(readme: str) -> None:
    assert readme.count("\n") < LONGEST
    assert "make demo" in readme and "make test" in readme


def test_its_commands_exist(readme: str, targets: set[str], project: dict) -> None:
    extras = set(project["optional-dependencies"])
    lines = [line for block in blocks(readme, "bash") for line in block.replace("\\\n", " ").splitlines()]
    assert lines
    assert not [fault for line in lines for fault in command_faults(line, targets, extras)]


def test_its_links_lead_somewhere(readme: str, root: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", readme)
    assert not [link for link in links if "://" not in link and not (root / link).exists()]


def test_its_python_runs(readme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks in order, as one would paste them into one notebook, beside a photograph of any name they open."""
    from skimage import data, io

    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "readme"}
    assert blocks(readme, "python")
    for number, block in enumerate(blocks(readme, "python")):
        for name in PICTURE.findall(block):
            if not (tmp_path / name).exists() and not re.search(rf"save\([^)]*{re.escape(name)}", block):
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                io.imsave(tmp_path / name, data.astronaut())
        exec(compile(block, f"README block {number}", "exec"), namespace)


@pytest.mark.parametrize(
    "line",
    [
        "make dmeo",
        "hulk-hf fly",
        "hulk-hf demo --colour red",
        "pip install 'hulk-hf[everything]'",
        "python -m hulk_hf.no_such",
        "curl https://example.org",
    ],
)
def test_a_planted_wrong_command_is_found(line: str) -> None:
    assert command_faults(line, {"demo"}, {"train"})


@pytest.mark.parametrize(
    "line",
    [
        "make demo ARGS=-v  # a picture",
        "hulk-hf demo --output a.png",
        "hulk-hf --debug train recipe.yaml steps=3 --no-resume",
        "hulk-hf --help",
        "pip install 'hulk-hf[train]'",
        "python -m hulk_hf.conversion",
    ],
)
def test_a_right_command_is_not(line: str) -> None:
    assert not command_faults(line, {"demo"}, {"train"})
