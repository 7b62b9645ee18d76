"""Arguments are read from annotations, and literal values are held to them strictly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import pytest
from pydantic_core import ValidationError

from initcfg.errors import Code, Diagnostic, InitializerError
from initcfg.initializers import (
    BUILTINS,
    Concatenate,
    Constant,
    Initializer,
    RandomNormal,
    TruncatedNormal,
    VarianceScaling,
)
from initcfg.initializers.annotations import LITERALS, Items, Limits, Sizes, Value
from initcfg.initializers.arguments import adapter_of, arguments_of, problems_of
from initcfg.initializers.base import Elementwise, initializer
from initcfg.initializers.configs import Part

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBER = Annotated[float, Limits(ge=0, lt=10)]
INTEGER = Annotated[int, Limits(gt=0)]
INTEGERS = Sizes
CHOICE = Literal["fan_in", "fan_out"]
VALUE = Value
INITIALIZERS = Annotated[tuple[Part, ...], Items()]


def problem_of(annotation: Any, value: object) -> Diagnostic | None:
    """What is wrong with a value for an argument ``x`` of this type, the first of several."""
    body = {"__annotations__": {"x": annotation}, "__module__": __name__, "resolve": RandomNormal.resolve}
    try:
        initializer(type("Made", (Elementwise,), body))(value)
    except InitializerError as error:
        return error.diagnostics[0]
    return None


def config_problems(cls: type[Initializer], config: dict[str, object]) -> tuple[Diagnostic, ...]:
    """What is wrong with the arguments of a class, as `deserialize` tells it."""
    try:
        adapter_of(cls).validator.validate_python(config, context=LITERALS)
    except ValidationError as error:
        return tuple(each.found for each in problems_of(error, cls, cls.__name__))
    return ()


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
        (INTEGER, float("inf"), Code.NOT_FINITE),
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
        (VALUE, [[1], [1, 2]], Code.INITIALIZER_CONFIG),
        (VALUE, [[1], 2], Code.INITIALIZER_CONFIG),
        (VALUE, ["1"], Code.WRONG_TYPE),
        (VALUE, [float("nan")], Code.NOT_FINITE),
        (VALUE, np.array([np.inf]), Code.NOT_FINITE),
        (INITIALIZERS, ["zeros"], None),
        (INITIALIZERS, "zeros", Code.WRONG_TYPE),
    ],
)
def test_a_literal_is_held_to_its_kind_and_bounds(field: Any, value: object, code: Code | None) -> None:
    problem = problem_of(field, value)
    assert (problem and problem.code) == code


def test_none_is_taken_only_where_it_is_nullable() -> None:
    assert problem_of(INTEGER | None, None) is None
    assert problem_of(INTEGER, None) is not None


def test_a_deeply_nested_value_is_refused_and_not_walked_without_end() -> None:
    value: list[Any] = []
    for _ in range(100):
        value = [value]
    problem = problem_of(VALUE, value)
    assert problem is not None
    assert problem.code is Code.WRONG_TYPE


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
    field: Any, value: object, message: str, hint: str | None
) -> None:
    problem = problem_of(field, value)
    assert problem is not None
    assert (problem.message, problem.hint) == (message, hint)


def test_long_values_are_cut_in_messages() -> None:
    for value in ("x" * 10_000, 10**5_000, [0] * 10_000):
        problem = problem_of(CHOICE, value)
        assert problem is not None
        assert len(str(problem)) < 200


def test_a_seed_generator_config_is_refused_with_the_seed_to_write_instead() -> None:
    config = {"class_name": "SeedGenerator", "config": {"name": "seed_generator", "seed": 1337}}
    [problem] = config_problems(RandomNormal, {"seed": config})
    assert problem.hint is not None
    assert problem.hint.endswith("write the integer itself, seed: 1337")


def test_fields_are_in_the_order_of_the_signature_with_kinds_and_defaults() -> None:
    arguments = arguments_of(VarianceScaling)
    assert [(name, each.expected, each.default) for name, each in arguments.items()] == [
        ("scale", "a number > 0", 1.0),
        ("mode", "one of 'fan_in', 'fan_out', 'fan_avg', 'fan_geo_avg'", "fan_in"),
        (
            "distribution",
            "one of 'truncated_normal', 'untruncated_normal', 'uniform', 'normal'",
            "truncated_normal",
        ),
        ("seed", "an integer >= 0 and < 2**64 or None", None),
        ("input_axes", "a list of integers or None", None),
        ("output_axes", "a list of integers or None", None),
    ]
    assert arguments["mode"].choices == ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")


def test_arguments_without_default_are_required() -> None:
    assert all(each.is_required for each in arguments_of(Concatenate).values())
    assert not any(each.is_required for each in arguments_of(TruncatedNormal).values())


@pytest.mark.parametrize("cls", BUILTINS, ids=lambda cls: cls.__name__)
def test_every_argument_of_a_built_in_is_described(cls: type[Initializer]) -> None:
    assert all(each.expected != "any value" for each in arguments_of(cls).values())


@pytest.mark.parametrize("cls", BUILTINS, ids=lambda cls: cls.__name__)
def test_every_default_is_allowed(cls: type[Initializer]) -> None:
    defaults = {name: each.default for name, each in arguments_of(cls).items() if not each.is_required}
    found = config_problems(cls, defaults)
    assert {problem.code for problem in found} <= {Code.MISSING_KEY}


def test_expressions_may_stand_where_numbers_do() -> None:
    names = {name for name, each in arguments_of(VarianceScaling).items() if each.holds_expressions}
    assert names == {"scale", "seed", "input_axes", "output_axes"}
    assert arguments_of(Constant)["value"].holds_expressions
    assert not arguments_of(Concatenate)["initializers"].holds_expressions


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
    kinds = {name: (each.expected, each.is_required) for name, each in arguments_of(Plain).items()}
    assert kinds == {
        "mean": ("a number", True),
        "count": ("an integer", False),
        "limit": ("a number or None", False),
        "text": ("any value", False),
        "bare": ("any value", False),
        "mode": ("one of 'a', 'b'", False),
        "axes": ("any value", False),
    }
    assert {name: each.expected for name, each in arguments_of(Data).items()} == {
        "mean": "a number",
        "names": "any value",
    }
    assert arguments_of(Bare) == {}


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
