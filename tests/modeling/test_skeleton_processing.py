# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Skeletons become what the network reads, whatever they come in, and logits become actions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoFeatureExtractor

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.modeling_action_hulk import HulkForActionRecognition
from hulk_hf.modeling.skeleton_geometry_hulk import (
    augment_skeletons,
    choose_persons,
    clip_from_detections,
    normalise_skeletons,
    rotate_skeletons,
    sample_frames,
    scale_skeletons,
)
from hulk_hf.modeling.skeleton_processing_hulk import HulkSkeletonProcessor
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

JOINTS = 17


def clip_of(persons: int = 2, frames: int = 40, joints: int = JOINTS, seed: int = 0) -> np.ndarray:
    """(M, T, V, 3) with some joints that are not seen."""
    random = np.random.default_rng(seed)
    places = random.uniform(0, 400, (persons, frames, joints, 2))
    scores = np.where(random.random((persons, frames, joints, 1)) < 0.1, 0.0, random.uniform(0.1, 1, 1))
    return np.concatenate([places, scores], axis=-1).astype(np.float32)


@pytest.fixture(scope="module")
def processor() -> HulkSkeletonProcessor:
    return HulkSkeletonProcessor()


# Geometry -----------------------------------------------------------------------------------------------------------


def test_normalisation_by_hand():
    keypoints = np.array([[[[10.0, 20.0], [110.0, 40.0], [60.0, 220.0], [np.nan, 9999.0]]]])
    scores = np.array([[[0.9, 0.5, 0.011, 0.01]]])
    expected = [[-1, -1, 0.9], [1, -0.8, 0.5], [0, 1, 0.011], [0, 0, 0.01]]
    np.testing.assert_allclose(normalise_skeletons(keypoints, scores)[0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("height", [0.0, 10.0])
def test_clips_that_are_flat_keep_their_pixels(height):
    keypoints = np.array([[[[10.0, 20.0], [110.0, 20.0 + height]]]])
    assert np.array_equal(normalise_skeletons(keypoints, np.ones((1, 1, 2)))[..., :2], keypoints)
    assert not normalise_skeletons(keypoints, np.full((1, 1, 2), 0.01))[..., :2].any()


def test_persons_and_frames_are_normalised_together():
    clip = clip_of(3, 7)
    seen = clip[..., 2] > 0.01
    ours = normalise_skeletons(clip[..., :2], clip[..., 2])
    for axis in (0, 1):
        np.testing.assert_allclose([ours[..., axis][seen].min(), ours[..., axis][seen].max()], [-1, 1], atol=1e-6)


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 9), st.integers(1, 4), st.booleans())
def test_frames_follow_each_other_and_stay_inside(num_frames, segments, run, clips, repeatable):
    seed, generator = (255, None) if repeatable else (None, np.random.RandomState(num_frames))
    frames = sample_frames(num_frames, segments, run, clips, seed, generator)
    assert frames.shape == (clips, segments * run) and frames.dtype == np.int64
    assert frames.min() >= 0 and frames.max() < num_frames
    starts = frames.reshape(clips, segments, run)
    expected = np.minimum(starts[..., :1] + np.arange(run), num_frames - 1)
    assert np.array_equal(starts, expected)
    starts = starts[..., 0]
    if num_frames < segments:
        assert ((np.diff(starts, axis=1) - 1) % num_frames == 0).all()
        if repeatable:
            assert starts[:, 0].tolist() == [clip * num_frames // clips for clip in range(clips)]
    elif num_frames < 2 * segments:
        assert (np.diff(starts, axis=1) >= 1).all()
    else:
        segment = np.searchsorted(np.arange(1, segments + 1) * num_frames // segments, starts, side="right")
        assert np.array_equal(segment, np.tile(np.arange(segments), (clips, 1)))


def test_seeded_frames_are_always_the_same_and_others_go_on():
    assert np.array_equal(sample_frames(90), sample_frames(90))
    assert not np.array_equal(sample_frames(90), sample_frames(90, seed=1))
    generator = np.random.RandomState(3)
    first, second = (sample_frames(90, seed=None, generator=generator) for _ in range(2))
    assert not np.array_equal(first, second)
    state = np.random.get_state()
    try:
        np.random.seed(3)
        drawn = [sample_frames(90, seed=None) for _ in range(2)]
    finally:
        np.random.set_state(state)
    assert np.array_equal(drawn, [first, second])


def test_several_samples_are_drawn_one_after_the_other():
    generator = np.random.RandomState(255)
    apart = [sample_frames(90, seed=None, generator=generator)[0] for _ in range(3)]
    assert np.array_equal(sample_frames(90, num_clips=3), apart)


def test_sampling_refuses():
    for name in ("num_frames", "segments", "frames_per_segment", "num_clips"):
        with pytest.raises(ValueError, match=f"`{name}` must be at least 1, got 0"):
            sample_frames(**{"num_frames": 9, name: 0})
    with pytest.raises(ValueError, match="`generator` must be None unless `seed` is None"):
        sample_frames(9, generator=np.random.RandomState(0))


def test_the_best_persons_remain_the_best_one_last():
    clip = np.zeros((5, 3, 2, 3), np.float32)
    for person, score in enumerate((0.2, 0.9, 0.1, 0.5, 0.3)):
        clip[person] = score
    assert np.unique(choose_persons(clip)[0]).tolist() == pytest.approx([0.5])
    assert np.unique(choose_persons(clip)[1]).tolist() == pytest.approx([0.9])
    alone = choose_persons(clip[:1])
    assert np.array_equal(alone[0], clip[0]) and not alone[1].any()
    assert np.array_equal(choose_persons(clip[:2]), clip[:2])  # two stay in their order
    assert choose_persons(clip, 4).shape[0] == 4 and choose_persons(clip[:0]).shape == (2, 3, 2, 3)


def test_lists_of_detections():
    keypoints = np.arange(5 * 2 * 3, dtype=np.float32).reshape(5, 2, 3)
    clip = clip_from_detections(keypoints, np.array([4, 2, 4, 4, 9]), np.array([0.3, 0.1, 0.9, 0.5, 0.7]))
    assert clip.shape == (2, 3, 2, 3)
    assert np.array_equal(clip[:, 0], keypoints[[1, 1]])
    assert np.array_equal(clip[:, 1], keypoints[[2, 3]])
    assert np.array_equal(clip[:, 2], keypoints[[4, 4]])


@given(st.lists(st.floats(-3.1, 3.1), min_size=3, max_size=3))
def test_rotation_and_back(angles):
    clip = clip_of(1, 3)
    clip[..., :2] /= 400
    turned = rotate_skeletons(clip, angles)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(clip, axis=-1), atol=1e-5)
    back = rotate_skeletons(
        rotate_skeletons(rotate_skeletons(turned, [0, 0, -angles[2]]), [0, -angles[1], 0]), [0, 0, 0]
    )
    np.testing.assert_allclose(rotate_skeletons(back, [-angles[0], 0, 0]), clip, atol=1e-5)


def test_mirrored_and_back():
    clip = clip_of()
    assert np.array_equal(scale_skeletons(scale_skeletons(clip, [-1, 1, 1]), [-1, 1, 1]), clip)


def test_variations_of_training():
    clip = normalise_skeletons(clip_of()[..., :2], clip_of()[..., 2])
    draw = np.random.RandomState(4)
    varied = augment_skeletons(clip, generator=np.random.RandomState(4))
    angles, factors = draw.uniform(-0.3, 0.3, 3), draw.uniform(0.75, 1.25, 3)
    signs = np.where(draw.uniform(size=2) < 0.5, -1, 1)
    expected = scale_skeletons(scale_skeletons(rotate_skeletons(clip, angles), factors), [*signs, 1])
    assert np.array_equal(varied, expected)
    assert np.array_equal(augment_skeletons(clip, 0, 0, 0), clip)
    flat = augment_skeletons(clip, planar=True, generator=np.random.RandomState(4))
    assert np.array_equal(flat[..., 2], clip[..., 2]) and not np.allclose(flat[..., :2], clip[..., :2])


# The processor ------------------------------------------------------------------------------------------------------


def records_of(clip: np.ndarray, identities: bool = True, scores: bool = True) -> list[list[dict]]:
    """A clip as what the pipeline human-pose says of its frames."""
    frames = []
    for row in range(clip.shape[1]):
        frame = []
        for person, joints in enumerate(clip[:, row]):
            record = {"keypoints": joints[:, :2].tolist(), "keypoint_scores": joints[:, 2].tolist(), "box": {}}
            record |= {"id": f"track {person}"} if identities else {}
            frame.append(record | ({"score": 1 - 0.1 * person} if scores else {}))
        frames.append(frame)
    return frames


def test_the_input_of_the_network_by_hand(processor):
    clip = clip_of(3, 60)
    ours = processor(clip, return_tensors="pt")["skeletons"]
    assert ours.shape == (1, 2, 3, 175, 17) and ours.dtype == torch.float32
    normalised = normalise_skeletons(clip[..., :2], clip[..., 2])[:, sample_frames(60)[0]]
    best = np.argsort(normalised[..., 2].sum(axis=(1, 2)))[1:]
    assert np.array_equal(ours[0].permute(0, 2, 3, 1), normalised[best])


@pytest.mark.parametrize("persons", [1, 2, 3, 5])
@pytest.mark.parametrize("frames", [1, 24, 25, 49, 50, 175, 400])
def test_any_number_of_persons_and_frames(processor, persons, frames):
    ours = processor(clip_of(persons, frames), num_clips=2, return_tensors="np")["skeletons"]
    assert ours.shape == (1, 2, 2, 3, 175, 17) and np.isfinite(ours).all()
    assert ours[:, :, 1].any() == (persons > 1)


def test_kinds_of_one_clip(processor):
    clip = clip_of()
    expected = processor(clip, return_tensors="np")["skeletons"]
    for kind in (
        torch.from_numpy(clip),
        clip.tolist(),
        [person.copy() for person in clip],
        {"keypoints": clip[..., :2], "scores": clip[..., 2]},
        {"keypoints": clip},
        {"keypoints": clip, "scores": None},
        records_of(clip),
        records_of(clip, identities=False),
        tuple(records_of(clip)),
        clip[None],
        [clip],
        [{"keypoints": clip}],
        [records_of(clip)],
    ):
        ours = processor(kind, return_tensors="np")["skeletons"]
        np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_without_scores_every_joint_is_seen_but_those_at_zero(processor):
    clip = clip_of()
    clip[..., 2] = 1
    clip[0, 3:9, 4] = 0
    ours = processor(clip[..., :2], return_tensors="np")["skeletons"]
    assert np.array_equal(ours, processor(clip, return_tensors="np")["skeletons"])


def test_who_leaves_and_comes_back_keeps_the_place():
    processor = HulkSkeletonProcessor(num_frames=6, frames_per_segment=1, num_joints=2)
    clip = clip_of(2, 6, 2)
    clip[..., 2] = 0.5
    clip[0, 2:4] = 0
    frames = records_of(clip)
    frames[2], frames[3] = frames[2][1:], frames[3][1:]
    frames[4].reverse()
    expected = processor(clip, return_tensors="np")["skeletons"]
    assert np.array_equal(processor(frames, return_tensors="np")["skeletons"], expected)
    by_rank = processor([[{**p, "id": None} for p in frame] for frame in frames], return_tensors="np")["skeletons"]
    assert not np.array_equal(by_rank, expected)


def test_frames_without_anybody_stay():
    processor = HulkSkeletonProcessor(num_frames=4, frames_per_segment=1, num_joints=2)
    clip = clip_of(1, 4, 2)
    clip[..., 2] = 0.5
    frames = records_of(clip)
    frames[1] = []
    clip[:, 1] = 0
    ours, expected = (processor(kind, return_tensors="np")["skeletons"] for kind in (frames, clip))
    assert np.array_equal(ours, expected)


def test_lists_of_detections_are_read(processor):
    random = np.random.default_rng(0)
    listed = {
        "keypoints": clip_of(1, 30)[0],
        "frames": np.sort(random.integers(0, 20, 30)),
        "box_scores": random.random(30),
    }
    clip = clip_from_detections(*listed.values())
    expected = processor(clip, return_tensors="np")["skeletons"]
    assert np.array_equal(processor(listed, return_tensors="np")["skeletons"], expected)
    assert np.array_equal(
        processor([listed, clip], return_tensors="np")["skeletons"], np.tile(expected, (2, 1, 1, 1, 1))
    )


def test_clips_of_a_list_do_not_see_each_other(processor):
    clips = [clip_of(1, 9, seed=1), clip_of(5, 200, seed=2), records_of(clip_of(2, 30, seed=3))]
    together = processor(clips, return_tensors="pt")["skeletons"]
    assert together.shape == (3, 2, 3, 175, 17)
    for row, clip in enumerate(clips):
        assert torch.equal(together[row : row + 1], processor(clip, return_tensors="pt")["skeletons"])
    assert processor([], return_tensors="pt")["skeletons"].shape == (0, 2, 3, 175, 17)
    assert [type(part) for part in processor(clips)["skeletons"]] == [np.ndarray] * 3


def test_random_sampling_draws_from_its_generator(processor):
    clip = clip_of(2, 90)
    drawn = [
        processor(clip, seed=None, generator=np.random.RandomState(seed), return_tensors="np")["skeletons"]
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])
    other = HulkSkeletonProcessor(seed=None)
    assert np.array_equal(other(clip, generator=np.random.RandomState(1), return_tensors="np")["skeletons"], drawn[0])


