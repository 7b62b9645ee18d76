"""How much planning may cost, in steps that are the same on every machine, and no step taken twice."""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.spec import Expression, ExpressionError
from initcfg.spec.grammar import Binary, Call, Choice, Name, Number, Unary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from initcfg.spec import Value
    from initcfg.spec.grammar import Ast

__all__ = [
    "DIMENSION",
    "MAX_STEPS",
    "PARAMETER",
    "PART",
    "TRUNCATION",
    "Effort",
    "SpentError",
    "cost_of",
    "watching",
]

#: A step takes about half a microsecond. The most parameters that a plan holds need half of these.
MAX_STEPS = 2**25
#: Who plans more than that on purpose says so to the process; no document can.
_RAISED_BY = "INITCFG_MAX_STEPS"
#: What it takes to build an initializer, to check a dimension, and to begin with an expression.
PART, DIMENSION, _BEGIN = 400, 5, 10
#: What a parameter takes that shares all else with others, and a mass below a normal curve to 40 digits.
PARAMETER, TRUNCATION = 16, 4000
#: These are computed to 66 digits before they are rounded.
_SLOW = {"exp": 110, "log": 240, "log2": 240, "**": 320}
_MAX_KNOWN = 2**16
_MAX_DIGITS, _SHOWN = 18, 40


#: How many steps are taken between two calls of what watches.
_TOLD_EVERY = 2**18
_watcher: ContextVar[Callable[[int], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def watching(tell: Callable[[int], None]) -> Iterator[None]:
    """A block in which planning tells now and then how many steps it has taken.

    Args:
        tell: called with the number.
    """
    token = _watcher.set(tell)
    try:
        yield
    finally:
        _watcher.reset(token)


class SpentError(ExpressionError):
    """No steps are left; nothing more of the document can be looked at."""


@dataclass
class Effort:
    """Evaluates expressions, and keeps count.

    Args:
        most: how many steps may be taken; `MAX_STEPS`, or what the environment raises it to, where negative.
    """

    most: int = -1
    _parsed: dict[str, tuple[Expression, int]] = field(default_factory=dict, init=False)
    _values: dict[tuple[object, ...], int | float] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.most < 0:
            self.most = _most_steps()
        self.left = self.most
        self._tell = _watcher.get()
        self._told_at = self.most - _TOLD_EVERY

    def expression(self, text: str) -> Expression:
        """The expression that a text writes.

        Raises:
            ExpressionError: it writes none.
        """
        return self._read(text)[0]

    def value(self, text: str, env: Mapping[str, Value]) -> int | float:
        """As `initcfg.spec.Expression.evaluate`; where all that the expression uses is as before, as before.

        Raises:
            ExpressionError: it has no value.
            SpentError: no steps are left (code ``too-large``).
        """
        expression, cost = self._read(text)
        key = (text, *[_known_by(env.get(name)) for name in expression.names])
        value = self._values.get(key)
        if value is None:
            self.spend(cost)
            value = expression.evaluate(env)
            if len(self._values) >= _MAX_KNOWN:
                self._values.clear()
            self._values[key] = value
        return value

    def spend(self, steps: int) -> None:
        """Takes steps away.

        Raises:
            SpentError: there are not so many left (code ``too-large``).
        """
        self.left -= steps
        if self._tell is not None and self.left < self._told_at:
            self._told_at = self.left - _TOLD_EVERY
            self._tell(self.most - self.left)
        if self.left < 0:
            message = f"planning this takes more than {self.most:,} steps of evaluation"
            hint = (
                "let expensive expressions and initializers depend on fewer indices; "
                f"if you trust the document, raise the bound: {_RAISED_BY}={8 * self.most}"
            )
            raise SpentError(message, 0, Code.TOO_LARGE, hint)

    def _read(self, text: str) -> tuple[Expression, int]:
        if text not in self._parsed:
            expression = Expression.parse(text)
            self._parsed[text] = (expression, _BEGIN + cost_of(expression.tree))
        return self._parsed[text]


def _most_steps() -> int:
    """The bound, as the environment raises it.

    Raises:
        SpecError: the environment says something else than a higher bound (code ``too-large``).
    """
    written = os.environ.get(_RAISED_BY, "").strip()
    if not written:
        return MAX_STEPS
    if not (written.isascii() and written.isdigit() and len(written) <= _MAX_DIGITS):
        message = f"{_RAISED_BY} is {written[:_SHOWN]!r}, which is no number of steps"
        raise SpecError(Diagnostic(Code.TOO_LARGE, message, hint=f"write digits, as {8 * MAX_STEPS}"))
    return max(MAX_STEPS, int(written))


def _known_by(value: Value | None) -> object:
    # The lists of a document stay the same objects, and hashing a long one again and again takes long.
    return id(value) if isinstance(value, tuple) else value


def cost_of(tree: Ast) -> int:
    """How many steps a tree takes to evaluate, all of its branches counted."""
    match tree:
        case Number() | Name():
            return 1
        case Unary(_, operand):
            return 1 + cost_of(operand)
        case Binary(sign, left, right):
            return _SLOW.get(sign, 1) + cost_of(left) + cost_of(right)
        case Choice(then, condition, otherwise):
            return 1 + cost_of(then) + cost_of(condition) + cost_of(otherwise)
        case Call(name, arguments):
            return _SLOW.get(name, 1) + sum(map(cost_of, arguments))
