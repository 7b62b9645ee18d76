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
from initcfg.plan import require_plan
from initcfg.probe.passes import not_real, probe_of, require_seeds
from initcfg.probe.values import finite
from initcfg.probe.watching import NO_LOSS, Watch, aim_of, numbered_blocks, pass_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from initcfg.plan import Plan
    from initcfg.probe import Probe
    from initcfg.probe.passes import Pass
    from initcfg.probe.watching import Seen

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
    require_seeds(plans, seeds)
    for plan in (plans or {}).values():
        require_plan(plan, "probe", "initcfg.make_plan(spec, manifest=manifest(params))")
    args, kwargs, target = _fed(batch)
    callee = _callee(model, args, kwargs)
    if not plans and callee.weights is None:
        raise ValueError("a module of flax.linen has no weights of its own: give a plan")
    passes = _Passes(callee, target, loss)
    return probe_of(passes, plans, seeds, model=type(model).__name__, batch="the batch given")


def _fed(batch: Any) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """The arguments and the target."""
    if hasattr(batch, "keys"):
        return (), dict(batch), batch.get("labels")
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return (batch[0],), {}, batch[1]
    return (batch,), {}, None


@contextlib.contextmanager
def _told(module: Any) -> Iterator[None]:
    """A block that runs a module's code, and says of what that raises that it fails on the batch."""
    try:
        yield
    except (SpecError, jax.errors.UnexpectedTracerError):
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        message = f"{type(module).__name__} fails on the batch given: {said}"
        hint = "give what the module is called with: an array, a pair of input and target, or a mapping"
        raise SpecError.of(Code.INPUT, message, hint) from error


class _Linen:
    """A module of ``flax.linen`` with what it is called with."""

    weights = None  # of its own

    def __init__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.module, self._args, self._kwargs = module, args, kwargs
        made = functools.partial(module.init, self._keys("params"), *args, **kwargs)
        with _told(module):
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
            output, _ = self.module.apply(
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

        self.module, self._args, self._kwargs = module, args, kwargs
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
            return module(*self._args, **self._kwargs)


@contextlib.contextmanager
def _watched(kind: Any, names: Mapping[int, str], watch: Watch) -> Iterator[None]:
    """Has calls of the named modules of a class go through the watch."""
    own = kind.__call__

    def call(module: Any, *args: Any, **kwargs: Any) -> Any:
        bound = functools.partial(own, module)
        # A class may call that of its base: one call of one module.
        if id(module) not in names or watch.innermost == names[id(module)]:
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


def _first(tree: Any) -> tuple[jax.Array, Callable[[jax.Array], Any]] | None:
    """The first floating array of a tree, and the tree with another in its place."""
    leaves, structure = jax.tree.flatten(tree)
    at = next((at for at, leaf in enumerate(leaves) if _is_floating(leaf)), None)
    if at is None:
        return None
    return leaves[at], lambda array: jax.tree.unflatten(structure, [*leaves[:at], array, *leaves[at + 1 :]])


def _is_floating(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and hasattr(leaf, "shape") and jnp.issubdtype(leaf.dtype, jnp.floating)


class _Passes:
    """Runs passes of one module on one batch, always with the same labels and dropout."""

    def __init__(self, callee: _Linen | _Nnx, target: Any, loss: Loss | None) -> None:
        self._callee, self._target, self._loss = callee, target, loss
        self._names = list(manifest(callee.shapes).entries)
        self._blocks = numbered_blocks(self._names) or {name.rpartition(".")[0] for name in self._names}
        self.about = "as given"
        self.chance: float | None = None

    def measure(self, plan: Plan | None) -> Pass:
        """One pass with the weights of a plan, or with those that the model has."""
        weights = self._callee.weights if plan is None else initialize(self._callee.shapes, plan)
        seen: list[Seen] = []

        def run(weights: Any, offsets: Any) -> tuple[jax.Array, Any]:
            watch = Watch(self._blocks, _first, offsets)
            with _told(self._callee.module):
                output = self._callee.call(weights, watch)
            loss = self._loss_of(output)
            seen[:] = watch.seen
            return loss, (watch.values,)

        loss, (values,), down, back = gradients_of(run, weights)
        trained = zip(self._names, jax.tree.leaves(weights), jax.tree.leaves(down), strict=True)
        found = pass_of(seen, values, back, trained, _numpy)
        found.loss = None if self.about == NO_LOSS else finite(float(loss))
        return found

    def _loss_of(self, output: Any) -> jax.Array:
        """The loss given, or the one that fits the output; `about` then says which."""
        if self._loss is not None:
            return self._loss(output, self._target)
        logits = getattr(output, "logits", output)
        found = _first(logits)
        if found is None:
            hint = "give a loss, which takes what the module gives"
            raise SpecError.of(Code.INPUT, "the module gives no array of floating numbers", hint)
        result = found[0].astype(jnp.float32)
        target = None if self._target is None else np.asarray(self._target)
        aim = aim_of(result.shape, target, is_whole=_is_floating(logits))
        self.about, self.chance = aim.about, aim.chance
        if aim.kind == "classes":
            shares = jax.nn.log_softmax(result)
            return -jnp.take_along_axis(shares, jnp.asarray(aim.target)[..., None], -1).mean()
        if aim.kind == "squares":
            return jnp.square(result - aim.target).mean()
        return (result * aim.target).mean()


def gradients_of(run: Callable[[Any, Any], tuple[jax.Array, Any]], weights: Any) -> tuple[Any, Any, Any, Any]:
    """The loss, what is given beside it, and the gradients of weights and offsets.

    Args:
        run: called with weights and offsets (None at first), gives the loss and a tuple, the first of which
            are the values that an offset is added to each.
        weights: a tree of arrays.

    Raises:
        SpecError: what is given comes from inside of a function that JAX traces by itself (code ``input``).
    """
    try:
        shapes = jax.eval_shape(lambda: run(weights, None)[1][0])
        offsets = [jnp.zeros(each.shape, each.dtype) for each in shapes]
        (loss, given), (down, back) = jax.value_and_grad(run, (0, 1), has_aux=True)(weights, offsets)
    except jax.errors.UnexpectedTracerError as error:
        raise _hidden() from error
    if any(isinstance(each, jax.core.Tracer) for each in jax.tree.leaves(given)):
        raise _hidden()
    return loss, given, down, back


def _hidden() -> SpecError:
    message = (
        "the module runs others inside a function that JAX traces by itself, such as scan, remat or vmap"
    )
    hint = "build it without that for the probe: what a module gives there is not seen outside"
    return SpecError.of(Code.INPUT, message, hint)


def _numpy(array: jax.Array) -> Any:
    if np.iscomplexobj(array):
        raise not_real()
    return np.asarray(array, np.float64)
