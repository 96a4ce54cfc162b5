# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Pictures of results: bodies, parts, boxes, joints and words, drawn onto a copy of the picture.

`supervision` draws where it is installed, and Pillow where it is not (`hulk_hf.drawing_plain`); both are asked for the
same things by `draw_result`.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from hulk_hf.modeling.tasks_hulk import HulkTask

if TYPE_CHECKING:
    from hulk_hf.results import ImageResult, Person

SIDE_COLOURS = {"left": "#2ecc71", "right": "#ff8c1a", "": "#ffffff"}
"""Colours of left and right limbs, and of those in the middle."""
_PART_OPACITY = 0.6
_SHOWN_ATTRIBUTES = 5


class Canvas(Protocol):
    """What draws: `supervision` or Pillow."""

    def boxes(self, boxes: np.ndarray, colours: Sequence[str], thickness: int) -> None:
        """Frames; `boxes` (N, 4) xyxy in pixels."""

    def limbs(self, joints: np.ndarray, edges: Sequence[tuple[int, int]], colour: str, thickness: int) -> None:
        """Lines between joints; `joints` (N, K, 2) in pixels, NaN where a joint is not drawn."""

    def dots(self, joints: np.ndarray, colour: str, radius: int) -> None:
        """Dots on joints (N, K, 2) in pixels, NaN where there is none."""

    def words(self, boxes: np.ndarray, texts: Sequence[str], colours: Sequence[str], height: int) -> None:
        """A text for each box (N, 4), at its upper left corner."""

    def picture(self) -> Image.Image:
        """What was drawn."""


def canvas(image: Image.Image) -> Canvas:
    """A copy of a picture to draw on, with the best that is installed."""
    if find_spec("supervision") is not None:
        return SupervisionCanvas(image)
    from hulk_hf.drawing_plain import PlainCanvas

    return PlainCanvas(image)


