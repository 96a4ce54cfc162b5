# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Writing captions: `generate` against the plain loop of the release, and step by step against all at once."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from transformers import CompileConfig, DynamicCache, GenerationConfig, StaticCache

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.modeling_caption_hulk import HulkForCaptioning

BOS, EOS, PAD = 1, 2, 0
PATCHES, WORDS, PLACES = 12, 40, 12
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


# Writing captions


@torch.no_grad()
def official_loop(model: HulkForCaptioning, pixels: torch.Tensor) -> torch.Tensor:
    """The loop of the release (spec 2.11): all slots decoded anew for every word, nothing kept."""
    batch = len(pixels)
    words = torch.full((batch, PLACES), PAD)
    words[:, 0] = BOS
    finished = torch.zeros(batch, dtype=torch.bool)
    length = 1
    while length < PLACES and not finished.all():
        filled = (torch.arange(PLACES) < length).long().expand(batch, -1)
        scores = model(pixels, input_ids=words, attention_mask=filled).logits[:, length - 1]
        words[:, length] = torch.where(finished, PAD, scores.argmax(-1))
        finished |= words[:, length] == EOS
        length += 1
    if length == PLACES:
        words[~finished, -1] = EOS
    return words


def test_greedy_captions_are_those_of_the_plain_loop(model, pixels):
    expected = official_loop(model, pixels)
    ends = (expected == EOS).long().argmax(1)
    assert len(set(ends.tolist())) > 3 and ends.max() == PLACES - 1, "captions that end early, late and by force"
    assert (expected[ends > 8] == PAD).any(), "padding written as a word is a word like any other"
    assert torch.equal(model.generate(pixel_values=pixels), expected)
    # Without the longer ones the result is shorter: the rest of the official one is padding.
    early = ends < 8
    ours = model.generate(pixel_values=pixels[early])
    assert ours.shape[1] == ends[early].max() + 1
    assert torch.equal(F.pad(ours, (0, PLACES - ours.shape[1]), value=PAD), expected[early])


SEARCHES = [{}, {"num_beams": 3}, {"num_beams": 4, "num_return_sequences": 2, "length_penalty": 0.5}]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("cache", [{"use_cache": False}, {"cache_implementation": "static"}])
def test_what_is_kept_changes_no_word(model, pixels, search, cache):
    kept = model.generate(pixel_values=pixels, **search)
    assert len(kept) == 6 * search.get("num_return_sequences", 1)
    assert torch.equal(model.generate(pixel_values=pixels, **search, **cache), kept)


@pytest.mark.parametrize("search", SEARCHES)
def test_captions_of_a_batch_are_those_of_its_rows(model, pixels, search):
    together = model.generate(pixel_values=pixels, **search).split(search.get("num_return_sequences", 1))
    for row, caption in enumerate(together):
        alone = model.generate(pixel_values=pixels[row : row + 1], **search)
        assert torch.equal(F.pad(alone, (0, caption.shape[1] - alone.shape[1]), value=PAD), caption)


def test_beams_find_likelier_captions(make_captioner, pixels):
    model = make_captioner()
    # Without an end by force, whose likelihood would be part of the sum.
    model.generation_config = GenerationConfig(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, max_length=5)
    greedy = model.generate(pixel_values=pixels)
    beams = model.generate(pixel_values=pixels, num_beams=4, length_penalty=0.0)

    def likelihood(words):
        scores = logits(model, pixels, input_ids=words[:, :-1]).log_softmax(-1)
        chosen = scores.gather(-1, words[:, 1:, None])[..., 0]
        ends = (words[:, 1:] == EOS).long()
        return (chosen * (ends.cumsum(1) == ends)).sum(1)

    assert (likelihood(beams) > likelihood(greedy) - 1e-5).all()
    assert (likelihood(beams) > likelihood(greedy) + 1e-3).any()


