# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Official weights become a model of ours with the same outputs, or a clear error."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from hulk_hf.conversion.parity_pose import normalise
from hulk_hf.conversion.state_dict import convert_state_dict, unwrap_state_dict
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.positions_hulk import sincos_2d, stretched_sincos_2d
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

POSITIONS = "adapter_rgb.pos_embed"
QUERY_POSITIONS = "decoder_module.predictor.query_embed_label"
TASK = HulkTask("pose-five", "pose", ("a", "b", "c", "d", "e"), image_size=(64, 48))
HEADS = {"encoder_heads": 4, "decoder_heads": 2}


@pytest.fixture
def official(recorder):
    return recorder.weights(recorder.sizes())


def load(config, state_dict):
    model = HulkForPoseEstimation(config).eval()
    model.load_state_dict(state_dict)  # strict: nothing missing, nothing unexpected
    return model


def same_outputs(recorder, model, official, sizes):
    images = 255 * torch.rand(2, 3, *sizes.image_size)
    with torch.no_grad():
        ours, theirs = model(normalise(images)), recorder.run(official, images, sizes)
    torch.testing.assert_close(ours.heatmaps, theirs["heatmap"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.presence_logits, theirs["presence"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_converted_weights_give_the_same_outputs(recorder, official, prefix):
    wrapped = {prefix + name: tensor for name, tensor in official.items()}
    model = load(*convert_state_dict(wrapped, TASK, **HEADS))
    same_outputs(recorder, model, official, recorder.sizes())


def test_sizes_are_read_from_the_tensors(recorder, official):
    config, _ = convert_state_dict(official, TASK, **HEADS, drop_path_rate=0.3)
    vision, decoder, sizes = config.vision_config, config.decoder_config, recorder.sizes()
    assert (vision.hidden_size, vision.num_hidden_layers, vision.num_attention_heads) == (32, 2, 4)
    assert (vision.intermediate_size, vision.patch_size, vision.drop_path_rate) == (64, 16, 0.3)
    assert (decoder.hidden_size, decoder.num_hidden_layers, decoder.num_attention_heads) == (16, 3, 2)
    assert (decoder.intermediate_size, config.text_feature_size) == (sizes.decoder_mlp, sizes.text)
    assert config.task() == TASK


def test_only_wanted_tensors_are_kept_and_each_has_its_own_memory(official, tmp_path):
    _, state_dict = convert_state_dict(official, TASK, **HEADS)
    assert not [name for name in state_dict if "position_tables" in name]
    save_file(state_dict, tmp_path / "model.safetensors")  # refuses tensors that share memory
    fused = official["backbone_module.blocks.1.attn.qkv.weight"]
    thirds = [state_dict[f"hulk.encoder.layers.1.attention.{name}_proj.weight"] for name in "qkv"]
    assert torch.equal(torch.cat(thirds), fused)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (lambda c: sincos_2d(c, 4, 3), "native"),
        (lambda c: stretched_sincos_2d(c, 4, 3), "stretched"),
        (lambda c: stretched_sincos_2d(c, 4, 3) + 5e-6, "stretched"),
        (lambda c: stretched_sincos_2d(c, 4, 3) + 1e-3, "stored"),
        (lambda c: torch.randn(12, c), "stored"),
    ],
)
def test_the_image_position_table_is_recognised_or_kept(recorder, official, table, expected, tmp_path):
    official[POSITIONS] = table(32)[None]
    config, state_dict = convert_state_dict(official, TASK, **HEADS)
    assert config.vision_config.image_positions == expected
    model = load(config, state_dict)
    same_outputs(recorder, model, official, recorder.sizes())
    model.save_pretrained(tmp_path)
    same_outputs(recorder, HulkForPoseEstimation.from_pretrained(tmp_path), official, recorder.sizes())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_recognised_too(official, dtype):
    half = {name: tensor.to(dtype) for name, tensor in official.items()}
    config, state_dict = convert_state_dict(half, TASK, **HEADS)
    assert config.vision_config.image_positions == "native"
    assert {tensor.dtype for tensor in state_dict.values()} == {dtype}


def test_a_known_task_brings_its_labels_and_an_image_size_can_be_given(recorder):
    official = recorder.weights(recorder.sizes(joints=14, image_size=(128, 96)))
    config, state_dict = convert_state_dict(official, "pose-aic", image_size=(128, 96), **HEADS)
    assert config.task() == replace(KNOWN_TASKS["pose-aic"], image_size=(128, 96))
    load(config, state_dict)


def test_heads_default_to_one_per_64_channels(recorder):
    official = recorder.weights(recorder.sizes(width=128, decoder_width=32))
    assert convert_state_dict(official, TASK)[0].vision_config.num_attention_heads == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "pose-coco"}, "'pose-coco' has 17 labels, but the weights are for 5"),
        ({"task": "pose-coc"}, "no known task 'pose-coc'"),
        ({"image_size": (256, 192)}, "image_size: .*16x12 patches, .* table of 12"),
        ({"encoder_heads": 5}, "encoder_heads: 5 heads"),
        ({"encoder_heads": None}, "encoder_heads: 0 heads"),
        ({"decoder_heads": 3}, "decoder_heads: 3 heads"),
    ],
)
def test_arguments_that_do_not_fit_the_weights_are_named(official, arguments, message):
    with pytest.raises(ValueError, match=message):
        convert_state_dict(official, **{"task": TASK, **HEADS, **arguments})


