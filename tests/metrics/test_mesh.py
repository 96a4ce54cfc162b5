# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Errors of joints and vertices, against known transforms and the recorded figures of the release."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hulk_hf.metrics.mesh import align_similarity, errors, mesh_figures


def rotations(random: np.random.Generator, count: int) -> np.ndarray:
    turned, _ = np.linalg.qr(random.standard_normal((count, 3, 3)))
    return turned * np.linalg.det(turned)[:, None, None]


def test_alignment_undoes_any_similarity_but_no_mirror():
    random = np.random.default_rng(0)
    points = random.standard_normal((20, 14, 3))
    moved = 1.7 * points @ rotations(random, 20) + random.standard_normal((20, 1, 3))
    assert mesh_figures(moved, points)["PA-MPJPE"] < 1e-9
    mirrored = points * [-1.0, 1.0, 1.0]
    assert errors(align_similarity(mirrored, points), points).min() > 0.1


def test_errors_are_measured_from_the_middle_of_the_hips():
    joints = np.zeros((1, 14, 3))
    moved = joints + [0.5, 0.0, 0.0]
    moved[0, 0, 1] += 0.14
    assert mesh_figures(moved, joints)["MPJPE"] == pytest.approx(10.0)  # 140 mm in one of 14 joints


@pytest.fixture(scope="module")
def recording(shared):
    return json.loads((shared / "golden" / "metrics" / "mesh_a.json").read_text(encoding="utf-8"))


def test_figures_are_those_of_the_release(recording):
    inputs, official = recording["inputs"], recording["official"]["all"]
    names = ("pred_3d_joints", "gt_3d_joints", "pred_vertices", "gt_vertices", "has_3d_joints", "has_smpl")
    figures = mesh_figures(*(np.array(inputs[name], np.float32) for name in names))
    for name, theirs in {"MPJPE": "@mPJPE", "PA-MPJPE": "@PAmPJPE", "MPVPE": "@mPVE"}.items():
        assert figures[name] == pytest.approx(official[theirs], abs=1e-3, rel=1e-5), name


def test_errors_of_each_sample_are_those_of_a_derivation_in_double_precision(recording):
    joints, truth = (np.array(recording["inputs"][name]) for name in ("pred_3d_joints", "gt_3d_joints"))
    aligned = errors(align_similarity(joints, truth), truth)
    np.testing.assert_allclose(aligned, recording["independent"]["pa_joint_error_m_double"], atol=1e-7)
