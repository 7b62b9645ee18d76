"""Weights in memory."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import initcfg
from initcfg import materialize
from initcfg.errors import Code, InitializerError, SpecError, UnknownParameterError
from initcfg.generate.work import CHUNK
from initcfg.initializers import (
    Concatenate,
    Constant,
    FunctionInitializer,
    Initializer,
    Ones,
    Orthogonal,
    RandomNormal,
    Zeros,
)
from initcfg.plan import Plan


@pytest.fixture
def plan(planned) -> Plan:
    """Large, small, empty, structured and tied parameters."""
    return Plan(
        "mixed",
        0,
        (
            planned("emb.w", (CHUNK // 1000 + 5, 1000)),
            planned("h.0.b", (7,), Zeros()),
            planned("h.0.w", (30, 20), Orthogonal()),
            planned("h.1.b", (), RandomNormal(0.0, 2.0), dtype="bfloat16"),
            planned("h.1.w", (0, 20), Orthogonal()),
            planned("none", (3, 0)),
            planned("head.w", (CHUNK // 1000 + 5, 1000), tied_to="emb.w"),
            planned("fused", (4, 6), Concatenate(1, (2, 4), (Ones(), RandomNormal(0.0, 1.0)))),
        ),
    )


def test_a_plan_gives_arrays_by_name_in_its_order(plan) -> None:
    weights = materialize(plan)
    assert list(weights) == [parameter.name for parameter in plan]
    for parameter in plan:
        array = weights[parameter.name]
        assert type(array) is np.ndarray
        assert (array.shape, array.dtype) == (parameter.shape, parameter.dtype.numpy)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.flags.owndata or array.base.nbytes - array.nbytes in range(2**21 + 1)


def test_large_arrays_begin_at_huge_pages(planned) -> None:
    large, odd, small = (planned(f"{size}", (size,)) for size in (2**19, 1_001_001, 2**19 - 1))
    assert [materialize(each).ctypes.data % 2**21 for each in (large, odd)] == [0, 0]
    assert materialize(small).base is None


def test_arrays_do_not_share_memory_but_for_tied_names(plan) -> None:
    weights = materialize(plan)
    assert weights["head.w"] is weights["emb.w"]
    assert len({id(array) for array in weights.values()}) == len(plan) - 1


def test_a_tied_name_chosen_without_its_target_has_its_values(plan) -> None:
    whole = materialize(plan)
    chosen = materialize(plan, "head.*")
    assert list(chosen) == ["head.w"]
    np.testing.assert_array_equal(chosen["head.w"], whole["emb.w"])
    np.testing.assert_array_equal(materialize(plan["head.w"]), whole["emb.w"])
    np.testing.assert_array_equal(materialize(plan["head.w"][5, ::100]), whole["emb.w"][5, ::100])


def test_select_chooses_by_name_and_changes_no_value(plan) -> None:
    whole = materialize(plan)
    chosen = materialize(plan, "h.*.*")
    assert list(chosen) == ["h.0.b", "h.0.w", "h.1.b", "h.1.w"]
    for name, array in chosen.items():
        np.testing.assert_array_equal(array, whole[name])


@pytest.mark.parametrize(
    ("select", "hint"),
    [
        ("h.0.ww", "did you mean 'h.0.w'?"),
        ("zzzzz", "the plan has 8 parameters, such as 'emb.w', 'h.0.b', 'h.0.w'"),
    ],
)
def test_a_select_that_matches_nothing_is_an_error(plan, select, hint) -> None:
    with pytest.raises(UnknownParameterError) as caught:
        materialize(plan, select)
    (problem,) = caught.value.diagnostics
    assert problem.code == Code.UNKNOWN_PARAMETER
    assert problem.message == f"{select!r} matches no parameter"
    assert problem.hint == hint


def test_a_malformed_select_is_an_error(plan) -> None:
    with pytest.raises(SpecError, match="'\\*\\*' stands for whole segments"):
        materialize(plan, "h**")


def test_a_plan_without_parameters_gives_nothing() -> None:
    assert materialize(Plan(None, 0, ())) == {}
    with pytest.raises(UnknownParameterError, match="the plan has no parameters"):
        materialize(Plan(None, 0, ()), "*")


def test_one_parameter_gives_its_array(plan) -> None:
    whole = materialize(plan)
    for parameter in plan:
        np.testing.assert_array_equal(materialize(parameter), whole[parameter.name])


def test_select_goes_with_a_plan_only(plan) -> None:
    with pytest.raises(TypeError, match="select chooses among the parameters of a plan"):
        materialize(plan["h.0.b"], "*")


def test_an_index_out_of_bounds_is_an_index_error(plan) -> None:
    with pytest.raises(IndexError, match="index 7 is out of bounds for axis 0"):
        plan["h.0.b"][7]


def test_a_parameter_is_no_sequence_of_slices(plan) -> None:
    with pytest.raises(TypeError):
        iter(plan["h.0.b"])


def test_a_slice_tells_its_form_before_it_is_made(plan) -> None:
    part = plan["h.0.w"][::2, None, 3]
    assert (part.shape, part.numel, part.nbytes, part.dtype.name) == ((15, 1), 15, 60, "float32")
    assert materialize(part).shape == (15, 1)


@pytest.mark.parametrize("name", ["emb.w", "h.0.w"])
def test_a_slice_is_an_array_of_its_own(plan, name) -> None:
    part = materialize(plan[name][::-2, 3:5])
    assert part.flags.c_contiguous
    assert part.flags.writeable
    assert part.base is None or part.base.size == part.size
    assert materialize(plan[name][1, 2]).shape == ()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    "part", [lambda plan: plan, lambda plan: plan["emb.w"], lambda plan: plan["h.0.w"][2]]
)
def test_progress_ends_with_all_bytes_and_never_goes_back(plan, part, threads) -> None:
    told = []
    source = part(plan)
    materialize(source, threads=threads, progress=lambda *now: told.append(now))
    assert told == sorted(told)
    assert told[-1] == (source.nbytes, source.nbytes)


def test_progress_is_told_in_the_calling_thread(plan) -> None:
    threads = set()
    materialize(plan, threads=3, progress=lambda *_: threads.add(threading.get_ident()))
    assert threads == {threading.get_ident()}


def test_an_unknown_engine_is_an_error(plan) -> None:
    with pytest.raises(InitializerError, match="no engine is named 'nunpy'"):
        materialize(plan, engine="nunpy")


class Custom(Initializer):
    """Counts its calls, which only one thread at a time may do."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def __call__(self, shape, dtype=None):
        self.threads.append(threading.get_ident())
        return np.full(shape, len(self.threads), dtype)


