# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Finding the persons of a picture for the other pipelines: any detector becomes a function from a picture to boxes.

A detector may be

* the hub name or folder of an object-detection model of transformers (D-FINE, RT-DETR and others under the Apache
  licence), which is loaded once;
* `"hulk"`: the detection task of the checkpoint that the other pipeline was loaded from, as `human-detection`;
* an object-detection pipeline, the pipeline `human-detection` among them, or any callable. It is called with an
  upright RGB PIL image and returns boxes in pixels: a list of `{"box": {"xmin", "ymin", "xmax", "ymax"}, "score",
  "label"}` as those pipelines do, an array (N, 4) of (x1, y1, x2, y2), or an object with `xyxy` and `confidence`, such
  as `supervision.Detections`.

Boxes that say they are of another class than `PERSON_LABELS` are left out. A heavy detector costs more than what comes
after it: Hulk's own reads 800x1333 pixels, forty times a crop for pose.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

from .modeling_detection_hulk import HulkForPedestrianDetection
from .person_inputs_hulk import as_numbers, check_boxes, shortened
from .pipeline_detection_hulk import HumanDetectionPipeline

PERSON_LABELS = ("person", "pedestrian", "human", "people")
"""What the class of persons is called by detectors."""
HULK = "hulk"
"""The name of the detection task of a checkpoint itself."""


