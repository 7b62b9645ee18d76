"""What draws of a law come to in a dtype: moments, bounds and the distribution function, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.distributions import (
    ComplexNormal,
    Disk,
    Distribution,
    Normal,
    Square,
    TruncatedNormal,
    Uniform,
    point,
    support,
)
from initcfg.engines.casting import round_all
from initcfg.initializers import Formula, Initializer, RandomNormal, RandomUniform, resolve
from initcfg.initializers.elements import gauss_nodes, sample_of
from initcfg.inspection import as_real

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.dtypes import DType
    from initcfg.formats import Array
    from initcfg.initializers.components import Component
    from initcfg.layout import Layout

#: The share of float32 arithmetic's own error, four units in the last place.
ULPS = 4 * 2.0**-23
# Draws beyond so many standard deviations are not counted on: those of 23 random bits end before six.
_TAIL = 9.0
# Normal draws of ten thousand million elements end before so many.
_DRAWN = 6.5
_EDGES = 2048
# Of a formula so many values of its draw are looked at, fewer at many places, together so many values.
_POINTS, _LEAST_POINTS, _ROOM = 1 << 14, 1 << 8, 1 << 20
# Bits that a draw of a wide dtype has at least in common with none: torch's uniform draws have 24.
_WIDE_COLLISION = 2.0**-20
_NARROW = 2
# How far moments and probabilities may be off by places that are left out, times how many are looked at.
_GAPS = 8

Mixture = tuple[tuple[float, "Distribution"], ...]
Tails = tuple["Array", "Array"]


@dataclass(frozen=True, slots=True)
class Meant:
    """What the elements of a component should come to."""

    mean: float
    std: float
    fourth: float  # moment about the mean
    reach: float  # the greatest distance from the mean, infinite for normal draws
    low: float  # what float32 arithmetic and rounding leave of the bounds; infinite where there are none
    high: float
    tails: Callable[[Array], Tails]  # the probabilities below and above numbers, each to its own digits
    edges: Array  # where the distribution function is looked at, between numbers that the dtype holds
    below: Array  # the probability up to each edge
    slack: float  # how inexact moments, in standard deviations, and probabilities may be
    collision: float  # the probability that two draws are equal
    dtype: DType  # that the elements are rounded to

    @property
    def bins(self) -> tuple[float, float]:
        """The middle of a histogram's bins and how far they reach, so that bounds are edges of bins."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            reach = (self.high - self.low) / 2 * (8 / 7)
            if reach < _DRAWN * self.std:
                return (self.low + self.high) / 2, reach
        return self.mean, _DRAWN * self.std

    def shares(self, edges: Array) -> Array:
        """The probability of each bin between edges, of the numbers that the dtype has."""
        if self.dtype.itemsize <= _NARROW:
            values, between = _cells(self.dtype)
            ranks = np.searchsorted(values, edges)
            edges = np.concatenate([[-math.inf], between, [math.inf]])[ranks]
        below, above = self.tails(edges)
        # From either side, so that small probabilities keep their digits.
        return np.maximum(0.0, np.where(below[1:] < 0.5, np.diff(below), -np.diff(above)))

    def errors(self, count: int, mean: float, std: float) -> tuple[float, float] | None:
        """How many standard errors the mean and the std of independent draws are from the law's."""
        if not self.std:
            return None
        spread = max(self.fourth / self.std**4 - 1, 1e-12)
        root = math.sqrt(count)
        return root * (mean - self.mean) / self.std, 2 * root * (std / self.std - 1) / math.sqrt(spread)


#: Real numbers of complex ones.
VIEWS: dict[str, Callable[[Array], Array]] = {
    "modulus": as_real,
    "angle": np.angle,
    "real": np.real,
    "imaginary": np.imag,
}


def polar(law: Disk | ComplexNormal | Square) -> dict[str, Initializer]:
    """What real numbers of draws of a complex law are draws of.

    These are modulus and angle. The real part of a normal is looked at beside them, because it is one of its
    law where these two are independent. Of a square they are the parts.
    """
    if isinstance(law, Square):
        return dict.fromkeys(("real", "imaginary"), RandomUniform(law.low, law.high))
    if isinstance(law, Disk):
        modulus = f"{law.radius!r} * sqrt(x)"
    else:
        modulus = f"{law.std!r} * sqrt(-log1p(-{law.mass!r} * x))"
    share = RandomUniform(0, 1)
    angle = RandomUniform(-math.pi, math.pi)
    held: dict[str, Initializer] = {"modulus": Formula(modulus, share), "angle": angle}
    if isinstance(law, ComplexNormal) and math.isinf(law.radius):
        held["real"] = RandomNormal(0.0, law.part.std)
    return held


def meant_by(component: Component, dtype: DType) -> Meant:
    """What the elements of a random component should come to; an InitializerError if one has no value."""
    formula = component.formula
    if formula is not None and formula.of is not None:
        return _of_formula(component, formula.of, dtype)
    return of_mixture(tuple(component.mixture), dtype)


