# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-pose`: pictures and boxes in, joints as plain Python out."""

from typing import Any

import torch

from .image_processing_pose_hulk import HulkPoseImageProcessor
from .pipeline_hulk import HulkPersonPipeline
from .pose_geometry_hulk import person_scores


class HumanPosePipeline(HulkPersonPipeline):
    """Joints of the persons in pictures; inputs and common options as in `HulkPersonPipeline`.

    Example:
        >>> pipe = pipeline("human-pose")  # doctest: +SKIP
        >>> persons = pipe("street.jpg", boxes=[[100, 80, 150, 300], [320, 90, 120, 310]])  # doctest: +SKIP
        >>> persons[0]["labels"][0], persons[0]["keypoints"][0]  # doctest: +SKIP
        ('nose', [171.3, 102.9])

    Further options:

    * `flip_test`: also run the mirrored crops and average, as the official evaluation does. Off by default, since it
      runs the network twice.
    * `threshold`: leave out joints with a score at or below it; None keeps every joint.

    A person is `{"box": {"xmin", "ymin", "xmax", "ymax"}, "score": float, "keypoints": [[x, y], ...],
    "keypoint_scores": [...], "labels": [names]}` in pixels of the upright picture. `score` is the mean of the joint
    scores above 0.2, or 0 if there is none, times the score of the detector (1 for given boxes): how the official
    evaluation ranks persons in its first pass.
    """

    family = "pose"
    default_batch_size = 16
    processor_class = HulkPoseImageProcessor

    def _sanitize_parameters(
        self, flip_test: bool | None = None, threshold: float | None = None, **kwargs
    ) -> tuple[dict, dict, dict]:
        before, during, after = super()._sanitize_parameters(**kwargs)
        if flip_test is not None:
            during["flip_test"] = bool(flip_test)
        if threshold is not None:
            after["threshold"] = float(threshold)
        return before, during, after

    def kept_settings(self, own: bool) -> tuple[str, ...]:
        """The padding of boxes holds for all pose tasks."""
        return ("padding_factor",) if own else ()

    def read_persons(
        self, outputs: Any, persons: list[dict[str, Any]], task: str, outputs_flipped: Any = None
    ) -> list[dict[str, Any]]:
        """Joints and scores from heat maps, see `HulkPersonPipeline.read_persons`."""
        flipped = None if outputs_flipped is None else outputs_flipped.heatmaps
        boxes = torch.tensor([person["box"] for person in persons], dtype=torch.float64)
        keypoints, scores = self.task_processor(task).decode(outputs.heatmaps, boxes, heatmaps_flipped=flipped)
        scores = scores.cpu()
        columns = (person_scores(scores).tolist(), keypoints.tolist(), scores.tolist())
        return [
            {"score": person["score"] * rank, "keypoints": places, "keypoint_scores": values}
            for person, rank, places, values in zip(persons, *columns, strict=True)
        ]

    def person_record(
        self, result: dict[str, Any], person: dict[str, Any], task: str | None, threshold: float | None = None
    ) -> dict[str, Any]:
        """The joints of a person with their names, without those at or below the threshold."""
        names = self.task_processor(task).label_names
        if threshold is None:
            return {**result, "labels": list(names)}
        values = result["keypoint_scores"]
        kept = [joint for joint, value in enumerate(values) if value > threshold]
        return {
            "score": result["score"],
            "keypoints": [result["keypoints"][joint] for joint in kept],
            "keypoint_scores": [values[joint] for joint in kept],
            "labels": [names[joint] for joint in kept],
        }


__all__ = ["HumanPosePipeline"]
