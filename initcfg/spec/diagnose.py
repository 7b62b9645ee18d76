"""From pydantic's errors to diagnostics: our codes, our words, the place in the text, the way out."""

from __future__ import annotations

import re
from collections import abc
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from initcfg.errors import MAX_TOLD, Code, Diagnostic, more_problems
from initcfg.expressions import Expression, ExpressionError
from initcfg.initializers.annotations import SIGNS, Items, Limits, code_of, without_none
from initcfg.initializers.values import shown
from initcfg.layout import MAX_NDIM
from initcfg.names import did_you_mean
from initcfg.spec.overlay import Unwritten
from initcfg.spec.scalars import Key, OneOf, Parsed
from initcfg.text.yaml_traps import CUT_NUMBER, MISSING_VALUE, MISSING_VALUE_HINT

if TYPE_CHECKING:
    from pydantic_core import ValidationError

    from initcfg.errors import Path, PathStep
    from initcfg.spec.overlay import Places

#: What pydantic puts after the key of a mapping where the key is wrong, and not its value.
KEY = "[key]"
_OF_KEYS = (Code.MISSING_KEY, Code.UNKNOWN_KEY, Code.KEY_TYPE)


def diagnostics_of(
    error: ValidationError, model: type[BaseModel], places: Places | None = None
) -> tuple[Diagnostic, ...]:
    """What a validation of `model` found, in the order of the places, a hundred at most."""
    told = error.errors(include_url=False)[:MAX_TOLD]
    # pydantic counts only the items that are right; one that is wrong has an error of its own.
    details = [each for each in told if each["type"] != "too_short" or not each["input"]]
    at = places or Unwritten()
    found = [_in_words_of_documents(_diagnostic(detail, model, at)) for detail in details]
    found = [
        replace(problem, hint=MISSING_VALUE_HINT) if _is_left_open(detail["input"]) else problem
        for problem, detail in zip(found, details, strict=True)
    ]
    return (*found, *more_problems(error.error_count() - len(told), found))


def _is_left_open(value: object) -> bool:
    # An array would be compared element by element.
    return isinstance(value, str) and value == MISSING_VALUE


def _in_words_of_documents(problem: Diagnostic) -> Diagnostic:
    if problem.where is None or problem.where.line is None:
        return problem
    # The words of YAML and JSON for what Python calls None, True, False.
    message = re.sub(_GOT, lambda found: f"got {_WORDS[found[1]]}", problem.message)
    hint, path = problem.hint, problem.where.path
    if hint is None and message.endswith("got null") and path and isinstance(path[-1], str):
        hint = "write a value, or delete the key"
    return replace(problem, message=message, hint=hint)


def _diagnostic(detail: Any, model: type[BaseModel], places: Places) -> Diagnostic:
    kind, facts = detail["type"], detail.get("ctx", {})
    path: Path = tuple(step for step in detail["loc"] if step != KEY and OneOf.place(step) is None)
    in_key = detail["loc"][-1:] == (KEY,)
    code = Code.KEY_TYPE if in_key and kind == "string_type" else code_of(kind, detail["input"])
    if "hint" in facts:  # a fault of ours
        where = places.locate(path, offset=facts["offset"], key=facts["key"] or in_key)
        return Diagnostic(code, facts["message"], where, facts["hint"])
    if code in _OF_KEYS:
        message, hint = _about_key(code, detail, path, model)
        at = path[:-1] if code is Code.MISSING_KEY else path
        return Diagnostic(code, message, places.locate(at, key=True), hint)
    message, hint = _about_value(code, detail, path, _type_at(detail["loc"], model))
    return Diagnostic(code, message, places.locate(path, key=in_key), hint)


def _about_key(code: Code, detail: Any, path: Path, model: type[BaseModel]) -> tuple[str, str | None]:
    """What is wrong with a key, and the way out."""
    key = path[-1]
    if code is Code.MISSING_KEY:
        return f"the key {key!r} is missing", _MISSING.get(str(key))
    if code is Code.KEY_TYPE:
        return f"the key {shown(key)} is not a string", "keys are strings"
    keys = _keys(detail["loc"][:-1], model)
    hint = unknown_key_hint(path, detail["input"]) or did_you_mean(str(key), keys)
    return f"unknown key {shown(key)}", hint or f"the keys here are {', '.join(keys)}"


