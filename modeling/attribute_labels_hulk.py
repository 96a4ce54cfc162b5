# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Attributes of persons as users state them, by name or in a row, and as the columns that a network is trained on.

A joint task holds several data sets side by side; a person is labelled in the columns of one of them, and nothing is
known about all others. "Unknown" is -1 everywhere. RAPv2 and PA-100K write 2 for an unknown gender: the release trains
these rows towards the number 2 by mistake, here they are unknown too (training.md 4.5).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .person_inputs_hulk import as_numbers, shortened

UNKNOWN = -1.0
_ALSO_UNKNOWN = 2.0


def label_columns(
    label_names: Sequence[str], label_spaces: Mapping[str, Sequence[int]] | None, label_space: str | None
) -> slice:
    """The columns of one data set of a joint task; None means all.

    Raises:
        ValueError: the task has no label space of this name.
    """
    if label_space is None:
        return slice(0, len(label_names))
    known = label_spaces or {}
    if label_space not in known:
        raise ValueError(f"`label_space` must be one of {sorted(known)} or None, got {label_space!r}")
    return slice(*known[label_space])


def short_names(label_names: Sequence[str], label_space: str | None) -> list[str]:
    """Names without that of their data set, which labels of a joint task begin with: "pa100k: with a hat"."""
    return [name.removeprefix(f"{label_space}: ") for name in label_names]


def attribute_rows(
    persons: Any,
    count: int,
    label_names: Sequence[str],
    label_spaces: Mapping[str, Sequence[int]] | None = None,
    label_space: str | None = None,
    name: str = "attributes",
) -> torch.Tensor:
    """What is known of the persons of one picture, in the columns of the task.

    Args:
        persons: one entry per person: a dict `{name: value}`, where what is not named is unknown, or one value per
            label (of the label space, if one is given). An entry may stand alone if there is one person, and be None
            if nothing is known of a person; None altogether: of nobody. Values are 1 true, 0 false, something between
            them for soft labels, -1 or 2 unknown.
        count: number of persons.
        label_names: names of the A labels of the task.
        label_spaces: name -> (begin, end), the columns of each data set of a joint task.
        label_space: the data set that the persons are labelled in; names may then do without it.
        name: of the argument, for error messages.

    Returns:
        float32 (count, A): 0 to 1, or -1 for unknown.

    Raises:
        ValueError: another number of persons or values, an unknown name or a value that means nothing.
    """
    columns = label_columns(label_names, label_spaces, label_space)
    rows = torch.full((count, len(label_names)), UNKNOWN)
    if persons is None:
        return rows
    if isinstance(persons, Mapping) or (count == 1 and _is_row(persons)):
        persons = [persons]
    if not hasattr(persons, "__len__") or len(persons) != count:
        got = len(persons) if hasattr(persons, "__len__") else shortened(persons)
        raise ValueError(f"`{name}` must have one entry per person, {count} of them, got {got}")
    wanted = list(label_names[columns])
    for index, person in enumerate(persons):
        person_name = f"{name}[{index}]"
        if person is None:
            continue
        if isinstance(person, Mapping):
            values = _by_name(person, wanted, label_space, person_name)
        else:
            values = as_numbers(person, person_name, "a dict of names and values, or one value per label")
            if values.shape != (len(wanted),):
                where = "" if label_space is None else f" of {label_space!r}"
                raise ValueError(
                    f"`{person_name}` must have one value per label{where}, {len(wanted)} of them, got shape "
                    f"{tuple(values.shape)}" + _hint(label_space, label_spaces)
                )
        rows[index, columns] = _checked(values, person_name)
    return rows


def _is_row(persons: Any) -> bool:
    """Whether this is a row of numbers and no list of entries."""
    if isinstance(persons, torch.Tensor) or hasattr(persons, "ndim"):
        return persons.ndim == 1
    if not isinstance(persons, list | tuple):
        return False
    return not any(isinstance(entry, Mapping) or hasattr(entry, "__len__") or entry is None for entry in persons)


def _hint(label_space: str | None, label_spaces: Mapping[str, Sequence[int]] | None) -> str:
    return f"; `label_space` may name one of {sorted(label_spaces)}" if label_space is None and label_spaces else ""


def _by_name(
    person: Mapping[str, Any], wanted: Sequence[str], label_space: str | None, person_name: str
) -> torch.Tensor:
    places = {label: column for column, label in enumerate(wanted)}
    if label_space is not None:
        places |= {label: column for column, label in enumerate(short_names(wanted, label_space))}
    values = torch.full((len(wanted),), UNKNOWN, dtype=torch.float64)
    for label, value in person.items():
        if label not in places:
            raise ValueError(f"`{person_name}`: no label {label!r}, expected some of {shortened(sorted(places))}")
        values[places[label]] = as_numbers([value], f"{person_name}[{label!r}]", "a number")[0]
    return values


def _checked(values: torch.Tensor, person_name: str) -> torch.Tensor:
    values = torch.where(values == _ALSO_UNKNOWN, UNKNOWN, values)
    valid = ((values >= 0) & (values <= 1)) | (values == UNKNOWN)
    if not valid.all():
        column = int(valid.logical_not().nonzero()[0])
        raise ValueError(
            f"`{person_name}` must hold 1 (true), 0 (false), -1 or 2 (unknown) or numbers between 0 and 1, got "
            f"{values[column].item():g} for label {column}"
        )
    return values.float()


__all__ = ["UNKNOWN", "attribute_rows", "label_columns", "short_names"]
