# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The main job on two pictures: a photograph that comes with scikit-image, and a rendered person."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

# Eileen Collins, NASA, public domain: skimage.data.astronaut(), 512x512. Box of the person, (x, y, width, height).
ASTRONAUT_BOX = (25, 10, 400, 502)
# A person of the test split, which training never sees.
RENDERED_SEED = 3


def run_demo(output: Path) -> list[list[dict]]:
    """Find the joints with the bundled model and draw them side by side.

    Args:
        output: The PNG to write.

    Returns:
        What the pipeline found: persons of the photograph, persons of the rendering.
    """
    import skimage.data

    import hulk_hf
    from hulk_hf.drawing import draw_persons
    from hulk_hf.synthetic.person import render_person

    photograph = Image.fromarray(skimage.data.astronaut())
    rendered = render_person(RENDERED_SEED, "test")
    pictures = [photograph, Image.fromarray(rendered["image"])]
    pipe = hulk_hf.pipeline("human-pose")
    boxes: list[list[list[float]]] = [[list(ASTRONAUT_BOX)], [[float(side) for side in rendered["bbox"]]]]
    found = pipe(pictures, boxes=boxes, flip_test=True)
    task = pipe.model.config.task("pose")
    height = 768
    drawn = []
    for picture, persons, person_boxes in zip(pictures, found, boxes, strict=True):
        # Enlarged first, so that lines stay thin on a small picture.
        factor = height / picture.height
        large = picture.resize((round(picture.width * factor), height), Image.Resampling.BICUBIC)
        drawn.append(draw_persons(large, [_enlarged(person, factor) for person in persons], task))
        if len(persons) != len(person_boxes):
            raise RuntimeError(f"{len(person_boxes)} boxes gave {len(persons)} persons")
    sheet = Image.new("RGB", (sum(picture.width for picture in drawn) + 16, height), "white")
    sheet.paste(drawn[0], (0, 0))
    sheet.paste(drawn[1], (drawn[0].width + 16, 0))
    ImageOps.expand(sheet, 8, "white").save(output)
    return found


def _enlarged(person: dict, factor: float) -> dict:
    """A person's record for a picture that was enlarged by `factor`."""
    box = {side: value * factor for side, value in person["box"].items()}
    return {**person, "box": box, "keypoints": [[x * factor, y * factor] for x, y in person["keypoints"]]}


__all__ = ["ASTRONAUT_BOX", "run_demo"]
