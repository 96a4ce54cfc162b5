# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Hulk, the human-centric generalist, for transformers.

Importing this package makes transformers know it: the Auto classes load Hulk's models and processors, and
`transformers.pipeline` knows `human-pose`, `human-parsing`, `human-detection`, `human-attributes`, `human-action`,
`human-mesh`, `human-captioning` and `human-analysis`. `hulk_hf.predict` asks a checkpoint about pictures in one call.

>>> import hulk_hf
>>> result = hulk_hf.predict("photo.jpg", task="pose")  # doctest: +SKIP
>>> persons = hulk_hf.pipeline("human-pose")("photo.jpg")  # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import Any

import transformers

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_attributes_hulk import HulkAttributesImageProcessor
from hulk_hf.modeling.image_processing_caption_hulk import HulkCaptionImageProcessor
from hulk_hf.modeling.image_processing_detection_hulk import HulkDetectionImageProcessor
from hulk_hf.modeling.image_processing_mesh_hulk import HulkMeshImageProcessor
from hulk_hf.modeling.image_processing_parsing_hulk import HulkParsingImageProcessor
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_action_hulk import HulkForActionRecognition
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.modeling_attributes_hulk import HulkForAttributeRecognition
from hulk_hf.modeling.modeling_caption_hulk import HulkForCaptioning
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_mesh_hulk import HulkForMeshRecovery
from hulk_hf.modeling.modeling_parsing_hulk import HulkForHumanParsing
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pipeline_action_hulk import HumanActionPipeline
from hulk_hf.modeling.pipeline_analysis_hulk import HumanAnalysisPipeline
from hulk_hf.modeling.pipeline_attributes_hulk import HumanAttributesPipeline
from hulk_hf.modeling.pipeline_caption_hulk import HumanCaptioningPipeline
from hulk_hf.modeling.pipeline_detection_hulk import HumanDetectionPipeline
from hulk_hf.modeling.pipeline_mesh_hulk import HumanMeshPipeline
from hulk_hf.modeling.pipeline_parsing_hulk import HumanParsingPipeline
from hulk_hf.modeling.pipeline_pose_hulk import HumanPosePipeline
from hulk_hf.modeling.processing_caption_hulk import HulkCaptionProcessor
from hulk_hf.modeling.processing_hulk import HulkProcessor
from hulk_hf.modeling.skeleton_processing_hulk import HulkSkeletonProcessor
from hulk_hf.modeling.tasks_hulk import HulkTask
from hulk_hf.prediction import Predictor, predict
from hulk_hf.registration import BUNDLED_CHECKPOINT, PIPELINES, register
from hulk_hf.results import ImageResult, Person

__version__ = "0.2.0"

register()


def pipeline(
    task: str = "human-pose",
    model: str | os.PathLike[str] | transformers.PreTrainedModel | None = None,
    **kwargs: Any,
) -> transformers.Pipeline:
    """Build one of this package's pipelines.

    Args:
        task: `human-` and `pose`, `parsing`, `detection`, `attributes`, `action`, `mesh`, `captioning` or `analysis`.
        model: Folder, hub name or model; the bundled checkpoint if none is given, which needs no network.
        kwargs: Whatever `transformers.pipeline` takes, for example `device` or `image_processor`.

    Raises:
        ValueError: The task is none of this package's.
    """
    if task not in PIPELINES:
        raise ValueError(f"task: no pipeline {task!r} in hulk_hf, expected one of {list(PIPELINES)}")
    if model is None:
        model = BUNDLED_CHECKPOINT
    return transformers.pipeline(task, model=os.fspath(model) if isinstance(model, os.PathLike) else model, **kwargs)


__all__ = [
    "BUNDLED_CHECKPOINT",
    "HulkAttributesImageProcessor",
    "HulkCaptionImageProcessor",
    "HulkCaptionProcessor",
    "HulkConfig",
    "HulkDetectionImageProcessor",
    "HulkForActionRecognition",
    "HulkForAttributeRecognition",
    "HulkForCaptioning",
    "HulkForHumanAnalysis",
    "HulkForHumanParsing",
    "HulkForMeshRecovery",
    "HulkForPedestrianDetection",
    "HulkForPoseEstimation",
    "HulkMeshImageProcessor",
    "HulkModel",
    "HulkParsingImageProcessor",
    "HulkPoseImageProcessor",
    "HulkProcessor",
    "HulkSkeletonProcessor",
    "HulkTask",
    "HumanActionPipeline",
    "HumanAnalysisPipeline",
    "HumanAttributesPipeline",
    "HumanCaptioningPipeline",
    "HumanDetectionPipeline",
    "HumanMeshPipeline",
    "HumanParsingPipeline",
    "HumanPosePipeline",
    "ImageResult",
    "Person",
    "Predictor",
    "__version__",
    "pipeline",
    "predict",
]
