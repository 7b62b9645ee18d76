"""LSUV of a function of parameters: each layer's output brought to variance 1 on a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from initcfg.adapters.jax.placing import Flat, initialize
from initcfg.errors import Code, SpecError
from initcfg.plan import require_plan
from initcfg.probe import lsuv as core

if TYPE_CHECKING:
    from initcfg.plan import Plan

Tree = TypeVar("Tree")

_NAMES = "name a layer as its parameters are, without their last part"


def lsuv(
    outputs: Callable[[Tree], Mapping[str, Any]],
    tree: Tree,
    plan: Plan,
    *,
    tolerance: float = 0.01,
    max_rounds: int = 10,
    center: bool = False,
    select: str | None = None,
) -> tuple[Tree, core.Lsuv]:
    """Parameters of a plan, scaled so that the variance of each layer's output is 1 on a batch.

    As `initcfg.adapters.torch.lsuv_`, without anything that changes: `outputs` runs once for each round of
    each layer.

    Args:
        outputs: gives the outputs of layers on a batch, by their names; it may be compiled. A layer ``h.fc``
            is one whose parameters are ``h.fc.kernel`` and so on; one without a matrix is passed by. It may
            be nested as Flax has it: ``model.apply({"params": tree}, batch,
            capture_intermediates=True)[1]["intermediates"]``. Layers are settled in the order in which they
            are computed, or, where JAX cannot trace `outputs`, in which it names them.
        tree: as in `initialize`.
        plan: of all leaves.
        tolerance, max_rounds, center, select: as in `initcfg.adapters.torch.lsuv_`. Leaves that are called
            ``embedding`` are left alone.

    Returns:
        The tree that `initialize` makes of the plan with the scales, and the scales.

    Raises:
        SpecError: as `initialize`, or as `initcfg.adapters.torch.lsuv_`; or `outputs` gives that of no layer
            of the plan (code ``input``).
        UnknownParameterError: `select` matches nothing.
        TypeError: `plan` is none, or `outputs` gives no mapping.
        ValueError: `tolerance` is no number above 0, or `max_rounds` no whole number of 1 or more.

    Example:
        >>> import initcfg, jax, jax.numpy as jnp
        >>> from initcfg.adapters.jax import manifest
        >>> tree = {"a": {"kernel": jnp.zeros((32, 64))}, "b": {"kernel": jnp.zeros((64, 10))}}
        >>> batch = jnp.linspace(-1, 1, 320).reshape(10, 32)
        >>> def outputs(tree):
        ...     a = batch @ tree["a"]["kernel"]
        ...     return {"a": a, "b": jax.nn.relu(a) @ tree["b"]["kernel"]}
        >>> spec = {"initcfg": 1, "layout": "in_out", "rules": [{"match": "**", "initializer": "orthogonal"}]}
        >>> plan = initcfg.make_plan(spec, manifest=manifest(tree))
        >>> tree, found = lsuv(outputs, tree, plan)
        >>> found.outside, round(float(outputs(tree)["b"].var()), 3)
        ((), 1.0)
    """
    require_plan(plan, "lsuv", "initcfg.make_plan(spec, manifest=manifest(tree))")
    core.require_limits(tolerance, max_rounds)
    made = initialize(tree, plan)
    flat = Flat.of(made)
    first = outputs(made)
    if not isinstance(first, Mapping):
        message = f"outputs must give the outputs of layers by their names, not {type(first).__name__}"
        raise TypeError(f'{message}: {{"fc1": ..., "fc2": ...}}')
    called = dict.fromkeys(name for name, _ in _calls(first))
    held = [(name, [each for each in flat.names if each.rpartition(".")[0] == name]) for name in called]
    multiplying = (each for each in held if f"{each[0]}.embedding" not in each[1])
    layers = core.layers_of(plan, flat.manifest, multiplying, select, center=center)
    if not layers:
        message = f"outputs gives that of no layer with a matrix, but of {', '.join(called) or 'none'}"
        raise SpecError.of(Code.INPUT, message, _NAMES)
    parted = (name.rpartition(".") for name in core.matrices_of(plan, select))
    owners = [owner for owner, _, last in parted if last != "embedding"]
    left = next((owner for owner in owners if owner not in called), None)
    if left is not None:
        message = f"outputs gives nothing of {left!r}, which has a matrix"
        raise SpecError.of(Code.INPUT, message, f"{_NAMES}; or leave it out with select")

    order = _in_order(outputs, made)

    def begin(plan: Plan) -> None:
        nonlocal made
        made = initialize(tree, plan)

    def run(look: core.Look) -> None:
        leaves = dict(zip(flat.names, Flat.of(made).leaves, strict=True))
        now = list(_calls(outputs(made)))
        for at in order:
            name, value = now[at]
            if name not in layers:
                continue
            weight, bias = layers[name].weight, layers[name].bias
            start = leaves[weight]

            def measure(factor: float, value: float, at: int = at) -> core.Passed:
                leaves[weight] = (start * factor).astype(start.dtype)  # noqa: B023  called in this round only
                if bias is not None:  # noqa: B023
                    leaves[bias] = jnp.full_like(leaves[bias], value)  # noqa: B023
                now[:] = _calls(outputs(jax.tree.unflatten(flat.structure, list(leaves.values()))))
                return _passed(*now[at])

            look(name, _passed(name, value), measure)

    found = core.scale_layers(
        plan, flat.manifest, layers, begin, run, tolerance=tolerance, max_rounds=max_rounds
    )
    return made, found


def _calls(outputs: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """What each layer gives, by its name; of Flax each of its calls, under ``__call__``."""
    for key, value in outputs.items():
        name = prefix if key == "__call__" else f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            yield from _calls(value, name)
        else:
            yield from ((name, each) for each in (value if isinstance(value, tuple) else (value,)))


def _in_order(outputs: Callable[[Any], Mapping[str, Any]], tree: Any) -> list[int]:
    """Where the outputs stand among what is given, in the order in which they are computed.

    Compiled functions give dicts sorted by their keys.
    """

    def arrays(tree: Any) -> list[Any]:
        return [value if hasattr(value, "dtype") else 0 for _, value in _calls(outputs(tree))]

    try:
        places = _places(jax.make_jaxpr(arrays)(tree).jaxpr)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError):
        # What asks for values is not compiled as a whole.
        return list(range(len(arrays(tree))))
    return sorted(range(len(places)), key=places.__getitem__)


def _places(jaxpr: Any) -> list[tuple[int, ...]]:
    """Of each result of a program the number of its equation, and of that inside of a compiled function."""
    found: dict[int, tuple[int, ...]] = {}
    for at, equation in enumerate(jaxpr.eqns):
        inner = getattr(equation.params.get("jaxpr"), "jaxpr", None)
        inside = [()] * len(equation.outvars) if inner is None else _places(inner)
        found |= {id(made): (at, *place) for made, place in zip(equation.outvars, inside, strict=False)}
    return [found.get(id(each), ()) for each in jaxpr.outvars]


def _passed(name: str, output: Any) -> core.Passed:
    if not hasattr(output, "dtype"):
        raise TypeError(f"outputs must give an array for {name!r}, not {type(output).__name__}")
    return core.Passed.of(name, np.asarray(output))