def test_sampling(model, pixels):
    torch.manual_seed(0)
    first = model.generate(pixel_values=pixels, do_sample=True, num_return_sequences=5)
    again = model.generate(pixel_values=pixels, do_sample=True, num_return_sequences=5)
    torch.manual_seed(0)
    assert torch.equal(model.generate(pixel_values=pixels, do_sample=True, num_return_sequences=5), first)
    assert len(first) == 30 and first.shape[1] <= PLACES and (first[:, 0] == BOS).all()
    assert not torch.equal(first[:, :6], again[:, :6])
    # What is near certain is what greedy search finds.
    cold = model.generate(pixel_values=pixels, do_sample=True, temperature=1e-4)
    assert torch.equal(cold, model.generate(pixel_values=pixels))


@pytest.mark.parametrize("search", SEARCHES)
def test_the_picture_is_encoded_and_decoded_once(make_captioner, pixels, search):
    model = make_captioner()
    calls = {"encoder": [], "decoder": [], "vocabulary": [], "embedding": []}

    def count(module, name):
        module.register_forward_hook(lambda module, args, output: calls[name].append(tuple(args[0].shape)))

    count(model.hulk.encoder.layers[0], "encoder")
    count(model.hulk.decoder.layers[0], "decoder")
    count(model.text_head.label_proj, "vocabulary")
    count(model.caption_head.token_proj, "embedding")
    written = model.generate(pixel_values=pixels, **search).shape[1] - 1
    assert calls["encoder"] == [(6, PATCHES, 48)]
    assert calls["vocabulary"] == [(WORDS, 24)], "the vocabulary is projected once, not for every word"
    rows = 6 * search.get("num_beams", 1)
    assert set(calls["embedding"]) == {(rows, 1, 24)} and written <= len(calls["embedding"]) < PLACES
    if rows == 6:
        assert calls["decoder"][0] == (6, PATCHES + 1, 32)
    else:
        assert calls["decoder"].pop(0) == (6, PATCHES, 32), "keys and values of the pictures: not once per beam"
        assert calls["decoder"][0] == (rows, 1, 32)
    assert set(calls["decoder"][1:]) == {(rows, 1, 32)}


def test_a_step_costs_next_to_nothing():
    """Counted, not timed: at the released sizes, though with one of twelve encoder layers."""
    config = HulkConfig.preset("hulk-base", tasks=["caption-joint"], vision_config={"num_hidden_layers": 1})
    model = HulkForCaptioning(config).eval()
    costs, given = [], {"pixel_values": torch.zeros(1, 3, 384, 384)}
    for _ in range(3):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            outputs = model(**given)
        costs.append(counter.get_total_flops())
        given = {"input_ids": torch.tensor([[5]]), "past_key_values": outputs.past_key_values}
    # Two per weight of the decoder layers, the embedding and the heads, and what little attention adds.
    assert costs[0] > 30e9 and max(costs[1:]) < 60e6


def test_a_step_with_a_cache_of_fixed_size_is_one_graph(caption_config, make_captioner, pixels):
    """Also where some words are padding: the mask has one shape in every step."""
    model = make_captioner(caption_config(**ONE_LAYER), sharpness=0.7)
    begun = torch.tensor([[BOS, 5], [PAD, BOS]])
    given = {"pixel_values": pixels[:2], "input_ids": begun, "attention_mask": (begun != PAD).long(), "min_length": 9}
    expected = model.generate(**given)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    options = CompileConfig(fullgraph=True, backend="eager", mode=None)
    options._compile_all_devices = True
    compiled = model.generate(**given, cache_implementation="static", compile_config=options)
    assert torch.equal(compiled, expected)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize("options", [{}, {"cache_implementation": "static"}, {"use_cache": False}, {"num_beams": 2}])
