"""Values as people give them: numbers inside numpy scalars, arrays as nested lists or in Keras's form."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from initcfg.dtypes import is_bool
from initcfg.errors import Code, Diagnostic, InitializerError, Location, Path, PathStep
from initcfg.frozen import FrozenDict
from initcfg.layout import MAX_NDIM
from initcfg.process import cached_property, lazy
from initcfg.text.source import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np

    from initcfg.dtypes import DType
else:
    np = lazy("numpy")

Number = int | float | bool
ArrayForm = Literal["list", "__numpy__", "__tensor__"]
#: What is wrong, each with its place within what is read.
Faults = list[tuple[Path, PydanticCustomError]]
_MAX_DEPTH = 32
# numpy's limit, for elements of eight bytes.
_MAX_BYTES = 2**63
_MAX_SHOWN = 60
#: What a constant may be, in words.
CONSTANT = "a number, a bool or nested lists of them"
_NUMBERS = frozenset({int, float, bool})


def fault(
    code: Code,
    message: str,
    hint: str | None = None,
    offset: int | None = None,
    *,
    key: bool = False,
    is_predicate: bool = False,
) -> PydanticCustomError:
    """An error with one of our codes, for pydantic to carry to its place.

    `offset` is the character of the value where it is, `key` says that the key of the value is wrong, and
    `is_predicate` that the name of the argument, which is known elsewhere, goes before the message.
    """
    context = {"message": message, "hint": hint, "offset": offset, "key": key, "is_predicate": is_predicate}
    return PydanticCustomError(str(code), "{message}", context)


def refusal(
    title: str, faults: Iterable[tuple[tuple[str | int, ...], PydanticCustomError]]
) -> ValidationError:
    """What a validator raises to report several faults, each at its path within the value."""
    details = [InitErrorDetails(type=error, loc=path, input=None) for path, error in faults]
    return ValidationError.from_exception_data(title, details)


def faults_of(error: PydanticCustomError | ValidationError, *path: PathStep) -> Faults:
    """What a validator of ours has raised, each fault at its place below a path."""
    if isinstance(error, PydanticCustomError):
        return [(path, error)]
    details = error.errors(include_url=False)
    return [((*path, *each["loc"]), fault(Code(each["type"]), **each["ctx"])) for each in details]


def diagnostic_of(error: PydanticCustomError, where: Location | None = None) -> Diagnostic:
    """A fault as a diagnostic."""
    facts = error.context or {}
    return Diagnostic(Code(error.type), facts["message"], where, facts["hint"])


@dataclass(frozen=True)
class ArrayValue:
    """A constant array, held as Python numbers so that it compares by value and hashes."""

    numbers: tuple[Number, ...]  # in C order
    shape: tuple[int, ...]  # at least one axis
    dtype: str | None = None  # the one that Keras's form names
    form: ArrayForm = "list"  # how the config writes it

    @cached_property
    def held(self) -> dict[str, np.ndarray[Any, Any]]:
        """The array by the name of a dtype, once it was needed in that: a large one is asked for often."""
        return {}

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


def as_config(value: object) -> object:
    """The value of a field as a config has it."""
    if isinstance(value, tuple):
        return [as_config(item) for item in value]
    return value.to_config() if isinstance(value, ArrayValue) else value


def read_value(value: object, expression: Callable[[str], str] | None = None) -> Any:
    """The value of a constant as it is kept: a number, a bool, or an `ArrayValue`.

    An array may be nested lists, a numpy array, or Keras's mapping. `expression` checks a text that may stand
    for a number; lists that hold one are given back as tuples.
    """
    value = plain(value)
    if isinstance(value, ArrayValue):
        return value
    if isinstance(value, list | tuple):
        return _read_rows(value, expression)
    if isinstance(value, Mapping):
        return _read_array_form(value)
    if hasattr(value, "__array__") and not isinstance(value, type):
        return _read_array(value)
    return _read_number(value, expression)


def _read_number(value: object, expression: Callable[[str], str] | None) -> Any:
    if isinstance(value, str) and expression is not None:
        return expression(value)
    if not isinstance(value, int | float):
        raise _wrong_type(value)
    if not is_finite(value):
        hint = "write numbers that a 64-bit float can hold"
        raise fault(Code.NOT_FINITE, f"must be finite, got {shown(value)}", hint, is_predicate=True)
    return value


def _read_rows(rows: list[Any] | tuple[Any, ...], expression: Callable[[str], str] | None) -> Any:
    """Nested lists as an array, or as tuples where they hold expressions."""
    with suppress(ValueError):
        shape, leaves = _flat(rows)
        if _all_finite(leaves):
            return ArrayValue(tuple(leaves), shape)
    faults: Faults = []
    read = _read_items(rows, (), expression, faults)
    if faults:
        raise refusal("constant", faults)
    _check_rows(read)
    return read


def _read_items(
    value: Any, path: tuple[int, ...], expression: Callable[[str], str] | None, faults: Faults
) -> Any:
    """Each element, with the faults of all of them noted."""
    if isinstance(value, list | tuple) and len(path) < _MAX_DEPTH:
        return tuple(_read_items(item, (*path, at), expression, faults) for at, item in enumerate(value))
    try:
        return _read_number(plain(value), expression)
    except PydanticCustomError as error:
        faults.append((path, error))
        return None


def _check_rows(rows: Any) -> None:
    """Refuse lists that are no array; their elements have been checked."""
    try:
        _flat(rows)
    except ValueError as error:
        message = f"must be {CONSTANT}, got {error}"
        hint = "write rows of equal length"
        raise fault(Code.INITIALIZER_CONFIG, message, hint, is_predicate=True) from None


def _read_array_form(value: Mapping[str, Any]) -> ArrayValue:
    """Keras's mapping around the nested lists of an array."""
    config = value.get("config")
    if value.get("class_name") not in ("__numpy__", "__tensor__") or not isinstance(config, Mapping):
        raise _wrong_type(value)
    rows = config.get("value")
    if set(config) != {"value", "dtype"} or not isinstance(rows, list | tuple):
        raise _wrong_type(value)
    try:
        read: ArrayValue = _read_rows(rows, None)
    except ValidationError as error:
        raise faults_of(error)[0][1] from None
    return replace(read, dtype=str(config["dtype"]), form=value["class_name"])


