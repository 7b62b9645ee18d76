"""JSON of many entries, in bounded memory, with the places of the parts that are asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.errors import Code, SpecError
from initcfg.text.json_source import read_json
from initcfg.text.json_values import JsonError, parse_json, read_entries

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
    text = '{"params": {"w": "' + "a" * 2**21 + '"}}'
    found = read_entries(text.encode(), "m.json", frozenset({"params"}))
    assert str(found.locate(("params", "w", "shape"))) == "m.json:1:18"


MEGABYTE = 2**20


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("[" + "1000," * MEGABYTE + "0]", "1:17"),
        ('{"shape": [' + "1," * MEGABYTE + "0]}", "1:17"),
        ('["' + "a" * MEGABYTE + '"]', "1:17"),
    ],
)
def test_a_list_of_megabytes_is_refused_where_it_begins_before_it_is_made(value: str, place: str) -> None:
    with pytest.raises(SpecError) as raised:
        read_entries(f'{{"params": {{"w":{value}, "v": 1}}}}'.encode(), None, GROUPS)
    (found,) = raised.value.diagnostics
    assert (found.code, str(found.where)) == (Code.TOO_LARGE, place)
    assert "a list or an object of more than 1,048,576 characters" in found.message


@pytest.mark.parametrize("size", [3000, 10_000, MEGABYTE - 100])
def test_a_mistake_in_a_long_entry_is_told_where_it_is(size: int) -> None:
    text = '{"params": {"w": [' + "1," * (size // 2) + "}" + "1," * MEGABYTE + "1]}}"
    with pytest.raises(SpecError) as raised:
        read_entries(text.encode(), None, GROUPS)
    (found,) = raised.value.diagnostics
    assert (found.code, found.where and found.where.column) == (Code.SYNTAX, 19 + 2 * (size // 2))


def test_a_long_text_is_an_entry() -> None:
    text = "[{" + "a " * MEGABYTE
    found = read_entries(json.dumps({"params": {"w": text}}).encode(), None, GROUPS)
    assert found.tree == {"params": {"w": text}}


def test_values_that_are_no_entries_are_kept_up_to_two_megabytes() -> None:
    value: Any = "[" + "1," * 50_000 + "1]"
    members = ",".join(f'"w{at}": {value}' for at in range(30))
    with pytest.raises(SpecError) as raised:
        read_entries(f'{{"params": {{{members}}}}}'.encode(), None, GROUPS)
    assert raised.value.diagnostics[0].code is Code.TOO_LARGE
    found = read_entries(f'{{"params": {{{members}}}}}'.encode(), None, GROUPS, lambda *_: None)
    assert set(found.tree["params"].values()) == {None}  # type: ignore[index]


def test_what_costs_over_192_mebibytes_and_three_times_its_size_is_refused() -> None:
    assert parse_json("[" + '"ab",' * 100_000 + "0]")[-1] == 0
    for text in ("[" + "[]," * 2_000_000 + "0]", "[" + '"ab",' * 4_000_000 + "0]"):
        with pytest.raises(JsonError, match="MiB of memory, for"):
            parse_json(text)


def test_entries_at_the_top_are_counted_and_a_group_is_none_of_them() -> None:
    def read(text: str) -> Any:
        return read_entries(
            text.encode(), None, frozenset({"meta"}), lambda _, value: [value], flat=True, most=3
        ).tree

    assert read('{"meta": {"a": 1}, "v": 2, "w": 3}') == {"meta": {"a": 1}, "v": [2], "w": [3]}
    with pytest.raises(SpecError, match="more than 3 entries"):
        read('{"u": 1, "v": 2, "w": 3, "x": 4}')
