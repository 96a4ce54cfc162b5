# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Captions: the network against an explicit mask, learning, and files.

That the numbers are the official ones is shown in conversion; `generate` has tests of its own.
"""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from torch.nn import functional as F
from transformers import DynamicCache, GenerationConfig

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.loss_caption_hulk import caption_loss
from hulk_hf.modeling.modeling_caption_hulk import HulkForCaptioning
from hulk_hf.modeling.modeling_hulk import HulkModel
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.positions_hulk import sequence_sincos, stretched_sincos_2d
from hulk_hf.modeling.pretrained_hulk import LORA_TARGET_MODULES
from hulk_hf.modeling.tasks_hulk import HulkTask

BOS, EOS, PAD = 1, 2, 0
PATCHES, WORDS, PLACES = 12, 40, 12
WIDTH, HEADS = 32, 4
SMALL = HulkTask("caption-small", "caption", image_size=(64, 48), vocabulary_size=WORDS, max_length=PLACES)
ONE_LAYER = {"vision": {"num_hidden_layers": 1}, "decoder": {"num_hidden_layers": 1}}


@pytest.fixture(scope="module")
def model(captioner):
    return captioner


@pytest.fixture(scope="module")
def blunt(blunt_captioner):
    return blunt_captioner


@pytest.fixture(scope="module")
def pixels(captioned_pixels):
    return captioned_pixels


@torch.no_grad()
def logits(model, *args, **kwargs) -> torch.Tensor:
    return model(*args, **kwargs).logits


def assert_same(ours: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(ours, other, atol=1e-5, rtol=1e-5)


# The network


@torch.no_grad()
def by_explicit_mask(model: HulkForCaptioning, pixels: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Logits (B, Q, V) by one mask over all tokens, with the whole vocabulary embedded before words are picked."""
    trunk, features = model.hulk, model.text_head.label_features("caption-small")
    head, width, batch = model.caption_head, WIDTH, len(words)
    table = F.layer_norm(
        features @ head.token_proj.weight.T + head.token_proj.bias,
        (width,),
        head.layernorm.weight,
        head.layernorm.bias,
        eps=1e-12,
    )
    context = trunk.neck(trunk.encode(trunk.prepare(trunk.tasks["caption-small"], pixels)))
    x = torch.cat(
        [
            context + stretched_sincos_2d(width, 4, 3),
            table[words] + sequence_sincos(width, PLACES)[: words.shape[1]],
        ],
        dim=1,
    )
    total = x.shape[1]
    allowed = torch.eye(total, dtype=torch.bool)
    allowed[PATCHES:, :PATCHES] = True
    allowed[PATCHES:, PATCHES:] = torch.ones(total - PATCHES, total - PATCHES).tril().bool()
    for layer in trunk.decoder.layers:
        attention = layer.attention
        split = (batch, total, HEADS, -1)
        q, k, v = (
            part(x).view(split).transpose(1, 2) for part in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        scores = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(~allowed, float("-inf"))
        x = layer.attention_layernorm(x + attention.o_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2)))
        x = layer.mlp_layernorm(x + layer.mlp.fc2(F.relu(layer.mlp.fc1(x))))
    states = trunk.decoder.layernorm(x)[:, PATCHES:]
    queries = F.normalize(model.text_head.query_proj(states), dim=-1)
    labels = F.normalize(model.text_head.label_proj(features), dim=-1)
    norm = model.text_head.norms["caption-small"]
    return F.layer_norm(queries @ labels.T, (WORDS,), norm.weight, norm.bias, eps=1e-6)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_words_see_the_picture_and_no_later_word(make_captioner, pixels, captions, implementation):
    model = make_captioner(sharpness=0.7)
    model.set_attn_implementation(implementation)
    assert_same(logits(model, pixels, input_ids=captions[:, :-1]), by_explicit_mask(model, pixels, captions[:, :-1]))


def test_only_the_words_that_are_needed_are_projected(make_captioner):
    model, rows = make_captioner(), []
    model.caption_head.token_proj.register_forward_hook(lambda module, args, output: rows.append(args[0].shape))
    model.caption_head(torch.tensor([[3, 4, 5]]), SMALL, model.text_head.label_features)
    assert rows == [(1, 3, 24)]


