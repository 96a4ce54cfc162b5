# Copyright 2026 The hulk_hf authors.
# SPDX-License-Identifier: Apache-2.0
"""How fast synthetic people are rendered here.

`OMP_NUM_THREADS=1 python -m hulk_hf.synthetic.benchmark --count 1000 --processes 2`
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time

from .dataset import render_arrays
from .person import render_person


def benchmark(count: int, processes: int, image_size: tuple[int, int] = (256, 192)) -> dict[str, float]:
    """Renders `count` people into a temporary folder.

    Returns:
        `samples_per_second` of wall time, start of the processes included, and `cpu_milliseconds` per sample, which
        does not depend on what else the machine is doing.
    """
    render_person(0, image_size=image_size)  # compiles the kernels, if no cache holds them
    with tempfile.TemporaryDirectory() as folder:
        before, start = _cpu_seconds(), time.perf_counter()
        render_arrays("train", count, num_proc=processes, directory=folder, image_size=image_size, progress=False)
        wall, cpu = time.perf_counter() - start, _cpu_seconds() - before
    return {"samples_per_second": count / wall, "cpu_milliseconds": 1000 * cpu / count}


def _cpu_seconds() -> float:
    """CPU time of this process and its finished children."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    result = benchmark(arguments.count, arguments.processes)
    print(", ".join(f"{value:.1f} {name.replace('_', ' ')}" for name, value in result.items()))


if __name__ == "__main__":
    main()
