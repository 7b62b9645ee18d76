"""One planned parameter as a value, and a slice of it. No arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from initcfg.plan.selection import Selection

if TYPE_CHECKING:
    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.errors import Location
    from initcfg.initializers.base import Initializer
    from initcfg.layout import Fans, Layout
    from initcfg.plan.resolve import Form, Law
    from initcfg.plan.selection import BasicIndex
    from initcfg.stream import Stream


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
    """

    name: str
    shape: tuple[int, ...]
    dtype: DType
    layout: Layout | None
    fans: Fans | None
    initializer: Initializer
    distribution: Distribution | None
    stream: Stream
    stream_name: str
    tied_to: str | None = None
    where: Location | None = field(default=None, compare=False)
    rule: str | None = None

    @property
    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The size of the array in bytes."""
        return self.numel * self.dtype.itemsize

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


class _Unfrozen:
    """A parameter before it is frozen, with the same slots."""

    __slots__ = tuple(each.name for each in fields(PlannedParameter))


def planned_parameter(
    form: Form,
    law: Law,
    *,
    name: str,
    stream: Stream,
    stream_name: str,
    where: Location | None,
    rule: str | None,
) -> PlannedParameter:
    """A parameter with a form and a law that it may share with many others.

    A frozen dataclass assigns its fields one by one through ``object.__setattr__``, which takes most of the
    time of planning. Assigning them to an object of a class with the same slots, which is then given its
    proper class, makes the same value in a sixth of that time.
    """
    made: Any = _Unfrozen()
    made.name = name
    made.shape = form.shape
    made.dtype = form.dtype
    made.layout = form.layout
    made.fans = form.fans
    made.initializer = law.initializer
    made.distribution = law.distribution
    made.stream = stream
    made.stream_name = stream_name
    made.tied_to = None
    made.where = where
    made.rule = rule
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
