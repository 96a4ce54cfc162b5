# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkCaptionProcessor: pictures and captions of a caption task, its image processor and its tokenizer in one."""

from typing import Any

from transformers.image_processing_utils import BatchFeature
from transformers.processing_utils import ProcessorMixin

from .caption_text_hulk import check_tokenizer, decode_captions, encode_captions, load_caption_tokenizer
from .image_processing_caption_hulk import HulkCaptionImageProcessor


class HulkCaptionProcessor(ProcessorMixin):
    """Makes inputs and targets of captioning, and text of what the network writes.

    >>> inputs = processor("person.jpg", return_tensors="pt")  # doctest: +SKIP
    >>> processor.post_process_image_text_to_text(model.generate(**inputs))  # doctest: +SKIP
    ['the man has short black hair and wears a grey t-shirt']
    >>> batch = processor("person.jpg", text="A man in grey.", return_tensors="pt")  # doctest: +SKIP
    >>> model(**batch).loss  # doctest: +SKIP

    Args:
        image_processor: A `HulkCaptionImageProcessor`.
        tokenizer: That of the network, with as many words as its task.

    Raises:
        ValueError: The tokenizer does not belong to the task.
    """

    def __init__(self, image_processor: Any, tokenizer: Any):
        check_tokenizer(tokenizer, getattr(image_processor, "vocabulary_size", None))
        super().__init__(image_processor, tokenizer)

    def __call__(
        self,
        images: Any = None,
        text: Any = None,
        boxes: Any = None,
        *,
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Inputs of the network, with captions also its targets.

        Args:
            images: As in `HulkCaptionImageProcessor.preprocess`; None for text alone.
            text: One caption per person, in the order of the pictures and their boxes: a string for one person, a
                list, or for each picture a list. Normalised as in the official training, see `normalize_caption`.
            boxes: As in `HulkCaptionImageProcessor.preprocess`.
            return_tensors: `pt` for tensors; None for lists.
            kwargs: Further settings of the image processor, for this call.

        Returns:
            `pixel_values` (N, 3, H, W); with `text` also `input_ids`, `attention_mask` and `labels`, (N, L) with L one
            more than the `max_length` of the task. `labels` are the same words; the network shifts them, and learns
            padding too unless its task says otherwise.

        Raises:
            ValueError: Neither pictures nor text, or another number of captions than of persons.
            TypeError: A caption that is no string.
        """
        if images is None and text is None:
            raise ValueError("`images` or `text` must be given, got None for both")
        data = {}
        if images is not None:
            data |= self.image_processor(images, boxes=boxes, return_tensors=return_tensors, **kwargs)
        elif boxes is not None or kwargs:
            raise ValueError(f"`images` must be given with boxes or settings of pictures, got {boxes} and {kwargs}")
        if text is not None:
            captions = _flat(text)
            persons = len(captions) if images is None else len(data["pixel_values"])
            if len(captions) != persons:
                raise ValueError(f"`text` must have one caption per person, {persons} of them, got {len(captions)}")
            words = encode_captions(captions, self.tokenizer, self.image_processor.caption_length + 1)
            words["labels"] = words["input_ids"].clone()
            data |= words if return_tensors is not None else {name: rows.tolist() for name, rows in words.items()}
        return BatchFeature(data=data, tensor_type=return_tensors)

    def post_process_image_text_to_text(
        self, generated_outputs: Any, skip_special_tokens: bool = True, clean_up_tokenization_spaces: bool = True
    ) -> list[str]:
        """Captions from the words that the network wrote.

        Args:
            generated_outputs: From `generate`, (N, T) or its whole output.
            skip_special_tokens: Leave out the words that begin, end and pad.
            clean_up_tokenization_spaces: Remove blanks before punctuation, as the evaluation of the release does.
        """
        if skip_special_tokens:
            return decode_captions(generated_outputs, self.tokenizer, clean_up_tokenization_spaces)
        sequences = getattr(generated_outputs, "sequences", generated_outputs)
        return self.tokenizer.batch_decode(
            sequences, skip_special_tokens=False, clean_up_tokenization_spaces=clean_up_tokenization_spaces
        )

    @classmethod
    def _get_arguments_from_pretrained(cls, pretrained_model_name_or_path, processor_dict=None, **kwargs) -> list:
        """Both parts of a folder; the base class would ask the Auto classes, one class per configuration."""
        settings = (processor_dict or {}).get("image_processor")
        if settings is None:
            image_processor = HulkCaptionImageProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs)
        else:
            image_processor = HulkCaptionImageProcessor.from_dict(dict(settings))
        return [image_processor, load_caption_tokenizer(pretrained_model_name_or_path, **kwargs)]


def _flat(text: Any) -> list:
    """Captions in one list, whether they are nested per picture or not."""
    if not isinstance(text, list | tuple):
        return [text]
    return [caption for part in text for caption in (part if isinstance(part, list | tuple) else [part])]


__all__ = ["HulkCaptionProcessor"]
