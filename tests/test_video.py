# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Videos: three people who walk, wave and jump keep their numbers; a killed run ends with the same file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

import hulk_hf
from hulk_hf.results import Person, Pose
from hulk_hf.synthetic.video import VideoScene
from hulk_hf.video import VideoAnalysis, VideoOptions, _skeleton, predict_video
from hulk_hf.video_files import VideoFrames, VideoWriter

FRAMES, RATE, SIZE = 48, 12.0, (180, 320)

RUN = """
import json, sys, time
import hulk_hf
from hulk_hf.video import predict_video
truth = json.load(open(sys.argv[2]))
state = {"index": int(sys.argv[4])}

def detector(image):
    boxes = truth[min(state["index"], len(truth) - 1)]
    state["index"] += 4
    return [{"box": dict(zip(("xmin", "ymin", "xmax", "ymax"), box)), "score": 0.9} for box in boxes]

predictor = hulk_hf.Predictor("pose", detector=detector)
predict_video(sys.argv[1], predictor, sys.argv[3], every=4, smooth=True, progress=False, save=True)
"""


@pytest.fixture(scope="module")
def scene() -> VideoScene:
    return VideoScene(1, "test", num_frames=FRAMES, frame_rate=RATE, size=SIZE)


@pytest.fixture(scope="module")
def film(scene, tmp_path_factory):
    """The video as a file, and the true boxes (xyxy) and numbers of its frames."""
    path = tmp_path_factory.mktemp("film") / "three.mp4"
    return path, record(scene, path)


def record(scene: VideoScene, path) -> list[dict]:
    """Write a video; what is known of its frames."""
    truth = []
    with VideoWriter(path, scene.frame_rate) as writer:
        for frame in scene:
            writer.write(frame["image"])
            truth.append(xyxy(frame))
    return truth


def xyxy(frame: dict) -> dict:
    """What is known of a frame, boxes as corners."""
    boxes = np.asarray(frame["boxes"], float).copy()
    boxes[:, 2:] += boxes[:, :2]
    return {"boxes": boxes, "ids": list(frame["ids"]), "visibility": np.asarray(frame["visibility"])}


class TrueBoxes:
    """A detector that knows the truth of every n-th frame, and is off by a pixel or so."""

    def __init__(self, truth, every: int):
        self.frames = iter(truth[::every])
        self.random = np.random.default_rng(0)

    def __call__(self, image):
        frame = next(self.frames)
        seen = frame["visibility"] > 0.3
        return frame["boxes"][seen] + self.random.normal(0, 1, (int(seen.sum()), 4))


class Standing:
    """Stands in for the network: a pose whose joints say where the box is, and how many passes there were."""

    families = {"pose": "pose"}
    device = None

    def __init__(self, detector):
        self.detector = detector
        config = hulk_hf.HulkConfig.from_pretrained(hulk_hf.BUNDLED_CHECKPOINT)
        self.tasks = self.tasks_by_family = {"pose": config.task("pose")}

    def persons(self, items, **options):
        for item in items:
            persons = []
            for box in item["boxes"]:
                place = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
                labels = list(self.tasks["pose"].labels)
                persons.append(Person(tuple(box), pose=Pose([place] * 17, [0.9] * 17, labels, 0.9)))
            yield hulk_hf.ImageResult(persons, item["image"].size, picture=item["image"])


def test_frames_and_back(film):
    path, truth = film
    frames = VideoFrames(path)
    assert frames.size == (320, 180) and frames.fps == pytest.approx(RATE) and frames.count == FRAMES
    read = list(frames.frames())
    assert len(read) == FRAMES and read[0].shape == (180, 320, 3)
    later = list(frames.frames(40))
    assert len(later) == FRAMES - 40 and np.array_equal(later[0], read[40])


def test_colours_survive(tmp_path):
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 220
    with VideoWriter(tmp_path / "red.mp4", 10) as writer:
        for _ in range(5):
            writer.write(red)
    frame = next(iter(VideoFrames(tmp_path / "red.mp4").frames()))
    assert frame[..., 0].mean() > 180 and frame[..., 2].mean() < 40


