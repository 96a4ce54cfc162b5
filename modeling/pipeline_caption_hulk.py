# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-captioning`: pictures and boxes in, a sentence about each person out."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from transformers import GenerationConfig

from .caption_text_hulk import check_tokenizer, decode_captions
from .image_processing_caption_hulk import HulkCaptionImageProcessor
from .pipeline_hulk import HulkPersonPipeline


class HumanCaptioningPipeline(HulkPersonPipeline):
    """Captions of the persons in pictures; inputs and common options as in `HulkPersonPipeline`.

    Example:
        >>> pipe = pipeline("human-captioning")  # doctest: +SKIP
        >>> pipe("street.jpg", boxes=[[100, 80, 150, 300]])[0]["generated_text"]  # doctest: +SKIP
        'the man has short black hair and wears a grey t-shirt'

    Further options are those of `generate`: `max_new_tokens`, `num_beams`, `do_sample` and all others, by name or in a
    dict `generate_kwargs`. Without any, captions are written as released: greedily, of at most `max_length` words.

    A person is `{"box": {"xmin", "ymin", "xmax", "ymax"}, "score": float, "generated_text": str}`; `score` is that of
    the detector, 1 for given boxes. With `num_return_sequences` above 1 there is also `generated_texts`, a list of all
    captions of the person, of which `generated_text` is the first.
    """

    _load_tokenizer = True  # type: ignore[assignment]
    _pipeline_calls_generate = True

    family = "caption"
    default_batch_size = 16
    processor_class = HulkCaptionImageProcessor

    def __init__(self, *args, **kwargs):
        model = args[0] if args else kwargs.get("model")
        if hasattr(model, "for_family"):  # the class with all heads cannot write
            args, kwargs = args[1:], {**kwargs, "model": model.for_family(self.family)}
        options = kwargs.pop("generate_kwargs", None)
        if options:
            kwargs |= _joined(options, kwargs)
        super().__init__(*args, **kwargs)
        config = self.model.config
        check_tokenizer(self.tokenizer, config.task(None, family=self.family).vocabulary_size, config)

    def _sanitize_parameters(
        self, generate_kwargs: Mapping[str, Any] | None = None, **kwargs
    ) -> tuple[dict, dict, dict]:
        shared = set(inspect.signature(super()._sanitize_parameters).parameters)
        options = _joined(generate_kwargs or {}, {name: kwargs[name] for name in kwargs if name not in shared})
        before, during, after = super()._sanitize_parameters(
            **{name: value for name, value in kwargs.items() if name in shared}
        )
        generate = getattr(self.model, "generate", None)  # a model that cannot write is refused later
        known = set(vars(GenerationConfig())) | set(inspect.signature(generate).parameters if generate else ())
        unknown = sorted(name for name in options if name not in known - {"inputs", "kwargs"} or name.startswith("_"))
        if unknown:
            raise TypeError(f"{unknown} are options neither of {type(self).__name__} nor of `generate`")
        if options:
            during["generate_kwargs"] = options
        return before, during, after

    def predict_persons(
        self,
        pixel_values: torch.Tensor,
        persons: list[dict[str, Any]],
        task: str,
        generate_kwargs: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Captions of a batch of persons, see `HulkPersonPipeline.predict_persons`."""
        described = self.model.config.task(task, family=self.family)
        check_tokenizer(self.tokenizer, described.vocabulary_size)
        options = self._prepare_generate_kwargs(dict(generate_kwargs or {}))
        lengths = {"max_length", "max_new_tokens", "generation_config"} & options.keys()
        if lengths == {"max_new_tokens"}:  # beside the `max_length` of the model it would be warned about
            options["max_length"] = options.pop("max_new_tokens") + 1  # a caption begins with one given word
        elif not lengths and task != self.model.config.task(None, family=self.family).name:
            options["max_length"] = described.max_length  # that of the model is made for its default task
        longest = described.max_length + 1  # the last word needs no place
        if "max_length" in options and options["max_length"] > longest:
            raise ValueError(
                f"`max_length` must be at most {longest} (`max_new_tokens` {longest - 1}), for which task {task!r} "
                f"has places, got {options['max_length']}"
            )
        words = self.model.generate(pixel_values=pixel_values, task=task, **options)
        return self.read_persons(words, persons, task)

    def read_persons(self, outputs: Any, persons: list[dict[str, Any]], task: str) -> list[dict[str, Any]]:
        """The text of what was written, see `HulkPersonPipeline.read_persons`.

        Args:
            outputs: words (N * captions per person, T) from `generate`, or its whole output.
            persons: N of them.
            task: name of the task.
        """
        texts = decode_captions(outputs, self.tokenizer)
        each = len(texts) // len(persons)
        if each == 1:
            return [{"generated_text": text} for text in texts]
        groups = [texts[row * each : (row + 1) * each] for row in range(len(persons))]
        return [{"generated_text": group[0], "generated_texts": group} for group in groups]


def _joined(generate_kwargs: Mapping[str, Any], loose: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `generate` from both places they may be in."""
    if not isinstance(generate_kwargs, Mapping):
        raise TypeError(f"`generate_kwargs` must be a dict, got {type(generate_kwargs).__name__}")
    twice = sorted(set(generate_kwargs) & set(loose))
    if twice:
        raise ValueError(f"`generate_kwargs`: {twice} are given beside it too")
    return {**generate_kwargs, **loose}


__all__ = ["HumanCaptioningPipeline"]
