# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-detection`: pictures in, boxes of persons out."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers.pipelines.base import Pipeline

from .family_pipeline_hulk import HulkFamilyPipeline, lazy_items
from .image_processing_detection_hulk import HulkDetectionImageProcessor
from .images_hulk import is_image, read_image


class HumanDetectionPipeline(HulkFamilyPipeline, Pipeline):
    """Boxes around the persons of whole pictures.

    Inputs are file names, URLs, PIL images, arrays, or dicts `{"image": ...}`; one of them, a list, a generator or a
    data set. Options of a call or of the constructor:

    * `threshold`: boxes with a score at or below it are left out, 0.5 if not given. The released evaluation keeps
      everything from 0.05 on.
    * `nms`: intersection over union above which only the better of two boxes stays. Off by default as in the release,
      whose queries are trained to find each person once.
    * `task`: which of the checkpoint's detection tasks; None is its default.
    * `batch_size`: pictures per batch. Within a batch, pictures of one input size share a pass of the network and
      others get their own: nothing is padded, and results do not depend on neighbours.
    * `timeout`: of downloads, in seconds.

    One picture gives a list, best first, of `{"score": float, "label": str, "box": {"xmin", "ymin", "xmax", "ymax"}}`
    in pixels of the upright picture, as `object-detection` does, except that pixels are not rounded; like there, boxes
    may reach outside the picture, for the bodies of CrowdHuman are annotated in full.

    Example:
        >>> pipe = pipeline("human-detection")  # doctest: +SKIP
        >>> pipe("street.jpg")[0]  # doctest: +SKIP
        {'score': 0.97, 'label': 'pedestrian', 'box': {'xmin': 98.7, 'ymin': 81.2, 'xmax': 251.0, 'ymax': 379.5}}
    """

    family = "detection"
    processor_class = HulkDetectionImageProcessor

    def _sanitize_parameters(
        self,
        threshold: float | None = None,
        nms: float | None = None,
        task: str | None = None,
        timeout: float | None = None,
    ) -> tuple[dict, dict, dict]:
        before, during, after = {}, {}, {}
        if timeout is not None:
            before["timeout"] = timeout
        for name, value in (("threshold", threshold), ("nms", nms)):
            if value is not None:
                if not 0 <= value <= 1:
                    raise ValueError(f"`{name}` must be in [0, 1], got {value!r}")
                after[name] = float(value)
        if task is not None:
            task = self.model.config.task(task, family=self.family).name
            before["task"] = during["task"] = after["task"] = task
        return before, during, after

    def __call__(self, inputs: Any, **kwargs) -> Any:
        """Finds the persons of pictures; see the class for arguments and results.

        Raises:
            ValueError: an argument has the wrong form; the message names it.
            TypeError: `inputs` is of a kind that has no meaning here.
        """
        if isinstance(inputs, np.ndarray | torch.Tensor) and inputs.ndim == 4:
            inputs = list(inputs)
        one = isinstance(inputs, Mapping) or is_image(inputs)
        if isinstance(inputs, list | tuple):
            if not inputs:
                return []
            inputs = list(inputs)
        elif not one and isinstance(inputs, Iterable | Dataset):
            inputs = lazy_items(inputs)
        elif not one:
            raise TypeError(
                "`inputs` must be a picture (PIL image, array, tensor, file name or URL), a dict with 'image', or a "
                f"list, generator or data set of these, got {type(inputs).__name__}"
            )
        return super().__call__(inputs, **kwargs)

    def preprocess(self, inputs: Any, task: str | None = None, timeout: float | None = None) -> dict[str, Any]:
        """One picture at the size of the network input, still 8-bit."""
        item = inputs if isinstance(inputs, Mapping) else {"image": inputs}
        if set(item) != {"image"}:
            raise ValueError(f"`inputs`: a dict must have the key 'image' and no other, got {sorted(map(str, item))}")
        image = read_image(item["image"], timeout=timeout, name="inputs")
        pixels = self.task_processor(task)(image, do_rescale=False, do_normalize=False, return_tensors="pt")
        # A dict is not collated: pictures of different sizes stay apart.
        return {"picture": {"pixel_values": pixels["pixel_values"], "size": tuple(image.shape[1:])}}

    def _forward(self, model_inputs: dict[str, Any], task: str | None = None) -> dict[str, Any]:
        many = isinstance(model_inputs["picture"], list)  # a batch of one is not collated
        pictures = model_inputs["picture"] if many else [model_inputs["picture"]]
        rows_of: dict[tuple, list[int]] = {}
        for row, picture in enumerate(pictures):
            rows_of.setdefault(tuple(picture["pixel_values"].shape), []).append(row)
        results: list = [None] * len(pictures)
        name = self.model.config.task(task, family=self.family).name
        for rows in rows_of.values():
            pixels = torch.cat([pictures[row]["pixel_values"] for row in rows])
            pixel_values = self.task_processor(name).normalize_crops(pixels).to(self.dtype)
            outputs = self.model(pixel_values=pixel_values, task=name)
            for index, row in enumerate(rows):
                results[row] = {
                    "logits": outputs.logits[index : index + 1],
                    "pred_boxes": outputs.pred_boxes[index : index + 1],
                    "size": pictures[row]["size"],
                }
        return {"result": results if many else results[0]}

    def postprocess(
        self,
        model_outputs: dict[str, Any],
        task: str | None = None,
        threshold: float = 0.5,
        nms: float | None = None,
    ) -> list[dict[str, Any]]:
        """The boxes of one picture as plain Python."""
        processor = self.task_processor(task)
        result = model_outputs["result"]
        found = processor.post_process_object_detection(result, threshold, [result["size"]], nms)[0]
        return [
            {
                "score": score,
                "label": processor.label_names[label],
                "box": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
            }
            for score, label, box in zip(
                found["scores"].tolist(), found["labels"].tolist(), found["boxes"].tolist(), strict=True
            )
        ]


__all__ = ["HumanDetectionPipeline"]
