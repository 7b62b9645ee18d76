"""Laws of values: a number, a formula or a table of fixed ones, and what is computed of random ones."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.capture.values import Table, UnsayableError
from initcfg.dtypes import DTYPES
from initcfg.errors import InitcfgError, InitializerError
from initcfg.initializers import (
    Concatenate,
    Constant,
    Formula,
    Initializer,
    Ones,
    Orthogonal,
    Patch,
    RandomNormal,
    RandomUniform,
    RepeatOf,
    Sparse,
    TruncatedNormal,
    TruncNormal,
    Zeros,
    resolve,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.dtypes import DType
    from initcfg.layout import Layout

# Smaller tables are as well written out.
_FEWEST = 16
_NOT_FINITE = "it holds infinities or NaN, which no spec does"


def constant(number: float) -> Initializer:
    """The initializer of one number; an UnsayableError where it is infinite or NaN."""
    if not math.isfinite(number):
        raise UnsayableError(_NOT_FINITE)
    return {0.0: Zeros(), 1.0: Ones()}.get(number) or Constant(number)


def shortest(value: float, dtype: DType) -> float:
    """A number as its dtype's shortest text has it: 1e-06, and not 9.99999997e-07."""
    if dtype.format is None or dtype.name == "float64":
        return value
    digits = (float(f"{value:.{n}g}") for n in range(1, 17))
    return next((each for each in digits if np.asarray(each, dtype.numpy) == value), value)


def affine(  # noqa: PLR0911  a list of cases
    law: Any, scale: float, shift: float = 0.0, divided: float | None = None
) -> Initializer:
    """The law of values times `scale`, or divided by `divided`, with `shift` added, if there is one."""
    if scale == 1 and not shift:
        return law  # type: ignore[no-any-return]

    def scaled(value: Any) -> float:
        return float(value) / divided if divided is not None else float(value) * scale

    def moved(value: Any) -> float:
        return scaled(value) + shift

    def part(each: Any) -> Initializer:
        return affine(each, scale, shift, divided)

    match law:
        case Patch():
            regions = [{**each, "initializer": part(each["initializer"])} for each in law.patches]
            return Patch(part(law.base), regions)
        case Concatenate():
            return Concatenate(law.axis, law.sizes, list(map(part, law.initializers)))
        case RepeatOf():
            return RepeatOf(part(law.of), law.axis, law.times)
        case Constant() | Zeros() | Ones():
            return constant(moved(getattr(law, "value", isinstance(law, Ones))))
        case RandomNormal():
            return RandomNormal(moved(law.mean), abs(scaled(law.stddev)))
        case RandomUniform():
            low, high = sorted((moved(law.minval), moved(law.maxval)))
            return RandomUniform(low, high)
        case TruncNormal():
            low, high = sorted((moved(law.a), moved(law.b)))
            return TruncNormal(moved(law.mean), abs(scaled(law.std)), low, high)
        case TruncatedNormal():
            mean, std = moved(law.mean), abs(scaled(law.stddev))
            cut = TruncNormal(mean, std, mean - 2 * std, mean + 2 * std)
            return cut if mean else TruncatedNormal(0.0, std)
        case Orthogonal() if not shift:
            return Orthogonal(abs(scaled(law.gain)))
    text = "-{}" if scale == -1 else "{}" if scale == 1 else f"{{}} * {scale!r}"
    text = text if divided is None else f"{{}} / {divided!r}"
    return function_of(law, f"{text} + {shift!r}" if shift else text)


# Of these not each element has the same law.
_BY_PLACE = (Concatenate, Orthogonal, Patch, RepeatOf, Sparse, Table)


def of_parts(law: Any) -> Initializer:
    """The law of complex numbers whose real and imaginary parts are draws of a law, apart from each other."""
    if isinstance(law, RandomNormal) and not law.mean:
        return RandomNormal(0.0, float(law.stddev) * math.sqrt(2))
    if isinstance(law, RandomUniform):
        return law
    raise UnsayableError("its real and imaginary parts have laws that no initializer joins")


def in_complex(law: Initializer, shape: tuple[int, ...], layout: Layout | None = None) -> Initializer:
    """The same law, if it is one that specs have of complex numbers; else an UnsayableError."""
    try:
        resolve(law, shape, layout, DTYPES["complex64"])
    except InitializerError as error:
        raise UnsayableError(error.diagnostics[0].message) from error
    return law


