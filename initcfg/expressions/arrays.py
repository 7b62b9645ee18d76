"""Formulas over the elements of an array: numpy arrays by IEEE operations, over the axes that matter only."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initcfg.errors import Code
from initcfg.expressions.evaluation import FUNCTIONS, OPERATORS, Evaluator, computed, step_text
from initcfg.expressions.folding import varies
from initcfg.expressions.grammar import (
    COMPARISONS,
    Ast,
    Binary,
    Call,
    Choice,
    ExpressionError,
    Name,
    Number,
    Unary,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from initcfg.expressions.evaluation import Real

Array = np.ndarray[Any, np.dtype[Any]]

_LEAST, _GREATEST = -(2**63), 2**63 - 1
#: Farther from 0 the sine of a float64 tells nothing but the float's own error; the functions give NaN.
_FARTHEST = 2.0**30
_TURNS = ("sin", "cos", "tan")
_WHOLE = ("floor", "ceil", "round")
# Of integers these give integers.
_EXACT = ("+", "-", "*", "//", "%", "**", "min", "max", "abs", "sign")
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


def is_comparison(tree: Ast) -> bool:
    """Whether the value is true or false, and no number."""
    if isinstance(tree, Choice):
        return is_comparison(tree.then) and is_comparison(tree.otherwise)
    return isinstance(tree, Binary) and tree.sign in COMPARISONS


def is_whole(tree: Ast) -> bool:
    """Whether the value is a 64-bit integer at every element, which follows from the tree alone."""
    match tree:
        case Number(value):
            return _is_int64(value)
        case Unary(_, operand):
            return is_whole(operand)
        case Binary(sign, left, right):
            return sign in COMPARISONS or (sign in _EXACT and is_whole(left) and is_whole(right))
        case Choice(then, _, otherwise):
            return is_whole(then) and is_whole(otherwise)
        case Call(name, arguments):
            return name in {"index", *_WHOLE} or (name in _EXACT and all(map(is_whole, arguments)))
    return False


class ArrayEvaluator(NamedTuple):
    """Evaluates settled trees (`initcfg.expressions.folding.settled`) over grids."""

    functions: Mapping[str, Callable[..., NDArray[np.float64]]]  # of an engine, over arrays, by name

    def value(self, tree: Ast, grid: Grid) -> Array:
        """The value at each element of a grid that has some, of a shape that broadcasts to the grid's.

        bool where `is_comparison`, int64 where `is_whole`, else float64; no negative zero. An ExpressionError
        where an element has no finite value, or an integer is beyond 64 bits.
        """
        with np.errstate(all="ignore"):
            found = _of_kind(self._value(tree, grid), tree)
            if not found.ndim:
                found = found.reshape((1,) * len(grid.extent))
            return found + 0.0 if found.dtype.kind == "f" else found

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
                return grid.flat() if not arguments else grid.positions[_axis(arguments[0])]
            case Unary(name, operand, offset):
                operands: tuple[Ast, ...] = (Number(0, offset), operand)
            case Binary(name, left, right, offset):
                operands = (left, right)
            case Call(name, operands, offset):
                pass
            case _:
                return tree.value if isinstance(tree, Number) else Evaluator({}).number(tree)
        if varies(tree) or name in COMPARISONS:
            return self._step(name, operands, offset, grid)
        return Evaluator({}).number(tree)

    def _step(self, name: str, operands: tuple[Ast, ...], offset: int, grid: Grid) -> Array:
        step = Step(name, offset, tuple(_as_number(self._value(each, grid)) for each in operands), grid)
        if step.name in COMPARISONS:
            return np.asarray(_PLAIN[step.name](*step.values))
        if step.name in _WHOLE:
            return step.to_integers()
        if step.name in _EXACT and all(map(_is_integer, step.values)):
            return step.of_integers()
        return self._of_floats(step)

    def _of_floats(self, step: Step) -> Array:
        operands = [_as_float(each) for each in step.values]
        if step.name == "**":
            function, operands = self.functions["pow"], list(np.broadcast_arrays(*operands))
        else:
            function = self.functions.get(step.name) or _PLAIN[step.name]
        if step.name in self.functions or step.name == "**":
            operands = [np.ascontiguousarray(each) for each in operands]
        found = function(*operands)
        finite = np.isfinite(found)
        if not finite.all():
            if step.name in _TURNS:
                step.refuse(np.absolute(operands[0]) > _FARTHEST, "is of an angle beyond 2**30")
            step.refuse(~finite)
        return found

    def _choice(self, tree: Choice, grid: Grid) -> Array:
        """Each branch at the elements that take it."""
        mask = np.not_equal(self._value(tree.condition, grid), 0)
        if mask.all() or not mask.any():
            return _of_kind(self._value(tree.then if mask.all() else tree.otherwise, grid), tree)
        parts = []
        for branch, taken in ((tree.then, mask), (tree.otherwise, ~mask)):
            inner, index = grid.where(taken)
            parts.append((index, _of_kind(self._value(branch, inner), tree)))
        index, first = parts[0]
        shape = grid.extent
        if isinstance(index, tuple):  # along one axis; along the others as far as the branches need
            others = [each.shape or (1,) * len(shape) for _, each in parts]
            shape = tuple(map(max, *others, mask.shape))
        found = np.empty(shape, first.dtype)
        for index, value in parts:
            found[index] = value
        return found


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

    def of_integers(self) -> Array:
        """The exact integers, in 64 bits."""
        if self._fits():
            return np.asarray(_PLAIN[self.name](*self.values))
        # Rare, and slow: one by one, as Python's integers of any size.
        operands = [np.asarray(each, object) for each in self.values]
        exact = np.asarray(np.frompyfunc(partial(_exactly, self.scalar), len(operands), 1)(*operands))
        self.refuse(~np.asarray(np.frompyfunc(_is_int64, 1, 1)(exact), bool), "is no 64-bit integer")
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
                return all(_is_int64(self.scalar(one, two)) for one in (low, high) for two in other)
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
            if self.name in {*_EXACT, *_WHOLE}:
                hint = "a number with a decimal point, as 2.0, makes it a float64"
        raise ExpressionError(message + place, self.offset, Code.EXPRESSION_VALUE, hint)


def _axis(tree: Ast) -> int:
    assert isinstance(tree, Number)  # noqa: S101  settled
    return int(tree.value)


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
    return _is_int64(value) or (isinstance(value, np.ndarray) and value.dtype.kind == "i")


def _is_int64(value: Any) -> bool:
    return type(value) is int and _LEAST <= value <= _GREATEST


def _ends(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value.min()), int(value.max()))


def _exactly(function: Callable[..., Real], *values: int) -> Real | None:
    try:
        return function(*values)
    except (ArithmeticError, ValueError):
        return None
