"""The distributions that random elementwise initializers reduce to: four of real numbers, three of complex.

A complex law, but for the square, has mean 0 and does not change when the plane is turned. Its standard
deviation is that of JAX and NumPy, the root of the mean of ``abs(w)**2``; bounds are those of the real and of
the imaginary part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.exact import expm1, normal_cdf, truncation

if TYPE_CHECKING:
    from initcfg.exact import Truncation


@dataclass(frozen=True, slots=True)
class Fill:
    """One value everywhere.

    Args:
        value: finite. Integers and bools stay what they are: an int64 holds more digits than a double.
    """

    value: float | int | bool

    def __post_init__(self) -> None:
        _require_finite(self)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Uniform on the open interval (low, high): density 1 / (high - low).

    Args:
        low: finite, at most `high`.
        high: finite. Where it equals `low`, every value is that one.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _require_finite(self)
        _require_ordered(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal: density exp(-(x - mean)**2 / (2 std**2)) / (std sqrt(2 pi)).

    Args:
        mean: finite.
        std: finite, at least 0; 0 makes every value the mean.
    """

    mean: float
    std: float

    def __post_init__(self) -> None:
        _require_finite(self)
        _require_std(self.std)


@dataclass(frozen=True, slots=True)
class TruncatedNormal:
    """A normal restricted to [low, high] and scaled to a density again.

    `mean` and `std` are those before truncation; `moments` gives what is left of them.

    Args:
        mean: finite; it may lie outside the bounds.
        std: finite, at least 0; 0 makes every value the mean, which must then lie inside the bounds.
        low: finite, a value, not a multiple of std.
        high: finite, at least `low`.

    Raises:
        InitializerError: a number is not finite, `std` is negative, or nothing lies between the bounds.
    """

    mean: float
    std: float
    low: float
    high: float

    def __post_init__(self) -> None:
        _require_finite(self)
        _require_std(self.std)
        _require_ordered(self.low, self.high)
        if self.std == 0 and not self.low <= self.mean <= self.high:
            message = f"std is 0 and the mean {self.mean!r} lies outside [{self.low!r}, {self.high!r}]"
            raise _refusal(message, "give a std above 0, or bounds around the mean")


@dataclass(frozen=True, slots=True)
class Disk:
    """Uniform on the complex numbers with ``abs(w) < radius``: density 1 / (pi radius**2).

    Args:
        radius: finite, above 0.
    """

    radius: float

    def __post_init__(self) -> None:
        _require_finite(self)
        _require_above_0("radius", self.radius)


@dataclass(frozen=True, slots=True)
class ComplexNormal:
    """Complex normal, cut off at a radius: density proportional to exp(-abs(w)**2 / std**2) up to there.

    Without a cut the real and the imaginary part are independent normals of standard deviation std / sqrt(2).

    Args:
        std: finite, above 0; before the cut.
        radius: above 0; infinite, the default, for no cut.
    """

    std: float
    radius: float = math.inf

    def __post_init__(self) -> None:
        if self.radius != math.inf:
            _require_finite(self)
        _require_above_0("std", self.std)
        _require_above_0("radius", self.radius)

    @property
    def part(self) -> Normal:
        """The law of either part, where nothing is cut."""
        return Normal(0.0, self.std / math.sqrt(2.0))

    @property
    def mass(self) -> float:
        """The probability that the cut leaves."""
        return 1.0 if math.isinf(self.radius) else -expm1(-self._cut)

    @property
    def moment(self) -> float:
        """The mean of ``abs(w)**2`` over std**2: 1 without a cut."""
        return 1.0 if math.isinf(self.radius) else 1 - self._cut * (1 / self.mass - 1)

    @property
    def _cut(self) -> float:
        # Beyond 40 deviations nothing is cut in float64, and the square might overflow.
        cut = min(self.radius / self.std, 40.0)
        return cut * cut  # and no power: its last bit is the C library's


