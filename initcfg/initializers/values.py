"""Values as people give them: numbers inside numpy scalars, arrays as nested lists or in Keras's form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from initcfg.errors import Code, Diagnostic

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "ArrayValue",
    "as_array_value",
    "as_config",
    "is_finite",
    "listed",
    "plain",
    "same",
    "shown",
    "value_problem",
]

Number = int | float | bool
ArrayForm = Literal["list", "__numpy__", "__tensor__"]
_MAX_DEPTH = 32
_MAX_SHOWN = 60
_EXPECTED = "a number, a bool or nested lists of them"
_LEAVES = frozenset({int, float, bool})


@dataclass(frozen=True, slots=True)
class ArrayValue:
    """A constant array, held as Python numbers so that it compares by value and hashes.

    Args:
        numbers: the elements in C order.
        shape: at least one axis.
        dtype: the dtype that Keras's form names; None for nested lists.
        form: how the config writes it: nested lists, or Keras's ``__numpy__`` or ``__tensor__``.
        held: the array by the name of a dtype, once it was needed in that: a large one is asked for often.
    """

    numbers: tuple[Number, ...]
    shape: tuple[int, ...]
    dtype: str | None = None
    form: ArrayForm = "list"
    held: dict[str, np.ndarray[Any, Any]] = field(default_factory=dict, init=False, compare=False)

    def to_config(self) -> object:
        """Nested lists, or Keras's mapping around them, as it was written."""
        values = nested(self.numbers, self.shape)
        if self.form == "list":
            return values
        return {"class_name": self.form, "config": {"value": values, "dtype": self.dtype}}

    def __repr__(self) -> str:
        return str(nested(self.numbers, self.shape)) if len(self.numbers) <= 8 else f"<array {self.shape}>"


def nested(numbers: tuple[Number, ...], shape: tuple[int, ...]) -> list[Any]:
    """Flat numbers as nested lists of the given shape."""
    if len(shape) == 1:
        return list(numbers)
    step = math.prod(shape[1:])
    return [nested(numbers[at * step : (at + 1) * step], shape[1:]) for at in range(shape[0])]


def as_array_value(value: object) -> ArrayValue:
    """An array value from nested lists, an array or Keras's mapping; one without `value_problem`."""
    if isinstance(value, ArrayValue):
        return value
    if isinstance(value, Mapping):
        config = value["config"]
        shape, numbers = _flat(config["value"])
        return ArrayValue(tuple(numbers), shape, str(config["dtype"]), value["class_name"])
    if isinstance(value, list | tuple):
        shape, numbers = _flat(value)
        return ArrayValue(tuple(numbers), shape)
    array = _as_array(value)
    return ArrayValue(tuple(_flat(array.ravel().tolist())[1]), array.shape, array.dtype.name, "__numpy__")


def as_config(value: object) -> object:
    """The value of a field as a config has it."""
    if isinstance(value, tuple):
        return [as_config(item) for item in value]
    return value.to_config() if isinstance(value, ArrayValue) else value


def value_problem(name: str, value: object) -> Diagnostic | None:
    """What is wrong with the value of a constant, or None: a finite number, a bool, or an array of them."""
    value = plain(value)
    if isinstance(value, ArrayValue):
        return None
    if isinstance(value, Mapping):
        return _mapping_problem(name, value)
    if isinstance(value, list | tuple):
        return _nested_problem(name, value)
    if hasattr(value, "__array__") and not isinstance(value, type):
        return _array_problem(name, value)
    return _leaf_problem(name, value)


def _mapping_problem(name: str, value: Mapping[str, Any]) -> Diagnostic | None:
    config = value.get("config")
    if value.get("class_name") not in ("__numpy__", "__tensor__") or not isinstance(config, Mapping):
        return _wrong_type(name, value)
    if set(config) != {"value", "dtype"} or not isinstance(config["value"], list | tuple):
        return _wrong_type(name, value)
    return _nested_problem(name, config["value"])


def _array_problem(name: str, value: Any) -> Diagnostic | None:
    try:
        array = _as_array(value)
    except Exception as error:
        return Diagnostic(
            Code.WRONG_TYPE,
            f"{name!r} must be {_EXPECTED}, and {shown(value)} does not become an array: {error}",
            hint="give a numpy array; for a tensor, tensor.detach().float().cpu().numpy()",
        )
    if 0 in array.shape[:-1]:
        return Diagnostic(
            Code.INITIALIZER_CONFIG,
            f"{name!r} is an array of shape {array.shape}, which nested lists cannot tell",
            hint="use zeros where there are no elements",
        )
    return _leaves_problem(name, array.ravel().tolist())


def _as_array(value: Any) -> np.ndarray[Any, Any]:
    import numpy as np  # noqa: PLC0415  only for values that are arrays already

    return np.asarray(value)


def _nested_problem(name: str, value: list[Any] | tuple[Any, ...]) -> Diagnostic | None:
    try:
        _, leaves = _flat(value)
    except ValueError as error:
        return Diagnostic(
            Code.WRONG_TYPE, f"{name!r} must be {_EXPECTED}, got {error}", hint="write rows of equal length"
        )
    return _leaves_problem(name, leaves)


def _leaves_problem(name: str, leaves: list[Any]) -> Diagnostic | None:
    if set(map(type, leaves)) <= {float} and all(map(math.isfinite, leaves)):
        return None
    problems = (_leaf_problem(name, plain(leaf)) for leaf in leaves)
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


def _flat(value: list[Any] | tuple[Any, ...], depth: int = 1) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of nested lists and their leaves in C order; a ValueError says why they have no shape."""
    if not any(isinstance(item, list | tuple) for item in value):
        return (len(value),), list(value if set(map(type, value)) <= _LEAVES else map(plain, value))
    if depth == _MAX_DEPTH:
        raise ValueError(f"lists nested more than {_MAX_DEPTH} deep")
    if not all(isinstance(item, list | tuple) for item in value):
        raise ValueError("lists of unequal lengths")
    rows = [_flat(item, depth + 1) for item in value]
    if len({shape for shape, _ in rows}) > 1:
        raise ValueError("lists of unequal lengths")
    return (len(value), *rows[0][0]), [leaf for _, leaves in rows for leaf in leaves]


def plain(value: object) -> Any:
    """A numpy scalar, a 0-d array or a 0-d tensor as Python's own number; anything else unchanged."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def listed(value: object) -> Any:
    """An array as nested lists; anything else unchanged."""
    if hasattr(value, "__array__") and hasattr(value, "tolist") and not isinstance(value, type):
        return value.tolist()
    return value


def same(one: object, other: object) -> bool:
    """Whether two plain values are one: of the same type too, and with the same sign where they are 0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and (not isinstance(one, float) or repr(one) == repr(other))


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
