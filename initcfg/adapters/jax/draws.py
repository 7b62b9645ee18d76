"""Draws of ``jax.random`` and what is computed of them: the laws of values in a traced program."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from initcfg.adapters.jax.fixed import Fixed, is_key, is_of_complex, number_of
from initcfg.capture.laws import affine, combined, constant, expression_of, function_of
from initcfg.capture.values import UnsayableError
from initcfg.initializers import (
    Concatenate,
    Initializer,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    RepeatOf,
    TruncatedNormal,
    TruncNormal,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.capture.values import Site, Write

_RANDOM = os.path.join("jax", "_src", "random")  # noqa: PTH118  a part of a path
_SCALING = os.path.join("jax", "_src", "nn", "initializers.py")  # noqa: PTH118
_TWICE = "one draw is there several times"


@dataclass(frozen=True)
class Drawn:
    """Random values: the law of each, and where they were drawn.

    `axes` has, for each axis, which axis of the draw it is a part of, counted from the last, which is 1; 0 is
    an axis along which draws lie that were made apart, each with its key. It is None where a reshape has
    mixed them. `at` is the block of the draw that is taken, None where its elements may have moved.
    """

    law: Initializer
    keys: tuple[bytes, ...]
    draw: tuple[Any, ...]
    write: Write
    axes: tuple[int, ...] | None = None
    at: tuple[tuple[int, int], ...] | None = None
    scaling: bool = False

    @property
    def layout(self) -> str | None:
        """Its layout in letters, where ``in_out`` does not say the same."""
        axes = self.axes or ()
        plain = [tuple(range(len(axes), 0, -1))]
        if isinstance(self.law, Orthogonal):
            plain.append((2,) * (len(axes) - 1) + (1,))
        return None if axes in plain or not {1, 2} & {*axes} else "".join("BOIK"[min(at, 3)] for at in axes)


@dataclass(frozen=True)
class Lawless:
    """Values that no spec can say, and why."""

    reason: str
    site: Site | None


Value: TypeAlias = "Fixed | Drawn | Lawless"


# Draws.


def is_random(eqn: Any) -> bool:
    """Whether a call is one of a function of ``jax.random``."""
    return _RANDOM in (eqn.params["jaxpr"].jaxpr.debug_info.func_filename or "")


def call_of(eqn: Any) -> str:
    """What the user's code calls a function of ``jax.random``."""
    return f"jax.random.{eqn.params['name'].strip('_').removesuffix('_real')}"


def draw_of(eqn: Any, values: list[Value], write: Write) -> Drawn | None:
    """A draw of ``jax.random``; None where an equation is none that has an initializer."""
    out, *more = eqn.outvars
    if not values:
        return None
    name = eqn.params["name"].removeprefix("_")
    keys, *numbers = values
    known = name in ("uniform", "normal", "normal_real", "truncated_normal", "orthogonal")
    if not known or more or not is_random(eqn) or not isinstance(keys, Fixed):
        return None
    kinds = jnp.inexact if name == "normal" else jnp.floating
    if not is_key(keys.aval) or not jnp.issubdtype(out.aval.dtype, kinds):
        return None
    shape, copies = out.aval.shape, keys.aval.shape
    if shape[: len(copies)] != copies:
        raise UnsayableError("the keys of its parts lie along an axis that is not the first")
    words = np.asarray(jax.random.key_data(keys.values())).reshape(math.prod(copies), -1)
    rows = tuple(row.tobytes() for row in words)
    if len(set(rows)) < len(rows):
        raise UnsayableError("one key makes several parts of it, which are equal")
    ends = [number_of(each) if isinstance(each, Fixed) else math.nan for each in numbers]
    law: Initializer
    match name:
        case "uniform":
            law = RandomUniform(ends[0], ends[1])
        case "truncated_normal":
            law = (
                TruncatedNormal(0.0, 1.0) if ends == [-2.0, 2.0] else TruncNormal(0.0, 1.0, ends[0], ends[1])
            )
        case "orthogonal":
            law = Orthogonal()
        case _:
            name, law = "normal", RandomNormal(0.0, 1.0)
    scaling = any("variance_scaling" in function for function in _scaling_functions(eqn))
    return Drawn(
        law,
        rows,
        (rows, name, shape, str(out.aval.dtype), tuple(ends)),
        replace(write, call=f"jax.random.{name}"),
        axes=(0,) * len(copies) + tuple(range(len(shape) - len(copies), 0, -1)),
        at=tuple((0, size) for size in shape),
        scaling=scaling,
    )


