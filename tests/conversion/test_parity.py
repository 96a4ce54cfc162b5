# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the comparisons of all families share: which gradient norms agree, and how loss terms are called."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.parity import Subject, compare_gradients, our_term
from hulk_hf.conversion.recordings import Recording
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS


def subject(weight: float, bias: float) -> Subject:
    """A model of one layer norm whose gradients have these norms."""
    model = nn.Module()
    model.hulk = nn.Module()
    model.hulk.encoder = nn.Module()
    model.hulk.encoder.layernorm = norm = nn.LayerNorm(4)
    norm.weight.grad, norm.bias.grad = (torch.tensor([value, 0.0, 0.0, 0.0]) for value in (weight, bias))
    return Subject(model, KNOWN_TASKS["pose-coco"])


def passes(ours: tuple[float, float], recorded: tuple[float, float]) -> bool:
    names = ("module.backbone_module.norm.weight", "module.backbone_module.norm.bias")
    recording = Recording(Path("r.safetensors"), {}, {"grad_norms": dict(zip(names, recorded, strict=True))})
    report = Report("gradients")
    compare_gradients(recording, subject(*ours), report)
    assert len(report.comparisons) == 4
    return report.passed


@pytest.mark.parametrize(
    ("ours", "recorded", "agree"),
    [
        ((1.0, 0.5), (1.0, 0.5), True),
        ((1.0009, 0.5), (1.0, 0.5), True),
        ((1.0011, 0.5), (1.0, 0.5), False),
        ((1.0, 9e-7), (1.0, 0.0), True),
        ((1.0, 2e-6), (1.0, 0.0), False),
        ((1.0, 2.003e-6), (1.0, 2e-6), False),
        ((1.0, 0.0), (1.0, 0.5), False),
    ],
)
def test_gradient_norms_agree_to_a_thousandth_above_a_floor(ours, recorded, agree):
    assert passes(ours, recorded) == agree


def test_terms_of_earlier_layers_have_a_number():
    terms = {"loss_text": "text", "loss_text_CE": "class"}
    assert our_term("loss_text", terms) == "text"
    assert our_term("loss_text_CE_3", terms) == "class_aux_3"
    assert our_term("loss_other", terms) is None and our_term("loss_other_1", terms) is None
