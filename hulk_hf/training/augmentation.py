# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Random crops for training: the UDP geometry of the processor with jitter, for a whole batch at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F
from transformers.image_utils import IMAGENET_DEFAULT_MEAN as IMAGE_MEAN
from transformers.image_utils import IMAGENET_DEFAULT_STD as IMAGE_STD

from hulk_hf.modeling.pose_geometry_hulk import (
    boxes_to_center_scale,
    crop_matrices,
    flip_permutation,
    heatmap_size_of,
    heatmap_targets,
    invert_matrices,
    transform_points,
)

PART_FLIP_PAIRS = ((14, 15), (16, 17), (18, 19))  # arms, legs and shoes of the 20 LIP classes
NUM_PARTS = 20


@dataclass
class Augmentation:
    """How much a training crop may differ from the crop of the test path.

    Attributes:
        scale: The window is larger by a factor drawn log-uniformly from this range.
        shift: The centre moves by up to this share of the window.
        rotation: Largest angle in degrees.
        rotation_probability: Share of samples that are rotated.
        flip_probability: Share of samples that are mirrored.
        colour: Strength of the brightness, contrast and channel gains.
        erase_probability: Share of samples that get one random rectangle of noise.
        bystander_probability: Share of samples of one person that get somebody else beside or behind it, see
            `hulk_hf.training.examples.bystanders`.
        joint_noise: About the standard deviation of the joints of skeletons in the worst clips, twice that at the
            wrists, as a share of the size of the person; see `hulk_hf.training.examples.joint_noise`. All else is
            about pictures: skeletons are turned, scaled and mirrored as released.
    """

    scale: tuple[float, float] = (0.75, 1.35)
    shift: float = 0.08
    rotation: float = 35.0
    rotation_probability: float = 0.6
    flip_probability: float = 0.5
    colour: float = 0.25
    erase_probability: float = 0.3
    bystander_probability: float = 0.0
    joint_noise: float = 0.0


