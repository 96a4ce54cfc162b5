# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The text side of captions: normalised as in the official training, cut into words of a vocabulary, and back.

A caption is a row of whole numbers: a word that begins it (`[CLS]`), its word pieces, a word that ends it (`[SEP]`),
and padding (`[PAD]`). Which numbers these are says the tokenizer, and it must be the one the network was made with.
"""

import os
import re
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoTokenizer, BertTokenizer
from transformers.models.bert.tokenization_bert import load_vocab
from transformers.utils.hub import cached_files

from .person_inputs_hulk import shortened

OFFICIAL_WORDS = 41

_PUNCTUATION = re.compile(r'[.!"()*#:;~]')
_BLANKS = re.compile(r"\s{2,}")
_OF_DOWNLOADS = ("cache_dir", "force_download", "local_files_only", "revision", "subfolder", "token")
_PARTS_OF_A_TOKENIZER = (("cls_token_id", "bos_token_id"), ("sep_token_id", "eos_token_id"), ("pad_token_id",))


def normalize_caption(text: str, max_words: int = OFFICIAL_WORDS) -> str:
    """A caption as the official training reads it (spec 5.7 with its amendments).

    Lower-case; each of ``. ! " ( ) * # : ; ~`` becomes a space; two or more blanks of any kind become one space, while
    a single tab or newline stays; newlines at the end and then spaces at both ends go; what is left is cut behind the
    first `max_words` pieces between single spaces.

    Args:
        text: A caption. It may be empty, and one of punctuation alone becomes empty.
        max_words: One more than the `max_length` of the task, as in the release.

    Raises:
        TypeError: Not a string.
    """
    if not isinstance(text, str):
        raise TypeError(f"`text` must be a caption, a string, got {type(text).__name__} {shortened(text)}")
    text = _BLANKS.sub(" ", _PUNCTUATION.sub(" ", text.lower())).rstrip("\n").strip(" ")
    return " ".join(text.split(" ")[:max_words])


def encode_captions(texts: Sequence[str], tokenizer: Any, length: int = OFFICIAL_WORDS) -> dict[str, torch.Tensor]:
    """Captions as rows of words for training (training.md 1.4), normalised first.

    The first and the last word are set here, so it does not matter whether the tokenizer would. A caption that is too
    long loses its end, an empty one consists of its first and its last word.

    Args:
        texts: N captions.
        tokenizer: Any tokenizer of transformers with words that begin, end and pad a text.
        length: Words of a row, and of a caption before it is cut into pieces.

    Returns:
        `input_ids` and `attention_mask` (0 for padding), int64 (N, length).

    Raises:
        TypeError: A caption that is no string.
        ValueError: The tokenizer lacks one of these words.
    """
    first, last, padding = special_words(tokenizer)
    input_ids = torch.full((len(texts), length), padding, dtype=torch.long)
    attention_mask = torch.zeros_like(input_ids)
    for row, text in enumerate(texts):
        words = tokenizer(normalize_caption(text, length), add_special_tokens=False, verbose=False)["input_ids"]
        words = [first, *words[: length - 2], last]
        input_ids[row, : len(words)] = torch.tensor(words)
        attention_mask[row, : len(words)] = 1
    return {"input_ids": input_ids, "attention_mask": attention_mask}


def decode_captions(sequences: Any, tokenizer: Any, clean_up: bool = True) -> list[str]:
    """Rows of words as text, without the words that begin, end and pad.

    Args:
        sequences: (N, T) from `generate`, or its whole output.
        tokenizer: That of the network.
        clean_up: Removes the blanks before . ? ! , and around apostrophes, as the evaluation of the release does.

    Returns:
        N captions; a network that ends at once says the empty one.
    """
    sequences = getattr(sequences, "sequences", sequences)
    if not len(sequences):
        return []
    return tokenizer.batch_decode(sequences, skip_special_tokens=True, clean_up_tokenization_spaces=clean_up)


def special_words(tokenizer: Any) -> tuple[int, int, int]:
    """The words that begin, end and pad a caption: `[CLS]` or bos, `[SEP]` or eos, `[PAD]`.

    Raises:
        ValueError: The tokenizer has none of a kind.
    """
    found = []
    for names in _PARTS_OF_A_TOKENIZER:
        word = next((word for name in names if (word := getattr(tokenizer, name, None)) is not None), None)
        if word is None:
            raise ValueError(f"`tokenizer` must have {' or '.join(names)}, got {type(tokenizer).__name__} without")
        found.append(word)
    return tuple(found)


def check_tokenizer(tokenizer: Any, vocabulary_size: int | None, config: Any = None) -> None:
    """Makes sure that a tokenizer belongs to a network: captions would be gibberish otherwise, without an error.

    transformers gives a tokenizer of five words where it finds no vocabulary; this is where that shows.

    Args:
        tokenizer: Of transformers.
        vocabulary_size: Words of the caption task; None: not compared.
        config: A `HulkConfig`, whose words that begin, end and pad a caption must be those of the tokenizer; None: not
            compared.

    Raises:
        ValueError: They do not belong together, or there is no tokenizer.
    """
    if tokenizer is None:
        raise ValueError("`tokenizer` must be given to write captions, got None")
    if vocabulary_size is not None and len(tokenizer) != vocabulary_size:
        raise ValueError(
            f"`tokenizer` must have the {vocabulary_size} words of the caption task, got {len(tokenizer)} "
            f"({type(tokenizer).__name__}); a tokenizer that finds no vocabulary file has five: see "
            "`load_caption_tokenizer`"
        )
    if config is not None:
        names = ("bos_token_id", "eos_token_id", "pad_token_id")
        wanted = tuple(getattr(config, name) for name in names)
        words = special_words(tokenizer)
        if any(theirs not in (None, ours) for ours, theirs in zip(words, wanted, strict=True)):
            raise ValueError(
                "`tokenizer` must begin, end and pad captions with the words of the configuration, "
                f"{wanted}, got {words}"
            )


def load_caption_tokenizer(source: str | os.PathLike, vocabulary_size: int | None = None, **options: Any) -> Any:
    """A tokenizer whose vocabulary is really there.

    `from_pretrained` of transformers makes a tokenizer of five words out of a folder or hub name without a vocabulary;
    this asks for the vocabulary itself.

    Args:
        source: A `vocab.txt` of BERT's form, or a folder or hub name with a `tokenizer.json` or a `vocab.txt`.
            Released weights use the uncased English vocabulary of BERT, 30,522 words.
        vocabulary_size: Words that it must have; None: any number.
        options: Of downloads, such as `revision`, `cache_dir` or `local_files_only`.

    Raises:
        ValueError: No vocabulary can be found or fetched there, or it is of another size.
    """
    source = os.fspath(source)
    if os.path.isfile(source):
        tokenizer = BertTokenizer(vocab=load_vocab(source))
    else:
        tokenizer = _from_folder(source, options)
    check_tokenizer(tokenizer, vocabulary_size)
    return tokenizer


def _from_folder(source: str, options: dict[str, Any]) -> Any:
    """A tokenizer from a folder or hub name."""
    quiet = {f"_raise_exceptions_for_{kind}": False for kind in ("missing_entries", "connection_errors", "gated_repo")}
    fetching = {name: value for name, value in options.items() if name in _OF_DOWNLOADS}
    try:
        found = cached_files(source, ["tokenizer.json", "vocab.txt"], **quiet, **fetching)
    except (OSError, ValueError) as error:
        raise ValueError(f"`source`: no vocabulary can be read from {source!r} ({error})") from error
    places = {os.path.basename(place): place for place in found or [] if place}
    if "tokenizer.json" in places:
        return AutoTokenizer.from_pretrained(source, **options)
    if "vocab.txt" in places:
        return BertTokenizer(vocab=load_vocab(places["vocab.txt"]))
    raise ValueError(
        f"`source` must be a vocab.txt, or a folder or hub name with a tokenizer.json or a vocab.txt, got {source!r}, "
        "where neither can be found or fetched"
    )


__all__ = [
    "OFFICIAL_WORDS",
    "check_tokenizer",
    "decode_captions",
    "encode_captions",
    "load_caption_tokenizer",
    "normalize_caption",
    "special_words",
]
