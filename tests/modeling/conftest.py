# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Small models that the tests of the modeling room share; random weights, so only their form means something."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation


@pytest.fixture(scope="session")
def tiny_pose_model() -> HulkForPoseEstimation:
    """A random pose model of two tasks; tests must not change it."""
    torch.manual_seed(0)
    config = HulkConfig(
        vision_config={"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96},
        decoder_config={"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64},
        text_feature_size=16,
        tasks=["pose-coco", "pose-aic"],
    )
    return HulkForPoseEstimation(config).eval()


@pytest.fixture(scope="session")
def tiny_pose_processor(tiny_pose_model) -> HulkPoseImageProcessor:
    """The processor of `tiny_pose_model`."""
    return HulkPoseImageProcessor.from_task(tiny_pose_model.config.task())


@pytest.fixture(scope="session")
def tiny_pose_folder(tiny_pose_model, tiny_pose_processor, tmp_path_factory) -> Path:
    """`tiny_pose_model` and its processor as a checkpoint folder; tests must not change it."""
    folder = tmp_path_factory.mktemp("tiny_pose")
    tiny_pose_model.save_pretrained(folder)
    tiny_pose_processor.save_pretrained(folder)
    return folder
