"""A spec becomes a plan: expanded, evaluated, resolved, checked. Nothing is allocated."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from initcfg.dtypes import as_dtype
from initcfg.errors import Code, Diagnostic, InitializerError, Location, SpecError
from initcfg.names import NearestNames
from initcfg.plan.definitions import check_definitions
from initcfg.plan.following import follow, lend, resolve_ties
from initcfg.plan.layers import Described
from initcfg.plan.parameters import Borrower, PlannedParameter, SkippedParameter, Tie, Wanted, name_problem
from initcfg.plan.plan import Plan
from initcfg.plan.problems import BrokenError, EnoughProblemsError, Problems
from initcfg.plan.resolve import PlanContext
from initcfg.plan.rules import Rules, unused_rules
from initcfg.plan.scope import LONG_NAME, PARAMETER, scope_of
from initcfg.process import gc_paused
from initcfg.spec import read
from initcfg.stream import parameter_streams
from initcfg.text.inputs import confined_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initcfg.manifest import Manifest, ManifestEntry
    from initcfg.plan.parameters import Entry
    from initcfg.spec import Reading, Spec


def plan_of(spec: Spec) -> Plan:
    """Plans every parameter of a spec: top-level ``params`` first, then layer by layer, copy by copy.

    Parameters that only the manifest names come last, in its order. A SpecError has every problem.
    """
    return plan_reading(read(spec))


def plan_reading(reading: Reading) -> Plan:
    """As `plan_of`, for a document that may have problems already; the rest of it is looked at."""
    spec = reading.spec
    if spec is not None and spec.base:
        check_base(reading)
        raise _no_plan(spec)
    planner = _planned(reading)
    planner.problems.raise_any()
    return Plan(
        planner.spec.name,
        planner.spec.seed,
        planner.parameters,
        planner.spec.stream_version,
        tuple(entry for entry in planner.others if isinstance(entry, SkippedParameter)),
        tuple(planner.problems.notes),
        planner.spec,
    )


def check_base(reading: Reading) -> None:
    """Checks a document that says ``base: true``, as far as it can be without what extends it."""
    _planned(reading).problems.raise_any(but=_LEFT_TO_OTHERS)


# What a base may lack: parameters for its rules or of its manifest, a layout, vars, initializers.
_LEFT_TO_OTHERS = frozenset(
    {Code.UNUSED_RULE, Code.NOT_IN_SPEC, Code.LAYOUT_MISSING, Code.UNKNOWN_NAME, Code.NO_INITIALIZER}
)


def _planned(reading: Reading) -> _Planner:
    if reading.spec is None:
        raise SpecError(*reading.problems)
    planner = _Planner(reading, reading.spec)
    # What initializers read is held in the root, too.
    confined = confined_to(reading.root.folder) if reading.root else nullcontext()
    with gc_paused(), confined, suppress(EnoughProblemsError):
        planner.plan()
    return planner


def _no_plan(spec: Spec) -> SpecError:
    file = spec.locate(()).file
    hint = f"write a document with extends: {file or 'FILE'}, and plan that; or remove 'base'"
    message = "this document is a base, which only others extend: it has no plan"
    return SpecError(Diagnostic(Code.BASE, message, spec.locate(("base",), key=True), hint))


class _Planner:
    """Collects the parameters of one document, of which `spec` is left."""

    def __init__(self, reading: Reading, spec: Spec) -> None:
        self.reading, self.spec, self.problems = reading, spec, Problems(spec, reading.problems)
        self.entries: dict[str, Entry] = {}  # what has been planned, by full name
        self.others: list[Tie | SkippedParameter] = []
        self.borrowers: list[Borrower] = []
        self.parameters: tuple[PlannedParameter, ...] = ()  # once all are known

    def plan(self) -> None:
        spec, manifest = self.spec, self.reading.manifest
        scope = scope_of(spec, self.problems, self.left_out("vars"))
        definitions = check_definitions(spec, scope, self.left_out("initializers"))
        rules_complete = not any(entry[0] == "rules" for entry in self.reading.left_out)
        stream = parameter_streams(spec.seed)
        context = PlanContext(self.reading, spec, scope, definitions, manifest, rules_complete, stream, [])
        rules = Rules(context)
        rules.check()
        is_left_out = any(entry[0] in ("layers", "params") for entry in self.reading.left_out)
        described = Described(context, rules)
        for entry in described:
            self.keep(entry)
        if manifest is not None:
            if spec.layers or spec.params or is_left_out:
                check_coverage(spec, manifest, self.entries, self.problems)
            else:
                for entry in manifest_only_parameters(context, rules, manifest):
                    self.keep(entry)
            self.leave_buffers(manifest)
        # Others add to a base.
        is_complete = described.is_complete and not is_left_out and not spec.base

        def is_missing(name: str) -> bool:
            return is_complete and name not in described.failed

        if self.borrowers:
            lent = {each.name: each for each in lend(self.borrowers, self.entries, self.problems, is_missing)}
            self.entries |= lent
            for name in {each.name for each in self.borrowers} - lent.keys():
                del self.entries[name]
                described.failed.add(name)
        self.parameters = cast("tuple[PlannedParameter, ...]", tuple(self.entries.values()))
        if self.others:
            self.parameters = tuple(resolve_ties(self.entries, self.problems, is_missing))
        if context.followers:
            by_name = {parameter.name: parameter for parameter in self.parameters}
            left_out = {each.name for each in self.others if isinstance(each, SkippedParameter)}
            for follower, wrong in follow(context.followers, by_name, is_missing, left_out):
                self.problems.note([replace(wrong, where=spec.locate(follower.path))])
        if self.problems.is_clean:
            buffers = [each.name for each in self.others if isinstance(each, SkippedParameter)]
            found = unused_rules(rules, self.meetings(), buffers, is_empty=not self.entries)
            self.problems.note(found)

    def left_out(self, group: str) -> frozenset[str]:
        """The entries of a group that could not be read."""
        return frozenset(entry[1] for entry in self.reading.left_out if entry[0] == group and len(entry) == 2)

    def keep(self, entry: Entry) -> None:
        """Takes an entry; notes one whose name is taken."""
        first = self.entries.setdefault(entry.name, entry)
        if first is not entry:
            message = f"two parameters have the full name {entry.name!r}"
            hint = f"the other one stands at {first.where}"
            if first.where == entry.where:
                hint = "put every index of the repeat into the name, as h.{i}"
            self.problems.note([Diagnostic(Code.DUPLICATE_PARAMETER, message, entry.where, hint)])
        elif isinstance(entry, Borrower):
            self.borrowers.append(entry)
        elif not isinstance(entry, PlannedParameter):
            self.others.append(entry)

    def leave_buffers(self, manifest: Manifest) -> None:
        """Skips the buffers of the manifest that nothing plans, and notes them all at once."""
        for name, entry in manifest.entries.items():
            if entry.buffer and name not in self.entries:
                self.keep(SkippedParameter(name, None, entry.where))
        left = [each.name for each in self.others if isinstance(each, SkippedParameter) and each.rule is None]
        if left:
            leaf = left[0].rpartition(".")[2]
            those = "1 buffer is" if len(left) == 1 else f"{len(left):,} buffers are"
            message = f"{those} left as the model has them, such as {left[0]!r}"
            hint = f'a rule that ends in its name makes a buffer: - {{match: "**.{leaf}", initializer: NAME}}'
            note = Diagnostic(Code.NOT_IN_SPEC, message, self.spec.locate(("manifest",)), hint, "note")
            self.problems.note([note])

    def meetings(self) -> Iterator[tuple[str, int, bool]]:
        """Of each parameter the name, how many axes it has, and whether a rule was wanted for it."""
        for entry in self.entries.values():
            if not isinstance(entry, SkippedParameter):
                yield entry.name, len(entry.shape), getattr(entry, "rule", None) is not None


def manifest_only_parameters(context: PlanContext, rules: Rules, manifest: Manifest) -> Iterator[Entry]:
    """The parameters of the manifest, in its order, each as the first rule that matches it says.

    Buffers that no rule reaches are skipped without one: they stay as the model has them.
    """
    places = [context.spec.locate(("rules", at, "match")) for at in range(len(context.spec.rules))]
    for name, entry in manifest.entries.items():
        try:
            context.scope.pay(PARAMETER + len(name) // LONG_NAME, ("manifest",))
            yield _from_manifest(context, rules, name, entry, places)
        except SpecError as error:
            context.scope.problems.add(error)


def _from_manifest(
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
        raise _refused(Code.NO_INITIALIZER, f"no rule initializes {name!r}", context, entry, hint)
    rule = context.spec.rules[at]
    if rule.skip:
        return SkippedParameter(name, rule.match, places[at])
    _check(context, name, entry)
    return rules.plan(at, Wanted(name, entry.shape, places[at]), entry.dtype)


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

    Tied parameters are one array, which a file may hold under any one of their names.
    """
    complete = problems.is_clean
    arrays = {name: entry.target if isinstance(entry, Tie) else name for name, entry in described.items()}
    held = {array for name, array in arrays.items() if name in manifest.entries}
    near = NearestNames()
    only_there = dict.fromkeys(name for name in manifest.entries if name not in described)
    only_here = dict.fromkeys(name for name in described if name not in manifest.entries)
    for name, array in arrays.items():
        entry = manifest.entries.get(name)
        if entry is not None:
            _check_shape(spec, manifest, entry, described[name], problems)
        elif array not in held:
            hint = near.hint(name, only_there) or _of(manifest)
            message = f"the manifest has no parameter {name!r}"
            found = Diagnostic(Code.NOT_IN_MANIFEST, message, described[name].where, hint)
            problems.add(SpecError(found))
    if not complete:
        # What is not described may be what could not be read or expanded.
        return
    for name in only_there:
        entry = manifest.entries[name]
        if not entry.buffer:  # one may be left as the model has it
            message = f"the manifest has a parameter {name!r}, which neither layers nor params describe"
            way_out = "describe it, or remove layers and params and plan by rules alone"
            hint = near.hint(name, only_here) or way_out
            where = entry.where or spec.locate(("manifest",))
            problems.add(SpecError.of(Code.NOT_IN_SPEC, message, hint, where))


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
