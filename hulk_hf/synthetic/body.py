# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The compact body: shapes, bones, skinning and keypoints, with nothing but numpy and numba.

Coordinates are metres with x to the *person's left*, y to the person's *back* and z up; a body in its rest pose looks
along -y and its pelvis is the origin. The *canonical* body is the mean body in its rest pose: every point of every
posed body has a place on it, which is how clothes are cut (see `wardrobe`).

This is the project's own body model, derived from CC0 data (see `data/NOTICE.md`). It is not SMPL.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numba
import numpy as np

ASSET_PATH = Path(__file__).parent / "data" / "body.npz"

COCO_KEYPOINTS = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)

REGIONS = (
    "torso",
    "neck",
    "head",
    "left_arm",
    "right_arm",
    "left_hand",
    "right_hand",
    "left_leg",
    "right_leg",
    "left_foot",
    "right_foot",
    "hair",
    "skirt",
    "eyes",
)
MESHES = ("body", "hair", "skirt", "l_eye", "r_eye")


def _region_of_bone(name: str) -> str:
    side = "left_" if name.endswith(".L") else "right_"
    if name.startswith(("finger", "metacarpal", "wrist")):
        return side + "hand"
    if name.startswith(("upperarm", "lowerarm", "shoulder")):
        return side + "arm"
    if name.startswith(("toe", "foot")):
        return side + "foot"
    if name.startswith(("upperleg", "lowerleg")):
        return side + "leg"
    if name.startswith(("head", "eye")):
        return "head"
    return "neck" if name.startswith("neck") else "torso"


