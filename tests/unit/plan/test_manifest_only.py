"""A document that describes parameters and names a manifest covers it exactly."""

from __future__ import annotations

import pytest

from initcfg.errors import SpecError
from initcfg.manifest import Manifest
from initcfg.plan import plan_reading
from initcfg.spec import read

ZEROS = {"shape": [2, 3], "initializer": "zeros"}


def planned(params, entries, **document):
    return plan_reading(read({"initcfg": 1, "params": params, **document}, manifest=Manifest(entries)))


def problems(params, entries, **document):
    with pytest.raises(SpecError) as caught:
        planned(params, entries, **document)
    return [(str(each.code), each.hint) for each in caught.value.diagnostics]


def test_equal_names_and_shapes_are_planned_in_the_documents_order() -> None:
    found = planned({"a": ZEROS, "b": ZEROS}, {"b": (2, 3), "a": (2, 3)})
    assert [parameter.name for parameter in found] == ["a", "b"]


def test_a_typo_is_told_from_both_sides() -> None:
    assert problems({"head.weihgt": ZEROS}, {"head.weight": (2, 3)}) == [
        ("not-in-manifest", "did you mean 'head.weight'?"),
        ("not-in-spec", "did you mean 'head.weihgt'?"),
    ]


def test_no_name_that_both_sides_have_is_taken_for_a_typo() -> None:
    (missing,) = problems({"ln1.bias": ZEROS}, {"ln1.bias": (2, 3), "ln2.bias": (2, 3)})
    assert missing == ("not-in-spec", "describe it, or remove layers and params and plan by rules alone")


def test_names_that_look_alike_are_told_apart_from_both_sides() -> None:
    assert problems({"\u00e9": ZEROS}, {"e\u0301": (2, 3)}) == [
        ("not-in-manifest", "did you mean 'e\u0301' (U+0065 U+0301, not U+00E9)?"),
        ("not-in-spec", "did you mean '\u00e9' (U+00E9, not U+0065 U+0301)?"),
    ]


def test_rules_do_not_plan_what_layers_forget() -> None:
    rules = [{"match": "**", "initializer": "zeros"}]
    found = problems({"a": {"shape": [2, 3]}}, {"a": (2, 3), "b": (1,)}, rules=rules)
    assert [code for code, _ in found] == ["not-in-spec"]


def test_axes_that_are_the_other_way_round_are_told_so() -> None:
    [(code, hint)] = problems({"a": ZEROS}, {"a": (3, 2)})
    assert code == "shape-mismatch"
    assert hint.endswith("the axes are the other way round")


def test_a_parameter_that_a_rule_skips_is_covered() -> None:
    rules = [{"match": "a", "skip": True}]
    found = planned({"a": {"shape": [2, 3]}, "b": ZEROS}, {"a": (2, 3), "b": (2, 3)}, rules=rules)
    assert [parameter.name for parameter in found] == ["b"]


@pytest.mark.parametrize("held", [["owner"], ["alias"], ["owner", "alias", "second"], ["second", "owner"]])
def test_of_tied_parameters_the_manifest_needs_only_one(held) -> None:
    tied = {"shape": [2, 3], "tied_to": "owner"}
    found = planned({"owner": ZEROS, "alias": tied, "second": tied}, dict.fromkeys(held, (2, 3)))
    assert len(found) == 3


def test_of_tied_parameters_the_manifest_needs_one() -> None:
    tied = {"shape": [2, 3], "tied_to": "owner"}
    found = problems({"owner": ZEROS, "alias": tied, "b": ZEROS}, {"b": (2, 3)})
    assert {code for code, _ in found} == {"not-in-manifest"}


def test_nothing_is_missing_while_the_document_is_not_whole() -> None:
    found = problems({"a": {"shape": ["x"], "initializer": "zeros"}}, {"a": (2, 3), "b": (1,)})
    assert [code for code, _ in found] == ["unknown-name"]
