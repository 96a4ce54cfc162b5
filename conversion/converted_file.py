# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""One official file under our names, with what merging has to know about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from hulk_hf.conversion.keymap import KEY_MAPS
from hulk_hf.conversion.official_files import OfficialFile, naming, read_official_file, recognise_task
from hulk_hf.conversion.state_dict import convert_state_dict
from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.positions_hulk import GRID_FORMULAS, sequence_sincos
from hulk_hf.modeling.tasks_hulk import HulkTask

STORED = "stored"
"""The kind of position tables that follow from no formula."""

RELEASED_SIZES = {(768, 12): ("ViT-B", 0.2), (1024, 24): ("ViT-L", 0.5)}
"""(width, layers) of the released encoders -> name and stochastic depth."""


@dataclass(frozen=True)
class PositionTables:
    """One kind of position table: where it stands in the configuration, and what its tensors are called."""

    section: str
    setting: str
    official: str
    prefix: str


POSITION_TABLES = (
    PositionTables(
        "vision_config", "image_positions", "adapter_rgb.pos_embed", "hulk.tokenizers.image.position_tables"
    ),
    PositionTables(
        "skeleton_config", "positions", "adapter_sparse_labeling.pos_embed", "hulk.tokenizers.skeleton.position_tables"
    ),
    PositionTables(
        "decoder_config",
        "grid_positions",
        "decoder_module.predictor.query_embed_patch",
        "hulk.decoder.places.grids",
    ),
    PositionTables(
        "decoder_config",
        "query_positions",
        "decoder_module.predictor.query_embed_label",
        "hulk.decoder.places.queries",
    ),
)
"""All kinds there are."""


@dataclass(frozen=True)
class TableUse:
    """The position table that a task uses: what follows from its formula, or is stored under `name`.

    Attributes:
        tables: Its kind.
        name: Our name, which holds that of the task.
        kind: The formula, or `stored`.
        width: Width of the tokens.
        size: (rows, columns) of a grid, or (length,) of a sequence.
    """

    tables: PositionTables
    name: str
    kind: str
    width: int
    size: tuple[int, ...]

    def compute(self) -> torch.Tensor:
        """The table by its formula."""
        if len(self.size) == 1:
            return sequence_sincos(self.width, *self.size)
        # Queries of dense tasks, unless stored, stand where the patches are.
        return GRID_FORMULAS["stretched" if self.kind == "derived" else self.kind](self.width, *self.size)


@dataclass
class ConvertedFile:
    """One official file under our names.

    Attributes:
        file: Where it came from.
        sha256: Hash of the file.
        task: What it is for, with the sizes that its tensors have.
        config: Configuration of a model of this task alone.
        weights: Our name -> tensor, still mapped from the file.
        official_names: Our name -> name in the file.
        counts: How many tensors of the file are `live`, `dead`, `derived`, `duplicate`, `restricted`; `stored`: how
            many of the derived ones follow from no formula and are kept.
        body: Tensors of a restricted body model under their official names, empty unless asked for.
    """

    file: OfficialFile
    sha256: str
    task: HulkTask
    config: HulkConfig
    weights: dict[str, torch.Tensor]
    official_names: dict[str, str]
    counts: Counter[str]
    body: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def size(self) -> str:
        """The size of the encoder in words."""
        vision: Any = self.config.vision_config
        name, _ = RELEASED_SIZES.get((vision.hidden_size, vision.num_hidden_layers), ("a size of its own", 0))
        return f"{name} (width {vision.hidden_size}, {vision.num_hidden_layers} layers)"

    def tables(self) -> Iterator[TableUse]:
        """The position tables that the task uses."""
        config: Any = self.config
        task, skeleton = self.task, self.task.input == "skeleton"
        grid = tuple(side // config.vision_config.patch_size for side in task.image_size)
        if skeleton:
            grid = tuple(config.skeleton_config.grid)
        sizes: list[tuple[int, ...] | None] = [None if skeleton else grid, grid if skeleton else None, grid, None]
        if task.queries == "patch":
            sizes[3] = grid
        elif task.queries in ("label", "token"):
            sizes[3] = (task.num_labels if task.queries == "label" else task.max_length,)
        for tables, size in zip(POSITION_TABLES, sizes, strict=True):
            if size is not None:
                of_decoder = tables.section == "decoder_config"
                width = (config.decoder_config if of_decoder else config.vision_config).hidden_size
                name = f"{tables.prefix}.{task.name}.weight"
                yield TableUse(tables, name, getattr(getattr(config, tables.section), tables.setting), width, size)

    def has(self, symbol: str) -> bool:
        """Whether a size of the key map occurs in a tensor of this family that matters."""
        rules = KEY_MAPS[self.task.family].rules
        return any(rule.status == "live" and symbol in (rule.shape or ()) for rule in rules)


def convert_file(file: OfficialFile, include_body: bool = False) -> ConvertedFile:
    """Read and convert one official file.

    Args:
        file: The file; without a task it is recognised by its tensors.
        include_body: Also return the tensors of the restricted body model.

    Raises:
        ValueError: Its keys, shapes or values are not those of an official file of this task.
    """
    tensors = read_official_file(file.path)
    with naming(file.path):
        name = file.task or recognise_task(tensors)
        config, weights = convert_state_dict(tensors, name)
        _check_values(weights)
        task = config.task(name)
        found = KEY_MAPS[task.family].sort(tensors)
    counts = Counter(str(rule.status) for rule, _ in found.values())
    converted = ConvertedFile(file, file.sha256(), task, config, weights, {}, counts)
    tables = {use.tables.official: use for use in converted.tables()}
    for official, (rule, layer) in found.items():
        use = tables.get(official)
        if rule.status == "live":
            for ours in rule.our_names(layer, task=task.name, family=task.family):
                converted.official_names[ours] = official
        elif rule.status == "derived" and use is not None and rule.ours:
            converted.official_names[use.name] = official
            counts[STORED] += use.kind == STORED
    if include_body:
        converted.body = {
            official: tensors[official].clone() for official, (rule, _) in found.items() if rule.status == "restricted"
        }
    return converted


def _check_values(weights: dict[str, torch.Tensor]) -> None:
    for name, tensor in weights.items():
        if not tensor.is_floating_point():
            raise ValueError(f"{name}: expected a floating dtype, got {tensor.dtype}")
        if not bool(tensor.isfinite().all()):
            raise ValueError(
                f"{name}: holds values that are not finite; the file is damaged, or its training diverged"
            )


__all__ = [
    "POSITION_TABLES",
    "RELEASED_SIZES",
    "STORED",
    "ConvertedFile",
    "PositionTables",
    "TableUse",
    "convert_file",
]