def test_training_varies_all_persons_and_samples_of_a_clip_alike():
    clip = clip_of(2, 90)
    plain = HulkSkeletonProcessor()(clip, num_clips=2, return_tensors="np")["skeletons"]
    varying = HulkSkeletonProcessor(scaling=0.25, flipping=1.0)
    varied = varying(clip, num_clips=2, generator=np.random.RandomState(0), return_tensors="np")["skeletons"]
    factors = np.random.RandomState(0).uniform(0.75, 1.25, 3) * [-1, -1, 1]
    np.testing.assert_allclose(varied, plain * factors[:, None, None], atol=1e-6)


def test_other_sizes():
    config = HulkConfig.preset(
        "hulk-tiny", tasks=["action-kinetics"], skeleton_config={"num_frames": 16, "num_joints": 5}
    )
    processor = HulkSkeletonProcessor.from_task(config.task(), config.skeleton_config)
    assert (processor.num_frames, processor.num_joints, processor.frames_per_segment) == (16, 5, 7)
    ours = processor(clip_of(1, 30, 5), return_tensors="np")["skeletons"]
    assert ours.shape == (1, 2, 3, 16, 5)
    with pytest.raises(ValueError, match="family 'action' for HulkSkeletonProcessor, got 'pose-coco'"):
        HulkSkeletonProcessor.from_task(KNOWN_TASKS["pose-coco"])


