"""The elementary functions of arrays: within 1 ulp of the exact value (pow 2), with the ends of C99.

``INITCFG_EXAMPLES=200`` tries 200,000 points a function, and ``-s`` shows the worst of each.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import mpmath
import numpy as np
import pytest
from hypothesis import settings
from mpmath import libmp

from initcfg.engines import constants, functions, get_engine
from initcfg.engines.elementary import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 500 * settings().max_examples
PRECISION = 160
INF, NAN = math.inf, math.nan
TINY, HUGE = 5e-324, 1.7976931348623157e308


def _of_one(function: Callable[..., tuple]) -> Callable[..., tuple]:
    return lambda x: function(x, PRECISION, "n")


def _over(function: Callable[..., tuple], value: tuple) -> Callable[..., tuple]:
    return lambda x: libmp.mpf_div(function(x, PRECISION, "n"), value, PRECISION, "n")


def _expm1(x: tuple) -> tuple:
    # Enough digits for what cancels.
    digits = PRECISION + max(0, -(x[2] + x[3]))
    return libmp.mpf_sub(libmp.mpf_exp(x, digits, "n"), libmp.fone, PRECISION, "n")


def _log1p(x: tuple) -> tuple:
    return libmp.mpf_log(libmp.mpf_add(libmp.fone, x), PRECISION + max(0, -(x[2] + x[3])), "n")


ORACLES: dict[str, Callable[..., tuple]] = {
    "exp": _of_one(libmp.mpf_exp),
    "log": _of_one(libmp.mpf_log),
    "log2": _over(libmp.mpf_log, libmp.mpf_ln2(PRECISION)),
    "expm1": _expm1,
    "log1p": _log1p,
    "sin": _of_one(libmp.mpf_sin),
    "cos": _of_one(libmp.mpf_cos),
    "tan": _of_one(libmp.mpf_tan),
    "tanh": _of_one(libmp.mpf_tanh),
    "atan": _of_one(libmp.mpf_atan),
    "pow": lambda x, y: libmp.mpf_pow(x, y, PRECISION, "n"),
}


def ulps(got: float, exact: tuple) -> float:
    """How far a double is from the exact value, in units of the last place that a double of that size has."""
    size = exact[2] + exact[3]  # 2**(size - 1) <= |exact| < 2**size
    error = libmp.mpf_sub(libmp.from_float(got), exact)
    return abs(libmp.to_float(libmp.mpf_shift(error, -max(size - 53, -1074))))


def worst(name: str, *arguments: np.ndarray, functions: dict[str, Callable] = FUNCTIONS) -> tuple:
    """The largest error, and where it is."""
    got = functions[name](*arguments).tolist()
    errors = []
    for value, *point in zip(got, *(each.tolist() for each in arguments), strict=True):
        exact = ORACLES[name](*map(libmp.from_float, point))
        errors.append((ulps(value, exact), *point))
    return max(errors)


def sizes(rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """Numbers whose logarithm to base 2 is uniform."""
    return np.exp2(rng.uniform(low, high - 1, COUNT // 2)) * rng.uniform(1, 2, COUNT // 2)


def signed(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    return x * rng.choice([-1.0, 1.0], x.size)


def near_right_angles(rng: np.random.Generator) -> np.ndarray:
    """The doubles next to multiples of pi/2, and the worst of them: those of its continued fraction."""
    with mpmath.workprec(300):
        multiples = rng.integers(1, int(2.0**30 / (math.pi / 2)), COUNT // 4).tolist()
        before, n, rest = 0, 1, mpmath.pi / 2
        while n < 2**29:
            rest = 1 / (rest - int(rest))
            before, n = n, int(rest) * n + before
            multiples.append(n)
        x = np.array([float(n * mpmath.pi / 2) for n in multiples if n < 2**29])
    return np.concatenate([x, np.nextafter(x, 0), np.nextafter(x, 9e9)])


def points(name: str) -> list[np.ndarray]:
    rng = np.random.default_rng(18)
    near_one, near_zero = rng.uniform(0.5, 2.0, COUNT // 2), rng.uniform(-2.0, 2.0, COUNT // 2)
    positive, any_size = sizes(rng, -1074, 1024), signed(rng, sizes(rng, -1074, 1024))
    exponents = rng.uniform(-745.1, 709.78, COUNT)
    logarithms = [positive, near_one, 2.0 ** np.arange(-1074, 1024)]
    circular = [sizes(rng, -1074, 30), signed(rng, sizes(rng, -3, 30)), near_right_angles(rng)]
    chosen = {
        "exp": [exponents, near_zero],
        "expm1": [exponents, near_zero, any_size % 700],
        "log": logarithms,
        "log2": logarithms,
        "log1p": [positive, near_zero[near_zero > -1], -sizes(rng, -1074, 0)],
        "sin": circular,
        "cos": circular,
        "tan": circular,
        "tanh": [any_size % 40, near_zero, 10 * near_zero],
        "atan": [any_size, near_zero, 4 * near_zero],
        "pow": logarithms,
    }
    x = np.concatenate(chosen[name])
    if name != "pow":
        return [x]
    base = x[x != 1]
    exponent = rng.choice(exponents, base.size) / np.log(base)
    whole = np.where(np.arange(base.size) % 3 == 0, np.trunc(exponent), exponent)
    negative = (np.arange(base.size) % 6 == 0) & (np.abs(whole) < 2**53)
    return [np.where(negative, -base, base), whole]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_value_is_within_its_ulps(name: str) -> None:
    found = worst(name, *points(name))
    print(f"{name}: {found[0]:.3f} ulp at {found[1:]}")
    assert found[0] < (2 if name == "pow" else 1), found


@pytest.mark.parametrize(
    ("name", "constant", "wrong"),
    [
        ("sin", "HALF_PI_PARTS", (*constants.HALF_PI_PARTS[:4], 0.0)),
        ("pow", "TWO_THIRDS_LOW", 2.0**-48),
        ("exp", "EXP64", (1 / 6 + 2.0**-46, *constants.EXP64[1:])),
    ],
)
def test_a_fault_in_a_constant_would_be_found(
    name: str, constant: str, wrong: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, constant, wrong)
    assert worst(name, *points(name))[0] > 2


ENDS: dict[str, list[tuple[float, float]]] = {
    "exp": [(0.0, 1.0), (-0.0, 1.0), (710.0, INF), (-746.0, 0.0), (INF, INF), (-INF, 0.0), (-745.0, TINY)],
    "expm1": [(0.0, 0.0), (-0.0, -0.0), (710.0, INF), (-746.0, -1.0), (INF, INF), (-INF, -1.0), (TINY, TINY)],
    "log": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (-TINY, NAN), (-1.0, NAN), (INF, INF), (-INF, NAN)],
    "log2": [(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (TINY, -1074.0), (-1.0, NAN), (INF, INF), (-INF, NAN)],
    "log1p": [(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (-1.5, NAN), (INF, INF), (-INF, NAN), (-TINY, -TINY)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (2.0**30 + 2.0**-22, NAN), (-HUGE, NAN)],
    "cos": [(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN), (-(2.0**30) - 2.0**-22, NAN), (HUGE, NAN)],
    "tan": [(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (2.0**31, NAN), (-TINY, -TINY)],
    "tanh": [(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (HUGE, 1.0), (-TINY, -TINY)],
    "atan": [(0.0, 0.0), (-0.0, -0.0), (INF, math.pi / 2), (-INF, -math.pi / 2), (TINY, TINY)],
}


@pytest.mark.parametrize("name", ENDS)
def test_ends_are_those_of_c99(name: str) -> None:
    arguments, expected = np.array([*ENDS[name], (NAN, NAN), (-NAN, NAN)]).T
    assert FUNCTIONS[name](arguments.copy()).tobytes() == expected.tobytes()


def test_ends_of_powers_are_those_of_c99() -> None:
    """Python's power agrees with C99, but for the errors that it makes of poles and of what is not real."""
    ends = [0.0, TINY, 0.5, 1.0, 1.5, 2.0, 3.0, 2.0**1023, INF, NAN]
    exponents = [*ends, 2.0**53 - 1, 2.0**53]
    pairs = [(s * x, t * y) for x in ends for y in exponents for s in (1, -1) for t in (1, -1)]
    got = FUNCTIONS["pow"](*np.array(pairs).T.copy()).tolist()
    expected = []
    for x, y in pairs:
        odd = math.isfinite(y) and y % 2 == 1
        try:
            expected.append(math.pow(x, y))
        except ValueError:
            pole = x == 0
            expected.append((math.copysign(INF, x) if odd else INF) if pole else NAN)
        except OverflowError:
            expected.append(-INF if x < 0 and odd else INF)
    assert [
        (pair, ours, theirs)
        for pair, ours, theirs in zip(pairs, got, expected, strict=True)
        if str(ours) != str(theirs)
    ] == []


