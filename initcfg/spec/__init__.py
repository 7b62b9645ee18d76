"""What a person writes: text to a checked, frozen `Spec`, and back."""

from __future__ import annotations

from initcfg.initializers.forms import InitializerConfig
from initcfg.spec.load import Reading, by_place, dump_json, dump_tree, dump_yaml, load, loads, read, reads
from initcfg.spec.models import Allow, Layer, Param, Range, Repeat, Rule, Spec

__all__ = [
    "Allow",
    "InitializerConfig",
    "Layer",
    "Param",
    "Range",
    "Reading",
    "Repeat",
    "Rule",
    "Spec",
    "by_place",
    "dump_json",
    "dump_tree",
    "dump_yaml",
    "load",
    "loads",
    "read",
    "reads",
]
