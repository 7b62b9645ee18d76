"""One forward and one backward pass of a Flax module with the weights of each of some plans, measured."""

from __future__ import annotations

import contextlib
import functools
import sys
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from initcfg.adapters.jax.placing import initialize, manifest
from initcfg.errors import Code, SpecError
from initcfg.names import few
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

    Loss = Callable[[Any, Any], jax.Array]

_ATTENTION = "dot_product_attention"


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
    in a module without any all that have parameters themselves. Nonlinear functions are seen where they are
    called as members of ``jax.nn``, ``jax.numpy``, ``flax.linen`` or ``flax.nnx`` (``nnx.relu(x)``), and not
    inside compiled ones. There is no theory.

    Args:
        model: a module of ``flax.linen`` or ``flax.nnx``.
        batch: an array, a pair of input and target, or a mapping of keywords, which may hold others than
            arrays (``{"x": x, "train": True}``).
        plans: of the `manifest` of the parameters: for linen
            ``jax.eval_shape(model.init, key, x)["params"]``, for nnx ``nnx.state(model, nnx.Param)``. Without
            any the weights that an nnx module has are measured.
        seeds, loss: as in `initcfg.adapters.torch.probe`.

    Returns:
        The measurements, one for each seed; as text a table.

    Raises:
        SpecError: a plan does not fit the module, as in `initialize`, or a linen module has none; the module
            fails on the batch, gives no floating numbers, or runs modules inside ``scan``, ``remat``,
            ``vmap`` or ``jit`` (code ``input``).
        TypeError: `model` is no module of Flax, or a plan is none.
        ValueError: there are seeds and no plan, or no seed.

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
    subject = _subject_of(model, Batch.of(batch), loss)
    if not plans and subject.weights is None:
        message = "a module of flax.linen has no weights of its own"
        raise SpecError.of(Code.INPUT, message, "give a plan; on the command line, a --spec")
    return subject.probe(plans, seeds)


def gradients_of(
    loss: Callable[[Any, Any], jax.Array], weights: Any, offsets: Sequence[jax.Array]
) -> tuple[jax.Array, Any, Sequence[jax.Array]]:
    """A loss of weights and offsets, with its gradients; the offsets are zeros like these arrays."""
    zeros = [jnp.zeros_like(each) for each in offsets]
    value, (down, back) = jax.value_and_grad(loss, (0, 1))(weights, zeros)
    return value, down, back


class _Flax(Function):
    """A module of Flax on one batch; `weights` are those that it has."""

    weights: Any = None
    gradients_of = staticmethod(gradients_of)

    def __init__(self, model: Any, batch: Batch, loss: Loss | None) -> None:
        kind = type(model).__name__
        hint = "give what the module is called with: an array, a pair of input and target, or a mapping"
        super().__init__(kind, Trial(kind, batch.about, hint, ("jax", "flax")), batch, loss)
        self.parameters = self.prepared(model)
        self._names = list(manifest(self.parameters).entries)
        self.blocks = numbered_blocks(self._names) or {name.rpartition(".")[0] for name in self._names}

    @abstractmethod
    def prepared(self, model: Any) -> Any:
        """Takes the module in; gives its parameters, or their shapes."""

    @abstractmethod
    def call(self, weights: Any, watch: Watch) -> Any:
        """What the module gives with these weights."""

    def measure(self, plan: Plan | None) -> Pass:
        """One pass with the weights of a plan, or with those that the model has."""
        weights = self.weights if plan is None else initialize(self.parameters, plan)
        held = zip(self._names, jax.tree.leaves(weights), strict=True)
        unmade = [name for name, leaf in held if isinstance(leaf, jax.ShapeDtypeStruct)]
        if unmade:
            message = f"the plan skips {few(unmade)}, and the module has no values of its own there"
            raise SpecError.of(Code.INPUT, message, "give each parameter an initializer")
        found, down = self.measured(weights)
        leaves = zip(self._names, jax.tree.leaves(weights), jax.tree.leaves(down), strict=True)
        for name, value, gradient in leaves:
            found.add_weight(name, self.numpy(value), self.numpy(gradient), value.nbytes)
        return found

    def output_of(self, weights: Any, watch: Watch, found: Pass | None) -> Any:
        """What it gives with these weights; nonlinear functions are measured, too, if it is to be `found`."""
        if found is None:
            return self.call(weights, watch)

        def note(function: str, given: Mapping[str, Any], result: Any) -> None:
            if not isinstance(result, jax.core.Tracer):  # as inside of another function, such as gelu
                found.nonlinearities.append(self.called(watch, function, given, result))

        with noted(_functions(), note):
            return self.call(weights, watch)

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


