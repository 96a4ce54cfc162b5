# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Geometry of mesh recovery: box -> square -> crop, annotation -> target, and body -> places in the picture.

Conventions, the same everywhere in this file:

* Points are (x, y) in pixels, pixel centres on integers. Bodies are in metres: x to the right of the picture, y down,
  z away from the camera.
* A square is its centre and its side, in pixels of the picture. Annotations hold the side as `scale`, in units of 200
  pixels.
* Coordinates of the crop run from -1 to 1. Released targets are places in the crop, cut off to whole pixels, plus one:
  on the average half a pixel too much (spec 5.6, training.md 4.7). The way back takes that half pixel off again.
"""

from collections.abc import Sequence
from typing import Any

import torch

from .resizing_hulk import cut_box, resize_bilinear

PIXELS_PER_SCALE = 200.0
"""Pixels of the picture per unit of `scale`."""

# fmt: off
SUPERSET_JOINTS = (
    "right ankle", "right knee", "right hip", "left hip", "left knee", "left ankle", "right wrist", "right elbow",
    "right shoulder", "left shoulder", "left elbow", "left wrist", "neck", "top of head", "pelvis", "thorax", "spine",
    "jaw", "head", "nose", "left eye", "right eye", "left ear", "right ear",
)
# fmt: on
"""The 24 joints of released annotations (training.md 4.7)."""

TARGET_JOINTS = (*range(13), 18)
"""Those of them that are the 14 joints of the mesh tasks."""

SUPERSET_PELVIS = SUPERSET_JOINTS.index("pelvis")

MIRRORED_JOINTS = (5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, *range(12, 20), 21, 20, 23, 22)
"""For each of the 24 joints the one that takes its place in a mirror."""

# The same for the 24 joints of a body that is described by angles (its root first, then from the hips outwards).
_MIRRORED_ANGLES = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)

_HALF_PIXEL = 0.5


# Squares and crops --------------------------------------------------------------------------------------------------


def boxes_to_squares(boxes: Any, padding_factor: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """The squares that boxes are cut out by: around their centres, as long as their longer sides.

    How the scales of most released annotations came from boxes is unknown. This is the rule of GTA-Human, the largest
    set of the release (training.md 4.7), where scale = longer side / 200.

    Args:
        boxes: (N, 4) as (x, y, width, height) in pixels.
        padding_factor: by how much the square is larger.

    Returns:
        Centres (N, 2) and sides (N,), float64.
    """
    boxes = torch.as_tensor(boxes, dtype=torch.float64).reshape(-1, 4)
    scale = boxes[:, 2:].amax(dim=1) / PIXELS_PER_SCALE * padding_factor
    return boxes[:, :2] + boxes[:, 2:] / 2, scale * PIXELS_PER_SCALE


def square_windows(center: torch.Tensor, side: torch.Tensor, size: int) -> torch.Tensor:
    """The whole pixels of squares (spec 5.6).

    Edges are cut off towards zero. They come from a matrix and its inverse in the official code, whose rounding can
    move an edge that is a whole number by one pixel; this arithmetic does the same. Width and height may differ by a
    pixel for that reason. A square smaller than a pixel gets one.

    Args:
        center: (N, 2).
        side: (N,).
        size: side of the crop in pixels.

    Returns:
        int64 (N, 4) as (left, top, right, bottom), the last two not included.
    """
    side = torch.as_tensor(side, dtype=torch.float64)[:, None]
    center = torch.as_tensor(center, dtype=torch.float64)
    # A number divided by a tensor is rounded twice in torch, so both are tensors.
    back = 1 / (torch.full_like(side, size) / side)
    shift = size * (0.5 - center / side)
    near = (-(shift * back)).trunc()
    far = (size * back - shift * back).trunc()
    return torch.cat([near, torch.maximum(far, near + 1)], dim=1).long()


def cut_squares(image: torch.Tensor, windows: torch.Tensor, size: int) -> torch.Tensor:
    """Cuts windows out of a picture and resizes them, bilinear without antialiasing and without rounding (spec 5.6).

    The window is never built, so that large ones cost no more than small ones.

    Args:
        image: (3, H, W), 8-bit or floating point.
        windows: (N, 4) from `square_windows`; black where they reach outside the picture.
        size: side of the crop.

    Returns:
        float32 (N, 3, size, size), in the range of the picture's values.
    """
    height, width = image.shape[1:]
    crops = image.new_zeros(len(windows), 3, size, size, dtype=torch.float32)
    for crop, (left, top, right, bottom) in zip(crops, windows.tolist(), strict=True):
        rows, row_weights = _taps(top, bottom, size, height, image.device)
        columns, column_weights = _taps(left, right, size, width, image.device)
        rows, lines = rows.unique(return_inverse=True)  # of a small window the same rows are needed many times
        first = columns.min()
        pixels = image[:, :, first : columns.max() + 1].index_select(1, rows)
        near, far = (
            pixels.index_select(2, part - first).float().mul_(weights)
            for part, weights in zip(columns.split(size), column_weights.split(size), strict=True)
        )
        across = near.add_(far)
        upper, lower = (
            across.index_select(1, part).mul_(weights[:, None])
            for part, weights in zip(lines.split(size), row_weights.split(size), strict=True)
        )
        torch.add(upper, lower, out=crop)
    return crops


def _taps(near: int, far: int, size: int, limit: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels and weights, (2 * size,) both, of bilinear resizing along one axis: first the nearer ones, then the next.

    Pixels outside the picture weigh nothing. Weights are float32, but come from places in float64, on which the third
    decimal of a grey level depends.
    """
    place = (torch.arange(size, dtype=torch.float64) + 0.5) * (far - near) / size - 0.5
    first = place.floor()
    weights = torch.cat([1 - (place - first), place - first])
    pixels = torch.cat([first, first + 1]).long().clamp(0, far - near - 1) + near
    weights[(pixels < 0) | (pixels >= limit)] = 0
    return pixels.clamp(0, limit - 1).to(device), weights.float().to(device)


