"""Values put over a document from outside."""

from __future__ import annotations

from typing import Any

import pytest

from initcfg.errors import Code, SpecError
from initcfg.spec import Spec, load, loads, read

DOCUMENT: dict[str, Any] = {
    "initcfg": 1,
    "vars": {"d": 4, "widths": [1], "hidden": "4 * d"},
    "initializers": {"base": "zeros", "out.proj": "ones"},
    "params": {"w": {"shape": ["d"], "initializer": "base"}},
}


def problems(*settings):
    return read(DOCUMENT, settings=settings).problems


@pytest.mark.parametrize(
    ("setting", "changed"),
    [
        ("seed=7", {"seed": 7}),
        ("seed = 7", {"seed": 7}),
        ("dtype=bfloat16", {"dtype": "bfloat16"}),
        ("vars.d=1024", {"vars": DOCUMENT["vars"] | {"d": 1024}}),
        ("vars.d=1e-3", {"vars": DOCUMENT["vars"] | {"d": 1e-3}}),
        ("vars.hidden=2 * d", {"vars": DOCUMENT["vars"] | {"hidden": "2 * d"}}),
        ("vars.hidden=d == 4", {"vars": DOCUMENT["vars"] | {"hidden": "d == 4"}}),
        ("vars.widths=[1, 2]", {"vars": DOCUMENT["vars"] | {"widths": [1, 2]}}),
        ("initializers.base=he_normal", {"initializers": DOCUMENT["initializers"] | {"base": "he_normal"}}),
        (
            "initializers.out.proj={random_normal: {stddev: 0.01}}",
            {"initializers": DOCUMENT["initializers"] | {"out.proj": {"random_normal": {"stddev": 0.01}}}},
        ),
    ],
)
def test_a_setting_is_what_the_document_would_say(setting, changed):
    assert load(DOCUMENT, settings=[setting]) == load(DOCUMENT | changed)


def test_settings_of_python_are_values():
    settings = {"vars.widths": (1, 2), "seed": 5}
    assert load(DOCUMENT, settings=settings) == load(DOCUMENT, settings=["vars.widths=[1, 2]", "seed=5"])


def test_a_var_that_is_set_keeps_its_place_before_those_that_use_it():
    assert list(load(DOCUMENT, settings=["vars.d=1"]).vars) == ["d", "widths", "hidden"]


@pytest.mark.parametrize(
    ("setting", "code", "place", "hint"),
    [
        ("vars.dd=1", Code.SETTING, "--set vars.dd:1:1", "did you mean 'd'?"),
        ("initializers.bas=ones", Code.SETTING, "--set initializers.bas:1:1", "did you mean 'base'?"),
        ("sed=1", Code.SETTING, "--set sed:1:1", "did you mean 'seed'?"),
        ("layout=in_out", Code.SETTING, "--set layout:1:1", "a setting is"),
        ("vars=1", Code.SETTING, "--set vars:1:1", "a setting is"),
        ("params.w.shape=[1]", Code.SETTING, "--set params.w.shape:1:1", "a setting is"),
        ("vars.d.x=1", Code.SETTING, "--set vars.d.x:1:1", "it has d, widths, hidden"),
        ("d", Code.SETTING, "--set d:1:1", "a setting is"),
        ("d=5", Code.SETTING, "--set d:1:1", "did you mean 'vars.d'?"),
        ("seed=", Code.SETTING, "--set seed:1:1", "a setting is"),
        ("seed=1\ndtype=int8", Code.SETTING, "--set seed:1:1", "a setting is"),
        ("seed=1.5", Code.WRONG_TYPE, "--set seed:1:6", "write a whole number"),
        ("seed=~", Code.WRONG_TYPE, "--set seed:1:6", "write a whole number"),
        ("dtype=float33", Code.UNKNOWN_DTYPE, "--set dtype:1:7", "did you mean 'float32'?"),
        ("vars.d=2 *", Code.EXPRESSION_SYNTAX, "--set vars.d:1:11", None),
        ("vars.d=[1, 2", Code.SYNTAX, "--set vars.d:1:12", "close the bracket"),
        ("vars.d=.nan", Code.NOT_FINITE, "--set vars.d:1:8", "finite"),
        ("vars.d=!!int 3", Code.TAG, "--set vars.d:1:8", "delete the tag"),
        (
            "initializers.base={zero: {}, one: 2}",
            Code.WRONG_TYPE,
            "--set initializers.base:1:19",
            "short form",
        ),
        (
            "initializers.base={zeros: {a: 1}}",
            Code.UNKNOWN_KEY,
            "--set initializers.base:1:28",
            "no arguments",
        ),
    ],
)
def test_what_is_wrong_with_a_setting_has_its_place_in_the_setting(setting, code, place, hint):
    (found,) = problems(setting)
    assert (found.code, str(found.where)) == (code, place)
    assert hint is None or hint in found.hint
    assert found.where.text == setting.split("\n")[0]


def test_one_target_is_set_once():
    assert [each.code for each in problems("seed=1", "vars.d=3", "seed=1")] == [Code.SETTING]


def test_problems_of_settings_stand_beside_those_of_the_document():
    reading = read(DOCUMENT | {"name": 3}, settings=["vars.d=true", "seed=3"])
    assert [each.code for each in reading.problems] == [Code.WRONG_TYPE, Code.WRONG_TYPE]
    assert reading.left_out == {("name",), ("vars", "d")}
    assert reading.spec.seed == 3


def test_a_value_that_replaces_a_faulty_one_mends_the_document():
    assert load(DOCUMENT | {"seed": "x"}, settings=["seed=3"]).seed == 3


def test_settings_of_a_wrong_kind_are_refused():
    for settings in ("seed=1", 3, [3], {3: 1}):
        with pytest.raises(SpecError) as raised:
            load(DOCUMENT, settings=settings)  # type: ignore[arg-type]
        assert raised.value.diagnostics[0].code is Code.WRONG_TYPE


def test_settings_reach_inherited_parts_and_are_not_inherited_themselves(tmp_path):
    (tmp_path / "base.yaml").write_text("initcfg: 1\nvars: {d: 4, e: 5}\n")
    (tmp_path / "spec.yaml").write_text("initcfg: 1\nextends: base.yaml\n")
    spec = load(tmp_path / "spec.yaml", settings=["vars.d=8"])
    assert spec.vars == {"d": 8, "e": 5}
    assert str(spec.locate(("vars", "d"))) == "--set vars.d:1:8"
    assert str(spec.locate(("vars", "d"), key=True)) == f"{tmp_path}/base.yaml:2:8"
    assert (spec.is_inherited(("vars", "d")), spec.is_inherited(("vars", "e"))) == (False, True)


def test_a_spec_that_has_been_loaded_takes_settings():
    spec = loads("initcfg: 1\nvars: {d: 4}\n", file="a.yaml")
    again = load(spec, settings={"vars.d": 5})
    assert (again.vars["d"], str(again.locate(("initcfg",)))) == (5, "a.yaml:1:10")
    assert load(Spec(seed=3), settings={"seed": 4}) == Spec(seed=4)
