"""Threads: tasks run side by side, their results come back in the order of the tasks, a few at a time."""

from __future__ import annotations

import contextlib
import operator
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Generic, SupportsIndex, TypeVar

from initcfg.dtypes import is_bool

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from typing import Self

Progress = Callable[[int, int], None]
"""Told, in the calling thread, how many bytes are done and how many there will be."""

Result = TypeVar("Result")


def onward(progress: Progress | None, before: int, total: int) -> Progress | None:
    """The progress of one part of the work, told as that of all of it, `before` bytes of which were done."""
    return None if progress is None else lambda done, _: progress(before + done, total)


def counting(progress: Progress | None, total: int) -> Callable[[int], None]:
    """What takes the bytes of each part that is done, and tells `progress` their sum."""
    done = 0

    def add(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if progress is not None:
            progress(done, total)

    return add


# Enough for every thread to find its next task while the oldest result is being used.
_TASKS_AHEAD_A_THREAD = 2
_BYTES_AHEAD_A_THREAD = 1 << 24


@dataclass(frozen=True, slots=True)
class Task(Generic[Result]):
    """Something to run, in a thread or `here`; its result holds so many bytes until it is used."""

    run: Callable[[], Result]
    holds: int = 0
    here: bool = False


Item = TypeVar("Item")


def in_groups(items: Iterable[Item], size: Callable[[Item], int], limit: int) -> Iterator[list[Item]]:
    """Items in their order, as many at a time as have so much together; a larger one alone.

    Example:
        >>> list(in_groups([3, 1, 9, 2], lambda size: size, 4))
        [[3, 1], [9], [2]]
    """
    group: list[Item] = []
    total = 0
    for item in items:
        own = size(item)
        if group and total + own > limit:
            yield group
            group, total = [], 0
        group.append(item)
        total += own
    if group:
        yield group


class Workers:
    """A pool of threads, used as a context; one thread means that all runs in the calling thread.

    Leaving the context, by an exception too, drops the tasks that have not begun and waits for the rest.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = thread_count(threads)
        self._pool = ThreadPoolExecutor(self.threads, "initcfg") if self.threads > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def run(self, tasks: Iterable[Task[int]], total: int, progress: Progress | None) -> None:
        """Runs tasks that give the bytes they have made, and tells `progress` the sum of those.

        They begin in their order. When it returns or raises, none of them runs any more.
        """
        tell = counting(progress, total)
        with contextlib.closing(self.in_order(tasks)) as sizes:
            for size in sizes:
                tell(size)

    def in_order(self, tasks: Iterable[Task[Result]]) -> Generator[Result]:
        """The results in the order of the tasks; `tasks` is read, and run, only a little ahead of them.

        A lone task runs in the calling thread. When the generator ends, by ``close`` too, no task runs.
        """
        rest = iter(tasks)
        first = list(islice(rest, 2))
        if self._pool is None or len(first) < 2:
            for task in chain(first, rest):
                yield task.run()
        else:
            yield from self._side_by_side(self._pool, chain(first, rest))

    def _side_by_side(self, pool: ThreadPoolExecutor, tasks: Iterable[Task[Result]]) -> Generator[Result]:
        ahead: deque[tuple[Future[Result], int]] = deque()
        held = 0
        try:
            for task in tasks:
                while ahead and self._is_full(len(ahead), held + task.holds):
                    # It stays in the queue until its result is there: an interrupt may come before.
                    yield ahead[0][0].result()
                    held -= ahead.popleft()[1]
                ahead.append((_done(task) if task.here else pool.submit(task.run), task.holds))
                held += task.holds
            while ahead:
                yield ahead[0][0].result()
                ahead.popleft()
        finally:
            wait([future for future, _ in ahead if not future.cancel()])

    def _is_full(self, tasks: int, held: int) -> bool:
        return tasks > self.threads * _TASKS_AHEAD_A_THREAD or held > self.threads * _BYTES_AHEAD_A_THREAD


def _done(task: Task[Result]) -> Future[Result]:
    future: Future[Result] = Future()
    future.set_result(task.run())
    return future


def available_cpus() -> int:
    """How many CPUs this process may use, which under ``taskset`` are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(threads: object) -> int:
    """How many threads are meant: None means one a CPU that this process may use."""
    if threads is None:
        return available_cpus()
    if isinstance(threads, SupportsIndex) and not is_bool(threads) and operator.index(threads) >= 1:
        return operator.index(threads)
    raise ValueError(f"threads must be a whole number of 1 or more, or None for one a CPU, not {threads!r}")
