"""The spec of what an init function of JAX makes: its program is traced and read, and no array is made."""

from __future__ import annotations

import inspect
import math
import os
import sys
from dataclasses import replace
from functools import cache
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.interpreters import partial_eval

from initcfg.adapters.jax.draws import (
    Drawn,
    Lawless,
    call_of,
    computed,
    draw_of,
    is_random,
    joined,
    parts_of,
)
from initcfg.adapters.jax.fixed import Fixed, is_key, is_of_complex, known, number_of, run
from initcfg.adapters.jax.placing import manifest
from initcfg.capture.captured import Captured
from initcfg.capture.laws import constant, in_complex, law_of_values
from initcfg.capture.values import Recorded, Site, Unsaid, UnsayableError, Write
from initcfg.dtypes import DTYPES
from initcfg.errors import Code, SpecError
from initcfg.initializers import (
    Formula,
    Initializer,
    Parameter,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    get,
    resolve,
)
from initcfg.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from initcfg.adapters.jax.draws import Value
    from initcfg.capture.values import Law

# Tables beyond are not made, as those of torch are not.
_MOST = 1 << 26


def capture(init: Callable[[jax.Array], Any]) -> Captured:
    """Traces an init function, and gives the spec of how its leaves begin.

    Only the program is read (``jax.make_jaxpr``): no weight is made, so that a model of any size will do.
    Draws of ``jax.random`` have exact laws, also when they are scaled, shifted, cast, reshaped, transposed,
    joined or passed through functions. Of two leaves made with one key, the second becomes a copy if it is
    equal. What has no law that a spec can say is in ``unsaid``.

    Args:
        init: a function of one key that makes a pytree of parameters and nothing else, for Flax linen
            ``lambda key: model.init(key, x)["params"]``, for nnx
            ``lambda key: nnx.state(Model(rngs=nnx.Rngs(key)), nnx.Param)``, or a class or function that
            makes the model with ``rngs``. Keys among the leaves are left out.

    Returns:
        The spec with its tables, under the names that `manifest` gives; `initcfg.make_plan` takes
        ``captured.spec``.

    Raises:
        SpecError: it makes nothing that a spec can hold (code ``input``), or two leaves have one name.
        TypeError: `init` is no function.

    Example:
        >>> import jax
        >>> he = jax.nn.initializers.he_normal()
        >>> capture(lambda key: {"w": he(key, (64, 32))}).spec.rules[-1].initializer.name
        'he_normal'
    """
    if not callable(init):
        way = 'lambda key: model.init(key, x)["params"]'
        raise TypeError(f"capture takes a function of one key, not {type(init).__name__}: {way}")
    name = getattr(init, "__name__", "model")
    key = jax.random.key(0)
    closed, tree = jax.make_jaxpr(_of_key(init), return_shape=True)(key)
    flat, structure = jax.tree.flatten(tree)
    kept = [None if is_key(leaf) else leaf for leaf in flat]
    names = list(manifest(jax.tree.unflatten(structure, kept)).entries)
    if not names:
        raise SpecError.of(Code.INPUT, f"{name} makes no array", "give a function of a key that makes them")
    with jax.default_device(jax.devices("cpu")[0]):
        start = Fixed(closed.in_avals[0], array=key, of_key=True)
        # What the leaves do not follow from, as a model's outputs, is not looked at.
        jaxpr, _ = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(flat), instantiate=True)
        values = _Reader().read(jaxpr, closed.consts, [start])
        pairs = [(leaf, value) for leaf, value in zip(kept, values, strict=True) if leaf is not None]
        recorded = _recorded(names, pairs)
    return Captured("model" if name == "<lambda>" else name, recorded, layout="in_out")


def _of_key(init: Callable[..., Any]) -> Callable[[jax.Array], Any]:
    """The init function of what makes a model of Flax nnx; any other is one itself."""
    nnx = sys.modules.get("flax.nnx")
    made: Any = inspect.unwrap(init)
    if isinstance(made, type):  # whose call takes *args, whatever its __init__ does
        made = made.__init__  # type: ignore[misc]
    if nnx is None or "rngs" not in inspect.signature(made).parameters:
        return init
    return lambda key: nnx.state(init(rngs=nnx.Rngs(key)), nnx.Param)


