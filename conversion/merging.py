# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From the files of several tasks to one set of weights.

Tasks of the release were trained together, and each has a file of its own with a copy of what they share. What is
shared has one name here (spec 3.1: the encoder by all tasks, the query token by those of a family, a norm by one
alone), so files are merged by name, and the copies have to be equal. Position tables, where they are kept at all,
belong to a task each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from hulk_hf.conversion.converted_file import POSITION_TABLES, RELEASED_SIZES, STORED, ConvertedFile, TableUse
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

TOLERANCE = 1e-5
"""How far the copies of a shared tensor may lie apart."""

# The task that is meant by its family alone, where that is not the one of the lowest official number: the released
# detector is the one that was trained on all sets.
_DEFAULT_TASKS = {"detection": "detection-joint"}


@dataclass
class SharedTensor:
    """What comparing the copies of one tensor gave.

    Attributes:
        official: Its name in the files.
        files: Names of the files that hold a copy.
        difference: Largest difference of a copy from the first one.
        sha256: Hash of the values by file, of the first file and of those that differ from it in any bit.
    """

    official: str
    files: list[str]
    difference: float = 0.0
    sha256: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Disagreement:
    """A copy of a shared tensor that is too far from the first one."""

    name: str
    official: str
    files: tuple[str, str]
    difference: float
    sha256: tuple[str, str]

    def __str__(self) -> str:
        first, second = (
            f"{file} (sha256 {digest[:12]})" for file, digest in zip(self.files, self.sha256, strict=True)
        )
        return f"{self.official} differs by up to {self.difference:.3g} between {first} and {second}"


class Merge:
    """Weights of several tasks; files are added one after another.

    Attributes:
        weights: Our name -> tensor, in memory of its own.
        files: What was added; their weights are taken out.
        shared: Our name -> result of the comparison, for every tensor that more than one file holds.
        body: Tensors of a restricted body model under their official names, if they were asked for.
    """

    def __init__(self) -> None:
        self.weights: dict[str, torch.Tensor] = {}
        self.files: list[ConvertedFile] = []
        self.shared: dict[str, SharedTensor] = {}
        self.body: dict[str, torch.Tensor] = {}
        self._origin: dict[str, str] = {}
        self._tables: dict[str, TableUse] = {}

    def add(self, converted: ConvertedFile) -> list[Disagreement]:
        """Add a file, if what it shares with the earlier ones is equal.

        Returns:
            What differs; if there is anything, nothing of the file was added.

        Raises:
            ValueError: The file is of another size than the earlier ones, or of a task that is there already.
        """
        self._check_fits(converted)
        agreeing: dict[str, SharedTensor] = {}
        wrong: list[Disagreement] = []
        for name, (here, there) in self._copies(converted):
            result = self._compare(name, here, there, converted)
            if isinstance(result, Disagreement):
                wrong.append(result)
            else:
                agreeing[name] = result
        if wrong:
            return wrong
        for name, result in agreeing.items():
            kept = self.shared.setdefault(name, SharedTensor(result.official, [self._origin[name]]))
            kept.files += result.files
            kept.difference = max(kept.difference, result.difference)
            kept.sha256 |= result.sha256
        self._take(converted)
        return []

    def _copies(self, converted: ConvertedFile) -> Iterator[tuple[str, tuple[torch.Tensor, torch.Tensor]]]:
        """Every tensor that is there already, beside the one of a new file."""
        for name, tensor in converted.weights.items():
            if name in self.weights:
                yield name, (self.weights[name], tensor)

    def _compare(
        self, name: str, here: torch.Tensor, there: torch.Tensor, converted: ConvertedFile
    ) -> SharedTensor | Disagreement:
        official, file = converted.official_names[name], converted.file.name
        result = SharedTensor(official, [file])
        if here.dtype == there.dtype and torch.equal(here, there):
            return result
        result.difference = largest_difference(here, there)
        hashes = tensor_sha256(here), tensor_sha256(there)
        result.sha256 = {self._origin[name]: hashes[0], file: hashes[1]}
        if result.difference > TOLERANCE:
            return Disagreement(name, official, (self._origin[name], file), result.difference, hashes)
        return result

    def _take(self, converted: ConvertedFile) -> None:
        file = converted.file.name
        while converted.weights:
            name, tensor = converted.weights.popitem()
            known = self.weights.get(name)
            # Of copies in different precision the finer one is kept.
            if known is None or torch.finfo(known.dtype).eps > torch.finfo(tensor.dtype).eps:
                self.weights[name] = tensor.clone(memory_format=torch.contiguous_format)
            self._origin.setdefault(name, file)
        self._tables |= {use.name: use for use in converted.tables()}
        self.body |= converted.body
        self.files.append(converted)

    def _check_fits(self, converted: ConvertedFile) -> None:
        for other in self.files:
            if other.task.name == converted.task.name:
                raise ValueError(
                    f"{converted.file.name}: of task {converted.task.name!r}, as {other.file.name} is; expected one "
                    "file per task"
                )
            for what, mine, theirs in _common_sizes(converted, other):
                if mine != theirs:
                    raise ValueError(
                        f"{converted.file.name}: {converted.size}, but {other.file.name}: {other.size}; files of "
                        f"different sizes cannot be merged ({what} {mine} and {theirs})"
                    )

    def finish(self) -> HulkConfig:
        """Complete the position tables, and return the configuration of all tasks.

        Tables of one kind that all follow one formula are left out of the weights, otherwise all are kept.
        """
        settings: dict[str, dict[str, str]] = {"vision_config": {}, "skeleton_config": {}, "decoder_config": {}}
        for tables in POSITION_TABLES:
            uses = [use for use in self._tables.values() if use.tables is tables]
            kinds = {use.kind for use in uses}
            if not kinds:
                continue
            settings[tables.section][tables.setting] = kinds.pop() if len(kinds) == 1 else STORED
            if settings[tables.section][tables.setting] == STORED:
                self.weights |= {use.name: self._table(use) for use in uses if use.kind != STORED}
        return self._config(settings)

    def _table(self, use: TableUse) -> torch.Tensor:
        """A table that follows from its formula; that of dense queries from the table of the patches."""
        patches = use.name.replace(".places.queries.", ".places.grids.")
        return self.weights[patches].clone() if len(use.size) == 2 and patches in self.weights else use.compute()

    def _config(self, settings: dict[str, dict[str, str]]) -> HulkConfig:
        first: Any = self.files[0].config
        skeleton: Any = next(
            (file.config for file in self.files if file.task.input == "skeleton"), first
        ).skeleton_config
        dense: Any = next((file.config for file in self.files if file.has("U")), first).decoder_config
        text = next((file.config for file in self.files if file.has("T")), first)
        vision = first.vision_config
        _, drop_path = RELEASED_SIZES.get((vision.hidden_size, vision.num_hidden_layers), ("", vision.drop_path_rate))
        tasks = {file.task.name: file.task for file in self.files}
        order = [name for name in KNOWN_TASKS if name in tasks]
        return HulkConfig(
            vision_config={**vision.to_dict(), "drop_path_rate": drop_path, **settings["vision_config"]},
            skeleton_config={**skeleton.to_dict(), **settings["skeleton_config"]},
            decoder_config={
                **first.decoder_config.to_dict(),
                "upsampler_hidden_size": dense.upsampler_hidden_size,
                **settings["decoder_config"],
            },
            tasks=[tasks[name] for name in order],
            default_tasks={family: name for family, name in _DEFAULT_TASKS.items() if name in tasks},
            text_feature_size=text.text_feature_size,
        )

    def share_report(self) -> dict[str, SharedTensor]:
        """The results of all comparisons, with the hash of every tensor that was compared."""
        for name, result in self.shared.items():
            if not result.sha256 and name in self.weights:
                result.sha256 = {result.files[0]: tensor_sha256(self.weights[name])}
        return self.shared


