# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Attribute recognition: loading, numerics, outputs, errors. That its numbers are the official ones: conversion."""

from __future__ import annotations

import json
import logging
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.loss_attributes_hulk import attributes_loss
from hulk_hf.modeling.modeling_attributes_hulk import HulkForAttributeRecognition, read_attributes
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.pretrained_hulk import LORA_TARGET_MODULES
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

VISION = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
DECODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}
CLOTHES = HulkTask("attributes-clothes", "attributes", ("hat", "skirt", "boots", "jeans", "coat"), image_size=(64, 48))
PERSON = HulkTask(
    "attributes-person", "attributes", ("female", "young", "sitting"), image_size=(64, 48),
    presence_ratios=(0.4, 0.1, 0.7), label_weights=(1.0, 0.5, 2.0),
)  # fmt: skip


def small_config(**fields) -> HulkConfig:
    vision, decoder = VISION | fields.pop("vision", {}), DECODER | fields.pop("decoder", {})
    settings = {"tasks": [CLOTHES, PERSON], "text_feature_size": 24, **fields}
    return HulkConfig(vision_config={"drop_path_rate": 0.0, **vision}, decoder_config=decoder, **settings)


def build(config: HulkConfig | None = None) -> HulkForAttributeRecognition:
    """A model whose every parameter matters: norms, biases and tokens are not at their neutral initial values."""
    torch.manual_seed(0)
    model = HulkForAttributeRecognition(small_config() if config is None else config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module")
def model() -> HulkForAttributeRecognition:
    return build()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def labels() -> torch.Tensor:
    return torch.tensor([[1, 0, -1, 1, 0], [0, 2, 1, 1, -1]])


@torch.no_grad()
def logits(model, pixels, **kwargs) -> torch.Tensor:
    return model(pixels, **kwargs).logits


def assert_same(ours: torch.Tensor, other: torch.Tensor) -> None:
    """Equal but for rounding: weights that lie elsewhere in memory may take another way through the processor."""
    torch.testing.assert_close(ours, other, atol=1e-6, rtol=1e-5)


# Loading


def test_a_saved_model_gives_the_same_outputs(model, pixels, tmp_path):
    model.save_pretrained(tmp_path)
    loaded, info = HulkForAttributeRecognition.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    for task in ("attributes-clothes", "attributes-person"):
        assert_same(logits(loaded, pixels, task=task), logits(model, pixels, task=task))


def test_published_names_are_those_of_the_contract(model):
    names = set(model.state_dict())
    expected = {
        "hulk.decoder.queries.attributes.weight",
        "text_head.query_proj.weight",
        "text_head.label_proj.weight",
        *(
            f"text_head.norms.attributes-{task}.{part}"
            for task in ("clothes", "person")
            for part in ("weight", "bias")
        ),
        *(f"text_head.label_features.attributes-{task}" for task in ("clothes", "person")),
    }
    assert {name for name in names if name.startswith(("text_head", "hulk.decoder.queries"))} == expected
    # Positions enter the decoder once, without an MLP, and follow from formulas.
    assert not [name for name in names if "position" in name or "places" in name or "skeleton" in name]


def test_trunk_and_task_class_load_each_others_files(model, pixels, tmp_path, caplog):
    model.save_pretrained(tmp_path / "head")
    with caplog.at_level(logging.WARNING):
        trunk = HulkModel.from_pretrained(tmp_path / "head")
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    with torch.no_grad():
        assert_same(trunk(pixels).last_hidden_state, model.hulk(pixels).last_hidden_state)
    trunk.save_pretrained(tmp_path / "trunk")
    headed, info = HulkForAttributeRecognition.from_pretrained(tmp_path / "trunk", output_loading_info=True)
    assert {name.split(".")[0] for name in info["missing_keys"]} == {"text_head"}
    assert not info["unexpected_keys"] and not info["mismatched_keys"]
    with torch.no_grad():
        assert_same(headed.hulk(pixels).last_hidden_state, model.hulk(pixels).last_hidden_state)


def test_the_parts_of_other_families_are_passed_over_in_silence(model, pixels, tmp_path, caplog):
    """One class loads its part of the universal file, of which the text head also serves actions and captions."""
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    others = (
        "dense_head.query_proj.weight",
        "box_head.mlp.0.weight",
        "mesh_head.coordinates.bias",
        "caption_head.token_proj.weight",
        "hulk.tokenizers.skeleton.projection.weight",
        "hulk.decoder.queries.action.weight",
        "hulk.decoder.modality_indicators.skeleton.weight",
        "hulk.decoder.position_mlp_1d.fc1.weight",
        "hulk.decoder.position_mlp_2d.fc1.weight",
        "text_head.norms.action-own.weight",
        "text_head.label_features.caption-own",
    )
    save_file(load_file(path) | {name: torch.zeros(1) for name in others}, path, {"format": "pt"})
    config = json.loads((tmp_path / "config.json").read_text())
    config["tasks"]["action-own"] = {"family": "action", "labels": ["sit", "stand"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with caplog.at_level(logging.WARNING):
        loaded = HulkForAttributeRecognition.from_pretrained(tmp_path)
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    assert_same(logits(loaded, pixels), logits(model, pixels))


def test_loading_in_bfloat16(model, pixels, labels, tmp_path):
    model.save_pretrained(tmp_path)
    half = HulkForAttributeRecognition.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    outputs, exact = half(pixels, labels=labels), logits(model, pixels)
    assert outputs.logits.dtype == torch.bfloat16
    assert (outputs.logits.float() - exact).abs().mean() < 0.1 * exact.abs().mean()
    outputs.loss.backward()
    assert outputs.loss.isfinite()


@pytest.mark.parametrize(
    ("preset", "millions"), [("hulk-base", ("98.07", "98.02")), ("hulk-large", ("315.59", "315.54"))]
)
def test_parameter_counts_are_those_of_the_official_models(preset, millions):
    """Label features included; the figures are those published for the live tensors of the official files."""
    for task, expected in zip(("attributes-joint", "attributes-luperson"), millions, strict=True):
        with torch.device("meta"):
            network = HulkForAttributeRecognition(HulkConfig.preset(preset, tasks=[task]))
        assert f"{sum(tensor.numel() for tensor in network.state_dict().values()) / 1e6:.2f}" == expected


# Numerics


@torch.no_grad()
def test_every_attribute_is_compared_with_its_own_query_and_normed_over_all(model, pixels):
    states = model.hulk(pixels, task="attributes-clothes").last_hidden_state.double()
    weights = {name: tensor.double() for name, tensor in model.text_head.state_dict().items()}
    features = weights["label_features.attributes-clothes"] @ weights["label_proj.weight"].T
    expected = []
    for person in states @ weights["query_proj.weight"].T:
        cosines = []
        for query, label in zip(person, features, strict=True):
            cosines.append((query @ label / (query.norm() * label.norm())).item())
        mean = sum(cosines) / len(cosines)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in cosines) / len(cosines) + 1e-6)
        expected.append([(value - mean) / deviation for value in cosines])
    norm = {part: weights[f"norms.attributes-clothes.{part}"] for part in ("weight", "bias")}
    expected = torch.tensor(expected, dtype=torch.float64) * norm["weight"] + norm["bias"]
    torch.testing.assert_close(logits(model, pixels).double(), expected, atol=1e-5, rtol=1e-5)


def test_eager_and_sdpa_agree(pixels, labels):
    model = build()
    results = []
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        model.zero_grad()
        outputs = model(pixels, labels=labels)
        outputs.loss.backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        results.append((outputs.logits.detach(), gradients))
    torch.testing.assert_close(results[0][0], results[1][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-5, rtol=1e-4)


def test_gradient_checkpointing_changes_no_gradient(pixels, labels):
    model = build().train()
    model(pixels, labels=labels).loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    model.activation_checkpointing_enable()
    model(pixels, labels=labels).loss.backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, atol=1e-7, rtol=1e-5)


def test_every_trained_parameter_gets_a_gradient(pixels):
    model = build(small_config(decoder={"modality_embedding": True})).train()
    for task in (CLOTHES, PERSON):
        model(pixels, labels=torch.ones(2, task.num_labels), task=task.name).loss.backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_the_whole_model_is_one_graph(model, pixels):
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert torch.equal(logits(compiled, pixels), logits(model, pixels))


def test_a_batch_equals_its_rows(model, pixels):
    rows = torch.cat([logits(model, row[None]) for row in pixels])
    torch.testing.assert_close(logits(model, pixels), rows, atol=1e-5, rtol=1e-5)


# Outputs


def test_hidden_states_and_attentions_of_encoder_and_decoder(pixels):
    model = build()
    model.set_attn_implementation("eager")
    names = ("hidden_states", "attentions", "decoder_hidden_states", "decoder_attentions")
    with torch.no_grad():
        outputs = model(pixels, **{f"output_{name}": True for name in names})
    assert [tuple(state.shape) for state in outputs.hidden_states] == [(2, 12, 48)] * 4
    assert [tuple(weights.shape) for weights in outputs.attentions] == [(2, 4, 12, 12)] * 3
    assert [tuple(state.shape) for state in outputs.decoder_hidden_states] == [(2, 17, 32), (2, 5, 32)]
    assert [tuple(weights.shape) for weights in outputs.decoder_attentions] == [(2, 4, 5, 17)] * 2


def test_outputs_as_a_tuple(model, pixels, labels):
    with torch.no_grad():
        named, plain = model(pixels, labels=labels), model(pixels, labels=labels, return_dict=False)
    loss, loss_dict, scores, memory = plain
    assert torch.equal(loss, named.loss) and loss_dict.keys() == named.loss_dict.keys() == {"attributes"}
    assert torch.equal(scores, named.logits) and torch.equal(memory, named.encoder_last_hidden_state)


def test_the_loss_is_that_of_the_task(model, pixels):
    labels = torch.tensor([[1, 0, 1], [-1, 1, 0]])
    with torch.no_grad():
        outputs = model(pixels, labels=labels, task="attributes-person")
        expected = attributes_loss(outputs.logits, labels, PERSON)["attributes"]
        unweighted = attributes_loss(outputs.logits, labels, HulkTask("attributes-x", "attributes", PERSON.labels))
    assert torch.equal(outputs.loss, expected) and torch.equal(outputs.loss_dict["attributes"], expected)
    assert not torch.isclose(outputs.loss, unweighted["attributes"])
    assert logits(model, pixels, task="attributes-person").shape == (2, 3)


@torch.no_grad()
def test_the_reader_serves_any_module_with_a_text_head(model, pixels):
    task = model.hulk.resolve_task("attributes-person")
    inputs = model.hulk.prepare(task, pixels)
    heads = torch.nn.ModuleDict({"text_head": model.text_head})
    outputs = model.hulk(pixels, task=task.name)
    assert torch.equal(read_attributes(heads, outputs, task, inputs).logits, logits(model, pixels, task=task.name))


def test_known_tasks_run_at_their_own_sizes():
    known = [task for task in KNOWN_TASKS.values() if task.family == "attributes"]
    config = small_config(tasks=known, vision={"num_hidden_layers": 1}, decoder={"num_hidden_layers": 1})
    model = HulkForAttributeRecognition(config).eval()
    for task in known:
        assert logits(model, torch.zeros(1, 3, *task.image_size), task=task.name).shape == (1, task.num_labels)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_no_persons_give_no_attributes(implementation):
    model = build()
    model.set_attn_implementation(implementation)
    assert logits(model, torch.zeros(0, 3, 64, 48)).shape == (0, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "attributes-joint"}, "no task 'attributes-joint' in this checkpoint, .*attributes-clothes"),
        ({"task": "pose"}, "no task 'pose'"),
        ({"pixel_values": torch.zeros(1, 3, 60, 48)}, "multiples of the patch size 16, got 60x48"),
        ({"pixel_values": torch.zeros(1, 3, 64, 48, dtype=torch.uint8)}, "pixel_values: .*torch.uint8"),
        ({"pixel_values": None}, "pixel_values: task 'attributes-clothes' reads pixel_values and nothing else"),
        ({"labels": torch.zeros(2, 3)}, r"labels: .* shape \(2, 5\), got \(2, 3\)"),
        ({"labels": torch.zeros(2, dtype=torch.long)}, r"labels: .* got \(2,\)"),
    ],
)
def test_bad_inputs_are_named(model, pixels, arguments, message):
    with pytest.raises(ValueError, match=message):
        model(**{"pixel_values": pixels, **arguments})