def _scaling_functions(eqn: Any) -> list[str]:
    """The functions of ``jax.nn.initializers`` that an equation is made in."""
    frames = eqn.source_info.traceback.frames if eqn.source_info.traceback else ()
    return [frame.function_name for frame in frames if frame.file_name.endswith(_SCALING)]


# In complex numbers the schemes draw a modulus and an angle. These stand for what that gives, and scale as it
# does: a disk of this radius, and a normal of this deviation that is cut off at two.
_POLAR: dict[str, Initializer] = {
    "_complex_uniform": RandomUniform(-math.sqrt(2), math.sqrt(2)),
    "_complex_truncated_normal": TruncatedNormal(0.0, 1.0),
}


def _polar(eqn: Any, drawn: list[Drawn]) -> Drawn | None:
    """What an equation makes on the way to complex draws of a scheme; None where it does nothing of that."""
    law = next((law for name, law in _POLAR.items() if name in _scaling_functions(eqn)), None)
    if law is None:
        return None
    first, *others = drawn
    keys = tuple(key for each in drawn for key in each.keys)
    return replace(first, law=law, keys=keys, draw=(first.draw, *(each.draw for each in others)))


_SAME = ("convert_element_type", "copy", "stop_gradient", "reduce_precision", "sharding_constraint")
# Of these not all parts are alike.
_JOINED = Concatenate | RepeatOf
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_FUNCTIONS = ("exp", "log", "sqrt", "tanh", "sin", "cos", "abs", "expm1", "log1p")


def computed(eqn: Any, values: list[Any]) -> Value:
    """An equation of random values with numbers, or with others of the same draw."""
    name, aval = eqn.primitive.name, eqn.outvars[0].aval
    drawn = [each for each in values if isinstance(each, Drawn)]
    first = drawn[0]
    was = eqn.invars[values.index(first)].aval
    before = was.shape
    if name in ("stack", "concatenate"):
        axis = eqn.params["axis" if name == "stack" else "dimension"]
        sizes = None if name == "stack" else [each.aval.shape[axis] for each in eqn.invars]
        return joined(values, axis, aval.shape, sizes)
    if polar := _polar(eqn, drawn):
        return polar
    if len(eqn.outvars) > 1 or not jnp.issubdtype(aval.dtype, jnp.inexact):
        raise UnsayableError(f"{name} of random values has no law in a spec")
    is_complex = is_of_complex(aval)
    if is_complex != is_of_complex(was) or (is_complex and name not in _OF_COMPLEX):
        raise UnsayableError(f"{name} of random values, some of them complex, has no law in a spec")
    if name in _MOVES and len(values) == 1:
        return _moved(name, eqn, first, before, aval.shape)
    if math.prod(aval.shape) != math.prod(before):
        raise UnsayableError(_TWICE)
    if name in _SAME and len(values) == 1:
        return first
    if len(drawn) == 2 and len(values) == 2:
        one, other = drawn
        alike = (
            replace(other, law=one.law, write=one.write) == one
            and one.at is not None
            and not isinstance(one.law, Orthogonal | _JOINED)
        )
        if name in _SIGNS and alike and expression_of(one.law)[1] == expression_of(other.law)[1]:
            return replace(one, law=combined(one.law, _SIGNS[name], other.law))
        raise UnsayableError(f"{name} of two draws has no law in a spec")
    made = _of_one(name, eqn, first, values)
    if made is None:
        raise UnsayableError(f"{name} of random values has no law in a spec")
    return replace(first, law=made)


