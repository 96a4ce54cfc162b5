# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Results as small objects: what was found of each person in a picture, to print, count, draw and save.

`hulk_hf.predict` returns them; they hold what the pipelines return, under the same names, and nothing that cannot be
written to JSON but the part maps and the meshes, which have a compact form there.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hulk_hf.modeling.images_hulk import read_image
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask
from hulk_hf.run_lengths import mask_of, run_lengths

if TYPE_CHECKING:
    import pandas
    import supervision


@dataclass
class Pose:
    """Joints of a person.

    Attributes:
        keypoints: (x, y) in pixels of the picture, one per joint.
        keypoint_scores: One per joint.
        labels: Names of the joints.
        score: Of the whole pose, see `HumanPosePipeline`.
    """

    keypoints: list[list[float]]
    keypoint_scores: list[float]
    labels: list[str]
    score: float | None = None


@dataclass
class Parsing:
    """Parts of a person, one label per pixel.

    Attributes:
        part_map: Picture of mode "L" with label ids; 0 is background.
        part_box: Where it lies in the picture: `xmin`, `ymin`, `xmax`, `ymax` in whole pixels.
        labels: Names of the parts that are present.
        label_ids: Their ids.
        areas: Their sizes in pixels.
    """

    part_map: Image.Image
    part_box: dict[str, int]
    labels: list[str]
    label_ids: list[int]
    areas: list[int]


@dataclass
class Attributes:
    """What a person is like: names and scores in [0, 1] of the attributes above the threshold."""

    labels: list[str]
    scores: list[float]


@dataclass
class Mesh:
    """Body of a person in three dimensions, in metres from the pelvis; x to the right, y down, z away.

    Attributes:
        vertices: Shape (V, 3), float32.
        faces: Shape (F, 3), vertex numbers; None where the body model has none.
        joints: (x, y, z) of the named joints.
        joints_2d: The same joints as (x, y) in pixels of the picture.
        labels: Names of the joints.
        camera: What places vertices in the picture, see `HumanMeshPipeline`.
        body: Name of the body model.
        license: Licence of the body model.
    """

    vertices: np.ndarray
    faces: np.ndarray | None
    joints: list[list[float]]
    joints_2d: list[list[float]]
    labels: list[str]
    camera: dict[str, float]
    body: str | None = None
    license: str | None = None


@dataclass
class Caption:
    """A sentence on a person."""

    generated_text: str


@dataclass
class Action:
    """What a person does: names and scores, the most likely first."""

    labels: list[str]
    scores: list[float]


RECORDS: dict[str, type] = {
    "pose": Pose,
    "parsing": Parsing,
    "attributes": Attributes,
    "mesh": Mesh,
    "caption": Caption,
    "action": Action,
}
"""Family -> the record that holds its result."""


