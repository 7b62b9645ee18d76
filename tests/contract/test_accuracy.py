"""The standard variates, against the exact function of the rounded uniform number that each comes from.

The promise: 1e-6 relative in float32, 1e-15 in float64. mpmath is the oracle. What the kernels do with a word
before the first rounding is written here once more, from docs/explanation/streams.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from initcfg.distributions import TruncatedNormal
from initcfg.dtypes import DTYPES
from initcfg.engines import constants, kernels32, kernels64
from initcfg.engines.recipe import Cut, Draw, Tails, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 700


@pytest.fixture(autouse=True)
def digits():
    with mpmath.workdps(40):
        yield


def words(bits: int) -> np.ndarray:
    """Random words, and those at both ends and at the middle of their range."""
    dtype = np.dtype(f"u{bits // 8}")
    top = 2**bits
    edges = [edge + step for edge in (0, top // 2, top, 2 * top // 3) for step in range(-40, 40)]
    spread = [(n << (bits - 16)) % top for n in range(0, 2**16, 1021)]
    chosen = np.array([word % top for word in edges + spread], dtype)
    return np.concatenate([chosen, np.random.default_rng(1).integers(0, top, COUNT, dtype)])


def scratch(size: int, dtype: type) -> list[np.ndarray]:
    return [np.empty(size, dtype) for _ in range(6)]


def signed(word: int, bits: int) -> int:
    """A word as a two's complement number."""
    return word - 2**bits if word >= 2 ** (bits - 1) else word


def box_muller(x: float, t: mpf, flip: int) -> tuple[mpf, mpf]:
    """The exact pair for the radius of `x`, the angle pi/2 * t, and the second word's highest two bits."""
    radius = mpmath.sqrt(-2 * mpmath.log(mpf(x)))
    cos, sin = mpmath.cos(mpmath.pi / 2 * t), mpmath.sin(mpmath.pi / 2 * t)
    cos = -cos if flip & 2 else cos
    return (radius * sin, radius * cos) if flip & 1 else (radius * cos, radius * sin)


def worst(got: np.ndarray, expected: list[mpf]) -> float:
    errors = (abs(mpf(float(value)) / exact - 1) for value, exact in zip(got, expected, strict=True))
    return float(max(errors))


def test_normal_in_float32() -> None:
    first = words(32)
    second = np.random.default_rng(2).permutation(words(32))
    cos, sin = kernels32.normal(first.copy(), second.copy(), scratch(first.size, np.float32))
    keep, pairs = [], []
    for index, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        x = float((np.float32(a >> 1) + np.float32(0.5)) * np.float32(2.0**-31))
        if x < 1:
            keep.append(index)
            t = mpf((signed(b << 2 & 0xFFFFFFFF, 32) >> 2) | 1) * mpf(2) ** -30
            # The kernel's t is rounded to float32, which is the uniform number that counts.
            pairs.append(box_muller(x, mpf(float(np.float32(float(t)))), b >> 30))
    assert worst(cos[keep], [pair[0] for pair in pairs]) < 1e-6
    assert worst(sin[keep], [pair[1] for pair in pairs]) < 1e-6


def test_normal_in_float64() -> None:
    first = words(64)
    second = np.random.default_rng(2).permutation(words(64))
    cos, sin = kernels64.normal(first.copy(), second.copy(), scratch(first.size, np.float64))
    keep, pairs = [], []
    for index, (a, b) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        x = (float(a >> 11) + 0.5) * 2.0**-53
        if x < 1:
            keep.append(index)
            t = mpf((signed(b << 2 & 2**64 - 1, 64) >> 11) | 1) * mpf(2) ** -53
            pairs.append(box_muller(x, t, b >> 62))
    assert worst(cos[keep], [pair[0] for pair in pairs]) < 1e-15
    assert worst(sin[keep], [pair[1] for pair in pairs]) < 1e-15


@pytest.mark.parametrize(
    ("kernel", "words_of", "reach"),
    [(kernels32, 32, constants.NORMAL_REACH["float32"]), (kernels64, 64, constants.NORMAL_REACH["float64"])],
    ids=["float32", "float64"],
)
def test_the_reach_of_the_normal_kernels(kernel, words_of: int, reach: float) -> None:
    """The least first word, and an angle as near to 0 as there is."""
    word, value = (np.uint32, np.float32) if words_of == 32 else (np.uint64, np.float64)
    first, second = np.zeros(4, word), np.arange(4, dtype=word) << word(words_of - 2)  # type: ignore[operator]
    pair = kernel.normal(first, second, scratch(4, value))
    largest = max(float(abs(half).max()) for half in pair)
    assert reach - 1e-3 < largest < reach


