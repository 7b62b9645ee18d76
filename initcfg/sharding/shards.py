"""A plan cut into shards: which tensors each file holds, every byte of its header, and which rank writes it.

The division is that of Hugging Face's libraries: tensors in the plan's order, a new file where the next
tensor would make one too large, no tensor split, one that is too large alone. It follows from the plan and
the size, and who writes what from the sizes and the number of ranks, so any process knows both.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from initcfg.formats import TensorInfo
from initcfg.formats.base import SPEC_KEY, TIED_KEY, refuse
from initcfg.formats.index import TOTALS, Index, index_text
from initcfg.formats.safetensors import FileLayout, layout
from initcfg.generate.files import carried_spec, file_metadata, left_out
from initcfg.plan.plan import owner, selected
from initcfg.process import cached_property

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from initcfg.plan import Plan, PlannedParameter

MAX_SHARDS = 99_999
"""As many as have names in Hugging Face's layout."""
# Each shard has its own; what loads weights looks for them there.
_OF_A_SHARD = {TIED_KEY, "format"}
DEFAULT_SHARD_SIZE = "5GB"
"""What Hugging Face's libraries cut at."""
_SIZE = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?) ?(?P<unit>[KMGT]?(iB|B)?)", re.IGNORECASE)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_EVEN_PARTS = 10
_MOST = 2**20


@dataclass(frozen=True)
class Shard:
    """One file of a set; a value that any process can write the file from."""

    name: str
    metadata: Mapping[str, str]
    layout: FileLayout
    sources: Mapping[str, PlannedParameter]  # by the tensor's name

    @property
    def nbytes(self) -> int:
        """The size of the file."""
        return self.layout.nbytes


@dataclass(frozen=True)
class ShardSet:
    """All files of a set in order, the `tied` names that were left out, and the `spec` of its index."""

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

    A SpecError where the plan holds code, so that nothing could tell two sets apart; a FormatError where
    safetensors cannot hold a name or the metadata, or there are too many shards.

    Example:
        >>> import initcfg
        >>> layer = {"repeat": {"i": 6}, "params": {"w": {"shape": [256, 256], "initializer": "ones"}}}
        >>> plan = initcfg.make_plan({"initcfg": 1, "layers": {"h.{i}": layer}})
        >>> [len(shard.layout.tensors) for shard in shard_set(plan, 600_000).shards]
        [2, 2, 2]
    """
    taken = [key for key in TOTALS if key in (metadata or {})]
    if taken:
        raise refuse(f"the metadata key {taken[0]!r} is a number of the index", "choose another key")
    chosen = selected(plan, select)
    tied = {} if write_tied else left_out(chosen)
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


def shard_name(number: int, total: int) -> str:
    """The name of a file as Hugging Face's libraries give it."""
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


def index_of(
    shards: Iterable[tuple[str, Iterable[TensorInfo], Mapping[str, str]]], spec: str | None = None
) -> Index:
    """The index of files by name, tensors and metadata, which has the spec once for all of them."""
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


def shard_bytes(size: int | str) -> int:
    """A number of bytes, from one or from a text: ``"5GB"`` (10**9 each), ``"4 GiB"`` (2**30), ``"50M"``."""
    given = size
    found = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if found is not None:
        unit = found["unit"].lower()
        base = 1024 if unit.endswith("ib") else 1000
        size = int(Fraction(found["number"]) * base ** _POWER[unit.rstrip("ib")])
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(
            f'a shard size is a number of bytes, or a text such as "5GB" or "500MiB", not {given!r}'
        )
    return size


def size_text(nbytes: int) -> str:
    """A text that `shard_bytes` reads as this number."""
    power = next(power for power in (9, 6, 3, 0) if nbytes % 10**power == 0)
    return f"{nbytes // 10**power}{ {9: 'G', 6: 'M', 3: 'k', 0: ''}[power] }B"


def assigned(sizes: Sequence[int], world_size: int) -> list[list[int]]:
    """The positions of each rank's shards: the largest first, each to the rank that has least so far.

    No rank has more than 4/3 of what the best division would give the fullest one (Graham 1969, "Bounds on
    multiprocessing timing anomalies"). Ranks beyond the number of shards have none.

    Example:
        >>> assigned([5, 5, 5, 2], 2)
        [[0, 2], [1, 3]]
    """
    loads = [(0, rank) for rank in range(world_size)]
    shards: list[list[int]] = [[] for _ in range(world_size)]
    for position in sorted(range(len(sizes)), key=lambda position: (-sizes[position], position)):
        load, rank = heapq.heappop(loads)
        shards[rank].append(position)
        heapq.heappush(loads, (load + sizes[position], rank))
    return [sorted(positions) for positions in shards]


def loads(sizes: Sequence[int], world_size: int) -> list[int]:
    """The bytes of each rank."""
    return [sum(sizes[position] for position in positions) for positions in assigned(sizes, world_size)]


def imbalance(shares: Sequence[int]) -> float:
    """How much more the fullest rank has than a rank has on average: 0.1 is ten percent."""
    total = sum(shares)
    return max(shares) * len(shares) / total - 1 if total else 0.0


def even_shard_size(total: int, world_size: int) -> int:
    """A tenth of a rank's average: no rank then has over 10 percent more, unless a tensor is larger."""
    size = max(1, total // (_EVEN_PARTS * world_size))
    unit: int = 10 ** max(0, len(str(size)) - 2)
    return size // unit * unit


@dataclass(frozen=True, slots=True)
class Rank:
    """A process among several, numbered from 0; a ValueError where there is no such rank."""

    number: int
    world_size: int

    @classmethod
    def of(cls, number: int | None, world_size: int | None) -> Rank:
        """A rank, from two numbers of which neither makes sense without the other."""
        if number is None or world_size is None:
            raise ValueError("rank and world_size go together: give both, or neither")
        return cls(number, world_size)

    def __post_init__(self) -> None:
        if self.world_size > _MOST:
            raise ValueError(f"there may be {_MOST:,} ranks at most, not {self.world_size:,}")
        if self.world_size < 1 or not 0 <= self.number < self.world_size:
            raise ValueError(
                f"of {self.world_size} ranks the first is 0 and the last {self.world_size - 1}; "
                f"there is no rank {self.number}"
            )

    def __str__(self) -> str:
        return f"rank {self.number} of {self.world_size}"