# Leaves.


def _recorded(names: Sequence[str], leaves: Sequence[tuple[Any, Value]]) -> list[Recorded]:
    found: list[Recorded] = []
    seen: dict[bytes, list[tuple[str, Drawn]]] = {}
    for name, (leaf, value), scheme in zip(names, leaves, _schemes(leaves), strict=True):
        try:
            law = scheme or _law(leaf, value)
            if isinstance(value, Drawn):
                law = _apart(name, value, law, seen)
        except UnsayableError as error:
            law = Unsaid(str(error), value.write.site if isinstance(value, Drawn) else None)
        writes = (value.write,) if isinstance(value, Drawn) else ()
        module = name.rpartition(".")[0].rpartition(".")[2]
        layout = value.layout if isinstance(value, Drawn) else None
        found.append(Recorded(name, leaf.shape, str(leaf.dtype), law, module, writes, layout=layout))
    return found


def _law(leaf: Any, value: Value) -> Law:
    """The law of a leaf, as the language has it."""
    if str(leaf.dtype) not in DTYPES:
        raise UnsayableError(f"no spec holds values of {leaf.dtype}")
    match value:
        case Lawless(reason, site):
            return Unsaid(reason, site)
        case Drawn() if is_of_complex(leaf):
            # Others stand for disks and cut normals, which are laws of schemes alone.
            if isinstance(value.law, RandomUniform | TruncatedNormal):
                raise UnsayableError("it is a variance scaling of complex numbers with a scale of its own")
            return in_complex(value.law, leaf.shape)
        case Drawn():
            return value.law
    if value.of_key:
        raise UnsayableError("it is computed of the key, and not drawn")
    if value.number is not None:
        return constant(number_of(value))
    if math.prod(leaf.shape) > _MOST:
        raise UnsayableError("its values are too many to be made")
    table, dtype = np.asarray(value.values()), DTYPES[str(leaf.dtype)]
    return law_of_values(table.astype(np.float64) if dtype.format else table, dtype)


def _apart(name: str, value: Drawn, law: Law, seen: dict[bytes, list[tuple[str, Drawn]]]) -> Law:
    """The law, unless an earlier leaf used the same key: then a copy of that leaf, or an error."""
    others = [each for key in value.keys for each in seen.get(key, ())]
    for key in value.keys:
        seen.setdefault(key, []).append((name, value))
    for other, theirs in others:
        if theirs.draw == value.draw and _are_disjoint(theirs.at, value.at):
            continue
        alike = replace(theirs, write=value.write) == value
        if alike and value.at is not None and not isinstance(law, Unsaid):
            return Formula("x", of=Parameter(other))
        raise UnsayableError(f"it follows from {other!r}, which is made with the same key")
    return law


def _are_disjoint(one: Any, other: Any) -> bool:
    if one is None or other is None or len(one) != len(other):
        return False
    return any(a[1] <= b[0] or b[1] <= a[0] for a, b in zip(one, other, strict=True))


# The schemes of jax.nn.initializers with names of their own; and those without, by their arguments.
_MODES: tuple[Literal["fan_in", "fan_out", "fan_avg"], ...] = ("fan_in", "fan_out", "fan_avg")
_KINDS: dict[type, tuple[Literal["truncated_normal", "untruncated_normal", "uniform"], tuple[str, ...]]] = {
    TruncatedNormal: ("truncated_normal", ("lecun_normal", "he_normal", "glorot_normal")),
    RandomNormal: ("untruncated_normal", ()),
    RandomUniform: ("uniform", ("glorot_uniform", "lecun_uniform", "he_uniform")),
}


def _schemes(leaves: Sequence[tuple[Any, Value]]) -> list[Initializer | None]:
    """The scheme behind each leaf, or None; of several that fit a leaf, the one that fits most leaves."""
    fits: list[dict[str, Initializer]] = [
        {repr(each): each for each in _fitting(leaf, value)} if isinstance(value, Drawn) else {}
        for leaf, value in leaves
    ]
    counts: dict[str, int] = {}
    for fit in fits:
        for each in fit:
            counts[each] = counts.get(each, 0) + 1
    order = sorted(counts, key=lambda each: ("scale" in each and "scale=2.0" not in each, -counts[each]))
    places = {each: at for at, each in enumerate(order)}
    return [fit[min(fit, key=places.__getitem__)] if fit else None for fit in fits]


