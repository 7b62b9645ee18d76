"""Truncation bounds that cut nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.checks.findings import Complaint
from initcfg.distributions import Normal, TruncatedNormal
from initcfg.engines.constants import NORMAL_REACH

if TYPE_CHECKING:
    from initcfg.checks.survey import Piece
    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType

__all__ = ["idle_truncation", "without_idle_bounds"]


def idle_truncation(piece: Piece) -> Complaint | None:
    """Both bounds lie beyond the farthest number that a normal draw can be."""
    law = piece.distribution
    if not isinstance(law, TruncatedNormal) or not piece.is_random or not _is_idle(law, piece.dtype):
        return None
    reach = NORMAL_REACH[piece.dtype.drawn or "float32"]
    text = (
        f"the bounds {law.low:.4g} and {law.high:.4g} cut nothing: with std {law.std:.4g} the farthest draw "
        f"is {reach * law.std:.4g} from the mean {law.mean:.4g}, {reach:.4g} standard deviations"
    )
    return Complaint(
        text, "'low' and 'high' count in units of stddev, such as -2 and 2; or use random_normal"
    )


def without_idle_bounds(law: Distribution, dtype: DType) -> Distribution:
    """A law that gives the same draws: a normal, where a truncated one cuts nothing."""
    if isinstance(law, TruncatedNormal) and _is_idle(law, dtype):
        return Normal(law.mean, law.std)
    return law


def _is_idle(law: TruncatedNormal, dtype: DType) -> bool:
    """As the engines decide whether to draw from a plain normal."""
    reach = NORMAL_REACH[dtype.drawn or "float32"] * law.std
    return min(law.mean - law.low, law.high - law.mean) >= reach
