# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkModel: tokenizers, shared encoder, neck and shared decoder, without a head."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.utils import ModelOutput
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_hulk import HulkConfig
from .decoder_hulk import HulkDecoder
from .encoder_hulk import HulkEncoder, HulkNeck
from .head_caption_hulk import word_mask
from .pretrained_hulk import HulkPreTrainedModel, check_call_options
from .tasks_hulk import HulkTask
from .tokenizers_hulk import HulkImageTokenizer, HulkSkeletonTokenizer


@dataclass(frozen=True)
class HulkInputs:
    """Checked inputs of a task, and how they fill their grid of tokens.

    Attributes:
        values: Pictures (B, 3, H, W) or skeletons (B, 3, T, V).
        modality: `image` or `skeleton`.
        task: Name of the task they were prepared for.
        grid: (rows, columns) of tokens, P = rows * columns.
        base: Grid whose position table is resized to `grid`; None: the table is that of `grid` itself.
        valid: Shape (B, 2), (rows, columns) that each picture fills, where pictures of different sizes are padded.
        token_mask: Shape (B, P), False for tokens that are padding, where there are any.
    """

    values: torch.Tensor
    modality: str
    task: str
    grid: tuple[int, int]
    base: tuple[int, int] | None = None
    valid: torch.Tensor | None = None
    token_mask: torch.Tensor | None = None


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

    def handed_on(self) -> dict[str, Any]:
        """What the outputs of all families hold of the trunk, as their arguments."""
        return {name: getattr(self, name) for name in _HANDED_ON}


_HANDED_ON = (
    "encoder_last_hidden_state",
    "hidden_states",
    "attentions",
    "decoder_hidden_states",
    "decoder_attentions",
)


