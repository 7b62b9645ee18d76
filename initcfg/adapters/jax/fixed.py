"""Values without chance in a traced program: numbers as exact steps give them, and arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from initcfg.capture.laws import shortest
from initcfg.capture.values import UnsayableError
from initcfg.dtypes import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable


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


def is_key(aval: Any) -> bool:
    """Whether values are keys."""
    return bool(jax.dtypes.issubdtype(aval.dtype, jax.dtypes.prng_key))


def is_of_complex(aval: Any) -> bool:
    """Whether values are complex numbers."""
    return bool(jnp.issubdtype(aval.dtype, jnp.complexfloating))


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
    for each in _TRUNCATED:
        if is_it(each):
            return each
    for above in (1, 2, 3, 4, 6):
        below = round(above / abs(value))
        if 0 < below <= _MOST_PARTS and is_it(math.copysign(above / below, value)):
            return math.copysign(above / below, value)
    return shortest_of(number)


# The standard deviation of a standard normal within two deviations, as JAX writes it; and of complex numbers.
_TRUNCATED = (0.87962566103423978, 1 / 0.87962566103423978, 0.95311164380491208)
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
    number = float(value.number) if value.exact is None else value.exact
    if not math.isfinite(number):
        raise UnsayableError("it is made of infinities or NaN, which no spec holds")
    return number


def known(value: Any, aval: Any) -> Fixed:
    """A literal, or an array that the program closes over."""
    if jnp.ndim(value) == 0 and not is_key(aval):
        number = np.asarray(value, aval.dtype)
        return Fixed(aval, array=number) if number.imag else Fixed(aval, number, nice(number.real))
    return Fixed(aval, array=value)


_EXACT: dict[str, Callable[..., float]] = {
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "neg": lambda x: -x,
    "sqrt": math.sqrt,
    "rsqrt": lambda x: 1 / math.sqrt(x),
    "exp": math.exp,
    "log": math.log,
    "pow": math.pow,
    "convert_element_type": float,
    "broadcast_in_dim": float,
    "reshape": float,
    "squeeze": float,
    "copy": float,
    "stop_gradient": float,
}
# These move elements about, so that an array of one number stays one.
_PLACED = ("broadcast_in_dim", "reshape", "squeeze", "transpose", "slice", "expand_dims", "stop_gradient")


def run(eqn: Any, values: list[Fixed]) -> list[Fixed]:
    """The outputs of an equation of fixed values; one number where the inputs are."""
    of_key = any(each.of_key for each in values)
    avals = [each.aval for each in eqn.outvars]
    name = eqn.primitive.name
    if values and all(each.number is not None for each in values) and len(avals) == 1:
        if name in _PLACED:
            return [Fixed(avals[0], values[0].number, values[0].exact, of_key=of_key)]
        if name in _EXACT or name in _ELEMENTWISE:
            number = np.asarray(_bound(eqn, [jnp.asarray(each.number) for each in values])[0])
            if not number.imag.any():
                return [Fixed(avals[0], number, _exactly(name, number.real, values), of_key=of_key)]
    made: list[Any] = []

    def outputs() -> list[Any]:
        if not made:
            made.extend(_bound(eqn, [each.values() for each in values]))
        return made

    if sum(math.prod(each.shape) for each in avals) <= _SMALL:
        outputs()
    return [Fixed(aval, array=lambda at=at: outputs()[at], of_key=of_key) for at, aval in enumerate(avals)]


_SMALL = 1 << 16
_ELEMENTWISE = ("max", "min", "integer_pow", "square", "abs", "log1p", "expm1", "tanh", "erf", "select_n")


def _exactly(name: str, number: Any, values: list[Fixed]) -> float:
    """The number as exact steps give it, where these agree with the rounded ones."""
    if name in _EXACT and jnp.issubdtype(number.dtype, jnp.floating):
        try:
            exact = _EXACT[name](*(float(v.number) if v.exact is None else v.exact for v in values))
        except (ValueError, OverflowError, ZeroDivisionError):
            return shortest_of(number)
        if math.isclose(exact, float(number), rel_tol=8 * float(jnp.finfo(number.dtype).eps)):
            return exact
    return shortest_of(number)


def _bound(eqn: Any, values: list[Any]) -> list[Any]:
    """The equation itself, run."""
    # JAX before 0.10 gave functions apart from the parameters.
    found = eqn.primitive.get_bind_params(eqn.params)
    functions, params = found if isinstance(found, tuple) else ((), found)
    try:
        made = eqn.primitive.bind(*functions, *values, **params)
    except Exception as error:
        raise UnsayableError(f"{eqn.primitive.name} cannot be run apart: {type(error).__name__}") from error
    return list(made) if eqn.primitive.multiple_results else [made]
