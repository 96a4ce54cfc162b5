# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""What can be seen of a synthetic person, as facts in words and as named attributes.

`facts_of` looks at the finished part map and says for each place (`FACTS`) what is there, or that it can't be seen.
Attributes and captions are both made from these facts, so they never contradict each other or the picture.
"""

from __future__ import annotations

import colorsys
from functools import cache
from math import cos, sin, sqrt

import numba
import numpy as np

from .body import COCO_KEYPOINTS, load_body
from .carried import CARRIED
from .figure import Figure
from .renderer import Camera
from .wardrobe import LIP_LABELS, Material, Outfit

COLOURS = ("black", "gray", "white", "red", "brown", "orange", "yellow", "green", "blue", "purple", "pink")

# Places that are spoken of, and what a fact about each may be; a fact is a tuple of words, or None if unseen. Of what
# may be missing (a hat, a carried thing, a raised arm), the empty tuple says that it is missing.
FACTS: dict[str, tuple[str, ...]] = {
    "gender": ("female", "male"),
    "age": ("child", "adult"),
    "hair_length": ("bald", "short", "long"),
    "hair_colour": ("black", "brown", "blond", "red", "gray"),
    "hat": ("hat",),
    "glasses": ("sunglasses",),
    "scarf": ("scarf",),
    "upper_kind": ("vest", "t-shirt", "shirt", "sweater", "jacket", "coat", "dress", "jumpsuit"),
    "upper_colour": COLOURS,
    "upper_pattern": ("plain", "striped", "checked", "dotted", "mottled"),
    "sleeves": ("none", "short", "long"),
    "lower_kind": ("trousers", "shorts", "skirt", "dress", "jumpsuit"),
    "lower_colour": COLOURS,
    "feet_kind": ("bare", "socks", "shoes", "boots"),
    "feet_colour": COLOURS,
    **{kind: (kind,) for kind in CARRIED},
    "view": ("front", "side", "back"),
    "pose": (
        "standing",
        "walking",
        "running",
        "sitting",
        "crouching",
        "kneeling",
        "lunging",
        "jumping",
        "kicking",
        "bending",
        "lying",
        "other",
    ),
    "arms": ("raised",),
}
Facts = dict[str, tuple[str, ...] | None]

# Name -> (place, facts that make it positive). The names are phrases as those of the official attributes are.
_RULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "female": ("gender", ("female",)),
    "age less than 16": ("age", ("child",)),
    "with long hair": ("hair_length", ("long",)),
    "with black hair": ("hair_colour", ("black",)),
    "with a hat": ("hat", ("hat",)),
    "with sunglasses": ("glasses", ("sunglasses",)),
    "with a scarf": ("scarf", ("scarf",)),
    "with long sleeves": ("sleeves", ("long",)),
    "with short sleeves": ("sleeves", ("short",)),
    "with a jacket or coat": ("upper_kind", ("jacket", "coat")),
    "with skirt or dress": ("lower_kind", ("skirt", "dress")),
    "with long trousers": ("lower_kind", ("trousers", "jumpsuit")),
    "with short trousers": ("lower_kind", ("shorts",)),
    "with boots": ("feet_kind", ("boots",)),
    "with stripe upper-clothes": ("upper_pattern", ("striped",)),
    "with plaid upper-clothes": ("upper_pattern", ("checked",)),
    "with black upper-clothes": ("upper_colour", ("black",)),
    "with white upper-clothes": ("upper_colour", ("white",)),
    "with red upper-clothes": ("upper_colour", ("red",)),
    "with green upper-clothes": ("upper_colour", ("green",)),
    "with blue upper-clothes": ("upper_colour", ("blue",)),
    "with black lower-clothes": ("lower_colour", ("black",)),
    "with blue lower-clothes": ("lower_colour", ("blue",)),
    "with a backpack": ("backpack", ("backpack",)),
    "with a shoulder bag": ("shoulder bag", ("shoulder bag",)),
    "with a handbag": ("handbag", ("handbag",)),
    "holding an umbrella": ("umbrella", ("umbrella",)),
    "holding a phone": ("phone", ("phone",)),
    "in the front position": ("view", ("front",)),
    "in the side position": ("view", ("side",)),
    "in the back position": ("view", ("back",)),
    "standing": ("pose", ("standing",)),
    "walking or running": ("pose", ("walking", "running")),
    "sitting": ("pose", ("sitting",)),
    "crouching or bending": ("pose", ("crouching", "kneeling", "bending")),
    "with a raised arm": ("arms", ("raised",)),
}
ATTRIBUTES: tuple[str, ...] = tuple(_RULES)

_POSE_OF_STANCE = {
    "stand": "standing",
    "lean": "standing",
    "one_leg": "standing",
    "walk": "walking",
    "run": "running",
    "sit": "sitting",
    "sit_floor": "sitting",
    "squat": "crouching",
    "kneel": "kneeling",
    "lunge": "lunging",
    "jump": "jumping",
    "kick": "kicking",
    "bend": "bending",
    "lie": "lying",
    "free": "other",
}
_PATTERNS = {
    "plain": "plain",
    "rings": "striped",
    "stripes": "striped",
    "checks": "checked",
    "plaid": "checked",
    "dots": "dotted",
    "mottled": "mottled",
}
_TWO_COLOURED = ("rings", "stripes", "checks", "plaid")  # as much of the second colour as of the first
_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_UPPER = ("upper-clothes", "dress", "coat", "jumpsuits")
# Square metres that have to be seen of a thing, on an adult.
_LEAST_THING = {"backpack": 0.01, "shoulder bag": 0.008, "handbag": 0.01, "umbrella": 0.02, "phone": 0.002}
_GROWN_UP = 0.5  # of the body's age parameter: below are children


def colour_name(colour: tuple[float, float, float]) -> str:
    """The name, one of `COLOURS`, of a colour (red, green, blue) in 0-255 as it is dyed, whatever the light."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(min(max(channel / 255, 0.0), 1.0) for channel in colour))
    if value < 0.27:
        return "black"
    if saturation < 0.17 or saturation * value < 0.11:
        return "white" if value > 0.74 else "gray"
    degrees = 360 * hue
    if degrees < 19 or degrees >= 330:
        return "pink" if saturation < 0.55 and value > 0.65 else "red"
    if degrees < 45:
        return "orange" if value > 0.72 and saturation > 0.5 else "brown"
    if degrees < 68:
        return "yellow" if value > 0.5 else "brown"
    if degrees < 172:
        return "green"
    if degrees < 258:
        return "blue"
    if degrees < 295 or value < 0.5:
        return "purple"
    return "pink"


