"""What names stand for while a spec is evaluated, the texts that use them, and how much that may cost."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from initcfg.errors import Code, SpecError
from initcfg.expressions import (
    RESERVED_NAMES,
    Evaluator,
    Expression,
    ExpressionError,
    Template,
    UnknownNameError,
)
from initcfg.expressions.grammar import Call, Name, Operation, operands_of
from initcfg.layout import MAX_DIM
from initcfg.plan.problems import BrokenError, EnoughProblemsError
from initcfg.process import lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterator, Mapping

    from initcfg.errors import Path
    from initcfg.expressions import Value, folding
    from initcfg.expressions.grammar import Ast
    from initcfg.plan.problems import Problems
    from initcfg.spec import Spec

    Written = int | float | str | tuple[int | float | str, ...]
else:
    folding = lazy("initcfg.expressions.folding")

#: A step takes about 0.4 microseconds on a slow machine. The most parameters of a plan need two thirds.
MAX_STEPS = 3 * 2**23
#: Who plans more than that on purpose says so to the process; no document can.
_RAISED_BY = "INITCFG_MAX_STEPS"
#: A plan holds no more parameters; a million is large (a mixture of experts with each expert on its own).
MAX_PARAMETERS = 2**20
#: What it takes to build an initializer, and each value in it; to check a dimension; to begin to evaluate.
PART, LEAF, DIMENSION, _BEGIN = 400, 8, 5, 10
#: What a parameter takes that shares all else with others, and a mass below a normal curve to 40 digits.
PARAMETER, TRUNCATION = 16, 4000
#: These are computed to 66 digits before they are rounded.
_SLOW = {
    "exp": 110,
    **dict.fromkeys(("log", "log2", "tanh"), 240),
    "**": 320,
    **dict.fromkeys(("expm1", "log1p", "sin", "cos", "tan", "atan"), 700),
}
_MAX_KNOWN = 2**16
#: What a unit of the work of `initcfg.globs` takes.
MATCHING = 4
#: A name that is longer costs a step for each 16 characters.
LONG_NAME = 128
_MAX_DIGITS, _SHOWN = 18, 40


#: How many steps are taken between two calls of what watches.
_TELL_EVERY = 2**18
_watcher: ContextVar[Callable[[int], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def watching(tell: Callable[[int], None]) -> Iterator[None]:
    """A block in which planning calls `tell` now and then with the number of steps it has taken."""
    token = _watcher.set(tell)
    try:
        yield
    finally:
        _watcher.reset(token)


class SpentError(ExpressionError):
    """No steps are left; nothing more of the document can be looked at."""


class EvalBudget:
    """Evaluates expressions, and counts the steps that this takes."""

    def __init__(self, most: int | None = None, what: str = "planning this") -> None:
        # How many there may be: `MAX_STEPS`, or what the environment raises it to.
        self.most = _most_steps() if most is None else most
        self.what = what  # takes them, as messages say it
        self.parameters = MAX_PARAMETERS  # how many the plan may still take
        self._parsed: dict[str, tuple[Expression, int]] = {}
        self._values: dict[tuple[object, ...], int | float] = {}
        self.left = self.most
        self._tell = _watcher.get()
        self._tell_at = self.most - _TELL_EVERY

    def expression(self, text: str) -> Expression:
        """The expression that a text writes."""
        return self._read(text)[0]

    def value(self, text: str, env: Mapping[str, Value]) -> int | float:
        """As `Expression.evaluate`; remembers the value for the same values of its names."""
        expression, cost = self._read(text)
        names = (*expression.names, *expression.hideable)
        key = (text, *[_known_by(env.get(name)) for name in names])
        value = self._values.get(key)
        if value is None:
            self.spend(cost)
            value = expression.evaluate(env)
            if len(self._values) >= _MAX_KNOWN:
                self._values.clear()
            self._values[key] = value
        return value

    def spend(self, steps: int) -> None:
        """Takes steps away; a `SpentError` if there are not so many left."""
        self.left -= steps
        if self._tell is not None and self.left < self._tell_at:
            self._tell_at = self.left - _TELL_EVERY
            self._tell(self.most - self.left)
        if self.left < 0:
            message = f"{self.what} takes more than {self.most:,} steps of evaluation"
            hint = (
                "let expensive expressions and initializers depend on fewer indices; "
                f"if you trust the document, raise the bound: {_RAISED_BY}={8 * self.most}"
            )
            raise SpentError(message, 0, Code.TOO_LARGE, hint)

    def _read(self, text: str) -> tuple[Expression, int]:
        if text not in self._parsed:
            expression = Expression.parse(text)
            self._parsed[text] = (expression, _BEGIN + cost_of(expression.tree))
        return self._parsed[text]


def _most_steps() -> int:
    """The bound, as the environment raises it."""
    written = os.environ.get(_RAISED_BY, "").strip()
    if not written:
        return MAX_STEPS
    if not (written.isascii() and written.isdigit() and len(written) <= _MAX_DIGITS):
        message = f"{_RAISED_BY} is {written[:_SHOWN]!r}, which is no number of steps"
        raise SpecError.of(Code.TOO_LARGE, message, hint=f"write digits, as {8 * MAX_STEPS}")
    return max(MAX_STEPS, int(written))


def _known_by(value: Value | None) -> object:
    # The lists of a document stay the same objects, and hashing a long one again and again takes long.
    return id(value) if isinstance(value, tuple) else value


def formula_cost(formula: Expression, parts: int, numel: int) -> int:
    """How many steps it takes to try a formula out, over some elements of an array.

    `parts` counts the initializers that it and what it draws consist of.
    """
    return parts * (_BEGIN + len(formula.text)) * (10 + min(numel, 4096) // 20)


def cost_of(tree: Ast) -> int:
    """How many steps a tree takes to evaluate, all of its branches counted."""
    own = _SLOW.get(tree.name, 1) if isinstance(tree, Operation | Call) else 1
    return own + sum(map(cost_of, operands_of(tree)))


class Scope(NamedTuple):
    """Names and what they stand for, and where to report what has no value."""

    problems: Problems  # gives errors their place
    values: Mapping[str, Value]  # numbers, tuples of numbers, and texts for indices over texts
    # names whose own definition failed; what uses one raises `BrokenError`
    broken: frozenset[str]
    budget: EvalBudget  # evaluates, and pays for it
    later: Mapping[str, Written] = {}  # vars that are defined further down, and have no value yet

    def extended(self, values: Mapping[str, Value]) -> Scope:
        """This scope with more names."""
        return self._replace(values={**self.values, **values})

    def check_name(self, name: str, path: Path, offset: int | None = None) -> None:
        """Refuses a var, an index or a capture that expressions could not tell from something else.

        It stands at `path` as a key or, with `offset`, from that character of a text on.
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
        """The number that a literal or an expression stands for."""
        if not isinstance(written, str):
            return written
        with self.placing(written, path):
            self._require(self.budget.expression(written).names)
            return self.budget.value(written, self.values)

    @contextmanager
    def placing(self, text: str, path: Path) -> Iterator[None]:
        """A block whose errors of the expression `text` are given their place."""
        try:
            yield
        except ExpressionError as error:
            raise self._placed(error, path, here=self._here(text, error)) from None

    def integer(self, written: float | str, path: Path, what: str) -> int:
        """As `number`, for a place that takes a whole number, as ``768.0``; `what` begins the message."""
        value = self.number(written, path)
        if value == int(value):
            return int(value)
        hint = "// divides without a remainder" if isinstance(written, str) and "/" in written else None
        shown = f"{written.strip()!r} is {value!r}" if isinstance(written, str) else f"got {value!r}"
        raise self.problems.error(Code.EXPRESSION_VALUE, f"{what} must be whole, {shown}", path, hint=hint)

    def refuse_unknown(self, expression: Expression, path: Path, others: Collection[str] = ()) -> None:
        """Refuses an expression with a name that means nothing here, nor is one of the `others`."""
        with self.placing(expression.text, path):
            self._require(expression.names)
            Evaluator(self.values).refuse_unknown(expression.tree, others)

    def formula(self, text: str, path: Path) -> Expression:
        """The formula that a text writes, without the names that stand for something here."""
        with self.placing(text, path):
            expression = self.budget.expression(text)
            self._require(expression.names)
            self.budget.spend(cost_of(expression.tree))
            return folding.closed(expression, self.values)

    def text(self, template: Template, path: Path, *, key: bool = False, cost: int = 1) -> str:
        """A name with its braces filled in; `cost` is what that takes."""
        self._require(template.names)
        try:
            self.budget.spend(cost)
            return template.render(self.values)
        except ExpressionError as error:
            raise self._placed(error, path, key=key) from None

    def pay(self, steps: int, path: Path) -> None:
        """Pays for work at a place that is not the evaluation of an expression."""
        try:
            self.budget.spend(steps)
        except ExpressionError as error:
            raise self._placed(error, path) from None

    def reserve(self, parameters: int, path: Path) -> None:
        """Takes parameters from those that the plan may hold, and pays for them."""
        self.budget.parameters -= parameters
        if self.budget.parameters < 0:
            raise self.too_many(path)
        self.pay(PARAMETER * parameters, path)

    def too_many(self, path: Path) -> SpecError:
        """More parameters are asked for than a plan holds."""
        message = f"this repeats beyond {MAX_PARAMETERS:,} parameters, the most that a plan holds"
        return self.problems.error(Code.REPEAT, message, path)

    def _here(self, written: str, error: ExpressionError) -> str | None:
        """What the names in an expression stand for at a place where it has no value."""
        if error.code is not Code.EXPRESSION_VALUE:
            return None
        names = sorted(self.budget.expression(written).names & self.values.keys())
        values = ((name, self.values[name]) for name in names)
        shown = [f"{name} is {value!r}" for name, value in values if isinstance(value, int | float)]
        return f"here {', '.join(shown)}" if shown else None

    def _placed(
        self, error: ExpressionError, path: Path, *, key: bool = False, here: str | None = None
    ) -> SpecError:
        hint = error.hint or here
        if isinstance(error, UnknownNameError) and error.name in self.later:
            hint = f"{error.name!r} is defined further down: move its line up, above the vars that use it"
            needed = self._needed_by(error.name)
            if needed & self.broken:  # of what cannot be told yet
                raise BrokenError
            if path[0] == "vars" and path[1] in needed:
                hint = f"{error.name!r} needs {path[1]!r} itself: give one of them a value without the other"
        placed = self.problems.error(error.code, error.message, path, key=key, hint=hint, offset=error.offset)
        if isinstance(error, SpentError):
            self.problems.add(placed)
            raise EnoughProblemsError
        return placed

    def _needed_by(self, name: str) -> set[str]:
        """The names that a var further down needs, and those that these need."""
        needed, known = [name], set[str]()
        while needed:
            written = self.later.get(needed.pop(), ())
            for text in written if isinstance(written, tuple) else (written,):
                with suppress(ExpressionError):
                    names = self.budget.expression(text).names if isinstance(text, str) else frozenset[str]()
                    needed += names - known
                    known |= names
        return known

    def _require(self, names: frozenset[str]) -> None:
        if names & self.broken:
            raise BrokenError


