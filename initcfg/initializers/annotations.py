"""The types of arguments, as annotations that pydantic checks: numbers, lists, constants.

Each is read in two ways. Without a validation context a value must be a literal, as Python code gives it.
With a `Reading` it is what a document holds: a number may be an expression, which is kept as its text, and a
number keeps the form in which it was written. A spec's own numbers are of these types as well.
"""

from __future__ import annotations

import os
import types
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Union, cast, get_args, get_origin

from pydantic_core import PydanticKnownError, core_schema

from initcfg.errors import Code
from initcfg.expressions import Expression, ExpressionError
from initcfg.initializers.values import (
    CONSTANT,
    as_config,
    fault,
    freeze,
    is_finite,
    listed,
    plain,
    read_value,
)
from initcfg.process import lazy
from initcfg.stream import SEED_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

    from initcfg.expressions import folding
else:
    folding = lazy("initcfg.expressions.folding")

#: The code for what pydantic finds wrong; of the types that are not here it is `wrong-type`.
CODES = {code.value: code for code in Code} | {
    "extra_forbidden": Code.UNKNOWN_KEY,
    "finite_number": Code.NOT_FINITE,
    "greater_than": Code.OUT_OF_RANGE,
    "greater_than_equal": Code.OUT_OF_RANGE,
    "invalid_key": Code.KEY_TYPE,
    "less_than": Code.OUT_OF_RANGE,
    "less_than_equal": Code.OUT_OF_RANGE,
    "literal_error": Code.UNKNOWN_CHOICE,
    "missing": Code.MISSING_KEY,
    "string_pattern_mismatch": Code.BAD_NAME,
    "too_long": Code.SHAPE,
    "too_short": Code.REPEAT,
    "unexpected_keyword_argument": Code.UNKNOWN_KEY,
}
#: The bounds of a number, as pydantic names them and as people write them.
SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


class Reading(NamedTuple):
    """The validation context in which a config is read without an instance being made.

    `expression` and `template` check and return a text, or raise a fault; None where a document holds none.
    """

    expression: Callable[[str], str] | None = None
    depth: int = 0  # how many initializers are around this one
    template: Callable[[str], str] | None = None


#: Of a document that holds no expressions.
LITERALS = Reading()


