"""The scalar kinds of a spec: numbers and expressions, names, dtypes, layouts; one function checks each.

A function returns the value in its normal form or raises a `PydanticCustomError` whose type is one of our
codes, so that a wrong value gives one problem at its own place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError
from pydantic_core.core_schema import no_info_plain_validator_function

from initcfg.dtypes import DTYPES, as_dtype, is_type
from initcfg.errors import WARNINGS, Code, InitializerError
from initcfg.globs import Glob, PatternError
from initcfg.initializers.values import fault, plain, shown
from initcfg.layout import Layout
from initcfg.names import did_you_mean
from initcfg.spec.expressions import Expression, Template
from initcfg.spec.grammar import ExpressionError
from initcfg.spec.hints import layout_hint, shape_hint
from initcfg.text.source import LARGEST, SURROGATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

    from initcfg.errors import Diagnostic

#: The key under which a JSON Schema says which of our kinds a leaf is; `initcfg.spec.schema` replaces it.
MARKER = "x-initcfg-kind"
# Python's $ matches before a last line break, which JavaScript's does not; hence the (?!\n).
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_]*(?!\n)$"
INITIALIZER_NAME = r"^[A-Za-z_][A-Za-z0-9_.-]*(?!\n)$"
#: Something is said.
REASON = r"\S"
_GROUPED = re.compile(r"[0-9]+(?:_[0-9]+)+")
MAX_NDIM = 64
MAX_SEED = 2**64 - 1
MAX_DIM = 2**63 - 1

Numeric = int | float | str
T = TypeVar("T")


def key_fault(key: str, code: Code, message: str, hint: str, *, at_parent: bool = False) -> ValidationError:
    """A fault that shows only in a whole mapping, at one of its keys; `at_parent`: at the mapping itself."""
    error = fault(code, message, hint, key=True)
    loc = () if at_parent else (key,)
    detail = InitErrorDetails(type=error, loc=loc, input=None)
    return ValidationError.from_exception_data("mapping", [detail])


def fault_of(problem: Diagnostic) -> PydanticCustomError:
    """A diagnostic from a lower floor, to be carried to its place."""
    return fault(problem.code, problem.message, problem.hint)


def expression_fault(error: ExpressionError) -> PydanticCustomError:
    """A fault at a character of an expression or a template."""
    return fault(error.code, error.message, error.hint, error.offset)


def each(values: Iterable[object], check: Callable[[object], T]) -> tuple[T, ...]:
    """Every item checked, with the fault of each at its index."""
    items: list[T] = []
    faults: list[InitErrorDetails] = []
    for at, value in enumerate(values):
        try:
            items.append(check(value))
        except PydanticCustomError as error:
            faults.append(InitErrorDetails(type=error, loc=(at,), input=None))
    if faults:
        raise ValidationError.from_exception_data("list", faults)
    return tuple(items)


def expression(value: str) -> str:
    """The text of an expression whose syntax is right."""
    try:
        Expression.parse(value)
    except ExpressionError as error:
        raise expression_fault(error) from None
    return value


def number(value: object, expected: str = "a number") -> Numeric:
    """A finite int or float, or the text of an expression whose syntax is right."""
    value = plain(value)
    if isinstance(value, str):
        return expression(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = "write 1 or 0" if isinstance(value, bool) else None
        raise fault(Code.WRONG_TYPE, f"expected {expected} or an expression, got {shown(value)}", hint)
    if not abs(value) <= LARGEST:
        raise fault(Code.NOT_FINITE, f"expected {expected} that float64 holds, got {shown(value)}")
    return value


def whole(value: object, minimum: int | None = None, maximum: int | None = None) -> int | str:
    """An integer, ``768.0`` included, or the text of an expression."""
    value = number(value, "an integer")
    if isinstance(value, str):
        return value
    if value != int(value):
        hint = "// divides without a remainder"
        raise fault(Code.WRONG_TYPE, f"expected an integer or an expression, got {shown(value)}", hint)
    return _bounded(int(value), minimum, maximum)


def _bounded(value: int, minimum: int | None, maximum: int | None) -> int:
    if minimum is not None and value < minimum:
        raise fault(Code.OUT_OF_RANGE, f"expected an integer >= {minimum}, got {shown(value)}")
    if maximum is not None and value > maximum:
        raise fault(Code.OUT_OF_RANGE, f"expected an integer <= {maximum}, got {shown(value)}")
    return value


def _literal_integer(value: object, minimum: int, maximum: int) -> int:
    """An integer where no expression may stand."""
    value = plain(value)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or value - value != 0
        or value != int(value)
    ):
        hint = (
            "expressions are not read here" if isinstance(value, str) else "write a whole number, such as 0"
        )
        hint = "remove the underscores" if _GROUPED.fullmatch(str(value)) else hint
        raise fault(Code.WRONG_TYPE, f"expected an integer, got {shown(value)}", hint)
    return _bounded(int(value), minimum, maximum)


def format_version(value: object) -> int:
    """The version of the format, or of the streams."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fault(Code.WRONG_TYPE, f"expected the number 1, got {shown(value)}", "write 1")
    if value != 1:
        raise fault(
            Code.FORMAT_VERSION, f"version {shown(value)} is not known", "this release reads version 1"
        )
    return 1


