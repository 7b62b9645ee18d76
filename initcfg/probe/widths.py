"""How far a few steps move the activations of a net as it grows wider: the coordinate check of muP.

Yang, Hu and others (2022), "Tensor Programs V: Tuning large neural networks via zero-shot hyperparameter
transfer", appendix D.1: under muP no activation's size, nor how far a step moves it, depends on the width.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from pydantic import Field

from initcfg.names import number
from initcfg.probe.values import Numbers, Value

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

    sweep: int = 1
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

    @property
    def breaking(self) -> tuple[str, ...]:
        """The parameters of layers whose outputs grow with the width, in the order of the layers."""
        return tuple(
            name
            for layer in self.layers
            if any(slope.grows for slope in self.slopes(layer))
            for name in layer.parameters
        )

    def __str__(self) -> str:
        steps = len(self.layers[0].moves) if self.layers else 0
        first = f"power of the width, {self.optimizer} at {number(self.rate)}, rates {self.rates}"
        heads = ["size", *(f"step {at + 1}" for at in range(steps))]
        lines = [first, " " * 24 + "".join(f"{each:>14}" for each in heads)]
        for layer in self.layers:
            found = "".join(f"{f'{each.power:+.2f} ± {each.error:.2f}':>14}" for each in self.slopes(layer))
            lines.append(f"{layer.name[-24:]:24}{found}")
        breaking = self.breaking
        told = "these grow with the width, and so break muP: " + ", ".join(breaking)
        return "\n".join([*lines, "", told if breaking else "nothing grows with the width, as under muP"])


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
    return Slope(power, math.sqrt(left / max(1, len(points) - 2) / spread))
