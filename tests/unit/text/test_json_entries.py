"""JSON of many entries: what `json` reads, with places, and without what only `json` takes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.errors import Code, SpecError
from initcfg.text.json_entries import read_entries
from initcfg.text.json_source import read_json

GROUPS = frozenset({"params"})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), VALUES, max_size=4)
LAYOUTS = st.sampled_from(
    [{}, {"indent": 2}, {"separators": (",", ":")}, {"indent": 1, "ensure_ascii": False}]
)


@settings(max_examples=2 * settings().max_examples)
@given(ENTRIES, VALUES, LAYOUTS)
def test_content_and_places_are_those_of_the_marked_reader(params, other, layout):
    text = json.dumps({"params": params, "other": other}, **layout)
    found, marked = read_entries(text, "a.json", GROUPS), read_json(text, "a.json")
    assert found.tree == json.loads(text)
    assert found.problems == []
    for name, (entry, where) in zip(
        params, zip(params.values(), (w for _, w in found.entries("params")), strict=True), strict=True
    ):
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
        ('{"\\ud800": 1}', Code.ENCODING, "1:2"),
        ('{"a\tb": 1}', Code.SYNTAX, "1:4"),
    ],
)
def test_what_is_not_json_is_refused_at_its_place(text, code, place):
    with pytest.raises(SpecError) as raised:
        read_entries(text, None, GROUPS)
    (found,) = raised.value.diagnostics
    assert (found.code, str(found.where)) == (code, place)


def test_a_name_that_stands_twice_is_told_and_the_first_kept():
    found = read_entries('{"params": {"w": 1,\n"v": 2, "w": 3}}', None, GROUPS)
    assert found.tree == {"params": {"w": 1, "v": 2}}
    assert [(each.code, str(each.where)) for each in found.problems] == [(Code.DUPLICATE_KEY, "2:9")]


def test_what_is_no_object_is_read_as_it_is():
    assert read_entries("[1, 2]", None, GROUPS).tree == [1, 2]
    assert str(read_entries(" 3", None, GROUPS).locate(())) == "1:1"


def test_no_place_is_looked_for_in_an_entry_of_megabytes() -> None:
    text = '{"params": {"w": {"shape": ["' + "a" * 2**21 + '"]}}}'
    found = read_entries(text, "m.json", frozenset({"params"}))
    assert str(found.locate(("params", "w", "shape"))) == "m.json:1:18"