def _check_padding(tokens: torch.Tensor, valid: torch.Tensor) -> None:
    """Raises ValueError unless the patches (B, rows, columns) of each picture are a rectangle at the top left."""
    rows, columns = (torch.arange(length, device=tokens.device) for length in tokens.shape[1:])
    rectangles = (rows[:, None] < valid[:, 0, None, None]) & (columns < valid[:, 1, None, None])
    if not valid.all() or not torch.equal(rectangles, tokens):
        raise ValueError(
            "pixel_mask: expected 1 for a rectangle at the top left of each picture and 0 for padding at its right "
            "and bottom, got something else (a mask with 1 for padding?)"
        )


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
        image_tasks = [task for task in tasks if task.input == "image"]
        self.tokenizers = nn.ModuleDict()
        if image_tasks:
            sizes = {task.name: task.image_size for task in image_tasks}
            self.tokenizers["image"] = HulkImageTokenizer(config.vision_config, sizes)
        if len(image_tasks) < len(tasks):
            names = [task.name for task in tasks if task.input == "skeleton"]
            width = config.vision_config.hidden_size
            self.tokenizers["skeleton"] = HulkSkeletonTokenizer(config.skeleton_config, width, names)
        self.encoder = HulkEncoder(config.vision_config)
        self.neck = HulkNeck(config)
        self.decoder = HulkDecoder(
            config.decoder_config,
            tasks,
            config.vision_config.patch_size,
            config.skeleton_config.grid,
            config.vision_config.mask_padding,
        )
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """What makes tokens of inputs (of pictures, if both are read).

        Where only adapters are trained and layers are checkpointed re-entrantly, gradients have to begin here.
        """
        return self.tokenizers["image" if "image" in self.tokenizers else "skeleton"]

    def resolve_task(self, name: str | None = None, family: str | None = None) -> HulkTask:
        """Find a task by task name, family name, or as the default; errors are those of `HulkConfig.task`."""
        return self.tasks[self.config.task_name(name, family)]

    def prepare(
        self,
        task: HulkTask,
        pixel_values: torch.Tensor | None = None,
        skeletons: torch.Tensor | None = None,
        pixel_mask: torch.Tensor | None = None,
    ) -> HulkInputs:
        """Check the inputs of a task and find out how they fill their grid of tokens.

        Args:
            task: What they are for.
            pixel_values: Shape (B, 3, H, W), normalised RGB. For detection any size, for others whole patches.
            skeletons: Shape (B, 3, T, V).
            pixel_mask: Shape (B, H, W), 1 for pixels of the picture and 0 for padding at its bottom and right, for
                detection in batches of different sizes.

        Raises:
            ValueError: The input of another modality, or of the wrong shape.
        """
        given = {"image": pixel_values, "skeleton": skeletons}
        names = {"image": "pixel_values", "skeleton": "skeletons"}
        for modality, tensor in given.items():
            if (tensor is not None) != (modality == task.input):
                raise ValueError(
                    f"{names[modality]}: task {task.name!r} reads {names[task.input]} and nothing else, got "
                    f"{[names[other] for other, value in given.items() if value is not None]}"
                )
        if task.input == "skeleton":
            self.tokenizers["skeleton"].check(skeletons)
            return HulkInputs(skeletons, task.input, task.name, self.config.skeleton_config.grid)
        if task.queries != "anchor":
            if pixel_mask is not None and not torch.compiler.is_compiling() and not pixel_mask.all():
                raise ValueError(f"pixel_mask: task {task.name!r} takes no padded pictures, expected None or all ones")
            return HulkInputs(pixel_values, task.input, task.name, self.tokenizers["image"].grid(pixel_values))
        return self._prepare_any_size(task, pixel_values, pixel_mask)

    def _prepare_any_size(
        self, task: HulkTask, pixel_values: torch.Tensor, pixel_mask: torch.Tensor | None
    ) -> HulkInputs:
        """Pad to whole patches; a patch counts as part of the picture if its top left pixel does."""
        side = self.config.vision_config.patch_size
        valid = token_mask = None
        if pixel_mask is not None:
            if pixel_values.ndim != 4 or pixel_mask.shape != (pixel_values.shape[0], *pixel_values.shape[2:]):
                raise ValueError(
                    f"pixel_mask: expected the shape (batch, height, width) of pixel_values "
                    f"{tuple(pixel_values.shape)}, got {tuple(pixel_mask.shape)}"
                )
            pixel_mask = pixel_mask.bool()
            pixel_values = pixel_values.masked_fill(~pixel_mask[:, None], 0.0)
            tokens = pixel_mask[:, ::side, ::side]
            valid = torch.stack([tokens[:, :, 0].sum(dim=1), tokens[:, 0].sum(dim=1)], dim=1)
            token_mask = tokens.flatten(1)
            # A graph must not look at values, and needs not: where there is no padding, the mask changes nothing.
            if not torch.compiler.is_compiling():
                _check_padding(tokens, valid)
                if token_mask.all():
                    valid = token_mask = None
        if pixel_values.ndim == 4:
            height, width = pixel_values.shape[-2:]
            pixel_values = nn.functional.pad(pixel_values, (0, -width % side, 0, -height % side))
        grid = self.tokenizers["image"].grid(pixel_values)
        base = self.decoder.places.base_grid(task)
        return HulkInputs(pixel_values, task.input, task.name, grid, base, valid, token_mask)

    def layout(self, inputs: HulkInputs) -> tuple:
        """What the memory of the same values depends on: tasks of one layout can share a pass of the encoder."""
        skeletons = self.config.skeleton_config
        if inputs.modality == "skeleton":
            own = skeletons.joint_text or skeletons.positions == "stored"
        else:
            own = self.config.vision_config.image_positions == "stored"
        return inputs.modality, inputs.grid, inputs.base, inputs.task if own else None

    def encode(self, inputs: HulkInputs, **kwargs) -> torch.Tensor:
        """Run tokenizer and encoder.

        Args:
            inputs: From `prepare`.

        Returns:
            Memory, shape (B, P, C).
        """
        mask = None
        if inputs.token_mask is not None and self.config.vision_config.mask_padding:
            mask = inputs.token_mask[:, None, None]
        return self.encoder(self.tokenize(inputs), attention_mask=mask, **kwargs)

    def tokenize(self, inputs: HulkInputs) -> torch.Tensor:
        """Run the tokenizer alone: tokens (B, P, C)."""
        if inputs.modality == "skeleton":
            return self.tokenizers["skeleton"](inputs.values, inputs.task)
        return self.tokenizers["image"](inputs.values, inputs.task, inputs.base, inputs.valid)

    def decode(
        self, memory: torch.Tensor | None, task: HulkTask, inputs: HulkInputs, auxiliary: bool = False, **kwargs
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Run neck and decoder.

        Args:
            memory: Shape (B, P, C), from `encode`; None when its keys and values are in `past_key_values`.
            task: What to decode.
            inputs: From `prepare`, of the inputs that `memory` is of.
            auxiliary: Also return the query states of the earlier layers.
            kwargs: More arguments of `HulkDecoder`.

        Returns:
            Query states (B, Q, d), and those of the earlier layers.
        """
        if inputs.token_mask is not None:
            queries = self.decoder.places.num_queries(task, inputs.grid)
            seen = nn.functional.pad(inputs.token_mask, (0, queries), value=True)
            kwargs["attention_mask"] = seen[:, None, None]
        context = None if memory is None else self.neck(memory)
        return self.decoder(context, task, inputs.grid, valid=inputs.valid, auxiliary=auxiliary, **kwargs)

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        task: str | None = None,
        auxiliary: bool = False,
        skeletons: torch.Tensor | None = None,
        pixel_mask: torch.Tensor | None = None,
        query_tokens: torch.Tensor | None = None,
        query_mask: torch.Tensor | None = None,
        memory: torch.Tensor | None = None,
        **kwargs,
    ) -> HulkModelOutput:
        """Encode pictures or skeletons and decode one task.

        Args:
            pixel_values: Shape (B, 3, H, W), normalised RGB; H and W are multiples of the patch size.
            task: Task or family name; None means the default.
            auxiliary: Also return the query states of the earlier decoder layers.
            skeletons: Shape (B, 3, T, V), sequences of one person each, for tasks that read them.
            pixel_mask: Shape (B, H, W), 1 for pixels and 0 for padding, for detection in batches of different sizes.
            query_tokens: Shape (B, Q, d), embedded words, for caption tasks.
            query_mask: What words may see (True), broadcastable to (B, heads, Q, P + Q); None: the picture, and words
                up to themselves.
            memory: `encoder_last_hidden_state` of an earlier call on the same inputs, shape (B, P, C): the encoder
                does not run again.
            kwargs: Options of transformers; those that say what to return are named in `HulkModelOutput`.

        Raises:
            ValueError: Unknown task, or an input of another modality or the wrong shape.
            TypeError: Unknown keyword argument.
        """
        check_call_options(kwargs)
        resolved = self.resolve_task(task)
        inputs = self.prepare(resolved, pixel_values, skeletons, pixel_mask)
        if (query_tokens is not None) != (resolved.queries == "token"):
            raise ValueError(
                f"query_tokens: expected {'embedded words' if query_tokens is None else 'None'} for task "
                f"{resolved.name!r}, got {'None' if query_tokens is None else tuple(query_tokens.shape)}"
            )
        if memory is None:
            memory = self.encode(inputs, **kwargs)
        if query_tokens is not None and query_mask is None:
            query_mask = word_mask(query_tokens.shape[1], memory.shape[1], device=memory.device)
        states, auxiliary_states = self.decode(
            memory, resolved, inputs, auxiliary, query_tokens=query_tokens, attention_mask=query_mask, **kwargs
        )
        return HulkModelOutput(
            last_hidden_state=states,
            auxiliary_hidden_states=auxiliary_states if auxiliary else None,
            encoder_last_hidden_state=memory,
        )


__all__ = ["HulkInputs", "HulkModel", "HulkModelOutput", "HulkPreTrainedModel"]
