# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Configuration and the table of tasks: round trips, defaults, errors."""

from __future__ import annotations

import json

import pytest
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig

from hulk_hf.modeling.configuration_hulk import HulkConfig, HulkDecoderConfig, HulkVisionConfig
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, OFFICIAL_TASK_IDS, HulkTask, mirror_pairs

TWO = ("left hand", "right hand")
OWN_TASK = HulkTask(
    "pose-hands",
    "pose",
    TWO,
    image_size=(64, 64),
    attention="diagonal",
    sigmas=(0.1, 0.2),
    presence_ratios=(0.5, 0.25),
    skeleton=((0, 1),),
    loss_weights={"heatmap": 2.0},
)


# The configuration


@pytest.mark.parametrize(
    "config",
    [
        HulkConfig(),
        HulkConfig.preset("hulk-large", tasks=list(KNOWN_TASKS)),
        HulkConfig(tasks=[OWN_TASK, KNOWN_TASKS["pose-aic"]], default_tasks={"pose": "pose-aic"}),
        HulkConfig(decoder_config={"modality_embedding": True}, vision_config={"image_positions": "stored"}),
    ],
    ids=["default", "every task", "own task", "options"],
)
def test_json_round_trip(config, tmp_path):
    through_json = HulkConfig(**json.loads(config.to_json_string()))
    config.save_pretrained(tmp_path)
    for other in (HulkConfig.from_pretrained(tmp_path), AutoConfig.from_pretrained(tmp_path), through_json):
        assert type(other) is HulkConfig
        assert other.to_dict() | {"_name_or_path": ""} == config.to_dict() | {"_name_or_path": ""}
        assert other.default_tasks == config.default_tasks
        assert {name: other.task(name) for name in other.tasks} == {name: config.task(name) for name in config.tasks}


def test_sub_configurations_take_dicts_objects_and_nothing():
    assert HulkConfig().vision_config.hidden_size == 768
    vision, decoder = HulkVisionConfig(hidden_size=64, num_attention_heads=4), HulkDecoderConfig(num_hidden_layers=2)
    config = HulkConfig(vision_config=vision, decoder_config=decoder)
    assert config.vision_config.hidden_size == 64 and config.decoder_config.num_hidden_layers == 2
    config = HulkConfig(vision_config={"hidden_size": 64, "num_attention_heads": 4})
    assert (config.vision_config.hidden_size, config.vision_config.num_hidden_layers) == (64, 12)


def test_presets_and_their_overrides():
    base, large = HulkConfig.preset("hulk-base"), HulkConfig.preset("hulk-large")
    assert (base.vision_config.hidden_size, base.vision_config.num_hidden_layers) == (768, 12)
    assert (large.vision_config.hidden_size, large.vision_config.num_attention_heads) == (1024, 16)
    assert base.decoder_config.to_dict() == large.decoder_config.to_dict()
    tiny = HulkConfig.preset("hulk-tiny", vision_config={"drop_path_rate": 0.1}, tasks=["pose-aic"])
    assert tiny.vision_config.drop_path_rate == 0.1
    assert tiny.vision_config.hidden_size == HulkConfig.preset("hulk-tiny").vision_config.hidden_size
    assert list(tiny.tasks) == ["pose-aic"]
    with pytest.raises(ValueError, match="no preset 'hulk-huge', expected one of .*hulk-base"):
        HulkConfig.preset("hulk-huge")


def test_tasks_as_names_objects_and_dicts_are_the_same():
    by_name = HulkConfig(tasks=["pose-coco", "pose-aic"])
    for tasks in (
        [KNOWN_TASKS["pose-coco"], KNOWN_TASKS["pose-aic"]],
        ["pose-coco", KNOWN_TASKS["pose-aic"]],
        {"pose-coco": KNOWN_TASKS["pose-coco"], "pose-aic": KNOWN_TASKS["pose-aic"].to_dict()},
        by_name.tasks,
    ):
        assert HulkConfig(tasks=tasks).to_dict() == by_name.to_dict()


