# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-attributes`: pictures and boxes in, what can be said of each person as plain Python out."""

from typing import Any

from .attribute_labels_hulk import label_columns, short_names
from .image_processing_attributes_hulk import OFFICIAL_THRESHOLD, HulkAttributesImageProcessor
from .pipeline_hulk import HulkPersonPipeline

_NOT_GIVEN = object()


class HumanAttributesPipeline(HulkPersonPipeline):
    """Attributes of the persons in pictures; inputs and common options as in `HulkPersonPipeline`.

    Example:
        >>> pipe = pipeline("human-attributes")  # doctest: +SKIP
        >>> persons = pipe("street.jpg", boxes=[[100, 80, 150, 300]], label_space="pa100k")  # doctest: +SKIP
        >>> persons[0]["labels"], persons[0]["scores"]  # doctest: +SKIP
        (['with short sleeves', 'female'], [0.83, 0.41])

    Further options:

    * `threshold`: attributes with a score at or below it are left out, 0.3 if not given, as in the official
      evaluation; None keeps all.
    * `label_space`: one data set of a joint task, for example `pa100k`; its labels are then named without it.

    A person is `{"box": {"xmin", "ymin", "xmax", "ymax"}, "score": float, "labels": [names], "scores": [...]}`:
    labels in the order of the task and the probability of each. `score` is that of the detector, 1 for given boxes.
    """

    family = "attributes"
    default_batch_size = 16
    processor_class = HulkAttributesImageProcessor

    def _sanitize_parameters(
        self, threshold: float | None | object = _NOT_GIVEN, label_space: str | None = None, **kwargs
    ) -> tuple[dict, dict, dict]:
        before, during, after = super()._sanitize_parameters(**kwargs)
        if threshold is not _NOT_GIVEN:
            after["threshold"] = None if threshold is None else float(threshold)
        if label_space is not None:
            after["label_space"] = label_space
            # Said before any work is done, and also where no person is found.
            tasks = [self.model.config.task(name) for name in self.model.config.tasks]
            spaces = {space for each in tasks if each.family == self.family for space in each.label_spaces or ()}
            if label_space not in spaces:
                raise ValueError(f"`label_space` must be one of {sorted(spaces)} or None, got {label_space!r}")
        return before, during, after

    def read_persons(self, outputs: Any, persons: list[dict[str, Any]], task: str) -> list[dict[str, Any]]:
        """The probabilities of all labels, see `HulkPersonPipeline.read_persons`."""
        return [{"scores": scores} for scores in self.task_processor(task).decode(outputs.logits).tolist()]

    def person_record(
        self,
        result: dict[str, Any],
        person: dict[str, Any],
        task: str | None,
        threshold: float | None = OFFICIAL_THRESHOLD,
        label_space: str | None = None,
    ) -> dict[str, Any]:
        """The labels of a person and their scores, without those at or below the threshold."""
        processor = self.task_processor(task)
        columns = label_columns(processor.label_names, processor.label_spaces, label_space)
        names = short_names(processor.label_names[columns], label_space)
        pairs = zip(names, result["scores"][columns], strict=True)
        kept = [(name, score) for name, score in pairs if threshold is None or score > threshold]
        return {"labels": [name for name, _ in kept], "scores": [score for _, score in kept]}


__all__ = ["HumanAttributesPipeline"]
