"""The laws of ``torch.nn.init`` that Keras has not: Xavier's, Kaiming's, a normal cut off at two values.

Their names and arguments are PyTorch's, without the underscore at the end.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from initcfg.distributions import Distribution, Normal, TruncatedNormal, Uniform
from initcfg.expressions import gain_of
from initcfg.initializers.annotations import NonNegative, Number, Seed
from initcfg.initializers.base import Elementwise, initializer
from initcfg.initializers.simple import crossed
from initcfg.layout import Layout, resolved_fans

if TYPE_CHECKING:
    from initcfg.errors import Diagnostic

__all__ = ["KaimingNormal", "KaimingUniform", "TruncNormal", "XavierNormal", "XavierUniform"]

Nonlinearity = Literal[
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "selu",
]


def _centred(law: Literal["uniform", "normal"], std: float) -> Distribution:
    """A law of mean 0, computed in PyTorch's order, so that a bound is PyTorch's to the last digit."""
    if law == "normal":
        return Normal(0.0, std)
    bound = math.sqrt(3.0) * std
    return Uniform(-bound, bound)


@initializer
class _Xavier(Elementwise):
    """The arguments of ``torch.nn.init.xavier_*_``, and its standard deviation.

    Args:
        gain: a factor >= 0; default 1.0. With 0 every element is 0.
    """

    MODULE = "initcfg.initializers"
    LAW: ClassVar[Literal["uniform", "normal"]]

    gain: NonNegative = 1.0
    seed: Seed | None = None

    @property
    def variance_times_fan(self) -> float:
        """``gain**2``."""
        return self.gain**2

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:
        """The distribution whose variance both fans of `shape` give."""
        fans = resolved_fans(shape, layout)
        total = max(2.0, float(fans.fan_in + fans.fan_out))
        return _centred(self.LAW, self.gain * math.sqrt(2.0 / total))


class XavierUniform(_Xavier):
    """Uniform draws with PyTorch's ``xavier_uniform_`` law: Glorot's, times a gain.

    Formula:
        w ~ U(-bound, bound), bound = gain * sqrt(6 / (fan_in + fan_out))

    With a gain of 1 it is the law of ``glorot_uniform``. The fans are those of the layout, which is
    ``out_in`` for PyTorch's linear layers and convolutions; PyTorch itself reads every tensor as (out, in,
    ...).

    Reference:
        Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
        https://proceedings.mlr.press/v9/glorot10a.html; torch/nn/init.py

    Example:
        >>> XavierUniform(gain=2).resolve((100, 200), Layout("out_in"))
        Uniform(low=-0.282842712474619, high=0.282842712474619)
    """

    LAW = "uniform"


class XavierNormal(_Xavier):
    """Normal draws with PyTorch's ``xavier_normal_`` law: Glorot's variance, not truncated, times a gain.

    Formula:
        w ~ N(0, s**2), s = gain * sqrt(2 / (fan_in + fan_out))

    Not the law of ``glorot_normal``, which is truncated; JAX's ``xavier_normal`` is ``glorot_normal``. The
    fans are those of the layout, as for ``xavier_uniform``.

    Reference:
        Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010,
        https://proceedings.mlr.press/v9/glorot10a.html; torch/nn/init.py

    Example:
        >>> XavierNormal().resolve((100, 200), Layout("out_in"))
        Normal(mean=0.0, std=0.08164965809277261)
    """

    LAW = "normal"


@initializer
class _Kaiming(Elementwise):
    """The arguments of ``torch.nn.init.kaiming_*_``, and its standard deviation.

    Args:
        a: the slope of ``leaky_relu`` on its negative side, not used for other nonlinearities; default 0.0.
        mode: ``fan_in`` (the default) or ``fan_out``.
        nonlinearity: ``leaky_relu`` (the default), or another name that PyTorch's ``calculate_gain`` takes.
    """

    MODULE = "initcfg.initializers"
    LAW: ClassVar[Literal["uniform", "normal"]]

    a: Number = 0.0
    mode: Literal["fan_in", "fan_out"] = "fan_in"
    nonlinearity: Nonlinearity = "leaky_relu"
    seed: Seed | None = None

    @property
    def variance_times_fan(self) -> float:
        """The square of the gain of the nonlinearity."""
        return gain_of(self.nonlinearity, self.a) ** 2

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:
        """The distribution whose variance a fan of `shape` gives."""
        fan: int = getattr(resolved_fans(shape, layout), self.mode)
        return _centred(self.LAW, gain_of(self.nonlinearity, self.a) / math.sqrt(max(1, fan)))


class KaimingUniform(_Kaiming):
    """Uniform draws with PyTorch's ``kaiming_uniform_`` law: He's variance for a nonlinearity.

    Formula:
        w ~ U(-bound, bound), bound = gain * sqrt(3 / fan)

    The gain is that of the nonlinearity: sqrt(2 / (1 + a**2)) for ``leaky_relu``, sqrt(2) for ``relu``, 5/3
    for ``tanh``, 3/4 for ``selu``, and 1 for ``linear``, ``sigmoid`` and the convolutions. With
    ``a: sqrt(5)``, as PyTorch's own layers have it, the bound is 1 / sqrt(fan_in). The fans are those of the
    layout, which is ``out_in`` for PyTorch's linear layers and convolutions; PyTorch itself reads every
    tensor as (out, in, ...).

    Reference:
        He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", 2015, https://arxiv.org/abs/1502.01852;
        torch/nn/init.py

    Example:
        >>> KaimingUniform(a=5**0.5).resolve((64, 100), Layout("out_in"))
        Uniform(low=-0.09999999999999999, high=0.09999999999999999)
    """

    LAW = "uniform"


class KaimingNormal(_Kaiming):
    """Normal draws with PyTorch's ``kaiming_normal_`` law: He's variance for a nonlinearity, not truncated.

    Formula:
        w ~ N(0, s**2), s = gain / sqrt(fan)

    Not the law of ``he_normal``, which is truncated; JAX's ``kaiming_normal`` is ``he_normal``. The gain and
    the fans are those of ``kaiming_uniform``.

    Reference:
        He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", 2015, https://arxiv.org/abs/1502.01852;
        torch/nn/init.py

    Example:
        >>> KaimingNormal(mode="fan_out", nonlinearity="relu").resolve((64, 3, 7, 7), Layout("out_in"))
        Normal(mean=0.0, std=0.02525381361380527)
    """

    LAW = "normal"


@initializer
class TruncNormal(Elementwise):
    """Normal draws cut off at two values, as PyTorch's ``trunc_normal_`` makes them.

    Formula:
        w ~ N(mean, std**2) given a <= w <= b

    The bounds are values, not multiples of `std` as those of ``truncated_normal`` are: the default ones are
    100 standard deviations away where `std` is 0.02, and cut nothing, which the warning ``idle-truncation``
    says. `std` is that of the normal before the cut.

    Args:
        mean: the mean before the cut, a finite number; default 0.0.
        std: the standard deviation before the cut, >= 0; default 1.0. With 0 every element is `mean`.
        a: the lower bound, a value; default -2.0.
        b: the upper bound, a value > `a`; default 2.0.

    Reference:
        torch/nn/init.py

    Example:
        >>> TruncNormal(std=0.02, a=-0.04, b=0.04, seed=1)((3,))
        array([-0.02742792,  0.00957112,  0.03004066], dtype=float32)
    """

    MODULE = "initcfg.initializers"

    mean: Number = 0.0
    std: NonNegative = 1.0
    a: Number = -2.0
    b: Number = 2.0
    seed: Seed | None = None

    def _conflict(self) -> Diagnostic | None:
        return None if self.a < self.b else crossed("a", self.a, "b", self.b)

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:  # noqa: ARG002
        """``TruncatedNormal(mean, std, a, b)``."""
        return TruncatedNormal(self.mean, self.std, self.a, self.b)
