# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""From logits to the parts of a picture."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from hulk_hf.modeling.parsing_maps_hulk import average_mirrored, most_likely_parts, part_probabilities, resize_maps
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS

PAIRS = ((1, 3), (2, 4))


@pytest.fixture
def maps() -> torch.Tensor:
    return torch.rand(2, 6, 8, 12, generator=torch.Generator().manual_seed(0))


def bilinear(old: int, new: int) -> torch.Tensor:
    """Weights (new, old) of bilinear resizing between pixels centred at half coordinates, borders repeated."""
    weights = torch.zeros(new, old, dtype=torch.float64)
    for row in range(new):
        place = max((row + 0.5) * old / new - 0.5, 0.0)
        near = min(int(place), old - 1)
        weights[row, near] += 1 - (place - near)
        weights[row, min(near + 1, old - 1)] += place - near
    return weights


def test_a_part_is_likely_where_its_mask_is_and_if_it_is_there_at_all():
    masks, presence = torch.randn(2, 3, 4, 5), torch.randn(2, 3)
    probabilities = part_probabilities(masks, presence)
    assert probabilities[1, 2, 3, 4].item() == pytest.approx(
        torch.sigmoid(masks[1, 2, 3, 4]).item() * torch.sigmoid(presence[1, 2]).item()
    )
    half = part_probabilities(masks.bfloat16(), presence.bfloat16())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, probabilities, atol=0.02, rtol=0)


def test_maps_grow_by_way_of_the_model_input(maps):
    resized = resize_maps(maps, (32, 48), (45, 37))
    rows = bilinear(32, 45) @ bilinear(8, 32)
    columns = bilinear(48, 37) @ bilinear(12, 48)
    expected = torch.einsum("yi,xj,bkij->bkyx", rows, columns, maps.double())
    torch.testing.assert_close(resized.double(), expected, atol=1e-6, rtol=0)
    assert not torch.allclose(resized, F.interpolate(maps, (45, 37), mode="bilinear"), atol=1e-3)
    assert torch.equal(resize_maps(maps, [8, 12], [8, 12]), maps)


def test_averaging_before_resizing_is_what_the_release_does_after_it(maps):
    mirrored = torch.rand(maps.shape, generator=torch.Generator().manual_seed(1))
    ours = resize_maps(average_mirrored(maps, mirrored, PAIRS), (32, 48), (21, 30))
    turned = resize_maps(mirrored, (32, 48), (21, 30)).flip(-1)[:, [0, 3, 4, 1, 2, 5]]
    torch.testing.assert_close(ours, (resize_maps(maps, (32, 48), (21, 30)) + turned) / 2, atol=1e-6, rtol=0)


def test_the_mirror_image_of_a_mirror_image_changes_nothing(maps):
    mirrored = maps.flip(-1)[:, [0, 3, 4, 1, 2, 5]]
    assert torch.equal(average_mirrored(maps, mirrored, PAIRS), maps)
    with pytest.raises(ValueError, match="mirrored: expected the shape of maps"):
        average_mirrored(maps, maps[:1], PAIRS)
    with pytest.raises(ValueError, match="flip_pairs"):
        average_mirrored(maps, maps, ((1, 6),))


@pytest.mark.parametrize("num_parts", [1, 4, 5, 6])
@pytest.mark.parametrize("output_size", [(45, 37), (5, 3), (32, 48), (1, 70)])
def test_the_most_likely_part_is_that_of_the_resized_maps(maps, num_parts, output_size):
    maps = maps[:, :num_parts]
    values, parts = resize_maps(maps, (32, 48), output_size).max(dim=1)
    ours, ours_values = most_likely_parts(maps, (32, 48), output_size)
    assert torch.equal(ours, parts) and ours.dtype == torch.int64
    torch.testing.assert_close(ours_values, values, atol=1e-6, rtol=0)  # two steps as one sum, in another order


