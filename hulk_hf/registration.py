# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What transformers has to know about this package: its Auto classes and its pipelines."""

from __future__ import annotations

from pathlib import Path

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForImageTextToText,
    AutoModelForKeypointDetection,
    AutoModelForObjectDetection,
    AutoModelForPoseEstimation,
    AutoModelForPreTraining,
    AutoModelForSemanticSegmentation,
    AutoModelForVideoClassification,
    AutoProcessor,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES,
    MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES,
)
from transformers.pipelines import PIPELINE_REGISTRY

from hulk_hf.modeling.configuration_hulk import HulkConfig, HulkDecoderConfig, HulkSkeletonConfig, HulkVisionConfig
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
from hulk_hf.modeling.processing_hulk import PROCESSORS, HulkProcessor
from hulk_hf.modeling.tasks_hulk import FAMILIES

# Folder of the checkpoint that comes with the package: small, trained on rendered people, for pose.
BUNDLED_CHECKPOINT = str(Path(__file__).parent / "checkpoints" / "hulk-tiny")

# Auto class -> the class that it loads from a Hulk checkpoint. transformers has no Auto class for skeletons, bodies or
# several families at once, and a pipeline needs one: these three have the nearest in meaning.
AUTO_CLASSES = {
    AutoModel: HulkModel,
    AutoModelForPoseEstimation: HulkForPoseEstimation,
    AutoModelForSemanticSegmentation: HulkForHumanParsing,
    AutoModelForObjectDetection: HulkForPedestrianDetection,
    AutoModelForImageClassification: HulkForAttributeRecognition,
    AutoModelForImageTextToText: HulkForCaptioning,
    AutoModelForVideoClassification: HulkForActionRecognition,
    AutoModelForKeypointDetection: HulkForMeshRecovery,
    AutoModelForPreTraining: HulkForHumanAnalysis,
}

# Pipeline task -> its class and the Auto class of its model.
PIPELINES = {
    "human-pose": (HumanPosePipeline, AutoModelForPoseEstimation),
    "human-parsing": (HumanParsingPipeline, AutoModelForSemanticSegmentation),
    "human-detection": (HumanDetectionPipeline, AutoModelForObjectDetection),
    "human-attributes": (HumanAttributesPipeline, AutoModelForImageClassification),
    "human-action": (HumanActionPipeline, AutoModelForVideoClassification),
    "human-mesh": (HumanMeshPipeline, AutoModelForKeypointDetection),
    "human-captioning": (HumanCaptioningPipeline, AutoModelForImageTextToText),
    "human-analysis": (HumanAnalysisPipeline, AutoModelForPreTraining),
}

# Names that transformers' own pipelines look through, and log an error when they do not find the class of their model.
_NAMES_FOR_PIPELINES = {
    HulkForHumanParsing: MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES,
    HulkForPedestrianDetection: MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES,
    HulkForAttributeRecognition: MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
    HulkForCaptioning: MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
}


def register() -> None:
    """Make the Auto classes load Hulk, and `transformers.pipeline` know the tasks of this package.

    Without `model`, those pipelines load the bundled checkpoint, offline. Calling this again changes nothing.
    """
    for config in (HulkConfig, HulkVisionConfig, HulkSkeletonConfig, HulkDecoderConfig):
        AutoConfig.register(config.model_type, config, exist_ok=True)
    for auto_class, model_class in AUTO_CLASSES.items():
        auto_class.register(HulkConfig, model_class, exist_ok=True)
    for model_class, names in _NAMES_FOR_PIPELINES.items():
        names[HulkConfig.model_type] = model_class.__name__
    AutoProcessor.register(HulkConfig, HulkProcessor, exist_ok=True)
    for family, processor in PROCESSORS.items():
        if FAMILIES[family].input == "skeleton":
            AutoFeatureExtractor.register(HulkConfig, processor, exist_ok=True)
        else:
            # Image processors are looked up by the name of their class, and each key has room for one: that of the
            # configuration for pose, for the others the class itself.
            key = HulkConfig if family == "pose" else processor
            AutoImageProcessor.register(key, image_processor_classes={"pil": processor}, exist_ok=True)
    for task, (pipeline_class, auto_class) in PIPELINES.items():
        if task not in PIPELINE_REGISTRY.supported_tasks:
            PIPELINE_REGISTRY.register_pipeline(
                task,
                pipeline_class,
                pt_model=auto_class,
                default={"model": (BUNDLED_CHECKPOINT, "main")},
                type="image",
            )


__all__ = ["AUTO_CLASSES", "BUNDLED_CHECKPOINT", "PIPELINES", "register"]
