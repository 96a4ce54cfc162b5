# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of attributes, against its formula written out number by number."""

from __future__ import annotations

import math

import pytest
import torch

from hulk_hf.modeling.loss_attributes_hulk import attributes_loss
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

LABELS = ("with a hat", "female", "with boots", "calling")


def task(**fields) -> HulkTask:
    return HulkTask("attributes-own", "attributes", LABELS, **fields)


def by_hand(logits, labels, ratios, weights) -> float:
    """Spec 1.3, without tensors."""
    total = 0.0
    for row, targets in zip(logits.tolist(), labels.tolist(), strict=True):
        for x, y, ratio, weight in zip(row, targets, ratios, weights, strict=True):
            if not 0 <= y <= 1:
                continue
            p = 1 / (1 + math.exp(-x))
            cross_entropy = -y * math.log(p) - (1 - y) * math.log(1 - p)
            rarity = math.exp(1 - ratio if y > 0.5 else ratio)
            focal = (1 - (p * y + (1 - p) * (1 - y))) ** 2
            total += cross_entropy * rarity * focal * weight
    return total / len(logits)


@pytest.fixture
def logits() -> torch.Tensor:
    return 2 * torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "labels",
    [
        [[1, 0, 1, 0], [0, 0, 1, 1], [1, 1, 1, 1]],
        [[1, -1, 0, -1], [-1, -1, -1, -1], [0, 2, 1, -1]],
        [[0.2, 0.5, 0.9, 1], [0, 0.51, 1, 0], [1, 1, -1, 0.4]],
    ],
)
def test_it_is_the_formula(logits, labels):
    ratios, weights = (0.28, 0.03, 0.5, 0.9), (0.5, 0.25, 1.0, 2.0)
    labels = torch.tensor(labels)
    terms = attributes_loss(logits, labels, task(presence_ratios=ratios, label_weights=weights))
    assert list(terms) == ["attributes"]
    assert terms["attributes"].item() == pytest.approx(by_hand(logits, labels, ratios, weights), rel=1e-5)


def test_without_ratios_and_label_weights_all_labels_count_alike(logits):
    labels = torch.tensor([[1, 0, 1, 0]] * 3)
    expected = by_hand(logits, labels, (0.5,) * 4, (1.0,) * 4)
    assert attributes_loss(logits, labels, task())["attributes"].item() == pytest.approx(expected, rel=1e-5)


def test_the_weight_of_the_term(logits):
    labels = torch.ones(3, 4)
    plain = attributes_loss(logits, labels, task())["attributes"]
    weighted = attributes_loss(logits, labels, task(loss_weights={"attributes": 3.0}))["attributes"]
    assert weighted.item() == pytest.approx(3 * plain.item())


def test_it_is_a_sum_over_attributes_and_a_mean_over_persons(logits):
    labels = torch.tensor([[1.0, 0, 1, 0]] * 3)
    whole = attributes_loss(logits, labels, task())["attributes"]
    columns = [labels.new_full((3, 4), -1) for _ in LABELS]
    for index, column in enumerate(columns):
        column[:, index] = labels[:, index]
    parts = [attributes_loss(logits, column, task())["attributes"] for column in columns]
    assert whole.item() == pytest.approx(sum(part.item() for part in parts), rel=1e-5)
    twice = attributes_loss(logits.repeat(2, 1), labels.repeat(2, 1), task())["attributes"]
    assert twice.item() == pytest.approx(whole.item(), rel=1e-5)


@pytest.mark.parametrize("unknown", [-1.0, 2.0, -100.0, math.nan])
def test_unknown_attributes_teach_nothing(logits, unknown):
    logits.requires_grad_()
    labels = torch.tensor([[1.0, 0, 1, 0]] * 3)
    labels[0, 1] = labels[2, 3] = unknown
    attributes_loss(logits, labels, task())["attributes"].backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad == 0).nonzero().tolist() == [[0, 1], [2, 3]]


def test_a_batch_of_which_nothing_is_known_has_no_loss(logits):
    logits.requires_grad_()
    loss = attributes_loss(logits, torch.full((3, 4), -1), task())["attributes"]
    loss.backward()
    assert loss.item() == 0.0 and not logits.grad.any()


def test_the_focal_factor_carries_gradient():
    """With the factor held fixed, the gradient at logit 0 would be -(1/2) * (1/4) * exp(1/2)."""
    logits = torch.zeros(1, 1, requires_grad=True)
    one = HulkTask("attributes-one", "attributes", ("female",))
    attributes_loss(logits, torch.ones(1, 1), one)["attributes"].backward()
    p = 0.5
    expected = math.exp(0.5) * (-((1 - p) ** 3) + 2 * (1 - p) * -p * (1 - p) * -math.log(p))
    assert logits.grad.item() == pytest.approx(expected, rel=1e-5)


def test_confident_logits_and_half_precision_stay_finite():
    logits = torch.tensor([[300.0, -300.0, 40.0, -40.0]], dtype=torch.bfloat16, requires_grad=True)
    loss = attributes_loss(logits, torch.tensor([[0, 1, 0, 1]]), task())["attributes"]
    loss.backward()
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(680 * math.exp(0.5), rel=1e-3)
    assert logits.grad.isfinite().all()


def test_the_known_tasks_have_the_constants_of_the_release():
    joint, luperson = KNOWN_TASKS["attributes-joint"], KNOWN_TASKS["attributes-luperson"]
    assert joint.label_weights == (0.5,) * 54 + (0.25,) * 26 + (1.0,) * 88
    assert luperson.label_weights is None and luperson.presence_ratios[:52] == luperson.presence_ratios[52:]
    for known in (joint, luperson):
        logits = torch.randn(2, known.num_labels, generator=torch.Generator().manual_seed(1))
        labels = torch.randint(-1, 3, logits.shape, generator=torch.Generator().manual_seed(2))
        weights = known.label_weights or (1.0,) * known.num_labels
        expected = by_hand(logits, labels, known.presence_ratios, weights)
        assert attributes_loss(logits, labels, known)["attributes"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (torch.zeros(2, 4), torch.zeros(2, 3), r"labels: expected .* shape \(2, 4\), got \(2, 3\)"),
        (torch.zeros(2, 4), torch.zeros(2), r"labels: .* got \(2,\)"),
        (torch.zeros(2, 4), torch.zeros(1, 4), r"labels: .* got \(1, 4\)"),
        (torch.zeros(0, 4), torch.zeros(0, 4), "labels: .* empty batch"),
    ],
)
def test_labels_that_do_not_fit_are_named(logits, labels, message):
    with pytest.raises(ValueError, match=message):
        attributes_loss(logits, labels, task())
