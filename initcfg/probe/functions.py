"""What nonlinear functions between layers do: where they are flat, and how sharply a softmax chooses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.probe.values import Nonlinearity, finite

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


def flat_shares(name: str, function: str, values: Values, channels: int = -1) -> Nonlinearity:
    """The call of a function of `FLAT` that gave these values, a unit an index of the axis `channels`.

    Example:
        >>> found = flat_shares("fc", "relu", np.array([[0.0, 0.0], [0.0, 3.0]]))
        >>> found.dead, found.saturated
        ((0.5,), (0.75,))
    """
    values = np.atleast_1d(values)  # a gate may be one number
    units = np.moveaxis(values, channels, 0).reshape(values.shape[channels], -1)
    if not units.size:
        return Nonlinearity(name=name, function=function)
    flat = FLAT[function.rstrip("_")](values)
    dead, saturated = float((units == 0).all(1).mean()), finite(float(flat.mean()))
    return Nonlinearity(name=name, function=function, dead=(dead,), saturated=(saturated,))


def nonlinearity_of(
    place: str,
    function: str,
    given: Mapping[str, Any],
    result: Any,
    *,
    numpy: Callable[[Any], Any],
    channels: int = -1,
) -> Nonlinearity:
    """What a call does, as JAX and Keras have it: of a function of `FLAT`, a softmax, or an attention.

    Args:
        place: the module in which it is called.
        function: ``softmax``, ``dot_product_attention``, or a name in `FLAT`.
        given: the arguments by name.
        result: what it gives.
        numpy: makes arrays numpy's.
        channels: the axis of units, and of choices where no ``axis`` is given.
    """
    if function == "softmax":
        entropy = entropy_of(numpy(result), given.get("axis", channels))
    elif function == "dot_product_attention":
        bias, mask = (None if given.get(name) is None else numpy(given[name]) for name in ("bias", "mask"))
        query, key = (np.moveaxis(numpy(given[name]), -2, -3) for name in ("query", "key"))  # heads first
        key = np.repeat(key, query.shape[-3] // key.shape[-3], -3)
        mask = bias if mask is None else np.where(mask, 0 if bias is None else bias, -np.inf)
        options = {name: given[name] for name in ("is_causal", "scale") if name in given}
        entropy = attention_entropy(query, key, mask=mask, **options)
    else:
        return flat_shares(place, function, numpy(result), given.get("axis", channels))
    return Nonlinearity(name=place, function=function, entropy=(entropy,))


def entropy_of(chosen: Values, axis: int | tuple[int, ...] | None = -1) -> float | None:
    """The mean entropy of distributions along an axis or some, over that of a uniform choice; None for all.

    Example:
        >>> round(entropy_of(np.array([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]])), 6)
        0.5
    """
    chosen = np.atleast_1d(chosen)
    axes = np.arange(chosen.ndim) if axis is None else np.atleast_1d(axis)
    choices = math.prod(chosen.shape[each] for each in axes)
    if choices < 2 or not chosen.size:
        return None
    rows = np.moveaxis(chosen, axes, np.arange(-len(axes), 0)).reshape(-1, choices)
    return finite(float(_entropies(rows).mean()) / math.log(choices))


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
