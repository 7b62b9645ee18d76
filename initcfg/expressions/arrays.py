"""Formulas over the elements of an array: numpy arrays by IEEE operations, over the axes that matter only."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initcfg.errors import Code
from initcfg.expressions import FUNCTIONS, OPERATORS, Evaluator, computed, step_text
from initcfg.expressions.folding import (
    ANYWHERE,
    EXACT,
    FARTHEST,
    WHOLE,
    axis_of,
    ends_of,
    is_comparison,
    is_int64,
    is_moderate,
    is_whole,
    varies,
)
from initcfg.expressions.grammar import (
    COMPARISONS,
    Ast,
    Call,
    Choice,
    ExpressionError,
    Name,
    Number,
    Operation,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from initcfg.expressions import Real
    from initcfg.expressions.folding import Ends

Array = np.ndarray[Any, np.dtype[Any]]

# Arrays of fewer elements are quicker looked through than reasoned about.
_LARGE = 1 << 12
_LEAST = -(2**63)
_TURNS = ("sin", "cos", "tan")
_PLAIN: dict[str, Callable[..., Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.true_divide,
    "//": np.floor_divide,
    "%": np.remainder,
    "**": np.power,
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "sqrt": np.sqrt,
    "abs": np.absolute,
    "sign": np.sign,
    "min": np.minimum,
    "max": np.maximum,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
}


class Grid(NamedTuple):
    """Elements of an array on which a formula is evaluated; all its arrays broadcast against each other."""

    shape: tuple[int, ...]  # of the whole array, which has an axis
    positions: tuple[NDArray[np.int64], ...]  # of the elements along each axis of it
    extent: tuple[int, ...]  # the shape of the result
    x: NDArray[np.float64] | None = None  # the draw at each of them, of shape `extent`
    axis: int = 0  # along which alone this grid differs from others that share `kept`
    # The values of parts, by the identity of their trees, that do not vary along `axis`; None to share
    # nothing.
    kept: dict[int, Array] | None = None

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...],
        positions: Sequence[Any],
        x: NDArray[np.float64] | None = None,
        axis: int = 0,
        kept: dict[int, Array] | None = None,
    ) -> Grid:
        """Every combination of the positions that are given for each axis."""
        axes = [np.asarray(each, np.int64) for each in positions]
        extent = tuple(map(len, axes))
        ones = (1,) * (len(axes) - 1)
        opened = (each.reshape(*ones[:n], -1, *ones[n:]) for n, each in enumerate(axes))  # np.ix_ is slow
        return cls(shape, tuple(opened), extent, x if x is None else x.reshape(extent), axis, kept)

    def keep(self, tree: Ast, value: Any) -> None:
        """Share a value with the other grids if it is surely theirs too."""
        if self.kept is None or not isinstance(value, np.ndarray) or not value.ndim:
            return
        if value.shape[self.axis] < self.extent[self.axis]:
            self.kept[id(tree)] = value

    def flat(self) -> NDArray[np.int64]:
        """The positions among all elements, in C order."""
        found = np.zeros((1,) * len(self.extent), np.int64)
        for axis, position in enumerate(self.positions):
            found = found + position * math.prod(self.shape[axis + 1 :])
        return found

    def where(self, mask: NDArray[np.bool_]) -> tuple[Grid, Any]:
        """The elements at which a mask is true, and the index of these in an array of shape `extent`.

        Where the mask differs along one axis only, the others are kept apart from it.
        """
        axes = [axis for axis, length in enumerate(mask.shape) if length > 1]
        kept = None
        if len(axes) == 1:
            (axis,) = axes
            taken = np.flatnonzero(mask)
            index: Any = (*(slice(None),) * axis, _evenly(taken))
            cut = partial(_cut, index=index, axis=axis, length=mask.shape[axis])
            extent = (*self.extent[:axis], len(taken), *self.extent[axis + 1 :])
            if mask.shape[self.axis] < self.extent[self.axis]:  # the same mask in all grids that share
                kept = self.kept
        else:
            index = np.broadcast_to(mask, self.extent)
            cut = partial(_masked, mask=index)
            extent = (int(np.count_nonzero(index)),)
        x = None if self.x is None else cut(self.x)
        return Grid(self.shape, tuple(map(cut, self.positions)), extent, x, self.axis, kept), index

    def element(self, at: tuple[int, ...]) -> tuple[int, ...]:
        """The index, in the whole array, of an element of the grid."""
        return tuple(
            int(each[tuple(min(i, n - 1) for i, n in zip(at, each.shape, strict=True))])
            for each in self.positions
        )


def _evenly(taken: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Positions as a slice if they are evenly spaced, which is much faster to read and to write."""
    steps = np.diff(taken)
    step = int(steps[0]) if steps.size else 1
    return slice(int(taken[0]), int(taken[-1]) + 1, step) if (steps == step).all() else taken


