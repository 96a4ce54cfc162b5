# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Image processor of the pose tasks: pictures and boxes -> crops and targets; heat maps -> joints in the picture."""

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
from .person_inputs_hulk import (
    check_box_format,
    check_boxes,
    check_keypoints,
    check_result_boxes,
    indexed_name,
    split_per_image,
)
from .pose_geometry_hulk import (
    HEATMAP_STRIDE,
    average_flipped,
    boxes_to_center_scale,
    crop_matrices,
    decode_heatmaps,
    flip_permutation,
    heatmap_size_of,
    heatmap_targets,
    image_size_of,
    transform_points,
    warp_crops,
    xywh_to_xyxy,
)
from .tasks_hulk import KNOWN_TASKS, HulkTask

_COCO = KNOWN_TASKS["pose-coco"]


class HulkPoseImageProcessorKwargs(ImagesKwargs, total=False):
    """What can be set at construction, stored with the checkpoint, and (but for the task) given in a call.

    Attributes:
        task: name of the task whose joints the processor speaks of, for example `pose-coco`.
        label_names: names of the joints, in the order of the heat maps.
        flip_pairs: pairs of joint indices that change places in a mirror.
        padding_factor: by how much the crop window is larger than the box.
        heatmap_sigma: of the Gaussians in `labels`, in heat-map cells.
        box_format: `xywh` (COCO: left, top, width, height) or `xyxy` (left, top, right, bottom), in pixels.
    """

    task: str | None
    label_names: list | tuple | None
    flip_pairs: list | tuple | None
    padding_factor: float | int | None
    heatmap_sigma: float | int | None
    box_format: str | None


