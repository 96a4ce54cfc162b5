# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The pipeline `human-captioning`: inputs, outputs, options of generation, batches."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import PreTrainedTokenizerFast

from hulk_hf.modeling.image_processing_caption_hulk import HulkCaptionImageProcessor
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.pipeline_caption_hulk import HumanCaptioningPipeline
from hulk_hf.modeling.processing_caption_hulk import HulkCaptionProcessor
from hulk_hf.modeling.tasks_hulk import HulkTask

# Coarse noise: fine noise would be grey after resizing, and all captions the same.
IMAGE = np.random.default_rng(4).integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(20, axis=0).repeat(20, axis=1)
OTHER = IMAGE[::-1].copy()
BOXES = [[10.0, 5.0, 60.0, 100.0], [-12.0, 20.0, 80.0, 90.0], [70.0, 10.0, 50.0, 100.0]]


@pytest.fixture(scope="module")
def parts(captioner, caption_tokenizer) -> dict:
    processor = HulkCaptionImageProcessor.from_task(captioner.config.task())
    return {"model": captioner, "image_processor": processor, "tokenizer": caption_tokenizer}


@pytest.fixture(scope="module")
def pipe(parts) -> HumanCaptioningPipeline:
    return HumanCaptioningPipeline(**parts)


def texts(persons: list[dict]) -> list[str]:
    return [person["generated_text"] for person in persons]


# Results ------------------------------------------------------------------------------------------------------------


def test_result_is_what_the_model_writes(pipe, parts):
    persons = pipe(IMAGE, boxes=BOXES)
    assert json.loads(json.dumps(persons)) == persons
    assert [set(person) for person in persons] == [{"box", "score", "generated_text"}] * 3
    assert persons[1]["box"] == {"xmin": -12.0, "ymin": 20.0, "xmax": 68.0, "ymax": 110.0}
    processor = HulkCaptionProcessor(parts["image_processor"], parts["tokenizer"])
    words = parts["model"].generate(**processor(IMAGE, boxes=BOXES, return_tensors="pt"))
    assert texts(persons) == processor.post_process_image_text_to_text(words)
    assert len(set(texts(persons))) > 1