def test_words_may_be_embedded_from_features_of_their_own(caption_config, make_captioner, pixels, captions, tmp_path):
    own = make_captioner(caption_config([HulkTask(**{**SMALL.__dict__, "own_token_features": True})]))
    shared = make_captioner()
    shared.load_state_dict(own.state_dict(), strict=False)
    given = {"pixel_values": pixels, "input_ids": captions[:, :-1]}
    assert not torch.allclose(logits(own, **given), logits(shared, **given))
    own.save_pretrained(tmp_path)
    assert torch.equal(logits(HulkForCaptioning.from_pretrained(tmp_path).eval(), **given), logits(own, **given))
    own.caption_head.token_features("caption-small").copy_(shared.text_head.label_features("caption-small"))
    assert_same(logits(own, **given), logits(shared, **given))


def test_words_are_dropped_out_in_training_only(make_captioner, pixels, captions):
    model = make_captioner()
    given = {"pixel_values": pixels, "input_ids": captions[:, :-1]}
    assert torch.equal(logits(model, **given), logits(model, **given))
    model.train()
    assert not torch.allclose(logits(model, **given), logits(model, **given))
    model.caption_head.dropout.p = 0.0
    assert_same(logits(model, **given), logits(make_captioner(), **given))


def test_a_batch_equals_its_rows(blunt, pixels, captions):
    words = captions[:, :-1]
    rows = torch.cat([logits(blunt, pixels[i : i + 1], input_ids=words[i : i + 1]) for i in range(len(words))])
    assert_same(logits(blunt, pixels, input_ids=words), rows)


def test_without_words_it_says_how_captions_begin(model, pixels):
    first = torch.full((6, 1), BOS)
    assert_same(logits(model, pixels), logits(model, pixels, input_ids=first))
    assert logits(model, pixels[:0]).shape == (0, 1, WORDS)


def test_modality_embedding_is_seen_by_picture_and_words(caption_config, make_captioner, pixels, captions):
    config = caption_config(decoder={"modality_embedding": True, "query_positions": "stored"})
    model = make_captioner(config)
    words = captions[:, :-1]
    before = logits(model, pixels, input_ids=words)
    for modality in ("image", "caption"):
        changed = copy.deepcopy(model)
        changed.hulk.decoder.modality_indicators[modality].weight.data += 1
        assert not torch.allclose(logits(changed, pixels, input_ids=words), before)
    assert torch.equal(model.generate(pixel_values=pixels), model.generate(pixel_values=pixels, use_cache=False))


def test_states_and_attentions(make_captioner, pixels, captions):
    model = make_captioner()
    model.set_attn_implementation("eager")
    asked = ("hidden_states", "attentions", "decoder_hidden_states", "decoder_attentions")
    words = captions[:, :5]
    outputs = model(pixels, input_ids=words, **{f"output_{name}": True for name in asked})
    assert [len(getattr(outputs, name)) for name in asked] == [3, 2, 2, 2]
    assert outputs.decoder_hidden_states[0].shape == (6, PATCHES + 5, 32)
    assert outputs.decoder_hidden_states[1].shape == (6, 5, 32)
    assert outputs.decoder_attentions[0].shape == (6, 4, 5, PATCHES + 5)
    # Word 1 sees itself and word 0, and then no more.
    assert (outputs.decoder_attentions[0][:, :, 1, PATCHES + 2 :] == 0).all()
    step = model(input_ids=words[:, :1], past_key_values=outputs.past_key_values, output_decoder_attentions=True)
    assert step.decoder_attentions[0].shape == (6, 4, 1, PATCHES + 6)
    assert isinstance(model(pixels, return_dict=False), tuple)


# Learning


def test_labels_are_whole_captions(blunt, pixels, captions):
    """Word t + 1 is what should follow words 0 to t; padding is seen by nobody, but learned."""
    outputs = blunt(pixels, labels=captions)
    assert outputs.logits.shape == (6, PLACES, WORDS)
    seen = (captions != PAD).long()
    alone = logits(blunt, pixels, input_ids=captions[:, :-1], attention_mask=seen[:, :-1])
    assert_same(outputs.logits, alone)
    unmasked = logits(blunt, pixels, input_ids=captions[:, :-1])
    assert (outputs.logits - unmasked).abs().amax(-1).gt(1e-2).nonzero()[:, 0].unique().tolist() == [1, 4]
    expected = caption_loss(alone, captions[:, 1:], SMALL, PAD)["caption"]
    assert outputs.loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert list(outputs.loss_dict) == ["caption"] and outputs.loss == outputs.loss_dict["caption"]
    given = blunt(pixels, labels=captions, input_ids=captions, attention_mask=seen)
    assert_same(given.logits, outputs.logits)
    shorter = blunt(pixels, labels=captions[:, :7])
    assert_same(shorter.logits, outputs.logits[:, :6])


