"""One forward and one backward pass of a Flax module with the weights of each of some plans, measured."""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from initcfg.adapters.jax.placing import initialize, manifest
from initcfg.errors import Code, SpecError
from initcfg.probe.subject import Function, require_plans
from initcfg.probe.values import numbered_blocks
from initcfg.probe.watching import Batch, Trial, replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from initcfg.plan import Plan
    from initcfg.probe import Probe
    from initcfg.probe.passes import Pass
    from initcfg.probe.subject import Aim
    from initcfg.probe.watching import Watch

    Call = Callable[..., Any]
    Loss = Callable[[Any, Any], jax.Array]


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
        SpecError: a plan does not fit the module, as in `initialize`; the module fails on the batch, gives
            no floating numbers, or runs modules inside ``scan``, ``remat``, ``vmap`` or ``jit`` (code
            ``input``).
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
    require_plans(plans, seeds, "params")
    fed = Batch.of(batch)
    hint = "give what the module is called with: an array, a pair of input and target, or a mapping"
    trial = Trial(type(model).__name__, fed.about, hint, ("jax", "flax"))
    callee = _callee(model, fed, trial)
    if not plans and callee.weights is None:
        raise ValueError("a module of flax.linen has no weights of its own: give a plan")
    return _Probed(callee, trial, fed, loss).probe(plans, seeds)


class _Linen:
    """A module of ``flax.linen`` with what it is called with."""

    weights = None  # of its own

    def __init__(self, module: Any, batch: Batch, trial: Trial) -> None:
        self._module, self._batch = module, batch
        made = functools.partial(module.init, self._keys("params"), *batch.args, **batch.kwargs)
        with trial.running():
            shapes = jax.eval_shape(made)
        self.shapes = shapes["params"]
        # Statistics of norms and the like, which no plan makes.
        self._others = (
            {name: tree for name, tree in made().items() if name != "params"} if len(shapes) > 1 else {}
        )

    def call(self, weights: Any, watch: Watch) -> Any:
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
                *self._batch.args,
                rngs=self._keys("dropout"),
                mutable=list(self._others),
                **self._batch.kwargs,
            )
        return output

    @staticmethod
    def _keys(*names: str) -> dict[str, Any]:
        return {name: jax.random.key(0) for name in ("dropout", *names)}


class _Nnx:
    """A module of ``flax.nnx`` with what it is called with."""

    def __init__(self, module: Any, batch: Batch) -> None:
        from flax import nnx  # noqa: PLC0415

        self._batch = batch
        self._graph, self.weights, self._others = nnx.split(module, nnx.Param, ...)
        self.shapes = self.weights

    def call(self, weights: Any, watch: Watch) -> Any:
        """What a module with these weights gives; it is a new one, which shares no variable with the old."""
        from flax import nnx  # noqa: PLC0415

        module = nnx.merge(self._graph, weights, self._others, copy=True)
        names = {id(inner): ".".join(map(str, path)) for path, inner in nnx.iter_modules(module)}
        with contextlib.ExitStack() as stack:
            for kind in {type(inner) for _, inner in nnx.iter_modules(module)}:
                if "__call__" in vars(kind):
                    stack.enter_context(_watched(kind, names, watch))
            return module(*self._batch.args, **self._batch.kwargs)


def _watched(kind: Any, names: Mapping[int, str], watch: Watch) -> Any:
    """Has calls of the named modules of a class go through the watch, while the block runs."""
    own = kind.__call__

    def call(module: Any, *args: Any, **kwargs: Any) -> Any:
        bound = functools.partial(own, module)
        # A class may call that of its base: one call of one module.
        if id(module) not in names or watch.innermost == names[id(module)]:
            return bound(*args, **kwargs)
        return watch.call(names[id(module)], type(module).__name__, bound, args, kwargs)

    return replaced(kind, "__call__", call)


