"""The distribution of what is drawn, at a million values and fixed seeds.

A Kolmogorov-Smirnov p below 1e-4 fails. The seeds are fixed, so this is no lottery: it fails when a change of
the code makes the values worse, and the bits are frozen besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import special, stats

from initcfg.distributions import Distribution, Normal, TruncatedNormal, Uniform
from initcfg.dtypes import DTYPES
from initcfg.engines.reference import fill
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

N = 1_000_000
FLOATS = [name for name, dtype in DTYPES.items() if dtype.kind == "float"]
LAWS: dict[str, Distribution] = {
    "uniform": Uniform(-0.75, 1.0),
    "normal": Normal(0.0, 1.0),
    "two_sigma": TruncatedNormal(0.0, 1.0, -2.0, 2.0),
    "cut": TruncatedNormal(0.5, 1.0, -2.5, 3.5),
    "one_sided": TruncatedNormal(0.0, 1.0, 0.0, 100.0),
    "tail": TruncatedNormal(0.0, 1.0, 1.0, 3.0),
}


def drawn(law: Distribution, dtype: str, size: int, stream: Stream, start: int = 0) -> np.ndarray:
    out = np.empty(size, DTYPES[dtype].numpy)
    fill(out, law, stream, start)
    return out.astype(np.float64)


def cumulative(law: Distribution) -> Callable[[np.ndarray], np.ndarray]:
    """The distribution function on arrays; scipy's is slow for truncated normals."""
    match law:
        case Uniform(low, high):
            return lambda x: np.clip((x - low) / (high - low), 0, 1)
        case Normal(mean, std):
            return lambda x: special.ndtr((x - mean) / std)
        case TruncatedNormal(mean, std, low, high):
            tails = [special.ndtr((bound - mean) / std) for bound in (low, high)]
            return lambda x: np.clip(
                (special.ndtr((x - mean) / std) - tails[0]) / (tails[1] - tails[0]), 0, 1
            )
        case _:
            raise TypeError(law)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LAWS)
def test_wide_types_follow_their_law(name: str, dtype: str) -> None:
    values = drawn(LAWS[name], dtype, N, Stream.of_parameter(7, f"quality.{name}"))
    assert stats.kstest(values, cumulative(LAWS[name])).pvalue > 1e-4


@pytest.mark.parametrize("dtype", [name for name in FLOATS if DTYPES[name].itemsize <= 2])
@pytest.mark.parametrize("name", LAWS)
def test_narrow_types_follow_their_law_rounded(name: str, dtype: str) -> None:
    """A value stands for what rounds to it, so the laws are compared half way between neighbours."""
    values = drawn(LAWS[name], dtype, N, Stream.of_parameter(7, f"quality.{name}"))
    levels, counts = np.unique(values, return_counts=True)
    empirical = np.cumsum(counts)[:-1] / N
    # Neighbours among the values drawn are neighbours in the type wherever there is mass to speak of.
    half_way = (levels[:-1] + levels[1:]) / 2
    distance = np.abs(empirical - cumulative(LAWS[name])(half_way)).max()
    assert stats.kstwobign.sf(distance * np.sqrt(N)) > 1e-4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_of_the_normal(dtype: str) -> None:
    z = drawn(Normal(0.0, 1.0), dtype, N, Stream.of_parameter(7, "quality.moments"))
    for power, expected, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)]:
        assert abs((z**power).mean() - expected) < 4 * np.sqrt(variance / N)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("beyond", [3.0, 4.0, 4.5])
def test_tails_of_the_normal(dtype: str, beyond: float) -> None:
    n = 4 * N
    z = drawn(Normal(0.0, 1.0), dtype, n, Stream.of_parameter(7, "quality.tails"))
    for count in (int((z > beyond).sum()), int((z < -beyond).sum())):
        expected = n * special.ndtr(-beyond)
        assert abs(count - expected) < 4 * np.sqrt(expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_neighbouring_elements_are_independent(dtype: str) -> None:
    z = drawn(Normal(0.0, 1.0), dtype, N, Stream.of_parameter(7, "quality.neighbours"))
    for transform in (z, z**2 - 1, np.abs(z) - np.sqrt(2 / np.pi)):
        for lag in (1, 2, 3, 4, 8):
            correlation = np.corrcoef(transform[:-lag], transform[lag:])[0, 1]
            assert abs(correlation) * np.sqrt(N) < 4


def test_neighbouring_streams_are_independent() -> None:
    """Seeds and names that differ by one, children, and one stream a little further on."""
    base = Stream.of_parameter(0, "h.0")
    streams = [Stream.of_parameter(seed, f"h.{layer}") for seed in range(6) for layer in range(6)]
    streams += [base.child(str(index)) for index in range(6)]
    streams += [Stream.of_seed(seed, "HeNormal", (4, 4)) for seed in range(4)]
    n = 1 << 15
    rows = [drawn(Normal(0.0, 1.0), "float32", n, stream) for stream in streams]
    rows.append(drawn(Normal(0.0, 1.0), "float32", n, base, start=n))
    for table in (np.stack(rows), np.stack(rows) ** 2 - 1):
        correlations = np.corrcoef(table)
        apart = correlations[np.triu_indices(len(rows), 1)] * np.sqrt(n)
        # About a thousand pairs: the largest of so many standard normals is below 4.7 but once in 400 times.
        assert np.abs(apart).max() < 4.7
        assert stats.kstest(apart, stats.norm.cdf).pvalue > 1e-4


def test_a_worse_law_would_be_found() -> None:
    """The tests above can fail: a standard deviation that is wrong by two percent does."""
    values = drawn(Normal(0.0, 1.02), "float32", N, Stream.of_parameter(7, "quality.normal"))
    assert stats.kstest(values, special.ndtr).pvalue < 1e-4
