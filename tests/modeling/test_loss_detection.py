# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of detection against a slow transcription in NumPy, its matching against all there are, and its limits."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch

from hulk_hf.modeling import loss_detection_hulk
from hulk_hf.modeling.boxes_hulk import (
    box_area,
    box_intersection,
    centers_to_corners,
    corners_to_centers,
    generalized_iou,
)
from hulk_hf.modeling.loss_detection_hulk import detection_loss, focal_loss, match, matching_cost, read_labels
from hulk_hf.modeling.tasks_hulk import HulkTask

TASK = HulkTask("detection-x", "detection", ("person",))
TWO = HulkTask("detection-two", "detection", ("person", "head"))
WEIGHTS = {"class": 2.0, "box": 5.0, "giou": 2.0}


def random_boxes(*shape: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """Boxes in center form that lie in the picture and have an area."""
    corners = torch.rand(*shape, 2, 2, generator=generator)
    low, high = corners.amin(-2), corners.amax(-2)
    return corners_to_centers(torch.cat([low, high + 0.01], dim=-1))


def predictions(layers: int, batch: int, queries: int, labels: int = 1, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(layers, batch, queries, labels, generator=generator)
    return logits, random_boxes(layers, batch, queries, generator=generator)


def annotation(*boxes, classes=None, crowd=None) -> dict[str, torch.Tensor]:
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    label = {"boxes": boxes, "class_labels": torch.tensor(classes or [0] * len(boxes), dtype=torch.long)}
    return label if crowd is None else {**label, "iscrowd": torch.tensor(crowd, dtype=torch.bool)}


# The transcription


def slow_corners(box):
    x, y, w, h = (float(value) for value in box)
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def slow_overlap(first, second):
    """Intersection of two boxes of center form."""
    a, b = slow_corners(first), slow_corners(second)
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def slow_giou(first, second):
    a, b = slow_corners(first), slow_corners(second)
    shared = slow_overlap(first, second)
    union = float(first[2] * first[3] + second[2] * second[3]) - shared
    around = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return shared / union - (around - union) / around


def slow_cost(logits, box, target, label):
    p = 1 / (1 + np.exp(-float(logits[label])))
    cost = 0.25 * (1 - p) ** 2 * -np.log(p + 1e-8) - 0.75 * p**2 * -np.log(1 - p + 1e-8)
    distance = sum(abs(float(a) - float(b)) for a, b in zip(box, target, strict=True))
    return 2 * cost + 5 * distance - 2 * slow_giou(box, target)


def slow_loss(logits, boxes, labels, num_boxes=None):
    """All terms of all layers, pair by pair; matching by trying every assignment."""
    total = sum(int((~label["iscrowd"]).sum()) for label in labels)
    normaliser = max(1.0, total if num_boxes is None else num_boxes)
    terms = []
    for layer in range(len(logits)):
        sums = {"class": 0.0, "box": 0.0, "giou": 0.0}
        for image, label in enumerate(labels):
            queries = range(logits.shape[2])
            found = [
                (box, int(kind))
                for box, kind, crowd in zip(label["boxes"], label["class_labels"], label["iscrowd"], strict=True)
                if not crowd
            ]
            ignored = label["boxes"][label["iscrowd"]]
            pairs = [
                [slow_cost(logits[layer, image, query], boxes[layer, image, query], *target) for target in found]
                for query in queries
            ]
            chosen = min(
                permutations(queries, len(found)),
                key=lambda order: sum(pairs[query][index] for index, query in enumerate(order)),
            )
            for query in queries:
                box = boxes[layer, image, query]
                kind = found[chosen.index(query)][1] if query in chosen else None
                in_crowd = any(slow_overlap(box, other) / float(box[2] * box[3]) >= 0.7 for other in ignored)
                if kind is None and in_crowd:
                    continue
                for index, logit in enumerate(logits[layer, image, query]):
                    p = 1 / (1 + np.exp(-float(logit)))
                    right, balance = (p, 0.25) if index == kind else (1 - p, 0.75)
                    sums["class"] += balance * (1 - right) ** 2 * -np.log(right)
            for index, query in enumerate(chosen):
                box, target = boxes[layer, image, query], found[index][0]
                sums["box"] += float((box - target).abs().sum())
                sums["giou"] += 1 - slow_giou(box, target)
        suffix = f"_aux_{layer - 1}" if layer else ""
        terms.append({f"{name}{suffix}": WEIGHTS[name] * value / normaliser for name, value in sums.items()})
    return {name: value for layer in terms for name, value in layer.items()}


@pytest.mark.parametrize("num_boxes", [None, 2.5, 0.25])
@pytest.mark.parametrize("task", [TASK, TWO], ids=["one label", "two labels"])
def test_all_terms_are_those_of_a_slow_transcription(task, num_boxes):
    logits, boxes = predictions(3, 3, 5, task.num_labels)
    generator = torch.Generator().manual_seed(5)
    crowd = random_boxes(1, generator=generator)[0]
    boxes[1, 0, 2] = crowd * torch.tensor([1, 1, 0.5, 0.5])  # certainly inside
    last = task.num_labels - 1
    labels = [
        {
            "boxes": torch.cat([random_boxes(2, generator=generator), crowd[None]]),
            "class_labels": torch.tensor([0, last, 0]),
            "iscrowd": torch.tensor([False, False, True]),
        },
        {"boxes": torch.zeros(0, 4), "class_labels": torch.zeros(0), "iscrowd": torch.zeros(0, dtype=torch.bool)},
        {
            "boxes": random_boxes(4, generator=generator),
            "class_labels": torch.tensor([last, 0, 0, 0]),
            "iscrowd": torch.tensor([False, False, False, True]),
        },
    ]
    ours = detection_loss(logits, boxes, labels, task, num_boxes)
    expected = slow_loss(logits, boxes, labels, num_boxes)
    assert list(ours) == list(expected)
    for name, value in expected.items():
        assert ours[name].item() == pytest.approx(value, rel=1e-5), name


def test_weights_of_the_task_are_those_of_terms_and_matching():
    logits, boxes = predictions(1, 1, 2)
    labels = [{"boxes": boxes[0, 0, :1], "class_labels": torch.tensor([0])}]
    logits[0, 0, 0], logits[0, 0, 1] = -4.0, 4.0
    by_place = HulkTask("detection-x", "detection", ("person",), loss_weights={"class": 1e-3})
    by_label = HulkTask("detection-x", "detection", ("person",), loss_weights={"box": 0.0, "giou": 0.0})
    assert detection_loss(logits, boxes, labels, by_place)["box"] == 0
    terms = detection_loss(logits, boxes, labels, by_label)
    assert terms["box"] == terms["giou"] == 0 and terms["class"] < 1


# Matching


@pytest.mark.parametrize("seed", range(5))
def test_matching_is_the_cheapest_of_all(seed):
    logits, boxes = predictions(2, 2, 6, seed=seed)
    labels = [{"boxes": random_boxes(count), "class_labels": torch.zeros(count)} for count in (3, 2)]
    targets = read_labels(labels, 2, TASK, logits.device)
    matches = match(logits, boxes, targets, WEIGHTS)
    assert matches.images.tolist() == [0, 0, 0, 1, 1] and matches.queries.shape == (2, 5)
    cost = matching_cost(logits, boxes, targets.boxes, targets.classes, WEIGHTS)
    for layer in range(2):
        for image, count in enumerate((3, 2)):
            rows = matches.images == image
            chosen = cost[layer, image, matches.queries[layer, rows], matches.targets[layer, rows]]
            assert sorted(matches.targets[layer, rows].tolist()) == list(range(count))
            best = min(
                sum(cost[layer, image, query, target].item() for target, query in enumerate(order))
                for order in permutations(range(6), count)
            )
            assert chosen.sum().item() == pytest.approx(best, rel=1e-5)


def test_costs_are_those_of_single_pairs():
    logits, boxes = predictions(2, 2, 3, 2)
    target_boxes, classes = random_boxes(2, 4), torch.tensor([[0, 1, 1, 0], [1, 1, 0, 0]])
    cost = matching_cost(logits, boxes, target_boxes, classes, WEIGHTS)
    for index in np.ndindex(*cost.shape):
        layer, image, query, target = index
        expected = slow_cost(
            logits[layer, image, query],
            boxes[layer, image, query],
            target_boxes[image, target],
            classes[image, target],
        )
        assert cost[index].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_more_people_than_queries_leave_some_alone():
    logits, boxes = predictions(2, 1, 2)
    labels = [{"boxes": random_boxes(5), "class_labels": torch.zeros(5)}]
    terms = detection_loss(logits, boxes, labels, TASK)
    assert all(value.isfinite() for value in terms.values())
    matches = match(logits, boxes, read_labels(labels, 1, TASK, logits.device), WEIGHTS)
    assert matches.queries.sort(dim=1).values.tolist() == [[0, 1], [0, 1]]
    # Divided by all that were to be found.
    found = (boxes[0, 0, matches.queries[0]] - labels[0]["boxes"][matches.targets[0]]).abs().sum()
    assert terms["box"].item() == pytest.approx(5 * found.item() / 5, rel=1e-5)


def test_an_overflow_shows_in_the_loss_and_not_as_an_error_of_the_matching():
    logits, boxes = predictions(1, 1, 3)
    logits[0, 0, 1] = torch.nan
    terms = detection_loss(logits, boxes, [annotation([0.5, 0.5, 0.2, 0.2])], TASK)
    assert terms["class"].isnan() and terms["box"].isfinite()


def test_without_scipy_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(loss_detection_hulk, "is_scipy_available", lambda: False)
    logits, boxes = predictions(1, 1, 3)
    with pytest.raises(ImportError, match="pip install scipy"):
        detection_loss(logits, boxes, [annotation([0.5, 0.5, 0.2, 0.2])], TASK)


# What is to be ignored


@pytest.mark.parametrize(("share", "counts"), [(0.69, True), (0.71, False)])
def test_a_query_mostly_inside_an_ignored_box_is_no_false_alarm(share, counts):
    """Its box is 0.2 wide and begins at 0.4; the ignored box covers it from the left."""
    logits, boxes = torch.full((1, 1, 1, 1), 3.0), torch.tensor([[[[0.5, 0.5, 0.2, 0.2]]]])
    covered = [(0.4 + 0.2 * share) / 2, 0.5, 0.4 + 0.2 * share, 1.0]
    term = detection_loss(logits, boxes, [annotation(covered, crowd=[True])], TASK)["class"]
    expected = 2 * focal_loss(torch.tensor(3.0), torch.tensor(0.0))
    assert term.item() == pytest.approx(expected.item() if counts else 0.0)


def test_several_ignored_boxes_do_not_add_up():
    logits, boxes = torch.full((1, 1, 1, 1), 3.0), torch.tensor([[[[0.5, 0.5, 0.2, 0.2]]]])
    halves = annotation([0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0], crowd=[True, True])
    assert detection_loss(logits, boxes, [halves], TASK)["class"] > 0


def test_a_matched_query_counts_wherever_it_lies():
    logits, boxes = torch.full((1, 1, 1, 1), -1.0), torch.tensor([[[[0.5, 0.5, 0.2, 0.2]]]])
    label = annotation([0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 1.0, 1.0], crowd=[False, True])
    expected = 2 * focal_loss(torch.tensor(-1.0), torch.tensor(1.0))
    assert detection_loss(logits, boxes, [label], TASK)["class"].item() == pytest.approx(expected.item())


def test_ignored_boxes_are_not_found_and_may_be_of_any_class():
    logits, boxes = predictions(1, 1, 4)
    label = annotation([0.5, 0.5, 0.2, 0.2], [0.3, 0.3, 0.1, 0.1], classes=[0, 7], crowd=[False, True])
    targets = read_labels([label], 1, TASK, logits.device)
    assert targets.counts == [1] and targets.ignored.shape == (1, 1, 4)
    assert detection_loss(logits, boxes, [label], TASK)["box"] > 0


def test_boxes_without_area_are_left_out():
    logits, boxes = predictions(2, 2, 6)
    plain = [annotation([0.5, 0.5, 0.2, 0.2], crowd=[False]), annotation([0.4, 0.6, 0.3, 0.2], crowd=[False])]
    flat = [0.2, 0.2, 0.0, 0.3]
    filled = [
        annotation(flat, [0.5, 0.5, 0.2, 0.2], [0.0] * 4, classes=[9, 0, 9], crowd=[False, False, True]),
        {
            # Filled up with boxes of a stated area of 0.
            **annotation([0.4, 0.6, 0.3, 0.2], [0.5, 0.5, 1.0, 1.0], crowd=[False, True]),
            "area": torch.tensor([300.0, 0.0]),
        },
    ]
    assert detection_loss(logits, boxes, filled, TASK) == detection_loss(logits, boxes, plain, TASK)


# Sums and normaliser


def test_nobody_in_any_picture_is_a_loss_of_false_alarms_alone():
    logits, boxes = (tensor.requires_grad_() for tensor in predictions(2, 2, 4))
    terms = detection_loss(logits, boxes, [annotation(), annotation()], TASK)
    assert terms["box"] == terms["giou"] == terms["box_aux_0"] == 0
    expected = 2 * focal_loss(logits, torch.zeros_like(logits))[0].sum()  # divided by 1
    assert terms["class"].item() == pytest.approx(expected.item(), rel=1e-5)
    torch.stack(list(terms.values())).sum().backward()
    assert (logits.grad != 0).all() and (boxes.grad == 0).all()


def test_processes_with_the_mean_number_of_boxes_add_up_to_the_whole_batch():
    logits, boxes = predictions(2, 2, 5)
    labels = [annotation([0.5, 0.5, 0.2, 0.2]), annotation([0.4, 0.6, 0.3, 0.2], [0.2, 0.2, 0.1, 0.1], [0.1] * 4)]
    whole = detection_loss(logits, boxes, labels, TASK)
    mean = torch.tensor(4 / 2)
    parts = [detection_loss(logits[:, i : i + 1], boxes[:, i : i + 1], labels[i : i + 1], TASK, mean) for i in (0, 1)]
    for name, value in whole.items():
        torch.testing.assert_close((parts[0][name] + parts[1][name]) / 2, value)


def test_gradients_reach_matched_boxes_alone_and_never_go_through_the_matching():
    logits, boxes = (tensor.requires_grad_() for tensor in predictions(1, 1, 4))
    label = annotation([0.5, 0.5, 0.2, 0.2])
    detection_loss(logits, boxes, [label], TASK)["box"].backward()
    assert (boxes.grad.abs().sum(-1) > 0).sum() == 1 and logits.grad is None


# Boxes


def test_forms_of_boxes_turn_into_each_other():
    corners = torch.tensor([[1.0, 2.0, 5.0, 10.0]])
    assert corners_to_centers(corners).tolist() == [[3.0, 6.0, 4.0, 8.0]]
    assert torch.equal(centers_to_corners(corners_to_centers(corners)), corners)
    assert box_area(corners).tolist() == [32.0]


def test_overlaps_by_hand():
    box = torch.tensor([0.0, 0.0, 2.0, 2.0])
    others = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0], [3.0, 0.0, 4.0, 2.0], [2.0, 0.0, 4.0, 2.0]])
    assert box_intersection(box, others).tolist() == [4.0, 1.0, 0.0, 0.0]
    expected = [1.0, 1 / 7 - 2 / 9, -2 / 8, 0.0]
    torch.testing.assert_close(generalized_iou(box, others), torch.tensor(expected))
    pairs = generalized_iou(others[:, None], others[None])
    assert pairs.shape == (4, 4) and torch.equal(pairs, pairs.T)