def test_labels(processor):
    clips = [clip_of(seed=seed) for seed in range(3)]
    names = list(KNOWN_TASKS["action-ntu-gym"].labels)
    given = ["ntu120: brushing teeth", 279 - 1, np.int64(0)]
    labels = processor(clips, labels=given, return_tensors="pt")["labels"]
    assert labels.dtype == torch.int64 and [names[label] for label in labels] == [given[0], names[278], names[0]]
    inside = processor(clips, labels=["brushing teeth", "ntu60: drop", 59], label_space="ntu60", return_tensors="pt")
    assert inside["labels"].tolist() == [2, 4, 59]
    assert processor(clips[0], labels="clapping", label_space="ntu120")["labels"] == [60 + 9]
    for label, space in (("brushing teeth", None), ("nonsense", "ntu60"), (60, "ntu60"), (279, None), (-1, None)):
        with pytest.raises(ValueError, match=r"`labels\[0\]` must be the name or number of one of the \d+ labels"):
            processor(clips[0], labels=label, label_space=space)
    with pytest.raises(ValueError, match="one name or number per clip, 3, got"):
        processor(clips, labels=[1, 2])
    with pytest.raises(ValueError, match=r"`label_space` must be None or one of \['gym99', 'ntu120', 'ntu60'\]"):
        processor(clips, labels=[1, 2, 3], label_space="kinetics400")


