# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Geometry of top-down pose estimation: box -> crop -> heat-map target, and heat map -> joint in the image.

Everything here is a plain function on tensors, vectorised over persons, without parameters and without state, so that
the image processor, the training loop and the parity check run the very same code.

Conventions, the same everywhere in this file:

* Points are (x, y) in pixels; pixel centres lie on integers, so a picture of width W spans [0, W - 1].
* Sizes are (height, width), as everywhere in torch. Boxes are (x, y, width, height) unless a name says otherwise.
* "Unbiased" data processing (UDP; Huang et al., CVPR 2020): lengths are measured between pixel centres, so a crop that
  is w pixels wide spans w - 1 units and a heat map of width m spans m - 1. Crop and heat map thus share their corners
  and mapping forth and back is exact.
* ``scale`` is the size of the crop window in the image divided by 200, which is how the official data sets store it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

PIXELS_PER_SCALE = 200.0
"""Image pixels per unit of ``scale``."""

HEATMAP_STRIDE = 4
"""Crop pixels per heat-map cell in each direction: a patch of 16 pixels is one token, and the head's two transposed
convolutions turn each token into 4x4 cells. It holds for this patch size only, the one `HulkConfig` allows."""

# Persons of one gather in `warp_crops`. On a CPU few at a time, so that what has been gathered can still be in the
# cache when it is blended; elsewhere the number only bounds the memory.
_PERSONS_PER_WARP = {"cpu": 4}
_PERSONS_PER_WARP_ELSEWHERE = 64
_LOG_FLOOR, _LOG_CEILING = 1e-3, 50.0


def _wide(device: torch.device | str) -> torch.dtype:
    """Float64 where the device has it: coordinates of large pictures need more than the 24 bits of float32."""
    return torch.float32 if torch.device(device).type == "mps" else torch.float64


def _as_rows(value: Any, columns: int, name: str) -> torch.Tensor:
    """``value`` as a tensor (N, columns) in wide floating point; raises ValueError that names the argument."""
    device = value.device if isinstance(value, torch.Tensor) else "cpu"
    rows = torch.as_tensor(value, dtype=_wide(device))
    if rows.numel() == 0:
        rows = rows.reshape(0, columns)
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise ValueError(f"`{name}` must have shape (persons, {columns}), got {tuple(rows.shape)}")
    return rows


# Boxes --------------------------------------------------------------------------------------------------------------


def xywh_to_xyxy(boxes: torch.Tensor) -> torch.Tensor:
    """Boxes (..., 4) from (x, y, width, height) to (x1, y1, x2, y2) with x2 = x + width."""
    return torch.cat([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], dim=-1)


def xyxy_to_xywh(boxes: torch.Tensor) -> torch.Tensor:
    """Boxes (..., 4) from (x1, y1, x2, y2) to (x, y, width, height) with width = x2 - x1."""
    return torch.cat([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], dim=-1)


def clip_annotation_boxes(boxes: Any, image_size: Sequence[int]) -> torch.Tensor:
    """Clips annotated boxes to the picture the way the official data sets do (official data path, step 1).

    The far edge is computed from the near edge *after* that has been clipped, so a box that starts left of the picture
    keeps its width and moves to the right. One pixel is lost in width and height, because edges are pixel centres.
    Detected boxes are never clipped.

    Args:
        boxes: (N, 4) as (x, y, width, height) in pixels.
        image_size: (height, width) of the picture.

    Returns:
        Float64 tensor (N, 4) as (x, y, width, height). A width or height that is zero or negative marks a box that
        lies outside or is at most one pixel wide; `keep_annotation` drops it.
    """
    boxes = _as_rows(boxes, 4, "boxes")
    height, width = image_size
    near = boxes[:, :2].clamp(min=0)
    far = near + (boxes[:, 2:] - 1).clamp(min=0)
    far = torch.minimum(far, far.new_tensor([width - 1, height - 1]))
    return torch.cat([near, far - near], dim=1)