def test_ignored_labels_are_padding_that_is_not_learned(caption_config, make_captioner, pixels, captions):
    ignored = captions.masked_fill(captions == PAD, -100)
    lenient = HulkTask(**{**SMALL.__dict__, "ignore_padding": True})
    model, other = make_captioner(), make_captioner(caption_config([lenient]))
    outputs = model(pixels, labels=ignored)
    assert_same(outputs.logits, model(pixels, labels=captions).logits)
    assert outputs.loss.item() != pytest.approx(model(pixels, labels=captions).loss.item(), rel=1e-3)
    assert outputs.loss.item() == pytest.approx(other(pixels, labels=captions).loss.item(), rel=1e-5)


def test_every_parameter_learns(make_captioner, pixels, captions):
    model = make_captioner().train()
    model(pixels, labels=captions).loss.backward()
    silent = [
        name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()
    ]
    # Softmax does not see what all keys have in common.
    assert all("k_proj.bias" in name for name in silent)


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_changes_no_gradient(make_captioner, pixels, captions, reentrant):
    gradients = []
    for checkpointing in (False, True):
        model = make_captioner().train()
        model.caption_head.dropout.p = 0.0
        if checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": reentrant})
        model(pixels.clone().requires_grad_(), labels=captions).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        assert_same(checkpointed, plain)


def test_checkpointed_layers_keep_no_cache(make_captioner, pixels):
    model = make_captioner().train()
    model.caption_head.dropout.p = 0.0
    model.activation_checkpointing_enable()
    assert model(pixels, use_cache=True).past_key_values is None
    with pytest.raises(ValueError, match="pixel_values: .*checkpointed in training keep no cache.*use_cache=False"):
        model.generate(pixel_values=pixels)
    expected = make_captioner().generate(pixel_values=pixels)
    assert torch.equal(model.generate(pixel_values=pixels, use_cache=False), expected)
    assert torch.equal(model.eval().generate(pixel_values=pixels), expected)


@pytest.mark.parametrize("learning", [True, False])
def test_the_whole_model_is_one_graph(caption_config, make_captioner, pixels, captions, learning):
    model = make_captioner(caption_config(**ONE_LAYER))
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    given = {"labels": captions} if learning else {"input_ids": captions[:, :-1]}
    with torch.no_grad():
        outputs, expected = compiled(pixels, **given), model(pixels, **given)
    assert torch.equal(outputs.logits, expected.logits)
    assert not learning or torch.equal(outputs.loss, expected.loss)


def test_loading_in_bfloat16(model, pixels, captions, tmp_path):
    model.save_pretrained(tmp_path)
    half = HulkForCaptioning.from_pretrained(tmp_path, dtype=torch.bfloat16)
    outputs = half(pixels, labels=captions)
    assert outputs.logits.dtype == torch.bfloat16 and outputs.loss.dtype == torch.float32
    assert outputs.loss.item() == pytest.approx(model(pixels, labels=captions).loss.item(), rel=0.05)
    assert half.generate(pixel_values=pixels)[:, 0].tolist() == [BOS] * 6
    kept, anew = (half.generate(pixel_values=pixels, max_length=3, use_cache=use) for use in (True, False))
    assert torch.equal(kept, anew)


# Files


def test_a_saved_model_writes_the_same_captions(model, pixels, tmp_path, caplog):
    model.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        loaded, info = HulkForCaptioning.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    assert torch.equal(loaded.generate(pixel_values=pixels), model.generate(pixel_values=pixels))
    assert (loaded.config.bos_token_id, loaded.config.eos_token_id, loaded.config.pad_token_id) == (BOS, EOS, PAD)
    assert loaded.generation_config.to_diff_dict() == model.generation_config.to_diff_dict()


