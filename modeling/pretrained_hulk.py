# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkPreTrainedModel: what the trunk, its parts and every task class share."""

from collections.abc import Iterable, Sequence

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import initialization as init
from transformers.modeling_utils import PreTrainedModel
from transformers.utils.generic import TransformersKwargs

from .body_hulk import HulkBodyTables
from .configuration_hulk import HulkConfig
from .head_box_hulk import HulkAnchors, HulkBoxHead
from .heads_hulk import HulkLabelFeatures
from .label_text_hulk import TextEncoder
from .positions_hulk import HulkGridPositions, HulkSequencePositions
from .queries_hulk import HulkBodyPlaces
from .task_addition_hulk import describe_task, features_of, graft, start_from_nearest, take_inputs_over
from .task_description_hulk import FAMILIES, HulkTask
from .tokenizers_hulk import HulkJointFeatures

# What may come along with the arguments of a model: options of transformers (with what its Trainer adds), and ours.
_CALL_OPTIONS = frozenset(TransformersKwargs.__annotations__) | {
    "output_decoder_attentions",
    "output_decoder_hidden_states",
    "return_dict",
    "use_cache",
}


# What adapters go into: queries and values of every attention of the shared trunk (peft's `target_modules`, which has
# to match a whole name). The heads are named by `lora_modules_to_save` of each task class.
LORA_TARGET_MODULES = r".*\.(encoder|decoder)\.layers\.\d+\.attention\.(q_proj|v_proj)"

# Family -> what it needs of a checkpoint beside the encoder, neck and decoder layers.
FAMILY_HEADS = {
    "pose": ["dense_head"],
    "parsing": ["dense_head"],
    "detection": ["box_head"],
    "attributes": ["text_head"],
    "action": ["text_head"],
    "mesh": ["mesh_head"],
    "caption": ["text_head", "caption_head"],
}


def keys_of_other_families(*families: str, tasks: Sequence[str] | None = None) -> list[str]:
    """Patterns of the tensors that a class of some families passes over when it loads a checkpoint of more.

    Args:
        families: Names of its families.
        tasks: Names of its tasks; None: all tasks of the families.

    Returns:
        Regular expressions for `_keys_to_ignore_on_load_unexpected`.
    """
    kinds = [FAMILIES[family] for family in families]
    own = sorted({head for family in families for head in FAMILY_HEADS[family]})
    others = sorted({head for heads in FAMILY_HEADS.values() for head in heads} - set(own))
    inputs, names = "|".join(sorted({kind.input for kind in kinds})), "|".join(families)
    parts = rf"({names})(-|\.)" if tasks is None else rf"({'|'.join([*families, *tasks])})\."
    patterns = [
        rf"^hulk\.tokenizers\.(?!({inputs})\.)",
        r"^hulk\.tokenizers\.\w+\.(position_tables|joint_text_features)\.",
        rf"^hulk\.decoder\.queries\.(?!({names})\.)",
        rf"^hulk\.decoder\.modality_indicators\.(?!({inputs}|{names})\.)",
        r"^hulk\.decoder\.places\.(grids|queries)\.",
        # Parts of a head that belong to a task, or to a family.
        *(rf"^{head}\.(norms|upsamplers|label_features|token_features|anchors|bodies)\.(?!{parts})" for head in own),
    ]
    if others:
        patterns.append(rf"^({'|'.join(others)})\.")
    if not any(kind.queries == "body" for kind in kinds):
        patterns += [r"^hulk\.decoder\.position_mlp_1d\.", r"^hulk\.decoder\.places\.bodies\."]
    if not any(kind.positions == "every_layer" for kind in kinds):
        patterns.append(r"^hulk\.decoder\.position_mlp_2d\.")
    return patterns


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
    # Losses are means over a batch: a Trainer that accumulates gradients has to average over its batches.
    accepts_loss_kwargs = False
    # Modules that learn a task of their own and are trained whole beside adapters.
    lora_modules_to_save: tuple[str, ...] = ()

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

    def add_task(
        self,
        name: str,
        labels: Sequence[str],
        like: str | None = None,
        *,
        text_encoder: TextEncoder | None = None,
        text_features: torch.Tensor | None = None,
        pooling: str = "mean",
        blend: bool = True,
        **fields,
    ) -> HulkTask:
        """Give this model a task of other labels, in place: joints, parts, attributes, actions or kinds of objects.

        What it says of them is a guess from the nearest labels that it knows, until it has learned from examples. The
        task has to be named from then on (`task="pose-mine"`): defaults stay as they are.

        Args:
            name: `family-labelspace`, such as `pose-mine`.
            labels: Names of the labels, in output order. Pairs that differ in the words left and right trade places in
                a mirror.
            like: Task or family that it starts from; None: the default task of its family.
            text_encoder: What the labels of this checkpoint were encoded with: a hub name or folder, or a function
                from names to features.
            text_features: Or the features themselves, shape (K, text_feature_size).
            pooling: See `encode_names`; `pooler` for the released weights.
            blend: Move the features towards those of the nearest known labels, where the head knows what to do;
                False: take them as they are.
            fields: Other fields of `HulkTask`: `sigmas`, `skeleton`, `image_size` and so on.

        Returns:
            The task.

        Raises:
            ValueError: There is such a task already, none like it, or labels, features or fields do not fit.
            TypeError: This is a part of a model, which has no heads.
        """
        if not self.lora_modules_to_save:
            raise TypeError(
                f"add_task: {type(self).__name__} has no head, expected a task class or HulkForHumanAnalysis"
            )
        if name in self.config.tasks:
            raise ValueError(f"name: there is a task {name!r} already, expected another name")
        base = self.config.task(name.partition("-")[0] if like is None else like)
        if base.name not in self.hulk.tasks:
            raise ValueError(
                f"like: {type(self).__name__} has no head for {base.name!r}, expected one of {sorted(self.hulk.tasks)}"
            )
        task = describe_task(base, name, labels, **fields)
        features = features_of(task, self.config.text_feature_size, text_encoder, text_features, pooling)
        self.config = self.config.with_new_task(task)
        self.hulk.config = self.config
        reference = next(self.parameters())
        graft(self, type(self)(self.config).to(reference.device, reference.dtype).train(self.training))
        for head in self.lora_modules_to_save:
            module = getattr(self, head)
            if hasattr(module, "label_features") and hasattr(module.label_features, name):
                start_from_nearest(module, task, base, features, blend)
        take_inputs_over(self.hulk, task, base)
        return task

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, HulkGridPositions | HulkSequencePositions | HulkBodyPlaces | HulkBodyTables):
            module.reset_tables()
        elif isinstance(module, HulkLabelFeatures):
            for features in module.buffers(recurse=False):
                init.normal_(features)
        elif isinstance(module, HulkAnchors):
            module.reset_anchors()
        elif isinstance(module, HulkBoxHead):
            module.reset_logit_parameters()
        elif isinstance(module, HulkJointFeatures):
            for features in module.buffers(recurse=False):
                init.zeros_(features)


__all__ = [
    "FAMILY_HEADS",
    "LORA_TARGET_MODULES",
    "HulkPreTrainedModel",
    "check_call_options",
    "keys_of_other_families",
]
