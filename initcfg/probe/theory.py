"""How mean squares pass through layers whose weights are drawn independently: the mean field of wide nets.

Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli (2016), "Exponential expressivity in deep neural networks
through transient chaos": the variance map and the correlation map. Schoenholz, Gilmer, Ganguli and
Sohl-Dickstein (2017), "Deep information propagation": chi, the critical line, and the depth scale. He, Zhang,
Ren and Sun (2015) for ReLU. Hanin (2018), "Which neural network architectures give rise to exploding and
vanishing gradients?": how far a net of finite width strays from it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

# Points of the quadrature; half of them leave tanh of a standard deviation of 10 exact to six digits.
_POINTS = 256
_STEP = 1e-5


@functools.cache
def _nodes() -> tuple[Array, Array]:
    """Points and weights for means over a standard normal, evenly spaced: exact for smooth functions."""
    z = np.linspace(-9.0, 9.0, 2 * _POINTS + 1)
    weights = np.exp(-np.square(z) / 2)
    return z, weights / weights.sum()


@dataclass(frozen=True)
class Activation:
    """A function between layers: `squares` is the mean of its square over N(0, q), `slopes` of its slope's.

    Example:
        >>> ACTIVATIONS["relu"].squares(3.0), ACTIVATIONS["relu"].slopes(3.0)
        (1.5, 0.5)
        >>> round(ACTIVATIONS["tanh"].slopes(1e-9), 6)
        1.0
    """

    of: Callable[[Array], Array]
    power: float | None = None  # of a function with f(a x) = a f(x) for a > 0, the mean square at q = 1

    def squares(self, q: float) -> float:
        """The mean square of what it gives for numbers of mean square `q`."""
        if self.power is not None:
            return self.power * q
        z, weights = _nodes()
        return float(weights @ np.square(self.of(math.sqrt(q) * z)))

    def slopes(self, q: float) -> float:
        """The mean square of its slope there: how a gradient passes back."""
        if self.power is not None:
            return self.power
        z, weights = _nodes()
        x = math.sqrt(q) * z
        return float(weights @ np.square((self.of(x + _STEP) - self.of(x - _STEP)) / (2 * _STEP)))

    def correlation(self, c: float, q: float, weight: float, bias: float = 0.0) -> float:
        """The correlation of two inputs of correlation `c` after one more layer.

        Args:
            c: in [-1, 1].
            q: the mean square of both before the function.
            weight: the variance of the weights times fan_in.
            bias: the variance of the biases.
        """
        z, weights = _nodes()
        first = math.sqrt(q) * z
        second = math.sqrt(q) * (c * z[:, None] + math.sqrt(max(0.0, 1 - c * c)) * z[None, :])
        together = float(weights @ (self.of(first) * (self.of(second) @ weights)))
        return (weight * together + bias) / (weight * self.squares(q) + bias)

    def fixed_point(self, weight: float, bias: float = 0.0, *, start: float = 1.0) -> float:
        """The mean square before the function to which depth leads; 0 or infinity where there is none."""
        q = start
        for _ in range(10_000):
            following = weight * self.squares(q) + bias
            if abs(following - q) <= 1e-12 * q or not 1e-30 < following < 1e30:
                q = following
                break
            q = following
        return 0.0 if q <= 1e-30 else math.inf if q >= 1e30 else q

    def depth_scale(self, weight: float, bias: float = 0.0) -> float:
        """Over how many layers a gradient changes by a factor of e; infinite on the critical line.

        It is 1 / |log chi|, chi = `weight` times `slopes` at the fixed point.
        """
        q = self.fixed_point(weight, bias)
        if not math.isfinite(q):
            return 0.0
        change = abs(math.log(weight * self.slopes(q)))
        return math.inf if change < 1e-9 else 1 / change

    def critical(self, q: float) -> float:
        """The variance of weights times fan_in with which a gradient keeps its size at mean square `q`."""
        return 1 / self.slopes(q)

    def keeping(self, q: float) -> float:
        """The variance of weights times fan_in that keeps a mean square of `q`, without biases."""
        return q / self.squares(q)


def _gelu(x: Array) -> Array:
    erf = np.array([math.erf(each) for each in np.ravel(x) / math.sqrt(2)])
    gated: Array = 0.5 * x * (1 + erf.reshape(x.shape))
    return gated


def _sigmoid(x: Array) -> Array:
    share: Array = 0.5 * (1 + np.tanh(x / 2))
    return share


ACTIVATIONS = {
    "linear": Activation(lambda x: x, power=1.0),
    "relu": Activation(lambda x: np.maximum(x, 0), power=0.5),
    "tanh": Activation(np.tanh),
    "sigmoid": Activation(_sigmoid),
    "gelu": Activation(_gelu),
    "silu": Activation(lambda x: x * _sigmoid(x)),
}


@dataclass(frozen=True)
class Spread:
    """What the logarithm of a mean square gains in one layer of finite width: its mean and its variance.

    Of one input, with normal weights: layers add up, so after many the mean square is nearly log-normal.
    """

    mean: float
    variance: float


@functools.lru_cache(maxsize=256)
def finite_width(width: int, activation: str) -> Spread:
    """How a layer of `width` units strays from the mean field, for ``linear`` and ``relu`` that keep squares.

    Of a linear layer the factor is chi-squared over its degrees of freedom, which are the width; of ReLU with
    variance 2 / fan_in half of the units, binomially, are there, and the factor is twice that.

    Example:
        >>> spread = finite_width(1024, "linear")
        >>> -0.001 < spread.mean < 0, round(1024 * spread.variance, 2)
        (True, 2.0)
    """
    if activation == "linear":
        mean, variance = _log_chi_squared(width)
        return Spread(mean - math.log(width), variance)
    # At least one unit is alive: else the net gives 0 for ever, with probability 2**-width.
    alive = np.arange(1, width + 1)
    counts = np.array(
        [math.lgamma(width + 1) - math.lgamma(k + 1) - math.lgamma(width - k + 1) for k in alive]
    )
    shares = np.exp(counts - counts.max())
    shares /= shares.sum()
    moments = np.array([_log_chi_squared(int(k)) for k in alive])
    mean = float(shares @ moments[:, 0])
    variance = float(shares @ (moments[:, 1] + np.square(moments[:, 0] - mean)))
    return Spread(mean + math.log(2 / width), variance)


def _log_chi_squared(degrees: int) -> tuple[float, float]:
    """The mean and the variance of the logarithm of a chi-squared number."""
    half = degrees / 2
    return _digamma(half) + math.log(2), _trigamma(half)


def _digamma(x: float) -> float:
    """By recurrence to 10 and Stirling's series."""
    below = 0.0
    while x < 10:
        below += 1 / x
        x += 1
    square = x**-2
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))
    return math.log(x) - 0.5 / x - series - below


def _trigamma(x: float) -> float:
    below = 0.0
    while x < 10:
        below += x**-2
        x += 1
    square = x**-2
    series = square * (1 / 6 - square * (1 / 30 - square * (1 / 42 - square / 30)))
    return 1 / x + square / 2 + series / x + below
