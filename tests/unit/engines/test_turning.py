"""Complex draws: any stretch alone, one set of bits, and the laws that modulus and angle have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from initcfg import distributions, engines
from initcfg.distributions import ComplexNormal, Disk, Fill, Square, Uniform
from initcfg.dtypes import as_dtype
from initcfg.engines import ENGINES, get_engine
from initcfg.errors import Code, InitializerError
from initcfg.stream import Stream

if TYPE_CHECKING:
    from initcfg.distributions import Distribution

STREAM = Stream.of_parameter(20, "w")
LAWS = pytest.mark.parametrize(
    "law", [Disk(0.5), ComplexNormal(0.5), ComplexNormal(0.5, 1.0), ComplexNormal(0.5, 0.01)], ids=str
)
COUNT = 300_000


def drawn(law: Distribution, size: int = COUNT, start: int = 0, engine: str = "numpy") -> np.ndarray:
    out = np.empty(size, np.complex64)
    get_engine(engine)(out, law, STREAM, start)
    return out


@LAWS
@pytest.mark.parametrize("engine", ENGINES)
def test_any_stretch_is_that_of_the_whole_by_each_engine(law: Distribution, engine: str) -> None:
    whole = drawn(law, 40_000)
    for start, size in ((0, 40_000), (0, 0), (1, 1), (16383, 3), (7, 33_333)):
        stretch = drawn(law, size, start, engine)
        assert stretch.tobytes() == whole[start : start + size].tobytes()


@LAWS
def test_modulus_and_angle_have_their_laws_and_are_independent(law: Distribution) -> None:
    """Fixed seeds, p-values above 1e-3: four laws and two tests raise a false alarm at one in 125 choices."""
    draws = drawn(law).astype(np.complex128)
    modulus, angle = np.abs(draws), np.angle(draws)
    cut = (law.radius / law.std) ** 2 if isinstance(law, ComplexNormal) else 0.0
    if isinstance(law, Disk):
        square = stats.uniform(0, law.radius**2)
    else:
        square = stats.truncexpon(min(cut, 700.0), 0, law.std**2)
    assert stats.kstest(modulus**2, square.cdf).pvalue > 1e-3
    assert stats.kstest(angle, stats.uniform(-math.pi, 2 * math.pi).cdf).pvalue > 1e-3
    # The mean square is that of `moments`; quadrants, and halves of the modulus, are as if apart.
    assert np.sqrt(np.mean(modulus**2)) == pytest.approx(distributions.moments(law).std, rel=5e-3)
    table = np.histogram2d(modulus, angle, bins=(np.quantile(modulus, [0, 0.25, 0.5, 0.75, 1]), 8))[0]
    assert stats.chi2_contingency(table).pvalue > 1e-3
    assert modulus.max() <= law.radius * (1 + 2**-23)


@pytest.mark.parametrize(
    ("law", "part"),
    [
        (ComplexNormal(0.5), distributions.Normal(0.0, 0.5 / math.sqrt(2))),
        (Square(0.0, 0.5), Uniform(0.0, 0.5)),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_parts_that_are_apart_are_draws_of_the_stream_one_after_the_other(
    law: Distribution, part: Distribution, engine: str
) -> None:
    parts = np.empty(20, np.float32)
    get_engine("numpy")(parts, part, STREAM, 6)
    np.testing.assert_array_equal(drawn(law, 10, 3, engine).view(np.float32), parts)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_constant_has_no_imaginary_part(engine: str) -> None:
    np.testing.assert_array_equal(drawn(Fill(0.1), 3, engine=engine), np.full(3, np.float32(0.1)))


@pytest.mark.parametrize(
    ("law", "dtype", "message"),
    [
        (Disk(1.0), "float32", "complex values cannot be drawn in float32"),
        (Uniform(0.0, 1.0), "complex64", "random values cannot be drawn in complex64"),
        (ComplexNormal(1e-31, 1.0), "complex64", "std is 1e-31, too small to draw with"),
    ],
)
def test_what_cannot_be_drawn_is_refused(law: Distribution, dtype: str, message: str) -> None:
    with pytest.raises(InitializerError, match=message) as caught:
        engines.check(law, as_dtype(dtype))
    assert caught.value.diagnostics[0].code is Code.DISTRIBUTION


@pytest.mark.parametrize(
    ("law", "numbers"), [(Disk, (0.0,)), (Disk, (math.inf,)), (ComplexNormal, (-1.0,)), (Square, (0.5, 0.5))]
)
def test_a_law_has_a_size_above_0(law: type[Disk], numbers: tuple[float]) -> None:
    with pytest.raises(InitializerError):
        law(*numbers)
