# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What is said about a rendered person agrees with the picture, and is the same everywhere."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from hulk_hf.synthetic.body import COCO_KEYPOINTS
from hulk_hf.synthetic.person import box_of_mask, render_person
from hulk_hf.synthetic.stances import STANCES
from hulk_hf.synthetic.textures import per_channel, per_pixel
from hulk_hf.synthetic.wardrobe import LIP_LABELS

LEFT, RIGHT = LIP_LABELS.index("left-arm"), LIP_LABELS.index("right-arm")
SLEEVES = {LIP_LABELS.index(name) for name in ("upper-clothes", "dress", "coat", "jumpsuits", "glove")}
HEAD = {LIP_LABELS.index(name) for name in ("face", "hair", "hat", "sunglasses")}


def test_channels_are_multiplied_as_numpy_would():
    random = np.random.default_rng(0)
    picture, per = random.random((7, 5, 3), np.float32), random.random((7, 5), np.float32)
    tone = random.random(3, np.float32)
    assert np.array_equal(picture * per_pixel(per), picture * per[..., None])
    assert np.array_equal(picture * per_pixel(per[:, ::-1]), picture * per[:, ::-1, None])
    assert np.array_equal(picture * per_channel(tone, 5), picture * tone)


def digest(sample: dict) -> str:
    """A hash of all arrays of a sample."""
    arrays = (sample[key] for key in ("image", "parts", "keypoints", "bbox"))
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def labels_around(sample: dict, name: str, radius: int = 2) -> set[int]:
    """Part labels in the neighbourhood of a keypoint, without the background."""
    x, y, _ = sample["keypoints"][COCO_KEYPOINTS.index(name)].round().astype(int)
    patch = sample["parts"][max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
    return set(np.unique(patch).tolist()) - {0}


def visible(sample: dict, *names: str) -> bool:
    """Whether all named keypoints are visible."""
    return all(sample["keypoints"][COCO_KEYPOINTS.index(name), 2] == 2 for name in names)


def test_layers_say_what_belongs_to_a_person_and_what_hides_it(people: list[dict]) -> None:
    carried = [(sample["layers"] == 1) & (sample["parts"] == 0) for sample in people]
    carriers = [mask.sum() > 50 for mask in carried]
    assert 0.1 < np.mean(carriers) < 0.9
    assert max(mask.mean() for mask in carried) < 0.3
    assert any((sample["layers"] == 2).any() for sample in people)
    assert not all((sample["layers"] == 2).any() for sample in people)
    assert all((sample["layers"] == 0).any() for sample in people)


def test_format(people: list[dict]) -> None:
    for sample in people:
        assert sample["image"].shape == (256, 192, 3) and sample["image"].dtype == np.uint8
        assert sample["parts"].shape == (256, 192) and sample["parts"].dtype == np.uint8
        assert sample["parts"].max() < len(LIP_LABELS)
        assert sample["keypoints"].shape == (17, 3) and sample["keypoints"].dtype == np.float32
        assert sample["area"] == (sample["parts"] > 0).sum() >= 0.01 * 256 * 192
        assert sample["stance"] in STANCES
        assert sample["image"].std() > 3  # a picture, not a plain colour
        assert sample["layers"].shape == (256, 192) and sample["layers"].dtype == np.uint8
        assert (sample["layers"][sample["parts"] > 0] == 1).all()


def test_same_arguments_same_bytes_here_and_elsewhere() -> None:
    here = [digest(render_person(seed, "validation")) for seed in (3, 4)]
    assert here == [digest(render_person(seed, "validation")) for seed in (3, 4)]
    assert here[0] != here[1]
    code = (
        "import hashlib, numpy as np; from hulk_hf.synthetic.person import render_person\n"
        "s = render_person(4, 'validation'); keys = ('image', 'parts', 'keypoints', 'bbox')\n"
        "print(hashlib.sha256(b''.join(np.ascontiguousarray(s[k]).tobytes() for k in keys)).hexdigest())"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert elsewhere.stdout.split()[-1] == here[1]


def test_other_sizes() -> None:
    small, wide = render_person(1, image_size=(128, 96)), render_person(1, image_size=(96, 300))
    assert small["image"].shape == (128, 96, 3) and wide["parts"].shape == (96, 300)
    with pytest.raises(ValueError, match="image_size"):
        render_person(1, image_size=(8, 8))


def test_box_is_tight(people: list[dict]) -> None:
    for sample in people:
        x, y, w, h = sample["bbox"].astype(int)
        mask = sample["parts"] > 0
        assert mask[y : y + h, x : x + w].sum() == mask.sum()
        for edge in (mask[y, :], mask[y + h - 1, :], mask[:, x], mask[:, x + w - 1]):
            assert edge.any()


def test_box_of_mask() -> None:
    mask = np.zeros((9, 9), bool)
    mask[2, 3] = mask[6, 5] = True
    np.testing.assert_array_equal(box_of_mask(mask), [3, 2, 3, 5])


def test_keypoints_outside_are_zero_and_the_others_inside(people: list[dict]) -> None:
    for sample in people:
        points, seen = sample["keypoints"][:, :2], sample["keypoints"][:, 2]
        assert set(np.unique(seen)) <= {0, 1, 2}
        assert (points[seen == 0] == 0).all()
        assert (points[seen > 0] >= -0.5).all() and (points[seen > 0] < [191.5, 255.5]).all()
    shares = np.mean([[(s["keypoints"][:, 2] == v).mean() for v in (0, 1, 2)] for s in people], axis=0)
    assert 0.03 < shares[0] < 0.35 and 0.1 < shares[1] < 0.5 and shares[2] > 0.45


def test_visible_keypoints_lie_on_the_person(people: list[dict]) -> None:
    on_person = [
        bool(labels_around(sample, name, 3)) for sample in people for name in COCO_KEYPOINTS if visible(sample, name)
    ]
    assert len(on_person) > 1000
    assert np.mean(on_person) > 0.98


def test_visible_joints_lie_on_their_part_and_side(people: list[dict]) -> None:
    sides, wrists, noses = [], [], []
    for sample in people:
        for name, own, other in (("left_wrist", LEFT, RIGHT), ("right_wrist", RIGHT, LEFT)):
            if visible(sample, name):
                labels = labels_around(sample, name)
                wrists.append(bool(labels & (SLEEVES | {own})))
                if labels & {own, other}:
                    sides.append(own in labels)
        if visible(sample, "nose"):
            noses.append(bool(labels_around(sample, "nose") & HEAD))
    assert len(sides) > 60 and len(noses) > 30
    assert np.mean(wrists) > 0.95
    assert np.mean(sides) > 0.95
    assert np.mean(noses) > 0.97


def test_left_eye_is_on_the_right_of_a_visible_face(people: list[dict]) -> None:
    """Turning from the left eye to the nose is clockwise in every picture, however the head is rolled."""
    turns = []
    for sample in people:
        if visible(sample, "nose", "left_eye", "right_eye"):
            nose, left, right = sample["keypoints"][:3, :2]
            across, down = left - right, nose - (left + right) / 2
            turns.append(across[0] * down[1] - across[1] * down[0] > 0)
    assert len(turns) > 20
    assert np.mean(turns) > 0.97


def test_people_differ(people: list[dict]) -> None:
    heights = np.array([sample["bbox"][3] for sample in people])
    assert heights.min() < 110 and heights.max() > 235
    assert len({sample["stance"] for sample in people}) >= 10
    seen = np.unique(np.concatenate([np.unique(sample["parts"]) for sample in people]))
    assert len(seen) >= 18  # nearly all labels come up
