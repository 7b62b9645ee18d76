"""``initcfg validate``: check specs and say what is wrong, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.output import with_output
from initcfg.cli.report import Checked, Contents, Report
from initcfg.errors import InitcfgError

if TYPE_CHECKING:
    from initcfg.cli.output import Output

__all__ = ["validate"]


@click.command(
    cls=Command,
    short_help="Check specs.",
    example=(
        "initcfg validate configs/gpt2.yaml",
        "initcfg validate --format json configs/*.yaml > report.json",
    ),
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@with_output
def validate(*, files: tuple[str, ...], output: Output) -> int:
    """Check specs: everything short of making the weights.

    Every FILE is checked and every problem that can be found in one reading is shown, on stdout; a summary
    goes to stderr. "-" reads standard input. The exit code is 0 when all are valid, 1 when one has problems,
    2 when one cannot be read.
    """
    report = Report(tuple(_check(file) for file in files))
    output.findings(report, are_data=True)
    if output.format == "text":
        output.note(report.summary())
        if report.diagnostics:
            output.note(f"For more about a code: initcfg explain {report.diagnostics[0].code}")
    return report.exit


def _check(file: str) -> Checked:
    from initcfg.cli.source import plan_from

    try:
        return Checked(file, contents=Contents.of(plan_from(file)))
    except InitcfgError as error:
        return Checked.failed(file, error.diagnostics)
