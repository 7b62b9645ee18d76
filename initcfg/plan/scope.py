"""What names stand for while a spec is evaluated: vars, repeat indices, facts of a shape."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from initcfg.errors import Code, SpecError
from initcfg.plan.effort import Effort, SpentError
from initcfg.plan.problems import BrokenError, EnoughProblemsError
from initcfg.spec import ExpressionError
from initcfg.spec.arithmetic import RESERVED_NAMES
from initcfg.spec.expression_errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from initcfg.plan.problems import Path, Problems
    from initcfg.spec import Spec, Template
    from initcfg.spec.arithmetic import Value


@dataclass(frozen=True, slots=True)
class Scope:
    """Names and what they stand for, and where to report what has no value.

    Args:
        problems: gives errors their place.
        values: a number, a tuple of numbers or, for an index over texts, a text for each name.
        broken: names whose own definition failed; what uses one raises `BrokenError`, which is not reported.
        effort: evaluates, and pays for it.
        later: vars whose definitions come further down, and that have no value yet.
    """

    problems: Problems
    values: Mapping[str, Value]
    broken: frozenset[str] = frozenset()
    effort: Effort = field(default_factory=Effort)
    later: Collection[str] = ()

    def extended(self, values: Mapping[str, Value]) -> Scope:
        """This scope with more names."""
        return replace(self, values={**self.values, **values})

    def check_name(self, name: str, path: Path, offset: int | None = None) -> None:
        """Refuses a var, an index or a capture that expressions could not tell from something else.

        Args:
            name: the name.
            path: where it stands, as a key or, with `offset`, from a character of a text on.
            offset: that character.

        Raises:
            SpecError: the name is taken (code ``hidden-name``).
        """
        if name in RESERVED_NAMES:
            message = f"{name!r} already means something in expressions"
        elif name in self.values or name in self.broken:
            message = f"{name!r} is already the name of a var or of another index"
        else:
            return
        key, hint = offset is None, "choose another name"
        raise self.problems.error(Code.HIDDEN_NAME, message, path, key=key, hint=hint, offset=offset)

    def number(self, written: float | str, path: Path) -> int | float:
        """The number that a literal or an expression stands for.

        Raises:
            SpecError: the expression has no value here.
            BrokenError: it uses a name whose definition has been reported.
        """
        if not isinstance(written, str):
            return written
        try:
            self._require(self.effort.expression(written).names)
            return self.effort.value(written, self.values)
        except ExpressionError as error:
            raise self._placed(error, path, here=self._here(written, error)) from None

    def integer(self, written: float | str, path: Path, what: str) -> int:
        """As `number`, for a place that takes a whole number; ``768.0`` is one.

        Raises:
            SpecError: also where the value is not whole; `what` begins the message.
        """
        value = self.number(written, path)
        if value == int(value):
            return int(value)
        hint = "// divides without a remainder" if isinstance(written, str) and "/" in written else None
        shown = f"{written!r} is {value!r}" if isinstance(written, str) else f"got {value!r}"
        raise self.problems.error(Code.EXPRESSION_VALUE, f"{what} must be whole, {shown}", path, hint=hint)

    def text(self, template: Template, path: Path, *, key: bool = False, cost: int = 1) -> str:
        """A name with its braces filled in; `cost` is what that takes.

        Raises:
            SpecError: a brace has no value here.
            BrokenError: it uses a name whose definition has been reported.
        """
        self._require(template.names)
        try:
            self.effort.spend(cost)
            return template.render(self.values)
        except ExpressionError as error:
            raise self._placed(error, path, key=key) from None

    def pay(self, steps: int, path: Path) -> None:
        """Pays for work at a place that is not the evaluation of an expression.

        Raises:
            SpecError: planning has taken too many steps (code ``too-large``).
        """
        try:
            self.effort.spend(steps)
        except ExpressionError as error:
            raise self._placed(error, path) from None

    def _here(self, written: str, error: ExpressionError) -> str | None:
        """What the names in an expression stand for at a place where it has no value."""
        if error.code is not Code.EXPRESSION_VALUE:
            return None
        names = sorted(self.effort.expression(written).names & self.values.keys())
        values = ((name, self.values[name]) for name in names)
        shown = [f"{name} is {value!r}" for name, value in values if isinstance(value, int | float)]
        return f"here {', '.join(shown)}" if shown else None

    def _placed(
        self, error: ExpressionError, path: Path, *, key: bool = False, here: str | None = None
    ) -> SpecError:
        hint = error.hint or here
        if isinstance(error, UnknownNameError) and error.name in self.later:
            hint = f"{error.name!r} is defined further down: move its line up, above the vars that use it"
        placed = self.problems.error(error.code, error.message, path, key=key, hint=hint, offset=error.offset)
        if isinstance(error, SpentError):
            self.problems.add(placed)
            raise EnoughProblemsError
        return placed

    def _require(self, names: frozenset[str]) -> None:
        if names & self.broken:
            raise BrokenError


def scope_of(spec: Spec, problems: Problems, left_out: frozenset[str]) -> Scope:
    """The scope of a document: its vars, each seeing those before it.

    Args:
        spec: the document.
        problems: takes what is wrong with the vars.
        left_out: vars whose definitions could not be read.
    """
    values: dict[str, Value] = {}
    later = dict.fromkeys(spec.vars)
    scope = Scope(problems, values, left_out, later=later)
    for name, written in spec.vars.items():
        path = ("vars", name)
        del later[name]
        try:
            scope.check_name(name, path)
            value = _var(scope, written, path)
        except SpecError as error:
            problems.add(error)
            scope = replace(scope, broken=scope.broken | {name})
        else:
            values[name] = value
    return scope


def _var(scope: Scope, written: int | float | str | tuple[int | float | str, ...], path: Path) -> Value:
    if isinstance(written, tuple):
        return tuple(scope.number(item, (*path, at)) for at, item in enumerate(written))
    return scope.number(written, path)