def keep_annotation(annotation: Mapping[str, Any], image_size: Sequence[int]) -> bool:
    """Whether the official data sets train and evaluate on this COCO annotation (official data path, step 1).

    Kept are annotations that are no crowd, have a positive area (or none stated), a box that is not empty after
    clipping, and at least one labelled joint.

    Args:
        annotation: a COCO person annotation: `bbox` (x, y, width, height), `keypoints` (flat x, y, v), and optionally
            `iscrowd`, `area`, `num_keypoints`.
        image_size: (height, width) of the picture.
    """
    keypoints = annotation.get("keypoints")
    if annotation.get("iscrowd", 0) or keypoints is None or annotation.get("num_keypoints", 1) == 0:
        return False
    if "area" in annotation and not annotation["area"] > 0:
        return False
    flat = torch.as_tensor(keypoints, dtype=torch.float32)
    if flat.numel() == 0 or flat.max() == 0:
        return False
    box = clip_annotation_boxes([list(annotation["bbox"])], image_size)[0]
    return bool(box[2] > 0 and box[3] > 0)


def boxes_to_center_scale(
    boxes: Any, image_size: Sequence[int], padding: float = 1.25
) -> tuple[torch.Tensor, torch.Tensor]:
    """Crop windows of boxes: enlarged to the aspect ratio of the network input, then padded (official test path, 2).

    Args:
        boxes: (N, 4) as (x, y, width, height) in image pixels; not clipped.
        image_size: (height, width) of the network input.
        padding: factor by which the window is larger than the box.

    Returns:
        `center` (N, 2) as (x, y) in image pixels and `scale` (N, 2) as (width, height) of the window in units of 200
        pixels; both float32, which is how the official data sets keep them.
    """
    boxes = _as_rows(boxes, 4, "boxes")
    height, width = image_size
    aspect = width / height
    center = boxes[:, :2] + boxes[:, 2:] * 0.5
    wide = boxes[:, 2] > aspect * boxes[:, 3]
    window_width = torch.where(wide, boxes[:, 2], boxes[:, 3] * aspect)
    window_height = torch.where(wide, boxes[:, 2] / aspect, boxes[:, 3])
    scale = torch.stack([window_width, window_height], dim=1) / PIXELS_PER_SCALE
    return center.float(), scale.float() * padding


# Crops --------------------------------------------------------------------------------------------------------------


def crop_matrices(
    center: Any, scale: Any, image_size: Sequence[int], rotation: torch.Tensor | Sequence[float] | None = None
) -> torch.Tensor:
    """Affine matrices from the image to the crop, unbiased (official test path, step 3; training with rotation).

    The window's centre goes to the centre of the crop, ((w - 1) / 2, (h - 1) / 2); the window's width to w - 1.

    Args:
        center: (N, 2) as (x, y) in image pixels.
        scale: (N, 2) as (width, height) in units of 200 pixels.
        image_size: (height, width) of the crop.
        rotation: (N,) in degrees; positive applies [[cos, -sin], [sin, cos]] in image axes (y points down).

    Returns:
        Float32 tensor (N, 2, 3); multiply with (x, y, 1).
    """
    center, scale = _as_rows(center, 2, "center"), _as_rows(scale, 2, "scale")
    height, width = image_size
    # The official code stores the window size in float32 before dividing by it; equal matrices need the same rounding.
    window = (scale.float() * PIXELS_PER_SCALE).to(scale.dtype)
    factor = torch.tensor([width - 1.0, height - 1.0], dtype=window.dtype, device=window.device) / window
    if rotation is None:
        angle = torch.zeros(len(center), dtype=center.dtype, device=center.device)
    else:
        angle = torch.as_tensor(rotation, dtype=center.dtype, device=center.device) * (math.pi / 180)
        if angle.shape != center.shape[:1]:
            raise ValueError(f"`rotation` must have shape ({len(center)},), got {tuple(angle.shape)}")
    cos, sin = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], dim=1)
    shift = window * 0.5 - (turn @ center[..., None])[..., 0]
    return (torch.cat([turn, shift[..., None]], dim=2) * factor[..., None]).float()


