# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What transformers has to know about this package: its Auto classes and its pipelines."""

from __future__ import annotations

from importlib import resources

from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoModelForPoseEstimation
from transformers.pipelines import PIPELINE_REGISTRY

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pipeline_pose_hulk import HumanPosePipeline

BUNDLED_CHECKPOINT = str(resources.files("hulk_hf") / "checkpoints" / "hulk-tiny")
"""Folder of the checkpoint that comes with the package: small, trained on rendered people, for pose."""


def register() -> None:
    """Make the Auto classes load Hulk, and `transformers.pipeline` know `human-pose`.

    Without `model`, that pipeline loads the bundled checkpoint, offline. Calling this again changes nothing.
    """
    AutoConfig.register(HulkConfig.model_type, HulkConfig, exist_ok=True)
    AutoModel.register(HulkConfig, HulkModel, exist_ok=True)
    AutoModelForPoseEstimation.register(HulkConfig, HulkForPoseEstimation, exist_ok=True)
    AutoImageProcessor.register(HulkConfig, image_processor_classes={"pil": HulkPoseImageProcessor}, exist_ok=True)
    if "human-pose" not in PIPELINE_REGISTRY.supported_tasks:
        PIPELINE_REGISTRY.register_pipeline(
            "human-pose",
            HumanPosePipeline,
            pt_model=AutoModelForPoseEstimation,
            default={"model": (BUNDLED_CHECKPOINT, "main")},
            type="image",
        )


__all__ = ["BUNDLED_CHECKPOINT", "register"]
