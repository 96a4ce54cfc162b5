# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Image processor of the pose tasks: pictures and boxes -> crops and targets; heat maps -> joints in the picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling
from transformers.processing_utils import Unpack

from .image_processing_hulk import HulkImageProcessorKwargs, HulkPersonImageProcessor, output_field
from .person_inputs_hulk import check_keypoints, check_result_boxes
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


class HulkPoseImageProcessorKwargs(HulkImageProcessorKwargs, total=False):
    """What can be set, besides what `HulkImageProcessorKwargs` names.

    Attributes:
        flip_pairs: pairs of joint indices that change places in a mirror.
        padding_factor: by how much the crop window is larger than the box.
        heatmap_sigma: of the Gaussians in `labels`, in heat-map cells.
    """

    flip_pairs: list | tuple | None
    padding_factor: float | int | None
    heatmap_sigma: float | int | None


class HulkPoseImageProcessor(HulkPersonImageProcessor):
    """Turns pictures and person boxes into network inputs, and heat maps back into joints (official test path).

    Each box is enlarged to the aspect ratio of the network input and by `padding_factor`, cut out with the unbiased
    affine warp (bilinear, black outside the picture) and normalised with the ImageNet constants. All persons of a
    picture are cut out at once. What happens to the pictures before, such as EXIF orientation, transparency and 16
    bits, is described in `images_hulk`.

    Example:
        >>> processor = HulkPoseImageProcessor()
        >>> picture = np.zeros((480, 640, 3), dtype=np.uint8)
        >>> inputs = processor(picture, boxes=[[100, 80, 150, 300], [320, 90, 120, 310]], return_tensors="pt")
        >>> inputs["pixel_values"].shape
        torch.Size([2, 3, 256, 192])
    """

    valid_kwargs = HulkPoseImageProcessorKwargs
    family = "pose"
    annotation_name = "keypoints"
    size_multiple = HEATMAP_STRIDE

    resample = PILImageResampling.BILINEAR
    size = {"height": _COCO.image_size[0], "width": _COCO.image_size[1]}
    task = _COCO.name
    label_names = list(_COCO.labels)
    flip_pairs = [list(pair) for pair in _COCO.flip_pairs]
    padding_factor = 1.25
    heatmap_sigma = 2.0

    def __init__(self, **kwargs: Unpack[HulkPoseImageProcessorKwargs]):
        super().__init__(**kwargs)
        flip_permutation(self.flip_pairs, len(self.label_names))
        _check_padding(self.padding_factor)

    @classmethod
    def task_settings(cls, task: HulkTask) -> dict[str, Any]:
        """The settings that follow from a task: size, joints and flip pairs."""
        return {**super().task_settings(task), "flip_pairs": [list(pair) for pair in task.flip_pairs]}

    # Before the network ---------------------------------------------------------------------------------------------

    def preprocess(
        self, images: Any, boxes: Any = None, keypoints: Any = None, **kwargs: Unpack[HulkPoseImageProcessorKwargs]
    ) -> BatchFeature:
        """Cuts out and normalises all persons of one picture or of a list of pictures.

        Args:
            images: one picture or a list of them, see `HulkPersonImageProcessor`.
            boxes: for each picture a list of boxes, see there; None: the whole picture shows one person.
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

    def cut_out(
        self, image: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int], settings: Mapping[str, Any]
    ) -> torch.Tensor:
        """The unbiased affine warp of every box, see `HulkPersonImageProcessor.cut_out`."""
        return warp_crops(image, self._matrices(boxes, size, settings), size)

    def _matrices(self, boxes: torch.Tensor, size: tuple[int, int], settings: Mapping[str, Any]) -> torch.Tensor:
        return crop_matrices(*boxes_to_center_scale(boxes, size, settings["padding_factor"]), size)

    def make_targets(
        self,
        annotations: Sequence[Any],
        images: Sequence[torch.Tensor],
        boxes: Sequence[torch.Tensor],
        names: Sequence[str],
        size: tuple[int, int],
        settings: Mapping[str, Any],
    ) -> dict[str, torch.Tensor]:
        """Heat maps from joints (training.md 4.2), see `HulkPersonImageProcessor.make_targets`."""
        label_names = settings["label_names"]
        joints = [
            check_keypoints(part, len(box), label_names, name)
            for part, box, name in zip(annotations, boxes, names, strict=True)
        ]
        joints = torch.cat([*joints, torch.zeros(0, len(label_names), 3, dtype=torch.float64)])
        matrices = torch.cat([*(self._matrices(part, size, settings) for part in boxes), torch.zeros(0, 2, 3)])
        placed = transform_points(joints[..., :2], matrices)
        sigma = settings["heatmap_sigma"]
        labels, weights = heatmap_targets(placed, joints[..., 2], size, heatmap_size_of(size), sigma)
        return {"labels": labels, "label_weights": weights}

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raises ValueError for a padding that is not positive."""
        _check_padding(settings["padding_factor"])

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
        heatmaps = output_field(outputs, "heatmaps")
        if len(heatmaps) != len(rows):
            raise ValueError(
                f"`boxes` must hold the box of each person in `outputs`, got {len(rows)} boxes "
                f"in {len(groups)} pictures for {len(heatmaps)} heat maps"
            )
        flipped = None if outputs_flipped is None else output_field(outputs_flipped, "heatmaps", "outputs_flipped")
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


__all__ = ["HulkPoseImageProcessor", "HulkPoseImageProcessorKwargs"]
