# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkForPoseEstimation: 2-D joints of one person per crop, as heat maps."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_hulk import HulkConfig
from .heads_hulk import HulkDenseHead
from .loss_pose_hulk import pose_loss
from .modeling_hulk import HulkInputs, HulkModel, HulkModelOutput
from .pretrained_hulk import HulkPreTrainedModel, check_call_options, keys_of_other_families
from .tasks_hulk import HulkTask


@dataclass
class HulkPoseEstimatorOutput(ModelOutput):
    """Output of `HulkForPoseEstimation`.

    Attributes:
        loss: Sum of `loss_dict`; only when `labels` are given.
        loss_dict: Each term of the loss, already weighted.
        heatmaps: Shape (B, K, H/4, W/4), real values; the peak of a map is the place of its joint.
        presence_logits: Shape (B, K): whether each joint can be seen at all.
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
    heatmaps: torch.FloatTensor | None = None
    presence_logits: torch.FloatTensor | None = None
    encoder_last_hidden_state: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    decoder_hidden_states: tuple[torch.FloatTensor, ...] | None = None
    decoder_attentions: tuple[torch.FloatTensor, ...] | None = None


def read_pose(
    heads: nn.Module,
    outputs: HulkModelOutput,
    task: HulkTask,
    inputs: HulkInputs,
    labels: torch.Tensor | None = None,
    label_weights: torch.Tensor | None = None,
) -> HulkPoseEstimatorOutput:
    """From query states to heat maps.

    Args:
        heads: Any module with a `dense_head` that serves the task.
        outputs: What the trunk gave for the task, with `auxiliary=True` where the loss is wanted.
        task: A task of family `pose`.
        inputs: What the trunk read.
        labels: See `HulkForPoseEstimation.forward`.
        label_weights: See there.

    Raises:
        ValueError: Labels that do not fit.
    """
    # Deep supervision: with labels, the head reads the states of all decoder layers, the last one first.
    states = torch.stack([outputs.last_hidden_state, *(outputs.auxiliary_hidden_states or ())])
    heatmaps, presence_logits = heads.dense_head(states.flatten(0, 1), task, inputs.grid)
    heatmaps = heatmaps.unflatten(0, states.shape[:2])
    presence_logits = presence_logits.unflatten(0, states.shape[:2])
    loss = loss_dict = None
    if labels is not None:
        loss_dict = pose_loss(heatmaps, presence_logits, labels, label_weights, task)
        loss = torch.stack(list(loss_dict.values())).sum()
    return HulkPoseEstimatorOutput(
        loss=loss,
        loss_dict=loss_dict,
        heatmaps=heatmaps[0],
        presence_logits=presence_logits[0],
        **outputs.handed_on(),
    )


class HulkForPoseEstimation(HulkPreTrainedModel):
    """Hulk with the dense head of its pose tasks.

    Args:
        config: Must hold at least one task of family `pose`; other tasks are ignored.

    Example:
        >>> model = HulkForPoseEstimation(HulkConfig.preset("hulk-tiny"))
        >>> model(torch.zeros(1, 3, 256, 192)).heatmaps.shape
        torch.Size([1, 17, 64, 48])
    """

    _keys_to_ignore_on_load_unexpected = keys_of_other_families("pose")
    lora_modules_to_save = ("dense_head",)

    def __init__(self, config: HulkConfig):
        config = config.of_family("pose")
        super().__init__(config)
        self.hulk = HulkModel(config, families=["pose"])
        self.dense_head = HulkDenseHead(config, list(self.hulk.tasks.values()))
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        labels: torch.Tensor | None = None,
        label_weights: torch.Tensor | None = None,
        task: str | None = None,
        **kwargs,
    ) -> HulkPoseEstimatorOutput:
        """Estimate joints.

        Args:
            pixel_values: Shape (B, 3, H, W), one person per crop, normalised RGB. No person at all (B = 0) is fine.
            labels: Target heat maps, shape (B, K, H/4, W/4). With them the loss is computed, with a term for every
                decoder layer.
            label_weights: Shape (B, K), 1 where a joint has a target; or a weight per pixel, shaped as `labels`.
            task: Name of a pose task of this checkpoint; None means the default.
            kwargs: Options of transformers; those that say what to return are named in `HulkPoseEstimatorOutput`.

        Raises:
            ValueError: Unknown task, or inputs of the wrong shape, dtype or range.
            TypeError: Unknown keyword argument.
        """
        check_call_options(kwargs)
        resolved = self.hulk.resolve_task(task, family="pose")
        outputs = self.hulk(pixel_values, task=resolved.name, auxiliary=labels is not None, **kwargs)
        inputs = self.hulk.prepare(resolved, pixel_values)
        return read_pose(self, outputs, resolved, inputs, labels, label_weights)


__all__ = ["HulkForPoseEstimation", "HulkPoseEstimatorOutput", "read_pose"]
