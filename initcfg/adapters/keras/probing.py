"""One forward and one backward pass of a Keras model with the weights of each of some plans, measured."""

from __future__ import annotations

import contextlib
import functools
import random
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras.src import backend
from keras.src.backend.common import global_state

from initcfg.adapters.keras.weights import layers_of, own_weights, refresh, values_of, weights_of
from initcfg.errors import Code, SpecError
from initcfg.probe.subject import Function, require_plans
from initcfg.probe.values import numbered_blocks
from initcfg.probe.watching import Batch, Trial, noted, replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from initcfg.plan import Plan
    from initcfg.probe import Probe
    from initcfg.probe.passes import Pass
    from initcfg.probe.subject import Aim
    from initcfg.probe.watching import Watch

    Array = Any
    Loss = Callable[[Any, Any], Array]

_ROWS = 8
_LENGTH = 16
# Through which functions of its backend Keras goes, and what a probe calls them.
_FUNCTIONS = (
    *((backend.nn, name, name) for name in ("relu", "relu6", "tanh", "sigmoid", "softsign", "softmax")),
    (backend.nn, "hard_tanh", "hardtanh"),
    (backend.nn, "dot_product_attention", "dot_product_attention"),
    (backend.numpy, "tanh", "tanh"),
)

# What Keras computes step by step or in a loop that a backend may compile: seen as one layer.
_OPAQUE = (keras.layers.RNN, keras.layers.TimeDistributed)


