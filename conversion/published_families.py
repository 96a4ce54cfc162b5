# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""By which names a published checkpoint of each family is found and loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import transformers

from hulk_hf.modeling.pretrained_hulk import FAMILY_HEADS
from hulk_hf.modeling.processing_hulk import PROCESSORS
from hulk_hf.modeling.tasks_hulk import FAMILIES


@dataclass(frozen=True)
class PublishedFamily:
    """What the world outside knows a family by.

    Attributes:
        model: File and class of the model.
        auto_class: Auto class that loads it.
        pipeline: Name of its pipeline.
        pipeline_class: File and class of the pipeline.
        pipeline_tag: The task of the hub that is nearest.
        tag: What people search for.
        result: The attribute of the output that a user looks at first.
        processor: Class of the processor that makes its inputs.
        modality: What the pipeline reads.
    """

    model: str
    auto_class: str
    pipeline: str
    pipeline_class: str
    pipeline_tag: str
    tag: str
    result: str
    processor: Any
    modality: str = "image"

    @property
    def class_name(self) -> str:
        """Name of the class of the model."""
        return self.model.partition(".")[2]

    @property
    def custom_pipelines(self) -> dict[str, dict[str, Any]]:
        """The entry of `custom_pipelines` in `config.json`."""
        return {self.pipeline: {"impl": self.pipeline_class, "pt": [self.auto_class], "type": self.modality}}


PUBLISHED_FAMILIES = {
    "pose": PublishedFamily(
        model="modeling_pose_hulk.HulkForPoseEstimation",
        auto_class="AutoModelForPoseEstimation",
        pipeline="human-pose",
        pipeline_class="pipeline_pose_hulk.HumanPosePipeline",
        pipeline_tag="keypoint-detection",
        tag="human-pose-estimation",
        result="heatmaps",
        processor=PROCESSORS["pose"],
    ),
    "parsing": PublishedFamily(
        model="modeling_parsing_hulk.HulkForHumanParsing",
        auto_class="AutoModelForSemanticSegmentation",
        pipeline="human-parsing",
        pipeline_class="pipeline_parsing_hulk.HumanParsingPipeline",
        pipeline_tag="image-segmentation",
        tag="human-parsing",
        result="logits",
        processor=PROCESSORS["parsing"],
    ),
    "detection": PublishedFamily(
        model="modeling_detection_hulk.HulkForPedestrianDetection",
        auto_class="AutoModelForObjectDetection",
        pipeline="human-detection",
        pipeline_class="pipeline_detection_hulk.HumanDetectionPipeline",
        pipeline_tag="object-detection",
        tag="pedestrian-detection",
        result="pred_boxes",
        processor=PROCESSORS["detection"],
    ),
    "attributes": PublishedFamily(
        model="modeling_attributes_hulk.HulkForAttributeRecognition",
        auto_class="AutoModelForImageClassification",
        pipeline="human-attributes",
        pipeline_class="pipeline_attributes_hulk.HumanAttributesPipeline",
        pipeline_tag="image-classification",
        tag="pedestrian-attribute-recognition",
        result="logits",
        processor=PROCESSORS["attributes"],
    ),
    "action": PublishedFamily(
        model="modeling_action_hulk.HulkForActionRecognition",
        auto_class="AutoModelForVideoClassification",
        pipeline="human-action",
        pipeline_class="pipeline_action_hulk.HumanActionPipeline",
        pipeline_tag="video-classification",
        tag="skeleton-based-action-recognition",
        result="logits",
        processor=PROCESSORS["action"],
        modality="video",
    ),
    "mesh": PublishedFamily(
        model="modeling_mesh_hulk.HulkForMeshRecovery",
        auto_class="AutoModelForKeypointDetection",
        pipeline="human-mesh",
        pipeline_class="pipeline_mesh_hulk.HumanMeshPipeline",
        pipeline_tag="image-to-3d",
        tag="human-mesh-recovery",
        result="mesh_joints_3d",
        processor=PROCESSORS["mesh"],
    ),
    "caption": PublishedFamily(
        model="modeling_caption_hulk.HulkForCaptioning",
        auto_class="AutoModelForImageTextToText",
        pipeline="human-captioning",
        pipeline_class="pipeline_caption_hulk.HumanCaptioningPipeline",
        pipeline_tag="image-to-text",
        tag="person-captioning",
        result="logits",
        processor=PROCESSORS["caption"],
    ),
}
"""Family -> how it is published."""

ALL_FAMILIES = "modeling_analysis_hulk.HulkForHumanAnalysis"
"""File and class of the model with the heads of several families."""

ALL_FAMILIES_AUTO_CLASS = "AutoModelForPreTraining"
"""Auto class that loads it."""

ANALYSIS_PIPELINE = {
    "human-analysis": {
        "impl": "pipeline_analysis_hulk.HumanAnalysisPipeline",
        "pt": [ALL_FAMILIES_AUTO_CLASS],
        "type": "image",
    }
}
"""The entry of its pipeline in `custom_pipelines`."""


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


def leading_family(families: Sequence[str]) -> str:
    """The family whose processor lies in the one file that `AutoImageProcessor` reads: pose, if there are joints.

    Args:
        families: Of a checkpoint, at least one.
    """
    return min(families, key=lambda family: (family != "pose", FAMILIES[family].input == "skeleton"))


__all__ = [
    "ALL_FAMILIES",
    "ALL_FAMILIES_AUTO_CLASS",
    "ANALYSIS_PIPELINE",
    "PUBLISHED_FAMILIES",
    "PublishedFamily",
    "leading_family",
    "published_families",
]
