"""Initializers whose variance follows the fans of the shape: variance scaling, Glorot, He, LeCun."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from initcfg.distributions import ComplexNormal, Disk, Distribution, Normal, TruncatedNormal, Uniform
from initcfg.errors import Code, Diagnostic
from initcfg.initializers.annotations import Axes, Positive, Seed
from initcfg.initializers.base import Elementwise, initializer
from initcfg.layout import Fans, Layout, fans_of_axes, resolved_fans

__all__ = [
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "LecunNormal",
    "LecunUniform",
    "VarianceScaling",
]

Mode = Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"]
Law = Literal["truncated_normal", "untruncated_normal", "uniform", "normal"]

# The standard deviation of a standard normal cut off at -2 and 2, to the digits that Keras and JAX use.
_TRUNCATED_STD = 0.87962566103423978


# What JAX divides by where the modulus of complex numbers is cut off at 2: sqrt(1 - 5 exp(-4)). It forgets to
# divide by the share of draws that is left, 0.98: those of JAX, and these, have 1.0187 times the variance.
_COMPLEX_STD = 0.95311164380491208


def _variance(scale: float, mode: Mode, fans: Fans) -> float:
    fan: float = math.sqrt(fans.fan_in * fans.fan_out) if mode == "fan_geo_avg" else getattr(fans, mode)
    return scale / max(1, fan)


def scaled(scale: float, mode: Mode, law: Law, fans: Fans) -> Distribution:
    """The distribution of mean 0 and variance ``scale / max(1, fan)``; only ``+ - * / sqrt`` on floats."""
    variance = _variance(scale, mode, fans)
    if law == "uniform":
        limit = math.sqrt(3 * variance)
        return Uniform(-limit, limit)
    if law == "untruncated_normal":
        return Normal(0.0, math.sqrt(variance))
    std = math.sqrt(variance) / _TRUNCATED_STD
    return TruncatedNormal(0.0, std, -2 * std, 2 * std)


def scaled_complex(scale: float, mode: Mode, law: Law, fans: Fans) -> Distribution:
    """The distribution of complex numbers that JAX has for the arguments of `scaled`."""
    variance = _variance(scale, mode, fans)
    if law == "uniform":
        return Disk(math.sqrt(2 * variance))
    if law == "untruncated_normal":
        return ComplexNormal(math.sqrt(variance))
    std = math.sqrt(variance) / _COMPLEX_STD
    return ComplexNormal(std, 2 * std)


class _ByFans(Elementwise):
    """Draws of mean 0 whose variance is inverse to a fan, that of the layout or of axes that are named."""

    if TYPE_CHECKING:  # fields of every subclass
        input_axes: Axes | None
        output_axes: Axes | None

    @property
    @abstractmethod
    def _scheme(self) -> tuple[float, Mode, Law]:
        """The variance times the fan, which fan, and the law."""

    def _conflict(self) -> Diagnostic | None:
        if (self.input_axes is None) == (self.output_axes is None):
            return None
        return Diagnostic(
            Code.INITIALIZER_CONFIG,
            f"'input_axes' and 'output_axes' go together, got {self.input_axes} and {self.output_axes}",
            hint="give both, or neither for the fans that the layout gives",
        )

    @property
    def variance_times_fan(self) -> float:
        """The scale."""
        return self._scheme[0]

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:
        """The distribution whose variance the fans of `shape` give."""
        return scaled(*self._scheme, self._fans(shape, layout))

    def resolve_complex(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:
        """A uniform disk, or a complex normal, with that variance: JAX's laws."""
        return scaled_complex(*self._scheme, self._fans(shape, layout))

    def _fans(self, shape: tuple[int, ...], layout: Layout | None) -> Fans:
        if self.input_axes is None or self.output_axes is None:
            return resolved_fans(shape, layout)
        return fans_of_axes(shape, self.input_axes, self.output_axes)


@initializer
class VarianceScaling(_ByFans):
    """Draws of mean 0 whose variance is inversely proportional to a fan of the shape.

    Formula:
        variance = scale / max(1, fan), fan = fan_in, fan_out, (fan_in + fan_out) / 2 or
        sqrt(fan_in * fan_out)

    ``truncated_normal`` cuts a normal off at two of its standard deviations and widens it beforehand by
    1 / 0.8796..., so that the variance after the cut is the one above. ``uniform`` has the limits
    ``± sqrt(3 * variance)``.

    Complex arrays have JAX's laws, and the variance is that of both parts together: ``uniform`` on the disk
    of radius ``sqrt(2 * variance)``, ``untruncated_normal`` with normal parts, ``truncated_normal`` with the
    modulus cut off at two standard deviations and widened beforehand by JAX's 1 / 0.9531..., which leaves
    1.0187 times the variance.

    Args:
        scale: a number > 0; default 1.0.
        mode: ``fan_in`` (the default), ``fan_out``, ``fan_avg``, or ``fan_geo_avg``, the geometric mean,
            which JAX has and Keras has not.
        distribution: ``truncated_normal`` (the default), ``untruncated_normal`` or ``uniform``. ``normal`` is
            Keras's old name of ``truncated_normal``, kept as written.
        input_axes: axes whose sizes multiply to fan_in, negative ones counted from the end; default None, for
            the fans that the layout gives. With axes there is no receptive field.
        output_axes: axes whose sizes multiply to fan_out; given together with `input_axes` or not at all.

    Reference:
        He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", 2015, https://arxiv.org/abs/1502.01852

    Example:
        >>> VarianceScaling(3.0, "fan_avg", "uniform").resolve((100, 200), Layout("in_out"))
        Uniform(low=-0.2449489742783178, high=0.2449489742783178)
    """

    scale: Positive = 1.0
    mode: Mode = "fan_in"
    distribution: Law = "truncated_normal"
    seed: Seed | None = None
    input_axes: Axes | None = None
    output_axes: Axes | None = None

    @property
    def _scheme(self) -> tuple[float, Mode, Law]:
        return self.scale, self.mode, self.distribution

    @property
    def module(self) -> str:
        """Keras's where the mode is one of Keras's."""
        return self.MODULE if self.mode != "fan_geo_avg" else "initcfg.initializers"


