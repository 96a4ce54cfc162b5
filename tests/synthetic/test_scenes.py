# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Scenes: who is where, who hides whom, and what is to be ignored agree with the picture and its maps."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from hulk_hf.synthetic import dataset, scenes
from hulk_hf.synthetic.dataset import SEED_STRIDE, render_scene_arrays
from hulk_hf.synthetic.effects import sample_light
from hulk_hf.synthetic.ground import draw_ground, sample_thing, stand_camera
from hulk_hf.synthetic.person import box_of_mask, render_person, sample_figure
from hulk_hf.synthetic.scenes import HIDDEN_SHARE, LAYOUTS, MOST_PEOPLE, SMALLEST_AREA, SMALLEST_HEIGHT, render_scene
from hulk_hf.synthetic.splits import SPLITS, generator

HEIGHT, WIDTH = 192, 256
ARRAYS = ("image", "boxes", "visible_boxes", "ignore", "crowd", "keypoints", "areas", "instances", "parts")


@pytest.fixture(scope="module")
def rendered() -> list[dict]:
    return [render_scene(number, "train" if number % 4 else "test") for number in range(36)]


def digest(scene: dict) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(scene[key]).tobytes() for key in ARRAYS)).hexdigest()


def test_format(rendered: list[dict]) -> None:
    for scene in rendered:
        count = len(scene["boxes"])
        assert 1 <= count <= MOST_PEOPLE
        assert scene["image"].shape == (HEIGHT, WIDTH, 3) and scene["image"].dtype == np.uint8
        assert scene["boxes"].shape == scene["visible_boxes"].shape == (count, 4)
        assert scene["boxes"].dtype == scene["visible_boxes"].dtype == np.float32
        assert scene["ignore"].shape == scene["crowd"].shape == scene["areas"].shape == (count,)
        assert scene["ignore"].dtype == scene["crowd"].dtype == bool
        assert scene["keypoints"].shape == (count, 17, 3)
        assert scene["instances"].shape == scene["parts"].shape == (HEIGHT, WIDTH)
        assert scene["instances"].dtype == scene["parts"].dtype == np.uint8
        assert scene["scene"] in LAYOUTS


def test_same_arguments_same_bytes() -> None:
    assert digest(render_scene(7, "validation")) == digest(render_scene(7, "validation"))
    assert len({digest(render_scene(7, split)) for split in SPLITS}) == 3


def test_maps_boxes_and_areas_agree(rendered: list[dict]) -> None:
    for scene in rendered:
        np.testing.assert_array_equal(scene["instances"] > 0, scene["parts"] > 0)
        assert set(np.unique(scene["instances"])) - {0} == set(range(1, len(scene["boxes"]) + 1))
        for number, box in enumerate(scene["visible_boxes"]):
            mask = scene["instances"] == number + 1
            np.testing.assert_array_equal(box, box_of_mask(mask))
            assert scene["areas"][number] == mask.sum()


def test_full_boxes_hold_the_visible_ones(rendered: list[dict]) -> None:
    reaching = 0
    for scene in rendered:
        full, seen = scene["boxes"], scene["visible_boxes"]
        assert (full[:, :2] <= seen[:, :2] + 1e-3).all()
        assert (full[:, :2] + full[:, 2:] >= seen[:, :2] + seen[:, 2:] - 1e-3).all()
        outside = (full[:, :2] < 0).any(1) | (full[:, :2] + full[:, 2:] > [WIDTH, HEIGHT]).any(1)
        reaching += outside.sum()
    assert reaching > 12


