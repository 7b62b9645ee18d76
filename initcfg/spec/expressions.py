"""Arithmetic in a spec: text to a frozen tree with columns, and its value, the same on every machine.

Grammar, from the loosest to the tightest; a comparison is 1 or 0::

    choice     := comparison ["if" choice "else" choice]
    comparison := sum [("==" | "!=" | "<" | "<=" | ">" | ">=") sum]
    sum        := product (("+" | "-") product)*
    product    := unary (("*" | "/" | "//" | "%") unary)*
    unary      := ("+" | "-") unary | power
    power      := atom ["**" unary]
    atom       := number | name | name "(" choice ("," choice)* ")" | "(" choice ")"
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from initcfg.spec.arithmetic import CONSTANTS, FUNCTIONS, Evaluator, Value
from initcfg.spec.grammar import Ast, parse, references

if TYPE_CHECKING:
    from collections.abc import Mapping


class Expression(NamedTuple):
    """An arithmetic expression; `parse` makes it.

    Args:
        text: what was written.
        tree: what it means.
        names: the vars, indices and fans that it uses.

    Example:
        >>> residual = Expression.parse("0.02 / sqrt(2 * n_layer)")
        >>> sorted(residual.names)
        ['n_layer']
        >>> residual.evaluate({"n_layer": 8})
        0.005
    """

    text: str
    tree: Ast
    names: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Expression:
        """The expression that `text` writes.

        Args:
            text: at most 1000 characters and 250 numbers, names and signs, nested at most 32 deep.

        Raises:
            ExpressionError: the text is no expression; `offset` is the character where that shows.
        """
        return _parsed(text)

    def evaluate(self, env: Mapping[str, Value]) -> int | float:
        """The value: integers stay exact under ``+ - * // % **``, everything else is float64.

        ``+ - * / sqrt`` are IEEE 754; ``exp log log2 **`` are rounded once from `decimal`; ``round`` goes
        half to even.

        Args:
            env: a number, or a tuple of numbers that ``name(i)`` reads, for each name.

        Raises:
            ExpressionError: a name is unknown, wherever it stands, or a part that counts has no finite value;
                `offset` says which.
        """
        evaluator = Evaluator(env)
        if not all(name in env for name in self.names):
            evaluator.refuse_unknown(self.tree)
        return evaluator.number(self.tree)

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Expression:
    tree = parse(text)
    used = {reference.name for reference in references(tree)}
    return Expression(text, tree, frozenset(used - FUNCTIONS.keys() - CONSTANTS.keys()))
