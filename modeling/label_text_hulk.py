# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Text features of label names: what the semantic heads compare query states with (Paper, Sec. 3.4)."""

from collections.abc import Callable, Sequence

import torch

TextEncoder = str | Callable[[Sequence[str]], torch.Tensor]


@torch.no_grad()
def encode_names(labels: Sequence[str], encoder: TextEncoder, pooling: str = "mean") -> torch.Tensor:
    """Encode label names with a text encoder.

    Args:
        labels: Names, for example the joints of a task.
        encoder: Hub name or folder of a BERT-like encoder with its tokenizer; or any function from names to features.
        pooling: `mean` of the token states, scaled to unit length (sentence encoders, such as that of `hulk-tiny`); or
            `pooler`, the output of BERT's pooler (the released weights, spec 5.8). A function does its own.

    Returns:
        Shape (K, width of the encoder), float32.

    Raises:
        ValueError: No names, another `pooling`, or a function that gave something else than one row per name.
    """
    names = list(labels)
    if not names or isinstance(labels, str):
        raise ValueError(f"labels: expected a list of names, got {labels!r}")
    if pooling not in ("mean", "pooler"):
        raise ValueError(f"pooling: expected 'mean' or 'pooler', got {pooling!r}")
    if not isinstance(encoder, str):
        features = torch.as_tensor(encoder(names), dtype=torch.float32)
        if features.ndim != 2 or len(features) != len(names):
            raise ValueError(
                f"encoder: expected a function that gives {len(names)} rows for {len(names)} names, got the shape "
                f"{tuple(features.shape)}"
            )
        return features
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(encoder).eval(), AutoTokenizer.from_pretrained(encoder)
    batch = tokenizer(names, padding=True, return_tensors="pt")
    outputs = model(**batch)
    if pooling == "pooler":
        return outputs.pooler_output.float()
    mask = batch["attention_mask"][..., None].to(outputs.last_hidden_state.dtype)
    return torch.nn.functional.normalize((outputs.last_hidden_state * mask).sum(1) / mask.sum(1), dim=-1).float()


__all__ = ["TextEncoder", "encode_names"]
