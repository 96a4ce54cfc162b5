# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Caption metrics: BLEU, ROUGE-L and CIDEr as released, on words, and how much of what is said is right.

Sentences come as lists of words: lower-case, without punctuation (spec of evaluation, 5.8).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

_TINY, _SMALL = 1e-15, 1e-9  # what keeps BLEU's logarithms finite, as released
_ROUGE_BETA = 1.2
_CIDER_SIGMA = 6.0

Words = Sequence[str]


def _ngrams(words: Words, n: int) -> Counter:
    return Counter(tuple(words[start : start + n]) for start in range(len(words) - n + 1))


def bleu(written: Sequence[Words], references: Sequence[Sequence[Words]], order: int = 4) -> list[float]:
    """BLEU-1 to BLEU-`order` of a corpus, with the reference of the nearest length (the shorter of two).

    Args:
        written: A sentence for each picture.
        references: At least one sentence for each picture.
        order: Longest group of words.
    """
    guessed, right = np.zeros(order), np.zeros(order)
    length = reference_length = 0
    for words, others in zip(written, references, strict=True):
        length += len(words)
        reference_length += min((abs(len(other) - len(words)), len(other)) for other in others)[1]
        for n in range(1, order + 1):
            most: Counter = Counter()
            for other in others:
                most |= _ngrams(other, n)
            groups = _ngrams(words, n)
            guessed[n - 1] += max(len(words) - n + 1, 0)
            right[n - 1] += sum((groups & most).values())
    values, product = [], 1.0
    for n in range(order):
        product *= (right[n] + _TINY) / (guessed[n] + _SMALL)
        values.append(product ** (1.0 / (n + 1)))
    ratio = (length + _TINY) / (reference_length + _SMALL)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    return [value * penalty for value in values]


def rouge_l(written: Sequence[Words], references: Sequence[Sequence[Words]]) -> float:
    """ROUGE-L: the mean of the F of the best precision and the best recall over references; arguments as `bleu`."""
    values = []
    for words, others in zip(written, references, strict=True):
        common = [_common_length(words, other) for other in others]
        precision = max(length / max(len(words), 1) for length in common)
        recall = max(length / max(len(other), 1) for length, other in zip(common, others, strict=True))
        both = precision and recall
        weighed = (1 + _ROUGE_BETA**2) * precision * recall
        values.append(weighed / (recall + _ROUGE_BETA**2 * precision) if both else 0.0)
    return float(np.mean(values))


def _common_length(first: Words, second: Words) -> int:
    """Length of the longest common subsequence."""
    lengths = [0] * (len(second) + 1)
    for word in first:
        before = 0
        for place, other in enumerate(second, start=1):
            longest = before + 1 if word == other else max(lengths[place - 1 : place + 1])
            before, lengths[place] = lengths[place], longest
    return lengths[-1]


def cider(written: Sequence[Words], references: Sequence[Sequence[Words]], order: int = 4) -> float:
    """CIDEr-D, times ten, with document frequencies of these references; arguments as `bleu`.

    As released its penalty compares numbers of pairs of words, and a single picture has 0.
    """
    frequency: Counter = Counter()
    for others in references:
        frequency.update({group for other in others for n in range(1, order + 1) for group in _ngrams(other, n)})
    log_count = math.log(len(references))

    def vectors(words: Words) -> list[dict[tuple, float]]:
        return [
            {group: count * (log_count - math.log(max(frequency[group], 1))) for group, count in groups.items()}
            for groups in (_ngrams(words, n) for n in range(1, order + 1))
        ]

    values = []
    for words, others in zip(written, references, strict=True):
        mine = vectors(words)
        score = 0.0
        for other in others:
            theirs = vectors(other)
            penalty = math.exp(-((max(len(words) - 1, 0) - max(len(other) - 1, 0)) ** 2) / (2 * _CIDER_SIGMA**2))
            score += sum(_clipped_cosine(a, b) for a, b in zip(mine, theirs, strict=True)) / order * penalty
        values.append(10 * score / len(others))
    return float(np.mean(values))


def _clipped_cosine(first: Mapping[tuple, float], second: Mapping[tuple, float]) -> float:
    product = sum(min(value, second.get(group, 0.0)) * second.get(group, 0.0) for group, value in first.items())
    norms = math.sqrt(sum(v * v for v in first.values())) * math.sqrt(sum(v * v for v in second.values()))
    return product / norms if norms else 0.0


def slot_figures(written: Sequence[Mapping[str, str]], references: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """How much of what the references say is said rightly.

    Args:
        written: For each picture what its caption says, slot -> value.
        references: The same of its reference.

    Returns:
        `slots`, the share of the slots of all references whose value is that of the caption; `slots_precision`, the
        share of the slots that captions fill (among those of the reference or not) with the right value; both 0..1.
    """
    right = sum(
        said.get(slot) == value
        for said, truth in zip(written, references, strict=True)
        for slot, value in truth.items()
    )
    expected, filled = (sum(len(each) for each in every) for every in (references, written))
    return {"slots": right / max(expected, 1), "slots_precision": right / max(filled, 1)}


__all__ = ["bleu", "cider", "rouge_l", "slot_figures"]
