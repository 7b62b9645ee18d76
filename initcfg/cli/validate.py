"""``initcfg validate``: check specs and say what is wrong, and where."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import (
    SpecOptions,
    as_code,
    checked_plan,
    expanded,
    find_project,
    is_excluded,
    source_from,
    with_spec_options,
)
from initcfg.cli.output import Output, with_report
from initcfg.cli.report import Checked, Contents, Report
from initcfg.errors import Code, Diagnostic, InitcfgError, Location

if TYPE_CHECKING:
    from collections.abc import Sequence


def _codes(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(map(as_code, names))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


#: Gives a command ``--ignore``, codes of warnings that it does not tell.
ignore_option = click.option(
    "--ignore",
    metavar="CODE",
    multiple=True,
    callback=_codes,
    help="Leave out warnings with this code; errors stay. May be repeated.",
)


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
@click.option(
    "--exclude",
    metavar="GLOB",
    multiple=True,
    help="Leave out files that match, or that are in a folder that does. May be repeated.",
)
@ignore_option
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@with_spec_options
@with_report
def validate(
    *,
    files: tuple[str, ...],
    exclude: tuple[str, ...],
    ignore: tuple[str, ...],
    strict: bool,
    options: SpecOptions,
    output: Output,
) -> int:
    """Check specs: everything short of making the weights.

    Every FILE, a spec or a plan, is checked and every problem that can be found in one reading is shown, on
    stdout; a summary goes to stderr. "-" reads standard input; a quoted pattern such as "configs/**/*.yaml"
    is expanded. Of several files a --set applies to those that have what it sets. The exit code is 0 when all
    are valid, 1 when one has problems, 2 when one cannot be read.

    The table [tool.initcfg] of the nearest pyproject.toml, from the current folder upwards, may have lists
    "exclude" and "ignore", which --exclude and --ignore add to, and a folder "root", which every command
    keeps to unless --root says otherwise.
    """
    project, named = find_project(), expanded(files)
    kept = [
        file
        for file in named
        if file == "-"
        or not (
            is_excluded(file, list(exclude), os.curdir) or is_excluded(file, project.exclude, project.folder)
        )
    ]
    checked = Report(_check_all(kept, options), excluded=len(named) - len(kept))
    report = checked.ignoring({*ignore, *project.ignore})
    return output.conclude(report.strict() if strict else report)


def _check_all(files: Sequence[str], options: SpecOptions) -> tuple[Checked, ...]:
    """Every file checked; a setting applies to those that have what it sets, and the others say so."""
    checked = [_check(file, options) for file in files]
    without = [_inapplicable(each, options.settings) for each in checked]
    everywhere = set(options.settings).intersection(*without)
    for at, settings in enumerate(without):
        left_out = [setting for setting in settings if setting not in everywhere]
        if left_out:
            rest = tuple(setting for setting in options.settings if setting not in left_out)
            again = _check(files[at], options._replace(settings=rest))
            notes = (
                Diagnostic(
                    Code.SETTING,
                    f"--set {setting} was not applied: the document has no {_target(setting)}",
                    Location(files[at]),
                    severity="note",
                )
                for setting in left_out
            )
            checked[at] = again._replace(diagnostics=(*notes, *again.diagnostics))
    return tuple(map(_with_file_named, checked) if len(files) > 1 else checked)


def _with_file_named(checked: Checked) -> Checked:
    """The place of a wrong setting is on the command line, so its message says in which document."""
    named = (
        replace(each, message=each.message.replace("the document", checked.file, 1))
        if each.code is Code.SETTING and each.severity == "error"
        else each
        for each in checked.diagnostics
    )
    return checked._replace(diagnostics=tuple(named))


def _inapplicable(checked: Checked, settings: Sequence[str]) -> list[str]:
    """The settings whose target the document does not have."""
    lacking = (each for each in checked.diagnostics if each.message.startswith("the document has no "))
    missing = {each.where.file for each in lacking if each.code is Code.SETTING and each.where is not None}
    return [each for each in settings if "." in _target(each) and f"--set {_target(each)}" in missing]


def _target(setting: str) -> str:
    return setting.partition("=")[0].strip()


def _check(file: str, options: SpecOptions) -> Checked:
    from initcfg.plan import Plan, check_base

    if Path(file).is_dir():
        hint = f"name the specs in it, as in '{Path(file).as_posix()}/**/*.yaml'"
        return Checked(file, (Diagnostic(Code.INPUT, "it is a folder", Location(file), hint),))
    try:
        source = source_from(file, options)
        if not isinstance(source, Plan) and source.spec is not None and source.spec.base:
            check_base(source)
            return Checked(file, verdict="a valid base, which other documents extend", is_base=True)
        plan, found = checked_plan(source)
    except InitcfgError as error:
        return Checked.placed(file, error.diagnostics)
    return Checked.placed(file, (*plan.notes, *found), Contents.of(plan))