def _cut(leaf: Array, index: Any, axis: int, length: int) -> Array:
    found: Array = leaf[index] if leaf.shape[axis] == length else leaf
    return found


def _masked(leaf: Array, mask: Array) -> Array:
    found: Array = np.broadcast_to(leaf, mask.shape)[mask]
    return found


class ArrayEvaluator:
    """Evaluates settled trees over grids of arrays of one shape, by the `functions` of an engine."""

    def __init__(self, functions: Mapping[str, Callable[..., NDArray[np.float64]]]) -> None:
        self.functions = functions
        self._memory = Memory()
        self._ends: dict[int, tuple[Ends, Ast]] = {}

    def value(self, tree: Ast, grid: Grid) -> Array:
        """The value at each element of a grid that has some, of a shape that broadcasts to the grid's.

        It is bool where `is_comparison`, int64 where `is_whole`, else float64; there is no negative zero.
        """
        with np.errstate(all="ignore"):
            value = self._value(tree, grid)
            found = _of_kind(value, tree)
            if not found.ndim:
                found = found.reshape((1,) * len(grid.extent))
            found = found + 0.0 if found.dtype.kind == "f" else found
            self._memory.give(value)
            return found

    def write(self, tree: Ast, grid: Grid, target: Array) -> None:
        """Write `value` into an array of float32 or float64, which holds all that `ends` says."""
        with np.errstate(all="ignore"):
            self._write(tree, grid, target, tree)

    def _write(self, tree: Ast, grid: Grid, target: Array, whole: Ast) -> None:
        if isinstance(tree, Choice):
            parts = self._branches(tree, grid)
            if all(isinstance(index, tuple) for _, _, index in parts):
                for branch, inner, index in parts:
                    self._write(branch, inner, target[index], whole)
                return
        found = self._value(tree, grid)
        np.copyto(target, _as_float(_of_kind(found, whole)), casting="unsafe")
        np.add(target, 0, out=target)  # no negative zero
        self._memory.give(found)

    def ends(self, tree: Ast, shape: tuple[int, ...]) -> Ends:
        """Numbers between which all values of a tree lie; infinite where that is not known."""
        known = self._ends.get(id(tree))
        if known is None:  # with the tree, lest another one takes its identity
            found = ends_of(tree, lambda each: self.ends(each, shape), shape)
            known = self._ends[id(tree)] = found, tree
        return known[0]

    def _value(self, tree: Ast, grid: Grid) -> Any:
        """An array, or a plain number where no element matters."""
        if grid.kept and id(tree) in grid.kept:
            return grid.kept[id(tree)]
        found = self._found(tree, grid)
        grid.keep(tree, found)
        return found

    def _found(self, tree: Ast, grid: Grid) -> Any:
        match tree:
            case Name("x"):
                return grid.x
            case Choice():
                return self._choice(tree, grid)
            case Call("index", arguments):
                return grid.flat() if not arguments else grid.positions[axis_of(arguments[0])]
            case Operation(name, (operand,), offset):
                operands: tuple[Ast, ...] = (Number(0, offset), operand)
            case Operation(name, operands, offset) | Call(name, operands, offset):
                pass
            case _:
                return tree.value if isinstance(tree, Number) else Evaluator({}).number(tree)
        if varies(tree) or name in COMPARISONS:
            values = tuple(_as_number(self._value(each, grid)) for each in operands)
            return self._stepped(tree, Step(name, offset, values, grid))
        return Evaluator({}).number(tree)

    def _stepped(self, tree: Ast, step: Step) -> Array:
        shapes = [each.shape for each in step.values if np.ndim(each)]
        shape = tuple(map(max, zip(*shapes, strict=True)))
        # What is as large as the grid is evaluated once a tile; the rest is shared, and small.
        is_large = shape == step.grid.extent and math.prod(shape) >= _LARGE
        ends = self.ends(tree, step.grid.shape) if is_large else ANYWHERE
        if step.name in COMPARISONS:
            found = np.asarray(_PLAIN[step.name](*step.values))
        elif step.name in WHOLE:
            found = step.to_integers()
        elif step.name in EXACT and all(map(_is_integer, step.values)):
            found = step.of_integers(is_safe=all(map(is_int64, ends)))
        else:
            return self._of_floats(step, shape, is_large=is_large, is_safe=is_moderate(ends))
        for each in step.values:
            self._memory.give(each)
        return found

    def _of_floats(self, step: Step, shape: tuple[int, ...], *, is_large: bool, is_safe: bool) -> Array:
        """The step over floats: if it is large, in memory that is used again."""
        lent = [each for each in step.values if self._memory.lends(each) and each.shape == shape]
        # An error shows the operands, which are overwritten where there can be none.
        out = None if not is_large else lent[0] if lent and is_safe else self._memory.take(shape)
        operands = [_as_float(each) for each in step.values]
        name = "pow" if step.name == "**" else step.name
        if name in self.functions:
            operands = [np.ascontiguousarray(np.broadcast_to(each, shape)) for each in operands]
        found: Array = (self.functions.get(name) or _PLAIN[name])(*operands, out=out)
        if not is_safe:
            finite = np.isfinite(found)
            if not finite.all():
                if name in _TURNS:
                    step.refuse(np.absolute(operands[0]) > FARTHEST, "is of an angle beyond 2**30")
                step.refuse(~finite)
        for each in step.values:
            if each is not out:
                self._memory.give(each)
        return found

    def _choice(self, tree: Choice, grid: Grid) -> Array:
        """Each branch at the elements that take it."""
        parts = [(index, self._value(branch, inner)) for branch, inner, index in self._branches(tree, grid)]
        if len(parts) == 1:
            return _of_kind(parts[0][1], tree)
        index, shape = parts[0][0], grid.extent
        if isinstance(index, tuple):  # along one axis; along the others as far as the branches need
            ones = (1,) * len(shape)
            shape = tuple(map(max, *(np.shape(value) or ones for _, value in parts)))
            shape = (*shape[: len(index) - 1], grid.extent[len(index) - 1], *shape[len(index) :])
        found = np.empty(shape, bool if is_comparison(tree) else np.int64 if is_whole(tree) else np.float64)
        for index, value in parts:
            found[index] = value
            self._memory.give(value)
        return found

    def _branches(self, tree: Choice, grid: Grid) -> list[tuple[Ast, Grid, Any]]:
        """The branches that are taken, the elements that take each, and where these are in the grid."""
        mask = np.not_equal(self._value(tree.condition, grid), 0)
        if mask.all() or not mask.any():
            return [(tree.then if mask.all() else tree.otherwise, grid, (...,))]
        return [
            (branch, *grid.where(taken)) for branch, taken in ((tree.then, mask), (tree.otherwise, ~mask))
        ]


