# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes the tokenizer of the synthetic captions: one token per word, from `captions.vocabulary`.

`python -m hulk_hf.synthetic.build_tokenizer`

Ids: `[PAD]` 0, `[UNK]` 1, `[CLS]` 2 (starts a caption), `[SEP]` 3 (ends it), then the words in order. Text is
normalised as in the official training: lower-case, some punctuation removed (`captions.normalise`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .captions import TOKENIZER_PATH, vocabulary

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MAX_LENGTH = 41  # tokens of a whole caption (spec: training.md 1.4)


def build_tokenizer(folder: str | Path) -> None:
    """Writes the tokenizer's files into `folder`."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {word: index for index, word in enumerate((*SPECIAL_TOKENS, *vocabulary()))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    punctuation = normalizers.Replace(Regex(r'[.!"()*#:;~,]'), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), punctuation])
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, words[name]) for name in ("[CLS]", "[SEP]")]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        bos_token="[CLS]",
        eos_token="[SEP]",
        model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=TOKENIZER_PATH)
    build_tokenizer(parser.parse_args().output)


__all__ = ["MAX_LENGTH", "SPECIAL_TOKENS", "build_tokenizer"]


if __name__ == "__main__":
    main()
