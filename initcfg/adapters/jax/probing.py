"""One forward and one backward pass of a Flax module with the weights of each of some plans, measured."""

from __future__ import annotations

import contextlib
import functools
import math
import re
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

import initcfg
from initcfg.adapters.jax.placing import initialize, manifest
from initcfg.adapters.matching import require_plan
from initcfg.errors import Code, SpecError
from initcfg.probe import Probe
from initcfg.probe.passes import Pass, Place, Step, moments, require_seeds, run_of
from initcfg.probe.values import finite, repeated_modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from initcfg.plan import Plan

    Call = Callable[..., Any]
    Loss = Callable[[Any, Any], jax.Array]

# The seed of labels is not that of dropout.
_LABELS = 1


def probe(
    model: Any,
    batch: Any,
    *,
    plans: Mapping[str, Plan] | None = None,
    seeds: Sequence[int] | None = None,
    loss: Loss | None = None,
) -> Probe:
    """Measures one forward and one backward pass of a Flax module, with the weights of each plan.

    The module is not changed. It runs in the mode in which it is, and not compiled; batch, labels and dropout
    are the same for every plan. Memory is that of one more model, its gradients and twice its activations.

    Blocks are the outermost repeated layers, by the names of the parameters (``layers.0``, ``Block_0``);
    in a module without any all that have parameters themselves. Functions between modules are not seen: there
    are no shares of dead units, no entropies and no theory.

    Args:
        model: a module of ``flax.linen`` or ``flax.nnx``.
        batch: an array, a pair of input and target, or a mapping of keywords, which may hold others than
            arrays (``{"x": x, "train": True}``).
        plans: by the names under which they are shown, of the `manifest` of the parameters: for linen
            ``jax.eval_shape(model.init, key, x)["params"]``, for nnx ``nnx.state(model, nnx.Param)``. Without
            any the weights that an nnx module has are measured.
        seeds: each plan is made with each of these in the place of its own; initializers with a seed of
            their own keep it.
        loss: called with what the module gives and the target (None without one), for one number. By default
            cross entropy of its logits, or of a plain array of two or three axes, the last the classes, with
            the target or random labels. Where that does not fit, the gradient begins as random numbers, and
            there is no loss.

    Returns:
        The measurements, one for each seed; as text a table.

    Raises:
        SpecError: a plan does not fit the module, as in `initialize`; the module gives no floating numbers,
            or runs modules inside ``scan``, ``remat``, ``vmap`` or ``jit`` (code ``input``).
        TypeError: `model` is no module of Flax, or a plan is none.
        ValueError: there are seeds and no plan, or no seed; or a linen module and no plan.

    Example:
        >>> import initcfg, jax
        >>> from flax import nnx
        >>> from initcfg.adapters.jax import manifest
        >>> layers = [nnx.Linear(64, 64, use_bias=False, rngs=nnx.Rngs(0)) for _ in range(8)]
        >>> model = nnx.Sequential(*layers)
        >>> rules = [{"match": "**", "initializer": "he_normal"}]
        >>> spec = {"initcfg": 1, "layout": "in_out", "rules": rules}
        >>> plan = initcfg.make_plan(spec, manifest=manifest(nnx.state(model, nnx.Param)))
        >>> (run,) = probe(model, jax.random.normal(jax.random.key(0), (32, 64)), plans={"he": plan}).runs
        >>> first, last = run.blocks[1].forward.square[0], run.blocks[-1].forward.square[0]
        >>> 60 < last / first < 300  # he_normal is for ReLU; without one the signal doubles, seven times
        True
    """
    require_seeds(plans, seeds)
    for plan in (plans or {}).values():
        require_plan(plan, "probe", "initcfg.make_plan(spec, manifest=manifest(params))")
    args, kwargs, target = _fed(batch)
    callee = _callee(model, args, kwargs)
    if not plans and callee.weights is None:
        raise ValueError("a module of flax.linen has no weights of its own: give a plan")
    passes = _Passes(callee, target, loss)
    named: Mapping[str, Plan | None] = plans or {"as built": None}
    runs = tuple(run_of(name, plan, seeds, passes.measure) for name, plan in named.items())
    return Probe(
        version=initcfg.__version__,
        model=type(model).__name__,
        batch="the batch given",
        loss=passes.about,
        chance=passes.chance,
        runs=runs,
    )


