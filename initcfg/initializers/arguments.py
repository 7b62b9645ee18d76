"""The arguments of an initializer class: names and types, what checks them, and what is wrong with them."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import types
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass as pydantic_dataclass

from initcfg.errors import Code, Diagnostic, Path
from initcfg.expressions import nonlinearity_hint
from initcfg.initializers.annotations import (
    CODES,
    Anything,
    FormulaText,
    Limits,
    Number,
    Text,
    Whole,
    code_of,
    without_none,
    words_of,
)
from initcfg.initializers.values import plain, shown
from initcfg.names import did_you_mean
from initcfg.process import LOADING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails, ValidationError


CONFIG = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class Problem(NamedTuple):
    """What is wrong with a config, and where in it: `key` says whether it is the key that is wrong."""

    path: Path
    found: Diagnostic
    key: bool = False
    offset: int | None = None


T = TypeVar("T")


def _remembered(function: Callable[[type[Any]], T]) -> Callable[[type[Any]], T]:
    """A function that works once for each of the classes that were asked for lately."""
    return lru_cache(maxsize=1024)(function)  # type: ignore[return-value]


class Argument(NamedTuple):
    """One argument of an initializer class: its name, its type, and its default if it has one."""

    name: str
    annotation: Any
    default: Any = dataclasses.MISSING

    @property
    def is_required(self) -> bool:
        """Whether it has no default."""
        return self.default is dataclasses.MISSING

    @property
    def expected(self) -> str:
        """What it accepts, in words: ``a number > 0 or None``."""
        return words_of(self.annotation)

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts that it accepts, where it accepts no others."""
        inner, _ = without_none(self.annotation)
        return get_args(inner) if get_origin(inner) is Literal else ()

    @property
    def holds_expressions(self) -> bool:
        """Whether a document may write an expression here, or for the items of a list."""
        return _holds_expressions(self.annotation)

    @property
    def text(self) -> Text | None:
        """What a document completes in it: a path or a name; None where it is neither."""
        inner, _ = without_none(self.annotation)
        return next((mark for mark in getattr(inner, "__metadata__", ()) if isinstance(mark, Text)), None)

    @property
    def is_formula(self) -> bool:
        """Whether it is the text of an expression over elements."""
        return bool(self.annotation == FormulaText)

    @property
    def is_number(self) -> bool:
        """Whether it is a single real number."""
        inner, _ = without_none(self.annotation)
        return get_origin(inner) is Annotated and inner.__origin__ is float


def _holds_expressions(annotation: Any) -> bool:
    inner, _ = without_none(annotation)
    marks = getattr(inner, "__metadata__", ())
    if any(isinstance(mark, Limits) or getattr(mark, "holds_expressions", False) for mark in marks):
        return True
    kind = inner.__origin__ if marks else inner
    return get_origin(kind) is tuple and _holds_expressions(get_args(kind)[0])


@_remembered
def arguments_of(cls: type[Any]) -> Mapping[str, Argument]:
    """The arguments of an initializer class, by name, in the order of its signature.

    ``float`` and ``int`` in an ``__init__`` are numbers, which a document may write as expressions, and
    ``Literal`` with strings are choices. Of the rest nothing is known.
    """
    if hasattr(cls, "__pydantic_config__"):
        hints = get_type_hints(cls, include_extras=True)
        found = [Argument(each.name, hints[each.name], each.default) for each in dataclasses.fields(cls)]
    else:
        found = list(_parameters(cls))
    return types.MappingProxyType({each.name: each for each in found})


@_remembered
def adapter_of(cls: type[Any]) -> TypeAdapter[Any]:
    """What checks the arguments of an initializer class: its own, or one made from its ``__init__``."""
    if hasattr(cls, "__pydantic_config__"):
        with LOADING:  # pydantic imports parts of itself meanwhile
            return TypeAdapter(cls)
    members = [(each.name, each.annotation, _default(each)) for each in arguments_of(cls).values()]
    made = dataclasses.make_dataclass(cls.__name__, members, kw_only=True)
    config: ConfigDict = CONFIG | {"extra": "allow"} if _takes_any_key(cls) else CONFIG
    with LOADING:
        return TypeAdapter(pydantic_dataclass(made, config=config))


