"""A spec becomes a plan: expanded, evaluated, resolved, checked. Nothing is allocated."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from initcfg.errors import Code, SpecError, did_you_mean
from initcfg.plan.definitions import NameCheck, check_definitions
from initcfg.plan.expand import MAX_PARAMETERS, Budget, scopes_of
from initcfg.plan.parameters import PlannedParameter
from initcfg.plan.plan import Plan
from initcfg.plan.problems import EnoughProblemsError, Problems
from initcfg.plan.scope import scope_of
from initcfg.plan.templates import ParameterTemplate, Tie
from initcfg.spec import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.spec import Param, Spec

__all__ = ["plan_of", "plan_reading"]

Planned = dict[str, PlannedParameter | Tie]


def plan_of(spec: Spec) -> Plan:
    """Plan every parameter of a spec: top-level ``params`` first, then layer by layer, copy by copy.

    Raises:
        SpecError: with every problem that could be found.
    """
    return plan_reading(Reading(spec))


def plan_reading(reading: Reading) -> Plan:
    """As `plan_of`, for a document that may have problems already; what is left of it is looked at as well.

    Raises:
        SpecError: with the problems of reading and of planning.
    """
    spec = reading.spec
    if spec is None:
        raise SpecError(*reading.problems)
    problems = Problems(spec, reading.problems)
    planned: Planned = {}
    parameters: tuple[PlannedParameter, ...] = ()
    with suppress(EnoughProblemsError):
        scope = scope_of(spec, problems, _names(reading, "vars"))
        for template, copy in _occurrences(spec, scope, reading):
            with problems.collecting():
                _add(template.plan(copy), template.path, planned, problems)
        parameters = tuple(_untied(planned, problems, complete=not reading.left_out))
    problems.raise_any()
    return Plan(spec.name, spec.seed, parameters, spec.stream_version)


def _names(reading: Reading, group: str) -> frozenset[str]:
    """The entries of a group that were left out."""
    return frozenset(entry[1] for entry in reading.left_out if entry[0] == group and len(entry) == 2)


def _occurrences(spec: Spec, scope: Scope, reading: Reading) -> Iterator[tuple[ParameterTemplate, Scope]]:
    """Every parameter to plan, with the scope of its copy of the layer."""
    definitions = check_definitions(spec, scope, _names(reading, "initializers"))
    budget = Budget(MAX_PARAMETERS - len(spec.params))
    check = NameCheck(spec, scope, (), definitions)
    for template in _templates(spec, check, "", spec.params, ("params",)):
        yield template, scope
    for layer_name, layer in spec.layers.items():
        path = ("layers", layer_name)
        if layer.repeat:
            check = NameCheck(spec, scope, layer.repeat, definitions)
        prefix = f"{layer_name}."
        templates = _templates(spec, check, prefix, layer.params, (*path, "params"))
        with scope.problems.collecting():
            for copy in scopes_of(layer, path, scope, budget):
                for template in templates:
                    yield template, copy


def _templates(
    spec: Spec, check: NameCheck, prefix: str, params: Mapping[str, Param], path: Path
) -> list[ParameterTemplate]:
    """The entries of a layer; an initializer is looked through here, so that no wrong shape can hide it."""
    templates = []
    for key, param in params.items():
        template = ParameterTemplate(spec, check.definitions.broken, prefix, key, param, (*path, key))
        if param.initializer is not None:
            place = (*path, key, "initializer")
            check(param.initializer, place)
            template.is_usable = check.is_buildable(param.initializer, place)
        templates.append(template)
    return templates


def _add(parameter: PlannedParameter | Tie, path: Path, planned: Planned, problems: Problems) -> None:
    if parameter.name not in planned:
        planned[parameter.name] = parameter
        return
    first = planned[parameter.name].where
    message = f"two parameters have the full name {parameter.name!r}"
    hint = f"the other one stands at {first}"
    if first == parameter.where:
        hint = "put every index of the repeat into the name, as h.{i}"
    raise problems.error(Code.DUPLICATE_PARAMETER, message, path, key=True, hint=hint)


def _untied(planned: Planned, problems: Problems, *, complete: bool) -> Iterator[PlannedParameter]:
    """The planned parameters, each tie replaced by what its target is.

    Where a part of the document could not be read, a target that is missing may stand there.
    """
    for parameter in planned.values():
        if isinstance(parameter, PlannedParameter):
            yield parameter
            continue
        if complete or parameter.target in planned:
            with problems.collecting():
                yield _tied(parameter, planned, problems)


def _tied(tie: Tie, planned: Planned, problems: Problems) -> PlannedParameter:
    """The parameter that a tie makes of its target.

    Raises:
        SpecError: there is no such target, it is tied itself, or has another shape or dtype (code ``tied``).
    """
    target = planned.get(tie.target)
    path = (*tie.path, "tied_to")
    if target is None:
        hint = did_you_mean(tie.target, planned)
        message = f"{tie.name!r} is tied to {tie.target!r}, which is no parameter"
        raise problems.error(Code.TIED, message, path, hint=hint)
    if isinstance(target, Tie):
        message = f"{tie.name!r} is tied to {tie.target!r}, which is tied itself"
        hint = f"tie it to {target.target!r}"
        if target.target in (tie.name, tie.target):
            hint = "in a circle of ties one parameter needs an initializer"
        raise problems.error(Code.TIED, message, path, hint=hint)
    if (target.shape, target.dtype) != (tie.form.shape, tie.form.dtype):
        mine, other = f"{tie.form.shape} {tie.form.dtype}", f"{target.shape} {target.dtype}"
        message = f"{tie.name!r} is {mine} and cannot share the array of {tie.target!r}, which is {other}"
        raise problems.error(Code.TIED, message, path, hint="tied parameters have one shape and one dtype")
    return replace(target, name=tie.name, tied_to=tie.target, where=tie.where)
