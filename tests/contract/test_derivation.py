"""docs/explanation/streams.md once more, in scalars: a small engine that shares only constants with ours.

Golden digests say that bits moved; this says which step moved them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from initcfg.distributions import Distribution, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import DTYPES
from initcfg.engines import constants as k
from initcfg.engines import get_engine
from initcfg.engines.recipe import Cut, Draw, Tails, prepare
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

F32 = np.float32
LOW = 0xFFFFFFFF


def block(number: int, stream: Stream) -> list[int]:
    k0, k1, c2, c3 = stream.words
    c = [number & LOW, number >> 32, c2, c3]
    for _ in range(10):
        first, second = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(second >> 32) ^ c[1] ^ k0, second & LOW, (first >> 32) ^ c[3] ^ k1, first & LOW]
        k0, k1 = (k0 + 0x9E3779B9) & LOW, (k1 + 0xBB67AE85) & LOW
    return c


def word(element: int, bits: int, stream: Stream) -> int:
    if bits == 32:
        return block(element // 4, stream)[element % 4]
    low, high = block(element // 2, stream)[2 * (element % 2) :][:2]
    return low | high << 32


def signed(value: int, bits: int) -> int:
    value &= 2**bits - 1
    return value - 2**bits if value >> (bits - 1) else value


def horner(coefficients: Sequence[float], x, number: Callable):
    total = number(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + number(coefficient)
    return total


def nlog32(x: F32) -> F32:
    (i,) = struct.unpack("<i", struct.pack("<f", x))
    e = (i - 0x3F2AAAAB) & ~0x7FFFFF
    f = F32(struct.unpack("<f", struct.pack("<i", i - e))[0]) - F32(1)
    return (horner(k.LOG32, f, F32) * (f * f) - f) + F32(e) * F32(k.LOG32_EXPONENT)


def nlog64(x: float) -> float:
    (i,) = struct.unpack("<q", struct.pack("<d", x))
    e = (i - 0x3FE6A09E00000000) & ~(2**52 - 1)
    f = struct.unpack("<d", struct.pack("<q", i - e))[0] - 1.0
    s = f / (2.0 + f)
    r = horner(k.LOG64, s * s, float) * (s * s)
    h = (f * 0.5) * f
    return ((h - ((r + h) * s + (e >> 52) * k.LN2_LOW)) - f) - (e >> 52) * k.LN2_HIGH


def uniform32(element: int, stream: Stream, _) -> F32:
    return F32((signed(word(element, 32, stream), 32) >> 7) | 1) * F32(2.0**-24)


def uniform64(element: int, stream: Stream, _) -> float:
    return ((signed(word(element, 64, stream), 64) >> 10) | 1) * 2.0**-53


def pick(element: int, cos, sin, flip: int):
    """The element's half of a pair, after the two highest bits of the second word."""
    cos = -cos if flip & 2 else cos
    return (cos, sin)[(element + (flip & 1)) % 2]


def normal32(element: int, stream: Stream, _) -> F32:
    a, b = word(element & ~1, 32, stream), word(element | 1, 32, stream)
    x = (F32(a >> 1) + F32(0.5)) * F32(2.0**-31)
    radius = np.sqrt(max(nlog32(x), F32(2.0**-26)))
    t = F32((signed(b << 2, 32) >> 2) | 1) * F32(2.0**-30)
    cos, sin = horner(k.COS32, t * t, F32), horner(k.SIN32, t * t, F32) * t
    return radius * pick(element, cos, sin, b >> 30)


def normal64(element: int, stream: Stream, _) -> float:
    a, b = word(element & ~1, 64, stream), word(element | 1, 64, stream)
    m = max(nlog64(((a >> 11) + 0.5) * 2.0**-53), 2.0**-55)
    radius = float(np.sqrt(m + m))
    theta = (((signed(b << 2, 64) >> 11) | 1) * 2.0**-52 * k.HALF_PI) * 0.5
    u = theta * theta
    w = 1.0 - u * 0.5
    cos = w + (((1.0 - w) - u * 0.5) + u * (u * horner(k.COS64, u, float)))
    sin = theta + (theta * u) * horner(k.SIN64, u, float)
    return radius * pick(element, cos, sin, b >> 62)


