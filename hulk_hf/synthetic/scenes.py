# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Scenes: one to fifteen synthetic people who stand on one ground, hide each other, and are all known exactly.

Every person is rendered alone, which says how it would look if nothing were in front of it; the layers are then merged
by depth. A camera and its ground are as in `ground`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from .body import COCO_KEYPOINTS
from .carried import Thing, draw_things
from .effects import photograph, sample_light
from .ground import box_thing, draw_ground, sample_thing, stand_camera
from .open_body import open_body
from .person import _GROUNDED, Figure, _visible_keypoints, box_of_mask, draw_figure, sample_figure
from .poses import Z, rotation
from .props import seat_of
from .rasteriser import extent
from .renderer import Camera, Layer, Light, cast_shadow
from .splits import generator

MOST_PEOPLE = 15  # rows of a scene, a crowd region included
HIDDEN_SHARE = 0.85  # who is hidden or cut off beyond this share is to be ignored
SMALLEST_HEIGHT = 14.0  # pixels of the full box; smaller people are to be ignored
SMALLEST_AREA = 40  # visible pixels; people of whom less is seen are to be ignored
_NEAREST = 1.3  # metres between the camera and a person, at least


@dataclass(frozen=True)
class Layout:
    """How the people of a scene are placed.

    Attributes:
        share: how often the layout is drawn.
        people: fewest and most people.
        nearest: stature of an adult at the nearest place, in heights of the picture.
        reach: distance of the farthest place over that of the nearest.
        clusters: fewest and most groups that people stand in; 0 means that they are spread evenly.
        crowd: how often there is a crowd behind, which is one region to be ignored.
    """

    share: float
    people: tuple[int, int]
    nearest: tuple[float, float]
    reach: tuple[float, float]
    clusters: tuple[int, int] = (0, 0)
    crowd: float = 0.0


LAYOUTS = {
    "alone": Layout(0.12, (1, 1), (0.3, 1.25), (1.0, 1.0)),
    "pair": Layout(0.20, (2, 2), (0.35, 1.15), (1.0, 1.5), (0, 1), 0.05),
    "group": Layout(0.22, (3, 8), (0.35, 1.0), (1.2, 2.0), (1, 2), 0.1),
    "scattered": Layout(0.28, (3, 9), (0.3, 0.95), (1.5, 3.5), crowd=0.1),
    "crowd": Layout(0.18, (8, MOST_PEOPLE), (0.3, 0.9), (1.4, 3.0), (0, 3), 0.35),
}


@dataclass(frozen=True)
class _Piece:
    """Something rendered alone into a window of the picture.

    `area` are the rows and columns of the window, `distance` that from the camera (which only decides who is drawn
    first).
    """

    layer: Layer
    area: tuple[slice, slice]
    distance: float


@dataclass(frozen=True)
class _Person(_Piece):
    """A person, rendered alone.

    `camera` is that of the window, `box` the full box xywh in pixels of the picture, `inside` the share of the body
    that lies inside the picture.
    """

    figure: Figure
    camera: Camera
    box: np.ndarray
    inside: float


def moved(figure: Figure, offset: np.ndarray) -> Figure:
    """The figure elsewhere: moved by `offset` (3,) metres."""
    return replace(
        figure,
        vertices=figure.vertices + offset,
        keypoints=figure.keypoints + offset,
        coarse=figure.coarse + offset,
        things=tuple(replace(thing, vertices=thing.vertices + offset) for thing in figure.things),
    )


def turned(figure: Figure, angle: float) -> Figure:
    """The figure turned to its left by `angle` radians about the z axis of the world."""
    turn = rotation(Z, angle).astype(np.float32).T
    return replace(
        figure,
        vertices=figure.vertices @ turn,
        normals=figure.normals @ turn,
        keypoints=figure.keypoints @ turn,
        coarse=figure.coarse @ turn,
        things=tuple(replace(thing, vertices=thing.vertices @ turn) for thing in figure.things),
    )