def hair_colour_name(colour: tuple[float, float, float]) -> str:
    """The name of a colour of hair, one of `FACTS["hair_colour"]`."""
    red, green, blue = colour
    if max(colour) < 62:
        return "black"
    if max(colour) - min(colour) < 0.15 * max(colour):
        return "gray"
    if green < 0.5 * red:
        return "red"
    return "blond" if red > 113 else "brown"


def _colours(material: Material) -> tuple[str, ...]:
    """Names of the colours that a material shows over large areas, in the order of `COLOURS`."""
    first, second = np.array(material.colour), np.array(material.second)
    if material.pattern == "mottled":
        return (colour_name(tuple((first + second) / 2)),)
    names = {colour_name(material.colour)}
    if material.pattern in _TWO_COLOURED:
        names.add(colour_name(material.second))
    return tuple(name for name in COLOURS if name in names)


def _pattern(material: Material) -> str:
    """The name of the pattern; "plain" if the two colours can't be told apart."""
    gap = np.abs(np.subtract(material.colour, material.second)).max()
    return "plain" if gap < 40 else _PATTERNS[material.pattern]


def _view(keypoints: np.ndarray, camera: Camera) -> str:
    """Whether the chest of a person with world `keypoints` (17, 3) is seen from the front, the side or the back."""
    left, right, left_hip, right_hip = (keypoints[COCO_KEYPOINTS.index(name)] for name in _TRUNK)
    (ax, ay, az), (bx, by, bz) = (left - right).tolist(), (left + right - left_hip - right_hip).tolist()
    x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx  # x is to the left and z up, so ahead is -y
    cosine = (z * sin(camera.pitch) - y * cos(camera.pitch)) / (sqrt(x * x + y * y + z * z) + 1e-9)
    return "front" if cosine > 0.6 else "back" if cosine < -0.6 else "side"


