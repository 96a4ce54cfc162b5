# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pictures of the README: what the bundled model says of rendered people and of a photograph, family by family.

python -m hulk_hf.gallery --output hulk_hf/images

The photograph is `skimage.data.astronaut()` (Eileen Collins, NASA, public domain). Rendered people and scenes are of
the test split, which training never sees; they are chosen by number beforehand and not by how well they come out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from hulk_hf.demo import ASTRONAUT_BOX
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.prediction import Predictor
from hulk_hf.registration import BUNDLED_CHECKPOINT
from hulk_hf.results import Action, ImageResult

RENDERED_SEEDS = (3, 11, 20)
SCENE_SEEDS = (2, 5)
CLIP_SEEDS = tuple(range(6))
_HEIGHT = 420


def make_gallery(output: Path, checkpoint: str = BUNDLED_CHECKPOINT) -> list[Path]:
    """Write one picture per family that the checkpoint has.

    Args:
        output: Folder.
        checkpoint: Folder or hub name.

    Returns:
        The files: `pose.png`, `parsing.png` and so on.
    """
    output.mkdir(parents=True, exist_ok=True)
    families = list(HulkConfig.from_pretrained(checkpoint).default_tasks)
    written = []
    for family in families:
        if family == "action":
            sheet = _clips(checkpoint)
        elif family == "detection":
            sheet = _sheet(_scenes(checkpoint))
        else:
            sheet = _sheet(_persons(checkpoint, family))
        path = output / f"{family}.png"
        ImageOps.expand(sheet, 8, "white").convert("P", palette=Image.Palette.ADAPTIVE).save(path, optimize=True)
        written.append(path)
    return written


def _persons(checkpoint: str, family: str) -> list[ImageResult]:
    import skimage.data

    from hulk_hf.synthetic.person import render_person

    rendered = [render_person(seed, "test") for seed in RENDERED_SEEDS]
    pictures = [Image.fromarray(skimage.data.astronaut()), *(Image.fromarray(one["image"]) for one in rendered)]
    boxes = [[list(ASTRONAUT_BOX)], *([[float(side) for side in one["bbox"]]] for one in rendered)]
    return Predictor(family, checkpoint)(pictures, boxes=boxes)


def _scenes(checkpoint: str) -> list[ImageResult]:
    from hulk_hf.synthetic.scenes import render_scene

    pictures = [Image.fromarray(render_scene(seed, "test", (360, 480))["image"]) for seed in SCENE_SEEDS]
    return Predictor("detection", checkpoint)(pictures)


def _sheet(results: list[ImageResult]) -> Image.Image:
    """Drawn pictures side by side, of one height."""
    drawn = [result.plot() for result in results]
    drawn = [picture.resize((round(picture.width * _HEIGHT / picture.height), _HEIGHT)) for picture in drawn]
    sheet = Image.new("RGB", (sum(picture.width + 8 for picture in drawn) - 8, _HEIGHT), "white")
    left = 0
    for picture in drawn:
        sheet.paste(picture, (left, 0))
        left += picture.width + 8
    return sheet


def _clips(checkpoint: str) -> Image.Image:
    """Skeletons of clips, a few frames each, with what is said and what is true."""
    from hulk_hf.synthetic.actions import ACTIONS
    from hulk_hf.synthetic.motion import sample_clip

    clips = [sample_clip(number, "test") for number in CLIP_SEEDS]
    said: list[Action] = Predictor("action", checkpoint)([clip["keypoints"] for clip in clips])
    font = ImageFont.load_default(size=14)
    cell = 130
    sheet = Image.new("RGB", (6 * cell, len(clips) * (cell + 22)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (clip, action) in enumerate(zip(clips, said, strict=True)):
        joints = clip["keypoints"]
        top = row * (cell + 22)
        pen.text(
            (4, top + 2), f"{action.labels[0]} {action.scores[0]:.2f} (is: {ACTIONS[clip['label']]})", "black", font
        )
        seen = joints[..., 2] > 0.05
        low, high = joints[seen][:, :2].min(0), joints[seen][:, :2].max(0)
        scale = (cell - 20) / max((high - low).max(), 1.0)
        for column, frame in enumerate(np.linspace(0, joints.shape[1] - 1, 6).round().astype(int)):
            place = (joints[:, frame, :, :2] - (low + high) / 2) * scale + [
                column * cell + cell / 2,
                top + 20 + cell / 2,
            ]
            _draw_skeletons(pen, place, seen[:, frame])
    return sheet


def _draw_skeletons(pen: ImageDraw.ImageDraw, joints: np.ndarray, seen: np.ndarray) -> None:
    from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

    for person, there, colour in zip(joints, seen, ("#2255aa", "#cc6611"), strict=False):
        for a, b in KNOWN_TASKS["pose-coco"].skeleton:
            if there[a] and there[b]:
                pen.line([tuple(person[a]), tuple(person[b])], fill=colour, width=2)


def main() -> None:
    """Write the pictures of the README."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, default=Path("outputs/gallery"))
    parser.add_argument("--checkpoint", default=BUNDLED_CHECKPOINT)
    arguments = parser.parse_args()
    for path in make_gallery(arguments.output, arguments.checkpoint):
        print(path)


if __name__ == "__main__":
    main()

__all__ = ["make_gallery"]
