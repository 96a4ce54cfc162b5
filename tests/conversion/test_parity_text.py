# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Attribute and action networks against recordings of the official code, and what makes a comparison fail.

Besides the recordings as they are, some are laid out anew: what the official code gives for two clips, for skeletons
of the older layout and for labels above 1 follows from what it gave for the recorded inputs.
"""

from __future__ import annotations

import copy
import dataclasses
import math

import pytest
import torch
from torch.nn import functional as F

from hulk_hf.conversion import parity_text
from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.keymap import official_task
from hulk_hf.conversion.recordings import Recording, RecordingError, read_recording
from hulk_hf.conversion.verify import verify_recording
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

HEAD = "config.label_proj.kwargs"
LOSS = f"{HEAD}.loss_cfg.kwargs"


@pytest.fixture
def recorded(shared):
    """Read a recording: task id and `forward` or `loss`."""

    def read(task: int, kind: str) -> Recording:
        suffix = {"forward": "a", "loss": "a_loss"}[kind]
        return read_recording(shared / "golden" / f"golden_tiny_task{task}_{suffix}.safetensors")

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
    return {"forward": parity_text.check_forward, "loss": parity_text.check_loss}[kind](recording)


def failed(report: Report) -> list[str]:
    return [comparison.stage for comparison in report.comparisons if not comparison.passed]


def official_logits(recording: Recording, states: torch.Tensor) -> torch.Tensor:
    """The official head on query states (B, K, d), in float64."""
    w = {name: tensor.double() for name, tensor in recording.group("sd.proj_text.").items()}
    queries = F.normalize(states.double() @ w["patch_proj.weight"].T, dim=-1)
    labels = F.normalize(w["text_vectors"] @ w["class_proj.weight"].T, dim=-1)
    norm = w["post_mul_norm.weight"], w["post_mul_norm.bias"]
    return F.layer_norm((queries * labels).sum(-1), norm[0].shape, *norm, eps=1e-6).float()


@pytest.mark.parametrize("task", [0, 5])
@pytest.mark.parametrize("kind", ["forward", "loss"])
def test_the_recordings_agree(recorded, task, kind):
    report = check(recorded(task, kind), kind)
    assert report.passed, failed(report)
    stages = {comparison.stage for comparison in report.comparisons}
    if kind == "forward":
        assert {"tokenizer", "encoder", "neck", "decoder", "logits (test output)"} <= stages
        assert "has no counterpart here" not in report.left_out.values()
    else:
        term = {"attributes": "loss_text_OSBCE", "action": "loss_text_CE"}[KNOWN_TASKS[official_task(task)].family]
        assert {term, "total loss", "gradient proj_text.class_proj.weight"} <= stages
        assert len(stages) > 60


@pytest.mark.parametrize("task", [0, 5])
def test_verify_finds_these_checks(recorded, task):
    for kind in ("forward", "loss"):
        assert verify_recording(recorded(task, kind).path).passed


@pytest.mark.parametrize(
    ("task", "tensor", "first"),
    [
        (0, "sd.adapter_sparse_labeling.proj_kernel_weight", "tokenizer"),
        (0, "sd.adapter_sparse_labeling.merge_kernel_weight", "tokenizer"),
        (0, "sd.adapter_sparse_labeling.text_embedding", "tokenizer"),
        (0, "sd.adapter_sparse_labeling.pos_embed", "tokenizer"),
        (0, "sd.decoder_module.predictor.mask_token", "decoder"),
        (0, "sd.decoder_module.predictor.query_embed_label", "decoder"),
        (5, "sd.adapter_rgb.type_embed.weight", "tokenizer"),
        (5, "sd.decoder_module.predictor.query_embed_patch", "decoder"),
        (5, "sd.proj_text.text_vectors", "logits (test output)"),
        (5, "sd.proj_text.post_mul_norm.bias", "logits (test output)"),
    ],
)
def test_a_changed_weight_shows_from_its_stage_on(recorded, task, tensor, first):
    recording = recorded(task, "forward")
    noise = 0.05 * torch.randn(recording.tensors[tensor].shape, generator=torch.Generator().manual_seed(0))
    report = check(changed(recording, {tensor: recording.tensors[tensor] + noise}), "forward")
    stages = [comparison.stage for comparison in report.comparisons]
    assert failed(report) == stages[stages.index(first) :]


def test_a_person_left_out_shows(recorded):
    recording = recorded(0, "forward")
    skeletons = recording.tensors["in.sparse_labeling"].clone()
    skeletons[1, 0, 1] = 0.0
    assert "logits (test output)" in failed(check(changed(recording, {"in.sparse_labeling": skeletons}), "forward"))


def test_another_label_shows_in_loss_and_gradients(recorded):
    recording = recorded(0, "loss")
    report = check(changed(recording, {"in.label": recording.tensors["in.label"].roll(1, dims=1)}), "loss")
    assert {"loss_text_CE", "total loss", "gradient proj_text.post_mul_norm.bias"} <= set(failed(report))


@pytest.mark.parametrize("field", ["sample_weight", "dataset_weight", "loss_weight"])
def test_another_constant_of_the_attribute_loss_shows(recorded, field):
    recording = recorded(5, "loss")
    value = recording.field(f"{LOSS}.{field}")
    other = [1.1 * number for number in value] if isinstance(value, list) else 1.1 * value
    report = check(changed(recording, info={f"{LOSS}.{field}": other}), "loss")
    assert {"loss_text_OSBCE", "total loss"} <= set(failed(report))


def test_another_weight_of_the_action_loss_shows(recorded):
    assert "loss_text_CE" in failed(check(changed(recorded(0, "loss"), info={f"{LOSS}.loss_weight": 1.1}), "loss"))


def test_attributes_of_no_data_set_weight(recorded):
    """As in the release's second attribute task."""
    recording = recorded(5, "loss")
    absent = check(changed(recording, info={f"{LOSS}.dataset_weight": None}), "loss")
    ones = check(changed(recording, info={f"{LOSS}.dataset_weight": [1.0] * 7}), "loss")
    assert [c.difference for c in absent.comparisons] == [c.difference for c in ones.comparisons]


