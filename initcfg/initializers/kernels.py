"""Kernels of convolutions, whatever the layout says of their axes: Dirac's, orthogonal ones, and Fourier's.

A shape without a receptive field is a kernel that reads one position: a matrix.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, Literal

from initcfg import engines
from initcfg.distributions import Fill, Normal
from initcfg.errors import Code, InitializerError
from initcfg.initializers.annotations import Flag, Limits, ReadBy
from initcfg.initializers.base import Cuttable, initializer
from initcfg.initializers.structured import OfFrames
from initcfg.initializers.values import ArrayValue, as_config, fault, misfit, plain, read_value
from initcfg.layout import IN_OUT, Layout, needed_layout
from initcfg.names import did_you_mean
from initcfg.process import LOADING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from initcfg.distributions import Distribution, Mixture
    from initcfg.dtypes import DType
    from initcfg.initializers.custom import Request

__all__ = ["STFT", "ConvolutionalOrthogonal", "DeltaOrthogonal", "Dirac", "HadamardIdentity"]


class _OfChannels(Cuttable):
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
        with LOADING:
            from initcfg.engines.casting import round_all  # noqa: PLC0415  numpy is not for planning
            from initcfg.initializers.arrays import places  # noqa: PLC0415

        shape = request.shape
        axes = needed_layout(shape, request.layout).axes(len(shape))
        (output_axis,), (input_axis,) = axes.outputs, axes.inputs
        along = places(start, out.size, shape, (output_axis, input_axis, *axes.receptive))
        taken = self._taken(along[0], along[1], shape[output_axis], shape[input_axis])
        for axis, place in zip(axes.receptive, along[2:], strict=True):
            taken *= place == shape[axis] // 2
        out[...] = round_all(taken, request.dtype) if request.dtype.format else taken

    @abstractmethod
    def _taken(
        self, output: np.ndarray[Any, Any], given: np.ndarray[Any, Any], outputs: int, inputs: int
    ) -> Any:
        """What each output takes of an input, in float64, as numbers from 0."""


@initializer
class Dirac(_OfChannels):
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
class HadamardIdentity(_OfChannels):
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
        with LOADING:
            import numpy as np  # noqa: PLC0415  as above

        if outputs <= inputs:
            return (output == given) * 1.0
        return (1.0 - 2.0 * (np.bitwise_count(output & given) & 1)) * _spread(inputs, outputs)


def _spread(inputs: int, outputs: int) -> float:
    """What keeps the lengths of the columns of a Hadamard matrix at 1, or 1 where there is none."""
    return math.sqrt(math.ldexp(1.0, -(outputs - 1).bit_length())) if outputs > inputs else 1.0


@initializer
class DeltaOrthogonal(OfFrames):
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

    MODULE = "initcfg.initializers"

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:
        """That of a coordinate of a random point on a sphere, at the centre: nearly a normal."""
        outputs = _channels(shape, needed_layout(shape, layout))[1]
        return _at_the_centre(Normal(0.0, abs(self.gain) / math.sqrt(outputs)), shape, layout)

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse more inputs than outputs, dtypes that are no floats, and gains out of their range."""
        super().check(shape, dtype, layout)
        _refuse_contraction(type(self).__name__, shape, needed_layout(shape, layout))

    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """Zeros, and at their centre what ``orthogonal`` makes of the other axes."""
        with LOADING:
            from initcfg.initializers.frames import at_the_centre  # noqa: PLC0415  as above

        axes = needed_layout(request.shape, request.layout).axes(len(request.shape))
        return at_the_centre(request, axes, self.gain)


@initializer
class ConvolutionalOrthogonal(OfFrames):
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

    MODULE = "initcfg.initializers"

    def element_laws(self, shape: tuple[int, ...], layout: Layout | None) -> Mixture:
        """A normal with the mean square of all elements; those at the edges are smaller."""
        fan_out = needed_layout(shape, layout).fans(shape).fan_out
        return ((1.0, Normal(0.0, abs(self.gain) / math.sqrt(fan_out))),)

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """As of ``delta_orthogonal``."""
        super().check(shape, dtype, layout)
        _refuse_contraction(type(self).__name__, shape, needed_layout(shape, layout))

    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """One kernel, or one for each index of the batch axes, whose stream is the child of that index."""
        with LOADING:
            from initcfg.initializers.frames import isometry  # noqa: PLC0415  as above

        axes = needed_layout(request.shape, request.layout).axes(len(request.shape))
        return isometry(request, axes, self.gain)


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


