"""How cost grows: writing to disk, planning many parameters, making many small ones, starting cold.

    python tests/bench/scale.py                             every suite, at sizes that take a few minutes
    python tests/bench/scale.py stream --gigabytes 16       the whole of Llama 3 8B in bfloat16
    python tests/bench/scale.py plan start --json out.json

Writing is compared with writing the same bytes of a constant, from a buffer a thread, in the same rounds.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timing import Contender, Spread, interleaved, quotient, run_python

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.plan import Plan

CONFIGS = Path(__file__).parents[2] / "configs"
_BUFFER = 1 << 22
_LAYER_BYTES = 436_224_000
EXPERTS = Path(__file__).parent / "experts.yaml"
_LAYERS = {10_000: 6, 100_000: 65, 1_000_000: 650}


def planning(rounds: int) -> dict[str, object]:
    """Seconds to plan a mixture of experts of more and more layers, and microseconds a parameter."""
    import initcfg

    figures: dict[str, object] = {}
    for layers in _LAYERS.values():
        make = partial(initcfg.make_plan, EXPERTS, settings=[f"vars.n_layer={layers}"])
        runs = [_clocked(make) for _ in range(rounds)]
        figures |= _shared("plan", [seconds for seconds, _ in runs], len(runs[0][1]))
    return figures


def small(rounds: int) -> dict[str, object]:
    """Seconds to make very many small parameters, and microseconds each."""
    import initcfg

    plan = initcfg.make_plan(EXPERTS, settings=["vars.d=32", "vars.vocab=32"])
    return _shared("make", [_clocked(lambda: initcfg.materialize(plan))[0] for _ in range(rounds)], len(plan))


def _shared(verb: str, seconds: list[float], parameters: int) -> dict[str, object]:
    """Prints what a step costs, and gives it as a row of figures."""
    spread, name = Spread.of(seconds), f"{verb} {parameters:,} parameters"
    each = spread.median / parameters * 1e6
    print(f"{name:<36} {spread.median:.3f} s ({spread.low:.3f} to {spread.high:.3f}), {each:.2f} us each")
    return {
        name: {"median": spread.median, "low": spread.low, "high": spread.high, "microseconds_each": each}
    }


def streaming(rounds: int, gigabytes: float, folder: str, threads: int) -> dict[str, object]:
    """Writing Llama 3 8B in bfloat16, or its first gigabytes, beside writing a constant."""
    import initcfg

    plan = _llama(32)
    if gigabytes * 1e9 < plan.nbytes:
        ends, layer = plan.nbytes - 32 * _LAYER_BYTES, _LAYER_BYTES
        plan = _llama(max(1, round((gigabytes * 1e9 - ends) / layer)))
    with tempfile.TemporaryDirectory(dir=folder, prefix="bench-") as scratch:
        ours, raw = Path(scratch) / "ours.safetensors", Path(scratch) / "raw"
        contenders = [
            Contender(
                "initcfg",
                lambda: _unlinked(ours, lambda: initcfg.save(plan, ours, threads=threads)),
                ours=True,
            ),
            Contender("raw", lambda: _unlinked(raw, lambda: raw_write(raw, plan.nbytes, threads))),
        ]
        made, constant = interleaved(contenders, rounds)
    rate = quotient(constant, made)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    speed = f"{plan.nbytes / 1e9:.1f} GB at {plan.nbytes / made.spread.median / 1e9:.2f} GB/s"
    beside = f"{rate.median:.2f} ({rate.low:.2f} to {rate.high:.2f}) of the rate of a constant"
    print(f"stream {speed}, {beside}, peak memory {peak / 1e6:.0f} MB")
    return {
        "bytes": plan.nbytes,
        "seconds": made.spread.median,
        "raw_seconds": constant.spread.median,
        "rate_of_raw": {"median": rate.median, "low": rate.low, "high": rate.high},
        "peak_bytes": peak,
    }


def _llama(layers: int) -> Plan:
    import initcfg

    return initcfg.make_plan(CONFIGS / "llama3-8b.yaml", settings=[f"vars.n_layer={layers}"])


def raw_write(path: Path | str, nbytes: int, threads: int) -> None:
    """Write so many bytes of a constant at their places, each thread from its own buffer, and sync them."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, nbytes)

        def write(worker: int) -> None:
            buffer = memoryview(bytearray(b"\x3c") * _BUFFER)
            for start in range(worker * _BUFFER, nbytes, threads * _BUFFER):
                os.pwrite(descriptor, buffer[: min(_BUFFER, nbytes - start)], start)

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(write, range(threads)))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unlinked(path: Path, make: Callable[[], object]) -> None:
    make()
    path.unlink()


def starting(rounds: int) -> dict[str, object]:
    """Seconds from nothing to the end of a process, with the interpreter's own beside them."""
    commands = {
        "python -c pass": ["-c", "pass"],
        "import initcfg": ["-c", "import initcfg"],
        "import pydantic, yaml, click": ["-c", "import pydantic.main, yaml, click"],
        "initcfg validate configs/gpt2.yaml": ["-m", "initcfg", "validate", str(CONFIGS / "gpt2.yaml")],
    }
    contenders = [Contender(name, partial(run_python, *command)) for name, command in commands.items()]
    figures: dict[str, object] = {}
    for timing in interleaved(contenders, max(rounds, 11)):
        spread = timing.spread
        print(f"{timing.contender.name:<36} {spread.median:.3f} s ({spread.low:.3f} to {spread.high:.3f})")
        figures[timing.contender.name] = {"median": spread.median, "low": spread.low, "high": spread.high}
    return figures


def _clocked(run: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def main() -> None:
    """Measure, print as it goes, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", help="of stream, plan, small, start; default all"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--gigabytes", type=float, default=4.0, help="how much to stream (default 4)")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where to stream to")
    parser.add_argument("--json", metavar="FILE", help="write the figures as JSON")
    chosen = parser.parse_args()
    suites: dict[str, Callable[[], object]] = {
        # First, because it tells the most memory that this process has ever had.
        "stream": lambda: streaming(chosen.rounds, chosen.gigabytes, chosen.folder, chosen.threads),
        "plan": lambda: planning(chosen.rounds),
        "small": lambda: small(chosen.rounds),
        "start": lambda: starting(chosen.rounds),
    }
    if unknown := set(chosen.suites) - set(suites):
        parser.error(f"no suite is called {', '.join(sorted(unknown))}; there are {', '.join(suites)}")
    figures = {name: run() for name, run in suites.items() if not chosen.suites or name in chosen.suites}
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
