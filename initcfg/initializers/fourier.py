"""Kernels that are made by Fourier transforms: that of a transform itself, and filters out of one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from initcfg import engines
from initcfg.errors import Code, InitializerError
from initcfg.initializers.annotations import Flag, Positive, ReadBy, Seed
from initcfg.initializers.base import Cuttable, initializer
from initcfg.initializers.structured import Factored
from initcfg.initializers.values import ArrayValue, as_config, fault, misfit, plain, read_value
from initcfg.layout import IN_OUT, Layout, needed_layout
from initcfg.names import did_you_mean
from initcfg.process import lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from initcfg.dtypes import DType
    from initcfg.engines import casting
    from initcfg.initializers import arrays, frames
    from initcfg.initializers.custom import Request
else:
    np, casting = lazy("numpy"), lazy("initcfg.engines.casting")
    arrays, frames = lazy("initcfg.initializers.arrays"), lazy("initcfg.initializers.frames")

__all__ = ["STFT", "ConvolutionAware"]

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
class ConvolutionAware(Factored):
    """Filters whose Fourier transforms are orthogonal to each other, but for noise, scaled to one variance.

    Formula:
        w[o, i] = c * (irfft(q[i]) + N(0, eps_std**2)), q the rows of orthogonal matrices from the Haar
        distribution, with new ones for each output, and c such that var(w) = 2 / fan_in

    The matrices are as large as the real transform of a filter has coefficients, which are real here; where
    that is one, q ~ N(0, eps_std**2). Signs are random, where the original has those of LAPACK. Without a
    receptive field it is ``orthogonal``, as in Keras's contributions. Batch axes have filters of their own.
    The filters are made in float64 and rounded once; bits are as of ``orthogonal``.

    Args:
        eps_std: the standard deviation of the noise that makes the filters less alike, > 0; default 0.05.

    Reference:
        Aghajanyan, "Convolution Aware Initialization", 2017, https://arxiv.org/abs/1702.06295;
        keras-team/keras-contrib keras_contrib/initializers/convaware.py

    Example:
        >>> w = ConvolutionAware(seed=1)((3, 3, 8, 16))
        >>> float((w.var() * 9 * 8).round(5))
        2.0
    """

    MODULE = "initcfg.initializers"

    eps_std: Positive = 0.05
    seed: Seed | None = None

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Refuse vectors, dtypes that are no floats, and kernels of one element, which have no variance."""
        super().check(shape, dtype, layout)
        axes = needed_layout(shape, layout).axes(len(shape))
        batch = math.prod(shape[axis] for axis in axes.batch)
        if axes.receptive and math.prod(shape) == batch > 0:
            message = f"ConvolutionAware scales to a variance, and the kernel of shape {shape} is one number"
            raise misfit(message, "give it more channels or positions, or another initializer")

    def build(self, request: Request) -> np.ndarray[Any, Any]:
        """One kernel, or one for each index of the batch axes, whose stream is the child of that index."""
        layout = needed_layout(request.shape, request.layout)
        axes = layout.axes(len(request.shape))
        if not axes.receptive:
            return frames.orthogonal(request, axes, 1.0)
        std = math.sqrt(2 / max(1, layout.fans(request.shape).fan_in))
        return frames.aware(request, axes, self.eps_std, std)


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
            raise misfit(message, "give it F // 2 + 1 frequencies")
        window = self.window
        if isinstance(window, ArrayValue) and window.shape != (length,):
            message = f"a window of {window.shape[0]} values does not fit the {length} steps of shape {shape}"
            raise misfit(message, f"give {length} values, or the name of a window")
        closed = length == 2 and not self.periodic and window in _CLOSED
        empty = closed or (isinstance(window, ArrayValue) and not any(window.numbers))
        if self.scaling and 0 not in shape and empty:
            message = f"the window of {length} steps is 0 everywhere, and the scaling divides by its size"
            raise misfit(message, "give more steps, or scaling: null")

    def draw(self, out: np.ndarray[Any, Any], start: int, request: Request) -> None:
        """A stretch of the kernel, from one turn of the circle and one window."""
        if not out.size:
            return
        shape = request.shape
        steps, _, frequencies = _axes(shape, request.layout)
        at_step, at_frequency = arrays.places(start, out.size, shape, (steps, frequencies))
        functions = engines.functions(request.fill)
        turn = 2 * (shape[frequencies] - 1)
        waves = _circle(functions["cos"] if self.side == "real" else functions["sin"], turn)
        values = waves[at_step * at_frequency % turn]
        if self.side == "imag":
            values = -values
        if self.window is not None:
            window = self._window(shape[steps], functions)
            values = values * window[at_step] / self._scale(window.tolist())
        out[...] = casting.round_all(values, request.dtype)

    def _window(self, steps: int, functions: Any) -> np.ndarray[Any, Any]:
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
    found: np.ndarray[Any, Any] = function(2 * math.pi / size * np.arange(size))
    return found


def _axes(shape: tuple[int, ...], layout: Layout | None) -> tuple[int, int, int]:
    """The axes of time, of the one input and of frequencies."""
    if len(shape) == 3:
        axes = (layout or IN_OUT).axes(3)
        groups = axes.receptive, axes.inputs, axes.outputs
        if all(len(group) == 1 for group in groups) and shape[axes.inputs[0]] == 1:
            return axes.receptive[0], axes.inputs[0], axes.outputs[0]
    raise misfit(
        f"STFT makes kernels of time, one input and frequencies, not shape {shape}",
        "give the parameter the shape (T, 1, F), or the layout that says which axis is which",
    )
