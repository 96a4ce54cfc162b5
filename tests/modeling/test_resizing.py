# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Resizing: values by hand, the recordings of OpenCV, Pillow itself, and boxes at every border."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from transformers.image_utils import PILImageResampling

from hulk_hf.modeling.resizing_hulk import (
    cut_box,
    resize_bilinear,
    resize_opencv_8bit,
    resize_pillow,
    whole_pixel_boxes,
)


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


# OpenCV -------------------------------------------------------------------------------------------------------------


def test_8_bit_filter_by_hand() -> None:
    """Two pixels become four: the outer ones are copied, the inner ones mixed 3:1 and 1:3."""
    row = torch.tensor([[[10, 50]]], dtype=torch.uint8)
    assert resize_opencv_8bit(row, (1, 4)).tolist() == [[[10, 20, 40, 50]]]
    assert resize_opencv_8bit(row.transpose(1, 2), (4, 1)).flatten().tolist() == [10, 20, 40, 50]


def test_8_bit_filter_rounds_in_fixed_point() -> None:
    """Three pixels become two: places 0.25 and 1.75, weights 1536 and 512 of 2048, half of the rest is rounded up."""
    row = torch.tensor([[[0, 2, 255]]], dtype=torch.uint8)
    assert resize_opencv_8bit(row, (1, 2)).flatten().tolist() == [1, 192]  # 0.5 -> 1, 191.75 -> 192


def test_8_bit_filter_does_not_look_beyond_two_pixels() -> None:
    picture = torch.zeros(3, 1, 8, dtype=torch.uint8)
    picture[:, :, [0, 3, 4, 7]] = 255  # eight pixels become two: places 1.5 and 5.5
    assert resize_opencv_8bit(picture, (1, 2)).max() == 0
    assert resize_pillow(picture, (1, 2), PILImageResampling.BILINEAR).min() > 80


@pytest.mark.parametrize("size", [(7, 5), (1, 1)])
def test_8_bit_filter_leaves_a_picture_of_the_same_size(size: tuple[int, int]) -> None:
    assert torch.equal(resize_opencv_8bit(noise(*size), size), noise(*size))


def test_8_bit_filter_halves_as_a_mean_of_four() -> None:
    picture = noise(12, 20)
    mean = (picture.int().reshape(3, 6, 2, 10, 2).sum(dim=(2, 4)) + 2) >> 2
    assert torch.equal(resize_opencv_8bit(picture, (6, 10)).int(), mean)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(1, 40)] * 4), st.integers(0, 1000))
def test_8_bit_and_exact_filter_agree_but_for_rounding(sides: tuple[int, ...], seed: int) -> None:
    height, width, *size = sides
    picture = noise(height, width, seed)
    difference = resize_opencv_8bit(picture, size).float() - resize_bilinear(picture, size)
    assert difference.abs().max() < 1.5


def test_layout_in_memory_does_not_matter() -> None:
    picture = noise(30, 20)
    seen = picture.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    for resized in (resize_opencv_8bit, resize_bilinear):
        assert torch.equal(resized(picture, (17, 23)), resized(seen, (17, 23)))


@pytest.mark.parity
def test_recorded_pictures_of_parsing(shared) -> None:
    recorded = load_file(shared / "golden" / "processing" / "parsing_input_a.safetensors")
    names = [name.removeprefix("image_png_") for name in recorded if name.startswith("image_png_")]
    for name in names:
        with Image.open(io.BytesIO(recorded[f"image_png_{name}"].numpy().tobytes())) as image:
            picture = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        expected = recorded[f"image_{name}"]
        assert torch.equal(resize_opencv_8bit(picture, expected.shape[1:]), expected)
    assert len(names) >= 2


# Exact --------------------------------------------------------------------------------------------------------------


def test_exact_filter_by_hand() -> None:
    row = torch.tensor([[[10.0, 50.0]]])
    assert resize_bilinear(row, (1, 4)).flatten().tolist() == [10, 20, 40, 50]
    assert resize_bilinear(torch.tensor([[[0, 2, 255]]], dtype=torch.uint8), (1, 2)).flatten().tolist() == [
        0.5,
        191.75,
    ]


