"""``initcfg diff``: what specs, plans and weights do differently."""

from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from initcfg.cli.application import Command
from initcfg.cli.arguments import SpecOptions, plan_from, with_spec_options
from initcfg.cli.output import Output, with_table
from initcfg.cli.report import Checked, Exit, Report
from initcfg.errors import InitcfgError, SpecError, printable, text_width
from initcfg.tables import csv_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initcfg.diff import Change, Line, PlanDiff
    from initcfg.plan import Plan


@click.command(
    cls=Command,
    short_help="Compare what specs, plans or weights do.",
    example=(
        "initcfg diff configs/gpt2.yaml new.yaml",
        "initcfg diff plan.json configs/gpt2.yaml --format json",
        "initcfg diff configs/mlp.yaml configs/mlp.yaml --set seed=7",
        "initcfg diff glorot.yaml he.yaml orthogonal.yaml --format markdown",
    ),
)
@click.argument("files", metavar="A B [MORE]...", nargs=-1, required=True)
@click.option(
    "--rename",
    metavar="A_NAME=B_NAME",
    multiple=True,
    help="Of two: replace the first segments of names in A; {i} stands for a number. May be repeated.",
)
@click.option("--full", is_flag=True, help="Show beside each other what does not differ too.")
@with_spec_options
@with_table
def diff(
    *, files: tuple[str, ...], rename: tuple[str, ...], full: bool, options: SpecOptions, output: Output
) -> int:
    """Show what specs or plans do differently: what parameters there are and how each begins.

    A is the old one and B the new one. Each is a spec, a plan, or weights that carry their spec; one may be
    "-", standard input. What is written differently and makes the same values is no difference. Layers that
    change alike share a line. --set changes the last only. With MORE of them each has a column, and so have
    two with --full or in csv, markdown and html. The exit code is 0 when there is no difference, 1 when there
    is one, 2 when a file is not valid.
    """
    if len(files) < 2:
        raise click.UsageError("give two files at least, or one twice with --set for the second")
    if files.count("-") > 1:
        raise click.UsageError("standard input can be one of the files only")
    is_beside = full or len(files) > 2 or output.format not in ("text", "json")
    if is_beside and rename:
        raise click.UsageError("--rename is of two files, in text or json and without --full")
    plans = []
    for rank, file in enumerate(files):
        try:
            plans.append(_plan_of(file, options if rank == len(files) - 1 else options._replace(settings=())))
        except InitcfgError as error:
            # What differs is unknown, which must not look like an answer.
            output.findings(Report((Checked.placed(file, error.diagnostics),)))
            return Exit.USAGE
    return _beside(files, plans, output, full=full) if is_beside else _apart(files, plans, rename, output)


def _plan_of(file: str, options: SpecOptions) -> Plan:
    """The plan of a spec or a plan file, or that of the spec that weights carry."""
    from initcfg.formats.index import TORCH_ENDINGS, is_index

    endings = (".safetensors", ".npz", *TORCH_ENDINGS)
    if file == "-" or not (file.lower().endswith(endings) or is_index(file) or Path(file).is_dir()):
        return plan_from(file, options)
    if options.settings:
        raise click.UsageError(f"{file!r} holds weights, and --set changes specs")
    from initcfg.formats.reading import open_weights
    from initcfg.verification.matching import carried_plan

    with open_weights(file) as weights:
        return carried_plan(weights)


def _apart(files: Sequence[str], plans: Sequence[Plan], rename: tuple[str, ...], output: Output) -> Exit:
    from initcfg.diff import diff_plans

    try:
        found = diff_plans(plans[0], plans[1], rename)
    except SpecError as error:
        problem = error.diagnostics[0]
        raise click.UsageError(f"--rename: {problem.message}; {problem.hint}") from error
    if output.format == "json":
        output.data(json.dumps(as_data(found, *files), indent=2))
    else:
        output.show(as_text(found, output.width))
    return Exit.PROBLEMS if found else Exit.FINE


def _beside(files: Sequence[str], plans: Sequence[Plan], output: Output, *, full: bool) -> Exit:
    from initcfg.diff import compare_plans

    found = compare_plans(zip(short_labels(files), plans, strict=True))
    if output.format == "json":
        document = {
            "diff": 1,
            "equal": not found,
            "plans": [_plan_data(plan, file) for plan, file in zip(plans, files, strict=True)],
            "alike": found.alike,
            "rows": [row._asdict() for row in found.shown(full=full)],
        }
        output.data(json.dumps(document, indent=2))
    elif output.format == "csv":
        output.data(csv_text(("name", "copies", *found.labels), found.records(full=full)))
    else:
        output.table(found.table(full=full))
    return Exit.PROBLEMS if found else Exit.FINE


def short_labels(files: Sequence[str]) -> list[str]:
    """What to call files in headings: their last segments where these differ, and a number if twice."""
    lasts = [PurePath(file).name or file for file in files]
    called = lasts if len(set(lasts)) == len(set(files)) else list(files)
    return [
        f"{label} ({called[: rank + 1].count(label)})" if called.count(label) > 1 else label
        for rank, label in enumerate(called)
    ]


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
    from initcfg.plan.plan import parameter_data

    sides = {"old": change.old, "new": change.new}
    return {
        "change": change.kind,
        "name": change.name,
        "aspects": list(change.aspects),
        **{side: None if each is None else parameter_data(each) for side, each in sides.items()},
    }
