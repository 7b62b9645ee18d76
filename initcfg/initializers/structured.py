"""Initializers that fix how the elements of a matrix hang together, or those of two of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from initcfg import engines
from initcfg.distributions import Fill, Normal, Uniform
from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.initializers.annotations import Limits, Number, Positive, Seed, Share
from initcfg.initializers.base import Cuttable, Structured, initializer
from initcfg.initializers.values import misfit
from initcfg.layout import needed_layout
from initcfg.process import lazy

if TYPE_CHECKING:
    import numpy as np

    from initcfg.distributions import Mixture
    from initcfg.dtypes import DType
    from initcfg.initializers import arrays, frames
    from initcfg.initializers.custom import Request
    from initcfg.layout import Layout
else:
    arrays, frames = lazy("initcfg.initializers.arrays"), lazy("initcfg.initializers.frames")

__all__ = ["Identity", "LooksLinear", "Mimetic", "Orthogonal", "Sparse"]


@initializer
class Identity(Cuttable):
    """A matrix with one value on its main diagonal and 0 elsewhere.

    Formula:
        w[i, j] = gain if i == j else 0

    The matrix need not be square.

    Args:
        gain: the value on the diagonal, a finite number; default 1.0.

    Example:
        >>> Identity(gain=2)((2, 3))
        array([[2., 0., 0.],
               [0., 2., 0.]], dtype=float32)
    """

    gain: Number = 1.0

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:  # noqa: ARG002
        """``Fill(gain)`` on the diagonal, and 0."""
        share = min(shape) / max(1, math.prod(shape))
        return (share, Fill(self.gain)), (1 - share, Fill(0))

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:  # noqa: ARG002
        """Refuse shapes that are no matrices, and dtypes that do not hold the gain."""
        if len(shape) != 2:
            message = f"Identity makes matrices, and shape {shape} does not have two axes"
            raise misfit(message, "give the parameter two axes or another initializer")
        engines.check(Fill(self.gain), dtype)

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """A stretch of the matrix, row after row."""
        out[...] = 0
        step = request.shape[1] + 1
        first = -(-start // step)
        diagonal = out[first * step - start :: step][: max(0, min(request.shape) - first)]
        diagonal[...] = arrays.drawn(request._replace(shape=()), Fill(self.gain))


@initializer
class Sparse(Structured):
    """Normal draws, of which the same share is 0 for each input, at random places.

    Formula:
        w ~ N(0, std**2), and ceil(sparsity * outputs) elements of each input are 0

    As PyTorch's ``sparse_``, which reads a matrix as (out, in); here the layout says which axis the outputs
    are. The zeros of an input are a uniformly distributed choice, independent of those of the others.

    Args:
        sparsity: the share of zeros, from 0 to 1.
        std: the standard deviation of the other elements, > 0; default 0.01.

    Reference:
        Martens, "Deep learning via Hessian-free optimization", 2010,
        https://www.cs.toronto.edu/~jmartens/docs/Deep_HessianFree.pdf; torch/nn/init.py

    Example:
        >>> (Sparse(0.6)((3, 5)) == 0).sum(axis=1)
        array([3, 3, 3])
    """

    MODULE = "initcfg.initializers"

    sparsity: Share
    std: Positive = 0.01
    seed: Seed | None = None

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:
        """``Normal(0, std)``, and 0."""
        outputs = shape[needed_layout(shape, layout).axes(2).outputs[0]]
        share = math.ceil(self.sparsity * outputs) / max(1, outputs)
        return (1 - share, Normal(0.0, self.std)), (share, Fill(0))

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse shapes that are not (inputs, outputs) in some order, and dtypes that hold no such draws."""
        axes = needed_layout(shape, layout).axes(len(shape)) if len(shape) == 2 else None
        if axes is None or (len(axes.inputs), len(axes.outputs)) != (1, 1):
            message = f"Sparse makes matrices of inputs and outputs, not shape {shape} under layout {layout}"
            hint = "give the parameter one axis of inputs and one of outputs, or another initializer"
            raise misfit(message, hint)
        engines.check(Normal(0.0, self.std), dtype)

    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """The draws of ``random_normal``, and the zeros among them."""
        outputs = needed_layout(request.shape, request.layout).axes(2).outputs[0]
        zeros = math.ceil(self.sparsity * request.shape[outputs])
        return arrays.draw_sparse(request, Normal(0.0, self.std), outputs, zeros)