def test_misspelt_arguments_are_refused(model, pixels):
    with pytest.raises(TypeError, match=r"unexpected keyword arguments \['lables'\]"):
        model(pixels, lables=torch.zeros(2, 5))


def test_a_configuration_without_attribute_tasks_is_refused():
    with pytest.raises(ValueError, match="expected a task of family .*attributes.*pose-coco"):
        HulkForAttributeRecognition(HulkConfig.preset("hulk-tiny"))


def test_lora_trains_saves_and_loads(pixels, labels, tmp_path):
    peft = pytest.importorskip("peft")
    build().save_pretrained(tmp_path / "base")
    base = HulkForAttributeRecognition.from_pretrained(tmp_path / "base")
    heads = list(base.lora_modules_to_save)
    config = peft.LoraConfig(r=4, target_modules=LORA_TARGET_MODULES, modules_to_save=heads)
    adapted = peft.get_peft_model(base, config).train()
    trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert sum("lora_A" in name for name in trained) == 2 * (3 + 2)
    assert all("lora_" in name or "text_head" in name for name in trained)
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(5):
        loss = adapted(pixel_values=pixels, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    adapted.eval().save_pretrained(tmp_path / "adapter")
    fresh = HulkForAttributeRecognition.from_pretrained(tmp_path / "base")
    reloaded = peft.PeftModel.from_pretrained(fresh, tmp_path / "adapter").eval()
    assert_same(logits(reloaded, pixels), logits(adapted, pixels))
