"""Haar-distributed orthonormal columns, as a blocked product of random Householder reflectors.

The QR decomposition of a Gaussian matrix, signs mended, is Haar distributed (Mezzadri 2007). Its reflectors
are independent, each of them that of a Gaussian vector one shorter than the last (Stewart 1980), so they
can be drawn directly: fewer random numbers, half for a square one, and no decomposition. They are applied in
blocks, as products of matrices, in the compact WY form (Schreiber and Van Loan 1989) with the triangular
factor of Joffrain et al. (2006), last block first, so that what is still zero takes no part.

References:
    Stewart, "The efficient generation of random orthogonal matrices with an application to condition
    estimators", SIAM J. Numer. Anal. 17 (1980), https://doi.org/10.1137/0717034
    Mezzadri, "How to generate random matrices from the classical compact groups", Notices AMS 54 (2007),
    https://arxiv.org/abs/math-ph/0609050
    Joffrain, Low, Quintana-Orti, van de Geijn, Van Zee, "Accumulating Householder transformations,
    revisited", ACM TOMS 32 (2006), https://doi.org/10.1145/1141885.1141886
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initcfg.distributions import Normal, Uniform
from initcfg.engines.casting import round_all
from initcfg.process import ForkSafeLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from initcfg.engines import FillFunction
    from initcfg.initializers.custom import Request
    from initcfg.layout import Axes
    from initcfg.stream import Stream

# A stack: one matrix for each index of the first axis.
Matrices: TypeAlias = NDArray[Any]
# Of `initcfg.initializers.structured.Factor`: side, product, heads, alpha and beta.
Factor: TypeAlias = tuple[str, str, int, float, float]

_STANDARD_NORMAL = Normal(0.0, 1.0)
# Reflectors a block: larger ones make better use of BLAS, until their triangular factors cost too much.
_LEAST_BLOCK, _GREATEST_BLOCK = 64, 256
# Up to so many normals of a matrix are drawn by one call; a call for few costs about what one for many does.
_DRAWN_AT_ONCE = 1 << 16
# Smaller triangles are inverted by LAPACK, larger ones by halves.
_LEAST_TRIANGLE = 32
# Elements of reflectors that are held in float64 at once.
_WIDENED = 1 << 18
# Multiplications of a product. From the first on OpenBLAS takes a second thread, which up to the second gains
# less than it costs, and much less where another program has that processor.
_THREADED, _WORTH_THREADS = 1 << 19, 1 << 22


def draw_frames(frames: Matrices, streams: Sequence[Stream], fill: FillFunction) -> None:
    """Fill each of a stack of matrices Q with one from the Haar distribution, so that Q'Q = I.

    Reflector j of a matrix, counted from 0, is that of the rows - j standard normals which follow, in its
    stream, those of reflector j - 1. The stack is (copies, rows, columns), float32 or float64, with at least
    as many rows as columns; the elements of a row, or those of a column, are next to each other in memory.
    """
    rows, columns = frames.shape[1:]
    size = block_size(columns)
    # Made once: for large matrices memory costs more to get than to fill.
    scratch = np.empty_like(frames[:, size:, size:])
    draw = _drawing(rows, columns, frames.dtype, streams, fill)
    for first in reversed(range(0, columns, size)):
        last = min(first + size, columns)
        reflectors, signs = _reflectors(_trapezoids(draw(first, last), rows - first, last - first))
        _prepend(reflectors, signs, frames[:, first:, first:], scratch)


def block_size(columns: int) -> int:
    """Reflectors that are applied at once."""
    return min(max(columns // 4, _LEAST_BLOCK), _GREATEST_BLOCK)


def _drawing(
    rows: int, columns: int, dtype: np.dtype[Any], streams: Sequence[Stream], fill: FillFunction
) -> Callable[[int, int], Matrices]:
    """A function of `first` and `last`: the normals of the reflectors between, one after another."""

    def position(reflector: int) -> int:
        return reflector * rows - reflector * (reflector - 1) // 2

    def draw(first: int, last: int) -> Matrices:
        start = position(first)
        packed = np.empty((len(streams), position(last) - start), dtype)
        for normals, stream in zip(packed, streams, strict=True):
            fill(normals, _STANDARD_NORMAL, stream, start)
        return packed

    if position(columns) > _DRAWN_AT_ONCE:
        return draw
    everything = draw(0, columns)
    return lambda first, last: everything[:, position(first) : position(last)]


def _trapezoids(packed: Matrices, width: int, count: int) -> Matrices:
    """The normals of `count` reflectors as rows that end at the right edge; zeros to their left."""
    trapezoids = np.zeros((len(packed), count, width), packed.dtype)
    at = 0
    for row in range(count):
        trapezoids[:, row, row:] = packed[:, at : at + width - row]
        at += width - row
    return trapezoids


def _reflectors(normals: Matrices) -> tuple[Matrices, Matrices]:
    """Vectors v of squared length 2, so that I - vv' sends x to a multiple of e1; and the signs for Q."""
    diagonal = np.arange(normals.shape[1])
    heads = normals[:, diagonal, diagonal]
    # sign(0) is +1: a zero would wipe out the column.
    signs = np.where(heads < 0, -1, 1).astype(normals.dtype)
    lengths = np.sqrt(np.einsum("nij,nij->ni", normals, normals, dtype=np.float64))
    corners = heads + signs * lengths
    halves = np.sqrt(lengths * (lengths + np.absolute(heads)))
    # A vector of zeros has no direction; any reflector does, and that of e1 is one.
    corners[halves == 0] = np.sqrt(2)
    halves[halves == 0] = 1
    normals[:, diagonal, diagonal] = corners
    normals /= halves[..., np.newaxis]
    return normals, -signs


