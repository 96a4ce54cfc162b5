# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How fast synthetic people and scenes are made here.

`python -m hulk_hf.synthetic.benchmark --kind persons --count 1000 --processes 2`
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time

from .dataset import render_arrays, render_scene_arrays
from .tables import PERSON_SIZE, SCENE_SIZE

KINDS = {"persons": (render_arrays, PERSON_SIZE), "scenes": (render_scene_arrays, SCENE_SIZE)}


def benchmark(
    count: int, processes: int, image_size: tuple[int, int] | None = None, kind: str = "persons"
) -> dict[str, float]:
    """Renders `count` people or scenes, by `kind`, into a temporary folder.

    Returns:
        `samples_per_second` of wall time, start of the processes included, and `cpu_milliseconds` per sample, which
        depends less on what else the machine is doing.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    render, usual_size = KINDS[kind]
    size = image_size or usual_size
    with tempfile.TemporaryDirectory() as folder:
        render("train", 1, 1, 1, folder, size, progress=False)  # compiles the kernels, if no cache holds them
        before, start = _cpu_seconds(), time.perf_counter()
        render("train", count, 0, processes, folder, size, progress=False)
        wall, cpu = time.perf_counter() - start, _cpu_seconds() - before
    return {"samples_per_second": count / wall, "cpu_milliseconds": 1000 * cpu / count}


def _cpu_seconds() -> float:
    """CPU time of this process and its finished children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", default="persons", choices=list(KINDS))
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="of the pictures, in pixels")
    arguments = parser.parse_args()
    size = tuple(arguments.size) if arguments.size else None
    result = benchmark(arguments.count, arguments.processes, size, arguments.kind)
    print(", ".join(f"{value:.1f} {name.replace('_', ' ')}" for name, value in result.items()))


__all__ = ["KINDS", "benchmark"]


if __name__ == "__main__":
    main()
