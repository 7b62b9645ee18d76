"""What an engine needs to draw one distribution in one type: a kernel and its numbers, rounded once.

Pure: every engine starts from the same recipe, and so does planning, which learns here what cannot be drawn.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from initcfg.distributions import ComplexNormal, Disk, Normal, Square, TruncatedNormal, Uniform, point
from initcfg.dtypes import DTYPES
from initcfg.engines.constants import CUT_RANGE, LEAST_MASS, LEAST_SCALE, NORMAL_REACH
from initcfg.engines.rounding import at_least, at_most, round_once, strictly_above, strictly_below
from initcfg.errors import Code, InitializerError
from initcfg.exact import truncation

if TYPE_CHECKING:
    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.exact import Truncation


class Constant(NamedTuple):
    """One value, which the target type holds exactly."""

    value: float | int | bool


class Cut(NamedTuple):
    """The float32 numbers of a symmetric truncation at c std.

    Args:
        scale: erf(c / sqrt(2)) * 2**-31.
        tail: erfc(c / sqrt(2)).
    """

    scale: float
    tail: float


class Tails(NamedTuple):
    """The float64 numbers of any truncation; Phi is the normal distribution function.

    Args:
        centre: (Phi(a) + Phi(b) - 1) / 2.
        half: (Phi(b) - Phi(a)) / 2.
        below: Phi(a).
        above: 1 - Phi(b).
    """

    centre: float
    half: float
    below: float
    above: float


class Draw(NamedTuple):
    """location + scale * (the kernel's standard variate), clamped.

    Args:
        kernel: ``uniform``, ``normal``, ``two_sigma``, ``cut`` or ``inverse``; of complex numbers ``disk`` or
            ``complex_cut``, whose variate is a modulus and whose clamp is for it.
        arithmetic: the type of the whole calculation; float64 takes 64-bit words, float32 32-bit ones.
        location: mean or middle, a number of that type.
        scale: standard deviation or half width, a number of that type.
        clamp: the least and the greatest value, numbers of the target type; None where none is needed.
        numbers: what ``cut`` and ``inverse`` need besides; of ``complex_cut`` the mass that is left.
    """

    kernel: Literal["uniform", "normal", "two_sigma", "cut", "inverse", "disk", "complex_cut"]
    arithmetic: Literal["float32", "float64"]
    location: float
    scale: float
    clamp: tuple[float, float] | None = None
    numbers: Cut | Tails | tuple[float] | None = None


Recipe: TypeAlias = Constant | Draw

_LEAST_NORMAL = Decimal(2.0**-1022)


def prepare(distribution: Distribution, dtype: DType) -> Recipe:
    """The recipe for values of `distribution` in `dtype`.

    Raises:
        InitializerError: the values cannot be held (code ``dtype-value``) or drawn (code ``distribution``).

    Example:
        >>> from initcfg.dtypes import as_dtype
        >>> prepare(Normal(0.0, 0.5), as_dtype("bfloat16"))
        Draw(kernel='normal', arithmetic='float32', location=0.0, scale=0.5, clamp=None, numbers=None)
    """
    value = point(distribution)
    if value is not None:
        return _constant(value, dtype) if value else Constant(_held(value, dtype))
    if isinstance(distribution, Disk | ComplexNormal | Square):
        return _complex(distribution, dtype)
    if dtype.drawn is None:
        hint = "random values need a floating dtype, such as float32 or bfloat16"
        raise _refusal(f"random values cannot be drawn in {dtype}", hint)
    return _draw(distribution, dtype)


# Not for zeros, because 0.0 and -0.0 are equal; by type, because 1 and True are.
@lru_cache(maxsize=4096, typed=True)
def _constant(value: float | int | bool, dtype: DType) -> Constant:
    return Constant(_held(value, dtype))


@lru_cache(maxsize=4096)
def _draw(distribution: Distribution, dtype: DType) -> Draw:
    """Cached: decimal arithmetic takes milliseconds, and an engine comes here for every chunk."""
    match distribution:
        case Uniform():
            return _uniform(distribution, dtype)
        case Normal():
            return _normal(distribution, dtype)
        case TruncatedNormal():
            return _truncated(distribution, dtype)
    raise TypeError(f"not a distribution: {distribution!r}")


def _held(value: float | int | bool, dtype: DType) -> float | int | bool:
    """The value as the type holds it: rounded once in a float, exact in an integer or a bool."""
    if dtype.part.kind == "float":
        return _round(value, dtype.part)
    least, greatest = dtype.bounds
    if value != int(value) or not least <= value <= greatest:
        hint = f"{dtype} holds whole numbers from {least} to {greatest}; choose one, or a floating dtype"
        raise _unheld(f"{dtype} cannot hold {value!r} exactly", hint)
    return int(value)


@lru_cache(maxsize=4096)
def _complex(distribution: Disk | ComplexNormal | Square, dtype: DType) -> Draw:
    """Of what has parts that are apart the recipe of these, one after the other; else that of the whole."""
    if dtype.kind != "complex":
        raise _refusal(f"complex values cannot be drawn in {dtype}", "give a complex dtype: complex64")
    if isinstance(distribution, Square):
        return _uniform(distribution.part, dtype.part)
    radius = distribution.radius
    if isinstance(distribution, Disk):
        _require_scale("the radius", radius)
        _require_reach(-radius, radius, dtype.part)
        return Draw("disk", "float64", 0.0, radius, (0.0, radius))
    if radius == math.inf:
        return _normal(distribution.part, dtype.part)
    _require_reach(-radius, radius, dtype.part)
    _require_scale("std", distribution.std)
    return Draw("complex_cut", "float64", 0.0, distribution.std, (0.0, radius), (distribution.mass,))


def _uniform(distribution: Uniform, dtype: DType) -> Draw:
    low, high = distribution.low, distribution.high
    half = 0.5 * high - 0.5 * low
    _require_scale("half the width of the interval", half)
    _require_reach(low, high, dtype)
    return Draw(
        kernel="uniform",
        arithmetic=_drawn(dtype),
        location=_drawing(0.5 * low + 0.5 * high, dtype),
        scale=_drawing(half, dtype),
        clamp=_between(strictly_above(low, dtype), strictly_below(high, dtype), distribution, dtype),
    )


def _normal(distribution: Normal, dtype: DType) -> Draw:
    mean, std = distribution.mean, distribution.std
    _require_scale("std", std)
    reach = NORMAL_REACH[_drawn(dtype)] * std
    _require_reach(mean - reach, mean + reach, dtype)
    return Draw("normal", _drawn(dtype), _drawing(mean, dtype), _drawing(std, dtype))


def _truncated(distribution: TruncatedNormal, dtype: DType) -> Draw:
    """The first kernel that fits, in the order of docs/explanation/streams.md."""
    mean, std, low, high = distribution.mean, distribution.std, distribution.low, distribution.high
    _require_scale("std", std)
    clamp = _between(at_least(low, dtype), at_most(high, dtype), distribution, dtype)
    if min(mean - low, high - mean) >= NORMAL_REACH[_drawn(dtype)] * std:
        return _normal(Normal(mean, std), dtype)._replace(clamp=clamp)
    left = _truncation(distribution)
    # A 64-bit draw goes at most 9 std past the point of greatest density.
    _require_reach(max(low, min(mean, high) - 9 * std), min(high, max(mean, low) + 9 * std), dtype)
    slack = 2.0**-50 * max(abs(low), abs(high))
    half = 0.5 * high - 0.5 * low
    symmetric = abs((mean - low) - (high - mean)) <= slack
    narrow, wide = CUT_RANGE
    if _drawn(dtype) == "float64" or not symmetric or not narrow * std <= half <= wide * std + slack:
        tails = Tails(float(left.centre), float(left.mass) / 2, _tail(left.below), _tail(left.above))
        return Draw("inverse", "float64", mean, std, clamp, tails)
    location, scale = _drawing(mean, dtype), _drawing(std, dtype)
    if abs(half - 2 * std) <= slack:
        return Draw("two_sigma", "float32", location, scale, clamp)
    cut = Cut(_single(Fraction(left.mass) / 2**31), _single(Fraction(left.below) + Fraction(left.above)))
    return Draw("cut", "float32", location, scale, clamp, cut)


def _truncation(distribution: TruncatedNormal) -> Truncation:
    mean, std, low, high = distribution.mean, distribution.std, distribution.low, distribution.high
    hint = "keep the nearer bound within 36 std of the mean, and the bounds apart"
    try:
        left = truncation(mean, std, low, high)
    except OverflowError as error:
        raise _refusal(f"nothing of {distribution!r} is left between its bounds", hint) from error
    if left.mass < LEAST_MASS:
        raise _refusal(f"only {float(left.mass):.3g} of {distribution!r} is left between its bounds", hint)
    return left


def _tail(mass: Decimal) -> float:
    """A tail as a normal double; what is below those adds nothing to any draw."""
    return float(mass) if mass >= _LEAST_NORMAL else 0.0


def _single(value: Fraction) -> float:
    return round_once(value, DTYPES["float32"])


def _drawn(dtype: DType) -> Literal["float32", "float64"]:
    assert dtype.drawn is not None  # noqa: S101
    return dtype.drawn


def _between(
    low: float | None, high: float | None, distribution: Distribution, dtype: DType
) -> tuple[float, float]:
    """The least and the greatest number that a value may be."""
    if low is None or high is None or low > high:
        hint = "widen the bounds, or choose a dtype with more digits"
        raise _refusal(f"no number of {dtype} lies inside the bounds of {distribution!r}", hint)
    return low, high


def _require_scale(what: str, scale: float) -> None:
    if scale < LEAST_SCALE:
        hint = f"use 0, or a number of at least {LEAST_SCALE}"
        raise _refusal(f"{what} is {scale!r}, too small to draw with", hint)


def _require_reach(low: float, high: float, dtype: DType) -> None:
    for value in (low, high):
        _round(value, dtype)


def _round(value: float | int, dtype: DType) -> float:
    try:
        return round_once(value, dtype)
    except OverflowError as error:
        hint = "choose smaller numbers, or a dtype with a wider range"
        message = f"values as large as {value!r} are beyond {dtype}, which ends at {dtype.bounds[1]!r}"
        raise _unheld(message, hint) from error


def _drawing(value: float, dtype: DType) -> float:
    return _round(value, DTYPES[_drawn(dtype)])


def _refusal(message: str, hint: str) -> InitializerError:
    return InitializerError.of(Code.DISTRIBUTION, message, hint=hint)


def _unheld(message: str, hint: str) -> InitializerError:
    return InitializerError.of(Code.DTYPE_VALUE, message, hint=hint)
