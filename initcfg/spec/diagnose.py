"""From pydantic's errors to diagnostics: our codes, our words, the place in the text, the way out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from initcfg.errors import MAX_TOLD, Code, Diagnostic, more_problems
from initcfg.initializers.values import shown
from initcfg.names import did_you_mean
from initcfg.spec.hints import document_words, list_hint, mapping_hint, missing_hint, unknown_key_hint
from initcfg.spec.overlay import Unwritten

if TYPE_CHECKING:
    from pydantic_core import ValidationError

    from initcfg.errors import PathStep
    from initcfg.spec.overlay import Places

_CODES = frozenset(Code)


def diagnostics_of(
    error: ValidationError, model: type[BaseModel], places: Places | None = None
) -> tuple[Diagnostic, ...]:
    """What a validation found, in the order of the places, a hundred at most.

    Args:
        error: what pydantic raised.
        model: the model that was validated.
        places: where the values were written; None for values from Python.
    """
    details = error.errors(include_url=False)[:MAX_TOLD]
    at = places or Unwritten()
    found = [_in_words_of_documents(_diagnostic(detail, model, at)) for detail in details]
    return (*found, *more_problems(error.error_count() - len(found), found))


def _in_words_of_documents(problem: Diagnostic) -> Diagnostic:
    if problem.where is None or problem.where.line is None:
        return problem
    message, hint, path = document_words(problem.message), problem.hint, problem.where.path
    if hint is None and message.endswith("got null") and path and isinstance(path[-1], str):
        hint = "write a value, or delete the key"
    return replace(problem, message=message, hint=hint)


def _diagnostic(detail: Any, model: type[BaseModel], places: Places) -> Diagnostic:
    path: tuple[PathStep, ...] = detail["loc"]
    in_key = bool(path) and path[-1] == "[key]"
    path = path[:-1] if in_key else path
    match detail["type"]:
        case code if code in _CODES:
            facts = detail["ctx"]
            where = places.locate(path, offset=facts["offset"], key=facts["key"] or in_key)
            return Diagnostic(Code(code), facts["message"], where, facts["hint"])
        case "missing":
            key = path[-1]
            message = f"the key {key!r} is missing"
            hint = missing_hint(str(key))
            return Diagnostic(Code.MISSING_KEY, message, places.locate(path[:-1], key=True), hint)
        case "extra_forbidden":
            keys = _keys(path[:-1], model)
            hint = unknown_key_hint(path, detail["input"]) or did_you_mean(str(path[-1]), keys)
            hint = hint or f"the keys here are {', '.join(keys)}"
            message = f"unknown key {shown(path[-1])}"
            return Diagnostic(Code.UNKNOWN_KEY, message, places.locate(path, key=True), hint)
        case "invalid_key":
            message = f"the key {shown(path[-1])} is not a string"
            return Diagnostic(Code.KEY_TYPE, message, places.locate(path, key=True), "keys are strings")
        case "mapping_type" | "model_type" | "dict_type":
            message = f"expected a mapping, got {shown(detail['input'])}"
            hint = mapping_hint(path, detail["input"])
            return Diagnostic(Code.WRONG_TYPE, message, places.locate(path), hint)
        case kind:
            message = (
                f"expected a list, got {shown(detail['input'])}" if kind == "tuple_type" else detail["msg"]
            )
            return Diagnostic(Code.WRONG_TYPE, message, places.locate(path), list_hint(path))


def _keys(path: tuple[PathStep, ...], model: type[BaseModel]) -> list[str]:
    """The keys of the model at `path`, sorted."""
    for step in path[::2]:
        model = _member(model.model_fields[str(step)].annotation) or model
    return sorted(info.alias or name for name, info in model.model_fields.items())


def _member(annotation: Any) -> type[BaseModel] | None:
    """The model among the values of a mapping's type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_member(part) for part in get_args(annotation))
    return next((model for model in found if model), None)
