"""What a plan consists of: planned parameters, slices of them, parameters that are skipped. No arrays."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field, fields
from types import EllipsisType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, SupportsIndex

from initcfg.dtypes import is_bool
from initcfg.errors import Code, printable
from initcfg.initializers.components import Component, components_of
from initcfg.process import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.errors import Location, Path
    from initcfg.initializers import Initializer
    from initcfg.layout import Fans, Layout
    from initcfg.stream import Stream

BasicIndex = SupportsIndex | slice | EllipsisType | None


class Selection(NamedTuple):
    """What a basic index takes from a shape."""

    ranges: tuple[range, ...]  # for each axis of the shape, the positions taken from it, in order
    shape: tuple[int, ...]  # of the result: integers have taken their axis away, each None has put one in

    @classmethod
    def of(cls, shape: tuple[int, ...], index: BasicIndex | tuple[BasicIndex, ...]) -> Selection:
        """What ``array[index]`` takes from an array of this shape, by NumPy's rules for basic indexing.

        An IndexError where the index does not suit the shape, or holds an array, a list or a bool.

        Example:
            >>> Selection.of((4, 6), (-1, slice(None, None, 2)))
            Selection(ranges=(range(3, 4), range(0, 6, 2)), shape=(3,))
        """
        ranges: list[range] = []
        result: list[int] = []
        for part in _one_an_axis(shape, index if isinstance(index, tuple) else (index,)):
            if part is None:
                result.append(1)
            elif isinstance(part, slice):
                ranges.append(_slice(part, len(ranges), shape))
                result.append(len(ranges[-1]))
            else:
                ranges.append(_position(part, len(ranges), shape))
        return cls(tuple(ranges), tuple(result))

    @property
    def numel(self) -> int:
        """The number of elements taken."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice | EllipsisType, ...]:
        """The same elements as one slice an axis, which keeps the axes that integers take away."""
        # With an ellipsis NumPy gives an array even where there are no axes, not a scalar.
        return (*map(_as_slice, self.ranges), ...)


def _one_an_axis(shape: tuple[int, ...], index: tuple[BasicIndex, ...]) -> list[SupportsIndex | slice | None]:
    """The index with its ellipsis, written or implied, spelled out as full slices."""
    missing = len(shape) - sum(part is not None and part is not Ellipsis for part in index)
    if missing < 0:
        raise IndexError(
            f"too many indices: the shape {shape} has {len(shape)} axes, {len(shape) - missing} are indexed"
        )
    parts: list[SupportsIndex | slice | None] = []
    seen = False
    for part in index:
        if isinstance(part, EllipsisType):
            if seen:
                raise IndexError("an index can hold one ellipsis ('...') only")
            parts += [slice(None)] * missing
            seen = True
        else:
            parts.append(part)
    return parts if seen else parts + [slice(None)] * missing


def _position(part: SupportsIndex, axis: int, shape: tuple[int, ...]) -> range:
    try:
        # A bool is an integer to Python and a mask to NumPy; neither reading is what its writer can rely on.
        position = operator.index(part) if not is_bool(part) else None
    except TypeError:
        position = None
    if position is None:
        raise IndexError(f"{type(part).__name__} is no basic index: use integers, slices, '...' and None")
    length = shape[axis]
    if not -length <= position < length:
        raise IndexError(f"index {position} is out of bounds for axis {axis} of shape {shape}")
    position %= length
    return range(position, position + 1)


def _slice(part: slice, axis: int, shape: tuple[int, ...]) -> range:
    try:
        return range(*part.indices(shape[axis]))
    except (TypeError, ValueError) as error:
        raise IndexError(f"bad slice for axis {axis} of shape {shape}: {error}") from None


def _as_slice(taken: range) -> slice:
    if not taken:
        return slice(0, 0)
    # A stop below zero would count from the end; None is how a slice says "through the first element".
    return slice(taken.start, taken.stop if taken.stop >= 0 else None, taken.step)


_MAX_BYTES = 4096


def name_problem(name: str) -> tuple[Code, str] | None:
    """What keeps a full name from being used, or None.

    Names are dotted, UTF-8 as written; they become keys of files and arguments of programs.
    """
    # What Python calls printable holds nothing that `printable` would escape; this answers for most names.
    if name.isascii() and name.isprintable() and len(name) <= _MAX_BYTES and ".." not in f".{name}.":
        return None
    if not name or any(not segment for segment in name.split(".")):
        return Code.BAD_NAME, f"the name {name!r} has an empty segment"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return Code.BAD_NAME, f"the name {name!r} holds half of a surrogate pair, which UTF-8 cannot write"
    if size > _MAX_BYTES:
        return Code.BAD_NAME, f"a name has at most {_MAX_BYTES} bytes, this one {size}"
    if printable(name) != name:
        return Code.BAD_NAME, f"the name {name!r} holds control or text direction characters"
    return None