def test_defaults_of_generation_are_those_of_the_release_and_can_be_changed(caption_config, model, pixels, tmp_path):
    """A checkpoint of all families brings none; where somebody saved others, those hold."""
    model.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    loaded = HulkForCaptioning.from_pretrained(tmp_path)
    assert loaded.generation_config.max_length == PLACES and loaded.generation_config.forced_eos_token_id == EOS
    assert torch.equal(loaded.generate(pixel_values=pixels), model.generate(pixel_values=pixels))
    released = HulkForCaptioning(
        caption_config([HulkTask(**{**SMALL.__dict__, "vocabulary_size": 110})], bos_token_id=101, eos_token_id=102)
    )
    defaults = released.generation_config
    assert (defaults.bos_token_id, defaults.eos_token_id, defaults.pad_token_id) == (101, 102, 0)
    GenerationConfig(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, max_length=4).save_pretrained(tmp_path)
    changed = HulkForCaptioning.from_pretrained(tmp_path)
    assert changed.generation_config.forced_eos_token_id is None
    assert changed.generate(pixel_values=pixels).shape == (6, 4)


def test_trunk_and_task_class_load_each_others_files(model, pixels, captions, tmp_path, caplog):
    model.save_pretrained(tmp_path / "head")
    with caplog.at_level(logging.WARNING):
        trunk = HulkModel.from_pretrained(tmp_path / "head")
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    tokens = torch.randn(6, 3, 32)
    with torch.no_grad():
        ours, theirs = (m(pixels, query_tokens=tokens).last_hidden_state for m in (trunk, model.hulk))
    assert_same(ours, theirs)
    trunk.save_pretrained(tmp_path / "trunk")
    headed, info = HulkForCaptioning.from_pretrained(tmp_path / "trunk", output_loading_info=True)
    assert {name.split(".")[0] for name in info["missing_keys"]} == {"text_head", "caption_head"}
    assert not info["unexpected_keys"] and not info["mismatched_keys"]


def test_it_loads_its_part_of_a_checkpoint_of_several_families(
    caption_config, make_captioner, pixels, tmp_path, caplog
):
    pose = HulkTask("pose-small", "pose", ("head", "left hand", "right hand"), image_size=(64, 48))
    config = caption_config([SMALL, pose])
    captioner, poser = make_captioner(config), HulkForPoseEstimation(config)
    both = {**poser.state_dict(), **captioner.state_dict()}
    captioner.save_pretrained(tmp_path, state_dict=both)
    with caplog.at_level(logging.WARNING):
        loaded, info = HulkForCaptioning.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert not caplog.records, [record.getMessage() for record in caplog.records]
    assert torch.equal(loaded.generate(pixel_values=pixels), captioner.generate(pixel_values=pixels))


def test_lora_trains_saves_and_loads(make_captioner, pixels, captions, tmp_path):
    peft = pytest.importorskip("peft")
    make_captioner().save_pretrained(tmp_path / "base")
    base = HulkForCaptioning.from_pretrained(tmp_path / "base")
    heads = list(base.lora_modules_to_save)
    config = peft.LoraConfig(r=4, target_modules=LORA_TARGET_MODULES, modules_to_save=heads)
    adapted = peft.get_peft_model(base, config).train()
    trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert sum("lora_A" in name for name in trained) == 2 * (2 + 2)
    assert all("lora_" in name or any(head in name for head in heads) for name in trained)
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(6):
        loss = adapted(pixel_values=pixels, labels=captions).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    adapted.eval().save_pretrained(tmp_path / "adapter")
    fresh = HulkForCaptioning.from_pretrained(tmp_path / "base")
    reloaded = peft.PeftModel.from_pretrained(fresh, tmp_path / "adapter").eval()
    assert_same(logits(reloaded, pixel_values=pixels), logits(adapted, pixel_values=pixels))
    assert torch.equal(reloaded.generate(pixel_values=pixels), adapted.generate(pixel_values=pixels))


# Wrong input

