"""What is probed, whatever the framework: a model on one batch, and the loss from which gradients go back."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

import initcfg
from initcfg.errors import Code, SpecError
from initcfg.names import few
from initcfg.plan import require_plan
from initcfg.probe.functions import nonlinearity_of
from initcfg.probe.passes import Pass, Place, Seen, moments, run_of
from initcfg.probe.probed import Probe
from initcfg.probe.values import finite
from initcfg.probe.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from initcfg.plan import Plan
    from initcfg.probe.values import Nonlinearity
    from initcfg.probe.watching import Batch, Trial

    Array = Any
    Loss = Callable[[Any, Any], Array]

#: What a probe says of its loss where there is none.
NO_LOSS = "none is known: the gradient begins as random numbers"
# The seed of labels is not that of a batch: random labels that are its tokens would be learned already.
_LABELS = 1


class Aim(NamedTuple):
    """What the gradient goes back from where no loss is given.

    Args:
        kind: ``classes`` for cross entropy with the target, ``squares`` for the mean square of what is
            missed of it, ``direction`` for the mean of the products with it.
        target: numbers of classes, values, or random numbers of the output's shape.
    """

    kind: Literal["classes", "squares", "direction"]
    target: np.ndarray[Any, Any]
    about: str = NO_LOSS
    chance: float | None = None


def aim_of(
    shape: tuple[int, ...],
    target: np.ndarray[Any, Any] | None,
    *,
    is_whole: bool = True,
    ignored: int | None = None,
) -> Aim:
    """The loss that fits an output of this shape: cross entropy, mean square, or random numbers.

    Where the array is one of several that the model gives, it `is_whole` no more, and the numbers are random.

    Raises:
        SpecError: a target is none of the classes, and not the one that is `ignored` (code ``input``).

    Example:
        >>> aim_of((4, 10), None).about
        'cross entropy over 10 classes, random labels'
    """
    random = np.random.default_rng(_LABELS)
    if is_whole and len(shape) in (2, 3) and shape[-1] > 1:
        classes, said = shape[-1], "the targets given"
        if target is None:
            target, said = random.integers(classes, size=shape[:-1]), "random labels"
        if target.dtype.kind in "iu" and target.shape == shape[:-1]:
            if not np.all((target == ignored) | ((target >= 0) & (target < classes))):
                message = f"the targets are not all among the {classes:,} classes, 0 to {classes - 1:,}"
                raise SpecError.of(Code.INPUT, message, "give such targets, or a loss that knows others")
            about = f"cross entropy over {classes:,} classes, {said}"
            return Aim("classes", target, about, math.log(classes))
    if is_whole and target is not None and target.shape == shape:
        values = target.astype(np.float32)
        return Aim("squares", values, "mean square of what is missed", finite(float(values.var())))
    return Aim("direction", random.normal(size=shape).astype(np.float32))


class Subject(ABC):
    """A model on one batch, always with the same labels and dropout; a framework says how a pass of it runs.

    Args:
        kind: the class of the model.
        trial: in which its code runs.
        batch: what it is called with.
        loss: called with what it gives and the target, for one number; None for the one that fits.
    """

    IGNORED: ClassVar[int | None] = None  # a target that is no class, and has no part in the loss

    def __init__(self, kind: str, trial: Trial, batch: Batch, loss: Loss | None) -> None:
        if loss is not None and not callable(loss):
            raise TypeError(f"loss is a function of what the model gives and the target, not {loss!r}")
        self.kind, self.trial, self.batch = kind, trial, batch
        self._loss = loss
        self._about = NO_LOSS
        self._chance: float | None = None

    @abstractmethod
    def measure(self, plan: Plan | None) -> Pass:
        """One pass with the weights of a plan, or with those that the model has."""

    @abstractmethod
    def first(self, tree: Any) -> tuple[Array, Callable[[Array], Any]] | None:
        """The first floating array of a tree, and the tree with another in its place; None of none."""

    @abstractmethod
    def array_of(self, values: Any) -> np.ndarray[Any, Any]:
        """An array of the framework, or what it makes one of, as numpy's."""

    @abstractmethod
    def aimed(self, aim: Aim, result: Array) -> Array:
        """The loss that an aim is."""

    def numpy(self, array: Array) -> Any:
        """The values in float64, or bool as they are; a SpecError of complex ones."""
        values = self.array_of(array)
        if values.dtype.kind == "c":
            message = "a probe measures real numbers, and the model has complex weights, outputs or gradients"
            way = "probe a model that keeps real and imaginary parts apart"
            raise SpecError.of(Code.INPUT, message, way)
        return values if values.dtype == bool else values.astype(np.float64, copy=False)

    def loss_of(self, output: Any) -> Array:
        """The loss given, the model's own, or the one that fits what it gives."""
        own = getattr(output, "loss", None)
        if self._loss is not None:
            self._about, loss = "as given", self._loss(output, self.batch.target)
            shape = tuple(getattr(loss, "shape", (0,)))
            if math.prod(shape) != 1:
                given = f"an array of shape {shape}" if hasattr(loss, "shape") else repr(loss)
                raise ValueError(f"loss must give one number, such as a mean, not {given}")
            return loss.reshape(())
        if own is not None and self.first(own) is not None:
            self._about = "the model's own"
            return own
        logits = getattr(output, "logits", output)
        found = self.first(logits)
        if found is None:
            message = f"{self.trial.model} gives no floating numbers"
            raise SpecError.of(Code.INPUT, message, "give a loss, which takes what the model gives")
        shape, is_whole = tuple(found[0].shape), found[0] is logits
        if 0 in shape:
            message = f"{self.trial.model} gives no numbers on {self.batch.about}"
            raise SpecError.of(Code.INPUT, message, "give a batch that has some rows")
        target = self._target() if is_whole else None
        aim = aim_of(shape, target, is_whole=is_whole, ignored=self.IGNORED)
        self._about, self._chance = aim.about, aim.chance
        return self.aimed(aim, found[0])

    def _target(self) -> np.ndarray[Any, Any] | None:
        given = self.batch.target
        try:
            found = None if given is None else self.array_of(given)
        except (TypeError, ValueError, RuntimeError):  # torch raises all of them
            found = np.array(None)
        if found is not None and found.dtype == object:
            message = f"the target is a {type(given).__name__}, and no loss is known that takes one"
            raise SpecError.of(Code.INPUT, message, "give an array as the target, or a loss")
        return found

    def known(self, loss: Array) -> float | None:
        """A loss as a number; None where it is of random numbers."""
        return None if self._about == NO_LOSS else finite(float(self.numpy(loss)))

    def place_of(self, seen: Seen, array: Array) -> Place:
        """An output, measured."""
        return Place.of(seen, self.numpy(array), array.nbytes)

    def probe(self, plans: Mapping[str, Plan] | None, seeds: Sequence[int] | None) -> Probe:
        """Measures the passes of each plan and seed, or one of the model's own weights without a plan."""
        named: Mapping[str, Plan | None] = plans or {"as built": None}
        runs = tuple(run_of(name, plan, seeds, self.measure) for name, plan in named.items())
        return Probe(
            version=initcfg.__version__,
            model=self.kind,
            batch=self.batch.about,
            loss=self._about,
            chance=self._chance,
            runs=runs,
        )