@pytest.mark.parametrize("number", [0, 2])
def test_tracks_keep_their_identity(number, tmp_path):
    scene = VideoScene(number, "test", num_frames=75, frame_rate=15.0, size=SIZE)
    truth = record(scene, tmp_path / "film.mp4")
    owners: dict[int, Counter] = {}
    frames = list(VideoAnalysis(tmp_path / "film.mp4", Standing(TrueBoxes(truth, 5))))
    assert [frame.index for frame in frames] == list(range(75)) and frames[30].time == pytest.approx(2.0)
    for frame in frames[::5]:  # where persons are searched for: between, boxes of two who pass lie too near to tell
        true = truth[frame.index]
        for person in frame:
            distances = np.abs(true["boxes"] - np.array(person.box)).sum(1)
            owners.setdefault(person.id, Counter())[true["ids"][int(distances.argmin())]] += 1
    assert sorted(counts.most_common(1)[0][0] for counts in owners.values()) == sorted(truth[0]["ids"]), owners
    # One track per person from the first frame to the last. While somebody walks right in front of another, the two
    # boxes are nearly one, and the nearest true one may be the other's.
    assert all(max(counts.values()) > 0.7 * sum(counts.values()) for counts in owners.values()), owners


def names_of_actions(scene: VideoScene, path) -> dict[str, Counter]:
    """Action -> what is said of who does it, frame by frame, by the bundled model with true boxes."""
    truth = record(scene, path)
    predictor = hulk_hf.Predictor("pose,action", detector=TrueBoxes(truth, 5))
    names: dict[int, Counter] = {}
    owners: dict[int, Counter] = {}
    for frame in VideoAnalysis(path, predictor):
        for person in frame:
            distances = np.abs(truth[frame.index]["boxes"] - np.array(person.box)).sum(1)
            owners.setdefault(person.id, Counter())[scene.actions[int(distances.argmin())]] += 1
            if person.action is not None:
                names.setdefault(person.id, Counter())[person.action.labels[0]] += 1
    said: dict[str, Counter] = {}
    for track, counts in names.items():
        said.setdefault(owners[track].most_common(1)[0][0], Counter()).update(counts)
    return said


def test_the_bundled_model_names_most_of_what_people_do(tmp_path):
    right = []
    for number in range(4):
        scene = VideoScene(number, "test", num_frames=90, frame_rate=15.0)
        for action, said in names_of_actions(scene, tmp_path / f"{number}.mp4").items():
            right.append((number, action, said.most_common(1)[0][0] == action))
    assert len(right) == 12, right
    # README's figure is 10; other processors round otherwise.
    assert sum(named for _, _, named in right) >= 9, right


def test_joints_outside_a_box_are_not_found_and_low_scores_do_not_count():
    places = [[50.0, 50.0], [104.0, 50.0], [106.0, 50.0], [50.0, -1.0], [20.0, 30.0]]
    pose = Pose(places, [0.2, 0.9, 0.9, 0.3, 0.0], [], 1.0)
    joints = _skeleton(pose, (0.0, 0.0, 100.0, 100.0))
    assert joints.tolist() == [[50, 50, 0.9], [104, 50, 0.9], [0, 0, 0], [50, -1, 0.9], [0, 0, 0]]


