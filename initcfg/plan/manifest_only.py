"""A manifest and its spec: each covers the other, or the rules decide for what only the manifest names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initcfg.dtypes import as_dtype
from initcfg.errors import Code, Diagnostic, InitializerError, Location, SpecError, did_you_mean
from initcfg.plan.parameters import SkippedParameter, name_problem, planned_parameter
from initcfg.plan.problems import BrokenError
from initcfg.plan.rules import Asked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initcfg.manifest import Manifest, ManifestEntry
    from initcfg.plan.problems import Problems
    from initcfg.plan.templates import Entry, Ground
    from initcfg.spec import Spec


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


#: For each name where it is written, its shape (None for one that a rule skips), and what it is tied to.
Described = tuple[Location | None, tuple[int, ...] | None, str | None]


def check_coverage(
    spec: Spec, manifest: Manifest, described: Mapping[str, Described], problems: Problems
) -> None:
    """Notes parameters that only one of the two has, and shapes that differ.

    Tied parameters are one array, and a file may hold it under any one of their names: those of its names
    that the manifest lacks are no fault as long as it has one.
    """
    complete = problems.is_clean
    held = {group for name, group in _groups(described) if name in manifest.entries}
    for name, group in _groups(described):
        entry = manifest.entries.get(name)
        if entry is not None:
            _check_shape(spec, manifest, name, entry, described[name], problems)
        elif group not in held:
            hint = did_you_mean(name, manifest.entries) or _of(manifest)
            message = f"the manifest has no parameter {name!r}"
            problems.add(SpecError(Diagnostic(Code.NOT_IN_MANIFEST, message, described[name][0], hint)))
    if not complete:
        # What is not described may be what could not be read or expanded.
        return
    for name, entry in manifest.entries.items():
        # A buffer may be left as the model has it.
        if name not in described and not entry.buffer:
            _missing(spec, name, entry, described, problems)


def _groups(described: Mapping[str, Described]) -> Iterator[tuple[str, str]]:
    """Each name, with the one name of all that share its array."""
    return ((name, tied_to or name) for name, (_, _, tied_to) in described.items())


def _check_shape(  # noqa: PLR0917
    spec: Spec,
    manifest: Manifest,
    name: str,
    entry: ManifestEntry,
    described: Described,
    problems: Problems,
) -> None:
    where, shape, _ = described
    if shape is None or shape == entry.shape:
        return
    message = f"{name!r} has shape {shape} here and {entry.shape} in the manifest"
    hint = f"the manifest says so at {entry.where}" if entry.where else _of(manifest)
    if shape == entry.shape[::-1]:
        hint += "; the axes are the other way round"
    place = spec.locate((*where.path, "shape") if where else ())
    problems.add(SpecError(Diagnostic(Code.SHAPE_MISMATCH, message, place, hint)))


def _of(manifest: Manifest) -> str:
    if manifest.file is None:
        return "the manifest was given by the program: its names and shapes are those of its model"
    return f"the manifest is {manifest.file}"


def _missing(
    spec: Spec, name: str, entry: ManifestEntry, described: Mapping[str, Described], problems: Problems
) -> None:
    message = f"the manifest has a parameter {name!r}, which neither layers nor params describe"
    hint = did_you_mean(name, described) or "describe it, or remove layers and params and plan by rules alone"
    where = entry.where or spec.locate(("manifest",))
    problems.add(SpecError(Diagnostic(Code.NOT_IN_SPEC, message, where, hint)))