def _window(pixels: np.ndarray, size: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns of the picture that points (N, 2) span; None if they are all outside."""
    low, high = extent(pixels)
    left, top = (max(int(np.floor(v)) - 1, 0) for v in low)
    right, bottom = min(int(np.ceil(high[0])) + 1, size[1]), min(int(np.ceil(high[1])) + 1, size[0])
    return (slice(top, bottom), slice(left, right)) if left < right and top < bottom else None


def _crop(camera: Camera, area: tuple[slice, slice]) -> tuple[Camera, tuple[int, int]]:
    """The camera as seen from a window of its picture, and the size of the window."""
    (rows, columns), (x, y) = area, camera.centre
    return replace(camera, centre=(x - columns.start, y - rows.start)), (
        rows.stop - rows.start,
        columns.stop - columns.start,
    )


def _render_person(figure: Figure, camera: Camera, light: Light, size: tuple[int, int]) -> _Person | None:
    """A person alone; None if none of it lies inside the picture."""
    points = [figure.vertices[figure.outline], *(thing.vertices for thing in figure.things)]
    pixels, depths = camera.project(np.concatenate(points))
    area = _window(pixels, size)
    if area is None or depths.min() < 0.1:
        return None
    pixels = pixels[: len(figure.outline)]
    window, window_size = _crop(camera, area)
    layer = draw_figure(figure, window, light, window_size)
    mask = layer.labels > 0
    if not mask.any():
        return None
    inside = ((pixels >= 0) & (pixels < [size[1], size[0]])).all(1).mean()
    x, y, w, h = box_of_mask(mask)
    seen = np.array([x, y, x + w, y + h]) + [area[1].start, area[0].start] * 2
    # A side inside the picture lies where the pixels end, one outside where the body would end.
    (left, top), (right, bottom) = extent(pixels)
    corners = [
        left if left < 0 else seen[0],
        top if top < 0 else seen[1],
        right if right > size[1] else seen[2],
        bottom if bottom > size[0] else seen[3],
    ]
    box = np.array([*corners[:2], corners[2] - corners[0], corners[3] - corners[1]], np.float32)
    return _Person(layer, area, float(np.median(depths)), figure, window, box, float(inside))


def _render_thing(thing: Thing, camera: Camera, light: Light, size: tuple[int, int]) -> _Piece | None:
    """A thing that stands on the ground; None if it isn't in the picture, or too near the camera."""
    pixels, depths = camera.project(thing.vertices)
    area = _window(pixels, size)
    if area is None or depths.min() < 0.4:
        return None
    window, window_size = _crop(camera, area)
    layer = Layer(
        colour=np.zeros((*window_size, 3), np.float32),
        alpha=np.zeros(window_size, np.float32),
        labels=np.zeros(window_size, np.uint8),
        depth=np.full(window_size, np.inf, np.float32),
        things=np.zeros(window_size, np.uint8),
    )
    draw_things((thing,), layer, window, light)
    return _Piece(layer, area, float(np.median(depths)))


@dataclass
class _Stage:
    """What a scene is built on: camera, light, and the range of distances from the camera where people stand."""

    camera: Camera
    light: Light
    size: tuple[int, int]
    near: float
    far: float

    def place(self, rng: np.random.Generator) -> np.ndarray:
        """A place (x, y) of the ground, uniform over columns of the picture and distances."""
        distance, column = rng.uniform(self.near, self.far), rng.uniform(-0.03, 1.03) * self.size[1]
        return np.array([(column - self.size[1] / 2) / self.camera.focal * distance, distance])

    def visible(self, place: np.ndarray) -> bool:
        """Whether somebody at a place would be in the picture, more or less."""
        pixels, depths = self.camera.project(np.array([[*place, 0.9]]))
        column = pixels[0, 0] / self.size[1]
        return bool(depths[0] > _NEAREST and -0.06 < column < 1.06)


def _sample_stage(rng: np.random.Generator, layout: Layout, size: tuple[int, int]) -> _Stage:
    """Draws the camera so that the nearest people stand in the lower part of the picture, mostly whole."""
    focal = max(size) * rng.uniform(0.75, 1.6)
    eyes = rng.normal(1.5, 0.25) if rng.random() < 0.6 else rng.uniform(0.6, 4.5)
    eyes = max(eyes, 0.5)
    stature = np.exp(rng.uniform(*np.log(layout.nearest))) * size[0]
    near = max(1.7 * focal / stature, _NEAREST + 0.3)
    stature = 1.7 * focal / near
    feet = size[0] * (rng.uniform(0.75, 1.0) if rng.random() < 0.75 else rng.uniform(1.0, 1.4))
    if stature > 0.9 * size[0]:  # rather the feet are cut off than the head
        feet = max(feet, stature + size[0] * rng.uniform(-0.05, 0.1))
    horizon = np.clip(feet - eyes / 1.7 * stature, size[0] / 2 - focal * 0.9, 0.75 * size[0])
    camera = stand_camera(size, focal, eyes, float(horizon), rng.normal(0, 0.025))
    return _Stage(camera, sample_light(rng), size, near, near * rng.uniform(*layout.reach) + 0.01)


def _sample_places(rng: np.random.Generator, stage: _Stage, layout: Layout, count: int) -> list[np.ndarray]:
    """Draws up to `count` places in the picture that are at least an arm's length apart, as far as possible."""
    clusters = int(rng.integers(layout.clusters[0], layout.clusters[1] + 1))
    centres = [stage.place(rng) for _ in range(clusters)]
    spread = 0.35 * np.sqrt(count / max(clusters, 1)) + 0.15
    places: list[np.ndarray] = []
    for _ in range(count * 12):
        if len(places) == count:
            break
        place = centres[rng.integers(clusters)] + rng.normal(0, spread, 2) if clusters else stage.place(rng)
        apart = min((np.hypot(*(place - other)) for other in places), default=np.inf)
        if stage.visible(place) and apart > rng.uniform(0.3, 0.55):
            places.append(place)
    return places


def _put(rng: np.random.Generator, figure: Figure, place: np.ndarray) -> Figure:
    """Puts a figure on the ground at a place, or a little above it if it jumps or runs."""
    surface = figure.vertices[figure.outline]
    low, high = extent(surface)
    lift = 0.0
    if figure.pose.stance not in _GROUNDED:
        lift = rng.uniform(0.05, 0.35) if figure.pose.stance == "jump" else rng.uniform(0, 0.08)
    middle = (low[:2] + high[:2]) / 2
    return moved(figure, np.array([*(place - middle), lift - low[2]], np.float32))


def _sample_people(
    rng: np.random.Generator, split: str, stage: _Stage, layout: Layout
) -> tuple[list[_Person], list[Thing]]:
    """The people of a scene, and the seats of those who sit."""
    count = int(rng.integers(layout.people[0], layout.people[1] + 1))
    people, seats = [], []
    for place in _sample_places(rng, stage, layout, count):
        figure = _put(rng, sample_figure(rng, split), place)
        piece = _render_person(figure, stage.camera, stage.light, stage.size)
        if piece is None:
            continue
        people.append(piece)
        if figure.pose.stance == "sit" and rng.random() < 0.85:
            corners = seat_of(rng, figure.keypoints, 0.0, figure.height)
            if corners is not None:
                seats.append(box_thing(rng, corners))
    return people, seats


def _sample_crowd(rng: np.random.Generator, split: str, stage: _Stage) -> list[_Person]:
    """Many people far behind, three figures over and over, of whom nobody is told apart."""
    figures = [sample_figure(rng, split) for _ in range(3)]
    distance = max(1.3 * stage.far, 1.7 * stage.camera.focal / (rng.uniform(0.09, 0.18) * stage.size[0]))
    middle, half = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.25)
    crowd = []
    for _ in range(rng.integers(6, 15)):
        away = distance * rng.uniform(1, 1.3)
        column = (middle + rng.uniform(-half, half)) * stage.size[1]
        place = np.array([(column - stage.size[1] / 2) / stage.camera.focal * away, away])
        # A small turn: held-out directions stay where they are.
        figure = _put(rng, turned(figures[rng.integers(3)], rng.uniform(-0.02, 0.02)), place)
        piece = _render_person(figure, stage.camera, stage.light, stage.size)
        if piece is not None:
            crowd.append(piece)
    return crowd


