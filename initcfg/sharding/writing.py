"""Shards written, one task each: in this process, or by the workers of an executor, which send receipts."""

from __future__ import annotations

import contextlib
import os
import pickle
import platform
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from initcfg.engines import get_engine
from initcfg.errors import Code, InitcfgError, Location, OutputError
from initcfg.generate.files import PlannedElements
from initcfg.generate.pool import Progress, Workers, counting
from initcfg.generate.work import is_foreign, make_whole
from initcfg.initializers import BUILTINS
from initcfg.initializers.registry import load_plugins, loaded_plugins
from initcfg.sharding.inventory import is_finished
from initcfg.stores import Store, is_remote, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import FrameType

    from initcfg.plan import PlannedParameter
    from initcfg.sharding.shards import Shard
# Tasks that an executor knows of. Each carries the plan of its shard, so that all at once may be much.
_AHEAD = 256
# How long nothing may end before somebody looks whether the executor lives.
_LOOK_SECONDS = 5.0
# And how long an interrupt waits, at most.
_BEAT_SECONDS = 0.1
_PYTHON = {"builtins", "concurrent"}
# What pickling raises besides its own error.
_UNPICKLED = (TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is told about a shard: never what is in it.

    Args:
        name: of the file.
        nbytes: its size.
        seconds: how long it took; 0 for a shard that was there already.
        process: which process has made it; None for a shard that was there already.
    """

    name: str
    nbytes: int
    seconds: float = 0.0
    process: int | None = None


def write_shard(
    store: Store, shard: Shard, workers: Workers, engine: str | None = None, progress: Progress | None = None
) -> Receipt:
    """Makes the values of a shard and writes its file, in few chunks of memory; the folder is held for it."""
    started = time.perf_counter()
    fill = get_engine(engine)
    store.write(shard.name, shard.layout, PlannedElements(shard.sources, fill, workers, progress))
    return Receipt(shard.name, shard.nbytes, time.perf_counter() - started, os.getpid())


def write_claimed_shard(
    place: str,
    claim: str,
    shard: Shard,
    *,
    threads: int | None = 1,
    engine: str | None = None,
    plugins: Sequence[str] = (),
) -> Receipt:
    """`write_shard` in another process, under the claim of the folder, unless the shard is there."""
    load_plugins(plugins)
    store = open_store(place)
    if store.claimed() is None:
        raise _not_shared(place)
    with store.joining(claim):
        if is_finished(store, shard, store.size(shard.name)):
            return Receipt(shard.name, shard.nbytes)
        with Workers(threads) as workers:
            return write_shard(store, shard, workers, engine)


def custom_parts(shards: Iterable[Shard]) -> list[PlannedParameter]:
    """The smallest parameter of each class of custom initializers: the shortest way to see one fail."""
    smallest: dict[object, PlannedParameter] = {}
    for shard in shards:
        for parameter in shard.sources.values():
            made = parameter.initializer
            if is_foreign(made):
                # One class may have a config for each of thousands of parameters.
                kind = id(made) if type(made) in BUILTINS else type(made)
                smallest[kind] = min(smallest.get(kind, parameter), parameter, key=lambda each: each.numel)
    return list(smallest.values())


def try_shard(
    place: str,
    seen: str,
    shard: Shard,  # noqa: ARG001  that it has come here is what it is for
    parts: Sequence[PlannedParameter],
    *,
    engine: str | None = None,
    plugins: Sequence[str] = (),
) -> None:
    """What may fail when a shard is written: the folder has the file `seen`, and `parts` can be made."""
    load_plugins(plugins)
    if open_store(place).size(seen) is None:
        raise _not_shared(place)
    fill = get_engine(engine)
    for part in parts:
        make_whole(part, fill)


def _not_shared(place: str) -> OutputError:
    message = f"a worker on {platform.node()!r} does not find the run in {place!r}"
    hint = (
        "workers write to the folder themselves: all of them must reach the same one, "
        "under this path or URL, while the run lasts"
    )
    return OutputError.of(Code.OUTPUT, message, hint=hint)


def rehearse(
    executor: Executor,
    place: str,
    seen: str,
    shard: Shard,
    parts: Sequence[PlannedParameter],
    *,
    engine: str | None,
) -> None:
    """Has a worker do all of a task that may fail, but for the writing."""
    given = (_absolute(place), seen, shard, parts)
    with _explaining(executor, place):
        with _uninterrupted():
            future = _submitted(executor, place, try_shard, *given, engine=engine, plugins=loaded_plugins())
        _ended(executor, place, {future})
        future.result()


def send(
    executor: Executor,
    place: str,
    claim: str,
    shards: Sequence[Shard],
    *,
    threads: int,
    engine: str | None,
    progress: Progress | None,
) -> Iterator[Receipt]:
    """Has shards written by the workers of an executor; at an error what has not begun is cancelled."""
    tell = counting(progress, sum(shard.nbytes for shard in shards))
    place = _absolute(place)
    settings: dict[str, Any] = {"threads": threads, "engine": engine, "plugins": loaded_plugins()}
    rest = iter(shards)
    running: set[Future[Receipt]] = set()
    try:
        while True:
            for shard in islice(rest, _AHEAD - len(running)):
                with _uninterrupted(), _explaining(executor, place):
                    task = (write_claimed_shard, place, claim, shard)
                    running.add(_submitted(executor, place, *task, **settings))
            if not running:
                return
            finished = _ended(executor, place, running)
            running -= finished
            for future in finished:
                with _uninterrupted(), _explaining(executor, place):
                    receipt = future.result()
                tell(receipt.nbytes)
                yield receipt
    finally:
        with _uninterrupted():
            left = {future for future in running if not future.cancel()}
        # The error that is on its way says it already.
        with contextlib.suppress(InitcfgError):
            while left:
                left -= _ended(executor, place, left)


def _absolute(place: str) -> str:
    """The workers may have another current folder."""
    return place if is_remote(place) else os.path.abspath(place)  # noqa: PTH100  resolves no link


def _submitted(
    executor: Executor, place: str, task: Callable[..., Any], *given: object, **settings: Any
) -> Future[Any]:
    try:
        return executor.submit(task, *given, **settings)
    except RuntimeError as error:
        # What Python's executors say after their end is no BrokenExecutor.
        raise _lost(place, error) from error


def _ended(executor: Executor, place: str, running: set[Future[Any]]) -> set[Future[Any]]:
    """Those futures that have ended, at least one; an error where none ever will."""
    is_suspect, looked = False, time.monotonic()
    while True:
        with _uninterrupted():
            finished = wait(running, _BEAT_SECONDS, FIRST_COMPLETED).done
            # Some executors never notify of a future that was cancelled.
            finished |= {future for future in running if future.done()}
            is_busy = any(future.running() for future in running)
        if finished:
            return finished
        if time.monotonic() - looked < _LOOK_SECONDS:
            continue
        looked, refusal = time.monotonic(), _refusal(executor)
        if refusal is None or is_busy:
            is_suspect = False
        elif is_suspect:
            raise _lost(place, refusal) from refusal
        else:
            # What waited may just have begun to run, or have ended.
            is_suspect = True


def _refusal(executor: Executor) -> Exception | None:
    """Why the executor takes no task; whether it would do one a busy executor does not tell soon."""
    try:
        with _uninterrupted():
            executor.submit(abs, 0).cancel()
    except Exception as error:
        return error
    return None


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """A block at whose end an interrupt comes that comes meanwhile; only the main thread gets one.

    In the middle of a submission it leaves Python's pool of processes with a task that never ends, and while
    futures are waited for or asked it may leave one locked: the pool then waits for ever.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda *given: came.append(given))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            handler(*came[-1])