def test_a_task_is_found_by_name_family_or_default():
    config = HulkConfig(tasks=["pose-coco", "pose-aic"])
    assert config.task() == config.task("pose") == config.task("pose-coco") == KNOWN_TASKS["pose-coco"]
    assert config.task(family="pose").name == "pose-coco"
    assert config.task("pose-aic", family="pose") == KNOWN_TASKS["pose-aic"]
    assert (
        HulkConfig(tasks=["pose-coco", "pose-aic"], default_tasks={"pose": "pose-aic"}).task("pose").num_labels == 14
    )


def test_unknown_tasks_are_errors_that_list_the_known_ones():
    config = HulkConfig(tasks=["pose-coco", "pose-aic"])
    with pytest.raises(ValueError, match=r"no task 'pose-h36m' in this checkpoint, .*'pose-aic', 'pose-coco'"):
        config.task("pose-h36m")
    with pytest.raises(ValueError, match="no task 'parsing'"):
        config.task("parsing")
    with pytest.raises(ValueError, match="'pose-coco' is a task of family 'pose', expected one of 'parsing'"):
        config.task("pose-coco", family="parsing")
    with pytest.raises(ValueError, match="no known task 'pose-cocos', expected names among .*pose-coco"):
        HulkConfig(tasks=["pose-cocos"])


def test_several_families_need_a_name():
    other = HulkTask("parsing-own", "parsing", ("a", "b"), attention="diagonal")
    config = HulkConfig(tasks=[KNOWN_TASKS["pose-coco"], other])
    assert config.default_tasks == {"pose": "pose-coco", "parsing": "parsing-own"}
    assert config.task("parsing") == other
    with pytest.raises(ValueError, match="which one is meant"):
        config.task()


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"tasks": []}, ValueError, "at least one task"),
        ({"tasks": ["pose-coco", "pose-coco"]}, ValueError, "names must be distinct"),
        (
            {"tasks": {"pose-x": {"family": "pose", "labels": TWO, "size": 3}}},
            ValueError,
            r"unknown fields \['size'\]",
        ),
        ({"default_tasks": {"pose": "pose-aic"}}, ValueError, "no task 'pose-aic' in this checkpoint"),
        (
            {"tasks": ["pose-coco", "pose-aic"], "default_tasks": {"parsing": "pose-aic"}},
            StrictDataclassError,
            "'pose-aic' is no 'parsing' task",
        ),
        ({"tasks": "pose-cocos"}, ValueError, "no known task 'pose-cocos'"),
        ({"tasks": {"pose-x": {"labels": TWO}}}, ValueError, r"task 'pose-x': missing fields \['family'\]"),
        ({"tasks": {"pose-x": None}}, ValueError, "fields of task 'pose-x'"),
        ({"tasks": [3]}, ValueError, "expected names of known tasks or HulkTask, got 3"),
        ({"tasks": {"my pose": {"family": "pose", "labels": TWO}}}, ValueError, "task 'my pose': name must be"),
        (
            {"tasks": [HulkTask("pose-x", "pose", TWO, image_size=(60, 64))]},
            StrictDataclassError,
            "task 'pose-x': image_size must be multiples of the patch size 16, got 60x64",
        ),
        ({"text_feature_size": 0}, StrictDataclassError, "text_feature_size must be at least 1"),
        ({"id2label": {0: "nose"}}, ValueError, "id2label: got .*the labels of the task"),
        ({"label2id": {"nose": 3}}, ValueError, "label2id: got .*the labels of the task"),
        ({"num_labels": 5}, ValueError, "num_labels: got 5, expected none or 17"),
        ({"vision_config": {"patch_size": 8}}, StrictDataclassError, "patch_size must be 16, got 8: heat maps are"),
        (
            {"vision_config": {"num_attention_heads": 0}},
            StrictDataclassError,
            "num_attention_heads must be at least 1",
        ),
        ({"vision_config": {"num_hidden_layers": 0}}, StrictDataclassError, "num_hidden_layers must be at least 1"),
        ({"decoder_config": {"hidden_size": 0}}, StrictDataclassError, "hidden_size must be at least 1"),
        ({"decoder_config": {"intermediate_size": -1}}, StrictDataclassError, "intermediate_size must be at least 1"),
        ({"decoder_config": {"upsampler_hidden_size": 0}}, StrictDataclassError, "upsampler_hidden_size must be"),
        ({"vision_config": {"num_attention_heads": 7}}, StrictDataclassError, "divisible by num_attention_heads"),
        ({"vision_config": {"image_positions": "x"}}, StrictDataclassError, "image_positions must be .* got 'x'"),
        ({"vision_config": {"drop_path_rate": 1.0}}, StrictDataclassError, r"drop_path_rate must be in \[0, 1\)"),
        ({"vision_config": {"hidden_size": "wide"}}, StrictDataclassError, "hidden_size"),
        ({"decoder_config": {"num_attention_heads": 3}}, StrictDataclassError, "divisible by num_attention_heads"),
    ],
)
def test_bad_configurations_are_refused(fields, error, message):
    with pytest.raises(error, match=message):
        HulkConfig(**fields)