@initializer
class _Preset(_ByFans):
    """Variance scaling with scale, mode and law fixed by a name.

    Args:
        input_axes: axes whose sizes multiply to fan_in; default None, for the fans that the layout gives.
        output_axes: axes whose sizes multiply to fan_out; given together with `input_axes` or not at all.
    """

    SCHEME: ClassVar[tuple[float, Mode, Law]]

    seed: Seed | None = None
    input_axes: Axes | None = None
    output_axes: Axes | None = None

    @property
    def _scheme(self) -> tuple[float, Mode, Law]:
        return self.SCHEME


class GlorotNormal(_Preset):
    """Glorot's (Xavier's) variance, truncated normal: signals and gradients keep their size.

    Formula:
        w ~ N(0, s**2) given |w| <= 2 * s, s = sqrt(2 / (fan_in + fan_out)) / 0.87962566103423978

    The divisor makes sqrt(2 / (fan_in + fan_out)) the standard deviation of w, after the cut. Also known as
    Xavier initialization.

    Reference:
        Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
        https://proceedings.mlr.press/v9/glorot10a.html

    Example:
        >>> GlorotNormal().resolve((100, 200), Layout("in_out")).std
        0.09282318798745727
    """

    SCHEME = 1.0, "fan_avg", "truncated_normal"


class GlorotUniform(_Preset):
    """Glorot's (Xavier's) variance, uniform: signals and gradients keep their size.

    Formula:
        w ~ U(-limit, limit), limit = sqrt(6 / (fan_in + fan_out))

    Also known as Xavier initialization.

    Reference:
        Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
        https://proceedings.mlr.press/v9/glorot10a.html

    Example:
        >>> GlorotUniform().resolve((100, 200), Layout("in_out"))
        Uniform(low=-0.1414213562373095, high=0.1414213562373095)
    """

    SCHEME = 1.0, "fan_avg", "uniform"


class HeNormal(_Preset):
    """He's (Kaiming's) variance, truncated normal: signals keep their size through ReLU layers.

    Formula:
        w ~ N(0, s**2) given |w| <= 2 * s, s = sqrt(2 / fan_in) / 0.87962566103423978

    The divisor makes sqrt(2 / fan_in) the standard deviation of w, after the cut.

    Reference:
        He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", 2015, https://arxiv.org/abs/1502.01852

    Example:
        >>> HeNormal().resolve((100, 200), Layout("in_out")).std
        0.16077447771479306
    """

    SCHEME = 2.0, "fan_in", "truncated_normal"


class HeUniform(_Preset):
    """He's (Kaiming's) variance, uniform: signals keep their size through ReLU layers.

    Formula:
        w ~ U(-limit, limit), limit = sqrt(6 / fan_in)

    Reference:
        He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", 2015, https://arxiv.org/abs/1502.01852

    Example:
        >>> HeUniform().resolve((3, 3, 64, 128), Layout("in_out"))
        Uniform(low=-0.10206207261596575, high=0.10206207261596575)
    """

    SCHEME = 2.0, "fan_in", "uniform"


class LecunNormal(_Preset):
    """LeCun's variance, truncated normal: signals keep their size through linear and SELU layers.

    Formula:
        w ~ N(0, s**2) given |w| <= 2 * s, s = sqrt(1 / fan_in) / 0.87962566103423978

    The divisor makes sqrt(1 / fan_in) the standard deviation of w, after the cut.

    Reference:
        Klambauer, Unterthiner, Mayr, Hochreiter, "Self-Normalizing Neural Networks", 2017,
        https://arxiv.org/abs/1706.02515

    Example:
        >>> LecunNormal().resolve((100, 200), Layout("in_out")).std
        0.11368472343385565
    """

    SCHEME = 1.0, "fan_in", "truncated_normal"


class LecunUniform(_Preset):
    """LeCun's variance, uniform: signals keep their size through linear and SELU layers.

    Formula:
        w ~ U(-limit, limit), limit = sqrt(3 / fan_in)

    Reference:
        Klambauer, Unterthiner, Mayr, Hochreiter, "Self-Normalizing Neural Networks", 2017,
        https://arxiv.org/abs/1706.02515

    Example:
        >>> LecunUniform().resolve((100, 200), Layout("in_out"))
        Uniform(low=-0.17320508075688773, high=0.17320508075688773)
    """

    SCHEME = 1.0, "fan_in", "uniform"
