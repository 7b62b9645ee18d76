"""What a probe has measured, as a value: one forward and one backward pass of a model for each plan.

Every number stands once for each seed, so that a reader sees its spread; None stands for a number that is
not finite, or that was not there to be measured. The JSON Schema is `schemas/probe.v1.schema.json`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Numbers = tuple[float | None, ...]


class Value(BaseModel):
    """A frozen value that knows no other keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_Each = TypeVar("_Each", bound=Value)


class Signal(Value):
    """What passes one place, forward or backward; a number for each seed."""

    square: Numbers = Field(description="the mean square of all elements")
    mean: Numbers = Field(description="the mean of all elements")
    expected: Numbers = Field(
        default=(),
        description="the mean square by theory, from the laws of the weights, of a gradient from that of the"
        " last block on; none where it is not known",
    )


class Block(Value):
    """The output of one call of a repeated layer; the first of all is the input of the first."""

    name: str
    forward: Signal
    backward: Signal = Field(description="of the gradient of the loss")
    rank: Numbers = Field(
        description="how many directions its rows take up: tr(G)**2 / tr(G**2) of their Gram matrix"
    )
    rows: int = Field(description="how many rows that is of: the rank is at most so much")
    adds: tuple[str, ...] = Field(
        default=(), description="the weights whose sums a residual block adds to its input"
    )
    starts_inside: bool = Field(
        default=False,
        description="whether what is expected starts from numbers measured inside the model, too",
    )
    scales: bool = Field(
        default=False,
        description="whether theory knows only linear functions and ReLU before it, and no bias but 0",
    )


class Leaf(Value):
    """The output of one call of a module that calls no other."""

    name: str
    kind: str = Field(description="the name of its class")
    forward: Signal
    backward: Signal


class Nonlinearity(Value):
    """One call of a softmax, an attention, or an activation function whose flat parts are known."""

    name: str = Field(description="the module in which it was called")
    function: str
    dead: Numbers = Field(default=(None,), description="the share of units that are 0 for all of the batch")
    saturated: Numbers = Field(
        default=(None,),
        description="the share of elements where the slope is less than a tenth of its largest",
    )
    entropy: Numbers = Field(
        default=(None,),
        description="of a softmax or an attention, the mean entropy over that of a uniform choice",
    )


class Weight(Value):
    """One parameter, and a first step of two optimizers against it."""

    name: str
    shape: tuple[int, ...]
    fan_in: int | None = Field(default=None, description="by the layout of the plan; none without")
    square: Numbers = Field(description="the mean square of its elements")
    gradient: Numbers = Field(description="the mean square of the gradient")
    sgd: Numbers = Field(
        description="the size of a step of SGD with a learning rate of 1 over that of the weights"
    )
    adam: Numbers = Field(description="likewise of Adam's first step")


class Run(Value):
    """What one plan comes to in the model."""

    name: str
    fingerprint: str | None = Field(
        description="of the plan with its own seed; none of a model's own weights"
    )
    seeds: tuple[int, ...]
    loss: Numbers
    blocks: tuple[Block, ...]
    leaves: tuple[Leaf, ...]
    nonlinearities: tuple[Nonlinearity, ...]
    weights: tuple[Weight, ...]
    seconds: float = Field(description="of all passes of this plan, with making the weights")
    nbytes: int = Field(description="of the weights, their gradients and the leaves' outputs, in one pass")

    @model_validator(mode="after")
    def _has_all_numbers(self) -> Run:
        passes = max(1, len(self.seeds))
        signals = [signal for block in self.blocks for signal in (block.forward, block.backward)]
        if any(len(each.square) != passes or len(each.expected) not in (0, passes) for each in signals):
            raise ValueError(f"of {self.name} a block has not one number for each seed")
        return self


def joined(same: Sequence[_Each]) -> _Each:
    """The same thing of several passes as one value: its numbers in a row, all else as in the first."""
    numbers = [name for name, field in type(same[0]).model_fields.items() if field.annotation == Numbers]
    rows = {name: tuple(value for each in same for value in getattr(each, name)) for name in numbers}
    return same[0].model_copy(update=rows)


