"""Values as people give them: numbers inside numpy scalars, arrays as nested lists or in Keras's form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from initcfg.errors import Code, Diagnostic

if TYPE_CHECKING:
    from initcfg.dtypes import DType

__all__ = ["ArrayValue", "as_array_value", "is_finite", "plain", "shown", "value_problem"]

Number = int | float | bool
ArrayForm = Literal["list", "__numpy__", "__tensor__"]
_MAX_DEPTH = 32
_MAX_SHOWN = 60
_EXPECTED = "a number, a bool or nested lists of them"


@dataclass(frozen=True, slots=True)
class ArrayValue:
    """A constant array, held as Python numbers so that it compares by value and hashes.

    Args:
        numbers: the elements in C order.
        shape: at least one axis.
        dtype: the dtype that Keras's form names; None for nested lists.
        form: how the config writes it: nested lists, or Keras's ``__numpy__`` or ``__tensor__``.
    """

    numbers: tuple[Number, ...]
    shape: tuple[int, ...]
    dtype: str | None = None
    form: ArrayForm = "list"

    def to_config(self) -> object:
        """Nested lists, or Keras's mapping around them, as it was written."""
        values = nested(self.numbers, self.shape)
        if self.form == "list":
            return values
        return {"class_name": self.form, "config": {"value": values, "dtype": self.dtype}}

    def to_array(self, dtype: DType) -> np.ndarray[Any, Any]:
        """The array in `dtype`: floats are rounded to the type that `dtype` is drawn in, then once to it.

        Raises:
            ValueError: an element has no finite value in `dtype`, or no exact one where it holds integers.
        """
        if dtype.drawn is None:
            low, high = dtype.bounds
            if not all(number == int(number) and low <= number <= high for number in self.numbers):
                raise ValueError("an element is not exact")
            exact = [int(number) for number in self.numbers]
            return np.array(exact, dtype=dtype.numpy).reshape(self.shape)
        wide = np.array([float(number) for number in self.numbers])
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            array = wide.astype(dtype.drawn).astype(dtype.numpy).reshape(self.shape)
        if not np.isfinite(array).all():
            raise ValueError("an element overflows")
        return array

    def __repr__(self) -> str:
        return str(nested(self.numbers, self.shape)) if len(self.numbers) <= 8 else f"<array {self.shape}>"


def nested(numbers: tuple[Number, ...], shape: tuple[int, ...]) -> list[Any]:
    """Flat numbers as nested lists of the given shape."""
    if len(shape) == 1:
        return list(numbers)
    step = math.prod(shape[1:])
    return [nested(numbers[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]


def as_array_value(value: object) -> ArrayValue:
    """An array value from nested lists, a numpy array or Keras's mapping; one without `value_problem`."""
    if isinstance(value, ArrayValue):
        return value
    if isinstance(value, Mapping):
        config = value["config"]
        held = as_array_value(np.asarray(config["value"], dtype=object).tolist())
        return ArrayValue(held.numbers, held.shape, str(config["dtype"]), value["class_name"])
    if isinstance(value, list | tuple):
        return ArrayValue(tuple(_leaves(value)), _shape(value))
    array = np.asarray(value)
    numbers = tuple(array.ravel().tolist())
    return ArrayValue(numbers, array.shape, array.dtype.name, "__numpy__")


def value_problem(name: str, value: object) -> Diagnostic | None:
    """What is wrong with the value of a constant, or None: a finite number, a bool, or an array of them."""
    value = plain(value)
    if isinstance(value, ArrayValue):
        return None
    if isinstance(value, Mapping):
        return _mapping_problem(name, value)
    if not isinstance(value, list | tuple) and hasattr(value, "__array__"):
        value = np.asarray(value).tolist()
    if isinstance(value, list | tuple):
        return _nested_problem(name, value)
    return _leaf_problem(name, value)


def _mapping_problem(name: str, value: Mapping[str, Any]) -> Diagnostic | None:
    config = value.get("config")
    if value.get("class_name") not in ("__numpy__", "__tensor__") or not isinstance(config, Mapping):
        return _wrong_type(name, value)
    if set(config) != {"value", "dtype"} or not isinstance(config["value"], list | tuple):
        return _wrong_type(name, value)
    return _nested_problem(name, config["value"])


def _nested_problem(name: str, value: list[Any] | tuple[Any, ...]) -> Diagnostic | None:
    try:
        _shape(value)
    except ValueError as error:
        return Diagnostic(
            Code.WRONG_TYPE, f"{name!r} must be {_EXPECTED}, got {error}", hint="write rows of equal length"
        )
    problems = (_leaf_problem(name, leaf) for leaf in _leaves(value))
    return next((problem for problem in problems if problem), None)


def _leaf_problem(name: str, value: object) -> Diagnostic | None:
    if not isinstance(value, int | float):
        return _wrong_type(name, value)
    if not is_finite(value):
        return Diagnostic(
            Code.NOT_FINITE,
            f"{name!r} must be finite, got {shown(value)}",
            hint="write numbers that a 64-bit float can hold",
        )
    return None


def _wrong_type(name: str, value: object) -> Diagnostic:
    return Diagnostic(Code.WRONG_TYPE, f"{name!r} must be {_EXPECTED}, got {shown(value)}")


def _leaves(value: object) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield plain(value)


def _shape(value: object, depth: int = 0) -> tuple[int, ...]:
    """The shape of nested lists; a ValueError says why they have none."""
    if not isinstance(value, list | tuple):
        return ()
    if depth == _MAX_DEPTH:
        raise ValueError(f"lists nested more than {_MAX_DEPTH} deep")
    shapes = {_shape(item, depth + 1) for item in value}
    if len(shapes) > 1:
        raise ValueError("lists of unequal lengths")
    return (len(value), *(shapes.pop() if shapes else ()))


def plain(value: object) -> Any:
    """A numpy scalar, a 0-d array or a 0-d tensor as Python's own number; anything else unchanged."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def is_finite(value: float | int) -> bool:
    """Whether a float can hold the number."""
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of float
        return False


def shown(value: object) -> str:
    """A value for a message: ``repr`` of a scalar, cut where long; of anything else only its kind."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__}"
    if value is None or isinstance(value, bool | int | float | str):
        text = (
            repr(value)
            if not isinstance(value, int) or abs(value) < 10**40
            else "an integer of over 40 digits"
        )
        return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
    return f"an object of type {type(value).__name__}"