IDS = torch.full((6, 3), BOS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"input_ids": torch.full((6, 3), WORDS)}, "input_ids: .* words 0 to 39, got 40 to 40"),
        ({"input_ids": torch.full((6, 3), -1)}, "input_ids: .* words 0 to 39, got -1 to -1"),
        ({"input_ids": torch.zeros(6, 3)}, r"input_ids: expected whole numbers .* torch.float32 of shape \(6, 3\)"),
        ({"input_ids": torch.zeros(6).long()}, r"input_ids: .* shape \(6,\)"),
        ({"input_ids": IDS[:, :0]}, "input_ids: .*at least one word"),
        ({"input_ids": IDS[:, :1].repeat(1, PLACES + 1)}, "input_ids: .* places for 12 words, got more"),
        ({"input_ids": IDS, "position_ids": torch.tensor([[0, 1, PLACES]])}, "input_ids: .* places for 12 words"),
        ({"input_ids": IDS[:4]}, "input_ids: expected captions of 6 pictures, .* got 4"),
        ({"input_ids": IDS, "attention_mask": torch.ones(6, 2)}, r"attention_mask: .* 3 of them, got \(6, 2\)"),
        ({"pixel_values": None}, "pixel_values: expected pictures, got None"),
        (
            {"pixel_values": None, "past_key_values": DynamicCache(), "input_ids": IDS},
            "pixel_values: expected pictures",
        ),
        ({"labels": IDS, "past_key_values": DynamicCache()}, "past_key_values: expected None with labels"),
        ({"labels": IDS[:, :1]}, r"labels: expected whole captions of 2 to 13 words, .* shape \(6, 1\)"),
        ({"labels": IDS[:, :1].repeat(1, 14)}, r"labels: .* 2 to 13 words, .* shape \(6, 14\)"),
        ({"labels": IDS.float()}, "labels: .* torch.float32"),
        ({"labels": IDS, "input_ids": IDS[:, :2]}, r"input_ids: expected the shape of labels, \(6, 3\), got \(6, 2\)"),
        ({"labels": IDS, "attention_mask": IDS[:, :2]}, "attention_mask: expected the shape of labels"),
        ({"labels": torch.full((6, 3), WORDS)}, "input_ids: .* got 40 to 40"),
        ({"task": "pose"}, "task: no task 'pose'"),
        ({"pixel_values": torch.zeros(1, 3, 60, 48)}, "pixel_values: .* multiples of the patch size"),
    ],
)
def test_bad_inputs_are_named(model, pixels, arguments, message):
    with pytest.raises(ValueError, match=message):
        model(**{"pixel_values": pixels, **arguments})


def test_misspelt_arguments_are_refused(model, pixels):
    with pytest.raises(TypeError, match=r"unexpected keyword arguments \['lables'\]"):
        model(pixels, lables=IDS)
    with pytest.raises(ValueError, match="pixel_value'"):
        model.generate(pixel_value=pixels)


def test_captions_longer_than_there_are_places_are_refused(make_captioner, pixels):
    model = make_captioner()
    with torch.no_grad():
        model.text_head.norms["caption-small"].bias[EOS] -= 100.0
    with pytest.raises(ValueError, match="max_length of at most 13"):
        model.generate(pixel_values=pixels, max_length=PLACES + 2)
    assert model.generate(pixel_values=pixels, max_length=PLACES + 1).shape == (6, PLACES + 1)


def test_a_step_needs_its_words(model, pixels):
    with pytest.raises(ValueError, match="input_ids: expected the next words, got None"):
        model(past_key_values=model(pixels).past_key_values)


@pytest.mark.parametrize("name", ["bos_token_id", "eos_token_id", "pad_token_id"])
def test_special_words_are_words(caption_config, name):
    with pytest.raises(ValueError, match=f"config.{name}: expected a word of task 'caption-small', 0 to 39, got 40"):
        HulkForCaptioning(caption_config(**{name: WORDS}))


def test_a_configuration_without_caption_tasks_is_refused():
    with pytest.raises(ValueError, match="expected a task of family .*caption.*pose-coco"):
        HulkForCaptioning(HulkConfig.preset("hulk-tiny"))


def test_the_configuration_tells_transformers_of_the_vocabulary(model):
    assert model.config.vocab_size == WORDS and not hasattr(HulkConfig.preset("hulk-tiny"), "vocab_size")
    assert model.config.get_text_config(decoder=True) is model.config.decoder_config
    assert model.config.get_text_config() is model.config
