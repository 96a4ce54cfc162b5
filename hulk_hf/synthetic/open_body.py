# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The open body of the task `mesh-open`: a coarse mesh of the synthetic people, free to store and to pass on.

>>> model.set_body("mesh-open", open_body())  # doctest: +SKIP

Its tables come from `data/open_body.npz`, which `build_open_body` makes from the compact CC0 body; see
`data/NOTICE.md`. It is not SMPL and not compatible with weights made for SMPL.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch

from hulk_hf.modeling.body_hulk import HulkBody, body_cells

OPEN_BODY_PATH = Path(__file__).parent / "data" / "open_body.npz"
OPEN_BODY_LICENSE = "CC0 1.0"

# Joint -> the bone of the compact body that starts there, in the order of the labels of the task.
JOINT_BONES = {
    "right ankle": "foot.R",
    "right knee": "lowerleg01.R",
    "right hip": "upperleg01.R",
    "left hip": "upperleg01.L",
    "left knee": "lowerleg01.L",
    "left ankle": "foot.L",
    "right wrist": "wrist.R",
    "right elbow": "lowerarm01.R",
    "right shoulder": "upperarm01.R",
    "left shoulder": "upperarm01.L",
    "left elbow": "lowerarm01.L",
    "left wrist": "wrist.L",
    "neck": "neck01",
    "head": "head",
}
OPEN_JOINTS = tuple(JOINT_BONES)


@cache
def _tables() -> dict[str, np.ndarray]:
    with np.load(OPEN_BODY_PATH) as stored:
        return dict(stored)


def coarse_vertices(vertices: np.ndarray) -> np.ndarray:
    """The coarse mesh of a body.

    Args:
        vertices: Shape (..., V, 3), vertices of the compact body in any shape, pose and frame.

    Returns:
        Shape (..., N, 3), in the same frame.
    """
    return vertices[..., _tables()["vertices"], :]


def open_body() -> HulkBody:
    """Build the tables of the open body: one level, its joints and, as a sum of the hips, its pelvis."""
    tables = _tables()
    faces = torch.from_numpy(tables["faces"].astype(np.int64))
    regressor = torch.from_numpy(tables["regressor"])
    hips = OPEN_JOINTS.index("right hip"), OPEN_JOINTS.index("left hip")
    regressor = torch.cat([regressor, regressor[list(hips)].mean(dim=0, keepdim=True)])
    # From the body's axes (its left, its back, up) to those of a picture that it looks out of.
    left, back, up = torch.from_numpy(tables["template"]).unbind(dim=1)
    template = torch.stack([left, -up, back], dim=1)
    joints = regressor @ template
    adjacency = torch.eye(len(template), dtype=torch.bool)
    for start, end in ((0, 1), (1, 2), (2, 0)):
        adjacency[faces[:, start], faces[:, end]] = adjacency[faces[:, end], faces[:, start]] = True
    flat, depth = body_cells(torch.cat([joints[:-1], template]) - joints[-1])
    return HulkBody(
        name="open body",
        license=OPEN_BODY_LICENSE,
        restricted=False,
        vertices=(len(template),),
        flat=flat,
        depth=depth,
        adjacency=adjacency,
        regressor=regressor,
        joints=tuple(range(len(OPEN_JOINTS))),
        pelvis=len(OPEN_JOINTS),
        hips=hips,
        faces=(faces,),
    )


__all__ = ["JOINT_BONES", "OPEN_BODY_LICENSE", "OPEN_BODY_PATH", "OPEN_JOINTS", "coarse_vertices", "open_body"]
