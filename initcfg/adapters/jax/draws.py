"""Draws of ``jax.random`` and what is computed of them: the laws of values in a traced program."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from initcfg.capture.laws import affine, combined, constant, expression_of, function_of, shortest
from initcfg.capture.values import UnsayableError
from initcfg.dtypes import DTYPES
from initcfg.initializers import (
    Concatenate,
    Formula,
    Initializer,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    TruncNormal,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.capture.values import Site, Write

_RANDOM = os.path.join("jax", "_src", "random")  # noqa: PTH118  a part of a path
_SCALING = os.path.join("jax", "_src", "nn", "initializers.py")  # noqa: PTH118
_TWICE = "one draw is there several times"


@dataclass(frozen=True, eq=False)
class Fixed:
    """Values without chance: one number that all elements are, or what makes them.

    `exact` is the number without the rounding of the steps to it. Values `of_key` are computed of the key.
    """

    aval: Any
    number: Any = None
    exact: float | None = None
    array: Any = None
    of_key: bool = False

    def values(self) -> Any:
        """The values as an array of JAX; made when they are asked for."""
        if self.number is not None:
            return jnp.broadcast_to(self.number, self.aval.shape)
        return self.array() if callable(self.array) else self.array


@dataclass(frozen=True)
class Drawn:
    """Random values: the law of each, and where they were drawn.

    Of an orthogonal matrix `axes` has, for each axis, the axis of the matrix (0 or 1) that it is a part of.
    `at` is the block of the draw that is taken, None where its elements may have moved.
    """

    law: Initializer
    keys: tuple[bytes, ...]
    draw: tuple[Any, ...]
    write: Write
    axes: tuple[int, ...] | None = None
    at: tuple[tuple[int, int], ...] | None = None
    scaling: bool = False


@dataclass(frozen=True)
class Lawless:
    """Values that no spec can say, and why."""

    reason: str
    site: Site | None


Value: TypeAlias = "Fixed | Drawn | Lawless"


# Numbers.


def is_key(aval: Any) -> bool:
    """Whether values are keys."""
    return bool(jax.dtypes.issubdtype(aval.dtype, jax.dtypes.prng_key))


def nice(number: Any) -> float:
    """What a rounded number was meant as: a short decimal, a small part of a whole, or its shortest text."""
    value = float(number)
    if not math.isfinite(value) or not jnp.issubdtype(number.dtype, jnp.floating):
        return value

    def is_it(other: float) -> bool:
        return bool(np.asarray(other, number.dtype) == number)

    for digits in range(1, 7):
        if is_it(short := float(f"{value:.{digits}g}")):
            return short
    for each in (_TRUNCATED, 1 / _TRUNCATED):
        if is_it(each):
            return each
    for above in (1, 2, 3, 4, 6):
        below = round(above / abs(value))
        if 0 < below <= _MOST_PARTS and is_it(math.copysign(above / below, value)):
            return math.copysign(above / below, value)
    return shortest_of(number)


# The standard deviation of a standard normal within two deviations, as JAX writes it.
_TRUNCATED = 0.87962566103423978
_MOST_PARTS = 100_000


def shortest_of(number: Any) -> float:
    """A number as its dtype's shortest text has it."""
    value, name = float(number), str(number.dtype)
    return shortest(value, DTYPES[name]) if name in DTYPES else value


def number_of(value: Fixed) -> float:
    """The number that all elements are."""
    if value.number is None:
        raise UnsayableError("random values meet a table")
    if value.of_key:
        raise UnsayableError("random values meet what is computed of the key")
    return float(value.number) if value.exact is None else value.exact


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
    if not is_key(keys.aval) or not jnp.issubdtype(out.aval.dtype, jnp.floating):
        return None
    shape = out.aval.shape
    words = np.asarray(jax.random.key_data(keys.values())).reshape(math.prod(keys.aval.shape), -1)
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
            if len(shape) != 2:
                raise UnsayableError("it is a stack of orthogonal matrices")
        case _:
            name, law = "normal", RandomNormal(0.0, 1.0)
    frames = eqn.source_info.traceback.frames if eqn.source_info.traceback else ()
    scaling = any(f.file_name.endswith(_SCALING) and "variance_scaling" in f.function_name for f in frames)
    return Drawn(
        law,
        rows,
        (rows, name, shape, str(out.aval.dtype), tuple(ends)),
        replace(write, call=f"jax.random.{name}"),
        axes=(0, 1) if name == "orthogonal" else None,
        at=tuple((0, size) for size in shape),
        scaling=scaling,
    )


_SAME = ("convert_element_type", "copy", "stop_gradient", "reduce_precision", "sharding_constraint")
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_FUNCTIONS = ("exp", "log", "sqrt", "tanh", "sin", "cos", "abs", "expm1", "log1p")


