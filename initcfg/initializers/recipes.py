"""Published recipes: a standard deviation, a bound or a value as a formula of a model's sizes.

Each is one expression, over its arguments and the fans or over the positions of elements, evaluated as those
of documents are, to the same number on every machine. A line with `random_normal`, `random_uniform` or
`formula` and the expression gives the same bits; a recipe's name says where it comes from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from initcfg.distributions import Distribution, Fill, Normal, TruncatedNormal, Uniform
from initcfg.errors import Diagnostic, InitializerError
from initcfg.expressions import Expression, ExpressionError
from initcfg.expressions.folding import closed
from initcfg.initializers.annotations import Limits, NonNegative, Positive, Seed
from initcfg.initializers.base import Cuttable, Elementwise, initializer
from initcfg.initializers.formulas import Formula
from initcfg.initializers.simple import RandomUniform, crossed
from initcfg.layout import Layout, resolved_fans

if TYPE_CHECKING:
    import numpy as np

    from initcfg.dtypes import DType
    from initcfg.expressions import Value
    from initcfg.initializers.custom import Request

__all__ = [
    "Chrono",
    "Fixup",
    "FocalBias",
    "LoraA",
    "LruNuLog",
    "LruThetaLog",
    "MambaALog",
    "MambaDtBias",
    "RwkvTimeDecay",
    "Siren",
    "SirenFirst",
]

Count = Annotated[int, Limits(ge=1)]


class Recipe(Elementwise):
    """A law of mean 0, whose standard deviation or bound is an expression of the arguments and the fans."""

    MODULE = "initcfg.initializers"
    LAW: ClassVar[Literal["normal", "uniform", "truncated"]] = "normal"
    #: Of a truncated law: where it is cut off, in standard deviations.
    CUT: ClassVar[float] = 2.0
    #: The standard deviation, before a cut, the bound of a uniform law, or the one value.
    FORMULA: ClassVar[str]

    @property
    def formula(self) -> str:
        """The expression, where arguments decide which."""
        return self.FORMULA

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:
        """The distribution that the formula gives for a shape."""
        spread = self._value(shape, layout)
        if self.LAW == "uniform":
            return Uniform(-spread, spread)
        if self.LAW == "truncated":
            return TruncatedNormal(0.0, spread, -self.CUT * spread, self.CUT * spread)
        return Normal(0.0, spread)

    def _value(self, shape: tuple[int, ...], layout: Layout | None) -> float:
        expression = Expression.parse(self.formula)
        known: dict[str, Value] = {name: vars(self)[name] for name in expression.names & vars(self).keys()}
        if len(known) < len(expression.names):
            fans = resolved_fans(shape, layout)
            known |= {"fan_in": max(1, fans.fan_in), "fan_out": max(1, fans.fan_out)}
        try:
            return float(expression.evaluate(known))
        except ExpressionError as error:
            message = f"the formula of {type(self).__name__}, {self.formula}, has no value: {error.message}"
            raise InitializerError.of(error.code, message, hint="change the arguments") from None


@initializer
class Fixup(Recipe):
    """Fixup: He's normal, scaled down by depth, for residual networks without normalization.

    Formula:
        w ~ N(0, s**2), s = branches**(-1 / (2 * branch_layers - 2)) * sqrt(2 / fan_out)

    It is for the convolutions of a branch but the last, which begins with zeros, as the classifier does; each
    branch has a scale of 1 and biases of 0. The fan is that of the authors' code, where the paper leaves the
    choice open.

    Args:
        branches: how many residual branches the network has, an integer >= 1.
        branch_layers: how many convolutions a branch has, an integer >= 2; default 2, and 3 in a bottleneck.

    Reference:
        Zhang, Dauphin, Ma, "Fixup Initialization: Residual Learning Without Normalization", 2019,
        https://arxiv.org/abs/1901.09321; hongyi-zhang/Fixup cifar/models/fixup_resnet_cifar.py

    Example:
        >>> Fixup(branches=16).resolve((32, 16, 3, 3), Layout("out_in"))
        Normal(mean=0.0, std=0.020833333333333332)
    """

    FORMULA = "branches**(-1 / (2 * branch_layers - 2)) * sqrt(2 / fan_out)"

    branches: Count
    branch_layers: Annotated[int, Limits(ge=2)] = 2
    seed: Seed | None = None


@initializer
class SirenFirst(Recipe):
    """SIREN's first layer: uniform draws for coordinates between -1 and 1.

    Formula:
        w ~ U(-bound, bound), bound = 1 / fan_in

    The layer computes sin(30 * (w x + b)).

    Reference:
        Sitzmann et al., "Implicit Neural Representations with Periodic Activation Functions", 2020,
        https://arxiv.org/abs/2006.09661; vsitzmann/siren modules.py

    Example:
        >>> SirenFirst().resolve((256, 2), Layout("out_in"))
        Uniform(low=-0.5, high=0.5)
    """

    LAW = "uniform"
    FORMULA = "1 / fan_in"

    seed: Seed | None = None


@initializer
class Siren(Recipe):
    """SIREN's other layers: uniform draws that keep sines of sines in their range.

    Formula:
        w ~ U(-bound, bound), bound = sqrt(6 / fan_in) / omega

    Args:
        omega: the factor inside the sine, > 0; default 30.

    Reference:
        Sitzmann et al., "Implicit Neural Representations with Periodic Activation Functions", 2020,
        https://arxiv.org/abs/2006.09661; vsitzmann/siren modules.py

    Example:
        >>> Siren().resolve((256, 600), Layout("out_in"))
        Uniform(low=-0.0033333333333333335, high=0.0033333333333333335)
    """

    LAW = "uniform"
    FORMULA = "sqrt(6 / fan_in) / omega"

    omega: Positive = 30.0
    seed: Seed | None = None


@initializer
class LoraA(Recipe):
    """LoRA's matrix A: PyTorch's default law of a linear layer; its matrix B takes `zeros`.

    Formula:
        w ~ U(-bound, bound), bound = 1 / sqrt(fan_in)

    The paper has a normal, which the `peft` package makes by ``init_lora_weights="gaussian"``: that is
    `random_normal` with ``stddev: 1 / r``.

    Reference:
        Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021,
        https://arxiv.org/abs/2106.09685; microsoft/LoRA loralib/layers.py, huggingface/peft
        src/peft/tuners/lora/layer.py

    Example:
        >>> LoraA().resolve((8, 400), Layout("out_in"))
        Uniform(low=-0.05, high=0.05)
    """

    LAW = "uniform"
    FORMULA = "1 / sqrt(fan_in)"

    seed: Seed | None = None


@initializer
class FocalBias(Recipe):
    """RetinaNet's bias of a classifier, so that every anchor begins with a small probability.

    Formula:
        w = -log((1 - prior) / prior)

    Args:
        prior: the probability, between 0 and 1; default 0.01.

    Reference:
        Lin et al., "Focal Loss for Dense Object Detection", 2017, section 4.1,
        https://arxiv.org/abs/1708.02002; open-mmlab/mmengine mmengine/model/weight_init.py,
        bias_init_with_prob

    Example:
        >>> FocalBias()((2,))
        array([-4.59512, -4.59512], dtype=float32)
    """

    FORMULA = "-log((1 - prior) / prior)"

    prior: Annotated[float, Limits(gt=0, lt=1)] = 0.01

    def resolve(self, shape: tuple[int, ...], layout: Layout | None) -> Distribution:
        """``Fill`` with the logit."""
        return Fill(self._value(shape, layout))


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
