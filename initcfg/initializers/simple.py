"""Initializers whose law is the same for every shape: constants, and normal, uniform or truncated draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from initcfg import distributions, engines
from initcfg.distributions import Distribution, Fill, Mixture
from initcfg.errors import Code, Diagnostic
from initcfg.initializers.annotations import NonNegative, Number, Seed, Value
from initcfg.initializers.base import Cuttable, Elementwise, initializer
from initcfg.initializers.values import ArrayValue
from initcfg.process import lazy

if TYPE_CHECKING:
    import numpy as np

    from initcfg.dtypes import DType
    from initcfg.initializers import arrays
    from initcfg.initializers.custom import Request
    from initcfg.layout import Layout
else:
    arrays = lazy("initcfg.initializers.arrays")

__all__ = ["Constant", "Ones", "RandomNormal", "RandomUniform", "TruncatedNormal", "Zeros"]


@initializer
class Zeros(Elementwise):
    """Every element is 0.

    Formula:
        w = 0

    Example:
        >>> Zeros()((3,), dtype="int8")
        array([0, 0, 0], dtype=int8)
    """

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:  # noqa: ARG002
        """``Fill(0)``, whatever the shape."""
        return Fill(0)


@initializer
class Ones(Elementwise):
    """Every element is 1.

    Formula:
        w = 1

    Example:
        >>> Ones()((2, 2))
        array([[1., 1.],
               [1., 1.]], dtype=float32)
    """

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:  # noqa: ARG002
        """``Fill(1)``, whatever the shape."""
        return Fill(1)


@initializer
class Constant(Cuttable):
    """Every element is one value, or the array is a given one.

    Formula:
        w = value

    An array whose shape is not the one asked for is repeated along the missing axes and those of length 1, as
    numpy broadcasts and as Keras's ``Constant`` does. Floats are rounded to the dtype; integer and bool
    dtypes take only values that they hold exactly.

    Args:
        value: a finite number or a bool; or an array of them, as nested lists, a numpy array, or the mapping
            that Keras writes for an array. Default 0.0.

    Example:
        >>> Constant(-4.6)((3,))
        array([-4.6, -4.6, -4.6], dtype=float32)
        >>> Constant([0, 1])((2, 2), dtype="int32")
        array([[0, 1],
               [0, 1]], dtype=int32)
    """

    value: Value = 0.0

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution | None:  # noqa: ARG002
        """``Fill(value)`` for a single value, None for an array."""
        return None if isinstance(self.value, ArrayValue) else Fill(self.value)

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:  # noqa: ARG002
        """``Fill`` of each number."""
        numbers = self.value.numbers if isinstance(self.value, ArrayValue) else (self.value,)
        return ((1 / len(numbers), Fill(number)) for number in numbers)

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:  # noqa: ARG002
        """Refuse a shape that the array does not fit, and a dtype that cannot hold its elements."""
        if isinstance(self.value, ArrayValue):
            arrays.repeated(self.value, shape, dtype)
        else:
            engines.check(Fill(self.value), dtype)

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """A stretch of the array, repeated to the shape."""
        if not isinstance(self.value, ArrayValue):
            request.fill(out, Fill(self.value), request.stream, start)
        else:
            arrays.copy_stretch(arrays.repeated(self.value, request.shape, request.dtype), start, out)


@initializer
class RandomNormal(Elementwise):
    """Independent draws from a normal distribution.

    Formula:
        w ~ N(mean, stddev**2)

    Args:
        mean: a finite number; default 0.0.
        stddev: the standard deviation, >= 0; default 0.05. With 0 every element is `mean`.

    Example:
        >>> RandomNormal(stddev=0.02, seed=1)((3,))
        array([-0.00700327,  0.00103357,  0.00311236], dtype=float32)
    """

    mean: Number = 0.0
    stddev: NonNegative = 0.05
    seed: Seed | None = None

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:  # noqa: ARG002
        """``Normal(mean, stddev)``."""
        return distributions.Normal(float(self.mean), float(self.stddev)) if self.stddev else Fill(self.mean)


@initializer
class RandomUniform(Elementwise):
    """Independent draws from a uniform distribution; of complex numbers either part is one, as of torch.rand.

    Formula:
        w ~ U(minval, maxval)

    Args:
        minval: the lower bound, a finite number; default -0.05.
        maxval: the upper bound, >= `minval`; default 0.05. Where both are equal so is every element.

    Example:
        >>> RandomUniform(0, 1, seed=1)((3,))
        array([0.668414  , 0.01620272, 0.15820625], dtype=float32)
    """

    minval: Number = -0.05
    maxval: Number = 0.05
    seed: Seed | None = None

    def _conflict(self) -> Diagnostic | None:
        return None if self.minval <= self.maxval else crossed("minval", self.minval, "maxval", self.maxval)

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:  # noqa: ARG002
        """``Uniform(minval, maxval)``."""
        if self.minval == self.maxval:
            return Fill(self.minval)
        return distributions.Uniform(float(self.minval), float(self.maxval))

    def resolve_complex(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:  # noqa: ARG002
        """``Square(minval, maxval)``; of equal bounds as for real numbers, which leaves no imaginary part."""
        if self.minval == self.maxval:
            return Fill(self.minval)
        return distributions.Square(float(self.minval), float(self.maxval))


@initializer
class TruncatedNormal(Elementwise):
    """Independent draws from a normal distribution that is cut off on both sides.

    Formula:
        w ~ N(mean, stddev**2) given mean + low * stddev <= w <= mean + high * stddev

    `stddev` is that of the normal before the cut: with the default bounds the draws themselves have a
    standard deviation of 0.8796 * `stddev`, as in Keras.

    Args:
        mean: the mean before the cut, a finite number; default 0.0.
        stddev: the standard deviation before the cut, >= 0; default 0.05. With 0 every element is `mean`.
        low: the lower bound in units of `stddev` from the mean; default -2.0. Not one of Keras's arguments,
            so the config leaves it out where it is the default.
        high: the upper bound in units of `stddev` from the mean, > `low`; default 2.0. As `low`.

    Example:
        >>> TruncatedNormal(stddev=0.02, seed=1)((3,))
        array([-0.00991753,  0.00977205, -0.00382546], dtype=float32)
    """

    mean: Number = 0.0
    stddev: NonNegative = 0.05
    seed: Seed | None = None
    low: Number = -2.0
    high: Number = 2.0

    def _conflict(self) -> Diagnostic | None:
        return None if self.low < self.high else crossed("low", self.low, "high", self.high)

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:  # noqa: ARG002
        """``TruncatedNormal`` with the bounds as values."""
        if not self.stddev:
            return Fill(self.mean)
        mean, std = float(self.mean), float(self.stddev)
        return distributions.TruncatedNormal(mean, std, mean + self.low * std, mean + self.high * std)

    @property
    def module(self) -> str:
        """Keras's where the bounds are, because its class takes no others."""
        return self.MODULE if (self.low, self.high) == (-2.0, 2.0) else "initcfg.initializers"

    def get_config(self) -> dict[str, Any]:
        """Keras's config, and the bounds where they are not Keras's."""
        config = super().get_config()
        return {
            key: value for key, value in config.items() if (key, value) not in (("low", -2.0), ("high", 2.0))
        }


def crossed(low_name: str, low: float, high_name: str, high: float) -> Diagnostic:
    """What is wrong with two bounds of which the lower is not below the upper."""
    return Diagnostic(
        Code.INITIALIZER_CONFIG,
        f"{low_name!r} must be below {high_name!r}, got {low!r} and {high!r}",
        hint=f"exchange {low_name} and {high_name}" if low > high else "use a constant for a single value",
    )
