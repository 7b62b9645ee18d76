"""The figures of a report, computed from plans and from weights held against them; copies are one row."""

from __future__ import annotations

import math
import platform
from collections import defaultdict
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import initcfg
from initcfg import inspection
from initcfg.diff import beside
from initcfg.errors import Code, Diagnostic, Location, SpecError
from initcfg.generate.memory import materialize
from initcfg.initializers import Formula, Initializer, canonical_name
from initcfg.inspection import Histogram
from initcfg.names import fold, numbers_of
from initcfg.plan.listing import Copies, listed
from initcfg.report.values import (
    Comparison,
    Counts,
    Difference,
    Errors,
    Figures,
    HeldLaw,
    Made,
    Model,
    Point,
    Row,
    Series,
    Shares,
    Spectrum,
    Summary,
    Total,
    Warned,
    Weights,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from initcfg.formats import Array
    from initcfg.layout import Axes
    from initcfg.plan import Plan, PlannedParameter
    from initcfg.probe import Probe
    from initcfg.verification import Verification
    from initcfg.verification.listing import LawRow
    from initcfg.verification.meant import Meant


class Source(NamedTuple):
    """What figures are of.

    Args:
        file: that the plan is from, as it was named.
        plan: of which they are.
        warnings: of it, as `initcfg.find_warnings` gives.
        found: of weights held against its laws, with histograms.
    """

    file: str
    plan: Plan
    warnings: Sequence[Diagnostic] = ()
    found: Verification | None = None


def figures_of(
    sources: Iterable[Source | tuple[str, Plan, Sequence[Diagnostic]]],
    *,
    command: str | None = None,
    probe: Probe | None = None,
) -> Figures:
    """Computes what a report shows of plans.

    Args:
        sources: the plans, each with where it is from and what was found of it.
        command: the command line that asked for it.
        probe: what was measured of a live model with such plans, to be shown beside them.

    Example:
        >>> import initcfg
        >>> plan = initcfg.make_plan({
        ...     "initcfg": 1, "layout": "out_in",
        ...     "params": {f"h.{i}.w": {"shape": [8, 64], "initializer": "he_normal"} for i in range(3)},
        ... })
        >>> (row,) = figures_of([Source("net.yaml", plan)]).models[0].rows
        >>> row.name, row.copies, round(row.std, 4)
        ('h.{0..2}.w', 3, 0.1768)
    """
    given = [Source(*source) for source in sources]
    versions = {"initcfg": initcfg.__version__, "python": platform.python_version(), "numpy": np.__version__}
    return Figures(
        made=Made(**versions, command=command),
        models=tuple(map(_model, given)),
        comparison=_comparison([each.plan for each in given]) if len(given) > 1 else None,
        probe=probe,
    )


def spectrum_of(matrix: Array, *, name: str = "matrix", std: float | None = None) -> Spectrum:
    """Computes the singular values of a matrix, and where those of independent elements lie.

    The edges are those of Marchenko and Pastur, "Distribution of eigenvalues for some sets of random
    matrices", 1967.

    Args:
        matrix: two-dimensional, of finite numbers; a kernel is to be flattened as its layer takes it.
        name: what to call it.
        std: of the law; that of the elements about 0 if none is given.

    Raises:
        ValueError: it is no such matrix.

    Example:
        >>> found = spectrum_of(np.diag([3.0, 1.0, 2.0, 0.0]))
        >>> found.values, found.edges
        ((3.0, 2.0, 1.0, 0.0), (0.0, 3.7416573867739413))
    """
    given = np.asarray(matrix)
    wide = given.astype(np.complex128 if given.dtype.kind == "c" else np.float64)
    if wide.ndim != 2 or not wide.size or not np.isfinite(wide).all():
        raise ValueError(
            f"a spectrum is of a matrix of finite numbers, not of an array of shape {wide.shape}"
        )
    rows, columns = wide.shape
    std = math.sqrt(float(np.square(np.abs(wide)).mean())) if std is None else std
    edges = (std * abs(math.sqrt(rows) - math.sqrt(columns)), std * (math.sqrt(rows) + math.sqrt(columns)))
    return Spectrum(
        name=name,
        rows=rows,
        columns=columns,
        std=std,
        values=tuple(map(float, np.linalg.svd(wide, compute_uv=False))),
        edges=edges,
        orthogonal=std * math.sqrt(max(rows, columns)),
    )


def _model(source: Source) -> Model:
    plan, groups = source.plan, listed(source.plan.parameters)
    rows = tuple(map(_row, groups))
    return Model(
        file=source.file,
        name=plan.name,
        seed=plan.seed,
        fingerprint=_fingerprint(plan),
        parameters=len(plan),
        elements=plan.numel,
        nbytes=plan.nbytes,
        totals=_totals(plan.parameters),
        rows=rows,
        depth=_depth(groups, rows),
        spectra=_spectra(groups, rows),
        warnings=tuple(map(_warned, source.warnings)),
        weights=None if source.found is None else _weights(source.found, groups),
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


def _row(group: Copies) -> Row:
    first = group.members[0]
    kind = "table" if _is_table(first.initializer) else "matrix" if len(first.shape) > 1 else "vector"
    return Row(**group.record() | {"kind": kind})


def _is_table(initializer: Initializer) -> bool:
    return isinstance(initializer, Formula) and initializer.of is None


def _depth(groups: Sequence[Copies], rows: Sequence[Row]) -> tuple[Series, ...]:
    """The gains of matrices whose names differ in one number only, by that number."""
    matrices = [
        (member, row.std * math.sqrt(row.fan_in))
        for group, row in zip(groups, rows, strict=True)
        if row.kind == "matrix" and row.std and row.fan_in is not None
        for member in group.members
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


# Decompositions of larger ones would be waited for, and more pictures would be a crowd.
_SMALL_MATRIX, _LEAST_SIDE, _DRAWN_SPECTRA = 2**18, 8, 8


def _spectra(groups: Sequence[Copies], rows: Sequence[Row]) -> tuple[Spectrum, ...]:
    """The singular values of small matrices, which are made for it: the largest ones, of copies the first."""
    small: list[tuple[int, PlannedParameter, Axes, float]] = []
    for rank, (group, row) in enumerate(zip(groups, rows, strict=True)):
        first = group.members[0]
        if not row.std or first.layout is None or row.kind != "matrix":
            continue
        axes = first.layout.axes(len(first.shape))
        columns = math.prod(first.shape[axis] for axis in axes.outputs)
        sides = columns, first.numel // max(columns, 1)
        if not axes.batch and min(sides) >= _LEAST_SIDE and first.numel <= _SMALL_MATRIX:
            small.append((rank, first, axes, row.std))
    largest = sorted(small, key=lambda each: -each[1].numel)[:_DRAWN_SPECTRA]
    spectra = []
    for rank, first, axes, std in sorted(largest, key=lambda each: each[0]):
        others = [axis for axis in range(len(first.shape)) if axis not in axes.outputs]
        made = np.asarray(materialize(first)).transpose(*others, *axes.outputs)
        matrix = made.reshape(math.prod(first.shape[axis] for axis in others), -1)
        found = spectrum_of(matrix, name=groups[rank].name, std=std)
        spectra.append(found.model_copy(update={"row": rank}))
    return tuple(spectra)


def _warned(found: Diagnostic) -> Warned:
    where = found.where or Location()
    marked = None
    if where.text is not None and where.column is not None:
        marked = where.column - 1, max(where.column, (where.end_column or 0) - 1)
    return Warned(
        code=str(found.code),
        severity=found.severity,
        message=found.message,
        hint=found.hint,
        place=str(where) if found.where else None,
        line=where.text,
        marked=marked,
    )


def _comparison(plans: Sequence[Plan]) -> Comparison:
    """Parameters of equal names, by what decides their law, shape and dtype."""
    alone, alike, differences = [0] * len(plans), 0, []
    for row in beside(plans, random_numbers=False):
        known = [rank for rank, begins in enumerate(row.begins) if begins is not None]
        if len(known) == 1:
            alone[known[0]] += len(row.members)
        elif not row.differs:
            alike += len(row.members)
        else:
            differences.append(Difference(name=row.name, copies=len(row.members), begins=row.begins))
    return Comparison(alike=alike, differences=tuple(differences), alone=tuple(alone))


# Histograms of more are a crowd; those that differ come first, then the largest.
_DRAWN_LAWS = 120
_TOLD_PROBLEMS = 100


def _weights(found: Verification, groups: Sequence[Copies]) -> Weights:
    """What was found of weights, the copies of a parameter together unless only some of them differ."""
    report = found.law
    if report is None:
        raise ValueError("the weights were not held against laws: verify with law=True")
    row_of = {each.name: rank for rank, group in enumerate(groups) for each in group.members}
    kinds: defaultdict[Hashable, list[LawRow]] = defaultdict(list)
    for row in report.rows:
        kinds[row_of[row.name], row.part, row.problem is None].append(row)
    copies = list(kinds.values())
    sizes = [(rows[0].problem is None, -sum(row.elements for row in rows)) for rows in copies]
    ranked = sorted((rank for rank, rows in enumerate(copies) if rows[0].pictured), key=sizes.__getitem__)
    drawn = set(ranked[:_DRAWN_LAWS])
    others = [
        each
        for each in found.diagnostics
        if each.severity != "error" or each.code not in {Code.LAW, Code.VALUES}
    ]
    return Weights(
        file=str(found.path),
        fingerprint=found.fingerprint,
        tensors=found.tensors,
        elements=found.elements,
        nbytes=found.nbytes,
        tests=report.tests,
        false_alarms=report.false_alarms,
        laws=tuple(
            _held(row_of[rows[0].name], rows, is_drawn=rank in drawn) for rank, rows in enumerate(copies)
        ),
        problems=tuple(map(_warned, others[:_TOLD_PROBLEMS])),
        others=len(others[_TOLD_PROBLEMS:]),
    )


def _held(rank: int, copies: Sequence[LawRow], *, is_drawn: bool) -> HeldLaw:
    first = max(copies, key=lambda row: max(map(abs, row.errors or (0.0,))))
    ((name,), _), *_ = fold([((), (row.name,)) for row in copies])
    counted = reduce(inspection.merged, map(_moments, copies))
    errors = [
        (row.elements, row.errors) for row in copies if row.errors and all(map(math.isfinite, row.errors))
    ]
    counts = shares = None
    if is_drawn and first.histogram is not None and first.pictured is not None:
        merged = reduce(Histogram.merged, (row.histogram for row in copies if row.histogram is not None))
        counts = _counts(merged)
        shares = _shares(first.pictured, replace(merged, doublings=0).edges)
    return HeldLaw(
        row=rank,
        name=name,
        part=first.part,
        copies=len(copies),
        law=first.law,
        elements=sum(row.elements for row in copies),
        meant=None if first.meant is None else _summary(*first.meant),
        found=_summary(counted.mean, counted.std, counted.low, counted.high),
        z=Errors(mean=_joint(errors, 0), std=_joint(errors, 1)) if errors else None,
        counts=counts,
        shares=shares,
        problem=first.problem,
    )


def _joint(errors: Sequence[tuple[int, tuple[float, float]]], which: int) -> float:
    """The standard errors of several samples together, by Stouffer's method weighted by counts."""
    total = sum(math.sqrt(count) * each[which] for count, each in errors)
    return total / math.sqrt(sum(count for count, _ in errors))


def _moments(row: LawRow) -> inspection.Moments:
    mean, std, low, high = row.found
    return inspection.Moments(
        count=row.elements, mean=mean, squares=std * std * row.elements, low=low, high=high
    )


def _summary(*four: float) -> Summary:
    mean, std, low, high = (float(each) if math.isfinite(each) else None for each in four)
    return Summary(mean=mean, std=std, low=low, high=high)


def _counts(histogram: Histogram) -> Counts:
    taken = _between_zeros(histogram.counts)
    low, width = float(histogram.edges[taken.start]), float(np.diff(histogram.edges[:2])[0])
    counts = tuple(map(int, histogram.counts[taken]))
    return Counts(low=low, width=width, counts=counts, outside=histogram.outside)


def _shares(law: Meant, edges: Array) -> Shares:
    shares = np.array([float(f"{share:.6g}") for share in law.shares(edges)])
    taken = _between_zeros(shares)
    width = float(np.diff(edges[:2])[0])
    return Shares(low=float(edges[taken.start]), width=width, shares=tuple(map(float, shares[taken])))


def _between_zeros(numbers: Array) -> slice:
    places = np.flatnonzero(numbers)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 1)