def test_who_is_hidden_by_nothing_has_one_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where full and visible box differ, the full one reaches outside the picture, and only there."""
    alone = {"alone": replace(LAYOUTS["alone"], share=1.0)}
    monkeypatch.setattr(scenes, "LAYOUTS", alone)
    monkeypatch.setattr(scenes, "seat_of", lambda *_: None)
    monkeypatch.setattr(scenes, "sample_thing", lambda rng, place: sample_thing(rng, place + [0, 900]))
    whole = 0
    for number in range(24):
        scene = render_scene(number, "validation")
        (x, y, w, h), seen = scene["boxes"][0], scene["visible_boxes"][0]
        clipped = np.clip([x, y, x + w, y + h], 0, [WIDTH, HEIGHT] * 2)
        assert np.abs(clipped - [*seen[:2], *(seen[:2] + seen[2:])]).max() <= 1.5, number
        if x > 0 and y > 0 and x + w < WIDTH and y + h < HEIGHT:
            whole += 1
            np.testing.assert_array_equal(scene["boxes"], scene["visible_boxes"])
    assert whole >= 6


def test_ignored_are_hidden_tiny_or_a_crowd(rendered: list[dict]) -> None:
    reasons = []
    for scene in rendered:
        full, seen = scene["boxes"], scene["visible_boxes"]
        crowded = scene["crowd"]
        assert scene["ignore"][crowded].all() and not crowded[:-1].any()
        assert (scene["keypoints"][crowded] == 0).all()
        kept = ~scene["ignore"]
        assert (full[kept, 3] >= SMALLEST_HEIGHT).all() and (scene["areas"][kept] >= SMALLEST_AREA).all()
        for number in np.nonzero(scene["ignore"] & ~crowded)[0]:
            share = seen[number, 2:].prod() / full[number, 2:].prod()
            reasons.append(share)
    assert len(reasons) > 3 and np.median(reasons) < 0.3
    ignored = np.concatenate([scene["ignore"] for scene in rendered])
    assert 0.02 < ignored.mean() < 0.25


def stage(distances: list[float], columns: list[float], size: tuple[int, int] = (HEIGHT, WIDTH)):
    """Standing people in a level view, each at a distance from the camera and a column of the picture."""
    rng = np.random.default_rng(5)
    camera, light = stand_camera(size, 230.0, 1.5, size[0] * 0.45), sample_light(rng)
    pieces = []
    while len(pieces) < len(distances):
        figure = sample_figure(rng, "train")
        if figure.pose.stance != "stand" or figure.things:
            continue
        distance, column = distances[len(pieces)], columns[len(pieces)]
        place = np.array([(column - size[1] / 2) / camera.focal * distance, distance])
        pieces.append(scenes._render_person(scenes._put(rng, figure, place), camera, light, size))
    return pieces


def merged(pieces: list, order: list[int]) -> scenes._Canvas:
    size = (HEIGHT, WIDTH)
    canvas = scenes._Canvas(
        np.zeros((*size, 3), np.float32),
        np.full(size, np.inf, np.float32),
        np.zeros(size, np.uint8),
        np.zeros(size, np.uint8),
    )
    for number in order:
        canvas.merge(pieces[number], number + 1)
    return canvas


def test_the_nearer_hides_the_farther_in_any_order() -> None:
    pieces = stage([4.0, 6.0, 9.0], [120.0, 128.0, 134.0])
    first, second = (merged(pieces, order) for order in ([0, 1, 2], [2, 1, 0]))
    np.testing.assert_array_equal(first.owners, second.owners)
    np.testing.assert_array_equal(first.parts, second.parts)
    rows = [scenes._row(second, piece, number + 1) for number, piece in enumerate(pieces)]
    # The nearest is seen whole, exactly as it is drawn alone; the others lose what it covers.
    alone = np.zeros((HEIGHT, WIDTH), bool)
    alone[pieces[0].area] = pieces[0].layer.labels > 0
    np.testing.assert_array_equal(second.owners == 1, alone)
    np.testing.assert_array_equal(rows[0]["boxes"], rows[0]["visible_boxes"])
    assert rows[1]["areas"] < (pieces[1].layer.labels > 0).sum()
    assert rows[0]["boxes"][3] > rows[1]["boxes"][3] > rows[2]["boxes"][3]
    feet = [row["boxes"][1] + row["boxes"][3] for row in rows]
    assert feet[0] > feet[1] > feet[2]  # on one ground, the nearer stand lower in the picture


def test_who_is_hidden_is_ignored() -> None:
    """A person behind another one of the same size, hidden whole, and the same two apart."""
    front, back = stage([4.0, 12.0], [128.0, 128.0])
    canvas = merged([front, back], [1, 0])
    row = scenes._row(canvas, back, 2)
    hidden = 1 - row["areas"] / (back.layer.labels > 0).sum()
    assert hidden > HIDDEN_SHARE and row["ignore"]
    assert (row["keypoints"][:, 2] < 2).mean() > 0.8
    apart = stage([4.0, 12.0], [70.0, 190.0])
    rows = [scenes._row(merged(apart, [1, 0]), piece, number + 1) for number, piece in enumerate(apart)]
    assert not any(row["ignore"] for row in rows)
    for row in rows:
        np.testing.assert_array_equal(row["boxes"], row["visible_boxes"])
    tiny = replace(apart[1], box=np.array([0, 0, 4, SMALLEST_HEIGHT - 1], np.float32))
    assert scenes._row(merged(apart, [1, 0]), tiny, 2)["ignore"]


def test_keypoints_lie_on_their_person(rendered: list[dict]) -> None:
    hits = []
    for scene in rendered:
        for number in np.nonzero(~scene["ignore"])[0]:
            for x, y, seen in scene["keypoints"][number]:
                if seen == 2:
                    column, row = int(round(x)), int(round(y))
                    patch = scene["instances"][max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
                    hits.append(number + 1 in patch)
    assert len(hits) > 300 and np.mean(hits) > 0.97


def test_ground_begins_at_the_horizon() -> None:
    rng = np.random.default_rng(0)
    camera = stand_camera((HEIGHT, WIDTH), 300.0, 1.6, 80.0)
    picture, ground = draw_ground(rng, "train", camera, (HEIGHT, WIDTH), np.inf)
    assert picture.shape == (HEIGHT, WIDTH, 3) and picture.min() >= 0 and picture.max() <= 255
    assert not ground[:79].any() and ground[81:].all()
    pixels, depths = camera.project(np.array([[0.0, 8.0, 0.0], [0.0, 8.0, 1.6], [0.0, 1e5, 0.0]]))
    np.testing.assert_allclose(pixels[1:, 1], 80.0, atol=0.05)  # eyes at the camera's height are on the horizon
    # A wall hides the ground behind it.
    _, nearer = draw_ground(rng, "train", camera, (HEIGHT, WIDTH), float(depths[0]))
    np.testing.assert_allclose(np.nonzero(nearer[:, 128])[0][0], pixels[0, 1], atol=1.1)


def test_splits_and_kinds_share_no_numbers() -> None:
    draws = [
        generator(split, number, kind).integers(2**62)
        for split in SPLITS
        for number in (0, 1, 2**33)
        for kind in ("persons", "scenes")
    ]
    assert len(set(draws)) == len(draws)


def test_people_of_scenes_belong_to_the_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies and stances of the people in scenes are those that the split owns."""
    asked, drawn = [], {split: set() for split in SPLITS}

    def watched(rng: np.random.Generator, split: str):
        figure = sample_figure(rng, split)
        asked.append(split)
        drawn[split].add((round(figure.height, 6), figure.pose.stance))
        return figure

    monkeypatch.setattr(scenes, "sample_figure", watched)
    for split in SPLITS:
        del asked[:]
        for number in range(6):
            render_scene(number, split, (64, 64))
        assert set(asked) == {split}
    assert all(len(people) > 5 for people in drawn.values())
    assert not any(drawn[a] & drawn[b] for a, b in combinations(SPLITS, 2))