@numba.njit(cache=True)
def _count(parts, things, labels):
    """Pixels of each part, then of each value of `things`."""
    counts = np.zeros(labels + 256, np.int64)
    for y in range(parts.shape[0]):
        for x in range(parts.shape[1]):
            counts[parts[y, x]] += 1
            counts[labels + things[y, x]] += 1
    return counts


class _Sight:
    """Counts what is visible: areas in square metres at the person's distance, and keypoints."""

    def __init__(self, camera: Camera, keypoints: np.ndarray, parts: np.ndarray, things: np.ndarray, num_things: int):
        self.pixel = (camera.distance / camera.focal) ** 2
        counts = _count(parts, things, len(LIP_LABELS)).tolist()
        self.pixels = dict(zip(LIP_LABELS, counts, strict=False))
        self.thing_pixels = counts[len(LIP_LABELS) + 1 :][:num_things]
        self.seen = dict(zip(COCO_KEYPOINTS, keypoints[:, 2].tolist(), strict=True))

    def area(self, *labels: str) -> float:
        return self.count(*labels) * self.pixel

    def count(self, *labels: str) -> int:
        return sum(self.pixels[label] for label in labels)

    def thing(self, index: int, area: float) -> bool:
        """Whether a carried thing is seen, with at least an area and a few pixels."""
        count = self.thing_pixels[index]
        return count >= 5 and count * self.pixel >= area

    def inside(self, *names: str, least: int | None = None) -> bool:
        """Whether all (or at least some number) of the keypoints are in the picture."""
        return sum(self.seen[name] > 0 for name in names) >= (len(names) if least is None else least)

    def clear(self, *names: str, least: int | None = None) -> bool:
        """Whether all (or at least some number) of the keypoints are visible."""
        return sum(self.seen[name] == 2 for name in names) >= (len(names) if least is None else least)


def facts_of(
    figure: Figure,
    camera: Camera,
    keypoints: np.ndarray,
    parts: np.ndarray,
    things: np.ndarray,
    image: np.ndarray | None = None,
) -> Facts:
    """Says what can be seen of a person in a picture.

    Args:
        figure: the person.
        camera: the camera of the picture.
        keypoints: COCO keypoints in the picture with visibility, (17, 3), as in `render_person`.
        parts: part map (H, W), 0 where the person isn't visible.
        things: (H, W), 1 + the index of the visible one of `figure.things`, else 0.
        image: the picture (H, W, 3) uint8; if it is black and white, colours can't be seen.

    Returns:
        A fact for each of `FACTS`: words, or None for what can't be seen (or isn't there to be spoken of).
    """
    sight = _Sight(camera, keypoints, parts, things, len(figure.things))
    size = (figure.height / 1.7) ** 2  # areas of a body grow with it
    facts: Facts = dict.fromkeys(FACTS)
    facts |= _head(figure, camera, sight, parts, size)
    facts |= _clothes(figure.outfit, sight, size)
    facts |= _posture(figure, camera, sight)
    facts |= _carried(figure, sight, size, facts["view"])
    if sight.area("face", "hair", "hat", *_UPPER, "skirt", "pants") > 0.06 * size:
        facts["gender"] = ("female" if figure.gender > 0.5 else "male",)
        facts["age"] = ("child" if figure.age < _GROWN_UP else "adult",)
    if image is not None and _is_grey(image):
        facts |= dict.fromkeys(place for place in FACTS if place.endswith("_colour"))
    return facts


