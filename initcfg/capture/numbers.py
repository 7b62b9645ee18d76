"""What a number of a model comes from: its config is changed value by value, and the model made again.

An expression is kept only if it has exactly the names whose change changes the number, and predicts every
model that was made. Two numbers that merely are equal say nothing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

from initcfg.capture.fitting import Point, close, fitted
from initcfg.capture.grouping import starred
from initcfg.capture.layers import is_number
from initcfg.capture.values import Table, Unsaid
from initcfg.expressions import ELEMENT_NAMES, RESERVED_NAMES
from initcfg.process import cached_property

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from initcfg.capture.values import Law, Recorded

#: Makes the model again with some values of its config changed. What its code raises passes through.
Rebuild: TypeAlias = "Callable[[Mapping[str, float]], Sequence[Recorded]]"

_SHRUNK = 2
# A hybrid model whose kinds of layers begin later than this is made with two.
_MOST_SHRUNK = 8
_LAYERS = re.compile("layer|depth")
# What numbers of laws and padding rows are called.
_OFTEN = re.compile("init|range|std|scale|factor|pad")
_TAKEN = RESERVED_NAMES | ELEMENT_NAMES
# One of the values of a list, as an expression has it: ``depths(0)``.
_LISTED = re.compile(r"\(\d+\)$")
# So many models have all values changed; more than half of them should work.
_TOGETHER = 4


@dataclass(frozen=True)
class Build:
    """One model that was made; only the value `changed` of its config differs from that of the build `of`."""

    values: Mapping[str, float]
    tensors: Mapping[str, Recorded]
    changed: str = ""
    of: Build | None = None


@dataclass(frozen=True)
class Source:
    """The numbers of a model's config by names for vars, and a way to make the model with others of them."""

    values: Mapping[str, float] = field(default_factory=dict)
    rebuild: Rebuild | None = None


@dataclass(frozen=True)
class Explained:
    """An expression, the values of the config in it, and the fans that it was seen to hold for."""

    text: str
    names: tuple[str, ...]
    fans: frozenset[float]


Quantity: TypeAlias = "Callable[[Build], float | None]"