def _about_value(code: Code, detail: Any, path: Path, annotation: Any) -> tuple[str, str | None]:
    """What is wrong with a value, or with the name that a key is, and the way out."""
    value, facts, mark = detail["input"], detail.get("ctx", {}), _mark(annotation)
    if isinstance(mark, Key):
        allowed = f"the name of {mark.owner} is {mark.characters}"
        return f"{shown(value)} is not a name for {mark.owner}", allowed
    if code is Code.OUT_OF_RANGE:
        ((name, limit),) = facts.items()
        return f"expected an integer {SIGNS[name]} {limit}, got {shown(value)}", None
    if code is Code.WRONG_TYPE:
        expected, hint = _expected(detail["type"], value, path, annotation)
        return f"expected {expected}, got {shown(value)}", hint
    return {
        Code.NOT_FINITE: (f"expected a number that float64 holds, got {shown(value)}", None),
        Code.REPEAT: ("a list to repeat over is empty", "name at least one text"),
        Code.SHAPE: (f"a shape has at most {MAX_NDIM} axes, this one {facts.get('actual_length')}", None),
    }[code]


def _expected(kind: str, value: object, path: Path, annotation: Any) -> tuple[str, str | None]:
    """What may stand in the place of a value of a wrong type, and how to write it."""
    mark = _mark(annotation)
    if isinstance(mark, Limits):
        return mark.noun(_bare(annotation)), integer_hint(value, is_literal=mark.is_literal)
    words: dict[str, tuple[str, str | None]] = {
        "bool_type": (
            "true or false",
            "write true" if str(value).lower() in ("yes", "on", "1", "true") else None,
        ),
        "string_type": ("a string", text_hint(path, value)),
        "tuple_type": ("a list", list_hint(path, value)),
    }
    expected, hint = words.get(kind) or ("a mapping", mapping_hint(path, value))
    return (mark.noun if isinstance(mark, Parsed | Items) else expected), hint


def _keys(path: Path, model: type[BaseModel]) -> list[str]:
    """The keys of the model at `path`, sorted."""
    fields = _bare(_type_at(path, model)).model_fields
    return sorted(info.alias or name for name, info in fields.items())


def _type_at(path: Path, model: type[BaseModel]) -> Any:
    """The annotation of what stands at the place of an error; of a key, that of the keys."""
    at: Any = model
    for index, step in enumerate(path):
        if step != KEY:
            at = _below(_bare(at), step, is_key=path[index + 1 :] == (KEY,))
    return at


