"""Numbered copies of a layer taken together, and where each group of parameters stands in a spec."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from initcfg.manifest import ManifestEntry

_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
# So few copies are taken for those of a layer only where most of what they hold is alike.
_FEW = 3


@dataclass(frozen=True, slots=True)
class Index:
    """A segment that counts; `total` is as `stop`, for everything that is numbered in this place."""

    start: int
    stop: int
    total: int


Segment = str | Index

# At the ends of segments that are parts of one: no name has it.
_GLUE = "\0"
_INSIDE = re.compile(r"(?<![0-9])(?:0|[1-9][0-9]{0,8})(?![0-9])")


def numbers_apart(name: str) -> str:
    """A name in which numbers inside of segments, as of ``block_1``, are segments too; the last one stays.

    Example:
        >>> _whole(numbers_apart("block1_norm.scale")), numbers_apart("block1_norm.scale").count(".")
        ('block1_norm.scale', 3)
    """
    *segments, last = name.split(".")
    apart = (
        each if is_number(each) else _INSIDE.sub(lambda found: f"{_GLUE}.{found[0]}.{_GLUE}", each)
        for each in segments
    )
    return ".".join((*(each.removesuffix(f".{_GLUE}").removeprefix(f"{_GLUE}.") for each in apart), last))


def _whole(name: str) -> str:
    """What `numbers_apart` was given."""
    return name.replace(f"{_GLUE}.", "").replace(f".{_GLUE}", "")


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters of one shape and dtype whose names differ in counting segments only."""

    segments: tuple[Segment, ...]
    entry: ManifestEntry

    @property
    def example(self) -> str:
        """The name of the first of them."""
        return _whole(".".join(each if isinstance(each, str) else str(each.start) for each in self.segments))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all of them."""
        names = [""]
        for each in self.segments:
            choices = [each] if isinstance(each, str) else [str(at) for at in range(each.start, each.stop)]
            names = [f"{name}.{choice}" if name else choice for name in names for choice in choices]
        return tuple(map(_whole, names))

    @property
    def is_plain(self) -> bool:
        """Whether the name can stand as a key: braces in it would be read as expressions."""
        return not any(isinstance(each, str) and ("{" in each or "}" in each) for each in self.segments)


def numbers_by_place(name: str, other: str) -> str:
    """Another name, with ``{0}`` in the place of a number that is the first one in `name`, and so on."""
    numbers = [segment for segment in name.split(".") if is_number(segment)]
    segments = [
        f"{{{numbers.index(each)}}}" if is_number(each) and each in numbers else each
        for each in other.split(".")
    ]
    return ".".join(segments)


def with_numbers(template: str, group: Group, place: Place) -> str:
    """The name that `numbers_by_place` made, with the numbers of a group as its layer writes them."""
    letters = iter(re.findall(r"\{(\w+)\}", place.layer or ""))
    numbers = [
        f"{{{next(letters)}}}" if isinstance(each, Index) else each
        for each in group.segments
        if isinstance(each, Index) or is_number(each)
    ]
    return re.sub(r"\{(\d+)\}", lambda match: str(numbers[int(match[1])]), template)


def grouped(entries: Mapping[str, ManifestEntry]) -> tuple[Group, ...]:
    """Parameters by their names, numbered copies taken together; each is in exactly one group.

    Example:
        >>> from initcfg.manifest import Manifest
        >>> groups = grouped(Manifest({"h.0.w": (2,), "h.1.w": (2,), "head.w": (2,)}).entries)
        >>> [group.segments for group in groups]
        [('h', Index(start=0, stop=2, total=2), 'w'), ('head', 'w')]
    """
    groups = [Group(tuple(name.split(".")), entry) for name, entry in entries.items()]
    # The last segment is the parameter's own name, which no layer counts.
    for at in range(max((len(group.segments) for group in groups), default=0) - 1):
        groups = _counted(groups, at)
    return tuple(groups)


def is_number(segment: Segment) -> bool:
    """Whether a segment is a whole number as a count writes it, without leading zeros."""
    return isinstance(segment, str) and _NUMBER.fullmatch(segment) is not None


def _counted(groups: list[Group], at: int) -> list[Group]:
    """The groups, those taken together that a count in the segment `at` tells apart."""
    families: dict[tuple[Segment, ...], list[Group]] = {}
    for group in groups:
        if at < len(group.segments) - 1 and is_number(group.segments[at]) and group.is_plain:
            families.setdefault(group.segments[:at], []).append(group)
    taken: dict[tuple[Segment, ...], Group] = {}
    for family in families.values():
        taken.update(_family(family, at))
    # Each group stands where its first member stood.
    return list(dict.fromkeys(taken.get(group.segments, group) for group in groups))


def _family(family: list[Group], at: int) -> dict[tuple[Segment, ...], Group]:
    """For the members of a family that are alike, the group that they become."""
    numbers = {_number(group, at) for group in family}
    alike: dict[object, list[Group]] = {}
    for group in family:
        alike.setdefault((group.segments[at + 1 :], group.entry), []).append(group)
    runs = [run for run in alike.values() if _is_run(run, at, len(numbers))]
    if len(numbers) <= _FEW and 2 * len(runs) < len(alike):
        return {}
    return dict(_taken(runs, at, max(numbers) + 1))


def _number(group: Group, at: int) -> int:
    return int(str(group.segments[at]))


def _is_run(groups: list[Group], at: int, copies: int) -> bool:
    """Whether groups are numbered without a gap, and at least two and half of all copies."""
    numbers = [_number(group, at) for group in groups]
    return 2 <= len(numbers) == max(numbers) - min(numbers) + 1 and 2 * len(numbers) >= copies


def _taken(runs: Iterable[list[Group]], at: int, total: int) -> Iterator[tuple[tuple[Segment, ...], Group]]:
    for run in runs:
        numbers = [_number(group, at) for group in run]
        index = Index(min(numbers), max(numbers) + 1, total)
        first = run[0]
        whole = Group((*first.segments[:at], index, *first.segments[at + 1 :]), first.entry)
        yield from ((group.segments, whole) for group in run)


_LETTERS = "ijklmnpqrs"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parameter stands: the key of its layer, None for one of no layer, and its own key there."""

    layer: str | None
    key: str

    @property
    def path(self) -> tuple[str, ...]:
        """The keys from the root of the document."""
        return ("params", self.key) if self.layer is None else ("layers", self.layer, "params", self.key)


