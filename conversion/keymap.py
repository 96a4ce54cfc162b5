# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The official key map as data: what every tensor of an official checkpoint is, and what it is called here.

A rule names one tensor, or with `{i}` one tensor of every layer. Symbols in shapes: C and M are widths of the encoder
and of its MLPs, d and F those of the decoder, U the width inside the up-sampler, K the number of labels, T the width
of the label features, p the patch side, n the channels of a picture, P the tokens of an input; further J the joints of
a skeleton, f and j the frames and joints of one of its tokens, a the patterns and A the places of detection anchors, L
the words of a caption, V and W the coarse and finer vertices of a body. They are read from the tensors themselves, and
every tensor has to agree with all others, so that a file mixed from two model sizes is found.

Names here say who shares a tensor: one that holds `{task}` belongs to a task, one that holds `{family}` to a family,
and every other one to all tasks in whose files it is live.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from hulk_hf.modeling.tasks_hulk import OFFICIAL_TASK_IDS

Status = Literal["live", "dead", "derived", "duplicate", "restricted"]

_WRAPPER = "module."
_COMPILED = "_orig_mod."


@dataclass(frozen=True)
class KeyRule:
    """What one official tensor is.

    Attributes:
        official: Official name without wrapper prefixes; `{i}` stands for a layer number.
        status: `live` (changes outputs), `dead` (never does), `derived` (follows from a formula), `duplicate` (a
            second name of a live tensor) or `restricted` (data of a body model that has a licence of its own).
        ours: Names here, with `{i}`, `{task}`, `{family}` to be filled in. Three names mean that the tensor
            is cut into thirds along its first axis: query, key and value.
        shape: Official shape in symbols; None where nothing depends on it.
        our_shape: Shape here, if it differs by axes of length one.
        optional: Whether a file may lack it: it follows from the one formula there is.
        otherwise: Of a duplicate that may differ from the first copy, the name under which it is then kept.
    """

    official: str
    status: Status
    ours: tuple[str, ...] = ()
    shape: tuple[str, ...] | None = None
    our_shape: tuple[str, ...] | None = None
    optional: bool = False
    otherwise: str | None = None

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The regular expression that matches the official name."""
        return re.compile(re.escape(self.official).replace(r"\{i\}", r"(?P<i>\d+)"))

    def our_names(self, layer: str | None = None, **names: str) -> tuple[str, ...]:
        """The names here, filled in.

        Args:
            layer: Layer number, for rules that have one.
            names: `task` and `family`, as far as the rule needs them.
        """
        return tuple(name.format(i=layer, **names) for name in self.ours)


@dataclass(frozen=True)
class KeyMap:
    """The rules of one kind of official file.

    Attributes:
        family: What the file is for.
        rules: One rule per tensor, or per tensor of each layer.
    """

    family: str
    rules: tuple[KeyRule, ...]

    def find(self, name: str) -> tuple[KeyRule, str | None]:
        """Look up an official name, and the layer number in it.

        Raises:
            ValueError: No rule knows the name.
        """
        for rule in self.rules:
            match = rule.pattern.fullmatch(name)
            if match:
                return rule, match.groupdict().get("i")
        raise ValueError(f"official key {name!r} is not known: expected a tensor of a {self.family} checkpoint")

    def sort(self, names: Iterable[str]) -> dict[str, tuple[KeyRule, str | None]]:
        """Look up all names of a file.

        Raises:
            ValueError: Some names are not known; the error lists them.
        """
        found, unknown = {}, []
        for name in names:
            try:
                found[name] = self.find(name)
            except ValueError:
                unknown.append(name)
        if unknown:
            raise ValueError(
                f"{len(unknown)} official keys are not known, expected tensors of a {self.family} checkpoint: "
                + ", ".join(sorted(unknown)[:10])
            )
        return found

    def sizes(self, shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
        """Read the sizes of a model from the shapes of its tensors.

        Args:
            shapes: Official name without wrappers -> shape.

        Returns:
            Every symbol that occurs, plus `encoder_layers` and `decoder_layers`.

        Raises:
            ValueError: A name is not known, two tensors disagree, or a tensor that is needed is missing.
        """
        found = self.sort(shapes)
        sizes: dict[str, int] = {}
        # Plain symbols first: "3C" can only be checked once C is known.
        for plain in (True, False):
            for name, (rule, _) in found.items():
                for symbol, length in zip(_checked_shape(rule, name, shapes[name]), shapes[name], strict=False):
                    if symbol.isalpha() is plain:
                        _bind(symbol, int(length), name, shapes[name], rule, sizes)
        layers = {key: _count_layers(found, prefix) for key, prefix in _LAYERS.items()}
        self._check_complete(found, layers)
        return {**sizes, **layers}

    def _check_complete(self, found: Mapping[str, tuple[KeyRule, str | None]], layers: Mapping[str, int]) -> None:
        missing = []
        for rule in self.rules:
            if rule.status not in ("live", "derived") or not rule.ours or rule.optional:
                continue
            count = next((layers[key] for key, prefix in _LAYERS.items() if rule.official.startswith(prefix)), 1)
            expected = {rule.official.replace("{i}", str(index)) for index in range(count)}
            missing += sorted(expected - found.keys())
        if missing:
            raise ValueError(
                f"{len(missing)} official tensors that a {self.family} model needs are missing: "
                + ", ".join(missing[:10])
            )


_LAYERS = {
    "encoder_layers": "backbone_module.blocks.",
    "decoder_layers": "decoder_module.predictor.transformer_",
}


def _checked_shape(rule: KeyRule, name: str, shape: Sequence[int]) -> tuple[str, ...]:
    if rule.shape is None:
        return ()
    if len(rule.shape) != len(shape):
        raise ValueError(f"official key {name!r}: expected a shape ({', '.join(rule.shape)}), got {tuple(shape)}")
    return rule.shape


def _bind(symbol: str, length: int, name: str, shape: Sequence[int], rule: KeyRule, sizes: dict[str, int]) -> None:
    factor, letter = re.fullmatch(r"(\d*)([A-Za-z]*)", symbol).groups()  # type: ignore[union-attr]
    expected = int(factor or 1) * (sizes.setdefault(letter, length) if letter else 1)
    if length != expected:
        known = ", ".join(f"{key}={value}" for key, value in sorted(sizes.items()))
        raise ValueError(
            f"official key {name!r}: got shape {tuple(shape)}, expected ({', '.join(rule.shape or ())}) with {known}"
        )


def _count_layers(found: Mapping[str, tuple[KeyRule, str | None]], prefix: str) -> int:
    """One more than the highest layer number; a gap shows up as a missing tensor."""
    return max((int(layer) + 1 for name, (_, layer) in found.items() if layer and name.startswith(prefix)), default=1)


def strip_wrappers(name: str) -> str:
    """Remove the prefixes of distributed and compiled wrappers from an official key."""
    name = name.replace(_COMPILED, "")
    while name.startswith(_WRAPPER):
        name = name.removeprefix(_WRAPPER)
    return name


def _linear(official: str, ours: str, rows: str, columns: str) -> tuple[KeyRule, ...]:
    return (
        KeyRule(f"{official}.weight", "live", (f"{ours}.weight",), (rows, columns)),
        KeyRule(f"{official}.bias", "live", (f"{ours}.bias",), (rows,)),
    )


def _norm(official: str, ours: str, width: str) -> tuple[KeyRule, ...]:
    return tuple(KeyRule(f"{official}.{part}", "live", (f"{ours}.{part}",), (width,)) for part in ("weight", "bias"))


def _fused(official: str, ours: str, width: str, separator: str) -> tuple[KeyRule, ...]:
    """Query, key and value in one tensor, in this order."""
    thirds = {part: tuple(f"{ours}.{name}_proj.{part}" for name in "qkv") for part in ("weight", "bias")}
    return (
        KeyRule(f"{official}{separator}weight", "live", thirds["weight"], (f"3{width}", width)),
        KeyRule(f"{official}{separator}bias", "live", thirds["bias"], (f"3{width}",)),
    )


def _dead(*names: str) -> tuple[KeyRule, ...]:
    return tuple(KeyRule(name, "dead") for name in names)


def _dead_linear(*names: str) -> tuple[KeyRule, ...]:
    return _dead(*(f"{name}.{part}" for name in names for part in ("weight", "bias")))


_BLOCK, _LAYER = "backbone_module.blocks.{i}", "hulk.encoder.layers.{i}"
_ENCODER = (
    # The encoder keeps a place for global tokens; there are none (shape (1, 0, C)).
    *_dead("backbone_module.global_tokens"),
    *_norm(f"{_BLOCK}.norm1", f"{_LAYER}.layernorm_before", "C"),
    *_fused(f"{_BLOCK}.attn.qkv", f"{_LAYER}.attention", "C", separator="."),
    *_linear(f"{_BLOCK}.attn.proj", f"{_LAYER}.attention.o_proj", "C", "C"),
    *_norm(f"{_BLOCK}.norm2", f"{_LAYER}.layernorm_after", "C"),
    *_linear(f"{_BLOCK}.mlp.fc1", f"{_LAYER}.mlp.fc1", "M", "C"),
    *_linear(f"{_BLOCK}.mlp.fc2", f"{_LAYER}.mlp.fc2", "C", "M"),
    *_norm("backbone_module.norm", "hulk.encoder.layernorm", "C"),
    *_linear("neck_patch.mask_map.0", "hulk.neck.projection", "d", "C"),
    # Projects label tokens, which never enter the encoder.
    *_dead_linear("neck_label.mask_map.0"),
)

_PREDICTOR = "decoder_module.predictor"
_SELF_ATTENTION, _FEED_FORWARD = (
    f"{_PREDICTOR}.transformer_{part}_layers.{{i}}" for part in ("self_attention", "ffn")
)
_DECODER_LAYER = "hulk.decoder.layers.{i}"
_DECODER = (
    *_fused(f"{_SELF_ATTENTION}.self_attn.in_proj", f"{_DECODER_LAYER}.attention", "d", separator="_"),
    *_linear(f"{_SELF_ATTENTION}.self_attn.out_proj", f"{_DECODER_LAYER}.attention.o_proj", "d", "d"),
    *_norm(f"{_SELF_ATTENTION}.norm", f"{_DECODER_LAYER}.attention_layernorm", "d"),
    *_linear(f"{_FEED_FORWARD}.linear1", f"{_DECODER_LAYER}.mlp.fc1", "F", "d"),
    *_linear(f"{_FEED_FORWARD}.linear2", f"{_DECODER_LAYER}.mlp.fc2", "d", "F"),
    *_norm(f"{_FEED_FORWARD}.norm", f"{_DECODER_LAYER}.mlp_layernorm", "d"),
    *_norm(f"{_PREDICTOR}.decoder_norm", "hulk.decoder.layernorm", "d"),
    *_dead(f"{_PREDICTOR}.level_embed.weight"),
    *_dead_linear(f"{_PREDICTOR}.class_embed", *(f"{_PREDICTOR}.mask_embed.layers.{index}" for index in range(3))),
    # Follows from its formula; where it does not, it is kept under this name.
    KeyRule(
        f"{_PREDICTOR}.query_embed_patch",
        "derived",
        ("hulk.decoder.places.grids.{task}.weight",),
        ("1", "P", "d"),
        our_shape=("P", "d"),
        optional=True,
    ),
)


def _queries(count: str) -> KeyRule:
    return KeyRule(
        f"{_PREDICTOR}.mask_token",
        "live",
        ("hulk.decoder.queries.{family}.weight",),
        ("1", count, "d"),
        our_shape=(count, "d"),
    )


def _position_mlps(*live: str) -> tuple[KeyRule, ...]:
    """The two position MLPs that every file has, of which some are used."""
    rules: list[KeyRule] = []
    for name in ("1d", "2d"):
        official, ours = f"{_PREDICTOR}.adapt_pos{name}", f"hulk.decoder.position_mlp_{name}"
        if name in live:
            rules += [
                *_linear(f"{official}.0", f"{ours}.fc1", "d", "d"),
                *_linear(f"{official}.2", f"{ours}.fc2", "d", "d"),
            ]
        else:
            rules += _dead_linear(f"{official}.0", f"{official}.2")
    return tuple(rules)


def _query_places(count: str, optional: bool) -> KeyRule:
    return KeyRule(
        f"{_PREDICTOR}.query_embed_label",
        "derived",
        ("hulk.decoder.places.queries.{task}.weight",),
        ("1", count, "d"),
        our_shape=(count, "d"),
        optional=optional,
    )


_IMAGE = (
    KeyRule("adapter_rgb.proj.weight", "live", ("hulk.tokenizers.image.projection.weight",), ("C", "n", "p", "p")),
    KeyRule("adapter_rgb.proj.bias", "live", ("hulk.tokenizers.image.projection.bias",), ("C",)),
    KeyRule("adapter_rgb.type_embed.weight", "live", ("hulk.tokenizers.image.modality_embedding.weight",), ("1", "C")),
    # Two formulas exist for this table; where neither fits it is kept under this name.
    KeyRule(
        "adapter_rgb.pos_embed",
        "derived",
        ("hulk.tokenizers.image.position_tables.{task}.weight",),
        ("1", "P", "C"),
        our_shape=("P", "C"),
    ),
    # Reconstruction of the input: computed by the official code, read by nobody.
    *_dead_linear("proj_rgb.output_proj"),
)

_SKELETON_IN, _SKELETON = "adapter_sparse_labeling", "hulk.tokenizers.skeleton"
_SKELETON_INPUT = (
    KeyRule(f"{_SKELETON_IN}.proj_kernel_weight", "live", (f"{_SKELETON}.projection.weight",), ("C", "4", "f", "j")),
    KeyRule(f"{_SKELETON_IN}.proj_kernel_bias", "live", (f"{_SKELETON}.projection.bias",), ("C",)),
    *_norm(f"{_SKELETON_IN}.proj.0.norm", f"{_SKELETON}.layernorm", "C"),
    KeyRule(
        f"{_SKELETON_IN}.merge_kernel_weight",
        "live",
        (f"{_SKELETON}.joint_text_mixing.weight",),
        ("1", "1", "j", "1"),
        our_shape=("1", "1", "j"),
    ),
    KeyRule(f"{_SKELETON_IN}.merge_kernel_bias", "live", (f"{_SKELETON}.joint_text_mixing.bias",), ("1",)),
    KeyRule(f"{_SKELETON_IN}.text_embedding", "live", (f"{_SKELETON}.joint_text_features.{{task}}",), ("J", "C")),
    KeyRule(
        f"{_SKELETON_IN}.pos_embed",
        "derived",
        (f"{_SKELETON}.position_tables.{{task}}.weight",),
        ("1", "P", "C"),
        our_shape=("P", "C"),
    ),
    # Reconstruction of the input.
    *_dead_linear("proj_sparse_labeling.output_proj", "proj_sparse_labeling.post_mul_norm"),
    *_dead(
        *(f"proj_sparse_labeling.{name}.weight" for name in ("class_proj", "patch_proj")),
        *(f"proj_sparse_labeling.{name}" for name in ("text_features", "translate_weight", "translate_bias")),
    ),
)


def _semantic(official: str, features: str, ours: str) -> tuple[KeyRule, ...]:
    """The projections of a semantic head and its label features."""
    return (
        KeyRule(f"{official}.patch_proj.weight", "live", (f"{ours}.query_proj.weight",), ("d", "d")),
        KeyRule(f"{official}.class_proj.weight", "live", (f"{ours}.label_proj.weight",), ("d", "T")),
        KeyRule(f"{official}.{features}", "live", (f"{ours}.label_features.{{task}}",), ("K", "T")),
    )


_TEXT = (
    *_semantic("proj_text", "text_vectors", "text_head"),
    *_norm("proj_text.post_mul_norm", "text_head.norms.{task}", "K"),
    # Embeds labels into tokens that never enter the encoder; a second copy of the features, some with more phrases.
    *_dead("adapter_text.text_vectors"),
)

_DENSE = (
    # Embeds label maps into tokens that never enter the encoder.
    *_dead_linear("adapter_dense_labeling.proj"),
    *_dead(*(f"adapter_dense_labeling.{name}" for name in ("class_embed.weight", "type_embed.weight", "pos_embed"))),
    *_semantic("proj_dense_labeling", "text_features", "dense_head"),
    *_norm("proj_dense_labeling.post_mul_norm", "dense_head.norms.{task}", "K"),
    # One query per patch, at the place of the patch: the same table again.
    _query_places("P", optional=True),
)


def _upsampler(ours: str, channels: str) -> tuple[KeyRule, ...]:
    """Two transposed convolutions around a norm, which has a second name in the files."""
    official, ours = "proj_dense_labeling.upsample_network", f"dense_head.upsamplers.{ours}"
    return (
        KeyRule(f"{official}.0.weight", "live", (f"{ours}.deconv1.weight",), (channels, "U", "2", "2")),
        KeyRule(f"{official}.0.bias", "live", (f"{ours}.deconv1.bias",), ("U",)),
        *_norm(f"{official}.1", f"{ours}.layernorm", "U"),
        KeyRule(f"{official}.1.ln.weight", "duplicate", (f"{ours}.layernorm.weight",), ("U",)),
        KeyRule(f"{official}.1.ln.bias", "duplicate", (f"{ours}.layernorm.bias",), ("U",)),
        KeyRule(f"{official}.3.weight", "live", (f"{ours}.deconv2.weight",), ("U", channels, "2", "2")),
        KeyRule(f"{official}.3.bias", "live", (f"{ours}.deconv2.bias",), (channels,)),
    )


# Embeds boxes or vertices into tokens that never enter the encoder.
_SPARSE_LABELS = (
    *_dead_linear("adapter_sparse_labeling.proj.0.norm"),
    *_dead(*(f"adapter_sparse_labeling.{name}" for name in ("proj_kernel_weight", "proj_kernel_bias", "pos_embed"))),
    # Places of labels, where the decoder computes its own from anchors or a body.
    *_dead(f"{_PREDICTOR}.query_embed_label"),
)

_BOX = (
    *_semantic("proj_sparse_labeling", "text_features", "box_head"),
    *_linear("proj_sparse_labeling.output_proj.layers.0", "box_head.mlp.0", "d", "d"),
    *_linear("proj_sparse_labeling.output_proj.layers.1", "box_head.mlp.1", "d", "d"),
    *_linear("proj_sparse_labeling.output_proj.layers.2", "box_head.mlp.2", "6", "d"),
    KeyRule("proj_sparse_labeling.translate_weight", "live", ("box_head.logit_scale",), ("1",)),
    KeyRule("proj_sparse_labeling.translate_bias", "live", ("box_head.logit_bias",), ("1",)),
    KeyRule(f"{_PREDICTOR}.anchor", "live", ("box_head.anchors.{task}",), ("1", "A", "3"), our_shape=("A", "3")),
    # The logits are scaled and shifted instead.
    *_dead_linear("proj_sparse_labeling.post_mul_norm"),
)

_BODY = "proj_sparse_labeling.loss_fn"
_BODY_BUFFERS = (
    "J_regressor", "weights", "posedirs", "v_template", "shapedirs", "faces", "kintree_table", "parent",
    "J_regressor_extra", "J_regressor_h36m_correct",
)  # fmt: skip
_MESH = (
    *_linear("proj_sparse_labeling.output_proj", "mesh_head.coordinates", "3", "d"),
    *_linear(f"{_BODY}.coarse2intermediate_upsample", "mesh_head.upsample", "W", "V"),
    *(KeyRule(f"{_BODY}.smpl.{name}", "restricted") for name in _BODY_BUFFERS),
    # Kinds of joints: trained by no loss, read by nobody.
    *_dead_linear("proj_sparse_labeling.post_mul_norm"),
    *_dead(
        *(f"proj_sparse_labeling.{name}.weight" for name in ("class_proj", "patch_proj")),
        *(f"proj_sparse_labeling.{name}" for name in ("text_features", "translate_weight", "translate_bias")),
    ),
)

_CAPTION = (
    *_linear(f"{_PREDICTOR}.mask_token_proj", "caption_head.token_proj", "d", "T"),
    *_norm(f"{_PREDICTOR}.captiontoken_ln", "caption_head.layernorm", "d"),
    # The features of the words to embed and of the words to choose from come from one file, and are kept once.
    KeyRule(
        f"{_PREDICTOR}.mask_token_buffer",
        "duplicate",
        ("text_head.label_features.{task}",),
        ("1", "K", "T"),
        our_shape=("K", "T"),
        otherwise="caption_head.token_features.{task}",
    ),
    *_dead(f"{_PREDICTOR}.mask_token"),
    # The length of a caption is nowhere else.
    _query_places("L", optional=False),
)

_COMMON = (*_ENCODER, *_DECODER)
KEY_MAPS: dict[str, KeyMap] = {
    "action": KeyMap(
        "action",
        (*_COMMON, *_position_mlps(), _queries("1"), *_SKELETON_INPUT, *_TEXT, _query_places("K", optional=True)),
    ),
    "mesh": KeyMap("mesh", (*_COMMON, *_position_mlps("1d", "2d"), _queries("1"), *_IMAGE, *_SPARSE_LABELS, *_MESH)),
    "detection": KeyMap(
        "detection", (*_COMMON, *_position_mlps("2d"), _queries("a"), *_IMAGE, *_SPARSE_LABELS, *_BOX)
    ),
    "attributes": KeyMap(
        "attributes", (*_COMMON, *_position_mlps(), _queries("1"), *_IMAGE, *_TEXT, _query_places("K", optional=True))
    ),
    "caption": KeyMap("caption", (*_COMMON, *_position_mlps(), *_IMAGE, *_TEXT, *_CAPTION)),
    "pose": KeyMap(
        "pose", (*_COMMON, *_position_mlps("2d"), _queries("1"), *_IMAGE, *_DENSE, *_upsampler("{task}", "K"))
    ),
    "parsing": KeyMap(
        "parsing", (*_COMMON, *_position_mlps("2d"), _queries("1"), *_IMAGE, *_DENSE, *_upsampler("{family}", "d"))
    ),
}
"""Family -> its key map."""


def official_task(task_id: int) -> str:
    """The name of an official task id.

    Raises:
        ValueError: There is no such task.
    """
    if task_id not in OFFICIAL_TASK_IDS:
        raise ValueError(f"official task {task_id!r} is not known, expected one of {sorted(OFFICIAL_TASK_IDS)}")
    return OFFICIAL_TASK_IDS[task_id]


__all__ = ["KEY_MAPS", "KeyMap", "KeyRule", "Status", "official_task", "strip_wrappers"]
