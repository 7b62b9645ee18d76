"""The rules of a document: which one decides for a parameter, and why some decide for none."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from initcfg.errors import Code, Diagnostic, SpecError
from initcfg.expressions import Template
from initcfg.globs import Glob, GlobSet, deepened
from initcfg.names import nearest
from initcfg.plan.definitions import NameCheck
from initcfg.plan.problems import about
from initcfg.plan.resolve import Resolver
from initcfg.plan.scope import LONG_NAME, MATCHING, NameText
from initcfg.process import cached_property

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from initcfg.errors import Path
    from initcfg.expressions import Value
    from initcfg.plan.parameters import Borrower, PlannedParameter, Wanted
    from initcfg.plan.resolve import PlanContext
    from initcfg.plan.scope import Scope
    from initcfg.spec import Param

#: A text is compared with so many patterns, in wording an error.
_COMPARED = 400
# A pattern is tried on so many names.
_SEARCHED = 10_000


# Marks of a regular expression that no name has and no glob needs.
_REGEX = r"^\^|^re:|^\.\*|\\|\.\+|\$$"
_BRACED = r"\{([A-Za-z_]\w*)\}"


class Rules:
    """The rules of a document, checked, all of their patterns matched at once."""

    def __init__(self, context: PlanContext) -> None:
        self.context, self.spec, self._scope = context, context.spec, context.scope
        self.won: set[int] = set()  # those that have won a parameter
        self._resolvers: dict[tuple[object, ...], tuple[Resolver, bool]] = {}
        self._names: dict[tuple[str, int], tuple[NameText, bool]] = {}
        self._paid = 0
        self._unusable: set[int] = set()
        self._capturing: dict[int, tuple[Scope, dict[str, Value]]] = {}

    def check(self) -> None:
        """Notes what is wrong with the rules, whether they win anything or not."""
        plain = NameCheck(self.spec, self._scope, (), self.context.definitions)
        for at, rule in enumerate(self.spec.rules):
            path: Path = ("rules", at)
            captures = self.globs.globs[at].captures
            for name in captures:
                with self._scope.problems.collecting():
                    offset = rule.match.index(f"{{{name}}}") + 1
                    self._scope.check_name(name, (*path, "match"), offset)
            if rule.initializer is not None:
                place = (*path, "initializer")
                check = plain
                if captures:
                    check = NameCheck(self.spec, self._scope, captures, self.context.definitions)
                check(rule.initializer, place)
                if not check.is_buildable(rule.initializer, place):
                    self._unusable.add(at)
            for key, written in (("stream", rule.stream), ("fans_of", rule.fans_of)):
                if written is not None:
                    self._add_name(key, at, written, captures)

    def _add_name(self, key: str, at: int, written: str, captures: tuple[str, ...]) -> None:
        """Keeps a name that a rule gives, and whether it uses a capture; notes names that nothing has."""
        path: Path = ("rules", at, key)
        names = Template.parse(written).names
        self._names[key, at] = NameText(written, path, self.spec.vars), not names.isdisjoint(captures)
        if names <= {*self._scope.values, *self._scope.broken, *captures}:
            return
        self._unusable.add(at)
        try:
            # Evaluating words the error; captures stand for 1 meanwhile.
            self._scope.extended(dict.fromkeys(captures, 1)).text(Template.parse(written), path)
        except SpecError as error:
            self._scope.problems.add(SpecError(*map(_with_capture_hint, error.diagnostics)))

    @cached_property
    def globs(self) -> GlobSet:
        """The patterns of the rules, in their order."""
        return GlobSet((rule.match, rule.ndim) for rule in self.spec.rules)

    def winner(self, name: str, ndim: int) -> int | None:
        """The first rule that matches a parameter; from now on it is one that has won."""
        at = self.globs.first(name, ndim)
        self._pay()
        if at is not None:
            self.won.add(at)
        return at

    def buffer_winner(self, name: str, ndim: int) -> int | None:
        """As `winner`, for a buffer: only a pattern whose last segment has no wildcard reaches one."""
        for at in self.every(name):
            if self.globs.globs[at].ends_in_a_name and self.spec.rules[at].ndim in (None, ndim):
                self.won.add(at)
                return at
        return None

    def every(self, name: str) -> tuple[int, ...]:
        """All rules whose patterns match a name."""
        found = self.globs.every(name)
        self._pay()
        return found

    def _pay(self) -> None:
        """Pays for what matching has taken since it was last paid for."""
        done = self.globs.work
        if done > self._paid:
            self._scope.pay(MATCHING * (done - self._paid), ("rules",))
            self._paid = done

    def plan(
        self, at: int, wanted: Wanted, dtype: str | None, param: tuple[Param, Path] | None = None
    ) -> PlannedParameter | Borrower:
        """What a rule makes of a parameter; errors name it.

        `dtype` is the manifest's, and `param` the entry among layers or params with its place, if there is
        one.
        """
        name = wanted.name
        if wanted.stream_name is None and ("stream", at) in self._names:
            wanted = wanted._replace(stream_name=self._filled("stream", at, name) or None)
        if wanted.asked is None and ("fans_of", at) in self._names:
            asked = self._filled("fans_of", at, name), ("rules", at, "fans_of")
            wanted = wanted._replace(asked=asked)
        resolver, captures = self._resolver(at, dtype, param)
        return resolver.plan(wanted, self._captured(at, name) if captures else self._scope)

    def _filled(self, key: str, at: int, name: str) -> str:
        """A name that a rule gives a parameter."""
        text, captures = self._names[key, at]
        try:
            return text.fill(self._captured(at, name) if captures else self._scope)
        except SpecError as error:
            raise about(name, error) from None

    def _captured(self, at: int, name: str) -> Scope:
        """The document's scope with the numbers that a rule captures in a name.

        It is one scope for all names of a rule, whose numbers change: a spec may have thousands of vars.
        """
        glob = self.globs.globs[at]
        self._scope.pay(MATCHING * glob.work_of_numbers(name), ("rules", at, "match"))
        if at not in self._capturing:
            values = dict(self._scope.values)
            self._capturing[at] = self._scope._replace(values=values), values
        scope, values = self._capturing[at]
        values.update(glob.numbers(name))
        return scope

    def _resolver(
        self, at: int, dtype: str | None, param: tuple[Param, Path] | None
    ) -> tuple[Resolver, bool]:
        """The resolver for a rule and a parameter, and whether it depends on what the rule captures."""
        key = (at, dtype, None if param is None else param[1])
        if key not in self._resolvers:
            place: Path = ("rules", at)
            rule = self.spec.rules[at]
            shape_path = place if param is None else (*param[1], "shape")
            written = [each for each in (param, (rule, place)) if each is not None]
            is_usable = at not in self._unusable
            resolver = Resolver(self.context, shape_path, written, dtype, rule.match, is_usable=is_usable)
            captures = set(self.globs.globs[at].captures)
            self._resolvers[key] = resolver, not captures.isdisjoint(resolver.varying)
        return self._resolvers[key]

    def missing_hint(self, name: str, ndim: int) -> str:
        """The way out for a parameter that no rule matches."""
        for at in self.every(name):
            rule = self.spec.rules[at]
            return f"{rule.match!r} matches its name, but asks for ndim: {rule.ndim}, and it has {ndim}"
        for rule in self.spec.rules[:_COMPARED]:
            plain = re.sub(_BRACED, r"\1", rule.match)
            if plain != rule.match and Glob(plain).matches(name):
                braced = ", ".join(re.findall(_BRACED, rule.match))
                return f"in {rule.match!r} braces stand for a whole number: write {braced} without them"
        deeper = self.deeper.first(name, ndim)
        if deeper is not None:
            return self.deeper_hint(deeper, name)
        pattern = f"**.{name.rpartition('.')[2]}" if "." in name else name
        way = f'add a rule, as - {{match: "{pattern}", initializer: NAME}}'
        patterns = [rule.match for rule in self.spec.rules[:_COMPARED]]
        regex = next((each for each in patterns if re.search(_REGEX, each)), None)
        if regex is not None:
            return f"{way}; {regex!r} looks like a regular expression, and patterns are globs"
        near = nearest(name, patterns, cutoff=0.5) if len(name) <= LONG_NAME else None
        return f"{way}; {near} comes nearest and does not match" if near else way

    @cached_property
    def deeper(self) -> GlobSet:
        """The patterns of the rules with ``**`` in the place of ``*``, as those write who mean it."""
        return GlobSet((deepened(rule.match), rule.ndim) for rule in self.spec.rules[:_COMPARED])

    def deeper_hint(self, at: int, name: str) -> str:
        """The way out for a rule that matches a name only with ``**``."""
        pattern = self.spec.rules[at].match
        return f"* stays inside a segment: write {deepened(pattern)!r} for {pattern!r} to match {name!r}"


def _with_capture_hint(problem: Diagnostic) -> Diagnostic:
    """A problem of a name that a rule gives; the hint about an index of a repeat does not suit there."""
    if problem.code is not Code.UNKNOWN_NAME:
        return problem
    return replace(problem, hint="a name here uses vars and what 'match' captures, as {i} in 'h.{i}.**'")


Meeting = tuple[str, int, bool]

_NO_NAME = "no parameter has a name that it matches"
_WAY_OUT = "mend the pattern, or delete the rule; `initcfg plan` lists the names"
#: The way out where a document plans nothing.
NO_PARAMETERS = "name a manifest, or write layers or params; if only others extend this file, say base: true"


def unused_rules(
    rules: Rules, parameters: Iterable[Meeting], buffers: Sequence[str] = (), *, is_empty: bool = False
) -> Iterator[Diagnostic]:
    """A problem for each rule that has no effect; only a note where the rule is inherited.

    Of each parameter it takes the name, how many axes it has, and whether a rule was wanted for it; `buffers`
    are names that no rule may reach.
    """
    unused = [at for at in range(len(rules.spec.rules)) if at not in rules.won]
    if not unused:
        return
    meetings = list(parameters)
    reasons = {
        **_of_stars(rules, meetings[:_SEARCHED]),
        **_of_buffers(rules, set(unused), buffers),
        **_reasons(rules, set(unused), meetings),
    }
    usual = (_NO_NAME, _WAY_OUT)
    if is_empty:
        usual = ("there are no parameters", NO_PARAMETERS)
    for at in unused:
        rule = rules.spec.rules[at]
        found, hint = reasons.get(at) or (usual if is_empty else _of_captures(rules, at) or usual)
        message = f"the rule {rule.match!r} has no effect: {found}"
        where = rules.spec.locate(("rules", at, "match"))
        inherited = rules.spec.is_inherited(("rules", at))
        yield Diagnostic(Code.UNUSED_RULE, message, where, hint, "note" if inherited else "error")


def _reasons(rules: Rules, unused: set[int], parameters: Iterable[Meeting]) -> dict[int, tuple[str, str]]:
    """Why each rule that matches something has no effect; the first parameter that tells it best."""
    best: dict[int, tuple[int, str, str]] = {}
    seen: set[tuple[object, ...]] = set()
    waiting = set(unused)
    for name, ndim, wanted in parameters:
        matching = rules.every(name)
        if not waiting:
            break
        if (matching, ndim, wanted) in seen:
            continue
        seen.add((matching, ndim, wanted))
        for at in waiting.intersection(matching):
            reason = _reason(rules, at, name, ndim, wanted=wanted)
            if at not in best or reason[0] < best[at][0]:
                best[at] = reason
            if reason[0] == 0:
                waiting.discard(at)
    return {at: (found, hint) for at, (_, found, hint) in best.items()}


def _of_stars(rules: Rules, parameters: Sequence[Meeting]) -> dict[int, tuple[str, str]]:
    """Why rules match nothing whose stars were to go through several segments."""
    found: dict[int, tuple[str, str]] = {}
    for name, *_ in parameters:
        for at in rules.deeper.every(name):
            found.setdefault(at, (_NO_NAME, rules.deeper_hint(at, name)))
    return found


def _of_buffers(rules: Rules, unused: set[int], buffers: Sequence[str]) -> dict[int, tuple[str, str]]:
    """Why rules that match buffers alone do not win them, each told of the first."""
    waiting = {at for at in unused if not rules.globs.globs[at].ends_in_a_name}
    found: dict[int, tuple[str, str]] = {}
    for name in buffers:
        if not waiting:
            break
        for at in waiting.intersection(rules.every(name)):
            hint = f"write the last name out: a rule reaches a buffer as '**.{name.rpartition('.')[2]}' does"
            found[at] = (
                f"it matches buffers only, such as {name!r}, and its last segment has a wildcard",
                hint,
            )
            waiting.discard(at)
    return found


def _of_captures(rules: Rules, at: int) -> tuple[str, str] | None:
    """Why a rule matches nothing whose braces hold a word, as those around alternatives do in a shell."""
    word = next((name for name in rules.globs.globs[at].captures if len(name) > 1), None)
    if word is None:
        return None
    hint = f"write {word} without braces for a segment of that name; one of several is {{{word},NAME}}"
    return f"{_NO_NAME}; {{{word}}} stands for a whole number", hint


def _reason(rules: Rules, at: int, name: str, ndim: int, *, wanted: bool) -> tuple[int, str, str]:
    """Why a rule does not win what it matches; of two reasons the one with the lower number is told."""
    rule = rules.spec.rules[at]
    if rule.ndim not in (None, ndim):
        hint = "change 'ndim', or delete the rule"
        return (
            2,
            f"it asks for ndim: {rule.ndim}, and what it matches has others, as {name!r} has {ndim}",
            hint,
        )
    first = rules.globs.first(name, ndim)
    if not wanted or first is None:
        hint = "remove the initializers that the parameters name, or delete the rule"
        return 1, f"what it matches has initializers of its own, as {name!r} does", hint
    pattern, place = rules.spec.rules[first].match, rules.spec.locate(("rules", first, "match"))
    hint = "put the rule before that one, or delete it"
    return 0, f"{pattern!r}, at {place}, comes before it and matches {name!r}", hint