@dataclass
class Places:
    """Gives out places, and keeps the vars, such as ``n_layers``, and the repeats that they need."""

    vars: dict[str, int] = field(default_factory=dict)
    repeats: dict[str, dict[str, Any]] = field(default_factory=dict)
    _keys: dict[tuple[Segment, ...], str] = field(default_factory=dict)

    def of(self, group: Group) -> Place:
        """The place of a group; no two have the same."""
        if not group.is_plain:
            return self._spelled(group.example)
        cut = _cut(group.segments)
        key = _whole(".".join(map(str, group.segments[cut:])))
        return Place(self._layer(group.segments[:cut]) if cut else None, key)

    def lay_out(self, rows: Iterable[tuple[Place, Any]]) -> dict[str, dict[str, Any]]:
        """What is said of parameters under the keys of a document, each layer with its repeat."""
        params: dict[str, Any] = {}
        layers: dict[str, Any] = {}
        for place, said in rows:
            here = params
            if place.layer is not None:
                repeat = self.repeats.get(place.layer)
                new = ({"repeat": repeat} if repeat else {}) | {"params": {}}
                here = layers.setdefault(place.layer, new)["params"]
            here[place.key] = said
        return {"params": params, "layers": layers}

    def _spelled(self, name: str) -> Place:
        """A name with braces comes out of a list of texts, where braces are letters."""
        head, _, tail = name.rpartition(".")
        layer, key = f"layer_{len(self.repeats)}", f"param_{len(self.repeats)}"
        self.repeats[f"{{{layer}}}"] = {layer: [head], key: [tail]}
        return Place(f"{{{layer}}}", f"{{{key}}}")

    def _layer(self, segments: tuple[Segment, ...]) -> str:
        if segments not in self._keys:
            key, repeat = next(each for each in self._candidates(segments) if each[0] not in self.repeats)
            self._keys[segments] = key
            if repeat:
                self.repeats[key] = repeat
        return self._keys[segments]

    def _candidates(self, segments: tuple[Segment, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Keys for a layer with their repeats: layers over different ranges need indices of other names."""
        ranges = [
            self._range(segments[:at], each) for at, each in enumerate(segments) if isinstance(each, Index)
        ]
        shift = 0
        while True:
            names = [_letter(shift + at) for at in range(len(ranges))]
            holes = iter(names)
            key = ".".join(each if isinstance(each, str) else f"{{{next(holes)}}}" for each in segments)
            yield _whole(key), dict(zip(names, ranges, strict=True))
            shift += 1

    def _range(self, before: tuple[Segment, ...], index: Index) -> Any:
        stop: str | int = index.stop
        if index.stop == index.total:
            stop = self._count(before, index.total)
        return stop if index.start == 0 else {"from": index.start, "to": stop}

    def _count(self, before: Iterable[Segment], total: int) -> str:
        """The var for a number of copies, named after what is counted."""
        words = [each for each in before if isinstance(each, str) and not is_number(each)]
        word = words[-1].strip(f"{_GLUE}_") if words else ""
        base = "n_" + re.sub(r"[^A-Za-z0-9_]", "_", word or "copies")
        name, more = base, 2
        while self.vars.get(name, total) != total:
            name, more = f"{base}_{more}", more + 1
        self.vars[name] = total
        return name


def _letter(at: int) -> str:
    return _LETTERS[at] if at < len(_LETTERS) else f"i{at}"


def _cut(segments: tuple[Segment, ...]) -> int:
    """How many segments are the layer's: up to the last index or number, or else all but a module's own."""
    inner = range(len(segments) - 1)
    counting = [at for at in inner if isinstance(segments[at], Index)]
    numbers = [at for at in inner if is_number(segments[at])]
    cut = max(len(segments) - 2, min(len(segments) - 1, 1))
    if counting or numbers:
        cut = (counting or numbers)[-1] + 1
    while 0 < cut < len(segments) and _GLUE in f"{segments[cut - 1]}"[-1:] + f"{segments[cut]}"[:1]:
        cut += 1
    return cut
