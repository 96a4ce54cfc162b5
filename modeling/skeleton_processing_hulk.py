# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Processor of the action tasks: skeletons over time -> what the network reads; its logits -> named actions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers.feature_extraction_utils import BatchFeature, FeatureExtractionMixin

from .image_processing_hulk import output_field
from .person_inputs_hulk import indexed_name, shortened
from .skeleton_geometry_hulk import (
    OFFICIAL_SEED,
    augment_skeletons,
    choose_persons,
    normalise_skeletons,
    sample_frames,
)
from .skeleton_inputs_hulk import read_clip, split_clips
from .tasks_hulk import KNOWN_TASKS, HulkTask

_OFFICIAL = KNOWN_TASKS["action-ntu-gym"]


class HulkSkeletonProcessor(FeatureExtractionMixin):
    """Turns the joints of persons over time into network inputs, and logits into actions (official test path, 5.5).

    Joints are brought to [-1, 1] by their extent over the whole clip; 25 starts with 7 frames each are taken from it;
    persons who are missing become zeros, and of more than two those with the highest scores remain.

    What may be given as a clip is described in `skeleton_inputs_hulk`. Clips of any length will do: of short ones
    frames are taken several times. Officially the frames are drawn anew at each test; here `seed` makes results
    repeatable, and `seed=None` is the official way.

    Args:
        task: Name of the task that the processor works for.
        label_names: Names of its actions, in output order.
        label_spaces: `{name: (begin, end)}`, the slices of the labels that belong to one data set.
        num_joints: Joints of a skeleton. The released networks know COCO's 17, in COCO's order.
        num_frames: Frames that the network reads of a clip.
        frames_per_segment: How many consecutive frames follow each start.
        num_persons: Persons that the network reads.
        num_clips: How often a clip is sampled; the network averages over the samples.
        seed: See `sample_frames`.
        rotation: For training: largest rotation, see `augment_skeletons`; 0.3 officially. 0 is off, as for the others.
        scaling: Largest change of scale; 0.25 officially.
        flipping: How likely an axis is mirrored; 0.5 officially.
        planar: Rotate within the picture only.

    Raises:
        ValueError: A setting out of range.

    Example:
        >>> processor = HulkSkeletonProcessor()
        >>> walk = np.random.default_rng(0).uniform(0, 400, (1, 60, 17, 3))
        >>> processor(walk, return_tensors="pt")["skeletons"].shape
        torch.Size([1, 2, 3, 175, 17])
    """

    model_input_names = ["skeletons"]
    family = "action"

    def __init__(
        self,
        task: str = _OFFICIAL.name,
        label_names: Sequence[str] = _OFFICIAL.labels,
        label_spaces: Mapping[str, Sequence[int]] | None = None,
        num_joints: int = 17,
        num_frames: int = 175,
        frames_per_segment: int = 7,
        num_persons: int = 2,
        num_clips: int = 1,
        seed: int | None = OFFICIAL_SEED,
        rotation: float = 0.0,
        scaling: float = 0.0,
        flipping: float = 0.0,
        planar: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if label_spaces is None and tuple(label_names) == _OFFICIAL.labels:
            label_spaces = _OFFICIAL.label_spaces
        self.task = task
        self.label_names = list(label_names)
        self.label_spaces = {name: list(ends) for name, ends in (label_spaces or {}).items()}
        self.num_joints, self.num_frames, self.frames_per_segment = num_joints, num_frames, frames_per_segment
        self.num_persons, self.num_clips, self.seed = num_persons, num_clips, seed
        self.rotation, self.scaling, self.flipping, self.planar = rotation, scaling, flipping, planar
        for name in ("num_joints", "num_frames", "frames_per_segment", "num_persons", "num_clips"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}")
        for name, largest in (("rotation", 3.2), ("scaling", 1.0), ("flipping", 1.0)):
            if not 0 <= getattr(self, name) <= largest:
                raise ValueError(f"`{name}` must be in [0, {largest}], got {getattr(self, name)}")

    @classmethod
    def from_task(cls, task: HulkTask, config: Any = None, **kwargs: Any) -> "HulkSkeletonProcessor":
        """The processor of a task; `kwargs` overrides anything.

        Args:
            task: A task of family `action`.
            config: The `HulkSkeletonConfig` of the network, which says how many frames and joints it reads; None: as
                released.
            kwargs: Settings.

        Raises:
            ValueError: The task belongs to another family.
        """
        if task.family != cls.family:
            raise ValueError(f"`task` must be of family {cls.family!r} for {cls.__name__}, got {task.name!r}")
        settings = {"task": task.name, "label_names": task.labels, "label_spaces": task.label_spaces or {}}
        if config is not None:
            settings |= {
                "num_joints": config.num_joints,
                "num_frames": config.num_frames,
                "frames_per_segment": config.patch_size[0],
            }
        return cls(**{**settings, **kwargs})

    # Before the network ---------------------------------------------------------------------------------------------

    def __call__(
        self,
        skeletons: Any,
        labels: Any = None,
        label_space: str | None = None,
        num_clips: int | None = None,
        seed: int | None | str = "stored",
        generator: np.random.RandomState | None = None,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """Samples and normalises clips.

        Args:
            skeletons: One clip or a list of clips, see `skeleton_inputs_hulk`. An array of five axes is a list.
            labels: For each clip the name or the number of its action; for a single clip also alone.
            label_space: Data set that names and numbers belong to; None: they are those of the whole task.
            num_clips: None means the processor's own, and so does "stored" for the next.
            seed: See `sample_frames`.
            generator: What random sampling (`seed=None`) and the variations of training draw from, a
                `np.random.RandomState`; None is NumPy's global generator, which `transformers.set_seed` starts.
            return_tensors: "pt" or "np"; None gives lists of arrays.

        Returns:
            `skeletons`, float32 (B, persons, 3, frames, joints), with several clips (B, clips, persons, 3, frames,
            joints), and with `labels` also `labels` (B,), numbers among the labels of the task.

        Raises:
            ValueError: A clip without persons or frames, or of another form; the message names it.
            TypeError: `skeletons` are no clips.
        """
        clips, single = split_clips(skeletons)
        num_clips = self.num_clips if num_clips is None else num_clips
        seed = self.seed if seed == "stored" else seed
        names = [indexed_name("skeletons", row, single) for row in range(len(clips))]
        read = [self.sample(clip, num_clips, seed, generator, name) for clip, name in zip(clips, names, strict=True)]
        shape = (num_clips, self.num_persons, 3, self.num_frames, self.num_joints)
        stacked = np.stack(read) if read else np.zeros((0, *shape), np.float32)
        data = {"skeletons": stacked if num_clips > 1 else stacked[:, 0]}
        if labels is not None:
            data["labels"] = self.label_numbers(labels, len(clips), single, label_space)
        if return_tensors is None:
            data = {name: list(values) for name, values in data.items()}
        return BatchFeature(data=data, tensor_type=return_tensors)

    def sample(
        self,
        clip: Any,
        num_clips: int = 1,
        seed: int | None = OFFICIAL_SEED,
        generator: np.random.RandomState | None = None,
        name: str = "skeletons",
    ) -> np.ndarray:
        """What the network reads of one clip.

        Args:
            clip: See `skeleton_inputs_hulk`.
            num_clips: See the class.
            seed: See `sample_frames`.
            generator: See `__call__`.
            name: Of the clip, for error messages.

        Returns:
            float32 (clips, persons, 3, frames, joints).

        Raises:
            ValueError: A clip without persons or frames, or of another form.
        """
        clip = read_clip(clip, self.num_joints, name)
        if not len(clip):
            raise ValueError(f"`{name}` must have at least one person, got nobody in any of {clip.shape[1]} frames")
        clip = normalise_skeletons(clip[..., :2], clip[..., 2])
        segments = -(-self.num_frames // self.frames_per_segment)
        frames = sample_frames(
            clip.shape[1], segments, self.frames_per_segment, num_clips, seed, generator if seed is None else None
        )[:, : self.num_frames]
        # Who is kept is decided once for all samples, as officially.
        chosen = choose_persons(clip[:, frames.reshape(-1)], self.num_persons)
        chosen = chosen.reshape(self.num_persons, num_clips, self.num_frames, self.num_joints, 3)
        varied = augment_skeletons(chosen, self.rotation, self.scaling, self.flipping, self.planar, generator)
        return np.ascontiguousarray(varied.transpose(1, 0, 4, 2, 3))

    def label_numbers(
        self, labels: Any, count: int, single: bool = False, label_space: str | None = None
    ) -> np.ndarray:
        """Numbers of actions among the labels of the task, int64 (B,).

        Args:
            labels: Names or numbers, one per clip; for a single clip also alone.
            count: B.
            single: Whether a single clip was given.
            label_space: Data set that names and numbers belong to; names may then lack its prefix.

        Raises:
            ValueError: Not one per clip, or none of the labels.
        """
        begin, end = self._ends(label_space)
        if single and (isinstance(labels, str) or np.ndim(labels) == 0):
            labels = [labels]
        if isinstance(labels, str) or not hasattr(labels, "__len__") or len(labels) != count:
            raise ValueError(f"`labels` must be one name or number per clip, {count}, got {shortened(labels)}")
        known = self.label_names[begin:end]
        numbers = []
        for row, label in enumerate(labels):
            if isinstance(label, str):
                spelt = next((name for name in (label, f"{label_space}: {label}") if name in known), None)
                number = known.index(spelt) if spelt is not None else -1
            else:
                number = int(label) if int(label) == label else -1
            if not 0 <= number < len(known):
                of = f"the {len(known)} labels of {label_space or self.task!r}"
                raise ValueError(f"`labels[{row}]` must be the name or number of one of {of}, got {label!r}")
            numbers.append(begin + number)
        return np.array(numbers, np.int64)

    def _ends(self, label_space: str | None) -> tuple[int, int]:
        if label_space is None:
            return 0, len(self.label_names)
        if label_space not in self.label_spaces:
            raise ValueError(
                f"`label_space` must be None or one of {sorted(self.label_spaces)} for task {self.task!r}, got "
                f"{label_space!r}"
            )
        begin, end = self.label_spaces[label_space]
        return begin, end

    # After the network ----------------------------------------------------------------------------------------------

    def post_process_skeleton_action(
        self, outputs: Any, label_space: str | None = None, top_k: int | None = 5
    ) -> list[dict[str, torch.Tensor]]:
        """The most likely actions of each clip.

        The network has already averaged over the persons and samples of a clip.

        Args:
            outputs: Of `HulkForActionRecognition`; only `logits` (B, C) is read.
            label_space: Only the actions of one data set of a joint task, such as `ntu60`; their scores then sum to 1.
                The logits themselves were normed over all actions of the task.
            top_k: How many; None is all. There may be fewer.

        Returns:
            For each clip a dict of tensors on the CPU, the most likely action first: `scores` (k,), the softmax over
            the actions in question, and `labels` (k,), their numbers in `label_names`.

        Raises:
            ValueError: Logits of another number of actions or not finite, an unknown label space, or no action asked
                for.
        """
        logits = output_field(outputs, "logits")
        if logits.ndim != 2 or logits.shape[1] != len(self.label_names):
            raise ValueError(
                f"`outputs` must have `logits` of shape (clips, {len(self.label_names)}) for task {self.task!r}, got "
                f"{tuple(logits.shape)}"
            )
        if not torch.isfinite(logits).all():
            raise ValueError("`outputs` must have finite `logits`, got NaN or infinity: weights or inputs are broken")
        if top_k is not None and top_k < 1:
            raise ValueError(f"`top_k` must be at least 1 or None, got {top_k}")
        begin, end = self._ends(label_space)
        scores = logits[:, begin:end].float().softmax(dim=1).cpu()
        count = end - begin if top_k is None else min(top_k, end - begin)
        # Stable, so that equal scores come in the order of the labels whatever the batch.
        order = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
        return [{"scores": part[row], "labels": row + begin} for part, row in zip(scores, order, strict=True)]


__all__ = ["HulkSkeletonProcessor"]
