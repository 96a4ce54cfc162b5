# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The key map knows every official tensor, says the truth about it, and fills every place of our model."""

from __future__ import annotations

import csv
import json

import pytest
import torch

from hulk_hf.conversion.keymap import KEY_MAPS, KeyMap, official_task, strip_wrappers
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.modeling_action_hulk import HulkForActionRecognition
from hulk_hf.modeling.modeling_attributes_hulk import HulkForAttributeRecognition
from hulk_hf.modeling.modeling_caption_hulk import HulkForCaptioning
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection
from hulk_hf.modeling.modeling_mesh_hulk import HulkForMeshRecovery
from hulk_hf.modeling.modeling_parsing_hulk import HulkForHumanParsing
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

POSE_KEYS = KEY_MAPS["pose"]

# Task id -> what only its family has, of a full-size file.
OWN_SIZES = {
    0: {"K": 279, "T": 768, "P": 200, "J": 17, "f": 7, "j": 2},
    2: {"P": 196, "V": 431, "W": 1723, "p": 16, "n": 3},
    3: {"K": 1, "T": 768, "P": 7056, "A": 289, "a": 3, "p": 16, "n": 3},
    4: {"K": 1, "T": 768, "P": 7056, "A": 289, "a": 3, "p": 16, "n": 3},
    5: {"K": 168, "T": 768, "P": 192, "p": 16, "n": 3},
    7: {"K": 30522, "T": 768, "P": 576, "L": 40, "p": 16, "n": 3},
    8: {"K": 17, "T": 768, "P": 192, "U": 256, "p": 16, "n": 3},
    9: {"K": 14, "T": 768, "P": 192, "U": 256, "p": 16, "n": 3},
    17: {"K": 20, "T": 768, "P": 900, "U": 256, "p": 16, "n": 3},
    18: {"K": 20, "T": 768, "P": 900, "U": 256, "p": 16, "n": 3},
    19: {"K": 25, "T": 768, "P": 900, "U": 256, "p": 16, "n": 3},
}


def keys_of(task_id: int) -> KeyMap:
    return KEY_MAPS[KNOWN_TASKS[official_task(task_id)].family]


