# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Pose geometry: against recordings of the official code, against slow references, and as round trips."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file

from hulk_hf.modeling import pose_geometry_hulk as geometry
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

SIZE = (256, 192)
SIZES = {"task8": (256, 192), "task9": (256, 192), "task10": (256, 256)}
COCO_PAIRS = KNOWN_TASKS["pose-coco"].flip_pairs


def picture(png: torch.Tensor) -> torch.Tensor:
    pixels = np.array(Image.open(io.BytesIO(png.numpy().tobytes())).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def recording(shared: Path, name: str) -> tuple[dict[str, torch.Tensor], dict]:
    folder = shared / "golden" / "processing"
    return load_file(folder / f"{name}.safetensors"), json.loads((folder / f"{name}.json").read_text())


def assert_crop(ours: torch.Tensor, recorded: torch.Tensor) -> None:
    """The recorded kernel rounds source places to 1/32 pixel; exact sampling differs by no more than this."""
    difference = (ours.int() - recorded.int()).abs().float()
    assert difference.max() <= 7
    assert difference.mean() < 0.3
    assert (difference > 1.5).float().mean() < 0.03


# Recordings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "task"), [("pose_crop_a", "task8"), ("pose_crop_gt_a", "task9"), ("pose_crop_gt_a", "task10")]
)
def test_crops_of_the_test_path(shared, name, task):
    file, _ = recording(shared, name)
    size = SIZES[task]
    center, scale = geometry.boxes_to_center_scale(file[f"{task}.bbox"], size)
    matrices = geometry.crop_matrices(center, scale, size)
    torch.testing.assert_close(center, file[f"{task}.center"], rtol=1e-6, atol=0)
    torch.testing.assert_close(scale, file[f"{task}.scale"], rtol=1e-6, atol=0)
    torch.testing.assert_close(matrices, file[f"{task}.matrix"], rtol=1e-6, atol=1e-7)
    exact = dict(zip(file[f"{task}.crop_float_index"].tolist(), file[f"{task}.crop_float"], strict=True))
    for index in file[f"{task}.image_index"].unique().tolist():
        rows = (file[f"{task}.image_index"] == index).nonzero()[:, 0]
        crops = geometry.warp_crops(picture(file[f"image_png_{index}"]), matrices[rows], size)
        for row, crop in zip(rows.tolist(), crops, strict=True):
            assert_crop(crop, file[f"{task}.crop"][row])
            if row in exact:
                assert (crop.int() - exact[row].int()).abs().max() <= 1


@pytest.mark.parity
@pytest.mark.parametrize("task", ["task9", "task10"])
def test_which_annotations_are_kept_and_how_they_are_clipped(shared, task):
    file, description = recording(shared, "pose_crop_gt_a")
    sizes = [picture(file[f"image_png_{index}"]).shape[1:] for index in range(2)]
    annotations = description["annotations"][task.removeprefix("task")]
    kept = [a for a in annotations if geometry.keep_annotation(a, sizes[a["image_id"] - 1])]
    assert [a["id"] for a in kept] == file[f"{task}.annotation_id"].tolist()
    clipped = torch.cat([geometry.clip_annotation_boxes([a["bbox"]], sizes[a["image_id"] - 1]) for a in kept])
    torch.testing.assert_close(clipped, file[f"{task}.bbox"], rtol=0, atol=0)


