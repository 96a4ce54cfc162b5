# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Image processor of the parsing tasks: pictures and label maps in, the parts of each picture out."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from transformers.image_processing_outputs import SemanticSegmentationPostProcessorOutput
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling
from transformers.processing_utils import Unpack

from .image_processing_hulk import HulkImageProcessorKwargs, HulkPersonImageProcessor, output_field
from .loss_parsing_hulk import IGNORED
from .parsing_maps_hulk import average_mirrored, most_likely_parts, part_probabilities, resize_maps
from .part_labels_hulk import encode_labels, label_ids_of, read_label_map, resize_labels
from .person_inputs_hulk import as_numbers, shortened
from .pose_geometry_hulk import HEATMAP_STRIDE, flip_permutation, image_size_of
from .resizing_hulk import cut_box, resize_opencv_8bit, whole_pixel_boxes
from .tasks_hulk import KNOWN_TASKS, HulkTask

_LIP = KNOWN_TASKS["parsing-lip"]


class HulkParsingImageProcessorKwargs(HulkImageProcessorKwargs, total=False):
    """What can be set, besides what `HulkImageProcessorKwargs` names.

    Attributes:
        flip_pairs: pairs of label indices that change places in a mirror.
        label_ids: the id that each label has in `segmentation_maps`, in order; any other id is background. None: 0, 1,
            2, ...
    """

    flip_pairs: list | tuple | None
    label_ids: list | tuple | None


