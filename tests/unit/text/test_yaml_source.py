"""YAML 1.2 by its core schema, without surprises."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from initcfg.errors import Code, SpecError
from initcfg.text import yaml_source
from initcfg.text.yaml_source import read_yaml

LOADERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if yaml.__with_libyaml__ else [])]


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__, autouse=True)
def loader(request, monkeypatch):
    """Each test runs over PyYAML's own scanner and over libyaml's."""
    monkeypatch.setattr(yaml_source, "_LOADER", request.param)


def problems_of(text):
    """What is wrong with a text, whether or not the rest could be read."""
    try:
        return read_yaml(text).problems
    except SpecError as error:
        return error.diagnostics


def codes(source):
    return [problem.code for problem in source.problems]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001), ("1E3", 1000.0), ("1e3", 1000.0), (".5", 0.5), ("-2.", -2.0), ("+3", 3),
        ("010", 10), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"), ("1:30", "1:30"), ("0b1", "0b1"),
        ("no", "no"), ("off", "off"), ("y", "y"), ("true", True), ("False", False), ("TRUE", True),
        ("tRUE", "tRUE"), ("~", None), ("null", None), ("", None), ("NULL", None), ("nUll", "nUll"),
        ("2024-13-01", "2024-13-01"), ("=", "="), ("0x", "0x"), ("-", None), ("1e", "1e"), ("1.2.3", "1.2.3"),
        ("'1'", "1"), ('"true"', "true"), ('"\\u00e9\\x41\\n"', "éA\n"), ("2 * d", "2 * d"),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(written, value):
    if written == "-":
        value = [None]
    found = read_yaml(f"a: {written}\n" if written != "-" else "a:\n  -\n").tree["a"]  # type: ignore[index]
    assert found == value
    assert type(found) is type(value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def yaml_escaped(value) -> str:
    """JSON with every character that YAML wants escaped written so; pairs of surrogates are no YAML."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(
        char if char.isprintable() else f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\U{ord(char):08x}"
        for char in text
    )


@settings(max_examples=3 * settings().max_examples)
@given(JSON)
def test_json_is_read_as_json(value):
    source = read_yaml(yaml_escaped(value))
    assert not source.problems
    assert source.tree == value


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("a: 1\na: 2\n", Code.DUPLICATE_KEY, (2, 1)),
        ("b: {a: 1, 'a': 2}\n", Code.DUPLICATE_KEY, (1, 11)),
        ("0: 1\n", Code.KEY_TYPE, (1, 1)),
        ("1e999: 1\n", Code.KEY_TYPE, (1, 1)),
        ("true: 1\n", Code.KEY_TYPE, (1, 1)),
        ("? [a]\n: 1\n", Code.KEY_TYPE, (1, 3)),
        ("{i}: 1\n", Code.KEY_TYPE, (1, 1)),
        ("<<: 1\n", Code.WRONG_TYPE, (1, 5)),
        ("a: !!int 3\n", Code.TAG, (1, 4)),
        ("a: ! 3\n", Code.TAG, (1, 4)),
        ("a: !!python/name:os.system x\n", Code.TAG, (1, 4)),
        ("a: .inf\n", Code.NOT_FINITE, (1, 4)),
        ("a: -1e400\n", Code.NOT_FINITE, (1, 4)),
        ("a: *b\n", Code.ALIAS, (1, 4)),
        ("a: &a [*a]\n", Code.ALIAS, (1, 8)),
        ("a: {x: max(1, 2)}\n", Code.EXPRESSION_SYNTAX, (1, 8)),
        ("a: [max(1, min(2, 3)), 4]\n", Code.EXPRESSION_SYNTAX, (1, 5)),
    ],
)
def test_a_surprise_is_reported_and_the_rest_is_read(text, code, place):
    source = read_yaml(f"{text}z: 26\n")
    (problem,) = source.problems
    assert problem.code is code
    assert (problem.where.line, problem.where.column) == place
    assert source.tree["z"] == 26  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [1\n", Code.SYNTAX),
        ("a: 'x\n", Code.SYNTAX),
        ("a: b: c\n", Code.SYNTAX),
        ("\ta: 1\n", Code.SYNTAX),
        ("a: 1\n---\nb: 2\n", Code.SYNTAX),
        ("%YAML 2.0\n---\na: 1\n", Code.TAG),
        ("# c\n\n%TAG ! x\n---\na: 1\n", Code.TAG),
        ("a: \x00\n", Code.ENCODING),
        ("a: \ud800\n", Code.ENCODING),
        ("[" * 66 + "]" * 66, Code.TOO_DEEP),
        ("".join("  " * level + "a:\n" for level in range(70)), Code.TOO_DEEP),
        ("a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*a" + "]" * 40, Code.TOO_DEEP),
        ("a: &a [" + "1," * 2000 + "]\nb: [" + "*a," * 60 + "]\n", Code.ALIAS),
    ],
)
def test_what_is_no_single_document_is_refused(text, code):
    with pytest.raises(SpecError) as raised:
        read_yaml(text)
    assert raised.value.diagnostics[-1].code is code


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a: {stddev: max(a, b)}\n", 'quote it: "max(a, b)"'),
        ("match: **.bias\n", 'quote a value that begins with *: "**.bias"'),
        ("shape: [*d]\n", "d(0)"),
        ("layers:\n  {i}.w: 3\n", 'quote a key that begins with a brace: "{i}.w":'),
        ("0: x\n", 'quote it: "0"'),
        ("<<: x\n", "name an anchor of a mapping"),
        ("a:\n\tb: 1\n", "indent with spaces"),
        ("a: @b\n", "quote a value that begins with @"),
        ("a: b: c\n", "quote a value that holds ': '"),
        ("x: 1\na: {b: 1\nc: 2\n", "line 2, column 4"),
    ],
)
def test_a_trap_is_told_with_its_mend(text, hint):
    assert hint in problems_of(text)[0].hint


