# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-pose`: pictures and boxes in, joints as plain Python out."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers.pipelines.base import ChunkPipeline

from .images_hulk import is_image, read_image
from .person_inputs_hulk import check_box_format, check_boxes, split_per_image
from .pose_geometry_hulk import person_scores, xywh_to_xyxy


class HumanPosePipeline(ChunkPipeline):
    """Joints of the persons in pictures.

    Example:
        >>> pipe = pipeline("human-pose")  # doctest: +SKIP
        >>> persons = pipe("street.jpg", boxes=[[100, 80, 150, 300], [320, 90, 120, 310]])  # doctest: +SKIP
        >>> persons[0]["labels"][0], persons[0]["keypoints"][0]  # doctest: +SKIP
        ('nose', [171.3, 102.9])

    Inputs are file names, URLs, PIL images, arrays, or dicts `{"image": ..., "boxes": ...}` with no other keys. One
    picture gives a list of persons; a list of pictures gives a list of such lists; a generator or data set gives them
    lazily. Without boxes the whole picture is taken to show one person; an empty list of boxes gives an empty list.

    Options of a call (or of the constructor, except `boxes` and `task`):

    * `boxes`: for one picture a list of boxes, for a list of pictures a list of such lists.
    * `box_format`: `xywh` (default, COCO) or `xyxy`, in pixels.
    * `flip_test`: also run the mirrored crops and average, as the official evaluation does. Off by default, since it
      runs the network twice.
    * `threshold`: leave out joints with a score at or below it; None keeps every joint.
    * `task`: which of the checkpoint's pose tasks, for example `pose-aic`; None is its default.
    * `batch_size`: persons per forward pass, also across pictures; 16 if not given.
    * `timeout`: of downloads, in seconds.

    A person is `{"box": {"xmin", "ymin", "xmax", "ymax"}, "score": float, "keypoints": [[x, y], ...],
    "keypoint_scores": [...], "labels": [names]}` in pixels of the upright picture. `score` is the mean of the joint
    scores above 0.2, or 0 if there is none: how the official evaluation ranks persons in its first pass.
    """

    # All five stated: None would mean "try to load", which may ask for remote code.
    _load_processor = False  # type: ignore[assignment]
    _load_image_processor = True  # type: ignore[assignment]
    _load_feature_extractor = False  # type: ignore[assignment]
    _load_tokenizer = False  # type: ignore[assignment]
    _load_video_processor = False  # type: ignore[assignment]

    default_batch_size = 16

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # No isinstance: under remote code from a folder there may be two copies of a class.
        if getattr(self.model.config, "model_type", None) != "hulk" or not hasattr(self.image_processor, "decode"):
            raise ValueError(
                "`model` must be a Hulk pose model with its HulkPoseImageProcessor, got "
                f"{type(self.model).__name__} with {type(self.image_processor).__name__}"
            )
        self._processors = {self.image_processor.task: self.image_processor}

    def _sanitize_parameters(
        self,
        box_format: str | None = None,
        flip_test: bool | None = None,
        threshold: float | None = None,
        task: str | None = None,
        timeout: float | None = None,
    ) -> tuple[dict, dict, dict]:
        before, during, after = {}, {}, {}
        if box_format is not None:
            check_box_format(box_format)
            before["box_format"] = box_format
        if timeout is not None:
            before["timeout"] = timeout
        if flip_test is not None:
            during["flip_test"] = bool(flip_test)
        if threshold is not None:
            after["threshold"] = float(threshold)
        if task is not None:
            before["task"] = during["task"] = after["task"] = self.model.config.task(task, family="pose").name
        return before, during, after

    def __call__(self, inputs: Any, boxes: Any = None, batch_size: int | None = None, **kwargs) -> Any:
        """Estimates joints; see the class for arguments and results.

        Raises:
            ValueError: an argument has the wrong form; the message names it.
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
            inputs = _items(inputs)
        if batch_size is None:
            batch_size = self._batch_size or self.default_batch_size
        return super().__call__(inputs, batch_size=batch_size, **kwargs)

    def _processor(self, task: str | None) -> Any:
        """The image processor of a task: the loaded one, or its like with the joints and the size of the task."""
        wanted = self.model.config.task(task, family="pose")
        if wanted.name not in self._processors:
            shared = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "padding_factor")
            settings = {name: getattr(self.image_processor, name) for name in shared}
            self._processors[wanted.name] = type(self.image_processor).from_task(wanted, **settings)
        return self._processors[wanted.name]

    def preprocess(
        self, inputs: Any, box_format: str = "xywh", task: str | None = None, timeout: float | None = None
    ) -> Iterator[dict[str, Any]]:
        """Cuts out all persons of one picture at once, then hands them on one by one, for batches of persons."""
        processor = self._processor(task)
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
        boxes = split_per_image(item.get("boxes"), 1, True, "boxes", depth=2)[0]
        whole = [[0, 0, image.shape[2], image.shape[1]]]
        boxes = check_boxes(whole, "xywh") if boxes is None else check_boxes(boxes, box_format)
        # Crops stay 8-bit until they reach the device of the model: a quarter of the memory and of the transfer.
        crops = processor(
            image, boxes=boxes, box_format="xywh", do_rescale=False, do_normalize=False, return_tensors="pt"
        )["pixel_values"]
        if not len(crops):
            # The machinery needs an item to return a result for; `_forward` does not compute it.
            crops = crops.new_zeros(1, *crops.shape[1:])
        boxes = boxes.tolist() or [None]
        for row, box in enumerate(boxes):
            yield {"is_last": row == len(boxes) - 1, "box": box, "pixel_values": crops[row : row + 1]}

    def _forward(
        self, model_inputs: dict[str, Any], task: str | None = None, flip_test: bool = False
    ) -> dict[str, Any]:
        processor = self._processor(task)
        is_last, boxes, crops = (model_inputs[name] for name in ("is_last", "box", "pixel_values"))
        many = isinstance(is_last, list)  # a batch of one is not collated
        found = [row for row, box in enumerate(boxes if many else [boxes]) if box is not None]
        joints = len(processor.label_names)
        keypoints, scores = torch.zeros(len(crops), joints, 2), torch.zeros(len(crops), joints)
        if found:
            crops = crops if len(found) == len(crops) else crops[found]
            rows = [box for box in (boxes if many else [boxes]) if box is not None]
            pixel_values = processor.normalize_crops(crops).to(self.dtype)
            name = self.model.config.task(task, family="pose").name
            heatmaps = self.model(pixel_values=pixel_values, task=name).heatmaps
            flipped = None
            if flip_test:
                mirrored = processor.flip_pixel_values(pixel_values)
                flipped = self.model(pixel_values=mirrored, task=name).heatmaps
            places, values = processor.decode(
                heatmaps, torch.tensor(rows, dtype=torch.float64), heatmaps_flipped=flipped
            )
            keypoints[found], scores[found] = places.cpu(), values.cpu()
        return {"is_last": is_last, "box": boxes, "keypoints": keypoints, "scores": scores}

    def postprocess(
        self, model_outputs: list[dict[str, Any]], task: str | None = None, threshold: float | None = None
    ) -> list[dict[str, Any]]:
        """The persons of one picture as plain Python."""
        found = [output for output in model_outputs if output["box"] is not None]
        if not found:
            return []
        names = self._processor(task).label_names
        boxes = xywh_to_xyxy(torch.tensor([output["box"] for output in found], dtype=torch.float64)).tolist()
        keypoints = torch.cat([output["keypoints"] for output in found]).tolist()
        scores = torch.cat([output["scores"] for output in found])
        ranks, scores = person_scores(scores).tolist(), scores.tolist()
        persons = []
        for box, rank, places, values in zip(boxes, ranks, keypoints, scores, strict=True):
            kept = [joint for joint, value in enumerate(values) if threshold is None or value > threshold]
            persons.append(
                {
                    "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
                    "score": rank,
                    "keypoints": [places[joint] for joint in kept],
                    "keypoint_scores": [values[joint] for joint in kept],
                    "labels": [names[joint] for joint in kept],
                }
            )
        return persons


def _items(inputs: Any) -> Iterator[Any]:
    """The items of a generator or data set; a data set need not say where it ends other than by its length."""
    if hasattr(inputs, "__iter__"):
        yield from inputs
    else:
        for index in range(len(inputs)):
            yield inputs[index]


def _with_boxes(item: Any, boxes: Any) -> Mapping[str, Any]:
    """One picture and its boxes as a dict."""
    if isinstance(item, Mapping):
        if boxes is not None:
            raise ValueError("`boxes` must be given inside the dict or beside it, got a dict and `boxes`")
        return item
    return {"image": item, "boxes": boxes}


__all__ = ["HumanPosePipeline"]