@contextlib.contextmanager
def _explaining(executor: Executor, place: str) -> Iterator[None]:
    """Tells the errors of an executor from those of its tasks, which pass as they are."""
    try:
        yield
    except InitcfgError:
        raise
    except Exception as error:
        first = str(error).partition("\n")[0]
        if _is_about_pickling(error, first.lower()):
            message = f"a shard cannot be sent to another process: {first}"
            hint = "define the class of an initializer at the top of a module that the workers can import"
            raise InitcfgError.of(Code.NOT_SERIALIZABLE, message, hint=hint) from error
        if isinstance(error, BrokenExecutor | CancelledError) or _is_of(executor, error):
            raise _lost(place, error) from error
        raise


def _is_of(executor: Executor, error: Exception) -> bool:
    """Whether an error comes from the package that the executor is of, such as distributed's KilledWorker."""
    package = type(executor).__module__.partition(".")[0]
    return package not in _PYTHON and type(error).__module__.partition(".")[0] == package


def _is_about_pickling(error: Exception, said: str) -> bool:
    # Of a class inside a function most Pythons say that it has no such attribute, each in its own words.
    is_said = any(words in said for words in ("pickle", "serialize", "local object"))
    return isinstance(error, pickle.PicklingError) or (isinstance(error, _UNPICKLED) and is_said)


def _lost(place: str, error: Exception) -> InitcfgError:
    reason = str(error).partition("\n")[0] or "no reason is given"
    message = f"the executor has lost a worker, or has been ended: {type(error).__name__}: {reason}"
    hint = "run again: finished shards are kept; was there memory enough, and could the workers import all?"
    return InitcfgError.of(Code.UNFINISHED, message, hint=hint, where=Location(place))
