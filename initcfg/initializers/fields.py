"""What the config of an initializer accepts: one `Field` for each argument, read from its annotations."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints
from weakref import WeakKeyDictionary

from initcfg.errors import Code, Diagnostic, did_you_mean
from initcfg.initializers.values import as_array_value, is_finite, listed, plain, shown, value_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Field", "FieldKind", "config_field", "config_problems", "fields_of"]

FieldKind = Literal[
    "number", "integer", "integers", "choice", "value", "initializer", "initializers", "other"
]
_METADATA = "initcfg"
_KNOWN: WeakKeyDictionary[type[object], dict[str, Field]] = WeakKeyDictionary()
_EXPRESSIBLE = frozenset({"number", "integer", "integers", "value"})


class Field(NamedTuple):
    """One argument of an initializer: its kind, its default and its bounds.

    Args:
        name: the key in the config.
        kind: ``number`` (finite; an integer is one, a bool is not), ``integer`` (``768.0`` is one),
            ``integers`` (a list or an array of them), ``choice`` (one of `choices`), ``value`` (a number, a
            bool, or nested lists of them), ``initializer``, ``initializers`` (a list), or ``other``: not
            looked into here.
        required: whether there is no default.
        default: the default; None where it is required.
        nullable: whether None may be given.
        minimum: the least value allowed.
        above: a value that is exceeded by all values allowed.
        maximum: the greatest value allowed.
        below: a value that exceeds all values allowed.
        choices: the strings that a ``choice`` takes, in the order of the documentation.

    Example:
        >>> scale = Field("scale", "number", default=1.0, above=0.0)
        >>> scale.problem(2) is None
        True
        >>> print(scale.problem(-1))
        error[out-of-range]: 'scale' must be a number > 0, got -1
    """

    name: str
    kind: FieldKind
    required: bool = False
    default: object = None
    nullable: bool = False
    minimum: float | int | None = None
    above: float | int | None = None
    maximum: float | int | None = None
    below: float | int | None = None
    choices: tuple[str, ...] = ()

    @property
    def takes_expressions(self) -> bool:
        """Whether a spec may hold an arithmetic expression here, or in place of each number in a list."""
        return self.kind in _EXPRESSIBLE

    @property
    def expected(self) -> str:
        """What the argument accepts, in words: ``a number > 0 or None``."""
        nouns: dict[FieldKind, str] = {
            "number": "a number",
            "integer": "an integer",
            "integers": "a list of integers",
            "value": "a number, a bool or nested lists of them",
            "choice": f"one of {', '.join(map(repr, self.choices))}",
            "initializer": "an initializer",
            "initializers": "a list of initializers",
            "other": "any value",
        }
        limits = ((">=", self.minimum), (">", self.above), ("<=", self.maximum), ("<", self.below))
        bounds = " and ".join(f"{sign} {_limit(limit)}" for sign, limit in limits if limit is not None)
        return nouns[self.kind] + (f" {bounds}" if bounds else "") + (" or None" if self.nullable else "")

    def problem(self, value: object) -> Diagnostic | None:
        """What is wrong with a literal value, or None; strict about kinds, so that a bool is no number."""
        value = plain(value)
        if value is None and self.nullable:
            return None
        checks: dict[FieldKind, Callable[[Any], Diagnostic | None]] = {
            "number": self._number_problem,
            "integer": self._integer_problem,
            "integers": self._integers_problem,
            "choice": self._choice_problem,
            "value": lambda given: value_problem(self.name, given),
            "initializers": lambda given: None if _is_list(given) else self._wrong_type(given),
        }
        return checks[self.kind](value) if self.kind in checks else None

    def stored(self, value: object) -> Any:
        """A value without `problem`, in the form in which a built-in keeps it: Python's own and immutable."""
        value = plain(value)
        if value is None:
            return None
        if self.kind == "number":
            return float(value)  # type: ignore[arg-type]
        if self.kind == "integer":
            return int(value)  # type: ignore[call-overload]
        if self.kind == "integers":
            return tuple(int(plain(item)) for item in listed(value))
        if self.kind == "value":
            return value if isinstance(value, int | float) else as_array_value(value)
        return value

    def _number_problem(self, value: object) -> Diagnostic | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._wrong_type(value)
        if not is_finite(value):
            return Diagnostic(
                Code.NOT_FINITE,
                f"{self.name!r} must be a finite number, got {shown(value)}",
                hint="write a number that a 64-bit float can hold",
            )
        return self._bounds_problem(value)

    def _integer_problem(self, value: object) -> Diagnostic | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._wrong_type(value)
        if isinstance(value, float) and not value.is_integer():
            return self._wrong_type(value)
        return self._bounds_problem(value)

    def _integers_problem(self, value: object) -> Diagnostic | None:
        items = listed(value)
        if not _is_list(items):
            return self._wrong_type(value)
        problems = (self._integer_problem(plain(item)) for item in items)
        return next((problem for problem in problems if problem), None)

    def _choice_problem(self, value: object) -> Diagnostic | None:
        if not isinstance(value, str):
            return self._wrong_type(value)
        if value in self.choices:
            return None
        hint = did_you_mean(value.lower(), self.choices)
        return Diagnostic(
            Code.UNKNOWN_CHOICE, f"{self.name!r} must be {self.expected}, got {shown(value)}", hint=hint
        )

    def _bounds_problem(self, value: float | int) -> Diagnostic | None:
        if (
            (self.minimum is None or value >= self.minimum)
            and (self.above is None or value > self.above)
            and (self.maximum is None or value <= self.maximum)
            and (self.below is None or value < self.below)
        ):
            return None
        return Diagnostic(Code.OUT_OF_RANGE, f"{self.name!r} must be {self.expected}, got {shown(value)}")

    def _wrong_type(self, value: object) -> Diagnostic:
        return Diagnostic(
            Code.WRONG_TYPE,
            f"{self.name!r} must be {self.expected}, got {shown(value)}",
            hint=_seed_generator_hint(value),
        )


