"""Figures for papers with the real matplotlib: what is drawn is what the figures hold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.figure import Figure

import initcfg
from initcfg import plot
from initcfg.probe import Block, Probe, Run, Signal
from initcfg.report import Source, figures_of, spectrum_of
from initcfg.verification import verify

if TYPE_CHECKING:
    from initcfg.report.values import Model

CONFIGS = Path(__file__).parents[2] / "configs"


def new_axes() -> Any:
    return Figure().subplots()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    plan = initcfg.make_plan(
        CONFIGS / "gpt2.yaml", settings={"vars.d": 64, "vars.n_layer": 4, "vars.vocab": 500}
    )
    weights = {name: np.array(values) for name, values in initcfg.materialize(plan).items()}
    weights["transformer.h.1.mlp.c_fc.weight"] *= 3
    path = tmp_path_factory.mktemp("weights") / "w.npz"
    np.savez(path, **weights)  # type: ignore[arg-type]
    found = verify(path, plan, law=True, histograms=True)
    return figures_of([Source("gpt2.yaml", plan, found=found)]).models[0]


def test_marks_of_the_map_stand_where_the_rows_say(model: Model) -> None:
    axes = new_axes()
    assert plot.map(model, axes) is axes
    drawn = {tuple(point) for marks in axes.collections[1:] for point in marks.get_offsets().tolist()}
    assert drawn == {(row.fan_in, row.std) for row in model.rows if row.kind == "matrix" and row.std}


def test_lines_of_depth_are_the_series(model: Model) -> None:
    axes: Any = plot.depth(model, new_axes())
    drawn = [line.get_xydata().tolist() for line in axes.lines[2:]]
    assert drawn == [[[point.block, point.gain] for point in each.points] for each in model.depth]


def test_laws_are_drawn_with_what_differs_first(model: Model) -> None:
    axes: Any = plot.laws(model, new_axes(), most=3)
    names = [label.get_text().partition("\n")[0] for label in axes.get_yticklabels()]
    assert (names[0], len(names)) == ("transformer.h.1.mlp.c_fc.weight", 3)
    assert axes.texts[0].get_text() == "std is 3 x the law's 0.02"
    (first, *_) = [law for law in model.weights.laws if law.problem]
    heights, edges, base = axes.patches[0].get_data()
    shares = (heights - base) / (heights - base).sum()
    assert shares == pytest.approx(np.array(first.counts.counts) / first.elements)
    assert edges[0] == first.counts.low


def test_the_density_of_independent_elements_has_area_one() -> None:
    matrix = np.random.default_rng(1).normal(0, 0.1, (300, 120))
    spectrum = spectrum_of(matrix)
    axes: Any = plot.spectrum(spectrum, new_axes())
    x, y = axes.lines[0].get_data()
    assert math.isclose(np.trapezoid(y, x), 1, rel_tol=0.01)
    assert axes.lines[1].get_xdata()[0] == spectrum.edges[1]
    assert axes.lines[2].get_xdata()[0] == spectrum.orthogonal
    # The histogram and the density agree.
    tops = [(patch.get_x() + patch.get_width() / 2, patch.get_height()) for patch in axes.patches]
    apart = [abs(height - np.interp(at, x, y)) for at, height in tops]
    assert np.mean(apart) < 0.1 * max(y)


def test_without_axes_some_are_made(model: Model) -> None:
    import matplotlib as mpl
    from matplotlib import pyplot

    mpl.use("agg")
    axes: Any = plot.map(model)
    pyplot.close(axes.figure)


def test_the_lines_of_a_signal_are_the_measured_squares_and_dashed_what_theory_expects() -> None:
    blocks = tuple(
        Block(
            name=f"h.{at}",
            forward=Signal(square=(2.0**at, 4.0**at), mean=(0.0, 0.0), expected=(3.0**at,) * 2),
            backward=Signal(square=(None, 1.0), mean=(0.0, 0.0)),
            rank=(1.0, 1.0),
            rows=8,
        )
        for at in range(4)
    )
    run = Run(
        name="a.yaml", fingerprint=None, seeds=(0, 1), loss=(1.0, 1.0), blocks=blocks, leaves=(),
        nonlinearities=(), weights=(), seconds=0.0, nbytes=0,
    )  # fmt: skip
    probe = Probe(version="1", model="Net", batch="8 rows", loss="as given", chance=None, runs=(run,))
    axes: Any = plot.signal(probe, new_axes())
    solid, dashed = (line.get_data()[1] for line in axes.lines)
    assert solid == pytest.approx([8 ** (at / 2) for at in range(4)])
    assert dashed == pytest.approx([3.0**at for at in range(4)])
    assert axes.get_yscale() == "log"
    with pytest.raises(ValueError, match="no signal"):
        plot.signal(probe, new_axes(), backward=True)