def _prepend(reflectors: Matrices, signs: Matrices, frames: Matrices, scratch: Matrices) -> None:
    """Multiply [D 0; 0 Q] by H_1 H_2 ... H_b = I - V'TV, where the rows of V are the reflectors.

    Q is at the lower right of `frames` already; D, the signs of the new columns, is not, nor are the zeros.
    """
    count = reflectors.shape[1]
    head, tail = reflectors[..., :count], reflectors[..., count:]
    inner = frames[:, count:, count:]
    factor = _minus_t(reflectors)
    weights = np.empty((*signs.shape, frames.shape[2]), frames.dtype)
    _multiply(factor, head * signs[:, np.newaxis], weights[..., :count])
    # The products of whole matrices go where they belong; only the one added to Q needs memory of its own.
    if inner.size:
        change = scratch[:, : inner.shape[1], : inner.shape[2]]
        seen = _multiply(tail, inner, np.empty_like(weights[..., count:]))
        _multiply(factor, seen, weights[..., count:])
        inner += _multiply(_transposed(tail), weights[..., count:], change)
    _multiply(_transposed(tail), weights[..., :count], frames[:, count:, :count])
    _multiply(_transposed(head), weights, frames[:, :count])
    diagonal = np.arange(count)
    frames[:, diagonal, diagonal] += signs


def _minus_t(reflectors: Matrices) -> Matrices:
    """The factor -T: minus the inverse of the products above the diagonal and half of those on it.

    In float64: I - V'TV is as orthogonal as T suits V, whose rows have been rounded, and so T is that of the
    rounded rows. Sums of millions of squares need no less.
    """
    inverse = -np.triu(_products(reflectors))
    diagonal = np.arange(inverse.shape[1])
    inverse[:, diagonal, diagonal] /= 2
    return _inverted(inverse)


