"""A set written to a folder: by this process, by its share of ranks, or by the workers of an executor."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initcfg.engines import get_engine
from initcfg.errors import OutputError
from initcfg.generate.pool import Workers, onward, thread_count
from initcfg.sharding.claims import SetClaim
from initcfg.sharding.inventory import has_any, is_finished, is_published, make_room, require_space
from initcfg.sharding.publishing import publish
from initcfg.sharding.schedule import assigned, loads
from initcfg.sharding.sending import require_alive, send
from initcfg.sharding.writing import Receipt, write_shard

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from initcfg.generate.pool import Progress
    from initcfg.sharding.ranks import Rank
    from initcfg.sharding.shards import Shard, ShardSet
    from initcfg.stores import Store

__all__ = ["Saved", "save_set"]


@dataclass(frozen=True, slots=True)
class Saved:
    """What a run has written of a set.

    Args:
        place: the folder.
        receipts: one for each shard of this run, in the order of their numbers.
        index: the path of the index; None where other ranks have a share, and `finalize` publishes the set.
        tied: the names that were left out because they share the tensor of another name, with that name.
        fingerprint: the plan's.
        loads: the bytes of the files of each rank; of all files where there are no ranks.
    """

    place: str
    receipts: tuple[Receipt, ...]
    index: str | None
    tied: Mapping[str, str]
    fingerprint: str
    loads: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """The sizes of these shards, those that were there already included."""
        return sum(receipt.nbytes for receipt in self.receipts)


def save_set(
    shards: ShardSet,
    store: Store,
    *,
    rank: Rank | None = None,
    executor: Executor | None = None,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> Saved:
    """Writes the shards that are not there yet, and publishes the set unless other ranks have a share in it.

    Args:
        shards: the set.
        store: where it goes.
        rank: write this rank's share only, and leave publishing to `finalize`.
        executor: has the shards written, one task each; None writes one after another here.
        threads: how many, in each task of an executor too; None means one a CPU here, and one in a task.
        engine: the name of an engine; None chooses one.
        progress: called with the bytes of elements done and the bytes in all.
        force: remove files of other sets that are in the way.

    Raises:
        OutputError: the folder holds another set, a file cannot be written, or there is no space.
        InitializerError: no such engine, or custom code returned something else than it was asked for.
        ValueError: `threads` is no positive integer.
    """
    # Before anything of another set is removed.
    thread_count(threads)
    get_engine(engine)
    if executor is not None and force:
        require_alive(executor, store.place)
    claim = SetClaim.of(shards)
    share = _share(shards, rank)
    is_lone = rank is None or rank.world_size == 1
    with _held(store, shards, share, claim, force=force, is_lone=is_lone):
        store.sweep()
        sizes = store.sizes()
        done = {shard.name for shard in share if is_finished(store, shard, sizes.get(shard.name))}
        todo = [shard for shard in share if shard.name not in done]
        require_space(store, todo)
        if executor is None:
            made = _write_here(store, todo, threads, engine, progress)
        else:
            made = send(
                executor,
                store.place,
                claim.text,
                todo,
                threads=threads or 1,
                engine=engine,
                progress=progress,
            )
        receipts = {receipt.name: receipt for receipt in made}
        # A worker may have died, and another one done its task.
        store.sweep()
        index = publish(store, claim).path if is_lone else None
    ordered = (receipts.get(shard.name, Receipt(shard.name, shard.nbytes)) for shard in share)
    shares = tuple(loads(shards.sizes, 1 if rank is None else rank.world_size))
    return Saved(store.place, tuple(ordered), index, shards.tied, shards.fingerprint, shares)


@contextlib.contextmanager
def _held(
    store: Store,
    shards: ShardSet,
    share: Sequence[Shard],
    claim: SetClaim,
    *,
    force: bool,
    is_lone: bool,
) -> Iterator[None]:
    """Holds the folder for a set; the claim stays until the set is published.

    A lone run that has failed before its first shard takes back the claim that it has made. A rank does not,
    for the others.
    """

    def admit(found: str | None) -> None:
        make_room(store, shards, share, found, force=force)

    with store.claiming(claim.text, admit) as hold:
        try:
            yield
        finally:
            # Where that cannot be found out, the claim stays: the next run, or finalize, finds it.
            with contextlib.suppress(OutputError):
                is_ours = is_lone and hold.is_new
                if is_published(store, shards) or (is_ours and not has_any(store, shards)):
                    hold.fulfil()


def _share(shards: ShardSet, rank: Rank | None) -> Sequence[Shard]:
    if rank is None:
        return shards.shards
    return [shards.shards[position] for position in assigned(shards.sizes, rank.world_size)[rank.number]]


def _write_here(
    store: Store, shards: Sequence[Shard], threads: int | None, engine: str | None, progress: Progress | None
) -> Iterator[Receipt]:
    total = sum(_elements(shard) for shard in shards)
    before = 0
    with Workers(threads) as workers:
        for shard in shards:
            yield write_shard(store, shard, workers, engine, onward(progress, before, total))
            before += _elements(shard)


def _elements(shard: Shard) -> int:
    return sum(tensor.nbytes for tensor in shard.layout.tensors)