class Study:
    """The builds of one model, and what they say of its numbers."""

    def __init__(self, tensors: Sequence[Recorded], source: Source) -> None:
        self._source = source
        self.model = Build(source.values, _named(tensors))
        self._memo: dict[object, Explained | None] = {}
        self._tried: dict[frozenset[tuple[str, float]], Mapping[str, Recorded] | None] = {}

    @cached_property
    def builds(self) -> list[Build]:
        """The model, the same with few layers, and that with one value changed at a time."""
        if self._source.rebuild is None:
            return [self.model]
        base = self._shrunk()
        builds = [self.model] if base is self.model else [self.model, base]
        names = self._telling(base)
        for name in names:
            builds += islice(self._variants(base, name), 1)
        together = list(self._together(base, builds))
        if len(together) <= _TOGETHER // 2:
            for build in [each for each in builds if each.changed]:
                others = self._variants(base, build.changed)
                builds += islice((each for each in others if each.values != build.values), 1)
        return [*builds, *together]

    def _variants(self, base: Build, name: str) -> Iterator[Build]:
        for value in _others(name, base.values[name]):
            tensors = self._made({**_differences(self.model, base), name: value})
            if tensors is not None:
                if _alike(tensors, base.tensors):
                    return
                yield Build({**base.values, name: value}, tensors, name, base)

    def _together(self, base: Build, builds: Sequence[Build]) -> Iterator[Build]:
        """Models with all values changed at once, which tell products from sums and shifts."""
        first = {build.changed: build.values[build.changed] for build in builds if build.changed}
        further: dict[str, float] = {}
        for name, value in first.items():
            others = (each for each in _others(name, base.values[name]) if each != value)
            further[name] = next(others, value)
        mixed = [
            {name: (first, further)[(at + turn) % 2][name] for at, name in enumerate(first)}
            for turn in range(2)
        ]
        for changes in (first, further, *mixed)[: _TOGETHER if len(first) > 1 else 2]:
            tensors = self._made({**_differences(self.model, base), **changes}) if changes else None
            if tensors is not None:
                yield Build({**base.values, **changes}, tensors)

    def _shrunk(self) -> Build:
        """The model with two layers where it has more, or enough for one of each kind: it is sooner made."""
        base = self._with_layers(_SHRUNK)
        firsts: dict[str, int] = {}
        for name in self.model.tensors:
            number = next((int(each) for each in name.split(".") if is_number(each)), 0)
            firsts[starred(name)] = min(number, firsts.get(starred(name), number))
        missing = firsts.keys() - set(map(starred, base.tensors))
        count = max((firsts[each] + 1 for each in missing), default=_SHRUNK)
        more = self._with_layers(count) if _SHRUNK < count <= _MOST_SHRUNK else base
        return base if more is self.model else more

    def _with_layers(self, count: int) -> Build:
        fewer = {
            name: count
            for name, value in self._source.values.items()
            if _LAYERS.search(name.lower()) and isinstance(value, int) and value > count
        }
        tensors = self._made(fewer) if fewer else None
        return self.model if tensors is None else Build({**self._source.values, **fewer}, tensors)

    def _telling(self, base: Build) -> list[str]:
        """The values of the config on which something depends; those that seem idle are tried together."""
        sizes = {size for each in base.tensors.values() for size in each.shape}
        names = [name for name in base.values if _LISTED.sub("", name) not in _TAKEN]
        sized = [name for name in names if base.values[name] in sizes or base.values[name] == _SHRUNK]
        likely = [name for name in names if name in sized or _OFTEN.search(name)]
        telling = likely + self._not_idle(base, [name for name in names if name not in likely])
        return sorted(telling, key=lambda name: (name not in sized, names.index(name)))

    def _not_idle(self, base: Build, names: list[str]) -> list[str]:
        if not names:
            return []
        # By different factors, so that a quotient of two changes too.
        changes = {name: _others(name, base.values[name])[at % 2] for at, name in enumerate(names)}
        tensors = self._made({**_differences(self.model, base), **changes})
        if tensors is not None and _alike(tensors, base.tensors):
            return []
        if len(names) == 1:
            return names
        half = len(names) // 2
        return [*self._not_idle(base, names[:half]), *self._not_idle(base, names[half:])]

    def _made(self, changes: Mapping[str, float]) -> Mapping[str, Recorded] | None:
        """The tensors of another model; None where its code refuses the values, in whatever way."""
        assert self._source.rebuild is not None  # noqa: S101
        key = frozenset(changes.items())
        if key not in self._tried:
            try:
                self._tried[key] = _named(self._source.rebuild(changes))
            except Exception:
                self._tried[key] = None
        return self._tried[key]

    def explain(self, quantity: Quantity, fan: str = "", fans: Quantity | None = None) -> Explained | None:
        """The expression that gives a number in every build; None where nothing changes it or none is found.

        With `fan` the number goes by one over the root of a fan of that name, which `fans` gives.
        """
        observed = tuple(quantity(build) for build in self.builds)
        known = tuple(fans(build) for build in self.builds) if fans else ()
        if (observed, fan, known) not in self._memo:
            self._memo[observed, fan, known] = self._explained(observed, fan, known)
        return self._memo[observed, fan, known]

    def _explained(
        self, observed: Sequence[float | None], fan: str, fans: Sequence[float | None]
    ) -> Explained | None:
        points: list[Point] = []
        reduced: dict[int, float] = {}
        names: dict[str, None] = {}
        for at, (build, number) in enumerate(zip(self.builds, observed, strict=True)):
            by = fans[at] if fans else 1
            if number is None or not by:
                continue
            points.append(Point({**build.values, fan: by} if fan else build.values, number))
            reduced[id(build)] = number * math.sqrt(by)
            before = reduced.get(id(build.of))
            if before is not None and not close(reduced[id(build)], before):
                names[build.changed] = None
        if observed[0] is None or not points or not (names or fan):
            return None
        text = fitted(points, list(names), {fan: Fraction(-1, 2)} if fan else {})
        return None if text is None else Explained(text, tuple(names), frozenset(filter(None, fans)))


def _named(tensors: Sequence[Recorded]) -> dict[str, Recorded]:
    return {each.name: each for each in tensors}


def _differences(one: Build, other: Build) -> dict[str, float]:
    return {name: value for name, value in other.values.items() if value != one.values[name]}


def _alike(one: Mapping[str, Recorded], other: Mapping[str, Recorded]) -> bool:
    """Whether shapes and laws are the same; of what has no law the reason does not matter."""
    return one.keys() == other.keys() and all(
        each.shape == other[name].shape and _said(each.law) == _said(other[name].law)
        for name, each in one.items()
    )


def _said(law: Law) -> str:
    return type(law).__name__ if isinstance(law, Unsaid | Table) else repr(law)


def _others(name: str, value: float) -> list[float]:
    """Values to try in the place of one: few models take all of them. More layers than needed take time."""
    if isinstance(value, int):
        near, far = [value + 1, value + 2], [value * 2, value * 3]
        return (
            [*(near + far if _LAYERS.search(name.lower()) else far + near), value // 2]
            if value > 0
            else [1, 2]
        )
    return [value * 2, value / 2] if value else [0.5, 0.25]
