"""LSUV of a built model: each layer's output brought to variance 1 on a batch, in one forward pass."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from initcfg.adapters.keras.probing import trial_of
from initcfg.adapters.keras.weights import initialize, layers_of, manifest_of, own_weights, weights_of
from initcfg.plan import require_plan
from initcfg.probe import lsuv as core
from initcfg.probe.watching import replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from initcfg.plan import Plan
    from initcfg.probe.watching import Trial


def lsuv(
    model: keras.Model,
    batch: Any,
    plan: Plan,
    *,
    tolerance: float = 0.01,
    max_rounds: int = 10,
    center: bool = False,
    select: str | None = None,
) -> core.Lsuv:
    """Begins a model with a plan, and scales its layers so that the variance of each output is 1 on a batch.

    As `initcfg.adapters.torch.lsuv_`, on any backend of Keras: all layers are settled in one eager call with
    ``training=True``. Where a layer ends in an activation, its output is what that is given, as in the other
    frameworks. Averages, states of seed generators and metrics are as they were.

    Args:
        model: built.
        batch: what the model is called with.
        plan: of all weights of the model.
        tolerance, max_rounds, center, select: as in `initcfg.adapters.torch.lsuv_`.

    Raises:
        SpecError: as there, or the model is not built.
        UnknownParameterError: `select` matches nothing.
        TypeError: `plan` is none.
        ValueError: `tolerance` is no number above 0, or `max_rounds` no whole number of 1 or more.

    Example:
        >>> import initcfg, keras, numpy as np
        >>> from initcfg.adapters.keras import manifest
        >>> layers = [keras.layers.Dense(size, use_bias=False) for size in (64, 10)]
        >>> model = keras.Sequential([keras.Input((32,)), *layers])
        >>> spec = {"initcfg": 1, "layout": "in_out", "rules": [{"match": "**", "initializer": "orthogonal"}]}
        >>> plan = initcfg.make_plan(spec, manifest=manifest(model))
        >>> lsuv(model, np.linspace(-1, 1, 320, dtype="float32").reshape(10, 32), plan).outside
        ()
    """
    require_plan(plan, "lsuv", "initcfg.make_plan(spec, manifest=manifest(model))")
    core.require_limits(tolerance, max_rounds)
    weights = weights_of(model)
    holders = {names[0].rpartition(".")[0]: (layer, names) for layer, names in _held(model, weights)}
    held = ((name, names) for name, (_, names) in holders.items())
    layers = core.layers_of(plan, manifest_of(weights), held, select, center=center)
    trial = trial_of(model, "the batch given")

    def run(look: core.Look) -> None:
        with contextlib.ExitStack() as stack:
            for name, layer in layers.items():
                holder = holders[name][0]
                watching = _watching(layer, holder, weights, look, trial)
                stack.enter_context(replaced(holder, "call", watching))
            moving = {id(each): each for each in (*model.variables, *model.metrics_variables)}
            for variable in (each for each in moving.values() if not each.trainable):
                stack.callback(variable.assign, keras.ops.convert_to_numpy(variable.value))
            with trial.running():
                model(batch, training=True)

    return core.scale_layers(
        plan,
        manifest_of(weights),
        layers,
        lambda plan: initialize(model, plan),
        run,
        tolerance=tolerance,
        max_rounds=max_rounds,
    )


def _held(
    model: keras.Model, weights: Mapping[str, keras.Variable]
) -> Iterator[tuple[keras.Layer, list[str]]]:
    """The layers that multiply by a matrix, with the names of their own weights."""
    names = {id(weight): name for name, weight in weights.items()}
    tables = (layer for layer in layers_of(model) if isinstance(layer, keras.layers.Embedding))
    looked_up = {id(weight) for layer in tables for weight in own_weights(layer)}
    for layer in layers_of(model):
        own = [id(weight) for weight in own_weights(layer)]
        if own and not looked_up & set(own):
            yield layer, [names[each] for each in own]


def _watching(
    layer: core.Layer,
    holder: keras.Layer,
    weights: Mapping[str, keras.Variable],
    look: core.Look,
    trial: Trial,
) -> Callable[..., Any]:
    """A call of a layer that looks at the output, and gives what the layer does when it is settled."""
    call = _telling(holder)

    def watching(*args: Any, **kwargs: Any) -> Any:
        weight, (last, told) = weights[layer.weight], call(*args, **kwargs)
        start = keras.ops.convert_to_numpy(weight.value).astype(np.float64)

        def measure(factor: float, bias: float) -> core.Passed:
            nonlocal last
            weight.assign(start * factor)
            if layer.bias is not None:
                weights[layer.bias].assign(np.full(weights[layer.bias].shape, bias))
            with trial.running():
                last, told = call(*args, **kwargs)
            return core.Passed.of(layer.name, keras.ops.convert_to_numpy(told))

        with trial.looking():
            look(layer.name, core.Passed.of(layer.name, keras.ops.convert_to_numpy(told)), measure)
        return last

    return watching


def _telling(holder: keras.Layer) -> Callable[..., tuple[Any, Any]]:
    """A call of a layer that also gives what its activation was given, or again the output without one."""
    call, activation = holder.call, vars(holder).get("activation")

    def telling(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        given = activated = None

        def keeping(values: Any) -> Any:
            nonlocal given, activated
            given, activated = values, activation(values)
            return activated

        with contextlib.nullcontext() if activation is None else replaced(holder, "activation", keeping):
            output = call(*args, **kwargs)
        return output, given if output is activated else output

    return telling
