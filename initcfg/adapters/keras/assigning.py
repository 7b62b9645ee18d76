"""The weights of a Keras model set from a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from initcfg.adapters.keras.owners import layers_of
from initcfg.adapters.keras.weights import manifest_of, other_variables, weights_of
from initcfg.adapters.matching import require_match
from initcfg.generate.pool import onward
from initcfg.generate.selecting import owner
from initcfg.generate.targets import Target, fill_targets, target_effort

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initcfg.generate import Progress
    from initcfg.plan import Plan, PlannedParameter

__all__ = ["Initialized", "initialize"]

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
    dtypes agree; weights that cannot be drawn element by element, with all code that is not of this package,
    are made before the first weight is set. The optimizer's state is left alone: compile the model again
    where it was trained before.

    Args:
        model: built.
        plan: of all weights of the model, as ``initcfg.make_plan(spec, manifest=manifest(model))`` makes it.
        threads: how many; None means one a CPU. They do not change a bit.
        engine: ``numpy`` or ``numba``; None chooses one.
        progress: called with the bytes done and the bytes in all.

    Returns:
        What was set and what was left alone.

    Raises:
        SpecError: the model is not built, or plan and model differ; every difference is told.
        InitializerError: custom code returned something else than it was asked for.

    Example:
        >>> import initcfg.adapters.keras, keras
        >>> model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(10, name="logits")])
        >>> plan = initcfg.make_plan(initcfg.adapters.keras.spec(model))
        >>> initialize(model, plan).weights
        ('logits.kernel', 'logits.bias')
        >>> bool((model.get_weights()[0] == initcfg.materialize(plan["logits.kernel"])).all())
        True
    """
    weights = weights_of(model)
    require_match(plan, manifest_of(weights), f"the model {model.name!r}")
    sharing = _sharing(plan, weights)
    done, total = 0, sum(parameter.nbytes for parameter, _ in sharing)
    work = target_effort(parameter for parameter, _ in sharing)
    for group in _groups(sharing):
        targets = [
            Target(parameter, np.empty(parameter.shape, parameter.dtype.numpy)) for parameter, _ in group
        ]
        fill_targets(
            targets, threads=threads, engine=engine, progress=onward(progress, done, total), work=work
        )
        for target, (_, variables) in zip(targets, group, strict=True):
            for variable in variables:
                variable.assign(target.out)
        done += sum(parameter.nbytes for parameter, _ in group)
    _refresh(model)
    return _reported(model, plan, weights)


Sharing = tuple["PlannedParameter", "list[keras.Variable]"]


def _sharing(plan: Plan, weights: Mapping[str, keras.Variable]) -> list[Sharing]:
    """The parameters that have arrays of their own, each with the variables that get its values."""
    found: dict[str, Sharing] = {}
    for name, weight in weights.items():
        if name in plan:
            parameter = owner(plan, plan[name])
            found.setdefault(parameter.name, (parameter, []))[1].append(weight)
    return list(found.values())


def _groups(sharing: list[Sharing]) -> Iterator[list[Sharing]]:
    """What may fail all at once and first; then a bounded number of bytes at a time."""
    group = [each for each in sharing if each[0].distribution is None]
    if group:
        yield group
    group, size = [], 0
    for each in sharing:
        if each[0].distribution is None:
            continue
        if group and size + each[0].nbytes > _GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(each)
        size += each[0].nbytes
    if group:
        yield group


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
