"""The rules of a document: which one decides how a parameter begins that names no initializer itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from initcfg.errors import Code, SpecError, nearest
from initcfg.globs import Glob, GlobSet
from initcfg.plan.definitions import NameCheck
from initcfg.plan.problems import BrokenError
from initcfg.plan.resolver import Resolver
from initcfg.plan.terms import Terms
from initcfg.plan.texts import NameText
from initcfg.spec import Template

if TYPE_CHECKING:
    from initcfg.errors import Diagnostic
    from initcfg.plan.definitions import Definitions
    from initcfg.plan.problems import Path
    from initcfg.plan.resolve import Form, Law
    from initcfg.plan.scope import Scope
    from initcfg.spec import Param, Rule, Spec

#: A text is compared with so many patterns, in wording an error.
_COMPARED = 400
#: The steps that it takes to step from one state of the automaton.
_STATE = 8


_BRACED = re.compile(r"\{([A-Za-z_]\w*)\}")


class Asked(NamedTuple):
    """A parameter for which a rule is wanted.

    Args:
        name: its full name.
        shape: its shape.
        dtype: what the manifest says of it.
        param: its entry among the layers or params, with its place; None where only the manifest names it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str | None = None
    param: tuple[Param, Path] | None = None


@dataclass
class Rules:
    """The rules of a document, checked, all of their patterns matched at once.

    Args:
        spec: the document.
        scope: its vars.
        definitions: its named initializers.
        won: the rules that have won a parameter.
    """

    spec: Spec
    scope: Scope
    definitions: Definitions
    won: set[int] = field(default_factory=set)
    _resolvers: dict[tuple[object, ...], Resolver] = field(default_factory=dict)
    _streams: dict[int, tuple[NameText, bool]] = field(default_factory=dict)
    _paid: int = 0
    _unusable: set[int] = field(default_factory=set)

    def check(self) -> None:
        """Notes what is wrong with the rules, whether they win anything or not."""
        plain = NameCheck(self.spec, self.scope, (), self.definitions)
        for at, rule in enumerate(self.spec.rules):
            path: Path = ("rules", at)
            captures = self.globs.globs[at].captures
            for name in captures:
                with self.scope.problems.collecting():
                    offset = rule.match.index(f"{{{name}}}") + 1
                    self.scope.check_name(name, (*path, "match"), offset)
            if rule.initializer is not None:
                place = (*path, "initializer")
                check = plain
                if captures:
                    check = NameCheck(self.spec, self.scope, captures, self.definitions)
                check(rule.initializer, place)
                if not check.is_buildable(rule.initializer, place):
                    self._unusable.add(at)
            if rule.stream is not None:
                self._add_stream(at, rule.stream, captures)

    def _add_stream(self, at: int, written: str, captures: tuple[str, ...]) -> None:
        """Keeps the stream of a rule, and whether it uses a capture; notes names in it that nothing has."""
        path: Path = ("rules", at, "stream")
        names = Template.parse(written).names
        self._streams[at] = NameText(written, path, frozenset(self.spec.vars)), not names.isdisjoint(captures)
        if names <= {*self.scope.values, *self.scope.broken, *captures}:
            return
        self._unusable.add(at)
        try:
            # Evaluating words the error; captures stand for 1 meanwhile.
            self.scope.extended(dict.fromkeys(captures, 1)).text(Template.parse(written), path)
        except SpecError as error:
            self.scope.problems.add(SpecError(*map(_with_capture_hint, error.diagnostics)))

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
        every = self.globs.every(name)
        self._pay()
        for at in every:
            if self.globs.globs[at].ends_in_a_name and self.spec.rules[at].ndim in (None, ndim):
                self.won.add(at)
                return at
        return None

    def _pay(self) -> None:
        """Pays for what matching has taken since it was last paid for.

        Raises:
            SpecError: planning has taken too many steps (code ``too-large``).
        """
        done = self.globs.work
        if done > self._paid:
            self.scope.pay(_STATE * (done - self._paid), ("rules",))
            self._paid = done

    def resolve(self, at: int, asked: Asked) -> tuple[Form, Law]:
        """What a rule makes of a parameter.

        Raises:
            SpecError: the rule cannot make it; the message names the parameter.
            BrokenError: that has been reported already.
        """
        if at in self._unusable:
            raise BrokenError
        resolver, captures = self._resolver(at, asked)
        try:
            return resolver.resolve(asked.shape, self._scope(at, asked.name) if captures else self.scope)
        except SpecError as error:
            raise _about(asked.name, error) from None

    def stream_name(self, at: int, name: str) -> str:
        """What a parameter draws as: what its rule's ``stream`` comes to, or else its own name.

        Raises:
            SpecError: a brace has no value here; the message names the parameter.
            BrokenError: it uses a name whose definition has been reported.
        """
        if at not in self._streams:
            return name
        text, captures = self._streams[at]
        try:
            return text.fill(self._scope(at, name) if captures else self.scope)
        except SpecError as error:
            raise _about(name, error) from None

    def _scope(self, at: int, name: str) -> Scope:
        """The document's scope with the numbers that a rule captures in a name."""
        return self.scope.extended(self.globs.globs[at].numbers(name))

    def _resolver(self, at: int, asked: Asked) -> tuple[Resolver, bool]:
        """The resolver for a rule and a parameter, and whether it depends on what the rule captures."""
        key = (at, asked.dtype, None if asked.param is None else asked.param[1])
        resolver = self._resolvers.get(key)
        if resolver is None:
            rule: tuple[Rule, Path] = (self.spec.rules[at], ("rules", at))
            shape_path = ("rules", at) if asked.param is None else (*asked.param[1], "shape")
            written = (rule,) if asked.param is None else (asked.param, rule)
            terms = Terms.of(self.spec, shape_path, *written, dtype=asked.dtype)
            constant = frozenset(self.spec.vars)
            resolver = self._resolvers[key] = Resolver(terms, self.spec, self.definitions, constant)
        return resolver, resolver.uses(self.globs.globs[at].captures)

    def missing_hint(self, name: str, ndim: int) -> str:
        """The way out for a parameter that no rule matches."""
        for at in self.globs.every(name):
            rule = self.spec.rules[at]
            return f"{rule.match!r} matches its name, but asks for ndim: {rule.ndim}, and it has {ndim}"
        for rule in self.spec.rules[:_COMPARED]:
            plain = _BRACED.sub(r"\1", rule.match)
            if plain != rule.match and Glob(plain).matches(name):
                braced = ", ".join(_BRACED.findall(rule.match))
                return f"in {rule.match!r} braces stand for a whole number: write {braced} without them"
        pattern = f"**.{name.rpartition('.')[2]}" if "." in name else name
        way = f'add a rule, as - {{match: "{pattern}", initializer: NAME}}'
        near = nearest(name, (rule.match for rule in self.spec.rules[:_COMPARED]), cutoff=0.5)
        return f"{way}; {near} comes nearest and does not match" if near else way


def _about(name: str, error: SpecError) -> SpecError:
    """What is wrong with a rule, told of a parameter that it decides for."""
    if isinstance(error, BrokenError):
        return error
    told = (replace(each, message=f"for {name!r}: {each.message}") for each in error.diagnostics)
    return SpecError(*told)


def _with_capture_hint(problem: Diagnostic) -> Diagnostic:
    """A problem of a rule's stream; the hint about an index of a repeat does not suit there."""
    if problem.code is not Code.UNKNOWN_NAME:
        return problem
    return replace(problem, hint="a stream uses vars and what 'match' captures, as {i} in 'h.{i}.**'")
