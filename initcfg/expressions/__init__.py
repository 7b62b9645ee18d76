"""Arithmetic expressions and names with braces: text to a tree, and to the same number on every machine."""

from __future__ import annotations

from initcfg.expressions.evaluation import (
    CONSTANTS,
    ELEMENT_NAMES,
    FANS,
    FUNCTIONS,
    GAINS,
    RESERVED_NAMES,
    Evaluator,
    Expression,
    Template,
    Value,
    facts_of,
    gain_of,
)
from initcfg.expressions.grammar import ExpressionError, UnknownNameError

__all__ = [
    "CONSTANTS",
    "ELEMENT_NAMES",
    "FANS",
    "FUNCTIONS",
    "GAINS",
    "RESERVED_NAMES",
    "Evaluator",
    "Expression",
    "ExpressionError",
    "Template",
    "UnknownNameError",
    "Value",
    "facts_of",
    "gain_of",
]
