"""Arithmetic expressions and names with braces: text to a tree, and to the same number on every machine."""

from __future__ import annotations

from initcfg.expressions.evaluation import (
    CONSTANTS,
    FANS,
    FUNCTIONS,
    GAINS,
    RESERVED_NAMES,
    Evaluator,
    Expression,
    Value,
    gain_of,
)
from initcfg.expressions.grammar import ExpressionError, UnknownNameError
from initcfg.expressions.templates import Template

__all__ = [
    "CONSTANTS",
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
    "gain_of",
]
