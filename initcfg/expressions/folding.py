"""Expressions of which a part has no value yet: the rest folded to numbers, and the whole written again.

In a formula, over the elements of an array, ``index(k)`` is the place of one along axis k, ``index()`` its
place among all in C order, ``size(k)`` the length of axis k, ``x`` a draw. Few documents need this module.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any, TypeAlias

from initcfg.errors import Code
from initcfg.expressions import ELEMENT_NAMES, FANS, FUNCTIONS, OPERATORS, Evaluator, Expression
from initcfg.expressions.grammar import (
    COMPARISONS,
    Ast,
    Call,
    Choice,
    ExpressionError,
    Name,
    Number,
    Operation,
    references,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from initcfg.expressions import Real, Value

Ends: TypeAlias = "tuple[Real, Real]"

ANYWHERE = -math.inf, math.inf
#: Farther from 0 the sine of a float64 tells nothing but the float's own error; the functions give NaN.
FARTHEST = 2.0**30
#: These give integers.
WHOLE = ("floor", "ceil", "round")
_INTEGERS = frozenset({"index", *WHOLE, *COMPARISONS})
#: Of integers these do too.
EXACT = ("+", "-", "*", "//", "%", "**", "min", "max", "abs", "sign")
# These grow or fall all the way along each of their operands; of the powers those of numbers above 0.
_ROUNDED: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(math, name) for name in ("sqrt", "exp", "log", "log2", "expm1", "log1p", "tanh", "atan")
    },
    "**": lambda base, exponent: float(base) ** exponent,
}
_MONOTONE: dict[str, Callable[..., Any]] = {
    **{name: FUNCTIONS[name][0] for name in ("sign", "min", "max", *WHOLE)},
    **{name: OPERATORS[name] for name in ("+", "-", "*", "/", "//")},
    **_ROUNDED,
}


def check_closed(expression: Expression) -> None:
    """Raises an ExpressionError if a formula uses a name that does not hold for any array."""
    Evaluator(dict.fromkeys(FANS, 1)).refuse_unknown(expression.tree, ELEMENT_NAMES)


def closed(expression: Expression, env: Mapping[str, Value]) -> Expression:
    """A formula without the names of `env`: what depends on no element is its number.

    Its text reads as its tree, whose offsets are those of `expression`. An ExpressionError where a name is
    unknown, a part that counts for every element has no value, or the formula becomes too long.

    Example:
        >>> closed(Expression.parse("0.5 * d * (index(0) + 1) if d > 1 else x"), {"d": 8}).text
        '4.0 * (index(0) + 1)'
    """
    tree = _Folder(env, None).folded(expression.tree)
    text = written(tree)
    try:
        names = Expression.parse(text).names
    except ExpressionError as error:
        message = f"with the numbers of its names filled in, {error.message}"
        raise ExpressionError(message, 0, error.code, "give what depends on no element a var") from None
    return Expression(text, tree, names)


def settled(tree: Ast, env: Mapping[str, Value], shape: tuple[int, ...]) -> Ast:
    """A closed formula for one shape, whose facts are `env`: numbers where no element matters."""
    return _Folder(env, shape).folded(tree)


@lru_cache(maxsize=4096)
def varies(tree: Ast) -> bool:
    """Whether a folded tree depends on the element."""
    return any(each.name in ELEMENT_NAMES for each in references(tree))


def is_int64(value: object) -> bool:
    """Whether it is an integer of 64 bits with a sign."""
    return type(value) is int and -(2**63) <= value < 2**63


def axis_of(tree: Ast) -> int:
    """The number of an axis in a settled tree."""
    assert isinstance(tree, Number)  # noqa: S101
    return int(tree.value)


def is_comparison(tree: Ast) -> bool:
    """Whether the value is true or false, and no number."""
    if isinstance(tree, Choice):
        return is_comparison(tree.then) and is_comparison(tree.otherwise)
    return isinstance(tree, Operation) and tree.name in COMPARISONS


def is_whole(tree: Ast) -> bool:
    """Whether the value is a 64-bit integer at every element, which follows from the tree alone."""
    match tree:
        case Number(value):
            return is_int64(value)
        case Choice(then, _, otherwise):
            return is_whole(then) and is_whole(otherwise)
        case Operation(name, operands) | Call(name, operands):
            return name in _INTEGERS or (name in EXACT and all(map(is_whole, operands)))
    return False


def ends_of(tree: Ast, ends: Callable[[Ast], Ends], shape: tuple[int, ...]) -> Ends:
    """Numbers between which the values of a tree lie, by those of its operands; infinite where unknown."""
    match tree:
        case Number(value):
            return value, value
        case Call("index", arguments):
            return 0, (shape[axis_of(arguments[0])] if arguments else math.prod(shape)) - 1
        case Choice(then, _, otherwise):
            (low, high), (least, greatest) = ends(then), ends(otherwise)
            return min(low, least), max(high, greatest)
        case Operation(name, (operand,)):
            given = [(0, 0), ends(operand)]
        case Operation(name, operands) | Call(name, operands) if operands and name != "gain":
            given = list(map(ends, operands))
        case _:
            return ANYWHERE
    return _ends_of_step(name, given)


def _ends_of_step(name: str, given: list[Ends]) -> Ends:
    """Where a step is monotone its ends are at the corners of its operands'."""
    low, high = given[-1]
    if name in COMPARISONS:
        return 0, 1
    if name in {"sin", "cos"} and max(-low, high) <= FARTHEST:
        return -1, 1
    is_broken = low <= 0 <= high if name in {"/", "//"} else name == "**" and given[0][0] <= 0
    if is_broken or name not in _MONOTONE or not all(map(is_moderate, given)):
        return ANYWHERE
    try:
        found = [_MONOTONE[name](*corner) for corner in itertools.product(*given)]
    except (ArithmeticError, ValueError):
        return ANYWHERE
    if name in _ROUNDED:  # by others here, to other last digits
        found += [each + sign * 1e-9 * abs(each) for each in found for sign in (-1, 1)]
    return min(found), max(found)


