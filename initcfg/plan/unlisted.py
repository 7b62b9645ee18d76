"""Parameters that only the manifest names: the rules alone say how they begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.dtypes import as_dtype
from initcfg.errors import Code, Diagnostic, InitializerError, Location, SpecError
from initcfg.plan.names import name_problem
from initcfg.plan.parameters import SkippedParameter, planned_parameter
from initcfg.plan.problems import BrokenError
from initcfg.plan.rules import Asked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initcfg.manifest import ManifestEntry
    from initcfg.plan.problems import Problems
    from initcfg.plan.templates import Entry, Ground


def unlisted_parameters(ground: Ground, problems: Problems) -> Iterator[Entry]:
    """The parameters of the manifest, in its order, each as the first rule that matches it says.

    Buffers that no rule reaches are skipped without one: they stay as the model has them.

    Args:
        ground: with a manifest.
        problems: takes what is wrong with single parameters.
    """
    if ground.manifest is None:
        return
    places = [ground.spec.locate(("rules", at, "match")) for at in range(len(ground.spec.rules))]
    for name, entry in ground.manifest.entries.items():
        try:
            yield _planned(ground, name, entry, places)
        except SpecError as error:
            problems.add(error)


def _planned(ground: Ground, name: str, entry: ManifestEntry, places: list[Location]) -> Entry:
    winner = ground.rules.buffer_winner if entry.buffer else ground.rules.winner
    at = winner(name, len(entry.shape))
    if at is None and entry.buffer:
        return SkippedParameter(name, None, entry.where)
    if at is None:
        if not ground.rules_complete:
            raise BrokenError
        hint = ground.rules.missing_hint(name, len(entry.shape))
        raise _refused(Code.NO_INITIALIZER, f"no rule says how {name!r} begins", ground, entry, hint)
    rule = ground.spec.rules[at]
    if rule.skip:
        return SkippedParameter(name, rule.match, places[at])
    _check(ground, name, entry)
    form, law = ground.rules.resolve(at, Asked(name, entry.shape, entry.dtype))
    stream_name = ground.rules.stream_name(at, name)
    return planned_parameter(
        form,
        law,
        name=name,
        stream=law.stream or ground.stream(stream_name),
        stream_name=stream_name,
        where=places[at],
        rule=rule.match,
    )


def _check(ground: Ground, name: str, entry: ManifestEntry) -> None:
    """Refuses a name or a dtype that a plan cannot hold."""
    problem = name_problem(name)
    if problem is not None:
        raise _refused(*problem, ground, entry, "rename the parameter in the model, or skip it by a rule")
    if entry.dtype is not None:
        try:
            as_dtype(entry.dtype)
        except InitializerError as error:
            where = _where(ground, entry)
            raise SpecError(*(each.at(where) for each in error.diagnostics)) from None


def _where(ground: Ground, entry: ManifestEntry) -> Location:
    return entry.where or ground.spec.locate(("manifest",))


def _refused(code: Code, message: str, ground: Ground, entry: ManifestEntry, hint: str) -> SpecError:
    return SpecError(Diagnostic(code, message, _where(ground, entry), hint))
