"""A plan cut into shards: which tensors each file holds, and every byte of its header.

The division is that of Hugging Face's libraries: tensors in the plan's order, a new file where the next
tensor would make one too large, no tensor split, one that is too large alone. It follows from the plan and
the size, so any process knows it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from initcfg.formats import TensorInfo
from initcfg.formats.base import refuse
from initcfg.formats.index import TOTALS, index_text
from initcfg.formats.safetensors import layout
from initcfg.generate.files import carried_spec, file_metadata
from initcfg.generate.memory import owner, selected
from initcfg.sharding.indexing import index_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from initcfg.formats.safetensors import FileLayout
    from initcfg.plan import Plan, PlannedParameter

MAX_SHARDS = 99_999
"""As many as have names in Hugging Face's layout."""


@dataclass(frozen=True)
class Shard:
    """One file of a set; a value that any process can write the file from.

    Args:
        name: of the file.
        metadata: the texts in its header.
        layout: where everything stands in it.
        sources: by tensor name, the parameter whose values it holds.
    """

    name: str
    metadata: Mapping[str, str]
    layout: FileLayout
    sources: Mapping[str, PlannedParameter]

    @property
    def nbytes(self) -> int:
        """The size of the file."""
        return self.layout.nbytes


@dataclass(frozen=True)
class ShardSet:
    """All files of a set, without their index.

    Args:
        shards: in the order of their numbers.
        tied: the names that were left out because they share the tensor of another name, with that name.
        fingerprint: the plan's.
        spec: the text of the plan's spec, where the index is to carry it.
    """

    shards: tuple[Shard, ...]
    tied: Mapping[str, str]
    fingerprint: str
    spec: str | None = None

    @property
    def sizes(self) -> list[int]:
        """The size of each file."""
        return [shard.nbytes for shard in self.shards]

    @property
    def nbytes(self) -> int:
        """The sizes of all files."""
        return sum(self.sizes)

    @cached_property
    def index(self) -> str:
        """The text of the index."""
        files = ((each.name, each.layout.tensors, each.metadata) for each in self.shards)
        return index_text(index_of(files, self.spec))

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names and headers: equal for sets with the same files."""
        return digest_of((shard.name, shard.layout.header) for shard in self.shards)


def shard_set(
    plan: Plan,
    shard_size: int,
    *,
    select: str | None = None,
    write_tied: bool = False,
    metadata: Mapping[str, str] | None = None,
    carry_spec: bool = True,
) -> ShardSet:
    """Cuts a plan into shards; nothing is made.

    Args:
        plan: the plan.
        shard_size: the most bytes of elements in one file, unless one tensor alone has more.
        select: a glob over names; None takes all.
        write_tied: write a tied name as a tensor of its own, which is otherwise left out where the name
            that it is tied to is written.
        metadata: texts for the header of every file.
        carry_spec: put the spec into the index too, if it takes 64 KiB at most, so that ``verify`` needs no
            other file.

    Raises:
        SpecError: the plan holds code, so nothing could tell two sets apart (code ``not-serializable``).
        UnknownParameterError: `select` matches nothing.
        FormatError: safetensors cannot hold a name or the metadata, or there are too many shards.

    Example:
        >>> import initcfg
        >>> layer = {"repeat": {"i": 6}, "params": {"w": {"shape": [256, 256], "initializer": "ones"}}}
        >>> plan = initcfg.make_plan({"initcfg": 1, "layers": {"h.{i}": layer}})
        >>> [len(shard.layout.tensors) for shard in shard_set(plan, 600_000).shards]
        [2, 2, 2]
    """
    _require_free(metadata or {})
    chosen = selected(plan, select)
    names = {parameter.name for parameter in chosen}
    tied = (
        {}
        if write_tied
        else {p.name: p.tied_to for p in chosen if p.tied_to is not None and p.tied_to in names}
    )
    sources = {p.name: owner(plan, p) for p in chosen if p.name not in tied}
    tensors = [TensorInfo(name, source.dtype, source.shape) for name, source in sources.items()]
    groups = list(_divided(tensors, shard_size)) or [[]]
    if len(groups) > MAX_SHARDS:
        raise refuse(f"{len(groups):,} shards are more than {MAX_SHARDS:,}", "give a larger shard size")
    shards = []
    for number, group in enumerate(groups, 1):
        held = {tensor.name for tensor in group}
        ties = {name: target for name, target in tied.items() if target in held}
        texts = file_metadata(plan.fingerprint, select, ties, metadata or {})
        own = {name: sources[name] for name in held}
        shards.append(Shard(shard_name(number, len(groups)), texts, layout(group, texts), own))
    return ShardSet(tuple(shards), tied, plan.fingerprint, carried_spec(plan) if carry_spec else None)


def _require_free(metadata: Mapping[str, str]) -> None:
    for key in TOTALS:
        if key in metadata:
            raise refuse(f"the metadata key {key!r} is a number of the index", "choose another key")


def shard_name(number: int, total: int) -> str:
    """The name of a file as Hugging Face's libraries give it.

    Example:
        >>> shard_name(1, 30)
        'model-00001-of-00030.safetensors'
    """
    return f"model-{number:05}-of-{total:05}.safetensors"


def digest_of(headers: Iterable[tuple[str, bytes]]) -> str:
    """SHA-256, in hexadecimal, over the names and headers of files in their order."""
    digest = hashlib.sha256()
    for name, header in headers:
        # A header begins with its own length.
        digest.update(name.encode() + b"\n" + header)
    return digest.hexdigest()


def _divided(tensors: Sequence[TensorInfo], shard_size: int) -> Iterator[list[TensorInfo]]:
    group: list[TensorInfo] = []
    size = 0
    for tensor in tensors:
        if tensor.nbytes > shard_size:
            yield [tensor]
            continue
        if size + tensor.nbytes > shard_size:
            yield group
            group, size = [], 0
        group.append(tensor)
        size += tensor.nbytes
    if group:
        yield group
