# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""By which names a published checkpoint of each family is found and loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import transformers

from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.pretrained_hulk import FAMILY_HEADS


@dataclass(frozen=True)
class PublishedFamily:
    """What the world outside knows a family by.

    Attributes:
        model: File and class of the model.
        auto_class: Auto class that loads it; None: it is loaded by its own name.
        pipeline_tag: The task of the hub that is nearest.
        tag: What people search for.
        result: The attribute of the output that a user looks at first.
        processor: Class of the processor that makes its inputs; None: there is none here yet.
        pipelines: Entries of `custom_pipelines`, which need the processor.
    """

    model: str
    auto_class: str | None
    pipeline_tag: str
    tag: str
    result: str
    processor: Any = None
    pipelines: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def class_name(self) -> str:
        """Name of the class of the model."""
        return self.model.partition(".")[2]


PUBLISHED_FAMILIES = {
    "pose": PublishedFamily(
        "modeling_pose_hulk.HulkForPoseEstimation",
        "AutoModelForPoseEstimation",
        "keypoint-detection",
        "human-pose-estimation",
        "heatmaps",
        HulkPoseImageProcessor,
        {
            "human-pose": {
                "impl": "pipeline_pose_hulk.HumanPosePipeline",
                "pt": ["AutoModelForPoseEstimation"],
                "type": "image",
            }
        },
    ),
    "parsing": PublishedFamily(
        "modeling_parsing_hulk.HulkForHumanParsing",
        "AutoModelForSemanticSegmentation",
        "image-segmentation",
        "human-parsing",
        "logits",
    ),
    "detection": PublishedFamily(
        "modeling_detection_hulk.HulkForPedestrianDetection",
        "AutoModelForObjectDetection",
        "object-detection",
        "pedestrian-detection",
        "pred_boxes",
    ),
    "attributes": PublishedFamily(
        "modeling_attributes_hulk.HulkForAttributeRecognition",
        "AutoModelForImageClassification",
        "image-classification",
        "pedestrian-attribute-recognition",
        "logits",
    ),
    "action": PublishedFamily(
        "modeling_action_hulk.HulkForActionRecognition",
        None,
        "video-classification",
        "skeleton-based-action-recognition",
        "logits",
    ),
    "mesh": PublishedFamily(
        "modeling_mesh_hulk.HulkForMeshRecovery", None, "image-to-3d", "human-mesh-recovery", "mesh_joints_3d"
    ),
    "caption": PublishedFamily(
        "modeling_caption_hulk.HulkForCaptioning",
        "AutoModelForImageTextToText",
        "image-to-text",
        "person-captioning",
        "logits",
    ),
}
"""Family -> how it is published."""

ALL_FAMILIES = "modeling_analysis_hulk.HulkForHumanAnalysis"
"""File and class of the model with the heads of several families."""


def published_families(model: transformers.PreTrainedModel) -> list[str]:
    """The families whose weights a model holds, heads included, in the order of its tasks.

    A configuration may name more: a class of one family that was loaded from a checkpoint of many keeps its
    configuration, but not its other weights.

    Args:
        model: A Hulk model.
    """
    trunk: Any = getattr(model, "hulk", model)
    families = dict.fromkeys(task.family for task in trunk.tasks.values())
    return [family for family in families if all(hasattr(model, head) for head in FAMILY_HEADS[family])]


__all__ = ["ALL_FAMILIES", "PUBLISHED_FAMILIES", "PublishedFamily", "published_families"]
