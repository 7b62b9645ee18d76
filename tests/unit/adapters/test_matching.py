"""A plan held against a model: everything that differs, at once."""

from __future__ import annotations

import pytest

import initcfg
from initcfg.adapters.matching import require_match
from initcfg.errors import Code, SpecError
from initcfg.manifest import Manifest, ManifestEntry

ZEROS = {"shape": [4, 3], "initializer": "zeros"}


def plan_of(params, **rest):
    return initcfg.make_plan({"initcfg": 1, "params": params, **rest})


def problems(plan, manifest):
    with pytest.raises(SpecError) as caught:
        require_match(plan, Manifest(manifest), "the module MLP")
    return [(each.code, each.message, each.hint) for each in caught.value.diagnostics]


@pytest.mark.parametrize("entry", [(4, 3), ManifestEntry((4, 3), "float32")])
def test_a_model_of_the_same_names_shapes_and_dtypes_matches(entry) -> None:
    require_match(plan_of({"w": ZEROS}), Manifest({"w": entry}), "the module MLP")


def test_every_problem_is_told_at_once_with_the_way_out() -> None:
    params = {"fc.weight": ZEROS, "fc.biass": ZEROS, "out": ZEROS, "zzz": ZEROS}
    model = {
        "fc.weight": ManifestEntry((3, 4), "bfloat16"),
        "fc.bias": (4, 3),
        "out": (4, 5),
        "unrelated.name": (1,),
    }
    assert problems(plan_of(params), model) == [
        (
            Code.SHAPE_MISMATCH,
            "'fc.weight' has shape (4, 3) in the plan and (3, 4) in the module MLP",
            "the axes are the other way round: the spec may have been written for another framework",
        ),
        (
            Code.DTYPE_MISMATCH,
            "'fc.weight' is float32 in the plan and bfloat16 in the module MLP",
            "give the model float32, or drop 'dtype:' from the spec: what states none is as the model has it",
        ),
        (
            Code.NOT_IN_MANIFEST,
            "the plan makes 'fc.biass', and the module MLP has no such parameter",
            "did you mean 'fc.bias'?",
        ),
        (
            Code.SHAPE_MISMATCH,
            "'out' has shape (4, 3) in the plan and (4, 5) in the module MLP",
            "give the shape that the model has",
        ),
        (
            Code.NOT_IN_MANIFEST,
            "the plan makes 'zzz', and the module MLP has no such parameter",
            "remove it from the spec, or skip it",
        ),
        (
            Code.NOT_IN_SPEC,
            "the module MLP has a parameter 'fc.bias', which the plan does not make",
            "did you mean 'fc.biass'?",
        ),
        (
            Code.NOT_IN_SPEC,
            "the module MLP has a parameter 'unrelated.name', which the plan does not make",
            "describe it in the spec, or leave it out on purpose with a rule that skips it",
        ),
    ]


def test_a_parameter_that_the_plan_skips_may_be_there_in_any_form_or_not() -> None:
    params = {"w": ZEROS, "b": {"shape": [4]}}
    plan = plan_of(params, rules=[{"match": "b", "skip": True}])
    require_match(plan, Manifest({"w": (4, 3), "b": (7, 7)}), "the module MLP")
    require_match(plan, Manifest({"w": (4, 3)}), "the module MLP")


@pytest.mark.parametrize("names", [["emb"], ["head"]])
def test_of_tied_names_the_model_needs_one(names) -> None:
    plan = plan_of({"emb": ZEROS, "head": {"shape": [4, 3], "tied_to": "emb"}})
    require_match(plan, Manifest(dict.fromkeys(names, (4, 3))), "the module MLP")


def test_tied_names_that_the_model_lacks_altogether_are_told() -> None:
    plan = plan_of({"emb": ZEROS, "head": {"shape": [4, 3], "tied_to": "emb"}, "b": ZEROS})
    found = problems(plan, {"b": (4, 3)})
    assert [code for code, _, _ in found] == [Code.NOT_IN_MANIFEST] * 2


def test_a_problem_has_the_place_in_the_spec(tmp_path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("initcfg: 1\nparams:\n  w: {shape: [4], initializer: zeros}\n", "utf-8")
    with pytest.raises(SpecError) as caught:
        require_match(initcfg.make_plan(path), Manifest({"w": (5,)}), "the module MLP")
    assert caught.value.diagnostics[0].where.line == 3


@pytest.mark.parametrize("order", [["emb", "head"], ["head", "emb"]])
def test_tied_names_that_are_two_parameters_of_the_model_are_refused(order, tmp_path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        "initcfg: 1\nparams:\n  emb: {shape: [4, 3], initializer: zeros}\n"
        "  head: {shape: [4, 3], tied_to: emb}\n"
    )
    with pytest.raises(SpecError) as caught:
        require_match(initcfg.make_plan(path), Manifest(dict.fromkeys(order, (4, 3))), "the model MLP")
    (problem,) = caught.value.diagnostics
    assert problem.code is Code.TIED
    assert problem.message == (
        f"{order[0]!r} and {order[1]!r} are tied in the plan, and two parameters in the model MLP"
    )
    assert problem.hint.startswith("write stream: emb in the place of tied_to, for equal values in two")
    assert problem.where.line == 4


def test_two_names_that_are_tied_to_a_third_are_refused_too() -> None:
    tied = {"shape": [4, 3], "tied_to": "emb"}
    found = problems(plan_of({"emb": ZEROS, "a": tied, "b": tied}), dict.fromkeys("ab", (4, 3)))
    assert [code for code, _, _ in found] == [Code.TIED]
    assert "stream: emb" in found[0][2]


def test_the_way_out_of_a_tie_works() -> None:
    normal = {"shape": [4, 3], "initializer": "random_normal"}
    plan = plan_of({"emb": normal, "head": normal | {"stream": "emb"}})
    require_match(plan, Manifest(dict.fromkeys(["emb", "head"], (4, 3))), "the model MLP")
    values = initcfg.materialize(plan)
    assert (values["emb"] == values["head"]).all()


def test_another_dtype_of_all_is_one_problem() -> None:
    params = {name: {"shape": [2], "initializer": "zeros"} for name in ("a.w", "b.w", "c.w")}
    model = {name: ManifestEntry((2,), "float16") for name in params}
    (found,) = problems(plan_of(params), model)
    assert found[:2] == (
        Code.DTYPE_MISMATCH,
        "all 3 parameters are float32 in the plan and float16 in the module MLP",
    )
    model["c.w"] = ManifestEntry((2,), "float32")
    assert len(problems(plan_of(params), model)) == 2


def test_copies_of_a_layer_are_told_as_one() -> None:
    params = {f"h.{at}.w": ZEROS for at in range(12)}
    with pytest.raises(SpecError) as caught:
        require_match(plan_of(params), Manifest(dict.fromkeys(params, (4, 5))), "the module MLP")
    assert len(caught.value.diagnostics) == 12
    assert "'h.{0..11}.w' has shape (4, 3) in the plan and (4, 5) in the module MLP (x12)" in str(
        caught.value
    )
    assert str(caught.value).count("error[") == 1


def test_no_name_that_plan_and_model_have_is_taken_for_a_typo() -> None:
    ((_, message, hint),) = problems(plan_of({"ln1.bias": ZEROS}), {"ln1.bias": (4, 3), "ln2.bias": (4, 3)})
    assert "'ln2.bias', which the plan does not make" in message
    assert hint.startswith("describe it in the spec")