class Limits(NamedTuple):
    """Marks a number, with its bounds; strict about types, so that a bool is no number."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    expression: Callable[[str], str] | None = None  # checks the text of one, whatever the context
    is_literal: bool = False  # no expression ever stands here

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if float in (source, *get_args(source)):
            number = core_schema.float_schema(strict=True, allow_inf_nan=False, **self._bounds())
            return core_schema.with_info_wrap_validator_function(self._read_number, number)
        whole = core_schema.int_schema(strict=True, **self._bounds())
        return core_schema.with_info_wrap_validator_function(self._read_whole, whole)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.WrapValidatorFunctionSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        rules = handler(schema["schema"])
        return rules if self.is_literal else {**rules, "type": [rules["type"], "string"]}

    def noun(self, source: Any, *, plural: bool = False) -> str:
        """What it accepts, but for its bounds: ``a number``, ``an integer or an expression``."""
        if float in (source, *get_args(source)):
            noun = "numbers" if plural else "a number"
        else:
            noun = "integers" if plural else "an integer"
        return f"{noun} or an expression" if self.expression else noun

    def words(self, source: Any, *, plural: bool) -> str:
        """What it accepts: ``a number >= 0``."""
        bounds = " and ".join(
            f"{SIGNS[name]} {'2**64' if limit == 2**64 else f'{limit:g}'}"
            for name, limit in self._bounds().items()
        )
        return f"{self.noun(source, plural=plural)} {bounds}".strip()

    def _bounds(self) -> dict[str, Any]:
        return {name: limit for name in SIGNS if (limit := getattr(self, name)) is not None}

    def _reader(self, info: Any) -> Callable[[str], str] | None:
        """What checks the text of an expression, or None where none may stand."""
        return self.expression or (info.context and info.context.expression)

    def _read_number(self, value: object, handler: Callable[[object], float], info: Any) -> object:
        value = plain(value)
        if isinstance(value, str) and (expression := self._reader(info)):
            return expression(value)
        if not isinstance(value, int | float):  # pydantic takes decimals and fractions as well
            raise PydanticKnownError("float_type")
        checked = handler(value)
        return value if self.expression or info.context is not None else checked

    def _read_whole(self, value: object, handler: Callable[[object], int], info: Any) -> object:
        value = plain(value)
        if isinstance(value, str) and (expression := self._reader(info)):
            return expression(value)
        return handler(int(value) if isinstance(value, float) and value.is_integer() else value)


class ReadBy(NamedTuple):
    """Marks an argument that a function of ours reads."""

    read: Callable[[Any, Any], object]  # gives what is kept of a value, for a validation context or None
    noun: str  # what it accepts, in words
    nouns: str  # the same for the items of a list
    write: Callable[[Any], object] | None = None  # gives what a config has for it; None for the value itself
    holds_expressions: bool = False  # whether a document may write expressions in it

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        written = self.write and core_schema.plain_serializer_function_ser_schema(self.write)
        return core_schema.with_info_plain_validator_function(self.read, serialization=written)

    def words(self, source: Any, *, plural: bool) -> str:  # noqa: ARG002
        """What it accepts."""
        return self.nouns if plural else self.noun


class Text(NamedTuple):
    """Marks a text that a document completes: a path from its own folder, or a name with braces."""

    noun: str  # what it accepts, in words
    is_path: bool = False
    is_parameter: bool = False  # the name of a parameter, which depends on where it is asked for

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        text = core_schema.str_schema(strict=True, min_length=1)
        return core_schema.with_info_wrap_validator_function(self._read, text)

    def words(self, source: Any, *, plural: bool) -> str:  # noqa: ARG002
        """What it accepts."""
        return self.noun

    def _read(self, value: object, handler: Callable[[object], str], info: Any) -> str:
        text = handler(os.fspath(value) if self.is_path and isinstance(value, os.PathLike) else value)
        template = None if self.is_path or info.context is None else info.context.template
        return text if template is None else template(text)


def read_flag(value: object, info: Any) -> bool:  # noqa: ARG001
    """A bool, and nothing that could be taken for one."""
    value = plain(value)
    if not isinstance(value, bool):
        raise PydanticKnownError("bool_type")
    return value


def read_constant(value: object, info: Any) -> object:
    """The value of a constant, with an error for each wrong element."""
    return read_value(value, info.context and info.context.expression)


def read_formula(value: object, info: Any) -> str:
    """The text of an expression over the elements of an array, which a document may use its vars in."""
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    if info.context and info.context.expression:
        return cast("str", info.context.expression(value))
    try:
        folding.check_closed(Expression.parse(value))
    except ExpressionError as error:
        raise fault(error.code, error.message, error.hint, error.offset) from None
    return value


class Items(NamedTuple):
    """Marks a list: also a numpy array of one axis, but nothing whose order or length is unknown."""

    noun: str = "a list"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_as_items, handler(source))

    def words(self, source: Any, *, plural: bool) -> str:  # noqa: ARG002
        """What it accepts."""
        return words_of(source)


def _as_items(value: object) -> object:
    value = listed(plain(value))
    if not isinstance(value, list | tuple):
        raise PydanticKnownError("tuple_type")
    return value


def read_anything(value: object, info: Any) -> object:
    """A value of which nothing is known: as it is, or of a document as plain data that cannot change."""
    return freeze(value) if info.context and info.context.expression else value


Number = Annotated[float, Limits()]
NonNegative = Annotated[float, Limits(ge=0)]
Positive = Annotated[float, Limits(gt=0)]
Share = Annotated[float, Limits(ge=0, le=1)]
Whole = Annotated[int, Limits()]
Seed = Annotated[int, Limits(ge=0, lt=SEED_LIMIT)]
Flag = Annotated[bool, ReadBy(read_flag, "true or false", "true or false")]
if TYPE_CHECKING:  # any sequence is taken; the attribute then is a tuple
    Axes = Sequence[int]
    Sizes = Sequence[int]
else:
    Axes = Annotated[tuple[Whole, ...], Items()]
    Sizes = Annotated[tuple[Annotated[int, Limits(ge=0)], ...], Items()]
FormulaText = Annotated[str, ReadBy(read_formula, "an expression", "expressions")]
Value = Annotated[Any, ReadBy(read_constant, CONSTANT, CONSTANT, as_config, holds_expressions=True)]
FileName = Annotated[str, Text("the path of a file", is_path=True)]
ParameterName = Annotated[str, Text("the name of a parameter", is_parameter=True)]
TensorName = Annotated[str, Text("the name of a tensor")]
Anything = Annotated[Any, ReadBy(read_anything, "any value", "any value")]


def words_of(annotation: Any, *, plural: bool = False) -> str:
    """What a type accepts, in words: ``a list of numbers or None``."""
    words: str
    inner, nullable = without_none(annotation)
    if get_origin(inner) is Literal:
        words = f"one of {', '.join(map(repr, get_args(inner)))}"
    elif get_origin(inner) is tuple:
        words = f"a list of {words_of(get_args(inner)[0], plural=True)}"
    elif get_origin(inner) is Annotated:
        words = inner.__metadata__[0].words(inner.__origin__, plural=plural)
    else:
        words = "any value"
    return words + (" or None" if nullable else "")


def without_none(annotation: Any) -> tuple[Any, bool]:
    """An annotation without its ``| None``, and whether it had one; ``int | float`` is ``float``."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    members = get_args(annotation)
    others = tuple(member for member in members if member is not type(None))
    if set(others) == {int, float}:
        return float, len(others) < len(members)
    return (others[0] if len(others) == 1 else annotation), len(others) < len(members)


def code_of(kind: str, value: object) -> Code:
    """The code for an error of pydantic's, which depends on the value where its type is wrong as well."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # An integer can be beyond what a float holds, and then its type is what pydantic finds wrong.
    if is_number and (kind == "float_type" or not is_finite(cast("float", value))):
        return Code.NOT_FINITE
    if kind == "literal_error" and not isinstance(value, str):
        return Code.WRONG_TYPE
    return CODES.get(kind, Code.WRONG_TYPE)
