"""Passes of a model, whatever the framework: what is measured in one, and all of a plan put together."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from initcfg.errors import Code, SpecError
from initcfg.probe.values import Block, Leaf, Run, Signal, Weight, finite, joined
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from initcfg.plan import Plan
    from initcfg.probe.values import Nonlinearity

    Values = np.ndarray[Any, np.dtype[np.float64]]
    Moments = tuple[float | None, float | None]

_EPSILON = 1e-8  # of Adam
# The rank of features is computed from at most this many rows.
_ROWS = 256


class Seen(NamedTuple):
    """An output of a module that is looked at, or what the first block is given."""

    name: str
    kind: str
    is_block: bool
    is_leaf: bool


@dataclass(slots=True)
class Place:
    """What one output comes to, in one pass."""

    seen: Seen
    forward: Moments  # mean square and mean
    rank: float | None
    rows: int
    nbytes: int
    backward: Moments = (None, None)  # likewise of the gradient
    expected: tuple[float | None, float | None] = (None, None)  # the mean squares, by theory
    starts_inside: bool = False
    scales: bool = False
    adds: tuple[str, ...] = ()

    @classmethod
    def of(cls, seen: Seen, values: Values, nbytes: int) -> Place:
        """The place whose output has these values; `nbytes` is its size in the model."""
        return cls(seen, moments(values), *_rank(values), nbytes)


@dataclass(slots=True)
class Pass:
    """One forward and backward pass: places in the order of the calls, and what else was measured."""

    loss: float | None = None
    places: list[Place] = field(default_factory=list)
    nonlinearities: list[Nonlinearity] = field(default_factory=list)
    weights: list[Weight] = field(default_factory=list)
    nbytes: int = 0  # of the weights and their gradients

    @property
    def blocks(self) -> list[Place]:
        """The input of the first block, and the outputs of all."""
        return [each for each in self.places if each.seen.is_block]

    @property
    def leaves(self) -> list[Place]:
        """The outputs of modules that call no other."""
        return [each for each in self.places if each.seen.is_leaf]

    def add_weight(self, name: str, values: Values, gradient: Values | None, nbytes: int) -> None:
        """Takes in a parameter of the model with its gradient, if it gets one, and first steps at rate 1."""
        square, slope, direction = moments(values)[0], None, None
        if gradient is not None:
            slope = moments(gradient)[0]
            with np.errstate(invalid="ignore"):
                direction = moments(gradient / (np.abs(gradient) + _EPSILON))[0]
        self.weights.append(
            Weight(
                name=name,
                shape=values.shape,
                square=(square,),
                gradient=(slope,),
                sgd=(_size(slope, square),),
                adam=(_size(direction, square),),
            )
        )
        self.nbytes += 2 * nbytes


def moments(values: Values) -> Moments:
    """The mean square and the mean; None of no elements, or where they are not finite."""
    if not values.size:
        return None, None
    with np.errstate(over="ignore", invalid="ignore"):  # of NaN and infinite signals, too
        return finite(float(np.square(values).mean())), finite(float(values.mean()))


def _size(step: float | None, weights: float | None) -> float | None:
    return math.sqrt(step / weights) if step is not None and weights else None


def _rank(values: Values) -> tuple[float | None, int]:
    """The rank of rows as tr(G)**2 / tr(G**2) of their Gram matrix, and their number.

    Of three axes each token is a row, else each sample.
    """
    if values.ndim < 2 or not values.size:
        return None, 0
    rows = values.reshape(-1, values.shape[-1]) if values.ndim == 3 else values.reshape(len(values), -1)
    rows = rows[:: -(-len(rows) // _ROWS)]
    # Of numbers near 1 no square leaves the range of float64.
    largest = float(np.abs(rows).max())
    if not math.isfinite(largest) or largest == 0:
        return None, len(rows)
    gram = (rows / largest) @ (rows / largest).T
    return finite(float(np.trace(gram) ** 2 / np.square(gram).sum())), len(rows)


def reseeded(plan: Plan, seed: int) -> Plan:
    """The plan that the same spec makes with another seed; initializers with seeds of their own keep them."""
    return replace(
        plan,
        seed=seed,
        parameters=tuple(
            replace(each, stream=Stream.of_parameter(seed, each.stream_name))
            if each.stream == Stream.of_parameter(plan.seed, each.stream_name)
            else each
            for each in plan
        ),
    )


def run_of(
    name: str, plan: Plan | None, seeds: Sequence[int] | None, measure: Callable[[Plan | None], Pass]
) -> Run:
    """Measures a pass for each seed of a plan, or one of the model's own weights, and puts them together.

    Raises:
        SpecError: with another seed the model calls other modules, so that their numbers do not belong
            together (code ``input``).
    """
    chosen = tuple(seeds) if seeds is not None else () if plan is None else (plan.seed,)
    started = time.perf_counter()
    passes = [
        measure(each) for each in ([None] if plan is None else [reseeded(plan, seed) for seed in chosen])
    ]
    return _merged(name, plan, chosen, passes, time.perf_counter() - started)


def _merged(
    name: str, plan: Plan | None, seeds: Sequence[int], passes: Sequence[Pass], seconds: float
) -> Run:
    """The passes of one plan put together number by number."""
    _require_alike(seeds, passes)
    fans = {each.name: each.fans.fan_in for each in plan or () if each.fans is not None}
    return Run(
        name=name,
        fingerprint=_fingerprint(plan),
        seeds=tuple(seeds),
        loss=tuple(each.loss for each in passes),
        blocks=tuple(map(_block_of, zip(*(each.blocks for each in passes), strict=True))),
        leaves=tuple(
            Leaf(name=same[0].seen.name, kind=same[0].seen.kind, **_signals(same))
            for same in zip(*(each.leaves for each in passes), strict=True)
        ),
        nonlinearities=tuple(map(joined, zip(*(each.nonlinearities for each in passes), strict=True))),
        weights=tuple(
            joined(same).model_copy(update={"fan_in": fans.get(same[0].name)})
            for same in zip(*(each.weights for each in passes), strict=True)
        ),
        seconds=seconds,
        nbytes=max(each.nbytes + sum(leaf.nbytes for leaf in each.leaves) for each in passes),
    )


def _fingerprint(plan: Plan | None) -> str | None:
    with contextlib.suppress(SpecError):  # the plan holds code
        return None if plan is None else plan.fingerprint
    return None


def _require_alike(seeds: Sequence[int], passes: Sequence[Pass]) -> None:
    called = [
        (
            [each.seen for each in one.places],
            [(each.name, each.function) for each in one.nonlinearities],
        )
        for one in passes
    ]
    for seed, names in zip(seeds, called, strict=False):
        if names != called[0]:
            message = (
                f"with seed {seed} the model calls other modules, or in another order, than with {seeds[0]}"
            )
            hint = "give one seed at a time: the model chooses by its data what it calls"
            raise SpecError.of(Code.INPUT, message, hint)


def _block_of(same: Sequence[Place]) -> Block:
    """One block in each pass."""
    return Block(
        name=same[0].seen.name,
        rows=same[0].rows,
        adds=same[0].adds,
        starts_inside=any(each.starts_inside for each in same),
        scales=all(each.scales for each in same),
        rank=tuple(each.rank for each in same),
        **_signals(same),
    )


def _signals(same: Sequence[Place]) -> dict[str, Signal]:
    """What passes one place forward and backward, with what theory expects of the mean squares."""
    return {
        way: Signal(
            square=tuple(getattr(each, way)[0] for each in same),
            mean=tuple(getattr(each, way)[1] for each in same),
            expected=tuple(value and finite(value) for value in (each.expected[at] for each in same)),
        )
        for at, way in enumerate(("forward", "backward"))
    }
