"""Kernels of convolutions, whatever the layout says of their axes: identities and orthogonal ones.

A shape without a receptive field is a kernel that reads one position: a matrix.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any

from initcfg import engines
from initcfg.distributions import Fill, Normal
from initcfg.initializers.annotations import Limits
from initcfg.initializers.base import Cuttable, initializer
from initcfg.initializers.structured import OfFrames
from initcfg.initializers.values import misfit
from initcfg.layout import needed_layout
from initcfg.process import lazy

if TYPE_CHECKING:
    import numpy as np

    from initcfg.distributions import Distribution, Mixture
    from initcfg.dtypes import DType
    from initcfg.engines import casting
    from initcfg.initializers import arrays, frames
    from initcfg.initializers.custom import Request
    from initcfg.layout import Layout
else:
    np, casting = lazy("numpy"), lazy("initcfg.engines.casting")
    arrays, frames = lazy("initcfg.initializers.arrays"), lazy("initcfg.initializers.frames")

__all__ = ["ConvolutionalOrthogonal", "DeltaOrthogonal", "Dirac", "HadamardIdentity"]


class _AtTheCentre(Cuttable):
    """A kernel that says what one output takes from one input at its centre, and is 0 elsewhere."""

    MODULE = "initcfg.initializers"

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse shapes without one input and one output axis, and dtypes that do not hold the values."""
        axes = needed_layout(shape, layout).axes(len(shape))
        if (len(axes.inputs), len(axes.outputs)) != (1, 1):
            raise misfit(
                f"{type(self).__name__} takes one axis of outputs and one of inputs, and layout {layout} of "
                f"shape {shape} names {len(axes.outputs)} and {len(axes.inputs)}",
                "give the parameter one axis of each, or another initializer",
            )
        for _, law in self.element_laws(shape, layout):
            engines.check(law, dtype)

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """A stretch of the kernel, element by element."""
        shape = request.shape
        axes = needed_layout(shape, request.layout).axes(len(shape))
        (output_axis,), (input_axis,) = axes.outputs, axes.inputs
        order = (output_axis, input_axis, *axes.receptive)
        output, given, *position = arrays.places(start, out.size, shape, order)
        values = self._taken(output, given, shape[output_axis], shape[input_axis])
        for axis, place in zip(axes.receptive, position, strict=True):
            values *= place == shape[axis] // 2
        out[...] = casting.round_all(values, request.dtype) if request.dtype.format else values

    @abstractmethod
    def _taken(
        self, output: np.ndarray[Any, Any], given: np.ndarray[Any, Any], outputs: int, inputs: int
    ) -> Any:
        """What each output takes of an input, in float64, as numbers from 0."""


