# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""HulkForHumanAnalysis: all heads over one trunk, and several tasks from one pass of the encoder.

Its state dict is the universal checkpoint: every class of one family loads its part from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.utils import ModelOutput, can_return_tuple

from .body_hulk import HulkBody, set_body
from .configuration_hulk import HulkConfig
from .head_box_hulk import HulkBoxHead
from .head_caption_hulk import HulkCaptionHead, word_mask
from .head_mesh_hulk import HulkMeshHead
from .heads_hulk import HulkDenseHead, HulkTextHead
from .modeling_action_hulk import HulkForActionRecognition, fold_persons, read_action
from .modeling_attributes_hulk import HulkForAttributeRecognition, read_attributes
from .modeling_caption_hulk import HulkForCaptioning, check_words, read_caption, words_to_learn
from .modeling_detection_hulk import HulkForPedestrianDetection, read_detection
from .modeling_hulk import HulkInputs, HulkModel, HulkModelOutput
from .modeling_mesh_hulk import HulkForMeshRecovery, read_mesh
from .modeling_parsing_hulk import HulkForHumanParsing, read_parsing
from .modeling_pose_hulk import HulkForPoseEstimation, read_pose
from .pretrained_hulk import FAMILY_HEADS, HulkPreTrainedModel, check_call_options, keys_of_other_families
from .tasks_hulk import HulkTask

_HEADS = {
    "text_head": HulkTextHead,
    "dense_head": HulkDenseHead,
    "box_head": HulkBoxHead,
    "mesh_head": HulkMeshHead,
    "caption_head": HulkCaptionHead,
}

# Family -> its class, and what reads its results from query states.
_FAMILIES = {
    "pose": (HulkForPoseEstimation, read_pose),
    "parsing": (HulkForHumanParsing, read_parsing),
    "detection": (HulkForPedestrianDetection, read_detection),
    "attributes": (HulkForAttributeRecognition, read_attributes),
    "action": (HulkForActionRecognition, read_action),
    "mesh": (HulkForMeshRecovery, read_mesh),
    "caption": (HulkForCaptioning, read_caption),
}


@dataclass
class HulkHumanAnalysisOutput(ModelOutput):
    """Output of `HulkForHumanAnalysis`.

    Attributes:
        loss: Sum of the losses of the tasks that have `labels`.
        outputs: Task name -> what the class of its family returns, in the order of `tasks`.
        encoder_last_hidden_state: Memory of the first task, shape (B, P, C); each of `outputs` holds that of its own,
            which is the same tensor where the pass of the encoder was shared.
    """

    loss: torch.FloatTensor | None = None
    outputs: dict[str, ModelOutput] | None = None
    encoder_last_hidden_state: torch.FloatTensor | None = None


