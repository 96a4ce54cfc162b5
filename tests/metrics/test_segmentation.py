# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Confusion matrix and IoU, against hand counts and the recorded figures of the release."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hulk_hf.metrics.segmentation import confusion_matrix, iou_per_label, mean_precision, segmentation_figures


def test_figures_of_a_small_map_by_hand():
    matrix = confusion_matrix(np.array([[0, 0, 1, 255]]), np.array([[0, 1, 1, 0]]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    figures = segmentation_figures(matrix)
    assert figures["mIoU"] == pytest.approx(0.5)  # 1/2 and 1/2; the third label does not occur
    assert figures["mACC"] == pytest.approx(0.75)
    assert figures["pACC"] == pytest.approx(2 / 3)


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="predicted: expected the shape"):
        confusion_matrix(np.zeros((2, 2)), np.zeros((2, 3)), 3)


@pytest.fixture(scope="module")
def recording(shared):
    return json.loads((shared / "golden" / "metrics" / "parsing_a.json").read_text(encoding="utf-8"))


def test_matrix_and_figures_are_those_of_the_release(recording):
    count = recording["inputs"]["num_classes"]
    matrix = np.zeros((count, count), np.int64)
    for image in recording["inputs"]["images"]:
        annotated = np.array(image["gt"])
        logits = torch.tensor(image["logits"])[None, :count]
        resized = torch.nn.functional.interpolate(logits, annotated.shape, mode="bilinear", align_corners=False)
        matrix += confusion_matrix(annotated, resized[0].argmax(dim=0).numpy(), count)
    assert matrix.tolist() == recording["official"]["confusion_matrix_rows_gt_columns_prediction"]
    official, independent = recording["official"]["results_percent"], recording["independent"]
    figures = segmentation_figures(matrix)
    assert 100 * figures["mIoU"] == pytest.approx(official["mIoU"], abs=1e-10)
    assert 100 * figures["pACC"] == pytest.approx(official["pACC"], abs=1e-10)
    recall = independent["mean_class_accuracy_recall_over_classes_in_gt"]
    assert 100 * figures["mACC"] == pytest.approx(recall, abs=1e-10)
    assert 100 * mean_precision(matrix) == pytest.approx(official["mACC"], abs=1e-10)
    expected = [np.nan if value == "NaN" else value for value in independent["IoU_per_class"]]
    np.testing.assert_allclose(100 * iou_per_label(matrix), expected, atol=1e-10)


def test_labels_outside_the_list_and_empty_maps_are_as_released(recording):
    case = recording["edge_cases"]["out_of_range"]
    matrix = confusion_matrix(np.array(case["gt"]), np.array(case["pred"]), case["num_classes"])
    assert matrix.tolist() == case["confusion_matrix"]
    assert np.isnan(segmentation_figures(np.zeros((3, 3), np.int64))["mIoU"])
