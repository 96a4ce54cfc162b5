# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The key map knows every official tensor, says the truth about it, and fills every place of our model."""

from __future__ import annotations

import csv
import json

import pytest
import torch

from hulk_hf.conversion.keymap import POSE_KEYS, official_task, strip_wrappers
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation


@pytest.fixture(scope="module", params=[8, 9])
def official_shapes(request, shared):
    """Task id, and name -> shape of everything in a full-size official file."""
    with open(shared / "checkpoint" / f"keys_full_task{request.param}.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return request.param, {strip_wrappers(row["key"]): json.loads(row["shape"]) for row in rows}


def test_every_key_of_a_full_size_file_is_known_and_has_the_shape_it_should(official_shapes):
    task_id, shapes = official_shapes
    assert len(shapes) > 300
    assert POSE_KEYS.sizes(shapes) == {
        "C": 768, "M": 3072, "d": 256, "F": 2048, "U": 256, "K": {8: 17, 9: 14}[task_id], "T": 768, "p": 16,
        "n": 3, "P": 192, "encoder_layers": 12, "decoder_layers": 9,
    }  # fmt: skip


def test_the_live_keys_of_a_full_size_file_fill_hulk_base_exactly(official_shapes):
    task_id, shapes = official_shapes
    task = official_task(task_id)
    with torch.device("meta"):
        model = HulkForPoseEstimation(HulkConfig.preset("hulk-base", tasks=[task]))
    ours = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    converted = {}
    for name, shape in shapes.items():
        rule, layer = POSE_KEYS.find(name)
        if rule.status == "live":
            names = rule.our_names(layer, task=task, family="pose")
            shape = shape[1:] if rule.our_shape else [shape[0] // len(names), *shape[1:]]
            converted |= dict.fromkeys(names, tuple(shape))
    assert converted == ours


def test_live_and_dead_agree_with_what_was_measured(shared):
    """Every official tensor was disturbed in turn, and the output watched."""
    with open(shared / "checkpoint" / "used_params_task8.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) > 90
    for row in rows:
        used = POSE_KEYS.find(row["key(without module.)"])[0].status != "dead"
        assert used == (row["status_at_eval"] == "USED"), row


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


@pytest.mark.parametrize("task_id", [7, 17, 24, -1, "8", None])
def test_tasks_without_a_key_map_are_refused(task_id):
    with pytest.raises(ValueError, match="is not supported, expected one of"):
        official_task(task_id)