@cache
def _coarse_faces() -> np.ndarray:
    """Triangles (F, 3) of `Figure.coarse`."""
    return open_body().faces[0].numpy()


def _shadow(stage: _Stage, people: list[_Person], things: list[Thing], softness: float) -> np.ndarray:
    """One shadow (H, W) of everything that stands on the ground."""
    meshes = [(piece.figure.coarse, _coarse_faces()) for piece in people]  # a shadow is soft
    meshes += [(thing.vertices, thing.faces) for piece in people for thing in piece.figure.things]
    meshes += [(thing.vertices, thing.faces) for thing in things]
    starts = np.cumsum([0] + [len(vertices) for vertices, _ in meshes])
    vertices = np.concatenate([vertices for vertices, _ in meshes]).astype(np.float32)
    faces = np.concatenate([faces + start for (_, faces), start in zip(meshes, starts, strict=False)])
    return cast_shadow(vertices, faces.astype(np.int32), 0.0, stage.camera, stage.light, stage.size, softness)


@dataclass
class _Canvas:
    """The picture while it is merged: what is nearest in each pixel, whose it is (0: nobody's), and which part."""

    picture: np.ndarray
    depth: np.ndarray
    owners: np.ndarray
    parts: np.ndarray

    def merge(self, piece: _Piece, owner: int) -> None:
        """Draws a piece over what is behind it."""
        layer, area = piece.layer, piece.area
        front = layer.depth < self.depth[area]
        alpha = np.where(front, layer.alpha, 0)[..., None]
        picture = self.picture[area]
        picture *= 1 - alpha
        picture += np.where(front[..., None], layer.colour, 0)
        person = layer.labels > 0
        taken = front & (person | (layer.things > 0))
        np.copyto(self.depth[area], layer.depth, where=taken)
        np.copyto(self.owners[area], np.where(person, owner, 0).astype(np.uint8), where=taken)
        np.copyto(self.parts[area], layer.labels, where=taken)


