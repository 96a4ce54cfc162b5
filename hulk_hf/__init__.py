# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Hulk, the human-centric generalist, for transformers.

Importing this package makes transformers know it: `transformers.pipeline("human-pose")`, `AutoConfig`, `AutoModel`,
`AutoModelForPoseEstimation` and `AutoImageProcessor` then load Hulk.

>>> import hulk_hf
>>> persons = hulk_hf.pipeline("human-pose")("photo.jpg")  # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import Any

import transformers

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pipeline_pose_hulk import HumanPosePipeline
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
    "HulkForPoseEstimation",
    "HulkModel",
    "HulkPoseImageProcessor",
    "HumanPosePipeline",
    "__version__",
    "pipeline",
]
