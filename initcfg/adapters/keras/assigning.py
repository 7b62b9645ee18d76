"""The weights of a Keras model set from a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from initcfg.adapters.keras.weights import layers_of, manifest_of, other_variables, weights_of
from initcfg.adapters.matching import require_match, require_plan
from initcfg.generate.memory import Target, fill_targets, owner
from initcfg.generate.pool import in_groups, onward
from initcfg.generate.work import is_foreign

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from initcfg.generate.pool import Progress
    from initcfg.plan import Plan, PlannedParameter

# So much is made at a time beside the model; a larger weight is made alone.
_GROUP_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Initialized:
    """What `initialize` has done.

    Args:
        weights: the names of the weights that were set, in the model's order.
        non_trainable: those of them that training does not change by gradients, such as moving averages.
        skipped: the weights that the plan skips, which are as they were.
        others: the paths of variables that are no weights and are as they were: states of seed generators,
            metrics and the optimizer.
    """

    weights: tuple[str, ...]
    non_trainable: tuple[str, ...]
    skipped: tuple[str, ...]
    others: tuple[str, ...]


def initialize(
    model: keras.Model,
    plan: Plan,
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Initialized:
    """Set the weights of a model to those of a plan, on any backend of Keras.

    The values are those of `initcfg.materialize`, bit for bit. Nothing is touched unless names, shapes and
    dtypes agree; code that is not of this package has made all its weights before the first weight is set.
    The optimizer's state is left alone: compile the model again where it was trained before.

    Args:
        model: built.
        plan: of all weights of the model, as ``initcfg.make_plan(spec, manifest=manifest(model))`` makes it.
        threads, engine: as in `initcfg.materialize`.
        progress: called with the bytes done and the bytes in all. What it raises, such as a
            KeyboardInterrupt, ends the call: each weight is as it was or as the plan has it, and the same
            call again sets them all.

    Returns:
        What was set and what was left alone.

    Raises:
        SpecError: the model is not built, or plan and model differ, or two weights of the model are tied in
            the plan; every difference is told.
        InitializerError: custom code returned something else than it was asked for.
        TypeError: `plan` is none.

    Example:
        >>> import initcfg.adapters.keras, keras
        >>> model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10, name="logits")])
        >>> plan = initcfg.make_plan(initcfg.adapters.keras.spec(model))
        >>> initialize(model, plan).weights
        ('logits.kernel', 'logits.bias')
        >>> bool((model.get_weights()[0] == initcfg.materialize(plan["logits.kernel"])).all())
        True
    """
    require_plan(plan, "initialize", "initcfg.make_plan(spec, manifest=manifest(model))")
    weights = weights_of(model)
    convert = "build the model with dtype='{dtype}'"
    require_match(plan, manifest_of(weights), f"the model {model.name!r}", convert)
    planned = [(owner(plan, plan[name]), weight) for name, weight in weights.items() if name in plan]
    done, total = 0, sum(parameter.nbytes for parameter, _ in planned)
    for group in _groups(planned):
        targets = [
            Target(parameter, np.empty(parameter.shape, parameter.dtype.numpy)) for parameter, _ in group
        ]
        fill_targets(targets, threads=threads, engine=engine, progress=onward(progress, done, total))
        for target, (_, weight) in zip(targets, group, strict=True):
            weight.assign(target.out)
        done += sum(parameter.nbytes for parameter, _ in group)
    _refresh(model)
    return _reported(model, plan, weights)


Planned = tuple["PlannedParameter", "keras.Variable"]
"""A weight, and what it gets."""


def _groups(planned: Iterable[Planned]) -> Iterator[list[Planned]]:
    """Code of others, which may fail, all at once and first; then a bounded number of bytes at a time."""
    foreign: list[Planned] = []
    others: list[Planned] = []
    for each in planned:
        (foreign if is_foreign(each[0].initializer) else others).append(each)
    if foreign:
        yield foreign
    yield from in_groups(others, lambda each: each[0].nbytes, _GROUP_BYTES)


def _refresh(model: keras.Model) -> None:
    """Normalization computes with copies of its weights, which Keras refreshes after loading too."""
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.Normalization) and layer.built:
            layer.finalize_state()


def _reported(model: keras.Model, plan: Plan, weights: Mapping[str, keras.Variable]) -> Initialized:
    return Initialized(
        weights=tuple(name for name in weights if name in plan),
        non_trainable=tuple(name for name, each in weights.items() if name in plan and not each.trainable),
        skipped=tuple(name for name in weights if name not in plan),
        others=other_variables(model),
    )
