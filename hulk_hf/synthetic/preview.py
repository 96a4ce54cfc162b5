# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of synthetic people, one for each family of tasks, to look at.

`python -m hulk_hf.synthetic.preview sheet.png --task detection --split train --count 24`
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hulk_hf.drawing import canvas, draw_joints, part_palette, person_colour
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

from .attributes import ATTRIBUTES
from .dataset import sample_seed
from .motion import VIEW, sample_clip
from .open_body import open_body
from .person import render_person
from .scenes import render_scene
from .splits import check_split
from .wardrobe import LIP_LABELS

_ZOOM = 2
_IGNORED = "#808080"
_PANEL = 320  # pixels; width of a column of words or meshes
_FRAMES = 6  # of a clip


def _enlarged(image: np.ndarray) -> Image.Image:
    height, width = image.shape[:2]
    return Image.fromarray(image).resize((width * _ZOOM, height * _ZOOM), Image.Resampling.BICUBIC)


def _beside(*pictures: Image.Image) -> Image.Image:
    """Pictures of one height in a row."""
    tile = Image.new("RGB", (sum(picture.width for picture in pictures), pictures[0].height))
    left = 0
    for picture in pictures:
        tile.paste(picture, (left, 0))
        left += picture.width
    return tile


def _column(*pictures: Image.Image) -> Image.Image:
    """Pictures of one width above each other."""
    tile = Image.new("RGB", (pictures[0].width, sum(picture.height for picture in pictures)))
    top = 0
    for picture in pictures:
        tile.paste(picture, (0, top))
        top += picture.height
    return tile


def _parts(sample: dict) -> Image.Image:
    return Image.fromarray(part_palette(len(LIP_LABELS))[sample["parts"]])


def _words(lines: list[str], height: int) -> Image.Image:
    """A panel of words, one size for all tiles."""
    panel = Image.new("RGB", (_PANEL, height), (24, 24, 24))
    draw = ImageDraw.Draw(panel)
    wrapped = [piece for line in lines for piece in (textwrap.wrap(line, 48, subsequent_indent="  ") or [""])]
    draw.multiline_text((8, 8), "\n".join(wrapped), font=ImageFont.load_default(12), fill=(235, 235, 235), spacing=2)
    return panel


def _corners(boxes: np.ndarray, zoom: int = _ZOOM) -> np.ndarray:
    """Boxes (N, 4) xyxy in pixels of an enlarged picture."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1) * zoom


def draw_pose(sample: dict) -> Image.Image:
    """A person with box and skeleton, left limbs green, right ones orange, hidden joints with a black dot in them."""
    drawn = canvas(_enlarged(sample["image"]))
    drawn.boxes(_corners(sample["bbox"][None]), ["#ffffff"], 1)
    points, seen = (sample["keypoints"][None, :, :2] + 0.5) * _ZOOM, sample["keypoints"][None, :, 2:]
    draw_joints(drawn, np.where(seen > 0, points, np.nan), KNOWN_TASKS["pose-coco"], 1)
    drawn.dots(np.where(seen == 1, points, np.nan), "#000000", 1)
    return _beside(drawn.picture(), _column(Image.fromarray(sample["image"]), _parts(sample)))


def draw_parsing(sample: dict) -> Image.Image:
    """A person, its part map, and both over each other."""
    parts = _parts(sample).resize((sample["parts"].shape[1] * _ZOOM, sample["parts"].shape[0] * _ZOOM), 0)
    image = _enlarged(sample["image"])
    return _beside(image, parts, Image.blend(image, parts, 0.5))


def draw_scene(sample: dict) -> Image.Image:
    """A scene with full boxes (grey if they are to be ignored) and thin visible ones, instances and parts."""
    drawn = canvas(_enlarged(sample["image"]))
    colours = [
        _IGNORED if ignore else person_colour(number) for number, ignore in enumerate(sample["ignore"].tolist())
    ]
    drawn.boxes(_corners(sample["visible_boxes"]), ["#ffffff"] * len(colours), 1)
    drawn.boxes(_corners(sample["boxes"]), colours, 2)
    palette = np.array([[0, 0, 0], *([int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in colours)], np.uint8)
    instances = Image.fromarray(palette[sample["instances"]])
    return _beside(drawn.picture(), _column(instances, _parts(sample)))


def draw_attributes(sample: dict) -> Image.Image:
    """A person and what holds for it; attributes that can't be seen have a question mark."""
    values = dict(zip(ATTRIBUTES, sample["attributes"].tolist(), strict=True))
    lines = [name for name, value in values.items() if value == 1]
    unseen = [name for name, value in values.items() if value < 0]
    lines += ["", "? " + ", ".join(unseen)] if unseen else []
    return _beside(_enlarged(sample["image"]), _words(lines, sample["image"].shape[0] * _ZOOM))


