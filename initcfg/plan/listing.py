"""Parameters of a plan in words, as records and as a table, the copies of a layer as one."""

from __future__ import annotations

import functools
import itertools
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from initcfg.distributions import (
    ComplexNormal,
    Disk,
    Fill,
    Moments,
    Normal,
    Square,
    TruncatedNormal,
    Uniform,
    cdf,
    moments,
)
from initcfg.errors import InitializerError, printable
from initcfg.initializers import Combined, canonical_name, resolve
from initcfg.initializers.components import weights_of
from initcfg.names import count, counted, fold, number, size
from initcfg.tables import LAWS, SEGMENTS, WORDS, Column, Curve, Row, Table, in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from initcfg.distributions import Distribution
    from initcfg.initializers import Formula, Initializer, Scaled
    from initcfg.initializers.base import Share
    from initcfg.initializers.components import Component
    from initcfg.layout import Layout
    from initcfg.plan.parameters import PlannedParameter
    from initcfg.plan.plan import Plan


def describe(distribution: Distribution | None) -> str:  # noqa: PLR0911  a list of cases
    """A distribution in a few characters, its numbers to four digits: ``normal(0, 0.02)``."""
    match distribution:
        case Fill(value):
            return f"fill({number(value)})"
        case Uniform(low, high):
            return f"uniform({number(low)}, {number(high)})"
        case Normal(mean, std):
            return f"normal({number(mean)}, {number(std)})"
        case TruncatedNormal(mean, std, low, high):
            return f"truncated_normal({number(mean)}, {number(std)}) in [{number(low)}, {number(high)}]"
        case Disk(radius):
            return f"disk({number(radius)})"
        case Square(low, high):
            return f"square({number(low)}, {number(high)})"
        case ComplexNormal(std, radius):
            cut = "" if math.isinf(radius) else f" in |w| <= {number(radius)}"
            return f"complex_normal({number(std)}){cut}"
        case None:
            return "structured"


def words_of(parameter: PlannedParameter) -> str:
    """The law of a parameter in words, as `describe_law`."""
    if parameter.distribution is not None:
        return describe(parameter.distribution)
    return describe_law(parameter.initializer, parameter.shape, parameter.layout)


def law_of(parameter: PlannedParameter) -> str:
    """How a parameter begins, in a few characters: its distribution, or those of its parts."""
    law = words_of(parameter)
    return canonical_name(type(parameter.initializer)) if law == "structured" else law


def _of_elements(initializer: Initializer, shape: tuple[int, ...], layout: Layout | None) -> str:
    """How elements come about that share no law: what they are copied from, or what a formula comes to."""
    if not hasattr(initializer, "spread"):
        return getattr(initializer, "origin", None) or describe(None)
    formula = cast("Formula", initializer)
    text = formula.value
    if formula.of is not None:
        text += f", x from {describe_law(formula.of, shape, layout)}"
    if 0 in shape:
        return text
    with suppress(InitializerError):  # a fault that planning did not see; making the array tells it
        spread = formula.spread(shape, layout)
        text += f": mean {number(spread.mean)}, std {number(spread.std)}"
        if math.isfinite(spread.low) and math.isfinite(spread.high):
            text += f", {number(spread.low)} to {number(spread.high)}"
        text += "" if spread.is_exact else " in a sample"
    return text


def describe_law(initializer: Initializer, shape: tuple[int, ...], layout: Layout | None) -> str:
    """The distribution; of a combined initializer those of its parts, equal neighbours counted."""
    if getattr(initializer, "unscaled", None) is not None and resolve(initializer, shape, layout) is None:
        return _scaled(cast("Scaled", initializer), shape, layout)
    if not isinstance(initializer, Combined):
        law = resolve(initializer, shape, layout)
        return describe(law) if law is not None else _of_elements(initializer, shape, layout)
    parts = [_law_of_part(part, share) for part, share in initializer.parts(shape, layout)]
    runs = ((law, len(list(run))) for law, run in itertools.groupby(parts))
    return " | ".join(law if length == 1 else f"{length} x {law}" for law, length in runs)


