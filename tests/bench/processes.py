"""What a person waits for: whole processes, with their imports, beside torch and transformers.

    python tests/bench/processes.py                       about a minute and a half; needs both libraries
    python tests/bench/processes.py --rounds 9

Each process is started once to warm the caches of files and to compile what Python has not compiled yet,
then once a round. A constant, in memory or on the disk, shows what the machine takes for so many bytes.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from tasks import GPT2, GPT2_ELEMENTS
from timing import Contender, interleaved, quotient, run_python

NORMALS = 58_000_000
_SPEC = {"initcfg": 1, "params": {"w": {"shape": [NORMALS], "initializer": "random_normal"}}}


def tasks(folder: str) -> dict[str, list[Contender]]:
    """The contenders of each task by its title, ours first."""

    def contender(name: str, *arguments: str) -> Contender:
        return Contender(
            name, partial(run_python, *arguments, folder=folder), ours=name.startswith("initcfg")
        )

    made = f"import initcfg; initcfg.materialize(initcfg.make_plan({_SPEC!r}))"
    saved = "GPT2LMHeadModel(GPT2Config()).save_pretrained('gpt2')"
    load = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from scale import raw_write"
    raw = f"{load}; raw_write('raw', {4 * GPT2_ELEMENTS}, 2)"
    return {
        "58 million normals in memory": [
            contender("initcfg", "-c", made),
            contender("torch", "-c", f"import torch; torch.empty({NORMALS}).normal_()"),
            contender("numpy, filled with 1", "-c", f"import numpy; numpy.full({NORMALS}, 1, 'float32')"),
        ],
        "GPT-2 small to a file": [
            contender("initcfg", "-m", "initcfg", "materialize", str(GPT2), "-o", "g.safetensors", "--force"),
            contender("transformers", "-c", f"from transformers import GPT2Config, GPT2LMHeadModel; {saved}"),
            contender("a constant, synced", "-c", raw),
        ],
    }


def main() -> None:
    """Time the tasks and print a table of each."""
    parser = argparse.ArgumentParser(description="Whole processes, beside torch and transformers.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each process runs (default 5)")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        for title, contenders in tasks(folder).items():
            timings = interleaved(contenders, rounds)
            print(f"\n| {title} | seconds | least to greatest | times as long as initcfg |")
            print("|---|---:|---:|---:|")
            for timing in timings:
                spent, times = timing.spread, quotient(timing, timings[0])
                print(
                    f"| {timing.contender.name} | {spent.median:.2f} | {spent.low:.2f} to {spent.high:.2f} "
                    f"| {times.median:.1f} ({times.low:.1f} to {times.high:.1f}) |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
