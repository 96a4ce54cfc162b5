# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-parsing`: pictures and boxes in, a map of body parts and clothes per person out."""

from typing import Any

import numpy as np
import torch
from PIL import Image

from .image_processing_parsing_hulk import HulkParsingImageProcessor
from .label_schemes_hulk import BACKGROUND, LABEL_SCHEMES, check_scheme, scheme_of, translate_labels
from .parsing_maps_hulk import most_likely_parts
from .pipeline_hulk import BOX_SIDES, HulkPersonPipeline
from .pose_geometry_hulk import image_size_of
from .resizing_hulk import whole_pixel_boxes


class HumanParsingPipeline(HulkPersonPipeline):
    """Parts of the persons in pictures; inputs and common options as in `HulkPersonPipeline`.

    Example:
        >>> pipe = pipeline("human-parsing")  # doctest: +SKIP
        >>> person = pipe("street.jpg", boxes=[[100, 80, 150, 300]])[0]  # doctest: +SKIP
        >>> person["labels"], person["part_map"].size, person["part_box"]  # doctest: +SKIP
        (['hair', 'coat', 'pants', 'face'], (150, 300), {'xmin': 100, 'ymin': 80, 'xmax': 250, 'ymax': 380})

    Further options:

    * `flip_test`: also run the mirrored crops and average, as the official evaluation does. Off by default, since it
      runs the network twice.
    * `label_scheme`: `lip`, `cihp` or `atr`, to get the parts of a LIP or CIHP task in another scheme; see
      `label_schemes_hulk` for what becomes of which part.

    A person is `{"box", "score", "part_map", "part_box", "labels", "label_ids", "areas"}`. `part_map` is a picture of
    label ids, PIL mode "L", that lies at `part_box` (whole pixels of the upright picture, `xmax` and `ymax` not
    included: the box rounded outwards and clipped; of a box outside the picture it has no pixels). `labels` are the
    names of the parts in it, without the background, in the order of their ids `label_ids`; `areas` are their pixels.
    `score` is that of the detector, 1 for given boxes.
    """

    family = "parsing"
    default_batch_size = 4
    processor_class = HulkParsingImageProcessor

    def _sanitize_parameters(
        self, flip_test: bool | None = None, label_scheme: str | None = None, **kwargs
    ) -> tuple[dict, dict, dict]:
        before, during, after = super()._sanitize_parameters(**kwargs)
        if flip_test is not None:
            during["flip_test"] = bool(flip_test)
        if label_scheme is not None:
            check_scheme(label_scheme)
            task = self.model.config.task(after.get("task"), family=self.family)
            if scheme_of(task.labels) is None:
                raise ValueError(
                    f"`label_scheme` must be None for task {task.name!r}: its labels are those of no scheme that can "
                    f"be translated ({list(LABEL_SCHEMES)}), got {label_scheme!r}"
                )
            after["label_scheme"] = label_scheme
        return before, during, after

    def read_persons(
        self, outputs: Any, persons: list[dict[str, Any]], task: str, outputs_flipped: Any = None
    ) -> list[dict[str, Any]]:
        """Part maps at the size of the boxes, see `HulkPersonPipeline.read_persons`."""
        maps = self.task_processor(task).decode(outputs, outputs_flipped)
        input_size = image_size_of(maps.shape[-2:])
        results = []
        for one, person in zip(maps[:, None], persons, strict=True):
            box = torch.tensor([person["box"]], dtype=torch.float64)
            left, top, right, bottom = whole_pixel_boxes(box, person["image_size"])[0].tolist()
            size = bottom - top, right - left
            parts = np.zeros(size, dtype=np.uint8)
            if parts.size:
                parts = most_likely_parts(one, input_size, size)[0][0].to(torch.uint8).cpu().numpy()
            results.append({"parts": parts, "part_box": (left, top, right, bottom)})
        return results

    def person_record(
        self, result: dict[str, Any], person: dict[str, Any], task: str | None, label_scheme: str | None = None
    ) -> dict[str, Any]:
        """The map of a person as a picture, and what is in it."""
        parts, names = result["parts"], self.task_processor(task).label_names
        if label_scheme is not None:
            parts = translate_labels(parts, scheme_of(names), label_scheme)
            names = LABEL_SCHEMES[label_scheme]
        areas = np.bincount(parts.ravel(), minlength=len(names)).tolist()
        present = [label for label, area in enumerate(areas) if area and names[label] != BACKGROUND]
        height, width = parts.shape
        return {
            "part_map": Image.fromarray(parts) if parts.size else Image.new("L", (width, height)),
            "part_box": dict(zip(BOX_SIDES, result["part_box"], strict=True)),
            "labels": [names[label] for label in present],
            "label_ids": present,
            "areas": [areas[label] for label in present],
        }


__all__ = ["HumanParsingPipeline"]
