"""Warnings of dtypes that hold too few digits, or too small a range, for a law."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from initcfg.checks.laws import moments_of
from initcfg.distributions import Normal, cdf, point
from initcfg.engines.recipe import Draw, prepare
from initcfg.engines.rounding import round_once, strictly_above, strictly_below

if TYPE_CHECKING:
    from initcfg.checks.survey import Array, Complaint, Piece
    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType

_WIDER = "use a dtype with a wider range, such as bfloat16 or float32, or larger numbers"
_FINER = "use a dtype with more digits, such as float32, or a larger spread"
_MOST = 0.5


def dtype_underflow(piece: Piece) -> Complaint | None:
    """A constant that is not 0, or most of the draws, round to 0 or to a number with fewer digits."""
    if piece.dtype.format is None:
        return None
    least = _least_normal(piece.dtype)
    if piece.points is not None:
        return _lost_values(*piece.points, piece.dtype)
    for law in piece.laws:
        value = point(law)
        if value is None:
            lost = _lost_draws(law, piece.dtype)
        else:
            lost = _lost_constant(value, piece.dtype) if 0 < abs(value) < least else None
        if lost is not None:
            return lost
    return None


def dtype_resolution(piece: Piece) -> Complaint | None:
    """Half of the draws or more round to one number, away from 0."""
    if piece.dtype.format is None:
        return None
    if piece.points is not None:
        return _coarse_values(*piece.points, piece.dtype)
    drawn = (law for law in piece.laws if point(law) is None)
    return next(filter(None, (_coarse_draws(law, piece.dtype) for law in drawn)), None)


def _lost_values(values: Array, weights: Array, dtype: DType) -> Complaint | None:
    """As `_lost_draws`, of a formula's values that are not 0 themselves."""
    least = _least_normal(dtype)
    lost = float(weights[(values != 0) & (abs(values) < least)].sum())
    if lost < _MOST:
        return None
    text = f"{_percent(lost)} of its values are subnormal or 0 in {dtype}, whose smallest normal number is "
    return (f"{text}{least:.3g}", _WIDER)


def _coarse_values(values: Array, weights: Array, dtype: DType) -> Complaint | None:
    """As `_coarse_draws`, of a formula's values that are not all one number."""
    mean = float((values * weights).sum())
    std = math.sqrt(float(((values - mean) ** 2 * weights).sum()))
    if std == 0 or std > 4 * _gap(mean, dtype):
        return None
    try:
        number = round_once(mean, dtype)
    except OverflowError:
        return None
    gap = _gap(number, dtype)
    share = float(weights[abs(values - number) <= gap / 2].sum())
    if share < _MOST or abs(number) < _least_normal(dtype):
        return None
    text = f"{_percent(share)} of its values are {number!r}: numbers of {dtype} are {gap:.3g} apart there"
    return (f"{text}, and the std is {std:.3g}", _FINER)


def _coarse_draws(law: Distribution, dtype: DType) -> Complaint | None:
    drawn = moments_of(law)
    # The density of these laws is nowhere above 1 / std: a cell much narrower than that holds less than half.
    if drawn.std > 4 * _gap(drawn.mean, dtype):
        return None
    least, greatest = _ends(law, dtype)
    commonest = max(least, min(round_once(drawn.mean, dtype), greatest))
    share = _share(law, dtype, commonest)
    if share < _MOST or abs(commonest) < _least_normal(dtype):
        return None
    gap = _gap(commonest, dtype)
    text = (
        f"{_percent(share)} of its draws are {commonest!r}: numbers of {dtype} are {gap:.3g} apart there, "
        f"and the std is {drawn.std:.3g}"
    )
    return (text, _FINER)


def _lost_constant(value: float, dtype: DType) -> Complaint | None:
    held, least = round_once(value, dtype), _least_normal(dtype)
    if abs(held) >= least:
        return None
    kind = f"the subnormal number {held:.3g}" if held else "0"
    text = f"{value!r} becomes {kind} in {dtype}, whose smallest normal number is {least:.3g}"
    return (text, _WIDER)


def _lost_draws(law: Distribution, dtype: DType) -> Complaint | None:
    least = _least_normal(dtype)
    # As above: so narrow a cell holds less than half.
    if moments_of(law).std > 4 * least:
        return None
    below = strictly_below(least, dtype) or 0.0
    edge = 0.5 * least + 0.5 * below
    lost = _below(law, edge) - _below(law, -edge)
    if lost < _MOST:
        return None
    text = (
        f"{_percent(lost)} of its draws are subnormal or 0 in {dtype}, whose smallest normal number is "
        f"{least:.3g}, and {_percent(_share(law, dtype, 0.0))} are 0"
    )
    return (text, _WIDER)


def _least_normal(dtype: DType) -> float:
    assert dtype.format is not None  # noqa: S101
    return math.ldexp(1.0, dtype.format.least_exponent)


def _gap(number: float, dtype: DType) -> float:
    """The distance between numbers of the dtype from `number` outwards."""
    assert dtype.format is not None  # noqa: S101
    exponent = math.frexp(max(abs(number), _least_normal(dtype)))[1] - 1
    return math.ldexp(1.0, exponent - dtype.format.digits)


def _ends(law: Distribution, dtype: DType) -> tuple[float, float]:
    """The least and the greatest number that a draw can be."""
    recipe = prepare(law, dtype)
    assert isinstance(recipe, Draw)  # noqa: S101
    return recipe.clamp or (-math.inf, math.inf)


def _share(law: Distribution, dtype: DType, number: float) -> float:
    """The probability that a draw rounds to a number of the dtype, or is moved to it by the bounds."""
    least, greatest = _ends(law, dtype)
    if not least <= number <= greatest:
        return 0.0
    below, above = strictly_below(number, dtype), strictly_above(number, dtype)
    low = -math.inf if below is None or number == least else 0.5 * below + 0.5 * number
    high = math.inf if above is None or number == greatest else 0.5 * above + 0.5 * number
    return _below(law, high) - _below(law, low)


def _below(law: Distribution, number: float) -> float:
    """The probability below a number, to the digits that messages show.

    Decimal arithmetic would take ten times as long as everything else here, and no bit depends on this.
    """
    if isinstance(law, Normal) and law.std > 0:
        return 0.5 * math.erfc((law.mean - number) / law.std * math.sqrt(0.5))
    return cdf(law, number)


def _percent(share: float) -> str:
    """A share with the digits that tell it from none and from all."""
    return f"{100 * share:.3g}%"