class HulkParsingImageProcessor(HulkPersonImageProcessor):
    """Turns pictures of persons into network inputs, and the answers into label maps (official test path, spec 5.2).

    The released tasks read the picture of one person, resized to 480x480 whatever its shape, by OpenCV's bilinear
    filter (bit for bit, see `resizing_hulk`). With `boxes` that picture is cut out of a larger one first: the box in
    whole pixels, rounded outwards and clipped to the picture.

    Example:
        >>> processor = HulkParsingImageProcessor()
        >>> picture = torch.zeros(3, 480, 640, dtype=torch.uint8)
        >>> inputs = processor(picture, boxes=[[100, 80, 150, 300], [320, 90, 120, 310]], return_tensors="pt")
        >>> inputs["pixel_values"].shape
        torch.Size([2, 3, 480, 480])
    """

    valid_kwargs = HulkParsingImageProcessorKwargs
    family = "parsing"
    annotation_name = "segmentation_maps"
    annotation_depth = 3
    size_multiple = HEATMAP_STRIDE

    resample = PILImageResampling.BILINEAR
    size = {"height": _LIP.image_size[0], "width": _LIP.image_size[1]}
    task = _LIP.name
    label_names = list(_LIP.labels)
    flip_pairs = [list(pair) for pair in _LIP.flip_pairs]
    label_ids = None

    def __init__(self, **kwargs: Unpack[HulkParsingImageProcessorKwargs]):
        super().__init__(**kwargs)
        flip_permutation(self.flip_pairs, len(self.label_names))
        if len(self.label_names) > IGNORED:  # label maps are 8-bit pictures, and 255 is no label
            raise ValueError(f"`label_names` must be at most {IGNORED} names, got {len(self.label_names)}")
        self.check_settings({"label_ids": self.label_ids, "label_names": self.label_names})

    @classmethod
    def task_settings(cls, task: HulkTask) -> dict[str, Any]:
        """The settings that follow from a task: size, labels, flip pairs and the ids of its data set."""
        ids = list(label_ids_of(task.labels))
        return {
            **super().task_settings(task),
            "flip_pairs": [list(pair) for pair in task.flip_pairs],
            "label_ids": None if ids == list(range(task.num_labels)) else ids,
        }

    # Before the network ---------------------------------------------------------------------------------------------

    def preprocess(
        self,
        images: Any,
        boxes: Any = None,
        segmentation_maps: Any = None,
        **kwargs: Unpack[HulkParsingImageProcessorKwargs],
    ) -> BatchFeature:
        """Cuts out, resizes and normalises all persons of one picture or of a list of pictures.

        Args:
            images: one picture or a list of them, see `HulkPersonImageProcessor`.
            boxes: for each picture a list of boxes, see there; None: the whole picture shows one person.
            segmentation_maps: for each picture a map of its size: file name, PIL image of one channel, or integers
                (height, width); or one map per person, (persons, height, width) or a list. Ids are those of the data
                set, see `label_ids`. Gives `labels`.
            kwargs: any setting of `HulkParsingImageProcessorKwargs`, for this call; `return_tensors="pt"` for tensors.

        Returns:
            `pixel_values` (N, 3, H, W) with N the persons of all pictures, in order; N may be 0. With
            `segmentation_maps` also `labels`, int64 (N, H, W), places in the list of labels.

        Raises:
            ValueError: an argument has the wrong form; the message names it.
        """
        return super().preprocess(images, boxes, segmentation_maps, **kwargs)

    def cut_out(
        self, image: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int], settings: Mapping[str, Any]
    ) -> torch.Tensor:
        """Every box in whole pixels, resized as OpenCV does, see `HulkPersonImageProcessor.cut_out`."""
        crops = image.new_empty(len(boxes), len(image), *size)
        for crop, box in zip(crops, whole_pixel_boxes(boxes, image.shape[1:]).tolist(), strict=True):
            crop.copy_(resize_opencv_8bit(image, size, box))
        return crops

    def make_targets(
        self,
        annotations: Sequence[Any],
        images: Sequence[torch.Tensor],
        boxes: Sequence[torch.Tensor],
        names: Sequence[str],
        size: tuple[int, int],
        settings: Mapping[str, Any],
    ) -> dict[str, torch.Tensor]:
        """Label maps encoded, cut out and resized (training.md 4.3), see `HulkPersonImageProcessor.make_targets`."""
        ids = _label_ids(settings)
        labels = []
        for given, image, part, name in zip(annotations, images, boxes, names, strict=True):
            maps = [encode_labels(one, ids) for one in _maps_of_picture(given, len(part), image.shape[1:], name)]
            for one, box in zip(maps, whole_pixel_boxes(part, image.shape[1:]).tolist(), strict=True):
                cut = cut_box(one[None], box)[0]
                labels.append(resize_labels(cut, size) if cut.numel() else cut.new_zeros(size))
        return {"labels": torch.stack(labels) if labels else torch.zeros(0, *size, dtype=torch.long)}

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raises ValueError unless there is one id per label."""
        ids, names = settings["label_ids"], settings["label_names"]
        if ids is not None and (len(ids) != len(names) or len(set(ids)) != len(ids)):
            raise ValueError(f"`label_ids` must be {len(names)} different ids, one per label, got {shortened(ids)}")

    def encode_segmentation_map(self, segmentation_map: Any) -> torch.Tensor:
        """A map with the ids of the data set -> int64 (height, width) of label indices, at its own size.

        That is what results are compared with in the official evaluation, except for Human3.6M, see
        `part_labels_hulk.evaluation_labels`.

        Args:
            segmentation_map: file name, PIL image of one channel, or integers (height, width).

        Raises:
            ValueError: no map, or of more than one channel.
        """
        ids = _label_ids({"label_ids": self.label_ids, "label_names": self.label_names})
        return encode_labels(read_label_map(segmentation_map, "segmentation_map"), ids)

    # After the network ----------------------------------------------------------------------------------------------

    def decode(self, outputs: Any, outputs_flipped: Any = None) -> torch.Tensor:
        """How likely each place shows each part; the tensor core of `post_process_semantic_segmentation`.

        Args:
            outputs: of `HulkForHumanParsing`; `logits` (N, K, h, w) and `presence_logits` (N, K) are read.
            outputs_flipped: outputs for `flip_pixel_values(pixel_values)`, to be averaged.

        Returns:
            (N, K, h, w), 0 to 1, float32; a quarter of the size of the input.

        Raises:
            ValueError: outputs of another form, or not finite.
        """
        maps = self._probabilities(outputs, "outputs")
        if outputs_flipped is not None:
            maps = average_mirrored(maps, self._probabilities(outputs_flipped, "outputs_flipped"), self.flip_pairs)
        return maps

    def _probabilities(self, outputs: Any, name: str) -> torch.Tensor:
        masks, presence = (output_field(outputs, field, name) for field in ("logits", "presence_logits"))
        if masks.ndim != 4 or masks.shape[1] != len(self.label_names):
            raise ValueError(
                f"`{name}` must have logits (persons, {len(self.label_names)}, height, width) for task "
                f"{self.task!r}, got {tuple(masks.shape)}"
            )
        maps = part_probabilities(masks, presence)
        if not torch.isfinite(maps).all():
            raise ValueError(f"`{name}` must be finite, got NaN: the weights or the inputs are broken")
        return maps

    def post_process_semantic_segmentation(
        self,
        outputs: Any,
        target_sizes: Any = None,
        return_segmentation_scores: bool = False,
        outputs_flipped: Any = None,
    ) -> list[torch.Tensor] | list[SemanticSegmentationPostProcessorOutput]:
        """The part that every pixel shows (official test path).

        A part is as likely as its mask says, times the likelihood that it can be seen at all: the arg-max of `logits`
        alone is something else.

        Args:
            outputs: of `HulkForHumanParsing`; `logits` (N, K, h, w) and `presence_logits` (N, K) are read.
            target_sizes: (height, width) for each of the N persons, (N, 2): of the picture, or of the whole-pixel box
                where boxes were cut out. None: the size of the network input.
            return_segmentation_scores: also return how likely each part is at each pixel, which takes K maps of the
                target size.
            outputs_flipped: outputs for `flip_pixel_values(pixel_values)`; they are mirrored back, left and right
                swapped, and averaged.

        Returns:
            For each person an int64 map (height, width) of label indices, on the CPU; with
            `return_segmentation_scores` an object with it as `segmentation`, and `segmentation_scores` (K, height,
            width).

        Raises:
            ValueError: an argument has the wrong form, or the outputs are not finite.
        """
        maps = self.decode(outputs, outputs_flipped)
        input_size = image_size_of(maps.shape[-2:])
        results = []
        for one, size in zip(maps[:, None], _target_sizes(target_sizes, len(maps), input_size), strict=True):
            if return_segmentation_scores:
                scores = resize_maps(one, input_size, size)[0].cpu()
                data = {"segmentation": scores.argmax(dim=0), "segmentation_scores": scores}
                results.append(SemanticSegmentationPostProcessorOutput(data=data))
            else:
                results.append(most_likely_parts(one, input_size, size)[0][0].cpu())
        return results


def _label_ids(settings: Mapping[str, Any]) -> Sequence[int]:
    ids = settings["label_ids"]
    return range(len(settings["label_names"])) if ids is None else ids


def _maps_of_picture(given: Any, persons: int, image_size: Sequence[int], name: str) -> list[torch.Tensor]:
    """The label map of each person of a picture; one map alone holds for all of them."""
    if given is None:
        raise ValueError(f"`{name}` must be a label map for every picture, got None")
    alone = isinstance(given, str | os.PathLike | Image.Image) or getattr(given, "ndim", 3) == 2
    if isinstance(given, list | tuple) and given and isinstance(given[0], list | tuple):
        numbers = as_numbers(given, name, "integers (height, width) or (persons, height, width)")
        given, alone = numbers.long(), numbers.ndim == 2
    maps = [read_label_map(one, name) for one in ([given] if alone else given)]
    for one in maps:
        if one.shape != tuple(image_size):
            raise ValueError(
                f"`{name}` must have the size {tuple(image_size)} of the upright picture, got {tuple(one.shape)}"
            )
    if len(maps) == 1:
        return maps * persons
    if len(maps) != persons:
        raise ValueError(f"`{name}` must be one map, or one for each of {persons} persons, got {len(maps)}")
    return maps


def _target_sizes(target_sizes: Any, count: int, default: tuple[int, int]) -> list[tuple[int, int]]:
    if target_sizes is None:
        return [default] * count
    sizes = as_numbers(target_sizes, "target_sizes", "a list of (height, width)")
    if sizes.shape != (count, 2) or not (sizes >= 1).all():
        raise ValueError(
            f"`target_sizes` must be one (height, width) for each of {count} persons, got {shortened(target_sizes)}"
        )
    return [(int(height), int(width)) for height, width in sizes.tolist()]


__all__ = ["HulkParsingImageProcessor", "HulkParsingImageProcessorKwargs"]
