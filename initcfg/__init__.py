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

from typing import TYPE_CHECKING

from initcfg.process import load as _load

if TYPE_CHECKING:
    from initcfg import initializers as initializers
    from initcfg.api import (
        finalize,
        find_warnings,
        load_manifest,
        load_spec,
        make_plan,
        materialize,
        save,
        save_sharded,
        verify,
    )
    from initcfg.diff import PlanComparison, PlanDiff, compare_plans, diff_plans
    from initcfg.draft import new_spec
    from initcfg.errors import (
        Diagnostic,
        FormatError,
        InitcfgError,
        InitializerError,
        OutputError,
        PluginError,
        SpecError,
        UnknownParameterError,
    )
    from initcfg.initializers import Initializer
    from initcfg.layout import Layout
    from initcfg.manifest import Manifest, ManifestEntry
    from initcfg.plan import ParameterSlice, Plan, PlannedParameter
    from initcfg.plan.read import read_plan
    from initcfg.spec import Allow, Layer, Param, Rule, Spec
    from initcfg.stream import STREAM_VERSION
    from initcfg.verification import Verification

__version__ = "0.1.0"

# The public names by the modules that hold them.
_HOMES = {
    name: home
    for home, names in {
        "api": "finalize find_warnings load_manifest load_spec make_plan "
        "materialize save save_sharded verify",
        "diff": "PlanComparison PlanDiff compare_plans diff_plans",
        "draft": "new_spec",
        "errors": "Diagnostic FormatError InitcfgError InitializerError "
        "OutputError PluginError SpecError UnknownParameterError",
        "initializers": "Initializer",
        "layout": "Layout",
        "manifest": "Manifest ManifestEntry",
        "plan": "ParameterSlice Plan PlannedParameter",
        "plan.read": "read_plan",
        "spec": "Allow Layer Param Rule Spec",
        "stream": "STREAM_VERSION",
        "verification": "Verification",
    }.items()
    for name in names.split()
}

__all__ = [
    "STREAM_VERSION",
    "Allow",
    "Diagnostic",
    "FormatError",
    "InitcfgError",
    "Initializer",
    "InitializerError",
    "Layer",
    "Layout",
    "Manifest",
    "ManifestEntry",
    "OutputError",
    "Param",
    "ParameterSlice",
    "Plan",
    "PlanComparison",
    "PlanDiff",
    "PlannedParameter",
    "PluginError",
    "Rule",
    "Spec",
    "SpecError",
    "UnknownParameterError",
    "Verification",
    "compare_plans",
    "diff_plans",
    "finalize",
    "find_warnings",
    "initializers",
    "load_manifest",
    "load_spec",
    "make_plan",
    "materialize",
    "new_spec",
    "read_plan",
    "save",
    "save_sharded",
    "verify",
]


def __getattr__(name: str) -> object:
    if name == "initializers":
        return _load("initcfg.initializers")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_load(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
