# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Clips of moving people: the same everywhere, as unreliable as a detector, and different from action to action."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hulk_hf.synthetic import motion
from hulk_hf.synthetic.actions import ACTIONS, PAIR_ACTIONS, SINGLE_ACTIONS, again, keys, once, stand, to_and_fro
from hulk_hf.synthetic.body import forward_kinematics, skin
from hulk_hf.synthetic.dataset import sample_seed
from hulk_hf.synthetic.motion import (
    LONGEST,
    SHORTEST,
    VIEW,
    build_clip_dataset,
    clip_features,
    detect,
    meet,
    sample_clip,
    sample_clip_arrays,
    turned,
)
from hulk_hf.synthetic.splits import split_of_band
from hulk_hf.synthetic.tracks import LEFT, RIGHT, perform, sample_actor

SECONDS = np.arange(60) / 20
ANKLES = (15, 16)


def play(action: str, seed: int = 0) -> np.ndarray:
    """Keypoints (60, 17, 3) of one person."""
    rng = np.random.default_rng(seed)
    return perform(sample_actor(rng, "train"), SINGLE_ACTIONS[action](rng, SECONDS)).keypoints


def test_to_and_fro_turns_round_in_time_and_keeps_the_way() -> None:
    seconds = np.arange(0, 12, 0.01)
    heading = to_and_fro(seconds, period=3.0, turn=0.5)
    assert (heading[seconds < 2.49] == 0).all() and np.allclose(heading[(seconds > 3.01) & (seconds < 5.49)], np.pi)
    assert np.allclose(heading[(seconds > 6.01) & (seconds < 8.49)], 0)
    assert np.abs(np.diff(heading)).max() < 0.1 and heading.min() >= 0 and heading.max() <= np.pi


def test_some_who_walk_turn_round() -> None:
    ahead = []  # metres between the farthest places of a walk, over metres walked
    for seed in range(40):
        rng = np.random.default_rng(seed)
        root = perform(sample_actor(rng, "train"), SINGLE_ACTIONS["walking"](rng, np.arange(120) / 15)).root[:, :2]
        way = np.linalg.norm(np.diff(root, axis=0), axis=1).sum()
        ahead.append(np.linalg.norm(np.ptp(root, axis=0)) / way)
    assert 0.25 < np.mean(np.array(ahead) < 0.6) < 0.75


@pytest.fixture(scope="module")
def clips() -> dict[str, list[dict]]:
    return {split: [sample_clip(n, split) for n in range(count)] for split, count in (("train", 460), ("test", 115))}


def test_format(clips: dict[str, list[dict]]) -> None:
    for clip in clips["train"]:
        keypoints = clip["keypoints"]
        assert keypoints.dtype == np.float32 and np.isfinite(keypoints).all()
        assert keypoints.shape[0] == 2 and keypoints.shape[2:] == (17, 3)
        assert ACTIONS[clip["label"]] == clip["action"]
        x, y, score = np.moveaxis(keypoints, -1, 0)
        assert score.min() >= 0 and score.max() <= 1
        assert (keypoints[score == 0] == 0).all()
        assert x.min() >= 0 and x.max() < VIEW[0] and y.min() >= 0 and y.max() < VIEW[1]
    lengths = {clip["keypoints"].shape[1] for clip in clips["train"]}
    assert min(lengths) >= SHORTEST == 30 and max(lengths) <= LONGEST == 120 and len(lengths) > 60
    assert len(ACTIONS) >= 16 and {clip["action"] for clip in clips["train"]} == set(ACTIONS)


def test_same_arguments_same_clip(clips: dict[str, list[dict]]) -> None:
    for number in (41, 5):
        for key, value in sample_clip(number, "test").items():
            np.testing.assert_array_equal(value, clips["test"][number][key])


