"""Specs written back."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from initcfg.errors import SpecError
from initcfg.spec import Spec, dump_json, dump_tree, dump_yaml, loads
from initcfg.text.yaml_source import read_yaml
from initcfg.text.yaml_writer import write_yaml

TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(
        ["no", "Yes", "on", "y", "N", "null", "~", "true", "1e3", "1_0", "0x1F", "1:30", "=", "<<", "-"]
    ),
    st.sampled_from(
        ["2 * d", "2*n", "h.{i}", "{i}", "a: b", "a #b", "*", "&a", "!t", "%", "@", "|", "", " a", "a "]
    ),
    st.sampled_from(
        ["2024-01-01", "1.5", ".inf", "0o17", "+1", "é", "\x85", "\u2028", "\ufeff", "\U0001f600", "\n"]
    ),
)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e-05, 1e20, 1e16, 5e-324, -0.0, 1e-7, 1.5e300]),
)
TREES = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXTS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@given(TREES)
def test_written_yaml_is_read_as_it_was(tree):
    source = read_yaml(write_yaml(tree))
    assert not source.problems
    assert source.tree == tree


@given(TREES)
def test_readers_of_yaml_1_1_read_the_same(tree):
    assert yaml.safe_load(write_yaml(tree)) == tree


@given(st.dictionaries(st.sampled_from(["layers", "params", "initializers", "vars", "a"]), TREES, max_size=4))
def test_the_layout_of_groups_changes_nothing(tree):
    assert read_yaml(write_yaml(tree)).tree == tree


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1e-05, "1.0e-05"), (1e20, "1.0e+20"), (1.5e-07, "1.5e-07"), (0.02, "0.02"), (2.0, "2.0"), (3, "3"),
        ("2 * d", "2 * d"), ("d", "d"), ("no", '"no"'), ("1e-3", '"1e-3"'), ("a, b", '"a, b"'), ("", '""'),
        ("max(a, b)", '"max(a, b)"'), (None, "null"), (True, "true"), ([], "[]"), ({}, "{}"), ("2*d", "2*d"),
    ],
)  # fmt: skip
def test_values_are_written_as_people_write_them(value, written):
    assert write_yaml({"a": value}) == f"a: {written}\n"


def test_what_stands_at_its_default_is_left_out():
    assert dump_tree(Spec()) == {"initcfg": 1}
    assert dump_yaml(Spec()) == "initcfg: 1\n"


def test_a_schema_goes_into_a_comment_for_editors():
    written = dump_yaml(Spec(seed=3), schema="spec.v1.schema.json")
    assert written.startswith("# yaml-language-server: $schema=spec.v1.schema.json\n")
    assert loads(written) == Spec(seed=3)


def test_json_is_plain_json():
    spec = Spec(name="é\u2028", vars={"x": 1e-5})
    assert json.loads(dump_json(spec)) == dump_tree(spec)
    assert loads(dump_json(spec), "json") == spec


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="{}"), min_size=1, max_size=6)
EXPRESSIONS = st.sampled_from(["d", "2 * d", "max(d, 3)", "1e-3", "d // 2 if d > 3 else 1"])
SHAPES = st.lists(st.integers(0, 2**63 - 1) | EXPRESSIONS, max_size=3)
CONFIGS = st.one_of(
    st.sampled_from(["zeros", "GlorotUniform", "own"]),
    st.fixed_dictionaries({"random_normal": st.fixed_dictionaries({}, optional={"stddev": EXPRESSIONS})}),
    st.builds(
        lambda value: {"constant": {"value": value}},
        st.floats(-1e9, 1e9) | st.lists(st.integers(), max_size=3),
    ),
    st.just({"class_name": "HeNormal", "module": "keras.initializers", "config": {"seed": 3}}),
    st.dictionaries(
        NAMES, st.dictionaries(TEXTS, NUMBERS | TEXTS, max_size=2), min_size=1, max_size=1
    ).filter(lambda written: "class_name" not in written),
)
PARAMS = st.fixed_dictionaries(
    {"shape": SHAPES},
    optional={
        "initializer": CONFIGS,
        "dtype": st.just("int8"),
        "layout": st.just("OI"),
        "stream": st.just("a.{i}"),
    },
)
LAYERS = st.fixed_dictionaries(
    {"params": st.dictionaries(NAMES, PARAMS, max_size=2)},
    optional={"repeat": st.dictionaries(st.just("i"), st.sampled_from([3, "d", {"to": 4}, ["1e3", "no"]]))},
)
SPECS = st.builds(
    Spec,
    name=st.none() | st.text(st.characters(codec="utf-8"), max_size=5),
    seed=st.integers(0, 2**64 - 1),
    vars=st.dictionaries(st.sampled_from("dny"), NUMBERS | EXPRESSIONS | st.lists(NUMBERS, max_size=2)),
    initializers=st.dictionaries(st.sampled_from(["own", "no", "a-b.c"]), CONFIGS, max_size=2),
    layers=st.dictionaries(NAMES, LAYERS, max_size=2),
    params=st.dictionaries(NAMES, PARAMS, max_size=2),
)


@given(SPECS)
def test_load_of_dump_is_the_identity(spec):
    for again in (loads(dump_yaml(spec)), loads(dump_json(spec), "json")):
        assert again == spec
        assert list(again.layers) == list(spec.layers)
        assert dump_yaml(again) == dump_yaml(spec)


@pytest.mark.parametrize("dump", [dump_yaml, dump_json])
def test_what_could_not_be_read_again_is_not_written(dump) -> None:
    params = {f"p{i}": {"shape": [1], "initializer": "zeros"} for i in range(10_000)}
    with pytest.raises(SpecError) as caught:
        dump(Spec(params=params))
    assert [problem.code for problem in caught.value.diagnostics] == ["too-large"]


def test_rules_and_exceptions_have_a_line_each():
    spec = Spec(
        rules=[
            {"match": "**.bias", "initializer": "zeros", "dtype": "int8"},
            {"match": "h.{i}.*", "initializer": {"random_normal": {"stddev": "0.1 / (i + 1)"}}},
        ],
        manifest="shapes.json",
        allow=[{"code": "random-bias", "match": "[ab].b", "reason": "so: meant"}],
    )
    text = dump_yaml(spec)
    assert text == (
        "initcfg: 1\n"
        "rules:\n"
        '  - {match: "**.bias", initializer: zeros, dtype: int8}\n'
        '  - {match: "h.{i}.*", initializer: {random_normal: {stddev: 0.1 / (i + 1)}}}\n'
        "manifest: shapes.json\n"
        "allow:\n"
        '  - {code: random-bias, match: "[ab].b", reason: "so: meant"}\n'
    )
    assert loads(text) == loads(dump_json(spec), "json") == spec