class _Linen(_Flax):
    """A module of ``flax.linen``."""

    def prepared(self, model: Any) -> Any:
        """The shapes of its parameters; statistics of norms and the like, which no plan makes, are made."""
        self._model = model
        made = functools.partial(model.init, _keys("params"), *self.batch.args, **self.batch.kwargs)
        with self.trial.running():
            shapes = jax.eval_shape(made)
        self._others = (
            {name: tree for name, tree in made().items() if name != "params"} if len(shapes) > 1 else {}
        )
        return shapes["params"]

    def call(self, weights: Any, watch: Watch) -> Any:
        """What the module gives with these weights."""
        from flax import linen  # noqa: PLC0415

        def watched(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
            if context.method_name != "__call__":
                return call(*args, **kwargs)
            name = ".".join(context.module.path)
            return watch.call(name, type(context.module).__name__, call, args, kwargs)

        variables, kept = {"params": weights, **self._others}, list(self._others)
        args, kwargs = self.batch.args, self.batch.kwargs
        with linen.intercept_methods(watched):
            return self._model.apply(variables, *args, rngs=_keys(), mutable=kept, **kwargs)[0]


def _keys(*names: str) -> dict[str, Any]:
    return {name: jax.random.key(0) for name in ("dropout", *names)}


class _Nnx(_Flax):
    """A module of ``flax.nnx``."""

    def prepared(self, model: Any) -> Any:
        """Its parameters."""
        from flax import nnx  # noqa: PLC0415

        self._graph, self.weights, self._others = nnx.split(model, nnx.Param, ...)
        return self.weights

    def call(self, weights: Any, watch: Watch) -> Any:
        """What a module with these weights gives; it is a new one, which shares no variable with the old."""
        from flax import nnx  # noqa: PLC0415

        module = nnx.merge(self._graph, weights, self._others, copy=True)
        names = {id(inner): ".".join(map(str, path)) for path, inner in nnx.iter_modules(module)}
        with contextlib.ExitStack() as stack:
            for kind in {type(inner) for _, inner in nnx.iter_modules(module)}:
                if "__call__" in vars(kind):
                    stack.enter_context(_watched(kind, names, watch))
            return module(*self.batch.args, **self.batch.kwargs)


def _watched(kind: Any, names: Mapping[int, str], watch: Watch) -> Any:
    """Has calls of the named modules of a class go through the watch, while the block runs."""
    own = kind.__call__

    def call(module: Any, *args: Any, **kwargs: Any) -> Any:
        bound = functools.partial(own, module)
        # It may have been made during the call, as by functions that JAX traces.
        name = names.get(id(module), type(module).__name__)
        # A class may call that of its base: one call of one module.
        if watch.innermost == name:
            return bound(*args, **kwargs)
        return watch.call(name, type(module).__name__, bound, args, kwargs)

    return replaced(kind, "__call__", call)


def parameters_of(model: Any, batch: Any) -> Any:
    """The parameters of a module of Flax that is called with a batch, or their shapes."""
    return _subject_of(model, Batch.of(batch), None).parameters


def kind_of(model: object) -> type[_Flax] | None:
    """What probes a module of Flax; None of anything else."""
    if "flax" in sys.modules:  # who has a module of Flax has imported it
        from flax import linen, nnx  # noqa: PLC0415

        return _Nnx if isinstance(model, nnx.Module) else _Linen if isinstance(model, linen.Module) else None
    return None


def _subject_of(model: Any, batch: Batch, loss: Loss | None) -> _Flax:
    kind = kind_of(model)
    if kind is not None:
        return kind(model, batch, loss)
    raise TypeError(f"probe takes a module of flax.linen or flax.nnx, not {type(model).__name__}")


def _functions() -> Iterator[tuple[Any, str, str]]:
    """Where modules find nonlinear functions: under these names in JAX and Flax."""
    from flax import linen, nnx  # noqa: PLC0415

    names = ("relu", "relu6", "tanh", "sigmoid", "softmax")
    others = {"hard_tanh": "hardtanh", "soft_sign": "softsign"}
    for module in (jax.nn, linen, nnx):
        yield from ((module, name, others.get(name, name)) for name in (*names, *others))
    yield from ((jnp, "tanh", "tanh"), (jax.nn, _ATTENTION, _ATTENTION))


def _is_floating(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and hasattr(leaf, "shape") and jnp.issubdtype(leaf.dtype, jnp.floating)