def function_of(law: Any, text: str) -> Formula:
    """The law of an expression of values, which stand where it has braces."""
    if isinstance(law, _BY_PLACE):
        raise UnsayableError("a function of values whose law depends on their place")
    inner, of = expression_of(law)
    return Formula(text.format(inner if "({}" in text else _operand(inner)), of=of)


def combined(one: Any, sign: str, other: Any) -> Formula:
    """The law of what a sign makes of two functions of the same values."""
    (left, of), (right, _) = expression_of(one), expression_of(other)
    return Formula(f"{_operand(left)} {sign} {_operand(right)}", of=of)


def expression_of(law: Any) -> tuple[str, Any]:
    """A law as an expression in `x` and the law of that."""
    if isinstance(law, Formula) and law.of is not None:
        return str(law.value), law.of
    return "x", law


def _operand(text: str) -> str:
    """An expression as an operand: in parentheses, unless it is a name, a number or one call.

    Example:
        >>> _operand("exp(x)"), _operand("exp(x) + exp(x)"), _operand("0.5")
        ('exp(x)', '(exp(x) + exp(x))', '0.5')
    """
    name, _, rest = text.partition("(")
    if not rest and text.replace(".", "").isalnum():
        return text
    depths = itertools.accumulate((char == "(") - (char == ")") for char in rest[:-1])
    is_call = name.isalnum() and rest.endswith(")") and min(depths, default=0) >= 0
    return text if is_call else f"({text})"


def law_of_values(table: np.ndarray, dtype: DType) -> Initializer | Table:
    """A constant, a known formula, or the table of fixed values; zeros where there are no elements.

    Values of a floating dtype come as float64. Infinite ones and NaN are an UnsayableError.
    """
    if not table.size:
        return Zeros()
    if table.dtype.kind == "c":
        if table.imag.any() or (table != table.flat[0]).any():
            raise UnsayableError("its fixed values are complex, and specs hold real ones")
        table, dtype = table.real, dtype.part
    if (table == table.flat[0]).all():
        return constant(shortest(float(table.flat[0]), dtype))
    if not np.isfinite(table).all():
        raise UnsayableError(_NOT_FINITE)
    return _formula(table, dtype) or _known(table, dtype) or Table(table)


def _formula(table: np.ndarray, dtype: DType) -> Initializer | None:  # noqa: PLR0911  a list of cases
    """A formula for values that vary along one axis: a count, a line, powers of a base, logarithms."""
    if table.ndim == 0 or table.dtype.kind not in "fiu":
        return None
    axis = next((at for at in range(table.ndim) if table.shape[at] == table.size), table.ndim - 1)
    row = np.moveaxis(table, axis, -1).reshape(-1, table.shape[axis])
    if len(row) > 1 and not (row == row[0]).all():
        return None
    x, at = row[0].astype(np.float64), f"index({axis})" if table.ndim > 1 else "index(0)"
    count, n = np.arange(len(x)), len(x)
    if n < 3:
        return None
    error = 4 * 2.0**-dtype.format.digits if dtype.format else 0.0

    def holds(values: np.ndarray) -> bool:
        return bool((np.abs(values - x) <= error * np.maximum(np.abs(values), np.abs(x))).all())

    step, first = _tidy((x[-1] - x[0]) / (n - 1)), _tidy(x[0])
    if holds(first + step * count):
        number = repr if dtype.format else (lambda value: str(int(value)))
        text = at if step == 1 else f"{number(step)} * {at}"
        return Formula(text if first == 0 else f"{number(first)} + {text}")
    if holds(np.log(count + 1.0)):
        return Formula(f"log({at} + 1)")
    if x[0] == 1 and 0 < x[-1] < 1:
        base = float(_tidy(x[-1] ** (-n / (n - 1))))
        if holds(base ** (-count / n)):
            return Formula(f"{base!r} ** (-{at} / {n})")
    return None


# Angles of the columns of a table of positions: by pairs; by halves; by halves with the last frequency 1e-4.
_PAIRS = "2 * (index(-1) // 2) / size(-1)"
_HALVES = "index(-1) % (size(-1) // 2) / (size(-1) // 2)"
_TO_THE_LAST = "index(-1) % (size(-1) // 2) / (size(-1) // 2 - 1)"
_QUARTERS = "index(-1) % (size(-1) // 4) / (size(-1) // 4)"
_FIRST_HALF = "index(-1) < size(-1) // 2"


