"""What plans do differently: two by what was added, removed, renamed and changed, several side by side."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from initcfg.errors import Code, SpecError, printable
from initcfg.formats.reading import Renames, RenamesLike
from initcfg.names import (
    count,
    fill_numbers,
    fold,
    folded,
    mark_numbers,
    number_spans,
    numbers_of,
    told_apart,
)
from initcfg.plan import require_plan
from initcfg.plan.listing import law_of
from initcfg.plan.plan import deciding_facts
from initcfg.tables import LAWS, SEGMENTS, Column, Row, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from initcfg.plan import Plan, PlannedParameter

Aspect = Literal["shape", "dtype", "tied_to", "law", "stream"]
"""What may differ between two parameters of one name. ``law`` is the distribution, or the initializer and
layout of a structured one; ``stream`` is where random numbers come from: it follows from seed and name."""


@dataclass(frozen=True, slots=True)
class Change:
    """One parameter that the two plans do not make alike."""

    kind: Literal["added", "removed", "renamed", "changed"]  # of a renamed one the values stay
    old: PlannedParameter | None  # None for one that was added
    new: PlannedParameter | None  # None for one that was removed
    aspects: tuple[Aspect, ...] = ()  # of a changed one, what differs

    @property
    def name(self) -> str:
        """The full name; of a renamed parameter the new one."""
        parameter = self.new or self.old
        assert parameter is not None  # noqa: S101 - one of the two is always there
        return parameter.name


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """Everything that two plans do differently.

    Args:
        old: the one plan.
        new: the other.
        changes: in the order of the new plan, then what was removed in the order of the old one.
        unchanged: how many parameters have the same name and the same values in both.
    """

    old: Plan
    new: Plan
    changes: tuple[Change, ...]
    unchanged: int

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return bool(self.changes)

    def of_kind(self, kind: str) -> tuple[Change, ...]:
        """The changes of one kind."""
        return tuple(change for change in self.changes if change.kind == kind)

    @property
    def summary(self) -> str:
        """How many changes there are of each kind, and how many parameters are unchanged."""
        counts = {kind: len(self.of_kind(kind)) for kind in ("added", "removed", "changed", "renamed")}
        told = [f"{count(number)} {kind}" for kind, number in counts.items() if number]
        return ", ".join([*told, f"{count(self.unchanged)} unchanged"])

    def _repr_html_(self) -> str:
        """For a notebook: the changes, those that copies of a layer share in one row."""
        columns = (Column("name", SEGMENTS), Column("change"), Column("what", LAWS))
        rows = [
            Row((printable(line.name), line.kind, printable("; ".join(line.details))), line.kind)
            for line in collapsed(self)
        ]
        return Table(f"PlanDiff: {self.summary}", columns, rows).html()


def diff_plans(old: Plan, new: Plan, rename: RenamesLike = ()) -> PlanDiff:
    """Compares two plans by what decides the values; nothing is made.

    How a spec writes a law down, the order of parameters and the names of vars do not count. A removed and an
    added parameter with the same stream, shape, dtype and law are one that was renamed, as ``stream:`` in a
    spec allows.

    Args:
        old: the plan that was.
        new: the plan that is to be.
        rename: of the old plan's names, as in `initcfg.verify`. Two names that this joins are compared as one
            parameter; it is ``renamed`` where its values stay.

    Raises:
        SpecError: a rename is malformed, fits no name, or two names become one (code ``pattern``).
        TypeError: `old` or `new` is no plan.

    Example:
        >>> import initcfg
        >>> def plan(std):
        ...     init = {"random_normal": {"stddev": std}}
        ...     return initcfg.make_plan({"initcfg": 1, "params": {"w": {"shape": [2], "initializer": init}}})
        >>> [(change.name, change.aspects) for change in diff_plans(plan(0.02), plan(0.05)).changes]
        [('w', ('law',))]
    """
    for each in (old, new):
        require_plan(each, "diff_plans", "initcfg.make_plan(spec)")
    names = Renames.of(rename).of_all((parameter.name for parameter in old), "the old plan")
    known = {names[parameter.name]: parameter for parameter in old}
    renamed = _renamed(known, new)
    left = {parameter.name for parameter in renamed.values()}
    changes: list[Change] = []
    for parameter in new:
        before = known.get(parameter.name)
        if before is not None:
            aspects = _aspects(before, parameter, names)
            if aspects:
                changes.append(Change("changed", before, parameter, aspects))
            elif before.name != parameter.name:
                changes.append(Change("renamed", before, parameter))
        elif parameter.name in renamed:
            changes.append(Change("renamed", renamed[parameter.name], parameter))
        else:
            changes.append(Change("added", None, parameter))
    kept = len(new) - len(changes)
    gone = (each for name, each in known.items() if name not in new and each.name not in left)
    changes += (Change("removed", each, None) for each in gone)
    return PlanDiff(old, new, tuple(changes), kept)


def _renamed(known: Mapping[str, PlannedParameter], new: Plan) -> dict[str, PlannedParameter]:
    """Those parameters of the old plan that are in the new one under another name, by that name."""
    gone: defaultdict[Hashable, list[PlannedParameter]] = defaultdict(list)
    for name, parameter in known.items():
        if name not in new:
            gone[_identity(parameter)].append(parameter)
    added = ((each.name, _identity(each)) for each in new if each.name not in known)
    return {name: gone[key].pop(0) for name, key in added if gone.get(key)}


def _identity(parameter: PlannedParameter) -> Hashable:
    """What stays the same of a parameter that keeps its values under another name."""
    return (parameter.shape, parameter.dtype, parameter.stream, parameter.tied_to, repr(_law(parameter)))


def _aspects(old: PlannedParameter, new: PlannedParameter, names: Mapping[str, str]) -> tuple[Aspect, ...]:
    """What differs between two parameters of one name."""
    law, law_before = _law(new), _law(old)
    # Another tie brings another law and stream along; to say so would tell one change three times.
    tied = names.get(old.tied_to or "") != new.tied_to
    differing: dict[Aspect, bool] = {
        "shape": old.shape != new.shape,
        "dtype": old.dtype != new.dtype,
        "tied_to": tied,
        "law": law != law_before and not tied,
        "stream": old.stream != new.stream and not tied and "value" not in law and "value" not in law_before,
    }
    return tuple(aspect for aspect, differs in differing.items() if differs)


_NOT_LAW = ("name", "shape", "dtype", "tied_to", "stream")


def _law(parameter: PlannedParameter) -> dict[str, object]:
    """The law of a parameter as plain data, whatever its shape and stream; of code, the code itself."""
    try:
        facts = deciding_facts(parameter)
    except SpecError as error:
        if any(problem.code != Code.NOT_SERIALIZABLE for problem in error.diagnostics):
            raise
        return {"code": parameter.initializer, "layout": parameter.layout}
    return {key: value for key, value in facts.items() if key not in _NOT_LAW}


@dataclass(frozen=True, slots=True)
class Line:
    """One change in words; the name of a renamed parameter is the old one, an arrow and the new one."""

    kind: str
    name: str
    details: tuple[str, ...]


def collapsed(diff: PlanDiff) -> list[Line]:
    """The changes in words; those that differ only in the numbers of names in one line, ``h.{0..11}.w``."""
    groups: defaultdict[Line, list[tuple[str, ...]]] = defaultdict(list)
    twins = looking_alike(diff)
    for change in diff.changes:
        numbers = numbers_of(change.name)
        line = _line(change, numbers, diff)
        if twin := twins.get(change.name):
            other = "removed" if change.kind == "added" else "added"
            looks = f"looks like the {other} one{told_apart(twin, change.name)}"
            line = replace(line, details=(*line.details, looks))
        groups[line].append(numbers)
    return [
        Line(
            line.kind,
            fill_numbers(line.name, spans),
            tuple(fill_numbers(each, spans) for each in line.details),
        )
        for line, found in groups.items()
        for spans, _ in number_spans(found)
    ]


def looking_alike(diff: PlanDiff) -> dict[str, str]:
    """The removed name that an added one looks like, and the other way round."""
    added, removed = (
        {folded(each.name): each.name for each in diff.of_kind(kind)} for kind in ("added", "removed")
    )
    pairs = [(added[form], removed[form]) for form in added.keys() & removed.keys()]
    return dict(pairs) | {old: new for new, old in pairs}


def _line(change: Change, numbers: Sequence[str], diff: PlanDiff) -> Line:
    """A change in words, with marks in the place of the numbers of its name."""
    old, new, name = change.old, change.new, mark_numbers(change.name, numbers)
    if old is not None and new is not None:
        if change.kind == "renamed":
            return Line(change.kind, f"{mark_numbers(old.name, numbers)} -> {name}", ("keeps its values",))
        before = "" if old.name == new.name else f"{mark_numbers(old.name, numbers)} -> "
        details = (_detail(aspect, old, new, numbers, diff) for aspect in change.aspects)
        return Line(change.kind, before + name, tuple(details))
    parameter = old or new
    assert parameter is not None  # noqa: S101 - one of the two is always there
    law = f"= {mark_numbers(parameter.tied_to, numbers)}" if parameter.tied_to else law_of(parameter)
    return Line(change.kind, name, (f"{parameter.shape} {parameter.dtype}", law))


def _detail(
    aspect: Aspect, old: PlannedParameter, new: PlannedParameter, numbers: Sequence[str], diff: PlanDiff
) -> str:
    match aspect:
        case "shape":
            return f"shape {old.shape} -> {new.shape}"
        case "dtype":
            return f"dtype {old.dtype} -> {new.dtype}"
        case "tied_to":
            before, after = (mark_numbers(each.tied_to or "nothing", numbers) for each in (old, new))
            return f"tied to {before} -> {after}"
        case "law":
            return " -> ".join(_laws(old, new))
        case "stream":
            return f"other random numbers: {_streams(old, new, numbers, diff)}"


def _laws(old: PlannedParameter, new: PlannedParameter) -> tuple[str, str]:
    """Two laws in words that tell them apart: in a few digits, in all digits, or with all arguments."""
    ways: tuple[Callable[[PlannedParameter], str], ...] = (
        law_of,
        lambda each: repr(each.distribution or each.initializer),
        lambda each: f"{each.initializer!r} with layout {each.layout}",
    )
    for way in ways:
        before, after = way(old), way(new)
        if before != after:
            break
    return before, after


def _streams(old: PlannedParameter, new: PlannedParameter, numbers: Sequence[str], diff: PlanDiff) -> str:
    """Why two streams differ: the names they follow from, the plans' seeds, or the initializers' own."""
    if old.stream_name != new.stream_name:
        before, after = (mark_numbers(each.stream_name, numbers) for each in (old, new))
        return f"stream {before} -> {after}"
    if diff.old.seed != diff.new.seed:
        return f"seed {diff.old.seed} -> {diff.new.seed}"
    return "the seed of the initializer itself"


class Beside(NamedTuple):
    """Parameters of one name, and its copies, as several plans begin them."""

    name: str  # with numbers that differ as spans, as in ``h.{0..11}.w``
    members: tuple[str, ...]  # their names, at least one
    begins: tuple[str | None, ...]  # in as many words as tell the plans apart; None where a plan has none

    @property
    def differs(self) -> bool:
        """Whether two plans do not begin them alike, or one has none of them."""
        return len(set(self.begins)) > 1


@dataclass(frozen=True, slots=True)
class PlanComparison:
    """How several plans begin every parameter that one of them has.

    Args:
        labels: what to call the plans.
        rows: in the order in which the plans name them.
    """

    labels: tuple[str, ...]
    rows: tuple[Beside, ...]

    def __bool__(self) -> bool:
        """Whether there is any difference."""
        return any(row.differs for row in self.rows)

    @property
    def alike(self) -> int:
        """How many parameters all plans begin alike."""
        return sum(len(row.members) for row in self.rows if not row.differs)

    def shown(self, *, full: bool = False) -> list[Beside]:
        """The rows that differ, or with `full` all."""
        return [row for row in self.rows if full or row.differs]

    def records(self, *, full: bool = False) -> list[dict[str, Any]]:
        """What `shown` gives as plain data with a key for each plan, as pandas takes it."""
        return [
            {"name": row.name, "copies": len(row.members), **dict(zip(self.labels, row.begins, strict=True))}
            for row in self.shown(full=full)
        ]

    def table(self, *, full: bool = False) -> Table:
        """What `shown` gives as a table with a column for each plan; the last go where width is short."""
        plans = [
            Column(printable(label), LAWS, len(self.labels) - rank if rank > 1 else None, easy=12)
            for rank, label in enumerate(self.labels)
        ]
        # Names give way before plans do: without one of these a row may look as if nothing differed.
        name = Column("name", SEGMENTS, easy=12, style={"bold": True})
        columns = (name, Column("", weight=99, right=True), *plans)
        rows = []
        for row in self.shown(full=full):
            copies = f"x{count(len(row.members))}" if len(row.members) > 1 else ""
            cells = (row.name, copies, *(each or "none" for each in row.begins))
            rows.append(Row(tuple(map(printable, cells)), members=row.members))
        unlike = sum(len(row.members) for row in self.rows) - self.alike
        return Table("PlanComparison", columns, rows, [f"{count(unlike)} differ, {count(self.alike)} alike"])

    def _repr_html_(self) -> str:
        """For a notebook: what differs, those that copies of a layer share in one row."""
        return self.table().html()


def compare_plans(plans: Mapping[str, Plan] | Iterable[tuple[str, Plan]]) -> PlanComparison:
    """Puts plans beside each other by what decides the values; nothing is made.

    Args:
        plans: at least one, each with what to call it; else a TypeError.

    Example:
        >>> import initcfg
        >>> def plan(initializer):
        ...     parameter = {"shape": [2, 2], "initializer": initializer}
        ...     return initcfg.make_plan({"initcfg": 1, "layout": "in_out", "params": {"w": parameter}})
        >>> found = compare_plans({each: plan(each) for each in ("zeros", "ones", "identity")})
        >>> found.rows[0].begins
        ('fill(0)', 'fill(1)', 'identity')
    """
    try:
        given = dict(plans)
    except (TypeError, ValueError):
        raise TypeError("compare_plans takes plans by their names: {'old': plan, 'new': other}") from None
    for each in given.values():
        require_plan(each, "compare_plans", "initcfg.make_plan(spec)")
    return PlanComparison(tuple(given), tuple(beside(list(given.values()))))


_Texts: TypeAlias = "tuple[str, ...]"


def beside(plans: Sequence[Plan], *, random_numbers: bool = True) -> list[Beside]:
    """The rows of a comparison; without `random_numbers` seeds and streams are no difference."""
    found: dict[str, list[PlannedParameter | None]] = {}
    for rank, plan in enumerate(plans):
        for parameter in plan:
            found.setdefault(parameter.name, [None] * len(plans))[rank] = parameter
    # Copies share an initializer, whose law is slow to write down.
    known: dict[Hashable, tuple[_Texts, bool]] = {}
    # Two initializers may have one law: both are shown in the words of the first.
    words: dict[_Texts, _Texts] = {}

    def texts_of(each: PlannedParameter) -> tuple[_Texts, bool]:
        """Texts, each more exact than the one before, and whether the values are random."""
        shape = " \u00d7 ".join(map(str, each.shape)) or "scalar"
        if each.tied_to is not None:
            return ("", shape), False
        key = (id(each.initializer), each.shape, each.dtype.name, each.layout)
        if key not in known:
            law = _law(each)
            exact = (shape, each.dtype.name, repr(law))
            texts = (law_of(each), *exact[:2], repr(each.distribution or each.initializer), exact[2])
            known[key] = words.setdefault(exact, texts), random_numbers and "value" not in law
        return known[key]

    rows: list[tuple[tuple[_Texts | None, ...], tuple[str, ...]]] = []
    for name, parameters in found.items():
        pairs = zip(parameters, plans, strict=True)
        begun = [None if each is None else (each, plan, *texts_of(each)) for each, plan in pairs]
        streams = {one[0].stream for one in begun if one and one[3]}
        texts = tuple(
            None
            if one is None
            else (*one[2], *([_stream_text(*one[:2])] if one[3] and len(streams) > 1 else []))
            for one in begun
        )
        rows.append((texts, (name, *(each.tied_to or "" if each else "" for each in parameters))))
    names = list(found)
    return [
        Beside(
            called,
            tuple(names[at] for at in ranks),
            _told_apart(
                [
                    (f"tied to {tie}", *each[1:]) if each and tie else each
                    for each, tie in zip(rows[ranks[0]][0], ties, strict=True)
                ]
            ),
        )
        for (called, *ties), ranks in fold(rows)
    ]


def _stream_text(parameter: PlannedParameter, plan: Plan) -> str:
    if parameter.stream_name == parameter.name:
        return f"seed {plan.seed}"
    return f"seed {plan.seed}, stream {parameter.stream_name}"


def _told_apart(found: Sequence[_Texts | None]) -> tuple[str | None, ...]:
    """The first of the texts, and those after it that it takes to tell them apart."""
    known = [each for each in found if each is not None]
    taken = [0]
    for at in range(1, max(map(len, known))):
        kept, wider = (len({_taken(each, ranks) for each in known}) for ranks in (taken, [*taken, at]))
        if wider > kept:
            taken.append(at)
    return tuple(None if each is None else _taken(each, taken) for each in found)


def _taken(texts: _Texts, ranks: Sequence[int]) -> str:
    return ", ".join(texts[at] for at in ranks if at < len(texts))