class HulkPersonDetector:
    """A detector as a function from a picture to the boxes and scores of its persons.

    Args:
        detector: see the module.
        threshold: boxes with a lower score are left out.
        device: where a detector that has to be loaded runs.
        model: the model whose checkpoint `"hulk"` means.

    Raises:
        ValueError: the model cannot be loaded, knows no class of persons, or its checkpoint has no detection task.
        TypeError: neither a name nor a callable.
    """

    def __init__(self, detector: Any, threshold: float = 0.5, device: Any = None, model: Any = None):
        if not 0 <= threshold <= 1:
            raise ValueError(f"`detector_threshold` must be in [0, 1], got {threshold!r}")
        if isinstance(detector, str | os.PathLike):
            place = str(device) if device is not None else None
            if os.fspath(detector) == HULK:
                detector = _load_hulk(*_checkpoint_of(model), place)
            else:
                detector = _load(os.fspath(detector), place)
        elif not callable(detector):
            raise TypeError(
                "`detector` must be a hub name or folder of an object-detection model, or a callable that takes a "
                f"PIL image, got {type(detector).__name__}"
            )
        self.detector: Callable = detector
        self.threshold = float(threshold)
        _check_knows_persons(detector)

    def __call__(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Find the persons of a picture.

        Args:
            image: uint8 (3, H, W), upright RGB.

        Returns:
            Boxes, float64 (N, 4) as (x, y, width, height) in pixels, clipped to the picture, and scores (N,), the best
            first.

        Raises:
            ValueError: what the detector returned is not understood.
        """
        picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
        options = {"threshold": self.threshold} if isinstance(self.detector, transformers.Pipeline) else {}
        xyxy, scores = _read(self.detector(picture, **options))
        height, width = image.shape[1:]
        xyxy = xyxy.clamp(min=0).minimum(xyxy.new_tensor([width, height, width, height]))
        kept = (scores >= self.threshold) & (xyxy[:, 2:] - xyxy[:, :2] > 1).all(dim=1)
        xyxy, scores = xyxy[kept], scores[kept]
        order = scores.argsort(descending=True, stable=True)
        boxes = check_boxes(xyxy[order], "xyxy", name="detector")
        return boxes, scores[order]


@lru_cache(maxsize=4)
def _load(name: str, device: str | None) -> Callable:
    try:
        return transformers.pipeline("object-detection", model=name, device=device)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"`detector` must be a hub name or folder of an object-detection model, got {name!r} ({error})"
        ) from error


def _checkpoint_of(model: Any) -> tuple[str, str | None]:
    """Folder or hub name of the checkpoint of a model, and its revision."""
    config = getattr(model, "config", None)
    place = getattr(config, "name_or_path", None)
    if not place:
        raise ValueError(
            f"`detector`: {HULK!r} is the detection task of a checkpoint, but the model was not loaded from one; give "
            "a pipeline human-detection or the name of another detector"
        )
    return str(place), getattr(config, "_commit_hash", None)


@lru_cache(maxsize=2)
def _load_hulk(name: str, revision: str | None, device: str | None) -> Callable:
    options = {} if revision is None else {"revision": revision}
    config = HulkForPedestrianDetection.config_class.from_pretrained(name, **options)
    if "detection" not in config.default_tasks:
        raise ValueError(
            f"`detector`: {HULK!r} needs a checkpoint with a detection task, got {name!r} with {sorted(config.tasks)}"
            "; give the name of another detector"
        )
    model = HulkForPedestrianDetection.from_pretrained(name, **options)
    processor = HumanDetectionPipeline.processor_class.from_task(model.config.task(family="detection"))
    pipe = HumanDetectionPipeline(model=model, image_processor=processor, device=device)
    pipe._processors.clear()  # settings that the checkpoint stores for the task go before those that follow from it
    return pipe


def _check_knows_persons(detector: Any) -> None:
    """A model that says what its classes are must have one of persons."""
    config = getattr(getattr(detector, "model", None), "config", None)
    names = getattr(config, "id2label", None)
    if isinstance(names, Mapping) and names and not any(_is_person(name) for name in names.values()):
        raise ValueError(
            f"`detector` must know a class named one of {PERSON_LABELS}, got a model with the classes "
            f"{shortened(list(names.values()))}"
        )


def _is_person(label: Any) -> bool:
    return label is None or str(label).lower() in PERSON_LABELS


def _read(found: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes (N, 4) xyxy and scores (N,) from what a detector returned."""
    if hasattr(found, "xyxy"):
        names = getattr(found, "data", {}).get("class_name")  # as supervision calls them
        if names is not None:
            found = found[np.array([_is_person(name) for name in names], dtype=bool)]
        scores = getattr(found, "confidence", None)
        boxes = found.xyxy
    elif isinstance(found, np.ndarray | torch.Tensor):
        boxes, scores = found, None
    elif isinstance(found, Sequence) and not isinstance(found, str | bytes):
        if found and not isinstance(found[0], Mapping):
            boxes, scores = found, None
        else:
            return _read_records(found)
    else:
        raise ValueError(
            "`detector` must return a list of {'box', 'score', 'label'}, an array (N, 4) of xyxy boxes or an object "
            f"with `xyxy`, got {type(found).__name__}"
        )
    boxes = as_numbers(boxes, "detector", "an array (N, 4) of xyxy boxes")
    if boxes.numel() == 0:
        return boxes.new_zeros(0, 4), boxes.new_zeros(0)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"`detector` must return boxes of shape (N, 4), got {tuple(boxes.shape)}")
    scores = boxes.new_ones(len(boxes)) if scores is None else as_numbers(scores, "detector", "one score per box")
    if scores.shape != boxes.shape[:1]:
        raise ValueError(f"`detector` must return one score per box, got {tuple(scores.shape)} for {len(boxes)} boxes")
    return boxes, scores


def _read_records(found: Sequence[Mapping[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
    boxes, scores = [], []
    for record in found:
        if not _is_person(record.get("label")):
            continue
        box = record.get("box")
        if isinstance(box, Mapping) and {"xmin", "ymin", "xmax", "ymax"} <= set(box):
            box = [box[side] for side in ("xmin", "ymin", "xmax", "ymax")]
        if not isinstance(box, list | tuple) or len(box) != 4:
            raise ValueError(
                "`detector` must return a 'box' of {'xmin', 'ymin', 'xmax', 'ymax'} or four numbers for each person, "
                f"got {shortened(record)}"
            )
        boxes.append([float(side) for side in box])
        scores.append(float(record.get("score", 1.0)))
    return torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4), torch.tensor(scores, dtype=torch.float64)


__all__ = ["HULK", "PERSON_LABELS", "HulkPersonDetector"]
