# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkForHumanParsing: which part of a body or of its clothes every pixel shows, as a mask per part."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_hulk import HulkConfig
from .heads_hulk import HulkDenseHead
from .loss_parsing_hulk import NUM_POINTS, parsing_loss
from .modeling_hulk import HulkInputs, HulkModel, HulkModelOutput
from .pretrained_hulk import HulkPreTrainedModel, check_call_options, keys_of_other_families
from .tasks_hulk import HulkTask


@dataclass
class HulkHumanParsingOutput(ModelOutput):
    """Output of `HulkForHumanParsing`.

    Attributes:
        loss: Sum of `loss_dict`; only when `labels` are given.
        loss_dict: Each term of the loss, already weighted.
        logits: Mask logits, shape (B, K, H/4, W/4). The probability of a part is that of its mask times that of its
            presence, see `part_probabilities`.
        presence_logits: Shape (B, K): whether each part can be seen at all.
        encoder_last_hidden_state: Memory, shape (B, P, C).
        hidden_states: Encoder: input of the first layer and output of every layer, each (B, P, C); only with
            `output_hidden_states=True`.
        attentions: Encoder attention weights, each (B, heads, P, P); only with `output_attentions=True` (eager
            attention only).
        decoder_hidden_states: Output of every decoder layer: (B, P + Q, d), the last one (B, Q, d); only with
            `output_decoder_hidden_states=True`.
        decoder_attentions: Decoder attention weights, each (B, heads, rows that attend, P + Q); only with
            `output_decoder_attentions=True` (eager attention only).
    """

    loss: torch.FloatTensor | None = None
    loss_dict: dict[str, torch.FloatTensor] | None = None
    logits: torch.FloatTensor | None = None
    presence_logits: torch.FloatTensor | None = None
    encoder_last_hidden_state: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    decoder_hidden_states: tuple[torch.FloatTensor, ...] | None = None
    decoder_attentions: tuple[torch.FloatTensor, ...] | None = None


def read_parsing(
    heads: nn.Module,
    outputs: HulkModelOutput,
    task: HulkTask,
    inputs: HulkInputs,
    labels: torch.Tensor | None = None,
    points: torch.Tensor | None = None,
    num_pairs: int | float | torch.Tensor | None = None,
    num_points: int = NUM_POINTS,
    generator: torch.Generator | None = None,
) -> HulkHumanParsingOutput:
    """Read the parts from the query states of a parsing task.

    Args:
        heads: Any module that has `dense_head`.
        outputs: Of the trunk; with `labels` they have to hold the states of all decoder layers.
        task: The task.
        inputs: What the trunk was given.
        labels: This and the rest are arguments of `HulkForHumanParsing.forward`.

    Raises:
        ValueError: `labels` of another size than the pictures; others are those of `parsing_loss`.
    """
    states = [outputs.last_hidden_state]
    if labels is not None:
        size = tuple(inputs.values.shape[-2:])
        if labels.ndim == 3 and labels.shape[1:] != size:
            raise ValueError(
                f"labels: expected the size {size[0]}x{size[1]} of pixel_values, got "
                f"{labels.shape[1]}x{labels.shape[2]}"
            )
        # Deep supervision: the head reads the states of all decoder layers, the last one first.
        states += outputs.auxiliary_hidden_states or ()
    states = torch.stack(states)
    logits, presence_logits = heads.dense_head(states.flatten(0, 1), task, inputs.grid)
    logits = logits.unflatten(0, states.shape[:2])
    presence_logits = presence_logits.unflatten(0, states.shape[:2])

    loss = loss_dict = None
    if labels is not None:
        loss_dict = parsing_loss(
            logits, presence_logits, labels, task, points, num_pairs, num_points=num_points, generator=generator
        )
        loss = torch.stack(list(loss_dict.values())).sum()
    return HulkHumanParsingOutput(
        loss=loss,
        loss_dict=loss_dict,
        logits=logits[0],
        presence_logits=presence_logits[0],
        **outputs.handed_on(),
    )


class HulkForHumanParsing(HulkPreTrainedModel):
    """Hulk with the dense head of its parsing tasks.

    Args:
        config: Must hold at least one task of family `parsing`; other tasks are ignored.

    Example:
        >>> model = HulkForHumanParsing(HulkConfig.preset("hulk-tiny", tasks=["parsing-lip"]))
        >>> model(torch.zeros(1, 3, 480, 480)).logits.shape
        torch.Size([1, 20, 120, 120])
    """

    _keys_to_ignore_on_load_unexpected = keys_of_other_families("parsing")
    lora_modules_to_save = ("dense_head",)

    def __init__(self, config: HulkConfig):
        config = config.of_family("parsing")
        super().__init__(config)
        self.hulk = HulkModel(config, families=["parsing"])
        self.dense_head = HulkDenseHead(config, list(self.hulk.tasks.values()))
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        task: str | None = None,
        points: torch.Tensor | None = None,
        num_pairs: int | float | torch.Tensor | None = None,
        num_points: int = NUM_POINTS,
        generator: torch.Generator | None = None,
        **kwargs,
    ) -> HulkHumanParsingOutput:
        """Find the parts.

        Args:
            pixel_values: Shape (B, 3, H, W), normalised RGB.
            labels: Shape (B, H, W), integers: the part of every pixel, or 255 for pixels that belong to none. With
                them the loss is computed, with terms for every decoder layer.
            task: Name of a parsing task of this checkpoint; None means the default.
            points: Where the loss compares masks, shape (L, N, P, 2), (x, y) from 0 to 1: for the last decoder layer
                and then the earlier ones, and for each of the N pairs of a picture and a part it shows, in ascending
                order. None: drawn at random.
            num_pairs: What the mask terms of the loss are divided by, for a trainer of several processes: N of all of
                them. None: the N of this call.
            num_points: How many points are drawn for each pair. The released 12 544 are meant for 480x480 pixels.
            generator: Source of randomness of these points; None means that of torch.
            kwargs: Options of transformers; those that say what to return are named in `HulkHumanParsingOutput`.

        Raises:
            ValueError: Unknown task, or inputs of the wrong shape, dtype or range.
            TypeError: Unknown keyword argument.
        """
        check_call_options(kwargs)
        resolved = self.hulk.resolve_task(task, family="parsing")
        outputs = self.hulk(pixel_values, task=resolved.name, auxiliary=labels is not None, **kwargs)
        inputs = self.hulk.prepare(resolved, pixel_values)
        return read_parsing(
            self, outputs, resolved, inputs, labels, points, num_pairs, num_points=num_points, generator=generator
        )


__all__ = ["HulkForHumanParsing", "HulkHumanParsingOutput", "read_parsing"]