def transform_points(points: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Applies affine matrices (N, 2, 3) to points (N, K, 2); returns the dtype of `points`."""
    wide = _wide(points.device)
    matrices = matrices.to(points.device, wide)
    moved = points.to(wide) @ matrices[:, :, :2].transpose(1, 2) + matrices[:, None, :, 2]
    return moved.to(points.dtype)


def invert_matrices(matrices: torch.Tensor) -> torch.Tensor:
    """Inverse of affine matrices (N, 2, 3), in wide floating point, also (N, 2, 3)."""
    matrices = matrices.to(_wide(matrices.device))
    a, b, c, d = matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 0], matrices[:, 1, 1]
    inverse = torch.stack([torch.stack([d, -b], -1), torch.stack([-c, a], -1)], dim=1)
    inverse = inverse / (a * d - b * c)[:, None, None]
    return torch.cat([inverse, -inverse @ matrices[:, :, 2:]], dim=2)


def warp_crops(image: torch.Tensor, matrices: torch.Tensor, image_size: Sequence[int]) -> torch.Tensor:
    """Cuts the crops of all persons out of one picture: exact bilinear sampling, black outside (official path, 3).

    Source coordinates are computed in double precision and not rounded to 1/32 pixel, as the fixed-point kernel of
    older image libraries does; results stay within about 7 grey levels of that kernel (0.3 on average).

    Args:
        image: (C, H, W) uint8 with at most three channels. A channels-last array seen through `permute` costs no copy.
        matrices: (N, 2, 3) from image to crop, from `crop_matrices`.
        image_size: (height, width) of the crops.

    Returns:
        uint8 tensor (N, C, height, width).
    """
    if image.ndim != 3 or not 1 <= image.shape[0] <= 3 or image.dtype != torch.uint8:
        raise ValueError(
            f"`image` must be a uint8 tensor (channels <= 3, height, width), got {image.dtype} {tuple(image.shape)}"
        )
    height, width = (int(side) for side in image_size)
    if len(matrices) == 0:
        return image.new_zeros(0, image.shape[0], height, width)
    inverse = invert_matrices(matrices.to(image.device, _wide(image.device)))
    canvas, left, top = _canvas(image, inverse, height, width)
    chunk = _PERSONS_PER_WARP.get(image.device.type, _PERSONS_PER_WARP_ELSEWHERE)
    crops = [_sample(canvas, left, top, part, height, width)[:, : len(image)] for part in inverse.split(chunk)]
    return crops[0].contiguous() if len(crops) == 1 else torch.cat(crops)


def _canvas(image: torch.Tensor, inverse: torch.Tensor, height: int, width: int) -> tuple[torch.Tensor, int, int]:
    """The part of the picture that the crops look at, in a black frame of one pixel, four bytes per pixel.

    Returns:
        uint8 tensor (rows, columns, 4), and the picture's column and row at which its inside begins.
    """
    rows, columns = image.shape[1:]
    corners = inverse.new_tensor([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]])
    seen = (inverse @ corners.T).transpose(1, 2).reshape(-1, 2)  # an affine map has its extremes at the corners
    limit = seen.new_tensor([columns, rows])
    low = seen.amin(dim=0).floor().clamp(min=0).minimum(limit)
    high = (seen.amax(dim=0).floor() + 2).clamp(min=0).minimum(limit).maximum(low)
    (left, top), (right, bottom) = low.long().tolist(), high.long().tolist()
    canvas = image.new_zeros(bottom - top + 2, right - left + 2, 4)
    canvas[1:-1, 1:-1, : len(image)] = image[:, top:bottom, left:right].permute(1, 2, 0)
    return canvas, left, top


def _sample(canvas: torch.Tensor, left: int, top: int, inverse: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Crops (n, 3, height, width) uint8 of few persons; `inverse` (n, 2, 3) maps crop to picture."""
    xs = torch.arange(width, dtype=inverse.dtype, device=inverse.device)
    ys = torch.arange(height, dtype=inverse.dtype, device=inverse.device)
    across, down = inverse[:, :, 0, None] * xs, inverse[:, :, 1, None] * ys + inverse[:, :, 2, None]
    if bool((inverse[:, 0, 1] == 0).all() and (inverse[:, 1, 0] == 0).all()):
        # Without rotation x depends on the column only and y on the row only: one coordinate for each of them, not for
        # each pixel.
        x, y = across[:, 0, None, :] + down[:, 0, :1, None], across[:, 1, None, :1] + down[:, 1, :, None]
    else:
        x, y = (across[:, axis, None, :] + down[:, axis, :, None] for axis in (0, 1))

    # In canvas coordinates. A point outside is moved onto the frame, where it sees only black; the cell it lies in is
    # chosen so that its far neighbour exists.
    rows, columns = canvas.shape[:2]
    x, y = (x - (left - 1)).clamp(0, columns - 1), (y - (top - 1)).clamp(0, rows - 1)
    x0, y0 = x.floor().clamp(max=columns - 2), y.floor().clamp(max=rows - 2)
    fraction_x, fraction_y = (x - x0).float()[:, None], (y - y0).float()[:, None]
    first = (y0.long() * columns + x0.long()).flatten()
    pixels = canvas.view(torch.int32).flatten()  # the four bytes of a pixel are gathered as one integer

    def gather(offset: int) -> torch.Tensor:
        taken = pixels.index_select(0, first + offset).view(torch.uint8).view(len(inverse), height, width, 4)
        return taken[..., :3].permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)

    def blend(near: torch.Tensor, far: torch.Tensor, fraction: torch.Tensor) -> torch.Tensor:
        # In place and in two-operand steps: `torch.lerp` does not vectorise when the weights are broadcast.
        return near.add_(far.sub_(near).mul_(fraction))

    upper = blend(gather(0), gather(1), fraction_x)
    lower = blend(gather(columns), gather(columns + 1), fraction_x)
    return blend(upper, lower, fraction_y).round_().to(torch.uint8)


