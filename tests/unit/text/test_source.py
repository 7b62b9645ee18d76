"""Places in a text."""

from __future__ import annotations

import sys

import pytest

from initcfg.errors import Code
from initcfg.text.json_source import read_json
from initcfg.text.source import LARGEST, LiteralError, Source, read_float, read_integer
from initcfg.text.yaml_source import read_yaml


def spot(where):
    return where.line, where.column, where.end_column


@pytest.mark.parametrize(
    ("text", "path", "place"),
    [
        ("a: 1\nb: xyz\n", ("b",), (2, 4, 7)),
        ("a:\n  - 1\n  - [2, 33]\n", ("a", 1, 1), (3, 9, 11)),
        ("a: {b: {c: 5}}\n", ("a", "b", "c"), (1, 12, 13)),
        ("a: 'x y'\n", ("a",), (1, 4, 9)),
        ("é😀: 'ü'\n", ("é😀",), (1, 5, 8)),
        ("a: 1\r\nb: 2\r\n", ("b",), (2, 4, 5)),
        ("a: 1\rb: 2\r", ("b",), (2, 4, 5)),
    ],
)
def test_a_value_is_found_by_line_and_column_in_characters(text, path, place):
    assert spot(read_yaml(text).locate(path)) == place


def test_a_key_is_found_apart_from_its_value():
    source = read_yaml("aa:\n  bb: 1\n")
    assert spot(source.locate(("aa", "bb"), key=True)) == (2, 3, 5)
    assert spot(source.locate(("aa",), key=True)) == (1, 1, 3)


def test_a_path_that_the_text_does_not_have_leads_to_its_deepest_part():
    source = read_yaml("aa: {bb: 1}\n")
    assert spot(source.locate(("aa", "cc", 0))) == (1, 5, 12)
    assert spot(source.locate(("zz",))) == (1, 1, 12)


@pytest.mark.parametrize(
    ("text", "offset", "place"),
    [
        ("a: 3 * d\n", 4, (1, 8, 9)),
        ("a: '3 * d'\n", 4, (1, 9, 10)),
        ('a: "3 * d"\n', 4, (1, 9, 10)),
        ('a: "3 * d"\n', 5, (1, 10, 11)),
        ('a: "3\\t* d"\n', 4, (1, 4, 12)),
        ("a: 'it''s'\n", 4, (1, 4, 11)),
        ("a: |\n  3 * d\n", 4, (1, 4, 5)),
    ],
)
def test_a_character_is_found_unless_escapes_or_line_breaks_moved_it(text, offset, place):
    assert spot(read_yaml(text).locate(("a",), offset=offset)) == place


def test_what_spans_lines_is_marked_on_its_first():
    where = read_yaml("a: [1,\n  2]\n").locate(("a",))
    assert spot(where) == (1, 4, 7)
    assert where.text == "a: [1,"


def test_yaml_and_json_agree_on_places():
    text = '{\n  "a": [1, {"b": "c"}],\n  "d": -2.5e3\n}'
    yaml, json = read_yaml(text), read_json(text)
    assert yaml.tree == json.tree
    for path in [(), ("a",), ("a", 0), ("a", 1), ("a", 1, "b"), ("d",)]:
        assert yaml.locate(path) == json.locate(path)
        assert yaml.locate(path, key=True) == json.locate(path, key=True)


def test_a_problem_knows_the_path_that_it_belongs_to():
    source = read_yaml("a:\n  b: [1, .nan]\n  b: 2\n  3: x\n")
    assert [problem.where.path for problem in source.problems] == [("a", "b", 1), ("a", "b"), ("a", "3")]


def test_places_in_one_line_share_its_text():
    source = Source("a.yaml", "a" * 1000 + "\nb")
    assert source.place(0).text is source.place(999).text
    assert source.place(1001).text == "b"


@pytest.mark.parametrize(
    ("text", "offset", "columns"),
    [("x: 2 ** width + 1", 5, (9, 14)), ("x: 2 ** width + 1", 2, (6, 8)), ('x: "2 + d(0)"', 4, (9, 10))],
)
def test_a_fault_inside_an_expression_is_underlined_as_a_whole_token(text, offset, columns):
    where = read_yaml(text).locate(("x",), offset=offset)
    assert (where.column, where.end_column) == columns


@pytest.mark.parametrize(
    ("digits", "base", "value"),
    [("0", 10, 0), ("-12", 10, -12), ("+3", 10, 3), ("007", 10, 7), ("ff", 16, 255), ("17", 8, 15)],
)
def test_integers_are_exact(digits, base, value):
    assert read_integer(digits, base) == value


def test_every_integer_that_is_read_has_a_float_beside_it():
    assert read_integer(str(LARGEST)) == LARGEST
    assert float(LARGEST) == sys.float_info.max
    with pytest.raises(LiteralError) as raised:
        read_integer(str(LARGEST + 1))
    assert raised.value.code is Code.OUT_OF_RANGE


def test_leading_zeros_do_not_count():
    assert read_integer("0" * 5000 + "1") == 1


def test_a_million_digits_are_refused_before_they_are_converted():
    with pytest.raises(LiteralError, match="1000000 digits"):
        read_integer("9" * 1_000_000)


def test_a_float_beyond_the_range_is_refused():
    assert read_float("1e308") == 1e308
    with pytest.raises(LiteralError) as raised:
        read_float("1e309")
    assert raised.value.code is Code.NOT_FINITE


def test_a_long_literal_is_shortened_in_the_message():
    with pytest.raises(LiteralError) as raised:
        read_float("1" * 100_000 + "e9")
    assert len(str(raised.value)) < 120
