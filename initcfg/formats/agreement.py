"""Whether the index of a sharded set and the headers of its shards say the same; if not, what differs.

A tensor in another shard than the index says, one that it does not name, or shards of two plans are what
remains of a run that was not finished, or of two that were mixed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, Location
from initcfg.formats.metadata import PLAN_KEY, SELECT_KEY, TIED_KEY, tied_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from initcfg.formats.header import Header
    from initcfg.formats.index import Index

STALE = "take the index and the shards from one place, or write them again"
"""The way out of most disagreements."""
_MIXED = "the shards of a set are made from one plan: write those of the other plan again"

_Origin = tuple[str | None, str | None]


def disagreements(path: Path, index: Index, headers: Mapping[str, Header]) -> Iterator[Diagnostic]:
    """What index and shards do not agree about: first the tensors; if these agree, the rest.

    Args:
        path: of the index.
        index: what it says.
        headers: what each shard holds.
    """
    stop = False
    for problem in _misplaced(path, index, headers):
        stop = True
        yield problem
    if not stop:
        yield from _other_size(path, index, headers)
        yield from _other_plans(path, index, headers)
        yield from _ties(path, index, headers)


def _misplaced(path: Path, index: Index, headers: Mapping[str, Header]) -> Iterator[Diagnostic]:
    """Tensors that are not where the index says, and those that a shard holds beyond it."""
    for name, shard in index.weight_map.items():
        if name not in headers[shard].tensors:
            others = [other for other, header in headers.items() if name in header.tensors]
            there = f"; {others[0]!r} does" if others else ""
            yield _problem(f"the shard {shard!r} does not hold {name!r}{there}", index.where[name])
    for shard, header in headers.items():
        for name in header.tensors:
            named = index.weight_map.get(name)
            if named is None:
                message = f"the shard {shard!r} holds {name!r}, which the index does not list"
                yield _problem(message, _at(path, shard))
            elif named != shard and name in headers[named].tensors:
                message = f"{name!r} is in two shards: {named!r}, where the index has it, and {shard!r}"
                yield _problem(message, index.where[name])


def _other_size(path: Path, index: Index, headers: Mapping[str, Header]) -> Iterator[Diagnostic]:
    nbytes = sum(tensor.nbytes for header in headers.values() for tensor in header.tensors.values())
    if index.total_size not in (None, nbytes):
        message = f"'total_size' is {index.total_size:,}, the tensors have {nbytes:,} bytes"
        yield _problem(message, Location(os.fspath(path), path=("metadata", "total_size")))


def _other_plans(path: Path, index: Index, headers: Mapping[str, Header]) -> Iterator[Diagnostic]:
    """The shards that are not of the plan that the index names, or, if it names none, of the first's."""
    origins = {shard: _origin(header.metadata) for shard, header in headers.items()}
    told, ours = "the index", _origin(index.metadata)
    if ours == (None, None) and origins:
        told, ours = next((repr(shard), origin) for shard, origin in origins.items())
    for shard, origin in origins.items():
        if origin != ours:
            message = f"the set is mixed: {shard!r} is of {_words(origin)}, {told} is of {_words(ours)}"
            yield _problem(message, _at(path, shard), _MIXED)


def _origin(metadata: Mapping[str, str]) -> _Origin:
    """The fingerprint of a plan, and the part of it; None for what a file does not say."""
    return metadata.get(PLAN_KEY), metadata.get(SELECT_KEY)


def _words(origin: _Origin) -> str:
    plan, part = origin
    return (f"the plan {plan[:16]!r}" if plan else "no plan") + (f" (only {part!r})" if part else "")


def _ties(path: Path, index: Index, headers: Mapping[str, Header]) -> Iterator[Diagnostic]:
    """Ties that are malformed, or that contradict each other."""
    known: dict[str, str] = {}
    texts = {path.name: index.metadata} | {shard: header.metadata for shard, header in headers.items()}
    for file, metadata in texts.items():
        try:
            tied = tied_names(metadata)
        except ValueError as error:
            yield _problem(f"the metadata {TIED_KEY!r} of the file {error}", _at(path, file))
            continue
        for name, shared in tied.items():
            if known.setdefault(name, shared) != shared:
                message = f"{name!r} shares {shared!r} here, and {known[name]!r} elsewhere in the set"
                yield _problem(message, _at(path, file), _MIXED)


def _at(path: Path, shard: str) -> Location:
    return Location(os.fspath(path.parent / shard))


def _problem(message: str, where: Location, hint: str = STALE) -> Diagnostic:
    return Diagnostic(Code.FORMAT, message, where, hint)