NO_AUGMENTATION = Augmentation((1.0, 1.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def make_crops(
    images: torch.Tensor,
    boxes: torch.Tensor,
    keypoints: torch.Tensor,
    parts: torch.Tensor,
    image_size: tuple[int, int],
    flip_pairs: tuple[tuple[int, int], ...],
    augmentation: Augmentation,
    generator: torch.Generator,
    patch_size: int = 16,
) -> dict[str, torch.Tensor]:
    """Cut one crop out of every picture of a batch, with its targets.

    Args:
        images: Shape (B, H, W, 3), uint8 RGB.
        boxes: Shape (B, 4), (x, y, width, height) in pixels.
        keypoints: Shape (B, K, 3), (x, y, v).
        parts: Shape (B, H, W), uint8 part labels.
        image_size: (height, width) of the crop.
        flip_pairs: Joints that trade places in a mirror.
        augmentation: The jitter.
        generator: All randomness comes from here.
        patch_size: Side of a patch, for the share of each part per patch.

    Returns:
        `pixel_values` (B, 3, h, w) normalised; `labels` (B, K, h/4, w/4) heat maps; `label_weights` (B, K);
        `part_shares` (B, patches, 20), the share of each part in each patch, row-major.
    """
    batch = len(images)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator) * 2 - 1

    center, scale = boxes_to_center_scale(boxes, image_size)
    low, high = (torch.tensor(side).log() for side in augmentation.scale)
    scale = scale * torch.exp(low + (high - low) * torch.rand(batch, 1, generator=generator))
    center = center + uniform(batch, 2) * augmentation.shift * scale * 200.0
    rotation = uniform(batch) * augmentation.rotation
    rotation = rotation * (torch.rand(batch, generator=generator) < augmentation.rotation_probability)
    matrices = crop_matrices(center, scale, image_size, rotation)
    points = transform_points(keypoints[..., :2].float(), matrices)
    visible = keypoints[..., 2]

    # Mirroring the crop is the same as mirroring the picture, and needs no second copy of it.
    flipped = torch.rand(batch, generator=generator) < augmentation.flip_probability
    width = image_size[1]
    mirror = torch.where(flipped, -1.0, 1.0)
    matrices[:, 0] *= mirror[:, None]
    matrices[:, 0, 2] += torch.where(flipped, width - 1.0, 0.0)
    order = flip_permutation(flip_pairs, keypoints.shape[1])
    mirrored_points = torch.stack([width - 1 - points[..., 0], points[..., 1]], dim=-1)[:, order]
    points = torch.where(flipped[:, None, None], mirrored_points, points)
    visible = torch.where(flipped[:, None], visible[:, order], visible)

    grid = _sampling_grid(matrices, images.shape[1:3], image_size)
    pixels = F.grid_sample(images.permute(0, 3, 1, 2).float(), grid, align_corners=True)
    pixels = _jitter_colour(pixels, augmentation, generator)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGE_MEAN, IMAGE_STD))
    coarse = F.grid_sample(parts[:, None].float(), grid[:, 1::4, 1::4], mode="nearest", align_corners=True)[:, 0]
    labels, label_weights = heatmap_targets(points, visible, image_size, heatmap_size_of(image_size))
    return {
        "pixel_values": (pixels / 255.0 - mean) / std,
        "labels": labels,
        "label_weights": label_weights,
        "part_shares": _part_shares(coarse.long(), flipped, patch_size // 4),
    }


def _sampling_grid(matrices: torch.Tensor, source_size: tuple[int, int], image_size: tuple[int, int]) -> torch.Tensor:
    """Where each crop pixel lies in its picture, in the [-1, 1] coordinates of `grid_sample` (corners aligned)."""
    height, width = image_size
    rows, columns = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    crop_points = torch.stack([columns, rows], dim=-1).reshape(1, -1, 2).expand(len(matrices), -1, -1)
    source_points = transform_points(crop_points, invert_matrices(matrices).float())
    extent = torch.tensor([source_size[1] - 1.0, source_size[0] - 1.0])
    return (source_points / extent * 2 - 1).view(-1, height, width, 2)


def _jitter_colour(pixels: torch.Tensor, augmentation: Augmentation, generator: torch.Generator) -> torch.Tensor:
    """Brightness, contrast and channel gains, and a rectangle of noise; (B, 3, h, w) in 0..255 stays in 0..255."""
    batch, _, height, width = pixels.shape
    strength = augmentation.colour

    def factor(*shape: int) -> torch.Tensor:
        return torch.exp((torch.rand(*shape, generator=generator) * 2 - 1) * strength)

    contrast, brightness, gains = factor(batch, 1, 1, 1), factor(batch, 1, 1, 1), factor(batch, 3, 1, 1) ** 0.5
    middle = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = ((pixels - middle) * contrast + middle * brightness) * gains

    erased = torch.rand(batch, generator=generator) < augmentation.erase_probability
    size = torch.rand(batch, 2, generator=generator) * 0.25 + 0.08
    corner = torch.rand(batch, 2, generator=generator) * (1 - size)
    rows, columns = torch.linspace(0, 1, height), torch.linspace(0, 1, width)
    in_rows = (rows >= corner[:, :1]) & (rows <= corner[:, :1] + size[:, :1])
    in_columns = (columns >= corner[:, 1:]) & (columns <= corner[:, 1:] + size[:, 1:])
    inside = (in_rows[:, :, None] & in_columns[:, None, :] & erased[:, None, None])[:, None]
    colour = torch.rand(batch, 3, 1, 1, generator=generator) * 255
    return torch.where(inside, colour, pixels).clamp(0, 255)


def _part_shares(coarse: torch.Tensor, flipped: torch.Tensor, cells: int) -> torch.Tensor:
    """Share of each part per patch from a label map (B, h/4, w/4); sides are swapped where the crop was mirrored."""
    order = torch.tensor(flip_permutation(PART_FLIP_PAIRS, NUM_PARTS))
    coarse = torch.where(flipped[:, None, None], order[coarse], coarse)
    shares = F.one_hot(coarse, NUM_PARTS).float().permute(0, 3, 1, 2)
    return F.avg_pool2d(shares, cells).flatten(2).transpose(1, 2)


__all__ = ["IMAGE_MEAN", "IMAGE_STD", "NO_AUGMENTATION", "NUM_PARTS", "Augmentation", "make_crops"]
