"""A spec becomes a plan: expanded, evaluated, resolved, checked. Nothing is allocated."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from initcfg.errors import Code, Diagnostic, SpecError, did_you_mean
from initcfg.plan.definitions import NameCheck, check_definitions
from initcfg.plan.manifest_only import check_coverage, unlisted_parameters
from initcfg.plan.parameters import PlannedParameter, SkippedParameter
from initcfg.plan.plan import Plan
from initcfg.plan.problems import EnoughProblemsError, Problems
from initcfg.plan.rules import Rules, unused_rules
from initcfg.plan.scope import NameText, scope_of
from initcfg.plan.templates import MAX_PARAMETERS, Budget, Ground, ParameterTemplate, Tie, scopes_of
from initcfg.process import gc_paused
from initcfg.spec import read
from initcfg.stream import parameter_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from initcfg.plan.manifest_only import Described
    from initcfg.plan.problems import Path
    from initcfg.plan.scope import Scope
    from initcfg.plan.templates import Entry
    from initcfg.spec import Param, Reading, Spec


def plan_of(spec: Spec) -> Plan:
    """Plan every parameter of a spec: top-level ``params`` first, then layer by layer, copy by copy.

    What the spec names in ``extends`` and ``manifest`` is read. Parameters that only the manifest names come
    last, in its order.

    Raises:
        SpecError: with every problem that could be found.
    """
    return plan_reading(read(spec))


def plan_reading(reading: Reading) -> Plan:
    """As `plan_of`, for a document that may have problems already; what is left of it is looked at as well.

    Raises:
        SpecError: with the problems of reading and of planning.
    """
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
        planner.problems.notes,
        planner.spec,
    )


def check_base(reading: Reading) -> None:
    """Checks a document that says ``base: true``, as far as it can be without what extends it.

    Raises:
        SpecError: with the problems that no document over it can mend.
    """
    _planned(reading).problems.raise_any(but=_LEFT_TO_OTHERS)


# What a base may lack: parameters for its rules or of its manifest, a layout, vars, initializers.
_LEFT_TO_OTHERS = frozenset(
    {Code.UNUSED_RULE, Code.NOT_IN_SPEC, Code.LAYOUT_MISSING, Code.UNKNOWN_NAME, Code.NO_INITIALIZER}
)


def _planned(reading: Reading) -> _Planner:
    if reading.spec is None:
        raise SpecError(*reading.problems)
    planner = _Planner(reading, reading.spec, Problems(reading.spec, reading.problems))
    with gc_paused(), suppress(EnoughProblemsError):
        planner.plan()
    return planner


def _no_plan(spec: Spec) -> SpecError:
    file = spec.locate(()).file
    hint = f"write a document with extends: {file or 'FILE'}, and plan that; or remove 'base'"
    message = "this document is a base, which only others extend: it has no plan"
    return SpecError(Diagnostic(Code.BASE, message, spec.locate(("base",), key=True), hint))


@dataclass
class _Planner:
    """Collects the parameters of one document.

    Args:
        reading: the document.
        spec: what is left of it.
        problems: takes what is wrong.
        entries: what has been planned, by full name.
        others: those among them that are not simply parameters.
        parameters: the plan's, once all are known.
        failed: names of described parameters that had a problem; they are no entries.
        is_complete: whether the name of every parameter is known: others add to a base.
    """

    reading: Reading
    spec: Spec
    problems: Problems
    entries: dict[str, Entry] = field(default_factory=dict)
    others: list[Tie | SkippedParameter] = field(default_factory=list)
    parameters: tuple[PlannedParameter, ...] = ()
    failed: set[str] = field(default_factory=set)
    is_complete: bool = True

    def plan(self) -> None:
        scope = scope_of(self.spec, self.problems, self.left_out("vars"))
        definitions = check_definitions(self.spec, scope, self.left_out("initializers"))
        rules = Rules(self.spec, scope, definitions)
        rules.check()
        ground = Ground(
            self.spec,
            rules,
            not any(entry[0] == "rules" for entry in self.reading.left_out),
            self.reading.manifest,
            frozenset(self.spec.vars),
            parameter_streams(self.spec.seed),
        )
        self.is_complete = not (self.described_is_left_out or self.spec.base)
        self.add_described(ground, scope)
        if self.spec.layers or self.spec.params or self.described_is_left_out:
            self.check_coverage()
        else:
            for entry in unlisted_parameters(ground, self.problems):
                self.keep(entry)
        self.leave_buffers()
        self.parameters = self.untied()
        if self.problems.is_clean:
            buffers = [each.name for each in self.others if isinstance(each, SkippedParameter)]
            found = unused_rules(rules, self.meetings(), buffers, is_empty=not self.entries)
            self.problems.note(found)

    def leave_buffers(self) -> None:
        """Skips the buffers of the manifest that nothing plans, and notes them all at once."""
        manifest = self.reading.manifest
        if manifest is None:
            return
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

    @property
    def described_is_left_out(self) -> bool:
        """Whether layers or params could not be read."""
        return any(entry[0] in ("layers", "params") for entry in self.reading.left_out)

    def left_out(self, group: str) -> frozenset[str]:
        """The entries of a group that could not be read."""
        return frozenset(entry[1] for entry in self.reading.left_out if entry[0] == group and len(entry) == 2)

    def add_described(self, ground: Ground, scope: Scope) -> None:
        """Plans the parameters that the document itself describes."""
        budget = Budget(MAX_PARAMETERS - len(self.spec.params))
        check = NameCheck(self.spec, scope, (), ground.rules.definitions)
        self.add_copy(_templates(ground, check, self.spec.params, ("params",)), "", scope)
        for name, layer in self.spec.layers.items():
            path = ("layers", name)
            if layer.repeat:
                check = NameCheck(self.spec, scope, layer.repeat, ground.rules.definitions)
            templates = _templates(ground, check, layer.params, (*path, "params"))
            prefix = NameText(f"{name}.", path, ground.constant, key=True)
            try:
                for copy in self.watched(scopes_of(layer, path, scope, budget)):
                    self.add_layer(templates, prefix, copy)
            except SpecError as error:
                self.is_complete = False
                self.problems.add(error)

    def watched(self, copies: Iterator[Scope]) -> Iterator[Scope]:
        """The copies of a layer; where a repeat has a problem, some of their names are not known."""
        before = self.problems.count
        for copy in copies:
            self.is_complete &= self.problems.count == before
            yield copy
            before = self.problems.count
        self.is_complete &= self.problems.count == before

    def add_layer(self, templates: list[ParameterTemplate], prefix: NameText, scope: Scope) -> None:
        """Plans one copy of a layer."""
        try:
            begun = prefix.fill(scope) if templates else ""
        except SpecError as error:
            self.is_complete = False
            self.problems.add(error)
        else:
            self.add_copy(templates, begun, scope)

    def add_copy(self, templates: list[ParameterTemplate], prefix: str, scope: Scope) -> None:
        """Plans the parameters of one copy of a layer."""
        for template in templates:
            # No context manager: entering one a million times takes longer than what it guards.
            try:
                entry = template.plan(prefix, scope)
                if not self.keep(entry):
                    raise self.doubled(entry, template.path)
            except SpecError as error:
                self.miss(template, prefix, scope)
                self.problems.add(error)

    def miss(self, template: ParameterTemplate, prefix: str, scope: Scope) -> None:
        """Keeps the name of a parameter that had a problem: a tie to it is not wrong."""
        try:
            self.failed.add(template.name(prefix, scope))
        except SpecError:
            self.is_complete = False

    def keep(self, entry: Entry) -> bool:
        """Whether the entry's name is new; if so it is kept."""
        if self.entries.setdefault(entry.name, entry) is not entry:
            return False
        if not isinstance(entry, PlannedParameter):
            self.others.append(entry)
        return True

    def doubled(self, entry: Entry, path: Path) -> SpecError:
        first = self.entries[entry.name].where
        message = f"two parameters have the full name {entry.name!r}"
        hint = f"the other one stands at {first}"
        if first == entry.where:
            hint = "put every index of the repeat into the name, as h.{i}"
        return self.problems.error(Code.DUPLICATE_PARAMETER, message, path, key=True, hint=hint)

    def untied(self) -> tuple[PlannedParameter, ...]:
        """The parameters of the plan, each tie replaced by what its target is."""
        if not self.others:
            return cast("tuple[PlannedParameter, ...]", tuple(self.entries.values()))
        return tuple(
            untied(self.entries, self.problems, lambda name: self.is_complete and name not in self.failed)
        )

    def check_coverage(self) -> None:
        """Holds what the document describes against the manifest that it names."""
        if self.reading.manifest is not None:
            described = {name: _described(entry) for name, entry in self.entries.items()}
            check_coverage(self.spec, self.reading.manifest, described, self.problems)

    def meetings(self) -> Iterator[tuple[str, int, bool]]:
        """Of each parameter the name, how many axes it has, and whether a rule was wanted for it."""
        for entry in self.entries.values():
            if isinstance(entry, PlannedParameter):
                yield entry.name, len(entry.shape), entry.rule is not None
            elif isinstance(entry, Tie):
                yield entry.name, len(entry.form.shape), False


