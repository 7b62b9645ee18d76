"""The table of checks, and the one function that goes through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.checks.biases import random_biases
from initcfg.checks.copies import identical_values
from initcfg.checks.expressions import integer_expressions
from initcfg.checks.fans import large_receptive_field, unusual_variance, vector_scaling
from initcfg.checks.findings import Check, for_each_piece
from initcfg.checks.precision import dtype_resolution, dtype_underflow
from initcfg.checks.report import Permissions, Told
from initcfg.checks.survey import survey
from initcfg.checks.truncations import idle_truncation
from initcfg.errors import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.errors import Diagnostic
    from initcfg.plan import Plan
    from initcfg.spec import Allow, Spec

__all__ = ["CHECKS", "check_plan"]

# To add a check: a function, a row here, and a code with its page (`initcfg.errors`, `initcfg.explanations`).
CHECKS: dict[Code, Check] = {
    Code.IDENTICAL_VALUES: identical_values,
    Code.VECTOR_SCALING: for_each_piece(vector_scaling),
    Code.UNUSUAL_VARIANCE: for_each_piece(unusual_variance),
    Code.IDLE_TRUNCATION: for_each_piece(idle_truncation),
    Code.RANDOM_BIAS: random_biases,
    Code.DTYPE_UNDERFLOW: for_each_piece(dtype_underflow),
    Code.DTYPE_RESOLUTION: for_each_piece(dtype_resolution),
    Code.LARGE_RECEPTIVE_FIELD: for_each_piece(large_receptive_field),
    Code.INTEGER_EXPRESSION: integer_expressions,
}


def check_plan(plan: Plan, allow: Sequence[Allow] = (), spec: Spec | None = None) -> tuple[Diagnostic, ...]:
    """Warnings about a plan that can be made, and is perhaps not what was meant.

    Linear in the number of parameters; no array is made. What copies of a layer have in common is told once,
    with the first of them.

    Args:
        plan: any; of what custom initializers do nothing is known.
        allow: warnings to leave out, as ``spec.allow``; one that leaves nothing out is told itself.
        spec: what the plan was made from, for the places of `allow` and for the check that looks at
            expressions; None where it is not at hand, as for a plan that was read from a file.

    Returns:
        The warnings in the order of their places, and notes of entries of `allow` that another file brought.

    Example:
        >>> from initcfg.plan import plan_of
        >>> from initcfg.spec import Param, Spec
        >>> spec = Spec(layout="in_out", params={"w": Param(shape=[512, 512], initializer="random_normal")})
        >>> [warning.code.value for warning in check_plan(plan_of(spec))]
        []
        >>> spec = Spec(params={"bias": Param(shape=[512], initializer="glorot_uniform")})
        >>> [warning.code.value for warning in check_plan(plan_of(spec))]
        ['vector-scaling', 'random-bias']
    """
    looked_at, permissions, told = survey(plan, spec), Permissions(allow), Told()
    for code, check in CHECKS.items():
        for finding in check(looked_at):
            told.add(code, finding, permissions.unallowed(code, finding.members))
    return (*told.diagnostics(), *permissions.unused(spec))
