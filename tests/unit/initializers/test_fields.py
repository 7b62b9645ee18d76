"""Fields are read from annotations, and literal values are held to them strictly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from initcfg.errors import Code
from initcfg.initializers import (
    BUILTINS,
    Concatenate,
    Constant,
    Initializer,
    RandomNormal,
    TruncatedNormal,
    VarianceScaling,
)
from initcfg.initializers.fields import Field, config_problems, fields_of

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBER = Field("x", "number", minimum=0, below=10)
INTEGER = Field("x", "integer", above=0)
INTEGERS = Field("x", "integers", minimum=0)
CHOICE = Field("x", "choice", choices=("fan_in", "fan_out"))
VALUE = Field("x", "value")
INITIALIZERS = Field("x", "initializers")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        (NUMBER, 0, None),
        (NUMBER, 9.5, None),
        (NUMBER, np.float32(0.5), None),
        (NUMBER, np.array(3), None),
        (NUMBER, True, Code.WRONG_TYPE),
        (NUMBER, np.bool_(True), Code.WRONG_TYPE),
        (NUMBER, "0.5", Code.WRONG_TYPE),
        (NUMBER, None, Code.WRONG_TYPE),
        (NUMBER, [1], Code.WRONG_TYPE),
        (NUMBER, np.ones(2), Code.WRONG_TYPE),
        (NUMBER, 1j, Code.WRONG_TYPE),
        (NUMBER, -1, Code.OUT_OF_RANGE),
        (NUMBER, 10, Code.OUT_OF_RANGE),
        (NUMBER, float("nan"), Code.NOT_FINITE),
        (NUMBER, float("inf"), Code.NOT_FINITE),
        (NUMBER, 10**400, Code.NOT_FINITE),
        (INTEGER, 3, None),
        (INTEGER, 768.0, None),
        (INTEGER, np.int64(3), None),
        (INTEGER, 0, Code.OUT_OF_RANGE),
        (INTEGER, 2.5, Code.WRONG_TYPE),
        (INTEGER, True, Code.WRONG_TYPE),
        (INTEGER, float("inf"), Code.WRONG_TYPE),
        (INTEGERS, [1, 2.0], None),
        (INTEGERS, np.array([1, 2]), None),
        (INTEGERS, np.array([1, -2]), Code.OUT_OF_RANGE),
        (INTEGERS, np.array([0.5]), Code.WRONG_TYPE),
        (INTEGERS, np.array([[1]]), Code.WRONG_TYPE),
        (INTEGERS, (), None),
        (INTEGERS, [1, -2], Code.OUT_OF_RANGE),
        (INTEGERS, [True], Code.WRONG_TYPE),
        (INTEGERS, 1, Code.WRONG_TYPE),
        (CHOICE, "fan_in", None),
        (CHOICE, "fan_inn", Code.UNKNOWN_CHOICE),
        (CHOICE, 1, Code.WRONG_TYPE),
        (CHOICE, np.ones(2), Code.WRONG_TYPE),
        (CHOICE, ["fan_in"], Code.WRONG_TYPE),
        (VALUE, 1.5, None),
        (VALUE, True, None),
        (VALUE, [[1, 2], [3, 4]], None),
        (VALUE, np.eye(2), None),
        (VALUE, {"class_name": "__numpy__", "config": {"value": [1.0], "dtype": "float32"}}, None),
        (VALUE, {"class_name": "__tensor__", "config": {"value": [1.0], "dtype": "float32"}}, None),
        (VALUE, {"class_name": "__bytes__", "config": {"value": "x"}}, Code.WRONG_TYPE),
        (VALUE, "1", Code.WRONG_TYPE),
        (VALUE, [[1], [1, 2]], Code.WRONG_TYPE),
        (VALUE, [[1], 2], Code.WRONG_TYPE),
        (VALUE, ["1"], Code.WRONG_TYPE),
        (VALUE, [float("nan")], Code.NOT_FINITE),
        (VALUE, np.array([np.inf]), Code.NOT_FINITE),
        (INITIALIZERS, ["zeros"], None),
        (INITIALIZERS, "zeros", Code.WRONG_TYPE),
    ],
)
def test_a_literal_is_held_to_its_kind_and_bounds(field: Field, value: object, code: Code | None) -> None:
    problem = field.problem(value)
    assert (problem and problem.code) == code


def test_none_is_taken_only_where_it_is_nullable() -> None:
    assert INTEGER._replace(nullable=True).problem(None) is None
    assert INTEGER.problem(None) is not None


def test_a_deeply_nested_value_is_refused_and_not_walked_without_end() -> None:
    value: list[Any] = []
    for _ in range(100):
        value = [value]
    problem = VALUE.problem(value)
    assert problem is not None
    assert "more than 32 deep" in problem.message


@pytest.mark.parametrize(
    ("field", "value", "message", "hint"),
    [
        (NUMBER, -1, "'x' must be a number >= 0 and < 10, got -1", None),
        (CHOICE, "Fan_In", "'x' must be one of 'fan_in', 'fan_out', got 'Fan_In'", "did you mean 'fan_in'?"),
        (INTEGERS, {"a": 1}, "'x' must be a list of integers >= 0, got a mapping", None),
        (NUMBER, np.ones(3), "'x' must be a number >= 0 and < 10, got an object of type ndarray", None),
    ],
)
def test_a_problem_says_what_was_expected_and_given(
    field: Field, value: object, message: str, hint: str | None
) -> None:
    problem = field.problem(value)
    assert problem is not None
    assert (problem.message, problem.hint) == (message, hint)


def test_long_values_are_cut_in_messages() -> None:
    for value in ("x" * 10_000, 10**5_000, [0] * 10_000):
        problem = CHOICE.problem(value)
        assert problem is not None
        assert len(str(problem)) < 200


def test_a_seed_generator_config_is_refused_with_the_seed_to_write_instead() -> None:
    config = {"class_name": "SeedGenerator", "config": {"name": "seed_generator", "seed": 1337}}
    problem = fields_of(RandomNormal)["seed"].problem(config)
    assert problem is not None
    assert problem.hint is not None
    assert problem.hint.endswith("write the integer itself, seed: 1337")


def test_fields_are_in_the_order_of_the_signature_with_kinds_and_defaults() -> None:
    fields = fields_of(VarianceScaling)
    assert [(name, field.kind, field.default, field.nullable) for name, field in fields.items()] == [
        ("scale", "number", 1.0, False),
        ("mode", "choice", "fan_in", False),
        ("distribution", "choice", "truncated_normal", False),
        ("seed", "integer", None, True),
        ("input_axes", "integers", None, True),
        ("output_axes", "integers", None, True),
    ]
    assert fields["scale"].above == 0
    assert fields["mode"].choices == ("fan_in", "fan_out", "fan_avg")
    assert (fields["seed"].minimum, fields["seed"].below) == (0, 2**64)


def test_arguments_without_default_are_required() -> None:
    assert all(field.required for field in fields_of(Concatenate).values())
    assert not any(field.required for field in fields_of(TruncatedNormal).values())


@pytest.mark.parametrize("cls", BUILTINS, ids=lambda cls: cls.__name__)
def test_every_argument_of_a_built_in_is_described(cls: type[Initializer]) -> None:
    assert all(field.kind != "other" for field in fields_of(cls).values())


@pytest.mark.parametrize("cls", BUILTINS, ids=lambda cls: cls.__name__)
def test_every_default_is_allowed(cls: type[Initializer]) -> None:
    fields = fields_of(cls).values()
    assert not [field for field in fields if not field.required and field.problem(field.default)]


def test_expressions_may_stand_where_numbers_do() -> None:
    kinds = {name for name, field in fields_of(VarianceScaling).items() if field.takes_expressions}
    assert kinds == {"scale", "seed", "input_axes", "output_axes"}
    assert fields_of(Constant)["value"].takes_expressions
    assert not fields_of(Concatenate)["initializers"].takes_expressions


class Plain(Initializer):
    def __init__(  # noqa: PLR0917
        self,
        mean: float,
        count: int = 1,
        limit: float | None = None,
        text: str = "",
        bare=0,
        mode: Literal["a", "b"] = "a",
        axes: Sequence[int] = (),
        **more: float,
    ) -> None:
        self.mean = mean

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.full(shape, self.mean, dtype)


@dataclass(frozen=True)
class Data(Initializer):
    mean: float
    names: tuple[str, ...] = ()

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.full(shape, self.mean, dtype)


class Bare(Initializer):
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        return np.zeros(shape, dtype)


def test_of_a_custom_class_the_annotated_numbers_are_known() -> None:
    kinds = {name: (field.kind, field.required) for name, field in fields_of(Plain).items()}
    assert kinds == {
        "mean": ("number", True),
        "count": ("integer", False),
        "limit": ("number", False),
        "text": ("other", False),
        "bare": ("other", False),
        "mode": ("choice", False),
        "axes": ("other", False),
    }
    assert fields_of(Plain)["limit"].nullable
    assert {name: field.kind for name, field in fields_of(Data).items()} == {
        "mean": "number",
        "names": "other",
    }
    assert fields_of(Bare) == {}


def test_all_problems_of_a_config_are_told() -> None:
    problems = config_problems(RandomNormal, {"stdev": 1, "mean": "0", "seed": -1})
    assert [(problem.code, problem.hint) for problem in problems] == [
        (Code.UNKNOWN_KEY, "did you mean 'stddev'?"),
        (Code.WRONG_TYPE, None),
        (Code.OUT_OF_RANGE, None),
    ]
    [missing] = config_problems(Concatenate, {"axis": 0, "sizes": [1]})
    assert missing.code == Code.MISSING_KEY
    assert "'initializers'" in missing.message


def test_keyword_arguments_of_a_custom_class_may_have_any_name() -> None:
    assert config_problems(Plain, {"mean": 1.0, "anything": 2}) == ()
    [problem] = config_problems(Bare, {"mean": 1.0})
    assert problem.hint == "Bare takes no arguments"