def cut_rotated(image: torch.Tensor, window: Sequence[int], size: int, rotation: float) -> torch.Tensor:
    """Cuts a turned square out, as in training (training.md 4.7).

    The window is enlarged so that no corner is missed, turned about its centre, cut and resized. Places in the turned
    picture are rounded to 1/32 pixel, as in the image library of the official code.

    Args:
        image: (3, H, W).
        window: a row of `square_windows`.
        size: side of the crop.
        rotation: in degrees, counter-clockwise as seen.

    Returns:
        float32 (3, size, size).
    """
    left, top, right, bottom = (int(edge) for edge in window)
    height = bottom - top
    pad = int(((right - left) ** 2 + height**2) ** 0.5 / 2 - height / 2)
    if not rotation or not pad:
        return cut_squares(image, torch.tensor([[left, top, right, bottom]]), size)[0]
    large = cut_box(image, (left - pad, top - pad, right + pad, bottom + pad)).double()
    turned = _turn(large, rotation)
    return resize_bilinear(turned[:, pad:-pad, pad:-pad], (size, size))


def _turn(image: torch.Tensor, degrees: float) -> torch.Tensor:
    """A picture turned about its centre, black where it was outside; golden/processing/README gives the arithmetic."""
    height, width = image.shape[1:]
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    cos, sin = angle.cos(), angle.sin()
    middle_x, middle_y = (width - 1) * 0.5, (height - 1) * 0.5
    y, x = torch.arange(height, dtype=torch.float64), torch.arange(width, dtype=torch.float64)
    # Where each pixel of the result comes from, in 1/1024 pixel, then rounded to 1/32.
    from_x = cos * x[None, :] * 1024, (-sin * y + (1 - cos) * middle_x + sin * middle_y) * 1024
    from_y = sin * x[None, :] * 1024, (cos * y - sin * middle_x + (1 - cos) * middle_y) * 1024
    places_x, places_y = (
        (along.round().long() + across[:, None].round().long() + 16) >> 5 for along, across in (from_x, from_y)
    )
    first_x, first_y = places_x >> 5, places_y >> 5
    part_x, part_y = (places_x & 31).double() / 32, (places_y & 31).double() / 32
    turned = torch.zeros_like(image)
    for down, weight_y in ((0, 1 - part_y), (1, part_y)):
        for over, weight_x in ((0, 1 - part_x), (1, part_x)):
            row, column = first_y + down, first_x + over
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            pixels = image[:, row.clamp(0, height - 1), column.clamp(0, width - 1)]
            turned += pixels * (weight_x * weight_y * inside)
    return turned


