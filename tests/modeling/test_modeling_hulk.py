# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The network: loading, numerics, outputs, errors. That its numbers are the official ones is shown in conversion."""

from __future__ import annotations

import copy
import csv
import json
import logging
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.encoder_hulk import HulkDropPath
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.positions_hulk import sincos_2d, stretched_sincos_2d
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

VISION = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
DECODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}
SMALL = HulkTask("pose-small", "pose", ("head", "left hand", "right hand"), image_size=(64, 48))
DIAGONAL = HulkTask("pose-diagonal", "pose", ("a", "b"), image_size=(64, 48), attention="diagonal")


def small_config(**fields) -> HulkConfig:
    vision, decoder = VISION | fields.pop("vision", {}), DECODER | fields.pop("decoder", {})
    settings = {"tasks": [SMALL, DIAGONAL], "text_feature_size": 24, **fields}
    return HulkConfig(vision_config={"drop_path_rate": 0.0, **vision}, decoder_config=decoder, **settings)


def build(config: HulkConfig | None = None) -> HulkForPoseEstimation:
    """A model whose every parameter matters: norms, biases and tokens are not at their neutral initial values."""
    torch.manual_seed(0)
    model = HulkForPoseEstimation(small_config() if config is None else config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def model() -> HulkForPoseEstimation:
    return build()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def targets() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {"labels": torch.rand(2, 3, 16, 12, generator=generator), "label_weights": torch.tensor([[1.0, 0, 1]] * 2)}


@torch.no_grad()
def heatmaps(model, pixels, **kwargs) -> torch.Tensor:
    return model(pixels, **kwargs).heatmaps


def assert_same(ours: torch.Tensor, other: torch.Tensor) -> None:
    """Equal but for rounding: weights that lie elsewhere in memory may take another way through the processor."""
    torch.testing.assert_close(ours, other, atol=1e-6, rtol=1e-5)


# Loading


def test_a_saved_model_gives_the_same_outputs(model, pixels, tmp_path):
    model.save_pretrained(tmp_path)
    loaded, info = HulkForPoseEstimation.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    ours, theirs = model.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    for task in ("pose-small", "pose-diagonal"):
        assert_same(heatmaps(loaded, pixels, task=task), heatmaps(model, pixels, task=task))


def test_published_names_are_those_of_the_contract(model):
    names = set(model.state_dict())
    for name in (
        "hulk.tokenizers.image.projection.weight",
        "hulk.tokenizers.image.modality_embedding.weight",
        "hulk.encoder.layers.0.layernorm_before.weight",
        "hulk.encoder.layers.2.attention.q_proj.bias",
        "hulk.encoder.layers.2.mlp.fc2.weight",
        "hulk.encoder.layernorm.bias",
        "hulk.neck.projection.weight",
        "hulk.decoder.layers.1.attention.o_proj.weight",
        "hulk.decoder.layers.1.attention_layernorm.weight",
        "hulk.decoder.layers.0.mlp_layernorm.bias",
        "hulk.decoder.queries.pose.weight",
        "hulk.decoder.position_mlp_2d.fc1.weight",
        "hulk.decoder.layernorm.weight",
        "dense_head.query_proj.weight",
        "dense_head.label_proj.weight",
        "dense_head.norms.pose-small.weight",
        "dense_head.upsamplers.pose-diagonal.deconv1.weight",
        "dense_head.upsamplers.pose-small.layernorm.bias",
        "dense_head.label_features.pose-small",
    ):
        assert name in names, name
    assert not [name for name in names if "table" in name], "tables that follow from a formula are not published"


@pytest.mark.parametrize("image_positions", ["stretched", "native", "stored"])
def test_loading_through_the_meta_device_fills_what_no_file_holds(image_positions, pixels, tmp_path):
    """Position tables are not in the file; label features are, but are no parameters."""
    model = build(small_config(vision={"image_positions": image_positions}))
    model.save_pretrained(tmp_path)
    loaded = HulkForPoseEstimation.from_pretrained(tmp_path)
    assert_same(heatmaps(loaded, pixels), heatmaps(model, pixels))
    assert torch.equal(loaded.hulk.decoder.places.grids(4, 3, "pose-small"), stretched_sincos_2d(32, 4, 3))
    if image_positions != "stored":
        formula = stretched_sincos_2d if image_positions == "stretched" else sincos_2d
        assert torch.equal(loaded.hulk.tokenizers["image"].position_tables(4, 3, "pose-small"), formula(48, 4, 3))
    assert torch.equal(loaded.dense_head.label_features("pose-small"), model.dense_head.label_features("pose-small"))
    assert not [name for name, tensor in [*loaded.named_parameters(), *loaded.named_buffers()] if tensor.is_meta]


def test_a_fresh_model_has_tables_and_label_features():
    fresh = HulkForPoseEstimation(small_config())
    assert torch.equal(fresh.hulk.decoder.places.grids(4, 3, "pose-small"), stretched_sincos_2d(32, 4, 3))
    assert 0.5 < fresh.dense_head.label_features("pose-small").std() < 1.5


def test_trunk_and_task_class_load_each_others_files(model, pixels, tmp_path, caplog):
    model.save_pretrained(tmp_path / "head")
    with caplog.at_level(logging.WARNING):
        trunk = HulkModel.from_pretrained(tmp_path / "head")
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    with torch.no_grad():
        assert_same(trunk(pixels).last_hidden_state, model.hulk(pixels).last_hidden_state)
    trunk.save_pretrained(tmp_path / "trunk")
    assert not [name for name in load_file(tmp_path / "trunk" / "model.safetensors") if name.startswith("dense_head")]
    headed, info = HulkForPoseEstimation.from_pretrained(tmp_path / "trunk", output_loading_info=True)
    assert {name.split(".")[0] for name in info["missing_keys"]} == {"dense_head"}
    assert not info["unexpected_keys"] and not info["mismatched_keys"]
    with torch.no_grad():
        assert_same(headed.hulk(pixels).last_hidden_state, model.hulk(pixels).last_hidden_state)


def test_the_parts_of_other_families_are_passed_over_in_silence(model, pixels, tmp_path, caplog):
    """One class loads its part of the universal file."""
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    others = (
        "text_head.query_proj.weight",
        "box_head.layers.0.weight",
        "mesh_head.coordinates.bias",
        "caption_head.label_features",
        "hulk.tokenizers.skeleton.projection.weight",
        "hulk.decoder.queries.parsing.weight",
        "hulk.decoder.queries.attributes.weight",
        "hulk.decoder.modality_indicators.parsing.weight",
        "hulk.tokenizers.image.position_tables.parsing-lip.weight",
        "hulk.decoder.position_mlp_1d.fc1.weight",
        "dense_head.norms.parsing-lip.weight",
        "dense_head.upsamplers.parsing.deconv1.weight",
        "dense_head.label_features.parsing-lip",
    )
    save_file(load_file(path) | {name: torch.zeros(1) for name in others}, path, {"format": "pt"})
    config = json.loads((tmp_path / "config.json").read_text())
    config["tasks"]["parsing-own"] = {"family": "parsing", "labels": ["a", "b"], "attention": "diagonal"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with caplog.at_level(logging.WARNING):
        loaded = HulkForPoseEstimation.from_pretrained(tmp_path)
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    assert_same(heatmaps(loaded, pixels, task="pose-small"), heatmaps(model, pixels, task="pose-small"))
    assert list(loaded.hulk.decoder.queries) == ["pose"]


def test_one_task_can_be_loaded_from_the_file_of_several(model, pixels, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = HulkForPoseEstimation.from_pretrained(tmp_path, config=small_config(tasks=[DIAGONAL]))
    assert_same(heatmaps(loaded, pixels), heatmaps(model, pixels, task="pose-diagonal"))


def test_loading_in_bfloat16(model, pixels, tmp_path):
    model.save_pretrained(tmp_path)
    half = HulkForPoseEstimation.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    with torch.no_grad():
        outputs, exact = half(pixels), model(pixels)  # float32 pictures are accepted
    assert outputs.heatmaps.dtype == outputs.presence_logits.dtype == torch.bfloat16
    assert (outputs.heatmaps.float() - exact.heatmaps).abs().mean() < 0.05 * exact.heatmaps.abs().mean()
    loss = half(pixels, labels=torch.zeros(2, 3, 16, 12)).loss
    loss.backward()
    assert loss.isfinite()


def test_parameter_counts_are_those_of_the_official_model(shared):
    """All live tensors of an official file, label features included; its figures are published in millions."""
    with open(shared / "checkpoint" / "keys_full_task8.tsv", encoding="utf-8", newline="") as file:
        shapes = {row["key"]: json.loads(row["shape"]) for row in csv.DictReader(file, delimiter="\t")}
    unused = (
        r"global_tokens|neck_label|level_embed|class_embed|mask_embed|adapter_dense|proj_rgb|adapt_pos1d|\.1\.ln\."
    )
    tables = r"adapter_rgb\.pos_embed|query_embed"
    live = sum(torch.Size(shape).numel() for key, shape in shapes.items() if not re.search(f"{unused}|{tables}", key))
    for preset, millions, encoder_millions in (("hulk-base", "98.12", "85.056"), ("hulk-large", "315.64", "302.311")):
        with torch.device("meta"):
            network = HulkForPoseEstimation(HulkConfig.preset(preset, tasks=["pose-coco"]))
        ours = sum(tensor.numel() for tensor in network.state_dict().values())
        assert f"{ours / 1e6:.2f}" == millions
        encoder = sum(parameter.numel() for parameter in network.hulk.encoder.parameters())
        assert f"{encoder / 1e6:.3f}" == encoder_millions
        decoder_layers = sum(parameter.numel() for parameter in network.hulk.decoder.layers.parameters())
        assert f"{decoder_layers / 1e6:.3f}" == "11.836"
        assert preset == "hulk-large" or ours == live


# Numerics


def test_eager_and_sdpa_agree(pixels, targets):
    model = build()
    gradients = []
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        assert model.hulk.decoder.config._attn_implementation == implementation
        model.zero_grad()
        outputs = model(pixels, **targets)
        outputs.loss.backward()
        gradients.append(
            (outputs.heatmaps.detach(), [p.grad.clone() for p in model.parameters() if p.grad is not None])
        )
    torch.testing.assert_close(gradients[0][0], gradients[1][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradients[0][1], gradients[1][1], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_changes_no_gradient(pixels, targets, reentrant):
    model = build().train()
    model(pixels, **targets).loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    assert model.is_activation_checkpointing
    pixels = pixels.clone().requires_grad_() if reentrant else pixels  # re-entrant checkpoints need such an input
    model(pixels, **targets).loss.backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, atol=1e-7, rtol=1e-5)


def test_every_trained_parameter_gets_a_gradient(pixels):
    model = build(small_config(decoder={"modality_embedding": True})).train()
    for task, joints in (("pose-small", 3), ("pose-diagonal", 2)):
        model(pixels, labels=torch.rand(2, joints, 16, 12), task=task).loss.backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without


@pytest.mark.slow
def test_compiled_as_one_graph_gives_the_same(pixels):
    torch._dynamo.reset()
    model = build(small_config(vision={"num_hidden_layers": 1}))
    compiled = torch.compile(model, fullgraph=True)
    with torch.no_grad():
        outputs, expected = compiled(pixels), model(pixels)
    torch.testing.assert_close(outputs.heatmaps, expected.heatmaps, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(outputs.presence_logits, expected.presence_logits, atol=1e-5, rtol=1e-5)


def test_the_whole_model_is_one_graph(model, pixels):
    """As above, without the time that generating code takes."""
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.no_grad():
        assert torch.equal(compiled(pixels).heatmaps, model(pixels).heatmaps)


def test_a_batch_equals_its_rows(model, pixels):
    rows = torch.cat([heatmaps(model, row[None]) for row in pixels])
    torch.testing.assert_close(heatmaps(model, pixels), rows, atol=1e-5, rtol=1e-5)


def test_drop_path_keeps_the_mean_and_grows_with_depth():
    drop = HulkDropPath(0.3).train()
    torch.manual_seed(0)
    branch = drop(torch.ones(20_000, 2, 3))
    per_sample = branch.flatten(1)
    assert (per_sample == per_sample[:, :1]).all(), "a sample is dropped as a whole"
    kept = per_sample[:, 0] > 0
    assert torch.allclose(per_sample[kept], torch.tensor(1 / 0.7))
    assert kept.float().mean() == pytest.approx(0.7, abs=0.02)
    assert torch.equal(drop.eval()(branch), branch)
    model = HulkForPoseEstimation(small_config(vision={"drop_path_rate": 0.2}))
    assert [layer.drop_path.rate for layer in model.hulk.encoder.layers] == pytest.approx([0.0, 0.1, 0.2])


def test_drop_path_acts_in_training_only(pixels):
    model = build(small_config(vision={"drop_path_rate": 0.9}))
    assert torch.equal(heatmaps(model, pixels), heatmaps(model, pixels))
    model.train()
    torch.manual_seed(0)
    assert not torch.equal(heatmaps(model, pixels), heatmaps(model, pixels))


# Sizes and options


@pytest.mark.parametrize("size", [(64, 64), (32, 96), (16, 16), (128, 112)])
@pytest.mark.parametrize("image_positions", ["stretched", "native"])
def test_other_input_sizes_than_the_configured(image_positions, size):
    """Tables of other grids are computed when they come, and are those a model configured for them would have."""
    config = small_config(vision={"image_positions": image_positions})
    model = build(config)
    sized = [copy.deepcopy(task) for task in (SMALL, DIAGONAL)]
    for task in sized:
        object.__setattr__(task, "image_size", size)
    other = HulkForPoseEstimation(small_config(vision={"image_positions": image_positions}, tasks=sized)).eval()
    other.load_state_dict(model.state_dict())
    pixels = torch.randn(1, 3, *size)
    maps = heatmaps(model, pixels)
    assert maps.shape == (1, 3, size[0] // 4, size[1] // 4)
    assert torch.equal(maps, heatmaps(other, pixels))


def test_modality_embedding_is_an_option_that_acts_and_is_saved(model, pixels, tmp_path):
    with_embedding = HulkForPoseEstimation(small_config(decoder={"modality_embedding": True})).eval()
    info = with_embedding.load_state_dict(model.state_dict(), strict=False)
    assert set(info.missing_keys) == {f"hulk.decoder.modality_indicators.{name}.weight" for name in ("image", "pose")}
    for indicator in with_embedding.hulk.decoder.modality_indicators.values():
        nn.init.zeros_(indicator.weight)
    plain = heatmaps(model, pixels)
    assert torch.equal(heatmaps(with_embedding, pixels), plain)
    for name, indicator in with_embedding.hulk.decoder.modality_indicators.items():
        nn.init.normal_(indicator.weight)
        changed = heatmaps(with_embedding, pixels)
        assert not torch.allclose(changed, plain, atol=1e-3), name
        plain = changed
    with_embedding.save_pretrained(tmp_path)
    assert_same(heatmaps(HulkForPoseEstimation.from_pretrained(tmp_path), pixels), plain)


# Outputs


def test_hidden_states_and_attentions_of_encoder_and_decoder(pixels):
    model = build()
    model.set_attn_implementation("eager")
    names = ("hidden_states", "attentions", "decoder_hidden_states", "decoder_attentions")
    everything = {f"output_{name}": True for name in names}
    with torch.no_grad():
        outputs = model(pixels, **everything)
        tokens = model.hulk.tokenizers["image"](pixels, "pose-small")
    assert [tuple(state.shape) for state in outputs.hidden_states] == [(2, 12, 48)] * (3 + 1)
    assert torch.equal(outputs.hidden_states[0], tokens)
    assert torch.equal(model.hulk.encoder.layernorm(outputs.hidden_states[-1]), outputs.encoder_last_hidden_state)
    assert [tuple(weights.shape) for weights in outputs.attentions] == [(2, 4, 12, 12)] * 3
    # Nothing reads the context after the last layer, so its rows are not computed there.
    assert [tuple(state.shape) for state in outputs.decoder_hidden_states] == [(2, 24, 32), (2, 12, 32)]
    assert [tuple(weights.shape) for weights in outputs.decoder_attentions] == [(2, 4, 24, 24), (2, 4, 12, 24)]
    for weights in (*outputs.attentions, *outputs.decoder_attentions):
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    with torch.no_grad():
        diagonal = model(pixels, task="pose-diagonal", **everything)
        plain = model(pixels)
    assert [tuple(weights.shape) for weights in diagonal.decoder_attentions] == [(2, 4, 12, 24)] * 2
    assert plain.hidden_states is plain.attentions is plain.decoder_hidden_states is plain.decoder_attentions is None


def test_outputs_as_a_tuple(model, pixels, targets):
    with torch.no_grad():
        named, plain = model(pixels, **targets), model(pixels, **targets, return_dict=False)
        loss, loss_dict, maps, presence, memory = plain
        assert torch.equal(loss, named.loss) and loss_dict.keys() == named.loss_dict.keys()
        assert torch.equal(maps, named.heatmaps) and torch.equal(presence, named.presence_logits)
        assert torch.equal(memory, named.encoder_last_hidden_state)
        states, trunk_memory = model.hulk(pixels, return_dict=False)
    assert states.shape == (2, 12, 32) and torch.equal(trunk_memory, memory)


@torch.no_grad()
def test_stages_can_be_called_alone(model, pixels):
    task = model.hulk.resolve_task("pose-diagonal")
    inputs = model.hulk.prepare(task, pixels)
    memory = model.hulk.encode(inputs)
    states, auxiliary = model.hulk.decode(memory, task, inputs, auxiliary=True)
    assert len(auxiliary) == 1
    maps, presence = model.dense_head(states, task, (4, 3))
    outputs = model(pixels, task="pose-diagonal")
    assert torch.equal(maps, outputs.heatmaps) and torch.equal(presence, outputs.presence_logits)
    assert torch.equal(memory, outputs.encoder_last_hidden_state)


@torch.no_grad()
def test_tasks_have_their_own_joints_and_share_the_rest(model, pixels):
    assert heatmaps(model, pixels).shape == heatmaps(model, pixels, task="pose").shape == (2, 3, 16, 12)
    assert heatmaps(model, pixels, task="pose-diagonal").shape == (2, 2, 16, 12)
    both = build(small_config(tasks=[SMALL, DIAGONAL], default_tasks={"pose": "pose-diagonal"}))
    assert heatmaps(both, pixels).shape == (2, 2, 16, 12)


def test_the_loss_has_a_term_for_every_decoder_layer(model, pixels, targets):
    with torch.no_grad():
        outputs = model(pixels, **targets)
        without = model(pixels)
    assert list(outputs.loss_dict) == ["heatmap", "presence", "heatmap_aux_0", "presence_aux_0"]
    assert outputs.loss == pytest.approx(sum(term.item() for term in outputs.loss_dict.values()))
    assert without.loss is None and without.loss_dict is None
    assert torch.equal(without.heatmaps, outputs.heatmaps), "deep supervision does not change the result"
    expected = ((outputs.heatmaps - targets["labels"]) ** 2 * targets["label_weights"][..., None, None]).mean()
    assert outputs.loss_dict["heatmap"] == pytest.approx(expected.item())
    per_pixel = targets["label_weights"][..., None, None].expand(2, 3, 16, 12)
    with torch.no_grad():
        again = model(pixels, labels=targets["labels"], label_weights=per_pixel)
    assert again.loss == pytest.approx(outputs.loss.item())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "pose-coco"}, "no task 'pose-coco' in this checkpoint, .*pose-diagonal"),
        ({"task": "parsing"}, "no task 'parsing'"),
        ({"pixel_values": torch.zeros(1, 3, 60, 48)}, "multiples of the patch size 16, got 60x48"),
        ({"pixel_values": torch.zeros(1, 1, 64, 48)}, r"expected shape \(batch, 3, height, width\), got \(1, 1, 64"),
        ({"pixel_values": torch.zeros(3, 64, 48)}, "expected shape"),
        ({"pixel_values": torch.zeros(1, 3, 0, 48)}, "multiples of the patch size"),
        (
            {"pixel_values": torch.zeros(1, 3, 64, 48, dtype=torch.uint8)},
            "pixel_values: .*torch.uint8; the image proc",
        ),
        ({"labels": torch.zeros(2, 3, 16, 12), "label_weights": torch.full((2, 3), 2.0)}, "between 0 and 1, got 2"),
        ({"labels": torch.zeros(2, 3, 16, 12), "label_weights": torch.full((2, 3), torch.nan)}, "got nan"),
        ({"pixel_values": torch.zeros(0, 3, 64, 48), "labels": torch.zeros(0, 3, 16, 12)}, "labels: .* empty batch"),
        ({"labels": torch.zeros(2, 2, 16, 12)}, r"labels: expected heat maps of shape \(2, 3"),
        ({"labels": torch.zeros(2, 3, 16)}, "labels"),
        ({"labels": torch.zeros(2, 3, 16, 12), "label_weights": torch.zeros(2, 2)}, "label_weights: expected shape"),
    ],
)
def test_bad_inputs_are_named(model, pixels, arguments, message):
    with pytest.raises(ValueError, match=message):
        model(**{"pixel_values": pixels, **arguments})


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("task", ["pose-small", "pose-diagonal"])
def test_no_persons_give_no_maps(implementation, task):
    model = build()
    model.set_attn_implementation(implementation)
    outputs = model(torch.zeros(0, 3, 64, 48), task=task)
    joints = model.config.task(task).num_labels
    assert outputs.heatmaps.shape == (0, joints, 16, 12) and outputs.presence_logits.shape == (0, joints)


def test_a_picture_without_boxes_goes_through_the_model(tiny_pose_model, tiny_pose_processor):
    inputs = tiny_pose_processor(torch.zeros(3, 40, 30, dtype=torch.uint8), boxes=[], return_tensors="pt")
    assert heatmaps(tiny_pose_model, inputs.pop("pixel_values"), **inputs).shape == (0, 17, 64, 48)


def test_misspelt_arguments_are_refused_and_options_of_transformers_are_not(model, pixels, targets):
    for called in (model, model.hulk):
        with pytest.raises(TypeError, match=r"unexpected keyword arguments \['lables'\]"):
            called(pixels, lables=targets["labels"])
    outputs = model(pixels, **targets, num_items_in_batch=torch.tensor(2), output_attentions=False, return_dict=True)
    assert outputs.loss is not None


def test_the_width_of_the_upsamplers_is_that_of_the_decoder_unless_given(pixels):
    assert build().dense_head.upsamplers["pose-small"].deconv1.out_channels == 32
    wider = build(small_config(decoder={"upsampler_hidden_size": 40}))
    assert wider.dense_head.upsamplers["pose-small"].deconv1.out_channels == 40
    assert heatmaps(wider, pixels).shape == (2, 3, 16, 12)


@torch.no_grad()
def test_a_grid_without_a_stored_table_gets_one_resized():
    tables = build(small_config(vision={"image_positions": "stored"})).hulk.tokenizers["image"].position_tables
    stored = tables(4, 3, "pose-small").T.reshape(1, -1, 4, 3)
    resized = torch.nn.functional.interpolate(stored, size=(6, 5), mode="bicubic", align_corners=False)
    assert torch.equal(tables(6, 5, "pose-small"), resized.flatten(2)[0].T)


def test_a_configuration_without_pose_tasks_is_refused():
    config = small_config(tasks=[HulkTask("parsing-own", "parsing", ("a", "b"))])
    with pytest.raises(ValueError, match="expected a task of family .*pose.*parsing-own"):
        HulkForPoseEstimation(config)


def test_known_tasks_run_at_their_own_sizes():
    known = {name: task for name, task in KNOWN_TASKS.items() if task.family == "pose"}
    config = small_config(tasks=list(known), decoder={"num_hidden_layers": 1}, vision={"num_hidden_layers": 1})
    model = HulkForPoseEstimation(config).eval()
    for task in known.values():
        maps = heatmaps(model, torch.zeros(1, 3, *task.image_size), task=task.name)
        assert maps.shape == (1, task.num_labels, task.image_size[0] // 4, task.image_size[1] // 4)
