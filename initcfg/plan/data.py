"""A plan as plain data, and the fingerprint of what it makes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any

from initcfg import initializers
from initcfg.distributions import Fill, Normal, TruncatedNormal, Uniform
from initcfg.engines.recipe import Constant, prepare
from initcfg.errors import Code, Diagnostic, InitializerError, Location, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from initcfg.distributions import Distribution
    from initcfg.plan.parameters import PlannedParameter, SkippedParameter

#: The way out wherever a plan file says what no plan would.
EDITED_HINT = "change the spec and write the plan again: initcfg plan SPEC -o PLAN"


def parameter_data(parameter: PlannedParameter) -> dict[str, Any]:
    """One parameter of a plan document; `initcfg.plan.document.ParameterDocument` says what is in it.

    Raises:
        SpecError: its initializer cannot be written down (code ``not-serializable``).
    """
    fans = parameter.fans
    return {
        "name": parameter.name,
        "shape": list(parameter.shape),
        "dtype": parameter.dtype.name,
        "layout": parameter.layout.name if parameter.layout else None,
        "fan_in": fans.fan_in if fans else None,
        "fan_out": fans.fan_out if fans else None,
        "initializer": _initializer(parameter),
        "distribution": law_data(parameter.distribution),
        "stream": parameter.stream.digest.hex(),
        "stream_name": parameter.stream_name,
        "tied_to": parameter.tied_to,
        "nbytes": parameter.nbytes,
        **({} if parameter.rule is None else {"rule": parameter.rule}),
        **_place(parameter.where),
    }


def skipped_data(skipped: Iterable[SkippedParameter]) -> dict[str, Any]:
    """The entry of a plan document for what rules leave out; none where there is nothing."""
    rows = [
        {"name": each.name, **({} if each.rule is None else {"rule": each.rule}), **_place(each.where)}
        for each in skipped
    ]
    return {"skipped": rows} if rows else {}


def fingerprint_of(parameters: Iterable[PlannedParameter], stream_version: int) -> str:
    """SHA-256, in hexadecimal, over what decides the values of parameters, whatever their order.

    Raises:
        SpecError: an initializer cannot be written down (code ``not-serializable``).
    """
    facts = sorted(map(deciding_facts, parameters), key=lambda fact: str(fact["name"]))
    content = {"stream_version": stream_version, "parameters": facts}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def plan_text(document: Mapping[str, Any]) -> str:
    """A plan document as JSON, one line for each parameter: quick to write, and to compare line by line."""
    *facts, (last, parameters) = document.items()
    lines = ["{", *(f"  {json.dumps(key)}: {_json(value)}," for key, value in facts)]
    if not parameters:
        return "\n".join([*lines, f"  {json.dumps(last)}: []", "}", ""])
    rows = ",\n".join(f"    {_json(parameter)}" for parameter in parameters)
    return "\n".join([*lines, f"  {json.dumps(last)}: [", rows, "  ]", "}", ""])


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False)


def deciding_facts(parameter: PlannedParameter) -> dict[str, Any]:
    """What decides a parameter's values: its law if it has one, else its initializer and layout.

    Raises:
        SpecError: its initializer cannot be written down (code ``not-serializable``).
    """
    facts = {
        "name": parameter.name,
        "shape": parameter.shape,
        "dtype": parameter.dtype.name,
        "tied_to": parameter.tied_to,
    }
    stream = parameter.stream.digest.hex()
    if parameter.distribution is None:
        layout = parameter.layout.name if parameter.layout else None
        return {**facts, "stream": stream, "layout": layout, "initializer": _initializer(parameter)}
    recipe = prepare(parameter.distribution, parameter.dtype)
    if isinstance(recipe, Constant):
        # One value in that dtype, whatever scheme and numbers it came from; no random number enters.
        return {**facts, "value": recipe.value}
    return {**facts, "stream": stream, "distribution": law_data(parameter.distribution)}


def _initializer(parameter: PlannedParameter) -> dict[str, Any]:
    try:
        written = initializers.serialize(parameter.initializer)
        json.dumps(written["config"], allow_nan=False)
    except InitializerError as error:
        raise _unwritable(parameter, *error.diagnostics) from None
    except (TypeError, ValueError, RecursionError) as error:
        name = type(parameter.initializer).__name__
        hint = f"let {name}.get_config return finite numbers, strings, lists and dicts only"
        message = f"the config of {name} does not fit into JSON: {error}"
        raise _unwritable(parameter, Diagnostic(Code.NOT_SERIALIZABLE, message, hint=hint)) from None
    named = {"registered_name": written["registered_name"]} if written["registered_name"] else {}
    return {"class_name": written["class_name"], "config": written["config"], **named}


def _unwritable(parameter: PlannedParameter, *faults: Diagnostic) -> SpecError:
    message = f"parameter {parameter.name!r} is made by code that a plan cannot hold"
    where = parameter.where or Location()
    return SpecError(
        *(dataclasses.replace(fault, message=f"{message}: {fault.message}", where=where) for fault in faults)
    )


def law_data(distribution: Distribution | None) -> dict[str, Any] | None:
    """A distribution as plain data; None where there is none."""
    # `dataclasses.asdict` would take most of the time of writing a plan.
    match distribution:
        case Fill(value):
            return {"kind": "fill", "value": value}
        case Uniform(low, high):
            return {"kind": "uniform", "low": low, "high": high}
        case Normal(mean, std):
            return {"kind": "normal", "mean": mean, "std": std}
        case TruncatedNormal(mean, std, low, high):
            return {"kind": "truncated_normal", "mean": mean, "std": std, "low": low, "high": high}
        case None:
            return None


def _place(where: Location | None) -> dict[str, Any]:
    if where is None or where.file is None:
        return {}
    return {"where": {"file": where.file, "line": where.line, "column": where.column}}
