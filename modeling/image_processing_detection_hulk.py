# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Image processor of the detection tasks: whole pictures and annotated boxes in, boxes of persons out."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import ChannelDimension, PILImageResampling, SizeDict
from transformers.processing_utils import Unpack

from .boxes_hulk import centers_to_corners
from .detection_geometry_hulk import (
    annotation_targets,
    non_maximum_suppression,
    relative_centers,
    resize_targets,
    resized_size,
)
from .image_processing_hulk import HulkImageProcessor, HulkImageProcessorKwargs, list_of_images, output_field
from .person_inputs_hulk import as_numbers, check_box_format, indexed_name, shortened
from .pose_geometry_hulk import xyxy_to_xywh
from .resizing_hulk import resize_pillow
from .tasks_hulk import KNOWN_TASKS, HulkTask

_CROWDHUMAN = KNOWN_TASKS["detection-crowdhuman"]
# The released tasks have position tables for 1344x1344 and read 800x1333: in a square table of another side, pictures
# have the same share.
_SHORT_SHARE, _LONG_SHARE = 800 / 1344, 1333 / 1344


class HulkDetectionImageProcessorKwargs(HulkImageProcessorKwargs, total=False):
    """What can be set, besides what `HulkImageProcessorKwargs` names.

    `size` is `{"shortest_edge": ..., "longest_edge": ...}`; `do_pad` allows pictures of different sizes in one batch.
    `box_format` is that of annotations.

    Attributes:
        first_category_id: the `category_id` of annotations that means the first label: 0, or 1 as in most files in
            the format of COCO.
    """

    first_category_id: int | None


