# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The loss of captions: cross-entropy of the next word, with label smoothing over the whole vocabulary.

When to use: tasks of family `caption`, on whole captions whose words are all known (teacher forcing). Targets are the
words one place further on. Reference: Paper, Sec. 3.4 (the semantic loss); the exact form is the released one, where
padding is a word like any other: every place behind the end of a caption is a target too.
"""

import torch
from torch.nn import functional as F

from .tasks_hulk import HulkTask

DEFAULT_LOSS_WEIGHTS = {"caption": 1.0}

IGNORED = -100  # what labels of transformers hold where there is nothing to learn


def caption_loss(
    logits: torch.Tensor, targets: torch.Tensor, task: HulkTask, pad_token_id: int | None = None
) -> dict[str, torch.Tensor]:
    """Compute the loss, a mean over all targets.

    Args:
        logits: Shape (B, T, V).
        targets: Shape (B, T), the word that follows at each place; -100 where there is nothing to learn.
        task: Gives the weight of the term, `label_smoothing`, and `ignore_padding`, which leaves padding out.
        pad_token_id: Which word is padding.

    Returns:
        `caption`, already weighted.

    Raises:
        ValueError: The shapes do not fit together, there is no target to learn from, or one is not in the vocabulary
            (values are not looked at while compiling).
    """
    if targets.shape != logits.shape[:-1]:
        raise ValueError(
            f"labels: expected one target per row of the logits, shape {tuple(logits.shape[:-1])}, got "
            f"{tuple(targets.shape)}"
        )
    if task.ignore_padding and pad_token_id is not None:
        targets = targets.masked_fill(targets == pad_token_id, IGNORED)
    if not torch.compiler.is_compiling():
        _check_targets(targets, logits.shape[-1])
    # In half precision the probabilities of most words, which smoothing is about, would be lost.
    loss = F.cross_entropy(
        logits.flatten(0, -2).float(),
        targets.flatten(),
        ignore_index=IGNORED,
        label_smoothing=task.label_smoothing,
    )
    return {"caption": {**DEFAULT_LOSS_WEIGHTS, **(task.loss_weights or {})}["caption"] * loss}


def _check_targets(targets: torch.Tensor, vocabulary_size: int) -> None:
    used = targets[targets != IGNORED]
    if not len(used):
        raise ValueError("labels: a loss is a mean over words, expected at least one to learn from, got none")
    if used.min() < 0 or used.max() >= vocabulary_size:
        raise ValueError(
            f"labels: expected words between 0 and {vocabulary_size - 1}, or {IGNORED} where there is nothing to "
            f"learn, got {used.min().item()} to {used.max().item()}"
        )


__all__ = ["DEFAULT_LOSS_WEIGHTS", "IGNORED", "caption_loss"]
