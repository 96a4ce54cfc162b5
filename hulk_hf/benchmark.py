# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Side-by-side timings: everything that is compared runs alternately in one process, and ratios are reported.

`hulk-base` pose against `VitPoseForPoseEstimation` base of transformers (both with random weights: time does not
depend on them), and the pipeline's share of time outside the network.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.image_processing_pose_hulk import HulkPoseImageProcessor
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pipeline_pose_hulk import HumanPosePipeline


def describe_machine() -> dict[str, Any]:
    """What the figures depend on: processor, cores, threads and versions."""
    model = platform.processor() or platform.machine()
    table = Path("/proc/cpuinfo")
    if table.is_file():
        lines = table.read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__.partition("+")[0],
        "transformers": transformers.__version__,
        "dtype": "float32",
    }


def alternate(calls: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each call; the calls take turns, so that a busy moment of the machine hits all of them."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def hulk_against_vitpose(batch_size: int, rounds: int) -> dict[str, float]:
    """Time one forward of `hulk-base` pose and of VitPose base on (batch_size, 3, 256, 192) crops, float32."""
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

    backbone = VitPoseBackboneConfig(out_features=["stage12"])
    calls = {
        "hulk": HulkForPoseEstimation(HulkConfig.preset("hulk-base")).eval(),
        "vitpose": VitPoseForPoseEstimation(VitPoseConfig(backbone_config=backbone, num_labels=17)).eval(),
    }
    pixels = torch.randn(batch_size, 3, 256, 192)
    with torch.inference_mode():
        medians = alternate({name: lambda model=model: model(pixels) for name, model in calls.items()}, rounds)
    return {**medians, "ratio": medians["hulk"] / medians["vitpose"]}


def pipeline_overhead(preset: str, num_boxes: int, rounds: int) -> dict[str, float]:
    """Share of the pipeline's time spent outside the network, for one 640x480 picture with many boxes."""
    model = HulkForPoseEstimation(HulkConfig.preset(preset)).eval()
    processor = HulkPoseImageProcessor.from_task(model.hulk.resolve_task(family="pose"))
    pipe = HumanPosePipeline(model=model, image_processor=processor, task="human-pose", batch_size=num_boxes)
    random = np.random.default_rng(0)
    picture = random.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    corners = random.uniform((0, 0), (500, 240), (num_boxes, 2))
    boxes = np.concatenate([corners, random.uniform((60, 120), (140, 240), (num_boxes, 2))], axis=1).tolist()
    inside: list[float] = []
    forward = model.forward

    def timed_forward(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        outputs = forward(*args, **kwargs)
        inside.append(time.perf_counter() - start)
        return outputs

    model.forward = timed_forward  # type: ignore[method-assign]
    shares = []
    for _ in range(rounds + 1):
        inside.clear()
        start = time.perf_counter()
        pipe(picture, boxes=boxes)
        total = time.perf_counter() - start
        shares.append((total, 1 - sum(inside) / total))
    shares = shares[1:]
    return {
        "seconds": statistics.median(total for total, _ in shares),
        "share_outside_network": statistics.median(share for _, share in shares),
    }


def main(rounds: int = 9, output: Path | None = None) -> dict[str, Any]:
    """Run all benchmarks, print them and write them as JSON.

    Args:
        rounds: Turns of each comparison.
        output: JSON file to write; None only prints.
    """
    results: dict[str, Any] = {
        "machine": describe_machine(),
        "rounds": rounds,
        "hulk_base_against_vitpose_base": {f"batch_{size}": hulk_against_vitpose(size, rounds) for size in (1, 8)},
        "pipeline_16_boxes": {preset: pipeline_overhead(preset, 16, rounds) for preset in ("hulk-tiny", "hulk-base")},
    }
    print(json.dumps(results, indent=2))
    if output is not None:
        output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return results


__all__ = ["alternate", "describe_machine", "hulk_against_vitpose", "main", "pipeline_overhead"]
