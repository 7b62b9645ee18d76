"""A set written to a folder by this process, ranks or an executor, and its index when all is there."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initcfg.engines import get_engine
from initcfg.errors import Code, FormatError, InitcfgError, Location, OutputError
from initcfg.formats.base import PLAN_KEY, SPEC_KEY
from initcfg.formats.index import INDEX_NAME, MAX_INDEX_BYTES, index_text, read_index
from initcfg.formats.safetensors import MAX_HEADER_BYTES, header_in
from initcfg.generate.pool import Progress, Workers, onward, thread_count
from initcfg.sharding.inventory import (
    SetClaim,
    finished_in,
    has_any,
    is_published,
    make_room,
    require_space,
    scan_folder,
)
from initcfg.sharding.shards import Rank, Shard, ShardSet, assigned, digest_of, index_of, loads, shard_name
from initcfg.sharding.writing import Receipt, custom_parts, rehearse, send, try_shard, write_shard
from initcfg.stores import ClaimLostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from initcfg.stores import Store


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
        removed_first: whether files of another set were removed before this one was whole: ranks do so, and
            a folder behind a URL or without room for both.
    """

    place: str
    receipts: tuple[Receipt, ...]
    index: str | None
    tied: Mapping[str, str]
    fingerprint: str
    loads: tuple[int, ...]
    removed_first: bool = False

    @property
    def nbytes(self) -> int:
        """The sizes of these shards, those that were there already included."""
        return sum(receipt.nbytes for receipt in self.receipts)


def _claimed(store: Store) -> str | None:
    """The claim on a folder; of what is no folder making it says more."""
    try:
        return store.claimed()
    except OutputError:
        return None


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
    """Writes the shards that are not there yet, and publishes the set, as `initcfg.save_sharded` says.

    A set that is to replace another one is first written to a folder inside, where a lone run finds a local
    disk with room for both; the other one goes when this one is whole. Elsewhere it goes when all that can
    fail without writing has been tried.
    """
    # Before anything of another set is removed.
    thread_count(threads)
    get_engine(engine)
    if executor is not None and not hasattr(executor, "submit"):
        raise TypeError(f"an executor has a method submit, which {executor!r} has not")
    claim = SetClaim.of(shards)
    if not force:
        claim.refuse_other_versions(store.place, _claimed(store))
    share: Sequence[Shard] = shards.shards
    if rank is not None:
        share = [share[position] for position in assigned(shards.sizes, rank.world_size)[rank.number]]
    is_lone = rank is None or rank.world_size == 1
    removed_first = False

    def rehearsing() -> None:
        """Tries all that may fail when shards are written, but for the writing."""
        nonlocal removed_first
        parts, seen = custom_parts(share), min(store.sizes())
        if executor is None:
            try_shard(store.place, seen, share[0], parts, engine=engine)
        else:
            rehearse(executor, store.place, seen, share[0], parts, engine=engine)
        removed_first = True

    def write(to: Store) -> dict[str, Receipt]:
        to.sweep()
        done = finished_in(to, share) | (finished_in(store, share) if to is not store else frozenset())
        todo = [shard for shard in share if shard.name not in done]
        require_space(to, todo)
        if executor is None:
            made = _write_here(to, todo, threads, engine, progress)
        else:
            made = send(
                executor, to.place, claim.text, todo, threads=threads or 1, engine=engine, progress=progress
            )
        receipts = {receipt.name: receipt for receipt in made}
        # A worker may have died, and another one done its task.
        to.sweep()
        return receipts

    receipts = {}
    staged = _to_stage(store, shards, claim) if force and is_lone else None
    if staged is not None:
        # What stands there is what a killed run of another set has left.
        with _held(
            staged, shards, claim, is_lone, lambda found: make_room(staged, shards, share, found, force=True)
        ):
            receipts = write(staged)

    def admit(found: str | None) -> None:
        make_room(store, shards, share, found, force=force, rehearse=rehearsing)

    with _held(store, shards, claim, is_lone, admit):
        receipts |= write(store)
        index = publish(store, claim).path if is_lone else None
        if is_lone:
            store.unstage(claim.text)
    ordered = tuple(receipts.get(shard.name, Receipt(shard.name, shard.nbytes)) for shard in share)
    shares = tuple(loads(shards.sizes, 1 if rank is None else rank.world_size))
    return Saved(store.place, ordered, index, shards.tied, shards.fingerprint, shares, removed_first)


class _LookedError(Exception):
    """Lets go of a folder that was held for a look."""


def _to_stage(store: Store, shards: ShardSet, claim: SetClaim) -> Store | None:
    """Where the set is to be written first, if it is to replace another one and there is room for both."""
    staged, is_other = store.staged, False
    if staged is None:
        return None

    def look(found: str | None) -> None:
        nonlocal is_other
        stock = scan_folder(store, shards)
        # A set that is begun here has nothing left to save.
        is_other = bool(stock.foreign) and not stock.finished and found != claim.text
        raise _LookedError

    with contextlib.suppress(_LookedError), store.claiming(claim.text, look):
        pass
    if not is_other:
        return None
    ready, free = finished_in(staged, shards.shards), store.free()
    needed = sum(shard.nbytes for shard in shards.shards if shard.name not in ready)
    return staged if free is None or needed <= free else None