def scope_of(spec: Spec, problems: Problems, left_out: frozenset[str]) -> Scope:
    """The scope of a document: its vars, each seeing those before it; those `left_out` could not be read."""
    values: dict[str, Value] = {}
    later = dict(spec.vars)
    scope = Scope(problems, values, left_out, EvalBudget(), later)
    for name, written in spec.vars.items():
        path = ("vars", name)
        del later[name]
        try:
            scope.check_name(name, path)
            value = _var(scope, written, path)
        except SpecError as error:
            problems.add(error)
            scope = scope._replace(broken=scope.broken | {name})
        else:
            values[name] = value
    return scope


def _var(scope: Scope, written: Written, path: Path) -> Value:
    if isinstance(written, tuple):
        return tuple(scope.number(item, (*path, at)) for at, item in enumerate(written))
    return scope.number(written, path)


def shape_of(written: tuple[int | str, ...], path: Path, scope: Scope) -> tuple[int, ...]:
    """The shape that is written at a place."""
    scope.pay(DIMENSION * len(written), path)
    before = scope.problems.count
    dims: list[int] = []
    for at, size in enumerate(written):
        with scope.problems.collecting():
            dims.append(dim := scope.integer(size, (*path, at), "a dimension"))
            if not 0 <= dim <= MAX_DIM:
                what = f"{size!r} is {dim}" if isinstance(size, str) else f"got {dim}"
                message = f"a dimension lies between 0 and 2**63 - 1, {what}"
                raise scope.problems.error(Code.SHAPE, message, (*path, at))
    scope.problems.break_if_more_than(before)
    return tuple(dims)


