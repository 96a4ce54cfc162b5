# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Noise of a weak pose estimator, put on skeletons in training.

Clips are as good as those of a good estimator. A small one errs otherwise, as `hulk-tiny` does in rendered videos: by
a twentieth of the height and more, wrists twice as much, for some frames in a row, and seen from the side it takes the
left arm or leg for the right one in a fifth to a third of the frames. Who walks behind others is lost for a while. Its
scores are lower than those of data sets, also where it is right.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from hulk_hf.modeling.skeleton_geometry_hulk import SCORE_FLOOR

_KNOT = 4  # frames between two independent values of what changes slowly
_WRISTS = (9, 10)
_LIMBS = (((5, 7, 9), (6, 8, 10)), ((11, 13, 15), (12, 14, 16)))  # left and right of arms, and of legs
_LOST = 0.4  # largest share of frames in which a person is not found, for some in a row
_UNSURE = 0.8  # largest share of a score that is lost
_SWAPPED = 0.4  # largest share of frames in which the sides of a limb are mistaken for each other


def unsettle_joints(keypoints: torch.Tensor, noise: float, generator: torch.Generator) -> torch.Tensor:
    """Move joints about, and let sides trade places, in each clip as much as a number drawn for it says.

    Args:
        keypoints: Shape (B, M, T, 17, 3), COCO's joints: x and y in pixels, and score, 0 where not found.
        noise: About the standard deviation of an error in the worst clips, twice that at the wrists, as a share of
            the person's size: the root of the area of the box of its joints, on average over the frames.
        generator: All randomness comes from here.

    Returns:
        The same shape; further joints may be missing, all of a person in some frames, and scores are lower in some
        clips.
    """
    batch, persons, frames = keypoints.shape[:3]
    places, scores = keypoints[..., :2], keypoints[..., 2:]
    found = scores > SCORE_FLOOR
    weakness = torch.rand(batch, 1, 1, 1, 1, generator=generator)

    def slow(*shape: int) -> torch.Tensor:
        """Normal values (B, M, T, *shape) that last for some frames; their variance is 1 at the knots."""
        knots = torch.randn(batch * persons, frames // _KNOT + 2, *shape, generator=generator).flatten(2)
        between = F.interpolate(knots.transpose(1, 2), size=frames, mode="linear", align_corners=True)
        return between.transpose(1, 2).reshape(batch, persons, frames, *shape)

    shaken = 0.6 * torch.randn(places.shape, generator=generator) + 0.8 * slow(17, 2)
    # Now and then a joint is far off for a while.
    shaken = shaken * torch.exp(0.7 * slow(17))[..., None]
    shaken[:, :, :, _WRISTS] *= 2
    places = places + noise * weakness * _sizes(places, found) * shaken

    # Not only as a sign of errors: how high the peaks of heat maps are depends on the network.
    doubt = _UNSURE * torch.rand(batch, 1, 1, 1, generator=generator) * torch.special.ndtr(1 + slow(17))
    scores = torch.where(found, (scores * (1 - doubt[..., None])).clamp(min=2 * SCORE_FLOOR), scores)

    moved = torch.cat([places, scores], dim=-1)
    swapped = torch.special.ndtr(slow(len(_LIMBS))) < _SWAPPED * weakness[..., 0]
    for limb, (left, right) in enumerate(_LIMBS):
        joints, others = [*left, *right], [*right, *left]
        moved[:, :, :, joints] = torch.where(
            swapped[..., limb, None, None], moved[:, :, :, others], moved[:, :, :, joints]
        )
    lost = torch.special.ndtr(slow(1)) < _LOST * torch.rand(batch, 1, 1, 1, generator=generator) * weakness[..., 0]
    return torch.where((moved[..., 2:] > SCORE_FLOOR) & ~lost[..., None], moved, 0.0)


def _sizes(places: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    """The size of each person of each clip: (B, M, 1, 1, 1); 0 for persons who are not there."""
    low = torch.where(found, places, torch.inf).amin(dim=3)
    high = torch.where(found, places, -torch.inf).amax(dim=3)
    extent = (high - low).clamp(min=0).prod(dim=-1).sqrt()
    there = found.any(dim=3)[..., 0]
    mean = torch.where(there, extent, 0.0).sum(dim=2) / there.sum(dim=2).clamp(min=1)
    return mean[..., None, None, None]


__all__ = ["unsettle_joints"]
