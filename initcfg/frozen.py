"""Values that cannot change: what a frozen dataclass does, and a mapping to be shared, hashed and pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

K = TypeVar("K")
V_co = TypeVar("V_co", covariant=True)
C = TypeVar("C", bound=type[Any])


def by_value(cls: C) -> C:
    """Compare, hash and show a frozen dataclass by its fields, as one with ``eq`` and ``repr`` is.

    The dataclass itself would compile three functions for that, which at a start takes half of its time.
    """
    values = attrgetter(*[each.name for each in fields(cls) if each.compare])
    shown = [each.name for each in fields(cls) if each.repr]

    def is_equal(self: object, other: object) -> bool:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def text(self: object) -> str:
        pairs = ", ".join([f"{name}={getattr(self, name)!r}" for name in shown])
        return f"{type(self).__qualname__}({pairs})"

    made: Any = cls
    made.__eq__, made.__hash__ = is_equal, lambda self: hash(values(self))
    if "__repr__" not in vars(cls):
        made.__repr__ = text
    return cls


class FrozenDict(Mapping[K, V_co]):
    """A mapping that cannot change; it keeps its order and equals any mapping with equal items."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[K, V_co] | Iterable[tuple[K, V_co]] = ()) -> None:
        self._items: dict[K, V_co] = dict(items)

    def __getitem__(self, key: K) -> V_co:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)

    def __reduce__(self) -> tuple[type[FrozenDict[K, V_co]], tuple[dict[K, V_co]]]:
        return type(self), (self._items,)
