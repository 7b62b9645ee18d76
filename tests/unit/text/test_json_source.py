"""JSON with places, and nothing that is not JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.errors import Code, SpecError
from initcfg.spec import loads
from initcfg.text.json_source import read_entries, read_json

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


GROUPS = frozenset({"params"})
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), ANY, max_size=4)
LAYOUTS = st.sampled_from(
    [{}, {"indent": 2}, {"separators": (",", ":")}, {"indent": 1, "ensure_ascii": False}]
)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(ENTRIES, ANY, LAYOUTS)
def test_content_and_places_are_those_of_the_marked_reader(params, other, layout):
    text = json.dumps({"params": params, "other": other}, **layout)
    found, marked = read_entries(text.encode(), "a.json", GROUPS), read_json(text, "a.json")
    assert found.tree == json.loads(text)
    assert found.problems == ()
    places = found.places("params")
    assert list(places) == list(params)
    for name, entry in params.items():
        where = places[name]
        path = ("params", name)
        assert found.locate(path) == marked.locate(path)
        assert found.locate(path, key=True) == marked.locate(path, key=True)
        assert (where.line, where.column) == (
            found.locate(path, key=True).line,
            found.locate(path, key=True).column,
        )
        if isinstance(entry, list) and entry:
            assert found.locate((*path, 0)) == marked.locate((*path, 0))


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("", Code.SYNTAX, "1:1"),
        ("{", Code.SYNTAX, "1:2"),
        ('{"a" 1}', Code.SYNTAX, "1:6"),
        ('{"a": 1,}', Code.SYNTAX, "1:9"),
        ('{"a": }', Code.SYNTAX, "1:7"),
        ('{"a": 1 "b": 2}', Code.SYNTAX, "1:9"),
        ('{"a": [1, }', Code.SYNTAX, "1:11"),
        ("{'a': 1}", Code.SYNTAX, "1:2"),
        ('{"params": {\n "w": {"shape": [1}}}', Code.SYNTAX, "2:19"),
        ('{"params": {"w": {"shape": NaN}}}', Code.NOT_FINITE, "1:18"),
        ('{"params": {"w": {"a": 1, "a": 2}}}', Code.DUPLICATE_KEY, "1:18"),
        ('{"a": ' + "9" * 5000 + "}", Code.OUT_OF_RANGE, "1:7"),
        ('{"a": ' + "[" * 100_000 + "}", Code.TOO_DEEP, "1:7"),
        ('{"a": 1} {}', Code.SYNTAX, "1:10"),
        ('{"a\tb": 1}', Code.SYNTAX, "1:4"),
    ],
)
def test_a_document_of_entries_that_is_not_json_is_refused_at_its_place(text, code, place):
    with pytest.raises(SpecError) as raised:
        read_entries(text.encode(), None, GROUPS)
    (found,) = raised.value.diagnostics
    assert (found.code, str(found.where)) == (code, place)


def test_a_name_that_stands_twice_is_told_and_the_first_kept():
    found = read_entries(b'{"params": {"w": 1,\n"v": 2, "w": 3}}', None, GROUPS)
    assert found.tree == {"params": {"w": 1, "v": 2}}
    assert [(each.code, str(each.where)) for each in found.problems] == [(Code.DUPLICATE_KEY, "2:9")]


def test_what_is_no_object_is_read_as_it_is():
    assert read_entries(b"[1, 2]", None, GROUPS).tree == [1, 2]
    assert str(read_entries(b" 3", None, GROUPS).locate(())) == "1:2"


def test_a_key_that_is_no_text_is_told_and_read_past() -> None:
    (problem,) = read_entries(b'{"params": {"w": 1, "\\ud800": 2}}', None, GROUPS).problems
    assert (problem.code, str(problem.where)) == (Code.ENCODING, "1:21")


def test_a_value_that_only_json_reads_has_a_place_all_the_same() -> None:
    text = b'{"params": {"w": ' + b"[" * 200 + b"]" * 200 + b"}}"
    assert str(read_entries(text, None, GROUPS).locate(("params", "w", 0))) == "1:18"


def test_no_place_is_looked_for_in_an_entry_of_megabytes() -> None:
    text = '{"params": {"w": {"shape": ["' + "a" * 2**21 + '"]}}}'
    found = read_entries(text.encode(), "m.json", frozenset({"params"}))
    assert str(found.locate(("params", "w", "shape"))) == "m.json:1:18"
