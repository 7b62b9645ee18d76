"""What a person writes: text to a checked, frozen `Spec`, and back."""

from __future__ import annotations

from initcfg.initializers.configs import InitializerConfig
from initcfg.spec.arithmetic import CONSTANTS, FANS, FUNCTIONS, RESERVED_NAMES, Value
from initcfg.spec.dump import dump_json, dump_tree, dump_yaml
from initcfg.spec.expression_errors import ExpressionError
from initcfg.spec.expressions import Expression
from initcfg.spec.load import load, loads, read, reads
from initcfg.spec.models import Allow, Layer, Param, Range, Repeat, Rule, Spec
from initcfg.spec.ordering import by_place
from initcfg.spec.salvage import Reading
from initcfg.spec.templates import Template

__all__ = [
    "CONSTANTS",
    "FANS",
    "FUNCTIONS",
    "RESERVED_NAMES",
    "Allow",
    "Expression",
    "ExpressionError",
    "InitializerConfig",
    "Layer",
    "Param",
    "Range",
    "Reading",
    "Repeat",
    "Rule",
    "Spec",
    "Template",
    "Value",
    "by_place",
    "dump_json",
    "dump_tree",
    "dump_yaml",
    "load",
    "loads",
    "read",
    "reads",
]
