# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Action recognition: loading, numerics, outputs, errors. That its numbers are the official ones: conversion."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Trainer, TrainingArguments

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.loss_action_hulk import action_loss
from hulk_hf.modeling.modeling_action_hulk import HulkForActionRecognition, fold_persons, read_action
from hulk_hf.modeling.modeling_attributes_hulk import HulkForAttributeRecognition
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.pretrained_hulk import LORA_TARGET_MODULES
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

VISION = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
DECODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}
SKELETON = {"num_joints": 5, "num_frames": 21}
HOME = HulkTask("action-home", "action", ("sit", "stand", "walk", "wave"))
SPORT = HulkTask("action-sport", "action", ("run", "jump", "dive"), loss_weights={"action": 2.0})
PERSON = HulkTask("attributes-person", "attributes", ("female", "young", "sitting"), image_size=(64, 48))


def small_config(**fields) -> HulkConfig:
    vision, decoder = VISION | fields.pop("vision", {}), DECODER | fields.pop("decoder", {})
    skeleton = SKELETON | fields.pop("skeleton", {})
    settings = {"tasks": [HOME, SPORT], "text_feature_size": 24, **fields}
    return HulkConfig(
        vision_config={"drop_path_rate": 0.0, **vision}, decoder_config=decoder, skeleton_config=skeleton, **settings
    )


