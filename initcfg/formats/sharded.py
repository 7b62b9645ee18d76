"""What a sharded set holds: its index and the headers of its shards as one header, with no element read."""

from __future__ import annotations

import dataclasses
import json
from itertools import islice
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, FormatError
from initcfg.formats.agreement import STALE, disagreements
from initcfg.formats.header import Header, header_in
from initcfg.formats.index import read_index
from initcfg.formats.metadata import TIED_KEY, common_texts, tied_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from initcfg.errors import Location
    from initcfg.formats.handles import Handles
    from initcfg.formats.index import Index

_MAX_PROBLEMS = 100


def read_set(path: Path, handles: Handles) -> tuple[Header, Index]:
    """What the shards of an index hold, as one header in the order of the index.

    Of the metadata those texts are kept on which the index and all shards agree; ``initcfg.tied`` is that of
    all of them.

    Args:
        path: of the index; the shards stand beside it.
        handles: opens the shards.

    Raises:
        FormatError: a file cannot be read or is malformed, or index and shards do not say the same; with
            every problem (the first hundred).
    """
    index = read_index(path)
    headers = _headers(path, index, handles)
    problems = list(islice(disagreements(path, index, headers), _MAX_PROBLEMS))
    if problems:
        raise FormatError(*problems)
    tensors = {
        name: dataclasses.replace(headers[shard].tensors[name], shard=shard)
        for name, shard in index.weight_map.items()
    }
    metadata = _metadata([index.metadata, *(header.metadata for header in headers.values())])
    nbytes = sum(header.nbytes for header in headers.values())
    return Header(tensors, metadata, nbytes, tuple(headers)), index


def _headers(path: Path, index: Index, handles: Handles) -> dict[str, Header]:
    """The header of every shard, in the order in which the index first names them."""
    headers: dict[str, Header] = {}
    problems: list[Diagnostic] = []
    named: dict[str, str] = {}
    for name, shard in index.weight_map.items():
        named.setdefault(shard, name)
    for shard, name in named.items():
        try:
            with handles.using(path.parent / shard) as file:
                headers[shard] = header_in(file, path.parent / shard)
        except FormatError as error:
            problems += [_at_index(each, shard, index.where[name]) for each in error.diagnostics]
        if len(problems) >= _MAX_PROBLEMS:
            break
    if problems:
        raise FormatError(*problems)
    return headers


def _at_index(problem: Diagnostic, shard: str, where: Location) -> Diagnostic:
    """A shard that cannot be read is told where the index names it; one that is malformed names itself."""
    if problem.code is not Code.INPUT:
        return problem
    return Diagnostic(Code.INPUT, f"the shard {shard!r}: {problem.message}", where, problem.hint or STALE)


def _metadata(texts: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The texts that all agree on, and the tied names of all."""
    found = list(texts)
    tied = {name: shared for each in found for name, shared in tied_names(each).items()}
    common = common_texts(found)
    common.pop(TIED_KEY, None)
    return common | ({TIED_KEY: json.dumps(tied, sort_keys=True, ensure_ascii=False)} if tied else {})
