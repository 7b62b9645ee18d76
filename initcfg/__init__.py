"""A model's starting weights, written down.

    >>> import initcfg
    >>> plan = initcfg.make_plan("configs/mlp.yaml")
    >>> plan["logits.kernel"].distribution
    Uniform(low=-0.15018785229652765, high=0.15018785229652765)
    >>> weights = initcfg.materialize(plan)
    >>> weights["logits.kernel"].shape
    (256, 10)

Names are looked up when first used, so that ``import initcfg`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initcfg import initializers as initializers
    from initcfg.api import load_spec, make_plan, materialize, save
    from initcfg.errors import (
        Diagnostic,
        FormatError,
        InitcfgError,
        InitializerError,
        OutputError,
        SpecError,
        UnknownParameterError,
    )
    from initcfg.initializers import Initializer
    from initcfg.layout import Layout
    from initcfg.plan import ParameterSlice, Plan, PlannedParameter
    from initcfg.spec import Layer, Param, Spec
    from initcfg.stream import STREAM_VERSION

__version__ = "0.1.0"

_HOMES = {
    "Diagnostic": "errors",
    "FormatError": "errors",
    "InitcfgError": "errors",
    "Initializer": "initializers",
    "InitializerError": "errors",
    "Layer": "spec",
    "Layout": "layout",
    "OutputError": "errors",
    "Param": "spec",
    "ParameterSlice": "plan",
    "Plan": "plan",
    "PlannedParameter": "plan",
    "STREAM_VERSION": "stream",
    "Spec": "spec",
    "SpecError": "errors",
    "UnknownParameterError": "errors",
    "load_spec": "api",
    "make_plan": "api",
    "materialize": "api",
    "save": "api",
}

__all__ = [
    "STREAM_VERSION",
    "Diagnostic",
    "FormatError",
    "InitcfgError",
    "Initializer",
    "InitializerError",
    "Layer",
    "Layout",
    "OutputError",
    "Param",
    "ParameterSlice",
    "Plan",
    "PlannedParameter",
    "Spec",
    "SpecError",
    "UnknownParameterError",
    "initializers",
    "load_spec",
    "make_plan",
    "materialize",
    "save",
]


def __getattr__(name: str) -> object:
    if name == "initializers":
        return importlib.import_module("initcfg.initializers")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
