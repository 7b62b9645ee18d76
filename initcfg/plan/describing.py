"""Laws in the few characters that a table has room for."""

from __future__ import annotations

import itertools
import math
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, cast

from initcfg.distributions import Fill, Normal, TruncatedNormal, Uniform
from initcfg.errors import InitializerError
from initcfg.initializers import Combined, canonical_name, resolve
from initcfg.names import fold
from initcfg.wording import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.distributions import Distribution
    from initcfg.initializers import Formula, Initializer, Scaled
    from initcfg.initializers.base import Share
    from initcfg.layout import Layout
    from initcfg.plan.parameters import PlannedParameter


def describe(distribution: Distribution | None) -> str:
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
        case None:
            return "structured"


def law_of(parameter: PlannedParameter) -> str:
    """How a parameter begins, in a few characters: its distribution, or those of its parts."""
    law = describe_law(parameter.initializer, parameter.shape, parameter.layout)
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
        text += " in a sample" if spread.is_sample else ""
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


class Copies(NamedTuple):
    """Parameters that begin alike and differ in the numbers of their names only, or a single one.

    Args:
        name: with spans in the place of numbers that differ: ``h.{0..11}.w``.
        tied_to: the parameter that it is tied to, written so too; empty for one that is not.
        source: the parameter whose values a derived one follows from, written so too; else empty.
        ranks: the positions of the copies among the parameters.
    """

    name: str
    tied_to: str
    source: str
    ranks: list[int]


def fold_copies(parameters: Sequence[PlannedParameter]) -> list[Copies]:
    """Parameters with the copies of a layer put together, in the order of the first of each.

    Example:
        >>> import initcfg
        >>> params = {f"h.{i}.b": {"shape": [8], "initializer": "zeros"} for i in range(3)}
        >>> fold_copies(list(initcfg.make_plan({"initcfg": 1, "params": params})))
        [Copies(name='h.{0..2}.b', tied_to='', source='', ranks=[0, 1, 2])]
    """
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
    return [Copies(name, tied_to, source, ranks) for (name, tied_to, source), ranks in fold(rows)]


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
