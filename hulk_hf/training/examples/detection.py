# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Examples of pedestrian detection: whole scenes, with a box for every person, hidden parts included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from hulk_hf.metrics.detection import crowd_figures, detection_average_precision
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.training.augmentation import Augmentation
from hulk_hf.training.examples.base import Arrays, FamilyExamples
from hulk_hf.training.examples.windows import Windows, look, to_pixel_values

_SMALLEST_CROP = 0.6  # of width and height of a scene
_CROP_PROBABILITY = 0.5
_LEFT_OF_BOX = 0.35  # share of a box that a crop has to show for the person to be looked for
_SCORE_THRESHOLD = 0.05


class DetectionExamples(FamilyExamples):
    """Columns: `images` (S, H, W, 3) uint8, `counts` (S,), `boxes` (S, 15, 4) xywh, `ignore` (S, 15) bool.

    Boxes are clipped to the picture, as released. Half of the training samples are crops of a scene, which make people
    larger; who is mostly out of a crop is to be ignored in it.
    """

    default_augmentation = Augmentation(colour=0.2, erase_probability=0.0)

    def batch(self, generator: torch.Generator, size: int) -> dict[str, Any]:
        """See `FamilyExamples.batch`; pictures have the size of the task, labels are those of DETR."""
        pictures, counts, boxes, ignore = self.read(self.draw(generator, size), "images", "counts", "boxes", "ignore")
        windows = self._windows(pictures.shape[1:3], size, generator)
        grid = windows.grid(self.task.image_size, pictures.shape[1:3])
        clipped = _clip(boxes.float(), pictures.shape[1:3])
        corners = torch.stack([clipped[..., :2], clipped[..., :2] + clipped[..., 2:]], dim=2)
        inside = windows.to_window(corners.flatten(1, 2)).unflatten(1, (-1, 2))
        low, high = inside.amin(dim=2), inside.amax(dim=2)
        area = (high - low).prod(dim=-1)
        low, high = low.clamp(0, 1), high.clamp(0, 1)
        left = (high - low).prod(dim=-1) / area.clamp(min=1e-9)
        labels = []
        for row, count in enumerate(counts.tolist()):
            kept = left[row, :count] > 0
            first, last = low[row, :count][kept], high[row, :count][kept]
            labels.append(
                {
                    "boxes": torch.cat([(first + last) / 2, last - first], dim=1),
                    "class_labels": torch.zeros(int(kept.sum()), dtype=torch.long),
                    "iscrowd": (ignore[row, :count] | (left[row, :count] < _LEFT_OF_BOX))[kept],
                }
            )
        pixels = look(pictures, grid)
        return {"pixel_values": to_pixel_values(pixels, self.augmentation, generator), "labels": labels}

    def _windows(self, size: tuple[int, int], batch: int, generator: torch.Generator) -> Windows:
        """Whole scenes or crops of them, each mirrored or not."""
        extent = torch.tensor([size[1], size[0]], dtype=torch.float32)
        shares = 1 - (1 - _SMALLEST_CROP) * torch.rand(batch, 2, generator=generator)
        cropped = torch.rand(batch, 1, generator=generator) < _CROP_PROBABILITY
        shares = torch.where(cropped, shares, 1.0)
        offset = torch.rand(batch, 2, generator=generator) * (1 - shares)
        flipped = torch.rand(batch, generator=generator) < self.augmentation.flip_probability
        return Windows((offset + shares / 2) * extent, shares * extent, torch.zeros(batch), flipped)

    def normaliser(self, batch: Mapping[str, Any]) -> float:
        """Number of people to find."""
        return float(sum(int((~label["iscrowd"]).sum()) for label in batch["labels"]))

    @torch.no_grad()
    def evaluate(self, model: HulkForHumanAnalysis, limit: int | None = None) -> dict[str, float]:
        """COCO's AP50 and AP, and the figures of CrowdHuman; scores from 0.05, no suppression of doubles."""
        single = model.for_family("detection")
        found: list[np.ndarray] = []
        for rows in self.validation_rows(limit):
            (pictures,) = self.read_validation(rows, "images")
            height, width = pictures.shape[1:3]
            whole = (
                torch.tensor([[width / 2, height / 2]]).expand(len(pictures), -1),
                torch.tensor([[width, height]], dtype=torch.float32).expand(len(pictures), -1),
            )
            windows = Windows(*whole, torch.zeros(len(pictures)), torch.zeros(len(pictures), dtype=torch.bool))
            pixels = look(pictures, windows.grid(self.task.image_size, (height, width)))
            outputs = single(to_pixel_values(pixels).to(model.device), task=self.task.name)
            scores = outputs.logits[..., 0].float().sigmoid().cpu()
            centers, sizes = outputs.pred_boxes.float().cpu().split(2, dim=-1)
            boxes = torch.cat([centers - sizes / 2, sizes], dim=-1) * torch.tensor([width, height, width, height])
            for picture in range(len(pictures)):
                kept = scores[picture] >= _SCORE_THRESHOLD
                found.append(torch.cat([boxes[picture][kept], scores[picture][kept][:, None]], dim=1).numpy())
        return detection_figures(found, self.validation, limit)

    def baseline(self, limit: int | None = None) -> dict[str, float]:
        """The mean box of training in every picture."""
        boxes, counts = self.some_training_rows("boxes"), self.some_training_rows("counts")
        ignore = self.some_training_rows("ignore")
        size = self.train["images"].shape[1:3]
        used = (np.arange(boxes.shape[1]) < counts[:, None]) & ~ignore
        mean = _clip(torch.from_numpy(boxes).float(), size).numpy()[used].mean(axis=0)
        answer = np.concatenate([mean, [1.0]])[None]
        return detection_figures([answer] * len(self.limited("counts", limit)), self.validation, limit)


def _clip(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Clip boxes (..., 4) xywh to a picture of size (height, width)."""
    extent = torch.tensor([size[1], size[0]], dtype=torch.float32)
    low = torch.minimum(boxes[..., :2].clamp(min=0), extent)
    high = torch.minimum((boxes[..., :2] + boxes[..., 2:]).clamp(min=0), extent)
    return torch.cat([low, high - low], dim=-1)


def detection_figures(found: list[np.ndarray], data: Arrays, limit: int | None = None) -> dict[str, float]:
    """Figures of detections in the first scenes of a split.

    Args:
        found: For each scene (D, 5): x, y, width, height in pixels, and score.
        data: Columns of the split.
        limit: How many scenes were looked at; None: all.
    """
    size = data["images"].shape[1:3]
    counts, boxes, ignore = (np.array(data[name][:limit]) for name in ("counts", "boxes", "ignore"))
    clipped = _clip(torch.from_numpy(boxes).float(), size).numpy()
    annotated = [clipped[row, :count] for row, count in enumerate(counts)]
    ignored = [ignore[row, :count].astype(bool) for row, count in enumerate(counts)]
    precision = detection_average_precision(found, annotated, ignored)
    crowd = crowd_figures(found, annotated, ignored, [(size[1], size[0])] * len(counts))
    return {"AP50": precision["AP50"], "AP": precision["AP"], **{f"crowd_{key}": crowd[key] for key in crowd}}


__all__ = ["DetectionExamples", "detection_figures"]