def test_settings_are_stored(tmp_path):
    task = KNOWN_TASKS["action-kinetics"]
    processor = HulkSkeletonProcessor.from_task(task, num_joints=13, seed=None, flipping=0.5, planar=True)
    processor.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert stored["feature_extractor_type"] == "HulkSkeletonProcessor" and stored["seed"] is None
    loaded = HulkSkeletonProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict() == processor.to_dict()
    HulkConfig.preset("hulk-tiny", tasks=["action-kinetics"]).save_pretrained(tmp_path)
    AutoFeatureExtractor.register(HulkConfig, HulkSkeletonProcessor, exist_ok=True)
    assert type(AutoFeatureExtractor.from_pretrained(tmp_path)) is HulkSkeletonProcessor


# After the network --------------------------------------------------------------------------------------------------


def test_actions_by_hand(processor):
    logits = torch.randn(3, 279, generator=torch.Generator().manual_seed(0))
    results = processor.post_process_skeleton_action({"logits": logits}, top_k=4)
    for row, result in zip(logits.double(), results, strict=True):
        expected = sorted(((float(score), label) for label, score in enumerate(row.softmax(0))), reverse=True)[:4]
        assert result["labels"].tolist() == [label for _, label in expected]
        np.testing.assert_allclose(result["scores"], [score for score, _ in expected], rtol=1e-5)
    assert len(processor.post_process_skeleton_action({"logits": logits})[0]["scores"]) == 5