@initializer
class Dirac(_AtTheCentre):
    """A kernel that hands its inputs on as they are: 1 at its centre for each pair of channels, 0 elsewhere.

    Formula:
        w[g * m + c, c, k // 2, ...] = 1 for c < min(m, in), m = out / groups, in PyTorch's order of axes

    As PyTorch's ``dirac_``, which wants three to five axes; here the layout says which of them are outputs
    and inputs, one each, and which are the receptive field, of any number. The centre of an even kernel is
    the later one. Batch axes hold copies.

    Args:
        groups: of the convolution, a divisor of the number of outputs; default 1. Each group hands on its
            inputs.

    Reference:
        torch/nn/init.py

    Example:
        >>> Dirac()((3, 1, 2))  # one axis of three positions, one input, two outputs
        array([[[0., 0.]],
        <BLANKLINE>
               [[1., 0.]],
        <BLANKLINE>
               [[0., 0.]]], dtype=float32)
    """

    groups: Annotated[int, Limits(ge=1)] = 1

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:
        """``Fill(1)`` for each pair of channels at the centre, and 0."""
        inputs, outputs = _channels(shape, needed_layout(shape, layout))
        pairs = self.groups * min(inputs, outputs // self.groups) / max(1, inputs * outputs)
        return _at_the_centre(Fill(1), shape, layout, pairs)

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse outputs that the groups do not divide, and what has not one axis of outputs and inputs."""
        super().check(shape, dtype, layout)
        outputs = _channels(shape, needed_layout(shape, layout))[1]
        if outputs % self.groups:
            raise misfit(
                f"{self.groups} groups do not divide the {outputs} outputs of shape {shape}",
                "give the groups of the convolution, a divisor of its outputs",
            )

    def _taken(
        self,
        output: np.ndarray[Any, Any],
        given: np.ndarray[Any, Any],
        outputs: int,
        inputs: int,  # noqa: ARG002
    ) -> Any:
        return (output % max(1, outputs // self.groups) == given) * 1.0


@initializer
class HadamardIdentity(_AtTheCentre):
    """ZerO: inputs handed on as they are, spread by a Hadamard matrix where outputs outnumber them.

    Formula:
        w[o, i] = 1 if o == i else 0, for no more outputs than inputs; otherwise
        w[o, i] = (-1)**(number of ones in o AND i) * 2**(-m / 2), m = ceil(log2(outputs))

    At the centre of a kernel, and 0 elsewhere, as ``dirac``. All of it is without randomness: the layers of a
    network differ by their widths alone.

    Reference:
        Zhao, Schäfer, Anandkumar, "ZerO Initialization: Initializing Neural Networks with only Zeros and
        Ones", 2022, algorithms 1 and 2, https://arxiv.org/abs/2110.12661;
        github.com/jiaweizzhao/ZerO-initialization

    Example:
        >>> HadamardIdentity()((2, 4))
        array([[ 0.5,  0.5,  0.5,  0.5],
               [ 0.5, -0.5,  0.5, -0.5]], dtype=float32)
    """

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:
        """``Fill`` of the value at the centre, of either sign where there are more outputs, and 0."""
        inputs, outputs = _channels(shape, needed_layout(shape, layout))
        law = Fill(_spread(inputs, outputs))
        return _at_the_centre(law, shape, layout, 1 / max(1, inputs) if outputs <= inputs else 1.0)

    def _taken(
        self, output: np.ndarray[Any, Any], given: np.ndarray[Any, Any], outputs: int, inputs: int
    ) -> Any:
        if outputs <= inputs:
            return (output == given) * 1.0
        return (1.0 - 2.0 * (np.bitwise_count(output & given) & 1)) * _spread(inputs, outputs)


def _spread(inputs: int, outputs: int) -> float:
    """What keeps the lengths of the columns of a Hadamard matrix at 1, or 1 where there is none."""
    return math.sqrt(math.ldexp(1.0, -(outputs - 1).bit_length())) if outputs > inputs else 1.0


class _Isometry(OfFrames):
    """A convolution that keeps lengths, of no more inputs than outputs."""

    MODULE = "initcfg.initializers"

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse more inputs than outputs, dtypes that are no floats, and gains out of their range."""
        super().check(shape, dtype, layout)
        inputs, outputs = _channels(shape, needed_layout(shape, layout))
        if inputs > outputs and 0 not in shape:
            raise misfit(
                f"{type(self).__name__} keeps lengths, and shape {shape} takes {inputs} inputs to {outputs} "
                f"outputs under layout {needed_layout(shape, layout)}",
                "give it no more inputs than outputs, or use orthogonal",
            )


@initializer
class DeltaOrthogonal(_Isometry):
    """An orthogonal matrix at the centre of a kernel, and 0 elsewhere: a convolution that keeps lengths.

    Formula:
        w[(k - 1) // 2, ...] = gain * Q, QQ' = I, from the Haar distribution, inputs as rows; 0 elsewhere

    There may be no more inputs than outputs. The centre of an even kernel is the earlier one, as in JAX and
    TensorFlow. Bits are as of ``orthogonal``.

    Reference:
        Xiao et al., "Dynamical Isometry and a Mean Field Theory of CNNs", 2018, algorithm 2,
        https://arxiv.org/abs/1806.05393; jax/_src/nn/initializers.py

    Example:
        >>> w = DeltaOrthogonal(seed=1)((3, 2, 2))
        >>> (w[1] @ w[1].T).round(5) + 0, float(abs(w[[0, 2]]).max())
        (array([[1., 0.],
               [0., 1.]], dtype=float32), 0.0)
    """

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:
        """That of a coordinate of a random point on a sphere, at the centre: nearly a normal."""
        outputs = _channels(shape, needed_layout(shape, layout))[1]
        return _at_the_centre(Normal(0.0, abs(self.gain) / math.sqrt(outputs)), shape, layout)

    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """Zeros, and at their centre what ``orthogonal`` makes of the other axes."""
        axes = needed_layout(request.shape, request.layout).axes(len(request.shape))
        return frames.at_the_centre(request, axes, self.gain)


@initializer
class ConvolutionalOrthogonal(_Isometry):
    """A kernel whose convolution, with circular padding, keeps the length of every input.

    Formula:
        w = gain * Q * [P_1, I - P_1] * [P_2, I - P_2] * ..., a convolution of k - 1 factors along each axis
        of the receptive field, with Q as in ``delta_orthogonal`` and P_i random projections

    In one, two, three or more dimensions, of any sizes; there may be no more inputs than outputs. Each
    projection is onto a uniformly distributed subspace whose dimension is binomial, n tosses of a coin where
    there are n outputs. The kernel is made in float64 and rounded once; it uses BLAS, so that its bits are
    as of ``orthogonal``.

    Reference:
        Xiao et al., "Dynamical Isometry and a Mean Field Theory of CNNs", 2018, algorithm 1,
        https://arxiv.org/abs/1806.05393; tensorflow/python/ops/init_ops.py

    Example:
        >>> w = ConvolutionalOrthogonal(seed=1)((2, 1, 4))[:, 0]
        >>> float(abs((w * w).sum() - 1)) < 1e-6, float(abs(w[0] @ w[1])) < 1e-6
        (True, True)
    """

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:
        """A normal with the mean square of all elements; those at the edges are smaller."""
        fan_out = needed_layout(shape, layout).fans(shape).fan_out
        return ((1.0, Normal(0.0, abs(self.gain) / math.sqrt(fan_out))),)

    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """One kernel, or one for each index of the batch axes, whose stream is the child of that index."""
        axes = needed_layout(request.shape, request.layout).axes(len(request.shape))
        return frames.isometry(request, axes, self.gain)


def _at_the_centre(
    law: Distribution, shape: tuple[int, ...], layout: Layout | None, part: float = 1.0
) -> Mixture:
    """A law of a part of the elements at the centre of a kernel, all others 0."""
    receptive = needed_layout(shape, layout).axes(len(shape)).receptive
    share = part / max(1, math.prod(shape[axis] for axis in receptive))
    return (share, law), (1 - share, Fill(0))


def _channels(shape: tuple[int, ...], layout: Layout) -> tuple[int, int]:
    """How many inputs and outputs each position of a kernel has."""
    axes = layout.axes(len(shape))
    inputs, outputs = (math.prod(shape[axis] for axis in group) for group in (axes.inputs, axes.outputs))
    return inputs, outputs