def _known(table: np.ndarray, dtype: DType) -> Initializer | None:
    """One of the formulas that models share, where it gives all values to float32 arithmetic's own error.

    These are sinusoids of one and of two coordinates ("Attention is all you need"; MAE), causal masks, the
    index of the relative positions of a window (Swin; BEiT, with a class token), and the first places that
    the heads of deformable attention look at (Deformable DETR).
    """
    if table.size < _FEWEST:
        return None
    if table.ndim < 2:
        formula = _directions(table) if dtype.format else None
        largest = int(7 * np.abs(table).max())  # the angles go once around, times the last point
        return formula if formula is not None and _agrees(formula, table, largest, dtype) else None
    rows, columns = table.shape[-2:]
    first = table.reshape(-1, rows, columns)[0]
    for text in _texts(first, dtype):
        formula = Formula(text)
        # No text has the number of rows in it, so that a few of them tell most tables apart.
        if _agrees(formula, first[:3], rows, dtype) and _agrees(formula, table, rows, dtype):
            return formula
    return None


def _directions(table: np.ndarray) -> Formula | None:
    """Pairs on rays from the middle of a square, a ray for each head, and 1, 2, ... points on a ray."""
    ahead, aside = table[::2], table[1::2]
    if len(ahead) != len(aside) or ahead[0] != 1 or not aside.any():
        return None
    each = int(np.argmax(aside != 0))  # of the first head, which looks straight ahead
    heads, points = len(ahead) // each if each else 0, int(ahead[:each].max(initial=0))
    if heads < 2 or points < 1:
        return None
    angle = f"2 * pi * (index(0) // {2 * each}) / {heads}"
    side = f"(cos({angle}) if index(0) % 2 == 0 else sin({angle}))"
    step = f"(index(0) // 2 % {points} + 1)"
    return Formula(f"{step} * {side} / max(abs(cos({angle})), abs(sin({angle})))")


def _texts(table: np.ndarray, dtype: DType) -> Iterator[str]:
    rows, columns = table.shape
    if dtype.format and columns % 2 == 0 and np.abs(table).max() <= 1:
        for first, place in ((0, "index(-2)"), (1, "(index(-2) - 1)")):
            side = math.isqrt(rows - first)
            column, row = f"({place} % {side})", f"({place} // {side})"
            sines = [
                _sines(place, _PAIRS, "index(-1) % 2 == 0"),
                _sines(place, _HALVES, _FIRST_HALF),
                _sines(place, _TO_THE_LAST, _FIRST_HALF),
            ]
            if side > 1 and columns % 4 == 0:
                test = "index(-1) // (size(-1) // 4) % 2 == 0"
                for one, other in ((column, row), (row, column)):
                    sines.append(_sines(f"({one} if {_FIRST_HALF} else {other})", _QUARTERS, test))
            yield from (f"0 if index(-2) == 0 else {text}" if first else text for text in sines)
    elif dtype.kind == "bool":
        yield "index(-2) >= index(-1)"
    elif rows == columns and not dtype.format:
        side = math.isqrt(rows)
        yield _relative("index(-2)", "index(-1)", side)
        last = (2 * side - 1) ** 2
        inner = _relative("(index(-2) - 1)", "(index(-1) - 1)", side)
        edges = f"{last + 2} if index(-2) + index(-1) == 0 else {last} if index(-2) == 0"
        yield f"{edges} else {last + 1} if index(-1) == 0 else {inner}"
    elif rows == columns:
        yield "1 if index(-2) >= index(-1) else 0"


def _sines(place: str, power: str, test: str) -> str:
    angle = f"{place} / 10000 ** ({power})"
    return f"sin({angle}) if {test} else cos({angle})"


def _relative(one: str, other: str, side: int) -> str:
    down = f"{one} // {side} - {other} // {side} + {side - 1}"
    return f"({down}) * {2 * side - 1} + {one} % {side} - {other} % {side} + {side - 1}"


def _agrees(formula: Formula, table: np.ndarray, largest: int, dtype: DType) -> bool:
    """Whether a formula gives a table, of which sines are off by as much as their angles are rounded."""
    try:
        made = np.asarray(formula(table.shape, dtype.name))
    except InitcfgError:
        return False
    if not dtype.format:
        return bool(np.array_equal(made, table))
    return bool(np.abs(made.astype(float) - table).max() <= max(largest, 4) * 2.0**-22)


def _tidy(value: float) -> float:
    return float(f"{value:.6g}")
