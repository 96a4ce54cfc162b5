# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What transformers has to know about this package: its Auto classes and its pipelines."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForPoseEstimation
from transformers.pipelines import PIPELINE_REGISTRY

from hulk_hf.modeling.configuration_hulk import HulkConfig, HulkDecoderConfig, HulkVisionConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pipeline_pose_hulk import HumanPosePipeline

# Folder of the checkpoint that comes with the package: small, trained on rendered people, for pose.
BUNDLED_CHECKPOINT = str(Path(__file__).parent / "checkpoints" / "hulk-tiny")

# Pipeline task -> its class and the Auto class of its model.
PIPELINES = {"human-pose": (HumanPosePipeline, AutoModelForPoseEstimation)}


def register() -> None:
    """Make the Auto classes load Hulk, and `transformers.pipeline` know the tasks of this package.

    Without `model`, those pipelines load the bundled checkpoint, offline. Calling this again changes nothing.
    """
    for config in (HulkConfig, HulkVisionConfig, HulkDecoderConfig):
        AutoConfig.register(config.model_type, config, exist_ok=True)
    AutoModel.register(HulkConfig, HulkModel, exist_ok=True)
    AutoModelForPoseEstimation.register(HulkConfig, HulkForPoseEstimation, exist_ok=True)
    AutoImageProcessor.register(HulkConfig, image_processor_classes={"pil": HulkPoseImageProcessor}, exist_ok=True)
    for task, (pipeline_class, auto_class) in PIPELINES.items():
        if task not in PIPELINE_REGISTRY.supported_tasks:
            PIPELINE_REGISTRY.register_pipeline(
                task,
                pipeline_class,
                pt_model=auto_class,
                default={"model": (BUNDLED_CHECKPOINT, "main")},
                type="image",
            )


__all__ = ["BUNDLED_CHECKPOINT", "PIPELINES", "register"]
