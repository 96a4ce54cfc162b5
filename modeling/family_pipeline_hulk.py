# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What the pipelines of all families share: which part of the model serves the family, and a processor per task."""

from collections.abc import Iterator
from typing import Any

from transformers.processing_utils import ProcessorMixin

_SHARED_SETTINGS = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")


class HulkFamilyPipeline:
    """Goes in front of a pipeline class of transformers and names what is loaded for it.

    Built by hand, a pipeline needs a model only, which may be the class with all heads: the processor is then the one
    that the checkpoint stores, or that of the task.

    A family sets `family` and `processor_class`.
    """

    # All five stated: None would mean "try to load", which may ask for remote code.
    _load_processor = False
    _load_image_processor = True
    _load_feature_extractor = False
    _load_tokenizer = False
    _load_video_processor = False

    family = ""
    processor_class: Any = None
    """The image processor of the family."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if hasattr(self.model, "for_family"):  # the class with all heads
            self.model = self.model.for_family(self.family)
        # No isinstance: under remote code from a folder there may be two copies of a class.
        config, processor = getattr(self.model, "config", None), self.image_processor
        usable = processor is None or hasattr(processor, "normalize_crops")
        if getattr(config, "model_type", None) != "hulk" or not usable:
            raise ValueError(
                f"`model` must be a Hulk model for {self.family} with its {self.processor_class.__name__}, got "
                f"{type(self.model).__name__} with {type(self.image_processor).__name__}"
            )
        self._processors = {}
        if getattr(self.image_processor, "family", None) == self.family:
            self._processors[self.image_processor.task] = self.image_processor
        else:  # a folder of several families holds the settings of one of them in the file that was read
            self.image_processor = self.task_processor(None)

    def task_processor(self, task: str | None) -> Any:
        """The image processor of a task: the loaded one, or its like with the labels and the size of the task.

        Args:
            task: name of a task of the family; None is the default.
        """
        wanted = self.model.config.task(task, family=self.family)
        if wanted.name not in self._processors:
            stored = self._stored_processor(wanted.name)
            if stored is not None:
                self._processors[wanted.name] = stored
                return stored
            like = self.image_processor
            own = getattr(like, "family", None) == self.family
            kind = type(like) if own else self.processor_class
            kept = () if like is None else (*_SHARED_SETTINGS, *self.kept_settings(own))
            settings = {name: getattr(like, name) for name in kept}
            self._processors[wanted.name] = kind.from_task(wanted, **settings)
        return self._processors[wanted.name]

    def _stored_processor(self, task: str) -> Any:
        """The processor of a task as the checkpoint stores it beside those of all its tasks, if it does."""
        place = getattr(self.model.config, "_name_or_path", None)
        if not place:
            return None
        revision = getattr(self.model.config, "_commit_hash", None)
        try:
            settings, _ = ProcessorMixin.get_processor_dict(place, revision=revision)
        except OSError:
            return None
        entry = (settings.get("processors") or {}).get(task)
        return None if entry is None else self.processor_class.from_dict(dict(entry))

    def kept_settings(self, own: bool) -> tuple[str, ...]:
        """Settings that hold for all tasks of the family; `own` says whether the loaded processor is of the family."""
        return ()


def lazy_items(inputs: Any) -> Iterator[Any]:
    """The items of a generator or data set; a data set need not say where it ends other than by its length."""
    if hasattr(inputs, "__iter__"):
        yield from inputs
    else:
        for index in range(len(inputs)):
            yield inputs[index]


__all__ = ["HulkFamilyPipeline", "lazy_items"]