def test_custom_code_runs_in_the_calling_thread_in_the_plans_order(planned) -> None:
    custom = Custom()
    nested = Concatenate(0, (1, 1), (custom, Ones()))
    parameters = [planned(f"p{number}", (2, 3), nested if number % 2 else custom) for number in range(20)]
    parameters.insert(3, planned("big", (3, CHUNK)))
    weights = materialize(Plan(None, 0, tuple(parameters)), threads=4)
    assert set(custom.threads) == {threading.get_ident()}
    firsts = [array[0, 0] for name, array in weights.items() if name != "big"]
    assert firsts == list(range(1, 21))


def test_custom_code_that_returns_something_else_is_an_error_that_names_the_parameter(planned) -> None:
    def wrong(shape, dtype=None):
        return np.zeros(5, dtype)

    with pytest.raises(InitializerError, match=r"parameter 'w': wrong returned an array of shape"):
        materialize(planned("w", (2, 3), FunctionInitializer(wrong)))


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_custom_code_comes_through_with_the_parameters_name(planned, threads) -> None:
    def broken(shape, dtype=None):
        raise ZeroDivisionError("mine")

    plan = Plan(None, 0, (planned("ok", (3,)), planned("w", (2, 3), FunctionInitializer(broken))))
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        materialize(plan, threads=threads)
    assert caught.value.__notes__ == ["while parameter 'w' was being made"]


def test_an_initializers_own_seed_goes_before_the_name(planned) -> None:
    seeded = RandomNormal(0.0, 1.0, seed=3)
    for name in ("a", "b"):
        parameter = planned(name, (4, 6), seeded)
        np.testing.assert_array_equal(materialize(parameter), seeded((4, 6)))
        np.testing.assert_array_equal(materialize(parameter[1:, 2]), seeded((4, 6))[1:, 2])


def test_values_of_constants_reach_every_element(planned) -> None:
    array = materialize(planned("w", (3, CHUNK), Constant(2.5), dtype="float16"), threads=2)
    assert (array == 2.5).all()


def test_the_public_face_gives_the_same(plan) -> None:
    whole = materialize(plan)
    for name, array in initcfg.materialize(plan, threads=2).items():
        np.testing.assert_array_equal(array, whole[name])
