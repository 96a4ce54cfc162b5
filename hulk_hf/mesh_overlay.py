# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Bodies that `human-mesh` found, drawn over their picture without OpenGL, and written as files of other programs.

Drawing needs numba and writing needs trimesh, both in the extra `viz`.
"""

from __future__ import annotations

import colorsys
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MESH_FORMATS = (".glb", ".obj", ".ply", ".stl")
"""What meshes can be written as, by the ending of the file."""

_SUPERSAMPLING, _LARGEST_FINE = 3, 6_000_000
# From the surface to the light, and to the one that softens shadows: x to the right, y down, z away from the camera.
_KEY_LIGHT, _FILL_LIGHT = np.array([-0.45, -0.65, -0.75]), np.array([0.9, -0.1, -0.45])
_AMBIENT, _KEY, _FILL, _SHINE, _SHININESS = 0.24, 0.66, 0.16, 0.14, 20
# How far the camera is thought to be, for who stands before whom: a picture this many sides of it away.
_FOCAL_SIDES, _NEAREST = 1.2, 0.2
# A step in depth of so many metres is drawn as a contour, by so much darker.
_CONTOUR_STEP, _CONTOUR_SHADE = 0.05, 0.5
_SPACING = 1.2


def overlay_meshes(
    image: Image.Image,
    meshes: Sequence[Any],
    factor: float = 1.0,
    opacity: float = 0.9,
    colours: Sequence[str] | None = None,
) -> Image.Image:
    """Draw bodies over a copy of the picture they were found in.

    Whose camera says that a metre is more pixels is taken to stand nearer, and hides the others: bodies of equal
    height in truth, which children are not.

    Args:
        image: The picture.
        meshes: Records of the pipeline `human-mesh`, or `hulk_hf.results.Mesh`: `vertices`, `faces` and `camera` are
            read. Of a body without faces the vertices are drawn as dots.
        factor: By how much `image` is larger than the picture that the results belong to.
        opacity: Of the bodies, 0 to 1.
        colours: `#rrggbb` for each body; None: a different one for each.

    Returns:
        A new RGB picture.

    Raises:
        ImportError: numba is missing.
        ValueError: An option out of range, or a mesh that lacks something.
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity: expected 0 to 1, got {opacity}")
    if not factor > 0:
        raise ValueError(f"factor: expected a positive number, got {factor}")
    colours = [mesh_colour(index) for index in range(len(meshes))] if colours is None else list(colours)
    if len(colours) != len(meshes):
        raise ValueError(f"colours: expected one per mesh, {len(meshes)}, got {len(colours)}")
    picture = image.convert("RGB")
    bodies = [_placed(mesh, factor, max(picture.size) / factor) for mesh in meshes]
    for body, colour in zip(bodies, colours, strict=True):
        body["colour"] = _numbers(colour)
    surfaces = [body for body in bodies if body["faces"] is not None]
    dots = [body for body in bodies if body["faces"] is None]
    canvas = np.asarray(picture, np.float32).copy()
    if surfaces:
        _draw_surfaces(canvas, surfaces, opacity)
    for body in dots:
        _draw_dots(canvas, body, opacity)
    return Image.fromarray(canvas.round().astype(np.uint8))


def mesh_colour(number: int) -> str:
    """The colour of a body as `#rrggbb`, another for each number."""
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb((0.58 + number * 0.381966) % 1.0, 0.3, 0.95))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _numbers(colour: str) -> np.ndarray:
    try:
        return np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)], np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError(f"colours: expected colours as '#rrggbb', got {colour!r}") from error


def _part(mesh: Any, name: str) -> Any:
    value = mesh.get(name) if isinstance(mesh, Mapping) else getattr(mesh, name, None)
    if value is None and name != "faces":
        raise ValueError(f"meshes: expected records of human-mesh with {name!r}, got {type(mesh).__name__} without")
    return value


def _placed(mesh: Any, factor: float, longest_side: float) -> dict[str, Any]:
    """Where a body lies in the drawn picture: `pixels` (V, 2), pixel (0, 0) being centred at (0.5, 0.5), `depths` (V,)
    in metres, `faces` and `vertices`."""
    camera, faces = _part(mesh, "camera"), _part(mesh, "faces")
    vertices = np.asarray(_part(mesh, "vertices"), np.float32)
    _check_mesh(vertices, faces)
    missing = [name for name in ("pixels_per_metre", "x", "y") if name not in camera]
    if missing:
        raise ValueError(f"meshes: expected a camera with pixels_per_metre, x and y, got one without {missing}")
    scale = float(camera["pixels_per_metre"])
    pixels = (vertices[:, :2] * scale + np.array([camera["x"], camera["y"]]) + 0.5) * factor
    distance = _FOCAL_SIDES * longest_side / max(abs(scale), 1e-6)
    depths = vertices[:, 2] + max(distance, _NEAREST - vertices[:, 2].min())
    return {
        "pixels": pixels.astype(np.float32),
        "depths": depths.astype(np.float32),
        "faces": None if faces is None else np.asarray(faces, np.int32),
        "vertices": vertices,
        "scale": abs(scale) * factor,
    }


