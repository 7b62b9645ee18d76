"""What many numbers come to: counts, bounds, mean and spread, of any stretch and of two put together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from initcfg.formats import Array


@dataclass(frozen=True, slots=True)
class Moments:
    """What some numbers come to. Mean, spread and bounds are of those that are finite.

    Args:
        count: how many are finite.
        zeros: how many are 0, of either sign.
        non_finite: how many are infinite or no number.
        mean: their mean, in float64; 0 where there are none.
        squares: the sum of the squares of the differences from the mean.
        low: the least; an int for integers and bools. Infinite where there are none.
        high: the greatest, likewise.
    """

    count: int = 0
    zeros: int = 0
    non_finite: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float | int = math.inf
    high: float | int = -math.inf

    @property
    def std(self) -> float:
        """The standard deviation of these numbers, that is, with their count below the sum."""
        return math.sqrt(self.squares / self.count) if self.count else 0.0


def moments_of(elements: Array) -> Moments:
    """The moments of a flat array of any element type, computed in float64.

    Differences between float64 elements whose squares leave the range of float64 (above 1e154 or below
    1e-162) make the spread infinite or 0, and sums beyond it the mean infinite.

    Example:
        >>> import numpy as np
        >>> found = moments_of(np.array([0.0, 1.0, 2.0, np.nan], "float16"))
        >>> found.count, found.zeros, found.non_finite, found.mean, found.low, found.high
        (3, 1, 1, 1.0, 0.0, 2.0)
    """
    wide = elements.astype(np.float64)
    is_finite = np.isfinite(wide)
    finite = wide if is_finite.all() else wide[is_finite]
    if not finite.size:
        return Moments(non_finite=int(wide.size))
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(finite.mean())
        squares = float(np.square(finite - mean).sum())
    low, high = (finite.min(), finite.max())
    # float64 does not hold every int64.
    exact = elements.dtype.kind in "iu"
    return Moments(
        count=int(finite.size),
        zeros=int(finite.size - np.count_nonzero(finite)),
        non_finite=int(wide.size - finite.size),
        mean=mean,
        squares=squares,
        low=int(elements.min()) if exact else low.item(),
        high=int(elements.max()) if exact else high.item(),
    )


def merged(first: Moments, second: Moments) -> Moments:
    """The moments of all numbers of two parts, by the update of Chan, Golub and LeVeque (1983).

    Example:
        >>> import numpy as np
        >>> values = np.arange(10.0)
        >>> round(merged(moments_of(values[:3]), moments_of(values[3:])).std ** 2, 12)
        8.25
    """
    count = first.count + second.count
    apart = second.mean - first.mean
    share = second.count / count if count else 0.0
    return Moments(
        count=count,
        zeros=first.zeros + second.zeros,
        non_finite=first.non_finite + second.non_finite,
        mean=first.mean + apart * share if first.count else second.mean,
        squares=first.squares + second.squares + apart * apart * first.count * share,
        low=min(first.low, second.low),
        high=max(first.high, second.high),
    )