def _fed(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """The arguments and the target."""
    if hasattr(batch, "keys"):
        return (), dict(batch), batch.get("labels")
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return (batch[0],), {}, batch[1]
    return (batch,), {}, None


class _Linen:
    """A module of ``flax.linen`` with what it is called with."""

    weights = None  # of its own

    def __init__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._module, self._args, self._kwargs = module, args, kwargs
        made = functools.partial(module.init, self._keys("params"), *args, **kwargs)
        shapes = jax.eval_shape(made)
        self.shapes = shapes["params"]
        # Statistics of norms and the like, which no plan makes.
        self._others = (
            {name: tree for name, tree in made().items() if name != "params"} if len(shapes) > 1 else {}
        )

    def call(self, weights: Any, watch: _Watch) -> Any:
        """What the module gives with these weights."""
        from flax import linen  # noqa: PLC0415

        def watched(call: Call, args: Any, kwargs: Any, context: Any) -> Any:
            if context.method_name != "__call__":
                return call(*args, **kwargs)
            return watch.call(
                ".".join(context.module.path), type(context.module).__name__, call, args, kwargs
            )

        with linen.intercept_methods(watched):
            output, _ = self._module.apply(
                {"params": weights, **self._others},
                *self._args,
                rngs=self._keys("dropout"),
                mutable=list(self._others),
                **self._kwargs,
            )
        return output

    @staticmethod
    def _keys(*names: str) -> dict[str, Any]:
        return {name: jax.random.key(0) for name in ("dropout", *names)}


class _Nnx:
    """A module of ``flax.nnx`` with what it is called with."""

    def __init__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        from flax import nnx  # noqa: PLC0415

        self._args, self._kwargs = args, kwargs
        self._graph, self.weights, self._others = nnx.split(module, nnx.Param, ...)
        self.shapes = self.weights

    def call(self, weights: Any, watch: _Watch) -> Any:
        """What a module with these weights gives; it is a new one, which shares no variable with the old."""
        from flax import nnx  # noqa: PLC0415

        module = nnx.merge(self._graph, weights, self._others, copy=True)
        names = {id(inner): ".".join(map(str, path)) for path, inner in nnx.iter_modules(module)}
        with contextlib.ExitStack() as stack:
            for kind in {type(inner) for _, inner in nnx.iter_modules(module)}:
                if "__call__" in vars(kind):
                    stack.enter_context(_watched(kind, names, watch))
            return module(*self._args, **self._kwargs)


@contextlib.contextmanager
def _watched(kind: Any, names: Mapping[int, str], watch: _Watch) -> Iterator[None]:
    """Has calls of the named modules of a class go through the watch."""
    own = kind.__call__

    def call(module: Any, *args: Any, **kwargs: Any) -> Any:
        bound = functools.partial(own, module)
        # A class may call that of its base: one call of one module.
        if id(module) not in names or watch.is_inside(names[id(module)]):
            return bound(*args, **kwargs)
        return watch.call(names[id(module)], type(module).__name__, bound, args, kwargs)

    kind.__call__ = call
    try:
        yield
    finally:
        kind.__call__ = own


def _callee(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Linen | _Nnx:
    if "flax" in sys.modules:  # who has a module of Flax has imported it
        from flax import linen, nnx  # noqa: PLC0415

        if isinstance(model, nnx.Module):
            return _Nnx(model, args, kwargs)
        if isinstance(model, linen.Module):
            return _Linen(model, args, kwargs)
    raise TypeError(f"probe takes a module of flax.linen or flax.nnx, not {type(model).__name__}")


class _Watch:
    """Sees what modules give, and adds an offset to each, by whose gradient that of the output is known."""

    def __init__(self, blocks: set[str], offsets: Sequence[jax.Array] | None = None) -> None:
        self._blocks, self._offsets = blocks, offsets
        self._inside: list[str] = []
        self._calls: Counter[str] = Counter()
        self._has_begun = False
        #: Name, class, whether it is a block's and a leaf's; and its values.
        self.places: list[tuple[str, str, bool, bool]] = []
        self.values: list[jax.Array] = []

    def is_inside(self, name: str) -> bool:
        """Whether the innermost module that is being called has this name."""
        return bool(self._inside) and self._inside[-1] == name

    def call(self, name: str, kind: str, call: Call, args: Any, kwargs: Any) -> Any:
        """Calls a module; gives its output, with the offset in it."""
        is_block = name in self._blocks
        if is_block and not self._has_begun:
            self._has_begun = True
            args, kwargs = self._seen((args, kwargs), (f"before {name}", "", True, False))
        self._inside.append(name)
        before = sum(self._calls.values())
        output = call(*args, **kwargs)
        is_leaf = sum(self._calls.values()) == before
        self._inside.pop()
        self._calls[name] += 1
        if not (is_block or is_leaf):
            return output
        again = f" ({self._calls[name]})" if self._calls[name] > 1 else ""
        return self._seen(output, (f"{name or 'all'}{again}", kind, is_block, is_leaf))

    def _seen(self, tree: Any, place: tuple[str, str, bool, bool]) -> Any:
        leaves, structure = jax.tree.flatten(tree)
        at = next((at for at, leaf in enumerate(leaves) if _is_floating(leaf)), None)
        if at is None:
            return tree
        if self._offsets is not None:
            leaves[at] = leaves[at] + self._offsets[len(self.values)]
        self.places.append(place)
        self.values.append(leaves[at])
        return jax.tree.unflatten(structure, leaves)


def _is_floating(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and hasattr(leaf, "shape") and jnp.issubdtype(leaf.dtype, jnp.floating)


class _Passes:
    """Runs passes of one module on one batch, always with the same labels and dropout."""

    def __init__(self, callee: _Linen | _Nnx, target: Any, loss: Loss | None) -> None:
        self._callee, self._target, self._loss = callee, target, loss
        self._names = list(manifest(callee.shapes).entries)
        self._blocks = _blocks_of(self._names)
        self.about = "none is known: the gradient begins as random numbers"
        self.chance: float | None = None

    def measure(self, plan: Plan | None) -> Pass:
        """One pass with the weights of a plan, or with those that the model has."""
        weights = self._callee.weights if plan is None else initialize(self._callee.shapes, plan)
        places: list[tuple[str, str, bool, bool]] = []

        def measured(weights: Any, offsets: Any) -> tuple[jax.Array, Any]:
            output, values, found = self._forward(weights, offsets)
            places[:] = found
            return self._loss_of(output), values

        try:
            shapes = jax.eval_shape(lambda: self._forward(weights, None)[1])
            offsets = [jnp.zeros(each.shape, each.dtype) for each in shapes]
            (loss, values), gradients = jax.value_and_grad(measured, (0, 1), has_aux=True)(weights, offsets)
        except jax.errors.UnexpectedTracerError as error:
            raise _hidden() from error
        if any(isinstance(each, jax.core.Tracer) for each in values):
            raise _hidden()
        down, back = gradients
        found = Pass()
        for (name, kind, is_block, is_leaf), value, gradient in zip(places, values, back, strict=True):
            place = Place.of(name, kind, _numpy(value), value.nbytes)
            place.backward = moments(_numpy(gradient))
            found.blocks += [place] if is_block else []
            found.leaves += [place] if is_leaf else []
        if not self.about.startswith("none"):
            found.loss = finite(float(loss))
        for name, leaf, gradient in zip(
            self._names, jax.tree.leaves(weights), jax.tree.leaves(down), strict=True
        ):
            found.weights.append(Step.of(name, _numpy(leaf), _numpy(gradient)))
            found.nbytes += 2 * leaf.nbytes
        found.nbytes += sum(each.nbytes for each in found.leaves)
        return found

    def _forward(self, weights: Any, offsets: Any) -> tuple[Any, list[jax.Array], list[Any]]:
        watch = _Watch(self._blocks, offsets)
        output = self._callee.call(weights, watch)
        return output, watch.values, watch.places

    def _loss_of(self, output: Any) -> jax.Array:
        """The loss given, or the one that fits the output; `about` then says which."""
        target = self._target
        if self._loss is not None:
            self.about = "as given"
            return self._loss(output, target)
        logits = getattr(output, "logits", output)
        labels = jax.random.key(_LABELS)
        if _is_floating(logits) and logits.ndim in (2, 3) and logits.shape[-1] > 1:
            classes, said = logits.shape[-1], "the targets given"
            if target is None:
                target, said = jax.random.randint(labels, logits.shape[:-1], 0, classes), "random labels"
            target = jnp.asarray(target)
            if jnp.issubdtype(target.dtype, jnp.integer) and target.shape == logits.shape[:-1]:
                if target.size and not 0 <= int(target.min()) <= int(target.max()) < classes:
                    message = f"the targets are not all among the {classes:,} classes, 0 to {classes - 1:,}"
                    raise SpecError.of(Code.INPUT, message, "give such targets, or a loss that knows others")
                self.about, self.chance = f"cross entropy over {classes:,} classes, {said}", math.log(classes)
                shares = jax.nn.log_softmax(logits.astype(jnp.float32))
                return -jnp.take_along_axis(shares, target[..., None], -1).mean()
        if target is not None and _is_floating(logits) and jnp.shape(target) == logits.shape:
            self.about, self.chance = "mean square of what is missed", float(np.var(np.asarray(target)))
            return jnp.square(logits.astype(jnp.float32) - target).mean()
        result = next((leaf for leaf in jax.tree.leaves(output) if _is_floating(leaf)), None)
        if result is None:
            hint = "give a loss, which takes what the module gives"
            raise SpecError.of(Code.INPUT, "the module gives no array of floating numbers", hint)
        return (result.astype(jnp.float32) * jax.random.normal(labels, result.shape)).mean()


def _hidden() -> SpecError:
    message = (
        "the module runs others inside a function that JAX traces by itself, such as scan, remat or vmap"
    )
    hint = "build it without that for the probe: what a module gives there is not seen outside"
    return SpecError.of(Code.INPUT, message, hint)


def _blocks_of(names: Sequence[str]) -> set[str]:
    """The repeated layers, which linen numbers as ``Block_0``; without any what has a parameter itself."""
    numbered = [re.sub(r"_(\d+)(?=\.|$)", r".\1", name) for name in names]
    repeated = set(repeated_modules(numbered))
    paths = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
    found = {path for path in paths if re.sub(r"_(\d+)(?=\.|$)", r".\1", path) in repeated}
    return found or {name.rpartition(".")[0] for name in names}


def _numpy(array: jax.Array) -> Any:
    return np.asarray(array, np.float64)