def _refuse_array(*_: object, **__: object) -> NoReturn:
    """Without this NumPy would make an array of one object."""
    raise TypeError("a plan holds no arrays: initcfg.materialize makes the one of a parameter or a slice")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedParameter:
    """Everything that decides the values of one parameter, and what a caller may ask about it.

    Args:
        name: the full, dotted name; unique in its plan.
        shape: dimensions, each at least 0.
        dtype: the element type.
        layout: the roles of the axes, or None where the spec gives none and nothing needs it.
        fans: fan_in and fan_out under that layout; None without a layout for two or more axes.
        initializer: the instance; for a tied parameter its target's.
        distribution: the law of every element; None for a structured initializer.
        stream: where its random numbers come from.
        stream_name: the name that the stream was derived from (``stream:`` in the spec, else the name).
        tied_to: the full name of the parameter whose array this one shares, or None.
        where: where the spec says so; for a parameter that only the manifest names, the rule that won.
        rule: the pattern of the rule that won; None where the parameter names its initializer itself.
        fans_of: the full name of the parameter whose fans this one has; None where they are its own.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    layout: Layout | None
    fans: Fans | None
    initializer: Initializer
    distribution: Distribution | None
    stream: Stream = field(repr=False)
    stream_name: str
    tied_to: str | None = None
    where: Location | None = field(default=None, compare=False, repr=False)
    rule: str | None = None
    fans_of: str | None = None

    @property
    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size of the array in bytes."""
        return self.numel * self.dtype.itemsize

    @property
    def components(self) -> tuple[Component, ...]:
        """The parts that its law is made of; an `InitializerError` for a fault that planning did not see."""
        if self.dtype.kind == "complex":
            return (Component((), self.shape, self.layout, self.initializer, self.distribution),)
        return tuple(components_of(self.initializer, self.shape, self.layout))

    def __getitem__(self, index: BasicIndex | tuple[BasicIndex, ...]) -> ParameterSlice:
        """A slice that is made only when it is materialized, and then without the rest of the array.

        Args:
            index: what NumPy calls basic: integers, slices with steps, ``...`` and None.

        Raises:
            IndexError: the index does not suit the shape, or is not a basic one.
        """
        return ParameterSlice(self, Selection.of(self.shape, index))

    # Without this Python would iterate by index, and hand out slices one by one.
    __iter__ = None
    __array__ = _refuse_array

    def _repr_html_(self) -> str:
        """For a notebook: what a plan's table says of it, with a picture of its law."""
        html: str = load("initcfg.plan.listing").parameter_table(self).html()
        return html


@dataclass(frozen=True, slots=True)
class SkippedParameter:
    """A parameter that a rule leaves out of the plan on purpose, or a buffer that no rule reaches.

    Args:
        name: the full name.
        rule: the pattern of the rule; None for a buffer that no rule reaches.
        where: where the parameter is written, or the rule if only the manifest names it.
    """

    name: str
    rule: str | None
    where: Location | None = field(default=None, compare=False)


class Resolved(NamedTuple):
    """What a parameter is but for its name; many may share it."""

    shape: tuple[int, ...]
    dtype: DType
    layout: Layout | None
    fans: Fans | None
    initializer: Initializer
    distribution: Distribution | None  # None for a structured initializer
    # that of the initializer's own seed; None where the parameter's is drawn from
    stream: Stream | None


class _Unfrozen:
    """A parameter before it is frozen, with the same slots."""

    __slots__ = tuple(each.name for each in fields(PlannedParameter))


class Wanted(NamedTuple):
    """A parameter that is to be planned."""

    name: str
    shape: tuple[int, ...]
    where: Location | None
    stream_name: str | None = None  # None for its own name
    asked: tuple[str, Path] | None = None  # what ``fans_of`` comes to, and where that stands


def planned_parameter(
    resolved: Resolved,
    wanted: Wanted,
    streams: Callable[[str], Stream],
    rule: str | None,
    fans_of: str | None,
) -> PlannedParameter:
    """A parameter by its name, and what it shares with others.

    A frozen dataclass assigns its fields through ``object.__setattr__``, which takes most of the time of
    planning. Assigning them to an object of a class with the same slots takes a sixth of it.
    """
    made: Any = _Unfrozen()
    made.name = wanted.name
    made.shape = resolved.shape
    made.dtype = resolved.dtype
    made.layout = resolved.layout
    made.fans = resolved.fans
    made.initializer = resolved.initializer
    made.distribution = resolved.distribution
    made.stream_name = wanted.name if wanted.stream_name is None else wanted.stream_name
    made.stream = resolved.stream or streams(made.stream_name)
    made.tied_to = None
    made.where = wanted.where
    made.rule = rule
    made.fans_of = fans_of
    made.__class__ = PlannedParameter
    parameter: PlannedParameter = made
    return parameter


@dataclass(frozen=True, slots=True)
class ParameterSlice:
    """A part of one parameter, such as ``plan["h.0.weight"][128:256, :]``; no array until it is materialized.

    Args:
        parameter: the whole.
        selection: which of its elements, and the shape that they take.
    """

    parameter: PlannedParameter
    selection: Selection

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the slice."""
        return self.selection.shape

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self.parameter.dtype

    @property
    def numel(self) -> int:
        """The number of elements in the slice."""
        return self.selection.numel

    @property
    def nbytes(self) -> int:
        """The size of the slice in bytes."""
        return self.numel * self.dtype.itemsize

    __array__ = _refuse_array


class Tie(NamedTuple):
    """A parameter that shares another one's array, before that one is looked up."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    target: str
    path: Path
    where: Location


class Borrower(NamedTuple):
    """A parameter that takes the fans of another one, before that one is looked up."""

    name: str
    shape: tuple[int, ...]
    layout: Layout | None
    asked: str  # what ``fans_of`` comes to
    path: Path  # where that stands
    where: Location | None
    # the parameter, for those fans and the other's full name
    planned: Callable[[Fans, str], PlannedParameter]


Entry = PlannedParameter | SkippedParameter | Tie | Borrower
