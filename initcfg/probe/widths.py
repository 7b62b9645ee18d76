"""How far a few steps move the activations of a net as it grows wider: the coordinate check of muP.

Yang, Hu and others (2022), "Tensor Programs V: Tuning large neural networks via zero-shot hyperparameter
transfer", appendix D.1: under muP no activation's size, nor how far a step moves it, depends on the width.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, computed_field

from initcfg.explanations import published
from initcfg.names import fold, number
from initcfg.probe.values import Numbers, Value
from initcfg.tables import SEGMENTS, Column, Row, Table

# A power of the width below this is none. Standard parametrization has 1/2 and more.
_FLAT = 0.2
_ERRORS = 3.0


class Slope(NamedTuple):
    """The power of the width that something grows with, and its standard error."""

    power: float
    error: float

    @property
    def grows(self) -> bool:
        """Whether it is more than 0.2, and by three standard errors."""
        return not self.power - _ERRORS * self.error <= _FLAT

    @property
    def unclear(self) -> bool:
        """Whether it is more than 0.2, but not by three standard errors: it may be chance."""
        return self.power > _FLAT and not self.grows


class Moved(Value):
    """The output of one layer with a matrix: its root mean square, and how far the steps have moved it."""

    name: str
    parameters: tuple[str, ...]
    sizes: tuple[Numbers, ...] = Field(description="before the first step; a row a width, a number a seed")
    moves: tuple[tuple[Numbers, ...], ...] = Field(
        description="the root mean square of the change since, after each step, so likewise"
    )


class Sweep(Value):
    """What a few steps do to nets of several widths that one spec begins.

    As text it is a table of powers: how size and moves grow with the width, by layer and step.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)  # what is computed may be given, and is not read

    sweep: Literal[1] = 1
    version: str = Field(description="of initcfg")
    optimizer: str
    rate: float
    rates: str = Field(description="mup: scaled with the width as muP says; equal: the same for all")
    widths: tuple[int, ...]
    seeds: tuple[int, ...]
    layers: tuple[Moved, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return self.model_dump(mode="json")

    def slopes(self, layer: Moved) -> list[Slope]:
        """Of its size before the first step, then of its moves after each."""
        return [_slope(self.widths, sizes) for sizes in (layer.sizes, *layer.moves)]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def breaking(self) -> tuple[str, ...]:
        """The parameters of layers whose outputs grow with the width, in the order of the layers."""
        return self._parameters_of("yes")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def unclear(self) -> tuple[str, ...]:
        """The parameters of layers whose outputs may grow: too few seeds and widths to say."""
        breaking = set(self.breaking)
        return tuple(name for name in self._parameters_of("?") if name not in breaking)

    def _parameters_of(self, verdict: str) -> tuple[str, ...]:
        layers = (layer for layer in self.layers if self._verdict(layer) == verdict)
        return tuple(dict.fromkeys(name for layer in layers for name in layer.parameters))

    def _verdict(self, layer: Moved) -> str:
        """As the table says it: whether the output of a layer grows with the width."""
        slopes = self.slopes(layer)
        if any(slope.grows for slope in slopes):
            return "yes"
        return "?" if any(slope.unclear for slope in slopes) else ""

    def table(self) -> Table:
        """The powers by layer; those of a layer that grows are marked, and what they say stands below."""
        heads = ["size", *(f"step {at + 1}" for at in range(len(self.layers[0].moves) if self.layers else 0))]
        rows = []
        for layer in self.layers:
            verdict = self._verdict(layer)
            powers = [f"{each.power:+.2f} ± {each.error:.2f}" for each in self.slopes(layer)]
            rows.append(Row((layer.name, *powers, verdict), "problem" if verdict == "yes" else ""))
        columns = [
            Column("power of the width", SEGMENTS, style=None),
            *(Column(head, weight=len(heads) - at, right=True, style=None) for at, head in enumerate(heads)),
            Column("grows", style=None),
        ]
        steps = f"{self.optimizer} at {number(self.rate)}, rates {self.rates}"
        widths = f"widths {', '.join(map(str, self.widths))}, seeds {', '.join(map(str, self.seeds))}"
        return Table("from width to width", columns, rows, [f"{widths}; {steps}", *self._conclusions()])

    def _conclusions(self) -> list[str]:
        told = []
        if self.breaking:
            told.append("these grow with the width, and so break muP: " + _folded(self.breaking))
        if self.unclear:
            told.append("these may grow with the width, which more seeds tell: " + _folded(self.unclear))
        return told or ["nothing grows with the width, as under muP"]

    def _repr_html_(self) -> str:
        """For a notebook: the powers by layer, and what they say."""
        return self.table().html()

    def __str__(self) -> str:
        return self.table().text(80)


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a sweep."""
    return published("sweep", Sweep.model_json_schema(mode="serialization"))


def _folded(names: tuple[str, ...]) -> str:
    return ", ".join(name for (name,), _ in fold([((), (each,)) for each in names]))


def _slope(widths: tuple[int, ...], sizes: tuple[Numbers, ...]) -> Slope:
    """The least squares of logarithms; the error is from what is left. What is not finite grows."""
    points = [
        (math.log(width), math.log(size) if size else -math.inf if size == 0 else math.inf)
        for width, row in zip(widths, sizes, strict=True)
        for size in row
    ]
    if all(y == -math.inf for _, y in points):  # zero for every width
        return Slope(0.0, 0.0)
    if any(not math.isfinite(y) for _, y in points):
        return Slope(math.inf, 0.0)
    x_mean, y_mean = (sum(each) / len(points) for each in zip(*points, strict=True))
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    power = sum((x - x_mean) * (y - y_mean) for x, y in points) / spread
    left = sum((y - y_mean - power * (x - x_mean)) ** 2 for x, y in points)
    # Through two points there is always a line.
    return Slope(power, math.sqrt(left / (len(points) - 2) / spread) if len(points) > 2 else math.inf)
