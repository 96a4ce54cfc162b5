# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Hulk, the human-centric generalist, for transformers.

Importing this package makes transformers know it: `transformers.pipeline("human-pose")`, `AutoConfig`, `AutoModel`,
`AutoImageProcessor` and the Auto class of each family then load Hulk: pose `AutoModelForPoseEstimation`, parsing
`AutoModelForSemanticSegmentation`, detection `AutoModelForObjectDetection`, attributes
`AutoModelForImageClassification`, captions `AutoModelForImageTextToText`. Classes that no Auto class fits are imported
from here: `HulkForActionRecognition`, `HulkForMeshRecovery`, and `HulkForHumanAnalysis` with all heads.

>>> import hulk_hf
>>> persons = hulk_hf.pipeline("human-pose")("photo.jpg")  # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import Any

import transformers

from hulk_hf.modeling.configuration_hulk import HulkConfig
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
from hulk_hf.modeling.pipeline_pose_hulk import HumanPosePipeline
from hulk_hf.modeling.tasks_hulk import HulkTask
from hulk_hf.registration import BUNDLED_CHECKPOINT, PIPELINES, register

__version__ = "0.1.0"

register()


def pipeline(
    task: str = "human-pose",
    model: str | os.PathLike[str] | transformers.PreTrainedModel | None = None,
    **kwargs: Any,
) -> transformers.Pipeline:
    """Build one of this package's pipelines.

    Args:
        task: `human-pose`.
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
    "HulkConfig",
    "HulkForActionRecognition",
    "HulkForAttributeRecognition",
    "HulkForCaptioning",
    "HulkForHumanAnalysis",
    "HulkForHumanParsing",
    "HulkForMeshRecovery",
    "HulkForPedestrianDetection",
    "HulkForPoseEstimation",
    "HulkModel",
    "HulkPoseImageProcessor",
    "HulkTask",
    "HumanPosePipeline",
    "__version__",
    "pipeline",
]