def test_places_of_queries_that_are_not_those_of_the_patches_are_kept_and_used(official):
    plain = load(*convert_state_dict(official, TASK, **HEADS))
    official[QUERY_POSITIONS] = official[QUERY_POSITIONS] + 0.25
    config, state_dict = convert_state_dict(official, TASK, **HEADS)
    assert config.decoder_config.query_positions == "stored"
    assert config.decoder_config.grid_positions == "stretched"
    name = "hulk.decoder.places.queries.pose-five.weight"
    assert torch.equal(state_dict[name], official[QUERY_POSITIONS].reshape(12, -1))
    kept, pixels = load(config, state_dict), torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        assert (kept(pixels).heatmaps - plain(pixels).heatmaps).abs().max() > 1e-3
        # With the table of the patches in its place, the rule is back.
        kept.hulk.decoder.places.queries("pose-five").copy_(plain.hulk.decoder.places.grids(4, 3, "pose-five"))
        torch.testing.assert_close(kept(pixels).heatmaps, plain(pixels).heatmaps, atol=1e-5, rtol=1e-5)
        assert kept(torch.randn(1, 3, 96, 64)).heatmaps.shape == (1, 5, 24, 16)


def test_decoder_tables_that_follow_no_formula_are_kept_and_used(recorder, official):
    plain = load(*convert_state_dict(official, TASK, **HEADS))
    for name in (QUERY_POSITIONS, QUERY_POSITIONS.replace("label", "patch")):
        official[name] = official[name] + 0.25
    config, state_dict = convert_state_dict(official, TASK, **HEADS)
    assert config.decoder_config.grid_positions == "stored"
    assert torch.equal(
        state_dict["hulk.decoder.places.grids.pose-five.weight"], official[QUERY_POSITIONS].reshape(12, -1)
    )
    pixels = torch.randn(1, 3, 64, 48)
    with torch.no_grad():
        kept, other = (model(pixels).heatmaps for model in (load(config, state_dict), plain))
    assert (kept - other).abs().max() > 1e-3


def test_decoder_tables_may_be_absent_as_they_follow_from_their_formula(recorder, official):
    without = {name: tensor for name, tensor in official.items() if "query_embed" not in name}
    same_outputs(recorder, load(*convert_state_dict(without, TASK, **HEADS)), official, recorder.sizes())


def test_a_second_name_with_other_values_is_left_out_with_a_warning(official):
    name = "proj_dense_labeling.upsample_network.1.bias"
    official[name.replace(".bias", ".ln.bias")] = official[name] + 1
    with pytest.warns(UserWarning, match=r"upsample_network.1.ln.bias'.*differs; it is left out"):
        _, state_dict = convert_state_dict(official, TASK, **HEADS)
    assert torch.equal(state_dict["dense_head.upsamplers.pose-five.layernorm.bias"], official[name])


def test_keys_that_meet_and_values_that_are_no_tensors_are_refused():
    with pytest.raises(ValueError, match="two keys mean 'a'"):
        unwrap_state_dict({"a": torch.zeros(1), "module.a": torch.zeros(1)})
    with pytest.raises(TypeError, match=r"official\['step'\]: expected a tensor, got int"):
        unwrap_state_dict({"step": 3})
