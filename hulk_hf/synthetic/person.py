# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""One synthetic person in one picture, with everything that is known about it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import pi

import numpy as np

from .attributes import attributes_of, facts_of
from .backgrounds import sample_background
from .body import COCO_KEYPOINTS, MESHES, forward_kinematics, load_body, skin, vertex_normals
from .captions import captions_of
from .carried import Carrier, choose_carried, draw_things, make_things
from .domains import Domain, check_domain
from .effects import photograph, sample_light, sample_occluders
from .figure import Figure
from .mesh import mesh_truth
from .open_body import coarse_vertices
from .outfits import sample_outfit
from .poses import Z, rotation, sample_pose
from .props import draw_seat
from .rasteriser import extent, vertex_thickness
from .renderer import Camera, Layer, Light, cast_shadow, render_layer
from .splits import banded, body_indices, generator
from .textures import per_pixel
from .wardrobe import compile_outfit, vertex_clip

# How far (metres, on a body of 1.7 m) a keypoint lies at most behind the surface that shows it: joints are inside.
_KEYPOINT_DEPTH = {
    "nose": 0.05,
    "eye": 0.05,
    "ear": 0.06,
    "shoulder": 0.13,
    "elbow": 0.08,
    "wrist": 0.07,
    "hip": 0.17,
    "knee": 0.11,
    "ankle": 0.09,
}
_TOLERANCE = np.array([_KEYPOINT_DEPTH[name.split("_")[-1]] for name in COCO_KEYPOINTS], np.float32)

_GROUNDED = ("stand", "walk", "sit", "sit_floor", "squat", "kneel", "lunge", "bend", "lean", "one_leg", "lie")
_SMALLEST_AREA = 0.012  # of the picture
_FEWEST_KEYPOINTS = 5


