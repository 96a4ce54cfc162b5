# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkModel: tokenizer, shared encoder, neck and shared decoder, without a head."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils import ModelOutput
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_hulk import HulkConfig
from .decoder_hulk import HulkDecoder
from .encoder_hulk import HulkEncoder, HulkNeck
from .pretrained_hulk import HulkPreTrainedModel, check_call_options
from .tasks_hulk import HulkTask
from .tokenizers_hulk import HulkImageTokenizer


@dataclass
class HulkModelOutput(ModelOutput):
    """Output of `HulkModel`.

    Attributes:
        last_hidden_state: Query states of the last decoder layer, shape (B, Q, d).
        auxiliary_hidden_states: Query states of the earlier decoder layers, each (B, Q, d); only when asked for.
        encoder_last_hidden_state: Memory, shape (B, P, C); can be kept and decoded again for another task.
        hidden_states: Encoder: input of the first layer and output of every layer, each (B, P, C); only with
            `output_hidden_states=True`.
        attentions: Encoder attention weights, each (B, heads, P, P); only with `output_attentions=True` (eager
            attention only).
        decoder_hidden_states: Output of every decoder layer: (B, P + Q, d), the last one (B, Q, d); only with
            `output_decoder_hidden_states=True`.
        decoder_attentions: Decoder attention weights, each (B, heads, rows that attend, P + Q); only with
            `output_decoder_attentions=True` (eager attention only).
    """

    last_hidden_state: torch.FloatTensor | None = None
    auxiliary_hidden_states: tuple[torch.FloatTensor, ...] | None = None
    encoder_last_hidden_state: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    decoder_hidden_states: tuple[torch.FloatTensor, ...] | None = None
    decoder_attentions: tuple[torch.FloatTensor, ...] | None = None


class HulkModel(HulkPreTrainedModel):
    """The shared trunk of Hulk. Every stage is a module that can be called alone.

    Args:
        config: The tasks of `config` decide which query tokens and position tables exist.
        families: Build only what the tasks of these families need; None means all.

    Raises:
        ValueError: `config` holds no task of these families.
    """

    _can_record_outputs = {**HulkEncoder._can_record_outputs, **HulkDecoder._can_record_outputs}
    # Heads, when the trunk is loaded from the checkpoint of a task class.
    _keys_to_ignore_on_load_unexpected = [r"^(text|dense|box|mesh|caption)_head\."]

    def __init__(self, config: HulkConfig, families: list[str] | None = None):
        super().__init__(config)
        tasks = [config.task(name) for name in config.tasks]
        tasks = [task for task in tasks if families is None or task.family in families]
        if not tasks:
            raise ValueError(f"config.tasks: expected a task of family {families}, got {sorted(config.tasks)}")
        self.tasks: dict[str, HulkTask] = {task.name: task for task in tasks}
        self.tokenizers = nn.ModuleDict(
            {"image": HulkImageTokenizer(config.vision_config, [task.image_size for task in tasks])}
        )
        self.encoder = HulkEncoder(config.vision_config)
        self.neck = HulkNeck(config)
        self.decoder = HulkDecoder(config.decoder_config, tasks, config.vision_config.patch_size)
        self.post_init()

    def resolve_task(self, name: str | None = None, family: str | None = None) -> HulkTask:
        """Find a task by task name, family name, or as the default; errors are those of `HulkConfig.task`."""
        return self.tasks[self.config.task_name(name, family)]

    def encode(self, pixel_values: torch.Tensor, **kwargs) -> torch.Tensor:
        """Run tokenizer and encoder.

        Args:
            pixel_values: Shape (B, 3, H, W), normalised RGB; H and W are multiples of the patch size.

        Returns:
            Memory, shape (B, H/16 * W/16, C).
        """
        return self.encoder(self.tokenizers["image"](pixel_values), **kwargs)

    def decode(
        self, memory: torch.Tensor, task: HulkTask, grid: tuple[int, int], auxiliary: bool = False, **kwargs
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Run neck and decoder.

        Args:
            memory: Shape (B, P, C), from `encode`.
            task: What to decode.
            grid: (rows, columns) of patches of the picture.
            auxiliary: Also return the query states of the earlier layers.

        Returns:
            Query states (B, Q, d), and those of the earlier layers.
        """
        return self.decoder(self.neck(memory), task.family, grid, task.attention, auxiliary, **kwargs)

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self,
        pixel_values: torch.Tensor,
        task: str | None = None,
        auxiliary: bool = False,
        **kwargs,
    ) -> HulkModelOutput:
        """Encode pictures and decode one task.

        Args:
            pixel_values: Shape (B, 3, H, W), normalised RGB; H and W are multiples of the patch size.
            task: Task or family name; None means the default.
            auxiliary: Also return the query states of the earlier decoder layers.
            kwargs: Options of transformers; those that say what to return are named in `HulkModelOutput`.

        Raises:
            ValueError: Unknown task, or a picture of the wrong shape.
            TypeError: Unknown keyword argument.
        """
        check_call_options(kwargs)
        resolved = self.resolve_task(task)
        grid = self.tokenizers["image"].grid(pixel_values)
        memory = self.encode(pixel_values, **kwargs)
        states, auxiliary_states = self.decode(memory, resolved, grid, auxiliary, **kwargs)
        return HulkModelOutput(
            last_hidden_state=states,
            auxiliary_hidden_states=auxiliary_states if auxiliary else None,
            encoder_last_hidden_state=memory,
        )


__all__ = ["HulkModel", "HulkModelOutput", "HulkPreTrainedModel"]
