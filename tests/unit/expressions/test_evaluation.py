"""Expressions: what they mean, and what they refuse."""

from __future__ import annotations

import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.errors import Code, SpecError
from initcfg.expressions import FANS, FUNCTIONS, RESERVED_NAMES, Expression, ExpressionError

ENV = {"d": 768, "n": 12, "i": 3, "x": 0.5, "width": (1, 2, 3.5), "kind": "attn"}


def value(text, env=ENV):
    return Expression.parse(text).evaluate(env)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("2 ** 3 ** 2", 512), ("-2 ** 2", -4), ("2 ** -1", 0.5),
        ("7 / 2", 3.5), ("4 / 2", 2.0), ("7 // 2", 3), ("-7 // 2", -4), ("-7 % 3", 2), ("7.5 % 2", 1.5),
        ("1 - 2 - 3", -4), ("8 / 4 / 2", 1.0), ("--3", 3), ("+-3", -3), ("- - - 3", -3), (".5 + 1.", 1.5),
        ("1e-3", 0.001), ("1E3", 1000.0), ("3 * d", 2304), ("0.02 / sqrt(2 * n)", 0.02 / math.sqrt(24)),
        ("sqrt(2)", math.sqrt(2)), ("exp(1)", math.e), ("log(exp(1))", 1.0), ("log2(1024)", 10.0),
        ("pi", math.pi), ("min(3, 1, 2)", 1), ("max(d, 5)", 768), ("floor(-0.5)", -1), ("ceil(2.1)", 3),
        ("round(2.5)", 2), ("round(3.5)", 4), ("round(-0.5)", 0), ("width(0)", 1), ("width(i - 1)", 3.5),
        ("width(1.0)", 2), ("1 if i < 3 else 2", 2), ("1 if i <= 3 else 2", 1), ("i == 3", 1), ("i != 3", 0),
        ("1 if 0 else 2 if 0 else 3", 3), ("(1 if 1 else 2) + 1", 2), ("1 if 1 else 2 + 1", 1),
        ("1 if n % 2 == 0 else 0", 1), ("  d\t", 768), ("1 if 1 else 1 / 0", 1), ("0 ** 0", 1),
        ("(-1) ** 3", -1), ("(-1) ** (10 ** 300)", 1), ("1 ** 10 ** 300", 1), ("2.0 ** 3", 8.0),
        ("(-8.0) ** 3", -512.0), ("3 + (i > 2) * 4", 7), ("abs(-d)", 768), ("abs(-x)", 0.5), ("sign(-x)", -1),
        ("sign(0.0)", 0), ("sign(d)", 1), ("sin(pi / 2)", 1.0), ("cos(0)", 1.0), ("tan(0)", 0.0),
        ("4 * atan(1)", math.pi), ("tanh(-99)", -1.0), ("expm1(1e-20)", 1e-20), ("log1p(1e-20)", 1e-20),
        ("gain(linear)", 1.0), ("gain(conv_transpose3d)", 1.0), ("gain(sigmoid)", 1.0), ("gain(tanh)", 5 / 3),
        ("gain(relu)", math.sqrt(2)), ("gain(leaky_relu)", math.sqrt(2 / 1.0001)), ("gain(selu)", 0.75),
        ("gain(leaky_relu, 2 * x)", 1.0),
    ],
)  # fmt: skip
def test_value(text, expected):
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_integers_stay_exact():
    assert value("(2 ** 90 + 1) * 3 // 3 - 2 ** 90") == 1
    assert value("2 ** 1023") == 2**1023


def operands():
    return st.sampled_from(["0", "1", "2", "7", "0.5", "3.25", "1e2", "d", "n", "x"])


def combinations(inner):
    binary = st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "<", ">=", "==", "!="]), inner)
    return st.one_of(
        binary.map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]} if {parts[1]} else {parts[2]})"),
        inner.map(lambda part: f"-{part}"),
        st.tuples(inner, inner).map(lambda parts: f"max({parts[0]}, {parts[1]})"),
        inner.map(lambda part: f"round({part})"),
        st.tuples(inner, st.integers(0, 3)).map(lambda parts: f"floor({parts[0]}) ** {parts[1]}"),
        st.tuples(inner, inner).map(lambda parts: f"{parts[0]} + {parts[1]} * {parts[0]} - {parts[1]}"),
    )


