"""JSON with places, and nothing that is not JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.errors import Code, SpecError
from initcfg.spec import loads
from initcfg.text.json_source import read_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), inner, max_size=4)
    ),
    max_leaves=15,
)


@settings(max_examples=4 * settings().max_examples)
@given(VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_json_is_read_as_the_standard_library_reads_it(value, ascii_only, indent):
    source = read_json(json.dumps(value, ensure_ascii=ascii_only, indent=indent))
    assert not source.problems
    assert source.tree == value
    assert type(source.tree) is type(value)


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("{,}", Code.SYNTAX, 2), ("[1,]", Code.SYNTAX, 4), ("{a: 1}", Code.SYNTAX, 2),
        ("{'a': 1}", Code.SYNTAX, 2), ('{"a" 1}', Code.SYNTAX, 6), ("[1 2]", Code.SYNTAX, 4),
        ("01", Code.SYNTAX, 1), ("1.", Code.SYNTAX, 1), (".5", Code.SYNTAX, 1), ("+1", Code.SYNTAX, 1),
        ("- 1", Code.SYNTAX, 1), ("1e", Code.SYNTAX, 1), ("tru", Code.SYNTAX, 1), ("True", Code.SYNTAX, 1),
        ("// x", Code.SYNTAX, 1), ("1 2", Code.SYNTAX, 3), ('"a', Code.SYNTAX, 3), ('"a\tb"', Code.SYNTAX, 3),
        ('"\\x"', Code.SYNTAX, 2), ('"\\u12"', Code.SYNTAX, 2), ("\ufeff1", Code.SYNTAX, 1),
        ("\x00", Code.SYNTAX, 1), ("[" * 66 + "]" * 66, Code.TOO_DEEP, 66),
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused_at_its_place(text, code, column):
    with pytest.raises(SpecError) as raised:
        read_json(text)
    (problem,) = raised.value.diagnostics
    assert (problem.code, problem.where.column) == (code, column)


@pytest.mark.parametrize(
    ("text", "code", "column", "tree"),
    [
        ('{"a": 1, "a": 2}', Code.DUPLICATE_KEY, 10, {"a": 1}),
        ("[NaN, 1]", Code.NOT_FINITE, 2, [0, 1]),
        ("[1, -Infinity]", Code.NOT_FINITE, 5, [1, 0]),
        ("[1e999]", Code.NOT_FINITE, 2, [0]),
        (f"[{'9' * 400}]", Code.OUT_OF_RANGE, 2, [0]),
        ('["\\ud800"]', Code.ENCODING, 2, [""]),
        ('["\\ude00\\ud83d"]', Code.ENCODING, 2, [""]),
    ],
)
def test_a_surprise_is_reported_and_the_rest_is_read(text, code, column, tree):
    source = read_json(text)
    (problem,) = source.problems
    assert (problem.code, problem.where.column) == (code, column)
    assert source.tree == tree


def test_pairs_of_surrogates_are_one_character():
    assert read_json('"\\ud83d\\ude00"').tree == "😀"


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@settings(max_examples=5 * settings().max_examples)
@given(st.text('{}[]:,"\\u0019 \n\ttrufalsn.eE+-dD8', max_size=40))
def test_what_is_read_is_json_and_the_rest_is_a_spec_error(text):
    try:
        source = read_json(text)
    except SpecError:
        assert not is_json(text)
    else:
        assert is_json(text) or not text.strip()
        assert source.problems or not text.strip() or source.tree == json.loads(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('{"a": True}', "write true"),
        ('{"a": None}', "write null"),
        ('{"a": 1 // one\n}', "JSON has no comments"),
        ("// one\n{}", "JSON has no comments"),
        ("{ # one\n}", "JSON has no comments"),
        ("{} /* one */", "JSON has no comments"),
        ("", '{"initcfg": 1}'),
    ],
)
def test_habits_of_other_languages_get_their_mend(text, hint):
    with pytest.raises(SpecError) as raised:
        loads(text, "json")
    assert hint in raised.value.diagnostics[0].hint
