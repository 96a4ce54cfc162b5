# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our inputs of attributes and captions, and our labels of attributes, against recordings of the official loaders."""

from __future__ import annotations

import io

import torch
from PIL import Image

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.modeling.attribute_labels_hulk import UNKNOWN, attribute_rows
from hulk_hf.modeling.image_processing_attributes_hulk import HulkAttributesImageProcessor
from hulk_hf.modeling.image_processing_caption_hulk import HulkCaptionImageProcessor
from hulk_hf.modeling.image_processing_hulk import HulkPersonImageProcessor
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

_EXACT = {"absolute": 0.0, "relative": 0.0}
_UNKNOWN_GENDER = 2
_SOURCE = "image_png_"


def _compare_pictures(report: Report, recording: Recording, processor: HulkPersonImageProcessor) -> None:
    """Each whole picture `image_png_X` through the processor, against `image_X`."""
    sources = recording.group(_SOURCE)
    if not sources:
        raise RecordingError(f"{recording.path.name} holds no pictures ({_SOURCE}*)")
    for name, data in sorted(sources.items()):
        recorded = recording.tensor(f"image_{name}")
        size = {"height": recorded.shape[-2], "width": recorded.shape[-1]}
        with Image.open(io.BytesIO(data.numpy().tobytes())) as image:
            picture = image.convert("RGB")
        inputs = processor(picture, size=size, do_rescale=False, do_normalize=False, return_tensors="pt")
        report.add(f"picture {name}", inputs["pixel_values"][0], recorded, **_EXACT)


def check_attributes(recording: Recording) -> Report:
    """Pictures of persons as they go into the network, and the labels of each data set in the columns of all."""
    report = Report("attribute inputs")
    _compare_pictures(report, recording, HulkAttributesImageProcessor())
    for split in sorted(name.removesuffix(".label") for name in recording.tensors if name.endswith(".label")):
        recorded = recording.group(f"{split}.")
        task = _task_of_width(recorded["label"].shape[1])
        names = recording.field(f"order.{split}")
        bounds = zip(recorded["begin"].tolist(), recorded["end"].tolist(), strict=True)
        rows = [_label_row(recording, task, name, *bound) for name, bound in zip(names, bounds, strict=True)]
        # The release copies the 2 of an unknown gender and trains towards it; here it is unknown (training.md 4.5).
        expected = recorded["label"].masked_fill(recorded["label"] == _UNKNOWN_GENDER, int(UNKNOWN))
        report.add(f"{split} labels", torch.cat(rows), expected, **_EXACT)
    return report


def _task_of_width(width: int) -> HulkTask:
    for task in KNOWN_TASKS.values():
        if task.family == "attributes" and task.num_labels == width:
            return task
    raise RecordingError(f"no attribute task has {width} labels")


def _label_row(recording: Recording, task: HulkTask, name: str, begin: int, end: int) -> torch.Tensor:
    """The row of the picture `set_number.png`, whose own labels are `label_raw.set[number]`."""
    spaces = [space for space, columns in (task.label_spaces or {}).items() if columns == (begin, end)]
    if not spaces:
        raise RecordingError(f"task {task.name!r} has no label space in the columns {begin} to {end}")
    label_set, _, number = name.rpartition(".")[0].rpartition("_")
    values = recording.tensor(f"label_raw.{label_set}")[int(number)]
    return attribute_rows(values, 1, task.labels, task.label_spaces, spaces[0])


def check_caption_images(recording: Recording) -> Report:
    """Pictures of persons as they go into the network that captions them."""
    report = Report("caption inputs")
    _compare_pictures(report, recording, HulkCaptionImageProcessor())
    return report


__all__ = ["check_attributes", "check_caption_images"]
