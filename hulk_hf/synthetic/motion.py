# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Clips of moving people as a 2-D pose detector would see them, for action recognition from skeletons.

Nothing is drawn: keypoints of moving bodies are projected into a view of 640x480 and made as unreliable as those of a
detector: they jitter and drift, left and right are swapped now and then, joints get lost, whole frames are missing,
and somebody else may stand about. Splits share no seed, no body and no direction of view (see `splits`).
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from math import cos, pi, sin
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from .actions import ACTIONS, PAIR_ACTIONS, SINGLE_ACTIONS, Meeting
from .body import COCO_KEYPOINTS
from .dataset import sample_seed
from .renderer import Camera
from .splits import banded, check_split, generator
from .tracks import Actor, Motion, perform, sample_actor

if TYPE_CHECKING:
    import datasets

VIEW = (640, 480)
SHORTEST, LONGEST = 30, 120
MOTION_VERSION = 4  # rises whenever the same number gives another clip, so that old caches are not reused

_ENDS = {"chest": (5, 6), "hand_left": (9,), "hand_right": (10,), "hands": (9, 10)}
_BYSTANDER_SHARE = 0.12
# How uncertain people are about where a joint is, relative to the size of the person (COCO's evaluation).
_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89], np.float32) / 1000
_SWAPS = (((5, 6), (7, 8), (9, 10)), ((11, 12), (13, 14), (15, 16)), ((1, 2), (3, 4)))
_OTHER_SIDE = np.array([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])


def turned(points: np.ndarray, angle: float, shift: np.ndarray) -> np.ndarray:
    """Points (..., 3) turned to the left by `angle` about the vertical axis, then moved by `shift` (3,)."""
    c, s = cos(angle), sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32)
    return points @ turn.T + np.asarray(shift, np.float32)


def meet(first: np.ndarray, second: np.ndarray, meeting: Meeting) -> np.ndarray:
    """Where the second person's points (T, 17, 3) are when it faces the first (T, 17, 3) as `meeting` wants."""
    second = turned(second, pi, np.zeros(3))
    ends = [
        points[meeting.frame, list(_ENDS[end])].mean(axis=0)
        for points, end in zip((first, second), meeting.ends, strict=True)
    ]
    shift = ends[0] - ends[1] + np.array([0, -meeting.gap, 0], np.float32)
    shift[2] = 0
    return second + shift


def _height(actor: Actor) -> float:
    """Metres from ankles to head."""
    index = actor.body.bone_index
    return float(actor.heads[index["head"], 2] - actor.heads[index["foot.L"], 2])


def _act(rng: np.random.Generator, split: str, action: str, seconds: np.ndarray) -> list[np.ndarray]:
    """Keypoints (T, 17, 3) of those who act."""
    actor = sample_actor(rng, split)
    if action in SINGLE_ACTIONS:
        return [perform(actor, SINGLE_ACTIONS[action](rng, seconds)).keypoints]
    height = _height(actor)
    while True:  # somebody of about the same size
        other = sample_actor(rng, split)
        if 0.8 < _height(other) / height < 1.25:
            break
    meeting = PAIR_ACTIONS[action](rng, seconds)
    first, second = (perform(who, track).keypoints for who, track in zip((actor, other), meeting.tracks, strict=True))
    people = [first, meet(first, second, meeting)]
    return people if rng.random() < 0.5 else people[::-1]


def _bystander(rng: np.random.Generator, split: str, seconds: np.ndarray, actor: np.ndarray) -> np.ndarray:
    """Keypoints of somebody who stands or walks near the first person (T, 17, 3), and stays apart from it."""
    action = "standing" if rng.random() < 0.6 else "walking"
    points = perform(sample_actor(rng, split), SINGLE_ACTIONS[action](rng, seconds)).keypoints
    shift = np.array([rng.choice([-1, 1]) * rng.uniform(0.9, 2.2), rng.uniform(-0.5, 2.5), 0])
    middle = actor.mean(axis=(0, 1)) * [1, 1, 0]
    return turned(points, rng.uniform(0, 2 * pi), middle + shift)


def _view(rng: np.random.Generator, points: np.ndarray) -> Camera:
    """A camera that keeps points (N, 3) in view, at 55-92 % of its height or width."""
    low, high = points.min(axis=0), points.max(axis=0)
    reach = float(np.linalg.norm(high[:2] - low[:2])) / 2
    camera = Camera((low + high) / 2, reach + rng.uniform(2.5, 7), rng.normal(0.08, 0.12), rng.normal(0, 0.03))
    pixels, _ = camera.project(points)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    room = np.array(VIEW)
    focal = rng.uniform(0.55, 0.92) * float((room / np.maximum(high - low, 1e-6)).min())
    free = room - focal * (high - low)
    centre = rng.uniform(0.25, 0.75, 2) * free - focal * low
    return Camera(
        camera.target, camera.distance, camera.pitch, camera.roll, focal, (float(centre[0]), float(centre[1]))
    )