@pytest.mark.parametrize("num_proc", [1, 2])
def test_arrays(tmp_path: Path, num_proc: int) -> None:
    size = (96, 128)
    arrays = render_scene_arrays("validation", 5, 3, num_proc, tmp_path, size, progress=False)
    assert len(arrays) == 5 and arrays.boxes.shape == (5, MOST_PEOPLE, 4)
    for index in range(5):
        scene = render_scene(3 * SEED_STRIDE + index, "validation", size)
        count = arrays.counts[index]
        assert count == len(scene["boxes"])
        np.testing.assert_array_equal(arrays.images[index], scene["image"])
        for name in ("boxes", "visible_boxes", "ignore", "crowd", "areas"):
            np.testing.assert_array_equal(getattr(arrays, name)[index][:count], scene[name])
        assert (arrays.boxes[index][count:] == 0).all() and arrays.ignore[index][count:].all()


def test_rendering_uses_one_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads NumPy's libraries may use outside: in workers, which here are forked, and without them."""
    seen = tmp_path / "threads"

    def watched(number: int, split: str, size: tuple[int, int]) -> dict:
        used = max(info["num_threads"] for info in threadpool_info())
        with seen.open("a") as file:
            file.write(f"{used}\n")
        return render_person(number, split, size)

    monkeypatch.setattr(dataset, "render_person", watched)
    for num_proc in (1, 2):
        dataset.render_arrays("train", 3, num_proc, num_proc, tmp_path, (64, 48), progress=False)
    assert seen.read_text().split() == ["1"] * 6


@pytest.mark.parametrize("size", [(32, 256), (192.0, 256), (192, True)])
def test_bad_size(size: tuple) -> None:
    with pytest.raises(ValueError, match="image_size must be two integers >= 64"):
        render_scene(0, image_size=size)
