# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkForPedestrianDetection: a box for every person of a whole picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_hulk import HulkConfig
from .head_box_hulk import HulkBoxHead
from .loss_detection_hulk import detection_loss
from .modeling_hulk import HulkInputs, HulkModel, HulkModelOutput
from .pretrained_hulk import HulkPreTrainedModel, check_call_options, keys_of_other_families
from .tasks_hulk import HulkTask


@dataclass
class HulkDetectionOutput(ModelOutput):
    """Output of `HulkForPedestrianDetection`, named as that of DETR.

    Attributes:
        loss: Sum of `loss_dict`; only when `labels` are given.
        loss_dict: Each term of the loss, already weighted.
        logits: Shape (B, Q, K), for each query one per label; the sigmoid is the score. There is no logit for nothing.
        pred_boxes: Shape (B, Q, 4), float32: center x, center y, width, height, as shares (0..1) of the width and
            height of the picture without its padding.
        auxiliary_outputs: `logits` and `pred_boxes` of the earlier decoder layers; only when `labels` are given.
        encoder_last_hidden_state: Memory, shape (B, P, C).
        hidden_states: Encoder: input of the first layer and output of every layer, each (B, P, C); only with
            `output_hidden_states=True`.
        attentions: Encoder attention weights, each (B, heads, P, P); only with `output_attentions=True` (eager
            attention only).
        decoder_hidden_states: Output of every decoder layer: (B, P + Q, d), the last one (B, Q, d); only with
            `output_decoder_hidden_states=True`.
        decoder_attentions: Decoder attention weights, each (B, heads, Q, P + Q); only with
            `output_decoder_attentions=True` (eager attention only).
    """

    loss: torch.FloatTensor | None = None
    loss_dict: dict[str, torch.FloatTensor] | None = None
    logits: torch.FloatTensor | None = None
    pred_boxes: torch.FloatTensor | None = None
    auxiliary_outputs: list[dict[str, torch.FloatTensor]] | None = None
    encoder_last_hidden_state: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    decoder_hidden_states: tuple[torch.FloatTensor, ...] | None = None
    decoder_attentions: tuple[torch.FloatTensor, ...] | None = None


def read_detection(
    heads: nn.Module,
    outputs: HulkModelOutput,
    task: HulkTask,
    inputs: HulkInputs,
    labels: Sequence[Mapping[str, torch.Tensor]] | None = None,
    num_boxes: float | torch.Tensor | None = None,
) -> HulkDetectionOutput:
    """From query states to boxes.

    Args:
        heads: Any module with a `box_head` that serves the task.
        outputs: What the trunk gave for the task, with `auxiliary=True` where the loss is wanted.
        task: A task of family `detection`.
        inputs: What the trunk read. Not needed here, but the readers of all families are called alike.
        labels: See `HulkForPedestrianDetection.forward`.
        num_boxes: See there.

    Raises:
        ValueError: Labels that do not fit.
        ImportError: Labels without scipy.
    """
    # Deep supervision: with labels, the head reads the states of all decoder layers, the last one first.
    earlier = () if labels is None else outputs.auxiliary_hidden_states or ()
    logits, boxes = heads.box_head(torch.stack([outputs.last_hidden_state, *earlier]), task.name)
    loss = loss_dict = auxiliary = None
    if labels is not None:
        loss_dict = detection_loss(logits, boxes, labels, task, num_boxes)
        loss = torch.stack(list(loss_dict.values())).sum()
        auxiliary = [
            {"logits": layer, "pred_boxes": places} for layer, places in zip(logits[1:], boxes[1:], strict=True)
        ]
    return HulkDetectionOutput(
        loss=loss,
        loss_dict=loss_dict,
        logits=logits[0],
        pred_boxes=boxes[0],
        auxiliary_outputs=auxiliary,
        **outputs.handed_on(),
    )


class HulkForPedestrianDetection(HulkPreTrainedModel):
    """Hulk with the box head of its detection tasks.

    Args:
        config: Must hold at least one task of family `detection`; other tasks are ignored.

    Example:
        >>> model = HulkForPedestrianDetection(HulkConfig.preset("hulk-tiny", tasks=["detection-crowdhuman"]))
        >>> model(torch.zeros(1, 3, 100, 150)).pred_boxes.shape
        torch.Size([1, 867, 4])
    """

    _keys_to_ignore_on_load_unexpected = keys_of_other_families("detection")
    lora_modules_to_save = ("box_head",)

    def __init__(self, config: HulkConfig):
        config = config.of_family("detection")
        super().__init__(config)
        self.hulk = HulkModel(config, families=["detection"])
        self.box_head = HulkBoxHead(config, list(self.hulk.tasks.values()))
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor,
        pixel_mask: torch.Tensor | None = None,
        labels: Sequence[Mapping[str, torch.Tensor]] | None = None,
        num_boxes: float | torch.Tensor | None = None,
        task: str | None = None,
        **kwargs,
    ) -> HulkDetectionOutput:
        """Detect.

        As released, the encoder attends to padding, so a picture in a padded batch does not give quite what it gives
        alone; `config.vision_config.mask_padding=True` makes the two equal.

        Args:
            pixel_values: Shape (B, 3, H, W), whole pictures of any size, normalised RGB, padded at bottom and right.
            pixel_mask: Shape (B, H, W), 1 for pixels of the picture and 0 for padding; None: there is no padding.
            labels: For each picture a dict of `boxes` (N, 4) as `pred_boxes`, `class_labels` (N,) and, if wanted,
                `iscrowd` (N,), true for boxes to ignore. With them the loss is computed, with terms for every decoder
                layer.
            num_boxes: What the loss is divided by; None means the number of boxes to find in this batch. In training
                on several processes it is the mean number per process.
            task: Name of a detection task of this checkpoint; None means the default.
            kwargs: Options of transformers; those that say what to return are named in `HulkDetectionOutput`.

        Raises:
            ValueError: Unknown task, or inputs or labels that do not fit.
            TypeError: Unknown keyword argument.
            ImportError: The loss is wanted, and scipy is not installed.
        """
        check_call_options(kwargs)
        resolved = self.hulk.resolve_task(task, family="detection")
        inputs = self.hulk.prepare(resolved, pixel_values, pixel_mask=pixel_mask)
        outputs = self.hulk(
            pixel_values, task=resolved.name, auxiliary=labels is not None, pixel_mask=pixel_mask, **kwargs
        )
        return read_detection(self, outputs, resolved, inputs, labels, num_boxes)


__all__ = ["HulkDetectionOutput", "HulkForPedestrianDetection", "read_detection"]