def test_lines_and_drawn_video(film, tmp_path):
    path, truth = film
    lines = predict_video(path, Standing(TrueBoxes(truth, 4)), tmp_path, every=4, save=True, progress=False)
    content = [json.loads(line) for line in lines.read_text().splitlines()]
    assert content[0]["video"] == "three.mp4" and content[-1] == {"frames": FRAMES} and len(content) == FRAMES + 2
    assert [("detections" in line) for line in content[1:6]] == [True, False, False, False, True]
    drawn = VideoFrames(tmp_path / "three.mp4")
    assert drawn.size == (320, 180) and sum(1 for _ in drawn.frames()) == FRAMES
    original = next(iter(VideoFrames(path).frames())).astype(int)
    assert np.abs(next(iter(drawn.frames())).astype(int) - original).max() > 60, "something is drawn"


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("cut", [1, 2, 9, 23, 30])
def test_a_cut_file_is_continued_to_the_same_lines(film, tmp_path, smooth, cut):
    path, truth = film
    every = 4
    whole = predict_video(
        path, Standing(TrueBoxes(truth, every)), tmp_path / "a", every=every, smooth=smooth, progress=False
    ).read_bytes()
    kept = whole.splitlines(keepends=True)[:cut]
    other = tmp_path / "b" / "three.jsonl"
    other.parent.mkdir()
    other.write_bytes(b"".join(kept) + b'{"frame": 9')  # the line that was being written
    done = (cut - 1) // every * every
    detector = TrueBoxes(truth, every)
    for _ in range(done // every):
        detector(None)
    predict_video(path, Standing(detector), tmp_path / "b", every=every, smooth=smooth, progress=False)
    assert other.read_bytes() == whole


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_files(film, tmp_path):
    path, truth = film
    boxes = tmp_path / "truth.json"
    boxes.write_text(json.dumps([frame["boxes"].tolist() for frame in truth]))

    def run(output, start):
        return [sys.executable, "-c", RUN, str(path), str(boxes), str(output), str(start)]

    subprocess.run(run(tmp_path / "whole", 0), check=True, capture_output=True)
    killed = subprocess.Popen(run(tmp_path / "killed", 0), stderr=subprocess.DEVNULL)
    lines = tmp_path / "killed" / "three.jsonl"
    limit = time.monotonic() + 120
    while time.monotonic() < limit and killed.poll() is None:
        if lines.is_file() and lines.read_bytes().count(b"\n") > 12:
            break
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = max(lines.read_bytes().count(b"\n") - 1, 0) // 4 * 4
    subprocess.run(run(tmp_path / "killed", done), check=True, capture_output=True)
    for name in ("three.jsonl", "three.mp4"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert sorted(os.listdir(tmp_path / "killed")) == ["three.jsonl", "three.mp4"]


# Bad input -----------------------------------------------------------------------------------------------------------


def test_videos_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match="source: no file"):
        VideoFrames(tmp_path / "nothing.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(ValueError, match=r"empty.mp4' \(0 bytes\) is no video that can be read, or has no frames"):
        VideoFrames(tmp_path / "empty.mp4")
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(ValueError, match="is no video that can be read"):
        VideoFrames(tmp_path / "text.mp4")


def test_a_frame_of_another_size(film):
    frames = VideoFrames(film[0])
    frames.size = (100, 50)  # as if the first frame had been smaller
    with pytest.raises(ValueError, match=r"frame 2 of .* is 320x180, the first one 100x50"):
        next(frames.frames(2))


def test_a_frame_of_another_size_keeps_what_was_done(film, tmp_path, monkeypatch):
    path, truth = film
    read = VideoFrames.frames

    def changing(self, start=0):
        for index, frame in enumerate(read(self, start), start):
            if index == 10:
                raise ValueError("source: frame 10 is 8x8, the first one 320x180")
            yield frame

    monkeypatch.setattr(VideoFrames, "frames", changing)
    with pytest.raises(ValueError, match=r"frame 10 .*; the \d+ frames before are in .*three.jsonl"):
        predict_video(path, Standing(TrueBoxes(truth, 4)), tmp_path, every=4, progress=False)
    assert (tmp_path / "three.jsonl").read_text().count('"frame"') >= 4


def test_lines_of_other_options_are_left_alone(film, tmp_path):
    path, truth = film
    predict_video(path, Standing(TrueBoxes(truth, 4)), tmp_path, every=4, progress=False)
    with pytest.raises(ValueError, match="is of another video or of other options"):
        predict_video(path, Standing(TrueBoxes(truth, 6)), tmp_path, every=6, progress=False)
    predict_video(path, Standing(TrueBoxes(truth, 6)), tmp_path, every=6, overwrite=True, progress=False)


def test_an_output_that_is_the_video(film):
    path, truth = film
    with pytest.raises(ValueError, match="holds the video itself"):
        predict_video(path, Standing(TrueBoxes(truth, 4)), path.parent, every=4, progress=False)


def test_options_and_tasks(film):
    path, _ = film
    with pytest.raises(ValueError, match="every: expected a positive number, got 0"):
        VideoOptions(every=0)
    other = Standing(None)
    other.families = {}
    with pytest.raises(ValueError, match="task: videos need a task about persons"):
        VideoAnalysis(path, other)


def test_a_writer_that_cannot_write(tmp_path):
    with (
        pytest.raises(OSError, match="cannot be written as video"),
        VideoWriter(tmp_path / "no" / "a.mp4", 5) as writer,
    ):
        writer.write(np.zeros((8, 8, 3), np.uint8))


def test_without_a_detector_the_frame_is_one_person(film):
    path, _ = film
    frame = next(iter(VideoAnalysis(path, Standing(None))))
    assert [person.id for person in frame] == [1] and frame[0].box == (0.0, 0.0, 320.0, 180.0)
