"""Bounds that cut nothing, held against the draws."""

from __future__ import annotations

import pytest

from initcfg.checks import check_plan
from initcfg.distributions import Normal, TruncatedNormal
from initcfg.dtypes import as_dtype
from initcfg.engines.recipe import prepare
from initcfg.errors import Code
from initcfg.plan import plan_of
from initcfg.spec import Param, Spec


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
@pytest.mark.parametrize(
    "bounds", [(-2, 2), (-6.66, 6.66), (-6.67, 6.67), (-8.65, 8.65), (-8.66, 8.66), (-100, 6)]
)
def test_bounds_are_idle_where_the_engines_draw_a_plain_normal(
    dtype: str, bounds: tuple[float, float]
) -> None:
    low, high = bounds
    config = {"truncated_normal": {"stddev": 0.5, "low": low, "high": high}}
    plan = plan_of(Spec(params={"w": Param(shape=[4], dtype=dtype, initializer=config)}))
    recipe = prepare(TruncatedNormal(0.0, 0.5, 0.5 * low, 0.5 * high), as_dtype(dtype))
    is_normal = recipe.kernel == prepare(Normal(0.0, 0.5), as_dtype(dtype)).kernel
    assert [each.code for each in check_plan(plan)] == [Code.IDLE_TRUNCATION] * is_normal


def test_the_message_names_the_bounds_and_the_farthest_draw(warnings) -> None:
    (warning,) = warnings("""
        params:
          w: {shape: [4], initializer: {truncated_normal: {mean: 1, stddev: 0.02, low: -100, high: 100}}}
    """)
    assert "the bounds -1 and 3 cut nothing" in warning.message
    assert "0.1332 from the mean 1, 6.66" in warning.message