def test_actions_of_one_data_set(processor):
    logits = torch.randn(2, 279, generator=torch.Generator().manual_seed(0))
    result = processor.post_process_skeleton_action({"logits": logits}, label_space="gym99", top_k=None)[1]
    assert sorted(result["labels"].tolist()) == list(range(180, 279))
    assert result["scores"].sum() == pytest.approx(1, abs=1e-5)
    expected = logits[1, 180:].softmax(0)
    np.testing.assert_allclose(result["scores"], expected[result["labels"] - 180])
    assert len(processor.post_process_skeleton_action({"logits": logits}, "gym99", top_k=500)[0]["labels"]) == 99
    assert processor.post_process_skeleton_action({"logits": logits[:0]}) == []


def test_post_processing_refuses(processor):
    logits = torch.zeros(2, 279)
    for outputs, options, match in (
        ({"logits": logits[:, :5]}, {}, r"`logits` of shape \(clips, 279\) for task 'action-ntu-gym', got \(2, 5\)"),
        ({"logits": logits + torch.nan}, {}, "finite `logits`"),
        ({"scores": logits}, {}, "must be a model output with `logits`"),
        ({"logits": logits}, {"label_space": "ucf101"}, "`label_space` must be None or one of"),
        ({"logits": logits}, {"top_k": 0}, "`top_k` must be at least 1 or None, got 0"),
    ):
        with pytest.raises(ValueError, match=match):
            processor.post_process_skeleton_action(outputs, **options)


@torch.no_grad()
def test_the_network_takes_one_sample_and_several(every_family):
    torch.manual_seed(0)
    config = every_family()
    model = HulkForActionRecognition(config).eval()
    processor = HulkSkeletonProcessor.from_task(config.task("action"), config.skeleton_config)
    clips = [clip_of(1, 60, 5, seed=1), clip_of(2, 9, 5, seed=2)]
    assert model(**processor(clips, return_tensors="pt")).logits.shape == (2, 4)
    several = processor(clips, num_clips=3, return_tensors="pt")
    logits = model(**several).logits
    results = processor.post_process_skeleton_action(model(**several))
    assert [result["labels"][0].item() for result in results] == logits.argmax(1).tolist()
    loss = model(**processor(clips, labels=["run", "fall"], return_tensors="pt")).loss
    assert loss.isfinite()


