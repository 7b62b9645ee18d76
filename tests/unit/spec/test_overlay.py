"""One spec over another: what merges, what is replaced, where everything stands."""

from __future__ import annotations

import pytest

from initcfg.errors import Code, SpecError
from initcfg.spec import Param, Spec, dump_json, dump_tree, dump_yaml, load, loads, read

BASE = """
initcfg: 1
name: base
seed: 3
layout: in_out
vars: {d: 4, hidden: 4 * d, widths: [1, 2]}
initializers:
  base: {random_normal: {stddev: 0.02}}
  other: zeros
layers:
  h.{i}:
    repeat: {i: 2}
    params:
      w: {shape: [d, hidden], initializer: base}
      b: {shape: [hidden], initializer: zeros, stream: "x.{i}"}
params:
  cls: {shape: [d], initializer: base}
rules:
  - {match: "**.b", initializer: zeros}
  - {match: "**.c", initializer: {constant: {value: 3}}}
allow:
  - {code: random-bias, reason: drawn}
"""


@pytest.fixture
def over(tmp_path):
    """``over(text)``: the spec that a text gives when it extends `BASE`."""
    (tmp_path / "base.yaml").write_text(BASE)

    def make(text: str) -> Spec:
        (tmp_path / "spec.yaml").write_text(f"initcfg: 1\nextends: base.yaml\n{text}\n")
        return load(tmp_path / "spec.yaml")

    return make


def problems(build):
    with pytest.raises(SpecError) as raised:
        build()
    return raised.value.diagnostics


def test_a_file_that_only_extends_is_what_it_extends(over):
    assert over("") == loads(BASE)


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("seed: 7", {"seed": 7}),
        ("name: null", {"name": None}),
        ("vars: {d: 8}", {"vars": {"d": 8, "hidden": "4 * d", "widths": (1, 2)}}),
        ("vars: {widths: [3]}", {"vars": {"d": 4, "hidden": "4 * d", "widths": (3,)}}),
        ("allow: []", {"allow": ()}),
        ("layout: out_in\ndtype: bfloat16", {"layout": "out_in", "dtype": "bfloat16"}),
    ],
)
def test_what_is_written_above_counts_and_the_rest_stays(over, text, changed):
    base = loads(BASE)
    assert over(text) == Spec(**{name: getattr(base, name) for name in dump_tree(base)} | changed)


def test_an_initializer_is_replaced_whole(over):
    spec = over("initializers: {base: {random_normal: {mean: 1}}}")
    assert spec.initializers["base"].config == {"mean": 1}
    assert list(spec.initializers) == ["base", "other"]


def test_a_layer_keeps_what_is_not_written_again(over):
    layer = over("layers: {'h.{i}': {repeat: {j: 5}, params: {w: {dtype: int8}}}}").layers["h.{i}"]
    assert layer.repeat == {"j": 5}
    assert list(layer.params) == ["w", "b"]
    assert layer.params["w"] == Param(shape=["d", "hidden"], initializer="base", dtype="int8")


def test_a_null_takes_an_inherited_key_away(over):
    layer = over("layers: {'h.{i}': {params: {b: {stream: null, initializer: null}}}}").layers["h.{i}"]
    assert layer.params["b"] == Param(shape=["hidden"])


def test_a_tie_and_an_initializer_replace_each_other(over, tmp_path):
    tied = over("params: {cls: {tied_to: h.0.b}}").params["cls"]
    assert tied == Param(shape=["d"], tied_to="h.0.b")
    (tmp_path / "top.yaml").write_text("initcfg: 1\nextends: spec.yaml\nparams: {cls: {initializer: ones}}\n")
    assert load(tmp_path / "top.yaml").params["cls"] == Param(shape=["d"], initializer="ones")


def test_own_rules_come_first(over):
    spec = over('rules:\n  - {match: "**.c", skip: true}')
    assert [(rule.match, rule.skip) for rule in spec.rules] == [
        ("**.c", True),
        ("**.b", False),
        ("**.c", False),
    ]
    assert [spec.is_inherited(("rules", at)) for at in range(3)] == [False, True, True]


def test_new_vars_stand_where_those_that_use_them_can(over):
    assert list(over("vars: {x: 2, d: 8 * x, y: hidden}").vars) == ["x", "d", "hidden", "widths", "y"]


def test_every_part_has_the_place_where_it_was_written(over, tmp_path):
    spec = over('vars: {d: 8}\nrules:\n  - {match: "**.z", initializer: zeros}\nparams: {cls: {dtype: int8}}')
    places = {
        ("vars", "d"): "spec.yaml:3:11",
        ("vars", "hidden"): "base.yaml:6:22",
        ("rules", 0, "match"): "spec.yaml:5:13",
        ("rules", 2, "initializer", "constant", "value"): "base.yaml:20:53",
        ("params", "cls", "dtype"): "spec.yaml:6:23",
        ("params", "cls", "shape", 0): "base.yaml:17:17",
        ("layers", "h.{i}", "repeat"): "base.yaml:12:13",
    }
    for path, place in places.items():
        where = spec.locate(path)
        assert str(where) == f"{tmp_path}/{place}"
        assert where.path == path
    assert spec.is_inherited(("params", "cls", "shape"))
    assert not spec.is_inherited(("params", "cls"))