def _callee(model: Any, batch: Batch, trial: Trial) -> _Linen | _Nnx:
    if "flax" in sys.modules:  # who has a module of Flax has imported it
        from flax import linen, nnx  # noqa: PLC0415

        if isinstance(model, nnx.Module):
            return _Nnx(model, batch)
        if isinstance(model, linen.Module):
            return _Linen(model, batch, trial)
    raise TypeError(f"probe takes a module of flax.linen or flax.nnx, not {type(model).__name__}")


class _Probed(Function):
    """A module of Flax on one batch."""

    def __init__(self, callee: _Linen | _Nnx, trial: Trial, batch: Batch, loss: Loss | None) -> None:
        super().__init__(trial.model, trial, batch, loss)
        self._callee = callee
        self._names = list(manifest(callee.shapes).entries)
        self.blocks = numbered_blocks(self._names) or {name.rpartition(".")[0] for name in self._names}

    def measure(self, plan: Plan | None) -> Pass:
        """One pass with the weights of a plan, or with those that the model has."""
        weights = self._callee.weights if plan is None else initialize(self._callee.shapes, plan)
        found, down = self.measured(weights)
        leaves = zip(self._names, jax.tree.leaves(weights), jax.tree.leaves(down), strict=True)
        for name, value, gradient in leaves:
            found.add_weight(name, self.numpy(value), self.numpy(gradient), value.nbytes)
        return found

    def output_of(self, weights: Any, watch: Watch, found: Pass | None) -> Any:  # noqa: ARG002
        """What the module gives with these weights."""
        return self._callee.call(weights, watch)

    def gradients_of(
        self, loss: Callable[[Any, Any], jax.Array], weights: Any, offsets: Sequence[jax.Array]
    ) -> tuple[jax.Array, Any, Sequence[jax.Array]]:
        """A loss of weights and offsets, with its gradients; the offsets are zeros like these arrays."""
        return gradients_of(loss, weights, offsets)

    def first(self, tree: Any) -> tuple[jax.Array, Callable[[jax.Array], Any]] | None:
        """The first floating array of a tree, and the tree with another in its place; None of none."""
        leaves, structure = jax.tree.flatten(tree)
        at = next((at for at, leaf in enumerate(leaves) if _is_floating(leaf)), None)
        if at is None:
            return None
        return leaves[at], lambda array: structure.unflatten([*leaves[:at], array, *leaves[at + 1 :]])

    def array_of(self, values: Any) -> Any:
        """An array as numpy's, of floating numbers in float64; it has to have values."""
        if isinstance(values, jax.core.Tracer):
            inside = "inside a function that JAX traces by itself, such as scan, remat or vmap"
            hint = "build it without that for the probe: what a module gives there is not seen outside"
            raise SpecError.of(Code.INPUT, f"the module runs others {inside}", hint)
        array = np.asarray(values)
        return array.astype(np.float64) if _is_floating(array) else array

    def aimed(self, aim: Aim, result: jax.Array) -> jax.Array:
        """The loss that an aim is."""
        result = result.astype(jnp.float32)
        if aim.kind == "classes":
            shares = jax.nn.log_softmax(result)
            return -jnp.take_along_axis(shares, jnp.asarray(aim.target)[..., None], -1).mean()
        return (jnp.square(result - aim.target) if aim.kind == "squares" else result * aim.target).mean()


def _is_floating(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and hasattr(leaf, "shape") and jnp.issubdtype(leaf.dtype, jnp.floating)


def gradients_of(
    loss: Callable[[Any, Any], jax.Array], weights: Any, offsets: Sequence[jax.Array]
) -> tuple[jax.Array, Any, Sequence[jax.Array]]:
    """A loss of weights and offsets, with its gradients; the offsets are zeros like these arrays."""
    zeros = [jnp.zeros_like(each) for each in offsets]
    value, (down, back) = jax.value_and_grad(loss, (0, 1))(weights, zeros)
    return value, down, back