@dataclass(frozen=True)
class Body:
    """The loaded asset. V vertices, B bones, K shape components, F triangles, N stored bodies.

    Attributes:
        mean: mean of vertices and bone heads, (V + B, 3).
        basis: shape components, (K, (V + B) * 3).
        coefficients: shape coefficients of calibrated bodies, (N, K).
        gender: 0 (male) to 1 (female) of the calibrated bodies, (N,).
        age: age parameter of the calibrated bodies, (N,); 1/3 is a child of about ten, 2/3 a young adult, 1 old.
        bone_names: names of the bones; `bone_parents` (B,) their parents, -1 for the root, always before the child.
        skin_weights: (V, 4) float32; `skin_bones` (V, 4) the bones they belong to.
        faces: (F, 3) int32 into the vertices, mesh by mesh in the order of `MESHES`.
        mesh_slices: where each mesh lies in `faces`.
        keypoint_starts: (17,) first entry of each keypoint in `keypoint_vertices` and `keypoint_weights`.
    """

    mean: np.ndarray
    basis: np.ndarray
    coefficients: np.ndarray
    gender: np.ndarray
    age: np.ndarray
    bone_names: tuple[str, ...]
    bone_parents: np.ndarray
    skin_weights: np.ndarray
    skin_bones: np.ndarray
    faces: np.ndarray
    mesh_slices: dict[str, slice]
    keypoint_starts: np.ndarray
    keypoint_vertices: np.ndarray
    keypoint_weights: np.ndarray

    @property
    def num_vertices(self) -> int:
        """Number of vertices of all meshes."""
        return len(self.skin_weights)

    @cached_property
    def canonical(self) -> np.ndarray:
        """Vertices of the mean body in its rest pose, (V, 3)."""
        return np.ascontiguousarray(self.mean[: self.num_vertices])

    @cached_property
    def bone_index(self) -> dict[str, int]:
        """Index of every bone by name."""
        return {name: index for index, name in enumerate(self.bone_names)}

    def canonical_head(self, bone: str) -> np.ndarray:
        """Where the bone starts in the canonical body, (3,)."""
        return self.mean[self.num_vertices + self.bone_index[bone]]

    @cached_property
    def regions(self) -> np.ndarray:
        """Region (index into `REGIONS`) of every vertex, (V,) uint8, by its strongest bone or its mesh."""
        of_bone = np.array([REGIONS.index(_region_of_bone(name)) for name in self.bone_names], np.uint8)
        regions = of_bone[self.skin_bones[np.arange(self.num_vertices), self.skin_weights.argmax(1)]]
        for mesh, region in (("hair", "hair"), ("skirt", "skirt"), ("l_eye", "eyes"), ("r_eye", "eyes")):
            regions[self.mesh_vertices[mesh]] = REGIONS.index(region)
        return regions

    @cached_property
    def mesh_vertices(self) -> dict[str, np.ndarray]:
        """The vertices that each mesh uses, by the names of `MESHES`."""
        return {mesh: np.unique(self.faces[rows]) for mesh, rows in self.mesh_slices.items()}

    @cached_property
    def along(self) -> np.ndarray:
        """Canonical `along` coordinate of every vertex in its own region, (V,) (see `region_axes`)."""
        forms = self.region_axes[self.regions]
        return (forms[:, :3] * self.canonical).sum(1) + forms[:, 3]

    @cached_property
    def face_regions(self) -> np.ndarray:
        """Region of every triangle, (F,) uint8: that of two of its corners, or of the last."""
        corners = self.regions[self.faces]
        return np.where(corners[:, 0] == corners[:, 1], corners[:, 0], corners[:, 2])

    @cached_property
    def region_axes(self) -> np.ndarray:
        """Affine forms of canonical points, (R, 4): `along = axes[r, :3] @ p + axes[r, 3]`.

        `along` runs from 0 to 1 over a limb: shoulder to wrist, hip to ankle, hips to neck; on head and hair from the
        eyes to the crown; on the skirt from the ankles' height (0) to the waist (1).
        """
        hips = (self.canonical_head("upperleg01.L") + self.canonical_head("upperleg01.R")) / 2
        neck = self.canonical_head("neck01")
        eyes = (self.canonical_head("eye.L") + self.canonical_head("eye.R")) / 2
        crown = np.array([0, eyes[1], self.canonical[self.mesh_vertices["body"], 2].max()])
        skirt = self.canonical[self.mesh_vertices["skirt"], 2]
        ends = {"torso": (hips, neck), "neck": (hips, neck), "head": (eyes, crown), "hair": (eyes, crown)}
        ends["eyes"] = ends["head"]
        ends["skirt"] = (np.array([0, 0, skirt.min()]), np.array([0, 0, skirt.max()]))
        for side, letter in (("left", "L"), ("right", "R")):
            arm = self.canonical_head(f"upperarm01.{letter}"), self.canonical_head(f"wrist.{letter}")
            leg = self.canonical_head(f"upperleg01.{letter}"), self.canonical_head(f"foot.{letter}")
            ends |= {f"{side}_arm": arm, f"{side}_hand": arm, f"{side}_leg": leg, f"{side}_foot": leg}
        forms = np.zeros((len(REGIONS), 4), np.float32)
        for row, name in enumerate(REGIONS):
            start, stop = ends[name]
            direction = (stop - start) / ((stop - start) @ (stop - start))
            forms[row] = (*direction, -direction @ start)
        return forms

    def shape(self, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rest vertices (..., V, 3) and bone heads (..., B, 3) in metres for shape `coefficients` (..., K)."""
        flat = self.mean.reshape(-1) + np.asarray(coefficients, np.float32) @ self.basis
        points = flat.reshape(*flat.shape[:-1], -1, 3)
        return points[..., : self.num_vertices, :], points[..., self.num_vertices :, :]

    def keypoints(self, vertices: np.ndarray) -> np.ndarray:
        """The 17 COCO keypoints (17, 3) of posed vertices (V, 3), in the order of `COCO_KEYPOINTS`."""
        weighted = vertices[self.keypoint_vertices] * self.keypoint_weights[:, None]
        return np.add.reduceat(weighted, self.keypoint_starts)


@cache
def load_body(path: Path = ASSET_PATH) -> Body:
    """Loads the body asset (once per process)."""
    with np.load(path) as stored:
        data = dict(stored)
    meshes = [data[f"faces_{name}"].astype(np.int32) for name in MESHES]
    stops = np.cumsum([0] + [len(mesh) for mesh in meshes])
    return Body(
        mean=data["mean"].reshape(-1, 3),
        basis=data["basis"] * data["basis_scale"][:, None],
        coefficients=data["coefficients"],
        gender=data["gender"].astype(np.float32),
        age=data["age"].astype(np.float32),
        bone_names=tuple(data["bone_names"].tolist()),
        bone_parents=data["bone_parents"].astype(np.int64),
        skin_weights=data["skin_weights"].astype(np.float32) / 255,
        skin_bones=data["skin_bones"].astype(np.int64),
        faces=np.concatenate(meshes),
        mesh_slices={name: slice(stops[i], stops[i + 1]) for i, name in enumerate(MESHES)},
        keypoint_starts=np.searchsorted(data["keypoint_rows"], np.arange(len(COCO_KEYPOINTS))),
        keypoint_vertices=data["keypoint_vertices"].astype(np.int64),
        keypoint_weights=data["keypoint_weights"],
    )


@numba.njit(cache=True)
def forward_kinematics(local, heads, parents):
    """Chains local rotations down the skeleton.

    Every bone's frame at rest is parallel to the body's axes, so the identity is the rest pose.

    Args:
        local: rotations relative to the parent, (B, 3, 3).
        heads: where the bones start at rest, (B, 3).
        parents: (B,), -1 for the root.

    Returns:
        Global rotations (B, 3, 3), translations (B, 3) such that a rest point p goes to `R @ p + t`, and posed heads
        (B, 3).
    """
    rotations = np.zeros((len(parents), 3, 3))
    posed = np.zeros((len(parents), 3))
    translations = np.zeros((len(parents), 3))
    for bone in range(len(parents)):
        parent = parents[bone]
        for i in range(3):
            for j in range(3):
                if parent < 0:
                    rotations[bone, i, j] = local[bone, i, j]
                else:
                    for k in range(3):
                        rotations[bone, i, j] += rotations[parent, i, k] * local[bone, k, j]
            if parent < 0:
                posed[bone, i] = heads[bone, i]
            else:
                posed[bone, i] = posed[parent, i]
                for k in range(3):
                    posed[bone, i] += rotations[parent, i, k] * (heads[bone, k] - heads[parent, k])
        for i in range(3):
            translations[bone, i] = posed[bone, i]
            for k in range(3):
                translations[bone, i] -= rotations[bone, i, k] * heads[bone, k]
    return rotations, translations, posed


@numba.njit(cache=True, fastmath=True)
def skin(vertices, weights, bones, rotations, translations):
    """Linear blend skinning: rest `vertices` (V, 3) moved by the weighted bones, (V, 3) float32."""
    posed = np.zeros((len(vertices), 3), np.float32)
    for v in range(len(vertices)):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        for slot in range(weights.shape[1]):
            weight = weights[v, slot]
            if weight == 0.0:
                continue
            bone = bones[v, slot]
            for i in range(3):
                moved = rotations[bone, i, 0] * x + rotations[bone, i, 1] * y + rotations[bone, i, 2] * z
                posed[v, i] += weight * (moved + translations[bone, i])
    return posed


@numba.njit(cache=True, fastmath=True)
def vertex_normals(vertices, faces):
    """Area-weighted unit normals (V, 3) float32 of the triangles `faces` (F, 3)."""
    normals = np.zeros((len(vertices), 3), np.float32)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for v in range(len(vertices)):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2) + 1e-12
        for i in range(3):
            normals[v, i] /= length
    return normals
