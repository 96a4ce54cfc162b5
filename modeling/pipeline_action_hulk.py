# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-action`: joints over time in, named actions out."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers.pipelines.base import Pipeline

from .skeleton_geometry_hulk import SCORE_FLOOR
from .skeleton_inputs_hulk import read_clip, split_clips
from .skeleton_processing_hulk import HulkSkeletonProcessor

_CLIPS = (np.ndarray, torch.Tensor, Mapping, list, tuple)


class HumanActionPipeline(Pipeline):
    """What the persons of a clip are doing.

    A clip is an array (M, T, V, 2 or 3) of joints in pixels, a dict with `keypoints` and `scores`, or a list of
    frames, each a list of what `human-pose` returned for it; all forms are described in `skeleton_inputs_hulk`. One
    clip gives a list of actions; a list of clips gives a list of such lists; a generator or data set gives them
    lazily.

    Example:
        >>> pose, action = pipeline("human-pose"), pipeline("human-action")  # doctest: +SKIP
        >>> frames = pose(["0001.jpg", "0002.jpg", "0003.jpg"], detector="PekingU/rtdetr_r18vd")  # doctest: +SKIP
        >>> action(frames, label_space="ntu60", top_k=1)  # doctest: +SKIP
        [{'score': 0.83, 'label': 'ntu60: hand waving'}]

    Options of a call or of the constructor:

    * `top_k`: how many actions, 5 if not given; None is all.
    * `label_space`: only the actions of one data set of a joint task, such as `kinetics400`; scores are the softmax
      over these.
    * `num_clips`: how often the frames of a clip are sampled; the network averages over the samples. 1 if not given.
    * `seed`: what makes the sampling repeatable; None is the official way, drawn anew from NumPy's global generator.
    * `task`: which of the checkpoint's action tasks; None is its default.
    * `batch_size`: clips per forward pass.

    An action is `{"score": float, "label": name}`, the most likely first. A clip in which no joint of anybody is seen
    gives an empty list.
    """

    # What makes the inputs follows from the configuration of the model. A folder of several families has one file for
    # preprocessing settings, which need not be those of skeletons; so none is loaded unless it is given.
    _load_processor = False  # type: ignore[assignment]
    _load_image_processor = False  # type: ignore[assignment]
    _load_feature_extractor = False  # type: ignore[assignment]
    _load_tokenizer = False  # type: ignore[assignment]
    _load_video_processor = False  # type: ignore[assignment]

    family = "action"
    default_batch_size = 8
    processor_class = HulkSkeletonProcessor

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if hasattr(self.model, "for_family"):  # the class with all heads
            self.model = self.model.for_family(self.family)
        # No isinstance: under remote code from a folder there may be two copies of a class.
        config = getattr(self.model, "config", None)
        reads = getattr(self.model, "main_input_name", None)
        if getattr(config, "model_type", None) != "hulk" or reads != "skeletons":
            raise ValueError(f"`model` must be a Hulk model for {self.family}, got {type(self.model).__name__}")
        self._processors = {}
        given = self.feature_extractor
        if isinstance(given, str):
            given = HulkSkeletonProcessor.from_pretrained(given)
        if given is not None:
            if getattr(given, "family", None) != self.family:
                raise ValueError(
                    f"`feature_extractor` must be a {self.processor_class.__name__}, got {type(given).__name__}"
                )
            self._processors[given.task] = given
        self.feature_extractor = given if given is not None else self.task_processor(None)

    def task_processor(self, task: str | None) -> Any:
        """The processor of a task: the given one, or one made from the configuration of the model.

        Args:
            task: Name of a task of the family; None is the default.
        """
        wanted = self.model.config.task(task, family=self.family)
        if wanted.name not in self._processors:
            config = self.model.config.skeleton_config
            self._processors[wanted.name] = HulkSkeletonProcessor.from_task(wanted, config)
        return self._processors[wanted.name]

    def _sanitize_parameters(
        self, task: str | None = None, label_space: str | None = None, num_clips: int | None = None, **options
    ) -> tuple[dict, dict, dict]:
        before, during, after = {}, {}, {}
        if task is not None:
            name = self.model.config.task(task, family=self.family).name
            before["task"] = during["task"] = after["task"] = name
        if label_space is not None:
            after["label_space"] = label_space
        if num_clips is not None:
            before["num_clips"] = num_clips
        # None has a meaning of its own for these two.
        if "seed" in options:
            before["seed"] = options.pop("seed")
        if "top_k" in options:
            after["top_k"] = options.pop("top_k")
        if options:
            raise TypeError(f"human-action knows no option {sorted(options)}")
        return before, during, after

    def __call__(self, inputs: Any, batch_size: int | None = None, **kwargs) -> Any:
        """Names the actions of clips; see the class for arguments and results.

        Raises:
            ValueError: a clip has the wrong form; the message says what was expected.
            TypeError: `inputs` are no clips.
        """
        # Clips travel inside of dicts with one key, so that a list of frames isn't taken for a list of clips.
        if not isinstance(inputs, _CLIPS) and isinstance(inputs, Iterable | Dataset) and not isinstance(inputs, str):
            wrapped: Any = _items(inputs)
        else:
            clips, single = split_clips(inputs, "inputs")
            names = ["inputs"] if single else [f"inputs[{row}]" for row in range(len(clips))]
            wrapped = [{"clip": clip, "name": name} for clip, name in zip(clips, names, strict=True)]
            wrapped = wrapped[0] if single else wrapped
            if not wrapped:
                return []
        if batch_size is None:
            batch_size = self._batch_size or self.default_batch_size
        return super().__call__(wrapped, batch_size=batch_size, **kwargs)

    def preprocess(
        self, inputs: dict[str, Any], task: str | None = None, num_clips: int | None = None, seed: Any = "stored"
    ) -> dict[str, Any]:
        """Samples and normalises one clip."""
        processor = self.task_processor(task)
        clip, name = inputs["clip"], inputs["name"]
        read = read_clip(clip, processor.num_joints, name)
        if not (read[..., 2] > SCORE_FLOOR).any():
            return {"skeletons": [None]}
        seed = processor.seed if isinstance(seed, str) else seed
        sampled = processor.sample(read, processor.num_clips if num_clips is None else num_clips, seed, name=name)
        # In a list: transformers' collation knows no tensors of so many axes.
        return {"skeletons": [torch.from_numpy(sampled)]}

    def _forward(self, model_inputs: dict[str, Any], task: str | None = None) -> dict[str, Any]:
        skeletons = model_inputs["skeletons"]
        many = isinstance(skeletons[0], list)  # a batch of one is not collated
        skeletons = [item[0] for item in skeletons] if many else skeletons
        found = [row for row, item in enumerate(skeletons) if item is not None]
        logits: list = [None] * len(skeletons)
        if found:
            name = self.model.config.task(task, family=self.family).name
            batch = torch.stack([skeletons[row] for row in found]).to(self.dtype)
            for row, part in zip(found, self.model(skeletons=batch, task=name).logits, strict=True):
                logits[row] = part
        return {"logits": logits if many else logits[0]}

    def postprocess(
        self,
        model_outputs: dict[str, Any],
        task: str | None = None,
        label_space: str | None = None,
        top_k: int | None = 5,
    ) -> list[dict[str, Any]]:
        """The actions of one clip as plain Python."""
        logits = model_outputs["logits"]
        processor = self.task_processor(task)
        if logits is None:
            return []
        outputs = {"logits": logits.reshape(1, -1)}  # has an axis more where a batch was taken apart
        result = processor.post_process_skeleton_action(outputs, label_space, top_k)[0]
        pairs = zip(result["scores"].tolist(), result["labels"].tolist(), strict=True)
        return [{"score": score, "label": processor.label_names[label]} for score, label in pairs]


def _items(inputs: Any) -> Iterator[dict[str, Any]]:
    """The clips of a generator or data set; a data set need not say where it ends other than by its length."""
    clips: Iterable = inputs if hasattr(inputs, "__iter__") else (inputs[row] for row in range(len(inputs)))
    for row, clip in enumerate(clips):
        yield {"clip": clip, "name": f"inputs[{row}]"}


__all__ = ["HumanActionPipeline"]
