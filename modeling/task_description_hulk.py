# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What a task is: everything that differs between two tasks is a field here, never a branch on a name.

A *family* is what a person asks for (`pose`); a *task* is a family on one label space (`pose-coco`).
"""

import operator
import re
from dataclasses import MISSING, asdict, dataclass, fields
from numbers import Real

_TASK_NAME = re.compile(r"[a-z0-9]+(-[A-Za-z0-9_]+)+")


@dataclass(frozen=True)
class HulkFamily:
    """What the tasks of a family have in common.

    Attributes:
        input: The input modality, `image` or `skeleton`.
        queries: What a query stands for: `patch` (one at the place of each patch), `label` (one per label), `anchor`
            (reference points on a regular grid, several patterns each), `body` (camera, joints and vertices of a body
            model) or `token` (the words of a text).
        attention: What tokens may see in the decoder, where the task does not say otherwise; see `HulkTask`.
        positions: `every_layer` (through an MLP, joining queries and keys of every decoder layer) or `once` (added to
            the tokens in front of the decoder).
        loss_terms: The terms of the loss, which `HulkTask.loss_weights` may weigh.
        upsampled: What the dense head makes finer: the `similarity` of queries and labels, one up-sampler per task, or
            the `queries` themselves, one up-sampler for the family; None for families of other heads.
        problem_type: How transformers' pipelines turn logits into scores, where it is a classification: sigmoid for
            `multi_label_classification`, softmax for `single_label_classification`.
    """

    input: str
    queries: str
    attention: str
    positions: str
    loss_terms: tuple[str, ...]
    upsampled: str | None = None
    problem_type: str | None = None


FAMILIES: dict[str, HulkFamily] = {
    "pose": HulkFamily("image", "patch", "full", "every_layer", ("heatmap", "presence"), "similarity"),
    "parsing": HulkFamily("image", "patch", "diagonal", "every_layer", ("mask", "dice", "presence"), "queries"),
    "detection": HulkFamily("image", "anchor", "diagonal", "every_layer", ("class", "box", "giou")),
    "attributes": HulkFamily(
        "image", "label", "diagonal", "once", ("attributes",), problem_type="multi_label_classification"
    ),
    "action": HulkFamily(
        "skeleton", "label", "diagonal", "once", ("action",), problem_type="single_label_classification"
    ),
    "mesh": HulkFamily("image", "body", "full", "every_layer", ("joints_3d", "vertices", "joints_2d", "edge_normal")),
    "caption": HulkFamily("image", "token", "diagonal", "once", ("caption",)),
}


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
        labels: Names of the joints, parts, attributes, actions or kinds of objects, in output order. A caption task
            has none: its words are those of the tokenizer.
        image_size: (height, width) of the model input in pixels. For detection the largest input, whose position
            table all others are resized from; skeletons have none, and their value means nothing.
        attention: Which tokens a context token may see in the decoder: `full` (all) or `diagonal` (only itself);
            None means that of the family. Query tokens see everything, except that words see no later word and
            vertices of a body only vertices next to them.
        flip_pairs: Index pairs that trade places in a mirror, no index in two of them; derived from the names when
            None.
        sigmas: OKS constants per joint, None where the data set defines none.
        presence_ratios: How often each label is present in the training set (0..1), used to balance the presence
            loss; None means balanced (0.5, where the weight does not depend on the target).
        skeleton: Index pairs of joints to connect when drawing.
        loss_weights: Weight of each loss term by name; which there are says the family.
        label_spaces: `{name: (begin, end)}`: slices of the labels that belong to one data set of a joint task.
        label_weights: Weight of each label in the loss; None means 1.
        anchors_per_side: Reference points along either side of the picture, for detection.
        anchor_patterns: Queries per reference point, each with a learned token of its own, for detection.
        max_length: Tokens of a caption, and of the query sequence.
        vocabulary_size: Number of words of a caption task.
        own_token_features: Words of captions are embedded from features of their own, and not from those they are
            compared with; both are the same in the release.
        label_smoothing: Share of the target that the loss of captions spreads over all words.
        ignore_padding: Leave padding out of the loss of captions; as released, it is a word to be learned.
        body: Sizes of the body model of a mesh task: `vertices`, a list of counts from coarse to fine, of which the
            coarse ones are queries; `regressed_joints`, the number of joints that its regressor gives (those that are
            queries are the labels); `restricted`, whether its licence keeps its tables out of checkpoints. Once a
            body is set (`HulkBody.sizes`) also `upsampling` and `faces`, sizes of further tables, `name` and
            `license`.

    Raises:
        ValueError: A field has a value of the wrong form; the error names the task and the field.
    """

    name: str
    family: str
    labels: tuple[str, ...] = ()
    image_size: tuple[int, int] = (256, 192)
    attention: str | None = None
    flip_pairs: tuple[tuple[int, int], ...] | None = None
    sigmas: tuple[float, ...] | None = None
    presence_ratios: tuple[float, ...] | None = None
    skeleton: tuple[tuple[int, int], ...] = ()
    loss_weights: dict[str, float] | None = None
    label_spaces: dict[str, tuple[int, int]] | None = None
    label_weights: tuple[float, ...] | None = None
    anchors_per_side: int = 17
    anchor_patterns: int = 3
    max_length: int = 40
    vocabulary_size: int | None = None
    own_token_features: bool = False
    label_smoothing: float = 0.1
    ignore_padding: bool = False
    body: dict[str, int | str | list[int]] | None = None

    def __post_init__(self):
        put = lambda field, value: object.__setattr__(self, field, value)  # noqa: E731 - the dataclass is frozen
        self._validate_name()
        if self.attention is None:
            put("attention", FAMILIES[self.family].attention)
        if isinstance(self.labels, str):
            raise ValueError(f"task {self.name!r}: labels must be a list of names, got one string {self.labels!r}")
        put("labels", tuple(self.labels))
        if not all(isinstance(label, str) for label in self.labels):
            raise ValueError(f"task {self.name!r}: labels must be names, got {self.labels!r}")
        put("image_size", self._whole_numbers("image_size", "(height, width) in whole pixels"))
        pairs = mirror_pairs(self.labels) if self.flip_pairs is None else self.flip_pairs
        put("flip_pairs", tuple((int(a), int(b)) for a, b in pairs))
        put("skeleton", tuple((int(a), int(b)) for a, b in self.skeleton))
        for field in ("sigmas", "presence_ratios", "label_weights"):
            values = getattr(self, field)
            if values is not None:
                put(field, tuple(float(value) for value in values))
        if self.label_spaces is not None:
            put("label_spaces", {name: (int(begin), int(end)) for name, (begin, end) in self.label_spaces.items()})
        self._validate()

    def _validate_name(self) -> None:
        for field in ("name", "family"):
            if not isinstance(getattr(self, field), str):
                raise ValueError(f"task {self.name!r}: {field} must be a string, got {getattr(self, field)!r}")
        if self.family not in FAMILIES:
            raise ValueError(f"task {self.name!r}: no family {self.family!r}, expected one of {sorted(FAMILIES)}")
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
        if self.family == "mesh":
            body = self.body if isinstance(self.body, dict) else {}
            if not body.get("vertices") or not body.get("regressed_joints"):
                raise ValueError(
                    f"task {self.name!r}: a mesh task needs body with 'vertices' and 'regressed_joints', got {body!r}"
                )
        if self.family == "caption":
            if self.labels or not self.vocabulary_size or self.vocabulary_size < 1 or self.max_length < 2:
                raise ValueError(
                    f"task {self.name!r}: a caption task needs vocabulary_size of at least 1, max_length of at least "
                    f"2 and no labels, got {self.vocabulary_size!r}, {self.max_length!r} and {len(self.labels)} labels"
                )
        elif not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"task {self.name!r}: labels must be distinct and at least one, got {self.labels!r}")
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise ValueError(f"task {self.name!r}: image_size must be (height, width), got {self.image_size!r}")
        for field in ("sigmas", "presence_ratios", "label_weights"):
            values = getattr(self, field)
            if values is not None and len(values) != len(self.labels):
                raise ValueError(
                    f"task {self.name!r}: {field} needs one value per label ({len(self.labels)}), got {len(values)}"
                )
        for field in ("flip_pairs", "skeleton"):
            for pair in getattr(self, field):
                if not all(0 <= index < len(self.labels) for index in pair):
                    raise ValueError(f"task {self.name!r}: {field} {pair} is outside the {len(self.labels)} labels")
        for name, (begin, end) in (self.label_spaces or {}).items():
            if not 0 <= begin < end <= len(self.labels):
                raise ValueError(
                    f"task {self.name!r}: label_spaces[{name!r}] = ({begin}, {end}) is no slice of the "
                    f"{len(self.labels)} labels"
                )
        if self.anchors_per_side < 1 or self.anchor_patterns < 1:
            raise ValueError(
                f"task {self.name!r}: anchors_per_side and anchor_patterns must be at least 1, got "
                f"{self.anchors_per_side} and {self.anchor_patterns}"
            )
        if not isinstance(self.label_smoothing, Real) or not 0 <= self.label_smoothing < 1:
            raise ValueError(f"task {self.name!r}: label_smoothing must be in [0, 1), got {self.label_smoothing!r}")
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
        known = FAMILIES[self.family].loss_terms
        if not set(weights) <= set(known):
            unknown = sorted(set(weights) - set(known), key=str)
            raise ValueError(f"task {self.name!r}: unknown loss_weights {unknown}, expected a subset of {list(known)}")

    @property
    def num_labels(self) -> int:
        """Number of labels K; for a caption task the number of words."""
        return self.vocabulary_size or len(self.labels)

    @property
    def input(self) -> str:
        """The input modality, `image` or `skeleton`."""
        return FAMILIES[self.family].input

    @property
    def queries(self) -> str:
        """What a query stands for, see `HulkFamily`."""
        return FAMILIES[self.family].queries

    @property
    def positions(self) -> str:
        """How positions enter the decoder, see `HulkFamily`."""
        return FAMILIES[self.family].positions

    @property
    def upsampled(self) -> str | None:
        """What the dense head makes finer, see `HulkFamily`."""
        return FAMILIES[self.family].upsampled

    def label_slice(self, label_space: str | None) -> slice:
        """The labels of one data set of a joint task; None means all.

        Raises:
            ValueError: The task has no label space of this name.
        """
        if label_space is None:
            return slice(0, self.num_labels)
        known = self.label_spaces or {}
        if label_space not in known:
            raise ValueError(f"label_space: no {label_space!r} in task {self.name!r}, expected one of {sorted(known)}")
        return slice(*known[label_space])

    def to_dict(self) -> dict:
        """The fields that differ from their defaults, as JSON types; the name is the key it is stored under."""
        derived = {"flip_pairs": mirror_pairs(self.labels), "attention": FAMILIES[self.family].attention}
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


__all__ = ["FAMILIES", "HulkFamily", "HulkTask", "mirror_pairs"]
