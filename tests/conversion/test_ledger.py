# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The parity ledger: figures of both precisions, and an exit code that says whether anything differs."""

from __future__ import annotations

import json

import torch
from safetensors.torch import load_file, save_file

from hulk_hf.conversion.ledger import build_ledger, format_ledger, main


def test_a_ledger_has_every_stage_in_both_precisions(recorder, tmp_path):
    forward = recorder.forward(tmp_path / "forward.safetensors", recorder.sizes())
    loss = recorder.loss(tmp_path / "loss.safetensors", recorder.sizes())
    ledger = build_ledger([forward, forward.with_suffix(".json"), loss])
    assert list(ledger) == ["forward", "loss"] and all(entry["passed"] for entry in ledger.values())
    stages = ledger["forward"]["stages"]
    for name in ("tokenizer", "encoder", "neck", "decoder", "heat maps", "presence"):
        assert stages[name]["float32"] < 1e-4 < stages[name]["bfloat16"] < 1, name
    assert ledger["forward"]["gradients"] is None
    assert all(figures["bfloat16"] is None for figures in ledger["loss"]["stages"].values())
    assert "total loss" in ledger["loss"]["stages"]
    assert ledger["loss"]["gradients"]["count"] > 20
    page = format_ledger(ledger)
    assert "2 of 2 recordings agree" in page and "| heat maps | " in page and "gradient norms" in page


def test_the_command_writes_both_files_and_says_what_differs(recorder, tmp_path, capsys):
    path = recorder.forward(tmp_path / "good.safetensors", recorder.sizes())
    assert main([str(path), "--output", str(tmp_path / "out")]) == 0
    written = json.loads((tmp_path / "out" / "PARITY.json").read_text())
    assert written["good"]["passed"] and (tmp_path / "out" / "PARITY.md").read_text().startswith("# Parity")
    tensors = load_file(path)
    tensors["out.neck_patch"] = tensors["out.neck_patch"] + torch.tensor(0.01)
    save_file(tensors, path)
    assert main([str(path), "--output", str(tmp_path / "out")]) == 1
    assert "DIFFERENT: good" in capsys.readouterr().out
    assert "agrees" not in (tmp_path / "out" / "PARITY.md").read_text().split("## good")[1]