_MAX_TEXTS = 4096


class NameText:
    """A layer's name, a parameter's, or that of its stream or of what it is tied to.

    What a pair of braces comes to is kept for each value of the indices in it; the names in `constant` have
    the same value for all copies.
    """

    def __init__(self, text: str, path: Path, constant: Container[str], *, key: bool = False) -> None:
        template = Template.parse(text)
        self._parts = [
            part if isinstance(part, str) else _Braces(Template(text, (part,)), path, constant, key=key)
            for part in template.parts
        ]
        self._path = path
        self._plain = None if "{" in text else text

    def fill(self, scope: Scope) -> str:
        """The name, for what the indices are now."""
        if self._plain is not None:
            return self._plain
        text = "".join([part if isinstance(part, str) else part.fill(scope) for part in self._parts])
        if len(text) > LONG_NAME:
            scope.pay(len(text) >> 4, self._path)
        return text


class _Braces:
    """One pair of braces, in a template of nothing else."""

    def __init__(self, template: Template, path: Path, constant: Container[str], *, key: bool) -> None:
        ((tree, names),) = ((each.tree, each.names | each.hideable) for each in template.expressions)
        self.template, self.path, self.key = template, path, key
        self.index = tree.name if isinstance(tree, Name) else None
        self.varying = tuple(sorted(name for name in names if name not in constant))
        self.cost = cost_of(tree)
        self.known: dict[tuple[object, ...], str] = {}

    def fill(self, scope: Scope) -> str:
        if self.index is not None:
            value = scope.values.get(self.index)
            # An index counts or runs over texts; a var may be a fraction, and is looked at below.
            if type(value) is int:
                return str(value)
        values = tuple([scope.values.get(name) for name in self.varying])
        text = self.known.get(values)
        if text is None:
            text = scope.text(self.template, self.path, key=self.key, cost=self.cost)
            if len(self.known) >= _MAX_TEXTS:
                self.known.clear()
            self.known[values] = text
        return text
