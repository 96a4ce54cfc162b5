# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The parsing model: loading, numerics, outputs, errors. That its numbers are the official ones, conversion shows."""

from __future__ import annotations

import csv
import json
import logging
import re
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F
from transformers import Trainer, TrainingArguments

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.loss_parsing_hulk import present_parts
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_parsing_hulk import HulkForHumanParsing
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pretrained_hulk import LORA_TARGET_MODULES
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

VISION = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
DECODER = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}
SMALL = HulkTask("parsing-small", "parsing", ("background", "left arm", "right arm"), image_size=(64, 48))
OTHER = HulkTask("parsing-other", "parsing", ("a", "b"), image_size=(64, 48))
POSE = HulkTask("pose-own", "pose", ("head", "foot"), image_size=(64, 48))


def small_config(**fields) -> HulkConfig:
    vision, decoder = VISION | fields.pop("vision", {}), DECODER | fields.pop("decoder", {})
    settings = {"tasks": [SMALL, OTHER], "text_feature_size": 24, **fields}
    return HulkConfig(vision_config={"drop_path_rate": 0.0, **vision}, decoder_config=decoder, **settings)


def shake(model: torch.nn.Module) -> torch.nn.Module:
    """Make every parameter matter: norms, biases and tokens leave their neutral initial values."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def build(config: HulkConfig | None = None) -> HulkForHumanParsing:
    torch.manual_seed(0)
    return shake(HulkForHumanParsing(small_config() if config is None else config))


@pytest.fixture(scope="module")
def model() -> HulkForHumanParsing:
    return build()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def targets() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (2, 4, 3), generator=generator).repeat_interleave(16, 1).repeat_interleave(16, 2)
    labels[:, :8] = 255
    points = torch.rand(2, int(present_parts(labels, 3).sum()), 30, 2, generator=generator)
    return {"labels": labels, "points": points}


@torch.no_grad()
def masks(model, pixels, **kwargs) -> torch.Tensor:
    return model(pixels, **kwargs).logits


def assert_same(ours: torch.Tensor, other: torch.Tensor) -> None:
    """Equal but for rounding: weights that lie elsewhere in memory may take another way through the processor."""
    torch.testing.assert_close(ours, other, atol=1e-6, rtol=1e-5)


# Loading


def test_a_saved_model_gives_the_same_outputs(model, pixels, tmp_path):
    model.save_pretrained(tmp_path)
    loaded, info = HulkForHumanParsing.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    ours, theirs = model.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    for task in ("parsing-small", "parsing-other"):
        assert_same(masks(loaded, pixels, task=task), masks(model, pixels, task=task))


def test_published_names_are_those_of_the_contract(model):
    names = {name for name in model.state_dict() if not name.startswith(("hulk.encoder", "hulk.decoder.layers"))}
    upsampler = [f"dense_head.upsamplers.parsing.{part}" for part in ("deconv1", "layernorm", "deconv2")]
    assert {name for name in names if name.startswith("dense_head")} == {
        "dense_head.query_proj.weight",
        "dense_head.label_proj.weight",
        *(f"dense_head.norms.parsing-{task}.{part}" for task in ("small", "other") for part in ("weight", "bias")),
        *(f"dense_head.label_features.parsing-{task}" for task in ("small", "other")),
        *(f"{part}.{kind}" for part in upsampler for kind in ("weight", "bias")),
    }
    assert "hulk.decoder.queries.parsing.weight" in names
    assert "hulk.decoder.position_mlp_2d.fc1.weight" in names
    assert not [name for name in names if "table" in name], "tables that follow from a formula are not published"


def test_trunk_and_head_load_from_each_other(model, pixels, tmp_path, caplog):
    model.save_pretrained(tmp_path / "head")
    with caplog.at_level(logging.WARNING):
        trunk = HulkModel.from_pretrained(tmp_path / "head")
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    with torch.no_grad():
        assert_same(trunk(pixels).last_hidden_state, model.hulk(pixels).last_hidden_state)
    trunk.save_pretrained(tmp_path / "trunk")
    headed, info = HulkForHumanParsing.from_pretrained(tmp_path / "trunk", output_loading_info=True)
    assert {name.split(".")[0] for name in info["missing_keys"]} == {"dense_head"}
    assert not info["unexpected_keys"] and not info["mismatched_keys"]
    with torch.no_grad():
        assert_same(headed.hulk(pixels).last_hidden_state, model.hulk(pixels).last_hidden_state)


def test_pose_and_parsing_load_their_parts_of_one_checkpoint_in_silence(pixels, tmp_path, caplog):
    """The dense head of both is one module in the file: projections are shared, norms and up-samplers are not."""
    config = small_config(tasks=[SMALL, POSE])
    parsing, pose = build(config), shake(HulkForPoseEstimation(config))
    both = {**pose.state_dict(), **parsing.state_dict()}
    pose.load_state_dict({name: both[name] for name in pose.state_dict()})
    HulkForPoseEstimation(config).save_pretrained(tmp_path, state_dict=both)
    with caplog.at_level(logging.WARNING):
        loaded = HulkForHumanParsing.from_pretrained(tmp_path)
        other = HulkForPoseEstimation.from_pretrained(tmp_path)
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    assert_same(masks(loaded, pixels), masks(parsing, pixels))
    with torch.no_grad():
        assert_same(other(pixels).heatmaps, pose(pixels).heatmaps)
    assert list(loaded.dense_head.upsamplers) == ["parsing"] and list(other.dense_head.upsamplers) == ["pose-own"]


def test_loading_in_bfloat16(model, pixels, targets, tmp_path):
    model.save_pretrained(tmp_path)
    half = HulkForHumanParsing.from_pretrained(tmp_path, dtype=torch.bfloat16)
    with torch.no_grad():
        outputs, exact = half(pixels), model(pixels)  # float32 pictures are accepted
    assert outputs.logits.dtype == outputs.presence_logits.dtype == torch.bfloat16
    assert (outputs.logits.float() - exact.logits).abs().mean() < 0.05 * exact.logits.abs().mean()
    loss = half(pixels, **targets).loss
    loss.backward()
    assert loss.isfinite() and loss.dtype == torch.float32


def test_parameter_counts_are_those_of_the_official_model(shared):
    """All live tensors of an official file, label features included; its figures are published in millions."""
    with open(shared / "checkpoint" / "keys_full_task17.tsv", encoding="utf-8", newline="") as file:
        shapes = {row["key"]: json.loads(row["shape"]) for row in csv.DictReader(file, delimiter="\t")}
    unused = (
        r"global_tokens|neck_label|level_embed|class_embed|mask_embed|adapter_dense|proj_rgb|adapt_pos1d|\.1\.ln\."
        r"|adapter_rgb\.pos_embed|query_embed"
    )
    live = sum(torch.Size(shape).numel() for key, shape in shapes.items() if not re.search(unused, key))
    for preset, millions in (("hulk-base", "98.62"), ("hulk-large", "316.13")):
        with torch.device("meta"):
            network = HulkForHumanParsing(HulkConfig.preset(preset, tasks=["parsing-lip"]))
        ours = sum(tensor.numel() for tensor in network.state_dict().values())
        assert f"{ours / 1e6:.2f}" == millions
        assert preset == "hulk-large" or ours == live


# Numerics


def gradients_of(model, pixels, targets) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(pixels, **targets).loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_eager_and_sdpa_agree(pixels, targets):
    model, found = build(), []
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        found.append((masks(model, pixels), gradients_of(model, pixels, targets)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-5, rtol=1e-5)
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], gradient, atol=1e-5 * float(gradient.abs().max()) + 1e-6, rtol=0)


def test_gradient_checkpointing_changes_no_gradient(pixels, targets):
    model = build().train()
    expected = gradients_of(model, pixels, targets)
    model.activation_checkpointing_enable({"use_reentrant": False})
    assert model.is_activation_checkpointing
    found = gradients_of(model, pixels, targets)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-5)


def test_every_trained_parameter_gets_a_gradient(pixels, targets):
    model = build(small_config(decoder={"modality_embedding": True})).train()
    model(pixels, **targets, task="parsing-small").loss.backward()
    model(pixels, labels=torch.zeros(2, 64, 48, dtype=torch.long), task="parsing-other").loss.backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_the_whole_model_is_one_graph(pixels):
    torch._dynamo.reset()
    model = build(small_config(vision={"num_hidden_layers": 1}))
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.no_grad():
        outputs, expected = compiled(pixels), model(pixels)
    assert torch.equal(outputs.logits, expected.logits)
    assert torch.equal(outputs.presence_logits, expected.presence_logits)


@pytest.mark.slow
def test_compiled_as_one_graph_gives_the_same(pixels):
    torch._dynamo.reset()
    model = build(small_config(vision={"num_hidden_layers": 1}))
    compiled = torch.compile(model, fullgraph=True)
    with torch.no_grad():
        outputs, expected = compiled(pixels), model(pixels)
    torch.testing.assert_close(outputs.logits, expected.logits, atol=1e-5, rtol=1e-5)


def test_a_batch_equals_its_rows(model, pixels):
    with torch.no_grad():
        whole, rows = model(pixels), [model(row[None]) for row in pixels]
    for name in ("logits", "presence_logits"):
        alone = torch.cat([row[name] for row in rows])
        torch.testing.assert_close(whole[name], alone, atol=1e-5, rtol=1e-5)


def test_the_context_does_not_depend_on_the_queries(model, pixels):
    """The attention of the family is diagonal: other query tokens leave the context stream as it is."""
    other = build()
    torch.nn.init.normal_(other.hulk.decoder.queries["parsing"].weight)
    states = []
    with torch.no_grad():
        for network in (model, other):
            states.append(network(pixels, output_decoder_hidden_states=True).decoder_hidden_states)
    assert torch.equal(states[0][0][:, :12], states[1][0][:, :12])
    assert not torch.allclose(states[0][0][:, 12:], states[1][0][:, 12:], atol=1e-2)


# Outputs


def test_outputs_and_their_shapes(model, pixels):
    model.set_attn_implementation("eager")
    names = ("hidden_states", "attentions", "decoder_hidden_states", "decoder_attentions")
    with torch.no_grad():
        outputs = model(pixels, **{f"output_{name}": True for name in names})
        plain = model(pixels)
    model.set_attn_implementation("sdpa")
    assert outputs.logits.shape == (2, 3, 16, 12) and outputs.presence_logits.shape == (2, 3)
    assert outputs.encoder_last_hidden_state.shape == (2, 12, 48)
    assert [tuple(state.shape) for state in outputs.hidden_states] == [(2, 12, 48)] * (3 + 1)
    assert [tuple(state.shape) for state in outputs.decoder_hidden_states] == [(2, 24, 32), (2, 12, 32)]
    assert [tuple(weights.shape) for weights in outputs.attentions] == [(2, 4, 12, 12)] * 3
    assert [tuple(weights.shape) for weights in outputs.decoder_attentions] == [(2, 4, 12, 24)] * 2
    assert all(plain[name] is None for name in (*names, "loss", "loss_dict") if name in plain)


def test_outputs_as_a_tuple(model, pixels, targets):
    with torch.no_grad():
        named, plain = model(pixels, **targets), model(pixels, **targets, return_dict=False)
    loss, loss_dict, maps, presence, memory = plain
    assert torch.equal(loss, named.loss) and loss_dict.keys() == named.loss_dict.keys()
    assert torch.equal(maps, named.logits) and torch.equal(presence, named.presence_logits)
    assert torch.equal(memory, named.encoder_last_hidden_state)


def test_the_loss_has_terms_for_every_decoder_layer(model, pixels, targets):
    with torch.no_grad():
        outputs, without = model(pixels, **targets), model(pixels)
    terms = ["mask", "dice", "presence"]
    assert list(outputs.loss_dict) == [*terms, *(f"{term}_aux_0" for term in terms)]
    assert outputs.loss == pytest.approx(sum(term.item() for term in outputs.loss_dict.values()))
    assert torch.equal(without.logits, outputs.logits), "deep supervision does not change the result"
    assert torch.equal(without.presence_logits, outputs.presence_logits)


def test_what_the_loss_draws_can_be_repeated_and_its_divisor_given(model, pixels, targets):
    labels, points = targets["labels"], targets["points"]

    def loss(**kwargs) -> dict[str, float]:
        with torch.no_grad():
            terms = model(pixels, labels=labels, **kwargs).loss_dict
        return {name: term.item() for name, term in terms.items()}

    one, two = (loss(generator=torch.Generator().manual_seed(seed), num_points=25) for seed in (0, 1))
    assert one == loss(generator=torch.Generator().manual_seed(0), num_points=25) != two
    whole, twice = loss(points=points), loss(points=points, num_pairs=2 * points.shape[1])
    assert twice["mask"] == pytest.approx(whole["mask"] / 2) and twice["dice_aux_0"] == whole["dice_aux_0"] / 2
    assert twice["presence"] == whole["presence"]


def test_tasks_have_their_own_parts_and_share_the_rest(model, pixels):
    assert masks(model, pixels).shape == masks(model, pixels, task="parsing").shape == (2, 3, 16, 12)
    assert masks(model, pixels, task="parsing-other").shape == (2, 2, 16, 12)
    assert masks(model, torch.randn(1, 3, 32, 96)).shape == (1, 3, 8, 24)
    assert masks(model, torch.zeros(0, 3, 64, 48)).shape == (0, 3, 16, 12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "pose-own"}, "no task 'pose-own' in this checkpoint, .*parsing-other"),
        ({"pixel_values": torch.zeros(1, 3, 60, 48)}, "multiples of the patch size 16, got 60x48"),
        ({"pixel_values": torch.zeros(2, 3, 64, 48, dtype=torch.uint8)}, "pixel_values: .*torch.uint8"),
        ({"labels": torch.zeros(2, 48, 64).long()}, "labels: expected the size 64x48 of pixel_values, got 48x64"),
        ({"labels": torch.zeros(2, 16, 12).long()}, "labels: expected the size 64x48 of pixel_values, got 16x12"),
        ({"labels": torch.zeros(1, 64, 48).long()}, r"labels: .*\(2, height, width\), got \(1, 64, 48\)"),
        ({"labels": torch.zeros(2, 3, 64, 48).long()}, r"labels: .*\(2, height, width\), got \(2, 3, 64, 48\)"),
        ({"labels": torch.full((2, 64, 48), 3)}, "labels: .*from 0 to 2.* got 3"),
        ({"labels": torch.zeros(2, 64, 48).long(), "points": torch.rand(2, 5, 9, 2)}, r"points: .*\(2, 2, points, 2"),
    ],
)
def test_bad_inputs_are_named(model, pixels, arguments, message):
    with pytest.raises(ValueError, match=message):
        model(**{"pixel_values": pixels, **arguments})


def test_misspelt_arguments_are_refused(model, pixels, targets):
    with pytest.raises(TypeError, match=r"unexpected keyword arguments \['lables'\]"):
        model(pixels, lables=targets["labels"])


def test_a_configuration_without_parsing_tasks_is_refused():
    with pytest.raises(ValueError, match="expected a task of family .*parsing.*pose-own"):
        HulkForHumanParsing(small_config(tasks=[POSE]))


def test_known_tasks_run_at_their_own_sizes():
    known = {name: task for name, task in KNOWN_TASKS.items() if task.family == "parsing"}
    config = small_config(tasks=list(known), decoder={"num_hidden_layers": 1}, vision={"num_hidden_layers": 1})
    model = HulkForHumanParsing(config).eval()
    for task in known.values():
        assert masks(model, torch.zeros(1, 3, 480, 480), task=task.name).shape == (1, task.num_labels, 120, 120)


# In the hands of others


def rows(count: int) -> list[dict[str, torch.Tensor]]:
    """A task that is learned in seconds: the whole picture is one part, told by its colour."""
    labels = [torch.full((64, 48), index % 3) for index in range(count)]
    return [{"pixel_values": F.one_hot(row, 3).permute(2, 0, 1).float(), "labels": row} for row in labels]


def test_parts_are_learned_by_colour():
    torch.manual_seed(0)
    model = HulkForHumanParsing(small_config(tasks=[SMALL], vision={"num_hidden_layers": 1})).train()
    batch = {name: torch.stack([row[name] for row in rows(6)]) for name in ("pixel_values", "labels")}
    optimizer, generator = torch.optim.AdamW(model.parameters(), lr=3e-3), torch.Generator().manual_seed(0)
    losses = []
    for _ in range(60):
        loss = model(**batch, num_points=50, generator=generator).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert torch.equal(masks(model.eval(), batch["pixel_values"]).argmax(dim=1), batch["labels"][:, ::4, ::4])


def trainer(folder: Path, model: HulkForHumanParsing, **settings) -> Trainer:
    arguments = TrainingArguments(
        str(folder), logging_steps=1, seed=0, report_to="none", use_cpu=True, save_strategy="no", disable_tqdm=True,
        lr_scheduler_type="constant", **settings,
    )  # fmt: skip
    return Trainer(model, arguments, train_dataset=rows(4), eval_dataset=rows(2))


def test_the_trainer_of_transformers_trains_and_evaluates(tmp_path):
    model = build(small_config(tasks=[SMALL]))
    teacher = trainer(tmp_path, model, max_steps=2, per_device_train_batch_size=2, learning_rate=1e-2)
    before = teacher.evaluate()["eval_loss"]
    teacher.train()
    assert 0 < teacher.evaluate()["eval_loss"] < before


def test_accumulated_gradients_are_those_of_one_batch(tmp_path):
    """The same picture four times: in one batch, or one after the other, points are drawn anew but the mean stays."""
    found = []
    for size in (4, 1):
        model = build(small_config(tasks=[SMALL]))
        settings = {"per_device_train_batch_size": size, "gradient_accumulation_steps": 4 // size}
        teacher = trainer(tmp_path, model, max_steps=1, learning_rate=0.0, **settings)
        teacher.train_dataset = rows(1) * 4
        teacher.train()
        found.append(teacher.state.log_history[0])
    assert found[1]["loss"] == pytest.approx(found[0]["loss"], rel=0.02)
    assert found[1]["grad_norm"] == pytest.approx(found[0]["grad_norm"], rel=0.02)


def test_lora_trains_saves_loads_and_merges_to_the_same_outputs(pixels, tmp_path):
    peft = pytest.importorskip("peft")
    base = build(small_config(tasks=[SMALL]))
    base.save_pretrained(tmp_path / "base")
    before = masks(base, pixels)
    config = peft.LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=LORA_TARGET_MODULES,
        modules_to_save=list(HulkForHumanParsing.lora_modules_to_save),
    )
    adapted = peft.get_peft_model(base, config)
    trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert all("lora_" in name or "dense_head" in name for name in trained)
    assert sum("lora_A" in name for name in trained) == 2 * (3 + 2)
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-2)
    batch = {name: torch.stack([row[name] for row in rows(4)]) for name in ("pixel_values", "labels")}
    losses = []
    for _ in range(5):
        loss = adapted(**batch, generator=torch.Generator().manual_seed(0), num_points=100).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    adapted.eval()
    expected = masks(adapted, pixels)
    assert not torch.allclose(expected, before, atol=1e-3)
    adapted.save_pretrained(tmp_path / "adapter")
    reloaded = peft.PeftModel.from_pretrained(
        HulkForHumanParsing.from_pretrained(tmp_path / "base"), tmp_path / "adapter"
    ).eval()
    assert_same(masks(reloaded, pixels), expected)
    torch.testing.assert_close(masks(reloaded.merge_and_unload(), pixels), expected, atol=1e-5, rtol=1e-5)
