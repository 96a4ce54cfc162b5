# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkPreTrainedModel: what the trunk, its parts and every task class share."""

from collections.abc import Iterable

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import initialization as init
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.generic import TransformersKwargs

from .configuration_hulk import HulkConfig
from .heads_hulk import HulkLabelFeatures
from .positions_hulk import HulkGridPositions, HulkSequencePositions

# What may come along with the arguments of a model: options of transformers (with what its Trainer adds), and ours.
_CALL_OPTIONS = frozenset(TransformersKwargs.__annotations__) | {
    "output_decoder_attentions",
    "output_decoder_hidden_states",
    "return_dict",
    "use_cache",
}


def check_call_options(options: Iterable[str]) -> None:
    """Refuse keyword arguments that nothing would read, such as a misspelt `labels`.

    Raises:
        TypeError: A name is no option of transformers.
    """
    unknown = [name for name in options if name not in _CALL_OPTIONS]
    if unknown:
        raise TypeError(f"forward: unexpected keyword arguments {unknown}, known options are {sorted(_CALL_OPTIONS)}")


class HulkPreTrainedModel(PreTrainedModel):
    """Weight initialisation and the switches of transformers."""

    config: HulkConfig
    config_class = HulkConfig
    base_model_prefix = "hulk"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    _no_split_modules = ["HulkEncoderLayer", "HulkDecoderLayer"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs):
        """Load a checkpoint, as every model of transformers does.

        Raises:
            OSError: There is no such checkpoint, or its weights are cut short or damaged.
        """
        try:
            return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        except SafetensorError as error:
            raise OSError(
                f"pretrained_model_name_or_path: the safetensors weights in {str(pretrained_model_name_or_path)!r} "
                f"cannot be read ({error}); expected complete files, fetch or copy them again"
            ) from error

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, HulkGridPositions | HulkSequencePositions):
            module.reset_tables()
        elif isinstance(module, HulkLabelFeatures):
            for features in module.buffers(recurse=False):
                init.normal_(features)


__all__ = ["HulkPreTrainedModel", "check_call_options"]