def build(config: HulkConfig | None = None) -> HulkForActionRecognition:
    """A model whose every tensor matters: norms, biases, tokens and joint features are not at neutral values."""
    torch.manual_seed(0)
    model = HulkForActionRecognition(small_config() if config is None else config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        tokenizer = model.hulk.tokenizers["skeleton"]
        if tokenizer.config.joint_text:
            [features.normal_() for features in tokenizer.joint_text_features.buffers()]
    return model


@pytest.fixture(scope="module")
def model() -> HulkForActionRecognition:
    return build()


@pytest.fixture(scope="module")
def skeletons() -> torch.Tensor:
    """Two samples of two persons, of whom one is not there."""
    made = torch.randn(2, 2, 3, 21, 5, generator=torch.Generator().manual_seed(0))
    made[1, 1] = 0.0
    return made


@pytest.fixture(scope="module")
def labels() -> torch.Tensor:
    return torch.tensor([3, 0])


@torch.no_grad()
def logits(model, skeletons, **kwargs) -> torch.Tensor:
    return model(skeletons, **kwargs).logits


def assert_same(ours: torch.Tensor, other: torch.Tensor) -> None:
    """Equal but for rounding: weights that lie elsewhere in memory may take another way through the processor."""
    torch.testing.assert_close(ours, other, atol=1e-6, rtol=1e-5)


# Loading


@pytest.mark.parametrize("positions", ["stretched", "joints", "stored"])
def test_a_saved_model_gives_the_same_outputs(skeletons, tmp_path, positions):
    model = build(small_config(skeleton={"positions": positions}))
    model.save_pretrained(tmp_path)
    loaded, info = HulkForActionRecognition.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    for task in ("action-home", "action-sport"):
        assert_same(logits(loaded, skeletons, task=task), logits(model, skeletons, task=task))


def test_published_names_are_those_of_the_contract(model):
    names = set(model.state_dict())
    expected = {
        *(f"projection.{part}" for part in ("weight", "bias")),
        *(f"layernorm.{part}" for part in ("weight", "bias")),
        *(f"joint_text_mixing.{part}" for part in ("weight", "bias")),
        "joint_text_features.action-home",
        "joint_text_features.action-sport",
    }
    prefix = "hulk.tokenizers.skeleton."
    assert {name.removeprefix(prefix) for name in names if name.startswith("hulk.tokenizers.")} == expected
    assert {name.split(".")[3] for name in names if name.startswith("hulk.decoder.queries.")} == {"action"}
    heads = {name.rsplit(".", 1)[0] for name in names if not name.startswith("hulk.")}
    norms = {f"text_head.norms.action-{task}" for task in ("home", "sport")}
    assert heads == {"text_head.query_proj", "text_head.label_proj", "text_head.label_features", *norms}


def test_trunk_and_task_class_load_each_others_files(model, skeletons, tmp_path, caplog):
    sequences, _ = fold_persons(skeletons, model.config.skeleton_config)
    model.save_pretrained(tmp_path / "head")
    with caplog.at_level(logging.WARNING):
        trunk = HulkModel.from_pretrained(tmp_path / "head")
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    with torch.no_grad():
        expected = model.hulk(skeletons=sequences).last_hidden_state
        assert_same(trunk(skeletons=sequences).last_hidden_state, expected)
    trunk.save_pretrained(tmp_path / "trunk")
    headed, info = HulkForActionRecognition.from_pretrained(tmp_path / "trunk", output_loading_info=True)
    assert {name.split(".")[0] for name in info["missing_keys"]} == {"text_head"}
    assert not info["unexpected_keys"] and not info["mismatched_keys"]
    with torch.no_grad():
        assert_same(headed.hulk(skeletons=sequences).last_hidden_state, expected)


def test_the_parts_of_other_families_are_passed_over_in_silence(model, skeletons, tmp_path, caplog):
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    others = (
        "dense_head.query_proj.weight",
        "box_head.mlp.0.weight",
        "mesh_head.coordinates.bias",
        "caption_head.token_proj.weight",
        "hulk.tokenizers.image.projection.weight",
        "hulk.tokenizers.image.modality_embedding.weight",
        "hulk.decoder.queries.attributes.weight",
        "hulk.decoder.modality_indicators.image.weight",
        "hulk.decoder.position_mlp_1d.fc1.weight",
        "hulk.decoder.position_mlp_2d.fc1.weight",
        "text_head.norms.attributes-person.weight",
        "text_head.label_features.attributes-person",
    )
    save_file(load_file(path) | {name: torch.zeros(1) for name in others}, path, {"format": "pt"})
    config = json.loads((tmp_path / "config.json").read_text())
    config["tasks"][PERSON.name] = PERSON.to_dict()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with caplog.at_level(logging.WARNING):
        loaded = HulkForActionRecognition.from_pretrained(tmp_path)
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    assert_same(logits(loaded, skeletons), logits(model, skeletons))


def test_what_a_file_of_pictures_lacks_is_defined(skeletons, tmp_path):
    """A buffer that is in no file has no values after construction on the meta device, unless it is given some."""
    config = small_config(tasks=[PERSON, HOME])
    HulkForAttributeRecognition(config).save_pretrained(tmp_path)
    junk = [torch.full((5, 48), torch.nan) for _ in range(100)]  # what freed memory may hold
    del junk
    loaded = HulkForActionRecognition.from_pretrained(tmp_path)
    assert torch.equal(
        loaded.hulk.tokenizers["skeleton"].joint_text_features.get_buffer("action-home"), torch.zeros(5, 48)
    )
    assert logits(loaded, skeletons).isfinite().all()


def test_loading_in_bfloat16(model, skeletons, labels, tmp_path):
    model.save_pretrained(tmp_path)
    half = HulkForActionRecognition.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    outputs, exact = half(skeletons, labels=labels), logits(model, skeletons)
    assert outputs.logits.dtype == torch.bfloat16
    assert (outputs.logits.float() - exact).abs().mean() < 0.1 * exact.abs().mean()
    outputs.loss.backward()
    assert outputs.loss.isfinite()


def test_parameter_counts_are_those_of_the_official_models():
    """Label and joint features included; the figures are those published for the live tensors of official files."""
    for task, millions in (("action-ntu-gym", "97.62"), ("action-kinetics", "97.83")):
        with torch.device("meta"):
            network = HulkForActionRecognition(HulkConfig.preset("hulk-base", tasks=[task]))
        assert f"{sum(tensor.numel() for tensor in network.state_dict().values()) / 1e6:.2f}" == millions


# Persons, clips, joints


@torch.no_grad()
def test_query_states_are_averaged_over_persons_before_they_are_scored(model, skeletons):
    states = torch.stack([model.hulk(skeletons=skeletons[:, person]).last_hidden_state for person in (0, 1)])
    expected = model.text_head(states.mean(dim=0), "action-home")
    torch.testing.assert_close(logits(model, skeletons), expected, atol=1e-5, rtol=1e-5)
    averaged = torch.stack([model.text_head(state, "action-home") for state in states]).mean(dim=0)
    assert not torch.allclose(expected, averaged, atol=1e-2)


def test_an_absent_person_counts_and_the_order_of_persons_does_not(model, skeletons):
    both = logits(model, skeletons)
    torch.testing.assert_close(logits(model, skeletons.flip(1)), both, atol=1e-5, rtol=1e-5)
    alone = logits(model, skeletons[:, :1])
    assert alone.shape == both.shape and not torch.allclose(alone[1], both[1], atol=1e-2)
    doubled = logits(model, skeletons[:, :1].repeat(1, 2, 1, 1, 1))
    torch.testing.assert_close(doubled, alone, atol=1e-5, rtol=1e-5)


def test_clips_are_averaged_like_persons(model):
    clips = torch.randn(2, 3, 2, 3, 21, 5, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(logits(model, clips), logits(model, clips.flatten(1, 2)), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(logits(model, clips.transpose(1, 2)), logits(model, clips), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits(model, clips[:, :1]), logits(model, clips[:, 0]), atol=1e-6, rtol=1e-5)
    folded, per_sample = fold_persons(clips, model.config.skeleton_config)
    assert per_sample == 6 and torch.equal(folded[6 + 2 * 1 + 1], clips[1, 1, 1])


def test_the_joint_left_over_is_never_read(model, skeletons):
    changed = skeletons.clone()
    changed[..., 4] += 5.0
    assert torch.equal(logits(model, changed), logits(model, skeletons))
    changed[..., 3] += 5.0
    assert not torch.allclose(logits(model, changed), logits(model, skeletons), atol=1e-2)


@torch.no_grad()
def test_the_tokenizer_is_its_formula(model, skeletons):
    """Token (t, j): frames 7t to 7t + 6 of joints 2j and 2j + 1, kernel channels 0, 1 and 3, and the joints' names."""
    tokenizer = model.hulk.tokenizers["skeleton"]
    weights = tokenizer.state_dict()
    sequences = skeletons.flatten(0, 1)
    tokens = tokenizer(sequences, "action-home")
    assert tokens.shape == (4, 3 * 2, 48)
    places = tokenizer.position_tables(3, 2, "action-home")
    for t, j in ((0, 0), (1, 1), (2, 0)):
        window = sequences[1, :, 7 * t : 7 * t + 7, 2 * j : 2 * j + 2]
        token = (weights["projection.weight"][:, [0, 1, 3]] * window).sum((1, 2, 3)) + weights["projection.bias"]
        token = (token - token.mean()) / (token.var(unbiased=False) + 1e-5).sqrt()
        token = token * weights["layernorm.weight"] + weights["layernorm.bias"]
        token = torch.where(token > 0, token, 0.1 * token)
        mixing, names = weights["joint_text_mixing.weight"].flatten(), weights["joint_text_features.action-home"]
        token = token + mixing[0] * names[2 * j] + mixing[1] * names[2 * j + 1] + weights["joint_text_mixing.bias"]
        torch.testing.assert_close(tokens[1, 2 * t + j], token + places[2 * t + j], atol=1e-5, rtol=1e-5)


def test_names_of_joints_are_an_option(skeletons):
    without = build(small_config(skeleton={"joint_text": False}))
    assert not [name for name in without.state_dict() if "joint_text" in name]
    assert not torch.allclose(logits(without, skeletons), logits(build(), skeletons), atol=1e-3)


# Numerics


def test_eager_and_sdpa_agree(skeletons, labels):
    model = build()
    results = []
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        model.zero_grad()
        outputs = model(skeletons, labels=labels)
        outputs.loss.backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        results.append((outputs.logits.detach(), gradients))
    torch.testing.assert_close(results[0][0], results[1][0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-5, rtol=1e-4)


def test_gradient_checkpointing_changes_no_gradient(skeletons, labels):
    model = build().train()
    model(skeletons, labels=labels).loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    model.activation_checkpointing_enable()
    model(skeletons, labels=labels).loss.backward()
    assert {name for name, p in model.named_parameters() if p.grad is not None} == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(model.get_parameter(name).grad, gradient, atol=1e-7, rtol=1e-5)


def test_every_trained_parameter_gets_a_gradient(skeletons, labels):
    model = build(small_config(decoder={"modality_embedding": True})).train()
    for task in ("action-home", "action-sport"):
        model(skeletons, labels=torch.tensor([1, 0]), task=task).loss.backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    kernel = model.hulk.tokenizers["skeleton"].projection.weight.grad.abs().amax(dim=(0, 2, 3))
    assert (kernel > 0).tolist() == [True, True, False, True], "depth has a channel, and 2-D skeletons no depth"


def test_the_whole_model_is_one_graph(model, skeletons):
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert torch.equal(logits(compiled, skeletons), logits(model, skeletons))


def test_a_batch_equals_its_rows(model, skeletons):
    rows = torch.cat([logits(model, row[None]) for row in skeletons])
    torch.testing.assert_close(logits(model, skeletons), rows, atol=1e-5, rtol=1e-5)


# Outputs


def test_hidden_states_and_attentions_of_encoder_and_decoder(skeletons):
    model = build()
    model.set_attn_implementation("eager")
    names = ("hidden_states", "attentions", "decoder_hidden_states", "decoder_attentions")
    with torch.no_grad():
        outputs = model(skeletons, **{f"output_{name}": True for name in names})
    assert outputs.logits.shape == (2, 4) and outputs.encoder_last_hidden_state.shape == (4, 6, 48)
    assert [tuple(state.shape) for state in outputs.hidden_states] == [(4, 6, 48)] * 4
    assert [tuple(weights.shape) for weights in outputs.attentions] == [(4, 4, 6, 6)] * 3
    assert [tuple(state.shape) for state in outputs.decoder_hidden_states] == [(4, 10, 32), (4, 4, 32)]
    assert [tuple(weights.shape) for weights in outputs.decoder_attentions] == [(4, 4, 4, 10)] * 2


def test_outputs_as_a_tuple(model, skeletons, labels):
    with torch.no_grad():
        named, plain = model(skeletons, labels=labels), model(skeletons, labels=labels, return_dict=False)
    loss, loss_dict, scores, memory = plain
    assert torch.equal(loss, named.loss) and loss_dict.keys() == named.loss_dict.keys() == {"action"}
    assert torch.equal(scores, named.logits) and torch.equal(memory, named.encoder_last_hidden_state)


def test_the_loss_is_that_of_the_task(model, skeletons):
    rows = torch.tensor([[0, 1, -1], [1, 0, -1]])
    with torch.no_grad():
        outputs = model(skeletons, labels=rows, task="action-sport")
        indexed = model(skeletons, labels=torch.tensor([1, 0]), task="action-sport")
    expected = action_loss(outputs.logits, torch.tensor([1, 0]), SPORT)["action"]
    assert outputs.loss == indexed.loss == outputs.loss_dict["action"] == expected
    plain = torch.nn.functional.cross_entropy(outputs.logits, torch.tensor([1, 0]))
    assert outputs.loss.item() == pytest.approx(2 * plain.item(), rel=1e-5)


@torch.no_grad()
def test_the_reader_serves_any_module_with_a_text_head(model, skeletons):
    task = model.hulk.resolve_task("action-sport")
    sequences, per_sample = fold_persons(skeletons, model.config.skeleton_config)
    inputs = model.hulk.prepare(task, skeletons=sequences)
    heads = torch.nn.ModuleDict({"text_head": model.text_head})
    outputs = model.hulk(skeletons=sequences, task=task.name)
    read = read_action(heads, outputs, task, inputs, per_sample)
    assert torch.equal(read.logits, logits(model, skeletons, task=task.name))


def test_known_tasks_run_at_the_released_sizes_of_a_skeleton():
    known = [task for task in KNOWN_TASKS.values() if task.family == "action"]
    sizes = {"vision": {"num_hidden_layers": 1}, "decoder": {"num_hidden_layers": 1}}
    config = small_config(tasks=known, skeleton={"num_joints": 17, "num_frames": 175}, **sizes)
    model = HulkForActionRecognition(config).eval()
    for task in known:
        assert logits(model, torch.zeros(1, 2, 3, 175, 17), task=task.name).shape == (1, task.num_labels)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_no_samples_give_no_classes(implementation):
    model = build()
    model.set_attn_implementation(implementation)
    assert logits(model, torch.zeros(0, 2, 3, 21, 5)).shape == (0, 4)
    assert logits(model, torch.zeros(0, 4, 2, 3, 21, 5)).shape == (0, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "action-ntu-gym"}, "no task 'action-ntu-gym' in this checkpoint, .*action-home"),
        ({"task": "pose"}, "no task 'pose'"),
        ({"skeletons": torch.zeros(2, 3, 21, 5)}, r"skeletons: expected .*persons, 3, 21, 5\).* got \(2, 3, 21, 5\)"),
        ({"skeletons": torch.zeros(2, 1, 2, 21, 5, 3)}, r"skeletons: .* got \(2, 1, 2, 21, 5, 3\)"),
        ({"skeletons": torch.zeros(2, 2, 3, 20, 5)}, r"skeletons: .* got \(2, 2, 3, 20, 5\)"),
        ({"skeletons": torch.zeros(2, 0, 3, 21, 5)}, "skeletons: expected at least one person"),
        ({"skeletons": torch.zeros(2, 2, 3, 21, 5, dtype=torch.long)}, "skeletons: .*torch.int64"),
        ({"labels": torch.tensor([0, 4])}, "labels: .* from 0 to 3, got 0 to 4"),
        ({"labels": torch.zeros(2, 3)}, r"labels: .* got \(2, 3\)"),
    ],
)
def test_bad_inputs_are_named(model, skeletons, arguments, message):
    with pytest.raises(ValueError, match=message):
        model(**{"skeletons": skeletons, **arguments})


def test_misspelt_arguments_are_refused(model, skeletons):
    with pytest.raises(TypeError, match=r"unexpected keyword arguments \['lables'\]"):
        model(skeletons, lables=torch.tensor([0, 1]))


def test_a_configuration_without_action_tasks_is_refused():
    with pytest.raises(ValueError, match="expected a task of family .*action.*pose-coco"):
        HulkForActionRecognition(HulkConfig.preset("hulk-tiny"))


# In the hands of others


def test_the_trainer_of_transformers_reduces_the_loss(tmp_path):
    """Where the first person's score is high decides the class."""
    generator = torch.Generator().manual_seed(3)
    rows = []
    for index in range(16):
        sample = torch.randn(2, 3, 21, 5, generator=generator)
        sample[0, 2, :, index % 4] += 4.0
        rows.append({"skeletons": sample, "labels": index % 4})
    model = build(small_config(tasks=[HOME], vision={"num_hidden_layers": 1}))
    assert model.main_input_name == "skeletons"
    arguments = TrainingArguments(
        str(tmp_path), max_steps=30, per_device_train_batch_size=8, learning_rate=3e-3, logging_steps=5, seed=0,
        report_to="none", use_cpu=True, save_strategy="no", disable_tqdm=True, lr_scheduler_type="constant",
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=rows, eval_dataset=rows)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < 0.7 * before


def test_lora_trains_saves_and_loads(skeletons, labels, tmp_path):
    peft = pytest.importorskip("peft")
    build().save_pretrained(tmp_path / "base")
    base = HulkForActionRecognition.from_pretrained(tmp_path / "base")
    heads = list(base.lora_modules_to_save)
    config = peft.LoraConfig(r=4, target_modules=LORA_TARGET_MODULES, modules_to_save=heads)
    adapted = peft.get_peft_model(base, config).train()
    trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert sum("lora_A" in name for name in trained) == 2 * (3 + 2)
    assert all("lora_" in name or "text_head" in name for name in trained)
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(5):
        loss = adapted(skeletons=skeletons, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    adapted.eval().save_pretrained(tmp_path / "adapter")
    fresh = HulkForActionRecognition.from_pretrained(tmp_path / "base")
    reloaded = peft.PeftModel.from_pretrained(fresh, tmp_path / "adapter").eval()
    assert_same(logits(reloaded, skeletons), logits(adapted, skeletons))
