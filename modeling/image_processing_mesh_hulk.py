# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Image processor of the mesh tasks: pictures and boxes -> crops and targets; bodies -> places in the pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import PILImageResampling, SizeDict
from transformers.processing_utils import Unpack

from .image_processing_hulk import HulkImageProcessorKwargs, HulkPersonImageProcessor, output_field
from .mesh_geometry_hulk import boxes_to_squares, cut_squares, joints_to_crop, picture_camera, square_windows
from .person_inputs_hulk import as_numbers, check_result_boxes, shortened
from .pose_geometry_hulk import xywh_to_xyxy
from .tasks_hulk import KNOWN_TASKS, HulkTask

_RELEASED = KNOWN_TASKS["mesh-smpl"]
_TARGETS = ("joints_2d", "joints_3d", "vertices")


class HulkMeshImageProcessorKwargs(HulkImageProcessorKwargs, total=False):
    """What can be set, besides what `HulkImageProcessorKwargs` names.

    Attributes:
        padding_factor: by how much the crop is larger than the longer side of the box.
        body_vertices: number of vertices of each level of the body, coarse to fine.
    """

    padding_factor: float | int | None
    body_vertices: list | tuple | None


class HulkMeshImageProcessor(HulkPersonImageProcessor):
    """Turns pictures and person boxes into network inputs, and bodies into places of the picture (spec 5.6).

    Around the centre of each box a square is cut out, as long as the longer side of the box times `padding_factor`,
    and resized to the input of the network (bilinear, not rounded to 8 bits, black outside the picture). How the
    squares of most released annotations came from boxes is not known. The default leaves as much room as crops for
    pose have, and the bundled model was trained with it; 1 is the rule of GTA-Human, the largest released set.

    Example:
        >>> processor = HulkMeshImageProcessor()
        >>> picture = np.zeros((480, 640, 3), dtype=np.uint8)
        >>> inputs = processor(picture, boxes=[[100, 80, 150, 300], [320, 90, 120, 310]], return_tensors="pt")
        >>> inputs["pixel_values"].shape
        torch.Size([2, 3, 224, 224])
    """

    valid_kwargs = HulkMeshImageProcessorKwargs
    family = "mesh"
    annotation_name = "meshes"
    annotation_depth = 1
    size_multiple = 16

    resample = PILImageResampling.BILINEAR
    size = {"height": _RELEASED.image_size[0], "width": _RELEASED.image_size[1]}
    task = _RELEASED.name
    label_names = list(_RELEASED.labels)
    padding_factor = 1.25
    body_vertices = list(_RELEASED.body["vertices"])

    def __init__(self, **kwargs: Unpack[HulkMeshImageProcessorKwargs]):
        super().__init__(**kwargs)
        _check_padding(self.padding_factor)

    @classmethod
    def task_settings(cls, task: HulkTask) -> dict[str, Any]:
        """The settings that follow from a task: size, joints and vertices."""
        return {**super().task_settings(task), "body_vertices": list(task.body["vertices"])}

    # Before the network ---------------------------------------------------------------------------------------------

    def preprocess(
        self, images: Any, boxes: Any = None, meshes: Any = None, **kwargs: Unpack[HulkMeshImageProcessorKwargs]
    ) -> BatchFeature:
        """Cuts out and normalises all persons of one picture or of a list of pictures.

        Args:
            images: one picture or a list of them, see `HulkPoseImageProcessor.preprocess`, as for `boxes`.
            boxes: (persons, 4) for each picture, in the format `box_format`; None means that the whole picture shows
                one person.
            meshes: for each picture a list with a dict for each of its persons, of what is known of them:
                `joints_2d` (J, 2 or 3), (x, y) in pixels of the picture and confidence;
                `joints_3d` (J, 3 or 4), (x, y, z) in metres from any origin, and confidence;
                `vertices`, a list of one (V, 3) per level of the body, coarse to fine, in metres from the pelvis that
                the regressor of the body gives. A body of one level may have its vertices alone.
                A confidence that is not given is 1.
            kwargs: any setting of `HulkMeshImageProcessorKwargs`, for this call; `return_tensors="pt"` for tensors.
                The way back must be told of another `padding_factor`, `box_format` or `size`.

        Returns:
            `pixel_values` (N, 3, H, W) with N the persons of all pictures, in order; N may be 0. With `meshes` also
            `labels`, a dict of tensors for `HulkForMeshRecovery.forward`: the kinds of targets that anybody has, zeros
            for whom it is not known, and `has_3d_joints` and `has_smpl`, which say for whom it is.

        Raises:
            ValueError: an argument has the wrong form; the message names it.
        """
        return super().preprocess(images, boxes, meshes, **kwargs)

    def cut_out(
        self, image: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int], settings: Mapping[str, Any]
    ) -> torch.Tensor:
        """The square around every box, see `HulkPersonImageProcessor.cut_out`."""
        squares = boxes_to_squares(boxes, settings["padding_factor"])
        return cut_squares(image, square_windows(*squares, size[0]), size[0])

    def make_targets(
        self,
        annotations: Sequence[Any],
        images: Sequence[torch.Tensor],
        boxes: Sequence[torch.Tensor],
        names: Sequence[str],
        size: tuple[int, int],
        settings: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Joints and vertices in the forms of the loss, see `HulkPersonImageProcessor.make_targets`."""
        persons = []
        for part, box, name in zip(annotations, boxes, names, strict=True):
            part = [] if part is None else part
            if not isinstance(part, list | tuple) or len(part) != len(box):
                got = len(part) if isinstance(part, list | tuple) else shortened(part)
                raise ValueError(f"`{name}` must be a list of one dict per box, {len(box)}, got {got}")
            persons += [self._person_targets(person, f"{name}[{row}]") for row, person in enumerate(part)]
        return {"labels": self._batch_targets(persons, torch.cat([torch.zeros(0, 4), *boxes]), size, settings)}

    def _person_targets(self, person: Any, name: str) -> dict[str, Any]:
        """The annotations of one person as tensors, checked."""
        if not isinstance(person, Mapping) or not set(person) <= set(_TARGETS):
            got = sorted(map(str, person)) if isinstance(person, Mapping) else shortened(person)
            raise ValueError(f"`{name}` must be a dict with some of the keys {list(_TARGETS)}, got {got}")
        count, targets = len(self.label_names), {}
        for kind, axes in (("joints_2d", 2), ("joints_3d", 3)):
            if person.get(kind) is None:
                continue
            expected = f"({count}, {axes}) or, with confidences, ({count}, {axes + 1})"
            joints = as_numbers(person[kind], f"{name}[{kind!r}]", expected)
            if joints.shape not in ((count, axes), (count, axes + 1)):
                raise ValueError(f"`{name}[{kind!r}]` must have shape {expected}, got {tuple(joints.shape)}")
            if joints.shape[1] == axes:
                joints = torch.cat([joints, joints.new_ones(count, 1)], dim=1)
            sure = joints[:, axes] > 0
            if not torch.isfinite(joints[:, axes]).all() or not torch.isfinite(joints[sure]).all():
                raise ValueError(f"`{name}[{kind!r}]` must be finite where the confidence is not 0")
            targets[kind] = torch.where(sure[:, None], joints, 0.0)
        if person.get("vertices") is not None:
            targets["vertices"] = self._levels(person["vertices"], f"{name}['vertices']")
        return targets

    def _levels(self, vertices: Any, name: str) -> list[torch.Tensor]:
        counts = self.body_vertices
        if len(counts) == 1 and not (isinstance(vertices, list | tuple) and len(vertices) == 1):
            vertices = [vertices]
        if not isinstance(vertices, list | tuple) or len(vertices) != len(counts):
            raise ValueError(f"`{name}` must be a list of {len(counts)} levels, of {counts} vertices")
        levels = [as_numbers(level, name, "(vertices, 3)") for level in vertices]
        found = [tuple(level.shape) for level in levels]
        if found != [(count, 3) for count in counts] or not all(level.isfinite().all() for level in levels):
            raise ValueError(f"`{name}` must be finite, of shapes {[(count, 3) for count in counts]}, got {found}")
        return levels

    def _batch_targets(
        self,
        persons: Sequence[Mapping[str, Any]],
        boxes: torch.Tensor,
        size: tuple[int, int],
        settings: Mapping[str, Any],
    ) -> dict[str, Any]:
        count, labels = len(self.label_names), {}

        def stacked(kind: str, shape: tuple[int, ...]) -> torch.Tensor:
            rows = [person.get(kind, torch.zeros(shape, dtype=torch.float64)) for person in persons]
            return torch.stack(rows) if rows else torch.zeros(0, *shape, dtype=torch.float64)

        def flags(kind: str) -> torch.Tensor:
            return torch.tensor([float(kind in person) for person in persons])

        if any("joints_2d" in person for person in persons):
            joints = stacked("joints_2d", (count, 3))
            center, side = boxes_to_squares(boxes, settings["padding_factor"])
            placed = joints_to_crop(joints, center, side, size[0])
            labels["joints_2d"] = torch.where(joints[..., 2:] > 0, placed, 0.0).float()
        if any("joints_3d" in person for person in persons):
            labels |= {"joints_3d": stacked("joints_3d", (count, 4)).float(), "has_3d_joints": flags("joints_3d")}
        if any("vertices" in person for person in persons):
            empty = [torch.zeros(vertices, 3, dtype=torch.float64) for vertices in self.body_vertices]
            levels = zip(*(person.get("vertices", empty) for person in persons), strict=True)
            labels |= {"vertices": [torch.stack(level).float() for level in levels], "has_smpl": flags("vertices")}
        return labels

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raises ValueError for a padding that is not positive."""
        _check_padding(settings["padding_factor"])

    def check_size(self, size: SizeDict) -> tuple[int, int]:
        """(height, width) of the crops; ValueError unless they are squares of whole patches."""
        height, width = super().check_size(size)
        if height != width:
            raise ValueError(f"`size` must be a square, as the camera sees it, got height {height} and width {width}")
        return height, width

    # After the network ----------------------------------------------------------------------------------------------

    def decode(self, outputs: Any, boxes: Any, padding_factor: float | None = None) -> dict[str, torch.Tensor]:
        """Bodies and where they are in the picture; the tensor core of `post_process_human_mesh`.

        Args:
            outputs: of `HulkForMeshRecovery`, N persons.
            boxes: (N, 4) as (x, y, width, height) in pixels, the boxes that were cut out.
            padding_factor: with which they were cut out; None means the processor's own.

        Returns:
            Tensors on the CPU: what `post_process_human_mesh` says of a person, but for `labels` and `bbox`, with an
            axis of persons in front.

        Raises:
            ValueError: another number of persons or of joints, or values that are not finite.
        """
        padding_factor = self.padding_factor if padding_factor is None else padding_factor
        _check_padding(padding_factor)
        camera, joints = (output_field(outputs, name) for name in ("camera", "mesh_joints_3d"))
        levels = outputs.get("vertices") if isinstance(outputs, Mapping) else getattr(outputs, "vertices", None)
        if not isinstance(levels, list | tuple) or not levels:
            raise ValueError(f"`outputs` must be a model output with `vertices`, got {type(outputs).__name__} without")
        if joints.ndim != 3 or joints.shape[1:] != (len(self.label_names), 3):
            raise ValueError(
                f"`outputs` must have `mesh_joints_3d` of shape (persons, {len(self.label_names)}, 3) for task "
                f"{self.task!r}, got {tuple(joints.shape)}"
            )
        if len(camera) != len(boxes):
            raise ValueError(f"`boxes` must hold one box per person of `outputs`, {len(camera)}, got {len(boxes)}")
        camera, joints, vertices = (part.detach().float().cpu() for part in (camera, joints, levels[-1]))
        if not all(torch.isfinite(part).all() for part in (camera, joints, vertices)):
            raise ValueError("`outputs` must be finite, got NaN or infinity: the weights or the inputs are broken")
        seen = picture_camera(camera, boxes, self.size.height, padding_factor)
        joints_2d = joints[..., :2].double() * seen[:, None, :1] + seen[:, None, 1:]
        return {
            "vertices": vertices,
            "joints": joints,
            "joints_2d": joints_2d.float(),
            "camera": camera,
            "picture_camera": seen.float(),
        }

    def post_process_human_mesh(
        self,
        outputs: Any,
        boxes: Any,
        target_sizes: Any = None,
        box_format: str | None = None,
        padding_factor: float | None = None,
    ) -> list[list[dict[str, torch.Tensor]]]:
        """The body of every person, in metres and in pixels of the original picture.

        Args:
            outputs: of `HulkForMeshRecovery`; `vertices`, `mesh_joints_3d` and `camera` are read.
            boxes: the boxes the processor was called with: for each picture a list of boxes, N in all. The boxes of a
                single picture may also stand alone. None together with `target_sizes`: whole pictures.
            target_sizes: (height, width) for each picture: boxes are then fractions of it, from 0 to 1.
            box_format: `xywh` or `xyxy`; None means the processor's own.
            padding_factor: with which the crops were cut out; None means the processor's own.

        Returns:
            For each picture a list with one dict per person, tensors on the CPU: `vertices` (V, 3) of the finest level
            and `joints` (J, 3), in metres from the pelvis, x to the right of the picture, y down, z away from the
            camera; `joints_2d` (J, 2), (x, y) of the joints in pixels of the picture; `labels` (J,) joint indices;
            `camera` (3,): s, tx and ty of the crop; `picture_camera` (3,): pixels per metre p, u and v of the picture,
            where a vertex is seen at the pixel (p * x + u, p * y + v); and `bbox` (4,), the box as (x1, y1, x2, y2).

        Raises:
            ValueError: an argument has the wrong form; the message names it.
        """
        groups = check_result_boxes(boxes, target_sizes, box_format or self.box_format)
        rows = torch.cat([*groups, torch.zeros(0, 4, dtype=torch.float64)])
        decoded = self.decode(outputs, rows, padding_factor)
        labels, bbox = torch.arange(len(self.label_names)), xywh_to_xyxy(rows).float()
        persons = [
            {**{name: part[row] for name, part in decoded.items()}, "labels": labels, "bbox": bbox[row]}
            for row in range(len(rows))
        ]
        ends = np.cumsum([len(group) for group in groups])
        return [persons[end - len(group) : end] for end, group in zip(ends, groups, strict=True)]


def _check_padding(padding_factor: float) -> None:
    if not padding_factor > 0:
        raise ValueError(f"`padding_factor` must be positive, got {padding_factor}")


__all__ = ["HulkMeshImageProcessor", "HulkMeshImageProcessorKwargs"]
