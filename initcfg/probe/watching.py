"""Passes of a model as a function: each output gets an offset, whose gradient is that of the output."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from initcfg.errors import Code, SpecError
from initcfg.frozen import NamedTuple
from initcfg.probe.passes import Pass, Place, Step, moments
from initcfg.probe.values import finite, repeated_modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Array = Any
    First = Callable[[Any], tuple[Array, Callable[[Array], Any]] | None]

#: What a probe says of its loss where there is none.
NO_LOSS = "none is known: the gradient begins as random numbers"
# The seed of labels is not that of a batch.
_LABELS = 1


class Seen(NamedTuple):
    """One output that was looked at."""

    name: str
    kind: str
    is_block: bool
    is_leaf: bool


class Watch:
    """Sees what modules give, and adds an offset to each, by whose gradient that of the output is known.

    Args:
        blocks: the names of those that are blocks.
        first: finds the first floating array in what a module takes or gives, with a function that puts
            another array in its place; None where there is none.
        offsets: one for each output, in the order of the calls; None adds nothing.
    """

    def __init__(self, blocks: set[str], first: First, offsets: Sequence[Array] | None = None) -> None:
        self._blocks, self._first, self._offsets = blocks, first, offsets
        self._inside: list[str] = []
        self._calls: Counter[str] = Counter()
        self._has_begun = False
        self.seen: list[Seen] = []
        self.values: list[Array] = []

    @property
    def innermost(self) -> str | None:
        """The name of the innermost module that is being called; None outside of all."""
        return self._inside[-1] if self._inside else None

    def call(self, name: str, kind: str, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Calls a module; gives its output, with the offset in it."""
        is_block = name in self._blocks
        if is_block and not self._has_begun:
            self._has_begun = True
            args, kwargs = self._look((args, kwargs), Seen(f"before {name}", "", True, False))
        self._inside.append(name)
        before = sum(self._calls.values())
        output = call(*args, **kwargs)
        is_leaf = sum(self._calls.values()) == before
        self._inside.pop()
        self._calls[name] += 1
        if not (is_block or is_leaf):
            return output
        again = f" ({self._calls[name]})" if self._calls[name] > 1 else ""
        return self._look(output, Seen(f"{name or 'all'}{again}", kind, is_block, is_leaf))

    def _look(self, tree: Any, seen: Seen) -> Any:
        found = self._first(tree)
        if found is None:
            return tree
        array, put = found
        if self._offsets is not None:
            array = array + self._offsets[len(self.values)]
        self.seen.append(seen)
        self.values.append(array)
        return tree if self._offsets is None else put(array)


def pass_of(
    seen: Iterable[Seen],
    values: Iterable[Array],
    gradients: Iterable[Array],
    weights: Iterable[tuple[str, Array, Array | None]],
    numpy_of: Callable[[Array], Any],
) -> Pass:
    """What was seen, with the gradients of the offsets; `weights` have names, values and gradients."""
    found = Pass()
    for each, value, gradient in zip(seen, values, gradients, strict=True):
        place = Place.of(each.name, each.kind, numpy_of(value), value.nbytes)
        place.backward = moments(numpy_of(gradient))
        found.blocks += [place] if each.is_block else []
        found.leaves += [place] if each.is_leaf else []
    for name, value, gradient in weights:
        down = None if gradient is None else numpy_of(gradient)
        found.weights.append(Step.of(name, numpy_of(value), down))
        found.nbytes += 2 * value.nbytes
    found.nbytes += sum(each.nbytes for each in found.leaves)
    return found


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


def aim_of(shape: tuple[int, ...], target: np.ndarray[Any, Any] | None, *, is_whole: bool = True) -> Aim:
    """The loss that fits an output of this shape: cross entropy, mean square, or random numbers.

    Where the array is one of several that the model gives, it `is_whole` no more, and the numbers are random.

    Raises:
        SpecError: a target is none of the classes (code ``input``).

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
            if target.size and not 0 <= target.min() <= target.max() < classes:
                message = f"the targets are not all among the {classes:,} classes, 0 to {classes - 1:,}"
                raise SpecError.of(Code.INPUT, message, "give such targets, or a loss that knows others")
            about = f"cross entropy over {classes:,} classes, {said}"
            return Aim("classes", target, about, math.log(classes))
    if is_whole and target is not None and target.shape == shape:
        values = target.astype(np.float32)
        return Aim("squares", values, "mean square of what is missed", finite(float(values.var())))
    return Aim("direction", random.normal(size=shape).astype(np.float32))


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