def text(value: object) -> str:
    """A string that can be written in UTF-8."""
    if not isinstance(value, str):
        hint = f'quote it: "{value}"' if isinstance(value, int | float) else None
        raise fault(Code.WRONG_TYPE, f"expected a string, got {shown(value)}", hint)
    if SURROGATE.search(value):
        raise fault(Code.ENCODING, f"a lone surrogate is not a character: {shown(value)}")
    return value


def _schema_address(value: object) -> None:
    """Nothing: what it says is for editors, about the file and not about the model."""
    text(value)


def _truth(value: object) -> bool:
    value = plain(value)
    if not isinstance(value, bool):
        hint = "write true" if str(value).lower() in ("yes", "on", "1", "true") else None
        raise fault(Code.WRONG_TYPE, f"expected true or false, got {shown(value)}", hint)
    return value


def _pattern(value: object) -> str:
    if isinstance(value, list | tuple | Mapping):
        raise fault(Code.WRONG_TYPE, f"expected a pattern, got {shown(value)}", "put the pattern in quotes")
    pattern = text(value)
    try:
        Glob(pattern)
    except PatternError as error:
        problem = error.diagnostics[0]
        raise fault(problem.code, problem.message, problem.hint, error.offset) from None
    return pattern


def _reason(value: object) -> str:
    reason = text(value)
    if not re.search(REASON, reason):
        hint = "say why the warning does not matter here"
        raise fault(Code.BAD_NAME, "a reason is empty", hint)
    return reason


def _warning(value: object) -> str:
    code = text(value)
    if code in WARNINGS:
        return code
    known = f"the warnings are {', '.join(sorted(WARNINGS))}"
    if code in frozenset(Code):
        raise fault(Code.UNKNOWN_CHOICE, f"{code!r} is an error, which nothing silences", known)
    raise fault(
        Code.UNKNOWN_CHOICE,
        f"no warning is named {shown(code)}",
        did_you_mean(code, map(str, WARNINGS)) or known,
    )


def _template(value: object) -> str:
    name = text(value)
    if not name:
        raise fault(Code.BAD_NAME, "a name is empty", "write at least one character")
    try:
        Template.parse(name)
    except ExpressionError as error:
        raise expression_fault(error) from None
    return name


def _key(pattern: str, what: str, characters: str) -> Any:
    """A check for the keys of a mapping; `characters` says in words what the pattern allows."""
    allowed = re.compile(pattern)

    def check(value: object) -> str:
        if not isinstance(value, str):
            raise fault(Code.KEY_TYPE, f"the key {shown(value)} is not a string", "keys are strings")
        if not allowed.search(value):
            hint = f"the name of {what} is {characters}"
            raise fault(Code.BAD_NAME, f"{shown(value)} is not a name for {what}", hint)
        return value

    return check


