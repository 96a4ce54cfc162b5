# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The parity ledger: `python -m hulk_hf.conversion.ledger FILE... --output FOLDER` writes `PARITY.md` and a JSON.

For every task and stage it states the largest difference from the recordings of the official code in float32, beside
its tolerance, and how far bfloat16 drifts from the same recordings; for training steps every loss term, and of the
gradient norms the largest difference relative to the norm.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hulk_hf.conversion.comparison import Comparison, Report
from hulk_hf.conversion.parity import evaluated_in
from hulk_hf.conversion.recordings import read_recording, recording_path
from hulk_hf.conversion.verify import verify_recording

_GRADIENT = "gradient "


def build_ledger(paths: Sequence[str | Path]) -> dict[str, dict[str, Any]]:
    """Compare recordings in float32, and forward passes also in bfloat16.

    Args:
        paths: Recordings; the two files of one recording count once.

    Returns:
        Name of the recording -> `kind`, `passed`, and `stages`: `{stage: {"float32", "tolerance", "bfloat16"}}` with
        the largest differences; `bfloat16` is None where it was not run.

    Raises:
        ValueError: A recording cannot be read or compared.
    """
    ledger = {}
    for path in dict.fromkeys(recording_path(path) for path in paths):
        report = verify_recording(path)
        drift: dict[str, float] = {}
        if _is_forward(path):
            with evaluated_in(torch.bfloat16):
                drift = {entry.stage: entry.difference for entry in verify_recording(path).comparisons}
        ledger[path.stem] = {
            "kind": report.kind,
            "passed": report.passed,
            "stages": {
                entry.stage: {
                    "float32": entry.difference,
                    "tolerance": entry.tolerance,
                    "bfloat16": drift.get(entry.stage),
                }
                for entry in _without_gradients(report)
            },
            "gradients": _worst_gradient(report),
        }
    return ledger


def _is_forward(path: Path) -> bool:
    """Whether a recording holds an eval-mode forward of a network."""
    names = read_recording(path).tensors
    weights, losses = (any(name.startswith(prefix) for name in names) for prefix in ("sd.", "out.loss"))
    return weights and not losses


def _without_gradients(report: Report) -> list[Comparison]:
    return [entry for entry in report.comparisons if not entry.stage.startswith(_GRADIENT)]


def _worst_gradient(report: Report) -> dict[str, Any] | None:
    """The gradient norm that uses up most of its tolerance, which is in proportion to it."""
    norms = [entry for entry in report.comparisons if entry.stage.startswith(_GRADIENT)]
    if not norms:
        return None
    worst = max(norms, key=lambda entry: entry.difference / entry.tolerance)
    return {
        "count": len(norms),
        "worst": worst.stage.removeprefix(_GRADIENT),
        "share_of_tolerance": worst.difference / worst.tolerance,
    }


def format_ledger(ledger: Mapping[str, Mapping[str, Any]]) -> str:
    """The ledger as a page.

    Args:
        ledger: From `build_ledger`.
    """
    passed = sum(entry["passed"] for entry in ledger.values())
    lines = [
        "# Parity with the official implementation",
        "",
        f"{passed} of {len(ledger)} recordings agree within their tolerances. Differences are the largest over all",
        "elements; `tolerance` is that of the element closest to its limit. The recordings are of tiny models with",
        "random weights, so the drift in bfloat16 is that of random features. Written by",
        "`python -m hulk_hf.conversion.ledger`.",
    ]
    for name, entry in ledger.items():
        lines += ["", f"## {name}", "", f"{entry['kind']}: {'agrees' if entry['passed'] else 'DIFFERS'}", ""]
        lines += ["| stage | float32 | tolerance | bfloat16 |", "|---|---|---|---|"]
        for stage, figures in entry["stages"].items():
            drift = "" if figures["bfloat16"] is None else f"{figures['bfloat16']:.1e}"
            lines.append(f"| {stage} | {figures['float32']:.1e} | {figures['tolerance']:.1e} | {drift} |")
        if entry["gradients"]:
            gradients = entry["gradients"]
            lines += [
                "",
                f"{gradients['count']} gradient norms; the one nearest to its tolerance (0.1 % of the norm) uses "
                f"{gradients['share_of_tolerance']:.2%} of it: `{gradients['worst']}`.",
            ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 0 if everything agrees."""
    parser = argparse.ArgumentParser(prog="python -m hulk_hf.conversion.ledger", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("files", nargs="+", metavar="FILE", help="a recording: its .safetensors or its .json")
    parser.add_argument("--output", type=Path, default=Path(), help="folder for PARITY.md and PARITY.json")
    options = parser.parse_args(arguments)
    ledger = build_ledger(options.files)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "PARITY.md").write_text(format_ledger(ledger), encoding="utf-8")
    (options.output / "PARITY.json").write_text(json.dumps(ledger, indent=1) + "\n", encoding="utf-8")
    differing = [name for name, entry in ledger.items() if not entry["passed"]]
    print(
        f"ledger: {len(ledger)} recordings, {'all agree' if not differing else 'DIFFERENT: ' + ', '.join(differing)}"
    )
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())

__all__ = ["build_ledger", "format_ledger", "main"]
