"""``initcfg validate``: check specs and say what is wrong, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import expanded
from initcfg.cli.output import with_report
from initcfg.cli.report import Checked, Contents, Report
from initcfg.cli.source import with_spec_options
from initcfg.errors import Code, Diagnostic, InitcfgError, Location

if TYPE_CHECKING:
    from initcfg.cli.output import Output
    from initcfg.cli.source import SpecOptions

__all__ = ["validate"]


@click.command(
    cls=Command,
    short_help="Check specs.",
    example=(
        "initcfg validate configs/gpt2.yaml",
        "initcfg validate --strict 'configs/**/*.yaml'",
        "initcfg validate --format sarif -o report.sarif configs/*.yaml",
    ),
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@with_spec_options
@with_report
def validate(*, files: tuple[str, ...], strict: bool, options: SpecOptions, output: Output) -> int:
    """Check specs: everything short of making the weights.

    Every FILE, a spec or a plan, is checked and every problem that can be found in one reading is shown, on
    stdout; a summary goes to stderr. "-" reads standard input; a quoted pattern such as "configs/**/*.yaml"
    is expanded. The exit code is 0 when all are valid, 1 when one has problems, 2 when one cannot be read.
    """
    report = Report(tuple(_check(file, options) for file in expanded(files)))
    return output.conclude(report.strict() if strict else report)


def _check(file: str, options: SpecOptions) -> Checked:
    from initcfg.checks import check_plan
    from initcfg.cli.source import source_from
    from initcfg.plan import Plan, check_base, plan_reading

    if Path(file).is_dir():
        hint = "name the specs in it, as in 'configs/*.yaml'"
        return Checked(file, (Diagnostic(Code.INPUT, "it is a folder", Location(file), hint),))
    try:
        source = source_from(file, options)
        if not isinstance(source, Plan) and source.spec is not None and source.spec.base:
            check_base(source)
            return Checked(file, verdict="a valid base, which other documents extend")
        plan = source if isinstance(source, Plan) else plan_reading(source)
    except InitcfgError as error:
        return Checked.failed(file, error.diagnostics)
    spec = None if isinstance(source, Plan) else source.spec
    found = (*plan.notes, *check_plan(plan, spec.allow if spec else (), spec))
    return Checked.passed(file, found, Contents.of(plan))
