# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the image processors of all families share: reading pictures, cutting persons out, normalising.

`HulkImageProcessor` reads and normalises; `HulkPersonImageProcessor` cuts out a person per box as well, and the
processor of a family says how (`cut_out`) and what annotations become (`make_targets`).
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    ChannelDimension,
    PILImageResampling,
    SizeDict,
)
from transformers.processing_utils import ImagesKwargs, Unpack

from .images_hulk import is_image, read_image
from .person_inputs_hulk import check_box_format, check_boxes, indexed_name, split_per_image
from .tasks_hulk import HulkTask


class HulkImageProcessorKwargs(ImagesKwargs, total=False):
    """What can be set at construction, stored with the checkpoint, and (but for the task) given in a call.

    Attributes:
        task: name of the task that the processor works for, for example `pose-coco`.
        label_names: names of its labels, in output order.
        box_format: `xywh` (COCO: left, top, width, height) or `xyxy` (left, top, right, bottom), in pixels.
    """

    task: str | None
    label_names: list | tuple | None
    box_format: str | None


class HulkImageProcessor(PilBackend):
    """Reads pictures of any kind and normalises them with the ImageNet constants (spec 2.2).

    What happens to pictures first, such as EXIF orientation, transparency and 16 bits, is described in `images_hulk`.
    Values are brought to 8 bits whatever they come in, so `do_rescale=False` leaves values in [0, 255]; with
    `do_normalize=False` as well, `pixel_values` are the 8-bit pixels themselves.
    """

    valid_kwargs = HulkImageProcessorKwargs
    model_input_names = ["pixel_values"]
    family = ""
    """The family whose tasks a subclass works for."""

    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    do_convert_rgb = True
    do_resize = True
    do_rescale = True
    do_normalize = True
    box_format = "xywh"

    def __init__(self, **kwargs: Unpack[HulkImageProcessorKwargs]):
        super().__init__(**kwargs)
        check_box_format(self.box_format)

    @classmethod
    def task_settings(cls, task: HulkTask) -> dict[str, Any]:
        """The settings that follow from a task; families add to them."""
        return {
            "task": task.name,
            "label_names": list(task.labels),
            "size": {"height": task.image_size[0], "width": task.image_size[1]},
        }

    @classmethod
    def from_task(cls, task: HulkTask, **kwargs: Any) -> "HulkImageProcessor":
        """The processor of a task: its input size and labels; `kwargs` overrides anything.

        Raises:
            ValueError: the task belongs to another family.
        """
        if task.family != cls.family:
            raise ValueError(f"`task` must be of family {cls.family!r} for {cls.__name__}, got {task.name!r}")
        return cls(**{**cls.task_settings(task), **kwargs})

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Leaves file names and URLs as they are: `process_image` reads them without losing 16 bits or orientation."""
        return image_url_or_urls

    def _prepare_images_structure(self, images: Any, expected_ndims: int = 3) -> list:
        return list_of_images(images)[0]

    def process_image(self, image: Any, input_data_format: str | ChannelDimension | None = None, **kwargs):
        """One picture of any kind as an upright uint8 tensor (3, H, W)."""
        return read_image(image, input_data_format)

    def refuse_unsupported(self, settings: Mapping[str, Any], resample: Any = None) -> None:
        """Refuses settings of transformers' base class that have no meaning here, so that none is swallowed.

        Args:
            settings: of a call.
            resample: the filter that the network was trained with; None: not checked.

        Raises:
            ValueError: a setting other than the one that is supported.
        """
        for name, only in (("do_resize", True), ("do_convert_rgb", True), ("do_center_crop", None), ("do_pad", None)):
            if bool(settings.get(name)) is not bool(only) and settings.get(name) is not None:
                raise ValueError(
                    f"`{name}` must be {bool(only)}: what is cut out is decided by boxes, got {settings[name]}"
                )
        if resample is not None and settings.get("resample") not in (None, resample):
            expected = PILImageResampling(resample).name.lower()
            raise ValueError(f"`resample` must be {expected}, as the network was trained, got {settings['resample']}")
        if settings.get("data_format") not in (None, "channels_first", ChannelDimension.FIRST):
            raise ValueError(f"`data_format` must be 'channels_first', got {settings['data_format']!r}")

    def normalize_crops(self, crops: torch.Tensor, **settings: Any) -> torch.Tensor:
        """Crops (N, 3, H, W) -> float32 network input, (x * rescale_factor - mean) / std, on the same device.

        Args:
            crops: values in [0, 255], uint8 or floating point.
            settings: `do_rescale`, `rescale_factor`, `do_normalize`, `image_mean`, `image_std`; the processor's own
                where not given. With neither step the crops come back as they are.
        """
        chosen = {
            name: settings.get(name, getattr(self, name))
            for name in ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
        }
        if not chosen["do_rescale"] and not chosen["do_normalize"]:
            return crops
        factor = torch.tensor(float(chosen["rescale_factor"]) if chosen["do_rescale"] else 1.0, dtype=torch.float64)
        shift = torch.zeros(1, dtype=torch.float64)
        if chosen["do_normalize"]:
            std = torch.tensor(chosen["image_std"], dtype=torch.float64).flatten()
            shift = -torch.tensor(chosen["image_mean"], dtype=torch.float64).flatten() / std
            factor = factor / std
        factor, shift = (part.reshape(-1, 1, 1).to(crops.device, torch.float32) for part in (factor, shift))
        return crops.to(torch.float32, copy=True).mul_(factor).add_(shift)

    @staticmethod
    def flip_pixel_values(pixel_values: torch.Tensor) -> torch.Tensor:
        """Network inputs mirrored left to right, for the second pass of a flip test."""
        return pixel_values.flip(-1)


class HulkPersonImageProcessor(HulkImageProcessor):
    """Cuts a person out for each box and normalises.

    All families are called alike, `processor(images, boxes, annotations)`:

    * `images`: one picture or a list of them: PIL images, arrays, tensors, file names, URLs. An array of four axes is
      a list of pictures.
    * `boxes`: for one picture a list of boxes, (persons, 4); for a list of pictures a list of such lists. Pixels, in
      the format `box_format`. A picture may have no box (an empty list) and then gives no row. None, for all pictures
      or for one of the list, means that the whole picture shows one person.

    A family says how in `cut_out`, what annotations become in `make_targets`, and names its annotations in
    `preprocess`.
    """

    input_filter: PILImageResampling | None = PILImageResampling.BILINEAR
    size_multiple = 1
    """What height and width of the input must be multiples of."""

    @abstractmethod
    def cut_out(
        self, image: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int], settings: Mapping[str, Any]
    ) -> torch.Tensor:
        """The persons of a picture as they are resized for the network.

        Args:
            image: uint8 (3, H, W), upright RGB.
            boxes: float64 (N, 4) as (x, y, width, height) in pixels.
            size: (height, width) of the crops.
            settings: of the call, by name.

        Returns:
            (N, 3, height, width), values in [0, 255], uint8 where the official path rounds.
        """

    @abstractmethod
    def make_targets(
        self,
        annotations: Sequence[Any],
        images: Sequence[torch.Tensor],
        boxes: Sequence[torch.Tensor],
        names: Sequence[str],
        size: tuple[int, int],
        settings: Mapping[str, Any],
    ) -> dict[str, Any]:
        """What annotations become for training.

        Args:
            annotations: for each picture those of its persons, as the user gave them.
            images: uint8 tensors (3, H, W).
            boxes: for each picture float64 (persons, 4) xywh.
            names: for each picture what error messages call its annotations.
            size: (height, width) of the crops.
            settings: of the call, by name.
        """

    annotation_name = ""
    """What the annotations of the family are called."""
    annotation_depth = 3
    """How deeply the annotations of one picture are nested (a list of persons of ...)."""

    def _preprocess_image_like_inputs(
        self,
        images: Any,
        boxes: Any,
        annotations: Any,
        *,
        size: SizeDict,
        box_format: str,
        return_tensors: str | None,
        device: str | torch.device | None,
        input_data_format: str | ChannelDimension | None,
        **settings,
    ) -> BatchFeature:
        check_box_format(box_format)
        self.check_settings(settings)
        self.refuse_unsupported(settings, self.input_filter)
        size = self.check_size(size)
        single = list_of_images(images)[1]
        images = self._prepare_image_like_inputs(images, input_data_format=input_data_format)
        whole = [torch.tensor([[0, 0, image.shape[2], image.shape[1]]], dtype=torch.float64) for image in images]
        boxes = split_per_image(boxes, len(images), single, "boxes", depth=2)
        boxes = [
            whole[index] if part is None else check_boxes(part, box_format, indexed_name("boxes", index, single))
            for index, part in enumerate(boxes)
        ]
        crops = [self.cut_out(image, part, size, settings) for image, part in zip(images, boxes, strict=True)]
        if len(crops) != 1:
            crops = [*crops, torch.zeros(0, 3, *size, dtype=crops[0].dtype if crops else torch.uint8)]
        crops = crops[0] if len(crops) == 1 else torch.cat(crops)
        data = {"pixel_values": self.normalize_crops(crops if device is None else crops.to(device), **settings)}
        if annotations is not None:
            name = self.annotation_name
            parts = split_per_image(annotations, len(images), single, name, depth=self.annotation_depth)
            names = [indexed_name(name, index, single) for index in range(len(images))]
            data |= self.make_targets(parts, images, boxes, names, size, settings)
        if return_tensors is None:  # as everywhere in transformers: lists of arrays
            data = {
                key: list(value.cpu().numpy()) if isinstance(value, torch.Tensor) else value
                for key, value in data.items()
            }
        return BatchFeature(data=data, tensor_type=return_tensors)

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raises ValueError for settings of the family that have no meaning."""

    def check_size(self, size: SizeDict) -> tuple[int, int]:
        """(height, width) of the crops; ValueError if it has none or no whole number of patches or cells."""
        if not size.height or not size.width:
            raise ValueError(f"`size` must have height and width, got {dict(size)}")
        if size.height % self.size_multiple or size.width % self.size_multiple:
            raise ValueError(
                f"`size` must be multiples of {self.size_multiple}, the pixels of a cell of the output, "
                f"got height {size.height} and width {size.width}"
            )
        return size.height, size.width