class HulkPoseImageProcessor(PilBackend):
    """Turns pictures and person boxes into network inputs, and heat maps back into joints (official test path).

    Each box is enlarged to the aspect ratio of the network input and by `padding_factor`, cut out with the unbiased
    affine warp (bilinear, black outside the picture) and normalised with the ImageNet constants. All persons of a
    picture are cut out at once. What happens to the pictures before, such as EXIF orientation, transparency and 16
    bits, is described in `images_hulk`.

    Values are brought to 8 bits first whatever they come in, so `do_rescale=False` leaves values in [0, 255]; with
    `do_normalize=False` as well, `pixel_values` are the 8-bit crops themselves.

    Example:
        >>> processor = HulkPoseImageProcessor()
        >>> picture = np.zeros((480, 640, 3), dtype=np.uint8)
        >>> inputs = processor(picture, boxes=[[100, 80, 150, 300], [320, 90, 120, 310]], return_tensors="pt")
        >>> inputs["pixel_values"].shape
        torch.Size([2, 3, 256, 192])
    """

    valid_kwargs = HulkPoseImageProcessorKwargs
    model_input_names = ["pixel_values"]

    resample = PILImageResampling.BILINEAR
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    size = {"height": _COCO.image_size[0], "width": _COCO.image_size[1]}
    do_convert_rgb = True
    do_resize = True
    do_rescale = True
    do_normalize = True
    task = _COCO.name
    label_names = list(_COCO.labels)
    flip_pairs = [list(pair) for pair in _COCO.flip_pairs]
    padding_factor = 1.25
    heatmap_sigma = 2.0
    box_format = "xywh"

    def __init__(self, **kwargs: Unpack[HulkPoseImageProcessorKwargs]):
        super().__init__(**kwargs)
        flip_permutation(self.flip_pairs, len(self.label_names))
        _check_padding(self.padding_factor)
        check_box_format(self.box_format)

    @classmethod
    def from_task(cls, task: HulkTask, **kwargs: Unpack[HulkPoseImageProcessorKwargs]) -> "HulkPoseImageProcessor":
        """The processor of a pose task: its input size, joints and flip pairs; `kwargs` overrides anything."""
        settings = {
            "task": task.name,
            "label_names": list(task.labels),
            "flip_pairs": [list(pair) for pair in task.flip_pairs],
            "size": {"height": task.image_size[0], "width": task.image_size[1]},
        }
        return cls(**{**settings, **kwargs})

    # Before the network ---------------------------------------------------------------------------------------------

    def preprocess(
        self, images: Any, boxes: Any = None, keypoints: Any = None, **kwargs: Unpack[HulkPoseImageProcessorKwargs]
    ) -> BatchFeature:
        """Cuts out and normalises all persons of one picture or of a list of pictures.

        Args:
            images: one picture or a list of them: PIL images, arrays, tensors, file names, URLs. An array of four axes
                is a list of pictures.
            boxes: for one picture a list of boxes, (persons, 4); for a list of pictures a list of such lists. Pixels,
                in the format `box_format`. A picture may have no box (an empty list) and then gives no row. None, for
                all pictures or for one of the list, means that the whole picture shows one person.
            keypoints: annotated joints (persons, K, 3) as (x, y, v) in pixels of the picture, nested as `boxes`;
                v = 0 not annotated, 1 occluded, 2 visible. Gives `labels` and `label_weights`.
            kwargs: any setting of `HulkPoseImageProcessorKwargs`, for this call; `return_tensors="pt"` for tensors.
                The way back must be told of another `padding_factor` or `box_format`; it sees another `size` itself.

        Returns:
            `pixel_values` (N, 3, H, W) with N the persons of all pictures, in order; N may be 0. With `keypoints` also
            `labels`, Gaussian heat maps (N, K, H/4, W/4), and `label_weights` (N, K).

        Raises:
            ValueError: an argument has the wrong form; the message names it.
        """
        return super().preprocess(images, boxes, keypoints, **kwargs)

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Leaves file names and URLs as they are: `process_image` reads them without losing 16 bits or orientation."""
        return image_url_or_urls

    def _prepare_images_structure(self, images: Any, expected_ndims: int = 3) -> list:
        return _list_of_images(images)[0]

    def process_image(self, image: Any, input_data_format: str | ChannelDimension | None = None, **kwargs):
        """One picture of any kind as an upright uint8 tensor (3, H, W)."""
        return read_image(image, input_data_format)

    def _preprocess_image_like_inputs(
        self,
        images: Any,
        boxes: Any,
        keypoints: Any,
        *,
        size: SizeDict,
        label_names: Sequence[str],
        padding_factor: float,
        heatmap_sigma: float,
        box_format: str,
        return_tensors: str | None,
        device: str | torch.device | None,
        input_data_format: str | ChannelDimension | None,
        **kwargs,
    ) -> BatchFeature:
        check_box_format(box_format)
        _check_padding(padding_factor)
        self._refuse_unsupported(size, kwargs)
        size = (size.height, size.width)
        single = _list_of_images(images)[1]
        images = self._prepare_image_like_inputs(images, input_data_format=input_data_format)
        whole = [torch.tensor([[0, 0, image.shape[2], image.shape[1]]], dtype=torch.float64) for image in images]
        boxes = split_per_image(boxes, len(images), single, "boxes", depth=2)
        boxes = [
            whole[index] if part is None else check_boxes(part, box_format, indexed_name("boxes", index, single))
            for index, part in enumerate(boxes)
        ]
        matrices = [crop_matrices(*boxes_to_center_scale(part, size, padding_factor), size) for part in boxes]
        crops = [warp_crops(image, part, size) for image, part in zip(images, matrices, strict=True)]
        crops = crops[0] if len(crops) == 1 else torch.cat([*crops, torch.zeros(0, 3, *size, dtype=torch.uint8)])
        data = {"pixel_values": self.normalize_crops(crops if device is None else crops.to(device), **kwargs)}
        if keypoints is not None:
            joints = split_per_image(keypoints, len(images), single, "keypoints", depth=3)
            joints = [
                check_keypoints(part, len(box), label_names, indexed_name("keypoints", index, single))
                for index, (part, box) in enumerate(zip(joints, boxes, strict=True))
            ]
            joints = torch.cat([*joints, torch.zeros(0, len(label_names), 3, dtype=torch.float64)])
            placed = transform_points(joints[..., :2], torch.cat([*matrices, torch.zeros(0, 2, 3)]))
            labels, weights = heatmap_targets(placed, joints[..., 2], size, heatmap_size_of(size), heatmap_sigma)
            data |= {"labels": labels, "label_weights": weights}
        if return_tensors is None:  # as everywhere in transformers: lists of arrays
            data = {name: list(value.cpu().numpy()) for name, value in data.items()}
        return BatchFeature(data=data, tensor_type=return_tensors)

    def _refuse_unsupported(self, size: SizeDict, settings: Mapping[str, Any]) -> None:
        """The base class knows settings that have no meaning for crops; they must not be swallowed."""
        if not size.height or not size.width:
            raise ValueError(f"`size` must have height and width, got {dict(size)}")
        if size.height % HEATMAP_STRIDE or size.width % HEATMAP_STRIDE:
            raise ValueError(
                f"`size` must be multiples of {HEATMAP_STRIDE}, the pixels of a heat-map cell, "
                f"got height {size.height} and width {size.width}"
            )
        for name, only in (("do_resize", True), ("do_convert_rgb", True), ("do_center_crop", None), ("do_pad", None)):
            if bool(settings.get(name)) is not bool(only) and settings.get(name) is not None:
                raise ValueError(f"`{name}` must be {bool(only)}: boxes decide what is cut out, got {settings[name]}")
        if settings.get("resample") not in (None, PILImageResampling.BILINEAR):
            raise ValueError(f"`resample` must be bilinear, as the network was trained, got {settings['resample']}")
        if settings.get("data_format") not in (None, "channels_first", ChannelDimension.FIRST):
            raise ValueError(f"`data_format` must be 'channels_first', got {settings['data_format']!r}")

    def normalize_crops(self, crops: torch.Tensor, **settings: Any) -> torch.Tensor:
        """uint8 crops (N, 3, H, W) -> float32 network input, (x * rescale_factor - mean) / std, on the same device.

        Args:
            crops: values in [0, 255].
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
        return crops.to(torch.float32).mul_(factor).add_(shift)

    @staticmethod
    def flip_pixel_values(pixel_values: torch.Tensor) -> torch.Tensor:
        """Network inputs mirrored left to right, for the second pass of a flip test; see `outputs_flipped`."""
        return pixel_values.flip(-1)

    # After the network ----------------------------------------------------------------------------------------------

    def decode(
        self,
        heatmaps: torch.Tensor,
        boxes: torch.Tensor,
        kernel_size: int = 11,
        heatmaps_flipped: torch.Tensor | None = None,
        padding_factor: float | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Joints in the picture from heat maps; the tensor core of `post_process_pose_estimation`.

        The size of the crops follows from that of the heat maps, so it need not be the processor's own.

        Args:
            heatmaps: (N, K, h, w), any dtype, any device.
            boxes: (N, 4) as (x, y, width, height) in pixels, the boxes that were cut out.
            kernel_size: width of the blur before the sub-pixel step, in cells, odd.
            heatmaps_flipped: (N, K, h, w) of the mirrored crops, straight from the network.
            padding_factor: with which the crops were cut out; None means the processor's own.

        Returns:
            `keypoints` (N, K, 2) as (x, y) in pixels and `scores` (N, K), float32.

        Raises:
            ValueError: shapes that don't fit, or heat maps that are not finite.
        """
        if heatmaps.ndim != 4 or heatmaps.shape[1] != len(self.label_names):
            raise ValueError(
                f"`heatmaps` must have shape (persons, {len(self.label_names)}, height, width) "
                f"for task {self.task!r}, got {tuple(heatmaps.shape)}"
            )
        if heatmaps_flipped is not None:
            heatmaps = average_flipped(heatmaps, heatmaps_flipped, self.flip_pairs)
        padding_factor = self.padding_factor if padding_factor is None else padding_factor
        _check_padding(padding_factor)
        center, scale = boxes_to_center_scale(boxes, image_size_of(heatmaps.shape[2:]), padding_factor)
        keypoints, scores = decode_heatmaps(heatmaps, center, scale, kernel_size)
        if not torch.isfinite(scores).all():
            raise ValueError("`heatmaps` must be finite, got NaN or infinity: the weights or the inputs are broken")
        return keypoints, scores

    def post_process_pose_estimation(
        self,
        outputs: Any,
        boxes: Any,
        kernel_size: int = 11,
        threshold: float | None = None,
        target_sizes: Any = None,
        outputs_flipped: Any = None,
        box_format: str | None = None,
        padding_factor: float | None = None,
    ) -> list[list[dict[str, torch.Tensor]]]:
        """Joints of every person, in pixels of the original picture (official test path, decoding).

        Args:
            outputs: of `HulkForPoseEstimation`; only `heatmaps` (N, K, h, w) is read.
            boxes: the boxes the processor was called with: for each picture a list of boxes, N in all. The boxes of a
                single picture may also stand alone. For whole pictures give `[[0, 0, width, height]]` per picture, or
                None together with `target_sizes`.
            kernel_size: width of the blur before the sub-pixel step, in heat-map cells, odd.
            threshold: joints with a score at or below it are left out; None keeps all. Persons then differ in length.
            target_sizes: (height, width) for each picture. As in VitPose, boxes are then taken as fractions of the
                picture (0 to 1), and results are pixels of that size. None: boxes are pixels, and so are results.
            outputs_flipped: outputs for `flip_pixel_values(pixel_values)`; heat maps are mirrored back and averaged.
            box_format: `xywh` or `xyxy`; None means the processor's own.
            padding_factor: with which the crops were cut out; None means the processor's own.

        Returns:
            For each picture a list with one dict per person, tensors on the CPU: `keypoints` (K, 2) as (x, y),
            `scores` (K,), `labels` (K,) joint indices, and `bbox` (4,), the box as (x1, y1, x2, y2) in pixels.

        Raises:
            ValueError: an argument has the wrong form; the message names it.
        """
        groups = check_result_boxes(boxes, target_sizes, box_format or self.box_format)
        rows = torch.cat([*groups, torch.zeros(0, 4, dtype=torch.float64)])
        heatmaps = _heatmaps_of(outputs, "outputs")
        if len(heatmaps) != len(rows):
            raise ValueError(
                f"`boxes` must hold the box of each person in `outputs`, got {len(rows)} boxes "
                f"in {len(groups)} pictures for {len(heatmaps)} heat maps"
            )
        flipped = None if outputs_flipped is None else _heatmaps_of(outputs_flipped, "outputs_flipped")
        keypoints, scores = (part.cpu() for part in self.decode(heatmaps, rows, kernel_size, flipped, padding_factor))
        bbox = xywh_to_xyxy(rows).float()
        labels = torch.arange(len(self.label_names))
        persons = []
        for person in range(len(rows)):
            keep = slice(None) if threshold is None else scores[person] > threshold
            persons.append(
                {
                    "keypoints": keypoints[person][keep],
                    "scores": scores[person][keep],
                    "labels": labels[keep],
                    "bbox": bbox[person],
                }
            )
        ends = np.cumsum([len(group) for group in groups])
        return [persons[end - len(group) : end] for end, group in zip(ends, groups, strict=True)]


def _check_padding(padding_factor: float) -> None:
    if not padding_factor > 0:
        raise ValueError(f"`padding_factor` must be positive, got {padding_factor}")


def _heatmaps_of(outputs: Any, name: str) -> torch.Tensor:
    heatmaps = outputs.get("heatmaps") if isinstance(outputs, Mapping) else getattr(outputs, "heatmaps", None)
    if not isinstance(heatmaps, torch.Tensor):
        raise ValueError(
            f"`{name}` must be the output of a pose model, with `heatmaps`, got {type(outputs).__name__} without"
        )
    return heatmaps


def _list_of_images(images: Any) -> tuple[list, bool]:
    """The pictures as a list, and whether a single one was given."""
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


__all__ = ["HulkPoseImageProcessor", "HulkPoseImageProcessorKwargs"]