# Targets ------------------------------------------------------------------------------------------------------------


def joints_to_crop(
    joints: torch.Tensor, center: Any, side: Any, size: int, rotation: float | Sequence[float] = 0.0
) -> torch.Tensor:
    """Annotated joints as targets in coordinates of the crop (training.md 4.7, amendment 6).

    Args:
        joints: (N, J, 2 or more): (x, y) in pixels of the picture, the rest is handed on.
        center: (N, 2).
        side: (N,).
        size: side of the crop.
        rotation: of the crop, in degrees, see `cut_rotated`; one number, or one per person.

    Returns:
        float64, of the same shape: multiples of 2 / size, not clipped to the crop.
    """
    joints = torch.as_tensor(joints, dtype=torch.float64)
    center = torch.as_tensor(center, dtype=torch.float64).reshape(-1, 1, 2)
    side = torch.as_tensor(side, dtype=torch.float64).reshape(-1, 1, 1)
    placed = size * (joints[..., :2] - center) / side
    placed = _rotate(placed, rotation) + size / 2
    return torch.cat([2 * (placed.trunc() + 1) / size - 1, joints[..., 2:]], dim=-1)


def joints_to_picture(points: torch.Tensor, center: Any, side: Any, size: int) -> torch.Tensor:
    """The way back from coordinates of the crop to pixels of the picture, see the module.

    Args:
        points: (N, J, 2), coordinates of the crop from -1 to 1.
        center: (N, 2).
        side: (N,).
        size: side of the crop.

    Returns:
        (N, J, 2) as (x, y) in pixels of the picture.
    """
    scale, shift = crop_to_picture(center, side, size)
    return points * scale.to(points)[:, None, None] + shift.to(points)[:, None]


