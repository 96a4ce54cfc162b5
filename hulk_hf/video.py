# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Videos: persons are found in every n-th frame, followed, looked at in batches, and named by what they do.

Memory does not grow with the length of a video. `predict_video` writes one line of JSON per frame; a run that was
interrupted reads what is there, repeats nothing of it and ends with the same file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from hulk_hf.modeling.person_detectors_hulk import HulkPersonDetector
from hulk_hf.modeling.skeleton_geometry_hulk import SCORE_FLOOR
from hulk_hf.prediction import Predictor
from hulk_hf.result_files import write_whole
from hulk_hf.results import Action, ImageResult, Person, Pose
from hulk_hf.tracks import Boxes, OneEuroFilter, SkeletonWindows, Tracker, between
from hulk_hf.video_files import VideoFrames, VideoWriter

_BEYOND_BOX = 0.05  # share of a box by which joints may lie outside it
_FOUND_SCORE = 0.9


@dataclass
class FrameResult(ImageResult):
    """The persons of one frame.

    Attributes:
        index: Number of the frame, from 0.
        time: Seconds from the start.
        detections: What the detector found here, (xmin, ymin, xmax, ymax, score) each; None between its frames.
        raw_keypoints: Number of the track -> its joints before they were smoothed.
    """

    index: int = 0
    time: float = 0.0
    detections: list[list[float]] | None = None
    raw_keypoints: dict[int, list[list[float]]] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, one line of the file."""
        content: dict[str, Any] = {"frame": self.index, "time": self.time}
        if self.detections is not None:
            content["detections"] = self.detections
        if self.raw_keypoints:
            content["raw_keypoints"] = {str(number): joints for number, joints in self.raw_keypoints.items()}
        content["persons"] = [person.to_dict() for person in self.persons]
        return content

    @classmethod
    def from_line(cls, content: Mapping[str, Any], like: FrameResult) -> FrameResult:
        """The frame of a line of the file; `like` gives what all frames have in common."""
        raw = {int(number): joints for number, joints in content.get("raw_keypoints", {}).items()}
        persons = [Person.from_dict(person) for person in content["persons"]]
        return replace(
            like,
            persons=persons,
            index=content["frame"],
            time=content["time"],
            detections=content.get("detections"),
            raw_keypoints=raw,
        )


@dataclass
class VideoOptions:
    """How a video is looked at.

    Attributes:
        every: Persons are looked for in every n-th frame; between, their boxes move evenly.
        detector_threshold: Least score of a person.
        smooth: Smooth the joints of each track (one-euro filter).
        action_window: Frames that `action` looks at.
        action_shortest: Frames a track must have before.
        batch_size: Persons per forward pass.
        options: Family -> options of its pipeline.

    Raises:
        ValueError: A number that is not positive.
    """

    every: int = 5
    detector_threshold: float = 0.5
    smooth: bool = False
    action_window: int = 64
    action_shortest: int = 16
    batch_size: int = 16
    options: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("every", "action_window", "action_shortest", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected a positive number, got {getattr(self, name)!r}")


class VideoAnalysis:
    """Goes through a video and gives a `FrameResult` per frame.

    >>> for frame in VideoAnalysis("dance.mp4", Predictor("pose", detector="hulk")):  # doctest: +SKIP
    ...     print(frame.time, [person.id for person in frame])

    Args:
        path: Of the video.
        predictor: What looks at persons; without a detector the whole frame is one person. With `action` beside
            `pose` the last frames of each track are named.
        options: See `VideoOptions`.

    Raises:
        ValueError: A video that cannot be read, or tasks that do not go together.
    """

    def __init__(self, path: str | Path, predictor: Predictor, options: VideoOptions | None = None):
        self.frames = VideoFrames(path)
        self.predictor = predictor
        self.options = options or VideoOptions()
        self._names_actions = "action" in predictor.tasks_by_family
        pose = predictor.tasks_by_family.get("pose")
        if not predictor.families:
            raise ValueError(f"task: videos need a task about persons, such as 'pose', got {list(predictor.tasks)}")
        self._detector = self._build_detector()
        rate = self.frames.fps / self.options.every
        self._tracker = None if self._detector is None else Tracker(rate, self.options.detector_threshold)
        self._filters: dict[int, OneEuroFilter] = {}
        joints = 0 if pose is None else pose.num_labels
        self._windows = SkeletonWindows(self.options.action_window, self.options.action_shortest, joints)
        self._actions: dict[int, Action] = {}
        self.like = FrameResult([], self.frames.size, str(path), dict(predictor.tasks_by_family))

    def _build_detector(self) -> HulkPersonDetector | None:
        detector = self.predictor.detector
        if detector is None:
            return None
        detector = self.predictor.own_detector if detector == "hulk" else detector
        return HulkPersonDetector(detector, self.options.detector_threshold, self.predictor.device)

    def __iter__(self) -> Iterator[FrameResult]:
        return self.run()

    def run(self, done: Iterator[FrameResult] | None = None) -> Iterator[FrameResult]:
        """Results of all frames, or of those after `done`.

        Args:
            done: Results of the first frames, a multiple of `every`, as an earlier pass gave them.
        """
        start = 0
        for frame in done or ():
            self._replay(frame)
            start = frame.index + 1
        every = self.options.every
        source = self.frames.frames(start)
        ahead = list(islice(source, 1))
        found = self._look(ahead)
        here = self._track(found)
        while ahead:
            # One frame more than the segment: the next one that is searched for persons.
            segment = ahead + list(islice(source, every))
            segment, ahead = segment[:every], segment[every:]
            found_next = self._look(ahead)
            after = self._track(found_next) if ahead else here
            yield from self._segment(start, segment, here, after, found)
            start += len(segment)
            here, found = after, found_next

    def _look(self, frames: list[np.ndarray]) -> list[list[float]] | None:
        """Detections of a frame, if there is one: (xmin, ymin, xmax, ymax, score) each."""
        if self._detector is None or not frames:
            return None
        boxes, scores = self._detector(torch.from_numpy(np.ascontiguousarray(frames[0])).permute(2, 0, 1))
        boxes[:, 2:] += boxes[:, :2]
        return [[*box, score] for box, score in zip(boxes.tolist(), scores.tolist(), strict=True)]

    def _track(self, detections: list[list[float]] | None) -> Boxes:
        """The numbered persons of a searched frame; each searched frame comes here once, in order."""
        if self._tracker is None:
            width, height = self.frames.size
            return {1: np.array([0.0, 0.0, width, height, 1.0])}
        rows = np.array(detections or [], np.float64).reshape(-1, 5)
        return self._tracker.update(rows[:, :4], rows[:, 4])

    def _segment(
        self,
        start: int,
        frames: list[np.ndarray],
        here: Boxes,
        after: Boxes,
        detections: list[list[float]] | None,
    ) -> Iterator[FrameResult]:
        """Results of a searched frame and those up to the next one, looked at together."""
        placed = [between(here, after, offset / self.options.every) for offset in range(len(frames))]
        numbers = [sorted(boxes) for boxes in placed]
        items = [
            {"image": Image.fromarray(np.ascontiguousarray(frame)), "boxes": [boxes[n][:4].tolist() for n in order]}
            for frame, boxes, order in zip(frames, placed, numbers, strict=True)
        ]
        results = self.predictor.persons(
            iter(items), box_format="xyxy", batch_size=self.options.batch_size, options=self.options.options or None
        )
        for offset, (result, order) in enumerate(zip(results, numbers, strict=True)):
            index = start + offset
            frame = replace(
                self.like,
                persons=result.persons,
                picture=result.picture,
                index=index,
                time=index / self.frames.fps,
                detections=detections if offset == 0 else None,
                raw_keypoints={},
            )
            for person, number in zip(frame.persons, order, strict=True):
                person.id = number
                person.score = float(placed[offset][number][4])
            if self.options.smooth:
                frame.raw_keypoints = {p.id: p.pose.keypoints for p in frame if p.id is not None and p.pose}
            self._remember(frame)
            if self._names_actions and offset == len(frames) - 1:
                self._name_actions()
            for person in frame:
                if person.id in self._actions:
                    person.action = self._actions[person.id]
            yield frame

    def _remember(self, frame: FrameResult) -> None:
        """Smooth the joints of a frame and add them to the skeletons of their tracks."""
        skeletons = {}
        for person in frame:
            if person.id is None or person.pose is None:
                continue
            if self.options.smooth:
                known = self._filters.setdefault(person.id, OneEuroFilter(self.frames.fps))
                raw = np.array(frame.raw_keypoints[person.id])
                smooth = known(raw, person.box[3] - person.box[1])
                person.pose = replace(person.pose, keypoints=smooth.tolist())
            skeletons[person.id] = _skeleton(person.pose, person.box)
        if self._names_actions:
            self._windows.add(skeletons)

    def _name_actions(self) -> None:
        clips = self._windows.clips()
        if clips:
            found = self.predictor.actions(list(clips.values()))
            self._actions |= dict(zip(clips, found, strict=True))

    def _replay(self, frame: FrameResult) -> None:
        """Bring tracker, filters and skeletons to where they were after a frame that is done already."""
        if frame.index % self.options.every == 0:
            self._track(frame.detections)
        for person in frame:
            if person.id in frame.raw_keypoints and person.pose is not None:
                person.pose = replace(person.pose, keypoints=frame.raw_keypoints[person.id])
        self._remember(frame)
        self._actions |= {p.id: p.action for p in frame if p.id is not None and p.action is not None}


def _skeleton(pose: Pose, box: Sequence[float]) -> np.ndarray:
    """Joints (K, 3) as action recognition knows them: x, y and a score, all 0 where a joint was not found.

    Those outside the box (xyxy) are mostly somebody else's. Skeletons of data sets have scores near 0.9 wherever a
    joint was found at all, while the peaks of a small network's heat maps are low: passed on, they would look like
    another kind of clip.
    """
    joints = np.array([[*place, 0.0] for place in pose.keypoints])
    low, high = np.array(box[:2]), np.array(box[2:])
    margin = _BEYOND_BOX * (high - low)
    inside = ((joints[:, :2] >= low - margin) & (joints[:, :2] <= high + margin)).all(axis=1)
    found = inside & (np.array(pose.keypoint_scores) > SCORE_FLOOR)
    joints[:, 2] = _FOUND_SCORE
    return joints * found[:, None]


def predict_video(
    path: str | Path,
    predictor: Predictor,
    output: str | Path,
    *,
    save: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    **options: Any,
) -> Path:
    """Look at a video and write `NAME.jsonl`, and `NAME.mp4` with everything drawn if wanted.

    The first line of the file holds the video, the tasks and the options, the last one the number of frames; between,
    there is one line per frame. Without the last line the run was interrupted, and the next call goes on.

    Args:
        path: Of the video.
        predictor: See `VideoAnalysis`.
        output: Folder of the results.
        save: Also write the drawn video.
        overwrite: Start over.
        progress: Show bars.
        options: Fields of `VideoOptions`.

    Returns:
        The path of the lines.

    Raises:
        ValueError: The video cannot be read to its end (what was done stays, and is named), or the folder holds lines
            of other options.
        OSError: Results cannot be written; what was done stays.
    """
    analysis = VideoAnalysis(path, predictor, VideoOptions(**options))
    folder, stem = Path(output), Path(path).stem
    lines = folder / f"{stem}.jsonl"
    drawn = folder / f"{stem}.mp4"
    if drawn.exists() and drawn.samefile(path):
        raise ValueError(f"output: {folder} holds the video itself, which would be overwritten; use another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if overwrite:
            lines.unlink(missing_ok=True)
            drawn.unlink(missing_ok=True)
        header = _header(analysis)
        if not _is_complete(lines, header):
            _write_lines(lines, header, analysis, progress)
        if save and not drawn.is_file():
            _draw(lines, drawn, analysis, progress)
    except OSError as error:
        raise OSError(f"output: {error}; what was done is in {lines}") from error
    return lines


def _header(analysis: VideoAnalysis) -> dict[str, Any]:
    width, height = analysis.frames.size
    return {
        "video": Path(analysis.frames.path).name,
        "size": {"width": width, "height": height},
        "fps": analysis.frames.fps,
        "tasks": {name: task.name for name, task in analysis.predictor.tasks.items()},
        "options": vars(analysis.options),
    }


def _read_lines(lines: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """The complete lines of a file with the place where each ends, in bytes."""
    place = 0
    with lines.open("rb") as stream:
        for line in stream:
            place += len(line)
            if not line.endswith(b"\n"):
                return
            yield json.loads(line), place


def _is_complete(lines: Path, header: dict[str, Any]) -> bool:
    """Whether all frames are there; ValueError if the lines are of another run."""
    if not lines.is_file():
        return False
    first = last = None
    for content, _ in _read_lines(lines):
        first = content if first is None else first
        last = content
    if first is not None and first != json.loads(json.dumps(header)):
        raise ValueError(
            f"output: {lines} is of another video or of other options ({first}); delete it, or say overwrite"
        )
    return last is not None and "frames" in last


def _write_lines(lines: Path, header: dict[str, Any], analysis: VideoAnalysis, progress: bool) -> None:
    every = analysis.options.every
    end = count = 0
    if lines.is_file():
        for number, (_, place) in enumerate(_read_lines(lines)):
            if number % every == 0:  # the header is line 0: after whole segments the next one can begin
                end, count = place, number
    done = _earlier(lines, count, analysis) if count else None
    with lines.open("r+b" if end else "wb") as stream:
        stream.truncate(end)
        stream.seek(end)
        if not end:
            stream.write(json.dumps(header).encode() + b"\n")
        bar = tqdm(total=analysis.frames.count or None, initial=count, unit="frame", disable=not progress)
        written = count
        try:
            for frame in analysis.run(done):
                stream.write(json.dumps(frame.to_dict(), allow_nan=False).encode() + b"\n")
                written += 1
                bar.update()
                if written % every == 0:
                    stream.flush()
        except ValueError as error:
            raise ValueError(f"{error}; the {written} frames before are in {lines}") from error
        finally:
            bar.close()
        stream.write(json.dumps({"frames": written}).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _earlier(lines: Path, count: int | None, analysis: VideoAnalysis) -> Iterator[FrameResult]:
    """The results of the first `count` frames, or of all."""
    for content, _ in islice(_read_lines(lines), 1, None if count is None else count + 1):
        if "frame" in content:
            yield FrameResult.from_line(content, analysis.like)


def _draw(lines: Path, drawn: Path, analysis: VideoAnalysis, progress: bool) -> None:
    """Write the video with everything drawn, from the lines: nothing is computed again."""

    def write(draft: Path) -> None:
        bar = tqdm(total=analysis.frames.count or None, unit="frame", desc="draw", disable=not progress)
        with VideoWriter(draft, analysis.frames.fps) as writer:
            for pixels, result in zip(analysis.frames.frames(), _earlier(lines, None, analysis), strict=False):
                result.picture = Image.fromarray(np.ascontiguousarray(pixels))
                writer.write(np.asarray(result.plot(smallest_side=1)))
                bar.update()
        bar.close()

    write_whole(drawn, write)


__all__ = ["FrameResult", "VideoAnalysis", "VideoOptions", "predict_video"]
