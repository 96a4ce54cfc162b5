# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Training crops: without jitter they are the crops of the test path; with jitter, joints stay on their pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hulk_hf.modeling.pose_geometry_hulk import boxes_to_center_scale, crop_matrices, transform_points, warp_crops
from hulk_hf.modeling.tasks_hulk import KNOWN_TASKS
from hulk_hf.training.augmentation import IMAGE_MEAN, IMAGE_STD, NO_AUGMENTATION, Augmentation, make_crops

SIZE = (128, 96)
PAIRS = KNOWN_TASKS["pose-coco"].flip_pairs


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    keypoints = np.concatenate([random.uniform(30, 160, (12, 17, 2)), np.full((12, 17, 1), 2.0)], axis=2)
    return {
        "images": random.integers(0, 255, (12, 256, 192, 3), dtype=np.uint8),
        "boxes": np.tile(np.array([20.0, 20.0, 150.0, 210.0], np.float32), (12, 1)),
        "keypoints": keypoints.astype(np.float32),
        "parts": random.integers(0, 20, (12, 256, 192), dtype=np.uint8),
    }


def crops(arrays, augmentation, seed=0):
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return make_crops(
        tensors["images"],
        tensors["boxes"],
        tensors["keypoints"],
        tensors["parts"],
        SIZE,
        PAIRS,
        augmentation,
        torch.Generator().manual_seed(seed),
    )


def test_without_jitter_it_is_the_test_path(arrays):
    batch = crops(arrays, NO_AUGMENTATION)
    center, scale = boxes_to_center_scale(arrays["boxes"], SIZE)
    matrices = crop_matrices(center, scale, SIZE)
    image = torch.from_numpy(arrays["images"][3]).permute(2, 0, 1)
    expected = warp_crops(image, matrices[3:4], SIZE)[0].float()
    mean, std = (torch.tensor(values).view(3, 1, 1) * 255 for values in (IMAGE_MEAN, IMAGE_STD))
    # The processor rounds to whole grey levels, training does not.
    assert (batch["pixel_values"][3] * std + mean - expected).abs().max() < 0.51
    joints = transform_points(torch.from_numpy(arrays["keypoints"][..., :2]), matrices)
    peaks = batch["labels"].flatten(2).argmax(-1)
    found = torch.stack([peaks % 24, peaks // 24], -1)
    stride = torch.tensor([95 / 23, 127 / 31])
    assert (found - joints / stride).abs().max() < 0.51


def test_mirrored_crops_are_the_mirror_of_plain_ones(arrays):
    plain = crops(arrays, NO_AUGMENTATION)
    mirrored = crops(arrays, Augmentation((1.0, 1.0), 0.0, 0.0, 0.0, 1.0, 0.0, 0.0))
    assert torch.allclose(mirrored["pixel_values"], plain["pixel_values"].flip(-1), atol=1e-3)
    swapped = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    assert torch.allclose(mirrored["labels"], plain["labels"][:, swapped].flip(-1), atol=1e-4)


def test_part_shares_are_shares(arrays):
    shares = crops(arrays, Augmentation())["part_shares"]
    assert shares.shape == (12, 48, 20)
    assert torch.allclose(shares.sum(-1), torch.ones(12, 48))
