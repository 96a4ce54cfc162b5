# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Our caption network against recordings of the official one: stages, the greedy loop, loss terms and gradients.

The official loop fills its slots one by one and decodes all of them at every step. It is compared twice: every slot of
every step with the recorded words given, and the last filled slot of every step of our own loop, which keeps what it
has computed and never sees a recorded word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch

from hulk_hf.conversion.comparison import Report
from hulk_hf.conversion.parity import (
    DECODER_CONFIG,
    HEAD_CONFIG,
    TRUNK_LEFT_OUT,
    Subject,
    build_subject,
    check_fixed,
    check_no_drop_path,
    compare_gradients,
    compare_stages,
    compare_terms,
    loss_report,
    normalise,
    read_task,
    trunk_stages,
)
from hulk_hf.conversion.recordings import Recording, RecordingError
from hulk_hf.modeling.head_caption_hulk import word_mask
from hulk_hf.modeling.modeling_caption_hulk import HulkForCaptioning
from hulk_hf.modeling.modeling_hulk import HulkInputs

_LOSS_CONFIG = f"{HEAD_CONFIG}.loss_cfg.kwargs"

# Options that the network has no other form of.
_FIXED = {
    f"{DECODER_CONFIG}.self_attn_mask_type": ("caption_mask", "words see the picture and no later word"),
    f"{DECODER_CONFIG}.caption_cfgs.bert_feats_for_embedding": (True, "words are embedded by their text features"),
    f"{DECODER_CONFIG}.caption_cfgs.lndo": (True, "embedded words are normed, and dropped out in training"),
    f"{HEAD_CONFIG}.image_caption": (True, "every slot is scored against every word"),
    f"{HEAD_CONFIG}.post_mul_norm": (True, "the head normalises over words"),
    f"{HEAD_CONFIG}.replace_post_mul_norm": (False, "the head has no scale and offset in place of its norm"),
}
_LOSS = {f"{HEAD_CONFIG}.loss_cfg.type": ("LabelSmoothingCrossEntropy", "captions have no other loss")}

_TERMS = {"loss_text": "caption"}
# In training mode, with drop path and dropout off, the stages are what they are in eval mode.
_TRAINING_STAGES = ("backbone", "decoder_label")
_PREDICTION = "final.pred"


