"""The scalars of a spec, as types that pydantic checks and describes: numbers, names, dtypes, layouts.

What pydantic itself finds (a wrong type, a bound) becomes a diagnostic in `initcfg.spec.diagnose`. What it
cannot know, such as the syntax of an expression, is refused with one of our codes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args

from pydantic import Field
from pydantic_core import core_schema

from initcfg.dtypes import DTYPES, as_dtype, is_type
from initcfg.errors import WARNINGS, Code, InitializerError
from initcfg.expressions import Expression, ExpressionError, Template
from initcfg.frozen import FrozenDict
from initcfg.globs import Glob, PatternError
from initcfg.initializers.annotations import Items, Limits
from initcfg.initializers.values import fault, shown
from initcfg.layout import MAX_DIM, MAX_NDIM, Layout
from initcfg.names import did_you_mean
from initcfg.text.source import has_surrogate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema, PydanticCustomError

MAX_SEED = 2**64 - 1

_TAG = r"<([0-9])>"


def _written(value: str) -> str:
    """A text that can be written in UTF-8."""
    if has_surrogate(value):
        raise fault(Code.ENCODING, f"a lone surrogate is not a character: {shown(value)}")
    return value


_ANY = core_schema.any_schema()
_STRING = core_schema.str_schema(strict=True)
_TEXT = core_schema.no_info_after_validator_function(_written, _STRING)


class Parsed(NamedTuple):
    """Makes a type of a function that reads a value; pydantic's PlainValidator starts half as fast."""

    read: Callable[[Any], Any]  # the normal form of a value; it raises a fault, with one of our codes
    inner: CoreSchema = _TEXT  # what checks the value first
    accepts: Mapping[str, Any] | None = None  # the JSON Schema, where that of `inner` does not say enough
    noun: str = "a string"  # what it accepts, in words

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.read, self.inner)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.AfterValidatorFunctionSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(schema) if self.accepts is None else dict(self.accepts)

    def __hash__(self) -> int:  # typing keeps the types that it makes by their marks
        return hash(self.read)


class Key(NamedTuple):
    r"""Makes a type of the keys of a mapping."""

    # Python's $ matches before a last line break, which JavaScript's does not; hence its (?!\n).
    pattern: str
    owner: str  # what the key is a name for
    characters: str  # what the pattern allows, in words

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.str_schema(strict=True, pattern=self.pattern, regex_engine="python-re")


class Frozen:
    """Marks a mapping that is kept as a `FrozenDict`; pydantic's AfterValidator starts half as fast."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(FrozenDict, handler(source))


class OneOf(NamedTuple):
    """Makes a type of several: which one a value is read as depends on its Python type alone."""

    kinds: tuple[tuple[type, ...], ...]  # for each type but the first, which takes everything else

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {f"<{at}>": handler.generate_schema(each) for at, each in enumerate(get_args(source))}
        return core_schema.tagged_union_schema(choices, discriminator=self._tag)

    def _tag(self, value: object) -> str:
        fitting = (at for at, kinds in enumerate(self.kinds, start=1) if isinstance(value, kinds))
        return f"<{next(fitting, 0)}>"

    @staticmethod
    def place(step: int | str) -> int | None:
        """The index of the type that a step in the place of an error means, or None for any other step."""
        found = re.fullmatch(_TAG, step) if isinstance(step, str) else None
        return int(found[1]) if found else None


def fault_of(error: ExpressionError | PatternError | InitializerError) -> PydanticCustomError:
    """The error of a lower floor, for pydantic to carry to its place."""
    problem = error.diagnostics[0]
    return fault(problem.code, problem.message, problem.hint, getattr(error, "offset", None))


def expression(value: str) -> str:
    """The text of an expression whose syntax is right."""
    try:
        Expression.parse(value)
    except ExpressionError as error:
        raise fault_of(error) from None
    return value


def format_version(value: object) -> int:
    """The version of the format, or of the streams."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fault(Code.WRONG_TYPE, f"expected the number 1, got {shown(value)}", "write 1")
    if value != 1:
        message = f"version {shown(value)} is not known"
        raise fault(Code.FORMAT_VERSION, message, "this release reads version 1")
    return 1


def _pattern(value: str) -> str:
    try:
        Glob(value)
    except PatternError as error:
        raise fault_of(error) from None
    return value


def _reason(value: str) -> str:
    if not value.strip():
        raise fault(Code.BAD_NAME, "a reason is empty", "say why the warning does not matter here")
    return value