@pytest.mark.parity
@pytest.mark.parametrize("case", [0, 1, 2])
def test_training_geometry(shared, case):
    file, description = recording(shared, "pose_train_affine_a")
    setting, image = description["cases"][case], picture(file["image_png_0"])
    get = lambda name: file[f"case{case}.{name}"][None]  # noqa: E731
    keypoints, visible, center = get("joints_in")[..., :2], get("visible_in")[..., 0], get("center_in")
    if setting["flip"]:
        keypoints, visible = geometry.flip_keypoints(keypoints, visible, image.shape[2], COCO_PAIRS)
        center, image = geometry.flip_center(center, image.shape[2]), image.flip(-1)
    matrices = geometry.crop_matrices(center, get("scale"), SIZE, [setting["rotation"]])
    torch.testing.assert_close(center, get("center"), rtol=0, atol=0)
    torch.testing.assert_close(matrices, get("matrix"), rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(visible, get("visible")[..., 0], rtol=0, atol=0)
    moved = geometry.transform_points(keypoints, matrices)
    torch.testing.assert_close(moved, get("joints")[..., :2], rtol=0, atol=1e-3)
    assert_crop(geometry.warp_crops(image, matrices, SIZE), get("crop"))


@pytest.mark.parity
@pytest.mark.parametrize("task", SIZES)
def test_targets(shared, task):
    file, _ = recording(shared, "pose_target_a")
    joints, visible = file[f"{task}.joints"][..., :2], file[f"{task}.visible"][..., 0]
    maps, weights = geometry.heatmap_targets(joints, visible, SIZES[task], geometry.heatmap_size_of(SIZES[task]))
    torch.testing.assert_close(maps, file[f"{task}.heatmap"], rtol=0, atol=1e-6)
    torch.testing.assert_close(weights, file[f"{task}.weight"][..., 0], rtol=0, atol=0)


@pytest.mark.parity
@pytest.mark.parametrize("part", ["a", "b"])
def test_decoding_and_flipping_back(shared, part):
    file = load_file(shared / "golden" / "golden_pose_decode.safetensors")
    get = lambda name: file[f"{part}.{name}"]  # noqa: E731
    keypoints, scores = geometry.decode_heatmaps(get("heatmap"), get("center"), get("scale"))
    torch.testing.assert_close(scores, get("maxvals")[..., 0], rtol=0, atol=0)
    # Where no value is positive upstream's coordinates come from memory of another joint; ours are documented.
    peaked = scores > 0
    assert peaked.sum() == peaked.numel() - 1
    torch.testing.assert_close(keypoints[peaked], get("preds")[peaked], rtol=0, atol=1e-3)
    back = geometry.flip_heatmaps(get("heatmap"), get("flip_pairs").tolist())
    torch.testing.assert_close(back, get("flip_back"), rtol=0, atol=0)


@pytest.mark.parity
def test_decoding_of_square_maps(shared):
    file, _ = recording(shared, "pose_decode_square_a")
    keypoints, scores = geometry.decode_heatmaps(file["heatmap"], file["center"], file["scale"])
    compared = torch.ones_like(scores, dtype=torch.bool)
    compared[0, 5] = compared[1, 6] = False
    torch.testing.assert_close(keypoints[compared], file["preds"][..., :2][compared], rtol=0, atol=1e-3)
    torch.testing.assert_close(scores, file["preds"][..., 2], rtol=0, atol=0)


# Slow references ----------------------------------------------------------------------------------------------------


def slow_warp(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear sampling pixel by pixel; (C, H, W) in, floats (C, h, w) out."""
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    out = np.zeros((image.shape[0], *size))
    for v in range(size[0]):
        for u in range(size[1]):
            x, y, _ = inverse @ (u, v, 1)
            x0, y0 = int(np.floor(x)), int(np.floor(y))
            for row, column in ((y0, x0), (y0, x0 + 1), (y0 + 1, x0), (y0 + 1, x0 + 1)):
                if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                    weight = (1 - abs(x - column)) * (1 - abs(y - row))
                    out[:, v, u] += weight * image[:, row, column]
    return out


@pytest.mark.parametrize("rotation", [None, 37.0])
@pytest.mark.parametrize(
    "box",
    [(4, 3, 10, 14), (-8, -6, 20, 12), (15, 20, 30, 30), (3.3, 4.4, 1.5, 1.7), (-60, -60, 10, 10), (90, 5, 9, 9)],
)
def test_warp_equals_sampling_pixel_by_pixel(box, rotation):
    image = np.random.default_rng(0).integers(0, 256, (3, 31, 23), dtype=np.uint8)
    size = (16, 12)
    center, scale = geometry.boxes_to_center_scale([box], size)
    matrices = geometry.crop_matrices(center, scale, size, None if rotation is None else [rotation])
    crop = geometry.warp_crops(torch.from_numpy(image), matrices, size)[0].numpy()
    assert np.abs(crop - slow_warp(image, matrices[0].double().numpy(), size)).max() <= 0.501


def test_warp_of_many_persons_equals_each_alone():
    image = torch.randint(0, 256, (3, 60, 80), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    boxes = torch.rand(11, 4, generator=torch.Generator().manual_seed(1)) * 40 + 2
    matrices = geometry.crop_matrices(*geometry.boxes_to_center_scale(boxes, (32, 24)), (32, 24))
    together = geometry.warp_crops(image, matrices, (32, 24))
    alone = torch.cat([geometry.warp_crops(image, matrix[None], (32, 24)) for matrix in matrices])
    assert torch.equal(together, alone)
    assert torch.equal(geometry.warp_crops(image[:1], matrices, (32, 24)), together[:, :1])
    assert geometry.warp_crops(image, matrices[:0], (32, 24)).shape == (0, 3, 32, 24)


def slow_decode(heatmap: np.ndarray, kernel_size: int = 11) -> np.ndarray:
    """DARK on one map with the whole map blurred, by indices that mirror at the border; (x, y) in cells."""
    half, (height, width) = (kernel_size - 1) // 2, heatmap.shape
    sigma = 0.3 * (half - 1) + 0.8
    kernel = np.exp(-(np.arange(-half, half + 1.0) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    mirror = lambda i, n: np.pad(np.arange(n), 4 * half + n, mode="reflect")[i + 4 * half + n]  # noqa: E731
    blurred = np.zeros_like(heatmap)
    for row in range(height):
        for column in range(width):
            rows = mirror(np.arange(row - half, row + half + 1), height)
            columns = mirror(np.arange(column - half, column + half + 1), width)
            blurred[row, column] = kernel @ heatmap[np.ix_(rows, columns)] @ kernel
    logs = np.pad(np.log(np.clip(blurred, 1e-3, 50)), 1, mode="edge")
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    c = logs[y : y + 3, x : x + 3]
    d = np.array([(c[1, 2] - c[1, 0]) / 2, (c[2, 1] - c[0, 1]) / 2])
    dxy = (c[2, 2] - c[1, 2] - c[2, 1] + 2 * c[1, 1] - c[1, 0] - c[0, 1] + c[0, 0]) / 2
    hessian = np.array([[c[1, 2] - 2 * c[1, 1] + c[1, 0], dxy], [dxy, c[2, 1] - 2 * c[1, 1] + c[0, 1]]])
    return np.array([x, y]) - np.linalg.solve(hessian + np.finfo(np.float32).eps * np.eye(2), d)


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs a device without float64")
def test_maps_on_a_device_without_float64_take_centres_from_the_cpu():
    maps = torch.rand(2, 3, 16, 12)
    center, scale = np.array([[30.0, 40.0], [9.5, 8.0]]), np.array([[0.3, 0.4], [1.5, 2.0]])
    expected, scores = geometry.decode_heatmaps(maps, center, scale)
    found, found_scores = geometry.decode_heatmaps(maps.to("mps"), center, scale)
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-2)
    torch.testing.assert_close(found_scores.cpu(), scores)


def test_centres_in_float64_do_not_widen_what_the_device_holds_narrow(monkeypatch):
    """A stand-in for such a device: where maps are, only float32 is "wide"; lists arrive in float64 all the same."""
    maps = torch.rand(2, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    center, scale = [[30.0, 40.0], [9.5, 8.0]], [[0.3, 0.4], [1.5, 2.0]]
    expected, _ = geometry.decode_heatmaps(maps, center, scale)
    wide = geometry._wide
    monkeypatch.setattr(geometry, "_wide", lambda where: wide(where) if isinstance(where, str) else torch.float32)
    moved = []
    monkeypatch.setattr(
        torch.Tensor,
        "to",
        lambda self, *args, _to=torch.Tensor.to, **kwargs: moved.append(_to(self, *args, **kwargs)) or moved[-1],
    )
    found, _ = geometry.decode_heatmaps(maps, center, scale)
    assert moved and all(part.dtype != torch.float64 for part in moved)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_sizes_of_crops_and_maps_belong_together():
    assert geometry.heatmap_size_of((256, 192)) == (64, 48)
    assert geometry.image_size_of((64, 48)) == (256, 192)


@pytest.mark.parametrize("size", [(16, 12), (9, 7), (5, 4), (3, 30)])
@pytest.mark.parametrize("kernel_size", [3, 11])
def test_decoding_equals_blurring_the_whole_map(size, kernel_size):
    rng = np.random.default_rng(3)
    ys, xs = np.mgrid[: size[0], : size[1]]
    maps = np.stack(
        [
            np.exp(-((xs - rng.uniform(0, size[1] - 1)) ** 2 + (ys - rng.uniform(0, size[0] - 1)) ** 2) / 8)
            for _ in range(12)
        ]
    )
    # A window as large as the map makes image pixels equal cells, with the map's corner at the origin.
    extent = np.array([[size[1] - 1.0, size[0] - 1.0]])
    keypoints, scores = geometry.decode_heatmaps(
        torch.from_numpy(maps).float()[None], extent / 2, extent / geometry.PIXELS_PER_SCALE, kernel_size
    )
    for place, score, heatmap in zip(keypoints[0].numpy(), scores[0], maps, strict=True):
        expected = slow_decode(heatmap, kernel_size)
        cell = np.array(np.unravel_index(heatmap.argmax(), heatmap.shape))[::-1]
        if np.abs(expected - cell).max() > (kernel_size + 1) / 2:
            expected = cell
        np.testing.assert_allclose(place, expected, atol=2e-3)
        assert score == pytest.approx(heatmap.max())


# Properties ---------------------------------------------------------------------------------------------------------

numbers = st.floats(-500, 1500, allow_nan=False, width=32)
sides = st.floats(2, 900, allow_nan=False, width=32)
boxes = st.tuples(numbers, numbers, sides, sides)


@settings(deadline=None)
@given(st.lists(boxes, min_size=1, max_size=5))
def test_box_formats_round_trip(rows):
    xywh = torch.tensor(rows, dtype=torch.float64)
    torch.testing.assert_close(geometry.xyxy_to_xywh(geometry.xywh_to_xyxy(xywh)), xywh)


@settings(deadline=None, max_examples=50)
@given(boxes, st.floats(-80, 80), st.tuples(numbers, numbers))
def test_crop_and_back(box, rotation, point):
    matrices = geometry.crop_matrices(*geometry.boxes_to_center_scale([box], SIZE), SIZE, [rotation])
    points = torch.tensor([[point]], dtype=torch.float64)
    back = geometry.transform_points(geometry.transform_points(points, matrices), geometry.invert_matrices(matrices))
    # The matrix is stored in float32, as upstream, but its inverse is exact.
    torch.testing.assert_close(back, points, rtol=0, atol=1e-6)


@settings(deadline=None)
@given(boxes)
def test_the_window_contains_the_box_and_has_the_aspect_of_the_input(box):
    center, scale = geometry.boxes_to_center_scale([box], SIZE)
    window = (scale * geometry.PIXELS_PER_SCALE)[0]
    assert window[0] / window[1] == pytest.approx(SIZE[1] / SIZE[0], rel=1e-5)
    assert window[0] >= box[2] * 1.2499 and window[1] >= box[3] * 1.2499
    corners = geometry.crop_matrices(center, scale, SIZE)
    edge = torch.stack([center - window / 2, center + window / 2], dim=1)
    expected = torch.tensor([[[0.0, 0.0], [SIZE[1] - 1, SIZE[0] - 1]]])
    torch.testing.assert_close(geometry.transform_points(edge, corners), expected, rtol=0, atol=0.05)


@settings(deadline=None)
@given(st.integers(2, 2000), st.integers(0, 2**31))
def test_flip_and_back(width, seed):
    generator = torch.Generator().manual_seed(seed)
    keypoints = torch.rand(2, 17, 2, generator=generator, dtype=torch.float64) * width
    visible = torch.randint(0, 3, (2, 17), generator=generator).double()
    once = geometry.flip_keypoints(keypoints, visible, width, COCO_PAIRS)
    twice, seen = geometry.flip_keypoints(*once, width, COCO_PAIRS)
    assert torch.equal(seen, visible)
    torch.testing.assert_close(twice, torch.where((visible > 0)[..., None], keypoints, 0.0), rtol=0, atol=1e-9)
    maps = torch.rand(2, 17, 6, 5, generator=generator)
    assert torch.equal(geometry.flip_heatmaps(geometry.flip_heatmaps(maps, COCO_PAIRS), COCO_PAIRS), maps)


@settings(deadline=None, max_examples=30)
@given(st.floats(44, 147), st.floats(44, 211))
def test_target_and_decoding_are_inverse(x, y):
    """A joint comes back from its own target within 0.05 crop pixels; near the edge the blur sees the mirrored map."""
    maps, weights = geometry.heatmap_targets(torch.tensor([[[x, y]]]), torch.ones(1, 1), SIZE, (64, 48))
    center, window = torch.tensor([[95.5, 127.5]]), torch.tensor([[191.0, 255.0]])
    keypoints, scores = geometry.decode_heatmaps(maps, center, window / geometry.PIXELS_PER_SCALE)
    assert weights.item() == 1 and 0.8 < scores.item() <= 1
    torch.testing.assert_close(keypoints[0, 0], torch.tensor([x, y]), rtol=0, atol=0.05)


@settings(deadline=None, max_examples=60)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from(["random", "constant", "zero", "negative", "ridge", "huge", "spike"]),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    st.integers(0, 2**31),
)
def test_decoding_is_always_finite_and_near_the_map(size, kind, dtype, seed):
    generator = torch.Generator().manual_seed(seed)
    maps = {
        "random": torch.randn(2, 3, *size, generator=generator),
        "constant": torch.full((2, 3, *size), 0.7),
        "zero": torch.zeros(2, 3, *size),
        "negative": -torch.rand(2, 3, *size, generator=generator) - 0.1,
        "ridge": torch.arange(size[1]).expand(2, 3, *size).float(),
        "huge": torch.randn(2, 3, *size, generator=generator) * 6e4,
        "spike": torch.nn.functional.one_hot(torch.zeros(6).long(), size[0] * size[1]).view(2, 3, *size).float(),
    }[kind].to(dtype)
    center, scale = torch.tensor([[50.0, 60.0]] * 2), torch.tensor([[0.5, 0.7]] * 2)
    keypoints, scores = geometry.decode_heatmaps(maps, center, scale)
    assert keypoints.dtype == scores.dtype == torch.float32
    assert torch.equal(scores, maps.float().flatten(2).amax(-1))
    assert torch.isfinite(keypoints).all()
    reach = scale * geometry.PIXELS_PER_SCALE * (0.5 + 6 / torch.tensor([size[1] - 1, size[0] - 1]).clamp(min=1))
    assert ((keypoints - center[:, None]).abs() <= reach[:, None] + 1e-3).all()


# Cases --------------------------------------------------------------------------------------------------------------


def test_a_map_without_positive_value_gives_the_cell_of_its_maximum():
    maps = torch.full((1, 1, 8, 6), -1.0)
    maps[0, 0, 2, 5] = -0.25
    extent = torch.tensor([[5.0, 7.0]])
    keypoints, scores = geometry.decode_heatmaps(maps, extent / 2, extent / geometry.PIXELS_PER_SCALE)
    assert keypoints[0, 0].tolist() == [5, 2]
    assert scores.item() == -0.25


def test_a_map_of_one_cell_gives_the_centre():
    keypoints, _ = geometry.decode_heatmaps(torch.ones(1, 2, 1, 1), [[30.0, 40.0]], [[1.0, 1.0]])
    assert keypoints.tolist() == [[[30.0, 40.0], [30.0, 40.0]]]


def test_nobody_decodes_to_nobody():
    keypoints, scores = geometry.decode_heatmaps(torch.zeros(0, 17, 64, 48), torch.zeros(0, 2), torch.zeros(0, 2))
    assert keypoints.shape == (0, 17, 2) and scores.shape == (0, 17)


def test_joints_that_are_not_numbers_have_no_weight():
    keypoints = torch.tensor([[[float("nan"), 5.0], [20.0, float("inf")], [20.0, 20.0]]])
    maps, weights = geometry.heatmap_targets(keypoints, torch.tensor([[2.0, 1.0, 0.0]]), SIZE, (64, 48))
    assert weights.tolist() == [[0, 0, 0]] and maps.abs().sum() == 0


def test_person_score_is_the_mean_of_what_exceeds_the_threshold():
    scores = torch.tensor([[0.9, 0.5, 0.2, -1.0], [0.1, 0.2, 0.0, 0.0]])
    torch.testing.assert_close(geometry.person_scores(scores), torch.tensor([0.7, 0.0]))


def test_average_of_a_mirrored_pass_equals_the_pass_itself():
    maps = torch.rand(2, 17, 8, 6)
    mirrored = geometry.flip_heatmaps(maps, COCO_PAIRS)
    torch.testing.assert_close(geometry.average_flipped(maps, mirrored, COCO_PAIRS), maps)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: geometry.flip_permutation([(0, 3)], 3), r"`flip_pairs` holds \(0, 3\), expected indices of 3 joints"),
        (lambda: geometry.flip_permutation([(0, 1), (1, 2)], 3), "uses a joint of .* twice"),
        (lambda: geometry.boxes_to_center_scale([[1, 2, 3]], SIZE), r"`boxes` must have shape \(persons, 4\)"),
        (lambda: geometry.crop_matrices([[1, 2]], [[1, 1]], SIZE, [1.0, 2.0]), r"`rotation` must have shape \(1,\)"),
        (lambda: geometry.warp_crops(torch.zeros(3, 4, 4), torch.zeros(1, 2, 3), SIZE), "`image` must be a uint8"),
        (lambda: geometry.decode_heatmaps(torch.zeros(2, 3, 4), [[0, 0]], [[1, 1]]), "`heatmaps` must have shape"),
        (
            lambda: geometry.decode_heatmaps(torch.zeros(1, 3, 4, 4), [[0, 0]], [[1, 1]], 4),
            "`kernel_size` must be odd",
        ),
        (lambda: geometry.decode_heatmaps(torch.zeros(2, 3, 4, 4), [[0, 0]], [[1, 1]]), "each of the 2 persons"),
        (
            lambda: geometry.average_flipped(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 5), []),
            "shape of `heatmaps`",
        ),
    ],
)
def test_errors_say_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()
