"""Shards sent to an executor: one task each, and a receipt comes back."""

from __future__ import annotations

import contextlib
import os
import pickle
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from itertools import islice
from typing import TYPE_CHECKING, Any

from initcfg.errors import Code, Diagnostic, InitcfgError, Location
from initcfg.plugins import loaded_plugins
from initcfg.sharding.writing import Receipt, try_shard, write_claimed_shard
from initcfg.stores import is_remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from initcfg.generate.pool import Progress
    from initcfg.plan import PlannedParameter
    from initcfg.sharding.shards import Shard

# Tasks that an executor knows of. Each carries the plan of its shard, so that all at once may be much.
_AHEAD = 256
# How long nothing may end before somebody looks whether the executor lives.
_LOOK_SECONDS = 5.0
_PYTHON = {"builtins", "concurrent"}
# What pickling raises besides its own error.
_UNPICKLED = (TypeError, AttributeError)


def rehearse(
    executor: Executor,
    place: str,
    seen: str,
    shard: Shard,
    parts: Sequence[PlannedParameter],
    *,
    engine: str | None,
) -> None:
    """Has a worker do all of a task that may fail, but for the writing.

    Args:
        executor: as in `send`.
        place: as in `send`.
        seen: a file of the folder, which the worker must find.
        shard: is sent.
        parts: are made.
        engine: as in `send`.

    Raises:
        InitcfgError: as in `send`.
    """
    given = (_absolute(place), seen, shard, parts)
    with _explaining(executor, place):
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
    """Has shards written by the workers of an executor; receipts come as they are ready.

    When it ends, by an error or an interrupt too, what has not begun is cancelled; what runs is waited for,
    if the executor can tell.

    Args:
        executor: any of Python's, dask's (``Client.get_executor()``), or `initcfg.adapters.ray`'s.
        place: the folder, as a path or URL that the workers know too.
        claim: the folder's.
        shards: what to write.
        threads: how many in each task.
        engine: the name of an engine; None lets each task choose.
        progress: called with the bytes of finished shards and the bytes of all.

    Raises:
        InitcfgError: what a task has raised; or workers have died (code ``unfinished``), or a shard cannot be
            sent to them (code ``not-serializable``).
    """
    total, done = sum(shard.nbytes for shard in shards), 0
    place = _absolute(place)
    settings: dict[str, Any] = {"threads": threads, "engine": engine, "plugins": loaded_plugins()}
    rest = iter(shards)
    running: set[Future[Receipt]] = set()
    try:
        while True:
            for shard in islice(rest, _AHEAD - len(running)):
                with _explaining(executor, place):
                    task = (write_claimed_shard, place, claim, shard)
                    running.add(_submitted(executor, place, *task, **settings))
            if not running:
                return
            finished = _ended(executor, place, running)
            running -= finished
            for future in finished:
                with _explaining(executor, place):
                    receipt = future.result()
                done += receipt.nbytes
                if progress is not None:
                    progress(done, total)
                yield receipt
    finally:
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
    """Those futures that have ended, at least one.

    Raises:
        InitcfgError: none ever will, because the executor takes nothing more and runs nothing.
    """
    is_suspect = False
    while True:
        finished = wait(running, _LOOK_SECONDS, FIRST_COMPLETED).done
        # Some executors never notify of a future that was cancelled.
        finished |= {future for future in running if future.done()}
        if finished:
            return finished
        refusal = _refusal(executor)
        if refusal is None or any(future.running() for future in running):
            is_suspect = False
        elif is_suspect:
            raise _lost(place, refusal) from refusal
        else:
            # What waited may just have begun to run, or have ended.
            is_suspect = True


def _refusal(executor: Executor) -> Exception | None:
    """Why the executor takes no task; whether it would do one a busy executor does not tell soon."""
    try:
        executor.submit(abs, 0).cancel()
    except Exception as error:
        return error
    return None


@contextlib.contextmanager
def _explaining(executor: Executor, place: str) -> Iterator[None]:
    """Tells the errors of an executor from those of its tasks, which pass as they are."""
    try:
        yield
    except InitcfgError:
        raise
    except Exception as error:
        if _is_about_pickling(error):
            raise _not_sent(error) from error
        if isinstance(error, BrokenExecutor | CancelledError) or _is_of(executor, error):
            raise _lost(place, error) from error
        raise


def _is_of(executor: Executor, error: Exception) -> bool:
    """Whether an error comes from the package that the executor is of, such as distributed's KilledWorker."""
    package = type(executor).__module__.partition(".")[0]
    return package not in _PYTHON and type(error).__module__.partition(".")[0] == package


def _is_about_pickling(error: Exception) -> bool:
    # Python before 3.12 says of a class inside a function that it has no such attribute.
    first = str(error).partition("\n")[0].lower()
    words = "pickle" in first or "serialize" in first
    return isinstance(error, pickle.PicklingError) or (isinstance(error, _UNPICKLED) and words)


def _not_sent(error: Exception) -> InitcfgError:
    message = f"a shard cannot be sent to another process: {str(error).partition(chr(10))[0]}"
    hint = "define the class of an initializer at the top of a module that the workers can import"
    return InitcfgError(Diagnostic(Code.NOT_SERIALIZABLE, message, hint=hint))


def _lost(place: str, error: Exception) -> InitcfgError:
    reason = str(error).partition("\n")[0] or "no reason is given"
    message = f"the executor has lost a worker, or has been ended: {type(error).__name__}: {reason}"
    hint = "run again: finished shards are kept; was there memory enough, and could the workers import all?"
    return InitcfgError(Diagnostic(Code.UNFINISHED, message, Location(place), hint))