def computed(eqn: Any, values: list[Value]) -> Value:
    """An equation of random values with numbers, or with others of the same draw."""
    name, aval = eqn.primitive.name, eqn.outvars[0].aval
    drawn = [each for each in values if isinstance(each, Drawn)]
    first, before = (
        drawn[0],
        next(v.aval for v, e in zip(eqn.invars, values, strict=True) if isinstance(e, Drawn)),
    )
    if name == "concatenate":
        return _joined(eqn, values)
    if len(eqn.outvars) > 1 or not jnp.issubdtype(aval.dtype, jnp.floating):
        raise UnsayableError(f"{name} of random values has no law in a spec")
    if name in _MOVES and len(values) == 1:
        return _moved(name, eqn, first, before.shape, aval.shape)
    if math.prod(aval.shape) != math.prod(before.shape):
        raise UnsayableError(_TWICE)
    if name in _SAME and len(values) == 1:
        return first
    if len(drawn) == 2 and len(values) == 2:
        one, other = drawn
        alike = (
            replace(other, law=one.law, write=one.write) == one and one.axes is None and one.at is not None
        )
        if name in _SIGNS and alike and expression_of(one.law)[1] == expression_of(other.law)[1]:
            return replace(one, law=combined(one.law, _SIGNS[name], other.law))
        raise UnsayableError(f"{name} of two draws has no law in a spec")
    made = _of_one(name, eqn, first, values)
    if made is None:
        raise UnsayableError(f"{name} of random values has no law in a spec")
    return _changed(first, made)


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


def _changed(drawn: Drawn, made: Initializer) -> Drawn:
    """The same draw with the law of what is computed of it."""
    if isinstance(made, Formula) and drawn.axes is not None:
        raise UnsayableError("it is a function of values whose law depends on their place")
    return replace(drawn, law=made)


_MOVES = ("reshape", "transpose", "squeeze", "expand_dims", "broadcast_in_dim", "slice", "rev")


def _moved(name: str, eqn: Any, drawn: Drawn, before: tuple[int, ...], after: tuple[int, ...]) -> Drawn:
    """Draws in other places; of orthogonal ones it is kept which axis of the matrix each axis is of."""
    if name != "slice" and math.prod(before) != math.prod(after):
        raise UnsayableError(_TWICE)
    if isinstance(drawn.law, Concatenate) and before != after:
        raise UnsayableError("its parts do not lie along one axis")
    if name == "slice":
        return _part(drawn, eqn.params["start_indices"], eqn.params["limit_indices"])
    if drawn.axes is None:
        is_same = name != "rev" and tuple(s for s in before if s != 1) == tuple(s for s in after if s != 1)
        whole = tuple((0, size) for size in before) == drawn.at
        if is_same and name != "transpose":
            at = tuple((0, size) for size in after) if whole else None
            return replace(drawn, at=at if whole else None)
        return replace(
            drawn,
            draw=(*drawn.draw, name, str(eqn.params), after),
            at=tuple((0, s) for s in after) if whole else None,
        )
    if name == "transpose":
        return replace(drawn, axes=tuple(drawn.axes[at] for at in eqn.params["permutation"]))
    if name == "rev":
        return drawn
    return replace(drawn, axes=_split(drawn.axes, before, after))


def _part(drawn: Drawn, start: Sequence[int], limit: Sequence[int]) -> Drawn:
    """A block of a draw; with strides it is taken for all of that."""
    if drawn.axes is not None:
        raise UnsayableError("it is a part of an orthogonal matrix")
    if isinstance(drawn.law, Concatenate):
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


def _split(axes: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, ...]:
    """Which axis of a matrix each axis is of after a reshape that mixes no two of them."""
    found: list[int] = []
    left = [(axis, size) for axis, size in zip(axes, before, strict=True) if size != 1]
    for size in after:
        axis, wanted = left[0][0] if left else axes[-1], size
        while wanted > 1:
            own, there = left.pop(0) if left else (1 - axis, 1)
            shared = math.gcd(there, wanted)
            if own != axis or shared == 1:
                raise UnsayableError("it is an orthogonal matrix in another order")
            wanted //= shared
            if there > shared:
                left.insert(0, (own, there // shared))
        found.append(axis)
    return tuple(found)


def _joined(eqn: Any, values: list[Value]) -> Drawn:
    """Parts along one axis, drawn or constant: one law where all are alike."""
    drawn = [each for each in values if isinstance(each, Drawn)]
    first = drawn[0]
    if any(each.axes is not None or isinstance(each.law, Concatenate) for each in drawn):
        raise UnsayableError("it is joined of what depends on its place")
    keys = [key for each in drawn for key in each.keys]
    if len(set(keys)) < len(keys):
        raise UnsayableError("parts of it are made with one key")
    laws = [
        each.law if isinstance(each, Drawn) else constant(number_of(each))  # type: ignore[arg-type]
        for each in values
    ]
    axis, sizes = eqn.params["dimension"], [each.aval.shape[eqn.params["dimension"]] for each in eqn.invars]
    law = laws[0] if all(each == laws[0] for each in laws) else Concatenate(axis, sizes, laws)
    whole = tuple((0, size) for size in eqn.outvars[0].aval.shape)
    draw = (tuple(each.draw if isinstance(each, Drawn) else None for each in values), axis)
    return replace(first, law=law, keys=tuple(keys), draw=draw, at=whole, scaling=False)