def draw_captions(sample: dict) -> Image.Image:
    """A person and its captions."""
    lines = [line for caption in sample["captions"] for line in (caption, "")]
    return _beside(_enlarged(sample["image"]), _words(lines, sample["image"].shape[0] * _ZOOM))


def _mesh_view(vertices: np.ndarray, faces: np.ndarray, height: int, scale: float) -> Image.Image:
    """A mesh seen along its third axis, painted from far to near; triangles that face the viewer are light."""
    panel = Image.new("RGB", (_PANEL, height), (24, 24, 24))
    draw = ImageDraw.Draw(panel)
    places = vertices[:, :2] * scale + [_PANEL / 2, height / 2]
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = np.abs(normals[:, 2]) / (np.linalg.norm(normals, axis=1) + 1e-9)
    for face in np.argsort(-corners[:, :, 2].mean(1)):
        tone = int(70 + 170 * facing[face])
        draw.polygon([tuple(place) for place in places[faces[face]].tolist()], fill=(tone, tone, int(0.9 * tone)))
    return panel


def draw_mesh(sample: dict) -> Image.Image:
    """A person with the joints of its mesh; the mesh, which is not SMPL, as the camera sees it and from its right."""
    image = _enlarged(sample["image"])
    drawn = canvas(image)
    drawn.dots((sample["joints_2d"][None, :, :2] + 0.5) * _ZOOM, "#ffd23f", 3)
    vertices, faces = sample["vertices"], open_body().faces[0].numpy()
    scale = 0.45 * min(_PANEL, image.height) / np.abs(vertices).max()
    views = (vertices, vertices[:, [2, 1, 0]] * [1, 1, -1])
    return _beside(drawn.picture(), *(_mesh_view(view, faces, image.height, scale) for view in views))


def draw_clip(clip: dict) -> Image.Image:
    """Some frames of a clip, and the name of its action; joints that the detector lost are missing."""
    width, height = VIEW[0] // 2, VIEW[1] // 2
    task, frames = KNOWN_TASKS["pose-coco"], clip["keypoints"].shape[1]
    pictures = []
    for number, frame in enumerate(np.linspace(0, frames - 1, _FRAMES).astype(int)):
        drawn = canvas(Image.new("RGB", (width, height), (24, 24, 24)))
        keypoints = clip["keypoints"][:, frame]
        draw_joints(drawn, np.where(keypoints[..., 2:] > 0, keypoints[..., :2] / 2, np.nan), task, 1)
        if number == 0:
            label = f"{clip['action']}, {frames} frames"
            drawn.words(np.array([[4.0, 24.0, 20.0, 40.0]]), [label], ["#ffffff"], 12)
        pictures.append(drawn.picture())
    return _beside(*pictures)


# Family -> what gives a sample for number and split, and what draws it.
PREVIEWS: dict[str, tuple[Callable[[int, str], dict], Callable[[dict], Image.Image]]] = {
    "pose": (render_person, draw_pose),
    "parsing": (render_person, draw_parsing),
    "detection": (render_scene, draw_scene),
    "attributes": (render_person, draw_attributes),
    "action": (sample_clip, draw_clip),
    "mesh": (render_person, draw_mesh),
    "caption": (render_person, draw_captions),
}


def contact_sheet(
    path: str | Path, split: str = "train", n: int = 24, seed: int = 0, columns: int = 4, task: str = "pose"
) -> None:
    """Writes a picture of samples.

    Args:
        path: the picture.
        split: "train", "validation" or "test".
        n: how many samples.
        seed: which samples, as in `dataset.sample_seed`.
        columns: samples beside each other.
        task: family whose annotations are drawn, one of `PREVIEWS`.
    """
    if task not in PREVIEWS:
        raise ValueError(f"task must be one of {', '.join(PREVIEWS)}; got {task!r}")
    if n < 1 or columns < 1:
        raise ValueError(f"n and columns must be at least 1; got {n} and {columns}")
    sample, draw = PREVIEWS[task]
    tiles = [draw(sample(sample_seed(index, seed), check_split(split))) for index in range(n)]
    width, height = tiles[0].size
    sheet = Image.new("RGB", (min(columns, n) * width, -(-n // columns) * height))
    for k, tile in enumerate(tiles):
        sheet.paste(tile, (k % columns * width, k // columns * height))
    sheet.save(path)


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path, help="the picture to write")
    parser.add_argument("--task", default="pose", choices=list(PREVIEWS))
    parser.add_argument("--split", default="train")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--columns", type=int, default=4)
    arguments = parser.parse_args()
    try:
        contact_sheet(
            arguments.path, arguments.split, arguments.count, arguments.seed, arguments.columns, arguments.task
        )
    except ValueError as error:
        parser.error(str(error))


__all__ = [
    "PREVIEWS",
    "contact_sheet",
    "draw_attributes",
    "draw_captions",
    "draw_clip",
    "draw_mesh",
    "draw_parsing",
    "draw_pose",
    "draw_scene",
]


if __name__ == "__main__":
    main()