def _of_one(  # noqa: PLR0911  a list of cases
    name: str, eqn: Any, drawn: Drawn, values: list[Value]
) -> Initializer | None:
    """The law of an equation of one draw, by itself or with a number; None where it has none."""
    law = drawn.law
    if name in _FUNCTIONS:
        return function_of(law, f"{name}({{}})")
    if name == "neg":
        return affine(law, -1.0)
    if name == "square" or (name == "integer_pow" and eqn.params["y"] > 0):
        return function_of(law, f"{{}} ** {eqn.params.get('y', 2)}")
    if len(values) != 2:
        return None
    number, is_first = number_of(next(each for each in values if isinstance(each, Fixed))), values[0] is drawn
    match name:
        case "mul":
            return affine(law, number)
        case "div" if is_first and number:
            return affine(law, 1 / number, divided=number)
        case "add":
            return affine(law, 1.0, number)
        case "sub":
            return affine(law, 1.0, -number) if is_first else affine(law, -1.0, number)
        case "max" | "min":
            return function_of(law, f"{name}({{}}, {number!r})")
        case "pow" if is_first:
            return function_of(law, f"{{}} ** {number!r}")
    return None


_MOVES = ("reshape", "transpose", "squeeze", "expand_dims", "broadcast_in_dim", "slice", "rev")
_OF_COMPLEX = frozenset([*_MOVES, *_SAME, "mul", "div", "neg"])


def _moved(name: str, eqn: Any, drawn: Drawn, before: tuple[int, ...], after: tuple[int, ...]) -> Drawn:
    """Draws in other places."""
    if name == "slice":
        return _part(drawn, eqn.params["start_indices"], eqn.params["limit_indices"])
    if math.prod(before) != math.prod(after):
        return _repeated(drawn, eqn.params.get("broadcast_dimensions"), before, after)
    if isinstance(drawn.law, _JOINED) and before != after:
        drawn = replace(drawn, law=_turned(drawn.law, eqn.params.get("permutation")))
    whole = tuple((0, size) for size in before) == drawn.at
    at = tuple((0, size) for size in after) if whole else None
    is_same = tuple(s for s in before if s != 1) == tuple(s for s in after if s != 1)
    moves = () if is_same and name not in ("rev", "transpose") else (name, str(eqn.params), after)
    axes = _axes_moved(name, eqn, drawn, before, after)
    return replace(drawn, axes=axes, draw=(*drawn.draw, *moves), at=at)