def test_a_call_cut_apart_stands_whole_in_the_tree():
    source = read_yaml("a: {x: max(1, b), y: [min(c, 2, d), 3], z: f(1)}\n")
    assert source.tree == {"a": {"x": "max(1, b)", "y": ["min(c, 2, d)", 3], "z": "f(1)"}}
    assert codes(source) == [Code.EXPRESSION_SYNTAX] * 2


def test_parentheses_that_never_close_are_left_as_they_are():
    assert read_yaml("[max(a, b]").tree == ["max(a", "b"]
    assert read_yaml("{x: max(a, b: 1}").tree == {"x": "max(a", "b": 1}
    assert not read_yaml("[max(a, b]").problems


def test_anchors_are_read_and_their_places_are_those_of_the_anchor():
    source = read_yaml("a: &x [1, 2]\nb: *x\n")
    assert source.tree == {"a": [1, 2], "b": [1, 2]}
    assert source.locate(("b", 1)).line == 1


def test_a_hundred_problems_are_kept_and_the_number_of_the_others():
    problems = read_yaml("".join("a: 1\n" for _ in range(500))).problems
    assert len(problems) == 101
    assert problems[-1].message == "399 more problems are not shown"


def test_an_empty_text_is_no_value():
    assert read_yaml("").tree is None
    assert read_yaml("# nothing\n").tree is None


@settings(max_examples=5 * settings().max_examples)
@given(st.text("ab:-[]{},&*!#|>'\"%@` \n\t01.\\x", max_size=60))
def test_no_text_raises_anything_but_a_spec_error(text):
    assert all(problem.where.line >= 1 for problem in problems_of(text))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("v: {shape: [1], tied_to: l.{i}.x}", 'quote it: "l.{i}.x"'),
        ("layers: {h.{i}: {params: {}}}", 'quote it: "h.{i}"'),
        ("v: {stddev: w[0]}", "an item of a list var is read as w(0)"),
        ("v: {stddev: w[0}", "an item of a list var is read as w(0)"),
        ("v: {shape: [2] initializer: zeros}", "separate entries by a comma"),
        (
            "v: {shape: [2]\nw: 1",
            "close the bracket that opens in line 1, column 4, or separate entries by a comma",
        ),
        ("v: {shape: [2, 3}", "close the bracket that opens in line 1, column 12"),
        ("v: {shape: [2, 3]", "close the bracket that opens in line 1, column 4"),
        ("v: normal:\n  stddev: 1", "put normal: on its own line below, indented, or write {normal: {...}}"),
        ("v: {stddev: 0,02}", "write a decimal point: 0.02"),
        ("v: (2, 3)\nw: [(2, 3)]", "write a list: [2, 3]"),
    ],
)
def test_inside_brackets_the_hint_follows_from_where_reading_stops(text, hint):
    assert problems_of(text)[0].hint == hint


@pytest.mark.parametrize(
    "text",
    [
        "%YAML 1.1\n---\na: 1",
        "%YAML 1.2.3\n---\na: 1",
        "%YAML 1.2\n%TAG ! b\n---\na: 1",
        "%YAML 1.2\n# c\n%YAML 1.2\n---\na: 1",
        "%YAML 1.2\r\n%OTHER\r\n---\r\na: 1",
    ],
)
def test_no_directive_is_read_but_the_version_of_yaml(text):
    assert problems_of(text)[0].code == Code.TAG
    assert read_yaml("# c\n%YAML 1.2 # c\n---\na: 1").tree == {"a": 1}


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("<<: {a: 1}\nb: 2\n", {"a": 1, "b": 2}),
        ("a: 3\n<<: {a: 1, b: 2}\n", {"a": 3, "b": 2}),
        ("<<: [{a: 1}, {a: 2, b: 2}]\n", {"a": 1, "b": 2}),
        ('"<<": {a: 1}\n', {"<<": {"a": 1}}),
    ],
)
def test_a_merge_key_brings_in_what_a_mapping_does_not_say_itself(text: str, tree: object) -> None:
    read = read_yaml(text)
    assert (read.tree, read.problems) == (tree, ())


def test_what_a_merge_key_brings_in_keeps_its_place() -> None:
    read = read_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\n")
    assert read.locate(("b", "x")).line == 1
    assert read.locate(("b", "y")).line == 2
