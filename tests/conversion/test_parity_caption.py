# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The caption network against recordings of the official code, and what makes a comparison fail."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch.nn import functional as F

from hulk_hf.conversion import parity_caption
from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.parity import evaluated_in
from hulk_hf.conversion.recordings import Recording, RecordingError, read_recording
from hulk_hf.conversion.verify import verify_recording

HEAD = "config.label_proj.kwargs"
LOSS = f"{HEAD}.loss_cfg.kwargs"
DECODER = "config.decoder.kwargs.transformer_predictor_cfg"
PREDICTOR = "sd.decoder_module.predictor"


@pytest.fixture
def recorded(shared):
    """Read a recording: `forward` or `loss`."""

    def read(kind: str) -> Recording:
        suffix = {"forward": "a", "loss": "a_loss"}[kind]
        return read_recording(shared / "golden" / f"golden_tiny_task7_{suffix}.safetensors")

    return read


def changed(recording: Recording, tensors: dict | None = None, info: dict | None = None) -> Recording:
    """The recording with other tensors (None takes one away) and other fields in its JSON."""
    merged = {name: t for name, t in {**recording.tensors, **(tensors or {})}.items() if t is not None}
    document = copy.deepcopy(dict(recording.info))
    for path, value in (info or {}).items():
        *parents, last = path.split(".")
        place = document
        for key in parents:
            place = place[key]
        place[last] = value
    return dataclasses.replace(recording, tensors=merged, info=document)


def check(recording: Recording, kind: str) -> Report:
    return {"forward": parity_caption.check_forward, "loss": parity_caption.check_loss}[kind](recording)


def failed(report: Report) -> list[str]:
    return [comparison.stage for comparison in report.comparisons if not comparison.passed]


@pytest.mark.parametrize("kind", ["forward", "loss"])
def test_the_recordings_agree(recorded, kind):
    report = check(recorded(kind), kind)
    assert report.passed, failed(report)
    stages = {comparison.stage for comparison in report.comparisons}
    assert "has no counterpart here" not in report.left_out.values()
    if kind == "forward":
        assert {"tokenizer", "encoder", "neck", "logits, words given", "own loop: words"} <= stages
        for step in range(7):
            assert {f"decoder, step {step}", f"logits, step {step}", f"own loop: logits, step {step}"} <= stages
    else:
        assert {"loss_text", "total loss", f"gradient {PREDICTOR[3:]}.mask_token_proj.weight"} <= stages
        assert len(stages) > 60


@pytest.mark.parametrize("kind", ["forward", "loss"])
def test_verify_finds_these_checks(recorded, kind):
    assert verify_recording(recorded(kind).path).passed


@pytest.mark.parametrize(
    ("tensor", "first"),
    [
        ("sd.adapter_rgb.type_embed.weight", "tokenizer"),
        ("sd.neck_patch.mask_map.0.bias", "neck"),
        (f"{PREDICTOR}.query_embed_patch", "decoder, step 0"),
        (f"{PREDICTOR}.query_embed_label", "decoder, step 0"),
        (f"{PREDICTOR}.mask_token_proj.bias", "decoder, step 0"),
        (f"{PREDICTOR}.captiontoken_ln.weight", "decoder, step 0"),
        ("sd.proj_text.class_proj.weight", "logits, step 0"),
        ("sd.proj_text.post_mul_norm.bias", "logits, step 0"),
    ],
)
def test_a_changed_weight_shows(recorded, tensor, first):
    recording = recorded("forward")
    noise = 0.05 * torch.randn(recording.tensors[tensor].shape, generator=torch.Generator().manual_seed(0))
    report = check(changed(recording, {tensor: recording.tensors[tensor] + noise}), "forward")
    assert failed(report)[0] == first
    assert {"logits, step 0", "logits, step 6", "logits, words given", "own loop: logits, step 0"} <= set(
        failed(report)
    )


def test_a_word_that_differs_shows(recorded):
    """Ours writes its own words: those of the recording are only compared with."""
    recording = recorded("forward")
    words = recording.tensors["out.final.pred"].clone()
    words[0, -1] += 1
    assert failed(check(changed(recording, {"out.final.pred": words}), "forward")) == ["own loop: words"]
    words[0, -2] += 1
    given = ["decoder, step 6", "logits, step 6"]
    assert failed(check(changed(recording, {"out.final.pred": words}), "forward")) == [*given, "own loop: words"]


def test_a_step_more_or_less_shows(recorded):
    recording = recorded("forward")
    last = {f"out.{name}": None for name in ("proj_label.step6.logit", "decoder_label.step6")}
    assert failed(check(changed(recording, last), "forward")) == ["own loop: number of steps"]


