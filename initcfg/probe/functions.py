"""What nonlinear functions between layers do: where they are flat, and how sharply a softmax chooses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.frozen import NamedTuple
from initcfg.probe.values import finite

if TYPE_CHECKING:
    from collections.abc import Callable

    Values = np.ndarray[Any, np.dtype[np.float64]]

# Where the slope of a function of an output y is below a tenth of its largest.
FLAT: dict[str, Callable[[Values], Any]] = {
    "relu": lambda y: y == 0,
    "relu6": lambda y: (y == 0) | (y == 6),
    "hardtanh": lambda y: np.abs(y) == 1,
    "tanh": lambda y: 1 - np.square(y) < 0.1,
    "sigmoid": lambda y: y * (1 - y) < 0.025,
    "softsign": lambda y: np.square(1 - np.abs(y)) < 0.1,
}


class Call(NamedTuple):
    """What one call of a nonlinear function does."""

    name: str
    function: str
    dead: float | None = None
    saturated: float | None = None
    entropy: float | None = None

    @classmethod
    def of(cls, name: str, function: str, values: Values, channels: int = -1) -> Call:
        """The call of a function of `FLAT` that gave these values, a unit an index of the axis `channels`.

        Example:
            >>> Call.of("fc", "relu", np.array([[0.0, 0.0], [0.0, 3.0]]))
            Call(name='fc', function='relu', dead=0.5, saturated=0.75, entropy=None)
        """
        values = np.atleast_1d(values)  # a gate may be one number
        units = np.moveaxis(values, channels, 0).reshape(values.shape[channels], -1)
        if not units.size:
            return cls(name, function)
        flat = FLAT[function.rstrip("_")](values)
        return cls(name, function, float((units == 0).all(1).mean()), finite(float(flat.mean())))


def entropy_of(chosen: Values, axis: int | None = -1) -> float | None:
    """The mean entropy of distributions along an axis, over that of a uniform choice; None for all axes.

    Example:
        >>> round(entropy_of(np.array([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]])), 6)
        0.5
    """
    chosen = np.atleast_1d(chosen)
    chosen = chosen.reshape(-1) if axis is None else np.moveaxis(chosen, axis, -1)
    if chosen.shape[-1] < 2 or not chosen.size:
        return None
    return finite(float(_entropies(chosen).mean()) / math.log(chosen.shape[-1]))


def attention_entropy(
    query: Values,
    key: Values,
    *,
    mask: np.ndarray[Any, Any] | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> float | None:
    """The mean over queries of the entropy of what they attend to, over that of a uniform choice.

    Of a query that may attend to one key only, as the first one under a causal mask, there is no choice.

    Args:
        query: of shape (..., queries, width).
        key: of shape (..., keys, width).
        mask: of bool, where a query may attend; or of numbers, which are added to the scores.
        is_causal: no query attends to keys after it.
        scale: of the scores; by default one over the root of the width.

    Example:
        >>> attention_entropy(np.zeros((4, 8)), np.ones((4, 8)), is_causal=True)
        1.0
    """
    scores = query @ np.swapaxes(key, -1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        scores = np.where(np.tri(*scores.shape[-2:]) > 0, scores, -math.inf)
    if mask is not None:
        scores = np.where(mask, scores, -math.inf) if mask.dtype == bool else scores + mask
    open_keys = (scores > np.finfo(np.float32).min / 2).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):  # where nothing may be attended to, too
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        share = (_entropies(shares) / np.log(open_keys))[open_keys > 1]
    return finite(float(share.mean())) if share.size else None


def _entropies(chosen: Values) -> Values:
    with np.errstate(invalid="ignore", divide="ignore"):
        sums: Values = -np.where(chosen == 0, 0.0, chosen * np.log(chosen)).sum(-1)
    return sums