def _below(annotation: Any, step: PathStep, *, is_key: bool) -> Any:
    """The annotation one step further into a value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        info = {info.alias or name: info for name, info in annotation.model_fields.items()}[str(step)]
        return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    members = get_args(annotation)
    if (tag := OneOf.place(step)) is not None:
        return members[tag]
    return members[1] if get_origin(annotation) is abc.Mapping and not is_key else members[0]


def _bare(annotation: Any) -> Any:
    """A type without its marks, and without None beside it."""
    inner, _ = without_none(annotation)
    return inner.__origin__ if get_origin(inner) is Annotated else inner


def _mark(annotation: Any) -> Key | Limits | Parsed | Items | None:
    """Our mark of a type, which says in words what it accepts."""
    inner, _ = without_none(annotation)
    marks = getattr(inner, "__metadata__", ())
    return next((mark for mark in marks if isinstance(mark, Key | Limits | Parsed | Items)), None)


_MAX_LENGTH = 64
_SEPARATOR = r"\s*,\s*|\s+[x\u00d7]\s+|(?<=[0-9])[x\u00d7](?=[0-9])"
_GOT = r"\bgot (None|True|False)\b"
_WORDS = {"None": "null", "True": "true", "False": "false"}
_GROUPED = r"[0-9]+(?:_[0-9]+)+"
_PARAM = "{shape: [768], initializer: zeros}"
_ENTRIES = {
    "vars": "{d: 768}",
    "initializers": "{base: {random_normal: {stddev: 0.02}}}",
    "layers": f"{{fc: {{params: {{w: {_PARAM}}}}}}}",
    "params": f"{{w: {_PARAM}}}",
}
_LISTS = {
    "rules": '[{match: "**.bias", initializer: zeros}]',
    "allow": '[{code: random-bias, match: "**.bias", reason: why it does not matter here}]',
}
_MISSING = {
    "shape": "write it as shape: [768, 3072], or shape: [] for a single number",
    "to": "write where to stop, as to: 12; the last value is below it",
    "params": "write them as params: " + _ENTRIES["params"],
    "match": 'write the pattern of full names that it is for, as match: "**.bias"',
    "code": "write the code of the warning, which its message shows in brackets",
    "reason": "write why the warning does not matter here, as reason: both begin alike on purpose",
}


def shape_hint(value: object) -> str | None:
    """How to write a shape that is no list: ``(2, 3)``, ``2 x 3``, ``d, d`` or ``5``."""
    if isinstance(value, bool) or not isinstance(value, str | int) or len(str(value)) > _MAX_LENGTH:
        return None
    text = re.sub(CUT_NUMBER, lambda found: found[0].replace(",", ""), str(value).strip())
    if text.startswith("(") and text.endswith(")") and text.count("(") == 1:
        text = text[1:-1].strip(" ,")
    sizes = re.split(_SEPARATOR, text) if "(" not in text else [text]
    if all(map(_is_expression, sizes)):
        return f"write a list: [{', '.join(sizes)}]"
    return "write a list, such as [2, 3]"


def _is_expression(text: str) -> bool:
    try:
        Expression.parse(text)
    except ExpressionError:
        return False
    return True


def unknown_key_hint(path: Path, value: object) -> str | None:
    """The way out for keys that are often written where they do not stand, or None."""
    match path:
        case ("layers", _, str(name)) if isinstance(value, Mapping) and "shape" in value:
            return f"put {name!r} under params:, the key that holds a layer's parameters"
        case (*_, "init"):
            return "did you mean 'initializer'?"
    return None


def mapping_hint(path: Path, value: object) -> str | None:
    """The way out where a mapping is expected and something else stands, or None."""
    match path:
        case ("layers", _, "repeat"):
            is_count = isinstance(value, int | str) and not isinstance(value, bool)
            return f"name the index: {{i: {value if is_count else 12}}}"
        case (*_, str(group)) if group in _ENTRIES:
            return "write {} for none" if value is None else f"the name is the key, as in {_ENTRIES[group]}"
        case (*_, "params", _):
            return f"write {_PARAM}"
        case ("rules" | "allow" as group, _):
            return f"write {_LISTS[group][1:-1]}"
        case ("layers", _):
            return f"write {{params: {{w: {_PARAM}}}}}"
    return None


def list_hint(path: Path, value: object) -> str | None:
    """The way out where a list is expected and something else stands, or None."""
    if path and path[-1] == "shape":
        return shape_hint(value)
    return f"write a list, as {_LISTS[str(path[-1])]}" if path and path[-1] in _LISTS else None


def integer_hint(value: object, *, is_literal: bool) -> str | None:
    """The way out where a number, or with `is_literal` no expression, is expected, or None."""
    if not is_literal:
        if isinstance(value, bool):
            return "write 1 or 0"
        return "// divides without a remainder" if isinstance(value, float) else None
    if re.fullmatch(_GROUPED, str(value)):
        return "remove the underscores"
    return "expressions are not read here" if isinstance(value, str) else "write a whole number, such as 0"


def text_hint(path: Path, value: object) -> str | None:
    """The way out where a string is expected and something else stands, or None."""
    if path[-1:] == ("match",) and isinstance(value, list | tuple | Mapping):
        return "put the pattern in quotes"
    if path == ("extends",):
        return "name one file, which may extend another"
    return f'quote it: "{value}"' if isinstance(value, int | float) else None
