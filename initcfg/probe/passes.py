"""Passes of a model, whatever the framework: what is measured in one, and all of a plan put together."""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

import initcfg
from initcfg.errors import Code, SpecError
from initcfg.frozen import NamedTuple
from initcfg.probe.probed import Probe
from initcfg.probe.values import Block, Leaf, Nonlinearity, Run, Signal, Weight, finite
from initcfg.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from initcfg.plan import Plan
    from initcfg.probe.functions import Call

    Values = np.ndarray[Any, np.dtype[np.float64]]
    Moments = tuple[float | None, float | None]

_EPSILON = 1e-8  # of Adam
# The rank of features is computed from at most this many rows.
_ROWS = 256


class Expectation(Protocol):
    """What theory expects of one output."""

    starts_inside: bool
    scales: bool
    through: tuple[str, ...]

    @property
    def square(self) -> float:
        """The mean square."""

    @property
    def gradient(self) -> float | None:
        """That of the gradient; None where it is not known."""

    def adds_to(self, other: Any) -> bool:
        """Whether it is a sum of which the other one is a part."""


@dataclass(slots=True)
class Place:
    """What one output of a module comes to, in one pass."""

    name: str
    kind: str
    forward: Moments  # mean square and mean
    rank: float | None
    rows: int
    nbytes: int
    backward: Moments = (None, None)  # likewise of the gradient
    expected: Expectation | None = None

    @classmethod
    def of(cls, name: str, kind: str, values: Values, nbytes: int) -> Place:
        """The place whose output has these values; `nbytes` is its size in the model."""
        return cls(name, kind, moments(values), *_rank(values), nbytes)


class Passes(Protocol):
    """Passes of one model on one batch, always with the same labels and dropout."""

    about: str  # which loss it was
    chance: float | None

    def measure(self, plan: Plan | None) -> Pass:
        """One pass with the weights of a plan, or with those that the model has."""


class Step(NamedTuple):
    """Mean squares of a parameter and of its gradient; steps of SGD and Adam with rate 1 over its size."""

    name: str
    shape: tuple[int, ...]
    square: float | None
    gradient: float | None = None
    sgd: float | None = None
    adam: float | None = None

    @classmethod
    def of(cls, name: str, values: Values, gradient: Values | None) -> Step:
        """The first steps of a parameter with its gradient, if it gets one."""
        square = moments(values)[0]
        if gradient is None:
            return cls(name, values.shape, square)
        with np.errstate(invalid="ignore"):
            direction = moments(gradient / (np.abs(gradient) + _EPSILON))[0]
        slope = moments(gradient)[0]
        return cls(name, values.shape, square, slope, _size(slope, square), _size(direction, square))


@dataclass(slots=True)
class Pass:
    """One forward and backward pass."""

    loss: float | None = None
    blocks: list[Place] = field(default_factory=list)
    leaves: list[Place] = field(default_factory=list)
    nonlinearities: list[Call] = field(default_factory=list)
    weights: list[Step] = field(default_factory=list)
    nbytes: int = 0


def not_real() -> SpecError:
    """The error for complex numbers, whose mean squares, ranks and steps no probe measures."""
    message = "a probe measures real numbers, and the model has complex weights, outputs or gradients"
    return SpecError.of(Code.INPUT, message, "probe a model that keeps real and imaginary parts apart")


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


def require_seeds(plans: object, seeds: Sequence[int] | None) -> None:
    """A ValueError where seeds are given and no plan to make with them, or none of them."""
    if seeds is not None and (not plans or not seeds):
        raise ValueError("seeds are of plans: give a plan, and one seed at least" if not plans else "no seed")


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


def probe_of(
    passes: Passes, plans: Mapping[str, Plan] | None, seeds: Sequence[int] | None, *, model: str, batch: str
) -> Probe:
    """Measures the passes of each plan and seed, or one of the model's own weights without a plan."""
    named: Mapping[str, Plan | None] = plans or {"as built": None}
    runs = tuple(_run_of(name, plan, seeds, passes.measure) for name, plan in named.items())
    return Probe(
        version=initcfg.__version__,
        model=model,
        batch=batch,
        loss=passes.about,
        chance=passes.chance,
        runs=runs,
    )


def _run_of(
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
    blocks = list(zip(*(each.blocks for each in passes), strict=True))
    return Run(
        name=name,
        fingerprint=_fingerprint(plan),
        seeds=tuple(seeds),
        loss=tuple(each.loss for each in passes),
        blocks=tuple(
            Block(
                name=same[0].name,
                rows=same[0].rows,
                adds=_added(same[0], before[0]),
                starts_inside=any(each.expected is not None and each.expected.starts_inside for each in same),
                scales=all(each.expected is not None and each.expected.scales for each in same),
                **_signals(same),
                **_by_seed(same, "rank"),
            )
            for same, before in zip(blocks, [blocks[0], *blocks] if blocks else [], strict=False)
        ),
        leaves=tuple(
            Leaf(name=same[0].name, kind=same[0].kind, **_signals(same))
            for same in zip(*(each.leaves for each in passes), strict=True)
        ),
        nonlinearities=tuple(
            Nonlinearity(
                name=same[0].name,
                function=same[0].function,
                **_by_seed(same, "dead", "saturated", "entropy"),
            )
            for same in zip(*(each.nonlinearities for each in passes), strict=True)
        ),
        weights=tuple(
            Weight(
                name=same[0].name,
                shape=same[0].shape,
                fan_in=fans.get(same[0].name),
                **_by_seed(same, "square", "gradient", "sgd", "adam"),
            )
            for same in zip(*(each.weights for each in passes), strict=True)
        ),
        seconds=seconds,
        nbytes=max(each.nbytes for each in passes),
    )


def _fingerprint(plan: Plan | None) -> str | None:
    with contextlib.suppress(SpecError):  # the plan holds code
        return None if plan is None else plan.fingerprint
    return None


def _require_alike(seeds: Sequence[int], passes: Sequence[Pass]) -> None:
    called = [
        (
            [each.name for each in one.blocks],
            [each.name for each in one.leaves],
            [each[:2] for each in one.nonlinearities],
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


def _added(place: Place, before: Place) -> tuple[str, ...]:
    """The weights whose sums a block adds to its input; none where it does something else."""
    now, begun = place.expected, before.expected
    if now is None or begun is None or not now.adds_to(begun):
        return ()
    return tuple(name for name in now.through if name not in begun.through)


def _by_seed(same: Sequence[Any], *names: str) -> dict[str, Any]:
    return {name: tuple(getattr(each, name) for each in same) for name in names}


def _signals(same: Sequence[Place]) -> dict[str, Any]:
    """What passes one place forward and backward, with what theory expects of the mean squares."""
    known = [each.expected for each in same]
    expected = {
        "forward": [None if each is None else each.square for each in known],
        "backward": [None if each is None else each.gradient for each in known],
    }
    return {
        way: Signal(
            square=tuple(getattr(each, way)[0] for each in same),
            mean=tuple(getattr(each, way)[1] for each in same),
            expected=tuple(None if each is None else finite(each) for each in expected[way]),
        )
        for way in ("forward", "backward")
    }
