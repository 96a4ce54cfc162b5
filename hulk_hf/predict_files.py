# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Many pictures: one result file each, shared by processes, and gone on with after an interruption.

A picture is done when its JSON file is there, and that file appears as a whole or not at all. So a run that was
killed goes on with the rest, nothing is lost, and nothing is done twice. Processes of a launcher (`torchrun`,
`accelerate launch`) take every n-th picture.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from hulk_hf.modeling.images_hulk import read_image
from hulk_hf.prediction import Predictor
from hulk_hf.results import ImageResult

PICTURE_ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".tif", ".tiff", ".webp")
VIDEO_ENDINGS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")


@dataclass
class Outcome:
    """What became of the pictures of one process.

    Attributes:
        done: Pictures that were looked at now.
        skipped: Pictures whose results were there already.
        failed: Picture -> why it could not be read.
    """

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def find_pictures(sources: Sequence[str]) -> list[tuple[str, str]]:
    """The pictures that names stand for.

    Args:
        sources: Files, URLs, and folders, which are searched through, names in order.

    Returns:
        For each its address and the name of its results, without ending; distinct.

    Raises:
        ValueError: Nothing of that name, or a folder without pictures.
    """
    found: dict[str, str] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            inside = sorted(
                file for file in path.rglob("*") if file.suffix.lower() in PICTURE_ENDINGS and file.is_file()
            )
            if not inside:
                raise ValueError(f"source: no pictures in the folder {source!r}, known endings are {PICTURE_ENDINGS}")
            for file in inside:
                found.setdefault(str(file), str(file.relative_to(path)))
        elif path.is_file():
            found.setdefault(source, path.name)
        elif source.startswith(("http://", "https://")):
            found.setdefault(source, source.partition("?")[0].rstrip("/").rpartition("/")[2] or "picture")
        else:
            raise ValueError(f"source: {source!r} is neither a file nor a folder nor a URL")
    return list(zip(found, _distinct(list(found.values())), strict=True))


def _distinct(names: list[str]) -> list[str]:
    """Names of results, with the ending of the picture only where two would be the same."""
    stems = [os.path.splitext(name)[0] for name in names]
    chosen = [stem if stems.count(stem) == 1 else name for stem, name in zip(stems, names, strict=True)]
    seen: dict[str, int] = {}
    for index, name in enumerate(chosen):
        count = seen[name] = seen.get(name, 0) + 1
        if count > 1:
            chosen[index] = f"{name}-{count}"
    return chosen


def read_boxes(path: Path) -> dict[str, list[list[float]]]:
    """Boxes of pictures from a file.

    Args:
        path: JSON: `{file name: [[x, y, width, height], ...]}`, or an annotation file in COCO's format, of which
            crowds are left out.

    Raises:
        ValueError: Another content.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"boxes: {path} cannot be read as JSON ({error})") from error
    if isinstance(content, dict) and {"images", "annotations"} <= set(content):
        names = {image["id"]: image["file_name"] for image in content["images"]}
        boxes: dict[str, list[list[float]]] = {name: [] for name in names.values()}
        for annotation in content["annotations"]:
            if not annotation.get("iscrowd"):
                boxes[names[annotation["image_id"]]].append(annotation["bbox"])
        return boxes
    if isinstance(content, dict) and all(isinstance(value, list) for value in content.values()):
        return content
    raise ValueError(f"boxes: {path} must hold {{file name: list of xywh boxes}} or COCO annotations")


def predict_files(
    sources: Sequence[str],
    predictor: Predictor,
    output: Path,
    *,
    pictures: bool = False,
    boxes: dict[str, list[list[float]]] | None = None,
    overwrite: bool = False,
    share: tuple[int, int] = (0, 1),
    report: Callable[[ImageResult], Any] | None = None,
    progress: Callable[[int, int], Any] | None = None,
    **options: Any,
) -> Outcome:
    """Look at pictures and write `NAME.json` for each, and `NAME.png` if wanted.

    Args:
        sources: See `find_pictures`.
        predictor: What looks at them.
        output: Folder of the results.
        pictures: Also write the drawn pictures.
        boxes: File name (with or without folders) -> boxes, xywh; pictures that are not named have none.
        overwrite: Also do what is done already.
        share: (number of this process, number of processes).
        report: Called with each result.
        progress: Called with the numbers of pictures done and of all.
        options: Arguments of the call of the predictor.

    Returns:
        What became of the pictures of this process. One that cannot be read is named there and left to the next run.

    Raises:
        OSError: A result cannot be written; those that were written stay.
        ValueError: No such pictures, or a wrong argument.
    """
    mine = find_pictures(sources)[share[0] :: share[1]]
    outcome = Outcome()
    todo = []
    for source, name in mine:
        if not overwrite and (output / f"{name}.json").is_file():
            outcome.skipped.append(source)
        else:
            todo.append((source, name))
    waiting: deque[tuple[str, str]] = deque()

    def items() -> Iterator[dict[str, Any]]:
        for source, name in todo:
            try:
                pixels = read_image(source, name="source")
            except (ValueError, OSError) as error:
                outcome.failed[source] = str(error)
                continue
            waiting.append((source, name))
            item: dict[str, Any] = {"image": Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())}
            if boxes is not None:
                item["boxes"] = boxes.get(source, boxes.get(os.path.basename(source), []))
            yield item

    for result in predictor(items(), **options):
        source, name = waiting.popleft()
        result.source = source
        if pictures:  # first: with its JSON a picture counts as done
            result.save(output / f"{name}.png")
        result.save(output / f"{name}.json")
        outcome.done.append(source)
        if report is not None:
            report(result)
        if progress is not None:
            progress(len(outcome.done) + len(outcome.failed), len(todo))
    return outcome


__all__ = [
    "PICTURE_ENDINGS",
    "VIDEO_ENDINGS",
    "Outcome",
    "find_pictures",
    "predict_files",
    "read_boxes",
]
