# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Reading recordings of the official code: a safetensors file, and a JSON of the same name that describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file


class RecordingError(ValueError):
    """A recording that cannot be read or lacks something; the message says what."""


@dataclass(frozen=True)
class Recording:
    """One recording.

    Attributes:
        path: The safetensors file.
        tensors: Everything in it. `sd.` official weights, `in.` inputs, `out.` stages and results.
        info: The JSON beside it, None if there is none.
    """

    path: Path
    tensors: Mapping[str, torch.Tensor]
    info: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """File name without suffix."""
        return self.path.stem

    def group(self, prefix: str) -> dict[str, torch.Tensor]:
        """All tensors whose name starts with `prefix`, under the rest of their name."""
        return {name.removeprefix(prefix): tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor.

        Raises:
            RecordingError: There is none of this name.
        """
        if name not in self.tensors:
            raise RecordingError(f"{self.path.name} holds no tensor {name!r}")
        return self.tensors[name]

    def field(self, path: str, *default: Any) -> Any:
        """Read a field of the JSON.

        Args:
            path: Keys joined by dots, for example `config.backbone.kwargs`.
            default: What to return if the field does not exist; without it that is an error.

        Raises:
            RecordingError: There is no JSON beside the recording, or no such field and no default.
        """
        if self.info is None:
            raise RecordingError(f"{self.path.with_suffix('.json').name} is missing beside {self.path.name}")
        value: Any = self.info
        for key in path.split("."):
            if not isinstance(value, Mapping) or key not in value:
                if default:
                    return default[0]
                raise RecordingError(f"{self.path.with_suffix('.json').name} has no field {path!r}")
            value = value[key]
        return value


def recording_path(path: str | Path) -> Path:
    """The safetensors file of a recording of which either file was named."""
    path = Path(path)
    return path.with_suffix(".safetensors") if path.suffix == ".json" else path


def read_recording(path: str | Path) -> Recording:
    """Read a recording.

    Args:
        path: Its safetensors file, or the JSON beside it.

    Raises:
        RecordingError: A file is missing or cannot be read.
    """
    path = recording_path(path)
    if path.suffix != ".safetensors":
        raise RecordingError(f"expected a .safetensors or .json file, got {path.name!r}")
    if not path.is_file():
        raise RecordingError(f"{path} does not exist")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise RecordingError(f"{path.name} is not a readable safetensors file: {error}") from error
    return Recording(path, tensors, _read_info(path.with_suffix(".json")))


def _read_info(path: Path) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise RecordingError(f"{path.name} is not a readable JSON file: {error}") from error
    if not isinstance(info, dict):
        raise RecordingError(f"{path.name}: expected an object, got {type(info).__name__}")
    return info


__all__ = ["Recording", "RecordingError", "read_recording", "recording_path"]
