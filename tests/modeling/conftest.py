# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Small models that the tests of the modeling room share; random weights, so only their form means something."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from hulk_hf.modeling.body_hulk import HulkBody
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_caption_hulk import HulkForCaptioning
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.tasks_hulk import HulkTask


@pytest.fixture(scope="session")
def tiny_pose_model() -> HulkForPoseEstimation:
    """A random pose model of two tasks; tests must not change it."""
    torch.manual_seed(0)
    config = HulkConfig(
        vision_config={"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96},
        decoder_config={"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64},
        text_feature_size=16,
        tasks=["pose-coco", "pose-aic"],
    )
    return HulkForPoseEstimation(config).eval()


@pytest.fixture(scope="session")
def tiny_pose_processor(tiny_pose_model) -> HulkPoseImageProcessor:
    """The processor of `tiny_pose_model`."""
    return HulkPoseImageProcessor.from_task(tiny_pose_model.config.task())


@pytest.fixture(scope="session")
def tiny_pose_folder(tiny_pose_model, tiny_pose_processor, tmp_path_factory) -> Path:
    """`tiny_pose_model` and its processor as a checkpoint folder; tests must not change it."""
    folder = tmp_path_factory.mktemp("tiny_pose")
    tiny_pose_model.save_pretrained(folder)
    tiny_pose_processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toy_body():
    """Makes bodies of a few vertices on one to three levels, with random tables."""

    def make(levels: int = 3, **fields) -> HulkBody:
        generator = torch.Generator().manual_seed(levels)
        vertices = (7, 9, 12)[:levels]

        def numbers(*shape, below=None):
            if below is None:
                return torch.rand(shape, generator=generator)
            return torch.randint(below, shape, generator=generator)

        adjacency = numbers(7, 7) > 0.7
        values = {
            "name": "toy",
            "license": "none",
            "restricted": True,
            "vertices": vertices,
            "flat": numbers(3 + 7, below=10_000),
            "depth": numbers(3 + 7, below=100),
            "adjacency": adjacency | adjacency.T | torch.eye(7, dtype=torch.bool),
            "regressor": numbers(5, vertices[-1]),
            "joints": (4, 1, 2),
            "pelvis": 3,
            "hips": (1, 2),
            "upsampling": (numbers(12, 3, below=9), numbers(12, 3)) if levels == 3 else None,
            "faces": tuple(torch.tensor([[0, 1, 2], [2, 1, 3], [4, 5, 6]]) for _ in vertices),
        }
        return HulkBody(**(values | fields))

    return make


@pytest.fixture(scope="session")
def caption_config():
    """Makes configurations of a caption task: 40 words, of which 1 begins and 2 ends a caption, and 12 places."""

    def make(tasks: tuple[HulkTask, ...] = (), vision: dict | None = None, decoder: dict | None = None, **fields):
        sizes = {"num_hidden_layers": 2, "num_attention_heads": 4}
        small = HulkTask("caption-small", "caption", image_size=(64, 48), vocabulary_size=40, max_length=12)
        return HulkConfig(
            vision_config={
                "hidden_size": 48,
                "intermediate_size": 64,
                "drop_path_rate": 0.0,
                **sizes,
                **(vision or {}),
            },
            decoder_config={"hidden_size": 32, "intermediate_size": 40, **sizes, **(decoder or {})},
            text_feature_size=24,
            tasks=list(tasks or [small]),
            **{"bos_token_id": 1, "eos_token_id": 2, **fields},
        )

    return make


@pytest.fixture(scope="session")
def make_captioner(caption_config):
    """Makes models that say something: captions differ, end at different places, and some do not end at all.

    So sharp is their attention for this that most tokens see one other; where it matters that all are seen, it is
    blunt (0.7).
    """

    def make(config: HulkConfig | None = None, sharpness: float = 4.0) -> HulkForCaptioning:
        torch.manual_seed(2)
        model = HulkForCaptioning(caption_config() if config is None else config).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                noise = torch.randn_like(parameter)
                if "layernorm" in name or "norms" in name:
                    parameter.add_(0.1 * noise)
                elif parameter.ndim > 1:
                    scale = sharpness if "q_proj" in name or "k_proj" in name else 1.0
                    parameter.copy_(scale * noise / parameter.shape[-1] ** 0.5)
                else:
                    parameter.copy_(0.1 * noise)
            model.text_head.norms["caption-small"].bias[2] += 1.2
        return model

    return make


@pytest.fixture(scope="session")
def captioner(make_captioner) -> HulkForCaptioning:
    """Says something; tests must not change it."""
    return make_captioner()


@pytest.fixture(scope="session")
def blunt_captioner(make_captioner) -> HulkForCaptioning:
    """Sees everything it may; tests must not change it."""
    return make_captioner(sharpness=0.7)


@pytest.fixture(scope="session")
def caption_tokenizer() -> PreTrainedTokenizerFast:
    """The 40 words of `caption-small`: "alpha" is 4, the next ones are "word5" to "word39"."""
    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "alpha", *(f"word{index}" for index in range(5, 40))]
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


@pytest.fixture(scope="session")
def captioned_pixels() -> torch.Tensor:
    """Pictures (6, 3, 64, 48)."""
    return torch.randn(6, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def captions() -> torch.Tensor:
    """Whole captions (6, 13), two of them padded; tests must not change them."""
    words = torch.randint(3, 40, (6, 13), generator=torch.Generator().manual_seed(1))
    words[:, 0], words[:, -1] = 1, 2
    for row, end in ((1, 5), (4, 9)):
        words[row, end], words[row, end + 1 :] = 2, 0
    return words