def _common_sizes(one: ConvertedFile, two: ConvertedFile) -> Iterable[tuple[str, object, object]]:
    """What two files have to have in common, as (what, of the one, of the other)."""
    wanted = ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"]
    for section in ("vision_config", "decoder_config"):
        configs = [getattr(file.config, section) for file in (one, two)]
        yield from ((f"{section}.{name}", *(getattr(config, name) for config in configs)) for name in wanted)
    if one.has("T") and two.has("T"):
        yield "text_feature_size", one.config.text_feature_size, two.config.text_feature_size
    if one.has("U") and two.has("U"):
        configs = [file.config.decoder_config for file in (one, two)]
        yield "upsampler_hidden_size", *(config.upsampler_hidden_size for config in configs)
    if one.task.input == two.task.input == "skeleton":
        configs = [file.config.skeleton_config for file in (one, two)]
        for name in ("num_joints", "num_frames", "patch_size"):
            yield f"skeleton_config.{name}", *(getattr(config, name) for config in configs)


def largest_difference(one: torch.Tensor, two: torch.Tensor) -> float:
    """The largest difference of two copies; those of different precision are compared in the coarser one."""
    coarser = max(one.dtype, two.dtype, key=lambda dtype: torch.finfo(dtype).eps)
    if one.shape != two.shape:
        return float("inf")
    return (one.to(coarser).float() - two.to(coarser).float()).abs().max().item() if one.numel() else 0.0


def tensor_sha256(tensor: torch.Tensor) -> str:
    """The hash of the values of a tensor, in hexadecimal digits."""
    values = tensor.detach().contiguous().reshape(-1)
    return hashlib.sha256(memoryview(values.view(torch.uint8).numpy())).hexdigest() if len(values) else ""


__all__ = [
    "TOLERANCE",
    "Disagreement",
    "Merge",
    "SharedTensor",
    "largest_difference",
    "tensor_sha256",
]