def _described(entry: Entry) -> Described:
    match entry:
        case SkippedParameter():
            return entry.where, None, None
        case Tie():
            return entry.where, entry.form.shape, entry.target
    return entry.where, entry.shape, None


def _templates(
    ground: Ground, check: NameCheck, params: Mapping[str, Param], path: Path
) -> list[ParameterTemplate]:
    """The entries of a layer; an initializer is looked through here, so that no wrong shape can hide it."""
    templates = []
    for key, param in params.items():
        is_usable = True
        if param.initializer is not None:
            place = (*path, key, "initializer")
            check(param.initializer, place)
            is_usable = check.is_buildable(param.initializer, place)
        templates.append(ParameterTemplate(ground, key, param, (*path, key), is_usable=is_usable))
    return templates


def untied(
    entries: Mapping[str, Entry], problems: Problems, is_missing: Callable[[str], bool]
) -> Iterator[PlannedParameter]:
    """The parameters among the entries, each tie replaced by what its target is.

    Args:
        entries: by full name.
        problems: takes ties that cannot be.
        is_missing: whether a name that is not among them is surely that of no parameter.
    """
    for entry in entries.values():
        if isinstance(entry, PlannedParameter):
            yield entry
        elif isinstance(entry, Tie) and (entry.target in entries or is_missing(entry.target)):
            try:
                yield _tied(entry, entries, problems)
            except SpecError as error:
                problems.add(error)


def _tied(tie: Tie, entries: Mapping[str, Entry], problems: Problems) -> PlannedParameter:
    """The parameter that a tie makes of its target.

    Raises:
        SpecError: there is no such target, it is tied itself, or has another shape or dtype (code ``tied``).
    """
    target = entries.get(tie.target)
    path = (*tie.path, "tied_to")
    if target is None:
        hint = did_you_mean(tie.target, entries)
        message = f"{tie.name!r} is tied to {tie.target!r}, which is no parameter"
        raise problems.error(Code.TIED, message, path, hint=hint)
    if isinstance(target, SkippedParameter):
        leaver = "no rule reaches" if target.rule is None else f"the rule {target.rule!r} leaves out"
        message = f"{tie.name!r} is tied to {tie.target!r}, which {leaver}"
        hint = f"give {tie.target!r} an initializer, or put a rule that does before that one"
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