def probe(
    model: keras.Model,
    batch: Any = None,
    *,
    plans: Mapping[str, Plan] | None = None,
    seeds: Sequence[int] | None = None,
    loss: Loss | None = None,
) -> Probe:
    """Measures one forward and one backward pass of a Keras model, with the weights of each plan.

    On the backends torch and jax. The model runs eagerly with ``training=True``, and keeps its weights,
    averages, states of seeds, metrics and optimizer, also after an exception. Batch, labels and dropout are
    the same for every plan. Memory is that of one more model, its gradients and twice its activations.

    Blocks are the outermost repeated layers, by numbers in their names (``block_0``; ``dense``, ``dense_1``);
    in a model without any all layers with matrices. The output of a layer with an activation is that of the
    activation. What is inside of recurrent layers is not seen, and there is no theory.

    Args:
        model: built.
        batch: what the model is called with; of a tuple of two the second is the target. By default random
            numbers and tokens of the shapes of ``model.inputs``.
        plans, seeds: as in `initcfg.adapters.torch.probe`.
        loss: a ``keras.losses.Loss``, or called with what the model gives and the target (None without one),
            for one number. By default as there, and of what a softmax gives at the end the same as of its
            logits. What the model is compiled with is not used.

    Returns:
        The measurements, one for each seed; as text a table.

    Raises:
        SpecError: a plan does not fit the model, or it is not built, as in `initialize`; it does not take the
            batch, none was given and none is found, it gives no floating numbers, has nothing to train, or
            the backend is another one (code ``input``).
        TypeError: `model` is no Keras model, a plan is none, or `loss` cannot be called.
        ValueError: there are seeds and no plan, or no seed; or `loss` gives several numbers.

    Example:
        >>> import initcfg, keras
        >>> from initcfg.adapters.keras import manifest
        >>> layers = [keras.layers.Dense(64, use_bias=False, name=f"fc_{at}") for at in range(8)]
        >>> model = keras.Sequential([keras.Input((64,)), *layers])
        >>> spec = {"initcfg": 1, "layout": "in_out", "rules": [{"match": "**", "initializer": "he_normal"}]}
        >>> plan = initcfg.make_plan(spec, manifest=manifest(model))
        >>> (run,) = probe(model, plans={"he": plan}).runs
        >>> first, last = run.blocks[1].forward.square[0], run.blocks[-1].forward.square[0]
        >>> 60 < last / first < 300  # he_normal is for ReLU; without one the signal doubles, seven times
        True
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"probe takes a keras.Model, not {type(model).__name__}")
    if loss is not None and not callable(loss):
        raise TypeError(f"loss is one of keras.losses or a function, such as keras.losses.get({loss!r})")
    require_plans(plans, seeds, "model")
    if isinstance(loss, keras.losses.Loss):
        loss = functools.partial(_turned, loss)
    subject = _Probed(model, _fed(batch, model), loss)
    with _states_kept():
        return subject.probe(plans, seeds)


def _turned(loss: keras.losses.Loss, output: Any, target: Any) -> Array:
    return loss(target, output)


@contextlib.contextmanager
def _states_kept() -> Iterator[None]:
    """Puts the random states of Python, numpy and Keras back."""
    shared = "global_seed_generator"  # made when it is first asked for
    with contextlib.ExitStack() as stack:
        stack.callback(global_state.set_global_attribute, shared, global_state.get_global_attribute(shared))
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        yield


def trial_of(model: keras.Model, about: str) -> Trial:
    """What runs the code of a model on a batch, which is called so."""
    taken = [f"{each.dtype} {each.shape}" for each in getattr(model, "inputs", None) or ()]
    hint = f"it takes {', '.join(taken)}" if taken else "give what it is called with"
    return Trial(f"the model {model.name!r}", about, hint, ("keras", "jax", "torch"))


class _Probed(Function):
    """A Keras model on one batch."""

    def __init__(self, model: keras.Model, batch: Batch, loss: Loss | None) -> None:
        super().__init__(type(model).__name__, trial_of(model, batch.about), batch, loss)
        self._seeded, self.gradients_of = _backend()
        self._model = model
        self._weights = weights_of(model)
        self._layers = list(_named_layers(model, "", set()))
        own = [(name, each) for name, layer in self._layers for each in _seen_as_own(layer)]
        repeated = numbered_blocks(f"{name}.{each.name}" for name, each in own)
        self.blocks = repeated or {name for name, each in own if len(each.shape) > 1}
        # Frozen weights are there, too; statistics of norms are not.
        begun = {id(each) for layer in layers_of(model) for each in layer._trainable_variables}
        self._parameters = {name: each for name, each in self._weights.items() if id(each) in begun}
        self._trained = [each for each in self._parameters.values() if each.trainable]
        if not self._trained:
            hint = "give a model with a layer that trains"
            raise SpecError.of(Code.INPUT, f"the model {model.name!r} has nothing to train", hint)
        if any(getattr(layer, "_remat_mode", None) for layer in layers_of(model)):
            message = f"the model {model.name!r} computes layers again on the way back (keras.RematScope)"
            raise SpecError.of(Code.INPUT, message, "build it without that for the probe")
        self._gives_shares = False  # what a softmax gives

    def measure(self, plan: Plan | None) -> Pass:
        """One pass with the weights of a plan, or with those that the model has."""
        values = {id(each): each.value for each in self._weights.values()}
        for weight, made in () if plan is None else values_of(self._model, plan, self._weights):
            values[id(weight)] = keras.ops.convert_to_tensor(made, weight.value.dtype)
        self._values = values
        with self._seeded():
            found, down = self.measured([values[id(each)] for each in self._trained])
        gradients = dict(zip(map(id, self._trained), down, strict=True))
        for name, each in self._parameters.items():
            value, gradient = values[id(each)], gradients.get(id(each))
            known = None if gradient is None else self.numpy(gradient)
            found.add_weight(name, self.numpy(value), known, value.nbytes)
        return found

    def output_of(self, weights: Any, watch: Watch, found: Pass | None) -> Any:
        """What the model gives with these values of what trains; no variable of it changes."""
        now = self._values | dict(zip(map(id, self._trained), weights, strict=True))
        by_name, shares = dict(self._layers), list[Any]()

        def note(function: str, given: Mapping[str, Any], result: Array) -> None:
            layer = by_name[watch.innermost or ""]
            if found is not None and not isinstance(layer, _OPAQUE):
                order = getattr(layer, "data_format", None) or keras.config.image_data_format()
                channels = 1 if order == "channels_first" and len(result.shape) > 3 else -1
                found.nonlinearities.append(self.called(watch, function, given, result, channels))
                shares.extend([result] if function == "softmax" else [])

        with contextlib.ExitStack() as stack:
            stack.callback(refresh, self._model)
            held = [(each, now[id(each)]) for each in self._weights.values()]
            stack.enter_context(keras.StatelessScope(held))
            refresh(self._model)
            for name, layer in self._layers:
                call = functools.partial(_through, watch, name, layer, layer.call)
                stack.enter_context(replaced(layer, "call", call))
            stack.enter_context(noted(_FUNCTIONS, note))
            output = self._model(*self.batch.args, training=True)
        if found is not None:
            self._gives_shares = any(each is output for each in shares)
        return output

    def first(self, tree: Any) -> tuple[Array, Callable[[Array], Any]] | None:
        """The first floating tensor of a tree, and the tree with another in its place; None of none."""
        leaves = keras.tree.flatten(tree)
        at = next((at for at, leaf in enumerate(leaves) if _is_floating(leaf)), None)
        if at is None:
            return None

        def put(array: Array) -> Any:
            mask = backend.get_keras_mask(leaves[at])
            if mask is not None:
                backend.set_keras_mask(array, mask)
            return keras.tree.pack_sequence_as(tree, [*leaves[:at], array, *leaves[at + 1 :]])

        return leaves[at], put

    def array_of(self, values: Any) -> Any:
        """A tensor as numpy's array."""
        return keras.ops.convert_to_numpy(values)

    def aimed(self, aim: Aim, result: Array) -> Array:
        """The loss that an aim is, and of shares that of their logits."""
        ops = keras.ops
        wanted, result = ops.convert_to_tensor(aim.target), ops.cast(result, "float32")
        if aim.kind == "classes":
            is_logits = not self._gives_shares
            return ops.mean(ops.sparse_categorical_crossentropy(wanted, result, from_logits=is_logits))
        return ops.mean(ops.square(result - wanted) if aim.kind == "squares" else result * wanted)