@pytest.mark.filterwarnings("error")
def test_options_of_generation(pipe, captioner, caption_tokenizer, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    short = texts(pipe(IMAGE, boxes=BOXES, max_new_tokens=3))
    assert not caplog.records  # of a length that was given twice
    inputs = pipe.image_processor(IMAGE, boxes=BOXES, return_tensors="pt")
    words = captioner.generate(**inputs, max_length=4)  # the first word is given
    assert short == caption_tokenizer.batch_decode(words, skip_special_tokens=True)
    assert short != texts(pipe(IMAGE, boxes=BOXES))
    assert texts(pipe(IMAGE, boxes=BOXES, generate_kwargs={"max_new_tokens": 3})) == short
    assert texts(pipe(IMAGE, boxes=BOXES, max_length=4)) == short
    beams = captioner.generate(**inputs, num_beams=3, num_return_sequences=2)
    written = caption_tokenizer.batch_decode(beams, skip_special_tokens=True)
    persons = pipe(IMAGE, boxes=BOXES, num_beams=3, num_return_sequences=2, batch_size=2)
    assert [person["generated_texts"] for person in persons] == [written[:2], written[2:4], written[4:]]
    assert texts(persons) == written[::2]


def test_options_can_be_given_to_the_constructor(parts, pipe):
    short = HumanCaptioningPipeline(**parts, max_new_tokens=3)
    same = HumanCaptioningPipeline(**parts, generate_kwargs={"max_new_tokens": 3})
    assert texts(short(IMAGE)) == texts(same(IMAGE)) == texts(pipe(IMAGE, max_new_tokens=3))
    assert texts(short(IMAGE, max_new_tokens=5)) == texts(pipe(IMAGE, max_new_tokens=5))


def test_a_network_that_ends_at_once_says_nothing(pipe):
    assert texts(pipe(IMAGE, boxes=BOXES, max_new_tokens=1)) == ["", "", ""]


def test_task_chooses_among_the_tasks_of_the_checkpoint(make_captioner, caption_config, caption_tokenizer, parts):
    small = HulkTask("caption-small", "caption", image_size=(64, 48), vocabulary_size=40, max_length=12)
    other = HulkTask("caption-other", "caption", image_size=(32, 32), vocabulary_size=40, max_length=5)
    model = make_captioner(caption_config(tasks=(small, other)))
    pipe = HumanCaptioningPipeline(**{**parts, "model": model})
    image = Image.fromarray(IMAGE).resize((32, 32), Image.Resampling.BICUBIC)
    pixels = pipe.task_processor("caption-other")(image, return_tensors="pt")["pixel_values"]
    words = model.generate(pixel_values=pixels, task="caption-other", max_length=5)
    assert texts(pipe(IMAGE, task="caption-other")) == caption_tokenizer.batch_decode(words, skip_special_tokens=True)


# Inputs and batches -------------------------------------------------------------------------------------------------


def test_kinds_of_one_picture(pipe, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "picture.png")
    expected = pipe(IMAGE, boxes=BOXES)
    for kind in (Image.fromarray(IMAGE), tmp_path / "picture.png", torch.from_numpy(IMAGE).permute(2, 0, 1)):
        assert pipe(kind, boxes=BOXES) == expected
    corners = [[x, y, x + w, y + h] for x, y, w, h in BOXES]
    assert pipe({"image": IMAGE, "boxes": corners}, box_format="xyxy") == expected
    assert pipe(IMAGE) == pipe(IMAGE, boxes=[[0, 0, 160, 120]])


def test_nobody(pipe):
    assert pipe(IMAGE, boxes=[]) == [] and pipe([]) == []
    assert pipe([IMAGE, OTHER], boxes=[[], []]) == [[], []]
    assert pipe(IMAGE, detector=lambda image: []) == []


@pytest.mark.parametrize("batch_size", [1, 8])
def test_lists_and_generators_whatever_the_batch(pipe, batch_size):
    boxes = [BOXES, [], None, BOXES[:1]]
    images = [IMAGE, IMAGE, OTHER, OTHER]
    expected = [pipe(image, boxes=part) for image, part in zip(images, boxes, strict=True)]
    assert pipe(images, boxes=boxes, batch_size=batch_size) == expected
    items = ({"image": image, "boxes": part} for image, part in zip(images, boxes, strict=True))
    assert list(pipe(items, batch_size=batch_size)) == expected


# Loading and bad input ----------------------------------------------------------------------------------------------


def test_a_model_of_all_families_serves_too(captioner, parts, pipe):
    everything = HulkForHumanAnalysis(captioner.config)
    everything.load_state_dict(captioner.state_dict())
    other = HumanCaptioningPipeline(**{**parts, "model": everything.eval()}, max_new_tokens=4)
    assert other(IMAGE, boxes=BOXES) == pipe(IMAGE, boxes=BOXES, max_new_tokens=4)


def test_one_processor_in_place_of_its_parts(captioner, parts, pipe):
    processor = HulkCaptionProcessor(parts["image_processor"], parts["tokenizer"])
    assert HumanCaptioningPipeline(model=captioner, processor=processor)(IMAGE) == pipe(IMAGE)


def test_tokenizers_that_do_not_belong_to_the_model(parts):
    strange = PreTrainedTokenizerFast(tokenizer_object=parts["tokenizer"].backend_tokenizer, pad_token="[PAD]")
    with pytest.raises(ValueError, match="`tokenizer` must have cls_token_id or bos_token_id"):
        HumanCaptioningPipeline(**{**parts, "tokenizer": strange})
    strange.add_tokens(["more"])
    with pytest.raises(ValueError, match="`tokenizer` must have the 40 words of the caption task, got 41"):
        HumanCaptioningPipeline(**{**parts, "tokenizer": strange})
    with pytest.raises(ValueError, match="`tokenizer` must be given"):
        HumanCaptioningPipeline(**{**parts, "tokenizer": None})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: p(IMAGE, max_tokens=3), TypeError, r"\['max_tokens'\] are options neither of"),
        (lambda p: p(IMAGE, boxes=[], numbeams=3), TypeError, "numbeams"),
        (lambda p: p(IMAGE, generate_kwargs=3), TypeError, "`generate_kwargs` must be a dict"),
        (lambda p: p(IMAGE, generate_kwargs={"num_beams": 2}, num_beams=3), ValueError, r"\['num_beams'\] are given"),
        (lambda p: p(IMAGE, max_new_tokens=50), ValueError, "`max_length` must be at most 13 .* got 51"),
        (lambda p: p(IMAGE, boxes=[1, 2, 3, 4]), ValueError, "`boxes`"),
        (lambda p: p({"picture": IMAGE}), ValueError, "'image'"),
        (lambda p: p("nowhere.png"), ValueError, "`inputs`"),
        (lambda p: p(3), TypeError, "`inputs`"),
        (lambda p: p(IMAGE, task="caption-none"), ValueError, "caption-none"),
    ],
)
def test_bad_input_is_named(pipe, call, error, message):
    with pytest.raises(error, match=message):
        call(pipe)