def config_field(
    default: Any = dataclasses.MISSING,
    *,
    kind: FieldKind | None = None,
    minimum: float | int | None = None,
    above: float | int | None = None,
    maximum: float | int | None = None,
    below: float | int | None = None,
) -> Any:
    """A dataclass field with bounds, or of a kind that the annotation does not tell."""
    facts = {"kind": kind, "minimum": minimum, "above": above, "maximum": maximum, "below": below}
    metadata = {_METADATA: {name: fact for name, fact in facts.items() if fact is not None}}
    return dataclasses.field(default=default, metadata=metadata)


def fields_of(cls: type[object]) -> dict[str, Field]:
    """The arguments of an initializer class, by name, in the order of its signature.

    Parameters of ``__init__`` annotated ``int`` or ``float`` (or an optional one of these) are numbers, so
    that they take expressions, and those annotated ``Literal`` with strings are choices; a dataclass may
    say more with `config_field`. Of the rest nothing is known.

    Example:
        >>> from initcfg.initializers import RandomNormal
        >>> [(field.name, field.kind) for field in fields_of(RandomNormal).values()]
        [('mean', 'number'), ('stddev', 'number'), ('seed', 'integer')]
    """
    if cls not in _KNOWN:
        facts = _dataclass_facts(cls)
        _KNOWN[cls] = {
            name: _field(name, annotation, default, facts.get(name, {}))
            for name, annotation, default in _parameters(cls)
        }
    return _KNOWN[cls]


def config_problems(cls: type[object], config: Mapping[str, object]) -> tuple[Diagnostic, ...]:
    """Everything that is wrong with a config: unknown keys, missing keys, then the values, key by key."""
    fields = fields_of(cls)
    problems = [
        Diagnostic(
            Code.UNKNOWN_KEY,
            f"{cls.__name__} takes no argument {key!r}",
            hint=did_you_mean(str(key), fields) or _arguments_hint(cls, fields),
        )
        for key in config
        if key not in fields and not _takes_any_key(cls)
    ]
    problems += [
        Diagnostic(
            Code.MISSING_KEY,
            f"{cls.__name__} needs the argument {name!r}",
            hint=f"it must be {field.expected}",
        )
        for name, field in fields.items()
        if field.required and name not in config
    ]
    found = (fields[key].problem(value) for key, value in config.items() if key in fields)
    return (*problems, *(problem for problem in found if problem))


def _takes_any_key(cls: type[Any]) -> bool:
    parameters = inspect.signature(cls.__init__).parameters.values()
    has_init = cls.__init__ is not object.__init__
    return has_init and any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def _arguments_hint(cls: type[Any], fields: dict[str, Field]) -> str:
    return f"its arguments are {', '.join(fields)}" if fields else f"{cls.__name__} takes no arguments"


def _dataclass_facts(cls: type[Any]) -> dict[str, Mapping[str, Any]]:
    fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    return {field.name: field.metadata.get(_METADATA, {}) for field in fields}


def _parameters(cls: type[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Name, annotation and default of each named parameter of ``__init__``."""
    if cls.__init__ is object.__init__:
        return
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]:
        if parameter.kind not in variadic:
            yield parameter.name, _hint(parameter.annotation, cls.__init__), parameter.default


def _hint(annotation: Any, function: Callable[..., Any]) -> Any:
    """An annotation evaluated alone: one that only a type checker can read must not hide the others."""
    if not isinstance(annotation, str):
        return annotation
    holder = types.SimpleNamespace(__annotations__={"": annotation})
    try:
        return get_type_hints(holder, globalns=getattr(function, "__globals__", {}))[""]
    except (NameError, TypeError, SyntaxError, AttributeError):
        return None


def _field(name: str, annotation: Any, default: Any, facts: Mapping[str, Any]) -> Field:
    annotation, nullable = _without_none(annotation)
    kind, choices = _kind(annotation)
    required = default is inspect.Parameter.empty
    return Field(
        name=name,
        required=required,
        default=None if required else default,
        nullable=nullable,
        choices=choices,
        **{"kind": kind, **facts},
    )


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """An annotation without its ``| None``, and whether it had one."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    members = get_args(annotation)
    others = tuple(member for member in members if member is not type(None))
    if set(others) == {int, float}:
        return float, len(others) < len(members)
    return (others[0] if len(others) == 1 else annotation), len(others) < len(members)


def _kind(annotation: Any) -> tuple[FieldKind, tuple[str, ...]]:
    if annotation is float:
        return "number", ()
    if annotation is int:
        return "integer", ()
    if get_origin(annotation) is Literal and all(isinstance(choice, str) for choice in get_args(annotation)):
        return "choice", get_args(annotation)
    return "other", ()


def _limit(limit: float | int) -> str:
    return "2**64" if limit == 2**64 else f"{limit:g}"


def _seed_generator_hint(value: object) -> str | None:
    if not isinstance(value, Mapping) or value.get("class_name") != "SeedGenerator":
        return None
    config = value.get("config")
    seed = config.get("seed") if isinstance(config, Mapping) else None
    way = (
        f"write the integer itself, seed: {seed}" if isinstance(seed, int) else "write an integer, or no seed"
    )
    return f"a SeedGenerator holds a state that changes at each call; {way}"


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)
