# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-analysis`: everything a checkpoint can say about each person of a picture, in one record."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from transformers import AutoTokenizer
from transformers.pipelines.base import ChunkPipeline
from transformers.utils import logging

from .pipeline_attributes_hulk import HumanAttributesPipeline
from .pipeline_caption_hulk import HumanCaptioningPipeline
from .pipeline_detection_hulk import HumanDetectionPipeline
from .pipeline_hulk import BOX_SIDES, HulkPersonPipeline
from .pipeline_mesh_hulk import HumanMeshPipeline
from .pipeline_parsing_hulk import HumanParsingPipeline
from .pipeline_pose_hulk import HumanPosePipeline

logger = logging.get_logger(__name__)

PERSON_PIPELINES: dict[str, Any] = {
    "pose": HumanPosePipeline,
    "parsing": HumanParsingPipeline,
    "attributes": HumanAttributesPipeline,
    "mesh": HumanMeshPipeline,
    "caption": HumanCaptioningPipeline,
}
"""Family -> pipeline of the families that look at each person of a picture."""

# Their results do not lie anywhere in the picture, so they may look at the crop of another family.
_WITHOUT_PLACES = ("attributes",)


class HumanAnalysisPipeline(HulkPersonPipeline):
    """Several families for the persons of pictures, who are found once.

    Inputs, boxes and detectors are those of `HulkPersonPipeline`; further options:

    * `families`: names of families or tasks, such as `["pose", "attributes", "parsing-cihp"]`. None: the default task
      of every family of the checkpoint that looks at persons. `detection` among them makes the checkpoint itself find
      the persons, and so does `detector="hulk"`.
    * `shared_crop`: attributes look at the crop of another family of the same input size (pose first), so that one
      pass of the encoder serves both. Off by default: each family has the crop it was trained with, and results are
      those of its own pipeline.
    * `options`: family or task name -> options of its own pipeline, such as `{"pose": {"flip_test": True}}`.

    A person is a dict of `box`, `score` (of the detector, 1 for given boxes) and, under the name that was asked for,
    what the pipeline of each family says: `{"box": ..., "score": ..., "pose": {"keypoints": ...}, "attributes": ...}`.

    Example:
        >>> pipe = pipeline("human-analysis")  # doctest: +SKIP
        >>> person = pipe("street.jpg", boxes=[[100, 80, 150, 300]])[0]  # doctest: +SKIP
        >>> person["pose"]["labels"][0], person["caption"]["generated_text"]  # doctest: +SKIP
    """

    _load_image_processor = False  # type: ignore[assignment]

    def __init__(self, *args, **kwargs):
        ChunkPipeline.__init__(self, *args, **kwargs)
        if not hasattr(self.model, "for_family"):
            raise ValueError(
                f"`model` must be a HulkForHumanAnalysis, which has the heads of all families, got "
                f"{type(self.model).__name__}"
            )
        self._members: dict[str, HulkPersonPipeline] = {}
        if self.image_processor is None:  # batches are only made by pipelines that have one
            self.image_processor = self.member(self._chosen(None)[0]).image_processor

    def member(self, name: str) -> HulkPersonPipeline:
        """The pipeline of a family over the modules of this model.

        Args:
            name: of a family or of a task.

        Raises:
            ValueError: the checkpoint has no such task, or it is not about persons in pictures.
        """
        task = self._task(name)
        if task.family not in PERSON_PIPELINES:
            raise ValueError(
                f"`families`: {name!r} is not about a person in a picture, expected some of {list(PERSON_PIPELINES)}"
            )
        if task.family not in self._members:
            kind = PERSON_PIPELINES[task.family]
            parts = {"tokenizer": self._own_tokenizer()} if kind._load_tokenizer else {}
            self._members[task.family] = kind(model=self.model, device=self.device, **parts)
        return self._members[task.family]

    def _task(self, name: str) -> Any:
        config = self.model.config
        return config.task(name) if name in config.tasks else config.task(family=name)

    def _own_tokenizer(self) -> Any:
        if self.tokenizer is None:
            place = self.model.config._name_or_path
            try:
                self.tokenizer = AutoTokenizer.from_pretrained(place)
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"`tokenizer` must be given to write captions: none can be loaded from {place!r} ({error})"
                ) from error
        return self.tokenizer

    def _sanitize_parameters(
        self,
        families: Sequence[str] | None = None,
        shared_crop: bool | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        **kwargs,
    ) -> tuple[dict, dict, dict]:
        if "task" in kwargs:
            raise ValueError("`task` must not be given: `families` takes names of tasks too")
        before, during, after = super()._sanitize_parameters(**kwargs)
        if families is not None:
            if isinstance(families, str) or not all(isinstance(name, str) for name in families) or not families:
                raise ValueError(f"`families` must be a list of names of families or tasks, got {families!r}")
            before["families"] = during["families"] = after["families"] = tuple(families)
        if shared_crop is not None:
            before["shared_crop"] = during["shared_crop"] = bool(shared_crop)
        if options is not None:
            during["options"] = after["options"] = options
        return before, during, after

    def _chosen(self, families: Sequence[str] | None) -> list[str]:
        """The names that were asked for, but for detection; by default all families that the model can serve."""
        if families is None:
            chosen = [family for family in PERSON_PIPELINES if family in self.model.config.default_tasks]
            if not chosen:
                known = sorted(self.model.config.tasks)
                raise ValueError(
                    f"`model` must have a task about persons in pictures, one of {list(PERSON_PIPELINES)}: {known}"
                )
            return chosen
        chosen = [name for name in dict.fromkeys(families) if self._task(name).family != "detection"]
        if not chosen:
            raise ValueError(f"`families` must name more than detection, got {list(families)}; see human-detection")
        return chosen

    def _leaders(self, chosen: list[str], shared_crop: bool) -> dict[str, str]:
        """Name -> the name whose crop it looks at."""
        leaders = {name: name for name in chosen}
        if not shared_crop:
            return leaders
        tasks = {name: self._task(name) for name in chosen}
        for name, task in tasks.items():
            if task.family in _WITHOUT_PLACES:
                others = (
                    other
                    for other, leader in tasks.items()
                    if leader.image_size == task.image_size and leader.family not in (*_WITHOUT_PLACES, "caption")
                )
                leaders[name] = next(others, name)
        shared = {name: leader for name, leader in leaders.items() if name != leader}
        if not shared:
            sizes = {name: task.image_size for name, task in tasks.items()}
            raise ValueError(f"`shared_crop`: no two of the families can share a crop; their input sizes are {sizes}")
        logger.warning_once(f"One crop for several families ({shared}): results may differ from those of own crops.")
        return leaders

    def preprocess(
        self,
        inputs: Any,
        families: Sequence[str] | None = None,
        shared_crop: bool = False,
        detector: Any = None,
        **options,
    ) -> Iterator[dict[str, Any]]:
        """Finds the persons once and cuts them out for every family."""
        chosen = self._chosen(families)
        for name in chosen:
            self.member(name)  # a family that cannot be served should fail before any work is done
        if detector == "hulk" or (
            detector is None and any(self._task(n).family == "detection" for n in families or ())
        ):
            detector = self.own_detector
        image, boxes, persons = self.persons_of(inputs, detector=detector, **options)
        crops = {}
        if persons:
            for name in set(self._leaders(chosen, shared_crop).values()):
                processor = self.member(name).task_processor(self._task(name).name)
                crops[name] = processor(
                    image, boxes=boxes, box_format="xywh", do_rescale=False, do_normalize=False, return_tensors="pt"
                )["pixel_values"]
        else:
            yield {"is_last": True, "person": None, "crops": {}}
        for row, person in enumerate(persons):
            parts = {name: part[row : row + 1] for name, part in crops.items()}
            yield {"is_last": row == len(persons) - 1, "person": person, "crops": parts}

    @cached_property
    def own_detector(self) -> HumanDetectionPipeline:
        """The detection head of this model.

        Raises:
            ValueError: It has none.
        """
        return HumanDetectionPipeline(model=self.model, device=self.device)

    def _forward(
        self,
        model_inputs: dict[str, Any],
        families: Sequence[str] | None = None,
        shared_crop: bool = False,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> dict[str, Any]:
        many = isinstance(model_inputs["is_last"], list)
        everybody = model_inputs["person"] if many else [model_inputs["person"]]
        crops = model_inputs["crops"] if many else [model_inputs["crops"]]
        found = [row for row, person in enumerate(everybody) if person is not None]
        results: list = [None if person is None else {} for person in everybody]
        if found:
            persons = [everybody[row] for row in found]
            leaders = self._leaders(self._chosen(families), shared_crop)
            for leader in dict.fromkeys(leaders.values()):
                pixels = torch.cat([crops[row][leader] for row in found])
                followers = [name for name, other in leaders.items() if other == leader]
                for name, read in self._read(leader, followers, pixels, persons, options).items():
                    for row, result in zip(found, read, strict=True):
                        results[row][name] = result
        return {
            "is_last": model_inputs["is_last"],
            "person": model_inputs["person"],
            "result": results if many else results[0],
        }

    def _read(
        self,
        leader: str,
        followers: list[str],
        pixels: torch.Tensor,
        persons: list[dict[str, Any]],
        options: Mapping[str, Mapping[str, Any]] | None,
    ) -> dict[str, list]:
        """The results of all families that look at one crop."""
        tasks = {name: self._task(name).name for name in followers}
        members = {name: self.member(name) for name in followers}
        pixel_values = members[leader].task_processor(tasks[leader]).normalize_crops(pixels).to(self.dtype)
        settings = {name: self._options(name, options)[1] for name in followers}
        alone = len(followers) == 1
        if alone or any(
            settings.values()
        ):  # options of the network (a second, mirrored pass) need passes of their own
            return {
                name: members[name].predict_persons(pixel_values, persons, tasks[name], **settings[name])
                for name in followers
            }
        outputs = self.model(pixel_values=pixel_values, tasks=list(tasks.values())).outputs
        return {name: members[name].read_persons(outputs[tasks[name]], persons, tasks[name]) for name in followers}

    def read_persons(self, outputs: Any, persons: list[dict[str, Any]], task: str, **options) -> list[dict[str, Any]]:
        """What the pipeline of a family reads from an output, see there."""
        return self.member(task).read_persons(outputs, persons, task, **options)

    def _options(self, name: str, options: Mapping[str, Mapping[str, Any]] | None) -> tuple[dict, dict, dict]:
        """The options of one family, checked by its own pipeline."""
        before, during, after = self.member(name)._sanitize_parameters(**dict((options or {}).get(name, {})))
        if before:
            raise ValueError(
                f"`options[{name!r}]`: {sorted(before)} hold for all families, give them beside `options`"
            )
        during.pop("task", None), after.pop("task", None)
        return before, during, after

    def postprocess(
        self,
        model_outputs: list[dict[str, Any]],
        families: Sequence[str] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> list[dict[str, Any]]:
        """One record per person of a picture."""
        chosen = self._chosen(families)
        unknown = sorted(set(options or {}) - set(chosen))
        if unknown:
            raise ValueError(f"`options`: {unknown} are none of the families of the call, {chosen}")
        records = []
        for output in model_outputs:
            person = output["person"]
            if person is None:
                continue
            x, y, width, height = person["box"]
            record = {
                "box": dict(zip(BOX_SIDES, (x, y, x + width, y + height), strict=True)),
                "score": person["score"],
            }
            for name in chosen:
                after = self._options(name, options)[2]
                task = self._task(name).name
                record[name] = self.member(name).person_record(output["result"][name], person, task, **after)
            records.append(record)
        return records


__all__ = ["PERSON_PIPELINES", "HumanAnalysisPipeline"]
