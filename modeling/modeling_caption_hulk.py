# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkForCaptioning: a sentence about one person per crop, word by word.

Pictures see nothing but themselves in the decoder, so their keys and values do not depend on the words: they are
computed with the first word and kept. So are the projected text features that words are chosen by.
"""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import GenerationConfig
from transformers.cache_utils import Cache, DynamicCache
from transformers.generation import GenerationMixin
from transformers.utils import ModelOutput, logging
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .configuration_hulk import HulkConfig
from .head_caption_hulk import HulkCaptionHead, word_mask
from .heads_hulk import HulkTextHead
from .loss_caption_hulk import IGNORED, caption_loss
from .modeling_hulk import HulkInputs, HulkModel, HulkModelOutput
from .pretrained_hulk import HulkPreTrainedModel, check_call_options, keys_of_other_families
from .tasks_hulk import HulkTask

logger = logging.get_logger(__name__)


@dataclass
class HulkCaptionerOutput(ModelOutput):
    """Output of `HulkForCaptioning`.

    Attributes:
        loss: Sum of `loss_dict`; only when `labels` are given.
        loss_dict: Each term of the loss, already weighted.
        logits: Shape (B, Q, V): at each word, how likely each word of the vocabulary comes next (before the softmax).
            With `labels` of L words Q is L - 1: nothing follows the last one.
        past_key_values: Keys and values of picture and words, and what else the next step needs; with `use_cache`.
        encoder_last_hidden_state: Memory, shape (pictures, P, C); only when `pixel_values` are given, as all of the
            encoder.
        hidden_states: Encoder: input of the first layer and output of every layer, each (pictures, P, C); only with
            `output_hidden_states=True`.
        attentions: Encoder attention weights, each (pictures, heads, P, P); only with `output_attentions=True` (eager
            attention only).
        decoder_hidden_states: Output of every decoder layer: (B, P + Q, d), the last one (B, Q, d); only with
            `output_decoder_hidden_states=True`. With several captions per picture and a cache, those of the pictures
            alone stand in front.
        decoder_attentions: Decoder attention weights, each (B, heads, Q, keys so far); only with
            `output_decoder_attentions=True` (eager attention only).
    """

    loss: torch.FloatTensor | None = None
    loss_dict: dict[str, torch.FloatTensor] | None = None
    logits: torch.FloatTensor | None = None
    past_key_values: Cache | None = None
    encoder_last_hidden_state: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None
    decoder_hidden_states: tuple[torch.FloatTensor, ...] | None = None
    decoder_attentions: tuple[torch.FloatTensor, ...] | None = None


@dataclass(frozen=True)
class _Picture:
    """What a cache is told of the picture it begins with, as its attribute `hulk_picture`.

    Attributes:
        num_context: P, how many of the keys are tokens of the picture.
        words: Projected text features of all words, shape (V, d).
    """

    num_context: int
    words: torch.Tensor


def read_caption(
    heads: nn.Module,
    outputs: HulkModelOutput,
    task: HulkTask,
    inputs: HulkInputs | None,
    labels: torch.Tensor | None = None,
    words: torch.Tensor | None = None,
) -> HulkCaptionerOutput:
    """From query states to the words that come next.

    Args:
        heads: Any model with a `text_head` that serves the task; its configuration says what padding is.
        outputs: What the trunk gave for the task.
        task: A task of family `caption`.
        inputs: What the trunk read. Not needed here, but the readers of all families are called alike.
        labels: See `HulkForCaptioning.forward`.
        words: What `heads.text_head.labels(task.name)` gives, if it is at hand: projecting the whole vocabulary costs
            a tenth of a ViT-B encoder.

    Raises:
        ValueError: Labels that do not fit.
    """
    logits = heads.text_head.score_words(outputs.last_hidden_state, task.name, words)
    loss = loss_dict = None
    if labels is not None:
        loss_dict = caption_loss(logits, labels[:, 1:], task, heads.config.pad_token_id)
        loss = torch.stack(list(loss_dict.values())).sum()
    return HulkCaptionerOutput(
        loss=loss,
        loss_dict=loss_dict,
        logits=logits,
        **outputs.handed_on(),
    )


class HulkForCaptioning(HulkPreTrainedModel, GenerationMixin):
    """Hulk with the text head and the word embedding of its caption tasks.

    `generate(pixel_values=...)` writes captions, by default as released: greedily, from `config.bos_token_id` to
    `config.eos_token_id`, at most `max_length` words of the task, of which the last is the end of the caption if it
    did not come before. These defaults are in `generation_config`; `num_beams`, `do_sample`,
    `cache_implementation="static"` and all else are those of transformers. Captions of one picture share its encoding
    and its keys and values.

    Args:
        config: Must hold at least one task of family `caption`; other tasks are ignored.

    Example:
        >>> config = HulkConfig.preset("hulk-tiny", tasks=["caption-joint"])
        >>> model = HulkForCaptioning(config).eval()
        >>> model.generate(pixel_values=torch.zeros(1, 3, 384, 384), max_length=5).shape
        torch.Size([1, 5])
    """

    main_input_name = "input_ids"  # of generation: a caption goes on from its words
    input_modalities = ("image", "text")
    output_modalities = ("text",)
    # Masks of words are explicit ones, which these implementations do not take.
    _supports_flash_attn = False
    _supports_flex_attn = False
    _can_record_outputs = HulkModel._can_record_outputs
    _keys_to_ignore_on_load_unexpected = keys_of_other_families("caption")
    lora_modules_to_save = ("text_head", "caption_head")

    def __init__(self, config: HulkConfig):
        config = config.of_family("caption")
        super().__init__(config)
        self.hulk = HulkModel(config, families=["caption"])
        tasks = list(self.hulk.tasks.values())
        self.text_head = HulkTextHead(config, tasks)
        self.caption_head = HulkCaptionHead(config, list(self.hulk.tasks.values()))
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            word = getattr(config, name)
            for task in tasks:
                if word is not None and not 0 <= word < task.num_labels:
                    raise ValueError(
                        f"config.{name}: expected a word of task {task.name!r}, 0 to {task.num_labels - 1}, got {word}"
                    )
        self.generation_config = self._default_generation_config()
        self.post_init()

    # Layers are hooked once, by the trunk or by this class, or they would be recorded twice.
    @property
    def _output_capturing_hooks_installed(self) -> bool:
        return getattr(self.hulk, "_output_capturing_hooks_installed", False)

    @_output_capturing_hooks_installed.setter
    def _output_capturing_hooks_installed(self, installed: bool) -> None:
        self.hulk._output_capturing_hooks_installed = installed

    def _default_generation_config(self) -> GenerationConfig:
        words = {name: getattr(self.config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        length = self.hulk.resolve_task(family="caption").max_length
        return GenerationConfig(max_length=length, forced_eos_token_id=self.config.eos_token_id, **words)

    def adjust_generation_fn(self, *args, **kwargs) -> None:
        """Load the defaults of generation; a checkpoint that has none, such as one of all families, gets ours."""
        super().adjust_generation_fn(*args, **kwargs)
        if self.generation_config._from_model_config:
            self.generation_config = self._default_generation_config()

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        task: str | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs,
    ) -> HulkCaptionerOutput:
        """Say which words come next.

        Args:
            pixel_values: Shape (pictures, 3, H, W), one person per crop, normalised RGB. None where
                `past_key_values` has them already.
            labels: Shape (B, L), whole captions from their first word to padding, L at most one more than the
                `max_length` of the task. They are shifted in here, as in every decoder of transformers: word t + 1 is
                what should follow words 0 to t. -100 is left out of the loss; padding is not, unless the task says
                `ignore_padding`.
            task: Name of a caption task of this checkpoint; None means the default.
            input_ids: Shape (B, Q), words; B a multiple of the number of pictures, captions of one picture next to
                each other. None: with `labels` those (of which the last one is not read), otherwise the first word.
            attention_mask: Shape (B, words so far), 0 for words that nobody may see. None: all may be seen, but with
                `labels` padding may not. Or what the words may see, boolean, shape (B, 1, Q, keys).
            position_ids: Shape (B, Q) or (1, Q), places of the words in their captions. None: one after another.
            past_key_values: Picture and words so far.
            use_cache: Whether to return `past_key_values`; None: yes, but not in training and not with `labels`.
            logits_to_keep: Compute the logits of this many last words only, 0 for all; or which ones.
            kwargs: Options of transformers; those that say what to return are named in `HulkCaptionerOutput`.

        Raises:
            ValueError: Unknown task, words that are not in its vocabulary or more of them than it has places for, or
                inputs of the wrong shape or dtype.
            TypeError: Unknown keyword argument.
        """
        check_call_options(kwargs)
        resolved = self.hulk.resolve_task(task, family="caption")
        past_key_values = self._cache(pixel_values, labels, past_key_values, use_cache)
        if labels is not None:
            padding = self.config.pad_token_id
            input_ids, attention_mask, position_ids = words_to_learn(
                labels, resolved, padding, input_ids, attention_mask, position_ids
            )
        elif input_ids is None:
            input_ids = self._first_words(pixel_values)

        picture = memory = inputs = None
        if pixel_values is None:
            picture = past_key_values.hulk_picture
            if position_ids is None:
                position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)
                position_ids = position_ids + (past_key_values.get_seq_length() - picture.num_context)
        check_words(input_ids, position_ids, resolved)
        tokens = self.caption_head(input_ids, resolved, self.text_head.label_features)
        if picture is None:
            inputs = self.hulk.prepare(resolved, pixel_values)
            memory = self.hulk.encode(inputs, **kwargs)
            picture = _Picture(memory.shape[1], self.text_head.labels(resolved.name))

        context = self._context(memory, len(tokens), resolved, inputs, past_key_values, **kwargs)
        if attention_mask is None or attention_mask.ndim != 4:
            attention_mask = word_mask(
                input_ids.shape[1],
                picture.num_context,
                attention_mask,
                past_key_values,
                context_is_past=context is None,
                device=input_ids.device,
            )
        states, _ = self.hulk.decoder(
            context,
            resolved,
            None if context is None else inputs.grid,
            query_tokens=tokens,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            query_positions=position_ids,
            **kwargs,
        )
        if past_key_values is not None:
            past_key_values.hulk_picture = picture
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        outputs = HulkModelOutput(last_hidden_state=states[:, kept], encoder_last_hidden_state=memory)
        caption = read_caption(self, outputs, resolved, inputs, labels, picture.words)
        caption.past_key_values = past_key_values
        return caption

    def _cache(
        self,
        pixel_values: torch.Tensor | None,
        labels: torch.Tensor | None,
        past_key_values: Cache | None,
        use_cache: bool | None,
    ) -> Cache | None:
        """The cache to go on with, a new one, or none."""
        if past_key_values is not None and labels is not None:
            raise ValueError("past_key_values: expected None with labels, which are whole captions")
        if pixel_values is None and not hasattr(past_key_values, "hulk_picture"):
            raise ValueError(
                "pixel_values: expected pictures, got None, and past_key_values holds none either (layers that are "
                "checkpointed in training keep no cache: switch to `model.eval()` or give `use_cache=False`)"
            )
        if use_cache is None:
            use_cache = past_key_values is not None or not (self.training or labels is not None)
        if self.training and any(layer.gradient_checkpointing for layer in self.hulk.decoder.layers):
            if use_cache:
                logger.warning_once("use_cache: layers that are checkpointed in training keep no cache, got True")
            return None
        if use_cache and past_key_values is None:
            return DynamicCache(config=self.config)
        return past_key_values

    def _first_words(self, pixel_values: torch.Tensor | None) -> torch.Tensor:
        if pixel_values is None or self.config.bos_token_id is None:
            raise ValueError("input_ids: expected the next words, got None, and nothing says what they are")
        shape = (len(pixel_values), 1)
        return torch.full(shape, self.config.bos_token_id, dtype=torch.long, device=pixel_values.device)

    def _context(
        self,
        memory: torch.Tensor | None,
        num_captions: int,
        task: HulkTask,
        inputs: HulkInputs | None,
        past_key_values: Cache | None,
        **kwargs,
    ) -> torch.Tensor | None:
        """Context of the words, (B, P, d); None if its keys and values are in the cache.

        With several captions per picture they are put there now, so that they are computed once for all of them.
        """
        if memory is None:
            return None
        context, pictures = self.hulk.neck(memory), len(memory)
        if num_captions == pictures:
            return context
        if not pictures or num_captions % pictures:
            raise ValueError(
                f"input_ids: expected captions of {pictures} pictures, the same number of each, got {num_captions}"
            )
        repeats = num_captions // pictures
        if past_key_values is None:
            return context.repeat_interleave(repeats, dim=0)
        once = DynamicCache(config=self.config)
        nothing = context[:, :0]
        self.hulk.decoder(context, task, inputs.grid, query_tokens=nothing, past_key_values=once, **kwargs)
        for index, layer in enumerate(once.layers):
            keys, values = (part.repeat_interleave(repeats, dim=0) for part in (layer.keys, layer.values))
            past_key_values.update(keys, values, index)
        return None

    # What follows takes the place of steps of `generate` that know nothing of pictures, or of padding that is word 0.

    def _expand_inputs_for_generation(self, *args, pixel_values: torch.Tensor | None = None, **kwargs):
        """Several captions of a picture: words are repeated, pictures are not."""
        input_ids, model_kwargs = super()._expand_inputs_for_generation(*args, **kwargs)
        return input_ids, model_kwargs if pixel_values is None else {**model_kwargs, "pixel_values": pixel_values}

    def _prepare_static_cache(self, *args, max_cache_len: int, model_kwargs: dict, **kwargs) -> Cache:
        """A cache of fixed size has room for the picture too."""
        pixel_values = model_kwargs.get("pixel_values")
        if pixel_values is not None:
            rows, columns = self.hulk.tokenizers["image"].grid(pixel_values)
            max_cache_len += rows * columns
        return super()._prepare_static_cache(*args, max_cache_len=max_cache_len, model_kwargs=model_kwargs, **kwargs)

    def create_masks_for_generate(
        self,
        inputs_embeds: torch.Tensor,
        attention_mask: torch.Tensor | None,
        past_key_values: Cache,
        is_first_iteration: bool = False,
        **kwargs,
    ) -> torch.Tensor | None:
        """The mask of a step with a cache of fixed size, of the same shape in every step (so that it compiles once).

        In the first one, the number of tokens of the picture is not known yet, and `forward` makes the mask.
        """
        if is_first_iteration or not hasattr(past_key_values, "hulk_picture"):
            return attention_mask
        num_context = past_key_values.hulk_picture.num_context
        words, device = inputs_embeds.shape[1], inputs_embeds.device
        return word_mask(words, num_context, attention_mask, past_key_values, context_is_past=True, device=device)

    def _beam_search(self, input_ids: torch.Tensor, *args, generation_config: GenerationConfig, **kwargs):
        """Captions of beams are filled up with padding, as all others are; word 0 would be taken for no padding."""
        outputs = super()._beam_search(input_ids, *args, generation_config=generation_config, **kwargs)
        sequences = outputs if isinstance(outputs, torch.Tensor) else outputs.sequences
        if generation_config._eos_token_tensor is not None:
            written = sequences[:, input_ids.shape[1] :]
            ends = torch.isin(written, generation_config._eos_token_tensor).long()
            written[ends.cumsum(dim=1) > ends] = generation_config._pad_token_tensor
        return outputs

    def caption_scores(self, outputs: ModelOutput, max_length: int | None = None) -> torch.Tensor:
        """How sure the model is of its captions, as released: the mean log probability of their words.

        Where the end of a caption was forced, the word counts that would have stood there.

        Args:
            outputs: From `generate(..., return_dict_in_generate=True, output_logits=True)`, without beams (which come
                with `sequences_scores`).
            max_length: That of the call of `generate`; None: that of `generation_config`.

        Returns:
            Shape (B,).
        """
        log_probabilities = torch.stack(outputs.logits, dim=1).log_softmax(dim=-1)
        words = outputs.sequences[:, -log_probabilities.shape[1] :]
        chosen = log_probabilities.gather(-1, words[..., None])[..., 0]
        if outputs.sequences.shape[1] == (max_length or self.generation_config.max_length):
            chosen[:, -1] = log_probabilities[:, -1].amax(dim=-1)
        ends = torch.isin(words, torch.tensor(self.generation_config.eos_token_id, device=words.device)).long()
        going_on = ends.cumsum(dim=1) - ends == 0
        return (chosen * going_on).sum(dim=1) / going_on.sum(dim=1)


def words_to_learn(
    labels: torch.Tensor,
    task: HulkTask,
    padding: int | None,
    input_ids: torch.Tensor | None = None,
    attention_mask: torch.Tensor | None = None,
    position_ids: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Words, mask and places of teacher forcing: all but the last word of a caption goes in.

    Args:
        labels: Shape (B, L), see `HulkForCaptioning.forward`.
        task: A task of family `caption`.
        padding: The word that is padding, which nobody may see; None: there is no such word.
        input_ids: Shape (B, L), words that go in; None: those of `labels`.
        attention_mask: Shape (B, L), 0 for words that nobody may see; None: padding.
        position_ids: Shape (B, L) or (1, L), places of the words.

    Returns:
        The three last arguments, without the last word.

    Raises:
        ValueError: The shapes do not fit, or there are more words than the task has places for.
    """
    longest = task.max_length + 1
    if labels.ndim != 2 or labels.is_floating_point() or not 2 <= labels.shape[1] <= longest:
        raise ValueError(
            f"labels: expected whole captions of 2 to {longest} words, whole numbers of shape (batch, words), got "
            f"{labels.dtype} of shape {tuple(labels.shape)}"
        )
    if input_ids is None:
        input_ids = labels.masked_fill(labels == IGNORED, padding or 0)
    if attention_mask is None and padding is not None:
        attention_mask = input_ids != padding
    for name, given in {"input_ids": input_ids, "attention_mask": attention_mask}.items():
        if given is not None and given.shape != labels.shape:
            raise ValueError(f"{name}: expected the shape of labels, {tuple(labels.shape)}, got {tuple(given.shape)}")
    mask, places = (None if given is None else given[:, :-1] for given in (attention_mask, position_ids))
    return input_ids[:, :-1], mask, places


