"""What two plans do differently, and what is no difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import initcfg
from initcfg import initializers
from initcfg.diff import PlanDiff, compare_plans, diff_plans

NORMAL = {"random_normal": {"stddev": 0.02}}
BASE: dict[str, Any] = {
    "a": {"shape": [4, 6], "initializer": NORMAL},
    "b": {"shape": [4, 6], "initializer": "orthogonal"},
    "c": {"shape": [6], "initializer": "zeros"},
    "d": {"shape": [4, 6], "tied_to": "a"},
}


def plan(params: dict[str, Any], **facts: Any) -> initcfg.Plan:
    return initcfg.make_plan({"initcfg": 1, "layout": "in_out", "params": params, **facts})


def found(diff: PlanDiff) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(change.kind, change.name, change.aspects) for change in diff.changes]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"a": {"shape": [4, 6], "initializer": {"random_normal": {"stddev": 0.03}}}},
         [("changed", "a", ("law",)), ("changed", "d", ("law",))]),
        ({"a": {"shape": [4, 7], "initializer": NORMAL}, "d": {"shape": [4, 7], "tied_to": "a"}},
         [("changed", "a", ("shape",)), ("changed", "d", ("shape",))]),
        ({"b": {"shape": [4, 6], "dtype": "bfloat16", "initializer": "orthogonal"}},
         [("changed", "b", ("dtype",))]),
        ({"b": {"shape": [4, 6], "layout": "out_in", "initializer": "orthogonal"}},
         [("changed", "b", ("law",))]),
        ({"b": {"shape": [4, 6], "stream": "x", "initializer": "orthogonal"}},
         [("changed", "b", ("stream",))]),
        ({"c": {"shape": [6], "initializer": "ones"}}, [("changed", "c", ("law",))]),
        ({"c": {"shape": [6], "stream": "x", "initializer": "zeros"}}, []),
        ({"c": {"shape": [6], "initializer": {"constant": {"value": 0.0}}}}, []),
        ({"d": {"shape": [4, 6], "tied_to": "b"}}, [("changed", "d", ("tied_to",))]),
        ({"d": {"shape": [4, 6], "stream": "a", "initializer": NORMAL}}, [("changed", "d", ("tied_to",))]),
        ({"e": {"shape": [1], "initializer": "ones"}}, [("added", "e", ())]),
        ({"c": None}, [("removed", "c", ())]),
        ({"b": None, "new": {"shape": [4, 6], "stream": "b", "initializer": "orthogonal"}},
         [("renamed", "new", ())]),
        ({"b": None, "new": {"shape": [4, 6], "initializer": "orthogonal"}},
         [("added", "new", ()), ("removed", "b", ())]),
        ({"b": None, "new": {"shape": [6, 4], "stream": "b", "initializer": "orthogonal"}},
         [("added", "new", ()), ("removed", "b", ())]),
    ],
)  # fmt: skip
def test_each_kind_of_change_is_told(changes: dict[str, Any], expected: list[Any]) -> None:
    params = {name: param for name, param in (BASE | changes).items() if param is not None}
    diff = diff_plans(plan(BASE), plan(params))
    assert found(diff) == expected
    assert bool(diff) is bool(expected)
    assert diff.unchanged == len(params) - sum(kind != "removed" for kind, _, _ in expected)


def test_another_seed_changes_what_is_random() -> None:
    diff = diff_plans(plan(BASE), plan(BASE, seed=1))
    assert found(diff) == [("changed", name, ("stream",)) for name in "abd"]


def test_the_order_and_the_name_are_no_difference() -> None:
    backwards = dict(reversed(BASE.items()))
    assert not diff_plans(plan(BASE), plan(backwards, name="other"))


def test_one_removed_parameter_is_renamed_once() -> None:
    twice = {name: {"shape": [2], "stream": "x", "initializer": NORMAL} for name in ("p", "q")}
    diff = diff_plans(plan({"x": {"shape": [2], "initializer": NORMAL}}), plan(twice))
    assert found(diff) == [("renamed", "p", ()), ("added", "q", ())]


def test_code_that_cannot_be_written_down_is_compared_by_what_it_is() -> None:
    def ramp(shape: Any, dtype: Any = None) -> Any:
        return np.zeros(shape, dtype)

    def other(shape: Any, dtype: Any = None) -> Any:
        return np.ones(shape, dtype)

    one, two = (
        initcfg.make_plan(initcfg.Spec(params={"w": initcfg.Param(shape=[2], initializer=code)}))
        for code in (ramp, other)
    )
    assert not diff_plans(one, one)
    assert found(diff_plans(one, two)) == [("changed", "w", ("law",))]


def test_a_registered_class_is_compared_by_its_config() -> None:
    @initializers.register(package="tests", name="Level")
    class Level(initcfg.Initializer):
        def __init__(self, value: float) -> None:
            self.value = value

        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            return np.full(shape, self.value, dtype)

        def get_config(self) -> dict[str, Any]:
            return {"value": self.value}

    def made(value: float) -> initcfg.Plan:
        return initcfg.make_plan(
            initcfg.Spec(params={"w": initcfg.Param(shape=[2], initializer=Level(value))})
        )

    assert not diff_plans(made(1.0), made(1.0))
    assert found(diff_plans(made(1.0), made(2.0))) == [("changed", "w", ("law",))]


PARAMS = st.dictionaries(
    st.sampled_from("abcdef"),
    st.fixed_dictionaries(
        {
            "shape": st.sampled_from([[2, 3], [3, 2]]),
            "initializer": st.sampled_from(["zeros", "ones", "he_normal", "orthogonal", "identity"]),
        },
        optional={"stream": st.sampled_from("abx"), "dtype": st.just("float16")},
    ),
)


@given(PARAMS, PARAMS, st.integers(0, 1))
def test_there_is_a_difference_where_the_fingerprints_differ(
    one: dict[str, Any], two: dict[str, Any], seed: int
) -> None:
    old, new = plan(one), plan(two, seed=seed)
    diff = diff_plans(old, new)
    assert bool(diff) is (old.fingerprint != new.fingerprint)
    accounted = [change.new for change in diff.changes if change.new is not None]
    assert len(accounted) + diff.unchanged == len(new)
    gone = [change.old for change in diff.changes if change.old is not None]
    assert len(gone) + diff.unchanged == len(old)


@given(PARAMS, PARAMS)
def test_what_is_not_told_has_the_same_values(one: dict[str, Any], two: dict[str, Any]) -> None:
    old, new = plan(one), plan(two)
    diff = diff_plans(old, new)
    before, after = initcfg.materialize(old), initcfg.materialize(new)
    told = {change.name for change in diff.changes}
    for name in after.keys() - told:
        assert before[name].tobytes() == after[name].tobytes()
    for change in diff.of_kind("renamed"):
        assert change.old is not None
        assert before[change.old.name].tobytes() == after[change.name].tobytes()


def test_a_rename_joins_names_whose_streams_differ_and_ties_follow_it() -> None:
    new = plan({"m.a": BASE["a"] | {"stream": "a"}, "m.d": {"shape": [4, 6], "tied_to": "m.a"}})
    old = plan({"a": BASE["a"], "d": BASE["d"]})
    renamed = diff_plans(old, new, rename={"": "m"})
    assert found(renamed) == [("renamed", "m.a", ()), ("renamed", "m.d", ())]
    other = plan({"m.a": BASE["a"], "m.d": {"shape": [4, 6], "tied_to": "m.a"}})
    assert found(diff_plans(old, other, rename={"": "m"}))[0] == ("changed", "m.a", ("stream",))
    with pytest.raises(initcfg.SpecError, match="fits no name"):
        diff_plans(old, new, rename={"b": "m"})


class TestPlansBesideEachOther:
    def begins(self, *params: dict[str, Any], **facts: Any) -> dict[str, tuple[str | None, ...]]:
        found = compare_plans((str(at), plan(each, **facts)) for at, each in enumerate(params))
        return {row.name: row.begins for row in found.rows}

    def test_each_plan_has_its_own_words_and_none_where_it_has_no_such_parameter(self) -> None:
        less = {name: each for name, each in BASE.items() if name != "c"}
        other = BASE | {"c": {"shape": [6], "initializer": "ones"}, "e": {"shape": [], "initializer": "ones"}}
        assert self.begins(BASE, less, other) == {
            "a": ("normal(0, 0.02)",) * 3,
            "b": ("orthogonal",) * 3,
            "c": ("fill(0)", None, "fill(1)"),
            "d": ("tied to a",) * 3,
            "e": (None, None, "fill(1)"),
        }

    @pytest.mark.parametrize(
        ("one", "two", "begins"),
        [
            ("zeros", {"constant": {"value": 0.0}}, ("fill(0)", "fill(0)")),
            ({"random_normal": {"stddev": 0.02}}, {"random_normal": {"stddev": 0.02000001}},
             ("normal(0, 0.02), Normal(mean=0.0, std=0.02)",
              "normal(0, 0.02), Normal(mean=0.0, std=0.02000001)")),
            ("orthogonal", {"orthogonal": {"gain": 2}},
             ("orthogonal, Orthogonal()", "orthogonal, Orthogonal(gain=2.0)")),
        ],
    )  # fmt: skip
    def test_they_are_told_in_as_many_words_as_it_takes(
        self, one: Any, two: Any, begins: tuple[str, str]
    ) -> None:
        made = self.begins(*({"w": {"shape": [4, 4], "initializer": each}} for each in (one, two)))
        assert made["w"] == begins

    def test_shape_and_dtype_are_said_where_they_differ(self) -> None:
        narrow = {"w": {"shape": [4, 6], "dtype": "float16", "initializer": "zeros"}}
        long = {"w": {"shape": [4, 7], "dtype": "float16", "initializer": "zeros"}}
        first = {"w": {"shape": [4, 6], "initializer": "zeros"}}
        assert self.begins(first, narrow)["w"] == ("fill(0), float32", "fill(0), float16")
        assert self.begins(long, narrow)["w"] == ("fill(0), 4 \u00d7 7", "fill(0), 4 \u00d7 6")

    def test_seeds_and_streams_are_a_difference_of_what_is_random_only(self) -> None:
        params = {"w": {"shape": [2], "initializer": NORMAL}, "z": {"shape": [2], "initializer": "zeros"}}
        moved = params | {"w": {"shape": [2], "stream": "x", "initializer": NORMAL}}
        found = compare_plans({"one": plan(params), "two": plan(params, seed=3), "three": plan(moved)})
        assert [row.begins for row in found.rows] == [
            ("normal(0, 0.02), seed 0", "normal(0, 0.02), seed 3", "normal(0, 0.02), seed 0, stream x"),
            ("fill(0)",) * 3,
        ]

    def test_copies_of_a_layer_share_a_row_and_their_ties_follow_them(self) -> None:
        def layers(tied: bool) -> dict[str, Any]:
            made: dict[str, Any] = {}
            for at in range(3):
                made[f"h.{at}.w"] = {"shape": [2], "initializer": "zeros"}
                tie = {"shape": [2], "tied_to": f"h.{at}.w"}
                made[f"h.{at}.v"] = tie if tied else {"shape": [2], "initializer": "ones"}
            return made

        found = compare_plans([("tied", plan(layers(True))), ("free", plan(layers(False)))])
        assert [(row.name, len(row.members), row.differs) for row in found.rows] == [
            ("h.{0..2}.w", 3, False),
            ("h.{0..2}.v", 3, True),
        ]
        assert found.rows[1].begins == ("tied to h.{0..2}.w", "fill(1)")
        assert found.rows[1].members == ("h.0.v", "h.1.v", "h.2.v")
        assert (bool(found), found.alike) == (True, 3)

    def test_records_and_the_table_have_a_column_for_each_plan(self) -> None:
        other = BASE | {"c": {"shape": [6], "initializer": "ones"}}
        found = compare_plans({"old": plan(BASE), "new": plan(other)})
        assert found.records() == [{"name": "c", "copies": 1, "old": "fill(0)", "new": "fill(1)"}]
        assert [record["name"] for record in found.records(full=True)] == ["a", "b", "c", "d"]
        assert "1 differ, 3 alike" in found.table().text(80)
        assert "fill(1)" in found._repr_html_()

    def test_equal_plans_do_not_differ_and_one_may_stand_alone(self) -> None:
        assert not compare_plans({"one": plan(BASE), "two": plan(BASE)})
        assert compare_plans({"one": plan(BASE)}).alike == len(BASE)
        assert compare_plans({"one": plan(BASE)}).shown() == []

    def test_no_plan_is_left_out_while_names_can_take_less_room(self) -> None:
        def one(std: float) -> Any:
            initializer = {"truncated_normal": {"stddev": std}}
            return plan(
                {"transformer.h.0.attention.query.weight": {"shape": [4], "initializer": initializer}}
            )

        text = compare_plans({name: one(std) for name, std in (("p", 0.1), ("q", 0.1), ("r", 0.2))})
        assert "not shown" not in text.table().text(80)
        assert "r" in text.table().text(80).split("\n")[0].split()


@pytest.mark.parametrize(
    ("compare", "given"), [(diff_plans, ("old.yaml", "new.yaml")), (compare_plans, ({"old": "old.yaml"},))]
)
def test_what_is_no_plan_is_refused(compare: Any, given: Any) -> None:
    with pytest.raises(TypeError, match=r"takes a plan, not str: initcfg.make_plan\(spec\) makes one"):
        compare(*given)


@pytest.mark.parametrize("given", [[plan(BASE), plan(BASE)], "ab"])
def test_plans_without_names_are_not_compared(given: Any) -> None:
    with pytest.raises(TypeError, match="takes plans by their names"):
        compare_plans(given)