def finite(value: float) -> float | None:
    """The same number, or None where it is none that JSON can write."""
    return value if math.isfinite(value) else None


def middle(numbers: Iterable[float | None]) -> float | None:
    """The geometric mean, for what grows by factors: 0 where one is 0, None where one is missing."""
    found = list(numbers)
    if not found or any(each is None or each < 0 for each in found):
        return None
    return math.exp(sum(math.log(each) for each in found if each) / len(found)) if all(found) else 0.0


def average(numbers: Iterable[float | None]) -> float | None:
    """The mean of the numbers that are there; None of none."""
    found = [each for each in numbers if each is not None]
    return sum(found) / len(found) if found else None


def growth(places: Sequence[Numbers]) -> tuple[float, float | None] | None:
    """The factor of a mean square from one place to the next, and the standard error of its logarithm.

    The factor is the geometric mean over the places and the seeds. The error is that of the mean over seeds,
    None for one seed. None where there are too few places, or a number is missing or 0.

    Example:
        >>> factor, error = growth([(1.0, 1.0), (2.0, 2.0), (4.0, 4.0)])
        >>> round(factor, 3), error
        (2.0, 0.0)
    """
    if len(places) < 2 or not places[0]:
        return None
    rates = []
    for first, last in zip(places[0], places[-1], strict=True):
        if not first or not last or first <= 0 or last <= 0:
            return None
        rates.append(math.log(last / first) / (len(places) - 1))
    mean = sum(rates) / len(rates)
    if len(rates) < 2:
        return math.exp(mean), None
    variance = sum((rate - mean) ** 2 for rate in rates) / (len(rates) - 1)
    return math.exp(mean), math.sqrt(variance / len(rates))


def repeated_modules(names: Iterable[str]) -> tuple[str, ...]:
    """The repeated layers that the full names of parameters tell of: the outermost ones, in order.

    A layer is repeated where another one beside it, with another number, has a parameter of the same name.

    Example:
        >>> repeated_modules(["wte.w", "h.0.fc.w", "h.0.fc.0.b", "h.1.fc.w", "out.w"])
        ('h.0', 'h.1')
    """
    inside: dict[str, dict[str, set[str]]] = {}  # of each container its numbered members, and what they hold
    for name in names:
        segments = name.split(".")
        for at, segment in enumerate(segments[:-1]):
            if segment.isdecimal():
                container, member = ".".join(segments[:at]), ".".join(segments[: at + 1])
                inside.setdefault(container, {}).setdefault(member, set()).add(".".join(segments[at + 1 :]))
    found: list[str] = []
    for container in sorted(inside, key=lambda each: each.count(".") + bool(each)):
        if any(container == each or container.startswith(f"{each}.") for each in found):
            continue
        members = inside[container]
        for member, held in members.items():
            if any(held & other for name, other in members.items() if name != member):
                found.append(member)
    order = {name: at for at, name in enumerate(name for members in inside.values() for name in members)}
    return tuple(sorted(found, key=lambda each: order[each]))


def numbered_blocks(names: Iterable[str]) -> set[str]:
    """The repeated layers of parameters whose numbers follow an underscore, by the names of layers.

    Of ``dense`` and ``dense_1``, as Keras numbers, the first is number 0.

    Example:
        >>> sorted(numbered_blocks(["stem.w", "Block_0.Dense_0.w", "Block_1.Dense_0.w"]))
        ['Block_0', 'Block_1']
        >>> sorted(numbered_blocks(["dense.kernel", "dense_1.kernel", "head.kernel"]))
        ['dense', 'dense_1']
    """
    full = list(names)
    paths = {".".join(name.split(".")[:depth]) for name in full for depth in range(1, name.count(".") + 1)}

    def dotted(path: str) -> str:
        segments = path.split(".")
        starts = (".".join(segments[: at + 1]) for at in range(len(segments)))
        numbered = (
            f"{segment}.0" if f"{start}_1" in paths and f"{start}_0" not in paths else segment
            for segment, start in zip(segments, starts, strict=True)
        )
        return re.sub(r"_(\d+)(?=\.|$)", r".\1", ".".join(numbered))

    repeated = set(repeated_modules(map(dotted, full)))
    return {path for path in paths if dotted(path) in repeated}