def _refuse_contraction(name: str, shape: tuple[int, ...], layout: Layout) -> None:
    inputs, outputs = _channels(shape, layout)
    if inputs > outputs and 0 not in shape:
        raise misfit(
            f"{name} keeps lengths, and shape {shape} takes {inputs} inputs to {outputs} outputs under "
            f"layout {layout}",
            "give it no more inputs than outputs, or use orthogonal",
        )


# Sums of cosines: a_0 - a_1 cos(x) + a_2 cos(2 x) - ..., with scipy's numbers.
_COSINES = {
    "hann": (0.5, 0.5),
    "hamming": (0.54, 1 - 0.54),
    "blackman": (0.42, 0.50, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}
_WINDOWS = ("boxcar", "triang", "bartlett", "cosine", *_COSINES)
# Those that begin and end with 0.
_CLOSED = ("bartlett", "hann", "blackman")
_WORDS = "the name of a window or a list of numbers"


def read_window(value: object, info: Any) -> object:  # noqa: ARG001
    """A name of scipy's, or the values themselves."""
    value = plain(value)
    if isinstance(value, str):
        if value in _WINDOWS:
            return value
        hint = did_you_mean(value, _WINDOWS) or "give the values of another window as a list"
        known = ", ".join(_WINDOWS)
        message = f"must be one of {known}, got {value!r}"
        raise fault(Code.UNKNOWN_CHOICE, message, hint, is_predicate=True)
    read = read_value(value) if not isinstance(value, int | float) else None
    if not isinstance(read, ArrayValue) or len(read.shape) != 1:
        raise fault(Code.WRONG_TYPE, f"must be {_WORDS}", is_predicate=True)
    return read


Window = Annotated[Any, ReadBy(read_window, _WORDS, _WORDS, as_config)]


@initializer
class STFT(Cuttable):
    """The real or the imaginary part of a short-time Fourier transform, as the kernel of a convolution.

    Formula:
        w[t, 0, f] = cos(2 pi t f / (2 (F - 1))) * window[t] / s, or -sin(...) for the imaginary part

    for T steps of time and F frequencies. s is sqrt(sum(window**2)) for the scaling ``density``,
    sum(abs(window)) for ``spectrum``, and 1 for None or no window. The numbers are computed in float64 and
    rounded once; Keras's, in the dtype of the kernel, lose digits with t * f.

    Args:
        side: ``real`` (the default) or ``imag``.
        window: one of scipy's, by name: ``boxcar``, ``triang``, ``bartlett``, ``cosine``, ``hann`` (the
            default), ``hamming``, ``blackman``, ``nuttall``, ``blackmanharris`` or ``flattop``; or its T
            values; or None for none.
        scaling: ``density`` (the default), ``spectrum`` or None.
        periodic: whether the window is cut from one that is longer by one step; default False.

    Reference:
        keras/src/initializers/constant_initializers.py; scipy/signal/windows

    Example:
        >>> STFT(window=None)((4, 1, 3))[:, 0].round(5) + 0
        array([[ 1.,  1.,  1.],
               [ 1.,  0., -1.],
               [ 1., -1.,  1.],
               [ 1.,  0., -1.]], dtype=float32)
    """

    side: Literal["real", "imag"] = "real"
    window: Window | None = "hann"
    scaling: Literal["density", "spectrum"] | None = "density"
    periodic: Flag = False

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse shapes that are not (T, 1, F), dtypes that are no floats, and windows that do not fit."""
        steps, _, frequencies = _axes(shape, layout)
        if dtype.drawn is None:
            message = f"cosines and sines cannot be held in {dtype}"
            raise InitializerError.of(Code.DISTRIBUTION, message, "give a floating-point dtype")
        length, count = shape[steps], shape[frequencies]
        if count == 1:
            message = f"shape {shape} has one frequency, and a transform has two or more"
            raise InitializerError.of(Code.INITIALIZER_SHAPE, message, "give it F // 2 + 1 frequencies")
        window = self.window
        if isinstance(window, ArrayValue) and window.shape != (length,):
            message = f"a window of {window.shape[0]} values does not fit the {length} steps of shape {shape}"
            raise InitializerError.of(
                Code.INITIALIZER_SHAPE, message, f"give {length} values, or the name of a window"
            )
        closed = length == 2 and not self.periodic and window in _CLOSED
        empty = closed or (isinstance(window, ArrayValue) and not any(window.numbers))
        if self.scaling and 0 not in shape and empty:
            message = f"the window of {length} steps is 0 everywhere, and the scaling divides by its size"
            raise InitializerError.of(Code.INITIALIZER_SHAPE, message, "give more steps, or scaling: null")

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """A stretch of the kernel, from one turn of the circle and one window."""
        if not out.size:
            return
        with LOADING:
            from initcfg.engines.casting import round_all  # noqa: PLC0415  numpy is not for planning
            from initcfg.initializers.arrays import places  # noqa: PLC0415

        shape = request.shape
        steps, _, frequencies = _axes(shape, request.layout)
        at_step, at_frequency = places(start, out.size, shape, (steps, frequencies))
        functions = engines.functions(request.fill)
        turn = 2 * (shape[frequencies] - 1)
        waves = _circle(functions["cos"] if self.side == "real" else functions["sin"], turn)
        values = waves[at_step * at_frequency % turn]
        if self.side == "imag":
            values = -values
        if self.window is not None:
            window = self._window(shape[steps], functions)
            values = values * window[at_step] / self._scale(window.tolist())
        out[...] = round_all(values, request.dtype)

    def _window(self, steps: int, functions: Any) -> np.ndarray[Any, Any]:
        with LOADING:
            import numpy as np  # noqa: PLC0415  as above

        if isinstance(self.window, ArrayValue):
            return np.array(self.window.numbers, np.float64)
        if steps == 1 or self.window == "boxcar":
            return np.ones(steps)
        size = steps + self.periodic
        at = np.arange(size)
        if self.window == "cosine":
            window = functions["sin"](math.pi / size * (at + 0.5))
        elif self.window in _COSINES:
            waves = _circle(functions["cos"], size - 1)
            terms = enumerate(_COSINES[self.window])
            window = sum((-1) ** k * a * waves[k * at % (size - 1)] for k, a in terms)
        else:
            nearer = 2.0 * np.minimum(at, size - 1 - at)
            odd = size % 2
            window = nearer / (size - 1) if self.window == "bartlett" else (nearer + 1 + odd) / (size + odd)
        found: np.ndarray[Any, Any] = window[:steps]
        return found

    def _scale(self, window: Sequence[float]) -> float:
        if self.scaling == "density":
            return math.sqrt(math.fsum(each * each for each in window))
        return math.fsum(map(abs, window)) if self.scaling else 1.0


def _circle(function: Callable[..., Any], size: int) -> np.ndarray[Any, Any]:
    """The cosine or sine of as many angles as divide the circle in equal parts."""
    with LOADING:
        import numpy as np  # noqa: PLC0415  as above

    found: np.ndarray[Any, Any] = function(2 * math.pi / size * np.arange(size))
    return found


def _axes(shape: tuple[int, ...], layout: Layout | None) -> tuple[int, int, int]:
    """The axes of time, of the one input and of frequencies."""
    if len(shape) == 3:
        axes = (layout or IN_OUT).axes(3)
        groups = axes.receptive, axes.inputs, axes.outputs
        if all(len(group) == 1 for group in groups) and shape[axes.inputs[0]] == 1:
            return axes.receptive[0], axes.inputs[0], axes.outputs[0]
    raise InitializerError.of(
        Code.INITIALIZER_SHAPE,
        f"STFT makes kernels of time, one input and frequencies, not shape {shape}",
        "give the parameter the shape (T, 1, F), or the layout that says which axis is which",
    )
