"""Recipes for transformers by width and depth: GPT-2, GPT-NeoX, OLMo, muP, DeepNorm, T-Fixup and others."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from initcfg.errors import Code, Diagnostic
from initcfg.initializers.annotations import Limits, NonNegative, Positive, Seed
from initcfg.initializers.base import initializer
from initcfg.initializers.recipes import Count, Recipe

__all__ = [
    "DeepNorm",
    "DepthScaledNormal",
    "Mitchell",
    "Mup",
    "SmallInit",
    "SubLN",
    "SwitchNormal",
    "TFixup",
    "TFixupEmbedding",
    "WangInit",
]


@initializer
class SmallInit(Recipe):
    """SmallInit: normal draws for the matrices of a transformer that is `dim` wide.

    Formula:
        w ~ N(0, 2 / (5 * dim))

    It is Glorot's variance of a matrix (dim, 4 * dim), for all of them.

    Args:
        dim: the width of the model, an integer >= 1.

    Reference:
        Nguyen, Salazar, "Transformers without Tears", 2019, https://arxiv.org/abs/1910.05895;
        EleutherAI/gpt-neox megatron/model/init_functions.py

    Example:
        >>> SmallInit(768).resolve((768, 768), None)
        Normal(mean=0.0, std=0.02282177322938192)
    """

    FORMULA = "sqrt(2 / (5 * dim))"

    dim: Count
    seed: Seed | None = None


@initializer
class WangInit(Recipe):
    """Wang's init: normal draws for what writes to the residual stream, beside `small_init` for the rest.

    Formula:
        w ~ N(0, s**2), s = 2 / (layers * sqrt(dim))

    GPT-NeoX-20B begins so, with `small_init`.

    Args:
        dim: the width of the model, an integer >= 1.
        layers: how many layers the model has, an integer >= 1.

    Reference:
        Wang, Komatsuzaki, "GPT-J-6B", 2021; Black et al., "GPT-NeoX-20B", 2022, section 2.3.1,
        https://arxiv.org/abs/2204.06745; EleutherAI/gpt-neox megatron/model/init_functions.py

    Example:
        >>> WangInit(dim=6144, layers=44).resolve((24576, 6144), None)
        Normal(mean=0.0, std=0.0005798981398634418)
    """

    FORMULA = "2 / layers / sqrt(dim)"

    dim: Count
    layers: Count
    seed: Seed | None = None


@initializer
class DepthScaledNormal(Recipe):
    """GPT-2's and Megatron's init of what writes to the residual stream: a normal that shrinks with depth.

    Formula:
        w ~ N(0, s**2), s = stddev / sqrt(2 * layers)

    Each layer writes twice. With the number of layers all of the model's layers begin alike; torchtitan's
    ``depth_init`` scales layer i, counted from 0, by its own depth instead: ``layers: i + 1``.

    Args:
        layers: how many layers there are, or are passed at this one; an integer >= 1.
        stddev: the standard deviation of the other matrices, >= 0; default 0.02.

    Reference:
        Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.3; Shoeybi et
        al., "Megatron-LM", 2019, https://arxiv.org/abs/1909.08053; EleutherAI/gpt-neox
        megatron/model/init_functions.py, scaled_init_method_normal

    Example:
        >>> DepthScaledNormal(layers=12).resolve((768, 768), None)
        Normal(mean=0.0, std=0.004082482904638631)
    """

    FORMULA = "stddev / sqrt(2 * layers)"

    layers: Count
    stddev: NonNegative = 0.02
    seed: Seed | None = None


@initializer
class Mitchell(Recipe):
    """OLMo's ``mitchell`` init: a normal by width, cut off, and smaller in later layers' residual writes.

    Formula:
        w ~ N(0, s**2) given |w| <= 3 * s, s = 1 / sqrt(dim), or 1 / sqrt(2 * dim * (layer + 1))

    `dim` is the input's width of the matrix: of OLMo's feed-forward output it is the hidden width, of the
    embeddings the model's.

    Args:
        dim: an integer >= 1.
        layer: of matrices that write to the residual stream, the layer's index, counted from 0; default None,
            for the others.

    Reference:
        Groeneveld et al., "OLMo", 2024, https://arxiv.org/abs/2402.00838; allenai/OLMo
        olmo/initialization.py, olmo/model.py

    Example:
        >>> Mitchell(dim=4096).resolve((4096, 4096), None)
        TruncatedNormal(mean=0.0, std=0.015625, low=-0.046875, high=0.046875)
        >>> Mitchell(dim=4096, layer=7).resolve((4096, 4096), None).std
        0.00390625
    """

    LAW, CUT = "truncated", 3.0
    FORMULA = "1 / sqrt(dim)"

    dim: Count
    layer: Annotated[int, Limits(ge=0)] | None = None
    seed: Seed | None = None

    @property
    def formula(self) -> str:
        """That of a residual write where the layer is known."""
        return self.FORMULA if self.layer is None else "1 / sqrt(2 * dim * (layer + 1))"


@initializer
class Mup(Recipe):
    """muP (maximal update parametrization): a standard deviation, tuned at one width, at another width.

    Formula:
        w ~ N(0, s**2), s = stddev / sqrt(width_mult) of a matrix, stddev of a vector,
        stddev / width_mult of a readout

    A matrix is what grows with the width on both sides, a vector on one side: embeddings, biases, and the
    readout of the `mup` package, which divides the outputs by `width_mult` instead. ``readout`` is for models
    that do not (the paper's Table 3). Learning rates change with the width too; they are the optimizer's.

    Args:
        stddev: the standard deviation at the base width, >= 0.
        width_mult: the width divided by the base width, > 0.
        kind: ``matrix`` (the default), ``vector`` or ``readout``.

    Reference:
        Yang et al., "Tensor Programs V: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer",
        2022, tables 3 and 8, https://arxiv.org/abs/2203.03466; microsoft/mup mup/init.py

    Example:
        >>> Mup(0.02, width_mult=16).resolve((4096, 4096), None)
        Normal(mean=0.0, std=0.005)
    """

    FORMULA = "stddev / sqrt(width_mult)"

    stddev: NonNegative
    width_mult: Positive
    kind: Literal["matrix", "vector", "readout"] = "matrix"
    seed: Seed | None = None

    @property
    def formula(self) -> str:
        """That of the kind."""
        return {"vector": "stddev", "readout": "stddev / width_mult"}.get(self.kind, self.FORMULA)


@initializer
class SwitchNormal(Recipe):
    """Switch Transformer's init: a truncated normal by fan, with a tenth of the usual variance.

    Formula:
        w ~ N(0, s**2) given |w| <= 2 * s, s = sqrt(scale / fan_in)

    As the paper has it, `s` is the standard deviation before the cut; ``variance_scaling`` with the same
    scale widens it beforehand. A layout such as BIO gives each expert its own fan.

    Args:
        scale: a number > 0; default 0.1.

    Reference:
        Fedus, Zoph, Shazeer, "Switch Transformers", 2021, section 2.4, https://arxiv.org/abs/2101.03961

    Example:
        >>> from initcfg import Layout
        >>> SwitchNormal().resolve((1000, 4000), Layout("in_out"))
        TruncatedNormal(mean=0.0, std=0.01, low=-0.02, high=0.02)
    """

    LAW = "truncated"
    FORMULA = "sqrt(scale / fan_in)"

    scale: Positive = 0.1
    seed: Seed | None = None


@initializer
class _Stacked(Recipe):
    """Xavier's normal times a gain that follows from the depths of an encoder and a decoder.

    Args:
        layers: how many layers this stack has, an integer >= 1.
        stack: ``alone`` (the default) for an encoder or a decoder without the other, ``encoder`` or
            ``decoder`` of a pair.
        decoder_layers: of an encoder, how many layers its decoder has.
    """

    GAINS: ClassVar[dict[str, str]]

    layers: Count
    stack: Literal["alone", "encoder", "decoder"] = "alone"
    decoder_layers: Count | None = None
    seed: Seed | None = None

    def _conflict(self) -> Diagnostic | None:
        if (self.stack == "encoder") == (self.decoder_layers is not None):
            return None
        message = (
            f"'decoder_layers' goes with the stack 'encoder', got {self.decoder_layers} and {self.stack!r}"
        )
        hint = "give it for the encoder of an encoder with a decoder, and nowhere else"
        return Diagnostic(Code.INITIALIZER_CONFIG, message, hint=hint)

    @property
    def formula(self) -> str:
        """Xavier's standard deviation times the gain of the stack."""
        return f"{self.GAINS[self.stack]} * sqrt(2 / (fan_in + fan_out))"


@initializer
class DeepNorm(_Stacked):
    """DeepNorm: Xavier's normal times a gain, for transformers of up to a thousand layers.

    Formula:
        w ~ N(0, s**2), s = gain * sqrt(2 / (fan_in + fan_out)), gain = (8 * layers)**(-1/4), or
        0.87 * (layers**4 * decoder_layers)**(-1/16) of an encoder, (12 * layers)**(-1/4) of a decoder

    It is for the feed-forward layers, the value and the output projections; queries and keys take
    `xavier_normal`. The residual stream is multiplied by alpha in the model: (2 * layers)**(1/4), or
    0.81 * (layers**4 * decoder_layers)**(1/16) and (3 * layers)**(1/4). The paper's gains; torchscale draws
    uniformly, with the same variance, and has 1.15, the reciprocal, in the place of 0.87.

    Reference:
        Wang et al., "DeepNet: Scaling Transformers to 1,000 Layers", 2022, figure 2,
        https://arxiv.org/abs/2203.00555; microsoft/torchscale torchscale/architecture/encoder.py

    Example:
        >>> from initcfg import Layout
        >>> DeepNorm(layers=32).resolve((512, 512), Layout("out_in"))
        Normal(mean=0.0, std=0.011048543456039806)
    """

    GAINS: ClassVar[dict[str, str]] = {
        "alone": "(8 * layers)**-0.25",
        "encoder": "0.87 * (layers**4 * decoder_layers)**-0.0625",
        "decoder": "(12 * layers)**-0.25",
    }


@initializer
class SubLN(_Stacked):
    """Sub-LN (Magneto, Foundation Transformers): Xavier's normal times a gain that grows with depth.

    Formula:
        w ~ N(0, s**2), s = gain * sqrt(2 / (fan_in + fan_out)), gain = sqrt(log(2 * layers)), or
        sqrt(log(3 * decoder_layers) * log(2 * layers) / 3) of an encoder, sqrt(log(3 * layers)) of a decoder

    It is for the feed-forward layers, the value and the output projections; queries and keys take
    `xavier_normal`. torchscale draws uniformly, with the same variance.

    Reference:
        Wang et al., "Foundation Transformers", 2022, https://arxiv.org/abs/2210.06423; microsoft/torchscale
        torchscale/architecture/encoder.py, decoder.py

    Example:
        >>> from initcfg import Layout
        >>> SubLN(layers=24).resolve((1024, 1024), Layout("out_in"))
        Normal(mean=0.0, std=0.061485524615268086)
    """

    GAINS: ClassVar[dict[str, str]] = {
        "alone": "sqrt(log(2 * layers))",
        "encoder": "sqrt(log(3 * decoder_layers) * log(2 * layers) / 3)",
        "decoder": "sqrt(log(3 * layers))",
    }


@initializer
class TFixup(Recipe):
    """T-Fixup: Xavier's uniform law times a gain, for transformers without layer norms and warmup.

    Formula:
        w ~ U(-bound, bound), bound = gain * sqrt(6 / (fan_in + fan_out)),
        gain = 0.67 * layers**(-1/4) of an encoder, (9 * layers)**(-1/4) of a decoder

    It is for the feed-forward layers, the value and the output projections; queries and keys take
    `xavier_uniform`, and embeddings `t_fixup_embedding`.

    Args:
        layers: how many layers this stack has, an integer >= 1.
        stack: ``encoder`` or ``decoder``.

    Reference:
        Huang, Perez, Ba, Volkovs, "Improving Transformer Optimization Through Better Initialization", 2020,
        https://proceedings.mlr.press/v119/huang20f.html; layer6ai-labs/T-Fixup
        fairseq/modules/transformer_layer.py

    Example:
        >>> from initcfg import Layout
        >>> TFixup(layers=9, stack="decoder").resolve((300, 300), Layout("out_in"))
        Uniform(low=-0.03333333333333333, high=0.03333333333333333)
    """

    LAW = "uniform"
    FORMULA = "0.67 * layers**-0.25 * sqrt(6 / (fan_in + fan_out))"

    layers: Count
    stack: Literal["encoder", "decoder"]
    seed: Seed | None = None

    @property
    def formula(self) -> str:
        """That of the stack."""
        return (
            self.FORMULA if self.stack == "encoder" else "(9 * layers)**-0.25 * sqrt(6 / (fan_in + fan_out))"
        )


@initializer
class TFixupEmbedding(Recipe):
    """T-Fixup's embeddings: normal draws by width and depth.

    Formula:
        w ~ N(0, s**2), s = dim**(-1/2) * (9 * layers)**(-1/4)

    Args:
        dim: the width of the model, an integer >= 1.
        layers: how many layers the stack has that reads the embeddings, an integer >= 1.

    Reference:
        Huang, Perez, Ba, Volkovs, "Improving Transformer Optimization Through Better Initialization", 2020,
        https://proceedings.mlr.press/v119/huang20f.html; layer6ai-labs/T-Fixup fairseq/models/transformer.py

    Example:
        >>> TFixupEmbedding(dim=400, layers=9).resolve((1000, 400), None)
        Normal(mean=0.0, std=0.016666666666666666)
    """

    FORMULA = "1 / sqrt(dim) * (9 * layers)**-0.25"

    dim: Count
    layers: Count
    seed: Seed | None = None
