"""Figures for papers, without matplotlib: what they say of it. Drawing is tested beside the real one."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import initcfg
from initcfg import plot
from initcfg.report import spectrum_of

NET = {
    "initcfg": 1,
    "layout": "out_in",
    "layers": {
        "h.{i}": {"repeat": {"i": 3}, "params": {"w": {"shape": [8, 4], "initializer": "he_normal"}}},
    },
}


@pytest.mark.parametrize("draw", [plot.map, plot.depth])
def test_without_matplotlib_the_extra_is_named(draw: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'initcfg\[plot\]'"):
        draw(initcfg.make_plan(NET))  # type: ignore[operator]


def test_what_holds_no_values_is_refused() -> None:
    model = plot._model(initcfg.make_plan(NET))
    with pytest.raises(ValueError, match="give weights"):
        plot.laws(model)


def test_a_spectrum_is_between_the_edges_of_independent_elements() -> None:
    plan = initcfg.make_plan({**NET, "params": {"w": {"shape": [400, 100], "initializer": "lecun_normal"}}})
    found = spectrum_of(initcfg.materialize(plan)["w"])
    assert found.edges == pytest.approx((found.std * 10, found.std * 30))
    assert found.edges[0] * 0.97 < found.values[-1] < found.values[0] < found.edges[1] * 1.03
    assert spectrum_of(
        np.linalg.qr(np.random.default_rng(0).normal(size=(60, 20)))[0]
    ).orthogonal == pytest.approx(1)


@pytest.mark.parametrize("array", [np.ones(3), np.ones((0, 3)), np.full((2, 2), np.nan)])
def test_a_spectrum_is_of_a_matrix_of_numbers(array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="a spectrum is of a matrix"):
        spectrum_of(array)
