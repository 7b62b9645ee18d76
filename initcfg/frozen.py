"""Values that cannot change: dataclasses, named tuples, and a mapping to be shared, hashed and pickled.

A start makes more than a hundred classes of them. Python's own makers compile six functions for a frozen
dataclass and each annotation of a named tuple, which is a tenth of the start; these compile one.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Mapping
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import NamedTuple  # noqa: TID251

K = TypeVar("K")
V_co = TypeVar("V_co", covariant=True)
C = TypeVar("C", bound=type[Any])

__all__ = ["FrozenDict", "NamedTuple", "frozen"]


@overload
def frozen(cls: C, /) -> C: ...


@overload
def frozen(*, slots: bool = True, kw_only: bool = False, eq: bool = True) -> Callable[[C], C]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: C | None = None, /, *, slots: bool = True, kw_only: bool = False, eq: bool = True) -> Any:
    """Make a class a frozen dataclass, compared, hashed and shown by its fields.

    A default is a value; there are no factories.

    Args:
        cls: the class.
        slots: whether its instances have only their fields; False for cached properties.
        kw_only: whether its fields are given by name.
        eq: whether equal fields make equal values; False for arrays, which have no one answer.

    Example:
        >>> @frozen
        ... class Point:
        ...     x: int
        ...     y: int = 0
        >>> Point(1), Point(1, 0) == Point(x=1)
        (Point(x=1, y=0), True)
    """
    make = partial(_frozen, slots=slots, kw_only=kw_only, eq=eq)
    return make if cls is None else make(cls)


def _frozen(cls: type[Any], *, slots: bool, kw_only: bool, eq: bool) -> Any:
    made: Any = dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(cls)
    values = attrgetter(*[each.name for each in fields(made) if each.compare])

    def is_equal(self: object, other: object) -> bool:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    given: dict[str, Any] = {"__repr__": _text}
    if eq:
        given |= {"__eq__": is_equal, "__hash__": lambda self: hash(values(self))}
    if slots:
        given["__setstate__"] = _restore
    for name in given.keys() - vars(cls).keys():  # the class has its own of the others
        setattr(made, name, given[name])
    made.__init__ = _constructor(made)
    made.__setattr__ = made.__delattr__ = _refuse
    return made


def _constructor(cls: type[Any]) -> Callable[..., None]:
    """The ``__init__`` of a dataclass: a parameter and an assignment a field, then ``__post_init__``."""
    scope: dict[str, Any] = {"__name__": cls.__module__, "assign": object.__setattr__}
    given = sorted([each for each in fields(cls) if each.init], key=attrgetter("kw_only"))
    head, body = ["self"], []
    for each in given:
        if each.kw_only and "*" not in head:
            head.append("*")
        default = f"default_{each.name}"
        head.append(each.name if each.default is MISSING else f"{each.name}={default}")
        scope[default] = each.default
        body.append(f"assign(self, {each.name!r}, {each.name})")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    exec(f"def __init__({', '.join(head)}): {'; '.join(body)}", scope)  # noqa: S102  of names of fields
    made: Callable[..., None] = scope["__init__"]
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__annotations__ = {each.name: each.type for each in given} | {"return": None}
    return made


def _refuse(self: object, name: str, *_: object) -> None:
    raise FrozenInstanceError(f"cannot change {name!r} of a frozen {type(self).__name__}")


def _restore(self: object, state: tuple[None, dict[str, Any]]) -> None:
    """Take the slots' values that a copy or a pickle gives."""
    for name, value in state[1].items():
        object.__setattr__(self, name, value)


def _text(self: Any) -> str:
    pairs = ", ".join([f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr])
    return f"{type(self).__qualname__}({pairs})"


if not TYPE_CHECKING:

    class _TupleOfFields(type):
        """Makes a named tuple of a class body, as `typing.NamedTuple` does."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(cls, name, bases, body)
            names = body.get("__annotations__", ())
            defaults = [body.pop(each) for each in names if each in body]
            made = namedtuple(name, names, defaults=defaults, module=body["__module__"])
            for key, value in body.items():
                setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_TupleOfFields):
        """`typing.NamedTuple`, whose annotations are not looked at."""


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
