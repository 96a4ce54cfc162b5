# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of captions, against its formula written out number by number."""

from __future__ import annotations

import math

import pytest
import torch

from hulk_hf.modeling.loss_caption_hulk import IGNORED, caption_loss
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

WORDS = 7
PAD = 0


def task(**fields) -> HulkTask:
    return HulkTask("caption-own", "caption", vocabulary_size=WORDS, **fields)


def by_hand(logits, targets, smoothing: float, left_out=(IGNORED,)) -> float:
    """Spec 1.4 of training, without tensors: the share `smoothing` of the target is spread over all words."""
    terms = []
    for row, words in zip(logits.tolist(), targets.tolist(), strict=True):
        for scores, word in zip(row, words, strict=True):
            if word in left_out:
                continue
            total = math.log(sum(math.exp(score) for score in scores))
            log_probabilities = [score - total for score in scores]
            spread = -sum(log_probabilities) / len(scores)
            terms.append((1 - smoothing) * -log_probabilities[word] + smoothing * spread)
    return sum(terms) / len(terms)


@pytest.fixture
def logits() -> torch.Tensor:
    return 2 * torch.randn(2, 4, WORDS, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def targets() -> torch.Tensor:
    return torch.tensor([[3, 6, 2, PAD], [5, 2, PAD, PAD]])


@pytest.mark.parametrize("smoothing", [0.1, 0.0, 0.35])
def test_it_is_the_formula(logits, targets, smoothing):
    terms = caption_loss(logits, targets, task(label_smoothing=smoothing), PAD)
    assert list(terms) == ["caption"]
    assert terms["caption"].item() == pytest.approx(by_hand(logits, targets, smoothing), rel=1e-5)


def test_padding_is_learned_as_released_or_left_out(logits, targets):
    released = caption_loss(logits, targets, task(), PAD)["caption"]
    without = caption_loss(logits, targets, task(ignore_padding=True), PAD)["caption"]
    assert released.item() == pytest.approx(by_hand(logits, targets, 0.1), rel=1e-5)
    assert without.item() == pytest.approx(by_hand(logits, targets, 0.1, left_out=(PAD,)), rel=1e-5)
    assert abs(released.item() - without.item()) > 0.05
    nowhere = caption_loss(logits, targets, task(ignore_padding=True), None)["caption"]
    assert nowhere.item() == pytest.approx(released.item())


def test_places_marked_as_ignored_teach_nothing(logits, targets):
    logits.requires_grad_()
    targets[0, 1] = targets[1, 3] = IGNORED
    loss = caption_loss(logits, targets, task(), PAD)["caption"]
    loss.backward()
    assert loss.item() == pytest.approx(by_hand(logits.detach(), targets, 0.1), rel=1e-5)
    assert (logits.grad.abs().sum(-1) == 0).nonzero().tolist() == [[0, 1], [1, 3]]


def test_the_weight_of_the_term(logits, targets):
    plain = caption_loss(logits, targets, task())["caption"]
    weighted = caption_loss(logits, targets, task(loss_weights={"caption": 3.0}))["caption"]
    assert weighted.item() == pytest.approx(3 * plain.item())


def test_half_precision_is_computed_in_full():
    logits = torch.full((1, 2, WORDS), 40.0, dtype=torch.bfloat16, requires_grad=True)
    loss = caption_loss(logits, torch.tensor([[1, 2]]), task())["caption"]
    loss.backward()
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(math.log(WORDS), rel=1e-5)
    assert logits.grad.isfinite().all()


def test_the_known_task_has_the_constants_of_the_release():
    known = KNOWN_TASKS["caption-joint"]
    assert known.label_smoothing == 0.1 and not known.ignore_padding
    assert (known.max_length, known.vocabulary_size, known.image_size) == (40, 30522, (384, 384))


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, "a little"])
def test_a_smoothing_that_is_none_is_named(smoothing):
    with pytest.raises(ValueError, match="label_smoothing must be in"):
        task(label_smoothing=smoothing)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (torch.zeros(2, 3).long(), r"labels: expected one target .* shape \(2, 4\), got \(2, 3\)"),
        (torch.zeros(4).long(), r"labels: .* got \(4,\)"),
        (torch.full((2, 4), IGNORED), "labels: .* at least one to learn from"),
        (torch.full((2, 4), WORDS), "labels: expected words between 0 and 6, .* got 7 to 7"),
        (torch.full((2, 4), -1), "labels: expected words between 0 and 6, .* got -1 to -1"),
    ],
)
def test_labels_that_do_not_fit_are_named(logits, targets, message):
    with pytest.raises(ValueError, match=message):
        caption_loss(logits, targets, task())