def _axes_moved(
    name: str, eqn: Any, drawn: Drawn, before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[int, ...] | None:
    if drawn.axes is None or name == "rev":
        return drawn.axes
    if name == "transpose":
        return tuple(drawn.axes[at] for at in eqn.params["permutation"])
    axes = _split(drawn.axes, before, after)
    if axes is None and isinstance(drawn.law, Orthogonal):
        raise UnsayableError("it is an orthogonal matrix in another order")
    return axes


def _turned(law: Any, permutation: Sequence[int] | None) -> Initializer:
    """The law of parts along an axis, where that axis is another by now."""
    if permutation is None:
        raise UnsayableError("its parts do not lie along one axis")
    axis = permutation.index(law.axis)
    if isinstance(law, RepeatOf):
        return RepeatOf(law.of, axis, law.times)
    return Concatenate(axis, law.sizes, law.initializers)


def _repeated(
    drawn: Drawn, kept: Sequence[int] | None, before: tuple[int, ...], after: tuple[int, ...]
) -> Drawn:
    """A draw that is there several times along one axis."""
    if kept is None:
        raise UnsayableError(_TWICE)
    one = [1] * len(after)
    for axis, size in zip(kept, before, strict=True):
        one[axis] = size
    grown = [axis for axis, size in enumerate(after) if size != one[axis]]
    if len(grown) != 1 or isinstance(drawn.law, _JOINED):
        raise UnsayableError(_TWICE)
    (axis,) = grown
    axes = dict(zip(kept, drawn.axes or (), strict=False))
    return replace(
        drawn,
        law=RepeatOf(drawn.law, axis, after[axis]),
        draw=(*drawn.draw, "repeated", after),
        axes=drawn.axes and tuple(0 if at == axis else axes.get(at, 0) for at in range(len(after))),
        at=None,
        scaling=False,
    )


def _part(drawn: Drawn, start: Sequence[int], limit: Sequence[int]) -> Drawn:
    """A block of a draw; with strides it is taken for all of that."""
    if isinstance(drawn.law, Orthogonal):
        raise UnsayableError("it is a part of an orthogonal matrix")
    if isinstance(drawn.law, _JOINED):
        raise UnsayableError("it is a part of what is joined")
    at = drawn.at and tuple((low + a, low + b) for (low, _), a, b in zip(drawn.at, start, limit, strict=True))
    return replace(drawn, at=at, scaling=False)


def parts_of(eqn: Any, values: list[Value]) -> list[Value]:
    """What a draw is split into along an axis."""
    (drawn,), axis, shape = values, eqn.params["axis"], eqn.invars[0].aval.shape
    found: list[Value] = []
    first = 0
    for size in eqn.params["sizes"]:
        start, limit = [0] * len(shape), list(shape)
        start[axis], limit[axis] = first, first + size
        found.append(_part(drawn, start, limit))  # type: ignore[arg-type]
        first += size
    return found


def _split(axes: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...] | None:
    """Which axis of a draw each axis is of after a reshape; None where it mixes two of them."""
    found: list[int] = []
    left = [(axis, size) for axis, size in zip(axes, before, strict=True) if size != 1]
    for size in after:
        axis, wanted = left[0][0] if left else axes[-1] if axes else 0, size
        while wanted > 1:
            own, there = left.pop(0)
            shared = math.gcd(there, wanted)
            if own != axis or shared == 1:
                return None
            wanted //= shared
            if there > shared:
                left.insert(0, (own, there // shared))
        found.append(axis)
    return tuple(found)


def joined(
    values: Sequence[Drawn | Fixed], axis: int, shape: tuple[int, ...], sizes: Sequence[int] | None = None
) -> Drawn:
    """Parts of some sizes along an axis, drawn or constant, or whole arrays along a new one."""
    drawn = [each for each in values if isinstance(each, Drawn)]
    first, whole = drawn[0], tuple((0, size) for size in shape)
    axes = first.axes if all(each.axes == first.axes for each in drawn) else None
    is_apart = axes is not None and (sizes is None or max(sizes) == 1 or axes[axis] == 0)
    if axes is not None and is_apart:
        axes = (*axes[:axis], 0, *axes[axis + (sizes is not None) :])
    laws = [each.law if isinstance(each, Drawn) else constant(number_of(each)) for each in values]
    if any(isinstance(law, _JOINED) or (isinstance(law, Orthogonal) and not is_apart) for law in laws):
        raise UnsayableError("it is joined of what depends on its place")
    draw = (tuple(each.draw if isinstance(each, Drawn) else None for each in values), axis)
    keys = tuple(key for each in drawn for key in each.keys)
    if len({*keys}) < len(keys):
        same = all(replace(each, write=first.write) == first for each in drawn)
        if not same or len(drawn) < len(values) or not is_apart:
            raise UnsayableError("parts of it are made with one key")
        law: Initializer = RepeatOf(first.law, axis, len(values))
        return replace(first, law=law, draw=draw, axes=axes, at=whole, scaling=False)
    parts = groupby(zip(laws, sizes or [1] * len(laws), strict=True), itemgetter(0))
    runs, lengths = zip(*((law, sum(size for _, size in run)) for law, run in parts), strict=True)
    law = runs[0] if len(runs) == 1 else Concatenate(axis, lengths, runs)
    scaling = is_apart and all(isinstance(each, Drawn) and each.scaling for each in values)
    return replace(first, law=law, keys=keys, draw=draw, axes=axes, at=whole, scaling=scaling)