def _keypoints(piece: _Person, owners: np.ndarray, owner: int) -> np.ndarray:
    """Keypoints (17, 3) of a person in pixels of the whole picture; those that others hide count as hidden."""
    hidden = (owners[piece.area] != owner) & (piece.layer.labels > 0)
    keypoints = _visible_keypoints(piece.figure, piece.camera, piece.layer, hidden)
    rows, columns = piece.area
    keypoints[keypoints[:, 2] > 0, :2] += [columns.start, rows.start]
    return keypoints


def _row(canvas: _Canvas, piece: _Person, owner: int) -> dict:
    """What is told of one person; `seen` is the visible area."""
    mask = canvas.owners[piece.area] == owner
    seen = int(mask.sum())
    visible = np.zeros(4, np.float32)
    if seen:
        visible = box_of_mask(mask) + np.array([piece.area[1].start, piece.area[0].start, 0, 0], np.float32)
    share = piece.inside * seen / int((piece.layer.labels > 0).sum())
    ignore = share < 1 - HIDDEN_SHARE or piece.box[3] < SMALLEST_HEIGHT or seen < SMALLEST_AREA
    return {
        "boxes": piece.box,
        "visible_boxes": visible,
        "ignore": ignore,
        "crowd": False,
        "keypoints": _keypoints(piece, canvas.owners, owner),
        "areas": seen,
    }


def _crowd_row(canvas: _Canvas, crowd: list[_Person], owner: int) -> dict:
    """What is told of a crowd: one region that holds it."""
    mask = canvas.owners == owner
    corners = np.array([[*piece.box[:2], *(piece.box[:2] + piece.box[2:])] for piece in crowd])
    low, high = corners[:, :2].min(0), corners[:, 2:].max(0)
    return {
        "boxes": np.array([*low, *(high - low)], np.float32),
        "visible_boxes": box_of_mask(mask) if mask.any() else np.zeros(4, np.float32),
        "ignore": True,
        "crowd": True,
        "keypoints": np.zeros((len(COCO_KEYPOINTS), 3), np.float32),
        "areas": int(mask.sum()),
    }