def test_several_clips(recorded):
    """The two recorded samples as two clips of one: official rows are persons slow, clips fast."""
    recording = recorded(0, "forward")
    order = [0, 2, 1, 3]  # recorded rows: sample, person
    tensors = {"in.sparse_labeling": recording.tensors["in.sparse_labeling"].transpose(0, 1)}
    for name in ("adapter_patch", "backbone", "neck_patch", "decoder_label"):
        tensors[f"out.{name}"] = recording.tensors[f"out.{name}"][order]
    states = recording.tensors["out.decoder_label"].mean(dim=0, keepdim=True)
    tensors["out.final.pred.logit"] = official_logits(recording, states)
    report = check(changed(recording, tensors), "forward")
    assert report.passed, failed(report)


def test_the_layout_without_clips(recorded):
    """(batch, 3, frames, joints, persons)."""
    recording = recorded(0, "forward")
    skeletons = recording.tensors["in.sparse_labeling"][:, 0].permute(0, 4, 2, 3, 1)
    report = check(changed(recording, {"in.sparse_labeling": skeletons}), "forward")
    assert report.passed and report.comparisons[0].stage == "tokenizer", failed(report)


def test_frames_behind_the_last_patch_are_not_read(recorded):
    recording = recorded(0, "forward")
    skeletons = F.pad(recording.tensors["in.sparse_labeling"], (0, 0, 0, 0, 0, 3), value=9.0)
    assert check(changed(recording, {"in.sparse_labeling": skeletons}), "forward").passed


def test_the_loss_agrees_where_the_official_code_trains_labels_above_1(recorded):
    """Ours ignores them; the comparison adds what the official code does, here written out number by number."""
    recording = recorded(5, "loss")
    labels = recording.tensors["in.label"].clone()
    labels[0, 1] = labels[1, 4] = 2.0
    built = parity_text.build_text_subject(recording)
    with torch.no_grad():
        logits = built.subject.model(**built.arguments).logits
    ratios, weights = (recording.field(f"{LOSS}.{name}") for name in ("sample_weight", "dataset_weight"))
    total = 0.0
    for row, targets in zip(logits.tolist(), labels.tolist(), strict=True):
        for x, y, ratio, weight in zip(row, targets, ratios, weights, strict=True):
            if y != -1:
                p = 1 / (1 + math.exp(-x))
                cross_entropy = -(y * math.log(p) + (1 - y) * math.log(1 - p))
                rarity = math.exp(1 - ratio if y > 0.5 else ratio)
                total += cross_entropy * rarity * (1 - p * y - (1 - p) * (1 - y)) ** 2 * weight / len(labels)
    name = "loss_text_OSBCE"
    relabelled = changed(
        recording,
        {"in.label": labels, f"out.{name}": torch.tensor(total)},
        {f"losses.{name}": total, "total_loss_sum_of_terms_with_loss_in_name": total},
    )
    report = check(relabelled, "loss")
    results = {comparison.stage: comparison.passed for comparison in report.comparisons}
    assert results[name] and results["total loss"]
    assert any("labels above 1" in name for name in report.left_out)
    ignored = built.subject.model(**built.arguments, labels=labels).loss.item()
    assert abs(ignored - total) > 0.01


@pytest.mark.parametrize(
    ("task", "kind", "path", "value"),
    [
        (0, "forward", f"{HEAD}.pre_proj_type", ""),
        (0, "forward", "config.patch_adapter.kwargs.is_2d_dataset", False),
        (0, "forward", "config.patch_adapter.kwargs.proj_norm", "BN"),
        (0, "forward", "config.decoder.kwargs.transformer_predictor_cfg.adding_per_layer_pe", True),
        (0, "loss", "config.backbone.kwargs.drop_path_rate", 0.1),
        (5, "forward", f"{HEAD}.one_way_semantics", False),
        (5, "forward", f"{HEAD}.replace_post_mul_norm", True),
        (5, "loss", f"{LOSS}.use_focal_weight", False),
        (5, "loss", f"{LOSS}.sample_weight", None),
    ],
)
def test_what_has_no_counterpart_is_refused(recorded, task, kind, path, value):
    with pytest.raises(RecordingError, match=f"not supported: .*{path.rsplit('.', 1)[1]}"):
        check(changed(recorded(task, kind), info={path: value}), kind)


def test_skeletons_of_no_known_layout_are_refused(recorded):
    recording = recorded(0, "forward")
    with pytest.raises(RecordingError, match=r"in.sparse_labeling: expected shape .*, got \(2, 2, 21, 9, 3\)"):
        check(changed(recording, {"in.sparse_labeling": recording.tensors["in.sparse_labeling"][:, 0]}), "forward")


@pytest.mark.parametrize("task", [0, 5])
def test_a_recording_without_logits_is_refused(recorded, task):
    with pytest.raises(RecordingError, match="holds no logits"):
        check(changed(recorded(task, "forward"), {"out.final.pred.logit": None}), "forward")