def signature_of(cls: type[Any]) -> inspect.Signature:
    """How an initializer class that is a dataclass is called: with its fields."""
    kinds = {False: inspect.Parameter.POSITIONAL_OR_KEYWORD, True: inspect.Parameter.KEYWORD_ONLY}
    parameters = []
    for each in dataclasses.fields(cls):
        default = inspect.Parameter.empty if each.default is dataclasses.MISSING else each.default
        kind = kinds[each.kw_only is True]
        parameters.append(inspect.Parameter(each.name, kind, default=default, annotation=each.type))
    return inspect.Signature(parameters)


def _default(argument: Argument) -> Any:
    if argument.is_required:
        return dataclasses.field()
    if argument.default is None or isinstance(argument.default, bool | int | float | str):
        return argument.default
    return dataclasses.field(default_factory=lambda: argument.default)


def _parameters(cls: type[Any]) -> Iterator[Argument]:
    """Each named parameter of ``__init__``."""
    if cls.__init__ is object.__init__:
        return
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    named = [each for each in parameters if each.kind not in variadic]
    annotations = {each.name: each.annotation for each in named}
    hints = _hints(annotations, getattr(cls.__init__, "__globals__", {}))
    for each in named:
        default = dataclasses.MISSING if each.default is inspect.Parameter.empty else each.default
        yield Argument(each.name, _argument_type(hints[each.name]) or Anything, default)


def _takes_any_key(cls: type[Any]) -> bool:
    if cls.__init__ is object.__init__:
        return False
    parameters = inspect.signature(cls.__init__).parameters.values()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def annotate(cls: type[Any]) -> None:
    """Give a built-in class the types of its arguments, with ``float`` and ``int`` as such, and their texts.

    An annotation whose names its module does not have is not checked.
    """
    annotations = vars(cls).get("__annotations__", {})
    hints = _hints(annotations, vars(sys.modules.get(cls.__module__, sys)), Anything)
    cls.__annotations__ = {
        name: _argument_type(hints[name]) or written for name, written in annotations.items()
    }
    cls.__doc__ = _documented(cls)


def _hints(annotations: Mapping[str, Any], names: Mapping[str, Any], unknown: Any = None) -> dict[str, Any]:
    """Annotations evaluated; one that only a type checker can read must not hide the others."""
    holder = type("", (), {"__annotations__": dict(annotations)})  # a class, as annotations may say ClassVar
    try:
        return get_type_hints(holder, globalns=dict(names), include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError):
        if len(annotations) == 1:
            return dict.fromkeys(annotations, unknown)
    return {name: _hints({name: written}, names, unknown)[name] for name, written in annotations.items()}


def _argument_type(annotation: Any) -> Any:
    """The type of argument that an annotation stands for, or None where it stands for none."""
    inner, nullable = without_none(annotation)
    kept = get_origin(inner) is Annotated
    if get_origin(inner) is Literal and all(isinstance(choice, str) for choice in get_args(inner)):
        kept = True
    found = inner if kept else {float: Number, int: Whole}.get(inner)
    return found | None if found is not None and nullable else found


# --- What docstrings say ----------------------------------------------------------------------------------

_SEED = """\
    seed: an integer in [0, 2**64), for the same array at each call with a given shape and dtype; default
        None, for fresh entropy, or in a plan the parameter's own stream."""


def argument_texts(cls: type[Any]) -> dict[str, str]:
    """What the ``Args:`` section of a class's docstring says, by argument."""
    return {name: " ".join(entry.partition(": ")[2].split()) for name, entry in _entries(cls).items()}


def _entries(cls: type[Any]) -> dict[str, str]:
    """The lines of the ``Args:`` section of a class's docstring, by argument."""
    if not cls.__doc__ or "Args:\n" not in cls.__doc__:
        return {}
    section = f"\n{inspect.cleandoc(cls.__doc__)}".partition("\nArgs:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^    \S.*(?:\n        .*)*", section, re.MULTILINE)
    return {entry.partition(":")[0].strip(): entry for entry in entries}


