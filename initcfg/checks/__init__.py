"""What a plan holds that was perhaps not meant: one small function a warning, and one table of them."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from initcfg.checks import laws, precision
from initcfg.checks.expressions import integer_expressions, vector_fans
from initcfg.checks.survey import Check, for_each_piece, survey
from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.globs import GlobSet
from initcfg.plan.rules import NO_PARAMETERS
from initcfg.plan.scope import MATCHING, EvalBudget, SpentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from initcfg.checks.survey import Finding
    from initcfg.plan import Plan, PlannedParameter
    from initcfg.spec import Allow, Spec

__all__ = ["CHECKS", "check_plan"]


_NUMBER = "[0-9]+"


class Permissions:
    """The entries of ``allow``, and which of them silenced something; `spec` gives their places."""

    def __init__(self, entries: Sequence[Allow], spec: Spec | None, budget: EvalBudget) -> None:
        self._entries = entries
        self._spec = spec
        self._budget = budget
        self._of: dict[str, list[int]] = {}
        for at, entry in enumerate(entries):
            self._of.setdefault(entry.code, []).append(at)
        self._globs = {
            code: GlobSet((entries[at].match, None) for at in mine) for code, mine in self._of.items()
        }
        self._used: set[int] = set()

    def unallowed(self, code: Code, members: tuple[PlannedParameter, ...]) -> Iterable[PlannedParameter]:
        """The parameters that no entry allows a warning for; each entry that allows one counts as used."""
        mine = self._of.get(code)
        if mine is None:
            return members
        left = []
        globs = self._globs[code]
        for member in members:
            before = globs.work
            allowing = globs.every(member.name)
            self._budget.spend(MATCHING * (globs.work - before))
            self._used.update(mine[at] for at in allowing)
            if not allowing:
                left.append(member)
        return left

    def unused(self) -> list[Diagnostic]:
        """A warning for each entry that silenced nothing; a note, where another file wrote it for its own.

        Without the spec its expressions were not looked at, so that nothing is known of what is about them.
        """
        return [
            self._unused(at)
            for at, entry in enumerate(self._entries)
            if at not in self._used and (self._spec is not None or entry.code not in _OF_EXPRESSIONS)
        ]

    def _unused(self, at: int) -> Diagnostic:
        entry, path, spec = self._entries[at], ("allow", at), self._spec
        return Diagnostic(
            Code.UNUSED_ALLOW,
            f"this silences nothing: no parameter that {entry.match!r} matches has the warning {entry.code}",
            Location(path=path) if spec is None else spec.locate(path),
            hint="remove it, or mend 'match'",
            severity="note" if spec is not None and spec.is_inherited(path) else "warning",
        )


class WarningCollector:
    """The warnings, each once a place, however many copies of a layer have it."""

    def __init__(self) -> None:
        self._first: dict[tuple[Code, object], tuple[Finding, PlannedParameter]] = {}
        self._counts: Counter[tuple[Code, object]] = Counter()
        self._places: dict[int, object] = {}

    def add(self, code: Code, finding: Finding, members: Iterable[PlannedParameter]) -> None:
        """Notes that `members` have what was found."""
        for member in members:
            key = (code, self._place(finding.where, member))
            self._first.setdefault(key, (finding, member))
            self._counts[key] += 1

    def diagnostics(self) -> list[Diagnostic]:
        """The warnings, in the order of their places."""
        made = []
        for key, (finding, first) in self._first.items():
            others = f" and {self._counts[key] - 1:,} more like it" if self._counts[key] > 1 else ""
            (text, hint), where = finding.complaint, finding.where or first.where
            message = f"{finding.piece.name_in(first)}{others}: {text}"
            made.append(Diagnostic(key[0], message, where, hint, "warning"))
        # By place, whichever file it is in.
        return sorted(
            made,
            key=lambda each: ((each.where.line or 0), (each.where.column or 0)) if each.where else (0, 0),
        )

    def _place(self, where: Location | None, member: PlannedParameter) -> object:
        """What warnings that become one have in common: the entry of the spec, or the name without numbers.

        A rule has many entries' parameters, and a plan that was read back may have no places.
        """
        where = where or member.where
        if where is None or member.rule is not None:
            return re.sub(_NUMBER, "0", member.name)
        # Copies of a layer have one location, and to hash it takes as long as everything else here.
        if id(where) not in self._places:
            self._places[id(where)] = (where.file, where.line, where.column, where.path)
        return self._places[id(where)]


_OF_EXPRESSIONS = (Code.VECTOR_FANS, Code.INTEGER_EXPRESSION)

# CONTRIBUTING.md says what else a new warning takes.
CHECKS: dict[Code, Check] = {
    Code.IDENTICAL_VALUES: laws.identical_values,
    Code.VECTOR_SCALING: for_each_piece(laws.vector_scaling),
    Code.VECTOR_FANS: vector_fans,
    Code.UNUSUAL_VARIANCE: for_each_piece(laws.unusual_variance),
    Code.IDLE_TRUNCATION: for_each_piece(laws.idle_truncation),
    Code.RANDOM_BIAS: laws.random_biases,
    Code.DTYPE_UNDERFLOW: for_each_piece(precision.dtype_underflow),
    Code.DTYPE_RESOLUTION: for_each_piece(precision.dtype_resolution),
    Code.LARGE_RECEPTIVE_FIELD: for_each_piece(laws.large_receptive_field),
    Code.INTEGER_EXPRESSION: integer_expressions,
}


def check_plan(plan: Plan, allow: Sequence[Allow] = (), spec: Spec | None = None) -> tuple[Diagnostic, ...]:
    """Warnings about a plan that can be made, and is perhaps not what was meant; no array is made.

    `spec` gives `allow` its places, and the expressions that some checks look at.
    """
    budget = EvalBudget(what="to check this plan")
    permissions, collected = Permissions(allow, spec, budget), WarningCollector()
    try:
        surveyed = survey(plan, spec, budget)
        for code, check in CHECKS.items():
            for finding in check(surveyed):
                collected.add(code, finding, permissions.unallowed(code, finding.members))
    except SpentError as error:
        where = spec.locate(()) if spec is not None else None
        raise SpecError(Diagnostic(error.code, error.message, where, error.hint)) from None
    return (*_no_elements(plan, spec), *collected.diagnostics(), *permissions.unused())


def _no_elements(plan: Plan, spec: Spec | None) -> Iterator[Diagnostic]:
    if plan.numel == 0:
        why, hint = "it has no parameters", NO_PARAMETERS
        if len(plan):
            why, hint = "every shape holds a 0", "mend the shapes, or the vars that they use"
        where = None if spec is None else spec.locate(())
        yield Diagnostic(Code.NO_ELEMENTS, f"the plan makes no weights: {why}", where, hint, "warning")