class Memory:
    """Arrays of float64 to be used again: of fresh memory the first touch costs more than a step does."""

    def __init__(self) -> None:
        self._free: list[Array] = []
        self._lent: dict[int, tuple[Array, Array]] = {}

    def take(self, shape: tuple[int, ...]) -> Array:
        """An array, to be given back by who needs it last."""
        size = math.prod(shape)
        at = next((at for at, each in enumerate(self._free) if each.size >= size), None)
        whole = np.empty(size) if at is None else self._free.pop(at)
        taken = whole[:size].reshape(shape)
        self._lent[id(taken)] = taken, whole
        return taken

    def lends(self, value: object) -> bool:
        """Whether it is such an array."""
        return id(value) in self._lent

    def give(self, value: object) -> None:
        """Take one back; nothing, if it is none."""
        if id(value) in self._lent:
            self._free.append(self._lent.pop(id(value))[1])


class Step(NamedTuple):
    """One operation over the elements of a grid."""

    name: str  # of the function, or the sign
    offset: int  # where that stands
    values: tuple[Any, ...]  # its operands: arrays of int64 or float64, and plain numbers
    grid: Grid

    @property
    def scalar(self) -> Callable[..., Real]:
        """The operation of single numbers."""
        return OPERATORS.get(self.name) or FUNCTIONS[self.name][0]

    def of_integers(self, *, is_safe: bool = False) -> Array:
        """The exact integers, in 64 bits."""
        if is_safe or self._fits():
            return np.asarray(_PLAIN[self.name](*self.values))
        # Rare, and slow: one by one, as Python's integers of any size.
        operands = [np.asarray(each, object) for each in self.values]
        exact = np.asarray(np.frompyfunc(partial(_exactly, self.scalar), len(operands), 1)(*operands))
        self.refuse(~np.asarray(np.frompyfunc(is_int64, 1, 1)(exact), bool), "is no 64-bit integer")
        return exact.astype(np.int64)

    def to_integers(self) -> Array:
        """What is rounded to integers, as such."""
        (value,) = self.values
        if _is_integer(value):
            return np.asarray(value)
        found = np.asarray(_PLAIN[self.name](value))
        self.refuse((found < _LEAST) | (found >= -_LEAST), "is no 64-bit integer")
        return found.astype(np.int64)

    def _fits(self) -> bool:
        """Whether no result can leave 64 bits, whichever operands meet."""
        ends = [_ends(each) for each in self.values]
        (low, high), *others = ends
        match self.name, others:
            case "+" | "-" | "*", [other]:
                return all(is_int64(self.scalar(one, two)) for one in (low, high) for two in other)
            case "//" | "%", [(least, greatest)]:
                return low > _LEAST and (least > 0 or greatest < 0)
            case "**", [(least, greatest)]:
                return least >= 0 and max(-low, high).bit_length() * greatest < 63
        return low > _LEAST

    def refuse(self, bad: Array, why: str = "has no finite value") -> None:
        """Raises the error of the first element that is bad, if one is."""
        if not bad.any():
            return
        at = tuple(map(int, np.unravel_index(np.argmax(bad), bad.shape)))
        numbers = tuple(np.broadcast_to(np.asarray(each), bad.shape)[at].item() for each in self.values)
        element = self.grid.element(at)
        place = f", at element {element}" if element else ""
        message, hint = f"{step_text(self.name, numbers)} {why}", None
        try:
            computed(self.name, self.offset, self.scalar, *numbers)
        except ExpressionError as error:
            message, hint = error.message, error.hint
        else:
            if self.name in {*EXACT, *WHOLE}:
                hint = "a number with a decimal point, as 2.0, makes it a float64"
        raise ExpressionError(message + place, self.offset, Code.EXPRESSION_VALUE, hint)


def _as_number(value: Any) -> Any:
    """True and false as 1 and 0."""
    return value.astype(np.int64) if isinstance(value, np.ndarray) and value.dtype.kind == "b" else value


def _as_float(value: Any) -> Any:
    return value.astype(np.float64, copy=False) if isinstance(value, np.ndarray) else float(value)


def _of_kind(value: Any, tree: Ast) -> Array:
    """A value of the type that its tree says."""
    kind = bool if is_comparison(tree) else np.int64 if is_whole(tree) else np.float64
    return np.asarray(value).astype(kind, copy=False)


def _is_integer(value: Any) -> bool:
    return is_int64(value) or (isinstance(value, np.ndarray) and value.dtype.kind == "i")


def _ends(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value.min()), int(value.max()))


def _exactly(function: Callable[..., Real], *values: int) -> Real | None:
    try:
        return function(*values)
    except (ArithmeticError, ValueError):
        return None