def _documented(cls: type[Any]) -> str | None:
    """The docstring of a built-in class, with the arguments of its bases and `seed` filled in.

    A docstring without a formula is left as it is.
    """
    if "Formula:\n" not in (cls.__doc__ or ""):
        return cls.__doc__
    names: dict[str, Any] = {}
    texts = {"seed": _SEED}
    for base in reversed(cls.__mro__):
        names |= vars(base).get("__annotations__", {})
        texts |= _entries(base)
    entries = [texts[name] for name in names if name in texts]
    blocks = [
        block
        for block in inspect.cleandoc(cls.__doc__ or "").split("\n\n")
        if not block.startswith("Args:\n")
    ]
    after = ("Raises:\n", "Reference:\n", "Example:\n")
    place = next((at for at, block in enumerate(blocks) if block.startswith(after)), len(blocks))
    if entries:
        blocks.insert(place, "\n".join(["Args:", *entries]))
    return "\n\n".join(blocks)


# --- What pydantic finds ----------------------------------------------------------------------------------


def problems_of(error: ValidationError, cls: type[Any], name: str) -> list[Problem]:
    """What pydantic found in the arguments of a class, as `name` calls it: wrong keys first, then values."""
    arguments = arguments_of(cls)
    found = [_problem(detail, arguments, name) for detail in error.errors(include_url=False)]
    return sorted(found, key=lambda each: not each.key)


def _problem(detail: ErrorDetails, arguments: Mapping[str, Argument], name: str) -> Problem:
    kind, path, context = detail["type"], detail["loc"], detail.get("ctx", {})
    about = path[0] if path else ""
    if isinstance(about, int) and about < len(arguments):  # the position of an argument in a call
        about = list(arguments)[about]
    argument = arguments.get(str(about))
    if "hint" in context:  # a fault of ours
        message = f"{about!r} {context['message']}" if context.get("is_predicate") else context["message"]
        found = Diagnostic(CODES[kind], message, hint=context["hint"])
        return Problem(path, found, context["key"], context["offset"])
    if kind == "unexpected_positional_argument":
        message = f"{name} takes at most {len(arguments)} arguments by position"
        return Problem((), Diagnostic(Code.WRONG_TYPE, message, hint=f"they are {', '.join(arguments)}"))
    if kind == "multiple_argument_values":
        message = f"{name} is given the argument {about!r} twice, by its position and by its name"
        return Problem((), Diagnostic(Code.WRONG_TYPE, message, hint="give it once"))
    if argument is None:
        known = f"its arguments are {', '.join(arguments)}" if arguments else f"{name} takes no arguments"
        hint = did_you_mean(str(about), arguments) or known
        if about == "dtype":  # as Keras 2 writes configs
            hint = "delete it: the dtype is that of the parameter"
        found = Diagnostic(Code.UNKNOWN_KEY, f"{name} has no argument {shown(about)}", hint=hint)
        return Problem(path, found, key=True)
    if kind == "missing":
        message = f"{name} needs the argument {about!r}"
        found = Diagnostic(CODES[kind], message, hint=f"it is {argument.expected}")
        return Problem(path[:-1], found, key=True)
    return Problem(path, _value_problem(kind, plain(detail["input"]), argument, is_item=len(path) > 1))


def _value_problem(kind: str, value: object, argument: Argument, *, is_item: bool) -> Diagnostic:
    """What is wrong with the value of an argument, or with an item of a list."""
    expected, subject = argument.expected, f"{argument.name!r}"
    if is_item:
        inner, _ = without_none(argument.annotation)
        items = inner.__origin__ if get_origin(inner) is Annotated else inner
        expected, subject = words_of(get_args(items)[0]), f"each of {argument.name!r}"
    hint = _seed_generator_hint(value)
    code = code_of(kind, value)
    if code is Code.NOT_FINITE:
        expected, hint = "a finite number", "write a number that a 64-bit float can hold"
    if argument.is_formula and isinstance(value, int | float):
        hint = f"one number for all elements is {{constant: {{value: {shown(value)}}}}}"
    if code is Code.UNKNOWN_CHOICE:
        hint = did_you_mean(str(value).lower(), argument.choices)
        if "relu" in argument.choices:
            hint = nonlinearity_hint(str(value))
    return Diagnostic(code, f"{subject} must be {expected}, got {shown(value)}", hint=hint)


def _seed_generator_hint(value: object) -> str | None:
    if not isinstance(value, Mapping) or value.get("class_name") != "SeedGenerator":
        return None
    config = value.get("config")
    seed = config.get("seed") if isinstance(config, Mapping) else None
    way = (
        f"write the integer itself, seed: {seed}" if isinstance(seed, int) else "write an integer, or no seed"
    )
    return f"a SeedGenerator holds a state that changes at each call; {way}"
