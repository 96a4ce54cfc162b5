# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Position tables: the formulas, and the tables of the official code."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from hulk_hf.modeling.positions_hulk import sincos_1d, sincos_2d, stretched_sincos_2d


@pytest.mark.parametrize("task_id", [8, 9])
def test_position_formulas_give_the_recorded_tables(shared, task_id):
    tensors = load_file(shared / "golden" / f"golden_tiny_task{task_id}_a.safetensors")
    grid = tuple(tensors["out.grid"].tolist())
    image = tensors["sd.adapter_rgb.pos_embed"][0]
    torch.testing.assert_close(sincos_2d(image.shape[1], *grid), image, atol=1e-6, rtol=0)
    for part in ("patch", "label"):
        table = tensors[f"sd.decoder_module.predictor.query_embed_{part}"][0]
        torch.testing.assert_close(stretched_sincos_2d(table.shape[1], *grid), table, atol=1e-6, rtol=0)


def test_position_tables_say_what_they_should():
    assert torch.equal(stretched_sincos_2d(8, 14, 14), sincos_2d(8, 14, 14))
    table = sincos_2d(8, 2, 3).view(2, 3, 8)
    assert torch.equal(table[0, :, :4], table[1, :, :4]), "the first half codes the column"
    assert torch.equal(table[:, 0, 4:], table[:, 2, 4:]), "the second half codes the row"
    one = sincos_1d(4, torch.tensor([0.0, 2.0]))
    expected = [2.0, 0.02]
    torch.testing.assert_close(one[1], torch.tensor([*torch.tensor(expected).sin(), *torch.tensor(expected).cos()]))
    assert torch.equal(one[0], torch.tensor([0.0, 0.0, 1.0, 1.0]))
