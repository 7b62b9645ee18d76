"""Expressions that predict a number from the values of a config that it depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Any

from initcfg.expressions import Expression

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

_RELATIVE = 4e-15
_SMALL = 64


def close(one: float, other: float) -> bool:
    """Whether two numbers are one, but for the rounding of a few operations."""
    return one == other or math.isclose(one, other, rel_tol=_RELATIVE)


@dataclass(frozen=True)
class Point:
    """A number, and the values of the config that it was seen with."""

    values: Mapping[str, float]
    number: float


def fitted(
    points: Sequence[Point], names: Sequence[str], given: Mapping[str, Fraction] | None = None
) -> str | None:
    """The first expression in exactly these names that predicts every point.

    Args:
        points: of which the first is of the model itself.
        names: those that the number depends on.
        given: powers of other values that are factors of it.

    Example:
        >>> fitted([Point({"d": 768}, 3072), Point({"d": 100}, 400)], ["d"])
        '4 * d'
        >>> seen = ((12, 0.02), (2, 0.02), (12, 0.1))
        >>> fitted([Point({"n": n, "s": s}, s / (2 * n) ** 0.5) for n, s in seen], ["n", "s"])
        's / sqrt(2 * n)'
    """
    for text in _candidates(points, names, given or {}):
        try:
            if all(close(_predicted(text, point.values), point.number) for point in points):
                return text
        except ValueError:  # it has no value there, as where it divides by zero
            continue
    return None


def _predicted(text: str, values: Mapping[str, float]) -> float:
    """The value of an expression, in which ``depths(0)`` is an item of a list."""
    env: dict[str, Any] = {}
    for name, value in values.items():
        var, listed, _ = name.partition("(")
        if listed:
            env[var] = (*env.get(var, ()), value)
        else:
            env[name] = value
    return Expression.parse(text).evaluate(env)


def _candidates(
    points: Sequence[Point], names: Sequence[str], given: Mapping[str, Fraction]
) -> Iterator[str]:
    whole = not given and all(isinstance(point.number, int) for point in points)
    if whole:
        if len(names) == 1:
            yield from _of_one(points, names[0])
        yield from _quotients(points, names)
    yield from _products(points, names, given)
    if whole:
        yield from _sums(points, names)


def _of_one(points: Sequence[Point], name: str) -> Iterator[str]:
    """A multiple, a part, or a shift of one value; with two constants only where three values were seen."""
    first = points[0]
    value, number = first.values[name], first.number
    seen = {point.values[name]: point.number for point in points}
    if number and value % number == 0 and value != number:
        yield f"{name} // {int(value // number)}"
    if number and number % value == 0:
        yield _times(int(number // value), name)
    yield _shifted(name, int(number - value))
    if number:
        yield f"ceil({name} / {round(value / number)})"
    if len(seen) > 2:
        (one, low), (other, high), *_ = seen.items()
        slope = Fraction(int(high - low)) / Fraction(int(other - one))
        rest = Fraction(int(low)) - slope * Fraction(int(one))
        if slope.denominator == 1 and rest.denominator == 1:
            yield _shifted(_times(int(slope), name), int(rest))


def _shifted(text: str, by: int) -> str:
    return text if by == 0 else f"{text} {'+' if by > 0 else '-'} {abs(by)}"


def _times(factor: int, text: str) -> str:
    return text if factor == 1 else f"{factor} * {text}"


def _quotients(points: Sequence[Point], names: Sequence[str]) -> Iterator[str]:
    """The patches of an image, ``(a // b)**2 + 1``, and the size of all heads, ``c * (a // b)``."""
    first = points[0]
    for a, b in permutations(names, 2):
        if not first.values[b]:
            continue
        rest = [name for name in names if name not in (a, b)]
        if len(rest) <= 1:
            yield f"{rest[0] if rest else b} * ({a} // {b})"
        for power in () if rest else (1, 2):
            over = int(first.number - (first.values[a] // first.values[b]) ** power)
            yield _shifted(f"{a} // {b}" if power == 1 else f"({a} // {b})**2", over)


def _products(points: Sequence[Point], names: Sequence[str], given: Mapping[str, Fraction]) -> Iterator[str]:
    """Powers of the values, multiplied, with a plain factor."""
    reduced = [Point(point.values, point.number / _product(point.values, given)) for point in points]
    exponents: dict[str, Fraction] = {}
    for name in names:
        exponent = _exponent(reduced, name, given)
        if exponent is None:
            return
        exponents[name] = exponent
    exponents |= given
    factor = points[0].number / _product(points[0].values, exponents)
    for plain in _plain(factor):
        yield plain.text(exponents)


def _exponent(points: Sequence[Point], name: str, beside: Collection[str]) -> Fraction | None:
    """With which power a number follows a value, by two points that differ in nothing else."""
    for one, other in combinations(points, 2):
        if one.values[name] == other.values[name] or min(one.number * other.number, one.values[name]) <= 0:
            continue
        if any(
            one.values[each] != other.values[each]
            for each in one.values
            if each != name and each not in beside
        ):
            continue
        ratio = math.log(other.number / one.number) / math.log(other.values[name] / one.values[name])
        exponent = Fraction(round(2 * ratio), 2)
        return exponent if math.isclose(ratio, exponent, rel_tol=1e-9) and 0 < abs(exponent) <= 2 else None
    return None


def _product(values: Mapping[str, float], exponents: Mapping[str, Fraction]) -> float:
    """Whole numbers stay whole, so that an axis is exact."""
    above = below = 1.0
    rooted_above = rooted_below = 1.0
    for name, exponent in exponents.items():
        whole, half = divmod(abs(exponent), 1)
        power, root = values[name] ** int(whole), values[name] if half else 1
        if exponent > 0:
            above, rooted_above = above * power, rooted_above * root
        else:
            below, rooted_below = below * power, rooted_below * root
    return above * math.sqrt(rooted_above) / (below * math.sqrt(rooted_below))


@dataclass(frozen=True)
class _Factor:
    """``above / below * sqrt(root_above / root_below)``."""

    above: float = 1
    below: int = 1
    root_above: int = 1
    root_below: int = 1

    def text(self, exponents: Mapping[str, Fraction]) -> str:
        above: list[str] = []
        below: list[str] = []
        roots_above: list[str] = []
        roots_below: list[str] = []
        for name, exponent in exponents.items():
            whole, half = divmod(abs(exponent), 1)
            powers = [name if whole == 1 else f"{name}**{whole}"] if whole else []
            (above if exponent > 0 else below).extend(powers)
            (roots_above if exponent > 0 else roots_below).extend([name] if half else [])
        roots_above = _with_factor(self.root_above, roots_above)
        roots_below = _with_factor(self.root_below, roots_below)
        above, below = _with_factor(self.above, above), _with_factor(self.below, below)
        if roots_above and roots_below:
            above.append(f"sqrt({' * '.join(roots_above)} / {_bracketed(roots_below)})")
        elif roots_above:
            above.append(f"sqrt({' * '.join(roots_above)})")
        elif roots_below:
            below.append(f"sqrt({' * '.join(roots_below)})")
        numerator = " * ".join(above) or "1"
        return f"{numerator} / {_bracketed(below)}" if below else numerator


def _bracketed(factors: Sequence[str]) -> str:
    return factors[0] if len(factors) == 1 else f"({' * '.join(factors)})"


def _with_factor(factor: float, names: list[str]) -> list[str]:
    return names if factor == 1 else [repr(factor), *names]


def _plain(factor: float) -> Iterator[_Factor]:
    """The plain ways to say a factor: whole, a part, a root of either, and a short decimal with a root."""
    squared = Fraction(factor * factor).limit_denominator(_SMALL * _SMALL)
    direct = Fraction(factor).limit_denominator(_SMALL * _SMALL)
    if direct and close(float(direct), factor):
        yield _Factor(direct.numerator, direct.denominator)
    if squared and close(math.sqrt(squared), factor):
        yield _Factor(1, 1, squared.numerator, squared.denominator)
    for root in range(1, 5):
        for above, below in ((1, root), (root, 1)):
            short = factor / math.sqrt(above / below)
            decimal = float(f"{short:.6g}")
            if close(short, decimal):
                yield _Factor(decimal, 1, above, below)


def _sums(points: Sequence[Point], names: Sequence[str]) -> Iterator[str]:
    """``f * (k * a + l * b)``, where ``f`` is one of the values or 1."""
    for common in (*names, None):
        rest = [name for name in names if name != common]
        if len(rest) < 2:
            continue
        counts = [_slope(points, name, common) for name in rest]
        if None in counts:
            continue
        terms = {name: int(count) for name, count in zip(rest, counts, strict=True) if count is not None}
        text = " + ".join(_times(count, name) for name, count in terms.items()).replace("+ -", "- ")
        yield f"{common} * ({text})" if common else text


def _slope(points: Sequence[Point], name: str, common: str | None) -> int | None:
    """How many times a value is in a number, by two points that differ in nothing else."""
    for one, other in combinations(points, 2):
        differs = [each for each in one.values if one.values[each] != other.values[each]]
        if differs == [name]:
            slope = (other.number - one.number) / (other.values[name] - one.values[name])
            slope /= one.values[common] if common else 1
            return round(slope) if slope and slope == round(slope) else None
    return None