def _read_array(value: Any) -> ArrayValue:
    """A numpy array, or what becomes one."""
    try:
        array = np.asarray(value)
    except Exception as error:
        message = f"must be {CONSTANT}, and {shown(value)} does not become an array: {error}"
        hint = "give a numpy array; for a tensor, tensor.detach().float().cpu().numpy()"
        raise fault(Code.WRONG_TYPE, message, hint, is_predicate=True) from error
    if 0 in array.shape[:-1]:
        message = f"is an array of shape {array.shape}, which nested lists cannot express"
        hint = "use zeros where there are no elements"
        raise fault(Code.INITIALIZER_CONFIG, message, hint, is_predicate=True)
    leaves = [plain(leaf) for leaf in array.ravel().tolist()]
    if not _all_finite(leaves):
        leaves = [_read_number(leaf, None) for leaf in leaves]
    return ArrayValue(tuple(leaves), array.shape, array.dtype.name, "__numpy__")


def _all_finite(leaves: list[Any]) -> bool:
    types = set(map(type, leaves))
    return types <= _NUMBERS and (types <= {bool} or all(map(is_finite, leaves)))


def _wrong_type(value: object) -> PydanticCustomError:
    return fault(Code.WRONG_TYPE, f"must be {CONSTANT}, got {shown(value)}", is_predicate=True)