def test_captions_that_have_begun_are_gone_on_with(blunt, pixels, options):
    """Beginnings of different lengths are padded at their left, which changes nothing."""
    begun = torch.tensor([[BOS, 5, 6], [PAD, BOS, 7], [PAD, PAD, BOS], [BOS, 9, 9]])
    known = {"attention_mask": (begun != PAD).long(), "max_length": 9, "min_length": 9}
    together = blunt.generate(pixel_values=pixels[:4], input_ids=begun, **known, **options)
    for row, pads in enumerate((0, 1, 2, 0)):
        alone = blunt.generate(
            pixel_values=pixels[row : row + 1],
            input_ids=begun[row : row + 1, pads:],
            max_length=9 - pads,
            min_length=9 - pads,
            **options,
        )
        assert torch.equal(together[row, pads:], alone[0])


def test_scores_are_the_mean_log_probability_of_the_words(model, pixels):
    outputs = model.generate(pixel_values=pixels, return_dict_in_generate=True, output_logits=True)
    scores = model.caption_scores(outputs)
    for row, words in enumerate(outputs.sequences.tolist()):
        known = logits(model, pixels[row : row + 1], input_ids=outputs.sequences[row : row + 1, :-1])[0].log_softmax(
            -1
        )
        length = words.index(EOS) + 1
        chosen = [known[place - 1, words[place]].item() for place in range(1, length)]
        if length == PLACES:  # the end was forced: the word that would have stood there counts
            chosen[-1] = known[-1].max().item()
        assert scores[row].item() == pytest.approx(sum(chosen) / len(chosen), abs=1e-5)


def test_transformers_can_score_them_too(model, pixels):
    outputs = model.generate(pixel_values=pixels, num_beams=2, return_dict_in_generate=True, output_scores=True)
    scores = model.compute_transition_scores(outputs.sequences, outputs.scores, outputs.beam_indices)
    lengths = (outputs.beam_indices >= 0).sum(1)
    assert_same(scores.sum(1) / lengths, outputs.sequences_scores)


# Step by step


@pytest.mark.parametrize("kind", ["dynamic", "static"])
def test_words_one_by_one_or_in_pieces_equal_all_at_once(blunt, pixels, captions, kind):
    words = captions[:, :-1]
    whole = logits(blunt, pixels, input_ids=words)
    for pieces in ([1] * PLACES, [4, 3, 5]):
        cache = DynamicCache(config=blunt.config)
        if kind == "static":
            cache = StaticCache(config=blunt.config, max_cache_len=PATCHES + PLACES + 3)
        parts, picture = [], pixels
        for piece in words.split(pieces, dim=1):
            parts.append(logits(blunt, picture, input_ids=piece, past_key_values=cache))
            picture = None
        assert_same(torch.cat(parts, dim=1), whole)


@pytest.mark.parametrize("use_cache", [True, False])
def test_several_captions_per_picture(blunt, pixels, captions, use_cache):
    words = captions[:, :-1]
    shared = blunt(pixels[:2], input_ids=words, use_cache=use_cache)
    assert shared.encoder_last_hidden_state.shape == (2, PATCHES, 48)
    repeated = logits(blunt, pixels[:2].repeat_interleave(3, dim=0), input_ids=words)
    assert_same(shared.logits, repeated)


def test_logits_of_some_words_only(blunt, pixels, captions):
    words = captions[:, :-1]
    whole = logits(blunt, pixels, input_ids=words)
    assert_same(logits(blunt, pixels, input_ids=words, logits_to_keep=2), whole[:, -2:])
    assert_same(logits(blunt, pixels, input_ids=words, logits_to_keep=torch.tensor([0, 5])), whole[:, [0, 5]])


def test_a_cache_is_given_where_it_is_of_use(make_captioner, pixels, captions):
    model = make_captioner()
    assert model(pixels).past_key_values.get_seq_length() == PATCHES + 1
    assert model(pixels, use_cache=False).past_key_values is None
    assert model(pixels, labels=captions).past_key_values is None
    assert model.train()(pixels).past_key_values is None
