# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The known tasks as data: what differs between two tasks is a field here, never a branch on a name.

A *family* is what a person asks for (`pose`); a *task* is a family on one label space (`pose-coco`). Joint names of
the sets whose prompts were never published (marked "inferred" below) follow the public order of the data set.
"""

import operator
import re
from dataclasses import MISSING, asdict, dataclass, fields
from numbers import Real

_TASK_NAME = re.compile(r"[a-z0-9]+(-[A-Za-z0-9_]+)+")

# Family -> the terms of its loss, which `HulkTask.loss_weights` may weigh.
LOSS_TERMS: dict[str, tuple[str, ...]] = {"pose": ("heatmap", "presence")}


def mirror_pairs(labels: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Find the label pairs that trade places in a mirror, from the words "left" and "right" in their names.

    Returns:
        Pairs of indices into `labels`, the lower index first, in ascending order.
    """
    position = {label: index for index, label in enumerate(labels)}
    pairs = set()
    for index, label in enumerate(labels):
        words = label.split(" ")
        if "left" in words:
            other = position.get(" ".join("right" if word == "left" else word for word in words))
            if other is not None:
                pairs.add((min(index, other), max(index, other)))
    return tuple(sorted(pairs))


@dataclass(frozen=True)
class HulkTask:
    """One task: a family on one label space.

    Attributes:
        name: `family-labelspace`, for example `pose-coco`: letters, digits and underscores, parts joined by hyphens.
        family: What is asked for; also the name of the query token (the modality indicator of the release).
        labels: Names of the joints, parts or attributes, in output order.
        image_size: (height, width) of the model input in pixels.
        attention: Which tokens a context token may see in the decoder: `full` (all) or `diagonal` (only itself).
        flip_pairs: Index pairs that trade places in a mirror, no index in two of them; derived from the names when
            None.
        sigmas: OKS constants per joint, None where the data set defines none.
        presence_ratios: How often each label is present in the training set (0..1), used to balance the presence
            loss; None means balanced (0.5, where the weight does not depend on the target).
        skeleton: Index pairs of joints to connect when drawing.
        loss_weights: Weight of each loss term by name; for pose `heatmap` and `presence`.

    Raises:
        ValueError: A field has a value of the wrong form; the error names the task and the field.
    """

    name: str
    family: str
    labels: tuple[str, ...]
    image_size: tuple[int, int] = (256, 192)
    attention: str = "full"
    flip_pairs: tuple[tuple[int, int], ...] | None = None
    sigmas: tuple[float, ...] | None = None
    presence_ratios: tuple[float, ...] | None = None
    skeleton: tuple[tuple[int, int], ...] = ()
    loss_weights: dict[str, float] | None = None

    def __post_init__(self):
        put = lambda field, value: object.__setattr__(self, field, value)  # noqa: E731 - the dataclass is frozen
        self._validate_name()
        if isinstance(self.labels, str):
            raise ValueError(f"task {self.name!r}: labels must be a list of names, got one string {self.labels!r}")
        put("labels", tuple(self.labels))
        if not all(isinstance(label, str) for label in self.labels):
            raise ValueError(f"task {self.name!r}: labels must be names, got {self.labels!r}")
        put("image_size", self._whole_numbers("image_size", "(height, width) in whole pixels"))
        pairs = mirror_pairs(self.labels) if self.flip_pairs is None else self.flip_pairs
        put("flip_pairs", tuple((int(a), int(b)) for a, b in pairs))
        put("skeleton", tuple((int(a), int(b)) for a, b in self.skeleton))
        for field in ("sigmas", "presence_ratios"):
            values = getattr(self, field)
            if values is not None:
                put(field, tuple(float(value) for value in values))
        self._validate()

    def _validate_name(self) -> None:
        for field in ("name", "family"):
            if not isinstance(getattr(self, field), str):
                raise ValueError(f"task {self.name!r}: {field} must be a string, got {getattr(self, field)!r}")
        if not _TASK_NAME.fullmatch(self.name) or not self.name.startswith(f"{self.family}-") or "-" in self.family:
            raise ValueError(
                f"task {self.name!r}: name must be '{self.family}-' (its family) and a label space of letters, digits "
                "and underscores, such as 'pose-coco'"
            )

    def _whole_numbers(self, field: str, expected: str) -> tuple[int, ...]:
        values = getattr(self, field)
        try:
            return tuple(operator.index(value) for value in values)
        except TypeError as error:
            raise ValueError(f"task {self.name!r}: {field} must be {expected}, got {values!r}") from error

    def _validate(self) -> None:
        if self.attention not in ("full", "diagonal"):
            raise ValueError(f"task {self.name!r}: attention must be 'full' or 'diagonal', got {self.attention!r}")
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"task {self.name!r}: labels must be distinct and at least one, got {self.labels!r}")
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise ValueError(f"task {self.name!r}: image_size must be (height, width), got {self.image_size!r}")
        for field in ("sigmas", "presence_ratios"):
            values = getattr(self, field)
            if values is not None and len(values) != len(self.labels):
                raise ValueError(
                    f"task {self.name!r}: {field} needs one value per label ({len(self.labels)}), got {len(values)}"
                )
        for field in ("flip_pairs", "skeleton"):
            for pair in getattr(self, field):
                if not all(0 <= index < len(self.labels) for index in pair):
                    raise ValueError(f"task {self.name!r}: {field} {pair} is outside the {len(self.labels)} labels")
        paired = [index for pair in self.flip_pairs for index in pair]
        if len(set(paired)) != len(paired):
            raise ValueError(f"task {self.name!r}: flip_pairs must not overlap, got {self.flip_pairs}")
        self._validate_loss_weights()

    def _validate_loss_weights(self) -> None:
        weights = self.loss_weights
        if weights is None:
            return
        if not isinstance(weights, dict) or not all(isinstance(weight, Real) for weight in weights.values()):
            raise ValueError(f"task {self.name!r}: loss_weights must be numbers by name, got {weights!r}")
        known = LOSS_TERMS.get(self.family)
        if known is not None and not set(weights) <= set(known):
            unknown = sorted(set(weights) - set(known), key=str)
            raise ValueError(f"task {self.name!r}: unknown loss_weights {unknown}, expected a subset of {list(known)}")

    @property
    def num_labels(self) -> int:
        """Number of labels K."""
        return len(self.labels)

    def to_dict(self) -> dict:
        """The fields that differ from their defaults, as JSON types; the name is the key it is stored under."""
        derived = {"flip_pairs": mirror_pairs(self.labels)}
        stated = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "name" and value != derived.get(field.name, field.default):
                stated[field.name] = asdict(self)[field.name]
        return _as_lists(stated)

    @classmethod
    def from_dict(cls, name: str, values: dict) -> "HulkTask":
        """Build a task from the entry of a configuration file.

        Raises:
            ValueError: A field is unknown, missing, or has a value of the wrong form.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"task {name!r}: unknown fields {unknown}, expected a subset of {sorted(known)}")
        needed = [field.name for field in fields(cls) if field.default is MISSING and field.name != "name"]
        missing = [field for field in needed if field not in values]
        if missing:
            raise ValueError(f"task {name!r}: missing fields {missing}, expected at least {needed}")
        return cls(**{"name": name, **values})


def _as_lists(value):
    """Turn tuples into lists at every depth, so that a configuration equals itself after a trip through JSON."""
    if isinstance(value, dict):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _pose(name: str, labels: str, **fields) -> HulkTask:
    joints = tuple(label.strip() for label in labels.split(","))
    return HulkTask(name=name, family="pose", labels=joints, attention="full", **fields)


# fmt: off
_COCO_JOINTS = (
    "nose, left eye, right eye, left ear, right ear, left shoulder, right shoulder, left elbow, right elbow, "
    "left wrist, right wrist, left hip, right hip, left knee, right knee, left ankle, right ankle"
)
_COCO_SKELETON = (
    (0, 1), (0, 2), (1, 3), (2, 4), (5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13),
    (13, 15), (12, 14), (14, 16),
)
_COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089,
    0.089,
)
_MPI_RATIOS = (
    0.97905498, 0.98151887, 0.98018951, 0.97778281, 0.97704955, 0.98018951, 0.97778281, 0.97704955, 0.98309006,
    0.98060388, 0.97209657, 0.98309006, 0.98060388, 0.97209657, 0.98405158, 0.98242514, 0.98066688,
)

_POSE_TASKS = (
    _pose(
        "pose-coco", _COCO_JOINTS, skeleton=_COCO_SKELETON, sigmas=_COCO_SIGMAS,
        presence_ratios=(
            0.38647058, 0.33606767, 0.33835369, 0.29253424, 0.29636332, 0.4987484, 0.49978854, 0.39467358, 0.40091822,
            0.36039853, 0.36918446, 0.43343303, 0.4345989, 0.32999829, 0.33092793, 0.27714171, 0.27754939,
        ),
    ),
    _pose(
        "pose-aic",  # head top and neck are inferred
        "right shoulder, right elbow, right wrist, left shoulder, left elbow, left wrist, right hip, right knee, "
        "right ankle, left hip, left knee, left ankle, head top, neck",
        skeleton=(
            (12, 13), (13, 0), (13, 3), (0, 1), (1, 2), (3, 4), (4, 5), (0, 6), (3, 9), (6, 9), (6, 7), (7, 8),
            (9, 10), (10, 11),
        ),
        sigmas=(
            0.01388152, 0.01515228, 0.01057665, 0.01417709, 0.01497891, 0.01402144, 0.03909642, 0.03686941,
            0.01981803, 0.03843971, 0.03412318, 0.02415081, 0.01291456, 0.01236173,
        ),
        presence_ratios=(
            0.98064613, 0.97789357, 0.97715356, 0.98064613, 0.97789357, 0.97715356, 0.95945282, 0.85703431,
            0.75049819, 0.95945282, 0.85703431, 0.75049819, 0.97149646, 0.98605877,
        ),
    ),
    _pose(
        "pose-h36m",  # pelvis, spine, thorax, neck and left wrist are inferred
        "pelvis, left hip, left knee, left foot, right hip, right knee, right foot, spine, thorax, neck, head, "
        "left shoulder, left elbow, left wrist, right shoulder, right elbow, right wrist",
        image_size=(256, 256), presence_ratios=(1.0,) * 17,
    ),
    _pose(
        "pose-posetrack",  # head bottom and head top are inferred
        "nose, head bottom, head top, left shoulder, right shoulder, left elbow, right elbow, left wrist, "
        "right wrist, left hip, right hip, left knee, right knee, left ankle, right ankle",
        presence_ratios=(
            0.81831569, 0.75692071, 0.74175951, 0.78988265, 0.78988265, 0.65977142, 0.65977142, 0.62561473,
            0.62561473, 0.7377724, 0.7377724, 0.66502273, 0.66502273, 0.59563039, 0.5956303,
        ),
    ),
    _pose(
        "pose-jrdb",  # head, neck and pelvis are inferred
        "head, right eye, left eye, right shoulder, neck, left shoulder, right elbow, left elbow, pelvis, "
        "right wrist, right hip, left hip, left wrist, right knee, left knee, right ankle, left ankle",
        presence_ratios=(
            0.90384634, 0.82524231, 0.89927266, 0.90945538, 0.92796942, 0.89927266, 0.90945538, 0.92796942, 0.9912784,
            0.84353379, 0.97898463, 0.9912784, 0.84353379, 0.97898463, 0.97418356, 0.94284516, 0.93372039,
        ),
    ),
    _pose(
        "pose-mhp",  # pelvis, thorax, upper neck and head top are inferred
        "right ankle, right knee, right hip, left hip, left knee, left ankle, pelvis, thorax, upper neck, head top, "
        "right wrist, right elbow, right shoulder, left shoulder, left elbow, left wrist",
        skeleton=(
            (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (8, 12), (12, 11), (11, 10),
            (8, 13), (13, 14), (14, 15),
        ),
        presence_ratios=(
            0.4631881, 0.60557285, 0.73299212, 0.73299212, 0.60557285, 0.4631881, 0.74209784, 0.92598716, 0.9642093,
            0.98767263, 0.67156195, 0.68611408, 0.85427203, 0.85427203, 0.68611408, 0.67156195,
        ),
    ),
    _pose(
        "pose-3dhp",  # neck, pelvis, thorax and upper neck are inferred
        "head, neck, right shoulder, right elbow, right wrist, left shoulder, left elbow, left wrist, right hip, "
        "right knee, right ankle, left hip, left knee, left ankle, pelvis, thorax, upper neck",
        presence_ratios=_MPI_RATIOS,
    ),
    _pose(
        "pose-3dpw",  # neck is inferred
        "nose, neck, right shoulder, right elbow, right wrist, left shoulder, left elbow, left wrist, right hip, "
        "right knee, right ankle, left hip, left knee, left ankle, right eye, left eye, right ear, left ear",
        presence_ratios=(
            0.81362905, 0.92006165, 0.90966899, 0.83948673, 0.78390512, 0.90966899, 0.83948673, 0.78390512,
            0.91677164, 0.89591263, 0.86267757, 0.91677164, 0.89591263, 0.86267757, 0.6836304, 0.6836304, 0.63909139,
            0.63909139,
        ),
    ),
    _pose(
        "pose-aist", _COCO_JOINTS, skeleton=_COCO_SKELETON, sigmas=_COCO_SIGMAS,
        presence_ratios=_MPI_RATIOS,  # the release copies the constants of 3DHP
    ),
)
# fmt: on

KNOWN_TASKS: dict[str, HulkTask] = {task.name: task for task in _POSE_TASKS}

OFFICIAL_TASK_IDS: dict[int, str] = dict(enumerate(KNOWN_TASKS, start=8))

__all__ = ["KNOWN_TASKS", "LOSS_TERMS", "OFFICIAL_TASK_IDS", "HulkTask", "mirror_pairs"]
