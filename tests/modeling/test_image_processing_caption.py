# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The processors of caption tasks: crops, captions as targets, and what the network wrote as text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from hulk_hf.modeling.image_processing_caption_hulk import HulkCaptionImageProcessor
from hulk_hf.modeling.processing_caption_hulk import HulkCaptionProcessor

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
BOXES = [[10.3, 5.0, 20.4, 50.9], [-12.0, 20.0, 30.0, 90.0]]


@pytest.fixture(scope="module")
def image_processor(captioner) -> HulkCaptionImageProcessor:
    return HulkCaptionImageProcessor.from_task(captioner.config.task())


@pytest.fixture(scope="module")
def processor(image_processor, caption_tokenizer) -> HulkCaptionProcessor:
    return HulkCaptionProcessor(image_processor, caption_tokenizer)


def test_pictures_are_resized_by_pillow_bicubic(image_processor):
    pixels = image_processor(IMAGE, boxes=BOXES, do_rescale=False, do_normalize=False, return_tensors="pt")
    for ours, crop in zip(pixels["pixel_values"].numpy(), (IMAGE[5:56, 10:31], IMAGE[20:60, 0:18]), strict=True):
        expected = Image.fromarray(crop.copy()).resize((48, 64), Image.Resampling.BICUBIC)
        assert np.array_equal(ours.transpose(1, 2, 0), np.asarray(expected))
    assert HulkCaptionImageProcessor()(IMAGE, return_tensors="pt")["pixel_values"].shape == (1, 3, 384, 384)


def test_captions_become_targets_that_the_model_takes(processor, captioner):
    batch = processor([IMAGE, IMAGE], [["Alpha word5.", "Unheard!"], "word39"], [BOXES, None], return_tensors="pt")
    length = captioner.config.task().max_length + 1
    assert batch["labels"].shape == batch["input_ids"].shape == (3, length) and batch["labels"].dtype == torch.int64
    assert batch["labels"][:, :5].tolist() == [[1, 4, 5, 2, 0], [1, 3, 2, 0, 0], [1, 39, 2, 0, 0]]
    assert batch["attention_mask"].sum(dim=1).tolist() == [4, 3, 3]
    with torch.no_grad():
        loss = captioner(**batch).loss
        alone = captioner(pixel_values=batch["pixel_values"], labels=batch["labels"]).loss
    torch.testing.assert_close(loss, alone)


def test_empty_and_very_long_captions(processor):
    batch = processor(text=["", " ... ", "word5 " * 500], return_tensors="pt")
    assert "pixel_values" not in batch
    assert batch["input_ids"].shape == (3, 13)
    assert batch["input_ids"][:2].tolist() == [[1, 2] + [0] * 11] * 2
    assert batch["input_ids"][2].tolist() == [1] + [5] * 11 + [2]


def test_pictures_alone_and_lists(processor):
    assert set(processor(IMAGE, return_tensors="pt")) == {"pixel_values"}
    lists = processor(IMAGE, "alpha")
    assert lists["labels"][0][:3] == [1, 4, 2] and lists["pixel_values"][0].shape == (3, 64, 48)


def test_what_was_written_becomes_text(processor, captioner, captioned_pixels):
    words = captioner.generate(pixel_values=captioned_pixels)
    texts = processor.post_process_image_text_to_text(words)
    for row, text in zip(words.tolist(), texts, strict=True):
        assert text == " ".join(processor.tokenizer.convert_ids_to_tokens([word for word in row if word > 3]))
    assert any(texts)
    with_all = processor.post_process_image_text_to_text(words, skip_special_tokens=False)
    assert all(text.startswith("[CLS]") for text in with_all)


def test_saving_and_loading(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    loaded = HulkCaptionProcessor.from_pretrained(tmp_path)
    assert loaded.image_processor.to_dict() == processor.image_processor.to_dict()
    ours, theirs = (each(IMAGE, "alpha", BOXES[:1], return_tensors="pt") for each in (processor, loaded))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_parts_saved_apart(processor, tmp_path):
    processor.image_processor.save_pretrained(tmp_path)
    processor.tokenizer.save_pretrained(tmp_path)
    loaded = HulkCaptionProcessor.from_pretrained(tmp_path)
    assert loaded.image_processor.caption_length == 12 and len(loaded.tokenizer) == 40


def test_a_folder_without_a_vocabulary_is_refused(processor, tmp_path):
    processor.image_processor.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="`source` must be a vocab.txt"):
        HulkCaptionProcessor.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: p(), ValueError, "`images` or `text`"),
        (lambda p: p(IMAGE, ["alpha", "alpha"]), ValueError, "one caption per person, 1 of them, got 2"),
        (lambda p: p([IMAGE, IMAGE], "alpha"), ValueError, "one caption per person, 2 of them, got 1"),
        (lambda p: p(IMAGE, [None]), TypeError, "`text` must be a caption"),
        (lambda p: p(text="alpha", boxes=BOXES), ValueError, "`images` must be given"),
        (lambda p: p("nowhere.png", "alpha"), ValueError, "`images`"),
        (lambda p: p(IMAGE, resample=2), ValueError, "`resample` must be bicubic"),
        (
            lambda p: HulkCaptionProcessor(HulkCaptionImageProcessor(), p.tokenizer),
            ValueError,
            "30522 words .* got 40",
        ),
        (lambda p: HulkCaptionProcessor(p.image_processor, None), ValueError, "`tokenizer`"),
    ],
)
def test_bad_input_is_named(processor, call, error, message):
    with pytest.raises(error, match=message):
        call(processor)