def test_splits_and_numbers_differ() -> None:
    drawn = [sample_clip(3, split)["keypoints"] for split in ("train", "validation", "test")]
    drawn.append(sample_clip(4)["keypoints"])
    for i, first in enumerate(drawn):
        assert all(first.shape != other.shape or (first != other).any() for other in drawn[i + 1 :])
    with pytest.raises(ValueError, match="train, validation, test"):
        sample_clip(0, "dev")


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_bodies_and_directions_are_those_of_the_split(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    banks, angles = [], []

    def actor(rng, bank):
        banks.append(bank)
        return sample_actor(rng, bank)

    def turn(points, angle, shift):
        angles.append(angle)
        return turned(points, angle, shift)

    monkeypatch.setattr(motion, "sample_actor", actor)
    monkeypatch.setattr(motion, "turned", turn)
    monkeypatch.setattr(motion, "_BYSTANDER_SHARE", 0.0)
    for number in range(30):
        sample_clip(number, split)
    directions = [angle for angle in angles if angle != np.pi]  # by half a turn people are made to face each other
    assert set(banks) == {split} and len(directions) >= 30
    assert {split_of_band(angle / (2 * np.pi), 64) for angle in directions} == {split}


def test_joints_get_lost_and_others_stand_by(clips: dict[str, list[dict]]) -> None:
    people = [person for clip in clips["train"] for person in clip["keypoints"][: clip["persons"]]]
    missing = np.array([(person[..., 2] == 0).mean() for person in people])
    assert 0.03 < missing.mean() < 0.2 and missing.min() < 0.02
    assert np.mean([(person[..., 2] == 0).all(axis=1).any() for person in people]) > 0.3  # whole frames
    alone = [clip["persons"] for clip in clips["train"] if clip["action"] in SINGLE_ACTIONS]
    assert 0.04 < np.mean(np.array(alone) == 2) < 0.25


def test_actions_of_two_show_two(clips: dict[str, list[dict]]) -> None:
    pairs = [clip for split in clips.values() for clip in split if clip["action"] in PAIR_ACTIONS]
    assert len(pairs) > 50
    for clip in pairs:
        assert clip["persons"] == 2
        assert ((clip["keypoints"][..., 2] > 0).mean(axis=(1, 2)) > 0.3).all()
    for clip in clips["train"]:
        assert clip["persons"] == 2 or not clip["keypoints"][1].any()


def describe(clip: dict) -> np.ndarray:
    """Where the joints are around the hips, how far they move and how that changes, (2 * 17 * 8,)."""
    rows = []
    for person in clip["keypoints"].astype(np.float64):
        seen = person[..., 2] > 0.05
        if seen.mean() < 0.1:
            rows.append(np.zeros(17 * 8))
            continue
        points = np.ma.masked_array(person[..., :2], np.repeat(~seen[..., None], 2, axis=2))
        points = (points - points[:, 11:13].mean(axis=(0, 1))) / points[..., 1].std()
        speed = np.abs(np.diff(points, axis=0)).mean(axis=0)
        change = points[-10:].mean(axis=0) - points[:10].mean(axis=0)
        parts = (points.mean(axis=0), points.std(axis=0), speed, change)
        rows.append(np.concatenate([np.ma.filled(part, 0).ravel() for part in parts]))
    return np.concatenate(rows)


def test_actions_differ_for_a_simple_classifier(clips: dict[str, list[dict]]) -> None:
    """Nearest mean of the training clips of an action, for people and directions they don't hold; chance is 4 %."""
    train, test = (np.array([describe(clip) for clip in clips[split]]) for split in ("train", "test"))
    labels, truth = (np.array([clip["label"] for clip in clips[split]]) for split in ("train", "test"))
    mean, spread = train.mean(axis=0), train.std(axis=0) + 1e-3
    train, test = (np.clip((values - mean) / spread, -4, 4) for values in (train, test))
    means = np.array([train[labels == label].mean(axis=0) for label in range(len(ACTIONS))])
    found = ((test[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (found == truth).mean() > 0.45


@pytest.mark.parametrize("action", SINGLE_ACTIONS)
def test_people_move_like_people(action: str) -> None:
    for seed in range(3):
        points = play(action, seed)
        assert np.isfinite(points).all()
        speed = np.linalg.norm(np.diff(points, axis=0), axis=2) * 20
        assert speed.max() < 14  # metres per second
        lowest = points[..., 2].min(axis=1)  # joints are some centimetres inside the body
        assert lowest.min() > 0.0
        if action not in ("jumping", "doing jumping jacks", "running", "falling down"):
            assert lowest.max() < 0.2


@pytest.mark.parametrize("action", ["standing", "waving", "squatting", "bowing", "clapping", "drinking"])
def test_feet_that_stand_do_not_slide(action: str) -> None:
    ankles = play(action, 1)[:, list(ANKLES), :2]
    assert np.ptp(ankles, axis=0).max() < 0.12


def test_walking_goes_forward_on_feet_that_stay() -> None:
    for seed in range(3):
        points = play("walking", seed)
        hips = points[:, 11:13].mean(axis=1)
        # Along the way, as some turn round on it.
        way = np.linalg.norm(np.diff(hips[::10, :2], axis=0), axis=1).sum() / 2.5
        assert 0.4 < way < 2.2  # metres per second
        ankles = np.linalg.norm(np.diff(points[:, list(ANKLES), :2], axis=0), axis=2) * 20
        assert np.median(ankles.min(axis=1)) < 0.35 * way  # one foot or the other is on the ground
        assert hips[10, 1] < hips[0, 1]  # people look along -y when they set out


def test_jumping_leaves_the_ground_and_comes_back() -> None:
    height = play("jumping", 2)[:, list(ANKLES), 2].min(axis=1)
    assert height.max() - height.min() > 0.15
    assert (height < height.min() + 0.06).mean() > 0.3


def test_sitting_down_is_standing_up_backwards() -> None:
    down, up = (play(action)[:, 11:13, 2].mean(axis=1) for action in ("sitting down", "standing up"))
    assert down[0] > down[-1] + 0.25 and up[-1] > up[0] + 0.25


@pytest.mark.parametrize("action", ["throwing", "falling down", "sitting down"])
def test_points_are_those_of_the_skin_and_that_is_on_the_ground(action: str) -> None:
    rng = np.random.default_rng(3)
    actor = sample_actor(rng, "validation")
    moved = perform(actor, SINGLE_ACTIONS[action](rng, SECONDS))
    body = actor.body
    rest, heads = body.shape(actor.coefficients)
    np.testing.assert_allclose(heads, actor.heads, atol=1e-5)
    for frame in (0, 20, 31, 40, 59):
        rotations, translations, _ = forward_kinematics(moved.local[frame], actor.heads, body.bone_parents)
        posed = skin(rest, body.skin_weights, body.skin_bones, rotations, translations) + moved.root[frame]
        np.testing.assert_allclose(moved.keypoints[frame], body.keypoints(posed), atol=1e-4)
        assert abs(posed[body.mesh_vertices["body"], 2].min()) < 0.03


@pytest.mark.parametrize("action", PAIR_ACTIONS)
def test_two_people_face_each_other_and_meet(action: str) -> None:
    rng = np.random.default_rng(2)
    meeting = PAIR_ACTIONS[action](rng, SECONDS)
    first, second = (perform(sample_actor(rng, "train"), track).keypoints for track in meeting.tracks)
    second = meet(first, second, meeting)
    across = [points[meeting.frame, 5] - points[meeting.frame, 6] for points in (first, second)]
    assert across[0][:2] @ across[1][:2] < 0  # one's left is the other's right
    between = np.linalg.norm(first[:, 5:7, :2].mean(axis=1) - second[:, 5:7, :2].mean(axis=1), axis=1)
    assert 0.15 < between[meeting.frame] < 1.4
    places = {"chest": (5, 6), "hands": (9, 10), "hand_left": (9,), "hand_right": (10,)}
    ends = [
        points[meeting.frame, list(places[end]), :2].mean(axis=0)
        for points, end in zip((first, second), meeting.ends, strict=True)
    ]
    assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(meeting.gap, abs=1e-4)


def test_detections_jitter_around_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = play("standing")
    pixels = np.stack([320 + 150 * truth[..., 0], 400 - 150 * truth[..., 2]], axis=2)
    swaps, errors = [], []
    for _ in range(40):
        found = detect(rng, pixels, truth[..., 1])
        seen = found[..., 2] > 0
        distance = np.linalg.norm(found[..., :2] - pixels, axis=2)
        errors.append(np.median(distance[seen]))
        wrists = seen[:, 9] & seen[:, 10]
        nearer = np.linalg.norm(found[:, 9, :2] - pixels[:, 10], axis=1) < distance[:, 9]
        swaps.append(nearer[wrists].mean())
    assert 0.3 < np.mean(errors) < 12 and np.max(errors) > 2 * np.min(errors)
    assert 0.0005 < np.mean(swaps) < 0.08  # left and right, now and then


def test_detections_outside_the_view_are_missing() -> None:
    pixels = np.tile(np.linspace(-300, 900, 17)[None, :, None], (30, 1, 2))
    found = detect(np.random.default_rng(0), pixels, np.zeros((30, 17)))
    assert not found[:, 0].any() and not found[:, -1].any() and found[:, 7].any()


def test_key_frames() -> None:
    u = np.array([-1, 0, 0.25, 0.5, 2])
    np.testing.assert_allclose(keys(u, (0, 1.0), (0.5, 3.0), (1, 0.0)), [1, 1, 2, 3, 0])
    places = keys(u, (0, (0, 0, 1)), (0.5, (2, 0, 0)))
    np.testing.assert_allclose(places, [[0, 0, 1], [0, 0, 1], [1, 0, 0.5], [2, 0, 0], [2, 0, 0]])


@pytest.mark.parametrize("seconds", [1.0, 4.0])
def test_something_happens_in_every_clip(seconds: float) -> None:
    rng = np.random.default_rng(0)
    t = np.linspace(0, seconds, 40)
    for _ in range(50):
        u = once(rng, t, 0.8, 3.0)
        assert u[0] == 0 and u[-1] == 1 and (np.diff(u) >= 0).all()
        repeated = again(rng, t, 0.8, 3.0)
        assert repeated.min() < 0.2 and repeated.max() > 0.8


def test_a_wrist_goes_as_far_as_its_weight() -> None:
    track = stand(np.random.default_rng(0), SECONDS)
    before = track.arms.copy()
    track.arm(RIGHT, (0.5, 0.5, 0.5), 0.2, np.linspace(0, 1, 60))
    np.testing.assert_allclose(track.arms[-1, RIGHT], [0.5, 0.5, 0.5, 0.2])
    np.testing.assert_array_equal(track.arms[0], before[0])
    np.testing.assert_array_equal(track.arms[:, LEFT], before[:, LEFT])


def test_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = sample_clip_arrays("validation", 4, 2, tmp_path, progress=False)
    assert len(arrays) == 4 and arrays.keypoints.shape == (4, 2, LONGEST, 17, 3)
    for index in range(4):
        clip = sample_clip(sample_seed(index, 2), "validation")
        keypoints, label = arrays.clip(index)
        assert label == clip["label"] and keypoints.shape == clip["keypoints"].shape
        np.testing.assert_allclose(keypoints, clip["keypoints"], atol=0.26)
        assert not arrays.keypoints[index, :, arrays.lengths[index] :].any()

    def fail(*_: object) -> dict:
        raise RuntimeError("no drawing now")

    monkeypatch.setattr(motion, "sample_clip", fail)
    again_opened = sample_clip_arrays("validation", 4, 2, tmp_path, progress=False)
    np.testing.assert_array_equal(again_opened.keypoints, arrays.keypoints)
    with pytest.raises(RuntimeError, match="no drawing now"):
        sample_clip_arrays("validation", 5, 2, tmp_path, progress=False)
    assert len(list(tmp_path.iterdir())) == 1  # nothing unfinished is left


def test_datasets_source(tmp_path: Path) -> None:
    built = build_clip_dataset("train", 3, seed=1, cache_dir=str(tmp_path))
    assert built.features == clip_features() and len(built) == 3
    for index, row in enumerate(built):
        clip = sample_clip(sample_seed(index, 1))
        assert row["label"] == clip["label"] and row["num_frames"] == clip["keypoints"].shape[1]
        assert row["shape"] == [clip["persons"], row["num_frames"], 17, 2]
        places = np.float32(row["keypoints"]).reshape(row["shape"])
        np.testing.assert_array_equal(places, clip["keypoints"][: clip["persons"], ..., :2])
        np.testing.assert_array_equal(
            np.float32(row["scores"]).reshape(row["shape"][:3]), clip["keypoints"][: clip["persons"], ..., 2]
        )
