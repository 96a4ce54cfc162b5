# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-action`: inputs, outputs, batches."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_action_hulk import HulkForActionRecognition
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pipeline_action_hulk import HumanActionPipeline
from hulk_hf.modeling.pipeline_pose_hulk import HumanPosePipeline
from hulk_hf.modeling.skeleton_processing_hulk import HulkSkeletonProcessor

TASKS = ["action-ntu-gym", "action-kinetics"]


def clip_of(persons: int = 2, frames: int = 40, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    places, scores = random.uniform(0, 400, (persons, frames, 17, 2)), random.uniform(0.1, 1, (persons, frames, 17, 1))
    return np.concatenate([places, scores], axis=-1).astype(np.float32)


CLIPS = [clip_of(1, 9, 1), clip_of(5, 70, 2), clip_of(2, 1, 3), clip_of(3, 30, 4), clip_of(2, 200, 5)]


class Counted:
    """Stands in for the network and writes down the shape of what each pass had."""

    def __init__(self, model):
        self.model, self.passes = model, []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def __call__(self, skeletons, **kwargs):
        self.passes.append(tuple(skeletons.shape[:-3]))
        return self.model(skeletons=skeletons, **kwargs)


@pytest.fixture(scope="module")
def config() -> HulkConfig:
    return HulkConfig(
        vision_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16},
        decoder_config={"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16},
        text_feature_size=8,
        tasks=[*TASKS, "pose-coco"],
    )


@pytest.fixture(scope="module")
def model(config) -> HulkForActionRecognition:
    """Random, but for features that make its labels differ."""
    torch.manual_seed(0)
    model = HulkForActionRecognition(config).eval()
    for name, buffer in model.text_head.named_buffers():
        if "label_features" in name:
            buffer.copy_(torch.randn(buffer.shape))
    return model


@pytest.fixture(scope="module")
def pipe(model) -> HumanActionPipeline:
    return HumanActionPipeline(model=model)


@pytest.fixture
def counted(pipe, monkeypatch) -> Counted:
    stand_in = Counted(pipe.model)
    monkeypatch.setattr(pipe, "model", stand_in)
    return stand_in


def assert_same(ours: list[dict], expected: list[dict]) -> None:
    assert [action["label"] for action in ours] == [action["label"] for action in expected]
    np.testing.assert_allclose([a["score"] for a in ours], [a["score"] for a in expected], rtol=1e-4)


def test_result_is_plain_json(pipe):
    actions = pipe(CLIPS[1])
    assert json.loads(json.dumps(actions)) == actions
    assert [set(action) for action in actions] == [{"score", "label"}] * 5
    scores = [action["score"] for action in actions]
    assert scores == sorted(scores, reverse=True) and all(type(score) is float for score in scores)
    assert {action["label"] for action in actions} <= set(pipe.model.config.task("action").labels)


@torch.no_grad()
def test_result_equals_processor_and_model_by_hand(pipe, model):
    processor = HulkSkeletonProcessor.from_task(model.config.task("action-kinetics"))
    inputs = processor(CLIPS[1], num_clips=3, seed=7, return_tensors="pt")
    outputs = model(**inputs, task="action-kinetics")
    expected = processor.post_process_skeleton_action(outputs, "ucf101", 3)[0]
    ours = pipe(CLIPS[1], task="action-kinetics", num_clips=3, seed=7, label_space="ucf101", top_k=3)
    assert [action["label"] for action in ours] == [processor.label_names[label] for label in expected["labels"]]
    assert all(action["label"].startswith("ucf101: ") for action in ours)
    np.testing.assert_allclose([action["score"] for action in ours], expected["scores"], rtol=1e-4)


def test_top_k(pipe):
    assert len(pipe(CLIPS[0], top_k=1)) == 1
    everything = pipe(CLIPS[0], top_k=None, label_space="gym99")
    assert len(everything) == 99 and sum(action["score"] for action in everything) == pytest.approx(1, abs=1e-4)


def test_sampling_is_repeatable_unless_it_should_not_be(pipe):
    clip = clip_of(2, 300)
    assert pipe(clip, top_k=None) == pipe(clip, top_k=None)
    state = np.random.get_state()
    try:
        np.random.seed(0)
        first, second = pipe(clip, seed=None, top_k=None), pipe(clip, seed=None, top_k=None)
        np.random.seed(0)
        again = pipe(clip, seed=None, top_k=None)
    finally:
        np.random.set_state(state)
    assert first == again != second


def test_kinds_of_one_clip(pipe):
    clip = CLIPS[1][:2]
    frames = [
        [
            {"keypoints": p[:, :2].tolist(), "keypoint_scores": p[:, 2].tolist(), "id": n, "score": 0.5}
            for n, p in enumerate(row)
        ]
        for row in clip.swapaxes(0, 1)
    ]
    expected = pipe(clip)
    for kind in (clip.tolist(), torch.from_numpy(clip), {"keypoints": clip[..., :2], "scores": clip[..., 2]}, frames):
        assert_same(pipe(kind), expected)
        assert_same(pipe([kind])[0], expected)
    assert_same(pipe(clip[None])[0], expected)


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_list_of_clips(pipe, batch_size):
    clips = [*CLIPS, {"keypoints": CLIPS[0]}, np.zeros((2, 5, 17, 3))]
    results = pipe(clips, batch_size=batch_size)
    assert len(results) == 7 and results[-1] == []
    for ours, clip in zip(results, clips, strict=True):
        assert_same(ours, pipe(clip, batch_size=1))
    assert_same(results[5], results[0])


def test_batches_are_as_large_as_asked_for(pipe, counted):
    pipe(CLIPS, batch_size=2, num_clips=3)
    assert counted.passes == [(2, 3, 2), (2, 3, 2), (1, 3, 2)]


def test_nobody_costs_no_pass(pipe, counted):
    nobody = np.zeros((0, 5, 17, 2))
    assert pipe(nobody) == [] and pipe([[], []]) == [] and pipe([]) == []
    assert pipe([nobody, np.zeros((1, 5, 17, 3))], batch_size=8) == [[], []]
    assert counted.passes == []


class Clips(Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return CLIPS[index]


def test_generators_and_data_sets_are_lazy(pipe):
    taken = []

    def clips():
        for index in range(100):
            taken.append(index)
            yield CLIPS[index % 5]

    results = pipe(clips(), batch_size=2)
    assert_same(next(iter(results)), pipe(CLIPS[0]))
    assert len(taken) < 10
    for batch_size in (1, 8):
        for ours, clip in zip(pipe(Clips(), batch_size=batch_size), CLIPS[:3], strict=True):
            assert_same(ours, pipe(clip))


def test_what_human_pose_finds_can_be_given(pipe, tiny_pose_model, tiny_pose_processor):
    pose = HumanPosePipeline(model=tiny_pose_model, image_processor=tiny_pose_processor)
    random = np.random.default_rng(0)
    frames = pose(
        [random.integers(0, 256, (64, 48, 3), dtype=np.uint8) for _ in range(3)],
        boxes=[[[0, 0, 40, 60]], [], [[1, 0, 40, 60], [5, 5, 20, 40]]],
    )
    assert len(pipe(frames)) == 5
    few = pose(np.zeros((64, 48, 3), np.uint8), threshold=9.0, boxes=[[0, 0, 9, 9]])
    with pytest.raises(ValueError, match=r"`inputs\[1\]` must be persons with all 17 joints of the task"):
        pipe([frames[0], few])


def test_a_given_processor_is_used(model):
    processor = HulkSkeletonProcessor.from_task(model.config.task("action"), num_clips=2, seed=3)
    pipe = HumanActionPipeline(model=model, feature_extractor=processor)
    assert pipe.feature_extractor is processor
    own = HumanActionPipeline(model=model)
    assert_same(pipe(CLIPS[1]), own(CLIPS[1], num_clips=2, seed=3))
    with pytest.raises(ValueError, match="`feature_extractor` must be a HulkSkeletonProcessor, got HulkPoseImage"):
        HumanActionPipeline(model=model, feature_extractor=HulkPoseImageProcessor())


def test_options_can_be_given_to_the_constructor(model):
    pipe = HumanActionPipeline(model=model, top_k=2, label_space="ntu60", batch_size=2)
    assert len(pipe(CLIPS[0])) == 2 and len(pipe(CLIPS[0], top_k=3)) == 3
    assert pipe(CLIPS[0])[0]["label"].startswith("ntu60: ")


def test_the_class_with_all_heads(config, pipe, model):
    torch.manual_seed(0)
    everything = HulkForHumanAnalysis(config).eval()
    everything.load_state_dict(model.state_dict(), strict=False)
    assert_same(HumanActionPipeline(model=everything)(CLIPS[1]), pipe(CLIPS[1]))


def test_other_numbers_of_joints(every_family):
    model = HulkForActionRecognition(every_family()).eval()
    assert len(HumanActionPipeline(model=model)(np.ones((1, 3, 5, 3)))) == 4


def test_bad_input(pipe, config):
    with pytest.raises(ValueError, match=r"`inputs\[1\]` must have shape \(persons, frames, 17, 2 or 3\), got"):
        pipe([CLIPS[0], CLIPS[0][:, :, :5]])
    with pytest.raises(ValueError, match="`inputs` must have at least one frame"):
        pipe(np.zeros((1, 0, 17, 3)))
    with pytest.raises(ValueError, match="`label_space` must be None or one of"):
        pipe(CLIPS[0], label_space="ucf101")
    with pytest.raises(ValueError, match="no task 'action-none' in this checkpoint"):
        pipe(CLIPS[0], task="action-none")
    with pytest.raises(ValueError, match="`num_clips` must be at least 1"):
        pipe(CLIPS[0], num_clips=0)
    with pytest.raises(TypeError, match=r"human-action knows no option \['topk'\]"):
        pipe(CLIPS[0], topk=3)
    for no_clip in ("clip.npy", 3, None):
        with pytest.raises(TypeError, match="`inputs` must be an array"):
            pipe(no_clip)
    with pytest.raises(ValueError, match="`model` must be a Hulk model for action, got HulkForPoseEstimation"):
        HumanActionPipeline(model=HulkForPoseEstimation(config))