@dataclass(frozen=True, slots=True)
class Square:
    """Uniform on a square of complex numbers: either part is a draw of Uniform(low, high), as of torch.rand.

    Args:
        low: finite, the least value of a part.
        high: finite, above `low`.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        _require_finite(self)
        _require_above_0("the side of the square", self.high - self.low)

    @property
    def part(self) -> Uniform:
        """The law of either part."""
        return Uniform(self.low, self.high)


Distribution: TypeAlias = Fill | Uniform | Normal | TruncatedNormal | Disk | ComplexNormal | Square
#: Laws of single elements, each with the share of the elements that have it.
Mixture: TypeAlias = Iterable[tuple[float, Distribution]]


def scaled(distribution: Distribution, factor: float) -> Distribution:
    """The law of the values times a factor above 0.

    Raises:
        InitializerError: a number is not finite any more.

    Example:
        >>> scaled(Uniform(-1.0, 2.0), 0.5)
        Uniform(low=-0.5, high=1.0)
    """
    made = (factor * _as_float(getattr(distribution, field.name)) for field in fields(distribution))
    return type(distribution)(*made)


def complex_law(law: Distribution | None, name: str) -> Distribution:
    """The law of complex numbers that a law of real ones stands for, in JAX and torch too.

    A constant is one, and a normal of mean 0 has parts that share its variance.

    Args:
        law: of real numbers; None where the elements share none.
        name: of the initializer that has it, for the message.

    Raises:
        InitializerError: there is no such law.

    Example:
        >>> complex_law(Normal(0.0, 0.02), "RandomNormal")
        ComplexNormal(std=0.02, radius=inf)
    """
    if isinstance(law, Normal) and law.mean == 0:
        return ComplexNormal(law.std)
    if isinstance(law, Fill):
        return law
    hint = (
        "constants, random_uniform, random_normal of mean 0 and variance scaling (he_normal and others) make "
        "them; for any other law hold real and imaginary parts along a last axis of 2"
    )
    with_these = "" if law is None else " with these arguments"
    raise _refusal(f"{name}{with_these} makes no complex numbers", hint)


class Moments(NamedTuple):
    """The mean and the standard deviation that drawn values have."""

    mean: float
    std: float


class Summary(NamedTuple):
    """What the elements of an array, or of a part of one, come to."""

    mean: float  # over the elements, and over the draws; so is std
    std: float
    low: float  # bounds of the elements, infinite where there are none
    high: float
    # Values that single elements have with a probability above 0, with these, where they are few.
    atoms: tuple[tuple[float, float], ...] = ()
    is_exact: bool = True  # whether no element was left out and no law was replaced by a similar one


def moments(distribution: Distribution) -> Moments:  # noqa: PLR0911  a list of cases
    """Mean and standard deviation, after truncation; of complex numbers the mean of either part."""
    value = point(distribution)
    if value is not None:
        return Moments(float(value), 0.0)
    match distribution:
        case Uniform(low, high):
            return Moments(0.5 * low + 0.5 * high, (0.5 * high - 0.5 * low) / math.sqrt(3.0))
        case TruncatedNormal(mean, std):
            left = _truncation(distribution)
            return Moments(mean + std * float(left.mean), std * math.sqrt(left.variance))
        case Normal(mean, std):
            return Moments(mean, std)
        case Square():
            mean, std = moments(distribution.part)
            return Moments(mean, std * math.sqrt(2.0))
        case Disk(radius):
            return Moments(0.0, radius / math.sqrt(2.0))
        case ComplexNormal(std):
            return Moments(0.0, std * math.sqrt(distribution.moment))
    raise TypeError(f"not a distribution: {distribution!r}")


def support(distribution: Distribution) -> tuple[float, float]:
    """The least and the greatest value, infinite for a normal."""
    value = point(distribution)
    if value is not None:
        return float(value), float(value)
    if isinstance(distribution, Uniform | TruncatedNormal | Square):
        return distribution.low, distribution.high
    radius = distribution.radius if isinstance(distribution, Disk | ComplexNormal) else math.inf
    return -radius, radius


def cdf(distribution: Distribution, x: float) -> float:
    """The probability of a value at or below `x`; nan for nan. Complex numbers have no order, hence none."""
    low, high = support(distribution)
    if math.isnan(x):
        return math.nan
    if x >= high:
        return 1.0
    if x <= low:
        return 0.0
    match distribution:
        case Uniform():
            return float((Fraction(x) - Fraction(low)) / (Fraction(high) - Fraction(low)))
        case TruncatedNormal(mean, std):
            return min(1.0, float(_mass_below(mean, std, low, x) / _truncation(distribution).mass))
        case Normal(mean, std):
            return normal_cdf(_standardized(x, mean, std))
    raise TypeError(f"not a distribution: {distribution!r}")


def point(distribution: Distribution) -> float | int | bool | None:
    """The one value that a distribution without spread gives, else None."""
    match distribution:
        case Fill(value):
            return value
        case Uniform(low, high) | TruncatedNormal(low=low, high=high) if low == high:
            return low
        case Normal(mean, std) | TruncatedNormal(mean, std) if std == 0:
            return mean
    return None


# Farther out the distribution function is 0 or 1 in any float.
_FAR = Fraction(10**5)


def _standardized(x: float, mean: float, std: float) -> float:
    """(x - mean) / std, rounded once, and not beyond what matters."""
    z = (Fraction(x) - Fraction(mean)) / Fraction(std)
    return float(max(-_FAR, min(z, _FAR)))


def _mass_below(mean: float, std: float, low: float, x: float) -> Decimal:
    """The probability between `low` and `x`, none where no digits of it are left."""
    try:
        return truncation(mean, std, low, x).mass
    except OverflowError:
        return Decimal(0)


@lru_cache(maxsize=512)  # the copies of a layer share it, and it takes a hundred digits
def _truncation(distribution: TruncatedNormal) -> Truncation:
    try:
        return truncation(distribution.mean, distribution.std, distribution.low, distribution.high)
    except OverflowError as error:
        message = f"no mass of {distribution!r} is left between its bounds"
        raise _refusal(message, "move the bounds nearer to the mean, or raise std") from error


def _require_finite(distribution: Distribution) -> None:
    for field in fields(distribution):
        value = getattr(distribution, field.name)
        if not isinstance(value, int | float):
            message = f"{field.name} must be a number, not {type(value).__name__}"
            raise InitializerError.of(Code.WRONG_TYPE, message, hint="give a Python int or float")
        if not isinstance(distribution, Fill):
            # One way to write each number: integers become floats, and -0.0 becomes 0.0.
            value = _as_float(value) + 0.0
            object.__setattr__(distribution, field.name, value)
        if isinstance(value, float) and not math.isfinite(value):
            message = f"{field.name} must be finite, not {value!r}"
            raise InitializerError.of(Code.NOT_FINITE, message, hint="write a finite number")


def _as_float(value: float) -> float:
    """The nearest double, infinite for an integer beyond them all."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _require_above_0(name: str, value: float) -> None:
    if not value > 0:
        message = f"{name} must be above 0, not {value!r}"
        raise InitializerError.of(Code.OUT_OF_RANGE, message, hint="write a number above 0, or use zeros")


def _require_std(std: float) -> None:
    if std < 0:
        message = f"std must be at least 0, not {std!r}"
        raise InitializerError.of(Code.OUT_OF_RANGE, message, hint="write a number that is not negative")


def _require_ordered(low: float, high: float) -> None:
    if low > high:
        message = f"low must be at most high, not {low!r} and {high!r}"
        raise InitializerError.of(Code.OUT_OF_RANGE, message, hint="exchange the two bounds")


def _refusal(message: str, hint: str) -> InitializerError:
    return InitializerError(Diagnostic(Code.DISTRIBUTION, message, hint=hint))
