"""Evaluating is counted, nothing is evaluated twice, and a spec that would take for ever is refused."""

from __future__ import annotations

import pytest

import initcfg
from initcfg.errors import SpecError
from initcfg.expressions import Expression
from initcfg.manifest import Manifest
from initcfg.plan import rules, scope
from initcfg.plan.scope import EvalBudget, cost_of, watching


@pytest.fixture
def evaluated(monkeypatch) -> list[str]:
    """The expressions that are evaluated."""
    texts: list[str] = []
    original = Expression.evaluate
    monkeypatch.setattr(
        Expression, "evaluate", lambda self, env: texts.append(self.text) or original(self, env)
    )
    return texts


def test_an_expression_is_evaluated_once_for_each_value_that_it_uses(plan, evaluated) -> None:
    text = """
        vars: {widths: [4, 8], d: 2}
        layers:
          h.{i}.{j}:
            repeat: {i: 2, j: 50}
            params:
              w: {shape: [widths(i) * d, j + 1], initializer: {constant: {value: exp(i) + d}}}
              v: {shape: [widths(i) * d], initializer: {constant: {value: exp(i) + d}}}
    """
    assert len(plan(text)) == 200
    assert {each: evaluated.count(each) for each in set(evaluated)} == {
        "widths(i) * d": 2,
        "j + 1": 50,
        "exp(i) + d": 2,
    }


def test_names_are_filled_in_once_for_each_value_too(plan, evaluated) -> None:
    text = """
        vars: {d: 2}
        layers:
          h{i + d}.{j}:
            repeat: {i: 3, j: 40}
            params:
              w{d}: {shape: [], initializer: zeros}
    """
    assert plan(text)["h4.39.w2"].shape == ()
    assert evaluated.count("i + d") == 3


@pytest.mark.parametrize(
    ("text", "cost"),
    [("1", 1), ("a + b * 2", 5), ("-exp(a)", 112), ("a ** 2", 322), ("max(a, log(b)) if a else 1", 246)],
)
def test_steps_are_counted(text, cost) -> None:
    assert cost_of(Expression.parse(text).tree) == cost


@pytest.mark.parametrize(
    "param",
    [
        "{shape: [exp(i) * 0 + 1], initializer: zeros}",
        "{shape: [i, i, i, i, i, i, i, i], initializer: zeros}",
        "{shape: [1], initializer: {constant: {value: i ** 0.5}}}",
    ],
)
def test_a_spec_that_would_take_for_ever_is_refused(problems, monkeypatch, param) -> None:
    monkeypatch.setattr(scope, "MAX_STEPS", 2000)
    text = f"layers:\n  h.{{i}}:\n    repeat: {{i: 1000}}\n    params:\n      w: {param}\n"
    [found] = problems(text)
    assert found.code == "too-large"
    assert found.hint == (
        "let expensive expressions and initializers depend on fewer indices; "
        "if you trust the document, raise the bound: INITCFG_MAX_STEPS=16000"
    )


def test_many_copies_that_differ_in_nothing_cost_only_what_one_more_parameter_does(plan, monkeypatch) -> None:
    monkeypatch.setattr(scope, "MAX_STEPS", 17_000)
    text = """
        layers:
          h.{i}:
            repeat: {i: 1000}
            params:
              w: {shape: [exp(0) * 3 // 3], initializer: zeros}
    """
    assert len(plan(text)) == 1000


def test_what_is_remembered_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(scope, "_MAX_KNOWN", 10)
    work = EvalBudget()
    assert [work.value("i * 2", {"i": i}) for i in range(100)] == [2 * i for i in range(100)]
    assert len(work._values) <= 10


def spent(make, text) -> int:
    """The steps that planning a spec takes."""
    made: list[EvalBudget] = []
    with pytest.MonkeyPatch.context() as patch:
        original = EvalBudget.__init__
        patch.setattr(
            EvalBudget,
            "__init__",
            lambda self, *given, **named: (original(self, *given, **named), made.append(self))[0],
        )
        make(text)
    return sum(each.most - each.left for each in made)


def test_a_truncated_law_costs_what_its_exact_mass_takes(plan) -> None:
    text = (
        "layers: {{'h.{{i}}': {{repeat: {{i: 50}}, params: {{w: {{shape: [i + 1, 2], initializer: {}}}}}}}}}"
    )
    text = "layout: in_out\n" + text
    concatenated = "{concatenate: {axis: 1, sizes: [1, 1], initializers: [he_normal, he_normal]}}"
    uniform, normal, two = (
        spent(plan, text.format(each)) for each in ("he_uniform", "he_normal", concatenated)
    )
    assert normal - uniform == 50 * scope.TRUNCATION
    assert two - uniform > 2 * 50 * scope.TRUNCATION