@pytest.mark.parametrize("tasks", ["pose-aic", ["pose-aic"], ["pose-aic", "pose-coco"]])
def test_label_maps_follow_the_default_pose_task(tasks, tmp_path):
    config = HulkConfig(tasks=tasks)
    assert config.id2label == dict(enumerate(KNOWN_TASKS["pose-aic"].labels)) and config.label2id["neck"] == 13
    assert config.num_labels == 14
    assert "id2label" not in config.to_dict()
    same = {str(index): label for index, label in config.id2label.items()}  # as in a file
    for labels in (same, None, {0: "LABEL_0", 1: "LABEL_1"}):
        assert HulkConfig(tasks=tasks, id2label=labels).id2label == config.id2label
    config.id2label = {0: "nose"}
    with pytest.raises(StrictDataclassError, match="id2label: got .0: 'nose'"):
        config.save_pretrained(tmp_path)


def test_a_preset_takes_configuration_objects():
    vision = HulkVisionConfig(hidden_size=64, num_attention_heads=4)
    config = HulkConfig.preset("hulk-tiny", vision_config=vision)
    assert config.vision_config.hidden_size == 64 and config.decoder_config.hidden_size == 128


def test_pipelines_of_a_folder_are_hidden_from_transformers_and_written_back(tmp_path):
    """transformers would ask owners of the package to trust remote code."""
    entry = {"human-pose": {"impl": "pipeline_pose_hulk.HumanPosePipeline", "pt": ["AutoModel"], "type": "image"}}
    (tmp_path / "config.json").write_text(json.dumps(HulkConfig().to_dict() | {"custom_pipelines": entry}))
    config = HulkConfig.from_pretrained(tmp_path)
    assert not hasattr(config, "custom_pipelines")
    config.save_pretrained(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text())["custom_pipelines"] == entry
    assert "custom_pipelines" not in HulkConfig().to_dict()


# Tasks


def test_official_ids_and_their_joints():
    names = "coco aic h36m posetrack jrdb mhp 3dhp 3dpw aist".split()
    joints = [17, 14, 17, 15, 17, 16, 17, 18, 17]
    assert {i: OFFICIAL_TASK_IDS[i] for i in range(8, 17)} == {8 + i: f"pose-{name}" for i, name in enumerate(names)}
    assert [KNOWN_TASKS[f"pose-{name}"].num_labels for name in names] == joints


def test_flip_pairs_follow_from_the_names():
    assert KNOWN_TASKS["pose-coco"].flip_pairs == tuple((i, i + 1) for i in range(1, 17, 2))
    assert KNOWN_TASKS["pose-aic"].flip_pairs == ((0, 3), (1, 4), (2, 5), (6, 9), (7, 10), (8, 11))
    assert KNOWN_TASKS["pose-mhp"].flip_pairs == ((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13))
    assert mirror_pairs(("left", "right", "nose", "left eye", "lefty", "right ear")) == ((0, 1),)


