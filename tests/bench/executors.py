"""Shards by one thread, by two threads, and by the workers of Ray and of a pool of processes on two cores.

    python tests/bench/executors.py                       about two minutes
    python tests/bench/executors.py --folder /dev/shm --rounds 7 --json out.json

The plan takes computing: truncated normals at 3 standard deviations in float64, drawn by the numpy engine.
What it takes until workers are ready is told apart. Each run writes to a folder of its own, which is then
removed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timing import Contender, interleaved, quotient

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from initcfg.plan import Plan

_SHAPE = (4096, 1024)


def plan_of(shards: int) -> Plan:
    """So many shards of 32 MiB."""
    import initcfg

    truncated = {"truncated_normal": {"stddev": 0.02, "low": -3, "high": 3}}
    weight = {"shape": list(_SHAPE), "initializer": truncated, "dtype": "float64"}
    layers = {"h.{i}": {"repeat": {"i": shards}, "params": {"w": weight}}}
    return initcfg.make_plan({"initcfg": 1, "layers": layers})


def write(plan: Plan, folder: str, **settings: Any) -> None:
    """Write the plan to a fresh folder, and remove it."""
    import initcfg

    scratch = tempfile.mkdtemp(dir=folder, prefix="bench-")
    try:
        initcfg.save_sharded(plan, Path(scratch, "w"), shard_size=1, engine="numpy", **settings)
    finally:
        shutil.rmtree(scratch)


def ready(pool: Executor, workers: int) -> float:
    """Seconds until so many workers have loaded what they need."""
    started = time.perf_counter()
    for future in [pool.submit(_load) for _ in range(4 * workers)]:
        future.result()
    return time.perf_counter() - started


def _load() -> None:
    import initcfg.sharding.writing  # noqa: F401

    time.sleep(0.05)  # so that one worker does not take the tasks of all


def main() -> None:
    """Measure, print a table, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shards", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where to write to")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON")
    chosen = parser.parse_args()

    from initcfg.adapters.ray import RayExecutor

    plan, workers = plan_of(chosen.shards), chosen.workers
    run = partial(write, plan, chosen.folder)
    with RayExecutor() as ray, ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        starts = {"Ray": ray.startup_seconds + ready(ray, workers), "processes": ready(pool, workers)}
        timings = interleaved(
            [
                Contender("one thread", partial(run, threads=1)),
                Contender(f"{workers} threads", partial(run, threads=workers)),
                Contender(f"processes, {workers} workers", partial(run, executor=pool), ours=True),
                Contender(f"Ray, {ray.cpus} workers", partial(run, executor=ray), ours=True),
            ],
            chosen.rounds,
        )
    rows = []
    print(f"{chosen.shards} shards, {plan.nbytes / 2**20:.0f} MiB, {os.cpu_count()} CPUs")
    for timing in timings:
        seconds, rate = timing.spread, quotient(timings[0], timing)
        span = f"({rate.low:.2f} to {rate.high:.2f})"
        print(
            f"{timing.contender.name:<24} {seconds.median:6.2f} s  {rate.median:5.2f} times one thread {span}"
        )
        rows.append({"name": timing.contender.name, "seconds": timing.seconds, "times": rate.median})
    for name, seconds in starts.items():
        print(f"{name:<24} {seconds:6.2f} s until its workers are ready, not in the figures above")
    if chosen.json:
        figures = {"bytes": plan.nbytes, "rows": rows, "startup_seconds": starts}
        Path(chosen.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
