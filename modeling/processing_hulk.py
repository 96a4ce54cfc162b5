# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkProcessor: the processors of all tasks of a checkpoint in one object, and in one file beside the weights."""

import os
from collections.abc import Mapping
from typing import Any

from transformers import AutoTokenizer
from transformers.processing_utils import ProcessorMixin

from .image_processing_attributes_hulk import HulkAttributesImageProcessor
from .image_processing_caption_hulk import HulkCaptionImageProcessor
from .image_processing_detection_hulk import HulkDetectionImageProcessor
from .image_processing_mesh_hulk import HulkMeshImageProcessor
from .image_processing_parsing_hulk import HulkParsingImageProcessor
from .image_processing_pose_hulk import HulkPoseImageProcessor
from .processing_caption_hulk import HulkCaptionProcessor
from .skeleton_processing_hulk import HulkSkeletonProcessor

PROCESSORS: dict[str, Any] = {
    "pose": HulkPoseImageProcessor,
    "parsing": HulkParsingImageProcessor,
    "detection": HulkDetectionImageProcessor,
    "attributes": HulkAttributesImageProcessor,
    "action": HulkSkeletonProcessor,
    "mesh": HulkMeshImageProcessor,
    "caption": HulkCaptionImageProcessor,
}
"""Family -> class of its processor."""