class Function(Subject):
    """A model as a function of its weights: each output gets an offset, whose gradient is that of the output.

    What it gives is measured in a pass before, in which arrays have values.
    """

    blocks: set[str]
    #: Of a loss of weights and offsets, of weights and of arrays: the loss with its gradients, where the
    #: offsets are zeros like these arrays.
    gradients_of: Callable[..., tuple[Array, Any, Sequence[Array]]]

    @abstractmethod
    def output_of(self, weights: Any, watch: Watch, found: Pass | None) -> Any:
        """What it gives with these weights; nonlinear functions are measured, too, if it is to be `found`."""

    def called(
        self, watch: Watch, function: str, given: Mapping[str, Any], result: Array, channels: int = -1
    ) -> Nonlinearity:
        """A call of a nonlinear function, measured; arguments are those of `nonlinearity_of`."""
        with self.trial.looking():
            place = watch.innermost or "all"
            return nonlinearity_of(place, function, given, result, numpy=self.numpy, channels=channels)

    def measured(self, weights: Any) -> tuple[Pass, Any]:
        """One pass, without what is known of the weights, and their gradients."""
        found, arrays = Pass(), list[Any]()

        def look(seen: Seen, array: Array) -> Array:
            found.places.append(self.place_of(seen, array))
            arrays.append(array)
            return array

        def loss_of(weights: Any, offsets: Any) -> Array:
            added = iter(offsets)
            watch = Watch(self.blocks, self.first, lambda _, array: array + next(added), self.trial)
            with self.trial.running():
                output = self.output_of(weights, watch, None)
            return self.loss_of(output)

        with self.trial.running():
            self.output_of(weights, Watch(self.blocks, self.first, look, self.trial), found)
        loss, down, back = self.gradients_of(loss_of, weights, arrays)
        found.loss = self.known(loss)
        for place, gradient in zip(found.places, back, strict=True):
            place.backward = moments(self.numpy(gradient))
        return found, down


def require_plans(plans: Mapping[str, Plan] | None, seeds: Sequence[int] | None, source: str) -> None:
    """Checks what `probe` is given before anything runs, and warns of what the plans skip.

    Raises:
        TypeError: a plan is none, which ``make_plan(spec, manifest=manifest(source))`` makes, or has no name.
        ValueError: there are seeds and no plan to make with them, or none of them.
    """
    if plans is not None and not hasattr(plans, "items"):
        raise TypeError(f'plans have names, as in plans={{"he": plan}}; this is a {type(plans).__name__}')
    for name, plan in (plans or {}).items():
        require_plan(plan, "probe", f"initcfg.make_plan(spec, manifest=manifest({source}))")
        warn_of_skipped(f"the plan {name!r}", plan, stacklevel=4)
    if seeds is not None and (not plans or not seeds):
        raise ValueError("seeds are of plans: give a plan, and one seed at least" if not plans else "no seed")


def warn_of_skipped(called: str, plan: Plan, stacklevel: int) -> None:
    """Tells of the parameters that rules of a plan leave out."""
    skipped = [each.name for each in plan.skipped if each.rule is not None]
    if skipped:
        message = f"{called} skips {few(skipped)}: measured as the model has them, written or not"
        warnings.warn(message, RuntimeWarning, stacklevel=stacklevel)
