"""Recipes for recurrences and state spaces, whose elements are formulas: Mamba, LRU, RWKV, chrono gates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from initcfg.expressions import Expression
from initcfg.expressions.folding import closed
from initcfg.initializers.annotations import Limits, NonNegative, Positive, Seed
from initcfg.initializers.base import Cuttable, initializer
from initcfg.initializers.formulas import Formula
from initcfg.initializers.random import RandomUniform, crossed
from initcfg.initializers.recipes import Count

if TYPE_CHECKING:
    import numpy as np

    from initcfg.distributions import Distribution
    from initcfg.dtypes import DType
    from initcfg.errors import Diagnostic
    from initcfg.initializers.custom import Request
    from initcfg.layout import Layout

__all__ = ["Chrono", "LruNuLog", "LruThetaLog", "MambaALog", "MambaDtBias", "RwkvTimeDecay"]


class _Written(Cuttable):
    """A formula with the arguments filled in, and a uniform law that ``x`` is a draw of."""

    MODULE = "initcfg.initializers"
    VALUE: ClassVar[str]
    #: The bounds of what ``x`` is a draw of; none where the value has no ``x``.
    BOUNDS: ClassVar[tuple[str, str] | None] = None

    def _text(self) -> str:
        """The expression, where arguments decide which."""
        return self.VALUE

    @property
    def value(self) -> str:
        """The expression, without the arguments' names."""
        expression = Expression.parse(self._text())
        return closed(
            expression, {name: vars(self)[name] for name in expression.names & vars(self).keys()}
        ).text

    @property
    def of(self) -> RandomUniform | None:
        """What ``x`` is a draw of."""
        if self.BOUNDS is None:
            return None
        low, high = (Expression.parse(bound).evaluate(vars(self)) for bound in self.BOUNDS)
        return RandomUniform(low, high)

    @property
    def formula(self) -> Formula:
        """The same as a formula; it draws the same bits."""
        return Formula(self.value, self.of)

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution | None:
        """As the formula."""
        return self.formula.resolve(shape, layout)

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """As the formula."""
        self.formula.check(shape, dtype, layout)

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """As the formula."""
        self.formula.draw(out, start, request)


@initializer
class MambaALog(_Written):
    """Mamba's A_log: the logarithms of 1, 2, 3, ... along the last axis.

    Formula:
        w[..., k] = log(k + 1)

    It is S4D-Real of its negated exponential. Mamba-2 draws it: `formula` with ``value: log(x)`` and
    ``of: {random_uniform: {minval: 1, maxval: 16}}``.

    Reference:
        Gu, Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023,
        https://arxiv.org/abs/2312.00752; state-spaces/mamba mamba_ssm/modules/mamba_simple.py

    Example:
        >>> MambaALog()((2, 3))
        array([[0.       , 0.6931472, 1.0986123],
               [0.       , 0.6931472, 1.0986123]], dtype=float32)
    """

    VALUE = "log(index(-1) + 1)"


@initializer
class MambaDtBias(_Written):
    """Mamba's bias of dt: time steps with uniform logarithms, through the inverse of a softplus.

    Formula:
        w = log(exp(dt) - 1), dt = max(exp(U(log(dt_min), log(dt_max))), dt_floor)

    Args:
        dt_min: the shortest time step, > 0; default 0.001.
        dt_max: the longest, > `dt_min`; default 0.1.
        dt_floor: shorter ones are lengthened to it, > 0; default 0.0001.
        seed: an integer in [0, 2**64), for the same tensor at each call; default None, for fresh entropy,
            or in a plan the parameter's own stream.

    Reference:
        Gu, Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", 2023,
        https://arxiv.org/abs/2312.00752; state-spaces/mamba mamba_ssm/modules/mamba_simple.py

    Example:
        >>> bias = MambaDtBias(seed=1)((4,))
        >>> bool((bias > -6.91).all() and (bias < -2.25).all())
        True
    """

    VALUE = "max(exp(x), dt_floor) + log(-expm1(-max(exp(x), dt_floor)))"
    BOUNDS = ("log(dt_min)", "log(dt_max)")

    dt_min: Positive = 0.001
    dt_max: Positive = 0.1
    dt_floor: Positive = 0.0001
    seed: Seed | None = None

    def _conflict(self) -> Diagnostic | None:
        return None if self.dt_min < self.dt_max else crossed("dt_min", self.dt_min, "dt_max", self.dt_max)