@contextlib.contextmanager
def _held(
    store: Store, shards: ShardSet, claim: SetClaim, is_lone: bool, admit: Callable[[str | None], None]
) -> Iterator[None]:
    """Holds the folder for a set, whose claim stays until it is published or a lone run fails at once."""
    with store.claiming(claim.text, admit) as hold:
        try:
            yield
        finally:
            # Where that cannot be found out, the claim stays: the next run, or finalize, finds it.
            with contextlib.suppress(OutputError):
                # A rank leaves its claim to the others.
                is_ours = is_lone and hold.is_new
                if is_published(store, shards) or (is_ours and not has_any(store, shards)):
                    hold.release()


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


_LENGTH_BYTES = 8
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Published:
    """A set that is complete.

    Args:
        path: the index.
        shards: how many files it names.
        nbytes: the sizes of all of those.
        fingerprint: the plan's.
    """

    path: str
    shards: int
    nbytes: int
    fingerprint: str


def finalize(store: Store) -> Published:
    """Publishes the set that ranks have written to a folder, as `initcfg.finalize` says."""
    text = store.claimed()
    if text is None:
        return _published_before(store)
    claim = SetClaim.parse(text)
    if claim is None:
        message = "the folder is being written by another release of initcfg"
        hint = "finalize it with that release"
        raise OutputError.of(Code.OTHER_PLAN, message, hint=hint, where=Location(store.place))
    try:
        with store.joining(text) as hold:
            store.sweep()
            published = publish(store, claim)
            hold.release()
    except ClaimLostError:
        if store.claimed() is not None:
            raise
        # Somebody else has published the set since the claim was read.
        return _published_before(store)
    return published


def publish(store: Store, claim: SetClaim) -> Published:
    """Writes the index, when every shard that the claim counts is there with the header it should have."""
    names = [shard_name(number, claim.shards) for number in range(1, claim.shards + 1)]
    index, digest, nbytes = _look_at(store, names, claim.spec)
    if digest != claim.set:
        message = "the shards are not all of the set that this folder was claimed for"
        hint = "run all ranks again with the same spec and the same options; verify tells which file is wrong"
        raise FormatError.of(Code.OTHER_PLAN, message, hint=hint, where=Location(store.place))
    store.write_text(INDEX_NAME, index)
    return Published(store.path(INDEX_NAME), len(names), nbytes, claim.plan)


def _published_before(store: Store) -> Published:
    size = store.size(INDEX_NAME)
    if size is None:
        message = "no rank has begun to write a set here"
        hint = "initcfg materialize SPEC -o DIR --rank R --world-size W begins one"
        raise InitcfgError.of(Code.UNFINISHED, message, hint=hint, where=Location(store.place))
    text = store.read(INDEX_NAME, 0, min(size, MAX_INDEX_BYTES))
    said = read_index(store.path(INDEX_NAME), text)
    # A set without tensors has one file all the same.
    names = sorted(set(said.weight_map.values())) or [shard_name(1, 1)]
    index, _, nbytes = _look_at(store, names, said.metadata.get(SPEC_KEY))
    if index.encode() != text or PLAN_KEY not in said.metadata:
        message = (
            "the folder holds an index that initcfg has not written, or that its shards do not agree with"
        )
        hint = "initcfg verify compares a folder with its spec"
        raise FormatError.of(Code.OTHER_PLAN, message, hint=hint, where=Location(store.place))
    return Published(store.path(INDEX_NAME), len(names), nbytes, said.metadata[PLAN_KEY])


def _look_at(store: Store, names: Sequence[str], spec: str | None) -> tuple[str, str, int]:
    """The index of the shards of a folder, the digest over their headers, and the bytes of all."""
    sizes = store.sizes()
    missing = [name for name in names if name not in sizes]
    if missing:
        more = f" and {len(missing) - _SHOWN:,} more" if missing[_SHOWN:] else ""
        shown = ", ".join(missing[:_SHOWN]) + more
        message = f"shards are missing, {len(missing):,} of {len(names):,}: {shown}"
        hint = "run the ranks again that have not ended; what is finished is kept"
        raise InitcfgError.of(Code.UNFINISHED, message, hint=hint, where=Location(store.place))
    contents = {name: _header(store, name, sizes[name]) for name in names}
    headers = {
        name: header_in(io.BytesIO(content), store.path(name), sizes[name])
        for name, content in contents.items()
    }
    files = ((name, header.tensors.values(), header.metadata) for name, header in headers.items())
    index = index_text(index_of(files, spec))
    return index, digest_of(contents.items()), sum(header.nbytes for header in headers.values())


def _header(store: Store, name: str, size: int) -> bytes:
    length = int.from_bytes(store.read(name, 0, _LENGTH_BYTES), "little")
    return store.read(name, 0, _LENGTH_BYTES + min(length, MAX_HEADER_BYTES, max(size, 0)))