def list_of_images(images: Any) -> tuple[list, bool]:
    """The pictures as a list, and whether a single one was given.

    Raises:
        TypeError: neither a picture nor a flat list of pictures.
    """
    if isinstance(images, np.ndarray | torch.Tensor) and images.ndim == 4:
        return list(images), False
    if is_image(images):
        return [images], True
    if isinstance(images, list | tuple) and all(is_image(image) for image in images):
        return list(images), False
    kinds = sorted({type(item).__name__ for item in images}) if isinstance(images, list | tuple) else ""
    raise TypeError(
        "`images` must be a PIL image, array, tensor, file name or URL, or a flat list of them, "
        f"got {type(images).__name__}{f' of {kinds}' if kinds else ''}"
    )


def output_field(outputs: Any, field: str, name: str = "outputs") -> torch.Tensor:
    """A tensor of the output of a model, which may be a dict.

    Raises:
        ValueError: there is none of this name.
    """
    value = outputs.get(field) if isinstance(outputs, Mapping) else getattr(outputs, field, None)
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"`{name}` must be a model output with `{field}`, got {type(outputs).__name__} without")
    return value


__all__ = [
    "HulkImageProcessor",
    "HulkImageProcessorKwargs",
    "HulkPersonImageProcessor",
    "list_of_images",
    "output_field",
]
