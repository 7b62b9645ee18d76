"""Published recipes whose standard deviation, bound or value is a formula of a model's sizes.

Each is one expression over its arguments and the fans, evaluated as those of documents are, to the same
number on every machine. A line with `random_normal` or `random_uniform` and the expression gives the same
bits; a recipe's name says where it comes from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from initcfg.distributions import Distribution, Fill, Normal, TruncatedNormal, Uniform
from initcfg.errors import InitializerError
from initcfg.expressions import Expression, ExpressionError
from initcfg.initializers.annotations import Limits, Positive, Seed
from initcfg.initializers.base import Elementwise, initializer
from initcfg.layout import Layout, resolved_fans

if TYPE_CHECKING:
    from initcfg.expressions import Value

__all__ = ["Fixup", "FocalBias", "LoraA", "Siren", "SirenFirst"]

Count = Annotated[int, Limits(ge=1)]

#: Of the last argument, which the docstring of each recipe leaves out.
_SEED = """
        seed: an integer in [0, 2**64), for the same tensor at each call; default None, for fresh entropy,
            or in a plan the parameter's own stream.
"""


class Recipe(Elementwise):
    """A law of mean 0, whose standard deviation or bound is an expression of the arguments and the fans."""

    MODULE = "initcfg.initializers"
    LAW: ClassVar[Literal["normal", "uniform", "truncated"]] = "normal"
    #: Of a truncated law: where it is cut off, in standard deviations.
    CUT: ClassVar[float] = 2.0
    #: The standard deviation, before a cut, the bound of a uniform law, or the one value.
    FORMULA: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        text, _, rest = (cls.__doc__ or "").partition("\n    Reference:")
        if rest and hasattr(cls, "seed"):
            listed = text if "Args:" in text else f"{text.rstrip()}\n\n    Args:\n"
            cls.__doc__ = f"{listed.rstrip()}{_SEED}\n    Reference:{rest}"

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
