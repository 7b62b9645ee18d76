"""Interleaved timing: each contender runs once a round, so that a slow moment of the machine meets all."""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Contender", "Spread", "Timing", "interleaved", "quotient", "run_python"]

# Shorter calls are repeated for about so long, as `timeit` does: what the contender before them has left,
# such as threads that still spin, would weigh on them.
_LEAST_SECONDS = 0.02
# One call is enough to warm up what takes longer.
_LONG_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that does the task once when it is called.

    Args:
        name: how tables call it.
        run: does it; what it returns at last is kept alive until the clock has stopped.
        ours: whether it is this project.
    """

    name: str
    run: Callable[[], object]
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some numbers, and the least and the greatest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Spread:
        """The spread of at least one number."""
        return cls(statistics.median(numbers), min(numbers), max(numbers))


@dataclass(frozen=True, slots=True)
class Timing:
    """The seconds that a call of a contender took in each round."""

    contender: Contender
    seconds: tuple[float, ...]

    @property
    def spread(self) -> Spread:
        """Of the seconds."""
        return Spread.of(self.seconds)


def interleaved(contenders: Sequence[Contender], rounds: int, *, again: bool = False) -> list[Timing]:
    """Run every contender once or twice to warm it up, then once a round, or more often where that is short.

    Every other round goes backwards, so that nobody always runs after the same neighbour. With `again` each
    runs once more before the clock starts, so that it finds the memory it has just let go: from a virtual
    machine the host may take what has been free for two seconds, and giving it back costs ten times its use.
    """
    calls = {contender.name: _calls(contender) for contender in contenders}
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            if again:
                contender.run()
            seconds[contender.name].append(_seconds(contender, calls[contender.name]))
    return [Timing(contender, tuple(seconds[contender.name])) for contender in contenders]


def quotient(over: Timing, under: Timing) -> Spread:
    """How many times as long `over` takes as `under`, round by round."""
    return Spread.of([a / b for a, b in zip(over.seconds, under.seconds, strict=True)])


def _calls(contender: Contender) -> int:
    """How many calls are timed together."""
    # The first call may import, compile and start threads.
    if _seconds(contender, 1) > _LONG_SECONDS:
        return 1
    return max(1, round(_LEAST_SECONDS / _seconds(contender, 1)))


def _seconds(contender: Contender, calls: int) -> float:
    """Of one call; the mean of so many."""
    # What one contender leaves behind is not to be collected on the next one's time.
    gc.collect()
    start = time.perf_counter()
    for _ in range(calls):
        result = contender.run()
    elapsed = time.perf_counter() - start
    del result
    return elapsed / calls


def run_python(*arguments: str, folder: str | None = None) -> None:
    """Python with these arguments, in a process of its own, which finds what it compiled before.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    settings = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments]
    subprocess.run(command, check=True, capture_output=True, cwd=folder, env=settings)
