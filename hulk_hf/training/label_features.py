# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Text features of label names: what the semantic heads compare query states with (Paper, Sec. 3.4).

The features of the bundled model were made with the sentence encoder all-MiniLM-L6-v2 (384 features), for example:

    python -m hulk_hf.training.label_features ENCODER_FOLDER --task pose-coco --output pose-coco.safetensors
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

FEATURES_FOLDER = Path(__file__).parent / "recipes" / "label_features"


@torch.no_grad()
def encode_labels(labels: Sequence[str], encoder: str) -> torch.Tensor:
    """Encode label names with a sentence encoder: mean of the token states, scaled to unit length.

    Args:
        labels: Names, for example the joints of a task.
        encoder: Hub name or folder of a BERT-like encoder with its tokenizer.

    Returns:
        Shape (K, width of the encoder), float32.
    """
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(encoder).eval(), AutoTokenizer.from_pretrained(encoder)
    batch = tokenizer(list(labels), padding=True, return_tensors="pt")
    states = model(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None].to(states.dtype)
    return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)


def load_label_features(task: str) -> torch.Tensor:
    """Load the shipped features of a known task: shape (K, 384).

    Raises:
        ValueError: None are shipped for this task.
    """
    path = FEATURES_FOLDER / f"{task}.safetensors"
    if not path.is_file():
        shipped = sorted(file.stem for file in FEATURES_FOLDER.glob("*.safetensors"))
        raise ValueError(f"task: no label features are shipped for {task!r}, expected one of {shipped}")
    return load_file(path)["features"]


def main() -> None:
    """Write the features of one known task to a safetensors file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("encoder", help="hub name or folder of the sentence encoder")
    parser.add_argument("--task", required=True, choices=sorted(KNOWN_TASKS))
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    save_file({"features": encode_labels(KNOWN_TASKS[arguments.task].labels, arguments.encoder)}, arguments.output)


if __name__ == "__main__":
    main()

__all__ = ["encode_labels", "load_label_features"]
