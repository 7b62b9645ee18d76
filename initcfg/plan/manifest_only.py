"""A manifest and its spec: each covers the other, or the rules decide for what only the manifest names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.dtypes import as_dtype
from initcfg.errors import Code, Diagnostic, InitializerError, Location, SpecError
from initcfg.names import NearestNames
from initcfg.plan.parameters import SkippedParameter, Tie, name_problem
from initcfg.plan.problems import BrokenError
from initcfg.plan.scope import LONG_NAME, PARAMETER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initcfg.manifest import Manifest, ManifestEntry
    from initcfg.plan.instantiate import PlanContext
    from initcfg.plan.parameters import Entry
    from initcfg.plan.problems import Problems
    from initcfg.plan.rules import Rules
    from initcfg.spec import Spec


def manifest_only_parameters(context: PlanContext, rules: Rules, manifest: Manifest) -> Iterator[Entry]:
    """The parameters of the manifest, in its order, each as the first rule that matches it says.

    Buffers that no rule reaches are skipped without one: they stay as the model has them.
    """
    places = [context.spec.locate(("rules", at, "match")) for at in range(len(context.spec.rules))]
    for name, entry in manifest.entries.items():
        try:
            context.scope.pay(PARAMETER + len(name) // LONG_NAME, ("manifest",))
            yield _planned(context, rules, name, entry, places)
        except SpecError as error:
            context.scope.problems.add(error)


def _planned(
    context: PlanContext, rules: Rules, name: str, entry: ManifestEntry, places: list[Location]
) -> Entry:
    winner = rules.buffer_winner if entry.buffer else rules.winner
    at = winner(name, len(entry.shape))
    if at is None and entry.buffer:
        return SkippedParameter(name, None, entry.where)
    if at is None:
        if not context.rules_complete:
            raise BrokenError
        hint = rules.missing_hint(name, len(entry.shape))
        raise _refused(Code.NO_INITIALIZER, f"no rule says how {name!r} begins", context, entry, hint)
    rule = context.spec.rules[at]
    if rule.skip:
        return SkippedParameter(name, rule.match, places[at])
    _check(context, name, entry)
    return rules.planned(at, name, entry.shape, entry.dtype, places[at])


def _check(context: PlanContext, name: str, entry: ManifestEntry) -> None:
    """Refuses a name or a dtype that a plan cannot hold."""
    problem = name_problem(name)
    if problem is not None:
        raise _refused(*problem, context, entry, "rename the parameter in the model, or skip it by a rule")
    if entry.dtype is not None:
        try:
            as_dtype(entry.dtype)
        except InitializerError as error:
            where = _where(context, entry)
            raise SpecError(*(each.at(where) for each in error.diagnostics)) from None


def _where(context: PlanContext, entry: ManifestEntry) -> Location:
    return entry.where or context.spec.locate(("manifest",))


def _refused(code: Code, message: str, context: PlanContext, entry: ManifestEntry, hint: str) -> SpecError:
    return SpecError(Diagnostic(code, message, _where(context, entry), hint))


def check_coverage(
    spec: Spec, manifest: Manifest, described: Mapping[str, Entry], problems: Problems
) -> None:
    """Notes parameters that only one of the two has, and shapes that differ.

    Tied parameters are one array, and a file may hold it under any one of their names: those of its names
    that the manifest lacks are no fault as long as it has one.
    """
    complete = problems.is_clean
    arrays = {name: entry.target if isinstance(entry, Tie) else name for name, entry in described.items()}
    held = {array for name, array in arrays.items() if name in manifest.entries}
    near = NearestNames()
    for name, array in arrays.items():
        entry = manifest.entries.get(name)
        if entry is not None:
            _check_shape(spec, manifest, entry, described[name], problems)
        elif array not in held:
            hint = near.hint(name, manifest.entries) or _of(manifest)
            message = f"the manifest has no parameter {name!r}"
            found = Diagnostic(Code.NOT_IN_MANIFEST, message, described[name].where, hint)
            problems.add(SpecError(found))
    if not complete:
        # What is not described may be what could not be read or expanded.
        return
    for name, entry in manifest.entries.items():
        # A buffer may be left as the model has it.
        if name not in described and not entry.buffer:
            _missing(spec, name, entry, near.hint(name, described), problems)


def _check_shape(
    spec: Spec, manifest: Manifest, entry: ManifestEntry, described: Entry, problems: Problems
) -> None:
    if isinstance(described, SkippedParameter) or described.shape == entry.shape:
        return
    shape = described.shape
    message = f"{described.name!r} has shape {shape} here and {entry.shape} in the manifest"
    hint = f"the manifest says so at {entry.where}" if entry.where else _of(manifest)
    if shape == entry.shape[::-1]:
        hint += "; the axes are the other way round"
    place = spec.locate((*described.where.path, "shape") if described.where else ())
    problems.add(SpecError(Diagnostic(Code.SHAPE_MISMATCH, message, place, hint)))


def _of(manifest: Manifest) -> str:
    if manifest.file is None:
        return "the manifest was given by the program: its names and shapes are those of its model"
    return f"the manifest is {manifest.file}"


def _missing(spec: Spec, name: str, entry: ManifestEntry, near: str | None, problems: Problems) -> None:
    message = f"the manifest has a parameter {name!r}, which neither layers nor params describe"
    hint = near or "describe it, or remove layers and params and plan by rules alone"
    where = entry.where or spec.locate(("manifest",))
    problems.add(SpecError(Diagnostic(Code.NOT_IN_SPEC, message, where, hint)))
