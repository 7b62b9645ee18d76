"""Quotients that lost their fraction."""

from __future__ import annotations

import pytest

from initcfg.checks import expressions

SPEC = """
layout: in_out
vars: {{d: 512, n: 3, inverse: 1 // d, half: d // 2, widths: [1 // n, 2]}}
initializers:
  named: {{random_normal: {{stddev: "{0}"}}}}
layers:
  h.{{i}}:
    repeat: {{i: n}}
    params:
      w:
        shape: [d, 8]
        initializer: {{concatenate: {{axis: 0, sizes: [half, half], initializers: [zeros, named]}}}}
"""


def found(warnings, expression: str) -> list[str]:
    codes = [each for each in warnings(SPEC.format(expression)) if each.code.value == "integer-expression"]
    return [each.message for each in codes]


@pytest.mark.parametrize(
    ("expression", "value", "meant"),
    [
        ("1 // d", "0", "0.001953"),
        ("2 // fan_in", "0", "0.007812"),
        ("sqrt(2 // fan_in)", "0", "0.08839"),
        ("inverse", "0", "0.001953"),
        ("3 * inverse", "0", "0.005859"),
        ("n // 2", "1", "1.5"),
        ("(n // 2)", "1", "1.5"),
        ("widths(0)", "0", "0.3333"),
        ("1 // d if n > 2 else 1", "0", "0.001953"),
    ],
)
def test_a_lost_fraction_is_told_with_what_was_meant(
    warnings, expression: str, value: str, meant: str
) -> None:
    (message,) = found(warnings, expression)
    assert message.startswith("part 1 of 'h.0.w' and 2 more like it: ")
    assert f"stddev is {value}, from {expression!r}" in message
    assert message.endswith(f"gives {meant}")


@pytest.mark.parametrize(
    "expression",
    [
        "1 / d",
        "d // 8",
        "1 / sqrt(d // n)",
        "0.02 / (i // 2 + 1)",
        "i // 4",
        "0 // d",
        "half",
        "floor(1 / d)",
    ],
)
def test_a_whole_quotient_or_a_step_is_left_alone(warnings, expression: str) -> None:
    assert found(warnings, expression) == []


def test_an_equal_initializer_that_is_written_as_a_number_is_no_excuse(warnings) -> None:
    (warning,) = warnings("""
        params:
          plain: {shape: [4, 4], initializer: {random_normal: {stddev: 0}}}
          cut: {shape: [4, 4], initializer: {random_normal: {stddev: 1 // ndim}}}
    """)
    assert warning.message.startswith("'cut': stddev is 0")


def test_the_place_is_that_of_the_expression(warnings) -> None:
    (warning,) = [each for each in warnings(SPEC.format("1 // d")) if each.code.value == "integer-expression"]
    assert warning.where.path == ("initializers", "named", "random_normal", "stddev")


def test_without_the_spec_nothing_is_said() -> None:
    from initcfg.checks import check_plan
    from initcfg.plan import plan_of
    from initcfg.spec import loads

    plan = plan_of(loads("initcfg: 1" + SPEC.format("1 // d")))
    assert check_plan(plan) == ()


def test_an_expression_is_looked_at_once_for_the_same_values(monkeypatch, warnings) -> None:
    seen: list[str] = []
    judged = expressions._judged

    def counted(name, *rest):
        seen.append(name)
        return judged(name, *rest)

    monkeypatch.setattr(expressions, "_judged", counted)
    many = """
        layers:
          h.{{i}}:
            repeat: {{i: 50}}
            params: {{w: {{shape: [i + 1], initializer: {{random_normal: {{stddev: {}}}}}}}}}
    """
    for text, times in (("exp(1) // 1", 1), ("numel // 7", 50)):
        seen.clear()
        warnings(many.format(text))
        assert len(seen) == times
