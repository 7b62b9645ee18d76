"""How improbable it is that true values would look so: bounds that hold for any number of elements.

Each function gives the logarithm of a number that the probability is not above. None is a limit theorem, so
that a small tensor raises no more false alarms than a large one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from initcfg.formats import Array
    from initcfg.inspection import Moments
    from initcfg.verification.meant import Meant

# A cut beyond so many standard deviations is a generator's own: one of 23 random bits ends before six.
_OWN_END = 5.0
_LN_2 = math.log(2.0)


def of_mean(count: int, distance: float, std: float, reach: float) -> float:
    """That the mean of independent draws is so far from their law's.

    Chernoff's bound for normal draws, whose `reach` from the mean is infinite, and Bernstein's for others.
    """
    distance = abs(distance)
    if distance == 0:
        return 0.0
    spare = 0.0 if math.isinf(reach) else reach * distance / 3
    return min(0.0, _LN_2 - count * distance * distance / (2 * (std * std + spare)))


def of_spread(count: int, ratio: float, std: float, fourth: float, reach: float) -> float:
    """That the mean square of the distances from the law's mean is `ratio` times the law's variance.

    Chernoff's bound for the chi-squared law of normal draws, Bernstein's for others; `fourth` is the law's
    fourth central moment.
    """
    if math.isinf(reach):
        if ratio <= 0:
            return -math.inf
        return min(0.0, _LN_2 - count / 2 * (ratio - 1 - math.log(ratio)))
    variance = std * std
    return of_mean(
        count,
        (ratio - 1) * variance,
        math.sqrt(max(0.0, fourth - variance * variance)),
        max(reach * reach - variance, variance),
    )


def of_distance(count: int, distance: float) -> float:
    """That the distribution function of independent draws is so far from their law's, at its farthest.

    Massart, "The Tight Constant in the Dvoretzky-Kiefer-Wolfowitz Inequality", 1990; for laws with steps too.
    """
    return min(0.0, _LN_2 - 2 * count * max(0.0, distance) ** 2)


def of_farthest(count: int, beyond: float) -> float:
    """That any of the draws lies where the law has the probability `beyond`."""
    return min(0.0, math.log(count) + math.log(beyond)) if beyond > 0 else -math.inf


def of_none_beyond(count: int, beyond: float) -> float:
    """That none of the draws lies where the law has the probability `beyond`."""
    return count * math.log1p(-min(beyond, 1.0)) if beyond < 1 else -math.inf


def surprises(meant: Meant, found: Moments, sample: Array) -> Iterator[tuple[str, float]]:
    """Each test with the logarithm of a bound of the probability that true values look so."""
    count, std = found.count, meant.std
    away = max(0.0, abs(found.mean - meant.mean) - meant.slack * std)
    yield "mean", of_mean(count, away, std, meant.reach)
    ratio = (found.squares / count + (found.mean - meant.mean) ** 2) / (std * std) if std else 1.0
    if abs(ratio - 1) <= 2 * meant.slack:
        ratio = 1.0
    variance = std * std
    # As many normal draws have a mean square of the same spread.
    alike = 2 * variance * variance / max(meant.fourth - variance * variance, 1e-300)
    draws = count * min(1.0, alike) if math.isinf(meant.reach) else count
    yield "std", of_spread(int(draws) or 1, ratio, std, meant.fourth, meant.reach)
    ordered = np.sort(sample.astype(np.float64))
    share = np.searchsorted(ordered, meant.edges, "right") / ordered.size
    apart = float(np.abs(share - meant.below).max(initial=0.0))
    yield "distribution", of_distance(ordered.size, apart - meant.slack)
    low, high = float(found.low), float(found.high)
    inwards = np.array([low + abs(low) * 2.0**-7, high - abs(high) * 2.0**-7])
    narrow = sample.dtype.itemsize <= 2
    below, above = meant.tails(inwards if narrow else np.array([low, high]))
    yield "greatest", -math.inf if high > meant.high else _beyond(count, above[1], meant)
    yield "least", -math.inf if low < meant.low else _beyond(count, below[0], meant)
    outwards = max(abs(low), abs(high)) * 2.0 ** (-2 if narrow and sample.itemsize == 1 else -7)
    outwards = max(
        outwards if narrow else 0.0, (meant.high - meant.low) * 2.0**-20 if meant.high < math.inf else 0
    )
    ends = np.array([low - outwards, high + outwards])
    below, above = meant.tails(ends)
    end = meant.mean + _OWN_END * std
    yield "upper tail", of_none_beyond(count, above[1] - meant.slack) if high < end else 0.0
    end = meant.mean - _OWN_END * std
    yield "lower tail", of_none_beyond(count, below[0] - meant.slack) if low > end else 0.0


def _beyond(count: int, probability: float, meant: Meant) -> float:
    # Within bounds nothing is too far.
    is_bounded = math.isfinite(meant.reach) or meant.slack > 0
    return 0.0 if is_bounded else of_farthest(count, float(probability))


Four = tuple[float, float, float, float]


def described(failed: Collection[str], found: Four, meant: Four) -> str:
    """The tests that fail, with what was found and what is meant: mean, std, least and greatest of each."""
    (mean, std, low, high), (m, s, least, most) = meant, found
    told = []
    if "std" in failed:
        # Few digits, so that what is said of the copies of a layer is one line.
        ratio = s / std
        told.append(f"std is {ratio:.{2 if abs(ratio - 1) > 0.1 else 4}g} x the law's {std:.4g}")
    if "mean" in failed:
        told.append(f"mean {m:.4g}, the law's is {mean:.4g}")
    is_wide = "std" in failed and not math.isfinite(high) and s > std
    if "greatest" in failed and not is_wide:
        told.append(f"greatest {most:.6g}" + _far(most, mean, std, high))
    if "least" in failed and not is_wide:
        told.append(f"least {least:.6g}" + _far(least, mean, std, low))
    if "upper tail" in failed and "std" not in failed:
        told.append(f"nothing above {most:.4g}, {abs(most - mean) / std:.3g} std from the mean")
    if "lower tail" in failed and "std" not in failed:
        told.append(f"nothing below {least:.4g}, {abs(least - mean) / std:.3g} std from the mean")
    if not told:
        told.append(f"another distribution with mean {m:.4g} and std {s:.4g}")
    return "; ".join(told)


def _far(value: float, mean: float, std: float, bound: float) -> str:
    if math.isfinite(bound):
        return f", the law ends at {bound:.6g}"
    return f", {abs(value - mean) / std:.4g} std from the mean"