def test_patterns_are_paid_for(problems, monkeypatch) -> None:
    text = "rules: [{match: '**.???*a*b*', initializer: zeros}]\nparams: {x.xxxab: {shape: [1]}}\n"
    monkeypatch.setattr(rules, "MATCHING", 2**24)
    assert [(found.code, found.where.line) for found in problems(text)] == [("too-large", 1)]


def test_the_most_parameters_that_a_plan_holds_are_within_the_bound() -> None:
    assert scope.PARAMETER * scope.MAX_PARAMETERS <= scope.MAX_STEPS * 2 // 3


def test_the_environment_raises_the_bound_and_nothing_else_does(monkeypatch) -> None:
    for written, most in (("", scope.MAX_STEPS), ("5", scope.MAX_STEPS), (str(2**40), 2**40)):
        monkeypatch.setenv("INITCFG_MAX_STEPS", written)
        assert EvalBudget().most == most
    monkeypatch.setenv("INITCFG_MAX_STEPS", "many")
    with pytest.raises(SpecError, match="no number of steps"):
        EvalBudget()


def test_a_watcher_hears_of_long_planning_and_of_no_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scope, "_TELL_EVERY", 2**12)
    heard: list[int] = []
    spec = {"initcfg": 1, "params": {"w": {"shape": [2], "initializer": "zeros"}}}
    with watching(heard.append):
        initcfg.make_plan(spec)
        assert heard == []
        layer = {"repeat": {"i": 100}, "params": {"w": {"shape": ["i + 1", 2], "initializer": "he_normal"}}}
        initcfg.make_plan({"initcfg": 1, "layout": "in_out", "layers": {"h.{i}": layer}})
    assert heard == sorted(heard)
    assert heard[0] >= 2**12
    heard.clear()
    initcfg.make_plan({"initcfg": 1, "layout": "in_out", "layers": {"h.{i}": layer}})
    assert heard == []


def one_layer(param: str, more: str = "", name: str = "h.{i}") -> str:
    return f"layout: in_out\n{more}\nlayers: {{'{name}': {{repeat: {{i: 50}}, params: {{w: {param}}}}}}}"


def test_each_value_of_an_array_costs_where_it_is_built_again(plan) -> None:
    constant = "{{shape: [{}], initializer: {{constant: {{value: [i{}]}}}}}}"
    few, many = (spent(plan, one_layer(constant.format(n + 1, ", 1" * n))) for n in (0, 100))
    assert many - few == 50 * 100 * scope.LEAF


def test_a_long_name_costs_by_its_length(plan) -> None:
    zeros = "{shape: [1], initializer: zeros}"
    short, long = (spent(plan, one_layer(zeros, name="h" * n + ".{i}")) for n in (100, 900))
    assert long - short > 50 * 900 // 16


def test_a_captured_number_that_must_be_searched_costs_by_name_and_pattern(plan) -> None:
    ones = "{shape: [1]}"
    rule = "rules: [{{match: '**.{}', initializer: {{constant: {{value: k}}}}}}]"
    counted, searched = (
        spent(plan, one_layer(ones, rule.format(each), name="a." * 500 + "h.{i}"))
        for each in ("{k}.w", "h.{k}.**")
    )
    assert searched - counted > 50 * 1000 * scope.MATCHING


def test_parameters_of_a_manifest_cost_what_others_do() -> None:
    made: list[EvalBudget] = []
    document = {"initcfg": 1, "rules": [{"match": "**", "initializer": "zeros"}]}
    with pytest.MonkeyPatch.context() as patch:
        original = EvalBudget.__init__
        patch.setattr(
            EvalBudget,
            "__init__",
            lambda self, *given, **named: (original(self, *given, **named), made.append(self))[0],
        )
        initcfg.make_plan(document, manifest=Manifest({f"h.{at}": (1,) for at in range(100)}))
    assert sum(each.most - each.left for each in made) >= 100 * scope.PARAMETER


def test_names_of_one_rule_have_each_its_own_captured_numbers(plan) -> None:
    rule = "rules: [{match: 'h.{k}.w', initializer: {constant: {value: k}}, stream: 's{k + 1}'}]"
    found = plan(one_layer("{shape: [1]}", rule))
    assert [each.initializer.value for each in found] == list(range(50))
    assert [each.stream_name for each in found] == [f"s{at + 1}" for at in range(50)]