class HulkDetectionImageProcessor(HulkImageProcessor):
    """Turns whole pictures into network inputs, and queries back into boxes (official test path, spec 5.3).

    The short side is resized to `size["shortest_edge"]`, or as much less as keeps the long side within
    `size["longest_edge"]`, by Pillow's antialiased bilinear filter. Pictures that then have different sizes are
    refused unless `do_pad=True`: as released, the encoder attends to padding, so that what a picture gives depends on
    its neighbours in the batch. `human-detection` puts pictures of one size together by itself.

    Example:
        >>> processor = HulkDetectionImageProcessor()
        >>> inputs = processor(torch.zeros(3, 480, 640, dtype=torch.uint8), return_tensors="pt")
        >>> inputs["pixel_values"].shape
        torch.Size([1, 3, 800, 1066])
    """

    valid_kwargs = HulkDetectionImageProcessorKwargs
    family = "detection"

    resample = PILImageResampling.BILINEAR
    size = {"shortest_edge": 800, "longest_edge": 1333}
    default_to_square = False
    do_pad = False
    task = _CROWDHUMAN.name
    label_names = list(_CROWDHUMAN.labels)
    first_category_id = 0

    def __init__(self, **kwargs: Unpack[HulkDetectionImageProcessorKwargs]):
        super().__init__(**kwargs)
        self.check_edges(self.size)

    @classmethod
    def task_settings(cls, task: HulkTask) -> dict[str, Any]:
        """The settings that follow from a task: labels, and edges so that pictures fit its position table.

        A table that is longer than high or higher than long is taken as the size of the pictures; in a square one
        they have the released proportions, 800 and 1333 of 1344.
        """
        short, long = min(task.image_size), max(task.image_size)
        if short == long:
            short, long = max(round(short * _SHORT_SHARE), 1), max(round(long * _LONG_SHARE), 1)
        return {**super().task_settings(task), "size": {"shortest_edge": short, "longest_edge": long}}

    # Before the network ---------------------------------------------------------------------------------------------

    def preprocess(
        self, images: Any, annotations: Any = None, **kwargs: Unpack[HulkDetectionImageProcessorKwargs]
    ) -> BatchFeature:
        """Resizes and normalises one picture or a list of pictures.

        Args:
            images: one picture or a list of them: PIL images, arrays, tensors, file names, URLs. An array of four axes
                is a list of pictures.
            annotations: for one picture `{"image_id": int, "annotations": [...]}` or the bare list, for a list of
                pictures a list of these; each annotation is a dict in the format of COCO with `bbox` (in the format
                `box_format`, pixels of the picture), `category_id`, and if wanted `area` and `iscrowd`. Boxes are
                clipped to the picture and those without width or height left out. A `category_id` that belongs to
                none of the labels makes a box to ignore, as `iscrowd` does.
            kwargs: any setting of `HulkDetectionImageProcessorKwargs`, for this call; `return_tensors="pt"` for
                tensors. `do_resize=False` leaves the size as it is. With `do_pad=True` pictures are padded at bottom
                and right, with what the mean colour is normalised to (zeros).

        Returns:
            `pixel_values` (B, 3, H, W); with `do_pad` also `pixel_mask` (B, H, W), 1 for the picture and 0 for
            padding; with `annotations` also `labels`, for each picture a dict of tensors as
            `HulkForPedestrianDetection` takes them: `boxes` (N, 4) as (center x, center y, width, height), 0 to 1 of
            the picture without its padding; `class_labels` (N,); `iscrowd` (N,), to be ignored; `area` (N,) in pixels
            of the input; `orig_size` and `size`, (height, width) before and after the resize; and `image_id` (1,)
            where it was given.

        Raises:
            ValueError: an argument has the wrong form; or the pictures have different sizes, without `do_pad`.
        """
        return super().preprocess(images, annotations, **kwargs)

    def _preprocess_image_like_inputs(
        self,
        images: Any,
        annotations: Any,
        *,
        size: SizeDict,
        do_resize: bool,
        do_pad: bool | None,
        label_names: Sequence[str],
        box_format: str,
        first_category_id: int,
        return_tensors: str | None,
        device: str | torch.device | None,
        input_data_format: str | ChannelDimension | None,
        **settings,
    ) -> BatchFeature:
        self.refuse_unsupported(settings, self.resample)
        check_box_format(box_format)
        self.check_edges(size)
        if settings.get("pad_size") is not None:
            raise ValueError(
                f"`pad_size` must be None: padding reaches to the largest picture, got {settings['pad_size']}"
            )
        single = list_of_images(images)[1]
        images = self._prepare_image_like_inputs(images, input_data_format=input_data_format)
        if not images:
            raise ValueError("`images` must hold at least one picture, got an empty list")
        sizes = [tuple(image.shape[1:]) for image in images]
        if do_resize:
            sizes = [resized_size(before, size.shortest_edge, size.longest_edge) for before in sizes]
        pictures = [
            image if image.shape[1:] == after else resize_pillow(image, after, self.resample)
            for image, after in zip(images, sizes, strict=True)
        ]
        if not do_pad and return_tensors is not None and len(set(sizes)) > 1:
            raise ValueError(
                f"`images` must have one size after the resize to share a batch, got {sorted(set(sizes))} (height, "
                "width); do_pad=True pads them, but then results depend on what shares the batch unless the model "
                "has `mask_padding`"
            )
        pictures = [
            self.normalize_crops(picture if device is None else picture.to(device), **settings) for picture in pictures
        ]
        data: dict[str, Any] = {"pixel_values": pictures}
        if do_pad:
            data["pixel_values"], data["pixel_mask"] = _pad(pictures)
        elif return_tensors is not None:
            data["pixel_values"] = torch.stack(pictures)
        if annotations is not None:
            name = "annotations"
            parts = _annotations_per_image(annotations, len(images), single)
            data["labels"] = [
                self._labels(
                    part,
                    tuple(image.shape[1:]),
                    after,
                    indexed_name(name, index, single),
                    len(label_names),
                    box_format,
                    first_category_id,
                )
                for index, (part, image, after) in enumerate(zip(parts, images, sizes, strict=True))
            ]
        if return_tensors is None:  # as everywhere in transformers: lists of arrays
            data = {
                key: [row.cpu().numpy() if isinstance(row, torch.Tensor) else row for row in value]
                for key, value in data.items()
            }
        return BatchFeature(data=data, tensor_type=return_tensors)

    def _labels(
        self,
        given: Any,
        image_size: tuple[int, int],
        size: tuple[int, int],
        name: str,
        num_labels: int,
        box_format: str,
        first_category_id: int,
    ) -> dict[str, torch.Tensor]:
        """What the annotations of one picture become, see `preprocess`."""
        image_id = given.get("image_id") if isinstance(given, Mapping) else None
        records = given["annotations"] if isinstance(given, Mapping) else given
        boxes = as_numbers([_box(record, f"{name}[{row}]") for row, record in enumerate(records)], name, "boxes")
        boxes = boxes.reshape(-1, 4) if box_format == "xywh" else xyxy_to_xywh(boxes.reshape(-1, 4))
        targets = annotation_targets(
            boxes,
            torch.tensor([int(record["category_id"]) - first_category_id for record in records], dtype=torch.long),
            torch.tensor(
                [
                    box[2] * box[3] if record.get("area") is None else float(record["area"])
                    for record, box in zip(records, boxes.tolist(), strict=True)
                ]
            ),
            torch.tensor([bool(record.get("iscrowd", False)) for record in records], dtype=torch.bool),
            image_size,
            num_labels,
        )
        if size != image_size:
            targets = resize_targets(targets, image_size, size)
        labels = {
            "boxes": relative_centers(targets.boxes, size),
            "class_labels": targets.classes,
            "iscrowd": targets.ignored,
            "area": targets.areas,
            "orig_size": torch.tensor(image_size),
            "size": torch.tensor(size),
        }
        return labels if image_id is None else {**labels, "image_id": torch.tensor([int(image_id)])}

    def refuse_unsupported(self, settings: Mapping[str, Any], resample: Any = None) -> None:
        """As for all families; but resizing and padding are choices here."""
        super().refuse_unsupported(
            {name: value for name, value in settings.items() if name not in ("do_resize", "do_pad")}, resample
        )

    def check_edges(self, size: Any) -> None:
        """Raises ValueError unless `size` has a shortest edge, and nothing but a longest edge beside it."""
        given = {name: value for name, value in dict(size).items() if value is not None}
        edges = set(given) <= {"shortest_edge", "longest_edge"} and "shortest_edge" in given
        if not edges or not all(int(value) == value and value >= 1 for value in given.values()):
            raise ValueError(f"`size` must be {{'shortest_edge', 'longest_edge'}} in whole pixels, got {given}")

    # After the network ----------------------------------------------------------------------------------------------

    def post_process_object_detection(
        self, outputs: Any, threshold: float | None = 0.5, target_sizes: Any = None, nms: float | None = None
    ) -> list[dict[str, torch.Tensor]]:
        """The boxes of every picture, as in DETR and its successors.

        As released, boxes are not clipped to the picture and overlapping ones all stay.

        Args:
            outputs: of `HulkForPedestrianDetection`; `logits` (B, Q, K) and `pred_boxes` (B, Q, 4) are read.
            threshold: boxes with a score at or below it are left out; None keeps all Q.
            target_sizes: (height, width) of each picture, (B, 2): boxes are in pixels of it. None: boxes are shares
                of the picture.
            nms: intersection over union above which, of two boxes of one label, only the better one stays.

        Returns:
            For each picture a dict of tensors on the CPU, the best box first: `scores` (N,), `labels` (N,) and
            `boxes` (N, 4) as (x1, y1, x2, y2).

        Raises:
            ValueError: an argument has the wrong form, or the outputs are not finite.
        """
        logits, centers = output_field(outputs, "logits"), output_field(outputs, "pred_boxes")
        if logits.ndim != 3 or logits.shape[2] != len(self.label_names) or centers.shape != (*logits.shape[:2], 4):
            raise ValueError(
                f"`outputs` must have logits (pictures, queries, {len(self.label_names)}) and pred_boxes (pictures, "
                f"queries, 4) for task {self.task!r}, got {tuple(logits.shape)} and {tuple(centers.shape)}"
            )
        if nms is not None and not 0 <= nms <= 1:
            raise ValueError(f"`nms` must be an intersection over union in [0, 1], got {nms!r}")
        scores, labels = logits.float().sigmoid().max(dim=-1)
        boxes = centers_to_corners(centers.float())
        if not torch.isfinite(scores).all() or not torch.isfinite(boxes).all():
            raise ValueError("`outputs` must be finite, got NaN or infinity: the weights or the inputs are broken")
        if target_sizes is not None:
            boxes = boxes * _pixel_units(target_sizes, len(boxes)).to(boxes)[:, None]
        results = []
        for score, label, box in zip(scores.cpu(), labels.cpu(), boxes.cpu(), strict=True):
            order = score.argsort(descending=True, stable=True)
            if threshold is not None:
                order = order[score[order] > threshold]
            if nms is not None:
                order = order[non_maximum_suppression(box[order], score[order], nms, label[order])]
            results.append({"scores": score[order], "labels": label[order], "boxes": box[order]})
        return results