def freeze(value: Any, path: tuple[str | int, ...] = ()) -> Any:
    """Plain data of a document, made immutable."""
    value = listed(plain(value))
    if len(path) > MAX_DEPTH:
        raise refusal("data", [(path, fault(Code.TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels"))])
    if isinstance(value, Mapping):
        return FrozenDict({str(key): freeze(item, (*path, key)) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(freeze(item, (*path, at)) for at, item in enumerate(value))
    if isinstance(value, int | float) and not is_finite(value):
        message = f"expected a number that float64 holds, got {shown(value)}"
        raise refusal("data", [(path, fault(Code.NOT_FINITE, message))])
    if not isinstance(value, None | bool | int | float | str):
        raise refusal("data", [(path, fault(Code.WRONG_TYPE, f"expected plain data, got {shown(value)}"))])
    return value


def _flat(value: list[Any] | tuple[Any, ...], depth: int = 1) -> tuple[tuple[int, ...], list[Any]]:
    """The shape of nested lists and their leaves in C order; a ValueError says why they have no shape."""
    if not any(isinstance(item, list | tuple) for item in value):
        return (len(value),), list(value if set(map(type, value)) <= _NUMBERS else map(plain, value))
    if depth == _MAX_DEPTH:
        raise ValueError(f"lists nested more than {_MAX_DEPTH} deep")
    if not all(isinstance(item, list | tuple) for item in value):
        raise ValueError("lists of unequal lengths")
    rows = [_flat(item, depth + 1) for item in value]
    if len({shape for shape, _ in rows}) > 1:
        raise ValueError("lists of unequal lengths")
    return (len(value), *rows[0][0]), [leaf for _, leaves in rows for leaf in leaves]


def as_shape(shape: Iterable[int]) -> tuple[int, ...]:
    """A shape as a tuple of Python integers."""
    try:
        dims = tuple(map(_dim, shape))
    except TypeError:
        raise _no_shape(f"{_shown_shape(shape)} is not a shape") from None
    if min(dims, default=0) < 0:
        raise _no_shape(f"{_shown_shape(dims)} is not a shape")
    # Sizes of 0 are left out, as in numpy, so that what is empty can still be transposed and cut.
    if len(dims) > MAX_NDIM or math.prod(filter(None, dims)) * 8 >= _MAX_BYTES:
        raise _no_shape(f"{_shown_shape(dims)} is too large for an array")
    return dims


def _dim(dim: object) -> int:
    if is_bool(dim):
        raise TypeError("a bool is no size")
    return operator.index(dim)  # type: ignore[arg-type]


def _shown_shape(shape: object) -> str:
    if isinstance(shape, list | tuple) and len(shape) <= MAX_NDIM:
        return f"({', '.join(map(shown, shape))}{',' if len(shape) == 1 else ''})"
    return f"a shape of {len(shape)} axes" if isinstance(shape, list | tuple) else shown(shape)


def _no_shape(message: str) -> InitializerError:
    hint = (
        f"give a tuple of at most {MAX_NDIM} integers >= 0, such as (784, 256), whose product is below 2**60"
    )
    return InitializerError.of(Code.SHAPE, message, hint=hint)


def halves_of(text: str) -> list[str]:
    """The expressions of a text: one, or start and stop of a slice, each at the column where it stands.

    Example:
        >>> halves_of("n - 1"), halves_of("n:2 * n"), halves_of(":")
        (['n - 1'], ['n', '  2 * n'], ['', ' '])
    """
    halves, column = [], 0
    for half in text.split(":"):
        halves.append(" " * column + half)
        column += len(half) + 1
    return halves


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


def misfit(message: str, hint: str, *place: PathStep) -> InitializerError:
    """The error for a shape that does not suit a scheme, or what is at a `place` among its arguments."""
    where = Location(path=place) if place else None
    return InitializerError.of(Code.INITIALIZER_SHAPE, message, hint=hint, where=where)


def check_kind(what: str, has: DType, wanted: DType) -> None:
    """Raises the error for values whose dtype is of another kind than that which they are to have."""
    if has.kind.removeprefix("u") != wanted.kind.removeprefix("u"):
        hint = "floats, integers and bools stay what they are: give the parameter a dtype of that kind"
        raise InitializerError.of(Code.DTYPE_VALUE, f"{what} is {has}, not {wanted}", hint=hint)
