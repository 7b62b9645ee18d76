"""``initcfg plan``: how every parameter will begin, before anything is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import force_option, output_option, with_spec_options
from initcfg.cli.output import with_table
from initcfg.cli.report import Contents, Exit
from initcfg.tables import csv_text

if TYPE_CHECKING:
    from initcfg.cli.arguments import SpecOptions
    from initcfg.cli.output import Output


@click.command(
    cls=Command,
    short_help="Show the initialization of every parameter.",
    example=(
        "initcfg plan configs/gpt2.yaml",
        "initcfg plan configs/gpt2.yaml --select '**.bias' --full",
        "initcfg plan configs/gpt2.yaml --sort std --format markdown",
        "initcfg plan configs/gpt2.yaml -o plan.json",
        "initcfg plan configs/gpt2.yaml --format json | jq '.parameters[0]'",
    ),
)
@click.argument("file", metavar="FILE")
@output_option("PLAN", "Write the plan to a JSON file.")
@force_option
@click.option("--select", metavar="GLOB", help="Show only the parameters whose names match.")
@click.option(
    "--full", is_flag=True, help="Give every copy of a layer its own line, and show formulas in full."
)
@click.option(
    "--sort",
    type=click.Choice(["name", "initializer", "copies", "elements", "std", "fan_in"]),
    metavar="KEY",
    help="Order lines by name, initializer, copies, elements, std or fan_in; numbers from the largest.",
)
@with_spec_options
@with_table
def plan(
    *,
    file: str,
    path: str | None,
    force: bool,
    select: str | None,
    full: bool,
    sort: str | None,
    options: SpecOptions,
    output: Output,
) -> int:
    """Show how every parameter will begin: shape, initializer, resolved distribution, fans, size.

    FILE is a spec or a plan; "-" reads standard input. Nothing is allocated, however large the model. The
    table is as wide as the terminal (else as COLUMNS says, or 80); columns without room are named below it.
    Copies of a layer with the same initialization share a line, which gives their total size. A long formula
    is shown by its mean and standard deviation. With --format json the plan is a JSON document of every
    parameter, and with -o that document goes to a file instead; csv has the table's lines with all digits,
    markdown and html have every column. A plan that is there is replaced, any other file only with --force.
    """
    from initcfg.cli.arguments import plan_from, selection
    from initcfg.plan.listing import listed, records_of, sorted_copies, table_of

    if (select or sort) and (path is not None or output.format == "json"):
        given = "--select" if select else "--sort"
        raise click.UsageError(f"{given} is of the table; a plan file holds every parameter in its order")
    planned = plan_from(file, options, tell=output.note)
    if path is not None:
        about = f"{Contents.of(planned)}, fingerprint {planned.fingerprint}"
        output.save(path, planned.to_json(), about, force=force)
    elif output.format == "json":
        output.data(planned.to_json())
    else:
        groups = sorted_copies(listed(selection(planned, select), full=full), sort)
        if output.format == "csv":
            output.data(csv_text(records_of(groups)))
        else:
            is_brief = output.format == "text" and not full
            output.table(table_of(planned, groups, brief=is_brief, curves=output.format == "html"))
    return Exit.FINE
