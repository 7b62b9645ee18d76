"""How long this project takes, beside the libraries that do the same: one command, one table.

    python tests/bench/peers.py                          every suite, with the libraries that are installed
    python tests/bench/peers.py elementwise model        two of them
    python tests/bench/peers.py --json out.json --plot out.svg

Contenders of a task run interleaved in one process, a round at a time; a figure is the median of the rounds,
with the least and the greatest beside it. Nothing is installed: a missing library is skipped, and named.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tasks
from libraries import PEERS, our_jobs, use_threads
from timing import Contender, Spread, Timing, interleaved, quotient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks import Task

PACKAGES = ("numpy", "torch", "transformers", "jax", "keras")


@dataclass(frozen=True, slots=True)
class Row:
    """One contender in one task.

    Args:
        name: the contender.
        seconds: how long it took.
        rate: elements a second, at the median.
        slower: how many times as long as the best of this project it took.
    """

    name: str
    seconds: Spread
    rate: float
    slower: Spread


@dataclass(frozen=True, slots=True)
class Table:
    """All contenders in one task."""

    suite: str
    title: str
    rows: tuple[Row, ...]


def suites(elements: int, largest: int) -> dict[str, Sequence[Task]]:
    """The tasks by suite, at the size asked for."""
    return {
        "elementwise": tasks.elementwise(elements),
        "initializers": tasks.initializers(elements),
        "orthogonal": tasks.orthogonal(largest),
        "model": [tasks.Model("GPT-2 small, from spec to arrays", str(tasks.GPT2), tasks.GPT2_ELEMENTS)],
    }


def contenders(task: Task, threads: int, missing: set[str]) -> list[Contender]:
    """Everybody who can do a task; libraries that are not installed go into `missing`."""
    found = [Contender(name, job, ours=True) for name, job in our_jobs(task, threads).items()]
    for name, make in PEERS.items():
        try:
            job = make(task, threads)
        except ImportError:
            missing.add(name)
            continue
        if job is not None:
            found.append(Contender(name, job))
    return found


def measure(suite: str, task: Task, threads: int, rounds: int, missing: set[str]) -> Table:
    """Run one task's contenders."""
    makes_memory = isinstance(task, tasks.Model) or not task.touched
    timings = interleaved(contenders(task, threads, missing), rounds, again=makes_memory)
    ours = min((t for t in timings if t.contender.ours), key=lambda t: t.spread.median)
    return Table(suite, task.title, tuple(_row(timing, ours, task.numel) for timing in timings))


def _row(timing: Timing, ours: Timing, numel: int) -> Row:
    spread = timing.spread
    return Row(timing.contender.name, spread, numel / spread.median, quotient(timing, ours))


def rendered(table: Table) -> str:
    """A table as Markdown, which reads well on a terminal too."""
    lines = [
        f"| {table.title} | ms | least to greatest | G elements/s | times as long as the best initcfg |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in table.rows:
        s, q = row.seconds, row.slower
        lines.append(
            f"| {row.name} | {_ms(s.median)} | {_ms(s.low)} to {_ms(s.high)} | {row.rate / 1e9:.3f} "
            f"| {_times(q.median)} ({_times(q.low)} to {_times(q.high)}) |"
        )
    return "\n".join(lines)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f}"


def _times(number: float) -> str:
    return f"{number:.2f}" if number < 10 else f"{number:,.0f}"


def environment(threads: int) -> dict[str, Any]:
    """What the figures depend on."""
    versions = {name: _version(name) for name in PACKAGES}
    return {
        "processor": _processor(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": threads,
        "python": platform.python_version(),
        **{name: version for name, version in versions.items() if version},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def as_data(table: Table) -> dict[str, Any]:
    """A table as plain data, seconds unrounded."""
    rows = [
        {
            "name": row.name,
            "seconds": _spread(row.seconds),
            "elements_per_second": row.rate,
            "times_the_best_initcfg": _spread(row.slower),
        }
        for row in table.rows
    ]
    return {"suite": table.suite, "task": table.title, "rows": rows}


def _spread(spread: Spread) -> dict[str, float]:
    return {"median": spread.median, "low": spread.low, "high": spread.high}


def plot(tables: Sequence[Table], path: str) -> None:
    """Bars of elements a second, a panel a task.

    Raises:
        ImportError: matplotlib is missing (``pip install initcfg[plot]``).
    """
    from plot import draw

    draw([(table.title, [(row.name, row.rate) for row in table.rows]) for table in tables], path)


def arguments(known: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(known)}; default all")
    parser.add_argument("--rounds", type=int, default=7, help="how often each contender runs (default 7)")
    parser.add_argument("--threads", type=int, default=2, help="threads for all who take them (default 2)")
    parser.add_argument("--elements", type=int, default=1 << 26, help="size of the arrays (default 2**26)")
    parser.add_argument("--largest", type=int, default=4096, help="longest side of an orthogonal matrix")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--plot", metavar="FILE", help="draw the rates; needs matplotlib")
    chosen = parser.parse_args()
    if unknown := set(chosen.suites) - set(known):
        parser.error(f"no suite is called {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return chosen


def main() -> None:
    """Measure, print as it goes, and write what was asked for."""
    chosen = arguments(list(suites(1, 1)))
    use_threads(chosen.threads)
    facts = environment(chosen.threads)
    print(", ".join(f"{key} {value}" for key, value in facts.items()), end="\n\n")
    missing: set[str] = set()
    tables = []
    for suite, members in suites(chosen.elements, chosen.largest).items():
        for task in members if not chosen.suites or suite in chosen.suites else ():
            tables.append(measure(suite, task, chosen.threads, chosen.rounds, missing))
            print(rendered(tables[-1]), end="\n\n", flush=True)
    for name in sorted(missing):
        print(f"{name} is not installed and was skipped", file=sys.stderr)
    if chosen.json:
        document = {"environment": facts, "rounds": chosen.rounds, "tables": [as_data(t) for t in tables]}
        Path(chosen.json).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if chosen.plot:
        plot(tables, chosen.plot)


if __name__ == "__main__":
    main()