def upper(q: mpf) -> mpf:
    """The point with mass `q` above it, by Newton's method on the logarithm."""
    z = mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * q) if q > 0.01 else mpmath.sqrt(-2 * mpmath.log(q))
    for _ in range(60):
        mass = mpmath.erfc(z / mpmath.sqrt(2)) / 2
        step = (mpmath.log(mass) - mpmath.log(q)) * mass / mpmath.npdf(z)
        z += step
        if abs(step) < mpf(10) ** -30 * abs(z):
            break
    return z


def recipe_of(distribution: TruncatedNormal, dtype: str) -> Draw:
    recipe = prepare(distribution, DTYPES[dtype])
    assert isinstance(recipe, Draw)
    return recipe


def test_two_sigma_in_float32() -> None:
    chosen = words(32)
    got = kernels32.two_sigma(chosen.copy(), scratch(chosen.size, np.float32))
    scale = np.float32(constants.TWO_SIGMA_SCALE)
    uniform = [float(np.float32(signed(word, 32) | 1) * scale) for word in chosen.tolist()]
    assert worst(got, [mpmath.sqrt(2) * mpmath.erfinv(mpf(x)) for x in uniform]) < 1e-6
    assert abs(got).max() <= 2


@pytest.mark.parametrize("c", [2.0**-20, 0.01, 0.7, 1.0, 1.9, 3.0, 4.5, 6.0])
def test_symmetric_cuts_in_float32(c: float) -> None:
    numbers = recipe_of(TruncatedNormal(0.0, 1.0, -c, c), "float32").numbers
    assert isinstance(numbers, Cut)
    chosen = words(32)
    got = kernels32.cut(chosen.copy(), numbers.scale, numbers.tail, scratch(chosen.size, np.float32))
    scale, tail = np.float32(numbers.scale), np.float32(numbers.tail)
    expected = []
    for word in chosen.tolist():
        steps = abs(signed(word, 32) | 1)
        # x is the uniform number; where it is close to 1, its distance from 1 is what was rounded last.
        x, rest = float(np.float32(steps) * scale), float(np.float32(2**31 - steps) * scale + tail)
        z = mpmath.sqrt(2) * mpmath.erfinv(mpf(x)) if x < 0.5 else upper(mpf(rest) / 2)
        expected.append(z if signed(word, 32) >= 0 else -z)
    assert worst(got, expected) < 1e-6


BOUNDS: list[tuple[float, float]] = [
    *((-2.0, 2.0), (-1.0, 3.0), (0.0, 5.0), (1.3, 1.6), (3.0, 4.0), (-7.0, -6.0), (-6.5, 6.5), (10.0, 11.0)),
    *((30.0, 1000.0), (36.0, 37.0), (-1e-12, 3e-12), (1.0, 1.0 + 1e-9), (-1e300, -1.2)),
]


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_any_truncation_in_float64(bounds: tuple[float, float]) -> None:
    numbers = recipe_of(TruncatedNormal(0.0, 1.0, *bounds), "float64").numbers
    assert isinstance(numbers, Tails)
    chosen = words(64)[:400]
    got = kernels64.inverse(chosen.copy(), numbers, scratch(chosen.size, np.float64))
    expected = [exact_inverse((signed(word, 64) >> 10) | 1, numbers) for word in chosen.tolist()]
    assert worst(got, expected) < 1e-15


def exact_inverse(steps: int, tails: Tails) -> mpf:
    p = float(steps) * 2.0**-53 * tails.half + tails.centre
    if abs(p) <= constants.CENTRE_END:
        return mpmath.sqrt(2) * mpmath.erfinv(2 * mpf(p))
    if p > 0:
        return upper(mpf(float(2**53 - steps) * 2.0**-53 * tails.half + tails.above))
    return -upper(mpf(float(2**53 + steps) * 2.0**-53 * tails.half + tails.below))


@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
def test_the_numbers_of_a_truncation_are_rounded_once(bounds: tuple[float, float]) -> None:
    numbers = recipe_of(TruncatedNormal(0.0, 1.0, *bounds), "float64").numbers
    assert isinstance(numbers, Tails)
    low, high = (mpf(max(min(bound, 1e3), -1e3)) for bound in bounds)
    tail: Callable[[mpf], mpf] = lambda z: mpmath.erfc(z / mpmath.sqrt(2)) / 2  # noqa: E731
    with mpmath.workdps(90):
        below, above = tail(-low), tail(high)
        half = (tail(low) - above) / 2 if low > 0 else (tail(-high) - below) / 2
        assert (numbers.below, numbers.above) == (float(below), float(above))
        assert (numbers.half, numbers.centre) == (float(half), float((below - above) / 2))