# Mirroring ----------------------------------------------------------------------------------------------------------


def flip_permutation(flip_pairs: Sequence[Sequence[int]], num_joints: int) -> list[int]:
    """Index list that swaps left and right joints.

    Args:
        flip_pairs: pairs of joint indices; a joint that is in no pair stays.
        num_joints: number of joints K.

    Raises:
        ValueError: if a pair names a joint that doesn't exist or a joint stands in two pairs.
    """
    order = list(range(num_joints))
    for pair in flip_pairs:
        first, second = (int(joint) for joint in pair)
        if not (0 <= first < num_joints and 0 <= second < num_joints):
            raise ValueError(f"`flip_pairs` holds {(first, second)}, expected indices of {num_joints} joints")
        if order[first] != first or order[second] != second:
            raise ValueError(f"`flip_pairs` uses a joint of {(first, second)} twice")
        order[first], order[second] = second, first
    return order


def flip_heatmaps(heatmaps: torch.Tensor, flip_pairs: Sequence[Sequence[int]]) -> torch.Tensor:
    """Turns heat maps (N, K, h, w) of mirrored crops back: swaps paired joints and mirrors the x axis.

    There is no shift by one cell: unbiased crops and maps share their corners (official test path, flip test).
    """
    return heatmaps[:, flip_permutation(flip_pairs, heatmaps.shape[1])].flip(-1)


def flip_center(center: torch.Tensor, image_width: int) -> torch.Tensor:
    """Centres (N, 2) after the picture has been mirrored: x -> width - 1 - x."""
    return torch.stack([image_width - 1 - center[:, 0], center[:, 1]], dim=1)