@dataclass(frozen=True)
class CaptionSubject:
    """Our model with the weights of a recording, and what was recorded going in.

    Attributes:
        subject: Model and task.
        pixel_values: The pictures, normalised.
        inputs: The same, as the trunk reads them.
    """

    subject: Subject
    pixel_values: torch.Tensor
    inputs: HulkInputs

    def tokens_and_mask(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What the decoder reads for words (B, Q): embedded, and what they may see of picture and words."""
        model, grid = self.subject.model, self.inputs.grid
        tokens = model.caption_head(input_ids, self.subject.task, model.text_head.label_features)
        return tokens, word_mask(input_ids.shape[1], grid[0] * grid[1], attention_mask)


def build_caption_subject(recording: Recording) -> CaptionSubject:
    """Build our model from a recording's configuration and official weights.

    Raises:
        RecordingError: A field or tensor is missing, or the recorded configuration has no counterpart here.
        ValueError: The official weights cannot be converted.
    """
    check_fixed(recording, _FIXED)
    task = read_task(
        recording,
        label_smoothing=recording.field(f"{_LOSS_CONFIG}.epsilon", 0.1),
        loss_weights={"caption": recording.field(f"{_LOSS_CONFIG}.loss_weight", 1.0)},
    )
    subject = build_subject(recording, HulkForCaptioning, task)
    pixel_values = normalise(recording.tensor("in.image"))
    return CaptionSubject(subject, pixel_values, subject.model.hulk.prepare(subject.task, pixel_values))


@torch.no_grad()
def _every_slot(built: CaptionSubject, words: torch.Tensor, filled: int) -> tuple[torch.Tensor, torch.Tensor]:
    """States and logits of all slots, of which the first `filled` hold words and the others padding nobody sees."""
    task, trunk, model = built.subject.task, built.subject.model.hulk, built.subject.model
    slots = torch.full((len(words), task.max_length), model.config.pad_token_id)
    slots[:, :filled] = words[:, :filled]
    seen = (torch.arange(task.max_length) < filled).long().expand_as(slots)
    tokens, mask = built.tokens_and_mask(slots, seen)
    states, _ = trunk.decode(trunk.encode(built.inputs), task, built.inputs, query_tokens=tokens, attention_mask=mask)
    outputs = model(built.pixel_values, input_ids=slots, attention_mask=seen, task=task.name, use_cache=False)
    return states, outputs.logits


def _official(part: str, step: int) -> str:
    """The official name of a stage of a step of the loop; `part` has a place for the step."""
    return part.format(f".step{step}" if step else "")


def check_forward(recording: Recording) -> Report:
    """Compare every recorded stage of an eval-mode forward, every step of the greedy loop, and the words it gives."""
    built = build_caption_subject(recording)
    built.subject.model.eval()
    recorded = recording.group("out.")
    steps = sum(re.fullmatch(r"proj_label(\.step\d+)?\.logit", name) is not None for name in recorded)
    if not steps or _PREDICTION not in recorded:
        raise RecordingError(
            f"{recording.path.name} holds no greedy loop (out.proj_label.logit and out.{_PREDICTION})"
        )
    words = recorded[_PREDICTION].long()

    tokens, mask = built.tokens_and_mask(words[:, :1], torch.ones(len(words), 1))
    ours = trunk_stages(built.subject, built.inputs, query_tokens=tokens, attention_mask=mask)
    names = {}
    for step in range(steps):
        states, logits = (_official(part, step) for part in ("decoder_label{}", "proj_label{}.logit"))
        ours[states], ours[logits] = _every_slot(built, words, step + 1)
        names |= {states: f"decoder, step {step}", logits: f"logits, step {step}"}
    if "tf.logit" in recorded:
        filled = int(recording.tensor("in.tf_cur_len"))
        given = _every_slot(built, recording.tensor("in.tf_input_id").long(), filled)
        ours["tf.decoder_label"], ours["tf.logit"] = given
        names |= {"tf.decoder_label": "decoder, words given", "tf.logit": "logits, words given"}

    report = Report(f"{built.subject.task.name}, forward")
    plain = {name: re.sub(r"\.step\d+", "", name) for name in recorded}
    left_out = {name: TRUNK_LEFT_OUT[plain[name]] for name in recorded if plain[name] in TRUNK_LEFT_OUT}
    compare_stages(recording, ours, report, names, left_out)
    # The words are compared below.
    report.left_out.pop(_PREDICTION)
    _compare_loop(built, recorded, steps, report)
    return report


def _compare_loop(built: CaptionSubject, recorded: dict[str, torch.Tensor], steps: int, report: Report) -> None:
    """Our own loop: the scores that every word is chosen by, and the words."""
    task, words = built.subject.task, recorded[_PREDICTION]
    outputs = built.subject.model.generate(
        pixel_values=built.pixel_values, task=task.name, return_dict_in_generate=True, output_logits=True
    )
    report.add("own loop: number of steps", len(outputs.logits), steps, absolute=0.0, relative=0.0)
    for step, logits in enumerate(outputs.logits[:steps]):
        if not torch.equal(outputs.sequences[:, : step + 1], words[:, : step + 1]):
            # After another word the scores are those of another caption; the line on the words says so.
            break
        official = recorded[_official("proj_label{}.logit", step)]
        report.add(f"own loop: logits, step {step}", logits, official[:, step])
    written = torch.full_like(words, built.subject.model.config.pad_token_id)
    written[:, : outputs.sequences.shape[1]] = outputs.sequences
    report.add("own loop: words", written, words, absolute=0.0, relative=0.0)


def check_loss(recording: Recording) -> Report:
    """Compare every loss term and the gradient norm of every parameter of one training-mode step."""
    check_no_drop_path(recording)
    check_fixed(recording, _LOSS)
    built = build_caption_subject(recording)
    subject, task = built.subject, built.subject.task
    # Recorded without dropout, as with drop path off.
    subject.model.caption_head.dropout.p = 0.0
    subject.model.train()
    report = loss_report(subject)
    labels, input_ids = recording.tensor("in.label").long(), recording.tensor("in.input_id").long()
    seen = recording.tensor("in.padding_mask")
    outputs = subject.model(
        built.pixel_values, labels=labels, input_ids=input_ids, attention_mask=seen, task=task.name
    )
    with torch.no_grad():
        tokens, mask = built.tokens_and_mask(input_ids[:, :-1], seen[:, :-1])
        stages = trunk_stages(subject, built.inputs, query_tokens=tokens, attention_mask=mask)
    recorded = recording.group("out.")
    for name in _TRAINING_STAGES:
        if name in recorded:
            report.add({"backbone": "encoder", "decoder_label": "decoder"}[name], stages[name], recorded[name])
    compare_terms(recording, outputs.loss_dict, _TERMS, report).backward()
    compare_gradients(recording, subject, report)
    return report


__all__ = ["CaptionSubject", "build_caption_subject", "check_forward", "check_loss"]