@settings(max_examples=6 * settings().max_examples)
@given(st.recursive(operands(), combinations, max_leaves=12))
def test_arithmetic_is_that_of_python(text):
    names = {"d": 768, "n": 12, "x": 0.5, "max": max, "round": round, "floor": math.floor}
    try:
        expected = eval(text, {"__builtins__": {}}, names)
    except (ZeroDivisionError, OverflowError):
        with pytest.raises(ExpressionError) as raised:
            value(text)
        assert raised.value.code is Code.EXPRESSION_VALUE
    else:
        assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("", 0), ("3 *", 3), ("3 4", 2), ("(1", 2), ("1)", 1), ("()", 1), ("max(1,)", 6), ("d.x", 1),
        ("d[0]", 1), ("d = 3", 2), ("d ^ 2", 2), ("1 < 2 < 3", 6), ("1 if 2", 6), ("if", 0), ("else 1", 0),
        ("'a'", 0), ("lambda: 0", 6), ("1_000", 1), ("0x10", 1), ("a and b", 2), ("not a", 4), ("f(x=1)", 3),
        ("*a", 0), ("a; b", 1), ("d\u00b2", 1), ("${d}", 0), ("3 ** ** 4", 5), ("a ! b", 2), ("1 if 2 3", 7),
    ],
)  # fmt: skip
def test_what_is_no_expression_is_refused_at_its_character(text, offset):
    with pytest.raises(ExpressionError) as raised:
        Expression.parse(text)
    assert (raised.value.code, raised.value.offset) == (Code.EXPRESSION_SYNTAX, offset)


@pytest.mark.parametrize(
    ("text", "code", "offset"),
    [
        ("2 * e", Code.UNKNOWN_NAME, 4), ("open(1)", Code.UNKNOWN_NAME, 0), ("fan_in", Code.UNKNOWN_NAME, 0),
        ("1 if 1 else exit(1)", Code.UNKNOWN_NAME, 12), ("pi(1)", Code.EXPRESSION_VALUE, 0),
        ("1 / 0", Code.EXPRESSION_VALUE, 2), ("1 // 0", Code.EXPRESSION_VALUE, 2),
        ("10 ** -400", Code.EXPRESSION_VALUE, 3),
        ("1 % 0.0", Code.EXPRESSION_VALUE, 2), ("0 ** -1", Code.EXPRESSION_VALUE, 2),
        ("sqrt(-1)", Code.EXPRESSION_VALUE, 0), ("log(0)", Code.EXPRESSION_VALUE, 0),
        ("(-8) ** 0.5", Code.EXPRESSION_VALUE, 5), ("exp(1e3)", Code.EXPRESSION_VALUE, 0),
        ("9 ** 9 ** 9", Code.EXPRESSION_VALUE, 2), ("2 ** 1024", Code.EXPRESSION_VALUE, 2),
        ("1e308 * 10", Code.EXPRESSION_VALUE, 6), ("2 ** 1023 * 2", Code.EXPRESSION_VALUE, 10),
        ("10 ** 308 * 10 ** 308", Code.EXPRESSION_VALUE, 10), ("sqrt(1, 2)", Code.EXPRESSION_VALUE, 0),
        ("min(1)", Code.EXPRESSION_VALUE, 0), ("sqrt", Code.EXPRESSION_VALUE, 0),
        ("width", Code.EXPRESSION_VALUE, 0), ("width(3)", Code.EXPRESSION_VALUE, 0),
        ("width(-1)", Code.EXPRESSION_VALUE, 0), ("width(0.5)", Code.EXPRESSION_VALUE, 0),
        ("width(0, 1)", Code.EXPRESSION_VALUE, 0), ("d(2)", Code.EXPRESSION_VALUE, 0),
        ("1 + kind", Code.EXPRESSION_VALUE, 4),
    ],
)  # fmt: skip
def test_what_has_no_value_is_refused_at_its_part(text, code, offset):
    with pytest.raises(ExpressionError) as raised:
        value(text)
    assert (raised.value.code, raised.value.offset) == (code, offset)


def test_a_literal_beyond_the_range_is_refused_when_parsed():
    for text in ("1e999", "9" * 400):
        with pytest.raises(ExpressionError, match="beyond the range"):
            Expression.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "1" * 1001,
        "+".join(["1"] * 126),
        "(" * 33 + "1" + ")" * 33,
        "-" * 33 + "1",
        "2" + "**2" * 33,
        "1 if 1 else " * 33 + "1",
        "sqrt(" * 33 + "1" + ")" * 33,
        "(" * 900,
    ],
    ids=lambda text: text[:12],
)
def test_length_and_depth_are_bounded(text):
    with pytest.raises(ExpressionError, match="at most"):
        Expression.parse(text)


def test_what_the_bounds_allow_is_evaluated():
    assert value("+".join(["1"] * 125)) == 125
    assert value("(" * 32 + "1" + ")" * 32) == 1


def test_names_are_those_that_the_value_depends_on():
    names = Expression.parse("d * width(i) + sqrt(n) if x else -pi").names
    assert names == {"d", "width", "i", "n", "x"}


