"""The plan: what every parameter is and how it begins, before anything is made."""

from __future__ import annotations

from initcfg.plan.build import check_base, plan_of, plan_reading
from initcfg.plan.parameters import ParameterSlice, PlannedParameter, SkippedParameter
from initcfg.plan.plan import Plan, require_plan

__all__ = [
    "ParameterSlice",
    "Plan",
    "PlannedParameter",
    "SkippedParameter",
    "check_base",
    "plan_of",
    "plan_reading",
    "require_plan",
]