def _scaled(initializer: Scaled, shape: tuple[int, ...], layout: Layout | None) -> str:
    """What has no law of its own that could be scaled: its words, times the factor."""
    if initializer.formula is not None:
        return _of_elements(initializer.formula, shape, layout)
    law = describe_law(initializer.of, shape, layout)
    law = canonical_name(type(initializer.of)) if law == "structured" else law
    return f"{number(initializer.factor)} * {f'({law})' if ' ' in law else law}"


def _law_of_part(part: Initializer, share: Share) -> str:
    """The law of a part, and its place where that does not follow from its rank."""
    law = describe_law(part, share.shape, share.layout)
    return law if share.label is None or share.label.isdecimal() else f"{law} {share.label}"


def listed(parameters: Sequence[PlannedParameter], *, full: bool = False) -> list[Copies]:
    """Parameters with the copies of a layer put together, unless `full`, in the order of the first ones."""
    if full:
        return [Copies(each.name, each.tied_to or "", source_of(each), (each,)) for each in parameters]
    laws: dict[int, str] = {}  # by the identity of initializers, which copies share: a repr is slow
    rows = []
    for each in parameters:
        source, law = source_of(each), None
        if each.tied_to is None:
            law = laws.get(id(each.initializer))
            if law is None:
                # What a copy follows from is another one each time, and told beside the law.
                law = repr(each.initializer).replace(repr(source), "") if source else repr(each.initializer)
                laws[id(each.initializer)] = law
        alike = (each.shape, each.dtype.name, each.rule, fans_text(each), law)
        rows.append((alike, (each.name, each.tied_to or "", source)))
    return [
        Copies(name, tied_to, source, tuple(parameters[rank] for rank in ranks))
        for (name, tied_to, source), ranks in fold(rows)
    ]


def source_of(parameter: PlannedParameter) -> str:
    """The parameter whose values a derived one follows from; empty where there is none."""
    source = getattr(parameter.initializer, "parameter", "")
    return source if isinstance(source, str) else ""


def fans_text(parameter: PlannedParameter) -> str:
    """Both fans, and the parameter of the same layer that they are those of; ``-`` for none."""
    fans, lender = parameter.fans, parameter.fans_of
    if fans is None:
        return "-"
    layer = f"{parameter.name.rpartition('.')[0]}."
    return f"{fans.fan_in}, {fans.fan_out}{f' of {lender.removeprefix(layer)}' if lender else ''}"


Kind = Literal["random", "constant", "table", "code", "tied"]
"""How elements come about: drawn; one value each, or one for each part; fixed values of several kinds; by
code that is not of this package; those of another parameter."""

#: The keys of `Copies.record`.
HEADS = (
    *("name", "copies", "shape", "dtype", "initializer", "kind", "law", "mean", "std"),
    *("fan_in", "fan_out", "elements", "nbytes", "tied_to", "rule", "place"),
)


class Copies(NamedTuple):
    """Parameters that begin alike and differ in the numbers of their names only, or a single one."""

    name: str  # with spans in the place of numbers that differ: ``h.{0..11}.w``; so are the next two
    tied_to: str  # the parameter that it is tied to; empty for one that is not
    source: str  # the parameter whose values a derived one follows from; else empty
    members: tuple[PlannedParameter, ...]  # at least one, in the plan's order

    @property
    def law(self) -> str:
        """The distribution in words, or those of the parts; empty for what is tied."""
        first = self.members[0]
        if first.tied_to is not None:
            return ""
        law = words_of(first)
        return law.replace(source_of(first), self.source) if self.source else law

    def record(self) -> dict[str, Any]:
        """What there is to say of them as plain data; sizes are those of all copies."""
        first = self.members[0]
        is_tied = first.tied_to is not None
        law = None if is_tied else law_moments(first)
        return {
            "name": self.name,
            "copies": len(self.members),
            "shape": first.shape,
            "dtype": first.dtype.name,
            "initializer": "tied" if is_tied else canonical_name(type(first.initializer)),
            "kind": kind_of(first),
            "law": self.law,
            "mean": law.mean if law else None,
            "std": law.std if law else None,
            "fan_in": first.fans.fan_in if first.fans else None,
            "fan_out": first.fans.fan_out if first.fans else None,
            "elements": 0 if is_tied else sum(each.numel for each in self.members),
            "nbytes": 0 if is_tied else sum(each.nbytes for each in self.members),
            "tied_to": self.tied_to or None,
            "rule": first.rule,
            "place": str(first.where) if first.where else None,
        }


