# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Examples of captions: one person per crop, with sentences about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from hulk_hf.metrics.captions import bleu, slot_figures
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.synthetic.captions import TOKENIZER_PATH, normalise, read_slots
from hulk_hf.training.augmentation import Augmentation
from hulk_hf.training.examples.base import FamilyExamples
from hulk_hf.training.examples.windows import Windows, jitter_windows, look, to_pixel_values, windows_on


class CaptionExamples(FamilyExamples):
    """Columns: `images` (N, H, W, 3) uint8, `boxes` (N, 4) xywh, `captions` (N, 3) ASCII bytes or text.

    Pictures whose caption says left or right are not mirrored.
    """

    default_augmentation = Augmentation(
        scale=(0.9, 1.15), shift=0.04, rotation=10.0, rotation_probability=0.3, colour=0.08, erase_probability=0.0
    )

    @cached_property
    def tokenizer(self) -> Any:
        """Words and their numbers."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(TOKENIZER_PATH)

    def tokens(self, captions: Sequence[str]) -> torch.Tensor:
        """Numbers of the words of captions, from the first word to padding: shape (B, `max_length` + 1).

        All have this length, as released: padding is a target, and the mean over a task's slots is to be one over
        their words.
        """
        return self.tokenizer(
            [normalise(caption) for caption in captions],
            padding="max_length",
            truncation=True,
            max_length=self.task.max_length + 1,
            return_tensors="pt",
        )["input_ids"]

    def batch(self, generator: torch.Generator, size: int) -> dict[str, Any]:
        """See `FamilyExamples.batch`; one of the captions of each picture is drawn."""
        rows = self.draw(generator, size)
        pictures, boxes = self.read_people(rows, "images", "boxes", generator=generator)
        choice = torch.randint(self.train["captions"].shape[1], (size,), generator=generator).tolist()
        captions = [as_text(self.train["captions"][row, place]) for row, place in zip(rows, choice, strict=True)]
        sided = torch.tensor([bool({"left", "right"} & set(caption.lower().split())) for caption in captions])
        windows = jitter_windows(windows_on(boxes), self.augmentation, generator)
        windows = Windows(windows.center, windows.size, windows.angle, windows.flipped & ~sided)
        pixels = look(pictures, windows.grid(self.task.image_size, pictures.shape[1:3]))
        return {
            "pixel_values": to_pixel_values(pixels, self.augmentation, generator),
            "labels": self.tokens(captions),
        }

    @torch.no_grad()
    def evaluate(self, model: HulkForHumanAnalysis, limit: int | None = None) -> dict[str, float]:
        """Share of what the references say that greedy captions say rightly, and BLEU."""
        single = model.for_family("caption")
        written: list[str] = []
        for rows in self.validation_rows(limit):
            pictures, boxes = self.read_validation(rows, "images", "boxes")
            pixels = look(pictures, windows_on(boxes).grid(self.task.image_size, pictures.shape[1:3]))
            words = single.generate(
                pixel_values=to_pixel_values(pixels).to(model.device, model.dtype),
                max_length=self.task.max_length,
                do_sample=False,
            )
            written += self.tokenizer.batch_decode(words, skip_special_tokens=True)
        return self._figures(written, limit)

    def baseline(self, limit: int | None = None) -> dict[str, float]:
        """One sentence for everybody: the caption that is most right on the average of training."""
        captions = self.some_training_rows("captions", 1000)
        slots = [read_slots(as_text(row[0])) for row in captions]
        common = Counter(pair for said in slots for pair in said.items())
        best = max(range(len(slots)), key=lambda row: sum(common[pair] for pair in slots[row].items()))
        count = len(self.limited("captions", limit))
        return self._figures([normalise(as_text(captions[best][0]))] * count, limit)

    def _figures(self, written: Sequence[str], limit: int | None) -> dict[str, float]:
        references = [[normalise(as_text(text)) for text in row] for row in self.limited("captions", limit)]
        slots = slot_figures([read_slots(text) for text in written], [read_slots(row[0]) for row in references])
        return {
            **slots,
            "BLEU4": bleu([text.split() for text in written], [[t.split() for t in r] for r in references])[3],
        }


def as_text(caption: bytes | str | np.bytes_ | np.str_) -> str:
    """A stored caption as text."""
    return caption.decode("ascii") if isinstance(caption, bytes) else str(caption)


__all__ = ["CaptionExamples", "as_text"]
