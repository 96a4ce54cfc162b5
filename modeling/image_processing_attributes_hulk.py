# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Image processor of the attribute tasks: pictures and boxes -> crops and targets; logits -> attributes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling
from transformers.processing_utils import Unpack

from .attribute_labels_hulk import attribute_rows, label_columns
from .image_processing_hulk import HulkImageProcessorKwargs, HulkPersonImageProcessor, output_field
from .person_inputs_hulk import check_result_boxes
from .pose_geometry_hulk import xywh_to_xyxy
from .resizing_hulk import resize_pillow_boxes
from .tasks_hulk import KNOWN_TASKS, HulkTask

_JOINT = KNOWN_TASKS["attributes-joint"]
OFFICIAL_THRESHOLD = 0.3


class HulkAttributesImageProcessorKwargs(HulkImageProcessorKwargs, total=False):
    """What can be set, besides what `HulkImageProcessorKwargs` names.

    Attributes:
        label_spaces: name of a data set -> (begin, end), its columns in a joint task.
        label_space: the data set that `attributes` are given in, or a list of one per picture; None: all columns.
    """

    label_spaces: dict | None
    label_space: str | list | tuple | None


class HulkAttributesImageProcessor(HulkPersonImageProcessor):
    """Turns pictures and person boxes into network inputs, and logits into attributes (official test path, spec 5.4).

    The official input is a picture of one person, resized to the size of the network with Pillow's antialiased
    bilinear filter; its proportions are not kept. With boxes, each is cut out first: rounded outwards to whole pixels
    and clipped to the picture.

    Example:
        >>> processor = HulkAttributesImageProcessor()
        >>> picture = torch.zeros(3, 480, 640, dtype=torch.uint8)
        >>> known = [{"with a hat": 1, "female": 0}]
        >>> boxes = [[100, 80, 150, 300]]
        >>> inputs = processor(picture, boxes=boxes, attributes=known, label_space="pa100k", return_tensors="pt")
        >>> inputs["pixel_values"].shape, inputs["labels"].shape
        (torch.Size([1, 3, 256, 192]), torch.Size([1, 168]))
    """

    valid_kwargs = HulkAttributesImageProcessorKwargs
    family = "attributes"
    annotation_name = "attributes"
    annotation_depth = 2

    resample = PILImageResampling.BILINEAR
    size = {"height": _JOINT.image_size[0], "width": _JOINT.image_size[1]}
    task = _JOINT.name
    label_names = list(_JOINT.labels)
    label_spaces = {name: list(columns) for name, columns in _JOINT.label_spaces.items()}
    label_space = None

    @classmethod
    def task_settings(cls, task: HulkTask) -> dict[str, Any]:
        """The settings that follow from a task: size, labels and label spaces."""
        spaces = {name: list(columns) for name, columns in (task.label_spaces or {}).items()}
        return {**super().task_settings(task), "label_spaces": spaces}

    # Before the network ---------------------------------------------------------------------------------------------

    def preprocess(
        self,
        images: Any,
        boxes: Any = None,
        attributes: Any = None,
        **kwargs: Unpack[HulkAttributesImageProcessorKwargs],
    ) -> BatchFeature:
        """Cuts out, resizes and normalises all persons of one picture or of a list of pictures.

        Args:
            images: one picture or a list of them, see `HulkPersonImageProcessor`.
            boxes: for each picture a list of boxes, see there; None: the whole picture shows one person.
            attributes: what is known of each person, nested as `boxes`: dicts `{name: value}` or one value per label;
                1 true, 0 false, -1 or 2 unknown. Gives `labels`. See `attribute_rows`.
            kwargs: any setting of `HulkAttributesImageProcessorKwargs`, for this call; `return_tensors="pt"` for
                tensors. `label_space` says in which columns of a joint task `attributes` are.

        Returns:
            `pixel_values` (N, 3, H, W) with N the persons of all pictures, in order; N may be 0. With `attributes`
            also `labels`, float32 (N, A), -1 where nothing is known.

        Raises:
            ValueError: an argument has the wrong form; the message names it.
        """
        return super().preprocess(images, boxes, attributes, **kwargs)

    def cut_out(
        self, image: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int], settings: Mapping[str, Any]
    ) -> torch.Tensor:
        """Every box in whole pixels, resized by Pillow, see `HulkPersonImageProcessor.cut_out`."""
        return resize_pillow_boxes(image, boxes, size, self.resample)

    def make_targets(
        self,
        annotations: Sequence[Any],
        images: Sequence[torch.Tensor],
        boxes: Sequence[torch.Tensor],
        names: Sequence[str],
        size: tuple[int, int],
        settings: Mapping[str, Any],
    ) -> dict[str, torch.Tensor]:
        """Rows of labels (training.md 4.5), see `HulkPersonImageProcessor.make_targets`."""
        label_names = settings["label_names"]
        spaces = settings["label_space"]
        if spaces is None or isinstance(spaces, str):
            spaces = [spaces] * len(images)
        if len(spaces) != len(images):
            raise ValueError(
                f"`label_space` must be one name, or one per picture, got {len(spaces)} for {len(images)} pictures"
            )
        rows = [
            attribute_rows(part, len(box), label_names, settings["label_spaces"], space, name)
            for part, box, space, name in zip(annotations, boxes, spaces, names, strict=True)
        ]
        return {"labels": torch.cat([*rows, torch.zeros(0, len(label_names))])}

    # After the network ----------------------------------------------------------------------------------------------

    def decode(self, logits: torch.Tensor, label_space: str | None = None) -> torch.Tensor:
        """Probabilities from logits; the tensor core of `post_process_human_attributes`.

        Args:
            logits: (N, A), any dtype, any device.
            label_space: only the columns of this data set.

        Returns:
            float32 (N, A), or (N, columns of the label space), each the probability that the attribute is true.

        Raises:
            ValueError: another number of columns, no such label space, or logits that are not finite.
        """
        if logits.ndim != 2 or logits.shape[1] != len(self.label_names):
            raise ValueError(
                f"`logits` must have shape (persons, {len(self.label_names)}) for task {self.task!r}, got "
                f"{tuple(logits.shape)}"
            )
        scores = logits.float().sigmoid()[:, label_columns(self.label_names, self.label_spaces, label_space)]
        if not torch.isfinite(scores).all():
            raise ValueError("`logits` must be finite, got NaN or infinity: the weights or the inputs are broken")
        return scores

    def post_process_human_attributes(
        self,
        outputs: Any,
        threshold: float | None = OFFICIAL_THRESHOLD,
        target_sizes: Any = None,
        label_space: str | None = None,
        boxes: Any = None,
        box_format: str | None = None,
    ) -> list:
        """The attributes of every person (official test path, spec 5.4).

        Args:
            outputs: of `HulkForAttributeRecognition`; only `logits` (N, A) is read.
            threshold: attributes with a score at or below it are left out; 0.3 as officially. None keeps all, in the
                order of the task's labels.
            target_sizes: only with `boxes`: (height, width) for each picture; boxes are then fractions of the picture
                (0 to 1), and `bbox` is in pixels of that size.
            label_space: only the labels of this data set of a joint task.
            boxes: the boxes the processor was called with, for each picture a list of them, N in all; the boxes of a
                single picture may also stand alone.
            box_format: `xywh` or `xyxy`; None means the processor's own.

        Returns:
            For each person a dict of tensors on the CPU: `scores` (n,) and `labels` (n,), indices into `label_names`,
            ascending. Without boxes, where each picture is a person, a list of N of them; with boxes for each picture
            a list of its persons, each with its `bbox` (4,) as (x1, y1, x2, y2) in pixels besides.

        Raises:
            ValueError: an argument has the wrong form; the message names it.
        """
        scores = self.decode(output_field(outputs, "logits"), label_space).cpu()
        columns = label_columns(self.label_names, self.label_spaces, label_space)
        labels = torch.arange(columns.start, columns.stop)
        persons = []
        for row in scores:
            keep = slice(None) if threshold is None else row > threshold
            persons.append({"scores": row[keep], "labels": labels[keep]})
        if boxes is None:
            if target_sizes is not None:
                raise ValueError(
                    "`target_sizes` must be None without `boxes`, attributes have no place in the picture"
                )
            return persons
        groups = check_result_boxes(boxes, target_sizes, box_format or self.box_format)
        if sum(len(group) for group in groups) != len(persons):
            raise ValueError(
                f"`boxes` must hold the box of each person in `outputs`, got {sum(map(len, groups))} boxes in "
                f"{len(groups)} pictures for {len(persons)} rows"
            )
        following = iter(persons)
        return [[next(following) | {"bbox": box} for box in xywh_to_xyxy(group).float()] for group in groups]


__all__ = ["OFFICIAL_THRESHOLD", "HulkAttributesImageProcessor", "HulkAttributesImageProcessorKwargs"]
