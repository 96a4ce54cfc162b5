# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkForActionRecognition: what the persons of a clip are doing, from their joints over time."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_hulk import HulkConfig
from .heads_hulk import HulkTextHead
from .loss_action_hulk import action_loss
from .modeling_hulk import HulkInputs, HulkModel, HulkModelOutput
from .pretrained_hulk import HulkPreTrainedModel, check_call_options, keys_of_other_families
from .tasks_hulk import HulkTask


@dataclass
class HulkActionOutput(ModelOutput):
    """Output of `HulkForActionRecognition`.

    The network reads one sequence per person and clip. S is their number per sample; the S rows of a sample follow
    each other, clips slow and persons fast.

    Attributes:
        loss: Sum of `loss_dict`; only when `labels` are given.
        loss_dict: Each term of the loss, already weighted.
        logits: Shape (B, C), one per class of the task; their softmax is the distribution over classes. Since they
            are normed over all classes of a joint task, those of one data set depend on the others.
        encoder_last_hidden_state: Memory, shape (B * S, P, width).
        hidden_states: Encoder: input of the first layer and output of every layer, each (B * S, P, width); only with
            `output_hidden_states=True`.
        attentions: Encoder attention weights, each (B * S, heads, P, P); only with `output_attentions=True` (eager
            attention only).
        decoder_hidden_states: Output of every decoder layer: (B * S, P + C, d), the last one (B * S, C, d); only with
            `output_decoder_hidden_states=True`.
        decoder_attentions: Decoder attention weights, each (B * S, heads, rows that attend, P + C); only with
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


def fold_persons(skeletons: torch.Tensor, config) -> tuple[torch.Tensor, int]:
    """Make a sequence of every person of every clip, which is what the trunk reads.

    Args:
        skeletons: Shape (B, M, 3, T, V), or (B, clips, M, 3, T, V) for several clips of a sample.
        config: A `HulkSkeletonConfig`, which says what T and V are.

    Returns:
        Sequences (B * S, 3, T, V), and S, the number of sequences per sample.

    Raises:
        ValueError: Another shape, or samples of no person.
    """
    expected = (3, config.num_frames, config.num_joints)
    if skeletons.ndim not in (5, 6) or tuple(skeletons.shape[-3:]) != expected:
        sizes = ", ".join(map(str, expected))
        raise ValueError(
            f"skeletons: expected channels x, y and score, frames and joints, shape (batch, persons, {sizes}) or "
            f"(batch, clips, persons, {sizes}), got {tuple(skeletons.shape)}"
        )
    per_sample = skeletons.shape[1:-3].numel()
    if not per_sample:
        raise ValueError(
            "skeletons: expected at least one person and clip per sample (zeros where nobody is), got shape "
            f"{tuple(skeletons.shape)}"
        )
    return skeletons.flatten(0, -4), per_sample


def read_action(
    heads: nn.Module,
    outputs: HulkModelOutput,
    task: HulkTask,
    inputs: HulkInputs,
    per_sample: int,
    labels: torch.Tensor | None = None,
) -> HulkActionOutput:
    """From query states to classes.

    Args:
        heads: Any module with a `text_head` that serves the task.
        outputs: What the trunk gave for the sequences of `fold_persons`.
        task: A task of family `action`.
        inputs: What the trunk read. Not needed here, but the readers of all families are called alike.
        per_sample: S, from `fold_persons`.
        labels: See `HulkForActionRecognition.forward`.

    Raises:
        ValueError: Labels that do not fit.
    """
    states = outputs.last_hidden_state
    # Persons who are not there (zeros) count like all others: that is how it was released.
    states = states.view(states.shape[0] // per_sample, per_sample, *states.shape[1:]).mean(dim=1)
    logits = heads.text_head(states, task.name)
    loss = loss_dict = None
    if labels is not None:
        loss_dict = action_loss(logits, labels, task)
        loss = torch.stack(list(loss_dict.values())).sum()
    return HulkActionOutput(
        loss=loss,
        loss_dict=loss_dict,
        logits=logits,
        **outputs.handed_on(),
    )


class HulkForActionRecognition(HulkPreTrainedModel):
    """Hulk with the skeleton tokenizer and the text head of its action tasks.

    Args:
        config: Must hold at least one task of family `action`; other tasks are ignored.

    Example:
        >>> model = HulkForActionRecognition(HulkConfig.preset("hulk-tiny", tasks=["action-ntu-gym"]))
        >>> model(torch.zeros(1, 2, 3, 175, 17)).logits.shape
        torch.Size([1, 279])
    """

    main_input_name = "skeletons"
    input_modalities = ("time",)  # transformers' word for series of numbers; it has none for skeletons
    _keys_to_ignore_on_load_unexpected = keys_of_other_families("action")
    lora_modules_to_save = ("text_head",)

    def __init__(self, config: HulkConfig):
        config = config.of_family("action")
        super().__init__(config)
        self.hulk = HulkModel(config, families=["action"])
        self.text_head = HulkTextHead(config, list(self.hulk.tasks.values()))
        self.post_init()

    @can_return_tuple
    def forward(
        self, skeletons: torch.Tensor, labels: torch.Tensor | None = None, task: str | None = None, **kwargs
    ) -> HulkActionOutput:
        """Recognise actions.

        Args:
            skeletons: Shape (B, M, 3, T, V): M persons, channels x, y (about -1..1) and score, T frames, V joints; or
                (B, clips, M, 3, T, V). Zeros stand for a person who is not there, who is averaged in like the others:
                the released weights were trained with two persons always. No sample at all (B = 0) is fine.
            labels: Class indices, shape (B,), or rows whose largest value marks the class, shape (B, C).
            task: Name of an action task of this checkpoint; None means the default.
            kwargs: Options of transformers; those that say what to return are named in `HulkActionOutput`.

        Raises:
            ValueError: Unknown task, or inputs of the wrong shape, dtype or range.
            TypeError: Unknown keyword argument.
        """
        check_call_options(kwargs)
        resolved = self.hulk.resolve_task(task, family="action")
        sequences, per_sample = fold_persons(skeletons, self.config.skeleton_config)
        inputs = self.hulk.prepare(resolved, skeletons=sequences)
        outputs = self.hulk(skeletons=sequences, task=resolved.name, **kwargs)
        return read_action(self, outputs, resolved, inputs, per_sample, labels)


__all__ = ["HulkActionOutput", "HulkForActionRecognition", "fold_persons", "read_action"]
