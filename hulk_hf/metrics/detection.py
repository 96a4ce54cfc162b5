# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Detection metrics: COCO's average precision, and the figures of CrowdHuman (spec of evaluation, 5.4).

All boxes are (x, y, width, height) in pixels. People to ignore are neither to be found nor false alarms.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np

SCORE_THRESHOLD = 0.05
FALSE_ALARMS = (0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0)  # per picture, for the miss rate
_JACCARD_SCORES = tuple(round(0.1 * step, 1) for step in range(1, 10))
_EPS = 1e-6


def detection_average_precision(
    found: Sequence[np.ndarray], annotated: Sequence[np.ndarray], ignored: Sequence[np.ndarray]
) -> dict[str, float]:
    """COCO's average precision, computed by `faster-coco-eval`; people to ignore are crowds to it.

    Args:
        found: For each picture (D, 5): a box and its score.
        annotated: For each picture (N, 4).
        ignored: For each picture (N,), bool.

    Returns:
        `AP`, `AP50`, `AP75` and `AR` (of 100 detections), 0..1; -1 where there is nobody to find.
    """
    from faster_coco_eval import COCO, COCOeval_faster

    annotations = [
        {
            "image_id": picture + 1,
            "category_id": 1,
            "iscrowd": int(ignore),
            "bbox": [float(side) for side in box],
            "area": float(box[2] * box[3]),
        }
        for picture, (boxes, flags) in enumerate(zip(annotated, ignored, strict=True))
        for box, ignore in zip(boxes, flags, strict=True)
    ]
    dataset = {
        "info": {},
        "licenses": [],
        "images": [{"id": picture + 1} for picture in range(len(annotated))],
        "annotations": [{"id": number + 1, **annotation} for number, annotation in enumerate(annotations)],
        "categories": [{"id": 1, "name": "person"}],
    }
    detections = [
        {"image_id": picture + 1, "category_id": 1, "bbox": row[:4].tolist(), "score": float(row[4])}
        for picture, rows in enumerate(found)
        for row in np.asarray(rows, np.float64)
    ]
    if not detections:
        nothing = 0.0 if any(not flag for flags in ignored for flag in flags) else -1.0
        return dict.fromkeys(("AP", "AP50", "AP75", "AR"), nothing)
    with contextlib.redirect_stdout(io.StringIO()):  # the library reports on standard output
        truth = COCO(dataset)
        evaluation = COCOeval_faster(truth, truth.loadRes(detections), iouType="bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = np.asarray(evaluation.stats, np.float64)
    return {"AP": float(figures[0]), "AP50": float(figures[1]), "AP75": float(figures[2]), "AR": float(figures[8])}


def crowd_figures(
    found: Sequence[np.ndarray],
    annotated: Sequence[np.ndarray],
    ignored: Sequence[np.ndarray],
    sizes: Sequence[tuple[float, float]],
    iou_threshold: float = 0.5,
    num_people: int | None = None,
) -> dict[str, float]:
    """The figures of CrowdHuman as released, with its Jaccard index divided by the number of pictures at hand.

    Args:
        found: For each picture (D, 5): a box and its score.
        annotated: For each picture (N, 4), whole people.
        ignored: For each picture (N,), bool.
        sizes: For each picture (width, height); boxes are clipped to it.
        iou_threshold: What the overlap of a hit has to exceed.
        iou_threshold: What the overlap of a hit has to exceed, and so the share of a detection in somebody to ignore.
        num_people: How many there are to find; None: those who are not ignored.

    Returns:
        `AP`, the area under the curve of precision over recall from the first detection on; `MR`, the logarithmic
        mean of the miss rate at 0.01 to 1 false alarms per picture; `recall`; `JI`, the best Jaccard index over score
        thresholds. Without a detection AP, recall and JI are 0 and MR is 1; without anybody to find all are NaN.
    """
    hits, scores, people = [], [], 0
    jaccard = np.zeros(len(_JACCARD_SCORES))
    for detections, boxes, flags, (width, height) in zip(found, annotated, ignored, sizes, strict=True):
        detections = np.asarray(detections, np.float64).reshape(-1, 5)
        flags = np.asarray(flags, bool)
        people += int((~flags).sum())
        detections = detections[np.float32(detections[:, 4]) >= np.float32(SCORE_THRESHOLD)]
        detections = detections[np.argsort(-detections[:, 4], kind="stable")]
        places = _corners(detections[:, :4], width, height)
        truth = _corners(np.asarray(boxes, np.float64).reshape(-1, 4), width, height)
        hit, counted = _match(places, truth[~flags], truth[flags], iou_threshold)
        hits.append(hit[counted])
        scores.append(detections[counted, 4])
        if len(detections):
            jaccard += [
                _jaccard(places[detections[:, 4] > least], truth[~flags], truth[flags]) for least in _JACCARD_SCORES
            ]
    people = people if num_people is None else num_people
    if not people:
        return dict.fromkeys(("AP", "MR", "recall", "JI"), float("nan"))
    ranked, all_scores = np.concatenate(hits), np.concatenate(scores)
    if not len(ranked):
        return {"AP": 0.0, "MR": 1.0, "recall": 0.0, "JI": 0.0}
    ranked = ranked[np.argsort(-all_scores, kind="stable")]
    right, wrong = np.cumsum(ranked), np.cumsum(~ranked)
    recall, precision = right / people, right / (right + wrong)
    return {
        "AP": float(((precision[1:] + precision[:-1]) / 2 * np.diff(recall)).sum()),
        "MR": _miss_rate(recall, wrong / len(found)),
        "recall": float(recall[-1]),
        "JI": float(jaccard.max() / len(found)),
    }


def _miss_rate(recall: np.ndarray, alarms: np.ndarray) -> float:
    """Geometric mean of the miss rate at the first points that reach each rate of false alarms."""
    places = [min(int(np.searchsorted(alarms, rate)), len(alarms) - 1) for rate in FALSE_ALARMS]
    missed = 1 - recall[places]
    with np.errstate(divide="ignore"):
        return float(np.exp(np.log(missed).mean()))


def _corners(boxes: np.ndarray, width: float, height: float) -> np.ndarray:
    """Boxes as corners, clipped as released: the upper left one stays inside the last pixel."""
    low = np.clip(boxes[:, :2], 0, [width - 1, height - 1])
    high = np.clip(boxes[:, :2] + boxes[:, 2:], 0, [width, height])
    return np.concatenate([low, high], axis=1)


def _overlaps(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU of two lists of boxes, and the share of each of the first that lies in each of the second: (N, M) both."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    area, other = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=-1) for boxes in (first, second))
    return shared / (area[:, None] + other[None] - shared + _EPS), shared / (area[:, None] + _EPS)


def _match(
    places: np.ndarray, people: np.ndarray, regions: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which detections, best first, are hits, and which count at all: two arrays (D,) of bool."""
    iou, _ = _overlaps(places, people)
    _, inside = _overlaps(places, regions)
    hit, counted = np.zeros(len(places), bool), np.ones(len(places), bool)
    for row in range(len(places)):
        best = int(iou[row].argmax()) if len(people) else -1
        if best >= 0 and iou[row, best] > threshold:
            hit[row] = True
            iou[:, best] = 0
        else:
            counted[row] = not (inside[row] > threshold).any()
    return hit, counted


def _jaccard(places: np.ndarray, people: np.ndarray, regions: np.ndarray) -> float:
    """Pairs of one detection and one person over all there are of both, without those in regions to ignore."""
    from scipy.optimize import linear_sum_assignment

    iou, _ = _overlaps(places, people)
    iou = np.where(iou >= 0.5, iou, 0.0)
    rows, columns = linear_sum_assignment(-iou)
    paired = iou[rows, columns] > 0
    counts = []
    for boxes, taken in ((places, rows[paired]), (people, columns[paired])):
        alone = np.setdiff1d(np.arange(len(boxes)), taken)
        inside = (_overlaps(boxes[alone], regions)[1] > 0.5).any(axis=1)
        counts.append(len(boxes) - int(inside.sum()))
    pairs = int(paired.sum())
    return pairs / (sum(counts) - pairs + _EPS)


__all__ = ["FALSE_ALARMS", "SCORE_THRESHOLD", "crowd_figures", "detection_average_precision"]