@pytest.mark.parametrize("task", [*KNOWN_TASKS.values(), OWN_TASK], ids=lambda task: task.name)
def test_tasks_survive_json(task):
    stored = json.loads(json.dumps(task.to_dict()))
    assert HulkTask.from_dict(task.name, stored) == task
    assert "name" not in stored, "it is the key the task is stored under"


def test_a_task_cannot_be_changed():
    with pytest.raises(AttributeError):
        OWN_TASK.name = "other"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": ()}, "at least one"),
        ({"labels": ("a", "a")}, "distinct"),
        ({"labels": "nose"}, "labels must be a list of names, got one string 'nose'"),
        ({"labels": ("a", 1)}, "labels must be names"),
        ({"image_size": (64.5, 64)}, "image_size must be .* whole pixels, got .64.5, 64"),
        ({"image_size": 64}, "image_size"),
        ({"flip_pairs": ((0, 1), (1, 0))}, "flip_pairs must not overlap"),
        ({"flip_pairs": ((0, 0),)}, "flip_pairs must not overlap"),
        ({"loss_weights": {"heat": 1.0}}, r"unknown loss_weights \['heat'\], expected a subset of \['heatmap'"),
        ({"loss_weights": {"heatmap": "1"}}, "loss_weights must be numbers"),
        ({"attention": "none"}, "'full' or 'diagonal', got 'none'"),
        ({"image_size": (0, 64)}, "image_size"),
        ({"image_size": (64,)}, "image_size"),
        ({"sigmas": (0.1,)}, "sigmas"),
        ({"presence_ratios": (0.1, 0.2, 0.3)}, "presence_ratios"),
        ({"flip_pairs": ((0, 2),)}, "flip_pairs"),
        ({"skeleton": ((-1, 0),)}, "skeleton"),
    ],
)
def test_bad_tasks_are_refused(fields, message):
    with pytest.raises(ValueError, match=f"task 'pose-x'.*{message}"):
        HulkTask(**{"name": "pose-x", "family": "pose", "labels": TWO, **fields})


@pytest.mark.parametrize("name", ["pose", "pose-", "parsing-x", "posex", "pose-a b", "pose-a.b", "Pose-x", "pose-x-"])
def test_task_names_are_their_family_and_a_label_space(name):
    with pytest.raises(ValueError, match=f"task {name!r}: name must be"):
        HulkTask(name, "pose", TWO)
    assert HulkTask("pose-My_set-2", "pose", TWO).name == "pose-My_set-2"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tasks": ["parsing-lip", "parsing-cihp"]}, "parsing-lip"),
        ({"tasks": ["parsing-lip", "parsing-cihp"], "default_tasks": {"parsing": "parsing-cihp"}}, "parsing-cihp"),
        ({"tasks": ["attributes-joint", "parsing-lip"]}, "attributes-joint"),
        ({"tasks": ["attributes-joint", "pose-aic"]}, "pose-aic"),
        ({"tasks": ["pose-coco", "action-kinetics"], "label_family": "action"}, "action-kinetics"),
    ],
)
def test_labels_are_those_of_the_default_task_of_a_family(fields, expected):
    config = HulkConfig(**fields)
    assert config.id2label == dict(enumerate(KNOWN_TASKS[expected].labels))
    again = HulkConfig.from_dict(config.to_dict())
    assert again.id2label == config.id2label and again.problem_type == config.problem_type


def test_a_configuration_gets_the_labels_of_a_family_without_being_changed():
    config = HulkConfig(tasks=["pose-coco", "attributes-joint", "caption-joint"])
    before = config.to_dict()
    attributes = config.of_family("attributes")
    assert attributes.id2label[0] == KNOWN_TASKS["attributes-joint"].labels[0]
    assert attributes.label2id == {label: index for index, label in attributes.id2label.items()}
    assert attributes.problem_type == "multi_label_classification" and attributes.tasks is config.tasks
    assert attributes.of_family("pose").problem_type is None and config.of_family("caption").id2label == {}
    assert config.of_family("mesh") is config and config.to_dict() == before
    with pytest.raises(ValueError, match="label_family: expected one of the families .*got 'mesh'"):
        HulkConfig(tasks=["pose-coco"], label_family="mesh")
