"""The figures of a report for papers: each function draws into axes of matplotlib, and gives them back.

Without axes it makes some, which needs matplotlib: ``pip install 'initcfg[plot]'``. What is drawn are the
numbers of `initcfg.report.figures_of`, as in the page of ``initcfg report``, or those of a probe.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from initcfg.names import number
from initcfg.plan import Plan
from initcfg.process import LOADING
from initcfg.report import Source, figures_of
from initcfg.report.pictures import USUAL, density, short_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from initcfg.probe import Probe
    from initcfg.report.values import Bins, HeldLaw, Model, Row, Spectrum

__all__ = ["depth", "laws", "map", "signal", "spectrum"]

_INK, _SOFT, _BAND, _GOOD, _BAD = "#1c2733", "#5a6876", "#e6f4ef", "#1f7a5c", "#b3161b"
# Okabe and Ito's colours, which people with any colour vision tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#6a51a3")
_MARKERS = "osD^v"


def map(model: Model | Plan, axes: Axes | None = None) -> Axes:  # noqa: A001  `plot.map` is what it is called
    """Draws every matrix by fan_in and the standard deviation of its law, beside LeCun's and He's lines.

    Args:
        model: a plan, or one of the models of `initcfg.report.figures_of`.
        axes: to draw into; None makes new ones.

    Raises:
        ImportError: no axes are given, and matplotlib is not installed.
        ValueError: the plan has no matrix whose law is known.

    Example:
        >>> import initcfg
        >>> plan = initcfg.make_plan({"initcfg": 1, "params": {"b": {"shape": [3], "initializer": "zeros"}}})
        >>> map(plan)
        Traceback (most recent call last):
        ValueError: no matrix to draw: none has a fan_in and a law with a spread
    """
    rows = [row for row in _model(model).rows if row.kind == "matrix" and row.fan_in and row.std]
    if not rows:
        raise ValueError("no matrix to draw: none has a fan_in and a law with a spread")
    axes = _axes(axes)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(short_name(row.name), []).append(row)
    fans = [row.fan_in or 1.0 for row in rows]
    ends = np.array([min(fans) / 1.7, max(fans) * 1.7])
    axes.fill_between(ends, (1 / USUAL / ends) ** 0.5, (USUAL / ends) ** 0.5, color=_BAND, lw=0)
    axes.plot(ends, (1 / ends) ** 0.5, color=_SOFT, lw=1.2, label="LeCun, 1/√fan_in")
    axes.plot(ends, (2 / ends) ** 0.5, color=_SOFT, lw=1.2, ls="--", label="He, √(2/fan_in)")
    for rank, (name, members) in enumerate(groups.items()):
        copies = sum(row.copies for row in members)
        axes.scatter(
            [row.fan_in or 1.0 for row in members],
            [row.std or 1.0 for row in members],
            s=[10 + 8 * math.log10(max(row.elements // row.copies, 1)) for row in members],
            marker=_MARKERS[rank % len(_MARKERS)],
            color=_COLOURS[rank % len(_COLOURS)],
            edgecolor="white",
            lw=0.6,
            zorder=3,
            label=f"{name} ×{copies}" if copies > 1 else name,  # noqa: RUF001
        )
    axes.set(
        xscale="log", yscale="log", xlim=tuple(ends), xlabel="fan_in", ylabel="standard deviation of the law"
    )
    axes.tick_params(axis="x", which="minor", labelbottom=False)
    axes.legend(fontsize="small", frameon=False)
    return axes


def depth(model: Model | Plan, axes: Axes | None = None) -> Axes:
    """Draws the gain ``std * sqrt(fan_in)`` of each repeated matrix from block to block; 1 keeps a variance.

    Arguments and errors are those of `map`; the ValueError is about repeated matrices.
    """
    series = _model(model).depth
    if not series:
        raise ValueError("no gain to draw: no matrix is repeated in three blocks")
    axes = _axes(axes)
    axes.axhspan(USUAL**-0.5, USUAL**0.5, color=_BAND, lw=0)
    axes.axhline(1, color=_SOFT, lw=1.2)
    axes.axhline(math.sqrt(2), color=_SOFT, lw=1.2, ls="--")
    for rank, each in enumerate(series):
        axes.plot(
            [point.block for point in each.points],
            [point.gain for point in each.points],
            marker="o",
            ms=4,
            color=_COLOURS[rank % len(_COLOURS)],
            label=short_name(each.name),
        )
    return _by_block(axes, "block", "gain = std · √fan_in")


def laws(model: Model, axes: Axes | None = None, *, most: int = 8) -> Axes:
    """Draws how often the values of weights are found, one tensor below the other, with each law as a line.

    What differs is red and comes first, then the largest.

    Args:
        model: of `initcfg.report.figures_of`, with weights that were held against laws.
        axes: to draw into; None makes new ones.
        most: how many to draw.

    Raises:
        ImportError: as in `map`.
        ValueError: the model holds no values of weights.
    """
    held = model.weights.laws if model.weights else ()
    drawn = sorted((law for law in held if law.counts), key=lambda law: (law.problem is None, -law.elements))
    if not drawn:
        raise ValueError("no values to draw: give weights, verify(path, plan, law=True, histograms=True)")
    drawn = drawn[:most]
    axes = _axes(axes)
    for rank, law in enumerate(drawn):
        _law(axes, law, -float(rank))
    axes.set_yticks([-rank + 0.2 for rank in range(len(drawn))], [_called(law) for law in drawn])
    axes.tick_params(axis="y", length=0)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    axes.set(xlabel="value", ylim=(0.1 - len(drawn), 1))
    return axes


def _law(axes: Axes, law: HeldLaw, base: float) -> None:
    assert law.counts is not None  # noqa: S101
    assert law.shares is not None  # noqa: S101
    colour = _BAD if law.problem else _GOOD
    total = max(1, sum(law.counts.counts) + law.counts.outside)
    edges, found = _densities(law.counts, [each / total for each in law.counts.counts])
    meant_edges, meant = _densities(law.shares, law.shares.shares)
    scale = 0.85 / max(found.max(), meant.max())
    axes.stairs(base + scale * found, edges, baseline=base, fill=True, color=colour, alpha=0.3, lw=0)
    # Upright at both ends: some laws have edges.
    x = np.concatenate([meant_edges[:1], (meant_edges[1:] + meant_edges[:-1]) / 2, meant_edges[-1:]])
    heights = np.concatenate([[0.0], meant, [0.0]])
    axes.plot(x, base + scale * heights, color=_INK, lw=1.2, ls="--" if law.problem else "-")
    told = law.problem
    if told is None:
        std = "" if law.found.std is None else f"std {number(law.found.std)}"
        told = std + (f"   z = {law.z.std:+.1f}" if law.z else "")
    axes.annotate(
        told,
        xy=(1, base + 0.35),
        xycoords=("axes fraction", "data"),
        ha="right",
        color=colour,
        fontsize="small",
    )


def _called(law: HeldLaw) -> str:
    part = f"[{law.part}]" if law.part else ""
    return f"{law.name}{part}\n{law.law} · {law.elements:,}"


def _densities(bins: Bins, shares: Sequence[float]) -> tuple[Any, Any]:
    """The edges of bins, and the height of each."""
    return bins.low + bins.width * np.arange(len(shares) + 1), np.array(shares) / bins.width


def spectrum(spectrum: Spectrum, axes: Axes | None = None, *, label: str | None = None) -> Axes:
    """Draws the singular values of a matrix beside what independent elements of its spread have.

    The line is the density of Marchenko and Pastur (1967) between its edges; the dotted one stands where an
    orthogonal matrix of the same standard deviation has all singular values.

    Args:
        spectrum: as `initcfg.report.spectrum_of` gives.
        axes: to draw into; None makes new ones.
        label: of the values; by default the name of the matrix.

    Raises:
        ImportError: as in `map`.
    """
    axes = _axes(axes)
    values, (low, high) = np.array(spectrum.values), spectrum.edges
    bins = max(10, min(60, len(values) // 8))
    axes.hist(values, bins=bins, density=True, color=_COLOURS[0], alpha=0.35, label=label or spectrum.name)
    if high > low:
        at = np.linspace(low, high, 400)
        heights = [density(spectrum, float(each)) for each in at]
        axes.plot(at, heights, color=_INK, lw=1.4, label="independent (Marchenko, Pastur)")
        axes.axvline(high, color=_SOFT, lw=1, ls="--", label="its edge")
    axes.axvline(spectrum.orthogonal, color=_COLOURS[1], lw=1.4, ls=":", label="orthogonal")
    axes.set(xlabel="singular value", ylabel="density")
    axes.legend(fontsize="small", frameon=False)
    return axes


def signal(probe: Probe, axes: Axes | None = None, *, backward: bool = False) -> Axes:
    """Draws the mean square after each block, a line a plan; dashed what theory expects, where it knows.

    Args:
        probe: as `initcfg.adapters.torch.probe` gives, or `initcfg.probe.Probe.load` reads.
        axes: to draw into; None makes new ones.
        backward: of the gradient of the loss in the place of the signal.

    Raises:
        ImportError: as in `map`.
        ValueError: no mean square is known.

    Example:
        >>> from initcfg.probe import Probe
        >>> signal(Probe(version="1", model="Net", batch="8 rows", loss="mean square", chance=1.0, runs=()))
        Traceback (most recent call last):
        ValueError: no signal to draw: the probe has no mean square of any block
    """
    depths = [each for each in probe.through_depth(backward=backward) if each.measured]
    if not depths:
        raise ValueError("no signal to draw: the probe has no mean square of any block")
    axes = _axes(axes)
    for rank, each in enumerate(depths):
        colour = _COLOURS[rank % len(_COLOURS)]
        at, _, squares = zip(*each.measured, strict=True)
        axes.plot(at, squares, marker="o", ms=4, color=colour, label=each.plan)
        if each.expected:
            at, _, squares = zip(*each.expected, strict=True)
            axes.plot(at, squares, color=colour, lw=1.2, ls="--")
    return _by_block(axes, "after block", f"mean square of the {'gradient' if backward else 'signal'}")


def _by_block(axes: Axes, x_label: str, y_label: str) -> Axes:
    locator: Any = axes.xaxis.get_major_locator()
    locator.set_params(integer=True)
    axes.set(yscale="log", xlabel=x_label, ylabel=y_label)
    axes.legend(fontsize="small", frameon=False)
    return axes


def _model(given: Model | Plan) -> Model:
    return figures_of([Source(given.name or "plan", given)]).models[0] if isinstance(given, Plan) else given


def _axes(axes: Axes | None) -> Axes:
    if axes is not None:
        return axes
    try:
        with LOADING:
            from matplotlib import pyplot  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ImportError("initcfg.plot needs matplotlib: pip install 'initcfg[plot]'") from error
    return pyplot.subplots(layout="constrained")[1]