# Bad input ----------------------------------------------------------------------------------------------------------

GOOD = clip_of(2, 5)
PERSON = {"keypoints": GOOD[0, 0, :, :2].tolist(), "keypoint_scores": [0.5] * 17}


@pytest.mark.parametrize(
    ("skeletons", "match"),
    [
        (GOOD[:, :, :16], r"`skeletons` must have shape \(persons, frames, 17, 2 or 3\), got \(2, 5, 16, 3\)"),
        (GOOD[..., :1], r"`skeletons` must have shape \(persons, frames, 17, 2 or 3\), got \(2, 5, 17, 1\)"),
        (GOOD[:0], "`skeletons` must have at least one person, got nobody in any of 5 frames"),
        (GOOD[:, :0], r"`skeletons` must have at least one frame, got shape \(2, 0, 17, 3\)"),
        ([GOOD, GOOD[:0]], r"`skeletons\[1\]` must have at least one person"),
        ([[], []], "`skeletons` must have at least one person, got nobody in any of 2 frames"),
        (np.where(GOOD > 300, np.nan, GOOD), "`skeletons` must have finite scores, and places where a joint"),
        ({"keypoints": GOOD, "scores": GOOD[..., 2]}, r"must be \(x, y\) where 'scores' are given too"),
        (
            {"keypoints": GOOD[..., :2], "scores": GOOD[0, ..., 2]},
            r"`skeletons\['scores'\]` must have shape \(2, 5, 17\)",
        ),
        ({"keypoints": GOOD, "confidence": 1}, r"a dict may have the keys \['keypoints', 'scores'\], got"),
        ({"keypoints": GOOD[0], "frames": range(5)}, r"lacks \['box_scores'\]"),
        (
            {"keypoints": GOOD[0], "frames": range(4), "box_scores": [1] * 5},
            r"`skeletons\['frames'\]` must have shape \(5\), got \(4,\)",
        ),
        ({"keypoints": GOOD[0], "frames": range(5), "box_scores": [np.nan] * 5}, "must have finite 'frames' and"),
        ([[{**PERSON, "keypoints": [[1, 2]]}]], r"all 17 joints of the task \(human-pose with threshold=None\)"),
        ([[PERSON], [{"keypoints": [[1, 2]]}]], r"`skeletons\[1\]` must be a list of persons with 'keypoints' and"),
        ([[{**PERSON, "id": 3}, {**PERSON, "id": 3}]], r"`skeletons\[0\]` must have each `id` once, got \[3, 3\]"),
        ([GOOD.tolist()[0][:2] + [[[1, 2, 3]]]], "numbers of shape"),
    ],
)
def test_bad_clips(processor, skeletons, match):
    with pytest.raises(ValueError, match=match):
        processor(skeletons)


@pytest.mark.parametrize("skeletons", ["clip.npy", None, 3, [PERSON], GOOD[0], [GOOD[0, 0]], [[[GOOD]]]])
def test_what_is_no_clip(processor, skeletons):
    with pytest.raises(TypeError, match="`skeletons` must be an array .persons, frames, joints, 2 or 3., a dict"):
        processor(skeletons)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"num_clips": 0}, "`num_clips` must be at least 1, got 0"),
        ({"num_joints": 0}, "`num_joints` must be at least 1"),
        ({"flipping": 1.5}, r"`flipping` must be in \[0, 1.0\], got 1.5"),
        ({"scaling": -0.1}, "`scaling` must be in"),
    ],
)
def test_bad_settings(settings, match):
    with pytest.raises(ValueError, match=match):
        HulkSkeletonProcessor(**settings)


def test_a_call_with_no_samples(processor):
    with pytest.raises(ValueError, match="`num_clips` must be at least 1, got 0"):
        processor(GOOD, num_clips=0)