def kind_of(parameter: PlannedParameter) -> Kind:
    """How the elements of a parameter come about."""
    if parameter.tied_to is not None:
        return "tied"
    try:
        parts = parameter.components
    except InitializerError:  # a fault that planning did not see; making the array tells it
        return "table"
    if any(part.distribution is None and part.built is None for part in parts):
        return "code"
    if any(part.is_random for part in parts):
        return "random"
    return "constant" if all(part.distribution is not None for part in parts) else "table"


def law_moments(parameter: PlannedParameter) -> Moments | None:
    """The mean and the standard deviation of a parameter's elements by its law, where they are known.

    Those of a combined initializer are of the mixture of its parts, by their numbers of elements.
    """
    if parameter.distribution is not None:
        with suppress(InitializerError):  # bounds so far out that a truncated law has no moments in floats
            return moments(parameter.distribution)
        return None
    try:
        parts = parameter.components
        found = [each.summary() for each in parts]
    except InitializerError:  # a fault that planning did not see; making the array tells it
        return None
    known = [each for each in found if each is not None]
    if len(known) < len(parts) or not parameter.numel:
        return None
    weights = _weights(parts, parameter)
    mean = sum(weight * part.mean for weight, part in zip(weights, known, strict=True))
    square = sum(
        weight * (part.std**2 + (part.mean - mean) ** 2) for weight, part in zip(weights, known, strict=True)
    )
    return Moments(mean, math.sqrt(square))


def _weights(parts: Sequence[Component], parameter: PlannedParameter) -> list[float]:
    return weights_of([each.box(parameter.shape) for each in parts], parameter.numel)


_BINS = 36
_REACH = 3.2  # standard deviations to either side of the mean


def curve_of(parameter: PlannedParameter) -> Curve | None:
    """How the law's probability lies around its mean; None where it is not known, or complex."""
    law = law_moments(parameter)
    if law is None or parameter.tied_to is not None or parameter.dtype.kind == "complex":
        return None
    reach = _REACH * law.std or 1.0
    edges = tuple(law.mean + reach * (2 * at / _BINS - 1) for at in range(_BINS + 1))
    parts = parameter.components
    heights = [0.0] * _BINS
    with suppress(InitializerError):
        for part, weight in zip(parts, _weights(parts, parameter), strict=True):
            if not part.mixture:
                return None
            for share, distribution in part.mixture:
                for at, height in enumerate(_masses(distribution, edges)):
                    heights[at] += weight * share * height
        ends = f"{number(edges[0])} to {number(edges[-1])}" if law.std else number(law.mean)
        return Curve(f"mean {number(law.mean)}, std {number(law.std)}; from {ends}", tuple(heights))
    return None


@functools.lru_cache(maxsize=1024)
def _masses(distribution: Distribution, edges: tuple[float, ...]) -> tuple[float, ...]:
    """The probability between neighbouring edges."""
    below = [cdf(distribution, edge) for edge in edges]
    return tuple(high - low for low, high in itertools.pairwise(below))


COLUMNS = (
    Column("name", SEGMENTS, easy=40, style={"bold": True}),
    Column("", weight=10, right=True, style={"dim": True}),  # how many copies
    Column("shape", WORDS),
    Column("dtype", weight=3, style={"dim": True}),
    Column("initializer", SEGMENTS, weight=5, style={"fg": "cyan"}),
    Column("distribution", LAWS, easy=31, style=None),
    Column("rule", SEGMENTS, weight=2, style={"dim": True}),
    Column("fan_in, fan_out", weight=1),
    Column("size", weight=4, right=True),
)

# What rows may be sorted by, and whether the largest comes first.
SORTS = {"name": False, "initializer": False, "copies": True, "elements": True, "std": True, "fan_in": True}


def sorted_copies(groups: Iterable[Copies], sort: str | None) -> list[Copies]:
    """Copies in the plan's order, or by a key of `SORTS`; what has no value to sort by comes last."""
    if sort is None:
        return list(groups)
    return in_order(groups, lambda copies: copies.record()[sort], largest_first=SORTS[sort])


