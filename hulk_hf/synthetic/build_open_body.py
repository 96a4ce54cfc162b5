# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Builds `data/open_body.npz`, the coarse mesh that the task `mesh-open` recovers, from `data/body.npz`.

Run it once, by a maintainer; it takes a minute and gives the same file every time:

    python -m hulk_hf.synthetic.build_open_body

The skin of the compact body is made coarser by collapsing edges onto one of their ends, always those next that change
the surface least (Garland and Heckbert, 1997), and in pairs, so that left and right stay mirror images. What is left
is a choice of the body's vertices, so every posed and shaped body has its coarse mesh for free. Joints are sums of the
vertices around them, fitted to the bones of bodies in many shapes and poses.
"""

from __future__ import annotations

import argparse
import heapq
from pathlib import Path

import numpy as np

from .body import Body, forward_kinematics, load_body, skin
from .open_body import JOINT_BONES, OPEN_BODY_PATH, OPEN_JOINTS
from .poses import rotation, sample_pose

_FLATTEST = 0.2  # smallest cosine between the normals of a triangle before and after a collapse
_NEAREST = 24  # coarse vertices that a joint may be a sum of


def template_vertices(body: Body) -> np.ndarray:
    """The mean body with straight arms, (V, 3): as in its rest pose, but no hand is in front of the body."""
    local = np.tile(np.eye(3), (len(body.bone_names), 1, 1))
    for side in "LR":
        shoulder, elbow, wrist = (
            body.canonical_head(f"{bone}.{side}") for bone in ("upperarm01", "lowerarm01", "wrist")
        )
        bent, straight = (part / np.linalg.norm(part) for part in (wrist - elbow, elbow - shoulder))
        axis = np.cross(bent, straight)
        angle = np.arctan2(np.linalg.norm(axis), bent @ straight)
        local[body.bone_index[f"lowerarm01.{side}"]] = rotation(axis / np.linalg.norm(axis), angle)
    heads = body.mean[body.num_vertices :]
    rotations, translations, _ = forward_kinematics(local, heads.astype(np.float64), body.bone_parents)
    return skin(body.canonical, body.skin_weights, body.skin_bones, rotations, translations)


def largest_part(faces: np.ndarray) -> np.ndarray:
    """The triangles of the connected part with the most vertices: the skin, without what lies in mouth and eyes."""
    label = np.arange(faces.max() + 1)
    while True:
        lowest = label[faces].min(axis=1)
        before = label.copy()
        np.minimum.at(label, faces.ravel(), np.repeat(lowest, 3))
        if np.array_equal(before, label):
            break
    used = np.unique(faces)
    labels, counts = np.unique(label[used], return_counts=True)
    return faces[label[faces[:, 0]] == labels[counts.argmax()]]


def mirror_images(points: np.ndarray, used: np.ndarray) -> np.ndarray:
    """For every vertex that is used the one on the other side, itself on the middle line; (V,), -1 elsewhere."""
    mirror = np.full(len(points), -1)
    chosen = points[used]
    for index in used:
        distances = np.abs(chosen - points[index] * np.array([-1, 1, 1])).sum(axis=1)
        mirror[index] = used[distances.argmin()]
    if not np.array_equal(mirror[mirror[used]], used):
        raise ValueError("points: the mesh is not symmetric")
    return mirror


class Decimation:
    """A closed mesh under half-edge collapses: vertices disappear, none moves."""

    def __init__(self, points: np.ndarray, faces: np.ndarray):
        self.points = points.astype(np.float64)
        self.faces = {number: tuple(map(int, face)) for number, face in enumerate(faces)}
        self.of_vertex: dict[int, set[int]] = {int(vertex): set() for vertex in np.unique(faces)}
        self.quadrics = {vertex: np.zeros((4, 4)) for vertex in self.of_vertex}
        for number, face in self.faces.items():
            normal = self._normal(face)
            area = np.linalg.norm(normal)
            plane = np.append(normal, -normal @ self.points[face[0]]) / max(area, 1e-12)
            for vertex in face:
                self.of_vertex[vertex].add(number)
                self.quadrics[vertex] += area * np.outer(plane, plane)

    def _normal(self, face: tuple[int, int, int]) -> np.ndarray:
        a, b, c = self.points[list(face)]
        return np.cross(b - a, c - a)

    def neighbours(self, vertex: int) -> set[int]:
        """Vertices that share an edge with this one."""
        return {other for number in self.of_vertex[vertex] for other in self.faces[number]} - {vertex}

    def cost(self, gone: int, kept: int) -> float:
        """How far the surface moves if `gone` is drawn onto `kept`: squared distances weighted by area, in m^4."""
        place = np.append(self.points[kept], 1.0)
        flat = place @ (self.quadrics[gone] + self.quadrics[kept]) @ place
        # On flat parts short edges go first, which keeps the mesh even.
        return flat + 1e-5 * ((self.points[gone] - self.points[kept]) ** 2).sum() ** 2

    def collapse(self, gone: int, kept: int) -> list[tuple[int, tuple[int, int, int]]] | None:
        """Draw one end of an edge onto the other.

        Returns:
            The triangles that changed, as they were (for `undo`); None where the mesh would fold or tear.
        """
        if kept not in self.neighbours(gone) or len(self.neighbours(gone) & self.neighbours(kept)) != 2:
            return None
        changed = [(number, self.faces[number]) for number in sorted(self.of_vertex[gone])]
        moved = {}
        for number, face in changed:
            if kept in face:
                continue
            after = tuple(kept if vertex == gone else vertex for vertex in face)
            before_normal, normal = self._normal(face), self._normal(after)
            if before_normal @ normal <= _FLATTEST * np.linalg.norm(before_normal) * np.linalg.norm(normal):
                return None
            moved[number] = after
        for number, face in changed:
            for vertex in face:
                self.of_vertex[vertex].discard(number)
            if number in moved:
                self.faces[number] = moved[number]
                for vertex in moved[number]:
                    self.of_vertex[vertex].add(number)
            else:
                del self.faces[number]
        self.quadrics[kept] = self.quadrics[kept] + self.quadrics[gone]
        return changed

    def undo(self, gone: int, kept: int, changed: list[tuple[int, tuple[int, int, int]]]) -> None:
        """Take a collapse back."""
        for number, face in changed:
            for vertex in self.faces.get(number, ()):
                self.of_vertex[vertex].discard(number)
            self.faces[number] = face
            for vertex in face:
                self.of_vertex[vertex].add(number)
        self.quadrics[kept] = self.quadrics[kept] - self.quadrics[gone]


def decimate(points: np.ndarray, faces: np.ndarray, target: int) -> np.ndarray:
    """Collapse edges, each together with its mirror image, until `target` vertices are left.

    Args:
        points: Shape (V, 3), symmetric in x.
        faces: Shape (F, 3), a closed mesh.
        target: How many vertices to keep.

    Returns:
        Triangles (F', 3) between the vertices that are left.
    """
    mesh = Decimation(points, faces)
    mirror = mirror_images(points, np.unique(faces))
    heap = [(mesh.cost(a, b), a, b) for a in mesh.of_vertex for b in mesh.neighbours(a)]
    heapq.heapify(heap)
    left = len(mesh.of_vertex)
    while left > target:
        if not heap:
            raise ValueError(f"target: no edge can be collapsed beyond {left} vertices, expected {target}")
        cost, gone, kept = heapq.heappop(heap)
        if not mesh.of_vertex[gone] or not mesh.of_vertex[kept] or cost < mesh.cost(gone, kept) * (1 - 1e-9):
            continue  # an end has gone, or has become dearer since; then it is in the heap once more
        other, other_kept = int(mirror[gone]), int(mirror[kept])
        if (gone == other) != (gone == other and kept == other_kept) or other == kept:
            continue
        first = mesh.collapse(gone, kept)
        if first is None:
            continue
        if other != gone and mesh.collapse(other, other_kept) is None:
            mesh.undo(gone, kept, first)
            continue
        left -= 1 if other == gone else 2
        for end in {kept, other_kept}:
            for neighbour in sorted(mesh.neighbours(end)):
                heapq.heappush(heap, (mesh.cost(neighbour, end), neighbour, end))
                heapq.heappush(heap, (mesh.cost(end, neighbour), end, neighbour))
    return np.array([mesh.faces[number] for number in sorted(mesh.faces)])


def to_simplex(weights: np.ndarray) -> np.ndarray:
    """The nearest point with no negative entry and a sum of 1."""
    ordered = np.sort(weights)[::-1]
    excess = (np.cumsum(ordered) - 1) / np.arange(1, len(weights) + 1)
    return np.maximum(weights - excess[ordered > excess][-1], 0)


def fit_joint(vertices: np.ndarray, joint: np.ndarray, steps: int = 3000) -> np.ndarray:
    """Weights (K,) of vertices whose sum is a joint: none negative, together 1, least squares.

    Args:
        vertices: Shape (S, K, 3), the same vertices of S bodies.
        joint: Shape (S, 3).
        steps: Steps of accelerated projected gradient descent.
    """
    matrix = (vertices - joint[:, None]).transpose(0, 2, 1).reshape(-1, vertices.shape[1])
    gram = matrix.T @ matrix
    size = 1 / np.linalg.eigvalsh(gram)[-1]
    weights = ahead = np.full(vertices.shape[1], 1 / vertices.shape[1])
    for step in range(steps):
        new = to_simplex(ahead - size * gram @ ahead)
        ahead = new + step / (step + 3) * (new - weights)
        weights = new
    return weights


def sample_bodies(body: Body, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Posed vertices (S, V, 3) and joints (S, J, 3) of bodies of many shapes in many poses."""
    rng = np.random.default_rng(seed)
    crown = body.mesh_vertices["body"][body.canonical[body.mesh_vertices["body"], 2].argmax()]
    vertices, joints = [], []
    for coefficients in body.coefficients[rng.choice(len(body.coefficients), count, replace=False)]:
        rest, heads = body.shape(coefficients)
        pose = sample_pose(rng, body, heads)
        rotations, translations, posed_heads = forward_kinematics(pose.local, heads, body.bone_parents)
        posed = skin(rest, body.skin_weights, body.skin_bones, rotations, translations)
        found = {bone: posed_heads[body.bone_index[bone]] for bone in body.bone_names}
        # The middle of the skull: half way from where it sits to its crown.
        found["head"] = (found["head"] + posed[crown]) / 2
        vertices.append(posed)
        joints.append([found[JOINT_BONES[name]] for name in OPEN_JOINTS])
    return np.array(vertices), np.array(joints)


def build(path: Path, target: int, bodies: int, seed: int) -> None:
    """Builds the asset and writes it to `path`, reporting the error of its joints on bodies it was not fitted to."""
    body = load_body()
    template = template_vertices(body)
    faces = decimate(template, largest_part(body.faces[body.mesh_slices["body"]]), target)
    kept = np.unique(faces)
    vertices, joints = sample_bodies(body, 2 * bodies, seed)
    coarse, weights = vertices[:, kept].astype(np.float64), np.zeros((len(OPEN_JOINTS), len(kept)))
    for row in range(len(OPEN_JOINTS)):
        nearest = np.argsort(np.linalg.norm(coarse - joints[:, row, None], axis=-1).mean(axis=0))[:_NEAREST]
        weights[row, nearest] = fit_joint(coarse[:bodies, nearest], joints[:bodies, row])
    weights[weights < 1e-3] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    error = np.linalg.norm(weights @ coarse[bodies:] - joints[bodies:], axis=-1).mean(axis=0) * 1000
    for name, millimetres in zip(OPEN_JOINTS, error, strict=True):
        print(f"{name:15s} {millimetres:5.1f} mm")
    np.savez_compressed(
        path,
        vertices=kept.astype(np.uint16),
        faces=np.searchsorted(kept, faces).astype(np.uint16),
        template=template[kept].astype(np.float32),
        regressor=weights.astype(np.float32),
    )
    print(f"{path}: {len(kept)} vertices, {len(faces)} triangles, {path.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vertices", type=int, default=500, help="how many vertices to keep")
    parser.add_argument("--bodies", type=int, default=300, help="how many bodies to fit the joints to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=OPEN_BODY_PATH)
    arguments = parser.parse_args()
    build(arguments.output, arguments.vertices, arguments.bodies, arguments.seed)


if __name__ == "__main__":
    main()
