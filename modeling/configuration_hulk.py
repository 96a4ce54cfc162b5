# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Configuration of Hulk: the shared trunk in two sub-configurations and a table of tasks."""

import copy

from huggingface_hub.dataclasses import strict
from transformers.configuration_utils import PreTrainedConfig

from .tasks_hulk import FAMILIES, KNOWN_TASKS, HulkTask

# The only patch side there is: heads make maps four times finer than the grid of patches, which is a quarter of the
# input (what targets, decoding and processors rely on) for no other.
_PATCH_SIZE = 16

# Where the position tables of a grid may come from, see `HulkGridPositions`.
_IMAGE_POSITIONS = ("stretched", "native", "stored")
_SKELETON_POSITIONS = ("stretched", "joints", "stored")
_DECODER_POSITIONS = ("stretched", "stored")


@strict
class HulkVisionConfig(PreTrainedConfig):
    """The image tokenizer and the shared encoder (Paper, Sec. 3.2; a plain ViT without class token).

    Attributes:
        hidden_size: Token width C.
        num_hidden_layers: Encoder layers.
        num_attention_heads: Attention heads; must divide `hidden_size`.
        intermediate_size: Width of the MLPs.
        patch_size: Side of an image patch in pixels; 16, as heat maps are a quarter of the input for no other.
        num_channels: Channels of the input picture.
        drop_path_rate: Stochastic depth of the last layer; the rate grows linearly from 0 at the first.
        layer_norm_eps: Epsilon of all layer norms of the encoder.
        image_positions: Where the position table of the image tokens comes from: `stretched` (a 14x14 sin-cos table
            resized bicubically, as the released weights have it), `native` (sin-cos on the grid itself) or `stored`
            (tables kept in the checkpoint, one per input size).
        mask_padding: Hide the padding of pictures of different sizes from the encoder too, and place each picture
            straight from the table of its task, so that no result depends on padding. Off in the released weights,
            whose encoder attends to padding; worth having on for models that are trained anew.
        initializer_range: Standard deviation of new weights.
    """

    model_type = "hulk_vision"
    base_config_key = "vision_config"

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    patch_size: int = 16
    num_channels: int = 3
    drop_path_rate: float | int = 0.2
    layer_norm_eps: float = 1e-6
    image_positions: str = "stretched"
    mask_padding: bool = False
    initializer_range: float = 0.02

    def validate_architecture(self):
        """Check what the field types cannot say."""
        _check_sizes(self, "patch_size", "num_channels")
        if self.patch_size != _PATCH_SIZE:
            raise ValueError(
                f"patch_size must be {_PATCH_SIZE}, got {self.patch_size}: heat maps are four times finer than the "
                "grid of patches, which is a quarter of the input for no other size"
            )
        _check_choice("image_positions", self.image_positions, _IMAGE_POSITIONS)
        if not 0 <= self.drop_path_rate < 1:
            raise ValueError(f"drop_path_rate must be in [0, 1), got {self.drop_path_rate}")


