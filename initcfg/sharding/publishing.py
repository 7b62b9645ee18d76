"""The end of a run: when every shard is there, the index says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, FormatError, InitcfgError, Location, OutputError
from initcfg.formats.base import PLAN_KEY, SPEC_KEY
from initcfg.formats.index import INDEX_NAME, MAX_INDEX_BYTES, index_text, parse_index
from initcfg.formats.safetensors import MAX_HEADER_BYTES, parse_header
from initcfg.sharding.inventory import SetClaim
from initcfg.sharding.shards import digest_of, index_of, shard_name
from initcfg.stores.base import ClaimLostError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.stores import Store

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
        raise _foreign_claim(store)
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
    found = _look_at(
        store, [shard_name(number, claim.shards) for number in range(1, claim.shards + 1)], claim.spec
    )
    if found.digest != claim.set:
        raise _mixed(store)
    store.write_text(INDEX_NAME, found.index)
    return found.published(store, claim.plan)


def _published_before(store: Store) -> Published:
    size = store.size(INDEX_NAME)
    if size is None:
        raise _nothing_begun(store)
    text = store.read(INDEX_NAME, 0, min(size, MAX_INDEX_BYTES))
    index = parse_index(store.path(INDEX_NAME), text)
    # A set without tensors has one file all the same.
    found = _look_at(
        store, sorted(set(index.weight_map.values())) or [shard_name(1, 1)], index.metadata.get(SPEC_KEY)
    )
    if found.index.encode() != text or PLAN_KEY not in index.metadata:
        raise _not_ours(store)
    return found.published(store, index.metadata[PLAN_KEY])


@dataclass(frozen=True, slots=True)
class _Found:
    """What the headers of all shards of a folder say."""

    names: Sequence[str]
    digest: str
    index: str
    nbytes: int

    def published(self, store: Store, fingerprint: str) -> Published:
        return Published(store.path(INDEX_NAME), len(self.names), self.nbytes, fingerprint)


def _look_at(store: Store, names: Sequence[str], spec: str | None) -> _Found:
    sizes = store.sizes()
    missing = [name for name in names if name not in sizes]
    if missing:
        raise _unfinished(store, missing, len(names))
    contents = {name: _header(store, name, sizes[name]) for name in names}
    headers = {name: parse_header(store.path(name), contents[name], sizes[name]) for name in names}
    files = ((name, header.tensors.values(), header.metadata) for name, header in headers.items())
    index = index_of(files, spec)
    nbytes = sum(header.nbytes for header in headers.values())
    return _Found(names, digest_of(contents.items()), index_text(index), nbytes)


def _header(store: Store, name: str, size: int) -> bytes:
    length = int.from_bytes(store.read(name, 0, _LENGTH_BYTES), "little")
    return store.read(name, 0, _LENGTH_BYTES + min(length, MAX_HEADER_BYTES, max(size, 0)))


def _unfinished(store: Store, missing: Sequence[str], total: int) -> InitcfgError:
    more = f" and {len(missing) - _SHOWN:,} more" if missing[_SHOWN:] else ""
    shown = ", ".join(missing[:_SHOWN]) + more
    message = f"shards are missing, {len(missing):,} of {total:,}: {shown}"
    hint = "run the ranks again that have not ended; what is finished is kept"
    return InitcfgError(Diagnostic(Code.UNFINISHED, message, Location(store.place), hint))


def _nothing_begun(store: Store) -> InitcfgError:
    message = "no rank has begun to write a set here"
    hint = "initcfg materialize SPEC -o DIR --rank R --world-size W begins one"
    return InitcfgError(Diagnostic(Code.UNFINISHED, message, Location(store.place), hint))


def _mixed(store: Store) -> FormatError:
    message = "the shards are not all of the set that this folder was claimed for"
    hint = "run all ranks again with the same spec and the same options; verify tells which file is wrong"
    return FormatError(Diagnostic(Code.OTHER_PLAN, message, Location(store.place), hint))


def _not_ours(store: Store) -> FormatError:
    message = "the folder holds an index that initcfg has not written, or that its shards do not agree with"
    hint = "initcfg verify compares a folder with its spec"
    return FormatError(Diagnostic(Code.OTHER_PLAN, message, Location(store.place), hint))


def _foreign_claim(store: Store) -> OutputError:
    message = "the folder is being written by another release of initcfg"
    hint = "finalize it with that release"
    return OutputError(Diagnostic(Code.OTHER_PLAN, message, Location(store.place), hint))
