# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From YAML to annotated dataclasses, with errors that name the place in the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, get_args, get_origin, get_type_hints

import yaml


def read_yaml(text: str, overrides: Sequence[str], where: str) -> Any:
    """Plain values of a YAML text, changed by `key=value` overrides with dotted keys and YAML values.

    Raises:
        ValueError: Text or override is no YAML, or an override names a place that cannot be.
    """
    values = _parse(text, where)
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            raise ValueError(f"override {override!r}: expected key=value")
        _assign(values, key, _parse(value, f"override {override!r}"))
    return values


def build(expected: Any, value: Any, where: str) -> Any:
    """Turn plain YAML values into the annotated type.

    Args:
        expected: A dataclass, or any annotation of one of its fields.
        value: Plain values.
        where: Name of the place in the file, for errors.

    Raises:
        ValueError: A key is unknown, a value does not fit, or a dataclass refuses it.
    """
    options = [kind for kind in get_args(expected) if kind is not type(None)]
    if value is None and type(None) in get_args(expected):
        return None
    if len(options) == 1 and type(None) in get_args(expected):
        return build(options[0], value, where)
    if dataclasses.is_dataclass(expected):
        return _build_dataclass(expected, value, where)
    if get_origin(expected) in (list, tuple):
        if not isinstance(value, list):
            raise ValueError(f"{where}: expected a list, got {value!r}")
        kinds = get_args(expected)
        if get_origin(expected) is tuple:
            if len(value) != len(kinds):
                raise ValueError(f"{where}: expected {len(kinds)} values, got {value!r}")
            return tuple(build(kind, item, where) for kind, item in zip(kinds, value, strict=True))
        return [build(kinds[0], item, f"{where}.{index}") for index, item in enumerate(value)]
    if get_origin(expected) is dict:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise ValueError(f"{where}: expected a mapping, got {value!r}")
        return value
    allowed = tuple(options) or (expected,)
    if float in allowed and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-3 as a string
        except ValueError:
            pass
    if isinstance(value, bool) and bool not in allowed or not isinstance(value, allowed):
        raise ValueError(f"{where}: expected {expected}, got {value!r}")
    return value


def _build_dataclass(expected: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected a mapping, got {value!r}")
    hints = get_type_hints(expected)
    unknown = sorted(set(value) - set(hints), key=str)
    if unknown:
        raise ValueError(f"{where}: unknown keys {unknown}, expected a subset of {sorted(hints)}")
    required = [
        field.name
        for field in dataclasses.fields(expected)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    for name in required:
        if name not in value:
            raise ValueError(f"{where}: the key {name!r} is missing")
    values = {key: build(hints[key], item, f"{where}.{key}") for key, item in value.items()}
    try:
        return expected(**values)
    except ValueError as error:
        raise ValueError(f"{where}.{error}") from error


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: expected YAML; {error}") from error


def _assign(values: Any, key: str, value: Any) -> None:
    """Set the place that a dotted key names; its parents may be missing, but not of another kind."""
    path = key.split(".")
    for depth, part in enumerate(path):
        where = ".".join(["recipe", *path[:depth]])
        place: Any = part
        if isinstance(values, list):
            if not part.isdecimal() or int(part) >= len(values):
                raise ValueError(f"override {key!r}: {where} has {len(values)} items, counted from 0; got {part!r}")
            place = int(part)
        elif not isinstance(values, dict):
            raise ValueError(f"override {key!r}: {where} is the value {values!r} and has nothing named {part!r}")
        if depth == len(path) - 1:
            values[place] = value
        else:
            values = values[place] if isinstance(values, list) else values.setdefault(place, {})


__all__ = ["build", "read_yaml"]
