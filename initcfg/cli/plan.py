"""``initcfg plan``: how every parameter will begin, before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import force_option, output_option, with_spec_options
from initcfg.cli.output import with_output
from initcfg.cli.report import Contents, Exit
from initcfg.cli.words import SEGMENTS, WORDS, Column, count, counted, describe_law, size, table_text
from initcfg.errors import printable

if TYPE_CHECKING:
    from initcfg.cli.arguments import SpecOptions
    from initcfg.cli.output import Output
    from initcfg.plan import Plan, PlannedParameter


@click.command(
    cls=Command,
    short_help="Show how every parameter will begin.",
    example=(
        "initcfg plan configs/gpt2.yaml",
        "initcfg plan configs/gpt2.yaml -o plan.json",
        "initcfg plan configs/gpt2.yaml --format json | jq '.parameters[0]'",
    ),
)
@click.argument("file", metavar="FILE")
@output_option("PLAN", "Write the plan to a JSON file.")
@force_option
@with_spec_options
@with_output
def plan(*, file: str, path: str | None, force: bool, options: SpecOptions, output: Output) -> int:
    """Show how every parameter will begin: shape, initializer, resolved distribution, fans, size.

    FILE is a spec or a plan; "-" reads standard input. Nothing is allocated, however large the model. The
    table goes to stdout, or the plan as a JSON document with --format json; with -o the document goes to a
    file instead. A plan that is there is replaced, any other file only with --force.
    """
    from initcfg.cli.arguments import plan_from

    planned = plan_from(file, options, tell=output.note)
    if path is not None:
        about = f"{Contents.of(planned)}, fingerprint {planned.fingerprint}"
        output.save(path, planned.to_json(), about, force=force)
    elif output.format == "json":
        output.data(planned.to_json())
    else:
        output.show(plan_text(planned, output.width))
    return Exit.FINE


COLUMNS = (
    Column("name", SEGMENTS, style={"bold": True}),
    Column("shape", WORDS),
    Column("dtype", weight=3, style={"dim": True}),
    Column("initializer", SEGMENTS, weight=5, style={"fg": "cyan"}),
    Column("distribution", WORDS, style={"fg": "green"}),
    Column("rule", SEGMENTS, weight=2, style={"dim": True}),
    Column("fan_in, fan_out", weight=1),
    Column("size", weight=4, right=True),
)
_RULE = [column.heading for column in COLUMNS].index("rule")
_SHOWN_SKIPS = 5


def _cells(parameter: PlannedParameter) -> tuple[str, ...]:
    from initcfg.initializers import canonical_name

    initializer = parameter.initializer
    tied = parameter.tied_to is not None
    cells = (
        parameter.name,
        str(parameter.shape),
        parameter.dtype.name,
        f"= {parameter.tied_to}" if tied else canonical_name(type(initializer)),
        "" if tied else describe_law(initializer, parameter.shape, parameter.layout),
        parameter.rule or "",
        _fans(parameter),
        "-" if tied else size(parameter.nbytes),
    )
    return tuple(printable(cell) for cell in cells)


def _fans(parameter: PlannedParameter) -> str:
    """Both fans, and the parameter that they are those of."""
    fans, lender = parameter.fans, parameter.fans_of
    if fans is None:
        return "-"
    layer = f"{parameter.name.rpartition('.')[0]}."
    return f"{fans.fan_in}, {fans.fan_out}{f' of {lender.removeprefix(layer)}' if lender else ''}"


def plan_text(plan: Plan, width: int | None = None) -> str:
    """The plan as a table fitted to a width, and what it comes to."""
    columns: tuple[Column, ...] = COLUMNS
    rows = [_cells(parameter) for parameter in plan]
    if not any(parameter.rule for parameter in plan):
        columns = (*columns[:_RULE], *columns[_RULE + 1 :])
        rows = [(*row[:_RULE], *row[_RULE + 1 :]) for row in rows]
    return table_text(columns, rows, _totals(plan), width)


def _totals(plan: Plan) -> list[str]:
    """What the plan holds, and what rules have left out of it."""
    lines = [f"{Contents.of(plan)}, seed {plan.seed}"]
    by_rule = [skipped for skipped in plan.skipped if skipped.rule is not None]
    for skipped in by_rule[:_SHOWN_SKIPS]:
        lines.append(printable(f"{skipped.name} is skipped by the rule {skipped.rule!r}"))
    if len(by_rule) > _SHOWN_SKIPS:
        lines.append(f"and so are {count(len(by_rule) - _SHOWN_SKIPS)} more")
    if buffers := len(plan.skipped) - len(by_rule):
        lines.append(f"{counted(buffers, 'buffer')} left as the model has them")
    return lines
