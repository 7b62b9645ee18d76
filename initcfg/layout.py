"""Layouts: which axes of a shape are inputs, outputs, batch; the rest is receptive field. Integers only."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from initcfg.errors import Code, Diagnostic, InitializerError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

#: The most axes of a shape, as many as NumPy has, and the largest size of one.
MAX_NDIM = 64
MAX_DIM = 2**63 - 1
_NAMED = ("in_out", "out_in")
_RECEPTIVE = frozenset("DHWTLK")
_LETTERS = frozenset("IOB") | _RECEPTIVE
_WAYS = (
    "write in_out, out_in, or one letter an axis: I in, O out (at least one of these two), B batch, "
    "any of D H W T L K receptive field, such as OIHW"
)


def shape_problem(shape: object) -> str | None:
    """What keeps a list or a tuple from being a shape, in words that follow "the shape", or None."""
    if not isinstance(shape, list | tuple):
        return "is no list"
    if len(shape) > MAX_NDIM:
        return f"has {len(shape)} axes, and {MAX_NDIM} are allowed"
    for size in shape:
        if type(size) is not int or not 0 <= size <= MAX_DIM:
            return "holds something else than whole numbers from 0 to 2**63 - 1"
    return None


class Fans(NamedTuple):
    """How many inputs feed one output unit, and how many outputs one input unit feeds."""

    fan_in: int
    fan_out: int

    @property
    def fan_avg(self) -> float:
        """The mean of the two; infinite beyond the range of floats."""
        try:
            return (self.fan_in + self.fan_out) / 2
        except OverflowError:
            return math.inf


class Axes(NamedTuple):
    """The axes of one shape by role, each in ascending order."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    batch: tuple[int, ...]
    receptive: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A rule that gives each axis of a shape its role.

    Args:
        name: ``in_out`` (Keras, JAX: ..., in, out), ``out_in`` (PyTorch: out, in, ...), or one letter an
            axis: ``I`` in, ``O`` out, ``B`` batch of independent copies, any of ``D H W T L K`` receptive.
        given: the fans of whatever shape, those of another parameter; None where the shape gives them.

    Raises:
        InitializerError: the name is neither (code ``layout``).

    Example:
        >>> Layout("in_out").fans((3, 3, 4, 5))
        Fans(fan_in=36, fan_out=45)
        >>> Layout("BIO").fans((8, 16, 32))
        Fans(fan_in=16, fan_out=32)
    """

    name: str
    given: Fans | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InitializerError.of(
                Code.LAYOUT,
                f"a layout is named by a string, not by an object of type {type(self.name).__name__}",
                hint=_WAYS,
            )
        if self.name in _NAMED:
            return
        letters = set(self.name)
        if letters and letters <= _LETTERS and letters & {"I", "O"}:
            return
        raise InitializerError.of(Code.LAYOUT, f"{self.name!r} is not a layout", hint=_hint(self.name))

    def axes(self, ndim: int) -> Axes:
        """The role of each axis of a shape with `ndim` axes; an InitializerError if it has others."""
        if self.name in _NAMED:
            return self._named_axes(ndim)
        if len(self.name) != ndim:
            raise InitializerError.of(
                Code.LAYOUT,
                f"layout {self.name!r} names {len(self.name)} axes, the shape has {ndim}",
                hint="give the layout one letter for each axis of the shape",
            )

        def having(letters: Iterable[str]) -> tuple[int, ...]:
            return tuple(axis for axis, letter in enumerate(self.name) if letter in letters)

        return Axes(having("I"), having("O"), having("B"), having(_RECEPTIVE))

    def _named_axes(self, ndim: int) -> Axes:
        if ndim < 2:
            raise InitializerError.of(
                Code.LAYOUT,
                f"layout {self.name!r} tells inputs from outputs by 2 axes or more, the shape has {ndim}",
                hint="give a layout of letters, such as I or O",
            )
        if self.name == "in_out":
            return Axes((ndim - 2,), (ndim - 1,), (), tuple(range(ndim - 2)))
        return Axes((1,), (0,), (), tuple(range(2, ndim)))

    def fans(self, shape: tuple[int, ...]) -> Fans:
        """fan_in and fan_out: inputs (outputs) times the receptive field, for one batch copy.

        For ``in_out`` and ``out_in`` a shape without axes has fans (1, 1) and a vector of n elements
        (n, n), as in Keras.

        Raises:
            InitializerError: the layout's letters do not fit the shape.
        """
        if self.given is not None:
            return self.given
        if self.name in _NAMED and len(shape) < 2:
            size = math.prod(shape)
            return Fans(size, size)
        axes = self.axes(len(shape))
        receptive = _product(shape, axes.receptive)
        return Fans(_product(shape, axes.inputs) * receptive, _product(shape, axes.outputs) * receptive)

    def without(self, dropped: Collection[int], ndim: int) -> Layout | None:
        """The layout that a shape of `ndim` axes has left without the axes `dropped`; None without I and O.

        Example:
            >>> Layout("in_out").without({3}, 4), Layout("OIHW").without({2, 3}, 4)
            (Layout(name='KKI'), Layout(name='OI'))
        """
        if not dropped or (self.name in _NAMED and ndim < 2):
            return self
        axes = self.axes(ndim)
        if self.name in _NAMED and not {*axes.inputs, *axes.outputs}.intersection(dropped):
            return self
        letters = self.name
        if letters in _NAMED:
            letters = "".join(
                "I" if at in axes.inputs else "O" if at in axes.outputs else "K" for at in range(ndim)
            )
        left = "".join(letter for axis, letter in enumerate(letters) if axis not in dropped)
        if {"I", "O"}.intersection(left):
            return replace(self, name=left)
        return replace(IN_OUT, given=self.given) if self.given and len(left) < 2 else None

    def lent(self, fans: Fans) -> Layout:
        """The same roles of axes, with the fans of another parameter."""
        return replace(self, given=fans)

    @property
    def own(self) -> Layout:
        """The same without fans of another parameter."""
        return self if self.given is None else replace(self, given=None)

    def __str__(self) -> str:
        return self.name


IN_OUT = Layout("in_out")


def needed_layout(shape: tuple[int, ...], layout: Layout | None) -> Layout:
    """The layout, which only shapes of fewer than two axes may do without (code ``layout-missing``)."""
    if layout is not None:
        return layout
    if len(shape) < 2:
        return IN_OUT
    raise InitializerError.of(
        Code.LAYOUT_MISSING,
        f"shape {shape} has inputs and outputs, and no layout says which axes they are",
        hint="write layout: in_out (Keras, JAX: ..., in, out) or layout: out_in (PyTorch: out, in, ...)",
    )


def resolved_fans(shape: tuple[int, ...], layout: Layout | None) -> Fans:
    """The fans of a shape under a layout that may be missing where it makes no difference."""
    return needed_layout(shape, layout).fans(shape)


def known_fans(shape: tuple[int, ...], layout: Layout | None) -> Fans | None:
    """As `resolved_fans`; None where nothing says which axes are inputs, or the letters do not fit."""
    try:
        return resolved_fans(shape, layout)
    except InitializerError:
        return None


def fans_of_axes(shape: tuple[int, ...], input_axes: Iterable[int], output_axes: Iterable[int]) -> Fans:
    """Fans as Keras 3.15 counts them when both axes are given: those dimensions and no receptive field.

    It refuses a list that names an axis twice, whose size Keras squares: that is the fan of no array.
    """
    named = tuple(input_axes), tuple(output_axes)
    fans = Fans(*(_product(shape, axes) for axes in named))
    for axes in named:
        if len({axis % len(shape) for axis in axes}) < len(axes):
            raise InitializerError.of(
                Code.INITIALIZER_SHAPE,
                f"axes {axes} name an axis of shape {shape} twice",
                hint="name each axis once; negative ones count from the end",
            )
    return fans


def _hint(name: str) -> str:
    meant = {"inout": "in_out", "outin": "out_in", "io": "in_out", "oi": "out_in"}
    bare = "".join(char for char in name.lower() if char.isalpha())
    if bare in meant:
        return f"did you mean {meant[bare]!r}?"
    if name.upper() != name and set(name.upper()) <= _LETTERS:
        return f"did you mean {name.upper()!r}?"
    return _WAYS


def _product(shape: tuple[int, ...], axes: Iterable[int]) -> int:
    try:
        return math.prod(shape[axis] for axis in axes)
    except IndexError:
        raise InitializerError(
            Diagnostic(
                Code.INITIALIZER_SHAPE,
                f"input_axes or output_axes name an axis that shape {shape} does not have",
                hint=f"axes run from {-len(shape)} to {len(shape) - 1}",
            )
        ) from None
