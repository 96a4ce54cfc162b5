# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Label maps of parsing, and the schemes that their labels belong to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hulk_hf.modeling.label_schemes_hulk import (
    ATR_LABELS,
    LABEL_SCHEMES,
    lost_labels,
    merged_labels,
    scheme_of,
    translate_labels,
    translation_table,
)
from hulk_hf.modeling.labels_parsing_hulk import CIHP_LABELS, H36M_PARTS_LABELS, LIP_LABELS
from hulk_hf.modeling.part_labels_hulk import (
    encode_labels,
    evaluation_labels,
    flip_labels,
    label_ids_of,
    read_label_map,
    resize_labels,
)
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

# Maps ---------------------------------------------------------------------------------------------------------------


def test_ids_become_places_in_the_list_and_all_others_background():
    ids = label_ids_of(H36M_PARTS_LABELS)
    assert len(ids) == 25 and label_ids_of(LIP_LABELS) == tuple(range(20))
    raw = torch.tensor([[0, 58, 4], [17, 255, 32]])
    assert encode_labels(raw, ids).tolist() == [[0, 24, 0], [7, 0, 13]]
    assert [H36M_PARTS_LABELS[label] for label in (24, 7, 13)] == ["right forearm", "left shoulder", "crotch"]
    assert encode_labels(raw.to(torch.uint8), range(20)).tolist() == [[0, 0, 4], [17, 0, 0]]
    assert encode_labels(torch.tensor([[7, 3]]), (7, 3)).tolist() == [[0, 1]]  # the order is that of the list


def test_nearest_resize_takes_the_pixel_at_the_floor():
    row = torch.arange(10)[None]
    assert resize_labels(row, (1, 4)).tolist() == [[0, 2, 5, 7]]  # pixel centres would give 1, 3, 6, 8
    assert resize_labels(torch.arange(2)[None], (1, 5)).tolist() == [[0, 0, 0, 1, 1]]
    block = torch.arange(12).reshape(3, 4)
    assert resize_labels(block, (6, 2)).tolist() == [[0, 2], [0, 2], [4, 6], [4, 6], [8, 10], [8, 10]]


@pytest.mark.parametrize(("source", "target", "short"), [(6, 34, 17), (12, 34, 17), (14, 18, 9), (9, 51, 34)])
def test_nearest_resize_rounds_as_opencv_does(source, target, short):
    # What cv2.resize of OpenCV 4.10 gives: at `short`, where i * source / target is whole, the pixel before it.
    found = resize_labels(torch.arange(source)[None], (1, target))[0].tolist()
    assert found[short] == short * source // target - 1
    assert found[short + 1] == (short + 1) * source // target and found[0] == 0 and found[-1] == source - 1


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.integers(1, 5))
def test_larger_and_back(height, width, down, across):
    label_map = torch.arange(height * width).reshape(height, width)
    larger = resize_labels(label_map, (height * down, width * across))
    assert torch.equal(larger, label_map.repeat_interleave(down, 0).repeat_interleave(across, 1))
    assert torch.equal(resize_labels(larger, (height, width)), label_map)


@settings(deadline=None, max_examples=40)
@given(st.data(), st.sampled_from([name for name in KNOWN_TASKS if name.startswith("parsing")]))
def test_flip_and_back(data, name):
    task = KNOWN_TASKS[name]
    size = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    values = data.draw(st.lists(st.integers(0, task.num_labels - 1), min_size=size[0] * size[1], max_size=81))
    label_map = torch.tensor(values[: size[0] * size[1]]).reshape(size)
    flipped = flip_labels(label_map, task.flip_pairs)
    assert torch.equal(flip_labels(flipped, task.flip_pairs), label_map)
    there = task.labels[label_map[0, 0]].split()
    swapped = [{"left": "right", "right": "left"}.get(word, word) for word in there]
    assert task.labels[flipped[0, -1]].split() == swapped


def test_flip_leaves_other_labels_alone():
    label_map = torch.tensor([[255, 14, 0], [1, 15, 30]])
    assert flip_labels(label_map, [(14, 15)]).tolist() == [[0, 15, 255], [30, 14, 1]]
    assert flip_labels(label_map, []).tolist() == [[0, 14, 255], [30, 15, 1]]


def test_evaluation_at_its_own_size_and_at_another():
    raw = torch.tensor([[0, 58], [17, 255]])
    ids = label_ids_of(H36M_PARTS_LABELS)
    assert evaluation_labels(raw, ids).tolist() == [[0, 24], [7, 0]]
    assert torch.equal(evaluation_labels(raw, ids, (2, 2)), evaluation_labels(raw, ids))
    # Between the two labels the filter makes others up, with weights of 1/8, 3/8, 5/8, 7/8 here.
    row = torch.tensor([[0, 58]])
    assert evaluation_labels(row, ids, (1, 8))[0].tolist() == [0, 0, 3, 9, 15, 21, 24, 24]