def test_one_nan_stands_for_all() -> None:
    bits = np.array([0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001], np.uint64)
    for name, function in FUNCTIONS.items():
        arguments = [bits.view(np.float64)] * (2 if name == "pow" else 1)
        assert set(function(*arguments).view(np.uint64).tolist()) == {0x7FF8000000000000}, name


def test_any_shape_and_any_part_give_the_same_bits() -> None:
    x = np.random.default_rng(3).uniform(0, 40, (3, 7001))
    for name, function in FUNCTIONS.items():
        rest = [x[::-1].copy()] if name == "pow" else []
        whole = function(x, *rest)
        assert whole.shape == x.shape
        assert function(x[1], *(each[1] for each in rest)).tobytes() == whole[1].tobytes()
        assert function(x[0, :0], *(each[0, :0] for each in rest)).shape == (0,)
        assert function(x[2, 5], *(each[2, 5] for each in rest)) == whole[2, 5]


def test_constants_are_what_they_are_called() -> None:
    with mpmath.workprec(400):
        half = mpmath.pi / 2
        arcs = [*map(mpmath.atan, constants.ATAN_CENTRES), half]
        for value, high, low in [
            (1 / mpmath.ln(2), constants.INVERSE_LN2, constants.INVERSE_LN2_LOW),
            (mpmath.mpf(2) / 3, constants.TWO_THIRDS, constants.TWO_THIRDS_LOW),
            *zip(arcs, constants.ATAN_HIGH, constants.ATAN_LOW, strict=True),
        ]:
            assert (float(value), float(value - high)) == (high, low)
        *short, last = constants.HALF_PI_PARTS
        assert last == float(half - sum(map(mpmath.mpf, short)))
        assert all(math.frexp(part)[0] * 2**23 % 1 == 0 for part in short)
        assert float(2 / mpmath.pi) == constants.TWO_OVER_PI


@pytest.mark.parametrize("engine", ["numpy", "native"])
def test_a_function_may_overwrite_its_argument(engine: str) -> None:
    x = np.random.default_rng(24).uniform(0, 9, 20_000)
    for name, function in functions(get_engine(engine)).items():
        rest = [x[::-1].copy()] if name == "pow" else []
        expected, taken = function(x, *rest), x.copy()
        assert function(taken, *rest, out=taken) is taken
        assert taken.tobytes() == expected.tobytes()
    with pytest.raises(ValueError, match="contiguous"):
        function(x, out=np.empty(40_000)[::2])
