# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""The verb `predict`: sorts its sources into pictures and videos, shares them among processes, shows progress."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from hulk_hf.predict_files import VIDEO_ENDINGS, find_pictures, predict_files, read_boxes
from hulk_hf.prediction import Predictor
from hulk_hf.results import ImageResult


def run_predict(
    sources: Sequence[str],
    *,
    task: str,
    model: str | None,
    detector: str | None,
    threshold: float,
    boxes: Path | None,
    output: Path,
    save: bool,
    as_json: bool,
    overwrite: bool,
    batch_size: int,
    shared_crop: bool,
    device: str | None,
    every: int,
    smooth: bool,
) -> int:
    """Do what `hulk-hf predict` was asked for; its options are described there.

    Returns:
        How many sources could not be read.

    Raises:
        ValueError: Sources that are not there, or options that do not go together.
        OSError: Results cannot be written.
    """
    videos = [source for source in sources if source.lower().endswith(VIDEO_ENDINGS) and not os.path.isdir(source)]
    pictures = [source for source in sources if source not in videos]
    known = None if boxes is None else read_boxes(boxes)
    if videos and known is not None:
        raise ValueError("boxes: videos take none, their persons are found by a detector and followed")
    if pictures:
        find_pictures(pictures)  # before the weights are loaded
    for video in videos:
        if not os.path.isfile(video):
            raise ValueError(f"source: no file {video!r}")
    share = _share()
    predictor = Predictor(task, model, detector, device or _device(share))
    failed: dict[str, str] = {}
    if pictures:
        failed |= _pictures(
            pictures,
            predictor,
            output,
            share,
            as_json,
            pictures=save,
            boxes=known,
            overwrite=overwrite,
            detector_threshold=threshold,
            batch_size=batch_size,
            shared_crop=shared_crop or None,
        )
    for video in videos[share[0] :: share[1]]:
        from hulk_hf.video import predict_video

        try:
            written = predict_video(
                video,
                predictor,
                output,
                every=every,
                detector_threshold=threshold,
                smooth=smooth,
                save=save,
                overwrite=overwrite,
                batch_size=batch_size,
            )
        except ValueError as error:
            failed[video] = str(error)
            continue
        _say(f"{video}: {written}")
    for source, reason in failed.items():
        _say(f"not read: {source}: {' '.join(reason.split())}")
    return len(failed)


def _pictures(
    sources: list[str], predictor: Predictor, output: Path, share: tuple[int, int], as_json: bool, **options: Any
) -> dict[str, str]:
    with tqdm(unit="picture", disable=share[0] > 0, file=sys.stderr, leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        def tell(result: ImageResult) -> None:
            if as_json:
                sys.stdout.write(result.to_json() + "\n")  # in one piece: processes share the stream
                sys.stdout.flush()

        outcome = predict_files(sources, predictor, output, share=share, report=tell, progress=show, **options)
    counts = f"{len(outcome.done)} done, {len(outcome.skipped)} done before, {len(outcome.failed)} not read"
    _say(f"{counts}; results in {output}")
    return outcome.failed


def _share() -> tuple[int, int]:
    """(number of this process, number of processes), as launchers say them; no process has to meet another."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _device(share: tuple[int, int]) -> str | None:
    """Processes of a launcher have a GPU each; one process alone computes where transformers puts it."""
    if share[1] == 1 or not torch.cuda.is_available():
        return None
    return f"cuda:{os.environ.get('LOCAL_RANK', share[0])}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)


__all__ = ["run_predict"]