@lru_cache(maxsize=256)
def of_mixture(mixture: Mixture, dtype: DType) -> Meant:
    """What draws come to of which each share has a law of its own."""

    def tails(numbers: Array) -> Tails:
        each = [(share, *_tails(law, numbers)) for share, law in mixture]
        below = np.sum([share * low for share, low, _ in each], axis=0)
        return below, np.sum([share * high for share, _, high in each], axis=0)

    bounds = [support(law) for _, law in mixture]
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    if dtype.itemsize <= _NARROW:
        values, edges = _cells(dtype)
        below, above = tails(edges)
        # From either side, so that small probabilities keep their digits.
        masses = np.where(below[1:] < 0.5, np.diff(below), -np.diff(above))
        masses = np.concatenate([below[:1], masses, above[-1:]])
        collision = float(np.square(masses).sum())
    else:
        values, masses = map(
            np.concatenate, zip(*(_nodes(share, law) for share, law in mixture), strict=True)
        )
        ends = (max(low, values.min()), min(high, values.max()))
        atoms = [float(value) for _, law in mixture if (value := point(law)) is not None]
        edges = np.unique([*np.linspace(*ends, _EDGES), *(each + abs(each) * ULPS for each in atoms)])
        below = tails(edges)[0]
        collision = _WIDE_COLLISION + sum(share**2 for share, law in mixture if point(law) is not None)
    mean, std, fourth = _moments(values, masses)
    kept = np.concatenate([[True], np.diff(np.floor(below * _EDGES * 4)) > 0])
    reach = max(mean - low, high - mean)
    return Meant(
        mean,
        std,
        fourth,
        reach,
        *_loose(low, high, dtype),
        tails,
        edges[kept],
        below[kept],
        0.0,
        collision,
        dtype,
    )


