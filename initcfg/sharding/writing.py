"""One shard written: what a process does, here or anywhere."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initcfg.engines import get_engine
from initcfg.errors import Code, Diagnostic, OutputError
from initcfg.generate.files import PlannedElements
from initcfg.generate.pool import Workers
from initcfg.generate.work import is_foreign, make_whole
from initcfg.initializers import BUILTINS
from initcfg.plugins import load_plugins
from initcfg.sharding.inventory import is_finished
from initcfg.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from initcfg.generate.pool import Progress
    from initcfg.plan import PlannedParameter
    from initcfg.sharding.shards import Shard
    from initcfg.stores import Store


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
    """Makes the values of a shard and writes its file, in the memory of a few chunks.

    Args:
        store: the folder, held for the shard's set.
        shard: what to write.
        workers: make the values.
        engine: the name of an engine; None chooses one.
        progress: called with the bytes of elements done and the bytes in all.

    Raises:
        OutputError: the file cannot be written; what stood there before is untouched.
        InitializerError: custom code returned something else than it was asked for.
    """
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
    """`write_shard`, for a process that has nothing but its arguments; all of them can be pickled.

    Args:
        place: the folder.
        claim: which must still be the folder's.
        shard: what to write; not written again where it is there already.
        threads: how many; None means one a CPU.
        engine: the name of an engine; None chooses one.
        plugins: what the process that sends the shard has loaded.

    Raises:
        OutputError: as in `write_shard`, or the folder is another set's by now, or not the run's here.
        InitializerError: as in `write_shard`.
        PluginError: a plugin is missing here.
    """
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
    """What may fail when a shard is written, without writing; all arguments can be pickled.

    Args:
        place: the folder.
        seen: a file that it holds.
        shard: what is sent, and not made.
        parts: made, and forgotten.
        engine: the name of an engine; None chooses one.
        plugins: what the process that sends the shard has loaded.

    Raises:
        OutputError: the folder is another one here.
        InitcfgError: as in `write_claimed_shard`. What custom code raises comes through.
    """
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
    return OutputError(Diagnostic(Code.OUTPUT, message, hint=hint))