def test_an_extended_spec_is_written_as_one_document(over):
    spec = over("vars: {d: 8}")
    assert "extends" not in dump_tree(spec)
    assert loads(dump_yaml(spec)) == loads(dump_json(spec), "json") == spec


def test_chains_merge_from_the_bottom(over, tmp_path):
    over("seed: 4\nname: middle")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "top.json").write_text('{"initcfg": 1, "extends": "../spec.yaml", "seed": 5}')
    spec = load(tmp_path / "deep" / "top.json", root=tmp_path)
    assert (spec.seed, spec.name, spec.vars["d"]) == (5, "middle", 4)
    assert spec.locate(("seed",)).file.endswith("top.json")
    assert spec.locate(("name",)).file == str(tmp_path / "spec.yaml")
    assert spec.locate(("vars", "d")).file == str(tmp_path / "base.yaml")


def test_a_chain_has_an_end(tmp_path):
    for at in range(20):
        (tmp_path / f"{at}.yaml").write_text(f"initcfg: 1\nextends: {at + 1}.yaml\n")
    (tmp_path / "20.yaml").write_text("initcfg: 1\n")
    (found,) = problems(lambda: load(tmp_path / "0.yaml"))
    assert found.code is Code.TOO_LARGE
    assert load(tmp_path / "5.yaml") == Spec()


def test_a_circle_through_a_link_is_found(tmp_path):
    (tmp_path / "spec.yaml").write_text("initcfg: 1\nextends: link.yaml\n")
    (tmp_path / "link.yaml").symlink_to("spec.yaml")
    assert [each.code for each in problems(lambda: load(tmp_path / "spec.yaml"))] == [Code.EXTENDS_CYCLE]


def test_a_mapping_and_a_spec_of_python_extend_a_file_of_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "base.yaml").write_text(BASE)
    monkeypatch.chdir(tmp_path)
    with pytest.warns(
        UserWarning, match=r"'base.yaml', in a spec that has no file, .*; root= names the folder"
    ):
        spec = load({"initcfg": 1, "extends": "base.yaml", "seed": 5})
    assert spec == load(Spec(extends="base.yaml", seed=5), root=tmp_path)
    assert (spec.seed, spec.name) == (5, "base")
    assert (spec.locate(("seed",)).line, spec.locate(("name",)).line) == (None, 3)


def test_problems_of_all_files_are_told_in_one_run_the_own_file_first(over, tmp_path):
    (tmp_path / "base.yaml").write_text(BASE + "sede: 3\n")
    reading = read_over(over, tmp_path, "sed: 3\nvars: {d: true}")
    assert [(each.code, each.where.file.rpartition("/")[2]) for each in reading.problems] == [
        (Code.UNKNOWN_KEY, "spec.yaml"),
        (Code.WRONG_TYPE, "spec.yaml"),
        (Code.UNKNOWN_KEY, "base.yaml"),
    ]
    assert reading.left_out == {("sed",), ("vars", "d"), ("sede",)}
    assert reading.spec.name == "base"


def read_over(over, folder, text):
    with pytest.raises(SpecError):
        over(text)
    return read(folder / "spec.yaml")


def test_a_faulty_rule_keeps_its_place_as_one_that_skips(over, tmp_path):
    reading = read_over(over, tmp_path, 'rules: [{match: "**.x", initializer: 3}, {match: "[", skip: true}]')
    assert reading.left_out == {("rules", "0"), ("rules", "1")}
    assert [(rule.match, rule.skip) for rule in reading.spec.rules[:2]] == [("**.x", True), ("**", True)]
    assert len(reading.spec.rules) == 4


@pytest.mark.parametrize("folder", [".", "deep", "deep/er"])
def test_an_inherited_manifest_is_found_beside_its_own_file(tmp_path, folder):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "base.yaml").write_text("initcfg: 1\nmanifest: shapes.json\n")
    (tmp_path / "deep" / "shapes.json").write_text('{"params": {"w": {"shape": [2]}}}')
    up = {".": "deep", "deep": ".", "deep/er": ".."}[folder]
    path = tmp_path / folder / "spec.yaml"
    path.write_text(f"initcfg: 1\nextends: {up}/base.yaml\n")
    reading = read(path, root=tmp_path)
    assert reading.problems == ()
    assert list(reading.manifest.entries) == ["w"]
    again = read(reading.spec, root=tmp_path)
    assert again.manifest == reading.manifest
