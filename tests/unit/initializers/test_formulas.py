"""Formulas: elements that are the values of an expression."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import initcfg
from initcfg import engines
from initcfg.distributions import Fill
from initcfg.dtypes import as_dtype
from initcfg.errors import Code, InitializerError
from initcfg.initializers import Concatenate, Formula, RandomNormal, Request, check, draw, make
from initcfg.layout import IN_OUT
from initcfg.stream import Stream

if TYPE_CHECKING:
    from initcfg.initializers import Initializer

STREAM = Stream.of_parameter(3, "w")


def request(shape: tuple[int, ...], dtype: str = "float64", engine: str = "numpy") -> Request:
    return Request(shape, as_dtype(dtype), IN_OUT, STREAM, engines.get_engine(engine))


def made(initializer: Initializer, shape: tuple[int, ...], dtype: str = "float64") -> Any:
    return make(initializer, request(shape, dtype))


def test_an_element_is_the_value_of_the_expression_at_its_place() -> None:
    found = made(Formula("100 * index(0) + 10 * index(1) + index(-1) / size(-1) + size(0)"), (2, 3, 4))
    i, j, k = np.ogrid[:2, :3, :4]
    assert np.array_equal(found, 100 * i + 10 * j + k / 4 + 2)
    assert np.array_equal(made(Formula("index()"), (2, 3)), np.arange(6.0).reshape(2, 3))


def test_x_is_a_float64_draw_from_the_child_stream_0() -> None:
    drawn = make(RandomNormal(0, 2), request((50, 3))._replace(stream=STREAM.child("0")))
    assert np.array_equal(made(Formula("x", RandomNormal(0, 2)), (50, 3)), drawn)
    found = made(Formula("2 * x + 1", RandomNormal(0, 2)), (50, 3), "float32")
    assert np.array_equal(found, (2 * drawn + 1).astype(np.float32))


def test_x_of_an_initializer_with_a_seed_is_its_own() -> None:
    seeded = RandomNormal(seed=7)
    assert np.array_equal(Formula("x", seeded)((9,), "float64"), seeded((9,), "float64"))


@given(st.data())
def test_any_stretch_is_that_of_the_whole(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 7), max_size=4)))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1)) if shape else None
    place = "index()" if axis is None else f"index({axis})"
    formula = Formula(f"x * ({place} + 1) if {place} % 3 != 1 else log({place} + index())", "random_uniform")
    whole = made(formula, shape).reshape(-1)
    start = data.draw(st.integers(0, whole.size))
    part = np.empty(data.draw(st.integers(0, whole.size - start)))
    draw(formula, part, start, request(shape, "float64", "native"))
    assert np.array_equal(part, whole[start : start + part.size])


def test_fans_and_size_are_those_of_the_array_at_hand() -> None:
    fused = Concatenate(0, [2, 4], [Formula("fan_in * 10 + size(0) + index(0)"), "zeros"])
    assert made(fused, (6, 5))[:2].tolist() == [[22.0] * 5, [23.0] * 5]


def test_what_depends_on_no_element_is_a_constant() -> None:
    assert Formula("1 / sqrt(fan_in)").resolve((16, 3), IN_OUT) == Fill(0.25)


@pytest.mark.parametrize("numel", [5, 5000])
def test_a_fault_that_every_array_has_is_found_by_the_check(numel: int) -> None:
    with pytest.raises(InitializerError, match="log\\(0\\) has no real value, at element \\(0,\\)"):
        check(Formula("log(index(0))"), (numel,), as_dtype("float32"), IN_OUT)


def test_a_branch_that_is_not_taken_raises_nothing() -> None:
    found = made(Formula("1 / index(0) if index(0) > 0 else -1"), (3, 2))
    assert found.tolist() == [[-1, -1], [1, 1], [0.5, 0.5]]
    assert made(Formula("log(0) if index(0) > 5 else 2"), (3,)).tolist() == [2, 2, 2]


def test_a_table_reads_back_from_a_plan_and_verifies(tmp_path: Any) -> None:
    spec = {
        "initcfg": 1,
        "vars": {"d": 8},
        "params": {
            "A_log": {"shape": ["d", 16], "initializer": {"formula": {"value": "log(index(-1) + 1)"}}},
            "dt": {"shape": [16], "initializer": {"formula": {"value": "x * d + size(0)", "of": "ones"}}},
        },
    }
    plan = initcfg.make_plan(spec)
    assert plan["dt"].initializer == Formula("x * 8 + size(0)", "ones")
    (tmp_path / "plan.json").write_text(plan.to_json())
    again = initcfg.read_plan(tmp_path / "plan.json")
    assert again.fingerprint == plan.fingerprint
    weights = initcfg.materialize(again)
    logs = np.array([math.log(n) for n in range(1, 17)]).astype(np.float32)
    assert np.array_equal(weights["A_log"], np.tile(logs, (8, 1)))
    part = initcfg.materialize(plan["A_log"][3:7:2, 5:])
    assert np.array_equal(part, weights["A_log"][3:7:2, 5:])


@pytest.mark.parametrize(
    ("value", "of"),
    [
        ("log(index(-1) + 1)", None),
        ("index() % 7 - size(0)", None),
        ("log(x)", {"random_uniform": {"minval": 1, "maxval": 16}}),
        ("exp(x)", {"random_normal": {"stddev": 0.5}}),
        ("x * index(0)", {"truncated_normal": {"stddev": 2}}),
        ("2 * x", {"concatenate": {"axis": 0, "sizes": [100, 300], "initializers": ["ones", "zeros"]}}),
    ],
)
def test_what_is_shown_is_what_the_elements_come_to(value: str, of: Any) -> None:
    formula = Formula(value, of)
    found, told = made(formula, (400, 300)), formula.spread((400, 300), IN_OUT)
    assert math.isclose(told.mean, found.mean(), rel_tol=0.02, abs_tol=0.02 * found.std())
    assert math.isclose(told.std, found.std(), rel_tol=0.02)
    if of is None:
        assert (told.low, told.high, told.is_exact) == (found.min(), found.max(), True)


def test_a_table_of_many_axes_or_elements_is_planned_at_once() -> None:
    for shape in [(2,) * 32, (10**9,), (3, 10**8, 2)]:
        check(Formula("index() + index(0) / size(-1)"), shape, as_dtype("float32"), IN_OUT)
        assert not Formula("index() % 2").spread(shape, IN_OUT).is_exact
    # One axis is looked at whole.
    assert Formula("index(0) % 2").spread((2,) * 32, IN_OUT).is_exact
    part = np.empty(5)
    draw(Formula("sqrt(index())"), part, 10**9 - 5, request((10**9,)))
    assert part.tolist() == [math.sqrt(10**9 - n) for n in (5, 4, 3, 2, 1)]


@pytest.mark.parametrize(
    ("value", "of", "code"),
    [
        ("x", None, Code.INITIALIZER_CONFIG),
        ("index(0)", "ones", Code.INITIALIZER_CONFIG),
        ("2 *", None, Code.EXPRESSION_SYNTAX),
        ("2 * d", None, Code.UNKNOWN_NAME),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(value: str, of: str | None, code: Code) -> None:
    with pytest.raises(InitializerError) as caught:
        Formula(value, of)
    assert [each.code for each in caught.value.diagnostics] == [code]


def test_x_may_be_the_values_of_another_parameter(tmp_path: Any) -> None:
    nu = {
        "formula": {"value": "log(-0.5 * log(x))", "of": {"random_uniform": {"minval": 0.8, "maxval": 0.99}}}
    }
    gamma = {"formula": {"value": "0.5 * log(1 - exp(-exp(x)) ** 2)", "of": {"parameter": "nu_log"}}}
    params = {"gamma_log": {"shape": [6], "initializer": gamma}, "nu_log": {"shape": [6], "initializer": nu}}
    plan = initcfg.make_plan({"initcfg": 1, "layers": {"lru": {"params": params}}})
    weights = initcfg.materialize(plan)
    expected = np.log(np.sqrt(1 - np.exp(-np.exp(weights["lru.nu_log"].astype(float))) ** 2))
    np.testing.assert_allclose(weights["lru.gamma_log"], expected, rtol=1e-6)
    assert np.array_equal(initcfg.materialize(plan["lru.gamma_log"][2:4]), weights["lru.gamma_log"][2:4])
    (tmp_path / "plan.json").write_text(plan.to_json())
    again = initcfg.read_plan(tmp_path / "plan.json")
    assert again.fingerprint == plan.fingerprint
    assert np.array_equal(initcfg.materialize(again)["lru.gamma_log"], weights["lru.gamma_log"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max(index(0), index(-1), 2 * index(0))", [0, 2, 4, 6, 8]),  # was written over index(0)
        ("min(index(0), 2, 1)", [0, 1, 1, 1, 1]),  # was an internal error
        ("max(1, 2, index(0) / 2, 1.75)", [2, 2, 2, 2, 2]),
    ],
)
def test_min_and_max_take_more_than_two(value: str, expected: list[float]) -> None:
    assert Formula(value)((5,)).tolist() == expected
