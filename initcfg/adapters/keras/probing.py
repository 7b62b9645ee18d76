"""One forward and one backward pass of a Keras model with the weights of each of some plans, measured."""

from __future__ import annotations

import contextlib
import inspect
import random
import re
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras.src import backend
from keras.src.backend.common import global_state

from initcfg.adapters.keras.weights import layers_of, own_weights, refresh, replaced, values_of, weights_of
from initcfg.errors import Code, SpecError
from initcfg.frozen import NamedTuple
from initcfg.plan import require_plan
from initcfg.probe.functions import Call, attention_entropy, entropy_of
from initcfg.probe.passes import not_real, probe_of, require_seeds
from initcfg.probe.values import finite
from initcfg.probe.watching import NO_LOSS, Watch, aim_of, numbered_blocks, pass_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from initcfg.plan import Plan
    from initcfg.probe import Probe
    from initcfg.probe.passes import Pass

    Array = Any
    Loss = Callable[[Any, Any], Array]

_ROWS = 8
_LENGTH = 16
_ATTENTION = "dot_product_attention"
# Through which functions of its backend Keras goes, and what a probe calls them.
_FUNCTIONS = (
    *((backend.nn, name, name) for name in ("relu", "relu6", "tanh", "sigmoid", "softsign", "softmax")),
    (backend.nn, "hard_tanh", "hardtanh"),
    (backend.nn, _ATTENTION, _ATTENTION),
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
    require_seeds(plans, seeds)
    for plan in (plans or {}).values():
        require_plan(plan, "probe", "initcfg.make_plan(spec, manifest=manifest(model))")
    passes = _Passes(model, batch, loss)
    with _states_kept():
        return probe_of(passes, plans, seeds, model=type(model).__name__, batch=passes.fed)


@contextlib.contextmanager
def _states_kept() -> Iterator[None]:
    """Puts the random states of Python, numpy and Keras back."""
    shared = "global_seed_generator"  # made when it is first asked for
    with contextlib.ExitStack() as stack:
        stack.callback(global_state.set_global_attribute, shared, global_state.get_global_attribute(shared))
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        yield


@contextlib.contextmanager
def told(model: keras.Model, batch: str) -> Iterator[None]:
    """A block that calls a model, and says of what its code raises that it fails on the batch."""
    try:
        yield
    except SpecError:
        raise
    except Exception as error:
        # Keras puts its own words around those of an error, which it writes in bold.
        bold = re.search(r"\x1b\[1m(.*?)\x1b\[0m", str(error), re.DOTALL)
        said = (bold[1] if bold else str(error)).strip().partition("\n")[0]
        taken = [f"{each.dtype} {each.shape}" for each in getattr(model, "inputs", None) or ()]
        message = f"the model {model.name!r} fails on {batch}: {type(error).__name__}: {said}"
        hint = f"it takes {', '.join(taken)}" if taken else "give what it is called with"
        raise SpecError.of(Code.INPUT, message, hint) from error


class _Called(NamedTuple):
    """A call of a nonlinear function: where, the arrays that tell of it, and what else it is measured by."""

    place: str
    function: str
    arrays: tuple[Array | None, ...]
    options: dict[str, Any]

    @classmethod
    def of(
        cls, layer: tuple[str, keras.Layer], function: str, given: Mapping[str, Any], result: Array
    ) -> _Called:
        """The call inside of a layer with these arguments."""
        place = layer[0] or "all"
        if function == _ATTENTION:
            arrays = tuple(given.get(name) for name in ("query", "key", "bias", "mask"))
            options = {name: given[name] for name in ("is_causal", "scale") if name in given}
            return cls(place, function, arrays, options)
        order = getattr(layer[1], "data_format", None) or keras.config.image_data_format()
        channels = 1 if order == "channels_first" and len(result.shape) > 3 else -1
        return cls(place, function, (result,), {"channels": given.get("axis", channels)})

    def measured(self, arrays: Sequence[Any]) -> Call:
        """What the call does, of its arrays as numpy's."""
        if self.function == "softmax":
            entropy = entropy_of(arrays[0], self.options["channels"])
            return Call(self.place, self.function, entropy=entropy)
        if self.function != _ATTENTION:
            return Call.of(self.place, self.function, arrays[0], self.options["channels"])
        query, key, bias, mask = arrays  # with axes of samples, places, heads and width
        query, key = np.moveaxis(query, 2, 1), np.moveaxis(key, 2, 1)
        key = np.repeat(key, query.shape[1] // key.shape[1], 1)
        mask = bias if mask is None else np.where(mask, 0 if bias is None else bias, -np.inf)
        entropy = attention_entropy(query, key, mask=mask, **self.options)
        return Call(self.place, self.function, entropy=entropy)


class _Passes:
    """Runs passes of one model on one batch, always with the same labels and dropout."""

    def __init__(self, model: keras.Model, batch: Any, loss: Loss | None) -> None:
        self._gradients_of = _gradients_of()
        self._model, self._loss = model, loss
        self._weights = weights_of(model)
        self._layers = list(_named_layers(model, "", set()))
        own = [(name, each) for name, layer in self._layers for each in _seen_as_own(layer)]
        repeated = numbered_blocks(f"{name}.{each.name}" for name, each in own)
        self._blocks = repeated or {name for name, each in own if len(each.shape) > 1}
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
        self._inputs, self._target, self.fed = _fed(batch, model)
        self._gives_shares = False  # what a softmax gives
        self.about = "as given"
        self.chance: float | None = None

    def measure(self, plan: Plan | None) -> Pass:
        """One pass with the weights of a plan, or with those that the model has."""
        values = {id(each): each.value for each in self._weights.values()}
        for weight, made in () if plan is None else values_of(self._model, plan, self._weights):
            values[id(weight)] = keras.ops.convert_to_tensor(made, weight.value.dtype)
        watch, called = Watch(self._blocks, _first), list[_Called]()

        def run(trained: Any, offsets: Any) -> tuple[Array, Any]:
            nonlocal watch, called
            watch, called = Watch(self._blocks, _first, offsets), []
            now = values | dict(zip(map(id, self._trained), trained, strict=True))
            with _watched(self._layers, watch, called):
                output = self._call([(each, now[id(each)]) for each in self._weights.values()])
            if offsets is None:
                softmaxes = (each.arrays[0] for each in called if each.function == "softmax")
                self._gives_shares = any(each is output for each in softmaxes)
            return self._loss_of(output), (watch.values, [each.arrays for each in called])

        start = [values[id(each)] for each in self._trained]
        loss, (seen, arrays), down, back = self._gradients_of(run, start)
        gradients = dict(zip(map(id, self._trained), down, strict=True))
        weights = (
            (name, values[id(each)], gradients.get(id(each))) for name, each in self._parameters.items()
        )
        found = pass_of(watch.seen, seen, back, weights, _numpy)
        for each, taken in zip(called, arrays, strict=True):
            found.nonlinearities.append(each.measured([*map(_numpy, taken)]))
        found.loss = None if self.about == NO_LOSS else finite(float(_numpy(loss)))
        return found

    def _call(self, values: Sequence[tuple[keras.Variable, Array]]) -> Any:
        """What the model gives with these values of its weights; no variable of it changes."""
        with contextlib.ExitStack() as stack:
            stack.callback(refresh, self._model)
            stack.enter_context(keras.StatelessScope(values))
            refresh(self._model)
            with told(self._model, self.fed):
                return self._model(self._inputs, training=True)

    def _loss_of(self, output: Any) -> Array:
        """The loss given, or the one that fits the output; `about` then says which."""
        if self._loss is not None:
            pair = (self._target, output) if isinstance(self._loss, keras.Loss) else (output, self._target)
            given = self._loss(*pair)
            if len(given.shape):
                shape = tuple(given.shape)
                raise ValueError(f"loss must give one number, such as a mean, not an array of shape {shape}")
            return given
        found = _first(output)
        if found is None:
            message = f"the model {self._model.name!r} gives no floating numbers"
            raise SpecError.of(Code.INPUT, message, "give a loss, which takes what the model gives")
        ops, is_whole = keras.ops, found[0] is output
        result = ops.cast(found[0], "float32")
        target = None if self._target is None or not is_whole else ops.convert_to_numpy(self._target)
        aim = aim_of(tuple(result.shape), target, is_whole=is_whole)
        self.about, self.chance = aim.about, aim.chance
        wanted = ops.convert_to_tensor(aim.target)
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


@contextlib.contextmanager
def _watched(
    layers: Sequence[tuple[str, keras.Layer]], watch: Watch, called: list[_Called]
) -> Iterator[None]:
    """Has calls of the layers go through the watch, and keeps those of nonlinear functions."""
    by_name = dict(layers)

    def through(name: str, layer: keras.Layer) -> Callable[..., Any]:
        own = layer.call
        return lambda *args, **kwargs: watch.call(name, type(layer).__name__, own, args, kwargs)

    def kept(function: str, own: Callable[..., Array]) -> Callable[..., Array]:
        def call(*args: Any, **kwargs: Any) -> Array:
            result = own(*args, **kwargs)
            name = watch.innermost or ""
            if not isinstance(by_name[name], _OPAQUE):
                given = inspect.signature(own).bind(*args, **kwargs).arguments
                called.append(_Called.of((name, by_name[name]), function, given, result))
            return result

        return call

    with contextlib.ExitStack() as stack:
        for name, layer in layers:
            stack.enter_context(replaced(layer, "call", through(name, layer)))
        for module, name, function in _FUNCTIONS:
            if hasattr(module, name):  # as in all but the first versions
                stack.enter_context(replaced(module, name, kept(function, getattr(module, name))))
        yield


def _first(tree: Any) -> tuple[Array, Callable[[Array], Any]] | None:
    """The first floating tensor of a tree, and the tree with another in its place."""
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


def _is_floating(leaf: Any) -> bool:
    return bool(keras.ops.is_tensor(leaf) and keras.backend.is_float_dtype(leaf.dtype))


def _numpy(array: Array | None) -> Any:
    """The values in float64, or bool as it is, as a numpy array."""
    if array is None:
        return None
    values = keras.ops.convert_to_numpy(array)
    if values.dtype.kind == "c":
        raise not_real()
    return values if values.dtype == bool else values.astype(np.float64)


def _gradients_of() -> Callable[..., tuple[Any, Any, Any, Any]]:
    """What takes gradients on the backend that is in use, as `initcfg.adapters.jax.probing.gradients_of`."""
    used = keras.backend.backend()
    if used == "jax":
        from initcfg.adapters.jax.probing import gradients_of  # noqa: PLC0415

        return gradients_of
    if used == "torch":
        return _gradients_in_torch
    message = f"probe takes gradients on the backends torch and jax of Keras, not on {used}"
    raise SpecError.of(Code.INPUT, message, "set KERAS_BACKEND=torch or KERAS_BACKEND=jax for the probe")


def _gradients_in_torch(
    run: Callable[[Any, Any], tuple[Array, Any]], weights: Sequence[Array]
) -> tuple[Array, Any, Sequence[Array], Sequence[Array]]:
    import torch  # noqa: PLC0415

    with torch.random.fork_rng(), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(0)
        with torch.no_grad():
            _, (seen, *_) = run(weights, None)
        start = [each.detach().clone().requires_grad_() for each in weights]
        offsets = [torch.zeros_like(each).requires_grad_() for each in seen]
        torch.manual_seed(0)
        loss, given = run(start, offsets)
        found = torch.autograd.grad(loss, [*start, *offsets], allow_unused=True, materialize_grads=True)
    return loss, given, found[: len(start)], found[len(start) :]


def _fed(batch: Any, model: keras.Model) -> tuple[Any, Any, str]:
    """What a model is called with, the target, and what that is in words."""
    if batch is None:
        inputs, about = _synthetic(model)
        return inputs, None, about
    if isinstance(batch, tuple) and len(batch) == 2:
        return *batch, "the batch given"
    return batch, None, "the batch given"


def _synthetic(model: keras.Model) -> tuple[Any, str]:
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
    return keras.tree.pack_sequence_as(made, inputs), " and ".join(about)
