# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Image processor of the caption tasks: pictures and boxes -> crops. Text is what `HulkCaptionProcessor` adds."""

from collections.abc import Mapping
from typing import Any

import torch
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling
from transformers.processing_utils import Unpack

from .image_processing_hulk import HulkImageProcessorKwargs, HulkPersonImageProcessor
from .resizing_hulk import resize_pillow_boxes
from .tasks_hulk import KNOWN_TASKS, HulkTask

_JOINT = KNOWN_TASKS["caption-joint"]


class HulkCaptionImageProcessorKwargs(HulkImageProcessorKwargs, total=False):
    """What can be set, besides what `HulkImageProcessorKwargs` names.

    Attributes:
        caption_length: words of a caption of the task; captions for training have one more, the first.
        vocabulary_size: words there are, which the tokenizer must agree with.
    """

    caption_length: int | None
    vocabulary_size: int | None


class HulkCaptionImageProcessor(HulkPersonImageProcessor):
    """Turns pictures and person boxes into network inputs (official test path, spec 5.7).

    The official input is a picture of one person, resized to the size of the network with Pillow's antialiased bicubic
    filter; its proportions are not kept. With boxes, each is cut out first: rounded outwards to whole pixels and
    clipped to the picture.

    Example:
        >>> processor = HulkCaptionImageProcessor()
        >>> picture = torch.zeros(3, 480, 640, dtype=torch.uint8)
        >>> processor(picture, boxes=[[100, 80, 150, 300]], return_tensors="pt")["pixel_values"].shape
        torch.Size([1, 3, 384, 384])
    """

    valid_kwargs = HulkCaptionImageProcessorKwargs
    family = "caption"

    input_filter = PILImageResampling.BICUBIC
    resample = PILImageResampling.BICUBIC
    size = {"height": _JOINT.image_size[0], "width": _JOINT.image_size[1]}
    task = _JOINT.name
    label_names = []
    caption_length = _JOINT.max_length
    vocabulary_size = _JOINT.vocabulary_size

    @classmethod
    def task_settings(cls, task: HulkTask) -> dict[str, Any]:
        """The settings that follow from a task: size, words of a caption and of the vocabulary."""
        words = {"caption_length": task.max_length, "vocabulary_size": task.vocabulary_size}
        return {**super().task_settings(task), **words}

    def preprocess(
        self, images: Any, boxes: Any = None, **kwargs: Unpack[HulkCaptionImageProcessorKwargs]
    ) -> BatchFeature:
        """Cuts out, resizes and normalises all persons of one picture or of a list of pictures.

        Args:
            images: one picture or a list of them, see `HulkPersonImageProcessor`.
            boxes: for each picture a list of boxes, see there; None: the whole picture shows one person.
            kwargs: any setting of `HulkCaptionImageProcessorKwargs`, for this call; `return_tensors="pt"` for tensors.

        Returns:
            `pixel_values` (N, 3, H, W) with N the persons of all pictures, in order; N may be 0.

        Raises:
            ValueError: an argument has the wrong form; the message names it.
        """
        return super().preprocess(images, boxes, None, **kwargs)

    def cut_out(
        self, image: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int], settings: Mapping[str, Any]
    ) -> torch.Tensor:
        """Every box in whole pixels, resized by Pillow, see `HulkPersonImageProcessor.cut_out`."""
        return resize_pillow_boxes(image, boxes, size, self.resample)


__all__ = ["HulkCaptionImageProcessor", "HulkCaptionImageProcessorKwargs"]
