"""Values put into memory that is there: the bits of the whole, and nothing touched when code fails."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from initcfg import materialize
from initcfg.generate.memory import Target, fill_targets
from initcfg.generate.work import CHUNK
from initcfg.initializers import Concatenate, FunctionInitializer, Ones, Orthogonal, RandomNormal


def empty(source) -> Target:
    return Target(source, np.empty(source.shape, source.dtype.numpy))


@pytest.mark.parametrize("threads", [1, 3])
def test_targets_of_every_kind_hold_what_materialize_gives(planned, threads) -> None:
    large = planned("large", (CHUNK // 500, 1001))
    custom = planned("custom", (4, 6), FunctionInitializer(np.ones))
    sources = [
        large,
        large[::2, 3:700],
        planned("small", (), dtype="bfloat16"),
        planned("none", (0, 3)),
        planned("fused", (4, 6), Concatenate(1, (2, 4), (Ones(), RandomNormal(0.0, 1.0)))),
        planned("square", (9, 9), Orthogonal())[3:5],
        custom,
        custom[1:, 2],
        *(planned(f"crumb.{number}", (5,)) for number in range(300)),
    ]
    made = [empty(source) for source in sources]
    fill_targets(made, threads=threads)
    for target in made:
        np.testing.assert_array_equal(target.out, materialize(target.source))


@given(st.data(), array_shapes(min_dims=1, max_dims=3, max_side=6), st.integers(1, 3))
def test_a_parameter_in_any_slices_is_the_whole(planned, indices, data, shape, threads) -> None:
    parameter = planned("w", shape)
    whole = materialize(parameter)
    cuts = data.draw(st.lists(indices(shape), max_size=5))
    made = [empty(parameter[cut]) for cut in cuts]
    fill_targets(made, threads=threads)
    for cut, target in zip(cuts, made, strict=True):
        np.testing.assert_array_equal(target.out, whole[cut])


def test_memory_is_filled_where_it_is(planned) -> None:
    buffer = np.zeros((4, 5, 6), "float32")
    fill_targets([Target(planned("w", (5, 6)), buffer[2])])
    assert buffer[2].all()
    assert not buffer[[0, 1, 3]].any()


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.zeros((6, 4), "float32"), r"'w' is \(6, 4\) float32, and should be \(4, 6\) float32"),
        (np.zeros((4, 6), "float64"), r"'w' is \(4, 6\) float64"),
        (np.zeros((6, 4), "float32").T, "not C-contiguous and writeable"),
        (np.broadcast_to(np.float32(0), (4, 6)), "not C-contiguous and writeable"),
    ],
)
def test_memory_that_cannot_take_the_values_is_refused(planned, out, message) -> None:
    with pytest.raises(ValueError, match=message):
        Target(planned("w", (4, 6)), out)


@pytest.mark.parametrize("threads", [1, 2])
def test_code_that_fails_touches_no_target(planned, threads) -> None:
    def broken(shape, dtype=None):
        raise ZeroDivisionError("mine")

    fine = FunctionInitializer(np.ones)
    sources = [
        planned("large", (3, CHUNK)),
        planned("fine", (4, 4), fine),
        planned("square", (9, 9), Orthogonal()),
        planned("broken", (2,), FunctionInitializer(broken)),
    ]
    made = [Target(source, np.full(source.shape, 7, "float32")) for source in sources]
    with pytest.raises(ZeroDivisionError, match="mine"):
        fill_targets(made, threads=threads)
    for target in made:
        assert (target.out == 7).all()


def test_a_structured_parameter_is_made_once_for_all_of_its_slices(planned) -> None:
    made_by = []

    def counted(shape, dtype=None):
        made_by.append(threading.get_ident())
        return np.zeros(shape, dtype)

    parameter = planned("w", (8, 3), FunctionInitializer(counted))
    fill_targets([empty(parameter[at : at + 2]) for at in range(0, 8, 2)], threads=3)
    assert made_by == [threading.get_ident()]


def test_what_nothing_is_wanted_of_is_not_made(planned) -> None:
    def broken(shape, dtype=None):
        raise AssertionError

    fill_targets([empty(planned("w", (8, 3), FunctionInitializer(broken))[3:3])])


def test_progress_ends_with_all_bytes_and_never_goes_back(planned) -> None:
    custom = FunctionInitializer(np.ones)
    large = planned("large", (3, CHUNK))
    sources = [large, large[1], planned("square", (9, 9), Orthogonal()), planned("custom", (2,), custom)]
    told = []
    fill_targets(list(map(empty, sources)), threads=2, progress=lambda *now: told.append(now))
    assert told == sorted(told)
    assert told[-1] == (sum(each.nbytes for each in sources),) * 2
