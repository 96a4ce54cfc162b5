# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Detection against recordings of the official code: what is equal passes, and what is not is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from hulk_hf.conversion.parity_detection import build_detection_subject, check_forward, check_loss
from hulk_hf.conversion.recordings import Recording, RecordingError, read_recording

TASKS = (3, 4)
POINTS = "corners of boxes"


def recording(shared, name: str) -> Recording:
    return read_recording(shared / "golden" / f"golden_tiny_{name}.safetensors")


def altered(original: Recording, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Recording:
    return replace(original, tensors={**original.tensors, name: change(original.tensors[name].clone())})


def failed(report) -> list[str]:
    return [comparison.stage for comparison in report.comparisons if not comparison.passed]


@pytest.mark.parametrize("task", TASKS)
def test_every_stage_of_the_official_forward_agrees(shared, task):
    report = check_forward(recording(shared, f"task{task}_a"))
    assert report.passed, failed(report)
    stages = [comparison.stage for comparison in report.comparisons]
    assert stages == [
        "padding of tokens", "tokenizer", "encoder", "neck", "decoder auxiliary 0", "decoder", "anchors", "logits",
        POINTS, "picture 0: scores", "picture 0: boxes", "picture 1: scores", "picture 1: boxes",
    ]  # fmt: skip
    assert not [reason for reason in report.left_out.values() if "no counterpart" in reason], report.left_out


@pytest.mark.parametrize("task", TASKS)
def test_every_term_and_gradient_of_the_official_training_step_agrees(shared, task):
    report = check_loss(recording(shared, f"task{task}_a_loss"))
    assert report.passed, failed(report)
    stages = [comparison.stage for comparison in report.comparisons]
    terms = [stage for stage in stages if stage.startswith("loss_sparse_labeling")]
    assert len(terms) == 6 and "total loss" in stages
    assert "gradient proj_sparse_labeling.translate_weight" in stages
    assert "gradient decoder_module.predictor.mask_token" in stages


def test_the_model_of_a_recording_is_as_large_as_the_recorded(shared):
    subject = build_detection_subject(recording(shared, "task3_a"))
    assert subject.task.image_size == (96, 96)
    assert (subject.task.anchors_per_side, subject.task.anchor_patterns) == (3, 3)
    assert subject.task.loss_weights == {"class": 2.0, "box": 5.0, "giou": 2.0}


@pytest.mark.parametrize(
    ("name", "change", "stages"),
    [
        ("out.det_pred_points", lambda points: points.flip(1), [POINTS]),
        ("out.det_pred_points", lambda points: points[..., [3, 4, 5, 0, 1, 2]], [POINTS]),
        ("out.det_pred_logits", lambda logits: logits.sigmoid(), ["logits"]),
        ("out.final.pred.1.boxes", lambda boxes: boxes + 0.1, ["picture 1: boxes"]),
        ("out.final.pred.0.scores", lambda scores: scores + 2e-3, ["picture 0: scores", "picture 0: boxes"]),
        ("out.adapter_patch_padmask", lambda mask: ~mask, ["padding of tokens"]),
        ("out.decoder_reference_logit", lambda logits: logits.flip(-1), ["anchors"]),
    ],
)
def test_a_difference_is_found_where_it_is(shared, name, change, stages):
    report = check_forward(altered(recording(shared, "task3_a"), name, change))
    assert failed(report)[:1] == stages[:1] and set(failed(report)) <= set(stages)


def test_weights_that_differ_fail_from_their_stage_on(shared):
    def transposed(anchors):
        return anchors.view(1, 3, 3, 3).transpose(1, 2).reshape(1, 9, 3)

    original = recording(shared, "task4_a")
    wrong = failed(check_forward(altered(original, "sd.decoder_module.predictor.anchor", transposed)))
    assert wrong[0] == "anchors" and POINTS in wrong and "decoder" not in wrong and "logits" not in wrong
    mask = failed(check_forward(altered(original, "in.image_mask", torch.zeros_like)))
    assert mask[0] == "padding of tokens" and "tokenizer" in mask


@pytest.mark.parametrize(
    ("task", "name", "change", "term"),
    [
        (3, "in.instances.0.iscrowd", torch.zeros_like, "loss_sparse_labeling_bbox"),
        (3, "in.instances.1.boxes", lambda boxes: boxes * 0.9, "loss_sparse_labeling_giou"),
        # The ignored box of this picture covers queries.
        (4, "in.instances.1.area", lambda area: area * torch.tensor([1.0] * 3 + [0.0] * 24), "_ce_0"),
    ],
)
def test_other_targets_give_other_terms(shared, task, name, change, term):
    report = check_loss(altered(recording(shared, f"task{task}_a_loss"), name, change))
    assert [stage for stage in failed(report) if stage.endswith(term)], failed(report)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("label_proj", "kwargs", "reference_type"), "residual"),
        (("label_proj", "kwargs", "replace_post_mul_norm"), False),
        (("label_proj", "kwargs", "loss_cfg", "kwargs", "cfg", "ign_thr"), 0.5),
        (("decoder", "kwargs", "transformer_predictor_cfg", "patch_pos_mode"), "learned"),
    ],
)
def test_options_without_a_counterpart_are_refused(shared, path, value):
    original = recording(shared, "task3_a")

    def put(node, keys):
        return {**node, keys[0]: value if len(keys) == 1 else put(node[keys[0]], keys[1:])}

    with pytest.raises(RecordingError, match=f"not supported.*{path[-1]}"):
        check_forward(replace(original, info=put(original.info, ("config", *path))))


def test_a_recording_without_boxes_proves_nothing(shared):
    original = recording(shared, "task3_a")
    tensors = {name: tensor for name, tensor in original.tensors.items() if name != "out.det_pred_points"}
    with pytest.raises(RecordingError, match="det_pred_points"):
        check_forward(replace(original, tensors=tensors))