def _compose(rng: np.random.Generator, split: str, size: tuple[int, int]) -> dict | None:
    """One attempt at a scene; None if nobody can be seen."""
    name = list(LAYOUTS)[rng.choice(len(LAYOUTS), p=[layout.share for layout in LAYOUTS.values()])]
    layout = LAYOUTS[name]
    stage = _sample_stage(rng, layout, size)
    people, things = _sample_people(rng, split, stage, layout)
    if not people:
        return None
    crowd = _sample_crowd(rng, split, stage) if rng.random() < layout.crowd and len(people) < MOST_PEOPLE else []
    for _ in range(rng.choice([0, 1, 2, 4], p=[0.45, 0.25, 0.2, 0.1])):
        place = stage.place(rng) * rng.uniform(0.75, 1.0)
        if min(np.hypot(*(place - piece.figure.vertices[0, :2])) for piece in people) > 0.6:
            things.append(sample_thing(rng, place))
    wall = (
        np.inf if rng.random() < 0.3 else max(stage.far, *(p.distance for p in people + crowd)) * rng.uniform(1.2, 4)
    )
    picture, ground = draw_ground(rng, split, stage.camera, size, wall)
    if rng.random() < 0.85:
        shadow = _shadow(stage, people + crowd, things, rng.uniform(0.7, 3) * size[0] / 192)
        picture *= 1 - np.float32(rng.uniform(0.2, 0.65)) * (shadow * ground)[..., None]

    canvas = _Canvas(picture, np.full(size, np.inf, np.float32), np.zeros(size, np.uint8), np.zeros(size, np.uint8))
    people.sort(key=lambda piece: piece.distance)
    pieces: list[tuple[_Piece, int]] = [(piece, owner + 1) for owner, piece in enumerate(people)]
    pieces += [(piece, len(people) + 1) for piece in crowd]
    boxes = (_render_thing(thing, stage.camera, stage.light, size) for thing in things)
    pieces += [(piece, 0) for piece in boxes if piece is not None]
    for piece, owner in sorted(pieces, key=lambda pair: -pair[0].distance):
        canvas.merge(piece, owner)
    rows = [_row(canvas, piece, owner + 1) for owner, piece in enumerate(people)]
    if crowd:
        rows.append(_crowd_row(canvas, crowd, len(people) + 1))
    kept = [number for number, row in enumerate(rows) if row["areas"] > 0]
    if not kept:
        return None
    renumbered = np.zeros(len(rows) + 1, np.uint8)
    renumbered[np.array(kept) + 1] = np.arange(1, len(kept) + 1)
    told = {key: np.stack([rows[number][key] for number in kept]) for key in rows[0]}
    return {
        "image": photograph(rng, canvas.picture),
        **told,
        "instances": renumbered[canvas.owners],
        "parts": canvas.parts,
        "scene": name,
    }


def render_scene(number: int, split: str = "train", image_size: tuple[int, int] = (192, 256)) -> dict:
    """Renders scene `number` of a split: a pure function of its arguments.

    The same machine and package versions give the same bytes, in any process and order. The rows are people of whom
    at least a pixel is seen, the nearest first, and last perhaps a crowd.

    Args:
        number: number of the scene, >= 0.
        split: "train", "validation" or "test"; `splits` says how they differ.
        image_size: (height, width) in pixels.

    Returns:
        A dict with, for N <= 15 rows,

        * `image`: (H, W, 3) uint8 RGB;
        * `boxes`: (N, 4) float32 [x, y, w, h] in pixels of whole people, hidden parts included; they may reach outside
          the picture;
        * `visible_boxes`: (N, 4) float32, tight boxes of the visible pixels;
        * `ignore`: (N,) bool, whether the row is to be ignored: a crowd, or somebody who is tiny (`SMALLEST_HEIGHT`,
          `SMALLEST_AREA`) or hidden and cut off by more than `HIDDEN_SHARE`;
        * `crowd`: (N,) bool, whether the row is a crowd, whose people are not told apart;
        * `keypoints`: (N, 17, 3) float32 as in `person.render_person`; zeros for a crowd;
        * `areas`: (N,) int64 visible pixels;
        * `instances`: (H, W) uint8, i + 1 where row i is seen, 0 elsewhere;
        * `parts`: (H, W) uint8 with the 20 classes of LIP (`wardrobe.LIP_LABELS`), of all people;
        * `scene`: name of the layout (`LAYOUTS`);
        * `sample_seed`, `split`: the arguments.

    Raises:
        ValueError: `number`, `split` or `image_size` is none.
    """
    height, width = image_size
    if not (isinstance(height, int) and isinstance(width, int) and min(height, width) >= 64):
        raise ValueError(f"image_size must be two integers >= 64 (height, width); got {image_size!r}")
    rng = generator(split, number, "scenes")
    while (scene := _compose(rng, split, (height, width))) is None:
        pass
    return scene | {"sample_seed": int(number), "split": split}


__all__ = [
    "HIDDEN_SHARE",
    "LAYOUTS",
    "MOST_PEOPLE",
    "SMALLEST_AREA",
    "SMALLEST_HEIGHT",
    "Layout",
    "moved",
    "render_scene",
    "turned",
]
