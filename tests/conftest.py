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
# Before the first matrix product: on some processors the last bit depends on where matrices lie in memory otherwise.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

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


@pytest.fixture(scope="session")
def made_uneven():
    """Adds noise to all parameters of a model, in place, and returns it.

    Maps of the start are so flat that the rounding of a matrix product may decide where they are highest, and parts by
    task are all alike.
    """
    import torch

    def add_noise(model):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return model

    return add_noise


@pytest.fixture(scope="session")
def every_family():
    """Makes small configurations with tasks of every family; arguments are fields of `HulkConfig`."""
    from hulk_hf.modeling.configuration_hulk import HulkConfig
    from hulk_hf.modeling.tasks_hulk import HulkTask

    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    small = {"image_size": (64, 48)}
    tasks = [
        HulkTask("pose-small", "pose", ("head", "left hand", "right hand"), **small),
        HulkTask("pose-other", "pose", ("head", "neck"), **small),
        HulkTask("parsing-small", "parsing", ("background", "left arm", "right arm", "hat"), image_size=(64, 64)),
        HulkTask("detection-small", "detection", ("person",), image_size=(96, 96), anchors_per_side=3),
        HulkTask("detection-other", "detection", ("person", "car"), image_size=(96, 96), anchors_per_side=4),
        HulkTask("attributes-small", "attributes", ("hat", "bag", "dress"), **small),
        HulkTask("action-small", "action", ("run", "sit", "wave", "fall")),
        "mesh-open",
        HulkTask("caption-small", "caption", vocabulary_size=120, max_length=8, **small),
    ]

    def make(**fields) -> HulkConfig:
        settings = {
            "vision_config": {"hidden_size": 32, "drop_path_rate": 0.0, **sizes},
            "decoder_config": {"hidden_size": 16, **sizes},
            "skeleton_config": {"num_frames": 14, "num_joints": 5},
            "text_feature_size": 24,
            "tasks": tasks,
        }
        return HulkConfig(**(settings | fields))

    return make


@pytest.fixture(scope="session")
def family_inputs() -> dict[str, dict]:
    """Family -> arguments of a forward pass of a model of `every_family`, two samples each."""
    import torch

    generator = torch.Generator().manual_seed(2)
    small = {"pixel_values": torch.randn(2, 3, 64, 48, generator=generator)}
    made = {"skeletons": torch.randn(2, 2, 3, 14, 5, generator=generator)}
    sizes = {"parsing": (64, 64), "detection": (96, 80), "mesh": (224, 224)}
    others = {
        family: {"pixel_values": torch.randn(2, 3, *size, generator=generator)} for family, size in sizes.items()
    }
    return {"pose": small, "attributes": small, "caption": small, "action": made, **others}


@pytest.fixture(scope="session")
def family_labels():
    """Makes what a family's `forward` takes beside `family_inputs` to compute a loss; alike each time."""
    import torch

    def make(family: str) -> dict:
        random = torch.Generator().manual_seed(3)
        box = {"boxes": torch.tensor([[0.5, 0.5, 0.2, 0.4]]), "class_labels": torch.tensor([0])}
        parts = {"labels": torch.randint(0, 4, (2, 64, 64), generator=random), "num_points": 32}
        joints = {"joints_3d": torch.rand(2, 14, 4, generator=random), "has_3d_joints": torch.ones(2)}
        return {
            "pose": {"labels": torch.rand(2, 3, 16, 12, generator=random), "label_weights": torch.ones(2, 3)},
            "parsing": {**parts, "generator": torch.Generator().manual_seed(4)},
            "detection": {"labels": [box, box]},
            "attributes": {"labels": torch.tensor([[0, 1, 1], [1, 0, -1]])},
            "action": {"labels": torch.tensor([1, 3])},
            "mesh": {"labels": joints},
            "caption": {"labels": torch.tensor([[101, 7, 8, 102, 0], [101, 9, 102, 0, 0]])},
        }[family]

    return make


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--need-recordings",
        action="store_true",
        help="fail unless the tests that use recordings of the official code ran, none of them skipped",
    )
    parser.addoption("--long", action="store_true", help="also run the tests that take more than two minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("long") and not config.getoption("--long"):
            item.add_marker(pytest.mark.skip(reason="takes more than two minutes; --long runs it"))
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.parity)


def _count_parity(reporter: pytest.TerminalReporter) -> dict[str, int]:
    return {
        outcome: sum("parity" in getattr(report, "keywords", ()) for report in reporter.stats.get(outcome, []))
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
