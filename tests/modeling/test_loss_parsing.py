# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of human parsing against a plain version of itself: masks made whole, pictures and parts one by one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from hulk_hf.modeling.loss_parsing_hulk import (
    IGNORED,
    NUM_POINTS,
    draw_points,
    parsing_loss,
    present_parts,
    sample_labels,
    sample_maps,
)
from hulk_hf.modeling.tasks_hulk import HulkTask

TASK = HulkTask(
    "parsing-own", "parsing", ("background", "hat", "left arm", "right arm"), image_size=(32, 48),
    presence_ratios=(1.0, 0.2, 0.7, 0.6), loss_weights={"mask": 5.0, "dice": 2.0, "presence": 0.3},
)  # fmt: skip
LAYERS, BATCH, PARTS, HEIGHT, WIDTH = 3, 2, 4, 32, 48


def random_labels(seed: int = 0) -> torch.Tensor:
    """Blocks of parts; picture 0 has no part 1, picture 1 no part 3, both have ignored blocks."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, PARTS, (BATCH, 4, 6), generator=generator)
    blocks[0][blocks[0] == 1] = IGNORED
    blocks[1][blocks[1] == 3] = IGNORED
    return blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)


@pytest.fixture
def labels() -> torch.Tensor:
    return random_labels()


@pytest.fixture
def logits() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    masks = torch.randn(LAYERS, BATCH, PARTS, HEIGHT // 4, WIDTH // 4, generator=generator)
    return masks.requires_grad_(), torch.randn(LAYERS, BATCH, PARTS, generator=generator).requires_grad_()


def random_points(labels: torch.Tensor, count: int = 50, layers: int = LAYERS) -> torch.Tensor:
    pairs = int(present_parts(labels, PARTS).sum())
    return torch.rand(layers, pairs, count, 2, generator=torch.Generator().manual_seed(2))


def read(mask: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    grid = (2 * points - 1)[None, None]
    return F.grid_sample(mask[None, None].float(), grid, padding_mode="zeros", align_corners=False)[0, 0, 0]


def plain_loss(masks, presence, labels, task, points) -> dict[str, torch.Tensor]:
    pairs = [(b, k) for b in range(BATCH) for k in range(PARTS) if (labels[b] == k).any()]
    terms = {}
    for layer in range(len(masks)):
        cross, dice, balanced = 0.0, 0.0, 0.0
        for (b, k), where in zip(pairs, points[layer], strict=True):
            p, g = read(masks[layer, b, k], where), read(labels[b] == k, where)
            cross = cross + (F.softplus(p) - p * g).mean()
            dice = dice + 1 - (2 * (p.sigmoid() * g).sum() + 1) / (p.sigmoid().sum() + g.sum() + 1)
        for b in range(BATCH):
            for k in range(PARTS):
                x, y, r = presence[layer, b, k], float((b, k) in pairs), task.presence_ratios[k]
                balanced = balanced + math.exp(y * (1 - r) + (1 - y) * r) * (F.softplus(x) - x * y)
        suffix = f"_aux_{layer - 1}" if layer else ""
        terms[f"mask{suffix}"] = task.loss_weights["mask"] * cross / len(pairs)
        terms[f"dice{suffix}"] = task.loss_weights["dice"] * dice / len(pairs)
        terms[f"presence{suffix}"] = task.loss_weights["presence"] * balanced / (BATCH * PARTS)
    return terms


def test_terms_and_gradients_are_those_of_the_plain_version(logits, labels):
    points = random_points(labels)
    expected = plain_loss(*logits, labels, TASK, points)
    terms = parsing_loss(*logits, labels, TASK, points)
    assert list(terms) == list(expected)
    torch.testing.assert_close(terms, expected)
    gradients = [torch.autograd.grad(sum(losses.values()), logits) for losses in (terms, expected)]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_present_parts_are_counted_without_the_ignored(labels):
    assert present_parts(labels, PARTS).tolist() == [[True, False, True, True], [True, True, True, False]]
    assert not present_parts(torch.full((1, 2, 2), IGNORED), PARTS).any()


def test_labels_are_read_as_the_masks_of_their_parts_would_be(labels):
    """At corners and edges of the picture, half of what is read lies outside of it, where every mask is 0."""
    pictures, parts = present_parts(labels, PARTS).nonzero(as_tuple=True)
    points = random_points(labels, count=400, layers=1)[0]
    corners = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.5, 0.0], [1.0, 0.5]])
    points[:, : len(corners)] = corners
    masks = labels[pictures] == parts[:, None, None]
    wanted = sample_labels(labels, pictures, parts, points)
    torch.testing.assert_close(wanted, sample_maps(masks.float(), points), atol=1e-5, rtol=0)
    assert ((wanted > 0.01) & (wanted < 0.99)).any(), "labels are soft at edges"
    at_origin = wanted[:, 0]
    assert torch.equal(at_origin, 0.25 * (labels[pictures, 0, 0] == parts))


def test_points_are_given_as_x_and_y():
    labels = torch.zeros(1, 8, 16, dtype=torch.long)
    labels[:, :, 12:] = 1
    pictures, parts = present_parts(labels, 2).nonzero(as_tuple=True)
    right = torch.tensor([[[0.9, 0.5]]] * 2)
    assert sample_labels(labels, pictures, parts, right).flatten().tolist() == [0.0, 1.0]
    assert sample_maps((labels == 1).float(), right[:1]).item() == 1.0


def test_ignored_pixels_are_no_part(logits, labels):
    """They count as negative for all parts, as released, and are no part of their own."""
    points = random_points(labels)
    pictures, parts = present_parts(labels, PARTS).nonzero(as_tuple=True)
    row, column = (labels[0] == IGNORED).nonzero()[0].tolist()
    inside = torch.tensor([[[(column + 4) / WIDTH, (row + 4) / HEIGHT]]]).expand(len(parts), 1, 2)
    assert sample_labels(labels, pictures, parts, inside)[pictures == 0].eq(0).all()
    terms = parsing_loss(*logits, labels, TASK, points)
    narrow = parsing_loss(*logits, labels.to(torch.uint8), TASK, points)
    assert all(torch.equal(terms[name], narrow[name]) for name in terms)


def test_drawn_points_are_the_most_undecided_and_some_others():
    generator = torch.Generator().manual_seed(3)
    maps = torch.randn(5, 8, 12, generator=generator)
    points = draw_points(maps, 40, torch.Generator().manual_seed(4))
    again = torch.Generator().manual_seed(4)
    candidates = torch.rand(5, 120, 2, generator=again)
    anywhere = torch.rand(5, 10, 2, generator=again)
    assert points.shape == (5, 40, 2)
    assert torch.equal(points[:, 30:], anywhere)
    for row in range(5):
        undecided = read(maps[row], candidates[row]).abs().argsort()[:30]
        assert set(map(tuple, points[row, :30].tolist())) == set(map(tuple, candidates[row, undecided].tolist()))


def test_as_many_points_as_in_the_release_are_drawn_for_every_layer(logits, labels, monkeypatch):
    drawn = []

    def spy(maps, num_points, generator):
        drawn.append((tuple(maps.shape), num_points))
        return draw_points(maps, num_points, generator)

    monkeypatch.setattr("hulk_hf.modeling.loss_parsing_hulk.draw_points", spy)
    parsing_loss(*logits, labels, TASK)
    assert drawn == [((6, 8, 12), NUM_POINTS)] * LAYERS and NUM_POINTS == 112 * 112


def test_every_layer_draws_points_of_its_own(logits, labels):
    same = [tensor[:1].detach().expand(LAYERS, *tensor.shape[1:]) for tensor in logits]
    terms = parsing_loss(*same, labels, TASK, num_points=20)
    assert len({terms[name].item() for name in ("mask", "mask_aux_0", "mask_aux_1")}) == 3
    assert len({terms[name].item() for name in ("presence", "presence_aux_0", "presence_aux_1")}) == 1


def test_drawing_is_repeated_by_a_generator_or_the_seed_of_torch(logits, labels):
    def total(**kwargs):
        return sum(parsing_loss(*logits, labels, TASK, num_points=20, **kwargs).values()).item()

    seeded = [total(generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert seeded[0] == seeded[1] != seeded[2]
    torch.manual_seed(5)
    first = total()
    second = total()
    torch.manual_seed(5)
    assert total() == first != second


def test_many_points_agree_with_the_whole_masks():
    """Drawn points are no mean over the picture: a mask that is right everywhere but for its rim is all rim."""
    labels = torch.zeros(1, 32, 32, dtype=torch.long)
    labels[:, :, 16:] = 1
    sure = torch.where(F.one_hot(labels[:, ::4, ::4], 2).permute(0, 3, 1, 2) > 0, 9.0, -9.0)
    presence = torch.tensor([[9.0, 9.0]])
    two = replace(TASK, labels=("a", "b"), flip_pairs=None, presence_ratios=None, loss_weights=None)
    right, wrong = (parsing_loss(x[None], presence[None], labels, two, num_points=500) for x in (sure, -sure))
    assert right["mask"] < 0.1 * wrong["mask"] and right["dice"] < 0.2 * wrong["dice"]


def test_weights_are_those_of_most_released_tasks_unless_the_task_says_otherwise(logits, labels):
    points = random_points(labels)
    unweighted = parsing_loss(
        *logits, labels, replace(TASK, loss_weights={"mask": 1.0, "dice": 1.0, "presence": 1.0}), points
    )
    for given in (None, {"dice": 3.0}):
        terms = parsing_loss(*logits, labels, replace(TASK, loss_weights=given), points)
        for name, weight in ({"mask": 50.0, "dice": 50.0, "presence": 0.1} | (given or {})).items():
            torch.testing.assert_close(terms[f"{name}_aux_1"], weight * unweighted[f"{name}_aux_1"])


def test_batches_in_several_processes_add_up_to_one(logits, labels):
    points = random_points(labels)
    whole = parsing_loss(*logits, labels, TASK, points)
    pairs = present_parts(labels, PARTS).sum(dim=1)
    parts = [
        parsing_loss(
            *(tensor[:, b : b + 1] for tensor in logits), labels[b : b + 1], TASK, rows, num_pairs=pairs.sum()
        )
        for b, rows in enumerate(points.split(pairs.tolist(), dim=1))
    ]
    for name in whole:
        both = parts[0][name] + parts[1][name]
        torch.testing.assert_close(both / BATCH if "presence" in name else both, whole[name])


@pytest.mark.parametrize("num_pairs", [None, 0, 7])
def test_pictures_without_any_part_teach_only_their_absence(logits, num_pairs):
    nothing = torch.full((BATCH, HEIGHT, WIDTH), IGNORED)
    terms = parsing_loss(*logits, nothing, TASK, num_pairs=num_pairs)
    assert all(term == 0 for name, term in terms.items() if "presence" not in name)
    assert all(term > 0 for name, term in terms.items() if "presence" in name)
    sum(terms.values()).backward()
    assert torch.equal(logits[0].grad, torch.zeros_like(logits[0])), "and every parameter has its part in the step"
    assert (logits[1].grad > 0).all()


def test_parts_that_a_picture_does_not_show_get_no_gradient(logits, labels):
    sum(parsing_loss(*logits, labels, TASK, num_points=30).values()).backward()
    taught = logits[0].grad.abs().sum(dim=(0, 3, 4)) > 0
    assert torch.equal(taught, present_parts(labels, PARTS))


def test_half_precision_is_compared_in_single(logits, labels):
    points = random_points(labels)
    half = parsing_loss(*(tensor.bfloat16() for tensor in logits), labels, TASK, points.double())
    exact = parsing_loss(*(tensor.bfloat16().float() for tensor in logits), labels, TASK, points)
    assert {term.dtype for term in half.values()} == {torch.float32}
    torch.testing.assert_close(half, exact)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": torch.zeros(2, 4, 32, 48)}, r"labels: expected part indices of shape \(2, height, width\)"),
        ({"labels": torch.zeros(1, 32, 48)}, r"labels: .* got \(1, 32, 48\)"),
        ({"labels": torch.zeros(2, 32, 48)}, "labels: .* integer type, got torch.float32"),
        ({"labels": torch.ones(2, 32, 48, dtype=torch.bool)}, "labels: .* got torch.bool"),
        ({"labels": torch.full((2, 32, 48), 4)}, "labels: .* from 0 to 3, or 255 .* got 4"),
        ({"labels": torch.full((2, 32, 48), -100)}, "labels: .* got -100"),
        ({"labels": torch.full((2, 32, 48), -1, dtype=torch.int8)}, "labels: .* got -1"),
        ({"points": torch.rand(3, 5, 9, 2)}, r"points: expected shape \(3, 6, points, 2\)"),
        ({"points": torch.rand(2, 6, 9, 2)}, r"points: expected shape \(3, 6, points, 2\)"),
        ({"points": torch.rand(3, 6, 9, 3)}, "points: expected shape"),
        ({"points": torch.rand(3, 6, 9)}, "points: expected shape"),
        ({"points": torch.rand(3, 6, 0, 2)}, "num_points: expected at least 1, got 0"),
        ({"num_points": 0}, "num_points: expected at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(logits, labels, arguments, message):
    with pytest.raises(ValueError, match=message):
        parsing_loss(*logits, **{"labels": labels, "task": TASK, **arguments})


def test_no_picture_and_too_many_parts_are_refused():
    with pytest.raises(ValueError, match="labels: .* empty batch"):
        parsing_loss(torch.zeros(1, 0, 4, 8, 8), torch.zeros(1, 0, 4), torch.zeros(0, 32, 32).long(), TASK)
    with pytest.raises(ValueError, match="at most 255 parts, got 256"):
        parsing_loss(torch.zeros(1, 1, 256, 2, 2), torch.zeros(1, 1, 256), torch.zeros(1, 8, 8).long(), TASK)