@initializer
class LruNuLog(_Written):
    """LRU's nu_log: moduli of eigenvalues, uniform over a ring of the unit disk.

    Formula:
        w = log(-0.5 * log(U(r_min**2, r_max**2)))

    Args:
        r_min: the least modulus, >= 0; default 0.0.
        r_max: the greatest, > `r_min` and <= 1; default 1.0.
        seed: an integer in [0, 2**64), for the same tensor at each call; default None, for fresh entropy,
            or in a plan the parameter's own stream.

    Reference:
        Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", 2023,
        https://arxiv.org/abs/2303.06349; NicolasZucchet/minimal-LRU lru/model.py

    Example:
        >>> import numpy as np
        >>> moduli = np.exp(-np.exp(LruNuLog(0.9, 0.99, seed=1)((100,), "float64")))
        >>> bool(moduli.min() > 0.9 and moduli.max() < 0.99)
        True
    """

    VALUE = "log(-0.5 * log(x))"
    BOUNDS = ("r_min**2", "r_max**2")

    r_min: NonNegative = 0.0
    r_max: Annotated[float, Limits(gt=0, le=1)] = 1.0
    seed: Seed | None = None

    def _conflict(self) -> Diagnostic | None:
        return None if self.r_min < self.r_max else crossed("r_min", self.r_min, "r_max", self.r_max)


@initializer
class LruThetaLog(_Written):
    """LRU's theta_log: the logarithms of phases, uniform up to the greatest.

    Formula:
        w = log(U(0, max_phase))

    Args:
        max_phase: > 0; default 6.28, as the code has it.
        seed: an integer in [0, 2**64), for the same tensor at each call; default None, for fresh entropy,
            or in a plan the parameter's own stream.

    Reference:
        Orvieto et al., "Resurrecting Recurrent Neural Networks for Long Sequences", 2023,
        https://arxiv.org/abs/2303.06349; NicolasZucchet/minimal-LRU lru/model.py

    Example:
        >>> bool((LruThetaLog(0.5, seed=1)((100,)) < -0.69).all())
        True
    """

    VALUE = "log(x)"
    BOUNDS = ("0", "max_phase")

    max_phase: Positive = 6.28
    seed: Seed | None = None


@initializer
class RwkvTimeDecay(_Written):
    """RWKV-4's time_decay: from slow to fast along the channels, more evenly in later layers.

    Formula:
        w[..., h] = -5 + 8 * (h / (d - 1))**(0.7 + 1.3 * layer / (layers - 1)), d the last axis' size

    With one layer the ratio of layers counts as 0, where the original divides by zero.

    Args:
        layer: the layer's index, counted from 0.
        layers: how many layers the model has, an integer >= 1.

    Reference:
        Peng et al., "RWKV: Reinventing RNNs for the Transformer Era", 2023,
        https://arxiv.org/abs/2305.13048; BlinkDL/RWKV-LM RWKV-v4/src/model.py

    Example:
        >>> RwkvTimeDecay(layer=0, layers=12)((3,))
        array([-5.        , -0.07542235,  3.        ], dtype=float32)
    """

    VALUE = "-5 + 8 * (index(-1) / (size(-1) - 1)) ** (0.7 + 1.3 * layer / max(1, layers - 1))"

    layer: Annotated[int, Limits(ge=0)]
    layers: Count


@initializer
class Chrono(_Written):
    """Chrono initialization: biases of an LSTM's gates for what takes up to `max_steps` steps.

    Formula:
        w = log(U(1, max_steps - 1)) of a forget gate, and its negative of an input gate

    To give both gates the same draw, with either sign, write the name of one as the other's ``stream``.

    Args:
        max_steps: the longest time that counts, an integer >= 3.
        gate: ``forget`` (the default) or ``input``.
        seed: an integer in [0, 2**64), for the same tensor at each call; default None, for fresh entropy,
            or in a plan the parameter's own stream.

    Reference:
        Tallec, Ollivier, "Can recurrent neural networks warp time?", 2018, https://arxiv.org/abs/1804.11188

    Example:
        >>> forget, input = (Chrono(784, gate, seed=1)((3,)) for gate in ("forget", "input"))
        >>> (forget + input).tolist()
        [0.0, 0.0, 0.0]
    """

    VALUE = "log(x)"
    BOUNDS = ("1", "max_steps - 1")

    max_steps: Annotated[int, Limits(ge=3)]
    gate: Literal["forget", "input"] = "forget"
    seed: Seed | None = None

    def _text(self) -> str:
        return self.VALUE if self.gate == "forget" else f"-{self.VALUE}"
