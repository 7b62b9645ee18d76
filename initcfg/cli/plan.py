"""``initcfg plan``: how every parameter will begin, before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import force_option, output_option, with_spec_options
from initcfg.cli.output import with_output
from initcfg.cli.report import Contents, Exit
from initcfg.cli.words import SEGMENTS, WORDS, Column, table_text
from initcfg.errors import printable
from initcfg.wording import count, counted, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.cli.arguments import SpecOptions
    from initcfg.cli.output import Output
    from initcfg.plan import Plan, PlannedParameter
    from initcfg.plan.describing import Copies


@click.command(
    cls=Command,
    short_help="Show how every parameter will begin.",
    example=(
        "initcfg plan configs/gpt2.yaml",
        "initcfg plan configs/gpt2.yaml --select '**.bias' --full",
        "initcfg plan configs/gpt2.yaml -o plan.json",
        "initcfg plan configs/gpt2.yaml --format json | jq '.parameters[0]'",
    ),
)
@click.argument("file", metavar="FILE")
@output_option("PLAN", "Write the plan to a JSON file.")
@force_option
@click.option("--select", metavar="GLOB", help="Show only the parameters whose names match.")
@click.option("--full", is_flag=True, help="Show every copy of a layer in a line of its own.")
@with_spec_options
@with_output
def plan(
    *,
    file: str,
    path: str | None,
    force: bool,
    select: str | None,
    full: bool,
    options: SpecOptions,
    output: Output,
) -> int:
    """Show how every parameter will begin: shape, initializer, resolved distribution, fans, size.

    FILE is a spec or a plan; "-" reads standard input. Nothing is allocated, however large the model. The
    table goes to stdout; copies of a layer that begin alike share a line, whose size is that of all of them.
    With --format json the plan is a JSON document of every parameter, and with -o that document goes to a
    file instead. A plan that is there is replaced, any other file only with --force.
    """
    from initcfg.cli.arguments import plan_from, selection

    if select is not None and (path is not None or output.format == "json"):
        raise click.UsageError("--select is of the table; a plan file holds every parameter")
    planned = plan_from(file, options, tell=output.note)
    if path is not None:
        about = f"{Contents.of(planned)}, fingerprint {planned.fingerprint}"
        output.save(path, planned.to_json(), about, force=force)
    elif output.format == "json":
        output.data(planned.to_json())
    else:
        output.show(plan_text(planned, selection(planned, select), output.width, full=full))
    return Exit.FINE


COLUMNS = (
    Column("name", SEGMENTS, easy=40, style={"bold": True}),
    Column("", weight=10, right=True, style={"dim": True}),  # how many copies
    Column("shape", WORDS),
    Column("dtype", weight=3, style={"dim": True}),
    Column("initializer", SEGMENTS, weight=5, style={"fg": "cyan"}),
    Column("distribution", WORDS, style={"fg": "green"}),
    Column("rule", SEGMENTS, weight=2, style={"dim": True}),
    Column("fan_in, fan_out", weight=1),
    Column("size", weight=4, right=True),
)
# Left out of a plan in which no parameter has one.
_SOMETIMES = ("", "rule")
_SHOWN_SKIPS = 5


def plan_text(
    plan: Plan, parameters: Sequence[PlannedParameter], width: int | None = None, *, full: bool = False
) -> str:
    """Parameters of the plan as a table fitted to a width, and what the plan comes to.

    Copies of a layer that begin alike share a line, as in ``h.{0..11}.ln.bias  x12``, unless it is `full`.
    """
    from initcfg.plan.describing import Copies, fold_copies, source_of

    groups = (
        [Copies(each.name, each.tied_to or "", source_of(each), [at]) for at, each in enumerate(parameters)]
        if full
        else fold_copies(parameters)
    )
    rows = [_cells(group, [parameters[at] for at in group.ranks]) for group in groups]
    shown = [
        rank
        for rank, column in enumerate(COLUMNS)
        if column.heading not in _SOMETIMES or any(row[rank] for row in rows)
    ]
    rows = [tuple(row[rank] for rank in shown) for row in rows]
    return table_text([COLUMNS[rank] for rank in shown], rows, _totals(plan, parameters), width)


def _cells(group: Copies, copies: Sequence[PlannedParameter]) -> tuple[str, ...]:
    """A line."""
    from initcfg.initializers import canonical_name
    from initcfg.plan.describing import describe_law, fans_text, source_of

    name, tied_to, source, _ = group
    first = copies[0]
    initializer = first.initializer
    law = describe_law(initializer, first.shape, first.layout)
    cells = (
        f"{name} = {tied_to}" if tied_to else name,
        f"x{count(len(copies))}" if len(copies) > 1 else "",
        str(first.shape),
        first.dtype.name,
        "tied" if tied_to else canonical_name(type(initializer)),
        "" if tied_to else law.replace(source_of(first), source) if source else law,
        first.rule or "",
        fans_text(first),
        "-" if tied_to else size(sum(each.nbytes for each in copies)),
    )
    return tuple(printable(cell) for cell in cells)


def _totals(plan: Plan, shown: Sequence[PlannedParameter]) -> list[str]:
    """What the plan holds, and what rules have left out of it."""
    lines = [f"{Contents.of(plan)}, seed {plan.seed}"]
    if len(shown) < len(plan):
        lines.insert(0, f"{counted(len(shown), 'parameter')} shown of the plan's {count(len(plan))}:")
    by_rule = [skipped for skipped in plan.skipped if skipped.rule is not None]
    for skipped in by_rule[:_SHOWN_SKIPS]:
        lines.append(printable(f"{skipped.name} is skipped by the rule {skipped.rule!r}"))
    if len(by_rule) > _SHOWN_SKIPS:
        lines.append(f"and so are {count(len(by_rule) - _SHOWN_SKIPS)} more")
    if buffers := len(plan.skipped) - len(by_rule):
        lines.append(f"{counted(buffers, 'buffer')} left as the model has them")
    return lines
