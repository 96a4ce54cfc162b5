# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Label schemes of human parsing, and what a part of one is called in another: LIP, CIHP and ATR.

A part of the same name stays what it is. The others:

| part | of | in LIP | in CIHP | in ATR |
|---|---|---|---|---|
| coat | LIP, CIHP | coat | coat | upper-clothes (as upper-clothes are) |
| jumpsuits | LIP | jumpsuits | dress (as dress is) | dress (as dress is) |
| torso skin | CIHP | - | torso skin | - |
| glove, socks | LIP, CIHP | as named | as named | - |
| belt, bag | ATR | - | - | as named |

A dash means that the scheme has no word for the part: it becomes background. The neighbour that it should rather be
counted to cannot be known (a belt lies on a skirt as well as on pants, a glove may be left or right). So translating
loses parts (dashes) and distinctions (many-to-one), and back again is not what was there. VIP and PaperDoll use the
scheme of CIHP; the parts of Human3.6M and the garments of ModaNet and DeepFashion2 have no counterparts here.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from .labels_parsing_hulk import CIHP_LABELS, LIP_LABELS

# fmt: off
ATR_LABELS = (
    "background", "hat", "hair", "sunglasses", "upper-clothes", "skirt", "pants", "dress", "belt", "left shoe",
    "right shoe", "face", "left leg", "right leg", "left arm", "right arm", "bag", "scarf",
)
# fmt: on
LABEL_SCHEMES: dict[str, tuple[str, ...]] = {"lip": LIP_LABELS, "cihp": CIHP_LABELS, "atr": ATR_LABELS}
BACKGROUND = "background"

# Names of parts that another scheme counts to a part of another name. What is neither there nor here is background.
_COUNTED_AS = {"coat": "upper-clothes", "jumpsuits": "dress"}


def check_scheme(scheme: str, name: str = "label_scheme") -> None:
    """Raises ValueError, naming the argument, unless there is such a scheme."""
    if scheme not in LABEL_SCHEMES:
        raise ValueError(f"`{name}` must be one of {list(LABEL_SCHEMES)}, got {scheme!r}")


def scheme_of(labels: Sequence[str]) -> str | None:
    """The scheme that these labels, in this order, are those of; None for any others."""
    return next((scheme for scheme, known in LABEL_SCHEMES.items() if known == tuple(labels)), None)


@lru_cache(maxsize=16)
def translation_table(source: str, target: str) -> tuple[int, ...]:
    """For each label of `source`, in its order, the index of what it is in `target`.

    Args:
        source: name of a scheme.
        target: name of a scheme.

    Raises:
        ValueError: there is no such scheme.
    """
    check_scheme(source, "source")
    check_scheme(target, "target")
    known = LABEL_SCHEMES[target]
    table = []
    for label in LABEL_SCHEMES[source]:
        name = label if label in known else _COUNTED_AS.get(label, BACKGROUND)
        table.append(known.index(name if name in known else BACKGROUND))
    return tuple(table)


def lost_labels(source: str, target: str) -> list[str]:
    """The parts of `source` that `target` has no word for; see `translation_table` for arguments and errors."""
    names = LABEL_SCHEMES[source]
    return [names[label] for label, index in enumerate(translation_table(source, target)) if label and not index]


def merged_labels(source: str, target: str) -> dict[str, list[str]]:
    """The parts of `target` that hold several of `source`, which cannot be told apart afterwards.

    See `translation_table` for arguments and errors.
    """
    parts: dict[str, list[str]] = {}
    for label, index in enumerate(translation_table(source, target)):
        if index:
            parts.setdefault(LABEL_SCHEMES[target][index], []).append(LABEL_SCHEMES[source][label])
    return {name: labels for name, labels in parts.items() if len(labels) > 1}


def translate_labels(label_map: np.ndarray, source: str, target: str) -> np.ndarray:
    """A map of label ids in another scheme.

    Args:
        label_map: integers of any shape, ids of `source`.
        source: name of its scheme.
        target: name of the wanted scheme.

    Returns:
        uint8 array of the same shape, ids of `target`.

    Raises:
        ValueError: there is no such scheme, or the map holds other ids.
    """
    table = np.array(translation_table(source, target), dtype=np.uint8)
    label_map = np.asarray(label_map)
    if label_map.size and not (0 <= label_map.min() and label_map.max() < len(table)):
        raise ValueError(
            f"`label_map` must hold ids from 0 to {len(table) - 1} of scheme {source!r}, got {label_map.min()} to "
            f"{label_map.max()}"
        )
    return table[label_map]


__all__ = [
    "ATR_LABELS",
    "BACKGROUND",
    "LABEL_SCHEMES",
    "check_scheme",
    "lost_labels",
    "merged_labels",
    "scheme_of",
    "translate_labels",
    "translation_table",
]