def _of_formula(component: Component, of: Initializer, dtype: DType) -> Meant:
    """By the values at quantiles of the draw, and the moments by quadrature."""
    formula = component.formula
    assert formula is not None  # noqa: S101
    shape, layout = component.shape, component.layout
    used = formula.used_shape(shape, layout)
    count = min(_POINTS, max(_LEAST_POINTS, _ROOM // max(1, math.prod(used))))
    draws, law = _quantiles(of, shape, layout, count), resolve(of, shape, layout)
    found, shares = formula.points(shape, layout, _ROOM, (draws, np.ones(draws.size)))
    values = np.sort(_rounded(found.reshape(-1), dtype))
    # What is left out between the places along an axis.
    gaps = [_GAPS / seen for seen, length in zip(found.shape, used, strict=False) if seen < length]
    # Of few nodes the errors of rounding to a narrow dtype do not average out.
    if law is not None and dtype.itemsize > _NARROW:
        found, shares = formula.points(shape, layout, _ROOM)
    at = _rounded(found, dtype)
    mean, std, fourth = _moments(at, np.broadcast_to(shares, at.shape))
    low, high = -math.inf, math.inf
    if law is not None and not isinstance(law, Normal):
        low, high = _ends(formula, shape, layout, law)
    slack = max([8 / draws.size if law is not None else 0.02, *gaps])

    def tails(numbers: Array) -> Tails:
        below = np.searchsorted(values, numbers, "right") / values.size
        return below, 1 - np.searchsorted(values, numbers, "left") / values.size + slack

    picked = values[:: max(1, values.size // _EDGES)]
    edges = np.unique(picked + np.abs(picked) * 2.0**-20)
    below = tails(edges)[0]
    reach = float(np.abs(at - mean).max())
    _, counts = np.unique(_rounded(values, dtype), return_counts=True)
    collision = _WIDE_COLLISION + float(np.square(counts / values.size).sum()) * (dtype.itemsize <= _NARROW)
    bounds = _loose(low, high, dtype)
    slack = max(slack, 2e-3)
    return Meant(mean, std, fourth, reach, *bounds, tails, edges, below, slack, collision, dtype)


def _ends(
    formula: Any, shape: tuple[int, ...], layout: Layout | None, law: Distribution
) -> tuple[float, float]:
    """Bounds of a formula's values, wider where it is steep at the ends of its draw."""
    low, high = support(law)
    found = [
        formula.points(
            shape,
            layout,
            _POINTS,
            (np.array([low + step, (low + high) / 2, high - step]), np.ones(3)),
            with_ends=True,
        )[0]
        for step in ((high - low) * 2.0**-24, (high - low) * 2.0**-20)
    ]
    nodes = (np.linspace(low, high, 131)[1:-1], np.ones(129))
    inner = formula.points(shape, layout, _POINTS, nodes, with_ends=True)[0]
    spare = 8 * float(np.abs(found[0] - found[1]).max()) + float(np.ptp(inner)) * 1e-3
    return min(found[0].min(), inner.min()) - spare, max(found[0].max(), inner.max()) + spare


def _quantiles(of: Initializer, shape: tuple[int, ...], layout: Layout | None, count: int) -> Array:
    """Values of a draw that are equally probable, its law's or those of a sample of its own."""
    law = resolve(of, shape, layout)
    ranks = (np.arange(count) + 0.5) / count
    match law:
        case Uniform(low, high):
            return low + (high - low) * ranks
        case Normal(mean, std) if std > 0:
            return mean + std * _standard(0.0, 1.0, count)
        case TruncatedNormal(mean, std, low, high) if std > 0 and low < high:
            standard = NormalDist()
            ends = (standard.cdf((low - mean) / std), standard.cdf((high - mean) / std))
            return np.clip(mean + std * _standard(*ends, count), low, high)
    return sample_of(of, shape, layout, count)


@lru_cache(maxsize=16)
def _standard(low: float, high: float, count: int) -> Array:
    ranks = low + (high - low) * (np.arange(count) + 0.5) / count
    inverse = NormalDist().inv_cdf
    return np.array([inverse(min(max(rank, 1e-300), 1 - 2.0**-53)) for rank in ranks])


def _rounded(values: Array, dtype: DType) -> Array:
    return round_all(np.asarray(values, np.float64), dtype).astype(np.float64)


def _loose(low: float, high: float, dtype: DType) -> tuple[float, float]:
    """Bounds as float32 arithmetic may have them, rounded to the dtype."""
    wide = np.array([low - abs(low) * ULPS, high + abs(high) * ULPS])
    if not np.isfinite(wide).all():
        return float(wide[0]), float(wide[1])
    least, greatest = _rounded(wide, dtype)
    return float(least), float(greatest)


@lru_cache(maxsize=8)
def _cells(dtype: DType) -> tuple[Array, Array]:
    """The finite numbers of a narrow dtype, and the edges between what is rounded to each."""
    bits = np.arange(1 << 8 * dtype.itemsize, dtype=f"u{dtype.itemsize}")
    with np.errstate(invalid="ignore"):  # what is no number stays none
        values = bits.view(dtype.numpy).astype(np.float64)
    values = np.unique(values[np.isfinite(values)])
    return values, (values[1:] + values[:-1]) / 2


def _nodes(share: float, law: Distribution) -> tuple[Array, Array]:
    """Numbers and weights, whose sums are moments of a law."""
    value = point(law)
    if value is not None:
        return np.array([float(value)]), np.array([share])
    places, weights = gauss_nodes()
    low, high = support(law)
    if isinstance(law, Normal | TruncatedNormal):
        low, high = max(low, law.mean - _TAIL * law.std), min(high, law.mean + _TAIL * law.std)
    nodes = low + (high - low) * (places + 1) / 2
    if isinstance(law, Normal | TruncatedNormal):
        heights = ((nodes - law.mean) / law.std) ** 2 / 2
        weights = weights * np.exp(heights.min() - heights)
    return nodes, share * weights / weights.sum()


def _moments(values: Array, masses: Array) -> tuple[float, float, float]:
    mean = float((values * masses).sum())
    if abs(mean) < 1e-14 * float(np.abs(values * masses).sum()):
        mean = 0.0  # of what is symmetric
    squares = np.square(values - mean)
    return mean, math.sqrt(float((squares * masses).sum())), float((np.square(squares) * masses).sum())


_erfc = np.frompyfunc(math.erfc, 1, 1)


def _tails(law: Distribution, numbers: Array) -> Tails:
    """The probabilities up to numbers, and above them."""
    value = point(law)
    if value is not None:
        below = (numbers >= float(value)).astype(np.float64)
        return below, 1 - below
    if isinstance(law, Uniform):
        below = np.clip((numbers - law.low) / (law.high - law.low), 0, 1)
        return below, 1 - below
    if isinstance(law, Normal):
        return _normal_tails((numbers - law.mean) / law.std)
    assert isinstance(law, TruncatedNormal)  # noqa: S101
    ends = np.array([(law.low - law.mean) / law.std, (law.high - law.mean) / law.std])
    inside = np.clip((numbers - law.mean) / law.std, *ends)
    below, above = _normal_tails(inside)
    lowest, highest = _normal_tails(ends)
    # In the tail where it lies, so that nothing is lost where both ends are on one side.
    if ends[0] > 0:
        mass = highest[0] - highest[1]
        return (highest[0] - above) / mass, (above - highest[1]) / mass
    mass = lowest[1] - lowest[0]
    return (below - lowest[0]) / mass, (lowest[1] - below) / mass


def _normal_tails(standard: Array) -> Tails:
    scaled = np.asarray(standard, np.float64) * math.sqrt(0.5)
    below, above = (np.asarray(_erfc(each), np.float64) for each in (-scaled, scaled))
    return 0.5 * below, 0.5 * above