@initializer
class Factored(Structured):
    """What BLAS or LAPACK has a part in: the last digits are theirs."""

    @property
    def reach(self) -> float:
        """About how large the elements may be."""
        return 1.0

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse shapes without rows and columns, and dtypes that are no floats."""
        if len(shape) < 2:
            message = f"{type(self).__name__} makes matrices, and shape {shape} has fewer than two axes"
            raise misfit(message, "give the parameter two axes or more, or another initializer")
        if dtype.drawn is None:
            message = f"what {type(self).__name__} makes cannot be held in {dtype}"
            raise InitializerError.of(Code.DISTRIBUTION, message, hint="give a floating-point dtype")
        needed_layout(shape, layout).axes(len(shape))


@initializer
class OfFrames(Factored):
    """What is made of orthogonal matrices, times a factor.

    Args:
        gain: the factor, a finite number; default 1.0.
    """

    gain: Number = 1.0
    seed: Seed | None = None

    @property
    def reach(self) -> float:
        """The size of the gain."""
        return abs(self.gain)

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse shapes without rows and columns, dtypes that are no floats, and gains out of their range."""
        super().check(shape, dtype, layout)
        engines.check(Fill(float(self.gain)), dtype)


@initializer
class Orthogonal(OfFrames):
    """A matrix with orthonormal columns, or rows where it is wide, drawn uniformly from all such matrices.

    Formula:
        w = gain * Q, where Q'Q = I, or QQ' = I where Q has fewer rows than columns, from the Haar
        distribution

    The output axes are the columns of Q; the input axes and the receptive field, flattened in their order,
    are the rows. Each index of batch axes has a matrix of its own. Q is a product of random Householder
    reflectors, in float32, or in float64 for float64; it uses BLAS, so that its bits are the same in one
    process with one number of threads, and elsewhere equal to about 1e-5.

    Reference:
        Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear
        neural networks", 2014, https://arxiv.org/abs/1312.6120

    Example:
        >>> w = Orthogonal(seed=1)((3, 2))
        >>> (w.T @ w).round(5) + 0
        array([[1., 0.],
               [0., 1.]], dtype=float32)
    """

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:
        """The law of one coordinate of a random point on a sphere: a normal, in many dimensions.

        In three it is uniform (Archimedes), and in one the coordinate is the radius, of either sign.
        """
        axes = needed_layout(shape, layout).axes(len(shape))
        rest = set(range(len(shape))).difference(axes.outputs, axes.batch)
        radius = abs(self.gain)
        dimensions = max(
            math.prod(shape[axis] for axis in axes.outputs), math.prod(shape[axis] for axis in rest)
        )
        if radius == 0 or dimensions < 2:
            return ((1.0, Fill(radius)),)
        if dimensions < 4:
            return ((1.0, Uniform(-radius, radius)),)
        return ((1.0, Normal(0.0, radius / math.sqrt(dimensions))),)

    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """One matrix, or one for each index of the batch axes, whose stream is the child of that index."""
        axes = needed_layout(request.shape, request.layout).axes(len(request.shape))
        return frames.orthogonal(request, axes, self.gain)


