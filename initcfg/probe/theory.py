"""How mean squares pass through layers whose weights are drawn independently: the mean field of wide nets.

Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli (2016), "Exponential expressivity in deep neural networks
through transient chaos": the variance map. Schoenholz, Gilmer, Ganguli and Sohl-Dickstein (2017), "Deep
information propagation": the gradients. He, Zhang, Ren and Sun (2015) for ReLU.
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

# Points on each side of 0; with half as many, the integral of tanh at a standard deviation of 10 is still
# right to six digits.
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


def _gelu(x: Array) -> Array:
    erf = np.array([math.erf(each) for each in np.ravel(x) / math.sqrt(2)])
    gated: Array = 0.5 * x * (1 + erf.reshape(x.shape))
    return gated


def _sigmoid(x: Array) -> Array:
    share: Array = 0.5 * (1 + np.tanh(x / 2))
    return share


ACTIVATIONS = {
    "relu": Activation(lambda x: np.maximum(x, 0), power=0.5),
    "tanh": Activation(np.tanh),
    "sigmoid": Activation(_sigmoid),
    "gelu": Activation(_gelu),
    "silu": Activation(lambda x: x * _sigmoid(x)),
}
