# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What users give as skeletons: arrays, dicts, lists of detections or of found persons in, clips (M, T, V, 3) out.

One clip may be

* an array or nested list (M, T, V, 3) of (x, y, score) in pixels: persons, frames, joints. With two numbers per joint
  its score is 1, but 0 for joints at exactly (0, 0), which is how data sets and detectors say that a joint is missing;
* a dict `{"keypoints": (M, T, V, 2), "scores": (M, T, V)}`, or with `keypoints` as above and no `scores`;
* a dict `{"keypoints": (N, V, 3), "frames": (N,), "box_scores": (N,)}`, a flat list of detections with the numbers of
  their frames, as Kinetics-400 is distributed, see `clip_from_detections`;
* a list of frames, each a list of the persons that `human-pose` found there, with all their joints: dicts with
  `keypoints` (V, 2), `keypoint_scores` (V,) and, if it is known who is who, a number or name under `id`. Without `id`
  the persons of a frame are told apart by their rank only, the best `score` first: enough for a single person, not for
  people who change places. Who is not in a frame is zeros there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .person_inputs_hulk import as_numbers, shortened
from .skeleton_geometry_hulk import SCORE_FLOOR, clip_from_detections

_FORMS = (
    "an array (persons, frames, joints, 2 or 3), a dict with 'keypoints' and 'scores', or a list of frames that are "
    "lists of persons as human-pose returns them; or a list of these"
)
_TRACKS, _DETECTIONS = {"keypoints", "scores"}, {"keypoints", "frames", "box_scores"}


def split_clips(skeletons: Any, name: str = "skeletons") -> tuple[list, bool]:
    """The clips as a list, and whether a single one was given.

    Raises:
        TypeError: neither a clip nor a flat list of clips.
    """
    depth, leaf = _depth(skeletons)
    single = {"dict": 0, "person": 2, "nothing": 2, "number": 4}.get(leaf)
    if isinstance(skeletons, list | tuple) and not skeletons:
        return [], False
    if depth == single:
        return [skeletons], True
    if single is not None and depth == single + 1:
        return list(skeletons), False
    raise TypeError(f"`{name}` must be {_FORMS}, got {shortened(skeletons)}")


def _depth(value: Any) -> tuple[int, str]:
    """How deeply lists and axes are nested around the innermost things, and what these are.

    A dict is a person if its joints have two axes, else a clip.
    """
    if isinstance(value, np.ndarray | torch.Tensor):
        return value.ndim, "number"
    if isinstance(value, Mapping):
        joints = value.get("keypoints")
        flat = "keypoint_scores" in value or ("frames" not in value and _depth(joints) == (2, "number"))
        return 0, "person" if flat else "dict"
    if isinstance(value, list | tuple):
        # Empty lists say nothing: a frame in which nobody is, for example.
        found = [_depth(item) for item in value]
        depth, leaf = max((part for part in found if part[1] != "nothing"), default=(0, "nothing"))
        return (depth + 1, leaf) if leaf != "nothing" else (1 + max((part[0] for part in found), default=0), leaf)
    return 0, "number" if isinstance(value, int | float | np.number) else "other"


def read_clip(clip: Any, num_joints: int, name: str = "skeletons") -> np.ndarray:
    """One clip in any of the forms of this module.

    Args:
        clip: see the module.
        num_joints: V, which joints have to come in the order that the network knows.
        name: of the argument, for error messages.

    Returns:
        float32 (M, T, V, 3) as (x, y, score) in pixels. There may be no person (M = 0).

    Raises:
        ValueError: another shape, no frames, or values that are missing or not finite.
    """
    if isinstance(clip, Mapping):
        read = _from_detections if "frames" in clip or "box_scores" in clip else _from_tracks
        read_in = read(clip, num_joints, name)
    elif isinstance(clip, list | tuple) and _depth(clip)[1] in ("person", "nothing"):
        read_in = _from_frames(clip, num_joints, name)
    else:
        read_in = _with_scores(_numbers(clip, (None, None, num_joints, None), name), name)
    if not read_in.shape[1]:
        raise ValueError(f"`{name}` must have at least one frame, got shape {read_in.shape}")
    return read_in


def _from_tracks(clip: Mapping[str, Any], num_joints: int, name: str) -> np.ndarray:
    _check_keys(clip, _TRACKS, name)
    keypoints = _numbers(clip["keypoints"], (None, None, num_joints, None), f"{name}['keypoints']")
    if clip.get("scores") is None:
        return _with_scores(keypoints, f"{name}['keypoints']")
    if keypoints.shape[-1] != 2:
        raise ValueError(
            f"`{name}['keypoints']` must be (x, y) where 'scores' are given too, got shape {keypoints.shape}"
        )
    scores = _numbers(clip["scores"], keypoints.shape[:-1], f"{name}['scores']")
    return _with_scores(np.concatenate([keypoints, scores[..., None]], axis=-1), name)