def test_an_unknown_name_is_answered_by_the_nearest():
    with pytest.raises(ExpressionError) as raised:
        value("n_layers", {"n_layer": 3})
    assert raised.value.hint == "did you mean 'n_layer'?"


def test_a_name_like_no_other_may_be_a_var_that_another_file_gives():
    for text, way in [
        ("2 * d", "define 'd' in vars; if only others extend this file, say base: true; known here: pi"),
        ("fan_in", "'fan_in' is known inside the arguments of initializers; known here: pi"),
    ]:
        with pytest.raises(ExpressionError) as raised:
            value(text, {})
        assert raised.value.hint == way


def test_a_name_of_the_user_goes_before_one_of_the_language():
    assert value("pi + sqrt(0)", {"pi": 3, "sqrt": (4, 5)}) == 7


ADDED_LATER = {"expm1", "log1p", "sin", "cos", "tan", "tanh", "atan", "abs", "sign", "gain"}


def test_names_of_the_language_are_reserved_but_those_that_came_later():
    """A name that is not free breaks documents: whoever adds a function adds it here."""
    assert set(FUNCTIONS) - ADDED_LATER | set(FANS) | {"pi", "if", "else"} == RESERVED_NAMES
    assert set(FUNCTIONS) >= ADDED_LATER


@pytest.mark.parametrize("name", sorted(ADDED_LATER))
def test_a_var_hides_a_function_that_came_later(name):
    assert value(f"2 * {name}", {name: 3}) == 6
    assert value(f"{name}(1)", {name: (4, 5)}) == 5
    with pytest.raises(ExpressionError) as raised:
        value(f"{name}(1)", {name: 3})
    assert raised.value.hint == f"a var or an index named {name!r} hides the function: give it another name"
    with pytest.raises(ExpressionError, match="is a function"):
        value(name)


def test_what_a_var_could_hide_is_told_apart_from_what_must_be_defined():
    expression = Expression.parse("sin(a) + sin + gain(tanh, b) + abs(gain(c)) + sqrt(1)")
    assert expression.names == {"a", "sin", "b", "c"}
    assert expression.hideable == {"sin", "gain", "tanh", "abs"}


def test_the_words_of_gain_are_names_where_a_list_hides_it():
    assert value("gain(tanh) + tanh", {"gain": (4, 5), "tanh": 1}) == 6
    with pytest.raises(ExpressionError, match="name 'relu' is not defined"):
        value("gain(relu)", {"gain": (4, 5)})


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("gain(rleu)", "'gain' knows no nonlinearity 'rleu'", "did you mean 'relu'?"),
        ("gain(gelu)", "'gain' knows no nonlinearity 'gelu'", "that of relu is often taken"),
        ("gain(d)", "'gain' knows no nonlinearity 'd'", "known are linear, conv1d"),
        ("gain(2)", "'gain' takes the name of a nonlinearity", "gain(leaky_relu, 0.2)"),
        ("gain(relu, 2)", "its slope, and none for others", ""),
        ("gain(leaky_relu, 1, 2)", "its slope, and none for others", ""),
        ("gain(leaky_relu, 1e200)", "gain(leaky_relu, 1e+200) is too small for float64", ""),
        ("sin(2 ** 30 + 1)", "sin(1073741825) is not computed: an angle is at most 2**30", ""),
        ("expm1(1e3)", "expm1(1000.0) is beyond the range of float64", ""),
        ("log1p(-1)", "log1p(-1) has no real value", ""),
    ],
)
def test_what_newer_functions_refuse_is_told(text, message, hint):
    with pytest.raises(ExpressionError) as raised:
        value(text)
    assert message in raised.value.message
    assert hint in (raised.value.hint or "")


def test_an_error_is_a_spec_error_and_survives_pickling():
    with pytest.raises(SpecError) as raised:
        Expression.parse("1 +")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (again.offset, again.code, str(again)) == (3, raised.value.code, str(raised.value))  # type: ignore[attr-defined]


def test_equal_texts_are_equal_expressions():
    assert Expression.parse("1 + d") == Expression.parse("1 + d")
    assert str(Expression.parse("1 + d")) == "1 + d"


@settings(max_examples=6 * settings().max_examples)
@given(st.text("d1 .+-*/%()<>=!,ife lsmaxqrt\n\u00e9'", max_size=40))
def test_no_text_raises_anything_but_an_expression_error(text):
    try:
        found = value(text)
    except ExpressionError as error:
        found = error.offset
    assert isinstance(found, int | float)


@pytest.mark.parametrize("name", ["i", "p", "ip"])
def test_a_short_unknown_name_is_not_taken_for_a_constant(name):
    with pytest.raises(ExpressionError) as raised:
        Expression.parse(name).evaluate({})
    assert "did you mean" not in (raised.value.hint or "")
