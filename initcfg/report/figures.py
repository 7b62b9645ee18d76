"""The figures of a report as a value: what is drawn, and nothing of how.

Parameters that begin alike and differ only in a number of their names, the copies of a layer, are one row.
The JSON Schema is `schemas/figures.v1.schema.json`. Every mark of a picture follows from this value alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

import initcfg
from initcfg.errors import SpecError
from initcfg.explanations import published
from initcfg.initializers import Formula, canonical_name
from initcfg.names import fold, numbers_of
from initcfg.plan.describing import describe_law, fold_copies
from initcfg.plan.listing import law_moments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from initcfg.distributions import Moments
    from initcfg.errors import Diagnostic
    from initcfg.initializers import Initializer
    from initcfg.plan import Plan, PlannedParameter
    from initcfg.plan.describing import Copies


class _Value(BaseModel):
    """A frozen value that knows no other keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Row(_Value):
    """Parameters that begin alike: one, or the copies of one in repeated layers."""

    name: str = Field(description="the name, with numbers that differ as spans: h.{0..11}.w")
    copies: int = Field(ge=1)
    shape: tuple[int, ...]
    dtype: str
    initializer: str
    law: str = Field(description="the distribution, or those of the parts")
    tied_to: str | None = None
    kind: Literal["matrix", "vector", "table"] = Field(
        description="a table has fixed values of several kinds"
    )
    fan_in: float | None = None
    fan_out: float | None = None
    mean: float | None = Field(None, description="of the law; none where it is not known")
    std: float | None = Field(None, description="of the law; none where it is not known")
    elements: int = Field(description="of all copies; 0 for a tied parameter")
    nbytes: int = Field(description="of all copies; 0 for a tied parameter")
    rule: str | None = None
    place: str | None = Field(None, description="where the spec says so: file, line and column")


class Point(_Value):
    """One block of a series."""

    block: int
    gain: float = Field(description="std * sqrt(fan_in): 1 keeps the variance of a signal")


class Series(_Value):
    """The gain of one matrix through the blocks that repeat it."""

    name: str
    points: tuple[Point, ...]


class Warned(_Value):
    """A warning of the plan."""

    code: str
    message: str
    hint: str | None
    place: str | None
    line: str | None = Field(None, description="the line of the spec")


class Total(_Value):
    """What the parameters of one initializer come to."""

    initializer: str
    parameters: int
    elements: int
    nbytes: int


class Model(_Value):
    """One spec or plan."""

    file: str
    name: str | None
    seed: int
    fingerprint: str | None = Field(description="none where the plan holds code")
    parameters: int
    elements: int
    nbytes: int
    totals: tuple[Total, ...]
    rows: tuple[Row, ...]
    depth: tuple[Series, ...]
    warnings: tuple[Warned, ...]


class Figures(_Value):
    """What a report shows."""

    figures: Literal[1] = 1
    version: str = Field(description="of initcfg")
    command: str | None = None
    models: tuple[Model, ...]