def two_sigma(element: int, stream: Stream, _) -> F32:
    x = F32(signed(word(element, 32, stream), 32) | 1) * F32(k.TWO_SIGMA_SCALE)
    y = F32(1) - x * x
    return (x * horner(k.TWO_SIGMA_P, y, F32)) / horner(k.TWO_SIGMA_Q, y, F32)


def cut(element: int, stream: Stream, numbers: Cut) -> F32:
    s = signed(word(element, 32, stream), 32) | 1
    x = F32(abs(s)) * F32(numbers.scale)
    t = F32(2**31 - abs(s)) * F32(numbers.scale) + F32(numbers.tail)
    w = nlog32(t * (x + F32(1)))
    z = (x * horner(k.CUT_P, w, F32)) / horner(k.CUT_Q, w, F32)
    return z if s > 0 else -z


def inverse(element: int, stream: Stream, tails: Tails) -> float:
    m = (signed(word(element, 64, stream), 64) >> 10) | 1
    p = (m * 2.0**-53) * tails.half + tails.centre
    if abs(p) <= 0.425:
        v = 0.180625 - p * p
        return (horner(k.CENTRE_P, v, float) * p) / horner(k.CENTRE_Q, v, float)
    if p > 0:
        q = ((2**53 - m) * 2.0**-53) * tails.half + tails.above
    else:
        q = ((2**53 + m) * 2.0**-53) * tails.half + tails.below
    v = float(np.sqrt(nlog64(q)))
    if v <= 5.0:
        z = horner(k.TAIL_P, v - 1.6, float) / horner(k.TAIL_Q, v - 1.6, float)
    else:
        z = horner(k.FAR_P, v - 5.0, float) / horner(k.FAR_Q, v - 5.0, float)
    return z if p > 0 else -z


VARIATES: dict[tuple[str, str], Callable] = {
    ("uniform", "float32"): uniform32,
    ("uniform", "float64"): uniform64,
    ("normal", "float32"): normal32,
    ("normal", "float64"): normal64,
    ("two_sigma", "float32"): two_sigma,
    ("cut", "float32"): cut,
    ("inverse", "float64"): inverse,
}
CASES: list[tuple[Distribution, str]] = [
    (Uniform(-0.25, 0.5), "float32"),
    (Uniform(-0.25, 0.5), "float64"),
    (Normal(0.1, 0.02), "float32"),
    (Normal(0.1, 0.02), "float64"),
    (Normal(0.0, 1e-30), "float32"),
    (TruncatedNormal(0.0, 0.02, -0.04, 0.04), "float32"),
    (TruncatedNormal(0.0, 0.02, -0.06, 0.06), "float32"),
    (TruncatedNormal(0.5, 1.0, 0.25, 0.75), "float32"),
    (TruncatedNormal(0.0, 0.02, -2.0, 2.0), "float32"),
    (TruncatedNormal(0.0, 0.02, -0.04, 0.04), "float64"),
    (TruncatedNormal(0.0, 1.0, -1.0, 3.0), "float32"),
    (TruncatedNormal(0.0, 1.0, -1.0, 3.0), "float64"),
    (TruncatedNormal(0.0, 1.0, 8.0, 9.0), "float64"),
    (TruncatedNormal(0.0, 1.0, -100.0, -2.0), "bfloat16"),
]


@pytest.mark.parametrize(("law", "dtype"), CASES, ids=str)
@pytest.mark.parametrize("start", [0, 2**34 - 101])
def test_the_engine_does_what_the_page_says(law: Distribution, dtype: str, start: int) -> None:
    stream = Stream.of_parameter(3, "derivation")
    out = np.empty(200, DTYPES[dtype].numpy)
    get_engine("numpy")(out, law, stream, start)

    recipe = prepare(law, DTYPES[dtype])
    assert isinstance(recipe, Draw)
    number = np.dtype(recipe.arithmetic).type
    variate = VARIATES[recipe.kernel, recipe.arithmetic]
    low, high = recipe.clamp or (-np.inf, np.inf)
    values = [
        number(variate(start + n, stream, recipe.numbers)) * number(recipe.scale) + number(recipe.location)
        for n in range(out.size)
    ]
    clamped = [min(max(value, number(low)), number(high)) for value in values]
    drawn = np.array(clamped).astype(DTYPES[dtype].drawn).astype(out.dtype)
    assert out.tobytes() == drawn.tobytes()
