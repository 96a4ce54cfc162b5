# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Side-by-side timings: everything that is compared runs alternately in one process, and ratios are reported.

`hulk-base` pose against `VitPoseForPoseEstimation` base of transformers (both with random weights: time does not
depend on them), the pipelines' share of time outside the network, and `human-analysis` against single pipelines. Time
of parsing after the network does depend on weights: with random ones, any part may win anywhere.
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
from hulk_hf.modeling.modeling_analysis_hulk import HulkForHumanAnalysis
from hulk_hf.modeling.modeling_pose_hulk import HulkForPoseEstimation
from hulk_hf.modeling.pipeline_analysis_hulk import PERSON_PIPELINES, HumanAnalysisPipeline

_TASKS = {"pose": "pose-coco", "parsing": "parsing-lip", "attributes": "attributes-joint"}


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


def crowd(num_boxes: int) -> tuple[np.ndarray, list[list[float]]]:
    """A 640x480 picture of noise and boxes in it, (x, y, width, height)."""
    random = np.random.default_rng(0)
    picture = random.integers(0, 255, (480, 640, 3), dtype=np.uint8)
    corners = random.uniform((0, 0), (500, 240), (num_boxes, 2))
    return picture, np.concatenate([corners, random.uniform((60, 120), (140, 240), (num_boxes, 2))], axis=1).tolist()


def pipeline_overhead(preset: str, num_boxes: int, rounds: int, family: str = "pose") -> dict[str, float]:
    """Share of a pipeline's time spent outside the network, for one 640x480 picture with many boxes.

    Args:
        preset: Size of the network; its weights are random.
        num_boxes: Persons of the picture.
        rounds: Medians are of so many.
        family: `pose`, `parsing` or `attributes`, with their official task and input size.
    """
    kind = PERSON_PIPELINES[family]
    model = HulkForHumanAnalysis(HulkConfig.preset(preset, tasks=[_TASKS[family]])).eval().for_family(family)
    pipe = kind(model=model, batch_size=num_boxes)
    picture, boxes = crowd(num_boxes)
    inside: list[float] = []
    forward = model.forward

    def timed_forward(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        outputs = forward(*args, **kwargs)
        inside.append(time.perf_counter() - start)
        return outputs

    model.forward = timed_forward
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


def analysis_against_singles(num_boxes: int, rounds: int) -> dict[str, float]:
    """Time `human-analysis` with five families beside the sum of the single pipelines, `hulk-tiny`, random weights.

    Each is given a picture and finds its persons with the same detector, an RT-DETR of transformers with random
    weights and 640x640 inputs, which every single pipeline has to run anew.
    """
    from hulk_hf.synthetic.captions import TOKENIZER_PATH
    from hulk_hf.synthetic.open_body import open_body
    from hulk_hf.synthetic.tasks import SYNTHETIC_SETTINGS, SYNTHETIC_TASKS

    families = ["pose", "parsing", "attributes", "mesh", "caption"]
    wanted = [task for task in SYNTHETIC_TASKS.values() if task.family in families]
    model = HulkForHumanAnalysis(HulkConfig.preset("hulk-tiny", tasks=wanted, **SYNTHETIC_SETTINGS)).eval()
    model.set_body("mesh-open", open_body())
    tokenizer = transformers.AutoTokenizer.from_pretrained(TOKENIZER_PATH)
    picture, boxes = crowd(num_boxes)
    network = transformers.RTDetrForObjectDetection(transformers.RTDetrConfig()).eval()
    pixels = torch.zeros(1, 3, 640, 640)
    corners = [[x, y, x + width, y + height] for x, y, width, height in boxes]

    @torch.inference_mode()
    def detector(image: Any) -> np.ndarray:
        network(pixels)
        return np.array(corners)

    analysis = HumanAnalysisPipeline(model=model, tokenizer=tokenizer)
    shared = analysis(picture, boxes=boxes[:1], families=families)
    if set(shared[0]) < set(families):
        raise RuntimeError(f"expected results of {families}, got {sorted(shared[0])}")
    singles = [analysis.member(family) for family in families]
    medians = alternate(
        {
            "analysis": lambda: analysis(picture, detector=detector, families=families),
            "singles": lambda: [single(picture, detector=detector) for single in singles],
            "analysis_of_boxes": lambda: analysis(picture, boxes=boxes, families=families),
            "analysis_of_boxes_shared_crop": lambda: analysis(
                picture, boxes=boxes, families=families, shared_crop=True
            ),
            "singles_of_boxes": lambda: [single(picture, boxes=boxes) for single in singles],
        },
        rounds,
    )
    return {
        **medians,
        "ratio": medians["analysis"] / medians["singles"],
        "ratio_of_boxes": medians["analysis_of_boxes"] / medians["singles_of_boxes"],
        "ratio_of_boxes_shared_crop": medians["analysis_of_boxes_shared_crop"] / medians["singles_of_boxes"],
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
        "pipeline_16_boxes": {
            preset: {family: pipeline_overhead(preset, 16, rounds, family) for family in _TASKS}
            for preset in ("hulk-tiny",)
        }
        | {"hulk-base": {"pose": pipeline_overhead("hulk-base", 16, rounds)}},
        "analysis_16_boxes_hulk_tiny": analysis_against_singles(16, rounds),
    }
    print(json.dumps(results, indent=2))
    if output is not None:
        output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return results


__all__ = [
    "alternate",
    "analysis_against_singles",
    "crowd",
    "describe_machine",
    "hulk_against_vitpose",
    "main",
    "pipeline_overhead",
]
