"""The weights of a Keras model: what they are called, and the same set from a plan.

Keras has no public names for the layers in a model: ``Model.layers`` leaves out the layers inside of layers,
and ``Layer.weights`` holds the weights of those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras

from initcfg.adapters.matching import require_match
from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.generate.memory import fill_targets, new_target
from initcfg.generate.pool import in_groups, onward
from initcfg.generate.work import is_foreign
from initcfg.manifest import Manifest, ManifestEntry
from initcfg.plan import require_plan
from initcfg.plan.plan import owner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from initcfg.formats import Array
    from initcfg.generate.pool import Progress
    from initcfg.plan import Plan, PlannedParameter


def layers_of(model: keras.Model) -> list[keras.Layer]:
    """The model itself and all layers in it, however deep, each once."""
    layers: list[keras.Layer] = model._flatten_layers()
    return layers


class Owners:
    """The layers that hold each variable of a built model."""

    def __init__(self, model: keras.Model) -> None:
        self._holders: dict[int, list[keras.Layer]] = {}
        for layer in layers_of(model):
            for variable in own_weights(layer):
                self._holders.setdefault(id(variable), []).append(layer)

    def maker(self, variable: keras.Variable) -> keras.Layer | None:
        """The layer that made a variable, or None where that cannot be told from others that hold it."""
        holders = self._holders[id(variable)]
        # A variable's path ends in the name of the layer that made it and its own.
        makers = [layer for layer in holders if variable.path.split("/")[-2:-1] == [layer.name]]
        found = makers or holders
        return found[0] if len(found) == 1 else None

    def holders(self, variable: keras.Variable) -> list[keras.Layer]:
        """The layers that hold a variable as their own."""
        return self._holders[id(variable)]


class Ways:
    """The ways from a built model down its layers, by their names."""

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._below: dict[int, dict[str, list[keras.Layer]]] = {}
        for layer in layers_of(model):
            below = self._below.setdefault(id(layer), {})
            for inner in layer._layers:
                below.setdefault(inner.name, []).append(inner)

    def lead(self, names: Sequence[str], variable: keras.Variable) -> bool:
        """Whether one goes from layer to layer by these names, and the last holds a variable as its own."""
        found: list[keras.Layer] = [self._model]
        for name in names:
            found = [inner for layer in found for inner in self._below[id(layer)].get(name, ())]
        return any(each is variable for layer in found for each in own_weights(layer))


def own_weights(layer: keras.Layer) -> tuple[keras.Variable, ...]:
    """Those that a layer holds itself, not in layers inside it."""
    return (*layer._trainable_variables, *layer._non_trainable_variables)


def manifest(model: keras.Model) -> Manifest:
    """The names, shapes and dtypes of a model's weights, in the order of ``model.weights``.

    Keras joins names with ``/``; here they are joined with ``.``, and what is in front of the names of the
    model's layers, its own name and those of models that hold it, is left out: ``sequential_1/fc/kernel`` is
    ``fc.kernel``. Keras numbers models without a name anew in each process. Layers and variables without one
    are numbered in the same way, so give layers names of their own.

    Args:
        model: built, so that its weights have shapes.

    Raises:
        SpecError: the model is not built (code ``manifest``), or two of its weights have one name, or one has
            two, as the model and a layer in it are called the same (code ``duplicate-parameter``).
        TypeError: what is given is no model of Keras.

    Example:
        >>> import keras
        >>> model = keras.Sequential([keras.Input((784,)), keras.layers.Dense(256, name="fc")])
        >>> {name: entry.shape for name, entry in manifest(model).entries.items()}
        {'fc.kernel': (784, 256), 'fc.bias': (256,)}
    """
    return manifest_of(weights_of(model))


def manifest_of(weights: Mapping[str, keras.Variable]) -> Manifest:
    """The names, shapes and dtypes of weights."""
    # The dtype of the values: JAX without x64 holds a float64 variable in float32.
    dtype = keras.backend.standardize_dtype
    return Manifest(
        {name: ManifestEntry(tuple(each.shape), dtype(each.value.dtype)) for name, each in weights.items()}
    )


def weights_of(model: keras.Model) -> dict[str, keras.Variable]:
    """The weights by name, in the order of ``model.weights``; the errors are those of `manifest`."""
    if not isinstance(model, keras.Layer):
        raise TypeError(f"this takes a keras.Model, not {type(model).__name__}")
    if not model.built:
        message = f"the model {model.name!r} has no weights yet"
        hint = "build it first: call it, or model.build(input_shape)"
        raise SpecError.of(Code.MANIFEST, message, hint=hint)
    ways, owners = Ways(model), Owners(model)
    weights: dict[str, keras.Variable] = {}
    problems: dict[str, str] = {}
    for weight in model.weights:
        names = _names(model, ways, owners, weight)
        if len(names) > 1:
            may = f"the weight {weight.path!r} of the model {model.name!r} may be"
            problems[f"{may} {names[0]!r} or {names[1]!r}"] = "give the model a name that no layer in it has"
        elif weights.setdefault(names[0], weight) is not weight:
            message = f"two weights of the model {model.name!r} are called {weight.path!r}"
            problems[message] = "give the layers names of their own"
    if problems:
        raise SpecError(
            *(Diagnostic(Code.DUPLICATE_PARAMETER, message, hint=hint) for message, hint in problems.items())
        )
    return weights


def _names(model: keras.Model, ways: Ways, owners: Owners, weight: keras.Variable) -> list[str]:
    """The name of a weight; several where a step of its path may be the model's name or that of a layer.

    A path has the names of all that was being built: of the layers on the way to the weight, and in front of
    them of the models that they were built in, of which this one need not be one.
    """
    path = weight.path.split("/")
    leading = [at for at in range(len(path)) if ways.lead(path[at:-1], weight)]
    after = [at + 1 for at, step in enumerate(path[:-1]) if step == model.name]
    exact = [at for at in leading if at in (0, *after)]
    # The user's name scopes are no layers.
    holders = owners.holders(weight)
    scoped = [at for at in after if any(each is model or each.name in path[at:-1] for each in holders)]
    return [".".join(path[at:]) for at in exact or scoped[:1] or leading[:1] or [0]]


def other_variables(model: keras.Model) -> tuple[str, ...]:
    """The paths of the variables that are no weights: states of seeds, metrics and the optimizer."""
    optimizer = getattr(model, "optimizer", None)
    found = [*model.variables, *model.metrics_variables, *(optimizer.variables if optimizer else ())]
    weights = {id(weight) for weight in model.weights}
    # A seed generator may serve several layers.
    others = {id(variable): variable.path for variable in found if id(variable) not in weights}
    return tuple(others.values())


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
        >>> plan = initcfg.make_plan(initcfg.adapters.keras.capture(model).spec)
        >>> initialize(model, plan).weights
        ('logits.kernel', 'logits.bias')
        >>> bool((model.get_weights()[0] == initcfg.materialize(plan["logits.kernel"])).all())
        True
    """
    require_plan(plan, "initialize", "initcfg.make_plan(spec, manifest=manifest(model))")
    weights = weights_of(model)
    for weight, values in values_of(model, plan, weights, threads=threads, engine=engine, progress=progress):
        weight.assign(values)
    refresh(model)
    return _reported(model, plan, weights)


def values_of(
    model: keras.Model,
    plan: Plan,
    weights: Mapping[str, keras.Variable],
    *,
    threads: int | None = None,
    engine: str | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[keras.Variable, Array]]:
    """The weights that a plan makes, with their values; arguments and errors are those of `initialize`."""
    convert = "build the model with dtype='{dtype}'"
    require_match(plan, manifest_of(weights), f"the model {model.name!r}", convert)
    planned = [(owner(plan, plan[name]), weight) for name, weight in weights.items() if name in plan]
    done, total = 0, sum(parameter.nbytes for parameter, _ in planned)
    for group in _groups(planned):
        targets = [new_target(parameter) for parameter, _ in group]
        fill_targets(targets, threads=threads, engine=engine, progress=onward(progress, done, total))
        yield from ((weight, target.out) for target, (_, weight) in zip(targets, group, strict=True))
        done += sum(parameter.nbytes for parameter, _ in group)


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


def refresh(model: keras.Model) -> None:
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
