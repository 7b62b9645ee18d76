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
from initcfg.sharding.writing import Receipt, write_claimed_shard
from initcfg.stores import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from initcfg.generate.pool import Progress
    from initcfg.sharding.shards import Shard

__all__ = ["require_alive", "send"]

# Tasks that an executor knows of. Each carries the plan of its shard, so that all at once may be much.
_AHEAD = 256
_PYTHON = {"builtins", "concurrent"}
# What pickling raises besides its own error.
_UNPICKLED = (TypeError, AttributeError)


def require_alive(executor: Executor, place: str) -> None:
    """Has an executor do next to nothing, to know that it does anything.

    Raises:
        TypeError: it is none.
        InitcfgError: it has ended, or has no worker (code ``unfinished``).
    """
    if not hasattr(executor, "submit"):
        raise TypeError(f"an executor has a method submit, which {executor!r} has not")
    with _explaining(executor, place):
        try:
            future = executor.submit(abs, 0)
        except RuntimeError as error:
            raise _lost(place, error) from error
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
    # The workers may have another current folder.
    place = place if is_remote(place) else os.path.abspath(place)  # noqa: PTH100  resolves no link
    settings: dict[str, Any] = {"threads": threads, "engine": engine, "plugins": loaded_plugins()}
    rest = iter(shards)
    running: set[Future[Receipt]] = set()
    try:
        while True:
            for shard in islice(rest, _AHEAD - len(running)):
                with _explaining(executor, place):
                    running.add(_submitted(executor, place, claim, shard, settings))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                with _explaining(executor, place):
                    receipt = future.result()
                done += receipt.nbytes
                if progress is not None:
                    progress(done, total)
                yield receipt
    finally:
        # Some executors never call a future done that was cancelled.
        wait([future for future in running if not future.cancel()])


def _submitted(
    executor: Executor, place: str, claim: str, shard: Shard, settings: dict[str, Any]
) -> Future[Receipt]:
    try:
        return executor.submit(write_claimed_shard, place, claim, shard, **settings)
    except RuntimeError as error:
        # What Python's executors say after their end is no BrokenExecutor.
        raise _lost(place, error) from error


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
