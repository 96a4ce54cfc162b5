# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The query side of captions: words as tokens of the decoder, and which tokens each of them may see.

The words that come out are scored by the text head; this is how those that are already there go in again.
"""

import torch
from torch import nn
from transformers.cache_utils import Cache

from .heads_hulk import HulkLabelFeatures
from .tasks_hulk import HulkTask

_NORM_EPS = 1e-12  # that of BERT's embeddings
_DROPOUT = 0.1


class HulkCaptionHead(nn.Module):
    """Embeds words: their text features, projected and normed (and partly dropped in training).

    The features are the label features of the task in the text head, which are stored once.

    Args:
        config: A `HulkConfig`.
        tasks: The tasks the head serves. Those with `own_token_features` have their word features here (the buffers
            `token_features.{task}`), all others share those of the text head.
    """

    def __init__(self, config, tasks: list[HulkTask]):
        super().__init__()
        width = config.decoder_config.hidden_size
        own = [task for task in tasks if task.own_token_features]
        if own:
            self.token_features = HulkLabelFeatures(own, config.text_feature_size)
        self.token_proj = nn.Linear(config.text_feature_size, width)
        self.layernorm = nn.LayerNorm(width, eps=_NORM_EPS)
        self.dropout = nn.Dropout(_DROPOUT)

    def forward(self, input_ids: torch.Tensor, task: HulkTask, label_features: nn.Module) -> torch.Tensor:
        """Embed words.

        Only the rows that are needed are projected: the whole vocabulary costs a tenth of a ViT-B encoder.

        Args:
            input_ids: Shape (B, Q).
            task: A caption task.
            label_features: Those of the text head.

        Returns:
            Query tokens, shape (B, Q, d), without their places.
        """
        features = (self.token_features if task.own_token_features else label_features)(task.name)
        rows = features[input_ids].to(self.token_proj.weight.dtype)
        return self.dropout(self.layernorm(self.token_proj(rows)))


def word_mask(
    num_words: int,
    num_context: int,
    attention_mask: torch.Tensor | None = None,
    past_key_values: Cache | None = None,
    context_is_past: bool = False,
    device: torch.device | None = None,
) -> torch.Tensor | None:
    """What words may see: all of the picture, and every word up to themselves.

    Args:
        num_words: Q, the words whose turn it is.
        num_context: P, the tokens of the picture.
        attention_mask: Shape (B, words so far), 0 for words that nobody may see (padding); None: all may be seen.
        past_key_values: Keys and values so far; those of the words whose turn it is are not among them yet.
        context_is_past: Whether those of the picture are.
        device: Where the mask goes.

    Returns:
        Shape (B or 1, 1, Q, keys), True where it may; None: everything may be seen.

    Raises:
        ValueError: `attention_mask` is about another number of words.
    """
    new = num_words if context_is_past else num_context + num_words
    seen = 0 if past_key_values is None else past_key_values.get_seq_length()
    keys = new if past_key_values is None else past_key_values.get_mask_sizes(new, 0)[0]
    # A cache of fixed size has places that are still empty, and counts those that are not in a tensor.
    exact = isinstance(seen, int) and keys == seen + new
    if attention_mask is not None:
        words = attention_mask.shape[-1]
        if attention_mask.ndim != 2 or words > keys - num_context or (exact and words != keys - num_context):
            raise ValueError(
                f"attention_mask: expected shape (batch, words), with earlier words {keys - num_context} of them, got "
                f"{tuple(attention_mask.shape)}"
            )
        known = nn.functional.pad(attention_mask.bool(), (num_context, keys - num_context - words), value=True)
    elif num_words == 1 and exact:
        return None
    places = torch.arange(keys, device=device)
    mask = (places <= (seen + new - num_words + torch.arange(num_words, device=device))[:, None])[None, None]
    return mask if attention_mask is None else mask & known[:, None, None]


__all__ = ["HulkCaptionHead", "word_mask"]
