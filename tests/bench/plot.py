"""The picture of the benchmark: elements a second, a panel a task, bars on one logarithmic scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

__all__ = ["draw"]

_OURS, _FLOOR, _PEER = "#1b6ca8", "#9aa5b1", "#d9822b"


def draw(panels: Sequence[tuple[str, Sequence[tuple[str, float]]]], path: str) -> None:
    """Draw the panels under one another.

    Args:
        panels: a title each, and the contenders with their elements a second.
        path: where the picture goes; its suffix chooses the format.
    """
    heights = [len(rows) + 1.5 for _, rows in panels]
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(8, 0.27 * sum(heights)),
        sharex=True,
        squeeze=False,
        height_ratios=heights,
        layout="constrained",
    )
    for axis, (title, rows) in zip(axes[:, 0], panels, strict=True):
        _panel(axis, title, rows)
    axes[-1, 0].set_xlabel("G elements a second (logarithmic)")
    figure.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None)
    plt.close(figure)


def _panel(axis: Axes, title: str, rows: Sequence[tuple[str, float]]) -> None:
    names, rates = [name for name, _ in rows], [rate / 1e9 for _, rate in rows]
    bars = axis.barh(names, rates, color=[_color(name) for name in names], height=0.7)
    axis.bar_label(bars, fmt="{:.3g}", padding=3, fontsize=7)
    axis.set_xscale("log")
    axis.invert_yaxis()
    axis.margins(x=0.15)
    axis.tick_params(labelsize=8)
    axis.set_title(title, loc="left", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)


def _color(name: str) -> str:
    if name.startswith("initcfg"):
        return _OURS
    return _FLOOR if name == "ndarray.fill" else _PEER