def figures_of(
    plans: Iterable[tuple[str, Plan, Sequence[Diagnostic]]], *, command: str | None = None
) -> Figures:
    """Computes what a report shows of plans.

    Args:
        plans: of each the file that it is from, the plan, and its warnings, as `initcfg.find_warnings` gives.
        command: the command line that asked for it.

    Example:
        >>> import initcfg
        >>> plan = initcfg.make_plan({
        ...     "initcfg": 1, "layout": "out_in",
        ...     "params": {f"h.{i}.w": {"shape": [8, 64], "initializer": "he_normal"} for i in range(3)},
        ... })
        >>> (row,) = figures_of([("net.yaml", plan, ())]).models[0].rows
        >>> row.name, row.copies, round(row.std, 4)
        ('h.{0..2}.w', 3, 0.1768)
    """
    return Figures(
        version=initcfg.__version__,
        command=command,
        models=tuple(_model(file, plan, warnings) for file, plan, warnings in plans),
    )


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of figures."""
    return published("figures", Figures.model_json_schema(mode="serialization"))


def _model(file: str, plan: Plan, warnings: Sequence[Diagnostic]) -> Model:
    parameters = list(plan)
    groups = fold_copies(parameters)
    laws = [_law_of(parameters[group.ranks[0]]) for group in groups]
    return Model(
        file=file,
        name=plan.name,
        seed=plan.seed,
        fingerprint=_fingerprint(plan),
        parameters=len(plan),
        elements=plan.numel,
        nbytes=plan.nbytes,
        totals=_totals(parameters),
        rows=tuple(
            _row(group, [parameters[at] for at in group.ranks], law)
            for group, law in zip(groups, laws, strict=True)
        ),
        depth=_depth(parameters, groups, laws),
        warnings=tuple(map(_warned, warnings)),
    )


def _fingerprint(plan: Plan) -> str | None:
    try:
        return plan.fingerprint
    except SpecError:
        return None


def _totals(parameters: Sequence[PlannedParameter]) -> tuple[Total, ...]:
    """Sums of the parameters of each initializer, the largest first; a tied parameter adds nothing."""
    kinds: defaultdict[type[Initializer], list[PlannedParameter]] = defaultdict(list)
    for parameter in parameters:
        if parameter.tied_to is None:
            kinds[type(parameter.initializer)].append(parameter)
    totals = [
        Total(
            initializer=canonical_name(kind),
            parameters=len(members),
            elements=sum(each.numel for each in members),
            nbytes=sum(each.nbytes for each in members),
        )
        for kind, members in kinds.items()
    ]
    return tuple(sorted(totals, key=lambda total: -total.elements))


def _row(group: Copies, copies: Sequence[PlannedParameter], law: Moments | None) -> Row:
    first = copies[0]
    tied = first.tied_to is not None
    return Row(
        name=group.name,
        copies=len(copies),
        shape=first.shape,
        dtype=first.dtype.name,
        initializer="tied" if tied else canonical_name(type(first.initializer)),
        law="" if tied else describe_law(first.initializer, first.shape, first.layout),
        tied_to=group.tied_to or None,
        kind="table" if _is_table(first.initializer) else "matrix" if len(first.shape) > 1 else "vector",
        fan_in=first.fans.fan_in if first.fans else None,
        fan_out=first.fans.fan_out if first.fans else None,
        mean=law.mean if law else None,
        std=law.std if law else None,
        elements=0 if tied else sum(each.numel for each in copies),
        nbytes=0 if tied else sum(each.nbytes for each in copies),
        rule=first.rule,
        place=str(first.where) if first.where else None,
    )


def _is_table(initializer: Initializer) -> bool:
    return isinstance(initializer, Formula) and initializer.of is None


def _law_of(parameter: PlannedParameter) -> Moments | None:
    return None if parameter.tied_to else law_moments(parameter)


def _depth(
    parameters: Sequence[PlannedParameter], groups: Sequence[Copies], laws: Sequence[Moments | None]
) -> tuple[Series, ...]:
    """The gains of matrices whose names differ in one number only, by that number."""
    matrices = [
        (parameters[at], law.std * math.sqrt(first.fans.fan_in))
        for group, law in zip(groups, laws, strict=True)
        if law is not None and law.std > 0
        if (first := parameters[group.ranks[0]]).fans and len(first.shape) > 1
        if not _is_table(first.initializer)
        for at in group.ranks
    ]
    series = []
    for (name,), members in fold([((), (parameter.name,)) for parameter, _ in matrices]):
        numbers = [numbers_of(matrices[at][0].name) for at in members]
        places = [place for place, values in enumerate(zip(*numbers, strict=True)) if len(set(values)) > 1]
        if len(places) == 1 and len(members) > 2:
            blocks = sorted(
                (int(values[places[0]]), matrices[at][1]) for values, at in zip(numbers, members, strict=True)
            )
            series.append(Series(name=name, points=tuple(Point(block=at, gain=gain) for at, gain in blocks)))
    return tuple(series)


def _warned(warning: Diagnostic) -> Warned:
    return Warned(
        code=str(warning.code),
        message=warning.message,
        hint=warning.hint,
        place=str(warning.where) if warning.where else None,
        line=warning.where.text if warning.where else None,
    )