@dataclass
class Person:
    """One person of a picture and what was asked about them; what was not asked is None.

    Attributes:
        box: (xmin, ymin, xmax, ymax) in pixels of the upright picture.
        score: Of the detector; 1 for boxes that were given.
        id: Number of the track, in videos.
        pose: Joints.
        parsing: Parts.
        attributes: Attributes.
        mesh: Body in three dimensions.
        caption: Sentence.
        action: In videos, what the last frames show.
    """

    box: tuple[float, float, float, float]
    score: float = 1.0
    id: int | None = None
    pose: Pose | None = None
    parsing: Parsing | None = None
    attributes: Attributes | None = None
    mesh: Mesh | None = None
    caption: Caption | None = None
    action: Action | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any], families: Mapping[str, str]) -> Person:
        """Make a person of what a pipeline returned.

        Args:
            record: Of `human-analysis`, where the results lie under the names that were asked for.
            families: Those names -> their families.

        Raises:
            ValueError: Two names of one family: a person has room for one.
        """
        if len(set(families.values())) != len(families):
            raise ValueError(f"task: expected one task per family, got {list(families)}")
        parts = {}
        for name, family in families.items():
            kind = RECORDS[family]
            known = {entry.name for entry in dataclasses.fields(kind)}
            parts[family] = kind(**{key: value for key, value in record[name].items() if key in known})
        box = record["box"]
        return cls((box["xmin"], box["ymin"], box["xmax"], box["ymax"]), float(record["score"]), **parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what was not asked is left out. Part maps become run lengths as in COCO (row by column)."""
        content: dict[str, Any] = {"box": dict(zip(("xmin", "ymin", "xmax", "ymax"), self.box, strict=True))}
        content["score"] = self.score
        if self.id is not None:
            content["id"] = self.id
        for family in RECORDS:
            part = getattr(self, family)
            if part is not None:
                content[family] = _plain(part)
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Person:
        """The person that `to_dict` wrote.

        Raises:
            ValueError: Something else.
        """
        try:
            box = tuple(float(content["box"][side]) for side in ("xmin", "ymin", "xmax", "ymax"))
            parts = {family: _read(kind, content[family]) for family, kind in RECORDS.items() if family in content}
            return cls(box, float(content["score"]), content.get("id"), **parts)  # type: ignore[arg-type]
        except (KeyError, TypeError) as error:
            raise ValueError(f"content: expected a person as `to_dict` writes one ({error!r})") from error


def _read(kind: type, content: Mapping[str, Any]) -> Any:
    """A record from what `_plain` made of it."""
    values = dict(content)
    if kind is Parsing:
        box = values["part_box"]
        ids = np.zeros((box["ymax"] - box["ymin"], box["xmax"] - box["xmin"]), np.uint8)
        for label, runs in zip(values["label_ids"], values.pop("segments"), strict=True):
            ids[mask_of(runs)] = label
        values["part_map"] = Image.fromarray(ids)
    if kind is Mesh:
        values["vertices"] = np.asarray(values["vertices"], np.float32)
        faces = values.get("faces")
        values["faces"] = None if faces is None else np.asarray(faces, np.int64)
    return kind(**values)


def _plain(part: Any) -> dict[str, Any]:
    """A record as values that JSON has."""
    content = {entry.name: getattr(part, entry.name) for entry in dataclasses.fields(part)}
    if isinstance(part, Parsing):
        ids = np.asarray(content.pop("part_map"))
        content["segments"] = [run_lengths(ids == label) for label in part.label_ids]
    if isinstance(part, Mesh):
        content["vertices"] = np.asarray(part.vertices, np.float64).round(5).tolist()
        content["faces"] = None if part.faces is None else np.asarray(part.faces).tolist()
    return {key: value for key, value in content.items() if value is not None}


@dataclass
class ImageResult:
    """The persons of one picture.

    Iterating gives the persons, `len` says how many there are.

    Attributes:
        persons: In the order of the boxes that were given, or the best detection first.
        size: (width, height) of the picture in pixels.
        source: File name or address, where the picture came from one.
        tasks: Family -> the task that was done; gives limbs, colours and names for drawing.
        picture: The picture itself, if it came from no file.
    """

    persons: list[Person]
    size: tuple[int, int]
    source: str | None = None
    tasks: dict[str, HulkTask] = field(default_factory=dict, repr=False)
    picture: Image.Image | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[Person]:
        return iter(self.persons)

    def __len__(self) -> int:
        return len(self.persons)

    def __getitem__(self, index: int) -> Person:
        return self.persons[index]

    @cached_property
    def image(self) -> Image.Image:
        """The upright RGB picture, read again from its source if it is not held.

        Raises:
            ValueError: The source is gone, or there never was one.
        """
        if self.picture is not None:
            return self.picture
        if self.source is None:
            raise ValueError("image: the result holds no picture and no source to read it from")
        pixels = read_image(self.source, name="source")
        return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they are written to JSON."""
        width, height = self.size
        return {
            "source": self.source,
            "size": {"width": width, "height": height},
            "tasks": {family: task.name for family, task in self.tasks.items()},
            "persons": [person.to_dict() for person in self.persons],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], tasks: Mapping[str, HulkTask] | None = None) -> ImageResult:
        """The result that `to_dict` wrote; the picture is read from its source when it is wanted.

        Args:
            content: Plain values.
            tasks: Family -> its task; None: the known tasks of these names, as far as there are.

        Raises:
            ValueError: Something else.
        """
        try:
            named = {family: KNOWN_TASKS[name] for family, name in content["tasks"].items() if name in KNOWN_TASKS}
            persons = [Person.from_dict(person) for person in content["persons"]]
            size = (int(content["size"]["width"]), int(content["size"]["height"]))
            return cls(persons, size, content.get("source"), dict(named if tasks is None else tasks))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"content: expected a result as `to_dict` writes one ({error!r})") from error

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_dataframe(self) -> pandas.DataFrame:
        """One row per person: box, score, then a column per joint, attribute, part, action and the caption.

        Needs pandas.
        """
        import pandas

        rows = []
        for person in self.persons:
            row: dict[str, Any] = dict(zip(("xmin", "ymin", "xmax", "ymax"), person.box, strict=True))
            row |= {"score": person.score, "id": person.id, "source": self.source}
            if person.pose is not None:
                joints = zip(person.pose.labels, person.pose.keypoints, person.pose.keypoint_scores, strict=True)
                for label, (x, y), score in joints:
                    row |= {f"{label} x": x, f"{label} y": y, f"{label} score": score}
            if person.attributes is not None:
                row |= dict(zip(person.attributes.labels, person.attributes.scores, strict=True))
            if person.parsing is not None:
                areas = zip(person.parsing.labels, person.parsing.areas, strict=True)
                row |= {f"{label} area": area for label, area in areas}
            if person.mesh is not None:
                for label, (x, y, z) in zip(person.mesh.labels, person.mesh.joints, strict=True):
                    row |= {f"{label} X": x, f"{label} Y": y, f"{label} Z": z}
            if person.caption is not None:
                row["caption"] = person.caption.generated_text
            if person.action is not None and person.action.labels:
                row |= {"action": person.action.labels[0], "action score": person.action.scores[0]}
            rows.append(row)
        return pandas.DataFrame(rows)

    def to_supervision(self) -> tuple[supervision.Detections, supervision.KeyPoints | None]:
        """The persons for `supervision`: detections (with a mask each if parts were found), and joints.

        Needs supervision. Joints are None where no pose was asked for, and the persons must then have all joints.
        """
        import supervision as sv

        width, height = self.size
        count = len(self.persons)
        detections = sv.Detections(
            xyxy=np.array([person.box for person in self.persons], np.float32).reshape(-1, 4),
            confidence=np.array([person.score for person in self.persons], np.float32),
            class_id=np.zeros(count, int),
            tracker_id=None if any(p.id is None for p in self.persons) else np.array([p.id for p in self.persons]),
            mask=self._masks() if count and all(person.parsing for person in self.persons) else None,
        )
        poses = [person.pose for person in self.persons if person.pose is not None]
        if not poses or len(poses) != count:
            return detections, None
        joints = sv.KeyPoints(
            xy=np.array([pose.keypoints for pose in poses], np.float32),
            keypoint_confidence=np.array([pose.keypoint_scores for pose in poses], np.float32),
            class_id=np.zeros(count, int),
        )
        return detections, joints

    def _masks(self) -> np.ndarray:
        width, height = self.size
        masks = np.zeros((len(self.persons), height, width), bool)
        for mask, person in zip(masks, self.persons, strict=True):
            if person.parsing is not None:
                box = person.parsing.part_box
                mask[box["ymin"] : box["ymax"], box["xmin"] : box["xmax"]] = np.asarray(person.parsing.part_map) > 0
        return masks

    def part_map(self) -> Image.Image:
        """The parts of all persons as one picture of label ids with a palette; the first person lies on top."""
        from hulk_hf.drawing import part_palette

        width, height = self.size
        ids = np.zeros((height, width), np.uint8)
        for person in reversed(self.persons):
            if person.parsing is None:
                raise ValueError("part_map: no parts were asked for; add 'parsing' to `task`")
            box = person.parsing.part_box
            window = ids[box["ymin"] : box["ymax"], box["xmin"] : box["xmax"]]
            part = np.asarray(person.parsing.part_map)
            np.copyto(window, part, where=part > 0)
        picture = Image.fromarray(ids, mode="P")
        picture.putpalette(part_palette().flatten().tolist())
        return picture

    def plot(self, threshold: float = 0.2, smallest_side: int = 640) -> Image.Image:
        """Everything that was found, drawn onto a copy of the picture.

        Args:
            threshold: Joints with a lower score are left out.
            smallest_side: Smaller pictures are enlarged to this before, so that lines and words are fine.
        """
        from hulk_hf.drawing import draw_result

        return draw_result(self, threshold, smallest_side)

    annotate = plot

    def save(self, path: str | Path, kind: str | None = None) -> Path:
        """Write the result into a file.

        Args:
            path: The ending says what is written, unless `kind` does: `.png` or `.jpg` the drawn picture, `.json`
                everything, `.obj`, `.ply` or `.glb` the meshes.
            kind: `picture`, `json`, `coco` (the results format of COCO: keypoints, or boxes without a pose), `parts`
                (PNG of label ids with a palette) or `mesh`.

        Returns:
            The path.

        Raises:
            ValueError: Nothing can be written under that ending, or what it needs was not asked for.
            OSError: The file cannot be written; an earlier one of the name is still there.
        """
        from hulk_hf.result_files import save_result

        return save_result(self, Path(path), kind)


__all__ = [
    "RECORDS",
    "Action",
    "Attributes",
    "Caption",
    "ImageResult",
    "Mesh",
    "Parsing",
    "Person",
    "Pose",
]
