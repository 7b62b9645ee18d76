"""Where each group of parameters stands in a spec: its layer, the layer's repeat, its key there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from initcfg.scaffold.grouping import Group, Index, is_number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initcfg.scaffold.grouping import Segment

_LETTERS = "ijklmnpqrs"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a parameter stands.

    Args:
        layer: the key of its layer, or None for a parameter of no layer.
        key: its key among the parameters there.
    """

    layer: str | None
    key: str

    @property
    def path(self) -> tuple[str, ...]:
        """The keys from the root of the document."""
        return ("params", self.key) if self.layer is None else ("layers", self.layer, "params", self.key)


@dataclass
class Places:
    """Gives out places, and keeps the vars and repeats that they need.

    Args:
        vars: how many copies there are, by names such as ``n_layers``.
        repeats: the repeat of each layer that has one.
    """

    vars: dict[str, int] = field(default_factory=dict)
    repeats: dict[str, dict[str, Any]] = field(default_factory=dict)
    _keys: dict[tuple[Segment, ...], str] = field(default_factory=dict)

    def of(self, group: Group) -> Place:
        """The place of a group; no two have the same."""
        if not group.is_plain:
            return self._spelled(group.example)
        cut = _cut(group.segments)
        key = ".".join(map(str, group.segments[cut:]))
        return Place(self._layer(group.segments[:cut]) if cut else None, key)

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
            yield key, dict(zip(names, ranges, strict=True))
            shift += 1

    def _range(self, before: tuple[Segment, ...], index: Index) -> Any:
        stop: str | int = index.stop
        if index.stop == index.total:
            stop = self._count(before, index.total)
        return stop if index.start == 0 else {"from": index.start, "to": stop}

    def _count(self, before: Iterable[Segment], total: int) -> str:
        """The var for a number of copies, named after what is counted."""
        words = [each for each in before if isinstance(each, str) and not is_number(each)]
        base = "n_" + re.sub(r"[^A-Za-z0-9_]", "_", words[-1] if words else "copies")
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
    if counting or numbers:
        return (counting or numbers)[-1] + 1
    return max(len(segments) - 2, min(len(segments) - 1, 1))
