"""Values that a law fixes: constants, tables, what follows from another tensor, and orthonormality."""

from __future__ import annotations

import copy
import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg import engines
from initcfg.distributions import point
from initcfg.dtypes import DTYPES, DType
from initcfg.engines.casting import round_all
from initcfg.engines.rounding import round_once
from initcfg.errors import Code, Diagnostic
from initcfg.initializers import Initializer, Scaled, draw
from initcfg.initializers.base import Cuttable, initializer, nested_in
from initcfg.initializers.custom import Request
from initcfg.initializers.derived import Derived
from initcfg.initializers.structured import Mimetic
from initcfg.layout import Layout, needed_layout
from initcfg.stream import Stream
from initcfg.verification.meant import ULPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from initcfg.formats import Array
    from initcfg.formats.base import StoredTensor
    from initcfg.formats.reading import WeightsFile
    from initcfg.initializers.components import Component

_FLOAT64 = DTYPES["float64"]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first element that differs, in C order, both its values in full, and how many differ."""

    at: int
    found: str
    expected: str
    count: int

    def after(self, before: Mismatch | None) -> Mismatch:
        """This one together with that of the elements before, of which the first stays the first."""
        return self if before is None else dataclasses.replace(before, count=before.count + self.count)


def differs(
    file: WeightsFile, tensor: StoredTensor, found: Mismatch, wanted: str, *, numel: int, hint: str
) -> Diagnostic:
    """Tells the first element that differs, after the words `wanted` what it should be, and how many do."""
    index = ", ".join(str(int(at)) for at in np.unravel_index(found.at, tensor.shape))
    message = (
        f"{tensor.name!r}[{index}] is {found.found} in {file.what}, {wanted} {found.expected}; "
        f"{found.count:,} of {numel:,} elements differ"
    )
    return Diagnostic(Code.VALUES, message, file.place_of(tensor), hint)


@dataclass(frozen=True, slots=True, eq=False)
class Fixed:
    """Values that are known."""

    expected: Callable[[Array], Array] | tuple[float, ...]  # of elements by number, or any of these for all
    dtype: DType  # of the elements that are held against them
    spare: tuple[float, float] = (0.0, 0.0)  # how far one may be off: a share of it, and a number

    def mismatch(self, elements: Array, numbers: Array | int) -> Mismatch | None:
        """What differs, in a stretch of elements whose numbers, or that of the first, are given."""
        if isinstance(self.expected, tuple):
            # Comparing in the dtype: float64 does not hold every int64.
            allowed = [np.asarray(value).astype(elements.dtype) for value in self.expected]
            differs = elements != allowed[0]
            for other in allowed[1:]:
                differs &= elements != other
            if not differs.any():
                return None
            at = int(np.argmax(differs))
            return Mismatch(at, str(elements[at]), str(allowed[0]), int(np.count_nonzero(differs)))
        if isinstance(numbers, int):
            numbers = np.arange(numbers, numbers + elements.size)
        wanted = self.expected(numbers)
        if self.dtype.format is None:
            differs = elements != wanted
        else:
            found = elements.astype(np.float64)
            near = round_all(wanted, self.dtype).astype(np.float64)
            spare = np.abs(wanted) * self.spare[0] + self.spare[1]
            low = round_all(wanted - spare, self.dtype).astype(np.float64)
            high = round_all(wanted + spare, self.dtype).astype(np.float64)
            differs = ~((found >= low) & (found <= high)) & (found != near)
        if not differs.any():
            return None
        at = int(np.argmax(differs))
        return Mismatch(at, str(elements[at]), f"{wanted[at]:.9g}", int(np.count_nonzero(differs)))


def fixed_by(component: Component, planned: DType, dtype: DType, file: WeightsFile) -> Fixed | str:
    """The values that a component without random numbers has, or why they are not known."""
    law = component.distribution
    value = None if law is None else point(law)
    if value is not None:
        if dtype.format is None:
            return Fixed((value,), dtype)
        # Programs round a constant to their own dtype before they store it in another.
        first = {float(value), round_once(value, planned) if planned.format else float(value)}
        first.add(round_once(value, DTYPES["float32"]))
        return Fixed(tuple(dict.fromkeys(round_once(each, dtype) for each in sorted(first))), dtype)
    made = _with_stored(component.initializer, file)
    if isinstance(made, str):
        return made
    request = Request(
        component.shape,
        _FLOAT64 if dtype.format else dtype,
        component.layout,
        Stream(bytes(16)),
        engines.get_engine(),
    )

    def expected(numbers: Array) -> Array:
        first, last = int(numbers[0]), int(numbers[-1])
        out = np.empty(last + 1 - first, request.dtype.numpy)
        draw(made, out, first, request)
        return out if out.size == numbers.size else out[numbers - first]

    return Fixed(expected, dtype, _spare(component))


def _spare(component: Component) -> tuple[float, float]:
    """What float32 arithmetic may have lost, as a share of a value and as a number."""
    formula = component.formula
    if formula is None:
        return (ULPS, 0.0)
    return formula.float32_error(component.shape, component.layout)


@initializer
class _Stored(Cuttable):
    """The elements of a tensor, as an initializer."""

    def check(self, shape: tuple[int, ...], dtype: DType, layout: Layout | None) -> None:
        """Nothing: the tensor is there."""

    def draw(self, out: Array, start: int, request: Request) -> None:  # noqa: ARG002
        """A stretch of the tensor."""
        file, tensor = vars(self)["_tensor"]
        out[...] = file.read(tensor, start, start + out.size).astype(out.dtype)


def _with_stored(made: Initializer, file: WeightsFile) -> Any:
    """The initializer, with the values of weights in the place of the parameters that it follows."""
    if not any(isinstance(each, Derived) for each in nested_in(made)):
        return made
    if isinstance(made, Derived):
        source = made.source
        tensor = file.header.tensors.get(made.parameter)
        if tensor is None or tensor.shape != source.shape:
            return f"it follows {made.parameter!r}, which {file.what} does not hold"
        stored = _Stored()
        object.__setattr__(stored, "_tensor", (file, tensor))
        followed = copy.copy(made)
        followed.follow(made.parameter, stored, source.shape, tensor.dtype, source.layout, source.stream)
        return followed
    changed = copy.copy(made)
    for field in dataclasses.fields(made):  # type: ignore[arg-type]
        value = getattr(made, field.name)
        if isinstance(value, Initializer):
            value = _with_stored(value, file)
            if isinstance(value, str):
                return value
            object.__setattr__(changed, field.name, value)
    return changed


# Columns that are looked at, and how far float32 decompositions are from orthonormal.
_PROBES = 8
_FLOAT32_FRAMES = 1e-4


def frames_problem(component: Component, elements: Array, dtype: DType) -> str | None:
    """What is wrong with orthonormal matrices times a gain: their products with a few vectors tell it."""
    made = component.initializer
    if not isinstance(made, Scaled):
        return _frames_problem(component, elements, dtype)
    inner = dataclasses.replace(component, initializer=made.of)
    problem = frames_problem(inner, elements.astype(np.float64) / made.factor, dtype)
    return problem and f"{problem}, before the factor {made.factor:.6g}"


def _frames_problem(component: Component, elements: Array, dtype: DType) -> str | None:
    assert dtype.format is not None  # noqa: S101
    layout = needed_layout(component.shape, component.layout)
    axes = layout.axes(len(component.shape))
    made, whole = component.initializer, elements.reshape(component.shape).astype(np.float64)
    kind = type(made).__name__
    if isinstance(made, Mimetic):
        inputs = math.prod(component.shape[axis] for axis in axes.inputs)
        matrix = whole.transpose(*axes.inputs, *axes.outputs).reshape(inputs, -1)
        return _factors_problem(matrix, made, dtype)
    gain = abs(float(vars(made).get("gain", 1)))
    scale = _scale(component, whole, gain)
    if scale is not None:
        return _off(*scale, dtype)
    if kind == "DeltaOrthogonal":
        centre = tuple(
            slice((size - 1) // 2, (size + 1) // 2) if axis in axes.receptive else slice(None)
            for axis, size in enumerate(whole.shape)
        )
        if np.count_nonzero(whole) > np.count_nonzero(whole[centre]):
            return "there are values away from the centre that are not 0"
        whole = whole[centre]
    rest = tuple(axis for axis in range(whole.ndim) if axis not in axes.outputs and axis not in axes.batch)
    copies, rows, columns = (
        math.prod(whole.shape[axis] for axis in group) for group in (axes.batch, rest, axes.outputs)
    )
    stacked = whole.transpose(*axes.batch, *rest, *axes.outputs).reshape(copies, rows, columns)
    if kind == "LooksLinear":
        quarter = stacked[:, : rows // 2, : columns // 2]
        mirrored = np.block([[quarter, -quarter], [-quarter, quarter]])
        if not np.array_equal(stacked, mirrored):
            return "it is not one matrix in four quarters, two of them negated"
        stacked, rows, columns = quarter, rows // 2, columns // 2
    if rows >= columns:
        probes = _probes(columns)
        there = stacked @ probes
        back = stacked.swapaxes(1, 2) @ there
    else:
        probes = _probes(rows)
        back = stacked @ (stacked.swapaxes(1, 2) @ probes)
    wanted = gain * gain
    lengths = np.sqrt((back * probes).sum(axis=1))
    off = float(np.sqrt(np.square(back - wanted * probes).sum(axis=1)).max(initial=0.0))
    if off <= 2 * _frames_spare(dtype) * max(wanted, 1e-300):
        return None
    told = _off(float(lengths.flat[np.abs(lengths - gain).argmax()]), gain, dtype)
    return told or "its columns, or its rows where it is wide, are not orthogonal to each other"


def _scale(component: Component, whole: Array, gain: float) -> tuple[float, float] | None:
    """The size of all elements of a kernel and what it should be, where no more of it is looked at."""
    layout = needed_layout(component.shape, component.layout)
    axes = layout.axes(len(component.shape))
    kind = type(component.initializer).__name__
    if kind == "ConvolutionalOrthogonal":
        vectors = math.prod(component.shape[axis] for axis in (*axes.inputs, *axes.batch))
        return float(np.sqrt(np.square(whole).sum())), gain * math.sqrt(vectors)
    if kind == "ConvolutionAware" and axes.receptive:
        spreads = whole.std(axis=tuple(axis for axis in range(whole.ndim) if axis not in axes.batch))
        wanted = math.sqrt(2 / layout.fans(component.shape).fan_in)
        return float(spreads.flat[np.abs(spreads - wanted).argmax()]), wanted
    return None


def _factors_problem(matrix: Array, made: Mimetic, dtype: DType) -> str | None:
    """What is wrong with singular vectors of heads, times roots of their values: they are orthogonal."""
    matrix = matrix.T if made.side == "output" else matrix
    for part, columns in zip(made.parts, np.split(matrix, len(made.parts), axis=1), strict=True):
        for head in np.split(columns, part.heads, axis=1):
            products = head.T @ head
            squares = products.diagonal().copy()
            np.fill_diagonal(products, 0)
            if np.abs(products).max(initial=0.0) > 2 * _frames_spare(dtype) * squares.max(initial=0.0):
                return f"the columns of a head of its {part.side!r} are not orthogonal to each other"
    return None


def _probes(size: int) -> Array:
    """Some vectors of length 1, always the same."""
    probes = np.random.default_rng(size).standard_normal((size, _PROBES))
    probes /= np.sqrt(np.square(probes).sum(axis=0))
    return probes


def _frames_spare(dtype: DType) -> float:
    assert dtype.format is not None  # noqa: S101
    return max(_FLOAT32_FRAMES, 4 * 2.0 ** -(dtype.format.digits + 1))


def _off(found: float, wanted: float, dtype: DType) -> str | None:
    if abs(found - wanted) <= _frames_spare(dtype) * max(wanted, 1e-300):
        return None
    return f"its scale is {found:.6g}, by the law it is {wanted:.6g}"
