"""The index of a set, from what its shards hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from initcfg.formats.index import Index
from initcfg.formats.metadata import SPEC_KEY, TIED_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Each shard has its own; what loads weights looks for them there.
_OF_A_SHARD = {TIED_KEY, "format"}


class Tensor(Protocol):
    """What an index says of a tensor."""

    @property
    def name(self) -> str:
        """The name of the parameter."""

    @property
    def numel(self) -> int:
        """The number of elements."""

    @property
    def nbytes(self) -> int:
        """The bytes of the elements."""


def index_of(
    shards: Iterable[tuple[str, Iterable[Tensor], Mapping[str, str]]], spec: str | None = None
) -> Index:
    """The index of files that are given by name, tensors and metadata, of which all have the same texts.

    The spec is in the index alone: a text for each of thousands of shards would say the same.
    """
    weight_map: dict[str, str] = {}
    size = numel = 0
    texts: Mapping[str, str] = {}
    for file, tensors, metadata in shards:
        texts = metadata
        for tensor in tensors:
            weight_map[tensor.name] = file
            size += tensor.nbytes
            numel += tensor.numel
    kept = {key: text for key, text in texts.items() if key not in _OF_A_SHARD}
    return Index(weight_map, size, numel, kept if spec is None else {**kept, SPEC_KEY: spec})