def is_moderate(ends: Ends) -> bool:
    """Whether all between them are int64, or float64 far from its end."""
    return all(is_int64(each) or (isinstance(each, float) and abs(each) < 1e300) for each in ends)


class _Folder:
    """Folds trees in one environment; without a shape, sizes stay as they are."""

    def __init__(self, env: Mapping[str, Value], shape: tuple[int, ...] | None) -> None:
        self.evaluator = Evaluator(env)
        self.shape = shape
        self.free = ELEMENT_NAMES - env.keys()
        self.optional = 0

    def folded(self, tree: Ast) -> Ast:
        """The tree with a number for each part that depends on no element."""
        hidden = sorted({each.name for each in references(tree)} & ELEMENT_NAMES - self.free)
        try:
            self.evaluator.refuse_unknown(tree, ELEMENT_NAMES)
            return self._fold(tree)
        except ExpressionError as error:
            if not hidden:
                raise
            hint = f"{hidden[0]!r} is a var or an index here, which hides what a formula means by that name"
            raise ExpressionError(error.message, error.offset, error.code, hint) from None

    def _fold(self, tree: Ast) -> Ast:
        match tree:
            case Name(name, offset) if name in self.free and name != "x":
                hint = f"say of which axis: {name}(0) of the first, {name}(-1) of the last"
                raise ExpressionError(f"{name!r} needs an axis", offset, Code.EXPRESSION_VALUE, hint)
            case Operation(sign, operands):
                found = tree._replace(operands=tuple(map(self._fold, operands)))
                # What it compares, and not 1 or 0: an array of bools takes comparisons only.
                return found if sign in COMPARISONS else self._known(found)
            case Choice():
                return self._choice(tree)
            case Call():
                return self._call(tree)
        return self._known(tree)

    def _known(self, tree: Ast) -> Ast:
        """A tree, whose operands are folded, as its number if no element matters in it.

        Where it may count for no element, what has no value is left to those for which it counts.
        """
        if self._varies(tree):
            return tree
        try:
            return Number(self.evaluator.number(tree), tree.offset)
        except ExpressionError:
            # A name, or an item of a list, would mean something else in the closed text.
            if not self.optional or isinstance(tree, Name) or getattr(tree, "name", "") in self.evaluator.env:
                raise
            return tree

    def _varies(self, tree: Ast) -> bool:
        return any(each.name in self.free for each in references(tree))

    def _choice(self, tree: Choice) -> Ast:
        condition = self._fold(tree.condition)
        if not self._varies(condition) and isinstance(found := self._known(condition), Number):
            return self._fold(tree.then if found.value else tree.otherwise)
        self.optional += 1
        then, otherwise = self._fold(tree.then), self._fold(tree.otherwise)
        self.optional -= 1
        return Choice(then, condition, otherwise, tree.offset)

    def _call(self, tree: Call) -> Ast:
        is_item = tree.name in self.evaluator.env
        if tree.name in self.free:
            return self._axis(tree)
        if not is_item:
            self.evaluator.check_count(tree)
        # The first argument of gain is a word.
        words = tree.operands[: tree.name == "gain" and not is_item]
        found = tree._replace(operands=(*words, *map(self._fold, tree.operands[len(words) :])))
        if words and self._varies(found):
            message = "the slope of 'gain' cannot depend on the element"
            raise ExpressionError(message, tree.offset, Code.EXPRESSION_VALUE)
        if is_item and self._varies(found):
            hint = "an item of a list is chosen when planned, by vars and the indices of repeats"
            message = f"which item of {tree.name!r} this is depends on the element"
            raise ExpressionError(message, tree.offset, Code.EXPRESSION_VALUE, hint)
        known = self._known(found)
        if self.shape is None or known is not found or is_item or tree.name not in {"min", "max"}:
            return known
        # Two at a time, as arrays are taken.
        return reduce(lambda least, each: Call(tree.name, (least, each), tree.offset), found.operands)

    def _axis(self, tree: Call) -> Ast:
        """``index`` or ``size`` of an axis, as an integer."""
        name, offset = tree.name, tree.offset
        arguments = tuple(map(self._fold, tree.operands))
        if name == "index" and not arguments:
            return tree
        if name == "x" or len(arguments) != 1:
            message = "'x' is a number" if name == "x" else f"{name!r} takes one axis, got {len(arguments)}"
            raise ExpressionError(message, offset, Code.EXPRESSION_VALUE)
        axis = arguments[0].value if isinstance(arguments[0], Number) else None
        if axis is None or axis != int(axis):
            shown = "one that depends on the element" if axis is None else repr(axis)
            message = f"{name!r} takes the number of an axis, got {shown}"
            raise ExpressionError(message, offset, Code.EXPRESSION_VALUE)
        return self._of_axis(name, int(axis), offset)

    def _of_axis(self, name: str, axis: int, offset: int) -> Ast:
        if self.shape is None:
            return Call(name, (Number(axis, offset),), offset)
        ndim = len(self.shape)
        if not -ndim <= axis < ndim:
            hint = f"its axes are 0 to {ndim - 1}, or -{ndim} to -1" if ndim else "it has no axis"
            message = f"shape {self.shape} has no axis {axis}"
            raise ExpressionError(message, offset, Code.EXPRESSION_VALUE, hint)
        if name == "size":
            return Number(self.shape[axis], offset)
        return Call(name, (Number(axis % ndim, offset),), offset)