def table_of(plan: Plan, groups: Sequence[Copies], *, brief: bool = False, curves: bool = False) -> Table:
    """Copies as a table, and what the plan holds.

    With `brief`, a long law is shown by its kind and moments. With `curves` rows have pictures of
    their laws and the names of all copies, which HTML shows.
    """
    return Table(
        printable(repr(plan).strip("<>")),
        COLUMNS,
        [_row(copies, brief=brief, curve=curves) for copies in groups],
        _notes(plan, groups),
    )


def parameter_table(parameter: PlannedParameter) -> Table:
    """One parameter as a table with a picture of its law."""
    (only,) = listed([parameter], full=True)
    place = [] if parameter.where is None else [printable(str(parameter.where))]
    return Table(printable(parameter.name), COLUMNS, [_row(only, brief=False, curve=True)], place)


# A law of more characters takes many lines of a narrow table.
_BRIEF = 60


def _row(copies: Copies, *, brief: bool, curve: bool) -> Row:
    first = copies.members[0]
    is_tied = first.tied_to is not None
    cells = (
        f"{copies.name} = {copies.tied_to}" if is_tied else copies.name,
        f"x{count(len(copies.members))}" if len(copies.members) > 1 else "",
        str(first.shape),
        first.dtype.name,
        "tied" if is_tied else canonical_name(type(first.initializer)),
        _brief_law(copies) if brief else copies.law,
        first.rule or "",
        fans_text(first),
        "-" if is_tied else size(sum(each.nbytes for each in copies.members)),
    )
    names = tuple(each.name for each in copies.members) if curve else ()
    return Row(tuple(map(printable, cells)), kind_of(first), names, curve_of(first) if curve else None)


def _brief_law(copies: Copies) -> str:
    """The law, or what its elements come to where it is long and that is known."""
    law, first = copies.law, copies.members[0]
    come_to = law_moments(first) if len(law) > _BRIEF else None
    if come_to is None:
        return law
    return f"{kind_of(first)}: mean {number(come_to.mean)}, std {number(come_to.std)}"


_SHOWN_SKIPS = 5


def _notes(plan: Plan, groups: Sequence[Copies]) -> list[str]:
    """What the plan holds, by kind too, and what rules have left out of it."""
    shown = sum(len(copies.members) for copies in groups)
    held = [counted(len(plan), "parameter"), counted(plan.numel, "element"), size(plan.nbytes)]
    lines = [f"{', '.join(held)}, seed {plan.seed}", *_by_kind(groups)]
    if shown < len(plan):
        lines.insert(0, f"{counted(shown, 'parameter')} shown of the plan's {count(len(plan))}:")
    by_rule = [skipped for skipped in plan.skipped if skipped.rule is not None]
    for skipped in by_rule[:_SHOWN_SKIPS]:
        lines.append(printable(f"{skipped.name} is skipped by the rule {skipped.rule!r}"))
    if len(by_rule) > _SHOWN_SKIPS:
        lines.append(f"and so are {count(len(by_rule) - _SHOWN_SKIPS)} more")
    if buffers := len(plan.skipped) - len(by_rule):
        lines.append(f"{counted(buffers, 'buffer')} left as the model has them")
    return lines


def _by_kind(groups: Sequence[Copies]) -> list[str]:
    """The parameters, elements and bytes of each kind that is shown, and its share of the elements."""
    kinds: dict[str, list[PlannedParameter]] = {}
    for copies in groups:
        kinds.setdefault(kind_of(copies.members[0]), []).extend(copies.members)
    if len(kinds) < 2:
        return []
    elements = {kind: sum(each.numel for each in own) for kind, own in kinds.items() if kind != "tied"}
    total = sum(elements.values()) or 1
    rows = []
    for kind in sorted(kinds, key=lambda kind: -elements.get(kind, -1)):
        own, numel = kinds[kind], elements.get(kind)
        told = (
            ("-", "-", "-")
            if numel is None
            else (counted(numel, "element"), size(sum(each.nbytes for each in own)), _share(numel, total))
        )
        rows.append(Row((f"  {kind}", counted(len(own), "parameter"), *told)))
    right = Column(right=True)
    return Table("", (Column(), right, right, right, right), rows).lines()[0]


def _share(part: int, whole: int) -> str:
    share = 100 * part / whole
    return "<0.1%" if 0 < share < 0.05 else f"{share:.1f}%"