def crop_to_picture(center: Any, side: Any, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What coordinates of the crop are multiplied by, (N,), and what is added, (N, 2), to get pixels: float64."""
    center, side = (torch.as_tensor(value, dtype=torch.float64) for value in (center, side))
    return side / 2, center - (_HALF_PIXEL * side / size)[:, None]


def rotate_joints(joints: torch.Tensor, rotation: float | Sequence[float]) -> torch.Tensor:
    """Joints or vertices (N, J, 3 or more) of a crop that is turned by `rotation` degrees, see `cut_rotated`."""
    joints = torch.as_tensor(joints, dtype=torch.float64)
    return torch.cat([_rotate(joints[..., :2], rotation), joints[..., 2:]], dim=-1)


def _rotate(points: torch.Tensor, rotation: float | Sequence[float]) -> torch.Tensor:
    angle = -torch.deg2rad(torch.as_tensor(rotation, dtype=torch.float64).reshape(-1, 1))
    x, y = points.unbind(dim=-1)
    return torch.stack([angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y], dim=-1)


def mirror_joints(joints: torch.Tensor, mirrored: Sequence[int] = MIRRORED_JOINTS) -> torch.Tensor:
    """Joints of a mirrored crop, in coordinates of the crop or in metres from the pelvis.

    Args:
        joints: (..., J, 2 or more): x changes its sign, the rest is handed on.
        mirrored: for each joint the one that takes its place in a mirror.
    """
    joints = torch.as_tensor(joints)[..., list(mirrored), :]
    return torch.cat([-joints[..., :1], joints[..., 1:]], dim=-1)


def rotate_angles(angles: torch.Tensor, rotation: float) -> torch.Tensor:
    """A body described by angles, turned with its crop: only the rotation of its root changes.

    Args:
        angles: (..., 72), rotation vectors (axis times angle in radians) of 24 joints, the root first.
        rotation: in degrees, see `cut_rotated`.

    Returns:
        float64 (..., 72); rotation vectors of at most pi.
    """
    angles = torch.as_tensor(angles, dtype=torch.float64)
    half = -torch.deg2rad(torch.tensor(rotation, dtype=torch.float64)) / 2
    about_z = torch.stack([half.cos(), half * 0, half * 0, half.sin()])
    root = _to_vector(_multiply(about_z, _to_quaternion(angles[..., :3])))
    return torch.cat([root, angles[..., 3:]], dim=-1)


def mirror_angles(angles: torch.Tensor) -> torch.Tensor:
    """A body described by angles (..., 72), see `rotate_angles`, as in a mirror."""
    angles = torch.as_tensor(angles)
    parts = angles.unflatten(-1, (24, 3))[..., list(_MIRRORED_ANGLES), :]
    return (parts * parts.new_tensor([1, -1, -1])).flatten(-2)


def _to_quaternion(vectors: torch.Tensor) -> torch.Tensor:
    half = vectors.norm(dim=-1, keepdim=True) / 2
    # torch.sinc is sin(pi x) / (pi x), and 1 at 0.
    return torch.cat([half.cos(), vectors / 2 * torch.sinc(half / torch.pi)], dim=-1)


def _to_vector(quaternions: torch.Tensor) -> torch.Tensor:
    real, imaginary = quaternions.split([1, 3], dim=-1)
    imaginary = torch.where(real < 0, -imaginary, imaginary)
    length = imaginary.norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(length, real.abs())
    return imaginary * torch.where(length > 0, angle / length.clamp(min=1e-300), 2.0)


def _multiply(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    a, u = first[..., :1], first[..., 1:].expand_as(second[..., 1:])
    b, v = second[..., :1], second[..., 1:]
    real = a * b - (u * v).sum(dim=-1, keepdim=True)
    return torch.cat([real, a * v + b * u + torch.linalg.cross(u, v)], dim=-1)


# Results ------------------------------------------------------------------------------------------------------------


def picture_camera(camera: torch.Tensor, boxes: Any, size: int = 224, padding_factor: float = 1.0) -> torch.Tensor:
    """The camera of a crop as one of the picture.

    Args:
        camera: (N, 3): s, tx and ty of `HulkMeshOutput.camera`; a point (x, y, z) in metres is seen at
            s * (x + tx, y + ty) in coordinates of the crop.
        boxes: (N, 4) as (x, y, width, height) in pixels of the picture, that the crops were cut out by.
        size: side of the crops.
        padding_factor: with which they were cut out.

    Returns:
        float64 (N, 3): pixels per metre p, and (u, v): the point is seen at the pixel (p * x + u, p * y + v).
    """
    camera = torch.as_tensor(camera).detach().to("cpu", torch.float64)
    scale, shift = crop_to_picture(*boxes_to_squares(boxes, padding_factor), size)
    pixels = camera[:, :1] * scale[:, None]
    return torch.cat([pixels, pixels * camera[:, 1:] + shift], dim=1)


def project_to_image(
    points: torch.Tensor, camera: Any, box: Sequence[float], size: int = 224, padding_factor: float = 1.0
) -> torch.Tensor:
    """Where the points of one person lie in the picture (weak perspective: depth has no influence).

    Args:
        points: (P, 3) in metres, such as the `vertices` of a result.
        camera: (3,): s, tx and ty, as in `HulkMeshOutput.camera`.
        box: (x, y, width, height) in pixels, that the person was cut out by.
        size: side of the crop.
        padding_factor: with which it was cut out.

    Returns:
        float64 (P, 2) as (x, y) in pixels of the picture, which may lie outside.

    Example:
        >>> project_to_image(torch.zeros(1, 3), [0.9, 0.0, 0.0], [100, 50, 80, 200]).tolist()
        [[139.55357142857142, 149.55357142857142]]
    """
    points = torch.as_tensor(points).detach().to("cpu", torch.float64)
    camera = torch.as_tensor(camera, dtype=torch.float64).reshape(1, 3)
    seen = picture_camera(camera, [list(box)], size, padding_factor)[0]
    return points[..., :2] * seen[0] + seen[1:]


__all__ = [
    "MIRRORED_JOINTS",
    "PIXELS_PER_SCALE",
    "SUPERSET_JOINTS",
    "SUPERSET_PELVIS",
    "TARGET_JOINTS",
    "boxes_to_squares",
    "crop_to_picture",
    "cut_rotated",
    "cut_squares",
    "joints_to_crop",
    "joints_to_picture",
    "mirror_angles",
    "mirror_joints",
    "picture_camera",
    "project_to_image",
    "rotate_angles",
    "rotate_joints",
    "square_windows",
]
