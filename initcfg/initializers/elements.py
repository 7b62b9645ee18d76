"""Formulas as arrays: which elements are evaluated at a time, and how their values are held."""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg import engines
from initcfg.distributions import Fill, Normal, Summary, TruncatedNormal, point, support
from initcfg.dtypes import DTYPES
from initcfg.engines.casting import round_all
from initcfg.errors import Code, InitializerError
from initcfg.expressions.arrays import ArrayEvaluator, Grid
from initcfg.expressions.folding import axis_of, is_comparison, is_whole
from initcfg.expressions.grammar import Call, Number, Operation, nodes_of, references
from initcfg.initializers.arrays import stretches
from initcfg.initializers.base import check, draw, is_cut, nested_in, resolve, stream_of
from initcfg.initializers.custom import Initializer, Request
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.dtypes import DType
    from initcfg.expressions.grammar import Ast
    from initcfg.layout import Layout

    Array = np.ndarray[Any, Any]

# Tiles of so many elements cost the least: fewer are mostly Python, and more leave a core's cache.
_TILE = 1 << 18
# What depends on the last axis only is evaluated once for so many rows, where there are so many.
_ROWS = 16
# So many draws are held at a time.
_DRAWS = 1 << 17
# So many elements are looked at where a formula is planned.
_SAMPLE = 1 << 12
# And at so many where its moments are shown.
_SHOWN = 1 << 20
# Multiples of it, their whole part dropped, are spread evenly without a period.
_GOLDEN = 0.6180339887498949
_FLOAT64 = DTYPES["float64"]


def draw_formula(out: Array, start: int, request: Request, tree: Ast, of: Initializer | None) -> None:
    """Write the elements from `start` on of a formula, settled for the whole shape, into a flat `out`."""
    evaluator = ArrayEvaluator(engines.functions(request.fill))
    shape = request.shape or (1,)
    fits = max(map(abs, evaluator.ends(tree, shape))) <= request.dtype.bounds[1]
    is_direct = fits and request.dtype.name in {"float32", "float64"}
    step = out.size if of is None else _DRAWS
    for begin in range(start, start + out.size, step or 1):
        stretch = out[begin - start : begin - start + step]
        x = None if of is None else _drawn(of, begin, stretch.size, request)
        for at, box in _boxes(begin, begin + stretch.size, shape):
            lengths = tuple(map(len, box))
            part = slice(at - begin, at - begin + math.prod(lengths))
            target, draws = stretch[part].reshape(lengths), None if x is None else x[part].reshape(lengths)
            axes = [np.arange(each.start, each.stop) for each in box]
            for column, axis in _columns(lengths):
                kept: dict[int, Array] = {}
                for tile in column:
                    positions = [each[cut] for each, cut in zip(axes, tile, strict=True)]
                    grid = Grid.of(shape, positions, None if draws is None else draws[tile], axis, kept)
                    if is_direct:
                        evaluator.write(tree, grid, target[tile])
                    else:
                        target[tile] = _held(evaluator.value(tree, grid), request.dtype, grid)


def check_formula(
    tree: Ast, of: Initializer | None, shape: tuple[int, ...], dtype: DType, layout: Layout | None
) -> None:
    """Refuse what `draw_formula` would, at all elements of a small array, or at some of a large one.

    Of a large array these are the ends of each axis and places between them; draws are of a stream of nobody.
    """
    _refuse_kind(tree, dtype)
    if of is not None:
        if any(getattr(part, "_source", part) is None for part in nested_in(of)):
            return  # checked again when the parameter that it follows is known
        if not is_cut(of):
            message = f"{type(of).__name__} makes its array as a whole, and x is drawn in parts"
            hint = "give 'of' an initializer of independent elements, such as random_normal"
            raise InitializerError.of(Code.INITIALIZER_CONFIG, message, hint=hint)
        check(of, shape, _FLOAT64, layout)
    numel = math.prod(shape)
    request = Request(shape, dtype, layout, Stream(bytes(16)), engines.get_engine())
    if numel <= _SAMPLE or (of is not None and resolve(of, shape, layout) is None):
        size = min(numel, _SAMPLE)
        for start in {0, numel - size}:
            draw_formula(np.empty(size, dtype.numpy), start, request, tree, of)
        return
    positions = _sampled(shape)
    x = None if of is None else _drawn(of, 0, math.prod(map(len, positions)), request)
    grid = Grid.of(shape, positions, x)
    _held(ArrayEvaluator(engines.functions(request.fill)).value(tree, grid), dtype, grid)