def _products(rows: Matrices) -> Matrices:
    """The products of the rows of each matrix with each other, in float64."""
    copies, count, length = rows.shape
    products = np.zeros((copies, count, count))
    step = max(_LEAST_BLOCK, _WIDENED // (copies * count))
    for at in range(0, length, step):
        wide = rows[..., at : at + step].astype(np.float64, copy=False)
        products += _multiply(wide, _transposed(wide), np.empty_like(products))
    return products


def _multiply(left: Matrices, right: Matrices, out: Matrices) -> Matrices:
    """The products of two stacks of matrices, in `out`; small ones by columns, few enough for one thread."""
    rows, inner, columns = left.shape[1], left.shape[2], right.shape[2]
    step = columns
    if _THREADED <= rows * inner * columns < _WORTH_THREADS:
        step = max(1, (_THREADED - 1) // (rows * inner))
    for at in range(0, columns, max(1, step)):
        np.matmul(left, right[..., at : at + step], out=out[..., at : at + step])
    return out


def _inverted(triangles: Matrices) -> Matrices:
    """The inverses of upper triangles, most of the work as products of matrices."""
    size = triangles.shape[1]
    if size <= _LEAST_TRIANGLE:
        inverses: Matrices = np.linalg.inv(triangles)
        return inverses
    half = size // 2
    inverse = np.zeros_like(triangles)
    first = inverse[:, :half, :half] = _inverted(triangles[:, :half, :half])
    second = inverse[:, half:, half:] = _inverted(triangles[:, half:, half:])
    np.matmul(-first @ triangles[:, :half, half:], second, out=inverse[:, :half, half:])
    return inverse


def _transposed(matrices: Matrices) -> Matrices:
    return matrices.swapaxes(1, 2)


# Elements of small matrices that are drawn side by side: a call for many costs about what one for one does.
_GROUP = 1 << 16
# BLAS takes every core for one product; two threads that call it at once are slower than one after the other.
_BLAS = ForkSafeLock()


def orthogonal(request: Request, axes: Axes, gain: float) -> np.ndarray[Any, Any]:
    """`gain` times a matrix with orthonormal columns, or rows where it is wide, or a stack of such matrices.

    Outputs are the columns, batch axes the stack; all others are the rows, in their order. Each matrix of a
    stack has the child stream of its index.
    """
    shape, dtype, stream = request.shape, request.dtype, request.stream
    rest = tuple(axis for axis in range(len(shape)) if axis not in axes.outputs and axis not in axes.batch)
    copies, rows, columns = (
        math.prod(shape[axis] for axis in group) for group in (axes.batch, rest, axes.outputs)
    )
    whole = np.empty(shape, dtype.numpy)
    ordered = whole.transpose(*axes.batch, *rest, *axes.outputs)
    stacked = ordered.reshape(copies, rows, columns)  # the same memory, where the order of the axes allows it
    streams = [stream.child(str(index)) for index in range(copies)] if axes.batch else [stream]
    step = max(1, _GROUP // max(1, rows * columns))
    # Numbers may underflow on their way; that is rounding, whatever the caller's settings.
    with _BLAS, np.errstate(under="ignore"):
        for at in range(0, copies, step):
            _fill(stacked[at : at + step], np.dtype(dtype.drawn), gain, streams[at : at + step], request.fill)
    if not np.may_share_memory(stacked, whole):
        ordered[...] = stacked.reshape(ordered.shape)
    return whole


def _fill(
    matrices: np.ndarray[Any, Any],
    drawn: np.dtype[Any],
    gain: float,
    streams: Sequence[Stream],
    fill: FillFunction,
) -> None:
    """Fill a stack of matrices, in place where their memory and dtype are fit for BLAS."""
    tall = matrices if matrices.shape[1] >= matrices.shape[2] else matrices.swapaxes(1, 2)
    by_column = tall.strides[1] < tall.strides[2]
    fit = tall.dtype == drawn and tall.strides[1 if by_column else 2] == tall.itemsize
    frames = tall if fit else _empty(tall.shape, drawn, by_column)
    draw_frames(frames, streams, fill)
    if gain != 1:
        frames *= drawn.type(gain)
    if frames is not tall:
        tall[...] = frames


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any], by_column: bool) -> np.ndarray[Any, Any]:
    """A stack of matrices in memory of its own, row by row or column by column."""
    copies, rows, columns = shape
    return np.empty((copies, columns, rows), dtype).swapaxes(1, 2) if by_column else np.empty(shape, dtype)


def at_the_centre(request: Request, axes: Axes, gain: float) -> np.ndarray[Any, Any]:
    """What `orthogonal` makes of the axes that are not receptive, at the centre of those; 0 elsewhere."""
    whole = np.zeros(request.shape, request.dtype.numpy)
    if whole.size:
        kept = [axis for axis in range(whole.ndim) if axis not in axes.receptive]
        places = {axis: at for at, axis in enumerate(kept)}
        inputs, outputs, batch = (tuple(map(places.__getitem__, group)) for group in axes[:3])
        roles = axes._replace(inputs=inputs, outputs=outputs, batch=batch, receptive=())
        inner = request._replace(shape=tuple(request.shape[axis] for axis in kept))
        centre = tuple(
            slice(None) if axis in places else (size - 1) // 2 for axis, size in enumerate(request.shape)
        )
        whole[centre] = orthogonal(inner, roles, gain)
    return whole


def mirrored(half: Request, axes: Axes, gain: float) -> np.ndarray[Any, Any]:
    """What `orthogonal` makes of a request in four quarters along one axis of outputs and one of inputs.

    It is negated where only one of the two is in its second half.
    """
    quarter = orthogonal(half, axes, gain)
    rows = np.concatenate([quarter, -quarter], axis=axes.inputs[0])
    return np.concatenate([rows, -rows], axis=axes.outputs[0])


_COIN = Uniform(-1.0, 1.0)


def isometry(request: Request, axes: Axes, gain: float) -> np.ndarray[Any, Any]:
    """`gain` times a kernel whose circular convolution keeps lengths, or a stack of such kernels.

    There are no more inputs than outputs. Each kernel of a stack has the child stream of its index.
    """
    inputs, outputs, _, kernel = _sizes(request, axes)

    def made(stream: Stream) -> np.ndarray[Any, Any]:
        return _kernel(kernel, math.prod(inputs), math.prod(outputs), stream, request.fill) * gain

    return _stacked(request, axes.batch, (*axes.receptive, *axes.inputs, *axes.outputs), made)


def _sizes(request: Request, axes: Axes) -> Iterator[tuple[int, ...]]:
    """The sizes along the axes of each kind."""
    return (tuple(request.shape[axis] for axis in group) for group in axes)


def _stacked(
    request: Request,
    batch: tuple[int, ...],
    order: tuple[int, ...],
    make: Callable[[Stream], np.ndarray[Any, Any]],
) -> np.ndarray[Any, Any]:
    """What `make` makes in float64 of a stream, its axes in an order, for each index of the batch axes."""
    whole = np.empty(request.shape, request.dtype.numpy)
    ordered = whole.transpose(*batch, *order)
    if whole.size:
        for at, index in enumerate(np.ndindex(ordered.shape[: len(batch)])):
            stream = request.stream.child(str(at)) if batch else request.stream
            with _BLAS, np.errstate(under="ignore"):
                made = make(stream)
            ordered[index] = round_all(made.reshape(ordered.shape[len(batch) :]), request.dtype)
    return whole


def _kernel(
    sizes: tuple[int, ...], rows: int, columns: int, stream: Stream, fill: FillFunction
) -> np.ndarray[Any, Any]:
    """A kernel of the receptive field `sizes`, then (rows, columns).

    It begins as orthonormal rows at position 0. A factor [P, I - P] leaves the part in the subspace of P
    where it is, and moves the rest by one position: no length changes, for the two are orthogonal.
    """
    made = np.zeros((*sizes, rows, columns))
    made[(0,) * len(sizes)] = _frame(columns, rows, stream.child("0"), fill).T
    factors = (
        axis for step in range(1, max(sizes, default=1)) for axis, size in enumerate(sizes) if step < size
    )
    for number, axis in enumerate(factors, 1):
        kept = made @ _projection(columns, stream.child(str(number)), fill)
        moved = made - kept
        made = kept
        # Nothing has reached the last position yet.
        before, after = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        made[after] += moved[before]
    return made


def _projection(size: int, stream: Stream, fill: FillFunction) -> np.ndarray[Any, Any]:
    """The orthogonal projection onto a random subspace, of a dimension that a coin decides `size` times."""
    coins = np.empty(size)
    fill(coins, _COIN, stream.child("rank"), 0)
    frame = _frame(size, int(np.count_nonzero(coins > 0)), stream, fill)
    projection: np.ndarray[Any, Any] = frame @ frame.T
    return projection


def _frame(rows: int, columns: int, stream: Stream, fill: FillFunction) -> np.ndarray[Any, Any]:
    """One matrix with orthonormal columns, in float64."""
    frames = np.empty((1, rows, columns))
    draw_frames(frames, [stream], fill)
    found: np.ndarray[Any, Any] = frames[0]
    return found


def aware(request: Request, axes: Axes, eps_std: float, std: float) -> np.ndarray[Any, Any]:
    """Kernels of filters out of orthogonal spectra, with noise, scaled to a standard deviation.

    Each kernel of a stack has the child stream of its index. There the noise is that of the child ``noise``,
    and the rows of output `o` are those of its matrices, children numbered output after output.
    """
    inputs, outputs, _, kernel = _sizes(request, axes)

    def made(stream: Stream) -> np.ndarray[Any, Any]:
        filters = _filters((math.prod(outputs), math.prod(inputs), *kernel), eps_std, stream, request.fill)
        filters *= std / filters.std()
        return filters

    return _stacked(request, axes.batch, (*axes.outputs, *axes.inputs, *axes.receptive), made)


def _filters(
    shape: tuple[int, ...], eps_std: float, stream: Stream, fill: FillFunction
) -> np.ndarray[Any, Any]:
    """Filters (outputs, inputs, *kernel) before they are scaled, in float64."""
    outputs, inputs, *kernel = shape
    spectrum = (*kernel[:-1], kernel[-1] // 2 + 1)
    size = math.prod(spectrum)
    law = Normal(0.0, eps_std)
    if size == 1:
        rows = np.empty((outputs, inputs, 1))
        fill(rows.reshape(-1), law, stream.child("0"), 0)
    else:
        each = -(-inputs // size)
        frames = np.empty((outputs * each, size, size))
        streams = [stream.child(str(index)) for index in range(len(frames))]
        step = max(1, _GROUP // (size * size))
        for at in range(0, len(frames), step):
            draw_frames(frames[at : at + step], streams[at : at + step], fill)
        rows = frames.reshape(outputs, each * size, size)[:, :inputs]
    made = np.empty(shape)
    fill(made.reshape(-1), law, stream.child("noise"), 0)
    made += np.fft.irfftn(rows.reshape(outputs, inputs, *spectrum), kernel, tuple(range(2, made.ndim)))
    return made


def mimetic(request: Request, axes: Axes, parts: Sequence[Factor]) -> np.ndarray[Any, Any]:
    """Factors of matrices near the identity, side by side along the outputs."""
    rows, columns, *_ = map(math.prod, _sizes(request, axes))

    def made(stream: Stream) -> np.ndarray[Any, Any]:
        factors = [_factor(part, rows, columns // len(parts), stream, request.fill) for part in parts]
        return np.concatenate(factors, axis=1)

    return _stacked(request, (), (*axes.inputs, *axes.outputs), made)


def _factor(
    part: Factor, rows: int, columns: int, stream: Stream, fill: FillFunction
) -> np.ndarray[Any, Any]:
    """One of the weights (inputs, outputs) that belong together, in float64."""
    side, product, heads, alpha, beta = part
    is_output = side == "output"
    width, rank = (columns, rows) if is_output else (rows, columns // heads)
    made = []
    for head in range(heads):
        matrix = np.empty((width, width))
        fill(matrix.reshape(-1), _STANDARD_NORMAL, stream.child(product).child(str(head)), 0)
        matrix *= alpha / math.sqrt(width)
        matrix[np.diag_indices(width)] += beta
        left, values, right = np.linalg.svd(matrix)
        largest = left[np.absolute(left).argmax(axis=0), np.arange(width)]
        vectors = left if side in {"query", "value"} else right.T
        # A pair of singular vectors is one up to its sign, and another library may choose the other.
        made.append((vectors * np.where(largest < 0, -1, 1) * np.sqrt(values))[:, :rank])
    return made[0].T if is_output else np.concatenate(made, axis=1)