# Pillow -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resample", [PILImageResampling.BILINEAR, PILImageResampling.BICUBIC])
@pytest.mark.parametrize("size", [(11, 64), (40, 7)])
def test_pillow_is_pillow(resample: PILImageResampling, size: tuple[int, int]) -> None:
    picture = noise(30, 20)
    image = Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy())
    expected = np.asarray(image.resize(size[::-1], resample))
    assert np.array_equal(resize_pillow(picture, size, resample).permute(1, 2, 0).numpy(), expected)
    cropped = np.asarray(image.crop((3, 4, 15, 29)).resize(size[::-1], resample))
    assert np.array_equal(resize_pillow(picture, size, resample, (3, 4, 15, 29)).permute(1, 2, 0).numpy(), cropped)


def test_pillow_takes_grey_pictures() -> None:
    picture = noise(9, 9)
    grey = resize_pillow(picture[:1], (5, 4), PILImageResampling.BILINEAR)
    assert torch.equal(grey, resize_pillow(picture, (5, 4), PILImageResampling.BILINEAR)[:1])


# Boxes --------------------------------------------------------------------------------------------------------------


def test_a_box_is_rounded_outwards_and_clipped() -> None:
    boxes = torch.tensor([[1.2, 2.9, 3.0, 1.0], [-5, -5, 8, 7.5], [8.5, 5.5, 10, 10], [20, 0, 5, 5], [0, -9, 4, 9]])
    assert whole_pixel_boxes(boxes, (6, 10)).tolist() == [
        [1, 2, 5, 4],
        [0, 0, 3, 3],
        [8, 5, 10, 6],
        [10, 0, 10, 5],
        [0, 0, 4, 0],
    ]


@settings(max_examples=80, deadline=None)
@given(st.tuples(*[st.floats(-20, 40, allow_nan=False)] * 2), st.tuples(*[st.integers(-20, 40)] * 2))
def test_far_edges_survive_width_and_height(near: tuple[float, float], far: tuple[int, int]) -> None:
    """A whole far edge given as x + (far - x) stays where it is, whatever the last bit of the sum says."""
    x, y = near
    box = torch.tensor([[x, y, far[0] - x, far[1] - y]], dtype=torch.float64)
    if (box[:, 2:] > 0.001).all():
        right, bottom = whole_pixel_boxes(box, (30, 30))[0, 2:].tolist()
        assert (right, bottom) == tuple(min(max(edge, 0), 30) for edge in far)


@settings(max_examples=80, deadline=None)
@given(st.tuples(*[st.integers(-15, 25)] * 4))
def test_a_cut_box_is_the_picture_on_black(edges: tuple[int, ...]) -> None:
    left, right = sorted(edges[:2])
    top, bottom = sorted(edges[2:])
    picture = noise(9, 13)
    canvas = torch.zeros(3, 60, 60, dtype=torch.uint8)  # the picture with 20 pixels of black around it
    canvas[:, 20:29, 20:33] = picture
    expected = canvas[:, top + 20 : bottom + 20, left + 20 : right + 20]
    assert torch.equal(cut_box(picture, (left, top, right, bottom)), expected)


@pytest.mark.parametrize(
    "resized",
    [resize_opencv_8bit, resize_bilinear, lambda *a: resize_pillow(*a[:2], PILImageResampling.BICUBIC, a[2])],
)
def test_a_box_without_pixels_is_black(resized) -> None:
    black = resized(noise(5, 5), (4, 3), (5, 0, 5, 3))
    assert black.shape == (3, 4, 3) and black.abs().max() == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: resize_opencv_8bit(noise(4, 4).float(), (2, 2)), "`image`"),
        (lambda: resize_opencv_8bit(noise(4, 4)[0], (2, 2)), "`image`"),
        (lambda: resize_pillow(torch.zeros(2, 4, 4, dtype=torch.uint8), (2, 2), 2), "`image`"),
        (lambda: resize_bilinear(noise(4, 4), (0, 2)), "`size`"),
        (lambda: cut_box(noise(4, 4), (0, 0, 1.5, 2)), "`box`"),
        (lambda: cut_box(noise(4, 4), (3, 0, 1, 2)), "`box`"),
        (lambda: whole_pixel_boxes([[1, 2, 3]], (4, 4)), "`boxes`"),
    ],
)
def test_bad_input_is_named(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