# Errors


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(1, 3, 4), "a list with one dict per picture"),
        ([annotation()] * 2, "2 for 1"),
        ([{"boxes": torch.zeros(1, 4)}], r"labels\[0\].*class_labels"),
        ([{"boxes": torch.rand(2, 5), "class_labels": torch.zeros(2)}], r"\['boxes'\].*\(boxes, 4\).*\(2, 5\)"),
        ([annotation([320.0, 200.0, 50.0, 120.0])], "pixels"),
        ([annotation([0.5, float("nan"), 0.1, 0.1])], r"\['boxes'\]"),
        ([annotation([0.5, 0.5, 0.1, 0.1], classes=[1])], r"class_labels.*0 to 0, got 1"),
        ([annotation([0.5, 0.5, 0.1, 0.1], classes=[-1])], "got -1"),
        ([{**annotation([0.5, 0.5, 0.1, 0.1]), "class_labels": torch.zeros(2)}], "one value per box"),
        ([annotation([0.5, 0.5, 0.1, 0.1], crowd=[True, False])], r"\['iscrowd'\].*one value per box"),
    ],
)
def test_labels_that_would_be_misread_are_refused(labels, message):
    logits, boxes = predictions(1, 1, 3)
    with pytest.raises(ValueError, match=message):
        detection_loss(logits, boxes, labels, TASK)


def test_an_empty_batch_has_no_loss():
    with pytest.raises(ValueError, match="at least one picture"):
        detection_loss(torch.zeros(1, 0, 3, 1), torch.zeros(1, 0, 3, 4), [], TASK)