class HulkProcessor(ProcessorMixin):
    """The processors of the tasks of a checkpoint.

    It is called with the name of a task, or of a family, whose default task is meant, and passes everything else on:

    >>> inputs = processor("street.jpg", task="pose", boxes=[[100, 80, 150, 300]])  # doctest: +SKIP
    >>> persons = processor.post_process_pose_estimation(model(**inputs), boxes)  # doctest: +SKIP

    Args:
        processors: Task name -> its processor, all of this package.
        tokenizer: Of captions.
        default_tasks: Family -> the task that its name means; None: the first one.

    Raises:
        ValueError: No processors, or one of an unknown kind.
    """

    def __init__(
        self, processors: Mapping[str, Any], tokenizer: Any = None, default_tasks: Mapping[str, str] | None = None
    ):
        # The base class wants a fixed list of parts; what there is here depends on the tasks.
        self.chat_template = None
        if not isinstance(processors, Mapping) or not processors:
            raise ValueError(f"`processors` must be a dict of task names and processors, got {processors!r}")
        for name, processor in processors.items():
            if getattr(processor, "family", None) not in PROCESSORS:
                raise ValueError(
                    f"`processors[{name!r}]` must be one of {[kind.__name__ for kind in PROCESSORS.values()]}, got "
                    f"{type(processor).__name__}"
                )
        self.processors = dict(processors)
        self.tokenizer = tokenizer
        first = {processor.family: name for name, processor in reversed(self.processors.items())}
        self.default_tasks = first | dict(default_tasks or {})

    @classmethod
    def from_config(cls, config: Any, tokenizer: Any = None) -> "HulkProcessor":
        """The processors of all tasks of a configuration.

        Args:
            config: A `HulkConfig`.
            tokenizer: Of its captions.
        """
        processors = {name: processor_of(config.task(name), config) for name in config.tasks}
        return cls(processors, tokenizer, config.default_tasks)

    def task_name(self, task: str | None) -> str:
        """The full name of a task from its name or that of its family; None is the only one there is.

        Raises:
            ValueError: There is no such task here.
        """
        if task is None and len(self.processors) == 1:
            return next(iter(self.processors))
        name = self.default_tasks.get(str(task), task)
        if name not in self.processors:
            raise ValueError(f"`task`: no {task!r} in this checkpoint, expected one of {list(self.processors)}")
        return name

    def for_task(self, task: str | None) -> Any:
        """The processor of a task or family; for captions the one with the tokenizer, if there is one."""
        processor = self.processors[self.task_name(task)]
        if processor.family == "caption" and self.tokenizer is not None:
            return HulkCaptionProcessor(processor, self.tokenizer)
        return processor

    def __call__(self, images: Any = None, *args: Any, task: str | None = None, **kwargs: Any) -> Any:
        """The inputs of a task; see the processor of its family.

        Args:
            images: Pictures, or skeletons for `action`.
            args: Passed on.
            task: Name of a task or family; not needed where there is only one.
            kwargs: Passed on.

        Raises:
            ValueError: No such task, or what its processor refuses.
        """
        return self.for_task(task)(images, *args, **kwargs)

    def post_process_pose_estimation(self, outputs: Any, *args: Any, task: str = "pose", **kwargs: Any) -> Any:
        """See `HulkPoseImageProcessor`."""
        return self.for_task(task).post_process_pose_estimation(outputs, *args, **kwargs)

    def post_process_semantic_segmentation(
        self, outputs: Any, *args: Any, task: str = "parsing", **kwargs: Any
    ) -> Any:
        """See `HulkParsingImageProcessor`."""
        return self.for_task(task).post_process_semantic_segmentation(outputs, *args, **kwargs)

    def post_process_object_detection(self, outputs: Any, *args: Any, task: str = "detection", **kwargs: Any) -> Any:
        """See `HulkDetectionImageProcessor`."""
        return self.for_task(task).post_process_object_detection(outputs, *args, **kwargs)

    def post_process_human_attributes(self, outputs: Any, *args: Any, task: str = "attributes", **kwargs: Any) -> Any:
        """See `HulkAttributesImageProcessor`."""
        return self.for_task(task).post_process_human_attributes(outputs, *args, **kwargs)

    def post_process_skeleton_action(self, outputs: Any, *args: Any, task: str = "action", **kwargs: Any) -> Any:
        """See `HulkSkeletonProcessor`."""
        return self.for_task(task).post_process_skeleton_action(outputs, *args, **kwargs)

    def post_process_human_mesh(self, outputs: Any, *args: Any, task: str = "mesh", **kwargs: Any) -> Any:
        """See `HulkMeshImageProcessor`."""
        return self.for_task(task).post_process_human_mesh(outputs, *args, **kwargs)

    def post_process_image_text_to_text(self, generated: Any, *args: Any, task: str = "caption", **kwargs: Any) -> Any:
        """See `HulkCaptionProcessor`.

        Raises:
            ValueError: There is no tokenizer.
        """
        if self.tokenizer is None:
            raise ValueError("`tokenizer` must be given to read captions; this processor has none")
        return self.for_task(task).post_process_image_text_to_text(generated, *args, **kwargs)

    # Files ----------------------------------------------------------------------------------------------------------

    @classmethod
    def get_attributes(cls) -> list[str]:
        """None that the base class should look after."""
        return []

    def to_dict(self) -> dict[str, Any]:
        """The settings of all processors, as they are written to `processor_config.json`."""
        return {
            "processor_class": type(self).__name__,
            "processors": {name: processor.to_dict() for name, processor in self.processors.items()},
            "default_tasks": dict(self.default_tasks),
            "has_tokenizer": self.tokenizer is not None,
        }

    def save_pretrained(self, save_directory: str | os.PathLike, push_to_hub: bool = False, **kwargs) -> list:
        """Write all settings into `processor_config.json`, and the tokenizer beside it."""
        written = super().save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)
        if self.tokenizer is not None:
            written += self.tokenizer.save_pretrained(save_directory, push_to_hub=push_to_hub, **kwargs)
        return list(written)

    @classmethod
    def _get_arguments_from_pretrained(cls, pretrained_model_name_or_path, processor_dict=None, **kwargs) -> list:
        settings = (processor_dict or {}).get("processors")
        if not settings:
            raise ValueError(
                f"`pretrained_model_name_or_path`: {str(pretrained_model_name_or_path)!r} holds no processors of Hulk "
                "tasks (processor_config.json); load the processor of its family instead"
            )
        tokenizer = None
        if processor_dict.get("has_tokenizer"):
            tokenizer = AutoTokenizer.from_pretrained(pretrained_model_name_or_path, **kwargs)
        processors = {name: _from_settings(name, fields) for name, fields in settings.items()}
        return [processors, tokenizer, processor_dict.get("default_tasks")]

    @classmethod
    def from_args_and_dict(cls, args, processor_dict: dict[str, Any], **kwargs) -> Any:
        """The processor from its parts, see the base class."""
        unused = kwargs.pop("return_unused_kwargs", False)
        processor = cls(*args)
        return (processor, kwargs) if unused else processor


def processor_of(task: Any, config: Any) -> Any:
    """The processor of a task.

    Args:
        task: A `HulkTask`.
        config: The `HulkConfig` it belongs to, which says how skeletons are read.
    """
    kind = PROCESSORS[task.family]
    return kind.from_task(task, config=config.skeleton_config) if task.input == "skeleton" else kind.from_task(task)


def _from_settings(name: str, settings: Mapping[str, Any]) -> Any:
    """A processor from its entry in the file; only classes of this package are made."""
    wanted = settings.get("image_processor_type") or settings.get("feature_extractor_type")
    for kind in PROCESSORS.values():
        if kind.__name__ == wanted:
            return kind.from_dict(dict(settings))
    known = [kind.__name__ for kind in PROCESSORS.values()]
    raise ValueError(f"`processors[{name!r}]` must be one of {known}, got {wanted!r}")


__all__ = ["PROCESSORS", "HulkProcessor", "processor_of"]
