"""What a folder says and holds of the set that is being written to it, and what else stands in its way."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

import initcfg
from initcfg.errors import Code, OutputError
from initcfg.formats.index import INDEX_NAME
from initcfg.names import few
from initcfg.sharding.shards import MAX_SHARDS, Shard, ShardSet
from initcfg.text.json_values import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from initcfg.stores import Store

_TYPES = {"plan": str, "set": str, "shards": int, "made_by": str}
_FORMAT = {"format": "initcfg.run", "version": 1}
# What programs that load a sharded model look for.
_SET_FILE = re.compile(r"model(-[0-9]{5,}-of-[0-9]{5,})?\.safetensors|model\.safetensors\.index\.json")


@dataclass(frozen=True, slots=True)
class SetClaim:
    """Which set a folder is for, and how to tell that it is complete."""

    plan: str  # the fingerprint
    set: str  # the digest over all files' names and headers
    shards: int  # how many files there are to be
    spec: str | None = None  # what the index is to carry
    # Releases promise the same bits but for custom code and BLAS, which a set does not mix in silence.
    made_by: str = f"initcfg {initcfg.__version__} with numpy {np.__version__}"

    @classmethod
    def of(cls, shards: ShardSet) -> SetClaim:
        """The claim of a set."""
        return cls(shards.fingerprint, shards.digest, len(shards.shards), shards.spec)

    @classmethod
    def parse(cls, text: str) -> SetClaim | None:
        """The claim that a text is; None for one of another version, or no claim at all."""
        try:
            fields = parse_json(text)
        except ValueError:
            return None
        if not isinstance(fields, dict) or any(
            fields.pop(key, None) != value for key, value in _FORMAT.items()
        ):
            return None
        types = {name: type(value) for name, value in fields.items()}
        if types not in (_TYPES, _TYPES | {"spec": str}):
            return None
        return cls(**fields) if 1 <= fields["shards"] <= MAX_SHARDS else None

    def refuse_other_versions(self, place: str, found: str | None) -> None:
        """Raises an OutputError where other versions have begun this very set (code ``other-plan``)."""
        other = None if found is None else self.parse(found)
        if other is not None and other != self and replace(other, made_by=self.made_by) == self:
            message = f"{other.made_by} has begun this set in {place!r}, and this process has {self.made_by}"
            hint = "give all ranks the same versions; --force (force=True) goes on with what is there"
            raise OutputError.of(Code.OTHER_PLAN, message, hint=hint)

    @property
    def text(self) -> str:
        """One line of JSON."""
        told = {key: value for key, value in asdict(self).items() if value is not None}
        return json.dumps(_FORMAT | told) + "\n"


@dataclass(frozen=True, slots=True)
class Inventory:
    """A folder, compared with a set."""

    finished: frozenset[str]  # names of shards that are there, whole
    foreign: tuple[str, ...]  # what a program would take for a part of a set, and is none of this one; sorted
    has_index: bool  # that of this set
    sizes: Mapping[str, int]  # of all files


def scan_folder(store: Store, shards: ShardSet, *, is_claimed: bool = False) -> Inventory:
    """Looks at names, sizes and headers; under this claim half a shard may be one that a run is writing."""
    sizes = store.sizes()
    finished = finished_in(store, shards.shards, sizes)
    has_index = _is_index(store, shards, sizes.get(INDEX_NAME))
    ours = finished | ({INDEX_NAME} if has_index else set())
    if is_claimed:
        ours |= {shard.name for shard in shards.shards}
    foreign = sorted(name for name in sizes if _SET_FILE.fullmatch(name) and name not in ours)
    return Inventory(finished, tuple(foreign), has_index, sizes)


def finished_in(
    store: Store | None, shards: Iterable[Shard], sizes: Mapping[str, int] | None = None
) -> frozenset[str]:
    """The names of those shards that are in a folder, whole; none where there is no folder."""
    if store is None:
        return frozenset()
    sizes = store.sizes() if sizes is None else sizes
    return frozenset(each.name for each in shards if is_finished(store, each, sizes.get(each.name)))


def is_finished(store: Store, shard: Shard, size: int | None) -> bool:
    """Whether a file is this shard: it appeared whole, and its header names its plan and its tensors."""
    header = shard.layout.header
    return size == shard.nbytes and store.read(shard.name, 0, len(header)) == header


def _is_index(store: Store, shards: ShardSet, size: int | None) -> bool:
    text = shards.index.encode()
    return size == len(text) and store.read(INDEX_NAME, 0, size) == text


def is_published(store: Store, shards: ShardSet) -> bool:
    """Whether the index of the set is there."""
    return _is_index(store, shards, store.size(INDEX_NAME))


def has_any(store: Store, shards: ShardSet) -> bool:
    """Whether a file with the name of a shard is there."""
    sizes = store.sizes()
    return any(shard.name in sizes for shard in shards.shards)


def make_room(
    store: Store,
    shards: ShardSet,
    share: Sequence[Shard],
    found: str | None,
    *,
    force: bool,
    rehearse: Callable[[], None] = lambda: None,
) -> None:
    """Prepares a folder for a set, while nobody else is in it; all that can be refused is refused first.

    An index goes before anything that it may name. `rehearse`, which may raise, is called before files of
    another set go for shards that are still to be written.
    """
    claim = SetClaim.of(shards).text
    stock = scan_folder(store, shards, is_claimed=found == claim)
    if (found not in (None, claim) or stock.foreign) and not force:
        held = f"holds files that are of another set, or not whole: {few(stock.foreign)}"
        what = held if stock.foreign else "is for another set, which was begun and not finished"
        hint = "write to another folder; --force (force=True) removes what is in the way"
        raise OutputError.of(Code.OTHER_PLAN, f"the folder {store.place!r} {what}", hint=hint)
    missing = [shard for shard in share if shard.name not in stock.finished]
    staged = finished_in(store.staged, missing)
    missing = [shard for shard in missing if shard.name not in staged]
    freed = sum(max(0, stock.sizes[name]) for name in stock.foreign)
    require_space(store, missing, freed)
    if stock.foreign and missing:
        rehearse()
    is_partial = len(stock.finished) < len(shards.shards)
    doomed = [*stock.foreign, *([INDEX_NAME] if stock.has_index and is_partial else [])]
    # A folder cannot be removed, and then nothing has been.
    for name in sorted(doomed, key=lambda name: (stock.sizes[name] >= 0, name != INDEX_NAME)):
        store.remove(name)
    for name in sorted(staged):
        store.adopt(name)


def require_space(store: Store, shards: Sequence[Shard], freed: int = 0) -> None:
    """Refuses shards without room, with `freed` bytes besides; nothing where nobody can tell."""
    needed, free = sum(shard.nbytes for shard in shards), store.free()
    if free is not None and needed > free + freed:
        what = f"no space for {len(shards):,} shards in {store.place!r}"
        message = f"{what}: they take {needed:,} bytes, {free + freed:,} are free"
        hint = "free some space, or write to another file system"
        raise OutputError.of(Code.OUTPUT, message, hint=hint)