def _from_detections(clip: Mapping[str, Any], num_joints: int, name: str) -> np.ndarray:
    _check_keys(clip, _DETECTIONS, name)
    missing = sorted(_DETECTIONS - set(clip))
    if missing:
        raise ValueError(f"`{name}` must have the keys {sorted(_DETECTIONS)} as a list of detections, lacks {missing}")
    keypoints = _numbers(clip["keypoints"], (None, num_joints, None), f"{name}['keypoints']")
    keypoints = _with_scores(keypoints, f"{name}['keypoints']")
    frames = _numbers(clip["frames"], keypoints.shape[:1], f"{name}['frames']")
    box_scores = _numbers(clip["box_scores"], keypoints.shape[:1], f"{name}['box_scores']")
    if not (np.isfinite(frames) & np.isfinite(box_scores)).all():
        raise ValueError(f"`{name}` must have finite 'frames' and 'box_scores', got NaN or infinity")
    # In float32, as they are distributed: which of two scores is the larger may depend on it.
    return clip_from_detections(keypoints, frames, box_scores.astype(np.float32))


def _from_frames(clip: Sequence[Any], num_joints: int, name: str) -> np.ndarray:
    found = [[_person(person, num_joints, f"{name}[{row}]") for person in frame] for row, frame in enumerate(clip)]
    names = [person.get("id") for frame in clip for person in frame]
    known = bool(names) and all(identity is not None for identity in names)
    places: dict[Any, int] = {}
    rows = []
    for row, (frame, joints) in enumerate(zip(clip, found, strict=True)):
        if known:
            ids = [person["id"] for person in frame]
            if len(set(ids)) != len(ids):
                raise ValueError(f"`{name}[{row}]` must have each `id` once, got {ids}")
        else:
            order = sorted(range(len(frame)), key=lambda person: -float(frame[person].get("score", 0.0)))
            joints, ids = [joints[person] for person in order], list(range(len(frame)))
        rows.append(
            {places.setdefault(identity, len(places)): part for identity, part in zip(ids, joints, strict=True)}
        )
    read = np.zeros((len(places), len(clip), num_joints, 3), np.float32)
    for row, persons in enumerate(rows):
        for place, joints in persons.items():
            read[place, row] = joints
    return read


def _person(person: Any, num_joints: int, name: str) -> np.ndarray:
    """The joints of a person in a frame, (V, 3)."""
    if not isinstance(person, Mapping) or not {"keypoints", "keypoint_scores"} <= set(person):
        raise ValueError(
            f"`{name}` must be a list of persons with 'keypoints' and 'keypoint_scores', got {shortened(person)}"
        )
    keypoints = as_numbers(person["keypoints"], name, "lists of (x, y)").numpy()
    scores = as_numbers(person["keypoint_scores"], name, "one score per joint").numpy()
    if keypoints.shape != (num_joints, 2) or scores.shape != (num_joints,):
        raise ValueError(
            f"`{name}` must be persons with all {num_joints} joints of the task (human-pose with threshold=None), got "
            f"keypoints of shape {keypoints.shape} and keypoint_scores of shape {scores.shape}"
        )
    return _with_scores(np.concatenate([keypoints, scores[:, None]], axis=1), name)


def _check_keys(clip: Mapping[str, Any], known: set[str], name: str) -> None:
    unknown = sorted(map(str, set(clip) - known))
    if unknown or "keypoints" not in clip:
        raise ValueError(f"`{name}`: a dict may have the keys {sorted(known)}, got {sorted(map(str, clip))}")


def _numbers(value: Any, shape: tuple[int | None, ...], name: str) -> np.ndarray:
    """Float64 of a shape in which None stands for any length; the last axis of points is two or three long."""
    axes = {4: ("persons", "frames", "joints", "2 or 3"), 3: ("persons", "frames", "joints"), 1: ("detections",)}
    if len(shape) == 3 and shape[-1] is None:
        axes[3] = ("detections", "joints", "2 or 3")
    wanted = ", ".join(
        label if length is None else str(length) for label, length in zip(axes[len(shape)], shape, strict=True)
    )
    numbers = as_numbers(value, name, f"numbers of shape ({wanted})").numpy()
    fits = numbers.ndim == len(shape) and all(
        length in (None, got) for length, got in zip(shape, numbers.shape, strict=True)
    )
    if not fits or (shape[-1] is None and numbers.shape[-1] not in (2, 3)):
        raise ValueError(f"`{name}` must have shape ({wanted}), got {numbers.shape}")
    return numbers


def _with_scores(points: np.ndarray, name: str) -> np.ndarray:
    """Points (..., 2) or (..., 3) as float32 (..., 3); what is seen has to be finite."""
    if points.shape[-1] == 2:
        points = np.concatenate([points, (points != 0).any(axis=-1, keepdims=True)], axis=-1)
    scores = points[..., 2]
    if not np.isfinite(scores).all() or not np.isfinite(points[scores > SCORE_FLOOR]).all():
        raise ValueError(f"`{name}` must have finite scores, and places where a joint is seen, got NaN or infinity")
    return points.astype(np.float32)


__all__ = ["read_clip", "split_clips"]