@pytest.mark.parametrize("output_size", [(300, 120), (31, 19), (97, 230)])
def test_parts_that_cannot_win_are_left_out_and_no_others(output_size):
    # Smooth blobs, one per part, each the best in some place only, one nowhere and one almost equal to another.
    places = torch.stack(torch.meshgrid(torch.linspace(0, 1, 40), torch.linspace(0, 1, 30), indexing="ij"))
    centers = torch.rand(9, 2, 1, 1, generator=torch.Generator().manual_seed(3))
    maps = torch.exp(-40 * ((places - centers) ** 2).sum(dim=1))[None]
    maps = torch.cat([torch.full((1, 1, 40, 30), 0.2), maps, maps[:, :1] * 0.5, maps[:, 4:5] + 1e-4], dim=1)
    values, parts = resize_maps(maps, (160, 120), output_size).max(dim=1)
    ours, ours_values = most_likely_parts(maps, (160, 120), output_size)
    assert torch.equal(ours, parts) and 5 < len(parts.unique()) < 11
    torch.testing.assert_close(ours_values, values, atol=1e-6, rtol=0)


def test_inference_mode_leaves_nothing_behind(maps):
    with torch.inference_mode():
        expected = most_likely_parts(maps, (32, 48), (11, 13))[0]
    assert torch.equal(most_likely_parts(maps.clone().requires_grad_(), (32, 48), (11, 13))[0], expected)


def test_of_equal_parts_the_first_is_taken():
    maps = torch.zeros(1, 7, 2, 2)
    maps[:, [2, 5, 6]] = 0.5
    parts, values = most_likely_parts(maps, (8, 8), (3, 3))
    assert (parts == 2).all() and (values == 0.5).all()


@pytest.mark.parametrize("presence", [torch.zeros(2, 5), torch.zeros(6), torch.zeros(2, 6, 1)])
def test_presence_of_another_shape_is_refused(maps, presence):
    with pytest.raises(ValueError, match="presence_logits: expected shape"):
        part_probabilities(maps, presence)


@pytest.mark.parametrize(
    ("name", "task", "input_size", "indices", "step", "label_step"),
    [
        ("lip", "parsing-lip", (480, 480), (0, 1), 16, 1),
        ("h36m", "parsing-h36m", (240, 240), (0,), 50, 3),
    ],
)
def test_results_are_those_of_the_official_flip_test(shared, name, task, input_size, indices, step, label_step):
    folder = shared / "golden" / "processing"
    recorded = load_file(folder / "parsing_output_a.safetensors")
    described = json.loads((folder / "parsing_output_a.json").read_text())
    pairs = KNOWN_TASKS[task].flip_pairs
    assert sorted(map(tuple, described["flip_channels"][name])) == sorted(pairs)
    maps, mirrored = (recorded[f"{name}.{kind}"] / 256 for kind in ("maps", "maps_flipped_pass"))
    averaged = average_mirrored(maps, mirrored, pairs)
    for index in indices:
        size = tuple(recorded[f"{name}.size"][index].tolist()) if f"{name}.size" in recorded else (1000, 1000)
        suffix = f"_{index}" if name == "lip" else ""
        whole = resize_maps(averaged[index : index + 1], input_size, size)[0]
        wanted = recorded[f"{name}.sem_seg_every{step}{suffix}"]
        torch.testing.assert_close(whole[:, ::step, ::step], wanted, atol=1e-5, rtol=0)
        parts, _ = most_likely_parts(averaged[index : index + 1], input_size, size)
        labels = recorded[f"{name}.argmax{suffix}" if label_step == 1 else f"{name}.argmax_every{label_step}"]
        # Equal, but where the two best parts are all but equal.
        best = whole.topk(2, dim=0).values[:, ::label_step, ::label_step]
        differs = parts[0, ::label_step, ::label_step] != labels
        assert ((best[0] - best[1])[differs] < 1e-5).all() and differs.float().mean() < 1e-3
