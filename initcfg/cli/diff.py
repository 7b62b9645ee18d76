"""``initcfg diff``: what two specs do differently."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.exits import Exit
from initcfg.cli.output import with_output
from initcfg.cli.report import Checked, Report
from initcfg.cli.source import with_spec_options
from initcfg.errors import InitcfgError, SpecError

if TYPE_CHECKING:
    from initcfg.cli.output import Output
    from initcfg.cli.source import SpecOptions


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
    from initcfg.cli.differences import as_data, as_text
    from initcfg.cli.source import plan_from
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
        output.data(as_text(found))
    return Exit.PROBLEMS if found else Exit.FINE