def check_words(input_ids: torch.Tensor, position_ids: torch.Tensor | None, task: HulkTask) -> None:
    """Raises ValueError unless these are words (B, Q) of the task, and no more than it has places for."""
    if input_ids.ndim != 2 or input_ids.is_floating_point() or not input_ids.shape[1]:
        raise ValueError(
            f"input_ids: expected whole numbers of shape (batch, words), at least one word, got {input_ids.dtype} of "
            f"shape {tuple(input_ids.shape)}"
        )
    places = task.max_length
    too_long = input_ids.shape[1] > places
    if not torch.compiler.is_compiling() and input_ids.numel():
        lowest, highest = input_ids.min().item(), input_ids.max().item()
        if lowest < 0 or highest >= task.num_labels:
            raise ValueError(
                f"input_ids: task {task.name!r} has words 0 to {task.num_labels - 1}, got {lowest} to {highest}"
            )
        too_long = too_long or (position_ids is not None and position_ids.max().item() >= places)
    if too_long:
        raise ValueError(
            f"input_ids: task {task.name!r} has places for {places} words, got more (in `generate`: expected a "
            f"max_length of at most {places + 1}, the last word needs no place)"
        )


__all__ = ["HulkCaptionerOutput", "HulkForCaptioning", "check_words", "read_caption", "words_to_learn"]