def _check_mesh(vertices: np.ndarray, faces: Any) -> None:
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not len(vertices) or not np.isfinite(vertices).all():
        raise ValueError(f"vertices: expected finite numbers of shape (V, 3), got {vertices.shape}")
    if faces is None:
        return
    faces = np.asarray(faces)
    whole = faces.ndim == 2 and faces.shape[1] == 3 and faces.dtype.kind in "iu"
    if not whole or (faces.size and not (0 <= faces.min() and faces.max() < len(vertices))):
        raise ValueError(
            f"faces: expected whole numbers of shape (F, 3) below {len(vertices)}, got {faces.dtype} {faces.shape}"
        )


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals of vertices, those of their triangles weighted by area; outwards if the surface is closed.

    Args:
        vertices: Shape (V, 3).
        faces: Shape (F, 3).

    Returns:
        float32 (V, 3); zeros for a vertex without a triangle.
    """
    corners = vertices.astype(np.float64)[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outwards = 1.0 if (corners[:, 0] * across).sum() >= 0 else -1.0  # six times the volume, with its sign
    normals = np.zeros((len(vertices), 3))
    for corner in range(3):
        np.add.at(normals, faces[:, corner], across)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return (outwards * normals / np.maximum(lengths, 1e-12)).astype(np.float32)


def _draw_surfaces(canvas: np.ndarray, bodies: Sequence[dict[str, Any]], opacity: float) -> None:
    """Draw triangles into a picture (H, W, 3), in place; all bodies into one z-buffer."""
    try:
        from hulk_hf.synthetic.rasteriser import rasterise
    except ImportError as error:
        raise ImportError("drawing meshes needs numba: pip install 'hulk-hf[viz]'") from error

    height, width = canvas.shape[:2]
    pixels = np.concatenate([body["pixels"] for body in bodies])
    low = np.maximum(np.floor(pixels.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(pixels.max(axis=0)), [width, height]).astype(int)
    if (high <= low).any():
        return
    area = int(np.prod(high - low))
    finer = next(n for n in range(_SUPERSAMPLING, 0, -1) if n == 1 or n * n * area <= _LARGEST_FINE)
    fine = (int(high[1] - low[1]) * finer, int(high[0] - low[0]) * finer)
    nearness, face_ids = np.zeros(fine, np.float32), np.full(fine, -1, np.int32)
    weights = np.empty((*fine, 2), np.float32)
    starts = np.cumsum([0, *(len(body["pixels"]) for body in bodies)])
    faces = np.concatenate([body["faces"] + start for body, start in zip(bodies, starts, strict=False)])
    depths = np.concatenate([body["depths"] for body in bodies])
    pixels = ((pixels - low) * finer).astype(np.float32)
    everything, both_sides = np.ones(len(pixels), np.float32), np.zeros(len(faces), bool)
    rasterise(pixels, depths, faces.astype(np.int32), both_sides, everything, nearness, face_ids, weights)

    normals = np.concatenate([vertex_normals(body["vertices"], body["faces"]) for body in bodies])
    albedo = np.concatenate([np.tile(body["colour"], (len(body["faces"]), 1)) for body in bodies])
    seen = face_ids >= 0
    hit, first = face_ids[seen], weights[seen]
    shares = np.concatenate([first, 1 - first.sum(axis=1, keepdims=True)], axis=1)
    normal = (normals[faces[hit]] * shares[..., None]).sum(axis=1)
    colour = np.zeros((*fine, 3), np.float32)
    colour[seen] = _shade(normal, albedo[hit])
    colour[_contours(nearness)] *= _CONTOUR_SHADE

    def smaller(values: np.ndarray) -> np.ndarray:
        blocks = values.reshape(fine[0] // finer, finer, fine[1] // finer, finer, -1)
        return blocks.mean(axis=(1, 3))

    alpha = smaller(seen.astype(np.float32))
    window = canvas[low[1] : high[1], low[0] : high[0]]
    # Colours of pixels that are covered in part are already lighter by that part.
    window *= 1 - opacity * alpha
    window += opacity * smaller(colour)


def _contours(nearness: np.ndarray) -> np.ndarray:
    """Where something stands behind the pixel beside it, (H, W): the farther side of a step in depth."""
    depths = np.where(nearness > 0, 1 / np.maximum(nearness, 1e-6), 0)  # nothing is nearer than the background
    found = np.zeros(nearness.shape, bool)
    for axis in (0, 1):
        steps = np.diff(depths, axis=axis)
        both = np.minimum(*(np.delete(depths, end, axis=axis) for end in (0, -1))) > 0
        before, after = ((slice(None, -1), slice(None)), (slice(1, None), slice(None)))
        if axis:
            before, after = before[::-1], after[::-1]
        found[before] |= both & (steps < -_CONTOUR_STEP)
        found[after] |= both & (steps > _CONTOUR_STEP)
    return found


def _shade(normals: np.ndarray, albedo: np.ndarray) -> np.ndarray:
    """Colours (N, 3) of surfaces, 0 to 255: a light from above on the left, a weaker one from the right, and shine."""
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    normals = np.where(normals[:, 2:] > 0, -normals, normals)  # what is seen faces the camera
    key, fill = (light / np.linalg.norm(light) for light in (_KEY_LIGHT, _FILL_LIGHT))
    halfway = key + np.array([0.0, 0.0, -1.0])
    halfway /= np.linalg.norm(halfway)
    light = (
        _AMBIENT + _KEY * np.clip((normals @ key + 0.15) / 1.15, 0, None) + _FILL * np.clip(normals @ fill, 0, None)
    )
    shine = _SHINE * np.clip(normals @ halfway, 0, None) ** _SHININESS
    # Grazing surfaces darken a little, which sets limbs off from the trunk behind them.
    edge = 0.7 + 0.3 * np.clip(-normals[:, 2] / 0.45, 0, 1)
    return np.clip(albedo * (light * edge)[:, None] + 255 * shine[:, None], 0, 255).astype(np.float32)


def _draw_dots(canvas: np.ndarray, body: dict[str, Any], opacity: float) -> None:
    height, width = canvas.shape[:2]
    places = np.floor(body["pixels"]).astype(int)
    inside = ((places >= 0) & (places < [width, height])).all(axis=1)
    x, y = np.unique(places[inside], axis=0).reshape(-1, 2).T
    canvas[y, x] = (1 - opacity) * canvas[y, x] + opacity * body["colour"]


# Files --------------------------------------------------------------------------------------------------------------


def mesh_to_trimesh(vertices: np.ndarray, faces: np.ndarray, colour: str = "#b0c4de") -> Any:
    """A body as a `trimesh.Trimesh`, in the axes of such files: x to the right, y up, z towards the viewer.

    Args:
        vertices: Shape (V, 3), metres; x to the right, y down, z away, as all results here.
        faces: Shape (F, 3).
        colour: Of its surface, `#rrggbb`.

    Raises:
        ImportError: trimesh is missing.
        ValueError: Vertices or faces of another form.
    """
    try:
        import trimesh
    except ImportError as error:
        raise ImportError("writing meshes needs trimesh: pip install 'hulk-hf[viz]'") from error

    vertices = np.asarray(vertices, np.float32)
    if faces is None:
        raise ValueError("faces: expected triangles, got None: this body model has none")
    _check_mesh(vertices, faces)
    # Half a turn about x: no mirror image, so triangles keep their outer side.
    upright = vertices * np.array([1, -1, -1], np.float32)
    mesh = trimesh.Trimesh(upright, np.asarray(faces, np.int64), process=False)
    mesh.visual.vertex_colors = np.tile(np.append(_numbers(colour), 255).astype(np.uint8), (len(vertices), 1))
    return mesh


def save_mesh(
    path: str | os.PathLike[str], vertices: np.ndarray | Sequence[np.ndarray], faces: np.ndarray | Sequence[np.ndarray]
) -> Path:
    """Write one body or several as GLB, OBJ, PLY or STL.

    Several are put side by side, 1.2 metres apart, since how far they are from each other is not known.

    Args:
        path: The file; its ending is the format. Only `.glb` keeps several bodies apart.
        vertices: Shape (V, 3), or a list of such.
        faces: Shape (F, 3), or a list of such.

    Returns:
        The path.

    Raises:
        ImportError: trimesh is missing.
        ValueError: Another ending, or vertices or faces of another form.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in MESH_FORMATS:
        raise ValueError(f"path: expected an ending among {list(MESH_FORMATS)}, got {path.name!r}")
    several = isinstance(vertices, list | tuple) and np.ndim(vertices[0] if vertices else 0) == 2
    bodies = list(zip(vertices, faces, strict=True)) if several else [(vertices, faces)]
    meshes = [mesh_to_trimesh(*body, colour=mesh_colour(index)) for index, body in enumerate(bodies)]
    import trimesh

    for index, mesh in enumerate(meshes):
        mesh.apply_translation([(index - (len(meshes) - 1) / 2) * _SPACING, 0, 0])
    if len(meshes) == 1:
        written: Any = meshes[0]
    elif kind == ".glb":
        written = trimesh.Scene({f"person {index}": mesh for index, mesh in enumerate(meshes)})
    else:
        written = trimesh.util.concatenate(meshes)
    content = written.export(file_type=kind[1:])
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


__all__ = ["MESH_FORMATS", "mesh_colour", "mesh_to_trimesh", "overlay_meshes", "save_mesh", "vertex_normals"]
