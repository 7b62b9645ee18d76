"""What a person writes: text to a checked, frozen `Spec`, and back."""

from __future__ import annotations

from initcfg.spec.arithmetic import CONSTANTS, FANS, FUNCTIONS, RESERVED_NAMES, Value
from initcfg.spec.dump import dump_json, dump_tree, dump_yaml
from initcfg.spec.expression_errors import ExpressionError
from initcfg.spec.expressions import Expression
from initcfg.spec.initializer_config import InitializerConfig
from initcfg.spec.load import load, loads, read, reads
from initcfg.spec.models import Layer, Param, Range, Repeat, Spec
from initcfg.spec.salvage import Reading
from initcfg.spec.schema import json_schema
from initcfg.spec.templates import Template

__all__ = [
    "CONSTANTS",
    "FANS",
    "FUNCTIONS",
    "RESERVED_NAMES",
    "Expression",
    "ExpressionError",
    "InitializerConfig",
    "Layer",
    "Param",
    "Range",
    "Reading",
    "Repeat",
    "Spec",
    "Template",
    "Value",
    "dump_json",
    "dump_tree",
    "dump_yaml",
    "json_schema",
    "load",
    "loads",
    "read",
    "reads",
]