def _fitting(leaf: Any, value: Drawn) -> Iterator[Initializer]:
    """The schemes that give a draw its spread."""
    wide = _width(value.law)
    if not value.scaling or not wide:
        return
    layout, dtype = Layout(value.layout or "in_out"), DTYPES[str(leaf.dtype)]
    kind, names = _KINDS[type(value.law)]
    for scheme in (*map(get, names), *(VarianceScaling(1.0, mode, kind) for mode in _MODES)):
        law: Any = resolve(scheme, leaf.shape, layout, dtype)
        own = next(getattr(law, each) for each in ("std", "high", "radius") if hasattr(law, each))
        squared = (wide / own) ** 2
        if math.isclose(squared, 1, rel_tol=1e-12):
            yield scheme
        elif isinstance(scheme, VarianceScaling) and math.isclose(squared, round(squared, 6), rel_tol=1e-12):
            yield scheme.from_config(scheme.get_config() | {"scale": round(squared, 6)})


def _width(law: Any) -> float | None:
    """How wide a law about 0 is: its bound, or its standard deviation before a cut; None of other laws."""
    match law:
        case RandomUniform() if law.minval == -law.maxval:
            return float(law.maxval)
        case RandomNormal() | TruncatedNormal() if not law.mean:
            return float(law.stddev)
    return None


# The program.


class _Reader:
    """Reads a program equation by equation, and only those that its outputs need."""

    def read(
        self, jaxpr: Any, consts: Sequence[Any], args: Sequence[Value], site: Site | None = None
    ) -> list[Value]:
        """The values of a program's outputs; `site` is its line where an equation has none of its own."""
        held: dict[Any, Value] = dict(zip(jaxpr.invars, args, strict=True))
        for var, const in zip(jaxpr.constvars, consts, strict=True):
            held[var] = const if isinstance(const, Fixed | Drawn | Lawless) else known(const, var.aval)

        def value(atom: Any) -> Value:
            return known(atom.val, atom.aval) if isinstance(atom, core.Literal) else held[atom]

        for eqn in jaxpr.eqns:
            values = [value(each) for each in eqn.invars]
            for var, made in zip(eqn.outvars, self._equation(eqn, values, site), strict=True):
                held[var] = made
        return [value(each) for each in jaxpr.outvars]

    def _equation(self, eqn: Any, values: list[Value], site: Site | None) -> Sequence[Value]:
        write = _write(eqn)
        place = write.site if write.site.file else site
        try:
            return self._outputs(eqn, values, write, place)
        except UnsayableError as error:
            return [Lawless(str(error), place)] * len(eqn.outvars)

    def _outputs(  # noqa: PLR0911  a list of cases
        self, eqn: Any, values: list[Value], write: Write, site: Site | None
    ) -> Sequence[Value]:
        lawless = next((each for each in values if isinstance(each, Lawless)), None)
        inner = eqn.params.get("jaxpr") or eqn.params.get("call_jaxpr")
        name = eqn.primitive.name
        if name in ("jit", "pjit"):
            drawn = draw_of(eqn, values, write)
            if drawn is not None:
                return [drawn]
            if is_random(eqn):
                body = eqn.params["jaxpr"]
                known = Lawless(f"{call_of(eqn)} has no initializer", site)
                made = self.read(body.jaxpr, body.consts, values, site)
                return [known if isinstance(each, Lawless) else each for each in made]
        if name in _BITS:
            raise UnsayableError("jax.random.bits has no initializer")
        if name in _CALLS and inner is not None:
            body, consts = (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, ())
            return self.read(body, consts, values, site)
        is_known = all(isinstance(each, Fixed) and not each.of_key for each in values)
        if name == "scan" and eqn.params["length"] and not is_known:
            return self._scanned(eqn, values, site)
        if lawless is not None:
            return [lawless] * len(eqn.outvars)
        if name == "while" and not is_known:
            raise UnsayableError("it is made in a loop without a fixed number of steps")
        if all(isinstance(each, Fixed) for each in values):
            return run(eqn, values)  # type: ignore[arg-type]
        if name == "split":
            return parts_of(eqn, values)
        return [computed(eqn, values)]

    def _scanned(self, eqn: Any, values: list[Value], site: Site | None) -> list[Value]:
        """What a scan carries to its end, and what its steps make one by one, along a new first axis."""
        body, steps = eqn.params["jaxpr"], eqn.params["length"]
        if steps > _MOST_STEPS:
            raise UnsayableError(f"it is made in a loop of {steps:,} steps; {_MOST_STEPS:,} are read at most")
        first = eqn.params["num_consts"]
        last = first + eqn.params["num_carry"]
        carry, along = values[first:last], values[last:]
        avals = [var.aval for var in body.jaxpr.invars[last:]]
        rows: dict[int, list[Value]] = {}
        for at in sorted(range(steps), reverse=eqn.params["reverse"]):
            here = map(_step, along, repeat(at), avals)
            made = self.read(body.jaxpr, body.consts, [*values[:first], *carry, *here], site)
            carry, rows[at] = made[: len(carry)], made[len(carry) :]
        columns = zip(*(rows[at] for at in range(steps)), strict=True)
        return [*carry, *map(_stacked, columns, (var.aval for var in eqn.outvars[len(carry) :]))]


