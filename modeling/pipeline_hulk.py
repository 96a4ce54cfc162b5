# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the pipelines of persons in pictures share: inputs, boxes, detectors, batches of persons across pictures."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers.pipelines.base import ChunkPipeline

from .family_pipeline_hulk import HulkFamilyPipeline, lazy_items
from .images_hulk import is_image, read_image
from .person_detectors_hulk import HulkPersonDetector
from .person_inputs_hulk import check_box_format, check_boxes, split_per_image

BOX_SIDES = ("xmin", "ymin", "xmax", "ymax")


class HulkPersonPipeline(HulkFamilyPipeline, ChunkPipeline):
    """Base of the pipelines that look at each person of a picture.

    Inputs are file names, URLs, PIL images, arrays, or dicts `{"image": ..., "boxes": ...}` with no other keys. One
    picture gives a list of persons; a list of pictures gives a list of such lists; a generator or data set gives them
    lazily. Persons are those of `boxes`; without boxes those that `detector` finds; without a detector the whole
    picture is taken to show one person. An empty list of boxes gives an empty list.

    Options of a call (or of the constructor, except `boxes` and `task`):

    * `boxes`: for one picture a list of boxes, for a list of pictures a list of such lists.
    * `box_format`: `xywh` (default, COCO) or `xyxy`, in pixels.
    * `detector`: what finds the persons where no boxes are given, see `person_detectors_hulk`.
    * `detector_threshold`: the least score of a person, 0.5 if not given.
    * `task`: which of the checkpoint's tasks of the family, for example `pose-aic`; None is its default.
    * `batch_size`: persons per forward pass, also across pictures.
    * `timeout`: of downloads, in seconds.

    A person is a dict with `box` (`{"xmin", "ymin", "xmax", "ymax"}` in pixels of the upright picture), `score`, and
    what the family adds. `score` is that of the detector, 1 for boxes that were given, unless the family says
    otherwise.

    A family sets `family` and `default_batch_size`, and defines `read_persons` and, if it has options after the
    network, `person_record`.
    """

    default_batch_size = 16

    def _sanitize_parameters(
        self,
        box_format: str | None = None,
        detector: Any = None,
        detector_threshold: float | None = None,
        task: str | None = None,
        timeout: float | None = None,
    ) -> tuple[dict, dict, dict]:
        before, during, after = {}, {}, {}
        if box_format is not None:
            check_box_format(box_format)
            before["box_format"] = box_format
        if timeout is not None:
            before["timeout"] = timeout
        if detector is not None:
            before["detector"] = detector
        if detector_threshold is not None:
            before["detector_threshold"] = detector_threshold
        if task is not None:
            name = self.model.config.task(task, family=self.family).name
            before["task"] = during["task"] = after["task"] = name
        return before, during, after

    def __call__(self, inputs: Any, boxes: Any = None, batch_size: int | None = None, **kwargs) -> Any:
        """Looks at the persons of pictures; see the class for arguments and results.

        Raises:
            ValueError: an argument has the wrong form; the message names it.
            TypeError: `inputs` or `detector` is of a kind that has no meaning here.
        """
        if isinstance(inputs, np.ndarray | torch.Tensor) and inputs.ndim == 4:
            inputs = list(inputs)
        if isinstance(inputs, Mapping) or is_image(inputs):
            inputs = _with_boxes(inputs, boxes)
        elif isinstance(inputs, list | tuple):
            parts = split_per_image(boxes, len(inputs), False, "boxes", depth=2)
            inputs = [_with_boxes(item, part) for item, part in zip(inputs, parts, strict=True)]
            if not inputs:
                return []
        elif not isinstance(inputs, Iterable | Dataset):
            raise TypeError(
                "`inputs` must be a picture (PIL image, array, tensor, file name or URL), a dict with 'image' and "
                f"'boxes', or a list, generator or data set of these, got {type(inputs).__name__}"
            )
        elif boxes is not None:
            raise ValueError(
                "`boxes` must be inside the items of a generator or data set, as {'image': ..., 'boxes': ...}, "
                f"got {type(boxes).__name__} beside {type(inputs).__name__}"
            )
        else:
            inputs = lazy_items(inputs)
        if batch_size is None:
            batch_size = self._batch_size or self.default_batch_size
        return super().__call__(inputs, batch_size=batch_size, **kwargs)

    def preprocess(self, inputs: Any, task: str | None = None, **options) -> Iterator[dict[str, Any]]:
        """Cuts out all persons of one picture at once, then hands them on one by one, for batches of persons."""
        image, boxes, persons = self.persons_of(inputs, **options)
        # Crops stay 8-bit until they reach the device of the model: a quarter of the memory and of the transfer.
        crops = self.task_processor(task)(
            image, boxes=boxes, box_format="xywh", do_rescale=False, do_normalize=False, return_tensors="pt"
        )["pixel_values"]
        if not persons:
            # The machinery needs an item to return a result for; `_forward` does not compute it.
            yield {"is_last": True, "person": None, "pixel_values": crops.new_zeros(1, *crops.shape[1:])}
        for row, person in enumerate(persons):
            last = row == len(persons) - 1
            yield {"is_last": last, "person": person, "pixel_values": crops[row : row + 1]}

    def persons_of(
        self,
        inputs: Any,
        box_format: str = "xywh",
        detector: Any = None,
        detector_threshold: float = 0.5,
        timeout: float | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, list[dict[str, Any]]]:
        """One picture and its persons.

        Args:
            inputs: a picture, or a dict of `image` and `boxes`.
            box_format: see the class, as the rest.
            detector: not asked where there are boxes.
            detector_threshold: least score of a person.
            timeout: of a download.

        Returns:
            The picture, uint8 (3, H, W); the boxes, float64 (N, 4) as (x, y, width, height) in pixels; and for each
            person a dict of `box`, `score` and `image_size` (height, width).

        Raises:
            ValueError: no picture, unknown keys, or boxes that are none.
        """
        item = inputs if isinstance(inputs, Mapping) else {"image": inputs}
        if "image" not in item:
            raise ValueError(
                f"`inputs`: a dict must have the key 'image' and may have 'boxes', got {sorted(map(str, item))}"
            )
        unknown = sorted(map(str, set(item) - {"image", "boxes"}))
        if unknown:  # a misspelt `boxes` would otherwise mean: the whole picture is one person
            raise ValueError(
                f"`inputs`: a dict may have the keys 'image' and 'boxes' only, got {unknown} too; "
                "boxes of persons belong under 'boxes'"
            )
        image = read_image(item["image"], timeout=timeout, name="inputs")
        height, width = image.shape[1:]
        boxes = split_per_image(item.get("boxes"), 1, True, "boxes", depth=2)[0]
        scores = None
        if boxes is not None:
            boxes = check_boxes(boxes, box_format)
        elif detector is not None:
            boxes, scores = self._find_persons(detector, detector_threshold)(image)
        else:
            boxes = check_boxes([[0, 0, width, height]], "xywh")
        scores = [1.0] * len(boxes) if scores is None else scores.tolist()
        persons = [
            {"box": box, "score": score, "image_size": (height, width)}
            for box, score in zip(boxes.tolist(), scores, strict=True)
        ]
        return image, boxes, persons

    def _find_persons(self, detector: Any, threshold: float) -> HulkPersonDetector:
        """The detector of a call, made once for as long as the same is asked for."""
        known = getattr(self, "_detector", None)
        if known is None or known[0] is not detector or known[1] != threshold:
            self._detector = (detector, threshold, HulkPersonDetector(detector, threshold, self.device, self.model))
        return self._detector[2]

    def _forward(self, model_inputs: dict[str, Any], task: str | None = None, **options) -> dict[str, Any]:
        many = isinstance(model_inputs["is_last"], list)  # a batch of one is not collated
        persons = model_inputs["person"] if many else [model_inputs["person"]]
        crops = model_inputs["pixel_values"]
        found = [row for row, person in enumerate(persons) if person is not None]
        results: list = [None] * len(persons)
        if found:
            crops = crops if len(found) == len(crops) else crops[found]
            pixel_values = self.task_processor(task).normalize_crops(crops).to(self.dtype)
            name = self.model.config.task(task, family=self.family).name
            found_persons = [persons[row] for row in found]
            for row, result in zip(
                found, self.predict_persons(pixel_values, found_persons, name, **options), strict=True
            ):
                results[row] = result
        return {
            "is_last": model_inputs["is_last"],
            "person": model_inputs["person"],
            "result": results if many else results[0],
        }

    def predict_persons(
        self,
        pixel_values: torch.Tensor,
        persons: list[dict[str, Any]],
        task: str,
        flip_test: bool = False,
        **options,
    ) -> list[dict[str, Any]]:
        """What the network says about a batch of persons.

        Args:
            pixel_values: (N, 3, H, W), normalised, on the device of the model.
            persons: for each its `box` [x, y, width, height], `score` and `image_size` (height, width) in pixels.
            task: name of the task.
            flip_test: also run the mirrored crops, for families whose `read_persons` takes `outputs_flipped`.
            options: of the family.

        Returns:
            For each person a dict, which `person_record` turns into the result.
        """
        outputs = self.model(pixel_values=pixel_values, task=task)
        if flip_test:
            mirrored = self.task_processor(task).flip_pixel_values(pixel_values)
            options["outputs_flipped"] = self.model(pixel_values=mirrored, task=task)
        return self.read_persons(outputs, persons, task, **options)

    @abstractmethod
    def read_persons(self, outputs: Any, persons: list[dict[str, Any]], task: str, **options) -> list[dict[str, Any]]:
        """The results of a batch of persons from the output of the network, see `predict_persons`.

        Work on tensors belongs here, where all persons are done at once.
        """

    def postprocess(self, model_outputs: list[dict[str, Any]], task: str | None = None, **options) -> list[dict]:
        """The persons of one picture as plain Python."""
        records = []
        for output in model_outputs:
            person = output["person"]
            if person is not None:
                x, y, width, height = person["box"]
                box = dict(zip(BOX_SIDES, (x, y, x + width, y + height), strict=True))
                record = {"box": box, "score": person["score"]}
                records.append(record | self.person_record(output["result"], person, task, **options))
        return records

    def person_record(self, result: Any, person: dict[str, Any], task: str | None, **options) -> dict[str, Any]:
        """What the family adds to the record of a person, and what it replaces (`score`)."""
        return result


def _with_boxes(item: Any, boxes: Any) -> Mapping[str, Any]:
    """One picture and its boxes as a dict."""
    if isinstance(item, Mapping):
        if boxes is not None:
            raise ValueError("`boxes` must be given inside the dict or beside it, got a dict and `boxes`")
        return item
    return {"image": item, "boxes": boxes}


__all__ = ["BOX_SIDES", "HulkPersonPipeline"]