@initializer
class LooksLinear(OfFrames):
    """An orthogonal matrix four times, two of them negated: ReLU layers of it pass signals on as if linear.

    Formula:
        w = gain * [[Q, -Q], [-Q, Q]], with Q as ``orthogonal`` makes it for half of the outputs and inputs

    After a ReLU, activations that come in pairs a and -a give Q a and -Q a, which are such pairs again. Bits
    are as of ``orthogonal``.

    Reference:
        Balduzzi et al., "The Shattered Gradients Problem", 2017, section 5, https://arxiv.org/abs/1702.08591

    Example:
        >>> abs(LooksLinear()((2, 2))).round(5)
        array([[1., 1.],
               [1., 1.]], dtype=float32)
    """

    MODULE = "initcfg.initializers"

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:
        """Those of the orthogonal matrix."""
        return Orthogonal(self.gain).element_laws(_halved(shape, needed_layout(shape, layout)), layout)

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse what ``orthogonal`` does, and outputs and inputs that are odd or on more than one axis."""
        super().check(shape, dtype, layout)
        axes = needed_layout(shape, layout).axes(len(shape))
        pair = (*axes.outputs, *axes.inputs)
        if len(axes.outputs) != 1 or len(axes.inputs) != 1 or any(shape[axis] % 2 for axis in pair):
            raise misfit(
                f"LooksLinear pairs the outputs and the inputs, and shape {shape} under layout {layout} "
                "has odd ones or not one axis of each",
                "give it even numbers of outputs and inputs, or use orthogonal",
            )

    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """The matrix of half the size in all four quarters."""
        layout = needed_layout(request.shape, request.layout)
        half = request._replace(shape=_halved(request.shape, layout))
        return frames.mirrored(half, layout.axes(len(request.shape)), self.gain)


class Factor(NamedTuple):
    """One of two weights whose product is near the identity."""

    side: str  # which of them
    product: str  # the label of the stream that both draw from
    heads: int  # as many pairs there are
    alpha: float  # how much of a random matrix the product has
    beta: float  # how much of the identity


@initializer
class Mimetic(Factored):
    """Attention that begins as trained attention looks: products of its weights are near the identity.

    Formula:
        alpha * Z + beta * I = U S V', Z ~ N(0, 1 / d), d the width of what attention reads; then, with
        inputs as rows, query: U sqrt(S), key: V sqrt(S), value: U sqrt(S), output: sqrt(S) V'

    Queries and keys have a decomposition for each head, of which they take the columns of the largest
    singular values, so that W_q W_k' of a head is the nearest matrix of its rank; W_v W_o is the matrix
    itself. The parameters that belong together draw from one stream, which ``stream`` names in a spec, as
    below. U and V are those in which the element of U that is largest in each column is positive. A
    decomposition takes about 20 d**3 operations in float64, and each parameter makes its own.

    Args:
        side: ``query``, ``key``, ``value``, ``output``, or ``fused`` for the first three side by side along
            the outputs.
        heads: how many there are, a divisor of the outputs of queries and keys, an integer >= 1; default 1.
        alpha: how much of the random matrix the product has; default None: 0.7 for queries and keys, else
            0.4.
        beta: how much of the identity; default None: 0.7 for queries and keys, else -0.4.

    Reference:
        Trockman, Kolter, "Mimetic Initialization of Self-Attention Layers", 2023,
        https://arxiv.org/abs/2305.09828

    Example:
        >>> import initcfg
        >>> params = {
        ...     "v.weight": {"shape": [64, 64], "initializer": {"mimetic": {"side": "value"}}},
        ...     "o.weight": {
        ...         "shape": [64, 64],
        ...         "stream": "v.weight",
        ...         "initializer": {"mimetic": {"side": "output"}},
        ...     },
        ... }
        >>> w = initcfg.materialize({"initcfg": 1, "layout": "out_in", "params": params})
        >>> (w["o.weight"] @ w["v.weight"]).diagonal().mean().round(1)
        np.float32(-0.4)
    """

    MODULE = "initcfg.initializers"

    side: Literal["query", "key", "value", "output", "fused"]
    heads: Annotated[int, Limits(ge=1)] = 1
    alpha: Number | None = None
    beta: Number | None = None
    seed: Seed | None = None

    def _conflict(self) -> Diagnostic | None:
        if self.side != "fused" or self.alpha is self.beta is None:
            return None
        message = "'alpha' and 'beta' are those of one product, and 'fused' has parts of two"
        return Diagnostic(Code.INITIALIZER_CONFIG, message, hint="leave them out, or keep the weights apart")

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse what is no matrix of inputs and outputs, and heads that do not fit it."""
        super().check(shape, dtype, layout)
        axes = needed_layout(shape, layout).axes(len(shape))
        inputs, outputs = (math.prod(shape[axis] for axis in group) for group in axes[:2])
        width, inner = (outputs, inputs) if self.side == "output" else (inputs, outputs)
        count = len(self.parts) * self.parts[0].heads
        is_unfit = 0 not in shape and (inner % count or inner // count > width)
        if axes.batch or axes.receptive or is_unfit:
            message = (
                f"the side {self.side!r} of Mimetic with {self.heads} heads does not fit {inputs} inputs and "
                f"{outputs} outputs of shape {shape} under layout {layout}"
            )
            raise misfit(message, "heads divide the outputs, and none is wider than what attention reads")

    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """The factors, of the children ``query_key`` and ``value_output`` of the stream."""
        axes = needed_layout(request.shape, request.layout).axes(len(request.shape))
        return frames.mimetic(request, axes, self.parts)

    @property
    def parts(self) -> tuple[Factor, ...]:
        """What is side by side along the outputs."""
        sides = ("query", "key", "value") if self.side == "fused" else (self.side,)
        return tuple(map(self._part, sides))

    def _part(self, side: str) -> Factor:
        product, heads, alpha, beta = (
            ("query_key", self.heads, 0.7, 0.7)
            if side in {"query", "key"}
            else ("value_output", 1, 0.4, -0.4)
        )
        alpha = alpha if self.alpha is None else self.alpha
        return Factor(side, product, heads, alpha, beta if self.beta is None else self.beta)


def _halved(shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    """The shape with half of its outputs and inputs."""
    axes = layout.axes(len(shape))
    paired = (*axes.outputs, *axes.inputs)
    return tuple(size // 2 if axis in paired else size for axis, size in enumerate(shape))
