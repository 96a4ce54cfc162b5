# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Both canvases draw the same things at the same places."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hulk_hf.drawing import SupervisionCanvas, canvas, draw_result, part_palette, person_colour
from hulk_hf.drawing_plain import PlainCanvas
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS
from hulk_hf.results import Attributes, Caption, ImageResult, Parsing, Person, Pose

TASK = KNOWN_TASKS["pose-coco"]
CANVASES = [SupervisionCanvas, PlainCanvas]


@pytest.mark.parametrize("kind", CANVASES)
def test_strokes(kind):
    black = Image.new("RGB", (200, 160))
    drawn = kind(black)
    drawn.boxes(np.array([[20.0, 30.0, 100.0, 120.0]]), ["#ff0000"], 2)
    drawn.limbs(np.array([[[120.0, 20.0], [180.0, 20.0], [np.nan, np.nan]]]), [(0, 1), (1, 2)], "#00ff00", 3)
    drawn.dots(np.array([[[150.0, 100.0], [np.nan, np.nan]]]), "#0000ff", 4)
    pixels = np.asarray(drawn.picture()).astype(int)
    assert pixels[75, 20].tolist() == [255, 0, 0] and not pixels[75, 60].any()
    assert pixels[20, 150].tolist() == [0, 255, 0] and pixels[100, 150].tolist() == [0, 0, 255]
    assert not pixels[:5, :5].any(), "joints that are not there are not drawn"
    assert not np.asarray(black).any()


@pytest.mark.parametrize("kind", CANVASES)
def test_words_stay_in_the_picture(kind):
    drawn = kind(Image.new("RGB", (300, 200)))
    text = "a man in a blue coat and dark trousers who carries a large black bag\nsecond line"
    drawn.words(np.array([[280.0, 2.0, 299.0, 190.0]]), [text], ["#ffffff"], 10)
    pixels = np.asarray(drawn.picture())
    assert (pixels == 255).all(-1).sum() > 500 and (pixels[..., 0] == 255).any(0).argmax() < 280


def result(size: tuple[int, int] = (120, 90)) -> ImageResult:
    ids = np.full((60, 40), 5, np.uint8)
    joints = [[20.0 + 2 * index, 20.0 + 3 * index] for index in range(17)]
    person = Person(
        (15.0, 15.0, 55.0, 75.0),
        pose=Pose(joints, [1.0] * 16 + [0.0], list(TASK.labels)),
        parsing=Parsing(Image.fromarray(ids), {"xmin": 15, "ymin": 15, "xmax": 55, "ymax": 75}, ["x"], [5], [2400]),
        attributes=Attributes(["female"], [0.9]),
        caption=Caption("somebody"),
    )
    return ImageResult([person], size, None, {"pose": TASK}, Image.new("RGB", size))


def test_everything_is_drawn_at_any_size():
    small = np.asarray(draw_result(result(), smallest_side=90))
    large = draw_result(result(), smallest_side=360)
    assert small.shape == (90, 120, 3) and large.size == (480, 360)
    mixed = (0.6 * part_palette()[5]).round()
    assert np.abs(small[70, 20].astype(int) - mixed).max() <= 1, "parts lie over the picture"
    assert not small[85, 110].any()


def test_without_supervision_pillow_draws(monkeypatch):
    monkeypatch.setattr("hulk_hf.drawing.find_spec", lambda name: None)
    assert type(canvas(Image.new("RGB", (9, 9)))) is PlainCanvas
    assert np.asarray(draw_result(result())).any()


def test_nobody_is_the_picture_itself():
    empty = ImageResult([], (700, 650), picture=Image.new("RGB", (700, 650), "red"))
    assert np.array_equal(np.asarray(empty.plot()), np.asarray(empty.image))


def test_colours_are_apart():
    palette = part_palette(20).astype(int)
    distances = np.abs(palette[:, None] - palette[None]).sum(-1) + 999 * np.eye(20, dtype=int)
    assert distances.min() > 40 and not palette[0].any()
    assert len({person_colour(number) for number in range(12)}) == 12
