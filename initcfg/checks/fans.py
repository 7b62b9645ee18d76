"""What the fans of a shape say about its initializer: where they mean nothing, and where the two disagree."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from initcfg.checks.findings import Complaint
from initcfg.checks.spread import moments_of
from initcfg.distributions import Distribution, Uniform
from initcfg.initializers import BuiltIn

if TYPE_CHECKING:
    from initcfg.checks.survey import Piece

__all__ = ["large_receptive_field", "unusual_variance", "vector_scaling"]

_NAMED = ("in_out", "out_in")
_MOST_POSITIONS = 1024
_MOST_RATIO = 10


def vector_scaling(piece: Piece) -> Complaint | None:
    """Fans are asked of a shape that has no inputs and outputs to tell apart."""
    if not _scales_by_fans(piece) or piece.fans is None or len(piece.shape) > 1:
        return None
    if getattr(piece.initializer, "input_axes", None) is not None or not _has_named_layout(piece):
        return None
    axes = "one axis" if piece.shape else "no axis"
    text = (
        f"{type(piece.initializer).__name__} scales by fans, and a shape with {axes} has them by convention "
        f"only: fan_in = fan_out = {piece.fans.fan_in:,}"
    )
    hint = "use an initializer with a stddev of its own, or zeros or ones"
    return Complaint(text, f"{hint}; layout: I or layout: O says what the axis is" if piece.shape else hint)


def unusual_variance(piece: Piece) -> Complaint | None:
    """A layer of such weights makes a signal more than ten times larger or smaller, in variance.

    LeCun's variance of 1 / fan_in keeps the size of a signal. An initializer that scales by fans itself is
    judged by its scale: which fan it follows is its scheme.
    """
    law, fans = piece.distribution, piece.fans
    if law is None or fans is None or not piece.is_random or piece.is_vector or _reads_copies(piece):
        return None
    std = moments_of(law).std
    hint = "use lecun_normal or he_normal; or allow unusual-variance and say why, as for an embedding"
    if _scales_by_fans(piece):
        scale = getattr(piece.initializer, "scale", 1.0)
        text = f"a scale of {scale:.3g} gives {_spread(law, std)}, where 1 gives {std * scale**-0.5:.3g}"
        return None if _is_usual(scale) else Complaint(text, hint)
    ratio = fans.fan_in * std * std
    text = (
        f"{_spread(law, std)}, where LeCun's for a fan_in of {fans.fan_in:,} is {fans.fan_in**-0.5:.3g}: "
        f"outputs have {ratio:.3g} times the variance of inputs"
    )
    return None if _is_usual(ratio) else Complaint(text, hint)


def large_receptive_field(piece: Piece) -> Complaint | None:
    """More axes than two under a named layout, which takes them for those of a convolution."""
    if not piece.is_random or piece.fans is None or not _reads_copies(piece):
        return None
    layout = str(piece.layout)
    positions = _positions(piece)
    letters = "B" * (len(piece.shape) - 2) + ("IO" if layout == "in_out" else "OI")
    text = (
        f"layout {layout} reads the shape {piece.shape} as a convolution over {positions:,} positions, so "
        f"that fan_in is {piece.fans.fan_in:,}"
    )
    return Complaint(text, f"letters say what each axis is: stacked matrices have layout: {letters}")


def _is_usual(ratio: float) -> bool:
    """Whether a variance is within a factor of ten of what it should be."""
    return 1 <= ratio * _MOST_RATIO <= _MOST_RATIO**2


def _scales_by_fans(piece: Piece) -> bool:
    return isinstance(piece.initializer, BuiltIn) and hasattr(piece.initializer, "input_axes")


def _has_named_layout(piece: Piece) -> bool:
    """Whether the layout leaves the roles of some axes to a convention."""
    return piece.layout is None or piece.layout.name in _NAMED


def _reads_copies(piece: Piece) -> bool:
    """Whether the receptive field is so large that it is hardly one, and the fans hardly fans."""
    if piece.layout is None or len(piece.shape) < 3:
        return False
    return _has_named_layout(piece) and _positions(piece) > _MOST_POSITIONS


def _positions(piece: Piece) -> int:
    assert piece.layout is not None  # noqa: S101
    return math.prod(piece.shape[axis] for axis in piece.layout.axes(len(piece.shape)).receptive)


def _spread(law: Distribution, std: float) -> str:
    """The numbers that a person wrote, and the standard deviation where that was none of them."""
    if not isinstance(law, Uniform):
        return f"a std of {std:.3g}"
    bounds = f"±{law.high:.3g}" if law.low == -law.high else f"{law.low:.3g} and {law.high:.3g}"
    return f"bounds of {bounds}, a std of {std:.3g}"