class SupervisionCanvas:
    """Draws with `supervision`; see `Canvas`."""

    def __init__(self, image: Image.Image):
        self.scene = np.array(image.convert("RGB"))[..., ::-1].copy()  # supervision draws in BGR

    def boxes(self, boxes: np.ndarray, colours: Sequence[str], thickness: int) -> None:
        """See `Canvas.boxes`."""
        import supervision as sv

        found = sv.Detections(xyxy=boxes.astype(np.float32), class_id=np.arange(len(boxes)))
        palette = sv.ColorPalette.from_hex(list(colours))
        self.scene = sv.BoxAnnotator(color=palette, thickness=thickness).annotate(self.scene, found)

    def limbs(self, joints: np.ndarray, edges: Sequence[tuple[int, int]], colour: str, thickness: int) -> None:
        """See `Canvas.limbs`."""
        import supervision as sv

        ends = [(a + 1, b + 1) for a, b in edges]
        lines = sv.EdgeAnnotator(color=sv.Color.from_hex(colour), thickness=thickness, edges=ends)
        # Joints at (0, 0) are what supervision does not draw.
        self.scene = lines.annotate(self.scene, sv.KeyPoints(xy=np.nan_to_num(joints).astype(np.float32)))

    def dots(self, joints: np.ndarray, colour: str, radius: int) -> None:
        """See `Canvas.dots`."""
        import supervision as sv

        dots = sv.VertexAnnotator(color=sv.Color.from_hex(colour), radius=radius)
        self.scene = dots.annotate(self.scene, sv.KeyPoints(xy=np.nan_to_num(joints).astype(np.float32)))

    def words(self, boxes: np.ndarray, texts: Sequence[str], colours: Sequence[str], height: int) -> None:
        """See `Canvas.words`."""
        import supervision as sv

        found = sv.Detections(xyxy=boxes.astype(np.float32), class_id=np.arange(len(boxes)))
        labels = sv.LabelAnnotator(
            color=sv.ColorPalette.from_hex(list(colours)),
            text_color=sv.Color.BLACK,
            text_scale=height / 24,
            text_padding=max(height // 3, 2),
            text_position=sv.Position.TOP_LEFT,
            smart_position=True,
            max_line_length=34,
        )
        self.scene = labels.annotate(self.scene, found, labels=list(texts))

    def picture(self) -> Image.Image:
        """See `Canvas.picture`."""
        return Image.fromarray(self.scene[..., ::-1].copy())


def draw_result(result: ImageResult, threshold: float = 0.2, smallest_side: int = 640) -> Image.Image:
    """Draw everything that was found in a picture onto a copy of it; see `ImageResult.plot`."""
    image = result.image
    factor = max(smallest_side / min(image.size), 1.0)
    if factor > 1:  # before drawing, so that lines and words stay fine on a small picture
        size = round(image.width * factor), round(image.height * factor)
        image = image.resize(size, Image.Resampling.BICUBIC)
    persons = result.persons
    if any(person.mesh is not None for person in persons):
        image = _with_meshes(image, persons, factor)
    if any(person.parsing is not None for person in persons):
        image = _with_parts(image, result, factor)
    if not persons:
        return image.copy()
    drawn = canvas(image)
    line = max(round(max(image.size) / 400), 1)
    boxes = np.array([person.box for person in persons], np.float64) * factor
    colours = [person_colour(index if person.id is None else person.id) for index, person in enumerate(persons)]
    drawn.boxes(boxes, colours, line)
    posed = [person.pose for person in persons if person.pose is not None]
    if posed and "pose" in result.tasks:
        joints = np.stack([_placed(pose, result.tasks["pose"], threshold) for pose in posed])
        draw_joints(drawn, joints * factor, result.tasks["pose"], line)
    texts = [_text(person) for person in persons]
    told = [index for index, text in enumerate(texts) if text]
    if told:
        height = max(round(min(image.size) / 45), 10)
        drawn.words(boxes[told], [texts[index] for index in told], [colours[index] for index in told], height)
    return drawn.picture()


def draw_joints(drawn: Canvas, joints: np.ndarray, task: HulkTask, line: int) -> None:
    """Draw limbs and joints: left ones green, right ones orange, the rest white.

    Args:
        drawn: What to draw on.
        joints: Shape (N, K, 2), pixels; NaN where a joint is not drawn.
        task: Gives the limbs and the sides of the joints.
        line: Thickness of thin lines in pixels.
    """
    sides = [next((side for side in ("left", "right") if side in label.split()), "") for label in task.labels]
    for side, colour in SIDE_COLOURS.items():
        limbs = [(a, b) for a, b in task.skeleton if _side_of(sides[a], sides[b]) == side]
        if limbs:
            drawn.limbs(joints, limbs, colour, max(round(line * 1.5), 1))
    for side, colour in SIDE_COLOURS.items():
        own = np.array([joint_side == side for joint_side in sides])
        if own.any():
            drawn.dots(np.where(own[None, :, None], joints, np.nan), colour, max(line * 2, 2))


def draw_persons(
    image: Image.Image, persons: Sequence[dict[str, Any]], task: HulkTask, threshold: float = 0.2
) -> Image.Image:
    """Draw what the pipeline `human-pose` returned: boxes, limbs and joints.

    Args:
        image: The picture the persons were found in.
        persons: What the pipeline `human-pose` returned for it, with all joints (`threshold=None`).
        task: Gives the limbs and the sides of the joints.
        threshold: Joints with a lower score, and their limbs, are left out.

    Raises:
        ValueError: A person has another number of joints than the task.
    """
    if not persons:
        return image.convert("RGB")
    scores = np.array([person["keypoint_scores"] for person in persons], dtype=np.float32)
    joints = np.array([person["keypoints"] for person in persons], dtype=np.float32)
    if joints.shape[1:] != (task.num_labels, 2):
        raise ValueError(f"persons: expected {task.num_labels} joints each, got shape {joints.shape}")
    drawn = canvas(image)
    line = max(round(max(image.size) / 400), 1)
    boxes = np.array([list(person["box"].values()) for person in persons], dtype=np.float64)
    drawn.boxes(boxes, ["#ffffff"] * len(boxes), line)
    draw_joints(drawn, np.where((scores >= threshold)[..., None], joints, np.nan), task, line)
    return drawn.picture()


@cache
def part_palette(count: int = 256) -> np.ndarray:
    """Colours of part labels: shape (count, 3), uint8; label 0, the background, is black."""
    colours = np.zeros((count, 3), np.uint8)
    for label in range(1, count):
        hue = (label * 0.61803398875) % 1.0  # the golden section keeps neighbours apart
        shade = ((0.85, 0.95), (0.45, 1.0), (0.8, 0.6))[label % 3]
        colours[label] = [round(255 * part) for part in colorsys.hsv_to_rgb(hue, *shade)]
    return colours


def person_colour(number: int) -> str:
    """A colour for the person of a number, as `#rrggbb`."""
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb((number * 0.381966) % 1.0, 0.35, 1.0))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _placed(pose: Any, task: HulkTask, threshold: float) -> np.ndarray:
    """The joints of a pose in the order of the task, NaN where there is none above the threshold: (K, 2)."""
    joints = np.full((task.num_labels, 2), np.nan)
    order = {label: index for index, label in enumerate(task.labels)}
    for label, place, score in zip(pose.labels, pose.keypoints, pose.keypoint_scores, strict=True):
        if label in order and score >= threshold:
            joints[order[label]] = place
    return joints


