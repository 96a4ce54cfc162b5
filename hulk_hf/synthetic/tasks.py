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

# How many of the pictures of training show each part.
_PART_RATIOS = (
    *(1.0, 0.166, 0.915, 0.057, 0.126, 0.804, 0.071, 0.177, 0.422, 0.786),
    *(0.04, 0.072, 0.065, 0.975, 0.906, 0.896, 0.689, 0.695, 0.668, 0.677),
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
        HulkTask("attributes-synthetic", "attributes", ATTRIBUTES, image_size=_CROP, flip_pairs=()),
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