@cache
def _drawn(meshes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles, their regions, and a fifth of the vertices, of some meshes of the body."""
    body = load_body()
    rows = np.concatenate([np.arange(s.start, s.stop) for s in (body.mesh_slices[mesh] for mesh in meshes)])
    faces = np.ascontiguousarray(body.faces[rows])
    return faces, np.ascontiguousarray(body.face_regions[rows]), np.unique(faces)[::5]


@cache
def _fold_noise() -> np.ndarray:
    """Periodic noise for folds of cloth, (128, 128), smooth over a few cells."""
    noise = np.random.default_rng(7).standard_normal((128, 128))
    for _ in range(2):
        noise = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, (1, 1), (0, 1))) / 2
    return (noise / noise.std()).astype(np.float32)


def _direction(rng: np.random.Generator, split: str) -> float:
    """The angle a person is turned to the left from facing the camera: three times as often towards it as away."""
    while True:
        angle = 2 * pi * banded(rng, split, 64)
        if rng.random() < (1 + 0.5 * np.cos(angle)) / 1.5:
            return angle


def sample_figure(rng: np.random.Generator, split: str, domain: Domain | None = None) -> Figure:
    """Draws body, pose, direction and clothes of a person from what belongs to `split`, and to `domain` if given."""
    body = load_body()
    bank = body_indices(split, len(body.coefficients))
    first, second = rng.choice(bank, 2)
    blend = rng.uniform(0, 0.5)  # the first body is always the nearer one, and gives gender and age
    rest, heads = body.shape((1 - blend) * body.coefficients[first] + blend * body.coefficients[second])
    pose = sample_pose(rng, body, heads, held_out=split != "train")
    local = pose.local.copy()
    local[0] = rotation(Z, _direction(rng, split)) @ local[0]
    rotations, translations, posed_heads = forward_kinematics(local, heads, body.bone_parents)
    posed = skin(rest, body.skin_weights, body.skin_bones, rotations, translations)
    outfit = sample_outfit(rng, split, float(body.gender[first]), float(body.age[first]))
    if domain is not None:
        outfit = domain.dress(rng, split, outfit)
    chosen = choose_carried(rng, split, pose, outfit)
    table = compile_outfit(outfit)
    absent = {"hair": outfit.hair_length is None, "skirt": outfit.skirt_hem is None}
    faces, face_regions, outline = _drawn(tuple(mesh for mesh in MESHES if not absent.get(mesh)))
    normals = vertex_normals(posed, faces)
    lifted = vertex_thickness(body.canonical, body.regions, body.along, table.bounds, table.starts, table.thickness)
    clip = vertex_clip(outfit, body)
    vertices = posed + normals * lifted[:, None]
    height = float(np.ptp(rest[body.mesh_vertices["body"][::3], 2]))
    flared = outfit.skirt_hem is not None
    carrier = Carrier(body, rest, vertices, normals, rotations, translations, posed_heads, height, flared)
    return Figure(
        body=body,
        vertices=vertices,
        normals=normals,
        keypoints=body.keypoints(posed),
        coarse=coarse_vertices(posed),
        faces=faces,
        face_regions=face_regions,
        clip=clip,
        outline=outline[clip[outline] >= 0],
        table=table,
        outfit=outfit,
        pose=pose,
        height=height,
        gender=float(body.gender[first]),
        age=float(body.age[first]),
        things=make_things(rng, carrier, chosen),
    )


def frame(
    rng: np.random.Generator, figure: Figure, size: tuple[int, int], pitch: tuple[float, float] | None = None
) -> Camera:
    """Draws a camera that sees the figure: mostly whole, 55-95 % of the picture high, sometimes cut off."""
    height, width = size
    surface = figure.vertices[figure.outline]
    if overhead := [thing.vertices for thing in figure.things if thing.kind == "umbrella"]:
        surface = np.concatenate([surface, *overhead]).astype(np.float32)
    low, high = extent(surface)
    usual = rng.normal(0.08, 0.14) if rng.random() < 0.85 else rng.uniform(-0.35, 0.7)
    down = usual if pitch is None else rng.uniform(*pitch)
    camera = Camera((low + high) / 2, np.exp(rng.uniform(np.log(2.2), np.log(9))), down, rng.normal(0, 0.07))
    pixels, _ = camera.project(surface)
    (left, top), (right, bottom) = extent(pixels)
    kind = rng.choice(["whole", "cut", "small"], p=[0.68, 0.25, 0.07])
    if kind == "cut":
        focal = rng.uniform(0.9, 1.9) * min(height / (bottom - top), 1.3 * width / (right - left))
    else:
        share = rng.uniform(0.55, 0.95) if kind == "whole" else rng.uniform(0.35, 0.55)
        focal = min(share * height / (bottom - top), 0.94 * width / (right - left))
    box_w, box_h = focal * (right - left), focal * (bottom - top)
    if kind == "cut":  # more often the lower body is cut off than the head
        x = rng.uniform(-0.35, 0.35) * box_w + width / 2 - box_w / 2
        y = height * rng.uniform(0.02, 0.3) if rng.random() < 0.7 else rng.uniform(-0.5, 0.1) * box_h
    else:
        x, y = rng.uniform(0, 1) * (width - box_w), rng.uniform(0, 1) * (height - box_h)
    return replace(camera, focal=focal, centre=(x - focal * left, y - focal * top))


def draw_figure(figure: Figure, camera: Camera, light: Light, size: tuple[int, int]) -> Layer:
    """Renders a figure and what it carries."""
    layer = render_layer(
        figure.body,
        figure.faces,
        figure.face_regions,
        figure.vertices,
        figure.normals,
        figure.clip,
        figure.table,
        camera,
        light,
        _fold_noise(),
        size,
    )
    draw_things(figure.things, layer, camera, light)
    return layer


def _blend(picture: np.ndarray, layer: Layer) -> None:
    picture *= per_pixel(1 - layer.alpha)
    picture += layer.colour


def _bystander(
    rng: np.random.Generator, split: str, camera: Camera, light: Light, size: tuple[int, int], near: bool
) -> Layer:
    """Another person, without labels: `near`, most of it outside the left or right border; else smaller, anywhere."""
    figure = sample_figure(rng, split)
    surface = figure.vertices[figure.outline]
    camera = replace(camera, target=sum(extent(surface)) / 2)
    if near:
        low, high = extent(camera.project(surface)[0])
        half = (high[0] - low[0]) / 2
        middle = size[1] + half * rng.uniform(-0.3, 0.7) if rng.random() < 0.5 else half * rng.uniform(-0.7, 0.3)
        shift = middle - (low[0] + high[0]) / 2
    else:
        camera = replace(camera, focal=camera.focal * rng.uniform(0.35, 0.8))
        shift = rng.uniform(0, size[1]) - camera.centre[0]
    x, y = camera.centre
    return draw_figure(figure, replace(camera, centre=(x + shift, y + size[0] * rng.normal(0, 0.06))), light, size)


def _visible_keypoints(figure: Figure, camera: Camera, layer: Layer, hidden: np.ndarray) -> np.ndarray:
    """COCO keypoints (17, 3): x, y in pixels (integers at pixel centres) and 0 outside, 1 hidden, 2 visible."""
    height, width = hidden.shape
    pixels, depths = camera.project(figure.keypoints)
    column, row = np.floor(pixels).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (depths > 0.05)
    keypoints = np.zeros((len(COCO_KEYPOINTS), 3), np.float32)
    row, column = row[inside], column[inside]
    covered = depths[inside] - layer.depth[row, column] > _TOLERANCE[inside] * figure.height / 1.7
    keypoints[inside, :2] = pixels[inside] - 0.5
    keypoints[inside, 2] = np.where(covered | hidden[row, column], 1, 2)
    return keypoints


def box_of_mask(mask: np.ndarray) -> np.ndarray:
    """Tight box [x, y, w, h] float32 of a non-empty mask (H, W): w and h count columns and rows."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    return np.array([columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1], np.float32)


def _backdrop(
    rng: np.random.Generator, split: str, figure: Figure, camera: Camera, light: Light, size: tuple[int, int]
) -> np.ndarray:
    """What is behind the figure, (H, W, 3) float32: a background, perhaps a seat, perhaps its shadow."""
    picture = sample_background(rng, split, size).astype(np.float32)
    floor = float(figure.vertices[figure.outline, 2].min())
    if figure.pose.stance == "sit" and rng.random() < 0.7:
        picture = draw_seat(rng, picture, figure.keypoints, floor, figure.height, camera)
    if figure.pose.stance in _GROUNDED and rng.random() < 0.6:
        faces, _, _ = _drawn(("body",))
        shadow = cast_shadow(figure.vertices, faces, floor, camera, light, size, rng.uniform(0.7, 4))
        picture *= per_pixel(1 - np.float32(rng.uniform(0.2, 0.7)) * shadow)
    return picture


def _compose(rng: np.random.Generator, split: str, size: tuple[int, int], domain: Domain | None = None) -> dict | None:
    """One attempt at a sample; None if too little of the person can be seen."""
    figure = sample_figure(rng, split, domain)
    camera = frame(rng, figure, size, None if domain is None else domain.pitch)
    light = sample_light(rng) if domain is None else domain.light(rng)
    layer = draw_figure(figure, camera, light, size)
    person = layer.labels > 0
    if person.mean() < _SMALLEST_AREA:
        return None
    picture = _backdrop(rng, split, figure, camera, light, size)
    if domain is not None:
        picture *= np.float32(domain.exposure)
    hidden = np.zeros(size, bool)
    layers = ((layer.labels > 0) | (layer.things > 0)).astype(np.uint8)
    in_front = None
    if rng.random() < 0.25:
        near = bool(rng.random() < 0.6)
        bystander = _bystander(rng, split, camera, light, size, near)
        if near and rng.random() < 0.4 and (bystander.labels > 0)[person].mean() < 0.35:
            in_front = bystander
        else:
            _blend(picture, bystander)
    _blend(picture, layer)
    if in_front is not None:
        _blend(picture, in_front)
        hidden |= in_front.labels > 0
    occluders = sample_occluders(rng, box_of_mask(person), person) if rng.random() < 0.3 else None
    if occluders is not None:
        colour, mask = occluders
        picture += mask[..., None] * (colour - picture)
        hidden |= mask > 0.5
    layers[hidden] = 2
    parts = np.where(hidden, 0, layer.labels).astype(np.uint8)
    keypoints = _visible_keypoints(figure, camera, layer, hidden)
    if (parts > 0).mean() < _SMALLEST_AREA or (keypoints[:, 2] > 0).sum() < _FEWEST_KEYPOINTS:
        return None
    things = np.where(hidden, 0, layer.things)
    image = photograph(rng, picture)
    facts = facts_of(figure, camera, keypoints, parts, things, image)
    return {
        "image": image,
        "bbox": box_of_mask(parts > 0),
        "keypoints": keypoints,
        "parts": parts,
        "layers": layers,
        "area": int((parts > 0).sum()),
        "stance": figure.pose.stance,
        "attributes": attributes_of(facts),
        "captions": captions_of(facts, rng),
        **mesh_truth(figure.coarse, camera, size),
    }


def render_person(
    seed: int, split: str = "train", image_size: tuple[int, int] = (256, 192), domain: str | None = None
) -> dict:
    """Renders the synthetic person number `seed` of a split: a pure function of its arguments.

    The same machine and package versions give the same bytes, in any process and order.

    Args:
        seed: number of the sample, >= 0.
        split: "train", "validation" or "test"; `splits` says how they differ.
        image_size: (height, width) in pixels.
        domain: None, or another look of the same people, one of `domains.DOMAINS`.

    Returns:
        A dict with

        * `image`: (H, W, 3) uint8 RGB;
        * `bbox`: (4,) float32 [x, y, w, h], the tight box of the person's visible pixels;
        * `keypoints`: (17, 3) float32, COCO's x, y (integers are pixel centres) and visibility: 2 visible, 1 hidden by
          the person or something else, 0 outside the picture (then x = y = 0);
        * `parts`: (H, W) uint8 with the 20 classes of LIP (`wardrobe.LIP_LABELS`), 0 where the person isn't visible;
        * `layers`: (H, W) uint8, 0 behind the person, 1 the person with what it carries, 2 in front of it;
        * `area`: visible pixels;
        * `stance`: name of the stance (`poses.STANCES`);
        * `attributes`: (A,) int8, for each of `attributes.ATTRIBUTES` 1 or 0, or -1 if it can't be seen;
        * `captions`: three sentences that say the same in other words (`captions.captions_of`);
        * `vertices`, `joints_3d`, `joints_2d`: the mesh of the open body (`mesh.mesh_truth`), the joints in pixels;
        * `sample_seed`, `split`: the arguments.
    """
    height, width = image_size
    if not (isinstance(height, int) and isinstance(width, int) and min(height, width) >= 32):
        raise ValueError(f"image_size must be two integers >= 32 (height, width); got {image_size!r}")
    rng, look = generator(split, seed), check_domain(domain)
    while (sample := _compose(rng, split, (height, width), look)) is None:
        pass
    return sample | {"sample_seed": int(seed), "split": split}
