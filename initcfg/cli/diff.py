"""``initcfg diff``: what two specs do differently."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import with_spec_options
from initcfg.cli.output import with_output
from initcfg.cli.report import Checked, Exit, Report
from initcfg.errors import InitcfgError, SpecError, printable, text_width
from initcfg.names import fill_numbers, folded, mark_numbers, number_spans, numbers_of, told_apart
from initcfg.plan.plan import parameter_data
from initcfg.wording import count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from initcfg.cli.arguments import SpecOptions
    from initcfg.cli.output import Output
    from initcfg.diff import Aspect, Change, PlanDiff
    from initcfg.plan import Plan, PlannedParameter


@click.command(
    cls=Command,
    short_help="Show what two specs do differently.",
    example=(
        "initcfg diff configs/gpt2.yaml new.yaml",
        "initcfg diff plan.json configs/gpt2.yaml --format json",
        "initcfg diff configs/mlp.yaml configs/mlp.yaml --set seed=7",
    ),
)
@click.argument("old", metavar="A")
@click.argument("new", metavar="B")
@click.option(
    "--rename",
    metavar="A_NAME=B_NAME",
    multiple=True,
    help="Put other leading segments into names of A; {i} keeps a number. May be repeated.",
)
@with_spec_options
@with_output
def diff(*, old: str, new: str, rename: tuple[str, ...], options: SpecOptions, output: Output) -> int:
    """Show what two specs or plans do differently: what parameters there are and how each begins.

    A is the old one and B the new one; one of them may be "-", standard input. What is written differently
    and makes the same values is no difference. Layers that change alike share a line. --set changes B
    only. The exit code is 0 when there is no difference, 1 when there is one, 2 when a file is not valid.
    """
    from initcfg.cli.arguments import plan_from
    from initcfg.diff import diff_plans

    if old == new == "-":
        raise click.UsageError("standard input can be one of the two only")
    plans = []
    for file, its_options in ((old, options._replace(settings=())), (new, options)):
        try:
            plans.append(plan_from(file, its_options))
        except InitcfgError as error:
            # What differs is unknown, which must not look like an answer.
            output.findings(Report((Checked.failed(file, error.diagnostics),)))
            return Exit.USAGE
    try:
        found = diff_plans(plans[0], plans[1], rename)
    except SpecError as error:
        problem = error.diagnostics[0]
        raise click.UsageError(f"--rename: {problem.message}; {problem.hint}") from error
    if output.format == "json":
        output.data(json.dumps(as_data(found, old, new), indent=2))
    else:
        output.show(as_text(found, output.width))
    return Exit.PROBLEMS if found else Exit.FINE


_SIGNS = {
    "added": ("+", "green"),
    "removed": ("-", "red"),
    "changed": ("~", "yellow"),
    "renamed": (">", "cyan"),
}


def as_text(diff: PlanDiff, width: int | None = None) -> str:
    """The changes as lines with colours, and how many there are of each kind."""
    lines = [_painted(line, width) for line in _collapsed(diff)]
    counts = {kind: len(diff.of_kind(kind)) for kind in _SIGNS} | {"unchanged": diff.unchanged}
    told = (f"{count(number)} {kind}" for kind, number in counts.items() if number or kind == "unchanged")
    return "\n".join([*lines, *([""] if lines else []), ", ".join(told)])


@dataclass(frozen=True, slots=True)
class _Line:
    """One change in words; the name of a renamed parameter is the old one, an arrow and the new one."""

    kind: str
    name: str
    details: tuple[str, ...]


def _collapsed(diff: PlanDiff) -> list[_Line]:
    """The changes in words; those that differ only in the numbers of names in one line, ``h.{0..11}.w``."""
    groups: defaultdict[_Line, list[tuple[str, ...]]] = defaultdict(list)
    twins = _twins(diff)
    for change in diff.changes:
        numbers = numbers_of(change.name)
        line = _line(change, numbers, diff)
        if twin := twins.get(change.name):
            other = "removed" if change.kind == "added" else "added"
            looks = f"looks like the {other} one{told_apart(twin, change.name)}"
            line = replace(line, details=(*line.details, looks))
        groups[line].append(numbers)
    return [
        _Line(
            line.kind,
            fill_numbers(line.name, spans),
            tuple(fill_numbers(each, spans) for each in line.details),
        )
        for line, found in groups.items()
        for spans, _ in number_spans(found)
    ]


def _twins(diff: PlanDiff) -> dict[str, str]:
    """The removed name that an added one looks like, and the other way round."""
    added, removed = (
        {folded(each.name): each.name for each in diff.of_kind(kind)} for kind in ("added", "removed")
    )
    pairs = [(added[form], removed[form]) for form in added.keys() & removed.keys()]
    return dict(pairs) | {old: new for new, old in pairs}


def _line(change: Change, numbers: Sequence[str], diff: PlanDiff) -> _Line:
    """A change in words, with marks in the place of the numbers of its name."""
    from initcfg.plan.describing import law_of

    old, new, name = change.old, change.new, mark_numbers(change.name, numbers)
    if old is not None and new is not None:
        if change.kind == "renamed":
            return _Line(change.kind, f"{mark_numbers(old.name, numbers)} -> {name}", ("keeps its values",))
        before = "" if old.name == new.name else f"{mark_numbers(old.name, numbers)} -> "
        details = (_detail(aspect, old, new, numbers, diff) for aspect in change.aspects)
        return _Line(change.kind, before + name, tuple(details))
    parameter = old or new
    assert parameter is not None  # noqa: S101 - one of the two is always there
    law = f"= {mark_numbers(parameter.tied_to, numbers)}" if parameter.tied_to else law_of(parameter)
    return _Line(change.kind, name, (f"{parameter.shape} {parameter.dtype}", law))


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
    from initcfg.plan.describing import law_of

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


def _painted(line: _Line, width: int | None) -> str:
    """The line with colours; what there is to say below the name where it does not fit beside it."""
    sign, color = _SIGNS[line.kind]
    name, details = printable(line.name), printable("; ".join(line.details))
    is_wide = width is not None and text_width(f"{sign} {name}  {details}") > width
    between = "\n    " if is_wide else "  "
    return f"{click.style(sign, fg=color, bold=True)} {name}{between}{click.style(details, dim=True)}"


def as_data(diff: PlanDiff, old: str, new: str) -> dict[str, object]:
    """The changes as plain data, every parameter by itself; `old` and `new` are the plans' files."""
    twins = _twins(diff)
    return {
        "diff": 1,
        "equal": not diff,
        "old": _plan_data(diff.old, old),
        "new": _plan_data(diff.new, new),
        "unchanged": diff.unchanged,
        "changes": [
            {**_change_data(change), "looks_like": twins.get(change.name)} for change in diff.changes
        ],
    }


def _plan_data(plan: Plan, file: str) -> dict[str, object]:
    return {"file": file, "fingerprint": plan.fingerprint, "seed": plan.seed, "parameters": len(plan)}


def _change_data(change: Change) -> dict[str, object]:
    sides = {"old": change.old, "new": change.new}
    return {
        "change": change.kind,
        "name": change.name,
        "aspects": list(change.aspects),
        **{side: None if each is None else parameter_data(each) for side, each in sides.items()},
    }