def _step(value: Value, at: int, aval: Any) -> Value:
    """What a step of a scan gets of values."""
    match value:
        case Fixed() if value.number is not None:
            return replace(value, aval=aval)
        case Fixed() if not value.of_key and not aval.shape:
            return known(value.values()[at], aval)
        case Fixed():
            return Fixed(aval, array=lambda: value.values()[at], of_key=value.of_key)
        case Drawn():
            return Lawless("it is computed in a loop over random values", value.write.site)
    return value


def _stacked(values: Sequence[Value], aval: Any) -> Value:
    """Values along a new first axis."""
    found = [each for each in values if not isinstance(each, Lawless)]
    fixed = [each for each in found if isinstance(each, Fixed)]
    if len(found) < len(values):
        return next(each for each in values if isinstance(each, Lawless))
    if len(fixed) < len(found):
        return joined(found, 0, aval.shape)
    of_key = any(each.of_key for each in fixed)
    numbers = {each.number is not None and (each.number.tobytes(), each.exact) for each in fixed}
    if len(numbers) == 1 and False not in numbers:
        return replace(fixed[0], aval=aval, of_key=of_key)
    return Fixed(aval, array=lambda: jnp.stack([each.values() for each in fixed]), of_key=of_key)


# More layers are in no model.
_MOST_STEPS = 4096
_CALLS = frozenset(
    ["jit", "pjit", "closed_call", "core_call", "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call"]
)


_BITS = ("random_bits", "random_gamma", "threefry2x32", "rng_bit_generator", "rng_uniform")


def _write(eqn: Any, call: str = "") -> Write:
    """The line of an equation: the innermost outside of JAX, and the first outside of Flax too."""
    traceback = eqn.source_info.traceback
    frames = [
        Site(frame.file_name, frame.line_num, frame.function_name.rpartition(".")[2])
        for frame in (traceback.frames if traceback else ())
    ]
    framework = ("jax", "jaxlib", "initcfg", "contextlib", "functools")
    outside = [each for each in frames if not _is_of(each.file, *framework)]
    own = [each for each in outside if not _is_of(each.file, "flax", "haiku", "equinox")]
    nowhere = Site("", 0, "")
    return Write(call, (outside or [nowhere])[0], (own or outside or [nowhere])[0], "constructor")


@cache
def _is_of(file: str, *packages: str) -> bool:
    """Whether a file is that of a module, or of a package in whatever folder."""
    files = [getattr(sys.modules.get(each), "__file__", None) for each in packages]
    folders = [
        str(Path(each).parent) + os.sep if each.endswith("__init__.py") else each for each in files if each
    ]
    return file.startswith(tuple(folders))
