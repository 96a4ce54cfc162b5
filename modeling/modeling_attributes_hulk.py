# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkForAttributeRecognition: what can be said of one person per crop (clothes, age, gender, belongings)."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_hulk import HulkConfig
from .heads_hulk import HulkTextHead
from .loss_attributes_hulk import attributes_loss
from .modeling_hulk import HulkInputs, HulkModel, HulkModelOutput
from .pretrained_hulk import HulkPreTrainedModel, check_call_options, keys_of_other_families
from .tasks_hulk import HulkTask


@dataclass
class HulkAttributeOutput(ModelOutput):
    """Output of `HulkForAttributeRecognition`.

    Attributes:
        loss: Sum of `loss_dict`; only when `labels` are given.
        loss_dict: Each term of the loss, already weighted.
        logits: Shape (B, A), one per attribute of the task; the sigmoid is the probability that it is true. Since
            they are normed over all attributes of a joint task, those of one data set depend on the others.
        encoder_last_hidden_state: Memory, shape (B, P, C).
        hidden_states: Encoder: input of the first layer and output of every layer, each (B, P, C); only with
            `output_hidden_states=True`.
        attentions: Encoder attention weights, each (B, heads, P, P); only with `output_attentions=True` (eager
            attention only).
        decoder_hidden_states: Output of every decoder layer: (B, P + A, d), the last one (B, A, d); only with
            `output_decoder_hidden_states=True`.
        decoder_attentions: Decoder attention weights, each (B, heads, rows that attend, P + A); only with
            `output_decoder_attentions=True` (eager attention only).
    """

    loss: torch.FloatTensor | None = None
    loss_dict: dict[str, torch.FloatTensor] | None = None
    logits: torch.FloatTensor | None = None
    encoder_last_hidden_state: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    decoder_hidden_states: tuple[torch.FloatTensor, ...] | None = None
    decoder_attentions: tuple[torch.FloatTensor, ...] | None = None


def read_attributes(
    heads: nn.Module,
    outputs: HulkModelOutput,
    task: HulkTask,
    inputs: HulkInputs,
    labels: torch.Tensor | None = None,
) -> HulkAttributeOutput:
    """From query states to attributes.

    Args:
        heads: Any module with a `text_head` that serves the task.
        outputs: What the trunk gave for the task.
        task: A task of family `attributes`.
        inputs: What the trunk read. Not needed here, but the readers of all families are called alike.
        labels: See `HulkForAttributeRecognition.forward`.

    Raises:
        ValueError: Labels that do not fit.
    """
    logits = heads.text_head(outputs.last_hidden_state, task.name)
    loss = loss_dict = None
    if labels is not None:
        loss_dict = attributes_loss(logits, labels, task)
        loss = torch.stack(list(loss_dict.values())).sum()
    return HulkAttributeOutput(
        loss=loss,
        loss_dict=loss_dict,
        logits=logits,
        **outputs.handed_on(),
    )


class HulkForAttributeRecognition(HulkPreTrainedModel):
    """Hulk with the text head of its attribute tasks.

    Args:
        config: Must hold at least one task of family `attributes`; other tasks are ignored.

    Example:
        >>> model = HulkForAttributeRecognition(HulkConfig.preset("hulk-tiny", tasks=["attributes-joint"]))
        >>> model(torch.zeros(1, 3, 256, 192)).logits.shape
        torch.Size([1, 168])
    """

    _keys_to_ignore_on_load_unexpected = keys_of_other_families("attributes")
    lora_modules_to_save = ("text_head",)

    def __init__(self, config: HulkConfig):
        config = config.of_family("attributes")
        super().__init__(config)
        self.hulk = HulkModel(config, families=["attributes"])
        self.text_head = HulkTextHead(config, list(self.hulk.tasks.values()))
        self.post_init()

    @can_return_tuple
    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, task: str | None = None, **kwargs
    ) -> HulkAttributeOutput:
        """Recognise attributes.

        Args:
            pixel_values: Shape (B, 3, H, W), one person per crop, normalised RGB. No person at all (B = 0) is fine.
            labels: Shape (B, A): 1 true, 0 false, anything else (-1, or 2 for an unknown gender) unknown, which
                leaves the attribute out of the loss.
            task: Name of an attribute task of this checkpoint; None means the default.
            kwargs: Options of transformers; those that say what to return are named in `HulkAttributeOutput`.

        Raises:
            ValueError: Unknown task, or inputs of the wrong shape or dtype.
            TypeError: Unknown keyword argument.
        """
        check_call_options(kwargs)
        resolved = self.hulk.resolve_task(task, family="attributes")
        inputs = self.hulk.prepare(resolved, pixel_values)
        outputs = self.hulk(pixel_values, task=resolved.name, **kwargs)
        return read_attributes(self, outputs, resolved, inputs, labels)


__all__ = ["HulkAttributeOutput", "HulkForAttributeRecognition", "read_attributes"]