def _warning(value: str) -> str:
    if value in WARNINGS:
        return value
    known = f"the warnings are {', '.join(sorted(WARNINGS))}"
    if value in frozenset(Code):
        raise fault(Code.UNKNOWN_CHOICE, f"{value!r} is an error, which nothing silences", known)
    hint = did_you_mean(value, map(str, WARNINGS)) or known
    raise fault(Code.UNKNOWN_CHOICE, f"no warning is named {shown(value)}", hint)


def template(value: str) -> str:
    """A name whose braces hold expressions of right syntax."""
    if not value:
        raise fault(Code.BAD_NAME, "a name is empty", "write at least one character")
    try:
        Template.parse(value)
    except ExpressionError as error:
        raise fault_of(error) from None
    return value


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
        raise fault_of(error) from None


def layout_hint(name: str) -> str | None:
    """The layout of a library, or why the name of a data layout is none; None for other names."""
    if name.lower() in _LIBRARIES:
        return f"the layout of {name} is {_LIBRARIES[name.lower()]}"
    if len(name) > 1 and re.fullmatch(_DATA_LAYOUT, name):
        return f"{name} names the axes of data, not of weights; write out_in (PyTorch) or in_out (Keras, JAX)"
    return None


def _layout(value: object) -> str:
    if isinstance(value, Layout):
        return value.name
    if not isinstance(value, str):
        raise fault(Code.WRONG_TYPE, f"expected the name of a layout, got {shown(value)}")
    try:
        return Layout(value).name
    except InitializerError as error:
        problem = error.diagnostics[0]
        raise fault(problem.code, problem.message, layout_hint(value) or problem.hint) from None


_DATA_LAYOUT = r"(?i)N(?:C[DHWL]*|[DHWL]*C)"
_LIBRARIES = {
    **dict.fromkeys(("pytorch", "torch"), "out_in"),
    **dict.fromkeys(("keras", "tensorflow", "tf", "jax", "flax"), "in_out"),
}
_PLAIN_NAME = "letters, digits and underscores, and does not begin with a digit"
_DOTTED_NAME = "letters, digits, underscores, dots and hyphens, and begins with a letter or an underscore"
_LAYOUTS = {
    "anyOf": [
        {"enum": ["in_out", "out_in"]},
        {"type": "string", "pattern": r"^(in_out|out_in|[BDHWTLK]*[IO][IOBDHWTLK]*)(?!\n)$"},
    ]
}

Numeric = Annotated[int | float | str, Limits(expression=expression)]
Whole = Annotated[int | str, Limits(expression=expression)]
Count = Annotated[int | str, Limits(ge=0, expression=expression)]
Step = Annotated[int | str, Limits(ge=1, expression=expression)]
Size = Annotated[int | str, Limits(ge=0, le=MAX_DIM, expression=expression)]
Shape = Annotated[tuple[Size, ...], Field(max_length=MAX_NDIM), Items("a list of sizes")]
Var = Annotated[Numeric | tuple[Numeric, ...], OneOf(((list, tuple),))]
Seed = Annotated[int, Limits(ge=0, le=MAX_SEED, is_literal=True)]
Ndim = Annotated[int, Limits(ge=0, le=MAX_NDIM, is_literal=True)]
Text = Annotated[str, Parsed(_written, _STRING)]
FormatVersion = Annotated[int, Parsed(format_version, _ANY, {"const": 1})]
#: For editors, about the file and not about the model: it is not kept.
SchemaAddress = Annotated[None, Parsed(lambda _: None)]
Reason = Annotated[str, Parsed(_reason, accepts={"type": "string", "pattern": r"\S"})]
Pattern = Annotated[str, Parsed(_pattern, noun="a pattern")]
WarningCode = Annotated[str, Parsed(_warning, accepts={"enum": sorted(WARNINGS)})]
NameTemplate = Annotated[str, Parsed(template, accepts={"type": "string", "minLength": 1})]
DTypeName = Annotated[str, Parsed(_dtype, _ANY, {"enum": list(DTYPES)})]
LayoutName = Annotated[str, Parsed(_layout, _ANY, _LAYOUTS)]
Identifier = Annotated[str, Key(r"^[A-Za-z_][A-Za-z0-9_]*(?!\n)$", "a var or an index", _PLAIN_NAME)]
InitializerName = Annotated[str, Key(r"^[A-Za-z_][A-Za-z0-9_.-]*(?!\n)$", "an initializer", _DOTTED_NAME)]