def _template_key(value: object) -> str:
    if not isinstance(value, str):
        raise fault(Code.KEY_TYPE, f"the key {shown(value)} is not a string", "keys are strings")
    return _template(value)


def _dtype(value: object) -> str:
    if isinstance(value, str):
        if value in DTYPES:
            return value
    elif not is_type(value):
        hint = did_you_mean(f"float{value}", DTYPES) if isinstance(value, int) else None
        raise fault(Code.WRONG_TYPE, f"expected the name of a dtype, got {shown(value)}", hint)
    try:
        return as_dtype(value).name
    except InitializerError as error:
        raise fault_of(error.diagnostics[0]) from None


def _layout(value: object) -> str:
    if isinstance(value, Layout):
        return value.name
    if isinstance(value, str):
        try:
            return Layout(value).name
        except InitializerError as error:
            problem = error.diagnostics[0]
            raise fault(problem.code, problem.message, layout_hint(value) or problem.hint) from None
    raise fault(Code.WRONG_TYPE, f"expected the name of a layout, got {shown(value)}")


def _dim(value: object) -> int | str:
    return whole(value, 0, MAX_DIM)


def _shape(value: object) -> tuple[int | str, ...]:
    if not isinstance(value, list | tuple):
        raise fault(Code.WRONG_TYPE, f"expected a list of sizes, got {shown(value)}", shape_hint(value))
    if len(value) > MAX_NDIM:
        raise fault(Code.SHAPE, f"a shape has at most {MAX_NDIM} axes, this one {len(value)}")
    return each(value, _dim)


def _var(value: object) -> Numeric | tuple[Numeric, ...]:
    return each(value, number) if isinstance(value, list | tuple) else number(value)


class Kind(NamedTuple):
    """What makes a type of a check, and leaves a mark in the JSON Schema, which `MARKER` replaces.

    A PlainValidator and a WithJsonSchema would do as much. They also study the type and the signature of the
    check, which is a third of what building the models costs, and every start pays for it.

    Args:
        check: gives the normal form of a value, or raises a fault.
        name: in the table of `initcfg.spec.schema`.
    """

    check: Callable[[object], Any]
    name: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {MARKER: self.name}


_PLAIN_NAME = "letters, digits and underscores, and does not begin with a digit"
_DOTTED_NAME = "letters, digits, underscores, dots and hyphens, and begins with a letter or an underscore"

Whole = Annotated[int | str, Kind(whole, "integer")]
Step = Annotated[int | str, Kind(lambda value: whole(value, 1), "step")]
Shape = Annotated[tuple[int | str, ...], Kind(_shape, "shape")]
Var = Annotated[Numeric | tuple[Numeric, ...], Kind(_var, "var")]
Seed = Annotated[int, Kind(lambda value: _literal_integer(value, 0, MAX_SEED), "seed")]
FormatVersion = Annotated[int, Kind(format_version, "version")]
Text = Annotated[str, Kind(text, "text")]
Reason = Annotated[str, Kind(_reason, "reason")]
SchemaAddress = Annotated[None, Kind(_schema_address, "text")]
Truth = Annotated[bool, Kind(_truth, "truth")]
Ndim = Annotated[int, Kind(lambda value: _literal_integer(value, 0, MAX_NDIM), "ndim")]
Pattern = Annotated[str, Kind(_pattern, "pattern")]
WarningCode = Annotated[str, Kind(_warning, "warning")]
NameTemplate = Annotated[str, Kind(_template, "name")]
TemplateKey = Annotated[str, Kind(_template_key, "name")]
Identifier = Annotated[str, Kind(_key(IDENTIFIER, "a var or an index", _PLAIN_NAME), "identifier")]
InitializerName = Annotated[
    str, Kind(_key(INITIALIZER_NAME, "an initializer", _DOTTED_NAME), "initializer_name")
]
DTypeName = Annotated[str, Kind(_dtype, "dtype")]
LayoutName = Annotated[str, Kind(_layout, "layout")]