def flip_keypoints(
    keypoints: torch.Tensor, visible: torch.Tensor, image_width: int, flip_pairs: Sequence[Sequence[int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Joints after the picture has been mirrored (official training path, flip).

    Args:
        keypoints: (N, K, 2) in image pixels.
        visible: (N, K), 0 for joints without annotation.
        image_width: width of the picture in pixels.
        flip_pairs: pairs of joint indices.

    Returns:
        Keypoints and visibility with left and right swapped. Joints without annotation become (0, 0), as upstream;
        un-mirrored ones would keep what the annotation file says.
    """
    order = flip_permutation(flip_pairs, keypoints.shape[1])
    keypoints, visible = keypoints[:, order], visible[:, order]
    mirrored = torch.stack([image_width - 1 - keypoints[..., 0], keypoints[..., 1]], dim=-1)
    return torch.where((visible > 0)[..., None], mirrored, torch.zeros_like(mirrored)), visible


# Heat maps ----------------------------------------------------------------------------------------------------------


def heatmap_targets(
    keypoints: torch.Tensor,
    visible: torch.Tensor,
    image_size: Sequence[int],
    heatmap_size: Sequence[int],
    sigma: float = 2.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gaussian training targets (official training path, last step).

    A joint's Gaussian is evaluated at its sub-pixel place mu and written into the square of 3 sigma cells around its
    integer centre, int(mu + 0.5), which truncates towards zero (so -1.2 gives 0). The weight becomes 0 if that square
    misses the map: centre - 3 sigma >= size or centre + 3 sigma + 1 < 0.

    Args:
        keypoints: (N, K, 2) in crop pixels.
        visible: (N, K); 0 not annotated, 1 or 2 annotated (COCO's occluded joints count as visible).
        image_size: (height, width) of the crop.
        heatmap_size: (height, width) of the maps.
        sigma: of the Gaussian, in cells.

    Returns:
        `heatmaps` (N, K, h, w) and `weights` (N, K), float32, weights 0 or 1. Joints without annotation, and joints
        whose place is not a number, have weight 0 and an empty map.
    """
    wide = _wide(keypoints.device)
    height, width = heatmap_size
    size = torch.tensor([width, height], dtype=wide, device=keypoints.device)
    stride = (torch.tensor([image_size[1], image_size[0]], dtype=wide, device=keypoints.device) - 1) / (size - 1)
    radius = int(sigma * 3)
    mu = keypoints.to(wide) / stride
    centre = (mu + 0.5).trunc()
    inside = ((centre - radius < size) & (centre + radius + 1 >= 0)).all(dim=-1)
    weights = ((visible > 0.5) & inside).float()

    profiles = []
    for axis, length in ((0, width), (1, height)):
        cells = torch.arange(length, dtype=wide, device=keypoints.device)
        distance = cells - mu[..., axis, None]
        window = (cells - centre[..., axis, None]).abs() <= radius
        window = window & (weights > 0)[..., None]
        profile = torch.exp(-distance.square() / (2 * sigma**2))
        profiles.append(torch.where(window, profile, torch.zeros_like(profile)).float())
    return profiles[1][..., :, None] * profiles[0][..., None, :], weights


def _blur_matrix(size: int, kernel_size: int, device: torch.device) -> torch.Tensor:
    """Gaussian blur along an axis of `size` cells as a matrix (size, size); cells outside are mirrored (reflect-101).

    The standard deviation follows from the kernel size as in common image libraries: 0.3 ((k - 1) / 2 - 1) + 0.8.
    Written as a matrix the blur needs no minimum size: the mirror folds as often as a tiny map requires.
    """
    half = (kernel_size - 1) // 2
    sigma = 0.3 * (half - 1) + 0.8
    taps = torch.arange(-half, half + 1, dtype=torch.float64)
    kernel = torch.exp(-taps.square() / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    source = torch.arange(size)[:, None] + taps.long()
    if size == 1:
        source = torch.zeros_like(source)
    else:
        source = (source % (2 * (size - 1)) + 2 * (size - 1)) % (2 * (size - 1))
        source = torch.where(source >= size, 2 * (size - 1) - source, source)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix.scatter_add_(1, source, kernel.expand(size, -1).contiguous())
    return matrix.float().to(device)


def _log_neighbourhoods(heatmaps: torch.Tensor, x: torch.Tensor, y: torch.Tensor, kernel_size: int) -> torch.Tensor:
    """Logarithm of the blurred maps in the 3x3 cells around (x, y); cells beyond the edge repeat the edge.

    Only these nine cells are computed: three rows of the vertical blur matrix, the map, three of the horizontal one.

    Args:
        heatmaps: (M, h, w) float32.
        x, y: (M,) integer places.

    Returns:
        (M, 3, 3), first index the row offset -1, 0, 1.
    """
    height, width = heatmaps.shape[1:]
    around = torch.arange(-1, 2, device=heatmaps.device)
    rows = _blur_matrix(height, kernel_size, heatmaps.device)[(y[:, None] + around).clamp(0, height - 1)]
    columns = _blur_matrix(width, kernel_size, heatmaps.device)[(x[:, None] + around).clamp(0, width - 1)]
    blurred = torch.bmm(torch.bmm(rows, heatmaps), columns.transpose(1, 2))
    return blurred.clamp(_LOG_FLOOR, _LOG_CEILING).to(_wide(heatmaps.device)).log()


def _newton_steps(logs: torch.Tensor, limit: float) -> torch.Tensor:
    """One Newton step (M, 2) as (dx, dy) from the 3x3 logarithms (M, 3, 3) towards their maximum.

    A step that is not a number, infinite or longer than `limit` cells comes from a singular or nearly singular
    Hessian (flat or ridge-like surroundings) and is replaced by zero.
    """
    centre, right, left = logs[:, 1, 1], logs[:, 1, 2], logs[:, 1, 0]
    down, up = logs[:, 2, 1], logs[:, 0, 1]
    dx, dy = (right - left) / 2, (down - up) / 2
    epsilon = torch.finfo(torch.float32).eps
    dxx = right - 2 * centre + left + epsilon
    dyy = down - 2 * centre + up + epsilon
    dxy = (logs[:, 2, 2] - right - down + 2 * centre - left - up + logs[:, 0, 0]) / 2
    determinant = dxx * dyy - dxy * dxy
    step = torch.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], dim=1) / determinant[:, None]
    usable = (step.abs() <= limit).all(dim=1, keepdim=True)  # False for NaN
    return torch.where(usable, step, torch.zeros_like(step))


def decode_heatmaps(
    heatmaps: torch.Tensor, center: Any, scale: Any, kernel_size: int = 11
) -> tuple[torch.Tensor, torch.Tensor]:
    """Joints in the image from heat maps: unbiased, distribution-aware decoding (official test path, decoding).

    Arg-max, then one Newton step on the logarithm of the blurred map (DARK; Zhang et al., CVPR 2020), then the
    unbiased way back to the image. Works for any map size and computes in float32 or better whatever the dtype.

    Two documented differences to the official code, both where its coordinates are meaningless: a map without a
    positive value gives the arg-max cell unrefined; so does a Newton step that is not finite or longer than the blur
    reaches ((kernel_size + 1) / 2 cells).

    Args:
        heatmaps: (N, K, h, w).
        center: (N, 2) as (x, y) in image pixels.
        scale: (N, 2) as (width, height) in units of 200 pixels.
        kernel_size: width of the blur in cells, odd.

    Returns:
        `keypoints` (N, K, 2) as (x, y) in image pixels and `scores` (N, K), the maximum of the un-blurred map;
        float32.
    """
    if heatmaps.ndim != 4 or 0 in heatmaps.shape[1:]:
        raise ValueError(f"`heatmaps` must have shape (persons, joints, height, width), got {tuple(heatmaps.shape)}")
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ValueError(f"`kernel_size` must be odd and positive, got {kernel_size}")
    # The boxes may come from another device, and in float64 where the maps' device has none.
    wide = _wide(heatmaps.device)
    center = _as_rows(center, 2, "center").to(heatmaps.device, wide)
    window = _as_rows(scale, 2, "scale").to(heatmaps.device, wide) * PIXELS_PER_SCALE
    persons, joints, height, width = heatmaps.shape
    if len(center) != persons or len(window) != persons:
        raise ValueError(
            f"`center` and `scale` must have a row for each of the {persons} persons in `heatmaps`, "
            f"got {len(center)} and {len(window)}"
        )
    maps = heatmaps.detach().float().reshape(persons * joints, height, width)
    scores, index = maps.flatten(1).max(dim=1)
    x, y = index % width, torch.div(index, width, rounding_mode="floor")
    step = _newton_steps(_log_neighbourhoods(maps, x, y, kernel_size), limit=(kernel_size + 1) / 2)
    cells = torch.stack([x, y], dim=1).to(step.dtype)
    cells = torch.where((scores > 0)[:, None], cells + step, cells).view(persons, joints, 2)

    # A map of one cell has no extent: its only cell is the centre of the window.
    span = torch.tensor([width - 1, height - 1], dtype=cells.dtype, device=cells.device)
    fraction = torch.where(span > 0, cells / span.clamp(min=1), 0.5)
    keypoints = (fraction - 0.5) * window[:, None] + center[:, None]
    return keypoints.float(), scores.view(persons, joints)


def average_flipped(
    heatmaps: torch.Tensor, heatmaps_flipped: torch.Tensor, flip_pairs: Sequence[Sequence[int]]
) -> torch.Tensor:
    """Mean of heat maps and those of the mirrored crops, in float32 (official test path, flip test)."""
    if heatmaps.shape != heatmaps_flipped.shape:
        raise ValueError(
            f"`heatmaps_flipped` must have the shape of `heatmaps`, {tuple(heatmaps.shape)}, "
            f"got {tuple(heatmaps_flipped.shape)}"
        )
    return (heatmaps.float() + flip_heatmaps(heatmaps_flipped.float(), flip_pairs)) * 0.5


def person_scores(scores: torch.Tensor, threshold: float = 0.2) -> torch.Tensor:
    """One score per person: the mean of its joint scores above `threshold`, 0 if there is none (official pass 1).

    Args:
        scores: (N, K) joint scores.
        threshold: joints at or below it are not counted.

    Returns:
        (N,) scores; multiply with the detector's box score to rank persons as the official evaluation does.
    """
    counted = scores > threshold
    total = torch.where(counted, scores, torch.zeros_like(scores)).sum(dim=-1)
    return total / counted.sum(dim=-1).clamp(min=1)


def heatmap_size_of(image_size: Sequence[int]) -> tuple[int, int]:
    """Size (height, width) of the network's heat maps for crops of `image_size`: a quarter in each direction."""
    return int(image_size[0]) // HEATMAP_STRIDE, int(image_size[1]) // HEATMAP_STRIDE


def image_size_of(heatmap_size: Sequence[int]) -> tuple[int, int]:
    """Size (height, width) of the crops that the network answers with heat maps of `heatmap_size`."""
    return int(heatmap_size[0]) * HEATMAP_STRIDE, int(heatmap_size[1]) * HEATMAP_STRIDE


__all__ = [
    "HEATMAP_STRIDE",
    "PIXELS_PER_SCALE",
    "average_flipped",
    "boxes_to_center_scale",
    "clip_annotation_boxes",
    "crop_matrices",
    "decode_heatmaps",
    "flip_center",
    "flip_heatmaps",
    "flip_keypoints",
    "flip_permutation",
    "heatmap_size_of",
    "heatmap_targets",
    "image_size_of",
    "invert_matrices",
    "keep_annotation",
    "person_scores",
    "transform_points",
    "warp_crops",
    "xywh_to_xyxy",
    "xyxy_to_xywh",
]
