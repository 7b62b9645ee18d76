"""Arithmetic expressions and names with braces: text to a tree, and to the same number on every machine."""

from __future__ import annotations

from initcfg.expressions.evaluation import (
    CONSTANTS,
    FANS,
    FUNCTIONS,
    RESERVED_NAMES,
    Evaluator,
    Expression,
    Template,
    Value,
)
from initcfg.expressions.grammar import ExpressionError, UnknownNameError

__all__ = [
    "CONSTANTS",
    "FANS",
    "FUNCTIONS",
    "RESERVED_NAMES",
    "Evaluator",
    "Expression",
    "ExpressionError",
    "Template",
    "UnknownNameError",
    "Value",
]