def _text(person: Person) -> str:
    """What is written beside a person, lines joined by line feeds."""
    lines = []
    head = [] if person.id is None else [f"#{person.id}"]
    if person.action is not None and person.action.labels:
        head.append(f"{person.action.labels[0]} {person.action.scores[0]:.2f}")
    if head:
        lines.append(" ".join(head))
    if person.caption is not None and person.caption.generated_text:
        lines.append(person.caption.generated_text)
    if person.attributes is not None and person.attributes.labels:
        best = sorted(zip(person.attributes.scores, person.attributes.labels, strict=True), reverse=True)
        lines.append(", ".join(label for _, label in best[:_SHOWN_ATTRIBUTES]))
    return "\n".join(lines)


def _with_parts(image: Image.Image, result: ImageResult, factor: float) -> Image.Image:
    """Lay the coloured parts over a picture; background stays as it is."""
    ids = np.zeros((image.height, image.width), np.uint8)
    for person in reversed(result.persons):
        if person.parsing is None:
            continue
        box = {side: round(value * factor) for side, value in person.parsing.part_box.items()}
        width, height = box["xmax"] - box["xmin"], box["ymax"] - box["ymin"]
        if width < 1 or height < 1:
            continue
        part = np.asarray(person.parsing.part_map.resize((width, height), Image.Resampling.NEAREST))
        window = ids[box["ymin"] : box["ymax"], box["xmin"] : box["xmax"]]
        part = part[: window.shape[0], : window.shape[1]]
        np.copyto(window, part, where=part > 0)
    pixels = np.asarray(image.convert("RGB"), np.float32)
    mixed = (1 - _PART_OPACITY) * pixels + _PART_OPACITY * part_palette()[ids]
    return Image.fromarray(np.where(ids[..., None] > 0, mixed, pixels).round().astype(np.uint8))


def _with_meshes(image: Image.Image, persons: Sequence[Person], factor: float) -> Image.Image:
    from hulk_hf.mesh_overlay import overlay_meshes

    return overlay_meshes(image, [person.mesh for person in persons if person.mesh is not None], factor)


def _side_of(first: str, second: str) -> str:
    """The side of a limb: that of its ends if they agree or if one end lies in the middle."""
    return first if first == second else (first or second if not (first and second) else "")


__all__ = [
    "SIDE_COLOURS",
    "Canvas",
    "SupervisionCanvas",
    "canvas",
    "draw_joints",
    "draw_persons",
    "draw_result",
    "part_palette",
    "person_colour",
]
