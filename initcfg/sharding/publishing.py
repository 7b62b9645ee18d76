"""The end of a run: when every shard is there, the index says so."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initcfg.errors import Code, FormatError, InitcfgError, Location, OutputError
from initcfg.formats.base import PLAN_KEY, SPEC_KEY
from initcfg.formats.index import INDEX_NAME, MAX_INDEX_BYTES, index_text, read_index
from initcfg.formats.safetensors import MAX_HEADER_BYTES, header_in
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


def _unfinished(store: Store, missing: Sequence[str], total: int) -> InitcfgError:
    more = f" and {len(missing) - _SHOWN:,} more" if missing[_SHOWN:] else ""
    shown = ", ".join(missing[:_SHOWN]) + more
    message = f"shards are missing, {len(missing):,} of {total:,}: {shown}"
    hint = "run the ranks again that have not ended; what is finished is kept"
    return InitcfgError.of(Code.UNFINISHED, message, hint=hint, where=Location(store.place))


def _nothing_begun(store: Store) -> InitcfgError:
    message = "no rank has begun to write a set here"
    hint = "initcfg materialize SPEC -o DIR --rank R --world-size W begins one"
    return InitcfgError.of(Code.UNFINISHED, message, hint=hint, where=Location(store.place))


def _mixed(store: Store) -> FormatError:
    message = "the shards are not all of the set that this folder was claimed for"
    hint = "run all ranks again with the same spec and the same options; verify tells which file is wrong"
    return FormatError.of(Code.OTHER_PLAN, message, hint=hint, where=Location(store.place))


def _not_ours(store: Store) -> FormatError:
    message = "the folder holds an index that initcfg has not written, or that its shards do not agree with"
    hint = "initcfg verify compares a folder with its spec"
    return FormatError.of(Code.OTHER_PLAN, message, hint=hint, where=Location(store.place))


def _foreign_claim(store: Store) -> OutputError:
    message = "the folder is being written by another release of initcfg"
    hint = "finalize it with that release"
    return OutputError.of(Code.OTHER_PLAN, message, hint=hint, where=Location(store.place))
