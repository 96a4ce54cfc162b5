# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-mesh`: pictures and boxes in, bodies in three dimensions out."""

from typing import Any

import torch

from .image_processing_mesh_hulk import HulkMeshImageProcessor
from .pipeline_hulk import HulkPersonPipeline

CAMERA_FIELDS = ("scale", "tx", "ty", "pixels_per_metre", "x", "y")
"""What `camera` of a person says."""


class HumanMeshPipeline(HulkPersonPipeline):
    """Bodies of the persons in pictures; inputs and common options as in `HulkPersonPipeline`.

    Example:
        >>> pipe = pipeline("human-mesh")  # doctest: +SKIP
        >>> person = pipe("street.jpg", boxes=[[100, 80, 150, 300]])[0]  # doctest: +SKIP
        >>> person["labels"][0], person["joints"][0], person["vertices"].shape  # doctest: +SKIP
        ('right ankle', [-0.11, 0.84, 0.07], (500, 3))

    A person is a dict of `box` and `score`, and

    * `joints`: [[x, y, z], ...] in metres from the pelvis: x to the right of the picture, y down, z away from the
      camera. `labels` are their names.
    * `joints_2d`: [[x, y], ...], where they are seen, in pixels of the upright picture.
    * `vertices`: float32 array (V, 3), in metres from the pelvis; `faces`: int32 array (F, 3) of its triangles, or
      None if the body model has none.
    * `camera`: `scale`, `tx` and `ty` of the crop, and for the picture `pixels_per_metre`, `x` and `y`. A vertex
      (X, Y, Z) is seen at the pixel (pixels_per_metre * X + x, pixels_per_metre * Y + y): weak perspective, so how far
      away a person is remains unknown.
    * `body` and `license`: name and terms of the body model, which may be narrower than those of this software.

    A checkpoint of `mesh-smpl` does not hold the tables of its body model, whose licence forbids it. They are put in
    from your own files with `pipe.model.set_body("mesh-smpl", body)` before the first call; the error says how to
    make `body`.
    """

    family = "mesh"
    default_batch_size = 16
    processor_class = HulkMeshImageProcessor

    def kept_settings(self, own: bool) -> tuple[str, ...]:
        """The padding of boxes holds for all mesh tasks."""
        return ("padding_factor",) if own else ()

    def read_persons(self, outputs: Any, persons: list[dict[str, Any]], task: str, **options) -> list[dict[str, Any]]:
        """Bodies in metres and in pixels, see `HulkPersonPipeline.read_persons`."""
        boxes = torch.tensor([person["box"] for person in persons], dtype=torch.float64)
        decoded = self.task_processor(task).decode(outputs, boxes)
        cameras = torch.cat([decoded["camera"], decoded["picture_camera"]], dim=1).tolist()
        columns = (decoded["joints"].tolist(), decoded["joints_2d"].tolist(), decoded["vertices"], cameras)
        return [
            {
                "joints": joints,
                "joints_2d": places,
                "vertices": vertices.clone(),
                "camera": dict(zip(CAMERA_FIELDS, camera, strict=True)),
            }
            for joints, places, vertices, camera in zip(*columns, strict=True)
        ]

    def person_record(self, result: Any, person: dict[str, Any], task: str | None, **options) -> dict[str, Any]:
        """The body of a person with the names of its joints, its triangles and the terms of its body model."""
        name = self.model.config.task(task, family=self.family).name
        body = self.model.hulk.tasks[name].body
        faces = self.model.mesh_head.bodies[name].faces(len(body["vertices"]) - 1)
        return {
            **result,
            "labels": list(self.task_processor(task).label_names),
            "vertices": result["vertices"].numpy(),
            "faces": None if faces is None else faces.cpu().numpy().astype("int32"),
            "body": body.get("name"),
            "license": body.get("license"),
        }


__all__ = ["CAMERA_FIELDS", "HumanMeshPipeline"]
