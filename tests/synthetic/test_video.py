# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Videos of several people: the same people in every frame, on the ground, where boxes and keypoints say."""

from __future__ import annotations

import numpy as np
import pytest

from hulk_hf.synthetic.video import VideoScene, render_clip

SIZE = (120, 214)
ACTIONS = ("walking", "waving", "jumping")


@pytest.fixture(scope="module")
def clip() -> dict:
    return render_clip(3, "train", ACTIONS, num_frames=40, frame_rate=10, size=SIZE)


def test_format(clip: dict) -> None:
    assert clip["frames"].shape == (40, *SIZE, 3) and clip["frames"].dtype == np.uint8
    assert clip["boxes"].shape == (40, 3, 4) and clip["visibility"].shape == (40, 3)
    assert clip["keypoints"].shape == (40, 3, 17, 3)
    assert clip["ids"].tolist() == [1, 2, 3] and clip["actions"] == list(ACTIONS) and clip["frame_rate"] == 10
    assert clip["visibility"].min() >= 0 and clip["visibility"].max() == 1


def test_frames_can_be_drawn_one_by_one(clip: dict) -> None:
    scene = VideoScene(3, "train", ACTIONS, 40, 10, SIZE)
    assert len(scene) == 40
    for index in (7, 0):
        np.testing.assert_array_equal(scene.frame(index)["image"], clip["frames"][index])
    np.testing.assert_array_equal(next(iter(scene))["boxes"], clip["boxes"][0])
    other = VideoScene(4, "train", ACTIONS, 40, 10, SIZE).frame(0)["image"]
    assert (other != clip["frames"][0]).any()


def test_nothing_changes_but_people_and_their_shadows(clip: dict) -> None:
    still = (np.ptp(clip["frames"].astype(int), axis=0) == 0).all(axis=2)
    assert still.mean() > 0.4
    changed = (clip["frames"][:-1] != clip["frames"][1:]).any(axis=(1, 2, 3))
    assert changed.all()


def test_people_are_where_the_boxes_are(clip: dict) -> None:
    """In the boxes much differs from what the same place shows at other times; above the people, nothing."""
    usual = np.median(clip["frames"], axis=0)
    for frame, boxes in zip(clip["frames"], clip["boxes"], strict=True):
        x, y, w, h = boxes[0].round().astype(int)  # who walks
        inside = np.abs(frame - usual)[max(y, 0) : y + h, max(x, 0) : x + w]
        if inside.size:
            assert (inside.max(axis=2) > 12).mean() > 0.15
    top = int(np.floor(clip["boxes"][..., 1].min())) - 1
    assert top > 5 and (np.ptp(clip["frames"][:, :top].astype(int), axis=0) == 0).all()


def test_keypoints_lie_in_their_boxes(clip: dict) -> None:
    points, seen = clip["keypoints"][..., :2], clip["keypoints"][..., 2] > 0
    low, high = clip["boxes"][:, :, None, :2], clip["boxes"][:, :, None, :2] + clip["boxes"][:, :, None, 2:]
    inside = ((points > low - 2) & (points < high + 2)).all(axis=3)
    assert seen.mean() > 0.9 and inside[seen].all()


def test_tracks_are_smooth_and_feet_stay_on_the_ground(clip: dict) -> None:
    hips = clip["keypoints"][:, :, 11:13, :2].mean(axis=2)
    metre = np.median(clip["boxes"][:, 1, 3]) / 1.7
    assert np.linalg.norm(np.diff(hips, axis=0), axis=2).max() < 0.4 * metre  # four metres per second
    bottom = clip["boxes"][..., 1] + clip["boxes"][..., 3]
    assert np.ptp(bottom[:, 1]) < 1.5  # who waves stays where it stands
    assert np.ptp(bottom[:, 2]) > 6  # who jumps leaves the ground
    assert np.ptp(hips[:, 0, 0]) > 40  # who walks gets somewhere


def test_who_is_in_front_hides_who_is_behind() -> None:
    """One walks past three who stand side by side; whoever is nearer is seen whole."""
    scene = VideoScene(1, "train", ("walking", "standing", "standing", "standing"), 60, 6, SIZE)
    frames = [scene.frame(index) for index in range(0, 60, 2)]
    shares = np.array([frame["visibility"] for frame in frames])
    assert shares.min() < 0.9
    for frame, row in zip(frames, shares, strict=True):
        hidden = row < 0.9
        bottoms = frame["boxes"][:, 1] + frame["boxes"][:, 3]
        assert not hidden.all() and bottoms[~hidden].max() >= bottoms[hidden].max(initial=0)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="actions must be one to eight of standing"):
        VideoScene(0, actions=("walking", "flying"))
    with pytest.raises(ValueError, match="num_frames must be >= 2"):
        VideoScene(0, num_frames=1)