@strict
class HulkSkeletonConfig(PreTrainedConfig):
    """The skeleton tokenizer: sequences of 2-D joints with scores (Paper, Sec. 3.2; spec 2.3).

    Attributes:
        num_joints: Joints of a skeleton, in COCO's order in the released weights.
        num_frames: Frames of a sequence.
        patch_size: (frames, joints) of one token. Joints left over at the end are not read.
        joint_text: Add features of the names of the joints to the tokens, mixed over the joints of a patch.
        positions: Where the position table comes from: `stretched` (a 14x14 sin-cos table resized, as in the released
            weights), `joints` (sin-cos of the joint alone) or `stored` (kept in the checkpoint).
        layer_norm_eps: Epsilon of the layer norm behind the projection.
    """

    model_type = "hulk_skeleton"
    base_config_key = "skeleton_config"

    num_joints: int = 17
    num_frames: int = 175
    patch_size: list[int] | tuple[int, ...] = (7, 2)
    joint_text: bool = True
    positions: str = "stretched"
    layer_norm_eps: float = 1e-5

    def validate_architecture(self):
        """Check what the field types cannot say."""
        _check_choice("positions", self.positions, _SKELETON_POSITIONS)
        if len(self.patch_size) != 2 or min(self.patch_size) < 1:
            raise ValueError(f"patch_size must be (frames, joints), got {self.patch_size!r}")
        if min(self.grid) < 1:
            raise ValueError(
                f"num_frames and num_joints must hold at least one patch {tuple(self.patch_size)}, got "
                f"{self.num_frames} and {self.num_joints}"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of tokens: patches of frames and patches of joints."""
        return self.num_frames // self.patch_size[0], self.num_joints // self.patch_size[1]


@strict
class HulkDecoderConfig(PreTrainedConfig):
    """The shared decoder (Paper, Sec. 3.2): self-attention over context and query tokens, post-norm.

    Attributes:
        hidden_size: Token width d.
        num_hidden_layers: Decoder layers.
        num_attention_heads: Attention heads; must divide `hidden_size`.
        intermediate_size: Width of the MLPs.
        layer_norm_eps: Epsilon of all layer norms of the decoder.
        modality_embedding: Add a learned vector per modality to context and query tokens. Off in the released
            weights, where the query token of each family alone says what to produce.
        upsampler_hidden_size: Channels inside the up-samplers of the dense head; None means `hidden_size`, as in the
            released weights.
        grid_positions: Where the position tables of context and of queries on a grid come from: `stretched` (as in
            the released weights) or `stored` (kept in the checkpoint).
        query_positions: Where the position tables of labels, words and the queries of dense tasks come from: `derived`
            (sin-cos of their number; for dense tasks the table of the patches) or `stored`.
        initializer_range: Standard deviation of new weights.
    """

    model_type = "hulk_decoder"
    base_config_key = "decoder_config"

    hidden_size: int = 256
    num_hidden_layers: int = 9
    num_attention_heads: int = 8
    intermediate_size: int = 2048
    layer_norm_eps: float = 1e-5
    modality_embedding: bool = False
    upsampler_hidden_size: int | None = None
    grid_positions: str = "stretched"
    query_positions: str = "derived"
    initializer_range: float = 0.02

    def validate_architecture(self):
        """Check what the field types cannot say."""
        _check_sizes(self)
        _check_choice("grid_positions", self.grid_positions, _DECODER_POSITIONS)
        _check_choice("query_positions", self.query_positions, ("derived", "stored"))
        if self.upsampler_hidden_size is not None and self.upsampler_hidden_size < 1:
            raise ValueError(f"upsampler_hidden_size must be at least 1 or None, got {self.upsampler_hidden_size}")


def _check_sizes(config: PreTrainedConfig, *others: str) -> None:
    """Check the widths and counts that encoder and decoder share, and `others`."""
    for field in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", *others):
        if getattr(config, field) < 1:
            raise ValueError(f"{field} must be at least 1, got {getattr(config, field)}")
    if config.hidden_size % config.num_attention_heads or config.hidden_size % 4:
        raise ValueError(
            f"hidden_size must be divisible by num_attention_heads and by 4, got {config.hidden_size} and "
            f"{config.num_attention_heads} heads"
        )


def _check_choice(field: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{field} must be one of {list(choices)}, got {value!r}")


# Released sizes, and one that trains on a laptop. The released ViT-L decoder width was never published: 256 is kept.
_PRESETS = {
    "hulk-base": {},
    "hulk-large": {
        "vision_config": {
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
            "drop_path_rate": 0.5,
        }
    },
    "hulk-tiny": {
        "vision_config": {
            "hidden_size": 256,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "intermediate_size": 1024,
            "drop_path_rate": 0.0,
        },
        "decoder_config": {
            "hidden_size": 128,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "intermediate_size": 512,
        },
        "text_feature_size": 384,
    },
}


@strict
class HulkConfig(PreTrainedConfig):
    """Configuration of a Hulk model.

    Attributes:
        vision_config: Image tokenizer and encoder.
        skeleton_config: Skeleton tokenizer; matters only where a task reads skeletons.
        decoder_config: Shared decoder.
        tasks: The tasks of this checkpoint: a known task's name, a list of names or `HulkTask`, or
            `{name: fields of HulkTask}`. `id2label`, `label2id` and `problem_type` follow from them, see
            `label_family`.
        default_tasks: `{family: task name}`, the task meant when only the family, or nothing, is named. Default: the
            first task of each family.
        text_feature_size: Width of the label features (768 for the released BERT features).
        label_family: Family whose default task `id2label` is about: what transformers' own pipelines call results by.
            None: `pose`, or the first family if there is no pose task. A class of one family sets it to its own.
        bos_token_id: Word that every caption begins with; this and the next two are those of bert-base-uncased.
        eos_token_id: Word that ends a caption.
        pad_token_id: What fills the rows of a batch up behind it.

    Example:
        >>> config = HulkConfig(tasks=["pose-coco", "pose-aic"])
        >>> config.task("pose").name
        'pose-coco'
    """

    model_type = "hulk"
    # Of an output; the Trainer would gather the keys and values of captions.
    keys_to_ignore_at_inference = ["past_key_values"]
    sub_configs_defaults = {
        "vision_config": HulkVisionConfig,
        "skeleton_config": HulkSkeletonConfig,
        "decoder_config": HulkDecoderConfig,
    }

    vision_config: dict | PreTrainedConfig | None = None
    skeleton_config: dict | PreTrainedConfig | None = None
    decoder_config: dict | PreTrainedConfig | None = None
    tasks: dict | list | tuple | str | None = None
    default_tasks: dict | None = None
    text_feature_size: int = 768
    label_family: str | None = None
    bos_token_id: int | None = 101
    eos_token_id: int | None = 102
    pad_token_id: int | None = 0

    def __post_init__(self, **kwargs):
        self.tasks = _expand_tasks(["pose-coco"] if self.tasks is None else self.tasks)
        first = {}
        for name in self.tasks:
            first.setdefault(self._named_task(name).family, name)
        self.default_tasks = {**first, **(self.default_tasks or {})}
        if not __name__.startswith("transformers_modules"):
            # transformers looks up this field before its registry and would ask owners of the package for
            # trust_remote_code; it is put back when the configuration is written.
            self._hub_custom_pipelines = kwargs.pop("custom_pipelines", None)
        self._derive_label_maps(kwargs.pop("num_labels", None))
        super().__post_init__(**kwargs)

    def of_family(self, family: str) -> "HulkConfig":
        """This configuration with labels of a family; everything else is shared with it, not copied.

        Args:
            family: Name of a family. If no task is of that family, this configuration is returned as it is.
        """
        if family not in self.default_tasks:
            return self
        config = copy.copy(self)
        config.label_family = family
        config.id2label = config._labels()
        config.label2id = {label: index for index, label in config.id2label.items()}
        config.problem_type = FAMILIES[family].problem_type
        return config

    def with_tasks(self, names: list[str]) -> "HulkConfig":
        """This configuration with some of its tasks only; everything else is shared with it, not copied.

        Args:
            names: Of tasks, or of families, whose default task is meant.

        Raises:
            ValueError: No names, or one that this checkpoint has no task of.
        """
        if isinstance(names, str) or not names:
            raise ValueError(f"tasks: expected a list of names of tasks or families, got {names!r}")
        wanted = list(dict.fromkeys(self.task_name(name) for name in names))
        config = copy.copy(self)
        config.tasks = {name: self.tasks[name] for name in wanted}
        defaults = {self.tasks[name]["family"]: name for name in reversed(wanted)}
        own = {family: name for family, name in self.default_tasks.items() if name in config.tasks}
        config.default_tasks = defaults | own
        family = self._label_family()
        return config.of_family(family if family in config.default_tasks else next(iter(config.default_tasks)))

    def with_new_task(self, task: HulkTask) -> "HulkConfig":
        """This configuration with one task more; everything else is shared with it, not copied."""
        config = copy.copy(self)
        config.tasks = _expand_tasks([*(self._named_task(name) for name in self.tasks or ()), task])
        config.default_tasks = {task.family: task.name, **(self.default_tasks or {})}
        return config

    def _label_family(self) -> str:
        return self.label_family or ("pose" if "pose" in self.default_tasks else next(iter(self.default_tasks)))

    def _labels(self) -> dict[int, str]:
        """The labels that `id2label` is about, see `label_family`."""
        if self._label_family() not in self.default_tasks:
            raise ValueError(
                f"label_family: expected one of the families {sorted(self.default_tasks)} of `tasks` or None, got "
                f"{self.label_family!r}"
            )
        return dict(enumerate(self.task(self.default_tasks[self._label_family()]).labels))

    def _derive_label_maps(self, num_labels: int | None) -> None:
        labels = self._labels()
        if num_labels not in (None, len(labels)):
            raise ValueError(
                f"num_labels: got {num_labels}, expected none or {len(labels)}; the number of labels follows from the "
                "labels of the task, see `tasks`"
            )
        self._check_label_maps(labels)
        if self.problem_type is None:
            self.problem_type = FAMILIES[self._label_family()].problem_type
        self.id2label = labels
        self.label2id = {label: index for index, label in labels.items()}

    def _check_label_maps(self, labels: dict[int, str]) -> None:
        if self.id2label is not None:
            # In JSON the keys are strings. Earlier files hold the maps that transformers makes up.
            given = {int(index): label for index, label in self.id2label.items()}
            if given not in (labels, {index: f"LABEL_{index}" for index in range(len(given))}):
                raise ValueError(
                    f"id2label: got {given}, expected none or the labels of the task, {labels}; other labels are a "
                    "task of their own, see `tasks` and `HulkTask.labels`"
                )
        if self.label2id is not None:
            given = {label: int(index) for label, index in self.label2id.items()}
            expected = {label: index for index, label in labels.items()}
            if given not in (expected, {f"LABEL_{index}": index for index in range(len(given))}):
                raise ValueError(
                    f"label2id: got {given}, expected none or the labels of the task, {expected}; other labels are a "
                    "task of their own, see `tasks` and `HulkTask.labels`"
                )

    @classmethod
    def preset(cls, name: str, **overrides) -> "HulkConfig":
        """Build the configuration of a named size.

        Args:
            name: `hulk-base`, `hulk-large` or `hulk-tiny`.
            overrides: Fields of the configuration. A sub-configuration given as a dict is merged into the preset's,
                one given as an object takes its place.

        Raises:
            ValueError: No preset has this name.
        """
        if name not in _PRESETS:
            raise ValueError(f"name: no preset {name!r}, expected one of {sorted(_PRESETS)}")
        fields = {key: dict(value) if isinstance(value, dict) else value for key, value in _PRESETS[name].items()}
        for key, value in overrides.items():
            merged = key in cls.sub_configs_defaults and isinstance(value, dict)
            fields[key] = {**fields.get(key, {}), **value} if merged else value
        return cls(**fields)

    @classmethod
    def from_dict(cls, config_dict, **kwargs):
        """Build a configuration from the contents of a `config.json`.

        Raises:
            ValueError: It belongs to another kind of model, whose weights would be ignored without a word.
        """
        found = config_dict.get("model_type", cls.model_type)
        if found != cls.model_type:
            raise ValueError(
                f"pretrained_model_name_or_path: expected a checkpoint of model_type {cls.model_type!r}, got {found!r}"
            )
        return super().from_dict(config_dict, **kwargs)

    def task(self, name: str | None = None, family: str | None = None) -> HulkTask:
        """Find a task of this checkpoint.

        Args:
            name: A task name, a family name (its default task), or None.
            family: With `name=None`, the family whose default is meant; needed only if there are several families.

        Raises:
            ValueError: The checkpoint holds no such task, or `None` could mean several.
        """
        return self._named_task(self.task_name(name, family))

    def task_name(self, name: str | None = None, family: str | None = None) -> str:
        """Like `task`, but return only the full name (plain look-ups, which `torch.compile` can trace)."""
        wanted = name if name is not None else family
        if wanted is None:
            if len(self.default_tasks) > 1:
                raise ValueError(f"task: which one is meant? This checkpoint holds {sorted(self.tasks)}")
            wanted = next(iter(self.default_tasks))
        wanted = self.default_tasks.get(wanted, wanted)
        if wanted not in self.tasks:
            raise ValueError(f"task: no task {wanted!r} in this checkpoint, expected one of {sorted(self.tasks)}")
        if family is not None and self.tasks[wanted]["family"] != family:
            raise ValueError(
                f"task: {wanted!r} is a task of family {self.tasks[wanted]['family']!r}, expected one of {family!r}"
            )
        return wanted

    @property
    def vocab_size(self) -> int:
        """Number of words of the default caption task, under the name that transformers looks for."""
        if "caption" not in self.default_tasks:
            raise AttributeError("vocab_size: this checkpoint holds no caption task")
        return self.task("caption").num_labels

    def get_text_config(self, decoder=None, encoder=None) -> PreTrainedConfig:
        """The configuration of what writes text: transformers sizes the cache of captions by it."""
        if decoder and not encoder and isinstance(self.decoder_config, PreTrainedConfig):
            return self.decoder_config
        return super().get_text_config(decoder=decoder, encoder=encoder)

    def _named_task(self, name: str) -> HulkTask:
        return HulkTask.from_dict(name, self.tasks[name])

    def validate_labels(self):
        """Check that nobody changed the label maps, which are not written but derived on loading."""
        self._check_label_maps(self._labels())

    def validate_tasks(self):
        """Check that every default names a task of its own family, and that pictures are whole patches."""
        if self.text_feature_size < 1:
            raise ValueError(f"text_feature_size must be at least 1, got {self.text_feature_size}")
        for family, name in self.default_tasks.items():
            if name not in self.tasks or self._named_task(name).family != family:
                raise ValueError(f"default_tasks: {name!r} is no {family!r} task among {sorted(self.tasks)}")
        patch_size = self.vision_config.patch_size
        for name in self.tasks:
            task = self._named_task(name)
            height, width = task.image_size
            if task.input == "image" and (height % patch_size or width % patch_size):
                raise ValueError(
                    f"task {name!r}: image_size must be multiples of the patch size {patch_size}, got {height}x{width}"
                )

    def to_dict(self) -> dict:
        """Serialise; label maps are left out, they follow from the tasks."""
        out = super().to_dict()
        pipelines = out.pop("_hub_custom_pipelines", None)
        if pipelines and "custom_pipelines" not in out:
            out["custom_pipelines"] = pipelines
        out.pop("id2label", None)
        out.pop("label2id", None)
        return out


def _expand_tasks(tasks: dict | list | tuple | str) -> dict[str, dict]:
    """Write a table of tasks in full: known names become their fields, `HulkTask` objects become dicts."""
    if isinstance(tasks, str):
        tasks = [tasks]
    if not isinstance(tasks, dict):
        for task in tasks:
            if not isinstance(task, str) and not hasattr(task, "to_dict"):
                raise ValueError(f"tasks: expected names of known tasks or HulkTask, got {task!r}")
        named = {task if isinstance(task, str) else task.name: task for task in tasks}
        if len(named) != len(tasks):
            raise ValueError(f"tasks: names must be distinct, got {list(tasks)!r}")
        tasks = named
    if not tasks:
        raise ValueError("tasks: a checkpoint needs at least one task, got none")
    expanded = {}
    for name, fields in tasks.items():
        if isinstance(fields, str):
            if name not in KNOWN_TASKS:
                raise ValueError(f"tasks: no known task {name!r}, expected names among {sorted(KNOWN_TASKS)}")
            fields = KNOWN_TASKS[name]
        if not isinstance(fields, dict) and not hasattr(fields, "to_dict"):
            raise ValueError(f"tasks: expected the fields of task {name!r} as a dict or a HulkTask, got {fields!r}")
        # Through the fields, so that the name under which a task is stored is checked as well.
        stated = fields if isinstance(fields, dict) else fields.to_dict()
        expanded[name] = HulkTask.from_dict(name, stated).to_dict()
    return expanded


__all__ = ["HulkConfig", "HulkDecoderConfig", "HulkSkeletonConfig", "HulkVisionConfig"]