@numba.njit(cache=True)
def _is_grey(image):
    """Whether a picture (H, W, 3) uint8 has no colours, apart from those of noise, which blocks of 8x8 average out."""
    height, width = image.shape[0] // 8, image.shape[1] // 8
    total = 0.0
    for i in range(height):
        for j in range(width):
            red, green, blue = 0, 0, 0
            for y in range(8 * i, 8 * i + 8):
                for x in range(8 * j, 8 * j + 8):
                    red += image[y, x, 0]
                    green += image[y, x, 1]
                    blue += image[y, x, 2]
            total += max(red, green, blue) - min(red, green, blue)
    return total / (64 * height * width) < 4


@cache
def _crown() -> int:
    """The highest vertex of the canonical body."""
    body = load_body()
    rows = body.mesh_vertices["body"]
    return int(rows[body.canonical[rows, 2].argmax()])


def _head(figure: Figure, camera: Camera, sight: _Sight, parts: np.ndarray, size: float) -> Facts:
    """Facts about hair, hat, glasses and scarf."""
    worn, facts = figure.outfit.garments, {}
    whole_head = sight.area("face", "hair", "hat", "sunglasses") > 0.012 * size and sight.inside("nose")
    crown = _crown()
    (column, row), height, width = camera.project(figure.vertices[crown : crown + 1])[0][0], *parts.shape
    whole_head &= 0 <= column < width and 1 <= row < height
    hat = sight.count("hat") >= 5 and sight.area("hat") > 0.003 * size
    if "hat" in worn:
        facts["hat"] = ("hat",) if hat else None
    elif whole_head and parts[_near(row, height), _near(column, width)].any():
        facts["hat"] = ()
    eyes = sight.clear("left_eye", "right_eye", least=1) and sight.clear("nose")
    if "glasses" in worn:
        facts["glasses"] = ("sunglasses",) if eyes and sight.count("sunglasses") >= 4 else None
    elif eyes:
        facts["glasses"] = ()
    shoulders = sight.inside("left_shoulder", "right_shoulder")
    if "scarf" in worn:
        facts["scarf"] = ("scarf",) if sight.count("scarf") >= 5 and sight.area("scarf") > 0.004 * size else None
    elif shoulders and sight.inside("nose") and sight.area(*_UPPER) > 0.05 * size:
        facts["scarf"] = ()
    kind, material = worn["hair"].kind, worn["hair"].material
    hair = sight.count("hair") >= 6 and sight.area("hair") > 0.004 * size
    if kind == "bald" and whole_head and "hat" not in worn:
        facts["hair_length"] = ("bald",)
    elif hair and (whole_head or kind == "long"):
        facts["hair_length"] = (kind,)
        facts["hair_colour"] = (hair_colour_name(figure.outfit.materials[material].colour),)
    return facts


def _near(centre: float, length: int) -> slice:
    return slice(max(int(centre) - 2, 0), min(int(centre) + 3, length))


def _clothes(outfit: Outfit, sight: _Sight, size: float) -> Facts:
    """Facts about clothes and shoes; a coat is what is worn above."""
    worn, facts = outfit.garments, {}
    upper = worn.get("coat", worn.get("upper"))
    label = {"coat": "coat", "jacket": "coat", "dress": "dress", "jumpsuit": "jumpsuits"}
    upper_label = label.get(upper.kind, "upper-clothes") if upper else "face"
    if upper and sight.area(upper_label) > 0.05 * size and sight.inside(*_TRUNK, least=1):
        material = outfit.materials[upper.material]
        cut_off = upper.kind == "coat" and not sight.inside("left_knee", "right_knee", least=1)
        facts["upper_kind"], facts["upper_colour"] = ("jacket" if cut_off else upper.kind,), _colours(material)
        facts["upper_pattern"] = (_pattern(material),)
        forearms = (sight.inside(f"{side}_elbow") and sight.clear(f"{side}_wrist") for side in ("left", "right"))
        if sight.clear("left_elbow", "right_elbow", least=1) or any(forearms):
            facts["sleeves"] = (worn["sleeves"].kind,)
        if "sleeves" not in facts and upper.kind not in label:  # its kind depends on the sleeves
            del facts["upper_kind"]
    one_piece = worn.get("upper")
    lower = worn.get("lower", one_piece if one_piece and one_piece.kind in ("dress", "jumpsuit") else None)
    if lower is not None:
        part = {"trousers": "pants", "shorts": "pants"}.get(lower.kind, label.get(lower.kind, lower.kind))
        legs = sight.clear("left_knee", "right_knee", least=1) or sight.clear("left_ankle", "right_ankle", least=1)
        if sight.area(part) > 0.03 * size:
            facts["lower_colour"] = _colours(outfit.materials[lower.material])
            facts["lower_kind"] = (lower.kind,) if legs or lower.kind in ("skirt", "dress") else None
    feet = worn["feet"]
    shoes = sight.count("left-shoe", "right-shoe"), sight.area("left-shoe", "right-shoe")
    if feet.kind in ("shoes", "boots"):
        if shoes[0] >= 8 and shoes[1] > 0.006 * size and sight.inside("left_ankle", "right_ankle", least=1):
            facts["feet_kind"] = (feet.kind,)
            facts["feet_colour"] = _colours(outfit.materials[feet.material])
    elif sight.clear("left_ankle", "right_ankle", least=1):
        facts["feet_kind"] = (feet.kind,)
        if feet.kind == "socks":
            facts["feet_colour"] = _colours(outfit.materials[feet.material])
    return facts