def _pad(pictures: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of any size at the top left of a batch of zeros, and where they are."""
    height = max(picture.shape[1] for picture in pictures)
    width = max(picture.shape[2] for picture in pictures)
    batch = pictures[0].new_zeros(len(pictures), 3, height, width)
    mask = torch.zeros(len(pictures), height, width, dtype=torch.long, device=batch.device)
    for row, picture in enumerate(pictures):
        batch[row, :, : picture.shape[1], : picture.shape[2]] = picture
        mask[row, : picture.shape[1], : picture.shape[2]] = 1
    return batch, mask


def _annotations_per_image(annotations: Any, count: int, single: bool) -> list[Any]:
    """The annotations of each picture: a dict with a list under 'annotations', or the list itself."""
    wrapped = (
        isinstance(annotations, list | tuple)
        and len(annotations) == 1
        and (not isinstance(annotations[0], Mapping) or "annotations" in annotations[0])
    )
    parts = [annotations] if single and not wrapped else annotations
    if not isinstance(parts, list | tuple) or len(parts) != count:
        got = len(parts) if isinstance(parts, list | tuple) else type(parts).__name__
        raise ValueError(f"`annotations` must be a list with one entry per picture, got {got} for {count} pictures")
    for index, part in enumerate(parts):
        name = indexed_name("annotations", index, single)
        records = part.get("annotations") if isinstance(part, Mapping) else part
        if not isinstance(records, list | tuple) or not all(isinstance(record, Mapping) for record in records):
            raise ValueError(
                f"`{name}` must be {{'image_id': ..., 'annotations': [...]}} or a list of dicts, got {shortened(part)}"
            )
        for row, record in enumerate(records):
            if "category_id" not in record or "bbox" not in record:
                raise ValueError(f"`{name}[{row}]` must have 'bbox' and 'category_id', got {sorted(map(str, record))}")
    return list(parts)


def _box(record: Mapping[str, Any], name: str) -> list[float]:
    box = as_numbers(record["bbox"], f"{name}['bbox']", "4 numbers in pixels")
    if box.shape != (4,) or not torch.isfinite(box).all():
        raise ValueError(f"`{name}['bbox']` must be 4 finite numbers in pixels, got {shortened(record['bbox'])}")
    return box.tolist()


def _pixel_units(target_sizes: Any, count: int) -> torch.Tensor:
    """(B, 4), what shares of each picture are multiplied by to get pixels."""
    sizes = as_numbers(target_sizes, "target_sizes", "a list of (height, width)")
    if sizes.shape != (count, 2) or not (sizes > 0).all():
        raise ValueError(
            f"`target_sizes` must be one (height, width) for each of {count} pictures, got {shortened(target_sizes)}"
        )
    return sizes.flip(1).repeat(1, 2)


__all__ = ["HulkDetectionImageProcessor", "HulkDetectionImageProcessorKwargs"]
