# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The tasks that `hulk-tiny` learns from synthetic people: known ones at small sizes, and some of their own.

Names are in the form `family-labelspace`; those of known tasks stand for the same labels in the same order.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS, HulkTask

from .actions import ACTIONS
from .attributes import ATTRIBUTES
from .captions import MOST_WORDS, TOKENIZER_PATH

_CROP = (128, 96)
_MESH_CROP = (128, 128)
_PARSING_CROP = (192, 144)
SCENE_SIZE = (192, 256)

# How many of the pictures of training show each part; of how many people each attribute is true, where it is known.
_PART_RATIOS = (
    *(1.0, 0.293, 0.918, 0.118, 0.221, 0.757, 0.093, 0.274, 0.431, 0.725),
    *(0.033, 0.182, 0.1, 0.97, 0.881, 0.895, 0.606, 0.617, 0.723, 0.723),
)
_ATTRIBUTE_RATIOS = (
    *(0.502, 0.113, 0.455, 0.288, 0.308, 0.266, 0.175, 0.598, 0.313, 0.277, 0.225, 0.529),
    *(0.246, 0.284, 0.162, 0.13, 0.167, 0.169, 0.113, 0.227, 0.183, 0.153, 0.165, 0.256),
    *(0.237, 0.216, 0.19, 0.176, 0.387, 0.452, 0.161, 0.319, 0.198, 0.145, 0.142, 0.438),
)

# Number of each word of the tokenizer of captions.
_TOKENIZER = json.loads((TOKENIZER_PATH / "tokenizer.json").read_text(encoding="utf-8"))
WORD_IDS: dict[str, int] = _TOKENIZER["model"]["vocab"]

SYNTHETIC_TASKS: dict[str, HulkTask] = {
    task.name: task
    for task in (
        replace(KNOWN_TASKS["pose-coco"], image_size=_CROP),
        replace(KNOWN_TASKS["parsing-lip"], image_size=_PARSING_CROP, presence_ratios=_PART_RATIOS),
        # Fewer anchors than the 17 x 17 x 3 of the release: a scene holds 15 people at most.
        HulkTask(
            "detection-synthetic",
            "detection",
            ("pedestrian",),
            image_size=SCENE_SIZE,
            anchors_per_side=12,
            anchor_patterns=1,
        ),
        HulkTask(
            "attributes-synthetic",
            "attributes",
            ATTRIBUTES,
            image_size=_CROP,
            flip_pairs=(),
            presence_ratios=_ATTRIBUTE_RATIOS,
        ),
        HulkTask("action-synthetic", "action", ACTIONS, flip_pairs=()),
        replace(KNOWN_TASKS["mesh-open"], image_size=_MESH_CROP),
        HulkTask(
            "caption-synthetic",
            "caption",
            image_size=_CROP,
            vocabulary_size=len(WORD_IDS),
            max_length=MOST_WORDS + 2,
        ),
    )
}

NUM_FRAMES = 70  # of a skeleton sequence: ten parts of seven frames, where the release has 25

# Fields of `HulkConfig` that these tasks need beside their entries in its table.
SYNTHETIC_SETTINGS: dict[str, Any] = {
    "skeleton_config": {"num_frames": NUM_FRAMES},
    "pad_token_id": WORD_IDS["[PAD]"],
    "bos_token_id": WORD_IDS["[CLS]"],
    "eos_token_id": WORD_IDS["[SEP]"],
}

__all__ = ["NUM_FRAMES", "SCENE_SIZE", "SYNTHETIC_SETTINGS", "SYNTHETIC_TASKS", "WORD_IDS"]
