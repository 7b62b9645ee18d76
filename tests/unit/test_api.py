"""The verbs with manifests, roots and settings."""

from __future__ import annotations

import pytest

import initcfg
from initcfg import Manifest, Spec, SpecError
from initcfg.errors import Code

RULES = {
    "initcfg": 1,
    "vars": {"v": 1},
    "rules": [{"match": "**", "initializer": {"constant": {"value": "v"}}}],
}


@pytest.mark.parametrize("kind", ["mapping", "value", "path"])
def test_a_plan_takes_a_manifest_of_any_kind(tmp_path, kind):
    shapes = {"w": (2, 3), "b": (3,)}
    path = tmp_path / "shapes.json"
    path.write_text('{"params": {"w": {"shape": [2, 3]}, "b": {"shape": [3]}}}')
    plan = initcfg.make_plan(
        RULES, manifest={"mapping": shapes, "value": Manifest(shapes), "path": path}[kind]
    )
    assert {parameter.name: parameter.shape for parameter in plan} == shapes


def test_a_manifest_that_is_given_takes_the_place_of_the_one_named():
    plan = initcfg.make_plan(RULES | {"manifest": "nowhere.json"}, manifest={"w": (2,)})
    assert [parameter.name for parameter in plan] == ["w"]


def test_a_spec_of_python_reads_its_manifest_and_what_it_extends(tmp_path, monkeypatch):
    (tmp_path / "shapes.yaml").write_text("params: {w: {shape: [2]}}\n")
    (tmp_path / "base.yaml").write_text("initcfg: 1\nmanifest: shapes.yaml\n")
    monkeypatch.chdir(tmp_path)
    spec = Spec(extends="base.yaml", rules=[{"match": "w", "initializer": "ones"}])
    plan = initcfg.make_plan(spec, root=tmp_path)
    assert [parameter.name for parameter in plan] == ["w"]
    assert initcfg.load_spec(Spec(extends="base.yaml"), root=tmp_path).manifest == "shapes.yaml"


def test_settings_reach_the_plan():
    plan = initcfg.make_plan(RULES, manifest={"w": (2,)}, settings={"vars.v": 5, "dtype": "float64"})
    assert initcfg.materialize(plan)["w"].tolist() == [5.0, 5.0]
    assert plan["w"].dtype.name == "float64"


def test_the_root_reaches_the_manifest(tmp_path):
    (tmp_path / "shapes.yaml").write_text("params: {w: {shape: [2]}}\n")
    (tmp_path / "specs").mkdir()
    path = tmp_path / "specs" / "spec.yaml"
    path.write_text("initcfg: 1\nmanifest: ../shapes.yaml\nrules: [{match: w, initializer: ones}]\n")
    assert len(initcfg.make_plan(path, root=tmp_path)) == 1
    with pytest.raises(SpecError) as raised:
        initcfg.make_plan(path)
    assert [each.code for each in raised.value.diagnostics] == [Code.OUTSIDE_ROOT]


def test_a_plan_that_is_made_is_not_changed():
    plan = initcfg.make_plan(RULES, manifest={"w": (2,)})
    assert initcfg.make_plan(plan) is plan
    for changes in ({"settings": ["vars.v=2"]}, {"manifest": {"w": (2,)}}):
        with pytest.raises(ValueError, match="a plan is made already"):
            initcfg.make_plan(plan, **changes)


def test_a_spec_without_changes_is_given_back():
    spec = Spec(seed=3)
    assert initcfg.load_spec(spec) is spec
    assert initcfg.load_spec(spec, settings={"seed": 4}) == Spec(seed=4)