def _posture(figure: Figure, camera: Camera, sight: _Sight) -> Facts:
    """Facts about pose, raised arms and direction."""
    facts: Facts = {}
    pose = _POSE_OF_STANCE[figure.pose.stance]
    if sight.inside(*_TRUNK[2:], "left_knee", "right_knee", least=3) and sight.clear(
        "left_knee", "right_knee", "left_ankle", "right_ankle", least=1
    ):
        facts["pose"] = (pose,)
    if pose != "lying" and sight.inside(*_TRUNK, least=2):
        facts["view"] = (_view(figure.keypoints, camera),)
    heights = dict(zip(COCO_KEYPOINTS, figure.keypoints[:, 2], strict=True))
    shoulders = {side: heights[f"{side}_shoulder"] + 0.06 * figure.height / 1.7 for side in ("left", "right")}
    raised = [side for side, height in shoulders.items() if heights[f"{side}_wrist"] > height]
    if any(sight.inside(f"{side}_wrist", f"{side}_elbow") for side in raised):
        facts["arms"] = ("raised",)
    elif not raised and sight.inside("left_wrist", "right_wrist"):
        facts["arms"] = ()
    return facts


def _carried(figure: Figure, sight: _Sight, size: float, view: tuple[str, ...] | None) -> Facts:
    """Facts about carried things."""
    facts: Facts = {}
    carried = {thing.kind: index for index, thing in enumerate(figure.things)}
    upper = sight.area(*_UPPER, "face")
    straps = view == ("front",) and sight.inside("left_shoulder", "right_shoulder") and upper > 0.1 * size
    hands = sight.inside("left_wrist", "right_wrist")
    absent = {
        "backpack": view is not None and upper > 0.07 * size,
        "shoulder bag": sight.inside(*_TRUNK) and upper > 0.07 * size,
    }
    for kind in CARRIED:
        if kind in carried:
            least = _LEAST_THING[kind] * (1 if kind in ("umbrella", "phone") else size)
            seen = sight.thing(carried[kind], least) or (kind == "backpack" and straps)
            facts[kind] = (kind,) if seen else None
        elif absent.get(kind, hands):
            facts[kind] = ()
    return facts


def attributes_of(facts: Facts) -> np.ndarray:
    """Attributes (A,) int8 in the order of `ATTRIBUTES`: 1 if so, 0 if not, -1 if it can't be seen.

    Args:
        facts: what `facts_of` returned.
    """
    values = []
    for place, positive in _RULES.values():
        fact = facts[place]
        values.append(-1 if fact is None else int(any(word in positive for word in fact)))
    return np.array(values, np.int8)


__all__ = ["ATTRIBUTES", "COLOURS", "FACTS", "Facts", "attributes_of", "colour_name", "facts_of", "hair_colour_name"]
