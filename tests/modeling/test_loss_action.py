# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of action recognition, and both forms in which the class may be given."""

from __future__ import annotations

import math

import pytest
import torch

from hulk_hf.modeling.loss_action_hulk import action_loss
from hulk_hf.modeling.tasks_hulk import HulkTask


def task(**fields) -> HulkTask:
    return HulkTask("action-own", "action", ("sit", "stand", "walk", "wave", "fall"), **fields)


@pytest.fixture
def logits() -> torch.Tensor:
    return 3 * torch.randn(3, 5, generator=torch.Generator().manual_seed(0))


def test_it_is_the_mean_of_minus_log_softmax_over_all_classes(logits):
    classes = [4, 0, 2]
    expected = 0.0
    for row, index in zip(logits.tolist(), classes, strict=True):
        expected += math.log(sum(math.exp(x) for x in row)) - row[index]
    terms = action_loss(logits, torch.tensor(classes), task())
    assert list(terms) == ["action"]
    assert terms["action"].item() == pytest.approx(expected / 3, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.int8, torch.bfloat16])
def test_rows_mark_the_class_at_their_largest_value(logits, dtype):
    """As the official data: 1 at the class, 0 elsewhere in the data set of the sample, -1 in the others."""
    rows = torch.tensor([[-1, -1, -1, 0, 1], [1, 0, 0, -1, -1], [0, 0, 1, -1, -1]], dtype=dtype)
    expected = action_loss(logits, torch.tensor([4, 0, 2]), task())["action"]
    assert torch.equal(action_loss(logits, rows, task())["action"], expected)
    assert torch.equal(action_loss(logits, rows > 0, task())["action"], expected)


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_indices_of_any_integer_dtype(logits, dtype):
    expected = action_loss(logits, torch.tensor([4, 0, 2]), task())["action"]
    assert torch.equal(action_loss(logits, torch.tensor([4, 0, 2], dtype=dtype), task())["action"], expected)


def test_the_weight_of_the_term_and_half_precision(logits):
    labels = torch.tensor([1, 1, 1])
    plain = action_loss(logits, labels, task())["action"].item()
    assert action_loss(logits, labels, task(loss_weights={"action": 4.4}))["action"].item() == pytest.approx(
        4.4 * plain
    )
    half = action_loss(logits.bfloat16(), labels, task())["action"]
    assert half.dtype == torch.float32 and half.item() == pytest.approx(plain, rel=0.02)


def test_the_classes_of_other_data_sets_compete(logits):
    logits.requires_grad_()
    action_loss(logits, torch.tensor([[1, 0, 0, -1, -1]] * 3), task())["action"].backward()
    assert (logits.grad[:, 3:] > 0).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 1]), r"labels: expected class indices of shape \(3,\) or .* \(3, 5\), got \(2,\)"),
        (torch.zeros(3, 4), r"got \(3, 4\)"),
        (torch.zeros(3, 1, dtype=torch.long), r"got \(3, 1\)"),
        (torch.zeros(3), "integer dtype, got torch.float32"),
        (torch.ones(3, dtype=torch.bool), "integer dtype, got torch.bool"),
        (torch.tensor([0, 5, 1]), "from 0 to 4, got 0 to 5"),
        (torch.tensor([0, -100, 1]), "from 0 to 4, got -100 to 1"),
        (torch.tensor([[0, 1, 0, 0, 0], [-1, -1, -1, 0, 0], [1, 0, 0, 0, 0]]), "a row without any"),
    ],
)
def test_labels_that_do_not_fit_are_named(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        action_loss(logits, labels, task())


def test_no_sample_has_no_mean():
    with pytest.raises(ValueError, match="labels: .* empty batch"):
        action_loss(torch.zeros(0, 5), torch.zeros(0, dtype=torch.long), task())
