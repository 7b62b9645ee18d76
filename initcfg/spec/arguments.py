"""The arguments of an initializer: literals checked by the class's fields, expressions by their syntax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import PydanticCustomError

from initcfg import initializers
from initcfg.errors import Code, did_you_mean
from initcfg.initializers import BuiltIn, Initializer
from initcfg.initializers.fields import Field, fields_of
from initcfg.initializers.values import listed, plain, shown
from initcfg.spec.frozen import FrozenDict
from initcfg.spec.leaves import MAX_FAULTS, fault, fault_of, number, whole
from initcfg.text.numbers import LARGEST
from initcfg.text.source import MAX_DEPTH

if TYPE_CHECKING:
    from initcfg.errors import PathStep
    from initcfg.spec.initializer_config import InitializerConfig

__all__ = ["Faults", "Path", "arguments_of", "fields_of_name", "too_deep"]

Path = tuple["PathStep", ...]
#: What was wrong, each fault with its path within the initializer.
Faults = list[tuple[Path, PydanticCustomError]]
Nested = Callable[[object, Path, Faults], "InitializerConfig | None"]


def arguments_of(
    name: str, config: Mapping[Any, object], path: Path, faults: Faults, *, missing_at: Path, nested: Nested
) -> FrozenDict[str, Any]:
    """The arguments in their normal form; of a name that no registry knows they are only made immutable.

    Args:
        name: the initializer's.
        config: its arguments as written.
        path: where `config` stands.
        faults: what is wrong is added here.
        missing_at: where a missing argument is reported.
        nested: reads an initializer that is an argument.
    """
    fields = fields_of_name(name)
    if fields is None:
        return FrozenDict({str(key): _frozen(value, (*path, key), faults) for key, value in config.items()})
    for key in config:
        if key not in fields:
            known = f"its arguments are {', '.join(fields)}" if fields else f"{name} takes no arguments"
            hint = did_you_mean(str(key), fields) or known
            error = fault(Code.UNKNOWN_KEY, f"{name} has no argument {shown(key)}", hint, key=True)
            faults.append(((*path, key), error))
    for key, wanted in fields.items():
        if wanted.required and key not in config:
            hint = f"it is {wanted.expected}"
            error = fault(Code.MISSING_KEY, f"{name} needs the argument {key!r}", hint, key=True)
            faults.append((missing_at, error))
    reader = _ArgumentReader(faults, nested)
    written = {key: value for key, value in config.items() if key in fields}
    return FrozenDict({key: reader.read(fields[key], value, (*path, key)) for key, value in written.items()})


def fields_of_name(name: str) -> dict[str, Field] | None:
    """The arguments behind a name; None for unknown names and classes with a ``from_config`` of their own."""
    cls = initializers.lookup(name)
    if cls is None or ("from_config" in vars(cls) and not issubclass(cls, BuiltIn)):
        return None
    return _fields_of(cls)


@lru_cache(maxsize=1024)
def _fields_of(cls: type[Initializer]) -> dict[str, Field]:
    return fields_of(cls)


def too_deep(path: Path, faults: Faults) -> bool:
    """Whether a value is nested too deep; it is noted."""
    if len(path) <= MAX_DEPTH:
        return False
    faults.append((path, fault(Code.TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels")))
    return True


class _ArgumentReader(NamedTuple):
    """Reads one argument after another; None stands for what had a fault."""

    faults: Faults
    nested: Nested

    def read(self, wanted: Field, value: object, path: Path) -> Any:
        if len(self.faults) > MAX_FAULTS:
            return None
        try:
            return self._checked(wanted, plain(value), path)
        except PydanticCustomError as error:
            self.faults.append((path, error))
            return None

    def _checked(self, wanted: Field, value: Any, path: Path) -> Any:
        if value is None and wanted.nullable:
            return None
        if wanted.kind == "initializer":
            return self.nested(value, path, self.faults)
        if wanted.kind == "integers":
            value = listed(value)
        if isinstance(value, list | tuple):
            return self._items(wanted, value, path)
        if isinstance(value, str) and wanted.takes_expressions and wanted.kind != "integers":
            return number(value)
        problem = wanted.problem(value)
        if problem is not None:
            if wanted.kind == "value" and isinstance(value, Mapping):
                _check_array_form(wanted, value)
            raise fault_of(problem)
        if wanted.kind == "value":
            return wanted.stored(value)
        return whole(value) if wanted.kind == "integer" else _frozen(value, path, self.faults)

    def _items(self, wanted: Field, value: list[Any] | tuple[Any, ...], path: Path) -> Any:
        """A list, item by item, so that each fault has its own place."""
        items = [(item, (*path, at)) for at, item in enumerate(value)]
        if wanted.kind == "initializers":
            return tuple(self.nested(item, where, self.faults) for item, where in items)
        if wanted.kind == "integers":
            each = wanted._replace(kind="integer", nullable=False)
            return tuple(self.read(each, item, where) for item, where in items)
        if wanted.kind == "value":
            return self._array(wanted, value, path)
        problem = wanted.problem(value)
        if problem is not None:
            raise fault_of(problem)
        return _frozen(value, path, self.faults)

    def _array(self, wanted: Field, value: object, path: Path) -> Any:
        """Nested lists of numbers as one array; with expressions, or faults, as tuples of what was read."""
        if wanted.problem(value) is None:
            return wanted.stored(value)
        before = len(self.faults)
        read = self._leaves(wanted._replace(nullable=False), value, path)
        if len(self.faults) == before:
            _check_rows(wanted, _without_expressions(read))
        return read

    def _leaves(self, wanted: Field, value: object, path: Path) -> Any:
        if too_deep(path, self.faults):
            return None
        if isinstance(value, list | tuple):
            return tuple(self._leaves(wanted, item, (*path, at)) for at, item in enumerate(value))
        if isinstance(value, Mapping):
            error = fault(Code.WRONG_TYPE, f"{wanted.name!r} must be {wanted.expected}, got a mapping")
            self.faults.append((path, error))
            return None
        return self.read(wanted, value, path)


def _check_array_form(wanted: Field, value: Mapping[Any, Any]) -> None:
    """Refuses Keras's mapping around an array, its rows apart from the rest."""
    config = value.get("config")
    if not isinstance(config, Mapping) or not isinstance(config.get("value"), list | tuple):
        return
    rows = config["value"]
    if wanted.problem({**value, "config": {**config, "value": _leaves_of(rows)}}) is None:
        _check_rows(wanted, rows)


def _check_rows(wanted: Field, rows: object) -> None:
    """Refuses nested lists that are no array; their leaves have been checked."""
    problem = wanted.problem(rows)
    if problem is not None:
        raise fault(Code.INITIALIZER_CONFIG, problem.message, problem.hint)


def _leaves_of(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in _leaves_of(item)]
    return [value]


def _without_expressions(value: Any) -> Any:
    """Nested lists with 0 in the place of each expression."""
    if isinstance(value, tuple):
        return [_without_expressions(item) for item in value]
    return 0 if isinstance(value, str) else value


def _frozen(value: Any, path: Path, faults: Faults) -> Any:
    """Plain data made immutable."""
    if too_deep(path, faults):
        return None
    value = plain(value)
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return FrozenDict({str(key): _frozen(item, (*path, key), faults) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(_frozen(item, (*path, at), faults) for at, item in enumerate(value))
    if isinstance(value, int | float) and not abs(value) <= LARGEST:
        faults.append(
            (path, fault(Code.NOT_FINITE, f"expected a number that float64 holds, got {shown(value)}"))
        )
    elif not isinstance(value, None | bool | int | float | str):
        faults.append((path, fault(Code.WRONG_TYPE, f"expected plain data, got {shown(value)}")))
    return value
