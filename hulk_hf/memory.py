# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""Peak memory of one forward, measured in a process of its own: `python -m hulk_hf.memory`.

The figure is the largest resident set of the whole process, interpreter and libraries included: what a machine must
have. It never goes down again, so every measurement needs a fresh process, which `peak_memory` starts. The model has
random weights, on which memory does not depend.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from hulk_hf.modeling.configuration_hulk import HulkConfig
from hulk_hf.modeling.modeling_detection_hulk import HulkForPedestrianDetection

# How the released detector sees a picture of 3:5 (short side 800, long side at most 1333), in pixels.
HEIGHT, WIDTH = 800, 1333


def _largest_resident_set() -> float:
    """In MB (10^6 bytes), of this process so far. The unit of the system is bytes on macOS and KiB elsewhere."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Linux counts what the parent held when this process was forked into `ru_maxrss`, but not here.
        peak = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(encoding="utf-8"), re.MULTILINE)
        if peak is not None:
            return int(peak[1]) * 1024 / 1e6
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size * (1 if sys.platform == "darwin" else 1024) / 1e6


def measure(
    preset: str = "hulk-base",
    height: int = HEIGHT,
    width: int = WIDTH,
    batch_size: int = 1,
    attention: str = "sdpa",
    padding: bool = False,
) -> dict[str, Any]:
    """Run detection once in this process, in float32 and without gradients.

    Args:
        preset: Name of a size, see `HulkConfig.preset`.
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        batch_size: Pictures in the batch.
        attention: `sdpa` or `eager`.
        padding: Pad each picture by a tenth at right and bottom and mask the padding, also in the encoder.

    Returns:
        The arguments, `tokens` and `queries`, `before_mb`, the peak before the forward (libraries and weights), and
        `peak_mb`, the peak after it, both of the whole process since it began.
    """
    config = HulkConfig.preset(
        preset, tasks=["detection-crowdhuman"], vision_config={"mask_padding": padding}, attn_implementation=attention
    )
    model = HulkForPedestrianDetection(config).eval()
    inputs = {"pixel_values": torch.zeros(batch_size, 3, height, width)}
    if padding:
        inputs["pixel_mask"] = torch.zeros(batch_size, height, width, dtype=torch.bool)
        inputs["pixel_mask"][:, : height * 9 // 10, : width * 9 // 10] = True
    before = _largest_resident_set()
    with torch.no_grad():
        outputs = model(**inputs)
    return {
        "preset": preset,
        "height": height,
        "width": width,
        "batch_size": batch_size,
        "attention": attention,
        "padding": padding,
        "tokens": outputs.encoder_last_hidden_state.shape[1],
        "queries": outputs.logits.shape[1],
        "before_mb": round(before),
        "peak_mb": round(_largest_resident_set()),
    }


def peak_memory(**arguments: Any) -> dict[str, Any]:
    """What `measure` gives in a process of its own.

    Args:
        arguments: Those of `measure`.

    Raises:
        subprocess.CalledProcessError: The process failed.
    """
    command = [sys.executable, "-m", "hulk_hf.memory"]
    for name, value in arguments.items():
        option = f"--{name.replace('_', '-')}"
        command += [option] * bool(value) if isinstance(value, bool) else [option, str(value)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: prints what `measure` gives as JSON; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m hulk_hf.memory", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--preset", default="hulk-base")
    parser.add_argument("--height", type=int, default=HEIGHT, help="pixels (default: %(default)s)")
    parser.add_argument("--width", type=int, default=WIDTH, help="pixels (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--attention", choices=("sdpa", "eager"), default="sdpa")
    parser.add_argument("--padding", action="store_true", help="pad by a tenth and mask the padding everywhere")
    print(json.dumps(measure(**vars(parser.parse_args(arguments))), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

__all__ = ["HEIGHT", "WIDTH", "main", "measure", "peak_memory"]
