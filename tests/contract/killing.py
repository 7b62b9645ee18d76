"""Kills runs that write, at random times or at each call of the system; a script for a test.

``python killing.py times WORK FOLDER KILLS SEED`` or ``python killing.py calls WORK FOLDER``: WORK is one of
works.py. Prints a JSON line a kill: whether the folder held the old files (`began`), whether the run was
still there to be `killed`, what was in the folder `after`, and what was there after the `next` run. A run
that was faster than its random time is not counted as one of the KILLS. The first line holds what complete
runs leave: `old` and `new`.

A run is a forked copy of this process, in which all is imported: hundreds take seconds.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import statistics
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from system_calls import REMOVING, WRITING, Intercepted
from works import NEW, OLD, WORKS, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMED = 5
# A run that has ended before its kill was faster than those that were timed.
FASTER = 0.95
# Some files are taken in fewer pieces than PIECE bytes give, so that a kill at each stays quick.
LARGE_PIECE = 1 << 17


def begin(run: Callable[[], object]) -> int:
    """The id of a process that does it."""
    child = os.fork()
    if child:
        return child
    try:
        run()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def ended(child: int) -> bool:
    """Whether it came to its end; False when it was killed."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in {0, -signal.SIGKILL}:
        sys.exit(f"a run ended with {status}")
    return status == 0


class Bench:
    """A folder that is brought to its first state again and again.

    Args:
        work: writes to a folder.
        base: where to work.
    """

    def __init__(self, work: Callable[[Path, int], object], base: Path) -> None:
        self.work = work
        self.folder = base / "out"
        self._kept = {seed: base / f"kept-{seed}" for seed in (OLD, NEW)}
        for seed, folder in self._kept.items():
            folder.mkdir()
            # In this process, so that what is imported late is there for all.
            work(folder, seed)

    def whole(self) -> dict[str, dict[str, str]]:
        return {"old": snapshot(self._kept[OLD]), "new": snapshot(self._kept[NEW])}

    def reset(self, *, with_old: bool) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if with_old:
            shutil.copytree(self._kept[OLD], self.folder)
        else:
            self.folder.mkdir()

    def run(self) -> None:
        self.work(self.folder, NEW)

    def round(self, child: int, *, began: bool) -> dict[str, object]:
        """What is told of a run that has been, or will be, killed."""
        killed = not ended(child)
        after = snapshot(self.folder)
        ended(begin(self.run))
        return {"began": began, "killed": killed, "after": after, "next": snapshot(self.folder)}

    def seconds(self) -> float:
        """What a run takes that nobody kills."""
        return statistics.median(self._timed() for _ in range(TIMED))

    def _timed(self) -> float:
        self.reset(with_old=True)
        start = time.monotonic()
        ended(begin(self.run))
        return time.monotonic() - start


def at_times(bench: Bench, kills: int, seed: int) -> Iterator[dict[str, object]]:
    """Kills at random times; every third about the end, where the file is put in its place."""
    chance, seconds, number = random.Random(seed), bench.seconds(), 0
    while number < kills:
        began = number % 4 != 0
        bench.reset(with_old=began)
        child = begin(bench.run)
        time.sleep(seconds * (chance.uniform(0.7, 1.1) if number % 3 == 0 else chance.uniform(0, 1.1)))
        os.kill(child, signal.SIGKILL)
        result = bench.round(child, began=began)
        if result["killed"]:
            number += 1
            yield result
        else:
            seconds *= FASTER


def at_calls(bench: Bench) -> Iterator[dict[str, object]]:
    """Kills before the first call of the system, the second and so on, until a run comes to its end."""
    killed, number = True, 0
    while killed:
        number += 1
        bench.reset(with_old=True)
        child = begin(lambda number=number: interrupted(bench, number))  # type: ignore[misc]
        result = bench.round(child, began=True)
        killed = bool(result["killed"])
        yield result


def interrupted(bench: Bench, at: int) -> None:
    def meet(number: int, _: str) -> None:
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)

    with Intercepted(meet, (*WRITING, *REMOVING), LARGE_PIECE):
        bench.run()


def main(how: str, work: str, base: str, kills: str = "0", seed: str = "0") -> None:
    bench = Bench(WORKS[work], Path(base))
    print(json.dumps(bench.whole()))
    for result in at_times(bench, int(kills), int(seed)) if how == "times" else at_calls(bench):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
