# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From pictures to results in one call: `predict`, and `Predictor` for those who call it often."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.images_hulk import is_image, read_image
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.pipeline_action_hulk import HumanActionPipeline
from hulk_hf.modeling.pipeline_analysis_hulk import PERSON_PIPELINES, HumanAnalysisPipeline
from hulk_hf.modeling.pipeline_detection_hulk import HumanDetectionPipeline
from hulk_hf.registration import BUNDLED_CHECKPOINT
from hulk_hf.results import Action, ImageResult, Person


def task_names(task: str | Sequence[str]) -> tuple[str, ...]:
    """Names of tasks or families, from a list of them or from one string with commas.

    Raises:
        ValueError: No name at all.
    """
    parts = task.split(",") if isinstance(task, str) else list(task)
    names = tuple(dict.fromkeys(str(part).strip() for part in parts if str(part).strip()))
    if not names:
        raise ValueError(f"task: expected names of tasks or families, such as 'pose,parsing'; got {task!r}")
    return names


class Predictor:
    """A checkpoint that is loaded once and asked often.

    Args:
        task: Tasks or families: `pose`, `"pose,attributes"`, `["pose-coco", "mesh"]`. `action` reads skeletons: alone
            those that are given, beside `pose` those of the persons of a video.
        model: Folder or hub name of a checkpoint, or a `HulkForHumanAnalysis`; the bundled one if not given.
        detector: What finds the persons where no boxes are given: see `person_detectors_hulk`; `"hulk"` is the
            checkpoint itself.
        device: Where to compute, as for `transformers.pipeline`.
        dtype: Of the weights, as for `from_pretrained`.

    Attributes:
        tasks: Name that was asked for -> its task.
        tasks_by_family: Family -> its task.

    Raises:
        ValueError: The checkpoint cannot do a task, or tasks do not go together.
    """

    def __init__(
        self,
        task: str | Sequence[str] = "pose",
        model: str | os.PathLike[str] | HulkForHumanAnalysis | None = None,
        detector: Any = None,
        device: Any = None,
        dtype: Any = None,
    ):
        names = task_names(task)
        place = BUNDLED_CHECKPOINT if model is None else model
        config = place.config if isinstance(place, HulkForHumanAnalysis) else HulkConfig.from_pretrained(place)
        self.tasks = {name: config.task(name) for name in names}
        self.tasks_by_family = {task.family: task for task in self.tasks.values()}
        if len(self.tasks_by_family) != len(names):
            raise ValueError(f"task: expected one task of each family, got {list(names)}")
        if len(names) > 1 and "action" in self.tasks_by_family and "pose" not in self.tasks_by_family:
            raise ValueError(f"task: 'action' reads the skeletons of 'pose', which is not among {list(names)}")
        self.detector, self.device = detector, device
        if not isinstance(place, HulkForHumanAnalysis):
            wanted = [*names, "detection"] if detector == "hulk" else names
            options = {} if dtype is None else {"dtype": dtype}
            place = HulkForHumanAnalysis.from_pretrained(place, tasks=wanted, **options)
        self.model = place
        # What is about persons in pictures: the names of these tasks and their families.
        self.families = {name: task.family for name, task in self.tasks.items() if task.family in PERSON_PIPELINES}

    def _options(self) -> dict[str, Any]:
        return {} if self.device is None else {"device": self.device}

    @cached_property
    def _persons(self) -> HumanAnalysisPipeline:
        return HumanAnalysisPipeline(model=self.model, **self._options())

    @cached_property
    def _skeletons(self) -> HumanActionPipeline:
        return HumanActionPipeline(model=self.model, **self._options())

    @cached_property
    def own_detector(self) -> HumanDetectionPipeline:
        """The detection head of the checkpoint.

        Raises:
            ValueError: It has none.
        """
        return HumanDetectionPipeline(model=self.model, **self._options())

    def __call__(
        self,
        source: Any,
        boxes: Any = None,
        box_format: str = "xywh",
        detector_threshold: float = 0.5,
        batch_size: int | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Look at a picture, a list of them, or a generator of them; for `action` at skeletons.

        Args:
            source: Picture (file name, URL, PIL image, array), a list, or an iterable, which is read lazily and may
                have items `{"image": ..., "boxes": ...}`. For `action` what `human-action` takes.
            boxes: For a picture a list of boxes, for a list of pictures a list of such lists; pixels.
            box_format: `xywh` or `xyxy`.
            detector_threshold: Least score of a person that the detector finds.
            batch_size: Persons per forward pass.
            options: Family -> options of its pipeline.
            kwargs: Further options of the pipeline, such as `shared_crop`.

        Returns:
            An `ImageResult`; a list of them for a list; an iterator for an iterable. For `action` an `Action`, or a
            list of them.

        Raises:
            ValueError: An argument has the wrong form.
        """
        call = {key: value for key, value in kwargs.items() if value is not None}
        if batch_size is not None:
            call["batch_size"] = batch_size
        if not self.families and "action" in self.tasks_by_family:
            return self.actions(source, **call, **dict((options or {}).get("action", {})))
        if "action" in self.tasks_by_family:
            raise ValueError("task: 'action' beside others is for videos; a picture shows no movement")
        single = is_image(source) and not (isinstance(source, np.ndarray | torch.Tensor) and source.ndim == 4)
        if not self.families:
            return self._detections(source, single, detector_threshold, call)
        return self.persons(source, boxes, box_format, detector_threshold, options, single=single, **call)

    def persons(
        self,
        source: Any,
        boxes: Any = None,
        box_format: str = "xywh",
        detector_threshold: float = 0.5,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        single: bool = False,
        **call: Any,
    ) -> Any:
        """What is about persons in pictures; see `__call__` for arguments, `single` says that it is one picture."""
        call |= {"families": list(self.families), "box_format": box_format}
        if options:
            call["options"] = options
        if self.detector is not None:
            detector = self.own_detector if self.detector == "hulk" else self.detector
            call |= {"detector": detector, "detector_threshold": detector_threshold}
        if single:
            image = _opened(source)
            return self._result(source, image, self._persons(image, boxes=boxes, **call))
        if isinstance(source, list | tuple | np.ndarray | torch.Tensor):
            images = [_opened(item) for item in source]
            found = self._persons(images, boxes=boxes, **call)
            return [self._result(*parts) for parts in zip(source, images, found, strict=True)]
        if boxes is not None:
            raise ValueError("boxes: expected none beside an iterable; give its items as {'image', 'boxes'}")
        return self._lazily(source, call)

    def actions(self, skeletons: Any, **call: Any) -> Any:
        """What skeletons do; see `HumanActionPipeline`.

        Returns:
            An `Action`, or a list of them.
        """
        found = self._skeletons(skeletons, task=self.tasks_by_family["action"].name, **call)
        nobody = not found and len(skeletons) > 0  # a single clip in which nobody is seen
        if nobody or (found and isinstance(found[0], Mapping)):
            return _action(found)
        return [_action(records) for records in found]

    def _lazily(self, source: Iterable[Any], call: Mapping[str, Any]) -> Iterator[ImageResult]:
        """Results of an iterable, in its order; as many pictures are held as a batch needs."""
        held: deque[tuple[Any, Image.Image]] = deque()

        def items() -> Iterator[dict[str, Any]]:
            for item in source:
                parts = dict(item) if isinstance(item, Mapping) else {"image": item}
                name = parts.get("image")
                parts["image"] = _opened(name)
                held.append((name, parts["image"]))
                yield parts

        for found in self._persons(items(), **call):
            name, image = held.popleft()
            yield self._result(name, image, found)

    def _result(self, source: Any, image: Image.Image, records: Sequence[Mapping[str, Any]]) -> ImageResult:
        named = isinstance(source, str | os.PathLike)
        return ImageResult(
            persons=[Person.from_record(record, self.families) for record in records],
            size=image.size,
            source=os.fspath(source) if named else None,
            tasks=dict(self.tasks_by_family),
            picture=None if named else image,
        )

    def _detections(self, source: Any, single: bool, threshold: float, call: Mapping[str, Any]) -> Any:
        def results() -> Iterator[ImageResult]:
            for item in [source] if single else source:
                name = item["image"] if isinstance(item, Mapping) else item
                result = self._result(name, _opened(name), [])
                found = self.own_detector(result.image, threshold=threshold, **call)
                result.persons = [Person.from_record(record, {}) for record in found]
                yield result

        if single:
            return next(results())
        return list(results()) if isinstance(source, list | tuple | np.ndarray | torch.Tensor) else results()


def _action(records: Sequence[Mapping[str, Any]]) -> Action:
    return Action([record["label"] for record in records], [float(record["score"]) for record in records])


def _opened(source: Any) -> Image.Image:
    """A picture as an upright RGB image, decoded once for the network and for the result."""
    if isinstance(source, Image.Image) and source.mode == "RGB" and not source.getexif():
        return source
    return Image.fromarray(read_image(source, name="source").permute(1, 2, 0).contiguous().numpy())


@lru_cache(maxsize=2)
def _cached(names: tuple[str, ...], model: str | None, detector: str | None, device: str | None) -> Predictor:
    return Predictor(names, model, detector, device)


def predict(
    source: Any,
    task: str | Sequence[str] = "pose",
    model: str | os.PathLike[str] | HulkForHumanAnalysis | None = None,
    detector: Any = None,
    device: Any = None,
    **kwargs: Any,
) -> Any:
    """Look at pictures and say what was asked about each person in them.

    >>> result = hulk_hf.predict("photo.jpg", task="pose", boxes=[[100, 80, 150, 300]])  # doctest: +SKIP
    >>> result.plot().show(); result.save("photo.json")  # doctest: +SKIP

    The checkpoint is loaded once for as long as the same is asked for by name; `Predictor` keeps it at hand.

    Args:
        source: See `Predictor.__call__`, as everything else that is not named here.
        task: See `Predictor`, as the rest.
        model: See there.
        detector: See there.
        device: See there.
        kwargs: Arguments of `Predictor.__call__`: `boxes`, `box_format`, `batch_size`, `options`.

    Returns:
        An `ImageResult`, or a list or an iterator of them.

    Raises:
        ValueError: The checkpoint cannot do a task, or an argument has the wrong form.
    """
    by_name = all(part is None or isinstance(part, str | os.PathLike) for part in (model, detector, device))
    if by_name:
        model, detector = (None if part is None else os.fspath(part) for part in (model, detector))
        predictor = _cached(task_names(task), model, detector, None if device is None else str(device))
    else:
        predictor = Predictor(task, model, detector, device)
    return predictor(source, **kwargs)


__all__ = ["Predictor", "predict", "task_names"]