class HulkForHumanAnalysis(HulkPreTrainedModel):
    """Hulk with the heads of all tasks of its configuration.

    Tasks that read the same tokens share a pass of the encoder: all picture tasks of one input size; all detection
    tasks, whose places are laid out for pictures of any size. Skeleton tasks have a pass each, as each has features of
    its own for the names of the joints; and so has every task of a checkpoint that stores position tables.

    Args:
        config: The tasks decide which heads there are.

    Example:
        >>> config = HulkConfig.preset("hulk-tiny", tasks=["pose-coco", "attributes-joint"])
        >>> outputs = HulkForHumanAnalysis(config)(torch.zeros(1, 3, 256, 192), tasks=["pose", "attributes"]).outputs
        >>> outputs["pose-coco"].heatmaps.shape, outputs["attributes-joint"].logits.shape
        (torch.Size([1, 17, 64, 48]), torch.Size([1, 168]))
    """

    input_modalities = ("image", "time", "text")

    def __init__(self, config: HulkConfig):
        super().__init__(config)
        self.hulk = HulkModel(config)
        tasks = list(self.hulk.tasks.values())
        for name, build in _HEADS.items():
            served = [task for task in tasks if name in FAMILY_HEADS[task.family]]
            if served:
                setattr(self, name, build(config, served))
        self.lora_modules_to_save = tuple(name for name in _HEADS if hasattr(self, name))
        families = dict.fromkeys(task.family for task in tasks)
        self._keys_to_ignore_on_load_unexpected = keys_of_other_families(*families, tasks=list(self.hulk.tasks))
        self.post_init()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, tasks: Sequence[str] | None = None, **kwargs):
        """Load a checkpoint, as every model of transformers does, or a part of it.

        Args:
            pretrained_model_name_or_path: Folder or hub name.
            args: See transformers.
            tasks: Names of tasks or families whose parts are wanted; the others cost no memory. None: all.
            kwargs: See transformers.

        Raises:
            ValueError: The checkpoint has no such task.
            OSError: There is no such checkpoint, or its weights are cut short or damaged.
        """
        if tasks is not None:
            config = kwargs.pop("config", None)
            if config is None:
                names = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
                options = {name: kwargs[name] for name in names if name in kwargs}
                config = cls.config_class.from_pretrained(pretrained_model_name_or_path, **options)
            kwargs["config"] = config.with_tasks(tasks)
        return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)

    def for_family(self, family: str) -> HulkPreTrainedModel:
        """This model as the class of one family: what pipelines, `generate` and the image processors work with.

        It has the modules of this model, not copies, so it takes no memory and learns what this one learns.

        Args:
            family: Name of a family, such as `pose`.

        Raises:
            ValueError: No task of this checkpoint is of that family.
        """
        self.hulk.resolve_task(family=family)
        with torch.device("meta"):
            single = _FAMILIES[family][0](self.config)
        single.hulk = self.hulk
        for name in FAMILY_HEADS[family]:
            setattr(single, name, getattr(self, name))
        single.training = self.training
        return single

    def set_body(self, task_name: str, body: HulkBody, store: bool = False) -> None:
        """Put the tables of a body model into the network, see `HulkForMeshRecovery.set_body`.

        Raises:
            ValueError: There is no such mesh task, or the body has other sizes.
        """
        set_body(self, task_name, body, store)

    @can_return_tuple
    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        skeletons: torch.Tensor | None = None,
        tasks: Sequence[str] | None = None,
        labels: Mapping[str, Mapping[str, Any]] | None = None,
        pixel_mask: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **kwargs,
    ) -> HulkHumanAnalysisOutput:
        """Do several tasks.

        A caption task says what comes after the words it is given (teacher forcing), since writing is a loop with a
        cache of its own: `model.for_family("caption").generate(...)` does it with the same weights.

        Args:
            pixel_values: Shape (B, 3, H, W), normalised RGB, of the size that all picture tasks of the call take
                (detection takes any).
            skeletons: Shape (N, M, 3, T, V) or (N, clips, M, 3, T, V), see `HulkForActionRecognition.forward`.
            tasks: Names of tasks, or of families, whose default task is meant. None: the default tasks of all families
                that read what is given, at its size.
            labels: Task or family name -> what `forward` of its class takes beside its inputs, by name, for example
                `{"pose": {"labels": ..., "label_weights": ...}}`.
            pixel_mask: Shape (B, H, W), 1 for pixels and 0 for padding, for detection in batches of different sizes.
            input_ids: Shape (B, Q), words of captions. None: those of `labels`, or the first word.
            attention_mask: Shape (B, Q), 0 for words that nobody may see.
            kwargs: Options of transformers; those that say what to return are named in the outputs of the families.

        Raises:
            ValueError: Unknown tasks, tasks of another input size, inputs or labels that no task reads, or that are
                of the wrong shape, dtype or range.
            TypeError: Unknown keyword argument.
        """
        check_call_options(kwargs)
        chosen = self._choose(tasks, pixel_values, skeletons)
        self._check_inputs(chosen, pixel_values, skeletons, input_ids, attention_mask)
        targets = self._targets(labels, chosen)
        sequences = per_sample = None
        if skeletons is not None:
            sequences, per_sample = fold_persons(skeletons, self.config.skeleton_config)
        passes: dict[tuple, HulkModelOutput] = {}
        outputs = {}
        for task in chosen:
            given = {"skeletons": sequences}
            if task.input == "image":
                given = {"pixel_values": pixel_values, "pixel_mask": pixel_mask}
            inputs = self.hulk.prepare(task, **given)
            arguments = targets.get(task.name, {})
            if task.queries == "token":
                given |= self._words(task, inputs, arguments.get("labels"), input_ids, attention_mask)
            if per_sample is not None and task.input == "skeleton":
                arguments = {**arguments, "per_sample": per_sample}
            # `prepare` got the same tensors each time: tokens differ only where they are laid out differently.
            layout = self.hulk.layout(inputs)
            states = self._trunk(task, given, passes.get(layout), task.name in targets, **kwargs)
            passes.setdefault(layout, states)
            outputs[task.name] = _FAMILIES[task.family][1](self, states, task, inputs, **arguments)
        losses = [output.loss for output in outputs.values() if output.loss is not None]
        return HulkHumanAnalysisOutput(
            loss=torch.stack(losses).sum() if losses else None,
            outputs=outputs,
            encoder_last_hidden_state=next(iter(outputs.values())).encoder_last_hidden_state,
        )

    def _trunk(
        self, task: HulkTask, given: dict, earlier: HulkModelOutput | None, auxiliary: bool, **kwargs
    ) -> HulkModelOutput:
        """Decode a task, after the encoder or with what it gave for an earlier task."""
        memory = None if earlier is None else earlier.encoder_last_hidden_state
        states = self.hulk(task=task.name, auxiliary=auxiliary, memory=memory, **given, **kwargs)
        if earlier is not None:
            states.hidden_states, states.attentions = earlier.hidden_states, earlier.attentions
        return states

    def _choose(
        self, names: Sequence[str] | None, pixel_values: torch.Tensor | None, skeletons: torch.Tensor | None
    ) -> list[HulkTask]:
        """The tasks of a call, each once, in the order of their first mention."""
        if isinstance(names, str):
            raise ValueError(f"tasks: expected a list of names, got one string {names!r}")
        if names is not None:
            chosen = [self.hulk.resolve_task(name) for name in names]
        else:
            given = {"image": pixel_values, "skeleton": skeletons}
            chosen = [self.hulk.tasks[name] for name in self.config.default_tasks.values()]
            chosen = [task for task in chosen if given[task.input] is not None and _fits(task, given[task.input])]
        if not chosen:
            got = "inputs that none of their defaults reads" if names is None else repr(names)
            raise ValueError(f"tasks: expected at least one of {sorted(self.hulk.tasks)}, got {got}")
        return list({task.name: task for task in chosen}.values())

    def _check_inputs(
        self,
        chosen: list[HulkTask],
        pixel_values: torch.Tensor | None,
        skeletons: torch.Tensor | None,
        input_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
    ) -> None:
        """Refuse inputs that no task reads, and tasks of another input size."""
        names = [task.name for task in chosen]
        readers = {
            "pixel_values": (pixel_values, any(task.input == "image" for task in chosen)),
            "skeletons": (skeletons, any(task.input == "skeleton" for task in chosen)),
            "input_ids": (input_ids, any(task.queries == "token" for task in chosen)),
            "attention_mask": (attention_mask, any(task.queries == "token" for task in chosen)),
        }
        for name, (value, read) in readers.items():
            if value is not None and not read:
                raise ValueError(f"{name}: none of the tasks {names} reads them, expected None")
        if pixel_values is not None:
            others = [task for task in chosen if task.input == "image" and not _fits(task, pixel_values)]
            if others:
                sizes = ", ".join(f"{task.name!r} ({task.image_size[0]}x{task.image_size[1]})" for task in others)
                height, width = pixel_values.shape[-2:]
                raise ValueError(
                    f"tasks: pixel_values are {height}x{width}, but {sizes} take another size; expected tasks of one "
                    "input size per call"
                )

    def _targets(self, labels: Mapping[str, Mapping[str, Any]] | None, chosen: list[HulkTask]) -> dict[str, dict]:
        """Arguments of the readers by task name."""
        targets = {}
        for name, arguments in (labels or {}).items():
            task = self.hulk.resolve_task(name)
            if task not in chosen:
                raise ValueError(
                    f"labels: {name!r} is none of the tasks {[task.name for task in chosen]} of this call"
                )
            if not isinstance(arguments, Mapping) or arguments.get("labels") is None:
                raise ValueError(
                    f"labels: expected arguments by name for {name!r}, among them 'labels', got "
                    f"{sorted(arguments) if isinstance(arguments, Mapping) else type(arguments).__name__}"
                )
            targets[task.name] = dict(arguments)
        return targets

    def _words(
        self,
        task: HulkTask,
        inputs: HulkInputs,
        labels: torch.Tensor | None,
        input_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
    ) -> dict[str, torch.Tensor | None]:
        """Words of captions as the trunk takes them: embedded, and with what they may see."""
        pictures, device = len(inputs.values), inputs.values.device
        if labels is not None:
            padding = self.config.pad_token_id
            input_ids, attention_mask, _ = words_to_learn(labels, task, padding, input_ids, attention_mask)
        elif input_ids is None:
            input_ids = torch.full((pictures, 1), self.config.bos_token_id, dtype=torch.long, device=device)
        check_words(input_ids, None, task)
        if len(input_ids) != pictures:
            raise ValueError(f"input_ids: expected a caption for each of {pictures} pictures, got {len(input_ids)}")
        num_context = inputs.grid[0] * inputs.grid[1]
        return {
            "query_tokens": self.caption_head(input_ids, task, self.text_head.label_features),
            "query_mask": word_mask(input_ids.shape[1], num_context, attention_mask, device=device),
        }


def _fits(task: HulkTask, values: torch.Tensor) -> bool:
    """Whether inputs are of the size a task takes; anchors are laid over pictures of any size, skeletons have none."""
    return task.input != "image" or task.queries == "anchor" or tuple(values.shape[-2:]) == task.image_size


__all__ = ["HulkForHumanAnalysis", "HulkHumanAnalysisOutput"]