def points_of(
    tree: Ast,
    of: Initializer | None,
    shape: tuple[int, ...],
    layout: Layout | None,
    *,
    room: int = _SHOWN,
    nodes: tuple[Array, Array] | None = None,
    with_ends: bool = False,
) -> tuple[Array, Array]:
    """About `room` values of a formula's elements, and their weights: those of a table, or by quadrature.

    `nodes` are values of ``x`` and their weights, by default those of a quadrature over the law of `of`. They
    run along the last axis of the values, and have weights for all elements together. Along an axis whose
    index the formula does not use one position stands for all. `with_ends` has both ends of the other axes
    among the positions, as extremes want; in moments they would count for more than their share.
    """
    if nodes is None:
        nodes = (np.zeros(1), np.ones(1)) if of is None else _nodes(of, shape, layout)
    draws, weights = nodes
    used = used_shape(tree, shape or (1,))
    positions = _sampled(used, max(1, room // len(draws)), with_ends=with_ends)
    lengths = tuple(map(len, positions))
    axes = tuple(
        each[..., np.newaxis] for each in np.ix_(*(np.asarray(each, np.int64) for each in positions))
    )
    extent = (*lengths, len(draws))
    grid = Grid(shape or (1,), axes, extent, np.broadcast_to(draws, extent))
    evaluator = ArrayEvaluator(engines.functions(engines.get_engine()))
    found = np.broadcast_to(evaluator.value(tree, grid).astype(np.float64), extent)
    return found, weights / (weights.sum() * math.prod(lengths))


def spread_of(tree: Ast, of: Initializer | None, shape: tuple[int, ...], layout: Layout | None) -> Summary:
    """The moments of a formula's elements."""
    found, share = points_of(tree, of, shape, layout)
    mean = float((found * share).sum())
    std = math.sqrt(float(((found - mean) ** 2 * share).sum()))
    is_exact = math.prod(found.shape[:-1]) >= math.prod(used_shape(tree, shape))
    law = Fill(0) if of is None else resolve(of, shape, layout)
    low, high = (-math.inf, math.inf) if isinstance(law, Normal) else map(float, (found.min(), found.max()))
    return Summary(mean, std, low, high, is_exact=is_exact and law is not None)


# Of float32: four units in the last place, and what sin and cos lose of an argument that was rounded.
_ULPS = 4 * 2.0**-23
_ARGUMENT = 2.0**-22


def float32_error(
    tree: Ast, of: Initializer | None, shape: tuple[int, ...], layout: Layout | None
) -> tuple[float, float]:
    """How far the same formula in float32 arithmetic may be off: a share of each value, and a number.

    A rounded argument moves the value of sin and cos by as much as itself was moved, that of exp and of a
    power by as large a share. A sum may cancel, and is off by digits of its largest value.
    """

    def largest(part: Ast) -> float:
        return float(np.abs(points_of(part, of, shape, layout, with_ends=True)[0]).max(initial=0.0))

    share, number = _ULPS, 0.0
    for part in nodes_of(tree):
        match part:
            case Call("sin" | "cos" | "tan", (argument,)):
                number = max(number, _ARGUMENT * largest(argument))
            case Call("exp" | "expm1", (argument,)):
                share = max(share, _ARGUMENT * largest(argument))
            case Operation("**", (base, exponent)):
                power = largest(exponent) * abs(math.log(max(largest(base), 1e-300)))
                share = max(share, _ARGUMENT * power)
            case Operation("+" | "-", (_, _)):
                number = max(number, _ARGUMENT / 2)
    return share, number * (max(1.0, largest(tree)) if number > _ARGUMENT / 2 else largest(tree))


def used_shape(tree: Ast, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape, with 1 for each axis whose index a settled formula does not use."""
    used: set[int] = set()
    for each in references(tree):
        if isinstance(each, Call) and each.name == "index":
            axes = [axis_of(argument) % len(shape) for argument in each.operands]
            used.update(axes or range(len(shape)))
    return tuple(length if axis in used else 1 for axis, length in enumerate(shape))


def _nodes(of: Initializer, shape: tuple[int, ...], layout: Layout | None) -> tuple[Array, Array]:
    """Values of a draw and their weights: Gauss's between the ends of its law, else a sample."""
    law = resolve(of, shape, layout)
    if law is None:
        sample = sample_of(of, shape, layout, _SAMPLE)
        return sample, np.ones(sample.size)
    value = point(law)
    if value is not None:
        return np.array([float(value)]), np.ones(1)
    places, weights = gauss_nodes()
    low, high = support(law)
    if isinstance(law, Normal | TruncatedNormal):
        low, high = max(low, law.mean - 9 * law.std), min(high, law.mean + 9 * law.std)
        nodes = low + (high - low) * (places + 1) / 2
        return nodes, weights * np.exp(-(((nodes - law.mean) / law.std) ** 2) / 2)
    return low + (high - low) * (places + 1) / 2, weights


@cache
def gauss_nodes() -> tuple[Array, Array]:
    """Places in [-1, 1] and weights of Gauss's quadrature, by Newton's method.

    numpy's takes the eigenvalues of a matrix: a second where all processors are busy.
    """
    count = 256
    places = np.cos(np.pi * (np.arange(count) + 0.75) / (count + 0.5))
    slope = np.ones(count)
    for _ in range(4):
        before, value = np.ones(count), places
        for degree in range(2, count + 1):
            following = ((2 * degree - 1) * places * value - (degree - 1) * before) / degree
            before, value = value, following
        slope = count * (places * value - before) / (places * places - 1)
        places = places - value / slope
    return places, 2 / ((1 - places * places) * slope * slope)


def sample_of(of: Initializer, shape: tuple[int, ...], layout: Layout | None, room: int) -> Array:
    """Draws of a stream that is nobody's, in float64: at most `room`, from places all over the array."""
    request = Request(shape, _FLOAT64, layout, Stream(bytes(16)), engines.get_engine())
    numel = math.prod(shape)
    size = min(numel, room // 16)
    starts = {at * (numel - size) // 15 for at in range(16)}
    return np.concatenate([_drawn(of, start, size, request) for start in sorted(starts)])


def _drawn(of: Initializer, start: int, size: int, request: Request) -> Array:
    """Elements of the draw, in float64."""
    x = np.empty(size, np.float64)
    stream = stream_of(of, request.shape, request.stream.child("0"))
    draw(of, x, start, request._replace(dtype=_FLOAT64, stream=stream))
    return x


def _boxes(start: int, stop: int, shape: tuple[int, ...]) -> Iterator[tuple[int, tuple[range, ...]]]:
    """The boxes that a stretch consists of, one after another: the first element, and a range an axis."""
    row = math.prod(shape[1:])
    for begin, end in stretches(start, stop, row):
        first, rows = begin // row, (end - begin) // row
        if rows:
            yield begin, (range(first, first + rows), *map(range, shape[1:]))
            continue
        for at, inner in _boxes(begin - first * row, end - first * row, shape[1:]):
            yield at + first * row, (range(first, first + 1), *inner)


def _columns(lengths: tuple[int, ...]) -> Iterator[tuple[list[tuple[slice, ...]], int]]:
    """A box cut into tiles of at most `_TILE` elements, as wide as leaves room for `_ROWS` rows.

    Tiles that differ along one axis only come together, with that axis: they share what does not vary there.
    """
    left, steps = _TILE // min(_ROWS, math.prod(lengths[:-1])), [1] * len(lengths)
    for axis in reversed(range(len(lengths))):
        steps[axis] = step = max(1, min(lengths[axis], left))
        left = (_TILE if axis == len(lengths) - 1 else left) // step
    cuts = [
        [slice(at, min(at + step, length)) for at in range(0, length, step)]
        for length, step in zip(lengths, steps, strict=True)
    ]
    axis = next((axis for axis, step in enumerate(steps) if step > 1), 0)
    for first in itertools.product(*cuts[:axis], [slice(0)], *cuts[axis + 1 :]):
        yield [(*first[:axis], cut, *first[axis + 1 :]) for cut in cuts[axis]], axis


def _sampled(shape: tuple[int, ...], room: int = _SAMPLE, *, with_ends: bool = True) -> list[list[int]]:
    """Positions along each axis, without a period; the ends first, unless they are to be left out."""
    found: dict[int, list[int]] = {}
    # Short axes first: what they leave is for the long ones.
    for left, axis in zip(
        range(len(shape), 0, -1), sorted(range(len(shape)), key=shape.__getitem__), strict=True
    ):
        length = shape[axis]
        count = min(length, int(room ** (1 / left)))
        ends = (length - 1, 0, min(1, length - 1), max(0, length - 2)) if with_ends else ()
        spread = (int(length * (at * _GOLDEN % 1)) for at in range(count))
        ordered = dict.fromkeys((*ends, *spread))
        found[axis] = sorted(itertools.islice(ordered, count)) if count < length else list(range(length))
        room //= len(found[axis])
    return [found[axis] for axis in range(len(shape))]


def _refuse_kind(tree: Ast, dtype: DType) -> None:
    if dtype.kind == "bool" and not is_comparison(tree):
        message, hint = "a bool array takes comparisons", "compare, as index(0) == index(1)"
    elif dtype.kind in {"int", "uint"} and not is_whole(tree):
        message = f"an array of {dtype} takes integers"
        hint = "// divides without a remainder; floor, ceil and round give integers"
        large = (each for each in nodes_of(tree) if isinstance(each, Number) and not is_whole(each))
        if found := next((each.value for each in large if isinstance(each.value, int)), None):
            message = f"{found} is no 64-bit integer with a sign, as formulas over elements take them"
            hint = "patch and concatenate lay a constant, which may be that large, over some elements"
    else:
        return
    raise InitializerError.of(Code.DTYPE_VALUE, message, hint=hint)


def _held(values: Array, dtype: DType, grid: Grid) -> Array:
    """Values in a dtype, rounded once."""
    if dtype.format is not None:
        held = round_all(values.astype(np.float64, copy=False), dtype)
        fits = np.isfinite(held)
    else:
        low, high = dtype.bounds
        fits = (values >= low) & (values <= min(high, 2**63 - 1))
        held = values.astype(dtype.numpy)
    if not fits.all():
        at = tuple(map(int, np.unravel_index(np.argmin(fits), fits.shape)))
        message = f"{values[at].item()!r}, at element {grid.element(at)}, cannot be held in {dtype}"
        hint = "give a dtype that holds every value, or smaller numbers"
        raise InitializerError.of(Code.DTYPE_VALUE, message, hint=hint)
    return held