def test_kinds_of_maps(tmp_path):
    values = np.array([[0, 3], [255, 7]], dtype=np.uint8)
    palette = Image.new("P", (2, 2))
    palette.putdata(values.ravel().tolist())
    palette.putpalette([9] * 768)
    palette.save(tmp_path / "palette.png")
    Image.fromarray(values.astype(np.uint16) * 256).save(tmp_path / "deep.png")
    for source, expected in (
        (values, values),
        (torch.from_numpy(values), values),
        (Image.fromarray(values), values),
        (palette, values),
        (str(tmp_path / "palette.png"), values),
        (tmp_path / "deep.png", values.astype(int) * 256),
        (values > 3, values > 3),
    ):
        found = read_label_map(source)
        assert found.dtype == torch.int64 and found.tolist() == expected.astype(int).tolist()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Image.new("RGB", (3, 2)), "`segmentation_maps` must be pictures of one channel .* got mode 'RGB'"),
        (np.zeros((2, 2)), "`segmentation_maps` must hold whole numbers, got float64"),
        (torch.zeros(2, 2), "`segmentation_maps` must hold whole numbers, got torch.float32"),
        (
            np.zeros((2, 2, 3), dtype=int),
            r"`segmentation_maps` must be maps of shape \(height, width\), got \(2, 2, 3\)",
        ),
        ("no/such.png", "`segmentation_maps`: 'no/such.png' cannot be read"),
    ],
)
def test_what_is_no_map_is_named(source, message):
    with pytest.raises(ValueError, match=message):
        read_label_map(source)


# Schemes ------------------------------------------------------------------------------------------------------------


def test_tasks_know_their_scheme():
    schemes = {name: scheme_of(task.labels) for name, task in KNOWN_TASKS.items() if task.family == "parsing"}
    assert schemes == {
        "parsing-lip": "lip",
        "parsing-cihp": "cihp",
        "parsing-h36m": None,
        "parsing-modanet": None,
        "parsing-vip": "cihp",
        "parsing-deepfashion2": None,
        "parsing-paperdoll": "cihp",
    }
    assert scheme_of(list(ATR_LABELS)) == "atr"


# Part -> what it is in the other scheme, where that is not a part of the same name. None: background.
NAMED = {
    ("lip", "cihp"): {"jumpsuits": "dress"},
    ("cihp", "lip"): {"torso skin": None},
    ("lip", "atr"): {"glove": None, "coat": "upper-clothes", "socks": None, "jumpsuits": "dress"},
    ("cihp", "atr"): {"glove": None, "coat": "upper-clothes", "socks": None, "torso skin": None},
    ("atr", "lip"): {"belt": None, "bag": None},
    ("atr", "cihp"): {"belt": None, "bag": None},
}


@pytest.mark.parametrize("source", LABEL_SCHEMES)
@pytest.mark.parametrize("target", LABEL_SCHEMES)
def test_every_part_has_its_counterpart(source, target):
    others = NAMED.get((source, target), {})
    for label, index in zip(LABEL_SCHEMES[source], translation_table(source, target), strict=True):
        assert LABEL_SCHEMES[target][index] == (others.get(label, label) or "background")
    assert lost_labels(source, target) == [label for label, name in others.items() if name is None]


def test_parts_that_cannot_be_told_apart_afterwards():
    assert merged_labels("lip", "atr") == {"upper-clothes": ["upper-clothes", "coat"], "dress": ["dress", "jumpsuits"]}
    assert merged_labels("cihp", "atr") == {"upper-clothes": ["upper-clothes", "coat"]}
    assert merged_labels("atr", "lip") == merged_labels("lip", "lip") == {}


def test_maps_are_translated():
    parts = np.array([[LIP_LABELS.index("coat"), LIP_LABELS.index("left shoe")], [0, LIP_LABELS.index("glove")]])
    expected = [[ATR_LABELS.index("upper-clothes"), ATR_LABELS.index("left shoe")], [0, 0]]
    translated = translate_labels(parts, "lip", "atr")
    assert translated.tolist() == expected and translated.dtype == np.uint8
    every = np.arange(18)
    back = translate_labels(translate_labels(every, "atr", "cihp"), "cihp", "atr")
    assert [label for label in every.tolist() if back[label] != label] == [8, 16]  # belt and bag are lost
    assert translate_labels(np.arange(20), "cihp", "cihp").tolist() == list(range(20)) and len(CIHP_LABELS) == 20


def test_bad_schemes_and_maps_are_named():
    with pytest.raises(ValueError, match="`target` must be one of .*'atr'.*, got 'coco'"):
        translation_table("lip", "coco")
    with pytest.raises(ValueError, match="`label_map` must hold ids from 0 to 17 of scheme 'atr', got 0 to 18"):
        translate_labels(np.array([0, 18]), "atr", "lip")