def _named_layers(layer: keras.Layer, name: str, found: set[int]) -> Iterator[tuple[str, keras.Layer]]:
    """The layers by the names on the way to them, each once; none inside one that is opaque."""
    if id(layer) in found:
        return
    found.add(id(layer))
    yield name, layer
    for inner in () if isinstance(layer, _OPAQUE) else layer._layers:
        yield from _named_layers(inner, f"{name}.{inner.name}" if name else inner.name, found)


def _seen_as_own(layer: keras.Layer) -> Sequence[keras.Variable]:
    """The weights of a layer, with those of the layers in it that are not seen."""
    return layer.weights if isinstance(layer, _OPAQUE) else own_weights(layer)


def _through(
    watch: Watch, name: str, layer: keras.Layer, own: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    return watch.call(name, type(layer).__name__, own, args, kwargs)


def _is_floating(leaf: Any) -> bool:
    return bool(keras.ops.is_tensor(leaf) and keras.backend.is_float_dtype(leaf.dtype))


def _backend() -> tuple[Callable[[], Any], Callable[..., tuple[Any, Any, Any]]]:
    """Of the backend that is in use a block in which each run draws the same, and what takes gradients."""
    used = keras.backend.backend()
    if used == "jax":
        from initcfg.adapters.jax.probing import gradients_of  # noqa: PLC0415

        return contextlib.nullcontext, gradients_of
    if used == "torch":
        return _seeded_torch, _gradients_in_torch
    message = f"probe takes gradients on the backends torch and jax of Keras, not on {used}"
    raise SpecError.of(Code.INPUT, message, "set KERAS_BACKEND=torch or KERAS_BACKEND=jax for the probe")


@contextlib.contextmanager
def _seeded_torch() -> Iterator[None]:
    import torch  # noqa: PLC0415

    with torch.random.fork_rng(), torch.inference_mode(False), torch.no_grad():
        torch.manual_seed(0)
        yield


def _gradients_in_torch(
    loss_of: Callable[[Any, Any], Array], weights: Sequence[Array], offsets: Sequence[Array]
) -> tuple[Array, Sequence[Array], Sequence[Array]]:
    import torch  # noqa: PLC0415

    with torch.enable_grad():
        torch.manual_seed(0)
        start = [each.detach().clone().requires_grad_() for each in weights]
        added = [torch.zeros_like(each).requires_grad_() for each in offsets]
        loss = loss_of(start, added)
        found = torch.autograd.grad(loss, [*start, *added], allow_unused=True, materialize_grads=True)
    return loss, found[: len(start)], found[len(start) :]


def _fed(batch: Any, model: keras.Model) -> Batch:
    """What a model is called with and the target: its inputs may be a mapping, or a list of two."""
    if batch is None:
        return _synthetic(model)
    is_pair = isinstance(batch, tuple) and len(batch) == 2
    return Batch((batch[0],), {}, batch[1]) if is_pair else Batch((batch,), {})


def _synthetic(model: keras.Model) -> Batch:
    """Random numbers and tokens of the shapes of a model's inputs, with its name."""
    wanted = getattr(model, "inputs", None)
    tables = [layer.input_dim for layer in layers_of(model) if isinstance(layer, keras.layers.Embedding)]
    kinds = {keras.backend.is_float_dtype(each.dtype) for each in wanted or ()}
    if not wanted or (False in kinds and not tables):
        message = f"no random batch is known that the model {model.name!r} takes"
        raise SpecError.of(Code.INPUT, message, "give a batch: what the model is called with")
    drawn = np.random.default_rng(0)
    inputs, about = [], []
    for each in wanted:
        shape = (each.shape[0] or _ROWS, *(size or _LENGTH for size in each.shape[1:]))
        sizes = " x ".join(map(str, shape[1:]))
        if keras.backend.is_float_dtype(each.dtype):
            inputs.append(drawn.normal(size=shape).astype(np.float32))
            about.append(f"{shape[0]} random inputs of {sizes}")
        else:
            inputs.append(drawn.integers(min(tables), size=shape).astype(np.int32))
            about.append(f"{shape[0]} rows of {sizes} random tokens of {min(tables):,}")
    # As it was made: one input, a list of them, or a mapping by their names.
    made = getattr(model, "_inputs_struct", wanted[0] if len(wanted) == 1 else wanted)
    return Batch((keras.tree.pack_sequence_as(made, inputs),), {}, None, " and ".join(about))