@pytest.fixture(scope="module", params=sorted(OWN_SIZES))
def official_shapes(request, shared):
    """Task id, and name -> shape of everything in a full-size official file."""
    with open(shared / "checkpoint" / f"keys_full_task{request.param}.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return request.param, {strip_wrappers(row["key"]): json.loads(row["shape"]) for row in rows}


def test_every_key_of_a_full_size_file_is_known_and_has_the_shape_it_should(official_shapes):
    task_id, shapes = official_shapes
    assert len(shapes) > 280
    common = {"C": 768, "M": 3072, "d": 256, "F": 2048, "encoder_layers": 12, "decoder_layers": 9}
    assert keys_of(task_id).sizes(shapes) == {**common, **OWN_SIZES[task_id]}


CLASSES = {
    "action": HulkForActionRecognition,
    "attributes": HulkForAttributeRecognition,
    "caption": HulkForCaptioning,
    "detection": HulkForPedestrianDetection,
    "mesh": HulkForMeshRecovery,
    "parsing": HulkForHumanParsing,
    "pose": HulkForPoseEstimation,
}


def test_the_live_keys_of_a_full_size_file_fill_hulk_base_exactly(official_shapes):
    task_id, shapes = official_shapes
    task, keys = KNOWN_TASKS[official_task(task_id)], keys_of(task_id)
    with torch.device("meta"):
        model = CLASSES[task.family](HulkConfig.preset("hulk-base", tasks=[task]))
    ours = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    sizes = keys.sizes(shapes)
    converted = {}
    for name, shape in shapes.items():
        rule, layer = keys.find(name)
        if rule.status == "live":
            names = rule.our_names(layer, task=task.name, family=task.family)
            if rule.our_shape:
                shape = [int(symbol) if symbol.isdigit() else sizes[symbol] for symbol in rule.our_shape]
            converted |= dict.fromkeys(names, (shape[0] // len(names), *shape[1:]))
    assert converted == ours


# What was measured otherwise, and why that is so.
EXCEPTIONS = {
    # The official code looks these features up when it is built, before a checkpoint is loaded.
    "adapter_sparse_labeling.text_embedding": "live",
    # Kinds of joints, which nothing reads; they are among the outputs that were watched.
    "proj_sparse_labeling.text_features": "dead",
    "proj_sparse_labeling.post_mul_norm.bias": "dead",
}


@pytest.mark.parametrize("task_id", [0, 2, 4, 5, 7, 8, 17])
def test_live_and_dead_agree_with_what_was_measured(task_id, shared):
    """Every official tensor was disturbed in turn, and the output watched."""
    with open(shared / "checkpoint" / f"used_params_task{task_id}.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) > 80
    for row in rows:
        name, used = row["key(without module.)"], row["status_at_eval"] == "USED"
        status = keys_of(task_id).find(name)[0].status
        if status == "restricted":
            continue  # of a body model's data, used or not, nothing is taken over
        if name in EXCEPTIONS and used != (status != "dead"):
            assert status == EXCEPTIONS[name]
        else:
            assert used == (status != "dead"), row


def test_unknown_keys_are_named():
    with pytest.raises(ValueError, match="'proj_text.patch_proj.weight' is not known"):
        POSE_KEYS.find("proj_text.patch_proj.weight")
    with pytest.raises(ValueError, match=r"2 official keys are not known.*a\.b, c\.d"):
        POSE_KEYS.sort(["backbone_module.norm.weight", "c.d", "a.b"])


@pytest.mark.parametrize(
    "name", ["backbone_module.norm.weightx", "xbackbone_module.norm.weight", "backbone_moduleXnorm"]
)
def test_names_are_matched_whole(name):
    with pytest.raises(ValueError, match="not known"):
        POSE_KEYS.find(name)


def test_fused_projections_become_query_key_and_value_in_this_order():
    rule, layer = POSE_KEYS.find("backbone_module.blocks.11.attn.qkv.bias")
    assert rule.our_names(layer) == tuple(f"hulk.encoder.layers.11.attention.{n}_proj.bias" for n in "qkv")
    rule, layer = POSE_KEYS.find(
        "decoder_module.predictor.transformer_self_attention_layers.0.self_attn.in_proj_weight"
    )
    assert rule.our_names(layer) == tuple(f"hulk.decoder.layers.0.attention.{n}_proj.weight" for n in "qkv")


def test_no_official_name_matches_two_rules(recorder):
    for name in recorder.weights(recorder.sizes()):
        assert sum(rule.pattern.fullmatch(name) is not None for rule in POSE_KEYS.rules) == 1, name


@pytest.mark.parametrize(
    "wrapped",
    ["a.b", "module.a.b", "_orig_mod.a.b", "module._orig_mod.a.b", "_orig_mod.module.a.b", "module.module.a.b"],
)
def test_wrapper_prefixes_are_removed(wrapped):
    assert strip_wrappers(wrapped) == "a.b"


def test_only_prefixes_are_removed():
    assert strip_wrappers("module.backbone_module.norm.bias") == "backbone_module.norm.bias"
    assert strip_wrappers("backbone_module._orig_mod.norm.bias") == "backbone_module.norm.bias"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone_module.blocks.0.mlp.fc1.weight": (64, 33)}, r"fc1.weight'.*\(M, C\).*C=32"),
        ({"backbone_module.blocks.1.attn.qkv.weight": (95, 32)}, r"qkv.weight'.*\(95, 32\).*\(3C, C\)"),
        ({"proj_dense_labeling.text_features": (17,)}, r"text_features'.*expected a shape \(K, T\)"),
        ({"proj_dense_labeling.post_mul_norm.bias": (6,)}, r"post_mul_norm.bias'.*K=5"),
        ({"decoder_module.predictor.mask_token": (1, 3, 16)}, r"mask_token'.*\(1, 1, d\)"),
        ({"backbone_module.norm.bias": None}, "1 official tensors .* missing: backbone_module.norm.bias"),
        ({"adapter_rgb.pos_embed": None}, "missing: adapter_rgb.pos_embed"),
        ({"backbone_module.blocks.4.norm1.bias": (32,)}, "missing: backbone_module.blocks.2.norm1.weight"),
    ],
)
def test_tensors_that_do_not_fit_together_are_named(recorder, change, message):
    shapes = {name: tensor.shape for name, tensor in recorder.weights(recorder.sizes()).items()}
    assert POSE_KEYS.sizes(shapes)["encoder_layers"] == 2
    shapes = {name: shape for name, shape in {**shapes, **change}.items() if shape is not None}
    with pytest.raises(ValueError, match=message):
        POSE_KEYS.sizes(shapes)


def test_a_file_of_two_model_sizes_is_found(recorder):
    small = recorder.shapes(recorder.sizes())
    large = recorder.shapes(recorder.sizes(width=48))
    mixed = {name: (large if ".blocks.1." in name else small)[name] for name in small}
    with pytest.raises(ValueError, match="expected .* with .*C="):
        POSE_KEYS.sizes(mixed)


@pytest.mark.parametrize("task_id", [24, -1, "8", None])
def test_tasks_that_do_not_exist_are_refused(task_id):
    with pytest.raises(ValueError, match="is not known, expected one of"):
        official_task(task_id)