# How tightly each kind of tree binds, as in the grammar.
_CHOICE, _COMPARISON, _SUM, _PRODUCT, _UNARY, _POWER, _ATOM = range(7)
_LEVELS = (
    dict.fromkeys(COMPARISONS, (_COMPARISON, _SUM, _SUM))
    | dict.fromkeys(("+", "-"), (_SUM, _SUM, _PRODUCT))
    | dict.fromkeys(("*", "/", "//", "%"), (_PRODUCT, _PRODUCT, _UNARY))
    | {"**": (_POWER, _ATOM, _UNARY)}
)


def written(tree: Ast, level: int = _CHOICE) -> str:
    """A tree as text that reads as the same tree, with no more parentheses than that needs.

    Example:
        >>> written(Expression.parse("(2*(x+1))**(-(3))").tree)
        '(2 * (x + 1)) ** -3'
    """
    own, text = _written(tree)
    return text if own >= level else f"({text})"


def _written(tree: Ast) -> tuple[int, str]:
    match tree:
        case Number(value):
            is_negative = math.copysign(1, value) < 0
            return (_UNARY if is_negative else _ATOM), repr(value)
        case Name(name):
            return _ATOM, name
        case Operation(sign, (operand,)):
            return _UNARY, sign + written(operand, _UNARY)
        case Operation(sign, operands):
            left, right = operands
            own, of_left, of_right = _LEVELS[sign]
            return own, f"{written(left, of_left)} {sign} {written(right, of_right)}"
        case Choice(then, condition, otherwise):
            parts = (written(then, _COMPARISON), written(condition, _COMPARISON), written(otherwise))
            return _CHOICE, "{} if {} else {}".format(*parts)
        case Call(name, arguments):
            return _ATOM, f"{name}({', '.join(map(written, arguments))})"
