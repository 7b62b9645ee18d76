"""``initcfg diff``: what two specs do differently."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import with_spec_options
from initcfg.cli.output import with_output
from initcfg.cli.report import Checked, Exit, Report
from initcfg.errors import InitcfgError, SpecError, printable, text_width
from initcfg.plan.plan import parameter_data

if TYPE_CHECKING:
    from initcfg.cli.arguments import SpecOptions
    from initcfg.cli.output import Output
    from initcfg.diff import Change, Line, PlanDiff
    from initcfg.plan import Plan


@click.command(
    cls=Command,
    short_help="Compare what two specs do.",
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
    help="Replace the first segments of names in A; {i} stands for a number. May be repeated.",
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
    from initcfg.diff import collapsed

    lines = [_painted(line, width) for line in collapsed(diff)]
    return "\n".join([*lines, *([""] if lines else []), diff.summary])


def _painted(line: Line, width: int | None) -> str:
    """The line with colours; what there is to say below the name where it does not fit beside it."""
    sign, color = _SIGNS[line.kind]
    name, details = printable(line.name), printable("; ".join(line.details))
    is_wide = width is not None and text_width(f"{sign} {name}  {details}") > width
    between = "\n    " if is_wide else "  "
    return f"{click.style(sign, fg=color, bold=True)} {name}{between}{click.style(details, dim=True)}"


def as_data(diff: PlanDiff, old: str, new: str) -> dict[str, object]:
    """The changes as plain data, every parameter by itself; `old` and `new` are the plans' files."""
    from initcfg.diff import looking_alike

    looks_like = looking_alike(diff)
    return {
        "diff": 1,
        "equal": not diff,
        "old": _plan_data(diff.old, old),
        "new": _plan_data(diff.new, new),
        "unchanged": diff.unchanged,
        "changes": [
            {**_change_data(change), "looks_like": looks_like.get(change.name)} for change in diff.changes
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
