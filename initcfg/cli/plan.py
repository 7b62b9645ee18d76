"""``initcfg plan``: how every parameter will begin, before anything is made."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import not_standard_output
from initcfg.cli.exits import Exit
from initcfg.cli.output import with_output
from initcfg.cli.report import Contents
from initcfg.cli.source import with_spec_options
from initcfg.errors import printable

if TYPE_CHECKING:
    from initcfg.cli.output import Output
    from initcfg.cli.source import SpecOptions


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
@click.option(
    "-o",
    "--output",
    "path",
    metavar="PLAN",
    type=click.Path(dir_okay=False),
    callback=not_standard_output,
    help="Write the plan to a JSON file.",
)
@click.option("--force", is_flag=True, help="Replace a file that initcfg has not written.")
@with_spec_options
@with_output
def plan(*, file: str, path: str | None, force: bool, options: SpecOptions, output: Output) -> int:
    """Show how every parameter will begin: shape, initializer, resolved distribution, fans, size.

    FILE is a spec or a plan; "-" reads standard input. Nothing is allocated, however large the model. The
    table goes to stdout, or the plan as a JSON document with --format json; with -o the document goes to a
    file instead. A plan that is there is replaced, any other file only with --force.
    """
    from initcfg.cli.source import plan_from

    planned = plan_from(file, options, tell=output.note)
    if path is not None:
        from initcfg.cli.files import check_replaceable, write_text

        check_replaceable(path, force=force)
        write_text(path, planned.to_json())
        output.note(f"{printable(path)}: {Contents.of(planned)}, fingerprint {planned.fingerprint}")
    elif output.format == "json":
        output.data(planned.to_json())
    else:
        from initcfg.cli.table import plain_table, terminal_table

        if sys.stdout.isatty():
            terminal_table(planned, color=output.colored(sys.stdout))
        else:
            output.data(plain_table(planned))
    return Exit.FINE
