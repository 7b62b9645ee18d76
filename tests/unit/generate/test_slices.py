"""Runs cover a slice exactly, within a chunk, at a bounded cost."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices

from initcfg.generate import work
from initcfg.generate.work import CALL_COST, CHUNK, runs, slice_effort
from initcfg.plan.parameters import Selection


def cut(run: work.Run) -> np.ndarray:
    """The positions in the whole that a run puts into the result, by its definition."""
    steps = itertools.product(*(range(0, n * s, s) for n, s in zip(run.counts, run.spacings, strict=True)))
    return np.array([run.start + run.offset + sum(step) for step in steps])


@settings(max_examples=10 * settings().max_examples)
@given(st.data(), st.sampled_from([1, 5, 16, 64, CHUNK]), st.sampled_from([1, 8, 50, CALL_COST]))
def test_runs_give_the_slice_in_its_order_and_stay_within_a_chunk(data, chunk, call) -> None:
    shape = data.draw(array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=7))
    selection = Selection.of(shape, data.draw(basic_indices(shape, allow_newaxis=True)))
    numel = math.prod(shape)
    expected = np.arange(numel).reshape(shape)[selection.slices].reshape(-1)
    made = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "CHUNK", chunk)
        patch.setattr(work, "CALL_COST", call)
        assert sum(run.length for run in runs(shape, selection)) <= slice_effort(shape, selection)
        for run in runs(shape, selection):
            assert run.at == sum(map(len, made))  # type: ignore[arg-type]
            assert 0 <= run.start <= run.start + run.length <= numel
            assert run.length <= chunk
            made.append(cut(run))
            assert len(made[-1]) == run.size
            if run.is_solid:
                np.testing.assert_array_equal(made[-1], np.arange(run.start, run.start + run.length))
    np.testing.assert_array_equal(np.concatenate([*made, np.empty(0, int)]), expected)


@pytest.mark.parametrize(
    ("index", "count", "drawn"),
    [
        # Rows, and whole leading blocks, are drawn as they are.
        (np.s_[5], 1, 4096),
        (np.s_[100:200], 1, 100 * 4096),
        (np.s_[-1, 7:9], 1, 2),
        (np.s_[:], 16, 4096 * 4096),
        (np.s_[::-1], 16, 4096 * 4096),
        # A few columns: one pass over all costs less than a call a row.
        (np.s_[:, :2], 16, 4096 * 4096),
        # A few rows far apart: a call each.
        (np.s_[::1024], 4, 4 * 4096),
        (np.s_[::1024, 10:12], 4, 8),
        (np.s_[::64, 10:12], 64, 128),
        # Every second row: what lies between costs less than calls do.
        (np.s_[:64:2], 1, 63 * 4096),
        (np.s_[3, 4], 1, 1),
        (np.s_[0:0], 0, 0),
    ],
)
def test_the_cheaper_way_is_taken(index, count, drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "CALL_COST", 1 << 14)
    made = list(runs((4096, 4096), Selection.of((4096, 4096), index)))
    assert len(made) == count
    assert sum(run.length for run in made) == pytest.approx(drawn, rel=0.01)
    wanted = sum(run.size for run in made)
    assert all(run.is_solid for run in made) == (wanted == drawn and index != np.s_[::-1])


def test_a_slice_of_something_huge_costs_what_the_slice_is_worth() -> None:
    shape = (2**20, 2**20, 2**20)
    made = list(runs(shape, Selection.of(shape, np.s_[-1, :: 2**18, 5:9])))
    assert [(run.start, run.length) for run in made] == [
        ((2**20 - 1) * 2**40 + row * 2**38 + 5, 4) for row in range(4)
    ]


def test_what_is_drawn_and_thrown_away_is_work() -> None:
    shape = (30_000, 65_536)
    column = slice_effort(shape, Selection.of(shape, np.s_[:, 0]))
    assert 30_000 * CALL_COST <= column <= 2 * 30_000 * 65_536
    assert slice_effort(shape, Selection.of(shape, np.s_[0:0])) == 0
