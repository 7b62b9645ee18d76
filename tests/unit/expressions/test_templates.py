"""Names with braces."""

from __future__ import annotations

import pytest

from initcfg.errors import Code
from initcfg.expressions import ExpressionError, Template


@pytest.mark.parametrize(
    ("text", "env", "name"),
    [
        ("wte", {}, "wte"),
        ("h.{i}.w", {"i": 3}, "h.3.w"),
        ("layer{s + 1}.{b}", {"s": 0, "b": 2}, "layer1.2"),
        ("{side}_{i}", {"side": "left", "i": 0}, "left_0"),
        ("{i}{i}", {"i": 7}, "77"),
        ("{ i // 2 }", {"i": 5}, "2"),
        ("{i / 2}", {"i": 4}, "2"),
        ("{width(i)}", {"i": 1, "width": (8, 16)}, "16"),
        ("{0 - i}", {"i": 1}, "-1"),
        ("a b\u00e9", {}, "a b\u00e9"),
    ],
)
def test_render(text, env, name):
    assert Template.parse(text).render(env) == name


@pytest.mark.parametrize(
    ("text", "code", "offset"),
    [
        ("h.{i", Code.TEMPLATE, 2),
        ("h.i}", Code.TEMPLATE, 3),
        ("h.{}", Code.TEMPLATE, 2),
        ("h.{ }", Code.TEMPLATE, 2),
        ("h.{i}}", Code.TEMPLATE, 5),
        ("h.{{i}}", Code.EXPRESSION_SYNTAX, 3),
        ("h.{i +}", Code.EXPRESSION_SYNTAX, 6),
        ("h.{i!r}", Code.EXPRESSION_SYNTAX, 4),
        ("h.{0.__class__}", Code.EXPRESSION_SYNTAX, 5),
        ("h" * 5000, Code.TEMPLATE, 0),
    ],
)
def test_what_is_no_template_is_refused_at_its_character(text, code, offset):
    with pytest.raises(ExpressionError) as raised:
        Template.parse(text)
    assert (raised.value.code, raised.value.offset) == (code, offset)


@pytest.mark.parametrize(
    ("text", "code", "offset"),
    [
        ("h.{j}", Code.UNKNOWN_NAME, 3),
        ("h.{i / 2}", Code.EXPRESSION_VALUE, 3),
        ("h.{1 + side}", Code.EXPRESSION_VALUE, 7),
        ("h.{1 / 0}", Code.EXPRESSION_VALUE, 5),
    ],
)
def test_what_has_no_whole_value_is_refused_at_its_part(text, code, offset):
    with pytest.raises(ExpressionError) as raised:
        Template.parse(text).render({"i": 3, "side": "left"})
    assert (raised.value.code, raised.value.offset) == (code, offset)


def test_names_are_those_of_all_braces():
    assert Template.parse("a.{i}.{j + k}").names == {"i", "j", "k"}
    assert Template.parse("a.b").names == frozenset()


@pytest.mark.parametrize(
    ("text", "env", "hint"),
    [
        ("h.{i}", {}, "repeat: {i: N} in its layer would define it"),
        ("h.{j + 1}", {"i": 1}, "repeat: {j: N} in its layer would define it"),
        ("h.{blok}", {"block": 1}, "did you mean 'block'? (repeat: {blok: N} in its layer would define it)"),
    ],
)
def test_an_unknown_index_is_told_with_the_repeat_that_would_define_it(text, env, hint):
    with pytest.raises(ExpressionError) as raised:
        Template.parse(text).render(env)
    assert raised.value.hint == hint
