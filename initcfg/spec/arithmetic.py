"""The value of an expression: exact integers, IEEE float64, and functions that round once."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING

from initcfg import exact
from initcfg.errors import Code, did_you_mean
from initcfg.spec.expression_errors import ExpressionError, UnknownNameError
from initcfg.spec.grammar import KEYWORDS, Binary, Call, Choice, Name, Number, Unary, references
from initcfg.text.numbers import LARGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from initcfg.spec.grammar import Ast

Real = int | float
#: What a name may stand for: a number, a tuple that ``name(i)`` reads, or the text of a repeat index.
Value = int | float | str | tuple[int | float, ...]

#: Each function with how many arguments it takes: the least and the most.
FUNCTIONS: dict[str, tuple[Callable[..., Real], int, int]] = {
    "sqrt": (math.sqrt, 1, 1),
    "exp": (exact.exp, 1, 1),
    "log": (exact.log, 1, 1),
    "log2": (exact.log2, 1, 1),
    "min": (min, 2, 32),
    "max": (max, 2, 32),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "round": (round, 1, 1),
}
CONSTANTS: dict[str, float] = {"pi": math.pi}
#: Names that stand for facts of the parameter inside an initializer's config.
FANS = ("fan_in", "fan_out", "fan_avg", "numel", "ndim")
#: Names that no var and no index may take.
RESERVED_NAMES: frozenset[str] = frozenset((*FUNCTIONS, *CONSTANTS, *FANS)) | KEYWORDS

_MAX_KNOWN = 50
_MAX_BITS = LARGEST.bit_length()


def _power(base: Real, exponent: Real) -> Real:
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0:
        if base.bit_length() > 1 and (base.bit_length() - 1) * exponent >= _MAX_BITS:
            raise OverflowError("the power is beyond the range of float64")
        return int(base**exponent) if abs(base) > 1 else _unit_power(base, exponent)
    return exact.power(base, exponent)


def _unit_power(base: int, exponent: int) -> int:
    """A power of -1, 0 or 1."""
    return base if exponent % 2 else base * base if exponent else 1


_OPERATORS: dict[str, Callable[[Real, Real], Real]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": _power,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Evaluator:
    """Gives the value of a tree in one environment."""

    def __init__(self, env: Mapping[str, Value]) -> None:
        self.env = env

    def number(self, tree: Ast) -> Real:
        """The value of a tree without unknown names.

        Raises:
            ExpressionError: a name stands for no number, or a value is not finite.
        """
        match tree:
            case Number(value):
                return value
            case Name(name, offset):
                return self._name(name, offset)
            case Unary(sign, operand):
                value = self.number(operand)
                return -value if sign == "-" else value
            case Binary(sign, left, right, offset):
                return _computed(sign, offset, _OPERATORS[sign], self.number(left), self.number(right))
            case Choice(then, condition, otherwise):
                return self.number(then if self.number(condition) else otherwise)
            case Call():
                return self._call(tree)

    def refuse_unknown(self, tree: Ast) -> None:
        """Raises the error for the first name in a tree that stands for nothing, if there is one."""
        for reference in references(tree):
            name = reference.name
            if name in self.env or name in FUNCTIONS or name in CONSTANTS:
                continue
            lists = [name for name, value in self.env.items() if isinstance(value, tuple)]
            known = [*lists, *FUNCTIONS] if isinstance(reference, Call) else [*self.env, *CONSTANTS]
            # A short name is like 'pi' by chance only.
            likely = [each for each in known if each not in CONSTANTS] if len(name) < 3 else known
            hint = did_you_mean(name, likely[-_MAX_KNOWN:])
            if hint is None and len(known) <= _MAX_KNOWN:
                hint = f"known here: {', '.join(sorted(known))}"
            raise UnknownNameError(name, reference.offset, hint)

    def _name(self, name: str, offset: int) -> Real:
        value = self.env.get(name, CONSTANTS.get(name))
        if isinstance(value, int | float):
            return value
        if isinstance(value, tuple):
            what, hint = f"{name!r} is a list", f"read an item, as {name}(0)"
        elif isinstance(value, str):
            what, hint = f"{name!r} is the text {value!r}", "an index over texts can only stand in names"
        else:
            what, hint = f"{name!r} is a function", f"give it arguments, as {name}(x)"
        raise ExpressionError(what, offset, Code.EXPRESSION_VALUE, hint)

    def _call(self, call: Call) -> Real:
        values = [self.number(argument) for argument in call.arguments]
        if call.name in self.env or call.name in CONSTANTS:
            return self._item(call, values)
        function, least, most = FUNCTIONS[call.name]
        if not least <= len(values) <= most:
            count = (
                f"{least} argument{'s' if least > 1 else ''}"
                if least == most
                else f"{least} or more arguments"
            )
            message = f"{call.name!r} takes {count}, got {len(values)}"
            raise ExpressionError(message, call.offset, Code.EXPRESSION_VALUE)
        return _computed(call.name, call.offset, function, *values)

    def _item(self, call: Call, indices: list[Real]) -> Real:
        items = self.env.get(call.name)
        if not isinstance(items, tuple):
            hint = f"a product is written {call.name} * (...)"
            raise ExpressionError(f"{call.name!r} is not a list", call.offset, Code.EXPRESSION_VALUE, hint)
        index = indices[0]
        if len(indices) == 1 and index == int(index) and 0 <= index < len(items):
            return items[int(index)]
        shown = ", ".join(map(repr, indices))
        hint = f"its items are numbered 0 to {len(items) - 1}"
        raise ExpressionError(f"{call.name!r} has no item {shown}", call.offset, Code.EXPRESSION_VALUE, hint)


def _computed(name: str, offset: int, function: Callable[..., Real], *values: Real) -> Real:
    """A step's value; every way to have none becomes one error at its place."""
    try:
        value = function(*values)
    except ZeroDivisionError:
        raise _without_value(f"division by zero in {_shown(name, values)}", offset) from None
    except OverflowError:
        raise _without_value(f"{_shown(name, values)} is beyond the range of float64", offset) from None
    except ValueError:
        raise _without_value(f"{_shown(name, values)} has no real value", offset) from None
    if isinstance(value, bool):
        return int(value)
    if abs(value) > LARGEST:
        raise _without_value(f"{_shown(name, values)} is beyond the range of float64", offset)
    if value == 0 and name in _NEVER_ZERO and all(values[: _NEVER_ZERO[name]]):
        message = f"{_shown(name, values)} is too small for float64, and would become 0"
        raise _without_value(message, offset)
    return value


# Steps that give 0 only by underflow where so many of their operands, from the left, are not 0.
_NEVER_ZERO = {"*": 2, "/": 1, "**": 1, "exp": 0}


def _without_value(message: str, offset: int) -> ExpressionError:
    return ExpressionError(message, offset, Code.EXPRESSION_VALUE)


def _shown(name: str, values: tuple[Real, ...]) -> str:
    """A step as it would be written; a negative base is in parentheses, as -8 ** 2 is -(8 ** 2)."""
    if name not in _OPERATORS:
        return f"{name}({', '.join(map(repr, values))})"
    left, right = map(repr, values)
    return f"({left}) {name} {right}" if name == "**" and values[0] < 0 else f"{left} {name} {right}"
