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


def _recordings() -> Path:
    return Path(os.environ.get("HULK_SHARED") or ROOT.parent / "shared")


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recordings of the official code; the test is skipped where there is none."""
    folder = _recordings()
    if not (folder / "golden").is_dir():
        if "HULK_SHARED" in os.environ:
            pytest.fail(f"HULK_SHARED={folder} holds no folder 'golden'")
        pytest.skip("no recordings of the official code here (HULK_SHARED, or the folder beside the repository)")
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--need-recordings",
        action="store_true",
        help="fail unless the tests that use recordings of the official code ran, none of them skipped",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.parity)


def _count_parity(reporter: pytest.TerminalReporter) -> dict[str, int]:
    return {
        outcome: sum("parity" in report.keywords for report in reporter.stats.get(outcome, []))
        for outcome in ("passed", "failed", "error", "skipped")
    }


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = _count_parity(terminalreporter)
    if any(counts.values()):
        terminalreporter.write_sep("-", "tests against recordings of the official code")
        terminalreporter.write_line(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not session.config.getoption("--need-recordings") or reporter is None:
        return
    counts = _count_parity(reporter)
    if counts["skipped"] or not counts["passed"]:
        reporter.write_line("\n--need-recordings: comparisons with the official code were skipped, or there was none")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