def _bursts(rng: np.random.Generator, shape: tuple[int, int], rate: float, longest: int) -> np.ndarray:
    """Booleans (T, K): about `rate` of them True, in runs of up to `longest` frames."""
    marked = np.zeros(shape, bool)
    for _ in range(rng.poisson(rate * shape[0] * shape[1] / ((1 + longest) / 2))):
        start, column = rng.integers(shape[0]), rng.integers(shape[1])
        marked[start : start + rng.integers(1, longest + 1), column] = True
    return marked


def detect(rng: np.random.Generator, pixels: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """What a detector makes of keypoints.

    Args:
        rng: source of randomness.
        pixels: Shape (T, 17, 2).
        depths: Shape (T, 17), metres from the camera.

    Returns:
        Shape (T, 17, 3) float32: (x, y) in pixels and score from 0 to 1; what is missing or outside the view is 0.
    """
    count = len(pixels)
    spread = np.sqrt(np.prod(np.ptp(pixels, axis=1), axis=1) + 1)  # about the root of the person's area
    size = np.median(spread) * _SIGMAS * rng.uniform(0.1, 0.55)
    # A joint behind that of the other side is probably hidden.
    hidden = depths > depths[:, _OTHER_SIDE] + 0.12
    jitter = rng.standard_normal((count, 17, 2), np.float32)
    drift = rng.standard_normal((count // 8 + 3, 17, 2), np.float32)
    at = np.arange(count) / 8
    row, share = at.astype(int), (at % 1)[:, None, None].astype(np.float32)
    drift = drift[row] * (1 - share) + drift[row + 1] * share
    found = np.empty((count, 17, 3), np.float32)
    loose = size[:, None] * np.where(hidden, 1.7, 1.0)[..., None]
    found[..., :2] = pixels + loose * (0.6 * jitter + 0.6 * drift)
    found[..., 2] = rng.normal(0.9, 0.05, (count, 17)) - 0.2 * hidden * rng.random((count, 17))
    wrong = _bursts(rng, (count, 17), rng.uniform(0, 0.02), 4)
    found[wrong, :2] += rng.normal(0, 0.25, (int(wrong.sum()), 2)) * np.median(spread)
    found[wrong, 2] *= rng.uniform(0.2, 0.7)
    swapped = _bursts(rng, (count, len(_SWAPS)), rng.uniform(0, 0.03), 6)
    for column, pairs in enumerate(_SWAPS):
        rows = np.nonzero(swapped[:, column])[0]
        if len(rows):
            left, right = (list(side) for side in zip(*pairs, strict=True))
            found[rows[:, None], left + right] = found[rows[:, None], right + left]
    found[..., 2] = np.clip(found[..., 2], 0.02, 1)
    lost = _bursts(rng, (count, 17), rng.uniform(0, 0.08), 12) | (hidden & _bursts(rng, (count, 17), 0.1, 10))
    lost |= rng.random((count, 1)) < rng.uniform(0, 0.06)  # frames without this person
    lost |= (found[..., :2] < 0).any(axis=2) | (found[..., :2] >= VIEW).any(axis=2)
    found[lost] = 0
    return found


def sample_clip(number: int, split: str = "train") -> dict:
    """Draws clip `number` of a split: a pure function of its arguments.

    Args:
        number: number of the clip, >= 0.
        split: "train", "validation" or "test"; `splits` says how they differ.

    Returns:
        A dict with

        * `keypoints`: (2, T, 17, 3) float32, T from 30 to 120: COCO's joints of two people, (x, y) in pixels of a view
          of 640x480 and score; missing joints are 0, and so is the second person where there is none;
        * `label`: int, index into `actions.ACTIONS`, and `action`, its name;
        * `persons`: 1 or 2, how many people are there (in actions of one the second one only stands or walks by);
        * `frames_per_second`: how fast the clip is;
        * `sample_seed`, `split`: the arguments.
    """
    rng = generator(split, number)
    label = int(rng.integers(len(ACTIONS)))
    count, rate = int(rng.integers(SHORTEST, LONGEST + 1)), rng.uniform(12, 30)
    people = _act(rng, split, ACTIONS[label], np.arange(count) / rate)
    angle = 2 * pi * banded(rng, split, 64)
    people = [turned(points, angle, np.zeros(3)) for points in people]
    camera = _view(rng, np.concatenate(people).reshape(-1, 3)[:: 1 if len(people) == 1 else 2])
    if len(people) == 1 and rng.random() < _BYSTANDER_SHARE:
        people.append(_bystander(rng, split, np.arange(count) / rate, people[0]))
    keypoints = np.zeros((2, count, len(COCO_KEYPOINTS), 3), np.float32)
    for row, points in enumerate(people):
        pixels, depths = camera.project(points.reshape(-1, 3))
        seen = detect(rng, pixels.reshape(count, -1, 2), depths.reshape(count, -1))
        seen[depths.reshape(count, -1) < 0.2] = 0
        keypoints[row] = seen
    return {
        "keypoints": keypoints,
        "label": label,
        "action": ACTIONS[label],
        "persons": len(people),
        "frames_per_second": float(rate),
        "sample_seed": int(number),
        "split": split,
    }


@dataclass(frozen=True)
class ClipArrays:
    """Clips as memory-mapped arrays, opened by `sample_clip_arrays`.

    `keypoints` (N, 2, 120, 17, 3) float16, zeros behind the end of a clip; `lengths` (N,) int64; `labels` (N,) int64.
    """

    keypoints: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.labels)

    def clip(self, index: int) -> tuple[np.ndarray, int]:
        """Keypoints (2, T, 17, 3) float32 and label of a clip."""
        return self.keypoints[index, :, : self.lengths[index]].astype(np.float32), int(self.labels[index])


def sample_clip_arrays(
    split: str, num_samples: int, seed: int = 0, directory: str | Path = "synthetic", progress: bool = True
) -> ClipArrays:
    """Draws clips into plain `.npy` files and opens them memory-mapped.

    Clip `i` is `sample_clip(sample_seed(i, seed), split)`, in half precision (up to a quarter of a pixel). The files
    appear under `directory` in a folder named after the arguments, all at once when all is done; if that folder is
    there already, it is opened and nothing is drawn.

    Args:
        split: "train", "validation" or "test".
        num_samples: how many; each needs 25 kB.
        seed: which clips; different seeds share none.
        directory: where the folder goes.
        progress: whether to show a progress bar.
    """
    check_split(split)
    sample_seed(max(num_samples - 1, 0), seed)
    final = Path(directory) / f"clips-v{MOTION_VERSION}-{split}-{num_samples}-seed{seed}"
    if not final.exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{final.name}-", dir=final.parent) as folder:
            working = Path(folder) / "clips"
            working.mkdir()
            shape = (num_samples, 2, LONGEST, len(COCO_KEYPOINTS), 3)
            keypoints = np.lib.format.open_memmap(working / "keypoints.npy", "w+", np.float16, shape)
            lengths, labels = np.zeros(num_samples, np.int64), np.zeros(num_samples, np.int64)
            for index in tqdm(range(num_samples), unit="clip", desc=f"clips {split}", disable=not progress):
                clip = sample_clip(sample_seed(index, seed), split)
                lengths[index], labels[index] = clip["keypoints"].shape[1], clip["label"]
                keypoints[index, :, : lengths[index]] = clip["keypoints"]
            keypoints.flush()
            np.save(working / "lengths.npy", lengths)
            np.save(working / "labels.npy", labels)
            try:
                os.replace(working, final)
            except OSError:
                if not final.exists():  # otherwise another process was faster, with the same content
                    raise
    names = ("keypoints", "lengths", "labels")
    return ClipArrays(**{name: np.load(final / f"{name}.npy", mmap_mode="r") for name in names})


def clip_features() -> datasets.Features:
    """The columns of clips as a `datasets.Dataset` (spec training 4.6): `keypoints` (M, T, V, 2) and `scores`
    (M, T, V) are flattened, `shape` is (M, T, V, 2)."""
    from datasets import ClassLabel, Features, List, Value

    return Features(
        {
            "keypoints": List(Value("float32")),
            "shape": List(Value("int32"), length=4),
            "scores": List(Value("float32")),
            "num_frames": Value("int32"),
            "label": ClassLabel(names=list(ACTIONS)),
            "video_id": Value("string"),
            "split": Value("string"),
        }
    )


def clip_record(clip: dict) -> dict:
    """A row with the columns of `clip_features` from a clip of `sample_clip`; only people who are there."""
    keypoints = clip["keypoints"][: clip["persons"]]
    return {
        "keypoints": keypoints[..., :2].ravel(),
        "shape": [*keypoints.shape[:3], 2],
        "scores": keypoints[..., 2].ravel(),
        "num_frames": keypoints.shape[1],
        "label": clip["label"],
        "video_id": f"{clip['split']}-{clip['sample_seed']}",
        "split": clip["split"],
    }


def build_clip_dataset(split: str, num_samples: int, seed: int = 0, cache_dir: str | None = None) -> datasets.Dataset:
    """Draws clips as a `datasets.Dataset` with the columns of `clip_features`."""
    from datasets import Dataset

    numbers = [sample_seed(index, seed) for index in range(num_samples)]
    return Dataset.from_generator(
        _records,
        features=clip_features(),
        gen_kwargs={"split": check_split(split), "numbers": numbers},
        cache_dir=cache_dir,
    )


def _records(split: str, numbers: list[int]):
    for number in numbers:
        yield clip_record(sample_clip(number, split))


__all__ = [
    "LONGEST",
    "SHORTEST",
    "VIEW",
    "ClipArrays",
    "Motion",
    "build_clip_dataset",
    "clip_features",
    "clip_record",
    "detect",
    "meet",
    "sample_clip",
    "sample_clip_arrays",
    "turned",
]