def test_the_caption_of_a_single_picture_may_be_short(recorded):
    """The second caption alone ends after two steps: what would be recorded of it is a part of what is recorded."""
    recording = recorded("forward")
    tensors = {}
    for name, tensor in recording.tensors.items():
        step = int(name.split(".step")[1].split(".")[0]) if ".step" in name else 0
        if not name.startswith("sd.") and tensor.shape[:1] == (2,) and name != "out.grid":
            tensors[name] = tensor[1:] if step < 2 else None
    report = check(changed(recording, tensors), "forward")
    assert report.passed, failed(report)
    assert sum(comparison.stage.startswith("own loop: logits") for comparison in report.comparisons) == 2


def test_unfilled_slots_are_seen_by_nobody(recorded):
    """Of the words given, those behind the recorded length make no difference."""
    recording = recorded("forward")
    words = recording.tensors["in.tf_input_id"].clone()
    words[:, int(recording.tensors["in.tf_cur_len"]) :] = 7
    assert check(changed(recording, {"in.tf_input_id": words}), "forward").passed
    filled = changed(recording, {"in.tf_cur_len": recording.tensors["in.tf_cur_len"] - 1})
    assert failed(check(filled, "forward")) == ["decoder, words given", "logits, words given"]


def test_in_another_precision_the_scores_are_of_the_same_words(recorded):
    with evaluated_in(torch.bfloat16):
        report = check(recorded("forward"), "forward")
    differences = {comparison.stage: comparison.difference for comparison in report.comparisons}
    assert all(0 < differences[f"logits, step {step}"] < 0.2 for step in range(7))
    assert all(value < 0.2 for stage, value in differences.items() if stage.startswith("own loop: logits"))


def official_loss(recording: Recording, states: torch.Tensor, smoothing: float) -> float:
    """The official head and loss on query states (B, Q, d), in float64."""
    w = {name: tensor.double() for name, tensor in recording.group("sd.proj_text.").items()}
    queries = F.normalize(states.double() @ w["patch_proj.weight"].T, dim=-1)
    words = F.normalize(w["text_vectors"] @ w["class_proj.weight"].T, dim=-1)
    norm = w["post_mul_norm.weight"], w["post_mul_norm.bias"]
    scores = F.layer_norm(queries @ words.T, norm[0].shape, *norm, eps=1e-6).log_softmax(-1)
    chosen = scores.gather(-1, recording.tensors["in.label"][:, 1:, None])[..., 0]
    return -((1 - smoothing) * chosen + smoothing * scores.mean(-1)).mean().item()


@pytest.mark.parametrize("smoothing", [0.1, 0.4, 0.0])
def test_smoothing_is_that_of_the_recording(recorded, smoothing):
    recording = recorded("loss")
    loss = official_loss(recording, recording.tensors["out.decoder_label"], smoothing)
    other = changed(
        recording,
        {"out.loss_text": torch.tensor(loss)},
        {
            f"{LOSS}.epsilon": smoothing,
            "losses.loss_text": loss,
            "total_loss_sum_of_terms_with_loss_in_name": loss,
        },
    )
    report = check(other, "loss")
    assert not {"loss_text", "total loss"} & set(failed(report))
    gradients = [stage for stage in failed(report) if stage.startswith("gradient")]
    assert bool(gradients) == (smoothing != 0.1)
    if smoothing != 0.1:
        assert "loss_text" in failed(check(changed(recording, {}, {f"{LOSS}.epsilon": smoothing}), "loss"))


def test_the_weight_of_the_loss_is_that_of_the_recording(recorded):
    recording = recorded("loss")
    report = check(changed(recording, {}, {f"{LOSS}.loss_weight": 2.0}), "loss")
    assert {"loss_text", "total loss"} <= set(failed(report))


def test_padding_that_is_seen_shows(recorded):
    recording = recorded("loss")
    seen = torch.ones_like(recording.tensors["in.padding_mask"])
    assert {"decoder", "loss_text"} <= set(failed(check(changed(recording, {"in.padding_mask": seen}), "loss")))


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("forward", f"{DECODER}.self_attn_mask_type", "patch_diag_label_row"),
        ("forward", f"{DECODER}.caption_cfgs.lndo", False),
        ("forward", f"{DECODER}.caption_cfgs.bert_feats_for_embedding", False),
        ("forward", f"{HEAD}.post_mul_norm", False),
        ("forward", f"{HEAD}.image_caption", False),
        ("loss", f"{HEAD}.loss_cfg.type", "CrossEntropy"),
        ("loss", "config.backbone.kwargs.drop_path_rate", 0.2),
    ],
)
def test_options_without_a_counterpart_are_refused(recorded, kind, path, value):
    with pytest.raises(RecordingError, match="not supported"):
        check(changed(recorded(kind), {}, {path: value}), kind)


def test_a_recording_without_a_loop_is_refused(recorded):
    with pytest.raises(RecordingError, match="no greedy loop"):
        check(changed(recorded("forward"), {"out.final.pred": None}), "forward")
